//! Why a directory is not changed, or a recording is not sealed to somebody.

use std::path::PathBuf;

use super::KEYS;
use crate::{
    error::{ErrorKind, Kind},
    units::PersonId,
    vault::{Recipient, VaultError, access::Role, audit::AuditError, register::RegisterError},
};

/// Everything that fails around the directory of people.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A file could not be read or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The register could not be read or written.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The log could not be read or written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A directory of a version that is not known here.
    #[error("{path} cannot be read by this version", path = path.display())]
    OtherVersion {
        /// The register.
        path: PathBuf,
    },
    /// A file that does not bring a directory.
    #[error("{path} {problem}: get it anew from the box, by `classveil people export`", path = path.display())]
    NotCarried {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The operating system has no random numbers.
    #[error("no random numbers for a code: {problem}")]
    Random {
        /// What it says.
        problem: String,
    },
    /// Nobody of that pseudonym.
    #[error("the directory has nobody called {person}: `classveil people list` shows who is in it")]
    Unknown {
        /// Who was asked for.
        person: PersonId,
    },
    /// The pseudonym is taken.
    #[error("{person} is, or was, in the directory: a pseudonym is used once, choose another")]
    Taken {
        /// The pseudonym.
        person: PersonId,
    },
    /// The key is in the directory.
    #[error("this key is, or was, {person}'s: a key is enrolled once, make a new one")]
    KeyTaken {
        /// Whose it is.
        person: PersonId,
    },
    /// A key that this person does not have.
    #[error("{person} has no key {recipient} that could end")]
    NoSuchKey {
        /// Who.
        person: PersonId,
        /// The key.
        recipient: Recipient,
    },
    /// A one-time code that does not count.
    #[error(
        "this is not the one-time code of {person}, or it is older than seven days or was used: \
         hand out another by `classveil people invite`"
    )]
    WrongCode {
        /// Who.
        person: PersonId,
    },
    /// No challenge was handed out.
    #[error(
        "no challenge of {person} waits for an answer: make one by `classveil people challenge`"
    )]
    NoChallenge {
        /// Who.
        person: PersonId,
    },
    /// An answer that does not fit.
    #[error("the answer does not count: {problem}")]
    BadAnswer {
        /// Why.
        problem: &'static str,
    },
    /// More keys than anybody needs.
    #[error("{person} has {KEYS} keys already: end one first, or replace one")]
    TooManyKeys {
        /// Who.
        person: PersonId,
    },
    /// A key that nobody vouches for.
    #[error("a key of {person} is not taken: {problem}")]
    NotVouched {
        /// Who.
        person: PersonId,
        /// What is missing.
        problem: String,
    },
    /// A recording without its teacher.
    #[error(
        "this store has a directory of people, so a recording names its teacher: give --teacher ID"
    )]
    NoTeacher,
    /// The person named as teacher is something else.
    #[error("{person} is in the directory as {role}, not as teacher")]
    NotATeacher {
        /// Who.
        person: PersonId,
        /// What they are.
        role: Role,
    },
    /// The teacher could not open the recording.
    #[error(
        "no key of {teacher} is among the recipients, and a recording that its teacher cannot open \
         is not made: enrol one by `classveil people enrol`, or give it by --recipient"
    )]
    WithoutTeacher {
        /// The teacher.
        teacher: PersonId,
    },
    /// A key that is nobody's.
    #[error(
        "{recipient} is nobody's key in the directory: enrol it first, so that everybody sees who \
         can open the recording"
    )]
    Nobody {
        /// The key.
        recipient: Recipient,
    },
    /// A key that does not count now.
    #[error("{recipient} is a key of {person} that does not count now")]
    NotInForce {
        /// Whose.
        person: PersonId,
        /// The key.
        recipient: Recipient,
    },
    /// Somebody who never looks at a whole recording.
    #[error("{person} is in the directory as {role}, who is never given a recording")]
    MayNotLook {
        /// Who.
        person: PersonId,
        /// What they are.
        role: Role,
    },
    /// Somebody without a key.
    #[error("{person} has no key that counts: enrol one first")]
    WithoutKey {
        /// Who.
        person: PersonId,
    },
    /// A key that the teacher did not accept.
    #[error(
        "{teacher} has not accepted this key of {person}: the teacher signs it by `classveil people \
         approve`, and `classveil people accept` takes the statement in"
    )]
    NotAccepted {
        /// Whose key.
        person: PersonId,
        /// The teacher.
        teacher: PersonId,
    },
}

impl Kind for DirectoryError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Vault(error) => error.kind(),
            Self::Register(error) => error.kind(),
            Self::Audit(error) => error.kind(),
            Self::OtherVersion { .. } => ErrorKind::Config,
            Self::Unknown { .. }
            | Self::NoSuchKey { .. }
            | Self::NoChallenge { .. }
            | Self::WithoutKey { .. } => ErrorKind::NotFound,
            Self::Taken { .. } | Self::KeyTaken { .. } | Self::TooManyKeys { .. } => {
                ErrorKind::Conflict
            }
            Self::NoTeacher => ErrorKind::Usage,
            Self::Random { .. } => ErrorKind::Io,
            Self::NotCarried { .. }
            | Self::WrongCode { .. }
            | Self::BadAnswer { .. }
            | Self::NotVouched { .. }
            | Self::NotATeacher { .. }
            | Self::WithoutTeacher { .. }
            | Self::Nobody { .. }
            | Self::NotInForce { .. }
            | Self::MayNotLook { .. }
            | Self::NotAccepted { .. } => ErrorKind::Denied,
        }
    }
}
