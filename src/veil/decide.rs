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
pub const HOLD_WEAK: Duration = Duration::from_millis(500);
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
/// And by how much for the way that it is thought to have gone since, as a part of that: who walks fast may walk
/// faster, and boxes of faces of 20 pixels tremble by some.
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
            if away > hold(refused) || cleared {
                return None;
            }
            let earlier = after.checked_sub(2).and_then(|i| sightings.get(i));
            let rect = steady(sightings, after - 1).unwrap_or(last.rect);
            let last = &Sighting { rect: even(rect), ..*last };
            (extended(now, last, earlier, away), Basis::Held)
        }
        (None, Some(next)) => {
            let away = next.pts.since(pts);
            if away > hold(false) || cleared {
                return None;
            }
            let next = &Sighting { rect: even(next.rect), ..*next };
            (extended(now, next, sightings.get(after + 1), away), Basis::Held)
        }
        (None, None) => return None,
    };
    Some(Placement { track: track.id, face, basis, shown: cleared })
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
/// taken it, and the same as the camera's motion has taken it, grown with the uncertainty. At the
/// picture's edge it keeps its size.
fn extended(now: &Now<'_>, near: &Sighting, beyond: Option<&Sighting>, away: Duration) -> Rect {
    let ahead = |camera: Point| onward(near, beyond, camera, away);
    let way = ahead(Point::default());
    let unsure = GROWTH_BY_WAY * way.x.hypot(way.y) / near.rect.w.max(f32::EPSILON);
    let grow = GROWTH_PER_SECOND * away.as_secs_f32() + unsure;
    // A face that leaves is held at the edge: it may come back or be half in view.
    let region = with_moved(now, near.rect, ahead(Point::default())).grown(grow, grow, grow);
    let Some(by) = now.camera.between(near.pts, now.pts) else { return region };
    let then = beyond.and_then(|beyond| now.camera.between(beyond.pts, near.pts));
    let own = ahead(then.unwrap_or_default());
    let region = region.union(with_moved(now, near.rect, by).grown(grow, grow, grow));
    let both = Point { x: by.x + own.x, y: by.y + own.y };
    region.union(with_moved(now, near.rect, both).grown(grow, grow, grow))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{veil::evidence::Reason, vision::motion::tests::seen_from};

    const SIZE: FrameSize = FrameSize::new(640, 360);

    fn at(seq: u64) -> Pts {
        Pts::from_nanos(seq * 40_000_000)
    }

    fn frame(seq: u64, looked: bool) -> At {
        At { seq, pts: at(seq), size: SIZE, looked, hold_weak: HOLD_WEAK, scene: 0..u64::MAX }
    }

    fn track(seqs: &[u64], step: f32) -> Track {
        let sightings: VecDeque<_> = seqs
            .iter()
            .map(|&seq| Sighting {
                seq,
                pts: at(seq),
                rect: Rect::new(100.0 + step * seq as f32, 100.0, 50.0, 60.0),
                score: 0.9,
            })
            .collect();
        Track { id: TrackId(1), sightings, live: true, best_score: 0.9 }
    }

    #[test]
    fn who_walks_from_look_to_look_is_covered_on_the_way() {
        fn walker(seq: u64) -> Rect {
            Rect::new(100.0 + 10.0 * seq as f32, 200.0, 36.0, 46.0)
        }
        // 36 pixels wide and 250 a second, as somebody at the back of a room, seen every 12th frame.
        let seen = |id: u32, seq: u64| Track {
            id: TrackId(id),
            sightings: VecDeque::from([Sighting {
                seq,
                pts: at(seq),
                rect: walker(seq),
                score: 0.5,
            }]),
            live: true,
            best_score: 0.5,
        };
        let tracks: Vec<Track> = (0..4).map(|i| seen(i, 12 * u64::from(i))).collect();
        let cover = |seq: u64, state: &State| {
            let subjects: Vec<_> =
                tracks.iter().map(|track| Subject { track, state: state.clone() }).collect();
            let still = CameraMotion::default();
            match decide(&frame(seq, true), &subjects, &still, Region::Head).0.cover {
                Cover::Regions(hidden) => hidden,
                _ => panic!("not regions"),
            }
        };
        for seq in 0..=36 {
            let hidden = cover(seq, &State::Undecided);
            let face = walker(seq);
            assert!(hidden.iter().any(|h| h.region.contains(face)), "{seq}: {hidden:?}");
            assert!(cover(seq, &cleared()).is_empty());
        }
        // Too far for anybody, or another size: two people.
        let far = |from: Rect, to: Rect| {
            let at_rect = |seq, rect| Sighting { seq, pts: at(seq), rect, score: 0.5 };
            walked(&at_rect(0, from), &at_rect(12, to), at(6))
        };
        assert!(far(walker(0), walker(12)).is_some());
        assert_eq!(far(walker(0), walker(40)), None);
        assert_eq!(far(walker(0), Rect { w: 60.0, ..walker(12) }), None);
    }

    #[test]
    fn who_turns_round_between_two_looks_is_covered_out_there() {
        // 10 pixels a frame to the left until frame 5, then back; not seen from frame 2 to frame 8.
        let x = |seq: u64| 100.0 + 10.0 * (seq as f32 - 5.0).abs();
        let face = |seq: u64| Rect::new(x(seq), 100.0, 25.0, 33.0);
        let sightings: VecDeque<_> = [0, 1, 2, 8, 9, 10]
            .map(|seq| Sighting { seq, pts: at(seq), rect: face(seq), score: 0.5 })
            .into();
        let track = Track { id: TrackId(1), sightings, live: true, best_score: 0.5 };
        for seq in 0..=10 {
            let Cover::Regions(hidden) = verdict(&track, State::Undecided, seq, true, Region::Head)
            else {
                panic!("not regions")
            };
            assert!(hidden.iter().any(|h| h.region.contains(face(seq))), "{seq}: {hidden:?}");
        }
    }

    #[test]
    fn the_largest_veil_is_painted_last() {
        let seen = |id: u32, rect: Rect| Track {
            id: TrackId(id),
            sightings: VecDeque::from([Sighting { seq: 3, pts: at(3), rect, score: 0.9 }]),
            live: true,
            best_score: 0.9,
        };
        let (face, ear) =
            (Rect::new(100.0, 100.0, 60.0, 80.0), Rect::new(150.0, 120.0, 12.0, 16.0));
        for rects in [[face, ear], [ear, face]] {
            let tracks = [seen(1, rects[0]), seen(2, rects[1])];
            let subjects: Vec<_> =
                tracks.iter().map(|track| Subject { track, state: State::Undecided }).collect();
            let still = CameraMotion::default();
            let decided = decide(&frame(3, true), &subjects, &still, Region::Head).0;
            let Cover::Regions(hidden) = decided.cover else { panic!("not regions") };
            assert!(hidden[0].region.area() < hidden[1].region.area(), "{hidden:?}");
            assert!(hidden[1].region.contains(hidden[0].region), "{hidden:?}");
        }
    }

    fn verdict(track: &Track, state: State, seq: u64, looked: bool, region: Region) -> Cover {
        let subjects = [Subject { track, state }];
        decide(&frame(seq, looked), &subjects, &CameraMotion::default(), region).0.cover
    }

    fn cleared() -> State {
        State::Cleared(Reason::NobodyRefuses)
    }

    #[test]
    fn a_frame_without_a_look_is_veiled_whole() {
        for region in [Region::Head, Region::Person, Region::Picture] {
            let cover = verdict(&track(&[3], 0.0), cleared(), 3, false, region);
            assert_eq!(cover, Cover::Whole);
        }
    }

    #[test]
    fn a_hidden_track_reaches_back_and_forward() {
        let refused = State::Refused { pupil: "p-1".parse().expect("ok"), cosine: 0.5 };
        let track = track(&[40, 41, 42, 50], 4.0);
        for (seq, hidden) in
            [(10, false), (16, true), (39, true), (46, true), (99, true), (101, false)]
        {
            let cover = verdict(&track, refused.clone(), seq, true, Region::Head);
            let Cover::Regions(regions) = cover else { panic!("regions") };
            assert_eq!(!regions.is_empty(), hidden, "frame {seq}");
        }
    }

    #[test]
    fn a_refused_track_is_held_however_unsure_the_detector_was() {
        let refused = State::Refused { pupil: "p-1".parse().expect("ok"), cosine: 0.5 };
        let mut track = track(&[10], 0.0);
        track.best_score = 0.25;
        let hidden = |state: State, seq| match verdict(&track, state, seq, true, Region::Head) {
            Cover::Regions(regions) => !regions.is_empty(),
            _ => panic!("regions"),
        };
        // 1.9 s after the last sighting.
        assert!(hidden(refused, 57));
        assert!(!hidden(State::Undecided, 57));
        // 0.8 s after it: where close looks are seldom, the unsure are held for longer.
        assert!(!hidden(State::Undecided, 30));
        let subjects = [Subject { track: &track, state: State::Undecided }];
        let seldom = At { hold_weak: HOLD, ..frame(30, true) };
        let decided = decide(&seldom, &subjects, &CameraMotion::default(), Region::Head);
        assert_eq!(decided.1.len(), 1);
    }

    #[test]
    fn a_box_that_jumps_covers_where_it_was() {
        // Frame 4 finds half of the face, at its side; it is lost after that.
        let refused = State::Refused { pupil: "p-1".parse().expect("ok"), cosine: 0.5 };
        let mut track = track(&[1, 2, 3, 4], 0.0);
        let face = track.sightings[2].rect;
        track.sightings[3].rect = Rect { x: face.x + 35.0, w: 20.0, ..face };
        for seq in 1..30 {
            let cover = verdict(&track, refused.clone(), seq, true, Region::Head);
            let Cover::Regions(hidden) = cover else { panic!("regions") };
            assert!(hidden.iter().any(|h| h.region.contains(face)), "frame {seq}");
        }
    }

    #[test]
    fn a_veil_that_is_only_held_leaves_out_a_face_that_is_seen_and_shown() {
        let unsure = track(&[3], 0.0);
        let known = Track { id: TrackId(2), ..track(&[10], 0.0) };
        let hidden = |state: State, seq: u64| {
            let subjects =
                [Subject { track: &unsure, state }, Subject { track: &known, state: cleared() }];
            let camera = CameraMotion::default();
            let (verdict, _) = decide(&frame(seq, true), &subjects, &camera, Region::Head);
            let Cover::Regions(hidden) = verdict.cover else { panic!("regions") };
            let over = |face: Rect| hidden.iter().any(|h| h.region.intersection(face).area() > 0.0);
            let face = known.sightings[0].rect;
            (over(face), over(face.grown(-RIM, -RIM, -RIM)), hidden.len())
        };
        // Hair and surroundings stay veiled on all four sides.
        assert_eq!(hidden(State::Undecided, 10), (false, false, 4));
        let refused = State::Refused { pupil: "p-1".parse().expect("ok"), cosine: 0.5 };
        assert_eq!(hidden(refused.clone(), 10), (true, false, 4));
        // Whoever is seen himself is covered.
        for state in [State::Undecided, refused] {
            assert_eq!(hidden(state, 3), (true, true, 1));
        }
    }

    #[test]
    fn what_surrounds_a_doubtful_face_leaves_out_one_that_is_seen_and_shown_beside_it() {
        let known = Track { id: TrackId(2), ..track(&[3], 0.0) };
        let covers = |score: f32, state: State, off: f32| {
            let mut unsure = Track { best_score: score, ..track(&[3], 0.0) };
            unsure.sightings[0].rect.x += off;
            let own = unsure.sightings[0].rect;
            let subjects =
                [Subject { track: &unsure, state }, Subject { track: &known, state: cleared() }];
            let camera = CameraMotion::default();
            let (verdict, _) = decide(&frame(3, true), &subjects, &camera, Region::Head);
            let Cover::Regions(hidden) = verdict.cover else { panic!("regions") };
            assert!(hidden.iter().any(|h| h.region.contains(own)), "what was found stays veiled");
            let face = known.sightings[0].rect.grown(-RIM, -RIM, -RIM);
            hidden.iter().any(|h| h.region.intersection(face).area() > 0.0)
        };
        assert!(!covers(0.3, State::Undecided, 50.0));
        assert!(covers(0.7, State::Undecided, 50.0));
        let refused = State::Refused { pupil: "p-1".parse().expect("ok"), cosine: 0.5 };
        assert!(covers(0.3, refused, 50.0));
        assert!(covers(0.3, State::Undecided, 10.0));
    }

    #[test]
    fn nothing_is_held_in_another_scene() {
        let refused = State::Refused { pupil: "p-1".parse().expect("ok"), cosine: 0.5 };
        let track = track(&[40, 41], 0.0);
        let hidden = |seq: u64, scene: Range<u64>| {
            let subjects = [Subject { track: &track, state: refused.clone() }];
            let frame = At { scene, ..frame(seq, true) };
            !decide(&frame, &subjects, &CameraMotion::default(), Region::Head).1.is_empty()
        };
        assert!(hidden(39, 30..60) && hidden(40, 40..42) && hidden(45, 30..60));
        assert!(!hidden(39, 0..40) && !hidden(42, 42..u64::MAX));
    }

    #[test]
    fn a_cleared_track_is_shown_where_it_was_seen_and_hides_nothing() {
        let cover = verdict(&track(&[5, 9], 0.0), cleared(), 5, true, Region::Head);
        assert_eq!(cover, Cover::Regions(Vec::new()));
        let cover = verdict(&track(&[5, 9], 0.0), cleared(), 12, true, Region::Picture);
        assert_eq!(cover, Cover::AllBut { shown: Vec::new(), hidden: Vec::new() });
    }

    #[test]
    fn nothing_is_shown_for_a_face_that_is_only_thought_to_be_there() {
        let track = track(&[5, 9], 0.0);
        let shown = |seq| match verdict(&track, cleared(), seq, true, Region::Picture) {
            Cover::AllBut { shown, .. } => shown.len(),
            _ => panic!("all but"),
        };
        assert_eq!((shown(5), shown(7), shown(9)), (1, 0, 1));
    }

    #[test]
    fn a_held_veil_goes_with_the_camera() {
        // The camera pans 9 pixels a frame; the face, which keeps its place in the room, is seen in
        // three frames and then not for most of a second.
        let mut camera = CameraMotion::default();
        for seq in 0..40u8 {
            camera.step(&seen_from(-9.0 * f32::from(seq), 0.0), at(seq.into()), seq == 0);
        }
        let mut track = track(&[20, 21, 22], -9.0);
        for sighting in &mut track.sightings {
            sighting.rect.x += 330.0;
        }
        for seq in 5..40u8 {
            let truth = Rect::new(430.0 - 9.0 * f32::from(seq), 100.0, 50.0, 60.0);
            let hidden = |camera: &CameraMotion| {
                let subjects = [Subject { track: &track, state: State::Undecided }];
                let seq = u64::from(seq);
                let decided = decide(&frame(seq, true), &subjects, camera, Region::Head);
                match decided.0.cover {
                    Cover::Regions(hidden) => hidden.iter().any(|h| h.region.contains(truth)),
                    _ => false,
                }
            };
            assert!(hidden(&camera), "frame {seq}");
        }
    }

    #[test]
    fn a_gap_is_bridged_along_the_cameras_way() {
        // Out and back: before and after the gap the face is in one place.
        let mut camera = CameraMotion::default();
        let x = |seq: u64| {
            if (10..30).contains(&seq) { -12.0 * (10.0 - (seq as f32 - 20.0).abs()) } else { 0.0 }
        };
        for seq in 0..40 {
            camera.step(&seen_from(x(seq), 0.0), at(seq), seq == 0);
        }
        let mut track = track(&[9, 31], 0.0);
        for sighting in &mut track.sightings {
            sighting.rect.x += 200.0;
        }
        for seq in 9..=31 {
            let subjects = [Subject { track: &track, state: State::Undecided }];
            let (verdict, _) = decide(&frame(seq, true), &subjects, &camera, Region::Head);
            let Cover::Regions(hidden) = verdict.cover else { panic!("regions") };
            let truth = Rect::new(300.0 + x(seq), 100.0, 50.0, 60.0);
            assert!(hidden.iter().any(|h| h.region.contains(truth)), "frame {seq}");
        }
    }

    proptest! {
        #[test]
        fn every_veil_has_one_shape_and_a_stepped_size_and_covers_the_face(
            x in -50.0..1900.0f32, y in -50.0..1000.0f32, w in 8.0..900.0f32, ratio in 0.8..2.0f32,
        ) {
            let face = Rect::new(x, y, w, w * ratio);
            let even = even(face);
            let (slack, (a, b)) = (1e-3 * w, (face.center(), even.center()));
            prop_assert!(even.grown(1e-4, 1e-4, 1e-4).contains(face), "{face:?} {even:?}");
            prop_assert!((a.x - b.x).abs() < slack && (a.y - b.y).abs() < slack);
            prop_assert!((even.h / even.w - FACE_RATIO).abs() < 1e-3);
            let steps = even.h.ln() / FACE_STEP.ln();
            prop_assert!((steps - steps.round()).abs() < 0.01, "{steps}");
            // No larger than the shape and one step ask for.
            prop_assert!(even.h <= 1.001 * FACE_STEP * face.h.max(face.w * FACE_RATIO));
        }

        #[test]
        fn the_region_covers_the_moving_face(
            step in -12.0..12.0f32, gap in 1u64..40, seq in 0u64..120, person in any::<bool>(),
        ) {
            // A face that moves steadily, seen only every `gap` frames.
            let seqs: Vec<u64> = (0..120).step_by(usize::try_from(gap).expect("small")).collect();
            let track = track(&seqs, step);
            let region = if person { Region::Person } else { Region::Head };
            let last = *seqs.last().expect("some");
            prop_assume!(seq <= last + 10);
            let truth = Rect::new(100.0 + step * seq as f32, 100.0, 50.0, 60.0)
                .intersection(SIZE.rect());
            prop_assume!(truth.area() > 0.0);
            let Cover::Regions(hidden) = verdict(&track, State::Undecided, seq, true, region) else {
                panic!("regions")
            };
            prop_assert_eq!(hidden.len(), 1);
            prop_assert!(hidden[0].region.contains(truth), "{:?} misses {:?}", hidden[0], truth);
        }
    }
}
