//! Who is where: faces found in a picture, embeddings compared, faces followed over time.
//!
//! Belongs here: what the models say. Does not belong: who may be shown (`veil`), who is on the
//! list (`people`). Runs on the camera's own thread, but for the recogniser
//! (`beside`); no model is shared between threads.

pub mod beside;
pub mod change;
pub mod detect;
pub mod glance;
mod graph;
pub mod identify;
pub mod infer;
pub mod markers;
pub mod motion;
pub mod pose;
pub mod search;
pub mod track;

use std::collections::BTreeMap;

use crate::frame::{Point, Rect};
use detect::Detector;
use identify::Embedder;
use infer::{Models, Thresholds, VisionError};

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

/// The opened models of one camera, with what is known of them. Once they are open the models'
/// files need not be kept in memory.
#[derive(Debug)]
pub struct Eyes {
    /// Finds faces.
    pub detector: Detector,
    /// Describes them.
    pub embedder: Embedder,
    /// Digests of the models' files, by name, for the recording's manifest.
    pub digests: BTreeMap<String, String>,
    /// The measured thresholds.
    pub thresholds: Thresholds,
}

impl Eyes {
    /// Opens both models on `threads` threads each, the recogniser in eight bits.
    pub fn open(models: &Models, threads: usize) -> Result<Self, VisionError> {
        Self::with(Embedder::rounded, models, threads)
    }

    /// Opens both models for photos: what everybody is compared with is not rounded.
    pub fn for_photos(models: &Models) -> Result<Self, VisionError> {
        Self::with(Embedder::new, models, 1)
    }

    fn with(
        embedder: fn(&Models, usize) -> Result<Embedder, VisionError>,
        models: &Models,
        threads: usize,
    ) -> Result<Self, VisionError> {
        let (embedder, detector) =
            infer::at_once(|| embedder(models, threads), || Detector::new(models, threads))?;
        Ok(Self {
            detector: detector?,
            embedder: embedder?,
            digests: models.digests().clone(),
            thresholds: models.thresholds(),
        })
    }
}
