//! The box itself: what `classveil run` does until it is told to end.
//!
//! Belongs here: the start-up order, the threads and what they tell each other. Does not belong: what
//! comes of it (`steward`), the rules of a recording (`recording`), what stands against one
//! (`preflight`).
//!
//! Threads: this loop; four that answer the socket; one for the lamp, one for the button, one that
//! looks and reads lists; and while it records one for the recorder, beside those of its cameras.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use crossbeam_channel::{Sender, bounded};
use serde_json::json;

use super::{
    button,
    control::{self, Answer, Call, ControlError, MayAsk, Socket},
    crew::{self, Ground},
    cut,
    desk::Desk,
    facts,
    hardening::harden,
    indicator::{self, Lamp, indicator},
    lesson::Lesson,
    lookout::{self, Lookout},
    preflight::{self, Hardware, Places, Reason},
    preview::Previews,
    reload::{InForce, Records, Reread, reread},
    retain,
    settings::retention_policy,
    steward::{LOOK, Service},
};
use crate::{
    clock::{Clock, SystemClock},
    config::{AudioMode, Config},
    error::{ErrorKind, Kind},
    shutdown::Shutdown,
    units::CameraId,
    vault::{
        self, BoxKey, Digest, VaultError,
        audit::{AuditError, AuditKey, AuditLog},
        retention::RetentionError,
    },
    vision::infer::Models,
};

/// What the box runs on.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The settings.
    pub config: Config,
    /// What preflight looks at.
    pub places: Places,
    /// The box's signing key.
    pub box_key: PathBuf,
    /// The log's key.
    pub audit_key: PathBuf,
    /// The socket.
    pub socket: PathBuf,
}

/// Why the box does not run any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A key or the store cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The log cannot be used.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What is to be kept for how long makes no sense.
    #[error(transparent)]
    Retention(#[from] RetentionError),
    /// The socket cannot be used.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// No thread could be started, or no signal taken over.
    #[error("cannot start: {0}")]
    System(#[source] std::io::Error),
    /// Sound is to be kept, and nobody can give the box a reason for it.
    #[error(
        "[audio] mode = \"keep\": the box records no sound, because each recording with sound needs a reason of \
         its own; set it to \"off\", or use `classveil record --audio keep --audio-reason TEXT`"
    )]
    Sound,
    /// The store is not where it was.
    #[error(
        "{store} is no store of this box, which has keys: is its disk mounted? For a box that begins anew move {key} \
         away",
        store = store.display(),
        key = key.display()
    )]
    Gone {
        /// Where it should be.
        store: PathBuf,
        /// The log's key.
        key: PathBuf,
    },
    /// The front end beside the socket cannot be opened.
    #[error("{problem}")]
    Beside {
        /// What kind of failure it is.
        kind: ErrorKind,
        /// Why.
        problem: String,
    },
    /// A recording could not be sealed in time.
    #[error(
        "a recording could not be sealed in time, so the program ends to be sure that no camera stays \
         open: start it again, which seals what is on disk"
    )]
    Stuck,
    /// A camera's pipeline hangs.
    #[error(
        "the pipeline of camera {camera} hangs, so the program ends: start it again, which seals what is \
         on disk and goes on with the lesson"
    )]
    Hangs {
        /// The camera.
        camera: CameraId,
    },
}

impl Kind for ServiceError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Vault(error) => error.kind(),
            Self::Audit(error) => error.kind(),
            Self::Retention(error) => error.kind(),
            Self::Control(error) => error.kind(),
            Self::System(_) => ErrorKind::Exhausted,
            Self::Sound => ErrorKind::Config,
            Self::Gone { .. } => ErrorKind::Io,
            Self::Beside { kind, .. } => *kind,
            Self::Stuck | Self::Hangs { .. } => ErrorKind::Transient,
        }
    }
}

/// What reaches the loop.
#[derive(Debug)]
pub(super) enum Message {
    Call(Call),
    Lamp(indicator::Told),
    Button(button::Told),
    Crew(crew::Told),
    Checked {
        check: u64,
        reasons: Vec<Reason>,
        /// The settings that were judged: the recording is made by these.
        config: Arc<Config>,
    },
    Looked {
        reasons: Vec<Reason>,
        /// Whether each camera answered.
        cameras: BTreeMap<CameraId, bool>,
        answer: Option<Sender<Answer>>,
    },
    Reread {
        read: Reread,
        answer: Option<Sender<Answer>>,
    },
    Lookout(lookout::Told),
    /// Whether each camera answered.
    Probed(BTreeMap<CameraId, bool>),
    /// What was destroyed, or could not be.
    Retained(Vec<String>),
}

/// What the thread that looks is asked.
pub(super) enum Job {
    /// Whether this lesson may be recorded.
    Check { check: u64, lesson: Lesson, hardware: Hardware },
    /// What stands against a recording.
    Look { lesson: Option<Lesson>, hardware: Hardware, answer: Option<Sender<Answer>> },
    /// Whether the cameras are there.
    Probe,
    /// The configuration and the list again, the list for whoever records.
    Reread { records: Option<Records>, answer: Option<Sender<Answer>> },
}

/// Runs the box until `shutdown` and everything is sealed. `reread` says that the list is to be read
/// again. `may_ask` decides who may ask what on the socket. `beside` opens another front end before the box is ready; what it returns is dropped when
/// the box ends. Where it fails the box does not start.
pub fn run<B, E: Kind>(
    setup: &Setup,
    may_ask: &MayAsk,
    shutdown: &Shutdown,
    reread: &Arc<AtomicBool>,
    beside: impl FnOnce(Desk) -> Result<B, E>,
) -> Result<(), ServiceError> {
    let config = &setup.config;
    if config.audio.mode == AudioMode::Keep {
        return Err(ServiceError::Sound);
    }
    harden();
    let (ground, was_cut) = open(setup)?;
    let ground = Arc::new(ground);
    let store = &setup.places.store;
    let cut = cut::find(store, ground.key.public());
    let socket = Socket::bind(&setup.socket)?;

    // Capacity 64: a word of each thread and a request of each that answers, many times over. Full:
    // whoever tells something waits until the loop has come to it.
    let (tell, inbox) = bounded::<Message>(64);
    // Capacity 4: a check, a look and a list each. Full: what is asked for is refused as busy.
    let (jobs, work) = bounded::<Job>(4);
    let ended = Shutdown::new();
    let (lamp, showing) = indicator();
    std::thread::scope(|scope| {
        // Whatever happens to the loop, the threads beside it end.
        let _ends = Ends(&ended);
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let failed = ServiceError::System;
        if let Some(folder) = &config.indicator.led {
            let (tell, ended, lamp) = (tell.clone(), &ended, Lamp::new(folder));
            thread("lamp")
                .spawn_scoped(scope, move || {
                    showing.run(&lamp, ended, |told| drop(tell.send(Message::Lamp(told))));
                })
                .map_err(failed)?;
        }
        if let Some(device) = &config.button.device {
            let (tell, ended) = (tell.clone(), &ended);
            thread("button")
                .spawn_scoped(scope, move || {
                    button::watch(device, ended, |told| drop(tell.send(Message::Button(told))));
                })
                .map_err(failed)?;
        }
        {
            let (tell, ground, work) = (tell.clone(), Arc::clone(&ground), work);
            thread("look")
                .spawn_scoped(scope, move || {
                    for job in work {
                        if tell.send(do_job(&ground, job)).is_err() {
                            return;
                        }
                    }
                })
                .map_err(failed)?;
        }
        {
            let (tell, ended, ground) = (tell.clone(), &ended, Arc::clone(&ground));
            // Wrong settings are told at once, not after the first round.
            let policy = retention_policy(config, None)?;
            let retainer = retain::Retainer::new(policy, store);
            thread("retention")
                .spawn_scoped(scope, move || {
                    retain::keep(&ground, retainer, ended, |lines| {
                        drop(tell.send(Message::Retained(lines)));
                    });
                })
                .map_err(failed)?;
        }
        let lookout = Lookout::default();
        if let Ok(Some(cut)) = &cut {
            // Before anything looks: what nobody waits for is forgotten.
            lookout.cut_off(cut.note.clone());
        }
        {
            let (tell, ended, ground) = (tell.clone(), &ended, Arc::clone(&ground));
            let lookout = lookout.clone();
            thread("lookout")
                .spawn_scoped(scope, move || {
                    lookout.run(&ground, ended, |told| drop(tell.send(Message::Lookout(told))));
                })
                .map_err(failed)?;
        }
        for number in 0..control::THREADS {
            let (tell, ended, socket) = (tell.clone(), &ended, &socket);
            thread(&format!("answer-{number}"))
                .spawn_scoped(scope, move || {
                    let calls = |call| tell.send(Message::Call(call)).is_ok();
                    socket.answer(may_ask, &calls, ended);
                })
                .map_err(failed)?;
        }
        let calls = tell.clone();
        let desk = Desk::new(Arc::clone(&ground), move |call| {
            calls.send_timeout(Message::Call(call), LOOK).is_ok()
        });
        let _beside = beside(desk)
            .map_err(|e| ServiceError::Beside { kind: e.kind(), problem: e.to_string() })?;
        let mut service = Service::new(ground, lamp, tell, jobs);
        service.lookout = lookout;
        // Ready when everything was looked at once, the cameras among it.
        service.take_up(was_cut, cut);
        service.run(&inbox, shutdown, reread)
    })
}

/// Opens keys, log and store, and seals what an earlier end of the program left behind; says whether
/// there was anything.
fn open(setup: &Setup) -> Result<(Ground, bool), ServiceError> {
    let Setup { config, places, box_key, audit_key, .. } = setup;
    let now = SystemClock.now();
    // A disk that is not mounted yet: another store in its place would hide what is recorded, and what
    // somebody objected to.
    if audit_key.exists() && !AuditLog::is_in(&places.store) {
        return Err(ServiceError::Gone { store: places.store.clone(), key: audit_key.clone() });
    }
    let key = BoxKey::load_or_create(box_key, &places.store)?;
    let audit_key = AuditKey::load_or_create(audit_key, &places.store)?;
    let audit = AuditLog::open(&places.store, audit_key, key.public(), now)?;
    let in_force = serde_json::to_vec(config).map_err(|e| ServiceError::System(e.into()))?;
    audit.note_configuration(now, Digest::of(&in_force))?;
    // Without them nothing is recorded, as preflight says. What there is, is kept and destroyed all the same.
    match Models::load(&places.models, &places.runtime) {
        Ok(_) => tracing::info!("the models are those that were measured"),
        Err(error) => tracing::error!(%error, "the models cannot be used"),
    }
    // People take its public key home on the day the box is set up, before anything is recorded.
    if let Err(error) = vault::prepare(&places.store, &key) {
        tracing::error!(%error, "the store cannot be made ready");
    }
    let was_cut = recover(places, &key, &audit)?;
    let ground = Ground {
        config: InForce::new(config.clone()),
        places: places.clone(),
        key,
        audit,
        network: Mutex::new(json!("off")),
        previews: Previews::default(),
        clock_withholds: AtomicBool::new(false),
        clock_changes: Mutex::default(),
        refused_by: Mutex::default(),
    };
    Ok((ground, was_cut))
}

struct Ends<'a>(&'a Shutdown);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Seals what an earlier end of the program left behind. A recording that cannot be recovered is no
/// reason not to make another; a log that cannot be written is.
/// Says whether there was one.
fn recover(places: &Places, key: &BoxKey, audit: &AuditLog) -> Result<bool, ServiceError> {
    match vault::recover(&places.store, key, SystemClock.now()) {
        Ok(recovery) => {
            for one in &recovery.recovered {
                tracing::warn!(recording = %one.id, "sealed a recording that had been cut off");
            }
            for (path, error) in &recovery.failed {
                tracing::error!(path = %path.display(), %error, "cannot be recovered");
            }
            audit.note_recovery(SystemClock.now(), &recovery)?;
            Ok(!recovery.recovered.is_empty())
        }
        Err(VaultError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(false)
        }
        Err(error) => {
            tracing::error!(%error, "earlier recordings could not be checked");
            Ok(false)
        }
    }
}

fn do_job(ground: &Ground, job: Job) -> Message {
    let places = &ground.places;
    let config = ground.config.now();
    let look = |hardware, lesson: Option<&Lesson>| {
        let facts = preflight::look(&config, places, SystemClock.now(), hardware);
        let reasons = preflight::judge(&config, places, &facts, lesson);
        (reasons, reached(ground, facts.cameras))
    };
    match job {
        Job::Check { check, lesson, hardware } => {
            let (reasons, _) = look(hardware, Some(&lesson));
            Message::Checked { check, reasons, config }
        }
        Job::Look { lesson, hardware, answer } => {
            let (reasons, cameras) = look(hardware, lesson.as_ref());
            Message::Looked { reasons, cameras, answer }
        }
        Job::Probe => {
            let refused = ground.refused_by.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Message::Probed(reached(ground, facts::cameras(&config, &refused)))
        }
        Job::Reread { records, answer } => {
            Message::Reread { read: reread(ground, records.as_ref()), answer }
        }
    }
}

/// Whether each camera answered; who does not let the box in is remembered.
fn reached(
    ground: &Ground,
    cameras: Vec<(CameraId, Result<(), facts::Away>)>,
) -> BTreeMap<CameraId, bool> {
    let refuses = |answer: &Result<(), facts::Away>| answer.as_ref().is_err_and(|a| a.refuses);
    *ground.refused_by.lock().unwrap_or_else(PoisonError::into_inner) =
        cameras.iter().filter(|(_, answer)| refuses(answer)).map(|(id, _)| id.clone()).collect();
    cameras.into_iter().map(|(camera, answer)| (camera, answer.is_ok())).collect()
}
