//! Promise: a box whose camera dies again and again records on, takes no more memory for it, and loses
//! no more than the time in which there is no camera.
//!
//! A short run here; `make soak` is the same for an hour. `CLASSVEIL_SOAK_S` says for how long,
//! `CLASSVEIL_SOAK_REPORT` where the figures go.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Command, Station};
use crate::{
    media::{Clips, sample},
    rtsp::Camera,
    support::project,
};

/// How long the camera is dead each time: a power strip that is switched off and on.
const DEAD: Duration = Duration::from_secs(3);
/// Within so long a dead camera is noticed.
const NOTICED: Duration = Duration::from_secs(6);
/// Within so long it is back after it answers: the third pause, and opening it.
const BACK: Duration = Duration::from_secs(20);

fn camera<'a>(body: &'a Value, id: &str) -> &'a Value {
    let all = body["cameras"].as_array().unwrap();
    all.iter().find(|camera| camera["camera"] == id).unwrap_or(&Value::Null)
}

/// What the program takes of the machine.
#[derive(Clone, Copy, Debug)]
struct Takes {
    at: f64,
    memory_mib: u64,
    threads: u64,
    files: usize,
}

impl Takes {
    fn now(station: &Station, began: Instant) -> Self {
        let id = station.running.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let number = |key: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim().trim_end_matches(" kB").trim().parse().unwrap()
        };
        Self {
            at: began.elapsed().as_secs_f64(),
            memory_mib: number("VmRSS:") / 1024,
            threads: number("Threads:"),
            files: fs::read_dir(format!("/proc/{id}/fd")).unwrap().count(),
        }
    }
}

fn middle(of: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = of.into_iter().collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn most(of: impl IntoIterator<Item = f64>) -> f64 {
    of.into_iter().fold(0.0, f64::max)
}

/// With what the service's unit says of memory: elsewhere the C library keeps more, and ever more.
fn as_the_unit(command: &mut Command) {
    let unit = fs::read_to_string(project("packaging/classveil.service")).unwrap();
    let words = unit
        .lines()
        .filter_map(|line| line.strip_prefix("Environment="))
        .flat_map(str::split_whitespace);
    let of_memory: Vec<_> = words
        .filter_map(|word| word.split_once('='))
        .filter(|(name, _)| name.starts_with("MALLOC_"))
        .collect();
    assert!(!of_memory.is_empty(), "{unit}");
    command.envs(of_memory);
}

/// Says when the box says so; how long it took.
#[track_caller]
fn until(station: &mut Station, within: Duration, away: bool) -> f64 {
    let began = Instant::now();
    station.until(if away { "away" } else { "back" }, |body| {
        camera(body, "cam1")["away"] == Value::Bool(away)
    });
    let took = began.elapsed();
    assert!(took < within, "{took:?}");
    took.as_secs_f64()
}

#[test]
fn a_camera_that_dies_again_and_again() {
    let length = std::env::var("CLASSVEIL_SOAK_S").ok().map_or(36, |s| s.parse::<u64>().unwrap());
    let every = Duration::from_secs(if length >= 120 { 60 } else { 12 });
    let length = Duration::from_secs(length);
    let clips = Clips::new();
    // Longer than the run: a camera has no end.
    let loops = length.as_secs() / 4 + 30;
    let from = sample("obama_speech.mp4");
    let args = format!("-stream_loop {loops} -i {} -c copy", from.display());
    let clip = clips.make("soak.mp4", &args);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut dying = Some(Camera::serve_at(port, &clip, None));
    let steady = Camera::serve(&clip, None);
    let urls = [dying.as_ref().unwrap().url(), steady.url()];
    let longest = length.as_secs() + 600;
    let remote = "[button]\ndanger-remote-start = true\n";
    let mut station = Station::new(&[&urls[0], &urls[1]], remote);
    let path = station.school.path("box.toml");
    let config = fs::read_to_string(&path).unwrap();
    let longer = format!("longest = \"{longest} s\"");
    fs::write(&path, config.replace("longest = \"10 min\"", &longer)).unwrap();
    station.start_with(as_the_unit);
    station.prepare();
    station.run(&["start"]).ended(0);
    station.until_kept();

    let began = Instant::now();
    let (mut takes, mut noticed, mut back) = (Vec::new(), Vec::new(), Vec::new());
    let mut due = every / 2;
    while began.elapsed() < length {
        if began.elapsed() >= due {
            due += every;
            drop(dying.take());
            noticed.push(until(&mut station, NOTICED, true));
            std::thread::sleep(
                DEAD.saturating_sub(Duration::from_secs_f64(noticed[noticed.len() - 1])),
            );
            dying = Some(Camera::serve_at(port, &clip, None));
            back.push(until(&mut station, BACK, false));
        }
        takes.push(Takes::now(&station, began));
        std::thread::sleep(Duration::from_secs(1));
    }
    let body = station.until("recording", |body| body["state"] == "recording");
    let figures = camera(&body, "cam1").clone();
    let other = camera(&body, "cam2").clone();
    station.run(&["stop"]).ended(0);
    station.until_state("sealed");
    let manifest = station.whole().remove(0);
    let gaps = manifest["gaps"].as_array().cloned().unwrap_or_default();
    assert_eq!(gaps.len(), noticed.len(), "{gaps:?}");
    assert!(gaps.iter().all(|gap| gap["camera"] == "cam1" && gap["why"] == "camera-lost"));
    assert_eq!((&figures["gaps"], &other["gaps"]), (&json!(gaps.len()), &json!(0)));
    let kept = |id: &str| -> u64 {
        let all = manifest["segments"].as_array().unwrap().iter();
        all.filter(|s| s["camera"] == id).map(|s| s["frames"].as_u64().unwrap()).sum()
    };

    // Memory, threads and files are flat once everything has happened once.
    let settled = &takes[takes.len() / 3..];
    let (first, last) = settled.split_at(settled.len() / 2);
    let memory = |of: &[Takes]| middle(of.iter().map(|one| one.memory_mib as f64));
    let grown = memory(last) - memory(first);
    assert!(grown < 24.0, "{grown} MiB more: {takes:?}");
    let threads = |of: &[Takes]| middle(of.iter().map(|one| one.threads as f64));
    assert!(threads(last) <= threads(first) + 4.0, "{takes:?}");
    let files = |of: &[Takes]| middle(of.iter().map(|one| one.files as f64));
    assert!(files(last) <= files(first) + 8.0, "{takes:?}");

    let fps = 12.0;
    let gap = figures["gap_seconds"].as_f64().unwrap();
    let report = json!({
        "seconds": began.elapsed().as_secs(),
        "deaths": noticed.len(),
        "dead_s_each": DEAD.as_secs(),
        "noticed_s": { "middle": middle(noticed.clone()), "most": most(noticed) },
        "back_s_after_it_answers": { "middle": middle(back.clone()), "most": most(back) },
        "gap_s_in_all": gap,
        "frames_not_sent_in_gaps": (gap * fps).round(),
        "cam1": { "frames_in": figures["frames_in"], "kept": kept("cam1"), "displaced": figures["frames_displaced"] },
        "cam2": { "frames_in": other["frames_in"], "kept": kept("cam2"), "displaced": other["frames_displaced"] },
        "memory_mib": { "first": memory(first), "last": memory(last), "most": most(takes.iter().map(|one| one.memory_mib as f64)) },
        "threads": { "first": threads(first), "last": threads(last) },
        "open_files": { "first": files(first), "last": files(last) },
        "memory_by_minute": takes.chunks(60).map(|minute| (minute[0].at.round(), memory(minute))).collect::<Vec<_>>(),
    });
    if let Some(path) = std::env::var_os("CLASSVEIL_SOAK_REPORT").map(PathBuf::from) {
        fs::write(path, format!("{report:#}\n")).unwrap();
    }
    println!("{report:#}");
}
