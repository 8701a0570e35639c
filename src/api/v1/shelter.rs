//! Where a pupil list with its photos is for as long as it is looked at: a folder in memory, for its
//! owner only, gone in any case.
//!
//! Belongs here: taking a zip in, and unpacking it within limits. Does not belong: what a list has to
//! say. Photos of pupils never touch the disk: where there is no file system in memory, nothing is
//! taken in.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use futures_util::StreamExt;
use rustix::fs::{StatFs, statfs};
use tokio::sync::OwnedSemaphorePermit;
use zip::ZipArchive;

use crate::{api::problem::Problem, vault::Digest};

/// Longest zip.
const ZIP_BYTES: u64 = 128 << 20;
/// Most bytes that may come out of it.
const OUT_BYTES: u64 = 256 << 20;
/// Longest photo.
const PHOTO_BYTES: u64 = 32 << 20;
/// Longest list: a thousand pupils take some 100 KiB.
const LIST_BYTES: u64 = 4 << 20;
/// Most files in it.
const FILES: usize = 3000;
/// Longest path in it, and most folders in one.
const PATH_BYTES: usize = 200;
const DEPTH: usize = 5;
/// What `statfs` says of file systems in memory.
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;

/// The folder, for as long as it lives.
#[derive(Debug)]
pub(super) struct Shelter {
    path: PathBuf,
    /// Nobody else uses the folder before it is gone.
    _turn: OwnedSemaphorePermit,
}

impl Drop for Shelter {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::error!(%error, "an uploaded list could not be removed from memory");
        }
    }
}

/// The folder of the box whose store this is. One at a time uses it.
fn place(store: &Path) -> Option<PathBuf> {
    let store = store.canonicalize().unwrap_or_else(|_| store.to_owned());
    let name = Digest::of(store.as_os_str().as_encoded_bytes()).to_string();
    let folders = ["/run/classveil", "/dev/shm"];
    let in_memory = |folder: &&str| {
        let kind = statfs(Path::new(folder)).map(kind_of);
        let writable = rustix::fs::access(Path::new(folder), rustix::fs::Access::WRITE_OK).is_ok();
        writable && kind.is_ok_and(|kind| [TMPFS, RAMFS].contains(&kind))
    };
    let folder = folders.into_iter().find(in_memory)?;
    Some(Path::new(folder).join(format!("classveil-{}", &name[..16])))
}

fn kind_of(found: StatFs) -> u64 {
    // The kernel's type is signed on some machines; the low 32 bits are the number.
    u64::try_from(found.f_type & 0xffff_ffff).unwrap_or_default()
}

/// Removes what a box that was killed left behind.
pub(in crate::api) fn clear(store: &Path) {
    if let Some(path) = place(store) {
        let _ = fs::remove_dir_all(path);
    }
}

/// What was unpacked.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// The list.
    pub(super) list: PathBuf,
    /// Its name in the zip.
    pub(super) name: String,
}

/// A file of the zip that is refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) file: String,
    pub(super) text: &'static str,
}

impl Refused {
    fn new(file: &str, text: &'static str) -> Self {
        // Enough to find it by.
        Self { file: file.chars().filter(|c| !c.is_control()).take(100).collect(), text }
    }
}

impl Shelter {
    pub(super) fn new(store: &Path, turn: OwnedSemaphorePermit) -> Result<Self, Problem> {
        let path = place(store).ok_or_else(|| {
            let text = "there is no file system in memory for the photos, and they are not written \
                        to a disk: use `classveil pupils load` on the box";
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "no-memory", text)
        })?;
        let _ = fs::remove_dir_all(&path);
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| Problem::broken(&error))?;
        Ok(Self { path, _turn: turn })
    }

    /// Takes in the body of a request.
    pub(super) async fn take(&self, headers: &HeaderMap, body: Body) -> Result<(), Problem> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.map(str::trim) != Some("application/zip") {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "not-zip", "send application/zip"));
        }
        let too_long = || {
            let text = "the zip is longer than 128 MiB: make the photos smaller";
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text)
        };
        let said = headers.get(header::CONTENT_LENGTH).and_then(|said| said.to_str().ok());
        if said.and_then(|said| said.parse::<u64>().ok()).is_some_and(|said| said > ZIP_BYTES) {
            return Err(too_long());
        }
        let mut file = create(&self.zip()).map_err(|error| full(&error))?;
        let mut length = 0;
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let cut = |_| Problem::bad("cut-off", "the zip did not come whole");
            let chunk = chunk.map_err(cut)?;
            length += chunk.len() as u64;
            if length > ZIP_BYTES {
                return Err(too_long());
            }
            // Into memory: it does not block.
            file.write_all(&chunk).map_err(|error| full(&error))?;
        }
        Ok(())
    }

    fn zip(&self) -> PathBuf {
        self.path.join("upload.zip")
    }

    /// Unpacks it: one list, and photos.
    pub(super) fn unpack(&self) -> Result<Result<Unpacked, Vec<Refused>>, Problem> {
        let file = File::open(self.zip()).map_err(|error| full(&error))?;
        let not_zip = || Ok(Err(vec![Refused::new("", "this is no zip, or it is damaged")]));
        let Ok(mut zip) = ZipArchive::new(file) else { return not_zip() };
        if zip.len() > FILES {
            return Ok(Err(vec![Refused::new("", "there are more than 3000 files in it")]));
        }
        let root = self.path.join("list");
        DirBuilder::new().mode(0o700).create(&root).map_err(|error| full(&error))?;
        let (mut refused, mut lists, mut left) = (Vec::new(), Vec::new(), OUT_BYTES);
        for index in 0..zip.len() {
            let Ok(mut entry) = zip.by_index(index) else { return not_zip() };
            let Ok(name) = entry.name().map(std::borrow::Cow::into_owned) else {
                refused.push(Refused::new("", "a file has a name that cannot be read"));
                continue;
            };
            if entry.is_dir() || is_clutter(&name) {
                continue;
            }
            if entry.encrypted() || entry.is_symlink() {
                let text = "it is a link, or locked with a password: pack plain files";
                refused.push(Refused::new(&name, text));
                continue;
            }
            let Some(path) = inside(&name) else {
                refused.push(Refused::new(&name, "its path leads elsewhere, or is too long"));
                continue;
            };
            let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
            let limit = match extension.to_str() {
                Some("csv") => LIST_BYTES,
                Some("jpg" | "jpeg" | "png" | "webp") => PHOTO_BYTES,
                _ => {
                    let text = "it is neither a list (.csv) nor a photo (.jpg, .png, .webp)";
                    refused.push(Refused::new(&name, text));
                    continue;
                }
            };
            let target = root.join(&path);
            // What comes out is counted; what the zip says of itself is not believed.
            match write(&mut entry, &target, limit.min(left)) {
                Ok(bytes) => left -= bytes,
                Err(Stopped::TooLong) => {
                    let text = "it is too large, or the zip holds more than 256 MiB in all";
                    refused.push(Refused::new(&name, text));
                    return Ok(Err(refused));
                }
                Err(Stopped::Twice) => {
                    refused.push(Refused::new(&name, "it is in the zip twice"));
                }
                Err(Stopped::Damaged) => refused.push(Refused::new(&name, "it is damaged")),
                Err(Stopped::Full(error)) => return Err(full(&error)),
            }
            if limit == LIST_BYTES {
                lists.push(Unpacked { list: target, name });
            }
        }
        let list = lists.pop();
        if !lists.is_empty() {
            refused.push(Refused::new("", "there are several lists (.csv) in it: pack one"));
        }
        match list {
            _ if !refused.is_empty() => Ok(Err(refused)),
            None => Ok(Err(vec![Refused::new("", "there is no list (.csv) in it")])),
            Some(list) => Ok(Ok(list)),
        }
    }
}

/// What file managers put into zips by themselves.
fn is_clutter(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or_default();
    name.starts_with("__MACOSX/") || last.starts_with('.') || last.eq_ignore_ascii_case("thumbs.db")
}

/// The path of a name that stays inside its folder.
fn inside(name: &str) -> Option<PathBuf> {
    if name.len() > PATH_BYTES || name.contains(['\\', '\0']) || name.contains("//") {
        return None;
    }
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && path.components().count() <= DEPTH).then(|| path.to_owned())
}

enum Stopped {
    TooLong,
    Twice,
    Damaged,
    Full(io::Error),
}

fn write(entry: &mut impl Read, target: &Path, limit: u64) -> Result<u64, Stopped> {
    if let Some(folder) = target.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(Stopped::Full)?;
    }
    let mut file = create(target).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Stopped::Twice,
        _ => Stopped::Full(error),
    })?;
    let mut buffer = vec![0; 64 << 10];
    let mut length = 0;
    loop {
        // The checksum is looked at where the entry ends.
        let read = entry.read(&mut buffer).map_err(|_| Stopped::Damaged)?;
        if read == 0 {
            return Ok(length);
        }
        length += read as u64;
        if length > limit {
            return Err(Stopped::TooLong);
        }
        file.write_all(&buffer[..read]).map_err(Stopped::Full)?;
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn full(error: &io::Error) -> Problem {
    if error.kind() == io::ErrorKind::StorageFull {
        let text = "there is not enough memory for it: make the photos smaller";
        return Problem::new(StatusCode::INSUFFICIENT_STORAGE, "no-memory", text);
    }
    Problem::broken(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_inside() {
        for good in ["list.csv", "5b/photos/p-01.jpg", "Lijst 2026/é.png"] {
            assert_eq!(inside(good), Some(PathBuf::from(good)));
        }
        let deep = "a/".repeat(DEPTH) + "x.jpg";
        let long = "x".repeat(PATH_BYTES + 1);
        for bad in
            ["../x.csv", "/etc/x.csv", "a/../../x", "a\\..\\x", "./x", "a//b", "x\0", &deep, &long]
        {
            assert_eq!(inside(bad), None, "{bad}");
        }
    }

    #[test]
    fn clutter_is_left_out() {
        assert!(is_clutter("__MACOSX/._p-01.jpg") && is_clutter("a/.DS_Store"));
        assert!(!is_clutter("a/p-01.jpg"));
    }
}
