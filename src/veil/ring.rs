//! The look-ahead: frames wait in memory before they are encoded, so that what is learnt later
//! still reaches them.

use std::{collections::VecDeque, time::Duration};

use crate::{
    frame::{Frame, Raw},
    units::Pts,
};

/// A frame that waits for its verdict.
#[derive(Debug)]
pub struct Waiting {
    /// The picture.
    pub frame: Frame<Raw>,
    /// Whether detection was completed for it.
    pub looked: bool,
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
    pub fn push(&mut self, frame: Frame<Raw>, looked: bool) {
        self.frames.push_back(Waiting { frame, looked });
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
            ring.push(Frame::new(pool.take(), seq, Pts::from_nanos(ms * 1_000_000)), true);
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
}
