//! What a camera's chain has counted and not told yet.
//!
//! Belongs here: how far it is, for whoever asks, and what it collects for the segment that is being made.
//! Does not belong: carrying frames (`chain`), handing segments over (`handover`).

use std::{collections::BTreeSet, ops::Range, time::Duration};

use super::{ladder::Load, reasons::Reasons};
use crate::{
    units::{Pts, TrackId},
    vault::SelfCheck,
};

/// How far a recording is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Frames taken from the camera.
    pub frames_in: u64,
    /// Frames in finished segments.
    pub frames_out: u64,
    /// Time of the newest frame.
    pub position: Pts,
    /// Tracks, each counted once.
    pub tracks: u64,
    /// Tracks that were veiled in at least one frame.
    pub tracks_veiled: u64,
    /// Tracks that were shown in at least one frame.
    pub tracks_shown: u64,
    /// Frames veiled whole.
    pub veiled_whole: u64,
    /// Frames of them that could not be decoded.
    pub damaged: u64,
    /// The length that a file announced, where its pictures ended well before.
    pub announced: Option<Duration>,
    /// Frames of a live camera that gave way to newer ones.
    pub displaced: u64,
    /// Why they did, and what else gave way.
    pub load: Load,
    /// Segments handed to the writer.
    pub segments: u32,
    /// The camera is away, and dialled again.
    pub away: bool,
    /// How often it was.
    pub gaps: u32,
    /// It ended before the recording did, and does not come back.
    pub failed: bool,
    /// For how long altogether, without the time that it is away now.
    pub gap: Duration,
    /// Frames that were looked at.
    pub looks: u64,
    /// For how long altogether.
    pub looking: Duration,
    /// Frames that wait to be taken from the camera.
    pub waiting: usize,
    /// Frames in the look-ahead.
    pub held: usize,
}

/// What changes while a chain runs.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) progress: Progress,
    /// Number of the next frame; some numbers are left out where frames are.
    pub(super) seq: u64,
    /// Nothing before this is taken.
    pub(super) dropped_until: Option<Pts>,
    /// Where on the recording's timeline the source that is open now began.
    pub(super) offset: Duration,
    /// A source was opened, and its first picture did not come yet.
    pub(super) is_new: bool,
    /// Frames that gave way to newer ones in sources that are gone.
    pub(super) displaced_before: u64,
    pub(super) veiled: BTreeSet<TrackId>,
    pub(super) shown: BTreeSet<TrackId>,
    pub(super) reasons: Reasons,
    pub(super) check: CheckTally,
}

/// Looks at finished pictures that no complete segment holds yet: the frame's number, and whether
/// its picture had to be veiled whole.
#[derive(Default)]
pub(super) struct CheckTally(pub(super) Vec<(u64, bool)>);

impl CheckTally {
    /// The verdict of a complete segment. Forgets its frames.
    pub(super) fn take(&mut self, frames: &Range<u64>) -> SelfCheck {
        let count = self.0.iter().take_while(|(seq, _)| *seq < frames.end).count();
        let mut verdict = SelfCheck::NotRun;
        for (_, corrected) in self.0.drain(..count) {
            if corrected {
                verdict = SelfCheck::Corrected;
            } else if verdict == SelfCheck::NotRun {
                verdict = SelfCheck::Passed;
            }
        }
        verdict
    }
}

impl Tally {
    pub(super) fn drops(&self, pts: Pts) -> bool {
        self.dropped_until.is_some_and(|until| pts <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_counts_for_the_segment_that_holds_its_frame() {
        let mut tally = CheckTally(vec![(0, false), (7, true), (11, false)]);
        assert_eq!(tally.take(&(0..5)), SelfCheck::Passed);
        assert_eq!(tally.take(&(5..11)), SelfCheck::Corrected);
        assert_eq!(tally.take(&(11..20)), SelfCheck::Passed);
        assert_eq!(tally.take(&(20..30)), SelfCheck::NotRun);
    }
}
