//! The pages and the viewer, in a real browser. What is done and looked at there is in
//! `ui/test/browser`; here are the recordings and the box that it is done to.

use std::{fs, path::Path, process::Command};

use crate::{
    media::sample,
    scene::{School, text},
    support::project,
};

/// Runs a program of Node's; its output is the failure's text.
#[track_caller]
fn node(script: &str, args: &[&str]) {
    let said = Command::new("node")
        .arg(project(script))
        .args(args)
        .current_dir(project("ui"))
        .output()
        .unwrap_or_else(|e| panic!("node: {e}; `make setup` installs it"));
    let out = String::from_utf8_lossy(&said.stdout);
    let err = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{script}\n{out}\n{err}");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_pages_own_tests_pass() {
    node("ui/node_modules/vitest/vitest.mjs", &["run"]);
}

/// A real recording in the viewer that is one file: it plays for who may look and for nobody else,
/// whatever was altered is refused with its reason, and nothing decrypted stays.
#[test]
fn the_viewer_plays_what_is_whole_and_refuses_the_rest() {
    let school = School::with_refused_man();
    let clip = sample("obama_speech.mp4");
    let words = ["--policy", "refused", "--dpia", "D", "--segment", "2 s", "--teacher", "t-07"];
    let words = [&words[..], &["--box-key", "box.key"]].concat();
    let recorded = school.record(&clip, &words);
    let folder = school.path("viewer");
    copy_folder(&recorded.folder, &folder.join("recording"));
    fs::copy(school.store().join("box.pub"), folder.join("box.pub")).unwrap();
    fs::copy(school.path("teacher.key"), folder.join("teacher.key")).unwrap();
    school.run(&["keygen", "--output", text(&folder.join("other.key"))]).ended(0);
    let public = folder.join("other-box.pub");
    let made = Command::new("minisign")
        .args(["-G", "-W", "-p", text(&public), "-s", text(&folder.join("other-box.key"))])
        .output()
        .unwrap_or_else(|e| panic!("minisign: {e}; `make setup` installs it"));
    assert!(made.status.success(), "{made:?}");
    // The very file that the program hands out, signed as stock minisign checks it.
    let viewer = folder.join("viewer.html");
    let args = ["viewer", "--output", text(&viewer), "--box-key", "box.key"];
    school.run(&args).ended(0);
    school.run(&args).ended(78);
    let public = folder.join("box.pub");
    let checked =
        Command::new("minisign").args(["-Vqm", text(&viewer), "-p", text(&public)]).status();
    assert!(checked.unwrap().success());
    node("ui/test/browser/viewer.mjs", &[text(&folder)]);
}
