//! What a capture hands out: pictures and sound, without anything else the source carried.

use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::meeting::Timed;
use crate::{
    frame::{FrameSize, I420View},
    units::Pts,
};

/// What the pictures of a capture have in common, after rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoFormat {
    /// Width and height, odd ones included.
    pub size: FrameSize,
    /// Frames per second as a fraction; none where the rate varies or is unknown.
    pub framerate: Option<(u32, u32)>,
    /// Width to height of one pixel.
    pub pixel_aspect: (u32, u32),
    /// Range, matrix, transfer and primaries as `GStreamer` writes them, for example `bt709`.
    pub colorimetry: Option<String>,
}

impl VideoFormat {
    pub(super) fn of(info: &gst_video::VideoInfo, caps: &gst::CapsRef) -> Self {
        let fraction = |f: gst::Fraction| {
            Some((u32::try_from(f.numer()).ok()?, u32::try_from(f.denom()).ok()?))
                .filter(|&(numer, denom)| numer > 0 && denom > 0)
        };
        let colorimetry =
            caps.structure(0).and_then(|s| s.get::<Option<String>>("colorimetry").ok()).flatten();
        Self {
            size: FrameSize::new(info.width(), info.height()),
            framerate: fraction(info.fps()),
            pixel_aspect: fraction(info.par()).unwrap_or((1, 1)),
            colorimetry,
        }
    }
}

/// What the sound of a capture has in common: interleaved 32-bit floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioFormat {
    /// Samples per second and channel; always [`AudioFormat::RATE`].
    pub rate: u32,
    /// 1 or 2; more channels are mixed down to 2.
    pub channels: u8,
}

impl AudioFormat {
    /// The sample rate of all captured sound, which AAC and every player know.
    pub const RATE: u32 = 48_000;
}

/// A decoded picture in the decoder's own memory, which is read-only. Copy it and let go of it
/// soon: decoders have few buffers.
#[derive(Debug)]
pub struct CapturedFrame {
    /// When it is shown.
    pub pts: Pts,
    /// The decoder had to guess parts of it: it must be veiled whole.
    pub damaged: bool,
    /// Boxed: it is some 700 bytes of C structures.
    frame: Box<gst_video::VideoFrame<gst_video::video_frame::Readable>>,
    luma_stride: usize,
    chroma_stride: usize,
}

impl CapturedFrame {
    /// Maps a decoded I420 buffer. None where its planes cannot be read as I420.
    pub(super) fn map(
        buffer: gst::Buffer,
        info: &gst_video::VideoInfo,
        pts: Pts,
        damaged: bool,
    ) -> Option<Self> {
        let frame = gst_video::VideoFrame::from_buffer_readable(buffer, info).ok()?;
        if frame.format() != gst_video::VideoFormat::I420 {
            return None;
        }
        let luma_stride = usize::try_from(frame.plane_stride()[0]).ok()?;
        let chroma_stride = usize::try_from(frame.plane_stride()[1]).ok()?;
        if usize::try_from(frame.plane_stride()[2]) != Ok(chroma_stride) {
            return None;
        }
        for plane in 0..3 {
            frame.plane_data(plane).ok()?;
        }
        Some(Self { pts, damaged, frame: Box::new(frame), luma_stride, chroma_stride })
    }

    /// The planes, without the padding that decoders put around them.
    #[must_use]
    pub fn view(&self) -> I420View<'_> {
        // `map` has seen all three planes.
        let plane = |index| self.frame.plane_data(index).unwrap_or_default();
        I420View {
            size: FrameSize::new(self.frame.width(), self.frame.height()),
            y: plane(0),
            u: plane(1),
            v: plane(2),
            luma_stride: self.luma_stride,
            chroma_stride: self.chroma_stride,
        }
    }
}

impl Timed for CapturedFrame {
    fn at(&self) -> i128 {
        i128::from(self.pts.nanos())
    }
}

/// A piece of sound.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioChunk {
    /// When its first sample is heard.
    pub pts: Pts,
    /// Interleaved samples, -1.0 to 1.0.
    pub samples: Vec<f32>,
}

/// Sound on the stream's own timeline, which may start before the recording's.
#[derive(Debug)]
pub(super) struct StreamAudio {
    pub(super) at: i128,
    pub(super) samples: Vec<f32>,
    pub(super) channels: u8,
}

impl Timed for StreamAudio {
    fn at(&self) -> i128 {
        self.at
    }
}

impl StreamAudio {
    /// Where the next piece would start.
    pub(super) fn end(&self) -> i128 {
        let frames = self.samples.len() / usize::from(self.channels.max(1));
        let frames = i128::try_from(frames).unwrap_or(0);
        self.at + frames * 1_000_000_000 / i128::from(AudioFormat::RATE)
    }

    /// The part that starts at `from` or just after; none where all of it is earlier.
    pub(super) fn cut_before(mut self, from: i128) -> Option<Self> {
        let (rate, channels) = (i128::from(AudioFormat::RATE), usize::from(self.channels.max(1)));
        let early = from - self.at;
        if early > 0 {
            let cut = (early * rate + 999_999_999) / 1_000_000_000;
            let cut_samples = usize::try_from(cut).ok()?.checked_mul(channels)?;
            if cut_samples >= self.samples.len() {
                return None;
            }
            self.samples.drain(..cut_samples);
            self.at += cut * 1_000_000_000 / rate;
        }
        Some(self)
    }

    /// The part from `zero` on, with times counted from there; none where all of it is earlier.
    pub(super) fn after(self, zero: i128) -> Option<AudioChunk> {
        let cut = self.cut_before(zero)?;
        let pts = Pts::from_nanos(u64::try_from((cut.at - zero).max(0)).ok()?);
        Some(AudioChunk { pts, samples: cut.samples })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_before_the_start_is_cut_to_the_sample() {
        let audio =
            |at| StreamAudio { at, samples: (0..96u8).map(f32::from).collect(), channels: 2 };
        let whole = audio(5_000_000).after(0).expect("all of it");
        assert_eq!((whole.pts, whole.samples.len()), (Pts::from_nanos(5_000_000), 96));
        // 48 samples a channel are 1 ms; half of it lies before the start.
        let half = audio(-500_000).after(0).expect("half of it");
        assert_eq!((half.pts, half.samples.len()), (Pts::ZERO, 48));
        assert!((half.samples[0] - 48.0).abs() < f32::EPSILON);
        assert!(audio(0).after(1_000_000).is_none());
    }
}
