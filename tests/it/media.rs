//! Clips, made by ffmpeg when a test wants them, and what ffprobe says about them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A file of `tests/samples`, which `make setup` fetches.
pub(crate) fn sample(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
    assert!(path.is_file(), "{} is missing: run make setup", path.display());
    path
}

/// A folder for clips that goes when the test ends.
pub(crate) struct Clips {
    folder: TempDir,
}

impl Clips {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `ffmpeg ARGS name` and gives the path of the clip.
    pub(crate) fn make(&self, name: &str, args: &str) -> PathBuf {
        let path = self.path(name);
        let output = Command::new("ffmpeg")
            .args(["-nostdin", "-y", "-loglevel", "error"])
            .args(args.split_whitespace())
            .arg(&path)
            .output()
            .expect("ffmpeg is installed");
        assert!(
            output.status.success() && path.is_file(),
            "ffmpeg {args}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        path
    }

    /// Writes bytes as a file.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("room in the temporary folder");
        path
    }
}

/// The lines that `ffprobe -of csv=p=0 ARGS PATH` prints.
pub(crate) fn ffprobe(path: &Path, args: &str) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(args.split_whitespace())
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("ffprobe prints UTF-8");
    text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect()
}

/// The times of all frames of the first video stream, in seconds from where the file starts. Sound
/// before zero is the run-up of its codec, which is not heard.
pub(crate) fn frame_times(path: &Path) -> Vec<f64> {
    let start: f64 = ffprobe(path, "-show_entries format=start_time")
        .first()
        .and_then(|line| line.parse().ok())
        .unwrap_or(0.0_f64)
        .max(0.0);
    ffprobe(path, "-select_streams v:0 -show_entries frame=best_effort_timestamp_time")
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| line.split(',').next().expect("a field"))
        .map(|field| field.parse::<f64>().expect("a time") - start)
        .collect()
}
