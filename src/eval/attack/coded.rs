//! Veiled sheets through the recorder's own encoder and back, for traces that coding may leave.
//! The coded film stays in memory.

use std::{io::Write, os::fd::AsRawFd, path::PathBuf, time::Duration};

use super::{AttackError, sheet::SIZE};
use crate::{
    capture::{self, Capture, Event, Input, VideoFormat},
    encode::{self, Encoder, EncoderChoice},
    frame::{Frame, I420View},
    veil::redact::Redacted,
};

/// What a recording uses at 1080p by default.
const BITS_PER_SECOND: u32 = 4_000_000;

/// A film in the making.
pub(super) struct Film {
    encoder: Encoder,
    bytes: Vec<u8>,
    frames: u64,
}

impl Film {
    pub(super) fn start() -> Result<Self, AttackError> {
        let video = VideoFormat {
            size: SIZE,
            framerate: Some((30, 1)),
            pixel_aspect: (1, 1),
            colorimetry: None,
        };
        let settings = encode::Settings {
            bitrate: Some(BITS_PER_SECOND),
            encoder: EncoderChoice::X264,
            ..encode::Settings::default()
        };
        let encoder = Encoder::start(&video, None, &settings)?;
        Ok(Self { encoder, bytes: Vec::new(), frames: 0 })
    }

    pub(super) fn push(&mut self, frame: Frame<Redacted>) -> Result<(), AttackError> {
        let segments = self.encoder.push_video(frame)?;
        self.frames += 1;
        for segment in segments {
            self.bytes.extend(segment.into_mp4("")?);
        }
        Ok(())
    }

    /// Ends the film and shows every frame of it, in order, with its number from 0.
    pub(super) fn show(self, mut each: impl FnMut(u64, &I420View<'_>)) -> Result<(), AttackError> {
        let Self { encoder, mut bytes, frames } = self;
        for segment in encoder.finish()? {
            bytes.extend(segment.into_mp4("")?);
        }
        let memory = rustix::fs::memfd_create("film", rustix::fs::MemfdFlags::CLOEXEC)
            .map_err(|error| AttackError::Memory(error.into()))?;
        let mut file = std::fs::File::from(memory);
        file.write_all(&bytes).map_err(AttackError::Memory)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let mut capture = Capture::open(&Input::File(path), &capture::Settings::default())?;
        let mut shown = 0;
        loop {
            match capture.next(Duration::from_secs(1))? {
                Some(Event::Video(frame)) => {
                    each(shown, &frame.view());
                    shown += 1;
                }
                Some(Event::End) if shown == frames => return Ok(()),
                Some(Event::End) => {
                    return Err(AttackError::Frames { wanted: frames, found: shown });
                }
                Some(Event::Lost(error)) => return Err(error.into()),
                Some(Event::Audio(_)) | None => {}
            }
        }
    }
}
