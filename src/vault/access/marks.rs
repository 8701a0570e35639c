//! Marks and notes that people made while they watched, kept with the recording.
//!
//! Whoever made them encrypted them under the recording's own key, on their own computer: the box
//! keeps what it cannot read, and nobody reads it once that key is destroyed. Who veils the recording
//! anew carries it over as it was signed, under the successor's key. Belongs here: taking a file in, and what
//! is left of one that was cut off. Does not belong: what is in it, and who made it (`marking`).
//!
//! # Files
//! ```text
//! marks/PERSON.age    the marks of one person, an age file
//! ```

use std::path::Path;

use age::Decryptor;

use super::{
    super::{
        BoxPublicKey, Identities, Opened, Trust, VaultError,
        audit::AuditLog,
        manifest::{self, State},
        seal::encrypt_to,
        store::{
            KEY, PART, PartFile, RecordingDir, at, destroy_file, lock_and_wait, make_dirs,
            names_in, read_at_most, sync_dir,
        },
    },
    AccessError, Kept, Made,
    grant::living,
};
use crate::units::{CameraId, PersonId, RecordingId};

/// Folder of the marks in a recording.
pub(in super::super) const MARKS: &str = "marks";
const ENDING: &str = ".age";
/// Longest file of marks, in bytes: some hundred fragments with a sentence each.
pub const MARKS_LIMIT: usize = 45 << 10;
/// How an age file begins that is encrypted to one key of the kind that a recording has.
const BEGIN: &[u8] = b"age-encryption.org/v1\n-> X25519 ";

/// Keeps the marks of `person` with a recording, in place of those from before.
pub fn keep_marks(
    (store, log, key): (&Path, &AuditLog, &BoxPublicKey),
    recording: RecordingId,
    person: &PersonId,
    sealed: &[u8],
) -> Result<(), AccessError> {
    if sealed.len() > MARKS_LIMIT {
        return Err(AccessError::BadMarks { problem: "are longer than 45 KiB" });
    }
    // To which key it is encrypted shows on no file; that it is encrypted at all does.
    if !fits(sealed) {
        return Err(AccessError::BadMarks { problem: "are not encrypted to the recording's key" });
    }
    let (dir, _reading) = living(store, log, recording)?;
    let manifest = manifest::read(&dir, &Trust::Pinned(key.clone()))?;
    if manifest.recording != recording || manifest.state == State::Recording {
        return Err(VaultError::Unsealed { path: dir.0 }.into());
    }
    if manifest.cameras.iter().map(CameraId::as_str).any(|camera| camera == MARKS) {
        return Err(AccessError::BadMarks {
            problem: "have no place where a camera has their name",
        });
    }
    let folder = dir.file(MARKS);
    make_dirs(&folder)?;
    let _writing = lock_and_wait(&folder)?;
    PartFile::write(&folder.join(name_of(person)), sealed)?.publish()?;
    Ok(sync_dir(&folder)?)
}

/// Whether a file is one that can be kept.
fn fits(sealed: &[u8]) -> bool {
    sealed.len() <= MARKS_LIMIT && sealed.starts_with(BEGIN) && Decryptor::new(sealed).is_ok()
}

/// Puts the marks of `old`, which its key holder `person` opened, into the folder of its successor
/// `made`, under that recording's key. What is not the recording's own is left behind. Returns of how
/// many people there are some.
pub fn carry_marks(old: &Opened, made: &Path, person: &Identities) -> Result<usize, AccessError> {
    let from = &old.checked().dir;
    let names = marks_files(from)?;
    if names.is_empty() {
        return Ok(0);
    }
    let dir = RecordingDir(made.to_owned());
    let text = person.decrypt(&dir.file(KEY))?;
    let no_key = |_| VaultError::NoAgeFile { path: dir.file(KEY) };
    let key = Identities::parse(&text).map_err(no_key)?.recipients();
    let folder = dir.file(MARKS);
    make_dirs(&folder)?;
    let mut carried = 0;
    for name in names {
        let path = from.file(&name);
        let sealed = read_at_most(&path, MARKS_LIMIT as u64).map_err(at(&path));
        let sealed = sealed.ok().zip(person_of(&name));
        let made = sealed.as_ref().map(|(sealed, who)| Kept::read(old, who, sealed).made);
        let plain = sealed.and_then(|(sealed, _)| old.unseal(&sealed));
        let Some(plain) = plain.filter(|_| made != Some(Made::OtherRecording)) else {
            tracing::warn!(marks = name, "these marks are of another recording, or not readable");
            continue;
        };
        PartFile::write(&dir.file(&name), &encrypt_to(&key, &plain, &name)?)?.publish()?;
        carried += 1;
    }
    sync_dir(&folder)?;
    sync_dir(&dir.0)?;
    Ok(carried)
}

/// The names of marks that a successor in folder `made` has and may bring along: of people of whom there
/// are some with `old`, whose recording it replaces.
pub(super) fn brought(made: &RecordingDir, old: &RecordingDir) -> Result<Vec<String>, AccessError> {
    let had = marks_files(old)?;
    let mut names = marks_files(made)?;
    names.retain(|name| had.contains(name));
    for name in &names {
        let path = made.file(name);
        let sealed = read_at_most(&path, MARKS_LIMIT as u64).map_err(at(&path))?;
        if !fits(&sealed) {
            return Err(AccessError::successor("has marks that are not encrypted"));
        }
    }
    Ok(names)
}

/// Whose marks are in the file `name`, relative to the recording's folder.
pub(super) fn person_of(name: &str) -> Option<PersonId> {
    name.strip_prefix(MARKS)?.strip_prefix('/')?.strip_suffix(ENDING)?.parse().ok()
}

fn name_of(person: &PersonId) -> String {
    format!("{person}{ENDING}")
}

/// Whether a file in `marks/` has a name that marks can have, part files among them.
pub(in super::super) fn is_marks_file(name: &str) -> bool {
    let name = name.strip_suffix(PART).unwrap_or(name);
    name.strip_suffix(ENDING).is_some_and(|person| person.parse::<PersonId>().is_ok())
}

/// The names of all whole files of marks, relative to the recording's folder.
pub(in super::super) fn marks_files(dir: &RecordingDir) -> Result<Vec<String>, VaultError> {
    let mut names = names_in(&dir.file(MARKS))?;
    names.retain(|name| !name.ends_with(PART) && is_marks_file(name));
    Ok(names.into_iter().map(|name| format!("{MARKS}/{name}")).collect())
}

/// What a crash left, by both ends of its name, so that nothing of a camera called like the folder is
/// taken for it. Names in the recording's folder.
pub(in super::super) fn marks_left(dir: &RecordingDir) -> Result<Vec<String>, VaultError> {
    let mut names = names_in(&dir.file(MARKS))?;
    names.retain(|name| name.ends_with(PART) && is_marks_file(name));
    Ok(names.into_iter().map(|name| format!("{MARKS}/{name}")).collect())
}

/// Removes what a crash left.
pub(super) fn settle(dir: &RecordingDir) -> Result<(), VaultError> {
    if marks_left(dir)?.is_empty() {
        return Ok(());
    }
    let folder = dir.file(MARKS);
    let _writing = lock_and_wait(&folder)?;
    // What was being written a moment ago has its name by now.
    for name in marks_left(dir)? {
        destroy_file(&dir.file(&name))?;
    }
    sync_dir(&folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_people() {
        assert!(is_marks_file("c-02.age") && is_marks_file("c-02.age.part"));
        for name in ["c-02", ".age", "C 02.age", "c-02.age.minisig", "../c-02.age", "c-02.txt"] {
            assert!(!is_marks_file(name), "{name}");
        }
    }
}
