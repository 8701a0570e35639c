//! The pupil list that a command works with, from the store or from a file of its own.
//!
//! Does not belong: loading one into the store (`pupils`).

use jiff::{SignedDuration, civil::Date};

use super::{Failure, output, record::wrong};
use crate::{
    appliance::NewList,
    config::Config,
    people::{Draft, PupilList, Rules, face::Enroller, list::require_dpia},
    vision::{Eyes, identify::Gallery},
};

/// The list in force for this recording.
pub(super) struct List {
    pub(super) people: PupilList,
    pub(super) gallery: Gallery,
    pub(super) version: String,
    pub(super) dpia: Option<String>,
}

impl List {
    pub(super) fn version(&self) -> &str {
        &self.version
    }
}

impl From<List> for NewList {
    fn from(list: List) -> Self {
        let List { people, gallery, version, dpia } = list;
        Self { people, gallery, version, dpia }
    }
}

/// The list that a file says, its photos looked at where faces are compared.
pub(super) fn drafted(
    mut draft: Draft,
    compares: bool,
    assessed: Option<&str>,
    eyes: impl FnOnce() -> Result<Eyes, Failure>,
    version_key: &[u8; 32],
) -> Result<List, Failure> {
    let mut dpia = None;
    if compares && draft.has_photos() {
        match require_dpia(assessed) {
            Ok(reference) => dpia = Some(reference.to_owned()),
            Err(missing) => {
                // What is wrong with the list itself is said first: it is wrong under any assessment.
                draft.finish()?;
                return Err(missing.into());
            }
        }
        let Eyes { mut detector, mut embedder, .. } = eyes()?;
        draft.enrol(&mut Enroller { detector: &mut detector, embedder: &mut embedder })?;
    }
    let finished = draft.finish()?;
    for notice in &finished.notices {
        output::note(notice);
    }
    let version = finished.list.version(version_key);
    Ok(List { people: finished.list, gallery: finished.gallery, version, dpia })
}

pub(super) fn rules(config: &Config, today: Date) -> Result<Rules, Failure> {
    let photo_age = SignedDuration::try_from(config.pupils.photo_age_limit)
        .map_err(|_| wrong("[pupils] photo-age-limit is too long"))?;
    Ok(Rules { photo_age, ..Rules::on(today) })
}
