//! `classveil audit`: looks at the log of a store, checks it, and hands out checkpoints.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Failure, output, paths, places, renew};
use crate::{
    error::ErrorKind,
    units::RecordingId,
    vault::{
        Existing, Output,
        audit::{AuditTrust, Checked, Entry, Flaw, check_log, checkpoints_in},
    },
};

/// Look at what happened to recordings, and check that nobody changed the record of it.
///
/// The log has a line for every recording that was armed, started, sealed, viewed, held or
/// destroyed. Each line is signed and carries the digest of the one before; a checkpoint stands for
/// all of them. Who keeps a copy of a checkpoint can prove later that nothing was taken back.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(Verify),
    Show(Show),
    Checkpoint(Export),
    Prove(Prove),
    Renew(renew::Renew),
    Clear(renew::Clear),
}

/// Which log, and whose signature counts in it.
#[derive(Debug, clap::Args)]
struct Of {
    /// The store [default: the configured one].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Public key of the log, kept since the box was set up [default: this machine's own].
    #[arg(long, value_name = "FILE.vkey")]
    key: Option<PathBuf>,
    /// Settings, for the store's folder and the box's keys.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Of {
    fn check(&self, checkpoints: &[PathBuf]) -> Result<(Checked, AuditTrust), Failure> {
        let config = places::settings(self.config.as_deref(), self.store.as_deref())?;
        let store = places::store(self.store.as_deref(), &config)?;
        let trust = paths::audit_trust(self.key.as_deref(), config.store.box_key.as_deref())?;
        let kept = checkpoints.iter().map(|path| checkpoints_in(path));
        let kept = kept.collect::<Result<Vec<_>, _>>()?.concat();
        let checked = check_log(&store, &trust, &kept)?;
        Ok((checked, trust))
    }

    /// A log without flaws, or the error that names them.
    fn whole(&self) -> Result<Checked, Failure> {
        let (checked, trust) = self.check(&[])?;
        if matches!(trust, AuditTrust::Unpinned) {
            output::note(format_args!("warning: {UNPINNED}"));
        }
        Ok(checked.whole()?)
    }
}

/// What is said of a log whose key nobody vouches for.
const UNPINNED: &str =
    "unpinned key: this shows damage but not forgery; give the log's key by --key FILE.vkey";

/// Check that no line was edited, removed, inserted or reordered.
///
/// Names each line at fault. A tail that was cut off cleanly, together with the checkpoint beside
/// the log, shows only against a checkpoint that somebody kept: give it with --checkpoint. A last
/// line that a crash tore is no tampering; the next line written sets it right. Where the log's key is neither
/// given nor this machine's own, anybody could have written it: then this fails, and says so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil audit verify --store /var/lib/classveil/store\n  \
    classveil audit verify --store COPY --key log.vkey --checkpoint 2026-11.checkpoint --json\n  \
    classveil audit verify --config box.toml --checkpoint /mnt/witness\n\n\
    Exit codes: 0 as it was written, 65 tampered with or damaged, 66 no log, 77 nobody vouches for its \
    key, 78 of another key.")]
struct Verify {
    #[command(flatten)]
    of: Of,
    /// A checkpoint kept elsewhere, or a folder of them (*.checkpoint); may be given several times.
    #[arg(long = "checkpoint", value_name = "FILE|DIR")]
    checkpoints: Vec<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Print the log, one line per event.
///
/// Checks it first and prints nothing of a log that is not as it was written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil audit show --store /var/lib/classveil/store\n  \
    classveil audit show --store STORE --recording 0197c2a0-... --json\n  \
    classveil audit show --store STORE --kind destroyed --from 100")]
struct Show {
    #[command(flatten)]
    of: Of,
    /// Only lines about this recording.
    #[arg(long, value_name = "ID")]
    recording: Option<RecordingId>,
    /// Only events of this kind, such as viewed or destroyed.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only from this line on.
    #[arg(long, value_name = "LINE", default_value_t = 1)]
    from: u64,
    /// Print the lines as they are in the file: one JSON object each.
    #[arg(long)]
    json: bool,
}

/// Hand out the newest checkpoint, for a witness to keep.
///
/// A checkpoint is a short signed text in the form of C2SP tlog-checkpoint. Mail it, print it, keep
/// it with the staff council: it stands for every line up to now and holds nothing about anybody.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil audit checkpoint --store /var/lib/classveil/store --output 2026-11.checkpoint\n  \
    classveil audit checkpoint --store STORE | mail -s checkpoint privacy@school.example")]
struct Export {
    #[command(flatten)]
    of: Of,
    /// Write it to this new file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Prove that one line is in the log.
///
/// The proof is a short text in the form of C2SP tlog-proof: the way from the line to a signed
/// checkpoint. Anybody who has the line and the log's public key can check it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil audit prove 17 --store /var/lib/classveil/store\n  \
    classveil audit prove 17 --store STORE --output 17.tlog-proof")]
struct Prove {
    /// The line's number.
    #[arg(value_name = "LINE")]
    line: u64,
    #[command(flatten)]
    of: Of,
    /// Write it to this new file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Verify(args) => verify(args),
        Command::Show(args) => show(args),
        Command::Checkpoint(args) => {
            let checked = args.of.whole()?;
            let checkpoint = checked.checkpoint.as_ref().ok_or_else(|| {
                Failure::new(ErrorKind::NotFound, "there is no checkpoint yet: try again")
            })?;
            hand_out(&checkpoint.note, args.output.as_deref())
        }
        Command::Prove(args) => {
            let proof = args.of.whole()?.prove(args.line)?;
            hand_out(&proof.to_string(), args.output.as_deref())
        }
        Command::Renew(args) => renew::run(args),
        Command::Clear(args) => renew::run_clear(args),
    }
}

fn hand_out(text: &str, path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path else {
        output::line(text.trim_end_matches('\n'));
        return Ok(());
    };
    let mut file = Output::create(path, Existing::Keep)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(|error| {
        Failure::new(ErrorKind::of_io(&error), format!("{}: {error}", path.display()))
    })?;
    Ok(file.publish()?)
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    log: &'a str,
    key: String,
    pinned: bool,
    lines: u64,
    checkpoint_lines: Option<u64>,
    torn_bytes: Option<u64>,
    flaws: &'a [Flaw],
}

fn verify(args: &Verify) -> Result<(), Failure> {
    let (checked, trust) = args.of.check(&args.checkpoints)?;
    let ok = checked.flaws.is_empty();
    let pinned = !matches!(trust, AuditTrust::Unpinned);
    if args.json {
        output::json(&Report {
            ok: ok && pinned,
            log: checked.key.origin(),
            key: checked.key.to_string(),
            pinned,
            lines: checked.lines,
            checkpoint_lines: checked.checkpoint.as_ref().map(|c| c.size),
            torn_bytes: checked.torn.map(|torn| torn.bytes),
            flaws: &checked.flaws,
        });
    } else {
        if let Some(torn) = checked.torn {
            output::note(format_args!(
                "note: a crash left {} bytes of a line that was never complete; the next line sets \
                 it right",
                torn.bytes
            ));
        }
        for flaw in &checked.flaws {
            output::line(flaw);
        }
        if ok {
            let kept =
                if args.checkpoints.is_empty() { "" } else { ", as every kept checkpoint says" };
            output::line(format_args!(
                "{}: {} lines, as they were written{kept}",
                checked.key.origin(),
                checked.lines
            ));
        }
    }
    match (ok, pinned) {
        (true, true) => Ok(()),
        (true, false) => Err(Failure::new(ErrorKind::Denied, UNPINNED)),
        (false, _) => Ok(checked.whole().map(drop)?),
    }
}

/// What a line says besides its frame.
#[derive(serde::Deserialize)]
struct Shown<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
}

fn show(args: &Show) -> Result<(), Failure> {
    let checked = args.of.whole()?;
    for entry in &checked.entries {
        let about = entry.event.as_ref().and_then(crate::vault::audit::Event::recording);
        let wanted = entry.line >= args.from
            && args.recording.is_none_or(|id| about == Some(id))
            && args.kind.as_deref().is_none_or(|kind| kind_of(entry).as_deref() == Some(kind));
        if !wanted {
            continue;
        }
        if args.json {
            output::line(&entry.text);
        } else {
            let event = serde_json::from_str::<Shown<'_>>(&entry.text).ok();
            let event = event.map_or("", |shown| shown.event.get());
            let at = entry.at.strftime("%Y-%m-%dT%H:%M:%SZ");
            output::line(format_args!("{:>6}  {at}  {event}", entry.line));
        }
    }
    Ok(())
}

fn kind_of(entry: &Entry) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Kind {
        kind: String,
    }
    let shown: Shown<'_> = serde_json::from_str(&entry.text).ok()?;
    serde_json::from_str::<Kind>(shown.event.get()).ok().map(|kind| kind.kind)
}
