//! What is known of each track: views are compared with the gallery and add up to a state.
//!
//! Pure: no clock, no file. One strong match to a refused person is never outvoted, whatever came
//! before or comes after; clearing needs several views, all of them far from every refused person.

use std::collections::BTreeMap;

use serde::Serialize;

use super::policy::Policy;
use crate::{
    units::PupilId,
    vision::{
        identify::{Embedding, Gallery, Standing},
        infer::Thresholds,
    },
};

/// An oblique view counts this much of a frontal one.
const OBLIQUE_WEIGHT: f32 = 1.0 / 3.0;
/// A view that resembles the track's own mean less than this is of somebody else (genuine pairs
/// lie above 0.39, the 99th percentile of impostors at 0.23).
const DRIFT: f32 = 0.30;
/// The same for turned heads and unsure views, which resemble their own frontal views less.
const DRIFT_OBLIQUE: f32 = 0.20;
/// By how much the match to a consenting person must exceed that to any refused one. Children of one
/// group photo resemble each other by up to 0.52, themselves in other photos by 0.61 (median): it
/// takes a view that is both an unusually good one of the wrong person and an unusually bad one of the
/// right one to be wrong here, and several of them to show a face.
const MATCH_MARGIN: f32 = 0.15;

/// What may be done with a track.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// Not known; veiled.
    Undecided,
    /// A refused person; veiled, and nothing changes that.
    Refused {
        /// Whom it matches.
        pupil: PupilId,
        /// How closely.
        cosine: f32,
    },
    /// May be shown, for this reason.
    Cleared(Reason),
}

/// Why a track is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// Told apart from every refused person.
    ToldApart {
        /// Comparable views, oblique ones counted a third.
        views: f32,
        /// The closest any view came to a refused person.
        closest: f32,
    },
    /// A consenting pupil or staff.
    Matched {
        /// Who.
        person: PupilId,
        /// Mean cosine of the matching views.
        cosine: f32,
        /// How many.
        views: u32,
    },
    /// Nobody on the list refuses.
    NobodyRefuses,
}

/// One comparable view of a track's face.
#[derive(Clone, Debug)]
pub struct View {
    /// Width of the detected face in frame pixels.
    pub width_px: f32,
    /// Whether the head is turned, or the picture of it not quite sharp.
    pub oblique: bool,
    /// Whether the face was found surely, sharp enough to be compared, and wholly in the picture;
    /// other views can refuse, never clear.
    pub reliable: bool,
    /// The face.
    pub embedding: Embedding,
}

/// Rules and references that all tracks of a recording share.
#[derive(Debug)]
pub struct Judge {
    policy: Policy,
    thresholds: Thresholds,
    refused: Vec<(PupilId, Vec<Embedding>)>,
    cleared: Vec<(PupilId, Vec<Embedding>)>,
}

impl Judge {
    /// A judge of `gallery` under `policy`, which is stepped up where it cannot be kept.
    #[must_use]
    pub fn new(policy: Policy, gallery: &Gallery, thresholds: Thresholds) -> Self {
        let policy = policy.kept_with(gallery);
        let with = |wanted: &[Standing]| {
            gallery
                .people
                .iter()
                .filter(|(_, p)| wanted.contains(&p.standing) && !p.references.is_empty())
                .map(|(id, p)| (id.clone(), p.references.clone()))
                .collect()
        };
        Self {
            policy,
            thresholds,
            refused: with(&[Standing::Refused]),
            cleared: with(&[Standing::Consented, Standing::Staff]),
        }
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
            Policy::UnlessCleared => !self.cleared.is_empty(),
            Policy::Everyone => false,
        }
    }

    /// Whether a face is large enough to be compared.
    #[must_use]
    pub fn comparable(&self, width_px: f32) -> bool {
        width_px >= self.thresholds.compare_min_px
    }

    /// The closest refused person to a face.
    #[must_use]
    pub fn closest_refused(&self, face: &Embedding) -> Option<(&PupilId, f32)> {
        closest(&self.refused, face)
    }

    /// The consenting person or member of staff whom a face surely shows, being far closer to them
    /// than `refused`, its closeness to any refused person.
    fn recognised(&self, face: &Embedding, refused: f32) -> Option<(&PupilId, f32)> {
        closest(&self.cleared, face)
            .filter(|(_, c)| *c >= self.thresholds.match_cleared && *c >= refused + MATCH_MARGIN)
    }

    /// Whether a person is refused and can be found.
    #[must_use]
    pub fn refuses(&self, person: &PupilId) -> bool {
        self.refused.iter().any(|(id, _)| id == person)
    }

    /// Whether a face is that of a refused person by a single look.
    #[must_use]
    pub fn is_refused(&self, face: &Embedding) -> bool {
        self.closest_refused(face).is_some_and(|(_, cosine)| {
            cosine >= self.thresholds.refuse && self.recognised(face, cosine).is_none()
        })
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

/// What the views of one track add up to.
#[derive(Clone, Debug)]
pub struct Evidence {
    state: State,
    /// Per refused person: sum of cosines over the comparable views that show nobody known.
    sums: BTreeMap<PupilId, f32>,
    /// How many those are, and all views.
    open: u32,
    views: u32,
    /// Views that speak for clearance, oblique ones a third.
    clear: f32,
    /// Views that could be anybody's.
    doubtful: f32,
    closest: f32,
    matches: BTreeMap<PupilId, (u32, f32)>,
    mean: [f32; Embedding::LEN],
    /// Whether the track goes on where that of a refused person was broken off.
    wary: bool,
}

impl Default for Evidence {
    fn default() -> Self {
        Self {
            state: State::Undecided,
            sums: BTreeMap::new(),
            open: 0,
            views: 0,
            clear: 0.0,
            doubtful: 0.0,
            closest: -1.0,
            matches: BTreeMap::new(),
            mean: [0.0; Embedding::LEN],
            wary: false,
        }
    }
}

impl Evidence {
    /// Nothing known yet of a track that goes on where a refused person's was broken off, because
    /// a view resembled it too little: that view may as well have been a bad one of the same
    /// person, so clearing takes twice as many.
    #[must_use]
    pub fn after_refused() -> Self {
        Self { wary: true, ..Self::default() }
    }

    /// What is left of what is known where another list is in force: nobody is cleared by what was
    /// compared with the one before. Whoever was found refused, and still is, stays so.
    #[must_use]
    pub fn under(&self, judge: &Judge) -> Self {
        let state = match &self.state {
            State::Refused { pupil, .. } if judge.refuses(pupil) => self.state.clone(),
            _ => State::Undecided,
        };
        Self { state, wary: self.was_refused(), ..Self::default() }
    }

    /// Whether the track is a refused person's, or goes on where such a track was broken off.
    #[must_use]
    pub fn was_refused(&self) -> bool {
        self.wary || matches!(self.state, State::Refused { .. })
    }

    /// What may be done with the track under the judge's policy.
    #[must_use]
    pub fn state(&self, judge: &Judge) -> State {
        match (judge.policy, &self.state) {
            (Policy::Everyone, _) => State::Undecided,
            (Policy::Refused, State::Undecided) if judge.refused.is_empty() => {
                State::Cleared(Reason::NobodyRefuses)
            }
            (_, state) => state.clone(),
        }
    }

    /// How many views were compared.
    #[must_use]
    pub fn views(&self) -> u32 {
        self.views
    }

    /// Whether a view may show somebody else than the views before it.
    #[must_use]
    pub fn drifts(&self, view: &View) -> bool {
        let least = if view.oblique || !view.reliable { DRIFT_OBLIQUE } else { DRIFT };
        self.views > 0
            && Embedding::new(self.mean).is_some_and(|mean| mean.cosine(&view.embedding) < least)
    }

    /// Adds a view.
    pub fn add(&mut self, view: &View, judge: &Judge) {
        let t = judge.thresholds;
        if view.width_px < t.compare_min_px {
            return;
        }
        self.views += 1;
        for (sum, value) in self.mean.iter_mut().zip(view.embedding.as_slice()) {
            *sum += value;
        }
        let nearest = judge.closest_refused(&view.embedding).map_or(-1.0, |(_, cosine)| cosine);
        let known = judge.recognised(&view.embedding, nearest);
        // Whoever is recognised as somebody else is not taken for a refused person whom they resemble.
        if known.is_none() {
            self.open += 1;
            for (person, references) in &judge.refused {
                let cosine = nearest_of(references, &view.embedding);
                let sum = self.sums.entry(person.clone()).or_default();
                *sum += cosine;
                let mean = *sum / self.open as f32;
                // The mean of two or more views; a single one has its own threshold.
                if cosine >= t.refuse || (self.open >= 2 && mean >= t.refuse_mean) {
                    self.refuse(person, cosine.max(mean));
                }
            }
        }
        self.closest = self.closest.max(nearest);
        if view.width_px < t.clear_min_px || !view.reliable {
            return;
        }
        let weight = if view.oblique { OBLIQUE_WEIGHT } else { 1.0 };
        let far = if view.oblique { t.clear_oblique } else { t.clear };
        if nearest < far {
            self.clear += weight;
        } else {
            self.doubtful += 1.0;
        }
        if let Some((person, cosine)) = known {
            let (count, sum) = self.matches.entry(person.clone()).or_default();
            *count += 1;
            *sum += cosine;
        }
        if matches!(self.state, State::Refused { .. }) {
            return;
        }
        self.state = self.clearance(judge).map_or(State::Undecided, State::Cleared);
    }

    fn refuse(&mut self, person: &PupilId, cosine: f32) {
        let stronger = match &self.state {
            State::Refused { cosine: known, .. } => cosine > *known,
            _ => true,
        };
        if stronger {
            self.state = State::Refused { pupil: person.clone(), cosine };
        }
    }

    fn clearance(&self, judge: &Judge) -> Option<Reason> {
        let t = judge.thresholds;
        let views = if self.wary { 2.0 * t.clear_views } else { t.clear_views };
        match judge.policy {
            Policy::Everyone => None,
            Policy::Refused => {
                // A pupil with one photo needs twice the views.
                let lone = judge.refused.iter().any(|(_, references)| references.len() < 2);
                let needed = if lone { 2.0 * views } else { views };
                let told_apart = self.clear >= needed + self.doubtful;
                told_apart
                    .then_some(Reason::ToldApart { views: self.clear, closest: self.closest })
                    .or_else(|| self.matched(needed))
            }
            Policy::UnlessCleared => self.matched(views),
        }
    }

    /// Whether at least `needed` views, and most of all, show one and the same person who may be
    /// seen.
    fn matched(&self, needed: f32) -> Option<Reason> {
        let (person, (count, sum)) = self.matches.iter().max_by_key(|(_, (count, _))| *count)?;
        let others: u32 =
            self.matches.iter().filter(|(id, _)| *id != person).map(|(_, m)| m.0).sum();
        let enough = *count as f32 >= needed && 2 * *count > self.views + others;
        enough.then(|| Reason::Matched {
            person: person.clone(),
            cosine: sum / *count as f32,
            views: *count,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vision::identify::Person;

    /// A face at the given cosine to the refused person (axis 0) and to the consenting one (1).
    fn face(refused: f32, consented: f32, other: usize) -> Embedding {
        let mut raw = [0.0; Embedding::LEN];
        raw[0] = refused;
        raw[1] = consented;
        raw[2 + other] = (1.0 - refused * refused - consented * consented).max(0.0).sqrt();
        Embedding::new(raw).expect("a direction")
    }

    fn gallery(photos: usize) -> Gallery {
        let person = |standing, axis: usize| {
            let mut raw = [0.0; Embedding::LEN];
            raw[axis] = 1.0;
            let reference = Embedding::new(raw).expect("a direction");
            Person { standing, references: vec![reference; photos] }
        };
        let id = |s: &str| s.parse::<PupilId>().expect("a pseudonym");
        Gallery {
            people: [
                (id("p-1"), person(Standing::Refused, 0)),
                (id("p-2"), person(Standing::Consented, 1)),
            ]
            .into(),
        }
    }

    fn judge(policy: Policy) -> Judge {
        Judge::new(policy, &gallery(2), Thresholds::built_in().expect("manifest"))
    }

    fn view(width_px: f32, embedding: Embedding) -> View {
        View { width_px, oblique: false, reliable: true, embedding }
    }

    #[test]
    fn three_far_views_clear_and_small_ones_never_do() {
        let judge = judge(Policy::Refused);
        for (width, cleared) in [(80.0, true), (30.0, false), (10.0, false)] {
            let mut evidence = Evidence::default();
            for i in 0..3 {
                assert_eq!(evidence.state(&judge), State::Undecided);
                evidence.add(&view(width, face(0.1, 0.0, i)), &judge);
            }
            assert_eq!(matches!(evidence.state(&judge), State::Cleared(_)), cleared, "{width}");
        }
    }

    #[test]
    fn what_follows_a_refused_track_takes_twice_as_many_views() {
        let judge = judge(Policy::Refused);
        let mut evidence = Evidence::after_refused();
        for seen in 1..=6 {
            evidence.add(&view(80.0, face(0.1, 0.0, 0)), &judge);
            assert!(evidence.was_refused());
            assert_eq!(matches!(evidence.state(&judge), State::Cleared(_)), seen == 6, "{seen}");
        }
    }

    #[test]
    fn under_another_list_only_a_refusal_stays() {
        let before = judge(Policy::Refused);
        let (mut cleared, mut refused) = (Evidence::default(), Evidence::default());
        for i in 0..6 {
            cleared.add(&view(80.0, face(0.1, 0.0, i)), &before);
        }
        refused.add(&view(80.0, face(0.9, 0.0, 0)), &before);
        assert!(matches!(cleared.state(&before), State::Cleared(_)));
        let again = judge(Policy::Refused);
        assert_eq!(cleared.under(&again).state(&again), State::Undecided);
        assert!(matches!(refused.under(&again).state(&again), State::Refused { .. }));
        // Whoever is on no list any more is still compared twice as often before anybody sees them.
        let mut others = gallery(2);
        others.people.values_mut().for_each(|p| p.standing = Standing::Consented);
        let id = "p-9".parse().expect("a pseudonym");
        let mut raw = [0.0; Embedding::LEN];
        raw[60] = 1.0;
        let references = vec![Embedding::new(raw).expect("a direction"); 2];
        others.people.insert(id, Person { standing: Standing::Refused, references });
        let thresholds = Thresholds::built_in().expect("manifest");
        let other = Judge::new(Policy::Refused, &others, thresholds);
        let after = refused.under(&other);
        assert_eq!(after.state(&other), State::Undecided);
        assert!(after.was_refused());
    }

    #[test]
    fn a_refused_pupil_without_photo_steps_the_policy_up() {
        let judge = Judge::new(Policy::Refused, &gallery(0), Thresholds::built_in().expect("ok"));
        assert_eq!(judge.policy(), Policy::UnlessCleared);
    }

    #[test]
    fn unless_cleared_shows_only_a_match() {
        let judge = judge(Policy::UnlessCleared);
        let mut stranger = Evidence::default();
        let mut friend = Evidence::default();
        for i in 0..20 {
            stranger.add(&view(90.0, face(0.0, 0.3, i)), &judge);
            friend.add(&view(90.0, face(0.0, 0.6, i)), &judge);
        }
        assert_eq!(stranger.state(&judge), State::Undecided);
        assert!(matches!(friend.state(&judge), State::Cleared(Reason::Matched { .. })));
    }

    #[test]
    fn whoever_is_recognised_is_shown_although_a_refused_person_looks_alike() {
        let judge = judge(Policy::Refused);
        let mut alike = Evidence::default();
        let mut near = Evidence::default();
        for i in 0..4 {
            alike.add(&view(80.0, face(0.45, 0.65, i)), &judge);
            near.add(&view(80.0, face(0.45, 0.55, i)), &judge);
        }
        assert!(matches!(alike.state(&judge), State::Cleared(Reason::Matched { .. })));
        // Where both are nearly as close, it may be either.
        assert!(matches!(near.state(&judge), State::Refused { .. }));
        // One view that nobody else explains is enough to veil.
        alike.add(&view(80.0, face(0.45, 0.2, 9)), &judge);
        assert!(matches!(alike.state(&judge), State::Refused { .. }));
    }

    #[test]
    fn everyone_means_everyone() {
        let judge = judge(Policy::Everyone);
        let mut evidence = Evidence::default();
        for i in 0..20 {
            evidence.add(&view(90.0, face(0.0, 0.9, i)), &judge);
        }
        assert_eq!(evidence.state(&judge), State::Undecided);
    }

    proptest! {
        #[test]
        fn no_order_of_views_shows_a_refused_track(
            mut cosines in proptest::collection::vec(-0.2..0.38f32, 0..40),
            strong in 0.401..0.95f32, place in any::<prop::sample::Index>(),
            unless in any::<bool>(), friendly in 0.0..0.3f32, width in 20.0..300.0f32,
        ) {
            let judge = judge(if unless { Policy::UnlessCleared } else { Policy::Refused });
            let at = place.index(cosines.len() + 1);
            cosines.insert(at, strong);
            let mut evidence = Evidence::default();
            for (i, cosine) in cosines.iter().enumerate() {
                evidence.add(&view(width, face(*cosine, friendly, i % 100)), &judge);
                if i >= at {
                    let refused = matches!(evidence.state(&judge), State::Refused { .. });
                    prop_assert!(refused, "shown after a strong match");
                }
            }
        }
    }
}
