//! A pupil list on its way into force: checked, its photos searched for faces, loaded and logged.
//!
//! Belongs here: what every front end needs of that. Does not belong: the rules of a list (`people`),
//! and where its files come from.

use std::path::Path;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::preflight::{self, Places};
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    error::{ErrorKind, Kind},
    people::{
        Draft, ListProblems, Notice, PupilList, Rules, Status, VERSION_KEY,
        face::Enroller,
        list::{Finished, NoDpia, require_dpia},
        store::{self, Load, StoreError},
    },
    units::RecordingId,
    vault::{
        BoxKey, VaultError,
        audit::{AuditError, AuditLog, Entry, Event},
        retention::{Recall, Why, recalls, survey},
    },
    vision::{
        detect::Detector,
        identify::Embedder,
        infer::{Models, VisionError},
    },
};

/// Why a list did not come into force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// Something in it is wrong.
    #[error(transparent)]
    List(#[from] ListProblems),
    /// Photos may not be compared.
    #[error(transparent)]
    NoDpia(#[from] NoDpia),
    /// It cannot be stored, or it lifts refusals that nobody confirmed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The models cannot be used.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// It could not be logged.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What it withholds could not be found out.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Kind for RosterError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::List(error) => error.kind(),
            Self::NoDpia(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Vision(error) => error.kind(),
            Self::Audit(error) => error.kind(),
            Self::Vault(error) => error.kind(),
        }
    }
}

/// A list that came into force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// Its version.
    pub version: String,
    /// How many of whom it names.
    pub counts: Value,
    /// What it changes, by pseudonym.
    pub changes: Value,
    /// What the school should know.
    pub notices: Value,
    /// Recordings that nobody gets because somebody refused after they were made.
    pub withheld: Vec<RecordingId>,
    /// Exports that should not be out any more.
    pub exports: Vec<Recall>,
}

/// By which day and limits a list is judged.
#[must_use]
pub fn rules(config: &Config) -> Rules {
    let photo_age = SignedDuration::try_from(config.pupils.photo_age_limit);
    let today = preflight::today(SystemClock.now());
    Rules { today, photo_age: photo_age.unwrap_or(SignedDuration::MAX) }
}

/// Checks the list at `path`, every photo searched for its one clear face. No face is compared with
/// another, and nothing is kept.
pub fn check(config: &Config, places: &Places, path: &Path) -> Result<Finished, RosterError> {
    let mut draft = Draft::open(path, rules(config))?;
    if draft.has_photos() {
        let models = Models::load(&places.models, &places.runtime)?;
        let (mut detector, mut embedder) = (Detector::new(&models, 1)?, Embedder::new(&models, 1)?);
        draft.examine(&mut Enroller { detector: &mut detector, embedder: &mut embedder })?;
    }
    Ok(draft.finish()?)
}

/// Puts the list at `path` in force; the log first.
pub fn load(
    config: &Config,
    places: &Places,
    (key, log): (&BoxKey, &AuditLog),
    path: &Path,
    confirm_removals: Option<usize>,
) -> Result<InForce, RosterError> {
    let models = || Ok::<_, RosterError>(Models::load(&places.models, &places.runtime)?);
    let (finished, dpia) = enrolled(path, config, config.biometrics.dpia.as_deref(), models)?;
    let Finished { list, gallery, notices } = &finished;
    let changes = store::compare(&places.store, list)?;
    let version_key = key.derive(VERSION_KEY);
    let now = SystemClock.now();
    let how = Load {
        store: &places.store,
        gallery_key: &places.gallery_key,
        version_key: &version_key,
        confirm_removals,
        dpia,
        now,
    };
    // What the log says is withheld is so before the list is in force.
    let loaded = store::load_announced(list, gallery, &how, |changes, version| {
        let late = changes.classes_of_new_refusals(list).into_iter().collect();
        let event = Event::ListLoaded { version: version.to_owned(), late };
        Ok::<_, RosterError>(log.append(now, &event).map(drop)?)
    })?;
    let entries = log.entries()?;
    Ok(InForce {
        version: loaded.version,
        counts: counts(list),
        changes: json!(changes),
        notices: remarks(notices),
        withheld: withheld(&places.store, &entries, key)?,
        exports: recalls(&entries, now),
    })
}

/// Recordings that nobody gets because somebody refused after they were made.
pub fn withheld(
    store: &Path,
    entries: &[Entry],
    key: &BoxKey,
) -> Result<Vec<RecordingId>, VaultError> {
    let known = survey(store, entries, key.public())?;
    let late = known.into_iter().filter(|known| {
        known.withheld.iter().any(|one| one.why == Why::LateRefusal && one.until.is_none())
    });
    Ok(late.map(|known| known.id).collect())
}

/// The list at `path` with its embeddings, and the impact assessment under which they were made: `dpia`,
/// where there is anything to compare. `models` are asked for only then.
pub fn enrolled<'a, E>(
    path: &Path,
    config: &Config,
    dpia: Option<&'a str>,
    models: impl FnOnce() -> Result<Models, E>,
) -> Result<(Finished, Option<&'a str>), E>
where
    E: From<ListProblems> + From<NoDpia> + From<VisionError>,
{
    let mut draft = Draft::open(path, rules(config))?;
    if !draft.has_photos() {
        return Ok((draft.finish()?, None));
    }
    let dpia = match require_dpia(dpia) {
        Ok(dpia) => dpia,
        Err(missing) => {
            // What is wrong with the list itself is said first: it is wrong under any assessment.
            draft.finish()?;
            return Err(missing.into());
        }
    };
    let models = models()?;
    let (mut detector, mut embedder) = (Detector::new(&models, 1)?, Embedder::new(&models, 1)?);
    draft.enrol(&mut Enroller { detector: &mut detector, embedder: &mut embedder })?;
    Ok((draft.finish()?, Some(dpia)))
}

/// How many of whom a list names.
#[must_use]
pub fn counts(list: &PupilList) -> Value {
    json!({
        "people": list.people().len(),
        "refused": list.count(Status::Refused),
        "consented": list.count(Status::Consented),
        "staff": list.count(Status::Staff),
        "photos": list.people().values().map(|e| e.photos.len()).sum::<usize>(),
        "refused_without_photo": list.refused_without_photo().count(),
    })
}

/// Everybody on a list: pseudonyms, and what holds for each on its day.
#[must_use]
pub fn people(list: &PupilList) -> Value {
    let one = |(id, entry): (&_, &crate::people::Entry)| {
        json!({
            "pupil_id": id,
            "class": entry.class,
            "status": entry.status,
            "since": entry.since,
            "standing": entry.standing(list.today()),
            "photos": entry.photos.len(),
            "seats": entry.seats,
            "marker": entry.marker,
            "reference": entry.reference,
        })
    };
    list.people().iter().map(one).collect()
}

/// What is wrong with a list, each with its place.
#[must_use]
pub fn problems(problems: &ListProblems) -> Value {
    match problems {
        ListProblems::Wrong { problems, .. } => problems
            .iter()
            .map(|p| {
                let text = p.fault.to_string();
                json!({ "line": p.at.line, "column": p.at.column, "text": text })
            })
            .collect(),
        other => json!([{ "text": other.to_string() }]),
    }
}

/// What there is to know of a list, each with its place.
#[must_use]
pub fn remarks(notices: &[Notice]) -> Value {
    notices
        .iter()
        .map(|n| {
            let text = n.remark.to_string();
            json!({ "line": n.at.line, "column": n.at.column, "text": text })
        })
        .collect()
}
