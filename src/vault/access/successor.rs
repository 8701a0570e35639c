//! Successors: a recording that a key holder veiled anew takes the place of the one before.
//!
//! Belongs here: the key holder's statement, checking a successor, taking it in. Does not belong:
//! veiling (`appliance`), and shredding what it replaces, which `retention` does as soon as the log
//! has the `adopted` line.
//!
//! # Order of writing
//! All files in a folder under a staging name, each synced; the `armed` and `list-version` lines;
//! rename, directory fsync; the `adopted` line. Until that line both recordings are there, and taking
//! the successor in again completes it; from that line on the old one is due.

use std::{collections::BTreeSet, fs, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        BoxKey, Checked, Digest, Recipient, Trust, VaultError,
        audit::{AuditLog, Entry, Event},
        check,
        manifest::{self, Gap, Manifest, State},
        retention::look_up,
        sign::{PersonKey, PersonPublicKey, Signed, Statement},
        store::{
            DETAILS, JOURNAL, KEY, MANIFEST, PART, PartFile, RecordingDir, Store, at, make_dir,
            make_dirs, names_in, read_at_most, sync_dir,
        },
        writer::files_of,
    },
    AccessError,
    grant::living,
    marks::{MARKS, brought},
    note::NOTES,
    request::Decision,
};
use crate::units::{PersonId, RecordingId};

/// The statement, in the successor's folder.
pub(in super::super) const SUCCESSOR: &str = "successor.note";
/// Largest file of a recording: 30 s at 50 Mbit/s are 190 MB.
const FILE_LIMIT: u64 = 1 << 30;

/// What a key holder says of a recording that was veiled anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Successor {
    /// The recording that comes.
    pub recording: RecordingId,
    /// The one that goes.
    pub replaces: RecordingId,
    /// `key.age` of the one that goes.
    pub of: Digest,
    /// `key.age` of the one that comes.
    pub key: Digest,
    /// The end of its journal, which stands for all its segments.
    pub journal: Digest,
    /// Keyed digest of the pupil list by which it was veiled.
    pub list: String,
    /// The key of that digest, 64 hexadecimal digits: who has the list can tell whether it is that one.
    pub list_key: String,
    /// When it was veiled.
    pub at: Timestamp,
    /// The key holder.
    pub by: PersonId,
}

impl Statement for Successor {
    const KIND: &'static str = "classveil-successor/1";

    fn by(&self) -> &PersonId {
        &self.by
    }
}

/// Puts the key holder's statement into the folder of a recording that was made in the place of
/// `replaces`, by a list whose digest is keyed by `list_key`.
pub fn attest(
    made: &Path,
    replaces: &Checked,
    list_key: &[u8; 32],
    (by, key): (&PersonId, &PersonKey),
    now: Timestamp,
) -> Result<Successor, AccessError> {
    let dir = RecordingDir(made.to_owned());
    let new = manifest::read(&dir, &Trust::Unpinned)?;
    let statement = Successor {
        recording: new.recording,
        replaces: replaces.manifest().recording,
        of: replaces.manifest().key.sha256,
        key: new.key.sha256,
        journal: new.journal.sha256,
        list: new.list_version,
        list_key: list_key.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}")),
        at: now,
        by: by.clone(),
    };
    PartFile::write(&dir.file(SUCCESSOR), key.sign(&statement).as_bytes())?.publish()?;
    sync_dir(&dir.0)?;
    Ok(statement)
}

/// A successor that was read and is as its maker signed it. Whether it may take the place of
/// another, [`adopt`](Self::adopt) judges.
#[derive(Debug)]
pub struct NewSuccessor {
    made: Checked,
    statement: Signed<Successor>,
    list_key: [u8; 32],
}

/// By whom a successor may have been made.
#[derive(Clone, Copy, Debug)]
pub struct KeyHolder<'a> {
    /// The keys with which they sign.
    pub signers: &'a [PersonPublicKey],
    /// Their age keys, one of which must open the recording that goes.
    pub recipients: &'a [Recipient],
}

impl NewSuccessor {
    /// Reads and checks the recording in folder `path` and the statement in it.
    pub fn load(path: &Path, progress: impl FnMut(u64)) -> Result<Self, AccessError> {
        let made = check(path, &Trust::Unpinned, progress)?;
        let statement = Signed::<Successor>::load(&made.dir.file(SUCCESSOR))?;
        let claim = statement.claim();
        let manifest = made.manifest();
        if (claim.recording, claim.key, claim.journal, &claim.list)
            != (
                manifest.recording,
                manifest.key.sha256,
                manifest.journal.sha256,
                &manifest.list_version,
            )
        {
            return Err(AccessError::successor("is not the one that its statement is about"));
        }
        let list_key = unhex(&claim.list_key)
            .ok_or(AccessError::successor("has a statement without the key of its list"))?;
        Ok(Self { made, statement, list_key })
    }

    /// What the key holder says of it.
    #[must_use]
    pub fn claim(&self) -> &Successor {
        self.statement.claim()
    }

    /// The key of the digest of the pupil list by which it was veiled.
    #[must_use]
    pub fn list_key(&self) -> &[u8; 32] {
        &self.list_key
    }

    /// Takes the successor into `store`, signed by the box, once everything about it holds: one of
    /// `holder`'s keys signed it (whoever did, where the store knows nobody's keys); it was veiled
    /// by the list in force, whose digest under [`list_key`](Self::list_key) is `list.0` and whose
    /// version in the log is `list.1`; it is for the same people, for the same purpose, at least as
    /// strictly veiled, and for no longer than the one that it replaces. That one is due from here
    /// on.
    pub fn adopt(
        &self,
        store: &Path,
        log: &AuditLog,
        key: &BoxKey,
        holder: Option<KeyHolder<'_>>,
        list: (&str, &str),
        now: Timestamp,
    ) -> Result<(), AccessError> {
        let no = |problem| Err(AccessError::successor(problem));
        let claim = self.claim();
        if let Some(holder) = holder {
            self.statement.check(holder.signers).map_err(AccessError::successor)?;
        }
        if claim.list != list.0 {
            return no(
                "was veiled by another pupil list than the one in force: veil it by that one",
            );
        }
        if claim.recording == claim.replaces {
            return no("has the id of the recording that it is to replace");
        }
        let (old_dir, _reading) = living(store, log, claim.replaces)?;
        let trust = Trust::Pinned(key.public().clone());
        let old = manifest::read(&old_dir, &trust)?;
        if old.state == State::Recording {
            return Err(VaultError::Unsealed { path: old_dir.0 }.into());
        }
        if old.key.sha256 != claim.of {
            return no("was made from another recording of that id");
        }
        if let Some(holder) = holder
            && !holder.recipients.iter().any(|own| old.recipients.contains(own))
        {
            return no("is signed by somebody who is not among the recording's recipients");
        }
        let new = self.made.manifest();
        fits(new, &old).map_err(AccessError::successor)?;
        let entries = log.entries()?;
        for event in entries.iter().filter_map(|entry| entry.event.as_ref()) {
            match event {
                Event::Destroyed { recording, .. } if *recording == claim.recording => {
                    return no("was destroyed before");
                }
                Event::Adopted { recording, replaces, .. }
                    if *replaces == claim.replaces && *recording != claim.recording =>
                {
                    return no("comes too late: that recording has another successor");
                }
                Event::Adopted { recording, .. } if *recording == claim.recording => return Ok(()),
                _ => {}
            }
        }
        let known = look_up(store, &entries, claim.replaces, key.public());
        if known.as_ref().is_none_or(|known| known.is_frozen(now)) {
            return no("cannot replace a recording that is held or restricted");
        }
        if is_asked_about(&entries, claim.replaces) {
            return no("cannot replace one about which a request is not answered");
        }
        let deadlines = known.iter().flat_map(|known| &known.deadlines).map(|deadline| deadline.at);
        let delete_by = deadlines.fold(new.delete_by.min(old.delete_by), Timestamp::min);
        let signed = Manifest {
            box_key: key.public().clone(),
            delete_by,
            talk_closed: old.talk_closed,
            ..new.clone()
        };
        log.append(now, &Event::armed_again(&signed)).map(drop)?;
        let (recording, version) = (claim.recording, list.1.to_owned());
        log.append(now, &Event::ListVersion { recording, version }).map(drop)?;
        let manifest = self.copy(store, &old_dir, &signed, key)?;
        let event = Event::Adopted {
            recording,
            replaces: claim.replaces,
            manifest,
            by: claim.by.clone(),
            statement: self.statement.digest(),
        };
        log.append(now, &event).map(drop)?;
        Ok(())
    }

    /// Copies everything into the store, with the notes of the recording that goes, and the marks that its
    /// key holder carried over.
    fn copy(
        &self,
        store: &Path,
        old: &RecordingDir,
        signed: &Manifest,
        key: &BoxKey,
    ) -> Result<Digest, AccessError> {
        let store = Store::existing(store, key)?;
        let _guard = store.lock()?;
        let to = store.recording(signed.recording);
        if to.0.exists() {
            // A crash came before the line that announces it.
            let there = check(&to.0, &Trust::Pinned(key.public().clone()), |_| ())?;
            if there.manifest().key != signed.key || there.manifest().journal != signed.journal {
                return Err(AccessError::successor("has the id of another recording"));
            }
            let bytes = read_at_most(&to.file(MANIFEST), FILE_LIMIT).map_err(at(&to.0))?;
            return Ok(Digest::of(&bytes));
        }
        let staging = store.staging(signed.recording);
        if staging.0.exists() {
            fs::remove_dir_all(&staging.0).map_err(at(&staging.0))?;
        }
        make_dir(&staging.0)?;
        for camera in &signed.cameras {
            make_dir(&staging.camera(camera))?;
        }
        let listed = signed.segments.iter().flat_map(files_of).map(|(name, _)| name);
        let own = [KEY, DETAILS, JOURNAL, SUCCESSOR].map(str::to_owned);
        for name in own.into_iter().chain(listed) {
            copy(&self.made.dir.file(&name), &staging.file(&name))?;
        }
        let mut notes = names_in(&old.file(NOTES))?;
        notes.retain(|name| !name.ends_with(PART));
        if !notes.is_empty() {
            make_dirs(&staging.file(NOTES))?;
            for name in notes {
                copy(&old.file(NOTES).join(&name), &staging.file(NOTES).join(&name))?;
            }
            sync_dir(&staging.file(NOTES))?;
        }
        let marks = brought(&self.made.dir, old)?;
        if !marks.is_empty() {
            make_dirs(&staging.file(MARKS))?;
            for name in marks {
                copy(&self.made.dir.file(&name), &staging.file(&name))?;
            }
            sync_dir(&staging.file(MARKS))?;
        }
        for camera in &signed.cameras {
            sync_dir(&staging.camera(camera))?;
        }
        let digest = signed.publish(&staging, key)?;
        // As it arrived, not as it was read before.
        drop(check(&staging.0, &Trust::Pinned(key.public().clone()), |_| ())?);
        fs::rename(&staging.0, &to.0).map_err(at(&to.0))?;
        sync_dir(&store.recordings())?;
        Ok(digest)
    }
}

/// Whether somebody asked for something about `recording` that is not answered: the answer is to be
/// about what there is then.
fn is_asked_about(entries: &[Entry], recording: RecordingId) -> bool {
    let mut open = BTreeSet::new();
    for event in entries.iter().filter_map(|entry| entry.event.as_ref()) {
        match event {
            Event::Requested { request, recordings, .. } if recordings.contains(&recording) => {
                open.insert(*request);
            }
            Event::Answered { request, decision, .. } if *decision != Decision::Extended => {
                open.remove(request);
            }
            _ => {}
        }
    }
    !open.is_empty()
}

fn copy(from: &Path, to: &Path) -> Result<(), VaultError> {
    let bytes = read_at_most(from, FILE_LIMIT).map_err(at(from))?;
    PartFile::write(to, &bytes)?.publish()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(key)
}

/// Policies from the laxest to the strictest, and regions from the smallest to the largest.
const POLICIES: [&str; 3] = ["refused", "unless-cleared", "everyone"];
const REGIONS: [&str; 3] = ["head", "person", "picture"];

/// Whether `new` comes before `old` among `words`, or is none of them.
fn is_laxer(words: [&str; 3], new: &str, old: &str) -> bool {
    let place = |word: &str| words.iter().position(|known| *known == word);
    place(new).is_none_or(|new| Some(new) < place(old))
}

/// Whether `new` is the same lesson as `old`, for the same people, and veils no less.
fn fits(new: &Manifest, old: &Manifest) -> Result<(), &'static str> {
    let sorted = |manifest: &Manifest| {
        let mut keys: Vec<String> = manifest.recipients.iter().map(ToString::to_string).collect();
        keys.sort();
        keys.dedup();
        keys
    };
    if new.state != State::Sealed || new.fault.is_some() {
        return Err("was not completed");
    }
    if sorted(new) != sorted(old) {
        return Err("is sealed to other keys than the recording that it replaces");
    }
    if new.teacher_keys != old.teacher_keys {
        return Err("says other keys to be the teacher's than the recording that it replaces");
    }
    if new.signers != old.signers {
        return Err("says other keys to sign with than the recording that it replaces");
    }
    if new.replaces != [&old.replaces[..], &[old.recording]].concat() {
        return Err("does not say what it was veiled anew from: veil it anew with this version");
    }
    let about = |m: &Manifest| {
        (m.started, m.class.clone(), m.teacher.clone(), m.coach.clone(), m.cameras.clone())
    };
    if about(new) != about(old)
        || (new.purpose, new.legal_basis) != (old.purpose, old.legal_basis)
        || new.never_for != old.never_for
    {
        return Err("says another lesson, purpose or teacher than the recording that it replaces");
    }
    if new.audio && !old.audio {
        return Err("has sound, and the recording that it replaces has none");
    }
    if is_laxer(POLICIES, &new.policy, &old.policy) || is_laxer(REGIONS, &new.region, &old.region) {
        return Err("was veiled less strictly than the recording that it replaces");
    }
    let states = |gap: &Gap| new.gaps.iter().any(|stated| covers(stated, gap));
    if !old.gaps.iter().all(states) {
        return Err(
            "does not state every gap of the recording that it replaces: veil it anew with \
                    this version",
        );
    }
    if new.frames() < old.frames() {
        return Err("has fewer pictures than the recording that it replaces");
    }
    Ok(())
}

/// Whether `stated` says of a stretch what `gap` said of it.
fn covers(stated: &Gap, gap: &Gap) -> bool {
    let same = stated.camera == gap.camera && stated.why == gap.why;
    same && stated.from_ns <= gap.from_ns && stated.to_ns >= gap.to_ns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_key_is_sixty_four_digits() {
        let text = "00ff".repeat(16);
        assert_eq!(unhex(&text).map(|key| (key[0], key[1])), Some((0, 255)));
        for bad in ["", "00", &"0g".repeat(32), &"é".repeat(32), &"00".repeat(33)] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }

    #[test]
    fn words_are_those_that_the_program_knows_in_their_order() {
        for (at, word) in POLICIES.iter().enumerate() {
            assert_eq!(is_laxer(POLICIES, word, "unless-cleared"), at < 1, "{word}");
        }
        for (at, word) in REGIONS.iter().enumerate() {
            assert_eq!(is_laxer(REGIONS, word, "picture"), at < 2, "{word}");
        }
        assert!(is_laxer(POLICIES, "nobody", "refused"));
    }
}
