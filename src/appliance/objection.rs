//! What is objected to is withheld, with all recordings of its lesson.
//!
//! Belongs here: the request that does so. Does not belong: when it is made (`recording`), what a
//! request means (`vault::access`).

use super::crew::Ground;
use super::steward::Service;
use crate::{
    clock::{Clock, SystemClock},
    units::RecordingId,
    vault::{
        access::{AccessError, Ask, NewRequest, request},
        audit::{Event as Line, Word},
    },
};

impl Service {
    /// Keeps what there is of the lesson from everybody until the privacy officer decides: a request of
    /// the teacher, or of somebody in the room, that restricts all of its recordings.
    pub(super) fn withhold(&mut self) {
        let now = self.crew.iter().filter_map(|crew| crew.recording);
        let over = self.over.iter().filter_map(|over| over.recording);
        // The cameras of one recording stand beside each other.
        let mut ids: Vec<RecordingId> = now.chain(over).collect();
        ids.dedup();
        ids.retain(|id| !self.withheld.contains(id));
        if ids.is_empty() {
            return;
        }
        ids.extend(&self.lesson_before);
        self.withhold_these(ids);
    }

    /// The same of these recordings.
    pub(super) fn withhold_these(&mut self, mut ids: Vec<RecordingId>) {
        ids.retain(|id| !self.withheld.contains(id));
        if ids.is_empty() {
            return;
        }
        let listed = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self.restrict(&ids) {
            Ok(number) => {
                self.say(format!(
                    "{listed}: withheld until the privacy officer answers request {number}"
                ));
                self.withheld.extend(ids);
            }
            Err(error) => {
                tracing::error!(recordings = listed, %error, "could not be withheld");
                self.say(format!("{listed} COULD NOT BE WITHHELD: tell the privacy officer"));
                let what = Word::new("a recording that was objected to could not be withheld");
                let event = Line::Fault { recording: ids.first().copied(), what };
                if let Err(error) = self.ground.audit.append(SystemClock.now(), &event) {
                    tracing::error!(%error, "nor could that be logged");
                }
            }
        }
    }

    /// Enters the request; gives its number.
    fn restrict(&self, recordings: &[RecordingId]) -> Result<u64, AccessError> {
        let Ground { places, audit, .. } = &*self.ground;
        let received = SystemClock.now();
        let new = NewRequest {
            ask: Ask::Restrict,
            by: self.objector.clone(),
            // One that is gone already needs no protection.
            recordings: recordings
                .iter()
                .filter(|id| places.store.join("recordings").join(id.to_string()).is_dir())
                .copied()
                .collect(),
            received,
            text: None,
        };
        request(&places.store, audit, &new, received).map(|entered| entered.number)
    }
}
