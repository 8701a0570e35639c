//! Whether the machine's clock can be relied on. Belongs here: asking the system, and what somebody at
//! the box said. Does not belong: what follows from the answer, which is the business of whoever acts
//! on a deadline.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    clock::{Clock as _, SystemClock, boot, running},
    config::{Config, TimeTrust},
    vault::{
        Digest,
        audit::{Entry, Event},
    },
};

/// How long the system may take to say how its clock is. It waits for a bus that may hang.
const PATIENCE: Duration = Duration::from_secs(3);
/// A clock that went by more than this against the machine's own count was set.
pub(super) const JUMP: SignedDuration = SignedDuration::from_secs(10);

/// Whether the kernel reports its clock as synchronised. Where nobody says so in time, it is not.
///
/// Asks `timedatectl`, which reads the kernel's own state whatever program keeps the time, because
/// the system call itself has no safe wrapper.
#[must_use]
pub fn synchronised() -> bool {
    #[cfg(feature = "test-clock")]
    if let Some(told) = crate::clock::test::told() {
        return told.trusted;
    }
    let said = answer(&["timedatectl", "show", "--property=NTPSynchronized", "--value"], PATIENCE);
    said.is_some_and(|said| said.trim_ascii() == b"yes")
}

/// What a program says that ends well within `patience`; `timeout` ends whoever takes longer.
fn answer(program: &[&str], patience: Duration) -> Option<Vec<u8>> {
    let patience = format!("{}s", patience.as_secs_f64());
    let mut command = Command::new("timeout");
    let output = command.args(["--signal=KILL", &patience]).args(program);
    // Its own end is nothing that the service manager has to hear of.
    let output = output.env_remove("NOTIFY_SOCKET");
    let output = output.stdin(Stdio::null()).output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// Whether the clock is right: the kernel says so, or somebody at the box did, or nobody has to.
#[must_use]
pub fn is_right(config: &Config, entries: &[Entry]) -> bool {
    config.clock.danger_trust == TimeTrust::System || is_known(entries)
}

/// Whether the kernel or somebody at the box says that the clock is right.
#[must_use]
pub fn is_known(entries: &[Entry]) -> bool {
    is_confirmed(entries, SystemClock.now(), &boot(), running()) || synchronised()
}

/// The line that somebody who says that the clock is right leaves in the log.
pub(super) fn confirmation(uid: Option<u32>) -> Event {
    let running_ms = u64::try_from(running().as_millis()).unwrap_or(u64::MAX);
    Event::ClockConfirmed { boot: Digest::of(boot().as_bytes()), running_ms, uid }
}

/// Whether somebody said so in this run of the machine, and nobody has set the clock since.
fn is_confirmed(entries: &[Entry], now: Timestamp, boot: &str, running: Duration) -> bool {
    let last = entries.iter().rev().find_map(|entry| match &entry.event {
        Some(Event::ClockConfirmed { boot, running_ms, .. }) => {
            Some((entry.at, *boot, *running_ms))
        }
        _ => None,
    });
    let Some((at, of, running_ms)) = last else { return false };
    if of != Digest::of(boot.as_bytes()) {
        return false;
    }
    let passed = running.checked_sub(Duration::from_millis(running_ms));
    let Some(passed) = passed.and_then(|p| SignedDuration::try_from(p).ok()) else { return false };
    (now.duration_since(at) - passed).abs() <= JUMP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_does_not_answer_in_time_says_nothing() {
        let began = std::time::Instant::now();
        let said = |text: &str| answer(&["sh", "-c", text], Duration::from_millis(500));
        assert_eq!(said("echo yes"), Some(b"yes\n".to_vec()));
        assert_eq!(said("echo yes; exit 1"), None);
        assert_eq!(said("exec sleep 60"), None);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }

    #[test]
    fn what_somebody_said_of_the_clock_ends_with_the_run_and_where_it_is_set() {
        let second = |n: i64| Timestamp::from_second(1_780_000_000 + n).unwrap();
        let s = Duration::from_secs;
        let entry = |at, boot: &str, running_ms| Entry {
            line: 1,
            at,
            text: String::new(),
            event: Some(Event::ClockConfirmed {
                boot: Digest::of(boot.as_bytes()),
                running_ms,
                uid: None,
            }),
        };
        let log = [entry(second(0), "a", 5_000)];
        assert!(!is_confirmed(&[], second(0), "a", s(5)));
        assert!(is_confirmed(&log, second(0), "a", s(5)));
        assert!(is_confirmed(&log, second(86_402), "a", s(86_405)));
        assert!(!is_confirmed(&log, second(10), "b", s(15)), "the machine was started anew");
        assert!(!is_confirmed(&log, second(3600), "a", s(15)), "set forward");
        assert!(!is_confirmed(&log, second(-3600), "a", s(15)), "set back");
        assert!(!is_confirmed(&log, second(0), "a", s(4)), "a count that goes back");
        // Said anew, it counts again.
        let log = [log[0].clone(), entry(second(3600), "a", 15_000)];
        assert!(is_confirmed(&log, second(3610), "a", s(25)));
    }
}
