//! The log of a store: `STORE/audit/`. Belongs here: files, their order, the lock. Does not belong:
//! what a line is made of.
//!
//! # Order of writing
//! Line, fsync; checkpoint as a part file, fsync, rename, directory fsync. What a line announces is
//! done after that. A crash leaves a torn last line, which the next writer cuts away and notes, or
//! a checkpoint that is older than the log, which the lines' own signatures bridge.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;

use super::{
    super::{
        BoxPublicKey, Digest, Recovery, VaultError,
        store::{
            PartFile, at, lock_and_wait, make_dirs, names_in, read_at_most, sync_dir, write_new,
        },
    },
    AuditError, AuditKey, AuditPublicKey, Checkpoint, Entry, Event, Flaw, Proof,
    inspect::{Inspection, Torn, inspect},
    lines::{self, Head},
    renew::origin,
};
use crate::units::{CameraId, Pts, RecordingId};

/// Folder of the log in a store.
pub(super) const FOLDER: &str = "audit";
pub(super) const LOG: &str = "log.jsonl";
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const PUBLIC: &str = "log.vkey";

/// Some three million lines.
pub(super) const LOG_LIMIT: u64 = 1 << 30;
/// A checkpoint with the signatures of many witnesses.
pub(super) const NOTE_LIMIT: u64 = 1 << 16;

/// The log of a store, open for writing. Threads may share it; other processes may write to the
/// same log at the same time.
#[derive(Debug)]
pub struct AuditLog {
    dir: PathBuf,
    key: AuditKey,
    state: Mutex<State>,
    known: Mutex<Seen>,
}

/// Lines that were read, and the length of the log up to there.
#[derive(Debug, Default)]
struct Seen {
    bytes: u64,
    entries: Arc<Vec<Entry>>,
}

#[derive(Debug)]
struct State {
    public: AuditPublicKey,
    head: Head,
    /// Length of the log that `head` stands for.
    bytes: u64,
}

/// A line that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "what the line announces may happen now and not before"]
pub struct Written {
    /// Its number.
    pub line: u64,
    /// The line itself, without its line end.
    pub text: String,
}

impl AuditLog {
    /// Opens the log of `store`, begins it where there is none, and checks all of it. A last line
    /// that a crash tore is cut away, and a line says so.
    ///
    /// # Errors
    /// [`AuditError::Damaged`] where anything in it is not as it was written: nothing is added to
    /// such a log.
    pub fn open(
        store: &Path,
        key: AuditKey,
        box_key: &BoxPublicKey,
        now: Timestamp,
    ) -> Result<Self, AuditError> {
        let dir = store.join(FOLDER);
        make_dirs(&dir)?;
        let guard = lock_and_wait(&dir)?;
        remove_parts(&dir)?;
        let state = begin_or_load(store, &dir, &key, box_key, now)?;
        drop(guard);
        Ok(Self { dir, key, state: Mutex::new(state), known: Mutex::default() })
    }

    /// Adds a line, durably.
    pub fn append(&self, now: Timestamp, event: &Event) -> Result<Written, AuditError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let _guard = lock_and_wait(&self.dir)?;
        let path = self.dir.join(LOG);
        let bytes = fs::metadata(&path).map_err(at(&path))?.len();
        if bytes != state.bytes {
            // Another process wrote a line, or somebody else did something to the file.
            *state = load(&self.dir, &self.key, now)?;
        }
        append(&self.dir, &self.key, &mut state, now, event)
    }

    /// Notes that another configuration is in force, if it is another than the one noted last.
    pub fn note_configuration(&self, now: Timestamp, sha256: Digest) -> Result<(), AuditError> {
        let noted = self.entries()?.into_iter().rev().find_map(|entry| match entry.event {
            Some(Event::ConfigurationChanged { sha256 }) => Some(sha256),
            _ => None,
        });
        if noted == Some(sha256) {
            return Ok(());
        }
        self.append(now, &Event::ConfigurationChanged { sha256 }).map(drop)
    }

    /// Notes each recording that was completed after it had been cut off.
    pub fn note_recovery(&self, now: Timestamp, recovery: &Recovery) -> Result<(), AuditError> {
        recovery.recovered.iter().try_for_each(|one| {
            let segments = one.segments as u64;
            let event = Event::Recovered { recording: one.id, manifest: one.manifest, segments };
            self.append(now, &event).map(drop)
        })
    }

    /// All lines.
    pub fn entries(&self) -> Result<Vec<Entry>, AuditError> {
        read_log(&self.dir).map(|text| lines::entries(&text))
    }

    /// All lines as they were when they were read last, and what has been added since. For who asks
    /// often: a line that anybody adds is seen at once, and lines that were seen do not change any more.
    pub fn known(&self) -> Result<Arc<Vec<Entry>>, AuditError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let length = self.length()?;
        if length != known.bytes {
            let text = read_log(&self.dir)?;
            let (whole, _) = lines::split_torn(&text);
            let seen = usize::try_from(known.bytes).unwrap_or(usize::MAX);
            let last = known.entries.last().map_or("", |entry| &entry.text);
            let new = whole.split_at_checked(seen).filter(|(old, _)| {
                old.is_empty() || old.trim_ascii_end().ends_with(last.as_bytes())
            });
            match new {
                Some((_, new)) => Arc::make_mut(&mut known.entries).extend(lines::entries(new)),
                // It is not what it was: another log, or one that was cut.
                None => known.entries = Arc::new(lines::entries(whole)),
            }
            known.bytes = whole.len() as u64;
        }
        Ok(Arc::clone(&known.entries))
    }

    /// Whether `store` has a log, whatever it is worth.
    #[must_use]
    pub fn is_in(store: &Path) -> bool {
        store.join(FOLDER).join(LOG).exists()
    }

    /// Length of the log in bytes.
    pub fn length(&self) -> Result<u64, AuditError> {
        let path = self.dir.join(LOG);
        Ok(fs::metadata(&path).map_err(at(&path))?.len())
    }

    /// The newest checkpoint that is on the disk, whoever wrote it.
    pub(super) fn checkpoint_on_disk(&self) -> Result<Checkpoint, AuditError> {
        read_checkpoint(&self.dir.join(CHECKPOINT), &self.public())
    }

    /// A checkpoint of this log that somebody kept.
    pub(super) fn kept_checkpoint(&self, path: &Path) -> Result<Checkpoint, AuditError> {
        read_checkpoint(path, &self.public())
    }

    /// Whether the log began with the lines that `checkpoint` stands for when it was opened.
    pub(super) fn has(&self, checkpoint: &Checkpoint) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.head.tree.root_at(checkpoint.size) == Some(checkpoint.root)
    }

    /// The latest time in any line: no true time is before it.
    #[must_use]
    pub fn highest(&self) -> Option<Timestamp> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).head.highest
    }

    /// A proof that line number `line` is in the log as it is now.
    pub fn prove(&self, line: u64) -> Result<Proof, AuditError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        prove(&state.head, line, checkpoint(&self.key, &state))
    }

    /// The key that vouches for the log.
    #[must_use]
    pub fn public(&self) -> AuditPublicKey {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).public.clone()
    }
}

fn prove(head: &Head, line: u64, checkpoint: Checkpoint) -> Result<Proof, AuditError> {
    let path = line.checked_sub(1).and_then(|index| head.tree.inclusion(index));
    let path = path.ok_or(AuditError::NoLine { line, lines: head.tree.len() })?;
    Ok(Proof::new(line, path, checkpoint))
}

/// A new origin: which log this is, among all there are.
pub(super) fn new_origin(now: Timestamp) -> String {
    format!("classveil/{}", RecordingId::new(now))
}

fn begin_or_load(
    store: &Path,
    dir: &Path,
    key: &AuditKey,
    box_key: &BoxPublicKey,
    now: Timestamp,
) -> Result<State, AuditError> {
    let lengths = [LOG, CHECKPOINT].map(|name| fs::metadata(dir.join(name)).map(|m| m.len()));
    let [log, checkpoint] = lengths.map(Result::ok);
    if log.unwrap_or(0) > 0 || checkpoint.is_some() {
        return load(dir, key, now);
    }
    let path = dir.join(PUBLIC);
    if !path.exists() {
        let public = key.public(&new_origin(now));
        write_new(&path, format!("{public}\n").as_bytes(), 0o644)?;
    }
    let public = own(dir, key)?;
    create(&dir.join(LOG))?;
    sync_dir(dir)?;
    let mut state = State { public, head: Head::start(), bytes: 0 };
    let recordings = names_in(&store.join("recordings"))?;
    let event = Event::Opened {
        key: state.public.clone(),
        box_key: box_key.id(),
        recordings: recordings.iter().filter(|n| n.parse::<RecordingId>().is_ok()).count() as u64,
        software: concat!("classveil ", env!("CARGO_PKG_VERSION")).to_owned(),
        renews: None,
    };
    let Written { .. } = append(dir, key, &mut state, now, &event)?;
    Ok(state)
}

fn create(path: &Path) -> Result<(), AuditError> {
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(0o600).open(path).map_err(at(path))?;
    file.sync_all().map_err(at(path))?;
    Ok(())
}

/// The log's public key, if it is the other half of `key`.
fn own(dir: &Path, key: &AuditKey) -> Result<AuditPublicKey, AuditError> {
    let public = AuditPublicKey::load(&dir.join(PUBLIC))?;
    if key.fits(&public) { Ok(public) } else { Err(AuditError::OtherKey { path: dir.to_owned() }) }
}

/// Reads and checks the whole log, and sets right what a crash left.
fn load(dir: &Path, key: &AuditKey, now: Timestamp) -> Result<State, AuditError> {
    let public = own(dir, key)?;
    let found = look(dir, &public, &[])?;
    let damaged = |flaws| Err(AuditError::Damaged { path: dir.to_owned(), flaws });
    let Inspection { head, bytes, torn, flaws, .. } = found.inspection;
    if !flaws.is_empty() {
        return damaged(flaws);
    }
    let mut state = State { public, head, bytes };
    let path = dir.join(LOG);
    if found.checkpoint.is_none_or(|c| c.size < state.head.tree.len()) {
        write_checkpoint(dir, key, &state)?;
    }
    if let Some(Torn { bytes, sha256 }) = torn {
        let file = OpenOptions::new().append(true).open(&path).map_err(at(&path))?;
        file.set_len(state.bytes).and_then(|()| file.sync_all()).map_err(at(&path))?;
        let event = Event::Repaired { bytes, sha256 };
        let Written { .. } = append(dir, key, &mut state, now, &event)?;
    }
    Ok(state)
}

fn append(
    dir: &Path,
    key: &AuditKey,
    state: &mut State,
    now: Timestamp,
    event: &Event,
) -> Result<Written, AuditError> {
    let path = dir.join(LOG);
    let line = state
        .head
        .next_line(now, event, key, state.public.origin())
        .map_err(|error| at(&path)(error.into()))?;
    let mut file = OpenOptions::new().append(true).open(&path).map_err(at(&path))?;
    if let Err(error) = file.write_all(&line).and_then(|()| file.sync_all()) {
        // A torn line would be cut away as well; this only spares the note about it.
        let _ = file.set_len(state.bytes);
        return Err(at(&path)(error).into());
    }
    state.bytes += line.len() as u64;
    state.head.follow(&line[..line.len() - 1], now);
    write_checkpoint(dir, key, state)?;
    let text = String::from_utf8_lossy(&line[..line.len() - 1]).into_owned();
    Ok(Written { line: state.head.tree.len(), text })
}

fn checkpoint(key: &AuditKey, state: &State) -> Checkpoint {
    let (size, root) = (state.head.tree.len(), state.head.tree.root());
    Checkpoint { size, root, note: key.checkpoint(state.public.origin(), size, root) }
}

fn write_checkpoint(dir: &Path, key: &AuditKey, state: &State) -> Result<(), AuditError> {
    PartFile::write(&dir.join(CHECKPOINT), checkpoint(key, state).note.as_bytes())?.publish()?;
    sync_dir(dir)?;
    Ok(())
}

fn remove_parts(dir: &Path) -> Result<(), AuditError> {
    for name in names_in(dir)? {
        if name.ends_with(super::super::store::PART) {
            let path = dir.join(name);
            fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    Ok(())
}

fn read_log(dir: &Path) -> Result<Vec<u8>, AuditError> {
    let path = dir.join(LOG);
    read_at_most(&path, LOG_LIMIT).map_err(|error| match error.kind() {
        ErrorKind::NotFound => AuditError::Damaged {
            path: dir.to_owned(),
            flaws: vec![Flaw::of_file("log.jsonl is missing")],
        },
        _ => at(&path)(error).into(),
    })
}

pub(super) struct Found {
    pub(super) inspection: Inspection,
    checkpoint: Option<Checkpoint>,
    text: Vec<u8>,
}

/// Reads the log and what lies beside it, and judges both.
pub(super) fn look(
    dir: &Path,
    key: &AuditPublicKey,
    older: &[Checkpoint],
) -> Result<Found, AuditError> {
    let text = read_log(dir)?;
    let mut flaws = Vec::new();
    let path = dir.join(CHECKPOINT);
    let note = match read_at_most(&path, NOTE_LIMIT) {
        Ok(note) => Some(note),
        // Between the first line and the first checkpoint there is none.
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) if error.kind() == ErrorKind::InvalidData => Some(Vec::new()),
        Err(error) => return Err(at(&path)(error).into()),
    };
    let checkpoint = note.and_then(|note| {
        let parsed = std::str::from_utf8(&note).map_err(|_| "is no checkpoint");
        parsed
            .and_then(|note| Checkpoint::parse(note, key))
            .inspect_err(|problem| flaws.push(Flaw::of_file(format!("audit/checkpoint {problem}"))))
            .ok()
    });
    let mut inspection = inspect(&text, key, checkpoint.as_ref(), older);
    if checkpoint.is_none() && flaws.is_empty() && inspection.head.tree.len() > 1 {
        flaws.push(Flaw::of_file("audit/checkpoint is missing"));
    }
    let first = lines::entries(text.split_inclusive(|&b| b == b'\n').next().unwrap_or_default());
    let opened = first.into_iter().next().and_then(|entry| entry.event);
    if let Some(event) = opened
        && !matches!(&event, Event::Opened { key: named, .. } if named == key)
    {
        flaws.push(Flaw::at(1, "does not name this log and key"));
    }
    inspection.flaws.extend(flaws);
    Ok(Found { inspection, checkpoint, text })
}

/// Whose signature counts in a log.
#[derive(Clone, Debug)]
pub enum AuditTrust {
    /// Only this key's, which came another way than the log.
    Pinned(AuditPublicKey),
    /// That of the key file of this machine.
    Own(AuditKey),
    /// The one that lies beside the log: shows damage, not forgery.
    Unpinned,
}

/// A log that was read and checked.
#[derive(Debug)]
pub struct Checked {
    /// Where it lies.
    pub path: PathBuf,
    /// The key that vouches for it.
    pub key: AuditPublicKey,
    /// All lines, where none is at fault.
    pub entries: Vec<Entry>,
    /// Number of whole lines.
    pub lines: u64,
    /// The newest checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// A last line that is not whole: a crash, which the next writer sets right.
    pub torn: Option<Torn>,
    /// What is wrong; nothing where the log is as it was written.
    pub flaws: Vec<Flaw>,
    head: Head,
}

impl Checked {
    /// It, where nothing is wrong with it.
    ///
    /// # Errors
    /// [`AuditError::Damaged`], with what is wrong.
    pub fn whole(self) -> Result<Self, AuditError> {
        if self.flaws.is_empty() {
            return Ok(self);
        }
        Err(AuditError::Damaged { path: self.path, flaws: self.flaws })
    }

    /// The latest time in any line.
    #[must_use]
    pub fn highest(&self) -> Option<Timestamp> {
        self.head.highest
    }

    /// A proof that line number `line` is in the log.
    pub fn prove(&self, line: u64) -> Result<Proof, AuditError> {
        let size = self.head.tree.len();
        match &self.checkpoint {
            Some(checkpoint) if checkpoint.size == size => {
                prove(&self.head, line, checkpoint.clone())
            }
            // A crash just before the newest one was written: the next line brings it.
            _ => Err(AuditError::NoLine {
                line,
                lines: self.checkpoint.as_ref().map_or(0, |c| c.size),
            }),
        }
    }
}

/// Reads the log of `store` and checks it, also against `checkpoints` that somebody kept. Changes
/// nothing and needs no secret.
pub fn check_log(
    store: &Path,
    trust: &AuditTrust,
    checkpoints: &[PathBuf],
) -> Result<Checked, AuditError> {
    let dir = store.join(FOLDER);
    if !dir.is_dir() {
        return Err(AuditError::NoLog { path: dir });
    }
    // A reader of a copy may have no right to lock it, and nobody writes to a copy.
    let _guard = lock_and_wait(&dir).ok();
    let key = match trust {
        AuditTrust::Pinned(key) => key.clone(),
        AuditTrust::Own(key) => own(&dir, key)?,
        AuditTrust::Unpinned => AuditPublicKey::load(&dir.join(PUBLIC))?,
    };
    let older = checkpoints.iter().map(|path| read_checkpoint(path, &key));
    let older = older.collect::<Result<Vec<_>, _>>()?;
    let mut found = look(&dir, &key, &older)?;
    if let AuditTrust::Pinned(pinned) = trust {
        let beside = AuditPublicKey::load(&dir.join(PUBLIC)).ok();
        if beside.as_ref() != Some(pinned) {
            found
                .inspection
                .flaws
                .push(Flaw::of_file("audit/log.vkey is another key than the one given"));
        }
    }
    let Inspection { head, lines: count, torn, flaws, .. } = found.inspection;
    let entries = if flaws.is_empty() { lines::entries(&found.text) } else { Vec::new() };
    let path = dir;
    Ok(Checked {
        path,
        key,
        entries,
        lines: count,
        checkpoint: found.checkpoint,
        torn,
        flaws,
        head,
    })
}

/// A stretch of one camera of which nothing is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Stretch {
    pub(in super::super) camera: CameraId,
    pub(in super::super) from: Pts,
    pub(in super::super) to: Pts,
}

/// What the log of `store` says was dropped of `recording`, in its order. A line counts by its own
/// signature, with the key that `trust` says: a log that is damaged elsewhere brings nothing back. Where no key is
/// known and the one beside the log cannot be read every line counts, because what goes too early is seen to be
/// missing.
pub(in super::super) fn dropped(
    store: &Path,
    recording: RecordingId,
    trust: &AuditTrust,
) -> Result<Vec<Stretch>, VaultError> {
    let dir = store.join(FOLDER);
    let path = dir.join(LOG);
    let text = match read_at_most(&path, LOG_LIMIT) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(&path)(error)),
    };
    let beside = AuditPublicKey::load(&dir.join(PUBLIC)).ok();
    let key = match trust {
        AuditTrust::Pinned(key) => Some(key.clone()),
        AuditTrust::Own(key) => match origin(&text, "", beside.as_ref(), key) {
            Some(own) => Some(own),
            // Not a line of it is this box's.
            None => return Ok(Vec::new()),
        },
        AuditTrust::Unpinned => beside,
    };
    let mut stretches = Vec::new();
    for entry in lines::entries(&text) {
        let Some(Event::Dropped { recording: of, camera, from_ns, to_ns }) = entry.event else {
            continue;
        };
        let counts =
            || key.as_ref().is_none_or(|key| lines::is_authentic(entry.text.as_bytes(), key));
        if of == recording && counts() {
            stretches.push(Stretch { camera, from: from_ns, to: to_ns });
        }
    }
    Ok(stretches)
}

/// Reads a checkpoint that was kept elsewhere.
pub(super) fn read_checkpoint(path: &Path, key: &AuditPublicKey) -> Result<Checkpoint, AuditError> {
    let bad = |problem| AuditError::BadCheckpoint { path: path.to_owned(), problem };
    let note = read_at_most(path, NOTE_LIMIT).map_err(at(path))?;
    let note = std::str::from_utf8(&note).map_err(|_| bad("is no checkpoint"))?;
    Checkpoint::parse(note, key).map_err(bad)
}
