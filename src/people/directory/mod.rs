//! The directory of people: who has which public key, how it was made sure, and whose keys a
//! recording is sealed to.
//!
//! Belongs here: entries and the rules by which they change ([`Directory::enrol`] and its
//! siblings), kept as the register `people.json` of a store, which the log vouches for. Does not
//! belong: names of people, secret keys, and who was granted a recording (`vault::access`).
//!
//! # Keys
//! A key is made by its owner and never on the box. Its first enrolment takes a one-time code,
//! handed over in person, and the opening of a challenge that is encrypted to the key; both can be
//! done with stock `age`. After that a person's keys change by a signature of a key in force, or by
//! code and challenge together with the signed approval of a teacher and of the privacy officer
//! (but not their own), and then only after [`WAIT`]. An approval counts from a key that has itself
//! counted for [`WAIT`]. For a privacy officer's key another one signs or, where there is none, every
//! teacher, and so for the first key of every officer after the first: until it counts they are none.
//! Nobody's password, and no administrator alone, replaces a key. Entries are never taken out, so
//! that a pseudonym and a key are used once.

mod carried;
mod change;
mod error;
mod roles;
mod statements;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    carried::Carried,
    change::{Enrolled, NewKey},
    error::DirectoryError,
    roles::roles,
    statements::{
        Answer, Challenge, KeyAnswer, KeyApproval, KeyChange, KeyEnd, make_answer, new_code,
        new_word,
    },
};
use crate::{
    units::PersonId,
    vault::{
        Digest, Recipient,
        access::{Confirmed, KeysToLook, Role},
        audit::{AuditLog, Entry, Event, PersonChange},
        register::{Name, Register},
        sign::PersonPublicKey,
    },
};

/// Most keys of one person: a computer, a telephone, one in a safe.
pub const KEYS: usize = 3;
/// From the approval of a key that no older key signed to the moment it counts.
pub const WAIT: Duration = Duration::from_secs(72 * 3600);
/// How long a one-time code and a challenge can be used.
pub const CODE_LIFE: Duration = Duration::from_secs(7 * 86_400);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[default]
    #[serde(rename = "classveil-people/1")]
    V1,
}

/// Everybody who has, had or is about to have a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    format: Format,
    people: BTreeMap<PersonId, Person>,
    /// What the log still knows of the directory before, where this one begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Before>,
}

/// A directory that was lost or set aside with its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    /// Keys of its privacy officers that counted from the line on that says so.
    officers: Vec<Digest>,
}

impl Before {
    /// By the lines of the log in whose store a directory begins; none where it is the first.
    fn of(entries: &[Entry]) -> Option<Self> {
        let events = || entries.iter().filter_map(|entry| Some((entry.at, entry.event.as_ref()?)));
        let is_anew = events().any(|(_, event)| match event {
            Event::Opened { recordings, renews, .. } => *recordings > 0 || renews.is_some(),
            Event::PersonChanged { .. } | Event::KeyChanged { .. } => true,
            _ => false,
        });
        let mut keys: BTreeMap<&PersonId, (bool, Vec<Digest>)> = BTreeMap::new();
        for (at, event) in events() {
            match event {
                Event::PersonChanged { person, role, change, .. } => {
                    let is_officer = *role == Role::PrivacyOfficer;
                    keys.entry(person).or_default().0 =
                        is_officer && *change != PersonChange::Removed;
                }
                Event::KeyChanged { person, old, new, from, .. } => {
                    let own = &mut keys.entry(person).or_default().1;
                    own.retain(|key| Some(*key) != *old);
                    // One that was to wait may never have counted: nobody announced it once its directory was
                    // lost, however long ago that was.
                    own.extend(new.filter(|_| *from <= at));
                }
                _ => {}
            }
        }
        let officers = keys.into_values().filter(|(is_officer, _)| *is_officer);
        is_anew.then(|| Self { officers: officers.flat_map(|(_, keys)| keys).collect() })
    }
}

/// One person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// What they are to recordings.
    pub role: Role,
    /// Since when they are in the directory.
    pub added: Timestamp,
    /// Since when they are not any more.
    pub removed: Option<Timestamp>,
    /// All keys there ever were, in the order of their enrolment.
    pub keys: Vec<Key>,
    /// A one-time code that was handed out.
    code: Option<Code>,
    /// A challenge that was handed out.
    challenge: Option<Pending>,
}

/// A person's public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// What recordings are encrypted to.
    pub recipient: Recipient,
    /// What the person's statements are checked against; none for a key that was enrolled with
    /// stock `age` alone.
    pub sign: Option<PersonPublicKey>,
    /// From when on it counts.
    pub from: Timestamp,
    /// From when on it does not count any more.
    pub until: Option<Timestamp>,
    /// The key that ends when this one begins.
    pub replaces: Option<Recipient>,
    /// How it was made sure that it is theirs.
    pub confirmed: Confirmed,
    /// The teachers who accepted it for their own recordings, each with the signed statement.
    pub accepted: BTreeMap<PersonId, String>,
}

impl Key {
    /// Whether it counts at `now`.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> bool {
        self.from <= now && !self.has_ended(now)
    }

    /// Whether it will never count again.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    sha256: Digest,
    until: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pending {
    recipient: Recipient,
    /// Digest of the word inside the challenge.
    word: Digest,
    until: Timestamp,
    /// Whether a one-time code was given for it.
    by_code: bool,
}

/// Somebody who will be able to open a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Opener {
    /// Who.
    pub person: PersonId,
    /// What they are to it.
    pub role: Role,
    /// With which key.
    pub recipient: Recipient,
    /// Since when that key counts.
    pub since: Timestamp,
    /// How it was made sure that it is theirs.
    pub confirmed: Confirmed,
    /// With which key they sign what they say of the recording.
    pub sign: Option<PersonPublicKey>,
}

impl Directory {
    /// The directory of `store` by the lines of its log; `None` where there never was one.
    pub fn read(store: &Path, entries: &[Entry]) -> Result<Option<Self>, DirectoryError> {
        let bytes = register(store).read(entries)?;
        bytes.map(|bytes| Self::parse(&bytes, store)).transpose()
    }

    /// Whether `store` has a directory, whatever it is worth.
    #[must_use]
    pub fn is_in(store: &Path) -> bool {
        register(store).exists()
    }

    fn parse(bytes: &[u8], store: &Path) -> Result<Self, DirectoryError> {
        serde_json::from_slice(bytes)
            .map_err(|_| DirectoryError::OtherVersion { path: register(store).path() })
    }

    /// Changes the directory of `store`: `edit` says what becomes of it, and the event that has to
    /// be in the log before it counts.
    pub fn change<T>(
        store: &Path,
        log: &AuditLog,
        now: Timestamp,
        edit: impl FnOnce(&mut Self) -> Result<(T, Announce), DirectoryError>,
    ) -> Result<T, DirectoryError> {
        let register = register(store);
        let held = register.hold()?;
        let entries = log.entries()?;
        let bytes = held.read(&entries)?;
        let known = bytes.map(|bytes| Self::parse(&bytes, store)).transpose()?;
        let mut directory =
            known.unwrap_or_else(|| Self { before: Before::of(&entries), ..Self::default() });
        let (made, announce) = edit(&mut directory)?;
        // Pseudonyms, keys, words and times always have a JSON form.
        let mut bytes = serde_json::to_vec_pretty(&directory).unwrap_or_default();
        bytes.push(b'\n');
        held.write(&bytes, |digest| log.append(now, &announce(digest)).map(drop))?;
        Ok(made)
    }

    /// Everybody, by pseudonym.
    #[must_use]
    pub fn people(&self) -> &BTreeMap<PersonId, Person> {
        &self.people
    }

    /// The entry of `person`, if they are not removed.
    pub fn person(&self, person: &PersonId) -> Result<&Person, DirectoryError> {
        let found = self.people.get(person).filter(|entry| entry.removed.is_none());
        found.ok_or_else(|| DirectoryError::Unknown { person: person.clone() })
    }

    /// Public keys of `person` that count at `now`.
    #[must_use]
    pub fn recipients_of(&self, person: &PersonId, now: Timestamp) -> Vec<Recipient> {
        self.keys(person, now).map(|key| key.recipient.clone()).collect()
    }

    /// Public keys of `person`, who may be given a whole recording, that count at `now`.
    ///
    /// # Errors
    /// They are not in the directory, their role is never given a recording, or no key of theirs
    /// counts.
    pub fn keys_to_look(
        &self,
        person: &PersonId,
        now: Timestamp,
    ) -> Result<KeysToLook, DirectoryError> {
        let (role, person) = (self.person(person)?.role, person.clone());
        if !role.may_look() {
            return Err(DirectoryError::MayNotLook { person, role });
        }
        let recipients = self.recipients_of(&person, now);
        if recipients.is_empty() {
            return Err(DirectoryError::WithoutKey { person });
        }
        Ok(KeysToLook { recipients, signers: self.signers_of(&person, now) })
    }

    /// Public keys of `person` that count at `now`, or did before: by any of them they are who they say.
    #[must_use]
    pub fn proofs_of(&self, person: &PersonId, now: Timestamp) -> Vec<Recipient> {
        let entry = self.people.get(person).filter(|entry| entry.removed.is_none());
        let keys = entry.map_or(&[][..], |entry| &entry.keys).iter();
        // One that was ended before it ever counted proves nothing.
        let counted =
            |key: &&Key| key.from <= now && key.until.is_none_or(|until| until > key.from);
        keys.filter(counted).map(|key| key.recipient.clone()).collect()
    }

    /// Keys with which `person` signs at `now`.
    #[must_use]
    pub fn signers_of(&self, person: &PersonId, now: Timestamp) -> Vec<PersonPublicKey> {
        self.keys(person, now).filter_map(|key| key.sign.clone()).collect()
    }

    /// All keys with which `person` ever signed, for what was signed long ago.
    #[must_use]
    pub fn all_signers_of(&self, person: &PersonId) -> Vec<PersonPublicKey> {
        let keys = self.people.get(person).map_or(&[][..], |entry| &entry.keys);
        keys.iter().filter_map(|key| key.sign.clone()).collect()
    }

    fn keys(&self, person: &PersonId, now: Timestamp) -> impl Iterator<Item = &Key> {
        let entry = self.people.get(person).filter(|entry| entry.removed.is_none());
        let keys = entry.map_or(&[][..], |entry| &entry.keys);
        keys.iter().filter(move |key| key.counts(now))
    }

    /// Whose key `recipient` is, whether it counts or not.
    #[must_use]
    pub fn owner(&self, recipient: &Recipient) -> Option<(&PersonId, &Person, &Key)> {
        self.people.iter().find_map(|(person, entry)| {
            let key = entry.keys.iter().find(|key| key.recipient == *recipient)?;
            Some((person, entry, key))
        })
    }

    /// Who will be able to open a recording of `teacher`: those of `given`, or where none is given
    /// the teacher and as much of the coach as the teacher accepted.
    ///
    /// # Errors
    /// The teacher is not among them; a key is nobody's; somebody's role or the teacher's missing
    /// signature does not allow it.
    pub fn openers(
        &self,
        teacher: Option<&PersonId>,
        coach: Option<&PersonId>,
        given: &[Recipient],
        now: Timestamp,
    ) -> Result<Vec<Opener>, DirectoryError> {
        let teacher = teacher.ok_or(DirectoryError::NoTeacher)?;
        let entry = self.person(teacher)?;
        if entry.role != Role::Teacher {
            let (person, role) = (teacher.clone(), entry.role);
            return Err(DirectoryError::NotATeacher { person, role });
        }
        let own = self.recipients_of(teacher, now);
        let theirs = |coach| {
            let keys = self.keys(coach, now).filter(|key| key.accepted.contains_key(teacher));
            keys.map(|key| key.recipient.clone())
        };
        let wanted: Vec<Recipient> = if given.is_empty() {
            let coach = coach.into_iter().flat_map(theirs);
            own.iter().cloned().chain(coach).collect()
        } else {
            given.to_vec()
        };
        if !wanted.iter().any(|recipient| own.contains(recipient)) {
            return Err(DirectoryError::WithoutTeacher { teacher: teacher.clone() });
        }
        wanted.iter().map(|recipient| self.opener(recipient, teacher, now)).collect()
    }

    fn opener(
        &self,
        recipient: &Recipient,
        teacher: &PersonId,
        now: Timestamp,
    ) -> Result<Opener, DirectoryError> {
        let nobody = || DirectoryError::Nobody { recipient: recipient.clone() };
        let (person, entry, key) = self.owner(recipient).ok_or_else(nobody)?;
        if entry.removed.is_some() || !key.counts(now) {
            let (person, recipient) = (person.clone(), recipient.clone());
            return Err(DirectoryError::NotInForce { person, recipient });
        }
        if !entry.role.may_look() {
            let (person, role) = (person.clone(), entry.role);
            return Err(DirectoryError::MayNotLook { person, role });
        }
        if person != teacher && !key.accepted.contains_key(teacher) {
            let (person, teacher) = (person.clone(), teacher.clone());
            return Err(DirectoryError::NotAccepted { person, teacher });
        }
        Ok(Opener {
            person: person.clone(),
            role: entry.role,
            recipient: recipient.clone(),
            since: key.from,
            confirmed: key.confirmed,
            sign: key.sign.clone(),
        })
    }

    /// Keys that do not count yet and will: what a recording's people should hear of.
    pub fn ahead(&self, now: Timestamp) -> impl Iterator<Item = (&PersonId, &Key)> {
        let living = self.people.iter().filter(|(_, entry)| entry.removed.is_none());
        living.flat_map(move |(person, entry)| {
            let keys = entry.keys.iter().filter(move |key| key.from > now && !key.has_ended(now));
            keys.map(move |key| (person, key))
        })
    }
}

/// The keys that a recording is sealed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealedTo {
    /// All of them.
    pub recipients: Vec<Recipient>,
    /// Which of them are the teacher's.
    pub teacher_keys: Vec<Recipient>,
    /// With which keys those people sign.
    pub signers: Vec<PersonPublicKey>,
}

impl SealedTo {
    /// By the directory: `openers` of a recording of `teacher`.
    #[must_use]
    pub fn openers(openers: Vec<Opener>, teacher: Option<&PersonId>) -> Self {
        let own = openers.iter().filter(|opener| Some(&opener.person) == teacher);
        let teacher_keys = own.map(|opener| opener.recipient.clone()).collect();
        let signers = openers.iter().filter_map(|opener| opener.sign.clone()).collect();
        let recipients = openers.into_iter().map(|opener| opener.recipient).collect();
        Self { recipients, teacher_keys, signers }
    }

    /// In a store that has no directory, where nobody says whose keys these are.
    #[must_use]
    pub fn given(recipients: &[Recipient]) -> Self {
        Self { recipients: recipients.to_vec(), ..Self::default() }
    }
}

/// Makes the event of a change, given the digest of the directory that it puts in force.
pub type Announce = Box<dyn FnOnce(Digest) -> Event>;

fn register(store: &Path) -> Register {
    Register::new(store, Name::People)
}
