//! MP4 boxes (ISO/IEC 14496-12): a segment as a complete fragmented file, and many of them joined.
//!
//! Belongs here: what is written in which box. Does not belong: encoders, sealing, what the comment
//! says. Pure: bytes in, bytes out.
//!
//! Every segment begins with the same `ftyp` and `moov` but for the comment and the duration, and
//! each fragment carries its place on the recording's timeline (`tfdt`), so segments can be
//! appended to each other and to a Media Source buffer as they are. There are no B-frames, so
//! there is no `ctts`, and the delay of the AAC encoder is taken out of the times, so there is no
//! edit list: a player that ignores both is still in step.

mod join;
pub(super) mod write;

pub use join::{JoinError, Joiner, Summary, join, picture_size};

use super::h264::Parameters;
use crate::{
    capture::VideoFormat,
    frame::{FrameSize, PlaneLayout},
};

/// Track number of the pictures.
const VIDEO_ID: u32 = 1;
/// Track number of the sound.
const SOUND_ID: u32 = 2;

/// What is the same for all segments of a recording.
#[derive(Debug)]
pub(super) struct Tracks {
    pub(super) video: VideoTrack,
    pub(super) sound: Option<SoundTrack>,
}

/// What a player has to know about the pictures.
#[derive(Debug)]
pub(super) struct VideoTrack {
    coded: FrameSize,
    aspect: (u32, u32),
    colour: Option<Colour>,
    parameters: Parameters,
}

/// What a player has to know about the sound.
#[derive(Debug)]
pub(super) struct SoundTrack {
    pub(super) channels: u8,
}

/// Colorimetry in the numbers of ITU-T H.273.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Colour {
    primaries: u16,
    transfer: u16,
    matrix: u16,
    full_range: bool,
}

/// A stretch of pictures and the sound that goes with them.
#[derive(Debug, Default)]
pub(super) struct Fragment {
    /// Time of the first picture, in ticks of the pictures' clock.
    pub(super) video_start: u64,
    pub(super) video: Vec<Sample>,
    /// Time of the first packet, in samples.
    pub(super) sound_start: u64,
    pub(super) sound: Vec<Vec<u8>>,
}

/// One picture.
#[derive(Debug)]
pub(super) struct Sample {
    /// Ticks until the next one.
    pub(super) duration: u32,
    /// Whether decoding can begin here.
    pub(super) sync: bool,
    pub(super) data: Vec<u8>,
}

impl VideoTrack {
    pub(super) fn new(format: &VideoFormat, parameters: &Parameters) -> Self {
        let aspect = match format.pixel_aspect {
            (n, d) if n > 0 && d > 0 => (n, d),
            _ => (1, 1),
        };
        Self {
            coded: PlaneLayout::new(format.size).coded(),
            aspect,
            colour: format.colorimetry.as_deref().and_then(Colour::parse),
            parameters: parameters.clone(),
        }
    }
}

impl Colour {
    /// Reads `GStreamer`'s notation. What it does not know, or H.273 has no number for, is 2:
    /// unspecified.
    fn parse(text: &str) -> Option<Self> {
        use gstreamer_video::{
            VideoColorMatrix as Matrix, VideoColorPrimaries as Primaries, VideoColorRange as Range,
            VideoTransferFunction as Transfer,
        };
        let colour: gstreamer_video::VideoColorimetry = text.parse().ok()?;
        let primaries = match colour.primaries() {
            Primaries::Bt709 => 1,
            Primaries::Bt470m => 4,
            Primaries::Bt470bg => 5,
            Primaries::Smpte170m => 6,
            Primaries::Smpte240m => 7,
            Primaries::Film => 8,
            Primaries::Bt2020 => 9,
            _ => 2,
        };
        let transfer = match colour.transfer() {
            Transfer::Bt709 => 1,
            Transfer::Gamma22 => 4,
            Transfer::Gamma28 => 5,
            Transfer::Bt601 => 6,
            Transfer::Smpte240m => 7,
            Transfer::Gamma10 => 8,
            Transfer::Srgb => 13,
            Transfer::Bt202010 => 14,
            Transfer::Bt202012 => 15,
            Transfer::Smpte2084 => 16,
            Transfer::AribStdB67 => 18,
            _ => 2,
        };
        let matrix = match colour.matrix() {
            Matrix::Bt709 => 1,
            Matrix::Fcc => 4,
            Matrix::Bt601 => 6,
            Matrix::Smpte240m => 7,
            Matrix::Bt2020 => 9,
            _ => 2,
        };
        let full_range = colour.range() == Range::Range0_255;
        Some(Self { primaries, transfer, matrix, full_range })
    }
}
