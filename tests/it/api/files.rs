//! Recordings over the network: ciphertext, for those who may open them, and the log says who looked.

use std::{fs, path::PathBuf};

use serde_json::json;
use ureq::http::Method;

use super::{PAGES, account, client::Client, code, logged_in};
use crate::{media::sample, scene::text, service::Station};

/// A station with one sealed recording, and its folder.
pub(super) fn recorded() -> (Station, String, PathBuf) {
    recorded_by(|_| ())
}

/// The same, with something done before the box starts.
pub(super) fn recorded_by(before: impl Fn(&Station)) -> (Station, String, PathBuf) {
    let more = format!("{PAGES}[button]\ndanger-remote-start = true\n");
    let mut station = Station::new(&[text(&sample("obama_speech.mp4"))], &more);
    for (name, role) in [("t-07", "teacher"), ("c-02", "coach"), ("c-03", "coach")] {
        account(&station, name, role, Some(name));
    }
    account(&station, "a-01", "admin", None);
    account(&station, "p-01", "privacy-officer", None);
    before(&station);
    station.start();
    station.run(&["prepare", "--question", "Do I wait?"]).ended(0);
    station.run(&["start"]).ended(0);
    station.until_state("sealed");
    let folder = station.recordings().remove(0);
    let id = folder.file_name().unwrap().to_str().unwrap().to_owned();
    (station, id, folder)
}

pub(super) fn fetch(page: &mut Client, id: &str, name: &str) -> super::Reply {
    page.send(&Method::GET, &format!("/api/v1/recordings/{id}/{name}"), &[], &[])
}

fn views(station: &Station) -> Vec<String> {
    let log = fs::read_to_string(station.school.store().join("audit/log.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let viewed = lines.filter(|line| line["event"]["kind"] == "viewed" || line["kind"] == "viewed");
    viewed.map(|line| line.to_string()).collect()
}

#[test]
fn the_teacher_and_the_coach_get_what_stock_tools_open() {
    let (mut station, id, folder) = recorded_by(Station::enrol_coach);
    let mut teacher = logged_in(&mut station, "t-07");
    let mut coach = logged_in(&mut station, "c-02");
    let listed = fetch(&mut teacher, &id, "files").is(200).body;
    let names: Vec<&str> =
        listed["files"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert!(names.starts_with(&["manifest.json", "manifest.json.minisig", "segments.jsonl"]));
    assert!(names.contains(&"cam1/000001.mp4.age"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("key") || name.contains("grant")), "{names:?}");
    for name in &names[..3] {
        let got = fetch(&mut teacher, &id, &format!("files/{name}")).is(200);
        assert_eq!(got.bytes, fs::read(folder.join(name)).unwrap());
    }
    // Reading what a recording is, is no look at it.
    assert_eq!(views(&station), [""; 0]);
    let key = fetch(&mut teacher, &id, "key").is(200);
    assert_eq!(key.kind, "application/octet-stream");
    assert_eq!(views(&station).len(), 1);
    fs::write(station.school.path("key.age"), &key.bytes).unwrap();
    let root = station.school.path("");
    let opened = station.school.stock(&root, "age", &["-d", "-i", "teacher.key", "key.age"]);
    fs::write(station.school.path("rec.key"), opened).unwrap();
    let segment = fetch(&mut teacher, &id, "files/cam1/000001.mp4.age").is(200);
    fs::write(station.school.path("1.age"), &segment.bytes).unwrap();
    let mp4 = station.school.stock(&root, "age", &["-d", "-i", "rec.key", "1.age"]);
    assert_eq!(&mp4[4..8], b"ftyp");
    assert_eq!(views(&station).len(), 1);
    fetch(&mut coach, &id, "files/cam1/000001.tracks.age").is(200);
    fetch(&mut coach, &id, "files/cam1/000001.mp4.age").is(200);
    let seen = views(&station);
    assert_eq!(seen.len(), 2);
    assert!(seen[0].contains("t-07") && seen[1].contains("c-02"), "{seen:?}");
    // Opened again in the same session: said again.
    fetch(&mut coach, &id, "key").is(200);
    fetch(&mut coach, &id, "key").is(200);
    assert_eq!(views(&station).len(), 4);

    // Nothing else of the store has a name here.
    for name in [
        "key.age",
        "reserve.part",
        "grants/t-07.key.age",
        "..%2f..%2fbox.pub",
        "cam1%2f..%2fkey.age",
        "cam1/000001.mp4.age.part",
        "%2fetc%2fpasswd",
    ] {
        assert_eq!(fetch(&mut teacher, &id, &format!("files/{name}")).status, 404, "{name}");
    }
    // Whoever has nothing to do with it does not even learn that it is there.
    let mut other = logged_in(&mut station, "c-03");
    for name in ["files", "files/manifest.json", "key"] {
        let real = fetch(&mut other, &id, name).is(404);
        let none = fetch(&mut other, "01990000-0000-7000-8000-000000000000", name).is(404);
        assert_eq!(real.text, none.text);
        let mut admin = logged_in(&mut station, "a-01");
        assert_eq!(code(&fetch(&mut admin, &id, name).is(403)), "role");
    }
    assert_eq!(views(&station).len(), 4);
}

#[test]
fn what_is_withheld_nobody_gets() {
    let (mut station, id, _) = recorded();
    let mut teacher = logged_in(&mut station, "t-07");
    fetch(&mut teacher, &id, "key").is(200);
    // A pupil refuses who did not before.
    station.school.photo("other.jpg", "obama.jpg");
    let rows = "p-01,5b,refused,2026-09-01,refused.jpg\np-02,5b,refused,2026-09-01,\n";
    station.school.list(rows);
    station.run(&["pupils", "load", "list.csv"]).ended(0);
    for name in ["files", "files/cam1/000001.mp4.age", "key"] {
        assert_eq!(code(&fetch(&mut teacher, &id, name).is(403)), "withheld");
    }
    let all = teacher.get("/recordings").is(200).body;
    assert_eq!(all["recordings"][0]["withheld"], json!(true));
    assert_eq!(all["recordings"][0]["may_view"], json!(false));
}
