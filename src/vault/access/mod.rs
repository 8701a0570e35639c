//! Who may open a recording besides its recipients, and who may be given access at all.
//!
//! Belongs here: the words for people's roles and the rule of who may do what, grants, requests of people who were recorded, the
//! notes that come of them, marks of people who watched, and recordings that take the place of others. Does not belong: who has which key (the directory in
//! `people`), and deadlines (`retention`).

mod error;
mod export;
mod grant;
mod marking;
mod marks;
mod note;
mod request;
mod roles;
mod successor;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use error::AccessError;
pub use export::{Export, ExportFor, attest_export, enter_export};
pub use grant::{Grant, KeysToLook, Listed, NewGrant, grants, revoke};
pub(super) use grant::{KeyText, STATEMENT, examine, is_grant_file, tidy};
pub use marking::{Kept, Made, Mark, Marks, read_marks};
pub(super) use marks::{MARKS, is_marks_file, marks_files, marks_left};
pub use marks::{MARKS_LIMIT, carry_marks, keep_marks};
pub use note::Note;
pub(super) use note::{NOTES, check as check_notes, note_files, read as read_notes};
pub use request::{
    Answered, Ask, Decision, NewAnswer, NewRequest, Request, Requests, answer, request,
};
pub use roles::{Act, Roles, Standing};
pub(super) use successor::SUCCESSOR;
pub use successor::{KeyHolder, NewSuccessor, Successor, attest};

use crate::error::{ErrorKind, Kind};

/// What somebody is to a recording. A role says what a person may be given, never what they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Is recorded and decides who may look.
    Teacher,
    /// Coaches; a recipient once the teacher accepted the key.
    Coach,
    /// Supervises a coach; looks with the teacher's grant.
    Supervisor,
    /// Of a pupil; gets exports, never a recording.
    Parent,
    /// Sees registers and the log, never a recording.
    PrivacyOfficer,
    /// Commissions coaching; sees counts only.
    Manager,
    /// Runs the box; sees counts only.
    Admin,
}

/// Every role with its word.
const ROLES: [(Role, &str); 7] = [
    (Role::Teacher, "teacher"),
    (Role::Coach, "coach"),
    (Role::Supervisor, "supervisor"),
    (Role::Parent, "parent"),
    (Role::PrivacyOfficer, "privacy-officer"),
    (Role::Manager, "manager"),
    (Role::Admin, "admin"),
];

impl Role {
    /// Whether somebody of this role may be granted a whole recording.
    #[must_use]
    pub const fn may_look(self) -> bool {
        matches!(self, Self::Teacher | Self::Coach | Self::Supervisor)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = ROLES.iter().find(|(role, _)| role == self).map_or("", |(_, word)| word);
        f.write_str(word)
    }
}

/// Not a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{word}` is no role: choose teacher, coach, supervisor, parent, privacy-officer, manager or \
     admin"
)]
pub struct BadRole {
    word: String,
}

impl Kind for BadRole {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Usage
    }
}

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(word: &str) -> Result<Self, BadRole> {
        let found = ROLES.iter().find(|(_, known)| *known == word).map(|(role, _)| *role);
        found.ok_or_else(|| BadRole { word: word.to_owned() })
    }
}

/// How it was made sure that a key is its owner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirmed {
    /// The owner stood there and both read the fingerprint.
    InPerson,
    /// The fingerprint was read out on the telephone, by a known voice.
    Phone,
    /// In a video call.
    Video,
    /// On paper, signed by hand.
    Letter,
    /// By nobody's eyes: the owner gave the one-time code that was handed over, or the signature of
    /// an older key, under their own login.
    OwnLogin,
}

/// Every way with its word.
const WAYS: [(Confirmed, &str); 5] = [
    (Confirmed::InPerson, "in-person"),
    (Confirmed::Phone, "phone"),
    (Confirmed::Video, "video"),
    (Confirmed::Letter, "letter"),
    (Confirmed::OwnLogin, "own-login"),
];

impl fmt::Display for Confirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WAYS.iter().find(|(way, _)| way == self).map_or("", |(_, word)| word))
    }
}

impl FromStr for Confirmed {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        // What the box says of its own pages nobody says by hand.
        let found = WAYS.iter().find(|(_, known)| *known == word).map(|(way, _)| *way);
        let found = found.filter(|way| *way != Self::OwnLogin);
        found.ok_or_else(|| format!("`{word}` is no way: choose in-person, phone, video or letter"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_ones_in_files() {
        for (role, word) in ROLES {
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{word}\""));
            assert_eq!((role.to_string().as_str(), word.parse()), (word, Ok(role)));
        }
        for (way, word) in WAYS {
            assert_eq!(serde_json::to_string(&way).unwrap(), format!("\"{word}\""));
            let by_hand = word.parse::<Confirmed>().ok();
            assert_eq!(by_hand, Some(way).filter(|way| *way != Confirmed::OwnLogin));
            assert_eq!(way.to_string(), word);
        }
        assert!("head".parse::<Role>().is_err() && "mail".parse::<Confirmed>().is_err());
    }

    #[test]
    fn who_commissions_or_runs_the_box_never_looks() {
        let lookers = ROLES.iter().filter(|(role, _)| role.may_look()).map(|(_, word)| *word);
        assert_eq!(lookers.collect::<Vec<_>>(), ["teacher", "coach", "supervisor"]);
    }
}
