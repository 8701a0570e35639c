//! Why a list is not loaded or not in force, and what the operator does about it.

use std::path::{Path, PathBuf};

use crate::error::{ErrorKind, Kind, advice};

/// Why a list was not loaded, or is not in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system failed.
    #[error("cannot {doing} {}: {source}{}", .path.display(), advice(source))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Nothing was loaded yet.
    #[error("no pupil list is loaded in {}: run `classveil pupils load`", .store.display())]
    NothingLoaded {
        /// The store.
        store: PathBuf,
    },
    /// Another load holds the lock.
    #[error("another pupil list is being loaded into {}: try again when it is done", .store.display())]
    Busy {
        /// The store.
        store: PathBuf,
    },
    /// Refusals would be lifted without the operator saying how many.
    #[error("{}", confirm(*.needed, *.given))]
    Removals {
        /// Refused pupils who are dropped or not refused any more.
        needed: usize,
        /// What was confirmed.
        given: Option<usize>,
    },
    /// A stored file is not what was written.
    #[error("{} is damaged ({what}): load the list again", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In which way.
        what: &'static str,
    },
    /// The list cannot be read and nothing says how many refusals it held.
    #[error(
        "the pupil list in {} is damaged and so is its history: restore the folder from a backup, \
         or move it away and load the list again",
        .path.display()
    )]
    Lost {
        /// The folder.
        path: PathBuf,
    },
    /// The key file is missing.
    #[error(
        "the gallery key {} does not exist: name it with --gallery-key, or load the list again",
        .path.display()
    )]
    NoKey {
        /// The key file.
        path: PathBuf,
    },
    /// The key file belongs to another load or another store.
    #[error(
        "the gallery key {} does not open the embeddings of this list: name the right one with \
         --gallery-key, or load the list again",
        .path.display()
    )]
    WrongKey {
        /// The key file.
        path: PathBuf,
    },
    /// Others may read the key file.
    #[error("others may read the gallery key {}: run `chmod 600` on it", .path.display())]
    OpenKey {
        /// The key file.
        path: PathBuf,
    },
    /// The key file would lie beside what it opens.
    #[error(
        "the gallery key {} would lie inside the store, where a copy of the store takes it along: \
         name another place with --gallery-key",
        .path.display()
    )]
    KeyInside {
        /// The key file.
        path: PathBuf,
    },
    /// A file that is no key of this store would be overwritten.
    #[error(
        "{} exists and is not the gallery key of this store: name another file with --gallery-key",
        .path.display()
    )]
    ForeignKey {
        /// The file.
        path: PathBuf,
    },
    /// A photo came without its embedding.
    #[error("the list and its gallery do not belong together: please report this")]
    NotEnrolled,
    /// age refused to encrypt.
    #[error("cannot encrypt the embeddings: {0}")]
    Seal(String),
}

impl Kind for StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => ErrorKind::of_io(source),
            Self::NothingLoaded { .. } | Self::NoKey { .. } => ErrorKind::NotFound,
            Self::Busy { .. } => ErrorKind::Transient,
            Self::Removals { .. } | Self::KeyInside { .. } => ErrorKind::Config,
            Self::ForeignKey { .. } => ErrorKind::Conflict,
            Self::Damaged { .. } | Self::Lost { .. } => ErrorKind::DataLoss,
            Self::WrongKey { .. } | Self::OpenKey { .. } => ErrorKind::Denied,
            Self::NotEnrolled | Self::Seal(_) => ErrorKind::Bug,
        }
    }
}

fn confirm(needed: usize, given: Option<usize>) -> String {
    let pupils = if needed == 1 { "1 refused pupil" } else { &format!("{needed} refused pupils") };
    match given {
        None => format!(
            "this list drops {pupils} or changes their status: if their refusal really ended, add \
             --confirm-removals {needed}"
        ),
        Some(given) => format!(
            "--confirm-removals {given} does not match: this list drops {pupils} or changes their \
             status; nothing was loaded"
        ),
    }
}

pub(super) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { doing, path: path.to_owned(), source }
}

pub(super) fn damaged(path: PathBuf, what: &'static str) -> StoreError {
    StoreError::Damaged { path, what }
}
