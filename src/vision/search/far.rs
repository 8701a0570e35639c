//! Small faces that only tiles see, followed from picture to picture between the turns of their tiles.
//!
//! Belongs here: closer looks at one face. Does not belong: which face is whose (`track`).

use std::collections::VecDeque;

use super::{
    super::{
        Detection,
        change::{Blocks, Reference},
        detect::Detector,
        infer::VisionError,
    },
    patch::rect_of,
};
use crate::frame::{FrameSize, I420View, Rect, pixels::Area};

/// Side of the detector's input for a closer look at one face, and the picture's part in it in parts of
/// the face.
pub(super) const CLOSE_UP: u32 = 160;
const AROUND_FACE: f32 = 2.5;
/// Most faces that are followed in one picture, each of which costs a tenth of a look at the whole of it.
const FOLLOWED: usize = 2;
/// A face that was not found again so many times is waited for in its tile.
const LOST: u8 = 3;
/// How far a followed face may have gone since it was seen last, in parts of its size.
const WAY: f32 = 1.5;
/// What a closer look finds this near its edge, in parts of the face, may be a part of a face.
const EDGE: f32 = 0.1;

/// The faces that are followed, whoever waited longest first.
#[derive(Debug, Default)]
pub(super) struct Far(VecDeque<Followed>);

#[derive(Debug)]
struct Followed {
    face: Detection,
    /// What the face's own place showed when it was found there.
    seen: Reference,
    missed: u8,
}

impl Followed {
    /// It is there now.
    fn found(&mut self, face: Detection, blocks: &Blocks, picture: Rect) {
        self.face = face;
        self.missed = 0;
        self.seen.forget();
        self.seen.keep(blocks, own_place(face.rect, picture));
    }

    /// It was not where it was looked for.
    fn miss(&mut self) {
        self.missed += 1;
        self.seen.forget();
    }
}

impl Far {
    /// Forgets everybody.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes what a look at a tile of the picture just found. Whoever was followed there and is not among
    /// them may have been missed.
    pub(super) fn take<'d>(
        &mut self,
        area: Area,
        found: impl Iterator<Item = &'d Detection> + Clone,
        blocks: &Blocks,
        picture: Rect,
    ) {
        let tile = rect_of(area);
        for followed in self.0.iter_mut().filter(|f| tile.contains(f.face.rect)) {
            match found.clone().find(|d| d.rect.iou(followed.face.rect) > 0.0) {
                Some(face) => followed.found(*face, blocks, picture),
                None => followed.miss(),
            }
        }
        self.0.retain(|f| f.missed < LOST);
        for face in found {
            if self.0.iter().all(|f| f.face.rect.iou(face.rect) <= 0.0) {
                let mut followed = Followed { face: *face, seen: Reference::default(), missed: 0 };
                followed.found(*face, blocks, picture);
                self.0.push_back(followed);
            }
        }
    }

    /// Looks for the next faces where they were seen last. `found` are those that the small pass sees,
    /// which need no following; whoever is found again is added.
    pub(super) fn follow(
        &mut self,
        detector: &mut Detector,
        view: &I420View<'_>,
        blocks: &Blocks,
        found: &mut Vec<Detection>,
    ) -> Result<(), VisionError> {
        self.0.retain(|f| found.iter().all(|other| other.rect.iou(f.face.rect) <= 0.0));
        let picture = view.size.rect();
        for _ in 0..FOLLOWED.min(self.0.len()) {
            let Some(next) = self.0.front() else { break };
            let rect = next.face.rect;
            let area = around_face(rect, view.size);
            let changed = next.seen.changed(blocks, own_place(rect, picture)).is_some();
            // Still in the queue: a look that fails loses nobody.
            let looked = changed.then(|| detector.detect_in(view, area, CLOSE_UP)).transpose()?;
            let Some(mut followed) = self.0.pop_front() else { break };
            if let Some(looked) = looked {
                match again(rect, &looked, rect_of(area), picture) {
                    Some(face) => followed.found(face, blocks, picture),
                    None => followed.miss(),
                }
            }
            if followed.missed == 0 {
                found.push(followed.face);
            }
            if followed.missed < LOST {
                self.0.push_back(followed);
            }
        }
        Ok(())
    }
}

/// The part of a picture that a face covers.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the picture")]
fn own_place(face: Rect, picture: Rect) -> Area {
    let face = face.intersection(picture);
    let size = FrameSize::new(face.w.max(1.0) as u32, face.h.max(1.0) as u32);
    Area { x: face.x as u32, y: face.y as u32, size }
}

/// The same face in a closer look at `area`: the nearest of like size that does not end at its edge.
fn again(face: Rect, looked: &[Detection], area: Rect, picture: Rect) -> Option<Detection> {
    let reach = face.grown(WAY, WAY, WAY);
    let whole = |d: &&Detection| {
        let room = EDGE * d.rect.w;
        (area.x <= picture.x || d.rect.x > area.x + room)
            && (area.y <= picture.y || d.rect.y > area.y + room)
            && (area.right() >= picture.right() || d.rect.right() < area.right() - room)
            && (area.bottom() >= picture.bottom() || d.rect.bottom() < area.bottom() - room)
    };
    let apart = |d: &Detection| {
        let (a, b) = (d.rect.center(), face.center());
        (a.x - b.x).hypot(a.y - b.y)
    };
    looked
        .iter()
        .filter(|d| reach.intersection(d.rect).area() > 0.0)
        .filter(|d| (0.5 * face.w..2.0 * face.w).contains(&d.rect.w))
        .filter(whole)
        .min_by(|a, b| apart(a).total_cmp(&apart(b)))
        .copied()
}

/// The square part of a picture for a closer look at a face.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the picture before they are cast"
)]
pub(super) fn around_face(face: Rect, size: FrameSize) -> Area {
    let least = CLOSE_UP.min(size.width).min(size.height);
    let most = size.width.min(size.height);
    let edge = (AROUND_FACE * face.w.max(face.h)).clamp(least as f32, most as f32) as u32 / 2 * 2;
    let middle = face.center();
    // Even, so that chroma follows.
    let start = |at: f32, extent: u32| {
        (at - edge as f32 / 2.0).clamp(0.0, (extent - edge) as f32) as u32 / 2 * 2
    };
    let (x, y) = (start(middle.x, size.width), start(middle.y, size.height));
    Area { x, y, size: FrameSize::new(edge, edge) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_closer_look_holds_the_face_and_lies_in_the_picture(
            width in 200u32..4000, height in 200u32..3000, x in 0.0..1.0f32, y in 0.0..1.0f32,
            side in 12.0..400.0f32,
        ) {
            let size = FrameSize::new(width, height);
            let side = side.min(width.min(height) as f32);
            let face = Rect::new(x * (width as f32 - side), y * (height as f32 - side), side, side);
            let area = around_face(face, size);
            prop_assert!(size.rect().contains(rect_of(area)), "{area:?}");
            // Even places and sides lie a pixel or three off.
            let shrunk = Rect::new(face.x + 4.0, face.y + 4.0, side - 8.0, side - 8.0);
            prop_assert!(rect_of(area).contains(shrunk), "{area:?} {face:?}");
            prop_assert_eq!((area.x % 2, area.y % 2, area.size.width % 2), (0, 0, 0));
        }
    }

    fn face(x: f32, y: f32, w: f32) -> Detection {
        let rect = Rect::new(x, y, w, 1.3 * w);
        Detection { rect, score: 0.5, landmarks: Default::default() }
    }

    #[test]
    fn a_followed_face_is_the_nearest_of_like_size_and_no_part_of_another() {
        let picture = Rect::new(0.0, 0.0, 1920.0, 1080.0);
        let area = Rect::new(400.0, 300.0, 160.0, 160.0);
        let last = Rect::new(465.0, 360.0, 30.0, 39.0);
        let again = |found: &[Detection]| again(last, found, area, picture).map(|d| d.rect.x);
        assert_eq!(again(&[face(500.0, 360.0, 28.0), face(476.0, 362.0, 30.0)]), Some(476.0));
        // Beyond its reach, another's size, cut by the edge of the look.
        assert_eq!(again(&[face(560.0, 360.0, 28.0)]), None);
        assert_eq!(again(&[face(450.0, 340.0, 70.0)]), None);
        assert_eq!(again(&[face(401.0, 360.0, 30.0)]), None);
        assert_eq!(again(&[]), None);
    }

    #[test]
    fn a_tile_says_anew_who_is_followed_in_it() {
        let (mut far, blocks) = (Far::default(), Blocks::default());
        let picture = Rect::new(0.0, 0.0, 1920.0, 1080.0);
        let tile = |x: u32| Area { x, y: 0, size: FrameSize::new(600, 600) };
        let places = |far: &Far| far.0.iter().map(|f| f.face.rect.x).collect::<Vec<_>>();
        let (left, right) = (face(100.0, 100.0, 30.0), face(900.0, 100.0, 30.0));
        far.take(tile(0), [left].iter(), &blocks, picture);
        far.take(tile(600), [right].iter(), &blocks, picture);
        far.take(tile(0), [face(110.0, 100.0, 30.0)].iter(), &blocks, picture);
        assert_eq!(places(&far), [110.0, 900.0]);
        // One look that misses it is not the end.
        for _ in 1..LOST {
            far.take(tile(0), [].iter(), &blocks, picture);
            assert_eq!(places(&far), [110.0, 900.0]);
        }
        far.take(tile(0), [].iter(), &blocks, picture);
        assert_eq!(places(&far), [900.0]);
        far.clear();
        assert!(places(&far).is_empty());
    }
}
