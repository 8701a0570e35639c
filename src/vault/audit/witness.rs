//! Checkpoints on their way to witnesses: a folder that somebody else has an eye on gets the newest one
//! whenever something has happened that nobody must be able to take back.
//!
//! Belongs here: when there is one to hand out, and how it is put there. Does not belong: making
//! checkpoints (`log`), and checking a log against them (`inspect`).

use std::{
    fs,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};

use super::{
    super::store::{PartFile, at, names_in, sync_dir},
    AuditError, AuditLog, AuditPublicKey, Checkpoint, Event, Flaw,
};

/// How the name of a checkpoint in a folder ends.
pub const CHECKPOINT_FILE: &str = ".checkpoint";
/// Where nothing else asks for one, there is one in so much time.
const AT_LEAST: SignedDuration = SignedDuration::from_hours(24);
/// A folder that cannot be written to, such as one that is not mounted, is tried again after so long.
const AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// Hands out checkpoints of one log to one folder.
#[derive(Debug)]
pub struct Witness {
    folder: PathBuf,
    /// Length of the log that was looked at last.
    looked: u64,
    /// Lines of the newest checkpoint that is there, and when it came there.
    newest: Option<(u64, Timestamp)>,
    /// Since when it does not go.
    failed: Option<Timestamp>,
}

impl Witness {
    /// Hands out to `folder`, which has to exist: a place that is not mounted must not be made up.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder, looked: 0, newest: None, failed: None }
    }

    /// Puts the newest checkpoint of `log` into the folder where there is reason to, and says where.
    /// To be asked often: as long as nothing happens it costs a look at the log's length.
    pub fn round(&mut self, log: &AuditLog, now: Timestamp) -> Result<Option<PathBuf>, AuditError> {
        let waits = |since: Timestamp| since <= now && now.duration_since(since) < AGAIN;
        if self.failed.is_some_and(waits) {
            return Ok(None);
        }
        let result = self.hand_out(log, now);
        self.failed = result.is_err().then_some(now);
        result
    }

    fn hand_out(&mut self, log: &AuditLog, now: Timestamp) -> Result<Option<PathBuf>, AuditError> {
        let length = log.length()?;
        let is_old = |newest: Option<(u64, Timestamp)>| {
            newest.is_none_or(|(_, since)| now < since || now.duration_since(since) >= AT_LEAST)
        };
        if length == self.looked && !is_old(self.newest) {
            return Ok(None);
        }
        let checkpoint = log.checkpoint_on_disk()?;
        if self.newest.is_none() {
            self.compare(log)?;
        }
        if self.newest.is_some_and(|(lines, _)| lines >= checkpoint.size) {
            // Nothing was added: the one that is there says it all.
            self.newest = Some((checkpoint.size, now));
            self.looked = length;
            return Ok(None);
        }
        let from = self.newest.map_or(0, |(lines, _)| lines);
        let new = log.known()?;
        let mut new = new.iter().filter(|entry| entry.line > from);
        let matters = new.any(|entry| entry.event.as_ref().is_some_and(is_final));
        if !matters && !is_old(self.newest) {
            self.looked = length;
            return Ok(None);
        }
        let path = put(&self.folder, &checkpoint, &log.public())?;
        self.newest = Some((checkpoint.size, now));
        self.looked = length;
        Ok(Some(path))
    }
}

impl Witness {
    /// At the start of the box: what was handed out before has to fit the log, or the log was set back or
    /// written anew.
    fn compare(&self, log: &AuditLog) -> Result<(), AuditError> {
        let own = prefix(&log.public());
        let names = names_in(&self.folder)?;
        let mut kept = names.iter().filter(|name| name.starts_with(&own));
        // The one of most lines stands for all before it, and comes last by its name.
        let Some(last) = kept.rfind(|name| name.ends_with(CHECKPOINT_FILE)) else {
            return Ok(());
        };
        let checkpoint = log.kept_checkpoint(&self.folder.join(last))?;
        if log.has(&checkpoint) {
            return Ok(());
        }
        let problem = format!(
            "is not the log for which the witness has {last}: it was set back or rewritten"
        );
        let flaws = vec![Flaw::of_file(problem)];
        Err(AuditError::Damaged { path: self.folder.clone(), flaws })
    }
}

/// How the names of checkpoints of one log begin.
fn prefix(log: &AuditPublicKey) -> String {
    format!("{}-", log.origin().rsplit('/').next().unwrap_or_default())
}

/// What somebody could want to take back.
const fn is_final(event: &Event) -> bool {
    matches!(
        event,
        Event::Sealed { .. }
            | Event::Recovered { .. }
            | Event::Adopted { .. }
            | Event::Dropped { .. }
            | Event::Certified { .. }
            | Event::ListLoaded { .. }
            | Event::Granted { .. }
            | Event::Revoked { .. }
            | Event::Held { .. }
            | Event::Released { .. }
            | Event::Requested { .. }
            | Event::Answered { .. }
    )
}

/// Adds a checkpoint to `folder`. One of as many lines that is there stays: what was handed out is
/// never replaced.
fn put(
    folder: &Path,
    checkpoint: &Checkpoint,
    log: &AuditPublicKey,
) -> Result<PathBuf, AuditError> {
    let name = format!("{}{:09}{CHECKPOINT_FILE}", prefix(log), checkpoint.size);
    let path = folder.join(name);
    if fs::symlink_metadata(&path).is_ok() {
        return Ok(path);
    }
    PartFile::write(&path, checkpoint.note.as_bytes())?.publish()?;
    sync_dir(folder)?;
    Ok(path)
}

/// The checkpoints that `path` stands for: itself, or all in a folder.
pub fn checkpoints_in(path: &Path) -> Result<Vec<PathBuf>, AuditError> {
    if !fs::metadata(path).map_err(at(path))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let names = names_in(path)?.into_iter().filter(|name| name.ends_with(CHECKPOINT_FILE));
    let all: Vec<PathBuf> = names.map(|name| path.join(name)).collect();
    if all.is_empty() {
        let problem = "is a folder without a checkpoint";
        return Err(AuditError::BadCheckpoint { path: path.to_owned(), problem });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        units::RecordingId,
        vault::{
            BoxKey, Digest,
            audit::{AuditKey, AuditTrust, check_log},
        },
    };

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    struct Scene {
        keep: tempfile::TempDir,
        log: AuditLog,
        witness: Witness,
    }

    impl Scene {
        fn new() -> Self {
            let keep = tempfile::tempdir().unwrap();
            let store = keep.path().join("store");
            let key = BoxKey::load_or_create(&keep.path().join("box.key"), &store).unwrap();
            let audit = AuditKey::load_or_create(&keep.path().join("audit.key"), &store).unwrap();
            let log = AuditLog::open(&store, audit, key.public(), time(0)).unwrap();
            let witness = Witness::new(keep.path().join("witness"));
            Self { keep, log, witness }
        }

        fn round(&mut self, second: i64) -> Option<PathBuf> {
            self.witness.round(&self.log, time(second)).unwrap()
        }

        fn changed(&self, second: i64) {
            let event = Event::ConfigurationChanged { sha256: Digest::of(&second.to_be_bytes()) };
            let _ = self.log.append(time(second), &event).unwrap();
        }

        fn sealed(&self, second: i64) {
            let manifest = Digest::of(b"manifest");
            let recording = RecordingId::new(time(second));
            let event = Event::Recovered { recording, manifest, segments: 1 };
            let _ = self.log.append(time(second), &event).unwrap();
        }
    }

    #[test]
    fn there_is_one_after_each_recording_and_each_day() {
        let mut scene = Scene::new();
        assert!(scene.witness.round(&scene.log, time(1)).is_err(), "no folder is made up");
        fs::create_dir(scene.keep.path().join("witness")).unwrap();
        assert_eq!(scene.round(2), None, "not at once again");
        let first = scene.round(302).unwrap();
        assert!(first.to_str().unwrap().ends_with("-000000001.checkpoint"), "{first:?}");
        assert_eq!(scene.round(363), None);
        scene.changed(364);
        assert_eq!(scene.round(365), None, "nothing that anybody would take back");
        scene.sealed(366);
        assert!(scene.round(367).unwrap().to_str().unwrap().ends_with("-000000003.checkpoint"));
        scene.changed(368);
        assert_eq!(scene.round(369), None);
        assert!(scene.round(370 + 86_400).is_some());
        assert_eq!(scene.round(371 + 2 * 86_400), None, "nothing was added");
        // A start of the box: what is there is not written again.
        let before = fs::read(&first).unwrap();
        scene.witness = Witness::new(scene.keep.path().join("witness"));
        scene.sealed(80);
        let _ = scene.round(81).unwrap();
        assert_eq!(fs::read(&first).unwrap(), before);
        let folder = scene.keep.path().join("witness");
        let kept = checkpoints_in(&folder).unwrap();
        assert_eq!(kept.len(), 4);
        let store = scene.keep.path().join("store");
        assert!(check_log(&store, &AuditTrust::Unpinned, &kept).unwrap().flaws.is_empty());
        assert!(checkpoints_in(&store).is_err());

        // A copy of store from before the last recordings, put in its place, shows.
        let cut = |name: &str, from: &Path| fs::copy(from, store.join("audit").join(name)).unwrap();
        let text = fs::read_to_string(store.join("audit/log.jsonl")).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').take(3).collect();
        fs::write(store.join("audit/log.jsonl"), lines.concat()).unwrap();
        cut("checkpoint", &kept[1]);
        assert!(check_log(&store, &AuditTrust::Unpinned, &[]).unwrap().flaws.is_empty());
        assert!(!check_log(&store, &AuditTrust::Unpinned, &kept).unwrap().flaws.is_empty());
        // The box notices at its next start, and hands out nothing more.
        let key = BoxKey::load(&scene.keep.path().join("box.key")).unwrap();
        let audit = AuditKey::load(&scene.keep.path().join("audit.key")).unwrap();
        scene.log = AuditLog::open(&store, audit, key.public(), time(500)).unwrap();
        scene.witness = Witness::new(folder.clone());
        let error = scene.witness.round(&scene.log, time(501)).unwrap_err();
        assert!(error.to_string().contains("set back"), "{error}");
        assert_eq!(checkpoints_in(&folder).unwrap(), kept);
    }
}
