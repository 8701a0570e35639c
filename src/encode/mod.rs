//! Redacted pictures and sound in, complete MP4 segments out, all in memory.
//!
//! Belongs here: the H.264 and AAC encoders, where one segment ends and the next begins, and the
//! boxes of an MP4 file. Does not belong: raw pictures (the only picture that can be pushed is a
//! `Frame<Redacted>`), files, encryption, what a segment's comment says.
//!
//! [`Encoder`] is driven by the camera's own thread; the encoders work on `GStreamer`'s threads
//! behind it. No more than [`FRAMES_HELD`] pictures are on their way through at any moment.
//!
//! # Timelines
//! Pictures are written on a clock of 90 kHz, sound on one of 48 kHz, both counted from the start
//! of the recording ([`Pts::ZERO`]) in every segment. A picture's time is rounded to the nearest
//! tick, at most 5.6 µs away. Pictures that would share a tick are spread one tick (11.1 µs) apart,
//! so that each keeps its own place.

mod choice;
mod encoder;
mod h264;
mod line;
pub mod mp4;
mod segment;
mod sound;
mod video;

use std::time::Duration;

pub use encoder::Encoder;
pub use segment::MediaSegment;

use crate::{
    error::{ErrorKind, Kind},
    units::Pts,
};

/// The most pictures that are inside the encoder at once, each of which keeps its ring slot. With
/// x264 it is six queued, one in work and one more for each thread beyond the first: 10, as tests
/// count. Two more are left for graphics chips, whose trial fails beyond that.
pub const FRAMES_HELD: usize = 12;

/// Most threads of the H.264 encoder. Each thread of x264 holds one more picture.
pub const MAX_THREADS: u32 = 4;

/// How to encode.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Length of a segment. The first picture at or after the end of it begins the next one.
    pub segment: Duration,
    /// Bits per second of the pictures; by default 4 Mbit/s at 1920x1080 and in proportion to the
    /// number of pixels, not below 500 kbit/s.
    pub bitrate: Option<u32>,
    /// Which encoder.
    pub encoder: EncoderChoice,
    /// Speed against size.
    pub preset: Preset,
    /// Threads of the H.264 encoder, 1 to [`MAX_THREADS`]; by default as many as there are cores.
    pub threads: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment: Duration::from_secs(6),
            bitrate: None,
            encoder: EncoderChoice::default(),
            preset: Preset::default(),
            threads: None,
        }
    }
}

/// Which H.264 encoder to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderChoice {
    /// The graphics chip if a trial encode works, else x264, else `OpenH264`.
    #[default]
    Auto,
    /// The graphics chip or nothing.
    Hardware,
    /// x264 or nothing.
    X264,
    /// `OpenH264` or nothing.
    #[serde(rename = "openh264")]
    OpenH264,
}

/// Speed of the encoder against the size of the result, in x264's words. Measured at 1080p on one
/// core: 9 ms a picture for `Ultrafast`, 26 for `Superfast`, 45 for `Veryfast`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The default: a third of the next one's cost leaves the processor to detection, and the
    /// bitrate is set anyway.
    #[default]
    Ultrafast,
    /// Better pictures at the same bitrate.
    Superfast,
    /// For machines with cores to spare.
    Veryfast,
    /// For files, when time does not count.
    Faster,
    /// For files, when time does not count.
    Fast,
    /// For files, when time does not count.
    Medium,
}

/// Why pictures or sound could not be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// `GStreamer` itself does not start.
    #[error("GStreamer does not start: {0}; reinstall gstreamer1.0-plugins-base")]
    Gstreamer(#[source] gstreamer::glib::Error),
    /// No element of this machine can do it.
    #[error("no usable {what} (tried {tried}); install {install}")]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// What was tried and why it does not do.
        tried: String,
        /// The package that has it.
        install: &'static str,
    },
    /// The pictures are too large or have no pixels.
    #[error("pictures of {width}x{height} cannot be encoded: use 16x16 to 8192x8192 pixels")]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// The sound is not in the one form that is encoded.
    #[error("sound of {rate} Hz with {channels} channels: convert it to 48000 Hz, 1 or 2 channels")]
    Sound {
        /// Samples per second.
        rate: u32,
        /// Channels.
        channels: u8,
    },
    /// A picture has another size than the recording.
    #[error("picture {seq} has another size than the recording: start a new recording")]
    OtherSize {
        /// The picture.
        seq: u64,
    },
    /// A picture is older than the one before it.
    #[error("picture {seq} at {pts} comes after a later one: pictures are pushed in order")]
    Order {
        /// The picture.
        seq: u64,
        /// Its time.
        pts: Pts,
    },
    /// Sound was pushed to a recording without sound.
    #[error("sound at {pts} in a recording that was started without sound")]
    NoSound {
        /// Its time.
        pts: Pts,
    },
    /// An encoder cannot be set up.
    #[error("{element} does not start: {reason}; choose another encoder")]
    Start {
        /// The encoder.
        element: String,
        /// What it says.
        reason: String,
    },
    /// An encoder stopped in the middle.
    #[error("{element} failed: {reason}; start the recording again or choose another encoder")]
    Failed {
        /// The encoder.
        element: String,
        /// What it says.
        reason: String,
    },
    /// An encoder takes nothing and gives nothing.
    #[error("{element} has stood still for {seconds} s; choose another encoder")]
    Stalled {
        /// The encoder.
        element: String,
        /// For how long.
        seconds: u64,
    },
    /// What came out of an encoder is not what was asked for.
    #[error("{element} broke its promise: {problem}; choose another encoder")]
    Output {
        /// The encoder.
        element: String,
        /// Which promise.
        problem: &'static str,
    },
    /// A box could not be written.
    #[error("an MP4 box cannot be written ({0}): this is a fault of classveil, please report it")]
    Box(#[source] mp4_atom::Error),
    /// A segment holds more than the format can.
    #[error("segment {segment} is too large for an MP4 file: use shorter segments")]
    TooLarge {
        /// The segment.
        segment: u32,
    },
}

impl Kind for EncodeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Gstreamer(_)
            | Self::Missing { .. }
            | Self::Start { .. }
            | Self::Size { .. }
            | Self::Sound { .. }
            | Self::OtherSize { .. }
            | Self::TooLarge { .. } => ErrorKind::Config,
            Self::Order { .. } | Self::NoSound { .. } | Self::Box(_) => ErrorKind::Bug,
            Self::Failed { .. } | Self::Stalled { .. } | Self::Output { .. } => {
                ErrorKind::Transient
            }
        }
    }
}
