//! What is wrong with a log, by the text of it: names the line that was edited, removed, inserted or
//! reordered, and tells a crash from tampering. Reads no file.

use std::collections::BTreeSet;

use super::{
    super::{Digest, parallel::each},
    AuditPublicKey, Checkpoint, Flaw,
    lines::{Hashed, Head, START, is_authentic, parse, split_torn},
    tree::{self, Tree},
};

/// A last line that is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Its length.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// What a look at a log found.
#[derive(Debug)]
pub(super) struct Inspection {
    /// Where the log stands, unless it has a flaw.
    pub(super) head: Head,
    /// Number of lines.
    pub(super) lines: u64,
    /// Length of the whole lines.
    pub(super) bytes: u64,
    pub(super) torn: Option<Torn>,
    pub(super) flaws: Vec<Flaw>,
}

/// Looks at the text of a whole log. `newest` is the checkpoint that lies beside it; `older` are
/// others that somebody kept.
pub(super) fn inspect(
    text: &[u8],
    key: &AuditPublicKey,
    newest: Option<&Checkpoint>,
    older: &[Checkpoint],
) -> Inspection {
    let promised = newest.into_iter().chain(older).map(|c| c.size).max().unwrap_or(0);
    let (whole, rest) = split_torn(text);
    let mut lines: Vec<&[u8]> = Vec::new();
    lines.extend(whole.split_inclusive(|&b| b == b'\n').map(|line| &line[..line.len() - 1]));
    let torn = (!rest.is_empty()
        && promised <= lines.len() as u64
        && can_be_torn(rest, lines.len() as u64 + 1))
    .then(|| Torn { bytes: rest.len() as u64, sha256: Digest::of(rest) });
    let open_end = !rest.is_empty() && torn.is_none();
    if open_end {
        lines.push(rest);
    }
    let mut head = Head::start();
    // Lines that no checkpoint beside the log stands for speak for themselves.
    let covered = newest.map_or(0, |checkpoint| checkpoint.size);
    let read = each(&lines, |line| {
        let parsed = parse(line)?;
        Some((parsed.n, parsed.at, parsed.previous, Hashed::of(line)))
    });
    let in_order = !open_end
        && lines.iter().zip(read).zip(1..).all(|((line, read), n)| {
            let Some((number, at, previous, hashed)) = read else { return false };
            let follows = number == n && previous == head.previous;
            head.pass(hashed, at);
            follows && (n <= covered || is_authentic(line, key))
        });
    let fits = |c: &Checkpoint| head.tree.root_at(c.size) == Some(c.root);
    let flaws = if in_order && newest.into_iter().chain(older).all(fits) {
        Vec::new()
    } else {
        diagnose(&lines, key, promised, newest, older, open_end)
    };
    Inspection { head, lines: lines.len() as u64, bytes: whole.len() as u64, torn, flaws }
}

/// Whether a crash can have left `rest` of line `n`: a beginning of it, or zeros where the file
/// system knew its length but not yet its content.
fn can_be_torn(rest: &[u8], n: u64) -> bool {
    let written = rest.len() - rest.iter().rev().take_while(|&&b| b == 0).count();
    let begin = format!("{{\"n\":{n},\"at\":\"");
    let common = written.min(begin.len());
    rest[..common] == begin.as_bytes()[..common]
}

/// Names what is wrong with a log of which it is known that something is.
fn diagnose(
    lines: &[&[u8]],
    key: &AuditPublicKey,
    promised: u64,
    newest: Option<&Checkpoint>,
    older: &[Checkpoint],
    open_end: bool,
) -> Vec<Flaw> {
    let numbers: Vec<Option<u64>> = lines
        .iter()
        .map(|line| is_authentic(line, key).then(|| parse(line).map(|line| line.n))?)
        .collect();
    let present: BTreeSet<u64> = numbers.iter().flatten().copied().collect();
    let mut flaws = Vec::new();
    let mut next = 1;
    // Lines since the last good one that were not written with the key.
    let mut foreign = 0;
    for number in &numbers {
        let Some(n) = *number else {
            foreign += 1;
            continue;
        };
        if n < next {
            flaws.push(Flaw::at(n, "stands where it does not belong: repeated or reordered"));
            continue;
        }
        settle(&mut flaws, next..n, foreign, &present);
        (next, foreign) = (n + 1, 0);
    }
    settle(&mut flaws, next..promised.max(next - 1) + 1, foreign, &present);
    if open_end && flaws.is_empty() {
        flaws.push(Flaw::at(next.saturating_sub(1), "was edited: it has no line end"));
    }
    if flaws.is_empty() {
        flaws.extend(set_back(lines));
    }
    if flaws.is_empty() {
        flaws.extend(rewritten(lines, newest, older));
    }
    flaws
}

/// Says what became of the lines `missing` in whose place `foreign` others stand.
fn settle(
    flaws: &mut Vec<Flaw>,
    missing: std::ops::Range<u64>,
    foreign: u64,
    present: &BTreeSet<u64>,
) {
    let before = missing.start.saturating_sub(1);
    let (elsewhere, gone): (Vec<u64>, Vec<u64>) = missing.partition(|n| present.contains(n));
    for n in elsewhere {
        flaws.push(Flaw::at(n, "stands where it does not belong: lines were reordered"));
    }
    let edited = usize::try_from(foreign).unwrap_or(usize::MAX).min(gone.len());
    for n in &gone[..edited] {
        flaws.push(Flaw::at(*n, "was edited: it is not as it was signed"));
    }
    for n in &gone[edited..] {
        flaws.push(Flaw::at(*n, "was removed"));
    }
    let inserted = foreign - edited as u64;
    let after = before + edited as u64;
    if inserted > 0 && after == 0 {
        flaws.push(Flaw::of_file(format!("the log begins with {inserted} inserted lines")));
    } else if inserted > 0 {
        let problem = format!("is followed by {inserted} inserted: not written with the log's key");
        flaws.push(Flaw::at(after, problem));
    }
}

/// All lines are genuine and in order, and yet one does not follow the other: the log was cut and
/// went on from there.
fn set_back(lines: &[&[u8]]) -> Option<Flaw> {
    let mut previous = Digest::of(START);
    for line in lines {
        let parsed = parse(line)?;
        if parsed.previous != previous {
            let problem = "does not follow the line before it: the log was set back and went on";
            return Some(Flaw::at(parsed.n, problem));
        }
        previous = Digest::of(line);
    }
    None
}

/// All lines are genuine and follow each other, and yet a checkpoint says otherwise: whoever did
/// that had the key.
fn rewritten(lines: &[&[u8]], newest: Option<&Checkpoint>, older: &[Checkpoint]) -> Vec<Flaw> {
    let mut tree = Tree::default();
    for line in lines {
        tree.push(tree::leaf(line));
    }
    let differs = newest.into_iter().chain(older).filter(|c| tree.root_at(c.size) != Some(c.root));
    differs
        .map(|checkpoint| {
            Flaw::of_file(format!(
                "lines 1 to {size} are not those of the checkpoint over {size} lines: the log was \
                 rewritten with its own key",
                size = checkpoint.size
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use jiff::Timestamp;

    use super::*;
    use crate::vault::audit::{Event, Word, note};

    const LINES: usize = 6;

    struct Scene {
        key: AuditPublicKey,
        text: Vec<u8>,
        checkpoints: Vec<Checkpoint>,
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    /// A log of [`LINES`] lines, and the checkpoint after each.
    fn scene() -> Scene {
        let key = note::test_key();
        let public = key.public("classveil/test");
        let mut scene = Scene { key: public, text: Vec::new(), checkpoints: Vec::new() };
        let mut head = Head::start();
        for n in 0..LINES {
            let event = Event::Fault { recording: None, what: Word::new("a test") };
            let now = at(i64::try_from(n).unwrap());
            let line = head.next_line(now, &event, &key, "classveil/test").unwrap();
            head.follow(&line[..line.len() - 1], now);
            scene.text.extend_from_slice(&line);
            let note = key.checkpoint("classveil/test", head.tree.len(), head.tree.root());
            scene.checkpoints.push(Checkpoint::parse(&note, &scene.key).unwrap());
        }
        scene
    }

    impl Scene {
        fn inspect(&self, text: &[u8]) -> Inspection {
            inspect(text, &self.key, self.checkpoints.last(), &[])
        }

        /// What is wrong, with the line it names first.
        fn flaw(&self, text: &[u8]) -> Option<Flaw> {
            self.inspect(text).flaws.into_iter().next()
        }

        fn lines(&self) -> Vec<&[u8]> {
            self.text.split_inclusive(|&b| b == b'\n').collect()
        }

        fn line_of(&self, byte: usize) -> u64 {
            self.text[..byte].split(|&b| b == b'\n').count() as u64
        }
    }

    #[test]
    fn a_log_as_it_was_written_has_no_flaw() {
        let scene = scene();
        let inspection = scene.inspect(&scene.text);
        assert!(inspection.flaws.is_empty() && inspection.torn.is_none());
        assert_eq!(inspection.head.tree.root(), scene.checkpoints[LINES - 1].root);
        assert_eq!(inspection.head.highest, Some(at(5)));
        // Lines behind the newest checkpoint speak for themselves, and all checkpoints hold.
        let early = inspect(&scene.text, &scene.key, scene.checkpoints.first(), &scene.checkpoints);
        assert!(early.flaws.is_empty());
    }

    /// Every byte, replaced by others, removed, and others put before it: with the checkpoint
    /// beside the log the line is named; without any, each line's own signature and the chain still
    /// are.
    #[test]
    fn every_byte_counts() {
        let scene = scene();
        for byte in 0..scene.text.len() {
            let line = scene.line_of(byte);
            // Two of the eight bits: both kinds of letter, and bytes that are no text.
            let mut variants: Vec<Vec<u8>> = [byte % 5, 7]
                .into_iter()
                .map(|bit| {
                    let mut text = scene.text.clone();
                    text[byte] ^= 1 << bit;
                    text
                })
                .collect();
            let mut removed = scene.text.clone();
            removed.remove(byte);
            variants.push(removed);
            for inserted in *b"{\nx" {
                let mut text = scene.text.clone();
                text.insert(byte, inserted);
                // A space put beside a space and so on gives the same text as at the next place.
                if text != scene.text {
                    variants.push(text);
                }
            }
            for text in &variants {
                let flaw = scene.flaw(text).unwrap_or_else(|| panic!("byte {byte} of line {line}"));
                // An inserted line end shows behind the line before.
                let named = flaw.line.unwrap_or(0);
                assert!(named == line || named + 1 == line, "byte {byte} of line {line}: {flaw}");
            }
            let alone = inspect(&variants[0], &scene.key, None, &[]);
            assert!(!alone.flaws.is_empty() || alone.torn.is_some(), "byte {byte} alone");
        }
    }

    #[test]
    fn removed_inserted_swapped_and_repeated_lines_are_named() {
        let scene = scene();
        let lines = scene.lines();
        for gone in 0..LINES {
            let mut rest = lines.clone();
            rest.remove(gone);
            let flaw = scene.flaw(&rest.concat()).unwrap();
            assert_eq!(flaw.line, Some(gone as u64 + 1), "{flaw}");
            assert!(flaw.problem.contains("removed"), "{flaw}");
        }
        for (a, b) in (0..LINES).flat_map(|a| (a + 1..LINES).map(move |b| (a, b))) {
            let mut swapped = lines.clone();
            swapped.swap(a, b);
            let flaws = scene.inspect(&swapped.concat()).flaws;
            let named: BTreeSet<u64> = flaws.iter().filter_map(|flaw| flaw.line).collect();
            assert!(named.contains(&(a as u64 + 1)), "{a} {b}: {flaws:?}");
            assert!(flaws.iter().all(|f| f.problem.contains("reordered")), "{flaws:?}");
        }
        for (from, to) in (0..LINES).flat_map(|from| (0..=LINES).map(move |to| (from, to))) {
            let mut repeated = lines.clone();
            repeated.insert(to, lines[from]);
            assert!(!scene.inspect(&repeated.concat()).flaws.is_empty(), "{from} at {to}");
        }
        let foreign = &b"{\"n\":4}\n"[..];
        let inserted = [&lines[..3].concat(), foreign, &lines[3..].concat()].concat();
        let flaw = scene.flaw(&inserted).unwrap();
        assert!(flaw.line == Some(3) && flaw.problem.contains("1 inserted"), "{flaw}");
    }

    #[test]
    fn a_tail_cut_cleanly_shows_against_a_checkpoint_and_not_without() {
        let scene = scene();
        let cut = scene.lines()[..4].concat();
        let flaws = scene.inspect(&cut).flaws;
        assert_eq!(flaws.iter().filter_map(|f| f.line).collect::<Vec<_>>(), [5, 6]);
        // Cut together with the checkpoint beside it, only one that was kept elsewhere tells.
        let own = Some(&scene.checkpoints[3]);
        assert!(inspect(&cut, &scene.key, own, &[]).flaws.is_empty());
        assert!(!inspect(&cut, &scene.key, own, &scene.checkpoints[5..]).flaws.is_empty());
        assert!(inspect(&cut, &scene.key, own, &scene.checkpoints[..4]).flaws.is_empty());
    }

    #[test]
    fn a_torn_last_line_is_no_tampering() {
        let scene = scene();
        let lines = scene.lines();
        let whole = lines[..5].concat();
        let own = Some(&scene.checkpoints[4]);
        for cut in 1..lines[5].len() {
            let torn = [&whole[..], &lines[5][..cut]].concat();
            let found = inspect(&torn, &scene.key, own, &[]);
            assert!(found.flaws.is_empty(), "cut at {cut}: {:?}", found.flaws);
            assert_eq!(found.torn.map(|torn| torn.bytes), Some(cut as u64));
            assert_eq!(found.bytes, whole.len() as u64);
            // The same end of a line that a checkpoint stands for was cut by somebody.
            assert!(!scene.inspect(&torn).flaws.is_empty(), "cut at {cut}");
        }
        let zeros = [&whole[..], &[0; 40]].concat();
        assert!(inspect(&zeros, &scene.key, own, &[]).torn.is_some());
        let other = [&whole[..], b"nonsense"].concat();
        assert!(!inspect(&other, &scene.key, own, &[]).flaws.is_empty());
    }

    #[test]
    fn who_has_the_key_cannot_rewrite_what_a_checkpoint_stands_for() {
        let scene = scene();
        let key = note::test_key();
        let mut head = Head::start();
        let mut text = Vec::new();
        for n in 0..6 {
            let event = Event::Fault { recording: None, what: Word::new("another story") };
            let line = head.next_line(at(n), &event, &key, "classveil/test").unwrap();
            head.follow(&line[..line.len() - 1], at(n));
            text.extend_from_slice(&line);
        }
        let note = key.checkpoint("classveil/test", head.tree.len(), head.tree.root());
        let own = Checkpoint::parse(&note, &scene.key).unwrap();
        assert!(inspect(&text, &scene.key, Some(&own), &[]).flaws.is_empty());
        let flaws = inspect(&text, &scene.key, Some(&own), &scene.checkpoints[2..3]).flaws;
        assert!(flaws[0].problem.contains("lines 1 to 3"), "{flaws:?}");
    }

    #[test]
    fn a_log_that_was_set_back_and_went_on_is_noticed_at_the_seam() {
        let scene = scene();
        let key = note::test_key();
        let lines = scene.lines();
        let mut head = Head::start();
        lines[..3].iter().for_each(|line| head.follow(&line[..line.len() - 1], at(0)));
        let event = Event::Fault { recording: None, what: Word::new("went on") };
        let fourth = head.next_line(at(9), &event, &key, "classveil/test").unwrap();
        let mixed = [&lines[..3].concat()[..], &fourth, &lines[4..].concat()].concat();
        let flaw = scene.flaw(&mixed).unwrap();
        assert!(flaw.line == Some(5) && flaw.problem.contains("set back"), "{flaw}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Any few edits at once.
        #[test]
        fn no_combination_of_edits_passes(
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0u8..4, any::<u8>()), 1..6),
        ) {
            let scene = scene();
            let mut text = scene.text.clone();
            for (place, what, value) in edits {
                let place = place.index(text.len());
                match what {
                    0 => text[place] = value,
                    1 => { text.remove(place); }
                    2 => text.insert(place, value),
                    _ => {
                        let other = usize::from(value) % text.len();
                        text.swap(place, other);
                    }
                }
            }
            if text != scene.text {
                prop_assert!(!scene.inspect(&text).flaws.is_empty());
            }
        }

        /// The lines in any order, some left out, some repeated.
        #[test]
        fn no_other_sequence_of_lines_passes(
            order in prop::collection::vec(0usize..LINES, 0..10),
        ) {
            let scene = scene();
            let lines = scene.lines();
            let text: Vec<u8> = order.iter().flat_map(|&n| lines[n].iter().copied()).collect();
            prop_assert_eq!(scene.inspect(&text).flaws.is_empty(), text == scene.text);
        }
    }
}
