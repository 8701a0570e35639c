//! The recorder at work: a thread that goes from the list and the models to the seal, with all cameras.
//!
//! Belongs here: how a configuration and a lesson become a [`Plan`] for each camera. Does not belong: when they run (`recording`), what is asked of the box (`service`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use jiff::{SignedDuration, Timestamp};

use super::{
    codes::Code,
    cut::Note,
    drops::Drops,
    lesson::{Continued, Lesson, Veiled},
    lists::{ListSender, Lists, NewList, lists},
    openers::Openers,
    preflight::{self, Places},
    preview::Previews,
    pulse::Pulse,
    recorder::{self, Around, Plan, RecordError, Report, record_all},
    reload::InForce,
    settings::{encode_settings, watch_settings},
    take::Take,
    tally::Progress,
};
use crate::{
    capture::{self, Input},
    clock::{Clock, SystemClock},
    config::{Camera, Config, TimeTrust},
    error::{ErrorKind, Kind},
    people::{
        self, PupilList, Rules,
        directory::{Directory, SealedTo},
        list::require_dpia,
        store::Current,
    },
    shutdown::Shutdown,
    units::{CameraId, PersonId, PupilId, RecordingId},
    vault::{
        BoxKey, ClockChange, Continues, Details, NewRecording, Recipient, VaultError,
        audit::{AuditLog, Entry},
    },
    veil::policy::Policy,
    vision::{
        Eyes,
        identify::Gallery,
        infer::{Models, VisionError},
    },
};

/// What all recordings of the box run on.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) config: InForce,
    pub(super) places: Places,
    pub(super) key: BoxKey,
    pub(super) audit: AuditLog,
    /// How the front end on the network is, as it says itself.
    pub(super) network: Mutex<serde_json::Value>,
    /// Veiled pictures for whoever may watch.
    pub(super) previews: Previews,
    /// Nobody could say for a day whether the clock is right: nobody looks at anything.
    pub(super) clock_withholds: AtomicBool,
    /// What became of the clock since the recording that is made began.
    pub(super) clock_changes: Mutex<Vec<ClockChange>>,
    /// Cameras that did not let the box in when they were asked last.
    pub(super) refused_by: Mutex<BTreeSet<CameraId>>,
}

impl Ground {
    pub(super) fn note_clock(&self, change: ClockChange) {
        let mut changes = self.clock_changes.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that is set again and again is told by the first of it.
        if changes.len() < MOST_CHANGES {
            changes.push(change);
        }
    }
}

/// Changes of the clock that one manifest states.
const MOST_CHANGES: usize = 100;

/// What the recorder's thread tells.
#[derive(Debug)]
pub(super) enum Told {
    /// All cameras record, for these people.
    Began(RecordingId, Openers),
    /// A camera is away, or it is back.
    Away { camera: CameraId, away: bool },
    /// A camera ended before the recording does.
    Failed(CameraId),
    /// It is over.
    Done(Result<Box<Report>, Ended>),
}

/// Why nothing was recorded.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Code,
    pub(super) text: String,
}

/// The code of a fault that ended a recording, or kept it from beginning.
pub(super) fn code_of(error: &RecordError) -> Code {
    match error {
        RecordError::Capture(_) | RecordError::Empty => Code::CameraUnreachable,
        RecordError::Memory { .. } => Code::MemorySmall,
        RecordError::Vision(_) => Code::ModelDigest,
        RecordError::Audit(_) => Code::LogDamaged,
        RecordError::Vault(error) if error.kind() == ErrorKind::Exhausted => Code::DiskSmall,
        RecordError::Vault(_) => Code::DiskUnwritable,
        _ => Code::Recorder,
    }
}

/// A camera at work.
#[derive(Debug)]
pub(super) struct AtWork {
    pub(super) camera: CameraId,
    progress: Arc<Mutex<Progress>>,
    /// Its way for wishes that the last stretch be dropped.
    pub(super) drops: Drops,
    /// Whether it still goes round.
    pub(super) pulse: Pulse,
}

impl AtWork {
    fn new(camera: &Camera) -> Self {
        let (progress, drops, pulse) = (Arc::default(), Drops::default(), Pulse::default());
        Self { camera: camera.id.clone(), progress, drops, pulse }
    }

    pub(super) fn progress(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in how far it is; says what it was before.
    fn note(&self, now: &Progress) -> Progress {
        std::mem::replace(&mut *self.progress.lock().unwrap_or_else(PoisonError::into_inner), *now)
    }
}

/// All that is at work on one recording.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) cameras: Arc<Vec<AtWork>>,
    /// Its way for new lists.
    pub(super) lists: ListSender,
    /// The settings by which it records.
    pub(super) config: Arc<Config>,
    /// The recording, once it has begun.
    pub(super) recording: Option<RecordingId>,
}

/// The list in force, as a recording goes by it.
pub(super) fn list_in_force(ground: &Ground, config: &Config) -> Result<NewList, Ended> {
    let places = &ground.places;
    let today = preflight::today(SystemClock.now());
    if config.recording.policy == Policy::Everyone {
        // No face is compared: no photo is looked at, and nothing is needed for it.
        let listed = people::store::list(&places.store, today).map_err(|error| unusable(&error))?;
        let gallery = Gallery::default();
        return Ok(NewList { people: listed.list, gallery, version: listed.version, dpia: None });
    }
    let too_long = |e: jiff::Error| Ended { code: Code::ListUnusable, text: e.to_string() };
    let photo_age = SignedDuration::try_from(config.pupils.photo_age_limit).map_err(too_long)?;
    let rules = Rules { photo_age, ..Rules::on(today) };
    let Current { list, gallery, version, .. } =
        people::store::current(&places.store, &places.gallery_key, rules)
            .map_err(|error| unusable(&error))?;
    let dpia = if list.has_photos() {
        let dpia = require_dpia(config.biometrics.dpia.as_deref());
        let missing =
            |e: people::list::NoDpia| Ended { code: Code::DpiaMissing, text: e.to_string() };
        Some(dpia.map_err(missing)?.to_owned())
    } else {
        None
    };
    Ok(NewList { people: list, gallery, version, dpia })
}

fn unusable(error: &people::store::StoreError) -> Ended {
    Ended { code: Code::ListUnusable, text: error.to_string() }
}

/// Whom a recording is sealed to: those whom the directory of people allows, the teacher among them.
pub(super) fn who_opens(
    ground: &Ground,
    config: &Config,
    lesson: &Lesson,
    now: Timestamp,
) -> Result<(SealedTo, Openers), Ended> {
    let given = &config.recording.recipients;
    let teacher = lesson.teacher.as_ref();
    let unknown = |text: String| Ended { code: Code::RecipientsMissing, text };
    let entries: &[Entry] = &ground.audit.known().map_err(|e| unknown(e.to_string()))?;
    let directory = Directory::read(&ground.places.store, entries);
    let directory = directory.map_err(|e| unknown(e.to_string()))?;
    let directory =
        directory.ok_or_else(|| unknown("there is no directory of people".to_owned()))?;
    let openers = directory.openers(teacher, lesson.coach.as_ref(), given, now);
    let openers = openers.map_err(|e| unknown(e.to_string()))?;
    let shown = Openers::of(&directory, teacher, &openers, entries, now);
    Ok((SealedTo::openers(openers, teacher), shown))
}

/// Options with `danger` in their name that are in force: every recording says so.
pub(super) fn waivers(config: &Config) -> Vec<String> {
    let mut waivers = Vec::new();
    if config.button.danger_remote_start {
        waivers.push("danger-remote-start".to_owned());
    }
    if config.clock.danger_trust == TimeTrust::System {
        waivers.push("danger-trust".to_owned());
    }
    waivers
}

/// Starts the recorder's thread. It ends with its sources or with `stop`, and tells so in any case.
pub(super) fn start(
    ground: &Arc<Ground>,
    config: Arc<Config>,
    lesson: &Lesson,
    stop: &Shutdown,
    tell: impl Fn(Told) + Send + Sync + 'static,
) -> std::io::Result<Crew> {
    let (sender, inbox) = lists();
    let cameras: Arc<Vec<AtWork>> = Arc::new(config.cameras.iter().map(AtWork::new).collect());
    let crew = Crew {
        cameras: Arc::clone(&cameras),
        lists: sender,
        config: Arc::clone(&config),
        recording: None,
    };
    let (ground, lesson, stop) = (Arc::clone(ground), lesson.clone(), stop.clone());
    std::thread::Builder::new().name("record".to_owned()).spawn(move || {
        let mut told = TellsEnd { cameras: &cameras, tell: &tell, result: None };
        told.result = Some(run((&ground, &config), &cameras, &lesson, &stop, &inbox, &tell));
    })?;
    Ok(crew)
}

/// Tells that the thread is over, even where it panicked: nobody may wait for it for ever.
struct TellsEnd<'a> {
    cameras: &'a [AtWork],
    tell: &'a (dyn Fn(Told) + Sync),
    result: Option<Result<Report, Ended>>,
}

impl Drop for TellsEnd<'_> {
    fn drop(&mut self) {
        for camera in self.cameras {
            // Whoever waits for an answer hears that none comes.
            drop(camera.drops.close());
        }
        let panicked =
            || Err(Ended { code: Code::Recorder, text: "a fault of the program".to_owned() });
        let result = self.result.take().unwrap_or_else(panicked).map(Box::new);
        (self.tell)(Told::Done(result));
    }
}

/// What is to be recorded of a camera, and how.
fn plan(config: &Config, camera: &Camera, list: &NewList, policy: Policy) -> Result<Plan, Ended> {
    let away =
        |e: capture::CaptureError| Ended { code: Code::CameraUnreachable, text: e.to_string() };
    let segment = config.recording.segment;
    Ok(Plan {
        camera: camera.id.clone(),
        input: Input::parse(&camera.input, camera.credentials.as_deref()).map_err(away)?,
        // A recording with sound needs a reason of its own, which nobody can give the box yet.
        capture: capture::Settings {
            audio: false,
            come_back: true,
            ..capture::Settings::default()
        },
        policy,
        gallery: list.gallery.clone(),
        places: recorder::places(&list.people, &camera.id),
        style: config.veil.style,
        watch: watch_settings(config, segment, config.veil.region),
        look_ahead: config.veil.look_ahead,
        encode: encode_settings(config, segment),
        parts: None,
    })
}

/// Who is veiled: as it is set, and where a lesson goes on no fewer than before.
fn policy(config: &Config, lesson: &Lesson) -> Policy {
    let first = lesson.continues.as_deref().map(|first| first.policy.parse::<Policy>());
    let strictness = |policy: &Policy| match policy {
        Policy::Refused => 0,
        Policy::UnlessCleared => 1,
        Policy::Everyone => 2,
    };
    let first = first.map(|policy| policy.unwrap_or(Policy::Everyone));
    first.into_iter().chain([config.recording.policy]).max_by_key(strictness).unwrap_or_default()
}

/// That a recording that begins at `started` goes on with a lesson that was cut off.
fn goes_on(first: &Continued, started: Timestamp) -> Continues {
    let gap = started.duration_since(first.kept_until).as_millis();
    Continues {
        recording: first.recording,
        lesson_started: first.lesson_started,
        gap_ms: u64::try_from(gap).unwrap_or_default(),
    }
}

/// Whether a lesson can go on by the settings as they are now: with the same cameras and the same veil, for
/// nobody who could not open what was recorded before.
fn may_go_on(config: &Config, first: &Continued, recipients: &[Recipient]) -> Result<(), Ended> {
    if Veiled::by(config) != first.veiled {
        let text = "cameras or veil were set anew since it was cut off".to_owned();
        return Err(Ended { code: Code::CutOff, text });
    }
    // Without one of them, as a teacher whose key was replaced, it is another lesson's affair.
    if !recipients.iter().all(|recipient| first.recipients.contains(recipient)) {
        let text = "who may open it is not who could open what was recorded before".to_owned();
        return Err(Ended { code: Code::RecipientsMissing, text });
    }
    Ok(())
}

/// Notes that `id` is under way, before anything of it is on the disk: killed in the next moment, its
/// lesson goes on all the same, and an objection reaches it. One that goes on with another is found by what
/// its manifest says.
fn note_first(ground: &Ground, lesson: &Lesson, id: RecordingId) -> Result<(), Ended> {
    ground.clock_changes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    if lesson.continues.is_some() {
        return Ok(());
    }
    let unwritten = |error: VaultError| {
        let text = error.to_string();
        Ended { code: code_of(&error.into()), text }
    };
    Note::of(id, 0).write(&ground.places.store).map_err(unwritten)
}

/// The names of those whom a recording is about, as far as they were given.
fn names(lesson: &Lesson, people: &PupilList) -> BTreeMap<String, String> {
    let own = [lesson.teacher.as_ref(), lesson.coach.as_ref()].into_iter().flatten();
    let pupils = people.ids_of(lesson.class.as_ref()).map(PupilId::as_str);
    lesson.names.of(own.map(PersonId::as_str).chain(pupils))
}

fn run(
    (ground, config): (&Ground, &Config),
    cameras: &[AtWork],
    lesson: &Lesson,
    stop: &Shutdown,
    inbox: &Lists,
    tell: &(impl Fn(Told) + Sync),
) -> Result<Report, Ended> {
    let Ground { places, key, audit, .. } = ground;
    let list = list_in_force(ground, config)?;
    let plan = |camera| plan(config, camera, &list, policy(config, lesson));
    let plans = config.cameras.iter().map(plan).collect::<Result<Vec<_>, _>>()?;
    let untrue = |e: VisionError| Ended { code: Code::ModelDigest, text: e.to_string() };
    let models = Models::load(&places.models, &places.runtime).map_err(untrue)?;
    let mut takes = Vec::new();
    for (plan, at_work) in plans.iter().zip(cameras) {
        let eyes = Eyes::open(&models, config.detect.threads as usize).map_err(untrue)?;
        let take = Take::new(plan, eyes).with_drops(at_work.drops.clone());
        takes.push(take.with_pulse(at_work.pulse.clone()).within(config.limits.memory.0));
    }
    let started_at = SystemClock.now();
    let retain = SignedDuration::try_from(config.recording.retain);
    let delete_by = retain.and_then(|retain| started_at.checked_add(retain));
    let delete_by =
        delete_by.map_err(|e| Ended { code: Code::TimeUntrusted, text: e.to_string() })?;
    let (sealed_to, shown) = who_opens(ground, config, lesson, started_at)?;
    let SealedTo { recipients, teacher_keys, signers } = sealed_to;
    if let Some(first) = lesson.continues.as_deref() {
        may_go_on(config, first, &recipients)?;
    }
    let mut delete_by = delete_by;
    let continues = lesson.continues.as_deref().map(|first| {
        // Nothing that was promised for the first recording of a lesson is less for the next.
        delete_by = delete_by.min(first.delete_by);
        goes_on(first, started_at)
    });
    if delete_by <= started_at {
        let text = "it would have to be gone already".to_owned();
        return Err(Ended { code: Code::CutOff, text });
    }
    let id = RecordingId::new(started_at);
    if stop.is_requested() {
        return Err(Ended { code: Code::Recorder, text: "it was stopped".to_owned() });
    }
    note_first(ground, lesson, id)?;
    let new = |started: &super::recorder::Started| {
        tell(Told::Began(id, shown));
        let veiled = Veiled::by(config);
        NewRecording {
            id,
            started: started_at,
            delete_by,
            purpose: lesson.purpose,
            legal_basis: config.recording.legal_basis,
            dpia: list.dpia,
            continues,
            class: lesson.class.clone(),
            teacher: lesson.teacher.clone(),
            coach: lesson.coach.clone(),
            cameras: veiled.cameras,
            policy: started.policy.to_string(),
            veil: veiled.veil,
            region: veiled.region,
            recipients,
            teacher_keys,
            signers,
            replaces: Vec::new(),
            list_version: list.version,
            models: BTreeMap::clone(&started.models),
            encoder: started.encoder.clone(),
            audio: started.audio,
            segment: config.recording.segment,
            look_ahead: config.veil.look_ahead,
            software: concat!("classveil ", env!("CARGO_PKG_VERSION")).to_owned(),
            details: Details {
                question: lesson.continues.is_none().then(|| lesson.question.clone()),
                names: names(lesson, &list.people),
                waivers: waivers(config),
                ..Details::default()
            },
            gaps: Vec::new(),
        }
    };
    let around = Around {
        store: &places.store,
        key,
        audit,
        clock: &SystemClock,
        shutdown: stop,
        lists: Some(inbox),
        previews: Some(&ground.previews),
        clock_changes: Some(&ground.clock_changes),
    };
    let note = |at: usize, now: &Progress| {
        let Some(at_work) = cameras.get(at) else { return };
        let before = at_work.note(now);
        let camera = || at_work.camera.clone();
        if before.away != now.away {
            tell(Told::Away { camera: camera(), away: now.away });
        }
        if now.failed && !before.failed {
            tell(Told::Failed(camera()));
        }
    };
    record_all(takes, &around, new, &note)
        .map_err(|error| Ended { code: code_of(&error), text: error.to_string() })
}
