//! `classveil backup`: copies ciphertext without keys.

use std::path::PathBuf;

use super::{
    Failure, output,
    store::{Keys, Opened},
};
use crate::{
    clock::{Clock, SystemClock},
    error::ErrorKind,
    vault::{Trust, fsck::back_up},
};

/// Copy the encrypted recordings of a store to another disk, without any key.
///
/// Such a backup mends lost or altered segments on the same box (`classveil store check --repair
/// --from DIR`). It does not survive the box: the keys to the recordings are not in it, so that a
/// recording that is destroyed is destroyed everywhere. Run again it copies what is new, and
/// removes what was destroyed meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil backup /mnt/backup --store /var/lib/classveil/store\n  \
    classveil backup /mnt/backup --config /etc/classveil/classveil.toml --json")]
pub(super) struct Args {
    /// The folder for the copy; made where it is missing.
    #[arg(value_name = "DIR")]
    target: PathBuf,
    /// The store [default: the configured one].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    #[command(flatten)]
    keys: Keys,
    /// Settings, for the store's folder and the box's keys.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let opened = Opened::new(args.store.as_deref(), args.config.as_deref(), &args.keys)?;
    let Opened { store, key, log, .. } = &opened;
    let real = |path: &std::path::Path| path.canonicalize().ok();
    let inside = std::path::absolute(&args.target)
        .ok()
        .and_then(|target| target.ancestors().find_map(real))
        .zip(real(store))
        .is_some_and(|(target, store)| target.starts_with(store));
    if inside {
        let message =
            format!("{} lies inside the store: choose a place outside", args.target.display());
        return Err(Failure::new(ErrorKind::Usage, message));
    }
    let trust = Trust::Pinned(key.public().clone());
    let done = back_up(store, &args.target, &trust, log, SystemClock.now())?;
    for id in &done.left_out {
        output::note(format_args!(
            "note: {id} was left out: it is in use, not sealed or damaged; `classveil store check` \
             says which"
        ));
    }
    if args.json {
        output::json(&done);
    } else {
        output::line(format_args!(
            "{} recordings in {}: {} files copied ({} bytes), {} destroyed recordings removed",
            done.recordings,
            args.target.display(),
            done.copied,
            done.bytes,
            done.removed,
        ));
    }
    Ok(())
}
