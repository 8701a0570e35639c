//! Where in a picture faces are looked for, at which size, and how often.
//!
//! Two passes, because neither sees all: a small picture of everything, in which close faces are
//! found, and tiles at full size, in which far ones are. Each looks again only where something
//! changed since it looked last, and everywhere after a while all the same. A search is complete
//! when every part of the small picture was looked at, or shows nothing new. Most pictures are left to
//! the looks before and after them, and looked at where those do not tell all of what they show.
//!
//! Belongs here: what the detector is run on. Does not belong: what follows from its findings.

mod between;
mod far;
mod patch;

use std::time::Duration;

use self::{
    between::{Between, Told},
    far::{CLOSE_UP, Far, around_face},
    patch::{Patch, rect_of, scaled, tiles},
};
use super::{
    Detection,
    change::Blocks,
    detect::{Detector, suppress},
    infer::VisionError,
};
use crate::{
    frame::{FrameSize, I420View, Rect, pixels::Area},
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
pub const TURNS_WITHIN: Duration = Duration::from_millis(600);
/// The same at the slowest pace.
pub const SLOW_TURNS_WITHIN: Duration = Duration::from_millis(750);
/// Such a part of a face belongs to the face of the small pass that covers this share of it.
const SAME_FACE: f32 = 0.5;
/// For this long after the small pass looked at all that had changed it may look at the known faces
/// alone, every second picture at 30 a second, unless something as large as a face may have come into
/// view: nobody is seen in the one picture that was not looked at.
const NARROW_FOR: Duration = Duration::from_millis(45);
/// A face narrower than this, in pixels of the small pass, has landmarks too coarse to compare it by.
const COARSE: f32 = 64.0;
/// What a closer look finds may be the same face where they overlap (`IoU`) by this.
pub const SAME_PLACE: f32 = 0.4;

/// How closely and how often.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Longest side of the picture of the small pass, in pixels.
    pub size: u32,
    /// Longest side of the picture that is cut into tiles, in pixels.
    pub full_size: u32,
    /// Frames in which every tile has its turn.
    pub full_every: u32,
    /// Whether the small pass may look at the known faces alone in between, or leave a picture to the looks
    /// before and after it.
    pub sparing: bool,
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

/// What a picture shows that waited for the next look.
#[derive(Clone, Debug)]
pub struct Waited {
    /// Its faces.
    pub faces: Vec<Detection>,
    /// Whether it was looked at, or all of it told from the looks before and after it.
    pub looked: bool,
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
    far: Far,
    between: Between,
    /// Whose turn is next, how much of a turn is due, and when the last one was given.
    next: usize,
    credit: f32,
    turned: Option<Pts>,
    /// Pictures since then that wait.
    waited: u8,
    /// The time within which every tile has its turn, however few frames a second there are.
    turns_within: Duration,
    /// When the small pass last looked at all that had changed, and for how long after that it may
    /// look at the known faces alone.
    widely: Option<Pts>,
    narrow_for: Duration,
    /// A place in which tests let it find nothing.
    #[cfg(test)]
    pub(crate) blind: Option<Rect>,
    /// Whether tests let it fail.
    #[cfg(test)]
    pub(crate) broken: bool,
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
            far: Far::default(),
            between: Between::default(),
            next: 0,
            credit: 0.0,
            turned: None,
            waited: 0,
            turns_within: TURNS_WITHIN,
            widely: None,
            narrow_for: NARROW_FOR,
            #[cfg(test)]
            blind: None,
            #[cfg(test)]
            broken: false,
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
        let found = self.search_all(view, pts, cut);
        if found.is_err() {
            self.between.forget();
        }
        found
    }

    fn search_all(
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
            self.far.clear();
            self.between.forget();
        }
        self.blocks.measure(view);
        #[cfg(test)]
        if self.broken {
            return Err(VisionError::Ended);
        }
        if let Some(part) = self.small_part(pts) {
            self.small.look(&mut self.detector, view, &self.blocks, part, pts)?;
        }
        let mut found = self.small.found.clone();
        self.far.follow(&mut self.detector, view, &self.blocks, &mut found)?;
        for _ in 0..self.turns(pts, cut) {
            let all = self.tiles.len();
            let tile = &mut self.tiles[self.next];
            self.next = (self.next + 1) % all;
            let looked = tile.due(&self.blocks, pts, TILE_AGAIN).is_some();
            if looked {
                let area = tile.area;
                tile.look(&mut self.detector, view, &self.blocks, area, pts)?;
                let scale = tile.scale;
                // A large face that is unsure here is seen better in the small pass.
                tile.found.retain(|d| d.rect.w * scale <= FAR_FACE || d.score >= SURE_SCORE);
            }
            // Half of a near face is no face of its own, or two standings would meet in one face.
            let (tile, near) = (&*tile, &self.small.found);
            let own = tile.found.iter().filter(|d| {
                let whole =
                    |n: &Detection| n.rect.intersection(d.rect).area() > SAME_FACE * d.rect.area();
                !(tile.cuts(d.rect, view.size) && near.iter().any(whole))
            });
            found.extend(own.clone());
            if looked {
                let far = own.filter(|d| near.iter().all(|n| n.rect.iou(d.rect) <= 0.0));
                self.far.take(tile.area, far, &self.blocks, view.size.rect());
            }
        }
        #[cfg(test)]
        found.retain(|d| self.blind.is_none_or(|place| place.iou(d.rect) <= 0.0));
        let found = suppress(found, self.nms);
        let small = &self.small.found;
        let near = |d: &Detection| small.iter().any(|n| n.rect.iou(d.rect) >= SAME_PLACE);
        self.between.looked(view, pts, &self.blocks, &found, near);
        Ok(found)
    }

    /// Whether the next picture may wait for the one after it: what it shows can be told from both looks,
    /// or it is looked at then.
    #[must_use]
    pub fn may_wait(&self, size: FrameSize, pts: Pts) -> bool {
        self.search.sparing && size == self.size && self.between.may_wait(pts)
    }

    /// Takes a picture that waits.
    pub fn wait(&mut self, view: &I420View<'_>, pts: Pts) {
        self.blocks.measure(view);
        self.between.wait(pts, &self.blocks);
        self.waited = self.waited.saturating_add(1);
    }

    /// The faces of the pictures that waited until the look that was the last: those of both looks, on
    /// their way from one to the other, or what is found now where that may not be all. None waits after
    /// it, also where it fails.
    pub fn search_between(
        &mut self,
        waiting: &[(Pts, I420View<'_>)],
    ) -> Result<Vec<Waited>, VisionError> {
        let told = waiting.iter().map(|(pts, view)| self.between.told(view, *pts, &self.blocks));
        let told: Vec<Told> = told.collect();
        self.between.settle();
        let mut all = Vec::with_capacity(waiting.len());
        for ((_, view), Told { mut faces, doubtful }) in waiting.iter().zip(told) {
            let looked = !doubtful.is_empty();
            if looked {
                // What a look that fails leaves open the next two looks do not tell.
                let found = self.search_around(view, &doubtful, &mut faces);
                found.inspect_err(|_| self.between.forget())?;
            }
            all.push(Waited { faces, looked });
        }
        Ok(all)
    }

    /// Looks at parts of a picture; what is found takes the place of the `faces` there.
    fn search_around(
        &mut self,
        view: &I420View<'_>,
        doubtful: &[Rect],
        faces: &mut Vec<Detection>,
    ) -> Result<(), VisionError> {
        let (detector, scale) = (&mut self.detector, self.small.scale);
        self.small.look_around(doubtful, faces, view.size, |part| {
            detector.detect_in(view, part, scaled(part.size, scale))
        })?;
        *faces = suppress(std::mem::take(faces), self.nms);
        Ok(())
    }

    /// The faces of pictures that waited, whatever the looks around them saw.
    pub fn search_waiting(
        &mut self,
        waiting: &[(Pts, I420View<'_>)],
    ) -> Result<Vec<Waited>, VisionError> {
        self.between.settle();
        let mut look = |view| {
            let faces = self.detector.detect(view, self.search.size)?;
            Ok(Waited { faces, looked: true })
        };
        waiting.iter().map(|(_, view)| look(view)).collect()
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
        let part = self.small.around(rect_of(self.small.due(&self.blocks, pts, SMALL_AGAIN)?), &[]);
        let lately = |at: Pts| pts.since(at) < self.narrow_for;
        // Pictures that wait are told from all of the picture.
        let may_be = self.search.sparing && self.waited == 0;
        let narrow = may_be && self.small.looked.is_some() && self.widely.is_some_and(lately);
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
        self.between.forget();
        self.small = Patch::new(Area::whole(size), scale(self.search.size));
        self.far.clear();
        let full = scale(self.search.full_size);
        self.tiles = if full > self.small.scale { tiles(size, full) } else { Vec::new() };
        self.next = 0;
        self.credit = 0.0;
        self.turned = None;
        self.waited = 0;
    }

    /// The part of all tiles that has its turn in each frame.
    fn per_frame(&self) -> f32 {
        1.0 / self.search.full_every.max(1) as f32
    }

    /// How many tiles have their turn now.
    fn turns(&mut self, pts: Pts, cut: bool) -> usize {
        let all = self.tiles.len();
        let frames = 1.0 + f32::from(std::mem::take(&mut self.waited));
        let since = self.turned.replace(pts).map(|last| pts.since(last));
        let Some(since) = since.filter(|_| !cut) else { return all };
        let rounds = since.as_secs_f32() / self.turns_within.as_secs_f32();
        // Under strain the time alone counts, or a short `full_every` would leave nothing to give.
        let every = if self.turns_within > TURNS_WITHIN { 0.0 } else { frames * self.per_frame() };
        self.credit += all as f32 * rounds.max(every);
        let turns = (1..=all).take_while(|&n| n as f32 <= self.credit).count();
        self.credit = (self.credit - turns as f32).min(1.0);
        turns
    }
}
