//! `classveil config`: what a configuration file says, and what is wrong with it.

use std::path::PathBuf;

use serde_json::json;

use super::{Failure, output};
use crate::config::{BadFilter, Config, ConfigProblems, check_filter};

/// Check a configuration file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(Check),
}

/// Check a file and print the settings that differ from the defaults.
///
/// Nothing is started and nothing is written. Every problem is told at once, with its line and
/// column. Whether the files and cameras named in it exist is not looked at.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil config check config/classveil.toml\n  \
    classveil config check --json /etc/classveil/classveil.toml\n\n\
    Exit codes: 0 the file can be used, 66 it does not exist, 77 it may not be read, \
    78 something in it is wrong.")]
struct Check {
    /// The file to check.
    file: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Command::Check(check) = &args.command;
    let result = Config::load(&check.file);
    if check.json {
        output::json(&as_json(check, &result));
    }
    let config = result?;
    if !check.json {
        let changes = config.changes();
        output::line(format_args!("{}: OK", check.file.display()));
        if changes.is_empty() {
            output::line("every setting has its default");
        }
        for (option, value) in changes {
            output::line(format_args!("{option} = {value}"));
        }
    }
    Ok(())
}

/// `--log` and `CLASSVEIL_LOG`: the same words as `[log] filter`.
pub(super) fn log_filter(text: &str) -> Result<String, BadFilter> {
    check_filter(text).map(|()| text.to_owned())
}

fn as_json(check: &Check, result: &Result<Config, ConfigProblems>) -> serde_json::Value {
    match result {
        Ok(config) => json!({
            "file": check.file,
            "ok": true,
            "changed": config.changes().into_iter().collect::<serde_json::Map<_, _>>(),
        }),
        Err(problems) => json!({
            "file": check.file,
            "ok": false,
            "error": problems.summary(),
            "problems": problems.problems(),
        }),
    }
}
