//! The nouns that every room shares: times, names and sizes that cannot be mixed up.
//!
//! Belongs here: plain values with their own validation. Does not belong: anything that knows a
//! frame, a file or a policy.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Presentation time on the recording's own timeline, in nanoseconds since its start.
///
/// For a file the timeline is the file's running time, so a picture that starts 0.85 s after the
/// sound has its first `Pts` at 0.85 s.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Pts(u64);

impl Pts {
    /// The start of the timeline.
    pub const ZERO: Self = Self(0);

    /// The time `ns` nanoseconds after the start.
    #[must_use]
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the start, for display and geometry over time.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "2^53 ns is 104 days; a recording is hours")]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Time from `earlier` to `self`; zero where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time `by` later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The time `by` earlier, not before the start.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Pts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.seconds())
    }
}

/// A followed face within one camera's recording. Numbers are not reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TrackId(pub u32);

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It may say who somebody is, or lead elsewhere as a path.
    #[error("`{0}` is not a pseudonym: use 1 to 32 of a-z, 0-9 and -")]
    NoPseudonym(String),
    /// It is the name of something else.
    #[error(
        "`{0}` is the name of a folder that every recording may have: use another one, as cam1"
    )]
    Taken(String),
}

/// Folders of a recording that are no camera's.
const TAKEN: [&str; 3] = ["grants", "marks", "notes"];

fn check_name(name: &str) -> Result<(), BadName> {
    let ok = (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if ok { Ok(()) } else { Err(BadName::NoPseudonym(name.to_owned())) }
}

/// A camera's folder lies beside those of a recording itself, whose part files are tidied away.
fn check_camera(name: &str) -> Result<(), BadName> {
    check_name(name)?;
    if TAKEN.contains(&name) { Err(BadName::Taken(name.to_owned())) } else { Ok(()) }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(name: &str) -> Result<Self, BadName> {
                $check(name).map(|()| Self(name.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name_type! {
    /// A camera's id, a folder name inside a recording. `cam1` where only one is given.
    CameraId, check_camera
}
name_type! {
    /// A pupil's pseudonym, as the pupil list gives it.
    PupilId, check_name
}
name_type! {
    /// The pseudonym of an adult: teacher or coach.
    PersonId, check_name
}
name_type! {
    /// The name under which somebody logs in: a pseudonym too, as it stands in the log.
    AccountId, check_name
}
name_type! {
    /// The pseudonym of a class.
    ClassId, check_name
}

impl CameraId {
    /// The camera of a box that names none.
    #[must_use]
    pub fn first() -> Self {
        Self("cam1".to_owned())
    }
}

impl PersonId {
    /// Somebody who was there and said so, where nobody knows who it was.
    #[must_use]
    pub fn in_the_room() -> Self {
        Self("in-the-room".to_owned())
    }
}

/// One start-to-stop: a UUID version 7, so folders sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordingId(uuid::Uuid);

impl RecordingId {
    /// A fresh id carrying `now`.
    #[must_use]
    pub fn new(now: jiff::Timestamp) -> Self {
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        let stamp = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos);
        Self(uuid::Uuid::new_v7(stamp))
    }
}

impl RecordingId {
    /// The time that the id carries, to the millisecond.
    #[must_use]
    pub fn made(&self) -> Option<jiff::Timestamp> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        jiff::Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RecordingId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// What is wrong with a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration: write a number and one of ms, s, min, h, d, as in \"14 d\"")]
pub struct BadDuration {
    /// The offending text.
    pub text: String,
}

/// Reads a duration with its unit: `"250 ms"`, `"6 s"`, `"45 min"`, `"2 h"`, `"14 d"`.
/// Decimals are allowed, the space is not required.
///
/// # Errors
/// The text is no finite, non-negative number with a known unit.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration { text: text.to_owned() };
    let text_trimmed = text.trim();
    let split = text_trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
    let (number, unit) = text_trimmed.split_at(split);
    let number: f64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit.trim_start() {
        "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(bad()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("14 d"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        for bad in ["14", "", "d", "-3 s", "1..2 s", "3 weeks", "9e99 s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_camera_is_not_called_like_another_folder_of_a_recording() {
        assert!("cam1".parse::<CameraId>().is_ok() && "marks".parse::<PersonId>().is_ok());
        for taken in TAKEN {
            assert_eq!(taken.parse::<CameraId>(), Err(BadName::Taken(taken.to_owned())));
        }
    }

    #[test]
    fn names_are_pseudonyms() {
        assert!("t-07".parse::<PersonId>().is_ok());
        for bad in ["", "Jan", "a b", "../x", &"a".repeat(33)] {
            assert!(bad.parse::<PersonId>().is_err(), "{bad}");
        }
    }
}
