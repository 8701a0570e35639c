//! Marks and notes that people made while they watched, kept with the recording.
//!
//! Whoever made them encrypted them under the recording's own key, on their own computer: the box
//! keeps what it cannot read, nobody reads it once that key is destroyed, and a successor under
//! another key begins without it. Nothing signs it, so it shows what a key holder wrote and proves
//! nothing. Belongs here: taking a file in, and what is left of one that was cut off. Does not
//! belong: what is in it, which the viewer knows.
//!
//! # Files
//! ```text
//! marks/PERSON.age    the marks of one person, an age file
//! ```

use std::path::Path;

use age::Decryptor;

use super::{
    super::{
        BoxPublicKey, Trust, VaultError,
        audit::AuditLog,
        manifest::{self, State},
        store::{
            PART, PartFile, RecordingDir, destroy_file, lock_and_wait, make_dirs, names_in,
            sync_dir,
        },
    },
    AccessError,
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
    if !sealed.starts_with(BEGIN) || Decryptor::new(sealed).is_err() {
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
