//! A finished segment on its way to the writer: with what was counted of it, and what it says of itself.
//!
//! Runs on the camera's thread, which waits here where the disk does. Does not belong: what ends a segment
//! (`encode`), sealing and naming it (`vault`).

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::{
    chain::{Chain, ChainError},
    recorder::note_fault,
    tally::Tally,
};
use crate::{
    encode::MediaSegment,
    units::{CameraId, Pts},
    vault::{RetentionRecord, SegmentFile, SegmentSender},
};

/// A segment that the disk takes longer for than this is worth saying.
const HELD_UP: Duration = Duration::from_secs(10);

impl Chain<'_> {
    pub(super) fn hand_over(
        &mut self,
        segments: Vec<MediaSegment>,
        tally: &mut Tally,
    ) -> Result<(), ChainError> {
        let began = Instant::now();
        for segment in segments {
            hand_over(&self.camera, &self.retention, self.started, &self.sender, segment, tally)?;
        }
        if began.elapsed() >= HELD_UP {
            tracing::error!(camera = %self.camera, waited = ?began.elapsed(), "the disk held it up");
            note_fault(self.around, self.recording, "the disk held the recording up");
        }
        Ok(())
    }
}

/// One of them.
pub(super) fn hand_over(
    camera: &CameraId,
    retention: &RetentionRecord,
    started: Timestamp,
    sender: &SegmentSender,
    segment: MediaSegment,
    tally: &mut Tally,
) -> Result<(), ChainError> {
    let (number, frames) = (segment.number(), segment.frames());
    let (start, end) = (segment.start(), segment.end());
    let check = tally.check.take(&frames);
    let (tracks, counts) = tally.reasons.take(camera, number, frames, start, end);
    let offset = SignedDuration::try_from(start.since(Pts::ZERO)).unwrap_or(SignedDuration::ZERO);
    let recorded_at = started.checked_add(offset).unwrap_or(started);
    let comment = retention.comment(camera, number, recorded_at, counts, check);
    let frames = segment.frame_count() as u64;
    let mp4 = segment.into_mp4(&comment)?;
    sender.send(SegmentFile { camera: camera.clone(), number, mp4, tracks, frames, start, end })?;
    tally.progress.frames_out += frames;
    tally.progress.segments += 1;
    tracing::info!(%camera, segment = number, frames, "segment handed to the writer");
    Ok(())
}
