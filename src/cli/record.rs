//! `classveil record`: record, veil and seal

use super::Failure;

/// record, veil and seal
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args) -> Result<(), Failure> {
    Err(Failure::new(crate::error::ErrorKind::Bug, "not built yet"))
}
