//! The parts of a recording that an export has: where each picture and sample comes to lie once the
//! rest is left out. Pure arithmetic on the recording's timeline.

use std::time::Duration;

use crate::{
    capture::{AudioChunk, AudioFormat},
    units::Pts,
};

/// Parts of a recording, in order, that do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts(Vec<(Pts, Pts)>);

/// Parts that make no export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadParts {
    /// There is none.
    #[error("no part is marked")]
    None,
    /// One ends where it begins, or before.
    #[error("part {number} is empty")]
    Empty {
        /// Which, from 1.
        number: usize,
    },
    /// One begins before the one before has ended.
    #[error("part {number} begins before the one before it ends")]
    Order {
        /// Which, from 1.
        number: usize,
    },
}

impl Parts {
    /// Parts, each from its beginning to just before its end.
    pub fn new(parts: Vec<(Pts, Pts)>) -> Result<Self, BadParts> {
        if parts.is_empty() {
            return Err(BadParts::None);
        }
        let mut last = Pts::ZERO;
        for (at, (from, to)) in parts.iter().enumerate() {
            if from >= to {
                return Err(BadParts::Empty { number: at + 1 });
            }
            if *from < last {
                return Err(BadParts::Order { number: at + 1 });
            }
            last = *to;
        }
        Ok(Self(parts))
    }

    /// Where the picture at `pts` comes to lie; none where it is left out.
    #[must_use]
    pub fn place(&self, pts: Pts) -> Option<Pts> {
        let mut before = Duration::ZERO;
        for &(from, to) in &self.0 {
            if pts < from {
                return None;
            }
            if pts < to {
                return Some(Pts::ZERO.plus(before + pts.since(from)));
            }
            before += to.since(from);
        }
        None
    }

    /// What is left of a piece of sound, to the sample.
    pub(super) fn cut(&self, chunk: &AudioChunk, channels: u8) -> Vec<AudioChunk> {
        let channels = usize::from(channels.max(1));
        let count = chunk.samples.len() / channels;
        // The first sample at or after a time: rounded up, so that nothing before a part is heard.
        let sample_at = |pts: Pts| -> usize {
            let nanos = pts.since(chunk.pts).as_nanos() * u128::from(AudioFormat::RATE);
            usize::try_from(nanos.div_ceil(1_000_000_000)).unwrap_or(usize::MAX).min(count)
        };
        let mut left = Vec::new();
        for &(from, to) in &self.0 {
            let (first, end) = (sample_at(from), sample_at(to));
            if first >= end {
                continue;
            }
            let offset = Duration::from_nanos(
                u64::try_from(first).unwrap_or(u64::MAX).saturating_mul(1_000_000_000)
                    / u64::from(AudioFormat::RATE),
            );
            let samples = chunk.samples[first * channels..end * channels].to_vec();
            // A sample that was rounded down may seem to lie just before its part.
            let at = chunk.pts.plus(offset).max(from);
            if let Some(pts) = self.place(at) {
                left.push(AudioChunk { pts, samples });
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Pts {
        Pts::from_nanos(ms * 1_000_000)
    }

    fn parts(parts: &[(u64, u64)]) -> Result<Parts, BadParts> {
        Parts::new(parts.iter().map(|&(from, to)| (at(from), at(to))).collect())
    }

    #[test]
    fn what_lies_between_is_left_out_and_the_rest_moves_up() {
        let parts = parts(&[(1000, 2000), (2000, 2500), (5000, 6000)]).unwrap();
        for (from, to) in [
            (0, None),
            (999, None),
            (1000, Some(0)),
            (1999, Some(999)),
            (2000, Some(1000)),
            (2499, Some(1499)),
            (2500, None),
            (5000, Some(1500)),
            (5999, Some(2499)),
            (6000, None),
        ] {
            assert_eq!(parts.place(at(from)), to.map(at), "{from}");
        }
    }

    #[test]
    fn parts_are_in_order() {
        assert_eq!(parts(&[]), Err(BadParts::None));
        assert_eq!(parts(&[(5, 5)]), Err(BadParts::Empty { number: 1 }));
        assert_eq!(parts(&[(5, 9), (8, 12)]), Err(BadParts::Order { number: 2 }));
    }

    proptest! {
        /// Every sample that is kept lies in a part, and each comes to lie where a picture of its
        /// time would.
        #[test]
        fn no_sound_is_heard_from_outside(
            start in 0u64..3000, length in 0u64..2000, channels in 1u8..=2,
        ) {
            let parts = parts(&[(500, 900), (1000, 1001), (2000, 2700)]).unwrap();
            let count = usize::try_from(length * 48).unwrap();
            // Each sample says its own place.
            #[expect(clippy::cast_precision_loss, reason = "below 2^24")]
            let samples: Vec<f32> = (0..count)
                .flat_map(|n| vec![n as f32; usize::from(channels)])
                .collect();
            let chunk = AudioChunk { pts: at(start), samples };
            let mut kept = 0;
            for cut in parts.cut(&chunk, channels) {
                let number = |sample: f32| format!("{sample:.0}").parse::<u64>().unwrap();
                let (first, last) = (number(cut.samples[0]), number(*cut.samples.last().unwrap()));
                let time = |n: u64| {
                    Pts::from_nanos(start * 1_000_000 + (n * 1_000_000_000 + 24_000) / 48_000)
                };
                let placed = parts.place(time(first));
                prop_assert!(placed.is_some(), "{first}");
                prop_assert!(parts.place(time(last)).is_some(), "{last}");
                prop_assert!(placed.unwrap().nanos().abs_diff(cut.pts.nanos()) < 21_000);
                kept += cut.samples.len() / usize::from(channels);
            }
            let inside = (0..count)
                .filter(|n| parts.place(Pts::from_nanos(
                    start * 1_000_000 + (*n as u64 * 1_000_000_000).div_ceil(48_000),
                )).is_some())
                .count();
            prop_assert!(kept.abs_diff(inside) <= 3, "{kept} of {inside}");
        }
    }
}
