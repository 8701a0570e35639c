//! `classveil pupils`: check, load and list pupils.

use std::path::{Path, PathBuf};

use jiff::{civil::Date, tz::TimeZone};
use serde_json::json;

use super::{Failure, output, paths, places, retention::say_recalls};
use crate::{
    appliance::{
        control::{self, Request},
        roster,
    },
    clock::{Clock, SystemClock},
    config::Config,
    error::ErrorKind,
    people::{
        Changes, Draft, ListProblems, PupilList, Status,
        face::Enroller,
        list::{Finished, NoDpia},
        store::{self, Listed, Load},
    },
    units::PupilId,
    vault::{
        BoxKey,
        audit::{AuditKey, AuditLog, Event},
        retention::recalls,
    },
    vision::{detect::Detector, identify::Embedder, infer::VisionError},
};

/// Check, load and list the pupils who may or may not be seen.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(Check),
    Load(LoadArgs),
    List(List),
}

const FORMAT_HELP: &str = "The list is CSV with commas or semicolons. Columns: pupil_id, class, \
    status (refused, consented, staff), since (2026-09-01 or 1-9-2026), and if wanted photos \
    (paths beside the list, separated by |), seat (cam1:0.10/0.20 0.30/0.20 0.30/0.60), marker \
    (AprilTag 36h11, 0 to 586), reference (where the decision is filed).";

/// Check a list and its photos; nothing is loaded.
///
/// Every problem is told at once, with its line and column. Where the models are set up, every photo
/// is searched for its one clear face, and whether that can be compared; no face is compared with
/// another.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{FORMAT_HELP}\n\n{}", "Examples:\n  \
    classveil pupils check pupils.csv\n  \
    classveil pupils check pupils.csv --json\n\n\
    Exit codes: 0 the list can be loaded, 66 it does not exist, 78 something in it is wrong."))]
struct Check {
    /// The list.
    list: PathBuf,
    /// Settings, for the models' folder and the age of photos.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Put a list in force, and say what changes.
///
/// A list with any problem is not loaded. A list that drops a refused pupil, or gives one another
/// status, is not loaded unless --confirm-removals names how many. Photos are not copied; what is
/// kept for comparing faces is encrypted to a key outside the store, which every load replaces.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{FORMAT_HELP}\n\n{}", "Examples:\n  \
    classveil pupils load pupils.csv --store /srv/classveil\n  \
    classveil pupils load pupils.csv --store /srv/classveil --dpia DPIA-2026-04\n  \
    classveil pupils load pupils.csv --store /srv/classveil --confirm-removals 1\n\n\
    Exit codes: 0 loaded, 66 no such list, 75 another list is being loaded, 78 the list is wrong, \
    removals are not confirmed, or the impact assessment is missing."))]
struct LoadArgs {
    /// The list.
    list: PathBuf,
    /// The store's folder; made where it is missing.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// How many refused pupils are dropped or not refused any more, to show that it is meant.
    #[arg(long, value_name = "N")]
    confirm_removals: Option<usize>,
    /// Reference of the data protection impact assessment; needed for a list with photos.
    #[arg(long, value_name = "REF")]
    dpia: Option<String>,
    /// The box's signing key, which also keys the list's version.
    #[arg(long, value_name = "FILE")]
    box_key: Option<PathBuf>,
    /// The key that signs the audit log, outside the store; made at first use [default: audit.key
    /// beside the box key].
    #[arg(long, value_name = "FILE")]
    audit_key: Option<PathBuf>,
    /// The key of the encrypted embeddings, outside the store; replaced by every load.
    #[arg(long, value_name = "FILE")]
    gallery_key: Option<PathBuf>,
    /// Settings; options given here go before them.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Show the list in force: pseudonyms and what holds for each today.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil pupils list --store /srv/classveil\n  \
    classveil pupils list --store /srv/classveil --json\n\n\
    Exit codes: 0 shown, 65 the stored list is damaged, 66 none is loaded.")]
struct List {
    /// The store's folder.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Settings, for the store's folder.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Check(args) => check(args),
        Command::Load(args) => load(args),
        Command::List(args) => list(args),
    }
}

fn check(args: &Check) -> Result<(), Failure> {
    let config = places::config(args.config.as_deref())?;
    let mut draft = Draft::open(&args.list, roster::rules(&config))?;
    let faces = if draft.has_photos() {
        match places::models(&config) {
            Ok(models) => {
                let mut detector = Detector::new(&models, 1)?;
                let mut embedder = Embedder::new(&models, 1)?;
                let (detector, embedder) = (&mut detector, &mut embedder);
                draft.examine(&mut Enroller { detector, embedder })?;
                "checked"
            }
            Err(Failure { message, .. }) => {
                output::note(format_args!("faces in the photos were not looked for: {message}"));
                "not-checked"
            }
        }
    } else {
        "no-photos"
    };
    let finished = draft.finish();
    if args.json {
        let mut object = match &finished {
            Ok(Finished { list, notices, .. }) => json!({
                "ok": true, "problems": [], "notices": roster::remarks(notices), "counts": roster::counts(list),
            }),
            Err(problems) => json!({ "ok": false, "problems": roster::problems(problems) }),
        };
        object["list"] = json!(args.list.display().to_string());
        object["faces"] = json!(faces);
        output::json(&object);
    }
    let Finished { list, notices, .. } = finished?;
    if !args.json {
        notices.iter().for_each(output::note);
        output::line(format_args!("{}: OK, {}", args.list.display(), summary(&list)));
    }
    Ok(())
}

fn load(args: &LoadArgs) -> Result<(), Failure> {
    let config = places::settings(args.config.as_deref(), args.store.as_deref())?;
    let store = places::store(args.store.as_deref(), &config)?;
    let dpia = args.dpia.as_deref().or(config.biometrics.dpia.as_deref());
    let models = || places::models(&config).map_err(NotEnrolled::Other);
    let finished = roster::enrolled(&args.list, &config, dpia, models);
    if let (true, Err(NotEnrolled::List(problems))) = (args.json, &finished) {
        output::json(&json!({ "loaded": false, "problems": roster::problems(problems) }));
    }
    let (Finished { list, gallery, notices }, dpia) = finished?;
    let changes = store::compare(&store, &list)?;
    if !args.json {
        notices.iter().for_each(output::note);
        print_changes(&changes);
    }
    let gallery_key = places::gallery_key(args.gallery_key.as_deref(), &config, &store)?;
    let box_key = paths::box_key(args.box_key.as_deref().or(config.store.box_key.as_deref()))?;
    let loaded = (|| {
        let key = BoxKey::load_or_create(&box_key, &store)?;
        let version_key = key.derive(crate::people::VERSION_KEY);
        let now = SystemClock.now();
        let how = Load {
            store: &store,
            gallery_key: &gallery_key,
            version_key: &version_key,
            confirm_removals: args.confirm_removals,
            dpia,
            now,
        };
        let audit = paths::audit_key(args.audit_key.as_deref(), &box_key);
        let open_log = || {
            let audit = AuditKey::load_or_create(&audit, &store)?;
            AuditLog::open(&store, audit, key.public(), now)
        };
        // What the log says is withheld is so before the list is in force.
        let loaded = store::load_announced(&list, &gallery, &how, |changes, version| {
            let late = changes.classes_of_new_refusals(&list).into_iter().collect();
            let event = Event::ListLoaded { version: version.to_owned(), late };
            Ok::<_, Failure>(open_log()?.append(now, &event).map(drop)?)
        })?;
        let entries = open_log()?.entries()?;
        let withheld = roster::withheld(&store, &entries, &key)?;
        Ok::<_, Failure>((loaded, withheld, recalls(&entries, now)))
    })();
    if args.json {
        let version = loaded.as_ref().ok().map(|(l, ..)| &l.version);
        output::json(&json!({
            "loaded": version.is_some(),
            "version": version,
            "counts": roster::counts(&list),
            "changes": &changes,
            "removals": changes.removals(),
            "notices": roster::remarks(&notices),
            "withheld": loaded.as_ref().map_or(&[][..], |(_, withheld, _)| withheld),
            "exports": loaded.as_ref().map_or(&[][..], |(.., exports)| exports),
        }));
    }
    let (loaded, withheld, exports) = loaded?;
    if !args.json {
        output::line(format_args!("loaded: {}", summary(&list)));
        output::line(format_args!("version: {}", loaded.version));
        for id in &withheld {
            output::line(format_args!("withheld until it is veiled anew: {id}"));
        }
        if !withheld.is_empty() {
            output::note(
                "note: a pupil has refused since these were recorded; a key holder veils them anew \
                 by `classveil reveil`",
            );
        }
        say_recalls(&exports);
    }
    tell_box(&config, &store, args.json)
}

/// Has the box that runs on this store go by the new list, from the next frame on.
fn tell_box(config: &Config, store: &Path, json: bool) -> Result<(), Failure> {
    let socket = places::socket(config);
    if config.store.folder.as_deref() != Some(store) || !control::is_there(&socket) {
        return Ok(());
    }
    let later = |problem: String| {
        let text = format!(
            "the list is loaded, but the box that runs does not go by it yet: {problem}; \
             `classveil reload` tries again"
        );
        Failure::new(ErrorKind::Transient, text)
    };
    let answer =
        control::ask(&socket, &Request::Reload).map_err(|error| later(error.to_string()))?;
    if answer.body["version"].is_null() {
        return Err(later(answer.error.unwrap_or_default()));
    }
    if !json {
        output::note("the box that runs goes by it from the next frame on");
        if let Some(problem) = answer.error {
            output::note(format_args!("note: {problem}"));
        }
    }
    Ok(())
}

/// Why a list did not get as far as being compared with the one in force.
enum NotEnrolled {
    List(ListProblems),
    Other(Failure),
}

impl From<ListProblems> for NotEnrolled {
    fn from(problems: ListProblems) -> Self {
        Self::List(problems)
    }
}

impl From<NoDpia> for NotEnrolled {
    fn from(missing: NoDpia) -> Self {
        Self::Other(missing.into())
    }
}

impl From<VisionError> for NotEnrolled {
    fn from(error: VisionError) -> Self {
        Self::List(error.into())
    }
}

impl From<NotEnrolled> for Failure {
    fn from(error: NotEnrolled) -> Self {
        match error {
            NotEnrolled::List(problems) => problems.into(),
            NotEnrolled::Other(failure) => failure,
        }
    }
}

fn list(args: &List) -> Result<(), Failure> {
    let config = places::settings(args.config.as_deref(), args.store.as_deref())?;
    let store = places::store(args.store.as_deref(), &config)?;
    let Listed { list, version, loaded } = store::list(&store, today())?;
    if args.json {
        output::json(&json!({
            "version": version, "loaded": loaded, "counts": roster::counts(&list),
            "people": roster::people(&list),
        }));
        return Ok(());
    }
    output::line(format_args!("version: {version}"));
    output::line(format_args!("loaded:  {loaded}"));
    output::line(format_args!("people:  {}", summary(&list)));
    let widest = list.people().keys().map(|id| id.as_str().len()).max().unwrap_or(0).max(8);
    let class = list.people().values().map(|e| e.class.as_str().len()).max().unwrap_or(0).max(5);
    output::line(format_args!(
        "{:widest$}  {:class$}  {:9}  {:10}  {:>6}  {:>5}  {:>6}",
        "pupil_id", "class", "status", "since", "photos", "seats", "marker"
    ));
    for (id, e) in list.people() {
        let marker = e.marker.map_or_else(|| "-".to_owned(), |m| m.id().to_string());
        output::line(format_args!(
            "{:widest$}  {:class$}  {:9}  {:10}  {:>6}  {:>5}  {:>6}",
            id.as_str(),
            e.class.as_str(),
            e.status.as_str(),
            e.since.to_string(),
            e.photos.len(),
            e.seats.len(),
            marker,
        ));
    }
    Ok(())
}

fn today() -> Date {
    SystemClock.now().to_zoned(TimeZone::system()).date()
}

fn summary(list: &PupilList) -> String {
    format!(
        "{} on the list ({} refused, {} consented, {} staff)",
        list.people().len(),
        list.count(Status::Refused),
        list.count(Status::Consented),
        list.count(Status::Staff),
    )
}

fn print_changes(changes: &Changes) {
    let names = |ids: &[PupilId]| {
        let ids: Vec<&str> = ids.iter().map(PupilId::as_str).collect();
        ids.join(", ")
    };
    let groups = [
        ("added", &changes.added),
        ("removed", &changes.removed),
        ("photos changed", &changes.photos),
        ("other details changed", &changes.details),
        ("refusal ends", &changes.refusals_lifted),
    ];
    for (what, ids) in groups.into_iter().filter(|(_, ids)| !ids.is_empty()) {
        output::line(format_args!("{what}: {} ({})", ids.len(), names(ids)));
    }
    for change in &changes.status {
        let (from, to) = (change.from.as_str(), change.to.as_str());
        output::line(format_args!("status changed: {} from {from} to {to}", change.pupil));
    }
    if changes.refusals_lost > 0 {
        output::line(format_args!(
            "the list in force cannot be read; it held {} refusals",
            changes.refusals_lost
        ));
    }
    if changes.is_empty() {
        output::line("no changes");
    }
}
