//! The promise: who refuses after a recording was made is veiled in it by somebody who can open it,
//! and then the one that showed them is gone; and nothing else takes a recording's place.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use classveil::{
    units::{CameraId, Pts, RecordingId},
    vault::{
        BoxKey, Course, Gap, Identities, NewRecording, Outcome, RecordingWriter, Trust,
        access::{
            AccessError, Ask, KeyHolder, Mark, Marks, NewRequest, NewSuccessor, attest, request,
        },
        audit::Event,
        check, recover,
        retention::Verdict,
        sign::PersonKey,
    },
};
use jiff::Timestamp;

use crate::{
    crash::{Blow, campaign, workplace},
    eyes::{Eyes, Pictures, SAME, SURE},
    grants::{grant, id, install},
    keys::enrol,
    media::{Clips, sample},
    record::assert_same_times,
    retention::{Scene, at, contents, copy, days, segment},
    scene::{Said, School, text},
    support::photo,
};

/// How often a face is that of the man of `obama.jpg`, and how often somebody else's.
pub(crate) fn seen(eyes: &mut Eyes, opened: &Path) -> (usize, usize) {
    let man = eyes.person(&photo(&sample("obama.jpg")));
    let (mut his, mut others) = (0, 0);
    for picture in Pictures::of(opened).iter().step_by(3) {
        for face in eyes.faces(&picture, SURE) {
            let is_his = face.cosine(&man) >= SAME;
            *(if is_his { &mut his } else { &mut others }) += 1;
        }
    }
    (his, others)
}

/// The program on the teacher's own computer.
pub(crate) fn away(school: &School, args: &[&str]) -> Said {
    let mut command = school.command();
    command.env("HOME", school.path("away")).args(args).output().unwrap().into()
}

/// Marks of the recording `of`, as the teacher's viewer signs them.
fn marks(school: &School, of: &str) -> String {
    let own = Identities::load(&school.path("t-07.key")).unwrap();
    let mark = Mark {
        camera: CameraId::first(),
        from_ms: 500,
        to_ms: 900,
        note: "a good question".to_owned(),
    };
    PersonKey::of(&own)[0].sign(&Marks {
        recording: of.parse().unwrap(),
        at: "2026-11-01T08:00:00Z".parse().unwrap(),
        marks: vec![mark],
        grant: None,
        by: "t-07".parse().unwrap(),
    })
}

/// The key of the recording in `folder`, as a file.
fn key_of(school: &School, folder: &Path, name: &str) -> PathBuf {
    let teacher = school.path("t-07.key");
    let key = school.stock(folder, "age", &["-d", "-i", text(&teacher), "key.age"]);
    fs::write(school.path(name), key).unwrap();
    school.path(name)
}

/// What the teacher marked while watching, what belongs to another recording, and what somebody put there
/// who does not have the key.
fn put_marks(school: &School, folder: &Path, id: &str) {
    let root = school.path("");
    let own = school.stock(&root, "age-keygen", &["-y", text(&key_of(school, folder, "old.key"))]);
    let own = String::from_utf8(own).unwrap();
    fs::create_dir(folder.join("marks")).unwrap();
    for (person, json, to) in [
        ("t-07", marks(school, id), own.trim()),
        ("c-03", marks(school, "01990000-0000-7000-8000-000000000000"), own.trim()),
        ("c-02", marks(school, id), &school.recipient),
    ] {
        fs::write(school.path("marks.json"), json).unwrap();
        let sealed = school.stock(&root, "age", &["-r", to, "marks.json"]);
        fs::write(folder.join(format!("marks/{person}.age")), sealed).unwrap();
    }
}

/// The teacher's marks are with the successor, under its key and no other.
fn assert_marks_came_along(school: &School, old: &str, new: &Path) {
    assert_eq!(fs::read_dir(new.join("marks")).unwrap().count(), 1);
    let sealed = new.join("marks/t-07.age");
    let key = key_of(school, new, "new.key");
    let opened = school.stock(new, "age", &["-d", "-i", text(&key), text(&sealed)]);
    assert_eq!(String::from_utf8(opened).unwrap(), marks(school, old));
    let shown = school.run(&["marks", text(new), "--identity", "t-07.key"]).ended(0);
    assert!(shown.out.contains("t-07: signed"), "{}", shown.out);
    let other = std::process::Command::new("age")
        .args(["-d", "-i", text(&school.path("old.key")), text(&sealed)])
        .output()
        .unwrap();
    assert!(!other.status.success(), "the key of the one before opens nothing of the new one");
}

#[test]
fn a_late_refusal_is_veiled_by_a_key_holder_and_the_old_recording_is_gone() {
    let school = School::new();
    let clips = Clips::new();
    let root = school.path("");
    let from = sample("obama_speech.mp4");
    let clip = clips.make("lesson.mp4", &format!("-t 3.5 -i {} -c copy", from.display()));
    enrol(|args| school.run(args), &root, "t-07", "teacher");
    school.photo("man.jpg", "obama.jpg");
    let load =
        || school.run(&["pupils", "load", "list.csv", "--store", "store", "--dpia", "D", "--json"]);
    school.list("p-01,5b,consented,2026-09-01,man.jpg\n");
    load().ended(0);
    let args = ["record", "--store", "store", "--input", text(&clip), "--json", "--dpia", "D"];
    let more = ["--policy", "refused", "--teacher", "t-07", "--class", "5b"];
    let recorded = school.recorded(school.run(&[&args[..], &more].concat()).ended(0));
    let old = recorded.folder.file_name().unwrap().to_str().unwrap().to_owned();
    let open = |folder: &Path, out: &str| {
        school.run(&["open", text(folder), "--identity", "t-07.key", "--output", out])
    };
    open(&recorded.folder, "before.mp4").ended(0);
    let mut eyes = Eyes::new();
    let (his, _) = seen(&mut eyes, &school.path("before.mp4"));
    assert!(his > 5, "he is to be seen before: {his}");

    school.list("p-01,5b,refused,2026-09-01,man.jpg\n");
    assert_eq!(load().ended(0).json()["withheld"], serde_json::json!([old]));
    assert!(open(&recorded.folder, "no.mp4").ended(77).err.contains("withheld"));

    put_marks(&school, &recorded.folder, &old);
    // On the teacher's own computer, with a copy of the folder and no key of the box.
    fs::create_dir(school.path("away")).unwrap();
    let lesson = school.path("away/lesson");
    copy(&recorded.folder, &lesson, |_| false);
    let args = ["reveil", text(&lesson), "--pupils", "list.csv", "--output", "veiled", "--json"];
    let with = |key: &'static str| [&args[..], &["--identity", key]].concat();
    assert!(school.run(&with("t-07.key")).ended(77).err.contains("does not belong here"));
    away(&school, &with("teacher.key")).ended(77);
    assert!(!school.path("veiled").exists());
    let said = away(&school, &with("t-07.key")).ended(0);
    let json = said.json();
    assert_eq!((&json["replaces"], &json["by"]), (&old.clone().into(), &"t-07".into()), "{json}");
    assert_eq!(json["marks"], 1, "{json}");
    let left: Vec<_> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{left:?}");
    // Whole; the key that signed it is of this one making, and nobody's yet.
    let whole = away(&school, &["verify", "veiled"]).ended(77);
    assert!(whole.err.contains("nothing is damaged"), "{}", whole.err);
    assert_eq!(away(&school, &with("t-07.key")).code, Some(78), "nothing is replaced");

    // The box takes it in, if it is whole and goes by the list in force.
    let adopt =
        |folder: &str| school.run(&["store", "adopt", folder, "--store", "store", "--json"]);
    copy(&school.path("veiled"), &school.path("altered"), |_| false);
    let altered = school.path("altered/cam1/000001.mp4.age");
    let mut bytes = fs::read(&altered).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&altered, bytes).unwrap();
    adopt("altered").ended(65);
    let refused = "p-01,5b,refused,2026-09-01,man.jpg\n";
    school.list(&format!("{refused}p-02,5b,consented,2026-09-01,\n"));
    load().ended(0);
    assert!(adopt("veiled").ended(77).err.contains("another pupil list"));
    school.list(refused);
    load().ended(0);
    assert!(recorded.folder.join("key.age").exists());
    let json = adopt("veiled").ended(0).json();
    assert_eq!((&json["replaces"], &json["destroyed"]), (&old.clone().into(), &true.into()));
    assert!(!recorded.folder.exists());
    let certificate = school.store().join(format!("certificates/{old}.json"));
    school.run(&["verify-certificate", text(&certificate)]).ended(0);
    assert!(fs::read_to_string(&certificate).unwrap().contains("replaced"));
    adopt("veiled").ended(66);

    // What is there now is the same lesson without him, for the same person, signed by the box.
    let new = school.store().join("recordings").join(json["recording"].as_str().unwrap());
    school.run(&["verify", text(&new)]).ended(0);
    let public = school.store().join("box.pub");
    school.stock(&new, "minisign", &["-Vm", "manifest.json", "-p", text(&public)]);
    assert_marks_came_along(&school, &old, &new);
    open(&new, "after.mp4").ended(0);
    let (his, others) = seen(&mut eyes, &school.path("after.mp4"));
    assert!(his == 0 && others > 5, "he {his} times, others {others} times");
    assert_same_times(&school.path("after.mp4"), &school.path("before.mp4"));
    school.run(&["store", "check", "--store", "store"]).ended(0);
    school.run(&["audit", "verify", "--store", "store"]).ended(0);
}

/// A successor of `replaces` as the teacher makes it, changed by `change`.
pub(crate) fn made(
    scene: &Scene,
    replaces: RecordingId,
    began: Timestamp,
    change: impl FnOnce(&mut NewRecording),
) -> PathBuf {
    let workshop = scene.root.join("workshop");
    let store = workshop.join("store");
    fs::create_dir_all(&store).unwrap();
    let key = BoxKey::load_or_create(&workshop.join("box.key"), &store).unwrap();
    let mut new = scene.new_recording(began, 30);
    "keyed".clone_into(&mut new.list_version);
    new.replaces = vec![replaces];
    change(&mut new);
    let mut writer = RecordingWriter::create(&store, new, &key).unwrap();
    for number in 1..=2 {
        writer.write(segment(number)).unwrap();
    }
    let outcome = Outcome { ended: began, fault: None, course: Course::default() };
    let made = writer.finish(outcome).unwrap().path;
    let old = check(&scene.folder(replaces), &scene.trust(), |_| ()).unwrap();
    attest(&made, &old, &[7; 32], (&id("t-07"), &teacher(scene)), at(50)).unwrap();
    made
}

fn teacher(scene: &Scene) -> PersonKey {
    PersonKey::of(&Identities::load(&scene.root.join("teacher.key")).unwrap()).remove(0)
}

pub(crate) fn adopt(
    scene: &Scene,
    made: &Path,
    keyed: &str,
    now: Timestamp,
) -> Result<(), AccessError> {
    let key = teacher(scene);
    let (signers, recipients) = ([key.public(&id("t-07"))], [key.recipient().clone()]);
    let holder = KeyHolder { signers: &signers, recipients: &recipients };
    let successor = NewSuccessor::load(made, |_| ())?;
    assert_eq!(successor.list_key(), &[7; 32]);
    let log = scene.log(now);
    successor.adopt(&scene.store, &log, &scene.key, Some(holder), (keyed, "v2"), now)
}

#[test]
fn only_the_same_lesson_for_the_same_people_takes_a_recordings_place() {
    let scene = Scene::new();
    let old = scene.record(&scene.log(at(0)), at(0), 30);
    let other_signer = teacher(&scene).public(&id("t-08"));
    #[expect(clippy::type_complexity, reason = "a table")]
    let wrong: [(&str, Box<dyn FnOnce(&mut NewRecording)>); 8] = [
        ("other keys", Box::new(|new| new.recipients.truncate(1))),
        ("another lesson", Box::new(|new| new.teacher = Some(id("t-08")))),
        ("another lesson", Box::new(|new| new.class = None)),
        ("less strictly", Box::new(|new| "refused".clone_into(&mut new.policy))),
        ("sign with", Box::new(|new| new.signers = vec![other_signer])),
        ("veiled anew from", Box::new(|new| new.replaces.clear())),
        ("has sound", Box::new(|new| new.audio = true)),
        ("another pupil list", Box::new(|new| "other".clone_into(&mut new.list_version))),
    ];
    for (said, change) in wrong {
        let found = adopt(&scene, &made(&scene, old, at(0), change), "keyed", at(60)).unwrap_err();
        assert!(found.to_string().contains(said), "{found}");
    }
    let good = made(&scene, old, at(0), |_| ());
    // Signed by somebody else, and by one who is no recipient.
    let other = classveil::vault::write_identity(&scene.root.join("x.key"), at(0)).unwrap();
    let others = PersonKey::of(&Identities::load(&scene.root.join("x.key")).unwrap()).remove(0);
    let own = teacher(&scene);
    for (signers, recipients) in [
        ([others.public(&id("t-07"))], [own.recipient().clone()]),
        ([own.public(&id("t-07"))], [other]),
    ] {
        let holder = KeyHolder { signers: &signers, recipients: &recipients };
        let successor = NewSuccessor::load(&good, |_| ()).unwrap();
        let (log, list) = (scene.log(at(60)), ("keyed", "v2"));
        let found = successor.adopt(&scene.store, &log, &scene.key, Some(holder), list, at(60));
        assert!(matches!(found, Err(AccessError::BadSuccessor { .. })), "{found:?}");
    }
    // The statement is about this very recording.
    let other = made(&scene, old, at(0), |_| ());
    fs::copy(good.join("successor.note"), other.join("successor.note")).unwrap();
    assert!(adopt(&scene, &other, "keyed", at(60)).is_err());
    fs::remove_file(other.join("successor.note")).unwrap();
    assert!(adopt(&scene, &other, "keyed", at(60)).is_err());
    // What somebody objected to stays as it is.
    let restrict = NewRequest {
        ask: Ask::Restrict,
        by: id("p-14"),
        recordings: vec![old],
        received: at(61),
        text: None,
    };
    let second = scene.record(&scene.log(at(0)), at(0), 30);
    let of_second = made(&scene, second, at(0), |_| ());
    let log = scene.log(at(61));
    request(
        &scene.store,
        &log,
        &NewRequest { recordings: vec![second], ..restrict.clone() },
        at(61),
    )
    .unwrap();
    let found = adopt(&scene, &of_second, "keyed", at(62)).unwrap_err();
    assert!(found.to_string().contains("restricted"), "{found}");
    let third = scene.record(&scene.log(at(0)), at(0), 30);
    let of_third = made(&scene, third, at(0), |_| ());
    let delete = NewRequest { ask: Ask::Delete, recordings: vec![third], ..restrict.clone() };
    request(&scene.store, &log, &delete, at(61)).unwrap();
    let found = adopt(&scene, &of_third, "keyed", at(62)).unwrap_err();
    assert!(found.to_string().contains("not answered"), "{found}");
    // Nothing of all that came into the store.
    assert_eq!(fs::read_dir(scene.store.join("recordings")).unwrap().count(), 3);
    assert!(scene.apply(at(63)).destroyed.is_empty());
}

#[test]
fn a_successor_states_the_gaps_of_the_one_before() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let new = scene.new_recording(at(0), 30);
    let old = new.id;
    let _ = log.append(at(0), &Event::armed(&new)).unwrap();
    let mut writer = RecordingWriter::create(&scene.store, new, &scene.key).unwrap();
    (1..=2).for_each(|number| writer.write(segment(number)).unwrap());
    let second = Pts::from_nanos(6_000_000_000);
    let gap =
        writer.discard(&CameraId::first(), second, second.plus(Duration::from_secs(9))).unwrap();
    assert_eq!(gap.removed, [2]);
    writer.finish(Outcome { ended: at(9), fault: None, course: Course::default() }).unwrap();
    drop(log);
    let short = Gap { to_ns: second, ..gap.clone() };
    for gaps in [Vec::new(), vec![short]] {
        let made = made(&scene, old, at(0), |new| new.gaps = gaps);
        let found = adopt(&scene, &made, "keyed", at(60)).unwrap_err();
        assert!(found.to_string().contains("every gap"), "{found}");
    }
    let made = made(&scene, old, at(0), |new| new.gaps = vec![gap.clone()]);
    let new: RecordingId = made.file_name().unwrap().to_str().unwrap().parse().unwrap();
    adopt(&scene, &made, "keyed", at(61)).unwrap();
    let checked = check(&scene.folder(new), &scene.trust(), |_| ()).unwrap();
    // What was removed then were segments of another recording.
    assert_eq!(checked.manifest().gaps, [Gap { removed: Vec::new(), ..gap.clone() }]);
    assert_eq!(checked.manifest().segments.len(), 2);
    drop(checked);
    // One that is cut off keeps them as well.
    let cut = NewRecording { gaps: vec![gap], ..scene.new_recording(at(70), 30) };
    let id = cut.id;
    drop(RecordingWriter::create(&scene.store, cut, &scene.key).unwrap());
    assert!(recover(&scene.store, &scene.key, at(71)).unwrap().failed.is_empty());
    let checked = check(&scene.folder(id), &scene.trust(), |_| ()).unwrap();
    assert_eq!(checked.manifest().gaps.len(), 1);
}

#[test]
fn a_successor_lives_no_longer_and_inherits_no_grant() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let old = scene.record(&log, at(0), 20);
    install(&scene, &log, &grant(&scene, old, "c-09", days(9), at(10)), at(10)).unwrap();
    let made = made(&scene, old, at(0), |new| new.delete_by = days(25));
    let new: RecordingId = made.file_name().unwrap().to_str().unwrap().parse().unwrap();
    adopt(&scene, &made, "keyed", at(60)).unwrap();
    let mut inode = fs::File::open(scene.folder(old).join("key.age")).unwrap();
    assert_eq!(scene.apply(at(61)).destroyed, [old]);
    let mut left = Vec::new();
    std::io::Read::read_to_end(&mut inode, &mut left).unwrap();
    assert!(!left.is_empty() && !left.starts_with(b"age-encryption.org"), "overwritten");
    assert!(!scene.folder(new).join("grants").exists());
    let checked = check(&scene.folder(new), &scene.trust(), |_| ()).unwrap();
    assert_eq!(checked.manifest().delete_by, days(20));
    drop(checked);
    let plan = scene.apply(at(62)).plan;
    assert_eq!((plan.len(), plan[0].recording, plan[0].verdict), (1, new, Verdict::Keep));
    assert_eq!(scene.apply(days(20)).destroyed, [new]);
}

// Crashes at exact system calls: the test below runs itself under strace.

/// Not a test of its own: takes one successor in and destroys what it replaces, where the parent asks
/// for it.
#[test]
fn child_that_adopts() {
    let Some(root) = workplace() else { return };
    let scene = Scene::at(&root);
    let made = PathBuf::from(fs::read_to_string(root.join("made")).unwrap());
    if adopt(&scene, &made, "keyed", at(60)).is_ok() {
        scene.apply(at(61));
        fs::write(root.join("done"), "").unwrap();
    }
}

fn struck(blow: Blow<'_>) -> bool {
    let scene = Scene::new();
    let old = scene.record(&scene.log(at(0)), at(0), 30);
    let made = made(&scene, old, at(0), |_| ());
    let new: RecordingId = made.file_name().unwrap().to_str().unwrap().parse().unwrap();
    fs::write(scene.root.join("made"), text(&made)).unwrap();
    let unharmed = blow.strikes("reveil::child_that_adopts", &scene.root);
    let recovery = recover(&scene.store, &scene.key, at(70)).unwrap();
    assert!(recovery.failed.is_empty(), "{blow}: {:?}", recovery.failed);
    let whole = |id: RecordingId| check(&scene.folder(id), &scene.trust(), |_| ()).is_ok();
    let announced = scene.events().iter().any(|event| matches!(event, Event::Adopted { .. }));
    assert!(whole(old) || announced, "{blow}: one of the two is there");
    assert!(!announced || whole(new), "{blow}: what is announced is whole");
    // Once more completes it, whatever was left.
    match adopt(&scene, &made, "keyed", at(71)) {
        Ok(()) => {}
        Err(AccessError::NoRecording { recording }) if recording == old => {}
        Err(error) => panic!("{blow}: {error}"),
    }
    scene.apply(at(72));
    assert!(!scene.folder(old).exists() && whole(new), "{blow}");
    let adopted = |event: &&Event| matches!(event, Event::Adopted { .. });
    assert_eq!(scene.events().iter().filter(adopted).count(), 1, "{blow}");
    let names = contents(&scene.store.join("recordings"));
    let own = new.to_string();
    assert!(names.keys().all(|name| name.starts_with(&own)), "{blow}: {names:?}");
    let trust = Trust::Pinned(scene.key.public().clone());
    assert!(check(&scene.folder(new), &trust, |_| ()).is_ok(), "{blow}");
    unharmed
}

#[test]
fn killed_at_any_call_one_of_the_two_recordings_is_whole() {
    campaign("signal=KILL", (5, 0), 400, struck);
    campaign("error=EIO", (9, 2), 400, struck);
}
