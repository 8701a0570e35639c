//! Files for the person who opens a recording: the one place where this program writes pictures
//! that anybody can look at.
//!
//! The file has no name until it is complete, where the file system allows that, so that not even
//! a killed process leaves one behind; elsewhere it has a hidden name that goes away on failure.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Seek, SeekFrom, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, OFlags, linkat};

use super::{
    VaultError,
    store::{PART, at, parent_of, sync_dir},
};

/// What may become of a file that has the output's name already.
#[derive(Clone, Debug)]
pub enum Existing {
    /// It stays, and there is no output.
    Keep,
    /// It is replaced, if it is an ordinary file and not one of these.
    ReplaceBut(Vec<PathBuf>),
}

/// A file in the making, readable by its owner only.
#[derive(Debug)]
#[must_use = "an output that is not published is removed"]
pub struct Output {
    file: File,
    target: PathBuf,
    existing: Existing,
    /// The hidden name, where the file system has no nameless files.
    hidden: Option<PathBuf>,
}

impl Output {
    /// Begins a file that will be called `target`.
    pub fn create(target: &Path, existing: Existing) -> Result<Self, VaultError> {
        may_become(target, &existing)?;
        let dir = parent_of(target).unwrap_or_else(|| Path::new("."));
        let nameless = OpenOptions::new()
            .read(true)
            .write(true)
            .mode(0o600)
            .custom_flags(OFlags::TMPFILE.bits().cast_signed())
            .open(dir);
        if let Ok(file) = nameless
            && Path::new(&by_descriptor(&file)).exists()
        {
            return Ok(Self { file, target: target.to_owned(), existing, hidden: None });
        }
        let hidden = hidden_name(target);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&hidden)
            .map_err(at(target))?;
        Ok(Self { file, target: target.to_owned(), existing, hidden: Some(hidden) })
    }

    /// Gives the complete file its name, durably.
    pub fn publish(self) -> Result<(), VaultError> {
        let target = self.target.clone();
        self.file.sync_all().map_err(at(&target))?;
        // Something else may have got the name meanwhile.
        may_become(&target, &self.existing)?;
        let named = self.give_name().map_err(at(&target));
        match named {
            Err(VaultError::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                return Err(exists(&target, "give --force to replace it"));
            }
            other => other?,
        }
        parent_of(&target).map_or(Ok(()), sync_dir)
    }

    fn give_name(mut self) -> io::Result<()> {
        let replace = matches!(self.existing, Existing::ReplaceBut(_));
        let hidden = match self.hidden.take() {
            Some(hidden) => hidden,
            None if !replace => return self.link_to(&self.target),
            None => {
                // A link cannot replace a file, a rename can.
                let hidden = hidden_name(&self.target);
                self.link_to(&hidden)?;
                hidden
            }
        };
        let named = if replace {
            fs::rename(&hidden, &self.target)
        } else {
            fs::hard_link(&hidden, &self.target)
        };
        // After a rename this finds nothing.
        let _ = fs::remove_file(&hidden);
        named
    }

    fn link_to(&self, name: &Path) -> io::Result<()> {
        let from = by_descriptor(&self.file);
        Ok(linkat(CWD, &from, CWD, name, AtFlags::SYMLINK_FOLLOW)?)
    }

    /// Publishes all or none.
    pub fn publish_all(outputs: Vec<Self>) -> Result<(), VaultError> {
        let mut done: Vec<PathBuf> = Vec::new();
        for output in outputs {
            let target = output.target.clone();
            if let Err(error) = output.publish() {
                for path in done {
                    let _ = fs::remove_file(path);
                }
                return Err(error);
            }
            done.push(target);
        }
        Ok(())
    }
}

/// Whether a file may get the name `target`. A device, a pipe or a link there is never replaced: who
/// names one means what is behind it, and a new file in its place would break whoever uses it.
fn may_become(target: &Path, existing: &Existing) -> Result<(), VaultError> {
    let found = match fs::symlink_metadata(target) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(target)(error)),
    };
    if found.is_dir() {
        return Err(exists(target, "it is a folder; give a file name"));
    }
    if !found.is_file() {
        return Err(exists(
            target,
            "it is no ordinary file and is never replaced; give another file name",
        ));
    }
    let Existing::ReplaceBut(kept) = existing else {
        return Err(exists(target, "give --force to replace it"));
    };
    let same = |kept: &PathBuf| {
        fs::metadata(kept).is_ok_and(|k| (k.dev(), k.ino()) == (found.dev(), found.ino()))
    };
    if kept.iter().any(same) {
        return Err(exists(target, "it is a key and is never replaced; give another file name"));
    }
    Ok(())
}

fn exists(path: &Path, hint: &'static str) -> VaultError {
    VaultError::Exists { path: path.to_owned(), hint }
}

fn by_descriptor(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn hidden_name(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{}{PART}", std::process::id()))
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(hidden) = &self.hidden {
            let _ = fs::remove_file(hidden);
        }
    }
}

impl Write for Output {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Output {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::store::names_in;

    fn write(target: &Path, text: &str, replace: bool) -> Result<(), VaultError> {
        let existing = if replace { Existing::ReplaceBut(vec![]) } else { Existing::Keep };
        let mut output = Output::create(target, existing)?;
        output.write_all(text.as_bytes()).unwrap();
        output.publish()
    }

    #[test]
    fn complete_files_get_their_name_and_others_none() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.mp4");
        let mut output = Output::create(&target, Existing::Keep).unwrap();
        output.write_all(b"half").unwrap();
        drop(output);
        assert!(names_in(dir.path()).unwrap().is_empty());
        write(&target, "first", false).unwrap();
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(write(&target, "x", false), Err(VaultError::Exists { .. })));
        write(&target, "second", true).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "second");
        assert_eq!(names_in(dir.path()).unwrap(), ["out.mp4"]);
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.mp4");
        let output = Output::create(&target, Existing::Keep).unwrap();
        fs::write(&target, "theirs").unwrap();
        assert!(matches!(output.publish(), Err(VaultError::Exists { .. })));
        assert_eq!(fs::read_to_string(&target).unwrap(), "theirs");
        assert_eq!(names_in(dir.path()).unwrap(), ["out.mp4"]);
    }

    #[test]
    fn links_pipes_and_keys_are_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("teacher.key"), "secret").unwrap();
        fs::hard_link(path("teacher.key"), path("same.key")).unwrap();
        std::os::unix::fs::symlink(path("teacher.key"), path("link")).unwrap();
        std::os::unix::fs::symlink(path("nothing"), path("dangling")).unwrap();
        rustix::fs::mkfifoat(CWD, path("pipe"), 0o600.into()).unwrap();
        let before = names_in(dir.path()).unwrap();
        for name in ["teacher.key", "same.key", "link", "dangling", "pipe"] {
            for existing in [Existing::Keep, Existing::ReplaceBut(vec![path("teacher.key")])] {
                let refused = Output::create(&path(name), existing);
                assert!(matches!(refused, Err(VaultError::Exists { .. })), "{name}");
            }
        }
        assert_eq!(names_in(dir.path()).unwrap(), before);
        assert_eq!(fs::read_to_string(path("teacher.key")).unwrap(), "secret");
    }

    #[test]
    fn a_link_that_appears_meanwhile_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.mp4");
        let output = Output::create(&target, Existing::ReplaceBut(vec![])).unwrap();
        std::os::unix::fs::symlink(dir.path(), &target).unwrap();
        assert!(matches!(output.publish(), Err(VaultError::Exists { .. })));
        assert!(fs::symlink_metadata(&target).unwrap().is_symlink());
        assert_eq!(names_in(dir.path()).unwrap(), ["out.mp4"]);
    }

    #[test]
    fn several_files_appear_together_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let outputs = ["a", "b"]
            .map(|name| Output::create(&path(name), Existing::Keep).unwrap())
            .into_iter()
            .collect();
        fs::write(path("b"), "theirs").unwrap();
        assert!(Output::publish_all(outputs).is_err());
        assert_eq!(names_in(dir.path()).unwrap(), ["b"]);
    }
}
