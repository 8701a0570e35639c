//! Files that only their owner may read, replaced so that a power cut leaves the old or the new one,
//! and overwritten before they are removed.

use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// SHA-256 in hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, b| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{b:02x}");
        hex
    })
}

/// Makes `folder`, and what is missing above it, for its owner only.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Takes `folder` away from everybody but its owner.
pub(super) fn close_folder(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

/// Puts `bytes` in the place of `path`, mode 0600. Either file is there at any moment.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = part_of(path);
    // A part that a power cut left may have another owner's mode.
    ignore_missing(fs::remove_file(&part))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.and_then(|()| fs::rename(&part, path)).inspect_err(|_| {
        let _ = fs::remove_file(&part);
    })?;
    sync_folder_of(path)
}

/// The name under which `path` is written before it is renamed.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(PART);
    path.with_file_name(name)
}

/// The end of a name that is not valid yet.
pub(super) const PART: &str = ".part";

/// Like [`replace`], and overwrites the old bytes with zeros.
pub(super) fn replace_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let old = match OpenOptions::new().write(true).open(path) {
        Ok(old) => Some(old),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    replace(path, bytes)?;
    old.map_or(Ok(()), |old| overwrite(&old))
}

/// Overwrites a file with zeros and removes it. One that is gone is fine.
pub(super) fn destroy(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).open(path) {
        Ok(file) => overwrite(&file)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    }
    ignore_missing(fs::remove_file(path))?;
    sync_folder_of(path)
}

fn overwrite(mut file: &File) -> io::Result<()> {
    let length = file.metadata()?.len();
    io::copy(&mut io::Read::take(io::repeat(0), length), &mut file)?;
    file.sync_all()
}

/// Adds `bytes` at the end of `path`, mode 0600.
pub(super) fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync_folder_of(path)
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Success where the file is gone already.
pub(super) fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// `path` with links followed as far as it exists.
pub(super) fn resolved(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    let mut missing = vec![];
    let mut known = absolute.as_path();
    loop {
        match known.canonicalize() {
            Ok(found) => return Ok(missing.iter().rev().fold(found, |p, name| p.join(name))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let (Some(parent), Some(name)) = (known.parent(), known.file_name()) else {
                    return Err(e);
                };
                missing.push(name.to_owned());
                known = parent;
            }
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_secret_is_gone_from_its_old_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        replace_secret(&path, b"old secret").unwrap();
        // Another name for the same bytes shows what became of them.
        let other = folder.path().join("other");
        fs::hard_link(&path, &other).unwrap();
        replace_secret(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(&other).unwrap(), [0; 10]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_missing_path_is_resolved_as_far_as_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        fs::create_dir(real.join("a")).unwrap();
        std::os::unix::fs::symlink(real.join("a"), real.join("link")).unwrap();
        assert_eq!(resolved(&real.join("link/b/c")).unwrap(), real.join("a/b/c"));
    }
}
