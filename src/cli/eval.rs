//! `classveil eval`: measure what is promised.

use super::{Failure, attack};

/// Measure what is promised.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Attack(attack::Args),
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Attack(args) => attack::run(args),
    }
}
