//! The second look: now and then a finished picture is looked at, mirrored, so that it is not the look that
//! found what is veiled.

use super::{PLAIN_SCORE, Watcher};
use crate::{
    frame::{Frame, I420View},
    units::Pts,
    veil::{decide::Placement, redact::Redacted},
    vision::{Detection, infer::VisionError, search::SAME_PLACE},
};

/// Most faces that are compared in one finished picture, whose turn it is: a small one takes two comparisons,
/// and whoever is shown for his looks was compared before, and is again.
const COMPARED: usize = 2;

/// What a look at a finished picture found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nobody is seen who should not be.
    Clean,
    /// Somebody is: the picture must be veiled whole.
    Exposed,
    /// This frame's turn was not up.
    NotDue,
}

/// From one check to the next the place from which on faces have their turn moves to the right by this part of the
/// picture's width, and on from its left edge: by the golden ratio no part of it is left out for long.
const STRIDE: f32 = 0.618_034;

/// When finished pictures were looked at.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// The frame that was looked at last; none where the next one is due.
    last: Option<Pts>,
    /// From where on faces have their turn, 0 at the picture's left edge and 1 at its right.
    place: f32,
}

/// Which of the faces at these places, from left to right, have their turn from `place` on.
fn turn(places: &[f32], place: f32) -> impl Iterator<Item = usize> + use<> {
    let (count, first) = (places.len(), places.partition_point(|&x| x < place));
    (0..COMPARED.min(count)).map(move |i| (first + i) % count.max(1))
}

impl Watcher {
    /// Makes the next frame's finished picture one that is looked at.
    pub fn check_next(&mut self) {
        self.checks.last = None;
    }

    /// Looks at a finished picture now and then: a face in it has to be one that is shown, and not a refused
    /// one. Whoever is caught is veiled for as long after as anybody who was found, and the next picture is
    /// looked at too.
    pub fn check(
        &mut self,
        frame: &Frame<Redacted>,
        placements: &[Placement],
    ) -> Result<Finding, VisionError> {
        let due = self
            .checks
            .last
            .is_none_or(|last| frame.pts().since(last) >= self.settings.check_every);
        if !due || frame.state().whole() {
            return Ok(Finding::NotDue);
        }
        // A check that fails is made up for in the next frame.
        self.checks.last = None;
        let view = frame.planes();
        let mut found = self.searcher.detector().detect_mirrored(&view, self.settings.size)?;
        found.retain(|face| face.score >= PLAIN_SCORE);
        let is_shown =
            |face: &Detection| placements.iter().any(|p| p.shown && p.face.iou(face.rect) > 0.0);
        let (mut shown, mut caught): (Vec<_>, Vec<_>) = found.into_iter().partition(is_shown);
        shown.retain(|face| self.judge.compares() && self.judge.comparable(face.rect.w));
        // From left to right, so that each has its turn however sure the detector is of it this time.
        shown.sort_by(|a, b| a.rect.center().x.total_cmp(&b.rect.center().x));
        let width = view.size.rect().w.max(1.0);
        let places: Vec<f32> = shown.iter().map(|face| face.rect.center().x / width).collect();
        for i in turn(&places, self.checks.place) {
            if self.is_refused(&view, &shown[i])? {
                caught.push(shown[i]);
            }
        }
        self.checks.place = (self.checks.place + STRIDE).fract();
        for face in &caught {
            self.tracker.note(frame.seq(), frame.pts(), face);
        }
        if !caught.is_empty() {
            return Ok(Finding::Exposed);
        }
        self.checks.last = Some(frame.pts());
        Ok(Finding::Clean)
    }

    /// Whether a face in a finished picture is that of a refused person.
    fn is_refused(&mut self, view: &I420View<'_>, face: &Detection) -> Result<bool, VisionError> {
        let found = self.searcher.close_up(view, face.rect)?;
        // Whichever of them it is.
        let same = found.iter().flatten().filter(|d| d.rect.iou(face.rect) >= SAME_PLACE);
        for face in same.chain([face]) {
            let described = self.describer.describe(view, &face.landmarks)?;
            if described.is_some_and(|found| self.judge.is_refused(&found.embedding)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::staged::{Stage, hides},
        *,
    };
    use crate::veil::{Style, redact::Redactor};

    #[test]
    fn a_face_that_the_first_look_does_not_find_is_veiled_by_the_second() {
        let Stage { mut watcher, film, face, .. } = Stage::new();
        watcher.searcher.blind = Some(face.rect);
        let mut redactor = Redactor::new(Style::Veil);
        let mut findings = Vec::new();
        for seq in 0..60 {
            let frame = film.frame(seq);
            watcher.look(&frame).expect("a look");
            let (verdict, placements) = watcher.decide(&frame, true);
            let covered = hides(&verdict, face.rect);
            let veiled = redactor.redact(frame, Some(&verdict));
            let finding = watcher.check(&veiled, &placements).expect("a check");
            assert!(covered || finding == Finding::Exposed, "the face shows in frame {seq}");
            findings.push(finding);
        }
        assert_eq!(findings[0], Finding::Exposed);
        assert_eq!(findings[1], Finding::Clean, "the face is veiled from then on");
        // Once the hold ends it is caught again.
        assert!(findings.iter().filter(|f| **f == Finding::Exposed).count() >= 2);
    }

    #[test]
    fn every_face_has_its_turn_to_be_compared_however_many_are_found() {
        assert_eq!(turn(&[], 0.5).count(), 0);
        assert_eq!(turn(&[0.3], 0.5).collect::<Vec<_>>(), [0]);
        let (all, few) = ([0.1, 0.2, 0.5, 0.51, 0.9], [0.1, 0.2]);
        let (mut place, mut had) = (0.0f32, std::collections::BTreeSet::new());
        for check in 0..20 {
            // Some are not found in every second picture.
            let places = if check % 2 == 0 { &all[..] } else { &few[..] };
            had.extend(turn(places, place));
            place = (place + STRIDE).fract();
        }
        assert_eq!(had.len(), all.len());
    }
}
