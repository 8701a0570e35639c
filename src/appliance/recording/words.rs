//! What a recording can be, what can happen to it, and what is to be done about that.

use std::time::Duration;

use super::super::{codes::Code, lesson::Lesson};

/// Time since the program began, by a clock that is never set.
pub type At = Duration;

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A lesson that is prepared is forgotten after this.
    pub lapse: Duration,
    /// A start from afar waits this long for the button; none where it needs no button.
    pub confirm: Option<Duration>,
    /// From the start to the first picture.
    pub arming: Duration,
    /// The longest recording.
    pub longest: Duration,
    /// How long before its end a warning comes.
    pub warning: Duration,
    /// From the stop to the seal; whoever takes longer is given up.
    pub stopping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lapse: Duration::from_secs(2 * 3600),
            confirm: Some(Duration::from_secs(60)),
            arming: Duration::from_secs(60),
            longest: Duration::from_secs(45 * 60),
            warning: Duration::from_secs(2 * 60),
            stopping: Duration::from_secs(60),
        }
    }
}

/// Where somebody asks for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Somebody at the box.
    Button,
    /// Somebody who may be anywhere.
    Afar,
}

/// Why a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody stopped it.
    Asked,
    /// Somebody stopped it because nobody may see what it has.
    Objection,
    /// It is as long as one may be.
    Longest,
    /// The program ends.
    Shutdown,
    /// A reason not to record came up.
    Fault(Code),
}

/// Where arming is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Waits for the button. No picture is taken.
    Confirming,
    /// Looks for reasons not to record. No picture is taken.
    Checking {
        /// Which check counts; an answer to an earlier one is ignored.
        check: u64,
    },
    /// Waits until the indicator is proven on. No picture is taken.
    Lighting,
    /// Opens the cameras: pictures are taken, and none is kept before all run.
    Opening,
}

/// What every state does to pictures stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is to be recorded. No picture is taken.
    Idle,
    /// A lesson may be started. No picture is taken.
    Prepared {
        /// What is prepared.
        lesson: Lesson,
        /// When it is forgotten.
        lapses: At,
    },
    /// It was started. Pictures are taken in the last step only.
    Arming {
        /// What is to be recorded.
        lesson: Lesson,
        /// When the lesson is forgotten if nothing comes of this.
        lapses: At,
        /// How far it is.
        step: Step,
        /// When it is given up.
        gives_up: At,
    },
    /// Pictures are taken, veiled and kept.
    Recording {
        /// What is recorded.
        lesson: Lesson,
        /// Since when.
        began: At,
        /// Whether the warning was given.
        warned: bool,
    },
    /// Cameras are closed; what waits in memory is veiled, written and sealed.
    Stopping {
        /// Why.
        why: Why,
        /// Whether nobody may have it until somebody decides.
        withhold: bool,
        /// Whether pictures were kept by all cameras.
        recorded: bool,
        /// When whoever is at it is given up.
        gives_up: At,
    },
    /// The last recording is whole. No picture is taken.
    Sealed,
    /// The last recording is sealed with what it has; something went wrong. No picture is taken.
    SealedWithFault {
        /// What.
        fault: Code,
    },
}

impl State {
    /// What is prepared, about to be recorded, or recorded.
    #[must_use]
    pub const fn lesson(&self) -> Option<&Lesson> {
        match self {
            Self::Prepared { lesson, .. }
            | Self::Arming { lesson, .. }
            | Self::Recording { lesson, .. } => Some(lesson),
            _ => None,
        }
    }

    /// The state's name.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Prepared { .. } => "prepared",
            Self::Arming { .. } => "arming",
            Self::Recording { .. } => "recording",
            Self::Stopping { .. } => "stopping",
            Self::Sealed => "sealed",
            Self::SealedWithFault { .. } => "sealed-with-fault",
        }
    }

    /// Whether cameras may be open.
    #[must_use]
    pub const fn takes_pictures(&self) -> bool {
        matches!(
            self,
            Self::Arming { step: Step::Opening, .. }
                | Self::Recording { .. }
                | Self::Stopping { .. }
        )
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody says what is to be recorded.
    Prepare(Lesson),
    /// What is prepared is not to be recorded.
    Withdraw,
    /// It is to begin.
    Start(By),
    /// A check is done: these reasons stand.
    Checked {
        /// Which check.
        check: u64,
        /// The reasons.
        reasons: Vec<Code>,
    },
    /// A reason came up that is watched all the time.
    Stands(Code),
    /// It is gone.
    Settled(Code),
    /// The indicator is proven on.
    Lit,
    /// All cameras run, and the recording's folder is there.
    Opened,
    /// It is to end.
    Stop,
    /// It is to end, and nobody may have it until somebody decides.
    Object,
    /// The program starts, and a recording had been cut off when it ended last.
    CutOff,
    /// The lesson whose recording was cut off is to go on, if it begins within this time.
    GoOn(Lesson, Duration),
    /// What was recorded last is to be dropped.
    Drop {
        /// How much.
        length: Duration,
        /// Whether the recording ends with it.
        stop: bool,
    },
    /// No camera is open any more, and what there is, is sealed.
    Ended {
        /// Whether anything was begun.
        begun: bool,
        /// What went wrong.
        fault: Option<Code>,
    },
    /// The program ends.
    Shutdown,
    /// Time passed.
    Tick,
}

/// What the indicator is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Light {
    /// No picture is taken.
    Dark,
    /// A recording is about to begin.
    Blinking,
    /// Pictures are taken. Answered by [`Event::Lit`], or by the reason why it is not.
    On,
}

/// What is to be done. In the order given, and what cannot be done is answered with
/// [`Event::Stands`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Show this.
    Light(Light),
    /// Look for reasons not to record this lesson; answered by [`Event::Checked`].
    Check {
        /// Which check.
        check: u64,
        /// The lesson.
        lesson: Lesson,
    },
    /// Open the cameras and record; answered by [`Event::Opened`] or [`Event::Ended`].
    Open(Lesson),
    /// Close the cameras and seal; answered by [`Event::Ended`].
    Close,
    /// Drop what was recorded last. Where that fails, [`Event::Object`] follows.
    Drop(Duration),
    /// Keep what there is of the lesson from everybody until somebody decides: at once, and again when
    /// it is sealed, in case it could not be done before.
    Withhold,
    /// Say that the recording ends soon.
    Warn,
    /// Say why what was asked for is not done.
    Refuse(Vec<Code>),
    /// Sealing does not end: the program has to, so that no camera stays open. What is on disk is
    /// sealed at the next start.
    GiveUp,
}
