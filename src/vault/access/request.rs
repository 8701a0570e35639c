//! What people who were recorded ask for, and what becomes of it: a register with a due date for
//! each request.
//!
//! Belongs here: the register `requests.json`, its rules, and the lines of the log that put a
//! request and its answer in force. Does not belong: carrying out: the plan of `retention` reads
//! the same lines, so that a restricted recording is withheld and one whose deletion was granted
//! goes. Texts of requests and reasons stay with the privacy officer; here are their digests.

use std::{fmt, path::Path, str::FromStr};

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        BoxKey, Digest,
        audit::{AuditLog, Entry, Event},
        register::{Name, Register},
    },
    AccessError, Act, Roles, note,
};
use crate::units::{PersonId, RecordingId};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// That recordings go (GDPR article 17).
    Delete,
    /// That nobody gets them until an objection is decided (articles 18 and 21).
    Restrict,
    /// That something is added: a note that whoever opens them sees (article 16).
    Add,
    /// What is held about the person (article 15).
    Access,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It is done.
    Granted,
    /// It is not done, for a reason.
    Refused,
    /// It takes two months more, for a reason (article 12(3)).
    Extended,
    /// A restriction that was granted ends.
    Lifted,
}

const ASKS: [(Ask, &str); 4] = [
    (Ask::Delete, "delete"),
    (Ask::Restrict, "restrict"),
    (Ask::Add, "add"),
    (Ask::Access, "access"),
];

const DECISIONS: [(Decision, &str); 4] = [
    (Decision::Granted, "granted"),
    (Decision::Refused, "refused"),
    (Decision::Extended, "extended"),
    (Decision::Lifted, "lifted"),
];

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ASKS.iter().find(|(ask, _)| ask == self).map_or("", |(_, word)| word))
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DECISIONS.iter().find(|(one, _)| one == self).map_or("", |(_, word)| word))
    }
}

impl FromStr for Decision {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = DECISIONS.iter().find(|(_, known)| *known == word).map(|(one, _)| *one);
        found.ok_or_else(|| {
            format!("`{word}` is no answer: choose granted, refused, extended or lifted")
        })
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[default]
    #[serde(rename = "classveil-requests/1")]
    V1,
}

/// All requests of a store, in the order in which they were entered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    format: Format,
    requests: Vec<Request>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// 1 for the first.
    pub number: u64,
    /// What is asked for.
    pub ask: Ask,
    /// Who asks, or for whom a parent asks: a pseudonym.
    pub by: PersonId,
    /// Which recordings; none where somebody asks what is held.
    pub recordings: Vec<RecordingId>,
    /// When it came.
    pub received: Timestamp,
    /// By when it has to be answered.
    pub due: Timestamp,
    /// Digest of its text.
    pub text: Option<Digest>,
    /// What became of it, the last counts.
    pub answers: Vec<Answered>,
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: PersonId,
    /// What.
    pub decision: Decision,
    /// Digest of the written reason.
    pub reason: Option<Digest>,
}

impl Request {
    /// Whether it still waits for an answer.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.answers.iter().all(|answer| answer.decision == Decision::Extended)
    }

    /// Whether it should have been answered by `now`.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.is_open() && self.due <= now
    }

    /// What became of it last.
    #[must_use]
    pub fn last(&self) -> Option<&Answered> {
        self.answers.last()
    }
}

/// A request as it comes in.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// What is asked for.
    pub ask: Ask,
    /// Who asks.
    pub by: PersonId,
    /// Which recordings.
    pub recordings: Vec<RecordingId>,
    /// When it came.
    pub received: Timestamp,
    /// Digest of its text.
    pub text: Option<Digest>,
}

/// An answer as it is given.
#[derive(Clone, Debug)]
pub struct NewAnswer<'a> {
    /// The request's number.
    pub number: u64,
    /// By whom.
    pub by: PersonId,
    /// What.
    pub decision: Decision,
    /// Digest of the written reason.
    pub reason: Option<Digest>,
    /// The text of a note that is added.
    pub note: Option<&'a str>,
}

/// `months` after `from`, by the calendar in UTC: the 31st becomes the last day of a shorter month.
fn months(from: Timestamp, months: i32) -> Timestamp {
    let zoned = from.to_zoned(TimeZone::UTC);
    zoned.checked_add(months.months()).map_or(Timestamp::MAX, |then| then.timestamp())
}

impl Requests {
    /// The requests of `store` by the lines of its log.
    pub fn read(store: &Path, entries: &[Entry]) -> Result<Self, AccessError> {
        let register = Register::new(store, Name::Requests);
        let bytes = register.read(entries)?;
        Ok(bytes.map(|bytes| parse(&bytes, &register)).transpose()?.unwrap_or_default())
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Request] {
        &self.requests
    }

    /// Enters a request. A restriction counts from this moment on.
    fn enter(&mut self, new: &NewRequest, now: Timestamp) -> Result<Request, AccessError> {
        if new.recordings.is_empty() && new.ask != Ask::Access {
            return Err(AccessError::request("names no recording"));
        }
        if new.ask == Ask::Add && (new.recordings.len() > 1 || new.text.is_none()) {
            return Err(AccessError::request("adds a text to one recording: give both"));
        }
        if new.received > now {
            return Err(AccessError::request("came in the future"));
        }
        let request = Request {
            number: self.requests.len() as u64 + 1,
            ask: new.ask,
            by: new.by.clone(),
            recordings: new.recordings.clone(),
            received: new.received,
            due: months(new.received, 1),
            text: new.text,
            answers: Vec::new(),
        };
        self.requests.push(request.clone());
        Ok(request)
    }

    /// Answers a request.
    fn answer(&mut self, new: &NewAnswer<'_>, now: Timestamp) -> Result<Request, AccessError> {
        let found = self.requests.iter_mut().find(|request| request.number == new.number);
        let request = found.ok_or(AccessError::NoRequest { number: new.number })?;
        let granted = request.last().is_some_and(|last| last.decision == Decision::Granted);
        let no = |problem| Err(AccessError::request(problem));
        match new.decision {
            Decision::Lifted if request.ask != Ask::Restrict || !granted => {
                return no("is no restriction that was granted, so there is nothing to lift");
            }
            Decision::Lifted => {}
            _ if !request.is_open() => return no("was answered before"),
            Decision::Refused | Decision::Extended if new.reason.is_none() => {
                return no("is refused or put off only for a written reason: give --reason FILE");
            }
            Decision::Extended if !request.answers.is_empty() => {
                return no("was put off before, and once is all there is");
            }
            Decision::Granted if request.ask == Ask::Add => {
                let text = new.note.map(|note| Digest::of(note.as_bytes()));
                if text != request.text {
                    return no("adds the text it came with: give that very file by --text");
                }
            }
            _ => {}
        }
        if new.by == request.by {
            return no("is not answered by who made it");
        }
        if new.decision == Decision::Extended {
            request.due = months(request.received, 3);
        }
        let (by, decision, reason) = (new.by.clone(), new.decision, new.reason);
        request.answers.push(Answered { at: now, by, decision, reason });
        Ok(request.clone())
    }
}

fn parse(bytes: &[u8], register: &Register) -> Result<Requests, AccessError> {
    serde_json::from_slice(bytes).map_err(|_| AccessError::OtherVersion { path: register.path() })
}

fn to_bytes(requests: &Requests) -> Vec<u8> {
    // Pseudonyms, ids, digests and times always have a JSON form.
    let mut bytes = serde_json::to_vec_pretty(requests).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Enters a request into the register and the log.
pub fn request(
    store: &Path,
    log: &AuditLog,
    new: &NewRequest,
    now: Timestamp,
) -> Result<Request, AccessError> {
    let register = Register::new(store, Name::Requests);
    let held = register.hold()?;
    let entries = log.entries()?;
    for recording in &new.recordings {
        let gone = |entry: &Entry| matches!(&entry.event, Some(Event::Destroyed { recording: gone, .. }) if gone == recording);
        let folder = store.join("recordings").join(recording.to_string());
        if entries.iter().any(gone) || !folder.is_dir() {
            return Err(AccessError::NoRecording { recording: *recording });
        }
    }
    let bytes = held.read(&entries)?;
    let mut requests = bytes.map(|bytes| parse(&bytes, &register)).transpose()?.unwrap_or_default();
    let entered = requests.enter(new, now)?;
    let event = |digest| Event::Requested {
        request: entered.number,
        ask: entered.ask,
        by: entered.by.clone(),
        recordings: entered.recordings.clone(),
        due: entered.due,
        register: digest,
    };
    held.write(&to_bytes(&requests), |digest| log.append(now, &event(digest)).map(drop))?;
    Ok(entered)
}

/// Answers a request, in the register and the log. A note that is granted is sealed to whoever can
/// open the recording now. By `roles` the privacy officer does so.
pub fn answer(
    (store, log, key): (&Path, &AuditLog, &BoxKey),
    roles: &Roles,
    new: &NewAnswer<'_>,
    now: Timestamp,
) -> Result<Request, AccessError> {
    roles.may(&new.by, &Act::Answer)?;
    let register = Register::new(store, Name::Requests);
    let held = register.hold()?;
    let bytes = held.read(&log.entries()?)?;
    let mut requests = bytes.map(|bytes| parse(&bytes, &register)).transpose()?.unwrap_or_default();
    let answered = requests.answer(new, now)?;
    let pending = match (answered.ask, new.decision, new.note, answered.recordings.first()) {
        (Ask::Add, Decision::Granted, Some(text), Some(recording)) => {
            Some(note::prepare(store, log, key, *recording, &answered, text, now)?)
        }
        _ => None,
    };
    let event = |digest| Event::Answered {
        request: answered.number,
        ask: answered.ask,
        decision: new.decision,
        by: new.by.clone(),
        reason: new.reason,
        recordings: answered.recordings.clone(),
        register: digest,
    };
    let written =
        held.write(&to_bytes(&requests), |digest| log.append(now, &event(digest)).map(drop));
    match (written, pending) {
        (Ok(()), Some(pending)) => pending.publish()?,
        // The line may be on disk: the log says whether the note counts.
        (Err(error), Some(pending)) => {
            pending.keep();
            return Err(error.into());
        }
        (written, None) => written?,
    }
    Ok(answered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn new(ask: Ask, received: &str) -> NewRequest {
        NewRequest {
            ask,
            by: "p-14".parse().unwrap(),
            recordings: vec![RecordingId::new(at("2026-09-01T00:00:00Z"))],
            received: at(received),
            text: Some(Digest::of(b"text")),
        }
    }

    fn decide<'a>(number: u64, decision: Decision, reason: bool) -> NewAnswer<'a> {
        let by = "fg-01".parse().unwrap();
        let reason = reason.then(|| Digest::of(b"reason"));
        NewAnswer { number, by, decision, reason, note: None }
    }

    #[test]
    fn a_month_is_one_by_the_calendar() {
        for (received, due) in [
            ("2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z"),
            ("2028-01-31T10:00:00Z", "2028-02-29T10:00:00Z"),
            ("2026-12-15T23:59:59Z", "2027-01-15T23:59:59Z"),
        ] {
            let mut requests = Requests::default();
            let entered = requests.enter(&new(Ask::Delete, received), at("2029-01-01T00:00:00Z"));
            assert_eq!(entered.unwrap().due, at(due));
        }
    }

    #[test]
    fn refusal_takes_a_reason_and_putting_off_happens_once() {
        let now = at("2026-10-01T00:00:00Z");
        let mut requests = Requests::default();
        let entered = requests.enter(&new(Ask::Delete, "2026-09-20T00:00:00Z"), now).unwrap();
        assert!(!entered.is_overdue(at("2026-10-19T00:00:00Z")));
        assert!(entered.is_overdue(at("2026-10-20T00:00:00Z")));
        for decision in [Decision::Refused, Decision::Extended] {
            assert!(requests.answer(&decide(1, decision, false), now).is_err());
        }
        let put_off = requests.answer(&decide(1, Decision::Extended, true), now).unwrap();
        assert_eq!(put_off.due, at("2026-12-20T00:00:00Z"));
        assert!(put_off.is_open());
        assert!(requests.answer(&decide(1, Decision::Extended, true), now).is_err());
        let own = NewAnswer { by: "p-14".parse().unwrap(), ..decide(1, Decision::Granted, false) };
        assert!(requests.answer(&own, now).is_err());
        assert!(!requests.answer(&decide(1, Decision::Refused, true), now).unwrap().is_open());
        assert!(requests.answer(&decide(1, Decision::Granted, false), now).is_err());
        assert!(matches!(
            requests.answer(&decide(2, Decision::Granted, false), now),
            Err(AccessError::NoRequest { number: 2 })
        ));
    }

    #[test]
    fn only_a_granted_restriction_is_lifted() {
        let now = at("2026-10-01T00:00:00Z");
        let mut requests = Requests::default();
        requests.enter(&new(Ask::Restrict, "2026-09-20T00:00:00Z"), now).unwrap();
        requests.enter(&new(Ask::Access, "2026-09-20T00:00:00Z"), now).unwrap();
        assert!(requests.answer(&decide(1, Decision::Lifted, false), now).is_err());
        requests.answer(&decide(1, Decision::Granted, false), now).unwrap();
        requests.answer(&decide(2, Decision::Granted, false), now).unwrap();
        assert!(requests.answer(&decide(2, Decision::Lifted, false), now).is_err());
        requests.answer(&decide(1, Decision::Lifted, false), now).unwrap();
        assert!(requests.answer(&decide(1, Decision::Lifted, false), now).is_err());
    }

    #[test]
    fn a_request_says_what_it_is_about() {
        let now = at("2026-10-01T00:00:00Z");
        let mut requests = Requests::default();
        let received = "2026-09-20T00:00:00Z";
        let none = |ask| NewRequest { recordings: vec![], ..new(ask, received) };
        for ask in [Ask::Delete, Ask::Restrict, Ask::Add] {
            assert!(requests.enter(&none(ask), now).is_err());
        }
        assert!(requests.enter(&none(Ask::Access), now).is_ok());
        let silent = NewRequest { text: None, ..new(Ask::Add, received) };
        assert!(requests.enter(&silent, now).is_err());
        assert!(requests.enter(&new(Ask::Delete, "2026-10-02T00:00:00Z"), now).is_err());
        let entered = requests.enter(&new(Ask::Add, received), now).unwrap();
        let other =
            NewAnswer { note: Some("other"), ..decide(entered.number, Decision::Granted, false) };
        assert!(requests.answer(&other, now).is_err());
        let same = NewAnswer { note: Some("text"), ..other };
        assert!(requests.answer(&same, now).is_ok());
    }
}
