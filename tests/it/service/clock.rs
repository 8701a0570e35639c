//! Nobody says whether the clock is right: then nothing is recorded, and after a day nothing is looked at.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use classveil::vault::Memo;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::Station;
use crate::{
    api::{PAGES, account, code, logged_in},
    media::Clips,
    record::stop::endless,
    rtsp::Camera,
};

/// Surroundings in which no network has set the clock.
fn without_time(station: &Station) -> impl Fn(&mut Command) + use<> {
    let folder = station.school.path("bin");
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join("timedatectl");
    fs::write(&program, "#!/bin/sh\necho no\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    move |command| {
        command.env("PATH", &path);
    }
}

/// Relies on nothing but what is known of the clock.
fn trust_nobody(station: &Station) {
    let path = station.school.path("box.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("danger-trust = \"system\"", "")).unwrap();
}

fn codes(body: &Value) -> Vec<&str> {
    body["reasons"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect()
}

#[test]
fn somebody_at_the_box_says_that_its_clock_is_right() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = Station::new(&[&camera.url()], "[button]\ndanger-remote-start = true\n");
    trust_nobody(&station);
    let around = without_time(&station);
    station.start_with(&around);
    assert_eq!(codes(&station.until("ready", |_| true)), ["time-untrusted"]);
    station.prepare();
    let said = station.run(&["start"]).ended(77);
    assert!(said.out.contains("classveil clock confirm"), "{}", said.out);
    let said = station.run(&["clock", "confirm"]).ended(0);
    assert!(said.out.starts_with("confirmed: it is 20"), "{}", said.out);
    station.until("settled", |body| codes(body).is_empty());
    station.run(&["start"]).ended(0);
    station.until_kept();
    station.run(&["stop"]).ended(0);
    station.until_state("sealed");
    assert_eq!(station.whole()[0].get("waivers"), Some(&json!(["danger-remote-start"])));
    // It is in the log, and holds for as long as the machine runs.
    let log = fs::read_to_string(station.school.store().join("audit/log.jsonl")).unwrap();
    assert!(log.contains("\"kind\":\"clock-confirmed\""), "{log}");
    station.send(Signal::TERM);
    assert_eq!(station.ended(), Some(0));
    station.start_with(&around);
    assert_eq!(codes(&station.until("ready", |_| true)), [""; 0]);
}

#[test]
fn after_a_day_without_time_nobody_looks_until_somebody_confirms_it() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let more = format!("{PAGES}[button]\ndanger-remote-start = true\n");
    let mut station = Station::new(&[&camera.url()], &more);
    account(&station, "t-07", "teacher", None);
    station.start();
    station.prepare();
    station.run(&["start"]).ended(0);
    station.until_kept();
    station.run(&["stop"]).ended(0);
    station.until_state("sealed");
    station.send(Signal::TERM);
    assert_eq!(station.ended(), Some(0));
    // As if the box had run for a day since.
    trust_nobody(&station);
    let path = Memo::Settling.path(&station.school.store());
    let mut seen: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    seen["untrusted"] = json!({ "secs": 86_400, "nanos": 0 });
    fs::write(&path, seen.to_string()).unwrap();
    station.start_with(without_time(&station));
    let mut page = logged_in(&mut station, "t-07");
    let list = page.get("/recordings").is(200).body;
    let one = &list["recordings"][0];
    assert_eq!((&one["may_view"], &one["withheld"]), (&json!(false), &json!(true)), "{list}");
    let files = format!("/recordings/{}/files", one["id"].as_str().unwrap());
    assert_eq!(code(&page.get(&files).is(403)), "time-untrusted");
    station.run(&["clock", "confirm"]).ended(0);
    let counts = |page: &mut crate::api::client::Client| {
        page.get("/recordings").is(200).body["recordings"][0]["may_view"] == true
    };
    let began = std::time::Instant::now();
    while !counts(&mut page) {
        assert!(began.elapsed() < super::PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    page.get(&files).is(200);
}
