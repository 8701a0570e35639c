//! `classveil status`, `prepare`, `withdraw`, `start`, `stop`, `drop`, `logs` and `reload`: what the box that
//! runs is asked.

use std::{fmt::Write, path::PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{Failure, openers, output, places};
use crate::{
    appliance::{
        codes::Code,
        control::{self, LAST_MINUTE, NewLesson, Request},
        openers::Openers,
    },
    error::{ErrorKind, advice},
    units::{ClassId, PersonId, parse_duration},
    vault::Names,
};

/// Longest learning question that is kept.
const QUESTION_BYTES: usize = 16 << 10;

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

/// Say how the box is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil status --config /etc/classveil/classveil.toml\n  \
    classveil status --config /etc/classveil/classveil.toml --json\n\n\
    Exit codes: 0 said, 75 the box does not run.")]
pub(super) struct Status {
    #[command(flatten)]
    of: Of,
}

/// Say what is to be recorded next. It is forgotten after two hours, or when it was recorded.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil prepare --config FILE.toml --class 5b --teacher t-07 --coach c-02 \\\n      \
      --question \"Do I wait long enough?\" --planned \"20 min\"\n\n\
    Exit codes: 0 prepared: the button or `classveil start` begins it, 64 usage, 75 the box does not \
    run, 77 not now.")]
pub(super) struct Prepare {
    #[command(flatten)]
    of: Of,
    /// The class's pseudonym [default: the configured one].
    #[arg(long, value_name = "ID")]
    class: Option<ClassId>,
    /// The teacher's pseudonym [default: the configured one].
    #[arg(long, value_name = "ID")]
    teacher: Option<PersonId>,
    /// The coach's pseudonym [default: the configured one].
    #[arg(long, value_name = "ID")]
    coach: Option<PersonId>,
    /// The teacher's learning question; only who can open the recording can read it.
    #[arg(long, value_name = "TEXT", conflicts_with = "question_file")]
    question: Option<String>,
    /// A file with the learning question.
    #[arg(long, value_name = "FILE")]
    question_file: Option<PathBuf>,
    /// A file of names: a pseudonym and a name on each line, with a comma between. The teacher's, the coach's
    /// and the listed pupils' go into the recording; only who can open it reads them, and they are gone with
    /// it. The file itself is not kept.
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// What for: coaching or team-session [default: the configured one].
    #[arg(long, value_name = "PURPOSE")]
    purpose: Option<String>,
    /// How long it is meant to be [default: the longest].
    #[arg(long, value_name = "DURATION")]
    planned: Option<String>,
}

/// Forget what is prepared.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil withdraw --config FILE.toml\n\n\
    Exit codes: 0 nothing is prepared now, 75 the box does not run.")]
pub(super) struct Withdraw {
    #[command(flatten)]
    of: Of,
}

/// Begin what is prepared. Somebody at the box presses the button within a minute.
///
/// Waits until the recording runs, or it is known why it does not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil start --config FILE.toml\n\n\
    Exit codes: 0 it records, 75 the box does not run, 77 refused, with the reasons.")]
pub(super) struct Start {
    #[command(flatten)]
    of: Of,
}

/// End the recording. What there is, is sealed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil stop --config FILE.toml\n  \
    classveil stop --config FILE.toml --objection\n\n\
    Exit codes: 0 it ends, 75 the box does not run, 77 there is nothing to stop.")]
pub(super) struct Stop {
    #[command(flatten)]
    of: Of,
    /// Withhold what was recorded from everybody until the privacy officer decides.
    #[arg(long)]
    objection: bool,
}

/// Drop what was recorded last, as if it had not been.
///
/// For the moment a pupil is upset. Whole segments go, so a few seconds more than asked for; what is
/// in memory goes altogether. The recording says that there is a gap. It goes on, unless --stop ends it
/// with this. Where something may still be there, it is stopped and withheld.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil drop --config FILE.toml\n  \
    classveil drop --config FILE.toml --seconds 120 --stop\n\n\
    Exit codes: 0 it is gone, 75 the box does not run, 77 nothing is recorded, or it may not be gone.")]
pub(super) struct DropLast {
    #[command(flatten)]
    of: Of,
    /// How much to drop.
    #[arg(long, value_name = "N", default_value_t = LAST_MINUTE,
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// End the recording with it.
    #[arg(long)]
    stop: bool,
}

/// Say what happened lately. No names, no pictures.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil logs --config FILE.toml\n  \
    classveil logs --config FILE.toml --json\n\n\
    Exit codes: 0 said, 75 the box does not run.")]
pub(super) struct Logs {
    #[command(flatten)]
    of: Of,
}

/// Read the configuration and the pupil list again. The list counts from the next frame on.
///
/// Says which settings count now, from the next recording on, or when the box is started anew. A
/// recording that runs goes on by the settings with which it began. A file with a problem changes no
/// setting.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil pupils load LIST.csv --config FILE.toml && classveil reload --config FILE.toml\n\n\
    Exit codes: 0 both are in force, 75 the box does not run, 77 the list or the configuration cannot \
    be used: the one before stays, 78 the configuration is wrong: nothing was changed.")]
pub(super) struct Reload {
    #[command(flatten)]
    of: Of,
}

/// Say that the box's clock is right, where no network does.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Clock {
    #[command(subcommand)]
    command: ClockCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ClockCommand {
    Confirm(Confirm),
}

/// Say that the box's clock is right, with a watch at hand.
///
/// For a box without time from a network. It is written into the audit log, with the time, and holds
/// until the machine is started anew or its clock is set. Deadlines follow from this clock: set it by
/// `timedatectl set-time` first where it is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    date && classveil clock confirm\n\n\
    Exit codes: 0 it counts as right, 75 the box does not run, 77 it is behind the audit log, or not \
    yours to say.")]
struct Confirm {
    #[command(flatten)]
    of: Of,
}

pub(super) fn clock(args: &Clock) -> Result<(), Failure> {
    let ClockCommand::Confirm(Confirm { of }) = &args.command;
    ask(of, &Request::ConfirmClock, |body| {
        let said = word(&body["now"]).parse::<jiff::Timestamp>();
        let here = said.map(|now| now.to_zoned(jiff::tz::TimeZone::system()));
        let text = here.map_or_else(|_| word(&body["now"]).to_owned(), |now| now.to_string());
        output::line(format_args!("confirmed: it is {text}"));
    })
}

/// Asks the box, and fails where it refuses. What it says is printed first.
fn ask(of: &Of, request: &Request, print: impl FnOnce(&Value)) -> Result<(), Failure> {
    let config = places::config(Some(&of.config))?;
    let answer = control::ask(&places::socket(&config), request)?;
    if of.json {
        output::json(&answer);
    } else if answer.ok {
        print(&answer.body);
    } else {
        reasons(&answer.body["reasons"]);
    }
    match answer.error {
        None if answer.ok => Ok(()),
        error => {
            let text = error.unwrap_or_else(|| "refused".to_owned());
            let text = match moment(&text, &answer.body["reasons"]) {
                Some(said) => format!("{text}: {said}"),
                None => text,
            };
            Err(Failure::new(ErrorKind::Denied, text))
        }
    }
}

/// What a bare code means, where no reason beside it says so.
fn moment(error: &str, reasons: &Value) -> Option<&'static str> {
    if reasons.as_array().is_some_and(|reasons| !reasons.is_empty()) {
        return None;
    }
    Code::ALL.iter().find(|code| code.word() == error)?.moment()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn reasons(reasons: &Value) {
    for reason in reasons.as_array().into_iter().flatten() {
        output::line(format_args!("{}: {}", word(&reason["code"]), word(&reason["sentence"])));
        output::line(format_args!("  {}: {}", word(&reason["who"]), word(&reason["settle"])));
    }
}

/// The state alone, where there is nothing else to say.
fn state(body: &Value) {
    output::line(word(&body["state"]));
}

/// Who will be able to open what is prepared or recorded.
fn openers(lesson: &Value) {
    if let Ok(told) = Openers::deserialize(lesson) {
        for line in openers::lines(&told) {
            output::line(format_args!("  {line}"));
        }
    }
}

pub(super) fn status(args: &Status) -> Result<(), Failure> {
    ask(&args.of, &Request::Status, |body| {
        let mut line = word(&body["state"]).to_owned();
        // Writing into a text cannot fail.
        if let Some(fault) = body["fault"].as_str() {
            let _ = write!(line, " ({fault})");
        }
        if let Some(seconds) = body["recording_s"].as_u64() {
            let _ = write!(line, ", {seconds} s");
        }
        if let Some(left) = body["left_s"].as_u64() {
            let _ = write!(line, ", {left} s left");
        }
        output::line(line);
        openers(&body["lesson"]);
        let at_work = body["cameras"].as_array().filter(|cameras| !cameras.is_empty());
        for camera in at_work.into_iter().flatten() {
            let away = if camera["away"] == true { ", AWAY: it is dialled again" } else { "" };
            output::line(format_args!(
                "  {}: {} frames in, {} dropped, {} segments{away}",
                word(&camera["camera"]),
                camera["frames_in"],
                camera["frames_displaced"],
                camera["segments"],
            ));
        }
        // At rest: what they said when they were asked last.
        for camera in body["reach"].as_array().filter(|_| at_work.is_none()).into_iter().flatten() {
            let answers = if camera["answers"] == true {
                "answers"
            } else {
                "CANNOT BE USED: `classveil preflight` says why"
            };
            output::line(format_args!("  camera {} {answers}", word(&camera["camera"])));
        }
        output::line(format_args!(
            "  indicator {}, button {}",
            word(&body["indicator"]),
            word(&body["button"])
        ));
        let network = &body["network"];
        if let Some(url) = network["url"].as_str() {
            output::line(format_args!("  pages on {url}"));
        }
        if let Some(fingerprint) = network["fingerprint"].as_str() {
            output::line(format_args!("  certificate {fingerprint}"));
        }
        if let Some(problem) = network["problem"].as_str() {
            output::line(format_args!("  PAGES DO NOT ANSWER: {problem}"));
        }
        reasons(&body["reasons"]);
    })
}

pub(super) fn prepare(args: &Prepare) -> Result<(), Failure> {
    let planned = args
        .planned
        .as_deref()
        .map(parse_duration)
        .transpose()
        .map_err(|error| Failure::new(ErrorKind::Usage, format!("--planned: {error}")))?;
    let lesson = NewLesson {
        class: args.class.clone(),
        teacher: args.teacher.clone(),
        coach: args.coach.clone(),
        question: question(args)?,
        names: args.names.as_deref().map_or_else(|| Ok(Names::default()), Names::load)?,
        purpose: args.purpose.clone(),
        planned_s: planned.map(|planned| planned.as_secs()),
    };
    ask(&args.of, &Request::Prepare { lesson }, |body| {
        state(body);
        openers(&body["lesson"]);
    })
}

fn question(args: &Prepare) -> Result<String, Failure> {
    let text = match (&args.question, &args.question_file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => std::fs::read_to_string(path).map_err(|error| {
            let text = format!("cannot read {}: {error}{}", path.display(), advice(&error));
            Failure::new(ErrorKind::of_io(&error), text)
        })?,
        // Preflight says that it is missing, together with all else.
        (None, None) => String::new(),
    };
    if text.len() > QUESTION_BYTES {
        let text = format!("the learning question is longer than {QUESTION_BYTES} bytes");
        return Err(Failure::new(ErrorKind::Config, text));
    }
    Ok(text)
}

pub(super) fn withdraw(args: &Withdraw) -> Result<(), Failure> {
    ask(&args.of, &Request::Withdraw, state)
}

pub(super) fn start(args: &Start) -> Result<(), Failure> {
    output::note("where the box blinks, press its button within a minute");
    ask(&args.of, &Request::Start, state)
}

pub(super) fn stop(args: &Stop) -> Result<(), Failure> {
    ask(&args.of, &Request::Stop { objection: args.objection }, state)
}

pub(super) fn drop_last(args: &DropLast) -> Result<(), Failure> {
    let request = Request::Drop { seconds: args.seconds, stop: args.stop };
    ask(&args.of, &request, |body| {
        for gap in body["gaps"].as_array().into_iter().flatten() {
            let seconds = |key: &str| gap[key].as_f64().unwrap_or(0.0) / 1e9;
            output::line(format_args!(
                "{}: nothing is kept from {:.1} s to {:.1} s",
                word(&gap["camera"]),
                seconds("from_ns"),
                seconds("to_ns")
            ));
        }
        state(body);
    })
}

pub(super) fn logs(args: &Logs) -> Result<(), Failure> {
    ask(&args.of, &Request::Logs, |body| {
        for line in body["lines"].as_array().into_iter().flatten() {
            output::line(format_args!("{} {}", word(&line["at"]), word(&line["what"])));
        }
    })
}

pub(super) fn reload(args: &Reload) -> Result<(), Failure> {
    ask(&args.of, &Request::Reload, |body| {
        output::line(format_args!("the pupil list is version {}", word(&body["version"])));
        let settings = &body["settings"];
        for (when, said) in [
            ("now", "counts now"),
            ("next_recording", "counts from the next recording on"),
            ("restart", "counts when the box is started anew"),
        ] {
            for name in settings[when].as_array().into_iter().flatten() {
                output::line(format_args!("{}: {said}", word(name)));
            }
        }
    })
}
