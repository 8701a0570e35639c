//! One camera of a recording, from its plan to the chain that runs.
//!
//! Belongs here: opening what it needs, and how much memory its pictures have. Does not belong: the
//! recording that it is part of (`recorder`), what a chain does (`chain`).

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use jiff::Timestamp;

use super::{
    chain::{Chain, Opening, Order, Source},
    drops::Drops,
    ladder::Ladder,
    pulse::Pulse,
    recorder::{Around, Plan, RecordError},
};
use crate::{
    capture::Capture,
    encode::{self, Encoder},
    frame::{FrameSize, PlaneLayout, SlotPool},
    units::{CameraId, RecordingId},
    vault::WriterThread,
    veil::{evidence::Judge, policy::Policy, redact::Redactor, ring::Ring, watch::Watcher},
    vision::{Eyes, infer::Thresholds},
};

/// Frame rate that memory is planned for where the source does not say.
const ASSUMED_RATE: f64 = 30.0;
/// Most memory for the ring's pictures; a larger picture or rate shortens the look-ahead.
const RING_BYTES: usize = 256 << 20;
/// Slots beside the ring and the encoder: the frame being filled and the one being veiled.
const SLOTS_IN_HAND: usize = 2;
/// A camera that is to be recorded, and the eyes that look at its pictures.
#[derive(Debug)]
pub struct Take<'a> {
    plan: &'a Plan,
    eyes: Eyes,
    drops: Drops,
    pulse: Pulse,
    memory: Option<u64>,
}

impl<'a> Take<'a> {
    /// A camera of which nothing can be dropped while it is recorded.
    #[must_use]
    pub fn new(plan: &'a Plan, eyes: Eyes) -> Self {
        Self { plan, eyes, drops: Drops::default(), pulse: Pulse::default(), memory: None }
    }

    /// The same with a way for wishes that the last stretch be dropped.
    pub(super) fn with_drops(self, drops: Drops) -> Self {
        Self { drops, ..self }
    }

    /// The same with somebody who feels whether it still goes round.
    pub(super) fn with_pulse(self, pulse: Pulse) -> Self {
        Self { pulse, ..self }
    }

    /// The same where the pictures of all cameras of the recording may take so many bytes.
    pub(super) fn within(self, memory: u64) -> Self {
        Self { memory: Some(memory), ..self }
    }

    pub(super) fn memory(&self) -> Option<u64> {
        self.memory
    }
}

/// A camera that is open, with all that its pictures walk through.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    plan: &'a Plan,
    pub(super) policy: Policy,
    pub(super) thresholds: Thresholds,
    pub(super) models: BTreeMap<String, String>,
    watcher: Watcher,
    capture: Capture,
    encoder: Encoder,
    ladder: Option<Ladder>,
    drops: Drops,
    pulse: Pulse,
    /// Frames that the ring holds.
    capacity: usize,
}

/// Opens all of them at once, since each may take its time: all or none.
pub(super) fn open_all(takes: Vec<Take<'_>>) -> Result<Vec<Ready<'_>>, RecordError> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = takes
            .into_iter()
            .map(|take| {
                let name = format!("open-{}", take.plan.camera);
                std::thread::Builder::new().name(name).spawn_scoped(scope, move || open(take))
            })
            .collect();
        let opened = threads.into_iter().map(|thread| {
            let opened = thread.map_err(RecordError::Thread)?.join();
            opened.unwrap_or_else(|_| {
                let text = "opening a camera stopped by a fault of the program";
                Err(RecordError::Thread(std::io::Error::other(text)))
            })
        });
        // Every thread is waited for: none may leave a camera open.
        let opened: Vec<_> = opened.collect();
        opened.into_iter().collect()
    })
}

fn open(take: Take<'_>) -> Result<Ready<'_>, RecordError> {
    let Take { plan, eyes, drops, pulse, .. } = take;
    let Eyes { detector, embedder, digests, thresholds } = eyes;
    let judge = Judge::new(plan.policy, &plan.gallery, thresholds);
    let policy = judge.policy();
    if policy != plan.policy {
        tracing::warn!(asked = %plan.policy, applied = %policy,
            "a refusing pupil has no usable photo: everyone who is not cleared is veiled");
    }
    let watcher = Watcher::new(detector, embedder, judge, thresholds, plan.watch)?
        .with_places(plan.places.clone())?;
    let capture = Capture::open(&plan.input, &plan.capture)?;
    let mut encoder = Encoder::start(capture.video(), capture.audio(), &plan.encode)?;
    let video = capture.video();
    let (wanted, fits) = ring_frames(video.size, video.framerate, plan.look_ahead);
    if wanted > fits {
        tracing::warn!(
            frames = fits,
            wanted,
            "large pictures: the look-ahead is shortened to fit memory"
        );
    }
    let ladder = plan.input.is_live().then(|| Ladder::new(encoder.can_lighten(&plan.encode)));
    Ok(Ready {
        plan,
        policy,
        thresholds,
        models: digests,
        watcher,
        capture,
        encoder,
        ladder,
        drops,
        pulse,
        capacity: wanted.min(fits),
    })
}

impl<'a> Ready<'a> {
    pub(super) fn drops(&self) -> (CameraId, Drops) {
        (self.plan.camera.clone(), self.drops.clone())
    }

    /// The policy that was asked for; a list can make it stricter.
    pub(super) fn policy_asked(&self) -> Policy {
        self.plan.policy
    }

    /// Bytes that its pictures take.
    pub(super) fn memory(&self) -> u64 {
        bytes(self.capture.video().size, self.capacity)
    }

    pub(super) fn encoder(&self) -> &str {
        self.encoder.name()
    }

    pub(super) fn has_sound(&self) -> bool {
        self.capture.audio().is_some()
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        self.capture.duration()
    }

    /// The chain, and the way in which it is told something.
    pub(super) fn chain(
        self,
        around: &'a Around<'a>,
        (recording, started): (RecordingId, Timestamp),
        writer: &WriterThread,
        zero: &Arc<OnceLock<Instant>>,
    ) -> (Chain<'a>, Sender<Order>) {
        let Self { plan, watcher, capture, encoder, ladder, drops, pulse, capacity, .. } = self;
        let format = capture.video().clone();
        let pool = SlotPool::new(format.size, slots(capacity));
        // Capacity 2: a list and the end. Full: whoever reads lists waits for the chain's next frame.
        let (orders, told) = crossbeam_channel::bounded(2);
        let beats = pulse.clone();
        let chain = Chain {
            around,
            recording,
            camera: plan.camera.clone(),
            opening: Opening {
                input: plan.input.clone(),
                settings: plan.capture,
                audio: capture.audio(),
                format,
            },
            source: Source::Open(capture),
            zero: Arc::clone(zero),
            drops,
            pulse,
            pool,
            ring: Ring::new(plan.look_ahead, capacity),
            watcher,
            redactor: Redactor::new(plan.style),
            encoder,
            // Waiting for the disk is no hanging.
            sender: writer.sender().with_sign(move || beats.beat()),
            retention: writer.retention().clone(),
            started,
            parts: plan.parts.clone(),
            ladder,
            orders: told,
            tap: around.previews.map(|previews| previews.tap(&plan.camera)),
        };
        (chain, orders)
    }
}

/// Bytes that a camera's pictures are taken to need before it is known how large they are: 1080p.
pub(super) fn assumed_memory(look_ahead: Duration) -> u64 {
    let size = FrameSize::new(1920, 1080);
    let (wanted, fits) = ring_frames(size, None, look_ahead);
    bytes(size, wanted.min(fits))
}

/// Slots of a camera whose ring holds `capacity` frames.
fn slots(capacity: usize) -> usize {
    capacity + encode::FRAMES_HELD + SLOTS_IN_HAND
}

fn bytes(size: FrameSize, capacity: usize) -> u64 {
    (slots(capacity) * PlaneLayout::new(size).bytes()) as u64
}

/// Frames of the look-ahead at the source's rate, and how many fit into the memory of a ring.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small positive number of frames"
)]
fn ring_frames(
    size: FrameSize,
    framerate: Option<(u32, u32)>,
    look_ahead: Duration,
) -> (usize, usize) {
    let rate = framerate.map_or(ASSUMED_RATE, |(n, d)| f64::from(n) / f64::from(d.max(1)));
    let wanted = (look_ahead.as_secs_f64() * rate.clamp(1.0, 240.0)).ceil() as usize + 1;
    let fits = RING_BYTES / PlaneLayout::new(size).bytes().max(1);
    (wanted.max(2), fits.max(2))
}
