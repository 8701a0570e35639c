//! Whether a camera's chain still goes round.
//!
//! Belongs here: the sign of life that a chain gives with every picture and every look at its orders,
//! and noticing that none comes. Does not belong: what follows (`service`). A pipeline that neither
//! delivers nor errs is ended by the room that owns it; this is for what hangs inside a call, which
//! no thread can end for another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Longer than a chain takes for anything that ends by itself: closing a pipeline that does not stop
/// takes 5 s, dialling a camera that does not answer as long again.
pub(super) const HANGS: Duration = Duration::from_secs(20);

/// Says that nothing more is to be expected.
const AT_REST: u64 = u64::MAX;

/// A chain's sign of life.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// It goes round.
    pub(super) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// It is watched until what is returned is dropped.
    pub(super) fn until_dropped(&self) -> Beating {
        Beating(self.clone())
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Lets a chain that is over, however it ended, rest.
#[derive(Debug)]
pub(super) struct Beating(Pulse);

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.0.store(AT_REST, Ordering::Relaxed);
    }
}

/// What was felt of one pulse.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Felt {
    count: u64,
    since: Duration,
}

impl Felt {
    /// Whether nothing was felt of `pulse` for too long at `now`, a time that only goes forward.
    pub(super) fn is_gone(&mut self, pulse: &Pulse, now: Duration) -> bool {
        let count = pulse.count();
        if count == AT_REST {
            return false;
        }
        if count != self.count {
            *self = Self { count, since: now };
        }
        // One that did not begin is waited for by whoever opens it.
        count > 0 && now.saturating_sub(self.since) >= HANGS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_began_and_is_not_over_can_hang() {
        let s = Duration::from_secs;
        let (pulse, mut felt) = (Pulse::default(), Felt::default());
        assert!(!felt.is_gone(&pulse, s(500)));
        let beating = pulse.until_dropped();
        pulse.beat();
        assert!(!felt.is_gone(&pulse, s(501)));
        assert!(!felt.is_gone(&pulse, s(520)));
        pulse.beat();
        assert!(!felt.is_gone(&pulse, s(540)));
        assert!(felt.is_gone(&pulse, s(560)));
        drop(beating);
        assert!(!felt.is_gone(&pulse, s(900)));
    }
}
