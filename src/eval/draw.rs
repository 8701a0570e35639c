//! Drawing on raw planes: heads cut out of samples, bodies, things in front of faces, light, noise.
//!
//! Belongs here: pixels. Does not belong: who is drawn where (`scenes`). Everything is computed from
//! its arguments, so the same scene is drawn the same way every time.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places are clamped to the picture, samples to 0..=255, before they are cast"
)]

use super::truth::Shape;
use crate::frame::{FrameSize, I420View, I420ViewMut, Rect};

/// A small generator of numbers (`SplitMix64`): the same seed gives the same scene, which is all that
/// is asked of it.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// A generator of its own for the part `name`, so that adding one part leaves others as they are.
    pub(super) fn of(seed: u64, name: &str) -> Self {
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, fold))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` to `high`.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        let unit = (self.next() >> 40) as f32 / (1u64 << 24) as f32;
        low + (high - low) * unit
    }

    /// From 0 to below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Puts `items` into an order of chance.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// One channel of a picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) data: Vec<u8>,
}

impl Plane {
    pub(super) fn new(width: usize, height: usize, value: u8) -> Self {
        Self { width, height, data: vec![value; width * height] }
    }

    /// A part of a plane whose rows are `stride` apart; what lies outside repeats the edge.
    fn cut(from: &[u8], stride: usize, [across, down]: [u32; 2], area: [i64; 4]) -> Self {
        let [left, top, width, height] = area;
        let inside = |at: i64, side: u32| at.clamp(0, i64::from(side) - 1) as usize;
        let mut data = Vec::with_capacity((width * height).max(0) as usize);
        for y in top..top + height {
            let row = inside(y, down) * stride;
            data.extend((left..left + width).map(|x| from[row + inside(x, across)]));
        }
        Self { width: width.max(0) as usize, height: height.max(0) as usize, data }
    }

    /// Half as wide and high.
    fn halved(&self) -> Self {
        let (width, height) = ((self.width / 2).max(1), (self.height / 2).max(1));
        let at = |x: usize, y: usize| {
            u32::from(self.data[y.min(self.height - 1) * self.width + x.min(self.width - 1)])
        };
        let mut data = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let (x, y) = (2 * x, 2 * y);
                let sum = at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1);
                data.push(((sum + 2) / 4) as u8);
            }
        }
        Self { width, height, data }
    }

    /// The value at a place, between four samples; beyond the edge the edge goes on.
    fn sample(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x - 0.5, y - 0.5);
        let (left, top) = (x.floor(), y.floor());
        let (fx, fy) = (x - left, y - top);
        let column = |x: f32| x.clamp(0.0, (self.width - 1) as f32) as usize;
        let row = |y: f32| y.clamp(0.0, (self.height - 1) as f32) as usize * self.width;
        let (x0, x1, y0, y1) = (column(left), column(left + 1.0), row(top), row(top + 1.0));
        let at = |at: usize| f32::from(self.data[at]);
        let upper = at(y0 + x0) * (1.0 - fx) + at(y0 + x1) * fx;
        let lower = at(y1 + x0) * (1.0 - fx) + at(y1 + x1) * fx;
        upper * (1.0 - fy) + lower * fy
    }
}

/// A picture in several sizes, each half the one before, so that it can be drawn at any size
/// without flicker.
#[derive(Clone, Debug)]
pub(super) struct Pyramid {
    /// Luma and the two chroma planes of each level.
    levels: Vec<[Plane; 3]>,
}

impl Pyramid {
    /// The part `area` of a picture; `area` begins at even places.
    pub(super) fn cut(view: &I420View<'_>, area: [i64; 4]) -> Self {
        let full = [view.size.width, view.size.height];
        let half = area.map(|v| v.div_euclid(2));
        let chroma = full.map(|side| side.div_ceil(2));
        let luma = Plane::cut(view.y, view.luma_stride, full, area);
        let [u, v] =
            [view.u, view.v].map(|plane| Plane::cut(plane, view.chroma_stride, chroma, half));
        let mut levels = vec![[luma, u, v]];
        while levels.len() < 6 && levels.last().is_some_and(|[luma, ..]| luma.width > 24) {
            let next = levels[levels.len() - 1].each_ref().map(Plane::halved);
            levels.push(next);
        }
        Self { levels }
    }

    /// The level for drawing at `scale`, and its own scale.
    fn level(&self, scale: f32) -> (&[Plane; 3], f32) {
        let wanted = (1.0 / scale.max(1e-3)).log2().floor().max(0.0) as usize;
        let level = wanted.min(self.levels.len() - 1);
        (&self.levels[level], 1.0 / (1 << level) as f32)
    }
}

/// Where a sample lies in a scene's picture: scaled, turned by `tilt` radians clockwise, and moved
/// so that `anchor` comes to lie at `at`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placing {
    pub(super) anchor: (f32, f32),
    pub(super) at: (f32, f32),
    pub(super) scale: f32,
    pub(super) tilt: f32,
}

impl Placing {
    /// A place of the sample in the picture.
    pub(super) fn to_picture(self, x: f32, y: f32) -> (f32, f32) {
        let (sin, cos) = self.tilt.sin_cos();
        let (dx, dy) = ((x - self.anchor.0) * self.scale, (y - self.anchor.1) * self.scale);
        (self.at.0 + dx * cos - dy * sin, self.at.1 + dx * sin + dy * cos)
    }

    fn to_sample(self, x: f32, y: f32) -> (f32, f32) {
        let (sin, cos) = self.tilt.sin_cos();
        let (dx, dy) = (x - self.at.0, y - self.at.1);
        let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
        (self.anchor.0 + u / self.scale, self.anchor.1 + v / self.scale)
    }

    /// An ellipse of the sample (centre and half axes) in the picture.
    pub(super) fn ellipse(self, centre: (f32, f32), half: (f32, f32)) -> Shape {
        let (x, y) = self.to_picture(centre.0, centre.1);
        Shape::Ellipse([x, y, half.0 * self.scale, half.1 * self.scale, self.tilt])
    }
}

/// How solid a shape is at a place: 1 inside, falling to 0 over its outer tenth, 0 outside.
fn solidity(shape: &Shape, x: f32, y: f32) -> f32 {
    match *shape {
        Shape::Ellipse([cx, cy, rx, ry, angle]) => {
            let (sin, cos) = angle.sin_cos();
            let (dx, dy) = (x - cx, y - cy);
            let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
            let far = (u / rx).hypot(v / ry);
            ((1.0 - far) / 0.1).clamp(0.0, 1.0)
        }
        Shape::Rect(_) => f32::from(u8::from(shape.contains(x, y))),
    }
}

/// Runs `with` on every sample of the three planes that a shape touches: plane, index, the sample's
/// place in luma pixels.
fn each_sample(
    planes: &mut I420ViewMut<'_>,
    around: Rect,
    mut with: impl FnMut(usize, &mut u8, f32, f32),
) {
    let size = planes.layout.size();
    let around = around.intersection(size.rect());
    if around.area() <= 0.0 {
        return;
    }
    let (luma, chroma) = (planes.layout.luma_stride(), planes.layout.chroma_stride());
    let channels: [(usize, &mut [u8], usize, usize); 3] =
        [(0, planes.y, luma, 1), (1, planes.u, chroma, 2), (2, planes.v, chroma, 2)];
    for (plane, samples, stride, step) in channels {
        let span = |from: f32, to: f32, side: u32| {
            let end = (side as usize).div_ceil(step);
            ((from as usize) / step, (to.ceil() as usize).div_ceil(step).min(end))
        };
        let (left, right) = span(around.x, around.right(), size.width);
        let (top, bottom) = span(around.y, around.bottom(), size.height);
        let half = step as f32 / 2.0;
        for y in top..bottom {
            for x in left..right {
                let place = ((x * step) as f32 + half, (y * step) as f32 + half);
                with(plane, &mut samples[y * stride + x], place.0, place.1);
            }
        }
    }
}

fn blend(sample: &mut u8, with: f32, solid: f32) {
    *sample = (f32::from(*sample) * (1.0 - solid) + with * solid + 0.5) as u8;
}

/// Draws the part of a sample that lies in `shape`, brighter or darker by `gain`.
pub(super) fn head(
    planes: &mut I420ViewMut<'_>,
    picture: &Pyramid,
    placing: Placing,
    shape: &Shape,
    gain: f32,
) {
    let (level, own) = picture.level(placing.scale);
    each_sample(planes, shape.bounds(), |plane, sample, x, y| {
        let solid = solidity(shape, x, y);
        if solid <= 0.0 {
            return;
        }
        let (u, v) = placing.to_sample(x, y);
        let step = if plane == 0 { 1.0 } else { 2.0 };
        let value = level[plane].sample(u * own / step, v * own / step);
        let value = if plane == 0 { 16.0 + (value - 16.0) * gain } else { value };
        blend(sample, value.clamp(0.0, 255.0), solid);
    });
}

/// Fills a shape with a colour (Y U V) under a fine grain.
pub(super) fn fill(planes: &mut I420ViewMut<'_>, shape: &Shape, colour: [u8; 3]) {
    each_sample(planes, shape.bounds(), |plane, sample, x, y| {
        let solid = solidity(shape, x, y);
        if solid <= 0.0 {
            return;
        }
        // Cloth and paper are not of one tone: a flat colour would be easier than anything real.
        let grain = if plane == 0 { grain(x as u32, y as u32) } else { 0.0 };
        blend(sample, (f32::from(colour[plane]) + grain).clamp(0.0, 255.0), solid);
    });
}

/// From -6 to 6, fixed to the place.
pub(super) fn grain(x: u32, y: u32) -> f32 {
    let mut h = x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 15;
    h = h.wrapping_mul(0x2c1b_3c6d);
    h ^= h >> 12;
    (h & 0xff) as f32 / 255.0 * 12.0 - 6.0
}

/// Copies a background that may be larger than the picture, from (`left`, `top`), both even.
pub(super) fn backdrop(planes: &mut I420ViewMut<'_>, from: &[Plane; 3], left: usize, top: usize) {
    let size = planes.layout.size();
    let (luma, chroma) = (planes.layout.luma_stride(), planes.layout.chroma_stride());
    let channels: [(&Plane, &mut [u8], usize, usize); 3] = [
        (&from[0], planes.y, luma, 1),
        (&from[1], planes.u, chroma, 2),
        (&from[2], planes.v, chroma, 2),
    ];
    for (plane, samples, stride, step) in channels {
        let (width, height) =
            ((size.width as usize).div_ceil(step), (size.height as usize).div_ceil(step));
        let (left, top) = (left / step, top / step);
        for y in 0..height {
            let at = (top + y).min(plane.height - 1) * plane.width + left;
            let row = &plane.data[at..at + width];
            samples[y * stride..y * stride + width].copy_from_slice(row);
        }
    }
}

/// Makes a picture darker: light as a part of full light, 0 to 1.
pub(super) fn light(planes: &mut I420ViewMut<'_>, part: f32) {
    let luma: [u8; 256] =
        std::array::from_fn(|v| (16.0 + (v as f32 - 16.0) * part).clamp(0.0, 255.0) as u8);
    // Cameras lose colour in the dark too, but later.
    let colour = part.max(0.0).sqrt();
    let chroma: [u8; 256] =
        std::array::from_fn(|v| (128.5 + (v as f32 - 128.0) * colour).clamp(0.0, 255.0) as u8);
    planes.y.iter_mut().for_each(|v| *v = luma[usize::from(*v)]);
    planes.u.iter_mut().for_each(|v| *v = chroma[usize::from(*v)]);
    planes.v.iter_mut().for_each(|v| *v = chroma[usize::from(*v)]);
}

/// A sensor's noise: drawn once, laid over every picture at places of chance.
#[derive(Debug)]
pub(super) struct Noise {
    table: Vec<i8>,
}

impl Noise {
    /// Noise of the standard deviation `sigma`, in grey levels.
    pub(super) fn new(sigma: f32, dice: &mut Dice) -> Self {
        // The sum of four even ones is near enough to a bell.
        let spread = sigma * 3.0_f32.sqrt() / 2.0;
        let table = (0..1 << 16)
            .map(|_| {
                let sum: f32 = (0..4).map(|_| dice.between(-spread, spread)).sum();
                sum.round().clamp(-127.0, 127.0) as i8
            })
            .collect();
        Self { table }
    }

    /// Adds it to all planes, to colours at half strength.
    pub(super) fn add(&self, planes: &mut I420ViewMut<'_>, dice: &mut Dice) {
        let (luma, chroma) = (planes.layout.luma_stride(), planes.layout.chroma_stride());
        for (samples, stride, part) in
            [(&mut *planes.y, luma, 1), (&mut *planes.u, chroma, 2), (&mut *planes.v, chroma, 2)]
        {
            for row in samples.chunks_mut(stride) {
                let from = dice.below(self.table.len() - row.len().min(self.table.len() - 1));
                for (sample, noise) in row.iter_mut().zip(&self.table[from..]) {
                    *sample = sample.saturating_add_signed(noise / part);
                }
            }
        }
    }
}

/// A picture in planes that can be looked at as a frame.
pub(super) fn view(planes: &[Plane; 3], size: FrameSize) -> I420View<'_> {
    let [y, u, v] = planes.each_ref().map(|p| p.data.as_slice());
    I420View { size, y, u, v, luma_stride: planes[0].width, chroma_stride: planes[1].width }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placing_leads_there_and_back() {
        let placing = Placing { anchor: (30.0, 20.0), at: (400.0, 300.0), scale: 2.5, tilt: 0.4 };
        assert_eq!(placing.to_picture(30.0, 20.0), (400.0, 300.0));
        let (x, y) = placing.to_picture(11.0, 52.0);
        let (u, v) = placing.to_sample(x, y);
        assert!((u - 11.0).abs() < 1e-3 && (v - 52.0).abs() < 1e-3);
    }

    #[test]
    fn dice_repeat_themselves() {
        let rolls = |mut dice: Dice| -> Vec<u64> { (0..4).map(|_| dice.next()).collect() };
        assert_eq!(rolls(Dice::of(7, "class")), rolls(Dice::of(7, "class")));
        assert_ne!(rolls(Dice::of(7, "class")), rolls(Dice::of(8, "class")));
        assert_ne!(rolls(Dice::of(7, "class")), rolls(Dice::of(7, "edge")));
    }
}
