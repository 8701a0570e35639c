//! A part of the picture that is looked at as one: the whole for the small pass, a tile at full size.
//!
//! Belongs here: what of it is due, what was found in it. Does not belong: when it has its turn.

use std::time::Duration;

use super::{
    super::{
        Detection,
        change::{Blocks, Reference},
        detect::Detector,
        infer::VisionError,
    },
    SAME_PLACE,
};
use crate::{
    frame::{FrameSize, I420View, Letterbox, Rect, pixels::Area},
    units::Pts,
};

/// Tiles are about this wide and high, in pixels of the detector's input, without their overlap: two of
/// 1080p at 1600. Smaller ones overlap more.
const TILE: u32 = 960;
/// By how many of those they overlap at least. A face on a seam that is wider than this is no far
/// one: the small pass sees it.
const OVERLAP: u32 = 96;
/// A detection that ends this close to the tile's edge, in pixels of the detector's input, may be of
/// a face that goes on beyond it: the lower half of a near face was found 4 px inside at most.
const SEAM: f32 = 8.0;
/// By how many of its own sizes more is looked at beside a thing that ends at an edge: of a face at least a
/// part as large as the one that was found is beyond it where the detector found it at all.
const BEYOND: f32 = 1.0;
/// How often parts in which something ends at an edge are made larger before all of the picture is looked at.
const AGAIN: u32 = 2;
/// How far a known face may move until the next picture, in parts of its size.
const STRIDE: f32 = 0.5;
/// Where more than this share of the picture changed, all of it is looked at.
const MOST_OF_IT: f32 = 0.6;

/// A part of the picture as it was last looked at.
#[derive(Debug)]
pub(super) struct Patch {
    pub(super) area: Area,
    /// Pixels of the detector's input per pixel of the picture.
    pub(super) scale: f32,
    pub(super) seen: Reference,
    pub(super) found: Vec<Detection>,
    /// When all of it was last looked at; none where that has to be done anew.
    pub(super) looked: Option<Pts>,
}

impl Patch {
    pub(super) fn new(area: Area, scale: f32) -> Self {
        Self { area, scale, seen: Reference::default(), found: Vec::new(), looked: None }
    }

    /// What of it has to be looked at; none where nothing is new.
    pub(super) fn due(&self, blocks: &Blocks, pts: Pts, again: Duration) -> Option<Area> {
        let recent = self.looked.is_some_and(|at| pts.since(at) < again);
        if recent { self.seen.changed(blocks, self.area) } else { Some(self.area) }
    }

    /// `changed` with its own faces and `others` that reach into it, none of them at its edge, on the
    /// detector's grid.
    pub(super) fn around(&self, changed: Rect, others: &[Detection]) -> Area {
        let step = (Letterbox::STEP as f32 / self.scale).round();
        // What is found a little beside where it is known is not cut either.
        let room = 2.0 * SEAM / self.scale;
        let whole = rect_of(self.area);
        let mut rect = with_room(changed, step);
        loop {
            let part = on_grid(rect, self.area, step);
            let seen = rect_of(part);
            let cut = self
                .found
                .iter()
                .chain(others)
                .map(|d| d.rect.intersection(whole))
                .filter(|&face| meet(face, seen))
                .map(|face| with_room(face, room).intersection(whole))
                .find(|&face| !seen.contains(face));
            // Each turn adds a face that was cut, so this ends.
            let Some(face) = cut.filter(|_| part != self.area) else { return part };
            rect = seen.union(face);
        }
    }

    /// The parts around each of `changed`, none of which meets another; all of it where that is little more.
    pub(super) fn around_each(&self, changed: &[Rect], others: &[Detection]) -> Vec<Area> {
        let mut parts: Vec<Area> = Vec::new();
        for &rect in changed {
            self.add_around(&mut parts, rect, others);
        }
        let share: f32 = parts.iter().map(|&part| rect_of(part).area()).sum();
        if share > MOST_OF_IT * rect_of(self.area).area() { vec![self.area] } else { parts }
    }

    /// Adds the part around `changed` as the last; those that it meets become one with it.
    fn add_around(&self, parts: &mut Vec<Area>, changed: Rect, others: &[Detection]) {
        let mut part = self.around(changed, others);
        while let Some(at) = parts.iter().position(|&p| meet(rect_of(p), rect_of(part))) {
            part = self.around(rect_of(parts.swap_remove(at)).union(rect_of(part)), others);
        }
        parts.push(part);
    }

    /// Looks, by `look`, at the parts around each of `doubtful`; what is found there takes the place of the
    /// `faces` in them, and may be beside itself where something was found twice.
    ///
    /// Half of a face is none, and its marks are not where they are thought to be: a part in which something
    /// ends at an edge is looked at again with what is beside it. Where that does not find again what was found
    /// before, or things end at edges for the third time, all of the picture is looked at. What was known
    /// beside the first parts stays, whatever is found there.
    pub(super) fn look_around<E>(
        &self,
        doubtful: &[Rect],
        faces: &mut Vec<Detection>,
        picture: FrameSize,
        mut look: impl FnMut(Area) -> Result<Vec<Detection>, E>,
    ) -> Result<(), E> {
        let mut parts = self.around_each(doubtful, faces);
        faces.retain(|d| !parts.iter().any(|&part| meet(rect_of(part), d.rect)));
        // What was found in a look that does not count, and has to be found again.
        let mut owed: Vec<Rect> = Vec::new();
        let mut again = 0;
        while let Some(part) = parts.pop() {
            let found = look(part)?;
            let inside = rect_of(part);
            let is_there = |thing: Rect| found.iter().any(|d| d.rect.iou(thing) >= SAME_PLACE);
            let lost = owed.iter().any(|&thing| meet(thing, inside) && !is_there(thing));
            let cut = found.iter().map(|d| d.rect).filter(|d| self.cuts_at(part, *d, picture));
            let beyond = cut.map(|d| d.grown(BEYOND, BEYOND, BEYOND)).reduce(Rect::union);
            // An end that needs no sane numbers: nothing is beside all of the picture.
            if part != self.area && (lost || beyond.is_some()) {
                again += 1;
                match beyond.filter(|_| !lost && again <= AGAIN) {
                    Some(beyond) => self.add_around(&mut parts, inside.union(beyond), faces),
                    None => parts = vec![self.area],
                }
                owed.extend(found.iter().map(|d| d.rect));
                continue;
            }
            owed.retain(|thing| !meet(*thing, inside));
            faces.extend(found);
        }
        Ok(())
    }

    /// The part around the faces that it had; none where it had none.
    pub(super) fn around_faces(&self) -> Option<Area> {
        let step = (Letterbox::STEP as f32 / self.scale).round();
        let reach = |d: &Detection| d.rect.grown(STRIDE, STRIDE, STRIDE);
        let all = self.found.iter().map(reach).reduce(Rect::union)?;
        Some(on_grid(all, self.area, step))
    }

    /// Whether a detection ends at an edge of this part that is none of the picture.
    pub(super) fn cuts(&self, found: Rect, picture: FrameSize) -> bool {
        self.cuts_at(self.area, found, picture)
    }

    /// The same of a part of it.
    pub(super) fn cuts_at(&self, part: Area, found: Rect, picture: FrameSize) -> bool {
        let (area, all) = (rect_of(part), picture.rect());
        let room = SEAM / self.scale;
        (area.x > all.x && found.x < area.x + room)
            || (area.y > all.y && found.y < area.y + room)
            || (area.right() < all.right() && found.right() > area.right() - room)
            || (area.bottom() < all.bottom() && found.bottom() > area.bottom() - room)
    }

    /// Looks at `part`, which takes the place of what was known of it.
    pub(super) fn look(
        &mut self,
        detector: &mut Detector,
        view: &I420View<'_>,
        blocks: &Blocks,
        part: Area,
        pts: Pts,
    ) -> Result<(), VisionError> {
        let before = self.looked.take();
        let found = detector.detect_in(view, part, scaled(part.size, self.scale))?;
        let inside = rect_of(part);
        self.found.retain(|d| d.rect.intersection(inside).area() <= 0.0);
        self.found.extend(found);
        self.seen.keep(blocks, part);
        self.looked = if part == self.area { Some(pts) } else { before };
        Ok(())
    }
}

fn with_room(rect: Rect, room: f32) -> Rect {
    Rect::new(rect.x - room, rect.y - room, rect.w + 2.0 * room, rect.h + 2.0 * room)
}

fn meet(a: Rect, b: Rect) -> bool {
    a.intersection(b).area() > 0.0
}

pub(super) fn rect_of(area: Area) -> Rect {
    let Rect { w, h, .. } = area.size.rect();
    Rect::new(area.x as f32, area.y as f32, w, h)
}

/// The longer side of the detector's input for a part of `size`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not above the picture's own side"
)]
pub(super) fn scaled(size: FrameSize, scale: f32) -> u32 {
    (size.width.max(size.height) as f32 * scale).round().max(1.0) as u32
}

/// The smallest part of `whole` around `rect` whose edges lie on multiples of `step`, so that it is
/// scaled as the whole is; all of it where little is left.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the picture before they are cast"
)]
pub(super) fn on_grid(rect: Rect, whole: Area, step: f32) -> Area {
    // Even, so that chroma follows.
    let step = ((step / 2.0).round() * 2.0).max(2.0);
    let range = |from: f32, to: f32, start: u32, extent: u32| {
        let within = |v: f32| v.clamp(0.0, extent as f32) as u32;
        let from = within(((from - start as f32) / step).floor() * step);
        let to = within(((to - start as f32) / step).ceil() * step);
        (start + from, to.saturating_sub(from))
    };
    let (x, width) = range(rect.x, rect.right(), whole.x, whole.size.width);
    let (y, height) = range(rect.y, rect.bottom(), whole.y, whole.size.height);
    let part = Area { x, y, size: FrameSize::new(width, height) };
    let share = rect_of(part).area() / rect_of(whole).area();
    // Numbers that are none, or a part outside, are no reason to look at less.
    if share > 0.0 && share <= MOST_OF_IT { part } else { whole }
}

/// The tiles of a picture of `size`, of one size, evenly spread.
pub(super) fn tiles(size: FrameSize, scale: f32) -> Vec<Patch> {
    let across = cuts(size.width, scale);
    let down = cuts(size.height, scale);
    let mut tiles = Vec::with_capacity(across.len() * down.len());
    for &(y, height) in &down {
        for &(x, width) in &across {
            let area = Area { x, y, size: FrameSize::new(width, height) };
            tiles.push(Patch::new(area, scale));
        }
    }
    tiles
}

/// Start and length of the tiles along a side.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "sides are positive and far below 2^24"
)]
pub(super) fn cuts(side: u32, scale: f32) -> Vec<(u32, u32)> {
    let pixels = |model: u32| (model as f32 / scale).round() as u32;
    let count = side.div_ceil(pixels(TILE).max(1)).max(1);
    let step = pixels(Letterbox::STEP).max(2);
    let wanted = (side + (count - 1) * pixels(OVERLAP)).div_ceil(count);
    let length = wanted.next_multiple_of(step).min(side);
    (0..count)
        .map(|i| {
            let start = if count == 1 { 0 } else { (side - length) * i / (count - 1) };
            // Even, so that chroma follows; the last tile ends with the picture.
            let start = start / 2 * 2;
            (start, if i + 1 == count { side - start } else { length })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn detection((x, y, side): (f32, f32, f32), score: f32) -> Detection {
        Detection { rect: Rect::new(x, y, side, side), score, landmarks: Default::default() }
    }

    proptest! {
        #[test]
        fn every_far_face_lies_wholly_in_some_tile(
            width in 321u32..4000, height in 200u32..3000, full in 640u32..2000,
            x in 0.0..1.0f32, y in 0.0..1.0f32, side in 1.0..90.0f32,
        ) {
            let size = FrameSize::new(width, height);
            let scale = (full as f32 / width.max(height) as f32).min(1.0);
            let side = (side / scale).min(width.min(height) as f32);
            let face = Rect::new(x * (width as f32 - side), y * (height as f32 - side), side, side);
            let tiles = tiles(size, scale);
            prop_assert!(tiles.iter().any(|t| rect_of(t.area).contains(face)), "{face:?}");
            for tile in tiles {
                prop_assert!(size.rect().contains(rect_of(tile.area)));
                prop_assert_eq!((tile.area.x % 2, tile.area.y % 2), (0, 0));
            }
        }

        #[test]
        fn parts_hold_everything_that_is_looked_for_and_meet_nowhere(
            things in prop::collection::vec((0f32..1800.0, 0f32..1000.0, 16f32..120.0), 1..6),
            faces in prop::collection::vec((0f32..1800.0, 0f32..1000.0, 20f32..300.0), 0..4),
        ) {
            let rect = |&(x, y, side): &(f32, f32, f32)| Rect::new(x, y, side, side);
            let size = FrameSize::new(1920, 1080);
            let faces: Vec<Detection> = faces.iter().map(|&at| detection(at, 0.9)).collect();
            let things: Vec<Rect> =
                things.iter().map(|at| rect(at).intersection(size.rect())).collect();
            let parts = Patch::new(Area::whole(size), 1.0 / 3.0).around_each(&things, &faces);
            for thing in things {
                prop_assert!(parts.iter().any(|&part| rect_of(part).contains(thing)), "{thing:?}");
            }
            for (i, &part) in parts.iter().enumerate() {
                let part = rect_of(part);
                let apart = |&other: &Area| rect_of(other).intersection(part).area() <= 0.0;
                prop_assert!(parts[i + 1..].iter().all(apart), "{parts:?}");
                for face in faces.iter().map(|face| face.rect.intersection(size.rect())) {
                    prop_assert!(face.intersection(part).area() <= 0.0 || part.contains(face));
                }
            }
        }

        #[test]
        fn known_faces_have_room_in_a_part(
            thing in (0f32..1800.0, 0f32..1000.0, 16f32..120.0),
            faces in prop::collection::vec((0f32..1800.0, 0f32..1000.0, 20f32..300.0), 1..5),
            off in (-1f32..1.0, -1f32..1.0),
        ) {
            let size = FrameSize::new(1920, 1080);
            let patch = Patch::new(Area::whole(size), 1.0 / 3.0);
            let faces: Vec<Detection> = faces.iter().map(|&at| detection(at, 0.9)).collect();
            let (x, y, side) = thing;
            let part = patch.around(Rect::new(x, y, side, side), &faces);
            // A little less than the room beyond what counts as an end.
            let off = (0.9 * SEAM / patch.scale * off.0, 0.9 * SEAM / patch.scale * off.1);
            for face in faces.iter().map(|d| d.rect.intersection(size.rect())) {
                if face.intersection(rect_of(part)).area() > 0.0 {
                    let found = Rect::new(face.x + off.0, face.y + off.1, face.w, face.h);
                    prop_assert!(!patch.cuts_at(part, found, size), "{face:?} {part:?}");
                }
            }
        }

        #[test]
        fn whatever_a_look_at_a_part_finds_is_found_in_the_end(
            doubtful in prop::collection::vec((0f32..1800.0, 0f32..1000.0, 16f32..120.0), 1..4),
            told in prop::collection::vec((0f32..1800.0, 0f32..1000.0, 20f32..300.0), 0..4),
            there in prop::collection::vec((0f32..1800.0, 0f32..1000.0, 20f32..400.0), 1..8),
            missed in prop::collection::vec(0u8..8, 16),
        ) {
            let size = FrameSize::new(1920, 1080);
            let patch = Patch::new(Area::whole(size), 1.0 / 3.0);
            let doubtful: Vec<Rect> = doubtful.iter().map(|&at| detection(at, 0.0).rect).collect();
            let told: Vec<Detection> = told.iter().map(|&at| detection(at, 0.5)).collect();
            let first = patch.around_each(&doubtful, &told);
            let mut looks: Vec<(Area, Vec<Rect>)> = Vec::new();
            let mut faces = told.clone();
            patch.look_around(&doubtful, &mut faces, size, |part| {
                let miss = usize::from(missed[looks.len() % missed.len()]);
                let mut found = Vec::new();
                for (i, &at) in there.iter().enumerate() {
                    let whole = detection(at, 0.9).rect.intersection(size.rect());
                    let rect = whole.intersection(rect_of(part));
                    // Every look may miss one of them, and sees no small part of one.
                    if i != miss && rect.area() > 0.3 * whole.area() {
                        found.push(Detection { rect, ..detection(at, 0.9) });
                    }
                }
                looks.push((part, found.iter().map(|d| d.rect).collect()));
                Ok::<_, VisionError>(found)
            }).unwrap();

            prop_assert!(looks.len() <= first.len() + AGAIN as usize + 1, "{looks:?}");
            for d in &told {
                let inside = first.iter().any(|&part| meet(rect_of(part), d.rect));
                prop_assert!(inside || faces.contains(d), "{d:?} was known");
            }
            for d in faces.iter().filter(|d| d.score > 0.5) {
                let whole = |(part, found): &(Area, Vec<Rect>)| {
                    found.contains(&d.rect) && !patch.cuts_at(*part, d.rect, size)
                };
                prop_assert!(looks.iter().any(whole), "{:?} ends at an edge", d.rect);
            }
            if looks.iter().all(|(part, _)| *part != patch.area) {
                for thing in looks.iter().flat_map(|(_, found)| found) {
                    let is_there = faces.iter().any(|d| d.rect.iou(*thing) >= SAME_PLACE);
                    prop_assert!(is_there, "{thing:?} was seen, {faces:?} are left");
                }
            }
        }

        #[test]
        fn a_face_that_a_tile_may_cut_is_cut_by_an_edge_inside_the_picture(
            x in 0.0..1800.0f32, y in 0.0..1000.0f32, side in 20.0..80.0f32,
        ) {
            let size = FrameSize::new(1920, 1080);
            let face = Rect::new(x, y, side, side);
            for tile in tiles(size, 1.0) {
                let area = rect_of(tile.area);
                let seen = face.intersection(area);
                if seen.area() > 0.0 && seen != face.intersection(size.rect()) {
                    prop_assert!(tile.cuts(seen, size), "{face:?} {area:?}");
                }
                let room = 2.0 * SEAM;
                let inner = Rect::new(area.x + room, area.y + room, area.w - 2.0 * room, area.h - 2.0 * room);
                prop_assert!(!inner.contains(face) || !tile.cuts(face, size));
            }
        }

        #[test]
        fn what_changed_is_looked_at_with_the_faces_it_touches(
            x in 0u32..1900, y in 0u32..1060, w in 1u32..600, h in 1u32..600,
            faces in proptest::collection::vec((0.0..1800.0f32, 0.0..1000.0f32, 20.0..200.0f32), 0..6),
        ) {
            let size = FrameSize::new(1920, 1080);
            let mut patch = Patch::new(Area::whole(size), 1.0 / 3.0);
            patch.found = faces.iter().map(|&at| detection(at, 0.9)).collect();
            let changed = Area { x, y, size: FrameSize::new(w, h) };
            let own = faces.len() / 2;
            let others = patch.found.split_off(own.min(patch.found.len()));
            let part = patch.around(rect_of(changed), &others);
            let seen = rect_of(part);
            prop_assert!(seen.contains(rect_of(changed).intersection(size.rect())));
            for face in patch.found.iter().chain(&others) {
                let rect = face.rect.intersection(size.rect());
                prop_assert!(seen.intersection(rect).area() <= 0.0 || seen.contains(rect), "{rect:?}");
            }
            let on_edge = |v: u32, end: u32| v.is_multiple_of(96) || v == end;
            prop_assert!(part.x.is_multiple_of(96) && part.y.is_multiple_of(96));
            prop_assert!(on_edge(part.x + part.size.width, 1920));
            prop_assert!(on_edge(part.y + part.size.height, 1080));
        }
    }
}
