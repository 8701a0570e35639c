//! What can go wrong while measuring.

use std::path::{Path, PathBuf};

use crate::{
    appliance::RecordError,
    capture::CaptureError,
    encode::EncodeError,
    error::{ErrorKind, Kind},
    people::ListProblems,
    vault::VaultError,
    vision::infer::VisionError,
};

/// Why scenes could not be made or judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A sample is not there.
    #[error("sample {path} is missing: run `make setup`, or name their folder with --samples")]
    NoSample {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A sample does not hold the faces it should.
    #[error("sample {path}: {problem}; fetch it again with `make setup`")]
    BadSample {
        /// The sample.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No scene of this name can be made.
    #[error("there is no scene `{name}`: use {known}")]
    UnknownScene {
        /// The word.
        name: String,
        /// All names.
        known: String,
    },
    /// Pictures of this size or a scene of this length are of no use.
    #[error("{what}: use {allowed}")]
    Option {
        /// What was asked for.
        what: String,
        /// What can be had.
        allowed: &'static str,
    },
    /// A folder that has something in it.
    #[error("{path} is not empty: name another folder with --out")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A folder without scenes.
    #[error("{folder} holds no scenes: make some with `classveil eval scene --out {folder}`")]
    NoScenes {
        /// The folder.
        folder: PathBuf,
        /// What the system said of its index.
        source: std::io::Error,
    },
    /// The description of scenes cannot be used.
    #[error("{path} cannot be used: {problem}; make the scenes again")]
    BadScenes {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A video that is to be judged is not one of the scene.
    #[error("{path} does not fit the scene: {problem}; record exactly the scene's video")]
    Unlike {
        /// The video.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The system cannot read or write.
    #[error("{path}: {source}")]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A picture could not be written as PNG.
    #[error("{path} cannot be written")]
    Png {
        /// The picture.
        path: PathBuf,
        /// What the encoder said.
        source: image::ImageError,
    },
    /// Measuring was broken off.
    #[error("broken off: what was measured so far is not written")]
    BrokenOff,
    /// A video could not be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A video could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Segments could not be joined.
    #[error("{path}: {problem}")]
    Join {
        /// The joined file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A model failed.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// A scene's pupil list is wrong.
    #[error(transparent)]
    List(#[from] ListProblems),
    /// A recording could not be made.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A recording could not be opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl EvalError {
    /// For what the system says of `path`.
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

impl Kind for EvalError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSample { .. } | Self::NoScenes { .. } => ErrorKind::NotFound,
            Self::UnknownScene { .. } | Self::Option { .. } => ErrorKind::Usage,
            Self::NotEmpty { .. } => ErrorKind::Conflict,
            Self::BadSample { .. }
            | Self::BadScenes { .. }
            | Self::Unlike { .. }
            | Self::Join { .. } => ErrorKind::DataLoss,
            Self::Io { source, .. } => ErrorKind::of_io(source),
            Self::Png { .. } => ErrorKind::Io,
            Self::BrokenOff => ErrorKind::Transient,
            Self::Capture(error) => error.kind(),
            Self::Encode(error) => error.kind(),
            Self::Vision(error) => error.kind(),
            Self::List(error) => error.kind(),
            Self::Record(error) => error.kind(),
            Self::Vault(error) => error.kind(),
        }
    }
}
