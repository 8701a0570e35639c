//! The recorders at work: a thread for each camera, from the list and the models to the seal.
//!
//! Belongs here: how a configuration and a lesson become a [`Plan`], and the recorders that run at
//! once. Does not belong: when they run (`recording`), what is asked of the box (`service`).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    chain::Progress,
    codes::Code,
    lists::{ListSender, NewList, lists},
    preflight::{self, Places},
    preview::Previews,
    recorder::{Around, Plan, RecordError, Report, record},
    recording::Lesson,
};
use crate::{
    capture::{self, Input},
    clock::{Clock, SystemClock},
    config::{Camera, Config, TimeTrust},
    encode,
    error::{ErrorKind, Kind},
    people::{self, directory::Directory, list::require_dpia, store::Current},
    shutdown::Shutdown,
    units::{CameraId, RecordingId},
    vault::{BoxKey, Details, NewRecording, Recipient, audit::AuditLog},
    veil::{policy::Policy, watch},
    vision::{Eyes, identify::Gallery, infer::Models},
};

/// From one look at the finished picture to the next; less where segments are short.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// What all recordings of the box run on.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) config: Config,
    pub(super) places: Places,
    pub(super) key: BoxKey,
    pub(super) audit: AuditLog,
    /// How the front end on the network is, as it says itself.
    pub(super) network: Mutex<serde_json::Value>,
    /// Veiled pictures for whoever may watch.
    pub(super) previews: Previews,
}

/// What a camera's thread tells.
#[derive(Debug)]
pub(super) enum Told {
    /// It records.
    Began { camera: CameraId, recording: RecordingId },
    /// It is over.
    Done { camera: CameraId, result: Result<Box<Report>, Ended> },
}

/// Why a camera recorded nothing.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Code,
    pub(super) text: String,
}

/// The code of a fault that ended a recording, or kept it from beginning.
pub(super) fn code_of(error: &RecordError) -> Code {
    match error {
        RecordError::Capture(_) | RecordError::Empty => Code::CameraUnreachable,
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
    pub(super) progress: Arc<Mutex<Progress>>,
    /// Its way for new lists.
    pub(super) lists: ListSender,
    /// Its recording, once it has begun.
    pub(super) recording: Option<RecordingId>,
    pub(super) done: bool,
}

impl AtWork {
    pub(super) fn progress(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The list in force, as a recording goes by it.
pub(super) fn list_in_force(ground: &Ground) -> Result<NewList, Ended> {
    let Ground { config, places, .. } = ground;
    let today = preflight::today(SystemClock.now());
    if config.recording.policy == Policy::Everyone {
        // No face is compared: no photo is looked at, and nothing is needed for it.
        let listed = people::store::list(&places.store, today).map_err(|error| unusable(&error))?;
        let gallery = Gallery::default();
        return Ok(NewList { gallery, version: listed.version, dpia: None });
    }
    let Current { list, gallery, version, .. } =
        people::store::current(&places.store, &places.gallery_key, today)
            .map_err(|error| unusable(&error))?;
    let dpia = if list.has_photos() {
        let dpia = require_dpia(config.biometrics.dpia.as_deref());
        let missing =
            |e: people::list::NoDpia| Ended { code: Code::DpiaMissing, text: e.to_string() };
        Some(dpia.map_err(missing)?.to_owned())
    } else {
        None
    };
    Ok(NewList { gallery, version, dpia })
}

fn unusable(error: &people::store::StoreError) -> Ended {
    Ended { code: Code::ListUnusable, text: error.to_string() }
}

/// Whom a recording is sealed to: where the store has a directory of people, those whom it allows,
/// the teacher among them.
fn openers(ground: &Ground, lesson: &Lesson, now: Timestamp) -> Result<Vec<Recipient>, Ended> {
    let given = &ground.config.recording.recipients;
    let unknown = |text: String| Ended { code: Code::RecipientsMissing, text };
    let entries = ground.audit.entries().map_err(|e| unknown(e.to_string()))?;
    let directory = Directory::read(&ground.places.store, &entries);
    let Some(directory) = directory.map_err(|e| unknown(e.to_string()))? else {
        return Ok(given.clone());
    };
    let openers = directory.openers(lesson.teacher.as_ref(), lesson.coach.as_ref(), given, now);
    let openers = openers.map_err(|e| unknown(e.to_string()))?;
    Ok(openers.into_iter().map(|opener| opener.recipient).collect())
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

/// Starts a camera's thread. It ends with its source or with `stop`, and tells so in any case.
pub(super) fn start(
    ground: &Arc<Ground>,
    camera: &Camera,
    lesson: &Lesson,
    stop: &Shutdown,
    tell: impl Fn(Told) + Send + 'static,
) -> std::io::Result<AtWork> {
    let (sender, inbox) = lists();
    let progress = Arc::new(Mutex::new(Progress::default()));
    let at_work = AtWork {
        camera: camera.id.clone(),
        progress: Arc::clone(&progress),
        lists: sender,
        recording: None,
        done: false,
    };
    let (ground, camera, lesson) = (Arc::clone(ground), camera.clone(), lesson.clone());
    let stop = stop.clone();
    std::thread::Builder::new().name(format!("record-{}", camera.id)).spawn(move || {
        let id = camera.id.clone();
        let mut told = TellsEnd { camera: id, tell: &tell, result: None };
        let result = run(&ground, &camera, &lesson, &stop, &inbox, &progress, &tell);
        told.result = Some(result);
    })?;
    Ok(at_work)
}

/// Tells that a thread is over, even where it panicked: nobody may wait for it for ever.
struct TellsEnd<'a> {
    camera: CameraId,
    tell: &'a dyn Fn(Told),
    result: Option<Result<Report, Ended>>,
}

impl Drop for TellsEnd<'_> {
    fn drop(&mut self) {
        let panicked =
            || Err(Ended { code: Code::Recorder, text: "a fault of the program".to_owned() });
        let result = self.result.take().unwrap_or_else(panicked).map(Box::new);
        (self.tell)(Told::Done { camera: self.camera.clone(), result });
    }
}

fn run(
    ground: &Ground,
    camera: &Camera,
    lesson: &Lesson,
    stop: &Shutdown,
    inbox: &super::lists::Lists,
    progress: &Mutex<Progress>,
    tell: &impl Fn(Told),
) -> Result<Report, Ended> {
    let Ground { config, places, key, audit, .. } = ground;
    let list = list_in_force(ground)?;
    let models = Models::load(&places.models, &places.runtime);
    let eyes = models.and_then(|models| Eyes::open(&models, config.detect.threads as usize));
    let eyes = eyes.map_err(|e| Ended { code: Code::ModelDigest, text: e.to_string() })?;
    let away =
        |e: capture::CaptureError| Ended { code: Code::CameraUnreachable, text: e.to_string() };
    let input = Input::parse(&camera.input, camera.credentials.as_deref()).map_err(away)?;
    let segment = config.recording.segment;
    let plan = Plan {
        camera: camera.id.clone(),
        input,
        // A recording with sound needs a reason of its own, which nobody can give the box yet.
        capture: capture::Settings { audio: false, ..capture::Settings::default() },
        policy: config.recording.policy,
        gallery: list.gallery,
        style: config.veil.style,
        watch: watch::Settings {
            size: config.detect.size,
            full_size: config.detect.full_size,
            full_every: config.detect.full_every,
            identify_every: config.identify.every,
            // Half a segment at most, so that each is looked at.
            check_every: CHECK_EVERY.min(segment / 2),
            region: config.veil.region,
        },
        look_ahead: config.veil.look_ahead,
        encode: encode::Settings {
            segment,
            bitrate: config.encode.bitrate,
            encoder: config.encode.encoder,
            preset: config.encode.preset,
            threads: config.encode.threads,
        },
        parts: None,
    };
    let started_at = SystemClock.now();
    let retain = SignedDuration::try_from(config.recording.retain);
    let delete_by = retain.and_then(|retain| started_at.checked_add(retain));
    let delete_by =
        delete_by.map_err(|e| Ended { code: Code::TimeUntrusted, text: e.to_string() })?;
    let recipients = openers(ground, lesson, started_at)?;
    let id = RecordingId::new(started_at);
    if stop.is_requested() {
        return Err(Ended { code: Code::Recorder, text: "it was stopped".to_owned() });
    }
    let new = |started: &super::recorder::Started| {
        tell(Told::Began { camera: camera.id.clone(), recording: id });
        NewRecording {
            id,
            started: started_at,
            delete_by,
            purpose: lesson.purpose,
            legal_basis: config.recording.legal_basis,
            dpia: list.dpia,
            class: lesson.class.clone(),
            teacher: lesson.teacher.clone(),
            coach: lesson.coach.clone(),
            cameras: vec![camera.id.clone()],
            policy: started.policy.to_string(),
            veil: config.veil.style.to_string(),
            region: config.veil.region.to_string(),
            recipients,
            list_version: list.version,
            models: BTreeMap::clone(&started.models),
            encoder: started.encoder.clone(),
            audio: started.audio,
            segment,
            look_ahead: config.veil.look_ahead,
            software: concat!("classveil ", env!("CARGO_PKG_VERSION")).to_owned(),
            details: Details {
                question: Some(lesson.question.clone()),
                waivers: waivers(config),
                ..Details::default()
            },
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
    };
    let note = |now: &Progress| *progress.lock().unwrap_or_else(PoisonError::into_inner) = *now;
    record(&plan, &around, eyes, new, note)
        .map_err(|error| Ended { code: code_of(&error), text: error.to_string() })
}
