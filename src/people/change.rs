//! What a new list changes, and the rule that no refusal is lifted by accident.

use serde::Serialize;

use super::list::{PupilList, Status};
use crate::units::PupilId;

/// A changed status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusChange {
    /// Whose.
    pub pupil: PupilId,
    /// In the list before.
    pub from: Status,
    /// In the new list.
    pub to: Status,
}

/// The difference between two lists, by pseudonym.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// In the new list only.
    pub added: Vec<PupilId>,
    /// In the list before only.
    pub removed: Vec<PupilId>,
    /// With another status.
    pub status: Vec<StatusChange>,
    /// With other photos.
    pub photos: Vec<PupilId>,
    /// With another class, date, seat, marker or reference.
    pub details: Vec<PupilId>,
    /// Refused before and not refused any more: dropped, or with another status.
    pub refusals_lifted: Vec<PupilId>,
    /// Refusals of a list before that cannot be read any more, any of which may be lifted.
    pub refusals_lost: usize,
}

impl Changes {
    /// What `new` changes in `old`.
    #[must_use]
    pub fn between(old: &PupilList, new: &PupilList) -> Self {
        let mut changes = Self::default();
        for (id, before) in &old.people {
            let after = new.people.get(id);
            if before.status == Status::Refused
                && after.is_none_or(|after| after.status != Status::Refused)
            {
                changes.refusals_lifted.push(id.clone());
            }
            let Some(after) = after else {
                changes.removed.push(id.clone());
                continue;
            };
            if before.status != after.status {
                let (from, to) = (before.status, after.status);
                changes.status.push(StatusChange { pupil: id.clone(), from, to });
            }
            if !before.photos.iter().map(|p| p.digest).eq(after.photos.iter().map(|p| p.digest)) {
                changes.photos.push(id.clone());
            }
            if before.class != after.class
                || before.since != after.since
                || before.seats != after.seats
                || before.marker != after.marker
                || before.reference != after.reference
            {
                changes.details.push(id.clone());
            }
        }
        let added = new.people.keys().filter(|id| !old.people.contains_key(*id));
        changes.added.extend(added.cloned());
        changes
    }

    /// What `new` changes where nothing was loaded before.
    #[must_use]
    pub fn first(new: &PupilList) -> Self {
        Self { added: new.people.keys().cloned().collect(), ..Self::default() }
    }

    /// The number that `--confirm-removals` has to name.
    #[must_use]
    pub fn removals(&self) -> usize {
        self.refusals_lifted.len() + self.refusals_lost
    }

    /// Whether the two lists say the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
