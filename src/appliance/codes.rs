//! The reasons not to record, each with its code, whose business it is, and how often the indicator
//! blinks for it. Belongs here: words. Does not belong: finding out which of them stand (`preflight`).

use serde::{Deserialize, Serialize};

/// Who can settle a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// Whoever runs the box.
    Operator,
    /// Whoever keeps the school's list.
    Admin,
    /// The coach.
    Coach,
    /// The teacher.
    Teacher,
    /// The privacy officer.
    PrivacyOfficer,
}

impl Who {
    /// The role's name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Coach => "coach",
            Self::Teacher => "teacher",
            Self::PrivacyOfficer => "privacy officer",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = ($word:literal, $who:ident, $blinks:literal),)+) => {
        /// A reason not to record, or why a recording ended.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "kebab-case")]
        pub enum Code {
            $($(#[$doc])* $name,)+
        }

        impl Code {
            /// All of them, in the order in which they are told.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// Who can settle it.
            #[must_use]
            pub const fn who(self) -> Who {
                match self { $(Self::$name => Who::$who,)+ }
            }

            /// How often the indicator blinks for it after a refused press.
            #[must_use]
            pub const fn blinks(self) -> u8 {
                match self { $(Self::$name => $blinks,)+ }
            }
        }
    };
}

// 1: nothing to do; 2: paper; 3: the pupil list; 4: a camera; 5: the box itself; 6: busy.
codes! {
    /// Nothing is prepared.
    NotPrepared = ("not-prepared", Coach, 1),
    /// There is nothing to stop.
    NothingToStop = ("nothing-to-stop", Coach, 1),
    /// The button was not pressed in time.
    NotConfirmed = ("not-confirmed", Coach, 1),
    /// A recording is being made.
    Busy = ("busy", Coach, 6),
    /// The program ends.
    ProgramEnds = ("program-ends", Operator, 6),

    /// No teacher is named.
    TeacherMissing = ("teacher-missing", Coach, 2),
    /// There is no learning question.
    QuestionMissing = ("question-missing", Teacher, 2),
    /// The lesson is for something else than the box may be used for.
    PurposeRefused = ("purpose-refused", Coach, 2),
    /// The lesson is planned longer than a recording may be.
    PlannedTooLong = ("planned-too-long", Coach, 2),
    /// Nobody could open the recording.
    RecipientsMissing = ("recipients-missing", Operator, 2),
    /// The school's interest was not weighed, or has to be again.
    AssessmentMissing = ("assessment-missing", PrivacyOfficer, 2),
    /// Parents were not told lately.
    ReminderOld = ("reminder-old", Admin, 2),
    /// The notices say something else than the box does.
    NoticesStale = ("notices-stale", Admin, 2),
    /// The teacher has not accepted.
    AcceptanceMissing = ("acceptance-missing", Teacher, 2),
    /// A register was altered.
    RegistersDamaged = ("registers-damaged", PrivacyOfficer, 2),

    /// No list is loaded.
    ListMissing = ("list-missing", Admin, 3),
    /// The list cannot be used.
    ListUnusable = ("list-unusable", Admin, 3),
    /// The list was loaded too long ago.
    ListStale = ("list-stale", Admin, 3),
    /// A refusing pupil cannot be told apart.
    ListWeak = ("list-weak", Admin, 3),
    /// Photos may not be compared.
    DpiaMissing = ("dpia-missing", PrivacyOfficer, 3),

    /// No camera is configured.
    CameraMissing = ("camera-missing", Operator, 4),
    /// A camera does not answer.
    CameraUnreachable = ("camera-unreachable", Operator, 4),

    /// No indicator is configured.
    IndicatorMissing = ("indicator-missing", Operator, 5),
    /// The indicator does not do what it is told.
    IndicatorDark = ("indicator-dark", Operator, 5),
    /// The button cannot be read.
    ButtonMissing = ("button-missing", Operator, 5),
    /// A model is missing or not the one that was measured.
    ModelDigest = ("model-digest", Operator, 5),
    /// The pictures that wait do not fit into the memory set for them.
    MemorySmall = ("memory-small", Operator, 5),
    /// The disk is too small for the lesson.
    DiskSmall = ("disk-small", Operator, 5),
    /// The store cannot be written.
    DiskUnwritable = ("disk-unwritable", Operator, 5),
    /// The clock may be wrong.
    TimeUntrusted = ("time-untrusted", Operator, 5),
    /// The audit log is missing or damaged.
    LogDamaged = ("log-damaged", PrivacyOfficer, 5),
    /// It took too long to begin.
    ArmingTooLong = ("arming-too-long", Operator, 5),
    /// The program or the machine ended while it was recorded.
    CutOff = ("cut-off", Operator, 5),
    /// The recorder ended by itself.
    Recorder = ("recorder", Operator, 5),
}

impl Code {
    /// What is the matter and what to do, for those that say nothing but that it is the wrong moment. What
    /// preflight finds has a sentence of its own.
    #[must_use]
    pub const fn moment(self) -> Option<&'static str> {
        Some(match self {
            Self::NotPrepared => {
                "nothing is prepared: say first what is to be recorded, by `classveil prepare` or on the pages"
            }
            Self::NothingToStop => {
                "there is nothing to stop: `classveil status` says what the box does"
            }
            Self::NotConfirmed => {
                "nobody pressed the button within a minute: start it again, and press it where the lamp blinks"
            }
            Self::Busy => "the box is at work: `classveil status` says what it does",
            Self::ProgramEnds => "the box is about to end: ask again when it runs",
            Self::CameraUnreachable | Self::ArmingTooLong | Self::Recorder => {
                "it did not come to a recording: `classveil logs` says why"
            }
            _ => return None,
        })
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_what_json_says() {
        for code in Code::ALL {
            assert_eq!(serde_json::json!(code), code.word());
            assert!((1..=6).contains(&code.blinks()), "{code}");
        }
    }
}
