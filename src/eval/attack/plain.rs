//! The ways of hiding a face that keep something of it, to show that the attacker is a real one.
//! Nothing here can reach a recording.

use super::picture::{Picture, on_plane};
use crate::veil::redact::PixelRect;

/// A mosaic or a blur of what is in a region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plain {
    /// So many cells across and down.
    Cells(usize),
    /// Cells of so many pixels.
    Tiles(usize),
    /// Gaussian blur with a standard deviation in parts of the face's width.
    Blur(f32),
}

impl Plain {
    pub(super) fn apply(self, picture: &mut Picture, region: PixelRect, face_px: f32) {
        for plane in 0..3 {
            let step = if plane == 0 { 1 } else { 2 };
            let (stride, at) = (picture.stride(plane), on_plane(region, step));
            let samples = picture.plane_mut(plane);
            match self {
                Self::Cells(count) => {
                    let edge = |from: usize, to: usize, i: usize| from + (to - from) * i / count;
                    for (row, column) in (0..count).flat_map(|r| (0..count).map(move |c| (r, c))) {
                        let cell = PixelRect {
                            x0: edge(at.x0, at.x1, column),
                            y0: edge(at.y0, at.y1, row),
                            x1: edge(at.x0, at.x1, column + 1),
                            y1: edge(at.y0, at.y1, row + 1),
                        };
                        flatten(samples, stride, cell);
                    }
                }
                Self::Tiles(side) => {
                    let side = (side / step).max(1);
                    for y0 in (at.y0..at.y1).step_by(side) {
                        for x0 in (at.x0..at.x1).step_by(side) {
                            let (x1, y1) = ((x0 + side).min(at.x1), (y0 + side).min(at.y1));
                            flatten(samples, stride, PixelRect { x0, y0, x1, y1 });
                        }
                    }
                }
                Self::Blur(sigma) => blur(samples, stride, at, sigma * face_px / step as f32),
            }
        }
    }
}

/// Gives a cell its mean.
fn flatten(samples: &mut [u8], stride: usize, cell: PixelRect) {
    let rows = || cell.y0..cell.y1;
    let (mut sum, mut area) = (0u32, 0u32);
    for sample in rows().flat_map(|y| &samples[y * stride + cell.x0..y * stride + cell.x1]) {
        sum += u32::from(*sample);
        area += 1;
    }
    let mean = u8::try_from((sum + area / 2) / area.max(1)).unwrap_or(u8::MAX);
    for y in rows() {
        samples[y * stride + cell.x0..y * stride + cell.x1].fill(mean);
    }
}

/// Three running means each way, which come close to a Gaussian; the region's own edge is repeated
/// beyond it, as editors do.
fn blur(samples: &mut [u8], stride: usize, at: PixelRect, sigma: f32) {
    // Three means over `w` samples have a variance of 3 (w^2 - 1) / 12.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few pixels")]
    let radius = (((4.0 * sigma * sigma + 1.0).sqrt() - 1.0) / 2.0).round().max(1.0) as usize;
    let (width, height) = (at.x1 - at.x0, at.y1 - at.y0);
    let mut line = Vec::new();
    for y in at.y0..at.y1 {
        let row = &mut samples[y * stride + at.x0..y * stride + at.x1];
        line.clear();
        line.extend(row.iter().map(|&s| f32::from(s)));
        for (to, from) in row.iter_mut().zip(smooth(&line, radius)) {
            *to = from;
        }
    }
    for x in at.x0..at.x0 + width {
        line.clear();
        line.extend((0..height).map(|y| f32::from(samples[(at.y0 + y) * stride + x])));
        for (y, value) in smooth(&line, radius).into_iter().enumerate() {
            samples[(at.y0 + y) * stride + x] = value;
        }
    }
}

fn smooth(line: &[f32], radius: usize) -> Vec<u8> {
    let mut line = line.to_vec();
    let last = line.len().saturating_sub(1);
    for _ in 0..3 {
        let mut sums = Vec::with_capacity(line.len() + 2 * radius + 1);
        let mut sum = 0.0;
        sums.push(sum);
        for i in 0..line.len() + 2 * radius {
            sum += line[i.saturating_sub(radius).min(last)];
            sums.push(sum);
        }
        let over = (2 * radius + 1) as f32;
        line = (0..line.len()).map(|i| (sums[i + 2 * radius + 1] - sums[i]) / over).collect();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "means of bytes")]
    line.into_iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameSize;

    fn ramp() -> Picture {
        let mut picture = Picture::new(FrameSize::new(64, 48));
        for (i, sample) in picture.plane_mut(0).iter_mut().enumerate() {
            *sample = u8::try_from(i % 64 * 3).expect("a byte");
        }
        picture
    }

    #[test]
    fn plain_hiding_stays_in_its_region_and_keeps_its_mean() {
        let region = PixelRect { x0: 8, y0: 4, x1: 40, y1: 36 };
        for how in [Plain::Cells(6), Plain::Tiles(10), Plain::Blur(0.1)] {
            let (before, mut after) = (ramp(), ramp());
            how.apply(&mut after, region, 40.0);
            let (a, b) = (before.view(), after.view());
            let (mut inside, mut changed) = (0i64, 0);
            for y in 0..48 {
                for x in 0..64 {
                    let (a, b) = (i64::from(a.y[y * 64 + x]), i64::from(b.y[y * 64 + x]));
                    if (8..40).contains(&x) && (4..36).contains(&y) {
                        inside += b - a;
                        changed += i32::from(a != b);
                    } else {
                        assert_eq!(a, b, "{how:?} at {x} {y}");
                    }
                }
            }
            assert!(changed > 100 && inside.abs() < 1024, "{how:?}: {changed}, {inside}");
        }
    }
}
