//! The layout of a store, and the few ways in which files come to be in it.
//!
//! Belongs here: names, part files, directory syncs, locks. Does not belong: what the files hold.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

use super::{
    FileDigest, VaultError,
    digest::HashingWriter,
    keys::{BoxKey, BoxPublicKey},
    seal::SealingKey,
};
use crate::units::{CameraId, RecordingId};

/// What a file is called until it is whole.
pub(super) const PART: &str = ".part";

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const SIGNATURE: &str = "manifest.json.minisig";
pub(super) const JOURNAL: &str = "segments.jsonl";
pub(super) const KEY: &str = "key.age";
pub(super) const DETAILS: &str = "details.json.age";
pub(super) const GRANTS: &str = "grants";
/// Room held back while a recording is made.
pub(super) const RESERVE: &str = "reserve.part";
/// How the name of a granted key ends.
pub(super) const GRANT_KEY: &str = ".key.age";

const SEGMENT: &str = ".mp4.age";
const TRACKS: &str = ".tracks.age";

/// Turns an operating system error into one that names `path`.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> VaultError {
    let path = path.to_owned();
    move |source| VaultError::Io { path, source }
}

/// Makes the names in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), VaultError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}

/// Makes `dir`, for its owner only; its parent is synced.
pub(super) fn make_dir(dir: &Path) -> Result<(), VaultError> {
    fs::DirBuilder::new().mode(0o700).create(dir).map_err(at(dir))?;
    parent_of(dir).map_or(Ok(()), sync_dir)
}

/// Makes `dir` and what is missing above it.
pub(super) fn make_dirs(dir: &Path) -> Result<(), VaultError> {
    if dir.is_dir() {
        return Ok(());
    }
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => make_dirs(parent)?,
        _ => {}
    }
    match make_dir(dir) {
        // Somebody else was quicker.
        Err(VaultError::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Writes a file whole or not at all and never over another one; `mode` are its permissions.
///
/// A hard link gives the finished file its name, because it fails where the name is taken; a
/// crash leaves at most a part file.
pub(super) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), VaultError> {
    let part = PartName::beside(path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&part.0)
        .map_err(at(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at(path))?;
    fs::hard_link(&part.0, path).map_err(at(path))?;
    drop(part);
    parent_of(path).map_or(Ok(()), sync_dir)
}

/// The folder of `path`, `.` where it names none.
pub(super) fn parent_of(path: &Path) -> Option<&Path> {
    path.parent().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir })
}

/// A name beside `path` that goes away with this value.
struct PartName(PathBuf);

impl PartName {
    fn beside(path: &Path) -> Result<Self, VaultError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| VaultError::Io {
            path: path.to_owned(),
            source: io::Error::other(error.to_string()),
        })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!(".{name}.{:016x}{PART}", u64::from_ne_bytes(random));
        Ok(Self(path.with_file_name(name)))
    }
}

impl Drop for PartName {
    fn drop(&mut self) {
        // After `hard_link` the other name stays; before it, nothing is worth keeping.
        let _ = fs::remove_file(&self.0);
    }
}

/// A whole, synced file that still has its part name. [`publish`](Self::publish) names it; dropped
/// before that, it is removed.
#[must_use = "a part file is removed unless it is published"]
pub(super) struct PartFile {
    part: PathBuf,
    target: PathBuf,
    published: bool,
}

impl PartFile {
    /// Writes plain bytes: for files that are public.
    pub(super) fn write(target: &Path, bytes: &[u8]) -> Result<Self, VaultError> {
        Self::fill(target, |file| file.write_all(bytes).map_err(at(target))).map(|(part, ())| part)
    }

    /// Encrypts `plaintext` into the file; says what the encrypted file is like.
    pub(super) fn seal(
        target: &Path,
        key: &SealingKey,
        plaintext: &[u8],
    ) -> Result<(Self, FileDigest), VaultError> {
        Self::fill(target, |file| {
            let writer = HashingWriter::new(BufWriter::with_capacity(1 << 18, file));
            let writer = key.seal(target, plaintext, writer)?;
            let (mut buffer, digest) = writer.finish();
            buffer.flush().map_err(at(target))?;
            Ok(digest)
        })
    }

    fn fill<T>(
        target: &Path,
        write: impl FnOnce(&mut File) -> Result<T, VaultError>,
    ) -> Result<(Self, T), VaultError> {
        let mut part = target.as_os_str().to_owned();
        part.push(PART);
        let part = Self { part: part.into(), target: target.to_owned(), published: false };
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&part.part)
            .map_err(at(&part.part))?;
        let made = write(&mut file)?;
        file.sync_all().map_err(at(&part.part))?;
        Ok((part, made))
    }

    /// Gives the file its name, or leaves it under its part name where that fails.
    pub(super) fn publish_or_keep(mut self) -> Result<(), VaultError> {
        self.published = true;
        fs::rename(&self.part, &self.target).map_err(at(&self.target))
    }

    /// Leaves the file under its part name.
    pub(super) fn keep(mut self) {
        self.published = true;
    }

    /// Gives the file its name. The caller syncs the folder.
    pub(super) fn publish(mut self) -> Result<(), VaultError> {
        fs::rename(&self.part, &self.target).map_err(at(&self.target))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.published {
            // What cannot be removed now, recovery removes.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Overwrites a file with random bytes, syncs it and removes its name. The caller syncs the folder. A
/// link is removed and what it points to left alone. What overwriting is worth on flash memory is
/// written in SECURITY.md.
pub(super) fn destroy_file(path: &Path) -> Result<(), VaultError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new().write(true).custom_flags(flags.cast_signed()).open(path);
    match file {
        Ok(mut file) => {
            let mut left = file.metadata().map_err(at(path))?.len();
            let mut noise = [0; 4096];
            while left > 0 {
                let length = noise.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let failed = |error: getrandom::Error| io::Error::other(error.to_string());
                getrandom::fill(&mut noise[..length]).map_err(failed).map_err(at(path))?;
                file.write_all(&noise[..length]).map_err(at(path))?;
                left -= length as u64;
            }
            file.sync_all().map_err(at(path))?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {}
        Err(error) => return Err(at(path)(error)),
    }
    fs::remove_file(path).map_err(at(path))
}

/// Opens a regular file for reading; symbolic links and devices are refused.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path).map_err(
        |error| match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::LOOP) => io::Error::new(ErrorKind::InvalidData, "is no regular file"),
            _ => error,
        },
    )?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(ErrorKind::InvalidData, "is no regular file"))
    }
}

/// A small file that somebody was sent, as a whole.
pub fn read_small(path: &Path) -> Result<Vec<u8>, VaultError> {
    /// Thousands of people with three keys each.
    const SMALL: u64 = 64 << 20;
    read_at_most(path, SMALL).map_err(at(path))
}

/// Reads a file of at most `limit` bytes whole.
pub(super) fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(ErrorKind::InvalidData, "is longer than it can be"));
    }
    Ok(bytes)
}

/// What a try for a lock found.
pub(super) enum Locked {
    /// The lock is held as long as the value lives.
    Held(Lock),
    /// Somebody else has it.
    Busy,
}

/// A `flock` on a folder.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child process that is just being started has a copy of the
        // descriptor until it runs its own program, and with it the lock.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Tries to lock `dir` for its only writer.
pub(super) fn lock_to_write(dir: &Path) -> Result<Locked, VaultError> {
    let file = File::open(dir).map_err(at(dir))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Locked::Held(Lock(file))),
        Err(Errno::WOULDBLOCK) => Ok(Locked::Busy),
        Err(error) => Err(at(dir)(error.into())),
    }
}

/// Locks `dir` for its only writer as soon as nobody else has it. For what lasts moments.
pub(super) fn lock_and_wait(dir: &Path) -> Result<Lock, VaultError> {
    let file = File::open(dir).map_err(at(dir))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| at(dir)(error.into()))?;
    Ok(Lock(file))
}

/// Tries to lock `dir` against writers.
pub(super) fn lock_to_read(dir: &Path) -> Result<Locked, VaultError> {
    let file = File::open(dir).map_err(at(dir))?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => Ok(Locked::Busy),
        // A file system without locks, such as a network share, has no recorder on it either.
        Ok(()) | Err(_) => Ok(Locked::Held(Lock(file))),
    }
}

/// Makes the store where it is missing, with the public key by which others check what this box signs.
pub fn prepare(store: &Path, key: &BoxKey) -> Result<(), VaultError> {
    Store::prepare(store, key).map(drop)
}

/// `STORE`, made ready for one box.
#[derive(Debug)]
pub(super) struct Store(PathBuf);

impl Store {
    /// Makes the store where it is missing and checks that `key` is its box key.
    pub(super) fn prepare(path: &Path, key: &BoxKey) -> Result<Self, VaultError> {
        let store = Self(path.to_owned());
        make_dirs(&store.recordings())?;
        let _guard = store.lock()?;
        let public = store.public_key();
        match write_new(&public, key.public().to_file().as_bytes(), 0o644) {
            Ok(()) => {}
            Err(VaultError::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                store.check_key(key)?;
            }
            Err(error) => return Err(error),
        }
        Ok(store)
    }

    /// Opens a store that must exist, and checks that `key` is its box key.
    pub(super) fn existing(path: &Path, key: &BoxKey) -> Result<Self, VaultError> {
        let store = Self(path.to_owned());
        fs::metadata(path).map_err(at(path))?;
        if store.public_key().exists() {
            store.check_key(key)?;
        }
        Ok(store)
    }

    /// Its folder.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Removes what a crash left of writing `box.pub`. The caller holds the store's lock.
    pub(super) fn remove_parts(&self) -> Result<(), VaultError> {
        for name in names_in(&self.0)? {
            if name.starts_with('.') && name.ends_with(PART) {
                let path = self.0.join(name);
                fs::remove_file(&path).map_err(at(&path))?;
            }
        }
        Ok(())
    }

    fn check_key(&self, key: &BoxKey) -> Result<(), VaultError> {
        let path = self.public_key();
        let found = BoxPublicKey::load(&path)?;
        if found == *key.public() {
            return Ok(());
        }
        Err(VaultError::OtherBoxKey { path, found: found.id(), own: key.public().id() })
    }

    fn public_key(&self) -> PathBuf {
        self.0.join("box.pub")
    }

    pub(super) fn recordings(&self) -> PathBuf {
        self.0.join("recordings")
    }

    pub(super) fn recording(&self, id: RecordingId) -> RecordingDir {
        RecordingDir(self.recordings().join(id.to_string()))
    }

    /// Where a recording is put together before it gets its name.
    pub(super) fn staging(&self, id: RecordingId) -> RecordingDir {
        RecordingDir(self.recordings().join(format!(".{id}{STAGING}")))
    }

    /// Keeps recovery from removing what is just being made, and the other way round. Held for
    /// moments only.
    pub(super) fn lock(&self) -> Result<Lock, VaultError> {
        lock_and_wait(&self.recordings())
    }
}

/// How the name of a recording that is being made ends.
pub(super) const STAGING: &str = ".new";

/// The folder of one recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordingDir(pub(super) PathBuf);

impl RecordingDir {
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn camera(&self, camera: &CameraId) -> PathBuf {
        self.0.join(camera.as_str())
    }

    pub(super) fn segment(&self, camera: &CameraId, number: u32) -> PathBuf {
        self.0.join(segment_name(camera, number))
    }

    pub(super) fn tracks(&self, camera: &CameraId, number: u32) -> PathBuf {
        self.0.join(tracks_name(camera, number))
    }
}

/// `cam1/000001.mp4.age`
pub(super) fn segment_name(camera: &CameraId, number: u32) -> String {
    format!("{camera}/{number:06}{SEGMENT}")
}

/// `cam1/000001.tracks.age`
pub(super) fn tracks_name(camera: &CameraId, number: u32) -> String {
    format!("{camera}/{number:06}{TRACKS}")
}

/// What a file in a camera's folder is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CameraFile {
    Segment(u32),
    Tracks(u32),
    Part,
    Unknown,
}

impl CameraFile {
    pub(super) fn of(name: &str) -> Self {
        let number = |suffix: &str| {
            let digits = name.strip_suffix(suffix)?;
            let number = digits.parse().ok().filter(|&number| number > 0)?;
            // Only the one way of writing a number, so that no two names mean the same segment.
            (format!("{number:06}") == digits).then_some(number)
        };
        if name.ends_with(PART) {
            Self::Part
        } else if let Some(number) = number(SEGMENT) {
            Self::Segment(number)
        } else if let Some(number) = number(TRACKS) {
            Self::Tracks(number)
        } else {
            Self::Unknown
        }
    }
}

/// The names in a folder, sorted; none where the folder is missing.
pub(super) fn names_in(dir: &Path) -> Result<Vec<String>, VaultError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(dir)(error)),
    };
    let mut names = entries
        .map(|entry| Ok(entry.map_err(at(dir))?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>, VaultError>>()?;
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_camera_takes_the_name_of_another_folder_of_a_recording() {
        for folder in [GRANTS, crate::vault::access::MARKS, crate::vault::access::NOTES] {
            assert!(folder.parse::<CameraId>().is_err(), "{folder}");
        }
    }

    #[test]
    fn names_have_one_spelling() {
        let camera = CameraId::first();
        assert_eq!(segment_name(&camera, 7), "cam1/000007.mp4.age");
        assert_eq!(CameraFile::of("000007.mp4.age"), CameraFile::Segment(7));
        assert_eq!(CameraFile::of("1000007.tracks.age"), CameraFile::Tracks(1_000_007));
        assert_eq!(CameraFile::of("000007.mp4.age.part"), CameraFile::Part);
        for name in ["7.mp4.age", "0000007.mp4.age", "000000.mp4.age", "+00007.mp4.age", "a"] {
            assert_eq!(CameraFile::of(name), CameraFile::Unknown, "{name}");
        }
    }

    #[test]
    fn new_files_never_replace_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_new(&path, b"first", 0o600).unwrap();
        assert!(write_new(&path, b"second", 0o600).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names_in(dir.path()).unwrap(), ["file"], "no part file stays");
    }

    #[test]
    fn unpublished_parts_go_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        drop(PartFile::write(&path, b"x").unwrap());
        assert!(names_in(dir.path()).unwrap().is_empty());
        PartFile::write(&path, b"x").unwrap().publish().unwrap();
        assert_eq!(names_in(dir.path()).unwrap(), ["file"]);
    }

    #[test]
    fn links_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"x").unwrap();
        std::os::unix::fs::symlink(&path, dir.path().join("link")).unwrap();
        assert!(open_regular(&path).is_ok());
        assert!(open_regular(&dir.path().join("link")).is_err());
        assert!(open_regular(dir.path()).is_err());
    }

    #[test]
    fn writers_exclude_readers_and_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let Locked::Held(writer) = lock_to_write(dir.path()).unwrap() else { panic!("free") };
        assert!(matches!(lock_to_write(dir.path()).unwrap(), Locked::Busy));
        assert!(matches!(lock_to_read(dir.path()).unwrap(), Locked::Busy));
        drop(writer);
        let Locked::Held(_reader) = lock_to_read(dir.path()).unwrap() else { panic!("free") };
        assert!(matches!(lock_to_read(dir.path()).unwrap(), Locked::Held(_)));
        assert!(matches!(lock_to_write(dir.path()).unwrap(), Locked::Busy));
    }
}
