//! From tracks to a verdict: what of one frame is hidden, given everything the ring has seen
//! before and after it.
//!
//! Pure: the frame's time, the tracks and their states come in, a [`Verdict`] goes out.

use std::{collections::VecDeque, ops::Range, time::Duration};

use serde::Serialize;

use super::{Cover, Hidden, Verdict, evidence::State, policy::Region};
use crate::{
    frame::{FrameSize, Point, Rect},
    units::{Pts, TrackId},
    vision::{
        motion::CameraMotion,
        search::{SLOW_TURNS_WITHIN, TURNS_WITHIN},
        track::{Sighting, Track},
    },
};

/// The head with hair and ears, in parts of the detected box.
const HEAD_SIDES: f32 = 0.30;
const HEAD_UP: f32 = 0.40;
const HEAD_DOWN: f32 = 0.25;
/// Height of every hidden face's box to its width: what a head's box is measured by says who it is (a
/// trained attacker told people apart by proportions and sizes alone). Faces lie between 1.2 and 1.5.
const FACE_RATIO: f32 = 1.36;
/// Sizes of hidden boxes go in steps of this, always up.
const FACE_STEP: f32 = 1.08;
/// The body below a head: this many head widths to each side, this many head heights down.
const BODY_SIDES: f32 = 1.0;
const BODY_DOWN: f32 = 6.5;
/// A region is held before the first and after the last sighting for this long.
pub const HOLD: Duration = Duration::from_secs(1);
/// A refused track is held longer after it was lost.
const HOLD_REFUSED: Duration = Duration::from_secs(2);
/// The longest time for which a sighting can matter to later frames.
pub const HOLD_LONGEST: Duration = HOLD_REFUSED;
/// The detector was sure of a face once it scored this.
pub const SURE_SCORE: f32 = 0.6;
/// A track that the detector was never sure of is held this long, as long as small faces are looked for
/// as often.
pub const HOLD_WEAK: Duration = Duration::from_millis(600);
// Whoever is seen in tiles only is held from one look at the tile to the next: where tiles had their turn
// less often than this, faces of 16 pixels showed between two looks.
const _: () = assert!(
    TURNS_WITHIN.as_millis() <= HOLD_WEAK.as_millis()
        && SLOW_TURNS_WITHIN.as_millis() <= HOLD.as_millis(),
    "tiles have to have their turn within the time for which a face is held"
);
/// How much a region grows to each side per second away from a sighting, in parts of the box.
/// Growth is the most important setting for coverage: without it 30 to 48% of the boxes of moving
/// heads were left uncovered.
const GROWTH_PER_SECOND: f32 = 0.8;
/// And by how much for the way that it is thought to have gone since, as a part of that, along it: who walks fast
/// may walk faster, and boxes of faces of 20 pixels tremble by some.
const GROWTH_BY_WAY: f32 = 0.5;
/// Growth between two sightings is bounded by both, so it is slower.
const GROWTH_BETWEEN: f32 = 0.4;
/// A face may have turned round between two sightings where going on as it did would have taken it this far
/// from the straight way, in parts of its width: less is how boxes tremble.
const TURNED: f32 = 0.5;
/// Over a longer gap a cleared face is not taken to have stayed where it was: nothing is shown for
/// its sake.
const BRIDGE_SHOWN: Duration = Duration::from_millis(600);
/// Longest time over which motion is believed.
const MOTION_SPAN: Duration = Duration::from_millis(400);
/// Motion is told from two sightings this far apart, if there are.
const MOTION_BASE: Duration = Duration::from_millis(95);

/// Of a face that is seen and shown this much of its box on each side stays under the veil of somebody
/// refused who is not seen any more: he may be beside it or just behind.
const RIM: f32 = 0.1;

/// A box that overlaps the one before it by less than this jumped: part of a face that leaves the
/// picture was found as a face of half its width, at its side.
const STEADY_OVERLAP: f32 = 0.5;

/// Whoever is seen in tiles only, and goes farther from one look to the next than a face is wide, becomes a
/// track each time. Two tracks may be of one walker where the second begins this soon after the first ...
const WALK: Duration = HOLD;
/// ... no farther away than this many face widths a second (children run at 3 m/s, faces are 0.16 m wide)
/// ...
const STRIDES_PER_SECOND: f32 = 19.0;
/// ... and with a face of the same size, or so many times that.
const WALKER_SIZE: f32 = 1.6;
/// What a walker's box grows by to each side, as nobody walks evenly.
const WALKER_ROOM: f32 = 0.6;

/// A track with what is known of it.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// Where it was seen.
    pub track: &'a Track,
    /// What may be done with it.
    pub state: State,
    /// Where its person was surely seen otherwise.
    pub elsewhere: Elsewhere,
}

/// The frames in which somebody refused was surely seen as another track, so that nothing is held for him here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// Up to this one.
    pub until: Option<u64>,
    /// From this one on.
    pub from: Option<u64>,
}

impl Elsewhere {
    fn has(self, seq: u64) -> bool {
        self.until.is_some_and(|until| seq <= until) || self.from.is_some_and(|from| seq >= from)
    }
}

/// Why a track is where it is in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Detected in this frame.
    Seen,
    /// Between two sightings.
    Bridged,
    /// Before the first or after the last sighting.
    Held,
}

/// Where one track is in one frame, and whether it is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Which track.
    pub track: TrackId,
    /// Around the face, in frame pixels.
    pub face: Rect,
    /// How that is known.
    pub basis: Basis,
    /// Whether it is shown.
    pub shown: bool,
}

/// The frame that is decided on.
#[derive(Clone, Debug)]
pub struct At {
    /// Its number.
    pub seq: u64,
    /// Its time.
    pub pts: Pts,
    /// Its size in pixels.
    pub size: FrameSize,
    /// Whether detection was completed for it.
    pub looked: bool,
    /// How long a track is held that the detector was never sure of.
    pub hold_weak: Duration,
    /// The frames of its scene: nothing seen in another one is where it was.
    pub scene: Range<u64>,
}

/// What moves boxes to where they are in a frame.
#[derive(Clone, Copy, Debug)]
struct Now<'a> {
    pts: Pts,
    size: FrameSize,
    camera: &'a CameraMotion,
}

/// Says what of a frame is hidden: all of it where detection was not completed. The placements give
/// the reason for each region.
#[must_use]
pub fn decide(
    at: &At,
    subjects: &[Subject<'_>],
    camera: &CameraMotion,
    region: Region,
) -> (Verdict, Vec<Placement>) {
    let At { seq, size, looked, .. } = *at;
    let now = Now { pts: at.pts, size, camera };
    let placements: Vec<Placement> =
        subjects.iter().filter_map(|subject| place(at, &now, subject)).collect();
    if !looked {
        let placements = placements.into_iter().map(|p| Placement { shown: false, ..p }).collect();
        return (Verdict { seq, cover: Cover::Whole }, placements);
    }
    let faces: Vec<Rect> = subjects.iter().filter_map(|s| known_face(seq, s)).collect();
    let mut hidden: Vec<Hidden> = placements
        .iter()
        .filter(|p| !p.shown)
        .flat_map(|p| {
            let subject = subjects.iter().find(|s| s.track.id == p.track);
            let undecided = subject.is_some_and(|s| s.state == State::Undecided);
            let ghost = undecided && subject.is_some_and(|s| is_weak(s.track));
            let kept = match p.basis {
                Basis::Bridged | Basis::Held if undecided => Some(0.0),
                Basis::Held => Some(RIM),
                // Somebody who is hardly seen may still be there: only what is around a face, not it.
                Basis::Seen if ghost => Some(RIM),
                Basis::Seen | Basis::Bridged => None,
            };
            let mut pieces = vec![body(head(p.face), region, size)];
            for face in
                kept.iter().flat_map(|kept| faces.iter().map(move |f| f.grown(-kept, -kept, -kept)))
            {
                pieces = pieces.into_iter().flat_map(|piece| piece.without(face)).collect();
            }
            if ghost && p.basis == Basis::Seen {
                pieces.push(body(p.face, region, size));
            }
            pieces.into_iter().map(|region| Hidden { track: p.track, region })
        })
        .chain(walkers(at, subjects).flat_map(|(track, face)| {
            let mut pieces = vec![body(head(face), region, size)];
            for face in &faces {
                pieces = pieces.into_iter().flat_map(|piece| piece.without(*face)).collect();
            }
            pieces.into_iter().map(move |region| Hidden { track, region })
        }))
        .collect();
    // Painted in this order: what else is taken for a face within a head (an ear, a pattern of hair) says
    // who it is, and leaves no mark under the head's own veil.
    // Those of about a size keep their order, or it would flicker.
    let size = |hidden: &Hidden| (hidden.region.area().ln() / FACE_STEP.ln()).round();
    hidden.sort_by(|a, b| size(a).total_cmp(&size(b)).then(a.track.cmp(&b.track)));
    let cover = match region {
        Region::Head | Region::Person => Cover::Regions(hidden),
        Region::Picture => {
            // Only what was seen in this very frame: between two sightings somebody else may stand
            // where the face is thought to be.
            let shown = placements
                .iter()
                .filter(|p| p.shown && p.basis == Basis::Seen)
                .map(|p| head(p.face))
                .collect();
            Cover::AllBut { shown, hidden }
        }
    };
    (Verdict { seq, cover }, placements)
}

/// Who may have walked, unseen, from where one hidden track ends to where another begins, and where they
/// are on the way. It is a chance only: faces that are shown are left out.
fn walkers(at: &At, subjects: &[Subject<'_>]) -> impl Iterator<Item = (TrackId, Rect)> {
    let hidden = || {
        let tracks = subjects.iter().filter(|s| !matches!(s.state, State::Cleared(_)));
        tracks.map(|s| s.track)
    };
    let near = |seen: &&Sighting| {
        at.scene.contains(&seen.seq)
            && at.pts.since(seen.pts) <= WALK
            && seen.pts.since(at.pts) <= WALK
    };
    let ends = hidden().filter_map(move |track| {
        let end = track.sightings.back().filter(near)?;
        (end.seq < at.seq).then_some(end)
    });
    ends.flat_map(move |end| {
        hidden().filter_map(move |track| {
            let begin = track.sightings.front().filter(near).filter(|b| b.seq > at.seq)?;
            walked(end, begin, at.pts).map(|face| (track.id, face))
        })
    })
}

/// Where a face is that went from one sighting to another, if it can have.
fn walked(from: &Sighting, to: &Sighting, now: Pts) -> Option<Rect> {
    let time = to.pts.since(from.pts);
    let (small, large) = (from.rect.w.min(to.rect.w), from.rect.w.max(to.rect.w));
    let (a, b) = (from.rect.center(), to.rect.center());
    let way = (a.x - b.x).hypot(a.y - b.y);
    let may = time <= WALK
        && large <= WALKER_SIZE * small
        && way <= STRIDES_PER_SECOND * time.as_secs_f32() * large;
    let part = now.since(from.pts).as_secs_f32() / time.as_secs_f32().max(f32::EPSILON);
    let middle = even(from.rect).lerp(even(to.rect), part);
    may.then(|| middle.grown(WALKER_ROOM, WALKER_ROOM, WALKER_ROOM))
}

/// Whether the detector was never sure that the track is a face.
fn is_weak(track: &Track) -> bool {
    track.best_score < SURE_SCORE
}

/// The face of a shown person who is surely seen in frame `seq`. Where nobody refused is looked for
/// and nobody is seen either, such a face is not covered on the mere chance that somebody is there
/// (measured: such veils were most of what hid people without need, and hid nobody else).
fn known_face(seq: u64, subject: &Subject<'_>) -> Option<Rect> {
    let sightings = &subject.track.sightings;
    let at = sightings.partition_point(|s| s.seq < seq);
    let seen = sightings.get(at).filter(|s| s.seq == seq && s.score >= SURE_SCORE)?;
    matches!(subject.state, State::Cleared(_)).then_some(seen.rect)
}

/// The smallest box of the one shape and a stepped size around a face, with the same middle.
fn even(face: Rect) -> Rect {
    let height = face.h.max(face.w * FACE_RATIO);
    let steps = (height.ln() / FACE_STEP.ln()).ceil();
    let height = FACE_STEP.powf(steps).max(height);
    let part = |side: f32, of: f32| ((side / of - 1.0) / 2.0).max(0.0);
    let (sides, ends) = (part(height / FACE_RATIO, face.w), part(height, face.h));
    let grown = face.grown(sides, ends, ends);
    // A box without extent, or with a number that is none, stays as it is.
    if grown.is_finite() { grown } else { face }
}

fn head(face: Rect) -> Rect {
    face.grown(HEAD_SIDES, HEAD_UP, HEAD_DOWN)
}

fn body(head: Rect, region: Region, size: FrameSize) -> Rect {
    match region {
        Region::Head | Region::Picture => head,
        Region::Person => {
            let down = head.h * BODY_DOWN;
            let wide = head.grown(BODY_SIDES, 0.0, 0.0);
            Rect { h: (head.h + down).min(size.rect().bottom() - head.y).max(head.h), ..wide }
        }
    }
}

fn place(at: &At, now: &Now<'_>, subject: &Subject<'_>) -> Option<Placement> {
    let At { seq, pts, .. } = *at;
    let track = subject.track;
    let cleared = matches!(subject.state, State::Cleared(_));
    let refused = matches!(subject.state, State::Refused { .. });
    let sightings = &track.sightings;
    let after = sightings.partition_point(|s| s.seq < seq);
    let here = |s: &&Sighting| at.scene.contains(&s.seq);
    let next = sightings.get(after).filter(here);
    let last = after.checked_sub(1).and_then(|i| sightings.get(i)).filter(here);
    if let Some(seen) = next.filter(|s| s.seq == seq) {
        let face =
            if cleared { seen.rect } else { even(steady(sightings, after).unwrap_or(seen.rect)) };
        return Some(Placement { track: track.id, face, basis: Basis::Seen, shown: cleared });
    }
    let weak = is_weak(track);
    let hold = |refused: bool| match (weak, refused) {
        // Whoever was recognised is a face, however unsure the detector was.
        (_, true) => HOLD_REFUSED,
        (true, false) => at.hold_weak,
        (false, false) => HOLD,
    };
    let (face, basis) = match (last, next) {
        (Some(last), Some(next)) => {
            if cleared && next.pts.since(last.pts) > BRIDGE_SHOWN {
                return None;
            }
            let gap = next.pts.since(last.pts).as_secs_f32().max(f32::EPSILON);
            let (to_last, to_next) = (pts.since(last.pts), next.pts.since(pts));
            let (from, to) =
                if cleared { (last.rect, next.rect) } else { (even(last.rect), even(next.rect)) };
            let middle = from.lerp(to, to_last.as_secs_f32() / gap);
            let near = to_last.min(to_next).as_secs_f32();
            let grow = GROWTH_BETWEEN * near;
            let middle = shaken(now, last, next, to_last.as_secs_f32() / gap, middle);
            let mut face = middle.grown(grow, grow, grow);
            if !cleared {
                let before = after.checked_sub(2).and_then(|i| sightings.get(i));
                let ways = [(last, before, to_last), (next, sightings.get(after + 1), to_next)];
                for turned in ways.map(|(near, beyond, away)| turned(middle, near, beyond, away)) {
                    face = turned.map_or(face, |rect| face.union(rect));
                }
            }
            (face, Basis::Bridged)
        }
        (Some(last), None) => {
            let away = pts.since(last.pts);
            // Without a look at this frame's own faces a hold is no reason to show anything.
            if away > hold(refused) || cleared || subject.elsewhere.has(seq) {
                return None;
            }
            let earlier = far_enough(last, sightings.range(..after - 1).rev());
            let rect = steady(sightings, after - 1).unwrap_or(last.rect);
            let last = &Sighting { rect: even(rect), ..*last };
            (extended(now, last, earlier, away), Basis::Held)
        }
        (None, Some(next)) => {
            let away = next.pts.since(pts);
            if away > hold(false) || cleared || subject.elsewhere.has(seq) {
                return None;
            }
            let next = &Sighting { rect: even(next.rect), ..*next };
            let later = far_enough(next, sightings.range(after + 1..));
            (extended(now, next, later, away), Basis::Held)
        }
        (None, None) => return None,
    };
    Some(Placement { track: track.id, face, basis, shown: cleared })
}

/// The first of the sightings beyond `near`, nearest first, that is far enough from it to tell how the face
/// moves: from one picture to the next boxes tremble by more than faces move. The farthest one where none is.
fn far_enough<'a>(
    near: &Sighting,
    beyond: impl Iterator<Item = &'a Sighting>,
) -> Option<&'a Sighting> {
    let mut farthest = None;
    for sighting in beyond {
        let away = near.pts.since(sighting.pts).max(sighting.pts.since(near.pts));
        // Over a gap it may have moved otherwise than now.
        if farthest.is_some() && away > 2 * MOTION_BASE {
            break;
        }
        farthest = Some(sighting);
        if away >= MOTION_BASE {
            break;
        }
    }
    farthest
}

/// Where a face is that went on as it did from one sighting to the next, if that is not `middle`, on the
/// straight way to where it was seen again: whoever turns round in between goes out and comes back.
fn turned(
    middle: Rect,
    near: &Sighting,
    beyond: Option<&Sighting>,
    away: Duration,
) -> Option<Rect> {
    let by = onward(near, beyond, Point::default(), away);
    let face = even(near.rect);
    let gone = Rect { x: face.x + by.x, y: face.y + by.y, ..face };
    let (a, b) = (gone.center(), middle.center());
    ((a.x - b.x).hypot(a.y - b.y) > TURNED * middle.w).then_some(gone)
}

/// `middle`, a box between two sightings, with where it is if the camera did not move evenly
/// between them.
fn shaken(now: &Now<'_>, last: &Sighting, next: &Sighting, part: f32, middle: Rect) -> Rect {
    let moved = now.camera.between(last.pts, now.pts).zip(now.camera.between(last.pts, next.pts));
    let Some((so_far, in_all)) = moved else { return middle };
    let off = Point { x: so_far.x - part * in_all.x, y: so_far.y - part * in_all.y };
    with_moved(now, middle, off)
}

/// A box and where it is after a move, if any of that is in the picture.
fn with_moved(now: &Now<'_>, region: Rect, by: Point) -> Rect {
    let moved = Rect { x: region.x + by.x, y: region.y + by.y, ..region };
    let in_view = moved.intersection(now.size.rect()).area() > 0.0;
    if in_view { region.union(moved) } else { region }
}

/// The box of a sighting, and the one before it where the face cannot have got from one to the other.
fn steady(sightings: &VecDeque<Sighting>, i: usize) -> Option<Rect> {
    let (seen, before) = (sightings.get(i)?, sightings.get(i.checked_sub(1)?)?);
    let jumped =
        seen.pts.since(before.pts) <= MOTION_SPAN && seen.rect.iou(before.rect) < STEADY_OVERLAP;
    jumped.then(|| seen.rect.union(before.rect))
}

/// How far a face goes in `away` if it goes on as it did from `beyond` to `near`, less the camera's part
/// in that.
fn onward(near: &Sighting, beyond: Option<&Sighting>, camera: Point, away: Duration) -> Point {
    let limit = 1.5 * near.rect.w.max(near.rect.h);
    let Some(beyond) = beyond else { return Point::default() };
    let step = near.pts.since(beyond.pts).max(beyond.pts.since(near.pts)).as_secs_f32();
    if step <= 0.0 {
        return Point::default();
    }
    let t = away.min(MOTION_SPAN).as_secs_f32() / step;
    let (from, to) = (beyond.rect.center(), near.rect.center());
    Point {
        x: ((to.x - from.x - camera.x) * t).clamp(-limit, limit),
        y: ((to.y - from.y - camera.y) * t).clamp(-limit, limit),
    }
}

/// The box `away` in time from its nearest sighting: where it was, where its own motion would have
/// taken it, and the same as the camera's motion has taken it, grown with the uncertainty, along the way by
/// more than across it. At the picture's edge it keeps its size.
fn extended(now: &Now<'_>, near: &Sighting, beyond: Option<&Sighting>, away: Duration) -> Rect {
    let ahead = |camera: Point| onward(near, beyond, camera, away);
    let way = ahead(Point::default());
    let [sides, ends] = [way.x, way.y].map(|way| {
        let unsure = GROWTH_BY_WAY * way.abs() / near.rect.w.max(f32::EPSILON);
        GROWTH_PER_SECOND * away.as_secs_f32() + unsure
    });
    let grown = |rect: Rect| rect.grown(sides, ends, ends);
    // A face that leaves is held at the edge: it may come back or be half in view.
    let region = grown(with_moved(now, near.rect, way));
    let Some(by) = now.camera.between(near.pts, now.pts) else { return region };
    let then = beyond.and_then(|beyond| now.camera.between(beyond.pts, near.pts));
    let own = ahead(then.unwrap_or_default());
    let region = region.union(grown(with_moved(now, near.rect, by)));
    let both = Point { x: by.x + own.x, y: by.y + own.y };
    region.union(grown(with_moved(now, near.rect, both)))
}

#[cfg(test)]
mod tests;
