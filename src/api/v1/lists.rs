//! The pupil list: shown, checked, put in force.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

use super::shelter::{Refused, Shelter, Unpacked};
use crate::{
    api::{App, Inner, problem::Problem},
    appliance::{
        control::Request,
        preflight,
        roster::{self, InForce, RosterError},
    },
    clock::{Clock, SystemClock},
    people::{
        PupilList,
        list::Finished,
        store::{self, Listed, StoreError},
    },
    vault::audit::Event,
};

/// How long the service may take to read the list again.
const REREAD: Duration = Duration::from_secs(30);

/// How many are told apart by what.
fn means(list: &PupilList) -> Value {
    let (mut photo, mut seat, mut marker, mut none) = (0, 0, 0, 0);
    for entry in list.people().values() {
        photo += usize::from(!entry.photos.is_empty());
        seat += usize::from(!entry.seats.is_empty());
        marker += usize::from(entry.marker.is_some());
        let has = !entry.photos.is_empty() || !entry.seats.is_empty() || entry.marker.is_some();
        none += usize::from(!has);
    }
    json!({ "photo": photo, "seat": seat, "marker": marker, "none": none })
}

pub(super) async fn show(State(app): State<App>) -> Result<Json<Value>, Problem> {
    app.work(|app| {
        let today = preflight::today(SystemClock.now());
        match store::list(app.desk.store(), today) {
            Ok(Listed { list, version, loaded }) => {
                let weak: Vec<_> = list.refused_without_photo().collect();
                Ok(Json(json!({
                    "version": version,
                    "loaded_at": loaded,
                    "counts": roster::counts(&list),
                    "means": means(&list),
                    "people": roster::people(&list),
                    "warnings": { "refused_without_photo": weak },
                })))
            }
            Err(StoreError::NothingLoaded { .. }) => Ok(Json(json!({ "version": null }))),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

pub(super) async fn versions(State(app): State<App>) -> Result<Json<Value>, Problem> {
    app.work(|app| {
        let entries = app.desk.audit().entries()?;
        let loads = entries.into_iter().rev().filter_map(|entry| match entry.event {
            Some(Event::ListLoaded { version, late }) => Some(json!({
                "at": entry.at, "version": version, "classes_with_new_refusals": late,
            })),
            _ => None,
        });
        Ok(Json(json!({ "versions": loads.take(200).collect::<Vec<_>>() })))
    })
    .await
}

/// Takes the zip in, and does `what` with the list in it. What is wrong with the zip comes back as
/// problems of its files.
async fn with_list(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    what: impl FnOnce(&Inner, &Unpacked) -> Result<Value, Problem> + Send + 'static,
) -> Result<Value, Problem> {
    // One at a time: it takes memory, and there is one folder.
    let turn = Arc::clone(&app.uploads).try_acquire_owned().map_err(|_| Problem::busy())?;
    let shelter = Shelter::new(app.desk.store(), turn)?;
    shelter.take(headers, body).await?;
    // The folder goes with the work, which goes on where whoever asked is gone.
    app.work(move |app| match shelter.unpack()? {
        Ok(list) => what(app, &list),
        Err(refused) => Err(of_zip(&refused)),
    })
    .await
}

fn of_zip(refused: &[Refused]) -> Problem {
    let one = |one: &Refused| json!({ "file": one.file, "line": null, "text": one.text });
    let problems: Vec<Value> = refused.iter().map(one).collect();
    not_taken("zip", "the zip cannot be used", problems.into())
}

/// Nothing of what was sent is taken, for these reasons.
fn not_taken(code: &'static str, detail: &'static str, problems: Value) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
        .with("ok", false)
        .with("problems", problems)
        .with("summary", Value::Null)
}

/// What is wrong with the list itself; everything else is a problem of the request.
fn of_list(error: RosterError, name: &str) -> Result<Value, Problem> {
    let RosterError::List(problems @ crate::people::ListProblems::Wrong { .. }) = error else {
        return Err(error.into());
    };
    Ok(json!({
        "ok": false, "problems": named(roster::problems(&problems), name), "summary": null,
    }))
}

fn named(mut all: Value, name: &str) -> Value {
    if let Value::Array(all) = &mut all {
        for one in all {
            one["file"] = json!(name);
        }
    }
    all
}

pub(super) async fn check(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let checked =
        with_list(&app, &headers, body, |app, Unpacked { list, name }| {
            match roster::check(&app.desk.config(), app.desk.places(), list) {
                Ok(Finished { list, notices, .. }) => {
                    let changes = store::compare(app.desk.store(), &list)?;
                    Ok(json!({
                        "ok": true,
                        "problems": [],
                        "notices": named(roster::remarks(&notices), name),
                        "summary": {
                            "counts": roster::counts(&list),
                            "means": means(&list),
                            "changes": changes,
                            "removals": changes.removals(),
                        },
                    }))
                }
                Err(error) => of_list(error, name),
            }
        });
    checked.await.map(Json)
}

/// What is meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Meant {
    /// How many refusals the list lifts, to show that it is meant.
    confirm_removals: Option<usize>,
}

pub(super) async fn load(
    State(app): State<App>,
    Query(Meant { confirm_removals }): Query<Meant>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let loaded = with_list(&app, &headers, body, move |app, Unpacked { list, name }| {
        let (desk, keys) = (&app.desk, (app.desk.key(), app.desk.audit()));
        match roster::load(&desk.config(), desk.places(), keys, list, confirm_removals) {
            Ok(InForce { version, counts, changes, notices, withheld, exports }) => Ok(json!({
                "ok": true,
                "problems": [],
                "notices": named(notices, name),
                "version": version,
                "summary": {
                    "counts": counts, "changes": changes, "withheld": withheld, "exports": exports,
                },
            })),
            Err(RosterError::Store(StoreError::Removals { needed, .. })) => {
                let text =
                    "the list lifts refusals: load it with confirm_removals if that is meant";
                let conflict = StatusCode::CONFLICT;
                Err(Problem::new(conflict, "removals", text).with("removals", needed))
            }
            Err(error) => {
                let mut refused = of_list(error, name)?;
                Err(not_taken("list", "the list cannot be used", refused["problems"].take()))
            }
        }
    });
    let mut loaded = loaded.await?;
    // For a recording that runs; if that fails, the box goes on by the list before and says so.
    let reread = app.ask(Request::Reload, REREAD).await;
    loaded["in_use"] = json!(reread.is_ok());
    Ok(Json(loaded))
}
