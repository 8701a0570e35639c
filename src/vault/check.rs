//! Checks a recording without any key: signature, chain, digests, nothing missing and nothing
//! added. Reads files and judges; changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use super::{
    Digest, Fault, FileDigest, VaultError,
    access::{MARKS, NOTES, SUCCESSOR, check_notes, is_grant_file, is_marks_file},
    journal,
    keys::BoxPublicKey,
    manifest::{self, Manifest, State},
    store::{
        DETAILS, GRANTS, JOURNAL, KEY, Lock, Locked, MANIFEST, PART, RecordingDir, SIGNATURE, at,
        lock_to_read, names_in, open_regular,
    },
    writer::files_of,
};
use crate::units::{CameraId, RecordingId};

pub use super::manifest::Trust;

/// A recording that is as it was signed, locked against writers as long as this lives.
#[derive(Debug)]
pub struct Checked {
    pub(super) dir: RecordingDir,
    pub(super) manifest: Manifest,
    #[expect(dead_code, reason = "held for its lock")]
    lock: Lock,
}

impl Checked {
    /// What the recording says about itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir.0
    }

    /// The key that signed it.
    #[must_use]
    pub fn signer(&self) -> &BoxPublicKey {
        &self.manifest.box_key
    }
}

/// Checks the recording in folder `path`; `progress` hears the bytes read so far.
///
/// # Errors
/// [`VaultError::Damaged`] lists every fault that was found.
pub fn check(
    path: &Path,
    trust: &Trust,
    mut progress: impl FnMut(u64),
) -> Result<Checked, VaultError> {
    let dir = RecordingDir(path.to_owned());
    refuse_other_folders(path)?;
    let Locked::Held(lock) = lock_to_read(path)? else {
        return Err(VaultError::InProgress { path: path.to_owned() });
    };
    let manifest = match manifest::read(&dir, trust) {
        Ok(manifest) => manifest,
        Err(error) => return Err(cut_off_at_the_end(&dir, trust).unwrap_or(error)),
    };
    if manifest.state == State::Recording {
        return Err(VaultError::Unsealed { path: path.to_owned() });
    }
    let mut faults = Vec::new();
    if let Some(name) = folder_name(path)
        && name != manifest.recording
    {
        let problem = format!("is of recording {}, not of this folder's", manifest.recording);
        faults.push(Fault::new(MANIFEST, problem));
    }
    faults.extend(journal::check(
        &dir,
        manifest.recording,
        &manifest.key,
        manifest.journal,
        &manifest.segments,
        &manifest.gaps,
    )?);
    let expected = expected_files(&manifest);
    check_contents(&dir, &expected, &mut faults, &mut progress)?;
    check_nothing_added(&dir, &manifest, &expected, &mut faults)?;
    check_notes(&dir, &manifest.box_key, &mut faults)?;
    if faults.is_empty() {
        Ok(Checked { dir, manifest, lock })
    } else {
        Err(VaultError::Damaged { path: path.to_owned(), faults })
    }
}

fn refuse_other_folders(path: &Path) -> Result<(), VaultError> {
    let not = |problem| Err(VaultError::NotARecording { path: path.to_owned(), problem });
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => not("a folder is expected"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => not("there is no such folder"),
        Err(error) => Err(at(path)(error)),
        // Any trace of a recording makes a missing manifest damage instead.
        Ok(_) => {
            let traces = [MANIFEST, SIGNATURE, JOURNAL, KEY, DETAILS];
            if traces.iter().any(|name| path.join(name).symlink_metadata().is_ok()) {
                Ok(())
            } else {
                not("it has no manifest.json")
            }
        }
    }
}

fn folder_name(path: &Path) -> Option<RecordingId> {
    path.canonicalize().ok()?.file_name()?.to_str()?.parse().ok()
}

/// Between the renames of manifest and signature a crash leaves a pair that does not fit, and the
/// rest of the new pair under part names.
fn cut_off_at_the_end(dir: &RecordingDir, trust: &Trust) -> Option<VaultError> {
    let part = |name: &str| dir.file(&format!("{name}{PART}")).exists();
    let Trust::Pinned(key) = trust else {
        return (part(MANIFEST) || part(SIGNATURE))
            .then(|| VaultError::Unsealed { path: dir.0.clone() });
    };
    let whole = (part(MANIFEST) || part(SIGNATURE)) && manifest::newest(dir, key).is_ok();
    whole.then(|| VaultError::Unsealed { path: dir.0.clone() })
}

fn expected_files(manifest: &Manifest) -> BTreeMap<String, FileDigest> {
    let own = [(KEY.to_owned(), manifest.key), (DETAILS.to_owned(), manifest.details)];
    own.into_iter().chain(manifest.segments.iter().flat_map(files_of)).collect()
}

fn check_contents(
    dir: &RecordingDir,
    expected: &BTreeMap<String, FileDigest>,
    faults: &mut Vec<Fault>,
    progress: &mut impl FnMut(u64),
) -> Result<(), VaultError> {
    let by_digest: BTreeMap<Digest, &String> =
        expected.iter().map(|(name, digest)| (digest.sha256, name)).collect();
    let mut read = 0;
    for (name, listed) in expected {
        let path = dir.file(name);
        let found = match open_regular(&path).and_then(FileDigest::of_reader) {
            Ok(found) => found,
            Err(error) => {
                let problem = match error.kind() {
                    io::ErrorKind::NotFound => "is missing".to_owned(),
                    io::ErrorKind::InvalidData | io::ErrorKind::NotADirectory => {
                        "is no regular file".to_owned()
                    }
                    _ => return Err(at(&path)(error)),
                };
                faults.push(Fault::new(name, problem));
                continue;
            }
        };
        read += found.bytes;
        progress(read);
        if found == *listed {
            continue;
        }
        let problem = match by_digest.get(&found.sha256) {
            Some(other) => format!("has the content of {other}: they were swapped or reordered"),
            None if found.bytes < listed.bytes => {
                format!("is truncated: {} of {} bytes", found.bytes, listed.bytes)
            }
            None if found.bytes > listed.bytes => {
                format!("is too long: {} instead of {} bytes", found.bytes, listed.bytes)
            }
            None => "was altered".to_owned(),
        };
        faults.push(Fault::new(name, problem));
    }
    Ok(())
}

fn check_nothing_added(
    dir: &RecordingDir,
    manifest: &Manifest,
    expected: &BTreeMap<String, FileDigest>,
    faults: &mut Vec<Fault>,
) -> Result<(), VaultError> {
    let added = "does not belong to the recording";
    let cameras: BTreeSet<&str> = manifest.cameras.iter().map(CameraId::as_str).collect();
    for name in names_in(&dir.0)? {
        let is_dir = fs::symlink_metadata(dir.file(&name)).is_ok_and(|metadata| metadata.is_dir());
        if is_dir && cameras.contains(name.as_str()) {
            for file in names_in(&dir.file(&name))? {
                let file = format!("{name}/{file}");
                if !expected.contains_key(&file) {
                    faults.push(Fault::new(file, added));
                }
            }
        } else if is_dir && (name == GRANTS || name == MARKS) {
            let belongs = if name == GRANTS { is_grant_file } else { is_marks_file };
            for file in names_in(&dir.file(&name))? {
                if !belongs(&file) {
                    faults.push(Fault::new(format!("{name}/{file}"), added));
                }
            }
        } else if is_dir && name == NOTES {
            // Looked at by themselves.
        } else if ![MANIFEST, SIGNATURE, JOURNAL, SUCCESSOR].contains(&name.as_str())
            && !expected.contains_key(&name)
        {
            faults.push(Fault::new(name, added));
        }
    }
    for camera in cameras {
        let is_dir = fs::symlink_metadata(dir.file(camera)).is_ok_and(|metadata| metadata.is_dir());
        if !is_dir {
            faults.push(Fault::new(camera, "is no folder of this recording any more"));
        }
    }
    Ok(())
}
