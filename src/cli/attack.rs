//! `classveil eval attack`: try to name people behind the veil.

use std::path::PathBuf;

use serde::Serialize;

use super::{Failure, eval, output, places};
use crate::{
    appliance::watch_settings,
    error::ErrorKind,
    eval::attack::{self, Finding, Report, Role, Row, Settings},
    veil::policy::Region,
};

/// Try to name people behind the veil.
///
/// An attacker that knows the class (the people of the sample media) sees faces hidden as a
/// recording hides them, and behind plain mosaics and blurs. It compares faces and trains a network
/// on what is left. It has to name most people behind something plain, or its failure at the veil
/// would say nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil eval attack\n  \
    classveil eval attack --seed 7 --asked 60 --json\n\n\
    A veil row reads `chance` when the 95% interval (Wilson) of the share named includes chance or\n\
    lies below it, `unclear` when it lies above (one row in forty does by accident: run again with\n\
    more takes), `named` when the interval of four standard deviations lies above too.\n\n\
    Exit codes: 0 no veil row reads `named` and the attacker is a real one, 64 usage, 65 a sample is\n\
    not what it should be, 66 a sample is missing, 70 people are named behind a veil, 75 the\n\
    attacker is too weak to say anything.")]
pub(super) struct Args {
    /// Folder with the sample media [default: where `make setup` puts them].
    #[arg(long, value_name = "DIR")]
    samples: Option<PathBuf>,
    /// Where views and training come from. The textures of veils come from the operating system.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Takes of each person that the attacker knows.
    #[arg(long, value_name = "N", default_value_t = 48)]
    known: usize,
    /// Takes of each person that it is asked about.
    #[arg(long, value_name = "N", default_value_t = 30)]
    asked: usize,
    /// Settings: how frames are looked at, and the models' folder.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Outcome<'a> {
    ok: bool,
    attacker_is_real: bool,
    #[serde(flatten)]
    report: &'a Report,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = places::config(args.config.as_deref())?;
    let models = places::models(&config)?;
    let settings = Settings {
        samples: args.samples.clone().unwrap_or_else(eval::samples),
        watch: watch_settings(&config, config.recording.segment, Region::Head),
        seed: args.seed,
        known: args.known,
        asked: args.asked,
    };
    let bar = eval::bar(args.json, "{msg:12} {wide_bar} {pos}/{len} {elapsed}");
    let report = attack::run(&models, &settings, &mut |what, done, total| {
        bar.set_message(what);
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let report = report?;
    let broken: Vec<&Row> = report.broken().collect();
    if args.json {
        let real = report.is_real();
        let ok = real && broken.is_empty();
        output::json(&Outcome { ok, attacker_is_real: real, report: &report });
    } else {
        print(&report);
    }
    if let Some(row) = broken.first() {
        return Err(Failure::new(
            ErrorKind::Bug,
            format!("people are named behind `{}`: {}", row.hidden_by, row.attack),
        ));
    }
    if !report.is_real() {
        return Err(Failure::new(
            ErrorKind::Transient,
            "the attacker names too few people behind plain mosaics to say anything: use more takes",
        ));
    }
    Ok(())
}

fn print(report: &Report) {
    output::line(format_args!(
        "{} people ({} filmed), {} takes asked about, seed {}",
        report.people, report.filmed, report.takes, report.seed
    ));
    for (role, title) in [
        (Role::Veil, "Behind the veil"),
        (Role::Control, "Behind something plain: what the attacker can do"),
        (Role::Residual, "Beside every veil"),
    ] {
        output::line(format_args!("\n{title}"));
        for row in report.rows.iter().filter(|row| row.role == role) {
            output::line(text(row));
        }
    }
    output::line(format_args!(
        "\nstrongest behind something plain: {:.0}%",
        100.0 * report.strength()
    ));
}

fn text(row: &Row) -> String {
    let finding = match row.finding {
        Finding::Chance => "chance",
        Finding::Unclear => "unclear",
        Finding::Named => "named",
    };
    format!(
        "  {:14} {:42} {:4} of {:4} {:5.1}% [{:4.1}, {:4.1}] chance {:4.1}%  {finding}",
        row.hidden_by,
        row.attack,
        row.named,
        row.takes,
        100.0 * row.share,
        100.0 * row.low,
        100.0 * row.high,
        100.0 * row.chance,
    )
}
