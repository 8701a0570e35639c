//! Who will be able to open a recording, as everybody concerned is shown it before it begins.
//!
//! Belongs here: what is shown of a key, and whether it is new. Does not belong: who is allowed
//! (`people::directory`), and printing.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    crew::{self, Ground},
    lesson::Lesson,
};
use crate::{
    clock::{Clock, SystemClock},
    people::directory::{Directory, Key, Opener},
    units::PersonId,
    vault::{
        Digest, Recipient,
        access::{Confirmed, Role},
        audit::{Entry, Event},
    },
};

/// Who will be able to open a recording, and whose key will count later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Openers {
    /// All of them.
    pub openers: Vec<Shown>,
    /// Keys that count later: nobody opens this recording by them.
    pub ahead: Vec<Ahead>,
    /// Why nobody can be named, where nobody can.
    pub openers_problem: Option<String>,
}

/// One who will be able to open it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Who.
    pub person: Option<PersonId>,
    /// What they are to it.
    pub role: Option<Role>,
    /// Of the key, as two people read it to each other.
    pub fingerprint: String,
    /// How it was made sure that the key is theirs.
    pub confirmed: Option<Confirmed>,
    /// Since when it counts.
    pub since: Option<Timestamp>,
    /// Whether the teacher's last recording was not made for this key.
    pub new: bool,
}

/// A key that counts later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// Whose.
    pub person: PersonId,
    /// What they are.
    pub role: Role,
    /// Of the key.
    pub fingerprint: String,
    /// How it was made sure that it is theirs.
    pub confirmed: Confirmed,
    /// From when on it counts.
    pub from: Timestamp,
    /// The key that ends then.
    pub replaces: Option<String>,
}

/// For so long what was looked up holds where the log did not grow: a key comes to count by itself.
const FRESH: Duration = Duration::from_secs(10);

/// Who will be able to open what is prepared, as it was last looked up.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// When, and how long the log was, without which the directory does not change.
    at: Option<(Instant, Option<u64>)>,
    told: Openers,
}

impl Followed {
    pub(super) fn told(&self) -> &Openers {
        &self.told
    }

    /// As it is for good.
    pub(super) fn set(&mut self, told: Openers) {
        self.told = told;
    }

    /// Looks it up where it may be another.
    pub(super) fn follow(&mut self, ground: &Ground, lesson: &Lesson) {
        let length = ground.audit.length().ok();
        let is_fresh = |(at, was): (Instant, _)| was == length && at.elapsed() < FRESH;
        if self.at.is_some_and(is_fresh) {
            return;
        }
        self.at = Some((Instant::now(), length));
        let found = crew::who_opens(ground, &ground.config.now(), lesson, SystemClock.now());
        self.told = found.map_or_else(|ended| Openers::nobody(ended.text), |(_, told)| told);
    }
}

impl Openers {
    /// By the directory: `openers` of a recording of `teacher`, after what the log tells.
    #[must_use]
    pub fn of(
        directory: &Directory,
        teacher: Option<&PersonId>,
        openers: &[Opener],
        entries: &[Entry],
        now: Timestamp,
    ) -> Self {
        let before = last_armed(entries, teacher);
        let shown = |opener: &Opener| Shown {
            person: Some(opener.person.clone()),
            role: Some(opener.role),
            fingerprint: opener.recipient.fingerprint(),
            confirmed: Some(opener.confirmed),
            since: Some(opener.since),
            new: is_new(&opener.recipient, before),
        };
        let waiting = |(person, key): (&PersonId, &Key)| {
            Some(Ahead {
                person: person.clone(),
                role: directory.person(person).ok()?.role,
                fingerprint: key.recipient.fingerprint(),
                confirmed: key.confirmed,
                from: key.from,
                replaces: key.replaces.as_ref().map(Recipient::fingerprint),
            })
        };
        Self {
            openers: openers.iter().map(shown).collect(),
            ahead: directory.ahead(now).filter_map(waiting).collect(),
            openers_problem: None,
        }
    }

    /// Nobody, and why.
    #[must_use]
    pub fn nobody(problem: String) -> Self {
        Self { openers_problem: Some(problem), ..Self::default() }
    }
}

fn is_new(recipient: &Recipient, before: Option<&[Digest]>) -> bool {
    before.is_none_or(|before| !before.contains(&recipient.digest()))
}

/// For whom the last recording of `teacher` was made; none where there was none.
fn last_armed<'a>(entries: &'a [Entry], of: Option<&PersonId>) -> Option<&'a [Digest]> {
    entries.iter().rev().find_map(|entry| match &entry.event {
        Some(Event::Armed { teacher, recipients, .. }) if teacher.as_ref() == of => {
            Some(recipients.as_slice())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        people::directory::{Answer, KeyApproval, NewKey, make_answer, new_word},
        vault::{
            Identities,
            sign::{PersonKey, Signed},
            write_identity,
        },
    };

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + hour * 3600).unwrap()
    }

    fn id(name: &str) -> PersonId {
        name.parse().unwrap()
    }

    /// A new key of `person`, with what vouches for it.
    fn enrol(
        directory: &mut Directory,
        (person, old): (&str, Option<&Recipient>),
        by: &[(&str, &PersonKey)],
        hour: i64,
    ) -> PersonKey {
        let dir = tempfile::tempdir().unwrap();
        let recipient = write_identity(&dir.path().join("key"), at(0)).unwrap();
        let own = Identities::load(&dir.path().join("key")).unwrap();
        let (person, word) = (id(person), new_word().unwrap());
        let made = directory.challenge(&person, &recipient, Some("CODE"), word, at(hour));
        let file = dir.path().join("challenge");
        std::fs::write(&file, made.unwrap().0.seal().unwrap()).unwrap();
        let answer = Answer::parse(&make_answer(&file, &own, None).unwrap().1).unwrap();
        let approve = |(by, key): &(&str, &PersonKey)| {
            let (person, recipient, by) = (person.clone(), recipient.clone(), id(by));
            Signed::parse(&key.sign(&KeyApproval { person, recipient, by })).unwrap()
        };
        let approvals: Vec<_> = by.iter().map(approve).collect();
        let confirmed = Confirmed::InPerson;
        let new = NewKey {
            person: &person,
            answer: &answer,
            replaces: old,
            confirmed,
            approvals: &approvals,
        };
        let _ = directory.enrol(&new, at(hour)).unwrap();
        PersonKey::of(&own).remove(0)
    }

    #[test]
    fn what_waits_is_told_with_what_it_replaces() {
        let mut directory = Directory::default();
        let mut first = |person, role| {
            let _ = directory.add(&id(person), role, "CODE", at(0)).unwrap();
            enrol(&mut directory, (person, None), &[], 1)
        };
        let teacher = first("t-07", Role::Teacher);
        let officer = first("fg-01", Role::PrivacyOfficer);
        let own = teacher.recipient().clone();
        let _ = directory.invite(&id("t-07"), "CODE", at(100)).unwrap();
        let by = [("fg-01", &officer)];
        let new = enrol(&mut directory, ("t-07", Some(&own)), &by, 100);
        let told = |hour| {
            let teacher = id("t-07");
            let openers = directory.openers(Some(&teacher), None, &[], at(hour)).unwrap();
            Openers::of(&directory, Some(&teacher), &openers, &[], at(hour))
        };
        let before = told(101);
        assert_eq!(before.openers.len(), 1);
        assert_eq!(before.openers[0].fingerprint, own.fingerprint());
        let [ahead] = &before.ahead[..] else { panic!("{before:?}") };
        assert_eq!((&ahead.person, ahead.from), (&id("t-07"), at(172)));
        assert_eq!(ahead.fingerprint, new.recipient().fingerprint());
        assert_eq!(ahead.replaces, Some(own.fingerprint()));
        let after = told(172);
        assert_eq!(after.openers[0].fingerprint, new.recipient().fingerprint());
        assert!(after.ahead.is_empty() && after.openers.len() == 1);
    }
}
