//! One measured recording: made as a user makes one, opened as a user opens it.
//!
//! Belongs here: the way through the real pipeline. Does not belong: what is made of the result
//! (`run`).

use std::{fs, ops::ControlFlow, path::Path, time::Duration};

use jiff::{SignedDuration, civil::Date};

use super::{
    EvalError,
    control::{self, Cost, Meter},
    truth::SceneFiles,
};
use crate::{
    appliance::{self, Around, Plan, RecordError, Started},
    capture::{self, Input},
    clock::Clock,
    frame::FrameSize,
    people::{Draft, Rules, face::Enroller},
    shutdown::Shutdown,
    units::{CameraId, RecordingId},
    vault::{
        self, BoxKey, Details, Existing, LegalBasis, NewRecording, Output, Purpose, Trust,
        audit::{AuditKey, AuditLog},
        write_identity,
    },
    veil::{Style, place::Places, policy::Policy, watch},
    vision::{Eyes, identify::Gallery, infer::Models},
};

/// How long the throw-away recordings of a measurement may be kept, by their own record.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// What recordings are made with.
pub struct Setup<'a> {
    /// The checked models.
    pub models: &'a Models,
    /// Where the present comes from.
    pub clock: &'a dyn Clock,
    /// Says when to stop.
    pub shutdown: &'a Shutdown,
    /// The day for which pupil lists are read.
    pub today: Date,
    /// How frames are looked at.
    pub watch: watch::Settings,
    /// How long frames wait.
    pub look_ahead: Duration,
    /// How a veil looks.
    pub style: Style,
    /// Threads of each model.
    pub threads: usize,
}

impl std::fmt::Debug for Setup<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("watch", &self.watch).finish_non_exhaustive()
    }
}

/// What came of a recording.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recorded {
    /// What it cost, from the first picture on.
    pub(super) cost: Cost,
    /// Pictures veiled whole for want of a complete look.
    pub(super) veiled_whole: u64,
}

/// Records a scene of pictures of `size` as a user would, with keys and a store in `work` that are
/// thrown away, opens the recording, and writes it as `video`.
pub(super) fn record(
    setup: &Setup<'_>,
    files: &SceneFiles,
    size: FrameSize,
    policy: Policy,
    work: &Path,
    video: &Path,
) -> Result<Recorded, EvalError> {
    let eyes = Eyes::open(setup.models, setup.threads)?;
    let gallery = gallery(setup, files, policy)?;
    let (store, key_file) = (work.join("store"), work.join("box.key"));
    let key = BoxKey::load_or_create(&key_file, &store)?;
    let started = setup.clock.now();
    let identity = work.join("eval.key");
    let _ = fs::remove_file(&identity);
    let recipient = write_identity(&identity, started)?;
    let camera = CameraId::first();
    let encode = control::measured(size);
    let plan = Plan {
        camera: camera.clone(),
        input: Input::File(files.video()),
        capture: capture::Settings::default(),
        policy,
        gallery,
        places: Places::default(),
        style: setup.style,
        watch: setup.watch,
        look_ahead: setup.look_ahead,
        encode: encode.clone(),
        parts: None,
    };
    let new = |begun: &Started| NewRecording {
        id: RecordingId::new(started),
        started,
        delete_by: started.checked_add(KEPT).unwrap_or(started),
        purpose: Purpose::Coaching,
        legal_basis: LegalBasis::LegitimateInterest,
        dpia: None,
        continues: None,
        class: None,
        teacher: None,
        coach: None,
        cameras: vec![camera.clone()],
        policy: begun.policy.to_string(),
        veil: setup.style.to_string(),
        region: setup.watch.region.to_string(),
        recipients: vec![recipient],
        teacher_keys: Vec::new(),
        signers: Vec::new(),
        replaces: Vec::new(),
        list_version: "eval".to_owned(),
        models: begun.models.clone(),
        encoder: begun.encoder.clone(),
        audio: false,
        segment: encode.segment,
        look_ahead: setup.look_ahead,
        software: software(),
        details: Details::default(),
        gaps: Vec::new(),
    };
    // Its log is thrown away with the store, but made and written as on a box.
    let audit = AuditKey::load_or_create(&work.join("audit.key"), &store)
        .and_then(|audit| AuditLog::open(&store, audit, key.public(), started))
        .map_err(RecordError::from)?;
    let around = Around {
        store: &store,
        key: &key,
        audit: &audit,
        clock: setup.clock,
        shutdown: setup.shutdown,
        lists: None,
        previews: None,
        clock_changes: None,
    };
    // From the first picture on: loading models is no part of a picture's cost.
    let mut meter = None;
    let recorded = appliance::record(&plan, &around, eyes, new, |progress| {
        if progress.frames_in > 0 && meter.is_none() {
            meter = Some(Meter::start());
        }
    })?;
    let cost = meter.map_or_else(Cost::default, |m| m.read(recorded.progress.frames_out));
    if setup.shutdown.is_requested() {
        return Err(EvalError::BrokenOff);
    }
    if let Some(fault) = recorded.fault {
        return Err(fault.into());
    }
    let trust = Trust::Pinned(key.public().clone());
    let opened = vault::open(vault::check(&recorded.path, &trust, |_| {})?, &identity)?;
    let mut output = Output::create(video, Existing::ReplaceBut(Vec::new()))?;
    opened.join(&camera, &mut output, |_| ControlFlow::Continue(()))?;
    drop(opened);
    output.publish()?;
    fs::remove_dir_all(&recorded.path).map_err(EvalError::io(&recorded.path))?;
    Ok(Recorded { cost, veiled_whole: recorded.progress.veiled_whole })
}

fn gallery(setup: &Setup<'_>, files: &SceneFiles, policy: Policy) -> Result<Gallery, EvalError> {
    let mut draft = Draft::open(&files.list(), Rules::on(setup.today))?;
    // Under `everyone` no face is compared.
    if policy != Policy::Everyone {
        let Eyes { mut detector, mut embedder, .. } = Eyes::for_photos(setup.models)?;
        draft.enrol(&mut Enroller { detector: &mut detector, embedder: &mut embedder })?;
    }
    Ok(draft.finish()?.gallery)
}

/// The program and its version.
pub(super) fn software() -> String {
    concat!("classveil ", env!("CARGO_PKG_VERSION")).to_owned()
}
