//! Completes what a crash or a power cut left unfinished.
//!
//! Part files go, a torn last line of the journal goes, segments that have a name but no line are
//! listed, and the manifest is signed with state [`State::Interrupted`]. Doing it twice changes
//! nothing. Does not belong: judging damage, which is refused here and reported by [`super::check()`].

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Digest, Fault, FileDigest, VaultError,
    journal::Journal,
    keys::BoxKey,
    manifest::{JournalHead, Manifest, Segment, State, newest},
    store::{
        CameraFile, DETAILS, KEY, Locked, MANIFEST, PART, RecordingDir, STAGING, Store, at,
        lock_to_write, names_in, open_regular, segment_name, sync_dir, tracks_name,
    },
    writer::files_of,
};
use crate::units::RecordingId;

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

/// Completes all recordings of a store that were cut off before `now`.
///
/// A recording that cannot be completed does not keep the others from it.
pub fn recover(store: &Path, key: &BoxKey, now: Timestamp) -> Result<Recovery, VaultError> {
    let store = Store::existing(store, key)?;
    let mut recovery = Recovery::default();
    if !store.recordings().is_dir() {
        return Ok(recovery);
    }
    remove_unborn(&store, &mut recovery)?;
    for name in names_in(&store.recordings())? {
        let Ok(id) = name.parse::<RecordingId>() else { continue };
        let dir = store.recording(id);
        match one(&dir, id, key, now) {
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
    dir: &RecordingDir,
    id: RecordingId,
    key: &BoxKey,
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
            may_miss: Duration::ZERO,
            manifest: digest_of(dir, MANIFEST)?.sha256,
        }));
    }
    for (name, listed) in [(KEY, manifest.key), (DETAILS, manifest.details)] {
        expect(dir, name, listed)?;
    }
    let settled = settle(dir, &manifest, None)?;
    let may_miss =
        Duration::from_millis(manifest.segment_ms.saturating_add(manifest.look_ahead_ms));
    manifest.state = State::Interrupted;
    manifest.recovered = Some(now);
    manifest.may_miss_ms = Some(u64::try_from(may_miss.as_millis()).unwrap_or(u64::MAX));
    manifest.segments = settled.segments;
    manifest.journal = settled.head;
    let signed = manifest.publish(dir, key)?;
    Ok(Found::Recovered(Recovered {
        id,
        path: dir.0.clone(),
        segments: manifest.segments.len(),
        listed: settled.listed,
        may_miss,
        manifest: signed,
    }))
}

/// A recording's segments after [`settle`].
pub(super) struct Settled {
    pub(super) segments: Vec<Segment>,
    pub(super) head: JournalHead,
    /// How many had no line.
    listed: usize,
}

/// Brings the files of an unsealed recording and its journal into agreement. `pending` is what is
/// known of a segment that may have been cut off.
pub(super) fn settle(
    dir: &RecordingDir,
    manifest: &Manifest,
    pending: Option<&Segment>,
) -> Result<Settled, VaultError> {
    let (mut journal, mut segments) = Journal::reopen(dir, manifest.recording, &manifest.key)?;
    for (name, listed) in segments.iter().flat_map(files_of) {
        expect(dir, &name, listed)?;
    }
    let mut listed = 0;
    for camera in &manifest.cameras {
        let folder = dir.camera(camera);
        remove_parts(&folder)?;
        let of_camera = segments.iter().filter(|segment| segment.camera == *camera);
        let mut next = of_camera.map(|segment| segment.number).max().unwrap_or(0) + 1;
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
            journal.append(&segment)?;
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
    Ok(Settled { segments, head: journal.head(), listed })
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
