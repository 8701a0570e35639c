//! `classveil preflight`: every reason not to record, and what settles it.

use std::path::PathBuf;

use serde::Serialize;

use super::{Failure, output, places};
use crate::{
    appliance::{
        control::{self, Request},
        preflight::{self, Hardware, Reason},
    },
    clock::{Clock, SystemClock},
    error::ErrorKind,
};

/// Say every reason not to record, who can settle it, and how.
///
/// Looks at the models, the list, the registers, the disk, the clock, the lamp and the button, and
/// asks each camera whether it is there, without taking a picture. Where `classveil run` runs, it is
/// asked, because the lamp is its own, and looks at the lesson that is prepared as well.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil preflight --config /etc/classveil/classveil.toml\n  \
    classveil preflight --config /etc/classveil/classveil.toml --json\n\n\
    Exit codes: 0 nothing stands against a recording, 77 something does, 78 the configuration is \
    wrong.")]
pub(super) struct Args {
    /// The box's settings.
    #[arg(long, value_name = "FILE", env = places::CONFIG_VARIABLE,
        default_value = places::CONFIG)]
    config: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    ready: bool,
    reasons: &'a [Reason],
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = places::config(Some(&args.config))?;
    let socket = places::socket(&config);
    if control::is_there(&socket) {
        let answer = control::ask(&socket, &Request::Preflight)?;
        let reasons = answer.ok.then(|| answer.body["reasons"].clone());
        let reasons = reasons.and_then(|r| serde_json::from_value::<Vec<Reason>>(r).ok());
        let unknown = || Failure::new(ErrorKind::Transient, "the box gave no reasons: try again");
        return finish(args.json, &reasons.ok_or_else(unknown)?);
    }
    let of_box = places::of_box(&args.config, &config)?;
    let facts = preflight::look(&config, &of_box, SystemClock.now(), Hardware::Ours);
    finish(args.json, &preflight::judge(&config, &of_box, &facts, None))
}

/// Prints the reasons, and fails where there is one.
fn finish(json: bool, reasons: &[Reason]) -> Result<(), Failure> {
    if json {
        output::json(&Report { ready: reasons.is_empty(), reasons });
    } else if reasons.is_empty() {
        output::line("ready: nothing stands against a recording");
    }
    if reasons.is_empty() {
        return Ok(());
    }
    if !json {
        print(reasons);
    }
    let count = match reasons.len() {
        1 => "one reason stands".to_owned(),
        many => format!("{many} reasons stand"),
    };
    Err(Failure::new(ErrorKind::Denied, format!("nothing is recorded: {count} against it")))
}

/// A reason in two lines.
fn print(reasons: &[Reason]) {
    for Reason { code, sentence, who, settle } in reasons {
        output::line(format_args!("{code}: {sentence}"));
        output::line(format_args!("  {}: {settle}", who.word()));
    }
}
