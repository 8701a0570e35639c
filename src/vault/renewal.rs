//! The way out of a damaged log: a new one in its place, and what is in doubt is nobody's.
//!
//! Belongs here: what of a store the old log still proves. Does not belong: how one log takes the
//! other's place (`audit`), and what follows from doubt (`retention`).
//!
//! Every genuine line is carried on and counts as before. A destruction whose line is lost is known by
//! its certificate, so nothing destroyed comes back. What a lost line said nobody knows: it may have been a hold or
//! an objection, so whatever was recorded till now is withheld until the privacy officer clears it, while its
//! deadline stays. A register that is not exactly what the genuine lines name begins anew.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{
    BoxKey, Digest, Trust,
    access::{Act, Roles},
    audit::{AuditKey, AuditLog, Entry, Event, Flaw, Renewal, Salvage, Word},
    ledger::{self, Ledger},
    register::{Name, Register},
    retention::{
        self, CERTIFICATES, Clock, Life, Policy, RetentionError, Verdict, check_certificate, plan,
        survey,
    },
    store::{names_in, read_small},
};
use crate::units::{PersonId, RecordingId};

/// What became of a damaged log.
#[derive(Debug)]
pub struct Renewed {
    /// What the new one says of it.
    pub renewal: Renewal,
    /// What was wrong.
    pub flaws: Vec<Flaw>,
    /// Where it lies.
    pub aside: PathBuf,
    /// Registers that lie there as well and begin anew.
    pub registers: Vec<&'static str>,
    /// Recordings that nobody gets until they are cleared.
    pub in_doubt: Vec<RecordingId>,
    /// Those of them whose time is over, and that no line that is left holds.
    pub due: Vec<RecordingId>,
}

/// Puts a new log in the place of the damaged one of `store`. `kept` are checkpoints that somebody kept;
/// `by` does it, and `reason` is the digest of why; `policy` says what is due.
///
/// # Errors
/// [`Whole`](super::audit::AuditError::Whole) where nothing is wrong with the log,
/// [`ClockBehind`](super::audit::AuditError::ClockBehind) where `now` is before a line of it.
pub fn renew(
    store: &Path,
    (key, audit): (&BoxKey, &AuditKey),
    kept: &[PathBuf],
    (by, reason): (&PersonId, Digest),
    policy: &Policy,
    now: Timestamp,
) -> Result<Renewed, RetentionError> {
    let mut salvage = Salvage::of(store, audit, kept)?;
    let flaws = std::mem::take(&mut salvage.flaws);
    let (lines, mut more) = certified(store, key, &salvage.entries())?;
    for line in lines {
        salvage.add(line);
    }
    salvage.refuse_earlier(now)?;
    let entries = salvage.entries();
    let due = due(store, key, &entries, policy, now)?;
    let aside = salvage.aside(now)?;
    let folder = aside.folder.clone();
    let mut registers = Vec::new();
    for name in Name::ALL {
        let register = Register::new(store, name);
        if register.read(&entries).is_err() {
            register.files().iter().try_for_each(|file| aside.take(file))?;
            registers.push(name.file());
        }
    }
    for one in Ledger::ALL {
        if !ledger::is_vouched(store, one, &entries) {
            aside.take(&one.path(store))?;
            registers.push(one.file());
        }
    }
    more.extend(registers.iter().map(|&file| Event::SetAside { register: Word::new(file) }));
    let names = names_in(&store.join("recordings"))?;
    let in_doubt: Vec<RecordingId> = names.iter().filter_map(|name| name.parse().ok()).collect();
    let opened = |log, renewal| Event::Opened {
        key: log,
        box_key: key.public().id(),
        recordings: in_doubt.len() as u64,
        software: concat!("classveil ", env!("CARGO_PKG_VERSION")).to_owned(),
        renews: Some(Box::new(renewal)),
    };
    let renewal = salvage.replace(audit, &aside, now, (by, reason), opened, &more)?;
    Ok(Renewed { renewal, flaws, aside: folder, registers, in_doubt, due })
}

/// What is to be destroyed at once, by the lines that are left.
fn due(
    store: &Path,
    key: &BoxKey,
    entries: &[Entry],
    policy: &Policy,
    now: Timestamp,
) -> Result<Vec<RecordingId>, RetentionError> {
    let mut known = survey(store, entries, key.public())?;
    known.retain(|one| one.life == Life::Kept);
    let actions = plan(&known, policy, &Clock { now, trusted: true, highest: None });
    let due = actions.into_iter().filter(|action| action.verdict == Verdict::Destroy);
    Ok(due.map(|action| action.recording).collect())
}

/// What the certificates in the store prove and the genuine lines do not: lines that ordered destructions,
/// and that these were completed.
fn certified(
    store: &Path,
    key: &BoxKey,
    entries: &[Entry],
) -> Result<(Vec<String>, Vec<Event>), RetentionError> {
    let says = |what: fn(&Event) -> bool, id| {
        let mut of_it = entries.iter().filter_map(|entry| entry.event.as_ref());
        of_it.any(|event| event.recording() == Some(id) && what(event))
    };
    let trust = Trust::Pinned(key.public().clone());
    let folder = store.join(CERTIFICATES);
    let (mut lines, mut events) = (Vec::new(), Vec::new());
    for name in names_in(&folder)? {
        if name.strip_suffix(".json").is_none_or(|id| id.parse::<RecordingId>().is_err()) {
            continue;
        }
        let path = folder.join(name);
        // One that does not hold proves nothing.
        let Ok(checked) = check_certificate(&path, &trust, None) else { continue };
        let recording = checked.certificate.recording;
        if !says(|event| matches!(event, Event::Destroyed { .. }), recording) {
            lines.push(checked.certificate.line);
        }
        if !says(|event| matches!(event, Event::Certified { .. }), recording) {
            let certificate = Digest::of(&read_small(&path)?);
            events.push(Event::Certified { recording, certificate });
        }
    }
    Ok((lines, events))
}

fn is_there(store: &Path, recording: RecordingId) -> bool {
    store.join("recordings").join(recording.to_string()).is_dir()
}

/// Says that nothing is in doubt about recordings that a damaged log left in doubt. By `roles` the privacy
/// officer does so.
///
/// # Errors
/// Nobody may, or there is no doubt about one of them; then nothing is said of any.
pub fn clear(
    (store, log): (&Path, &AuditLog),
    roles: &Roles,
    recordings: &[RecordingId],
    by: &PersonId,
    now: Timestamp,
) -> Result<(), RetentionError> {
    roles.may(by, &Act::Clear)?;
    let doubtful = retention::in_doubt(&log.entries()?);
    if let Some(recording) = recordings.iter().find(|id| !doubtful(**id)) {
        return Err(RetentionError::NoDoubt { recording: *recording });
    }
    // Of what is not there nothing can be said: not of a mistyped name, and not before it comes.
    if let Some(id) = recordings.iter().find(|id| !is_there(store, **id)) {
        return Err(RetentionError::NoRecording { recording: *id });
    }
    for recording in recordings {
        let event = Event::Cleared { recording: *recording, by: by.clone() };
        log.append(now, &event).map(drop)?;
    }
    Ok(())
}
