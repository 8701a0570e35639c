//! The box's own retention: every few minutes, and at its start, what is due is destroyed.
//!
//! Belongs here: when that is done, and whether the clock may be relied on for it. Does not belong:
//! what is due, and how it goes (`vault::retention`).

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{courier::Courier, crew::Ground, settings::retention_policy, time::is_right};
use crate::{
    clock::{Clock as _, SystemClock, boot, running},
    shutdown::Shutdown,
    vault::{
        BoxKey, Memo, VaultError,
        audit::{AuditLog, Witness},
        retention::{Applied, Clock, Policy, RetentionError, apply},
    },
};

/// From one round to the next: a deadline is kept to within this.
pub const EVERY: Duration = Duration::from_secs(300);
/// How often the thread looks whether the program ends.
const LOOK: Duration = Duration::from_millis(100);
/// A clock that goes forward by more than this against the machine's own count of time was set.
/// Daylight saving does not move it, as it counts in UTC.
const STEP: SignedDuration = SignedDuration::from_hours(1);
/// For so long a clock that was set has to be trusted, by the machine's own count, before anything
/// is destroyed by it: a wrong year costs no recording.
const SETTLES: Duration = Duration::from_secs(24 * 3600);

/// After so long without anybody who could say whether the clock is right nobody looks at a recording:
/// by the right time it may be over.
const LOOKS: Duration = Duration::from_secs(24 * 3600);

/// What the clocks of the machine say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// The time of day.
    pub now: Timestamp,
    /// Which run of the machine it is.
    pub boot: String,
    /// Time since that run began; nobody can set it.
    pub running: Duration,
    /// Whether the time of day is known to be right.
    pub trusted: bool,
}

/// Applies the retention policy, round after round.
#[derive(Debug)]
pub struct Retainer {
    policy: Policy,
    seen: Seen,
}

/// What is known of the clock from the rounds before. It outlives the program in the store: a clock
/// that was set is not right because the box was switched off and on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    last: Option<Reading>,
    /// For how long the clock was trusted since it was set; none where it was not set.
    settling: Option<Duration>,
    /// For how long nobody has been able to say whether the clock is right.
    #[serde(default)]
    untrusted: Duration,
}

impl Retainer {
    /// Takes up what the rounds before saw of the clock. Where that cannot be read the clock counts as
    /// just set, so that nothing is destroyed for a day.
    #[must_use]
    pub fn new(policy: Policy, store: &Path) -> Self {
        let seen = Memo::Settling.read::<Seen>(store).map(Option::unwrap_or_default);
        let seen = seen.unwrap_or_else(|error| {
            tracing::error!(%error, "nothing is destroyed for a day, as nobody knows what the clock did");
            Seen { settling: Some(Duration::ZERO), ..Seen::default() }
        });
        Self { policy, seen }
    }

    /// Writes down what was seen of the clock, for the next start of the program.
    fn keep(&self, store: &Path) -> Result<(), VaultError> {
        Memo::Settling.write(store, &self.seen)
    }

    /// One round. What is due by a clock that cannot be relied on is withheld, and not destroyed.
    pub fn round(
        &mut self,
        store: &Path,
        log: &AuditLog,
        key: &BoxKey,
        reading: &Reading,
    ) -> Result<Applied, RetentionError> {
        let now = reading.now;
        let before = self.seen.settling;
        let trusted = self.settle(reading);
        if (before, self.seen.settling) != (None, None) {
            // Before anything is destroyed: what is known of the clock is not to be lost.
            self.keep(store)?;
        }
        let clock = Clock { now, trusted, highest: log.highest() };
        apply(store, log, key, &self.policy, &clock)
    }

    /// Whether nobody is to look at a recording, because for a day nobody could say whether the clock is
    /// right. Time in which the box was off does not count: nobody looked then.
    #[must_use]
    pub fn withholds(&self) -> bool {
        self.seen.untrusted >= LOOKS
    }

    /// Whether anything may be destroyed by this clock.
    fn settle(&mut self, reading: &Reading) -> bool {
        let trusted = reading.trusted;
        let last = self.seen.last.replace(reading.clone());
        // Nobody knows for how long a machine was switched off: nothing of that counts, and no step
        // of the clock can be told from it.
        let same_run = |last: &Reading| last.boot == reading.boot && !last.boot.is_empty();
        if trusted {
            self.seen.untrusted = Duration::ZERO;
        } else if let Some(last) = last.as_ref().filter(|last| same_run(last)) {
            let passed = reading.running.saturating_sub(last.running);
            self.seen.untrusted = self.seen.untrusted.saturating_add(passed);
        }
        if let Some(last) = last.filter(same_run) {
            let passed = reading.running.saturating_sub(last.running);
            let ahead = reading.now.duration_since(last.now)
                - SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
            if ahead > STEP {
                tracing::error!(ahead = %ahead, "the clock was set forward: nothing is destroyed by it for a day");
                self.seen.settling = Some(Duration::ZERO);
            } else if let Some(settling) = &mut self.seen.settling
                && trusted
                && last.trusted
            {
                *settling = settling.saturating_add(passed);
            }
        }
        if self.seen.settling.is_some_and(|settling| settling >= SETTLES) {
            self.seen.settling = None;
        }
        trusted && self.seen.settling.is_none()
    }
}

/// Destroys what is due, now and every few minutes until `ended`.
pub(super) fn keep(
    ground: &Arc<Ground>,
    mut retainer: Retainer,
    ended: &Shutdown,
    tell: impl Fn(Vec<String>),
) {
    let Ground { config, places, key, audit, .. } = &**ground;
    // Until the first round it is as it was.
    ground.clock_withholds.store(retainer.withholds(), Ordering::SeqCst);
    let mut due = Duration::ZERO;
    let mut courier = courier(ground).unwrap_or_else(|error| {
        tell(vec![format!("no checkpoint goes to the witness: {error}")]);
        None
    });
    while !ended.is_requested() {
        if let Some(error) = courier.as_mut().and_then(|courier| courier.look(running())) {
            tracing::error!(error, "no checkpoint goes to the witness");
            tell(vec![format!("no checkpoint goes to the witness: {error}")]);
        }
        if running() < due {
            std::thread::sleep(LOOK);
            continue;
        }
        due = running() + EVERY;
        let config = config.now();
        match retention_policy(&config, None) {
            Ok(policy) => retainer.policy = policy,
            // The one before stays.
            Err(error) => tracing::error!(%error, "the retention that is set makes no sense"),
        }
        // Where the log cannot be read nobody said anything.
        let entries = audit.known().unwrap_or_default();
        let now = SystemClock.now();
        let is_behind = audit.highest().is_some_and(|highest| now < highest);
        let trusted = is_right(&config, &entries) && !is_behind;
        let reading = Reading { now, boot: boot(), running: running(), trusted };
        match retainer.round(&places.store, audit, key, &reading) {
            Ok(applied) => {
                let lines = retained(&applied);
                if !lines.is_empty() {
                    tell(lines);
                }
            }
            Err(error) => {
                tracing::error!(%error, "nothing can be destroyed");
                tell(vec![format!("nothing can be destroyed: {error}")]);
            }
        }
        let withholds = retainer.withholds();
        if ground.clock_withholds.swap(withholds, Ordering::SeqCst) != withholds {
            tell(vec![if withholds {
                "nobody has been able to say for a day whether the clock is right: nobody looks"
                    .into()
            } else {
                "the clock is known to be right again".to_owned()
            }]);
        }
        if let Err(error) = retainer.keep(&places.store) {
            tracing::error!(%error, "what the clock did could not be written down");
        }
    }
}

/// Who takes checkpoints to the configured witness.
fn courier(ground: &Arc<Ground>) -> std::io::Result<Option<Courier>> {
    let Some(folder) = ground.config.now().store.witness.clone() else { return Ok(None) };
    let (ground, mut witness) = (Arc::clone(ground), Witness::new(folder));
    let round = move || {
        let result = witness.round(&ground.audit, SystemClock.now());
        result.err().map(|error| error.to_string())
    };
    Courier::start(round).map(Some)
}

/// What is worth saying of a round.
fn retained(applied: &Applied) -> Vec<String> {
    let gone = [
        (&applied.destroyed, "its time was over: destroyed"),
        (&applied.finished, "its destruction is finished"),
        (&applied.returned, "it had been destroyed and was there again: destroyed"),
    ];
    let gone =
        gone.iter().flat_map(|(ids, what)| ids.iter().map(move |id| format!("{id}: {what}")));
    let grants =
        applied.ended.iter().map(|(id, person)| format!("{id}: the grant of {person} ended"));
    let failed = applied.failed.iter().map(|(id, error)| {
        tracing::error!(recording = %id, %error, "cannot be destroyed");
        format!("{id}: cannot be destroyed: {error}")
    });
    gone.chain(grants).chain(failed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn retainer() -> Retainer {
        let day = |n: u64| Some(Duration::from_secs(n * 24 * HOUR));
        Retainer::new(Policy::new(day(30), day(7)).unwrap(), Path::new("/nonexistent"))
    }

    fn reading(running: u64, ahead: i64, trusted: bool) -> Reading {
        let now = 1_780_000_000 + i64::try_from(running).unwrap() + ahead;
        Reading {
            now: Timestamp::from_second(now).unwrap(),
            boot: "a".to_owned(),
            running: Duration::from_secs(running),
            trusted,
        }
    }

    #[test]
    fn a_clock_that_was_set_forward_destroys_nothing_for_a_day_of_trusted_time() {
        let mut retainer = retainer();
        assert!(retainer.settle(&reading(0, 0, true)));
        // Corrections of a network clock are small.
        assert!(retainer.settle(&reading(300, 1800, true)));
        let year = 365 * 24 * 3600;
        assert!(!retainer.settle(&reading(600, year, true)));
        // Time in which it is not trusted does not count.
        assert!(!retainer.settle(&reading(600 + 20 * HOUR, year, true)));
        assert!(!retainer.settle(&reading(600 + 40 * HOUR, year, false)));
        assert!(!retainer.settle(&reading(600 + 41 * HOUR, year, true)));
        assert!(!retainer.settle(&reading(600 + 44 * HOUR, year, true)));
        assert!(retainer.settle(&reading(600 + 45 * HOUR, year, true)));
        // Set again, it begins again.
        assert!(!retainer.settle(&reading(600 + 46 * HOUR, 2 * year, true)));
    }

    #[test]
    fn switching_off_neither_counts_nor_ends_the_day() {
        let mut retainer = retainer();
        let year = 365 * 24 * 3600;
        assert!(retainer.settle(&reading(0, 0, true)));
        assert!(!retainer.settle(&reading(300, year, true)));
        assert!(!retainer.settle(&reading(300 + 20 * HOUR, year, true)));
        let again =
            |running, ahead| Reading { boot: "b".to_owned(), ..reading(running, ahead, true) };
        // Hours later by the time of day, and the machine has just begun to run.
        assert!(!retainer.settle(&again(10, year + 90_000)));
        assert!(!retainer.settle(&again(10 + 3 * HOUR, year + 90_000)));
        assert!(retainer.settle(&again(10 + 4 * HOUR, year + 90_000)));
        // A machine that was off for a month is no clock that was set.
        let month = 30 * 24 * 3600;
        let third = Reading { boot: "c".to_owned(), ..reading(10, 2 * year + month, true) };
        assert!(retainer.settle(&third));
    }

    #[test]
    fn after_a_day_without_a_trusted_clock_nobody_looks() {
        let mut retainer = retainer();
        let _ = retainer.settle(&reading(0, 0, true));
        let _ = retainer.settle(&reading(300, 0, false));
        assert!(!retainer.withholds());
        let _ = retainer.settle(&reading(23 * HOUR, 0, false));
        assert!(!retainer.withholds());
        // Switched off and on: what was counted stays, and the time between is not counted.
        let again = |running, trusted| Reading {
            boot: "b".to_owned(),
            ..reading(running, 3 * 24 * 3600, trusted)
        };
        let _ = retainer.settle(&again(10, false));
        assert!(!retainer.withholds());
        let _ = retainer.settle(&again(10 + HOUR, false));
        assert!(retainer.withholds());
        let _ = retainer.settle(&again(20 + HOUR, true));
        assert!(!retainer.withholds());
    }

    #[test]
    fn a_clock_that_goes_back_is_no_step_forward() {
        let mut retainer = retainer();
        assert!(retainer.settle(&reading(0, 0, true)));
        // The plan itself does not rely on a clock before the latest time in the log.
        assert!(retainer.settle(&reading(300, -7200, true)));
        assert!(!retainer.settle(&reading(600, 0, true)), "back again is forward");
        assert!(!retainer.settle(&reading(900, 0, false)));
    }
}
