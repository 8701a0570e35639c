//! A log that cannot be relied on any more gives way to a new one, which keeps what the old one still
//! proves.
//!
//! Belongs here: which lines are genuine whatever happened around them, and the order in which one log
//! takes the other's place. Does not belong: what else in a store the log vouched for (`super::super::renewal`).
//!
//! # Order of writing
//! What counted till now is copied into `audit/aside-ID/` and synced, before anything else is moved or written.
//! Then the new log, its checkpoint and its public key, each as a part file, fsync, rename; directory fsync. A
//! crash between two of them leaves a log that is damaged, too, and every line that was kept is in it: it is
//! renewed again.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        Digest, VaultError,
        store::{
            Lock, PartFile, at, lock_and_wait, make_dirs, names_in, read_at_most, sync_dir,
            write_new,
        },
    },
    AuditError, AuditKey, AuditPublicKey, Checkpoint, Entry, Event, Flaw,
    lines::{self, Head},
    log::{
        CHECKPOINT, FOLDER, LOG, LOG_LIMIT, NOTE_LIMIT, PUBLIC, look, new_origin, read_checkpoint,
    },
};
use crate::units::PersonId;

/// What the first line of a log says of the one before, in whose place it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// Origin and key of the log before; none where nothing of it was left.
    pub log: Option<AuditPublicKey>,
    /// Length of the file that was set aside.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Digest,
    /// Lines that the newest checkpoint of it stood for that its key signed; none where there was none.
    pub size: Option<u64>,
    /// The root of that checkpoint's tree.
    pub root: Option<Digest>,
    /// Lines that follow here, each as the old key signed it: lines 2 to `kept` + 1.
    pub kept: u64,
    /// Lines of which it is known that they are lost.
    pub lost: u64,
    /// Who renewed it.
    pub by: PersonId,
    /// Digest of the reason given.
    pub reason: Digest,
}

/// A damaged log, and what of it is genuine. Nobody writes to it as long as this lives.
#[derive(Debug)]
pub(in super::super) struct Salvage {
    dir: PathBuf,
    old: Option<AuditPublicKey>,
    text: Vec<u8>,
    checkpoint: Option<Checkpoint>,
    /// Genuine lines, in the order of their numbers.
    lines: Vec<String>,
    lost: u64,
    /// The latest time of a genuine line.
    latest: Option<Timestamp>,
    /// What is wrong with it.
    pub(in super::super) flaws: Vec<Flaw>,
    #[expect(dead_code, reason = "held for its lock")]
    lock: Lock,
}

impl Salvage {
    /// Looks at the log of `store`, also against checkpoints that somebody kept.
    ///
    /// # Errors
    /// [`AuditError::Whole`] where nothing is wrong with it; another key's log; a file that cannot be read.
    pub(in super::super) fn of(
        store: &Path,
        key: &AuditKey,
        kept: &[PathBuf],
    ) -> Result<Self, AuditError> {
        let dir = store.join(FOLDER);
        if !dir.is_dir() && is_bare(store)? {
            return Err(AuditError::NoLog { path: dir });
        }
        // Where somebody took the folder away, nothing of the log is left.
        make_dirs(&dir)?;
        let lock = lock_and_wait(&dir)?;
        // What is gone holds no line; of what cannot be read nobody knows that.
        let text = there(&dir.join(LOG), LOG_LIMIT)?;
        let note = there(&dir.join(CHECKPOINT), NOTE_LIMIT)?;
        let is_empty = text.is_none() && note.is_none();
        let (text, note) = (text.unwrap_or_default(), note.unwrap_or_default());
        let note = String::from_utf8_lossy(&note);
        let beside = match AuditPublicKey::load(&dir.join(PUBLIC)) {
            Ok(public) => Some(public),
            Err(AuditError::BadKey { .. }) => None,
            Err(AuditError::Store(VaultError::Io { source, .. }))
                if source.kind() == ErrorKind::NotFound =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        let old = origin(&text, &note, beside.as_ref(), key);
        let old = old.or_else(|| kept.iter().find_map(|path| origin_of(path, key)));
        let Some(old) = old else {
            if !is_empty || beside.is_some() {
                return Err(AuditError::OtherKey { path: dir });
            }
            // A witness's word that is not about a log of this key is no word that nothing was there.
            if let Some(path) = kept.first() {
                let problem = "cannot be read, or is of another log";
                return Err(AuditError::BadCheckpoint { path: path.clone(), problem });
            }
            let flaws = vec![Flaw::of_file("nothing of the log is left in audit/")];
            let (checkpoint, lines, lost, latest) = (None, Vec::new(), 0, None);
            return Ok(Self { dir, old: None, text, checkpoint, lines, lost, latest, flaws, lock });
        };
        let older = kept.iter().map(|path| read_checkpoint(path, &old));
        let older = older.collect::<Result<Vec<_>, _>>()?;
        let mut flaws = match look(&dir, &old, &older) {
            Ok(found) => found.inspection.flaws,
            Err(AuditError::Damaged { flaws, .. }) => flaws,
            Err(error) => return Err(error),
        };
        if beside.as_ref() != Some(&old) {
            flaws.push(Flaw::of_file("audit/log.vkey is not the key of the log"));
        }
        if flaws.is_empty() {
            return Err(AuditError::Whole { path: dir });
        }
        let checkpoint = Checkpoint::parse(&note, &old).ok();
        let promised = checkpoint.iter().chain(&older).map(|c| c.size).max().unwrap_or(0);
        let Genuine { lines, lost, latest } = genuine(&text, &old, promised);
        Ok(Self { dir, old: Some(old), text, checkpoint, lines, lost, latest, flaws, lock })
    }

    /// What the genuine lines say.
    pub(in super::super) fn entries(&self) -> Vec<Entry> {
        self.lines.iter().filter_map(|line| lines::entry_of(line)).collect()
    }

    /// Adds a line that something else vouches for, such as a certificate.
    pub(in super::super) fn add(&mut self, line: String) {
        self.lines.extend(lines::carried(line));
    }

    /// Refuses a time before what is genuine: the log would believe it from then on.
    pub(in super::super) fn refuse_earlier(&self, now: Timestamp) -> Result<(), AuditError> {
        let kept = self.lines.iter().filter_map(|line| lines::entry_of(line)).map(|entry| entry.at);
        match kept.chain(self.latest).max() {
            Some(latest) if now < latest => {
                Err(AuditError::ClockBehind { path: self.dir.clone(), now, latest })
            }
            _ => Ok(()),
        }
    }

    /// Where a copy of the old log lies, and what else is set aside goes; made.
    pub(in super::super) fn aside(&self, now: Timestamp) -> Result<Aside, AuditError> {
        let origin = new_origin(now);
        let name = origin.rsplit('/').next().unwrap_or_default();
        let folder = self.dir.join(format!("aside-{name}"));
        make_dirs(&folder)?;
        for name in [LOG, CHECKPOINT, PUBLIC] {
            if let Some(bytes) = there(&self.dir.join(name), LOG_LIMIT)? {
                write_new(&folder.join(name), &bytes, 0o600)?;
            }
        }
        sync_dir(&folder)?;
        sync_dir(&self.dir)?;
        Ok(Aside { folder, origin })
    }

    /// Puts a new log in the place of the old one: `opened` makes its first line, `more` comes last.
    pub(in super::super) fn replace(
        self,
        key: &AuditKey,
        aside: &Aside,
        now: Timestamp,
        (by, reason): (&PersonId, Digest),
        opened: impl FnOnce(AuditPublicKey, Renewal) -> Event,
        more: &[Event],
    ) -> Result<Renewal, AuditError> {
        let public = key.public(&aside.origin);
        let renewal = Renewal {
            log: self.old,
            bytes: self.text.len() as u64,
            sha256: Digest::of(&self.text),
            size: self.checkpoint.as_ref().map(|c| c.size),
            root: self.checkpoint.as_ref().map(|c| c.root),
            kept: self.lines.len() as u64,
            lost: self.lost,
            by: by.clone(),
            reason,
        };
        let path = self.dir.join(LOG);
        let (mut head, mut text) = (Head::start(), Vec::new());
        let first = opened(public.clone(), renewal.clone());
        let kept = self.lines.into_iter().map(|line| Event::Kept { line });
        for event in std::iter::once(first).chain(kept).chain(more.iter().cloned()) {
            let line = head.next_line(now, &event, key, &aside.origin);
            let line = line.map_err(|error| at(&path)(error.into()))?;
            head.follow(&line[..line.len() - 1], now);
            text.extend_from_slice(&line);
        }
        let note = key.checkpoint(&aside.origin, head.tree.len(), head.tree.root());
        let new = [
            (LOG, text),
            (CHECKPOINT, note.into_bytes()),
            (PUBLIC, format!("{public}\n").into_bytes()),
        ];
        // All are written before one counts.
        let parts = new.map(|(name, bytes)| PartFile::write(&self.dir.join(name), &bytes));
        for part in parts {
            part?.publish()?;
        }
        sync_dir(&self.dir)?;
        Ok(renewal)
    }
}

/// Where a log that was renewed lies.
#[derive(Debug)]
pub(in super::super) struct Aside {
    /// The folder.
    pub(in super::super) folder: PathBuf,
    origin: String,
}

impl Aside {
    /// Moves a file there, which does not count any more.
    pub(in super::super) fn take(&self, path: &Path) -> Result<(), AuditError> {
        let Some(name) = path.file_name() else { return Ok(()) };
        match fs::rename(path, self.folder.join(name)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at(path)(error).into()),
        }
        sync_dir(&self.folder)?;
        path.parent().map_or(Ok(()), |folder| Ok(sync_dir(folder)?))
    }
}

/// Which log it was, by whatever still says so: the name under which most lines are genuine.
pub(super) fn origin(
    text: &[u8],
    note: &str,
    beside: Option<&AuditPublicKey>,
    key: &AuditKey,
) -> Option<AuditPublicKey> {
    let own = beside.filter(|public| key.fits(public)).map(|public| public.origin().to_owned());
    let named = own.into_iter().chain(note.lines().next().map(str::to_owned));
    let opened = lines::entries(text).into_iter().find_map(|entry| match entry.event {
        Some(Event::Opened { key, .. }) => Some(key.origin().to_owned()),
        _ => None,
    });
    let candidates = named.chain(opened).filter(|origin| origin.starts_with("classveil/"));
    let counted = candidates.map(|origin| {
        let public = key.public(&origin);
        (genuine(text, &public, 0).lines.len(), public)
    });
    let best = counted.reduce(|best, one| if one.0 > best.0 { one } else { best });
    // Of a log without a single line of ours nobody knows that it was.
    best.filter(|(lines, public)| *lines > 0 || beside == Some(public)).map(|(_, public)| public)
}

/// Whether a store has nothing that a log knew of.
fn is_bare(store: &Path) -> Result<bool, AuditError> {
    for folder in ["recordings", "registers", "certificates"] {
        if !names_in(&store.join(folder))?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The log of which a checkpoint that somebody kept is, if it is one of this key's.
fn origin_of(path: &Path, key: &AuditKey) -> Option<AuditPublicKey> {
    let note = there(path, NOTE_LIMIT).ok()??;
    let note = String::from_utf8(note).ok()?;
    let public = key.public(note.lines().next()?);
    Checkpoint::parse(&note, &public).is_ok().then_some(public)
}

/// The bytes of a file; none where there is none.
fn there(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, AuditError> {
    match read_at_most(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error).into()),
    }
}

/// What of a log was written with its key.
struct Genuine {
    /// The lines, as they are carried on.
    lines: Vec<String>,
    /// How many are known to be lost.
    lost: u64,
    /// The latest time of any.
    latest: Option<Timestamp>,
}

fn genuine(text: &[u8], key: &AuditPublicKey, promised: u64) -> Genuine {
    let mut latest = None;
    let mut found = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for line in text.split(|&b| b == b'\n').filter(|line| lines::is_authentic(line, key)) {
        let Some(parsed) = lines::parse(line) else { continue };
        numbers.insert(parsed.n);
        latest = latest.max(Some(parsed.at));
        // Two of one number are of a log that was set back and went on: both were written.
        found.insert((parsed.n, String::from_utf8_lossy(line).into_owned()));
    }
    let highest = numbers.last().copied().unwrap_or(0).max(promised);
    let lost = highest - numbers.len() as u64;
    let carried = found.into_iter().filter_map(|(_, line)| lines::carried(line));
    Genuine { lines: carried.collect(), lost, latest }
}
