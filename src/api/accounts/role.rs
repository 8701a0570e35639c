//! What somebody is to the box. Which route is whose stands in the table of routes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What somebody may do with the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Prepares, starts and stops recordings, and looks at those that are for them.
    Coach,
    /// Keeps the pupil list, reminders and notices.
    Admin,
    /// Is recorded: accepts, objects, looks.
    Teacher,
    /// Sees that the box works.
    Operator,
    /// Reads registers and logs.
    PrivacyOfficer,
    /// Commissions coaching: sees how many recordings there are, and nothing else.
    Manager,
    /// Somebody else of the directory, such as a supervisor: looks at what a teacher granted.
    Viewer,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Coach,
        Self::Admin,
        Self::Teacher,
        Self::Operator,
        Self::PrivacyOfficer,
        Self::Manager,
        Self::Viewer,
    ];

    /// The role's name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Coach => "coach",
            Self::Admin => "admin",
            Self::Teacher => "teacher",
            Self::Operator => "operator",
            Self::PrivacyOfficer => "privacy-officer",
            Self::Manager => "manager",
            Self::Viewer => "viewer",
        }
    }

    /// Whether recordings are about, or for, whoever has the role.
    #[must_use]
    pub const fn needs_person(self) -> bool {
        matches!(self, Self::Coach | Self::Teacher | Self::Viewer)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|role| role.word() == word).ok_or_else(|| {
            format!(
                "`{word}` is no role: choose coach, admin, teacher, operator, privacy-officer, \
                 manager or viewer"
            )
        })
    }
}
