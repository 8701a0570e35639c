//! What a recording may be for, and on what ground: two closed lists that refuse the rest with the
//! reason.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, Kind};

/// What a recording is for. There is no free text: a recording has one of these purposes or is not
/// made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Video coaching of one teacher.
    Coaching,
    /// A session in which a team of teachers looks at its own lessons.
    TeamSession,
}

/// What no recording may ever be used for; every manifest says so.
pub(super) const NEVER_FOR: [&str; 3] = ["appraisal", "performance-review", "complaints"];

/// The legal ground for recording staff at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegalBasis {
    /// GDPR article 6(1)(f).
    LegitimateInterest,
    /// GDPR article 6(1)(e).
    PublicTask,
}

/// Why a purpose is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPurpose {
    /// Judging people is what recordings are never for.
    #[error(
        "`{word}` is refused as a purpose: recordings are never used for appraisal, performance \
         reviews or complaints; choose coaching or team-session"
    )]
    Judging {
        /// The offending word.
        word: String,
    },
    /// Not on the list.
    #[error(
        "`{word}` is no purpose: a recording is made for coaching or for a team-session and for \
         nothing else, never for appraisal or complaints"
    )]
    Unknown {
        /// The offending word.
        word: String,
    },
}

/// Why a legal basis is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLegalBasis {
    /// Staff cannot freely refuse their employer.
    #[error(
        "`consent` is refused as a legal basis: staff cannot freely refuse their employer; choose \
         legitimate-interest or public-task"
    )]
    Consent,
    /// Not on the list.
    #[error("`{word}` is no legal basis: choose legitimate-interest or public-task")]
    Unknown {
        /// The offending word.
        word: String,
    },
}

impl Kind for BadPurpose {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Usage
    }
}

impl Kind for BadLegalBasis {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Usage
    }
}

impl FromStr for Purpose {
    type Err = BadPurpose;

    fn from_str(word: &str) -> Result<Self, BadPurpose> {
        // Stems, so that `assessment`, `appraisals` and `complaint` get the full reason.
        const JUDGING: [&str; 7] =
            ["apprais", "assess", "complain", "dossier", "evaluat", "performance", "review"];
        let lower = word.to_lowercase();
        match word {
            "coaching" => Ok(Self::Coaching),
            "team-session" => Ok(Self::TeamSession),
            _ if JUDGING.iter().any(|stem| lower.contains(stem)) => {
                Err(BadPurpose::Judging { word: word.to_owned() })
            }
            _ => Err(BadPurpose::Unknown { word: word.to_owned() }),
        }
    }
}

impl FromStr for LegalBasis {
    type Err = BadLegalBasis;

    fn from_str(word: &str) -> Result<Self, BadLegalBasis> {
        match word {
            "legitimate-interest" => Ok(Self::LegitimateInterest),
            "public-task" => Ok(Self::PublicTask),
            _ if word.eq_ignore_ascii_case("consent") => Err(BadLegalBasis::Consent),
            _ => Err(BadLegalBasis::Unknown { word: word.to_owned() }),
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Coaching => "coaching",
            Self::TeamSession => "team-session",
        })
    }
}

impl fmt::Display for LegalBasis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LegitimateInterest => "legitimate-interest",
            Self::PublicTask => "public-task",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_purposes_pass() {
        for purpose in [Purpose::Coaching, Purpose::TeamSession] {
            assert_eq!(purpose.to_string().parse(), Ok(purpose));
        }
        for word in ["appraisal", "Assessment", "complaints", "dossier", "performance review"] {
            let error = word.parse::<Purpose>().unwrap_err();
            assert!(matches!(error, BadPurpose::Judging { .. }), "{word}");
            assert!(error.to_string().contains("never used for appraisal"), "{error}");
        }
        for word in ["", "marketing", "Coaching", "coaching "] {
            assert!(matches!(word.parse::<Purpose>(), Err(BadPurpose::Unknown { .. })), "{word}");
        }
    }

    #[test]
    fn consent_of_staff_is_no_basis() {
        for basis in [LegalBasis::LegitimateInterest, LegalBasis::PublicTask] {
            assert_eq!(basis.to_string().parse(), Ok(basis));
        }
        assert_eq!("Consent".parse::<LegalBasis>(), Err(BadLegalBasis::Consent));
        assert!("contract".parse::<LegalBasis>().is_err());
    }
}
