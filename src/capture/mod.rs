//! Pictures and sound from files and cameras.

use crate::{frame::FrameSize, units::Pts};

/// What the pictures of one source have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoFormat {
    /// Width and height of every picture.
    pub size: FrameSize,
    /// Nominal pictures per second as a fraction, where the source states it.
    pub framerate: Option<(u32, u32)>,
    /// Width to height of one pixel.
    pub pixel_aspect: (u32, u32),
    /// Colorimetry in `GStreamer`'s notation, where the source states it.
    pub colorimetry: Option<String>,
}

/// What all sound of one source has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioFormat {
    /// Samples per second and channel: 48000.
    pub rate: u32,
    /// 1 or 2.
    pub channels: u8,
}

/// A stretch of sound.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioChunk {
    /// When its first sample is heard.
    pub pts: Pts,
    /// Interleaved samples, -1 to 1.
    pub samples: Vec<f32>,
}
