//! What the school has on record: how it weighed its interest, when parents were reminded, what
//! people were told, which teacher accepted. Without it nothing is recorded.
//!
//! Belongs here: entries and which of them count on a day. Does not belong: files (`vault::ledger`),
//! texts of letters (their digests are kept), and names of people.

use std::{fmt, io::Write, str::FromStr};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    units::PersonId,
    vault::{Digest, Recipient, ledger::Line},
};

/// The school weighed its interest against the privacy of those it records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assessment {
    /// Where the school filed it.
    pub reference: String,
    /// Who signed it.
    pub by: PersonId,
    /// The last day on which it counts.
    pub review: Date,
}

/// How parents were reminded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// A letter on paper.
    Letter,
    /// By mail.
    Mail,
    /// In a newsletter.
    Newsletter,
    /// In the app that the school uses.
    App,
    /// At an evening for parents.
    Evening,
}

/// Parents were reminded that lessons are recorded and that they can refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reminder {
    /// When.
    pub on: Date,
    /// How.
    pub channel: Channel,
    /// Digest of what it said.
    pub text: Digest,
}

/// Whom a notice is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// The card on the classroom's door.
    Door,
    /// The letter to parents.
    Parents,
    /// The version that children understand.
    Pupils,
    /// The sheet for staff.
    Staff,
}

impl Audience {
    /// All of them: a notice for each is needed.
    pub const ALL: [Self; 4] = [Self::Door, Self::Parents, Self::Pupils, Self::Staff];
}

macro_rules! words {
    ($type:ident, $what:literal, $($name:ident = $word:literal),+) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $word,)+ })
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $($word => Ok(Self::$name),)+
                    _ => Err(format!(concat!("`{}` is no ", $what, ": choose ", $($word, " "),+), word)),
                }
            }
        }
    };
}

words!(
    Channel,
    "channel",
    Letter = "letter",
    Mail = "mail",
    Newsletter = "newsletter",
    App = "app",
    Evening = "evening"
);
words!(
    Audience,
    "audience",
    Door = "door",
    Parents = "parents",
    Pupils = "pupils",
    Staff = "staff"
);

/// What notices tell people: when any of it changes, they are stale.
#[derive(Clone, Debug, Serialize)]
pub struct Terms<'a> {
    /// What recordings are for.
    pub purpose: &'a str,
    /// On what ground.
    pub legal_basis: &'a str,
    /// Who is veiled.
    pub policy: &'a str,
    /// Whether sound is kept.
    pub audio: bool,
    /// For how long recordings are kept, in seconds.
    pub retain_s: u64,
    /// Whether faces are compared with photos.
    pub photos: bool,
}

impl Terms<'_> {
    /// Their digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        // Words, numbers and answers: nothing in it can fail to serialise.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// People were told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Who.
    pub audience: Audience,
    /// Digest of what it says.
    pub text: Digest,
    /// Digest of the [`Terms`] that held then.
    pub terms: Digest,
}

/// A teacher's word on being recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Acceptance {
    /// The teacher is asked: a word was encrypted to this key, and who can read it has the key.
    Asked {
        /// Who.
        teacher: PersonId,
        /// With whom.
        coach: Option<PersonId>,
        /// The key.
        recipient: Recipient,
        /// Digest of the word.
        word: Digest,
    },
    /// The teacher accepted, with the key of the question.
    Accepted {
        /// Who.
        teacher: PersonId,
        /// With whom.
        coach: Option<PersonId>,
        /// The key.
        recipient: Recipient,
    },
    /// The teacher does not accept any more. Anybody may say so for the teacher.
    Withdrawn {
        /// Who.
        teacher: PersonId,
    },
}

/// How long a question to a teacher can be answered.
const ANSWER_WITHIN_S: i64 = 7 * 86_400;

/// A question to a teacher, to be entered as [`Acceptance::Asked`]. Returns it with the word,
/// encrypted, as an age file.
///
/// # Errors
/// The operating system has no random numbers, or the key cannot be used.
pub fn ask(
    teacher: PersonId,
    coach: Option<PersonId>,
    recipient: Recipient,
) -> std::io::Result<(Acceptance, Vec<u8>)> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| std::io::Error::other(error.to_string()))?;
    let word = format!("{:032x}", u128::from_be_bytes(random));
    let to: age::x25519::Recipient =
        recipient.to_string().parse().map_err(std::io::Error::other)?;
    let to: &dyn age::Recipient = &to;
    let encryptor = age::Encryptor::with_recipients(std::iter::once(to))
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    let mut file = encryptor.wrap_output(Vec::new())?;
    file.write_all(word.as_bytes())?;
    let file = file.finish()?;
    let word = Digest::of(word.as_bytes());
    Ok((Acceptance::Asked { teacher, coach, recipient, word }, file))
}

/// The answer to the newest open question to `teacher`, if `word` is its word.
#[must_use]
pub fn answer(
    lines: &[Line<Acceptance>],
    teacher: &PersonId,
    word: &str,
    now: Timestamp,
) -> Option<Acceptance> {
    let about = lines.iter().rev().find(|line| whose(&line.entry) == teacher)?;
    match &about.entry {
        Acceptance::Asked { teacher, coach, recipient, word: asked }
            if *asked == Digest::of(word.trim().as_bytes())
                && now.as_second() - about.at.as_second() <= ANSWER_WITHIN_S =>
        {
            Some(Acceptance::Accepted {
                teacher: teacher.clone(),
                coach: coach.clone(),
                recipient: recipient.clone(),
            })
        }
        _ => None,
    }
}

fn whose(acceptance: &Acceptance) -> &PersonId {
    match acceptance {
        Acceptance::Asked { teacher, .. }
        | Acceptance::Accepted { teacher, .. }
        | Acceptance::Withdrawn { teacher } => teacher,
    }
}

/// Whether `teacher` accepts being recorded with `coach`, by one of their keys, `recipients`.
#[must_use]
pub fn accepts(
    lines: &[Line<Acceptance>],
    teacher: &PersonId,
    coach: Option<&PersonId>,
    recipients: &[Recipient],
) -> bool {
    let mut accepted = false;
    for line in lines.iter().filter(|line| whose(&line.entry) == teacher) {
        match &line.entry {
            Acceptance::Accepted { coach: with, recipient, .. } => {
                // A question about somebody else takes nothing back.
                accepted |= with.as_ref() == coach && recipients.contains(recipient);
            }
            Acceptance::Withdrawn { .. } => accepted = false,
            Acceptance::Asked { .. } => {}
        }
    }
    accepted
}

/// The assessment that counts on `today`: the newest one, unless its day is over.
#[must_use]
pub fn assessment(lines: &[Line<Assessment>], today: Date) -> Option<&Assessment> {
    lines.last().map(|line| &line.entry).filter(|newest| today <= newest.review)
}

/// The day of the latest reminder, of those that are not in the future.
#[must_use]
pub fn reminded(lines: &[Line<Reminder>], today: Date) -> Option<Date> {
    lines.iter().map(|line| line.entry.on).filter(|on| *on <= today).max()
}

/// Audiences that were not told of these terms.
#[must_use]
pub fn untold(lines: &[Line<Notice>], terms: Digest) -> Vec<Audience> {
    let newest = |audience| lines.iter().rev().find(|line| line.entry.audience == audience);
    let told = |audience| newest(audience).is_some_and(|line| line.entry.terms == terms);
    Audience::ALL.into_iter().filter(|audience| !told(*audience)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<T>(entries: impl IntoIterator<Item = T>) -> Vec<Line<T>> {
        let at = Timestamp::from_second(1_790_000_000).unwrap();
        let previous = Digest::of(&[]);
        let line = |(n, entry)| Line { n, at, previous, entry };
        (1..).zip(entries).map(line).collect()
    }

    #[test]
    fn a_teacher_accepts_with_a_key_and_takes_it_back_without() {
        let identity = age::x25519::Identity::generate();
        let recipient: Recipient = identity.to_public().to_string().parse().unwrap();
        let other: Recipient =
            age::x25519::Identity::generate().to_public().to_string().parse().unwrap();
        let teacher: PersonId = "t-07".parse().unwrap();
        let coach: Option<PersonId> = Some("c-02".parse().unwrap());
        let (asked, file) = ask(teacher.clone(), coach.clone(), recipient.clone()).unwrap();
        let word = age::decrypt(&identity, &file).unwrap();
        let word = String::from_utf8(word).unwrap();
        let mut register = lines([asked]);
        let now = register[0].at;
        assert!(!accepts(&register, &teacher, coach.as_ref(), std::slice::from_ref(&recipient)));
        assert_eq!(answer(&register, &teacher, "guessed", now), None);
        assert_eq!(answer(&register, &"t-08".parse().unwrap(), &word, now), None);
        let late = Timestamp::from_second(now.as_second() + ANSWER_WITHIN_S + 1).unwrap();
        assert_eq!(answer(&register, &teacher, &word, late), None);
        let accepted = answer(&register, &teacher, &word, now).unwrap();
        register.extend(lines([accepted]));
        // Answered once.
        assert_eq!(answer(&register, &teacher, &word, now), None);
        let keys = [recipient];
        assert!(accepts(&register, &teacher, coach.as_ref(), &keys));
        assert!(!accepts(&register, &teacher, None, &keys));
        assert!(!accepts(&register, &"t-08".parse().unwrap(), coach.as_ref(), &keys));
        assert!(!accepts(&register, &teacher, coach.as_ref(), &[other]));
        register.extend(lines([Acceptance::Withdrawn { teacher: teacher.clone() }]));
        assert!(!accepts(&register, &teacher, coach.as_ref(), &keys));
    }

    #[test]
    fn what_counts_on_a_day() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let by: PersonId = "d-01".parse().unwrap();
        let weighed = |review| Assessment {
            reference: "A-1".to_owned(),
            by: by.clone(),
            review: day(review),
        };
        let register = lines([weighed("2027-01-01"), weighed("2026-11-22")]);
        assert!(assessment(&register, day("2026-11-22")).is_some());
        // The newest counts, not the one that lasts longest.
        assert!(assessment(&register, day("2026-11-23")).is_none());
        assert!(assessment(&[], day("2026-11-22")).is_none());

        let told = |on| Reminder { on: day(on), channel: Channel::App, text: Digest::of(b"x") };
        let register = lines([told("2026-09-01"), told("2027-09-01")]);
        assert_eq!(reminded(&register, day("2026-11-22")), Some(day("2026-09-01")));
    }

    #[test]
    fn a_change_of_terms_makes_notices_stale() {
        let terms = Terms {
            purpose: "coaching",
            legal_basis: "public-task",
            policy: "refused",
            audio: false,
            retain_s: 86_400,
            photos: true,
        };
        let notice = |audience| Notice { audience, text: Digest::of(b"x"), terms: terms.digest() };
        let all = lines(Audience::ALL.map(notice));
        assert_eq!(untold(&all, terms.digest()), []);
        assert_eq!(untold(&all[..3], terms.digest()), [Audience::Staff]);
        let longer = Terms { retain_s: 86_401, ..terms };
        assert_eq!(untold(&all, longer.digest()), Audience::ALL);
    }
}
