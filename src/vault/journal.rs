//! `segments.jsonl`: one line per segment and one per gap, each carrying the digest of the line before, so that
//! nothing can be left out, added or reordered.
//!
//! While a recording runs the lines are not signed; the manifest that is signed at its end carries
//! the digest of the last one.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
};

use serde::{Deserialize, Serialize};

use super::{
    Digest, Fault, FileDigest, VaultError,
    manifest::{Gap, JournalHead, Segment},
    store::{JOURNAL, RecordingDir, at, read_at_most, segment_name},
};
use crate::units::RecordingId;

/// As large as a manifest may be.
const JOURNAL_LIMIT: u64 = 256 << 20;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    previous: Digest,
    /// Either this ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment: Option<Segment>,
    /// ... or this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gap: Option<Gap>,
}

impl Line {
    fn new(previous: Digest, entry: Entry) -> Self {
        let (segment, gap) = match entry {
            Entry::Segment(segment) => (Some(segment), None),
            Entry::Gap(gap) => (None, Some(gap)),
        };
        Self { previous, segment, gap }
    }

    /// None where it says nothing, or two things.
    fn entry(self) -> Option<Entry> {
        match (self.segment, self.gap) {
            (Some(segment), None) => Some(Entry::Segment(segment)),
            (None, Some(gap)) => Some(Entry::Gap(gap)),
            _ => None,
        }
    }
}

/// What a line says.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// A segment was written.
    Segment(Segment),
    /// Nothing is kept of a stretch; what the line removes counts as never written.
    Gap(Gap),
}

/// The digest that the first line carries: it ties the journal to its recording and key.
fn start(recording: RecordingId, key: &FileDigest) -> JournalHead {
    let text = format!("classveil-journal/1\n{recording}\n{}\n", key.sha256);
    JournalHead { lines: 0, sha256: Digest::of(text.as_bytes()) }
}

/// The journal of a recording in progress.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    dir: RecordingDir,
    bytes: u64,
    head: JournalHead,
}

impl Journal {
    /// Makes an empty journal, durable once the caller syncs the folder.
    pub(super) fn create(
        dir: &RecordingDir,
        recording: RecordingId,
        key: &FileDigest,
    ) -> Result<Self, VaultError> {
        let path = dir.file(JOURNAL);
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(at(&path))?;
        file.sync_all().map_err(at(&path))?;
        Ok(Self { file, dir: dir.clone(), bytes: 0, head: start(recording, key) })
    }

    /// Follows the folder after it was renamed.
    pub(super) fn moved_to(&mut self, dir: &RecordingDir) {
        self.dir = dir.clone();
    }

    /// Opens the journal of a recording that was cut off and cuts away a last line that is not
    /// whole. Any other flaw is damage.
    pub(super) fn reopen(
        dir: &RecordingDir,
        recording: RecordingId,
        key: &FileDigest,
    ) -> Result<(Self, Vec<Segment>, Vec<Gap>), VaultError> {
        let path = dir.file(JOURNAL);
        let text = match read_at_most(&path, JOURNAL_LIMIT) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(VaultError::Damaged {
                    path: dir.0.clone(),
                    faults: vec![Fault::new(JOURNAL, "is missing")],
                });
            }
            Err(error) => return Err(at(&path)(error)),
        };
        let read = read_lines(&text, start(recording, key));
        if let Some(fault) = read.fault
            && !read.fault_is_last
        {
            return Err(VaultError::Damaged { path: dir.0.clone(), faults: vec![fault] });
        }
        let file = OpenOptions::new().append(true).open(&path).map_err(at(&path))?;
        if read.good_bytes < text.len() as u64 {
            file.set_len(read.good_bytes).and_then(|()| file.sync_all()).map_err(at(&path))?;
        }
        let journal = Self { file, dir: dir.clone(), bytes: read.good_bytes, head: read.head };
        Ok((journal, read.segments.into_iter().map(|(_, segment)| segment).collect(), read.gaps))
    }

    /// Adds a line, durably. After an error the file is as it was before, as far as the operating
    /// system lets it.
    pub(super) fn append(&mut self, entry: Entry) -> Result<(), VaultError> {
        let path = self.dir.file(JOURNAL);
        let line = Line::new(self.head.sha256, entry);
        let mut text = serde_json::to_vec(&line).map_err(|error| at(&path)(error.into()))?;
        let sha256 = Digest::of(&text);
        text.push(b'\n');
        if let Err(error) = self.file.write_all(&text).and_then(|()| self.file.sync_data()) {
            // Recovery would cut a torn line away as well; this only spares it the work.
            let _ = self.file.set_len(self.bytes);
            return Err(at(&path)(error));
        }
        self.bytes += text.len() as u64;
        self.head = JournalHead { lines: self.head.lines + 1, sha256 };
        Ok(())
    }

    pub(super) fn head(&self) -> JournalHead {
        self.head
    }
}

struct Lines {
    /// Those that no later line removes, each with the number of its line.
    segments: Vec<(u64, Segment)>,
    gaps: Vec<Gap>,
    head: JournalHead,
    /// Length of the good lines.
    good_bytes: u64,
    fault: Option<Fault>,
    /// Nothing comes after the line at fault, so a crash may have torn it.
    fault_is_last: bool,
}

fn read_lines(text: &[u8], start: JournalHead) -> Lines {
    let mut lines = Lines {
        segments: Vec::new(),
        gaps: Vec::new(),
        head: start,
        good_bytes: 0,
        fault: None,
        fault_is_last: false,
    };
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == b'\n');
        let (line, after) = end.map_or((rest, &[][..]), |end| (&rest[..end], &rest[end + 1..]));
        let next = lines.head.lines + 1;
        let parsed = serde_json::from_slice::<Line>(line);
        let problem = match &parsed {
            _ if end.is_none() => Some("is cut short".to_owned()),
            Err(_) => Some("cannot be read".to_owned()),
            Ok(line) if line.previous != lines.head.sha256 => Some(format!(
                "({}) does not follow the line before it: lines were altered, left out or reordered",
                match (&line.segment, &line.gap) {
                    (Some(segment), _) => segment_name(&segment.camera, segment.number),
                    (None, Some(gap)) => format!("a gap of {}", gap.camera),
                    (None, None) => "it says nothing".to_owned(),
                }
            )),
            // Only the one spelling that `append` writes.
            Ok(parsed) if serde_json::to_vec(parsed).ok().as_deref() != Some(line) => {
                Some("was altered".to_owned())
            }
            Ok(_) => None,
        };
        let entry = parsed.ok().and_then(Line::entry);
        match (problem, entry) {
            (None, Some(entry)) => {
                lines.head = JournalHead { lines: next, sha256: Digest::of(line) };
                match entry {
                    Entry::Segment(segment) => lines.segments.push((next, segment)),
                    Entry::Gap(gap) => {
                        lines.segments.retain(|(_, segment)| !gap.removes(segment));
                        lines.gaps.push(gap);
                    }
                }
                lines.good_bytes += line.len() as u64 + 1;
                rest = after;
            }
            (problem, _) => {
                let problem = problem.unwrap_or_else(|| "says nothing, or two things".to_owned());
                lines.fault = Some(Fault::new(JOURNAL, format!("line {next} {problem}")));
                lines.fault_is_last = after.is_empty();
                return lines;
            }
        }
    }
    lines
}

/// Checks the journal of a sealed recording against its manifest.
pub(super) fn check(
    dir: &RecordingDir,
    recording: RecordingId,
    key: &FileDigest,
    head: JournalHead,
    segments: &[Segment],
    gaps: &[Gap],
) -> Result<Vec<Fault>, VaultError> {
    let path = dir.file(JOURNAL);
    let text = match read_at_most(&path, JOURNAL_LIMIT) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(vec![Fault::new(JOURNAL, "is missing")]);
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Ok(vec![Fault::new(JOURNAL, error.to_string())]);
        }
        Err(error) => return Err(at(&path)(error)),
    };
    let lines = read_lines(&text, start(recording, key));
    let mut faults: Vec<Fault> = lines.fault.into_iter().collect();
    if faults.is_empty() {
        let mut both = lines.segments.iter().zip(segments);
        let differs = both.find(|((_, written), listed)| written != *listed);
        if let Some(((line, _), segment)) = differs {
            let name = segment_name(&segment.camera, segment.number);
            let problem = format!("line {line} differs from the manifest's {name}");
            faults.push(Fault::new(JOURNAL, problem));
        } else if lines.gaps != gaps {
            faults.push(Fault::new(JOURNAL, "states other gaps than the manifest"));
        } else if lines.segments.len() != segments.len() || lines.head != head {
            let problem =
                format!("has {} lines where the manifest says {}", lines.head.lines, head.lines);
            faults.push(Fault::new(JOURNAL, problem));
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::manifest::GapWhy, *};
    use crate::units::{CameraId, Pts};

    fn segment(number: u32) -> Segment {
        Segment {
            camera: CameraId::first(),
            number,
            start_ns: Some(Pts::from_nanos(u64::from(number) * 6)),
            end_ns: Some(Pts::from_nanos(u64::from(number) * 6 + 6)),
            frames: Some(72),
            video: FileDigest::of(b"video"),
            tracks: FileDigest::of(b"tracks"),
        }
    }

    struct Scene {
        _keep: tempfile::TempDir,
        dir: RecordingDir,
        id: RecordingId,
        key: FileDigest,
        head: JournalHead,
        text: Vec<u8>,
    }

    fn scene(lines: u32) -> Scene {
        let keep = tempfile::tempdir().unwrap();
        let dir = RecordingDir(keep.path().to_owned());
        let id = RecordingId::new(jiff::Timestamp::UNIX_EPOCH);
        let key = FileDigest::of(b"key");
        let mut journal = Journal::create(&dir, id, &key).unwrap();
        for number in 1..=lines {
            journal.append(Entry::Segment(segment(number))).unwrap();
        }
        let text = fs::read(dir.file(JOURNAL)).unwrap();
        Scene { dir, id, key, head: journal.head(), text, _keep: keep }
    }

    impl Scene {
        fn check(&self, text: &[u8]) -> Vec<Fault> {
            fs::write(self.dir.file(JOURNAL), text).unwrap();
            let segments: Vec<_> = (1..=3).map(segment).collect();
            check(&self.dir, self.id, &self.key, self.head, &segments, &[]).unwrap()
        }
    }

    #[test]
    fn every_bit_and_every_line_counts() {
        let scene = scene(3);
        assert!(scene.check(&scene.text).is_empty());
        for at in 0..scene.text.len() {
            let mut altered = scene.text.clone();
            altered[at] ^= 1;
            assert!(!scene.check(&altered).is_empty(), "byte {at}");
            assert!(!scene.check(&scene.text[..at]).is_empty(), "cut at {at}");
        }
        let lines: Vec<&[u8]> = scene.text.split_inclusive(|&byte| byte == b'\n').collect();
        let faults = scene.check(&[lines[0], lines[2], lines[1]].concat());
        assert!(faults[0].problem.contains("cam1/000003"), "{faults:?}");
        assert!(!scene.check(&[lines[0], lines[1]].concat()).is_empty());
        assert!(!scene.check(&[lines[0], lines[1], lines[2], lines[2]].concat()).is_empty());
    }

    #[test]
    fn a_gap_takes_its_segments_with_it_and_counts_as_they_do() {
        let scene = scene(3);
        let (mut journal, ..) = Journal::reopen(&scene.dir, scene.id, &scene.key).unwrap();
        let gap = Gap {
            camera: CameraId::first(),
            from_ns: Pts::from_nanos(12),
            to_ns: Pts::from_nanos(30),
            why: GapWhy::Dropped,
            removed: vec![2, 3],
        };
        journal.append(Entry::Gap(gap.clone())).unwrap();
        journal.append(Entry::Segment(segment(4))).unwrap();
        let head = journal.head();
        let check = |segments: &[Segment], gaps: &[Gap]| {
            check(&scene.dir, scene.id, &scene.key, head, segments, gaps).unwrap()
        };
        let left = [segment(1), segment(4)];
        assert_eq!(check(&left, std::slice::from_ref(&gap)), []);
        // A gap that is kept quiet, one that is made up, and a segment that was to be gone.
        assert!(!check(&left, &[]).is_empty());
        assert!(!check(&left, &[gap.clone(), gap.clone()]).is_empty());
        assert!(!check(&left, &[Gap { removed: vec![2], ..gap.clone() }]).is_empty());
        assert!(
            !check(&[segment(1), segment(3), segment(4)], std::slice::from_ref(&gap)).is_empty()
        );
        let (_, segments, gaps) = Journal::reopen(&scene.dir, scene.id, &scene.key).unwrap();
        assert_eq!((&segments[..], &gaps[..]), (&left[..], &[gap][..]));
        let text = fs::read(scene.dir.file(JOURNAL)).unwrap();
        for at in scene.text.len()..text.len() {
            let mut altered = text.clone();
            altered[at] ^= 1;
            fs::write(scene.dir.file(JOURNAL), &altered).unwrap();
            assert!(!check(&left, &gaps).is_empty(), "byte {at}");
        }
    }

    #[test]
    fn a_torn_last_line_is_cut_away_and_nothing_else() {
        let whole = scene(3);
        let last = scene(2).text.len();
        for cut in last..whole.text.len() {
            let scene = scene(3);
            // The id differs between scenes, so only lengths are shared.
            fs::write(scene.dir.file(JOURNAL), &scene.text[..cut]).unwrap();
            let (mut journal, segments, _) =
                Journal::reopen(&scene.dir, scene.id, &scene.key).unwrap();
            assert_eq!(segments.len(), 2, "cut at {cut}");
            journal.append(Entry::Segment(segment(3))).unwrap();
            assert_eq!(fs::read(scene.dir.file(JOURNAL)).unwrap(), scene.text);
        }
        let mut altered = whole.text.clone();
        altered[20] ^= 1;
        fs::write(whole.dir.file(JOURNAL), &altered).unwrap();
        assert!(matches!(
            Journal::reopen(&whole.dir, whole.id, &whole.key),
            Err(VaultError::Damaged { .. })
        ));
    }
}
