//! Does what a plan says: destroys what is due, ends grants that are over, and finishes what a crash
//! interrupted. The order is
//! in the module above.

use std::{fs, path::Path};

use jiff::Timestamp;

use super::{
    super::{
        BoxKey, VaultError,
        access::{self, MARKS, NOTES},
        audit::{AuditLog, DestroyReason, Event, Facts, entry_of},
        index,
        manifest::{self, Manifest},
        store::{
            GRANT_KEY, GRANTS, KEY, Locked, RecordingDir, at, destroy_file, lock_and_wait,
            lock_to_write, make_dirs, names_in, sync_dir,
        },
    },
    Action, Clock, Policy, RetentionError, Verdict, certificate, plan,
    survey::{GONE, Story, gone, manifest_bytes, stories, survey},
};
use crate::units::{PersonId, RecordingId};

/// What was done.
#[derive(Debug, Default)]
pub struct Applied {
    /// The plan that was followed.
    pub plan: Vec<Action>,
    /// Recordings whose keys are gone now and whose certificate was written.
    pub destroyed: Vec<RecordingId>,
    /// Recordings that had been destroyed before and whose files are gone again.
    pub returned: Vec<RecordingId>,
    /// Destructions that an earlier crash had interrupted.
    pub finished: Vec<RecordingId>,
    /// Recordings that are due and in use: they go with the next run.
    pub busy: Vec<RecordingId>,
    /// Grants that were over, or that nobody had given, and are gone.
    pub ended: Vec<(RecordingId, PersonId)>,
    /// Recordings that could not be destroyed.
    pub failed: Vec<(RecordingId, RetentionError)>,
}

/// Plans, and destroys what is due at the time that `clock` tells.
///
/// A recording that cannot be destroyed keeps no other from it.
pub fn apply(
    store: &Path,
    log: &AuditLog,
    key: &BoxKey,
    policy: &Policy,
    clock: &Clock,
) -> Result<Applied, RetentionError> {
    let work = Work { store, log, key, clock };
    let certificates = store.join(certificate::FOLDER);
    make_dirs(&certificates)?;
    // One run at a time: two would find each other's folders half gone.
    let _one = lock_and_wait(&certificates)?;
    let mut applied = Applied::default();
    let entries = log.entries()?;
    let mut all = stories(&entries);
    let recordings = store.join("recordings");
    for name in names_in(&recordings)? {
        let id = name.strip_prefix('.').and_then(|name| name.strip_suffix(GONE));
        let Some(id) = id.and_then(|id| id.parse::<RecordingId>().ok()) else { continue };
        let told = all.entry(id).or_default();
        match work.finish(id, told) {
            Ok(()) => applied.finished.push(id),
            Err(error) => applied.failed.push((id, error)),
        }
    }
    applied.plan = plan(&survey(store, &entries, key.public())?, policy, clock);
    for action in applied.plan.iter().filter(|action| action.verdict == Verdict::Destroy) {
        let id = action.recording;
        let told = all.entry(id).or_default();
        let again = told.certified;
        match work.destroy(action, told) {
            Ok(true) if again => applied.returned.push(id),
            Ok(true) => applied.destroyed.push(id),
            Ok(false) => applied.busy.push(id),
            Err(error) => applied.failed.push((id, error)),
        }
    }
    // Taking access away early is no harm, so any clock will do.
    applied.ended = access::tidy(store, &log.entries()?, log, clock.latest())?;
    Ok(applied)
}

struct Work<'a> {
    store: &'a Path,
    log: &'a AuditLog,
    key: &'a BoxKey,
    clock: &'a Clock,
}

impl Work<'_> {
    /// Destroys one recording; false where somebody has it locked.
    fn destroy(&self, action: &Action, told: &mut Story) -> Result<bool, RetentionError> {
        let id = action.recording;
        let recordings = self.store.join("recordings");
        let dir = RecordingDir(recordings.join(id.to_string()));
        let Locked::Held(_lock) = lock_to_write(&dir.0)? else { return Ok(false) };
        if told.destroyed.is_none() {
            let facts = facts(&dir, self.key)?;
            self.order(id, action.destroy_reason(), action.deadline.at, facts, told)?;
        } else if told.certified {
            let key = !keys_in(&dir)?.is_empty();
            self.log.append(self.clock.now, &Event::Returned { recording: id, key }).map(drop)?;
        }
        // Else a crash came between the line and what follows.
        let away = gone(&recordings, id);
        fs::rename(&dir.0, &away).map_err(at(&away))?;
        sync_dir(&recordings)?;
        self.finish(id, told)?;
        Ok(true)
    }

    /// Writes the line that says that a recording is destroyed from here on.
    fn order(
        &self,
        recording: RecordingId,
        reason: DestroyReason,
        deadline: Timestamp,
        facts: Facts,
        told: &mut Story,
    ) -> Result<(), RetentionError> {
        let event = Event::Destroyed { recording, reason, deadline, facts };
        let written = self.log.append(self.clock.now, &event)?;
        told.destroyed = entry_of(&written.text);
        Ok(())
    }

    /// Goes on from the renamed folder to the end.
    fn finish(&self, id: RecordingId, told: &mut Story) -> Result<(), RetentionError> {
        let recordings = self.store.join("recordings");
        let dir = RecordingDir(gone(&recordings, id));
        if told.destroyed.is_none() {
            // The log that ordered it is not there any more: it is ordered again.
            let facts = facts(&dir, self.key)?;
            let deadline = facts.delete_by.unwrap_or(self.clock.now);
            self.order(id, DestroyReason::NoDeadline, deadline, facts, told)?;
        }
        destroy_keys(&dir)?;
        if let (Some(ordered), false) = (&told.destroyed, told.certified) {
            let now = self.clock.now;
            let digest = certificate::write(self.store, ordered, self.log, self.key, now)?;
            let event = Event::Certified { recording: id, certificate: digest };
            self.log.append(now, &event).map(drop)?;
            told.certified = true;
        }
        index::forget(self.store, id);
        fs::remove_dir_all(&dir.0).map_err(at(&dir.0))?;
        sync_dir(&recordings)?;
        Ok(())
    }
}

/// What a recording is, as far as it can still be read.
fn facts(dir: &RecordingDir, key: &BoxKey) -> Result<Facts, VaultError> {
    let grants = names_in(&dir.file(GRANTS))?;
    let grants = grants.iter().filter(|name| name.ends_with(GRANT_KEY)).count() as u64;
    let bytes = manifest_bytes(dir).unwrap_or_default();
    Ok(match manifest::newest(dir, key.public()) {
        Ok(found) => {
            // A recording that was cut off lists its segments in the journal only.
            let manifest: &Manifest = &found.manifest;
            Facts::of(manifest, &bytes, grants)
        }
        Err(_) => Facts { grants, ..Facts::default() },
    })
}

/// Everything in a recording's folder that can hold a key: files whose name begins as the key's
/// does, part files among them, and all in `grants/`. Notes and marks go with them: notes are not
/// under the recording's key, and marks need not be under it alone.
fn keys_in(dir: &RecordingDir) -> Result<Vec<std::path::PathBuf>, VaultError> {
    let own = names_in(&dir.0)?.into_iter().filter(|name| name.starts_with(KEY));
    let mut keys: Vec<_> = own.map(|name| dir.file(&name)).collect();
    for folder in [GRANTS, NOTES, MARKS].map(|name| dir.file(name)) {
        if fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_dir()) {
            keys.extend(names_in(&folder)?.into_iter().map(|name| folder.join(name)));
        }
    }
    Ok(keys)
}

/// Overwrites and removes all keys, durably.
fn destroy_keys(dir: &RecordingDir) -> Result<(), VaultError> {
    for path in keys_in(dir)? {
        destroy_file(&path)?;
    }
    for folder in [GRANTS, NOTES, MARKS].map(|name| dir.file(name)) {
        if fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_dir()) {
            sync_dir(&folder)?;
            fs::remove_dir(&folder).map_err(at(&folder))?;
        }
    }
    sync_dir(&dir.0)
}
