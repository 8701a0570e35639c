//! Face comparison with `SFace`: embeddings, and the gallery they are compared against.

use std::collections::BTreeMap;

use super::{
    Landmarks,
    beside::{Begun, Beside},
    infer::{Models, Network, VisionError},
};
use crate::{
    frame::{
        I420View, Point,
        pixels::{Affine, BgrImage, Scaler},
    },
    units::PupilId,
};

/// Side of `SFace`'s input in pixels.
pub(super) const CROP: u32 = 112;
/// Where the five landmarks lie in `SFace`'s input (`ArcFace`'s template, as `OpenCV` uses it).
const TEMPLATE: [Point; 5] = [
    Point { x: 38.2946, y: 51.6963 },
    Point { x: 73.5318, y: 51.5014 },
    Point { x: 56.0252, y: 71.7366 },
    Point { x: 41.5493, y: 92.3655 },
    Point { x: 70.7299, y: 92.2041 },
];

/// Describes faces. Owns its model and memory; one per thread.
pub struct Embedder {
    network: Network,
    scaler: Scaler,
    crop: Vec<f32>,
    photo_strength: f32,
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Embedder")
    }
}

impl Embedder {
    /// Opens the recogniser on `threads` threads, for photos and for whoever judges: its numbers are those of
    /// its file.
    pub fn new(models: &Models, threads: usize) -> Result<Self, VisionError> {
        Ok(Self::with(models.open_sface(threads)?, models))
    }

    /// Opens the recogniser in eight bits, for pictures. It takes half the time. Compared with photos that
    /// [`Embedder::new`] described, what it says of a face differs by 0.008 to 0.012 (cosine, root mean square
    /// of 61 faces of the samples, sharp, small, dim, dark or blurred), by 0.053 at most, to either side.
    pub fn rounded(models: &Models, threads: usize) -> Result<Self, VisionError> {
        Ok(Self::with(models.open_rounded(threads)?, models))
    }

    fn with(network: Network, models: &Models) -> Self {
        let photo_strength = models.thresholds().photo_strength;
        Self { network, scaler: Scaler::new(), crop: Vec::new(), photo_strength }
    }

    /// The embedding of a face in a frame; `None` where its landmarks span no face or the model
    /// returns no direction. Such a face is not comparable and stays undecided.
    pub fn embed(
        &mut self,
        frame: &I420View<'_>,
        landmarks: &Landmarks,
    ) -> Result<Option<Described>, VisionError> {
        let Some(map) = align(landmarks) else { return Ok(None) };
        self.scaler.warp(frame, &map, CROP, &mut self.crop)?;
        self.run()
    }

    /// The same for a photo.
    pub fn embed_image(
        &mut self,
        image: &BgrImage,
        landmarks: &Landmarks,
    ) -> Result<Option<Described>, VisionError> {
        let Some(map) = align(landmarks) else { return Ok(None) };
        self.scaler.warp_bgr(image, &map, CROP, &mut self.crop)?;
        self.run()
    }

    /// How much the model finds in a face of a photo (see [`Described::strength`]), without saying
    /// whose it is; 0 where its landmarks span no face.
    pub fn strength(
        &mut self,
        image: &BgrImage,
        landmarks: &Landmarks,
    ) -> Result<f32, VisionError> {
        let Some(map) = align(landmarks) else { return Ok(0.0) };
        self.scaler.warp_bgr(image, &map, CROP, &mut self.crop)?;
        self.network
            .run(INPUT, &self.crop, |outputs| outputs.first().map_or(0.0, |raw| length(raw)))
    }

    /// The strength that a reference photo needs.
    #[must_use]
    pub fn photo_strength(&self) -> f32 {
        self.photo_strength
    }

    fn run(&mut self) -> Result<Option<Described>, VisionError> {
        self.network.run(INPUT, &self.crop, read)
    }
}

/// Describes faces on a thread of its own, while the next pictures are looked at.
pub struct Describer {
    network: Beside<Option<Described>>,
    scaler: Scaler,
}

impl std::fmt::Debug for Describer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Describer")
    }
}

impl Describer {
    /// Takes an embedder's model to a thread of its own.
    pub fn new(embedder: Embedder) -> Result<Self, VisionError> {
        let Embedder { mut network, scaler, .. } = embedder;
        Ok(Self { network: Beside::new(move |crop| network.run(INPUT, crop, read))?, scaler })
    }

    /// Begins to describe a face in a frame, of which a copy is taken; `None` where its landmarks span no
    /// face.
    pub fn begin(
        &mut self,
        frame: &I420View<'_>,
        landmarks: &Landmarks,
    ) -> Result<Option<Begun>, VisionError> {
        let Some(map) = align(landmarks) else { return Ok(None) };
        let mut crop = self.network.input();
        self.scaler.warp(frame, &map, CROP, &mut crop)?;
        self.network.begin(crop).map(Some)
    }

    /// What was found in a face, once that is known; `None` where the model returns no direction.
    pub fn finish(&mut self, begun: &Begun) -> Result<Option<Described>, VisionError> {
        self.network.finish(begun)
    }

    /// Both in one; see [`Embedder::embed`].
    pub fn describe(
        &mut self,
        frame: &I420View<'_>,
        landmarks: &Landmarks,
    ) -> Result<Option<Described>, VisionError> {
        let Some(begun) = self.begin(frame, landmarks)? else { return Ok(None) };
        self.finish(&begun)
    }
}

/// What the model says of a crop; `None` where that is no direction.
fn read(outputs: &[&[f32]]) -> Option<Described> {
    let raw: [f32; Embedding::LEN] = outputs.first().copied()?.try_into().ok()?;
    let strength = length(&raw);
    Some(Described { embedding: Embedding::new(raw)?, strength })
}

/// `SFace`'s input: one crop, three colours.
const INPUT: [usize; 4] = [1, 3, CROP as usize, CROP as usize];

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|v| v * v).sum::<f32>().sqrt()
}

/// A face in a frame, and how much the model found in it.
#[derive(Clone, Debug)]
pub struct Described {
    /// The face.
    pub embedding: Embedding,
    /// Length of the model's output before it is scaled to one. It falls with whatever takes detail
    /// from a face: blur, noise, darkness, strong compression, a head on its side.
    pub strength: f32,
}

/// The similarity (turn, scale, shift; no mirror) that brings the landmarks closest to the template
/// in the least-squares sense. `None` where they coincide or are no numbers.
pub(super) fn align(landmarks: &Landmarks) -> Option<Affine> {
    let mean = |points: &Landmarks| {
        let sum =
            points.iter().fold((0.0, 0.0), |(x, y), p| (x + f64::from(p.x), y + f64::from(p.y)));
        (sum.0 / 5.0, sum.1 / 5.0)
    };
    let (from, to) = (mean(landmarks), mean(&TEMPLATE));
    let (mut dot, mut cross, mut spread) = (0.0, 0.0, 0.0);
    for (s, d) in landmarks.iter().zip(&TEMPLATE) {
        let (sx, sy) = (f64::from(s.x) - from.0, f64::from(s.y) - from.1);
        let (dx, dy) = (f64::from(d.x) - to.0, f64::from(d.y) - to.1);
        dot += sx * dx + sy * dy;
        cross += sx * dy - sy * dx;
        spread += sx * sx + sy * sy;
    }
    let (a, b) = (dot / spread, cross / spread);
    let usable = a.is_finite() && b.is_finite() && a.hypot(b) > 1e-3;
    usable
        .then(|| [[a, -b, to.0 - a * from.0 + b * from.1], [b, a, to.1 - b * from.0 - a * from.1]])
}

/// A face as `SFace` describes it: 128 numbers of unit length, so that a dot product is the cosine.
/// Biometric data: never logged, never shown.
#[derive(Clone, PartialEq)]
pub struct Embedding([f32; Self::LEN]);

impl Embedding {
    /// Numbers in one embedding.
    pub const LEN: usize = 128;

    /// Scales `raw` to unit length; `None` for a vector without direction.
    #[must_use]
    pub fn new(mut raw: [f32; Self::LEN]) -> Option<Self> {
        let norm = length(&raw);
        if !norm.is_finite() || norm < 1e-6 {
            return None;
        }
        for v in &mut raw {
            *v /= norm;
        }
        Some(Self(raw))
    }

    /// The numbers, of unit length.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Cosine similarity, -1 to 1; 1 is the same picture.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum()
    }
}

impl std::fmt::Debug for Embedding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Embedding(..)")
    }
}

/// What is known of the listed people, for comparison: each person's standing and references.
#[derive(Clone, Debug, Default)]
pub struct Gallery {
    /// Everyone on the list, by pseudonym.
    pub people: BTreeMap<PupilId, Person>,
}

/// What the pupil list says of a person, with the effective date already applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// May not be seen.
    Refused,
    /// May be seen (a consenting pupil).
    Consented,
    /// A teacher, cleared like a consenting pupil.
    Staff,
    /// Consent lies in the future: neither cleared nor searched for.
    NotYet,
}

/// One listed person's standing and reference embeddings.
#[derive(Clone, Debug)]
pub struct Person {
    /// What the list says.
    pub standing: Standing,
    /// One per usable reference photo; empty without photos.
    pub references: Vec<Embedding>,
    /// How many of those photos are known to be recent: children change, and old photos find less.
    pub recent: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn landmarks_land_on_the_template() {
        // Turned by 90 degrees, three times as large, shifted.
        let landmarks = TEMPLATE.map(|p| Point { x: 500.0 - 3.0 * p.y, y: 20.0 + 3.0 * p.x });
        let map = align(&landmarks).expect("a face");
        for (from, to) in landmarks.iter().zip(&TEMPLATE) {
            let [x, y] = map.map(|[a, b, c]| a * f64::from(from.x) + b * f64::from(from.y) + c);
            assert!((x - f64::from(to.x)).abs() < 1e-3 && (y - f64::from(to.y)).abs() < 1e-3);
        }
        assert!(align(&[Point { x: 3.0, y: 4.0 }; 5]).is_none());
        assert!(align(&[Point { x: f32::NAN, y: 4.0 }; 5]).is_none());
    }
}
