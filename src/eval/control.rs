//! Videos that nobody is veiled in: the scenes themselves, and the control that every judgement is
//! measured against.
//!
//! Belongs here: writing raw pictures through the real encoder with an empty verdict, and what that
//! costs. Does not belong: a recording, which is [`crate::appliance::record`]'s; nothing here is
//! reached from a camera.

use std::{
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use super::{EvalError, pictures::Reader};
use crate::{
    capture::VideoFormat,
    encode::{self, Encoder, EncoderChoice, FRAMES_HELD, MediaSegment, Preset, mp4::Joiner},
    frame::{Frame, FrameSize, I420View, I420ViewMut, SlotPool},
    units::Pts,
    veil::{Cover, Style, Verdict, redact::Redactor},
};

/// Bits per second at 1920x1080 with which recordings are measured, here and in `make bench`.
const MEASURED_BITRATE: f32 = 6_000_000.0;
/// The same for scenes, which are to be almost as they were drawn.
const SCENE_BITRATE: f32 = 48_000_000.0;

/// Encoder settings at `bits` per second for pictures of 1920x1080, fewer for smaller ones.
fn settings(size: FrameSize, bits: f32) -> encode::Settings {
    let part = (size.rect().area() / (1920.0 * 1080.0)).max(0.1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number of bits"
    )]
    let bitrate = Some((bits * part) as u32);
    encode::Settings {
        bitrate,
        encoder: EncoderChoice::X264,
        preset: Preset::Ultrafast,
        ..encode::Settings::default()
    }
}

/// How every measured recording is encoded.
pub(super) fn measured(size: FrameSize) -> encode::Settings {
    settings(size, MEASURED_BITRATE)
}

/// How a scene is encoded, at `bits` per second for 1920x1080 where the camera compresses hard.
pub(super) fn of_scene(size: FrameSize, bits: Option<f32>) -> encode::Settings {
    settings(size, bits.unwrap_or(SCENE_BITRATE))
}

/// What a piece of work cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost {
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
    pub(super) frames: u64,
}

/// Measures what runs until [`Meter::read`], on all threads of this process.
#[derive(Debug)]
pub(super) struct Meter {
    began: Instant,
    cpu: Duration,
}

impl Meter {
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), cpu: cpu_time() }
    }

    pub(super) fn read(&self, frames: u64) -> Cost {
        Cost { wall: self.began.elapsed(), cpu: cpu_time().saturating_sub(self.cpu), frames }
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A video in the making, in which everything shows.
pub(super) struct PlainVideo {
    path: PathBuf,
    pool: SlotPool,
    redactor: Redactor,
    encoder: Encoder,
    joiner: Joiner<BufWriter<File>>,
    next: u64,
}

impl PlainVideo {
    pub(super) fn create(
        path: &Path,
        format: &VideoFormat,
        settings: &encode::Settings,
    ) -> Result<Self, EvalError> {
        let file = File::create(path).map_err(EvalError::io(path))?;
        Ok(Self {
            path: path.to_owned(),
            pool: SlotPool::new(format.size, FRAMES_HELD + 2),
            redactor: Redactor::new(Style::Fill),
            encoder: Encoder::start(format, None, settings)?,
            joiner: Joiner::new(BufWriter::new(file)),
            next: 0,
        })
    }

    /// Adds the picture that `draw` draws.
    pub(super) fn draw(
        &mut self,
        pts: Pts,
        draw: impl FnOnce(&mut I420ViewMut<'_>),
    ) -> Result<(), EvalError> {
        let mut frame = Frame::new(self.pool.take(), self.next, pts);
        draw(&mut frame.planes_mut());
        self.push(frame)
    }

    /// Adds a picture as it is.
    pub(super) fn copy(&mut self, pts: Pts, view: &I420View<'_>) -> Result<(), EvalError> {
        let mut slot = self.pool.take();
        slot.fill(view).map_err(|size| EvalError::Unlike {
            path: self.path.clone(),
            problem: format!("a picture is of {size}"),
        })?;
        self.push(Frame::new(slot, self.next, pts))
    }

    fn push(&mut self, frame: Frame<crate::frame::Raw>) -> Result<(), EvalError> {
        let verdict = Verdict { seq: self.next, cover: Cover::Regions(Vec::new()) };
        self.next += 1;
        let frame = self.redactor.redact(frame, Some(&verdict));
        let segments = self.encoder.push_video(frame)?;
        join(&mut self.joiner, segments, &self.path)
    }

    pub(super) fn finish(mut self) -> Result<(), EvalError> {
        join(&mut self.joiner, self.encoder.finish()?, &self.path)?;
        let joined = self.joiner.finish(None);
        let (file, _) = joined.map_err(|e| join_error(&self.path, &e))?;
        let file = file
            .into_inner()
            .map_err(|e| EvalError::Io { path: self.path.clone(), source: e.into_error() })?;
        file.sync_all().map_err(EvalError::io(&self.path))
    }
}

fn join(
    joiner: &mut Joiner<BufWriter<File>>,
    segments: Vec<MediaSegment>,
    path: &Path,
) -> Result<(), EvalError> {
    for segment in segments {
        let mp4 = segment.into_mp4("{}")?;
        joiner.push(&mp4).map_err(|e| join_error(path, &e))?;
    }
    Ok(())
}

fn join_error(path: &Path, error: &encode::mp4::JoinError) -> EvalError {
    EvalError::Join { path: path.to_owned(), problem: error.to_string() }
}

/// Encodes a scene as a recording would be encoded if nobody were veiled, and says what that cost:
/// decoding, one copy of each picture, encoding.
pub(super) fn encode(video: &Path, control: &Path) -> Result<Cost, EvalError> {
    let mut reader = Reader::open(video)?;
    let format = reader.format().clone();
    let mut plain = PlainVideo::create(control, &format, &measured(format.size))?;
    let meter = Meter::start();
    let mut frames = 0;
    while let Some(frame) = reader.next()? {
        plain.copy(frame.pts, &frame.view())?;
        frames += 1;
    }
    plain.finish()?;
    Ok(meter.read(frames))
}
