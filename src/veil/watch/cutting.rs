//! Where a track may have gone over from one person to another: it is cut there, what was known stays with
//! the first part, and the second earns its clearance anew.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::evidence::{Evidence, State, View},
    RELIABLE_SCORE, Watcher,
    known::{Before, Known},
};
use crate::{
    frame::Rect,
    units::{Pts, TrackId},
    vision::{Detection, track::Track},
};

/// Faces that overlap a face with another standing by this much may have changed hands.
pub(super) const MERGE_OVERLAP: f32 = 0.1;
/// They have not where each overlaps its own box of one frame ago by at least the first of these, and
/// that of the other by at most the second.
const STAYS: f32 = 0.6;
const STRAYS: f32 = 0.3;
/// A face that was seen this recently and is now covered may be behind the one in front.
const OCCLUDED_FOR: Duration = Duration::from_secs(1);
/// A cleared face that was not seen for longer than this may be somebody else when it returns.
const UNSEEN: Duration = Duration::from_millis(500);
/// The detector misses a face that is in view for no more frames than this in a row.
const MISSED: u64 = 3;

/// Where a face is, and where it was one frame ago if it was seen then and now.
#[derive(Clone, Copy, Debug)]
struct Step {
    now: Rect,
    before: Option<Rect>,
}

impl Step {
    fn of(track: &Track, seq: u64) -> Self {
        let mut latest = track.sightings.iter().rev();
        let now = latest.next();
        let before = latest.next().filter(|before| before.seq + 1 == seq);
        let is_new = now.is_some_and(|now| now.seq == seq);
        Self {
            now: now.map(|now| now.rect).unwrap_or_default(),
            before: before.filter(|_| is_new).map(|before| before.rect),
        }
    }

    /// Whether two faces that overlap cannot have changed places since the frame before: both were
    /// seen then and now, each where it was, and neither where the other was.
    fn keeps_apart_from(&self, other: &Self) -> bool {
        let Some((own, their)) = self.before.zip(other.before) else { return false };
        let keeps = |before: Rect, now: Rect| before.iou(now) >= STAYS;
        let strays = |before: Rect, now: Rect| before.iou(now) > STRAYS;
        keeps(own, self.now)
            && keeps(their, other.now)
            && !strays(own, other.now)
            && !strays(their, self.now)
    }
}

impl Watcher {
    /// Where a cleared face meets one of another standing, or comes back after it was not seen, the
    /// tracker may confuse two people: the track is cut before this frame and earns its clearance
    /// again.
    pub(super) fn doubt_merged(&mut self, seq: u64, pts: Pts, seen: &mut [(TrackId, Detection)]) {
        let hidden: Vec<(TrackId, Step)> = self
            .tracker
            .tracks()
            .iter()
            .filter(|t| match self.state(t.id) {
                State::Cleared(_) => false,
                State::Refused { .. } => t.live,
                // A chandelier that is taken for a face now and then is veiled, but nobody's track
                // can change hands with it.
                State::Undecided => {
                    t.live && t.best_score >= RELIABLE_SCORE && !self.is_cleared(t.id, pts)
                }
            })
            .filter(|t| t.last().is_some_and(|last| pts.since(last.pts) <= OCCLUDED_FOR))
            .map(|t| (t.id, Step::of(t, seq)))
            .collect();
        let own: BTreeMap<TrackId, Step> =
            self.tracker.tracks().iter().map(|t| (t.id, Step::of(t, seq))).collect();
        for (id, detection) in seen {
            let apart = |other: &Step| own.get(id).is_some_and(|own| own.keeps_apart_from(other));
            let meets = |(_, other): &&(TrackId, Step)| {
                other.now.iou(detection.rect) > MERGE_OVERLAP && !apart(other)
            };
            let met: Vec<TrackId> = hidden.iter().filter(meets).map(|(other, _)| *other).collect();
            if !(self.is_cleared(*id, pts) && (!met.is_empty() || self.returns(*id))) {
                continue;
            }
            for other in met {
                let refused = matches!(self.state(other), State::Refused { .. });
                if let Some(known) = self.known.get_mut(&other).filter(|_| refused) {
                    known.met(pts);
                }
            }
            if let Some(new) = seq.checked_sub(1).and_then(|s| self.tracker.split(*id, s)) {
                let before = Some(Before { track: *id, unbroken: false });
                // What it looked like goes along: the next change is to be seen.
                let look = self.known.get(id).map(|known| known.look).unwrap_or_default();
                self.known.insert(new, Known { look, before, ..Known::default() });
                *id = new;
            }
        }
    }

    /// Whether a track is seen again after a time in which its face was not found.
    fn returns(&self, id: TrackId) -> bool {
        let track = self.tracker.tracks().iter().find(|t| t.id == id);
        let mut latest = track.into_iter().flat_map(|t| t.sightings.iter().rev());
        match (latest.next(), latest.next()) {
            // Two frames that follow each other are no such time, however slow the camera.
            (Some(now), Some(before)) => {
                now.seq > before.seq + 1 && now.pts.since(before.pts) > UNSEEN
            }
            _ => false,
        }
    }

    /// Adds a view to a track, or to a new one where it may show somebody else. Returns the track.
    pub(super) fn add_view(&mut self, id: TrackId, seq: u64, pts: Pts, view: &View) -> TrackId {
        let known = self.known.entry(id).or_default();
        let agreed_until = known.agreed.back().map(|view| view.seq);
        let unbroken = !known.is_broken();
        let was_away = agreed_until.is_some_and(|last| self.was_away(id, last));
        let known = self.known.entry(id).or_default();
        if known.changed {
            // However alike it is: what was seen just before may have been somebody else.
            known.doubts.push_back(pts);
        }
        known.changed = false;
        let refused = known.evidence.was_refused();
        let doubts = known.doubts.clone();
        let cleared = matches!(self.state(id), State::Cleared(_));
        let mut owner = id;
        let resumed = self.resumed(id, view);
        let known = self.known.entry(id).or_default();
        if let Some(evidence) = resumed {
            // What was seen since the cut, up to this view, may have been somebody else.
            let unsure = known.evidence.views() > 0 || !unbroken;
            known.since = unsure.then_some(pts).or(known.since);
            known.resume(evidence);
        } else if (known.evidence.drifts(view)
            || known.evidence.is_left(view, &self.judge)
            || ((was_away || !unbroken) && known.evidence.is_passed(view, &self.judge)))
            && let Some(new) = agreed_until.and_then(|last| self.tracker.split(id, last))
        {
            owner = new;
            let evidence = if refused { Evidence::after_refused() } else { Evidence::default() };
            let before = Some(Before { track: id, unbroken: unbroken && !was_away });
            let since = (!cleared).then_some(pts);
            let look = known.look;
            let known = Known { evidence, look, doubts, before, since, ..Known::default() };
            self.known.insert(owner, known);
        }
        let known = self.known.entry(owner).or_default();
        known.agree(seq, pts, view, unbroken);
        known.evidence.add(view, &self.judge);
        known.tried = Some((seq, pts));
        self.reach_back(owner, view);
        owner
    }

    /// Whether a face was out of sight for longer than the detector misses one, since frame `last`.
    fn was_away(&self, id: TrackId, last: u64) -> bool {
        let track = self.tracker.tracks().iter().find(|t| t.id == id);
        let sightings = track.map(|t| &t.sightings).into_iter().flatten().rev();
        let lately = sightings.map(|s| s.seq).take_while(|&seq| seq >= last);
        lately.clone().zip(lately.skip(1)).any(|(now, before)| now - before > MISSED)
    }

    /// What was known of a face before its track was cut, where a view after it surely shows the same
    /// face and nothing was found out about it since.
    fn resumed(&self, id: TrackId, view: &View) -> Option<Evidence> {
        let undecided = |known: &Known| known.evidence.state(&self.judge) == State::Undecided;
        let mut known = self.known.get(&id).filter(|&known| undecided(known))?;
        while undecided(known) {
            known = self.known.get(&known.before?.track)?;
        }
        known.evidence.goes_on_with(view, &self.judge).then(|| known.evidence.clone())
    }

    /// Where a view shows a refused person, the tracks that its own was cut from are refused too if
    /// they may be the same person's.
    fn reach_back(&mut self, id: TrackId, view: &View) {
        let Some((pupil, cosine)) = self.judge.refused_by(&view.embedding) else { return };
        let Some(own) = self.known.get(&id) else { return };
        if !matches!(own.evidence.state(&self.judge), State::Refused { .. }) {
            return;
        }
        let (own, mut before) = (own.evidence.clone(), own.before);
        while let Some(Before { track, unbroken }) = before {
            let Some(known) = self.known.get_mut(&track) else { return };
            let passed = known.evidence.is_passed(view, &self.judge)
                || known.evidence.is_another(view, &self.judge)
                || known.evidence.is_unlike(&own, &self.judge);
            if !unbroken && (known.evidence.drifts(view) || passed) {
                return;
            }
            known.evidence.recognise(pupil, cosine);
            before = known.before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faces_that_overlap_keep_apart_only_where_each_stays() {
        let face = |x: f32| Rect::new(x, 0.0, 50.0, 60.0);
        let step =
            |before: Option<f32>, now: f32| Step { now: face(now), before: before.map(face) };
        let other = step(Some(38.0), 36.0);
        assert!(step(Some(0.0), 3.0).keeps_apart_from(&other));
        // Not seen before, gone where the other was, or too close to tell.
        for own in [step(None, 3.0), step(Some(0.0), 36.0), step(Some(25.0), 22.0)] {
            assert!(!own.keeps_apart_from(&other), "{own:?}");
        }
    }
}
