//! `classveil recover`: seals recordings that were cut off.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Failure, output, paths, places};
use crate::{
    clock::{Clock, SystemClock},
    error::Kind,
    vault::{
        BoxKey, Recovery,
        audit::{AuditKey, AuditLog, AuditTrust},
        recover_by,
    },
};

/// Seal recordings that a crash or power cut left unfinished.
///
/// Recordings that are being made are left alone; doing it twice changes nothing. `classveil record`
/// does the same when it starts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil recover --store /var/lib/classveil\n  \
    classveil recover --config /etc/classveil.toml\n  \
    classveil recover --store STORE --box-key /etc/classveil/box.key --json\n\n\
    Exit codes: 0 done, 65 a recording is damaged and was left as it is.")]
pub(super) struct Args {
    /// The store.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The box's secret signing key [default: this machine's own].
    #[arg(long, value_name = "FILE")]
    box_key: Option<PathBuf>,
    /// Settings, for the store's folder and the box key; options given here go before them.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The key that signs the audit log [default: audit.key beside the box key].
    #[arg(long, value_name = "FILE")]
    audit_key: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    recovered: Vec<One>,
    busy: Vec<PathBuf>,
    failed: Vec<Failed>,
    complete: usize,
}

#[derive(Serialize)]
struct One {
    recording: String,
    path: PathBuf,
    segments: usize,
    listed: usize,
    dropped: usize,
    may_miss_ms: u128,
}

#[derive(Serialize)]
struct Failed {
    path: PathBuf,
    error: String,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = places::settings(args.config.as_deref(), args.store.as_deref())?;
    let store = places::store(args.store.as_deref(), &config)?;
    let box_key = args.box_key.as_deref().or(config.store.box_key.as_deref());
    let box_key_path = paths::box_key(box_key)?;
    let key = BoxKey::load(&box_key_path)?;
    // A log that somebody put there says nothing about what was dropped.
    let audit_key = paths::audit_key(args.audit_key.as_deref(), &box_key_path);
    let trust = if audit_key.exists() {
        AuditTrust::Own(AuditKey::load(&audit_key)?)
    } else {
        AuditTrust::Unpinned
    };
    let recovery = recover_by(&store, &key, &trust, SystemClock.now())?;
    // After the work: a log that is damaged keeps nobody from completing a recording.
    let audited = note(args, &store, &box_key_path, &key, &recovery);
    if args.json {
        output::json(&report(&recovery));
    } else {
        print(&recovery);
    }
    match &recovery.failed[..] {
        [] => audited,
        [(_, error), ..] => Err(Failure::new(
            error.kind(),
            format!("{} of the recordings cannot be completed: {error}", recovery.failed.len()),
        )),
    }
}

fn note(
    args: &Args,
    store: &Path,
    box_key_path: &Path,
    key: &BoxKey,
    recovery: &Recovery,
) -> Result<(), Failure> {
    if recovery.recovered.is_empty() {
        return Ok(());
    }
    let path = paths::audit_key(args.audit_key.as_deref(), box_key_path);
    let audit_key = AuditKey::load_or_create(&path, store)?;
    let now = SystemClock.now();
    let audit = AuditLog::open(store, audit_key, key.public(), now)?;
    Ok(audit.note_recovery(now, recovery)?)
}

fn report(recovery: &Recovery) -> Report {
    Report {
        recovered: recovery
            .recovered
            .iter()
            .map(|one| One {
                recording: one.id.to_string(),
                path: one.path.clone(),
                segments: one.segments,
                listed: one.listed,
                dropped: one.dropped,
                may_miss_ms: one.may_miss.as_millis(),
            })
            .collect(),
        busy: recovery.busy.clone(),
        failed: recovery
            .failed
            .iter()
            .map(|(path, error)| Failed { path: path.clone(), error: error.to_string() })
            .collect(),
        complete: recovery.complete,
    }
}

fn print(recovery: &Recovery) {
    for one in &recovery.recovered {
        output::line(format_args!(
            "{}: sealed with {} segments ({} not listed before); up to {} s of its end may be \
             missing",
            one.id,
            one.segments,
            one.listed,
            one.may_miss.as_secs_f64().ceil(),
        ));
    }
    for one in recovery.recovered.iter().filter(|one| one.dropped > 0) {
        output::line(format_args!(
            "{}: what somebody had dropped of it is gone now ({} stretches)",
            one.id, one.dropped
        ));
    }
    for path in &recovery.busy {
        output::line(format_args!("{}: in use, left alone", path.display()));
    }
    for (path, error) in &recovery.failed {
        output::note(format_args!("{}: {error}", path.display()));
    }
    if recovery.recovered.is_empty() && recovery.failed.is_empty() {
        output::line(format_args!("nothing to do: {} recordings complete", recovery.complete));
    }
}
