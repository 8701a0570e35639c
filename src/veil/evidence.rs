//! What is known of each track: views are compared with the gallery and add up to a state.
//!
//! Pure: no clock, no file. One strong match to a refused person is never outvoted, whatever came
//! before or comes after; clearing needs several good views, all of them far from every refused
//! person. How far depends on the person: whose own photos differ much asks for more distance.

use std::collections::BTreeMap;

use serde::Serialize;

use super::policy::Policy;
use crate::{
    units::PupilId,
    vision::{
        identify::{Embedding, Gallery, Person, Standing},
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
/// A view that resembles the track's own mean by this is of the same person (people of one photo resemble
/// each other by up to 0.52).
const SAME: f32 = 0.65;
/// One that resembles it by this is, whoever else it may be a little like.
const SURELY_SAME: f32 = 0.85;
/// A view of a refused person that is so much more like them than like a track's own mean shows that
/// person take the place of somebody else.
const PASSED: f32 = 0.20;
/// From so much more that speaks for clearance than against it on, some more views may be enough.
const PROMISING: f32 = 1.0;
/// Views by quality, of a face that may be shown for another reason, after which it counts as
/// compared: one good view, or three of a face of 24 pixels.
const ENOUGH_SEEN: f32 = 1.0;
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
const LEAN_MARGIN: f32 = 0.05;
/// Their mean cosine one by one: a mean of views resembles everybody more than the views do, and the most alike
/// of different people reached 0.43.
const LEAN_MEAN: f32 = 0.45;
/// Such views count this much of those that are surely somebody's.
const LEAN_WEIGHT: f32 = 0.5;

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
        /// Comparable views, each counted by its quality.
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
    /// Stays in the seat of a consenting pupil or of staff.
    Seated {
        /// Whose seat.
        person: PupilId,
    },
    /// Wears the marker of a consenting pupil or of staff.
    Marked {
        /// Whose marker.
        person: PupilId,
        /// Its number.
        number: u16,
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
    fn quality(&self, t: &Thresholds) -> f32 {
        let pose = if self.oblique { OBLIQUE_WEIGHT } else { 1.0 };
        // A soft view counts as an oblique one already: it is not counted down twice.
        let quality = self.size_part(t) * part(self.strength, t.full_strength).min(pose);
        if quality.is_finite() { quality } else { 0.0 }
    }

    /// What the view counts by its size alone: for whom it surely shows, however soft or turned.
    fn size_part(&self, t: &Thresholds) -> f32 {
        part(self.width_px, t.full_px)
    }
}

/// The square of the part that `value` is of `full`, 1 at most.
fn part(value: f32, full: f32) -> f32 {
    (value / full).powi(2).clamp(0.0, 1.0)
}

/// A refusing pupil who can be found.
#[derive(Debug)]
struct Wanted {
    pupil: PupilId,
    references: Vec<Embedding>,
    /// How much farther than usual a view has to be from this person's references to speak for
    /// somebody else.
    margin: f32,
    /// Whether too few recent photos are known.
    thin: bool,
}

impl Wanted {
    fn new(pupil: &PupilId, person: &Person, t: &Thresholds) -> Self {
        let references = person.references.clone();
        let margin = margin(&references, t);
        let thin = person.recent.min(references.len()) < RECENT_PHOTOS;
        Self { pupil: pupil.clone(), references, margin, thin }
    }

    fn cosine(&self, face: &Embedding) -> f32 {
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
    policy: Policy,
    thresholds: Thresholds,
    refused: Vec<Wanted>,
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
    fn recognised(&self, face: &Embedding, refused: f32) -> Option<(&PupilId, f32)> {
        self.closest_cleared(face)
            .filter(|(_, c)| *c >= self.thresholds.match_cleared && *c >= refused + MATCH_MARGIN)
    }

    fn closest_cleared(&self, face: &Embedding) -> Option<(&PupilId, f32)> {
        closest(&self.cleared, face)
    }

    /// The consenting person or member of staff whom a view is like: more than strangers are, and more
    /// than it is like any refused person.
    fn leans_to(&self, face: &Embedding, refused: f32) -> Option<(&PupilId, f32)> {
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

/// What speaks for one consenting person.
#[derive(Clone, Copy, Debug, Default)]
struct Match {
    /// The views that are surely theirs, and the same by size.
    views: u32,
    weight: f32,
    sum: f32,
    /// The views that are like nobody else listed, and the same by size.
    leaning: u32,
    leaning_weight: f32,
    leaning_sum: f32,
}

impl Match {
    /// What the views that are like them without being surely theirs add to those that are.
    fn leaned(&self) -> f32 {
        LEAN_WEIGHT * self.leaning_weight
    }
}

/// What the views of one track add up to.
#[derive(Clone, Debug)]
pub struct Evidence {
    state: State,
    /// Per refused person: sum of cosines over the comparable views that show nobody known, by quality.
    sums: BTreeMap<PupilId, f32>,
    /// How many those are, and their qualities.
    open: u32,
    weight: f32,
    /// All views, and their qualities.
    views: u32,
    seen: f32,
    /// Views that speak for clearance, by quality.
    clear: f32,
    /// The frontal ones of them.
    frontal: f32,
    /// Views that could be anybody's.
    doubtful: f32,
    closest: f32,
    matches: BTreeMap<PupilId, Match>,
    /// The track's own face: the sum of its views, by quality.
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
            weight: 0.0,
            views: 0,
            seen: 0.0,
            clear: 0.0,
            frontal: 0.0,
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

    /// Whether views so far speak for clearance, and a few more may be enough.
    #[must_use]
    pub fn is_promising(&self) -> bool {
        let likest = self.matches.values().map(|m| m.weight.max(m.leaned())).fold(0.0, f32::max);
        likest.max(self.clear - self.doubtful) >= PROMISING
    }

    /// How many views were compared.
    #[must_use]
    pub fn views(&self) -> u32 {
        self.views
    }

    /// The track's own face, as its views add up.
    fn face(&self) -> Option<Embedding> {
        Embedding::new(self.mean)
    }

    /// Whether a view may show somebody else than the views before it.
    #[must_use]
    pub fn drifts(&self, view: &View) -> bool {
        let least = if view.oblique || !view.reliable { DRIFT_OBLIQUE } else { DRIFT };
        self.face().is_some_and(|mean| mean.cosine(&view.embedding) < least)
    }

    /// Whether a view surely shows the person of the views before it, if there are any.
    #[must_use]
    pub fn is_same(&self, view: &View) -> bool {
        view.reliable && (self.views == 0 || self.is_alike(view))
    }

    /// Whether a view is as like the views before it as those of one person are.
    #[must_use]
    pub fn is_alike(&self, view: &View) -> bool {
        self.face().is_some_and(|mean| mean.cosine(&view.embedding) >= SAME)
    }

    /// Whether a view shows a refused person who took the place of the one seen before: unlike the views
    /// before it, turned as the head may be, of which none came near to anybody refused.
    #[must_use]
    pub fn is_passed(&self, view: &View, judge: &Judge) -> bool {
        let own = self.face().map_or(1.0, |mean| mean.cosine(&view.embedding));
        let refused = judge.refused_by(&view.embedding);
        self.is_well_told(judge)
            && own < DRIFT
            && refused.is_some_and(|(_, cosine)| cosine - own >= PASSED)
    }

    /// Whether this is somebody else than another track, all views of either taken together.
    #[must_use]
    pub fn is_unlike(&self, other: &Self, judge: &Judge) -> bool {
        let alike =
            self.face().zip(other.face()).is_none_or(|(own, their)| own.cosine(&their) >= DRIFT);
        self.is_well_told(judge) && other.seen >= ENOUGH_SEEN && !alike
    }

    /// Cleared, and no view of it came near to anybody refused.
    fn is_well_told(&self, judge: &Judge) -> bool {
        let t = judge.thresholds;
        // Turned heads resemble nobody much, themselves least of all.
        matches!(self.state, State::Cleared(_))
            && self.closest < t.clear
            && self.frontal >= t.clear_views
    }

    /// Whether a cleared face is still the same by one view: far more like its own earlier views than
    /// anybody else's, and no more like a refused person than any view that clears.
    #[must_use]
    pub fn goes_on_with(&self, view: &View, judge: &Judge) -> bool {
        let t = judge.thresholds;
        let clear = if view.oblique { t.clear_oblique } else { t.clear };
        let far = |w: &Wanted| w.cosine(&view.embedding) < clear - w.margin;
        let own = self.face().map_or(-1.0, |mean| mean.cosine(&view.embedding));
        let good = view.reliable
            && view.width_px >= t.clear_min_px
            && view.strength >= t.clear_strength_least;
        let nearest = judge.closest_refused(&view.embedding).map_or(-1.0, |(_, cosine)| cosine);
        let known = judge.recognised(&view.embedding, nearest).is_some();
        matches!(self.state, State::Cleared(_))
            && good
            && own >= SAME
            && (known || own >= SURELY_SAME || judge.refused.iter().all(far))
    }

    /// Whether enough was seen of a face that may be shown for another reason, and on the whole it
    /// is not that of anybody who refuses.
    #[must_use]
    pub fn is_unlike_refused(&self, judge: &Judge) -> bool {
        let far = |wanted: &Wanted| {
            let sum = self.sums.get(&wanted.pupil).copied().unwrap_or(f32::INFINITY);
            // Views that surely show somebody else are no views of theirs.
            self.open == 0 || sum / self.weight < judge.thresholds.clear - wanted.margin
        };
        let refused = matches!(self.state, State::Refused { .. });
        !refused && self.seen >= ENOUGH_SEEN && judge.refused.iter().all(far)
    }

    /// Notes that the track turned out to be a refused person's by what was seen elsewhere.
    pub fn recognise(&mut self, pupil: &PupilId, cosine: f32) {
        self.refuse(pupil, cosine);
    }

    /// Adds a view.
    pub fn add(&mut self, view: &View, judge: &Judge) {
        let t = judge.thresholds;
        if view.width_px < t.compare_min_px {
            return;
        }
        let quality = view.quality(&t);
        self.views += 1;
        self.seen += quality;
        let nearest = judge.closest_refused(&view.embedding).map_or(-1.0, |(_, cosine)| cosine);
        let known = judge
            .recognised(&view.embedding, nearest)
            .or_else(|| self.goes_on_as(&view.embedding, nearest, judge));
        for (sum, value) in self.mean.iter_mut().zip(view.embedding.as_slice()) {
            *sum += quality * value;
        }
        // Whoever is recognised as somebody else is not taken for a refused person whom they resemble.
        if known.is_none() {
            self.open += 1;
            self.weight += quality;
            for wanted in &judge.refused {
                let cosine = wanted.cosine(&view.embedding);
                let sum = self.sums.entry(wanted.pupil.clone()).or_default();
                *sum += quality * cosine;
                // The mean of two or more views; a single one has its own threshold.
                let several = self.open >= 2 && self.weight > 0.0;
                let mean = if several { *sum / self.weight } else { -1.0 };
                if cosine >= t.refuse || mean >= t.refuse_mean {
                    self.refuse(&wanted.pupil, cosine.max(mean));
                }
            }
        }
        self.closest = self.closest.max(nearest);
        if view.width_px < t.clear_min_px || !view.reliable {
            return;
        }
        if let Some((person, cosine)) = known {
            // Whatever is in the picture, it is like them; a face without strength is like nobody.
            let found = self.matches.entry(person.clone()).or_default();
            found.views += 1;
            found.weight += view.size_part(&t);
            found.sum += cosine;
        }
        if let Some((person, cosine)) = judge.leans_to(&view.embedding, nearest) {
            let found = self.matches.entry(person.clone()).or_default();
            found.leaning += 1;
            found.leaning_sum += cosine;
            found.leaning_weight += view.size_part(&t);
        }
        // Written so that a number that is none is no strength.
        let sharp = view.strength >= t.clear_strength_least;
        if !sharp {
            if !matches!(self.state, State::Refused { .. }) {
                self.state = self.clearance(judge).map_or(State::Undecided, State::Cleared);
            }
            return;
        }
        let clear = if view.oblique { t.clear_oblique } else { t.clear };
        if judge.refused.iter().all(|w| w.cosine(&view.embedding) < clear - w.margin) {
            self.clear += quality;
            if !view.oblique {
                self.frontal += quality;
            }
        } else {
            self.doubtful += 1.0;
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
                // Whoever can hardly be told makes everybody wait twice as long.
                let thin = judge.refused.iter().any(|wanted| wanted.thin);
                let needed = if thin { 2.0 * views } else { views };
                let told_apart = self.clear >= needed + self.doubtful;
                told_apart
                    .then_some(Reason::ToldApart { views: self.clear, closest: self.closest })
                    .or_else(|| self.matched(views))
                    .or_else(|| self.resembles(views, judge))
            }
            Policy::UnlessCleared => self.matched(views).or_else(|| self.resembles(views, judge)),
        }
    }

    /// The person whom a view shows who is a little like somebody refused too: the one whom the views
    /// before it surely show together, if it is surely like them as well.
    fn goes_on_as<'a>(
        &self,
        face: &Embedding,
        refused: f32,
        judge: &'a Judge,
    ) -> Option<(&'a PupilId, f32)> {
        let (person, cosine) = judge
            .closest_cleared(face)
            .filter(|(_, c)| *c >= judge.thresholds.match_cleared && *c >= refused + LEAN_MARGIN)?;
        let mean = self.face().filter(|_| matches!(self.state, State::Cleared(_)))?;
        if mean.cosine(face) < SAME {
            return None;
        }
        let nearest = judge.closest_refused(&mean).map_or(-1.0, |(_, cosine)| cosine);
        let (shown, _) = judge.recognised(&mean, nearest)?;
        (shown == person).then_some((person, cosine))
    }

    /// Whether the views together surely show somebody who may be seen, most of them being like that
    /// person one by one, and more like them than like anybody refused.
    fn resembles(&self, needed: f32, judge: &Judge) -> Option<Reason> {
        let mean = self.face()?;
        let nearest = judge.closest_refused(&mean).map_or(-1.0, |(_, cosine)| cosine);
        let (person, cosine) = judge.recognised(&mean, nearest)?;
        let found = self.matches.get(person)?;
        let each = found.leaning_sum / found.leaning.max(1) as f32;
        let enough =
            found.leaned() >= needed && 2 * found.leaning > self.views && each >= LEAN_MEAN;
        enough.then(|| Reason::Matched { person: person.clone(), cosine, views: found.leaning })
    }

    /// Whether at least `needed` views, and most of all, show one and the same person who may be
    /// seen.
    fn matched(&self, needed: f32) -> Option<Reason> {
        let (person, found) =
            self.matches.iter().max_by(|a, b| a.1.weight.total_cmp(&b.1.weight))?;
        let others: u32 =
            self.matches.iter().filter(|(id, _)| *id != person).map(|(_, m)| m.views).sum();
        let enough = found.weight >= needed && 2 * found.views > self.views + others;
        enough.then(|| Reason::Matched {
            person: person.clone(),
            cosine: found.sum / found.views as f32,
            views: found.views,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            Person { standing, references: vec![reference; photos], recent: photos }
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
        View { width_px, oblique: false, strength: 12.0, reliable: true, embedding }
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

    /// A refused person with two photos of which each is `alike` to the other, and how far from the
    /// nearer one a view is.
    fn spread(alike: f32, recent: usize) -> Judge {
        let mut gallery = gallery(2);
        let id: PupilId = "p-1".parse().expect("a pseudonym");
        let mut raw = [0.0; Embedding::LEN];
        (raw[0], raw[100]) = (alike, (1.0 - alike * alike).sqrt());
        let person = gallery.people.get_mut(&id).expect("listed");
        person.references[1] = Embedding::new(raw).expect("a direction");
        person.recent = recent;
        Judge::new(Policy::Refused, &gallery, Thresholds::built_in().expect("manifest"))
    }

    /// After how many views at this cosine a track is cleared.
    fn views_to_clear(judge: &Judge, cosine: f32, width: f32, strength: f32) -> Option<usize> {
        let mut evidence = Evidence::default();
        (1..=40).find(|_| {
            let view = View { strength, ..view(width, face(cosine, 0.0, 0)) };
            evidence.add(&view, judge);
            matches!(evidence.state(judge), State::Cleared(_))
        })
    }

    #[test]
    fn unlike_references_ask_for_more_distance() {
        for (alike, clears) in [(0.9, true), (0.6, true), (0.3, false)] {
            let judge = spread(alike, 2);
            assert_eq!(views_to_clear(&judge, 0.27, 80.0, 12.0).is_some(), clears, "{alike}");
            assert_eq!(views_to_clear(&judge, 0.20, 80.0, 12.0), Some(3), "{alike}");
        }
    }

    #[test]
    fn one_recent_photo_takes_twice_the_views() {
        assert_eq!(views_to_clear(&spread(0.9, 1), 0.1, 80.0, 12.0), Some(6));
        assert_eq!(views_to_clear(&spread(0.9, 0), 0.1, 80.0, 12.0), Some(6));
    }

    #[test]
    fn small_and_soft_views_count_less() {
        let judge = spread(0.9, 2);
        assert_eq!(views_to_clear(&judge, 0.1, 33.0, 12.0), Some(5));
        assert_eq!(views_to_clear(&judge, 0.1, 80.0, 8.9), Some(5));
        assert_eq!(views_to_clear(&judge, 0.1, 80.0, f32::NAN), None);
    }

    #[test]
    fn a_soft_face_is_shown_for_whom_it_is_like_and_never_for_being_unlike() {
        for policy in [Policy::Refused, Policy::UnlessCleared] {
            let judge = judge(policy);
            let (mut friend, mut stranger) = (Evidence::default(), Evidence::default());
            for i in 0..20 {
                let soft = |face| View { strength: 8.0, oblique: true, ..view(80.0, face) };
                friend.add(&soft(face(0.1, 0.6, i)), &judge);
                stranger.add(&soft(face(0.1, 0.1, i)), &judge);
            }
            let shown = matches!(friend.state(&judge), State::Cleared(Reason::Matched { .. }));
            assert!(shown, "{policy}");
            assert_eq!(stranger.state(&judge), State::Undecided);
        }
    }

    #[test]
    fn only_a_cleared_face_goes_on_and_only_with_a_view_like_its_own() {
        let judge = judge(Policy::Refused);
        let mut evidence = Evidence::default();
        let same = view(80.0, face(0.1, 0.0, 0));
        assert!(!evidence.goes_on_with(&same, &judge));
        for _ in 0..3 {
            assert!(!evidence.goes_on_with(&same, &judge));
            evidence.add(&same, &judge);
        }
        assert!(evidence.goes_on_with(&same, &judge));
        let soft = View { strength: 8.0, ..same.clone() };
        let small = View { width_px: 30.0, ..same.clone() };
        let near = view(80.0, face(0.35, 0.0, 1));
        let other = view(80.0, face(0.1, 0.0, 1));
        for view in [soft, small, near, other] {
            assert!(!evidence.goes_on_with(&view, &judge), "{view:?}");
        }
        evidence.add(&view(80.0, face(0.5, 0.0, 0)), &judge);
        assert!(!evidence.goes_on_with(&same, &judge), "refused");
    }

    #[test]
    fn views_that_are_each_a_little_like_a_person_show_together_who_it_is() {
        for policy in [Policy::Refused, Policy::UnlessCleared] {
            let judge = judge(policy);
            // Noise of its own in every view, so that their mean is nearer than any of them.
            let shown = |refused: f32, consented: f32| {
                let mut evidence = Evidence::default();
                for i in 0..20 {
                    let soft = View { strength: 8.0, ..view(80.0, face(refused, consented, i)) };
                    evidence.add(&soft, &judge);
                }
                matches!(evidence.state(&judge), State::Cleared(Reason::Matched { .. }))
            };
            assert!(shown(0.1, 0.47), "{policy}");
            // Like nobody, and nearly as much like a refused person as like the consenting one.
            assert!(!shown(0.1, 0.38) && !shown(0.38, 0.42), "{policy}");
        }
    }

    #[test]
    fn whoever_takes_the_place_of_a_cleared_face_leaves_its_past_alone() {
        let judge = judge(Policy::Refused);
        let mut cleared = Evidence::default();
        for _ in 0..4 {
            cleared.add(&view(80.0, face(0.25, 0.0, 0)), &judge);
        }
        assert!(matches!(cleared.state(&judge), State::Cleared(_)));
        let turned = |refused| View { oblique: true, ..view(80.0, face(refused, 0.0, 1)) };
        let strong = turned(0.8);
        assert!(!cleared.drifts(&strong) && cleared.is_passed(&strong, &judge));
        assert!(!cleared.is_passed(&turned(0.3), &judge), "no strong match");
        let own = view(80.0, face(0.6, 0.0, 0));
        assert!(!cleared.is_passed(&own, &judge), "like the views before it");
        let mut refused = Evidence::default();
        (0..3).for_each(|_| refused.add(&view(80.0, face(0.95, 0.0, 1)), &judge));
        assert!(cleared.is_unlike(&refused, &judge) && !refused.is_unlike(&cleared, &judge));
        // Once a view came near to a refused person, it may have been that person all the time.
        cleared.add(&view(80.0, face(0.32, 0.0, 0)), &judge);
        assert!(!cleared.is_passed(&strong, &judge) && !cleared.is_unlike(&refused, &judge));
    }

    #[test]
    fn one_view_between_two_people_is_of_the_one_seen_before() {
        let judge = judge(Policy::Refused);
        let between = view(80.0, face(0.42, 0.52, 0));
        let mut fresh = Evidence::default();
        fresh.add(&between, &judge);
        assert!(matches!(fresh.state(&judge), State::Refused { .. }));
        let mut known = Evidence::default();
        for i in 0..4 {
            known.add(&view(80.0, face(0.1, 0.7, i)), &judge);
        }
        known.add(&between, &judge);
        assert!(matches!(known.state(&judge), State::Cleared(_)));
        // A sibling's view is between them too, and unlike the views before it.
        let mut other = known.clone();
        other.add(&view(80.0, face(0.46, 0.52, 9)), &judge);
        assert!(matches!(other.state(&judge), State::Refused { .. }));
        known.add(&view(80.0, face(0.42, 0.43, 0)), &judge);
        assert!(matches!(known.state(&judge), State::Refused { .. }));
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
        others.people.insert(id, Person { standing: Standing::Refused, references, recent: 2 });
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

    fn any_view() -> impl Strategy<Value = View> {
        let number = (0usize..100, 10.0..200.0f32, 4.0..14.0f32);
        (-0.3..0.95f32, 0.0..0.3f32, number, any::<bool>(), any::<bool>()).prop_map(
            |(refused, friendly, (other, width_px, strength), oblique, reliable)| View {
                width_px,
                oblique,
                strength,
                reliable,
                embedding: face(refused, friendly, other),
            },
        )
    }

    fn after<'a>(views: impl IntoIterator<Item = &'a View>, judge: &Judge) -> State {
        let mut evidence = Evidence::default();
        views.into_iter().for_each(|view| evidence.add(view, judge));
        evidence.state(judge)
    }

    proptest! {
        #[test]
        fn a_strong_match_wins_in_any_order(
            views in proptest::collection::vec(any_view(), 1..30).prop_shuffle(),
            unless in any::<bool>(), alike in 0.0..1.0f32,
        ) {
            let judge = Judge {
                policy: if unless { Policy::UnlessCleared } else { Policy::Refused },
                ..spread(alike, 2)
            };
            let strong = |v: &View| judge.comparable(v.width_px) && judge.is_refused(&v.embedding);
            if views.iter().any(strong) {
                let refused = |state| matches!(state, State::Refused { .. });
                prop_assert!(refused(after(&views, &judge)));
                prop_assert!(refused(after(views.iter().rev(), &judge)));
            }
        }

        #[test]
        fn more_views_of_a_refused_person_never_show_anybody(
            views in proptest::collection::vec(any_view(), 0..20),
            more in proptest::collection::vec((0.3..0.95f32, any::<prop::sample::Index>()), 1..10),
            alike in 0.0..1.0f32,
        ) {
            let judge = spread(alike, 2);
            let shown = |state| matches!(state, State::Cleared(_));
            let before = after(&views, &judge);
            let mut longer = views.clone();
            for (i, (cosine, place)) in more.iter().enumerate() {
                let at = place.index(longer.len() + 1);
                longer.insert(at, view(90.0, face(*cosine, 0.0, i)));
            }
            if !shown(before.clone()) {
                prop_assert!(!shown(after(&longer, &judge)), "{before:?}");
            }
            if matches!(before, State::Refused { .. }) {
                let then = views.iter().chain(&longer[..1]);
                let kept = matches!(after(then, &judge), State::Refused { .. });
                prop_assert!(kept);
            }
        }

        #[test]
        fn a_margin_only_ever_asks_for_more(
            views in proptest::collection::vec(any_view(), 0..30), alike in 0.0..0.6f32,
        ) {
            let strict = spread(alike, 2);
            let mut plain = spread(alike, 2);
            plain.refused[0].margin = 0.0;
            prop_assert!(strict.refused[0].margin >= 0.0);
            let (with, without) = (after(&views, &strict), after(&views, &plain));
            if matches!(with, State::Cleared(_)) {
                prop_assert!(matches!(without, State::Cleared(_)));
            }
            prop_assert_eq!(
                matches!(with, State::Refused { .. }), matches!(without, State::Refused { .. })
            );
        }

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
