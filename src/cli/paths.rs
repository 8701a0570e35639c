//! Where things are when the operator does not say so.

use std::path::{Path, PathBuf};

use super::Failure;
use crate::{
    error::ErrorKind,
    vault::{BoxPublicKey, Trust},
};

/// This program's folder for what it keeps: `$XDG_DATA_HOME/classveil`, else
/// `~/.local/share/classveil`. None where neither variable is set.
pub(super) fn data_folder() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let data = from("XDG_DATA_HOME").or_else(|| Some(from("HOME")?.join(".local/share")))?;
    Some(data.join("classveil"))
}

/// The box's signing key: `box.key` in the data folder.
pub(super) fn default_box_key() -> Option<PathBuf> {
    Some(data_folder()?.join("box.key"))
}

/// The box key to sign with: `given`, else the default.
pub(super) fn box_key(given: Option<&Path>) -> Result<PathBuf, Failure> {
    given.map(Path::to_owned).or_else(default_box_key).ok_or_else(|| {
        Failure::new(ErrorKind::Config, "no place for the box key: set HOME or give --box-key FILE")
    })
}

/// Whose signature counts: the key in `given`, else this machine's own, else none in particular.
pub(super) fn trust(given: Option<&Path>) -> Result<Trust, Failure> {
    let own = match (given, default_box_key()) {
        (Some(path), _) => Some(BoxPublicKey::load(path)?),
        (None, Some(path)) => BoxPublicKey::of_secret(&path)?,
        (None, None) => None,
    };
    Ok(own.map_or(Trust::Unpinned, Trust::Pinned))
}
