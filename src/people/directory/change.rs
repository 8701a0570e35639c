//! The rules by which a directory changes. Pure: time, codes and words are handed in; each change
//! returns the event that has to be in the log before it counts.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    Announce, Answer, CODE_LIFE, Challenge, Code, Directory, DirectoryError, KEYS, Key,
    KeyApproval, KeyEnd, Pending, Person, WAIT,
};
use crate::{
    units::PersonId,
    vault::{
        Digest, Recipient,
        access::{Confirmed, Role},
        audit::{Event, PersonChange},
        sign::{PersonPublicKey, Signed},
    },
};

/// A key that is to count.
#[derive(Debug)]
pub struct NewKey<'a> {
    /// Whose.
    pub person: &'a PersonId,
    /// What its owner sent.
    pub answer: &'a Answer,
    /// The key that ends when this one begins.
    pub replaces: Option<&'a Recipient>,
    /// How it was made sure that it is theirs.
    pub confirmed: Confirmed,
    /// Who vouches for it, where no older key does.
    pub approvals: &'a [Signed<KeyApproval>],
}

/// A key that counts, or will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// The key.
    pub recipient: Recipient,
    /// From when on.
    pub from: Timestamp,
    /// Whether its owner can sign statements with it.
    pub signs: bool,
}

/// Who vouched for a key, and what follows from it.
struct Vouched {
    from: Timestamp,
    by: Vec<PersonId>,
}

type Changed<T> = Result<(T, Announce), DirectoryError>;

impl Directory {
    /// Adds `person`, with a one-time code for the first key.
    pub fn add(
        &mut self,
        person: &PersonId,
        role: Role,
        code: &str,
        now: Timestamp,
    ) -> Changed<()> {
        if self.people.contains_key(person) {
            return Err(DirectoryError::Taken { person: person.clone() });
        }
        let code = Some(Code { sha256: of_code(code), until: after(now, CODE_LIFE) });
        // A clock that went back makes nobody the first.
        let last = self.people.values().map(|entry| entry.added).max();
        let added = last.map_or(now, |last| now.max(after(last, Duration::from_nanos(1))));
        let entry = Person { role, added, removed: None, keys: Vec::new(), code, challenge: None };
        self.people.insert(person.clone(), entry);
        Ok(((), changed(person, role, PersonChange::Added)))
    }

    /// Hands out another one-time code; the one before does not count any more.
    pub fn invite(&mut self, person: &PersonId, code: &str, now: Timestamp) -> Changed<()> {
        let entry = self.living(person)?;
        entry.code = Some(Code { sha256: of_code(code), until: after(now, CODE_LIFE) });
        let role = entry.role;
        Ok(((), changed(person, role, PersonChange::Invited)))
    }

    /// Prepares a challenge to `recipient`. With a one-time code, which is used up, it can lead to a
    /// first key; without one only to a key that an older one signs.
    pub fn challenge(
        &mut self,
        person: &PersonId,
        recipient: &Recipient,
        code: Option<&str>,
        word: String,
        now: Timestamp,
    ) -> Changed<Challenge> {
        if let Some((owner, ..)) = self.owner(recipient) {
            return Err(DirectoryError::KeyTaken { person: owner.clone() });
        }
        let entry = self.living(person)?;
        let by_code = code.is_some();
        if let Some(code) = code {
            let fits = |known: &Code| known.sha256 == of_code(code) && known.until > now;
            if !entry.code.as_ref().is_some_and(fits) {
                return Err(DirectoryError::WrongCode { person: person.clone() });
            }
            entry.code = None;
        }
        entry.challenge = Some(Pending {
            recipient: recipient.clone(),
            word: Digest::of(word.as_bytes()),
            until: after(now, CODE_LIFE),
            by_code,
        });
        let role = entry.role;
        let challenge = Challenge { person: person.clone(), recipient: recipient.clone(), word };
        Ok((challenge, changed(person, role, PersonChange::Challenged)))
    }

    /// Takes a key in, by the rules in the module above.
    pub fn enrol(&mut self, new: &NewKey<'_>, now: Timestamp) -> Changed<Enrolled> {
        let person = new.person;
        let entry = self.person(person)?;
        let waiting = entry.challenge.clone().filter(|waiting| waiting.until > now);
        let waiting =
            waiting.ok_or_else(|| DirectoryError::NoChallenge { person: person.clone() })?;
        if waiting.word != Digest::of(new.answer.word.as_bytes()) {
            return Err(DirectoryError::BadAnswer { problem: "it is not to the last challenge" });
        }
        let sign = match &new.answer.sign {
            None => None,
            Some((recipient, sign))
                if *recipient == waiting.recipient && sign.name() == person.as_str() =>
            {
                Some(sign.clone())
            }
            Some(_) => return Err(DirectoryError::BadAnswer { problem: "it is for another key" }),
        };
        if let Some(old) = new.replaces {
            self.ending(person, old, now)?;
        }
        let left = |key: &&Key| !key.has_ended(now) && Some(&key.recipient) != new.replaces;
        if entry.keys.iter().filter(left).count() >= KEYS {
            return Err(DirectoryError::TooManyKeys { person: person.clone() });
        }
        let Vouched { from, by } = self.vouched(new, &waiting, now)?;
        // A teacher who vouches for a key accepts it, too.
        let accepted = new.approvals.iter().filter(|signed| {
            let by = &signed.claim().by;
            self.person(by).is_ok_and(|entry| entry.role == Role::Teacher)
                && approves(signed, (person, &waiting.recipient), by, &self.signers_of(by, now))
        });
        let accepted = accepted.map(|signed| (signed.claim().by.clone(), signed.note().to_owned()));
        let accepted = accepted.collect();
        let entry = self.living(person)?;
        entry.challenge = None;
        for key in entry.keys.iter_mut().filter(|key| Some(&key.recipient) == new.replaces) {
            key.until = Some(key.until.map_or(from, |until| until.min(from)));
        }
        let recipient = waiting.recipient;
        let enrolled = Enrolled { recipient: recipient.clone(), from, signs: sign.is_some() };
        let (old, fresh) = (new.replaces.map(Recipient::digest), recipient.digest());
        let confirmed = new.confirmed;
        let replaces = new.replaces.cloned();
        entry.keys.push(Key { recipient, sign, from, until: None, replaces, confirmed, accepted });
        let person = person.clone();
        let announce = move |directory| Event::KeyChanged {
            person,
            old,
            new: Some(fresh),
            from,
            confirmed: Some(confirmed),
            approved_by: by,
            directory,
        };
        Ok((enrolled, Box::new(announce)))
    }

    /// Who vouches for a key of somebody who was challenged, and from when on it counts.
    fn vouched(
        &self,
        new: &NewKey<'_>,
        waiting: &Pending,
        now: Timestamp,
    ) -> Result<Vouched, DirectoryError> {
        let person = new.person;
        let entry = self.person(person)?;
        let refuse =
            |problem: String| DirectoryError::NotVouched { person: person.clone(), problem };
        if let Some(change) = &new.answer.change {
            let own = self.signers_of(person, now);
            let claim = change
                .check(&own)
                .map_err(|problem| refuse(format!("the statement of the older key {problem}")))?;
            if claim.new != waiting.recipient {
                return Err(refuse("the older key signed for another one".to_owned()));
            }
            return Ok(Vouched { from: now, by: vec![person.clone()] });
        }
        if !waiting.by_code {
            let problem = "the challenge was made without a one-time code, so an older key has to \
                           sign: `classveil people answer --older FILE`";
            return Err(refuse(problem.to_owned()));
        }
        let officer = entry.role == Role::PrivacyOfficer;
        // Where a directory begins anew nobody is left to vouch for an officer but the log.
        let before = self.before.as_ref();
        let is_known = before.is_some_and(|b| b.officers.contains(&waiting.recipient.digest()));
        if entry.keys.is_empty() && (!officer || is_known || self.is_first_officer(person)) {
            let at_once = !officer || is_known || before.is_none();
            let from = if at_once { now } else { after(now, WAIT) };
            return Ok(Vouched { from, by: Vec::new() });
        }
        let approved = |by: &PersonId| {
            let (of, signers) = ((person, &waiting.recipient), self.vouchers_of(by, now));
            let fits = |signed| approves(signed, of, by, &signers);
            by != person && new.approvals.iter().any(fits)
        };
        let needs = |who: String| {
            refuse(format!(
                "no older key signed it, so it takes the signed approval of {who}, with a key that \
                 has counted for 72 hours: `classveil people approve` makes one"
            ))
        };
        let by = if officer {
            self.for_an_officer(person, approved, needs, now)?
        } else {
            let mut by = Vec::new();
            for role in [Role::Teacher, Role::PrivacyOfficer] {
                // Who it is about has answered the challenge, and cannot vouch for themselves.
                if role == entry.role {
                    continue;
                }
                let found = self.vouching(role, now).find(|by| approved(by));
                by.push(found.ok_or_else(|| needs(format!("a {role}")))?.clone());
            }
            by
        };
        Ok(Vouched { from: after(now, WAIT), by })
    }

    /// Who vouches for a key by which somebody comes to be the privacy officer, or stays it without the
    /// key before: another privacy officer; where there is none, every teacher. Whoever may add people
    /// can add teachers, too, and cannot sign for those that there are.
    fn for_an_officer(
        &self,
        person: &PersonId,
        approved: impl Fn(&PersonId) -> bool,
        needs: impl Fn(String) -> DirectoryError,
        now: Timestamp,
    ) -> Result<Vec<PersonId>, DirectoryError> {
        let others = self.vouching(Role::PrivacyOfficer, now).filter(|one| *one != person);
        let others: Vec<&PersonId> = others.collect();
        if !others.is_empty() {
            let found = others.into_iter().find(|by| approved(by));
            let found = found.ok_or_else(|| needs("another privacy officer".to_owned()))?;
            return Ok(vec![found.clone()]);
        }
        let teachers: Vec<&PersonId> = self.vouching(Role::Teacher, now).collect();
        if teachers.is_empty() || !teachers.iter().all(|by| approved(by)) {
            let mut names: Vec<&str> = teachers.iter().map(|by| by.as_str()).collect();
            if names.is_empty() {
                names.push("none yet");
            }
            let names = names.join(", ");
            return Err(needs(format!(
                "another privacy officer or, while there is none, of every teacher ({names})"
            )));
        }
        Ok(teachers.into_iter().cloned().collect())
    }

    /// Keys with which `person` vouches for others at `now`: those that have counted for [`WAIT`], so
    /// that nobody is added, or given a key, to vouch for the next.
    fn vouchers_of(&self, person: &PersonId, now: Timestamp) -> Vec<PersonPublicKey> {
        let keys = self.keys(person, now).filter(|key| after(key.from, WAIT) <= now);
        keys.filter_map(|key| key.sign.clone()).collect()
    }

    /// Those of a role who can vouch for others at `now`.
    fn vouching(&self, role: Role, now: Timestamp) -> impl Iterator<Item = &PersonId> {
        let of = self.people.iter().filter(move |(_, entry)| entry.role == role);
        of.map(|(person, _)| person).filter(move |one| !self.vouchers_of(one, now).is_empty())
    }

    /// Takes in a teacher's acceptance of somebody's key.
    pub fn accept(&mut self, signed: &Signed<KeyApproval>, now: Timestamp) -> Changed<()> {
        let KeyApproval { person, recipient, by } = signed.claim().clone();
        let role = self.person(&by)?.role;
        if role != Role::Teacher {
            return Err(DirectoryError::NotATeacher { person: by, role });
        }
        signed.check(&self.signers_of(&by, now)).map_err(|problem| DirectoryError::NotVouched {
            person: person.clone(),
            problem: format!("the statement {problem}"),
        })?;
        let entry = self.living(&person)?;
        if !entry.role.may_look() {
            return Err(DirectoryError::MayNotLook { person, role: entry.role });
        }
        let key = entry.keys.iter_mut().find(|key| key.recipient == recipient);
        let Some(key) = key.filter(|key| !key.has_ended(now)) else {
            return Err(DirectoryError::NoSuchKey { person, recipient });
        };
        key.accepted.insert(by.clone(), signed.note().to_owned());
        let (key, statement) = (recipient.digest(), signed.digest());
        let announce =
            move |directory| Event::KeyAccepted { person, key, by, statement, directory };
        Ok(((), Box::new(announce)))
    }

    /// Ends a key at once: nothing more is sealed to it, and nothing it signs counts. Where it does
    /// not count yet, the key that it would have replaced stays.
    pub fn end_key(
        &mut self,
        person: &PersonId,
        recipient: &Recipient,
        now: Timestamp,
    ) -> Changed<()> {
        self.ending(person, recipient, now)?;
        let entry = self.living(person)?;
        let mut spared = None;
        for key in entry.keys.iter_mut().filter(|key| key.recipient == *recipient) {
            key.until = Some(now);
            spared = key.replaces.clone().filter(|_| key.from > now).map(|old| (old, key.from));
        }
        if let Some((old, end)) = spared {
            let kept = entry.keys.iter_mut().filter(|key| key.recipient == old);
            kept.filter(|key| key.until == Some(end)).for_each(|key| key.until = None);
        }
        let (person, old) = (person.clone(), Some(recipient.digest()));
        let announce = move |directory| Event::KeyChanged {
            person,
            old,
            new: None,
            from: now,
            confirmed: None,
            approved_by: Vec::new(),
            directory,
        };
        Ok(((), Box::new(announce)))
    }

    /// Ends a key as [`Self::end_key`] does, at the word of its owner, signed with a key that counts.
    pub fn end_own_key(&mut self, signed: &Signed<KeyEnd>, now: Timestamp) -> Changed<()> {
        let KeyEnd { by, recipient } = signed.claim().clone();
        let check = signed.check(&self.signers_of(&by, now));
        check.map_err(|problem| DirectoryError::NotVouched {
            person: by.clone(),
            problem: format!("the statement {problem}"),
        })?;
        self.end_key(&by, &recipient, now)
    }

    /// Removes `person`: all keys end. The pseudonym is not used again.
    pub fn remove(&mut self, person: &PersonId, now: Timestamp) -> Changed<()> {
        let entry = self.living(person)?;
        entry.removed = Some(now);
        entry.code = None;
        entry.challenge = None;
        for key in entry.keys.iter_mut().filter(|key| !key.has_ended(now)) {
            key.until = Some(now);
        }
        let role = entry.role;
        Ok(((), changed(person, role, PersonChange::Removed)))
    }

    fn living(&mut self, person: &PersonId) -> Result<&mut Person, DirectoryError> {
        let entry = self.people.get_mut(person).filter(|entry| entry.removed.is_none());
        entry.ok_or_else(|| DirectoryError::Unknown { person: person.clone() })
    }

    /// A key that has not ended.
    fn ending(
        &self,
        person: &PersonId,
        recipient: &Recipient,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let mut keys = self.person(person)?.keys.iter();
        if keys.any(|key| key.recipient == *recipient && !key.has_ended(now)) {
            return Ok(());
        }
        Err(DirectoryError::NoSuchKey { person: person.clone(), recipient: recipient.clone() })
    }
}

/// Whether this is the word of `by`, signed with one of `signers`, that a key is somebody's.
fn approves(
    signed: &Signed<KeyApproval>,
    (person, key): (&PersonId, &Recipient),
    by: &PersonId,
    signers: &[PersonPublicKey],
) -> bool {
    let claim = signed.claim();
    claim.person == *person
        && claim.recipient == *key
        && claim.by == *by
        && signed.check(signers).is_ok()
}

fn changed(person: &PersonId, role: Role, change: PersonChange) -> Announce {
    let person = person.clone();
    Box::new(move |directory| Event::PersonChanged { person, role, change, directory })
}

/// A code is compared without the blanks and dashes it is written with, in capitals.
fn of_code(code: &str) -> Digest {
    let plain = code.chars().filter(char::is_ascii_alphanumeric);
    Digest::of(plain.map(|c| c.to_ascii_uppercase()).collect::<String>().as_bytes())
}

fn after(now: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| now.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
