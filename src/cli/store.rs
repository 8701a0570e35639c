//! `classveil store`: looks at a whole store, and mends it. Also what commands share that write
//! into a store and its log.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use indicatif::ProgressBar;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Failure, output, paths, places, retention::apply_now};
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    error::{ErrorKind, Kind},
    people::{self, directory::Directory},
    units::{ClassId, PersonId, RecordingId},
    vault::{
        BoxKey, BoxPublicKey, State, Trust,
        access::{KeyHolder, NewSuccessor, Successor},
        audit::{AuditError, AuditKey, AuditLog, check_log},
        fsck::{Examination, Repaired, examine, repair},
        index::{Card, cards},
    },
};

/// The box's keys, for what is written.
#[derive(Debug, clap::Args)]
pub(super) struct Keys {
    /// The box's secret signing key [default: this machine's own].
    #[arg(long, value_name = "FILE")]
    pub(super) box_key: Option<PathBuf>,
    /// The key that signs the audit log [default: audit.key beside the box key].
    #[arg(long, value_name = "FILE")]
    pub(super) audit_key: Option<PathBuf>,
}

impl Keys {
    /// Whose signature on a recording counts: the box's, of the key that is given or configured, else as
    /// [`paths::trust`] says. On a key holder's computer the public half alone does.
    pub(super) fn trust(&self, config: &Config) -> Result<Trust, Failure> {
        let Some(path) = self.box_key.as_deref().or(config.store.box_key.as_deref()) else {
            return paths::trust(None);
        };
        if let Ok(public) = BoxPublicKey::load(path) {
            return Ok(Trust::Pinned(public));
        }
        match BoxPublicKey::of_secret(path)? {
            Some(public) => Ok(Trust::Pinned(public)),
            None => paths::trust(None),
        }
    }
}

/// Which store is looked at.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The store [default: the configured one].
    #[arg(long, value_name = "DIR")]
    pub(super) store: Option<PathBuf>,
    /// Settings, for the store's folder and the box's keys [default: those of the box that is installed here].
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

impl Which {
    pub(super) fn open(&self, keys: &Keys) -> Result<Opened, Failure> {
        Opened::new(self.store.as_deref(), self.config.as_deref(), keys)
    }

    /// The configuration, and the store's folder.
    pub(super) fn find(&self) -> Result<(Config, PathBuf), Failure> {
        let config = places::settings(self.config.as_deref(), self.store.as_deref())?;
        let store = places::store(self.store.as_deref(), &config)?;
        Ok((config, store))
    }
}

/// Which store is written into, and the keys for that.
#[derive(Debug, clap::Args)]
pub(super) struct AtStore {
    #[command(flatten)]
    pub(super) at: Which,
    #[command(flatten)]
    keys: Keys,
}

impl AtStore {
    pub(super) fn open(&self) -> Result<Opened, Failure> {
        self.at.open(&self.keys)
    }
}

/// A store whose log is open for writing.
pub(super) struct Opened {
    pub(super) config: Config,
    pub(super) store: PathBuf,
    pub(super) key: BoxKey,
    pub(super) log: AuditLog,
}

impl Opened {
    pub(super) fn new(
        store: Option<&Path>,
        config: Option<&Path>,
        keys: &Keys,
    ) -> Result<Self, Failure> {
        let config = places::settings(config, store)?;
        let store = places::store(store, &config)?;
        if !store.is_dir() {
            let message = format!("{}: there is no such store", store.display());
            return Err(Failure::new(ErrorKind::NotFound, message));
        }
        let path = keys.box_key.as_deref().or(config.store.box_key.as_deref());
        let path = paths::box_key(path)?;
        let key = BoxKey::load(&path)?;
        Self::with(config, store, key, &path, keys)
    }

    /// As [`new`](Self::new); a store and its keys are made where there are none yet.
    pub(super) fn begin(of: &AtStore) -> Result<Self, Failure> {
        let keys = &of.keys;
        let (config, store) = of.at.find()?;
        let path = keys.box_key.as_deref().or(config.store.box_key.as_deref());
        let path = paths::box_key(path)?;
        let key = BoxKey::load_or_create(&path, &store)?;
        Self::with(config, store, key, &path, keys)
    }

    fn with(
        config: Config,
        store: PathBuf,
        key: BoxKey,
        path: &Path,
        keys: &Keys,
    ) -> Result<Self, Failure> {
        refuse_other_box(&store, &key)?;
        let audit = paths::audit_key(keys.audit_key.as_deref(), path);
        let audit = AuditKey::load_or_create(&audit, &store)?;
        let log = AuditLog::open(&store, audit, key.public(), SystemClock.now())?;
        Ok(Self { config, store, key, log })
    }
}

/// What this box did not sign, it cannot judge.
pub(super) fn refuse_other_box(store: &Path, key: &BoxKey) -> Result<(), Failure> {
    let path = store.join("box.pub");
    if !path.exists() || BoxPublicKey::load(&path)? == *key.public() {
        return Ok(());
    }
    let message = format!(
        "{} names another box key than this machine's: give the store's own key by --box-key",
        path.display()
    );
    Err(Failure::new(ErrorKind::Conflict, message))
}

/// Look at a whole store, and take in what was veiled anew.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Check(Check),
    Adopt(Adopt),
}

/// List the recordings of a store: what each is, and until when it is kept.
///
/// Says what the signed manifests say, pseudonyms only. They are read through an index that is made
/// again where it is missing or does not fit.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil store list --store /var/lib/classveil/store\n  \
    classveil store list --store STORE --json\n\n\
    Exit codes: 0 listed, 65 a manifest is damaged, 66 no store.")]
struct List {
    #[command(flatten)]
    at: Which,
    /// The box's secret signing key, for the index [default: this machine's own].
    #[arg(long, value_name = "FILE")]
    box_key: Option<PathBuf>,
}

/// Take in a recording that a key holder veiled anew, and shred the one that it replaces.
///
/// Checks that it is whole, signed by a key holder whose keys are in the directory, veiled by the
/// pupil list in force, sealed to the same recipients, and no less veiled and no longer kept than the
/// one before. The box then signs it, and the key of the one before is overwritten and removed.
/// Grants end with it: the teacher makes them anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil store adopt veiled --store /srv/classveil\n  \
    classveil store adopt veiled --store /srv/classveil --json\n\n\
    Exit codes: 0 adopted, 65 damaged, 66 the recording that it replaces is gone, 77 it may not \
    replace it.")]
struct Adopt {
    /// The folder that `classveil reveil` made.
    #[arg(value_name = "DIR")]
    made: PathBuf,
    /// The store [default: the configured one].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    #[command(flatten)]
    keys: Keys,
    /// Settings, for the store's folder and the box's keys.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Check every recording, the log and the certificates, and whether they tell the same story.
///
/// With --repair, mends what can be mended without guessing: seals recordings that were cut off,
/// removes what a crash left, signs deadlines that the log knows, and with --from takes lost or
/// altered segments from a backup. Nothing brings back what was destroyed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil store check --store /var/lib/classveil/store\n  \
    classveil store check --store STORE --repair --from /mnt/backup\n  \
    classveil store check --store STORE --json\n\n\
    Exit codes: 0 whole, 65 something is lost, altered or does not belong, 66 no store.")]
struct Check {
    /// The store [default: the configured one].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Mend what can be mended.
    #[arg(long)]
    repair: bool,
    /// A folder that `classveil backup` filled.
    #[arg(long, value_name = "DIR", requires = "repair")]
    from: Option<PathBuf>,
    #[command(flatten)]
    keys: Keys,
    /// Settings, for the store's folder and the box's keys.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    examination: &'a Examination,
    repaired: Option<&'a Repaired>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::List(args) => list(args),
        Command::Check(args) => check(args),
        Command::Adopt(args) => adopt(args),
    }
}

#[derive(Serialize)]
struct ListReport<'a> {
    recordings: Vec<Line<'a>>,
    damaged: Vec<RecordingId>,
}

#[derive(Serialize)]
struct Line<'a> {
    recording: RecordingId,
    started: jiff::Timestamp,
    seconds: Option<f64>,
    class: Option<&'a ClassId>,
    teacher: Option<&'a PersonId>,
    coach: Option<&'a PersonId>,
    state: State,
    delete_by: jiff::Timestamp,
    segments: u64,
    bytes: u64,
}

impl<'a> Line<'a> {
    fn of(card: &'a Card) -> Self {
        let manifest = &card.manifest;
        Self {
            recording: manifest.recording,
            started: manifest.started,
            seconds: card.seconds(),
            class: manifest.class.as_ref(),
            teacher: manifest.teacher.as_ref(),
            coach: manifest.coach.as_ref(),
            state: manifest.state,
            delete_by: manifest.delete_by,
            segments: card.segments,
            bytes: card.bytes,
        }
    }
}

fn list(args: &List) -> Result<(), Failure> {
    let (config, store) = args.at.find()?;
    if !store.is_dir() {
        let message = format!("{}: there is no such store", store.display());
        return Err(Failure::new(ErrorKind::NotFound, message));
    }
    let path = args.box_key.as_deref().or(config.store.box_key.as_deref());
    let path = paths::box_key(path)?;
    // Who is not the box reads the manifests themselves.
    let key = if path.exists() { Some(BoxKey::load(&path)?) } else { None };
    let trust = key.as_ref().map_or(Trust::Unpinned, |key| Trust::Pinned(key.public().clone()));
    let listed = cards(&store, key.as_ref(), &trust)?;
    let lines = listed.iter().filter_map(|(_, card)| card.as_ref().ok()).map(Line::of);
    if args.at.json {
        let damaged = listed.iter().filter(|(_, card)| card.is_err()).map(|(id, _)| *id);
        output::json(&ListReport { recordings: lines.collect(), damaged: damaged.collect() });
    } else {
        for line in lines {
            let time = |at: jiff::Timestamp| at.strftime("%Y-%m-%dT%H:%MZ").to_string();
            output::line(format_args!(
                "{}  {}  {:>5.1} min  class {}  teacher {}  until {}",
                line.recording,
                time(line.started),
                line.seconds.unwrap_or_default() / 60.0,
                line.class.map_or("-", ClassId::as_str),
                line.teacher.map_or("-", PersonId::as_str),
                time(line.delete_by),
            ));
        }
    }
    let mut damaged = listed.into_iter().filter_map(|(_, card)| card.err()).peekable();
    let Some(first) = damaged.peek() else { return Ok(()) };
    let kind = first.kind();
    for error in damaged {
        output::note(error);
    }
    Err(Failure::new(kind, "some recordings cannot be listed: see `classveil store check`"))
}

#[derive(Serialize)]
struct Adopted<'a> {
    recording: RecordingId,
    replaces: RecordingId,
    by: &'a PersonId,
    /// Whether the one before is destroyed; false where somebody reads it just now.
    destroyed: bool,
}

fn adopt(args: &Adopt) -> Result<(), Failure> {
    let opened = Opened::new(args.store.as_deref(), args.config.as_deref(), &args.keys)?;
    let Opened { store, key, log, .. } = &opened;
    let bar = ProgressBar::new_spinner();
    let made = NewSuccessor::load(&args.made, |bytes| {
        bar.set_message(format!("checking, {} MB", bytes / 1_000_000));
    })?;
    bar.finish_and_clear();
    let claim = made.claim();
    let now = SystemClock.now();
    let listed = people::store::list(store, now.to_zoned(TimeZone::system()).date())?;
    let keyed = listed.list.version(made.list_key());
    let list = (&keyed[..], &listed.version[..]);
    if let Some(directory) = Directory::read(store, &log.entries()?)? {
        let signers = directory.signers_of(&claim.by, now);
        let recipients = directory.recipients_of(&claim.by, now);
        let holder = KeyHolder { signers: &signers, recipients: &recipients };
        made.adopt(store, log, key, Some(holder), list, now)?;
    } else {
        output::note(
            "note: the store has no directory of people, so it cannot tell who veiled this anew",
        );
        made.adopt(store, log, key, None, list, now)?;
    }
    let applied = apply_now(&opened)?;
    if let Some((id, error)) = applied.failed.into_iter().find(|(id, _)| *id == claim.replaces) {
        let message = format!("{id} could not be destroyed: {error}");
        return Err(Failure::new(error.kind(), message));
    }
    let destroyed = !applied.busy.contains(&claim.replaces);
    if args.json {
        let Successor { recording, replaces, ref by, .. } = *claim;
        output::json(&Adopted { recording, replaces, by, destroyed });
        return Ok(());
    }
    output::line(format_args!("{}: taken in", claim.recording));
    let gone = if destroyed { "destroyed" } else { "in use: it goes with the next run" };
    output::line(format_args!("{}: {gone}", claim.replaces));
    Ok(())
}

fn check(args: &Check) -> Result<(), Failure> {
    let repaired = if args.repair {
        let opened = Opened::new(args.store.as_deref(), args.config.as_deref(), &args.keys)?;
        let Opened { store, key, log, .. } = &opened;
        Some(repair(store, key, log, args.from.as_deref(), SystemClock.now())?)
    } else {
        None
    };
    let config = places::settings(args.config.as_deref(), args.store.as_deref())?;
    let store = places::store(args.store.as_deref(), &config)?;
    let box_key = args.keys.box_key.as_deref().or(config.store.box_key.as_deref());
    let trust = match BoxPublicKey::of_secret(&paths::box_key(box_key)?)? {
        Some(key) => Trust::Pinned(key),
        None => Trust::Unpinned,
    };
    let audit_trust = match &args.keys.audit_key {
        Some(path) => crate::vault::audit::AuditTrust::Own(AuditKey::load(path)?),
        None => paths::audit_trust(None, box_key)?,
    };
    let log = match check_log(&store, &audit_trust, &[]) {
        Ok(log) => Some(log),
        Err(AuditError::NoLog { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let bar = ProgressBar::new_spinner();
    let examination = examine(&store, &trust, log.as_ref(), |looked| {
        bar.set_message(format!("{looked} recordings"));
    })?;
    bar.finish_and_clear();
    let ok = !examination.has_faults();
    if args.json {
        output::json(&Report { ok, examination: &examination, repaired: repaired.as_ref() });
    } else {
        print(&examination, repaired.as_ref());
    }
    if ok {
        return Ok(());
    }
    let faults = examination.findings.iter().filter(|finding| finding.fault).count();
    Err(Failure::new(
        ErrorKind::DataLoss,
        format!("{}: {faults} things are not as they should be", store.display()),
    ))
}

fn print(examination: &Examination, repaired: Option<&Repaired>) {
    if let Some(repaired) = repaired {
        for id in &repaired.sealed {
            output::line(format_args!("{id}: sealed"));
        }
        for id in &repaired.signed {
            output::line(format_args!("{id}: signed again with the log's deadline"));
        }
        for file in &repaired.restored {
            output::line(format_args!("{file}: taken from the backup"));
        }
        for file in &repaired.removed {
            output::line(format_args!("{file}: removed"));
        }
    }
    for finding in &examination.findings {
        let what = if finding.fault { "" } else { " (no harm)" };
        output::line(format_args!("{}: {}{what}", finding.place, finding.problem));
    }
    output::line(format_args!(
        "{} recordings whole, {} in use, {} findings",
        examination.whole,
        examination.busy,
        examination.findings.len()
    ));
}
