//! `classveil config`: check a configuration file

use super::Failure;

/// check a configuration file
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args) -> Result<(), Failure> {
    Err(Failure::new(crate::error::ErrorKind::Bug, "not built yet"))
}
