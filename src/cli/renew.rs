//! `classveil audit renew` and `clear`: the way out of a damaged log.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{
    Failure, output, paths,
    people::roles_in,
    retention::policy,
    store::{AtStore, Keys, Opened, Which, refuse_other_box},
};
use crate::{
    clock::{Clock, SystemClock},
    error::ErrorKind,
    units::{PersonId, RecordingId},
    vault::{
        BoxKey, Digest,
        audit::{AuditKey, Flaw, Renewal, checkpoints_in},
        renewal::{Renewed, clear, renew},
    },
};

/// Begin a new log in the place of a damaged one.
///
/// The damaged log is set aside as it is, in `STORE/audit/aside-ID/`. The new one begins with its digest and
/// repeats every line that is genuine, so grants, holds, deadlines and destructions that the old one still
/// proves stay as they are. What was lost may have been a hold or an objection: every recording made till
/// now is withheld until the privacy officer clears it (`classveil audit clear`), and destroyed at its
/// deadline all the same; what is due by now is named, because a hold whose line was lost is to be entered
/// anew before the box is started. A register that is not exactly what the log named begins anew. A file that
/// cannot be read is not taken for an empty one. If the log can be restored from a copy, do that instead.
/// Stop the box first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil audit renew --by a-01 --reason \"bad sector, see ticket 412\" --store /srv/classveil\n  \
    classveil audit renew --by a-01 --reason \"cut off, as the witness says\" --checkpoint /mnt/witness\n\n\
    Exit codes: 0 renewed, 66 no log, 77 a file is another user's, 78 nothing is wrong with it, it is \
    another key's, or the clock is before its latest line.")]
pub(super) struct Renew {
    /// Who does so.
    #[arg(long, value_name = "ID")]
    by: PersonId,
    /// Why; its digest is kept.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// A checkpoint kept elsewhere, or a folder of them, that the log does not fit; may be given several
    /// times.
    #[arg(long = "checkpoint", value_name = "FILE|DIR")]
    checkpoints: Vec<PathBuf>,
    #[command(flatten)]
    at: Which,
    #[command(flatten)]
    keys: Keys,
}

/// Say that a damaged log leaves nothing in doubt about recordings, so that they are handed out again.
///
/// For the privacy officer, who knows from papers whether somebody objected to a recording or asked for it to
/// be kept, whether a pupil refused later and which grants were ended, and enters that anew before.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil audit clear 0197c2a0-... --by fg-01 --store /srv/classveil\n  \
    classveil audit clear 0197c2a0-... 0197c2a1-... --by fg-01 --store /srv/classveil --json\n\n\
    Exit codes: 0 cleared, 77 not for this person, or nothing is in doubt; then nothing is written.")]
pub(super) struct Clear {
    /// The recordings.
    #[arg(value_name = "ID", required = true)]
    recordings: Vec<RecordingId>,
    /// Who says so: the privacy officer of the directory of people.
    #[arg(long, value_name = "ID")]
    by: PersonId,
    #[command(flatten)]
    of: AtStore,
}

#[derive(Serialize)]
struct Report<'a> {
    aside: &'a Path,
    flaws: &'a [Flaw],
    registers: &'a [&'static str],
    in_doubt: &'a [RecordingId],
    due: &'a [RecordingId],
    #[serde(flatten)]
    renewal: &'a Renewal,
}

pub(super) fn run(args: &Renew) -> Result<(), Failure> {
    let (config, store) = args.at.find()?;
    if args.reason.trim().is_empty() {
        return Err(Failure::new(ErrorKind::Usage, "--reason: say why"));
    }
    let path = paths::box_key(args.keys.box_key.as_deref().or(config.store.box_key.as_deref()))?;
    let key = BoxKey::load(&path)?;
    refuse_other_box(&store, &key)?;
    let audit = AuditKey::load(&paths::audit_key(args.keys.audit_key.as_deref(), &path))?;
    let kept = args.checkpoints.iter().map(|path| checkpoints_in(path));
    let kept = kept.collect::<Result<Vec<_>, _>>()?.concat();
    let reason = Digest::of(args.reason.trim().as_bytes());
    let (by, now) = ((&args.by, reason), SystemClock.now());
    let made = renew(&store, (&key, &audit), &kept, by, &policy(&config, None)?, now)?;
    let Renewed { renewal, flaws, aside, registers, in_doubt, due } = &made;
    if args.at.json {
        output::json(&Report { aside, flaws, registers, in_doubt, due, renewal });
        return Ok(());
    }
    for flaw in flaws {
        output::line(flaw);
    }
    output::line(format_args!("set aside in {}", aside.display()));
    output::line(format_args!("{} lines are genuine and go on", renewal.kept));
    output::line(format_args!("{} lines are known to be lost", renewal.lost));
    for register in registers {
        output::line(format_args!(
            "{register} is not what the log named and begins anew: enter again what was in it"
        ));
    }
    output::line(format_args!(
        "{} recordings are withheld until the privacy officer clears them: `classveil audit clear`",
        in_doubt.len()
    ));
    for recording in due {
        output::line(format_args!(
            "{recording} is due: it is destroyed when the box starts, unless it is held before: \
             `classveil retention hold`"
        ));
    }
    Ok(())
}

#[derive(Serialize)]
struct Cleared<'a> {
    recordings: &'a [RecordingId],
    by: &'a PersonId,
}

pub(super) fn run_clear(args: &Clear) -> Result<(), Failure> {
    let Opened { store, log, .. } = &args.of.open()?;
    let roles = roles_in(store, &log.entries()?)?;
    let Clear { recordings, by, .. } = args;
    clear((store.as_path(), log), &roles, recordings, by, SystemClock.now())?;
    if args.of.at.json {
        output::json(&Cleared { recordings, by });
    } else {
        for recording in recordings {
            output::line(format_args!("{recording}: nothing is in doubt"));
        }
    }
    Ok(())
}
