//! `classveil open`: decrypts and joins a recording for a person who holds a key.

use std::{
    ops::ControlFlow,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{
    Failure,
    identity::Passphrase,
    output, paths,
    places::{Within, store_of},
    retention::refuse_withheld,
    verify::{note_end, note_trust},
};
use crate::{
    clock::{Clock, SystemClock},
    error::ErrorKind,
    shutdown::Shutdown,
    units::CameraId,
    vault::{Checked, Existing, Opened, Output, Trust, VaultError, access::Note, check, open},
};

/// Decrypt a recording and join its segments into an MP4 file.
///
/// Checks everything that `classveil verify` checks first. Nothing is encoded again. On any failure
/// no file is left behind.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil open STORE/recordings/0197c2a0-... --identity teacher.key --output lesson.mp4\n  \
    classveil open REC --identity coach.key --camera cam2 --output cam2.mp4 --box-key box.pub\n  \
    classveil open 0197c2a0-... --store COPY --identity teacher.key --output lesson.mp4 --json\n\n\
    A recording of several cameras gives lesson-cam1.mp4, lesson-cam2.mp4 and so on, unless\n\
    --camera names one. The file is plain video: delete it when you are done.\n\n\
    Exit codes: 0 opened, 65 damaged or tampered with, 66 no recording, 75 still recording,\n\
    77 wrong key or signed by another box, 78 the output exists, or cut off and not recovered.")]
pub(super) struct Args {
    #[command(flatten)]
    of: Wanted,
    /// The MP4 file to write.
    #[arg(short, long, value_name = "OUT.mp4")]
    output: PathBuf,
    /// Only this camera.
    #[arg(long, value_name = "ID")]
    camera: Option<CameraId>,
    /// Replace the output where it is an ordinary file; a key, link, pipe or device is never replaced.
    #[arg(long)]
    force: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A recording that somebody opens with a key of their own.
#[derive(Debug, clap::Args)]
pub(super) struct Wanted {
    /// The recording: its folder, or its id.
    #[arg(value_name = "RECORDING")]
    recording: String,
    #[command(flatten)]
    within: Within,
    /// Your secret key, made by `classveil keygen` or `age-keygen`.
    #[arg(short, long, value_name = "FILE")]
    identity: PathBuf,
    #[command(flatten)]
    passphrase: Passphrase,
    /// Public key of the box that must have signed it [default: this machine's own].
    #[arg(long, value_name = "FILE.pub")]
    box_key: Option<PathBuf>,
}

impl Wanted {
    /// By which key the box must have signed it.
    pub(super) fn trust(&self) -> Result<Trust, Failure> {
        paths::trust_by(self.box_key.as_deref(), &self.within.config()?)
    }

    /// Opens it, once it is whole, `allowed`, and neither withheld nor over for who asks.
    pub(super) fn open(
        &self,
        allowed: impl FnOnce(&Checked) -> Result<(), Failure>,
    ) -> Result<Opened, Failure> {
        let config = self.within.config()?;
        let trust = paths::trust_by(self.box_key.as_deref(), &config)?;
        let folder = self.within.folder(&self.recording, &config)?;
        let bar = ProgressBar::new_spinner();
        let checked = check(&folder, &trust, |bytes| bar.set_message(checking(bytes)))?;
        bar.finish_and_clear();
        note_trust(&checked, &trust);
        allowed(&checked)?;
        if let Some(store) = store_of(&folder) {
            refuse_withheld(&store, checked.manifest().recording, &config)?;
        }
        note_exposed(&self.identity);
        let key = self.passphrase.open(&self.identity)?;
        let opened = open(checked, key.path())?;
        refuse_ended(&opened)?;
        note_end(opened.checked());
        Ok(opened)
    }
}

#[derive(Serialize)]
struct Written {
    path: PathBuf,
    camera: CameraId,
    frames: u64,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let opened =
        args.of.open(|checked| refuse_inside(&args.output, checked).map_err(Failure::from))?;
    for note in opened.notes() {
        let Note { request, by, added, text } = note;
        output::note(format_args!("note {request} of {by}, added {added}:"));
        text.lines().for_each(|line| output::note(format_args!("  {line}")));
    }
    write(args, &opened)
}

/// A grant that is over opens nothing more, even where its file is still there.
fn refuse_ended(opened: &Opened) -> Result<(), Failure> {
    match opened.grant() {
        Some(grant) if grant.until <= SystemClock.now() => Err(Failure::new(
            ErrorKind::Denied,
            format!(
                "{} was granted this recording until {}: ask {} for another grant",
                grant.person, grant.until, grant.by
            ),
        )),
        _ => Ok(()),
    }
}

/// Says when others may read the key: then they can open what it opens.
fn note_exposed(identity: &Path) {
    let Ok(found) = std::fs::metadata(identity) else { return };
    let mode = found.permissions().mode() & 0o777;
    if found.is_file() && mode & 0o077 != 0 {
        output::note(format_args!(
            "warning: {} can be read by others (mode {mode:03o}): run `chmod 600` on it, and make a new \
             key if it was shared",
            identity.display()
        ));
    }
}

fn write(args: &Args, opened: &Opened) -> Result<(), Failure> {
    // From here on there may be pictures on disk, so a signal ends in the same way as a failure.
    let shutdown = Shutdown::new();
    shutdown.on_signals().map_err(|error| {
        Failure::new(ErrorKind::of_io(&error), format!("cannot handle signals: {error}"))
    })?;
    let existing = if args.force { Existing::ReplaceBut(keys(args)) } else { Existing::Keep };
    let mut outputs = Vec::new();
    let mut written = Vec::new();
    for (camera, path) in targets(args, opened.checked()) {
        let mut output = Output::create(&path, existing.clone())?;
        let bar = bar(opened.checked(), &camera);
        let joined = opened.join(&camera, &mut output, |bytes| {
            bar.set_position(bytes);
            if shutdown.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        bar.finish_and_clear();
        written.push(Written { path, camera, frames: joined.frames });
        outputs.push(output);
    }
    Output::publish_all(outputs)?;
    if args.json {
        output::json(&serde_json::json!({ "files": written }));
        return Ok(());
    }
    for Written { path, camera, frames } in &written {
        output::line(format_args!("{} {camera} {frames} frames", path.display()));
    }
    Ok(())
}

/// Keys that this command knows of: a slip of the hand must not replace one by a video.
fn keys(args: &Args) -> Vec<PathBuf> {
    let mut keys = vec![args.of.identity.clone()];
    keys.extend(args.of.box_key.clone());
    keys.extend(paths::default_box_key());
    keys
}

/// The cameras to open and the file for each. Cameras without a picture are left out where nobody
/// asked for them.
fn targets(args: &Args, checked: &Checked) -> Vec<(CameraId, PathBuf)> {
    let manifest = checked.manifest();
    if let Some(camera) = &args.camera {
        return vec![(camera.clone(), args.output.clone())];
    }
    match &manifest.cameras[..] {
        [camera] => vec![(camera.clone(), args.output.clone())],
        cameras => {
            let mut with_pictures: Vec<_> = cameras
                .iter()
                .filter(|camera| manifest.segments_of(camera).next().is_some())
                .collect();
            if with_pictures.is_empty() {
                // The error then names the first.
                with_pictures.extend(cameras.first());
            }
            with_pictures
                .into_iter()
                .map(|camera| (camera.clone(), with_camera(&args.output, camera)))
                .collect()
        }
    }
}

/// `lesson.mp4` becomes `lesson-cam1.mp4`.
fn with_camera(path: &Path, camera: &CameraId) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}-{camera}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{camera}"),
    };
    path.with_file_name(name)
}

/// A file inside the recording would make it fail its next check.
fn refuse_inside(path: &Path, checked: &Checked) -> Result<(), VaultError> {
    let real = std::path::absolute(path)
        .ok()
        .and_then(|path| path.parent()?.canonicalize().ok())
        .zip(checked.path().canonicalize().ok());
    match real {
        Some((parent, recording)) if parent.starts_with(&recording) => {
            Err(VaultError::OutputInside { path: path.to_owned() })
        }
        _ => Ok(()),
    }
}

fn bar(checked: &Checked, camera: &CameraId) -> ProgressBar {
    let total = checked.manifest().segments_of(camera).map(|segment| segment.video.bytes).sum();
    // Draws on a terminal only.
    let bar = ProgressBar::new(total).with_message(format!("opening {camera}"));
    ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {eta}")
        .map_or(bar.clone(), |style| bar.with_style(style))
}

fn checking(bytes: u64) -> String {
    format!("checking, {} MB", bytes / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_camera_has_its_own_file() {
        let camera: CameraId = "cam2".parse().unwrap();
        assert_eq!(with_camera(Path::new("a/l.x.mp4"), &camera), Path::new("a/l.x-cam2.mp4"));
        assert_eq!(with_camera(Path::new("lesson"), &camera), Path::new("lesson-cam2"));
    }
}
