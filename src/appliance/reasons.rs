//! The record of reasons: for each segment, who was veiled or shown in which frame and why. It is
//! sealed under the recording's key.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use serde::Serialize;

use crate::{
    units::{CameraId, Pts, TrackId},
    vault::SegmentCounts,
    veil::{
        decide::{Basis, Placement},
        evidence::{Reason, State},
    },
};

/// What was done to one frame.
#[derive(Debug)]
struct FrameReasons {
    seq: u64,
    whole: bool,
    placements: Vec<Placement>,
}

/// Frames whose segment is not complete yet. Bounded by the frames of a segment and the encoder.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    frames: VecDeque<FrameReasons>,
    states: BTreeMap<TrackId, State>,
    /// Why a track was shown last.
    shown: BTreeMap<TrackId, Reason>,
}

#[derive(Serialize)]
struct SegmentReasons<'a> {
    format: u32,
    camera: &'a CameraId,
    segment: u32,
    start_s: f64,
    end_s: f64,
    first_frame: u64,
    frames: u64,
    /// Frames of this segment that were veiled whole.
    veiled_whole: Vec<u64>,
    tracks: Vec<TrackReasons<'a>>,
}

#[derive(Serialize)]
struct TrackReasons<'a> {
    track: TrackId,
    #[serde(flatten)]
    state: &'a State,
    /// Why it was shown, where it was: the last reason, whatever became of it since.
    shown_by: Option<&'a Reason>,
    frames_shown: u64,
    frames_veiled: u64,
    boxes: Vec<BoxReason>,
}

/// One line per frame and track: where the face is, how that is known, whether it is shown.
#[derive(Serialize)]
struct BoxReason {
    frame: u64,
    basis: Basis,
    shown: bool,
    /// Left, top, width, height in pixels.
    face: [i32; 4],
}

impl Reasons {
    /// Notes what was done to a frame that goes to the encoder now.
    pub(super) fn note(
        &mut self,
        seq: u64,
        whole: bool,
        placements: Vec<Placement>,
        state: impl Fn(TrackId) -> State,
        reason: impl Fn(TrackId) -> Option<Reason>,
    ) {
        for placement in &placements {
            let id = placement.track;
            self.states.insert(id, state(id));
            if let Some(reason) = reason(id).filter(|_| placement.shown && !whole) {
                self.shown.insert(id, reason);
            }
        }
        self.frames.push_back(FrameReasons { seq, whole, placements });
    }

    /// Forgets all frames that no complete segment holds.
    pub(super) fn discard(&mut self) {
        self.frames.clear();
        self.states.clear();
    }

    /// The record of a complete segment, as JSON, and its counts. Forgets its frames.
    pub(super) fn take(
        &mut self,
        camera: &CameraId,
        number: u32,
        frames: Range<u64>,
        start: Pts,
        end: Pts,
    ) -> (Vec<u8>, SegmentCounts) {
        let count = self.frames.iter().take_while(|f| f.seq < frames.end).count();
        let taken: Vec<FrameReasons> = self.frames.drain(..count).collect();
        let mut tracks: BTreeMap<TrackId, Vec<BoxReason>> = BTreeMap::new();
        for frame in &taken {
            for placement in &frame.placements {
                tracks.entry(placement.track).or_default().push(BoxReason {
                    frame: frame.seq,
                    basis: placement.basis,
                    shown: placement.shown && !frame.whole,
                    face: pixels(placement),
                });
            }
        }
        let undecided = State::Undecided;
        let tracks: Vec<TrackReasons<'_>> = tracks
            .into_iter()
            .map(|(track, boxes)| {
                let frames_shown = boxes.iter().filter(|b| b.shown).count() as u64;
                let frames_veiled = boxes.len() as u64 - frames_shown;
                let state = self.states.get(&track).unwrap_or(&undecided);
                let shown_by = self.shown.get(&track).filter(|_| frames_shown > 0);
                TrackReasons { track, state, shown_by, frames_shown, frames_veiled, boxes }
            })
            .collect();
        let veiled_whole: Vec<u64> = taken.iter().filter(|f| f.whole).map(|f| f.seq).collect();
        let counts = SegmentCounts {
            tracks_veiled: tracks.iter().filter(|t| t.frames_veiled > 0).count() as u64,
            tracks_shown: tracks.iter().filter(|t| t.frames_shown > 0).count() as u64,
            frames: taken.len() as u64,
            frames_veiled_whole: veiled_whole.len() as u64,
        };
        let reasons = SegmentReasons {
            format: 1,
            camera,
            segment: number,
            start_s: start.seconds(),
            end_s: end.seconds(),
            first_frame: frames.start,
            frames: counts.frames,
            veiled_whole,
            tracks,
        };
        // Numbers, words and pseudonyms: nothing in it can fail to serialise.
        let json = serde_json::to_vec(&reasons).unwrap_or_default();
        let waiting: Vec<TrackId> =
            self.frames.iter().flat_map(|f| &f.placements).map(|p| p.track).collect();
        self.states.retain(|id, _| waiting.contains(id));
        self.shown.retain(|id, _| waiting.contains(id));
        (json, counts)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "boxes are within a few picture sizes")]
fn pixels(placement: &Placement) -> [i32; 4] {
    let face = placement.face;
    [face.x, face.y, face.w, face.h].map(|v| v.round() as i32)
}
