//! The parts of a recording that an export has: a list of times, or what somebody marked.

use std::{path::Path, time::Duration};

use super::{Failure, record::wrong};
use crate::{
    appliance::Parts,
    error::{ErrorKind, advice},
    units::{PersonId, Pts},
    vault::{
        Opened,
        access::{Kept, Made},
    },
};

/// Longest list of fragments that is read.
const FRAGMENTS_BYTES: u64 = 1 << 20;
/// How a file of marks begins, as any age file does.
const AGE: &[u8] = b"age-encryption.org/";

/// The parts of `opened` that a file names: a list of times, or marks that `by` signed.
pub(super) fn fragments(opened: &Opened, by: &PersonId, path: &Path) -> Result<Parts, Failure> {
    let unreadable = |error: std::io::Error| {
        let message = format!("cannot read {}: {error}{}", path.display(), advice(&error));
        Failure::new(ErrorKind::of_io(&error), message)
    };
    let found = std::fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() || found.len() > FRAGMENTS_BYTES {
        return Err(wrong(format!("{} is no list of fragments", path.display())));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let named = |error| wrong(format!("{}: {error}", path.display()));
    if bytes.starts_with(AGE) {
        let parts = marked(&Kept::read(opened, by, &bytes), path)?;
        return Parts::new(parts).map_err(named);
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| wrong(format!("{} is no list of fragments", path.display())))?;
    let mut parts = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let part = parse_part(line).ok_or_else(|| {
            wrong(format!("{}:{}: give two times, such as 02:10 03:45", path.display(), at + 1))
        })?;
        parts.push(part);
    }
    Parts::new(parts).map_err(named)
}

/// What somebody marked, in order; what overlaps is one part. Nobody's choice but their own counts.
fn marked(kept: &Kept, path: &Path) -> Result<Vec<(Pts, Pts)>, Failure> {
    if kept.made != Made::Signed {
        let (path, by, made) = (path.display(), &kept.person, kept.made);
        let message = format!(
            "{path}: these marks are not taken for the choice of {by}: {made}; open the recording with \
             the key of {by} and save the marks again, or give a list of times"
        );
        return Err(Failure::new(ErrorKind::Denied, message));
    }
    let pts = |ms: u64| Pts::ZERO.plus(Duration::from_millis(ms));
    let mut marks: Vec<(Pts, Pts)> =
        kept.marks.iter().map(|mark| (pts(mark.from_ms), pts(mark.to_ms))).collect();
    marks.sort();
    let mut parts: Vec<(Pts, Pts)> = Vec::new();
    for (from, to) in marks {
        match parts.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => parts.push((from, to)),
        }
    }
    Ok(parts)
}

/// A time as a list of fragments has it.
pub(super) fn stamp(ms: u64) -> String {
    let (s, ms) = (ms / 1000, ms % 1000);
    let hours = if s < 3600 { String::new() } else { format!("{}:", s / 3600) };
    format!("{hours}{:02}:{:02}.{ms:03}", s / 60 % 60, s % 60)
}

fn parse_part(line: &str) -> Option<(Pts, Pts)> {
    let mut words = line.split([' ', '\t', '-', ',']).filter(|word| !word.is_empty());
    let part = (parse_time(words.next()?)?, parse_time(words.next()?)?);
    words.next().is_none().then_some(part)
}

/// `1:02:03.5`, `02:03` or `3`.
fn parse_time(text: &str) -> Option<Pts> {
    let mut whole = 0u64;
    let mut fields = text.rsplit(':');
    let (seconds, fraction) = match fields.next()?.split_once('.') {
        Some((seconds, fraction)) => (seconds, fraction),
        None => (text.rsplit(':').next()?, ""),
    };
    let digits = |text: &str| -> Option<u64> {
        (!text.is_empty() && text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse().ok())?
    };
    let mut unit = 1;
    for (place, field) in std::iter::once(seconds).chain(fields).enumerate() {
        let value = digits(field)?;
        // Minutes and seconds below something larger stay below sixty.
        if place > 2 || (place < text.matches(':').count() && value > 59) {
            return None;
        }
        whole += value * unit;
        unit *= 60;
    }
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse::<u64>().ok()?;
    Some(Pts::ZERO.plus(Duration::from_secs(whole) + Duration::from_nanos(nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, ms) in [
            ("3", Some(3_000)),
            ("03.25", Some(3_250)),
            ("75", Some(75_000)),
            ("02:10", Some(130_000)),
            ("90:00", Some(5_400_000)),
            ("1:02:03.5", Some(3_723_500)),
            ("1:75", None),
            ("1:90:00", None),
            ("1:2:3:4", None),
            (":10", None),
            ("1.2.3", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(
                parse_time(text),
                ms.map(|ms: u64| Pts::from_nanos(ms * 1_000_000)),
                "{text}"
            );
        }
        let part = |from: u64, to: u64| {
            Some((Pts::from_nanos(from * 1_000_000_000), Pts::from_nanos(to * 1_000_000_000)))
        };
        for line in ["1:00 1:30", "1:00-1:30", "60, 90", "1:00\t- 1:30"] {
            assert_eq!(parse_part(line), part(60, 90), "{line}");
        }
        assert_eq!(parse_part("1:00 1:30 2:00"), None);
        assert_eq!(parse_part("1:00"), None);
    }
}
