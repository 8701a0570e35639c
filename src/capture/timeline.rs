//! Stream times to recording times. Pure: no buffer, no clock.

use std::time::Duration;

use crate::units::Pts;

/// How far a picture is moved that would stand at or before the one before it: more than one tick
/// (11.1 us) of the 90 kHz clock that containers use, so that both keep an instant of their own.
pub(super) const NUDGE: Duration = Duration::from_micros(20);

/// A backward jump larger than this is a broken clock, not jitter: moving pictures along one nudge
/// at a time would pile a whole stretch up at one instant.
const MAX_STEP_BACK: Duration = Duration::from_secs(1);

/// The interval that stands in where a stream tells neither times nor a rate: that of 25 Hz, which
/// `GStreamer`'s parsers assume too.
const DEFAULT_INTERVAL: Duration = Duration::from_millis(40);

/// The clock jumped back by this much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WentBack {
    pub(super) after: Pts,
    pub(super) by: Duration,
}

/// Gives every picture a time later than that of the one before it.
///
/// A picture with a time keeps it. Without one it follows the one before it by one frame interval.
/// A doubled or slightly earlier time keeps the picture and moves it [`NUDGE`] behind the one
/// before. A time before the start becomes the start.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    last: Option<Pts>,
}

impl Timeline {
    /// The time of the next picture, from its signed running time in nanoseconds.
    pub(super) fn stamp(
        &mut self,
        running: Option<i128>,
        interval: Option<Duration>,
    ) -> Result<Pts, WentBack> {
        let at = running.map(|ns| Pts::from_nanos(u64::try_from(ns.max(0)).unwrap_or(u64::MAX)));
        let pts = match (at, self.last) {
            (Some(at), None) => at,
            (None, None) => Pts::ZERO,
            (None, Some(last)) => last.plus(interval.unwrap_or(DEFAULT_INTERVAL)),
            (Some(at), Some(last)) if at > last => at,
            (Some(at), Some(last)) => {
                let by = last.since(at);
                if by > MAX_STEP_BACK {
                    return Err(WentBack { after: last, by });
                }
                last.plus(NUDGE)
            }
        };
        self.last = Some(pts);
        Ok(pts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: i128 = 1_000_000;

    fn ms(value: u64) -> Pts {
        Pts::from_nanos(value * 1_000_000)
    }

    #[test]
    fn times_are_kept_and_missing_ones_derived() {
        let mut timeline = Timeline::default();
        let interval = Some(Duration::from_millis(20));
        assert_eq!(timeline.stamp(Some(850 * MS), interval), Ok(ms(850)));
        assert_eq!(timeline.stamp(None, interval), Ok(ms(870)));
        assert_eq!(timeline.stamp(None, None), Ok(ms(910)));
        assert_eq!(timeline.stamp(Some(5000 * MS), None), Ok(ms(5000)));
        assert_eq!(Timeline::default().stamp(None, interval), Ok(Pts::ZERO));
        assert_eq!(Timeline::default().stamp(Some(-3), interval), Ok(Pts::ZERO));
    }

    #[test]
    fn a_doubled_time_keeps_its_picture() {
        let mut timeline = Timeline::default();
        for (running, expected) in [
            (100 * MS, ms(100)),
            (100 * MS, ms(100).plus(NUDGE)),
            (90 * MS, ms(100).plus(NUDGE).plus(NUDGE)),
            (140 * MS, ms(140)),
        ] {
            assert_eq!(timeline.stamp(Some(running), None), Ok(expected));
        }
    }

    #[test]
    fn a_clock_that_jumps_back_is_an_error() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.stamp(Some(5000 * MS), None), Ok(ms(5000)));
        let by = Duration::from_millis(4900);
        assert_eq!(timeline.stamp(Some(100 * MS), None), Err(WentBack { after: ms(5000), by }));
    }

    proptest! {
        #[test]
        fn times_always_rise(steps in prop::collection::vec(prop::option::of(-999i128..2000), 1..60)) {
            let mut timeline = Timeline::default();
            let (mut at, mut last) = (0i128, None);
            for step in steps {
                let running = step.map(|step| { at = (at + step * MS).max(0); at });
                let Ok(pts) = timeline.stamp(running, None) else { break };
                prop_assert!(last.is_none_or(|last| pts > last));
                last = Some(pts);
            }
        }
    }
}
