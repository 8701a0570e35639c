//! The last stretch of a recording is to be dropped: the wish, on its way from whoever has it to the
//! camera's chain, and the answer on its way back.
//!
//! Belongs here: the way, and what becomes of a wish for which the recording is over. Does not
//! belong: what is discarded (`chain`), who may wish it (`service`).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::recorder::{Around, note_fault};
use crate::{
    units::{CameraId, Pts, RecordingId},
    vault::{
        Gap, SegmentSender, VaultError,
        audit::{AuditError, Event},
    },
};

/// What came of a wish: the gap that there is now, or why what was to go may still be there.
pub(super) type Dropped = Result<Gap, String>;

/// A wish that was not taken yet.
#[derive(Debug)]
pub(super) struct Wish {
    length: Duration,
    asked: Instant,
    answers: Vec<Sender<Dropped>>,
}

impl Wish {
    /// How far back from now it reaches: it counts from the moment in which it was uttered.
    pub(super) fn reach(&self) -> Duration {
        self.length.saturating_add(self.asked.elapsed())
    }

    pub(super) fn answer(self, dropped: &Dropped) {
        for answer in self.answers {
            // Whoever asked may be gone.
            let _ = answer.send(dropped.clone());
        }
    }
}

#[derive(Debug, Default)]
struct State {
    wish: Option<Wish>,
    over: bool,
}

/// The way for wishes into one recording. Both ends hold one.
#[derive(Clone, Debug, Default)]
pub(super) struct Drops(Arc<Mutex<State>>);

impl Drops {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wishes that the last `length` be dropped; never waits. None where the recording is over, and
    /// no answer where it ends without having come to it.
    pub(super) fn ask(&self, length: Duration) -> Option<Receiver<Dropped>> {
        let mut state = self.lock();
        if state.over {
            return None;
        }
        // Capacity 1: one answer, so that nobody waits to give it.
        let (answer, answered) = bounded(1);
        let mut wish = Wish { length, asked: Instant::now(), answers: vec![answer] };
        if let Some(before) = state.wish.take() {
            // One that reaches as far as both.
            wish.length = wish.length.max(before.reach());
            wish.answers.extend(before.answers);
        }
        state.wish = Some(wish);
        Some(answered)
    }

    /// What is wished, for whoever carries it out.
    pub(super) fn take(&self) -> Option<Wish> {
        self.lock().wish.take()
    }

    /// The same for the last time: nothing can be wished any more.
    pub(super) fn close(&self) -> Option<Wish> {
        let mut state = self.lock();
        state.over = true;
        state.wish.take()
    }
}

/// Removes what the writer has of `camera` after `from`, with a line in the log before. Where the
/// line cannot be written it goes all the same.
pub(super) fn discard_written(
    around: &Around<'_>,
    (recording, camera): (RecordingId, &CameraId),
    sender: &SegmentSender,
    (from, to): (Pts, Pts),
) -> (Result<Gap, VaultError>, Result<(), AuditError>) {
    let line = Event::Dropped { recording, camera: camera.clone(), from_ns: from, to_ns: to };
    let logged = around.audit.append(around.clock.now(), &line).map(drop);
    let dropped = sender.discard(camera, from, to);
    match &dropped {
        Ok(gap) => tracing::warn!(%camera, from = %gap.from_ns, to = %gap.to_ns,
            removed = gap.removed.len(), "the last stretch was dropped"),
        Err(error) => {
            tracing::error!(%camera, %error, "the last stretch may not be gone");
            note_fault(around, recording, "what was to be dropped may still be there");
        }
    }
    (dropped, logged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_reaches_as_far_as_all_that_were_uttered() {
        let drops = Drops::default();
        assert!(drops.take().is_none());
        let first = drops.ask(Duration::from_secs(60)).unwrap();
        let second = drops.ask(Duration::from_secs(10)).unwrap();
        let wish = drops.take().unwrap();
        assert!(wish.reach() >= Duration::from_secs(60));
        wish.answer(&Err("a test".to_owned()));
        for answered in [first, second] {
            assert_eq!(answered.recv(), Ok(Err("a test".to_owned())));
        }
        // Too late: nobody is told that something is gone which may not be.
        let late = drops.ask(Duration::from_secs(1)).unwrap();
        drop(drops.close());
        assert!(late.recv().is_err());
        assert!(drops.ask(Duration::from_secs(1)).is_none());
    }
}
