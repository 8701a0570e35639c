//! The program itself, run for simulated years: its clock is what a file says, which only the build for
//! tests can be told to read. Between two times that the file names no time passes.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use classveil::{units::RecordingId, vault::Memo};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{DAY, HOUR, Running};
use crate::retention::Scene;

/// From one round of the box to the next.
const ROUND: i64 = classveil::appliance::retain::EVERY.as_secs() as i64;
const PATIENCE: Duration = Duration::from_secs(60);

/// A box whose machine stands in `zone`.
struct World {
    scene: Scene,
    zone: &'static str,
    /// The right time.
    time: Timestamp,
    /// How far the clock is from it, in seconds.
    ahead: i64,
    trusted: bool,
    /// Which run of the machine it is, and for how long.
    boot: u32,
    running_s: u64,
    program: Option<Running>,
    /// What is there, with its deadline.
    alive: Vec<(RecordingId, Timestamp)>,
    /// What is gone, with its deadline and when the first look was by which it may go.
    gone: Vec<(RecordingId, Timestamp, Timestamp)>,
}

impl World {
    fn new(zone: &'static str, begin: &str) -> Self {
        let scene = Scene::new();
        fs::write(
            scene.root.join("box.toml"),
            "[store]\nfolder = \"store\"\nbox-key = \"classveil/box.key\"\n\
             [control]\nsocket = \"box.sock\"\n",
        )
        .unwrap();
        let (time, alive, gone) = (begin.parse().unwrap(), Vec::new(), Vec::new());
        let world = Self {
            scene,
            zone,
            time,
            ahead: 0,
            trusted: true,
            boot: 1,
            running_s: 60,
            program: None,
            alive,
            gone,
        };
        drop(world.scene.log(time));
        world
    }

    /// What the machine's clock says.
    fn now(&self) -> Timestamp {
        self.time + SignedDuration::from_secs(self.ahead)
    }

    fn command(&self) -> Command {
        let said = json!({
            "now": self.now(),
            "running_s": self.running_s,
            "boot": format!("run-{}", self.boot),
            "trusted": self.trusted,
        });
        let path = self.scene.root.join("clock.json");
        fs::write(path.with_extension("part"), said.to_string()).unwrap();
        fs::rename(path.with_extension("part"), &path).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_classveil"));
        command.env("XDG_DATA_HOME", &self.scene.root).env("TZ", self.zone);
        command.current_dir(&self.scene.root).args(["--test-clock", "clock.json"]);
        command.stdin(Stdio::null());
        command
    }

    fn start(&mut self) {
        let log = fs::File::create(self.scene.root.join("said")).unwrap();
        let mut command = self.command();
        command.args(["run", "--config", "box.toml"]).stdout(Stdio::null()).stderr(log);
        self.program = Some(Running(command.spawn().unwrap()));
        self.round();
    }

    /// Ends the program, or the whole machine, and starts it after this long.
    fn restart(&mut self, seconds: i64, machine: bool) {
        self.program = None;
        self.time += SignedDuration::from_secs(seconds);
        if machine {
            (self.boot, self.running_s) = (self.boot + 1, 30);
        } else {
            self.running_s += u64::try_from(seconds).unwrap();
        }
        self.start();
    }

    /// Waits until the box has begun a round by the time that it is now.
    #[track_caller]
    fn round(&mut self) {
        let memo = Memo::Settling.path(&self.scene.store);
        let began = Instant::now();
        let boot = format!("run-{}", self.boot);
        loop {
            let seen = fs::read(&memo).unwrap_or_default();
            let seen: Value = serde_json::from_slice(&seen).unwrap_or_default();
            if seen["last"]["boot"] == boot && seen["last"]["running"]["secs"] == self.running_s {
                return;
            }
            let program: &mut Child = &mut self.program.as_mut().unwrap().0;
            let ended = program.try_wait().unwrap();
            if ended.is_some() || began.elapsed() > PATIENCE {
                let said = fs::read_to_string(self.scene.root.join("said")).unwrap();
                panic!("{}: no round at {}: {seen}\n{said}", self.zone, self.time);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lets time pass; the box looks once at its end.
    fn pass(&mut self, seconds: i64) {
        assert!(seconds >= ROUND, "{seconds} s: the box does not look so soon");
        self.time += SignedDuration::from_secs(seconds);
        self.running_s += u64::try_from(seconds).unwrap();
        drop(self.command());
        self.round();
    }

    fn until(&mut self, time: Timestamp) {
        self.pass(time.duration_since(self.time).as_secs());
    }

    /// A lesson of now that is kept for this long.
    fn record(&mut self, days: i64, seconds: i64) -> RecordingId {
        let now = self.now();
        let log = self.scene.log(now);
        let mut new = self.scene.new_recording(now, 0);
        new.delete_by = now + SignedDuration::from_secs(days * DAY + seconds);
        let deadline = new.delete_by;
        let id = self.scene.record_new(&log, new);
        self.alive.push((id, deadline));
        id
    }

    /// Everything that is alive is there, and nothing else.
    #[track_caller]
    fn nothing_went(&self) {
        for (id, deadline) in &self.alive {
            let key = self.scene.folder(*id).join("key.age");
            assert!(key.exists(), "{}: at {} {id} of {deadline} is gone", self.zone, self.time);
            assert!(!self.scene.certificate(*id).exists());
        }
    }

    /// What is due by the right time goes at this look, the first at which it may, and nothing else does.
    #[track_caller]
    fn goes(&mut self) {
        let (due, alive): (Vec<_>, _) =
            self.alive.iter().partition(|(_, deadline)| *deadline <= self.time);
        assert!(!due.is_empty(), "{}: nothing is due at {}", self.zone, self.time);
        let began = Instant::now();
        for (id, deadline) in due {
            while !self.scene.certificate(id).exists() {
                let said = || fs::read_to_string(self.scene.root.join("said")).unwrap();
                assert!(
                    began.elapsed() < Duration::from_secs(20),
                    "{}: at {} {id} of {deadline} is there: {}",
                    self.zone,
                    self.time,
                    said()
                );
                std::thread::sleep(Duration::from_millis(5));
            }
            self.gone.push((id, deadline, self.now()));
        }
        self.alive = alive;
        self.nothing_went();
    }

    /// To the deadline of what is due next and past it: there until then, gone at the first look after.
    #[track_caller]
    fn to_the_next(&mut self) {
        let next = self.alive.iter().map(|(_, deadline)| *deadline).min().unwrap();
        self.until(next - SignedDuration::from_secs(1));
        self.nothing_went();
        self.pass(ROUND);
        self.goes();
    }

    /// What the command line says of one recording, by the same clock.
    fn verdict(&self, id: RecordingId) -> String {
        let mut command = self.command();
        let args = ["retention", "plan", "--config", "box.toml", "--json"];
        let said = command.args(args).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let plan: Value = serde_json::from_slice(&said.stdout).unwrap();
        let all = plan["recordings"].as_array().unwrap();
        let one = all.iter().find(|one| one["recording"] == id.to_string()).unwrap();
        one["verdict"].as_str().unwrap().to_owned()
    }
}

/// Seconds from now to a time.
fn to(world: &World, time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().duration_since(world.time).as_secs()
}

fn years(zone: &'static str, shifts: [&str; 4]) {
    let mut world = World::new(zone, "2026-09-01T07:00:00Z");
    world.start();
    // Two years of lessons; some end in the hour that summer time skips or has twice.
    for shift in shifts {
        let before = to(&world, shift) - 20 * DAY;
        world.pass(before);
        for (days, seconds) in [(3, 0), (7, 1), (20, -1800), (20, -1), (20, 0), (20, 1800), (26, 5)]
        {
            let _ = world.record(days, seconds);
        }
        while !world.alive.is_empty() {
            world.to_the_next();
        }
        // A school year of nothing; the program is updated, and the power fails.
        world.restart(40 * DAY, true);
        world.restart(3 * HOUR, false);
    }

    // What becomes due while the box is off goes when it starts.
    let _ = world.record(3, 0);
    world.restart(9 * DAY, true);
    world.goes();

    // No network for weeks: nothing is destroyed, nobody gets what is due; then it goes at once.
    let due = world.record(8, 0);
    let _ = world.record(30, 0);
    world.trusted = false;
    world.pass(10 * DAY);
    world.restart(HOUR, false);
    world.pass(5 * DAY);
    world.nothing_went();
    assert_eq!(world.verdict(due), "withhold");
    world.trusted = true;
    world.pass(ROUND);
    world.goes();

    // Somebody sets the next year: everything is withheld, for as long as it is wrong nothing goes, and
    // the true deadlines are kept afterwards.
    let late = world.record(20, 0);
    world.ahead = 365 * DAY;
    world.pass(ROUND);
    world.nothing_went();
    assert_ne!(world.verdict(late), "keep");
    world.pass(10 * HOUR);
    world.restart(10 * HOUR, false);
    world.pass(3 * HOUR);
    world.nothing_went();
    world.ahead = 0;
    world.pass(ROUND);
    world.nothing_went();
    assert_eq!(world.verdict(late), "keep");
    while !world.alive.is_empty() {
        world.to_the_next();
    }

    // Right all the time, and set forward by ten days to stay so: what is due by that is withheld at once
    // and destroyed after a day of trusted running time, in which hours without trust do not count, and
    // those in which the machine was off neither.
    let sooner = world.record(12, 0);
    world.time += SignedDuration::from_secs(10 * DAY);
    world.pass(2 * DAY);
    world.nothing_went();
    assert_ne!(world.verdict(sooner), "keep");
    world.pass(12 * HOUR);
    world.trusted = false;
    world.pass(30 * HOUR);
    world.trusted = true;
    world.restart(HOUR, true);
    world.pass(11 * HOUR);
    world.nothing_went();
    world.pass(2 * HOUR);
    world.goes();

    // Set back by a month for two days: what becomes due stays and is nobody's, until a day after it is
    // right again.
    let _ = world.record(1, 0);
    world.ahead = -30 * DAY;
    world.pass(2 * DAY);
    world.nothing_went();
    world.ahead = 0;
    world.pass(ROUND);
    world.nothing_went();
    world.pass(23 * HOUR);
    world.nothing_went();
    world.pass(HOUR);
    world.goes();

    proven(&world);
}

/// Every certificate names the deadline and the time at which its recording went, and holds against the
/// log, which is whole.
fn proven(world: &World) {
    let args = |more: &[&str]| {
        let said = world.command().args(more).output().unwrap();
        assert!(said.status.success(), "{more:?}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap()
    };
    args(&["audit", "verify", "--store", "store", "--config", "box.toml"]);
    assert!(world.gone.len() > 30, "{}", world.gone.len());
    for (id, deadline, at) in &world.gone {
        let path = world.scene.certificate(*id);
        let said =
            args(&["verify-certificate", path.to_str().unwrap(), "--store", "store", "--json"]);
        let shown: Value = serde_json::from_str(&said).unwrap();
        let time =
            |name: &str| shown["certificate"][name].as_str().unwrap().parse::<Timestamp>().unwrap();
        assert_eq!(time("deadline"), *deadline, "{shown}");
        assert_eq!(time("destroyed"), *at, "{}: {shown}", world.zone);
        assert!(time("destroyed") >= *deadline);
    }
}

#[test]
fn the_program_keeps_every_deadline_for_years_in_amsterdam() {
    // From 2 to 3 in the morning there is no time in March, and twice the same in October.
    years(
        "Europe/Amsterdam",
        [
            "2027-03-28T01:00:00Z",
            "2027-10-31T01:00:00Z",
            "2028-03-26T01:00:00Z",
            "2028-10-29T01:00:00Z",
        ],
    );
}

#[test]
fn the_program_keeps_every_deadline_for_years_half_an_hour_off() {
    years(
        "America/St_Johns",
        [
            "2027-03-14T05:30:00Z",
            "2027-11-07T04:30:00Z",
            "2028-03-12T05:30:00Z",
            "2028-11-05T04:30:00Z",
        ],
    );
}
