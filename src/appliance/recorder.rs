//! One recording from start to seal, with one camera or several.
//!
//! Belongs here: what is needed for it, the threads of its cameras, and what comes of it. Does not
//! belong: how one camera is made ready (`take`), what is said of an end (`ending`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::ScopedJoinHandle,
    time::{Duration, Instant},
};

use super::{
    chain::{Chain, ChainError},
    drops::{Drops, Wish, discard_written},
    ending::{self, Kept},
    lists::{Lists, News, Swaps},
    parts::Parts,
    preview::Previews,
    take::{Ready, Take, open_all},
    tally::Progress,
};
use crate::{
    capture::{self, CaptureError, Input},
    clock::Clock,
    encode::{self, EncodeError},
    error::{ErrorKind, Kind},
    people::PupilList,
    shutdown::Shutdown,
    units::{CameraId, Pts, RecordingId},
    vault::{
        BoxKey, ClockChange, Course, ListChange, NewRecording, Outcome, RecordingWriter,
        VaultError, WriterThread,
        audit::{AuditError, AuditLog, Event, Word},
    },
    veil::{
        Style,
        place::{self, Places},
        policy::Policy,
        watch,
    },
    vision::{
        Eyes,
        identify::{Gallery, Standing},
        infer::VisionError,
    },
};

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
    /// What the list says of places in the camera's picture.
    pub places: Places,
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

/// What a list says of places in the picture of `camera`: seats of those who may be seen today, zones
/// of those who may not; and which markers clear their wearer today.
#[must_use]
pub fn places(list: &PupilList, camera: &CameraId) -> Places {
    let mut places = Places::default();
    for (pupil, standing, seat) in list.seats().filter(|(_, _, seat)| seat.camera == *camera) {
        let seat = place::Seat { pupil: pupil.clone(), corners: seat.points.clone() };
        match standing {
            Standing::Consented | Standing::Staff => places.seats.push(seat),
            Standing::Refused => places.zones.push(seat),
            Standing::NotYet => {}
        }
    }
    for (marker, pupil, standing) in list.markers() {
        if matches!(standing, Standing::Consented | Standing::Staff) {
            places.markers.insert(marker.id(), pupil.clone());
        }
    }
    places
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
    /// How far it went, with all cameras.
    pub progress: Progress,
    /// How far each camera went.
    pub cameras: Vec<CameraReport>,
    /// Seconds from the start to the newest frame.
    pub seconds: f64,
    /// The policy that was applied at the start.
    pub policy: Policy,
    /// The policy that was asked for.
    pub policy_asked: Policy,
    /// The encoder's name.
    pub encoder: String,
    /// Lists that took the place of the first.
    pub lists: Vec<ListChange>,
    /// How many lists were to do so and could not.
    pub lists_refused: u32,
    /// Why it ended early.
    pub fault: Option<RecordError>,
}

/// What came of one camera of a recording.
#[derive(Debug)]
pub struct CameraReport {
    /// The camera.
    pub camera: CameraId,
    /// How far it went.
    pub progress: Progress,
    /// Why it ended early.
    pub fault: Option<String>,
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
    /// The pictures of all cameras do not fit into the memory set for them.
    #[error(
        "the pictures that wait take {} MiB and may take {}: shorten [veil] look-ahead, use smaller \
         pictures or fewer cameras, or raise [limits] memory",
        needed >> 20,
        limit >> 20
    )]
    Memory {
        /// Bytes that they take.
        needed: u64,
        /// Bytes that they may take.
        limit: u64,
    },
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
            Self::Thread(_) | Self::Memory { .. } => ErrorKind::Exhausted,
            Self::Empty => ErrorKind::DataLoss,
        }
    }
}

/// What the recorder knows when the cameras are open and the encoders run, for whoever fills in the
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
    /// What becomes of the clock meanwhile; none where nobody looks after it.
    pub clock_changes: Option<&'a Mutex<Vec<ClockChange>>>,
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
    report: impl FnMut(&Progress) + Send,
) -> Result<Report, RecordError> {
    let report = Mutex::new(report);
    let takes = vec![Take::new(plan, eyes)];
    record_all(takes, around, new, &|_, progress| lock(&report)(progress))
}

/// The same with one camera or several, in one recording on one clock. All of them begin or none
/// does; one that ends early leaves the recording to the others. `report` hears of each by its place
/// among `takes`.
pub fn record_all(
    takes: Vec<Take<'_>>,
    around: &Around<'_>,
    new: impl FnOnce(&Started) -> NewRecording,
    report: &(dyn Fn(usize, &Progress) + Sync),
) -> Result<Report, RecordError> {
    let Around { audit, clock, shutdown, .. } = *around;
    let limit = takes.iter().filter_map(Take::memory).min();
    let ready = open_all(takes)?;
    let needed = ready.iter().map(Ready::memory).sum();
    if let Some(limit) = limit.filter(|limit| needed > *limit) {
        return Err(RecordError::Memory { needed, limit });
    }
    let Some(first) = ready.first() else { return Err(RecordError::Empty) };
    let (policy, thresholds) = (first.policy, first.thresholds);
    let policy_asked = first.policy_asked();
    let started = started(&ready, policy);
    let new = new(&started);
    let (id, began) = (new.id, new.started);
    let _span = tracing::info_span!("recorder", recording = %id).entered();
    let writer = begin(new, around)?;
    let zero = Arc::new(OnceLock::new());
    let drops: Vec<(CameraId, Drops)> = ready.iter().map(Ready::drops).collect();
    let chains = ready.into_iter().map(|one| one.chain(around, (id, began), &writer, &zero));
    let (chains, orders): (Vec<_>, Vec<_>) = chains.unzip();
    let orders = drops.iter().map(|(camera, _)| camera.clone()).zip(orders).collect();
    let mut swaps = Swaps::new(id, policy, thresholds, orders);
    // A live recording's clock goes on where a camera does not.
    let now = |position: Pts| {
        let clock = zero.get().map(|zero: &Instant| Pts::ZERO.plus(zero.elapsed()));
        clock.map_or(position, |clock| position.max(clock))
    };
    let ended = |at: usize, position: Pts| {
        let Some((camera, drops)) = drops.get(at) else { return };
        let wish = drops.take();
        if let Err(error) = drop_for(around, (id, camera), wish, &writer, now(position)) {
            tracing::error!(%camera, %error, "what was to be dropped may still be there");
        }
    };
    let ran = run(chains, around, &mut swaps, report, &ended);
    let Swaps { made: lists, refused: lists_refused, fault: unlogged, .. } = swaps;
    let mut fault = None;
    let mut cameras = Vec::new();
    for ((camera, drops), (progress, result)) in drops.iter().zip(ran) {
        // Nothing can be wished any more.
        let (wish, now) = (drops.close(), now(progress.position));
        let late = drop_for(around, (id, camera), wish, &writer, now);
        let result = result.and(late);
        let report = result.as_ref().err().map(ToString::to_string);
        fault = fault.or(result.err());
        cameras.push(CameraReport { camera: camera.clone(), progress, fault: report });
    }
    let mut fault: Option<RecordError> = fault.or(unlogged.map(Into::into));
    let progress = ending::together(cameras.iter().map(|one| &one.progress));
    if fault.is_none() && progress.frames_in == 0 && !shutdown.is_requested() {
        fault = Some(RecordError::Empty);
    }
    let word = fault.as_ref().map(ending::fault_word);
    if let Some(word) = word {
        note_fault(around, id, word);
    }
    let clock_changes = around.clock_changes.map(|changes| std::mem::take(&mut *lock(changes)));
    let course = Course {
        lists: lists.clone(),
        overload: ending::overload(&progress),
        clock: clock_changes.unwrap_or_default(),
    };
    let outcome = Outcome { ended: clock.now(), fault: word.map(str::to_owned), course };
    let Kept { path, segments, bytes, frames, manifest } =
        ending::finish(writer, outcome, &mut fault)?;
    let progress = Progress { frames_out: frames, ..progress };
    if let Some(manifest) = manifest {
        let sealed = Event::Sealed {
            recording: id,
            manifest,
            segments: segments as u64,
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
        is_sealed: manifest.is_some(),
        path,
        segments,
        bytes,
        progress,
        cameras,
        seconds: progress.position.seconds(),
        policy,
        policy_asked,
        encoder: started.encoder,
        lists,
        lists_refused,
        fault,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of cameras that are open.
fn started(ready: &[Ready<'_>], policy: Policy) -> Started {
    let mut encoders: Vec<&str> = ready.iter().map(Ready::encoder).collect();
    encoders.dedup();
    Started {
        policy,
        encoder: encoders.join(", "),
        audio: ready.iter().any(Ready::has_sound),
        models: ready.first().map(|one| one.models.clone()).unwrap_or_default(),
        duration: ready.iter().filter_map(Ready::duration).max(),
    }
}

/// Makes the recording's folder, with a line in the log before and after.
fn begin(new: NewRecording, around: &Around<'_>) -> Result<WriterThread, RecordError> {
    let Around { store, key, audit, clock, .. } = *around;
    let id = new.id;
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
    Ok(writer)
}

/// Drops what was wished of a camera whose chain does not hear it any more.
fn drop_for(
    around: &Around<'_>,
    of: (RecordingId, &CameraId),
    wish: Option<Wish>,
    writer: &WriterThread,
    now: Pts,
) -> Result<(), RecordError> {
    let Some(wish) = wish else { return Ok(()) };
    let span = (now.minus(wish.reach()), now);
    let (dropped, logged) = discard_written(around, of, &writer.sender(), span);
    wish.answer(&dropped.as_ref().map(Clone::clone).map_err(ToString::to_string));
    dropped?;
    Ok(logged?)
}

/// How far a camera's chain came, and why no further.
type Ran = (Progress, Result<(), RecordError>);

/// Runs each chain on a thread of its own, named after the camera, and hands them new lists. `ended`
/// is told again and again of chains that ended before the others, with their last position.
fn run(
    chains: Vec<Chain<'_>>,
    around: &Around<'_>,
    swaps: &mut Swaps,
    report: &(dyn Fn(usize, &Progress) + Sync),
    ended: &dyn Fn(usize, Pts),
) -> Vec<Ran> {
    let latest: Vec<Mutex<Progress>> = chains.iter().map(|_| Mutex::default()).collect();
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (at, chain) in chains.into_iter().enumerate() {
            let (camera, latest) = (chain.camera.clone(), &latest[at]);
            let thread = std::thread::Builder::new().name(camera.to_string());
            let thread = thread.spawn_scoped(scope, move || {
                chain.run(&mut |progress| {
                    *lock(latest) = *progress;
                    report(at, progress);
                })
            });
            threads.push((camera, latest, thread));
        }
        let runs = |threads: &[(_, _, std::io::Result<ScopedJoinHandle<'_, _>>)]| {
            threads.iter().any(|(_, _, thread)| thread.as_ref().is_ok_and(|t| !t.is_finished()))
        };
        if let Some(lists) = around.lists {
            while runs(&threads) {
                match lists.next(LISTEN) {
                    Some(News::Replaced(list)) => {
                        let position = latest.iter().map(|one| lock(one).position).max();
                        swaps.replace(around, &list, position.unwrap_or_default());
                    }
                    Some(News::Unusable) => swaps.refuse(around),
                    None => {}
                }
                for (at, (_, latest, thread)) in threads.iter().enumerate() {
                    if thread.as_ref().is_ok_and(ScopedJoinHandle::is_finished) {
                        ended(at, lock(latest).position);
                    }
                }
            }
        }
        let came = |(camera, latest, thread): (CameraId, &Mutex<Progress>, std::io::Result<_>)| {
            let thread: ScopedJoinHandle<'_, (Progress, Result<(), ChainError>)> = match thread {
                Ok(thread) => thread,
                Err(error) => return (Progress::default(), Err(RecordError::Thread(error))),
            };
            let (progress, result) = thread.join().unwrap_or_else(|_| {
                // The slots of a chain that panicked are gone with it: nothing of them was encoded.
                (*lock(latest), Err(ChainError::Panicked { camera }))
            });
            (progress, result.map_err(Into::into))
        };
        threads.into_iter().map(came).collect()
    })
}

/// Notes a fault. Nothing depends on the line: what it is about ends anyway.
pub(super) fn note_fault(around: &Around<'_>, recording: RecordingId, what: &'static str) {
    let event = Event::Fault { recording: Some(recording), what: Word::new(what) };
    if let Err(error) = around.audit.append(around.clock.now(), &event) {
        tracing::error!(%recording, %error, "a fault could not be written into the log");
    }
}
