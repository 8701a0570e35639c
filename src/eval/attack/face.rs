//! Naming a face by the picture that resembles it most, with the product's own recogniser.

use super::{AttackError, sheet::Place};
use crate::{
    frame::{I420View, Point, Rect, pixels::Area},
    vision::{Eyes, Landmarks, identify::Embedding},
};

/// Where the landmarks of a face lie in its head region, in parts of it: what the attacker assumes
/// where no face is found any more.
const TYPICAL: [(f32, f32); 5] =
    [(0.39, 0.48), (0.61, 0.48), (0.50, 0.60), (0.41, 0.71), (0.59, 0.71)];
/// What the detector calls a face with this score is one to the attacker.
const SCORE: f32 = 0.5;

/// Describes what is at a place in a picture in which faces may be hidden.
pub(super) fn describe(
    eyes: &mut Eyes,
    picture: &I420View<'_>,
    place: &Place,
) -> Result<Option<Embedding>, AttackError> {
    let at = place.region;
    let (w, h) = ((at.x1 - at.x0) as f32, (at.y1 - at.y0) as f32);
    let region = Rect::new(at.x0 as f32, at.y0 as f32, w, h);
    let side = |from: usize, to: usize| u32::try_from(to - from).unwrap_or(0);
    let area = Area {
        x: u32::try_from(at.x0).unwrap_or(0),
        y: u32::try_from(at.y0).unwrap_or(0),
        size: crate::frame::FrameSize::new(side(at.x0, at.x1), side(at.y0, at.y1)),
    };
    let found = eyes.detector.detect_in(picture, area, area.size.width.max(area.size.height))?;
    let seen = found.iter().find(|f| f.score >= SCORE).map(|f| f.landmarks);
    let landmarks: Landmarks = seen.unwrap_or_else(|| {
        TYPICAL.map(|(x, y)| Point { x: region.x + x * w, y: region.y + y * h })
    });
    Ok(eyes.embedder.embed(picture, &landmarks)?.map(|d| d.embedding))
}

/// Whose reference resembles the probe most.
pub(super) fn nearest(references: &[(usize, Embedding)], probe: &Embedding) -> Option<usize> {
    references
        .iter()
        .map(|(person, reference)| (person, reference.cosine(probe)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(person, _)| *person)
}
