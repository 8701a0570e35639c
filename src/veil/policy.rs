//! Whose faces a school wants veiled, and what of a person is covered.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::vision::identify::{Gallery, Standing};

/// Who is veiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Every face matched to a refusing pupil, and every face not yet told apart from all of them.
    #[default]
    Refused,
    /// Everyone who is not positively cleared.
    UnlessCleared,
    /// All faces, teacher included.
    Everyone,
}

/// What is covered of a hidden person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// The head with hair and ears.
    #[default]
    Head,
    /// The head and the body below it.
    Person,
    /// Everything but the cleared faces.
    Picture,
}

/// A word that names no policy or region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is unknown: use {known}")]
pub struct UnknownWord {
    word: String,
    known: &'static str,
}

macro_rules! words {
    ($type:ty, $known:literal, $($word:literal => $value:expr),+) => {
        impl FromStr for $type {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok($value),)+
                    _ => Err(UnknownWord { word: word.to_owned(), known: $known }),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(if *self == $value {
                    return f.write_str($word);
                })+
                Ok(())
            }
        }
    };
}

words!(Policy, "refused, unless-cleared or everyone",
    "refused" => Self::Refused, "unless-cleared" => Self::UnlessCleared, "everyone" => Self::Everyone);
words!(Region, "head, person or picture",
    "head" => Self::Head, "person" => Self::Person, "picture" => Self::Picture);
words!(super::Style, "veil or fill", "veil" => Self::Veil, "fill" => Self::Fill);

impl Policy {
    /// The policy that can be kept with what is known: a refusing pupil without a usable photo
    /// cannot be found, so `refused` becomes `unless-cleared`.
    #[must_use]
    pub fn kept_with(self, gallery: &Gallery) -> Self {
        let unfindable = |p: &crate::vision::identify::Person| {
            p.standing == Standing::Refused && p.references.is_empty()
        };
        if self == Self::Refused && gallery.people.values().any(unfindable) {
            return Self::UnlessCleared;
        }
        self
    }
}
