//! `STORE/index.sqlite`: what the manifests of a store say, so that a list of many recordings reads few
//! of them.
//!
//! Belongs here: when a row counts, and doing without the file. Does not belong: who is told what.
//!
//! The index is never the truth. Which recordings there are, their folders say; a row counts only while
//! manifest and signature are the very files that were read for it (inode, size, times), and only with
//! this box's own authentication code, so that nobody without the box key can write one. A row that does
//! not count, a file that is missing, altered or no database at all, costs time and changes no answer:
//! the manifests are read, and the index is made again. Nothing is decided by it: who asks for a
//! recording's files is judged by the signed manifest.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OpenFlags, params};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{
    BoxKey, Manifest, Trust, VaultError, manifest, shelf,
    store::{MANIFEST, RecordingDir, SIGNATURE},
};
use crate::units::{Pts, RecordingId};

/// Its name in the store.
pub(super) const FILE: &str = "index.sqlite";
/// Whoever else has it locked is done in moments, or the manifests are read.
const PATIENCE: Duration = Duration::from_millis(200);
/// No journal and no waiting for the disk: what a crash spoils is made again. What is deleted is
/// overwritten, because it is about a recording that is gone.
const SETTINGS: &str = "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; \
                        PRAGMA secure_delete = ON; PRAGMA user_version = 1; \
                        CREATE TABLE IF NOT EXISTS recordings (id TEXT PRIMARY KEY, \
                        files TEXT NOT NULL, card TEXT NOT NULL, code BLOB NOT NULL) STRICT;";

/// What a list says of one recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Its manifest, without the segments.
    pub manifest: Manifest,
    /// How many segments there are.
    pub segments: u64,
    /// Size of the encrypted segments.
    pub bytes: u64,
    /// Where the first segment begins, as far as that is known.
    pub begins: Option<Pts>,
    /// Where the last one ends.
    pub ends: Option<Pts>,
}

impl Card {
    /// The card of a recording.
    #[must_use]
    pub fn of(mut manifest: Manifest) -> Self {
        let segments = std::mem::take(&mut manifest.segments);
        Self {
            segments: segments.len() as u64,
            bytes: segments.iter().map(|segment| segment.video.bytes).sum(),
            begins: segments.iter().filter_map(|segment| segment.start_ns).min(),
            ends: segments.iter().filter_map(|segment| segment.end_ns).max(),
            manifest,
        }
    }

    /// From the first picture to the last, in seconds.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let (begins, ends) = self.begins.zip(self.ends)?;
        Some(ends.since(begins).as_secs_f64())
    }
}

/// One recording of a list: its card, or why it has none.
pub type Listed = (RecordingId, Result<Card, VaultError>);

/// All recordings of `store`, the oldest first. `key` is the box's; without it the index is left alone
/// and every manifest is read, by `trust`.
pub fn cards(store: &Path, key: Option<&BoxKey>, trust: &Trust) -> Result<Vec<Listed>, VaultError> {
    let ids = shelf::recordings(store)?;
    let mut index = key.and_then(|key| Index::open(store, key));
    let mut listed = Vec::with_capacity(ids.len());
    let mut read = Vec::new();
    for id in ids {
        let dir = RecordingDir(store.join("recordings").join(id.to_string()));
        // Before they are read: what changes meanwhile is read again next time.
        let files = files(&dir);
        let known = index.as_ref().and_then(|index| index.find(id, files.as_deref()?));
        if let Some(card) = known {
            listed.push((id, Ok(card)));
            continue;
        }
        let card = match manifest::read(&dir, trust) {
            // Destroyed a moment ago.
            Err(_) if !dir.0.is_dir() => continue,
            other => other.map(Card::of),
        };
        if let (Some(files), Ok(card)) = (files, &card) {
            read.push((id, files, card.clone()));
        }
        listed.push((id, card));
    }
    if let Some(index) = &mut index
        && let Err(error) = index.keep(&listed, &read)
    {
        tracing::warn!(%error, "the index cannot be written: it is made again");
        Index::remove(store);
    }
    Ok(listed)
}

/// Takes the row of a recording that is destroyed out of the index, and overwrites it. Best effort: a row
/// that stays counts for nothing, and the next list takes it out.
pub(super) fn forget(store: &Path, id: RecordingId) {
    if fs::symlink_metadata(store.join(FILE)).is_err() {
        return;
    }
    let forgotten = Index::database(store).and_then(|database| {
        database.execute("DELETE FROM recordings WHERE id = ?1", [id.to_string()])
    });
    if let Err(error) = forgotten {
        tracing::warn!(%error, "the index still names a recording that is destroyed");
        Index::remove(store);
    }
}

/// By which files a row was made: inode, size and times of manifest and signature. No program but one
/// that is root can give a file back the time of its last change.
fn files(dir: &RecordingDir) -> Option<String> {
    let stamp = |name: &str| {
        let file = fs::symlink_metadata(dir.file(name)).ok().filter(fs::Metadata::is_file)?;
        let (changed, nanos) = (file.ctime(), file.ctime_nsec());
        let written = (file.mtime(), file.mtime_nsec());
        Some(format!(
            "{} {} {} {}.{} {changed}.{nanos}",
            file.dev(),
            file.ino(),
            file.len(),
            written.0,
            written.1
        ))
    };
    Some(format!("{} / {}", stamp(MANIFEST)?, stamp(SIGNATURE)?))
}

struct Index {
    database: Connection,
    key: Zeroizing<[u8; 32]>,
}

impl Index {
    /// Opens the index, and makes it where it is missing or no index. None where that fails: it can be
    /// done without.
    fn open(store: &Path, key: &BoxKey) -> Option<Self> {
        let key = key.derive("index");
        let opened = Self::database(store).or_else(|error| {
            tracing::warn!(%error, "the index cannot be used: it is made again");
            Self::remove(store);
            Self::database(store)
        });
        let database =
            opened.inspect_err(|error| tracing::warn!(%error, "there is no index")).ok()?;
        Some(Self { database, key })
    }

    fn database(store: &Path) -> rusqlite::Result<Connection> {
        let path = store.join(FILE);
        // For its owner only, before anything is in it. That it is there already is no error.
        let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(&path, flags)?;
        database.busy_timeout(PATIENCE)?;
        database.execute_batch(SETTINGS)?;
        Ok(database)
    }

    fn remove(store: &Path) {
        let path = store.join(FILE);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the index cannot be removed");
        }
    }

    fn find(&self, id: RecordingId, files: &str) -> Option<Card> {
        let mut query =
            self.database.prepare_cached("SELECT files, card, code FROM recordings WHERE id = ?1");
        let row = query.as_mut().ok()?.query_row([id.to_string()], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?))
        });
        let (of, card, code) = row.ok()?;
        if of != files {
            return None;
        }
        self.mac(id, files, &card)?.verify_slice(&code).ok()?;
        serde_json::from_str::<Card>(&card).ok().filter(|card| card.manifest.recording == id)
    }

    fn mac(&self, id: RecordingId, files: &str, card: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.key).ok()?;
        for part in [&id.to_string(), files, card] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        Some(mac)
    }

    /// Keeps what was read, and forgets what is not there any more.
    fn keep(
        &mut self,
        listed: &[Listed],
        read: &[(RecordingId, String, Card)],
    ) -> rusqlite::Result<()> {
        let rows: i64 =
            self.database.query_row("SELECT count(*) FROM recordings", [], |row| row.get(0))?;
        let whole = listed.iter().filter(|(_, card)| card.is_ok()).count();
        if read.is_empty() && usize::try_from(rows) == Ok(whole) {
            return Ok(());
        }
        let known: Vec<String> = {
            let mut query = self.database.prepare("SELECT id FROM recordings")?;
            query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?
        };
        let there: std::collections::BTreeSet<String> =
            listed.iter().filter(|(_, card)| card.is_ok()).map(|(id, _)| id.to_string()).collect();
        let codes: Vec<_> = read
            .iter()
            .filter_map(|(id, files, card)| {
                let text = serde_json::to_string(card).ok()?;
                let code = self.mac(*id, files, &text)?.finalize().into_bytes().to_vec();
                Some((id.to_string(), files, text, code))
            })
            .collect();
        let change = self.database.transaction()?;
        for id in known.iter().filter(|id| !there.contains(*id)) {
            change.execute("DELETE FROM recordings WHERE id = ?1", [id])?;
        }
        for (id, files, card, code) in codes {
            change.execute(
                "INSERT OR REPLACE INTO recordings (id, files, card, code) VALUES (?1, ?2, ?3, ?4)",
                params![id, files, card, code],
            )?;
        }
        change.commit()
    }
}
