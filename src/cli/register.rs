//! `classveil register`: what the school has on record, without which the box does not record.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Subcommand;
use jiff::civil::Date;
use serde::Serialize;

use super::{Failure, output, places};
use crate::{
    appliance::preflight,
    clock::{Clock, SystemClock},
    config::Config,
    error::{ErrorKind, advice},
    people::{
        directory::Directory,
        registers::{Acceptance, Assessment, Audience, Channel, Notice, Reminder, answer, ask},
    },
    units::PersonId,
    vault::{
        Digest, Recipient,
        audit::AuditLog,
        ledger::{self, Ledger},
    },
};

/// Longest text of a letter or notice.
const TEXT_BYTES: u64 = 64 << 20;

/// Enter what the school has on record: assessments, reminders, notices, acceptances.
///
/// Registers only grow, and each entry is in the audit log. They hold pseudonyms, days and digests:
/// the papers themselves stay with the school.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Assessment(AssessmentArgs),
    Reminder(ReminderArgs),
    Notice(NoticeArgs),
    #[command(subcommand)]
    Acceptance(AcceptanceCommand),
}

/// Which box.
#[derive(Debug, clap::Args)]
struct Of {
    /// The box's settings.
    #[arg(long, value_name = "FILE", env = places::CONFIG_VARIABLE,
        default_value = places::CONFIG)]
    config: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// The school weighed its interest against the privacy of those it records.
#[derive(Debug, clap::Args)]
#[command(override_usage = "classveil register assessment [OPTIONS]")]
#[command(after_help = "Examples:\n  \
    classveil register assessment --config FILE.toml --reference IA-2026-01 --by d-01 \\\n      \
      --review 2027-08-01\n\n\
    Exit codes: 0 entered, 64 usage, 65 the register was altered, 78 the day is over.")]
struct AssessmentArgs {
    #[command(flatten)]
    of: Of,
    /// Where the school filed it: one line of 1 to 200 characters, no names.
    #[arg(long, value_name = "REF")]
    reference: String,
    /// Who signed it.
    #[arg(long, value_name = "ID")]
    by: PersonId,
    /// The last day on which it counts.
    #[arg(long, value_name = "YYYY-MM-DD")]
    review: Date,
}

/// Parents were reminded that lessons are recorded and that they can refuse.
#[derive(Debug, clap::Args)]
#[command(override_usage = "classveil register reminder [OPTIONS]")]
#[command(after_help = "Examples:\n  \
    classveil register reminder --config FILE.toml --on 2026-11-02 --channel newsletter \\\n      \
      --text newsletter-11.pdf\n\n\
    Exit codes: 0 entered, 64 usage, 65 the register was altered, 66 no such text, 78 the day is to \
    come.")]
struct ReminderArgs {
    #[command(flatten)]
    of: Of,
    /// When.
    #[arg(long, value_name = "YYYY-MM-DD")]
    on: Date,
    /// How: letter, mail, newsletter, app or evening.
    #[arg(long, value_name = "CHANNEL")]
    channel: Channel,
    /// What it said; its digest is kept.
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
}

/// People were told what is recorded, why, for how long and what their rights are.
///
/// The entry also holds a digest of what the configuration says today about purpose, ground, policy,
/// sound, retention and photos. When that changes, the notice is stale and the box does not record
/// until a new one is entered.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil register notice --config FILE.toml --audience parents --text letter.pdf\n  \
    for a in door parents pupils staff; do\n    \
      classveil register notice --config FILE.toml --audience $a --text $a.pdf\n  done\n\n\
    Exit codes: 0 entered, 64 usage, 65 the register was altered, 66 no such text.")]
struct NoticeArgs {
    #[command(flatten)]
    of: Of,
    /// Who was told: door, parents, pupils or staff.
    #[arg(long, value_name = "AUDIENCE")]
    audience: Audience,
    /// What it says; its digest is kept.
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
}

/// A teacher accepts to be recorded, with the key that opens the recordings.
#[derive(Debug, Subcommand)]
enum AcceptanceCommand {
    Ask(AskArgs),
    Answer(AnswerArgs),
    Withdraw(WithdrawArgs),
}

/// Ask a teacher. Prints a word that only the teacher's key can open.
///
/// The teacher opens it on their own computer and gives the word back within a week; that is the
/// acceptance. Nobody can give it for the teacher, and no secret key comes to the box.
#[derive(Debug, clap::Args)]
#[command(override_usage = "classveil register acceptance ask [OPTIONS]")]
#[command(after_help = "Examples:\n  \
    classveil register acceptance ask --config FILE.toml --teacher t-07 --coach c-02 \\\n      \
      --recipient age1... > question.txt\n  \
    base64 -d question.txt | age -d -i teacher.key          # the teacher, elsewhere\n\n\
    Exit codes: 0 asked, 64 usage, 65 the register was altered, 78 recordings are not for this key.")]
struct AskArgs {
    #[command(flatten)]
    of: Of,
    /// Who.
    #[arg(long, value_name = "ID")]
    teacher: PersonId,
    /// With whom.
    #[arg(long, value_name = "ID")]
    coach: Option<PersonId>,
    /// The teacher's public key, as the directory of people or [recording] recipients has it.
    #[arg(long, value_name = "age1...")]
    recipient: Recipient,
}

/// Enter the word that the teacher read.
#[derive(Debug, clap::Args)]
#[command(override_usage = "classveil register acceptance answer [OPTIONS]")]
#[command(after_help = "Examples:\n  \
    classveil register acceptance answer --config FILE.toml --teacher t-07 --word WORD\n\n\
    Exit codes: 0 accepted, 64 usage, 65 the register was altered, 77 this is not the word, or it is \
    too late.")]
struct AnswerArgs {
    #[command(flatten)]
    of: Of,
    /// Who.
    #[arg(long, value_name = "ID")]
    teacher: PersonId,
    /// The word.
    #[arg(long)]
    word: String,
}

/// A teacher does not accept any more. Needs no key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil register acceptance withdraw --config FILE.toml --teacher t-07\n\n\
    Exit codes: 0 entered, 64 usage, 65 the register was altered.")]
struct WithdrawArgs {
    #[command(flatten)]
    of: Of,
    /// Who.
    #[arg(long, value_name = "ID")]
    teacher: PersonId,
}

struct Opened {
    config: Config,
    store: PathBuf,
    log: AuditLog,
}

/// Makes store and keys where there are none yet: registers come first on a new box.
fn open(of: &Of) -> Result<Opened, Failure> {
    let config = places::config(Some(&of.config))?;
    let (store, log) = places::log(&config)?;
    Ok(Opened { config, store, log })
}

fn enter(of: &Of, to: &Opened, ledger: Ledger, entry: &impl Serialize) -> Result<(), Failure> {
    let line = ledger::append(&to.store, &to.log, ledger, SystemClock.now(), entry)?;
    if of.json {
        output::json(&serde_json::json!({ "register": ledger, "line": line }));
    } else {
        let path = ledger.path(&to.store);
        output::note(format_args!("entered: {}, line {line}", path.display()));
    }
    Ok(())
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure::new(ErrorKind::Config, message)
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Assessment(args) => assessment(args),
        Command::Reminder(args) => reminder(args),
        Command::Notice(args) => notice(args),
        Command::Acceptance(AcceptanceCommand::Ask(args)) => asked(args),
        Command::Acceptance(AcceptanceCommand::Answer(args)) => answered(args),
        Command::Acceptance(AcceptanceCommand::Withdraw(args)) => {
            let entry = Acceptance::Withdrawn { teacher: args.teacher.clone() };
            enter(&args.of, &open(&args.of)?, Ledger::Acceptances, &entry)
        }
    }
}

fn assessment(args: &AssessmentArgs) -> Result<(), Failure> {
    let reference = args.reference.trim();
    let says_something = reference.contains(char::is_alphanumeric);
    if !says_something || reference.chars().count() > 200 || reference.contains(char::is_control) {
        return Err(wrong("--reference: one line of 1 to 200 characters is needed"));
    }
    if args.review < preflight::today(SystemClock.now()) {
        return Err(wrong("--review: that day is over, so the assessment would not count"));
    }
    let entry =
        Assessment { reference: reference.to_owned(), by: args.by.clone(), review: args.review };
    enter(&args.of, &open(&args.of)?, Ledger::Assessments, &entry)
}

fn reminder(args: &ReminderArgs) -> Result<(), Failure> {
    if args.on > preflight::today(SystemClock.now()) {
        return Err(wrong("--on: that day is to come; enter the reminder when it was given"));
    }
    let entry = Reminder { on: args.on, channel: args.channel, text: digest(&args.text)? };
    enter(&args.of, &open(&args.of)?, Ledger::Reminders, &entry)
}

fn notice(args: &NoticeArgs) -> Result<(), Failure> {
    let text = digest(&args.text)?;
    let opened = open(&args.of)?;
    let terms = preflight::terms(&opened.config);
    let entry = Notice { audience: args.audience, text, terms };
    enter(&args.of, &opened, Ledger::Notices, &entry)
}

fn asked(args: &AskArgs) -> Result<(), Failure> {
    let opened = open(&args.of)?;
    let directory = Directory::read(&opened.store, &opened.log.entries()?)?;
    let own = directory.map(|all| all.recipients_of(&args.teacher, SystemClock.now()));
    let is_own = own.is_some_and(|own| own.contains(&args.recipient));
    if !is_own && !opened.config.recording.recipients.contains(&args.recipient) {
        return Err(wrong(
            "--recipient: no recording of this teacher is encrypted to this key; enrol it in the \
             directory of people first",
        ));
    }
    let (teacher, coach) = (args.teacher.clone(), args.coach.clone());
    let (entry, file) = ask(teacher, coach, args.recipient.clone()).map_err(|error| {
        Failure::new(ErrorKind::Io, format!("no question can be made: {error}"))
    })?;
    enter(&args.of, &opened, Ledger::Acceptances, &entry)?;
    let question = STANDARD.encode(file);
    if args.of.json {
        output::json(&serde_json::json!({ "question": question }));
    } else {
        output::line(question);
        output::note(
            "the teacher opens it elsewhere: base64 -d question.txt | age -d -i teacher.key",
        );
    }
    Ok(())
}

fn answered(args: &AnswerArgs) -> Result<(), Failure> {
    let opened = open(&args.of)?;
    let lines = ledger::read(&opened.store, Ledger::Acceptances, &opened.log.entries()?)?;
    let accepted = answer(&lines, &args.teacher, &args.word, SystemClock.now());
    let Some(entry) = accepted else {
        return Err(Failure::new(
            ErrorKind::Denied,
            format!(
                "this is not the word of the newest question to {}, or the question is more than a \
                 week old: ask again",
                args.teacher
            ),
        ));
    };
    enter(&args.of, &opened, Ledger::Acceptances, &entry)
}

/// The digest of a text, which is not kept.
fn digest(path: &Path) -> Result<Digest, Failure> {
    let unreadable = |error: std::io::Error| {
        let text = format!("cannot read {}: {error}{}", path.display(), advice(&error));
        Failure::new(ErrorKind::of_io(&error), text)
    };
    let found = std::fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() || found.len() == 0 || found.len() > TEXT_BYTES {
        return Err(wrong(format!(
            "{} has to be an ordinary file of 1 byte to {} MiB: what people were told",
            path.display(),
            TEXT_BYTES >> 20
        )));
    }
    Ok(Digest::of(&std::fs::read(path).map_err(unreadable)?))
}
