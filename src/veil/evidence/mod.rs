//! What is known of each track: views are compared with the gallery and add up to a state.
//!
//! Pure: no clock, no file. One strong match to a refused person is never outvoted, whatever came
//! before or comes after; clearing needs several good views, all of them far from every refused
//! person. How far depends on the person: whose own photos differ much asks for more distance.

mod judge;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

pub use self::judge::{Judge, View};
use self::judge::{LEAN_MARGIN, Wanted};
use super::policy::Policy;
use crate::{units::PupilId, vision::identify::Embedding};

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

    /// Whether a view surely shows somebody else in the place of a refused person, one who may be seen. People
    /// may resemble each other by more than views of somebody else are told by.
    #[must_use]
    pub fn is_left(&self, view: &View, judge: &Judge) -> bool {
        let refused = judge.closest_refused(&view.embedding).map_or(-1.0, |(_, cosine)| cosine);
        matches!(self.state, State::Refused { .. })
            && view.reliable
            && !view.oblique
            && !self.is_alike(view)
            && judge.recognised(&view.embedding, refused).is_some()
    }

    /// Whether a view shows a refused person, and the views here, all together, surely somebody who may be seen.
    #[must_use]
    pub fn is_another(&self, view: &View, judge: &Judge) -> bool {
        let Some(own) = self.face() else { return false };
        let refused = judge.closest_refused(&own).map_or(-1.0, |(_, cosine)| cosine);
        let alike = own.cosine(&view.embedding);
        matches!(self.state, State::Cleared(Reason::Matched { .. }))
            && self.seen >= ENOUGH_SEEN
            && judge.recognised(&own, refused).is_some()
            && alike < SAME
            && judge.refused_by(&view.embedding).is_some_and(|(_, c)| c - alike >= PASSED)
    }

    /// Whether this is somebody else than another track, all views of either taken together.
    #[must_use]
    pub fn is_unlike(&self, other: &Self, judge: &Judge) -> bool {
        let alike =
            self.face().zip(other.face()).is_none_or(|(own, their)| own.cosine(&their) >= DRIFT);
        self.is_well_told(judge) && other.seen >= ENOUGH_SEEN && !alike
    }

    /// Whether this is surely the same refused person as another track.
    #[must_use]
    pub fn is_also(&self, other: &Self, judge: &Judge) -> bool {
        let (State::Refused { pupil, .. }, State::Refused { pupil: theirs, .. }) =
            (&self.state, &other.state)
        else {
            return false;
        };
        let shows =
            |face: &Embedding| judge.refused_by(face).is_some_and(|(shown, _)| shown == pupil);
        let seen = self.seen >= ENOUGH_SEEN && other.seen >= ENOUGH_SEEN;
        let faces = self.face().zip(other.face());
        pupil == theirs
            && seen
            && faces.is_some_and(|(a, b)| a.cosine(&b) >= SAME && shows(&a) && shows(&b))
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
