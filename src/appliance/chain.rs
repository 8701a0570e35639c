//! One camera's chain: capture, look, wait, decide, veil, encode, hand to the writer.
//!
//! Runs on the camera's own thread. Nothing here decides; it carries. Whatever fails on the way
//! from the camera to the veil leaves a frame that is veiled whole; whatever fails behind it ends
//! the recording with what is complete.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;
use jiff::Timestamp;

use super::{
    drops::{Drops, discard_written},
    handover::hand_over,
    ladder::{Ladder, Rung},
    parts::Parts,
    preview::Tap,
    pulse::Pulse,
    recorder::Around,
    redial::Redial,
    tally::{Progress, Tally},
};
use crate::{
    capture::{self, AudioChunk, AudioFormat, Capture, CaptureError, CapturedFrame, Event, Input},
    encode::{EncodeError, Encoder},
    error::{ErrorKind, Kind},
    frame::{Frame, SlotPool},
    units::{CameraId, Pts, RecordingId},
    vault::{RetentionRecord, SegmentSender, VaultError, audit::AuditError},
    veil::{
        evidence::Judge,
        place::Places,
        redact::Redactor,
        ring::{Look, Ring, Waiting},
        watch::{Effort, Finding, Watched, Watcher},
    },
    vision::infer::VisionError,
};

/// How long the chain waits for an event before it looks at the drain signal again.
const PATIENCE: Duration = Duration::from_millis(100);
/// What a live camera saw before a moment arrives up to this much later: the jitter buffer of 200 ms,
/// a camera that encodes with some delay, and the decoder.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// A picture this far ahead of the recording's clock comes from a camera whose clock jumped.
const AHEAD: Duration = Duration::from_secs(5);
/// Frame numbers that are left out where a camera was away, so that no track is taken to go on.
const AWAY_FRAMES: u64 = 1000;

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
    /// What was dropped is not in the log.
    #[error(transparent)]
    Audit(#[from] AuditError),
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
            Self::Audit(error) => error.kind(),
            Self::FrameSize { .. } | Self::Panicked { .. } => ErrorKind::Bug,
        }
    }
}

/// What a chain is told while it runs.
#[derive(Debug)]
pub(super) enum Order {
    /// Another list is in force.
    List {
        /// Who is veiled by it.
        judge: Box<Judge>,
        /// What it says of places in the camera's picture.
        places: Places,
        /// Its version.
        version: String,
    },
    /// The recording ends.
    End,
}

/// Where pictures come from now.
#[derive(Debug)]
pub(super) enum Source {
    /// A camera or file that is open.
    Open(Capture),
    /// A camera that is away.
    Away {
        redial: Redial,
        /// Since when on the recording's timeline.
        since: Pts,
    },
}

/// What a source is opened with.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub(super) input: Input,
    pub(super) settings: capture::Settings,
    pub(super) audio: Option<AudioFormat>,
    pub(super) format: capture::VideoFormat,
}

impl Opening {
    /// Whether a source that breaks off is waited for.
    fn comes_back(&self) -> bool {
        self.settings.come_back && self.input.is_live()
    }
}

/// Everything one camera's thread owns.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    pub(super) around: &'a Around<'a>,
    pub(super) recording: RecordingId,
    pub(super) camera: CameraId,
    pub(super) source: Source,
    pub(super) opening: Opening,
    /// When the time of a live recording began: with the first picture of any of its cameras.
    pub(super) zero: Arc<OnceLock<Instant>>,
    /// What is to be dropped.
    pub(super) drops: Drops,
    /// Its sign of life.
    pub(super) pulse: Pulse,
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

impl Chain<'_> {
    /// Runs until the source ends, the drain signal is given, or something fails. What was
    /// complete by then is with the writer; the progress says how much that is.
    pub(super) fn run(
        mut self,
        report: &mut dyn FnMut(&Progress),
    ) -> (Progress, Result<(), ChainError>) {
        let (camera, recording) = (self.camera.clone(), self.recording);
        let _span = tracing::info_span!("chain", %camera, %recording).entered();
        let mut tally = Tally { is_new: true, ..Tally::default() };
        let _beating = self.pulse.until_dropped();
        let taken = self.take_all(&mut tally, report);
        // A broken source ends the recording; what waits is still veiled, encoded and sealed.
        let result = match taken {
            Ok(()) => self.drain(&mut tally),
            Err(error @ (ChainError::Capture(_) | ChainError::FrameSize { .. })) => {
                self.drain(&mut tally).and(Err(error))
            }
            Err(error) => Err(error),
        };
        tally.progress.failed = result.is_err();
        report(&tally.progress);
        (tally.progress, result)
    }

    fn take_all(
        &mut self,
        tally: &mut Tally,
        report: &mut dyn FnMut(&Progress),
    ) -> Result<(), ChainError> {
        while !self.around.shutdown.is_requested() && self.listen() {
            self.pulse.beat();
            self.heed(tally)?;
            let lost = match self.take_next(tally) {
                Ok(true) => None,
                Ok(false) if self.opening.comes_back() => Some("it sends no more".to_owned()),
                Ok(false) => return Ok(()),
                Err(error @ (ChainError::Capture(_) | ChainError::FrameSize { .. }))
                    if self.opening.comes_back() =>
                {
                    Some(error.to_string())
                }
                Err(error) => return Err(error),
            };
            if let Some(problem) = lost {
                tally.progress.away = true;
                // Closing it may take a while.
                report(&tally.progress);
                self.lose(&problem, tally)?;
            }
            tally.progress.displaced = self.displaced(tally);
            tally.progress.waiting = match &self.source {
                Source::Open(capture) => capture.waiting(),
                Source::Away { .. } => 0,
            };
            if let Some(ladder) = &mut self.ladder {
                ladder.count(tally.progress.displaced);
                tally.progress.load = ladder.load();
            }
            report(&tally.progress);
        }
        Ok(())
    }

    /// Takes what comes next, if anything does in time. `false` where the source is at its end.
    fn take_next(&mut self, tally: &mut Tally) -> Result<bool, ChainError> {
        match &mut self.source {
            Source::Open(capture) => match capture.next(PATIENCE)? {
                Some(Event::Video(frame)) => self.take_video(frame, tally)?,
                Some(Event::Audio(chunk)) => self.take_audio(chunk, tally)?,
                Some(Event::End) => {
                    tally.progress.announced = capture.announced();
                    return Ok(false);
                }
                Some(Event::Lost(error)) => return Err(error.into()),
                None => {}
            },
            Source::Away { redial, since } => {
                if let Some(capture) = redial.wait(PATIENCE) {
                    let since = *since;
                    self.source = Source::Open(capture);
                    tally.is_new = true;
                    self.note_gap(since, tally)?;
                    tally.progress.away = false;
                    tracing::warn!(camera = %self.camera, away = ?self.now(tally).since(since),
                        "the camera is back");
                }
            }
        }
        Ok(true)
    }

    /// The camera is away: what waits is finished and handed over, and the camera is dialled again.
    fn lose(&mut self, problem: &str, tally: &mut Tally) -> Result<(), ChainError> {
        tracing::warn!(camera = %self.camera, problem, "the camera is lost");
        let Opening { input, settings, format, .. } = self.opening.clone();
        let since = tally.progress.position;
        tally.displaced_before = self.displaced(tally);
        let redial = Redial::new(self.camera.clone(), input, settings, format);
        // Closed before anything else: what it may still send belongs to no segment.
        self.source = Source::Away { redial, since };
        tally.progress.gaps += 1;
        tally.seq += AWAY_FRAMES;
        self.empty(tally)?;
        let segments = self.encoder.pause()?;
        self.hand_over(segments, tally)
    }

    /// Where on the recording's timeline it is now.
    fn now(&self, tally: &Tally) -> Pts {
        let clock = self.zero.get().map(|zero| Pts::ZERO.plus(zero.elapsed()));
        tally.progress.position.max(clock.unwrap_or(Pts::ZERO))
    }

    /// Has it stated that nothing came from `since` to now.
    fn note_gap(&mut self, since: Pts, tally: &mut Tally) -> Result<(), ChainError> {
        let now = self.now(tally);
        tally.progress.gap += now.since(since);
        Ok(self.sender.state_gap(&self.camera, now)?)
    }

    fn displaced(&self, tally: &Tally) -> u64 {
        tally.displaced_before
            + match &self.source {
                Source::Open(capture) => capture.displaced(),
                Source::Away { .. } => 0,
            }
    }

    /// Does what it was told. `false` where that is to end.
    fn listen(&mut self) -> bool {
        for order in self.orders.try_iter() {
            match order {
                Order::List { judge, places, version } => {
                    // Segments that are being made are decided by both lists and name the stricter
                    // policy, which is the new one.
                    self.retention.replace_list(version.clone(), judge.policy().to_string());
                    if let Err(error) = self.watcher.replace_list(*judge, places) {
                        tracing::error!(camera = %self.camera, %error,
                            "markers cannot be read: nobody is shown for one");
                    }
                    tracing::warn!(camera = %self.camera, version, "another pupil list is in force");
                }
                Order::End => return false,
            }
        }
        true
    }

    /// Drops the last stretch where that is wished: what waits, what is being encoded, and what was
    /// written of it. It goes in whole segments, and what is not finished goes altogether.
    fn heed(&mut self, tally: &mut Tally) -> Result<(), ChainError> {
        let Some(wish) = self.drops.take() else { return Ok(()) };
        let now = self.now(tally);
        let from = now.minus(wish.reach());
        let to = if self.opening.input.is_live() { now.plus(ON_ITS_WAY) } else { now };
        tally.dropped_until = Some(to);
        self.ring.clear();
        tally.progress.held = 0;
        tally.reasons.discard();
        tally.check.0.clear();
        if let Some(tap) = &mut self.tap {
            tap.forget();
        }
        // Written segments go even where the encoder does not start again.
        let encoder = self.encoder.discard();
        let of = (self.recording, &self.camera);
        let (dropped, logged) = discard_written(self.around, of, &self.sender, (from, to));
        wish.answer(&dropped.as_ref().map(Clone::clone).map_err(ToString::to_string));
        dropped?;
        logged?;
        Ok(encoder?)
    }

    /// Lets the next rung give way, or takes one back, as the camera's queue asks for it.
    fn keep_up(&mut self, pts: Pts, tally: &Tally) {
        let displaced = self.displaced(tally);
        let Source::Open(capture) = &self.source else { return };
        let Some(ladder) = &mut self.ladder else { return };
        let changed = ladder.step(pts, capture.waiting(), displaced);
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

    fn take_audio(&mut self, mut chunk: AudioChunk, tally: &mut Tally) -> Result<(), ChainError> {
        chunk.pts = chunk.pts.plus(tally.offset);
        let channels = self.opening.audio.map_or(1, |format| format.channels);
        let chunks = match &self.parts {
            None => vec![chunk],
            Some(parts) => parts.cut(&chunk, channels),
        };
        for chunk in chunks {
            if tally.drops(chunk.pts) {
                continue;
            }
            let segments = self.encoder.push_audio(chunk)?;
            self.hand_over(segments, tally)?;
        }
        Ok(())
    }

    fn take_video(&mut self, captured: CapturedFrame, tally: &mut Tally) -> Result<(), ChainError> {
        let pts = self.place(captured.pts, tally)?;
        if tally.drops(pts) {
            // It is of the stretch that was dropped. The tracker sees that something is missing.
            tally.seq += 1;
            return Ok(());
        }
        self.keep_up(pts, tally);
        let mut slot = self.pool.take();
        slot.fill(&captured.view())
            .map_err(|_| ChainError::FrameSize { camera: self.camera.clone(), pts })?;
        let damaged = captured.damaged;
        // The decoder gets its buffer back before the work begins.
        drop(captured);
        let frame = Frame::new(slot, tally.seq, pts);
        tally.seq += 1;
        tally.progress.frames_in += 1;
        tally.progress.position = pts;
        tally.progress.damaged += u64::from(damaged);
        let look = if damaged { self.skip_look(pts) } else { self.look(&frame, tally) };
        self.ring.push(frame, look);
        tally.progress.held += 1;
        while let Some(waiting) = self.ring.pop_due() {
            tally.progress.held -= 1;
            self.emit(waiting, tally)?;
        }
        if let Some(oldest) = self.ring.oldest() {
            self.watcher.forget_before(oldest);
        }
        Ok(())
    }

    /// Where on the recording's timeline a picture belongs that its source puts at `pts`. A live
    /// source begins when its first picture is taken.
    fn place(&mut self, pts: Pts, tally: &mut Tally) -> Result<Pts, ChainError> {
        if !self.opening.input.is_live() {
            return Ok(pts);
        }
        if std::mem::take(&mut tally.is_new) {
            let zero = self.zero.get_or_init(Instant::now);
            let begins = Pts::ZERO.plus(zero.elapsed()).max(tally.progress.position);
            tally.offset = begins.since(pts);
        }
        let placed = pts.plus(tally.offset);
        let now = self.zero.get().map_or(placed, |zero| Pts::ZERO.plus(zero.elapsed()));
        let by = placed.since(now);
        if by > AHEAD {
            return Err(
                CaptureError::TimeWentAhead { input: self.opening.input.label(), by }.into()
            );
        }
        Ok(placed)
    }

    /// Whether detection was completed for a frame, and now for those that wait for it.
    fn look(&mut self, frame: &Frame<crate::frame::Raw>, tally: &mut Tally) -> Look {
        let began = Instant::now();
        let watched = self.watcher.watch(frame, &self.ring.later());
        tally.progress.looks += u64::from(!matches!(watched, Ok(Watched::Waits)));
        tally.progress.looking += began.elapsed();
        let look = match watched {
            Ok(Watched::Waits) => return Look::Later,
            Ok(Watched::Looked) => Look::Done,
            Err(error) => self.no_look(frame.pts(), &error),
        };
        self.ring.settle(look);
        look
    }

    /// Leaves out the look at a damaged frame; what was compared before counts for those that leave now.
    fn skip_look(&mut self, pts: Pts) -> Look {
        match self.watcher.take_compared() {
            Ok(()) => Look::Failed,
            Err(error) => self.no_look(pts, &error),
        }
    }

    /// Looks at the frames that wait for one that does not come, and has all comparisons made.
    fn look_at_waiting(&mut self, tally: &Tally) {
        let waiting = self.ring.later();
        let pts = waiting.first().map_or(tally.progress.position, |frame| frame.pts());
        let look = match self.watcher.look_at_waiting(&waiting) {
            Ok(()) => Look::Done,
            Err(error) => self.no_look(pts, &error),
        };
        self.ring.settle(look);
        if look == Look::Failed {
            // It may be one of its comparisons that failed.
            self.ring.fail_newest();
        }
    }

    fn no_look(&self, pts: Pts, error: &VisionError) -> Look {
        tracing::error!(camera = %self.camera, %pts, %error,
            "a frame could not be looked at and is veiled whole");
        Look::Failed
    }

    /// Decides, veils and encodes the oldest frame.
    fn emit(&mut self, waiting: Waiting, tally: &mut Tally) -> Result<(), ChainError> {
        let Waiting { frame, look } = waiting;
        self.pulse.beat();
        let (verdict, placements) = self.watcher.decide(&frame, look == Look::Done);
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
        let (watcher, pts) = (&self.watcher, frame.pts());
        let reason = |id| watcher.reason_at(id, pts);
        tally.reasons.note(frame.seq(), whole, placements, |id| watcher.reason(id), reason);
        if let Some(tap) = &mut self.tap {
            tap.offer(&frame);
        }
        let segments = self.encoder.push_video(frame.moved_to(placed))?;
        self.hand_over(segments, tally)
    }

    /// Veils and encodes what still waits, and hands over the last segments.
    fn drain(mut self, tally: &mut Tally) -> Result<(), ChainError> {
        self.empty(tally)?;
        if let Source::Away { since, .. } = self.source {
            self.note_gap(since, tally)?;
        }
        let Self { camera, encoder, sender, retention, started, .. } = self;
        for segment in encoder.finish()? {
            hand_over(&camera, &retention, started, &sender, segment, tally)?;
        }
        Ok(())
    }

    /// Veils and encodes what still waits.
    fn empty(&mut self, tally: &mut Tally) -> Result<(), ChainError> {
        self.heed(tally)?;
        self.look_at_waiting(tally);
        while let Some(waiting) = self.ring.pop() {
            tally.progress.held -= 1;
            self.listen();
            self.heed(tally)?;
            if tally.drops(waiting.frame.pts()) {
                continue;
            }
            if self.ring.oldest().is_none() {
                // The last segment may be too short for a look to come due in it.
                self.watcher.check_next();
            }
            self.emit(waiting, tally)?;
        }
        Ok(())
    }
}
