//! `classveil grant`, `revoke` and `grants`: one person more for one recording, for a time.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde::Serialize;

use super::{
    Failure,
    identity::Passphrase,
    output,
    people::{directory, entries, roles_in, seconds, write_new},
    places,
    retention::refuse_withheld,
    store::{AtStore, Keys, Opened, Which},
    verify::{note_trust, refuse_unpinned},
};
use crate::{
    clock::{Clock, SystemClock},
    error::ErrorKind,
    people::directory::{Carried, Directory},
    units::{PersonId, RecordingId},
    vault::{
        BoxPublicKey, Checked, Identities,
        access::{Listed, NewGrant},
        check, open,
        sign::PersonKey,
    },
};

/// Let one person more open a recording, until a day.
///
/// For the recording's teacher: opens the recording's key with the teacher's own and wraps it for
/// that person alone, with a statement that the teacher signs. On the teacher's own computer a copy of
/// the recording's folder and the file of `classveil people export` are enough: give --people and
/// --output, and the box takes what comes of it by `classveil grants accept`. On a computer that has the
/// box's keys the grant is entered at once. It ends by itself, or by `classveil revoke`. What the person opened before that
/// cannot be taken back.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil grant 0197c2a0-... --to c-09 --until 2026-11-20 --identity teacher.key --store STORE\n  \
    classveil grant COPY/0197c2a0-... --people school.people --to c-09 --until 2026-11-20 \\\n      \
      --identity teacher.key --box-key box.pub --output c-09.parcel\n\n\
    Exit codes: 0 granted, 65 the recording or the directory is damaged, 66 no such recording or \
    person,\n77 not this recording's teacher, or not a person who may look.")]
pub(super) struct Args {
    /// The recording: its id, or its folder.
    #[arg(value_name = "RECORDING")]
    recording: String,
    /// Pseudonym of who may open it.
    #[arg(long, value_name = "ID")]
    to: PersonId,
    /// Until when: the end of a day, or a time with its offset. Never beyond the recording's own end.
    #[arg(long, value_name = "DATE", value_parser = parse_until)]
    until: Timestamp,
    /// The teacher's secret key.
    #[arg(short, long, value_name = "FILE")]
    identity: PathBuf,
    #[command(flatten)]
    passphrase: Passphrase,
    /// Write the grant to this new file, for the box to take in.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The directory of people, as `classveil people export` on the box wrote it: then a copy of the
    /// recording's folder is enough.
    #[arg(long, value_name = "FILE", requires = "output", conflicts_with = "store")]
    people: Option<PathBuf>,
    /// The store, or a copy of it [default: the one that the recording lies in, or the configured].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Settings, for the store's folder and the box's keys.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    keys: Keys,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// End somebody's grant at once. Needs nobody's secret key.
///
/// The wrapped key is overwritten and removed. What the person opened before stays theirs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil revoke 0197c2a0-... --from c-09 --by t-07 --store /srv/classveil\n  \
    classveil revoke 0197c2a0-... --from c-09 --by t-07 --store /srv/classveil --json\n\n\
    Exit codes: 0 ended, 66 there is no such grant, 77 not the teacher who made it, nor the privacy\n\
    officer, by the directory of people.")]
pub(super) struct RevokeArgs {
    /// The recording.
    #[arg(value_name = "ID")]
    recording: RecordingId,
    /// Pseudonym of whose grant ends.
    #[arg(long, value_name = "ID")]
    from: PersonId,
    /// Pseudonym of who ends it: the teacher who made it, or the privacy officer.
    #[arg(long, value_name = "ID")]
    by: PersonId,
    #[command(flatten)]
    of: AtStore,
}

/// See grants, and take in those that teachers made elsewhere.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct GrantsArgs {
    #[command(subcommand)]
    command: GrantsCommand,
}

#[derive(Debug, Subcommand)]
enum GrantsCommand {
    List(List),
    Accept(Accept),
}

/// Show who may open which recording besides its recipients, and until when.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil grants list --store /srv/classveil\n  \
    classveil grants list --store /srv/classveil --recording 0197c2a0-... --json")]
struct List {
    /// Only grants for this recording.
    #[arg(long, value_name = "ID")]
    recording: Option<RecordingId>,
    #[command(flatten)]
    of: Which,
}

/// Take in a grant that a teacher made on another computer.
///
/// Checks that the recording's own teacher signed it, for keys that are in the directory and that
/// count, and that it is new and not over. No secret key of a person is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil grants accept c-09.parcel --store /srv/classveil\n  \
    classveil grants accept c-09.parcel --store /srv/classveil --json")]
struct Accept {
    /// What `classveil grant --output` wrote.
    #[arg(value_name = "FILE")]
    parcel: PathBuf,
    #[command(flatten)]
    of: AtStore,
}

/// A date is its last moment, here: until a day means with it.
pub(super) fn parse_until(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let bad = || {
        "give a date such as 2026-12-24, or a time with its offset such as \
         2026-12-24T08:00:00+01:00"
            .to_owned()
    };
    let date = text.parse::<Date>().map_err(|_| bad())?;
    let next = date.checked_add(1.day()).map_err(|_| bad())?;
    next.to_zoned(TimeZone::system()).map(|zoned| zoned.timestamp()).map_err(|_| bad())
}

#[derive(Serialize)]
struct Granted<'a> {
    recording: RecordingId,
    person: &'a PersonId,
    until: Timestamp,
    by: &'a PersonId,
    entered: bool,
    parcel: Option<&'a PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = places::config(args.config.as_deref())?;
    let trust = args.keys.trust(&config)?;
    let look = |folder: &Path| -> Result<Checked, Failure> {
        let checked = check(folder, &trust, |_| ())?;
        note_trust(&checked, &trust);
        Ok(checked)
    };
    let (checked, directory, store) = if let Some(people) = &args.people {
        let checked = look(Path::new(&args.recording))?;
        // Folder and file came the same way: whoever carried them may have signed both anew.
        refuse_unpinned(&trust, &checked.signer().id())?;
        let directory = carried(people, &checked.manifest().box_key)?;
        (checked, directory, None)
    } else {
        let (folder, store) = places::recording(&args.recording, args.store.as_deref(), &config)?;
        let known = entries(&store, config.store.box_key.as_deref())?;
        (look(&folder)?, directory(&store, &known)?, Some(store))
    };
    let now = SystemClock.now();
    let manifest = checked.manifest();
    let recording = manifest.recording;
    let teacher = manifest.teacher.clone().ok_or_else(|| {
        let message = format!("{recording} names no teacher, so nobody can grant access to it");
        Failure::new(ErrorKind::Denied, message)
    })?;
    if let Some(store) = &store {
        refuse_withheld(store, recording, &config)?;
    }
    let keys = directory.keys_to_look(&args.to, now)?;
    let key_file = args.passphrase.open(&args.identity)?;
    let own = Identities::load(key_file.path())?;
    let key = own_key(&directory, &teacher, PersonKey::of(&own), now)?;
    let opened = open(checked, key_file.path())?;
    let grant = NewGrant::make(&opened, (&args.to, &keys), args.until, (&teacher, &key), now)?;
    drop(opened);
    for recipient in &keys.recipients {
        output::note(format_args!("{}: key {}", args.to, recipient.fingerprint()));
    }
    if grant.claim().until < args.until {
        let until = seconds(grant.claim().until);
        output::note(format_args!("note: the recording itself ends on {until}, and so does this"));
    }
    if let Some(path) = &args.output {
        write_new(path, &grant.to_parcel())?;
    } else {
        let opened = Opened::new(store.as_deref(), args.config.as_deref(), &args.keys)?;
        install(&opened, &grant, now)?;
        output::note(
            "note: this computer has the box's keys; a teacher's key is better kept and used \
             elsewhere, with --output",
        );
    }
    say(args.json, &grant, args.output.as_ref());
    Ok(())
}

/// The directory that a file brings, signed by the box that signed the recording.
fn carried(people: &Path, key: &BoxPublicKey) -> Result<Directory, Failure> {
    let Carried { at, directory, .. } = Carried::load(people, key)?;
    output::note(format_args!("people as they were on {}", seconds(at)));
    Ok(directory)
}

/// The key among `own` with which `person` signs, by the directory.
pub(super) fn own_key(
    directory: &Directory,
    person: &PersonId,
    own: Vec<PersonKey>,
    now: Timestamp,
) -> Result<PersonKey, Failure> {
    let known = directory.signers_of(person, now);
    own.into_iter().find(|key| known.contains(&key.public(person))).ok_or_else(|| {
        let message = format!(
            "this is not a key with which {person} signs, by the directory of people: see \
             `classveil people list`"
        );
        Failure::new(ErrorKind::Denied, message)
    })
}

fn install(opened: &Opened, grant: &NewGrant, now: Timestamp) -> Result<(), Failure> {
    let Opened { store, key, log, .. } = opened;
    let directory = directory(store, &log.entries()?)?;
    let claim = grant.claim();
    refuse_withheld(store, claim.recording, &opened.config)?;
    let keys = directory.keys_to_look(&claim.person, now)?;
    let signers = directory.signers_of(&claim.by, now);
    Ok(grant.install(store, log, key, &signers, &keys, now)?)
}

fn say(json: bool, grant: &NewGrant, parcel: Option<&PathBuf>) {
    let claim = grant.claim();
    if json {
        output::json(&Granted {
            recording: claim.recording,
            person: &claim.person,
            until: claim.until,
            by: &claim.by,
            entered: parcel.is_none(),
            parcel,
        });
        return;
    }
    let until = seconds(claim.until);
    let where_to = parcel.map_or_else(String::new, |path| {
        format!("; give {} to whoever runs the box, for `classveil grants accept`", path.display())
    });
    output::line(format_args!(
        "{}: {} may open it until {until}{where_to}",
        claim.recording, claim.person
    ));
}

#[derive(Serialize)]
struct Revoked<'a> {
    recording: RecordingId,
    person: &'a PersonId,
    by: &'a PersonId,
}

pub(super) fn revoke(args: &RevokeArgs) -> Result<(), Failure> {
    let Opened { store, log, .. } = args.of.open()?;
    let RevokeArgs { recording, from, by, .. } = args;
    let (roles, now) = (roles_in(&store, &log.entries()?)?, SystemClock.now());
    crate::vault::access::revoke(&store, &log, &roles, *recording, from, by, now)?;
    if args.of.at.json {
        output::json(&Revoked { recording: *recording, person: from, by });
    } else {
        output::line(format_args!("{recording}: {from} may not open it any more"));
    }
    Ok(())
}

pub(super) fn grants(args: &GrantsArgs) -> Result<(), Failure> {
    match &args.command {
        GrantsCommand::List(args) => list(args),
        GrantsCommand::Accept(args) => {
            let opened = args.of.open()?;
            let grant = NewGrant::load(&args.parcel)?;
            install(&opened, &grant, SystemClock.now())?;
            say(args.of.at.json, &grant, None);
            Ok(())
        }
    }
}

fn list(args: &List) -> Result<(), Failure> {
    let (config, store) = args.of.find()?;
    let entries = entries(&store, config.store.box_key.as_deref())?;
    let directory = Directory::read(&store, &entries)?.unwrap_or_default();
    let signers = |person: &PersonId| directory.all_signers_of(person);
    let mut found = crate::vault::access::grants(&store, &entries, signers)?;
    found.retain(|one| args.recording.is_none_or(|only| only == one.grant.recording));
    if args.of.json {
        output::json(&serde_json::json!({ "grants": found }));
        return Ok(());
    }
    for Listed { grant, problem, .. } in &found {
        let problem = problem.as_ref().map_or_else(String::new, |problem| format!("  {problem}"));
        output::line(format_args!(
            "{}  {}  until {}  by {}{problem}",
            grant.recording,
            grant.person,
            seconds(grant.until),
            grant.by
        ));
    }
    output::line(format_args!("{} grants", found.len()));
    Ok(())
}
