//! What can go wrong with a log, and the flaws that a check finds in one.

use std::{fmt, path::PathBuf};

use jiff::Timestamp;

use super::super::VaultError;
use crate::error::{ErrorKind, Kind};

/// One thing that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Flaw {
    /// The line at fault; none where it is another file.
    pub line: Option<u64>,
    /// What is wrong.
    pub problem: String,
}

impl Flaw {
    pub(super) fn at(line: u64, problem: impl Into<String>) -> Self {
        Self { line: Some(line), problem: problem.into() }
    }

    pub(super) fn of_file(problem: impl Into<String>) -> Self {
        Self { line: None, problem: problem.into() }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line} {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

/// How many flaws a message names.
const NAMED: usize = 5;

fn list(flaws: &[Flaw]) -> String {
    let mut text = flaws.iter().take(NAMED).map(Flaw::to_string).collect::<Vec<_>>().join("; ");
    if flaws.len() > NAMED {
        text.push_str("; and more");
    }
    text
}

/// Everything that fails with a log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file could not be read or written.
    #[error(transparent)]
    Store(#[from] VaultError),
    /// A key file that cannot be used.
    #[error("{path} is no usable audit key: {problem}", path = path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A secret that others can read is none.
    #[error(
        "{path} can be read by others: run `chmod 600` on it; if it was shared, compare the log \
         with a kept checkpoint by `classveil audit verify --checkpoint`",
        path = path.display()
    )]
    ExposedKey {
        /// The key file.
        path: PathBuf,
    },
    /// The log is signed with another key.
    #[error(
        "the log in {path} is signed with another audit key than this machine's: to check it give \
         its log.vkey by --key, to write to it the key it began with by --audit-key",
        path = path.display()
    )]
    OtherKey {
        /// The log's folder.
        path: PathBuf,
    },
    /// There is no log.
    #[error("{path} holds no audit log: it begins with the first recording", path = path.display())]
    NoLog {
        /// Where it would be.
        path: PathBuf,
    },
    /// The log is not as it was written.
    #[error(
        "the audit log in {path} was tampered with or is damaged: {}; tell the privacy officer, and \
         restore it from a copy, or begin a new one that keeps what this one still proves by \
         `classveil audit renew`",
        list(flaws),
        path = path.display()
    )]
    Damaged {
        /// The log's folder.
        path: PathBuf,
        /// What was found, at least one.
        flaws: Vec<Flaw>,
    },
    /// The log is as it was written.
    #[error("the audit log in {path} is as it was written: there is nothing to renew", path = path.display())]
    Whole {
        /// The log's folder.
        path: PathBuf,
    },
    /// A line that is dated before those it follows would put off every deadline.
    #[error(
        "the clock says {now}, and the latest genuine line of the log in {path} is of {latest}: set the \
         clock, then renew the log",
        path = path.display()
    )]
    ClockBehind {
        /// The log's folder.
        path: PathBuf,
        /// The clock.
        now: Timestamp,
        /// The line.
        latest: Timestamp,
    },
    /// A checkpoint that cannot be used.
    #[error("the checkpoint {path} {problem}", path = path.display())]
    BadCheckpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A line that the log does not have.
    #[error("the log has no line {line}: it has {lines}")]
    NoLine {
        /// The line asked for.
        line: u64,
        /// How many there are.
        lines: u64,
    },
}

impl Kind for AuditError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::BadKey { .. } => ErrorKind::Config,
            Self::ExposedKey { .. } => ErrorKind::Denied,
            Self::OtherKey { .. } | Self::Whole { .. } | Self::ClockBehind { .. } => {
                ErrorKind::Conflict
            }
            Self::NoLog { .. } | Self::NoLine { .. } => ErrorKind::NotFound,
            Self::Damaged { .. } | Self::BadCheckpoint { .. } => ErrorKind::DataLoss,
        }
    }
}
