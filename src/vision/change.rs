//! Whether a picture shows anything new since a part of it was last looked at.
//!
//! Belongs here: comparing pictures block by block. Does not belong: what follows from it (`search`).
//! Where no block changed, the faces are where they were.

use crate::frame::{FrameSize, I420View, pixels::Area};

/// Blocks across a picture; 16 pixels each at 1920.
const BLOCKS: usize = 120;
/// A block is at least this wide, in pixels: smaller ones only measure noise.
const SMALLEST: usize = 8;
/// A block has changed when its mean brightness differs by this, in grey levels. A sensor's noise
/// of 5 levels moves the mean of a block of 16x16 by 0.4.
const CHANGED: f32 = 2.0;
/// Something may have come into view where blocks differ by this, two by two of them: an edge that moves
/// a little changes one row or column, and a face that lies in one block is too small for any but a tile.
const APPEARED: f32 = 6.0;
const APPEARED_BLOCKS: usize = 2;
/// Every second row is enough for a mean.
const ROW_STEP: usize = 2;

/// Mean brightness of the blocks of one picture.
#[derive(Debug, Default)]
pub struct Blocks {
    means: Vec<f32>,
    /// Memory for one row of blocks.
    sums: Vec<u16>,
    columns: usize,
    side: usize,
}

impl Blocks {
    /// Measures a picture.
    #[expect(clippy::cast_precision_loss, reason = "a block's sum is far below 2^24")]
    pub fn measure(&mut self, frame: &I420View<'_>) {
        let (width, height) = (frame.size.width as usize, frame.size.height as usize);
        self.side = (width / BLOCKS).max(SMALLEST);
        self.columns = width.div_ceil(self.side);
        self.means.clear();
        let band = self.side * frame.luma_stride;
        for rows in frame.y.chunks(band.max(1)).take(height.div_ceil(self.side)) {
            // Column by column first, which the compiler turns into vector code; a sum is at most
            // side / 2 x 255, so none wraps for pictures up to 60000 pixels wide.
            self.sums.clear();
            self.sums.resize(width, 0);
            let mut count = 0;
            for row in rows.chunks(frame.luma_stride).step_by(ROW_STEP) {
                for (sum, &sample) in self.sums.iter_mut().zip(row) {
                    *sum = sum.wrapping_add(u16::from(sample));
                }
                count += 1;
            }
            self.means.extend(self.sums.chunks(self.side).map(|sums| {
                let sum: u32 = sums.iter().map(|&s| u32::from(s)).sum();
                sum as f32 / (sums.len() * count) as f32
            }));
        }
    }

    /// Mean brightness of the blocks, row by row.
    #[must_use]
    pub fn means(&self) -> &[f32] {
        &self.means
    }

    /// Blocks in a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Side of a block in pixels.
    #[must_use]
    pub fn side(&self) -> usize {
        self.side
    }

    /// The blocks that touch `area`, as columns and rows.
    fn touching(&self, area: Area) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let side = self.side.max(1);
        let rows = self.means.len() / self.columns.max(1);
        let range = |from: u32, extent: u32, most: usize| {
            let (from, to) = (from as usize / side, (from + extent) as usize);
            from.min(most)..to.div_ceil(side).min(most)
        };
        let (across, down) = (area.size.width, area.size.height);
        (range(area.x, across, self.columns), range(area.y, down, rows))
    }
}

/// The blocks as they were when each was last looked at.
#[derive(Debug, Default)]
pub struct Reference {
    /// Not a number where nothing was looked at yet, which differs from everything.
    means: Vec<f32>,
}

impl Reference {
    /// The smallest part of `area` outside which no block of it differs from what was kept; none
    /// where nothing does. In pixels, possibly a block beyond the picture's edge.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "blocks lie in the picture")]
    pub fn changed(&self, now: &Blocks, area: Area) -> Option<Area> {
        let (columns, rows) = now.touching(area);
        let differs = |at: usize| {
            let was = self.means.get(at).copied().unwrap_or(f32::NAN);
            // Written so that numbers that are none count as a change.
            let same = (now.means[at] - was).abs() < CHANGED;
            !same
        };
        let mut bounds: Option<(usize, usize, usize, usize)> = None;
        for row in rows {
            for column in columns.clone() {
                if differs(row * now.columns + column) {
                    let (left, top, right, bottom) = bounds.unwrap_or((column, row, column, row));
                    bounds = Some((left.min(column), top, right.max(column), bottom.max(row)));
                }
            }
        }
        let (left, top, right, bottom) = bounds?;
        let pixels = |blocks: usize| (blocks * now.side) as u32;
        let size = FrameSize::new(pixels(right + 1 - left), pixels(bottom + 1 - top));
        Some(Area { x: pixels(left), y: pixels(top), size })
    }

    /// Whether something as large as a face may have come into view in `area`, besides what touches
    /// `known`.
    #[must_use]
    pub fn shows_something_new(&self, now: &Blocks, area: Area, known: Option<Area>) -> bool {
        let (columns, rows) = now.touching(area);
        let known = known.map(|known| now.touching(known));
        let differs = |column: usize, row: usize| {
            let was = self.means.get(row * now.columns + column).copied().unwrap_or(f32::NAN);
            let same = (now.means[row * now.columns + column] - was).abs() < APPEARED;
            let is_known = known
                .as_ref()
                .is_some_and(|(across, down)| across.contains(&column) && down.contains(&row));
            !same && !is_known
        };
        let step = APPEARED_BLOCKS - 1;
        let (last_row, last_column) =
            (rows.end.saturating_sub(step), columns.end.saturating_sub(step));
        (rows.start..last_row).any(|row| {
            (columns.start..last_column).any(|column| {
                (row..=row + step)
                    .all(|row| (column..=column + step).all(|column| differs(column, row)))
            })
        })
    }

    /// Keeps the blocks that touch `area`: it was looked at.
    pub fn keep(&mut self, now: &Blocks, area: Area) {
        self.means.resize(now.means.len(), f32::NAN);
        let (columns, rows) = now.touching(area);
        for row in rows {
            let from = row * now.columns;
            let range = from + columns.start..from + columns.end;
            self.means[range.clone()].copy_from_slice(&now.means[range]);
        }
    }

    /// Forgets everything, so that all of the next picture differs.
    pub fn forget(&mut self) {
        self.means.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: FrameSize = FrameSize::new(645, 363);

    fn blocks(luma: &[u8]) -> Blocks {
        let mut blocks = Blocks::default();
        let (luma_stride, chroma_stride) = (SIZE.width as usize, 0);
        let (u, v) = (&[][..], &[][..]);
        blocks.measure(&I420View { size: SIZE, y: luma, u, v, luma_stride, chroma_stride });
        blocks
    }

    #[test]
    fn a_small_change_anywhere_is_found_where_it_is() {
        let whole = Area::whole(SIZE);
        let luma = vec![100; 645 * 363];
        let mut seen = Reference::default();
        assert!(seen.changed(&blocks(&luma), whole).is_some(), "the first picture is new");
        seen.keep(&blocks(&luma), whole);
        assert_eq!(seen.changed(&blocks(&luma), whole), None);
        for (x, y) in [(0u32, 0u32), (633, 350), (320, 180), (11, 350)] {
            let mut spot = luma.clone();
            for row in y..y + 12 {
                let at = (row * 645 + x) as usize;
                spot[at..at + 12].fill(160);
            }
            let area = seen.changed(&blocks(&spot), whole).expect("a change");
            assert!(area.x <= x && area.y <= y, "{area:?}");
            assert!(area.x + area.size.width >= x + 12 && area.y + area.size.height >= y + 12);
            assert!(area.size.width <= 24 && area.size.height <= 24, "{area:?}");
            let elsewhere = Area { x: 100, y: 100, size: FrameSize::new(50, 50) };
            assert_eq!(seen.changed(&blocks(&spot), elsewhere), None);
        }
    }

    #[test]
    fn a_face_that_comes_into_view_is_something_new_and_an_edge_that_moves_is_not() {
        let whole = Area::whole(SIZE);
        let luma = vec![100; 645 * 363];
        let mut seen = Reference::default();
        assert!(seen.shows_something_new(&blocks(&luma), whole, None), "the first picture is new");
        seen.keep(&blocks(&luma), whole);
        assert!(!seen.shows_something_new(&blocks(&luma), whole, None));
        let with = |(x, y, width, height): (usize, usize, usize, usize)| {
            let mut luma = luma.clone();
            for row in y..y + height {
                luma[row * 645 + x..][..width].fill(118);
            }
            blocks(&luma)
        };
        for at in [(0u16, 0u16), (300, 170), (617, 335)] {
            let face = with((at.0.into(), at.1.into(), 28, 28));
            assert!(seen.shows_something_new(&face, whole, None), "{at:?}");
            let (x, y) = (at.0.into(), at.1.into());
            let known = Area { x, y, size: FrameSize::new(28, 28) };
            assert!(!seen.shows_something_new(&face, whole, Some(known)), "{at:?}");
        }
        for edge in [(100, 0, 4, 363), (0, 200, 645, 4)] {
            assert!(!seen.shows_something_new(&with(edge), whole, None), "{edge:?}");
        }
    }

    #[test]
    fn slow_changes_add_up_and_only_what_was_looked_at_is_kept() {
        let whole = Area::whole(SIZE);
        let mut luma = vec![100; 645 * 363];
        let mut seen = Reference::default();
        seen.keep(&blocks(&luma), whole);
        luma.fill(101);
        assert_eq!(seen.changed(&blocks(&luma), whole), None);
        luma.fill(102);
        let part = Area { x: 0, y: 0, size: FrameSize::new(320, 360) };
        assert!(seen.changed(&blocks(&luma), part).is_some(), "compared with what was kept");
        seen.keep(&blocks(&luma), part);
        assert_eq!(seen.changed(&blocks(&luma), part), None);
        assert!(seen.changed(&blocks(&luma), whole).is_some());
        seen.forget();
        assert!(seen.changed(&blocks(&luma), part).is_some());
    }
}
