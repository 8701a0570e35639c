//! What a watcher knows of one track besides what its views mean: when they agreed, and when the face
//! may have become another's.

use std::{collections::VecDeque, time::Duration};

use super::super::evidence::{Evidence, Judge, View};
use crate::{
    units::{Pts, TrackId},
    vision::glance::Glance,
};

/// Glances that are kept of a face at its latest comparisons.
const SETTLED: usize = 4;
/// A cleared face is shown from this long before a view that agrees with the ones before it ...
const CONFIRMED_BEFORE: Duration = Duration::from_secs(2);
/// ... to this long after.
const CONFIRMED_AFTER: Duration = Duration::from_millis(600);

#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) evidence: Evidence,
    /// Views that did not contradict the ones before, as far back as the ring reaches.
    pub(super) agreed: VecDeque<Agreed>,
    /// The last frame in which a comparison was tried.
    pub(super) tried: Option<(u64, Pts)>,
    /// How much more often it was compared lately because it looked like another one than in its turn.
    pub(super) hurries: u32,
    /// How many more looks were not sure that it is a face than were.
    pub(super) unsure: u32,
    /// Whether it was seen before, and what it looked like then, if that could be told.
    pub(super) look: (bool, Option<Glance>),
    /// The same at its latest comparisons that surely showed one person.
    pub(super) settled: VecDeque<Glance>,
    /// The face looks like another one all of a sudden.
    pub(super) changed: bool,
    /// When it did so: what was seen on one side of such a moment
    /// says nothing of the other.
    pub(super) doubts: VecDeque<Pts>,
    /// The track it was cut from.
    pub(super) before: Option<Before>,
    /// It was cut from one that was not cleared, after a view that resembled it too little: what was
    /// seen before this view may still have been the other.
    pub(super) since: Option<Pts>,
}

/// A view that did not contradict the ones before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    pub(super) seq: u64,
    pub(super) pts: Pts,
    /// Whether it says that the person is the same, and not just that it may be.
    pub(super) firm: bool,
}

/// What a track was cut from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) track: TrackId,
    /// Whether the face was seen all the time and never looked like another one: then it was the
    /// same, whatever comparisons said.
    pub(super) unbroken: bool,
}

impl Known {
    /// Takes what was known of a face before its track was cut. What was settled since may be of
    /// whoever was there in between.
    pub(super) fn resume(&mut self, evidence: Evidence) {
        self.evidence = evidence;
        self.settled.clear();
    }

    /// Forgets what comparing with another list said, but the refusals that still hold.
    pub(super) fn under(&mut self, judge: &Judge) {
        self.evidence = self.evidence.under(judge);
        self.agreed.clear();
        self.settled.clear();
        self.tried = None;
    }

    /// Whether the face looked like another one since the last view that agreed.
    pub(super) fn is_broken(&self) -> bool {
        let agreed = self.agreed.iter().rev().find(|view| view.firm).map(|view| view.pts);
        self.changed || self.doubts.back().is_some_and(|&doubt| agreed.is_none_or(|at| doubt > at))
    }

    /// Notes that it is compared now.
    pub(super) fn compared(&mut self, seq: u64, pts: Pts) {
        self.tried = Some((seq, pts));
        self.hurries = if self.is_broken() {
            self.hurries.saturating_add(1)
        } else {
            self.hurries.saturating_sub(1)
        };
    }

    /// Notes that whoever was cleared may be in its place now: it is compared in a hurry, as if for the first
    /// time.
    pub(super) fn met(&mut self, pts: Pts) {
        self.hurries = 0;
        if self.doubts.back() != Some(&pts) {
            self.doubts.push_back(pts);
        }
    }

    /// Takes the latest look, and notes whether it is all of a sudden another.
    pub(super) fn take(&mut self, now: Option<&Glance>) {
        let (seen, before) = std::mem::replace(&mut self.look, (true, now.copied()));
        self.changed = match (before, now) {
            _ if !seen => false,
            // A face that trembles is like one of its own, if not like the last.
            (Some(before), Some(now)) => {
                !(before.is_like(now) || (self.settles(&before) && self.settles(now)))
            }
            // A face that cannot be compared with what was there before may be another one.
            _ => true,
        };
    }

    /// Takes a view that did not contradict the ones before; `unbroken` says that the face never looked
    /// like another one since the last of them.
    pub(super) fn agree(&mut self, seq: u64, pts: Pts, view: &View, unbroken: bool) {
        let alike = self.evidence.is_alike(view);
        self.agreed.push_back(Agreed { seq, pts, firm: view.reliable || alike });
        if !unbroken && !alike {
            self.settled.clear();
        }
        if self.evidence.is_same(view) {
            self.settled.extend(self.look.1);
            self.settled.drain(..self.settled.len().saturating_sub(SETTLED));
        }
    }

    /// Whether a glance is like one at a face that was surely this person's.
    fn settles(&self, glance: &Glance) -> bool {
        self.settled.iter().any(|settled| settled.is_like(glance))
    }

    /// Whether a view close enough to `pts` says that the track is still the same person.
    pub(super) fn confirms(&self, pts: Pts) -> bool {
        if self.since.is_some_and(|since| pts < since) {
            return false;
        }
        let near = |view: Pts| {
            if view >= pts {
                view.since(pts) <= CONFIRMED_BEFORE
            } else {
                pts.since(view) <= CONFIRMED_AFTER
            }
        };
        let apart =
            |view: Pts| self.doubts.iter().any(|&d| view.min(pts) < d && d <= view.max(pts));
        self.agreed.iter().any(|view| view.firm && near(view.pts) && !apart(view.pts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameSize, I420View, Point};

    #[test]
    fn what_was_cut_from_an_uncleared_track_is_confirmed_from_its_own_view_on() {
        let at = |ms: u64| Pts::from_nanos(ms * 1_000_000);
        let mut known = Known::default();
        known.agreed.push_back(Agreed { seq: 120, pts: at(4000), firm: false });
        assert!(!known.confirms(at(4000)), "it may be the same is not that it is");
        known.agreed.push_back(Agreed { seq: 120, pts: at(4000), firm: true });
        assert!(known.confirms(at(2100)) && known.confirms(at(4500)));
        known.since = Some(at(4000));
        assert!(!known.confirms(at(3900)) && known.confirms(at(4000)) && known.confirms(at(4500)));
    }

    #[test]
    fn hurries_are_counted_while_a_face_looks_like_another_one() {
        let at = |ms: u64| Pts::from_nanos(ms * 1_000_000);
        let mut known = Known::default();
        known.doubts.push_back(at(1000));
        for tries in 1..=3 {
            known.compared(30 + u64::from(tries), at(1000));
            assert_eq!(known.hurries, tries);
        }
        // It was the same, and then again another one: a face that trembles is soon compared in its turn.
        known.agreed.push_back(Agreed { seq: 40, pts: at(1300), firm: true });
        known.take(None);
        known.take(None);
        known.compared(45, at(1500));
        assert_eq!((known.changed, known.hurries), (true, 4));
        known.changed = false;
        for (tries, left) in [3, 2, 1, 0, 0].into_iter().enumerate() {
            known.compared(50 + tries as u64, at(1600));
            assert_eq!(known.hurries, left);
        }
    }

    #[test]
    fn a_refused_face_that_another_met_is_compared_in_a_hurry_again() {
        let at = |ms: u64| Pts::from_nanos(ms * 1_000_000);
        let mut known = Known { hurries: 9, ..Known::default() };
        known.agreed.push_back(Agreed { seq: 30, pts: at(1000), firm: true });
        assert!(!known.is_broken());
        known.met(at(1100));
        known.met(at(1100));
        assert_eq!((known.is_broken(), known.hurries, known.doubts.len()), (true, 0, 1));
    }

    #[test]
    fn a_face_that_trembles_stays_the_same_and_one_that_is_replaced_does_not() {
        let size = FrameSize::new(64, 64);
        // The same marks before a face of stripes: each way of striping is another face.
        let glance = |stripe: &dyn Fn(usize, usize) -> usize| {
            let y: Vec<u8> = (0..64 * 64)
                .map(|i| if stripe(i % 64, i / 64).is_multiple_of(2) { 0 } else { 160 })
                .collect();
            let chroma = [128; 32 * 32];
            let (u, v) = (&chroma[..], &chroma[..]);
            let view = I420View { size, y: &y, u, v, luma_stride: 64, chroma_stride: 32 };
            let landmarks = [(22.0, 26.0), (42.0, 26.0), (32.0, 36.0), (24.0, 46.0), (40.0, 46.0)];
            Glance::at(&view, &landmarks.map(|(x, y)| Point { x, y }))
        };
        let (one, same) = (glance(&|x, _| x / 8), glance(&|_, y| y / 8));
        let other = glance(&|x, y| (x + y) / 12);
        let mut known =
            Known { settled: [one, same].into_iter().flatten().collect(), ..Known::default() };
        let changes = |known: &mut Known, glances: &[Option<Glance>]| -> Vec<bool> {
            let changed = |glance: &Option<Glance>| {
                known.take(glance.as_ref());
                known.changed
            };
            glances.iter().map(changed).collect()
        };
        assert_eq!(changes(&mut known, &[one, same, one, one]), [false; 4]);
        // A doubt on either side, although the face before and the face after are the same.
        assert_eq!(changes(&mut known, &[other, one, None, same]), [true; 4]);
        known.settled.clear();
        assert_eq!(changes(&mut known, &[one, same, one]), [true; 3]);
    }
}
