//! The gallery's key file: an age identity that lives outside the store and no longer than one list.
//!
//! During a load the file holds the new identity beside the old one, so that whichever list a power
//! cut leaves in force can be opened.

use std::{
    fs,
    io::ErrorKind as IoKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use age::{secrecy::ExposeSecret, x25519::Identity};
use zeroize::Zeroizing;

use super::{
    disk,
    error::{StoreError, io},
};

/// Names a store in its key file, so that no load overwrites another store's key or a person's:
/// the first twelve digits of the SHA-256 of the store's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoreTag(String);

impl StoreTag {
    pub(super) fn of(store: &Path) -> Result<Self, StoreError> {
        let path = disk::resolved(store).map_err(|source| io("look at", store, source))?;
        let digest = disk::sha256_hex(path.as_os_str().as_encoded_bytes());
        Ok(Self(digest.chars().take(12).collect()))
    }
}

/// The name of the key file of `store`, for who keeps the keys of several stores in one folder.
pub fn default_key_name(store: &Path) -> Result<String, StoreError> {
    Ok(format!("gallery-{}.key", StoreTag::of(store)?.0))
}

const TAG_LINE: &str = "# classveil gallery key of store ";

/// A key file's content.
pub(super) struct KeyFile {
    tag: Option<StoreTag>,
    pub(super) identities: Vec<Identity>,
}

impl KeyFile {
    /// `None` where there is no file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, StoreError> {
        let failed = |source| io("read", path, source);
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == IoKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        if !metadata.is_file() || metadata.len() > 64 << 10 {
            return Err(StoreError::ForeignKey { path: path.to_owned() });
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(StoreError::OpenKey { path: path.to_owned() });
        }
        let bytes = Zeroizing::new(fs::read(path).map_err(failed)?);
        // A file of another kind is read as one without identities, which opens nothing.
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let tag = text.lines().find_map(|l| l.strip_prefix(TAG_LINE));
        Ok(Some(Self {
            tag: tag.map(|t| StoreTag(t.trim().to_owned())),
            identities: text.lines().filter_map(|l| l.parse().ok()).collect(),
        }))
    }

    /// Whether this program wrote it for the store `tag`.
    pub(super) fn is_of(&self, tag: &StoreTag) -> bool {
        self.tag.as_ref() == Some(tag)
    }
}

/// Replaces the key file, overwriting the old one.
pub(super) fn write(
    path: &Path,
    tag: &StoreTag,
    identities: &[&Identity],
) -> Result<(), StoreError> {
    let path = file(path)?;
    if let Some(parent) = path.parent() {
        disk::make_folder(parent).map_err(|source| io("make", parent, source))?;
    }
    let mut text = Zeroizing::new(String::with_capacity(512));
    text.push_str(TAG_LINE);
    text.push_str(&tag.0);
    text.push_str("\n# replaced by every `classveil pupils load`; keep no copies\n");
    for identity in identities {
        text.push_str(identity.to_string().expose_secret());
        text.push('\n');
    }
    disk::replace_secret(&path, text.as_bytes()).map_err(|source| io("write", &path, source))
}

/// Overwrites and removes a key file.
pub(super) fn destroy(path: &Path) -> Result<(), StoreError> {
    let path = file(path)?;
    disk::destroy(&path).map_err(|source| io("remove", &path, source))
}

/// The file itself where `path` is a link to it.
pub(super) fn file(path: &Path) -> Result<PathBuf, StoreError> {
    disk::resolved(path).map_err(|source| io("look at", path, source))
}
