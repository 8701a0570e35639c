//! Why access is not given or taken.

use std::path::PathBuf;

use super::super::{VaultError, audit::AuditError, register::RegisterError};
use crate::{
    error::{ErrorKind, Kind},
    units::{PersonId, RecordingId},
};

/// Everything that fails around access to recordings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// A file could not be read or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The log could not be read or written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A register could not be read or written.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// A register of a version that is not known here.
    #[error("{path} cannot be read by this version", path = path.display())]
    OtherVersion {
        /// The register.
        path: PathBuf,
    },
    /// There is no such request.
    #[error("there is no request {number}: `classveil request list` shows those there are")]
    NoRequest {
        /// The number asked for.
        number: u64,
    },
    /// A request, or an answer to one, that may not be.
    #[error("this request {problem}")]
    BadRequest {
        /// Why.
        problem: &'static str,
    },
    /// There is no such recording, or it is destroyed.
    #[error("the store has no recording {recording}, or it is destroyed")]
    NoRecording {
        /// The one asked for.
        recording: RecordingId,
    },
    /// Somebody writes it.
    #[error("recording {recording} is being written or destroyed: try again")]
    InUse {
        /// The recording.
        recording: RecordingId,
    },
    /// Nobody was granted anything.
    #[error("{person} has no grant for {recording}: `classveil grants list` shows those there are")]
    NoGrant {
        /// The recording.
        recording: RecordingId,
        /// Who.
        person: PersonId,
    },
    /// Only the recording's own teacher grants access.
    #[error("{by} is not the teacher of {recording}: nobody else grants access to it")]
    NotTheTeacher {
        /// The recording.
        recording: RecordingId,
        /// Who tried.
        by: PersonId,
    },
    /// Somebody whose role, by the directory, is another.
    #[error("{person} may not {what}: {rule}; {known}")]
    MayNot {
        /// Who tried.
        person: PersonId,
        /// What.
        what: &'static str,
        /// Who does it.
        rule: &'static str,
        /// What is known of them.
        known: String,
    },
    /// The time is over.
    #[error("access until {until} is none: that time, or the recording's own end, is over")]
    Over {
        /// Until when.
        until: jiff::Timestamp,
    },
    /// A recording that cannot take the place of another.
    #[error("this recording {problem}")]
    BadSuccessor {
        /// Why.
        problem: &'static str,
    },
    /// Marks that are not kept.
    #[error("these marks {problem}")]
    BadMarks {
        /// Why.
        problem: &'static str,
    },
    /// An export that does not count.
    #[error("the export {problem}")]
    BadExport {
        /// Why.
        problem: &'static str,
    },
    /// A grant that does not count.
    #[error("the grant {problem}")]
    BadGrant {
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl AccessError {
    pub(super) fn request(problem: &'static str) -> Self {
        Self::BadRequest { problem }
    }

    pub(super) fn successor(problem: &'static str) -> Self {
        Self::BadSuccessor { problem }
    }

    pub(super) fn export(problem: &'static str) -> Self {
        Self::BadExport { problem }
    }

    pub(super) fn bad(problem: &'static str) -> Self {
        Self::BadGrant { problem }
    }
}

impl Kind for AccessError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Vault(error) => error.kind(),
            Self::Audit(error) => error.kind(),
            Self::Register(error) => error.kind(),
            Self::OtherVersion { .. } => ErrorKind::Config,
            Self::NoRecording { .. } | Self::NoGrant { .. } | Self::NoRequest { .. } => {
                ErrorKind::NotFound
            }
            Self::InUse { .. } => ErrorKind::Transient,
            Self::NotTheTeacher { .. }
            | Self::MayNot { .. }
            | Self::Over { .. }
            | Self::BadGrant { .. }
            | Self::BadExport { .. }
            | Self::BadMarks { .. }
            | Self::BadSuccessor { .. }
            | Self::BadRequest { .. } => ErrorKind::Denied,
        }
    }
}
