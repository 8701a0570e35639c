//! One drain signal for all threads: asked for once, seen by everyone, never taken back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A cloneable flag that says "finish what you have and stop".
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<AtomicBool>);

impl Shutdown {
    /// A signal that nobody has given yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone to drain.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether draining has been asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Drains on the first SIGINT or SIGTERM and ends the process at once on the second.
    ///
    /// # Errors
    /// The operating system refuses the handlers.
    pub fn on_signals(&self) -> std::io::Result<()> {
        use signal_hook::{consts::TERM_SIGNALS, flag};
        let came: Vec<_> = TERM_SIGNALS.iter().map(|&signal| (signal, Self::new())).collect();
        for (signal, this) in &came {
            // Order matters: the conditional exit must see the flag as the first signal left it.
            flag::register_conditional_shutdown(*signal, 75, Arc::clone(&self.0))?;
            flag::register(*signal, Arc::clone(&self.0))?;
            // Two that come at the same instant run their handlers side by side and neither sees that
            // flag, so each says that it came and then asks for the others.
            flag::register(*signal, Arc::clone(&this.0))?;
            for (_, other) in came.iter().filter(|(other, _)| other != signal) {
                flag::register_conditional_shutdown(*signal, 75, Arc::clone(&other.0))?;
            }
        }
        Ok(())
    }
}
