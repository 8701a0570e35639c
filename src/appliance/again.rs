//! A recording through all rooms once more, on the computer of somebody who can open it: to veil it
//! anew, or to make an export of it.
//!
//! The pictures are opened into memory that no file system shows, and never lie on a disk. What
//! comes out is a recording like any other, made with a store, a log and a signing key that are there
//! for this one recording only and go with it: a box that takes it in signs it itself.

use std::{
    fs::{self, DirBuilder, File},
    io,
    ops::ControlFlow,
    os::{fd::AsRawFd, unix::fs::DirBuilderExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, MemfdFlags, flock, memfd_create};
use zeroize::Zeroizing;

use super::{
    recorder::{Around, Plan, RecordError, Report, Started, record_all},
    take::Take,
    tally::Progress,
};
use crate::{
    capture::Input,
    clock::Clock,
    error::{ErrorKind, Kind, advice},
    shutdown::Shutdown,
    units::CameraId,
    vault::{
        BoxKey, BoxPublicKey, NewRecording, Opened, VaultError,
        audit::{AuditError, AuditKey, AuditLog},
    },
    vision::{Eyes, infer::VisionError},
};

/// Why a recording was not made again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgainError {
    /// It could not be opened or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The log for it could not be begun.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// It broke off on its way through the rooms.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A file or folder could not be made.
    #[error("{path}: {source}{}", advice(source), path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The end could not be written.
    #[error("the recording could not be completed: see what is logged above")]
    NotSealed,
}

impl Kind for AgainError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Vault(error) => error.kind(),
            Self::Audit(error) => error.kind(),
            Self::Record(error) => error.kind(),
            Self::Io { source, .. } => ErrorKind::of_io(source),
            Self::NotSealed => ErrorKind::Io,
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> AgainError {
    |source| AgainError::Io { path: path.to_owned(), source }
}

/// The opened pictures of a camera, in memory that no file system shows.
fn open_in_memory(
    opened: &Opened,
    camera: &CameraId,
    shutdown: &Shutdown,
) -> Result<File, AgainError> {
    let name = Path::new("memory for the opened recording");
    let memory = memfd_create("classveil", MemfdFlags::CLOEXEC);
    let mut memory = memory.map(File::from).map_err(|error| at(name)(error.into()))?;
    opened.join(camera, &mut memory, |_| {
        if shutdown.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(memory)
}

/// Where one recording is made. What is left of it goes when it is dropped.
pub struct Workshop<'a> {
    folder: PathBuf,
    output: PathBuf,
    key: BoxKey,
    log: AuditLog,
    clock: &'a dyn Clock,
    /// As long as this is open nobody takes the workshop for a dead one.
    _held: File,
}

impl std::fmt::Debug for Workshop<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workshop").field("output", &self.output).finish_non_exhaustive()
    }
}

impl Drop for Workshop<'_> {
    fn drop(&mut self) {
        // Ciphertext, and a key that signs nothing more.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl<'a> Workshop<'a> {
    /// A workshop beside `output`, the folder that the recording is to become.
    pub fn beside(output: &Path, clock: &'a dyn Clock) -> Result<Self, AgainError> {
        if output.symlink_metadata().is_ok() {
            let hint = "give a folder that does not exist yet";
            return Err(VaultError::Exists { path: output.to_owned(), hint }.into());
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| at(output)(io::Error::other(error.to_string())))?;
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        let name = format!(".{name}.{:016x}.part", u64::from_ne_bytes(random));
        let folder = output.with_file_name(name);
        sweep(&parent_of(output));
        DirBuilder::new().mode(0o700).create(&folder).map_err(at(&folder))?;
        let held = File::open(&folder).map_err(at(&folder))?;
        // One that cannot be held may be taken for a dead one: then its files are missing, and that is said.
        let _ = flock(&held, FlockOperation::NonBlockingLockExclusive);
        let store = folder.join("store");
        let made = || -> Result<_, AgainError> {
            fs::create_dir(&store).map_err(at(&store))?;
            let key = BoxKey::load_or_create(&folder.join("keys/box.key"), &store)?;
            let audit = AuditKey::load_or_create(&folder.join("keys/audit.key"), &store)?;
            let log = AuditLog::open(&store, audit, key.public(), clock.now())?;
            Ok((key, log))
        };
        match made() {
            Ok((key, log)) => {
                let output = output.to_owned();
                Ok(Self { folder, output, key, log, clock, _held: held })
            }
            Err(error) => {
                let _ = fs::remove_dir_all(&folder);
                Err(error)
            }
        }
    }

    /// The key that signs what is made here, and nothing else ever.
    #[must_use]
    pub fn public(&self) -> &BoxPublicKey {
        self.key.public()
    }

    /// A key for one use that goes with the workshop; see [`BoxKey::derive`].
    #[must_use]
    pub fn derive(&self, info: &str) -> Zeroizing<[u8; 32]> {
        self.key.derive(info)
    }

    /// Opens the pictures of all cameras and records each as `plan` says, with `eyes` and, for further
    /// cameras, with `more` of them. A recording that is not whole is an error.
    pub fn record(
        &self,
        opened: &Opened,
        plan: impl Fn(&CameraId, Input) -> Plan,
        (eyes, more): (Eyes, impl Fn() -> Result<Eyes, VisionError>),
        new: impl FnOnce(&Started) -> NewRecording,
        report: impl Fn(&Progress) + Sync,
        shutdown: &Shutdown,
    ) -> Result<Report, AgainError> {
        let manifest = opened.checked().manifest();
        let has_pictures = |camera: &&CameraId| manifest.segments_of(camera).next().is_some();
        let mut cameras: Vec<&CameraId> = manifest.cameras.iter().filter(has_pictures).collect();
        if cameras.is_empty() {
            // Says that there is nothing.
            cameras.extend(manifest.cameras.first());
        }
        // Held until the end: an input is a name of it.
        let mut held = Vec::new();
        let mut plans = Vec::new();
        for camera in cameras {
            let memory = open_in_memory(opened, camera, shutdown)?;
            let input = Input::File(format!("/proc/self/fd/{}", memory.as_raw_fd()).into());
            plans.push(plan(camera, input));
            held.push(memory);
        }
        let mut eyes = Some(eyes);
        let mut takes = Vec::new();
        for plan in &plans {
            let eyes = eyes.take().map_or_else(&more, Ok).map_err(RecordError::from)?;
            takes.push(Take::new(plan, eyes));
        }
        let around = Around {
            store: &self.folder.join("store"),
            key: &self.key,
            audit: &self.log,
            clock: self.clock,
            shutdown,
            lists: None,
            previews: None,
            clock_changes: None,
        };
        let mut made = record_all(takes, &around, new, &|_, progress| report(progress))?;
        drop(held);
        if let Some(fault) = made.fault.take() {
            return Err(fault.into());
        }
        if shutdown.is_requested() {
            return Err(VaultError::BrokenOff.into());
        }
        if made.is_sealed { Ok(made) } else { Err(AgainError::NotSealed) }
    }

    /// Gives the recording its place. What made it goes.
    pub fn publish(self, made: &Report) -> Result<(), AgainError> {
        let parent = parent_of(&self.output);
        fs::rename(&made.path, &self.output).map_err(at(&self.output))?;
        File::open(&parent).and_then(|folder| folder.sync_all()).map_err(at(&parent))
    }
}

fn parent_of(output: &Path) -> PathBuf {
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or_else(|| Path::new(".")).to_owned()
}

/// Removes workshops in `parent` whose program was killed: half a recording, and a key that signs nothing
/// more, that would stay beyond every deadline. Best effort.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let (name, folder) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        let is_one = name.starts_with('.') && name.ends_with(".part");
        if !is_one || !folder.join("keys/box.key").is_file() || !folder.join("store").is_dir() {
            continue;
        }
        let Ok(held) = File::open(&folder) else { continue };
        if flock(&held, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn what_a_killed_program_left_goes_and_what_another_works_on_stays() {
        let dir = tempfile::tempdir().unwrap();
        let dead = dir.path().join(".veiled.0123456789abcdef.part");
        fs::create_dir_all(dead.join("store/recordings")).unwrap();
        fs::create_dir_all(dead.join("keys")).unwrap();
        fs::write(dead.join("keys/box.key"), "a key").unwrap();
        let other = dir.path().join(".download.part");
        fs::create_dir(&other).unwrap();
        let one = Workshop::beside(&dir.path().join("one"), &SystemClock).unwrap();
        assert!(!dead.exists() && other.exists());
        let two = Workshop::beside(&dir.path().join("two"), &SystemClock).unwrap();
        assert!(one.folder.exists() && two.folder.exists());
        let (folder, key) = (one.folder.clone(), one.folder.join("keys/box.key"));
        assert!(key.exists());
        drop(one);
        assert!(!folder.exists());
    }
}
