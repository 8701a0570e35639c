//! One camera's chain: capture, look, wait, decide, veil, encode, hand to the writer.
//!
//! Runs on the camera's own thread. Nothing here decides; it carries. Whatever fails on the way
//! from the camera to the veil leaves a frame that is veiled whole; whatever fails behind it ends
//! the recording with what is complete.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use crossbeam_channel::Receiver;
use jiff::{SignedDuration, Timestamp};

use super::{
    ladder::{Ladder, Load, Rung},
    parts::Parts,
    preview::Tap,
    reasons::Reasons,
};
use crate::{
    capture::{AudioChunk, Capture, CaptureError, CapturedFrame, Event},
    encode::{EncodeError, Encoder, MediaSegment},
    error::{ErrorKind, Kind},
    frame::{Frame, SlotPool},
    shutdown::Shutdown,
    units::{CameraId, Pts, TrackId},
    vault::{RetentionRecord, SegmentFile, SegmentSender, SelfCheck, VaultError},
    veil::{
        evidence::Judge,
        redact::Redactor,
        ring::{Ring, Waiting},
        watch::{Effort, Finding, Watcher},
    },
};

/// How long the chain waits for an event before it looks at the drain signal again.
const PATIENCE: Duration = Duration::from_millis(100);

/// How far a recording is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Frames taken from the camera.
    pub frames_in: u64,
    /// Frames in finished segments.
    pub frames_out: u64,
    /// Time of the newest frame.
    pub position: Pts,
    /// Tracks, each counted once.
    pub tracks: u64,
    /// Tracks that were veiled in at least one frame.
    pub tracks_veiled: u64,
    /// Tracks that were shown in at least one frame.
    pub tracks_shown: u64,
    /// Frames veiled whole.
    pub veiled_whole: u64,
    /// Frames of them that could not be decoded.
    pub damaged: u64,
    /// The length that a file announced, where its pictures ended well before.
    pub announced: Option<Duration>,
    /// Frames of a live camera that gave way to newer ones.
    pub displaced: u64,
    /// Why they did, and what else gave way.
    pub load: Load,
    /// Segments handed to the writer.
    pub segments: u32,
}

/// Why a camera's chain ended before its source did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The source broke off.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The encoder failed.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Segments could not be written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A frame had another size than the source announced.
    #[error("camera {camera}: the frame at {pts} does not fit the announced size")]
    FrameSize {
        /// The camera.
        camera: CameraId,
        /// The frame's time.
        pts: Pts,
    },
    /// The chain's thread panicked.
    #[error("camera {camera}: the chain stopped by a fault of the program")]
    Panicked {
        /// The camera.
        camera: CameraId,
    },
}

impl Kind for ChainError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Capture(error) => error.kind(),
            Self::Encode(error) => error.kind(),
            Self::Vault(error) => error.kind(),
            Self::FrameSize { .. } | Self::Panicked { .. } => ErrorKind::Bug,
        }
    }
}

/// What a chain is told while it runs.
#[derive(Debug)]
pub(super) enum Order {
    /// Another list is in force.
    Judge {
        /// Who is veiled by it.
        judge: Box<Judge>,
        /// Its version.
        version: String,
    },
    /// The recording ends.
    End,
}

/// Everything one camera's thread owns.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) camera: CameraId,
    pub(super) capture: Capture,
    pub(super) pool: SlotPool,
    pub(super) ring: Ring,
    pub(super) watcher: Watcher,
    pub(super) redactor: Redactor,
    pub(super) encoder: Encoder,
    pub(super) sender: SegmentSender,
    pub(super) retention: RetentionRecord,
    pub(super) started: Timestamp,
    /// What is encoded; none for all.
    pub(super) parts: Option<Parts>,
    /// None for files, which are never in a hurry.
    pub(super) ladder: Option<Ladder>,
    pub(super) orders: Receiver<Order>,
    /// Where finished pictures can be watched.
    pub(super) tap: Option<Tap>,
}

/// What changes while a chain runs.
#[derive(Default)]
struct Tally {
    progress: Progress,
    veiled: BTreeSet<TrackId>,
    shown: BTreeSet<TrackId>,
    reasons: Reasons,
    check: CheckTally,
}

/// Looks at finished pictures that no complete segment holds yet: the frame's number, and whether
/// its picture had to be veiled whole.
#[derive(Default)]
struct CheckTally(Vec<(u64, bool)>);

impl CheckTally {
    /// The verdict of a complete segment. Forgets its frames.
    fn take(&mut self, frames: &Range<u64>) -> SelfCheck {
        let count = self.0.iter().take_while(|(seq, _)| *seq < frames.end).count();
        let mut verdict = SelfCheck::NotRun;
        for (_, corrected) in self.0.drain(..count) {
            if corrected {
                verdict = SelfCheck::Corrected;
            } else if verdict == SelfCheck::NotRun {
                verdict = SelfCheck::Passed;
            }
        }
        verdict
    }
}

impl Chain {
    /// Runs until the source ends, the drain signal is given, or something fails. What was
    /// complete by then is with the writer; the progress says how much that is.
    pub(super) fn run(
        mut self,
        shutdown: &Shutdown,
        report: &mut dyn FnMut(&Progress),
    ) -> (Progress, Result<(), ChainError>) {
        let mut tally = Tally::default();
        let taken = self.take_all(shutdown, &mut tally, report);
        // A broken source ends the recording; what waits is still veiled, encoded and sealed.
        let result = match taken {
            Ok(()) => self.drain(&mut tally),
            Err(error @ (ChainError::Capture(_) | ChainError::FrameSize { .. })) => {
                self.drain(&mut tally).and(Err(error))
            }
            Err(error) => Err(error),
        };
        report(&tally.progress);
        (tally.progress, result)
    }

    fn take_all(
        &mut self,
        shutdown: &Shutdown,
        tally: &mut Tally,
        report: &mut dyn FnMut(&Progress),
    ) -> Result<(), ChainError> {
        while !shutdown.is_requested() && self.listen() {
            match self.capture.next(PATIENCE)? {
                Some(Event::Video(frame)) => self.take_video(frame, tally)?,
                Some(Event::Audio(chunk)) => {
                    self.take_audio(chunk, tally)?;
                }
                Some(Event::End) => {
                    tally.progress.announced = self.capture.announced();
                    return Ok(());
                }
                Some(Event::Lost(error)) => return Err(error.into()),
                None => {}
            }
            tally.progress.displaced = self.capture.displaced();
            if let Some(ladder) = &mut self.ladder {
                ladder.count(tally.progress.displaced);
                tally.progress.load = ladder.load();
            }
            report(&tally.progress);
        }
        Ok(())
    }

    /// Does what it was told. `false` where that is to end.
    fn listen(&mut self) -> bool {
        for order in self.orders.try_iter() {
            match order {
                Order::Judge { judge, version } => {
                    // Segments that are being made are decided by both lists and name the stricter
                    // policy, which is the new one.
                    self.retention.replace_list(version.clone(), judge.policy().to_string());
                    self.watcher.replace_judge(*judge);
                    tracing::warn!(camera = %self.camera, version, "another pupil list is in force");
                }
                Order::End => return false,
            }
        }
        true
    }

    /// Lets the next rung give way, or takes one back, as the camera's queue asks for it.
    fn keep_up(&mut self, pts: Pts) {
        let Some(ladder) = &mut self.ladder else { return };
        let changed = ladder.step(pts, self.capture.waiting(), self.capture.displaced());
        let Some(rung) = changed else { return };
        self.watcher.set_effort(match rung {
            Rung::None => Effort::Whole,
            Rung::Cadence => Effort::Seldom,
            Rung::Resolution | Rung::Preset | Rung::Frames => Effort::Coarse,
        });
        self.encoder.lighten(rung >= Rung::Preset);
        tracing::warn!(camera = %self.camera, %pts, gave_way = rung.word(),
            "the machine's effort follows the camera");
    }

    fn take_audio(&mut self, chunk: AudioChunk, tally: &mut Tally) -> Result<(), ChainError> {
        let channels = self.capture.audio().map_or(1, |format| format.channels);
        let chunks = match &self.parts {
            None => vec![chunk],
            Some(parts) => parts.cut(&chunk, channels),
        };
        for chunk in chunks {
            let segments = self.encoder.push_audio(chunk)?;
            self.hand_over(segments, tally)?;
        }
        Ok(())
    }

    fn take_video(&mut self, captured: CapturedFrame, tally: &mut Tally) -> Result<(), ChainError> {
        let pts = captured.pts;
        self.keep_up(pts);
        let mut slot = self.pool.take();
        slot.fill(&captured.view())
            .map_err(|_| ChainError::FrameSize { camera: self.camera.clone(), pts })?;
        let damaged = captured.damaged;
        // The decoder gets its buffer back before the work begins.
        drop(captured);
        let frame = Frame::new(slot, tally.progress.frames_in, pts);
        tally.progress.frames_in += 1;
        tally.progress.position = pts;
        tally.progress.damaged += u64::from(damaged);
        let looked = !damaged && self.look(&frame);
        self.ring.push(frame, looked);
        while let Some(waiting) = self.ring.pop_due() {
            self.emit(waiting, tally)?;
        }
        if let Some(oldest) = self.ring.oldest() {
            self.watcher.forget_before(oldest);
        }
        Ok(())
    }

    /// Whether detection was completed for a frame.
    fn look(&mut self, frame: &Frame<crate::frame::Raw>) -> bool {
        match self.watcher.look(frame) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(camera = %self.camera, pts = %frame.pts(), %error,
                    "a frame could not be looked at and is veiled whole");
                false
            }
        }
    }

    /// Decides, veils and encodes the oldest frame.
    fn emit(&mut self, waiting: Waiting, tally: &mut Tally) -> Result<(), ChainError> {
        let Waiting { frame, looked } = waiting;
        let (verdict, placements) = self.watcher.decide(&frame, looked);
        let placed =
            self.parts.as_ref().map_or(Some(frame.pts()), |parts| parts.place(frame.pts()));
        let Some(placed) = placed else { return Ok(()) };
        let mut frame = self.redactor.redact(frame, Some(&verdict));
        match self.watcher.check(&frame, &placements) {
            Ok(Finding::NotDue) => {}
            Ok(Finding::Clean) => tally.check.0.push((frame.seq(), false)),
            finding => {
                // A check that cannot be made is a check that failed.
                tracing::error!(camera = %self.camera, pts = %frame.pts(), ?finding,
                    "the finished picture did not pass its check and is veiled whole");
                tally.check.0.push((frame.seq(), true));
                frame = self.redactor.veil_whole(frame);
            }
        }
        let whole = frame.state().whole();
        for placement in &placements {
            let set = if placement.shown && !whole { &mut tally.shown } else { &mut tally.veiled };
            set.insert(placement.track);
        }
        tally.progress.veiled_whole += u64::from(whole);
        tally.progress.tracks = tally.veiled.union(&tally.shown).count() as u64;
        tally.progress.tracks_veiled = tally.veiled.len() as u64;
        tally.progress.tracks_shown = tally.shown.len() as u64;
        let watcher = &self.watcher;
        tally.reasons.note(frame.seq(), whole, placements, |id| watcher.reason(id));
        if let Some(tap) = &mut self.tap {
            tap.offer(&frame);
        }
        let segments = self.encoder.push_video(frame.moved_to(placed))?;
        self.hand_over(segments, tally)
    }

    fn hand_over(
        &mut self,
        segments: Vec<MediaSegment>,
        tally: &mut Tally,
    ) -> Result<(), ChainError> {
        for segment in segments {
            hand_over(&self.camera, &self.retention, self.started, &self.sender, segment, tally)?;
        }
        Ok(())
    }

    /// Veils and encodes what still waits, and hands over the last segments.
    fn drain(mut self, tally: &mut Tally) -> Result<(), ChainError> {
        while let Some(waiting) = self.ring.pop() {
            self.listen();
            if self.ring.oldest().is_none() {
                // The last segment may be too short for a look to come due in it.
                self.watcher.check_next();
            }
            self.emit(waiting, tally)?;
        }
        let Self { camera, encoder, sender, retention, started, .. } = self;
        for segment in encoder.finish()? {
            hand_over(&camera, &retention, started, &sender, segment, tally)?;
        }
        Ok(())
    }
}

fn hand_over(
    camera: &CameraId,
    retention: &RetentionRecord,
    started: Timestamp,
    sender: &SegmentSender,
    segment: MediaSegment,
    tally: &mut Tally,
) -> Result<(), ChainError> {
    let (number, frames) = (segment.number(), segment.frames());
    let (start, end) = (segment.start(), segment.end());
    let check = tally.check.take(&frames);
    let (tracks, counts) = tally.reasons.take(camera, number, frames, start, end);
    let offset = SignedDuration::try_from(start.since(Pts::ZERO)).unwrap_or(SignedDuration::ZERO);
    let recorded_at = started.checked_add(offset).unwrap_or(started);
    let comment = retention.comment(camera, number, recorded_at, counts, check);
    let frames = segment.frame_count() as u64;
    let mp4 = segment.into_mp4(&comment)?;
    sender.send(SegmentFile { camera: camera.clone(), number, mp4, tracks, frames, start, end })?;
    tally.progress.frames_out += frames;
    tally.progress.segments += 1;
    tracing::info!(%camera, segment = number, frames, "segment handed to the writer");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_counts_for_the_segment_that_holds_its_frame() {
        let mut tally = CheckTally(vec![(0, false), (7, true), (11, false)]);
        assert_eq!(tally.take(&(0..5)), SelfCheck::Passed);
        assert_eq!(tally.take(&(5..11)), SelfCheck::Corrected);
        assert_eq!(tally.take(&(11..20)), SelfCheck::Passed);
        assert_eq!(tally.take(&(20..30)), SelfCheck::NotRun);
    }
}
