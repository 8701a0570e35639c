//! The promise: a recording is destroyed when its deadline is over, whatever happens on the way,
//! never before its line is in the log, and so that nobody who had access can open any copy.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use classveil::{
    units::{CameraId, Pts, RecordingId},
    vault::{
        BoxKey, Course, Details, Digest, LegalBasis, NewRecording, Outcome, Purpose, Recipient,
        RecordingWriter, SegmentFile, Trust, VaultError,
        access::{Role, Roles, Standing},
        audit::{AuditKey, AuditLog, AuditTrust, Event, PersonChange, check_log},
        check, recover,
        register::{Name, Register},
        retention::{
            Applied, CheckedCertificate, Clock, NewHold, Policy, Verdict, apply, check_certificate,
            close_talk, hold, plan, release, survey,
        },
        write_identity,
    },
};
use jiff::Timestamp;

use crate::crash::{Blow, CHILD, campaign, workplace};

const DAY: i64 = 86_400;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + second).unwrap()
}

pub(crate) fn days(days: i64) -> Timestamp {
    at(days * DAY)
}

pub(crate) fn policy() -> Policy {
    let days = |n: u64| Some(Duration::from_secs(n * 86_400));
    Policy::new(days(30), days(7)).unwrap()
}

/// Who is who, as a directory would have it.
pub(crate) fn roles() -> Roles {
    let people = [
        ("t-07", Role::Teacher),
        ("t-08", Role::Teacher),
        ("fg-01", Role::PrivacyOfficer),
        ("m-01", Role::Manager),
        ("a-01", Role::Admin),
    ];
    let standing = |role| Standing { role, in_force: true };
    let people = people.map(|(person, role)| (person.parse().unwrap(), standing(role)));
    Roles::new(people, ["p-14".parse().unwrap()])
}

fn camera() -> CameraId {
    CameraId::first()
}

/// A box with its keys, a store, a teacher and a coach.
pub(crate) struct Scene {
    _keep: Option<tempfile::TempDir>,
    pub(crate) root: PathBuf,
    pub(crate) store: PathBuf,
    pub(crate) key: BoxKey,
    people: Vec<Recipient>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    fn within(keep: tempfile::TempDir) -> Self {
        let root = keep.path().to_owned();
        Self { _keep: Some(keep), ..Self::at(&root) }
    }

    /// The scene in a folder that may hold one already.
    pub(crate) fn at(root: &Path) -> Self {
        let store = root.join("store");
        let key = BoxKey::load_or_create(&root.join("classveil/box.key"), &store).unwrap();
        let people = ["teacher", "coach"].map(|name| {
            let public = root.join(format!("{name}.pub"));
            if !public.exists() {
                let path = root.join(format!("{name}.key"));
                let made = write_identity(&path, at(0)).unwrap();
                fs::write(&public, made.to_string()).unwrap();
            }
            fs::read_to_string(&public).unwrap().parse().unwrap()
        });
        Self { _keep: None, root: root.to_owned(), store, key, people: people.to_vec() }
    }

    /// The teacher's public key.
    pub(crate) fn recipient(&self) -> String {
        self.people[0].to_string()
    }

    pub(crate) fn log(&self, now: Timestamp) -> AuditLog {
        let path = self.root.join("classveil/audit.key");
        let key = AuditKey::load_or_create(&path, &self.store).unwrap();
        AuditLog::open(&self.store, key, self.key.public(), now).unwrap()
    }

    /// Makes keys of these people count since `hours` ago: the directory as it would be if they had been
    /// enrolled then, with a line in the log that names it.
    pub(crate) fn since(&self, people: &[&str], hours: i64) {
        let log = self.log(Timestamp::now());
        let register = Register::new(&self.store, Name::People);
        let held = register.hold().unwrap();
        let bytes = held.read(&log.entries().unwrap()).unwrap().unwrap();
        let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let from = Timestamp::now() - jiff::SignedDuration::from_hours(hours);
        for person in people {
            for key in json["people"][person]["keys"].as_array_mut().unwrap() {
                key["from"] = from.to_string().into();
            }
        }
        let event = |directory| Event::PersonChanged {
            person: people[0].parse().unwrap(),
            role: Role::Teacher,
            change: PersonChange::Invited,
            directory,
        };
        let announce = |digest| log.append(Timestamp::now(), &event(digest)).map(drop);
        held.write(&serde_json::to_vec(&json).unwrap(), announce).unwrap();
    }

    /// A sealed recording of two segments that begins at `started` and lives for `keep` days.
    pub(crate) fn record(&self, log: &AuditLog, started: Timestamp, keep: i64) -> RecordingId {
        self.record_new(log, self.new_recording(started, keep))
    }

    pub(crate) fn record_new(&self, log: &AuditLog, new: NewRecording) -> RecordingId {
        let (id, started) = (new.id, new.started);
        let _ = log.append(started, &Event::armed(&new)).unwrap();
        let mut writer = RecordingWriter::create(&self.store, new, &self.key).unwrap();
        for number in 1..=2 {
            writer.write(segment(number)).unwrap();
        }
        writer.finish(Outcome { ended: started, fault: None, course: Course::default() }).unwrap();
        id
    }

    /// As [`Self::record`], with the line that `record` writes at the end.
    pub(crate) fn record_sealed(&self, log: &AuditLog, began: Timestamp, keep: i64) -> RecordingId {
        let id = self.record(log, began, keep);
        let manifest = fs::read(self.folder(id).join("manifest.json")).unwrap();
        let _ = log.append(began, &sealed(id, &manifest)).unwrap();
        id
    }

    /// A line that says that `manifest` was signed at the end.
    pub(crate) fn append_sealed(&self, id: RecordingId, manifest: &[u8]) {
        let _ = self.log(at(3)).append(at(3), &sealed(id, manifest)).unwrap();
    }

    /// A recording that is cut off after its first segment.
    pub(crate) fn begin(&self, log: &AuditLog, began: Timestamp, keep: i64) -> RecordingId {
        let new = self.new_recording(began, keep);
        let id = new.id;
        let _ = log.append(began, &Event::armed(&new)).unwrap();
        let mut writer = RecordingWriter::create(&self.store, new, &self.key).unwrap();
        writer.write(segment(1)).unwrap();
        id
    }

    pub(crate) fn new_recording(&self, started: Timestamp, keep: i64) -> NewRecording {
        NewRecording {
            id: RecordingId::new(started),
            started,
            delete_by: started + jiff::SignedDuration::from_secs(keep * DAY),
            purpose: Purpose::Coaching,
            legal_basis: LegalBasis::LegitimateInterest,
            dpia: None,
            continues: None,
            class: Some("3b".parse().unwrap()),
            teacher: Some("t-07".parse().unwrap()),
            coach: None,
            cameras: vec![camera()],
            policy: "everyone".to_owned(),
            veil: "veil".to_owned(),
            region: "head".to_owned(),
            recipients: self.people.clone(),
            teacher_keys: self.people.first().cloned().into_iter().collect(),
            signers: Vec::new(),
            replaces: Vec::new(),
            list_version: "0".repeat(64),
            models: BTreeMap::new(),
            encoder: "x264".to_owned(),
            audio: false,
            segment: Duration::from_secs(6),
            look_ahead: Duration::from_secs(2),
            software: "classveil test".to_owned(),
            details: Details::default(),
            gaps: Vec::new(),
        }
    }

    pub(crate) fn folder(&self, id: RecordingId) -> PathBuf {
        self.store.join("recordings").join(id.to_string())
    }

    pub(crate) fn certificate(&self, id: RecordingId) -> PathBuf {
        self.store.join("certificates").join(format!("{id}.json"))
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::Pinned(self.key.public().clone())
    }

    fn check_certificate(&self, id: RecordingId) -> CheckedCertificate {
        check_certificate(&self.certificate(id), &self.trust(), None).unwrap()
    }

    pub(crate) fn apply(&self, now: Timestamp) -> Applied {
        let log = self.log(now);
        let clock = Clock { now, trusted: true, highest: log.highest() };
        let applied = apply(&self.store, &log, &self.key, &policy(), &clock).unwrap();
        assert!(applied.failed.is_empty(), "{:?}", applied.failed);
        applied
    }

    /// Every line of the log, which is whole.
    pub(crate) fn events(&self) -> Vec<Event> {
        let key = AuditKey::load(&self.root.join("classveil/audit.key")).unwrap();
        let checked = check_log(&self.store, &AuditTrust::Own(key), &[]).unwrap();
        assert!(checked.flaws.is_empty(), "{:?}", checked.flaws);
        checked.entries.into_iter().map(|entry| entry.event.unwrap()).collect()
    }

    fn orders(&self, id: RecordingId) -> usize {
        let order = |event: &&Event| matches!(event, Event::Destroyed { recording, .. } if *recording == id);
        self.events().iter().filter(order).count()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.store.join("recordings")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The command line on this box.
    pub(crate) fn run(&self, args: &[&str]) -> crate::scene::Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_classveil"));
        command.env("XDG_DATA_HOME", &self.root).current_dir(&self.root).args(args);
        command.output().unwrap().into()
    }
}

fn sealed(recording: RecordingId, manifest: &[u8]) -> Event {
    Event::Sealed {
        recording,
        manifest: Digest::of(manifest),
        segments: 2,
        frames: 144,
        frames_veiled_whole: 0,
        tracks_veiled: 20,
        tracks_shown: 5,
    }
}

pub(crate) fn segment(number: u32) -> SegmentFile {
    let start = Pts::from_nanos(u64::from(number - 1) * 6_000_000_000);
    SegmentFile {
        camera: camera(),
        number,
        mp4: b"PLAINTEXT of a segment. ".repeat(400),
        tracks: b"{}".to_vec(),
        frames: 72,
        start,
        end: start.plus(Duration::from_secs(6)),
    }
}

/// All files below `dir`, with their content.
pub(crate) fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

pub(crate) fn copy(from: &Path, to: &Path, leave_out: impl Fn(&Path) -> bool) {
    for (name, bytes) in contents(from) {
        if !leave_out(&name) {
            let path = to.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

/// R50: copy every file but the keys, destroy, try every identity that ever had access.
#[test]
fn after_its_destruction_no_copy_opens_for_anybody() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let id = scene.record(&log, at(0), 14);
    let folder = scene.folder(id);
    // Somebody was granted access as well.
    let rec_key =
        stock(&scene.root, "age", &["-d", "-i", "teacher.key", &file(&folder, "key.age")]);
    fs::write(scene.root.join("rec.key"), &rec_key).unwrap();
    let granted = crate::grants::grant(&scene, id, "third", days(14), at(10));
    crate::grants::install(&scene, &log, &granted, at(10)).unwrap();
    let opens = |identity: &str, path: &str| {
        let mut age = Command::new("age");
        age.args(["-d", "-i", identity, path]).current_dir(&scene.root);
        age.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        age.status().unwrap().success()
    };
    assert!(
        opens("rec.key", &file(&folder, "cam1/000001.mp4.age")),
        "the test opens what is there"
    );
    fs::remove_file(scene.root.join("rec.key")).unwrap();
    let backup = scene.root.join("backup");
    copy(&scene.store, &backup, |name| {
        let name = name.to_string_lossy();
        name.ends_with("/key.age") || name.contains("/grants/")
    });
    let inode = fs::File::open(folder.join("key.age")).unwrap();

    assert_eq!(scene.apply(days(13)).destroyed, []);
    assert_eq!(scene.apply(days(14)).destroyed, [id]);
    assert_eq!(scene.names(), Vec::<String>::new());
    // Who still had the file open reads noise.
    let mut inode = inode;
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut inode, &mut read).unwrap();
    assert!(!read.is_empty() && !read.starts_with(b"age-encryption.org"));

    // Every file that exists now, tried as a key and as what a key opens.
    let identities = ["teacher.key", "coach.key", "third.key"];
    let mut tried = 0;
    for folder in [&backup, &scene.store] {
        for name in contents(folder).into_keys() {
            let path = folder.join(&name);
            for identity in identities {
                assert!(!opens(identity, path.to_str().unwrap()), "{identity} {}", name.display());
                tried += 1;
            }
        }
    }
    assert!(tried > 30, "{tried}");
    let checked = scene.check_certificate(id);
    assert_eq!(checked.certificate.facts.grants, 1);
    assert_eq!(checked.certificate.facts.segments, 2);
    // A backup that is put back is no recording any more, and goes again.
    copy(&backup.join("recordings"), &scene.store.join("recordings"), |_| false);
    let applied = scene.apply(days(15));
    assert_eq!((applied.returned, applied.destroyed), (vec![id], vec![]));
    assert_eq!(scene.names(), Vec::<String>::new());
    assert_eq!(scene.orders(id), 1);
    assert!(matches!(scene.events().last(), Some(Event::Returned { key: false, .. })));
}

fn file(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

pub(crate) fn stock(dir: &Path, program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `make setup` installs it"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_certificate_is_checked_offline_and_every_byte_of_it_counts() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let id = scene.record(&log, at(0), 3);
    let manifest = stock(&scene.folder(id), "sha256sum", &["manifest.json"]);
    let manifest = String::from_utf8(manifest).unwrap();
    scene.apply(days(4));
    let checked = scene.check_certificate(id);
    let facts = &checked.certificate.facts;
    assert_eq!(facts.manifest.unwrap().to_string(), manifest.split(' ').next().unwrap());
    assert_eq!((facts.started, facts.delete_by), (Some(at(0)), Some(days(3))));
    assert_eq!(checked.certificate.deadline, days(3));

    // On a parent's computer: two files and two public keys, stock tools included.
    let away = scene.root.join("away");
    fs::create_dir(&away).unwrap();
    let certificate = scene.certificate(id);
    fs::copy(&certificate, away.join("c.json")).unwrap();
    fs::copy(certificate.with_extension("json.minisig"), away.join("c.json.minisig")).unwrap();
    fs::copy(scene.store.join("box.pub"), away.join("box.pub")).unwrap();
    fs::copy(scene.store.join("audit/log.vkey"), away.join("log.vkey")).unwrap();
    stock(&away, "minisign", &["-Vm", "c.json", "-p", "box.pub"]);
    let args = ["verify-certificate", "away/c.json", "--box-key", "away/box.pub"];
    let said = scene.run(&[&args[..], &["--key", "away/log.vkey"]].concat()).ended(0);
    assert!(said.out.contains("the deadline set at its start"), "{}", said.out);
    let json = scene.run(&[&args[..], &["--json"]].concat()).ended(0).json();
    assert_eq!(json["certificate"]["recording"], id.to_string());
    let text = fs::read_to_string(away.join("c.json")).unwrap();
    assert!(!text.contains("t-07") && !text.contains("age1"), "it is about nobody: {text}");

    for name in ["c.json", "c.json.minisig"] {
        let path = away.join(name);
        let kept = fs::read(&path).unwrap();
        for byte in 0..kept.len() {
            let mut altered = kept.clone();
            altered[byte] ^= 1;
            fs::write(&path, altered).unwrap();
            let found = check_certificate(&away.join("c.json"), &scene.trust(), None);
            assert!(found.is_err(), "{name} byte {byte}");
        }
        fs::write(&path, kept).unwrap();
    }
    scene.run(&args).ended(0);
    fs::remove_file(away.join("c.json.minisig")).unwrap();
    assert!(scene.run(&args).ended(65).err.contains("its signature is missing"));
    scene.run(&["verify-certificate", "away/none.json"]).ended(66);
    // Another box's certificate is none of this one's, and another log's neither.
    let other = Scene::new();
    let other_id = other.record(&other.log(at(0)), at(0), 3);
    other.apply(days(4));
    let found = check_certificate(&other.certificate(other_id), &scene.trust(), None);
    assert!(found.unwrap_err().to_string().contains("is signed with box key"));
    let key = scene.log(days(5)).public();
    let found = check_certificate(&other.certificate(other_id), &other.trust(), Some(&key));
    assert!(found.unwrap_err().to_string().contains("another log"));
}

#[test]
fn closing_the_talk_moves_the_deadline_earlier_and_never_later() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let (early, late) = (scene.record(&log, at(0), 30), scene.record(&log, at(60), 30));
    let by = "t-07".parse().unwrap();
    let here = (scene.store.as_path(), &log, &scene.key);
    let close = |id, now| close_talk(here, &roles(), id, &by, &policy(), now);
    let another = close_talk(here, &roles(), early, &"t-08".parse().unwrap(), &policy(), days(1));
    assert!(another.unwrap_err().to_string().contains("may not close this talk"));
    assert_eq!(close(early, days(2)).unwrap(), days(9));
    let checked = check(&scene.folder(early), &scene.trust(), |_| ()).unwrap();
    assert_eq!(checked.manifest().delete_by, days(9));
    assert_eq!(checked.manifest().talk_closed, Some(days(2)));
    drop(checked);
    stock(&scene.folder(early), "minisign", &["-Vm", "manifest.json", "-p", "../../box.pub"]);
    assert_eq!(close(early, days(5)).unwrap(), days(9), "closed again it is no later");
    assert_eq!(close(late, days(28)).unwrap(), at(60 + 30 * DAY), "nor later than the hard end");
    // The log knows of day 28: a clock that says otherwise is wrong and destroys nothing.
    let applied = scene.apply(days(9));
    assert_eq!((applied.destroyed, applied.plan[0].verdict), (vec![], Verdict::Withhold));
    assert_eq!(scene.apply(days(29)).destroyed, [early]);
    let reason = scene.check_certificate(early).certificate.reason.to_string();
    assert!(reason.contains("talk was closed"), "{reason}");
    assert!(close(early, days(10)).unwrap_err().to_string().contains("is destroyed: line"));
    assert!(close(RecordingId::new(at(1)), days(10)).is_err());
}

/// An older manifest, put back in its place with its signature, extends nothing: the log knows
/// better.
#[test]
fn an_old_manifest_extends_nothing() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let id = scene.record(&log, at(0), 30);
    let folder = scene.folder(id);
    let names = ["manifest.json", "manifest.json.minisig"];
    let old = names.map(|name| fs::read(folder.join(name)).unwrap());
    let by = "t-07".parse().unwrap();
    let here = (scene.store.as_path(), &log, &scene.key);
    close_talk(here, &roles(), id, &by, &policy(), days(1)).unwrap();
    for (name, bytes) in names.iter().zip(old) {
        fs::write(folder.join(name), bytes).unwrap();
    }
    assert_eq!(check(&folder, &scene.trust(), |_| ()).unwrap().manifest().delete_by, days(30));
    assert_eq!(scene.apply(days(8)).destroyed, [id]);
}

/// A log whose end was cut off does not know of the closed talk; the signed manifest does.
#[test]
fn a_log_that_lost_the_closed_talk_extends_nothing() {
    let scene = Scene::new();
    let id = scene.record(&scene.log(at(0)), at(0), 30);
    let audit = scene.store.join("audit");
    let before = contents(&audit);
    let by = "t-07".parse().unwrap();
    let log = scene.log(days(1));
    let here = (scene.store.as_path(), &log, &scene.key);
    close_talk(here, &roles(), id, &by, &policy(), days(1)).unwrap();
    drop(log);
    for (name, bytes) in before {
        fs::write(audit.join(name), bytes).unwrap();
    }
    let plan = ["retention", "plan", "--store", "store", "--json", "--at"];
    let shown = scene.run(&[&plan[..], &[&days(2).to_string()]].concat()).ended(0).json();
    assert_eq!(shown["recordings"][0]["deadline"]["set_by"], "talk-closed", "{shown}");
    assert_eq!(scene.apply(days(8)).destroyed, [id]);
    // One that nobody signed moves nothing.
    let other = scene.record(&scene.log(days(8)), days(8), 30);
    let manifest = scene.folder(other).join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let end = days(38).to_string();
    assert!(text.contains(&end), "{end}: {text}");
    fs::write(&manifest, text.replace(&end, &days(9).to_string())).unwrap();
    assert_eq!(scene.apply(days(10)).destroyed, []);
}

/// The clock goes back to 1970 after a dead battery: a deadline set then is not over at once.
#[test]
fn a_clock_that_went_back_shortens_nothing() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let id = scene.record(&log, at(0), 30);
    let by = "t-07".parse().unwrap();
    let dead = Timestamp::from_second(100).unwrap();
    let here = (scene.store.as_path(), &log, &scene.key);
    let set = close_talk(here, &roles(), id, &by, &policy(), dead).unwrap();
    assert_eq!(set, days(7));
    let clock = Clock { now: dead, trusted: true, highest: log.highest() };
    let applied = apply(&scene.store, &log, &scene.key, &policy(), &clock).unwrap();
    assert_eq!(applied.plan[0].verdict, Verdict::Keep);
}

#[test]
fn holds_postpone_and_never_move() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let id = scene.record(&log, at(0), 10);
    let new = |days: u64| NewHold {
        recording: id,
        requested_by: "p-14".parse().unwrap(),
        approved_by: "fg-01".parse().unwrap(),
        length: Duration::from_secs(days * 86_400),
        reason: Digest::of(b"claim"),
    };
    let refused =
        |new: &NewHold| hold(&scene.store, &log, &roles(), new, days(5)).unwrap_err().to_string();
    assert!(refused(&new(91)).contains("90 days"));
    assert!(refused(&new(0)).contains("90 days"));
    let own = NewHold { approved_by: "p-14".parse().unwrap(), ..new(3) };
    assert!(refused(&own).contains("cannot approve"));
    let gone = NewHold { recording: RecordingId::new(at(7)), ..new(3) };
    assert!(refused(&gone).contains("no recording"));
    // Management keeps nothing, whichever of the two it claims to be.
    let events = scene.events().len();
    let named = |requested: &str, approved: &str| NewHold {
        requested_by: requested.parse().unwrap(),
        approved_by: approved.parse().unwrap(),
        ..new(3)
    };
    for (requested, approved) in [
        ("m-01", "fg-01"),
        ("a-01", "fg-01"),
        ("fg-01", "t-07"),
        ("p-14", "a-01"),
        ("x-9", "fg-01"),
    ] {
        let said = refused(&named(requested, approved));
        assert!(said.contains(" hold: "), "{requested} {approved}: {said}");
    }
    let unknown = hold(&scene.store, &log, &Roles::unknown(), &new(3), days(5));
    assert!(unknown.unwrap_err().to_string().contains("no directory of people"));
    assert_eq!(scene.events().len(), events, "nothing is written");
    assert_eq!(hold(&scene.store, &log, &roles(), &new(30), days(5)).unwrap(), days(35));
    let verdict = |now| scene.apply(now).plan[0].verdict;
    assert_eq!(verdict(days(6)), Verdict::Withhold);
    assert_eq!(verdict(days(34)), Verdict::Withhold);
    let by = "fg-01".parse().unwrap();
    for other in ["a-01", "m-01", "t-07", "x-9"] {
        let end = release(&scene.store, &log, &roles(), id, &other.parse().unwrap(), days(34));
        assert!(end.unwrap_err().to_string().contains("may not end a hold"), "{other}");
    }
    release(&scene.store, &log, &roles(), id, &by, days(34)).unwrap();
    assert!(release(&scene.store, &log, &roles(), id, &by, days(34)).is_err());
    assert_eq!(scene.apply(days(34)).destroyed, [id], "at once");
    assert!(refused(&new(3)).contains("is destroyed"));
}

#[test]
fn what_is_in_use_goes_later_and_what_cannot_be_trusted_goes_not_at_all() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let id = scene.record(&log, at(0), 5);
    let reader = check(&scene.folder(id), &scene.trust(), |_| ()).unwrap();
    let applied = scene.apply(days(6));
    assert_eq!((applied.busy, applied.destroyed), (vec![id], vec![]));
    assert_eq!(scene.orders(id), 0);
    drop(reader);
    let doubt = Clock { now: days(6), trusted: false, highest: log.highest() };
    let applied = apply(&scene.store, &log, &scene.key, &policy(), &doubt).unwrap();
    assert_eq!(applied.plan[0].verdict, Verdict::Withhold);
    assert!(scene.folder(id).join("key.age").exists());
    assert_eq!(scene.apply(days(6)).destroyed, [id]);
}

#[test]
fn a_damaged_log_stops_destruction_and_a_damaged_recording_does_not() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let (bare, cut) = (scene.record(&log, at(0), 5), scene.record(&log, at(1), 5));
    fs::remove_file(scene.folder(bare).join("manifest.json")).unwrap();
    fs::write(scene.folder(cut).join("key.age"), "").unwrap();
    let path = scene.store.join("audit/log.jsonl");
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[40] ^= 1;
    fs::write(&path, bad).unwrap();
    let apply = ["retention", "apply", "--store", "store", "--danger-trust-clock"];
    scene.run(&apply).ended(65);
    scene.run(&["retention", "plan", "--store", "store"]).ended(65);
    assert_eq!(scene.names().len(), 2);
    fs::write(&path, good).unwrap();
    let mut destroyed = scene.apply(days(6)).destroyed;
    destroyed.sort();
    assert_eq!(destroyed, [bare, cut]);
    assert_eq!(scene.check_certificate(bare).certificate.facts.manifest, None);
}

/// A store from before there was a log, and a folder that says nothing at all.
#[test]
fn without_a_log_manifests_and_ids_say_when() {
    let scene = Scene::new();
    let id = scene.record(&scene.log(at(0)), at(0), 5);
    let silent = RecordingId::new(days(1));
    fs::create_dir(scene.folder(silent)).unwrap();
    fs::write(scene.folder(silent).join("key.age"), "x").unwrap();
    fs::remove_dir_all(scene.store.join("audit")).unwrap();
    assert_eq!(scene.apply(days(4)).destroyed, []);
    assert_eq!(scene.apply(days(5)).destroyed, [id]);
    assert_eq!(scene.apply(days(30)).destroyed, []);
    assert_eq!(scene.apply(days(31)).destroyed, [silent]);
    scene.check_certificate(id);
    scene.check_certificate(silent);
    assert!(matches!(scene.events()[0], Event::Opened { recordings: 2, .. }));
}

/// Two simulated years of lessons, talks, holds and a run a day: nothing goes early, nothing stays.
#[test]
fn two_years_of_a_box() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let by = "t-07".parse().unwrap();
    let mut due: BTreeMap<RecordingId, Timestamp> = BTreeMap::new();
    let mut destroyed = 0;
    for day in 0..730_i64 {
        if day % 9 == 0 && day < 690 {
            let id = scene.record(&log, days(day), 30);
            due.insert(id, days(day + 30));
        }
        if day % 18 == 5
            && let Some((id, deadline)) = due.iter_mut().next_back()
        {
            let here = (scene.store.as_path(), &log, &scene.key);
            let set = close_talk(here, &roles(), *id, &by, &policy(), days(day));
            *deadline = set.unwrap();
        }
        let clock = Clock { now: days(day), trusted: day % 50 > 1, highest: log.highest() };
        let applied = apply(&scene.store, &log, &scene.key, &policy(), &clock).unwrap();
        assert!(applied.failed.is_empty());
        for id in &applied.destroyed {
            assert!(due.remove(id).unwrap() <= days(day), "day {day}: too early");
            destroyed += 1;
        }
        if clock.trusted {
            assert!(due.values().all(|deadline| *deadline > days(day)), "day {day}: too late");
        }
    }
    assert_eq!((due.len(), destroyed), (0, 77));
    assert_eq!(scene.names(), Vec::<String>::new());
    let orders = scene.events().iter().filter(|e| matches!(e, Event::Destroyed { .. })).count();
    assert_eq!(orders, destroyed);
}

#[test]
fn commands_show_and_do_the_same() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    // Long ago, so that the machine's own clock is past every deadline.
    let ids = [scene.record(&log, at(0), 5), scene.record(&log, at(1), 3650)];
    let plan = ["retention", "plan", "--store", "store"];
    let early = scene.run(&[&plan[..], &["--at", &at(60).to_string()]].concat()).ended(0);
    assert!(early.out.contains("2 kept, 0 withheld, 0 to be destroyed"), "{}", early.out);
    let then = scene.run(&[&plan[..], &["--at", "2026-12-24", "--json"]].concat()).ended(0).json();
    assert_eq!((&then["keep"], &then["destroy"]), (&1.into(), &1.into()), "{then}");
    assert_eq!(then["recordings"][0]["deadline"]["set_by"], "start");
    assert_eq!(then["recordings"][0]["reasons"][0]["why"], "due");
    scene.run(&[&plan[..], &["--at", "tomorrow"]].concat()).ended(64);
    let kept = ids[1].to_string();
    let id = ["--store", "store", "--by", "t-07"];
    let hold = ["retention", "hold", &kept, "--store", "store", "--requested-by"];
    let more = |by| ["--approved-by", by, "--reason", "claim.txt"];
    fs::write(scene.root.join("claim.txt"), "a claim").unwrap();
    let asks = |who, by| scene.run(&[&hold[..], &[who], &more(by)].concat());
    // Without a directory nobody is known as the privacy officer.
    assert!(asks("t-07", "fg-01").ended(77).err.contains("no directory of people"));
    for (person, role) in
        [("t-07", "teacher"), ("fg-01", "privacy-officer"), ("m-01", "manager"), ("a-01", "admin")]
    {
        scene.run(&["people", "add", person, "--role", role, "--store", "store"]).ended(0);
    }
    let before = scene.events().len();
    // An officer of the administrator's own is none, until the one there is has signed.
    scene
        .run(&["people", "add", "fg-99", "--role", "privacy-officer", "--store", "store"])
        .ended(0);
    for (who, by) in [
        ("m-01", "fg-01"),
        ("a-01", "fg-01"),
        ("m-01", "a-01"),
        ("t-07", "a-01"),
        ("t-07", "m-01"),
        ("t-07", "x-9"),
        ("t-07", "fg-99"),
        ("p-14", "fg-01"),
    ] {
        asks(who, by).ended(77);
    }
    for by in ["m-01", "a-01", "fg-01", "x-9"] {
        let args = ["retention", "close-talk", &kept, "--store", "store", "--by", by];
        scene.run(&args).ended(77);
    }
    assert_eq!(scene.events().len(), before + 1, "nothing is written");
    let closed = scene.run(&[&["retention", "close-talk", &kept, "--json"][..], &id].concat());
    assert!(closed.ended(0).json()["until"].is_string());
    asks("t-07", "fg-01").ended(0);
    scene.run(&[&hold[..], &["t-07"], &more("fg-01"), &["--for", "91 d"]].concat()).ended(77);
    let shown = scene.run(&plan).ended(0);
    assert!(shown.out.contains("held until"), "{}", shown.out);
    let release = ["retention", "release", &kept, "--store", "store", "--by"];
    for by in ["m-01", "a-01", "fg-99", "nobody-1"] {
        scene.run(&[&release[..], &[by]].concat()).ended(77);
    }
    // Who asked for it ends it, or the officer.
    scene.run(&[&release[..], &["t-07"]].concat()).ended(0);
    // Nothing goes by a clock that nobody vouches for; then it does.
    let apply = ["retention", "apply", "--store", "store"];
    let json =
        scene.run(&[&apply[..], &["--danger-trust-clock", "--json"]].concat()).ended(0).json();
    assert_eq!(json["destroyed"], serde_json::json!([ids[0].to_string()]));
    let again = scene.run(&[&apply[..], &["--danger-trust-clock"]].concat()).ended(0);
    assert!(again.out.contains("nothing destroyed, 1 recordings"), "{}", again.out);
    let certificate = format!("store/certificates/{}.json", ids[0]);
    scene.run(&["verify-certificate", &certificate]).ended(0);
    // Where nobody knows the box's key anybody could have made it, and a script has to notice.
    let anywhere = |more: &[&str]| -> crate::scene::Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_classveil"));
        command.env("XDG_DATA_HOME", scene.root.join("nothing")).current_dir(&scene.root);
        command.args(["verify-certificate", &certificate, "--json"]).args(more);
        command.output().unwrap().into()
    };
    let said = anywhere(&[]).ended(77);
    assert!(said.err.contains("unpinned key"), "{}", said.err);
    assert_eq!((&said.json()["ok"], &said.json()["pinned"]), (&false.into(), &false.into()));
    assert_eq!(anywhere(&["--box-key", "store/box.pub"]).ended(0).json()["ok"], true);
    scene.run(&["audit", "verify", "--store", "store"]).ended(0);
    let log = fs::read_to_string(scene.store.join("audit/log.jsonl")).unwrap();
    assert!(!log.contains("a claim"), "{log}");
}

/// A machine with the key of one box and the store of another: whose signature counts is said by the
/// configuration, and a recording can be named by its id.
#[test]
fn a_configured_key_counts_before_the_machines_own() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let (gone, id) = (scene.record(&log, at(0), 5), scene.record(&log, days(1), 30));
    assert_eq!(scene.apply(days(6)).destroyed, [gone]);
    drop(log);
    fs::create_dir(scene.root.join("other")).unwrap();
    for name in ["box.key", "audit.key"] {
        fs::rename(scene.root.join("classveil").join(name), scene.root.join("other").join(name))
            .unwrap();
    }
    let elsewhere = scene.root.join("elsewhere");
    BoxKey::load_or_create(&scene.root.join("classveil/box.key"), &elsewhere).unwrap();
    let config = "[store]\nfolder = \"store\"\nbox-key = \"other/box.key\"\n";
    fs::write(scene.root.join("box.toml"), config).unwrap();
    let (id, gone) = (id.to_string(), gone.to_string());
    let by_store = ["--store", "store", "--json"];
    let by_config = ["--config", "box.toml", "--json"];
    let opened = ["open", &id, "--identity", "teacher.key", "--output", "out.mp4"];
    for command in [&["verify", &id][..], &["verify-certificate", &gone], &opened] {
        scene.run(&[command, &by_store[..]].concat()).ended(77);
    }
    for command in [&["verify", &id][..], &["verify-certificate", &gone]] {
        let said = scene.run(&[command, &by_config[..]].concat()).ended(0).json();
        let pinned = said.get("pinned").or_else(|| said["recording"].get("pinned"));
        assert_eq!(pinned, Some(&true.into()), "{said}");
    }
    scene.run(&["store", "check", "--config", "box.toml"]).ended(0);
    let folder = scene.folder(id.parse().unwrap());
    let path = folder.to_str().unwrap();
    scene.run(&["verify", path, "--box-key", "store/box.pub"]).ended(0);
    scene.run(&["verify", &id]).ended(64);
    let view = ["viewer", "--output", "viewer.html", "--json"];
    scene.run(&[&view[..], &["--store", "store"]].concat()).ended(78);
    let made = scene.run(&[&view[..], &["--config", "box.toml"]].concat()).ended(0).json();
    assert_eq!(made["box_key"], scene.key.public().id(), "{made}");
    stock(&scene.root, "minisign", &["-Vm", "viewer.html", "-p", "store/box.pub"]);
}

/// The goal: a plan over 10,000 recordings in one second, command and all. More is allowed here,
/// because tests share their machine.
#[test]
fn ten_thousand_recordings_are_planned_in_a_second() {
    // In memory, where 20,000 synced lines take seconds instead of minutes.
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let scene = Scene::within(memory);
    let log = scene.log(at(0));
    scene.record(&log, at(0), 30);
    for n in 0..10_000 {
        let new = scene.new_recording(at(n * 60), 30);
        fs::create_dir(scene.folder(new.id)).unwrap();
        for event in [Event::armed(&new), sealed(new.id, b"manifest")] {
            let _ = log.append(at(n * 60), &event).unwrap();
        }
    }
    let began = Instant::now();
    let date = days(33).to_string();
    let said = scene.run(&["retention", "plan", "--store", "store", "--at", &date, "--json"]);
    let took = began.elapsed();
    let json = said.ended(0).json();
    println!("{took:?} for a plan of 10,000 recordings");
    assert_eq!(json["recordings"].as_array().unwrap().len(), 10_001);
    assert!(json["destroy"].as_u64().unwrap() > 4000, "{}", json["destroy"]);
    let limit = if cfg!(debug_assertions) { 4000 } else { 1500 };
    assert!(took < Duration::from_millis(limit), "{took:?}");
}

// Crashes at exact system calls.

/// Not a test of its own: closes one talk and destroys what is due, where the parent asks for it.
#[test]
fn child_that_destroys() {
    let Some(root) = workplace() else { return };
    let scene = Scene::at(&root);
    let log = scene.log(days(6));
    let open = fs::read_to_string(root.join("open")).unwrap().parse().unwrap();
    let by = "t-07".parse().unwrap();
    let here = (scene.store.as_path(), &log, &scene.key);
    let _ = close_talk(here, &roles(), open, &by, &policy(), days(6));
    let clock = Clock { now: days(6), trusted: true, highest: log.highest() };
    let applied = apply(&scene.store, &log, &scene.key, &policy(), &clock).unwrap();
    if applied.failed.is_empty() {
        fs::write(root.join("done"), "").unwrap();
    }
}

/// Strikes the child, then finishes as a start of the box does; says whether it got through unharmed.
fn struck(blow: Blow<'_>) -> bool {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let due = [scene.record(&log, at(0), 5), scene.record(&log, at(1), 5)];
    let open = scene.record(&log, at(2), 30);
    fs::create_dir(scene.folder(due[0]).join("grants")).unwrap();
    fs::write(scene.folder(due[0]).join("grants/c-01.key.age"), "a granted key").unwrap();
    fs::write(scene.root.join("open"), open.to_string()).unwrap();
    let keys = due.map(|id| fs::read(scene.folder(id).join("key.age")).unwrap());
    drop(log);
    let unharmed = blow.strikes("retention::child_that_destroys", &scene.root);
    // The line was there before anything was done to a key.
    for (id, key) in due.iter().zip(&keys) {
        let untouched = fs::read(scene.folder(*id).join("key.age")).is_ok_and(|now| now == *key);
        assert!(untouched || scene.orders(*id) == 1, "{blow}: no line for {id}");
    }
    // What a start of the box does: recover, then apply.
    let recovery = recover(&scene.store, &scene.key, days(6)).unwrap();
    assert!(recovery.failed.is_empty(), "{blow}: {:?}", recovery.failed);
    scene.apply(days(6));
    let second = scene.apply(days(6));
    assert!(second.destroyed.is_empty() && second.finished.is_empty(), "{blow}: done once");
    assert!(second.returned.is_empty(), "{blow}");
    assert_eq!(scene.names(), [open.to_string()], "{blow}");
    for id in due {
        assert_eq!(scene.orders(id), 1, "{blow}");
        scene.check_certificate(id);
    }
    // No key is back, anywhere in the store.
    for (name, bytes) in contents(&scene.store) {
        assert!(!keys.contains(&bytes) && bytes != b"a granted key", "{blow}: {}", name.display());
        assert!(!name.to_string_lossy().ends_with(".part"), "{blow}: {}", name.display());
    }
    let checked = check(&scene.folder(open), &scene.trust(), |_| ())
        .unwrap_or_else(|error: VaultError| panic!("{blow}: {error}"));
    assert!([days(13), at(2 + 30 * DAY)].contains(&checked.manifest().delete_by), "{blow}");
    drop(checked);
    // The deadline that was announced counts, whether the manifest was signed again or not.
    let closed = scene.events().iter().any(|e| matches!(e, Event::TalkClosed { .. }));
    let log = scene.log(days(6));
    let known = survey(&scene.store, &log.entries().unwrap(), scene.key.public()).unwrap();
    let clock = Clock { now: days(13), trusted: true, highest: log.highest() };
    let expected = if closed { Verdict::Destroy } else { Verdict::Keep };
    assert_eq!(plan(&known, &policy(), &clock)[0].verdict, expected, "{blow}");
    unharmed
}

#[test]
fn killed_at_any_call_destruction_is_finished_later() {
    campaign("signal=KILL", (5, 0), 400, struck);
}

#[test]
fn an_error_at_any_call_is_finished_later() {
    campaign("error=EIO", (9, 2), 400, struck);
}

/// The order of calls, as the kernel saw them: the line is synced before the folder is renamed, the
/// keys are overwritten and synced before they are unlinked, and the folder is synced before the
/// certificate.
#[test]
fn the_order_of_calls_is_the_documented_one() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let id = scene.record(&log, at(0), 5);
    let other = scene.record(&log, at(1), 30);
    fs::write(scene.root.join("open"), other.to_string()).unwrap();
    drop(log);
    let trace = scene.root.join("trace");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-y", "-s", "4096", "-o"])
        .arg(&trace)
        .args(["-e", "trace=write,fsync,rename,renameat,renameat2,unlink,unlinkat,rmdir"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "retention::child_that_destroys", "--test-threads=1"])
        .env(CHILD, &scene.root)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let text = fs::read_to_string(trace).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut from = 0;
    let gone = format!(".{id}.gone");
    for (call, with) in [
        ("write", vec!["log.jsonl", "destroyed", &id.to_string()]),
        ("fsync", vec!["log.jsonl"]),
        ("rename", vec![gone.as_str()]),
        ("fsync", vec!["/recordings>"]),
        ("write", vec![&gone, "/key.age>"]),
        ("fsync", vec![&gone, "/key.age>"]),
        ("unlink", vec![&gone, "/key.age\""]),
        ("fsync", vec![&format!("{gone}>")]),
        ("fsync", vec!["certificates/", ".json.part>"]),
        ("rename", vec!["certificates/", ".json.part"]),
        ("fsync", vec!["/certificates>"]),
        ("write", vec!["log.jsonl", "certified"]),
        ("fsync", vec!["log.jsonl"]),
        ("unlinkat", vec!["000001.mp4.age"]),
        ("fsync", vec!["/recordings>"]),
    ] {
        let fits = |line: &&str| {
            line.contains(&format!(" {call}")) && with.iter().all(|part| line.contains(part))
        };
        let found = lines[from..].iter().position(fits);
        let found = found.unwrap_or_else(|| panic!("{call} {with:?} does not follow:\n{text}"));
        from += found + 1;
    }
}
