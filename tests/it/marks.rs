//! The promise: of what is marked and noted in a recording it can be told who made it, from a copy of the
//! recording's folder alone; what somebody else wrote, altered or took from elsewhere is found.

use std::{fs, path::Path};

use classveil::{
    clock::{Clock as _, SystemClock},
    units::{CameraId, RecordingId},
    vault::{
        Identities,
        access::{Kept, Made, Mark, Marks, read_marks, revoke},
        check, open,
        sign::PersonKey,
    },
};
use jiff::SignedDuration;

use crate::{
    grants::{grant, id, install},
    retention::{Scene, roles, stock},
    scene::text,
};

fn key(scene: &Scene, name: &str) -> PersonKey {
    let file = scene.root.join(format!("{name}.key"));
    PersonKey::of(&Identities::load(&file).unwrap()).remove(0)
}

/// A lesson of a teacher and a coach, whose signing keys the manifest names.
fn lesson(scene: &Scene) -> RecordingId {
    let now = SystemClock.now();
    let mut new = scene.new_recording(now, 30);
    new.coach = Some(id("c-02"));
    new.signers =
        vec![key(scene, "teacher").public(&id("t-07")), key(scene, "coach").public(&id("c-02"))];
    scene.record_new(&scene.log(now), new)
}

fn marks(recording: RecordingId, by: &str, grant: Option<String>) -> Marks {
    let mark = |from_ms, note: &str| Mark {
        camera: CameraId::first(),
        from_ms,
        to_ms: from_ms + 400,
        note: note.to_owned(),
    };
    let marks = vec![mark(500, "a good question"), mark(2_000, "nobody has time to think")];
    Marks { recording, at: SystemClock.now(), marks, grant, by: id(by) }
}

/// What the viewer of `person` would keep with the recording, encrypted by stock `age`.
fn keep(scene: &Scene, recording: RecordingId, person: &str, plain: &str) {
    let folder = scene.folder(recording);
    let own =
        stock(&folder, "age", &["-d", "-i", text(&scene.root.join("teacher.key")), "key.age"]);
    let file = scene.root.join("recording.key");
    fs::write(&file, own).unwrap();
    let public = stock(&scene.root, "age-keygen", &["-y", text(&file)]);
    let public = String::from_utf8(public).unwrap();
    fs::write(scene.root.join("plain"), plain).unwrap();
    let sealed = stock(&scene.root, "age", &["-r", public.trim(), "plain"]);
    fs::create_dir_all(folder.join("marks")).unwrap();
    fs::write(folder.join(format!("marks/{person}.age")), sealed).unwrap();
}

fn read(scene: &Scene, folder: &Path) -> Vec<(String, Made)> {
    let checked = check(folder, &scene.trust(), |_| ()).unwrap();
    let opened = open(checked, &scene.root.join("teacher.key")).unwrap();
    let name = |kept: &Kept| (kept.person.to_string(), kept.made);
    read_marks(&opened).unwrap().iter().map(name).collect()
}

fn made(scene: &Scene, recording: RecordingId, person: &str) -> Made {
    let all = read(scene, &scene.folder(recording));
    all.into_iter().find(|(name, _)| name == person).unwrap().1
}

#[test]
fn marks_are_of_whom_they_name_or_it_shows() {
    let scene = Scene::new();
    let recording = lesson(&scene);
    let other = lesson(&scene);
    let (teacher, coach) = (key(&scene, "teacher"), key(&scene, "coach"));
    let own = teacher.sign(&marks(recording, "t-07", None));
    let made = |person: &str, plain: &str| {
        keep(&scene, recording, person, plain);
        self::made(&scene, recording, person)
    };
    assert_eq!(made("t-07", &own), Made::Signed);
    assert_eq!(made("c-02", &coach.sign(&marks(recording, "c-02", None))), Made::Signed);
    // Edited.
    assert_eq!(made("t-07", &own.replace("good", "poor")), Made::Altered);
    // Put under somebody else's name: in the text, and by the file alone.
    assert_eq!(made("t-07", &coach.sign(&marks(recording, "t-07", None))), Made::NotTheirs);
    assert_eq!(made("c-02", &own), Made::OtherPerson);
    // Copied from another recording.
    let elsewhere = teacher.sign(&marks(other, "t-07", None));
    assert_eq!(made("t-07", &elsewhere), Made::OtherRecording);
    // Another kind of statement, what nobody signed, what is none, and what is under another key.
    let word = own.replacen("classveil-marks/2", "classveil-grant/1", 1);
    assert_eq!(made("t-07", &word), Made::Unreadable);
    let plain = serde_json::json!({
        "format": "classveil-marks/1", "recording": recording,
        "marks": [{ "camera": "cam1", "from_ms": 1, "to_ms": 2, "note": "" }],
    });
    assert_eq!(made("t-07", &plain.to_string()), Made::Unsigned);
    assert_eq!(made("t-07", "nothing of the kind"), Made::Unreadable);
    let sealed = stock(&scene.root, "age", &["-r", &scene.recipient(), "plain"]);
    fs::write(scene.folder(recording).join("marks/t-07.age"), sealed).unwrap();
    assert_eq!(self::made(&scene, recording, "t-07"), Made::Unreadable);
}

/// Whoever was granted access signs by a key that the teacher's statement names, also when the grant is over.
#[test]
fn marks_of_who_was_granted_access_are_theirs() {
    let scene = Scene::new();
    let recording = lesson(&scene);
    let now = SystemClock.now();
    let log = scene.log(now);
    let given = grant(&scene, recording, "s-09", now + SignedDuration::from_hours(24), now);
    install(&scene, &log, &given, now).unwrap();
    let statement = fs::read_to_string(scene.folder(recording).join("grants/s-09.grant")).unwrap();
    let viewer = key(&scene, "s-09");
    let note = viewer.sign(&marks(recording, "s-09", Some(statement.clone())));
    keep(&scene, recording, "s-09", &note);
    assert_eq!(made(&scene, recording, "s-09"), Made::Signed);
    revoke(&scene.store, &log, &roles(), recording, &id("s-09"), &id("t-07"), now).unwrap();
    assert_eq!(made(&scene, recording, "s-09"), Made::Signed);

    // A statement of nobody's, of another recording, of another person, or of another maker names nobody.
    let made = |by: &str, statement: Option<String>, signer: &PersonKey| {
        keep(&scene, recording, by, &signer.sign(&marks(recording, by, statement)));
        self::made(&scene, recording, by)
    };
    assert_eq!(made("s-09", None, &viewer), Made::NotTheirs);
    let other = lesson(&scene);
    let elsewhere = grant(&scene, other, "s-09", now + SignedDuration::from_hours(24), now);
    let elsewhere = elsewhere.to_parcel();
    let elsewhere: serde_json::Value = serde_json::from_slice(&elsewhere).unwrap();
    let elsewhere = elsewhere["statement"].as_str().unwrap().to_owned();
    assert_eq!(made("s-09", Some(elsewhere), &viewer), Made::NotTheirs);
    assert_eq!(made("t-07", Some(statement.clone()), &viewer), Made::NotTheirs);
    let edited = statement.replace("s-09", "c-02");
    assert_eq!(made("c-02", Some(edited), &viewer), Made::NotTheirs);
    // The coach cannot speak for the teacher by a grant of their own making.
    let coach = key(&scene, "coach");
    let mut claim = given.claim().clone();
    claim.by = id("c-02");
    let own = coach.sign(&claim);
    assert_eq!(made("s-09", Some(own), &viewer), Made::NotTheirs);
}

/// A grant whose statement names a signing key that is not the person's is not taken in.
#[test]
fn a_grant_names_its_own_persons_signing_key() {
    let scene = Scene::new();
    let recording = lesson(&scene);
    let now = SystemClock.now();
    let given = grant(&scene, recording, "s-09", now + SignedDuration::from_hours(24), now);
    let mut claim = given.claim().clone();
    claim.signers = vec![key(&scene, "coach").public(&id("s-09"))];
    let parcel: serde_json::Value = serde_json::from_slice(&given.to_parcel()).unwrap();
    let wrapped = serde_json::json!({
        "statement": key(&scene, "teacher").sign(&claim), "key": parcel["key"],
    });
    fs::write(scene.root.join("parcel"), wrapped.to_string()).unwrap();
    let forged = classveil::vault::access::NewGrant::load(&scene.root.join("parcel")).unwrap();
    let error = install(&scene, &scene.log(now), &forged, now).unwrap_err();
    assert!(error.to_string().contains("a signing key that is not that person's"), "{error}");
}

#[test]
fn the_command_shows_who_made_what() {
    let scene = Scene::new();
    let recording = lesson(&scene);
    let teacher = key(&scene, "teacher");
    let named = recording.to_string();
    let run = |more: &[&str]| {
        let key = ["--identity", "teacher.key", "--box-key", "store/box.pub"];
        scene.run(&[&["marks", &named, "--store", "store"][..], &key, more].concat())
    };
    assert!(run(&[]).ended(0).out.contains("marks of 0 people"));
    let own = teacher.sign(&marks(recording, "t-07", None));
    keep(&scene, recording, "t-07", &own);
    let said = run(&[]).ended(0);
    for part in ["t-07: signed", "cam1 00:00.500 00:00.900  a good question"] {
        assert!(said.out.contains(part), "{}", said.out);
    }
    keep(&scene, recording, "c-02", &own);
    let said = run(&[]).ended(65);
    assert!(said.out.contains("c-02: NOT BY WHOM THEY NAME"), "{}", said.out);
    let json = run(&["--json"]).ended(65).json();
    assert_eq!(json["marks"][0]["made"], "other-person", "{json}");
    assert_eq!(json["marks"][1]["made"], "signed", "{json}");
    // Where the recording names nobody's keys, nobody can tell.
    let now = SystemClock.now();
    let bare = scene.record(&scene.log(now), now, 30);
    keep(&scene, bare, "t-07", &teacher.sign(&marks(bare, "t-07", None)));
    let bare = bare.to_string();
    let args = ["marks", &bare, "--store", "store", "--identity", "teacher.key"];
    let said = scene.run(&args).ended(77);
    assert!(said.err.contains("nobody can tell"), "{}", said.err);
    // Nor where nobody vouches for the box that signed the manifest.
    let away = scene.root.join("away");
    crate::retention::copy(&scene.folder(recording), &away, |path| {
        path.ends_with("marks/c-02.age")
    });
    let home = scene.root.join("home");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_classveil"));
    command.env("XDG_DATA_HOME", &home).current_dir(&scene.root);
    command.args(["marks", "away", "--identity", "teacher.key"]);
    let said: crate::scene::Said = command.output().unwrap().into();
    assert!(said.ended(77).err.contains("unpinned key"));
}

#[test]
fn somebody_elses_marks_are_not_the_teachers_choice() {
    let scene = Scene::new();
    let recording = lesson(&scene);
    let folder = scene.root.join("away");
    crate::retention::copy(&scene.folder(recording), &folder, |_| false);
    let (own, coach) = (key(&scene, "teacher"), key(&scene, "coach"));
    let to = own.recipient().to_string();
    let home = scene.root.join("home");
    let export = |note: &str| {
        keep(&scene, recording, "t-07", note);
        let marks = scene.folder(recording).join("marks/t-07.age");
        let args = ["export", text(&folder), "--for", "teacher-copy", "--to", &to];
        let more = ["--identity", "teacher.key", "--fragments", text(&marks), "--output", "copy"];
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_classveil"));
        command.env("XDG_DATA_HOME", &home).current_dir(&scene.root).args(args).args(more);
        let said: crate::scene::Said = command.output().unwrap().into();
        said
    };
    let forged = coach.sign(&marks(recording, "t-07", None));
    let said = export(&forged).ended(77);
    assert!(said.err.contains("not taken for the choice of t-07"), "{}", said.err);
    assert!(!scene.root.join("copy").exists());
}
