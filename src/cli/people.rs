//! `classveil people`: who is in the directory, and what others read of it.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Failure, keys, output, paths,
    store::{AtStore, Opened, Which},
};
use crate::{
    appliance::preflight::today,
    clock::{Clock, SystemClock},
    error::{ErrorKind, advice},
    people::directory::{Announce, Directory, DirectoryError, Key, new_code, roles},
    units::PersonId,
    vault::{
        Existing, Output, Recipient,
        access::{Confirmed, Role, Roles},
        audit::{AuditError, AuditTrust, Entry, check_log},
    },
};

/// The directory of people: who has which public key, and how it was made sure.
///
/// Where a store has one, recordings are sealed to the keys of their teacher and of the coach whom
/// the teacher accepted, and to nobody who is not in it. Keys are made by their owners, never on the
/// box, and no administrator alone can replace one: enrol the first privacy officer's and the teachers'
/// keys with their owners before anybody else's.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    Invite(Invite),
    Challenge(keys::Challenge),
    Answer(keys::AnswerArgs),
    Enrol(keys::Enrol),
    ReplaceKey(keys::ReplaceKey),
    Approve(keys::Approve),
    Accept(keys::Accept),
    EndKey(keys::EndKey),
    Remove(Remove),
    List(List),
    Export(Export),
}

impl AtStore {
    /// Changes the directory; `edit` is told the present.
    pub(super) fn change<T>(
        &self,
        edit: impl FnOnce(&mut Directory, Timestamp) -> Result<(T, Announce), DirectoryError>,
    ) -> Result<T, Failure> {
        let Opened { store, log, .. } = self.open()?;
        let now = SystemClock.now();
        Ok(Directory::change(&store, &log, now, |directory| edit(directory, now))?)
    }
}

/// Add somebody, and print a one-time code for their first key.
///
/// The code is shown once and kept as a digest. Hand it over in person, not by mail: it stands for
/// the person until the key is enrolled. It can be used once, within seven days.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people add t-07 --role teacher --store /srv/classveil\n  \
    classveil people add fg-01 --role privacy-officer --store /srv/classveil --json\n\n\
    Roles: teacher, coach and supervisor may be given recordings; parent, privacy-officer, manager \
    and\nadmin never are.")]
struct Add {
    /// Pseudonym; never a name. It is used once.
    #[arg(value_name = "ID")]
    person: PersonId,
    /// teacher, coach, supervisor, parent, privacy-officer, manager or admin.
    #[arg(long, value_name = "ROLE")]
    role: Role,
    #[command(flatten)]
    of: AtStore,
}

/// Print another one-time code, for who lost the first or needs another key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people invite t-07 --store /srv/classveil\n  \
    classveil people invite c-02 --store /srv/classveil --json\n\n\
    The code before does not count any more.")]
struct Invite {
    /// Pseudonym.
    #[arg(value_name = "ID")]
    person: PersonId,
    #[command(flatten)]
    of: AtStore,
}

/// Remove somebody: all their keys end at once. The pseudonym is not used again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people remove c-02 --store /srv/classveil\n  \
    classveil people remove c-02 --store /srv/classveil --json")]
struct Remove {
    /// Pseudonym.
    #[arg(value_name = "ID")]
    person: PersonId,
    #[command(flatten)]
    of: AtStore,
}

/// Show who is in the directory, with every key, its fingerprint and who accepted it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people list --store /srv/classveil\n  \
    classveil people list --store /srv/classveil --json\n\n\
    Exit codes: 0 shown, 65 the directory is not the one that the audit log names, 66 there is none.")]
struct List {
    #[command(flatten)]
    of: Which,
}

/// Write the directory to a file for a teacher's own computer, signed by the box.
///
/// With it and a copy of a recording's folder `classveil grant --people FILE` works where there is no
/// store: no key of a person has to come near the box. It holds public keys and pseudonyms, and no
/// one-time code. Hand out a new one when keys change.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil people export --output school.people --store /srv/classveil\n  \
    head -n 1 school.people > p.json; tail -n +2 school.people > p.json.minisig\n  \
    minisign -Vm p.json -p box.pub          # stock minisign checks it\n\n\
    Exit codes: 0 written, 65 the directory is not the one that the audit log names, 66 there is none, \
    78 the file exists.")]
struct Export {
    /// The new file.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    of: AtStore,
}

#[derive(Serialize)]
struct Exported<'a> {
    path: &'a Path,
    at: Timestamp,
    people: usize,
}

fn export(args: &Export) -> Result<(), Failure> {
    let Opened { store, log, key, .. } = &args.of.open()?;
    let directory = directory(store, &log.entries()?)?;
    let at = SystemClock.now();
    write_new(&args.output, directory.carry(key, at)?.as_bytes())?;
    let people = directory.people().len();
    if args.of.at.json {
        output::json(&Exported { path: &args.output, at, people });
    } else {
        output::line(format_args!("{}: {people} people", args.output.display()));
    }
    Ok(())
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Add(args) => add(args),
        Command::Invite(args) => {
            let code = new_code()?;
            args.of.change(|directory, now| directory.invite(&args.person, &code, now))?;
            say_code(&args.of, &args.person, &code);
            Ok(())
        }
        Command::Challenge(args) => keys::challenge(args),
        Command::Answer(args) => keys::answer(args),
        Command::Enrol(args) => keys::enrol(args),
        Command::ReplaceKey(args) => keys::replace(args),
        Command::Approve(args) => keys::approve(args),
        Command::Accept(args) => keys::accept(args),
        Command::EndKey(args) => keys::end(args),
        Command::Remove(args) => {
            args.of.change(|directory, now| directory.remove(&args.person, now))?;
            say(&args.of, &args.person, "removed");
            Ok(())
        }
        Command::List(args) => list(args),
        Command::Export(args) => export(args),
    }
}

#[derive(Serialize)]
struct Said<'a> {
    person: &'a PersonId,
    change: &'static str,
}

pub(super) fn say(of: &AtStore, person: &PersonId, change: &'static str) {
    if of.at.json {
        output::json(&Said { person, change });
    } else {
        output::line(format_args!("{person}: {change}"));
    }
}

#[derive(Serialize)]
struct SaidCode<'a> {
    person: &'a PersonId,
    code: &'a str,
}

fn say_code(of: &AtStore, person: &PersonId, code: &str) {
    if of.at.json {
        output::json(&SaidCode { person, code });
        return;
    }
    output::line(code);
    output::note(format_args!(
        "hand this one-time code to {person} in person; it is not shown again and counts for seven \
         days"
    ));
}

fn add(args: &Add) -> Result<(), Failure> {
    let code = new_code()?;
    let of = &args.of;
    let opened = Opened::begin(of)?;
    let now = SystemClock.now();
    Directory::change(&opened.store, &opened.log, now, |directory| {
        directory.add(&args.person, args.role, &code, now)
    })?;
    say_code(of, &args.person, &code);
    Ok(())
}

/// Writes a new file for somebody to take away.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut file = Output::create(path, Existing::Keep)?;
    file.write_all(bytes).map_err(|error| {
        let message = format!("{}: {error}{}", path.display(), advice(&error));
        Failure::new(ErrorKind::of_io(&error), message)
    })?;
    Ok(file.publish()?)
}

/// A time without fractions of a second.
pub(super) fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The lines of a store's log, checked; none where it has no log.
pub(super) fn entries(store: &Path, box_key: Option<&Path>) -> Result<Vec<Entry>, Failure> {
    let trust = paths::audit_trust(None, box_key)?;
    let checked = match check_log(store, &trust, &[]) {
        // A box of one's own, and a copy of another's store.
        Err(AuditError::OtherKey { .. }) => check_log(store, &AuditTrust::Unpinned, &[]),
        checked => checked,
    };
    match checked {
        Ok(checked) => Ok(checked.whole()?.entries),
        Err(AuditError::NoLog { .. }) if store.is_dir() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Who is who in a store, for the rule of who may do what.
pub(super) fn roles_in(store: &Path, entries: &[Entry]) -> Result<Roles, Failure> {
    let now = SystemClock.now();
    Ok(roles(store, entries, now, today(now))?)
}

/// The directory of a store that has one.
pub(super) fn directory(store: &Path, entries: &[Entry]) -> Result<Directory, Failure> {
    Directory::read(store, entries)?.ok_or_else(|| {
        let message = format!(
            "{} has no directory of people: begin one by `classveil people add`",
            store.display()
        );
        Failure::new(ErrorKind::NotFound, message)
    })
}

#[derive(Serialize)]
struct Row<'a> {
    person: &'a PersonId,
    role: Role,
    added: Timestamp,
    removed: Option<Timestamp>,
    keys: Vec<KeyRow<'a>>,
}

#[derive(Serialize)]
struct KeyRow<'a> {
    recipient: &'a Recipient,
    fingerprint: String,
    state: &'static str,
    from: Timestamp,
    until: Option<Timestamp>,
    confirmed: Confirmed,
    signs: bool,
    accepted_by: Vec<&'a PersonId>,
}

impl<'a> KeyRow<'a> {
    fn new(key: &'a Key, now: Timestamp) -> Self {
        let state = match (key.counts(now), key.has_ended(now)) {
            (true, _) => "counts",
            (_, true) => "ended",
            (false, false) => "ahead",
        };
        Self {
            recipient: &key.recipient,
            fingerprint: key.recipient.fingerprint(),
            state,
            from: key.from,
            until: key.until,
            confirmed: key.confirmed,
            signs: key.sign.is_some(),
            accepted_by: key.accepted.keys().collect(),
        }
    }
}

fn list(args: &List) -> Result<(), Failure> {
    let (config, store) = args.of.find()?;
    let directory = directory(&store, &entries(&store, config.store.box_key.as_deref())?)?;
    let now = SystemClock.now();
    let rows = directory.people().iter().map(|(person, entry)| Row {
        person,
        role: entry.role,
        added: entry.added,
        removed: entry.removed,
        keys: entry.keys.iter().map(|key| KeyRow::new(key, now)).collect(),
    });
    let rows: Vec<Row<'_>> = rows.collect();
    if args.of.json {
        output::json(&serde_json::json!({ "people": rows }));
        return Ok(());
    }
    for row in &rows {
        let gone = row.removed.map_or_else(String::new, |at| format!(", removed {}", seconds(at)));
        output::line(format_args!("{}  {}{gone}", row.person, row.role));
        for key in &row.keys {
            output::line(format_args!("    {}", key.recipient));
            output::line(format_args!("    fingerprint {}", key.fingerprint));
            output::line(format_args!("    {}", of_key(key)));
        }
        if row.keys.is_empty() {
            output::line("    no key yet");
        }
    }
    Ok(())
}

fn of_key(key: &KeyRow<'_>) -> String {
    let mut said = match key.state {
        "ahead" => format!("counts from {}", seconds(key.from)),
        "ended" => format!("ended {}", key.until.map_or_else(String::new, seconds)),
        _ => format!("counts since {}", seconds(key.from)),
    };
    if let (Some(until), "counts") = (key.until, key.state) {
        said = format!("{said}, ends {}", seconds(until));
    }
    said = format!("{said}, confirmed: {}", key.confirmed);
    if !key.signs {
        said.push_str(", cannot sign");
    }
    if !key.accepted_by.is_empty() {
        let by: Vec<&str> = key.accepted_by.iter().map(|by| by.as_str()).collect();
        said = format!("{said}, accepted by {}", by.join(", "));
    }
    said
}
