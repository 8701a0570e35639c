//! Pictures between two looks: what they show is known from the look before them and the one after, unless
//! they show anything else.
//!
//! Belongs here: whether that is so. Does not belong: looking at them where it is not (`search`).
//! A face that is in view for one picture is in neither look, a face that jumps and comes back is not on the
//! way between them: either makes the picture one that has to be looked at.

use std::time::Duration;

use super::super::{Detection, Landmarks, change::Blocks, glance::Glance};
use crate::{
    frame::{I420View, Point, Rect},
    units::Pts,
};

/// Longest time from one look to the next: every third picture at 30 a second, every second one at 25.
const LOOK_WITHIN: Duration = Duration::from_millis(105);
/// A face goes no farther than this from one look to the next, in parts of its size ...
const WAY: f32 = 0.75;
/// ... and becomes no larger or smaller than this.
const RATIO: f32 = 1.3;
/// The detector was sure of a face once it scored this.
const SURE_SCORE: f32 = 0.6;
/// What is told of a face without having been seen scores no more than this, which is not sure.
const UNSURE_SCORE: f32 = 0.5;
/// A face too small for a glance is told only where it went no farther than this from one look to the next, in
/// parts of its size: it may have turned round on the way.
const STEP: f32 = 0.25;
/// How far around it a face is looked for that is not where it is thought to be, in parts of its size.
const STRIDE: f32 = 0.5;
/// Faces nearer to each other than this part of their size on each side may be about to meet, and those as near to
/// the picture's edge about to leave.
const APART: f32 = 0.25;
/// Something else is in a picture where two by two blocks are brighter or darker by this altogether, in grey
/// levels, than they were in both looks: in 1080p a face of 24 pixels that differs by 16 from what is behind it.
const ELSE: f32 = 24.0;
/// Everything that differs by this and is no farther from it than so many blocks belongs to it.
const BESIDE: f32 = 6.0;
const NEAR: usize = 3;
/// Something moves where a block differs by this from one look to the other.
const MOVED: f32 = 4.0;
/// Where something moves a block shows what was or will be beside it; what neither look saw in the block itself
/// counts this much less.
const MOVES: f32 = 0.25;
/// Most pictures that wait, whatever their times say: as many as come in time at 120 a second.
const MOST: usize = 12;

/// What one look saw.
#[derive(Debug, Default)]
struct Look {
    pts: Pts,
    faces: Vec<Seen>,
    means: Vec<f32>,
    /// Whether every face may be told from others and from its own parts.
    plain: bool,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    face: Detection,
    glance: Option<Glance>,
    /// Whether every look sees it, and not only a tile whose turn it is.
    near: bool,
}

/// What can be told of a picture that was not looked at.
#[derive(Debug)]
pub(super) struct Told {
    /// The faces that are surely there.
    pub(super) faces: Vec<Detection>,
    /// Around each thing that has to be looked at; empty where that is all.
    pub(super) doubtful: Vec<Rect>,
}

/// The last two looks, and the pictures since the last one. Its memory is kept.
#[derive(Debug, Default)]
pub(super) struct Between {
    before: Look,
    now: Look,
    /// Whether a look before and one now are there to go by.
    known: (bool, bool),
    /// When the picture before was taken.
    picture: Pts,
    waiting: Vec<(Pts, Vec<f32>)>,
    waits: usize,
}

impl Between {
    /// Forgets both looks.
    pub(super) fn forget(&mut self) {
        self.known = (false, false);
        self.waits = 0;
    }

    /// Whether a picture may wait for the next one: that one would still be looked at in time.
    pub(super) fn may_wait(&self, pts: Pts) -> bool {
        let next = pts.since(self.now.pts) + pts.since(self.picture);
        self.known.1 && next <= LOOK_WITHIN && self.now.plain && self.waits < MOST
    }

    /// Keeps what a picture shows that waits.
    pub(super) fn wait(&mut self, pts: Pts, blocks: &Blocks) {
        if self.waiting.len() == self.waits {
            self.waiting.push((pts, Vec::new()));
        }
        let (at, means) = &mut self.waiting[self.waits];
        *at = pts;
        means.clear();
        means.extend_from_slice(blocks.means());
        self.waits += 1;
        self.picture = pts;
    }

    /// Takes what a look found; `near` tells the faces that every look sees.
    pub(super) fn looked(
        &mut self,
        view: &I420View<'_>,
        pts: Pts,
        blocks: &Blocks,
        found: &[Detection],
        near: impl Fn(&Detection) -> bool,
    ) {
        std::mem::swap(&mut self.before, &mut self.now);
        self.known = (self.known.1, true);
        self.picture = pts;
        let now = &mut self.now;
        now.pts = pts;
        now.faces.clear();
        now.faces.extend(found.iter().map(|face| Seen {
            face: *face,
            glance: Glance::at(view, &face.landmarks),
            near: near(face),
        }));
        now.means.clear();
        now.means.extend_from_slice(blocks.means());
        now.plain = now.is_plain(view.size.rect());
    }

    /// No picture waits any more.
    pub(super) fn settle(&mut self) {
        self.waits = 0;
    }

    /// What a picture that waited shows, as both looks tell it.
    pub(super) fn told(&self, view: &I420View<'_>, pts: Pts, blocks: &Blocks) -> Told {
        let everywhere = Told { faces: Vec::new(), doubtful: vec![view.size.rect()] };
        let (before, now) = (&self.before, &self.now);
        let way = now.pts.since(before.pts);
        // The next picture may have come later than it was expected.
        if self.known != (true, true) || way > 2 * LOOK_WITHIN {
            return everywhere;
        }
        let part = pts.since(before.pts).as_secs_f32() / way.as_secs_f32().max(f32::EPSILON);
        let mut left: Vec<&Seen> = now.faces.iter().collect();
        let mut faces = Vec::with_capacity(now.faces.len());
        let mut doubtful = Vec::new();
        let mut doubt = |rect: Rect| doubtful.push(rect);
        let around = |face: Rect| face.grown(STRIDE, STRIDE, STRIDE);
        for a in &before.faces {
            let nearest = (0..left.len())
                .min_by(|&i, &j| a.apart_from(left[i]).total_cmp(&a.apart_from(left[j])));
            match nearest.filter(|&i| a.may_become(left[i])) {
                Some(i) => {
                    let b = left.swap_remove(i);
                    let mut face = on_the_way(&a.face, &b.face, part);
                    if is_there(view, &face.landmarks, a, b) {
                        faces.push(face);
                    } else if a.near || b.near {
                        doubt(around(a.face.rect.union(b.face.rect)));
                    } else if a.apart_from(b) <= STEP {
                        // Too small for a glance: nobody else's veil gives way to it.
                        face.score = face.score.min(UNSURE_SCORE);
                        faces.push(face);
                    }
                }
                None if a.is_sure() => doubt(around(a.face.rect)),
                None => {}
            }
        }
        left.iter().filter(|b| b.is_sure()).for_each(|b| doubt(around(b.face.rect)));
        let waited = self.waiting[..self.waits].iter().find(|(at, _)| *at == pts);
        match waited.and_then(|(_, means)| self.something_else(means, blocks)) {
            Some(rects) => rects.into_iter().for_each(doubt),
            None => return everywhere,
        }
        Told { faces, doubtful }
    }

    /// Around each thing in a picture that neither look saw, empty where it shows nothing else; none where
    /// that cannot be told.
    fn something_else(&self, means: &[f32], blocks: &Blocks) -> Option<Vec<Rect>> {
        let (before, now) = (&self.before.means, &self.now.means);
        let columns = blocks.columns();
        if means.len() != before.len() || means.len() != now.len() || columns == 0 {
            return None;
        }
        let rows = means.len() / columns;
        let off = |at: usize| {
            let own =
                (means[at] - before[at].max(now[at])).max(before[at].min(now[at]) - means[at]);
            if own <= 0.0 {
                return 0.0;
            }
            // Where something moves, a block shows what was or will be beside it.
            let (row, column) = (at / columns, at % columns);
            let (mut low, mut high, mut moves) = (f32::INFINITY, f32::NEG_INFINITY, false);
            for row in row.saturating_sub(1)..(row + 2).min(rows) {
                let from = row * columns;
                for at in from + column.saturating_sub(1)..from + (column + 2).min(columns) {
                    let (a, b) = (before[at], now[at]);
                    low = low.min(a).min(b);
                    high = high.max(a).max(b);
                    moves |= (a - b).abs() >= MOVED;
                }
            }
            let beyond = (means[at] - high).max(low - means[at]);
            if moves { beyond.max(MOVES * own) } else { own }
        };
        let mut squares = vec![Square::Same; means.len()];
        let mut above = vec![0.0; columns];
        for row in 0..rows {
            let (mut left, mut above_left) = (0.0, 0.0);
            for (column, above) in above.iter_mut().enumerate() {
                let here = off(row * columns + column);
                let square = here + left + *above + above_left;
                above_left = std::mem::replace(above, here);
                left = here;
                // Written so that numbers that are none are something else.
                let (same, clear) = (square < ELSE, square < BESIDE);
                squares[row * columns + column] = match (same, clear) {
                    (false, _) => Square::Else,
                    (true, false) => Square::Beside,
                    (true, true) => Square::Same,
                };
            }
        }
        Some(things(&mut squares, columns, blocks.side() as f32))
    }
}

/// What two by two blocks show that neither look saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Square {
    /// Nothing.
    Same,
    /// Nothing by itself; it belongs to something else beside it.
    Beside,
    /// Something else.
    Else,
}

/// The bounds in pixels of everything else, each with all that belongs to it. A square is named by the block
/// at its right and lower end.
fn things(squares: &mut [Square], columns: usize, side: f32) -> Vec<Rect> {
    let rows = squares.len() / columns;
    let (mut things, mut reached) = (Vec::new(), Vec::new());
    for first in 0..squares.len() {
        if squares[first] != Square::Else {
            continue;
        }
        let mut thing: Option<Rect> = None;
        squares[first] = Square::Same;
        reached.push(first);
        while let Some(at) = reached.pop() {
            let (row, column) = (at / columns, at % columns);
            let (x, y) = (column as f32 * side - side, row as f32 * side - side);
            let square = Rect::new(x, y, 2.0 * side, 2.0 * side);
            thing = Some(thing.map_or(square, |thing| thing.union(square)));
            for row in row.saturating_sub(NEAR)..(row + NEAR + 1).min(rows) {
                for column in column.saturating_sub(NEAR)..(column + NEAR + 1).min(columns) {
                    let next = &mut squares[row * columns + column];
                    if std::mem::replace(next, Square::Same) != Square::Same {
                        reached.push(row * columns + column);
                    }
                }
            }
        }
        things.extend(thing);
    }
    things
}

impl Seen {
    /// Whether it is surely a face, of the kind that every look sees.
    fn is_sure(&self) -> bool {
        self.near && self.face.score >= SURE_SCORE
    }

    /// How far it is from another, in parts of its size.
    fn apart_from(&self, other: &Self) -> f32 {
        let (a, b) = (self.face.rect.center(), other.face.rect.center());
        (a.x - b.x).hypot(a.y - b.y) / self.face.rect.w.max(1.0)
    }

    /// Whether it may be where another is by the next look.
    fn may_become(&self, other: &Self) -> bool {
        let ratio = self.face.rect.w / other.face.rect.w;
        self.apart_from(other) <= WAY && (1.0 / RATIO..=RATIO).contains(&ratio)
    }
}

impl Look {
    /// Whether no face is so near to another that one may be taken for the other, or so near to the
    /// picture's edge that a part of it may be taken for all of it.
    fn is_plain(&self, picture: Rect) -> bool {
        let reach = |seen: &Seen| seen.face.rect.grown(APART, APART, APART);
        self.faces.iter().enumerate().all(|(i, a)| {
            let meets = |b: &Seen| reach(a).intersection(reach(b)).area() > 0.0;
            picture.contains(reach(a)) && !self.faces[i + 1..].iter().any(meets)
        })
    }
}

/// A face on the straight way from one look to the next.
fn on_the_way(a: &Detection, b: &Detection, part: f32) -> Detection {
    let between = |a: f32, b: f32| a + (b - a) * part;
    let mut landmarks: Landmarks = a.landmarks;
    for (mark, end) in landmarks.iter_mut().zip(&b.landmarks) {
        *mark = Point { x: between(mark.x, end.x), y: between(mark.y, end.y) };
    }
    let rect: Rect = a.rect.lerp(b.rect, part);
    Detection { rect, score: a.score.min(b.score), landmarks }
}

/// Whether the face of both looks is seen at `landmarks`.
fn is_there(view: &I420View<'_>, landmarks: &Landmarks, a: &Seen, b: &Seen) -> bool {
    Glance::at(view, landmarks)
        .is_some_and(|glance| [a, b].iter().all(|s| s.glance.is_some_and(|g| g.is_like(&glance))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::FrameSize;

    const SIZE: FrameSize = FrameSize::new(640, 360);

    fn at(picture: u64) -> Pts {
        Pts::from_nanos(picture * 33_333_333)
    }

    /// A wall with a window, and squares of a side in front of it.
    fn picture(squares: &[(usize, usize, usize, u8)]) -> Vec<u8> {
        let wall = |i: usize| if (100..300).contains(&(i % 640)) { 180 } else { 100 };
        let mut luma: Vec<u8> = (0..640 * 360).map(wall).collect();
        for &(x, y, side, grey) in squares {
            for row in y..(y + side).min(360) {
                luma[row * 640 + x..row * 640 + (x + side).min(640)].fill(grey);
            }
        }
        luma
    }

    /// Striped, as a face is: dark eyes, light cheeks.
    fn with_face(mut luma: Vec<u8>, x: usize, y: usize, w: usize) -> Vec<u8> {
        for row in 0..w {
            for column in 0..w {
                let grey = if (row * 5 / w + column * 3 / w).is_multiple_of(2) { 60 } else { 210 };
                luma[(y + row) * 640 + x + column] = grey;
            }
        }
        luma
    }

    fn face(x: f32, y: f32, w: f32) -> Detection {
        let place = |u: f32, v: f32| Point { x: x + u * w, y: y + v * w };
        let marks = [(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)];
        let landmarks = marks.map(|(u, v)| place(u, v));
        Detection { rect: Rect::new(x, y, w, w), score: 0.9, landmarks }
    }

    fn view(luma: &[u8]) -> I420View<'_> {
        let (u, v) = (&[][..], &[][..]);
        I420View { size: SIZE, y: luma, u, v, luma_stride: 640, chroma_stride: 0 }
    }

    /// What is told of a picture between two looks, each a picture with the faces found in it.
    fn told(first: (&[u8], &[Detection]), middle: &[u8], last: (&[u8], &[Detection])) -> Told {
        let (mut between, mut blocks) = (Between::default(), Blocks::default());
        blocks.measure(&view(first.0));
        between.looked(&view(first.0), at(0), &blocks, first.1, |_| true);
        assert!(between.may_wait(at(1)));
        blocks.measure(&view(middle));
        between.wait(at(1), &blocks);
        blocks.measure(&view(last.0));
        between.looked(&view(last.0), at(2), &blocks, last.1, |_| true);
        between.told(&view(middle), at(1), &blocks)
    }

    #[test]
    fn every_third_picture_is_looked_at_and_faces_that_meet_or_leave_in_every_one() {
        let (mut between, mut blocks) = (Between::default(), Blocks::default());
        let luma = picture(&[]);
        blocks.measure(&view(&luma));
        assert!(!between.may_wait(at(0)), "nothing was looked at");
        between.looked(&view(&luma), at(0), &blocks, &[], |_| true);
        for picture in [1, 2] {
            assert!(between.may_wait(at(picture)));
            between.wait(at(picture), &blocks);
        }
        assert!(!between.may_wait(at(3)));
        let two = [face(100.0, 100.0, 50.0), face(170.0, 100.0, 50.0)];
        between.looked(&view(&luma), at(3), &blocks, &two, |_| true);
        assert!(!between.may_wait(at(4)));
        between.looked(&view(&luma), at(4), &blocks, &two[..1], |_| true);
        assert!(between.may_wait(at(5)));
        // A camera that takes 10 a second.
        assert!(!between.may_wait(at(7)));
        let leaves = face(10.0, 100.0, 50.0);
        between.looked(&view(&luma), at(5), &blocks, &[leaves], |_| true);
        assert!(!between.may_wait(at(6)), "it may leave");
        between.looked(&view(&luma), at(6), &blocks, &[], |_| true);
        assert!(between.may_wait(at(7)));
        between.forget();
        assert!(!between.may_wait(at(7)));
    }

    #[test]
    fn a_face_on_its_way_is_told_from_both_looks() {
        let pictures = [0, 6, 12].map(|x| with_face(picture(&[]), 300 + x, 120, 60));
        let (a, b) = (face(300.0, 120.0, 60.0), face(312.0, 120.0, 60.0));
        let told = told((&pictures[0], &[a]), &pictures[1], (&pictures[2], &[b]));
        assert!(told.doubtful.is_empty(), "{told:?}");
        assert_eq!(told.faces, [face(306.0, 120.0, 60.0)]);
    }

    #[test]
    fn a_face_that_is_not_on_its_way_is_looked_for() {
        let still = with_face(picture(&[]), 300, 120, 60);
        let seen = face(300.0, 120.0, 60.0);
        for middle in [with_face(picture(&[]), 330, 120, 60), picture(&[])] {
            let told = told((&still, &[seen]), &middle, (&still, &[seen]));
            assert!(told.doubtful.iter().any(|rect| rect.contains(seen.rect)), "{told:?}");
        }
        // It came, or went.
        let empty = picture(&[]);
        for (first, last) in
            [((&still, &[seen][..]), (&empty, &[][..])), ((&empty, &[][..]), (&still, &[seen][..]))]
        {
            let told = told((first.0, first.1), &still, (last.0, last.1));
            assert!(told.doubtful.iter().any(|rect| rect.contains(seen.rect)), "{told:?}");
        }
    }

    #[test]
    fn an_edge_that_moves_is_nothing_else() {
        let [first, middle, last] = [0, 5, 10].map(|x| picture(&[(400 + x, 40, 120, 20)]));
        let told = told((&first, &[]), &middle, (&last, &[]));
        assert!(told.doubtful.is_empty(), "{told:?}");
    }

    #[test]
    fn things_far_apart_are_looked_at_each_for_itself() {
        let wall = picture(&[]);
        let seen = picture(&[(16, 16, 48, 200), (80, 24, 24, 108), (560, 280, 64, 200)]);
        let told = told((&wall, &[]), &seen, (&wall, &[]));
        let [one, other] = told.doubtful[..] else { panic!("{told:?}") };
        // With what differs only a bit and is beside it.
        assert!(one.contains(Rect::new(16.0, 16.0, 88.0, 48.0)) && one.right() < 200.0, "{one:?}");
        assert!(
            other.contains(Rect::new(560.0, 280.0, 64.0, 64.0)) && other.x > 400.0,
            "{other:?}"
        );
    }

    #[test]
    fn a_picture_that_came_late_is_looked_at_all_over() {
        let (mut between, mut blocks) = (Between::default(), Blocks::default());
        let luma = picture(&[]);
        blocks.measure(&view(&luma));
        between.looked(&view(&luma), at(0), &blocks, &[], |_| true);
        between.wait(at(1), &blocks);
        between.looked(&view(&luma), at(30), &blocks, &[], |_| true);
        assert_eq!(between.told(&view(&luma), at(1), &blocks).doubtful, [SIZE.rect()]);
        // And so is one that nothing is known of.
        between.settle();
        between.looked(&view(&luma), at(31), &blocks, &[], |_| true);
        assert_eq!(between.told(&view(&luma), at(30), &blocks).doubtful, [SIZE.rect()]);
    }

    proptest! {
        #[test]
        fn what_is_in_view_for_one_picture_is_looked_at(
            x in 0usize..616, y in 0usize..336, side in 24usize..100,
            grey in prop_oneof![0u8..76, 124u8..156, 204u8..=255],
        ) {
            let wall = picture(&[]);
            let told = told((&wall, &[]), &picture(&[(x, y, side, grey)]), (&wall, &[]));
            let doubtful = told.doubtful.into_iter().reduce(Rect::union).expect("something else");
            // All but what no more than a block of it reaches beyond.
            let (right, bottom) = ((x + side).min(640), (y + side).min(360));
            // All but what reaches into a block, of 8 pixels, or lies in one that the window ends in.
            let (x, y, room) = (x as f32, y as f32, 16.0);
            let (w, h) = ((right as f32 - x - 2.0 * room).max(0.0), (bottom as f32 - y - 2.0 * room).max(0.0));
            let inner = Rect::new(x + room, y + room, w, h);
            prop_assert!(w * h <= 0.0 || doubtful.contains(inner), "{doubtful:?} {inner:?}");
            let rect = Rect::new(x, y, right as f32 - x, bottom as f32 - y);
            prop_assert!(doubtful.intersection(rect).area() >= 0.25 * rect.area());
        }
    }
}
