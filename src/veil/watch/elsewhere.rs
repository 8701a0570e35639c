//! Where somebody refused who is out of sight was surely seen again, so that nothing has to be held for him any
//! more where he was.

use std::time::Duration;

use super::{Watcher, known::Known};
use crate::{
    units::Pts,
    veil::decide::Elsewhere,
    vision::track::{Sighting, Track},
};

/// Who is held was surely seen this near in time to where his track ends: it may show somebody else later.
const SURE_WITHIN: Duration = Duration::from_millis(1100);

/// The first and the last sighting that surely show the track's person; none where that is in doubt.
struct Sure<'a> {
    known: &'a Known,
    first: (u64, Pts),
    last: (u64, Pts),
}

impl<'a> Sure<'a> {
    fn of(known: &'a Known) -> Option<Self> {
        let since = known.since.unwrap_or(Pts::ZERO);
        let mut views = known.agreed.iter().filter(|view| view.firm && view.pts >= since);
        let first = views.next()?;
        let last = views.next_back().unwrap_or(first);
        let (first, last) = ((first.seq, first.pts), (last.seq, last.pts));
        (known.evidence.was_refused() && !known.is_broken()).then_some(Self { known, first, last })
    }
}

impl Watcher {
    /// From which frame on, and up to which, a refused track's person was surely seen as another track. Two faces
    /// of one picture are two people.
    pub(super) fn elsewhere(&self, track: &Track) -> Elsewhere {
        let mut elsewhere = Elsewhere::default();
        let Some((own, begins, ended)) = self.sure(track) else { return elsewhere };
        let (starts_sure, ends_sure) = (
            own.first.1.since(begins.pts) <= SURE_WITHIN,
            ended.pts.since(own.last.1) <= SURE_WITHIN,
        );
        for other in self.tracker.tracks() {
            let Some((their, their_begin, their_end)) = self.sure(other) else { continue };
            let later = their_begin.seq > ended.seq && ends_sure;
            let earlier = their_end.seq < begins.seq && starts_sure;
            if !(later || earlier)
                || !own.known.evidence.is_also(&their.known.evidence, &self.judge)
            {
                continue;
            }
            if later {
                let from = elsewhere.from.map_or(their.first.0, |from| from.min(their.first.0));
                elsewhere.from = Some(from);
            } else {
                let until = elsewhere.until.map_or(their.last.0, |until| until.max(their.last.0));
                elsewhere.until = Some(until);
            }
        }
        elsewhere
    }

    /// What is surely known of a refused track, and its first and last sighting.
    fn sure<'a>(&'a self, track: &'a Track) -> Option<(Sure<'a>, &'a Sighting, &'a Sighting)> {
        let known = self.known.get(&track.id)?;
        Some((Sure::of(known)?, track.sightings.front()?, track.sightings.back()?))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{known::Agreed, staged::Stage},
        *,
    };
    use crate::{frame::Rect, units::TrackId, veil::evidence::View, vision::Detection};

    fn at(seq: u64) -> Pts {
        Pts::from_nanos(seq * 40_000_000)
    }

    /// The man of the film, as one track from frame 0 to 10, and as another one from `again` to 40, each surely
    /// seen `after` frames after it begins.
    fn seen_twice(again: u64, after: u64) -> (Watcher, [TrackId; 2]) {
        let Stage { mut watcher, face, own, wanted, .. } = Stage::new();
        watcher.judge = wanted;
        let place = |x: f32| Detection { rect: Rect { x, w: 60.0, h: 80.0, ..face.rect }, ..face };
        let mut ids = [TrackId(0); 2];
        for seq in 0..=40 {
            let first = (seq <= 10).then(|| place(0.0));
            let second = (seq >= again).then(|| place(400.0));
            let found: Vec<Detection> = first.into_iter().chain(second).collect();
            for (id, face) in watcher.tracker.step(seq, at(seq), &found, false) {
                ids[usize::from(face.rect.x > 200.0)] = id;
            }
        }
        for (id, begins) in ids.into_iter().zip([0, again]) {
            let known = watcher.known.entry(id).or_default();
            let (width_px, embedding) = (80.0, own.clone());
            let view = View { width_px, oblique: false, strength: 12.0, reliable: true, embedding };
            known.evidence.add(&view, &watcher.judge);
            let seq = begins + after;
            known.agreed.push_back(Agreed { seq, pts: at(seq), firm: true });
        }
        (watcher, ids)
    }

    fn elsewhere(watcher: &Watcher, id: TrackId) -> Elsewhere {
        let track = watcher.tracker.tracks().iter().find(|t| t.id == id).expect("remembered");
        watcher.elsewhere(track)
    }

    #[test]
    fn who_was_surely_seen_again_is_elsewhere_from_that_view_on_and_was_up_to_the_last() {
        let (watcher, [one, two]) = seen_twice(20, 3);
        assert_eq!(elsewhere(&watcher, one), Elsewhere { until: None, from: Some(23) });
        assert_eq!(elsewhere(&watcher, two), Elsewhere { until: Some(3), from: None });
    }

    #[test]
    fn any_doubt_of_either_track_leaves_what_is_held() {
        let nowhere = Elsewhere::default();
        // Both in one picture.
        let (watcher, ids) = seen_twice(10, 3);
        assert_eq!(ids.map(|id| elsewhere(&watcher, id)), [nowhere; 2]);
        for doubted in [0, 1] {
            // It looks like another one since.
            let (mut watcher, ids) = seen_twice(20, 3);
            let known = watcher.known.get_mut(&ids[doubted]).expect("known");
            known.doubts.push_back(at(30));
            assert_eq!(ids.map(|id| elsewhere(&watcher, id)), [nowhere; 2], "{doubted}");
            // No view says that it is still the same.
            let (mut watcher, ids) = seen_twice(20, 3);
            watcher.known.get_mut(&ids[doubted]).expect("known").agreed[0].firm = false;
            assert_eq!(ids.map(|id| elsewhere(&watcher, id)), [nowhere; 2], "{doubted}");
        }
        // Who was sure long after the beginning only may have come in between.
        let (mut watcher, [one, two]) = seen_twice(20, 3);
        let known = watcher.known.get_mut(&two).expect("known");
        known.agreed[0] = Agreed { seq: 20 + 40, pts: at(20 + 40), firm: true };
        assert_eq!(elsewhere(&watcher, two), nowhere);
        assert_eq!(elsewhere(&watcher, one).from, Some(60), "not before it is sure who he is");
    }
}
