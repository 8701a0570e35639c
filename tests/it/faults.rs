//! Promise: whatever fails on the way from the camera to the encoder, a frame is veiled, dropped, or
//! the recording stops. None shows who must not be seen, and a frame whose look was not completed is
//! veiled whole.
//!
//! Faults are made around the ordinary program, not in it: broken bytes, a stand-in for ONNX Runtime
//! that spoils chosen runs, a machine that is too slow, signals. Beside these:
//! - a model that is missing or changed, a runtime that is missing: `privacy::refusals`;
//! - files that are cut or broken: `record::inputs`, and which of their pictures: `capture`;
//! - a detector that is blind in one place: `veil::watch`, where the second look alone veils;
//! - a disk that is full: `privacy::refusals`.

mod inference;
mod input;
mod lists;
mod memory;
mod overload;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::{
    scene::{Recorded, Said, School, text},
    support::{project, runtime},
};

/// The refused man of `obama.jpg`.
const REFUSED: [&str; 4] = ["--policy", "refused", "--dpia", "D"];

/// A shared library made of one of the C files in `tests/fixtures/faults`.
pub(crate) fn library(name: &str) -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    static MADE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join(format!("{name}.so"));
    let _one_at_a_time = MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !path.exists() {
        let source = project("tests/fixtures/faults").join(format!("{name}.c"));
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .args([&path, &source])
            .args(["-ldl", "-lpthread", "-lm"])
            .output()
            .expect("a C compiler, which linking needs as well");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    path
}

/// Makes ONNX Runtime spoil some of its runs for a program: see `tests/fixtures/faults/onnxruntime.c`.
fn spoilt<'a>(command: &'a mut Command, fault: &str) -> &'a mut Command {
    command
        .env("CLASSVEIL_ONNXRUNTIME", library("onnxruntime"))
        .env("FAULT_RUNTIME", runtime())
        .env("FAULT", fault)
}

/// Records a whole input with spoilt runs.
#[track_caller]
fn record_spoilt(school: &School, input: &Path, fault: &str, more: &[&str]) -> Recorded {
    let mut command = school.command();
    spoilt(&mut command, fault).args(school.record_args(text(input))).args(REFUSED).args(more);
    let said = Said::from(command.output().expect("the program was built"));
    school.recorded(said.ended(0))
}

/// Numbers of the frames that were veiled whole, as the record of reasons has them.
fn veiled_whole(school: &School, recorded: &Recorded) -> Vec<usize> {
    let mut whole = Vec::new();
    for number in 1..=recorded.json["segments"].as_u64().unwrap() {
        let reasons = school.unseal(&recorded.folder, &format!("cam1/{number:06}.tracks.age"));
        let reasons: serde_json::Value = serde_json::from_slice(&reasons).unwrap();
        let frames = reasons["veiled_whole"].as_array().unwrap().iter();
        whole.extend(frames.map(|frame| frame.as_u64().unwrap() as usize));
    }
    whole
}
