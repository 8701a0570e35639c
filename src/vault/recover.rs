//! Completes what a crash or a power cut left unfinished.
//!
//! Part files go, a torn last line of the journal goes, what the log says was dropped goes, segments
//! that have a name but no line are listed, and the manifest is signed with state
//! [`State::Interrupted`]. Doing it twice changes
//! nothing. Does not belong: judging damage, which is refused here and reported by [`super::check()`].

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Digest, Fault, FileDigest, VaultError,
    audit::{AuditTrust, Stretch, dropped},
    journal::{Entry, Journal},
    keys::BoxKey,
    manifest::{Gap, GapWhy, JournalHead, Manifest, Segment, State, newest, next_number},
    store::{
        CameraFile, DETAILS, KEY, Locked, MANIFEST, PART, RecordingDir, STAGING, Store, at,
        lock_to_write, names_in, open_regular, segment_name, sync_dir, tracks_name,
    },
    writer::files_of,
};
use crate::units::{Pts, RecordingId};

/// One recording that was completed.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Its id.
    pub id: RecordingId,
    /// Its folder.
    pub path: PathBuf,
    /// All its segments.
    pub segments: usize,
    /// Those among them that had no line in the journal yet.
    pub listed: usize,
    /// Stretches that somebody had dropped, and of which a crash had left something.
    pub dropped: usize,
    /// How much of the end may be lost: one segment and what waited for its decision. A disk that
    /// lagged behind the camera can have lost more.
    pub may_miss: Duration,
    /// Digest of the signed manifest.
    pub manifest: Digest,
}

/// What a recovery found.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Recordings that were sealed now.
    pub recovered: Vec<Recovered>,
    /// Folders that somebody is writing or reading.
    pub busy: Vec<PathBuf>,
    /// Recordings that cannot be completed.
    pub failed: Vec<(PathBuf, VaultError)>,
    /// Recordings that were complete.
    pub complete: usize,
}

/// As [`recover_by`], where the log was checked before: the key beside it counts.
pub fn recover(store: &Path, key: &BoxKey, now: Timestamp) -> Result<Recovery, VaultError> {
    recover_by(store, key, &AuditTrust::Unpinned, now)
}

/// Completes all recordings of a store that were cut off before `now`. What was dropped of them is what the
/// log says with a key that `trust` says.
///
/// A recording that cannot be completed does not keep the others from it.
pub fn recover_by(
    store: &Path,
    key: &BoxKey,
    trust: &AuditTrust,
    now: Timestamp,
) -> Result<Recovery, VaultError> {
    let store = Store::existing(store, key)?;
    let mut recovery = Recovery::default();
    if !store.recordings().is_dir() {
        return Ok(recovery);
    }
    remove_unborn(&store, &mut recovery)?;
    for name in names_in(&store.recordings())? {
        let Ok(id) = name.parse::<RecordingId>() else { continue };
        let dir = store.recording(id);
        match one(&store, &dir, id, (key, trust), now) {
            Ok(Found::Complete) => recovery.complete += 1,
            Ok(Found::Busy) => recovery.busy.push(dir.0),
            Ok(Found::Recovered(recovered)) => recovery.recovered.push(recovered),
            Err(error) => recovery.failed.push((dir.0, error)),
        }
    }
    Ok(recovery)
}

/// Removes folders that never became recordings, and part files of the store itself.
fn remove_unborn(store: &Store, recovery: &mut Recovery) -> Result<(), VaultError> {
    let dir = store.recordings();
    let _guard = store.lock()?;
    store.remove_parts()?;
    for name in names_in(&dir)? {
        if !(name.starts_with('.') && name.ends_with(STAGING)) {
            continue;
        }
        let path = dir.join(name);
        match lock_to_write(&path)? {
            Locked::Held(_lock) => fs::remove_dir_all(&path).map_err(at(&path))?,
            Locked::Busy => recovery.busy.push(path),
        }
    }
    sync_dir(&dir)
}

enum Found {
    Complete,
    Busy,
    Recovered(Recovered),
}

fn one(
    store: &Store,
    dir: &RecordingDir,
    id: RecordingId,
    (key, trust): (&BoxKey, &AuditTrust),
    now: Timestamp,
) -> Result<Found, VaultError> {
    let Locked::Held(_lock) = lock_to_write(&dir.0)? else { return Ok(Found::Busy) };
    let newest = newest(dir, key.public())?;
    let renamed = newest.put_in_place(dir)?;
    let mut manifest = newest.manifest;
    if manifest.recording != id {
        let fault = Fault::new("manifest.json", format!("is of recording {}", manifest.recording));
        return Err(VaultError::Damaged { path: dir.0.clone(), faults: vec![fault] });
    }
    remove_parts(&dir.0)?;
    if manifest.state != State::Recording {
        if !renamed {
            return Ok(Found::Complete);
        }
        // The end was written and only not yet named: nothing is missing.
        return Ok(Found::Recovered(Recovered {
            id,
            path: dir.0.clone(),
            segments: manifest.segments.len(),
            listed: 0,
            dropped: 0,
            may_miss: Duration::ZERO,
            manifest: digest_of(dir, MANIFEST)?.sha256,
        }));
    }
    for (name, listed) in [(KEY, manifest.key), (DETAILS, manifest.details)] {
        expect(dir, name, listed)?;
    }
    let settled = settle(dir, &manifest, None, &dropped(store.path(), id, trust)?)?;
    let may_miss =
        Duration::from_millis(manifest.segment_ms.saturating_add(manifest.look_ahead_ms));
    manifest.state = State::Interrupted;
    manifest.recovered = Some(now);
    manifest.may_miss_ms = Some(u64::try_from(may_miss.as_millis()).unwrap_or(u64::MAX));
    manifest.segments = settled.segments;
    manifest.gaps = settled.gaps;
    manifest.journal = settled.head;
    let signed = manifest.publish(dir, key)?;
    Ok(Found::Recovered(Recovered {
        id,
        path: dir.0.clone(),
        segments: manifest.segments.len(),
        listed: settled.listed,
        dropped: settled.dropped,
        may_miss,
        manifest: signed,
    }))
}

/// A recording's segments after [`settle`].
pub(super) struct Settled {
    pub(super) segments: Vec<Segment>,
    pub(super) gaps: Vec<Gap>,
    pub(super) head: JournalHead,
    /// How many had no line.
    listed: usize,
    /// How many stretches had no line.
    dropped: usize,
}

/// Brings the files of an unsealed recording and its journal into agreement. `pending` is what is
/// known of a segment that may have been cut off. Gaps of `manifest`, and stretches that were `dropped`
/// by the log, get their line if they have none, and what gaps removed is removed.
pub(super) fn settle(
    dir: &RecordingDir,
    manifest: &Manifest,
    pending: Option<&Segment>,
    dropped: &[Stretch],
) -> Result<Settled, VaultError> {
    let (mut journal, mut segments, mut gaps) =
        Journal::reopen(dir, manifest.recording, &manifest.key)?;
    for gap in &manifest.gaps {
        if !gaps.contains(gap) {
            journal.append(Entry::Gap(gap.clone()))?;
            segments.retain(|segment| !gap.removes(segment));
            gaps.push(gap.clone());
        }
    }
    let mut finished = 0;
    for stretch in dropped.iter().filter(|one| manifest.cameras.contains(&one.camera)) {
        if let Some(gap) = unstated(dir, stretch, &segments, &gaps) {
            journal.append(Entry::Gap(gap.clone()))?;
            segments.retain(|segment| !gap.removes(segment));
            gaps.push(gap);
            finished += 1;
        }
    }
    for gap in &gaps {
        remove_segments(dir, gap)?;
    }
    for (name, listed) in segments.iter().flat_map(files_of) {
        expect(dir, &name, listed)?;
    }
    let mut listed = 0;
    for camera in &manifest.cameras {
        let folder = dir.camera(camera);
        remove_parts(&folder)?;
        let mut next = next_number(camera, &segments, &gaps);
        while dir.segment(camera, next).exists() {
            let mut segment = Segment {
                camera: camera.clone(),
                number: next,
                start_ns: None,
                end_ns: None,
                frames: None,
                video: digest_of(dir, &segment_name(camera, next))?,
                tracks: digest_of(dir, &tracks_name(camera, next))?,
            };
            if let Some(pending) = pending
                && (pending.video, pending.tracks) == (segment.video, segment.tracks)
            {
                segment = pending.clone();
            }
            journal.append(Entry::Segment(segment.clone()))?;
            segments.push(segment);
            listed += 1;
            next += 1;
        }
        for name in names_in(&folder)? {
            match CameraFile::of(&name) {
                // Reasons of a segment that never came to be.
                CameraFile::Tracks(number) if number == next => {
                    let path = folder.join(name);
                    fs::remove_file(&path).map_err(at(&path))?;
                }
                CameraFile::Segment(number) | CameraFile::Tracks(number) if number >= next => {
                    let missing = segment_name(camera, next);
                    let problem = format!("is missing, but {camera}/{name} is there");
                    let faults = vec![Fault::new(missing, problem)];
                    return Err(VaultError::Damaged { path: dir.0.clone(), faults });
                }
                _ => {}
            }
        }
        sync_dir(&folder)?;
    }
    Ok(Settled { segments, gaps, head: journal.head(), listed, dropped: finished })
}

/// The gap that a dropped stretch leaves, where the journal does not state it yet: the crash came
/// after the line of the log and before the journal's, so nothing of that camera was written since.
fn unstated(
    dir: &RecordingDir,
    Stretch { camera, from, to }: &Stretch,
    segments: &[Segment],
    gaps: &[Gap],
) -> Option<Gap> {
    let states = |gap: &&Gap| {
        let of_it = gap.camera == *camera && gap.why == GapWhy::Dropped;
        of_it && gap.from_ns <= *from && gap.to_ns >= *to
    };
    if gaps.iter().any(|gap| states(&gap)) {
        return None;
    }
    let own = || segments.iter().filter(|segment| segment.camera == *camera);
    let goes = |segment: &&Segment| segment.end_ns.is_none_or(|end| end > *from);
    let mut removed: Vec<u32> = own().filter(goes).map(|segment| segment.number).collect();
    // One that has its name and no line: nobody knows how far it reaches.
    let mut unlisted = next_number(camera, segments, gaps);
    while dir.segment(camera, unlisted).exists() {
        removed.push(unlisted);
        unlisted += 1;
    }
    let last = own().filter(|segment| !goes(segment)).filter_map(|segment| segment.end_ns).max();
    let from_ns = last.unwrap_or(Pts::ZERO);
    let (camera, to_ns) = (camera.clone(), (*to).max(from_ns));
    Some(Gap { camera, from_ns, to_ns, why: GapWhy::Dropped, removed })
}

/// Removes the files of segments that a gap takes with it, durably. Those that are gone already are no
/// error.
pub(super) fn remove_segments(dir: &RecordingDir, gap: &Gap) -> Result<(), VaultError> {
    let mut result = Ok(());
    for number in &gap.removed {
        for name in [segment_name(&gap.camera, *number), tracks_name(&gap.camera, *number)] {
            let path = dir.file(&name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    // The others are removed all the same.
                    result = result.and(Err(at(&path)(error)));
                }
                _ => {}
            }
        }
    }
    result.and(sync_dir(&dir.camera(&gap.camera)))
}

fn remove_parts(folder: &Path) -> Result<(), VaultError> {
    for name in names_in(folder)? {
        if name.ends_with(PART) {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    Ok(())
}

fn digest_of(dir: &RecordingDir, name: &str) -> Result<FileDigest, VaultError> {
    let path = dir.file(name);
    open_regular(&path).and_then(FileDigest::of_reader).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => VaultError::Damaged {
            path: dir.0.clone(),
            faults: vec![Fault::new(name, "is missing")],
        },
        _ => at(&path)(error),
    })
}

fn expect(dir: &RecordingDir, name: &str, listed: FileDigest) -> Result<(), VaultError> {
    if digest_of(dir, name)? == listed {
        return Ok(());
    }
    let faults = vec![Fault::new(name, "was altered")];
    Err(VaultError::Damaged { path: dir.0.clone(), faults })
}
