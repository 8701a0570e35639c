//! The look-ahead: frames wait in memory before they are encoded, so that what is learnt later
//! still reaches them.

use std::{collections::VecDeque, time::Duration};

use crate::{
    frame::{Frame, Raw},
    units::Pts,
};

/// Whether detection was completed for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It was.
    Done,
    /// It was not, and will not be.
    Failed,
    /// It waits for a later one to be looked at.
    Later,
}

/// A frame that waits for its verdict.
#[derive(Debug)]
pub struct Waiting {
    /// The picture.
    pub frame: Frame<Raw>,
    /// Whether detection was completed for it.
    pub look: Look,
}

/// Frames in the order of their times, oldest first. Its memory is the frames' slots; it holds at
/// most as many as it was made for.
#[derive(Debug)]
pub struct Ring {
    frames: VecDeque<Waiting>,
    look_ahead: Duration,
    capacity: usize,
}

impl Ring {
    /// A ring that holds frames back for `look_ahead`, or until `capacity` of them wait.
    #[must_use]
    pub fn new(look_ahead: Duration, capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { frames: VecDeque::with_capacity(capacity + 1), look_ahead, capacity }
    }

    /// Adds the newest frame. Take what is due before adding the next.
    pub fn push(&mut self, frame: Frame<Raw>, look: Look) {
        self.frames.push_back(Waiting { frame, look });
    }

    /// The frames that are to be looked at later, oldest first.
    #[must_use]
    pub fn later(&self) -> Vec<&Frame<Raw>> {
        let later = self.frames.iter().filter(|w| w.look == Look::Later);
        later.map(|w| &w.frame).collect()
    }

    /// Notes what became of the frames that were to be looked at later.
    pub fn settle(&mut self, look: Look) {
        for waiting in self.frames.iter_mut().filter(|w| w.look == Look::Later) {
            waiting.look = look;
        }
    }

    /// Notes that the look at the newest frame was not completed after all.
    pub fn fail_newest(&mut self) {
        if let Some(waiting) = self.frames.back_mut() {
            waiting.look = Look::Failed;
        }
    }

    /// The oldest frame, if it has waited long enough.
    pub fn pop_due(&mut self) -> Option<Waiting> {
        let (oldest, newest) = (self.frames.front()?, self.frames.back()?);
        let waited = newest.frame.pts().since(oldest.frame.pts());
        let due = waited >= self.look_ahead || self.frames.len() >= self.capacity;
        if due { self.frames.pop_front() } else { None }
    }

    /// The oldest frame, whether or not it is due: for the end of a recording.
    pub fn pop(&mut self) -> Option<Waiting> {
        self.frames.pop_front()
    }

    /// Forgets every frame that waits.
    pub fn clear(&mut self) {
        self.frames.clear();
    }

    /// The time of the oldest waiting frame.
    #[must_use]
    pub fn oldest(&self) -> Option<Pts> {
        self.frames.front().map(|w| w.frame.pts())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameSize, SlotPool};

    fn due(ring: &mut Ring) -> Vec<u64> {
        std::iter::from_fn(|| ring.pop_due()).map(|w| w.frame.seq()).collect()
    }

    #[test]
    fn a_frame_waits_for_the_look_ahead_or_for_want_of_room() {
        let pool = SlotPool::new(FrameSize::new(8, 8), 20);
        let mut ring = Ring::new(Duration::from_millis(100), 5);
        let push = |ring: &mut Ring, seq: u64, ms: u64| {
            ring.push(Frame::new(pool.take(), seq, Pts::from_nanos(ms * 1_000_000)), Look::Done);
        };
        push(&mut ring, 0, 0);
        push(&mut ring, 1, 99);
        assert!(due(&mut ring).is_empty());
        push(&mut ring, 2, 100);
        assert_eq!(due(&mut ring), [0]);
        for seq in 3..6 {
            push(&mut ring, seq, 100 + seq);
        }
        assert_eq!(due(&mut ring), [1]);
        assert_eq!(ring.pop().map(|w| w.frame.seq()), Some(2));
    }

    #[test]
    fn a_frame_that_is_to_be_looked_at_later_was_not_looked_at_until_it_is() {
        let pool = SlotPool::new(FrameSize::new(8, 8), 5);
        let mut ring = Ring::new(Duration::from_secs(1), 5);
        for (seq, look) in
            [Look::Done, Look::Later, Look::Failed, Look::Later].into_iter().enumerate()
        {
            ring.push(Frame::new(pool.take(), seq as u64, Pts::ZERO), look);
        }
        let later = |ring: &Ring| ring.later().iter().map(|f| f.seq()).collect::<Vec<_>>();
        assert_eq!(later(&ring), [1, 3]);
        ring.settle(Look::Done);
        assert!(later(&ring).is_empty());
        let looks: Vec<Look> = std::iter::from_fn(|| ring.pop()).map(|w| w.look).collect();
        assert_eq!(looks, [Look::Done, Look::Done, Look::Failed, Look::Done]);
    }
}
