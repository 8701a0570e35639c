//! Whose turn it is to be compared: a comparison costs about as much as a look at the whole picture.

use std::time::Duration;

use super::{super::evidence::State, Effort, PLAIN_SCORE, Watcher};
use crate::{
    units::{Pts, TrackId},
    vision::Detection,
};

/// Undecided tracks are compared every second frame, if that is looked at.
const UNDECIDED_EVERY: u64 = 2;
/// After so many looks in which detector or recogniser was not sure that it is a face, it is not worth more
/// effort either.
pub(super) const UNSURE_LOOKS: u32 = 3;
/// Views after which an undecided track is not worth more effort than a decided one.
const PATIENCE_VIEWS: u32 = 12;
/// The same where the views so far speak for clearance.
const PROMISING_VIEWS: u32 = 36;
/// Faces that cannot be cleared, being refused, small, unsure or compared often enough, are veiled
/// whatever a comparison says; they wait this many times longer for one than cleared ones.
const VEILED_FACTOR: u64 = 2;
/// A refused face that looked like another one is compared in a hurry, as it may be somebody else's now. After
/// so many tries more than in its turn each one waits twice as long as the one before ...
const HURRIES: u32 = 3;
/// ... so many times.
const SLOWER: u32 = 3;
/// However few frames a second there are, a face that is due is compared after this time.
const COMPARE_AFTER: Duration = Duration::from_millis(500);
/// Most comparisons of undecided and of decided tracks in one frame: they cost 6 ms each. The
/// decided ones have their own share, so that a crowd of undecided faces cannot keep a cleared
/// track from being looked at again.
const VEILED_PER_FRAME: usize = 2;
const CLEARED_PER_FRAME: usize = 1;
/// Under strain there are no comparisons in the frame after one that had some, and at most one of
/// either kind.
const STRAINED_PER_FRAME: usize = 1;

impl Watcher {
    /// Which of the faces seen are compared in this frame: those that waited longest for their
    /// turn, within the budget.
    pub(super) fn due(&self, seq: u64, pts: Pts, seen: &[(TrackId, Detection)]) -> Vec<usize> {
        let mut due: [Vec<(bool, u64, usize)>; 2] = [Vec::new(), Vec::new()];
        let strained = self.effort > Effort::Whole;
        if strained && self.compared.is_some_and(|last| seq <= last + 1) {
            return Vec::new();
        }
        for (i, (id, detection)) in seen.iter().enumerate() {
            let width = detection.rect.w;
            if !self.judge.comparable(width) {
                continue;
            }
            let known = self.known.get(id);
            let every = u64::from(self.settings.identify_every);
            let patient = known.is_some_and(|k| {
                let most = if k.evidence.is_promising() { PROMISING_VIEWS } else { PATIENCE_VIEWS };
                k.evidence.views() >= most
            });
            let (cleared, every, soon) = match self.state(*id) {
                State::Cleared(_) => (true, every, true),
                State::Refused { .. } => (false, every * VEILED_FACTOR, false),
                State::Undecided if self.is_cleared(*id, pts) => (true, every, true),
                // Whoever is shown for a seat or a marker has to be compared as often as anybody shown;
                // small faces are worth the effort where a comparison may be all they wait for.
                State::Undecided if self.awaits_means(*id, pts) && self.is_told(*id) => {
                    (true, every, true)
                }
                State::Undecided if self.awaits_means(*id, pts) && !patient => {
                    (false, UNDECIDED_EVERY, true)
                }
                State::Undecided
                    if width < self.thresholds.clear_min_px
                        || (detection.score < PLAIN_SCORE
                            && known.is_some_and(|k| k.unsure >= UNSURE_LOOKS))
                        || patient =>
                {
                    (false, every * VEILED_FACTOR, false)
                }
                State::Undecided => (false, UNDECIDED_EVERY, true),
            };
            let (waited, since) = match known.and_then(|k| k.tried) {
                Some((last, at)) => (seq - last, pts.since(at)),
                None => (u64::MAX, Duration::MAX),
            };
            // Whoever comes out from behind a refused person is not to be veiled until that one's next turn.
            let refused = matches!(self.state(*id), State::Refused { .. });
            let hasty = known.filter(|k| k.is_broken()).is_some_and(|k| {
                let slower = k.hurries.saturating_sub(HURRIES).min(SLOWER);
                let wait = (u64::from(self.settings.identify_every) / 2) << slower;
                soon || (refused && width >= self.thresholds.clear_min_px && waited >= wait)
            });
            if hasty || waited >= every || (since >= COMPARE_AFTER && soon) {
                // Of those who are shown, whoever waited longest comes first: all of them have to be seen
                // again. Of those who are not, whoever is nearest to being shown and the clearest face: where
                // there are many, each having its turn in order would show nobody for long.
                let nearly = soon && !cleared && known.is_some_and(|k| k.evidence.is_promising());
                let first = hasty || nearly;
                let rank = if first && !cleared && !refused { u64::MAX } else { waited };
                due[usize::from(cleared)].push((!first, u64::MAX - rank, i));
            }
        }
        let [mut veiled, mut cleared] = due;
        veiled.sort_unstable();
        cleared.sort_unstable();
        let first = |due: Vec<(bool, u64, usize)>, most| due.into_iter().take(most).map(|d| d.2);
        let most = |usual: usize| if strained { STRAINED_PER_FRAME } else { usual };
        let veiled = first(veiled, most(VEILED_PER_FRAME));
        veiled.chain(first(cleared, most(CLEARED_PER_FRAME))).collect()
    }

    /// Whether enough was seen of a face to show it for another reason than its looks.
    fn is_told(&self, id: TrackId) -> bool {
        self.known.get(&id).is_some_and(|known| known.evidence.is_unlike_refused(&self.judge))
    }
}
