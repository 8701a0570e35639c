//! `list.json`: the list in force, and which gallery belongs to it.

use std::{collections::BTreeMap, fs, io::ErrorKind as IoKind, path::Path};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::{
    disk::{self, sha256_hex},
    error::{StoreError, damaged, io},
    history,
    sealed::Sealed,
};
use crate::people::{
    change::Changes,
    list::{CanonicalRow, Entry, PupilList},
    photo::Photo,
};

const FILE: &str = "list.json";
const FORMAT: u32 = 1;

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    format: u32,
    pub(super) loaded: Timestamp,
    pub(super) version: String,
    /// Of the canonical form of `people`: finds a flipped bit that still reads as a list.
    pub(super) sha256: String,
    pub(super) gallery: Option<Sealed>,
    /// A key file of the list before that lies elsewhere, to be destroyed once this list counts.
    pub(super) retired_key: Option<String>,
    /// The day of each photo, by digest.
    taken: BTreeMap<String, Date>,
    people: Vec<CanonicalRow>,
}

impl Record {
    pub(super) fn new(
        list: &PupilList,
        loaded: Timestamp,
        version: String,
        gallery: Option<Sealed>,
        retired_key: Option<String>,
    ) -> Self {
        let photos = list.people.values().flat_map(|e| &e.photos);
        Self {
            format: FORMAT,
            loaded,
            version,
            sha256: digest(list),
            gallery,
            retired_key,
            taken: photos.filter_map(|p| Some((p.digest.to_string(), p.taken?))).collect(),
            people: list.rows(),
        }
    }

    /// Puts the record in force.
    pub(super) fn write(&self, folder: &Path) -> Result<(), StoreError> {
        let path = folder.join(FILE);
        let json = serde_json::to_vec(self).map_err(|e| io("write", &path, e.into()))?;
        disk::replace(&path, &json).map_err(|source| io("write", &path, source))
    }

    /// The record in force and its list, applied to `today`; `None` where there is no file.
    pub(super) fn read(
        folder: &Path,
        today: Date,
    ) -> Result<Option<(Self, PupilList)>, StoreError> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == IoKind::NotFound => return Ok(None),
            Err(source) => return Err(io("read", &path, source)),
        };
        let broken = |what| damaged(path.clone(), what);
        let record: Self =
            serde_json::from_slice(&bytes).map_err(|_| broken("it is no pupil list"))?;
        if record.format != FORMAT {
            return Err(broken("its format is unknown"));
        }
        let mut people = BTreeMap::new();
        for row in &record.people {
            let photo = |digest: &String| {
                let taken = record.taken.get(digest).copied();
                digest.parse().map(|d| Photo::stored(d, taken))
            };
            let photos: Result<Vec<Photo>, _> = row.photos.iter().map(photo).collect();
            let entry = Entry {
                class: row.class.clone(),
                status: row.status,
                since: row.since,
                photos: photos.map_err(|_| broken("a photo's digest is none"))?,
                seats: row.seats.clone(),
                marker: row.marker,
                reference: row.reference.clone(),
                at: None,
            };
            people.insert(row.pupil.clone(), entry);
        }
        let list = PupilList { people, today, path: None };
        if digest(&list) != record.sha256 {
            return Err(broken("its digest differs"));
        }
        Ok(Some((record, list)))
    }
}

/// SHA-256 of the list's canonical form.
pub(super) fn digest(list: &PupilList) -> String {
    sha256_hex(list.canonical().as_bytes())
}

/// What was in force before a load.
#[derive(Debug)]
pub(super) enum Before {
    /// Nothing was ever loaded.
    Nothing,
    /// This list.
    List(Box<(Record, PupilList)>),
    /// A list that cannot be read any more and held so many refusals.
    Unreadable {
        /// As the history says.
        refused: usize,
    },
}

impl Before {
    pub(super) fn read(folder: &Path) -> Result<Self, StoreError> {
        let there = match Record::read(folder, Date::MIN) {
            Ok(Some(both)) => return Ok(Self::List(Box::new(both))),
            Ok(None) => false,
            Err(StoreError::Damaged { .. }) => true,
            Err(error) => return Err(error),
        };
        match history::last(folder)? {
            Some(line) => Ok(Self::Unreadable { refused: line.refused }),
            None if there => Err(StoreError::Lost { path: folder.to_owned() }),
            None => Ok(Self::Nothing),
        }
    }

    pub(super) fn record(&self) -> Option<&Record> {
        match self {
            Self::List(both) => Some(&both.0),
            _ => None,
        }
    }

    /// What putting `list` in force would change.
    pub(super) fn changes(&self, list: &PupilList) -> Changes {
        match self {
            Self::Nothing => Changes::first(list),
            Self::List(both) => Changes::between(&both.1, list),
            Self::Unreadable { refused } => {
                Changes { refusals_lost: *refused, ..Changes::first(list) }
            }
        }
    }
}
