//! The promise: recordings are sealed to keys whose owners proved that they hold them, nobody alone
//! changes whose keys these are, and who will be able to open a recording is said before it begins.

use std::{fs, path::Path};

use classveil::{
    people::directory::{Answer, Directory, NewKey, make_answer},
    vault::{
        Identities, Recipient,
        access::{Confirmed, Role},
        audit::Event,
        write_identity,
    },
};

use crate::{
    crash::{Blow, campaign, workplace},
    media::{Clips, sample},
    retention::{Scene, at, stock},
    scene::{Said, School, text},
};

/// Enrols a key by the command line, as its owner and the box would; gives the public key.
pub(crate) fn enrol(
    run: impl Fn(&[&str]) -> Said,
    root: &Path,
    person: &str,
    role: &str,
) -> String {
    let code = run(&["people", "add", person, "--role", role, "--store", "store"]).ended(0);
    let file = |ending: &str| format!("{person}.{ending}");
    let key = file("key");
    if !root.join(&key).exists() {
        run(&["keygen", "--output", &key]).ended(0);
    }
    let public = stock(root, "age-keygen", &["-y", &key]);
    let public = String::from_utf8(public).unwrap().trim().to_owned();
    let (challenge, answer) = (file("challenge"), file("answer"));
    let args = ["--code", code.out.trim(), "--recipient", &public, "--output", &challenge];
    run(&[&["people", "challenge", person, "--store", "store"][..], &args].concat()).ended(0);
    let args = ["--identity", &key, "--output", &answer];
    run(&[&["people", "answer", &challenge][..], &args].concat()).ended(0);
    let args = ["--answer", &answer, "--confirmed", "in-person", "--store", "store"];
    run(&[&["people", "enrol", person][..], &args].concat()).ended(0);
    public
}

/// A teacher's signed acceptance of a key, made and taken in.
pub(crate) fn accept(run: impl Fn(&[&str]) -> Said, person: &str, recipient: &str, teacher: &str) {
    let (note, key) = (format!("{person}-by-{teacher}.note"), format!("{teacher}.key"));
    let args = ["--recipient", recipient, "--by", teacher, "--identity", &key, "--output", &note];
    run(&[&["people", "approve", person][..], &args].concat()).ended(0);
    run(&["people", "accept", &note, "--store", "store"]).ended(0);
}

#[test]
fn a_key_of_stock_age_is_enrolled_with_stock_age() {
    let scene = Scene::new();
    let run = |args: &[&str]| scene.run(args);
    let made = run(&["people", "add", "t-07", "--role", "teacher", "--store", "store", "--json"]);
    let code = made.ended(0).json()["code"].as_str().unwrap().to_owned();
    let kept = fs::read_to_string(scene.store.join("registers/people.json")).unwrap();
    assert!(!kept.contains(&code) && !kept.contains(&code.replace('-', "")), "only its digest");
    stock(&scene.root, "age-keygen", &["-o", "own.key"]);
    let public = String::from_utf8(stock(&scene.root, "age-keygen", &["-y", "own.key"])).unwrap();
    let public = public.trim();
    let challenge = ["people", "challenge", "t-07", "--recipient", public, "--store", "store"];
    let wrong = ["--code", "AAAA-BBBB-CCCC-DDDD", "--output", "c.age"];
    run(&[&challenge[..], &wrong].concat()).ended(77);
    assert!(!scene.root.join("c.age").exists());
    let said = run(&[&challenge[..], &["--code", &code, "--output", "c.age"]].concat()).ended(0);
    // The fingerprint is what stock tools make of the key.
    fs::write(scene.root.join("public"), public).unwrap();
    let digest = String::from_utf8(stock(&scene.root, "sha256sum", &["public"])).unwrap();
    assert!(said.out.replace(' ', "").contains(&digest[..32]), "{}", said.out);
    stock(&scene.root, "age", &["-d", "-i", "own.key", "-o", "answer.txt", "c.age"]);
    let opened = fs::read_to_string(scene.root.join("answer.txt")).unwrap();
    assert!(opened.contains("t-07") && opened.contains(public), "{opened}");
    let enrol = ["people", "enrol", "t-07", "--confirmed", "phone", "--store", "store"];
    fs::write(scene.root.join("guess.txt"), opened.replace("answer: ", "answer: 0")).unwrap();
    run(&[&enrol[..], &["--answer", "guess.txt"]].concat()).ended(77);
    let done = run(&[&enrol[..], &["--answer", "answer.txt"]].concat()).ended(0);
    assert!(done.err.contains("cannot sign"), "{}", done.err);
    run(&[&enrol[..], &["--answer", "answer.txt"]].concat()).ended(66);
    let list = run(&["people", "list", "--store", "store", "--json"]).ended(0).json();
    let key = &list["people"][0]["keys"][0];
    assert_eq!((&key["recipient"], &key["state"]), (&public.into(), &"counts".into()), "{list}");
    assert_eq!((&key["confirmed"], &key["signs"]), (&"phone".into(), &false.into()), "{list}");
    // Every step is in the log, and nothing of it is a secret or a typed text.
    let kinds: Vec<_> = scene
        .events()
        .into_iter()
        .map(|event| match event {
            Event::PersonChanged { change, .. } => format!("{change:?}"),
            Event::KeyChanged { new, confirmed, .. } => format!("{} {confirmed:?}", new.is_some()),
            other => format!("{:?}", std::mem::discriminant(&other)),
        })
        .collect();
    assert_eq!(kinds[1..], ["Added", "Challenged", "true Some(Phone)"]);
    run(&["audit", "verify", "--store", "store"]).ended(0);
    let log = fs::read_to_string(scene.store.join("audit/log.jsonl")).unwrap();
    assert!(!log.contains(&code) && !log.contains(public), "digests only: {log}");
}

#[test]
fn keys_change_by_the_old_key_or_by_two_people_and_time() {
    let scene = Scene::new();
    let run = |args: &[&str]| scene.run(args);
    let old = enrol(run, &scene.root, "t-07", "teacher");
    enrol(run, &scene.root, "fg-01", "privacy-officer");
    let in_store = ["--store", "store"];
    let fresh = |name: &str| {
        let key = format!("{name}.key");
        run(&["keygen", "--output", &key]).ended(0).out.trim().to_owned()
    };
    let replace = |old: &str, answer: &str, more: &[&str]| {
        let args = ["people", "replace-key", "t-07", "--old", old, "--answer", answer];
        run(&[&args[..], &["--confirmed", "in-person", "--json"], &in_store, more].concat())
    };
    // Signed by the old key: at once, without a code.
    let second = fresh("second");
    let args = ["people", "challenge", "t-07", "--recipient", &second, "--output", "c2.age"];
    run(&[&args[..], &in_store].concat()).ended(0);
    run(&["people", "answer", "c2.age", "-i", "second.key", "-o", "a2-alone.json"]).ended(0);
    let refused = replace(&old, "a2-alone.json", &[]).ended(77);
    assert!(refused.err.contains("an older key has to sign"), "{}", refused.err);
    let args = ["--identity", "second.key", "--older", "t-07.key", "--output", "a2.json"];
    run(&[&["people", "answer", "c2.age"][..], &args].concat()).ended(0);
    let enrolled = replace(&old, "a2.json", &[]).ended(0).json();
    assert_eq!(enrolled["recipient"], second);
    // The key is lost: code, challenge, the officer's signature with a key that has counted for three
    // days, and three days.
    let third = fresh("third");
    let code = run(&[&["people", "invite", "t-07"][..], &in_store].concat()).ended(0);
    let args = ["people", "challenge", "t-07", "--recipient", &third, "--output", "c3.age"];
    run(&[&args[..], &["--code", code.out.trim()], &in_store].concat()).ended(0);
    run(&["people", "answer", "c3.age", "-i", "third.key", "-o", "a3.json"]).ended(0);
    let refused = replace(&second, "a3.json", &[]).ended(77);
    assert!(refused.err.contains("approval of a privacy-officer"), "{}", refused.err);
    let args = ["--recipient", &third, "--by", "fg-01", "--identity", "fg-01.key", "-o", "fg.note"];
    run(&[&["people", "approve", "t-07"][..], &args].concat()).ended(0);
    let refused = replace(&second, "a3.json", &["--approval", "fg.note"]).ended(77);
    assert!(refused.err.contains("counted for 72 hours"), "{}", refused.err);
    scene.since(&["fg-01"], 80);
    let made = replace(&second, "a3.json", &["--approval", "fg.note"]).ended(0).json();
    let from: jiff::Timestamp = made["from"].as_str().unwrap().parse().unwrap();
    let wait = from.duration_since(classveil::clock::Clock::now(&classveil::clock::SystemClock));
    assert!((71..=72).contains(&wait.as_hours()), "{from}");
    let list = run(&["people", "list", "--store", "store"]).ended(0).out;
    assert!(list.contains("counts from") && list.contains(", ends "), "{list}");
    // The owner never asked for it: it is stopped, and the key before stays.
    let end = ["people", "end-key", "t-07", "--recipient", &third];
    run(&[&end[..], &in_store].concat()).ended(0);
    let list = run(&["people", "list", "--store", "store"]).ended(0).out;
    assert!(!list.contains("counts from") && !list.contains(", ends "), "{list}");
    // Statements of one kind are none of another, and nobody approves their own.
    run(&[&["people", "accept", "a3.json"][..], &in_store].concat()).ended(77);
    let own = ["--recipient", &third, "--by", "t-07", "--identity", "t-07.key", "-o", "own.note"];
    run(&[&["people", "approve", "t-07"][..], &own].concat()).ended(77);
    run(&[&["people", "remove", "t-07"][..], &in_store].concat()).ended(0);
    let add = ["people", "add", "t-07", "--role", "teacher"];
    run(&[&add[..], &in_store].concat()).ended(78);
    run(&["audit", "verify", "--store", "store"]).ended(0);
}

/// An administrator who adds an officer of their own, with a key of their own, changes nobody's key and
/// answers nothing.
#[test]
fn an_administrator_alone_replaces_nobodys_key() {
    let scene = Scene::new();
    let run = |args: &[&str]| scene.run(args);
    let in_store = ["--store", "store"];
    let old = enrol(run, &scene.root, "t-07", "teacher");
    enrol(run, &scene.root, "fg-01", "privacy-officer");
    scene.since(&["t-07", "fg-01"], 200);
    // The officer that is added is none, with or without a key.
    let code = run(&["people", "add", "fg-99", "--role", "privacy-officer", "--store", "store"]);
    let made = run(&["keygen", "--output", "fg-99.key", "--json"]).ended(0).json();
    let public = made["recipient"].as_str().unwrap();
    assert_eq!(made["fingerprint"].as_str().unwrap().replace(' ', "").len(), 32, "{made}");
    let enrolled = |person: &str, code: &str, recipient: &str, key: &str, more: &[&str]| {
        let _ = fs::remove_file(scene.root.join("c.age"));
        let _ = fs::remove_file(scene.root.join("a.json"));
        let args = ["--code", code, "--recipient", recipient, "--output", "c.age"];
        run(&[&["people", "challenge", person][..], &args, &in_store].concat()).ended(0);
        let args = ["people", "answer", "c.age", "-i", key, "-o", "a.json", "--json"];
        assert_eq!(run(&args).ended(0).json()["person"], person);
        let args = ["--answer", "a.json", "--confirmed", "in-person"];
        run(&[more, &[person][..], &args, &in_store].concat())
    };
    let first = ["people", "enrol"];
    let refused = enrolled("fg-99", code.ended(0).out.trim(), public, "fg-99.key", &first);
    assert!(refused.ended(77).err.contains("another privacy officer"));
    // Nor is a teacher whom they add one who makes an officer.
    enrol(run, &scene.root, "t-99", "teacher");
    scene.since(&["t-99"], 100);
    let approve = |by: &str, person: &str, recipient: &str, note: &str| {
        let key = format!("{by}.key");
        let args = ["--recipient", recipient, "--by", by, "--identity", &key, "--output", note];
        let said = run(&[&["people", "approve", person, "--json"][..], &args].concat()).ended(0);
        assert_eq!((&said.json()["by"], &said.json()["person"]), (&by.into(), &person.into()));
    };
    approve("t-99", "fg-99", public, "by-t-99.note");
    approve("fg-99", "t-07", public, "by-fg-99.note");
    let again = run(&[&["people", "invite", "fg-99"][..], &in_store].concat()).ended(0);
    let with = ["people", "enrol", "--approval", "by-t-99.note"];
    enrolled("fg-99", again.out.trim(), public, "fg-99.key", &with).ended(77);
    // So the teacher's key stays.
    let mine = run(&["keygen", "--output", "mine.key"]).ended(0).out.trim().to_owned();
    approve("fg-99", "t-07", &mine, "mine.note");
    let code = run(&[&["people", "invite", "t-07"][..], &in_store].concat()).ended(0);
    let with = ["people", "replace-key", "--old", &old, "--approval", "mine.note"];
    enrolled("t-07", code.out.trim(), &mine, "mine.key", &with).ended(77);
    let list = run(&["people", "list", "--store", "store", "--json"]).ended(0).json();
    assert!(!list.to_string().contains(&mine) && !list.to_string().contains(public), "{list}");
    // With the word of the one there is, another one comes.
    approve("fg-01", "fg-99", public, "good.note");
    let again = run(&[&["people", "invite", "fg-99"][..], &in_store].concat()).ended(0);
    let with = ["people", "enrol", "--approval", "good.note"];
    enrolled("fg-99", again.out.trim(), public, "fg-99.key", &with).ended(0);
    run(&["audit", "verify", "--store", "store"]).ended(0);
}

/// Older copies put back, edits, and a directory that the log has never heard of.
#[test]
fn a_directory_that_the_log_does_not_name_counts_for_nothing() {
    let scene = Scene::new();
    let run = |args: &[&str]| scene.run(args);
    let path = scene.store.join("registers/people.json");
    run(&["people", "list", "--store", "store"]).ended(66);
    enrol(run, &scene.root, "t-07", "teacher");
    let list = || run(&["people", "list", "--store", "store"]);
    list().ended(0);
    let older = fs::read(&path).unwrap();
    run(&["people", "add", "c-02", "--role", "coach", "--store", "store"]).ended(0);
    let good = fs::read(&path).unwrap();
    let edited = String::from_utf8(good.clone()).unwrap().replace("\"coach\"", "\"teacher\"");
    for bad in [&older[..], edited.as_bytes(), b"", &good[1..]] {
        fs::write(&path, bad).unwrap();
        assert!(list().ended(65).err.contains("is not the register that the audit log names"));
        run(&["people", "invite", "t-07", "--store", "store"]).ended(65);
        let record = ["record", "--input", "none.mp4", "--teacher", "t-07", "--store", "store"];
        assert_ne!(run(&record).code, Some(0));
        assert_eq!(fs::read(&path).unwrap(), bad, "nothing is set right by guessing");
    }
    fs::remove_file(&path).unwrap();
    list().ended(65);
    fs::write(&path, &good).unwrap();
    list().ended(0);
    fs::remove_dir_all(scene.store.join("audit")).unwrap();
    list().ended(65);
}

#[test]
fn who_will_be_able_to_open_a_recording_is_said_and_so_it_is() {
    let school = School::new();
    let clips = Clips::new();
    let from = sample("obama_speech.mp4");
    let clip = clips.make("second.mp4", &format!("-t 1 -i {} -c copy", from.display()));
    let run = |args: &[&str]| school.run(args);
    let root = school.path("");
    let record = |more: &[&str]| {
        let args = ["record", "--policy", "everyone", "--store", "store", "--input", text(&clip)];
        run(&[&args[..], &["--pupils", "list.csv", "--json"], more].concat())
    };
    school.list("p-01,5b,consented,2026-09-01,\n");
    // Without a directory nobody is a teacher: a recording that names one cannot start, and of one that
    // names none it is said.
    let given = ["--recipient", &school.recipient];
    let named = record(&[&["--teacher", "t-07"][..], &given].concat()).ended(77);
    assert!(named.err.contains("nobody vouches for t-07's key"), "{}", named.err);
    assert!(school.recordings().is_empty());
    let plain = record(&given).ended(0);
    assert!(plain.err.contains(&school.recipient), "{}", plain.err);
    assert!(plain.err.contains("warning: this store has no directory of people"), "{}", plain.err);
    let warnings = &plain.json()["warnings"];
    assert!(warnings[0].as_str().unwrap().contains("nobody vouches"), "{warnings}");
    let manifest = school.recorded(plain).manifest();
    assert!(manifest["teacher"].is_null() && manifest.get("teacher_keys").is_none(), "{manifest}");
    record(&[]).ended(64);
    let teacher = enrol(run, &root, "t-07", "teacher");
    let coach = enrol(run, &root, "c-02", "coach");
    let manager = enrol(run, &root, "m-01", "manager");
    // From now on nobody else's key is taken, and none without the teacher's.
    assert!(record(&[]).ended(64).err.contains("names its teacher"));
    for (given, said) in [
        (&["--recipient", &school.recipient][..], "no key of t-07 is among"),
        (&["--recipient", &teacher, "--recipient", &school.recipient], "is nobody's key"),
        (&["--recipient", &coach], "no key of t-07 is among"),
        (&["--recipient", &teacher, "--recipient", &coach], "has not accepted this key"),
        (&["--recipient", &teacher, "--recipient", &manager], "never given a recording"),
    ] {
        let refused = record(&[&["--teacher", "t-07"][..], given].concat()).ended(77);
        assert!(refused.err.contains(said), "{}", refused.err);
    }
    assert_eq!(school.recordings().len(), 1, "nothing was begun");
    let alone = record(&["--teacher", "t-07", "--coach", "c-02"]).ended(0);
    assert!(alone.err.contains("t-07 (teacher)"), "{}", alone.err);
    assert!(alone.err.contains("not c-02, the coach"), "{}", alone.err);
    accept(run, "c-02", &coach, "t-07");
    let both = record(&["--teacher", "t-07", "--coach", "c-02"]).ended(0);
    // Accepted since the last recording, however long the key has counted.
    let marked = |said: &Said| {
        let new = said.err.lines().filter(|line| line.contains("NEW since the last recording"));
        new.map(|line| line.trim().split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((marked(&alone), marked(&both)), (vec!["t-07".to_owned()], vec!["c-02".to_owned()]));
    let recorded = school.recorded(both);
    let manifest = recorded.manifest();
    assert_eq!(manifest["recipients"], serde_json::json!([teacher, coach]));
    for key in ["t-07.key", "c-02.key"] {
        let key = school.path(key);
        school.stock(
            &recorded.folder,
            "age",
            &["-d", "-i", text(&key), "-o", "/dev/null", "key.age"],
        );
    }
    // A key that came since the last recording is marked.
    let args = ["keygen", "--output", "t-07b.key"];
    let second = run(&args).ended(0).out.trim().to_owned();
    let args = ["people", "challenge", "t-07", "--recipient", &second, "--output", "c2.age"];
    run(&[&args[..], &["--store", "store"]].concat()).ended(0);
    let args = ["-i", "t-07b.key", "--older", "t-07.key", "-o", "a2.json"];
    run(&[&["people", "answer", "c2.age"][..], &args].concat()).ended(0);
    let args = ["--answer", "a2.json", "--confirmed", "video", "--store", "store"];
    run(&[&["people", "enrol", "t-07"][..], &args].concat()).ended(0);
    let three = record(&["--teacher", "t-07", "--coach", "c-02"]).ended(0);
    assert_eq!(marked(&three), ["t-07"], "{}", three.err);
    let manifest = school.recorded(three).manifest();
    assert_eq!(manifest["recipients"].as_array().unwrap().len(), 3);
}

// Crashes at exact system calls: the test below runs itself under strace.

/// Not a test of its own: enrols a key and adds somebody, where the parent asks for it.
#[test]
fn child_that_enrols() {
    let Some(root) = workplace() else { return };
    let scene = Scene::at(&root);
    let log = scene.log(at(3));
    let person = "t-07".parse().unwrap();
    let answer = Answer::parse(&fs::read_to_string(root.join("answer")).unwrap()).unwrap();
    let confirmed = Confirmed::InPerson;
    let new =
        NewKey { person: &person, answer: &answer, replaces: None, confirmed, approvals: &[] };
    let done =
        Directory::change(&scene.store, &log, at(4), |directory| directory.enrol(&new, at(4)))
            .and_then(|_| {
                let coach = "c-02".parse().unwrap();
                Directory::change(&scene.store, &log, at(5), |directory| {
                    directory.add(&coach, Role::Coach, "CODE", at(5))
                })
            });
    if done.is_ok() {
        fs::write(root.join("done"), "").unwrap();
    }
}

fn struck(blow: Blow<'_>) -> bool {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let person = "t-07".parse().unwrap();
    let key = scene.root.join("own.key");
    let recipient: Recipient = write_identity(&key, at(0)).unwrap();
    Directory::change(&scene.store, &log, at(1), |directory| {
        directory.add(&person, Role::Teacher, "CODE", at(1))
    })
    .unwrap();
    let made = Directory::change(&scene.store, &log, at(2), |directory| {
        directory.challenge(&person, &recipient, Some("CODE"), "word".repeat(16), at(2))
    })
    .unwrap();
    let file = scene.root.join("c.age");
    fs::write(&file, made.seal().unwrap()).unwrap();
    let (_, answer) = make_answer(&file, &Identities::load(&key).unwrap(), None).unwrap();
    fs::write(scene.root.join("answer"), answer).unwrap();
    drop(log);
    let unharmed = blow.strikes("keys::child_that_enrols", &scene.root);
    let log = scene.log(at(6));
    let entries = log.entries().unwrap();
    // What the log announced counts, whole, and nothing else does.
    let directory =
        Directory::read(&scene.store, &entries).unwrap_or_else(|e| panic!("{blow}: {e}"));
    let directory = directory.unwrap();
    let announced = |wanted: fn(&Event) -> bool| scene.events().iter().any(wanted);
    let enrolled = announced(|event| matches!(event, Event::KeyChanged { .. }));
    let keys = directory.recipients_of(&person, at(6));
    assert_eq!(keys, if enrolled { vec![recipient] } else { vec![] }, "{blow}");
    let coach = "c-02".parse().unwrap();
    let added = |event: &Event| matches!(event, Event::PersonChanged { role: Role::Coach, .. });
    assert_eq!(directory.people().contains_key(&coach), announced(added), "{blow}");
    // The next change completes what was cut off, and leaves no part file.
    Directory::change(&scene.store, &log, at(7), |directory| {
        directory.invite(&person, "OTHER", at(7))
    })
    .unwrap_or_else(|error| panic!("{blow}: {error}"));
    let names: Vec<_> = fs::read_dir(scene.store.join("registers")).unwrap().collect();
    assert_eq!(names.len(), 1, "{blow}: {names:?}");
    unharmed
}

#[test]
fn killed_at_any_call_the_directory_is_the_one_before_or_after() {
    campaign("signal=KILL", (2, 0), 200, struck);
}

#[test]
fn an_error_at_any_call_leaves_the_directory_before_or_after() {
    campaign("error=ENOSPC", (3, 0), 200, struck);
}
