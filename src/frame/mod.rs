//! What a picture is: planes in memory, rectangles on them, and the type that says whether they
//! have been veiled.
//!
//! Belongs here: memory, geometry, and the few pixel operations that need `OpenCV`. Does not
//! belong: who is in the picture, who may be seen, where it came from.
//!
//! A [`Frame`] carries its state as a value: `Frame<Raw>` is what a camera saw. Only
//! `veil::redact` can build the value that makes a frame a redacted one, and only raw frames hand
//! out their pixels for writing.

mod geometry;
pub mod pixels;
mod shrink;
mod slot;
pub mod tags;

pub use geometry::{FrameSize, Letterbox, Point, Rect};
pub use slot::{I420View, I420ViewMut, PlaneLayout, Slot, SlotBytes, SlotPool};

use crate::units::Pts;

/// A picture as the camera saw it: everyone may be in it.
#[derive(Clone, Copy, Debug)]
pub struct Raw;

/// One picture of a recording: pixels in a ring slot, its place and time, and its state.
#[derive(Debug)]
pub struct Frame<S> {
    slot: Slot,
    /// Counts the pictures of one camera from 0, without gaps.
    seq: u64,
    pts: Pts,
    state: S,
}

impl Frame<Raw> {
    /// Wraps a filled slot.
    #[must_use]
    pub fn new(slot: Slot, seq: u64, pts: Pts) -> Self {
        Self { slot, seq, pts, state: Raw }
    }

    /// The planes, for writing. Only a raw frame can still be changed.
    pub fn planes_mut(&mut self) -> I420ViewMut<'_> {
        self.slot.planes_mut()
    }
}

impl<S> Frame<S> {
    /// The planes, for reading.
    #[must_use]
    pub fn planes(&self) -> I420View<'_> {
        self.slot.planes()
    }

    /// Width and height of the picture, without padding.
    #[must_use]
    pub fn size(&self) -> FrameSize {
        self.slot.layout().size()
    }

    /// Where the planes lie in the slot.
    #[must_use]
    pub fn slot_layout(&self) -> PlaneLayout {
        self.slot.layout()
    }

    /// The number of this picture among those of its camera.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// When it is shown.
    #[must_use]
    pub fn pts(&self) -> Pts {
        self.pts
    }

    /// The state, which the room that built it can read.
    #[must_use]
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The same picture, shown at another time.
    #[must_use]
    pub fn moved_to(self, pts: Pts) -> Self {
        Self { pts, ..self }
    }

    /// The same picture in another state. Whoever can build `T` decides who may call this.
    #[must_use]
    pub fn with_state<T>(self, state: T) -> Frame<T> {
        Frame { slot: self.slot, seq: self.seq, pts: self.pts, state }
    }

    /// Gives up the pixels, for an encoder that takes memory over without copying.
    #[must_use]
    pub fn into_slot(self) -> Slot {
        self.slot
    }
}
