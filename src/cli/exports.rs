//! `classveil exports`: exports that were made, in the log.

use std::path::PathBuf;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Failure, output,
    people::{entries, seconds},
    retention::withheld,
    store::{AtStore, Opened, Which},
};
use crate::{
    clock::{Clock, SystemClock},
    error::ErrorKind,
    people::directory::Directory,
    units::{PersonId, RecordingId},
    vault::{
        access::{Export, ExportFor, enter_export},
        audit::Event,
        retention::{Cause, recalls},
    },
};

/// Enter exports into the log, and see them.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Enter(Enter),
    List(ListArgs),
}

/// Enter an export into the log, by the statement that its maker signed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil exports enter group.note --store /srv/classveil\n  \
    classveil exports enter group.note --store /srv/classveil --json\n\n\
    Exit codes: 0 entered, 66 no such recording, 77 not signed by who may make it; or it is entered, and\n\
    its recording is withheld from everyone, so that it has to be called back.")]
struct Enter {
    /// The statement that `classveil export` wrote beside the export.
    #[arg(value_name = "FILE")]
    statement: PathBuf,
    #[command(flatten)]
    of: AtStore,
}

/// Show the exports that were entered: of what, for what, by whom, until when, and which have to be
/// called back because of what has happened since.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil exports list --store /srv/classveil\n  \
    classveil exports list --store /srv/classveil --json")]
struct ListArgs {
    #[command(flatten)]
    of: Which,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Enter(args) => enter(args),
        Command::List(args) => show_all(args),
    }
}

fn enter(args: &Enter) -> Result<(), Failure> {
    let opened = args.of.open()?;
    let Opened { store, key, log, .. } = &opened;
    let now = SystemClock.now();
    let directory = Directory::read(store, &log.entries()?)?;
    if directory.is_none() {
        output::note(
            "note: the store has no directory of people, so it cannot tell who signed this",
        );
    }
    let holder = |by: &PersonId| {
        let directory = directory.as_ref()?;
        Some((directory.signers_of(by, now), directory.recipients_of(by, now)))
    };
    let export = enter_export(&args.statement, store, log, key, holder, now)?;
    // It is there whether or not that is right: the log says so in any case.
    let withheld = withheld(store, export.recording, &opened.config)?;
    if args.of.at.json {
        output::json(&Entered { export: &export, withheld: withheld.as_deref() });
    } else {
        output::line(format_args!(
            "{}: exported for {} by {}, until {}",
            export.recording,
            export.purpose,
            export.by,
            seconds(export.delete_by)
        ));
    }
    withheld.map_or(Ok(()), |why| {
        let message = format!(
            "the export is in the log, and must not be used: {} is withheld from everyone: {why}; \
             call it back and delete it",
            export.recording
        );
        Err(Failure::new(ErrorKind::Denied, message))
    })
}

#[derive(Serialize)]
struct Entered<'a> {
    #[serde(flatten)]
    export: &'a Export,
    withheld: Option<&'a str>,
}

#[derive(Serialize)]
struct Row {
    at: Timestamp,
    export: RecordingId,
    recording: RecordingId,
    purpose: ExportFor,
    by: PersonId,
    recipients: usize,
    delete_by: Timestamp,
    /// Why it should not be out any more.
    recall: Option<Cause>,
}

fn show_all(args: &ListArgs) -> Result<(), Failure> {
    let (config, store) = args.of.find()?;
    let mut rows = Vec::new();
    let entries = entries(&store, config.store.box_key.as_deref())?;
    let recalls = recalls(&entries, SystemClock.now());
    for entry in entries {
        let at = entry.at;
        if let Some(Event::Exported {
            recording, export, purpose, by, recipients, delete_by, ..
        }) = entry.event
        {
            let recipients = recipients.len();
            let recall = recalls.iter().find(|one| one.export == export).map(|one| one.why);
            rows.push(Row { at, export, recording, purpose, by, recipients, delete_by, recall });
        }
    }
    if args.of.json {
        output::json(&serde_json::json!({ "exports": rows }));
        return Ok(());
    }
    for Row { export, recording, purpose, by, recipients, delete_by, recall, .. } in &rows {
        let recall = recall.map_or_else(String::new, |why| format!("  CALL BACK: {why}"));
        output::line(format_args!(
            "{recording}  {purpose}  {export}  by {by}, for {recipients} keys, until {}{recall}",
            seconds(*delete_by)
        ));
    }
    output::line(format_args!("{} exports", rows.len()));
    Ok(())
}
