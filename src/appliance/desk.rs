//! What a front end beside the socket gets of the running box: a way to ask it, and what it runs on.
//!
//! Belongs here: asking, and saying how the front end itself is. Does not belong: what it speaks, and
//! to whom. It can hold up nothing: what it asks is one of the service's messages, waited for with
//! patience that ends.

use std::{
    fmt,
    path::Path,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use crossbeam_channel::bounded;
use serde_json::Value;

use super::{
    control::{Answer, Call, Caller, Request},
    crew::Ground,
    preflight::Places,
    preview::Previews,
};
use crate::{
    config::Config,
    vault::{BoxKey, audit::AuditLog},
};

/// Takes a request to the service, unless it is over or has no time.
type Tell = dyn Fn(Call) -> bool + Send + Sync;

/// A place at the running box.
#[derive(Clone)]
pub struct Desk {
    tell: Arc<Tell>,
    ground: Arc<Ground>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("store", &self.ground.places.store).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The box ends, or has more to do than it can take.
    Busy,
    /// It was asked, and has not answered yet.
    NotYet,
}

impl Desk {
    pub(super) fn new(
        ground: Arc<Ground>,
        tell: impl Fn(Call) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { tell: Arc::new(tell), ground }
    }

    /// Asks for `by`, and waits `patience` for the answer. Blocks. Whose lesson it is the service finds out
    /// when it does what is asked: before that it may have become another.
    pub fn ask(&self, request: Request, by: Caller, patience: Duration) -> Result<Answer, Silence> {
        // Capacity 1: one answer to one request, so that nobody ever waits to answer.
        let (answer, answered) = bounded(1);
        if !(self.tell)(Call { request, by, answer }) {
            return Err(Silence::Busy);
        }
        answered.recv_timeout(patience).map_err(|_| Silence::NotYet)
    }

    /// The settings in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.ground.config.now()
    }

    /// Where things are.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.ground.places
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Path {
        &self.ground.places.store
    }

    /// The store's log.
    #[must_use]
    pub fn audit(&self) -> &AuditLog {
        &self.ground.audit
    }

    /// The box's signing key.
    #[must_use]
    pub fn key(&self) -> &BoxKey {
        &self.ground.key
    }

    /// Whether nobody is to look at anything, because nobody could say for a day whether the clock is
    /// right, by which it may be over.
    #[must_use]
    pub fn clock_withholds(&self) -> bool {
        self.ground.clock_withholds.load(Ordering::SeqCst)
    }

    /// Veiled pictures of what is recorded.
    #[must_use]
    pub fn previews(&self) -> &Previews {
        &self.ground.previews
    }

    /// Says how the front end is, for `status`.
    pub fn report(&self, how: Value) {
        *self.ground.network.lock().unwrap_or_else(PoisonError::into_inner) = how;
    }
}
