//! `classveil store`: looks at a whole store, and mends it. Also what commands share that write
//! into a store and its log.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use indicatif::ProgressBar;
use serde::Serialize;

use super::{Failure, output, paths, places};
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    error::ErrorKind,
    vault::{
        BoxKey, BoxPublicKey, Trust,
        audit::{AuditError, AuditKey, AuditLog, check_log},
        fsck::{Examination, Repaired, examine, repair},
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
        let config = places::config(config)?;
        let store = places::store(store, &config)?;
        if !store.is_dir() {
            let message = format!("{}: there is no such store", store.display());
            return Err(Failure::new(ErrorKind::NotFound, message));
        }
        let path = keys.box_key.as_deref().or(config.store.box_key.as_deref());
        let path = paths::box_key(path)?;
        let key = BoxKey::load(&path)?;
        refuse_other_box(&store, &key)?;
        let audit = paths::audit_key(keys.audit_key.as_deref(), &path);
        let audit = AuditKey::load_or_create(&audit, &store)?;
        let log = AuditLog::open(&store, audit, key.public(), SystemClock.now())?;
        Ok(Self { config, store, key, log })
    }
}

/// What this box did not sign, it cannot judge.
fn refuse_other_box(store: &Path, key: &BoxKey) -> Result<(), Failure> {
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

/// Look at a whole store.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Check),
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
    let Command::Check(args) = &args.command;
    check(args)
}

fn check(args: &Check) -> Result<(), Failure> {
    let repaired = if args.repair {
        let opened = Opened::new(args.store.as_deref(), args.config.as_deref(), &args.keys)?;
        let Opened { store, key, log, .. } = &opened;
        Some(repair(store, key, log, args.from.as_deref(), SystemClock.now())?)
    } else {
        None
    };
    let config = places::config(args.config.as_deref())?;
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
