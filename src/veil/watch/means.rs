//! Seats and worn markers: why a face may be shown whoever it resembles.

use super::{RELIABLE_SCORE, Watcher};
use crate::{
    frame::{Frame, Raw, Rect},
    units::{Pts, TrackId},
    veil::{evidence::Reason, policy::Policy},
    vision::{Detection, infer::VisionError},
};

impl Watcher {
    /// Notes who is in which seat and wears which marker: only what is surely a face, so that a ghost
    /// neither takes a seat nor spoils another's. Markers are read where the picture was looked at: what was told
    /// of it leaves out who is in doubt.
    pub(super) fn find_means(
        &mut self,
        frame: &Frame<Raw>,
        seen: &[(TrackId, Detection)],
        looked: bool,
    ) -> Result<(), VisionError> {
        if !self.has_other_means() {
            return Ok(());
        }
        let sure = |id: TrackId| {
            self.tracker.tracks().iter().any(|t| t.id == id && t.best_score >= RELIABLE_SCORE)
        };
        let faces: Vec<(TrackId, Rect)> =
            seen.iter().filter(|(id, _)| sure(*id)).map(|(id, d)| (*id, d.rect)).collect();
        let (picture, pts) = (frame.planes(), frame.pts());
        self.stays.step(pts, picture.size, &faces);
        match &mut self.worn {
            Some(worn) => {
                for (id, _) in seen {
                    if self.known.get(id).is_some_and(|known| known.changed) {
                        worn.badges.doubt(*id);
                    }
                }
                if !looked {
                    return Ok(());
                }
                // Whoever might wear a marker puts another's in doubt, a ghost as well.
                let all: Vec<(TrackId, Rect)> = seen.iter().map(|(id, d)| (*id, d.rect)).collect();
                worn.look(&picture, pts, &all, &faces)
            }
            None => Ok(()),
        }
    }

    /// Why a face may be shown at a time whoever it resembles. Where anybody can be recognised as
    /// refused, it must have been compared, and lately.
    pub(super) fn other_reason(&self, id: TrackId, pts: Pts) -> Option<Reason> {
        if self.judge.policy() == Policy::Everyone {
            return None;
        }
        let reason = self.seated(id, pts).or_else(|| self.marked(id, pts))?;
        let unlike = || {
            let known = self.known.get(&id)?;
            (known.confirms(pts) && known.evidence.is_unlike_refused(&self.judge)).then_some(())
        };
        if self.judge.looks_for_somebody() {
            unlike()?;
        }
        Some(reason)
    }

    fn seated(&self, id: TrackId, pts: Pts) -> Option<Reason> {
        Some(Reason::Seated { person: self.stays.seated(id, pts)?.clone() })
    }

    /// A number that is not on the list clears nobody.
    fn marked(&self, id: TrackId, pts: Pts) -> Option<Reason> {
        let number = self.worn.as_ref()?.clears(id, pts)?;
        Some(Reason::Marked { person: self.places.markers.get(&number)?.clone(), number })
    }

    /// Whether a face may be shown for another reason than its looks once it was compared.
    pub(super) fn awaits_means(&self, id: TrackId, pts: Pts) -> bool {
        self.stays.is_seated(id)
            || self.worn.as_ref().is_some_and(|worn| worn.badges.clears(id, pts).is_some())
    }
}
