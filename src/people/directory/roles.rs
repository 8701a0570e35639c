//! Who is who, for the rule of who may do what (`vault::access::Roles`).

use std::path::Path;

use jiff::{Timestamp, civil::Date};

use super::{Directory, DirectoryError};
use crate::{
    people::store,
    units::PersonId,
    vault::{
        access::{Role, Roles, Standing},
        audit::Entry,
    },
};

/// Who is who in `store` at `now`, which is the day `today`: by its directory, and by the pupil list
/// in force.
pub fn roles(
    store: &Path,
    entries: &[Entry],
    now: Timestamp,
    today: Date,
) -> Result<Roles, DirectoryError> {
    let Some(directory) = Directory::read(store, entries)? else { return Ok(Roles::unknown()) };
    // A list that cannot be read makes nobody a pupil.
    let listed = store::list(store, today).ok();
    let pupils = listed.iter().flat_map(|listed| listed.list.people().keys());
    // What is no name of a person is no pupil's either: both are written by the same rule.
    let pupils = pupils.filter_map(|pupil| pupil.as_str().parse::<PersonId>().ok());
    Ok(Roles::new(directory.standings(now), pupils))
}

impl Directory {
    /// What everybody is, and whether it counts at `now`.
    fn standings(&self, now: Timestamp) -> impl Iterator<Item = (PersonId, Standing)> {
        self.people.iter().map(move |(person, entry)| {
            let confirmed = entry.role != Role::PrivacyOfficer || self.is_officer(person, now);
            let in_force = entry.removed.is_none() && confirmed;
            (person.clone(), Standing { role: entry.role, in_force })
        })
    }

    /// Whether `person` was the first privacy officer of a store's first directory, or has had a key that counted:
    /// a later officer's first one takes the word of those before (see [`Directory::enrol`]), so that
    /// nobody becomes the privacy officer by being added.
    pub(super) fn is_officer(&self, person: &PersonId, now: Timestamp) -> bool {
        let counted = |entry: &super::Person| {
            let of = |key: &super::Key| {
                key.from <= now && key.until.is_none_or(|until| until > key.from)
            };
            entry.keys.iter().any(of)
        };
        (self.before.is_none() && self.is_first_officer(person))
            || self.people.get(person).is_some_and(counted)
    }

    /// Whether nobody was the privacy officer before `person`.
    pub(super) fn is_first_officer(&self, person: &PersonId) -> bool {
        let officers = self.people.iter().filter(|(_, one)| one.role == Role::PrivacyOfficer);
        // By pseudonym, where two came at the same moment.
        officers.min_by_key(|(_, one)| one.added).is_some_and(|(first, _)| first == person)
    }
}
