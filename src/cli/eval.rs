//! `classveil eval`: how many frames leak, measured on scenes with known truth. `eval attack` has its
//! own file.

use std::{
    io::IsTerminal,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;

use super::{Failure, attack, output, places};
use crate::{
    appliance::watch_settings,
    clock::{Clock, SystemClock},
    error::ErrorKind,
    eval::{self, KINDS, Report, RunOptions, SceneOptions, Setup},
    shutdown::Shutdown,
    veil::policy::{Policy, Region},
};

/// Measure how well faces are hidden.
///
/// `scene` makes videos in which it is known who is where; `run` records them as `classveil record`
/// would, opens the result and counts the pictures in which somebody shows who must not. `attack` tries
/// to name people behind the veil.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Scene(SceneArgs),
    Run(RunArgs),
    Attack(attack::Args),
}

/// Make scenes out of the sample faces, with exact truth.
///
/// Each scene has a folder: the video, a pupil list with photos, and truth.jsonl, which says for every
/// picture who is where and which pixels are each face's own. The same seed gives the same truth.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Scenes: {}\n\n{}", KINDS.join(", "), "Examples:\n  \
    classveil eval scene --out scenes\n  \
    classveil eval scene --out quick --scenes class,edge --seconds 3 --size 640x360 --seed 7\n\n\
    Exit codes: 0 made, 64 usage, 66 a sample is missing, 74 disk, 78 the folder is not empty."))]
struct SceneArgs {
    /// The new folder for the scenes.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What chance begins with; the same seed gives the same truth.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Size of the pictures.
    #[arg(long, value_name = "WxH", default_value = "1920x1080", value_parser = size)]
    size: (u32, u32),
    /// Length of each scene in seconds, at 30 pictures a second.
    #[arg(long, value_name = "S", default_value_t = 8.0)]
    seconds: f32,
    /// Only these scenes, by name, with commas between [default: all].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    scenes: Vec<String>,
    /// Folder of the sample faces [default: where `make setup` puts them].
    #[arg(long, value_name = "DIR")]
    samples: Option<PathBuf>,
    /// Settings, for the models' folder.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the list of scenes as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Record scenes, open the result, and judge it.
///
/// A face is clear where more than 20% of its own pixels differ from the source by no more than the
/// encoder's own error, or where the recogniser still matches it with its source. Writes report.json,
/// a plot over time for each policy, and a contact sheet of the worst faces. Encodes with x264
/// ultrafast at 6 Mbit/s (1080p).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil eval run scenes\n  \
    classveil eval run scenes --policy refused --policy unless-cleared --policy everyone --json\n  \
    classveil eval run scenes --videos blurred/    # judge another program: blurred/SCENE.mp4\n\n\
    Exit codes: 0 nobody showed who must not, 65 a video does not fit its scene, 66 no scenes, 70 \
    somebody showed, 74 disk.")]
struct RunArgs {
    /// The folder that `eval scene` made.
    #[arg(value_name = "DIR")]
    scenes: PathBuf,
    /// Who is veiled: refused, unless-cleared or everyone; may be given several times [default:
    /// refused].
    #[arg(long = "policy", value_name = "P")]
    policies: Vec<Policy>,
    /// What is covered: head, person or picture [default: head].
    #[arg(long, value_name = "REGION")]
    region: Option<Region>,
    /// Folder for the results; those of an earlier run are replaced [default: DIR/results].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Judge the videos SCENE.mp4 in this folder instead of recording.
    #[arg(long, value_name = "DIR")]
    videos: Option<PathBuf>,
    /// Every how many pictures a face is given to the recogniser; 1 for all.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    match_every: u32,
    /// Keep the opened recordings beside the results.
    #[arg(long)]
    keep: bool,
    /// Settings: how frames are looked at, how veils look.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Scene(args) => scene(args),
        Command::Run(args) => measure(args),
        Command::Attack(args) => attack::run(args),
    }
}

fn shutdown() -> Result<Shutdown, Failure> {
    let shutdown = Shutdown::new();
    shutdown.on_signals().map_err(|error| {
        Failure::new(ErrorKind::Io, format!("cannot take over Ctrl-C and termination: {error}"))
    })?;
    Ok(shutdown)
}

fn scene(args: &SceneArgs) -> Result<(), Failure> {
    let config = places::config(args.config.as_deref())?;
    let models = places::models(&config)?;
    let shutdown = shutdown()?;
    let options = SceneOptions {
        seed: args.seed,
        width: args.size.0,
        height: args.size.1,
        seconds: args.seconds,
        scenes: args.scenes.clone(),
        samples: args.samples.clone().unwrap_or_else(samples),
    };
    let bar = bar(args.json, "{msg:12} {wide_bar} {pos}/{len} pictures {eta}");
    let set = eval::compose(&args.out, &options, &models, |name, done, total| {
        if bar.length() != Some(total) {
            bar.set_length(total);
        }
        bar.set_message(name.to_owned());
        bar.set_position(done);
        if shutdown.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    bar.finish_and_clear();
    if args.json {
        output::json(&set);
        return Ok(());
    }
    for scene in &set.scenes {
        let people = scene.people.len();
        output::line(format_args!(
            "{:12} {} pictures, {people} people: {}",
            scene.name, scene.frames, scene.about
        ));
    }
    Ok(())
}

fn measure(args: &RunArgs) -> Result<(), Failure> {
    let config = places::config(args.config.as_deref())?;
    let models = places::models(&config)?;
    let shutdown = shutdown()?;
    let region = args.region.unwrap_or(config.veil.region);
    let setup = Setup {
        models: &models,
        clock: &SystemClock,
        shutdown: &shutdown,
        today: SystemClock.now().to_zoned(TimeZone::system()).date(),
        watch: watch_settings(&config, config.recording.segment, region),
        look_ahead: config.veil.look_ahead,
        style: config.veil.style,
        threads: config.detect.threads as usize,
    };
    let mut policies = args.policies.clone();
    if policies.is_empty() {
        policies.push(Policy::default());
    }
    let options = RunOptions {
        scenes: args.scenes.clone(),
        out: args.out.clone().unwrap_or_else(|| args.scenes.join("results")),
        policies,
        videos: args.videos.clone(),
        match_every: args.match_every,
        keep: args.keep,
    };
    let bar = bar(args.json, "{msg:30} {wide_bar} {pos}/{len} {elapsed}");
    let (report, outputs) = eval::run(&setup, &options, |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(format!("{}: {}", progress.scene, progress.step));
    })?;
    bar.finish_and_clear();
    if args.json {
        output::json(&report);
    } else {
        output::line(&report);
        for file in &outputs.files {
            output::note(format_args!("written: {}", file.display()));
        }
    }
    verdict(&report, &options.out)
}

fn verdict(report: &Report, out: &Path) -> Result<(), Failure> {
    let clear = report.clear_frames();
    if clear == 0 {
        return Ok(());
    }
    Err(Failure::new(
        ErrorKind::Bug,
        format!(
            "faces that must be veiled can be seen, {clear} times one picture: see report.json and \
             worst-*.png in {}",
            out.display()
        ),
    ))
}

/// Where `make setup` puts the samples.
pub(super) fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples")
}

/// A bar on a terminal, where nobody asked for JSON.
pub(super) fn bar(json: bool, template: &str) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length();
    ProgressStyle::with_template(template).map_or(bar.clone(), |style| bar.with_style(style))
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let wrong = || format!("`{text}` is no size: write it as 1920x1080");
    let (width, height) = text.split_once('x').ok_or_else(wrong)?;
    let side = |text: &str| text.parse().map_err(|_| wrong());
    Ok((side(width)?, side(height)?))
}
