//! Where things are when the operator does not say so.

use std::path::{Path, PathBuf};

use super::Failure;
use crate::{
    config::Config,
    error::ErrorKind,
    vault::{
        BoxPublicKey, Trust,
        audit::{AuditKey, AuditPublicKey, AuditTrust},
    },
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

/// The same, where a configuration says whose box it is: the key in `given`, else that of the configured
/// box key, else as [`trust`].
pub(super) fn trust_by(given: Option<&Path>, config: &Config) -> Result<Trust, Failure> {
    let Some(path) = config.store.box_key.as_deref().filter(|_| given.is_none()) else {
        return trust(given);
    };
    BoxPublicKey::of_secret(path)?.map_or_else(|| trust(None), |own| Ok(Trust::Pinned(own)))
}

/// The key of the audit log: `given`, else `audit.key` beside the box key.
pub(super) fn audit_key(given: Option<&Path>, box_key: &Path) -> PathBuf {
    given.map_or_else(|| box_key.with_file_name("audit.key"), Path::to_owned)
}

/// Whose signature counts in a log: the public key in `given`, else this machine's own, else none in
/// particular.
pub(super) fn audit_trust(
    given: Option<&Path>,
    box_key: Option<&Path>,
) -> Result<AuditTrust, Failure> {
    if let Some(path) = given {
        return Ok(AuditTrust::Pinned(AuditPublicKey::load(path)?));
    }
    let own = box_key.map(Path::to_owned).or_else(default_box_key);
    match own.map(|path| audit_key(None, &path)).filter(|path| path.exists()) {
        Some(path) => Ok(AuditTrust::Own(AuditKey::load(&path)?)),
        None => Ok(AuditTrust::Unpinned),
    }
}
