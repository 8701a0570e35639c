//! Where in a picture faces are looked for, at which size, and how often.
//!
//! Two passes, because neither sees all: a small picture of everything, in which close faces are
//! found, and tiles at full size, in which far ones are. Each looks again only where something
//! changed since it looked last, and everywhere after a while all the same. A search is complete
//! when every part of the small picture was looked at, or shows nothing new.
//!
//! Belongs here: what the detector is run on. Does not belong: what follows from its findings.

use std::time::Duration;

use super::{
    Detection,
    change::{Blocks, Reference},
    detect::{Detector, suppress},
    infer::VisionError,
};
use crate::{
    frame::{FrameSize, I420View, Letterbox, Rect, pixels::Area},
    units::Pts,
};

/// The widest face, in pixels of the detector's input, for which an unsure detection of the
/// full-size pass counts: `YuNet`'s range ends near 300, and the small pass sees such a face at a
/// third of the size, in the middle of its range.
const FAR_FACE: f32 = 200.0;
/// The detector was sure of a face once it scored this.
const SURE_SCORE: f32 = 0.6;
/// A part in which nothing changed is looked at again in the small pass after this time ...
const SMALL_AGAIN: Duration = Duration::from_millis(300);
/// ... and at full size after this.
const TILE_AGAIN: Duration = Duration::from_secs(1);
/// However few frames a second there are, every tile has its turn within this time: a small face is
/// seen in tiles only, and what the detector is not sure of is held for no longer.
pub const TURNS_WITHIN: Duration = Duration::from_millis(500);
/// The same at the slowest pace.
pub const SLOW_TURNS_WITHIN: Duration = Duration::from_millis(750);
/// Tiles are about this wide and high, in pixels of the detector's input, without their overlap.
const TILE: u32 = 560;
/// By how many of those they overlap at least. A face on a seam that is wider than this is no far
/// one: the small pass sees it.
const OVERLAP: u32 = 96;
/// A detection that ends this close to the tile's edge, in pixels of the detector's input, may be of
/// a face that goes on beyond it: the lower half of a near face was found 4 px inside at most.
const SEAM: f32 = 8.0;
/// Such a part of a face belongs to the face of the small pass that covers this share of it.
const SAME_FACE: f32 = 0.5;
/// For this long after the small pass looked at all that had changed it may look at the known faces
/// alone, every second picture at 30 a second, unless something as large as a face may have come into
/// view: nobody is seen in the one picture that was not looked at.
const NARROW_FOR: Duration = Duration::from_millis(45);
/// How far a known face may move until the next picture, in parts of its size.
const STRIDE: f32 = 0.5;
/// A face narrower than this, in pixels of the small pass, has landmarks too coarse to compare it by.
const COARSE: f32 = 64.0;
/// Side of the detector's input for a closer look at one face, and the picture's part in it in parts of
/// the face.
const CLOSE_UP: u32 = 160;
const AROUND_FACE: f32 = 2.5;
/// What a closer look finds may be the same face where they overlap (`IoU`) by this.
pub const SAME_PLACE: f32 = 0.4;
/// Where more than this share of the picture changed, all of it is looked at.
const MOST_OF_IT: f32 = 0.6;

/// How closely and how often.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Longest side of the picture of the small pass, in pixels.
    pub size: u32,
    /// Longest side of the picture that is cut into tiles, in pixels.
    pub full_size: u32,
    /// Frames in which every tile has its turn.
    pub full_every: u32,
    /// Whether the small pass may look at the known faces alone in between.
    pub narrow: bool,
}

/// How often, and how closely at most times.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Longest side of the picture of the small pass, in pixels.
    pub size: u32,
    /// Every tile has its turn within this time.
    pub turns_within: Duration,
    /// For so long after a wide look the small pass may look at the known faces alone.
    pub narrow_for: Duration,
}

impl Pace {
    /// The usual one, with a small pass of `size`.
    #[must_use]
    pub fn usual(size: u32) -> Self {
        Self { size, turns_within: TURNS_WITHIN, narrow_for: NARROW_FOR }
    }

    /// The least that keeps everybody covered: who is only seen in tiles is held for a second, and a
    /// new near face is covered back to before it was found.
    #[must_use]
    pub fn slow(size: u32) -> Self {
        Self { size, turns_within: SLOW_TURNS_WITHIN, narrow_for: Duration::from_millis(120) }
    }
}

/// A part of the picture as it was last looked at.
#[derive(Debug)]
struct Patch {
    area: Area,
    /// Pixels of the detector's input per pixel of the picture.
    scale: f32,
    seen: Reference,
    found: Vec<Detection>,
    /// When all of it was last looked at; none where that has to be done anew.
    looked: Option<Pts>,
}

impl Patch {
    fn new(area: Area, scale: f32) -> Self {
        Self { area, scale, seen: Reference::default(), found: Vec::new(), looked: None }
    }

    /// What of it has to be looked at; none where nothing is new.
    fn due(&self, blocks: &Blocks, pts: Pts, again: Duration) -> Option<Area> {
        let recent = self.looked.is_some_and(|at| pts.since(at) < again);
        if recent { self.seen.changed(blocks, self.area) } else { Some(self.area) }
    }

    /// `changed` with room for the faces that reach into it, on the detector's grid.
    fn around(&self, changed: Area) -> Area {
        let step = (Letterbox::STEP as f32 / self.scale).round();
        let whole = rect_of(self.area);
        let mut rect = rect_of(changed);
        rect = Rect::new(rect.x - step, rect.y - step, rect.w + 2.0 * step, rect.h + 2.0 * step);
        loop {
            let part = on_grid(rect, self.area, step);
            let seen = rect_of(part);
            let cut = self
                .found
                .iter()
                .map(|d| d.rect.intersection(whole))
                .find(|face| face.intersection(seen).area() > 0.0 && !seen.contains(*face));
            // Each turn adds a face that was cut, so this ends.
            let Some(face) = cut.filter(|_| part != self.area) else { return part };
            rect = seen.union(face);
        }
    }

    /// The part around the faces that it had; none where it had none.
    fn around_faces(&self) -> Option<Area> {
        let step = (Letterbox::STEP as f32 / self.scale).round();
        let reach = |d: &Detection| d.rect.grown(STRIDE, STRIDE, STRIDE);
        let all = self.found.iter().map(reach).reduce(Rect::union)?;
        Some(on_grid(all, self.area, step))
    }

    /// Whether a detection ends at an edge of this part that is none of the picture.
    fn cuts(&self, found: Rect, picture: FrameSize) -> bool {
        let (area, all) = (rect_of(self.area), picture.rect());
        let room = SEAM / self.scale;
        (area.x > all.x && found.x < area.x + room)
            || (area.y > all.y && found.y < area.y + room)
            || (area.right() < all.right() && found.right() > area.right() - room)
            || (area.bottom() < all.bottom() && found.bottom() > area.bottom() - room)
    }

    /// Looks at `part`, which takes the place of what was known of it.
    fn look(
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

fn rect_of(area: Area) -> Rect {
    let Rect { w, h, .. } = area.size.rect();
    Rect::new(area.x as f32, area.y as f32, w, h)
}

/// The longer side of the detector's input for a part of `size`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not above the picture's own side"
)]
fn scaled(size: FrameSize, scale: f32) -> u32 {
    (size.width.max(size.height) as f32 * scale).round().max(1.0) as u32
}

/// The smallest part of `whole` around `rect` whose edges lie on multiples of `step`, so that it is
/// scaled as the whole is; all of it where little is left.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the picture before they are cast"
)]
fn on_grid(rect: Rect, whole: Area, step: f32) -> Area {
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

/// The square part of a picture for a closer look at a face.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the picture before they are cast"
)]
fn around_face(face: Rect, size: FrameSize) -> Area {
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

/// The tiles of a picture of `size`, of one size, evenly spread.
fn tiles(size: FrameSize, scale: f32) -> Vec<Patch> {
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
fn cuts(side: u32, scale: f32) -> Vec<(u32, u32)> {
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

/// Looks for faces in one camera's pictures. Owns its detector and memory.
#[derive(Debug)]
pub struct Searcher {
    detector: Detector,
    search: Search,
    nms: f32,
    blocks: Blocks,
    size: FrameSize,
    small: Patch,
    tiles: Vec<Patch>,
    /// Whose turn is next, how much of a turn is due, and when the last one was given.
    next: usize,
    credit: f32,
    turned: Option<Pts>,
    /// The time within which every tile has its turn, however few frames a second there are.
    turns_within: Duration,
    /// When the small pass last looked at all that had changed, and for how long after that it may
    /// look at the known faces alone.
    widely: Option<Pts>,
    narrow_for: Duration,
    /// A place in which tests let it find nothing.
    #[cfg(test)]
    pub(crate) blind: Option<Rect>,
}

impl Searcher {
    /// A searcher that has seen nothing; `nms` is the overlap above which two detections are one
    /// face.
    #[must_use]
    pub fn new(detector: Detector, search: Search, nms: f32) -> Self {
        let size = FrameSize::new(0, 0);
        Self {
            detector,
            search,
            nms,
            blocks: Blocks::default(),
            size,
            small: Patch::new(Area::whole(size), 1.0),
            tiles: Vec::new(),
            next: 0,
            credit: 0.0,
            turned: None,
            turns_within: TURNS_WITHIN,
            widely: None,
            narrow_for: NARROW_FOR,
            #[cfg(test)]
            blind: None,
        }
    }

    /// The faces of the next picture, strongest first: those of the small pass, and those of the
    /// tiles whose turn it is. After a scene cut everything is looked at. An error means that the
    /// search was not completed; the next one looks at everything that this one left.
    pub fn search(
        &mut self,
        view: &I420View<'_>,
        pts: Pts,
        cut: bool,
    ) -> Result<Vec<Detection>, VisionError> {
        if view.size != self.size {
            self.lay_out(view.size);
        }
        if cut {
            self.small.looked = None;
            for tile in &mut self.tiles {
                tile.looked = None;
            }
        }
        self.blocks.measure(view);
        if let Some(part) = self.small_part(pts) {
            self.small.look(&mut self.detector, view, &self.blocks, part, pts)?;
        }
        let mut found = self.small.found.clone();
        for _ in 0..self.turns(pts, cut) {
            let all = self.tiles.len();
            let tile = &mut self.tiles[self.next];
            self.next = (self.next + 1) % all;
            if tile.due(&self.blocks, pts, TILE_AGAIN).is_some() {
                let area = tile.area;
                tile.look(&mut self.detector, view, &self.blocks, area, pts)?;
                let scale = tile.scale;
                // A large face that is unsure here is seen better in the small pass.
                tile.found.retain(|d| d.rect.w * scale <= FAR_FACE || d.score >= SURE_SCORE);
            }
            // Half of a near face is no face of its own, or two standings would meet in one face.
            let tile = &*tile;
            found.extend(tile.found.iter().filter(|d| {
                let whole =
                    |n: &&Detection| n.rect.intersection(d.rect).area() > SAME_FACE * d.rect.area();
                !(tile.cuts(d.rect, view.size) && self.small.found.iter().any(|n| whole(&n)))
            }));
        }
        #[cfg(test)]
        found.retain(|d| self.blind.is_none_or(|place| place.iou(d.rect) <= 0.0));
        Ok(suppress(found, self.nms))
    }

    /// What is found in a closer look at a face and around it, for landmarks and surer scores; none where
    /// it was seen closely enough. What the small pass finds at a third of the size is a face, but a child of
    /// 60 pixels was never sure enough in it to be compared.
    pub fn close_up(
        &mut self,
        view: &I420View<'_>,
        face: Rect,
    ) -> Result<Option<Vec<Detection>>, VisionError> {
        if face.w * self.small.scale >= COARSE {
            return Ok(None);
        }
        self.detector.detect_in(view, around_face(face, view.size), CLOSE_UP).map(Some)
    }

    /// The latest picture's blocks.
    #[must_use]
    pub fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// Looks from now on as often and as closely as `pace` says; what the tiles found stays known.
    pub fn set_pace(&mut self, pace: Pace) {
        self.search.size = pace.size;
        self.turns_within = pace.turns_within;
        self.narrow_for = pace.narrow_for;
        if self.size.width == 0 {
            return;
        }
        let longest = self.size.width.max(self.size.height).max(1) as f32;
        let scale = |most: u32| (most as f32 / longest).min(1.0);
        self.small = Patch::new(Area::whole(self.size), scale(pace.size));
        // What the small pass does not see any more the tiles have to.
        let full = scale(self.search.full_size);
        if (full > self.small.scale) == self.tiles.is_empty() {
            self.lay_out(self.size);
        }
    }

    /// What the small pass has to look at.
    fn small_part(&mut self, pts: Pts) -> Option<Area> {
        let part = self.small.around(self.small.due(&self.blocks, pts, SMALL_AGAIN)?);
        let lately = |at: Pts| pts.since(at) < self.narrow_for;
        let narrow =
            self.search.narrow && self.small.looked.is_some() && self.widely.is_some_and(lately);
        let faces = self.small.around_faces();
        // Who is in view for one picture is not seen in the next one.
        if narrow && !self.small.seen.shows_something_new(&self.blocks, self.small.area, faces) {
            let faces = faces?;
            if rect_of(faces).area() < rect_of(part).area() {
                return Some(faces);
            }
        }
        self.widely = Some(pts);
        Some(part)
    }

    /// The detector, for a look of one's own.
    pub fn detector(&mut self) -> &mut Detector {
        &mut self.detector
    }

    fn lay_out(&mut self, size: FrameSize) {
        let longest = size.width.max(size.height).max(1) as f32;
        let scale = |most: u32| (most as f32 / longest).min(1.0);
        self.size = size;
        self.small = Patch::new(Area::whole(size), scale(self.search.size));
        let full = scale(self.search.full_size);
        self.tiles = if full > self.small.scale { tiles(size, full) } else { Vec::new() };
        self.next = 0;
        self.credit = 0.0;
        self.turned = None;
    }

    /// The part of all tiles that has its turn in each frame.
    fn per_frame(&self) -> f32 {
        1.0 / self.search.full_every.max(1) as f32
    }

    /// How many tiles have their turn now.
    fn turns(&mut self, pts: Pts, cut: bool) -> usize {
        let all = self.tiles.len();
        let since = self.turned.replace(pts).map(|last| pts.since(last));
        let Some(since) = since.filter(|_| !cut) else { return all };
        let rounds = since.as_secs_f32() / self.turns_within.as_secs_f32();
        // Under strain the time alone counts, or a short `full_every` would leave nothing to give.
        let every = if self.turns_within > TURNS_WITHIN { 0.0 } else { self.per_frame() };
        self.credit += all as f32 * rounds.max(every);
        let turns = (1..=all).take_while(|&n| n as f32 <= self.credit).count();
        self.credit = (self.credit - turns as f32).min(1.0);
        turns
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            patch.found = faces
                .iter()
                .map(|&(x, y, side)| Detection {
                    rect: Rect::new(x, y, side, side),
                    score: 0.9,
                    landmarks: Default::default(),
                })
                .collect();
            let changed = Area { x, y, size: FrameSize::new(w, h) };
            let part = patch.around(changed);
            let seen = rect_of(part);
            prop_assert!(seen.contains(rect_of(changed).intersection(size.rect())));
            for face in &patch.found {
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
