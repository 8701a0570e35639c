//! Who may look at a recording besides its recipients, who did, and what those who look leave with it.
//!
//! The teacher gives access with a key that never comes here: the page wraps the recording's key and
//! signs, the box checks and stores (`vault::access`). Marks come encrypted.

use axum::{
    Json,
    extract::{Extension, Path, State},
    http::StatusCode,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    files::allowed,
    people::{directory, roles_here},
    person,
    recordings::Shelf,
};
use crate::{
    api::{App, Inner, accounts::Role, not_yours, problem::Problem, sent::Sent, sessions::Login},
    appliance::retention_policy,
    clock::{Clock, SystemClock},
    units::{PersonId, RecordingId},
    vault::{
        Manifest, State as Life,
        access::{KeysToLook, NewGrant, keep_marks, revoke as end_grant},
        audit::{Entry, Event},
        retention::{TalkOver, close_talk, close_talk_signed},
        shelf,
        sign::Signed,
    },
};

/// A grant, as the teacher's page made it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Granting {
    /// The signed statement: docs/ref/access.md.
    statement: String,
    /// The recording's key, encrypted for that person: an age file in base64.
    key: String,
}

/// Whose grant ends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Revoking {
    /// A pseudonym.
    person: String,
}

/// Marks and notes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Marks {
    /// An age file in base64, encrypted to the recording's own key; 45 KiB at most.
    file: String,
}

/// The recording `id`, for its teacher and nobody else.
fn taught(app: &Inner, login: &Login, id: &str) -> Result<(Manifest, Shelf), Problem> {
    let (manifest, shelf) = concerning(app, login, id)?;
    if login.role == Role::Teacher && manifest.teacher == login.person {
        return Ok((manifest, shelf));
    }
    let text = "this is for the recording's teacher only";
    Err(Problem::denied("not-yours", text))
}

/// The recording `id`, for whoever has to do with it; others do not learn that it is there.
fn concerning(app: &Inner, login: &Login, id: &str) -> Result<(Manifest, Shelf), Problem> {
    let id: RecordingId = id.parse().map_err(|_| Problem::not_found())?;
    let manifest = shelf::manifest(app.desk.store(), id, app.desk.key().public())?;
    let shelf = Shelf::look(app)?;
    let manifest = manifest.filter(|manifest| shelf.concerns(manifest, login));
    Ok((manifest.ok_or_else(Problem::not_found)?, shelf))
}

/// Grants, people who may be given one, and the view log.
pub(super) async fn show(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let (manifest, shelf) = taught(app, &login, &id)?;
        let entries = app.desk.audit().entries()?;
        let now = SystemClock.now();
        let directory = directory(app)?;
        let owner = |recipient| directory.owner(recipient).map(|(person, ..)| person);
        let recipients = manifest.recipients.iter();
        let recipients: Vec<Value> =
            recipients.map(|one| json!({ "recipient": one, "person": owner(one) })).collect();
        let others =
            directory.people().iter().filter(|(one, _)| login.person.as_ref() != Some(one));
        let people: Vec<Value> = others
            .filter_map(|(one, entry)| {
                let KeysToLook { recipients, signers } = directory.keys_to_look(one, now).ok()?;
                Some(json!({
                    "person": one, "role": entry.role, "recipients": recipients, "signers": signers,
                }))
            })
            .collect();
        let signers =
            login.person.as_ref().map(|own| directory.signers_of(own, now)).unwrap_or_default();
        let log = entries.iter().filter_map(|entry| told(entry, manifest.recording));
        Ok(Json(json!({
            "now": now,
            "delete_by": shelf.delete_by(&manifest),
            "withheld": shelf.is_withheld(manifest.recording),
            "recipients": recipients,
            "grants": shelf.grants_of(manifest.recording).collect::<Vec<_>>(),
            "people": people,
            "signers": signers,
            "log": log.collect::<Vec<_>>(),
        })))
    })
    .await
}

/// What a line of the log says about access to a recording.
fn told(entry: &Entry, recording: RecordingId) -> Option<Value> {
    let event = entry.event.as_ref().filter(|event| event.recording() == Some(recording))?;
    let (kind, person, by, until) = match event {
        Event::Viewed { person, .. } => ("viewed", Some(person), None, None),
        Event::Granted { person, by, until, .. } => {
            ("granted", Some(person), Some(by), Some(until))
        }
        Event::Revoked { person, by, .. } => ("revoked", Some(person), by.as_ref(), None),
        Event::Exported { by, delete_by, .. } => ("exported", None, Some(by), Some(delete_by)),
        Event::TalkClosed { by, delete_by, .. } => ("talk-closed", None, Some(by), Some(delete_by)),
        _ => return None,
    };
    Some(json!({
        "n": entry.line, "at": entry.at, "kind": kind, "person": person, "by": by, "until": until,
    }))
}

/// Takes a grant in; what makes it count is checked by the vault.
pub(super) async fn grant(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Path(id): Path<String>,
    Sent(Granting { statement, key }): Sent<Granting>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let (manifest, shelf) = taught(app, &login, &id)?;
        if shelf.is_withheld(manifest.recording) {
            return Err(withheld());
        }
        made(&manifest)?;
        let bad = || Problem::bad("grant", "the key is no base64");
        let grant = NewGrant::parse(&statement, STANDARD.decode(key).map_err(|_| bad())?)?;
        let claim = grant.claim();
        if claim.recording != manifest.recording || Some(&claim.by) != login.person.as_ref() {
            return Err(not_yours());
        }
        let (desk, now) = (&app.desk, SystemClock.now());
        let directory = directory(app)?;
        let keys = directory.keys_to_look(&claim.person, now)?;
        let signers = directory.signers_of(&claim.by, now);
        grant.install(desk.store(), desk.audit(), desk.key(), &signers, &keys, now)?;
        Ok(Json(json!({ "person": claim.person, "until": claim.until })))
    })
    .await
}

/// Ends a grant; the teacher's login is enough, since it only takes away.
pub(super) async fn revoke(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Path(id): Path<String>,
    Sent(Revoking { person: from }): Sent<Revoking>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let (manifest, _) = taught(app, &login, &id)?;
        let (from, by) = (person(&from)?, own(&login)?);
        let (store, log, roles) = (app.desk.store(), app.desk.audit(), roles_here(app)?);
        end_grant(store, log, &roles, manifest.recording, &from, &by, SystemClock.now())?;
        Ok(Json(json!({ "person": from })))
    })
    .await
}

/// Keeps marks of whoever may look, in place of theirs from before.
pub(super) async fn marks(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Path(id): Path<String>,
    Sent(Marks { file }): Sent<Marks>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let allowed = allowed(app, &login, &id)?;
        let bad = |_| Problem::bad("marks", "the file is no base64");
        let sealed = STANDARD.decode(file).map_err(bad)?;
        let desk = &app.desk;
        let place = (desk.store(), desk.audit(), desk.key().public());
        keep_marks(place, allowed.manifest.recording, &allowed.person, &sealed)?;
        Ok(Json(json!({ "file": format!("marks/{}.age", allowed.person) })))
    })
    .await
}

/// That the talk is over, signed by who says so, where the recording names a key of theirs.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Closing {
    /// A statement of the kind classveil-talk/1.
    statement: Option<String>,
}

/// The follow-up talk is over: the recording goes earlier. For its teacher and its coach.
pub(super) async fn close(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Path(id): Path<String>,
    Sent(Closing { statement }): Sent<Closing>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let (manifest, _) = concerning(app, &login, &id)?;
        let by = own(&login)?;
        let named = match login.role {
            Role::Teacher => manifest.teacher.as_ref(),
            _ => manifest.coach.as_ref(),
        };
        if named != Some(&by) {
            return Err(not_yours());
        }
        made(&manifest)?;
        let desk = &app.desk;
        let policy = retention_policy(&desk.config(), None)?;
        let (at, roles) = ((desk.store(), desk.audit(), desk.key()), roles_here(app)?);
        let now = SystemClock.now();
        let signs = manifest.signers.iter().any(|key| key.name() == by.as_str());
        let delete_by = match statement {
            Some(note) => {
                let said = Signed::<TalkOver>::parse(&note);
                let said = said.map_err(|problem| Problem::bad("statement", problem))?;
                let TalkOver { recording, by: signer, .. } = said.claim();
                if (*recording, signer) != (manifest.recording, &by) {
                    return Err(not_yours());
                }
                close_talk_signed(at, &roles, &said, &policy, now)?
            }
            // A login alone ends nothing for who has a key to sign with.
            None if signs => {
                let text = "closing the talk is signed with your key: open the recording first";
                return Err(Problem::denied("not-signed", text));
            }
            None => close_talk(at, &roles, manifest.recording, &by, &policy, now)?,
        };
        Ok(Json(json!({ "delete_by": delete_by })))
    })
    .await
}

fn own(login: &Login) -> Result<PersonId, Problem> {
    login.person.clone().ok_or_else(not_yours)
}

/// Refuses a recording that is not complete.
fn made(manifest: &Manifest) -> Result<(), Problem> {
    if manifest.state == Life::Recording {
        return Err(Problem::new(StatusCode::CONFLICT, "recording", "it is being made"));
    }
    Ok(())
}

fn withheld() -> Problem {
    Problem::denied("withheld", "nobody gets this recording at present")
}
