//! Registers of a store: small files that are replaced as a whole, each vouched for by the log.
//!
//! Belongs here: `STORE/registers/NAME.json` and the order of writing. Does not belong: what a
//! register says (the directory of people, the requests).
//!
//! # Order of writing
//! The new text as a part file, fsync, directory fsync; the line of the log that says what changed
//! and holds the new text's digest; rename, directory fsync. What the log names last is in force: a
//! crash before the line leaves the register before, one after it is completed from the part file.
//! A text with another digest is refused, so an older copy put back, or an edited one, changes
//! nothing.

use std::{
    fs,
    io::ErrorKind as IoKind,
    path::{Path, PathBuf},
};

use super::{
    Digest, VaultError,
    audit::{AuditError, Entry, Event},
    store::{Lock, PART, PartFile, at, lock_and_wait, make_dirs, read_at_most, sync_dir},
};
use crate::error::{ErrorKind, Kind};

/// Folder of the registers in a store.
pub(super) const FOLDER: &str = "registers";
/// A school of thousands with three keys each.
const LIMIT: u64 = 64 << 20;

/// Which register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Who has which key.
    People,
    /// What people who were recorded asked for.
    Requests,
}

impl Name {
    /// All of them.
    pub(super) const ALL: [Self; 2] = [Self::People, Self::Requests];

    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::People => "people.json",
            Self::Requests => "requests.json",
        }
    }
}

/// What can go wrong with a register.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// A file could not be read or written.
    #[error(transparent)]
    Store(#[from] VaultError),
    /// The log could not be read or written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The register is not the one that the log names.
    #[error(
        "{path} is not the register that the audit log names: it was altered, replaced by an older \
         copy, or lost; restore it, and tell the privacy officer",
        path = path.display()
    )]
    Altered {
        /// The register.
        path: PathBuf,
    },
}

impl Kind for RegisterError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Audit(error) => error.kind(),
            Self::Altered { .. } => ErrorKind::DataLoss,
        }
    }
}

/// A register of a store.
#[derive(Clone, Debug)]
pub struct Register {
    folder: PathBuf,
    name: Name,
}

impl Register {
    /// The register `name` of `store`.
    #[must_use]
    pub fn new(store: &Path, name: Name) -> Self {
        Self { folder: store.join(FOLDER), name }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join(self.name.file())
    }

    /// Whether there is one, whatever it is worth.
    #[must_use]
    pub fn exists(&self) -> bool {
        let path = self.path();
        path.symlink_metadata().is_ok() || part_of(&path).symlink_metadata().is_ok()
    }

    /// The text in force by the lines of the log; `None` where there never was one.
    pub fn read(&self, entries: &[Entry]) -> Result<Option<Vec<u8>>, RegisterError> {
        self.find(entries).map(|found| found.map(|(bytes, _)| bytes))
    }

    /// The text in force and the file that holds it.
    fn find(&self, entries: &[Entry]) -> Result<Option<(Vec<u8>, PathBuf)>, RegisterError> {
        let path = self.path();
        let Some(named) = self.named(entries) else {
            // A register that the log has never heard of was put there.
            return if path.symlink_metadata().is_ok() {
                Err(RegisterError::Altered { path })
            } else {
                Ok(None)
            };
        };
        for file in [path.clone(), part_of(&path)] {
            match read_at_most(&file, LIMIT) {
                Ok(bytes) if Digest::of(&bytes) == named => return Ok(Some((bytes, file))),
                Ok(_) => {}
                Err(error) if [IoKind::NotFound, IoKind::InvalidData].contains(&error.kind()) => {}
                Err(error) => return Err(at(&file)(error).into()),
            }
        }
        Err(RegisterError::Altered { path })
    }

    /// The digest that the log names last.
    fn named(&self, entries: &[Entry]) -> Option<Digest> {
        let named = |entry: &Entry| match entry.event.as_ref()? {
            // It was set aside: there is none.
            Event::SetAside { register } if register.is(self.name.file()) => Some(None),
            event => {
                event.register().filter(|(name, _)| *name == self.name).map(|(_, to)| Some(to))
            }
        };
        entries.iter().rev().find_map(named).flatten()
    }

    /// All files of it.
    pub(super) fn files(&self) -> [PathBuf; 2] {
        let path = self.path();
        [part_of(&path), path]
    }

    /// Keeps everybody else from changing the register until the value is dropped.
    pub fn hold(&self) -> Result<Held<'_>, RegisterError> {
        make_dirs(&self.folder)?;
        let lock = lock_and_wait(&self.folder)?;
        Ok(Held { register: self, lock })
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(PART);
    part.into()
}

/// A register that nobody else changes.
#[derive(Debug)]
#[must_use = "the register is held as long as this lives"]
pub struct Held<'a> {
    register: &'a Register,
    #[expect(dead_code, reason = "held for its lock")]
    lock: Lock,
}

impl Held<'_> {
    /// As [`Register::read`]; completes what a crash interrupted.
    pub fn read(&self, entries: &[Entry]) -> Result<Option<Vec<u8>>, RegisterError> {
        let path = self.register.path();
        let found = self.register.find(entries)?;
        let part = part_of(&path);
        match &found {
            Some((_, file)) if *file == part => {
                fs::rename(&part, &path).map_err(at(&path))?;
                sync_dir(&self.register.folder)?;
            }
            _ => match fs::remove_file(&part) {
                // Its line was never written.
                Ok(()) => sync_dir(&self.register.folder)?,
                Err(error) if error.kind() == IoKind::NotFound => {}
                Err(error) => return Err(at(&part)(error).into()),
            },
        }
        Ok(found.map(|(bytes, _)| bytes))
    }

    /// Puts `bytes` in force: `announce` writes the line that holds their digest.
    pub fn write(
        self,
        bytes: &[u8],
        announce: impl FnOnce(Digest) -> Result<(), AuditError>,
    ) -> Result<(), RegisterError> {
        let part = PartFile::write(&self.register.path(), bytes)?;
        sync_dir(&self.register.folder)?;
        if let Err(error) = announce(Digest::of(bytes)) {
            // The line may be on disk although the checkpoint after it is not: the part file stays,
            // and the next look at the log says whether it counts.
            part.keep();
            return Err(error.into());
        }
        part.publish_or_keep()?;
        sync_dir(&self.register.folder)?;
        Ok(())
    }
}
