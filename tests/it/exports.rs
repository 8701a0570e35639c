//! The promise: what a key holder exports shows whom its purpose allows and nobody else, opens for
//! the people named, carries its own deadline, and is in the log.

use std::{fs, path::Path, process::Command};

use classveil::frame::Rect;
use jiff::Timestamp;

use crate::{
    eyes::{Eyes, Pictures, SURE, likeness},
    keys::{accept, enrol},
    media::{Clips, ffprobe, frame_times, sample},
    retention::{contents, copy},
    reveil::{away, seen},
    scene::{Said, School, text},
};

const LATER: &str = "2999-01-01";

/// A school, its lesson on the teacher's own computer, and the lesson as it was recorded.
struct Lesson {
    school: School,
    recording: String,
}

impl Lesson {
    fn new() -> Self {
        Self::in_which_he("consented")
    }

    /// A lesson recorded with a man who `status`, by his photo.
    fn in_which_he(status: &str) -> Self {
        let school = School::new();
        let clips = Clips::new();
        let root = school.path("");
        let run = |args: &[&str]| school.run(args);
        let coach = enrol(run, &root, "c-02", "coach");
        for (person, role) in [("t-07", "teacher"), ("s-01", "supervisor")] {
            enrol(run, &root, person, role);
        }
        accept(run, "c-02", &coach, "t-07");
        school.photo("man.jpg", "obama.jpg");
        school.list("p-01,5b,consented,2026-09-01,man.jpg\np-02,5b,refused,2026-09-01,\n");
        let seen = "pupil_id,class,status,since,photos\n";
        let seen = format!("{seen}p-01,5b,{status},2026-09-01,man.jpg\n");
        fs::write(school.path("seen.csv"), seen).unwrap();
        let from = sample("obama_speech.mp4");
        let clip = clips.make("lesson.mp4", &format!("-t 3.5 -i {} -c copy", from.display()));
        let args = ["record", "--store", "store", "--input", text(&clip), "--json", "--dpia", "D"];
        let more =
            ["--teacher", "t-07", "--coach", "c-02", "--class", "5b", "--pupils", "seen.csv"];
        let sound =
            ["--audio", "keep", "--audio-reason", "questions", "--question", "How do I ask?"];
        let said = school.run(&[&args[..], &more, &sound].concat()).ended(0);
        let recorded = school.recorded(said);
        let id = recorded.folder.file_name().unwrap().to_str().unwrap();
        let folder = school.path(&format!("away/recordings/{id}"));
        fs::create_dir_all(folder.parent().unwrap()).unwrap();
        copy(&recorded.folder, &folder, |_| false);
        let open = ["open", text(&folder), "--identity", "t-07.key", "--output", "before.mp4"];
        away(&school, &open).ended(0);
        let recording = recorded.folder.file_name().unwrap().to_str().unwrap().to_owned();
        Self { school, recording }
    }

    fn export(&self, purpose: &str, by: &str, to: &str, more: &[&str]) -> Said {
        let key = format!("{by}.key");
        let to =
            self.school.stock(&self.school.path(""), "age-keygen", &["-y", &format!("{to}.key")]);
        let to = String::from_utf8(to).unwrap();
        // By its id, in the teacher's own copy of the store.
        let args = ["export", &self.recording, "--store", "away", "--for", purpose, "--by", by];
        let more = [&["--identity", &key, "--to", to.trim(), "--json"], more].concat();
        away(&self.school, &[&args[..], &more].concat())
    }

    fn open(&self, export: &str, identity: &str) -> Said {
        let args = ["open", export, "--identity", identity, "--output", "out.mp4", "--force"];
        away(&self.school, &args)
    }

    fn manifest(&self, export: &str) -> serde_json::Value {
        let path = self.school.path(export).join("manifest.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    fn enter(&self, file: &Path) -> Said {
        self.school.run(&["exports", "enter", text(file), "--store", "store", "--json"])
    }
}

fn streams(path: &Path, kind: &str) -> usize {
    ffprobe(path, &format!("-select_streams {kind} -show_entries stream=index")).len()
}

#[test]
fn an_export_for_supervision_shows_and_names_nobody() {
    let lesson = Lesson::new();
    let school = &lesson.school;
    let before = school.path("before.mp4");
    assert_eq!(streams(&before, "a"), 1);
    let mut eyes = Eyes::new();
    let (his, others) = seen(&mut eyes, &before);
    assert!(his > 5 && others > 5, "to be seen before: {his} and {others}");
    let until = ["--until", LATER, "--output", "group"];
    lesson.export("supervision", "s-01", "s-01", &until).ended(77);
    let json = lesson.export("supervision", "c-02", "s-01", &until).ended(0).json();
    assert_eq!(json["tracks_shown"], 0, "{json}");
    let manifest = lesson.manifest("group");
    let was = lesson.manifest(&format!("away/recordings/{}", lesson.recording));
    assert_eq!(manifest["delete_by"], was["delete_by"], "not after the recording itself");
    for gone in ["teacher", "coach", "class"] {
        assert!(manifest[gone].is_null() && !was[gone].is_null(), "{gone}");
    }
    assert_eq!((&manifest["policy"], &manifest["audio"]), (&"everyone".into(), &false.into()));
    // It opens for those it was made for, and shows nobody.
    for other in ["c-02.key", "t-07.key"] {
        lesson.open("group", other).ended(77);
    }
    lesson.open("group", "s-01.key").ended(0);
    let out = school.path("out.mp4");
    assert_eq!(streams(&out, "a"), 0);
    let pictures = Pictures::of(&out);
    let found: usize = pictures.iter().map(|picture| eyes.anybody(&picture, SURE).len()).sum();
    assert!(found == 0 && pictures.len() == frame_times(&before).len(), "{found}");
    let told =
        Command::new("ffprobe").arg("-v").arg("error").arg("-show_format").arg(&out).output();
    let told = String::from_utf8(told.unwrap().stdout).unwrap();
    assert!(
        told.contains("purpose") && !told.contains("t-07") && !told.contains("\"5b\""),
        "{told}"
    );

    for (name, bytes) in contents(&school.path("group")) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for word in ["t-07", "c-02", &lesson.recording] {
            assert!(!text.contains(word), "{} names {word}", name.display());
        }
    }

    // The box enters it, once, if a recipient signed it.
    let note = school.path("group.note");
    let forged = fs::read_to_string(&note).unwrap().replace("\"by\":\"c-02\"", "\"by\":\"t-07\"");
    fs::write(school.path("forged.note"), forged).unwrap();
    lesson.enter(&school.path("forged.note")).ended(77);
    for _ in 0..2 {
        lesson.enter(&note).ended(0);
    }
    let list = school.run(&["exports", "list", "--store", "store", "--json"]).ended(0).json();
    let [entered] = &list["exports"].as_array().unwrap()[..] else { panic!("{list}") };
    assert_eq!((&entered["by"], &entered["purpose"]), (&"c-02".into(), &"supervision".into()));
    assert_eq!(entered["recording"], lesson.recording.as_str());
    assert!(entered["recall"].is_null(), "{list}");
    // Who has a copy makes one of a recording that is withheld: the box says so when it hears of it, and
    // the log has it.
    let restrict = ["request", "restrict", &lesson.recording, "--by", "p-02", "--store", "store"];
    let said = school.run(&restrict).ended(0).out;
    assert!(said.contains("call back and delete this supervision export"), "{said}");
    let again = lesson.enter(&note).ended(77);
    assert!(again.err.contains("is in the log, and must not be used"), "{}", again.err);
    assert!(again.json()["withheld"].as_str().unwrap().contains("request 1"), "{}", again.out);
    let list = school.run(&["exports", "list", "--store", "store", "--json"]).ended(0).json();
    assert_eq!(list["exports"][0]["recall"], "objection", "{list}");
    school.run(&["audit", "verify", "--store", "store"]).ended(0);
}

/// A face that is veiled already is found by nobody; the body under it goes by what the recording knows.
#[test]
fn who_is_veiled_already_is_veiled_with_their_body() {
    let lesson = Lesson::in_which_he("refused");
    let school = &lesson.school;
    lesson.export("supervision", "t-07", "s-01", &["--output", "group"]).ended(0);
    lesson.open("group", "s-01.key").ended(0);
    let (was, now) = (school.path("before.mp4"), school.path("out.mp4"));
    let (was, now) = (Pictures::of(&was), Pictures::of(&now));
    assert_eq!(was.len(), now.len());
    let root = school.path("");
    let folder = format!("away/recordings/{}", lesson.recording);
    let sealed = format!("{folder}/key.age");
    let key = school.stock(&root, "age", &["-d", "-i", "t-07.key", &sealed]);
    fs::write(school.path("rec.key"), key).unwrap();
    let reasons = format!("{folder}/cam1/000001.tracks.age");
    let reasons = school.stock(&root, "age", &["-d", "-i", "rec.key", &reasons]);
    let reasons: serde_json::Value = serde_json::from_slice(&reasons).unwrap();
    let tracks = reasons["tracks"].as_array().unwrap();
    let his = tracks.iter().find(|track| track["state"] == "refused").expect("he is refused");
    let mut looked = 0;
    for place in his["boxes"].as_array().unwrap().iter().step_by(5) {
        let frame = usize::try_from(place["frame"].as_u64().unwrap()).unwrap();
        let [x, y, w, h] = [0, 1, 2, 3].map(|at| place["face"][at].as_f64().unwrap() as f32);
        let body = Rect::new(x - w * 0.4, y + h * 1.6, w * 1.8, h * 1.2);
        let body = body.intersection(Rect::new(
            0.0,
            0.0,
            was.size().width as f32,
            was.size().height as f32,
        ));
        if frame >= was.len() || body.h < h * 0.4 {
            continue;
        }
        let like = likeness(&now.at(frame), &was.at(frame), body);
        assert!(like < 0.5, "his body shows in picture {frame}: {like:.2}");
        looked += 1;
    }
    assert!(looked > 3, "{looked} pictures");
}

#[test]
fn the_teachers_copy_has_the_marked_parts_and_opens_for_the_teacher() {
    let lesson = Lesson::new();
    let school = &lesson.school;
    fs::write(school.path("parts.txt"), "# the question\n0:00.5 0:01\n0:02 - 0:03\n").unwrap();
    fs::write(school.path("beyond.txt"), "10:00 11:00\n").unwrap();
    fs::write(school.path("wrong.txt"), "0:02 0:03\n0:01 0:02\n").unwrap();
    let parts = ["--fragments", "parts.txt", "--output", "copy"];
    lesson.export("teacher-copy", "c-02", "c-02", &parts).ended(77);
    lesson.export("teacher-copy", "t-07", "s-01", &parts).ended(77);
    lesson.export("teacher-copy", "t-07", "t-07", &["--output", "copy"]).ended(64);
    for file in ["beyond.txt", "wrong.txt"] {
        let parts = ["--fragments", file, "--output", "copy"];
        lesson.export("teacher-copy", "t-07", "t-07", &parts).ended(78);
        assert!(!school.path("copy").exists(), "{file}");
    }
    lesson.export("teacher-copy", "t-07", "t-07", &parts).ended(0);
    let kept: Timestamp = lesson.manifest("copy")["delete_by"].as_str().unwrap().parse().unwrap();
    assert!(kept < Timestamp::now() + jiff::SignedDuration::from_hours(31 * 24));
    lesson.open("copy", "c-02.key").ended(77);
    lesson.open("copy", "t-07.key").ended(0);
    let (out, before) = (school.path("out.mp4"), school.path("before.mp4"));
    assert_eq!(streams(&out, "a"), 1);
    let times = frame_times(&before);
    let marked = |time: &f64| (0.5..1.0).contains(time) || (2.0..3.0).contains(time);
    let expected: Vec<usize> = (0..times.len()).filter(|at| marked(&times[*at])).collect();
    let (copied, whole) = (Pictures::of(&out), Pictures::of(&before));
    assert_eq!(copied.len(), expected.len());
    let size = copied.size();
    let all = Rect::new(0.0, 0.0, size.width as f32, size.height as f32);
    for (at, from) in expected.iter().enumerate().step_by(4) {
        let like = likeness(&copied.at(at), &whole.at(*from), all);
        assert!(like > 0.6, "picture {at} is that at {:.2} s: {like:.2}", times[*from]);
    }
    let length: f64 = ffprobe(&out, "-show_entries format=duration")[0].parse().unwrap();
    assert!((1.3..1.8).contains(&length), "{length} s");
    lesson.enter(&school.path("copy.note")).ended(0);
    // Nothing of it is left beside it, and no opened picture.
    let names = contents(&school.path(""));
    assert!(
        !names.keys().any(|name| name.to_string_lossy().contains(".part/")),
        "{:?}",
        names.keys()
    );
}

#[test]
fn parents_see_their_own_child_and_nobody_else() {
    let lesson = Lesson::new();
    let school = &lesson.school;
    let of = |pupil, list| ["--pupil", pupil, "--pupils", list, "--output", "parent"];
    lesson.export("parent", "t-07", "s-01", &["--output", "parent"]).ended(64);
    lesson.export("parent", "c-02", "s-01", &of("p-01", "seen.csv")).ended(77);
    // A pseudonym is a word; the key is the coach's.
    fs::write(school.path("parts.txt"), "0:01 0:02\n").unwrap();
    let coach = ["--by", "t-07", "--identity", "c-02.key", "--box-key", "store/box.pub"];
    for (purpose, more) in [
        ("parent", &of("p-01", "seen.csv")[..]),
        ("teacher-copy", &["--fragments", "parts.txt", "--output", "parent"]),
    ] {
        let to = school.stock(&school.path(""), "age-keygen", &["-y", "c-02.key"]);
        let to = String::from_utf8(to).unwrap();
        let args =
            ["export", &lesson.recording, "--store", "away", "--for", purpose, "--to", to.trim()];
        let said = away(school, &[&args[..], &coach, more].concat()).ended(77);
        assert!(said.err.contains("not a key of the recording's teacher"), "{}", said.err);
    }
    lesson.export("parent", "t-07", "s-01", &of("p-02", "list.csv")).ended(77);
    lesson.export("parent", "t-07", "s-01", &of("p-09", "list.csv")).ended(78);
    assert!(!school.path("parent").exists());
    lesson.export("parent", "t-07", "s-01", &of("p-01", "list.csv")).ended(0);
    lesson.open("parent", "s-01.key").ended(0);
    let (his, others) = seen(&mut Eyes::new(), &school.path("out.mp4"));
    assert!(his > 5 && others == 0, "he {his} times, others {others} times");
    assert_eq!(lesson.manifest("parent")["policy"], "unless-cleared");
    lesson.enter(&school.path("parent.note")).ended(0);
    // Who gets it checks it with the key that came beside it.
    let export = school.path("parent");
    school.stock(&export, "minisign", &["-Vm", "manifest.json", "-p", "../parent.pub"]);
    let said = away(school, &["verify", "parent", "--box-key", "parent.pub"]).ended(0);
    assert!(!said.err.contains("unpinned"), "{}", said.err);
    // On the box nobody makes one.
    let folder = format!("store/recordings/{}", lesson.recording);
    let args = ["export", &folder, "--for", "parent", "--identity", "t-07.key"];
    let more = ["--pupil", "p-01", "--pupils", "list.csv", "--to", &school.recipient];
    let said = school.run(&[&args[..], &more, &["--output", "box"]].concat()).ended(77);
    assert!(said.err.contains("does not belong here"), "{}", said.err);
    // Nor where the box's key is where the configuration says, or where the package puts it.
    let made = ["--output", "box", "--box-key", "store/box.pub"];
    let here = |more_still: &[&str]| {
        let said = away(school, &[&args[..], &more, &made, more_still].concat()).ended(77);
        assert!(said.err.contains("does not belong here"), "{}", said.err);
    };
    let key = school.path("home").join(".local/share/classveil/box.key");
    fs::write(school.path("box.toml"), format!("[store]\nbox-key = {key:?}\n")).unwrap();
    here(&["--config", "box.toml"]);
    fs::create_dir_all(school.path("keys")).unwrap();
    fs::copy(&key, school.path("keys/box.key")).unwrap();
    here(&[]);
    assert!(!school.path("box").exists());
}
