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
        if entry.keys.is_empty() && (!officer || self.is_first_officer(person)) {
            return Ok(Vouched { from: now, by: Vec::new() });
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
mod tests {
    use super::*;
    use crate::vault::{Identities, sign::PersonKey, write_identity};

    const HOUR: i64 = 3600;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + hour * HOUR).unwrap()
    }

    fn id(name: &str) -> PersonId {
        name.parse().unwrap()
    }

    /// A secret key in a folder of its own.
    struct Own {
        dir: tempfile::TempDir,
        recipient: Recipient,
    }

    impl Own {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let recipient = write_identity(&dir.path().join("key"), at(0)).unwrap();
            Self { dir, recipient }
        }

        fn identities(&self) -> Identities {
            Identities::load(&self.dir.path().join("key")).unwrap()
        }

        fn sign<T: crate::vault::sign::Statement>(&self, statement: &T) -> Signed<T> {
            let key = PersonKey::of(&self.identities()).remove(0);
            Signed::parse(&key.sign(statement)).unwrap()
        }

        fn approves(&self, by: &str, person: &str, of: &Self) -> Signed<KeyApproval> {
            let (person, by) = (id(person), id(by));
            self.sign(&KeyApproval { person, recipient: of.recipient.clone(), by })
        }
    }

    fn challenge(
        directory: &mut Directory,
        person: &str,
        own: &Own,
        code: Option<&str>,
        now: Timestamp,
    ) -> Result<Challenge, DirectoryError> {
        let word = super::super::new_word().unwrap();
        let made = directory.challenge(&id(person), &own.recipient, code, word, now)?;
        Ok(made.0)
    }

    /// The answer as its owner makes it.
    fn answer(challenge: &Challenge, own: &Own, older: Option<&Own>) -> Answer {
        let file = own.dir.path().join("challenge.age");
        std::fs::write(&file, challenge.seal().unwrap()).unwrap();
        let older = older.map(Own::identities);
        let made = super::super::make_answer(&file, &own.identities(), older.as_ref());
        Answer::parse(&made.unwrap().1).unwrap()
    }

    fn take(
        directory: &mut Directory,
        person: &str,
        answer: &Answer,
        replaces: Option<&Own>,
        approvals: &[Signed<KeyApproval>],
        now: Timestamp,
    ) -> Result<Enrolled, DirectoryError> {
        let (person, replaces) = (&id(person), replaces.map(|own| &own.recipient));
        let confirmed = Confirmed::InPerson;
        let new = NewKey { person, answer, replaces, confirmed, approvals };
        directory.enrol(&new, now).map(|(enrolled, _)| enrolled)
    }

    /// Adds somebody with a first key.
    fn with(directory: &mut Directory, person: &str, role: Role) -> Own {
        let own = Own::new();
        let _ = directory.add(&id(person), role, "CODE-1", at(0)).unwrap();
        let challenge = challenge(directory, person, &own, Some("code1"), at(1)).unwrap();
        let enrolled = take(directory, person, &answer(&challenge, &own, None), None, &[], at(2));
        assert_eq!(enrolled.unwrap().from, at(2), "a first key counts at once");
        own
    }

    fn school() -> (Directory, Own, Own, Own) {
        let mut directory = Directory::default();
        let teacher = with(&mut directory, "t-07", Role::Teacher);
        let coach = with(&mut directory, "c-02", Role::Coach);
        let officer = with(&mut directory, "fg-01", Role::PrivacyOfficer);
        (directory, teacher, coach, officer)
    }

    #[test]
    fn a_code_counts_once_and_for_a_week() {
        let mut directory = Directory::default();
        let _ = directory.add(&id("t-07"), Role::Teacher, "AAAA-BBBB", at(0)).unwrap();
        let own = Own::new();
        let wrong = challenge(&mut directory, "t-07", &own, Some("AAAA-BBBC"), at(1));
        assert!(matches!(wrong, Err(DirectoryError::WrongCode { .. })));
        let late = challenge(&mut directory, "t-07", &own, Some("AAAA-BBBB"), at(7 * 24));
        assert!(matches!(late, Err(DirectoryError::WrongCode { .. })));
        let given = challenge(&mut directory, "t-07", &own, Some("aaaa bbbb"), at(1)).unwrap();
        let again = challenge(&mut directory, "t-07", &own, Some("AAAA-BBBB"), at(1));
        assert!(matches!(again, Err(DirectoryError::WrongCode { .. })));
        let answer = answer(&given, &own, None);
        let late = take(&mut directory, "t-07", &answer, None, &[], at(8 * 24));
        assert!(matches!(late, Err(DirectoryError::NoChallenge { .. })));
        assert!(take(&mut directory, "t-07", &answer, None, &[], at(2)).unwrap().signs);
        let again = take(&mut directory, "t-07", &answer, None, &[], at(3));
        assert!(matches!(again, Err(DirectoryError::NoChallenge { .. })), "used up");
        assert!(matches!(
            directory.add(&id("t-07"), Role::Coach, "X", at(3)),
            Err(DirectoryError::Taken { .. })
        ));
    }

    #[test]
    fn only_who_opens_the_challenge_enrols() {
        let mut directory = Directory::default();
        let _ = directory.add(&id("t-07"), Role::Teacher, "CODE", at(0)).unwrap();
        let (own, other) = (Own::new(), Own::new());
        let given = challenge(&mut directory, "t-07", &own, Some("CODE"), at(1)).unwrap();
        let file = own.dir.path().join("challenge.age");
        std::fs::write(&file, given.seal().unwrap()).unwrap();
        assert!(super::super::make_answer(&file, &other.identities(), None).is_err());
        // Who guesses the word, or has another one, is nobody.
        let forged = Challenge { word: "0".repeat(64), ..given.clone() };
        let found = take(&mut directory, "t-07", &answer(&forged, &own, None), None, &[], at(2));
        assert!(matches!(found, Err(DirectoryError::BadAnswer { .. })));
        // A signing key of somebody else, or in another's name, is not taken along.
        let mut mixed = answer(&given, &own, None);
        mixed.sign = answer(
            &Challenge { recipient: other.recipient.clone(), ..given.clone() },
            &other,
            None,
        )
        .sign;
        assert!(take(&mut directory, "t-07", &mixed, None, &[], at(2)).is_err());
        let mut named = answer(&given, &own, None);
        named.sign = answer(&Challenge { person: id("t-08"), ..given.clone() }, &own, None).sign;
        assert!(take(&mut directory, "t-07", &named, None, &[], at(2)).is_err());
        assert!(
            take(&mut directory, "t-07", &answer(&given, &own, None), None, &[], at(2)).is_ok()
        );
    }

    #[test]
    fn an_older_key_vouches_at_once() {
        let (mut directory, teacher, ..) = school();
        let new = Own::new();
        let given = challenge(&mut directory, "t-07", &new, None, at(10)).unwrap();
        let alone = answer(&given, &new, None);
        let refused = take(&mut directory, "t-07", &alone, Some(&teacher), &[], at(10));
        assert!(matches!(refused, Err(DirectoryError::NotVouched { .. })), "{refused:?}");
        let strange = answer(&given, &new, Some(&Own::new()));
        let refused = take(&mut directory, "t-07", &strange, Some(&teacher), &[], at(10));
        assert!(matches!(refused, Err(DirectoryError::NotVouched { .. })), "{refused:?}");
        let signed = answer(&given, &new, Some(&teacher));
        let enrolled = take(&mut directory, "t-07", &signed, Some(&teacher), &[], at(10)).unwrap();
        assert_eq!(enrolled.from, at(10));
        assert_eq!(
            directory.recipients_of(&id("t-07"), at(10)),
            std::slice::from_ref(&new.recipient)
        );
        // The key that ended vouches for nothing more.
        let third = Own::new();
        let given = challenge(&mut directory, "t-07", &third, None, at(11)).unwrap();
        let signed = answer(&given, &third, Some(&teacher));
        assert!(take(&mut directory, "t-07", &signed, None, &[], at(11)).is_err());
        let known = challenge(&mut directory, "c-02", &teacher, None, at(12));
        assert!(matches!(known, Err(DirectoryError::KeyTaken { .. })), "a key is used once");
    }

    #[test]
    fn without_the_older_key_two_people_vouch_and_it_takes_three_days() {
        let (mut directory, teacher, coach, officer) = school();
        let new = Own::new();
        let _ = directory.invite(&id("c-02"), "AGAIN", at(80)).unwrap();
        let given = challenge(&mut directory, "c-02", &new, Some("AGAIN"), at(80)).unwrap();
        let answer = answer(&given, &new, None);
        let by_teacher = teacher.approves("t-07", "c-02", &new);
        let by_officer = officer.approves("fg-01", "c-02", &new);
        for approvals in [
            vec![],
            vec![by_teacher.clone()],
            vec![by_officer.clone()],
            vec![by_teacher.clone(), by_teacher.clone()],
            // Signed by one in the other's name, by the owner, for another key, for somebody else.
            vec![by_teacher.clone(), teacher.approves("fg-01", "c-02", &new)],
            vec![by_officer.clone(), coach.approves("c-02", "c-02", &new)],
            vec![by_officer.clone(), teacher.approves("t-07", "c-02", &coach)],
            vec![by_officer.clone(), teacher.approves("t-07", "c-03", &new)],
        ] {
            let found = take(&mut directory, "c-02", &answer, Some(&coach), &approvals, at(80));
            assert!(matches!(found, Err(DirectoryError::NotVouched { .. })), "{found:?}");
        }
        let approvals = [by_teacher, by_officer];
        let made = take(&mut directory, "c-02", &answer, Some(&coach), &approvals, at(80)).unwrap();
        assert_eq!(made.from, at(152));
        let of = |directory: &Directory, hour| directory.recipients_of(&id("c-02"), at(hour));
        assert_eq!(of(&directory, 151), std::slice::from_ref(&coach.recipient));
        assert_eq!(directory.ahead(at(151)).count(), 1);
        assert_eq!(of(&directory, 152), std::slice::from_ref(&new.recipient));
        assert_eq!(directory.ahead(at(152)).count(), 0);
        // Stopped in time, the old key stays.
        let _ = directory.end_key(&id("c-02"), &new.recipient, at(110)).unwrap();
        assert_eq!(of(&directory, 170), std::slice::from_ref(&coach.recipient));
    }

    #[test]
    fn a_teacher_who_lost_the_key_needs_the_officer() {
        let (mut directory, teacher, coach, officer) = school();
        let new = Own::new();
        let _ = directory.invite(&id("t-07"), "AGAIN", at(80)).unwrap();
        let given = challenge(&mut directory, "t-07", &new, Some("AGAIN"), at(80)).unwrap();
        let answer = answer(&given, &new, None);
        let by_coach = coach.approves("c-02", "t-07", &new);
        assert!(
            take(&mut directory, "t-07", &answer, Some(&teacher), &[by_coach], at(80)).is_err()
        );
        let by_officer = officer.approves("fg-01", "t-07", &new);
        let made = take(&mut directory, "t-07", &answer, Some(&teacher), &[by_officer], at(80));
        assert_eq!(made.unwrap().from, at(152));
    }

    /// An approval counts from a key that has itself counted for 72 hours.
    #[test]
    fn who_came_a_moment_ago_vouches_for_nobody() {
        let (mut directory, teacher, _, officer) = school();
        let new = Own::new();
        let _ = directory.invite(&id("t-07"), "AGAIN", at(10)).unwrap();
        let given = challenge(&mut directory, "t-07", &new, Some("AGAIN"), at(10)).unwrap();
        let answer = answer(&given, &new, None);
        let by_officer = [officer.approves("fg-01", "t-07", &new)];
        let mut take = |hour| {
            let of = Some(&teacher);
            take(&mut directory, "t-07", &answer, of, &by_officer, at(hour))
        };
        let refused = take(73).unwrap_err();
        assert!(refused.to_string().contains("72 hours"), "{refused}");
        assert_eq!(take(74).unwrap().from, at(74 + 72));
    }

    /// An administrator adds an officer of their own, whose word would then change anybody's key.
    #[test]
    fn nobody_becomes_the_officer_by_being_added() {
        let (mut directory, teacher, _, officer) = school();
        let second = with(&mut directory, "t-08", Role::Teacher);
        let own = Own::new();
        // Nor with a clock that was set back.
        let early = Timestamp::from_second(1).unwrap();
        let _ = directory.add(&id("fg-00"), Role::PrivacyOfficer, "FIRST", early).unwrap();
        assert!(directory.is_officer(&id("fg-01"), at(80)));
        assert!(!directory.is_officer(&id("fg-00"), at(80)), "added is not confirmed");
        let _ = directory.invite(&id("fg-00"), "CODE", at(78)).unwrap();
        let given = challenge(&mut directory, "fg-00", &own, Some("CODE"), at(78)).unwrap();
        let answer = answer(&given, &own, None);
        let [by_first, by_second] = [(&teacher, "t-07"), (&second, "t-08")]
            .map(|(key, by)| key.approves(by, "fg-00", &own));
        let by_officer = officer.approves("fg-01", "fg-00", &own);
        let take = |directory: &mut Directory, approvals: &[_]| {
            take(directory, "fg-00", &answer, None, approvals, at(80))
        };
        let both = [by_first.clone(), by_second.clone()];
        for approvals in [&[][..], &both] {
            let refused = take(&mut directory, approvals).unwrap_err();
            assert!(refused.to_string().contains("another privacy officer"), "{refused}");
        }
        let mut with_officer = directory.clone();
        let made = take(&mut with_officer, std::slice::from_ref(&by_officer)).unwrap();
        assert_eq!(made.from, at(152));
        assert!(!with_officer.is_officer(&id("fg-00"), at(151)));
        assert!(with_officer.is_officer(&id("fg-00"), at(152)));
        // Stopped in time, it never was one.
        let _ = with_officer.end_key(&id("fg-00"), &own.recipient, at(100)).unwrap();
        assert!(!with_officer.is_officer(&id("fg-00"), at(200)));
        // The officer is gone: every teacher has to say so, and not one whom somebody just added.
        let _ = directory.remove(&id("fg-01"), at(79)).unwrap();
        let odd = with(&mut directory, "t-99", Role::Teacher).approves("t-99", "fg-00", &own);
        for approvals in [vec![], vec![by_first.clone()], vec![by_officer], vec![odd, by_first]] {
            let refused = take(&mut directory, &approvals).unwrap_err();
            assert!(refused.to_string().contains("every teacher"), "{refused}");
        }
        let _ = directory.remove(&id("t-99"), at(79)).unwrap();
        assert_eq!(take(&mut directory, &both).unwrap().from, at(152));
    }

    /// A note that anybody can write is no acceptance, though it lies beside a key that is taken.
    #[test]
    fn a_forged_approval_accepts_nothing() {
        let (mut directory, teacher, ..) = school();
        let own = Own::new();
        let _ = directory.add(&id("c-99"), Role::Coach, "CODE", at(5)).unwrap();
        let given = challenge(&mut directory, "c-99", &own, Some("CODE"), at(5)).unwrap();
        let answer = answer(&given, &own, None);
        let notes = [
            own.approves("t-07", "c-99", &own),
            teacher.approves("t-07", "c-02", &own),
            teacher.approves("t-07", "c-99", &teacher),
        ];
        for note in notes {
            let mut one = directory.clone();
            take(&mut one, "c-99", &answer, None, &[note], at(6)).unwrap();
            let openers = one.openers(Some(&id("t-07")), Some(&id("c-99")), &[], at(7)).unwrap();
            assert_eq!(openers.len(), 1, "{openers:?}");
        }
        let note = teacher.approves("t-07", "c-99", &own);
        take(&mut directory, "c-99", &answer, None, &[note], at(6)).unwrap();
        let openers = directory.openers(Some(&id("t-07")), Some(&id("c-99")), &[], at(7));
        assert_eq!(openers.unwrap().len(), 2, "the teacher's own word counts");
    }

    /// Neither removing a key nor removing the person makes the next key a first one.
    #[test]
    fn a_second_key_is_never_a_first_one() {
        let (mut directory, teacher, ..) = school();
        let _ = directory.end_key(&id("t-07"), &teacher.recipient, at(5)).unwrap();
        let _ = directory.invite(&id("t-07"), "AGAIN", at(10)).unwrap();
        let new = Own::new();
        let given = challenge(&mut directory, "t-07", &new, Some("AGAIN"), at(10)).unwrap();
        let found = take(&mut directory, "t-07", &answer(&given, &new, None), None, &[], at(10));
        assert!(matches!(found, Err(DirectoryError::NotVouched { .. })));
        let _ = directory.remove(&id("t-07"), at(11)).unwrap();
        assert!(directory.person(&id("t-07")).is_err());
        assert!(directory.add(&id("t-07"), Role::Teacher, "X", at(12)).is_err());
        assert!(directory.recipients_of(&id("t-07"), at(12)).is_empty());
    }

    #[test]
    fn recordings_are_sealed_to_the_teacher_and_whom_the_teacher_accepted() {
        let (mut directory, teacher, coach, officer) = school();
        let [t, c] = ["t-07", "c-02"].map(id);
        let keys = |directory: &Directory, given: &[&Own]| {
            let given: Vec<_> = given.iter().map(|own| own.recipient.clone()).collect();
            let openers = directory.openers(Some(&t), Some(&c), &given, at(20))?;
            Ok::<_, DirectoryError>(openers.into_iter().map(|o| o.person).collect::<Vec<_>>())
        };
        assert_eq!(
            keys(&directory, &[]).unwrap(),
            std::slice::from_ref(&t),
            "the coach is not accepted yet"
        );
        assert!(matches!(
            keys(&directory, &[&teacher, &coach]),
            Err(DirectoryError::NotAccepted { .. })
        ));
        let own = coach.approves("t-07", "c-02", &coach);
        assert!(
            directory.accept(&own, at(10)).is_err(),
            "signed by the coach in the teacher's name"
        );
        let _ = directory.accept(&teacher.approves("t-07", "c-02", &coach), at(10)).unwrap();
        assert_eq!(keys(&directory, &[]).unwrap(), [t.clone(), c.clone()]);
        assert_eq!(keys(&directory, &[&teacher]).unwrap(), std::slice::from_ref(&t));
        assert_eq!(keys(&directory, &[&coach, &teacher]).unwrap(), [c.clone(), t.clone()]);
        assert!(matches!(keys(&directory, &[&coach]), Err(DirectoryError::WithoutTeacher { .. })));
        assert!(matches!(
            keys(&directory, &[&teacher, &officer]),
            Err(DirectoryError::MayNotLook { .. })
        ));
        assert!(matches!(
            keys(&directory, &[&teacher, &Own::new()]),
            Err(DirectoryError::Nobody { .. })
        ));
        assert!(matches!(
            directory.openers(None, None, &[], at(20)),
            Err(DirectoryError::NoTeacher)
        ));
        assert!(matches!(
            directory.openers(Some(&c), None, &[], at(20)),
            Err(DirectoryError::NotATeacher { .. })
        ));
        let _ = directory.end_key(&t, &teacher.recipient, at(15)).unwrap();
        assert!(matches!(keys(&directory, &[]), Err(DirectoryError::WithoutTeacher { .. })));
        assert!(matches!(
            keys(&directory, &[&teacher]),
            Err(DirectoryError::WithoutTeacher { .. })
        ));
    }

    #[test]
    fn a_key_ends_at_the_word_of_its_owner() {
        let (mut directory, teacher, coach, _) = school();
        let word = |signed_by: &Own, by: &str, of: &Own| {
            signed_by.sign(&KeyEnd { by: id(by), recipient: of.recipient.clone() })
        };
        let owns = word(&teacher, "t-07", &teacher);
        for bad in [word(&coach, "t-07", &teacher), word(&coach, "c-02", &teacher)] {
            assert!(directory.end_own_key(&bad, at(10)).is_err());
        }
        let _ = directory.end_own_key(&owns, at(10)).unwrap();
        assert!(directory.recipients_of(&id("t-07"), at(10)).is_empty());
        assert!(directory.end_own_key(&owns, at(11)).is_err(), "it signs for nothing any more");
    }

    #[test]
    fn three_keys_and_no_more() {
        let (mut directory, teacher, ..) = school();
        let mut more = vec![teacher];
        for n in 0..3 {
            let new = Own::new();
            let given = challenge(&mut directory, "t-07", &new, None, at(10)).unwrap();
            let signed = answer(&given, &new, more.first());
            let found = take(&mut directory, "t-07", &signed, None, &[], at(10));
            assert_eq!(found.is_ok(), n < 2, "{found:?}");
            more.push(new);
        }
        assert_eq!(directory.recipients_of(&id("t-07"), at(10)).len(), KEYS);
        let json = serde_json::to_vec(&directory).unwrap();
        assert_eq!(serde_json::from_slice::<Directory>(&json).unwrap(), directory);
    }
}
