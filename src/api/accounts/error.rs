//! What can go wrong with accounts.

use std::path::PathBuf;

use super::{MOST, Role};
use crate::{
    error::{ErrorKind, Kind, advice},
    units::AccountId,
    vault::audit::AuditError,
};

/// What can go wrong with accounts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// The file cannot be read or written.
    #[error("cannot use {path}: {source}{hint}", path = path.display(), hint = advice(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others can read the file.
    #[error("{path} can be read by others (mode {mode:03o}): run `chmod 600` on it", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file is not what was written.
    #[error(
        "{path} is no file of accounts: restore it from a copy, or remove it and make the accounts \
         again with `classveil users`",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// There is one of that name.
    #[error("there is an account {name} already: choose another name, or remove it first")]
    Exists {
        /// The name.
        name: AccountId,
    },
    /// There is none of that name.
    #[error("there is no account {name}: `classveil users list` shows all of them")]
    Unknown {
        /// The name.
        name: AccountId,
    },
    /// Recordings cannot be connected with the account.
    #[error("a {role} needs --person: the pseudonym that recordings and the directory use")]
    NoPerson {
        /// The role.
        role: Role,
    },
    /// Nobody should have that password.
    #[error("the password {problem}")]
    BadPassword {
        /// Why.
        problem: &'static str,
    },
    /// The code is not the one that was handed out.
    #[error(
        "this is not the set-up code, it is over, or there is an administrator already: \
         `classveil users setup-code` on the box prints a new one"
    )]
    NoCode,
    /// A code would help somebody who has no business here.
    #[error("there is an administrator already, who makes accounts with `classveil users add`")]
    SetUp,
    /// Too many.
    #[error("there are {MOST} accounts: remove those that nobody uses")]
    Full,
    /// The password could not be hashed, or nothing random was to be had.
    #[error("no password can be kept: {problem}")]
    Crypto {
        /// Why.
        problem: String,
    },
    /// The change could not be written into the log, so it does not count.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl Kind for AccountsError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => ErrorKind::of_io(source),
            Self::Exposed { .. } => ErrorKind::Config,
            Self::Damaged { .. } => ErrorKind::DataLoss,
            Self::Exists { .. } | Self::SetUp => ErrorKind::Conflict,
            Self::Unknown { .. } => ErrorKind::NotFound,
            Self::NoPerson { .. } | Self::BadPassword { .. } => ErrorKind::Usage,
            Self::NoCode => ErrorKind::Denied,
            Self::Full | Self::Crypto { .. } => ErrorKind::Exhausted,
            Self::Audit(error) => error.kind(),
        }
    }
}
