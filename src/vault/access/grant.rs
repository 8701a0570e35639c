//! Grants: a recording's own key for one person more, with the teacher's signed statement.
//!
//! Belongs here: making, taking in, ending and tidying of `grants/`. Does not belong: who has which
//! key, which is handed in.
//!
//! # Files
//! ```text
//! grants/PERSON.key.age     the recording's key, encrypted to that person's keys
//! grants/PERSON.grant       the statement: who, until when, digest of the file above; signed
//! ```
//! `key.age` is never touched.
//!
//! # Order of writing
//! Both as part files, fsync, directory fsync; the `granted` line; an older key of the same person
//! overwritten; both renamed, directory fsync. To end a grant: the `revoked` line, the key
//! overwritten, synced and unlinked, the statement unlinked, directory fsync. What a crash leaves
//! [`tidy()`] completes: the log says which statement is in force, and every other key goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::ErrorKind as IoKind,
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::{
    BoxKey, Digest, FileDigest, Opened, Recipient, Trust, VaultError,
    audit::{AuditLog, Entry, Event},
    encrypt_to,
    manifest::{self, State},
    sign::{PersonKey, PersonPublicKey, Signed, Statement},
    store::{
        GRANT_KEY, GRANTS, Lock, Locked, PART, PartFile, RecordingDir, at, destroy_file,
        lock_and_wait, lock_to_read, make_dirs, names_in, read_at_most, sync_dir,
    },
};
use super::{AccessError, Act, Roles};
use crate::units::{PersonId, RecordingId};

/// How the name of a grant's statement ends.
pub(in super::super) const STATEMENT: &str = ".grant";
/// A wrapped key, or a statement, is a few thousand bytes.
const LIMIT: u64 = 1 << 20;

/// What a teacher says when granting access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The recording.
    pub recording: RecordingId,
    /// `key.age` of that recording.
    pub of: Digest,
    /// Who may open it.
    pub person: PersonId,
    /// With which keys.
    pub recipients: Vec<Recipient>,
    /// With which keys they sign what they say of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<PersonPublicKey>,
    /// When it was signed.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// `grants/PERSON.key.age`.
    pub key: FileDigest,
    /// The teacher.
    pub by: PersonId,
}

impl Statement for Grant {
    const KIND: &'static str = "classveil-grant/1";

    fn by(&self) -> &PersonId {
        &self.by
    }
}

/// The keys of somebody who may be given access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysToLook {
    /// With which they open it.
    pub recipients: Vec<Recipient>,
    /// With which they sign what they say of it.
    pub signers: Vec<PersonPublicKey>,
}

/// A grant on its way from the teacher to the store: the statement and the wrapped key.
#[derive(Clone, Debug)]
pub struct NewGrant {
    statement: Signed<Grant>,
    key: Vec<u8>,
}

/// The form in which it is handed over.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parcel {
    statement: String,
    key: String,
}

impl NewGrant {
    /// Wraps the key of an opened recording for `person`, until `until` or the recording's own end,
    /// and signs that in the name of `by`.
    pub fn make(
        opened: &Opened,
        (person, keys): (&PersonId, &KeysToLook),
        until: Timestamp,
        (by, key): (&PersonId, &PersonKey),
        now: Timestamp,
    ) -> Result<Self, AccessError> {
        let manifest = opened.checked().manifest();
        let recording = manifest.recording;
        let until = until.min(manifest.delete_by);
        if until <= now {
            return Err(AccessError::Over { until });
        }
        let text = opened.key_text(&format!(
            "# classveil recording {recording}\n# granted to {person} until {until} by {by}\n"
        ));
        let wrapped = encrypt_to(&keys.recipients, text.as_bytes(), "the granted key")?;
        let statement = Grant {
            recording,
            of: manifest.key.sha256,
            person: person.clone(),
            recipients: keys.recipients.clone(),
            signers: keys.signers.clone(),
            from: now,
            until,
            key: FileDigest::of(&wrapped),
            by: by.clone(),
        };
        let statement = Signed::parse(&key.sign(&statement)).map_err(AccessError::bad)?;
        Ok(Self { statement, key: wrapped })
    }

    /// Takes a statement and the wrapped key that it is about. Nothing it says counts before
    /// [`install`](Self::install).
    pub fn parse(statement: &str, key: Vec<u8>) -> Result<Self, AccessError> {
        let statement = Signed::parse(statement).map_err(AccessError::bad)?;
        Ok(Self { statement, key })
    }

    /// What it says, whoever signed it.
    #[must_use]
    pub fn claim(&self) -> &Grant {
        self.statement.claim()
    }

    /// The bytes of a file to hand over.
    #[must_use]
    pub fn to_parcel(&self) -> Vec<u8> {
        let (statement, key) = (self.statement.note().to_owned(), STANDARD.encode(&self.key));
        // Two texts always have a JSON form.
        let mut bytes = serde_json::to_vec_pretty(&Parcel { statement, key }).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads a file that was handed over. Nothing it says counts before [`install`](Self::install).
    pub fn load(path: &Path) -> Result<Self, AccessError> {
        let bytes = read_at_most(path, LIMIT).map_err(at(path))?;
        let parcel: Parcel = serde_json::from_slice(&bytes)
            .map_err(|_| AccessError::bad("is not what `classveil grant --output` writes"))?;
        let key = STANDARD.decode(parcel.key).map_err(|_| AccessError::bad("was altered"))?;
        Self::parse(&parcel.statement, key)
    }

    /// Takes the grant into `store`, once everything about it holds: the recording's own teacher
    /// signed it with one of `signers`, every key that it names is among the person's `keys`, it is not
    /// over, and it is not one that ended before.
    pub fn install(
        &self,
        store: &Path,
        log: &AuditLog,
        key: &BoxKey,
        signers: &[PersonPublicKey],
        keys: &KeysToLook,
        now: Timestamp,
    ) -> Result<(), AccessError> {
        let claim = self.statement.check(signers).map_err(AccessError::bad)?;
        if claim.key != FileDigest::of(&self.key) {
            return Err(AccessError::bad("is for another wrapped key than the one beside it"));
        }
        if claim.recipients.is_empty()
            || !claim.recipients.iter().all(|recipient| keys.recipients.contains(recipient))
        {
            return Err(AccessError::bad("is wrapped for a key that is not that person's now"));
        }
        if !claim.signers.iter().all(|signer| keys.signers.contains(signer)) {
            return Err(AccessError::bad("names a signing key that is not that person's now"));
        }
        let now = log.highest().map_or(now, |highest| highest.max(now));
        if claim.until <= now {
            return Err(AccessError::Over { until: claim.until });
        }
        let (dir, _reading) = living(store, log, claim.recording)?;
        let manifest = manifest::read(&dir, &Trust::Pinned(key.public().clone()))?;
        if manifest.recording != claim.recording || manifest.state == State::Recording {
            return Err(VaultError::Unsealed { path: dir.0 }.into());
        }
        if manifest.teacher.as_ref() != Some(&claim.by) {
            let (recording, by) = (claim.recording, claim.by.clone());
            return Err(AccessError::NotTheTeacher { recording, by });
        }
        if manifest.key.sha256 != claim.of {
            return Err(AccessError::bad("is of another key than the recording's"));
        }
        if claim.person == claim.by || claim.person.as_str().is_empty() {
            return Err(AccessError::bad("is for the teacher, who can open the recording anyway"));
        }
        let folder = dir.file(GRANTS);
        make_dirs(&folder)?;
        let _writing = lock_and_wait(&folder)?;
        let entries = log.entries()?;
        let told = told(&entries);
        if told.used.contains(&self.statement.digest()) {
            return Err(AccessError::bad("was used before: a teacher signs each grant anew"));
        }
        settle(&folder, claim.recording, &told, log, now)?;
        let (key_path, path) =
            (file(&folder, &claim.person, GRANT_KEY), file(&folder, &claim.person, STATEMENT));
        let key = PartFile::write(&key_path, &self.key)?;
        let statement = PartFile::write(&path, self.statement.note().as_bytes())?;
        sync_dir(&folder)?;
        let event = Event::Granted {
            recording: claim.recording,
            person: claim.person.clone(),
            until: claim.until,
            by: claim.by.clone(),
            statement: self.statement.digest(),
        };
        // From here on the part files count if the line is on disk, and it may be although the checkpoint
        // after it is not: whatever fails, they stay for whoever settles the folder by the log.
        let announced = log.append(now, &event).map_err(AccessError::from);
        let ready = announced.and_then(|_| Ok(destroy_file(&key_path)?));
        if let Err(error) = ready {
            key.keep();
            statement.keep();
            return Err(error);
        }
        let named = statement.publish_or_keep();
        key.publish_or_keep()?;
        named?;
        sync_dir(&folder)?;
        Ok(())
    }
}

fn file(folder: &Path, person: &PersonId, ending: &str) -> std::path::PathBuf {
    folder.join(format!("{person}{ending}"))
}

/// The folder of a recording that is not destroyed, kept from being destroyed meanwhile.
pub(super) fn living(
    store: &Path,
    log: &AuditLog,
    recording: RecordingId,
) -> Result<(RecordingDir, Lock), AccessError> {
    let entries = log.entries()?;
    let destroyed = entries.iter().any(|entry| {
        matches!(&entry.event, Some(Event::Destroyed { recording: gone, .. }) if *gone == recording)
    });
    let dir = RecordingDir(store.join("recordings").join(recording.to_string()));
    if destroyed || !dir.0.is_dir() {
        return Err(AccessError::NoRecording { recording });
    }
    match lock_to_read(&dir.0)? {
        Locked::Held(lock) => Ok((dir, lock)),
        Locked::Busy => Err(AccessError::InUse { recording }),
    }
}

/// What the log says about grants.
#[derive(Debug, Default)]
struct Told {
    /// Those that were made and did not end: until when, and the digest of the statement.
    live: BTreeMap<(RecordingId, PersonId), (Timestamp, Digest)>,
    /// Every statement there ever was.
    used: BTreeSet<Digest>,
    /// Those that ended.
    ended: BTreeSet<(RecordingId, PersonId)>,
}

fn told(entries: &[Entry]) -> Told {
    let mut told = Told::default();
    for event in entries.iter().filter_map(|entry| entry.event.as_ref()) {
        match event {
            Event::Granted { recording, person, until, statement, .. } => {
                let of = (*recording, person.clone());
                told.used.insert(*statement);
                told.ended.remove(&of);
                told.live.insert(of, (*until, *statement));
            }
            Event::Revoked { recording, person, .. } => {
                let of = (*recording, person.clone());
                told.live.remove(&of);
                told.ended.insert(of);
            }
            _ => {}
        }
    }
    told
}

/// Ends the grant of `person`; nobody's key is needed. What they opened before, they keep. By `roles`
/// the teacher who made it does so, or the privacy officer.
pub fn revoke(
    store: &Path,
    log: &AuditLog,
    roles: &Roles,
    recording: RecordingId,
    person: &PersonId,
    by: &PersonId,
    now: Timestamp,
) -> Result<(), AccessError> {
    let (dir, _reading) = living(store, log, recording)?;
    let folder = dir.file(GRANTS);
    let none = || AccessError::NoGrant { recording, person: person.clone() };
    if !folder.is_dir() {
        return Err(none());
    }
    let _writing = lock_and_wait(&folder)?;
    let entries = log.entries()?;
    // Without a grant there is nobody who made it.
    let granted_by = granted_by(&entries, recording, person).ok_or_else(none)?;
    roles.may(by, &Act::Revoke { granted_by })?;
    settle(&folder, recording, &told(&entries), log, now)?;
    if !file(&folder, person, GRANT_KEY).exists() {
        return Err(none());
    }
    let event = Event::Revoked { recording, person: person.clone(), by: Some(by.clone()) };
    log.append(now, &event).map(drop)?;
    remove(&folder, person)?;
    Ok(sync_dir(&folder)?)
}

/// Who made the last grant of `person`, by the log.
fn granted_by<'a>(
    entries: &'a [Entry],
    recording: RecordingId,
    person: &PersonId,
) -> Option<&'a PersonId> {
    entries.iter().rev().find_map(|entry| match &entry.event {
        Some(Event::Granted { recording: of, person: to, by, .. })
            if *of == recording && to == person =>
        {
            Some(by)
        }
        _ => None,
    })
}

/// Overwrites and removes everything that the folder has of `person`.
fn remove(folder: &Path, person: &PersonId) -> Result<(), VaultError> {
    for ending in [GRANT_KEY, STATEMENT] {
        let path = file(folder, person, ending);
        destroy_file(&path)?;
        destroy_file(&part(&path))?;
    }
    Ok(())
}

fn part(path: &Path) -> std::path::PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(PART);
    part.into()
}

/// Whose file it is, by its name; part files too.
fn person_of(name: &str) -> Option<PersonId> {
    let name = name.strip_suffix(PART).unwrap_or(name);
    let person = [GRANT_KEY, STATEMENT].iter().find_map(|ending| name.strip_suffix(ending));
    person?.parse().ok()
}

/// Whether a file in `grants/` has a name that a grant can have.
pub(in super::super) fn is_grant_file(name: &str) -> bool {
    person_of(name).is_some()
}

/// Brings a `grants/` folder to what the log says, at the time `now`: completes what was cut off,
/// ends what is over, removes what nobody granted. The caller holds the folder. Returns whose grants
/// ended.
fn settle(
    folder: &Path,
    recording: RecordingId,
    told: &Told,
    log: &AuditLog,
    now: Timestamp,
) -> Result<Vec<PersonId>, AccessError> {
    let mut ended = Vec::new();
    let names = names_in(folder)?;
    let people: BTreeSet<PersonId> = names.iter().filter_map(|name| person_of(name)).collect();
    let mut changed = false;
    for person in people {
        let of = (recording, person);
        let person = &of.1;
        let (key, statement) = (file(folder, person, GRANT_KEY), file(folder, person, STATEMENT));
        let is = |path: &Path, digest: Digest| {
            read_at_most(path, LIMIT).is_ok_and(|bytes| Digest::of(&bytes) == digest)
        };
        match told.live.get(&of) {
            Some((until, digest)) if *until > now => {
                let (key_part, statement_part) = (part(&key), part(&statement));
                if is(&statement_part, *digest) {
                    // Announced and not named yet; without its key there is only the older one.
                    if key_part.exists() {
                        destroy_file(&key)?;
                        rename(&key_part, &key)?;
                    }
                    rename(&statement_part, &statement)?;
                    changed = true;
                } else if is(&statement, *digest) {
                    if key_part.exists() && !fits(&key, &statement) && fits(&key_part, &statement) {
                        destroy_file(&key)?;
                        rename(&key_part, &key)?;
                        changed = true;
                    }
                    for left in [key_part, statement_part] {
                        changed |= left.symlink_metadata().is_ok();
                        destroy_file(&left)?;
                    }
                } else {
                    remove(folder, person)?;
                    changed = true;
                }
            }
            live => {
                let stands = [&key, &statement].iter().any(|path| path.symlink_metadata().is_ok());
                if live.is_none() && !stands {
                    // Cut off before it was announced: nobody was ever granted anything.
                    remove(folder, person)?;
                    changed = true;
                    continue;
                }
                if live.is_some() || !told.ended.contains(&of) {
                    let event = Event::Revoked { recording, person: person.clone(), by: None };
                    log.append(now, &event).map(drop)?;
                }
                remove(folder, person)?;
                changed = true;
                ended.push(person.clone());
            }
        }
    }
    if changed {
        sync_dir(folder)?;
    }
    Ok(ended)
}

/// Whether the wrapped key is the one that the statement names.
fn fits(key: &Path, statement: &Path) -> bool {
    let claim = || {
        let note = String::from_utf8(read_at_most(statement, LIMIT).ok()?).ok()?;
        Some(Signed::<Grant>::parse(&note).ok()?.claim().key)
    };
    let found = read_at_most(key, LIMIT).ok().map(|bytes| FileDigest::of(&bytes));
    found.is_some() && found == claim()
}

fn rename(from: &Path, to: &Path) -> Result<(), VaultError> {
    fs::rename(from, to).map_err(at(to))
}

/// Brings the grants and notes of every recording to what the log says at `now`; see [`settle`]. Recordings
/// that are being written are left for the next run.
pub(in super::super) fn tidy(
    store: &Path,
    entries: &[Entry],
    log: &AuditLog,
    now: Timestamp,
) -> Result<Vec<(RecordingId, PersonId)>, AccessError> {
    let told = told(entries);
    let recordings = store.join("recordings");
    let mut all = Vec::new();
    for name in names_in(&recordings)? {
        let Ok(recording) = name.parse::<RecordingId>() else { continue };
        let dir = RecordingDir(recordings.join(&name));
        super::note::settle(&dir, recording, entries)?;
        super::marks::settle(&dir)?;
        let folder = dir.file(GRANTS);
        match fs::symlink_metadata(&folder) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => continue,
            Err(error) if error.kind() == IoKind::NotFound => continue,
            Err(error) => return Err(at(&folder)(error).into()),
        }
        let Locked::Held(_reading) = lock_to_read(&dir.0)? else { continue };
        let _writing = lock_and_wait(&folder)?;
        let ended = settle(&folder, recording, &told, log, now)?;
        all.extend(ended.into_iter().map(|person| (recording, person)));
    }
    Ok(all)
}

/// A grant in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// What it says.
    #[serde(flatten)]
    pub grant: Grant,
    /// Digest of the statement.
    pub statement: Digest,
    /// What is wrong with it; none where it holds.
    pub problem: Option<String>,
}

/// All grants of a store, each judged by the log and by `signers`, which says with which keys a
/// person ever signed.
pub fn grants(
    store: &Path,
    entries: &[Entry],
    signers: impl Fn(&PersonId) -> Vec<PersonPublicKey>,
) -> Result<Vec<Listed>, AccessError> {
    let told = told(entries);
    let recordings = store.join("recordings");
    let mut all = Vec::new();
    for name in names_in(&recordings)? {
        let Ok(recording) = name.parse::<RecordingId>() else { continue };
        let folder = recordings.join(&name).join(GRANTS);
        for file in names_in(&folder)? {
            let Some(person) = file.strip_suffix(STATEMENT) else { continue };
            let Ok(person) = person.parse::<PersonId>() else { continue };
            let Ok(signed) = Signed::<Grant>::load(&folder.join(&file)) else { continue };
            let grant = signed.claim().clone();
            let live = told.live.get(&(recording, person.clone()));
            let problem = if live.is_none_or(|(_, digest)| *digest != signed.digest()) {
                Some("is not the one that the log names".to_owned())
            } else if grant.recording != recording || grant.person != person {
                Some("is for another recording or person".to_owned())
            } else {
                signed.check(&signers(&grant.by)).err().map(str::to_owned)
            };
            all.push(Listed { grant, statement: signed.digest(), problem });
        }
    }
    Ok(all)
}

/// What is wrong with the `grants/` of one recording, as (file, problem), by the lines of the log.
pub(in super::super) fn examine(
    dir: &RecordingDir,
    recording: RecordingId,
    entries: &[Entry],
) -> Result<Vec<(String, &'static str)>, VaultError> {
    let told = told(entries);
    let folder = dir.file(GRANTS);
    let mut found = Vec::new();
    for name in names_in(&folder)? {
        let Some(person) = person_of(&name) else { continue };
        let of = (recording, person.clone());
        let statement = file(&folder, &person, STATEMENT);
        let digest = read_at_most(&statement, LIMIT).ok().map(|bytes| Digest::of(&bytes));
        let problem = if name.ends_with(PART) {
            "was never finished: a crash left it"
        } else if told.live.get(&of).is_none_or(|(_, live)| Some(*live) != digest) {
            "is no grant that the log names"
        } else if name.ends_with(GRANT_KEY) && !fits(&folder.join(&name), &statement) {
            "is not the key that its statement names"
        } else {
            continue;
        };
        found.push((format!("{GRANTS}/{name}"), problem));
    }
    Ok(found)
}

/// The secret text of a key that is to be wrapped again.
pub(in super::super) type KeyText = Zeroizing<String>;
