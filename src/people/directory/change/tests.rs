//! The rules by which a directory changes, tried out.

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
    mixed.sign =
        answer(&Challenge { recipient: other.recipient.clone(), ..given.clone() }, &other, None)
            .sign;
    assert!(take(&mut directory, "t-07", &mixed, None, &[], at(2)).is_err());
    let mut named = answer(&given, &own, None);
    named.sign = answer(&Challenge { person: id("t-08"), ..given.clone() }, &own, None).sign;
    assert!(take(&mut directory, "t-07", &named, None, &[], at(2)).is_err());
    assert!(take(&mut directory, "t-07", &answer(&given, &own, None), None, &[], at(2)).is_ok());
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
    assert_eq!(directory.recipients_of(&id("t-07"), at(10)), std::slice::from_ref(&new.recipient));
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
    assert!(take(&mut directory, "t-07", &answer, Some(&teacher), &[by_coach], at(80)).is_err());
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
    let [by_first, by_second] =
        [(&teacher, "t-07"), (&second, "t-08")].map(|(key, by)| key.approves(by, "fg-00", &own));
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
    assert!(directory.accept(&own, at(10)).is_err(), "signed by the coach in the teacher's name");
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
    assert!(matches!(directory.openers(None, None, &[], at(20)), Err(DirectoryError::NoTeacher)));
    assert!(matches!(
        directory.openers(Some(&c), None, &[], at(20)),
        Err(DirectoryError::NotATeacher { .. })
    ));
    let _ = directory.end_key(&t, &teacher.recipient, at(15)).unwrap();
    assert!(matches!(keys(&directory, &[]), Err(DirectoryError::WithoutTeacher { .. })));
    assert!(matches!(keys(&directory, &[&teacher]), Err(DirectoryError::WithoutTeacher { .. })));
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
