//! Area averaging at the few ratios that cameras and detectors meet at: 1080p to 640 is 3:1 for
//! luma and 3:2 for chroma, to 1600 it is 6:5 for luma. Every sample becomes the rounded mean of what
//! lies under it, as with `OpenCV`'s `INTER_AREA` (bit for bit where the divisor is odd), at a
//! quarter of its time.
//!
//! Does not belong: other ratios, which `OpenCV` scales.

use super::FrameSize;

/// Scales a plane of `from` samples with rows of `stride` bytes to `to`, by area averaging.
/// Returns `false`, with `out` in any state, where the ratio is none of the few or a plane is too
/// short. `sums` is memory for one row.
pub(super) fn shrink(
    samples: &[u8],
    stride: usize,
    from: FrameSize,
    to: FrameSize,
    sums: &mut Vec<u16>,
    out: &mut [u8],
) -> bool {
    let is = |p: u32, q: u32| {
        [(from.width, to.width), (from.height, to.height)]
            .into_iter()
            .all(|(a, b)| a % p == 0 && b % q == 0 && a / p == b / q && a > 0)
    };
    let scale = if is(2, 1) {
        Ratio::<2, 1>::scale
    } else if is(3, 1) {
        Ratio::<3, 1>::scale
    } else if is(3, 2) {
        Ratio::<3, 2>::scale
    } else if is(4, 1) {
        Ratio::<4, 1>::scale
    } else if is(6, 1) {
        Ratio::<6, 1>::scale
    } else if is(6, 5) {
        Ratio::<6, 5>::scale
    } else {
        return false;
    };
    let (width, height) = (from.width as usize, from.height as usize);
    let out_width = to.width as usize;
    if stride < width
        || samples.len() < (height - 1) * stride + width
        || out.len() != out_width * to.height as usize
    {
        return false;
    }
    sums.resize(width, 0);
    scale(samples, stride, sums, out, out_width);
    true
}

/// `P` samples become `Q`, across and down. Constants, so that every loop over them is unrolled
/// and the compiler sees that no sum overflows.
struct Ratio<const P: usize, const Q: usize>;

impl<const P: usize, const Q: usize> Ratio<P, Q> {
    /// What samples of the new size count before the division.
    #[expect(clippy::cast_possible_truncation, reason = "at most 36")]
    const AREA: u32 = (P * P) as u32;
    /// Division by `AREA` as multiplication: exact below 2^20 / `AREA`, and a sum is below 256 * `AREA`.
    const INVERSE: u32 = (1 << 20) / Self::AREA + 1;

    #[expect(clippy::cast_possible_truncation, reason = "at most Q")]
    /// How much old sample `j` of a group counts for new sample `k`: their overlap.
    const fn weight(k: usize, j: usize) -> u16 {
        let (from, to) = (k * P, (k + 1) * P);
        let (start, end) = (j * Q, (j + 1) * Q);
        let (low, high) =
            (if start > from { start } else { from }, if end < to { end } else { to });
        if high > low { (high - low) as u16 } else { 0 }
    }

    fn scale(samples: &[u8], stride: usize, sums: &mut [u16], out: &mut [u8], out_width: usize) {
        let width = sums.len();
        for (group, out) in out.chunks_exact_mut(Q * out_width).enumerate() {
            let rows: [&[u8]; P] =
                std::array::from_fn(|j| &samples[(group * P + j) * stride..][..width]);
            for (k, out) in out.chunks_exact_mut(out_width).enumerate() {
                Self::add_rows(k, rows, sums);
                Self::average(sums, out);
            }
        }
    }

    /// How many old rows lie under a new one at most.
    const UNDER: usize = P / Q + if P.is_multiple_of(Q) { 0 } else { 1 };

    /// The old rows, weighted for new row `k`, which the compiler turns into vector code; a sum is at most
    /// 6 x 255, so none wraps.
    fn add_rows(k: usize, rows: [&[u8]; P], sums: &mut [u16]) {
        let first = k * P / Q;
        // Those after the last do not count.
        let weights: [u16; P] = std::array::from_fn(|j| Self::weight(k, first + j));
        let rows: [&[u8]; P] = std::array::from_fn(|j| &rows[(first + j).min(P - 1)][..sums.len()]);
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = (0..Self::UNDER).fold(0, |sum, j| {
                let sample = u16::from(rows[j][i]);
                u16::wrapping_add(sum, weights[j].wrapping_mul(sample))
            });
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a mean of bytes is a byte")]
    fn average(sums: &[u16], out: &mut [u8]) {
        let (sums, out) = (sums.as_chunks::<P>().0, out.as_chunks_mut::<Q>().0);
        for (sums, out) in sums.iter().zip(out) {
            for (k, out) in out.iter_mut().enumerate() {
                // At most 2^29 with the factor: wrapping only says so to the compiler.
                let mut sum = Self::AREA / 2;
                for (j, &old) in sums.iter().enumerate() {
                    let weight = u32::from(Self::weight(k, j));
                    sum = sum.wrapping_add(weight.wrapping_mul(u32::from(old)));
                }
                *out = (sum.wrapping_mul(Self::INVERSE) >> 20) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_sample_is_the_mean_of_what_lies_under_it(
            (p, q) in prop_oneof![Just((2u32, 1u32)), Just((3, 1)), Just((3, 2)), Just((4, 1)), Just((6, 1)), Just((6, 5))],
            columns in 1u32..12, rows in 1u32..6, padding in 0usize..5, seed in any::<u32>(),
        ) {
            let from = FrameSize::new(columns * p, rows * p);
            let to = FrameSize::new(columns * q, rows * q);
            let stride = from.width as usize + padding;
            let samples: Vec<u8> = (0u32..).take(stride * from.height as usize)
                .map(|i| i.wrapping_mul(2_654_435_761).wrapping_add(seed).to_le_bytes()[3])
                .collect();
            let mut out = vec![0; (to.width * to.height) as usize];
            prop_assert!(shrink(&samples, stride, from, to, &mut Vec::new(), &mut out));
            let overlap = |k: u32, j: u32| {
                ((k + 1) * p).min((j + 1) * q).saturating_sub((k * p).max(j * q))
            };
            for y in 0..to.height {
                for x in 0..to.width {
                    let mut sum = 0;
                    for j in 0..from.height {
                        for i in 0..from.width {
                            let sample = samples[j as usize * stride + i as usize];
                            sum += overlap(y, j) * overlap(x, i) * u32::from(sample);
                        }
                    }
                    let mean = (sum + p * p / 2) / (p * p);
                    prop_assert_eq!(u32::from(out[(y * to.width + x) as usize]), mean);
                }
            }
        }
    }

    #[test]
    fn odd_divisors_agree_with_opencv() {
        use opencv::{core, imgproc};

        for to in [FrameSize::new(40, 20), FrameSize::new(80, 40)] {
            let from = FrameSize::new(120, 60);
            let samples: Vec<u8> =
                (0..7200u32).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
            let mut ours = vec![0; (to.width * to.height) as usize];
            assert!(shrink(&samples, 120, from, to, &mut Vec::new(), &mut ours));
            let picture = core::Mat::new_rows_cols_with_data(60, 120, &samples).unwrap();
            let mut theirs = core::Mat::default();
            let size = core::Size::new(to.width.cast_signed(), to.height.cast_signed());
            imgproc::resize(&picture, &mut theirs, size, 0.0, 0.0, imgproc::INTER_AREA).unwrap();
            assert_eq!(ours, core::MatTraitConstManual::data_bytes(&theirs).unwrap());
        }
    }

    #[test]
    fn other_ratios_and_short_planes_are_left_to_others() {
        let try_out = |from: (u32, u32), to: (u32, u32), samples: usize| {
            let (from, to) = (FrameSize::new(from.0, from.1), FrameSize::new(to.0, to.1));
            let mut out = vec![0; (to.width * to.height) as usize];
            shrink(&vec![0; samples], from.width as usize, from, to, &mut Vec::new(), &mut out)
        };
        assert!(try_out((30, 15), (10, 5), 450));
        assert!(!try_out((30, 15), (10, 5), 449));
        assert!(!try_out((30, 15), (10, 6), 450));
        assert!(!try_out((30, 15), (30, 15), 450));
        assert!(!try_out((10, 5), (30, 15), 50));
    }
}
