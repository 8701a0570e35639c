//! The promise: what happened to a recording is on disk before it takes effect, in a log in which
//! every change is noticed and named; a crash at any system call leaves a log that goes on.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use classveil::{
    units::RecordingId,
    vault::{
        BoxKey,
        audit::{AuditKey, AuditLog, AuditTrust, Event, Proof, Word, check_log},
    },
};
use jiff::Timestamp;

use crate::{
    media::sample,
    scene::{School, text},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn fault(recording: Option<RecordingId>) -> Event {
    Event::Fault { recording, what: Word::new("a test") }
}

/// The keys of a school's box, and its log.
struct Keys {
    store: PathBuf,
    box_key: BoxKey,
    path: PathBuf,
}

impl Keys {
    fn of(school: &School) -> Self {
        let folder = school.path("home/.local/share/classveil");
        let store = school.store();
        let box_key = BoxKey::load_or_create(&folder.join("box.key"), &store).unwrap();
        Self { store, box_key, path: folder.join("audit.key") }
    }

    fn open(&self) -> AuditLog {
        let key = AuditKey::load_or_create(&self.path, &self.store).unwrap();
        AuditLog::open(&self.store, key, self.box_key.public(), at(0)).unwrap()
    }

    /// The log, made longer until it has `lines` lines, the first of which opens it.
    fn filled(&self, lines: u64) -> AuditLog {
        let log = self.open();
        while log.append(at(1), &fault(None)).unwrap().line < lines {}
        log
    }

    fn log(&self) -> PathBuf {
        self.store.join("audit/log.jsonl")
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.log()).unwrap();
        text.split_inclusive('\n').map(str::to_owned).collect()
    }
}

const VERIFY: [&str; 4] = ["audit", "verify", "--store", "store"];

#[test]
fn each_line_that_somebody_touched_is_named() {
    let school = School::new();
    let keys = Keys::of(&school);
    drop(keys.filled(6));
    let good = school.run(&VERIFY).ended(0);
    assert!(good.out.contains("6 lines, as they were written"), "{}", good.out);
    assert!(!good.err.contains("unpinned"), "{}", good.err);
    let lines = keys.lines();
    let edited = lines[2].replace("a test", "a joke");
    assert_ne!(edited, lines[2]);
    let line = |n: usize| lines[n - 1].as_str();
    let of = |numbers: &[usize]| numbers.iter().map(|n| line(*n)).collect::<String>();
    for (tampered, named) in [
        ([&of(&[1, 2]), &*edited, &of(&[4, 5, 6])].concat(), "line 3 was edited"),
        (of(&[1, 2, 4, 5, 6]), "line 3 was removed"),
        (of(&[1, 2, 3, 4, 5]), "line 6 was removed"),
        (of(&[1, 2, 4, 3, 5, 6]), "line 3 stands where it does not belong"),
        (of(&[1, 2, 3, 4, 3, 5, 6]), "line 3 stands where it does not belong"),
        ([&of(&[1, 2, 3]), "{\"n\":4}\n", &of(&[4, 5, 6])].concat(), "line 3 is followed by 1"),
    ] {
        fs::write(keys.log(), tampered).unwrap();
        let said = school.run(&VERIFY).ended(65);
        assert!(said.out.starts_with(named), "{named}: {}", said.out);
        let json = school.run(&[&VERIFY[..], &["--json"]].concat()).ended(65).json();
        assert_eq!(json["ok"], false);
        assert!(named.contains(&json["flaws"][0]["line"].to_string()), "{named}: {json}");
        // Nothing is added to such a log, and nothing of it is shown.
        let key = AuditKey::load(&keys.path).unwrap();
        assert!(AuditLog::open(&keys.store, key, keys.box_key.public(), at(9)).is_err(), "{named}");
        assert!(school.run(&["audit", "show", "--store", "store"]).ended(65).out.is_empty());
        school.run(&["audit", "checkpoint", "--store", "store"]).ended(65);
    }
    fs::write(keys.log(), lines.concat()).unwrap();
    school.run(&VERIFY).ended(0);
    for name in ["checkpoint", "log.jsonl", "log.vkey"] {
        let path = keys.store.join("audit").join(name);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_ne!(school.run(&VERIFY).code, Some(0), "{name} is gone");
        for byte in (0..kept.len()).step_by(7) {
            let mut altered = kept.clone();
            altered[byte] ^= 4;
            fs::write(&path, altered).unwrap();
            let trust = AuditTrust::Own(AuditKey::load(&keys.path).unwrap());
            let found = check_log(&keys.store, &trust, &[]);
            assert!(found.is_err() || !found.unwrap().flaws.is_empty(), "{name} byte {byte}");
        }
        fs::write(&path, kept).unwrap();
    }
}

#[test]
fn a_tail_cut_cleanly_shows_against_a_kept_checkpoint() {
    let school = School::new();
    let keys = Keys::of(&school);
    drop(keys.filled(3));
    let early = fs::read(keys.store.join("audit/checkpoint")).unwrap();
    let cut = fs::read(keys.log()).unwrap();
    drop(keys.filled(4));
    let export = ["audit", "checkpoint", "--store", "store", "--output", "kept"];
    school.run(&export).ended(0);
    school.run(&export).ended(78);
    let with = [&VERIFY[..], &["--checkpoint", "kept"]].concat();
    let good = school.run(&with).ended(0);
    assert!(good.out.contains("kept checkpoint"), "{}", good.out);
    fs::write(keys.log(), cut).unwrap();
    fs::write(keys.store.join("audit/checkpoint"), early).unwrap();
    school.run(&VERIFY).ended(0);
    let said = school.run(&with).ended(65);
    assert!(said.out.contains("line 4 was removed"), "{}", said.out);
    // A checkpoint of another log is none of this one.
    let other = School::new();
    drop(Keys::of(&other).filled(2));
    other.run(&export).ended(0);
    let foreign = other.path("kept");
    let said = school.run(&[&VERIFY[..], &["--checkpoint", text(&foreign)]].concat()).ended(65);
    assert!(said.err.contains("is not signed by this log's key"), "{}", said.err);
}

#[test]
fn a_line_that_a_crash_tore_is_repaired_and_noted() {
    let school = School::new();
    let keys = Keys::of(&school);
    drop(keys.filled(3));
    let torn = "{\"n\":4,\"at\":\"2026-1";
    fs::OpenOptions::new()
        .append(true)
        .open(keys.log())
        .unwrap()
        .write_all(torn.as_bytes())
        .unwrap();
    let said = school.run(&VERIFY).ended(0);
    assert!(said.err.contains("a crash left 19 bytes"), "{}", said.err);
    drop(keys.open());
    let shown = school.run(&["audit", "show", "--store", "store", "--kind", "repaired"]).ended(0);
    assert!(shown.out.contains("\"bytes\":19"), "{}", shown.out);
    assert!(!school.run(&VERIFY).ended(0).err.contains("crash"));
}

#[test]
fn writers_share_a_log() {
    let school = School::new();
    let keys = Keys::of(&school);
    let (first, second) = (keys.open(), keys.open());
    std::thread::scope(|scope| {
        for log in [&first, &second] {
            scope.spawn(|| {
                for n in 0..10 {
                    let _ = log.append(at(n), &fault(None)).unwrap();
                }
            });
        }
    });
    let said = school.run(&VERIFY).ended(0);
    assert!(said.out.contains("21 lines"), "{}", said.out);
}

#[test]
fn proofs_and_pinned_keys_need_no_secret() {
    let school = School::new();
    let keys = Keys::of(&school);
    let log = keys.filled(9);
    let proof = ["audit", "prove", "5", "--store", "store", "--output", "5.tlog-proof"];
    school.run(&proof).ended(0);
    let proof = fs::read_to_string(school.path("5.tlog-proof")).unwrap();
    let parsed = Proof::parse(&proof, &log.public()).unwrap();
    let lines = keys.lines();
    assert!(parsed.proves(lines[4].trim_end().as_bytes()));
    assert!(!parsed.proves(lines[5].trim_end().as_bytes()));
    school.run(&["audit", "prove", "10", "--store", "store"]).ended(66);
    school.run(&["audit", "prove", "0", "--store", "store"]).ended(66);
    // A privacy officer has a copy and the public key only.
    fs::copy(keys.store.join("audit/log.vkey"), school.path("kept.vkey")).unwrap();
    fs::remove_dir_all(school.path("home/.local")).unwrap();
    let said = school.run(&VERIFY).ended(77);
    assert!(said.err.contains("unpinned key"), "{}", said.err);
    let pinned = [&VERIFY[..], &["--key", "kept.vkey", "--json"]].concat();
    let json = school.run(&pinned).ended(0).json();
    assert_eq!(
        (&json["ok"], &json["pinned"], &json["lines"]),
        (&true.into(), &true.into(), &9.into())
    );
    // A whole log of another key does not pass for this one.
    fs::remove_dir_all(keys.store.join("audit")).unwrap();
    drop(Keys::of(&school).filled(9));
    school.run(&VERIFY).ended(0);
    let forged = school.run(&pinned);
    assert_eq!(forged.code, Some(65), "{}", forged.err);
}

#[test]
fn another_key_neither_writes_nor_checks_by_mistake() {
    let school = School::new();
    let keys = Keys::of(&school);
    drop(keys.filled(2));
    fs::rename(&keys.path, keys.path.with_extension("old")).unwrap();
    let key = AuditKey::load_or_create(&keys.path, &keys.store).unwrap();
    let error = AuditLog::open(&keys.store, key, keys.box_key.public(), at(9)).unwrap_err();
    assert!(error.to_string().contains("signed with another audit key"), "{error}");
    school.run(&VERIFY).ended(78);
    school.run(&["audit", "verify", "--store", "nothing"]).ended(66);
}

fn kinds(school: &School) -> Vec<String> {
    let shown = school.run(&["audit", "show", "--store", "store", "--json"]).ended(0);
    let lines = shown.out.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .map(|line: serde_json::Value| line["event"]["kind"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_recording_is_in_the_log_from_its_arming_to_its_seal() {
    let school = School::with_refused_man();
    let options = ["--dpia", "D-1", "--class", "5b", "--question", "Jantje?"];
    let recorded = school.record(&sample("obama_speech.mp4"), &options);
    let expected =
        ["opened", "configuration-changed", "armed", "list-version", "started", "sealed"];
    assert_eq!(kinds(&school), expected);
    let id = recorded.json["recording"].as_str().unwrap();
    let shown = ["audit", "show", "--store", "store", "--json", "--recording", id];
    let lines = school.run(&shown).ended(0).out;
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let manifest = recorded.manifest();
    let armed = &lines[0]["event"];
    for field in ["delete_by", "class", "purpose", "legal_basis", "policy"] {
        assert_eq!(armed[field], manifest[field], "{field}");
    }
    assert_eq!(armed["recipients"].as_array().unwrap().len(), 1);
    assert_eq!(lines[1]["event"]["version"], manifest["list_version"]);
    let sha256 = school.stock(&recorded.folder, "sha256sum", &["manifest.json"]);
    let sha256 = String::from_utf8(sha256).unwrap();
    let sealed = &lines[3]["event"];
    assert_eq!(sealed["manifest"].as_str(), sha256.split(' ').next());
    assert_eq!(sealed["segments"], recorded.json["segments"]);
    assert_eq!(sealed["tracks_veiled"], recorded.json["tracks_veiled"]);
    let log = fs::read_to_string(school.store().join("audit/log.jsonl")).unwrap();
    assert!(!log.contains("Jantje") && !log.contains("age1"), "{log}");
    // The same settings again are no change of them; others are.
    school.record(&sample("obama_speech.mp4"), &options);
    let config = school.path("other.toml");
    fs::write(&config, "[recording]\nretain = \"3 d\"\n").unwrap();
    let more = [&options[..], &["--config", text(&config)]].concat();
    school.record(&sample("obama_speech.mp4"), &more);
    let changes = kinds(&school).iter().filter(|kind| *kind == "configuration-changed").count();
    assert_eq!(changes, 2);
}

#[test]
fn nothing_is_recorded_that_cannot_be_logged() {
    let school = School::with_refused_man();
    let clip = sample("obama_speech.mp4");
    let options = ["--dpia", "D-1"];
    // A log that was tampered with.
    let keys = Keys::of(&school);
    drop(keys.filled(3));
    let lines = keys.lines();
    fs::write(keys.log(), [&*lines[0], &*lines[2]].concat()).unwrap();
    let said = school.try_record(&clip, &options).ended(65);
    assert!(said.err.contains("line 2 was removed"), "{}", said.err);
    assert!(school.recordings().is_empty());
    // A log that cannot be written.
    fs::remove_dir_all(keys.store.join("audit")).unwrap();
    fs::write(keys.store.join("audit"), "in the way").unwrap();
    let said = school.try_record(&clip, &options);
    assert_ne!(said.code, Some(0), "{}", said.err);
    assert!(school.recordings().is_empty());
    fs::remove_file(keys.store.join("audit")).unwrap();
    // A disk that is full by the time a line is to be written: line 3 says that it is armed.
    drop(keys.open());
    for line in ["armed", "started"] {
        let mut strace = school.dressed(Command::new("strace"));
        let path = text(&keys.log()).to_owned();
        // Of the log's own writes: the configuration, armed, list-version, started.
        let nth = if line == "armed" { 2 } else { 3 };
        strace.args(["-f", "-qq", "-o", "/dev/null", "-P", &path, "-e", "trace=write", "-e"]);
        strace.arg(format!("inject=write:error=ENOSPC:when={nth}"));
        strace.arg(env!("CARGO_BIN_EXE_classveil"));
        strace.args(school.record_args(text(&clip))).args(options);
        let said = crate::scene::Said::from(strace.output().unwrap()).ended(74);
        assert!(said.err.contains("log.jsonl"), "{line}: {}", said.err);
        for recording in school.recordings() {
            let manifest = fs::read_to_string(recording.join("manifest.json")).unwrap();
            assert!(line == "started" && manifest.contains("the log could not be written"));
            assert!(!recording.join("cam1/000001.mp4.age").exists(), "{line}");
        }
        school.run(&VERIFY).ended(0);
    }
}

// Crashes at exact system calls: the test below runs itself under strace.

const CHILD: &str = "CLASSVEIL_TEST_AUDIT_CHILD";

/// Not a test of its own: opens the log and adds two lines, where the parent asks for it.
#[test]
fn child_that_logs() {
    let Some(root) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let keys = crash_keys(&root);
    let key = AuditKey::load(&keys.path).unwrap();
    let log = AuditLog::open(&keys.store, key, keys.box_key.public(), at(1)).unwrap();
    for n in 2..4 {
        let written = log.append(at(n), &fault(None)).unwrap();
        // What the line announces: it must never be there without the line.
        fs::write(root.join(format!("effect-{}", written.line)), "").unwrap();
    }
    fs::write(root.join("done"), "").unwrap();
}

fn crash_keys(root: &Path) -> Keys {
    let store = root.join("store");
    let box_key = BoxKey::load_or_create(&root.join("box.key"), &store).unwrap();
    Keys { store, box_key, path: root.join("audit.key") }
}

#[test]
fn killed_at_any_call_the_log_goes_on() {
    let calls =
        ["write", "fsync", "/^rename(at2?)?$", "/^mkdir(at)?$", "/^link(at)?$", "ftruncate"];
    let mut tried = 0;
    for call in calls {
        for nth in 1..60 {
            let keep = tempfile::tempdir().unwrap();
            let root = keep.path();
            let keys = crash_keys(root);
            drop(AuditKey::load_or_create(&keys.path, &keys.store).unwrap());
            let status = Command::new("strace")
                .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e"])
                .arg(format!("inject={call}:signal=KILL:when={nth}"))
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "audit::child_that_logs", "--test-threads=1"])
                .env(CHILD, root)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            let place = format!("{call} {nth}");
            let trust = AuditTrust::Own(AuditKey::load(&keys.path).unwrap());
            if keys.log().exists() {
                let read = check_log(&keys.store, &trust, &[]).unwrap();
                assert!(read.flaws.is_empty(), "{place}: {:?}", read.flaws);
            }
            let log = keys.open();
            let written = log.append(at(9), &fault(None)).unwrap();
            let read = check_log(&keys.store, &trust, &[]).unwrap();
            assert!(read.flaws.is_empty() && read.torn.is_none(), "{place}: {:?}", read.flaws);
            assert_eq!(read.lines, written.line, "{place}");
            for line in 2..4 {
                let effect = root.join(format!("effect-{line}")).exists();
                assert!(!effect || read.lines > line, "{place}: effect {line} without its line");
            }
            tried += 1;
            if status.success() && root.join("done").exists() {
                break;
            }
        }
    }
    assert!(tried > 20, "{tried} runs: strace injected nothing");
}
