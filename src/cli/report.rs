//! What `classveil record` says when a recording is over.

use std::path::Path;

use super::{Failure, output};
use crate::{
    appliance::{Report, Rung},
    units::RecordingId,
    vault::ListChange,
    veil::policy::Policy,
};

#[derive(serde::Serialize)]
struct Summary<'a> {
    recording: RecordingId,
    path: &'a Path,
    segments: usize,
    frames_in: u64,
    frames_out: u64,
    /// Followed faces; one that was veiled and shown at different times counts once.
    tracks: u64,
    tracks_veiled: u64,
    tracks_shown: u64,
    frames_veiled_whole: u64,
    frames_damaged: u64,
    /// Frames of a camera that gave way to newer ones: in a slow moment, or because the machine is too
    /// slow.
    frames_displaced: u64,
    frames_late: u64,
    frames_overload: u64,
    /// How far the machine's effort was turned down: none, cadence, resolution, preset or frames.
    gave_way: &'static str,
    effort_changes: u64,
    seconds: f64,
    bytes: u64,
    policy: Policy,
    policy_asked: Policy,
    /// Pupil lists that took the place of the first one.
    lists: &'a [ListChange],
    lists_refused: u32,
    encoder: &'a str,
    delete_by: jiff::Timestamp,
    /// What the operator should know of a recording that is complete.
    warnings: Vec<String>,
    fault: Option<String>,
}

/// What the input lacked, though the recording went on to its end.
fn warnings(report: &Report) -> Vec<String> {
    let Report { progress, .. } = report;
    let mut warnings = Vec::new();
    if let Some(announced) = progress.announced {
        warnings.push(format!(
            "the pictures end at {:.1} s and the input says it lasts {:.1} s: it may have been cut; \
             compare it with the original",
            report.seconds,
            announced.as_secs_f64()
        ));
    }
    if progress.damaged > 0 {
        let frames = if progress.damaged == 1 { "frame" } else { "frames" };
        warnings.push(format!(
            "{} {frames} could not be decoded and are veiled whole: the input is damaged; copy or \
             export it again if more of it is needed",
            progress.damaged
        ));
    }
    if report.lists_refused > 0 {
        let times = if report.lists_refused == 1 { "once" } else { "several times" };
        warnings.push(format!(
            "{times} a new pupil list could not be used and the one before stayed in force: whoever \
             refused only in the new one may be seen"
        ));
    }
    if progress.load.furthest == Rung::Frames {
        warnings.push(format!(
            "the machine is too slow for this camera: {} frames were dropped unseen; set the camera to \
             a smaller picture or fewer frames a second",
            progress.load.frames_overload
        ));
    }
    warnings
}

/// Prints what came of the recording, and fails where it ended early. `said` is a warning that was given
/// when it began.
pub(super) fn finish(
    json: bool,
    said: Option<&str>,
    (report, delete_by): (Report, jiff::Timestamp),
) -> Result<(), Failure> {
    let progress = report.progress;
    let warnings = warnings(&report);
    for warning in &warnings {
        output::note(format_args!("warning: {warning}"));
    }
    let warnings = warnings.into_iter().chain(said.map(str::to_owned)).collect();
    if json {
        output::json(&Summary {
            recording: report.id,
            path: &report.path,
            segments: report.segments,
            frames_in: progress.frames_in,
            frames_out: progress.frames_out,
            tracks: progress.tracks,
            tracks_veiled: progress.tracks_veiled,
            tracks_shown: progress.tracks_shown,
            frames_veiled_whole: progress.veiled_whole,
            frames_damaged: progress.damaged,
            frames_displaced: progress.displaced,
            frames_late: progress.load.frames_late,
            frames_overload: progress.load.frames_overload,
            gave_way: progress.load.furthest.word(),
            effort_changes: progress.load.changes,
            seconds: report.seconds,
            bytes: report.bytes,
            policy: report.policy,
            policy_asked: report.policy_asked,
            lists: &report.lists,
            lists_refused: report.lists_refused,
            encoder: &report.encoder,
            delete_by,
            warnings,
            fault: report.fault.as_ref().map(ToString::to_string),
        });
    } else {
        output::line(format_args!("recording {}", report.id));
        output::line(format_args!("  folder    {}", report.path.display()));
        output::line(format_args!(
            "  length    {:.1} s, {} frames in, {} out, {} segments, {}",
            report.seconds,
            progress.frames_in,
            progress.frames_out,
            report.segments,
            report.encoder
        ));
        output::line(format_args!(
            "  faces     {} tracks: {} veiled, {} shown (policy {})",
            progress.tracks, progress.tracks_veiled, progress.tracks_shown, report.policy
        ));
        if progress.veiled_whole > 0 {
            output::line(format_args!(
                "  whole     {} frames veiled whole for want of a complete look",
                progress.veiled_whole
            ));
        }
        if progress.displaced > 0 {
            let (late, overload) = (progress.load.frames_late, progress.load.frames_overload);
            output::line(format_args!(
                "  dropped   {} frames: {late} in slow moments, {overload} because the machine is too \
                 slow",
                progress.displaced
            ));
        }
        output::line(format_args!("  delete by {delete_by}"));
    }
    let Some(error) = report.fault else { return Ok(()) };
    let Failure { kind, message } = error.into();
    Err(if report.is_sealed {
        let (path, segments) = (report.path.display(), report.segments);
        Failure::new(
            kind,
            format!(
                "the recording ended early: {message}; {path} is sealed with the {segments} segments \
                 that were complete"
            ),
        )
    } else {
        Failure::new(kind, message)
    })
}
