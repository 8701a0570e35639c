//! How far the camera moved: panned by hand, or shaken by a desk.
//!
//! Belongs here: the shift of what stands still, from picture to picture. Does not belong: what moves
//! by itself, and what follows from either (`veil`). Pure: pictures and times come in.
//!
//! A picture is compared with a kept one, not with the one before it, so that slow movements add up
//! and small errors do not. No part of it can say more than its share against a shift, so that people
//! who walk about are outvoted. Turns and zooms are no shifts: where most parts disagree, or the
//! picture is as blank that many shifts would do, nothing is said.

use std::{collections::VecDeque, ops::Range};

use super::change::Blocks;
use crate::{frame::Point, units::Pts};

/// Parts across and down that have a say.
const ACROSS: usize = 6;
const DOWN: usize = 4;
const PARTS: usize = ACROSS * DOWN;
/// How far from where the camera is going the shift is looked for, in blocks: at 30 pictures a second
/// and 16 pixels a block a pan may become faster or slower by 1,400 pixels a second from one to the
/// next. Where it is not found there, it is looked for as far from where the camera was.
const REACH: isize = 3;
const WIDE: usize = 2 * REACH as usize + 1;
/// Differences that are summed side by side, which the compiler turns into vector code.
const LANES: usize = 4;
/// The kept picture is replaced when it is this many blocks away: farther, too little of it is left.
const FARTHEST: f32 = 6.0;
/// Mean square difference in grey levels below which nothing moved: noise of the sensor moves a
/// block's mean by 0.4 levels.
const STILL: f32 = 0.4;
/// A part whose shifts differ by this mean square has half a say, one without detail none.
const DETAIL: f32 = 4.0;
/// A part agrees with a shift that leaves less than this part of what shifts leave on average.
const LEFT: f32 = 0.6;
/// So much of the say has to agree.
const LEAST_SHARE: f32 = 0.5;
/// A step of one block in any direction has to be this much worse, in parts of what a wrong shift
/// leaves: a blank wall looks the same wherever it is, a striped one wherever it is along its stripes.
const TELLING: f32 = 0.02;

/// Where what stands still was in one picture.
#[derive(Clone, Copy, Debug)]
struct Place {
    pts: Pts,
    /// In pixels, from where it was when the scene began.
    x: f32,
    y: f32,
    /// Places of different scenes have nothing to do with each other.
    scene: u32,
}

/// Follows the movement of one camera.
#[derive(Debug, Default)]
pub struct CameraMotion {
    /// The kept picture's blocks and columns, and where it was.
    kept: Vec<f32>,
    columns: usize,
    origin: (f32, f32),
    /// The latest shift from the kept picture, in blocks, and how much of it came last.
    shift: (f32, f32),
    going: (f32, f32),
    scene: u32,
    path: VecDeque<Place>,
}

impl CameraMotion {
    /// Takes the next picture, which `blocks` has measured. After a scene cut nothing is known of
    /// how it lies to those before.
    pub fn step(&mut self, blocks: &Blocks, pts: Pts, cut: bool) {
        let same_grid = blocks.columns() == self.columns && blocks.means().len() == self.kept.len();
        let shift = if cut || !same_grid { None } else { self.shift_of(blocks) };
        let side = blocks.side() as f32;
        if let Some(shift) = shift {
            self.going = (shift.0 - self.shift.0, shift.1 - self.shift.1);
            self.shift = shift;
        } else {
            // A new scene begins: places count from here.
            self.scene = self.scene.wrapping_add(1);
            (self.shift, self.origin) = ((0.0, 0.0), (0.0, 0.0));
            self.going = (0.0, 0.0);
        }
        let (x, y) = (self.origin.0 + self.shift.0 * side, self.origin.1 + self.shift.1 * side);
        self.path.push_back(Place { pts, x, y, scene: self.scene });
        if shift.is_none() || self.shift.0.abs().max(self.shift.1.abs()) > FARTHEST {
            self.origin = (x, y);
            self.shift = (0.0, 0.0);
            self.columns = blocks.columns();
            self.kept.clear();
            self.kept.extend_from_slice(blocks.means());
        }
    }

    /// How far what stands still moved in the picture from one time to another, in pixels. None
    /// where it is not known: another scene, a picture that was not looked at or is forgotten.
    #[must_use]
    pub fn between(&self, from: Pts, to: Pts) -> Option<Point> {
        let (from, to) = (self.at(from)?, self.at(to)?);
        (from.scene == to.scene).then_some(Point { x: to.x - from.x, y: to.y - from.y })
    }

    fn at(&self, pts: Pts) -> Option<&Place> {
        let index = self.path.partition_point(|place| place.pts < pts);
        self.path.get(index).filter(|place| place.pts == pts)
    }

    /// Forgets pictures before `pts`.
    pub fn forget_before(&mut self, pts: Pts) {
        while self.path.front().is_some_and(|place| place.pts < pts) {
            self.path.pop_front();
        }
    }

    /// The shift from the kept picture to this one, in blocks; none where too little agrees.
    fn shift_of(&self, blocks: &Blocks) -> Option<(f32, f32)> {
        let rows = self.kept.len() / self.columns.max(1);
        let part = |i: usize| (cut(self.columns, ACROSS, i % ACROSS), cut(rows, DOWN, i / ACROSS));
        let cost = |i: usize, x: isize, y: isize| self.differs(blocks.means(), &part(i), x, y);
        let still = |i: &usize| cost(*i, 0, 0).is_some_and(|left| left < STILL);
        if (0..PARTS).filter(still).count() as f32 >= LEAST_SHARE * PARTS as f32 {
            // The price of a camera on its tripod, with some people before it.
            return Some((0.0, 0.0));
        }
        let expected = (self.shift.0 + self.going.0, self.shift.1 + self.going.1);
        Self::shift_near(expected, cost).or_else(|| Self::shift_near(self.shift, cost))
    }

    /// The shift that leaves least, not far from `about`; none where too little agrees.
    #[expect(clippy::cast_possible_truncation, reason = "a few blocks")]
    fn shift_near(
        about: (f32, f32),
        cost: impl Fn(usize, isize, isize) -> Option<f32>,
    ) -> Option<(f32, f32)> {
        let near = (about.0.round() as isize, about.1.round() as isize);
        // What each shift leaves of each part, in parts of what shifts leave on average.
        let mut left = [[[1.0f32; WIDE]; WIDE]; PARTS];
        let mut says = [0.0f32; PARTS];
        let mut sums = [[0.0f32; WIDE]; WIDE];
        for (i, (left, says)) in left.iter_mut().zip(&mut says).enumerate() {
            let (mut all, mut count) = (0.0, 0.0f32);
            for (y, row) in (-REACH..).zip(left.iter_mut()) {
                for (x, here) in (-REACH..).zip(row.iter_mut()) {
                    let cost = cost(i, near.0 + x, near.1 + y);
                    *here = cost.unwrap_or(f32::INFINITY);
                    all += cost.unwrap_or(0.0);
                    count += f32::from(u8::from(cost.is_some()));
                }
            }
            let mean = all / count.max(1.0);
            *says = mean / (mean + DETAIL);
            for (sum, here) in sums.as_flattened_mut().iter_mut().zip(left.as_flattened_mut()) {
                *here = if mean > 0.0 { (*here / mean).min(1.0) } else { 1.0 };
                *sum += *says * *here;
            }
        }
        let all: f32 = says.iter().sum();
        let inner = 1..WIDE - 1;
        let places = inner.clone().flat_map(|y| inner.clone().map(move |x| (x, y)));
        let (x, y) = places.min_by(|&(ax, ay), &(bx, by)| sums[ay][ax].total_cmp(&sums[by][bx]))?;
        let agree: f32 = left
            .iter()
            .zip(&says)
            .filter(|(left, _)| left[y][x] < LEFT)
            .map(|(_, says)| says)
            .sum();
        // Written so that numbers that are none do not agree.
        if !(all >= 1.0 && agree >= LEAST_SHARE * all) {
            return None;
        }
        let (dx, dy) = lowest(&sums, x, y, TELLING * all)?;
        let whole = |near: isize, at: usize| near as f32 + at as f32 - REACH as f32;
        Some((whole(near.0, x) + dx, whole(near.1, y) + dy))
    }

    /// How much a part of the kept picture differs from what is `dx` and `dy` blocks from it now.
    fn differs(
        &self,
        now: &[f32],
        (across, down): &(Range<usize>, Range<usize>),
        dx: isize,
        dy: isize,
    ) -> Option<f32> {
        let rows = self.kept.len() / self.columns.max(1);
        let inside = |range: &Range<usize>, by: isize, most: usize| {
            let start = range.start.max(by.min(0).unsigned_abs());
            let end = range.end.min(most.saturating_sub(by.max(0).unsigned_abs()));
            start..end.max(start)
        };
        let (columns, lines) = (inside(across, dx, self.columns), inside(down, dy, rows));
        let count = columns.len() * lines.len();
        if 2 * count < across.len() * down.len() || count == 0 {
            // Too much of it has left the picture.
            return None;
        }
        let (mut sums, mut squares) = ([0.0f32; LANES], [0.0f32; LANES]);
        let mut add = |was: &[f32], is: &[f32]| {
            let sums = sums.iter_mut().zip(&mut squares);
            for ((was, is), (sum, squares)) in was.iter().zip(is).zip(sums) {
                let d = is - was;
                *sum += d;
                *squares += d * d;
            }
        };
        for line in lines {
            let was = &self.kept[line * self.columns..][columns.clone()];
            let from = line.wrapping_add_signed(dy) * self.columns;
            let is = &now[from + columns.start.wrapping_add_signed(dx)..][..columns.len()];
            let (was, was_rest) = was.as_chunks::<LANES>();
            let (is, is_rest) = is.as_chunks::<LANES>();
            was.iter().zip(is).for_each(|(was, is)| add(was, is));
            add(was_rest, is_rest);
        }
        let (sum, squares): (f32, f32) = (sums.iter().sum(), squares.iter().sum());
        // Less the mean: a lamp that is switched on moves nothing.
        let count = count as f32;
        Some((squares / count - (sum / count).powi(2)).max(0.0))
    }
}

/// How far from a cell the lowest point of the bowl around it is; none where it is no bowl that bends
/// by `telling` in every direction.
fn lowest(costs: &[[f32; WIDE]; WIDE], x: usize, y: usize, telling: f32) -> Option<(f32, f32)> {
    let at = |dx: isize, dy: isize| costs[y.wrapping_add_signed(dy)][x.wrapping_add_signed(dx)];
    let here = at(0, 0);
    let (slope_x, slope_y) = ((at(1, 0) - at(-1, 0)) / 2.0, (at(0, 1) - at(0, -1)) / 2.0);
    let (bend_x, bend_y) = (at(1, 0) + at(-1, 0) - 2.0 * here, at(0, 1) + at(0, -1) - 2.0 * here);
    let cross = (at(1, 1) + at(-1, -1) - at(1, -1) - at(-1, 1)) / 4.0;
    // The smaller bend of the bowl, in whatever direction it lies.
    let half = (bend_x - bend_y) / 2.0;
    let least = f32::midpoint(bend_x, bend_y) - half.hypot(cross);
    let determinant = bend_x * bend_y - cross * cross;
    // Written so that numbers that are none are no bowl.
    let bowl = least >= telling && determinant > 0.0;
    let (dx, dy) = (
        (cross * slope_y - bend_y * slope_x) / determinant,
        (cross * slope_x - bend_x * slope_y) / determinant,
    );
    bowl.then(|| (dx.clamp(-0.5, 0.5), dy.clamp(-0.5, 0.5)))
}

/// The blocks of part `index` of `parts`.
fn cut(all: usize, parts: usize, index: usize) -> Range<usize> {
    all * index / parts..all * (index + 1) / parts
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{FrameSize, I420View};

    const SIZE: FrameSize = FrameSize::new(640, 360);

    /// A room that is larger than the picture: soft shapes of different sizes, none like another.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::many_single_char_names,
        reason = "small whole numbers, and grey levels; x and y are what they are"
    )]
    fn room(x: f32, y: f32, light: f32) -> u8 {
        let dice = |i: f32, j: f32| {
            let mixed = (i as i64).wrapping_mul(73_856_093) ^ (j as i64).wrapping_mul(19_349_663);
            (mixed.wrapping_mul(0x9E37_79B9) >> 12 & 0xFF) as f32
        };
        let noise = |size: f32| {
            let (x, y) = (x / size, y / size);
            let (i, j) = (x.floor(), y.floor());
            let (u, v) = (x - i, y - j);
            let row = |j: f32| dice(i, j) * (1.0 - u) + dice(i + 1.0, j) * u;
            row(j) * (1.0 - v) + row(j + 1.0) * v
        };
        (light * (0.5 * noise(90.0) + 0.3 * noise(37.0) + 0.2 * noise(11.0))) as u8
    }

    /// The room seen from where it lies at `x`, `y`, with a person of half the height at `person`.
    fn picture((x, y): (f32, f32), person: Option<f32>, light: f32) -> Vec<u8> {
        let mut luma = Vec::with_capacity(640 * 360);
        for row in 0..360u16 {
            for column in 0..640u16 {
                let (px, py) = (f32::from(column), f32::from(row));
                let inside = person.is_some_and(|at| (px - at).abs() < 60.0 && py > 150.0);
                luma.push(if inside {
                    room(3.0 * (px - person.unwrap_or(0.0)), py, 1.3)
                } else {
                    room(px - x, py - y, light)
                });
            }
        }
        luma
    }

    fn measured(luma: &[u8]) -> Blocks {
        let mut blocks = Blocks::default();
        let (u, v) = (&[][..], &[][..]);
        let (luma_stride, chroma_stride) = (640, 0);
        blocks.measure(&I420View { size: SIZE, y: luma, u, v, luma_stride, chroma_stride });
        blocks
    }

    /// The room from where it lies at `x`, `y`, for tests of what follows from a camera's motion.
    pub(crate) fn seen_from(x: f32, y: f32) -> Blocks {
        measured(&picture((x, y), None, 1.0))
    }

    fn at(frame: usize) -> Pts {
        Pts::from_nanos(frame as u64 * 40_000_000)
    }

    fn follow(path: &[(f32, f32)], person: impl Fn(usize) -> Option<f32>) -> CameraMotion {
        let mut motion = CameraMotion::default();
        for (i, place) in path.iter().enumerate() {
            let light = if i < path.len() / 2 { 1.0 } else { 0.9 };
            motion.step(&measured(&picture(*place, person(i), light)), at(i), i == 0);
        }
        motion
    }

    fn off(motion: &CameraMotion, path: &[(f32, f32)], from: usize, to: usize) -> Option<f32> {
        let moved = motion.between(at(from), at(to))?;
        let (dx, dy) = (path[to].0 - path[from].0, path[to].1 - path[from].1);
        Some((moved.x - dx).hypot(moved.y - dy))
    }

    #[test]
    fn a_pan_is_followed_past_people_and_lamps() {
        let path: Vec<_> = (0..50u8).map(|i| (-7.3 * f32::from(i), 1.1 * f32::from(i))).collect();
        let motion = follow(&path, |i| Some(100.0 + 9.0 * i as f32));
        for (from, to) in [(0, 49), (10, 30), (40, 20)] {
            let off = off(&motion, &path, from, to).expect("followed");
            assert!(off < 20.0, "{from} to {to}: {off} px off");
        }
    }

    #[test]
    fn a_still_camera_stays_where_it_is() {
        let motion = follow(&[(0.0, 0.0); 30], |i| Some(20.0 * i as f32));
        let moved = motion.between(at(0), at(29)).expect("followed");
        assert!(moved.x.abs() < 4.0 && moved.y.abs() < 4.0, "{moved:?}");
    }

    #[test]
    fn a_cut_and_a_blank_wall_say_nothing() {
        let mut motion = follow(&[(0.0, 0.0); 3], |_| None);
        motion.step(&measured(&picture((400.0, 90.0), None, 1.0)), at(3), true);
        assert!(motion.between(at(2), at(3)).is_none());
        assert!(motion.between(at(0), at(2)).is_some());
        motion.step(&measured(&vec![128; 640 * 360]), at(4), false);
        assert!(motion.between(at(3), at(4)).is_none());
        motion.forget_before(at(2));
        assert!(motion.between(at(0), at(2)).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn shakes_are_followed(steps in proptest::collection::vec((-14.0..14.0f32, -8.0..8.0f32), 4..16)) {
            let path: Vec<_> = steps
                .iter()
                .scan((0.0, 0.0), |at, (dx, dy)| {
                    *at = (at.0 + dx, at.1 + dy);
                    Some(*at)
                })
                .collect();
            let motion = follow(&path, |_| None);
            for to in 1..path.len() {
                let off = off(&motion, &path, 0, to);
                // To the nearest block of 16 pixels: what is between two blocks is a guess.
                prop_assert!(off.is_some_and(|off| off < 8.0), "frame {to}: {off:?}");
            }
        }
    }
}
