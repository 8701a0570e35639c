//! What the service manager is told: that the box is ready, that its loop goes round, that it ends.
//!
//! Belongs here: systemd's notification socket (`NOTIFY_SOCKET`, `WATCHDOG_USEC`). Does not belong:
//! what happens when nobody hears from the loop any more; the unit says that.
//!
//! Started by hand there is no such socket, and nothing is told.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Tells the service manager.
#[derive(Debug)]
pub(super) struct Notifier {
    /// From one sign of life to the next: a third of what the manager waits. None where it waits for
    /// none.
    every: Option<Duration>,
    last: Option<Instant>,
    told: &'static str,
}

impl Notifier {
    /// Reads from the environment how long the manager waits for a sign of life.
    pub(super) fn new() -> Self {
        let every = sd_notify::watchdog_enabled().map(|longest| longest / 3);
        Self { every, last: None, told: "" }
    }

    /// The box answers, and may be started.
    pub(super) fn ready(&mut self, state: &'static str) {
        self.told = state;
        tell(&[NotifyState::Ready, NotifyState::Status(state)]);
    }

    /// The loop has gone round once more; `state` is what the recording does.
    pub(super) fn alive(&mut self, state: &'static str) {
        if state != self.told {
            self.told = state;
            tell(&[NotifyState::Status(state)]);
        }
        let Some(every) = self.every else { return };
        if self.last.is_none_or(|last| last.elapsed() >= every) {
            self.last = Some(Instant::now());
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// The box ends; what it records is sealed first.
    pub(super) fn stopping() {
        tell(&[NotifyState::Stopping]);
    }
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        // It will think that the box hangs, and start it again.
        tracing::error!(%error, "the service manager cannot be told how the box is");
    }
}
