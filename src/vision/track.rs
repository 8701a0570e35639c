//! Following faces from frame to frame by place and size.
//!
//! Belongs here: which detection continues which track. Does not belong: who a track is and
//! whether it may be seen (`veil`). Pure: time comes in with each step.
//!
//! A tracker only ever adds: every detection that is sure enough to be a face on its own, and every
//! one that goes on with a face that is followed, becomes a sighting, so none is lost by tracking. Where a track may have changed hands it is cut in two, and whatever was known of it
//! has to be earned again.

use std::{collections::VecDeque, time::Duration};

use super::Detection;
use crate::{
    frame::Rect,
    units::{Pts, TrackId},
};

/// Detections at or above this score are associated first, the rest with what is left (in the
/// manner of `ByteTrack`; measured settings of the prototype).
const STRONG: f32 = 0.6;
/// A detection continues a track when the centres are within this many face sizes of where the
/// track is expected, plus [`REACH_PER_SECOND`] for the time it was not seen.
const REACH: f32 = 0.5;
/// Face sizes a head may move per second beyond its expected path.
const REACH_PER_SECOND: f32 = 2.0;
/// Farthest reach in face sizes, however long the track was not seen.
const REACH_MOST: f32 = 1.5;
/// Largest ratio of sizes between consecutive sightings of one face.
const SIZE_RATIO: f32 = 1.8;
/// A track that was not seen for this long is over.
const LOST_AFTER: Duration = Duration::from_secs(2);

/// A face seen in one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sighting {
    /// The frame.
    pub seq: u64,
    /// The frame's time.
    pub pts: Pts,
    /// Around the face, in frame pixels.
    pub rect: Rect,
    /// The detector's score.
    pub score: f32,
}

/// One followed face.
#[derive(Clone, Debug)]
pub struct Track {
    /// Its number.
    pub id: TrackId,
    /// Where it was seen, oldest first, never empty.
    pub sightings: VecDeque<Sighting>,
    /// Whether it can still be continued.
    pub live: bool,
    /// The best score among its sightings, including those forgotten since.
    pub best_score: f32,
}

impl Track {
    fn new(id: TrackId, sighting: Sighting) -> Self {
        let best_score = sighting.score;
        Self { id, sightings: VecDeque::from([sighting]), live: true, best_score }
    }

    /// The latest sighting.
    #[must_use]
    pub fn last(&self) -> Option<&Sighting> {
        self.sightings.back()
    }

    /// Where the face is expected at `pts` if it goes on as it went last; never sideways by more
    /// than its own size.
    fn expected(&self, pts: Pts) -> Option<Rect> {
        let last = self.last()?;
        let Some(before) = self.sightings.len().checked_sub(2).and_then(|i| self.sightings.get(i))
        else {
            return Some(last.rect);
        };
        let step = last.pts.since(before.pts).as_secs_f32();
        if step <= 0.0 {
            return Some(last.rect);
        }
        let ahead = pts.since(last.pts).as_secs_f32() / step;
        let (from, to) = (before.rect.center(), last.rect.center());
        let limit = last.rect.w.max(last.rect.h);
        let mut expected = last.rect;
        expected.x += ((to.x - from.x) * ahead).clamp(-limit, limit);
        expected.y += ((to.y - from.y) * ahead).clamp(-limit, limit);
        Some(expected)
    }
}

/// Follows the faces of one camera.
#[derive(Debug)]
pub struct Tracker {
    tracks: Vec<Track>,
    next: u32,
    begin: f32,
}

impl Tracker {
    /// A tracker that has seen nothing. Detections that score below `begin` begin no track.
    #[must_use]
    pub fn new(begin: f32) -> Self {
        Self { tracks: Vec::new(), next: 0, begin }
    }

    /// Takes the detections of one frame and says, in their order, which track each belongs to;
    /// those that neither continue a track nor begin one are left out. After a scene cut no older
    /// track is continued.
    pub fn step(
        &mut self,
        seq: u64,
        pts: Pts,
        detections: &[Detection],
        cut: bool,
    ) -> Vec<(TrackId, Detection)> {
        for track in &mut self.tracks {
            let lost = track.last().is_none_or(|last| pts.since(last.pts) > LOST_AFTER);
            track.live &= !cut && !lost;
        }
        let mut owner: Vec<Option<usize>> = vec![None; detections.len()];
        let mut taken = vec![false; self.tracks.len()];
        for strong in [true, false] {
            let mut pairs = Vec::new();
            for (d, detection) in detections.iter().enumerate() {
                if (detection.score >= STRONG) != strong {
                    continue;
                }
                for (t, track) in self.tracks.iter().enumerate() {
                    if track.live
                        && !taken[t]
                        && let Some(cost) = cost(track, detection, pts)
                    {
                        pairs.push((cost, d, t));
                    }
                }
            }
            pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (_, d, t) in pairs {
                if owner[d].is_none() && !taken[t] {
                    owner[d] = Some(t);
                    taken[t] = true;
                }
            }
        }
        let mut seen = Vec::with_capacity(detections.len());
        for (detection, owner) in detections.iter().zip(owner) {
            let sighting = Sighting { seq, pts, rect: detection.rect, score: detection.score };
            let id = match owner {
                Some(t) => {
                    let track = &mut self.tracks[t];
                    track.best_score = track.best_score.max(sighting.score);
                    track.sightings.push_back(sighting);
                    track.id
                }
                // Written so that a score that is none begins a track.
                None if sighting.score < self.begin => continue,
                None => self.begin(sighting),
            };
            seen.push((id, *detection));
        }
        seen
    }

    /// Notes a face that was found on another way in frame `seq`, which later frames may follow
    /// already: a track of its own that nothing continues.
    pub fn note(&mut self, seq: u64, pts: Pts, found: &Detection) -> TrackId {
        let id = self.begin(Sighting { seq, pts, rect: found.rect, score: found.score });
        if let Some(track) = self.tracks.last_mut() {
            track.live = false;
        }
        id
    }

    /// Notes how sure a closer look was of a face.
    pub fn assure(&mut self, id: TrackId, score: f32) {
        if let Some(track) = self.tracks.iter_mut().find(|t| t.id == id) {
            track.best_score = track.best_score.max(score);
        }
    }

    /// Every track that is remembered.
    #[must_use]
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Moves the sightings of `id` after frame `seq` to a new track and ends the old one there.
    /// `None` where there is nothing after `seq`.
    pub fn split(&mut self, id: TrackId, seq: u64) -> Option<TrackId> {
        let track = self.tracks.iter_mut().find(|t| t.id == id)?;
        let keep = track.sightings.iter().take_while(|s| s.seq <= seq).count();
        let later = track.sightings.split_off(keep);
        let was_live = std::mem::replace(&mut track.live, false);
        let emptied = track.sightings.is_empty();
        let mut later = later.into_iter();
        let Some(first) = later.next() else {
            track.live = was_live;
            return None;
        };
        if emptied {
            self.tracks.retain(|t| t.id != id);
        }
        let new = self.begin(first);
        let track = self.tracks.last_mut()?;
        track.live = was_live;
        for sighting in later {
            track.best_score = track.best_score.max(sighting.score);
            track.sightings.push_back(sighting);
        }
        Some(new)
    }

    /// Forgets sightings before `pts`, but for the latest one before it, which gaps are bridged
    /// from; forgets ended tracks without later sightings. Returns the numbers of forgotten tracks.
    pub fn forget_before(&mut self, pts: Pts) -> Vec<TrackId> {
        let mut forgotten = Vec::new();
        self.tracks.retain_mut(|track| {
            while track.sightings.get(1).is_some_and(|second| second.pts < pts) {
                track.sightings.pop_front();
            }
            let over = !track.live && track.last().is_none_or(|last| last.pts < pts);
            if over {
                forgotten.push(track.id);
            }
            !over
        });
        forgotten
    }

    fn begin(&mut self, sighting: Sighting) -> TrackId {
        let id = TrackId(self.next);
        self.next += 1;
        self.tracks.push(Track::new(id, sighting));
        id
    }
}

/// How far `detection` is from continuing `track`, in face sizes; `None` where it cannot.
fn cost(track: &Track, detection: &Detection, pts: Pts) -> Option<f32> {
    let last = track.last()?;
    let expected = track.expected(pts)?;
    let size = |r: Rect| r.w.max(r.h).max(1.0);
    let ratio = size(expected) / size(detection.rect);
    if !(1.0 / SIZE_RATIO..=SIZE_RATIO).contains(&ratio) {
        return None;
    }
    let near = |from: Rect| {
        let (a, b) = (from.center(), detection.rect.center());
        (a.x - b.x).hypot(a.y - b.y) / size(from)
    };
    let distance = near(expected).min(near(last.rect));
    let gap = pts.since(last.pts).as_secs_f32();
    let reach = (REACH + REACH_PER_SECOND * gap).min(REACH_MOST);
    (distance <= reach).then_some(distance + ratio.ln().abs())
}

/// Whether a new scene begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// The scene goes on.
    #[default]
    None,
    /// Something changed at once: no face is followed across, but what was veiled is still held.
    Likely,
    /// The picture is that of the scene before again: the camera was blind, or another one shown,
    /// for moments.
    Back,
    /// Everything is another picture: nothing of the old one is where it was.
    Sure,
}

/// Tells cuts by colour histograms: a difference that is large and stands out from its neighbours,
/// and is not that of a lamp.
#[derive(Debug, Default)]
pub struct CutDetector {
    last: Option<Summary>,
    /// The last picture of the scene before.
    old: Option<Histogram>,
    recent: VecDeque<f32>,
}

/// Bins of each plane: one every 8 grey levels, both ends included.
const BINS: usize = 33;
/// Share of samples by value, for each plane.
type Histogram = [f32; 3 * BINS];
/// Places across and down at which pictures are compared in another light.
const PLACES: (usize, usize) = (48, 27);
/// Brightness at each of them.
type Places = [f32; PLACES.0 * PLACES.1];

/// What is kept of a picture.
#[derive(Debug)]
struct Summary {
    histogram: Histogram,
    places: Places,
}

/// A cut changes at least this share of the histogram (measured; plain frame difference fired
/// 193 times in a panned clip).
const CUT_DISTANCE: f32 = 0.14;
/// A picture whose histogram differs by this from the one before it is a new scene, however restless
/// the frames around it: cuts that follow each other closely do not stand out.
const CUT_SURELY: f32 = 0.28;
/// A cut stands out from the median of recent differences by this factor.
const CUT_SPIKE: f32 = 2.2;
/// How many recent differences are remembered.
const CUT_NEIGHBOURS: usize = 8;
/// Another light changes all brightness by one factor and one sum. Where that explains all but this
/// share of the places to within so many grey levels, nothing else changed.
const LIGHT_UNEXPLAINED: f32 = 0.02;
const LIGHT_WITHIN: f32 = 10.0;
/// A light that takes more than this much of the contrast leaves nothing to be compared by.
const LIGHT_LEAST: f32 = 0.25;

impl CutDetector {
    /// Whether a new scene begins with this frame.
    pub fn step(&mut self, frame: &crate::frame::I420View<'_>) -> Cut {
        let now = Summary { histogram: histogram(frame), places: places(frame) };
        let distance_to = |other: &Histogram| distance(other, &now.histogram);
        let Some(last) = self.last.take() else {
            self.last = Some(now);
            return Cut::Sure;
        };
        let distance = distance_to(&last.histogram);
        let mut sorted: Vec<f32> = self.recent.iter().copied().collect();
        sorted.sort_by(f32::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        if self.recent.len() == CUT_NEIGHBOURS {
            self.recent.pop_front();
        }
        self.recent.push_back(distance);
        let sure = distance > CUT_SURELY;
        let likely = sure || (distance > CUT_DISTANCE && distance > CUT_SPIKE * median);
        let cut = if !likely || is_another_light(&last.places, &now.places) {
            Cut::None
        } else if !sure {
            Cut::Likely
        } else if self
            .old
            .replace(last.histogram)
            .is_some_and(|old| distance_to(&old) <= CUT_DISTANCE)
        {
            Cut::Back
        } else {
            Cut::Sure
        };
        self.last = Some(now);
        cut
    }
}

/// How much of a histogram changed, 0 to 1.
fn distance(a: &Histogram, b: &Histogram) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / 6.0
}

/// Whether `b` is `a` in another light: brighter or darker by one factor and one sum.
#[expect(clippy::cast_precision_loss, reason = "a thousand places")]
fn is_another_light(a: &Places, b: &Places) -> bool {
    let mean = |p: &Places| p.iter().sum::<f32>() / p.len() as f32;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let spread: f32 = a.iter().map(|v| (v - mean_a).powi(2)).sum();
    let both: f32 = a.iter().zip(b).map(|(x, y)| (x - mean_a) * (y - mean_b)).sum();
    let factor = both / spread;
    // Written so that numbers that are none explain nothing.
    if !(LIGHT_LEAST..=1.0 / LIGHT_LEAST).contains(&factor) {
        return false;
    }
    // Errors count in the brighter of the two pictures.
    let within = LIGHT_WITHIN * factor.min(1.0);
    let unexplained = a
        .iter()
        .zip(b)
        .filter(|(x, y)| (mean_b + factor * (*x - mean_a) - *y).abs() > within)
        .count();
    unexplained as f32 <= LIGHT_UNEXPLAINED * a.len() as f32
}

/// Mean brightness of a few samples around each place.
fn places(frame: &crate::frame::I420View<'_>) -> Places {
    let (width, height) = (frame.size.width as usize, frame.size.height as usize);
    let mut places = [0.0; PLACES.0 * PLACES.1];
    for (i, place) in places.iter_mut().enumerate() {
        let (column, row) = (i % PLACES.0, i / PLACES.0);
        let mut sum = 0.0;
        for dy in 0..4 {
            for dx in 0..4 {
                let x = (column * 4 + dx) * width / (PLACES.0 * 4);
                let y = (row * 4 + dy) * height / (PLACES.1 * 4);
                sum += frame.y.get(y * frame.luma_stride + x).copied().map_or(0.0, f32::from);
            }
        }
        *place = sum / 16.0;
    }
    places
}

fn histogram(frame: &crate::frame::I420View<'_>) -> Histogram {
    let mut bins = [0.0; 3 * BINS];
    let size = frame.size;
    // About 100 samples across are plenty for a histogram of the scene.
    let step = (size.width as usize / 100).max(1);
    let half = |side: u32| side.div_ceil(2) as usize;
    let planes = [
        (frame.y, frame.luma_stride, size.width as usize, size.height as usize, step),
        (frame.u, frame.chroma_stride, half(size.width), half(size.height), step.div_ceil(2)),
        (frame.v, frame.chroma_stride, half(size.width), half(size.height), step.div_ceil(2)),
    ];
    for (i, (samples, stride, width, height, step)) in planes.into_iter().enumerate() {
        let bins = &mut bins[BINS * i..BINS * (i + 1)];
        let mut count = 0.0f32;
        for row in samples.chunks(stride).take(height).step_by(step) {
            for &sample in row.iter().take(width).step_by(step) {
                // Shared between the two nearest bins: a flicker by one grey level moves an eighth
                // of a dark picture's samples from one bin to the next, not all of them.
                let upper = f32::from(sample % 8) / 8.0;
                bins[usize::from(sample / 8)] += 1.0 - upper;
                bins[usize::from(sample / 8 + 1)] += upper;
                count += 1.0;
            }
        }
        for bin in bins {
            *bin /= count.max(1.0);
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn face(x: f32, y: f32, score: f32) -> Detection {
        Detection { rect: Rect::new(x, y, 40.0, 40.0), score, landmarks: Default::default() }
    }

    const BEGIN: f32 = 0.3;

    /// The tracks of what one frame shows.
    fn step(tracker: &mut Tracker, seq: u64, faces: &[Detection], cut: bool) -> Vec<TrackId> {
        tracker.step(seq, at(seq), faces, cut).into_iter().map(|(id, _)| id).collect()
    }

    fn at(seq: u64) -> Pts {
        Pts::from_nanos(seq * 40_000_000)
    }

    #[test]
    fn a_moving_face_keeps_its_number_and_a_cut_ends_it() {
        let mut tracker = Tracker::new(BEGIN);
        let first = step(&mut tracker, 0, &[face(0.0, 0.0, 0.9)], true);
        for seq in 1..20 {
            let found = face(seq as f32 * 12.0, 0.0, if seq % 3 == 0 { 0.25 } else { 0.9 });
            assert_eq!(step(&mut tracker, seq, &[found], false), first);
        }
        assert_ne!(step(&mut tracker, 20, &[face(228.0, 0.0, 0.9)], true), first);
    }

    #[test]
    fn another_light_is_no_cut_and_another_face_is_one() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "levels are 0 to 255"
        )]
        let grey = |level: f32| level as u8;
        let size = crate::frame::FrameSize::new(192, 108);
        let chroma = vec![128; 96 * 54];
        let scene = |factor: f32, moved: usize| -> Vec<u8> {
            (0..192 * 108)
                .map(|i| {
                    let (x, y) = (i % 192, i / 192);
                    // A wall with windows, and somebody 30 x 40 before it.
                    let wall = 60.0 + 80.0 * ((x / 24 + y / 27) % 2) as f32;
                    let face = (60 + moved..90 + moved).contains(&x) && (40..80).contains(&y);
                    grey(if face { 170.0 } else { wall } * factor)
                })
                .collect()
        };
        let places_of = |factor, moved| {
            let (y, u, v) = (&scene(factor, moved)[..], &chroma[..], &chroma[..]);
            let (luma_stride, chroma_stride) = (192, 96);
            places(&crate::frame::I420View { size, y, u, v, luma_stride, chroma_stride })
        };
        assert!(is_another_light(&places_of(1.0, 0), &places_of(0.5, 0)));
        assert!(is_another_light(&places_of(0.4, 0), &places_of(1.0, 0)));
        assert!(!is_another_light(&places_of(1.0, 0), &places_of(0.5, 60)));
        assert!(!is_another_light(&places_of(1.0, 0), &places_of(0.0, 0)));
    }

    #[test]
    fn a_flicker_of_a_dark_picture_is_no_cut() {
        let size = crate::frame::FrameSize::new(64, 48);
        let grey = vec![128; 32 * 24];
        let mut cuts = CutDetector::default();
        for i in 0..30u8 {
            // Noise of a few levels around one that moves by one.
            let luma: Vec<u8> = (0..64 * 48u32)
                .map(|at| 22 + i % 2 + (at.wrapping_mul(2_654_435_761) >> 30) as u8)
                .collect();
            let picture = crate::frame::I420View {
                size,
                y: &luma,
                u: &grey,
                v: &grey,
                luma_stride: 64,
                chroma_stride: 32,
            };
            let cut = cuts.step(&picture);
            assert_eq!(cut, if i == 0 { Cut::Sure } else { Cut::None }, "frame {i}");
        }
    }

    #[test]
    fn cuts_that_follow_each_other_closely_are_cuts() {
        let size = crate::frame::FrameSize::new(64, 48);
        let grey = vec![128; 32 * 24];
        let mut cuts = CutDetector::default();
        for i in 0..30u8 {
            // A new scene in every frame: bright and dark by turns.
            let luma = vec![if i % 2 == 0 { 40 } else { 200 }; 64 * 48];
            let picture = crate::frame::I420View {
                size,
                y: &luma,
                u: &grey,
                v: &grey,
                luma_stride: 64,
                chroma_stride: 32,
            };
            // The third and later ones were there before.
            let cut = if i < 2 { Cut::Sure } else { Cut::Back };
            assert_eq!(cuts.step(&picture), cut, "frame {i}");
        }
    }

    #[test]
    fn a_split_keeps_every_sighting() {
        let mut tracker = Tracker::new(BEGIN);
        let id = step(&mut tracker, 0, &[face(0.0, 0.0, 0.9)], true)[0];
        for seq in 1..6 {
            step(&mut tracker, seq, &[face(0.0, 0.0, 0.9)], false);
        }
        let new = tracker.split(id, 2).expect("there is more after frame 2");
        let count = |id| tracker.tracks().iter().find(|t| t.id == id).map(|t| t.sightings.len());
        assert_eq!((count(id), count(new)), (Some(3), Some(3)));
        assert_eq!(tracker.split(new, 9), None);
        assert_eq!(step(&mut tracker, 6, &[face(0.0, 0.0, 0.9)], false), [new]);
    }

    #[test]
    fn an_unsure_detection_continues_a_track_but_begins_none() {
        let mut tracker = Tracker::new(BEGIN);
        assert!(step(&mut tracker, 0, &[face(0.0, 0.0, 0.25)], true).is_empty());
        let first = step(&mut tracker, 1, &[face(0.0, 0.0, 0.35)], false);
        assert_eq!(step(&mut tracker, 2, &[face(0.0, 0.0, 0.25)], false), first);
    }

    proptest! {
        #[test]
        fn no_detection_is_lost(
            frames in proptest::collection::vec(
                (proptest::collection::vec((0.0..600.0f32, 0.0..400.0f32, 0.2..1.0f32), 0..6), any::<bool>()),
                1..30),
        ) {
            let mut tracker = Tracker::new(BEGIN);
            let mut total = 0;
            for (seq, (faces, cut)) in frames.iter().enumerate() {
                let seq = seq as u64;
                let faces: Vec<_> = faces.iter().map(|&(x, y, s)| face(x, y, s)).collect();
                let seen = tracker.step(seq, at(seq), &faces, *cut);
                total += seen.len();
                for (id, face) in &seen {
                    let track = tracker.tracks().iter().find(|t| t.id == *id).expect("known");
                    prop_assert!(track.sightings.iter().any(|s| s.seq == seq && s.rect == face.rect));
                }
                for face in faces.iter().filter(|f| f.score >= BEGIN) {
                    prop_assert!(seen.iter().any(|(_, s)| s == face));
                }
            }
            let kept: usize = tracker.tracks().iter().map(|t| t.sightings.len()).sum();
            prop_assert_eq!(kept, total);
        }
    }
}
