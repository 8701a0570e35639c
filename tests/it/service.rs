//! Promise: the box records a lesson from a press of its button to the seal, only while nothing stands
//! against it and its lamp is on, and loses nothing of it whatever ends it.

mod cameras;
mod clock;
mod cut;
mod limits;
mod reload;
mod soak;

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::{Pid, Signal, kill_process},
};
use serde_json::Value;

use crate::{
    keys::{accept, enrol},
    media::{Clips, ffprobe, frame_times, sample},
    record::stop::endless,
    rtsp::Camera,
    scene::{Said, School, text},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A box: its settings, its button and its lamp; it runs between `start` and `stop`.
pub(crate) struct Station {
    pub(crate) school: School,
    running: Option<Child>,
}

impl Station {
    /// A box whose papers are in order, with these cameras and settings beside the usual ones.
    pub(crate) fn new(cameras: &[&str], more: &str) -> Self {
        let station = Self::bare(cameras, more);
        station.settle();
        station
    }

    /// A box as it is installed: configured, and nothing on record.
    pub(crate) fn bare(cameras: &[&str], more: &str) -> Self {
        let school = School::with_refused_man();
        fs::create_dir(school.path("lamp")).unwrap();
        fs::write(school.path("lamp/brightness"), "0\n").unwrap();
        let owner = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, school.path("button"), FileType::Fifo, owner, 0).unwrap();
        let mut config = format!(
            "[store]\nfolder = \"store\"\n[control]\nsocket = \"box.sock\"\n\
             [recording]\nteacher = \"t-07\"\ncoach = \"c-02\"\nsegment = \"1 s\"\n\
             longest = \"10 min\"\nrecipients = [\"{}\"]\n[biometrics]\ndpia = \"DPIA-1\"\n\
             [indicator]\nled = \"lamp\"\n[clock]\ndanger-trust = \"system\"\n",
            school.recipient
        );
        if !more.contains("[button]") {
            config.push_str("[button]\ndevice = \"button\"\n");
        }
        for (number, camera) in (1..).zip(cameras) {
            // Writing into a text cannot fail.
            let _ = write!(config, "[[camera]]\nid = \"cam{number}\"\ninput = \"{camera}\"\n");
        }
        config.push_str(more);
        fs::write(school.path("box.toml"), config).unwrap();
        Self { school, running: None }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        let mut command = self.school.command();
        command.args(args).args(["--config", "box.toml"]).output().unwrap().into()
    }

    /// Puts the teacher into the directory of people, with the key that recordings are sealed to.
    pub(crate) fn enrol_teacher(&self) {
        fs::copy(self.school.path("teacher.key"), self.school.path("t-07.key")).unwrap();
        enrol(|args| self.school.run(args), &self.school.path(""), "t-07", "teacher");
    }

    /// The same for the coach, whom the teacher accepts: recordings are sealed to both.
    pub(crate) fn enrol_coach(&self) {
        let run = |args: &[&str]| self.school.run(args);
        let public = enrol(run, &self.school.path(""), "c-02", "coach");
        accept(run, "c-02", &public, "t-07");
        let config = fs::read_to_string(self.school.path("box.toml")).unwrap();
        let teacher = format!("[\"{}\"]", self.school.recipient);
        let both = format!("[\"{}\", \"{public}\"]", self.school.recipient);
        fs::write(self.school.path("box.toml"), config.replace(&teacher, &both)).unwrap();
    }

    /// Does what preflight says, as the guide says it.
    pub(crate) fn settle(&self) {
        self.enrol_teacher();
        self.run(&["pupils", "load", "list.csv"]).ended(0);
        self.run(&[
            "register",
            "assessment",
            "--reference",
            "IA-1",
            "--by",
            "d-01",
            "--review",
            "2999-01-01",
        ])
        .ended(0);
        fs::write(self.school.path("letter.txt"), "We record lessons.").unwrap();
        let today = jiff::Zoned::now().date().to_string();
        self.run(&[
            "register",
            "reminder",
            "--on",
            &today,
            "--channel",
            "letter",
            "--text",
            "letter.txt",
        ])
        .ended(0);
        for audience in ["door", "parents", "pupils", "staff"] {
            self.run(&["register", "notice", "--audience", audience, "--text", "letter.txt"])
                .ended(0);
        }
        let recipient = self.school.recipient.clone();
        let who = ["--teacher", "t-07", "--coach", "c-02", "--recipient", &recipient];
        let question = self.run(&[&["register", "acceptance", "ask"], &who[..]].concat()).ended(0);
        fs::write(self.school.path("question.txt"), &question.out).unwrap();
        // As the teacher does it, with stock tools.
        let word = Command::new("sh")
            .args(["-c", "base64 -d question.txt | age -d -i teacher.key"])
            .current_dir(self.school.path(""))
            .output()
            .unwrap();
        assert!(word.status.success());
        let word = String::from_utf8(word.stdout).unwrap();
        let answer = ["register", "acceptance", "answer", "--teacher", "t-07", "--word"];
        self.run(&[&answer[..], &["0123"]].concat()).ended(77);
        self.run(&[&answer[..], &[&word]].concat()).ended(0);
    }

    fn reasons(&self) -> Vec<String> {
        let said = self.run(&["preflight", "--json"]);
        let found = said.json()["reasons"].as_array().unwrap().clone();
        assert_eq!(said.code, Some(if found.is_empty() { 0 } else { 77 }), "{}", said.err);
        for reason in &found {
            for part in ["sentence", "who", "settle"] {
                assert!(reason[part].as_str().is_some_and(|text| text.len() > 4), "{reason}");
            }
        }
        found.iter().map(|reason| reason["code"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn start(&mut self) {
        self.start_with(|_| ());
    }

    /// The same in surroundings of its own.
    pub(crate) fn start_with(&mut self, around: impl FnOnce(&mut Command)) {
        let mut command = self.school.command();
        around(&mut command);
        command.args(["--log", "info", "run", "--config", "box.toml"]);
        command.stdout(Stdio::null()).stderr(fs::File::create(self.school.path("log")).unwrap());
        self.running = Some(command.spawn().unwrap());
        self.until("ready", |body| body["ready"] == true);
    }

    /// Waits until the box says that it is as it should be.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let said = self.run(&["status", "--json"]);
            if said.code == Some(0) {
                let body = said.json()["body"].clone();
                if is(&body) {
                    return body;
                }
            }
            let ended = self.running.as_mut().is_some_and(|c| c.try_wait().unwrap().is_some());
            if ended || began.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.school.path("log")).unwrap();
                panic!("not {what}: {}\n{}\n{log}", said.out, said.err);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    #[track_caller]
    pub(crate) fn until_state(&mut self, state: &str) -> Value {
        self.until(state, |body| body["state"] == state)
    }

    /// Opens one camera of a recording.
    fn open(&self, folder: &Path, camera: &str) -> PathBuf {
        let video = self.school.path(&format!("{camera}.mp4"));
        let args = ["open", text(folder), "--identity", "teacher.key", "--camera", camera];
        self.school.run(&[&args[..], &["--output", text(&video)]].concat()).ended(0);
        video
    }

    /// The mean colour of every picture of the newest recording.
    fn colours(&self) -> Vec<[u8; 3]> {
        self.colours_of(&self.school.open(self.recordings().last().unwrap()))
    }

    fn colours_of(&self, video: &Path) -> Vec<[u8; 3]> {
        let args =
            ["-v", "error", "-i", text(video), "-fps_mode", "passthrough", "-vf", "scale=1:1"];
        let more = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"];
        let bytes =
            self.school.stock(&self.school.path(""), "ffmpeg", &[&args[..], &more[..]].concat());
        bytes.chunks_exact(3).map(|rgb| [rgb[0], rgb[1], rgb[2]]).collect()
    }

    /// Waits until pictures are kept, so that there is something to lose.
    #[track_caller]
    pub(crate) fn until_kept(&mut self) {
        self.until("recording", |body| {
            body["cameras"].as_array().is_some_and(|all| {
                !all.is_empty() && all.iter().all(|c| c["segments"].as_u64() > Some(0))
            })
        });
    }

    fn prepare(&self) {
        fs::write(self.school.path("names.csv"), "t-07;Anneke Smit\np-01;Jantje Vos\n").unwrap();
        let asked = ["--question", "Does Jantje get a turn?", "--names", "names.csv"];
        self.run(&[&["prepare", "--planned", "1 min"][..], &asked].concat()).ended(0);
    }

    /// Presses the button for as long.
    fn press(&self, held: Duration) {
        let mut button =
            fs::OpenOptions::new().write(true).open(self.school.path("button")).unwrap();
        for (value, then) in [(1_i32, held), (0, Duration::ZERO)] {
            let mut record = vec![0; 2 * size_of::<usize>()];
            record.extend(1_u16.to_ne_bytes());
            record.extend(148_u16.to_ne_bytes());
            record.extend(value.to_ne_bytes());
            button.write_all(&record).unwrap();
            std::thread::sleep(then);
        }
    }

    pub(crate) fn short(&self) {
        self.press(Duration::from_millis(50));
    }

    fn lamp(&self) -> u32 {
        // Empty for a moment while the box writes it.
        loop {
            let text = fs::read_to_string(self.school.path("lamp/brightness")).unwrap();
            if !text.is_empty() {
                return text.trim().parse().unwrap();
            }
        }
    }

    /// The running program.
    pub(crate) fn process(&self) -> u32 {
        self.running.as_ref().unwrap().id()
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(self.running.as_ref().unwrap()), signal).unwrap();
    }

    /// Waits until the program is over; says how.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let mut child = self.running.take().unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            if began.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("the box does not end");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All recordings, the oldest first.
    pub(crate) fn recordings(&self) -> Vec<PathBuf> {
        let mut folders = self.school.recordings();
        folders.sort();
        folders
    }

    /// All recordings, each of which has to be whole; how each ended.
    #[track_caller]
    pub(crate) fn whole(&self) -> Vec<Value> {
        let manifest = |folder: PathBuf| {
            self.school.run(&["verify", text(&folder), "--box-key", "store/box.pub"]).ended(0);
            serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap()
        };
        self.recordings().into_iter().map(manifest).collect()
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_fresh_box_comes_to_green_by_what_it_says_itself() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let station = Station::bare(&[&camera.url()], "");
    assert_eq!(
        station.reasons(),
        [
            "recipients-missing",
            "assessment-missing",
            "reminder-old",
            "notices-stale",
            "acceptance-missing",
            "list-missing",
        ]
    );
    station.settle();
    assert_eq!(station.reasons(), [""; 0]);

    // And back: each thing that goes wrong is a reason.
    let config = fs::read_to_string(station.school.path("box.toml")).unwrap();
    let with = |from: &str, to: &str| {
        assert!(config.contains(from), "{from}");
        fs::write(station.school.path("box.toml"), config.replace(from, to)).unwrap();
        station.reasons()
    };
    let longer = with("segment = \"1 s\"", "segment = \"1 s\"\nretain = \"31 d\"");
    assert_eq!(longer, ["notices-stale"]);
    let unsure = with("danger-trust = \"system\"", "");
    if classveil::appliance::time::synchronised() {
        assert_eq!(unsure, [""; 0]);
    } else {
        assert_eq!(unsure, ["time-untrusted"]);
    }
    assert_eq!(with("dpia = \"DPIA-1\"", ""), ["notices-stale", "dpia-missing"]);
    assert_eq!(with("led = \"lamp\"", ""), ["indicator-missing"]);
    assert_eq!(with("led = \"lamp\"", "led = \"nowhere\""), ["indicator-dark"]);
    assert_eq!(with("device = \"button\"", "device = \"nowhere\""), ["button-missing"]);
    assert_eq!(with("c-02", "c-03"), ["acceptance-missing"]);
    // Whose key is not in the directory cannot open it, whatever key is given.
    assert_eq!(with("t-07", "t-08"), ["recipients-missing", "acceptance-missing"]);
    assert_eq!(
        with("folder = \"store\"", "folder = \"store\"\n[models]\nfolder = \"lamp\""),
        ["model-digest"]
    );
    let register = station.school.path("store/registers/notices.jsonl");
    let notices = fs::read_to_string(&register).unwrap();
    fs::write(&register, notices.replacen("door", "staff", 1)).unwrap();
    assert_eq!(with("", ""), ["registers-damaged"]);
    fs::write(&register, notices).unwrap();
    station.run(&["register", "acceptance", "withdraw", "--teacher", "t-07"]).ended(0);
    drop(camera);
    assert_eq!(with("", ""), ["acceptance-missing", "camera-unreachable"]);
}

#[test]
fn a_lesson_by_the_button() {
    let clips = Clips::new();
    let clip = endless(&clips);
    let cameras = [Camera::serve(&clip, None), Camera::serve(&clip, None)];
    let urls = [cameras[0].url(), cameras[1].url()];
    let mut station = Station::new(&[&urls[0], &urls[1]], "");
    station.start();
    // It is ready when it has looked at everything, and says nothing of what it had not seen yet.
    let body = station.until("ready", |_| true);
    assert_eq!(body["reasons"], serde_json::json!([]), "{body}");
    let reach = serde_json::json!([{ "camera": "cam1", "answers": true }, { "camera": "cam2", "answers": true }]);
    assert_eq!(body["reach"], reach);
    // Nothing is prepared: the press is refused, and nothing is recorded.
    station.short();
    station.prepare();
    station.until_state("prepared");
    assert_eq!(station.reasons(), [""; 0]);
    station.short();
    station.until_kept();
    assert_eq!(station.lamp(), 1);
    // A second box cannot take the place of the first.
    station.run(&["run"]).ended(78);
    // A list that is loaded meanwhile counts from the next frame on: the box is told.
    let said = station.run(&["pupils", "load", "list.csv"]).ended(0);
    assert!(said.err.contains("goes by it from the next frame on"), "{}", said.err);
    let began = Instant::now();
    station.short();
    station.until_state("sealed");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(station.lamp(), 0);
    let manifests = station.whole();
    assert_eq!(manifests.len(), 1, "one lesson is one recording");
    for (manifest, folder) in manifests.iter().zip(station.recordings()) {
        assert_eq!(manifest["state"], "sealed");
        assert_eq!(
            (&manifest["teacher"], &manifest["policy"]),
            (&"t-07".into(), &"refused".into())
        );
        assert_eq!(manifest["later_lists"].as_array().map(Vec::len), Some(1), "{manifest}");
        let details = station.school.unseal(&folder, "details.json.age");
        let details: Value = serde_json::from_slice(&details).unwrap();
        assert_eq!(details["question"], "Does Jantje get a turn?");
        assert_eq!(details["names"]["t-07"], "Anneke Smit");
        assert_eq!(details["waivers"], serde_json::json!(["danger-trust"]));
        // Whoever has no key can read it too.
        assert_eq!(manifest["waivers"], serde_json::json!(["danger-trust"]));
        assert_eq!(manifest["cameras"], serde_json::json!(["cam1", "cam2"]));
        // On one clock: both see the same lesson from its beginning to its end.
        let span = |camera: &str| {
            let times = frame_times(&station.open(&folder, camera));
            (times[0], times[times.len() - 1])
        };
        let (first, second) = (span("cam1"), span("cam2"));
        assert!(first.0.min(second.0) < 0.1, "{first:?} {second:?}");
        assert!((first.0 - second.0).abs() < 2.0, "{first:?} {second:?}");
        assert!((first.1 - second.1).abs() < 2.0, "{first:?} {second:?}");
        // A key holder veils all of it anew.
        let mut command = station.school.command();
        command.env("HOME", station.school.path("own")).args(["reveil", text(&folder)]);
        command.args(["--pupils", "list.csv", "--identity", "teacher.key", "--output", "veiled"]);
        command.args(["--dpia", "DPIA-1", "--box-key", "store/box.pub"]);
        Said::from(command.output().unwrap()).ended(0);
        let made = fs::read(station.school.path("veiled/manifest.json")).unwrap();
        let made: Value = serde_json::from_slice(&made).unwrap();
        assert_eq!(made["cameras"], manifest["cameras"]);
        let frames = |manifest: &Value| -> u64 {
            let all = manifest["segments"].as_array().unwrap().iter();
            all.map(|segment| segment["frames"].as_u64().unwrap()).sum()
        };
        assert_eq!(frames(&made), frames(manifest));
    }
    // The question is for who can open the recording only.
    let said = station.run(&["logs", "--json"]).ended(0).out
        + &station.run(&["status", "--json"]).ended(0).out
        + &fs::read_to_string(station.school.path("log")).unwrap();
    assert!(!said.contains("Jantje"), "{said}");
    assert!(said.contains("not-prepared"), "{said}");
    let nothing = station.run(&["stop"]).ended(77);
    assert!(nothing.err.contains("nothing-to-stop: there is nothing to stop"), "{}", nothing.err);
    let nothing = station.run(&["start"]).ended(77);
    assert!(nothing.err.contains("not-prepared: nothing is prepared"), "{}", nothing.err);
    station.send(Signal::TERM);
    assert_eq!(station.ended(), Some(0));
    assert!(!station.school.path("box.sock").exists());
}

#[test]
fn nothing_is_recorded_from_afar_alone_or_while_a_reason_stands() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = Station::new(&[&camera.url()], "");
    station.start();
    station.run(&["start"]).ended(77);
    // No question.
    station.run(&["prepare"]).ended(0);
    station.short();
    station.until("question-missing", |body| body["reasons"][0]["code"] == "question-missing");
    // From afar: it waits for the button, and without it nothing begins.
    station.prepare();
    let mut command = station.school.command();
    command.args(["start", "--config", "box.toml"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut start = command.spawn().unwrap();
    station.until_state("arming");
    station.run(&["stop"]).ended(0);
    assert_eq!(start.wait().unwrap().code(), Some(77));
    // A lamp that does not answer.
    fs::remove_file(station.school.path("lamp/brightness")).unwrap();
    station.until("dark", |body| body["indicator"] == "broken");
    station.short();
    station.until("refused", |body| {
        body["reasons"][0]["code"] == "indicator-dark" && body["state"] == "prepared"
    });
    assert!(station.school.recordings().is_empty());
    fs::write(station.school.path("lamp/brightness"), "0\n").unwrap();
    station.until("lit", |body| body["indicator"] == "works");
    // With the button it begins, and somebody who switches the lamp off ends it.
    let mut start = command.spawn().unwrap();
    station.until_state("arming");
    station.short();
    assert_eq!(start.wait().unwrap().code(), Some(0));
    station.until_kept();
    fs::write(station.school.path("lamp/brightness"), "0\n").unwrap();
    let body = station.until_state("sealed-with-fault");
    assert_eq!(body["fault"], "indicator-dark");
    assert_eq!(station.whole().len(), 1);
    station.send(Signal::TERM);
    assert_eq!(station.ended(), Some(0));
}

/// Whether a picture is of this colour rather than grey.
fn is_of(picture: [u8; 3], colour: [u8; 3]) -> bool {
    picture
        .iter()
        .zip(colour)
        .all(|(&part, wanted)| if wanted > 0 { part > 110 } else { part < 90 })
}

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 255, 0];
const BLUE: [u8; 3] = [0, 0, 255];

#[test]
fn what_is_dropped_is_in_no_file() {
    let seconds = Duration::from_secs;
    let (camera, lamp) = Camera::of_one_colour((320, 240));
    let more = "[button]\ndevice = \"button\"\ndanger-remote-start = true\n";
    let mut station = Station::new(&[&camera.url()], more);
    station.start();
    station.run(&["drop"]).ended(77);
    station.prepare();
    station.run(&["start"]).ended(0);
    station.until_kept();
    // Green is long over when red is dropped, blue comes after.
    lamp.flash(GREEN, seconds(2));
    std::thread::sleep(seconds(5));
    lamp.flash(RED, seconds(2));
    let said = station.run(&["drop", "--seconds", "4", "--json"]).ended(0).json();
    let gaps = &said["body"]["gaps"];
    assert_eq!(gaps.as_array().map(Vec::len), Some(1), "{said}");
    assert!(gaps[0]["removed"].as_array().is_some_and(|all| !all.is_empty()), "{said}");
    assert_eq!(station.run(&["status", "--json"]).json()["body"]["state"], "recording");
    std::thread::sleep(seconds(3));
    lamp.flash(BLUE, seconds(2));
    std::thread::sleep(seconds(1));
    station.short();
    station.until_state("sealed");
    let manifest = station.whole().remove(0);
    assert_eq!(manifest["gaps"], *gaps);
    let colours = station.colours();
    let count = |of| colours.iter().filter(|&&picture| is_of(picture, of)).count();
    // Few of them on a machine that is busy, but both are seen.
    assert!(count(GREEN) >= 1 && count(BLUE) >= 1, "{colours:?}");
    assert_eq!(count(RED), 0, "{colours:?}");
    let log = fs::read_to_string(station.school.store().join("audit/log.jsonl")).unwrap();
    assert!(log.contains("\"kind\":\"dropped\""), "{log}");

    // The same by the button, which ends the recording with it.
    station.prepare();
    station.run(&["start"]).ended(0);
    station.until_kept();
    lamp.flash(RED, seconds(1));
    station.press(Duration::from_millis(1700));
    station.until_state("sealed");
    let manifest = station.whole().remove(1);
    assert_eq!(manifest["gaps"].as_array().map(Vec::len), Some(1), "{manifest}");
    // All of it was of the last minute.
    assert_eq!(manifest["segments"].as_array().map(Vec::len), Some(0), "{manifest}");
    let plan = station.run(&["retention", "plan", "--json"]).ended(0).json();
    assert_eq!(plan["withhold"], 0, "{plan}");
}

#[test]
fn an_objection_withholds_what_there_is() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = Station::new(
        &[&camera.url()],
        "[button]\ndevice = \"button\"\ndanger-remote-start = true\n",
    );
    station.start();
    station.prepare();
    station.run(&["start"]).ended(0);
    station.until_kept();
    station.run(&["stop", "--objection"]).ended(0);
    // At once: whatever happens before it is sealed.
    let requests = |of: &Station| of.run(&["request", "list", "--json"]).ended(0).json();
    let entered = requests(&station)["requests"][0].clone();
    assert_eq!((&entered["ask"], &entered["by"]), (&"restrict".into(), &"t-07".into()));
    station.until_state("sealed");
    let manifest = station.whole().remove(0);
    assert_eq!(entered["recordings"], serde_json::json!([manifest["recording"]]));
    assert_eq!(requests(&station)["requests"].as_array().map(Vec::len), Some(1), "asked once");
    let plan = station.run(&["retention", "plan", "--json"]).ended(0).json();
    assert_eq!(plan["withhold"], 1, "{plan}");
    // It stays so until the privacy officer answers, and no longer.
    station.run(&["people", "add", "fg-01", "--role", "privacy-officer"]).ended(0);
    let answer = ["request", "answer", "1", "--decision", "granted", "--by", "fg-01"];
    station.run(&answer).ended(0);
    let plan = station.run(&["retention", "plan", "--json"]).ended(0).json();
    assert_eq!(plan["withhold"], 1, "{plan}");
    let lift = ["request", "answer", "1", "--decision", "lifted", "--by", "fg-01"];
    station.run(&lift).ended(0);
    let plan = station.run(&["retention", "plan", "--json"]).ended(0).json();
    assert_eq!(plan["withhold"], 0, "{plan}");
}

#[test]
fn whatever_ends_the_program_the_lesson_is_kept() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let remote = "[button]\ndanger-remote-start = true\n";
    let mut station = Station::new(&[&camera.url()], remote);
    for (signal, code) in [(Signal::TERM, Some(0)), (Signal::KILL, None)] {
        station.start();
        station.prepare();
        station.run(&["start"]).ended(0);
        station.until_kept();
        station.send(signal);
        assert_eq!(station.ended(), code);
    }
    // What was killed is sealed at the next start. Its lesson goes on only if its camera is there.
    drop(camera);
    station.start();
    let states: Vec<Value> = station.whole().into_iter().map(|m| m["state"].clone()).collect();
    assert_eq!(states, ["sealed", "interrupted"]);
    // A camera that is away: nothing begins, and it is said why.
    let body = station.until("tried", |body| body["fault"] == "camera-unreachable");
    assert_eq!(body["state"], "sealed-with-fault");
    station.prepare();
    let said = station.run(&["start"]).ended(77);
    assert!(said.out.contains("camera-unreachable"), "{}", said.out);
}

#[test]
fn a_box_that_is_to_keep_sound_says_that_it_cannot() {
    let station = Station::bare(&[], "[audio]\nmode = \"keep\"\n");
    let said = station.run(&["run"]).ended(78);
    assert!(said.err.contains("the box records no sound"), "{}", said.err);
}

#[test]
fn a_source_that_ends_by_itself_is_sealed() {
    let clip = sample("obama_speech.mp4");
    let remote = "[button]\ndanger-remote-start = true\n";
    let mut station = Station::new(&[text(&clip)], remote);
    station.start();
    station.prepare();
    station.run(&["start"]).ended(0);
    let body = station.until_state("sealed");
    assert_eq!(body["last"][0]["segments"].as_u64().unwrap(), 9, "{body}");
    assert_eq!(station.lamp(), 0);
    assert_eq!(station.whole()[0]["state"], "sealed");
    // What was prepared went with its recording.
    station.run(&["start"]).ended(77);
}

#[test]
fn a_box_that_is_installed_lends_its_settings_to_commands_about_its_store() {
    let station = Station::bare(&[], "");
    let path = station.school.path("box.toml");
    let config = fs::read_to_string(&path).unwrap();
    // Keys where only the settings say that they are.
    let keys = "folder = \"store\"\nbox-key = \"keys/box.key\"";
    fs::write(&path, config.replace("folder = \"store\"", keys)).unwrap();
    let run = |args: &[&str]| -> Said {
        let mut command = station.school.command();
        command.env("CLASSVEIL_CONFIG", "box.toml").args(args).output().unwrap().into()
    };
    run(&["people", "add", "t-07", "--role", "teacher"]).ended(0);
    assert!(station.school.path("keys/box.key").exists());
    for args in [
        &["people", "list"][..],
        &["audit", "verify"],
        &["store", "list"],
        &["recover"],
        &["request", "list"],
        &["grants", "list"],
        &["exports", "list"],
    ] {
        run(args).ended(0);
        run(&[args, &["--store", "store"]].concat()).ended(0);
    }
    // Another store is another box's.
    run(&["people", "add", "t-08", "--role", "teacher", "--store", "elsewhere"]).ended(0);
    let public = |store: &str| fs::read(station.school.path(store).join("audit/log.vkey")).unwrap();
    assert_ne!(public("store"), public("elsewhere"));
}

#[test]
fn what_people_take_home_is_there_before_the_first_lesson() {
    let mut station = Station::bare(&[], "");
    station.start();
    for key in ["store/box.pub", "store/audit/log.vkey"] {
        assert!(station.school.path(key).exists(), "{key}");
    }
    station.run(&["retention", "plan"]).ended(0);
}
