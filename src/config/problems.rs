//! What is wrong with a file: every problem with its place, in the order of the file.

use std::{
    fmt::{self, Write},
    io,
    path::{Path, PathBuf},
};

use super::hints::Position;
use crate::error::{ErrorKind, Kind};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The character within the line, from 1.
    pub column: usize,
    /// The option, `recording.retain`, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// What is wrong and what to write.
    pub text: String,
}

impl Problem {
    pub(super) fn new(at: Position, option: Option<String>, text: impl Into<String>) -> Self {
        Self { line: at.line, column: at.column, option, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        match &self.option {
            Some(option) => write!(f, "{option}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigProblems {
    /// The file could not be read.
    #[error(
        "cannot read the configuration {}: {source}{}", path.display(),
        unreadable_hint(source)
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file was read; this is everything that is wrong with it.
    #[error("{}", list(path, problems))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// In the order of the file; never empty.
        problems: Vec<Problem>,
    },
}

impl ConfigProblems {
    /// The problems inside the file; none where it could not be read.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Wrong { problems, .. } => problems,
        }
    }

    /// The first line of the message, without the list.
    #[must_use]
    pub fn summary(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }
}

impl Kind for ConfigProblems {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreadable { source, .. } => ErrorKind::of_io(source),
            Self::Wrong { .. } => ErrorKind::Config,
        }
    }
}

fn unreadable_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "; config/minimal.toml is a file to start from",
        io::ErrorKind::IsADirectory => "; name the file inside it",
        _ => "",
    }
}

fn list(path: &Path, problems: &[Problem]) -> String {
    let count = problems.len();
    let plural = if count == 1 { "problem" } else { "problems" };
    let mut text = format!("{count} {plural} in the configuration");
    for problem in problems {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}:{problem}", path.display());
    }
    text
}
