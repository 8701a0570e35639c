//! The promise: a damaged log can be settled. A new one keeps what the old one still proves, what is in
//! doubt is nobody's, nothing destroyed comes back, and every deadline is kept.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use classveil::{
    units::{CameraId, Pts, RecordingId},
    vault::{
        Digest,
        access::{Ask, NewRequest, request},
        audit::{AuditError, AuditKey, Event},
        renewal,
        retention::{NewHold, RetentionError, hold},
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    crash::{Blow, campaign, workplace},
    grants::{grant, install},
    keys::enrol,
    retention::{Scene, at, contents, copy, policy, roles, stock},
    scene::{Said, text},
};

/// A store in which something of every kind has happened.
struct Before {
    scene: Scene,
    now: Timestamp,
    kept: RecordingId,
    held: RecordingId,
    restricted: RecordingId,
    granted: RecordingId,
    destroyed: RecordingId,
    /// The destroyed one as it was, with its key.
    backup: PathBuf,
}

fn ago(now: Timestamp, days: i64) -> Timestamp {
    now - SignedDuration::from_hours(days * 24)
}

impl Before {
    fn new() -> Self {
        let scene = Scene::new();
        let now = Timestamp::now() - SignedDuration::from_secs(60);
        let log = scene.log(ago(now, 12));
        let destroyed = scene.record(&log, ago(now, 12), 5);
        let backup = scene.root.join("backup");
        copy(&scene.folder(destroyed), &backup, |_| false);
        let [kept, held, restricted, granted] =
            [9, 8, 7, 6].map(|days| scene.record(&log, ago(now, days), 30));
        let new = NewHold {
            recording: held,
            requested_by: "p-14".parse().unwrap(),
            approved_by: "fg-01".parse().unwrap(),
            length: Duration::from_secs(60 * 86_400),
            reason: Digest::of(b"claim"),
        };
        hold(&scene.store, &log, &roles(), &new, ago(now, 5)).unwrap();
        let new = NewRequest {
            ask: Ask::Restrict,
            by: "p-14".parse().unwrap(),
            recordings: vec![restricted],
            received: ago(now, 5),
            text: None,
        };
        request(&scene.store, &log, &new, ago(now, 5)).unwrap();
        let until = now + SignedDuration::from_hours(48);
        let parcel = grant(&scene, granted, "c-09", until, ago(now, 4));
        install(&scene, &log, &parcel, ago(now, 4)).unwrap();
        assert_eq!(scene.apply(ago(now, 3)).destroyed, [destroyed]);
        drop(log);
        fs::copy(scene.root.join("teacher.key"), scene.root.join("t-07.key")).unwrap();
        for (person, role) in
            [("fg-01", "privacy-officer"), ("t-07", "teacher"), ("m-01", "manager")]
        {
            enrol(|args| scene.run(args), &scene.root, person, role);
        }
        Self { scene, now, kept, held, restricted, granted, destroyed, backup }
    }

    /// The same in a folder of its own, in which something is damaged.
    fn damaged(&self, damage: impl FnOnce(&Path)) -> (tempfile::TempDir, Scene) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("scene");
        // With the permissions of its keys.
        let made = Command::new("cp").arg("-a").args([&self.scene.root, &root]).status().unwrap();
        assert!(made.success());
        damage(&root.join("store/audit"));
        let scene = Scene::at(&root);
        (folder, scene)
    }
}

fn lines(audit: &Path) -> Vec<String> {
    let text = fs::read_to_string(audit.join("log.jsonl")).unwrap();
    text.split_inclusive('\n').map(str::to_owned).collect()
}

fn number_of(lines: &[String], kind: &str) -> usize {
    lines.iter().rposition(|line| line.contains(&format!("\"kind\":\"{kind}\""))).unwrap()
}

/// Leaves the newest line of that kind out.
fn without(kind: &'static str) -> impl Fn(&Path) {
    move |audit| {
        let mut all = lines(audit);
        all.remove(number_of(&all, kind));
        fs::write(audit.join("log.jsonl"), all.concat()).unwrap();
    }
}

fn renew(scene: &Scene) -> Said {
    let args = ["audit", "renew", "--by", "a-01", "--reason", "a bad sector", "--store", "store"];
    scene.run(&[&args[..], &["--json"]].concat())
}

/// The same while the machine's clock says `now`.
fn renew_at(scene: &Scene, now: Timestamp) -> Said {
    let clock = json!({"now": now, "running_s": 60, "boot": "run-1", "trusted": true});
    fs::write(scene.root.join("clock.json"), clock.to_string()).unwrap();
    let args = ["--test-clock", "clock.json", "audit", "renew", "--by", "a-01", "--reason", "x"];
    scene.run(&[&args[..], &["--store", "store", "--json"]].concat())
}

fn enrol_officer(scene: &Scene) {
    enrol_again(scene, "fg-01");
}

/// The same key of a privacy officer once more.
fn enrol_again(scene: &Scene, officer: &str) {
    for ending in ["challenge", "answer"] {
        fs::remove_file(scene.root.join(format!("{officer}.{ending}"))).unwrap();
    }
    enrol(|args| scene.run(args), &scene.root, officer, "privacy-officer");
}

fn is_aside(scene: &Scene) -> bool {
    let mut names = fs::read_dir(scene.store.join("audit")).unwrap();
    names.any(|one| one.unwrap().file_name().to_str().unwrap().starts_with("aside-"))
}

fn verdicts(scene: &Scene) -> Value {
    let said = scene.run(&["retention", "plan", "--store", "store", "--json"]).ended(0).json();
    let all = said["recordings"].as_array().unwrap().iter();
    all.map(|one| (one["recording"].as_str().unwrap().to_owned(), one.clone())).collect()
}

fn clear(scene: &Scene, recording: RecordingId, by: &str) -> Said {
    let id = recording.to_string();
    scene.run(&["audit", "clear", &id, "--by", by, "--store", "store"])
}

fn says(verdicts: &Value, id: RecordingId, reason: &str) -> bool {
    let reasons = verdicts[id.to_string()]["reasons"].as_array().unwrap();
    reasons.iter().any(|one| one["why"] == reason)
}

type Damage = Box<dyn Fn(&Path)>;

/// Whatever is damaged, and wherever: the box goes on under a new log, and promises nothing less.
#[test]
fn a_damaged_log_is_settled_wherever_the_damage_is() {
    let before = Before::new();
    let damages: Vec<(&str, Damage)> = vec![
        (
            "the first line is edited",
            Box::new(|audit| {
                let text = fs::read_to_string(audit.join("log.jsonl")).unwrap();
                fs::write(audit.join("log.jsonl"), text.replacen("opened", "closed", 1)).unwrap();
            }),
        ),
        ("the line of the hold is gone", Box::new(without("held"))),
        ("the line of the destruction is gone", Box::new(without("destroyed"))),
        ("the line of the grant is gone", Box::new(without("granted"))),
        (
            "two lines are in another order",
            Box::new(|audit| {
                let mut all = lines(audit);
                all.swap(3, 5);
                fs::write(audit.join("log.jsonl"), all.concat()).unwrap();
            }),
        ),
        (
            "the second half is noise",
            Box::new(|audit| {
                let path = audit.join("log.jsonl");
                let mut bytes = fs::read(&path).unwrap();
                let half = bytes.len() / 2;
                bytes[half..].fill(0xa5);
                fs::write(path, bytes).unwrap();
            }),
        ),
        ("the log is empty", Box::new(|audit| fs::write(audit.join("log.jsonl"), "").unwrap())),
        ("the log is gone", Box::new(|audit| fs::remove_file(audit.join("log.jsonl")).unwrap())),
        (
            "the checkpoint is gone",
            Box::new(|audit| {
                fs::remove_file(audit.join("checkpoint")).unwrap();
            }),
        ),
        (
            "the checkpoint is noise",
            Box::new(|audit| {
                fs::write(audit.join("checkpoint"), [0xa5; 90]).unwrap();
            }),
        ),
        (
            "the key beside it is noise",
            Box::new(|audit| {
                fs::write(audit.join("log.vkey"), "x").unwrap();
            }),
        ),
    ];
    for (what, damage) in damages {
        let (_folder, scene) = before.damaged(damage);
        let apply = ["retention", "apply", "--store", "store", "--danger-trust-clock"];
        assert_ne!(scene.run(&apply).code, Some(0), "{what}: nothing is destroyed under it");
        let old = fs::read(scene.store.join("audit/log.jsonl")).unwrap_or_default();
        let said = renew(&scene);
        assert_eq!(said.code, Some(0), "{what}: {}", said.err);
        let told = said.json();
        scene.run(&["audit", "verify", "--store", "store"]).ended(0);
        assert!(renew(&scene).ended(78).err.contains("nothing to renew"), "{what}");

        // The old one lies aside as it was, and the new one begins with its digest.
        let aside = PathBuf::from(told["aside"].as_str().unwrap());
        assert_eq!(fs::read(scene.root.join(&aside).join("log.jsonl")).unwrap_or_default(), old);
        let first: Value = serde_json::from_str(&lines(&scene.store.join("audit"))[0]).unwrap();
        let renews = &first["event"]["renews"];
        assert_eq!(renews["sha256"], Digest::of(&old).to_string(), "{what}");
        assert_eq!(renews["bytes"], old.len(), "{what}");
        assert_eq!(renews["by"], "a-01");

        // Nobody gets what may be in doubt, whatever the lines that are left say of it.
        let now = verdicts(&scene);
        for id in [before.kept, before.held, before.restricted, before.granted] {
            assert!(says(&now, id, "log-renewed"), "{what}: {id}: {now}");
            assert_eq!(now[id.to_string()]["verdict"], "withhold", "{what}");
        }
        let open = ["open", &before.kept.to_string(), "--identity", "teacher.key"];
        let open = [&open[..], &["--output", "out.mp4", "--store", "store"]].concat();
        scene.run(&open).ended(77);

        // What was destroyed stays so, by its line or by its certificate.
        copy(&before.backup, &scene.folder(before.destroyed), |_| false);
        let again = scene.apply(before.now + SignedDuration::from_secs(30));
        assert!(again.failed.is_empty(), "{what}: {:?}", again.failed);
        assert!(!scene.folder(before.destroyed).exists(), "{what}");
        assert!(scene.folder(before.kept).join("key.age").exists(), "{what}");

        // A recording that is made now is in no doubt, and all go by their deadlines.
        let later = before.now + SignedDuration::from_secs(40);
        let fresh = scene.record(&scene.log(later), later, 30);
        assert_eq!(verdicts(&scene)[fresh.to_string()]["verdict"], "keep", "{what}");
        let month = scene.apply(before.now + SignedDuration::from_hours(29 * 24));
        assert!(month.destroyed.contains(&before.kept), "{what}: {month:?}");
        assert!(!month.destroyed.contains(&fresh), "{what}");
        let certificate = scene.certificate(before.kept);
        scene.run(&["verify-certificate", text(&certificate)]).ended(0);
        scene.run(&["audit", "verify", "--store", "store"]).ended(0);
    }
}

#[test]
fn what_the_lines_that_are_left_prove_counts_as_before() {
    let before = Before::new();
    let (_folder, scene) = before.damaged(|audit| {
        let mut all = lines(audit);
        // A line of no consequence.
        all.remove(number_of(&all, "certified"));
        fs::write(audit.join("log.jsonl"), all.concat()).unwrap();
    });
    let told = renew(&scene).ended(0).json();
    assert_eq!((&told["lost"], &told["registers"]), (&1.into(), &json!([])));
    assert_eq!(told["in_doubt"].as_array().unwrap().len(), 4);
    // The privacy officer is known still, and no manager clears anything.
    clear(&scene, before.kept, "m-01").ended(77);
    for id in [before.kept, before.held, before.restricted, before.granted] {
        clear(&scene, id, "fg-01").ended(0);
        clear(&scene, id, "fg-01").ended(77);
    }
    clear(&scene, before.destroyed, "fg-01").ended(77);
    let now = verdicts(&scene);
    assert_eq!(now[before.kept.to_string()]["verdict"], "keep", "{now}");
    assert!(
        says(&now, before.held, "held") && says(&now, before.restricted, "restricted"),
        "{now}"
    );
    assert_eq!(now[before.granted.to_string()]["verdict"], "keep", "{now}");
    let grants = ["grants", "list", "--store", "store", "--json"];
    let listed = scene.run(&grants).ended(0).out;
    assert!(listed.contains("c-09"), "{listed}");
    scene.run(&["store", "check", "--store", "store"]).ended(0);
    // The hold lasts as long as it did.
    let month = scene.apply(before.now + SignedDuration::from_hours(30 * 24));
    assert!(month.destroyed.contains(&before.kept) && !month.destroyed.contains(&before.held));
    let later = scene.apply(before.now + SignedDuration::from_hours(60 * 24));
    assert_eq!(later.destroyed, [before.held]);
    // Damaged again, it is renewed again, and what was kept once is kept.
    without("cleared")(&scene.store.join("audit"));
    let then = before.now + SignedDuration::from_hours(61 * 24);
    let told = renew_at(&scene, then).ended(0).json();
    assert_eq!(told["lost"], 1, "{told}");
    let text = fs::read_to_string(scene.store.join("audit/log.jsonl")).unwrap();
    assert!(!text.contains("\\\\\\\""), "a line in a line in a line");
    scene.run(&["store", "check", "--store", "store"]).ended(0);
}

/// A directory of which nobody can say that it is the newest begins anew: then nobody is the officer.
#[test]
fn a_register_that_nothing_vouches_for_begins_anew() {
    let before = Before::new();
    let (_folder, scene) = before.damaged(without("key-changed"));
    let told = renew(&scene).ended(0).json();
    assert_eq!(told["registers"], json!(["people.json"]), "{told}");
    clear(&scene, before.kept, "fg-01").ended(77);
    scene.run(&["people", "list", "--store", "store"]).ended(66);
    let aside = scene.root.join(told["aside"].as_str().unwrap());
    assert!(aside.join("people.json").exists());
    // The key that the log still names as the officer's counts at once.
    enrol_officer(&scene);
    clear(&scene, before.kept, "fg-01").ended(0);
    assert_eq!(verdicts(&scene)[before.kept.to_string()]["verdict"], "keep");
}

/// Who runs the box cannot damage the log to be rid of the privacy officer: one of their own counts after 72
/// hours, in which every recording announces it.
#[test]
fn after_a_renewal_nobody_else_is_the_officer_at_once() {
    let before = Before::new();
    let (_folder, scene) = before.damaged(without("key-changed"));
    renew(&scene).ended(0);
    enrol(|args| scene.run(args), &scene.root, "fg-66", "privacy-officer");
    clear(&scene, before.kept, "fg-66").ended(77);
    let listed = scene.run(&["people", "list", "--store", "store", "--json"]).ended(0).json();
    let people = listed["people"].as_array().unwrap();
    let own = people.iter().find(|one| one["person"] == "fg-66").unwrap();
    let from = &own["keys"][0]["from"];
    let from: Timestamp = from.as_str().unwrap_or_else(|| panic!("{listed}")).parse().unwrap();
    assert!(from > Timestamp::now() + SignedDuration::from_hours(71), "{from}");
    // Nor by a second renewal: a key that was to wait is not known for that.
    without("set-aside")(&scene.store.join("audit"));
    fs::write(scene.store.join("registers/people.json"), "{}").unwrap();
    renew(&scene).ended(0);
    enrol_again(&scene, "fg-66");
    clear(&scene, before.kept, "fg-66").ended(77);
    // The one before enrols the same key anew, which the log names: it counts at once.
    enrol_officer(&scene);
    clear(&scene, before.kept, "fg-01").ended(0);
}

/// Not of a mistyped name, and not before it is brought in.
#[test]
fn only_of_what_is_there_is_nothing_in_doubt() {
    let scene = Scene::new();
    let now = Timestamp::now();
    drop(scene.log(now));
    enrol(|args| scene.run(args), &scene.root, "fg-01", "privacy-officer");
    let id = "0197c2a0-1b7e-7c3e-9d2f-5a4b3c2d1e0f".parse().unwrap();
    let said = clear(&scene, id, "fg-01").ended(66);
    assert!(said.err.contains("no recording"), "{}", said.err);
}

/// A store whose log is gone gives nothing away until one begins, and neither do recordings that were elsewhere
/// when it began.
#[test]
fn without_a_log_and_beside_one_that_does_not_know_it_a_recording_is_in_doubt() {
    let before = Before::new();
    let (_folder, scene) = before.damaged(|audit| fs::remove_dir_all(audit).unwrap());
    let now = verdicts(&scene);
    let id = before.kept;
    assert!(says(&now, id, "log-renewed"), "{now}");
    let open = |name: &str| {
        let open = ["open", &id.to_string(), "--identity", "teacher.key", "--output", name];
        scene.run(&[&open[..], &["--store", "store"]].concat())
    };
    open("out.mp4").ended(77);
    let folder = format!("store/recordings/{id}");
    let open_folder = ["open", &folder, "--identity", "teacher.key", "--output", "out.mp4"];
    scene.run(&open_folder).ended(77);
    assert!(!scene.store.join("audit").exists(), "looking begins no log");
    let (there, elsewhere) = (scene.store.join("recordings"), scene.root.join("elsewhere"));
    fs::rename(&there, &elsewhere).unwrap();
    fs::create_dir(&there).unwrap();
    fs::remove_dir_all(scene.store.join("registers")).unwrap();
    drop(scene.log(Timestamp::now()));
    fs::remove_dir(&there).unwrap();
    fs::rename(&elsewhere, &there).unwrap();
    let now = verdicts(&scene);
    assert!(says(&now, id, "log-renewed"), "{now}");
    open("out.mp4").ended(77);
}

/// A log of which nothing is left is renewed as well, with its author and reason.
#[test]
fn a_log_that_is_gone_is_renewed() {
    let before = Before::new();
    for damage in [(|audit: &Path| fs::remove_dir_all(audit).unwrap()) as fn(&Path), |audit| {
        fs::remove_dir_all(audit).unwrap();
        fs::create_dir(audit).unwrap();
    }] {
        let (_folder, scene) = before.damaged(damage);
        let told = renew(&scene).ended(0).json();
        assert_eq!((&told["log"], &told["kept"]), (&Value::Null, &json!(1)), "{told}");
        assert_eq!(told["in_doubt"].as_array().unwrap().len(), 4, "{told}");
        assert_eq!(told["registers"], json!(["people.json", "requests.json"]), "{told}");
        assert!(says(&verdicts(&scene), before.kept, "log-renewed"));
        // What was destroyed is known by its certificate.
        copy(&before.backup, &scene.folder(before.destroyed), |_| false);
        assert_eq!(verdicts(&scene)[before.destroyed.to_string()]["verdict"], "destroy");
        scene.run(&["audit", "verify", "--store", "store"]).ended(0);
        let first = lines(&scene.store.join("audit")).remove(0);
        assert!(first.contains("\"by\":\"a-01\""), "{first}");
        renew(&scene).ended(78);
    }
    // Where nothing ever was there is nothing to renew.
    let empty = Scene::new();
    renew(&empty).ended(66);
    assert!(!empty.store.join("audit").exists());
}

/// Taken away instead of damaged, a log leaves the same doubt.
#[test]
fn a_log_that_begins_beside_recordings_leaves_them_in_doubt() {
    let before = Before::new();
    let (_folder, scene) = before.damaged(|audit| {
        fs::remove_dir_all(audit).unwrap();
        fs::remove_dir_all(audit.with_file_name("registers")).unwrap();
    });
    drop(scene.log(Timestamp::now()));
    let now = verdicts(&scene);
    for id in [before.kept, before.held, before.restricted, before.granted] {
        assert!(says(&now, id, "log-renewed"), "{id}: {now}");
        assert_eq!(now[id.to_string()]["verdict"], "withhold", "{id}");
    }
    let open = ["open", &before.kept.to_string(), "--identity", "teacher.key"];
    scene.run(&[&open[..], &["--output", "out.mp4", "--store", "store"]].concat()).ended(77);
    // What the new one knows from its beginning is in no doubt.
    let later = Timestamp::now();
    let fresh = scene.record(&scene.log(later), later, 30);
    assert_eq!(verdicts(&scene)[fresh.to_string()]["verdict"], "keep");
    clear(&scene, before.kept, "fg-01").ended(77);
    // Of the officer before nobody knows any more: whoever is enrolled as one waits, and is seen.
    enrol_officer(&scene);
    clear(&scene, before.kept, "fg-01").ended(77);
    scene.since(&["fg-01"], 1);
    clear(&scene, fresh, "fg-01").ended(77);
    clear(&scene, before.kept, "fg-01").ended(0);
    let now = verdicts(&scene);
    assert_eq!(now[before.kept.to_string()]["verdict"], "keep", "{now}");
    assert_eq!(now[before.held.to_string()]["verdict"], "withhold", "{now}");
}

/// Of what cannot be read nobody knows that it holds no line: nothing is touched.
#[test]
fn a_file_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let before = Before::new();
    for name in ["log.jsonl", "checkpoint", "log.vkey"] {
        let (_folder, scene) = before.damaged(|audit| {
            without("held")(audit);
            fs::rename(audit.join(name), audit.with_file_name("kept")).unwrap();
            fs::create_dir(audit.join(name)).unwrap();
        });
        let said = renew(&scene);
        assert!(said.code != Some(0) && said.err.contains(name), "{name}: {}", said.err);
        assert!(!is_aside(&scene) && scene.store.join("registers/people.json").exists(), "{name}");
        let path = scene.store.join("audit").join(name);
        fs::remove_dir(&path).unwrap();
        fs::rename(scene.store.join("kept"), &path).unwrap();
        let told = renew(&scene).ended(0).json();
        assert_eq!(told["lost"], 1, "{name}: {told}");
    }
}

/// A clock that was set back would be believed from the first line on.
#[test]
fn by_a_clock_that_is_behind_a_genuine_line_nothing_is_renewed() {
    let before = Before::new();
    let (_folder, scene) = before.damaged(without("held"));
    let said = renew_at(&scene, ago(before.now, 1)).ended(78);
    assert!(said.err.contains("set the clock"), "{}", said.err);
    assert!(!is_aside(&scene));
    renew(&scene).ended(0);
    // The time of a renewal is one of the log as well, though every line that it keeps is older.
    without("kept")(&scene.store.join("audit"));
    renew_at(&scene, before.now + SignedDuration::from_hours(2)).ended(0);
    without("kept")(&scene.store.join("audit"));
    renew_at(&scene, before.now + SignedDuration::from_hours(1)).ended(78);
}

/// A hold whose line was lost holds nothing: what goes at the next start is named, and can be held anew.
#[test]
fn what_is_due_is_named_before_the_box_is_started() {
    let before = Before::new();
    let then = before.now + SignedDuration::from_hours(30 * 24);
    let others = [before.kept, before.restricted, before.granted];
    for (kind, is_held) in [("certified", true), ("held", false)] {
        let (_folder, scene) = before.damaged(without(kind));
        let told = renew_at(&scene, then).ended(0).json();
        let due: Vec<&str> =
            told["due"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        for id in others {
            assert!(due.contains(&&*id.to_string()), "{kind}: {told}");
        }
        assert_eq!(due.contains(&&*before.held.to_string()), !is_held, "{kind}: {told}");
        if !is_held {
            let new = NewHold {
                recording: before.held,
                requested_by: "p-14".parse().unwrap(),
                approved_by: "fg-01".parse().unwrap(),
                length: Duration::from_secs(86_400),
                reason: Digest::of(b"claim"),
            };
            hold(&scene.store, &scene.log(then), &roles(), &new, then).unwrap();
        }
        let gone = scene.apply(then + SignedDuration::from_secs(60)).destroyed;
        assert!(gone.contains(&before.kept) && !gone.contains(&before.held), "{kind}: {gone:?}");
    }
}

/// Cut off cleanly with its checkpoint: only one that somebody kept tells, and says what is lost.
#[test]
fn a_tail_that_a_witness_knows_of_is_renewed_as_well() {
    let (scene, now) = (Scene::new(), Timestamp::now());
    let log = scene.log(ago(now, 2));
    let _ = scene.record(&log, ago(now, 2), 30);
    let kept = ["log.jsonl", "checkpoint"].map(|name| {
        let path = scene.store.join("audit").join(name);
        (path.clone(), fs::read(path).unwrap())
    });
    let gone = scene.record(&log, ago(now, 1), 20);
    drop(log);
    let witness = ["audit", "checkpoint", "--store", "store", "--output", "w.checkpoint"];
    scene.run(&witness).ended(0);
    for (path, bytes) in kept {
        fs::write(path, bytes).unwrap();
    }
    renew(&scene).ended(78);
    let args = ["audit", "renew", "--by", "a-01", "--reason", "cut", "--store", "store", "--json"];
    let told = scene.run(&[&args[..], &["--checkpoint", "w.checkpoint"]].concat()).ended(0).json();
    assert_eq!((&told["lost"], &told["kept"]), (&1.into(), &1.into()), "{told}");
    // Its deadline is in its manifest.
    assert_eq!(scene.apply(ago(now, -19)).destroyed, [gone]);
    let root = scene.root.clone();
    stock(&root, "minisign", &["-Vm", text(&scene.certificate(gone)), "-p", "store/box.pub"]);
}

/// Recovering by hand goes by this box's own key, and not by whatever lies in the store.
#[test]
fn a_log_that_somebody_put_there_drops_nothing() {
    let (scene, other) = (Scene::new(), Scene::new());
    let id = scene.begin(&scene.log(at(0)), at(0), 30);
    let dropped = Event::Dropped {
        recording: id,
        camera: CameraId::first(),
        from_ns: Pts::ZERO,
        to_ns: Pts::from_nanos(60_000_000_000),
    };
    let _ = other.log(at(0)).append(at(1), &dropped).unwrap();
    let audit = scene.store.join("audit");
    fs::remove_dir_all(&audit).unwrap();
    copy(&other.store.join("audit"), &audit, |_| false);
    let said = scene.run(&["recover", "--store", "store", "--json"]).json();
    let one = &said["recovered"][0];
    assert_eq!((&one["dropped"], &one["segments"]), (&0.into(), &1.into()), "{said}");
}

// Crashes at exact system calls: the test below runs itself under strace.

fn renewed_here(scene: &Scene) -> Result<(), RetentionError> {
    let audit = AuditKey::load(&scene.root.join("classveil/audit.key")).unwrap();
    let (by, reason) = ("a-01".parse().unwrap(), Digest::of(b"struck"));
    let keys = (&scene.key, &audit);
    renewal::renew(&scene.store, keys, &[], (&by, reason), &policy(), Timestamp::now()).map(drop)
}

/// Not a test of its own: renews a damaged log where the parent asks for it.
#[test]
fn child_that_renews() {
    let Some(root) = workplace() else { return };
    if renewed_here(&Scene::at(&root)).is_ok() {
        fs::write(root.join("done"), "").unwrap();
    }
}

/// However a renewal is cut off: renewed again, everything is as if it had not been.
fn struck(before: &Before, blow: Blow<'_>) -> bool {
    let (_folder, scene) = before.damaged(|audit| {
        let mut all = lines(audit);
        all.remove(number_of(&all, "key-changed"));
        fs::write(audit.join("log.jsonl"), all.concat()).unwrap();
    });
    let audit = scene.store.join("audit");
    let damaged = fs::read(audit.join("log.jsonl")).unwrap();
    let register = fs::read(scene.store.join("registers/people.json")).unwrap();
    let unharmed = blow.strikes("renewal::child_that_renews", &scene.root);
    match renewed_here(&scene) {
        Err(RetentionError::Audit(AuditError::Whole { .. })) => {}
        Ok(()) => assert!(!unharmed, "{blow}: it was done, and is damaged"),
        Err(error) => panic!("{blow}: {error}"),
    }
    // Nothing of what was there is gone: it lies aside.
    let all = contents(&audit);
    for (what, bytes) in [("log", &damaged), ("directory", &register)] {
        assert!(all.values().any(|kept| kept == bytes), "{blow}: the {what} is lost");
    }
    assert!(!scene.store.join("registers/people.json").exists(), "{blow}");
    // What the lines prove counts, and the rest is nobody's.
    let now = verdicts(&scene);
    for (id, reason) in [
        (before.kept, "log-renewed"),
        (before.held, "held"),
        (before.restricted, "restricted"),
        (before.granted, "log-renewed"),
    ] {
        assert!(says(&now, id, reason), "{blow}: {id} {now}");
        assert_eq!(now[id.to_string()]["verdict"], "withhold", "{blow}: {id}");
    }
    copy(&before.backup, &scene.folder(before.destroyed), |_| false);
    assert_eq!(verdicts(&scene)[before.destroyed.to_string()]["verdict"], "destroy", "{blow}");
    clear(&scene, before.kept, "fg-01").ended(77);
    // What is aside stays as it was left, and counts for nothing.
    let names: Vec<_> = all.keys().map(|path| path.display().to_string()).collect();
    let count = |name: &str| names.iter().filter(|one| *one == name).count();
    assert_eq!((count("log.jsonl"), count("checkpoint"), count("log.vkey")), (1, 1, 1), "{blow}");
    let stray = fs::read_dir(&audit).unwrap().map(|entry| entry.unwrap().file_name());
    let stray: Vec<_> = stray.filter(|name| name.to_string_lossy().ends_with(".part")).collect();
    assert_eq!(stray, [] as [&std::ffi::OsStr; 0], "{blow}");
    unharmed
}

#[test]
fn killed_at_any_call_a_renewal_is_completed_by_the_next() {
    let before = Before::new();
    campaign("signal=KILL", (3, 0), 500, |blow| struck(&before, blow));
}

#[test]
fn an_error_at_any_call_of_a_renewal_loses_nothing() {
    let before = Before::new();
    campaign("error=EIO", (4, 1), 500, |blow| struck(&before, blow));
}
