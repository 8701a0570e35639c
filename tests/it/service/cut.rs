//! The program is killed, or the power fails, while a lesson is recorded.

use std::{fs, time::Duration};

use classveil::vault::Memo;
use rustix::process::Signal;
use serde_json::Value;

use super::Station;
use crate::{faults, media::Clips, record::stop::endless, rtsp::Camera, support::runtime};

const REMOTE: &str = "[button]\ndevice = \"button\"\ndanger-remote-start = true\n";

/// A box that was killed while it recorded.
fn killed(camera: &Camera) -> Station {
    let mut station = Station::new(&[&camera.url()], REMOTE);
    station.start();
    station.prepare();
    station.run(&["start"]).ended(0);
    station.until_kept();
    station.send(Signal::KILL);
    assert_eq!(station.ended(), None);
    station
}

fn said(station: &Station) -> String {
    station.run(&["logs"]).ended(0).out
}

#[test]
fn a_lesson_that_was_cut_off_goes_on_by_itself() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = killed(&camera);
    // A list that is loaded meanwhile counts from the first picture on.
    let rows = "p-01,5b,refused,2026-09-01,refused.jpg\np-02,5b,consented,2026-09-01,\n";
    station.school.list(rows);
    station.run(&["pupils", "load", "list.csv"]).ended(0);
    station.start();
    station.until_kept();
    assert_eq!(station.lamp(), 1);
    let note = Memo::UnderWay.path(&station.school.store());
    assert!(note.exists());
    station.run(&["stop"]).ended(0);
    station.until_state("sealed");
    // Nothing of it goes on any more.
    assert!(!note.exists());
    let manifests = station.whole();
    let [first, second] = &manifests[..] else { panic!("{manifests:?}") };
    assert_eq!((&first["state"], &second["state"]), (&"interrupted".into(), &"sealed".into()));
    assert_eq!(first.get("continues"), None);
    assert_eq!(second["continues"]["recording"], first["recording"]);
    assert_eq!(second["continues"]["lesson_started"], first["started"]);
    let gap = second["continues"]["gap_ms"].as_u64().unwrap();
    assert!((500..60_000).contains(&gap), "{gap} ms");
    // As it was promised for the first.
    for same in ["delete_by", "class", "teacher", "coach", "purpose", "recipients", "policy"] {
        assert_eq!(first[same], second[same], "{same}");
    }
    assert_ne!(first["list_version"], second["list_version"]);
    assert_ne!(first["key"], second["key"]);
    // The question is with the first, and nowhere in the clear meanwhile.
    let folders = station.recordings();
    let question = |at: usize| -> Value {
        let details = station.school.unseal(&folders[at], "details.json.age");
        serde_json::from_slice::<Value>(&details).unwrap()["question"].clone()
    };
    assert_eq!((question(0), question(1)), ("Does Jantje get a turn?".into(), Value::Null));
    station.school.open(&folders[1]);
    // The box does not take it up once more.
    station.send(Signal::TERM);
    assert_eq!(station.ended(), Some(0));
    station.start();
    assert_eq!(station.until("idle", |_| true)["state"], "idle");
}

#[test]
fn a_lesson_that_was_cut_off_long_ago_does_not_go_on() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = killed(&camera);
    // As if the machine had run for two minutes since.
    let path = Memo::UnderWay.path(&station.school.store());
    let mut note: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let seen = note["seen"]["running_ms"].as_u64().unwrap();
    note["seen"]["running_ms"] = (seen.saturating_sub(121_000)).into();
    fs::write(&path, note.to_string()).unwrap();
    station.start();
    let body = station.until_state("sealed-with-fault");
    assert_eq!(body["fault"], "cut-off");
    while !said(&station).contains("does not go on: it was too long ago") {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(station.until("sealed", |_| true)["state"], "sealed-with-fault");
    assert_eq!(station.whole().len(), 1);
    // The next lesson is one of its own.
    station.prepare();
    station.run(&["start"]).ended(0);
    station.until_kept();
    station.run(&["stop"]).ended(0);
    station.until_state("sealed");
    assert_eq!(station.whole()[1].get("continues"), None);
}

#[test]
fn without_its_lamp_nothing_goes_on_until_it_is_back() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = killed(&camera);
    let lamp = station.school.path("lamp/brightness");
    fs::remove_file(&lamp).unwrap();
    station.start();
    let body = station.until("tried", |body| body["fault"] == "indicator-dark");
    assert_eq!(body["state"], "sealed-with-fault");
    assert_eq!(station.whole().len(), 1);
    fs::write(&lamp, "0\n").unwrap();
    station.until_kept();
    // Killed again it goes on again, unless somebody says that it is over.
    station.send(Signal::KILL);
    assert_eq!(station.ended(), None);
    fs::remove_file(&lamp).unwrap();
    station.start();
    station.until("tried", |body| body["fault"] == "indicator-dark");
    station.run(&["stop"]).ended(0);
    fs::write(&lamp, "0\n").unwrap();
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(station.until("over", |_| true)["state"], "sealed-with-fault");
    let manifests = station.whole();
    assert_eq!(manifests.len(), 2);
    assert_eq!(manifests[1]["continues"]["lesson_started"], manifests[0]["started"]);
    assert!(said(&station).contains("does not go on: somebody stopped it"));
}

#[test]
fn an_objection_reaches_what_was_cut_off_before() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = killed(&camera);
    station.start();
    station.until_kept();
    station.run(&["stop", "--objection"]).ended(0);
    // Killed before it is sealed, or after: nobody gets it either way.
    station.send(Signal::KILL);
    let _ = station.ended();
    station.start();
    let manifests = station.whole();
    assert_eq!(manifests.len(), 2, "an objection is no end to go on from");
    let requests = station.run(&["request", "list", "--json"]).ended(0).json();
    let asked = requests["requests"][0]["recordings"].as_array().unwrap();
    for manifest in &manifests {
        assert!(asked.contains(&manifest["recording"]), "{requests}");
    }
    let plan = station.run(&["retention", "plan", "--json"]).ended(0).json();
    assert_eq!(plan["withhold"], 2, "{plan}");
    std::thread::sleep(Duration::from_secs(1));
    assert!(station.until("sealed", |_| true)["state"] != "recording");
}

#[test]
fn a_pipeline_that_hangs_ends_the_program_and_the_lesson_goes_on() {
    let clips = Clips::new();
    let cameras = [Camera::serve(&endless(&clips), None), Camera::serve(&endless(&clips), None)];
    let mut station = Station::new(&[&cameras[0].url(), &cameras[1].url()], REMOTE);
    station.start_with(|command| {
        // A call that does not return for an hour.
        command
            .env("CLASSVEIL_ONNXRUNTIME", faults::library("onnxruntime"))
            .env("FAULT_RUNTIME", runtime())
            .env("FAULT", "late yunet 300 1 3600000");
    });
    station.prepare();
    station.run(&["start"]).ended(0);
    station.until_kept();
    assert_eq!(station.ended(), Some(75));
    let log = fs::read_to_string(station.school.path("log")).unwrap();
    // One of two; what the other sees goes on with the lesson.
    assert!(log.contains("the pipeline of camera cam"), "{log}");
    station.start();
    station.until_kept();
    station.run(&["stop"]).ended(0);
    station.until_state("sealed");
    let manifests = station.whole();
    assert_eq!(manifests[1]["continues"]["recording"], manifests[0]["recording"]);
    assert_eq!(manifests[1]["cameras"], serde_json::json!(["cam1", "cam2"]));
}

#[test]
fn killed_before_the_first_note_a_recording_is_found_all_the_same() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = killed(&camera);
    let path = Memo::UnderWay.path(&station.school.store());
    let of_first = fs::read(&path).unwrap();
    station.start();
    station.until_kept();
    station.send(Signal::KILL);
    assert_eq!(station.ended(), None);
    // As if it had been killed before it was noted that the second is under way.
    fs::write(&path, &of_first).unwrap();
    station.start();
    station.until_kept();
    station.run(&["stop", "--objection"]).ended(0);
    station.until_state("sealed");
    let manifests = station.whole();
    assert_eq!(manifests.len(), 3);
    assert_eq!(manifests[2]["continues"]["recording"], manifests[1]["recording"]);
    let requests = station.run(&["request", "list", "--json"]).ended(0).json();
    let asked = requests["requests"][0]["recordings"].as_array().unwrap();
    assert!(manifests.iter().all(|one| asked.contains(&one["recording"])), "{requests}");
}
