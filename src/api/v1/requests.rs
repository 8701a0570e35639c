//! Requests of people who were recorded, for the privacy officer: entered, answered, each with its due
//! date. Texts and reasons stay with the officer; their digests come here, and the text of a note that
//! is added, which whoever opens the recording sees.

use std::time::Duration;

use axum::{
    Json,
    extract::{Extension, State},
};
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    papers::{day, digest},
    people::{pseudonym, roles_here},
    person,
    recordings::Shelf,
};
use crate::{
    api::{App, problem::Problem, sent::Sent, sessions::Login},
    appliance::preflight,
    clock::{Clock, SystemClock},
    units::{PersonId, RecordingId},
    vault::{
        access::{Act, Ask, Decision, NewAnswer, NewRequest, Request, Requests, answer, request},
        audit::Event,
        retention::{NewHold, hold as place, release as end_hold},
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

/// A hold, for somebody who was recorded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Holding {
    /// Its id.
    recording: String,
    /// Who was recorded and asks for it: a pseudonym.
    requested_by: String,
    /// SHA-256 of the written reason.
    reason_sha256: String,
    /// How long, 90 at most. Without it: 90.
    days: Option<u16>,
}

/// Which recording is held no longer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Releasing {
    /// Its id.
    recording: String,
}

/// A hold, as the log has it.
#[derive(Serialize)]
struct Held {
    recording: RecordingId,
    from: Timestamp,
    until: Timestamp,
    requested_by: PersonId,
    approved_by: PersonId,
    /// When it was ended before its time.
    released: Option<Timestamp>,
    /// Whether it counts now.
    counts: bool,
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

fn tell(request: &Request, now: Timestamp) -> Value {
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
        roles_here(app)?.may(&new.by, &Act::Ask)?;
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
            by: pseudonym(&login)?,
            decision: choice::<Decision>(&sent.decision, words)?,
            reason: sent.reason_sha256.as_deref().map(digest).transpose()?,
            note: sent.note.as_deref(),
        };
        let (desk, now) = (&app.desk, SystemClock.now());
        let at = (desk.store(), desk.audit(), desk.key());
        let answered = answer(at, &roles_here(app)?, &new, now)?;
        Ok(Json(tell(&answered, now)))
    })
    .await
}

/// What is held, or was: for whom, by whom and until when.
pub(super) async fn holds(State(app): State<App>) -> Result<Json<Value>, Problem> {
    app.work(|app| {
        let (entries, now) = (app.desk.audit().entries()?, SystemClock.now());
        let mut holds: Vec<Held> = Vec::new();
        for entry in &entries {
            match &entry.event {
                Some(Event::Held { recording, requested_by, approved_by, until, .. }) => {
                    holds.push(Held {
                        recording: *recording,
                        from: entry.at,
                        until: *until,
                        requested_by: requested_by.clone(),
                        approved_by: approved_by.clone(),
                        released: None,
                        counts: *until > now,
                    });
                }
                Some(Event::Released { recording, .. }) => {
                    let ended = holds.iter_mut().filter(|one| one.recording == *recording);
                    for one in ended.filter(|one| one.until > entry.at) {
                        (one.released, one.counts) = (one.released.or(Some(entry.at)), false);
                    }
                }
                _ => {}
            }
        }
        holds.reverse();
        Ok(Json(json!({ "holds": holds })))
    })
    .await
}

/// Keeps a recording alive for somebody who was recorded, and from everybody; the officer approves it
/// by this.
pub(super) async fn hold(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Sent(sent): Sent<Holding>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let new = NewHold {
            recording: sent.recording.parse().map_err(|_| Problem::not_found())?,
            requested_by: person(&sent.requested_by)?,
            approved_by: pseudonym(&login)?,
            length: Duration::from_secs(u64::from(sent.days.unwrap_or(90)) * 86_400),
            reason: digest(&sent.reason_sha256)?,
        };
        let (store, log) = (app.desk.store(), app.desk.audit());
        let until = place(store, log, &roles_here(app)?, &new, SystemClock.now())?;
        Ok(Json(json!({ "recording": new.recording, "until": until })))
    })
    .await
}

/// Ends every hold on a recording.
pub(super) async fn release(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Sent(sent): Sent<Releasing>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let recording = sent.recording.parse().map_err(|_| Problem::not_found())?;
        let (store, log, by) = (app.desk.store(), app.desk.audit(), pseudonym(&login)?);
        end_hold(store, log, &roles_here(app)?, recording, &by, SystemClock.now())?;
        Ok(Json(json!({ "recording": recording })))
    })
    .await
}
