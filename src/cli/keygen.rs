//! `classveil keygen`: a key pair for a person who may open recordings.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Failure, output};
use crate::{
    clock::{Clock, SystemClock},
    vault::{Recipient, write_identity},
};

/// Make a key pair for a person who may open recordings.
///
/// Writes the secret key to a new file and prints the public key, which `classveil record` takes as
/// --recipient. Keys of `age-keygen` work as well.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil keygen --output teacher.key\n  \
    classveil keygen --output teacher.key --json\n  \
    classveil record --recipient \"$(classveil keygen --output teacher.key)\" ...\n  \
    age -d -i teacher.key RECORDING/key.age > rec.key    # stock age opens the same files\n\n\
    Keep the secret key away from the box that records: who holds it can watch.")]
pub(super) struct Args {
    /// The new file for the secret key. It is never overwritten.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Made<'a> {
    path: &'a Path,
    fingerprint: String,
    recipient: &'a Recipient,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let recipient = write_identity(&args.output, SystemClock.now())?;
    if args.json {
        let (path, fingerprint) = (args.output.as_path(), recipient.fingerprint());
        output::json(&Made { path, fingerprint, recipient: &recipient });
        return Ok(());
    }
    output::line(recipient);
    Ok(())
}
