//! `classveil verify`: check a recording without a key

use super::Failure;

/// check a recording without a key
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args) -> Result<(), Failure> {
    Err(Failure::new(crate::error::ErrorKind::Bug, "not built yet"))
}
