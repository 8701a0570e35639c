//! `classveil viewer`: the viewer as one file, signed by the box.

use std::path::PathBuf;

use serde::Serialize;

use super::{Failure, output, paths, places, store::refuse_other_box};
use crate::vault::{BoxKey, Digest};

/// What set-up built of `ui/`.
const VIEWER: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/ui/dist/viewer.html"));

/// Write the viewer: one file for a browser that opens recordings.
///
/// It needs no page of the box, stores nothing, and its own policy lets it connect to nowhere. The
/// box's signature lies beside it, for stock minisign.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil viewer --output viewer.html --box-key /var/lib/classveil/keys/box.key\n  \
    classveil viewer --output viewer.html --config /etc/classveil/classveil.toml\n  \
    minisign -Vm viewer.html -p box.pub          # who got it checks that it is the box's\n\n\
    Compare the printed digest with the one that somebody else's program prints: who controls a box\n\
    controls what it signs.\n\n\
    Exit codes: 0 written, 66 no such key or folder, 77 the key is open to others, 78 the file \
    exists.")]
pub(super) struct Args {
    /// The new file.
    #[arg(short, long, value_name = "FILE.html")]
    output: PathBuf,
    /// The box's signing key [default: the configured one, or this machine's own].
    #[arg(long, value_name = "FILE")]
    box_key: Option<PathBuf>,
    /// A store of that box, to be sure of it [default: the configured one].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Settings, for the store's folder and the box's key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    path: &'a std::path::Path,
    sha256: Digest,
    box_key: String,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = places::config(args.config.as_deref())?;
    let path = args.box_key.as_deref().or(config.store.box_key.as_deref());
    let key = BoxKey::load(&paths::box_key(path)?)?;
    if let Some(store) = args.store.as_deref().or(config.store.folder.as_deref()) {
        refuse_other_box(store, &key)?;
    }
    key.publish_program(&args.output, VIEWER, env!("CARGO_PKG_VERSION"))?;
    let sha256 = Digest::of(VIEWER);
    if args.json {
        output::json(&Report { path: &args.output, sha256, box_key: key.public().id() });
    } else {
        output::line(sha256);
        output::note(format_args!(
            "wrote {} and its signature by box {}",
            args.output.display(),
            key.public().id()
        ));
    }
    Ok(())
}
