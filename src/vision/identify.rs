//! Face comparison with `SFace`: embeddings, and the gallery they are compared against.

use std::collections::BTreeMap;

use crate::units::PupilId;

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
        let norm = raw.iter().map(|v| v * v).sum::<f32>().sqrt();
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
}
