//! What a box notes for its own next start: small files of a store, each replaced as a whole.
//!
//! Belongs here: `STORE/state/NAME.json` and how it is written durably. Does not belong: what a memo
//! says, and what follows from it. Nothing that has to be proven to anybody is in a memo: it is not
//! signed, and a store without one is whole.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    VaultError,
    store::{PartFile, at, make_dirs, read_at_most, sync_dir},
};

/// Folder of the memos in a store.
const FOLDER: &str = "state";
/// A memo is a few words.
const LIMIT: u64 = 64 << 10;

/// Which memo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memo {
    /// What is being recorded.
    UnderWay,
    /// Since when a clock that was set is watched.
    Settling,
}

impl Memo {
    const fn file(self) -> &'static str {
        match self {
            Self::UnderWay => "under-way.json",
            Self::Settling => "settling.json",
        }
    }

    /// The file in `store`.
    #[must_use]
    pub fn path(self, store: &Path) -> PathBuf {
        store.join(FOLDER).join(self.file())
    }

    /// What was noted; none where nothing was. A memo that cannot be read is an error: who asks has
    /// to choose what is safe then.
    pub fn read<T: DeserializeOwned>(self, store: &Path) -> Result<Option<T>, VaultError> {
        let path = self.path(store);
        let bytes = match read_at_most(&path, LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&path)(error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| at(&path)(error.into()))
    }

    /// Notes `what` in the place of what was noted before, durably.
    pub fn write<T: Serialize>(self, store: &Path, what: &T) -> Result<(), VaultError> {
        let path = self.path(store);
        let folder = store.join(FOLDER);
        // The store itself is not made here: where it is away, nothing may take its place.
        fs::metadata(store).map_err(at(store))?;
        make_dirs(&folder)?;
        let bytes = serde_json::to_vec(what).map_err(|error| at(&path)(error.into()))?;
        let part = PartFile::write(&path, &bytes)?;
        part.publish()?;
        sync_dir(&folder)
    }

    /// Forgets what was noted, durably.
    pub fn remove(self, store: &Path) -> Result<(), VaultError> {
        let path = self.path(store);
        match fs::remove_file(&path) {
            Ok(()) => sync_dir(&store.join(FOLDER)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Where the store itself is away, what was noted may come back with it.
                fs::metadata(store).map_err(at(store))?;
                let folder = store.join(FOLDER);
                if folder.is_dir() { sync_dir(&folder) } else { Ok(()) }
            }
            Err(error) => Err(at(&path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memo_is_there_until_it_is_removed() {
        let keep = tempfile::tempdir().unwrap();
        let store = keep.path().join("store");
        assert!(Memo::UnderWay.write(&store, &1).is_err(), "a store is not made for a memo");
        assert!(Memo::UnderWay.remove(&store).is_err(), "what is away may come back");
        assert!(!store.exists());
        fs::create_dir(&store).unwrap();
        assert_eq!(Memo::UnderWay.read::<u32>(&store).unwrap(), None);
        for number in [1, 2] {
            Memo::UnderWay.write(&store, &number).unwrap();
            assert_eq!(Memo::UnderWay.read::<u32>(&store).unwrap(), Some(number));
        }
        assert_eq!(Memo::Settling.read::<u32>(&store).unwrap(), None);
        fs::write(Memo::UnderWay.path(&store), "{").unwrap();
        assert!(Memo::UnderWay.read::<u32>(&store).is_err());
        Memo::UnderWay.remove(&store).unwrap();
        Memo::UnderWay.remove(&store).unwrap();
        assert_eq!(Memo::UnderWay.read::<u32>(&store).unwrap(), None);
    }
}
