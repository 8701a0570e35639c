//! One recording from start to seal.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    chain::{Chain, ChainError, Progress},
    ladder::Ladder,
    lists::{Lists, News, Swaps},
    parts::Parts,
    preview::Previews,
};
use crate::{
    capture::{self, Capture, CaptureError, Input},
    clock::Clock,
    encode::{self, EncodeError, Encoder},
    error::{ErrorKind, Kind},
    frame::{PlaneLayout, SlotPool},
    shutdown::Shutdown,
    units::{CameraId, RecordingId},
    vault::{
        BoxKey, Course, Digest, Finished, ListChange, NewRecording, Outcome, Overload,
        RecordingWriter, Sealed, VaultError, WriterThread,
        audit::{AuditError, AuditLog, Event, Word},
    },
    veil::{
        Style,
        evidence::Judge,
        policy::Policy,
        redact::Redactor,
        ring::Ring,
        watch::{self, Watcher},
    },
    vision::{Eyes, identify::Gallery, infer::VisionError},
};

/// Frame rate that memory is planned for where the source does not say.
const ASSUMED_RATE: f64 = 30.0;
/// Most memory for the ring's pictures; a larger picture or rate shortens the look-ahead.
const RING_BYTES: usize = 256 << 20;
/// Slots beside the ring and the encoder: the frame being filled and the one being veiled.
const SLOTS_IN_HAND: usize = 2;
/// How long to wait for a new list before the chain is asked whether it still runs.
const LISTEN: Duration = Duration::from_millis(100);

/// What is to be recorded and how. Everything in it has been checked.
#[derive(Debug)]
pub struct Plan {
    /// The camera's id.
    pub camera: CameraId,
    /// Where pictures come from.
    pub input: Input,
    /// How they are captured.
    pub capture: capture::Settings,
    /// Who is veiled.
    pub policy: Policy,
    /// Whom the list names.
    pub gallery: Gallery,
    /// How a veil looks.
    pub style: Style,
    /// How frames are looked at.
    pub watch: watch::Settings,
    /// How long frames wait for what comes after them.
    pub look_ahead: Duration,
    /// How pictures are encoded.
    pub encode: encode::Settings,
    /// What is encoded of it; none for all. All of it is looked at.
    pub parts: Option<Parts>,
}

/// What came of a recording.
#[derive(Debug)]
pub struct Report {
    /// Its id.
    pub id: RecordingId,
    /// Whether its end could be written; what it has is kept in either case.
    pub is_sealed: bool,
    /// Its folder.
    pub path: PathBuf,
    /// Segments of all cameras.
    pub segments: usize,
    /// Encrypted bytes.
    pub bytes: u64,
    /// How far it went.
    pub progress: Progress,
    /// Seconds from the start to the newest frame.
    pub seconds: f64,
    /// The policy that was applied at the start.
    pub policy: Policy,
    /// The encoder's name.
    pub encoder: String,
    /// Lists that took the place of the first.
    pub lists: Vec<ListChange>,
    /// How many lists were to do so and could not.
    pub lists_refused: u32,
    /// Why it ended early.
    pub fault: Option<RecordError>,
}

/// Why nothing was recorded, or a recording ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The source could not be opened.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The models could not be used.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// The encoder could not be started.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The recording could not be written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What happens could not be written into the log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The camera's chain ended early.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// No thread could be started.
    #[error("cannot start the camera's thread")]
    Thread(#[source] std::io::Error),
    /// The source ended without a single picture.
    #[error("the input has no pictures")]
    Empty,
}

impl Kind for RecordError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Capture(error) => error.kind(),
            Self::Vision(error) => error.kind(),
            Self::Encode(error) => error.kind(),
            Self::Vault(error) => error.kind(),
            Self::Audit(error) => error.kind(),
            Self::Chain(error) => error.kind(),
            Self::Thread(_) => ErrorKind::Exhausted,
            Self::Empty => ErrorKind::DataLoss,
        }
    }
}

/// What the recorder knows when the camera is open and the encoder runs, for whoever fills in the
/// recording's manifest.
#[derive(Debug)]
pub struct Started {
    /// The policy that is applied, stepped up where the list asks for it.
    pub policy: Policy,
    /// The encoder's name.
    pub encoder: String,
    /// Whether sound is recorded.
    pub audio: bool,
    /// Digests of the models, by name.
    pub models: BTreeMap<String, String>,
    /// Length of a file that says so, for a progress bar.
    pub duration: Option<Duration>,
}

/// What a recording runs on.
pub struct Around<'a> {
    /// The store's folder.
    pub store: &'a Path,
    /// The box's signing key.
    pub key: &'a BoxKey,
    /// The store's log.
    pub audit: &'a AuditLog,
    /// Where the present comes from.
    pub clock: &'a dyn Clock,
    /// Says when to drain.
    pub shutdown: &'a Shutdown,
    /// Where lists come from that take the place of the plan's; none where it stays.
    pub lists: Option<&'a Lists>,
    /// Where pictures can be watched as they are recorded; none where nobody can.
    pub previews: Option<&'a Previews>,
}

impl std::fmt::Debug for Around<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Around").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Records with `eyes` until the source ends or draining is asked for, and seals the recording.
/// `new` fills in the manifest once it is known that recording can begin: before that nothing is
/// written.
///
/// Each step is in the log before it takes effect: a recording whose line cannot be written does
/// not begin.
pub fn record(
    plan: &Plan,
    around: &Around<'_>,
    eyes: Eyes,
    new: impl FnOnce(&Started) -> NewRecording,
    mut report: impl FnMut(&Progress) + Send,
) -> Result<Report, RecordError> {
    let Around { store, key, audit, clock, shutdown, .. } = *around;
    let Eyes { detector, embedder, digests, thresholds } = eyes;
    let judge = Judge::new(plan.policy, &plan.gallery, thresholds);
    let policy = judge.policy();
    let watcher = Watcher::new(detector, embedder, judge, thresholds, plan.watch);
    let capture = Capture::open(&plan.input, &plan.capture)?;
    let format = capture.video().clone();
    let mut encoder = Encoder::start(&format, capture.audio(), &plan.encode)?;
    let is_live = plan.input.is_live();
    let ladder = is_live.then(|| Ladder::new(encoder.can_lighten(&plan.encode)));
    let encoder_name = encoder.name().to_owned();
    let started = Started {
        policy,
        encoder: encoder_name.clone(),
        audio: capture.audio().is_some(),
        models: digests,
        duration: capture.duration(),
    };
    let new = new(&started);
    let (id, began) = (new.id, new.started);
    let capacity = ring_capacity(&format, plan.look_ahead);
    let pool = SlotPool::new(format.size, capacity + encode::FRAMES_HELD + SLOTS_IN_HAND);
    audit.append(clock.now(), &Event::armed(&new)).map(drop)?;
    let list = Event::ListVersion { recording: id, version: new.list_version.clone() };
    audit.append(clock.now(), &list).map(drop)?;
    let created = RecordingWriter::create(store, new, key).and_then(WriterThread::spawn);
    let writer = created
        .inspect_err(|_| note_fault(around, id, "the recording's folder could not be made"))?;
    let event = Event::Started { recording: id, manifest: writer.manifest() };
    if let Err(error) = audit.append(clock.now(), &event) {
        let fault = Some("the log could not be written".to_owned());
        writer.finish(Outcome { ended: clock.now(), fault, course: Course::default() })?;
        return Err(error.into());
    }
    // Capacity 2: a list and the end. Full: whoever reads lists waits for the chain's next frame.
    let (orders, told) = crossbeam_channel::bounded(2);
    let chain = Chain {
        camera: plan.camera.clone(),
        capture,
        pool,
        ring: Ring::new(plan.look_ahead, capacity),
        watcher,
        redactor: Redactor::new(plan.style),
        encoder,
        sender: writer.sender(),
        retention: writer.retention().clone(),
        started: began,
        parts: plan.parts.clone(),
        ladder,
        orders: told,
        tap: around.previews.map(|previews| previews.tap(&plan.camera)),
    };
    let mut swaps = Swaps::new(id, policy, thresholds, orders);
    let (progress, ran) = run(chain, around, &mut swaps, &mut report)?;
    let Swaps { made: lists, refused: lists_refused, fault: unlogged, .. } = swaps;
    let mut fault: Option<RecordError> = ran.err().map(Into::into).or(unlogged.map(Into::into));
    if fault.is_none() && progress.frames_in == 0 && !shutdown.is_requested() {
        fault = Some(RecordError::Empty);
    }
    let word = fault.as_ref().map(fault_word);
    if let Some(word) = word {
        note_fault(around, id, word);
    }
    let course = Course { lists: lists.clone(), overload: overload(&progress) };
    let outcome = Outcome { ended: clock.now(), fault: word.map(str::to_owned), course };
    let kept = finish(writer, outcome, &mut fault)?;
    let progress = Progress { frames_out: kept.frames, ..progress };
    if let Some(manifest) = kept.manifest {
        let sealed = Event::Sealed {
            recording: id,
            manifest,
            segments: kept.segments as u64,
            frames: progress.frames_out,
            frames_veiled_whole: progress.veiled_whole,
            tracks_veiled: progress.tracks_veiled,
            tracks_shown: progress.tracks_shown,
        };
        if let Err(error) = audit.append(clock.now(), &sealed) {
            // The recording is whole; that its end is not in the log is a fault of its own.
            fault.get_or_insert(error.into());
        }
    }
    Ok(Report {
        id,
        is_sealed: kept.manifest.is_some(),
        path: kept.path,
        segments: kept.segments,
        bytes: kept.bytes,
        progress,
        seconds: progress.position.seconds(),
        policy,
        encoder: encoder_name,
        lists,
        lists_refused,
        fault,
    })
}

/// What the manifest says of a recording that did not keep up with ease.
fn overload(progress: &Progress) -> Option<Overload> {
    let load = progress.load;
    let strained = load.changes > 0 || load.frames_late + load.frames_overload > 0;
    strained.then(|| Overload {
        furthest: load.furthest.word().to_owned(),
        changes: load.changes,
        frames_late: load.frames_late,
        frames_overload: load.frames_overload,
    })
}

/// What is in the recording's folder at its end.
struct Kept {
    path: PathBuf,
    segments: usize,
    bytes: u64,
    frames: u64,
    /// Digest of the signed manifest; none where it could not be signed.
    manifest: Option<Digest>,
}

/// Seals the recording. What kept it from being longer, or from being sealed, is the fault then.
fn finish(
    writer: WriterThread,
    outcome: Outcome,
    fault: &mut Option<RecordError>,
) -> Result<Kept, RecordError> {
    match writer.finish(outcome) {
        Ok(Finished { sealed, stopped }) => {
            if let Some(stopped) = stopped {
                // The chain only hears that writing has stopped; this says why.
                *fault = Some(stopped.into());
            }
            let Sealed { path, segments, bytes, frames, manifest, .. } = sealed;
            Ok(Kept { path, segments, bytes, frames, manifest: Some(manifest) })
        }
        Err(VaultError::NotSealed { path, segments, bytes, frames, source }) => {
            let kept = Kept { path: path.clone(), segments, bytes, frames, manifest: None };
            *fault = Some(VaultError::NotSealed { path, segments, bytes, frames, source }.into());
            Ok(kept)
        }
        Err(error) => Err(error.into()),
    }
}

/// Runs the chain on a thread of its own, named after the camera, and hands it new lists.
fn run(
    chain: Chain,
    around: &Around<'_>,
    swaps: &mut Swaps,
    report: &mut (impl FnMut(&Progress) + Send),
) -> Result<(Progress, Result<(), ChainError>), RecordError> {
    let (camera, shutdown) = (chain.camera.clone(), around.shutdown);
    let latest = std::sync::Mutex::new(Progress::default());
    let lock = || latest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name(camera.to_string())
            .spawn_scoped(scope, || {
                chain.run(shutdown, &mut |progress| {
                    *lock() = *progress;
                    report(progress);
                })
            })
            .map_err(RecordError::Thread)?;
        if let Some(lists) = around.lists {
            while !thread.is_finished() {
                match lists.next(LISTEN) {
                    Some(News::Replaced(list)) => {
                        let position = lock().position;
                        swaps.replace(around, list, position);
                    }
                    Some(News::Unusable) => swaps.refuse(around),
                    None => {}
                }
            }
        }
        Ok(thread.join().unwrap_or_else(|_| {
            // The slots of a chain that panicked are gone with it: nothing of them was encoded.
            (*lock(), Err(ChainError::Panicked { camera: camera.clone() }))
        }))
    })
}

/// Frames the ring holds: the look-ahead at the source's rate, within the memory set for it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small positive number of frames"
)]
fn ring_capacity(format: &capture::VideoFormat, look_ahead: Duration) -> usize {
    let rate = format.framerate.map_or(ASSUMED_RATE, |(n, d)| f64::from(n) / f64::from(d.max(1)));
    let wanted = (look_ahead.as_secs_f64() * rate.clamp(1.0, 240.0)).ceil() as usize + 1;
    let fits = RING_BYTES / PlaneLayout::new(format.size).bytes().max(1);
    if wanted > fits {
        let frames = fits.max(2);
        tracing::warn!(frames, wanted, "large pictures: the look-ahead is shortened to fit memory");
    }
    wanted.min(fits).max(2)
}

/// Notes a fault. Nothing depends on the line: what it is about ends anyway.
pub(super) fn note_fault(around: &Around<'_>, recording: RecordingId, what: &'static str) {
    let event = Event::Fault { recording: Some(recording), what: Word::new(what) };
    if let Err(error) = around.audit.append(around.clock.now(), &event) {
        tracing::error!(%recording, %error, "a fault could not be written into the log");
    }
}

/// What manifest and log may say of a fault: no paths, no names.
fn fault_word(error: &RecordError) -> &'static str {
    match error {
        RecordError::Capture(_) | RecordError::Chain(ChainError::Capture(_)) => {
            "the source broke off"
        }
        RecordError::Chain(ChainError::FrameSize { .. }) => "the source changed its size",
        RecordError::Encode(_) | RecordError::Chain(ChainError::Encode(_)) => "the encoder failed",
        RecordError::Vault(_) | RecordError::Chain(ChainError::Vault(_)) => "writing failed",
        RecordError::Empty => "the source had no pictures",
        RecordError::Audit(_) => "the log could not be written",
        _ => "a fault of the program",
    }
}
