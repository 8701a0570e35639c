//! One view of a face beside the gallery: what it counts, whom it is like, and how far it is from everybody
//! who refuses.
//!
//! Belongs here: single views. Does not belong: what the views of a track add up to.

use super::super::policy::Policy;
use crate::{
    units::PupilId,
    vision::{
        identify::{Embedding, Gallery, Person, Standing},
        infer::Thresholds,
    },
};

/// An oblique view counts this much of a frontal one.
const OBLIQUE_WEIGHT: f32 = 1.0 / 3.0;
/// A refusing pupil with fewer recent photos than this is hard to tell: everybody needs twice the
/// views to be told apart from them.
const RECENT_PHOTOS: usize = 2;
/// By how much the match to a consenting person must exceed that to any refused one. Children of one
/// group photo resemble each other by up to 0.52, themselves in other photos by 0.61 (median): it
/// takes a view that is both an unusually good one of the wrong person and an unusually bad one of the
/// right one to be wrong here, and several of them to show a face.
const MATCH_MARGIN: f32 = 0.15;
/// A view is like somebody, without being surely theirs, from this cosine on, and where nobody refused comes
/// as near by the margin: noise and poor light take likeness from single views (median 0.47 and 0.53 of a
/// child of 50 pixels), not from their mean. The 99th percentile of strangers is 0.23.
const LEAN: f32 = 0.40;
pub(super) const LEAN_MARGIN: f32 = 0.05;

/// One comparable view of a track's face.
#[derive(Clone, Debug)]
pub struct View {
    /// Width of the detected face in frame pixels.
    pub width_px: f32,
    /// Whether the head is turned, or the picture of it not quite sharp.
    pub oblique: bool,
    /// How much the recogniser found in the face: [`Described::strength`].
    ///
    /// [`Described::strength`]: crate::vision::identify::Described::strength
    pub strength: f32,
    /// Whether the face was found surely, and wholly in the picture; other views can refuse, never
    /// clear.
    pub reliable: bool,
    /// The face.
    pub embedding: Embedding,
}

impl View {
    /// What the view counts, above 0 to 1: less for a small, a soft and a turned face. Where a
    /// number is none it counts nothing.
    pub(super) fn quality(&self, t: &Thresholds) -> f32 {
        let pose = if self.oblique { OBLIQUE_WEIGHT } else { 1.0 };
        // A soft view counts as an oblique one already: it is not counted down twice.
        let quality = self.size_part(t) * part(self.strength, t.full_strength).min(pose);
        if quality.is_finite() { quality } else { 0.0 }
    }

    /// What the view counts by its size alone: for whom it surely shows, however soft or turned.
    pub(super) fn size_part(&self, t: &Thresholds) -> f32 {
        part(self.width_px, t.full_px)
    }
}

/// The square of the part that `value` is of `full`, 1 at most.
fn part(value: f32, full: f32) -> f32 {
    (value / full).powi(2).clamp(0.0, 1.0)
}

/// A refusing pupil who can be found.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) pupil: PupilId,
    references: Vec<Embedding>,
    /// How much farther than usual a view has to be from this person's references to speak for
    /// somebody else.
    pub(super) margin: f32,
    /// Whether too few recent photos are known.
    pub(super) thin: bool,
}

impl Wanted {
    fn new(pupil: &PupilId, person: &Person, t: &Thresholds) -> Self {
        let references = person.references.clone();
        let margin = margin(&references, t);
        let thin = person.recent.min(references.len()) < RECENT_PHOTOS;
        Self { pupil: pupil.clone(), references, margin, thin }
    }

    pub(super) fn cosine(&self, face: &Embedding) -> f32 {
        nearest_of(&self.references, face)
    }
}

/// What the spread of a person's own references adds to the distance asked for: how closely the
/// least typical photo is met by the best of the others says how closely a new view will be.
fn margin(references: &[Embedding], t: &Thresholds) -> f32 {
    let met = |i: usize| {
        let others = references.iter().enumerate().filter(|(j, _)| *j != i);
        others.map(|(_, other)| references[i].cosine(other)).max_by(f32::total_cmp)
    };
    let least = (0..references.len()).filter_map(met).min_by(f32::total_cmp);
    // One photo has no spread: it asks for more views instead.
    let Some(least) = least else { return 0.0 };
    let apart = (t.spread_alike - least) / (t.spread_alike - t.spread_unlike);
    t.spread_margin * apart.clamp(0.0, 1.0)
}

/// Rules and references that all tracks of a recording share.
#[derive(Debug)]
pub struct Judge {
    pub(super) policy: Policy,
    pub(super) thresholds: Thresholds,
    pub(super) refused: Vec<Wanted>,
    cleared: Vec<(PupilId, Vec<Embedding>)>,
    /// Whether faces can be cleared without a photo.
    other_means: bool,
}

impl Judge {
    /// A judge of `gallery` under `policy`, which is stepped up where it cannot be kept.
    #[must_use]
    pub fn new(policy: Policy, gallery: &Gallery, thresholds: Thresholds) -> Self {
        let policy = policy.kept_with(gallery);
        let with_photo = || gallery.people.iter().filter(|(_, p)| !p.references.is_empty());
        Self {
            policy,
            thresholds,
            refused: with_photo()
                .filter(|(_, p)| p.standing == Standing::Refused)
                .map(|(id, p)| Wanted::new(id, p, &thresholds))
                .collect(),
            cleared: with_photo()
                .filter(|(_, p)| matches!(p.standing, Standing::Consented | Standing::Staff))
                .map(|(id, p)| (id.clone(), p.references.clone()))
                .collect(),
            other_means: false,
        }
    }

    /// Whether faces can also be cleared by seat or marker. Those say nothing of who it is, so such
    /// faces are compared with the refused people.
    pub fn set_other_means(&mut self, other_means: bool) {
        self.other_means = other_means;
    }

    /// The policy that is applied.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Whether comparing faces can change anything.
    #[must_use]
    pub fn compares(&self) -> bool {
        match self.policy {
            Policy::Refused => !self.refused.is_empty(),
            Policy::UnlessCleared => {
                !self.cleared.is_empty() || (self.other_means && self.looks_for_somebody())
            }
            Policy::Everyone => false,
        }
    }

    /// Whether any refused person can be recognised.
    #[must_use]
    pub fn looks_for_somebody(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Whether a face is large enough to be compared.
    #[must_use]
    pub fn comparable(&self, width_px: f32) -> bool {
        width_px >= self.thresholds.compare_min_px
    }

    /// The closest refused person to a face.
    #[must_use]
    pub fn closest_refused(&self, face: &Embedding) -> Option<(&PupilId, f32)> {
        let all = self.refused.iter().map(|w| (&w.pupil, w.cosine(face)));
        all.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Whom a face matches by a single look, of those who may not be seen, and how closely; nobody
    /// where it surely shows somebody else.
    #[must_use]
    pub fn refused_by(&self, face: &Embedding) -> Option<(&PupilId, f32)> {
        self.closest_refused(face).filter(|(_, cosine)| {
            *cosine >= self.thresholds.refuse && self.recognised(face, *cosine).is_none()
        })
    }

    /// The consenting person or member of staff whom a face surely shows, being far closer to them
    /// than `refused`, its closeness to any refused person.
    pub(super) fn recognised(&self, face: &Embedding, refused: f32) -> Option<(&PupilId, f32)> {
        self.closest_cleared(face)
            .filter(|(_, c)| *c >= self.thresholds.match_cleared && *c >= refused + MATCH_MARGIN)
    }

    pub(super) fn closest_cleared(&self, face: &Embedding) -> Option<(&PupilId, f32)> {
        closest(&self.cleared, face)
    }

    /// The consenting person or member of staff whom a view is like: more than strangers are, and more
    /// than it is like any refused person.
    pub(super) fn leans_to(&self, face: &Embedding, refused: f32) -> Option<(&PupilId, f32)> {
        self.closest_cleared(face).filter(|(_, c)| *c >= LEAN && *c >= refused + LEAN_MARGIN)
    }

    /// Whether a person is refused and can be found.
    #[must_use]
    pub fn refuses(&self, person: &PupilId) -> bool {
        self.refused.iter().any(|wanted| wanted.pupil == *person)
    }

    /// Whether a face is that of a refused person by a single look.
    #[must_use]
    pub fn is_refused(&self, face: &Embedding) -> bool {
        self.refused_by(face).is_some()
    }
}

/// The closest that any reference comes to a face; -1 without one.
fn nearest_of(references: &[Embedding], face: &Embedding) -> f32 {
    references.iter().map(|r| r.cosine(face)).max_by(f32::total_cmp).unwrap_or(-1.0)
}

fn closest<'a>(
    people: &'a [(PupilId, Vec<Embedding>)],
    face: &Embedding,
) -> Option<(&'a PupilId, f32)> {
    people
        .iter()
        .map(|(id, references)| (id, nearest_of(references, face)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
}
