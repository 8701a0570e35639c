//! Access to recordings over the network: given by the teacher's signature and nobody's else, with a
//! key that the box never has; and what those who look leave with a recording.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use classveil::{
    clock::{Clock as _, SystemClock},
    units::PersonId,
    vault::{
        BoxPublicKey, Identities, Trust,
        access::{KeysToLook, MARKS_LIMIT, NewGrant},
        check, open,
        retention::TalkOver,
        sign::PersonKey,
    },
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    Reply, account,
    client::Client,
    code,
    files::{fetch, recorded_by},
    logged_in,
};
use crate::{
    keys::{accept, enrol},
    scene::text,
    service::Station,
};

/// A school whose teacher and some others are in the directory, and a recording of the teacher's.
fn school() -> (Station, String, std::path::PathBuf) {
    recorded_by(|station| {
        let root = station.school.path("");
        for (person, role) in [("t-08", "teacher"), ("c-09", "supervisor"), ("m-01", "manager")] {
            enrol(|args| station.school.run(args), &root, person, role);
        }
        let officer = ["people", "add", "p-01", "--role", "privacy-officer", "--store", "store"];
        station.school.run(&officer).ended(0);
        for (name, role) in [("t-08", "teacher"), ("c-09", "viewer"), ("m-01", "manager")] {
            account(station, name, role, Some(name));
        }
    })
}

/// What the teacher's page sends, made by the program's own code with `key`.
fn parcel(station: &Station, folder: &Path, to: &str, (by, key): (&str, &str)) -> Value {
    let root = station.school.path("");
    let trust = Trust::Pinned(BoxPublicKey::load(&station.school.store().join("box.pub")).unwrap());
    let opened = open(check(folder, &trust, |_| ()).unwrap(), &root.join("teacher.key")).unwrap();
    let own = |name: &str| PersonKey::of(&Identities::load(&root.join(name)).unwrap()).remove(0);
    let now = SystemClock.now();
    let until = now + SignedDuration::from_hours(24);
    let theirs = own(&format!("{to}.key"));
    let to: PersonId = to.parse().unwrap();
    let (recipients, signers) = (vec![theirs.recipient().clone()], vec![theirs.public(&to)]);
    let keys = KeysToLook { recipients, signers };
    let by = (&by.parse().unwrap(), &own(key));
    let made = NewGrant::make(&opened, (&to, &keys), until, by, now).unwrap();
    serde_json::from_slice(&made.to_parcel()).unwrap()
}

fn post(page: &mut Client, id: &str, what: &str, body: &Value) -> Reply {
    page.post(&format!("/recordings/{id}/{what}"), body)
}

#[test]
fn the_teacher_gives_access_and_takes_it_back() {
    let (mut station, id, folder) = school();
    let mut teacher = logged_in(&mut station, "t-07");
    let mut granted = logged_in(&mut station, "c-09");
    fetch(&mut granted, &id, "key").is(404);
    let shown = teacher.get(&format!("/recordings/{id}/access")).is(200).body;
    assert_eq!(shown["recipients"][0]["person"], "t-07", "{shown}");
    let people: Vec<&str> =
        shown["people"].as_array().unwrap().iter().map(|p| p["person"].as_str().unwrap()).collect();
    assert_eq!(people, ["c-09", "t-08"], "nobody who is never given one: {shown}");

    let good = parcel(&station, &folder, "c-09", ("t-07", "teacher.key"));
    let key_before = fs::read(folder.join("key.age")).unwrap();
    // Nobody else gives it, with whatever signature; and nothing altered counts.
    for name in ["c-09", "t-08"] {
        let mut other = logged_in(&mut station, name);
        let reply = post(&mut other, &id, "grants", &good);
        assert!([403, 404].contains(&reply.status), "{name}: {}", reply.text);
        let reply = other.get(&format!("/recordings/{id}/access"));
        assert!([403, 404].contains(&reply.status), "{name}: {}", reply.text);
    }
    let mut bad = vec![
        parcel(&station, &folder, "c-09", ("t-07", "t-08.key")),
        parcel(&station, &folder, "c-09", ("t-08", "t-08.key")),
        parcel(&station, &folder, "m-01", ("t-07", "teacher.key")),
        parcel(&station, &folder, "t-07", ("t-07", "teacher.key")),
    ];
    for (from, to) in [("c-09", "t-08"), ("\"until\":\"2", "\"until\":\"3")] {
        let note = good["statement"].as_str().unwrap();
        assert!(note.contains(from), "{note}");
        bad.push(json!({ "statement": note.replace(from, to), "key": good["key"] }));
    }
    bad.push(json!({ "statement": good["statement"], "key": STANDARD.encode("another") }));
    for bad in &bad {
        let reply = post(&mut teacher, &id, "grants", bad);
        assert_eq!(reply.status, 403, "{bad}: {}", reply.text);
        assert!(!folder.join("grants/c-09.key.age").exists(), "{bad}");
    }
    assert_eq!(post(&mut teacher, &id, "grants", &json!({})).status, 400);

    let told = post(&mut teacher, &id, "grants", &good).is(200).body;
    assert_eq!(told["person"], "c-09");
    assert_eq!(fs::read(folder.join("key.age")).unwrap(), key_before, "never rewritten");
    let key = fetch(&mut granted, &id, "key").is(200);
    assert_eq!(key.bytes, fs::read(folder.join("grants/c-09.key.age")).unwrap());
    assert_eq!(fetch(&mut granted, &id, "files").is(200).body["access"], "grant");
    let opens = |to: &str| {
        let args = ["open", text(&folder), "--identity", "c-09.key", "--output", to];
        station.school.run(&args)
    };
    opens("granted.mp4").ended(0);

    let from = json!({ "person": "c-09" });
    assert_ne!(post(&mut granted, &id, "revoke", &from).status, 200);
    post(&mut teacher, &id, "revoke", &from).is(200);
    assert_eq!(code(&fetch(&mut granted, &id, "key").is(404)), "not-found");
    opens("again.mp4").ended(77);
    assert_eq!(post(&mut teacher, &id, "revoke", &from).status, 404);
    // Who kept the request does not bring it back.
    assert_eq!(post(&mut teacher, &id, "grants", &good).status, 403);
    let shown = teacher.get(&format!("/recordings/{id}/access")).is(200).body;
    let log: Vec<String> = shown["log"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| format!("{} {}", l["kind"].as_str().unwrap(), l["person"].as_str().unwrap()))
        .collect();
    assert_eq!(log, ["granted c-09", "viewed c-09", "revoked c-09"], "{shown}");
    assert_eq!(shown["grants"], json!([]));
    station.school.run(&["verify", text(&folder)]).ended(0);
    station.school.run(&["audit", "verify", "--store", "store"]).ended(0);
}

/// A note that the privacy officer added is there for whoever may look, with the box's signature.
#[test]
fn notes_are_handed_out_with_their_signatures() {
    let (mut station, id, folder) = school();
    fs::write(station.school.path("note.txt"), "I was asked to read aloud.").unwrap();
    let add = ["request", "add", &id, "--by", "p-14", "--text", "note.txt"];
    station.run(&add).ended(0);
    let give = ["request", "answer", "1", "--decision", "granted", "--by", "p-01"];
    station.run(&[&give[..], &["--text", "note.txt"]].concat()).ended(0);
    let mut teacher = logged_in(&mut station, "t-07");
    let listed = fetch(&mut teacher, &id, "files").is(200).text;
    for name in ["notes/000001.age", "notes/000001.age.minisig"] {
        assert!(listed.contains(&format!("{name:?}")), "{listed}");
        let got = fetch(&mut teacher, &id, &format!("files/{name}")).is(200);
        assert_eq!(got.bytes, fs::read(folder.join(name)).unwrap());
    }
    assert_eq!(fetch(&mut teacher, &id, "files/notes/000002.age").status, 404);
}

#[test]
fn marks_stay_with_the_recording_as_ciphertext() {
    let (mut station, id, folder) = school();
    let mut teacher = logged_in(&mut station, "t-07");
    let root = station.school.path("");
    let own = station.school.recording_key(&folder);
    let public = station.school.stock(&root, "age-keygen", &["-y", text(&own)]);
    let public = String::from_utf8(public).unwrap();
    fs::write(root.join("marks.json"), "{\"note\":\"Jan waits\"}").unwrap();
    let sealed = station.school.stock(&root, "age", &["-r", public.trim(), "marks.json"]);
    let send = |page: &mut Client, bytes: &[u8]| {
        post(page, &id, "marks", &json!({ "file": STANDARD.encode(bytes) }))
    };
    send(&mut teacher, &sealed).is(200);
    assert_eq!(fs::read(folder.join("marks/t-07.age")).unwrap(), sealed);
    let listed = fetch(&mut teacher, &id, "files").is(200).text;
    assert!(listed.contains("marks/t-07.age"), "{listed}");
    assert_eq!(fetch(&mut teacher, &id, "files/marks/t-07.age").is(200).bytes, sealed);
    assert_eq!(fetch(&mut teacher, &id, "files/marks/c-02.age").status, 404);
    assert_eq!(fetch(&mut teacher, &id, "files/marks/t-07.age.part").status, 404);

    // Only what is encrypted to a key, of a sane length, and of who may look.
    let armoured = station.school.stock(&root, "age", &["-a", "-r", public.trim(), "marks.json"]);
    let long = [&sealed[..], &vec![0; MARKS_LIMIT]].concat();
    let cut = &sealed[..sealed.len().min(60)];
    for bad in [&b"{\"note\":\"Jan waits\"}"[..], &[], &armoured, &long, cut] {
        let status = send(&mut teacher, bad).status;
        assert!([403, 413].contains(&status), "{status}: {} bytes", bad.len());
    }
    for name in ["c-09", "t-08", "a-01"] {
        let mut other = logged_in(&mut station, name);
        assert!([403, 404].contains(&send(&mut other, &sealed).status), "{name}");
    }
    assert_eq!(fs::read(folder.join("marks/t-07.age")).unwrap(), sealed);
    assert_eq!(fs::read_dir(folder.join("marks")).unwrap().count(), 1);

    // Everything that looks at the recording knows the file, and nothing else in its folder.
    station.school.run(&["verify", text(&folder)]).ended(0);
    station.school.run(&["store", "check", "--store", "store"]).ended(0);
    station.school.run(&["backup", "copy", "--store", "store"]).ended(0);
    let copy = root.join("copy/recordings").join(&id);
    assert_eq!(fs::read(copy.join("marks/t-07.age")).unwrap(), sealed);
    assert!(!copy.join("key.age").exists());
    fs::write(folder.join("marks/t-07.age.part"), "cut off").unwrap();
    station.school.run(&["verify", text(&folder)]).ended(0);
    let found = station.school.run(&["store", "check", "--store", "store"]).ended(0).out;
    assert!(found.contains("marks/t-07.age.part"), "{found}");
    let apply = ["retention", "apply", "--store", "store", "--danger-trust-clock"];
    station.school.run(&apply).ended(0);
    assert_eq!(fs::read_dir(folder.join("marks")).unwrap().count(), 1);
    fs::write(folder.join("marks/names.txt"), "p-01 is Jan").unwrap();
    station.school.run(&["verify", text(&folder)]).ended(65);
    fs::remove_file(folder.join("marks/names.txt")).unwrap();

    // They go with the recording: nothing that is left opens a copy of them.
    fs::copy(folder.join("marks/t-07.age"), root.join("copied.age")).unwrap();
    let mut officer = logged_in(&mut station, "p-01");
    let asked = json!({ "ask": "delete", "by": "p-14", "recordings": [id] });
    officer.post("/requests", &asked).is(200);
    officer.post("/requests/decide", &json!({ "number": 1, "decision": "granted" })).is(200);
    station.school.run(&apply).ended(0);
    assert!(!folder.exists());
    for key in ["teacher.key", "c-09.key"] {
        let said = std::process::Command::new("age")
            .args(["-d", "-i", key, "copied.age"])
            .current_dir(&root)
            .output();
        assert!(!said.unwrap().status.success(), "{key}");
    }
}

#[test]
fn closing_the_talk_moves_the_end_and_is_signed() {
    let (mut station, id, folder) = school();
    let deadline = |folder: &Path| {
        let text = fs::read(folder.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&text).unwrap();
        manifest["delete_by"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    };
    let before = deadline(&folder);
    let week = SystemClock.now() + SignedDuration::from_hours(7 * 24);
    assert!(before > week + SignedDuration::from_hours(24), "{before}");
    for name in ["c-03", "t-08", "c-09", "p-01", "a-01"] {
        let reply = post(&mut logged_in(&mut station, name), &id, "close-talk", &json!({}));
        assert!([403, 404].contains(&reply.status), "{name}: {}", reply.text);
    }
    assert_eq!(deadline(&folder), before);
    // Whom the recording names, and the directory has as that.
    post(&mut logged_in(&mut station, "c-02"), &id, "close-talk", &json!({})).is(403);
    let added = ["people", "add", "c-02", "--role", "coach", "--store", "store"];
    station.school.run(&added).ended(0);
    let mut coach = logged_in(&mut station, "c-02");
    let told = post(&mut coach, &id, "close-talk", &json!({})).is(200).body;
    let after = deadline(&folder);
    let minute = SignedDuration::from_mins(1);
    assert!(after < week + minute && after > week - minute, "{after}");
    assert_eq!(told["delete_by"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap(), after);
    // The earliest stays, however often it is closed.
    // Whose signing key the recording names, closes it by that key and not by a login.
    let mut teacher = logged_in(&mut station, "t-07");
    let root = station.school.path("");
    let note = |key: &str, by: &str, recording: &str| {
        let own = Identities::load(&root.join(key)).unwrap();
        PersonKey::of(&own)[0].sign(&TalkOver {
            recording: recording.parse().unwrap(),
            at: SystemClock.now(),
            by: by.parse().unwrap(),
        })
    };
    let mut close = |statement: Option<String>| {
        post(&mut teacher, &id, "close-talk", &json!({ "statement": statement }))
    };
    assert_eq!(close(None).is(403).body["code"], "not-signed");
    let own = note("teacher.key", "t-07", &id);
    let other = "01990000-0000-7000-8000-000000000000";
    for bad in [
        note("t-08.key", "t-07", &id),
        note("teacher.key", "c-02", &id),
        note("teacher.key", "t-07", other),
        own.replace("classveil-talk/1", "classveil-marks/2"),
        own.replace('T', "t"),
    ] {
        let reply = close(Some(bad));
        assert!([400, 403].contains(&reply.status), "{}", reply.text);
    }
    close(Some(own.clone())).is(200);
    assert_eq!(deadline(&folder), after);
    let log = fs::read_to_string(station.school.store().join("audit/log.jsonl")).unwrap();
    let line = log.lines().rfind(|line| line.contains("talk-closed")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["event"]["statement"], own.as_str());
    station.school.run(&["verify", text(&folder)]).ended(0);
    station.school.run(&["store", "check", "--store", "store"]).ended(0);
}

#[test]
fn a_key_made_elsewhere_comes_to_count_by_code_and_challenge() {
    let (mut station, ..) = school();
    let root = station.school.path("");
    let run = |args: &[&str]| station.school.run(args);
    let coded = run(&["people", "add", "c-02", "--role", "coach", "--store", "store"]).ended(0);
    run(&["keygen", "--output", "c-02.key"]).ended(0);
    let public = String::from_utf8(station.school.stock(&root, "age-keygen", &["-y", "c-02.key"]));
    let public = public.unwrap().trim().to_owned();
    let mut coach = logged_in(&mut station, "c-02");
    let asking = |code: &str| json!({ "recipient": public, "code": code });
    assert_eq!(coach.post("/keys/challenge", &asking("AAAA-BBBB-CCCC-DDDD")).status, 403);
    // Somebody else's code is of no use to whoever has it.
    let mut other = logged_in(&mut station, "c-03");
    assert_eq!(other.post("/keys/challenge", &asking(coded.out.trim())).status, 404);
    let given = coach.post("/keys/challenge", &asking(coded.out.trim())).is(200).body;
    let sealed = STANDARD.decode(given["challenge"].as_str().unwrap()).unwrap();
    fs::write(root.join("c-02.challenge"), sealed).unwrap();
    let answer = ["people", "answer", "c-02.challenge", "--identity"];
    let key = ["c-02.key", "--output", "c-02.answer"];
    station.school.run(&[&answer[..], &key[..]].concat()).ended(0);
    let answer = fs::read_to_string(root.join("c-02.answer")).unwrap();
    let word = json!({ "answer": answer });
    assert_eq!(other.post("/keys/enrol", &word).status, 404);
    assert_eq!(coach.post("/keys/enrol", &json!({ "answer": "{}" })).status, 403);
    let done = coach.post("/keys/enrol", &word).is(200).body;
    assert_eq!((&done["recipient"], &done["signs"]), (&json!(public), &json!(true)));
    assert_eq!(coach.post("/keys/enrol", &word).status, 404, "once");

    // A coach's key is among a teacher's recipients once that teacher signed, and nobody else.
    let approval = ["people", "approve", "c-02", "--recipient", &public, "--by"];
    let made = |by: &str, key: &str| {
        let note = format!("{by}.{key}.note");
        let args = [by, "--identity", key, "--output", &note];
        station.school.run(&[&approval[..], &args[..]].concat()).ended(0);
        json!({ "statement": fs::read_to_string(root.join(&note)).unwrap() })
    };
    let (good, forged) = (made("t-07", "t-07.key"), made("t-07", "t-08.key"));
    let mut teacher = logged_in(&mut station, "t-07");
    assert_eq!(teacher.post("/keys/accept", &forged).status, 403);
    assert_eq!(logged_in(&mut station, "t-08").post("/keys/accept", &good).status, 403);
    teacher.post("/keys/accept", &good).is(200);
    let people = teacher.get("/people").is(200).body;
    let found = people["people"].as_array().unwrap().iter().find(|one| one["person"] == "c-02");
    let key = &found.unwrap()["keys"][0];
    assert_eq!(key["accepted_by"], json!(["t-07"]), "{people}");
    assert_eq!(key["confirmed"], "own-login", "{people}");
    // The command line goes on with what the pages did.
    accept(|args| station.school.run(args), "c-02", &public, "t-08");
    station.school.run(&["audit", "verify", "--store", "store"]).ended(0);
}
