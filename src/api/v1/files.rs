//! Recordings for those who may open them: as they lie in the store, encrypted.
//!
//! Nothing is opened here, and nothing could be: the box has no key. Who gets what is decided anew for
//! every file, and each opening of a recording is in the audit log before anything encrypted is handed
//! out.

use std::io::Read;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Extension, Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde_json::{Value, json};

use super::recordings::{Holds, Shelf};
use crate::{
    api::{App, Inner, problem::Problem, sessions::Login},
    clock::{Clock, SystemClock},
    units::{PersonId, RecordingId},
    vault::{
        Manifest, State as Life,
        audit::Event,
        shelf::{self, Handed},
    },
};

/// Bytes that are read at a time.
const CHUNK: u64 = 256 << 10;

/// A recording that somebody may open, and by what.
pub(super) struct Allowed {
    pub(super) manifest: Manifest,
    holds: Holds,
    pub(super) person: PersonId,
}

pub(super) fn allowed(app: &Inner, login: &Login, id: &str) -> Result<Allowed, Problem> {
    let id: RecordingId = id.parse().map_err(|_| Problem::not_found())?;
    let manifest = shelf::manifest(app.desk.store(), id, app.desk.key().public())?;
    let shelf = Shelf::look(app)?;
    // Whoever has no access does not learn which recordings there are.
    let manifest = manifest.filter(|manifest| shelf.concerns(manifest, login));
    let manifest = manifest.ok_or_else(Problem::not_found)?;
    if manifest.state == Life::Recording {
        let text = "it is being made";
        return Err(Problem::new(StatusCode::CONFLICT, "recording", text));
    }
    if app.desk.clock_withholds() {
        let text = "nobody has been able to say for a day whether the box's clock is right, by which this \
                    recording may be over: an operator confirms it at the box, or sets up its time";
        return Err(Problem::denied("time-untrusted", text));
    }
    if shelf.is_withheld(id) {
        return Err(Problem::denied("withheld", "nobody gets this recording at present"));
    }
    let holds = shelf.holds(&manifest, login);
    let (Some(holds), Some(person)) = (holds, login.person.clone()) else {
        let text = "it is not encrypted to a key of yours, and no grant of yours counts";
        return Err(Problem::denied("no-access", text));
    };
    Ok(Allowed { manifest, holds, person })
}

/// The log says who looks before they can: each time that the wrapped key is fetched (`opens`), which is
/// each time that somebody opens the recording, and where files come without it, once in a session.
fn log_look(app: &Inner, login: &Login, allowed: &Allowed, opens: bool) -> Result<(), Problem> {
    let recording = allowed.manifest.recording;
    if opens || app.sessions.is_first_look(login.session, recording) {
        let event = Event::Viewed { recording, person: allowed.person.clone() };
        app.desk.audit().append(SystemClock.now(), &event).map(drop)?;
        app.sessions.looked(login.session, recording);
    }
    Ok(())
}

pub(super) async fn list(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let Allowed { manifest, holds, person } = allowed(app, &login, &id)?;
        let names = shelf::names(app.desk.store(), &manifest)?;
        let files = names.into_iter().map(|(name, bytes)| json!({ "name": name, "bytes": bytes }));
        let (by, grant) = match holds {
            Holds::Recipient => ("recipient", None),
            Holds::Grant => ("grant", shelf::grant(app.desk.store(), manifest.recording, &person)?),
        };
        Ok(Json(json!({ "files": files.collect::<Vec<_>>(), "access": by, "grant": grant })))
    })
    .await
}

pub(super) async fn file(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let handed = app.work(move |app| {
        let allowed = allowed(app, &login, &id)?;
        let handed = shelf::file(app.desk.store(), &allowed.manifest, &name)?;
        let handed = handed.ok_or_else(Problem::not_found)?;
        // Everything but the manifest, its signature and the journal is encrypted.
        if name.strip_suffix(".age").is_some() {
            log_look(app, &login, &allowed, false)?;
        }
        Ok(handed)
    });
    let handed = handed.await?;
    Ok(hand_over(app, handed))
}

pub(super) async fn key(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let handed = app.work(move |app| {
        let allowed = allowed(app, &login, &id)?;
        let granted = (allowed.holds == Holds::Grant).then_some(&allowed.person);
        let handed = shelf::key(app.desk.store(), allowed.manifest.recording, granted)?;
        let handed = handed.ok_or_else(Problem::not_found)?;
        log_look(app, &login, &allowed, true)?;
        Ok(handed)
    });
    let handed = handed.await?;
    Ok(hand_over(app, handed))
}

/// Sends a file a piece at a time.
fn hand_over(app: App, Handed { file, bytes }: Handed) -> Response {
    let pieces = stream::try_unfold((file, bytes), move |(file, left)| {
        let app = app.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let read = app.work(move |_| {
                let mut piece = Vec::new();
                let read = (&file).take(left.min(CHUNK)).read_to_end(&mut piece);
                read.map_err(|error| Problem::broken(&error))?;
                Ok((piece, file))
            });
            match read.await {
                Ok((piece, file)) if !piece.is_empty() => {
                    let left = left - piece.len() as u64;
                    Ok(Some((Bytes::from(piece), (file, left))))
                }
                // Shorter than it was: whoever reads hears that it is not whole.
                _ => Err(std::io::Error::other("the file cannot be read")),
            }
        }
    });
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    response
}
