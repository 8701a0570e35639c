//! The end of a recording: what is kept, and what is said of how it went.

use std::path::PathBuf;

use super::{chain::ChainError, ladder::Load, recorder::RecordError, tally::Progress};
use crate::vault::{Digest, Finished, Outcome, Overload, Sealed, VaultError, WriterThread};

/// What all cameras did together.
pub(super) fn together<'a>(cameras: impl Iterator<Item = &'a Progress>) -> Progress {
    cameras.fold(Progress::default(), |all, one| Progress {
        frames_in: all.frames_in + one.frames_in,
        frames_out: all.frames_out + one.frames_out,
        position: all.position.max(one.position),
        tracks: all.tracks + one.tracks,
        tracks_veiled: all.tracks_veiled + one.tracks_veiled,
        tracks_shown: all.tracks_shown + one.tracks_shown,
        veiled_whole: all.veiled_whole + one.veiled_whole,
        damaged: all.damaged + one.damaged,
        announced: all.announced.max(one.announced),
        displaced: all.displaced + one.displaced,
        load: Load {
            rung: all.load.rung.max(one.load.rung),
            furthest: all.load.furthest.max(one.load.furthest),
            changes: all.load.changes + one.load.changes,
            frames_late: all.load.frames_late + one.load.frames_late,
            frames_overload: all.load.frames_overload + one.load.frames_overload,
        },
        segments: all.segments + one.segments,
        away: all.away || one.away,
        gaps: all.gaps + one.gaps,
        failed: all.failed || one.failed,
        gap: all.gap + one.gap,
        looks: all.looks + one.looks,
        looking: all.looking + one.looking,
        waiting: all.waiting + one.waiting,
        held: all.held + one.held,
    })
}

/// What the manifest says of a recording that did not keep up with ease.
pub(super) fn overload(progress: &Progress) -> Option<Overload> {
    let load = progress.load;
    let strained = load.changes > 0 || load.frames_late + load.frames_overload > 0;
    strained.then(|| Overload {
        furthest: load.furthest.word().to_owned(),
        changes: load.changes,
        frames_late: load.frames_late,
        frames_overload: load.frames_overload,
    })
}

/// What is in the recording's folder at its end.
pub(super) struct Kept {
    pub(super) path: PathBuf,
    pub(super) segments: usize,
    pub(super) bytes: u64,
    pub(super) frames: u64,
    /// Digest of the signed manifest; none where it could not be signed.
    pub(super) manifest: Option<Digest>,
}

/// Seals the recording. What kept it from being longer, or from being sealed, is the fault then.
pub(super) fn finish(
    writer: WriterThread,
    outcome: Outcome,
    fault: &mut Option<RecordError>,
) -> Result<Kept, RecordError> {
    match writer.finish(outcome) {
        Ok(Finished { sealed, stopped }) => {
            if let Some(stopped) = stopped {
                // The chain only hears that writing has stopped; this says why.
                *fault = Some(stopped.into());
            }
            let Sealed { path, segments, bytes, frames, manifest, .. } = sealed;
            Ok(Kept { path, segments, bytes, frames, manifest: Some(manifest) })
        }
        Err(VaultError::NotSealed { path, segments, bytes, frames, source }) => {
            let kept = Kept { path: path.clone(), segments, bytes, frames, manifest: None };
            *fault = Some(VaultError::NotSealed { path, segments, bytes, frames, source }.into());
            Ok(kept)
        }
        Err(error) => Err(error.into()),
    }
}

/// What manifest and log may say of a fault: no paths, no names.
pub(super) fn fault_word(error: &RecordError) -> &'static str {
    match error {
        RecordError::Capture(_) | RecordError::Chain(ChainError::Capture(_)) => {
            "the source broke off"
        }
        RecordError::Chain(ChainError::FrameSize { .. }) => "the source changed its size",
        RecordError::Encode(_) | RecordError::Chain(ChainError::Encode(_)) => "the encoder failed",
        RecordError::Vault(_) | RecordError::Chain(ChainError::Vault(_)) => "writing failed",
        RecordError::Empty => "the source had no pictures",
        RecordError::Audit(_) | RecordError::Chain(ChainError::Audit(_)) => {
            "the log could not be written"
        }
        _ => "a fault of the program",
    }
}
