//! Looks at a whole store: every recording, the log, the certificates, and whether they tell the
//! same story. Mends what can be mended without guessing.
//!
//! Belongs here: what no single recording can show, such as one that the log knows and the disk
//! does not. Does not belong: judging a recording ([`super::check()`]) or a log ([`super::audit`]).

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    BoxKey, Digest, FileDigest, Trust, VaultError, access,
    audit::{AuditError, AuditLog, Checked as CheckedLog, Entry, Event},
    check, manifest, recover,
    register::FOLDER as REGISTERS,
    retention::{CERTIFICATES, GONE, check_certificate},
    store::{
        DETAILS, JOURNAL, Locked, MANIFEST, PART, PartFile, RecordingDir, SIGNATURE, STAGING, at,
        lock_to_write, make_dirs, names_in, open_regular, read_at_most, sync_dir,
    },
    writer::files_of,
};
use crate::units::RecordingId;

/// Something about a store that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where, relative to the store.
    pub place: String,
    /// What.
    pub problem: String,
    /// What is lost or unsafe until it is mended; a remark where nothing is.
    pub fault: bool,
}

/// What a look at a store found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// Recordings that are whole.
    pub whole: usize,
    /// Recordings that somebody writes just now.
    pub busy: usize,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
}

impl Examination {
    /// Whether anything is lost or unsafe.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        self.findings.iter().any(|finding| finding.fault)
    }

    fn fault(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        let (place, problem) = (place.into(), problem.into());
        self.findings.push(Finding { place, problem, fault: true });
    }

    fn remark(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        let (place, problem) = (place.into(), problem.into());
        self.findings.push(Finding { place, problem, fault: false });
    }
}

/// What the log says about one recording that the disk has to agree with.
#[derive(Default)]
struct Told {
    sealed: Option<Digest>,
    delete_by: Option<Timestamp>,
    closed: bool,
    destroyed: bool,
    certificate: Option<Digest>,
}

fn told(entries: &[Entry]) -> BTreeMap<RecordingId, Told> {
    let mut all: BTreeMap<RecordingId, Told> = BTreeMap::new();
    for event in entries.iter().filter_map(|entry| entry.event.as_ref()) {
        let Some(id) = event.recording() else { continue };
        let told = all.entry(id).or_default();
        let earlier =
            |found: Option<Timestamp>, new: Timestamp| found.map_or(new, |at| at.min(new));
        match event {
            Event::Armed { delete_by, .. } => {
                told.delete_by = Some(earlier(told.delete_by, *delete_by));
            }
            Event::TalkClosed { delete_by, .. } => {
                told.delete_by = Some(earlier(told.delete_by, *delete_by));
                told.closed = true;
            }
            Event::Sealed { manifest, .. }
            | Event::Recovered { manifest, .. }
            | Event::Adopted { manifest, .. } => {
                told.sealed = Some(*manifest);
            }
            Event::Destroyed { .. } => told.destroyed = true,
            Event::Certified { certificate, .. } => told.certificate = Some(*certificate),
            _ => {}
        }
    }
    all
}

/// Examines the store. `log` is its log as it was read and checked, if it has one; `progress` hears
/// the number of recordings looked at.
pub fn examine(
    store: &Path,
    trust: &Trust,
    log: Option<&CheckedLog>,
    mut progress: impl FnMut(usize),
) -> Result<Examination, VaultError> {
    fs::metadata(store).map_err(at(store))?;
    let mut found = Examination::default();
    match log {
        None => found.remark("audit", "there is no log"),
        Some(log) => {
            for flaw in &log.flaws {
                found.fault("audit/log.jsonl", flaw.to_string());
            }
            if let Some(torn) = log.torn {
                let problem = format!("a crash left {} bytes of a line", torn.bytes);
                found.remark("audit/log.jsonl", problem);
            }
        }
    }
    let entries = log.map_or(&[][..], |log| &log.entries[..]);
    let mut told = told(entries);
    let recordings = store.join("recordings");
    for (looked, name) in names_in(&recordings)?.into_iter().enumerate() {
        progress(looked);
        let place = format!("recordings/{name}");
        match name.parse::<RecordingId>() {
            Ok(id) if id.to_string() == name => {
                let told = told.remove(&id).unwrap_or_default();
                recording(&mut found, store, id, (&told, entries), trust)?;
            }
            _ if name.starts_with('.') && name.ends_with(STAGING) => {
                match lock_to_write(&recordings.join(&name))? {
                    Locked::Held(_) => found.remark(place, "was never begun: a crash left it"),
                    Locked::Busy => found.busy += 1,
                }
            }
            _ if name.starts_with('.') && name.ends_with(GONE) => {
                found.fault(place, "is being destroyed: `classveil retention apply` finishes it");
            }
            _ => found.fault(place, "does not belong in a store"),
        }
    }
    for (id, told) in told {
        missing(&mut found, store, id, &told, trust)?;
    }
    parts(&mut found, store)?;
    Ok(found)
}

/// A recording that is there.
fn recording(
    found: &mut Examination,
    store: &Path,
    id: RecordingId,
    (told, entries): (&Told, &[Entry]),
    trust: &Trust,
) -> Result<(), VaultError> {
    let place = format!("recordings/{id}");
    if told.destroyed {
        let problem = "was destroyed and is there: `classveil retention apply` removes it";
        found.fault(place, problem);
        return Ok(());
    }
    let path = store.join(&place);
    let checked = match check(&path, trust, |_| ()) {
        Ok(checked) => checked,
        Err(VaultError::InProgress { .. }) => {
            found.busy += 1;
            return Ok(());
        }
        Err(VaultError::Unsealed { .. }) => {
            found.fault(place, "was cut off and is not sealed");
            return Ok(());
        }
        Err(VaultError::Damaged { faults, .. }) => {
            for fault in faults {
                found.fault(format!("{place}/{}", fault.file), fault.problem);
            }
            return Ok(());
        }
        Err(
            error @ (VaultError::NotARecording { .. }
            | VaultError::UnknownFormat { .. }
            | VaultError::WrongBoxKey { .. }),
        ) => {
            found.fault(place, error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let manifest = checked.manifest();
    found.whole += 1;
    for (file, problem) in access::examine(&checked.dir, id, entries)? {
        found.fault(
            format!("{place}/{file}"),
            format!("{problem}: `classveil retention apply` ends it"),
        );
    }
    for file in access::marks_left(&checked.dir)? {
        found.remark(format!("{place}/{file}"), "was never finished: a crash left it");
    }
    let now = digest_of(&path.join(MANIFEST)).ok().map(|digest| digest.sha256);
    match told.sealed {
        None => found.remark(&*place, "is not in the log"),
        Some(sealed) if !told.closed && now != Some(sealed) => {
            found.fault(format!("{place}/{MANIFEST}"), "is not the one that the log names");
        }
        Some(_) => {}
    }
    if told.delete_by.is_some_and(|told| told < manifest.delete_by) {
        let problem = "names a later deadline than the log, whose deadline counts";
        found.remark(format!("{place}/{MANIFEST}"), problem);
    }
    Ok(())
}

/// A recording that the log knows and the disk does not have.
fn missing(
    found: &mut Examination,
    store: &Path,
    id: RecordingId,
    told: &Told,
    trust: &Trust,
) -> Result<(), VaultError> {
    if !told.destroyed {
        if told.sealed.is_some() {
            let problem = "is missing: the log knows of no destruction";
            found.fault(format!("recordings/{id}"), problem);
        }
        return Ok(());
    }
    let place = format!("{CERTIFICATES}/{id}.json");
    let path = store.join(&place);
    let Some(digest) = told.certificate else {
        found.fault(place, "is missing: its destruction was ordered and not completed");
        return Ok(());
    };
    match digest_of(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            found.fault(place, "is missing");
        }
        Err(error) => return Err(at(&path)(error)),
        Ok(now) if now.sha256 != digest => {
            found.fault(place, "is not the one that the log names");
        }
        Ok(_) => {
            if let Err(error) = check_certificate(&path, trust, None) {
                found.fault(place, error.to_string());
            }
        }
    }
    Ok(())
}

/// Part files outside recordings: left by a crash, worth nothing.
fn parts(found: &mut Examination, store: &Path) -> Result<(), VaultError> {
    for folder in ["", CERTIFICATES, REGISTERS] {
        for name in names_in(&store.join(folder))? {
            if name.ends_with(PART) {
                let place = Path::new(folder).join(&name).to_string_lossy().into_owned();
                found.remark(place, "was never finished: a crash left it");
            }
        }
    }
    Ok(())
}

fn digest_of(path: &Path) -> io::Result<FileDigest> {
    open_regular(path).and_then(FileDigest::of_reader)
}

/// What was mended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Recordings that were sealed.
    pub sealed: Vec<RecordingId>,
    /// Files that were taken from the backup, relative to the store.
    pub restored: Vec<String>,
    /// Files that a crash had left and that went.
    pub removed: Vec<String>,
    /// Recordings whose manifest was signed again with the deadline that the log names.
    pub signed: Vec<RecordingId>,
}

impl Repaired {
    fn count(&self) -> usize {
        self.sealed.len() + self.restored.len() + self.removed.len() + self.signed.len()
    }
}

/// Mends what can be mended: seals what was cut off, removes what a crash left, signs deadlines
/// that the log knows, and takes lost or altered segments from `backup`. Never makes a key.
pub fn repair(
    store: &Path,
    key: &BoxKey,
    log: &AuditLog,
    backup: Option<&Path>,
    now: Timestamp,
) -> Result<Repaired, AuditError> {
    let mut repaired = Repaired::default();
    let recovery = recover(store, key, now)?;
    log.note_recovery(now, &recovery)?;
    repaired.sealed = recovery.recovered.iter().map(|one| one.id).collect();
    let told = told(&log.entries()?);
    for name in names_in(&store.join("recordings"))? {
        let Ok(id) = name.parse::<RecordingId>() else { continue };
        let dir = RecordingDir(store.join("recordings").join(&name));
        let told = told.get(&id);
        if told.is_some_and(|told| told.destroyed) {
            continue;
        }
        let Locked::Held(_lock) = lock_to_write(&dir.0)? else { continue };
        let Ok(manifest) = manifest::read(&dir, &Trust::Pinned(key.public().clone())) else {
            continue;
        };
        if let Some(backup) = backup {
            restore(&dir, &manifest, &backup.join("recordings").join(&name), &mut repaired)?;
        }
        if let Some(delete_by) = told.and_then(|told| told.delete_by)
            && delete_by < manifest.delete_by
            && manifest.state != manifest::State::Recording
        {
            let mut manifest = manifest;
            manifest.delete_by = delete_by;
            let _ = manifest.publish(&dir, key)?;
            repaired.signed.push(id);
        }
    }
    for folder in ["", CERTIFICATES] {
        let folder_path = store.join(folder);
        for name in names_in(&folder_path)?.into_iter().filter(|name| name.ends_with(PART)) {
            let path = folder_path.join(&name);
            fs::remove_file(&path).map_err(at(&path))?;
            repaired.removed.push(Path::new(folder).join(name).to_string_lossy().into_owned());
        }
    }
    if repaired.count() > 0 {
        let repairs = repaired.count() as u64;
        log.append(now, &Event::StoreRepaired { repairs }).map(drop)?;
    }
    Ok(repaired)
}

/// Puts back what differs from the manifest, where the backup has exactly what it lists.
fn restore(
    dir: &RecordingDir,
    manifest: &manifest::Manifest,
    backup: &Path,
    repaired: &mut Repaired,
) -> Result<(), VaultError> {
    let own = [(DETAILS.to_owned(), manifest.details)];
    for (name, listed) in own.into_iter().chain(manifest.segments.iter().flat_map(files_of)) {
        let path = dir.file(&name);
        if digest_of(&path).is_ok_and(|found| found == listed) {
            continue;
        }
        if let Some(folder) = path.parent() {
            make_dirs(folder)?;
        }
        // Copied first and judged as it arrived.
        let Ok(bytes) = read_at_most(&backup.join(&name), listed.bytes) else {
            continue;
        };
        if FileDigest::of(&bytes) != listed {
            continue;
        }
        PartFile::write(&path, &bytes)?.publish()?;
        if let Some(folder) = path.parent() {
            sync_dir(folder)?;
        }
        let id = manifest.recording;
        repaired.restored.push(format!("recordings/{id}/{name}"));
    }
    Ok(())
}

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BackedUp {
    /// Recordings in the backup now.
    pub recordings: u64,
    /// Files that were copied; the others were there already.
    pub copied: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Recordings that are gone from the backup because they were destroyed.
    pub removed: u64,
    /// Recordings that were left out: damaged, not sealed, or in use.
    pub left_out: Vec<RecordingId>,
}

/// Copies the encrypted files of every whole recording to `target`, without any key, and removes
/// from it what was destroyed meanwhile.
pub fn back_up(
    store: &Path,
    target: &Path,
    trust: &Trust,
    log: &AuditLog,
    now: Timestamp,
) -> Result<BackedUp, AuditError> {
    let mut done = BackedUp::default();
    let told = told(&log.entries()?);
    let (from, to) = (store.join("recordings"), target.join("recordings"));
    make_dirs(&to)?;
    for name in names_in(&to)? {
        let Ok(id) = name.parse::<RecordingId>() else { continue };
        if told.get(&id).is_some_and(|told| told.destroyed) {
            let path = to.join(&name);
            fs::remove_dir_all(&path).map_err(at(&path))?;
            done.removed += 1;
        }
    }
    for name in names_in(&from)? {
        let Ok(id) = name.parse::<RecordingId>() else { continue };
        let Ok(checked) = check(&from.join(&name), trust, |_| ()) else {
            done.left_out.push(id);
            continue;
        };
        let manifest = checked.manifest();
        // What is copied is listed; keys and grants are not on the list.
        let mut names =
            vec![MANIFEST.to_owned(), SIGNATURE.to_owned(), JOURNAL.to_owned(), DETAILS.to_owned()];
        names.extend(manifest.segments.iter().flat_map(files_of).map(|(name, _)| name));
        names.extend(access::marks_files(&checked.dir)?);
        for file in names {
            copy(&from.join(&name).join(&file), &to.join(&name).join(&file), &mut done)?;
        }
        done.recordings += 1;
    }
    let event = Event::BackedUp { recordings: done.recordings, bytes: done.bytes };
    log.append(now, &event).map(drop)?;
    let mut others: Vec<PathBuf> = vec![PathBuf::from("box.pub")];
    for folder in ["audit", CERTIFICATES] {
        let names = names_in(&store.join(folder))?;
        let whole = names.into_iter().filter(|name| !name.ends_with(PART));
        others.extend(whole.map(|name| Path::new(folder).join(name)));
    }
    for name in others {
        copy(&store.join(&name), &target.join(&name), &mut done)?;
    }
    Ok(done)
}

/// Largest file that is copied: 30 s at 50 Mbit/s are 190 MB.
const FILE_LIMIT: u64 = 1 << 30;

/// Copies a file unless it is there already, byte for byte.
fn copy(from: &Path, to: &Path, done: &mut BackedUp) -> Result<(), VaultError> {
    // Read once: the log may grow meanwhile.
    let bytes = read_at_most(from, FILE_LIMIT).map_err(at(from))?;
    if digest_of(to).is_ok_and(|there| there == FileDigest::of(&bytes)) {
        return Ok(());
    }
    let folder = to.parent().unwrap_or_else(|| Path::new("."));
    make_dirs(folder)?;
    PartFile::write(to, &bytes)?.publish()?;
    sync_dir(folder)?;
    done.copied += 1;
    done.bytes += bytes.len() as u64;
    Ok(())
}
