//! Promise: a camera that goes away is noticed and waited for, the others go on, and a lesson is one
//! recording whatever its cameras do.

use std::{net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path, time::Instant};

use super::*;

const REMOTE: &str = "[button]\ndanger-remote-start = true\n";
const SIZE: (u32, u32) = (320, 240);

/// Within so long a camera that is gone is said to be away.
const NOTICED: Duration = Duration::from_secs(5);

/// A port at which nobody listens now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn camera<'a>(body: &'a Value, id: &str) -> &'a Value {
    let all = body["cameras"].as_array().unwrap();
    all.iter().find(|camera| camera["camera"] == id).unwrap_or(&Value::Null)
}

/// The gaps of a camera.
fn gaps(manifest: &Value, id: &str) -> Vec<Value> {
    let all = manifest["gaps"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|gap| gap["camera"] == id).collect()
}

/// The recording with this camera, and its manifest.
fn of_camera(station: &Station, id: &str) -> (PathBuf, Value) {
    let with = |(_, manifest): &(PathBuf, Value)| {
        manifest["cameras"].as_array().unwrap().iter().any(|camera| camera == id)
    };
    station.recordings().into_iter().zip(station.whole()).find(with).unwrap()
}

/// The size that all pictures of a video have.
fn size(video: &Path) -> String {
    ffprobe(video, "-select_streams v -show_entries stream=width,height -of csv=p=0").join("")
}

#[test]
fn a_camera_that_is_killed_is_waited_for_while_the_other_goes_on() {
    let ports = [free_port(), free_port()];
    let (first, _) = Camera::of_one_colour_at(ports[0], SIZE);
    let (second, _) = Camera::of_one_colour_at(ports[1], SIZE);
    let mut station = Station::new(&[&first.url(), &second.url()], REMOTE);
    station.start();
    station.prepare();
    station.run(&["start"]).ended(0);
    station.until_kept();
    drop(first);
    let began = Instant::now();
    let body = station.until("away", |body| camera(body, "cam1")["away"] == true);
    assert!(began.elapsed() < NOTICED, "{:?}", began.elapsed());
    assert_eq!(camera(&body, "cam2")["away"], false);
    let segments = |body: &Value, id| camera(body, id)["segments"].as_u64().unwrap();
    let before = segments(&body, "cam2");
    station.until("going on", |body| segments(body, "cam2") >= before + 2);
    // It comes back with other pictures, which are brought to the size of the first.
    let (_first, lamp) = Camera::of_one_colour_at(ports[0], (400, 200));
    let body = station.until("back", |body| camera(body, "cam1")["away"] == false);
    let before = segments(&body, "cam1");
    station.until("new", |body| segments(body, "cam1") >= before + 2);
    lamp.flash(GREEN, Duration::from_secs(2));
    std::thread::sleep(Duration::from_secs(1));
    station.run(&["stop"]).ended(0);
    station.until_state("sealed");
    let (folder, manifest) = of_camera(&station, "cam1");
    assert_eq!(manifest["fault"], Value::Null);
    let found = gaps(&manifest, "cam1");
    assert_eq!(found.len(), 1, "{manifest}");
    assert_eq!(found[0]["why"], "camera-lost");
    let seconds = |key: &str| found[0][key].as_f64().unwrap() / 1e9;
    let (from, to) = (seconds("from_ns"), seconds("to_ns"));
    assert!(to - from > 1.0, "{found:?}");
    let (_, other) = of_camera(&station, "cam2");
    assert_eq!(gaps(&other, "cam2").len(), 0, "{other}");
    let video = station.open(&folder, "cam1");
    assert_eq!(size(&video), "320,240");
    let times = frame_times(&video);
    let (before, after): (Vec<f64>, Vec<f64>) = times.iter().partition(|&&at| at < to - 0.5);
    assert!(before.iter().all(|&at| at < from), "{from} to {to}: {times:?}");
    assert!(after.len() > 2, "{from} to {to}: {times:?}");
    let green = station.colours_of(&video).iter().filter(|&&p| is_of(p, GREEN)).count();
    assert!(green >= 1, "{green} pictures of what it saw after it was back");
}

#[test]
fn a_camera_that_falls_silent_is_dialled_again() {
    let (source, lamp) = Camera::of_one_colour(SIZE);
    let mut station = Station::new(&[&source.url()], REMOTE);
    station.start();
    station.prepare();
    station.run(&["start"]).ended(0);
    station.until_kept();
    lamp.freeze();
    let began = Instant::now();
    station.until("away", |body| camera(body, "cam1")["away"] == true);
    assert!(began.elapsed() < NOTICED, "{:?}", began.elapsed());
    let body = station.until("back", |body| camera(body, "cam1")["away"] == false);
    let before = camera(&body, "cam1")["segments"].as_u64().unwrap();
    station.until("new", |body| camera(body, "cam1")["segments"].as_u64() > Some(before + 1));
    // What is gone before a gap is gone too.
    station.run(&["drop", "--seconds", "60"]).ended(0);
    drop(source);
    station.until("away", |body| camera(body, "cam1")["away"] == true);
    let began = Instant::now();
    station.run(&["stop"]).ended(0);
    station.until_state("sealed");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let (_, manifest) = of_camera(&station, "cam1");
    let whys: Vec<_> = gaps(&manifest, "cam1").iter().map(|gap| gap["why"].clone()).collect();
    assert_eq!(whys, ["camera-lost", "dropped", "camera-lost"], "{manifest}");
    assert_eq!(manifest["segments"].as_array().map(Vec::len), Some(0), "{manifest}");
}

#[test]
fn a_camera_that_is_not_there_or_does_not_let_in_begins_nothing() {
    let port = free_port();
    let address = format!("rtsp://127.0.0.1:{port}/stream");
    let mut station = Station::new(&[&address], REMOTE);
    // At boot it is away, and that is no reason not to run.
    station.start();
    station.prepare();
    assert_eq!(station.reasons(), ["camera-unreachable"]);
    let status = station.run(&["status"]).ended(0);
    assert!(status.out.contains("camera cam1 CANNOT BE USED"), "{}", status.out);
    station.run(&["start"]).ended(77);
    let (source, _) = Camera::of_one_colour_at(port, SIZE);
    assert_eq!(station.reasons(), [""; 0]);
    station.run(&["start"]).ended(0);
    station.until_kept();
    station.run(&["stop"]).ended(0);
    station.until_state("sealed");
    drop(source);
    let clips = Clips::new();
    let _closed = Camera::serve_at(port, &endless(&clips), Some(("coach", "secret")));
    station.prepare();
    // Before anybody presses anything.
    assert_eq!(station.reasons(), ["camera-unreachable"]);
    let said = station.run(&["start"]).ended(77);
    assert!(said.err.contains("camera-unreachable"), "{}", said.err);
    assert!(said.out.contains("refuses user and password"), "{}", said.out);
    // Nothing came of it, and the lesson can be started again.
    station.until_state("prepared");
    assert_eq!(station.recordings().len(), 1);
}

#[test]
fn what_a_camera_lacks_is_known_before_a_lesson_begins() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), Some(("coach", "secret")));
    let mut station = Station::new(&[&camera.url()], REMOTE);
    let path = station.school.path("box.toml");
    let config = fs::read_to_string(&path).unwrap();
    let with = |address: &str, password: &str| {
        let login = station.school.path("cam1.login");
        let owner_alone = fs::Permissions::from_mode(0o600);
        fs::write(&login, format!("coach\n{password}\n")).unwrap();
        fs::set_permissions(&login, owner_alone).unwrap();
        let input = format!("{address}\"\ncredentials = \"cam1.login");
        fs::write(&path, config.replace(&camera.url(), &input)).unwrap();
        station.run(&["preflight"])
    };
    with(&camera.url(), "secret").ended(0);
    let refused = with(&camera.url(), "wrong").ended(77);
    assert!(refused.out.contains("refuses user and password"), "{}", refused.out);
    let other = with(&camera.url().replace("/stream", "/other"), "secret").ended(77);
    assert!(other.out.contains("has no such stream"), "{}", other.out);
    // Somebody who takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("rtsp://{}/stream", silent.local_addr().unwrap());
    let dumb = with(&address, "secret").ended(77);
    assert!(dumb.out.contains("does not answer: is it a camera"), "{}", dumb.out);
    station.running = None;
}

#[test]
fn a_camera_that_comes_back_wrong_is_dialled_until_it_comes_back_right() {
    let port = free_port();
    let (source, _) = Camera::of_one_colour_at(port, SIZE);
    let mut station = Station::new(&[&source.url()], REMOTE);
    station.start();
    station.prepare();
    station.run(&["start"]).ended(0);
    station.until_kept();
    drop(source);
    station.until("away", |body| camera(body, "cam1")["away"] == true);
    // Somebody set a password meanwhile.
    let clips = Clips::new();
    let closed = Camera::serve_at(port, &endless(&clips), Some(("coach", "secret")));
    std::thread::sleep(Duration::from_secs(3));
    drop(closed);
    // It sends sound and no picture.
    let deaf = Camera::of_sound_at(port);
    std::thread::sleep(Duration::from_secs(6));
    let body = station.until("recording", |body| body["state"] == "recording");
    assert_eq!(camera(&body, "cam1")["away"], true, "{body}");
    drop(deaf);
    let (_source, lens) = Camera::of_one_colour_at(port, SIZE);
    let body = station.until("back", |body| camera(body, "cam1")["away"] == false);
    let before = camera(&body, "cam1")["segments"].as_u64();
    station.until("new", |body| camera(body, "cam1")["segments"].as_u64() > before);
    // Its clock jumps by a minute: it is lost, and taken in anew.
    let gaps_before = camera(&station.until("it", |_| true), "cam1")["gaps"].as_u64();
    lens.jump(Duration::from_secs(60));
    station.until("lost", |body| camera(body, "cam1")["gaps"].as_u64() > gaps_before);
    let body = station.until("back", |body| camera(body, "cam1")["away"] == false);
    let before = camera(&body, "cam1")["segments"].as_u64();
    station.until("new", |body| camera(body, "cam1")["segments"].as_u64() > before);
    station.run(&["stop"]).ended(0);
    station.until_state("sealed");
    let (_, manifest) = of_camera(&station, "cam1");
    assert_eq!(manifest["fault"], Value::Null);
    assert!(gaps(&manifest, "cam1").len() >= 2, "{manifest}");
    // A minute that nobody recorded is in no picture's time.
    let ended =
        manifest["segments"].as_array().unwrap().last().unwrap()["end_ns"].as_u64().unwrap();
    let took = station_seconds(&manifest);
    assert!((ended as f64) / 1e9 < took + 5.0, "{ended} ns in {took} s");
}

/// How long a recording took by the clock.
fn station_seconds(manifest: &Value) -> f64 {
    let at = |member: &str| manifest[member].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    at("ended").duration_since(at("started")).as_secs_f64()
}

#[test]
fn a_camera_whose_name_does_not_resolve_is_a_reason_and_the_box_runs() {
    let mut station = Station::new(&["rtsp://nowhere.invalid/stream"], REMOTE);
    station.start();
    let body = station.until("looked", |_| true);
    assert_eq!(body["reasons"][0]["code"], "camera-unreachable", "{body}");
    assert_eq!(body["reach"][0]["answers"], false, "{body}");
    station.prepare();
    station.run(&["start"]).ended(77);
}
