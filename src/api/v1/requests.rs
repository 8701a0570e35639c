//! Requests of people who were recorded, for the privacy officer: entered, answered, each with its due
//! date. Texts and reasons stay with the officer; their digests come here, and the text of a note that
//! is added, which whoever opens the recording sees.

use axum::{
    Json,
    extract::{Extension, State},
};
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    papers::{day, digest},
    person,
    recordings::Shelf,
};
use crate::{
    api::{App, problem::Problem, sent::Sent, sessions::Login},
    appliance::preflight,
    clock::{Clock, SystemClock},
    units::{PersonId, RecordingId},
    vault::{
        access::{Ask, Decision, NewAnswer, NewRequest, Request, Requests, answer, request},
        shelf,
    },
};

/// Somebody asks for something.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// delete, restrict, add or access.
    ask: String,
    /// Who was recorded and asks, or for whom a parent asks: a pseudonym.
    by: String,
    /// Which recordings; none where somebody asks what is held.
    recordings: Vec<String>,
    /// The day on which it came, YYYY-MM-DD; the month counts from then. Without it: now.
    received: Option<String>,
    /// SHA-256 of the request as it was written, 64 hexadecimal digits.
    text_sha256: Option<String>,
}

/// What becomes of a request.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Decided {
    /// Its number.
    number: u64,
    /// granted, refused, extended or lifted.
    decision: String,
    /// SHA-256 of the written reason; refused and extended need one.
    reason_sha256: Option<String>,
    /// The note that is added: the very text that the request came with.
    note: Option<String>,
}

/// A choice by its word.
fn choice<T: serde::de::DeserializeOwned>(word: &str, problem: &str) -> Result<T, Problem> {
    serde_json::from_value(json!(word)).map_err(|_| Problem::bad("choice", problem))
}

/// All requests, and the recordings that one can be about, without anything of their content.
pub(super) async fn list(State(app): State<App>) -> Result<Json<Value>, Problem> {
    app.work(|app| {
        let store = app.desk.store();
        let requests = Requests::read(store, &app.desk.audit().entries()?)?;
        let now = SystemClock.now();
        let requests = requests.all().iter().rev();
        let requests: Vec<Value> = requests.map(|request| tell(request, now)).collect();
        let shelf = Shelf::look(app)?;
        let mut recordings = Vec::new();
        for id in shelf::recordings(store)?.into_iter().rev() {
            match shelf::manifest(store, id, app.desk.key().public()) {
                Ok(Some(manifest)) => recordings.push(json!({
                    "id": id,
                    "started": manifest.started,
                    "class": manifest.class,
                    "teacher": manifest.teacher,
                    "delete_by": shelf.delete_by(&manifest),
                    "withheld": shelf.is_withheld(id),
                })),
                // Destroyed a moment ago.
                Ok(None) => {}
                // Somebody may ask for it all the same.
                Err(_) => recordings.push(json!({ "id": id })),
            }
        }
        Ok(Json(json!({ "requests": requests, "recordings": recordings })))
    })
    .await
}

fn tell(request: &Request, now: jiff::Timestamp) -> Value {
    let mut told = json!(request);
    told["open"] = json!(request.is_open());
    told["overdue"] = json!(request.is_overdue(now));
    told
}

pub(super) async fn enter(
    State(app): State<App>,
    Sent(sent): Sent<Asked>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let now = SystemClock.now();
        let received = match sent.received.as_deref().filter(|text| !text.is_empty()) {
            None => now,
            Some(text) if day(text)? == preflight::today(now) => now,
            Some(text) => {
                let began = day(text)?.to_zoned(TimeZone::system());
                began.map_err(|_| Problem::bad("day", "there is no such day"))?.timestamp()
            }
        };
        let recordings: Result<Vec<RecordingId>, _> =
            sent.recordings.iter().map(|id| id.parse()).collect();
        let new = NewRequest {
            ask: choice::<Ask>(&sent.ask, "choose delete, restrict, add or access")?,
            by: person(&sent.by)?,
            recordings: recordings.map_err(|_| Problem::not_found())?,
            received,
            text: sent.text_sha256.as_deref().map(digest).transpose()?,
        };
        let entered = request(app.desk.store(), app.desk.audit(), &new, now)?;
        Ok(Json(tell(&entered, now)))
    })
    .await
}

pub(super) async fn decide(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Sent(sent): Sent<Decided>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let words = "choose granted, refused, extended or lifted";
        let new = NewAnswer {
            number: sent.number,
            by: officer(&login)?,
            decision: choice::<Decision>(&sent.decision, words)?,
            reason: sent.reason_sha256.as_deref().map(digest).transpose()?,
            note: sent.note.as_deref(),
        };
        let (desk, now) = (&app.desk, SystemClock.now());
        let answered = answer(desk.store(), desk.audit(), desk.key(), &new, now)?;
        Ok(Json(tell(&answered, now)))
    })
    .await
}

/// Under which pseudonym the officer answers: the directory's, else the account's name.
fn officer(login: &Login) -> Result<PersonId, Problem> {
    login.person.clone().map_or_else(|| person(login.account.as_str()), Ok)
}
