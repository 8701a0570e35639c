//! The promise: what is lost, altered or out of place anywhere in a store is named; what can be
//! mended is mended without guessing; a backup holds no key.

use std::{fs, path::Path};

use classveil::{units::RecordingId, vault::audit::Event};

use crate::retention::{Scene, at, contents, copy, days};

/// A healthy store: two recordings, one that was destroyed, all of it in the log.
struct Healthy {
    scene: Scene,
    kept: [RecordingId; 2],
    destroyed: RecordingId,
}

fn healthy() -> Healthy {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let kept = [scene.record_sealed(&log, at(0), 300), scene.record_sealed(&log, at(1), 300)];
    let destroyed = scene.record_sealed(&log, at(2), 3);
    assert_eq!(scene.apply(days(4)).destroyed, [destroyed]);
    Healthy { scene, kept, destroyed }
}

const CHECK: [&str; 4] = ["store", "check", "--store", "store"];

impl Healthy {
    fn recording(&self) -> std::path::PathBuf {
        self.scene.folder(self.kept[0])
    }

    fn findings(&self, more: &[&str]) -> serde_json::Value {
        self.scene.run(&[&CHECK[..], &["--json"], more].concat()).json()
    }
}

/// Damages a store, and says what has to be said about it.
type Defect = (&'static str, &'static str, fn(&Healthy));

const DEFECTS: &[Defect] = &[
    ("segment lost", "000001.mp4.age: is missing", |h| {
        fs::remove_file(h.recording().join("cam1/000001.mp4.age")).unwrap();
    }),
    ("segment altered", "000002.mp4.age: was altered", |h| {
        flip(&h.recording().join("cam1/000002.mp4.age"));
    }),
    ("segment of another recording", "cam1/000001.mp4.age: ", |h| {
        let name = "cam1/000001.mp4.age";
        fs::copy(h.scene.folder(h.kept[1]).join(name), h.recording().join(name)).unwrap();
    }),
    ("key of another recording", "key.age: ", |h| {
        fs::copy(h.scene.folder(h.kept[1]).join("key.age"), h.recording().join("key.age")).unwrap();
    }),
    ("another recording in its place", "manifest.json: is of recording", |h| {
        fs::remove_dir_all(h.recording()).unwrap();
        copy(&h.scene.folder(h.kept[1]), &h.recording(), |_| false);
    }),
    ("key lost", "key.age: is missing", |h| {
        fs::remove_file(h.recording().join("key.age")).unwrap();
    }),
    ("recording lost", "is missing: the log knows of no destruction", |h| {
        fs::remove_dir_all(h.recording()).unwrap();
    }),
    ("recording emptied", "it has no manifest.json", |h| {
        fs::remove_dir_all(h.recording()).unwrap();
        fs::create_dir(h.recording()).unwrap();
    }),
    ("manifest of another time", "manifest.json: is not the one that the log names", |h| {
        let other = h.scene.root.join("other");
        fs::create_dir(&other).unwrap();
        // The box signs it again without a line in the log.
        let log = h.scene.log(days(4));
        let id = h.scene.record(&log, at(9), 300);
        drop(log);
        h.scene.append_sealed(id, b"another manifest");
    }),
    ("recording put back", "was destroyed and is there", |h| {
        fs::create_dir(h.scene.folder(h.destroyed)).unwrap();
    }),
    ("certificate lost", ".json: is missing", |h| {
        fs::remove_file(h.scene.certificate(h.destroyed)).unwrap();
    }),
    ("certificate altered", ".json: is not the one that the log names", |h| {
        flip(&h.scene.certificate(h.destroyed));
    }),
    ("certificate's signature lost", "its signature is missing", |h| {
        let path = h.scene.certificate(h.destroyed).with_extension("json.minisig");
        fs::remove_file(path).unwrap();
    }),
    ("destruction interrupted", "is being destroyed", |h| {
        let gone = h.scene.store.join(format!("recordings/.{}.gone", h.kept[1]));
        fs::rename(h.scene.folder(h.kept[1]), gone).unwrap();
    }),
    ("stranger", "recordings/notes.txt: does not belong", |h| {
        fs::write(h.scene.store.join("recordings/notes.txt"), "x").unwrap();
    }),
    ("log edited", "line 3 was edited", |h| {
        let path = h.scene.store.join("audit/log.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let edited = lines[2].replace("sealed", "SEALED").replace("armed", "ARMED");
        fs::write(path, [&lines[..2].concat(), &*edited, &lines[3..].concat()].concat()).unwrap();
    }),
];

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_healthy_store_has_no_findings() {
    let healthy = healthy();
    let said = healthy.scene.run(&CHECK).ended(0);
    assert!(said.out.contains("2 recordings whole, 0 in use, 0 findings"), "{}", said.out);
    assert_eq!(healthy.findings(&[])["ok"], true);
}

#[test]
fn every_defect_is_named_and_ends_in_65() {
    for (what, named, damage) in DEFECTS {
        let healthy = healthy();
        damage(&healthy);
        let before = contents(&healthy.scene.store);
        let said = healthy.scene.run(&CHECK);
        assert_eq!(said.code, Some(65), "{what}: {}{}", said.out, said.err);
        assert!(said.out.contains(named), "{what}: {}", said.out);
        assert_eq!(healthy.findings(&[])["ok"], false, "{what}");
        assert_eq!(contents(&healthy.scene.store), before, "{what}: a check changes nothing");
    }
}

#[test]
fn a_backup_holds_no_key_and_mends_segments() {
    let healthy = healthy();
    let scene = &healthy.scene;
    let backup = scene.root.join("backup");
    let args = ["backup", "backup", "--store", "store", "--json"];
    let json = scene.run(&args).ended(0).json();
    assert_eq!((&json["recordings"], &json["removed"]), (&2.into(), &0.into()), "{json}");
    let keys = healthy.kept.map(|id| fs::read(scene.folder(id).join("key.age")).unwrap());
    for (name, bytes) in contents(&backup) {
        let name = name.to_string_lossy();
        assert!(!name.contains("key.age") && !name.contains("grants"), "{name}");
        assert!(!keys.contains(&bytes), "{name}");
    }
    // Only what is new is copied the second time: the log, its checkpoint.
    assert_eq!(scene.run(&args).ended(0).json()["copied"], 2);

    let folder = healthy.recording();
    let whole = contents(&folder);
    fs::remove_dir_all(folder.join("cam1")).unwrap();
    flip(&folder.join("details.json.age"));
    let key = folder.join("key.age");
    let kept_key = fs::read(&key).unwrap();
    scene.run(&CHECK).ended(65);
    let mend = [&CHECK[..], &["--repair", "--from", "backup"]].concat();
    let said = scene.run(&mend).ended(0);
    assert_eq!(said.out.matches("taken from the backup").count(), 5, "{}", said.out);
    assert_eq!(contents(&folder), whole);
    assert!(matches!(scene.events().last(), Some(Event::StoreRepaired { repairs: 5 })));
    // A lost key does not come back.
    fs::remove_file(&key).unwrap();
    let said = scene.run(&mend).ended(65);
    assert!(said.out.contains("key.age: is missing"), "{}", said.out);
    fs::write(&key, kept_key).unwrap();
    // A backup that was altered mends nothing.
    flip(&backup.join(format!("recordings/{}/cam1/000001.mp4.age", healthy.kept[0])));
    fs::remove_file(folder.join("cam1/000001.mp4.age")).unwrap();
    let said = scene.run(&mend).ended(65);
    assert!(!said.out.contains("taken from"), "{}", said.out);
}

/// R50: what was destroyed goes from the backup too, and putting an old one back resurrects
/// nothing.
#[test]
fn a_backup_forgets_what_was_destroyed() {
    let healthy = healthy();
    let scene = &healthy.scene;
    scene.run(&["backup", "backup", "--store", "store"]).ended(0);
    let old = scene.root.join("old");
    copy(&scene.root.join("backup"), &old, |_| false);
    assert_eq!(scene.apply(days(301)).destroyed.len(), 2);
    let json = scene.run(&["backup", "backup", "--store", "store", "--json"]).ended(0).json();
    assert_eq!((&json["recordings"], &json["removed"]), (&0.into(), &2.into()), "{json}");
    copy(&old.join("recordings"), &scene.store.join("recordings"), |_| false);
    let said = scene.run(&[&CHECK[..], &["--repair", "--from", "old"]].concat()).ended(65);
    assert!(said.out.contains("was destroyed and is there"), "{}", said.out);
    assert_eq!(scene.apply(days(302)).returned.len(), 2);
    scene.run(&CHECK).ended(0);
    scene.run(&["backup", "store/inside", "--store", "store"]).ended(64);
}

#[test]
fn repair_finishes_what_a_crash_left() {
    let healthy = healthy();
    let scene = &healthy.scene;
    let log = scene.log(days(4));
    let cut = scene.begin(&log, at(5), 300);
    fs::write(scene.store.join("certificates/x.json.part"), "x").unwrap();
    let staging = scene.store.join(format!("recordings/.{}.new", RecordingId::new(at(6))));
    fs::create_dir(&staging).unwrap();
    drop(log);
    let said = scene.run(&CHECK).ended(65);
    assert!(said.out.contains("was cut off and is not sealed"), "{}", said.out);
    assert!(said.out.contains("(no harm)"), "{}", said.out);
    let said = scene.run(&[&CHECK[..], &["--repair"]].concat()).ended(0);
    assert!(said.out.contains(&format!("{cut}: sealed")), "{}", said.out);
    assert!(said.out.contains("3 recordings whole, 0 in use, 0 findings"), "{}", said.out);
    assert!(!staging.exists());
}
