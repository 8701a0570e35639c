//! `classveil reveil`: a recording that exists, veiled anew by a newer pupil list.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use serde::Serialize;

use super::{
    Failure,
    identity::Passphrase,
    list::{drafted, rules},
    output, paths, places,
    record::{progress_bar, show, wrong},
    retention::refuse_frozen,
    verify::{note_end, note_trust},
};
use crate::{
    appliance::{
        self, Parts, PicturePlaces, Plan, Started, Workshop, encode_settings, watch_settings,
    },
    capture::{self, Input},
    clock::{Clock, SystemClock},
    config::Config,
    error::ErrorKind,
    people::{self, Draft},
    shutdown::Shutdown,
    units::{CameraId, PersonId, RecordingId},
    vault::{
        BoxPublicKey, Identities, Manifest, NewRecording, Opened,
        access::{attest, carry_marks},
        check, open,
        sign::PersonKey,
    },
    veil::{Style, policy::Policy, policy::Region},
    vision::{Eyes, identify::Gallery},
};

/// Veil a recording anew by another pupil list, on a key holder's own computer.
///
/// For a recording that is withheld because a pupil refused after it was made. Checks and opens it,
/// runs its pictures through the same looking, deciding and veiling as a lesson, and writes its
/// successor, sealed to the same recipients. Who is veiled in it already stays veiled. No opened
/// picture lies on the disk. The box takes the successor in by `classveil store adopt`, and shreds
/// the one before.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil reveil 0197c2a0-.../ --pupils pupils.csv --identity teacher.key --output veiled\n  \
    classveil reveil REC --pupils pupils.csv --identity coach.key --by c-02 --output veiled --json\n\n\
    RECORDING is a copy of the recording's folder, or its id with a copy of the store. Give the very list that is loaded on the box.\n\
    The key of the recording's box and a person's secret key do not belong on one computer.\n\n\
    Exit codes: 0 veiled, 65 damaged or tampered with, 66 no recording, 77 wrong key, or this is the\n\
    box, 78 the list or the output.")]
pub(super) struct Args {
    /// The recording: its folder, or its id; as a rule of a copy.
    #[arg(value_name = "RECORDING")]
    recording: String,
    /// The store, or a copy of it, where the recording is named by its id [default: the configured one].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The pupil list by which it is veiled: the one that the box has loaded.
    #[arg(long, value_name = "FILE")]
    pupils: PathBuf,
    /// Your secret key: you are among the recording's recipients.
    #[arg(short, long, value_name = "FILE")]
    identity: PathBuf,
    #[command(flatten)]
    passphrase: Passphrase,
    /// Your pseudonym [default: the recording's teacher].
    #[arg(long, value_name = "ID")]
    by: Option<PersonId>,
    /// The new folder for the successor.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Public key of the box that must have signed the recording [default: this machine's own, if
    /// it has one].
    #[arg(long, value_name = "FILE.pub")]
    box_key: Option<PathBuf>,
    /// The impact assessment under which faces are compared [default: the recording's own].
    #[arg(long, value_name = "REF")]
    dpia: Option<String>,
    /// Settings for detection and encoding.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A recording that its key holder opened to make it again.
pub(super) struct Source {
    pub(super) opened: Opened,
    identities: Identities,
}

impl Source {
    /// Checks the recording in `folder` and opens it with `identity`.
    pub(super) fn open(
        folder: &Path,
        identity: &Path,
        box_key: Option<&Path>,
        config: &Config,
    ) -> Result<Self, Failure> {
        let trust = paths::trust(box_key)?;
        let checked = check(folder, &trust, |_| ())?;
        note_trust(&checked, &trust);
        refuse_on_the_box(checked.signer(), config, folder)?;
        if let Some(store) = places::store_of(folder) {
            refuse_frozen(&store, checked.manifest().recording)?;
        }
        let manifest = checked.manifest();
        if manifest.delete_by <= SystemClock.now() {
            let message = format!("{} is due to be destroyed", manifest.recording);
            return Err(Failure::new(ErrorKind::Denied, message));
        }
        let identities = Identities::load(identity)?;
        let opened = open(checked, identity)?;
        note_end(opened.checked());
        Ok(Self { opened, identities })
    }

    pub(super) fn manifest(&self) -> &Manifest {
        self.opened.checked().manifest()
    }

    /// The key holder's signing key: of one of the recipients, not of who was granted access.
    pub(super) fn signer(&self) -> Result<PersonKey, Failure> {
        let recipients = &self.manifest().recipients;
        let own = PersonKey::of(&self.identities);
        own.into_iter().find(|key| recipients.contains(key.recipient())).ok_or_else(|| {
            let message =
                "this key is not among the recording's recipients: only they make it anew";
            Failure::new(ErrorKind::Denied, message)
        })
    }
}

/// A secret key of a person has no business on the box: where its key is, by default, by the
/// configuration, and as the package puts it.
fn refuse_on_the_box(signer: &BoxPublicKey, config: &Config, folder: &Path) -> Result<(), Failure> {
    let store = places::store_of(folder);
    let packaged = store.and_then(|store| Some(store.parent()?.join("keys/box.key")));
    let installed = Config::load(Path::new(places::CONFIG)).ok();
    let installed = installed.and_then(|config| config.store.box_key);
    let named = [paths::default_box_key(), config.store.box_key.clone(), installed, packaged];
    // What cannot be read here, nobody here signs with.
    let is_own =
        |path: &PathBuf| matches!(BoxPublicKey::of_secret(path), Ok(Some(key)) if key == *signer);
    if !named.iter().flatten().any(is_own) {
        return Ok(());
    }
    Err(Failure::new(
        ErrorKind::Denied,
        "this computer has the key of the box that made the recording, and a person's secret key \
         does not belong here: copy the recording's folder to your own computer, and do it there",
    ))
}

/// How a recording is made again: as it was made before, by another list.
pub(super) struct Manner<'a> {
    pub(super) config: &'a Config,
    pub(super) policy: Policy,
    pub(super) style: Style,
    pub(super) region: Region,
    pub(super) gallery: Gallery,
    /// Seats, zones and markers in a camera's picture.
    pub(super) places: Box<dyn Fn(&CameraId) -> PicturePlaces>,
    pub(super) audio: bool,
    pub(super) parts: Option<Parts>,
}

impl Manner<'_> {
    pub(super) fn plan(&self, manifest: &Manifest, camera: &CameraId, input: Input) -> Plan {
        let Self { config, policy, style, region, gallery, audio, parts, .. } = self;
        let (policy, style, region, audio) = (*policy, *style, *region, *audio);
        let (gallery, parts) = (gallery.clone(), parts.clone());
        let segment = segment(manifest);
        Plan {
            camera: camera.clone(),
            input,
            capture: capture::Settings { audio, ..capture::Settings::default() },
            policy,
            gallery,
            places: (self.places)(camera),
            style,
            watch: watch_settings(config, segment, region),
            look_ahead: std::time::Duration::from_millis(manifest.look_ahead_ms),
            encode: encode_settings(config, segment),
            parts,
        }
    }
}

fn segment(manifest: &Manifest) -> std::time::Duration {
    std::time::Duration::from_millis(manifest.segment_ms)
}

/// What a recording that is made again says of itself where nothing is said otherwise.
pub(super) fn again(manifest: &Manifest, started: &Started, style: Style) -> NewRecording {
    NewRecording {
        id: RecordingId::new(SystemClock.now()),
        started: manifest.started,
        delete_by: manifest.delete_by,
        purpose: manifest.purpose,
        legal_basis: manifest.legal_basis,
        dpia: None,
        continues: manifest.continues.clone(),
        class: manifest.class.clone(),
        teacher: manifest.teacher.clone(),
        coach: manifest.coach.clone(),
        cameras: manifest.cameras.clone(),
        policy: started.policy.to_string(),
        veil: style.to_string(),
        region: manifest.region.clone(),
        recipients: manifest.recipients.clone(),
        teacher_keys: manifest.teacher_keys.clone(),
        signers: manifest.signers.clone(),
        replaces: Vec::new(),
        list_version: String::new(),
        models: started.models.clone(),
        encoder: started.encoder.clone(),
        audio: started.audio,
        segment: segment(manifest),
        look_ahead: std::time::Duration::from_millis(manifest.look_ahead_ms),
        software: concat!("classveil ", env!("CARGO_PKG_VERSION")).to_owned(),
        details: crate::vault::Details::default(),
        gaps: manifest.gaps.clone(),
    }
}

#[derive(Serialize)]
struct Made<'a> {
    recording: RecordingId,
    replaces: RecordingId,
    path: &'a Path,
    segments: usize,
    frames: u64,
    tracks_veiled: u64,
    tracks_shown: u64,
    marks: usize,
    by: &'a PersonId,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = places::config(args.config.as_deref())?;
    let folder = places::folder(&args.recording, args.store.as_deref(), &config)?;
    let key = args.passphrase.open(&args.identity)?;
    let source = Source::open(&folder, key.path(), args.box_key.as_deref(), &config)?;
    let manifest = source.manifest().clone();
    let by = args.by.clone().or_else(|| manifest.teacher.clone()).ok_or_else(|| {
        Failure::new(
            ErrorKind::Usage,
            "the recording names no teacher: give your pseudonym by --by",
        )
    })?;
    let signer = source.signer()?;
    let (policy, style, region) = kept(&manifest)?;
    appliance::harden();
    let models = places::models(&config)?;
    let more = || Eyes::open(&models, config.detect.threads as usize);
    let eyes = more()?;
    let workshop = Workshop::beside(&args.output, &SystemClock)?;
    let list_key = workshop.derive(people::VERSION_KEY);
    let today = SystemClock.now().to_zoned(TimeZone::system()).date();
    let dpia = args.dpia.as_deref().or(config.biometrics.dpia.as_deref());
    let dpia = dpia.or(manifest.dpia.as_deref());
    let draft = Draft::open(&args.pupils, rules(&config, today)?)?;
    let of_photos = || Ok(Eyes::for_photos(&models)?);
    let list = drafted(draft, policy != Policy::Everyone, dpia, of_photos, &list_key)?;
    let shutdown = signals()?;
    let details = source.opened.details()?;
    let version = list.version().to_owned();
    let gallery = list.gallery;
    let audio = manifest.audio;
    let people = list.people;
    let places = Box::new(move |camera: &CameraId| appliance::places(&people, camera));
    let parts = None;
    let manner = Manner { config: &config, policy, style, region, gallery, places, audio, parts };
    let bar = progress_bar(args.json);
    let made = workshop.record(
        &source.opened,
        |camera, input| manner.plan(&manifest, camera, input),
        (eyes, &more),
        |started| NewRecording {
            list_version: version,
            dpia: list.dpia,
            details,
            replaces: [&manifest.replaces[..], &[manifest.recording]].concat(),
            ..again(&manifest, started, style)
        },
        |progress| show(&bar, progress),
        &shutdown,
    )?;
    bar.finish_and_clear();
    let marks = carry_marks(&source.opened, &made.path, &source.identities)?;
    let now = SystemClock.now();
    attest(&made.path, source.opened.checked(), &list_key, (&by, &signer), now)?;
    workshop.publish(&made)?;
    let said = Made {
        recording: made.id,
        replaces: manifest.recording,
        path: &args.output,
        segments: made.segments,
        frames: made.progress.frames_out,
        tracks_veiled: made.progress.tracks_veiled,
        tracks_shown: made.progress.tracks_shown,
        marks,
        by: &by,
    };
    if args.json {
        output::json(&said);
    } else {
        output::line(format_args!(
            "{}: veiled anew as {}, {} frames, {} tracks veiled, {} shown",
            said.replaces, said.recording, said.frames, said.tracks_veiled, said.tracks_shown
        ));
        if marks > 0 {
            output::note(format_args!("with the marks of {marks} people"));
        }
        output::note(format_args!(
            "give {} to whoever runs the box, for `classveil store adopt`",
            args.output.display()
        ));
    }
    Ok(())
}

/// Says when Ctrl-C or a termination asks for an end.
pub(super) fn signals() -> Result<Shutdown, Failure> {
    let shutdown = Shutdown::new();
    shutdown.on_signals().map_err(|error| {
        Failure::new(ErrorKind::Io, format!("cannot take over Ctrl-C and termination: {error}"))
    })?;
    Ok(shutdown)
}

/// How the recording was veiled.
fn kept(manifest: &Manifest) -> Result<(Policy, Style, Region), Failure> {
    let unknown = |_| wrong("the recording was made by another version, whose words are not known");
    Ok((
        manifest.policy.parse().map_err(unknown)?,
        manifest.veil.parse().map_err(unknown)?,
        manifest.region.parse().map_err(unknown)?,
    ))
}
