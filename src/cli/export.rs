//! `classveil export`: a recording of its own that a key holder makes of another.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::Serialize;

use super::{
    Failure,
    fragments::fragments as parts_of,
    grant::parse_until,
    identity::Passphrase,
    list::{List, drafted, rules},
    output,
    people::{seconds, write_new},
    places,
    record::{progress_bar, show, wrong},
    retention::refuse_withheld,
    reveil::{Manner, Source, again, signals},
};
use crate::{
    appliance::{self, PicturePlaces, Report, Workshop},
    clock::{Clock, SystemClock},
    config::Config,
    error::ErrorKind,
    people::{self, Draft},
    units::{CameraId, PersonId, PupilId, RecordingId},
    vault::{
        Details, Manifest, NewRecording, Recipient,
        access::{ExportFor, attest_export},
    },
    veil::policy::{Policy, Region},
    vision::{
        Eyes,
        identify::{Gallery, Standing},
        infer::Models,
    },
};

/// How long an export lives where nothing is said.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Longest life of the teacher's own copy. Other exports end with their recording.
const LONGEST: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Make an export of a recording, on a key holder's own computer: a recording of its own, for one
/// purpose.
///
/// supervision: everybody veiled, the teacher too, no sound, no names. teacher-copy: the marked parts
/// only, for the teacher's own key. parent: one pupil and the teacher to be seen, all others veiled.
/// The last two are made by the teacher. Each carries its own deadline and recipients. Beside it comes
/// a signed statement, DIR.note, for `classveil exports enter` on the box.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "classveil export RECORDING --for PURPOSE --identity FILE --to AGE1 --output DIR",
    after_help = "Examples:\n  \
    classveil export REC --for supervision --identity coach.key --by c-02 --to age1... --output group\n  \
    classveil export REC --for teacher-copy --fragments parts.txt --identity teacher.key \\\n      \
      --to age1... --output copy\n  \
    classveil export REC --for parent --pupil p-14 --pupils pupils.csv --identity teacher.key \\\n      \
      --to age1... --output seen\n\n\
    A line of --fragments is a part: two times such as 02:10 03:45.5 or 1:02:10 1:03:00, counted \
    from\nthe recording's start. Marks saved in the viewer (marks/t-07.age) are taken as well, if --by\nsigned them.\n\n\
    Exit codes: 0 made, 65 damaged or tampered with, 66 no recording, 77 wrong key, withheld, or this \
    is\nthe box, 78 the list, the fragments or the output."
)]
pub(super) struct Args {
    /// The recording: its folder, or its id; as a rule of a copy.
    #[arg(value_name = "RECORDING")]
    recording: String,
    /// The store, or a copy of it, where the recording is named by its id [default: the configured one].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// supervision, teacher-copy or parent.
    #[arg(long = "for", value_name = "PURPOSE")]
    purpose: ExportFor,
    /// Your secret key: you are among the recording's recipients.
    #[arg(short, long, value_name = "FILE")]
    identity: PathBuf,
    #[command(flatten)]
    passphrase: Passphrase,
    /// Your pseudonym [default: the recording's teacher].
    #[arg(long, value_name = "ID")]
    by: Option<PersonId>,
    /// Who can open the export: an age public key. Give one for each person.
    #[arg(long = "to", value_name = "age1...", required = true)]
    to: Vec<Recipient>,
    /// The new folder for the export.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// The parts that it has, one on a line, or a file of marks that you signed; needed for teacher-copy [default: all of it].
    #[arg(long, value_name = "FILE")]
    fragments: Option<PathBuf>,
    /// The pupil whose parents it is for.
    #[arg(long, value_name = "ID", required_if_eq("purpose", "parent"))]
    pupil: Option<PupilId>,
    /// A pupil list with photos of that pupil and of the teacher; for teacher-copy one by which it is
    /// veiled once more.
    #[arg(long, value_name = "FILE", required_if_eq("purpose", "parent"))]
    pupils: Option<PathBuf>,
    /// When it must be gone, but never after the recording itself; the teacher's own copy within a
    /// year [default: 30 days from now].
    #[arg(long, value_name = "DATE", value_parser = parse_until)]
    until: Option<Timestamp>,
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

/// Seats, zones and markers in each camera's picture.
type PlacesOf = Box<dyn Fn(&CameraId) -> PicturePlaces>;

/// How the pictures of an export are veiled.
struct Veiled {
    policy: Policy,
    region: Region,
    /// What the export says of its policy.
    word: String,
    gallery: Gallery,
    places: PlacesOf,
    version: String,
    dpia: Option<String>,
}

#[derive(Serialize)]
struct Made<'a> {
    export: RecordingId,
    recording: RecordingId,
    purpose: ExportFor,
    path: &'a Path,
    statement: &'a Path,
    delete_by: Timestamp,
    segments: usize,
    frames: u64,
    tracks_veiled: u64,
    tracks_shown: u64,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = places::config(args.config.as_deref())?;
    let folder = found(args, &config)?;
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
    allowed(args, &by, &manifest, signer.recipient())?;
    let now = SystemClock.now();
    let delete_by = deadline(args, manifest.delete_by, now)?;
    let fragments = args.fragments.as_deref();
    let parts = fragments.map(|path| parts_of(&source.opened, &by, path)).transpose()?;
    appliance::harden();
    let models = places::models(&config)?;
    let more = || Eyes::open(&models, config.detect.threads as usize);
    let eyes = more()?;
    let workshop = Workshop::beside(&args.output, &SystemClock)?;
    let veiled = veiled(args, &config, &source, &models, &workshop)?;
    let shutdown = signals()?;
    let style = manifest.veil.parse().map_err(|_| wrong("the recording's veil is not known"))?;
    let silent = args.purpose == ExportFor::Supervision;
    let Veiled { policy, region, word, gallery, places, version, dpia } = veiled;
    let audio = manifest.audio && !silent;
    let manner = Manner { config: &config, policy, style, region, gallery, places, audio, parts };
    let question = if silent { None } else { source.opened.details()?.question };
    let bar = progress_bar(args.json);
    let made = workshop.record(
        &source.opened,
        |camera, input| manner.plan(&manifest, camera, input),
        (eyes, &more),
        |started| {
            let same = again(&manifest, started, style);
            // Who looks at an anonymous lesson learns neither whose nor which it is.
            let [teacher, coach] = if silent { [None, None] } else { [same.teacher, same.coach] };
            NewRecording {
                delete_by,
                policy: word,
                region: region.to_string(),
                continues: same.continues.filter(|_| !silent),
                class: same.class.filter(|_| !silent),
                teacher,
                coach,
                recipients: args.to.clone(),
                // Only a key of the teacher's own is one in the export.
                teacher_keys: {
                    let own = same.teacher_keys.into_iter();
                    own.filter(|key| !silent && args.to.contains(key)).collect()
                },
                // Nobody's words about the recording go along.
                signers: Vec::new(),
                list_version: version,
                dpia,
                // The parts of an export lie one behind the other, on a timeline of their own.
                gaps: if args.fragments.is_some() { Vec::new() } else { same.gaps },
                details: Details { question, ..Details::default() },
                ..again(&manifest, started, style)
            }
        },
        |progress| show(&bar, progress),
        &shutdown,
    )?;
    bar.finish_and_clear();
    if made.segments == 0 {
        return Err(wrong("no picture of the recording lies in the fragments"));
    }
    let of = source.opened.checked();
    let about = (args.purpose, args.pupil.as_ref());
    let note = attest_export(&made.path, of, about, (&by, &signer), SystemClock.now())?;
    let beside = publish(workshop, &made, &args.output, &note)?;
    let said = Made {
        export: made.id,
        recording: manifest.recording,
        purpose: args.purpose,
        path: &args.output,
        statement: &beside,
        delete_by,
        segments: made.segments,
        frames: made.progress.frames_out,
        tracks_veiled: made.progress.tracks_veiled,
        tracks_shown: made.progress.tracks_shown,
    };
    if args.json {
        output::json(&said);
        return Ok(());
    }
    output::line(format_args!(
        "{}: an export for {}, {} frames, until {}",
        said.export,
        said.purpose,
        said.frames,
        seconds(delete_by)
    ));
    output::note(format_args!(
        "give {} to whoever runs the box, for `classveil exports enter`",
        beside.display()
    ));
    Ok(())
}

/// Gives an export its place, with the key that signed it and its maker's statement beside it. Returns where
/// the statement is.
fn publish(
    workshop: Workshop<'_>,
    made: &Report,
    output: &Path,
    note: &str,
) -> Result<PathBuf, Failure> {
    let (public, statement) = (beside(output, "pub"), beside(output, "note"));
    write_new(&public, workshop.public().to_file().as_bytes())?;
    let written = write_new(&statement, note.as_bytes());
    if let Err(error) = written.and_then(|()| Ok(workshop.publish(made)?)) {
        // Best effort: they are about an export that is not there.
        let _ = [&public, &statement].map(std::fs::remove_file);
        return Err(error);
    }
    Ok(statement)
}

fn id_of(folder: &Path) -> Option<RecordingId> {
    folder.file_name()?.to_str()?.parse().ok()
}

/// The recording's folder, unless it lies in a store that gives it to nobody now.
fn found(args: &Args, config: &Config) -> Result<PathBuf, Failure> {
    let folder = places::folder(&args.recording, args.store.as_deref(), config)?;
    if let Some(store) = places::store_of(&folder)
        && let Some(id) = folder.canonicalize().ok().and_then(|path| id_of(&path))
    {
        refuse_withheld(&store, id, config)?;
    }
    Ok(folder)
}

/// `group` becomes `group.note`. Not in the folder: who looks at an anonymous lesson is not to read
/// whose it is.
fn beside(output: &Path, ending: &str) -> PathBuf {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    output.with_file_name(format!("{name}.{ending}"))
}

/// Whether `by` may make it, for those keys.
fn allowed(
    args: &Args,
    by: &PersonId,
    manifest: &Manifest,
    own: &Recipient,
) -> Result<(), Failure> {
    let denied = |message: &str| Err(Failure::new(ErrorKind::Denied, message));
    if args.purpose.needs_teacher() {
        if manifest.teacher.as_ref() != Some(by) {
            return denied("only the recording's teacher makes this export");
        }
        // A pseudonym is a word that anybody can give; the key is not.
        if !manifest.is_teachers(own) {
            return denied(
                "this is not a key of the recording's teacher, by its signed manifest: only they make \
                 this export",
            );
        }
    }
    if args.purpose == ExportFor::TeacherCopy {
        if args.to.iter().any(|to| to != own) {
            return denied(
                "the teacher's copy is for the teacher's own key: give that one by --to",
            );
        }
        if args.fragments.is_none() {
            let message = "the teacher's copy has the marked parts only: give --fragments FILE";
            return Err(Failure::new(ErrorKind::Usage, message));
        }
    }
    Ok(())
}

fn deadline(args: &Args, recording: Timestamp, now: Timestamp) -> Result<Timestamp, Failure> {
    let later = |by| now.checked_add(by).unwrap_or(Timestamp::MAX);
    let wanted = args.until.unwrap_or_else(|| later(KEPT));
    let longest = if args.purpose == ExportFor::TeacherCopy { later(LONGEST) } else { recording };
    let until = wanted.min(longest);
    if until <= now {
        return Err(Failure::new(ErrorKind::Usage, "--until: that time is over"));
    }
    if until < wanted && args.until.is_some() {
        output::note(format_args!("note: the export ends on {}, not later", seconds(until)));
    }
    Ok(until)
}

/// No seats, zones or markers.
/// Where bodies are under heads that are veiled in the recording.
fn bodies(source: &Source) -> Result<PlacesOf, Failure> {
    let mut zones = BTreeMap::new();
    for camera in &source.manifest().cameras {
        zones.insert(camera.clone(), appliance::veiled_bodies(&source.opened, camera)?);
    }
    Ok(Box::new(move |camera| PicturePlaces {
        zones: zones.get(camera).cloned().unwrap_or_default(),
        ..PicturePlaces::default()
    }))
}

fn nowhere() -> PlacesOf {
    Box::new(|_| PicturePlaces::default())
}

fn veiled(
    args: &Args,
    config: &Config,
    source: &Source,
    models: &Models,
    workshop: &Workshop<'_>,
) -> Result<Veiled, Failure> {
    let manifest = source.manifest();
    let unknown = |_| wrong("the recording was made by another version, whose words are not known");
    let region: Region = manifest.region.parse().map_err(unknown)?;
    let policy: Policy = manifest.policy.parse().map_err(unknown)?;
    let own = (args.purpose, args.pupils.as_deref());
    let list = match own {
        (ExportFor::Supervision, _) => {
            // A body is known by its clothes; so is that of whose head is veiled already.
            let region = if region == Region::Head { Region::Person } else { region };
            let (policy, word) = (Policy::Everyone, Policy::Everyone.to_string());
            let (gallery, version) = (Gallery::default(), "none".to_owned());
            let places = if manifest.region.parse() == Ok(Region::Head) {
                bodies(source)?
            } else {
                nowhere()
            };
            return Ok(Veiled { policy, region, word, gallery, places, version, dpia: None });
        }
        (ExportFor::TeacherCopy, None) => {
            // Nobody is to be veiled who is not veiled in the pictures already.
            let (gallery, version) = (Gallery::default(), manifest.list_version.clone());
            let (word, dpia) = (policy.to_string(), manifest.dpia.clone());
            let (policy, places) = (Policy::Refused, nowhere());
            return Ok(Veiled { policy, region, word, gallery, places, version, dpia });
        }
        (_, path) => list(args, config, path, manifest.dpia.as_deref(), models, workshop)?,
    };
    let version = list.version().to_owned();
    let List { people, gallery, dpia, .. } = list;
    let by_face_alone = args.purpose == ExportFor::Parent && args.pupil.is_some();
    let places = Box::new(move |camera: &CameraId| {
        let mut places = appliance::places(&people, camera);
        if by_face_alone {
            // Seats and markers say nothing of who it is that sits there: a face by photo, or none.
            places.seats.clear();
            places.markers.clear();
        }
        places
    });
    let (gallery, policy) = match &args.pupil {
        Some(pupil) if args.purpose == ExportFor::Parent => {
            let teacher = manifest.teacher.as_ref();
            (only(gallery, pupil, teacher)?, Policy::UnlessCleared)
        }
        _ => (gallery, policy),
    };
    let word = policy.kept_with(&gallery).to_string();
    Ok(Veiled { policy, region, word, gallery, places, version, dpia })
}

fn list(
    args: &Args,
    config: &Config,
    path: Option<&Path>,
    recorded: Option<&str>,
    models: &Models,
    workshop: &Workshop<'_>,
) -> Result<List, Failure> {
    let path = path.ok_or_else(|| Failure::new(ErrorKind::Usage, "give --pupils FILE"))?;
    let today = SystemClock.now().to_zoned(TimeZone::system()).date();
    let dpia = args.dpia.as_deref().or(config.biometrics.dpia.as_deref()).or(recorded);
    let key = workshop.derive(people::VERSION_KEY);
    drafted(
        Draft::open(path, rules(config, today)?)?,
        true,
        dpia,
        || Ok(Eyes::for_photos(models)?),
        &key,
    )
}

/// The gallery in which nobody may be seen but `pupil` and `teacher`: all others are looked for as
/// those who refuse are, so that nobody who resembles the pupil is taken for them.
fn only(gallery: Gallery, pupil: &PupilId, teacher: Option<&PersonId>) -> Result<Gallery, Failure> {
    let denied = |message: String| Failure::new(ErrorKind::Denied, message);
    match gallery.people.get(pupil) {
        None => return Err(wrong(format!("{pupil} is not on the pupil list"))),
        Some(found) if found.standing != Standing::Consented => {
            return Err(denied(format!("{pupil} may not be seen, by the pupil list")));
        }
        Some(found) if found.references.is_empty() => {
            return Err(wrong(format!("{pupil} cannot be found: the pupil list has no photo")));
        }
        Some(_) => {}
    }
    let is_teacher = |id: &PupilId| teacher.is_some_and(|one| one.as_str() == id.as_str());
    if !gallery.people.iter().any(|(id, one)| is_teacher(id) && one.standing == Standing::Staff) {
        output::note("note: the teacher is not on the pupil list as staff, and is veiled too");
    }
    let people = gallery.people.into_iter().map(|(id, mut person)| {
        let shown = id == *pupil || (is_teacher(&id) && person.standing == Standing::Staff);
        if !shown {
            person.standing = Standing::Refused;
        }
        (id, person)
    });
    Ok(Gallery { people: people.collect::<BTreeMap<_, _>>() })
}
