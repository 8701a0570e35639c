//! Promises 3, 4 and 7 beside the disk: memory that is never dumped, keys that the box does not
//! have, logs that name nobody.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    media::{Clips, sample},
    record::stop::{Running, endless},
    scene::{School, text},
};

/// A process that holds pictures writes no core and is in no swap.
#[test]
fn a_running_recording_dumps_no_core() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let clip = endless(&clips);
    let mut running = Running::start(&school, text(&clip), &["--dpia", "D", "--segment", "2 s"]);
    running.until_first_segment(&school);
    let process = PathBuf::from(format!("/proc/{}", running.pid().as_raw_nonzero()));
    let limits = fs::read_to_string(process.join("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    if rustix::process::geteuid().is_root() {
        let status = fs::read_to_string(process.join("status")).unwrap();
        let locked = status.lines().find(|line| line.starts_with("VmLck")).unwrap();
        let locked: u64 = locked.split_whitespace().nth(1).unwrap().parse().unwrap();
        let capable = status.lines().find(|line| line.starts_with("CapEff")).unwrap();
        let capable = u64::from_str_radix(capable.split_whitespace().nth(1).unwrap(), 16).unwrap();
        // CAP_IPC_LOCK is number 14; a container's root may lack it.
        if capable & (1 << 14) != 0 {
            assert!(locked > 10_000, "{locked} kB are locked");
        }
    }
    running.send(rustix::process::Signal::ABORT);
    let said = running.end();
    assert_eq!(said.code, None, "killed by the signal");
    let mut left = fs::read_dir(school.path("")).unwrap().map(|e| e.unwrap().file_name());
    assert!(!left.any(|name| name.to_string_lossy().contains("core")));
}

/// Whoever takes the box, with its disk and every key on it, opens nothing.
#[test]
fn the_box_cannot_open_what_it_sealed() {
    let school = School::with_refused_man();
    let load = ["pupils", "load", "list.csv", "--store", "store", "--dpia", "D"];
    school.run(&load).ended(0);
    // The list stays at the office.
    fs::remove_file(school.path("list.csv")).unwrap();
    let clips = Clips::new();
    let from = sample("obama_speech.mp4");
    let clip = clips.make("short.mp4", &format!("-t 2 -i {} -c copy", from.display()));
    let recorded = school.record(&clip, &["--policy", "refused", "--dpia", "D"]);
    school.open(&recorded.folder);

    let on_the_box: Vec<PathBuf> =
        ["home", "store"].iter().flat_map(|folder| files(&school.path(folder))).collect();
    let named = |start: &str, end: &str| {
        on_the_box.iter().find(|path| {
            let name = path.file_name().expect("a name").to_str().expect("UTF-8");
            name.starts_with(start) && name.ends_with(end)
        })
    };
    assert!(named("box", ".key").is_some() && named("box", ".pub").is_some(), "{on_the_box:#?}");
    let gallery = named("gallery", ".key").expect("the gallery's key");
    let sealed: Vec<PathBuf> = files(&recorded.folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "age"))
        .collect();
    assert_eq!(sealed.len(), 4, "{sealed:#?}");
    let mut identities = 0;
    for identity in &on_the_box {
        let bytes = fs::read(identity).unwrap();
        identities += u32::from(bytes.starts_with(b"AGE-SECRET-KEY-") || bytes.starts_with(b"# "));
        for file in &sealed {
            let tried = Command::new("age")
                .args(["-d", "-i", text(identity), "-o", "/dev/null", text(file)])
                .stdin(std::process::Stdio::null())
                .output()
                .expect("age is installed");
            assert!(!tried.status.success(), "{} opens {}", identity.display(), file.display());
        }
    }
    assert!(identities > 0, "the gallery's key is an age identity: {on_the_box:#?}");
    let args = ["open", text(&recorded.folder), "--identity", text(gallery), "--output", "x.mp4"];
    school.run(&args).ended(77);
    assert!(!school.path("x.mp4").exists());
    // The teacher's own public key is there; the secret half never was.
    let secret = fs::read_to_string(school.path("teacher.key")).unwrap();
    let secret = secret.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap();
    for path in &on_the_box {
        let bytes = fs::read(path).unwrap();
        assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{}", path.display());
    }
}

/// With everything logged that can be, nobody is named and no text for key holders is told.
#[test]
fn logs_name_nobody() {
    let school = School::new();
    school.photo("jantje-de-vries.jpg", "obama.jpg");
    school.list("p-01,5b,refused,2026-09-01,jantje-de-vries.jpg\n");
    let clips = Clips::new();
    let from = sample("obama_speech.mp4");
    let clip = clips.make("short.mp4", &format!("-t 3 -i {} -c copy", from.display()));
    let recorded = school.record(
        &clip,
        &[
            "--policy",
            "refused",
            "--dpia",
            "D",
            "--log",
            "trace",
            "--question",
            "Why is Aisha quiet?",
            "--audio",
            "keep",
            "--audio-reason",
            "the voice of Mohammed",
        ],
    );
    let log = &recorded.err;
    assert!(log.contains("segment handed to the writer"), "{log}");
    // The library's own lines, about each weight of a model, would drown the program's.
    assert!(!log.contains("ort::logging"), "{log}");
    let manifest = fs::read_to_string(recorded.folder.join("manifest.json")).unwrap();
    let journal = fs::read_to_string(recorded.folder.join("segments.jsonl")).unwrap();
    for said in [log, &manifest, &journal, &recorded.json.to_string()] {
        for name in ["jantje", "Aisha", "Mohammed", "refused.jpg", "AGE-SECRET-KEY"] {
            assert!(!said.contains(name), "{name} is told: {said}");
        }
        // An embedding or a row of pixels is a long list of numbers.
        let numbers = said.split(|c: char| c.is_whitespace()).fold((0, 0), |(run, most), word| {
            let number = word.trim_matches(['[', ']', ',']).parse::<f32>().is_ok();
            let run = if number { run + 1 } else { 0 };
            (run, most.max(run))
        });
        assert!(numbers.1 < 8, "a list of {} numbers", numbers.1);
    }
    // Sealed as well, reasons name people by pseudonym only.
    let reasons = school.unseal(&recorded.folder, "cam1/000001.tracks.age");
    let reasons = String::from_utf8(reasons).unwrap();
    assert!(reasons.contains("p-01") && !reasons.contains("jantje"), "{reasons}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
