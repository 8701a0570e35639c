//! Who is shown: the policy, the evidence about each track, the ring that lets a late decision
//! reach back, and the veil itself.
//!
//! Belongs here: every rule that leads from "a face was seen here" to "these pixels are veiled".
//! Does not belong: models and tracking (`vision`), lists of people (`people`), the encoder.
//! Runs on the camera's own thread. Everything but [`redact`]'s source of random texture is pure:
//! no clock, no file, no socket.
//!
//! Invariant: without a [`Verdict`] that names the frame and a completed look, the whole picture is
//! veiled.

pub mod badge;
pub mod decide;
pub mod evidence;
pub mod place;
pub mod policy;
pub mod redact;
pub mod ring;
pub mod watch;

use crate::{frame::Rect, units::TrackId};

/// What is to be hidden in one frame, and what was looked at to say so.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The frame this verdict is about; it counts for no other.
    pub seq: u64,
    /// What may be seen.
    pub cover: Cover,
}

/// How much of a picture is veiled.
#[derive(Clone, Debug, PartialEq)]
pub enum Cover {
    /// Everything: no completed look stands behind this frame.
    Whole,
    /// These regions; the rest of the picture is shown.
    Regions(Vec<Hidden>),
    /// Everything but the `shown` regions, and of those nothing that is hidden.
    AllBut {
        /// Regions of cleared faces.
        shown: Vec<Rect>,
        /// Regions that are veiled even inside a shown one.
        hidden: Vec<Hidden>,
    },
}

/// One region to veil.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hidden {
    /// The track that is hidden; its texture stays the same from frame to frame.
    pub track: TrackId,
    /// What is veiled, in frame pixels: already grown to the head or the person.
    pub region: Rect,
}

/// How a veil looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// A soft texture that looks like a blur and holds nothing of what is under it.
    #[default]
    Veil,
    /// One fixed colour.
    Fill,
}
