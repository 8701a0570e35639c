//! Sheets of 1080p that hold the takes of eighteen people side by side, and what a recording would
//! hide in them: the recording's own [`Watcher`] looks at them and decides.

use std::time::Duration;

use super::{
    AttackError,
    class::{Class, FRAMES, Material, SIDE, Shot, Take},
    fill,
    picture::Picture,
    rng::Rng,
};
use crate::{
    frame::{FrameSize, Point, Rect, SlotPool, pixels::Scaler},
    units::Pts,
    veil::{
        Cover, Verdict,
        evidence::Judge,
        policy::{Policy, Region},
        redact::PixelRect,
        watch::{self, Watcher},
    },
    vision::{
        Eyes,
        identify::Gallery,
        infer::{Models, VisionError},
    },
};

/// A full HD picture.
pub(super) const SIZE: FrameSize = FrameSize::new(1920, 1080);
const COLUMNS: usize = 6;
const ROWS: usize = 3;
/// Takes on a sheet.
pub(super) const CELLS: usize = COLUMNS * ROWS;
const CELL_WIDTH: usize = 320;
const CELL_HEIGHT: usize = 360;
/// Time between frames.
const STEP: Duration = Duration::from_nanos(33_333_333);

/// What is drawn of a take, to each side of the face's middle, in widths of the face: a little more than is
/// hidden, so that something is around it.
const OWN_WIDE: f32 = 1.0;
const OWN_HIGH: f32 = 1.4;
/// Grey level of the rest.
const WALL: f32 = 150.0;

/// Between two sheets so much time passes that nothing of the one is held into the other.
const APART: Duration = Duration::from_secs(10);

/// When a frame is shown in a film of all sheets.
pub(super) fn time_of(seq: u64) -> Pts {
    Pts::from_nanos(seq * u64::try_from(STEP.as_nanos()).unwrap_or(0))
}

/// When the camera saw it.
fn seen_at(seq: u64) -> Pts {
    let sheet = seq / FRAMES as u64;
    time_of(seq).plus(APART * u32::try_from(sheet).unwrap_or(u32::MAX))
}

/// What is hidden of a take in one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) region: PixelRect,
    /// Width of the detected face.
    pub(super) face_px: f32,
}

/// One frame of a sheet.
pub(super) struct Page {
    pub(super) seq: u64,
    pub(super) picture: Picture,
    pub(super) verdict: Verdict,
    /// One for each take of the sheet; none where no face was found.
    pub(super) places: Vec<Option<Place>>,
}

/// Draws sheets.
pub(super) struct Press {
    watcher: Watcher,
    pool: SlotPool,
    scaler: Scaler,
    crop: Vec<f32>,
    grain: Rng,
    next: u64,
}

impl Press {
    pub(super) fn new(
        models: &Models,
        settings: watch::Settings,
        grain: Rng,
    ) -> Result<Self, VisionError> {
        let Eyes { detector, embedder, thresholds, .. } = Eyes::open(models, 1)?;
        // Everybody is hidden, by the head.
        let settings = watch::Settings { region: Region::Head, ..settings };
        let judge = Judge::new(Policy::Everyone, &Gallery::default(), thresholds);
        Ok(Self {
            watcher: Watcher::new(detector, embedder, judge, thresholds, settings)?,
            pool: SlotPool::new(SIZE, FRAMES),
            scaler: Scaler::new(),
            crop: Vec::new(),
            grain,
            next: 0,
        })
    }

    /// Draws all frames of a sheet and looks at them as a recording does.
    pub(super) fn sheet(
        &mut self,
        class: &Class,
        takes: &[Take],
    ) -> Result<Vec<Page>, AttackError> {
        self.watcher.forget_before(seen_at(self.next));
        let mut looks = Vec::new();
        for frame in 0..FRAMES {
            let mut picture = Picture::new(SIZE);
            for (cell, take) in takes.iter().enumerate().take(CELLS) {
                self.draw(class, take, &take.shots[frame], cell, &mut picture)?;
            }
            let seq = self.next;
            self.next += 1;
            let frame = fill(self.pool.take(), &picture, seq, seen_at(seq))?;
            self.watcher.look(&frame)?;
            looks.push((frame, picture));
        }
        // As with the ring of a recording, every frame is decided when all were seen.
        let pages = looks.into_iter().map(|(frame, picture)| {
            let (verdict, placements) = self.watcher.decide(&frame, true);
            let hidden = match &verdict.cover {
                Cover::Regions(hidden) => hidden.as_slice(),
                _ => &[],
            };
            let place = |cell| {
                let nearest = placements
                    .iter()
                    .filter(|p| distance(p.face, cell) < CELL_WIDTH as f32 / 4.0)
                    .min_by(|a, b| distance(a.face, cell).total_cmp(&distance(b.face, cell)))?;
                let own = hidden.iter().filter(|hidden| hidden.track == nearest.track);
                let of_it = own.max_by(|a, b| a.region.area().total_cmp(&b.region.area()))?;
                Some(Place {
                    region: PixelRect::covering(of_it.region, SIZE)?,
                    face_px: nearest.face.w,
                })
            };
            let places = (0..takes.len()).map(place).collect();
            Page { seq: frame.seq(), picture, verdict, places }
        });
        Ok(pages.collect())
    }

    fn draw(
        &mut self,
        class: &Class,
        take: &Take,
        shot: &Shot,
        cell: usize,
        onto: &mut Picture,
    ) -> Result<(), AttackError> {
        let material =
            class.people.get(take.person).and_then(|person| class.materials.get(person.material));
        let drawn = match material {
            Some(Material::Photo(photo)) => {
                self.scaler.warp_bgr(photo, &shot.map, SIDE, &mut self.crop)
            }
            Some(Material::Clip(pictures)) => match pictures.get(shot.picture) {
                Some(picture) => self.scaler.warp(&picture.view(), &shot.map, SIDE, &mut self.crop),
                None => return Ok(()),
            },
            None => return Ok(()),
        };
        drawn.map_err(VisionError::from)?;
        self.print(take, cell, onto);
        Ok(())
    }

    /// Puts the drawn square's middle into a cell, BT.601 limited range. Whoever sits beside the person is
    /// left out: the neighbours on a photo, and their veils, would name everybody on it.
    fn print(&mut self, take: &Take, cell: usize, onto: &mut Picture) {
        let light = take.light;
        let [across, down] = take.at.map(|at| SIDE as f32 / 2.0 + at);
        let own = Rect::new(
            across - OWN_WIDE * take.width,
            down - OWN_HIGH * take.width,
            2.0 * OWN_WIDE * take.width,
            2.0 * OWN_HIGH * take.width,
        );
        let (left, top) = (cell % COLUMNS * CELL_WIDTH, cell / COLUMNS * CELL_HEIGHT);
        let side = SIDE as usize;
        let margin = (side - CELL_WIDTH) / 2;
        let (stride, half) = (onto.stride(0), onto.stride(1));
        let crop = &self.crop;
        let pixel = |x: usize, y: usize| {
            let (across, down) = ((x + margin) as f32, y as f32);
            if !(own.x..own.right()).contains(&across) || !(own.y..own.bottom()).contains(&down) {
                return [WALL; 3];
            }
            let at = y * side + x + margin;
            [crop[at], crop[side * side + at], crop[2 * side * side + at]]
        };
        let luma = onto.plane_mut(0);
        for y in 0..CELL_HEIGHT {
            let row = &mut luma[(top + y) * stride + left..][..CELL_WIDTH];
            for (x, sample) in row.iter_mut().enumerate() {
                let [r, g, b] = pixel(x, y);
                let bright = 16.0 + 0.257 * r + 0.504 * g + 0.098 * b;
                let lit = (bright - 110.0) * light.gain + 110.0 + light.bias;
                *sample = byte(lit + light.noise * self.grain.bell());
            }
        }
        let weights = [[-0.148, -0.291, 0.439], [0.439, -0.368, -0.071]];
        for (plane, weights) in (1..).zip(weights) {
            let samples = onto.plane_mut(plane);
            for y in 0..CELL_HEIGHT / 2 {
                let row = &mut samples[(top / 2 + y) * half + left / 2..][..CELL_WIDTH / 2];
                for (x, sample) in row.iter_mut().enumerate() {
                    let colour: f32 =
                        pixel(2 * x, 2 * y).iter().zip(weights).map(|(p, w)| p * w).sum();
                    *sample = byte(128.0 + colour * light.gain + light.tint[plane - 1]);
                }
            }
        }
    }
}

fn byte(value: f32) -> u8 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let byte = value.clamp(0.0, 255.0).round() as u8;
    byte
}

fn middle_of(cell: usize) -> Point {
    Point {
        x: (cell % COLUMNS * CELL_WIDTH + CELL_WIDTH / 2) as f32,
        y: (cell / COLUMNS * CELL_HEIGHT + CELL_HEIGHT / 2) as f32,
    }
}

fn distance(face: Rect, cell: usize) -> f32 {
    let (a, b) = (face.center(), middle_of(cell));
    (a.x - b.x).hypot(a.y - b.y)
}
