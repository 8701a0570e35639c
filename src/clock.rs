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
        #[cfg(feature = "test-clock")]
        if let Some(told) = test::told() {
            return told.now;
        }
        Timestamp::now()
    }
}

/// Time since the machine was switched on, sleep included. Nobody can set it.
#[must_use]
pub fn running() -> std::time::Duration {
    #[cfg(feature = "test-clock")]
    if let Some(told) = test::told() {
        return std::time::Duration::from_secs(told.running_s);
    }
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
    #[cfg(feature = "test-clock")]
    if let Some(told) = test::told() {
        return told.boot;
    }
    static OWN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let own = || OWN.get_or_init(|| format!("process-{}", uuid::Uuid::now_v7())).clone();
    let told = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let id = told.trim();
    if id.is_empty() { own() } else { id.to_owned() }
}

/// The clock that a test hands to the program as a whole. No program that is installed has it: it takes a
/// feature that only building the tests turns on.
#[cfg(feature = "test-clock")]
pub mod test {
    use std::{path::PathBuf, sync::OnceLock};

    use jiff::Timestamp;

    /// What the machine's clocks say.
    #[derive(Clone, Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Told {
        /// The time of day.
        pub now: Timestamp,
        /// For how long the machine has run.
        pub running_s: u64,
        /// Which run it is.
        pub boot: String,
        /// Whether the kernel says that the time of day is right.
        pub trusted: bool,
    }

    static FILE: OnceLock<PathBuf> = OnceLock::new();

    /// From now on the time is what `file` says.
    pub fn follow(file: PathBuf) {
        FILE.get_or_init(|| file);
    }

    pub(crate) fn told() -> Option<Told> {
        let file = FILE.get()?;
        let said = std::fs::read(file).expect("the test's clock is there");
        Some(serde_json::from_slice(&said).expect("the test's clock is replaced as a whole"))
    }
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
