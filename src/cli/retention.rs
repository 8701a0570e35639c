//! `classveil retention`: shows what happens to which recording when, and does it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Subcommand;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use super::{
    Failure, output, paths,
    people::{entries, roles_in},
    store::{Keys, Opened, Which},
};
use crate::{
    appliance::{retention_policy, time::is_known},
    clock::{Clock as _, SystemClock},
    config::Config,
    error::{ErrorKind, Kind},
    units::{PersonId, RecordingId, parse_duration},
    vault::{
        BoxPublicKey, Digest,
        audit::{AuditError, check_log},
        retention::{
            Action, Applied, Clock, NewHold, Policy, Recall, Verdict, apply, close_talk, hold,
            look_up, plan, release, survey,
        },
    },
};
/// How long a hold lasts where nobody says otherwise, and at most.
const HOLD: Duration = Duration::from_secs(90 * 86_400);

/// See and do what deadlines ask for: keep, withhold, destroy.
///
/// A recording's own deadline is set when it begins; closing the follow-up talk sets an earlier
/// one. The earliest counts, whatever the configuration says later.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(Plan),
    Apply(Apply),
    CloseTalk(CloseTalk),
    Hold(Hold),
    Release(Release),
}

/// Show what would be kept, withheld or destroyed, and why. Changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil retention plan --store /var/lib/classveil/store\n  \
    classveil retention plan --store STORE --at 2026-12-24 --json\n  \
    classveil retention plan --store STORE --at 2026-12-24T08:00:00+01:00")]
struct Plan {
    #[command(flatten)]
    of: Which,
    /// As if it were then: a date, or a time with its offset [default: now].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Timestamp>,
}

/// Destroy what is due, end grants that are over, and finish what a crash interrupted.
///
/// For each recording: a line in the audit log, then the keys overwritten and removed, then a
/// signed certificate, then the segments. `classveil run` does so by itself. Nothing is
/// destroyed while the clock is not known to be right.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil retention apply --config /etc/classveil/classveil.toml\n  \
    classveil retention apply --store STORE --danger-trust-clock --json\n\n\
    Exit codes: 0 done, 65 the audit log is damaged and nothing was destroyed, 74 something could\n\
    not be removed.")]
struct Apply {
    #[command(flatten)]
    of: Which,
    #[command(flatten)]
    keys: Keys,
    /// Rely on the clock although the kernel does not report it as synchronised. Look at it first:
    /// a clock that runs ahead destroys recordings early.
    #[arg(long)]
    danger_trust_clock: bool,
}

/// Close a recording's follow-up talk: its deadline moves to 7 days from now, if that is earlier.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil retention close-talk 0197c2a0-... --by t-07 --store STORE\n  \
    classveil retention close-talk 0197c2a0-... --by c-02 --after \"1 d\" --store STORE")]
struct CloseTalk {
    /// The recording.
    #[arg(value_name = "ID")]
    recording: RecordingId,
    /// Who closes it: the pseudonym of the recording's teacher or coach, whom the directory of people
    /// has as that.
    #[arg(long, value_name = "ID")]
    by: PersonId,
    /// From now to the deletion [default: 7 d].
    #[arg(long, value_name = "DURATION")]
    after: Option<String>,
    #[command(flatten)]
    of: Which,
    #[command(flatten)]
    keys: Keys,
}

/// Withhold a recording and postpone its destruction, for somebody who was recorded.
///
/// Only at the request of a person recorded and with the privacy officer's approval, never by
/// management: the directory of people says who is who, and a store without one takes no holds. The
/// deadline stays: when the hold ends, a recording whose deadline is over goes at once. Nobody gets the
/// recording meanwhile.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "classveil retention hold ID --requested-by ID --approved-by ID --reason FILE",
    after_help = "Examples:\n  \
    classveil retention hold 0197c2a0-... --requested-by p-14 --approved-by fg-01 \\\n      \
      --reason claim.txt --store STORE\n  \
    classveil retention hold 0197c2a0-... --requested-by t-07 --approved-by fg-01 \\\n      \
      --reason claim.txt --for \"30 d\" --store STORE\n\n\
    The log holds a digest of the reason; the file itself stays with the privacy officer.\n\n\
    Exit codes: 0 held, 66 no such recording, 77 who asks was not recorded, who approves is not the\n\
    privacy officer, or it is longer than 90 days."
)]
struct Hold {
    /// The recording.
    #[arg(value_name = "ID")]
    recording: RecordingId,
    /// Pseudonym of the person who was recorded and asks for it: a pupil of the list in force, or a
    /// teacher, coach or parent of the directory.
    #[arg(long, value_name = "ID")]
    requested_by: PersonId,
    /// Pseudonym of the privacy officer of the directory who approves it.
    #[arg(long, value_name = "ID")]
    approved_by: PersonId,
    /// The file with the written reason.
    #[arg(long, value_name = "FILE")]
    reason: PathBuf,
    /// How long, 90 days at most [default: 90 d].
    #[arg(long = "for", value_name = "DURATION")]
    length: Option<String>,
    #[command(flatten)]
    of: Which,
    #[command(flatten)]
    keys: Keys,
}

/// End a hold.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil retention release 0197c2a0-... --by fg-01 --store STORE\n  \
    classveil retention release 0197c2a0-... --by fg-01 --store STORE --json\n\n\
    Exit codes: 0 ended, 66 no such recording, 77 there is no hold, or somebody else's it is to end.")]
struct Release {
    /// The recording.
    #[arg(value_name = "ID")]
    recording: RecordingId,
    /// Pseudonym of who ends it: the privacy officer, or who asked for it.
    #[arg(long, value_name = "ID")]
    by: PersonId,
    #[command(flatten)]
    of: Which,
    #[command(flatten)]
    keys: Keys,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Plan(args) => show_plan(args),
        Command::Apply(args) => run_apply(args),
        Command::CloseTalk(args) => run_close_talk(args),
        Command::Hold(args) => run_hold(args),
        Command::Release(args) => {
            let opened = args.of.open(&args.keys)?;
            let Opened { store, log, .. } = &opened;
            let roles = roles_in(store, &log.entries()?)?;
            release(store, log, &roles, args.recording, &args.by, SystemClock.now())?;
            say(&args.of, args.recording, "released", None);
            Ok(())
        }
    }
}

/// A date is its first moment, here.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let date = text.parse::<Date>().map_err(|_| {
        "give a date such as 2026-12-24, or a time with its offset such as 2026-12-24T08:00:00+01:00"
            .to_owned()
    })?;
    date.to_zoned(TimeZone::system()).map(|zoned| zoned.timestamp()).map_err(|e| e.to_string())
}

/// Says which exports should not be out any more.
pub(super) fn say_recalls(recalls: &[Recall]) {
    for recall in recalls {
        output::line(recall);
    }
}

/// Refuses a recording that nobody gets now, by the log of the store that it lies in.
pub(super) fn refuse_withheld(
    store: &Path,
    recording: RecordingId,
    config: &Config,
) -> Result<(), Failure> {
    let Some(why) = withheld(store, recording, config)? else { return Ok(()) };
    Err(Failure::new(ErrorKind::Denied, format!("{recording} is withheld from everyone: {why}")))
}

/// Why nobody gets a recording now, by the log of the store that it lies in.
pub(super) fn withheld(
    store: &Path,
    recording: RecordingId,
    config: &Config,
) -> Result<Option<String>, Failure> {
    let entries = entries(store, config.store.box_key.as_deref())?;
    let key = BoxPublicKey::load(&store.join("box.pub"))?;
    let Some(known) = look_up(store, &entries, recording, &key) else { return Ok(None) };
    let highest = entries.iter().map(|entry| entry.at).max();
    let clock = Clock { now: SystemClock.now(), trusted: is_known(&entries), highest };
    let action = plan(&[known], &policy(config, None)?, &clock).pop();
    let action = action.filter(|action| action.verdict != Verdict::Keep);
    let reasons = |action: Action| {
        let reasons: Vec<String> = action.reasons.iter().map(ToString::to_string).collect();
        reasons.join(", ")
    };
    Ok(action.map(reasons))
}

/// Refuses a recording that is held or restricted, by the log of the store that it lies in.
pub(super) fn refuse_frozen(store: &Path, recording: RecordingId) -> Result<(), Failure> {
    let entries = entries(store, None)?;
    let key = BoxPublicKey::load(&store.join("box.pub"))?;
    match look_up(store, &entries, recording, &key) {
        Some(known) if known.is_frozen(SystemClock.now()) => Err(Failure::new(
            ErrorKind::Denied,
            format!("{recording} is held or restricted: it stays as it is"),
        )),
        _ => Ok(()),
    }
}

/// Destroys what is due in `opened`, by its configuration.
pub(super) fn apply_now(opened: &Opened) -> Result<Applied, Failure> {
    let policy = policy(&opened.config, None)?;
    let Opened { store, key, log, .. } = opened;
    let now = SystemClock.now();
    let trusted = is_known(&log.known()?);
    let clock = Clock { now, trusted, highest: log.highest() };
    Ok(apply(store, log, key, &policy, &clock)?)
}

pub(super) fn policy(config: &Config, after: Option<&str>) -> Result<Policy, Failure> {
    let after = after.map(parse_duration).transpose();
    let after =
        after.map_err(|error| Failure::new(ErrorKind::Usage, format!("--after: {error}")))?;
    Ok(retention_policy(config, after)?)
}

#[derive(Serialize)]
struct PlanReport<'a> {
    at: Timestamp,
    clock_trusted: bool,
    keep: usize,
    withhold: usize,
    destroy: usize,
    recordings: &'a [Action],
}

fn show_plan(args: &Plan) -> Result<(), Failure> {
    let (config, store) = args.of.find()?;
    let policy = policy(&config, None)?;
    let trust = paths::audit_trust(None, config.store.box_key.as_deref())?;
    let (entries, highest) = match check_log(&store, &trust, &[]) {
        Ok(checked) => {
            let checked = checked.whole()?;
            let highest = checked.highest();
            (checked.entries, highest)
        }
        Err(AuditError::NoLog { .. }) if store.is_dir() => (Vec::new(), None),
        Err(error) => return Err(error.into()),
    };
    let key = match BoxPublicKey::load(&store.join("box.pub")) {
        Ok(key) => key,
        // No recording, no key: there is nothing to plan.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Failure::new(
                ErrorKind::NotFound,
                format!("{} holds no recordings: it has no box.pub", store.display()),
            ));
        }
        Err(error) => return Err(error.into()),
    };
    // What if: the clock in question is the one given.
    let clock = match args.at {
        Some(now) => Clock { now, trusted: true, highest: None },
        None => Clock { now: SystemClock.now(), trusted: is_known(&entries), highest },
    };
    let actions = plan(&survey(&store, &entries, &key)?, &policy, &clock);
    let count = |verdict| actions.iter().filter(|action| action.verdict == verdict).count();
    let [keep, withhold, destroy] = [Verdict::Keep, Verdict::Withhold, Verdict::Destroy].map(count);
    if args.of.json {
        output::json(&PlanReport {
            at: clock.now,
            clock_trusted: clock.trusted,
            keep,
            withhold,
            destroy,
            recordings: &actions,
        });
        return Ok(());
    }
    for action in &actions {
        output::line(row(action));
    }
    output::line(format_args!("{keep} kept, {withhold} withheld, {destroy} to be destroyed"));
    if !clock.trusted {
        output::note(
            "note: the kernel does not report its clock as synchronised, so by a deadline nothing would be \
             destroyed now",
        );
    }
    Ok(())
}

fn row(action: &Action) -> String {
    let set_by = serde_json::to_string(&action.deadline.set_by).unwrap_or_default();
    let reasons: Vec<String> = action.reasons.iter().map(ToString::to_string).collect();
    format!(
        "{}  {:8}  {}  {:13}  {}",
        action.recording,
        action.verdict.to_string(),
        action.deadline.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        set_by.trim_matches('"'),
        reasons.join(", "),
    )
}

#[derive(Serialize)]
struct ApplyReport<'a> {
    at: Timestamp,
    clock_trusted: bool,
    destroyed: &'a [RecordingId],
    returned: &'a [RecordingId],
    finished: &'a [RecordingId],
    busy: &'a [RecordingId],
    withheld: Vec<RecordingId>,
    grants_ended: Vec<Ended>,
    failed: Vec<Failed>,
}

#[derive(Serialize)]
struct Ended {
    recording: RecordingId,
    person: PersonId,
}

#[derive(Serialize)]
struct Failed {
    recording: RecordingId,
    error: String,
}

fn run_apply(args: &Apply) -> Result<(), Failure> {
    let opened = args.of.open(&args.keys)?;
    let policy = policy(&opened.config, None)?;
    let clock = Clock {
        now: SystemClock.now(),
        trusted: args.danger_trust_clock || is_known(&opened.log.known()?),
        highest: opened.log.highest(),
    };
    let applied = apply(&opened.store, &opened.log, &opened.key, &policy, &clock)?;
    let withheld = applied.plan.iter().filter(|action| action.verdict == Verdict::Withhold);
    let withheld: Vec<RecordingId> = withheld.map(|action| action.recording).collect();
    if args.of.json {
        let failed = applied
            .failed
            .iter()
            .map(|(recording, error)| Failed { recording: *recording, error: error.to_string() });
        output::json(&ApplyReport {
            at: clock.now,
            clock_trusted: clock.trusted,
            destroyed: &applied.destroyed,
            returned: &applied.returned,
            finished: &applied.finished,
            busy: &applied.busy,
            withheld,
            grants_ended: applied
                .ended
                .iter()
                .map(|(recording, person)| Ended { recording: *recording, person: person.clone() })
                .collect(),
            failed: failed.collect(),
        });
    } else {
        print(&applied, &withheld, &opened.store);
        if !clock.trusted {
            output::note(
                "note: by a deadline nothing was destroyed, because the kernel does not report its clock as \
                 synchronised; what is due is withheld. Set up time synchronisation, or look at the \
                 clock and give --danger-trust-clock",
            );
        }
    }
    match applied.failed.into_iter().next() {
        None => Ok(()),
        Some((id, error)) => Err(Failure::new(
            error.kind(),
            format!("recording {id} could not be destroyed: {error}; the next run tries again"),
        )),
    }
}

fn print(applied: &Applied, withheld: &[RecordingId], store: &Path) {
    for id in &applied.destroyed {
        let certificate = store.join("certificates").join(format!("{id}.json"));
        output::line(format_args!("{id}: destroyed, certificate {}", certificate.display()));
    }
    for id in &applied.finished {
        output::line(format_args!("{id}: destruction finished that had been interrupted"));
    }
    for id in &applied.returned {
        output::line(format_args!("{id}: had been destroyed, was there again, is gone again"));
    }
    for id in &applied.busy {
        output::line(format_args!("{id}: due, but in use: it goes with the next run"));
    }
    for (id, person) in &applied.ended {
        output::line(format_args!("{id}: the grant of {person} ended"));
    }
    for id in withheld {
        output::line(format_args!("{id}: withheld"));
    }
    for (id, error) in &applied.failed {
        output::note(format_args!("{id}: {error}"));
    }
    if applied.destroyed.len() + applied.finished.len() + applied.returned.len() == 0 {
        output::line(format_args!("nothing destroyed, {} recordings", applied.plan.len()));
    }
}

#[derive(Serialize)]
struct Changed {
    recording: RecordingId,
    change: &'static str,
    until: Option<Timestamp>,
}

fn say(of: &Which, recording: RecordingId, change: &'static str, until: Option<Timestamp>) {
    if of.json {
        output::json(&Changed { recording, change, until });
        return;
    }
    let until = until.map_or_else(String::new, |until| {
        format!(", until {}", until.strftime("%Y-%m-%dT%H:%M:%SZ"))
    });
    output::line(format_args!("{recording}: {change}{until}"));
}

fn run_close_talk(args: &CloseTalk) -> Result<(), Failure> {
    let opened = args.of.open(&args.keys)?;
    let policy = policy(&opened.config, args.after.as_deref())?;
    let Opened { store, key, log, .. } = &opened;
    let (roles, now) = (roles_in(store, &log.entries()?)?, SystemClock.now());
    let at = (store.as_path(), log, key);
    let delete_by = close_talk(at, &roles, args.recording, &args.by, &policy, now)?;
    say(&args.of, args.recording, "talk closed", Some(delete_by));
    Ok(())
}

fn run_hold(args: &Hold) -> Result<(), Failure> {
    let length = args.length.as_deref().map(parse_duration).transpose();
    let length =
        length.map_err(|error| Failure::new(ErrorKind::Usage, format!("--for: {error}")))?;
    let reason = std::fs::read(&args.reason).map_err(|error| {
        let path = args.reason.display();
        Failure::new(ErrorKind::of_io(&error), format!("cannot read {path}: {error}"))
    })?;
    if reason.trim_ascii().is_empty() {
        let message = format!("{} is empty: a hold needs a reason", args.reason.display());
        return Err(Failure::new(ErrorKind::Config, message));
    }
    let opened = args.of.open(&args.keys)?;
    let new = NewHold {
        recording: args.recording,
        requested_by: args.requested_by.clone(),
        approved_by: args.approved_by.clone(),
        length: length.unwrap_or(HOLD),
        reason: Digest::of(&reason),
    };
    let Opened { store, log, .. } = &opened;
    let roles = roles_in(store, &log.entries()?)?;
    let until = hold(store, log, &roles, &new, SystemClock.now())?;
    say(&args.of, args.recording, "held", Some(until));
    Ok(())
}
