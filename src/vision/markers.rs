//! Worn markers: `AprilTag`s 36h11 that say "may be seen".
//!
//! Belongs here: which markers are in a picture and where. Does not belong: whose face a marker
//! clears (`veil::badge`), to whom a number was given (`people`). No marker says "hide me".
//!
//! A number is taken only when all of its 36 bits are right: any two numbers differ in 11.
//!
//! Measured on printed tags drawn into a scene, slightly blurred and noisy: all are read from a side
//! of 24 px on (black square; three pixels a cell), 90% at 20 px, half at 18 px; turned away by 50
//! degrees all, by 60 nine in ten; with a blur of 1.5 px at 48 px all; from 30 grey levels between
//! black and white on. One look costs 16 to 22 ms at 1920x1080 and 6 to 8 ms at 960x540 on one
//! thread, by how much detail the picture has.

use super::infer::VisionError;
use crate::frame::{I420View, Point, tags::TagReader};

/// A marker in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marker {
    /// 0 to 586.
    pub number: u16,
    /// Its black square's corners in frame pixels, clockwise.
    pub corners: [Point; 4],
}

impl Marker {
    /// The middle of its corners.
    #[must_use]
    pub fn center(&self) -> Point {
        let sum = self.corners.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.x, sum.1 + p.y));
        Point { x: sum.0 / 4.0, y: sum.1 / 4.0 }
    }

    /// Its longest side in pixels: turning away shortens the others.
    #[must_use]
    pub fn side(&self) -> f32 {
        let after = self.corners.iter().cycle().skip(1);
        let sides = self.corners.iter().zip(after).map(|(a, b)| (a.x - b.x).hypot(a.y - b.y));
        sides.fold(0.0, f32::max)
    }
}

/// Finds markers. Owns its memory; one per thread.
#[derive(Debug)]
pub struct MarkerFinder {
    reader: TagReader,
}

impl MarkerFinder {
    /// A finder for all 587 markers.
    pub fn new() -> Result<Self, VisionError> {
        Ok(Self { reader: TagReader::new()? })
    }

    /// The markers of a picture. Only luma is looked at, at its own size.
    pub fn find(&mut self, picture: &I420View<'_>) -> Result<Vec<Marker>, VisionError> {
        let tags = self.reader.read(picture)?;
        Ok(tags
            .into_iter()
            .map(|tag| Marker { number: tag.number, corners: tag.corners })
            .collect())
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "samples and places of small test pictures"
)]
mod tests {
    use super::*;
    use crate::frame::FrameSize;

    /// The first codes of the family as `AprilTag` 2 prints them, row by row from the upper left.
    const CODES: [u64; 6] =
        [0xd_5d62_8584, 0xd_97f1_8b49, 0xd_d280_910e, 0xe_479e_9c98, 0xe_bcbc_a822, 0xf_31da_b3ac];
    /// Cells across: six of the code and a black border.
    const CELLS: f32 = 8.0;

    /// Luma of a scene with printed tags.
    struct Scene {
        size: FrameSize,
        luma: Vec<f32>,
        state: u64,
    }

    /// One printed tag: black square, one cell of white paper around it.
    #[derive(Clone, Copy)]
    struct Print {
        number: usize,
        center: (f32, f32),
        side: f32,
        /// Turned in the picture, and away from the camera, in degrees.
        turn: f32,
        away: f32,
        black: f32,
        white: f32,
    }

    const PLAIN: Print = Print {
        number: 3,
        center: (160.3, 120.7),
        side: 48.0,
        turn: 0.0,
        away: 0.0,
        black: 40.0,
        white: 200.0,
    };

    impl Scene {
        fn new(size: FrameSize) -> Self {
            let luma = vec![110.0; size.width as usize * size.height as usize];
            Self { size, luma, state: 7 }
        }

        fn print(mut self, tag: Print) -> Self {
            let (sin, cos) = tag.turn.to_radians().sin_cos();
            let (depth, narrow) = tag.away.to_radians().sin_cos();
            let width = self.size.width as usize;
            for (i, pixel) in self.luma.iter_mut().enumerate() {
                let (mut sum, mut count) = (0.0, 0.0);
                for sub in 0..16 {
                    let part = |n: usize| (n as f32 + 0.5) / 4.0;
                    let x = (i % width) as f32 + part(sub % 4) - tag.center.0;
                    let y = (i / width) as f32 + part(sub / 4) - tag.center.1;
                    let (x, y) = ((x * cos + y * sin) / tag.side, (y * cos - x * sin) / tag.side);
                    // The far edge is a little shorter.
                    let u = x / narrow;
                    let v = y / (1.0 + 0.15 * depth * u);
                    if let Some(white) = cell(tag.number, (u + 0.5) * CELLS, (v + 0.5) * CELLS) {
                        sum += if white { tag.white } else { tag.black };
                        count += 1.0;
                    }
                }
                *pixel = (*pixel * (16.0 - count) + sum) / 16.0;
            }
            self
        }

        /// Blurs by a Gaussian of so many pixels, cut at three of them.
        fn blur(mut self, sigma: f32) -> Self {
            let (width, height) = (self.size.width as i32, self.size.height as i32);
            let reach = (3.0 * sigma).ceil() as i32;
            let weight = |d: i32| (-0.5 * (d as f32 / sigma).powi(2)).exp();
            let total: f32 = (-reach..=reach).map(weight).sum();
            for (dx, dy) in [(1, 0), (0, 1)] {
                let from = self.luma.clone();
                for (i, pixel) in self.luma.iter_mut().enumerate() {
                    let (x, y) = (i as i32 % width, i as i32 / width);
                    let at = |d: i32| {
                        let x = (x + d * dx).clamp(0, width - 1);
                        let y = (y + d * dy).clamp(0, height - 1);
                        from[(y * width + x) as usize]
                    };
                    *pixel = (-reach..=reach).map(|d| weight(d) * at(d)).sum::<f32>() / total;
                }
            }
            self
        }

        fn noise(mut self, sigma: f32) -> Self {
            for pixel in &mut self.luma {
                let mut unit = || {
                    self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (self.state >> 40) as f32 / 16_777_216.0
                };
                *pixel += (unit() + unit() + unit() - 1.5) * 2.0 * sigma;
            }
            self
        }

        fn find(&self) -> Vec<Marker> {
            // Rows as a slot has them, longer than the picture.
            let (width, stride) = (self.size.width as usize, self.size.width as usize + 12);
            let mut luma = vec![0u8; stride * self.size.height as usize];
            for (to, from) in luma.chunks_exact_mut(stride).zip(self.luma.chunks_exact(width)) {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = from.clamp(0.0, 255.0).round() as u8;
                }
            }
            let view = I420View {
                size: self.size,
                y: &luma,
                u: &[],
                v: &[],
                luma_stride: stride,
                chroma_stride: 0,
            };
            MarkerFinder::new().expect("a finder").find(&view).expect("a look")
        }
    }

    /// Whether a tag is white at a place in its cells; none outside the paper.
    fn cell(number: usize, x: f32, y: f32) -> Option<bool> {
        let on = |low: f32, high: f32| (low..high).contains(&x) && (low..high).contains(&y);
        if on(1.0, CELLS - 1.0) {
            let bit = (y as usize - 1) * 6 + (x as usize - 1);
            return Some(CODES[number] >> (35 - bit) & 1 == 1);
        }
        on(-1.0, CELLS + 1.0).then(|| !on(0.0, CELLS))
    }

    fn small() -> Scene {
        Scene::new(FrameSize::new(320, 240))
    }

    fn numbers(scene: &Scene) -> Vec<u16> {
        let mut numbers: Vec<u16> = scene.find().iter().map(|m| m.number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// How many of `of` prints at odd places and turns are read, and none wrongly.
    fn read(of: usize, print: impl Fn(usize) -> Print, after: impl Fn(Scene) -> Scene) -> usize {
        let hit = |&i: &usize| {
            let tag = Print {
                number: i % CODES.len(),
                center: (150.0 + 0.37 * i as f32, 118.0 + 0.21 * i as f32),
                turn: 11.0 * i as f32,
                ..print(i)
            };
            let found = numbers(&after(small().print(tag)));
            assert!(found.iter().all(|&n| usize::from(n) == tag.number), "{found:?}");
            found.len() == 1
        };
        (0..of).filter(hit).count()
    }

    #[test]
    fn printed_numbers_are_the_familys_own() {
        let size = FrameSize::new(640, 240);
        let scene = (0..CODES.len()).fold(Scene::new(size), |scene, number| {
            let center = (60.0 + 100.0 * number as f32, 120.0);
            scene.print(Print { number, center, ..PLAIN })
        });
        assert_eq!(numbers(&scene), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn corners_are_where_the_square_is() {
        let found = small().print(PLAIN).find();
        let [marker] = found[..] else { panic!("{found:?}") };
        let (x, y) = PLAIN.center;
        let center = marker.center();
        assert!((center.x - x).abs() < 1.5 && (center.y - y).abs() < 1.5, "{center:?}");
        assert!((marker.side() - PLAIN.side).abs() < 3.0, "{}", marker.side());
        let [first, second, third, _] = marker.corners;
        let side = (second.x - first.x, second.y - first.y);
        let next = (third.x - second.x, third.y - second.y);
        assert!(side.0 * next.1 - side.1 * next.0 > 0.0, "clockwise");
    }

    #[test]
    fn small_tilted_blurred_and_dim_tags_are_read() {
        let noisy = |scene: Scene| scene.blur(0.6).noise(3.0);
        for side in [24.0, 32.0, 64.0, 96.0, 160.0] {
            assert_eq!(read(8, |_| Print { side, ..PLAIN }, noisy), 8, "{side} px");
        }
        assert_eq!(read(8, |_| Print { away: 50.0, ..PLAIN }, noisy), 8, "turned away");
        assert_eq!(read(8, |_| PLAIN, |s| s.blur(1.5).noise(3.0)), 8, "blurred");
        let dim = |_| Print { black: 24.0, white: 56.0, ..PLAIN };
        assert_eq!(read(8, dim, noisy), 8, "dim");
        // Too small is not read; wrongly is worse, and `read` would say so.
        assert_eq!(read(8, |_| Print { side: 9.0, ..PLAIN }, noisy), 0);
    }

    #[test]
    fn noise_holds_no_marker() {
        for sigma in [10.0, 40.0, 90.0] {
            let scene = Scene::new(FrameSize::new(960, 540)).noise(sigma);
            assert!(scene.find().is_empty(), "noise of {sigma}");
            assert!(scene.blur(2.0).find().is_empty(), "blotches of {sigma}");
        }
    }

    #[test]
    fn one_wrong_cell_is_another_tag() {
        // A cell of the code painted over.
        let hole = |scene: Scene| {
            let mut scene = scene;
            let cell = PLAIN.side / CELLS;
            let from = |c: f32, n: f32| c - PLAIN.side / 2.0 + n * cell;
            for (i, pixel) in scene.luma.iter_mut().enumerate() {
                let (x, y) = ((i % 320) as f32, (i / 320) as f32);
                let (left, top) = (from(PLAIN.center.0, 2.0), from(PLAIN.center.1, 3.0));
                if (left..left + cell).contains(&x) && (top..top + cell).contains(&y) {
                    *pixel = PLAIN.white + PLAIN.black - *pixel;
                }
            }
            scene
        };
        assert_eq!(numbers(&small().print(PLAIN)), [3]);
        assert_eq!(numbers(&hole(small().print(PLAIN))), [0u16; 0]);
    }
}
