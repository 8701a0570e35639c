//! Values as the file writes them: lengths of time, bit rates and choices, each read from text and
//! printed back the same way.

use std::{fmt, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned, IntoDeserializer, value::StrDeserializer},
};

use super::hints::nearest;
use crate::units::{BadDuration, parse_duration};

/// A length of time, written with its unit: `"14 d"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = BadDuration;

    fn from_str(text: &str) -> Result<Self, BadDuration> {
        parse_duration(text).map(Self)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let (unit, name) =
            [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms")]
                .into_iter()
                .find(|(unit, _)| ms != 0 && ms.is_multiple_of(*unit))
                .unwrap_or((1000, "s"));
        write!(f, "{} {name}", ms / unit)
    }
}

/// A bit rate in bits a second, written with its unit: `"4 Mbit/s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u32);

/// What is wrong with a bit rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a bit rate: write a number and one of bit/s, kbit/s, Mbit/s, as in \
     \"4 Mbit/s\""
)]
pub struct BadRate {
    /// The offending text.
    pub text: String,
}

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let bad = || BadRate { text: text.to_owned() };
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, unit) = trimmed.split_at(split);
        let number: f64 = number.parse().map_err(|_| bad())?;
        let bits = number
            * match unit.trim_start() {
                "bit/s" => 1.0,
                "kbit/s" => 1e3,
                "Mbit/s" => 1e6,
                _ => return Err(bad()),
            };
        if !(0.0..=f64::from(u32::MAX)).contains(&bits) {
            return Err(bad());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the line above holds it inside u32"
        )]
        Ok(Self(bits.round() as u32))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bits if bits != 0 && bits % 1_000_000 == 0 => write!(f, "{} Mbit/s", bits / 1_000_000),
            bits if bits != 0 && bits % 1000 == 0 => write!(f, "{} kbit/s", bits / 1000),
            bits => write!(f, "{bits} bit/s"),
        }
    }
}

/// A number of bytes, written with its unit: `"2 GiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// What is wrong with a number of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a number of bytes: write a whole number and one of MiB, GiB, as in \"2 GiB\""
)]
pub struct BadSize {
    /// The offending text.
    pub text: String,
}

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let bad = || BadSize { text: text.to_owned() };
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, unit) = trimmed.split_at(split);
        let shift = match unit.trim_start() {
            "MiB" => 20,
            "GiB" => 30,
            _ => return Err(bad()),
        };
        let number: u64 = number.parse().map_err(|_| bad())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes != 0 && bytes.is_multiple_of(1 << 30) => {
                write!(f, "{} GiB", bytes >> 30)
            }
            bytes => write!(f, "{} MiB", bytes >> 20),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A bit rate or `"auto"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AutoRate(pub(super) Option<Rate>);

impl FromStr for AutoRate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        if text == "auto" { Ok(Self(None)) } else { text.parse().map(|rate| Self(Some(rate))) }
    }
}

/// Reads a value from a TOML string by its `FromStr`; any other TOML type is an error that says
/// what was expected.
fn from_text<'de, D, T>(from: D, expected: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    struct Text<T>(&'static str, std::marker::PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    from.deserialize_str(Text(expected, std::marker::PhantomData))
}

macro_rules! read_from_text {
    ($($type:ty: $expected:literal;)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from_text(from, $expected)
            }
        }
    )*};
}

read_from_text! {
    Span: "a duration in quotes, such as \"14 d\"";
    Rate: "a bit rate in quotes, such as \"4 Mbit/s\"";
    Size: "a number of bytes in quotes, such as \"2 GiB\"";
    AutoRate: "\"auto\" or a bit rate in quotes, such as \"4 Mbit/s\"";
}

pub(super) fn span<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&Span(*value))
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference to the field"
)]
pub(super) fn auto_rate<S: Serializer>(value: &Option<u32>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(bits) => to.collect_str(&Rate(*bits)),
        None => to.serialize_str("auto"),
    }
}

/// A choice: one of the words that the type `T` is written with, wherever it is declared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<T>(pub(super) T);

impl<T: DeserializeOwned> FromStr for Word<T> {
    type Err = BadWord;

    fn from_str(word: &str) -> Result<Self, BadWord> {
        let from: StrDeserializer<'_, BadWord> = word.into_deserializer();
        T::deserialize(from).map(Self)
    }
}

/// The words that a choice `T` is written with.
#[must_use]
pub fn words<T: DeserializeOwned + fmt::Debug>() -> &'static [&'static str] {
    // No choice is written as nothing.
    match "".parse::<Word<T>>() {
        Err(BadWord::Unknown { words, .. }) => words,
        Err(BadWord::Other(_)) | Ok(_) => &[],
    }
}

/// What is wrong with the word for a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadWord {
    /// It is not among the words.
    Unknown {
        /// The offending word.
        word: String,
        /// What may be written.
        words: &'static [&'static str],
    },
    /// serde says something else.
    Other(String),
}

impl fmt::Display for BadWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, words) = match self {
            Self::Unknown { word, words } => (word, words),
            Self::Other(text) => return f.write_str(text),
        };
        let choices = words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
        write!(f, "`{word}` is not one of {choices}")?;
        match nearest(word, words.iter().copied()) {
            Some(near) => write!(f, "; did you mean `{near}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for BadWord {}

impl de::Error for BadWord {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Other(text.to_string())
    }

    fn unknown_variant(word: &str, words: &'static [&'static str]) -> Self {
        Self::Unknown { word: word.to_owned(), words }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text(from, "a word in quotes")
    }
}

/// What is wrong with a log filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    /// A lone word that is no level.
    #[error("`{word}` is no level: write one of off, error, warn, info, debug, trace{}", .near.map_or(String::new(), |n| format!("; did you mean `{n}`?")))]
    Level {
        /// The word.
        word: String,
        /// The level it looks like.
        near: Option<&'static str>,
    },
    /// `tracing` cannot read it.
    #[error("`{text}` is no filter: write a level such as `warn`, or `warn,classveil=debug`")]
    Syntax {
        /// The text.
        text: String,
    },
}

/// Whether `text` can be a log filter.
///
/// # Errors
/// It cannot be read, or has a lone word that is no level: `tracing` would take that for the name
/// of a module and then log nothing else.
pub fn check_filter(text: &str) -> Result<(), BadFilter> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let lone = text.split(',').map(str::trim).find(|part| {
        part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !LEVELS.contains(&part.to_ascii_lowercase().as_str())
    });
    if let Some(word) = lone {
        return Err(BadFilter::Level { word: word.to_owned(), near: nearest(word, LEVELS) });
    }
    tracing_subscriber::EnvFilter::try_new(text)
        .map(|_| ())
        .map_err(|_| BadFilter::Syntax { text: text.to_owned() })
}

/// What the box relies on to know the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeTrust {
    /// The kernel's own word that its clock is synchronised.
    #[default]
    Kernel,
    /// Nothing: the clock is taken for right.
    System,
}

/// What becomes of the sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AudioMode {
    /// No sound is read or written.
    #[default]
    Off,
    /// The sound is kept; every recording then needs a reason.
    Keep,
}

impl FromStr for AudioMode {
    type Err = BadWord;

    fn from_str(word: &str) -> Result<Self, BadWord> {
        word.parse().map(|Word(mode)| mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_print_as_they_are_written() {
        for text in ["30 d", "36 h", "90 s", "500 ms", "45 min", "0 s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("0.5 s".parse::<Span>().unwrap().to_string(), "500 ms");
    }

    #[test]
    fn rates_need_a_unit() {
        assert_eq!("4 Mbit/s".parse(), Ok(Rate(4_000_000)));
        assert_eq!("0.8Mbit/s".parse(), Ok(Rate(800_000)));
        for bad in ["4", "4 MB/s", "4 mbit/s", "-1 bit/s", "9999 Mbit/s", "", "Mbit/s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
        for text in ["4 Mbit/s", "1500 kbit/s", "1 bit/s"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn sizes_are_whole_and_need_a_unit() {
        assert_eq!("2 GiB".parse(), Ok(Size(2 << 30)));
        assert_eq!("64MiB".parse(), Ok(Size(64 << 20)));
        for bad in ["4", "4 GB", "1.5 GiB", "-1 MiB", "", "MiB", "99999999999999 GiB"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
        for text in ["2 GiB", "1536 MiB", "0 MiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn filters_name_levels() {
        for good in ["warn", "WARN", "info,classveil::capture=debug", "off", "classveil=trace"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for bad in ["inof", "classveil", "warn,", "", "warn,a=b=c", "=", "a=loud"] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_word_names_the_nearest() {
        let said = "of".parse::<Word<AudioMode>>().unwrap_err().to_string();
        assert_eq!(said, "`of` is not one of `off`, `keep`; did you mean `off`?");
        assert_eq!("keep".parse::<Word<AudioMode>>().unwrap().0, AudioMode::Keep);
        assert_eq!(words::<AudioMode>(), ["off", "keep"]);
    }
}
