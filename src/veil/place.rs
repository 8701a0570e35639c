//! Seats: parts of one camera's picture that belong to somebody.
//!
//! Belongs here: whose face stays in which seat, and for how long; the zones that are always veiled.
//! Does not belong: what else is known of a face, above all that it resembles a refused person
//! (`evidence`), which goes before this.
//!
//! A seat says nothing of who sits in it. So the bounds are narrow: a face has to be seen in the
//! seat, alone in it and no larger than it, for some time on end; where it is seen outside, its
//! clearance ends with the sighting before. A refusing pupil's seat clears nobody: it is veiled.
//!
//! Pure: times, faces and outlines come in.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::{
    frame::{FrameSize, Point, Rect},
    units::{Pts, PupilId, TrackId},
};

/// A face clears by place once it was seen in the seat for this long on end. Longer than it takes to
/// walk past; with the usual look-ahead of 2 s it costs one second at the start.
const STAY: Duration = Duration::from_secs(3);
/// A face that is not seen for longer than this has left; until then it is taken to have turned.
const UNSEEN: Duration = Duration::from_millis(500);
/// Faces that share more than this part of the smaller one may be mixed up.
const SHARED: f32 = 0.1;
/// Strips that a zone is cut into at most.
const STRIPS: u16 = 16;
/// Strips whose edges differ by less than this part of the picture are one.
const SAME_EDGE: f32 = 0.01;

/// A part of one camera's picture, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Seat {
    /// Whose.
    pub pupil: PupilId,
    /// Corners in order, as parts of the picture's width and height, 0 to 1.
    pub corners: Vec<[f32; 2]>,
}

impl Seat {
    /// Whether a place, in parts of the picture, lies inside (even-odd rule).
    fn contains(&self, x: f32, y: f32) -> bool {
        let crosses = |&([ax, ay], [bx, by]): &([f32; 2], [f32; 2])| {
            (ay > y) != (by > y) && x < ax + (y - ay) / (by - ay) * (bx - ax)
        };
        self.edges().filter(crosses).count() % 2 == 1
    }

    fn edges(&self) -> impl Iterator<Item = ([f32; 2], [f32; 2])> {
        self.corners.iter().copied().zip(self.corners.iter().copied().cycle().skip(1))
    }

    /// The rectangle around it, in parts of the picture.
    fn bounds(&self) -> Rect {
        let point = |&[x, y]: &[f32; 2]| Rect::new(x, y, 0.0, 0.0);
        self.corners.iter().map(point).reduce(Rect::union).unwrap_or_default()
    }

    /// Whether a face may be that of somebody who sits here: its middle in the seat, and no larger
    /// than the seat. A larger one is nearer to the camera.
    fn may_hold(&self, face: Rect, size: FrameSize) -> bool {
        let picture = size.rect();
        let (bounds, Point { x, y }) = (self.bounds(), face.center());
        self.contains(x / picture.w, y / picture.h)
            && face.w <= bounds.w * picture.w
            && face.h <= bounds.h * picture.h
    }

    /// Strips that cover all of it and little else, in parts of the picture.
    fn strips(&self) -> Vec<Rect> {
        let bounds = self.bounds();
        let high = bounds.h / f32::from(STRIPS);
        let mut strips: Vec<Rect> = Vec::new();
        for i in 0..STRIPS {
            let top = bounds.y + high * f32::from(i);
            let Some(strip) = self.strip(top, top + high) else { continue };
            match strips.last_mut() {
                Some(last)
                    if (last.x - strip.x).abs() < SAME_EDGE
                        && (last.right() - strip.right()).abs() < SAME_EDGE =>
                {
                    *last = last.union(strip);
                }
                _ => strips.push(strip),
            }
        }
        strips
    }

    /// The rectangle around what of it lies from `top` to `bottom`.
    fn strip(&self, top: f32, bottom: f32) -> Option<Rect> {
        let mut reach: Option<(f32, f32)> = None;
        for ([ax, ay], [bx, by]) in self.edges() {
            let (from, to) = (ay.min(by).max(top), ay.max(by).min(bottom));
            if from > to {
                continue;
            }
            let level = (by - ay).abs() <= f32::EPSILON;
            let at = |y: f32| if level { ax } else { ax + (y - ay) / (by - ay) * (bx - ax) };
            // A level edge counts with both its ends.
            let ends = if level { [ax, bx] } else { [at(from), at(to)] };
            for x in ends {
                let (least, most) = reach.unwrap_or((x, x));
                reach = Some((least.min(x), most.max(x)));
            }
        }
        let (least, most) = reach?;
        Some(Rect::new(least, top, most - least, bottom - top))
    }
}

/// What the list says of places in one camera's picture, and of markers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// Seats of people who may be seen.
    pub seats: Vec<Seat>,
    /// Seats of those who may not: always veiled.
    pub zones: Vec<Seat>,
    /// Markers that say of their wearer "may be seen", by number.
    pub markers: BTreeMap<u16, PupilId>,
}

impl Places {
    /// What is always veiled in a picture of `size`, by zone.
    #[must_use]
    pub fn veiled(&self, size: FrameSize) -> Vec<(usize, Rect)> {
        let picture = size.rect();
        let scaled = |part: Rect| {
            let (x, y) = (part.x * picture.w, part.y * picture.h);
            Rect::new(x, y, part.w * picture.w, part.h * picture.h)
        };
        let zones = self.zones.iter().enumerate();
        zones.flat_map(|(i, zone)| zone.strips().into_iter().map(move |s| (i, scaled(s)))).collect()
    }
}

/// A face in one seat without a break.
#[derive(Clone, Copy, Debug)]
struct Stay {
    seat: usize,
    since: Pts,
    last: Pts,
    /// It was not seen elsewhere since.
    open: bool,
}

impl Stay {
    fn counts_at(&self, pts: Pts) -> bool {
        let until = if self.open { self.last.plus(UNSEEN) } else { self.last };
        self.last.since(self.since) >= STAY && (self.since..=until).contains(&pts)
    }
}

/// Who stays in which seat, over time.
#[derive(Clone, Debug, Default)]
pub struct Stays {
    seats: Vec<Seat>,
    stays: BTreeMap<TrackId, VecDeque<Stay>>,
}

impl Stays {
    /// Nobody has been seen yet.
    #[must_use]
    pub fn new(seats: Vec<Seat>) -> Self {
        Self { seats, stays: BTreeMap::new() }
    }

    /// Whether any seat could clear anybody.
    #[must_use]
    pub fn is_used(&self) -> bool {
        !self.seats.is_empty()
    }

    /// Takes all faces of one frame that are surely faces.
    pub fn step(&mut self, pts: Pts, size: FrameSize, faces: &[(TrackId, Rect)]) {
        for &(id, face) in faces {
            let alone = |seat: &Seat| {
                let others = faces.iter().filter(|(other, _)| *other != id);
                others.into_iter().all(|&(_, other)| {
                    let least = face.area().min(other.area());
                    let shared = face.intersection(other).area();
                    // Written so that numbers that are none mean company.
                    shared <= SHARED * least && !seat.may_hold(other, size)
                })
            };
            let holds = |seat: &Seat| seat.may_hold(face, size) && alone(seat);
            let stays = self.stays.entry(id).or_default();
            let now =
                stays.back().filter(|s| s.open && pts.since(s.last) <= UNSEEN).map(|s| s.seat);
            let same = now.filter(|&i| self.seats.get(i).is_some_and(holds));
            match (same, stays.back_mut()) {
                (Some(_), Some(stay)) => stay.last = pts,
                (_, last) => {
                    if let Some(last) = last {
                        last.open = false;
                    }
                    if let Some(seat) = self.seats.iter().position(holds) {
                        stays.push_back(Stay { seat, since: pts, last: pts, open: true });
                    }
                }
            }
        }
    }

    /// Whether a face was in a seat when it was seen last, however briefly.
    #[must_use]
    pub fn is_seated(&self, id: TrackId) -> bool {
        self.stays.get(&id).and_then(VecDeque::back).is_some_and(|stay| stay.open)
    }

    /// In whose seat a face is at `pts`, if it stays there.
    #[must_use]
    pub fn seated(&self, id: TrackId, pts: Pts) -> Option<&PupilId> {
        let stay = self.stays.get(&id)?.iter().find(|stay| stay.counts_at(pts))?;
        self.seats.get(stay.seat).map(|seat| &seat.pupil)
    }

    /// Forgets tracks that are not remembered, and what was over before `pts`.
    pub fn forget_before(&mut self, pts: Pts, remembered: &BTreeSet<TrackId>) {
        self.stays.retain(|id, _| remembered.contains(id));
        for stays in self.stays.values_mut() {
            while stays.len() > 1 && stays.front().is_some_and(|stay| stay.last < pts) {
                stays.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: FrameSize = FrameSize::new(1000, 500);
    const FACE: TrackId = TrackId(1);

    fn seat(pupil: &str, corners: &[[f32; 2]]) -> Seat {
        Seat { pupil: pupil.parse().expect("a pseudonym"), corners: corners.to_vec() }
    }

    /// From 100,100 to 300,300 in pixels.
    fn square() -> Seat {
        seat("p-1", &[[0.1, 0.2], [0.3, 0.2], [0.3, 0.6], [0.1, 0.6]])
    }

    fn face(x: f32, y: f32, w: f32) -> Rect {
        Rect::new(x - w / 2.0, y - w / 2.0, w, w)
    }

    fn at(frame: u64) -> Pts {
        Pts::from_nanos(frame * 100_000_000)
    }

    /// Frames at which the face that is at `path` counts as seated, ten frames a second.
    fn seated(path: &[Option<Rect>], other: impl Fn(usize) -> Option<Rect>) -> Vec<bool> {
        let mut stays = Stays::new(vec![square()]);
        for (i, place) in path.iter().enumerate() {
            let other = other(i).map(|rect| (TrackId(2), rect));
            let faces: Vec<_> = place.map(|rect| (FACE, rect)).into_iter().chain(other).collect();
            stays.step(at(i as u64), SIZE, &faces);
        }
        (0..path.len() as u64).map(|i| stays.seated(FACE, at(i)).is_some()).collect()
    }

    fn alone(path: &[Option<Rect>]) -> Vec<bool> {
        seated(path, |_| None)
    }

    const IN: Option<Rect> = Some(Rect::new(180.0, 180.0, 40.0, 40.0));
    const OUT: Option<Rect> = Some(Rect::new(380.0, 180.0, 40.0, 40.0));

    #[test]
    fn a_face_that_stays_is_cleared_from_its_first_frame_in_the_seat() {
        let path = [[OUT; 5].as_slice(), &[IN; 40], &[OUT; 5]].concat();
        let expected: Vec<bool> = (0..50).map(|i| (5..45).contains(&i)).collect();
        assert_eq!(alone(&path), expected);
    }

    #[test]
    fn a_visit_clears_nobody() {
        assert_eq!(alone(&[[IN; 30].as_slice(), &[OUT; 2], &[IN; 30]].concat()), [false; 62]);
    }

    #[test]
    fn a_face_that_turns_away_for_a_moment_stays() {
        let path = [[IN; 20].as_slice(), &[None; 4], &[IN; 20]].concat();
        assert_eq!(alone(&path), [true; 44]);
        let path = [[IN; 20].as_slice(), &[None; 6], &[IN; 20]].concat();
        assert_eq!(alone(&path), [false; 46]);
        // Half a second after it was seen last, not longer.
        let path = [[IN; 40].as_slice(), &[None; 10]].concat();
        let expected: Vec<bool> = (0..50).map(|i| i < 45).collect();
        assert_eq!(alone(&path), expected);
    }

    #[test]
    fn company_and_large_faces_clear_nobody() {
        let there = [IN; 40];
        let beside = |rect: Rect| seated(&there, |_| Some(rect));
        assert_eq!(beside(face(250.0, 250.0, 30.0)), [false; 40], "another one in the seat");
        assert_eq!(beside(face(200.0, 250.0, 220.0)), [false; 40], "one in front");
        assert_eq!(beside(face(600.0, 250.0, 40.0)), [true; 40], "one elsewhere");
        assert_eq!(alone(&[Some(face(200.0, 200.0, 230.0)); 40]), [false; 40], "too large");
    }

    #[test]
    fn a_zone_is_covered_by_few_strips() {
        let places = Places { zones: vec![square()], ..Places::default() };
        let [(0, strip)] = places.veiled(SIZE)[..] else { panic!("one strip") };
        assert!(strip.grown(0.001, 0.001, 0.001).contains(Rect::new(100.0, 100.0, 200.0, 200.0)));
        assert!(strip.area() < 40_100.0);
    }

    fn outline() -> impl Strategy<Value = Seat> {
        proptest::collection::vec(0.25..1.0f32, 3..12).prop_map(|radii| {
            let turn = std::f32::consts::TAU / radii.len() as f32;
            let corner = |(i, r): (usize, f32)| {
                let (sin, cos) = (turn * i as f32).sin_cos();
                [0.5 + 0.4 * r * cos, 0.5 + 0.4 * r * sin]
            };
            seat("p-1", &radii.into_iter().enumerate().map(corner).collect::<Vec<_>>())
        })
    }

    proptest! {
        #[test]
        fn strips_cover_all_of_a_zone(zone in outline(), x in 0.0..1.0f32, y in 0.0..1.0f32) {
            let inside = zone.contains(x, y);
            let veiled = Places { zones: vec![zone], ..Places::default() }.veiled(SIZE);
            let (x, y) = (x * 1000.0, y * 500.0);
            let covered = veiled.iter().any(|(_, r)| {
                let r = Rect::new(r.x - 0.01, r.y - 0.01, r.w + 0.02, r.h + 0.02);
                (r.x..=r.right()).contains(&x) && (r.y..=r.bottom()).contains(&y)
            });
            prop_assert!(!inside || covered);
        }

        #[test]
        fn whoever_is_cleared_was_seen_in_the_seat_long_enough(
            path in proptest::collection::vec((0usize..8, 1usize..50), 1..12),
            company in proptest::collection::vec(any::<bool>(), 20),
        ) {
            let places = [IN, IN, IN, IN, IN, OUT, None, Some(face(200.0, 200.0, 230.0))];
            let path: Vec<_> =
                path.iter().flat_map(|&(i, n)| std::iter::repeat_n(places[i], n)).collect();
            let other = |i: usize| {
                let there = company.get(i / 40).is_some_and(|there| *there);
                there.then(|| face(250.0, 250.0, 30.0))
            };
            let shown = seated(&path, other);
            for (i, _) in shown.iter().enumerate().filter(|(_, shown)| **shown) {
                // Not seen outside, and within a second or so of being seen inside ...
                prop_assert!(path[i] == IN && other(i).is_none() || path[i].is_none(), "{i}");
                // ... in a run of sightings that lasts long enough.
                let fine = |j: usize| path[j].is_none() || (path[j] == IN && other(j).is_none());
                let from = (0..=i).rev().take_while(|&j| fine(j)).last().unwrap_or(i);
                let to = (i..path.len()).take_while(|&j| fine(j)).last().unwrap_or(i);
                prop_assert!(to - from >= 30, "{from} to {to}");
            }
        }
    }
}
