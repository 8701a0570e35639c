//! Promise: the box itself keeps every deadline, for years, whatever its clock does meanwhile.

mod years;

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use classveil::appliance::retain::{Reading, Retainer};
use jiff::{SignedDuration, Timestamp};

use crate::retention::{Scene, at, policy};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// What the machine's clock says at a second of true time: how far it is ahead, and whether it is
/// trusted.
fn clock(second: i64) -> (i64, bool) {
    match second / DAY {
        // Switched off, and on again by a dead battery: back in the past until the network answers.
        100..110 => (-400 * DAY, false),
        // No network for a month.
        200..230 => (0, false),
        // Somebody sets a wrong year, and the time server does not object for 20 hours.
        300 if second % DAY < 20 * HOUR => (365 * DAY, true),
        // Slow by some minutes, as clocks are.
        400..500 => (-300, true),
        _ => (0, true),
    }
}

#[test]
fn deadlines_are_kept_through_simulated_years() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let mut retainer = Retainer::new(policy(), &scene.store);
    let mut alive: Vec<(classveil::units::RecordingId, i64)> = Vec::new();
    let mut destroyed = 0;
    let round = 6 * HOUR;
    for second in (0..3 * 365 * DAY).step_by(usize::try_from(round).unwrap()) {
        let (ahead, trusted) = clock(second);
        // Lessons are recorded while the time is known: three a month, of different terms.
        if second % (10 * DAY) == 0 && (ahead, trusted) == (0, true) {
            let keep = 7 + (second / DAY) % 24;
            alive.push((scene.record(&log, at(second), keep), second + keep * DAY));
        }
        let running = Duration::from_secs(u64::try_from(second).unwrap());
        let boot = "a".to_owned();
        let reading = Reading { now: at(second + ahead), boot, running, trusted };
        let applied = retainer.round(&scene.store, &log, &scene.key, &reading).unwrap();
        assert!(applied.failed.is_empty() && applied.busy.is_empty(), "{applied:?}");
        for gone in &applied.destroyed {
            let (_, deadline) = alive.iter().find(|(id, _)| id == gone).unwrap();
            assert!(second >= *deadline, "day {}: too early by a wrong clock", second / DAY);
            destroyed += 1;
        }
        alive.retain(|(id, _)| !applied.destroyed.contains(id));
        // A clock that was set is watched for a day; one that is a little slow is late by that.
        let settled = (0..=30 * HOUR).step_by(usize::try_from(round).unwrap()).all(|before| {
            let (ahead, trusted) = clock(second - before);
            trusted && ahead.abs() <= 300
        });
        if settled {
            for (id, deadline) in &alive {
                assert!(second < deadline + round, "day {}: {id} is overdue", second / DAY);
            }
        }
    }
    assert!(destroyed > 90, "{destroyed}");
    // A lesson of the last days is there still, and everything that went has its line.
    assert!(!alive.is_empty());
    let lines = scene
        .events()
        .into_iter()
        .filter(|event| matches!(event, classveil::vault::audit::Event::Destroyed { .. }));
    assert_eq!(lines.count(), destroyed);
}

#[test]
fn a_restart_forgets_no_clock_that_was_set() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let id = scene.record(&log, at(0), 30);
    let round = |boot: &str, running: i64, ahead: i64| {
        // Each round is the first of a program that was started anew.
        let mut retainer = Retainer::new(policy(), &scene.store);
        let running = Duration::from_secs(u64::try_from(running).unwrap());
        let now = at(ahead) + SignedDuration::try_from(running).unwrap();
        let reading = Reading { now, boot: boot.to_owned(), running, trusted: true };
        retainer.round(&scene.store, &log, &scene.key, &reading).unwrap().destroyed
    };
    let mut retainer = Retainer::new(policy(), &scene.store);
    for (running, ahead) in [(10, 0), (20, 40 * DAY)] {
        let reading = Reading {
            now: at(running + ahead),
            boot: "a".to_owned(),
            running: Duration::from_secs(u64::try_from(running).unwrap()),
            trusted: true,
        };
        let applied = retainer.round(&scene.store, &log, &scene.key, &reading).unwrap();
        assert_eq!(applied.destroyed, []);
    }
    drop(retainer);
    let day = 40 * DAY;
    assert_eq!(round("a", 30, day), []);
    assert_eq!(round("a", 20 * HOUR, day), []);
    // Switched off and on: the hours before count still, those in between do not.
    assert_eq!(round("b", 10, day + 30 * HOUR), []);
    assert_eq!(round("b", 3 * HOUR, day + 30 * HOUR), []);
    assert!(scene.folder(id).exists());
    assert_eq!(round("b", 5 * HOUR, day + 30 * HOUR), [id]);

    // A note that cannot be read: the day begins anew.
    let second = scene.record(&log, at(day + 40 * HOUR), 1);
    let memo = classveil::vault::Memo::Settling.path(&scene.store);
    fs::write(&memo, "{").unwrap();
    assert_eq!(round("c", 10, day + 80 * HOUR), []);
    assert_eq!(round("c", 23 * HOUR, day + 80 * HOUR), []);
    assert_eq!(round("c", 25 * HOUR, day + 80 * HOUR), [second]);
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_box_destroys_what_is_due_when_it_starts() {
    let scene = Scene::new();
    let began = Timestamp::now() - SignedDuration::from_hours(40 * 24);
    let log = scene.log(began);
    let due = scene.record(&log, began, 30);
    let kept = scene.record(&log, began + SignedDuration::from_hours(20 * 24), 30);
    drop(log);
    fs::write(
        scene.root.join("box.toml"),
        "[store]\nfolder = \"store\"\nbox-key = \"classveil/box.key\"\n\
         [control]\nsocket = \"box.sock\"\n[clock]\ndanger-trust = \"system\"\n",
    )
    .unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_classveil"))
        .args(["run", "--config", "box.toml"])
        .env("XDG_DATA_HOME", &scene.root)
        .current_dir(&scene.root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _running = Running(child);
    let began = Instant::now();
    while !scene.certificate(due).exists() {
        assert!(began.elapsed() < Duration::from_secs(30), "nothing was destroyed");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!scene.folder(due).exists());
    assert!(scene.folder(kept).exists());
}
