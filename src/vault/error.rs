//! What can go wrong in a store, and the faults that a check finds.

use std::{fmt, io, path::PathBuf};

use crate::{
    error::{ErrorKind, Kind, advice},
    units::CameraId,
};

/// One thing that is wrong with a recording.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// The file at fault, relative to the recording: `cam1/000002.mp4.age`.
    pub file: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Fault {
    pub(super) fn new(file: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { file: file.into(), problem: problem.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file, self.problem)
    }
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; ")
}

/// Everything that fails in the vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A table of names that is none.
    #[error(
        "{path}, line {line}: a pseudonym that is there once and a name are expected, such as `t-07,A. \
         Jansen`",
        path = path.display()
    )]
    BadNames {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The operating system refused.
    #[error("{path}: {source}{advice}", path = path.display(), advice = advice(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A recording needs someone who can open it.
    #[error("no recipient: name at least one person who may open the recording")]
    NoRecipient,
    /// The same key twice is a mistake in a list of two people.
    #[error("recipient {recipient} is given twice: name each person's key once")]
    DuplicateRecipient {
        /// The doubled key.
        recipient: String,
    },
    /// A box key file that cannot be used.
    #[error("{path} is no usable box key: {problem}", path = path.display())]
    BadBoxKey {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A secret that others can read is none.
    #[error("{path} can be read by others: run `chmod 600` on it, or make a new key if it was shared", path = path.display())]
    ExposedKey {
        /// The key file.
        path: PathBuf,
    },
    /// A copy of the store must not carry the key that signs it.
    #[error("the box key {path} lies inside the store {store}: keep it elsewhere", path = path.display(), store = store.display())]
    KeyInsideStore {
        /// The key file.
        path: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// The store belongs to another box.
    #[error(
        "{path} names box key {found}, but this box signs with {own}: use the store's own key or \
         another store",
        path = path.display()
    )]
    OtherBoxKey {
        /// The store's `box.pub`.
        path: PathBuf,
        /// The key id it names.
        found: String,
        /// The key id of this box.
        own: String,
    },
    /// An identity file that cannot be used.
    #[error("{path} holds no age identity that can be used: {problem}", path = path.display())]
    BadIdentity {
        /// The identity file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Something is there that would be overwritten.
    #[error("{path} exists already: {hint}", path = path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
        /// What the operator can do.
        hint: &'static str,
    },
    /// There is no recording in that folder.
    #[error("{path} is no recording: {problem}", path = path.display())]
    NotARecording {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        problem: &'static str,
    },
    /// The recording is still being written.
    #[error("{path} is still being recorded: wait until it is sealed", path = path.display())]
    InProgress {
        /// The recording.
        path: PathBuf,
    },
    /// The recording was cut off and not sealed.
    #[error(
        "{path} was cut off before it was sealed: run `classveil recover --store STORE` on the \
         box that recorded it",
        path = path.display()
    )]
    Unsealed {
        /// The recording.
        path: PathBuf,
    },
    /// The recording is not as it was signed.
    #[error("{path} is damaged or tampered with: {}", list(faults), path = path.display())]
    Damaged {
        /// The recording.
        path: PathBuf,
        /// All that was found, at least one.
        faults: Vec<Fault>,
    },
    /// Signed, but not by the box that was expected.
    #[error(
        "{path} is signed with box key {signer}, not with {expected}: if that box may be trusted, \
         give its key with --box-key FILE.pub",
        path = path.display()
    )]
    WrongBoxKey {
        /// The recording.
        path: PathBuf,
        /// The key id that signed it.
        signer: String,
        /// The key id that was expected.
        expected: String,
    },
    /// A recording of a version that is not known here.
    #[error("{path} has a manifest this version cannot read: {problem}", path = path.display())]
    UnknownFormat {
        /// The recording.
        path: PathBuf,
        /// What the reader says.
        problem: String,
    },
    /// None of the caller's keys fits.
    #[error("none of the identities in {file} opens this recording", file = file.display())]
    WrongIdentity {
        /// The identity file.
        file: PathBuf,
    },
    /// A file that is encrypted to others.
    #[error("{path} is encrypted to another key than the one given", path = path.display())]
    NotForYou {
        /// The file.
        path: PathBuf,
    },
    /// A file that should be encrypted.
    #[error("{path} is no whole age file: copy it again", path = path.display())]
    NoAgeFile {
        /// The file.
        path: PathBuf,
    },
    /// A signed statement that cannot be used.
    #[error("the statement {path} {problem}", path = path.display())]
    BadStatement {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A camera that the recording does not have.
    #[error("the recording has no camera `{camera}`: it has {known}")]
    NoCamera {
        /// The camera asked for.
        camera: CameraId,
        /// The cameras there are.
        known: String,
    },
    /// A camera without a single segment.
    #[error("camera {camera} has no segment in this recording: nothing to open")]
    Empty {
        /// The camera.
        camera: CameraId,
    },
    /// The segments of a camera do not join.
    #[error("the segments of {camera} do not join: {problem}")]
    Join {
        /// The camera.
        camera: CameraId,
        /// What the joiner says.
        problem: String,
    },
    /// The caller broke off.
    #[error("broken off: no file was written")]
    BrokenOff,
    /// An output that would make the recording unclean.
    #[error("{path} lies inside the recording: choose a place outside", path = path.display())]
    OutputInside {
        /// The output.
        path: PathBuf,
    },
    /// Encryption failed.
    #[error("cannot encrypt {what}: {problem}")]
    Seal {
        /// The file.
        what: String,
        /// What age says.
        problem: String,
    },
    /// Signing failed.
    #[error("cannot sign with the box key: {problem}")]
    Sign {
        /// What minisign says.
        problem: String,
    },
    /// A segment out of turn.
    #[error("segment {number} of {camera} is out of turn: {expected} comes next")]
    OutOfTurn {
        /// The camera.
        camera: CameraId,
        /// The number that came.
        number: u32,
        /// The number that was expected.
        expected: u32,
    },
    /// Writing has stopped at an earlier error.
    #[error("recording has stopped: {reason}")]
    Stopped {
        /// The kind of the earlier error.
        kind: ErrorKind,
        /// The earlier error.
        reason: String,
    },
    /// The end of a recording could not be written: it stays unsealed.
    #[error(
        "{path} could not be sealed: {source}; its {segments} complete segments are kept, and \
         `classveil recover --store DIR` completes it once this is mended",
        path = path.display()
    )]
    NotSealed {
        /// The recording.
        path: PathBuf,
        /// Its complete segments.
        segments: usize,
        /// Their size.
        bytes: u64,
        /// Frames in them.
        frames: u64,
        /// Why.
        source: Box<VaultError>,
    },
    /// The writer thread broke off.
    #[error("the writer thread broke off: run `classveil recover` on the store")]
    WriterLost,
}

impl Kind for VaultError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => ErrorKind::of_io(source),
            Self::NoRecipient | Self::DuplicateRecipient { .. } | Self::OutputInside { .. } => {
                ErrorKind::Usage
            }
            Self::BadBoxKey { .. } | Self::KeyInsideStore { .. } | Self::BadIdentity { .. } => {
                ErrorKind::Config
            }
            Self::ExposedKey { .. }
            | Self::WrongBoxKey { .. }
            | Self::WrongIdentity { .. }
            | Self::NotForYou { .. }
            | Self::BadStatement { .. } => ErrorKind::Denied,
            Self::OtherBoxKey { .. } | Self::Exists { .. } | Self::Unsealed { .. } => {
                ErrorKind::Conflict
            }
            Self::NotARecording { .. } | Self::NoCamera { .. } | Self::Empty { .. } => {
                ErrorKind::NotFound
            }
            Self::InProgress { .. } | Self::BrokenOff => ErrorKind::Transient,
            Self::Damaged { .. } | Self::Join { .. } | Self::NoAgeFile { .. } => {
                ErrorKind::DataLoss
            }
            Self::UnknownFormat { .. } | Self::BadNames { .. } => ErrorKind::Config,
            Self::Stopped { kind, .. } => *kind,
            Self::NotSealed { source, .. } => source.kind(),
            Self::Seal { .. } | Self::Sign { .. } | Self::OutOfTurn { .. } | Self::WriterLost => {
                ErrorKind::Bug
            }
        }
    }
}
