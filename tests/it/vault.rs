//! The promise: what is written opens for its recipients with stock tools, every change to it is
//! noticed and named, and a crash at any system call leaves whole segments that recovery seals.
//!
//! Most segments here are arbitrary bytes: nothing in the vault looks into them but the joiner, which
//! gets real ones.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use classveil::{
    capture::VideoFormat,
    encode::{Encoder, EncoderChoice, Settings},
    error::{ErrorKind, Kind},
    frame::{Frame, FrameSize, I420View, Raw, SlotPool},
    units::{CameraId, Pts, RecordingId},
    vault::{
        BoxKey, Checked, Course, Details, Finished, GapWhy, LegalBasis, NewRecording, Outcome,
        Purpose, Recipient, RecordingWriter, SegmentCounts, SegmentFile, SelfCheck, State, Trust,
        VaultError, WriterThread, check, recover, write_identity,
    },
    veil::{Cover, Style, Verdict, redact::Redactor},
};
use jiff::Timestamp;

use crate::crash::{Order, traced};

/// A store, a box and a teacher.
struct Scene {
    _keep: tempfile::TempDir,
    root: PathBuf,
    store: PathBuf,
    key: BoxKey,
    teacher: Recipient,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + seconds).unwrap()
}

/// Twenty years on: tests outlive thirty days.
const FAR: i64 = 20 * 365 * 86_400;

fn camera(name: &str) -> CameraId {
    name.parse().unwrap()
}

fn mp4(camera: &CameraId, number: u32) -> Vec<u8> {
    // Longer than one chunk of age, and recognisable in a file that should not have it.
    let line = format!("PLAINTEXT of segment {number} of camera {camera}. ");
    line.repeat(1800).into_bytes()
}

fn tracks(number: u32) -> Vec<u8> {
    format!("{{\"PLAINTEXT tracks\":{number}}}").into_bytes()
}

fn segment(camera: &CameraId, number: u32) -> SegmentFile {
    let start = Pts::from_nanos(u64::from(number - 1) * 6_000_000_000);
    SegmentFile {
        camera: camera.clone(),
        number,
        mp4: mp4(camera, number),
        tracks: tracks(number),
        frames: 72,
        start,
        end: start.plus(Duration::from_secs(6)),
    }
}

fn outcome() -> Outcome {
    Outcome { ended: at(60), fault: None, course: Course::default() }
}

fn new_recording(recipients: Vec<Recipient>, cameras: &[&str]) -> NewRecording {
    NewRecording {
        id: RecordingId::new(at(0)),
        started: at(0),
        delete_by: at(FAR),
        purpose: Purpose::Coaching,
        legal_basis: LegalBasis::LegitimateInterest,
        dpia: Some("DPIA-2026-3".to_owned()),
        continues: None,
        class: Some("3b".parse().unwrap()),
        teacher: Some("t-07".parse().unwrap()),
        coach: None,
        cameras: cameras.iter().map(|name| camera(name)).collect(),
        policy: "refused".to_owned(),
        veil: "veil".to_owned(),
        region: "head".to_owned(),
        teacher_keys: recipients.first().cloned().into_iter().collect(),
        signers: Vec::new(),
        replaces: Vec::new(),
        recipients,
        list_version: "0".repeat(64),
        models: BTreeMap::from([("yunet".to_owned(), "1".repeat(64))]),
        encoder: "x264".to_owned(),
        audio: false,
        segment: Duration::from_secs(6),
        look_ahead: Duration::from_secs(2),
        software: "classveil test".to_owned(),
        details: Details {
            question: Some("PLAINTEXT question of Anna".to_owned()),
            ..Details::default()
        },
        gaps: Vec::new(),
    }
}

impl Scene {
    fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let root = keep.path().to_owned();
        let store = root.join("store");
        let key = BoxKey::load_or_create(&root.join("classveil/box.key"), &store).unwrap();
        let teacher = write_identity(&root.join("teacher.key"), at(0)).unwrap();
        Self { root, store, key, teacher, _keep: keep }
    }

    fn begin(&self, cameras: &[&str]) -> RecordingWriter {
        let new = new_recording(vec![self.teacher.clone()], cameras);
        RecordingWriter::create(&self.store, new, &self.key).unwrap()
    }

    /// A sealed recording of three segments.
    fn sealed(&self) -> PathBuf {
        let mut writer = self.begin(&["cam1"]);
        for number in 1..=3 {
            writer.write(segment(&camera("cam1"), number)).unwrap();
        }
        writer.finish(outcome()).unwrap().path
    }

    fn check(&self, recording: &Path) -> Result<Checked, VaultError> {
        check(recording, &Trust::Pinned(self.key.public().clone()), |_| ())
    }

    /// The command line on a machine whose own box key is this scene's.
    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_classveil"))
            .env("XDG_DATA_HOME", &self.root)
            .current_dir(&self.root)
            .args(args)
            .output()
            .unwrap()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stock(program: &str, args: &[&str], dir: &Path) -> Output {
    Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `make setup` installs it"))
}

/// All files under `dir`, relative, sorted.
fn files(dir: &Path) -> Vec<String> {
    fn walk(dir: &Path, prefix: &str, into: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{name}/"), into);
            } else {
                into.push(name);
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, "", &mut found);
    found.sort_unstable();
    found
}

#[test]
fn the_layout_is_the_documented_one() {
    let scene = Scene::new();
    let mut writer = scene.begin(&["cam1", "cam2"]);
    for name in ["cam1", "cam2"] {
        writer.write(segment(&camera(name), 1)).unwrap();
    }
    let comment = writer.retention_record(
        &camera("cam1"),
        1,
        at(3),
        SegmentCounts { tracks_veiled: 1, tracks_shown: 2, frames: 72, frames_veiled_whole: 0 },
        SelfCheck::Passed,
    );
    let sealed = writer.finish(outcome()).unwrap();
    assert_eq!(
        files(&sealed.path),
        [
            "cam1/000001.mp4.age",
            "cam1/000001.tracks.age",
            "cam2/000001.mp4.age",
            "cam2/000001.tracks.age",
            "details.json.age",
            "key.age",
            "manifest.json",
            "manifest.json.minisig",
            "segments.jsonl",
        ]
    );
    assert_eq!(sealed.path, scene.store.join("recordings").join(sealed.id.to_string()));
    for name in files(&sealed.path) {
        assert_eq!(fs::metadata(sealed.path.join(&name)).unwrap().mode() & 0o777, 0o600, "{name}");
    }
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(sealed.path.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["state"], "sealed");
    assert_eq!(manifest["purpose"], "coaching");
    assert_eq!(manifest["legal_basis"], "legitimate-interest");
    assert_eq!(manifest["never_for"][0], "appraisal");
    assert_eq!(manifest["recipients"][0], scene.teacher.to_string());
    assert_eq!(manifest["segments"][1]["camera"], "cam2");
    assert_eq!(manifest["segments"][1]["frames"], 72);
    assert_eq!(manifest["box_key"], scene.key.public().to_string());
    let comment: serde_json::Value = serde_json::from_str(&comment).unwrap();
    assert_eq!(comment["recording"], sealed.id.to_string());
    assert_eq!(comment["segment"], 1);
    assert_eq!(comment["delete_by"], at(FAR).to_string());
    assert_eq!(comment["counts"]["tracks_veiled"], 1);
    assert_eq!(comment["self_check"], "passed");
}

#[test]
fn no_plaintext_and_no_secret_is_in_the_store() {
    let scene = Scene::new();
    scene.sealed();
    for name in files(&scene.store) {
        let bytes = fs::read(scene.store.join(&name)).unwrap();
        for secret in [&b"PLAINTEXT"[..], b"AGE-SECRET-KEY", b"Anna"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{name} holds {}", String::from_utf8_lossy(secret));
        }
    }
}

#[test]
fn stock_age_opens_a_recording() {
    let scene = Scene::new();
    // A key of age-keygen is as good as one of `classveil keygen`.
    let keygen = stock("age-keygen", &["-o", "coach.key"], &scene.root);
    let coach: Recipient =
        stderr(&keygen).trim().strip_prefix("Public key: ").unwrap().parse().unwrap();
    let new = new_recording(vec![scene.teacher.clone(), coach], &["cam1"]);
    let mut writer = RecordingWriter::create(&scene.store, new, &scene.key).unwrap();
    writer.write(segment(&camera("cam1"), 1)).unwrap();
    let path = writer.finish(outcome()).unwrap().path;
    for person in ["teacher.key", "coach.key"] {
        let identity = scene.root.join(person);
        let key = stock("age", &["-d", "-i", text(&identity), "key.age"], &path);
        assert!(key.status.success(), "{}", stderr(&key));
        let rec_key = scene.root.join("rec.key");
        fs::write(&rec_key, &key.stdout).unwrap();
        let open = |name| stock("age", &["-d", "-i", text(&rec_key), name], &path).stdout;
        assert_eq!(open("cam1/000001.mp4.age"), mp4(&camera("cam1"), 1));
        assert_eq!(open("cam1/000001.tracks.age"), tracks(1));
        let details: Details = serde_json::from_slice(&open("details.json.age")).unwrap();
        assert_eq!(details.question.as_deref(), Some("PLAINTEXT question of Anna"));
        // The person's own key opens nothing but the wrapped key.
        let direct = stock("age", &["-d", "-i", text(&identity), "cam1/000001.mp4.age"], &path);
        assert!(!direct.status.success());
    }
}

#[test]
fn stock_minisign_accepts_the_manifest() {
    let scene = Scene::new();
    let path = scene.sealed();
    let public = scene.store.join("box.pub");
    let args = ["-Vm", "manifest.json", "-p", text(&public)];
    let verified = stock("minisign", &args, &path);
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert!(stdout(&verified).contains("sealed"), "{}", stdout(&verified));
    let mut manifest = fs::read(path.join("manifest.json")).unwrap();
    manifest[10] ^= 1;
    fs::write(path.join("manifest.json"), manifest).unwrap();
    assert!(!stock("minisign", &args, &path).status.success());
}

#[test]
fn keygen_makes_keys_for_stock_age_and_overwrites_nothing() {
    let scene = Scene::new();
    let made = scene.run(&["keygen", "--output", "new.key"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let recipient = stdout(&made).trim().to_owned();
    let public = stock("age-keygen", &["-y", "new.key"], &scene.root);
    assert_eq!(stdout(&public).trim(), recipient);
    let path = scene.root.join("new.key");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let before = fs::read(&path).unwrap();
    let again = scene.run(&["keygen", "--output", "new.key"]);
    assert_eq!(again.status.code(), Some(78));
    assert!(stderr(&again).contains("never overwritten"), "{}", stderr(&again));
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// Changes `path` and says which file a check has to name.
type Tampering = (&'static str, &'static str, fn(&Path));

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

const TAMPERINGS: &[Tampering] = &[
    ("segment missing", "cam1/000002.mp4.age is missing", |r| {
        fs::remove_file(r.join("cam1/000002.mp4.age")).unwrap();
    }),
    ("last segment missing", "cam1/000003.mp4.age is missing", |r| {
        fs::remove_file(r.join("cam1/000003.mp4.age")).unwrap();
        fs::remove_file(r.join("cam1/000003.tracks.age")).unwrap();
    }),
    ("segment altered", "cam1/000002.mp4.age was altered", |r| {
        flip(&r.join("cam1/000002.mp4.age"), 60_000);
    }),
    ("segment truncated", "cam1/000003.mp4.age is truncated", |r| {
        let path = r.join("cam1/000003.mp4.age");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("segment lengthened", "cam1/000003.mp4.age is too long", |r| {
        let mut file =
            fs::OpenOptions::new().append(true).open(r.join("cam1/000003.mp4.age")).unwrap();
        file.write_all(b"x").unwrap();
    }),
    ("segments swapped", "cam1/000001.mp4.age has the content of cam1/000002.mp4.age", |r| {
        let [a, b, c] = ["000001.mp4.age", "000002.mp4.age", "x"].map(|n| r.join("cam1").join(n));
        fs::rename(&a, &c).unwrap();
        fs::rename(&b, &a).unwrap();
        fs::rename(&c, &b).unwrap();
    }),
    ("segment renamed", "cam1/000004.mp4.age does not belong", |r| {
        fs::rename(r.join("cam1/000003.mp4.age"), r.join("cam1/000004.mp4.age")).unwrap();
    }),
    ("segment added", "cam1/000004.mp4.age does not belong", |r| {
        fs::copy(r.join("cam1/000003.mp4.age"), r.join("cam1/000004.mp4.age")).unwrap();
    }),
    ("camera added", "cam2 does not belong", |r| fs::create_dir(r.join("cam2")).unwrap()),
    ("camera missing", "cam1 is no folder", |r| fs::remove_dir_all(r.join("cam1")).unwrap()),
    ("file added", "notes.txt does not belong", |r| fs::write(r.join("notes.txt"), "x").unwrap()),
    ("segment linked", "cam1/000001.mp4.age is no regular file", |r| {
        let path = r.join("cam1/000001.mp4.age");
        let away = r.parent().unwrap().parent().unwrap().join("away");
        fs::rename(&path, &away).unwrap();
        std::os::unix::fs::symlink(away, path).unwrap();
    }),
    ("tracks altered", "cam1/000001.tracks.age was altered", |r| {
        flip(&r.join("cam1/000001.tracks.age"), 210);
    }),
    ("key altered", "key.age was altered", |r| flip(&r.join("key.age"), 100)),
    ("key missing", "key.age is missing", |r| fs::remove_file(r.join("key.age")).unwrap()),
    ("details altered", "details.json.age was altered", |r| {
        flip(&r.join("details.json.age"), 100);
    }),
    ("journal reordered", "segments.jsonl line 2", |r| {
        let path = r.join("segments.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        fs::write(&path, format!("{}\n{}\n{}\n", lines[0], lines[2], lines[1])).unwrap();
    }),
    ("journal cut", "segments.jsonl has 2 lines", |r| {
        let path = r.join("segments.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        let cut: Vec<&str> = text.split_inclusive('\n').take(2).collect();
        fs::write(&path, cut.concat()).unwrap();
    }),
    ("journal missing", "segments.jsonl is missing", |r| {
        fs::remove_file(r.join("segments.jsonl")).unwrap();
    }),
    ("manifest altered", "manifest.json.minisig does not fit", |r| {
        let path = r.join("manifest.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("coaching", "team-session")).unwrap();
    }),
    ("manifest missing", "manifest.json is missing", |r| {
        fs::remove_file(r.join("manifest.json")).unwrap();
    }),
    ("signature missing", "manifest.json.minisig is missing", |r| {
        fs::remove_file(r.join("manifest.json.minisig")).unwrap();
    }),
];

#[test]
fn every_tampering_is_named_and_ends_in_65() {
    for (what, named, tamper) in TAMPERINGS {
        let scene = Scene::new();
        let path = scene.sealed();
        assert!(scene.check(&path).is_ok());
        tamper(&path);
        let error = scene.check(&path).unwrap_err();
        assert!(error.to_string().contains(named), "{what}: {error}");
        assert_eq!(error.kind(), ErrorKind::DataLoss, "{what}");
        let pristine = files(&path);
        let opened =
            scene.run(&["open", text(&path), "--identity", "teacher.key", "--output", "out.mp4"]);
        assert_eq!(opened.status.code(), Some(65), "{what}: {}", stderr(&opened));
        assert!(stderr(&opened).contains(named), "{what}: {}", stderr(&opened));
        assert!(!scene.root.join("out.mp4").exists(), "{what}");
        assert_eq!(files(&path), pristine, "{what}: a check changes nothing");
    }
}

#[test]
fn a_flipped_bit_in_any_file_is_noticed() {
    let scene = Scene::new();
    let path = scene.sealed();
    for name in files(&path) {
        let file = path.join(&name);
        let whole = fs::read(&file).unwrap();
        // 40 places spread over the file, both ends among them.
        let places = (0..40).map(|part| part * (whole.len() - 1) / 39);
        for place in places {
            let mut altered = whole.clone();
            altered[place] ^= 1 << (place % 8);
            fs::write(&file, &altered).unwrap();
            assert!(scene.check(&path).is_err(), "{name} byte {place}");
        }
        fs::write(&file, &whole).unwrap();
    }
    scene.check(&path).unwrap();
}

#[test]
fn verify_reports_in_words_and_in_json() {
    let scene = Scene::new();
    let path = scene.sealed();
    let whole = scene.run(&["verify", text(&path)]);
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    assert_eq!(stderr(&whole), "");
    assert!(stdout(&whole).contains("3 segments"));
    let json = scene.run(&["verify", text(&path), "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["recording"]["segments"], 3);
    assert_eq!(json["recording"]["pinned"], true);
    flip(&path.join("cam1/000002.mp4.age"), 500);
    let bad = scene.run(&["verify", text(&path), "--json"]);
    assert_eq!(bad.status.code(), Some(65));
    let json: serde_json::Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert_eq!(json["ok"], false);
    assert_eq!(json["faults"][0]["file"], "cam1/000002.mp4.age");
    for nowhere in ["nowhere", "classveil"] {
        let missing = scene.run(&["verify", nowhere]);
        assert_eq!(missing.status.code(), Some(66), "{nowhere}: {}", stderr(&missing));
    }
}

#[test]
fn only_the_pinned_box_may_have_signed() {
    let scene = Scene::new();
    let path = scene.sealed();
    let elsewhere = Scene::new();
    let other = elsewhere.sealed();
    let other_pub = elsewhere.store.join("box.pub");
    // Another box's recording on this machine, then with that box's key.
    let refused = scene.run(&["verify", text(&other)]);
    assert_eq!(refused.status.code(), Some(77), "{}", stderr(&refused));
    assert!(stderr(&refused).contains(&elsewhere.key.public().id()));
    let pinned = scene.run(&["verify", text(&other), "--box-key", text(&other_pub)]);
    assert_eq!(pinned.status.code(), Some(0), "{}", stderr(&pinned));
    // A machine without a box key of its own: whole by itself, and that is no proof.
    let anyone = Command::new(env!("CARGO_BIN_EXE_classveil"))
        .env("XDG_DATA_HOME", scene.root.join("nothing"))
        .args(["verify", text(&path)])
        .output()
        .unwrap();
    assert_eq!(anyone.status.code(), Some(77), "{}", stderr(&anyone));
    let warning = format!("unpinned key {}", scene.key.public().id());
    assert!(stderr(&anyone).contains(&warning), "{}", stderr(&anyone));
}

#[test]
fn a_manifest_signed_again_by_another_key_does_not_pass() {
    let scene = Scene::new();
    let path = scene.sealed();
    // The forger edits the manifest and signs it with stock minisign, once keeping the box's public
    // key in it and once putting in their own.
    let args = ["-G", "-W", "-p", "forger.pub", "-s", "forger.key"];
    assert!(stock("minisign", &args, &scene.root).status.success());
    let forger = fs::read_to_string(scene.root.join("forger.pub")).unwrap();
    let forger = forger.lines().nth(1).unwrap().to_owned();
    let manifest = path.join("manifest.json");
    let edited = fs::read_to_string(&manifest).unwrap().replace("\"refused\"", "\"everyone\"");
    for text_of_manifest in
        [edited.clone(), edited.replace(&scene.key.public().to_string(), &forger)]
    {
        fs::write(&manifest, text_of_manifest).unwrap();
        let secret = scene.root.join("forger.key");
        let args = ["-S", "-s", text(&secret), "-m", "manifest.json"];
        let signed = stock("minisign", &args, &path);
        assert!(signed.status.success(), "{}", stderr(&signed));
        let error = scene.check(&path).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Denied | ErrorKind::DataLoss), "{error}");
        let verified = scene.run(&["verify", text(&path)]);
        assert!([65, 77].contains(&verified.status.code().unwrap()), "{}", stderr(&verified));
    }
}

#[test]
fn a_store_belongs_to_one_box() {
    let scene = Scene::new();
    scene.sealed();
    let path = scene.root.join("other/box.key");
    let other = BoxKey::load_or_create(&path, &scene.store).unwrap();
    let new = new_recording(vec![scene.teacher.clone()], &["cam1"]);
    let public = fs::read(scene.store.join("box.pub")).unwrap();
    let error = RecordingWriter::create(&scene.store, new, &other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(fs::read(scene.store.join("box.pub")).unwrap(), public);
    assert_eq!(recover(&scene.store, &other, at(0)).unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn a_recording_needs_recipients() {
    let scene = Scene::new();
    for (recipients, kind) in
        [(vec![], ErrorKind::Usage), (vec![scene.teacher.clone(); 2], ErrorKind::Usage)]
    {
        let new = new_recording(recipients, &["cam1"]);
        let error = RecordingWriter::create(&scene.store, new, &scene.key).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert!(fs::read_dir(scene.store.join("recordings")).unwrap().next().is_none());
}

#[test]
fn segments_come_in_turn() {
    let scene = Scene::new();
    let mut writer = scene.begin(&["cam1"]);
    writer.write(segment(&camera("cam1"), 1)).unwrap();
    for number in [1, 3] {
        let error = writer.write(segment(&camera("cam1"), number)).unwrap_err();
        assert!(matches!(error, VaultError::OutOfTurn { expected: 2, .. }), "{error}");
    }
    let error = writer.write(segment(&camera("cam9"), 1)).unwrap_err();
    assert!(matches!(error, VaultError::NoCamera { .. }), "{error}");
    writer.write(segment(&camera("cam1"), 2)).unwrap();
    let path = writer.finish(outcome()).unwrap().path;
    assert_eq!(scene.check(&path).unwrap().manifest().segments.len(), 2);
}

#[test]
fn a_recording_in_progress_is_left_alone() {
    let scene = Scene::new();
    let mut writer = scene.begin(&["cam1"]);
    writer.write(segment(&camera("cam1"), 1)).unwrap();
    let path = writer.path().to_owned();
    let busy = scene.run(&["verify", text(&path)]);
    assert_eq!(busy.status.code(), Some(75), "{}", stderr(&busy));
    assert!(stderr(&busy).contains("still being recorded"));
    let before = files(&path);
    let recovery = recover(&scene.store, &scene.key, at(99)).unwrap();
    assert_eq!(recovery.busy, std::slice::from_ref(&path));
    assert_eq!(files(&path), before);
    writer.write(segment(&camera("cam1"), 2)).unwrap();
    writer.finish(outcome()).unwrap();
    scene.check(&path).unwrap();
}

#[test]
fn what_is_cut_off_is_recovered_once() {
    let scene = Scene::new();
    let mut writer = scene.begin(&["cam1"]);
    for number in 1..=2 {
        writer.write(segment(&camera("cam1"), number)).unwrap();
    }
    let path = writer.path().to_owned();
    drop(writer);
    let unsealed = scene.run(&["verify", text(&path)]);
    assert_eq!(unsealed.status.code(), Some(78), "{}", stderr(&unsealed));
    assert!(stderr(&unsealed).contains("classveil recover"));
    // What a power cut leaves: a part file, a torn line for a segment that has its name.
    let journal = path.join("segments.jsonl");
    let lines = fs::read(&journal).unwrap();
    fs::write(&journal, &lines[..lines.len() - 30]).unwrap();
    fs::write(path.join("cam1/000003.tracks.age.part"), "x").unwrap();
    let recovered = scene.run(&["recover", "--store", "store", "--json"]);
    assert_eq!(recovered.status.code(), Some(0), "{}", stderr(&recovered));
    let json: serde_json::Value = serde_json::from_slice(&recovered.stdout).unwrap();
    assert_eq!(json["recovered"][0]["segments"], 2);
    assert_eq!(json["recovered"][0]["listed"], 1);
    assert_eq!(json["recovered"][0]["may_miss_ms"], 8000);
    let checked = scene.check(&path).unwrap();
    assert_eq!(checked.manifest().state, State::Interrupted);
    assert_eq!(checked.manifest().segments[0].frames, Some(72));
    assert_eq!(checked.manifest().segments[1].frames, None, "nothing is known of it");
    drop(checked);
    let bytes = fs::read(path.join("manifest.json")).unwrap();
    let again = scene.run(&["recover", "--store", "store"]);
    assert!(stdout(&again).contains("nothing to do: 1"), "{}", stdout(&again));
    assert_eq!(fs::read(path.join("manifest.json")).unwrap(), bytes);
    let verified = scene.run(&["verify", text(&path)]);
    assert_eq!(verified.status.code(), Some(0));
    assert!(stderr(&verified).contains("up to 8 s"), "{}", stderr(&verified));
}

#[test]
fn what_is_discarded_is_gone_and_stated() {
    let scene = Scene::new();
    let mut writer = scene.begin(&["cam1", "cam2"]);
    for number in 1..=4 {
        for name in ["cam1", "cam2"] {
            writer.write(segment(&camera(name), number)).unwrap();
        }
    }
    let (from, to) = (Pts::from_nanos(13_000_000_000), Pts::from_nanos(25_000_000_000));
    let gap = writer.discard(&camera("cam1"), from, to).unwrap();
    assert_eq!((&gap.removed[..], gap.why), (&[3, 4][..], GapWhy::Dropped));
    assert_eq!((gap.from_ns, gap.to_ns), (Pts::from_nanos(12_000_000_000), to));
    let path = writer.path().to_owned();
    assert!(!files(&path).iter().any(|name| name.starts_with("cam1/000003")));
    // Numbers are not given again.
    let again = writer.write(segment(&camera("cam1"), 3)).unwrap_err();
    assert!(matches!(again, VaultError::OutOfTurn { expected: 5, .. }), "{again}");
    writer.write(segment(&camera("cam1"), 5)).unwrap();
    // With a gap of another kind, and with nothing left to remove.
    writer.state_gap(&camera("cam2"), Pts::from_nanos(99_000_000_000)).unwrap();
    let gap = writer.discard(&camera("cam2"), to, to).unwrap();
    assert_eq!(gap.removed, [] as [u32; 0]);
    let sealed = writer.finish(outcome()).unwrap();
    let checked = scene.check(&sealed.path).unwrap();
    let numbers = |name: &str| -> Vec<u32> {
        checked.manifest().segments_of(&camera(name)).map(|s| s.number).collect()
    };
    assert_eq!((numbers("cam1"), numbers("cam2")), (vec![1, 2, 5], vec![1, 2, 3, 4]));
    assert_eq!(checked.manifest().gaps.len(), 3);
    drop(checked);
    // A segment that was to be gone and is there, and one that is gone without a word.
    fs::write(path.join("cam1/000003.mp4.age"), "x").unwrap();
    assert!(scene.check(&path).is_err());
    fs::remove_file(path.join("cam1/000003.mp4.age")).unwrap();
    scene.check(&path).unwrap();
    fs::remove_file(path.join("cam1/000005.mp4.age")).unwrap();
    assert!(scene.check(&path).is_err());
}

#[test]
fn what_is_discarded_stays_gone_after_a_cut() {
    let scene = Scene::new();
    let mut writer = scene.begin(&["cam1"]);
    for number in 1..=3 {
        writer.write(segment(&camera("cam1"), number)).unwrap();
    }
    let path = writer.path().to_owned();
    let kept = fs::read(path.join("cam1/000003.mp4.age")).unwrap();
    let from = Pts::from_nanos(13_000_000_000);
    writer.discard(&camera("cam1"), from, from).unwrap();
    drop(writer);
    // Cut off between the line and the files.
    fs::write(path.join("cam1/000003.mp4.age"), kept).unwrap();
    let recovery = recover(&scene.store, &scene.key, at(99)).unwrap();
    assert_eq!(recovery.recovered[0].segments, 2, "{recovery:?}");
    let checked = scene.check(&path).unwrap();
    assert_eq!(checked.manifest().gaps[0].removed, [3]);
}

#[test]
fn damage_is_not_sealed_by_recovery() {
    let scene = Scene::new();
    let damages: [fn(&Path); 5] = [
        |r| flip(&r.join("cam1/000001.mp4.age"), 900),
        |r| fs::remove_file(r.join("cam1/000001.mp4.age")).unwrap(),
        |r| fs::remove_file(r.join("cam1/000002.tracks.age")).unwrap(),
        |r| flip(&r.join("key.age"), 100),
        |r| flip(&r.join("segments.jsonl"), 100),
    ];
    for (index, damage) in damages.iter().enumerate() {
        let mut writer = scene.begin(&["cam1"]);
        for number in 1..=2 {
            writer.write(segment(&camera("cam1"), number)).unwrap();
        }
        let path = writer.path().to_owned();
        drop(writer);
        damage(&path);
        // A second recording shows that one does not keep the other from being completed.
        let sound = scene.begin(&["cam1"]);
        let sound_path = sound.path().to_owned();
        drop(sound);
        let recovery = recover(&scene.store, &scene.key, at(99)).unwrap();
        assert_eq!(recovery.failed.len(), 1, "damage {index}");
        assert_eq!(recovery.failed[0].1.kind(), ErrorKind::DataLoss, "{:?}", recovery.failed);
        assert!(scene.check(&path).is_err(), "damage {index}");
        scene.check(&sound_path).unwrap();
        fs::remove_dir_all(path).unwrap();
    }
}

#[test]
fn an_error_stops_the_writer_and_what_is_whole_is_sealed() {
    let scene = Scene::new();
    let writer = scene.begin(&["cam1"]);
    let path = writer.path().to_owned();
    let thread = WriterThread::spawn(writer).unwrap();
    let other = thread.sender();
    thread.send(segment(&camera("cam1"), 1)).unwrap();
    while !path.join("cam1/000001.mp4.age").exists()
        || fs::metadata(path.join("segments.jsonl")).unwrap().len() == 0
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::rename(path.join("cam1"), path.join("away")).unwrap();
    // The error comes back with one of the next sends, to every sender.
    let error = (2..50)
        .find_map(|number| {
            std::thread::sleep(Duration::from_millis(5));
            thread.send(segment(&camera("cam1"), number)).err()
        })
        .unwrap();
    assert!(matches!(error, VaultError::Stopped { .. }), "{error}");
    assert!(error.to_string().contains("000002"), "{error}");
    assert!(other.check().is_err());
    fs::rename(path.join("away"), path.join("cam1")).unwrap();
    let Finished { sealed, stopped } = thread.finish(outcome()).unwrap();
    assert!(matches!(stopped, Some(VaultError::Io { .. })), "{stopped:?}");
    assert_eq!((sealed.segments, &sealed.path), (1, &path));
    let checked = scene.check(&path).unwrap();
    assert_eq!(checked.manifest().segments.len(), 1);
    assert_eq!(checked.manifest().state, State::Sealed);
    assert!(checked.manifest().fault.as_deref().unwrap().starts_with("writing stopped"));
}

#[test]
fn the_writer_thread_seals_what_it_was_given() {
    let scene = Scene::new();
    let thread = WriterThread::spawn(scene.begin(&["cam1", "cam2"])).unwrap();
    std::thread::scope(|scope| {
        for name in ["cam1", "cam2"] {
            let sender = thread.sender();
            scope.spawn(move || {
                for number in 1..=5 {
                    sender.send(segment(&camera(name), number)).unwrap();
                }
            });
        }
    });
    let Finished { sealed, stopped } = thread.finish(outcome()).unwrap();
    assert!(stopped.is_none());
    assert_eq!(sealed.segments, 10);
    let checked = scene.check(&sealed.path).unwrap();
    assert_eq!(checked.manifest().bytes(), sealed.bytes);
}

#[test]
fn two_processes_that_need_a_box_key_get_the_same_one() {
    let scene = Scene::new();
    let path = scene.root.join("fresh/box.key");
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| BoxKey::load_or_create(&path, &scene.store).unwrap().public().id())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(files(&scene.root.join("fresh")), ["box.key"]);
}

#[test]
fn who_cannot_open_gets_77_and_no_file() {
    let scene = Scene::new();
    let path = scene.sealed();
    write_identity(&scene.root.join("stranger.key"), at(0)).unwrap();
    let open = |identity: &str| {
        scene.run(&["open", text(&path), "--identity", identity, "--output", "out.mp4"])
    };
    let denied = open("stranger.key");
    assert_eq!(denied.status.code(), Some(77), "{}", stderr(&denied));
    assert!(
        stderr(&denied).contains("none of the identities in stranger.key opens this recording"),
        "{}",
        stderr(&denied)
    );
    fs::write(scene.root.join("junk.key"), "AGE-SECRET-KEY-1JUNKJUNK\n").unwrap();
    let junk = open("junk.key");
    assert_eq!(junk.status.code(), Some(78), "{}", stderr(&junk));
    assert!(!stderr(&junk).contains("JUNKJUNK"), "{}", stderr(&junk));
    assert_eq!(open("missing.key").status.code(), Some(66));
    assert!(!scene.root.join("out.mp4").exists());
}

#[test]
fn a_box_key_that_others_can_read_is_refused() {
    let scene = Scene::new();
    let key = scene.root.join("classveil/box.key");
    scene.sealed();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = scene.run(&["recover", "--store", "store"]);
    assert_eq!(refused.status.code(), Some(77), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("chmod 600"));
}

/// Pictures at 10 a second in segments of one second.
const PICTURES: u64 = 25;

/// Records [`PICTURES`] small pictures of each camera, encoded for real.
fn record_media(scene: &Scene, cameras: &[&str], delete_by: Timestamp) -> PathBuf {
    let mut new = new_recording(vec![scene.teacher.clone()], cameras);
    new.delete_by = delete_by;
    let mut writer = RecordingWriter::create(&scene.store, new, &scene.key).unwrap();
    for name in cameras {
        let size = FrameSize::new(64, 48);
        let format =
            VideoFormat { size, framerate: Some((10, 1)), pixel_aspect: (1, 1), colorimetry: None };
        let settings = Settings {
            encoder: EncoderChoice::X264,
            segment: Duration::from_secs(1),
            ..Settings::default()
        };
        let mut encoder = Encoder::start(&format, None, &settings).unwrap();
        let pool = SlotPool::new(size, 30);
        let mut redactor = Redactor::new(Style::Fill);
        let mut segments = Vec::new();
        for seq in 0..PICTURES {
            let luma = vec![u8::try_from(seq * 8).unwrap(); 64 * 48];
            let (y, u, v) = (&luma[..], &[128; 32 * 24][..], &[128; 32 * 24][..]);
            let mut slot = pool.try_take().unwrap();
            slot.fill(&I420View { size, y, u, v, luma_stride: 64, chroma_stride: 32 }).unwrap();
            let frame: Frame<Raw> = Frame::new(slot, seq, Pts::from_nanos(seq * 100_000_000));
            let verdict = Verdict { seq, cover: Cover::Regions(vec![]) };
            let frame = redactor.redact(frame, Some(&verdict));
            segments.extend(encoder.push_video(frame).unwrap());
        }
        segments.extend(encoder.finish().unwrap());
        for segment in segments {
            let (number, frames) = (segment.number(), segment.frame_count() as u64);
            let (start, end) = (segment.start(), segment.end());
            let counts = SegmentCounts { frames, ..SegmentCounts::default() };
            let comment =
                writer.retention_record(&camera(name), number, at(0), counts, SelfCheck::Passed);
            let mp4 = segment.into_mp4(&comment).unwrap();
            let (camera, tracks) = (camera(name), tracks(number));
            writer.write(SegmentFile { camera, number, mp4, tracks, frames, start, end }).unwrap();
        }
    }
    writer.finish(outcome()).unwrap().path
}

/// The times of all pictures in a file, in seconds.
fn times(file: &Path) -> Vec<f64> {
    let args = ["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time"];
    let args = [&args[..], &["-of", "csv=p=0", text(file)]].concat();
    let probed = stock("ffprobe", &args, Path::new("."));
    assert_eq!(stderr(&probed), "");
    stdout(&probed).lines().map(|line| line.trim_end_matches(',').parse().unwrap()).collect()
}

fn assert_all_pictures(file: &Path) {
    let times = times(file);
    assert_eq!(times.len() as u64, PICTURES);
    for (index, time) in (0u32..).zip(times) {
        assert!((time - f64::from(index) / 10.0).abs() < 1e-4, "picture {index} at {time}");
    }
    assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn open_joins_every_picture_at_its_time() {
    let scene = Scene::new();
    let path = record_media(&scene, &["cam1"], at(FAR));
    let out = scene.root.join("lesson.mp4");
    let args = ["open", text(&path), "--identity", "teacher.key", "--output", "lesson.mp4"];
    let opened = scene.run(&args);
    assert_eq!(opened.status.code(), Some(0), "{}", stderr(&opened));
    assert_eq!(stderr(&opened), "");
    assert_all_pictures(&out);
    let decoded = stock("ffmpeg", &["-v", "error", "-i", text(&out), "-f", "null", "-"], &path);
    assert!(decoded.status.success() && stderr(&decoded).is_empty(), "{}", stderr(&decoded));
    // A second time only where it is asked for.
    let kept = scene.run(&args);
    assert_eq!(kept.status.code(), Some(78), "{}", stderr(&kept));
    fs::write(&out, "old").unwrap();
    let forced = scene.run(&[&args[..], &["--force"]].concat());
    assert_eq!(forced.status.code(), Some(0), "{}", stderr(&forced));
    assert_all_pictures(&out);
    assert!(!files(&scene.root).iter().any(|name| name.contains(".part")));
}

#[test]
fn open_replaces_ordinary_files_only() {
    let scene = Scene::new();
    let path = record_media(&scene, &["cam1"], at(FAR));
    let place = |name: &str| scene.root.join(name);
    rustix::fs::mkfifoat(rustix::fs::CWD, place("pipe"), 0o600.into()).unwrap();
    std::os::unix::fs::symlink("teacher.key", place("link")).unwrap();
    let before = fs::read(place("teacher.key")).unwrap();
    let own = "classveil/box.key";
    for name in ["pipe", "link", "teacher.key", own] {
        let args = ["open", text(&path), "-i", "teacher.key", "-o", name, "--force"];
        let refused = scene.run(&args);
        assert_eq!(refused.status.code(), Some(78), "{name}: {}", stderr(&refused));
        assert!(stderr(&refused).contains("is never replaced"), "{name}: {}", stderr(&refused));
    }
    assert_eq!(fs::read(place("teacher.key")).unwrap(), before);
    assert!(BoxKey::load(&place(own)).is_ok());
    assert!(fs::symlink_metadata(place("link")).unwrap().is_symlink());
    // A key that others can read opens, with a word about it.
    fs::set_permissions(place("teacher.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let opened = scene.run(&["open", text(&path), "-i", "teacher.key", "-o", "lesson.mp4"]);
    assert_eq!(opened.status.code(), Some(0), "{}", stderr(&opened));
    assert!(stderr(&opened).contains("can be read by others (mode 644)"), "{}", stderr(&opened));
}

#[test]
fn open_writes_nothing_into_the_recording() {
    let scene = Scene::new();
    let path = record_media(&scene, &["cam1"], at(FAR));
    let inside = path.join("lesson.mp4");
    let refused = scene.run(&["open", text(&path), "-i", "teacher.key", "-o", text(&inside)]);
    assert_eq!(refused.status.code(), Some(64), "{}", stderr(&refused));
    scene.check(&path).unwrap();
}

#[test]
fn each_camera_opens_into_its_own_file() {
    let scene = Scene::new();
    let path = record_media(&scene, &["cam1", "board"], at(FAR));
    let args = ["open", text(&path), "-i", "teacher.key", "-o", "lesson.mp4"];
    let opened = scene.run(&args);
    assert_eq!(opened.status.code(), Some(0), "{}", stderr(&opened));
    for name in ["lesson-cam1.mp4", "lesson-board.mp4"] {
        assert_all_pictures(&scene.root.join(name));
    }
    let one = scene.run(&[&args[..], &["--camera", "board"]].concat());
    assert_eq!(one.status.code(), Some(0), "{}", stderr(&one));
    assert_all_pictures(&scene.root.join("lesson.mp4"));
    let none = scene.run(&[&args[..], &["--camera", "cam9", "--force"]].concat());
    assert_eq!(none.status.code(), Some(66), "{}", stderr(&none));
    assert!(stderr(&none).contains("cam1, board"), "{}", stderr(&none));
}

#[test]
fn a_person_who_was_granted_access_opens_the_recording() {
    let scene = Scene::new();
    let path = record_media(&scene, &["cam1"], at(FAR));
    let coach = write_identity(&scene.root.join("coach.key"), at(0)).unwrap().to_string();
    fs::create_dir(path.join("grants")).unwrap();
    let teacher = scene.root.join("teacher.key");
    let key = stock("age", &["-d", "-i", text(&teacher), "key.age"], &path);
    let rec_key = scene.root.join("rec.key");
    fs::write(&rec_key, &key.stdout).unwrap();
    let args = ["-r", &coach, "-o", "grants/c-01.key.age", text(&rec_key)];
    assert!(stock("age", &args, &path).status.success());
    fs::write(path.join("grants/a-01.key.age"), "a broken grant").unwrap();
    let opened = scene.run(&["open", text(&path), "-i", "coach.key", "-o", "lesson.mp4"]);
    assert_eq!(opened.status.code(), Some(0), "{}", stderr(&opened));
    assert_all_pictures(&scene.root.join("lesson.mp4"));
    fs::remove_file(path.join("grants/c-01.key.age")).unwrap();
    let again = ["open", text(&path), "-i", "coach.key", "-o", "again.mp4"];
    assert_eq!(scene.run(&again).status.code(), Some(77), "revoked");
}

#[test]
fn a_recording_past_its_deadline_is_announced() {
    let scene = Scene::new();
    let path = record_media(&scene, &["cam1"], at(-86_400));
    let opened = scene.run(&["open", text(&path), "-i", "teacher.key", "-o", "lesson.mp4"]);
    assert_eq!(opened.status.code(), Some(0), "{}", stderr(&opened));
    assert!(stderr(&opened).contains("had to be deleted by"), "{}", stderr(&opened));
}

// Crashes and errors at exact system calls: the test below runs itself under strace.

/// Where the child works, if this process is one.
const CHILD: &str = "CLASSVEIL_TEST_VAULT_CHILD";
/// What it does there: `record` or `recover`.
const DOES: &str = "CLASSVEIL_TEST_VAULT_DOES";

/// Every call that changes the disk. strace counts each by itself.
const CALLS: [&str; 8] = [
    "write",
    "fsync",
    "fdatasync",
    "/^rename(at2?)?$",
    "/^mkdir(at)?$",
    "/^link(at)?$",
    "/^unlink(at)?$",
    "ftruncate",
];

/// Not a test of its own: records two segments, or recovers, where the parent asks for it.
#[test]
fn child_that_works() {
    let Some(root) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let store = root.join("store");
    let record = |key: &BoxKey| -> Result<(), VaultError> {
        let teacher = fs::read_to_string(root.join("teacher.pub")).unwrap().parse().unwrap();
        let new = new_recording(vec![teacher], &["cam1"]);
        let mut writer = RecordingWriter::create(&store, new, key)?;
        let written = (1..=2).try_for_each(|number| writer.write(segment(&camera("cam1"), number)));
        writer.finish(outcome())?;
        written
    };
    let drop_last = |key: &BoxKey| -> Result<(), VaultError> {
        let teacher = fs::read_to_string(root.join("teacher.pub")).unwrap().parse().unwrap();
        let new = new_recording(vec![teacher], &["cam1"]);
        let mut writer = RecordingWriter::create(&store, new, key)?;
        let mut work = || {
            (1..=2).try_for_each(|number| writer.write(segment(&camera("cam1"), number)))?;
            let second = Pts::from_nanos(11_000_000_000);
            writer.discard(&camera("cam1"), second, second)?;
            fs::write(root.join("gone"), "").unwrap();
            writer.write(segment(&camera("cam1"), 3))
        };
        let written = work();
        writer.finish(outcome())?;
        written
    };
    let fill = |key: &BoxKey| -> Result<(), VaultError> {
        let teacher = fs::read_to_string(root.join("teacher.pub")).unwrap().parse().unwrap();
        let new = new_recording(vec![teacher], &["cam1"]);
        let mut writer = RecordingWriter::create(&store, new, key)?;
        let stopped = (1..=1000).find_map(|n| writer.write(segment(&camera("cam1"), n)).err());
        fs::write(root.join("error"), stopped.unwrap().to_string()).unwrap();
        writer.finish(outcome()).map(drop)
    };
    let done = BoxKey::load(&root.join("box.key")).and_then(|key| {
        if std::env::var_os(DOES).is_some_and(|does| does == "fill") {
            fill(&key)
        } else if std::env::var_os(DOES).is_some_and(|does| does == "drop") {
            drop_last(&key)
        } else if std::env::var_os(DOES).is_some_and(|does| does == "recover") {
            let recovery = recover(&store, &key, at(99))?;
            recovery.failed.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
        } else {
            record(&key)
        }
    });
    match done {
        Ok(()) => fs::write(root.join("done"), "").unwrap(),
        Err(error) => drop(fs::write(root.join("error"), error.to_string())),
    }
}

/// A box and a teacher, made without calls that are counted.
struct Crash {
    keep: tempfile::TempDir,
    key: BoxKey,
}

impl Crash {
    fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let root = keep.path();
        let key = BoxKey::load_or_create(&root.join("box.key"), &root.join("store")).unwrap();
        let teacher = write_identity(&root.join("teacher.key"), at(0)).unwrap();
        fs::write(root.join("teacher.pub"), teacher.to_string()).unwrap();
        Self { keep, key }
    }

    fn store(&self) -> PathBuf {
        self.keep.path().join("store")
    }

    /// Runs the child with `what` injected at the `nth` of its `call`s; says whether it got
    /// through unharmed.
    fn child(&self, does: &str, call: &str, what: &str, nth: usize) -> bool {
        let root = self.keep.path();
        let status = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e"])
            .arg(format!("inject={call}:{what}:when={nth}"))
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "vault::child_that_works", "--test-threads=1"])
            .env(CHILD, root)
            .env(DOES, does)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap_or_else(|error| panic!("strace: {error}; `make setup` installs it"));
        status.success() && root.join("done").exists()
    }

    /// Recovers the store and checks that all in it is whole; says how many segments.
    fn recover_and_check(&self, place: &str) -> Option<usize> {
        let store = self.store();
        if !store.exists() {
            return None;
        }
        let recovery = recover(&store, &self.key, at(99)).unwrap();
        assert!(recovery.failed.is_empty(), "{place}: {:?}", recovery.failed);
        let again = recover(&store, &self.key, at(100)).unwrap();
        assert!(again.recovered.is_empty(), "{place}: a second time changes nothing");
        for name in files(&store) {
            assert!(name == "box.pub" || name.starts_with("recordings/"), "{place}: {name}");
            assert!(!name.contains(".new/"), "{place}: {name}");
        }
        let path = fs::read_dir(store.join("recordings")).ok()?.next()?.unwrap().path();
        let checked = check(&path, &Trust::Pinned(self.key.public().clone()), |_| ())
            .unwrap_or_else(|error| panic!("{place}: {error}"));
        let open = |identity: &age::x25519::Identity, name: &str| {
            age::decrypt(identity, &fs::read(path.join(name)).unwrap()).unwrap()
        };
        let identity = |text: &str| {
            text.lines().find(|line| line.starts_with("AGE")).unwrap().parse().unwrap()
        };
        let person = fs::read_to_string(self.keep.path().join("teacher.key")).unwrap();
        let own = identity(&String::from_utf8(open(&identity(&person), "key.age")).unwrap());
        for segment in &checked.manifest().segments {
            let number = segment.number;
            let name = format!("cam1/{number:06}");
            assert_eq!(open(&own, &format!("{name}.mp4.age")), mp4(&camera("cam1"), number));
            assert_eq!(open(&own, &format!("{name}.tracks.age")), tracks(number));
        }
        Some(checked.manifest().segments.len())
    }
}

/// Injects `what` at each of the child's calls in turn; returns how many there were.
fn at_every_call(does: &str, what: &str, prepare: Prepare, mut then: impl FnMut(&Crash, &str)) {
    let mut tried = 0;
    for call in CALLS {
        for nth in 1.. {
            let crash = Crash::new();
            prepare(&crash);
            let unharmed = crash.child(does, call, what, nth);
            then(&crash, &format!("{does}, {what} at {call} {nth}"));
            tried += 1;
            if unharmed {
                break;
            }
            assert!(nth < 200, "the child never ends");
        }
    }
    // At least one injection took place for every other call.
    assert!(tried > 2 * CALLS.len(), "{tried} runs: strace injected nothing");
}

#[test]
fn killed_at_any_call_a_recording_recovers() {
    let mut seen = [false; 3];
    at_every_call(
        "record",
        "signal=KILL",
        |_| (),
        |crash, place| {
            if let Some(segments) = crash.recover_and_check(place) {
                seen[segments] = true;
            }
        },
    );
    assert_eq!(seen, [true; 3], "crashes before, between and after segments");
}

/// Makes ready what a child is to work on.
type Prepare = fn(&Crash);

/// What a power cut can leave follows from the order of calls.
#[test]
fn names_come_after_contents_and_before_what_vouches_for_them() {
    let ways: [(&str, Prepare); 4] = [
        ("record", |_| ()),
        ("drop", |_| ()),
        ("recover", cut_off),
        ("recover", cut_off_at_the_end),
    ];
    for (does, prepare) in ways {
        let crash = Crash::new();
        prepare(&crash);
        let root = crash.keep.path();
        let mut command = traced(&root.join("trace"));
        command.args(["--exact", "vault::child_that_works", "--test-threads=1"]);
        assert!(command.env(CHILD, root).env(DOES, does).status().unwrap().success());
        assert!(root.join("done").exists(), "{does}");
        let order = Order::of(&root.join("trace"), &crash.store());
        println!("{does}: {} names given in order", order.names);
        assert!(order.names > 0, "{does}");
    }
}

/// A disk that fails to sync: nothing after that counts as written, and what was is whole.
#[test]
fn a_sync_that_fails_at_any_time_leaves_whole_segments() {
    for call in ["fsync", "fdatasync"] {
        for nth in 1.. {
            let crash = Crash::new();
            let unharmed = crash.child("record", call, "error=EIO", nth);
            crash.recover_and_check(&format!("EIO at {call} {nth}"));
            let said = fs::read_to_string(crash.keep.path().join("error")).unwrap_or_default();
            assert!(unharmed || said.contains("Input/output error"), "{call} {nth}: {said}");
            if unharmed {
                break;
            }
            assert!(nth < 100, "the child never ends");
        }
    }
}

#[test]
fn a_full_disk_at_any_call_leaves_whole_segments() {
    at_every_call(
        "record",
        "error=ENOSPC",
        |_| (),
        |crash, place| {
            crash.recover_and_check(place);
            let said = fs::read_to_string(crash.keep.path().join("error")).unwrap_or_default();
            assert!(said.is_empty() || said.contains("No space left"), "{place}: {said}");
        },
    );
}

/// A real disk that fills up while it is recorded to: what was whole before is sealed, in the room that
/// was held back for it.
#[test]
fn a_disk_that_fills_up_ends_the_recording_and_loses_nothing() {
    let crash = Crash::new();
    let root = crash.keep.path();
    fs::create_dir_all(crash.store()).unwrap();
    // A file system of 4 MiB that exists for this child only.
    let script = "mount -t tmpfs -o size=4m tmpfs store && \"$0\" --exact vault::child_that_works \
                  --test-threads=1 && cp -a store/. kept";
    let status = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .current_dir(root)
        .env(CHILD, root)
        .env(DOES, "fill")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    if !status.success() && !root.join("error").exists() {
        println!("skipped: this machine lets nobody mount a file system");
        return;
    }
    let said = fs::read_to_string(root.join("error")).unwrap();
    assert!(said.contains("No space left"), "{said}");
    assert!(root.join("done").exists(), "the end has room");
    fs::remove_dir(crash.store()).unwrap();
    fs::rename(root.join("kept"), crash.store()).unwrap();
    let folder = fs::read_dir(crash.store().join("recordings")).unwrap().next().unwrap();
    let trust = Trust::Pinned(crash.key.public().clone());
    let checked = check(&folder.unwrap().path(), &trust, |_| ()).unwrap();
    assert_eq!(checked.manifest().state, State::Sealed);
    assert_eq!(checked.manifest().fault.as_deref(), Some("writing stopped: no storage space"));
    let whole = checked.manifest().segments.len();
    drop(checked);
    assert!(whole > 10, "{whole}");
    assert_eq!(crash.recover_and_check("a full disk"), Some(whole));
}

/// A recording that was cut off: a torn line, part files, reasons without a segment.
fn cut_off(crash: &Crash) {
    let teacher = fs::read_to_string(crash.keep.path().join("teacher.pub")).unwrap();
    let new = new_recording(vec![teacher.parse().unwrap()], &["cam1"]);
    let mut writer = RecordingWriter::create(&crash.store(), new, &crash.key).unwrap();
    for number in 1..=2 {
        writer.write(segment(&camera("cam1"), number)).unwrap();
    }
    let path = writer.path().to_owned();
    drop(writer);
    let journal = path.join("segments.jsonl");
    let lines = fs::read(&journal).unwrap();
    fs::write(&journal, &lines[..lines.len() - 9]).unwrap();
    fs::write(path.join("cam1/000003.tracks.age"), "x").unwrap();
    fs::write(path.join("cam1/000003.mp4.age.part"), "x").unwrap();
}

/// A recording whose manifest was renamed at its end and whose signature was not.
fn cut_off_at_the_end(crash: &Crash) {
    let teacher = fs::read_to_string(crash.keep.path().join("teacher.pub")).unwrap();
    let new = new_recording(vec![teacher.parse().unwrap()], &["cam1"]);
    let mut writer = RecordingWriter::create(&crash.store(), new, &crash.key).unwrap();
    for number in 1..=2 {
        writer.write(segment(&camera("cam1"), number)).unwrap();
    }
    let signature = writer.path().join("manifest.json.minisig");
    let early = fs::read(&signature).unwrap();
    writer.finish(outcome()).unwrap();
    fs::rename(&signature, signature.with_extension("minisig.part")).unwrap();
    fs::write(&signature, early).unwrap();
    let path = signature.parent().unwrap();
    let trust = Trust::Pinned(crash.key.public().clone());
    assert!(matches!(check(path, &trust, |_| ()), Err(VaultError::Unsealed { .. })));
}

#[test]
fn recovery_can_be_killed_or_fail_at_any_call() {
    for prepare in [cut_off, cut_off_at_the_end] {
        for what in ["signal=KILL", "error=EIO"] {
            at_every_call("recover", what, prepare, |crash, place| {
                assert_eq!(crash.recover_and_check(place), Some(2), "{place}");
            });
        }
    }
}

/// Whatever happens while the last stretch is dropped: what was said to be gone is gone.
#[test]
fn dropping_can_be_killed_or_fail_at_any_call() {
    for what in ["signal=KILL", "error=ENOSPC"] {
        let mut seen = 0;
        at_every_call(
            "drop",
            what,
            |_| (),
            |crash, place| {
                let said = crash.keep.path().join("gone").exists();
                crash.recover_and_check(place);
                let Ok(mut folders) = fs::read_dir(crash.store().join("recordings")) else {
                    return;
                };
                let Some(folder) = folders.next() else { return };
                let trust = Trust::Pinned(crash.key.public().clone());
                let checked = check(&folder.unwrap().path(), &trust, |_| ()).unwrap();
                let manifest = checked.manifest();
                let there = manifest.segments.iter().any(|segment| segment.number == 2);
                assert!(!said || !there, "{place}: what was dropped is there");
                assert_eq!(
                    said,
                    said && manifest.gaps.len() == 1,
                    "{place}: the gap is not stated"
                );
                seen += usize::from(said);
            },
        );
        assert!(seen > 3, "{seen} of the cuts came after it");
    }
}
