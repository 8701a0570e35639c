//! The list that is in force: loaded as a whole or not at all, with its embeddings encrypted.
//!
//! Belongs here: `STORE/pupils/` and the gallery's key file outside the store. Does not belong: CSV,
//! photos, models.
//!
//! # Files
//! ```text
//! STORE/pupils/list.json            the list in force; replacing it is the moment a load counts
//! STORE/pupils/gallery-*.age        its embeddings, an age file; named in list.json with its digest
//! STORE/pupils/history.jsonl        a line per load, counts only, each with the digest of the one before
//! STORE/pupils/lock                 held while a list is loaded
//! GALLERY_KEY                       an age identity file outside the store, mode 0600
//! ```
//!
//! # Order of a load
//! Fresh identity; gallery sealed to it; key file holding the new identity beside the old one;
//! history line; `list.json` renamed into place; then the old gallery removed and the key file
//! replaced by one that holds the new identity only, the old bytes overwritten. Every step is on disk
//! before the next begins. Who keeps a log of loads writes its line before the history's
//! ([`load_announced`]). A power cut before the rename leaves the old list working, one after it
//! the new list; what it leaves behind is removed by the next load or the next [`current`].
//! Overwriting does not reach the spare blocks of flash memory; who needs that encrypts the disk.

mod disk;
mod error;
mod history;
mod key;
mod record;
mod sealed;

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use age::x25519::Identity;
use jiff::{Timestamp, civil::Date};
use rustix::fs::{FlockOperation, flock};

pub use self::{error::StoreError, key::default_key_name};
use self::{
    error::{damaged, io},
    key::{KeyFile, StoreTag},
    record::{Before, Record},
};
use super::{
    change::Changes,
    gallery,
    list::{PupilList, Rules, Status},
};
use crate::vision::identify::Gallery;

/// How a list is loaded.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// The store's folder; made where it is missing.
    pub store: &'a Path,
    /// The gallery's key file, outside the store; replaced by every load.
    pub gallery_key: &'a Path,
    /// Keys the list's version: see [`PupilList::version`].
    pub version_key: &'a [u8; 32],
    /// How many refusals the operator knows to be lifted.
    pub confirm_removals: Option<usize>,
    /// The impact assessment under which faces are compared.
    pub dpia: Option<&'a str>,
    /// The present.
    pub now: Timestamp,
}

/// A load that counts.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The new list's version.
    pub version: String,
    /// What it changed.
    pub changes: Changes,
}

/// The list in force.
#[derive(Clone, Debug)]
pub struct Current {
    /// The list, applied to the day asked for.
    pub list: PupilList,
    /// What to compare against.
    pub gallery: Gallery,
    /// The version that the load computed.
    pub version: String,
    /// When it was loaded.
    pub loaded: Timestamp,
}

/// The list in force without its embeddings.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The list, applied to the day asked for.
    pub list: PupilList,
    /// Its version.
    pub version: String,
    /// When it was loaded.
    pub loaded: Timestamp,
}

/// What loading `list` into `store` would change. Writes nothing.
pub fn compare(store: &Path, list: &PupilList) -> Result<Changes, StoreError> {
    Ok(Before::read(&folder(store))?.changes(list))
}

/// The list in force on the day `today`, without opening its embeddings.
pub fn list(store: &Path, today: Date) -> Result<Listed, StoreError> {
    let (record, list) = in_force(store, today)?;
    Ok(Listed { list, version: record.version, loaded: record.loaded })
}

/// The list in force by `rules`, or on the day that is given instead, with its embeddings.
///
/// # Errors
/// Nothing is loaded; list, gallery and key do not belong together.
pub fn current(
    store: &Path,
    gallery_key: &Path,
    rules: impl Into<Rules>,
) -> Result<Current, StoreError> {
    let Rules { today, photo_age } = rules.into();
    finish_interrupted(store, gallery_key);
    let folder = folder(store);
    let (record, list) = in_force(store, today)?;
    let references = match &record.gallery {
        None => BTreeMap::new(),
        Some(sealed) => {
            let path = gallery_key.to_owned();
            let key =
                KeyFile::read(gallery_key)?.ok_or(StoreError::NoKey { path: path.clone() })?;
            let opened = sealed::open(&folder, sealed, &key.identities, &record.sha256)?;
            opened.ok_or(StoreError::WrongKey { path })?.1
        }
    };
    for (id, entry) in &list.people {
        if references.get(id).map_or(0, Vec::len) != entry.photos.len() {
            return Err(damaged(folder, "embeddings and photos differ in number"));
        }
    }
    let gallery = gallery::assemble(&list, references, photo_age);
    Ok(Current { list, gallery, version: record.version, loaded: record.loaded })
}

/// Puts `list` in force, with the references that `gallery` has of its people.
///
/// # Errors
/// Nothing is loaded then: the list before stays in force.
pub fn load(list: &PupilList, gallery: &Gallery, how: &Load<'_>) -> Result<Loaded, StoreError> {
    load_announced(list, gallery, how, |_, _| Ok(()))
}

/// As [`load`]; `announce` hears what changes and the new version once nothing can refuse the list
/// any more and before it is in force. Where it fails nothing is loaded.
pub fn load_announced<E: From<StoreError>>(
    list: &PupilList,
    gallery: &Gallery,
    how: &Load<'_>,
    announce: impl FnOnce(&Changes, &str) -> Result<(), E>,
) -> Result<Loaded, E> {
    refuse_inside(how.store, how.gallery_key)?;
    let enrolled = list.people.iter().all(|(id, entry)| {
        gallery.people.get(id).map_or(0, |p| p.references.len()) == entry.photos.len()
    });
    if !enrolled {
        return Err(StoreError::NotEnrolled.into());
    }
    // A first look without touching anything: a refused load makes no folder.
    confirmed(&compare(how.store, list)?, how)?;
    let folder = folder(how.store);
    disk::make_folder(&folder)
        .and_then(|()| disk::close_folder(&folder))
        .map_err(|source| io("make", &folder, source))?;
    let _lock = lock(how.store, &folder)?.ok_or_else(|| busy(how.store))?;
    let before = Before::read(&folder)?;
    let changes = before.changes(list);
    confirmed(&changes, how)?;

    let tag = StoreTag::of(how.store)?;
    tidy(&folder, how.gallery_key, &tag, before.record())?;
    let key_path = key::file(how.gallery_key)?.to_string_lossy().into_owned();
    let sealed = if list.has_photos() {
        let old = KeyFile::read(how.gallery_key)?.map_or(vec![], |key| key.identities);
        let fresh = Identity::generate();
        let list_digest = record::digest(list);
        let sealed = sealed::seal(&folder, &key_path, &fresh, &list_digest, gallery)?;
        let both: Vec<&Identity> = std::iter::once(&fresh).chain(&old).collect();
        key::write(how.gallery_key, &tag, &both)?;
        Some(sealed)
    } else {
        None
    };
    let version = list.version(how.version_key);
    announce(&changes, &version)?;
    history::append(&folder, line(list, &changes, how, &version))?;
    let old_key = before.record().and_then(|r| r.gallery.as_ref()).map(|g| g.key.clone());
    let retired = old_key.filter(|key| *key != key_path);
    let record = Record::new(list, how.now, version.clone(), sealed, retired);
    record.write(&folder)?;
    // The new list counts; what follows removes what opened the old one.
    tidy(&folder, how.gallery_key, &tag, Some(&record))?;
    Ok(Loaded { version, changes })
}

fn folder(store: &Path) -> PathBuf {
    store.join("pupils")
}

fn in_force(store: &Path, today: Date) -> Result<(Record, PupilList), StoreError> {
    let folder = folder(store);
    match Record::read(&folder, today)? {
        Some(both) => Ok(both),
        None if history::last(&folder)?.is_some() => Err(damaged(folder, "its list is gone")),
        None => Err(StoreError::NothingLoaded { store: store.to_owned() }),
    }
}

fn confirmed(changes: &Changes, how: &Load<'_>) -> Result<(), StoreError> {
    let (needed, given) = (changes.removals(), how.confirm_removals);
    // A number that is too high is as little understood as one that is too low.
    if given.unwrap_or(0) == needed { Ok(()) } else { Err(StoreError::Removals { needed, given }) }
}

fn refuse_inside(store: &Path, gallery_key: &Path) -> Result<(), StoreError> {
    let look = |path: &Path| disk::resolved(path).map_err(|source| io("look at", path, source));
    if look(gallery_key)?.starts_with(look(store)?) {
        return Err(StoreError::KeyInside { path: gallery_key.to_owned() });
    }
    Ok(())
}

fn busy(store: &Path) -> StoreError {
    StoreError::Busy { store: store.to_owned() }
}

/// Held until dropped; `None` while somebody else holds it.
fn lock(store: &Path, folder: &Path) -> Result<Option<OwnedFd>, StoreError> {
    let path = folder.join("lock");
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = OwnedFd::from(file.map_err(|source| io("open", &path, source))?);
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(io("lock", store, e.into())),
    }
}

/// Removes what does not belong to the list in force: galleries and parts of files, every identity
/// but the one that opens its gallery, the key file of a list without photos.
fn tidy(
    folder: &Path,
    gallery_key: &Path,
    tag: &StoreTag,
    record: Option<&Record>,
) -> Result<(), StoreError> {
    let sealed = record.and_then(|r| r.gallery.as_ref());
    let entries = fs::read_dir(folder).map_err(|source| io("read", folder, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| io("read", folder, source))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let stale = name.starts_with(sealed::PREFIX) && sealed.is_none_or(|s| s.file != *name);
        if stale || name.ends_with(disk::PART) {
            let path = entry.path();
            disk::destroy(&path).map_err(|source| io("remove", &path, source))?;
        }
    }
    let retired = record.and_then(|r| r.retired_key.as_deref()).map(Path::new);
    if let Some(path) = retired {
        // Only a file that says it is this store's key: the path may have become another's.
        if KeyFile::read(path)?.is_some_and(|key| key.is_of(tag)) {
            key::destroy(path)?;
        }
    }
    let Some(key) = KeyFile::read(gallery_key)? else { return Ok(()) };
    let opening = match (record, sealed) {
        (Some(record), Some(sealed)) => {
            match sealed::open(folder, sealed, &key.identities, &record.sha256) {
                Ok(opened) => opened.map(|(i, _)| i),
                // A gallery that is damaged needs no key; the next load replaces both.
                Err(StoreError::Damaged { .. }) => None,
                Err(error) => return Err(error),
            }
        }
        _ => None,
    };
    if opening.is_none() && !key.is_of(tag) {
        return Err(StoreError::ForeignKey { path: gallery_key.to_owned() });
    }
    match (sealed, opening.and_then(|i| key.identities.get(i))) {
        (None, _) => key::destroy(gallery_key),
        (Some(_), Some(identity)) if key.identities.len() > 1 || !key.is_of(tag) => {
            key::write(gallery_key, tag, &[identity])
        }
        _ => Ok(()),
    }
}

/// Finishes what a power cut interrupted, unless a load is at it now. That this fails is no reason
/// not to use the list: a key that does not fit is reported by who opens the gallery.
fn finish_interrupted(store: &Path, gallery_key: &Path) {
    let folder = folder(store);
    let finish = || -> Result<(), StoreError> {
        if !folder.join("lock").exists() {
            return Ok(());
        }
        let Some(_lock) = lock(store, &folder)? else { return Ok(()) };
        let Some((record, _)) = Record::read(&folder, Date::MIN)? else { return Ok(()) };
        tidy(&folder, gallery_key, &StoreTag::of(store)?, Some(&record))
    };
    match finish() {
        // A key of something else was named by mistake: nothing is wrong with the store, and who opens
        // the gallery says so.
        Ok(()) | Err(StoreError::ForeignKey { .. } | StoreError::OpenKey { .. }) => {}
        Err(error) => tracing::warn!(%error, "could not clear what an interrupted load left"),
    }
}

fn line(list: &PupilList, changes: &Changes, how: &Load<'_>, version: &str) -> history::Line {
    history::Line {
        at: how.now,
        version: version.to_owned(),
        people: list.people.len(),
        refused: list.count(Status::Refused),
        consented: list.count(Status::Consented),
        staff: list.count(Status::Staff),
        photos: list.people.values().map(|e| e.photos.len()).sum(),
        added: changes.added.len(),
        removed: changes.removed.len(),
        status_changed: changes.status.len(),
        photos_changed: changes.photos.len(),
        refusals_lifted: changes.removals(),
        dpia: how.dpia.map(str::to_owned),
        before: String::new(),
    }
}
