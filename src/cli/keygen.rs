//! `classveil keygen`: make a key pair for a person

use super::Failure;

/// make a key pair for a person
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args) -> Result<(), Failure> {
    Err(Failure::new(crate::error::ErrorKind::Bug, "not built yet"))
}
