//! What can go wrong with an input, in words for the person who typed it.
//!
//! Network inputs are named by host and port only: paths and queries of camera addresses often
//! carry passwords.

use std::{path::PathBuf, time::Duration};

use crate::{
    error::{ErrorKind, Kind, advice},
    units::Pts,
};

/// Why pictures could not be taken from an input.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The input is empty text.
    #[error("the input is empty: give a file, an rtsp:// address or a device such as /dev/video0")]
    Empty,
    /// An address of a kind that is not read.
    #[error(
        "`{scheme}:` inputs are not read: give a file, an rtsp:// or rtsps:// address, or a device \
         such as /dev/video0"
    )]
    Scheme {
        /// What stood before the colon.
        scheme: String,
    },
    /// No such file or device.
    #[error("input {path} does not exist: check the path", path = path.display())]
    Missing {
        /// The path as typed.
        path: PathBuf,
    },
    /// The path exists and is neither a file nor a camera.
    #[error(
        "input {path} is {what}: give a file, an rtsp:// address or a device such as /dev/video0",
        path = path.display()
    )]
    NotAnInput {
        /// The path as typed.
        path: PathBuf,
        /// What it is, with its article.
        what: &'static str,
    },
    /// The operating system refuses the input.
    #[error("cannot read {path}: {source}{advice}", path = path.display(), advice = advice(source))]
    Unreadable {
        /// The path as typed.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An RTSP address that cannot be read.
    #[error("the rtsp address {problem}: write it as rtsp://HOST[:PORT]/PATH")]
    BadAddress {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// User and password stand in the address, where every process list shows them.
    #[error(
        "the rtsp address of {host} carries a user or password: put them into a file, user on the \
         first line, password on the second, mode 0600, and name it with --credentials FILE"
    )]
    CredentialsInAddress {
        /// The camera.
        host: String,
    },
    /// Credentials for an input that asks for none.
    #[error("credentials are for rtsp inputs only: drop --credentials")]
    CredentialsUnused,
    /// Others may read the credentials.
    #[error(
        "credentials file {path} can be read by others (mode {mode:03o}): run chmod 600 on it",
        path = path.display()
    )]
    CredentialsOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The credentials file has another form.
    #[error(
        "credentials file {path} must hold the user on its first line and the password on its \
         second (empty if there is none), and nothing else",
        path = path.display()
    )]
    CredentialsForm {
        /// The file.
        path: PathBuf,
    },
    /// An element of the media framework is not installed.
    #[error("{detail}: install the GStreamer plugins (run make setup)")]
    MissingElement {
        /// What is missing, in the framework's words.
        detail: String,
    },
    /// The file is no media file.
    #[error(
        "{input} is not a media file that can be read: check that it is the file you mean, and that it \
         was copied whole"
    )]
    NotMedia {
        /// The input.
        input: String,
    },
    /// A playlist or another file that points elsewhere.
    #[error(
        "{input} is a list of other media ({what}), which is not followed: give the media file"
    )]
    Playlist {
        /// The input.
        input: String,
        /// Its media type.
        what: String,
    },
    /// Nothing to see.
    #[error("{input} has no video stream: give a file or camera with pictures")]
    NoVideo {
        /// The input.
        input: String,
    },
    /// The codec is unknown here.
    #[error(
        "{input} needs a decoder for {codec}, which is not installed: convert it or install one"
    )]
    MissingDecoder {
        /// The input.
        input: String,
        /// The codec's media type.
        codec: String,
    },
    /// The stream is encrypted.
    #[error("{input} is encrypted (copy protection) and cannot be read: give a file that is not")]
    Encrypted {
        /// The input.
        input: String,
    },
    /// The data are broken.
    #[error("{input} is damaged or cannot be decoded ({detail}): copy or export it again")]
    Damaged {
        /// The input.
        input: String,
        /// In the framework's words.
        detail: String,
    },
    /// The stream's clock jumped back, so that order and lip sync are lost.
    #[error("the time of {input} jumps back by {by:?} after {after}: repair its timestamps")]
    TimeWentBack {
        /// The input.
        input: String,
        /// The last good picture.
        after: Pts,
        /// How far.
        by: Duration,
    },
    /// A camera's clock jumped far ahead.
    #[error("the time of {input} jumps ahead by {by:?}: check the camera's clock")]
    TimeWentAhead {
        /// The input.
        input: String,
        /// How far.
        by: Duration,
    },
    /// A sound track was announced and sends nothing.
    #[error("{input} announces sound and sends none: record without sound (--audio off)")]
    NoSound {
        /// The input.
        input: String,
    },
    /// The name means nothing to the network.
    #[error("camera host {host} is unknown: check the address and the network")]
    UnknownHost {
        /// Host and port.
        host: String,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody listens there.
    #[error("camera {host} refuses connections: is it on, and is the port right")]
    Refused {
        /// Host and port.
        host: String,
    },
    /// No connection came about.
    #[error("camera {host} cannot be reached: check cable, power and network")]
    Unreachable {
        /// Host and port.
        host: String,
        /// Why.
        source: std::io::Error,
    },
    /// The camera wants other credentials.
    #[error(
        "camera {host} refuses user and password: put them into its credentials file, the user on line one and the \
         password on line two"
    )]
    Unauthorized {
        /// Host and port.
        host: String,
    },
    /// Somebody takes the connection and does not say what a camera says.
    #[error(
        "camera {host} takes the connection and does not answer: is it a camera, and is the port right"
    )]
    NoAnswer {
        /// Host and port.
        host: String,
    },
    /// The camera has no stream of that name.
    #[error("camera {host} has no such stream: check the path of the rtsp address")]
    NoSuchStream {
        /// Host and port.
        host: String,
    },
    /// The camera's certificate is not trusted.
    #[error(
        "the certificate of camera {host} is not trusted by this machine: install its authority"
    )]
    Certificate {
        /// Host and port.
        host: String,
    },
    /// The camera offers neither of the ways of sending that were asked for.
    #[error("camera {host} offers no usable transport: allow RTSP over TCP in its settings")]
    Transport {
        /// Host and port.
        host: String,
    },
    /// Connected, but no picture came in time.
    #[error("{input} sent no picture within {within:?}: is it on, and does it send H.264 or H.265")]
    NoPicture {
        /// The input.
        input: String,
        /// How long was waited.
        within: Duration,
    },
    /// A live source stopped sending.
    #[error("{input} sends no more pictures (nothing for {silence:?}): check power and network")]
    Stalled {
        /// The input.
        input: String,
        /// How long nothing came.
        silence: Duration,
    },
    /// A live source went away.
    #[error("lost the connection to {input} ({detail}): check power and network")]
    Lost {
        /// The input.
        input: String,
        /// In the framework's words.
        detail: String,
    },
    /// A device that does not behave as a camera.
    #[error(
        "{input} does not work as a camera ({detail}): plug it in again, or try another device"
    )]
    Device {
        /// The device.
        input: String,
        /// In the framework's words.
        detail: String,
    },
    /// Someone else uses the device.
    #[error("{input} is in use by another program: close that first")]
    Busy {
        /// The device.
        input: String,
    },
    /// The program's own pipeline is wrong.
    #[error("pipeline failed ({detail})")]
    Pipeline {
        /// In the framework's words.
        detail: String,
    },
}

impl Kind for CaptureError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Empty
            | Self::Scheme { .. }
            | Self::NotAnInput { .. }
            | Self::BadAddress { .. }
            | Self::CredentialsInAddress { .. }
            | Self::CredentialsUnused => ErrorKind::Usage,
            Self::Missing { .. } | Self::NoSuchStream { .. } => ErrorKind::NotFound,
            Self::Unreadable { source, .. } => ErrorKind::of_io(source),
            Self::CredentialsOpen { .. } | Self::Unauthorized { .. } => ErrorKind::Denied,
            Self::CredentialsForm { .. }
            | Self::MissingElement { .. }
            | Self::NoVideo { .. }
            | Self::MissingDecoder { .. }
            | Self::Playlist { .. }
            | Self::Encrypted { .. }
            | Self::NoSound { .. }
            | Self::Certificate { .. }
            | Self::Transport { .. }
            | Self::Device { .. } => ErrorKind::Config,
            Self::NotMedia { .. }
            | Self::Damaged { .. }
            | Self::TimeWentBack { .. }
            | Self::TimeWentAhead { .. } => ErrorKind::DataLoss,
            Self::UnknownHost { .. }
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::NoPicture { .. }
            | Self::Stalled { .. }
            | Self::Lost { .. }
            | Self::Busy { .. } => ErrorKind::Transient,
            Self::Pipeline { .. } => ErrorKind::Bug,
        }
    }
}
