//! Registers that only grow: `STORE/registers/NAME.jsonl`, a line per entry, vouched for by the log.
//!
//! Belongs here: files, their order, the check against the log. Does not belong: what an entry says
//! (`people`).
//!
//! # Order of writing
//! Line, fsync; then the line of the log that holds its digest. Each line holds the digest of the one
//! before, so what the log names last vouches for all. Lines behind that one were never announced: a
//! crash left them, they do not count, and the next writer cuts them away.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind as IoKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Digest,
    audit::{AuditLog, Entry, Event},
    register::RegisterError,
    store::{at, lock_and_wait, make_dirs, read_at_most, sync_dir},
};

const FOLDER: &str = "registers";
/// A century of daily entries.
const LIMIT: u64 = 64 << 20;

/// Which register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ledger {
    /// How the school weighed its interest.
    Assessments,
    /// When parents were reminded.
    Reminders,
    /// What people were told.
    Notices,
    /// What teachers accepted.
    Acceptances,
}

impl Ledger {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Assessments, Self::Reminders, Self::Notices, Self::Acceptances];

    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Assessments => "assessments.jsonl",
            Self::Reminders => "reminders.jsonl",
            Self::Notices => "notices.jsonl",
            Self::Acceptances => "acceptances.jsonl",
        }
    }

    /// The file in `store`.
    #[must_use]
    pub fn path(self, store: &Path) -> PathBuf {
        store.join(FOLDER).join(self.file())
    }
}

/// A line of a register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line<T> {
    /// Its number, from 1.
    pub n: u64,
    /// When it was written, by the box's clock.
    pub at: Timestamp,
    /// Digest of the line before; of nothing in the first.
    pub previous: Digest,
    /// What it says.
    pub entry: T,
}

/// The lines that the log vouches for, as bytes up to the end of the last one.
struct Vouched {
    bytes: Vec<u8>,
    lines: u64,
    last: Digest,
}

fn vouched(store: &Path, ledger: Ledger, entries: &[Entry]) -> Result<Vouched, RegisterError> {
    let path = ledger.path(store);
    let named = |entry: &Entry| match &entry.event {
        Some(Event::Registered { register, line, sha256 }) if *register == ledger => {
            Some(Some((*line, *sha256)))
        }
        // It was set aside: there is none.
        Some(Event::SetAside { register }) if register.is(ledger.file()) => Some(None),
        _ => None,
    };
    let Some((lines, last)) = entries.iter().rev().find_map(named).flatten() else {
        return Ok(Vouched { bytes: Vec::new(), lines: 0, last: Digest::of(&[]) });
    };
    let altered = || RegisterError::Altered { path: path.clone() };
    let mut bytes = read_at_most(&path, LIMIT).map_err(|error| match error.kind() {
        IoKind::NotFound | IoKind::InvalidData => altered(),
        _ => at(&path)(error).into(),
    })?;
    let (mut length, mut newest, mut before) = (0, None, Digest::of(&[]));
    let whole = usize::try_from(lines).map_err(|_| altered())?;
    let mut seen = 0;
    for line in bytes.split_inclusive(|&b| b == b'\n').take(whole) {
        let text = line.strip_suffix(b"\n").ok_or_else(altered)?;
        let read: Line<serde_json::Value> = serde_json::from_slice(text).map_err(|_| altered())?;
        seen += 1;
        if read.previous != before || read.n != seen {
            return Err(altered());
        }
        before = Digest::of(text);
        newest = Some(before);
        length += line.len();
    }
    if seen != lines || newest != Some(last) {
        return Err(altered());
    }
    bytes.truncate(length);
    Ok(Vouched { bytes, lines, last })
}

/// All entries of a register that the log, read as `entries`, vouches for, in their order.
pub fn read<T: DeserializeOwned>(
    store: &Path,
    ledger: Ledger,
    entries: &[Entry],
) -> Result<Vec<Line<T>>, RegisterError> {
    let Vouched { bytes, .. } = vouched(store, ledger, entries)?;
    let lines = bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            serde_json::from_slice(line)
                .map_err(|_| RegisterError::Altered { path: ledger.path(store) })
        })
        .collect()
}

/// Adds an entry, which counts when this returns; says the number of its line.
pub fn append(
    store: &Path,
    log: &AuditLog,
    ledger: Ledger,
    now: Timestamp,
    entry: &impl Serialize,
) -> Result<u64, RegisterError> {
    let folder = store.join(FOLDER);
    make_dirs(&folder)?;
    let _lock = lock_and_wait(&folder)?;
    let path = ledger.path(store);
    let Vouched { bytes, lines, last } = vouched(store, ledger, &log.entries()?)?;
    let line = Line { n: lines + 1, at: now, previous: last, entry };
    let text = serde_json::to_vec(&line).map_err(|error| at(&path)(error.into()))?;
    let mut file =
        OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(at(&path))?;
    // What a crash left behind the last line that counts goes.
    file.set_len(bytes.len() as u64)
        .and_then(|()| file.write_all(&text))
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        .map_err(at(&path))?;
    drop(file);
    sync_dir(&folder)?;
    let event = Event::Registered { register: ledger, line: line.n, sha256: Digest::of(&text) };
    log.append(now, &event).map(drop)?;
    Ok(line.n)
}

/// Whether the register is what the log, read as `entries`, vouches for, and not a line more.
pub(super) fn is_vouched(store: &Path, ledger: Ledger, entries: &[Entry]) -> bool {
    let length = fs::metadata(ledger.path(store)).map_or(0, |found| found.len());
    vouched(store, ledger, entries).is_ok_and(|vouched| vouched.bytes.len() as u64 == length)
}

/// Whether there is a register file at all, whatever it is worth.
#[must_use]
pub fn exists(store: &Path, ledger: Ledger) -> bool {
    fs::symlink_metadata(ledger.path(store)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{BoxKey, audit::AuditKey};

    fn log(folder: &Path) -> (PathBuf, AuditLog) {
        let store = folder.join("store");
        let key = BoxKey::load_or_create(&folder.join("box.key"), &store).unwrap();
        let audit = AuditKey::load_or_create(&folder.join("audit.key"), &store).unwrap();
        let log = AuditLog::open(&store, audit, key.public(), time(0)).unwrap();
        (store, log)
    }

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn texts(store: &Path, log: &AuditLog) -> Result<Vec<String>, RegisterError> {
        let lines = read::<String>(store, Ledger::Reminders, &log.entries().unwrap())?;
        Ok(lines.into_iter().map(|line| line.entry).collect())
    }

    #[test]
    fn entries_come_back_and_registers_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let (store, log) = log(folder.path());
        assert!(texts(&store, &log).unwrap().is_empty());
        for (second, text) in [(1, "one"), (2, "two"), (3, "three")] {
            append(&store, &log, Ledger::Reminders, time(second), &text).unwrap();
        }
        append(&store, &log, Ledger::Notices, time(4), &"other").unwrap();
        assert_eq!(texts(&store, &log).unwrap(), ["one", "two", "three"]);
    }

    #[test]
    fn whatever_is_done_to_a_register_shows() {
        let folder = tempfile::tempdir().unwrap();
        let (store, log) = log(folder.path());
        for (second, text) in [(1, "one"), (2, "two"), (3, "three")] {
            append(&store, &log, Ledger::Reminders, time(second), &text).unwrap();
        }
        let path = Ledger::Reminders.path(&store);
        let good = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = good.lines().collect();
        let bad = [
            String::new(),
            good.replace("one", "two"),
            good.replace("three", "thre"),
            format!("{}\n", lines[..2].join("\n")),
            format!("{}\n{}\n", lines[0], lines[2]),
            good.trim_end().to_owned(),
        ];
        for text in bad {
            fs::write(&path, &text).unwrap();
            let error = texts(&store, &log).unwrap_err();
            assert!(matches!(error, RegisterError::Altered { .. }), "{text}: {error}");
            let error = append(&store, &log, Ledger::Reminders, time(4), &"four").unwrap_err();
            assert!(matches!(error, RegisterError::Altered { .. }), "{text}: {error}");
        }
        // A line whose announcement a crash prevented does not count, and is in nobody's way.
        fs::write(&path, format!("{good}{{\"n\":4,\"at\"")).unwrap();
        assert_eq!(texts(&store, &log).unwrap(), ["one", "two", "three"]);
        append(&store, &log, Ledger::Reminders, time(5), &"four").unwrap();
        assert_eq!(texts(&store, &log).unwrap(), ["one", "two", "three", "four"]);
    }
}
