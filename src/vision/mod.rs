//! Who is where: faces found in a picture, embeddings compared, faces followed over time.
//!
//! Belongs here: what the models say. Does not belong: who may be shown (`veil`), who is on the
//! list (`people`). Runs on the camera's own thread; no model is shared between threads.

pub mod detect;
mod graph;
pub mod identify;
pub mod infer;
pub mod markers;
pub mod track;

use crate::frame::{Point, Rect};

/// Where a face's five landmarks lie, in frame pixels: right eye, left eye, nose tip, right corner
/// of the mouth, left corner (the person's own right and left), the order of `YuNet`.
pub type Landmarks = [Point; 5];

/// A face that the detector reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Around the face, in frame pixels; may reach beyond the picture's edge.
    pub rect: Rect,
    /// 0 to 1.
    pub score: f32,
    /// The five landmarks.
    pub landmarks: Landmarks,
}
