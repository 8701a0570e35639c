//! Notes that were added to a recording at the request of somebody recorded: shown to whoever opens
//! it, signed by the box, sealed to who could open the recording when the note was added.
//!
//! # Files
//! ```text
//! notes/000003.age            the note of request 3, an age file
//! notes/000003.age.minisig    the box's signature over it
//! ```
//! They are destroyed together with the keys: a note is not under the recording's key, because the
//! box does not have it, so its own file is what has to go.

use std::{collections::BTreeSet, fs, path::Path};

use age::DecryptError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::sign::Signed;
use super::Grant;
use super::{
    super::{
        BoxKey, BoxPublicKey, Fault, Identities, Trust, VaultError,
        audit::{AuditLog, Entry, Event},
        encrypt_to, manifest,
        store::{
            GRANTS, Lock, PART, PartFile, RecordingDir, at, destroy_file, lock_and_wait, make_dirs,
            names_in, read_at_most, sync_dir,
        },
    },
    AccessError,
    grant::{STATEMENT, living},
    request::{Ask, Decision, Request},
};
use crate::units::{PersonId, RecordingId};

/// Folder of the notes in a recording.
pub(in super::super) const NOTES: &str = "notes";
const NOTE: &str = ".age";
const SIGNATURE: &str = ".age.minisig";
/// Some pages of text.
const LIMIT: u64 = 1 << 20;

/// A note that whoever opens the recording sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The request that it came with.
    pub request: u64,
    /// Whose note it is.
    pub by: PersonId,
    /// When it was added.
    pub added: Timestamp,
    /// What it says.
    pub text: String,
}

/// A note that is on disk and has no name yet.
pub(super) struct Pending {
    note: PartFile,
    signature: PartFile,
    folder: std::path::PathBuf,
    _locks: (Lock, Lock),
}

/// Seals a note and puts it on disk under part names.
pub(super) fn prepare(
    store: &Path,
    log: &AuditLog,
    key: &BoxKey,
    recording: RecordingId,
    request: &Request,
    text: &str,
    now: Timestamp,
) -> Result<Pending, AccessError> {
    let (dir, reading) = living(store, log, recording)?;
    let manifest = manifest::read(&dir, &Trust::Pinned(key.public().clone()))?;
    let mut recipients = manifest.recipients;
    for name in names_in(&dir.file(GRANTS))? {
        if name.ends_with(STATEMENT)
            && let Ok(signed) = Signed::<Grant>::load(&dir.file(GRANTS).join(&name))
        {
            let more = signed.claim().recipients.iter();
            recipients
                .extend(more.filter(|one| !recipients.contains(one)).cloned().collect::<Vec<_>>());
        }
    }
    let (by, text) = (request.by.clone(), text.to_owned());
    let note = Note { request: request.number, by, added: now, text };
    // A pseudonym, a number, a time and a text always have a JSON form.
    let json = serde_json::to_vec(&note).unwrap_or_default();
    let sealed = encrypt_to(&recipients, &json, "the note")?;
    let signature =
        key.sign(&sealed, &format!("classveil note {} of {recording}", note.request))?;
    let folder = dir.file(NOTES);
    make_dirs(&folder)?;
    let writing = lock_and_wait(&folder)?;
    let path = folder.join(format!("{:06}{NOTE}", note.request));
    let note = PartFile::write(&path, &sealed)?;
    let path = folder.join(format!("{:06}{SIGNATURE}", request.number));
    let signature = PartFile::write(&path, signature.as_bytes())?;
    sync_dir(&folder)?;
    Ok(Pending { note, signature, folder, _locks: (reading, writing) })
}

impl Pending {
    pub(super) fn publish(self) -> Result<(), VaultError> {
        // Announced: whichever of the two cannot get its name now stays, and gets it later.
        let signed = self.signature.publish_or_keep();
        self.note.publish_or_keep()?;
        signed?;
        sync_dir(&self.folder)
    }

    pub(super) fn keep(self) {
        self.note.keep();
        self.signature.keep();
    }
}

/// The number in a note's name; part files too.
fn number_of(name: &str) -> Option<u64> {
    let name = name.strip_suffix(PART).unwrap_or(name);
    let digits = name.strip_suffix(SIGNATURE).or_else(|| name.strip_suffix(NOTE))?;
    let number = digits.parse().ok()?;
    (format!("{number:06}") == digits).then_some(number)
}

/// The names of all whole notes and their signatures, relative to the recording's folder.
pub(in super::super) fn note_files(dir: &RecordingDir) -> Result<Vec<String>, VaultError> {
    let mut names = names_in(&dir.file(NOTES))?;
    names.retain(|name| !name.ends_with(PART) && number_of(name).is_some());
    Ok(names.into_iter().map(|name| format!("{NOTES}/{name}")).collect())
}

/// Brings the notes of a recording to what the log says: completes those whose request was granted,
/// removes others that were cut off.
pub(super) fn settle(
    dir: &RecordingDir,
    recording: RecordingId,
    entries: &[Entry],
) -> Result<(), VaultError> {
    let folder = dir.file(NOTES);
    let parts: Vec<String> =
        names_in(&folder)?.into_iter().filter(|name| name.ends_with(PART)).collect();
    if parts.is_empty() {
        return Ok(());
    }
    let _writing = lock_and_wait(&folder)?;
    let granted: BTreeSet<u64> = entries
        .iter()
        .filter_map(|entry| match entry.event.as_ref()? {
            Event::Answered {
                request,
                ask: Ask::Add,
                decision: Decision::Granted,
                recordings,
                ..
            } if recordings.contains(&recording) => Some(*request),
            _ => None,
        })
        .collect();
    for name in parts {
        let path = folder.join(&name);
        if number_of(&name).is_some_and(|number| granted.contains(&number)) {
            let target = folder.join(name.strip_suffix(PART).unwrap_or(&name));
            fs::rename(&path, &target).map_err(at(&target))?;
        } else {
            destroy_file(&path)?;
        }
    }
    sync_dir(&folder)
}

/// What is wrong with the notes of a recording that `key` signed.
pub(in super::super) fn check(
    dir: &RecordingDir,
    key: &BoxPublicKey,
    faults: &mut Vec<Fault>,
) -> Result<(), VaultError> {
    let folder = dir.file(NOTES);
    for name in names_in(&folder)? {
        let place = format!("{NOTES}/{name}");
        if number_of(&name).is_none() {
            faults.push(Fault::new(place, "does not belong to the recording"));
        } else if name.ends_with(NOTE) {
            let read = |path: &Path| read_at_most(path, LIMIT);
            let path = folder.join(&name);
            let signature = read(&folder.join(format!("{name}.minisig")));
            let good = match (read(&path), signature) {
                (Ok(note), Ok(signature)) => key.verify(&note, &signature).is_ok(),
                _ => false,
            };
            if !good {
                faults.push(Fault::new(place, "is no note that the box signed"));
            }
        }
    }
    Ok(())
}

/// The notes that `person` can read, of a recording that was checked.
pub(in super::super) fn read(
    dir: &RecordingDir,
    person: &Identities,
) -> Result<Vec<Note>, VaultError> {
    let folder = dir.file(NOTES);
    let mut notes = Vec::new();
    let names = names_in(&folder)?;
    for name in names.into_iter().filter(|name| name.ends_with(NOTE)) {
        let path = folder.join(&name);
        let sealed = read_at_most(&path, LIMIT).map_err(at(&path))?;
        match person.open(&sealed) {
            Ok(text) => notes.extend(serde_json::from_slice::<Note>(&text).ok()),
            Err(DecryptError::NoMatchingKeys) => {
                tracing::warn!(note = name, "a note was added before you were granted access");
            }
            Err(_) => return Err(VaultError::NoAgeFile { path }),
        }
    }
    notes.sort_by_key(|note| note.request);
    Ok(notes)
}
