//! What the box looks at by itself, at its start and while it records nothing.
//!
//! Belongs here: when, and what is said of it. Does not belong: looking (`facts`), judging (`preflight`).

use std::time::Duration;

use super::{lesson::Lesson, preflight::Reason, recording::State, service::Job, steward::Service};

/// How long the first look waits for what lamp and button say of themselves.
const FIRST: Duration = Duration::from_secs(1);
/// How long the box is not ready because the first look takes long.
const FIRST_LOOK: Duration = Duration::from_secs(20);
/// From one look at everything to the next, while nothing is recorded. It reads the whole log.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// From one question whether the cameras are there to the next, while nothing is recorded.
const PROBE_AGAIN: Duration = Duration::from_secs(30);

/// When what is looked at again and again is due.
#[derive(Debug, Default)]
pub(super) struct Looks {
    pub(super) all: Duration,
    pub(super) cameras: Duration,
    /// An answer is to come.
    pub(super) open: bool,
    /// Everything was looked at once.
    pub(super) ready: bool,
    /// The button's thread has said how it is.
    pub(super) button_told: bool,
}

impl Service {
    /// Looks at everything when that is due, and asks the cameras whether they are there. Not while
    /// pictures are taken or about to be.
    pub(super) fn look_again(&mut self) {
        let now = self.began.elapsed();
        if !self.looks.ready && now >= FIRST_LOOK {
            self.say("it takes long to look at everything");
            self.looks.ready = true;
        }
        let is_at_rest = matches!(
            self.machine.state(),
            State::Idle | State::Prepared { .. } | State::Sealed | State::SealedWithFault { .. }
        );
        if self.looks.open || !is_at_rest || !(self.hardware_told() || now >= FIRST) {
            return;
        }
        if now >= self.looks.all {
            (self.looks.all, self.looks.cameras) = (now + LOOK_AGAIN, now + PROBE_AGAIN);
            self.looks.open = true;
            let lesson = self.prepared().cloned();
            self.job(Job::Look { lesson, hardware: self.hardware(), answer: None });
        } else if now >= self.looks.cameras {
            self.looks.cameras = now + PROBE_AGAIN;
            self.looks.open = true;
            self.job(Job::Probe);
        }
    }

    /// Whether the button has said how it is. The lamp says so where it does not work.
    fn hardware_told(&self) -> bool {
        self.ground.config.now().button.device.is_none() || self.looks.button_told
    }

    pub(super) fn prepared(&self) -> Option<&Lesson> {
        match self.machine.state() {
            State::Prepared { lesson, .. } => Some(lesson),
            _ => None,
        }
    }

    /// What was seen: says what changed, and what the cameras are.
    pub(super) fn saw(&mut self, reasons: Vec<Reason>) {
        let codes = |all: &[Reason]| all.iter().map(|one| one.code.word()).collect::<Vec<_>>();
        let (before, now) = (codes(&self.reasons), codes(&reasons));
        if before != now || !self.looks.ready {
            let stands = if now.is_empty() { "nothing".to_owned() } else { now.join(", ") };
            self.say(format!("looked: {stands} stands against a recording"));
        }
        self.reasons = reasons;
    }
}
