//! The configuration is read again while a lesson is recorded.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use super::Station;
use crate::{media::Clips, record::stop::endless, rtsp::Camera};

#[test]
fn new_settings_count_when_they_can_and_no_frame_is_lost() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = Station::new(&[&camera.url()], "[button]\ndanger-remote-start = true\n");
    station.start();
    station.prepare();
    station.run(&["start"]).ended(0);
    station.until_kept();
    let path = station.school.path("box.toml");
    let config = fs::read_to_string(&path).unwrap();
    // Nothing but a list: no setting changed.
    let said = station.run(&["reload", "--json"]).ended(0).json();
    let nothing = json!({ "now": [], "next_recording": [], "restart": [] });
    assert_eq!(said["body"]["settings"], nothing, "{said}");

    let new = config
        .replace("segment = \"1 s\"", "segment = \"2 s\"\npolicy = \"everyone\"")
        .replace("led = \"lamp\"", "led = \"elsewhere\"");
    fs::write(&path, format!("{new}[limits]\ndisk-reserve = \"65 MiB\"\n")).unwrap();
    let said = station.run(&["reload", "--json"]).ended(0).json();
    let settings = &said["body"]["settings"];
    assert_eq!(settings["now"], json!(["limits.disk-reserve"]));
    assert_eq!(settings["next_recording"], json!(["recording.policy", "recording.segment"]));
    assert_eq!(settings["restart"], json!(["indicator.led"]));
    let log = fs::read_to_string(station.school.store().join("audit/log.jsonl")).unwrap();
    assert_eq!(log.matches("\"kind\":\"configuration-changed\"").count(), 2, "{log}");

    // A bad file says which line, and changes nothing; by the signal too.
    fs::write(&path, format!("{new}[limits]\nmemory = \"much\"\n")).unwrap();
    let line = new.lines().count() + 2;
    let said = station.run(&["reload"]).ended(78);
    assert!(said.err.contains(&format!("box.toml:{line}:")), "{}", said.err);
    station.send(Signal::HUP);
    // The command itself reads the file, so it is put right before anybody asks.
    while !fs::read_to_string(station.school.path("log"))
        .unwrap()
        .contains("the configuration could not be read again: the settings before stay")
    {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    fs::write(&path, &new).unwrap();
    station.run(&["stop"]).ended(0);
    station.until_state("sealed");
    let first = station.whole().remove(0);
    assert_eq!((&first["policy"], &first["segment_ms"]), (&json!("refused"), &json!(1000)));
    // The list was read again each time; nothing else changed, and nothing is missing.
    assert_eq!(first.get("gaps"), None);
    assert_eq!(first["later_lists"].as_array().map(Vec::len), Some(3), "{first}");
    let ends = |segment: &serde_json::Value, key: &str| segment[key].as_u64().unwrap();
    for pair in first["segments"].as_array().unwrap().windows(2) {
        assert_eq!(ends(&pair[0], "end_ns"), ends(&pair[1], "start_ns"), "{first}");
    }

    // The next lesson goes by the new settings. Notices have to say so first.
    for audience in ["door", "parents", "pupils", "staff"] {
        let notice = ["register", "notice", "--audience", audience, "--text", "letter.txt"];
        station.run(&notice).ended(0);
    }
    station.prepare();
    station.run(&["start"]).ended(0);
    station.until_kept();
    station.run(&["stop"]).ended(0);
    station.until_state("sealed");
    let second = station.whole().remove(1);
    assert_eq!((&second["policy"], &second["segment_ms"]), (&json!("everyone"), &json!(2000)));
}
