//! What is not as it should be is not recorded at all, or ends with what was whole by then.

use std::{fs, path::Path, process::Command};

use crate::{
    media::{Clips, frame_times, sample},
    scene::{Said, School, models_folder, text},
    support::runtime,
};

const REFUSED: [&str; 4] = ["--policy", "refused", "--dpia", "D"];

fn clip(clips: &Clips) -> std::path::PathBuf {
    let from = sample("obama_speech.mp4");
    clips.make("short.mp4", &format!("-t 2 -i {} -c copy", from.display()))
}

#[track_caller]
fn nothing_recorded(school: &School, said: Said, code: i32, says: &[&str]) {
    let said = said.ended(code);
    for part in says {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    assert!(school.recordings().is_empty(), "{}", said.err);
}

/// A model that is not the measured one is never run.
#[test]
fn a_changed_model_records_nothing() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let clip = clip(&clips);
    let models = school.path("models");
    fs::create_dir(&models).unwrap();
    let names = ["face_detection_yunet_2023mar.onnx", "face_recognition_sface_2021dec.onnx"];
    for name in names {
        fs::copy(models_folder().join(name), models.join(name)).unwrap();
    }
    fs::write(school.path("c.toml"), format!("[models]\nfolder = \"{}\"\n", models.display()))
        .unwrap();
    let record = |more: &[&str]| {
        let mut command = school.command();
        command.args(school.record_args(text(&clip))).args(REFUSED).args(["--config", "c.toml"]);
        command.args(more).env("CLASSVEIL_ONNXRUNTIME", runtime());
        Said::from(command.output().unwrap())
    };
    // The same files elsewhere, and the library by its variable: fine.
    record(&[]).ended(0);
    fs::remove_dir_all(school.store()).unwrap();
    for name in names {
        let path = models.join(name);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        nothing_recorded(&school, record(&[]), 78, &[name, "sha256", "make setup"]);
        fs::write(&path, whole).unwrap();
    }
    fs::remove_file(models.join(names[0])).unwrap();
    nothing_recorded(&school, record(&[]), 78, &[names[0], "make setup"]);
}

#[test]
fn a_missing_runtime_records_nothing() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let clip = clip(&clips);
    let wrong = clips.write("libwrong.so", b"no library");
    for library in [Path::new("/nowhere/libonnxruntime.so"), &wrong] {
        let mut command = school.command();
        command.args(school.record_args(text(&clip))).args(REFUSED);
        command.env("CLASSVEIL_ONNXRUNTIME", library);
        let said = Said::from(command.output().unwrap());
        nothing_recorded(&school, said, 78, &[text(library), "CLASSVEIL_ONNXRUNTIME"]);
    }
}

/// One wrong row and nothing of the list counts; every problem is told at once.
#[test]
fn a_bad_list_records_nothing() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let clip = clip(&clips);
    let good = "p-01,5b,refused,2026-09-01,refused.jpg\n";
    for (rows, says) in [
        (format!("{good}p-01,5b,consented,2026-09-01,\n"), &["list.csv:3:"][..]),
        (
            format!("{good}p-02,5b,maybe,2026-09-01,\np-03,5b,refused,yesterday,\n"),
            &["list.csv:3:", "list.csv:4:"],
        ),
        (
            format!("{good}p-02,5b,refused,2026-09-01,missing.jpg\n"),
            &["list.csv:3:", "missing.jpg"],
        ),
        (String::new(), &["list.csv"]),
    ] {
        school.list(&rows);
        nothing_recorded(&school, school.try_record(&clip, &REFUSED), 78, says);
    }
    school.photo("refused.jpg", "multi_face.jpg");
    school.list(good);
    nothing_recorded(&school, school.try_record(&clip, &REFUSED), 78, &["refused.jpg", "faces"]);
    fs::remove_file(school.path("list.csv")).unwrap();
    // Neither a list given nor one loaded.
    nothing_recorded(&school, school.try_record(&clip, &REFUSED), 66, &["pupils load"]);
    let args = ["--pupils", "none.csv", "--dpia", "D"];
    nothing_recorded(&school, school.try_record(&clip, &args), 66, &["none.csv"]);
}

#[test]
fn photos_need_an_impact_assessment() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let clip = clip(&clips);
    for policy in ["refused", "unless-cleared"] {
        for more in [&[][..], &["--dpia", " "]] {
            let args: Vec<&str> = ["--policy", policy].iter().chain(more).copied().collect();
            let said = school.try_record(&clip, &args);
            assert!(said.err.trim_end().lines().count() == 1, "one sentence: {}", said.err);
            nothing_recorded(&school, said, 78, &["--dpia REF", "[biometrics] dpia", "everyone"]);
        }
    }
    fs::write(school.path("c.toml"), "[biometrics]\ndpia = \"DPIA-7\"\n").unwrap();
    let recorded = school.record(&clip, &["--config", "c.toml"]);
    assert_eq!(recorded.manifest()["dpia"], "DPIA-7");
    let recorded = school.record(&clip, &["--policy", "everyone"]);
    assert_eq!(recorded.manifest()["dpia"], serde_json::Value::Null);
}

/// Recordings are never used for appraisal, and never made without a reader, a ground or an end.
#[test]
fn wrong_terms_record_nothing() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let clip = clip(&clips);
    for (more, code, says) in [
        (&["--purpose", "appraisal"][..], 64, "never used for appraisal"),
        (&["--purpose", "complaints"], 64, "never used for appraisal"),
        (&["--purpose", "marketing"], 64, "coaching"),
        (&["--legal-basis", "consent"], 64, "legitimate-interest"),
        (&["--retain", "0 d"], 64, "--retain"),
        (&["--retain", "2 y"], 64, "--retain"),
        (&["--retain", "366 d"], 64, "--retain"),
        (&["--segment", "31 s"], 64, "--segment"),
        (&["--class", "Jan de Vries"], 64, "--class"),
        (&["--policy", "nobody"], 64, "unless-cleared"),
        (&["--recipient", "age1nonsense"], 64, "age1nonsense"),
        (&["--recipient", "ssh-ed25519 AAAA"], 64, "ssh-ed25519"),
        (&["--box-key", "store/box.key"], 78, "store"),
    ] {
        let args: Vec<&str> = ["--dpia", "D"].iter().chain(more).copied().collect();
        let said = school.try_record(&clip, &args);
        assert!(said.err.contains(says), "{more:?}: {}", said.err);
        assert_eq!(said.code, Some(code), "{more:?}: {}", said.err);
        assert!(school.recordings().is_empty(), "{more:?}");
    }
    let nobody = ["record", "--input", text(&clip), "--store", "store", "--pupils", "list.csv"];
    nothing_recorded(&school, school.run(&nobody), 64, &["--recipient"]);
}

/// A store that cannot be written is found out before anything is recorded.
#[test]
fn a_store_that_cannot_be_written_records_nothing() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let clip = clip(&clips);
    fs::write(school.path("file"), "x").unwrap();
    let args: Vec<&str> = REFUSED.iter().chain(&["--store", "file/store"]).copied().collect();
    let mut command = school.command();
    let given: Vec<String> = school
        .record_args(text(&clip))
        .into_iter()
        .filter(|a| a != "--store" && a != "store")
        .collect();
    let said = Said::from(command.args(given).args(args).output().unwrap());
    nothing_recorded(&school, said, 74, &["file/store"]);
    // A read-only file system, which root meets as well.
    let said = strained(&school, &clip, "mkdir,mkdirat:error=EROFS", &[]);
    nothing_recorded(&school, said, 74, &["store"]);
}

/// Records with a system call that fails.
fn strained(school: &School, clip: &Path, inject: &str, more: &[&str]) -> Said {
    let mut strace = school.dressed(Command::new("strace"));
    let calls = inject.split(':').next().expect("calls");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    strace.args(["-e", &format!("inject={inject}"), env!("CARGO_BIN_EXE_classveil")]);
    strace.args(school.record_args(text(clip))).args(REFUSED).args(more);
    strace.output().expect("strace is installed").into()
}

/// When the disk is full, what was complete is sealed and the program says what happened.
#[test]
fn a_full_disk_leaves_whole_segments() {
    let school = School::with_refused_man();
    let from = sample("obama_speech.mp4");
    let whole = school.record(&from, &["--dpia", "D", "--segment", "1 s"]).json["segments"].clone();
    assert_eq!(whole, 9);
    // Keys and log stay: making them takes syncs too, and a log has to be written to begin at all.
    let recordings = school.store().join("recordings");
    fs::remove_dir_all(&recordings).unwrap();
    let more = ["--segment", "1 s"];
    for (name, when, last) in [("early", 24, 72), ("late", 40, 105)] {
        // From the n-th sync of each thread on, no space is left: a segment takes five.
        let inject = format!("fsync,fdatasync:error=ENOSPC:when={when}+");
        let said = strained(&school, &from, &inject, &more).ended(74);
        assert!(said.err.contains("No space left"), "{name}: {}", said.err);
        assert!(said.err.contains("make room on the disk"), "{name}: {}", said.err);
        let [cut] = &school.recordings()[..] else { panic!("{name}: one recording") };
        let json = said.json();
        assert_eq!(school.path(json["path"].as_str().unwrap()), *cut, "{json}");
        assert!(json["fault"].as_str().unwrap().contains("No space left"), "{json}");
        let kept = json["segments"].as_u64().unwrap();
        // Nothing can be synced any more, so its end cannot be written either.
        assert!(
            said.err.contains(&format!("its {kept} complete segments are kept")),
            "{}",
            said.err
        );
        assert!(said.err.contains("classveil recover --store DIR"), "{name}: {}", said.err);
        // A disk that is full cannot take the final manifest either; recovery seals it later.
        school.run(&["recover", "--store", "store"]).ended(0);
        school.run(&["verify", text(cut)]).ended(0);
        let opened = school.open(cut);
        let frames = frame_times(&opened).len();
        assert!((1..=last).contains(&frames), "{name}: {frames}");
        // The segment that failed may have got its name before it did.
        assert!(json["frames_out"].as_u64().unwrap() <= frames as u64, "{name}: {json}");
        fs::remove_dir_all(&recordings).unwrap();
        fs::remove_file(opened).unwrap();
    }
}

/// A file that grows beyond what the user may write ends the recording in the same way: here the
/// first seconds are dark and small.
#[test]
fn a_quota_leaves_whole_segments() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let dark = "-f lavfi -i color=black:s=640x480:r=25:d=3";
    let noise = "-f lavfi -i nullsrc=s=640x480:r=25:d=3,geq=random(1)*255:128:128";
    let filter = "-filter_complex [0:v][1:v]concat=n=2:v=1";
    let args =
        format!("{dark} {noise} {filter} -c:v libx264 -preset ultrafast -crf 30 -pix_fmt yuv420p");
    let clip = clips.make("noise.mp4", &args);
    let mut shell = school.dressed(Command::new("sh"));
    // 512-byte blocks.
    shell.args([
        "-c",
        "trap '' XFSZ; ulimit -f 200; exec \"$@\"",
        "sh",
        env!("CARGO_BIN_EXE_classveil"),
    ]);
    shell.args(school.record_args(text(&clip))).args(REFUSED).args(["--segment", "1 s"]);
    let said = Said::from(shell.output().unwrap()).ended(74);
    let [cut] = &school.recordings()[..] else { panic!("one recording") };
    let json = said.json();
    assert!(json["fault"].is_string(), "{json}");
    let sealed = format!("is sealed with the {} segments that were complete", json["segments"]);
    assert!(said.err.contains(&sealed), "{}", said.err);
    school.run(&["verify", text(cut)]).ended(0);
    let frames = frame_times(&school.open(cut)).len();
    assert!((50..=100).contains(&frames), "{frames}");
    assert_eq!(json["frames_out"], frames);
}
