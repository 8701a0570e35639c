//! Comparing the faces whose turn it is: begun at one look, taken at the next, so that the recogniser works
//! while pictures are looked at.

use super::{RELIABLE_SCORE, Watcher, cutting::MERGE_OVERLAP, turns::UNSURE_LOOKS};
use crate::{
    frame::{Frame, Raw, Rect},
    units::{Pts, TrackId},
    veil::evidence::{State, View},
    vision::{
        Detection, beside::Begun, identify::Described, infer::VisionError, pose::is_oblique,
        search::SAME_PLACE,
    },
};

/// A face that is being compared.
#[derive(Debug)]
pub(super) struct Comparing {
    begun: Begun,
    track: TrackId,
    seq: u64,
    pts: Pts,
    face: Detection,
    /// How many more looks than others were not sure that it is a face, before this one.
    unsure: u32,
    /// Whether all of it is in the picture, and it is surely its own and nobody else's.
    plain: bool,
}

impl Watcher {
    pub(super) fn compare(
        &mut self,
        frame: &Frame<Raw>,
        seen: &mut [(TrackId, Detection)],
    ) -> Result<(), VisionError> {
        if !self.judge.compares() {
            return Ok(());
        }
        let mut compared = self.begin_due(frame, seen);
        // A seat or a marker is to be taken by who the face is by then.
        if self.has_other_means() {
            compared = compared.and(self.take_compared_of(seen));
        }
        self.doubt_changed(frame.pts(), seen);
        compared
    }

    fn begin_due(
        &mut self,
        frame: &Frame<Raw>,
        seen: &[(TrackId, Detection)],
    ) -> Result<(), VisionError> {
        let (seq, pts) = (frame.seq(), frame.pts());
        for i in self.due(seq, pts, seen) {
            let (id, detection) = seen[i];
            self.known.entry(id).or_default().compared(seq, pts);
            self.compared = Some(seq);
            let picture = frame.planes();
            let found = self.searcher.close_up(&picture, detection.rect)?;
            let others = seen.iter().filter(|(other, _)| *other != id).map(|(_, d)| d.rect);
            let (detection, alone) = match found {
                Some(found) => closest(detection, &found, others),
                None => (detection, true),
            };
            let sure = detection.score >= RELIABLE_SCORE;
            if sure {
                self.tracker.assure(id, detection.score);
            }
            let known = self.known.entry(id).or_default();
            let unsure = known.unsure;
            known.unsure = unsure.saturating_add(1);
            // What was not surely a face so often, and is none now, is veiled as it is. Now and then it is
            // compared all the same: somebody refused is held longer.
            let is_open = self.state(id) == State::Undecided && !self.awaits_means(id, pts);
            if !sure && unsure >= UNSURE_LOOKS && !unsure.is_multiple_of(UNSURE_LOOKS) && is_open {
                continue;
            }
            let Some(begun) = self.describer.begin(&picture, &detection.landmarks)? else {
                continue;
            };
            let plain = picture.size.rect().contains(detection.rect) && sure && alone;
            let (track, face) = (id, detection);
            self.comparing.push_back(Comparing { begun, track, seq, pts, face, unsure, plain });
        }
        Ok(())
    }

    /// Takes what the comparisons that were begun say, oldest first. One that fails keeps no other from being
    /// taken. Where frames leave and none is looked at, it is for the caller to do.
    pub fn take_compared(&mut self) -> Result<(), VisionError> {
        self.take_compared_of(&mut [])
    }

    /// The same; a face of `seen` that may be somebody else's than its track's gets another track.
    fn take_compared_of(&mut self, seen: &mut [(TrackId, Detection)]) -> Result<(), VisionError> {
        let mut all = Ok(());
        while let Some(comparing) = self.comparing.pop_front() {
            let Comparing { begun, track: id, seq, pts, face, unsure, plain } = comparing;
            let found = self.describer.finish(&begun).unwrap_or_else(|error| {
                all = Err(error);
                None
            });
            let Some(Described { embedding, strength }) = found else { continue };
            let t = &self.thresholds;
            if face.score >= RELIABLE_SCORE && strength >= t.clear_strength_least {
                // One look at what is no face may be a good one.
                self.known.entry(id).or_default().unsure =
                    unsure.min(UNSURE_LOOKS).saturating_sub(1);
            }
            let width = face.rect.w;
            let view = View {
                width_px: width,
                oblique: is_oblique(&face.landmarks, width) || strength < t.clear_strength,
                strength,
                reliable: plain,
                embedding,
            };
            let owner = self.add_view(id, seq, pts, &view);
            for (track, _) in seen.iter_mut().filter(|(track, _)| *track == id) {
                *track = owner;
            }
        }
        all
    }

    /// Notes which faces look like others all of a sudden.
    pub(super) fn doubt_changed(&mut self, pts: Pts, seen: &[(TrackId, Detection)]) {
        for (id, _) in seen {
            if let Some(known) = self.known.get_mut(id).filter(|k| k.changed) {
                known.doubts.push_back(pts);
            }
        }
    }
}

/// A face as a closer look saw it, if that is surely the same one, and whether it is its own and nobody
/// else's beyond doubt: it was found again, and no other is so near that one may be taken for the other.
/// `others` are the faces beside it in the picture.
fn closest(
    face: Detection,
    found: &[Detection],
    mut others: impl Iterator<Item = Rect>,
) -> (Detection, bool) {
    let near = found.iter().filter(|d| d.rect.iou(face.rect) >= SAME_PLACE);
    let Some(best) = near.max_by(|a, b| a.rect.iou(face.rect).total_cmp(&b.rect.iou(face.rect)))
    else {
        return (face, false);
    };
    // It may be of whoever is beside it.
    if others.any(|other| other.iou(best.rect) >= best.rect.iou(face.rect)) {
        return (face, false);
    }
    let alone = |d: &Detection| d == best || d.rect.iou(best.rect) <= MERGE_OVERLAP;
    (*best, found.iter().all(alone))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Watched,
            staged::{Stage, hides},
        },
        *,
    };

    /// Pictures leave while looks fail, and who was in them was compared before.
    #[test]
    fn what_was_compared_counts_although_the_looks_after_it_fail() {
        let Stage { mut watcher, film, face, wanted, .. } = Stage::new();
        let (mut waiting, mut wanted) = (Vec::new(), Some(wanted));
        for seq in 0..120 {
            let frame = film.frame(seq);
            let kept: Vec<&Frame<Raw>> = waiting.iter().collect();
            if watcher.watch(&frame, &kept).expect("a look") == Watched::Waits {
                waiting.push(frame);
                continue;
            }
            waiting.clear();
            // Cleared by now, and looked for from now on.
            let shown = !hides(&watcher.decide(&frame, true).0, face.rect);
            if shown
                && watcher.comparing.is_empty()
                && let Some(judge) = wanted.take()
            {
                watcher.judge = judge;
            }
            if wanted.is_none() && !watcher.comparing.is_empty() {
                assert!(shown, "what is not known yet cannot count");
                watcher.searcher.broken = true;
                let mut failed = false;
                for later in seq + 1..seq + 4 {
                    let frame = film.frame(later);
                    let kept: Vec<&Frame<Raw>> = waiting.iter().collect();
                    match watcher.watch(&frame, &kept) {
                        Ok(_) => waiting.push(frame),
                        Err(_) => failed = true,
                    }
                }
                assert!(failed, "no look failed");
                assert!(hides(&watcher.decide(&frame, true).0, face.rect), "he shows");
                return;
            }
        }
        panic!("nobody was compared again");
    }

    #[test]
    fn a_closer_look_takes_no_neighbour_for_the_face() {
        let face = |x: f32, score: f32| Detection {
            rect: Rect::new(x, 0.0, 50.0, 60.0),
            score,
            landmarks: Default::default(),
        };
        let coarse = face(0.0, 0.5);
        let taken = |found: &[Detection], others: &[Detection]| {
            let (taken, alone) = closest(coarse, found, others.iter().map(|d| d.rect));
            (taken.rect.x, taken.score, alone)
        };
        let (own, near) = (face(4.0, 0.7), face(20.0, 0.95));
        // Not found again: what the coarse look saw may speak against it only.
        assert_eq!(taken(&[], &[]), (0.0, 0.5, false));
        assert_eq!(taken(&[own], &[]), (4.0, 0.7, true));
        // However sure the other one is.
        assert_eq!(taken(&[near, own], &[near]), (4.0, 0.7, false));
        // The face itself was not found, and who was is known to be beside it.
        assert_eq!(taken(&[near], &[face(19.0, 0.9)]), (0.0, 0.5, false));
        assert_eq!(taken(&[own, face(60.0, 0.9)], &[face(60.0, 0.9)]), (4.0, 0.7, true));
    }
}
