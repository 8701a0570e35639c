//! What a new list changes, and the rule that no refusal is lifted by accident.

use std::collections::BTreeSet;

use serde::Serialize;

use super::list::{Entry, PupilList, Status};
use crate::units::{ClassId, PupilId};

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
    /// Refused now and not before, or now in another class: recordings that exist may show them.
    pub refusals_new: Vec<PupilId>,
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
        changes.refusals_new = refusals(new, |id, now| {
            let before = old.people.get(id);
            before.is_none_or(|b| b.status != Status::Refused || b.class != now.class)
        });
        changes
    }

    /// What `new` changes where nothing was loaded before.
    #[must_use]
    pub fn first(new: &PupilList) -> Self {
        let refusals_new = refusals(new, |_, _| true);
        Self { added: new.people.keys().cloned().collect(), refusals_new, ..Self::default() }
    }

    /// The classes of `new` in which somebody refuses who did not before.
    #[must_use]
    pub fn classes_of_new_refusals(&self, new: &PupilList) -> BTreeSet<ClassId> {
        let entries = self.refusals_new.iter().filter_map(|id| new.people.get(id));
        entries.map(|entry| entry.class.clone()).collect()
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

/// Refusing pupils of `list` for whom `wanted` holds.
fn refusals(list: &PupilList, wanted: impl Fn(&PupilId, &Entry) -> bool) -> Vec<PupilId> {
    let refused = list.people.iter().filter(|(_, entry)| entry.status == Status::Refused);
    refused.filter(|(id, entry)| wanted(id, entry)).map(|(id, _)| id.clone()).collect()
}
