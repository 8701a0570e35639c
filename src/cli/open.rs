//! `classveil open`: decrypt and join a recording

use super::Failure;

/// decrypt and join a recording
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args) -> Result<(), Failure> {
    Err(Failure::new(crate::error::ErrorKind::Bug, "not built yet"))
}
