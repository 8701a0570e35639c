//! Whether a picture shows anything new since it was last looked at.
//!
//! Belongs here: comparing pictures block by block. Does not belong: what follows from it. A picture
//! in which no block changed has its faces where they were.

use crate::frame::I420View;

/// Blocks across a picture; 32 pixels each at 1920.
const BLOCKS: usize = 60;
/// A block is at least this wide, in pixels: smaller ones only measure noise.
const SMALLEST: usize = 8;
/// A block has changed when its mean brightness differs by this, in grey levels. A sensor's noise
/// of 5 levels moves the mean of a block of 32x32 by 0.2.
const CHANGED: f32 = 2.0;
/// Every second row is enough for a mean.
const ROW_STEP: usize = 2;

/// Mean brightness of the blocks of a picture.
#[derive(Debug, Default)]
pub struct ChangeDetector {
    reference: Vec<f32>,
    now: Vec<f32>,
}

impl ChangeDetector {
    /// Whether any block of `frame` differs from the picture that was [kept](Self::keep).
    pub fn differs(&mut self, frame: &I420View<'_>) -> bool {
        means(frame, &mut self.now);
        self.now.len() != self.reference.len()
            || self.now.iter().zip(&self.reference).any(|(a, b)| (a - b).abs() >= CHANGED)
    }

    /// Keeps the picture compared last as the one to compare with.
    pub fn keep(&mut self) {
        std::mem::swap(&mut self.now, &mut self.reference);
    }

    /// Forgets the picture kept, so that the next one differs.
    pub fn forget(&mut self) {
        self.reference.clear();
    }
}

fn means(frame: &I420View<'_>, out: &mut Vec<f32>) {
    let (width, height) = (frame.size.width as usize, frame.size.height as usize);
    let side = (width / BLOCKS).max(SMALLEST);
    let columns = width.div_ceil(side);
    out.clear();
    out.resize(columns * height.div_ceil(side), 0.0);
    for (y, row) in frame.y.chunks(frame.luma_stride).take(height).enumerate().step_by(ROW_STEP) {
        let sums = &mut out[y / side * columns..][..columns];
        for (sum, samples) in sums.iter_mut().zip(row[..width.min(row.len())].chunks(side)) {
            *sum += samples.iter().map(|&s| u32::from(s)).sum::<u32>() as f32;
        }
    }
    for (i, sum) in out.iter_mut().enumerate() {
        let (x, y) = (i % columns * side, i / columns * side);
        let rows = (height - y).min(side).div_ceil(ROW_STEP);
        *sum /= ((width - x).min(side) * rows.max(1)) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameSize;

    fn picture(luma: &[u8], size: FrameSize) -> I420View<'_> {
        let (luma_stride, chroma_stride) = (size.width as usize, 0);
        I420View { size, y: luma, u: &[], v: &[], luma_stride, chroma_stride }
    }

    #[test]
    fn a_small_change_anywhere_is_a_change_and_slow_ones_add_up() {
        let size = FrameSize::new(645, 363);
        let mut luma = vec![100; 645 * 363];
        let mut change = ChangeDetector::default();
        assert!(change.differs(&picture(&luma, size)), "the first picture is new");
        change.keep();
        assert!(!change.differs(&picture(&luma, size)));
        for (x, y) in [(0, 0), (633, 351), (320, 180), (11, 351)] {
            let mut spot = luma.clone();
            for row in y..y + 12 {
                spot[row * 645 + x..row * 645 + x + 12].fill(160);
            }
            assert!(change.differs(&picture(&spot, size)), "at {x},{y}");
        }
        luma.fill(101);
        assert!(!change.differs(&picture(&luma, size)));
        luma.fill(102);
        assert!(change.differs(&picture(&luma, size)), "compared with what was kept");
    }
}
