//! What moves an end earlier, and what postpones it: the closed talk, and holds.
//!
//! The log is the register: a deadline or hold counts from the moment its line is on disk.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        BoxKey, Digest,
        access::{Act, Roles},
        audit::{AuditLog, Entry, Event},
        manifest::{self, State},
        sign::{Signed, Statement},
        store::{Locked, RecordingDir, lock_to_write},
    },
    Policy, RetentionError,
    plan::{HOLD_LIMIT, later},
    survey::{Story, stories},
};
use crate::units::{PersonId, RecordingId};

/// A hold that is asked for.
#[derive(Clone, Debug)]
pub struct NewHold {
    /// The recording.
    pub recording: RecordingId,
    /// Who is recorded and asks for it.
    pub requested_by: PersonId,
    /// The privacy officer who approves it.
    pub approved_by: PersonId,
    /// How long from now.
    pub length: Duration,
    /// Digest of the reason, whose text stays with the privacy officer.
    pub reason: Digest,
}

/// The recording's folder and what the log says about it, unless it is destroyed or unknown.
fn living(
    store: &Path,
    log: &AuditLog,
    id: RecordingId,
) -> Result<(RecordingDir, Story), RetentionError> {
    let told = stories(&log.entries()?).remove(&id).unwrap_or_default();
    if let Some(line) = &told.destroyed {
        return Err(RetentionError::Destroyed { recording: id, line: line.line });
    }
    let dir = RecordingDir(store.join("recordings").join(id.to_string()));
    if dir.0.is_dir() {
        Ok((dir, told))
    } else {
        Err(RetentionError::NoRecording { recording: id })
    }
}

/// The present, not before what the log knows.
fn latest(log: &AuditLog, now: Timestamp) -> Timestamp {
    log.highest().map_or(now, |highest| highest.max(now))
}

/// Who asked for the holds on a recording that last at `now`.
fn asked_by(entries: &[Entry], recording: RecordingId, now: Timestamp) -> Vec<PersonId> {
    let mut asked = Vec::new();
    for event in entries.iter().filter_map(|entry| entry.event.as_ref()) {
        match event {
            Event::Held { recording: of, requested_by, until, .. }
                if *of == recording && *until > now =>
            {
                asked.push(requested_by.clone());
            }
            Event::Released { recording: of, .. } if *of == recording => asked.clear(),
            _ => {}
        }
    }
    asked
}

/// Places a hold; returns until when it lasts. From now on nobody gets the recording, and it is not
/// destroyed. By `roles` a person who was recorded asks for it, and the privacy officer approves it.
pub fn hold(
    store: &Path,
    log: &AuditLog,
    roles: &Roles,
    new: &NewHold,
    now: Timestamp,
) -> Result<Timestamp, RetentionError> {
    let NewHold { recording, requested_by, approved_by, length, reason } = new;
    let recording = *recording;
    let refuse = |problem| Err(RetentionError::BadHold { recording, problem });
    if requested_by == approved_by {
        return refuse("who asks for it cannot approve it");
    }
    roles.may(requested_by, &Act::AskForHold)?;
    roles.may(approved_by, &Act::ApproveHold)?;
    if length.is_zero() || *length > HOLD_LIMIT {
        return refuse("it lasts up to 90 days at a time");
    }
    living(store, log, recording)?;
    let until = later(latest(log, now), *length);
    let event = Event::Held {
        recording,
        requested_by: requested_by.clone(),
        approved_by: approved_by.clone(),
        until,
        reason: *reason,
    };
    log.append(now, &event).map(drop)?;
    Ok(until)
}

/// Ends every hold on a recording. One whose deadline is over goes with the next plan. By `roles` the
/// privacy officer does so, or who asked for the hold.
pub fn release(
    store: &Path,
    log: &AuditLog,
    roles: &Roles,
    recording: RecordingId,
    by: &PersonId,
    now: Timestamp,
) -> Result<(), RetentionError> {
    let (_, told) = living(store, log, recording)?;
    let asked_by = asked_by(&log.entries()?, recording, latest(log, now));
    // All holds end: who asked for one of several does not end the others'.
    let own = asked_by.iter().all(|one| one == by);
    roles.may(by, &Act::Release { asked_by: if own { &asked_by } else { &[] } })?;
    if told.holds.iter().all(|hold| hold.until <= latest(log, now)) {
        return Err(RetentionError::BadHold { recording, problem: "there is none to release" });
    }
    log.append(now, &Event::Released { recording, by: by.clone() }).map(drop)?;
    Ok(())
}

/// What teacher or coach says when the talk about a recording is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TalkOver {
    /// The recording.
    pub recording: RecordingId,
    /// When it was signed.
    pub at: Timestamp,
    /// Who says so.
    pub by: PersonId,
}

impl Statement for TalkOver {
    const KIND: &'static str = "classveil-talk/1";

    fn by(&self) -> &PersonId {
        &self.by
    }
}

/// Closes the follow-up talk: sets the deadline that `policy` gives after it, if that is earlier,
/// and signs the manifest again. Returns the deadline that counts from now on. By `roles` the
/// recording's teacher or coach does so.
pub fn close_talk(
    at: (&Path, &AuditLog, &BoxKey),
    roles: &Roles,
    recording: RecordingId,
    by: &PersonId,
    policy: &Policy,
    now: Timestamp,
) -> Result<Timestamp, RetentionError> {
    close(at, roles, (recording, by, None), policy, now)
}

/// The same by the word of who signed it, with a key that the recording names as theirs.
pub fn close_talk_signed(
    at: (&Path, &AuditLog, &BoxKey),
    roles: &Roles,
    statement: &Signed<TalkOver>,
    policy: &Policy,
    now: Timestamp,
) -> Result<Timestamp, RetentionError> {
    let TalkOver { recording, by, .. } = statement.claim();
    close(at, roles, (*recording, by, Some(statement)), policy, now)
}

/// Most bytes of a statement that a talk is over, which goes into the log as it is.
const BARE_MOST: usize = 1024;

/// Whether a statement is its kind, what it claims, an empty line and one signature: what else its maker signs
/// along, such as a name, is not for a log that only grows.
fn is_bare(note: &str) -> bool {
    let lines: Vec<&str> = note.split('\n').collect();
    note.len() <= BARE_MOST && lines.len() == 5 && lines[2].is_empty() && lines[4].is_empty()
}

fn close(
    (store, log, key): (&Path, &AuditLog, &BoxKey),
    roles: &Roles,
    (recording, by, statement): (RecordingId, &PersonId, Option<&Signed<TalkOver>>),
    policy: &Policy,
    now: Timestamp,
) -> Result<Timestamp, RetentionError> {
    let (dir, told) = living(store, log, recording)?;
    let Locked::Held(_lock) = lock_to_write(&dir.0)? else {
        return Err(RetentionError::InUse { recording });
    };
    let found = manifest::newest(&dir, key.public())?;
    let (teacher, coach) = (found.manifest.teacher.as_ref(), found.manifest.coach.as_ref());
    roles.may(by, &Act::CloseTalk { teacher, coach })?;
    if let Some(statement) = statement {
        let signed = statement.check(&found.manifest.signers);
        signed.map_err(|problem| RetentionError::BadTalk { recording, problem })?;
        if !is_bare(statement.note()) {
            let problem = "says more than who closes the talk";
            return Err(RetentionError::BadTalk { recording, problem });
        }
    }
    found.put_in_place(&dir)?;
    let mut manifest = found.manifest;
    if manifest.state == State::Recording {
        return Err(super::super::VaultError::Unsealed { path: dir.0 }.into());
    }
    // A clock that went back must not set a deadline that is over already.
    let after_talk = later(latest(log, now), policy.after_talk());
    let earlier = told.deadlines.iter().map(|deadline| deadline.at);
    let delete_by = earlier.fold(manifest.delete_by, Timestamp::min).min(after_talk);
    let statement = statement.map(|signed| signed.note().to_owned());
    let event = Event::TalkClosed { recording, by: by.clone(), delete_by, statement };
    log.append(now, &event).map(drop)?;
    manifest.delete_by = delete_by;
    manifest.talk_closed = Some(now);
    let _ = manifest.publish(&dir, key)?;
    Ok(delete_by)
}
