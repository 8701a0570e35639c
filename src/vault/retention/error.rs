//! What can go wrong with ends, holds and certificates.

use std::path::PathBuf;

use super::super::{VaultError, access::AccessError, audit::AuditError};
use crate::{
    error::{ErrorKind, Kind},
    units::RecordingId,
};

/// Everything that fails around the end of a recording.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// A file could not be read, written or removed.
    #[error(transparent)]
    Store(#[from] VaultError),
    /// The log could not be read or written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A grant could not be ended.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Nothing said how long a recording may live.
    #[error(
        "the retention policy is empty: say how long a recording lives at most, and how long after \
         its follow-up talk"
    )]
    EmptyPolicy,
    /// There is no such recording.
    #[error("the store has no recording {recording}")]
    NoRecording {
        /// The one asked for.
        recording: RecordingId,
    },
    /// Somebody writes or reads it.
    #[error("recording {recording} is in use: try again")]
    InUse {
        /// The recording.
        recording: RecordingId,
    },
    /// It is destroyed already.
    #[error("recording {recording} is destroyed: line {line} of the log says so")]
    Destroyed {
        /// The recording.
        recording: RecordingId,
        /// The line.
        line: u64,
    },
    /// A hold that may not be.
    #[error("a hold on {recording} is refused: {problem}")]
    BadHold {
        /// The recording.
        recording: RecordingId,
        /// Why.
        problem: &'static str,
    },
    /// Nothing to clear.
    #[error(
        "nothing is in doubt about recording {recording}: the log was not renewed or begun anew since"
    )]
    NoDoubt {
        /// The recording.
        recording: RecordingId,
    },
    /// Somebody's word that the talk is over does not hold.
    #[error(
        "the statement that the talk about {recording} is over {problem}: open the recording with the key \
         that it was sealed to, and close the talk again"
    )]
    BadTalk {
        /// The recording.
        recording: RecordingId,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A certificate that does not hold.
    #[error("the certificate {path} does not hold: {problem}", path = path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate of another box.
    #[error(
        "the certificate {path} is signed with box key {signer}, not with {expected}: if that box \
         may be trusted, give its key with --box-key FILE.pub",
        path = path.display()
    )]
    OtherBox {
        /// The file.
        path: PathBuf,
        /// The key id that signed it.
        signer: String,
        /// The key id that was expected.
        expected: String,
    },
}

impl Kind for RetentionError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Audit(error) => error.kind(),
            Self::Access(error) => error.kind(),
            Self::EmptyPolicy => ErrorKind::Config,
            Self::NoRecording { .. } => ErrorKind::NotFound,
            Self::InUse { .. } => ErrorKind::Transient,
            Self::Destroyed { .. } => ErrorKind::Conflict,
            Self::BadHold { .. }
            | Self::NoDoubt { .. }
            | Self::BadTalk { .. }
            | Self::OtherBox { .. } => ErrorKind::Denied,
            Self::BadCertificate { .. } => ErrorKind::DataLoss,
        }
    }
}
