//! What each option may be, least and most. The reference prints these, and a test compares.

use std::{fmt, time::Duration};

use super::values::{Rate, Size, Span};

/// The least and the most a value may be, both allowed.
#[derive(Clone, Copy, Debug)]
pub struct Limits<T> {
    /// The least.
    pub min: T,
    /// The most.
    pub max: T,
}

impl<T: PartialOrd> Limits<T> {
    /// Whether `value` may be used.
    pub fn contain(&self, value: &T) -> bool {
        (&self.min..=&self.max).contains(&value)
    }
}

impl<T: fmt::Display> fmt::Display for Limits<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

const fn seconds(min: u64, max: u64) -> Limits<Span> {
    Limits { min: Span(Duration::from_secs(min)), max: Span(Duration::from_secs(max)) }
}

const DAY: u64 = 86_400;

/// How long a recording may be kept. A year outlives every trajectory of lessons and talks; the
/// products compared keep 30 to 90 days.
pub const RETAIN: Limits<Span> = seconds(60, 365 * DAY);

/// Length of a segment. What a power cut costs is at most one; each begins with a key frame, so
/// short ones cost bit rate.
pub const SEGMENT: Limits<Span> = seconds(1, 30);

/// The longest recording. A double lesson at most.
pub const LONGEST: Limits<Span> = seconds(60, 2 * 3600);

/// How long frames wait in memory. The least is where the decision engine's gain levels off; the
/// most holds 930 MB of 1080p at 30 frames a second.
pub const LOOK_AHEAD: Limits<Span> =
    Limits { min: Span(Duration::from_millis(500)), max: Span(Duration::from_secs(10)) };

/// Age from which a reference photo is warned of.
pub const PHOTO_AGE: Limits<Span> = seconds(DAY, 3650 * DAY);

/// Age from which a pupil list is too old to record by.
pub const LIST_AGE: Limits<Span> = seconds(DAY, 400 * DAY);

/// Age from which the last reminder of parents is too old to record by.
pub const REMINDER_AGE: Limits<Span> = seconds(7 * DAY, 400 * DAY);

/// Memory for pictures that wait. The least is a camera of 360p.
pub const MEMORY: Limits<Size> = Limits { min: Size(64 << 20), max: Size(64 << 30) };

/// Room that stays free on the disk. The least is what the end of a recording and the log take.
pub const DISK_RESERVE: Limits<Size> = Limits { min: Size(64 << 20), max: Size(1 << 40) };

/// Threads of one model.
pub const THREADS: Limits<u32> = Limits { min: 1, max: 16 };

/// Threads of the encoder.
pub const ENCODE_THREADS: Limits<u32> = Limits { min: 1, max: crate::encode::MAX_THREADS };

/// Longest side of the picture in which the detector looks for near faces, in pixels.
pub const SIZE: Limits<u32> = Limits { min: 320, max: 1920 };

/// Longest side of the picture that the detector sees now and then, in pixels.
pub const FULL_SIZE: Limits<u32> = Limits { min: 320, max: 3840 };

/// Sides are multiples of this: the detector halves its picture five times.
pub const STRIDE: u32 = 32;

/// Frames from one full-size pass to the next. The most is a second of video: half of the default
/// look-ahead, so a face found by it is veiled from its first frame.
pub const FULL_EVERY: Limits<u32> = Limits { min: 1, max: 30 };

/// Frames from one comparison of a decided face to the next.
pub const IDENTIFY_EVERY: Limits<u32> = Limits { min: 1, max: 30 };

/// Bit rate of the picture.
pub const BITRATE: Limits<Rate> = Limits { min: Rate(250_000), max: Rate(50_000_000) };
