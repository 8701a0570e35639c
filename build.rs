//! Looks whether the pages that the program carries were built. Builds nothing itself: a build of the
//! program must not fetch packages.

use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=ui/dist");
    for page in ["ui/dist/index.html", "ui/dist/viewer.html"] {
        if !Path::new(page).is_file() {
            println!(
                "cargo::error={page} is missing: the pages are not built; run `make setup`, which \
                 builds them"
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
