//! The pages and the viewer, in a real browser. What is done and looked at there is in
//! `ui/test/browser`; here are the recordings and the box that it is done to.

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    path::Path,
    process::Command,
};

use serde_json::json;

use crate::{
    api::{PAGES, WORD, account},
    keys::enrol,
    media::{Clips, sample},
    record::stop::endless,
    rtsp::Camera,
    scene::{School, text},
    service::Station,
    support::project,
};

/// Runs a program of Node's; its output is the failure's text.
#[track_caller]
fn node(script: &str, args: &[&str]) {
    let said = Command::new("node")
        .arg(project(script))
        .args(args)
        .current_dir(project("ui"))
        .output()
        .unwrap_or_else(|e| panic!("node: {e}; `make setup` installs it"));
    let out = String::from_utf8_lossy(&said.stdout);
    let err = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{script}\n{out}\n{err}");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_pages_own_tests_pass() {
    node("ui/node_modules/vitest/vitest.mjs", &["run"]);
}

/// A real recording in the viewer that is one file: it plays for who may look and for nobody else,
/// whatever was altered is refused with its reason, and nothing decrypted stays.
#[test]
fn the_viewer_plays_what_is_whole_and_refuses_the_rest() {
    let school = School::with_refused_man();
    let clip = sample("obama_speech.mp4");
    fs::copy(school.path("teacher.key"), school.path("t-07.key")).unwrap();
    let enrolling = |args: &[&str]| school.run(args);
    enrol(enrolling, &school.path(""), "t-07", "teacher");
    let words = ["--policy", "refused", "--dpia", "D", "--segment", "2 s", "--teacher", "t-07"];
    let recorded = school.record(&clip, &words);
    let folder = school.path("viewer");
    copy_folder(&recorded.folder, &folder.join("recording"));
    fs::copy(school.store().join("box.pub"), folder.join("box.pub")).unwrap();
    fs::copy(school.path("teacher.key"), folder.join("teacher.key")).unwrap();
    school.run(&["keygen", "--output", text(&folder.join("other.key"))]).ended(0);
    let public = folder.join("other-box.pub");
    let made = Command::new("minisign")
        .args(["-G", "-W", "-p", text(&public), "-s", text(&folder.join("other-box.key"))])
        .output()
        .unwrap_or_else(|e| panic!("minisign: {e}; `make setup` installs it"));
    assert!(made.status.success(), "{made:?}");
    // The very file that the program hands out, signed as stock minisign checks it.
    let viewer = folder.join("viewer.html");
    let args = ["viewer", "--output", text(&viewer)];
    school.run(&args).ended(0);
    school.run(&args).ended(78);
    let public = folder.join("box.pub");
    let checked =
        Command::new("minisign").args(["-Vqm", text(&viewer), "-p", text(&public)]).status();
    assert!(checked.unwrap().success());
    node("ui/test/browser/viewer.mjs", &[text(&folder)]);
}

/// Packs files of the school's folder.
fn pack(school: &School, name: &str, files: &[&str]) {
    let made = Command::new("/usr/bin/python3")
        .args(["-m", "zipfile", "-c", name])
        .args(files)
        .current_dir(school.path(""))
        .status()
        .expect("python3");
    assert!(made.success());
}

/// Whether `needle` is anywhere in the memory of a process.
fn remembers(process: u32, needle: &[u8]) -> bool {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut memory = fs::File::open(format!("/proc/{process}/mem")).unwrap_or_else(|e| {
        panic!("memory of the box: {e}; run the tests as who may trace processes")
    });
    let range = |line: &str| {
        let (range, _) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let at = |text| u64::from_str_radix(text, 16).ok();
        Some((at(from)?, at(to)?))
    };
    let writable = maps.lines().filter(|line| line.contains(" rw"));
    let mut bytes = Vec::new();
    let mut read = 0;
    for (from, to) in writable.filter_map(range) {
        bytes.clear();
        // What is mapped and not there, such as a device's memory, cannot be read.
        if memory.seek(SeekFrom::Start(from)).is_ok()
            && (&mut memory).take(to - from).read_to_end(&mut bytes).is_ok()
        {
            read += bytes.len();
            if bytes.windows(needle.len()).any(|part| part == needle) {
                return true;
            }
        }
    }
    assert!(read > 1 << 20, "{read} bytes of memory were read");
    false
}

/// Keys are enrolled, replaced, vouched for and ended on the pages; nobody's secret key is sent.
#[test]
fn keys_change_on_the_pages() {
    fn run(station: &Station, args: &[&str]) -> String {
        station.school.run(args).ended(0).out.trim().to_owned()
    }
    let mut station = Station::bare(&[text(&sample("obama_speech.mp4"))], PAGES);
    for (name, role) in [
        ("t-07", "teacher"),
        ("c-02", "coach"),
        ("p-01", "privacy-officer"),
        ("s-09", "viewer"),
        ("m-01", "manager"),
    ] {
        account(&station, name, role, None);
    }
    for (person, role) in [("t-07", "teacher"), ("c-02", "coach")] {
        enrol(|args| station.school.run(args), &station.school.path(""), person, role);
    }
    let store = ["--store", "store"];
    let invited = |args: &[&str]| run(&station, &[&["people"][..], args, &store].concat());
    let officer = invited(&["add", "p-01", "--role", "privacy-officer"]);
    let coach = invited(&["invite", "c-02"]);
    for name in ["p-01.key", "t-07b.key"] {
        run(&station, &["keygen", "--output", name]);
    }
    let new = run(&station, &["keygen", "--output", "c-02b.key"]);
    station.start();
    let body = station.until("served", |body| body["network"]["url"].is_string());
    let path = |name: &str| station.school.path(name).to_str().unwrap().to_owned();
    let school = json!({
        "url": body["network"]["url"],
        "password": WORD,
        "officerCode": officer,
        "coachCode": coach,
        "coachNew": new,
        "officerKey": path("p-01.key"),
        "teacherKey": path("t-07.key"),
        "teacherNew": path("t-07b.key"),
        "coachKey": path("c-02.key"),
        "coachNewKey": path("c-02b.key"),
        "note": path("c-02.note"),
    });
    fs::write(station.school.path("school.json"), school.to_string()).unwrap();
    node("ui/test/browser/keys.mjs", &[&path("school.json")]);
    // What the page signed is what the program makes of the same key.
    let args = ["approve", "c-02", "--recipient", &new, "--by", "t-07", "--identity", "t-07b.key"];
    run(&station, &[&["people"][..], &args, &["--output", "own.note"]].concat());
    let [page, own] = ["c-02.note", "own.note"].map(|name| fs::read(path(name)).unwrap());
    assert_eq!(page, own);
    station.school.run(&["audit", "verify", "--store", "store"]).ended(0);
}

/// A lesson on the pages of a real box with a real camera, each role at its own: from a fresh box to
/// the recording seen in the browser, of which the box learns no key.
#[test]
fn a_lesson_on_the_pages() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = Station::bare(&[&camera.url()], PAGES);
    for (name, role, person) in [
        ("c-02", "coach", Some("c-02")),
        ("t-07", "teacher", Some("t-07")),
        ("o-01", "operator", None),
        ("p-01", "privacy-officer", None),
    ] {
        account(&station, name, role, person);
    }
    let code = station.run(&["users", "setup-code"]).ended(0).out;
    let path = |name: &str| station.school.path(name).to_str().unwrap().to_owned();
    fs::copy(path("teacher.key"), path("t-07.key")).unwrap();
    let run = |args: &[&str]| station.school.run(args);
    for (person, role) in [("t-07", "teacher"), ("c-09", "supervisor")] {
        enrol(run, &station.school.path(""), person, role);
    }
    run(&["people", "add", "p-01", "--role", "privacy-officer", "--store", "store"]).ended(0);
    let invited = run(&["people", "add", "c-02", "--role", "coach", "--store", "store"]).ended(0);
    pack(&station.school, "list.zip", &["list.csv", "refused.jpg"]);
    fs::create_dir(station.school.path("wrong")).unwrap();
    let wrong = "pupil_id,class,status,since,photos\nJan Jansen,5b,refused,2026-09-01,\n";
    fs::write(station.school.path("wrong/list.csv"), wrong).unwrap();
    pack(&station.school, "broken.zip", &["wrong/list.csv"]);
    fs::write(station.school.path("letter.txt"), "We record lessons.").unwrap();
    station.start();
    let body = station.until("served", |body| body["network"]["url"].is_string());
    let path = |name: &str| station.school.path(name).to_str().unwrap().to_owned();
    let school = json!({
        "url": body["network"]["url"],
        "code": code.trim(),
        "password": WORD,
        "button": path("button"),
        "list": path("list.zip"),
        "broken": path("broken.zip"),
        "letter": path("letter.txt"),
        "plan": path("plan.json"),
        "teacherKey": path("teacher.key"),
        "otherKey": path("c-09.key"),
        "coachCode": invited.out.trim(),
        "coachKey": path("c-02.key"),
    });
    fs::write(station.school.path("school.json"), school.to_string()).unwrap();
    let told = path("school.json");
    // Pictures of the pages for the guide, where somebody wants them.
    let shots = std::env::var("CLASSVEIL_TEST_SHOTS").ok().map(|folder| project(&folder));
    let args: Vec<&str> = [told.as_str()].into_iter().chain(shots.as_deref().map(text)).collect();
    node("ui/test/browser/box.mjs", &args);

    let key = fs::read_to_string(station.school.path("teacher.key")).unwrap();
    let secret = key.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap();
    let box_process = station.process();
    // What it does know is found.
    assert!(remembers(box_process, station.school.recipient.as_bytes()));
    assert!(!remembers(box_process, secret.as_bytes()), "the box knows the teacher's key");

    // What was granted in the browser opens by the command line, until it is taken back.
    let folder = station.recordings().remove(0);
    let id = folder.file_name().unwrap().to_str().unwrap();
    let open = |to: &str| {
        let key = ["--identity", "c-09.key", "--output", to];
        station.school.run(&[&["open", text(&folder)][..], &key].concat())
    };
    open("granted.mp4").ended(0);
    let revoke = ["revoke", id, "--from", "c-09", "--by", "t-07", "--store", "store"];
    station.school.run(&revoke).ended(0);
    open("again.mp4").ended(77);
    // What the coach marked in the browser the program takes for theirs too.
    let marks = station.school.run(&["marks", text(&folder), "--identity", "teacher.key"]).ended(0);
    assert!(marks.out.contains("c-02: signed"), "{}", marks.out);
    station.school.run(&["verify", text(&folder)]).ended(0);
    station.school.run(&["store", "check", "--store", "store"]).ended(0);
    station.school.run(&["audit", "verify", "--store", "store"]).ended(0);
}
