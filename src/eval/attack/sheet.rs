//! Sheets of 1080p that hold the takes of eighteen people side by side, and what a recording would
//! hide in them: the same detector, tracker, decision and regions.

use std::time::Duration;

use super::{
    AttackError,
    class::{Class, FRAMES, Light, Material, SIDE, Shot, Take},
    picture::Picture,
    rng::Rng,
};
use crate::{
    frame::{FrameSize, Point, Rect, pixels::Scaler},
    units::Pts,
    veil::{
        Cover, Verdict,
        decide::{Subject, decide},
        evidence::State,
        policy::Region,
        redact::PixelRect,
    },
    vision::{detect::Detector, track::Tracker},
};

/// A full HD picture.
pub(super) const SIZE: FrameSize = FrameSize::new(1920, 1080);
const COLUMNS: usize = 6;
const ROWS: usize = 3;
/// Takes on a sheet.
pub(super) const CELLS: usize = COLUMNS * ROWS;
const CELL_WIDTH: usize = 320;
const CELL_HEIGHT: usize = 360;
/// The detector's longer side: faces of 96 px are 48 px to it.
const LONGEST: u32 = 960;
/// Time between frames.
const STEP: Duration = Duration::from_nanos(33_333_333);

/// When a frame is shown.
pub(super) fn time_of(seq: u64) -> Pts {
    Pts::from_nanos(seq * u64::try_from(STEP.as_nanos()).unwrap_or(0))
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
    scaler: Scaler,
    crop: Vec<f32>,
    grain: Rng,
    next: u64,
}

impl Press {
    pub(super) fn new(rng: Rng) -> Self {
        Self { scaler: Scaler::new(), crop: Vec::new(), grain: rng, next: 0 }
    }

    /// Draws all frames of a sheet and looks at them as a recording does.
    pub(super) fn sheet(
        &mut self,
        class: &Class,
        takes: &[Take],
        detector: &mut Detector,
    ) -> Result<Vec<Page>, AttackError> {
        let mut tracker = Tracker::new();
        let mut looks = Vec::new();
        for frame in 0..FRAMES {
            let mut picture = Picture::new(SIZE);
            for (cell, take) in takes.iter().enumerate().take(CELLS) {
                self.draw(class, take, &take.shots[frame], cell, &mut picture)?;
            }
            let seq = self.next;
            self.next += 1;
            let found = detector.detect(&picture.view(), LONGEST)?;
            tracker.step(seq, time_of(seq), &found, false);
            looks.push((seq, picture));
        }
        // As with the ring of a recording, every frame is decided when all were seen.
        let subjects: Vec<_> = tracker
            .tracks()
            .iter()
            .map(|track| Subject { track, state: State::Undecided })
            .collect();
        let pages = looks.into_iter().map(|(seq, picture)| {
            let (verdict, placements) =
                decide(seq, time_of(seq), SIZE, true, &subjects, Region::Head);
            let hidden = match &verdict.cover {
                Cover::Regions(hidden) => hidden.as_slice(),
                _ => &[],
            };
            let place = |cell| {
                let (nearest, face) = hidden
                    .iter()
                    .zip(&placements)
                    .filter(|(_, p)| distance(p.face, cell) < CELL_WIDTH as f32 / 4.0)
                    .min_by(|a, b| distance(a.1.face, cell).total_cmp(&distance(b.1.face, cell)))?;
                Some(Place {
                    region: PixelRect::covering(nearest.region, SIZE)?,
                    face_px: face.face.w,
                })
            };
            let places = (0..takes.len()).map(place).collect();
            Page { seq, picture, verdict, places }
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
        drawn.map_err(AttackError::Picture)?;
        self.print(take.light, cell, onto);
        Ok(())
    }

    /// Puts the drawn square's middle into a cell, BT.601 limited range.
    fn print(&mut self, light: Light, cell: usize, onto: &mut Picture) {
        let (left, top) = (cell % COLUMNS * CELL_WIDTH, cell / COLUMNS * CELL_HEIGHT);
        let side = SIDE as usize;
        let margin = (side - CELL_WIDTH) / 2;
        let (stride, half) = (onto.stride(0), onto.stride(1));
        let crop = &self.crop;
        let pixel = |x: usize, y: usize| {
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
