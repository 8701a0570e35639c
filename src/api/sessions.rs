//! Who is logged in: in memory only, so that a restart logs everybody out.
//!
//! Belongs here: tokens, their ends, what a session has looked at. Does not belong: passwords
//! (`accounts`), cookies (`guard`). A token is kept as its digest: who reads the memory of a map does
//! not get in by it, and looking one up takes the same time whatever of it is right.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::accounts::{Account, Role};
use crate::{
    units::{AccountId, PersonId, RecordingId},
    vault::Digest,
};

/// How long somebody may do nothing.
pub(super) const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long a session lasts, whatever is done in it.
pub(super) const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// Sessions at a time; the one that was idle longest gives way.
const MOST: usize = 256;

/// Somebody who is logged in, as a request sees them.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) session: Digest,
    pub(super) account: AccountId,
    pub(super) role: Role,
    pub(super) person: Option<PersonId>,
    /// When the account was changed last, as it was at the login.
    pub(super) changed: Timestamp,
    pub(super) csrf: Csrf,
}

/// The word that a page has to send with whatever changes something.
#[derive(Clone)]
pub(super) struct Csrf(String);

impl Csrf {
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Compares digests, so that how long it takes says nothing.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        Digest::of(self.0.as_bytes()) == Digest::of(given)
    }
}

impl fmt::Debug for Csrf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Csrf(..)")
    }
}

struct Session {
    login: Login,
    began: Instant,
    seen: Instant,
    viewed: BTreeSet<RecordingId>,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.seen) >= IDLE || now.duration_since(self.began) >= LONGEST
    }
}

/// All sessions.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<Digest, Session>>);

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session; returns its token. None where the system has no random numbers.
    pub(super) fn begin(&self, account: &Account, now: Instant) -> Option<(String, Login)> {
        let (token, csrf) = (random_word()?, random_word()?);
        let session = Digest::of(token.as_bytes());
        let login = Login {
            session,
            account: account.name.clone(),
            role: account.role,
            person: account.person.clone(),
            changed: account.changed,
            csrf: Csrf(csrf),
        };
        let mut sessions = self.lock();
        sessions.retain(|_, session| !session.is_over(now));
        if sessions.len() >= MOST {
            let idlest = sessions.iter().min_by_key(|(_, session)| session.seen);
            if let Some(idlest) = idlest.map(|(key, _)| *key) {
                sessions.remove(&idlest);
            }
        }
        let viewed = BTreeSet::new();
        sessions.insert(session, Session { login: login.clone(), began: now, seen: now, viewed });
        Some((token, login))
    }

    /// Whose token this is, if the session is not over. Counts as doing something.
    pub(super) fn find(&self, token: &str, now: Instant) -> Option<Login> {
        let mut sessions = self.lock();
        let key = Digest::of(token.as_bytes());
        let session = sessions.get_mut(&key)?;
        if session.is_over(now) {
            sessions.remove(&key);
            return None;
        }
        session.seen = now;
        Some(session.login.clone())
    }

    /// Whether a session is not over; `touch` counts that as doing something.
    pub(super) fn is_live(&self, session: Digest, now: Instant, touch: bool) -> bool {
        let mut sessions = self.lock();
        let Some(session) = sessions.get_mut(&session).filter(|session| !session.is_over(now))
        else {
            return false;
        };
        if touch {
            session.seen = now;
        }
        true
    }

    /// Ends a session.
    pub(super) fn end(&self, session: Digest) {
        self.lock().remove(&session);
    }

    /// Whether it is the first time that a session looks at `recording`.
    pub(super) fn is_first_look(&self, session: Digest, recording: RecordingId) -> bool {
        let sessions = self.lock();
        sessions.get(&session).is_none_or(|session| !session.viewed.contains(&recording))
    }

    /// Notes that the look is in the log.
    pub(super) fn looked(&self, session: Digest, recording: RecordingId) {
        if let Some(session) = self.lock().get_mut(&session) {
            session.viewed.insert(recording);
        }
    }
}

/// 256 bits of the operating system's, in hexadecimal.
fn random_word() -> Option<String> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).ok()?;
    Some(random.iter().fold(String::new(), |mut word, byte| {
        // Writing into a text cannot fail.
        let _ = write!(word, "{byte:02x}");
        word
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        let text = r#"{"name":"c-02","role":"coach","person":"c-02",
            "changed":"2026-11-01T00:00:00Z","password":""}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_session_ends_by_itself_and_by_will() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let (token, login) = sessions.begin(&account(), now).unwrap();
        assert_eq!((token.len(), login.role), (64, Role::Coach));
        assert!(login.csrf.is(login.csrf.text().as_bytes()) && !login.csrf.is(b""));
        assert!(sessions.find("guessed", now).is_none());
        // Doing something moves the idle end; nothing moves the other.
        let mut at = now;
        let almost = IDLE.checked_sub(Duration::from_secs(1)).unwrap();
        while at + IDLE < now + LONGEST {
            at += almost;
            assert!(sessions.find(&token, at).is_some());
        }
        assert!(sessions.find(&token, now + LONGEST).is_none());
        let (token, login) = sessions.begin(&account(), now).unwrap();
        assert!(sessions.is_live(login.session, now + almost, false));
        assert!(sessions.find(&token, now + IDLE).is_none());
        let (token, login) = sessions.begin(&account(), now).unwrap();
        sessions.end(login.session);
        assert!(sessions.find(&token, now).is_none());
    }

    #[test]
    fn there_are_never_too_many() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let (first, _) = sessions.begin(&account(), now).unwrap();
        for second in 1..=MOST as u64 {
            sessions.begin(&account(), now + Duration::from_secs(second)).unwrap();
        }
        assert!(sessions.find(&first, now + Duration::from_secs(300)).is_none());
        assert_eq!(sessions.lock().len(), MOST);
    }
}
