//! `classveil record`: camera or file in, sealed segments out.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    path::{Path, PathBuf},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, civil::Date, tz::TimeZone};

use super::{
    Failure,
    list::{List, drafted, rules},
    openers, output, paths, places, reload, report,
};
use crate::{
    appliance::{self, Around, Plan, Progress, Report, Started, encode_settings, watch_settings},
    capture::{self, Input},
    clock::{Clock, SystemClock},
    config::{AudioMode, Config},
    error::{ErrorKind, advice},
    people::{
        self, Draft, PupilList,
        directory::{Directory, SealedTo},
        list::require_dpia,
        store::Current,
    },
    shutdown::Shutdown,
    units::{CameraId, ClassId, PersonId, PupilId, RecordingId, parse_duration},
    vault::{
        self, BoxKey, Details, Digest, LegalBasis, Names, NewRecording, Purpose, Recipient,
        audit::{AuditKey, AuditLog},
    },
    veil::{
        Style,
        policy::{Policy, Region},
    },
    vision::{Eyes, identify::Gallery},
};

/// Longest learning question that is kept.
const QUESTION_BYTES: u64 = 16 << 10;

/// Record, veil and seal.
///
/// Takes pictures from a file or a camera, veils whom the pupil list and the policy say before a
/// frame is encoded, and writes encrypted segments that only the recipients can open. Ends with the
/// file, or with Ctrl-C; either way the recording is sealed and valid. SIGHUP makes it read the pupil
/// list again, which then counts from the next frame on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil record --input lesson.mp4 --pupils pupils.csv --policy refused --dpia DPIA-2026-04 \\\n      \
      --recipient age1... --store /srv/classveil\n  \
    classveil record --input rtsp://10.0.0.20/stream --credentials camera.login \\\n      \
      --policy unless-cleared --store /srv/classveil --class 5b --teacher t-07 --coach c-02 --question \"Do I wait long enough?\" --retain \"14 d\"\n  \
    classveil record --input /dev/video0 --policy everyone --recipient age1... --store store --json\n\n\
    Exit codes: 0 recorded, 64 usage, 65 the input is damaged, 66 not found, 74 disk, 75 the camera \
    is away, 77 not allowed, 78 a list, key or setting is wrong. Where a recording had begun, what \
    was complete is sealed whatever the code.")]
pub(super) struct Args {
    /// A file, an rtsp:// or rtsps:// address, or a video device.
    #[arg(long, value_name = "URI|FILE")]
    input: Option<String>,
    /// Which [[camera]] of the configuration; beside --input, what to call this one.
    #[arg(long, value_name = "ID")]
    camera: Option<CameraId>,
    /// File with the camera's user on its first line and password on its second; mode 0600.
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// The pupil list; without it the list loaded into the store is used.
    #[arg(long, value_name = "LIST.csv")]
    pupils: Option<PathBuf>,
    /// Who is veiled: refused, unless-cleared or everyone [default: refused].
    #[arg(long, value_name = "P")]
    policy: Option<Policy>,
    /// Who can open the recording: an age public key. Give one for each person. Where the store has a
    /// directory of people: those of it who can [default there: teacher and accepted coach].
    #[arg(long = "recipient", value_name = "age1...")]
    recipients: Vec<String>,
    /// The store's folder; made where it is missing.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The class's pseudonym.
    #[arg(long, value_name = "ID")]
    class: Option<ClassId>,
    /// The teacher's pseudonym; takes a directory of people, which says whose keys are whose.
    #[arg(long, value_name = "ID")]
    teacher: Option<PersonId>,
    /// The coach's pseudonym.
    #[arg(long, value_name = "ID")]
    coach: Option<PersonId>,
    /// The teacher's learning question; only who can open the recording can read it.
    #[arg(long, value_name = "TEXT", conflicts_with = "question_file")]
    question: Option<String>,
    /// A file with the learning question.
    #[arg(long, value_name = "FILE")]
    question_file: Option<PathBuf>,
    /// A file of names: a pseudonym and a name on each line, with a comma between. The teacher's, the coach's
    /// and the listed pupils' go into the recording; only who can open it reads them, and they are gone with
    /// it.
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// What for: coaching or team-session [default: coaching].
    #[arg(long, value_name = "PURPOSE")]
    purpose: Option<String>,
    /// On what ground: legitimate-interest or public-task [default: legitimate-interest].
    #[arg(long, value_name = "BASIS")]
    legal_basis: Option<String>,
    /// From the start to the deletion [default: 30 d].
    #[arg(long, value_name = "DURATION")]
    retain: Option<String>,
    /// Length of a segment, 1 to 30 s [default: 6 s].
    #[arg(long, value_name = "DURATION")]
    segment: Option<String>,
    /// Sound: off or keep [default: off]. keep needs --audio-reason.
    #[arg(long, value_name = "MODE")]
    audio: Option<AudioMode>,
    /// Why sound is needed; only who can open the recording can read it.
    #[arg(long, value_name = "TEXT")]
    audio_reason: Option<String>,
    /// How a veil looks: veil (soft) or fill (one colour) [default: veil].
    #[arg(long, value_name = "STYLE")]
    veil: Option<Style>,
    /// What is covered: head, person, or picture (all but cleared faces) [default: head].
    #[arg(long, value_name = "REGION")]
    region: Option<Region>,
    /// The box's signing key, outside the store; made at first use.
    #[arg(long, value_name = "FILE")]
    box_key: Option<PathBuf>,
    /// The key that signs the audit log, outside the store; made at first use [default: audit.key
    /// beside the box key].
    #[arg(long, value_name = "FILE")]
    audit_key: Option<PathBuf>,
    /// The key of the loaded list's embeddings, outside the store.
    #[arg(long, value_name = "FILE", conflicts_with = "pupils")]
    gallery_key: Option<PathBuf>,
    /// Reference of the data protection impact assessment; needed to compare faces with photos.
    #[arg(long, value_name = "REF")]
    dpia: Option<String>,
    /// Settings; options given here go before them.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object as the last line of stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn wrong(message: impl Into<String>) -> Failure {
    Failure::new(ErrorKind::Config, message)
}

fn missing(what: &str) -> Failure {
    Failure::new(ErrorKind::Usage, what)
}

/// Everything the command line and the configuration say, checked before anything is opened.
struct Wanted {
    camera: CameraId,
    input: Input,
    policy: Policy,
    style: Style,
    region: Region,
    /// Keys that were given; a directory of people may allow fewer, or name others.
    recipients: Vec<Recipient>,
    store: PathBuf,
    purpose: Purpose,
    legal_basis: LegalBasis,
    retain: Duration,
    segment: Duration,
    audio: bool,
    details: Details,
    names: Names,
    dpia: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = places::config(args.config.as_deref())?;
    let wanted = wanted(args, &config)?;
    appliance::harden();
    // The files are not kept in memory.
    let models = places::models(&config)?;
    // Libraries are linked one after the other: not while that of the models is.
    capture::prepare();
    let eyes = Eyes::open(&models, config.detect.threads as usize)?;
    let box_key_path = paths::box_key(args.box_key.as_deref().or(config.store.box_key.as_deref()))?;
    let key = BoxKey::load_or_create(&box_key_path, &wanted.store)?;
    let reading = Reading { args, config: &config, wanted: &wanted, key: &key };
    let list = reading.list(|| Ok(Eyes::for_photos(&models)?))?;
    drop(models);
    let applied = wanted.policy.kept_with(&list.gallery);
    if applied != wanted.policy {
        output::note(format_args!(
            "a refusing pupil has no usable photo and cannot be told apart: the policy {} acts as \
             {applied}, so everyone who is not positively cleared is veiled",
            wanted.policy
        ));
    }
    let audit = audit_log(args, &config, &wanted.store, &box_key_path, &key)?;
    let (recipients, warning) =
        openers::sealed_to(&wanted.store, people_of(args, &config), &wanted.recipients, &audit)?;
    recover(&wanted.store, &key, &audit)?;
    let shutdown = Shutdown::new();
    shutdown.on_signals().map_err(|error| {
        Failure::new(ErrorKind::Io, format!("cannot take over Ctrl-C and termination: {error}"))
    })?;
    let result = record(&reading, recipients, list, eyes, &audit, &shutdown)?;
    report::finish(args.json, warning, result)
}

/// Who is recorded, and with whom.
fn people_of<'a>(args: &'a Args, config: &'a Config) -> [Option<&'a PersonId>; 2] {
    let teacher = args.teacher.as_ref().or(config.recording.teacher.as_ref());
    [teacher, args.coach.as_ref().or(config.recording.coach.as_ref())]
}

fn wanted(args: &Args, config: &Config) -> Result<Wanted, Failure> {
    let (camera, input) = source(args, config)?;
    let store = places::store(args.store.as_deref(), config)?;
    let given = args.recipients.iter().map(|r| r.parse()).collect::<Result<Vec<Recipient>, _>>()?;
    let recipients = if given.is_empty() { config.recording.recipients.clone() } else { given };
    // A directory of people says later whose keys they are.
    if recipients.is_empty() && !Directory::is_in(&store) {
        return Err(missing(
            "nobody could open this recording: give --recipient age1... (make a key with \
             `classveil keygen`)",
        ));
    }
    let purpose = match &args.purpose {
        Some(word) => word.parse::<Purpose>()?,
        None => config.recording.purpose,
    };
    let legal_basis = match &args.legal_basis {
        Some(word) => word.parse::<LegalBasis>()?,
        None => config.recording.legal_basis,
    };
    let retain = duration("--retain", args.retain.as_deref(), config.recording.retain)?;
    if !crate::config::limits::RETAIN.contain(&crate::config::Span(retain)) {
        return Err(missing("--retain: a recording is kept for 1 min to 365 d"));
    }
    let segment = duration("--segment", args.segment.as_deref(), config.recording.segment)?;
    if !crate::config::limits::SEGMENT.contain(&crate::config::Span(segment)) {
        return Err(missing("--segment: a segment lasts 1 s to 30 s"));
    }
    let audio = args.audio.unwrap_or(config.audio.mode) == AudioMode::Keep;
    let reason = args.audio_reason.as_deref().map(str::trim).filter(|r| !r.is_empty());
    if audio && reason.is_none() {
        return Err(missing("sound is kept only for a reason: give --audio-reason TEXT"));
    }
    Ok(Wanted {
        camera,
        input,
        policy: args.policy.unwrap_or(config.recording.policy),
        style: args.veil.unwrap_or(config.veil.style),
        region: args.region.unwrap_or(config.veil.region),
        recipients,
        store,
        purpose,
        legal_basis,
        retain,
        segment,
        audio,
        details: Details {
            question: question(args)?,
            audio_reason: reason.filter(|_| audio).map(str::to_owned),
            ..Details::default()
        },
        names: args.names.as_deref().map_or_else(|| Ok(Names::default()), Names::load)?,
        dpia: args.dpia.clone().or_else(|| config.biometrics.dpia.clone()),
    })
}

/// The camera's id and where its pictures come from.
fn source(args: &Args, config: &Config) -> Result<(CameraId, Input), Failure> {
    let known = &config.cameras[..];
    if let Some(input) = &args.input {
        let only = match known {
            [only] => Some(&only.id),
            _ => None,
        };
        let id = args.camera.as_ref().or(only).cloned().unwrap_or_else(CameraId::first);
        return Ok((id, Input::parse(input, args.credentials.as_deref())?));
    }
    let ids = || known.iter().map(|c| c.id.as_str()).collect::<Vec<_>>().join(", ");
    let camera = match (&args.camera, known) {
        (_, []) => {
            return Err(missing("no input: give --input, or a [[camera]] in the configuration"));
        }
        (Some(id), known) => known.iter().find(|c| c.id == *id).ok_or_else(|| {
            missing(&format!("the configuration has no camera `{id}`: it has {}", ids()))
        })?,
        (None, [only]) => only,
        (None, _) => {
            return Err(missing(&format!(
                "the configuration has several cameras, and one is recorded at a time: give --camera \
                 ID, one of {}",
                ids()
            )));
        }
    };
    let credentials = args.credentials.as_deref().or(camera.credentials.as_deref());
    Ok((camera.id.clone(), Input::parse(&camera.input, credentials)?))
}

fn duration(option: &str, given: Option<&str>, default: Duration) -> Result<Duration, Failure> {
    given.map_or(Ok(default), |text| {
        parse_duration(text).map_err(|e| missing(&format!("{option}: {e}")))
    })
}

fn question(args: &Args) -> Result<Option<String>, Failure> {
    let text = match (&args.question, &args.question_file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => {
            let unreadable = |e: std::io::Error| {
                let text = format!("cannot read {}: {e}{}", path.display(), advice(&e));
                Failure::new(ErrorKind::of_io(&e), text)
            };
            let found = std::fs::metadata(path).map_err(unreadable)?;
            // Reading a pipe or a device might never end.
            if !found.is_file() {
                return Err(wrong(format!(
                    "{} is no ordinary file: write the learning question to one",
                    path.display()
                )));
            }
            let size = found.len();
            if size > QUESTION_BYTES {
                return Err(wrong(format!(
                    "{} is longer than {QUESTION_BYTES} bytes: a learning question is a few \
                     sentences",
                    path.display()
                )));
            }
            std::fs::read_to_string(path).map_err(unreadable)?
        }
        (None, None) => return Ok(None),
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(wrong("the learning question is empty"));
    }
    Ok(Some(text.to_owned()))
}

/// What it takes to read the list, at the start and whenever it is replaced.
pub(super) struct Reading<'a> {
    args: &'a Args,
    config: &'a Config,
    wanted: &'a Wanted,
    key: &'a BoxKey,
}

impl Reading<'_> {
    /// The list as it is now. `eyes` are asked for only where photos have to be looked at.
    pub(super) fn list(
        &self,
        eyes: impl FnOnce() -> Result<Eyes, Failure>,
    ) -> Result<List, Failure> {
        let Self { args, config, wanted, key } = *self;
        let today = SystemClock.now().to_zoned(TimeZone::system()).date();
        list(args, config, wanted, eyes, key, today)
    }

    /// Models for photos that are read while the recording's own are in use.
    pub(super) fn eyes(&self) -> Result<Eyes, Failure> {
        Ok(Eyes::for_photos(&places::models(self.config)?)?)
    }

    /// Whether the list is a file of its own, and not the one loaded into the store.
    pub(super) fn is_file(&self) -> bool {
        self.args.pupils.is_some()
    }
}

fn list(
    args: &Args,
    config: &Config,
    wanted: &Wanted,
    eyes: impl FnOnce() -> Result<Eyes, Failure>,
    key: &BoxKey,
    today: Date,
) -> Result<List, Failure> {
    // Under `everyone` no face is compared, so no photo is looked at and nothing is needed for it.
    let compares = wanted.policy != Policy::Everyone;
    let allowed = |list: &PupilList| -> Result<Option<String>, Failure> {
        if compares && list.has_photos() {
            return Ok(Some(require_dpia(wanted.dpia.as_deref())?.to_owned()));
        }
        Ok(None)
    };
    let Some(path) = &args.pupils else {
        return stored(args, config, wanted, compares, allowed, today);
    };
    drafted(
        Draft::open(path, rules(config, today)?)?,
        compares,
        wanted.dpia.as_deref(),
        eyes,
        &key.derive(people::VERSION_KEY),
    )
}

fn stored(
    args: &Args,
    config: &Config,
    wanted: &Wanted,
    compares: bool,
    allowed: impl Fn(&PupilList) -> Result<Option<String>, Failure>,
    today: Date,
) -> Result<List, Failure> {
    if !compares {
        let listed = people::store::list(&wanted.store, today)?;
        let (people, version) = (listed.list, listed.version);
        return Ok(List { people, gallery: Gallery::default(), version, dpia: None });
    }
    let gallery_key = places::gallery_key(args.gallery_key.as_deref(), config, &wanted.store)?;
    let Current { list, gallery, version, .. } =
        people::store::current(&wanted.store, &gallery_key, rules(config, today)?)?;
    let dpia = allowed(&list)?;
    Ok(List { people: list, gallery, version, dpia })
}

/// The store's log, which every recording needs.
fn audit_log(
    args: &Args,
    config: &Config,
    store: &Path,
    box_key_path: &Path,
    key: &BoxKey,
) -> Result<AuditLog, Failure> {
    let path = paths::audit_key(args.audit_key.as_deref(), box_key_path);
    let now = SystemClock.now();
    let audit = AuditLog::open(store, AuditKey::load_or_create(&path, store)?, key.public(), now)?;
    let in_force = serde_json::to_vec(config).map_err(|e| wrong(e.to_string()))?;
    audit.note_configuration(now, Digest::of(&in_force))?;
    Ok(audit)
}

/// Seals what an earlier power cut left behind. A recording that cannot be recovered is no reason
/// not to make this one; a log that cannot be written is.
fn recover(store: &Path, key: &BoxKey, audit: &AuditLog) -> Result<(), Failure> {
    match vault::recover(store, key, SystemClock.now()) {
        Ok(recovery) => {
            for recovered in &recovery.recovered {
                tracing::warn!(recording = %recovered.id, "sealed a recording that had been cut off");
            }
            audit.note_recovery(SystemClock.now(), &recovery)?;
        }
        Err(error) => output::note(format_args!(
            "earlier recordings could not be checked: {error}; run `classveil recover`"
        )),
    }
    Ok(())
}

fn record(
    reading: &Reading<'_>,
    SealedTo { recipients, teacher_keys, signers }: SealedTo,
    list: List,
    eyes: Eyes,
    audit: &AuditLog,
    shutdown: &Shutdown,
) -> Result<(Report, jiff::Timestamp), Failure> {
    let Reading { args, config, wanted, key } = *reading;
    let people = list.people;
    let plan = Plan {
        camera: wanted.camera.clone(),
        input: wanted.input.clone(),
        capture: capture::Settings { audio: wanted.audio, ..capture::Settings::default() },
        policy: wanted.policy,
        places: appliance::places(&people, &wanted.camera),
        gallery: list.gallery,
        style: wanted.style,
        watch: watch_settings(config, wanted.segment, wanted.region),
        look_ahead: config.veil.look_ahead,
        encode: encode_settings(config, wanted.segment),
        parts: None,
    };
    let started_at = SystemClock.now();
    let retain = SignedDuration::try_from(wanted.retain).map_err(|e| wrong(e.to_string()))?;
    let delete_by = started_at.checked_add(retain).map_err(|e| wrong(e.to_string()))?;
    let [teacher, coach] = people_of(args, config);
    let class = args.class.as_ref().or(config.recording.class.as_ref());
    let own = [teacher, coach].into_iter().flatten().map(PersonId::as_str);
    let names = wanted.names.of(own.chain(people.ids_of(class).map(PupilId::as_str)));
    let bar = progress_bar(args.json);
    let new = |started: &Started| {
        if wanted.audio && !started.audio {
            output::note("notice: the input has no sound: the recording is made without");
        }
        if let Some(duration) = started.duration {
            bar.set_length(duration.as_millis().try_into().unwrap_or(u64::MAX));
        }
        NewRecording {
            id: RecordingId::new(started_at),
            started: started_at,
            delete_by,
            purpose: wanted.purpose,
            legal_basis: wanted.legal_basis,
            dpia: list.dpia,
            continues: None,
            class: class.cloned(),
            teacher: teacher.cloned(),
            coach: coach.cloned(),
            cameras: vec![wanted.camera.clone()],
            policy: started.policy.to_string(),
            veil: wanted.style.to_string(),
            region: wanted.region.to_string(),
            recipients,
            teacher_keys,
            signers,
            replaces: Vec::new(),
            list_version: list.version,
            models: BTreeMap::clone(&started.models),
            encoder: started.encoder.clone(),
            audio: started.audio,
            segment: wanted.segment,
            look_ahead: config.veil.look_ahead,
            software: concat!("classveil ", env!("CARGO_PKG_VERSION")).to_owned(),
            details: Details { names, ..wanted.details.clone() },
            gaps: Vec::new(),
        }
    };
    let show = |progress: &Progress| show(&bar, progress);
    let store = &wanted.store;
    let hangups = reload::Hangups::new(shutdown)?;
    let report = std::thread::scope(|scope| {
        // Both ends go with the recording, so that nobody waits for it.
        let (sender, lists) = appliance::lists();
        let _ends = hangups.answer(scope, reading, people, sender, &bar)?;
        let lists = Some(&lists);
        let (previews, clock_changes) = (None, None);
        let clock = &SystemClock;
        let around = Around { store, key, audit, clock, shutdown, lists, previews, clock_changes };
        Ok::<_, Failure>(appliance::record(&plan, &around, eyes, new, show))
    })?;
    bar.finish_and_clear();
    Ok((report?, delete_by))
}

pub(super) fn progress_bar(json: bool) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length();
    let style = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

pub(super) fn show(bar: &ProgressBar, progress: &Progress) {
    if bar.is_hidden() {
        return;
    }
    bar.set_position(progress.position.nanos() / 1_000_000);
    let elapsed = bar.elapsed().as_secs_f64().max(0.001);
    bar.set_message(format!(
        "{} frames, {:.1} fps ({:.1}x), {} tracks veiled, {} shown",
        progress.frames_in,
        f64::from(u32::try_from(progress.frames_in).unwrap_or(u32::MAX)) / elapsed,
        progress.position.seconds() / elapsed,
        progress.tracks_veiled,
        progress.tracks_shown,
    ));
}
