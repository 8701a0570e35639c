//! A pupil list that is replaced while a recording runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    eyes::{Eyes, Pictures, SAME, SURE},
    media::{Clips, frame_times, sample},
    record::{
        people::refused_man,
        stop::{Running, endless},
    },
    rtsp::Camera,
    scene::{Recorded, School, text},
};

use super::REFUSED;

const PATIENCE: Duration = Duration::from_secs(60);
const MAN: &str = "p-01,5b,refused,2026-09-01,refused.jpg\n";
const WOMAN: &str = "p-09,5b,refused,2026-09-01,woman.png\n";

/// A school whose list refuses a woman who is in no clip here, and not the man of `obama.jpg`.
fn school(clips: &Clips) -> School {
    let school = School::new();
    let clip = sample("WolfgangLanger_Pexels.mp4");
    let frame = clips.make("woman.png", &format!("-ss 1 -i {} -frames:v 1", clip.display()));
    fs::copy(&frame, school.path("woman.png")).unwrap();
    school.photo("refused.jpg", "obama.jpg");
    school.list(WOMAN);
    school
}

/// Waits until the store's log has `count` lines of a kind.
#[track_caller]
fn until_logged(school: &School, kind: &str, count: usize) {
    let began = Instant::now();
    let word = format!("\"kind\":\"{kind}\"");
    let lines = || {
        let log = fs::read_to_string(school.store().join("audit/log.jsonl")).unwrap_or_default();
        log.lines().filter(|line| line.contains(&word)).count()
    };
    while lines() < count {
        assert!(began.elapsed() < PATIENCE, "no {kind} in the log");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The times of all pictures, and in which of them the refused man is seen.
fn seen(school: &School, recorded: &Recorded) -> Vec<(f64, bool)> {
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    let opened = school.open(&recorded.folder);
    let (times, pictures) = (frame_times(&opened), Pictures::of(&opened));
    assert_eq!(times.len(), pictures.len());
    let sees = |index: usize| {
        let faces = eyes.faces(&pictures.at(index), SURE);
        faces.iter().any(|face| face.cosine(&man) >= SAME)
    };
    times.into_iter().zip((0..pictures.len()).map(sees)).collect()
}

fn seconds(ns: &serde_json::Value) -> f64 {
    ns.as_u64().expect("nanoseconds") as f64 / 1e9
}

/// A refusal that comes in mid-recording counts from the next frame on, and for the frames of the two
/// seconds before it that still wait; what was encoded before shows that there was something to hide.
#[test]
fn a_new_refusal_counts_for_the_frames_that_still_wait() {
    let clips = Clips::new();
    let school = school(&clips);
    let camera = Camera::serve(&endless(&clips), None);
    let more = ["--segment", "2 s"];
    let mut running = Running::start(&school, &camera.url(), &[&REFUSED[..], &more].concat());
    running.until_first_segment(&school);
    school.list(&format!("{WOMAN}{MAN}"));
    running.send(Signal::HUP);
    until_logged(&school, "list-version", 2);
    std::thread::sleep(Duration::from_secs(3));
    running.send(Signal::INT);
    let said = running.end().ended(0);
    assert!(said.err.contains("read again: 2 on it, 2 refused"), "{}", said.err);
    let recorded = school.recorded(said);
    let [list] = &recorded.json["lists"].as_array().unwrap()[..] else {
        panic!("one list: {}", recorded.json)
    };
    let manifest = recorded.manifest();
    assert_eq!(manifest["later_lists"], recorded.json["lists"]);
    assert_ne!(manifest["list_version"], list["version"]);
    // The last segment names the list by which it was veiled.
    let newest = recorded.json["segments"].as_u64().unwrap();
    let mp4 = school.path("last.mp4");
    fs::write(&mp4, school.unseal(&recorded.folder, &format!("cam1/{newest:06}.mp4.age"))).unwrap();
    assert_eq!(crate::record::comment(&mp4)["list_version"], list["version"]);

    let at = seconds(&list["at_ns"]);
    let seen = seen(&school, &recorded);
    // A tenth of a second passes until the chain is told; what is in the encoder is encoded.
    let late: Vec<f64> =
        seen.iter().filter(|(t, s)| *s && *t > at - 1.7).map(|(t, _)| *t).collect();
    assert!(late.is_empty(), "a list at {at}, and he is seen at {late:?}");
    let before = seen.iter().filter(|(t, s)| *s && *t <= at - 1.7).count();
    assert!(before >= 12, "a list at {at}, and he is seen in {before} frames before");
    assert!(seen.iter().filter(|(t, _)| *t > at).count() > 24);
    assert!(!recorded.json["warnings"].to_string().contains("list"), "{}", recorded.json);
}

/// The same for a list that is loaded into the store, which also says who may be seen again.
#[test]
fn a_loaded_list_counts_after_a_signal() {
    let clips = Clips::new();
    let school = school(&clips);
    fs::rename(school.path("list.csv"), school.path("pupils.csv")).unwrap();
    let load = |rows: &str, more: &[&str]| {
        fs::write(school.path("pupils.csv"), format!("pupil_id,class,status,since,photos\n{rows}"))
            .unwrap();
        let load = ["pupils", "load", "pupils.csv", "--store", "store", "--dpia", "D", "--json"];
        school.run(&[&load[..], more].concat()).ended(0).json()["version"].clone()
    };
    load(&format!("{WOMAN}{MAN}"), &[]);
    let mut running = Running::start(&school, text(&endless(&clips)), &REFUSED);
    running.until_first_segment(&school);
    // Lifted with confirmation: it takes effect here as well.
    let lifted = load(WOMAN, &["--confirm-removals", "1"]);
    running.send(Signal::HUP);
    until_logged(&school, "list-version", 2);
    let back = load(&format!("{WOMAN}{MAN}"), &[]);
    running.send(Signal::HUP);
    until_logged(&school, "list-version", 3);
    running.send(Signal::INT);
    let recorded = school.recorded(running.end().ended(0));
    let versions: Vec<_> =
        recorded.json["lists"].as_array().unwrap().iter().map(|l| &l["version"]).collect();
    assert_eq!(versions, [&lifted, &back]);
    let (from, to) = (
        seconds(&recorded.json["lists"][0]["at_ns"]),
        seconds(&recorded.json["lists"][1]["at_ns"]),
    );
    for (time, seen) in seen(&school, &recorded) {
        // A file runs faster than its clock, so a tenth of a second here is more there.
        assert!(
            !seen || (time > from - 2.1 && time < to),
            "seen at {time}, not from {from} to {to}"
        );
    }
}

/// A list with a mistake, one that is gone, and one that lifts a refusal without anybody's word
/// change nothing, and nobody can miss it.
#[test]
fn a_list_that_cannot_count_leaves_the_one_before_in_force() {
    let clips = Clips::new();
    let school = school(&clips);
    school.list(MAN);
    let mut running = Running::start(&school, text(&endless(&clips)), &REFUSED);
    running.until_first_segment(&school);
    let bad = [Some("p-01,5b,maybe,2026-09-01,\n"), None, Some(WOMAN)];
    for (count, rows) in bad.iter().enumerate() {
        match rows {
            Some(rows) => school.list(rows),
            None => fs::remove_file(school.path("list.csv")).unwrap(),
        }
        running.send(Signal::HUP);
        until_logged(&school, "fault", count + 1);
    }
    running.send(Signal::INT);
    let said = running.end().ended(0);
    for part in ["list.csv:2:", "list.csv", "it lifts 1 refusals", "THE LIST BEFORE STAYS IN FORCE"]
    {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    let recorded = school.recorded(said);
    assert_eq!(recorded.json["lists"], serde_json::json!([]));
    assert_eq!(recorded.json["lists_refused"], 3);
    let warnings = recorded.json["warnings"].to_string();
    assert!(warnings.contains("could not be used"), "{warnings}");
    assert!(seen(&school, &recorded).iter().all(|(_, seen)| !seen));
    school.run(&["audit", "verify", "--store", "store"]).ended(0);
}

/// The terminal is closed: nobody is left to press Ctrl-C, so the recording ends, sealed.
#[test]
fn a_recording_ends_with_its_terminal() {
    let clips = Clips::new();
    let school = School::with_refused_man();
    let clip = endless(&clips);
    let args: Vec<String> = school
        .record_args(text(&clip))
        .iter()
        .map(String::as_str)
        .chain(REFUSED)
        .map(|arg| format!("'{arg}'"))
        .collect();
    let line = format!("exec '{}' {} >said.json", env!("CARGO_BIN_EXE_classveil"), args.join(" "));
    let mut script = std::process::Command::new("script");
    script.args(["-qfc", &line, "/dev/null"]);
    let mut script = school.dressed(script).stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    let recording = loop {
        let found = school.recordings().into_iter().find(|r| has_segment(r));
        match found {
            Some(recording) => break recording,
            None => assert!(began.elapsed() < PATIENCE, "no segment"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    // Its end of the terminal goes with it.
    script.kill().unwrap();
    script.wait().unwrap();
    let began = Instant::now();
    let sealed = || {
        let manifest = fs::read_to_string(recording.join("manifest.json")).unwrap_or_default();
        manifest.contains("\"sealed\"")
    };
    while !sealed() {
        assert!(began.elapsed() < PATIENCE, "the recording goes on without its terminal");
        std::thread::sleep(Duration::from_millis(50));
    }
    school.run(&["verify", text(&recording)]).ended(0);
}

fn has_segment(recording: &Path) -> bool {
    let journal: PathBuf = recording.join("segments.jsonl");
    fs::read_to_string(journal).is_ok_and(|lines| !lines.is_empty())
}
