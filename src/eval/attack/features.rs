//! What the attacker measures of a view: the pixels of the region, those around it, its shape.

use super::picture::{on_plane, planes};
use crate::{frame::I420View, veil::redact::PixelRect};

/// Cells across and down in which luma is read: more than any mosaic here has.
const LUMA: usize = 16;
const CHROMA: usize = 8;
/// A ring is read in cells of which this many lie across the region, and this many beside it.
const RING_INSIDE: usize = 12;
const RING_BESIDE: usize = 3;

/// The region as a small picture: luma, then both chroma planes.
pub(super) fn inside(view: &I420View<'_>, region: PixelRect) -> Vec<f32> {
    let mut out = Vec::with_capacity(LUMA * LUMA + 2 * CHROMA * CHROMA);
    for (plane, cells) in planes(view).into_iter().zip([LUMA, CHROMA, CHROMA]) {
        let at = on_plane(region, plane.step);
        let grid = Grid { x: at.x0, y: at.y0, w: at.x1 - at.x0, h: at.y1 - at.y0, cells };
        for (row, column) in grid.all() {
            out.push(grid.mean(&plane, row, column));
        }
    }
    out
}

/// The same for the pixels around the region, out to a quarter of its size on each side.
pub(super) fn around(view: &I420View<'_>, region: PixelRect) -> Vec<f32> {
    let mut out = Vec::new();
    let cells = RING_INSIDE + 2 * RING_BESIDE;
    for plane in planes(view) {
        let at = on_plane(region, plane.step);
        let (w, h) = (at.x1 - at.x0, at.y1 - at.y0);
        let (dx, dy) = (w * RING_BESIDE / RING_INSIDE, h * RING_BESIDE / RING_INSIDE);
        let (x, y) = (at.x0.saturating_sub(dx), at.y0.saturating_sub(dy));
        let grid = Grid { x, y, w: w + 2 * dx, h: h + 2 * dy, cells };
        let inside = RING_BESIDE..RING_BESIDE + RING_INSIDE;
        for (row, column) in grid.all() {
            if !(inside.contains(&row) && inside.contains(&column)) {
                out.push(grid.mean(&plane, row, column));
            }
        }
    }
    out
}

/// The proportions of a region over a take.
pub(super) fn proportions(regions: &[PixelRect]) -> Vec<f32> {
    let proportions: Vec<f32> = regions.iter().map(|r| (width(r) / height(r)).ln()).collect();
    let (mean, spread) = mean_and_spread(&proportions);
    vec![mean, spread]
}

/// How a region's place and size change over a take, in parts of itself. Place and size as such are
/// left out: they are where somebody sits.
pub(super) fn motion(regions: &[PixelRect]) -> Vec<f32> {
    let widths: Vec<f32> = regions.iter().map(|r| width(r).ln()).collect();
    let moves = |at: fn(&PixelRect) -> f32, extent: fn(&PixelRect) -> f32| -> Vec<f32> {
        regions.windows(2).map(|p| (at(&p[1]) - at(&p[0])) / extent(&p[0])).collect()
    };
    let (right, wobble) = mean_and_spread(&moves(|r| (r.x0 + r.x1) as f32 / 2.0, width));
    let (down, nod) = mean_and_spread(&moves(|r| (r.y0 + r.y1) as f32 / 2.0, height));
    vec![mean_and_spread(&widths).1, right, wobble, down, nod]
}

fn width(region: &PixelRect) -> f32 {
    region.x1.saturating_sub(region.x0).max(1) as f32
}

fn height(region: &PixelRect) -> f32 {
    region.y1.saturating_sub(region.y0).max(1) as f32
}

fn mean_and_spread(values: &[f32]) -> (f32, f32) {
    let count = values.len().max(1) as f32;
    let mean = values.iter().sum::<f32>() / count;
    (mean, (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / count).sqrt())
}

/// A rectangle of a plane in `cells` x `cells` cells.
struct Grid {
    x: usize,
    y: usize,
    w: usize,
    h: usize,
    cells: usize,
}

impl Grid {
    fn all(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let cells = self.cells;
        (0..cells).flat_map(move |row| (0..cells).map(move |column| (row, column)))
    }

    /// The mean of one cell; beyond the plane its edge goes on.
    fn mean(&self, plane: &super::picture::Plane<'_>, row: usize, column: usize) -> f32 {
        let span = |from: usize, extent: usize, i: usize, limit: usize| {
            let a = (from + extent * i / self.cells).min(limit.saturating_sub(1));
            let b = (from + extent * (i + 1) / self.cells).clamp(a + 1, limit.max(a + 1));
            a..b
        };
        let columns = span(self.x, self.w, column, plane.width);
        let (mut sum, mut count) = (0u32, 0u32);
        for y in span(self.y, self.h, row, plane.height) {
            let row = plane.samples.get(y * plane.stride..).unwrap_or_default();
            for &sample in row.get(columns.clone()).unwrap_or_default() {
                sum += u32::from(sample);
                count += 1;
            }
        }
        sum as f32 / count.max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{eval::attack::picture::Picture, frame::FrameSize};

    #[test]
    fn inside_and_around_do_not_see_each_other() {
        let region = PixelRect { x0: 120, y0: 96, x1: 240, y1: 240 };
        let mut a = Picture::new(FrameSize::new(400, 360));
        let before = (inside(&a.view(), region), around(&a.view(), region));
        for y in region.y0..region.y1 {
            a.plane_mut(0)[y * 400 + region.x0..y * 400 + region.x1].fill(200);
        }
        let after = (inside(&a.view(), region), around(&a.view(), region));
        assert_ne!(before.0, after.0);
        assert_eq!(before.1, after.1);
        assert_eq!(before.0.len(), 16 * 16 + 2 * 8 * 8);
    }

    #[test]
    fn proportions_and_motion_know_neither_size_nor_place() {
        let take = |scale: usize, at: usize| -> Vec<PixelRect> {
            (0..4)
                .map(|i| PixelRect {
                    x0: at + scale * 2 * i,
                    y0: at,
                    x1: at + scale * (2 * i + 30),
                    y1: at + scale * 40,
                })
                .collect()
        };
        let both = |regions: &[PixelRect]| [proportions(regions), motion(regions)].concat();
        let (near, far) = (both(&take(3, 60)), both(&take(1, 0)));
        assert!(near.iter().zip(&far).all(|(a, b)| (a - b).abs() < 1e-5), "{near:?} {far:?}");
    }
}
