//! `classveil request`: what people who were recorded ask for, and what becomes of it.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use super::{
    Failure, output,
    people::{entries, roles_in, seconds},
    retention::say_recalls,
    store::{AtStore, Opened, Which},
};
use crate::{
    clock::{Clock, SystemClock},
    error::{ErrorKind, advice},
    units::{PersonId, RecordingId},
    vault::{
        Digest,
        access::{Act, Ask, Decision, NewAnswer, NewRequest, Request, Requests, answer, request},
        retention::{Recall, recalls_of},
    },
};

/// Longest text of a request or reason.
const TEXT_BYTES: u64 = 1 << 20;

/// Requests of people who were recorded: a register with a due date of one month for each.
///
/// For the privacy officer. Texts and reasons stay with the officer; register and log hold their
/// digests. A refusal takes a written reason.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Delete(Delete),
    Restrict(Restrict),
    Add(Add),
    Access(Access),
    Answer(Answer),
    List(List),
}

/// Who asks, and when.
#[derive(Debug, clap::Args)]
struct Asking {
    /// Pseudonym of who was recorded and asks, or for whom a parent asks.
    #[arg(long, value_name = "ID")]
    by: PersonId,
    /// The day on which it came; the month counts from then [default: now].
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    received: Option<Timestamp>,
}

/// What is asked about recordings as a whole.
#[derive(Debug, clap::Args)]
struct About {
    /// The recordings.
    #[arg(value_name = "RECORDING", required = true)]
    recordings: Vec<RecordingId>,
    #[command(flatten)]
    asking: Asking,
    /// The request as it was written.
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    #[command(flatten)]
    of: AtStore,
}

impl About {
    fn enter(&self, ask: Ask) -> Result<(), Failure> {
        enter(ask, &self.recordings, &self.asking, self.text.as_deref(), &self.of)
    }
}

/// Somebody who was recorded asks that recordings are deleted.
///
/// Granted, they go with the next `classveil retention apply`. To veil the person instead, refuse
/// them in the pupil list: every recording of the class is then withheld until it is veiled anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil request delete 0197c2a0-... --by p-14 --store /srv/classveil\n  \
    classveil request delete 0197c2a0-... 0197c2b1-... --by t-07 --received 2026-11-02 --json")]
struct Delete {
    #[command(flatten)]
    about: About,
}

/// Somebody who was recorded objects: from now on nobody gets these recordings.
///
/// They stay withheld until the request is refused, or lifted after it was granted. Deadlines stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil request restrict 0197c2a0-... --by p-14 --store /srv/classveil\n  \
    classveil request restrict 0197c2a0-... --by t-07 --text objection.txt --json")]
struct Restrict {
    #[command(flatten)]
    about: About,
}

/// Somebody who was recorded wants a note added, which whoever opens the recording sees.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil request add 0197c2a0-... --by p-14 --text note.txt --store /srv/classveil\n  \
    classveil request add 0197c2a0-... --by t-07 --text note.txt --received 2026-11-02 --json")]
struct Add {
    /// The recording.
    #[arg(value_name = "RECORDING")]
    recording: RecordingId,
    #[command(flatten)]
    asking: Asking,
    /// The note.
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    #[command(flatten)]
    of: AtStore,
}

/// Somebody asks what is held about them.
///
/// Who asks names time and place; no face is searched for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil request access --by p-14 --store /srv/classveil\n  \
    classveil request access 0197c2a0-... --by p-14 --received 2026-11-02 --json")]
struct Access {
    /// Recordings that it is about.
    #[arg(value_name = "RECORDING")]
    recordings: Vec<RecordingId>,
    #[command(flatten)]
    asking: Asking,
    /// The request as it was written.
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    #[command(flatten)]
    of: AtStore,
}

/// Answer a request: granted, refused or extended, or end a restriction: lifted.
///
/// Refused and extended need a written reason. Extended once, by two months more. Only the privacy
/// officer of the directory of people answers; a store without one begins it by `classveil people add`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil request answer 3 --decision granted --by fg-01 --store /srv/classveil\n  \
    classveil request answer 3 --decision refused --by fg-01 --reason reason.txt --store STORE\n  \
    classveil request answer 4 --decision granted --by fg-01 --text note.txt --store STORE\n\n\
    Exit codes: 0 answered, 66 there is no such request, 77 not the privacy officer of the directory,\n\
    or no reason where one is needed.")]
struct Answer {
    /// The request's number.
    #[arg(value_name = "NUMBER")]
    number: u64,
    /// granted, refused, extended or lifted.
    #[arg(long, value_name = "DECISION")]
    decision: Decision,
    /// Pseudonym of the privacy officer who answers.
    #[arg(long, value_name = "ID")]
    by: PersonId,
    /// The written reason; the log holds its digest.
    #[arg(long, value_name = "FILE")]
    reason: Option<PathBuf>,
    /// The note that is added: the very file that the request came with.
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    #[command(flatten)]
    of: AtStore,
}

/// Show the requests: what is asked for, by when it has to be answered, and what became of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil request list --store /srv/classveil\n  \
    classveil request list --store /srv/classveil --open --json")]
struct List {
    /// Only those that wait for an answer.
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    of: Which,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Delete(args) => args.about.enter(Ask::Delete),
        Command::Restrict(args) => args.about.enter(Ask::Restrict),
        Command::Add(args) => {
            enter(Ask::Add, &[args.recording], &args.asking, Some(&args.text), &args.of)
        }
        Command::Access(args) => {
            enter(Ask::Access, &args.recordings, &args.asking, args.text.as_deref(), &args.of)
        }
        Command::Answer(args) => give(args),
        Command::List(args) => list(args),
    }
}

/// A date is its first moment, here.
fn parse_date(text: &str) -> Result<Timestamp, String> {
    let date = text.parse::<Date>().map_err(|_| "give a date such as 2026-11-02".to_owned())?;
    date.to_zoned(TimeZone::system()).map(|zoned| zoned.timestamp()).map_err(|e| e.to_string())
}

/// A written text that says something.
fn read(path: &Path) -> Result<String, Failure> {
    let unreadable = |error: &std::io::Error| {
        let message = format!("cannot read {}: {error}{}", path.display(), advice(error));
        Failure::new(ErrorKind::of_io(error), message)
    };
    let found = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !found.is_file() || found.len() > TEXT_BYTES {
        let message = format!("{} is no text of up to a megabyte", path.display());
        return Err(Failure::new(ErrorKind::Config, message));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    if text.trim().is_empty() {
        let message = format!("{} is empty", path.display());
        return Err(Failure::new(ErrorKind::Config, message));
    }
    Ok(text)
}

fn digest(path: Option<&Path>) -> Result<Option<Digest>, Failure> {
    path.map(|path| read(path).map(|text| Digest::of(text.as_bytes()))).transpose()
}

fn enter(
    ask: Ask,
    recordings: &[RecordingId],
    asking: &Asking,
    text: Option<&Path>,
    of: &AtStore,
) -> Result<(), Failure> {
    let text = digest(text)?;
    let Opened { store, log, .. } = of.open()?;
    let now = SystemClock.now();
    let received = asking.received.unwrap_or(now);
    let new =
        NewRequest { ask, by: asking.by.clone(), recordings: recordings.to_vec(), received, text };
    roles_in(&store, &log.entries()?)?.may(&asking.by, &Act::Ask)?;
    let entered = request(&store, &log, &new, now)?;
    let exports = recalls_of(&log.entries()?, recordings, now);
    if of.at.json {
        output::json(&Told { request: &entered, exports: &exports });
        return Ok(());
    }
    output::line(format_args!(
        "request {}: {ask}, by {}, to be answered by {}",
        entered.number,
        entered.by,
        seconds(entered.due)
    ));
    if ask == Ask::Restrict {
        for recording in recordings {
            output::line(format_args!("{recording}: withheld from everyone from now on"));
        }
    }
    say_recalls(&exports);
    Ok(())
}

/// A request, and exports of its recordings that should not be out.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    request: &'a Request,
    exports: &'a [Recall],
}

fn give(args: &Answer) -> Result<(), Failure> {
    let reason = digest(args.reason.as_deref())?;
    let text = args.text.as_deref().map(read).transpose()?;
    let Opened { store, log, key, .. } = args.of.open()?;
    let new = NewAnswer {
        number: args.number,
        by: args.by.clone(),
        decision: args.decision,
        reason,
        note: text.as_deref(),
    };
    let roles = roles_in(&store, &log.entries()?)?;
    let answered = answer((&store, &log, &key), &roles, &new, SystemClock.now())?;
    let exports = recalls_of(&log.entries()?, &answered.recordings, SystemClock.now());
    if args.of.at.json {
        output::json(&Told { request: &answered, exports: &exports });
        return Ok(());
    }
    output::line(format_args!("request {}: {}", answered.number, args.decision));
    say_recalls(&exports);
    let then = match (answered.ask, args.decision) {
        (Ask::Delete, Decision::Granted) => "goes with the next `classveil retention apply`",
        (Ask::Restrict, Decision::Granted) => "stays withheld until the restriction is lifted",
        (Ask::Restrict, Decision::Refused | Decision::Lifted) => "is not withheld by it any more",
        (Ask::Add, Decision::Granted) => "has the note",
        _ => return Ok(()),
    };
    for recording in &answered.recordings {
        output::line(format_args!("{recording}: {then}"));
    }
    Ok(())
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    request: &'a Request,
    open: bool,
    overdue: bool,
}

fn list(args: &List) -> Result<(), Failure> {
    let (config, store) = args.of.find()?;
    let requests = Requests::read(&store, &entries(&store, config.store.box_key.as_deref())?)?;
    let now = SystemClock.now();
    let rows = requests.all().iter().filter(|request| !args.open || request.is_open());
    let rows: Vec<Row<'_>> = rows
        .map(|request| Row { request, open: request.is_open(), overdue: request.is_overdue(now) })
        .collect();
    let overdue = rows.iter().filter(|row| row.overdue).count();
    if args.of.json {
        output::json(&serde_json::json!({ "requests": rows, "overdue": overdue }));
        return Ok(());
    }
    for row in &rows {
        let Request { number, ask, by, recordings, due, .. } = row.request;
        let state = match row.request.last() {
            _ if row.overdue => "OVERDUE".to_owned(),
            Some(last) if !row.open => last.decision.to_string(),
            _ => format!("due {}", seconds(*due)),
        };
        output::line(format_args!("{number:4}  {ask:8}  {by}  {state}"));
        for recording in recordings {
            output::line(format_args!("      {recording}"));
        }
    }
    output::line(format_args!("{} requests, {overdue} overdue", rows.len()));
    Ok(())
}
