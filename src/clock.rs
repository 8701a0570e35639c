//! Wall-clock time as a value that is handed in. Only this module asks the operating system.

use std::sync::Mutex;

use jiff::Timestamp;

/// Where the present comes from.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Time since the machine was switched on, sleep included. Nobody can set it.
#[must_use]
pub fn running() -> std::time::Duration {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Since the start, so that neither part is below zero.
    std::time::Duration::new(
        since.tv_sec.try_into().unwrap_or_default(),
        since.tv_nsec.try_into().unwrap_or_default(),
    )
}

/// Which run of the machine it is. Where the kernel does not say, a word of this process's own: within it
/// times can be compared, with no other.
#[must_use]
pub fn boot() -> String {
    static OWN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let own = || OWN.get_or_init(|| format!("process-{}", uuid::Uuid::now_v7())).clone();
    let told = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let id = told.trim();
    if id.is_empty() { own() } else { id.to_owned() }
}

/// A clock that stands still until it is set.
#[derive(Debug)]
pub struct FixedClock(Mutex<Timestamp>);

impl FixedClock {
    /// A clock standing at `now`.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves the clock to `now`.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
