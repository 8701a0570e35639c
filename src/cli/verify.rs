//! `classveil verify`: checks a recording without a key.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Failure, output, paths, places::Within};
use crate::{
    clock::{Clock, SystemClock},
    error::ErrorKind,
    units::CameraId,
    vault::{Checked, Fault, State, Trust, VaultError, check},
};

/// Check a recording without a key.
///
/// Checks signature, chain, sizes and digests, and that nothing is missing, added or reordered. Where the
/// box's key is neither given nor this machine's own, any box could have made it: then this fails, and says
/// so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil verify STORE/recordings/0197c2a0-...\n  \
    classveil verify --box-key STORE/box.pub --json /media/usb/0197c2a0-...\n  \
    classveil verify 0197c2a0-... --store /srv/classveil\n  \
    minisign -Vm manifest.json -p STORE/box.pub          # stock minisign checks the signature\n\n\
    Exit codes: 0 whole, 65 damaged or tampered with, 66 no recording, 75 still recording,\n\
    77 signed by another box, or by one for whose key nobody vouches, 78 cut off and not yet recovered.")]
pub(super) struct Args {
    /// The recording: its folder, or its id.
    #[arg(value_name = "RECORDING")]
    recording: String,
    #[command(flatten)]
    within: Within,
    /// Public key of the box that must have signed it [default: this machine's own].
    #[arg(long, value_name = "FILE.pub")]
    box_key: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    path: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<Whole<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    faults: &'a [Fault],
}

#[derive(Serialize)]
struct Whole<'a> {
    id: String,
    state: State,
    cameras: Vec<&'a str>,
    segments: usize,
    bytes: u64,
    purpose: String,
    delete_by: jiff::Timestamp,
    may_miss_ms: Option<u64>,
    fault: Option<&'a str>,
    box_key: String,
    pinned: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.within.config()?;
    let trust = paths::trust_by(args.box_key.as_deref(), &config)?;
    let folder = args.within.folder(&args.recording, &config)?;
    match check(&folder, &trust, |_| ()) {
        Ok(checked) => {
            note_end(&checked);
            print(args.json, &folder, &checked, &trust);
            refuse_unpinned(&trust, &checked.signer().id())
        }
        Err(error) => {
            if args.json {
                let faults = match &error {
                    VaultError::Damaged { faults, .. } => &faults[..],
                    _ => &[],
                };
                let error = Some(error.to_string());
                let path = &folder;
                output::json(&Report { ok: false, path, recording: None, error, faults });
            }
            Err(error.into())
        }
    }
}

fn print(json: bool, path: &Path, checked: &Checked, trust: &Trust) {
    let manifest = checked.manifest();
    if json {
        let whole = Whole {
            id: manifest.recording.to_string(),
            state: manifest.state,
            cameras: manifest.cameras.iter().map(CameraId::as_str).collect(),
            segments: manifest.segments.len(),
            bytes: manifest.bytes(),
            purpose: manifest.purpose.to_string(),
            delete_by: manifest.delete_by,
            may_miss_ms: manifest.may_miss_ms,
            fault: manifest.fault.as_deref(),
            box_key: checked.signer().id(),
            pinned: matches!(trust, Trust::Pinned(_)),
        };
        let (ok, error) = (whole.pinned, None);
        output::json(&Report { ok, path, recording: Some(whole), error, faults: &[] });
    } else {
        output::line(format_args!(
            "{}: whole, {} segments, {} bytes, for {}, delete by {}, box key {}",
            manifest.recording,
            manifest.segments.len(),
            manifest.bytes(),
            manifest.purpose,
            manifest.delete_by,
            checked.signer().id(),
        ));
    }
}

/// A check that nobody can rely on is none that succeeded: whoever made the thing chose the key.
pub(super) fn refuse_unpinned(trust: &Trust, key: &str) -> Result<(), Failure> {
    match trust {
        Trust::Pinned(_) => Ok(()),
        Trust::Unpinned => Err(Failure::new(
            ErrorKind::Denied,
            format!(
                "unpinned key {key}: nothing is damaged, and anybody could have signed this with a key of \
                 their own; give the box's own key with --box-key FILE.pub"
            ),
        )),
    }
}

/// Says when nobody vouches for the key that signed.
pub(super) fn note_trust(checked: &Checked, trust: &Trust) {
    if matches!(trust, Trust::Unpinned) {
        output::note(format_args!(
            "warning: unpinned key {}: this shows damage but not forgery; give the box's own key \
             with --box-key FILE.pub",
            checked.signer().id()
        ));
    }
}

/// Says how the recording ended, where it did not end well, and whether it should be gone.
pub(super) fn note_end(checked: &Checked) {
    let manifest = checked.manifest();
    if let Some(may_miss_ms) = manifest.may_miss_ms {
        output::note(format_args!(
            "note: this recording was cut off: up to {} s of its end may be missing",
            may_miss_ms.div_ceil(1000)
        ));
    }
    if let Some(fault) = &manifest.fault {
        output::note(format_args!("note: this recording ended early: {fault}"));
    }
    for gap in &manifest.gaps {
        output::note(format_args!(
            "note: nothing is kept of {} from {} to {}: {}",
            gap.camera, gap.from_ns, gap.to_ns, gap.why
        ));
    }
    if manifest.delete_by <= SystemClock.now() {
        output::note(format_args!(
            "WARNING: this recording had to be deleted by {}: delete it and every copy of it",
            manifest.delete_by
        ));
    }
}
