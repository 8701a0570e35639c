//! `classveil completions`: shell completions on stdout.

use clap::CommandFactory;

use super::Failure;

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil completions bash > /etc/bash_completion.d/classveil\n  \
    classveil completions fish > ~/.config/fish/completions/classveil.fish")]
pub(super) struct Args {
    /// The shell to complete for.
    shell: clap_complete::Shell,
}

#[expect(clippy::unnecessary_wraps, reason = "every subcommand has the same shape")]
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    clap_complete::generate(
        args.shell,
        &mut super::Cli::command(),
        "classveil",
        &mut std::io::stdout(),
    );
    Ok(())
}
