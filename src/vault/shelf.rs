//! What lies on the shelf: recordings of a store as they are handed out over a network, ciphertext
//! only.
//!
//! Belongs here: which recordings there are, which of a recording's files may be named by somebody who
//! asks, and who is told what. Does not belong: who asks, and keys of people.

use std::{fs::File, io::ErrorKind, path::Path};

use super::{
    BoxPublicKey, Manifest, Trust, VaultError,
    access::{STATEMENT, marks_files, note_files},
    manifest,
    store::{
        DETAILS, GRANT_KEY, GRANTS, JOURNAL, KEY, MANIFEST, RecordingDir, SIGNATURE, at, names_in,
        open_regular, read_at_most, segment_name, tracks_name,
    },
};
use crate::units::{PersonId, RecordingId};

/// A statement has a few lines.
const STATEMENT_LIMIT: u64 = 1 << 16;

/// A file that is handed out.
#[derive(Debug)]
pub struct Handed {
    /// The file, open.
    pub file: File,
    /// Its length.
    pub bytes: u64,
}

fn dir(store: &Path, id: RecordingId) -> RecordingDir {
    RecordingDir(store.join("recordings").join(id.to_string()))
}

/// The signed manifest of the recording `id`; none where there is no such recording.
pub fn manifest(
    store: &Path,
    id: RecordingId,
    key: &BoxPublicKey,
) -> Result<Option<Manifest>, VaultError> {
    let dir = dir(store, id);
    if !dir.0.is_dir() {
        return Ok(None);
    }
    manifest::read(&dir, &Trust::Pinned(key.clone())).map(Some)
}

/// The recordings of `store`, the oldest first.
pub fn recordings(store: &Path) -> Result<Vec<RecordingId>, VaultError> {
    let mut all: Vec<RecordingId> = names_in(&store.join("recordings"))?
        .into_iter()
        .filter_map(|name| name.parse().ok().filter(|id: &RecordingId| id.to_string() == name))
        .collect();
    all.sort();
    Ok(all)
}

/// The names of all files of a recording that can be asked for, keys apart.
pub fn names(store: &Path, manifest: &Manifest) -> Result<Vec<(String, u64)>, VaultError> {
    let dir = dir(store, manifest.recording);
    let mut names: Vec<String> = [MANIFEST, SIGNATURE, JOURNAL, DETAILS].map(str::to_owned).into();
    for segment in &manifest.segments {
        names.push(segment_name(&segment.camera, segment.number));
        names.push(tracks_name(&segment.camera, segment.number));
    }
    names.extend(marks_files(&dir)?);
    names.extend(note_files(&dir)?);
    let mut found = Vec::new();
    for name in names {
        match std::fs::symlink_metadata(dir.file(&name)) {
            Ok(file) if file.is_file() => found.push((name, file.len())),
            // While a recording is made some are not there yet.
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(at(&dir.file(&name))(error)),
        }
    }
    Ok(found)
}

/// Opens the file `name` of a recording, if it is one of [`names`]; none where there is no such file.
pub fn file(store: &Path, manifest: &Manifest, name: &str) -> Result<Option<Handed>, VaultError> {
    let plain = [MANIFEST, SIGNATURE, JOURNAL, DETAILS].contains(&name);
    let of_segment = manifest.segments.iter().any(|segment| {
        name == segment_name(&segment.camera, segment.number)
            || name == tracks_name(&segment.camera, segment.number)
    });
    let dir = dir(store, manifest.recording);
    let beside = || Ok::<_, VaultError>([marks_files(&dir)?, note_files(&dir)?].concat());
    if !plain && !of_segment && !beside()?.iter().any(|one| one == name) {
        return Ok(None);
    }
    open(&dir, name)
}

/// Opens the recording's key as it is encrypted for its recipients, or, of a grant, for `person`.
pub fn key(
    store: &Path,
    id: RecordingId,
    granted_to: Option<&PersonId>,
) -> Result<Option<Handed>, VaultError> {
    let name = match granted_to {
        None => KEY.to_owned(),
        Some(person) => format!("{GRANTS}/{person}{GRANT_KEY}"),
    };
    open(&dir(store, id), &name)
}

/// The teacher's signed statement by which `person` may open the recording.
pub fn grant(
    store: &Path,
    id: RecordingId,
    person: &PersonId,
) -> Result<Option<String>, VaultError> {
    let path = dir(store, id).file(&format!("{GRANTS}/{person}{STATEMENT}"));
    match read_at_most(&path, STATEMENT_LIMIT) {
        Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(&path)(error)),
    }
}

fn open(dir: &RecordingDir, name: &str) -> Result<Option<Handed>, VaultError> {
    let path = dir.file(name);
    match open_regular(&path) {
        Ok(file) => {
            let bytes = file.metadata().map_err(at(&path))?.len();
            Ok(Some(Handed { file, bytes }))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(&path)(error)),
    }
}
