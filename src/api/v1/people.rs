//! Whose key is whose, and how a key that was made in a browser comes to count: a one-time code, a
//! challenge that only its owner opens, and for a coach the teacher's signature. Secret keys never come
//! here.

use axum::{
    Json,
    extract::{Extension, State},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::person;
use crate::{
    api::{App, Inner, not_yours, problem::Problem, sent::Sent, sessions::Login},
    appliance::preflight::today,
    clock::{Clock, SystemClock},
    people::directory::{
        Announce, Answer, Directory, DirectoryError, KeyApproval, KeyEnd, NewKey, new_word, roles,
    },
    units::PersonId,
    vault::{
        Recipient,
        access::{Confirmed, Roles},
        sign::{Signed, Statement},
    },
};

/// Somebody has a key and the code to enrol it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Challenging {
    /// The public key.
    recipient: String,
    /// The one-time code that was handed over; without it an older key has to sign.
    code: Option<String>,
}

/// The challenge was opened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Enrolling {
    /// What `classveil people answer` writes, or the page: docs/ref/access.md.
    answer: String,
    /// The key that ends when this one begins, where it replaces one.
    replaces: Option<String>,
    /// What others signed for it, where no older key did: files of `classveil people approve`, or of
    /// their pages.
    #[serde(default)]
    approvals: Vec<String>,
}

/// A key is not to count any more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ending {
    /// The statement, signed with a key of one's own that counts: docs/ref/access.md.
    statement: String,
}

/// A teacher takes a coach's key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Accepting {
    /// The signed statement: docs/ref/access.md.
    statement: String,
}

fn recipient(text: &str) -> Result<Recipient, Problem> {
    let problem = "this is no public key: it begins with age1";
    text.trim().parse().map_err(|_| Problem::bad("recipient", problem))
}

/// Reads what somebody signed.
fn statement<T: Statement>(note: &str) -> Result<Signed<T>, Problem> {
    let bad = |problem| Problem::bad("statement", format!("this {problem}"));
    Signed::parse(note).map_err(bad)
}

/// Under which pseudonym somebody acts: the account's, else the account's name.
pub(super) fn pseudonym(login: &Login) -> Result<PersonId, Problem> {
    login.person.clone().map_or_else(|| person(login.account.as_str()), Ok)
}

/// The directory of people as it is; an empty one where the store has none.
pub(super) fn directory(app: &Inner) -> Result<Directory, Problem> {
    let entries = app.desk.audit().known()?;
    Ok(Directory::read(app.desk.store(), &entries)?.unwrap_or_default())
}

/// Changes the directory by the rules that `edit` asks.
fn change<T>(
    app: &Inner,
    edit: impl FnOnce(&mut Directory, Timestamp) -> Result<(T, Announce), DirectoryError>,
) -> Result<T, Problem> {
    let now = SystemClock.now();
    let (store, log) = (app.desk.store(), app.desk.audit());
    Ok(Directory::change(store, log, now, |directory| edit(directory, now))?)
}

/// Who is who at this moment, for the rule of who may do what.
pub(super) fn roles_here(app: &Inner) -> Result<Roles, Problem> {
    let (entries, now) = (app.desk.audit().entries()?, SystemClock.now());
    Ok(roles(app.desk.store(), &entries, now, today(now))?)
}

/// Everybody's public keys, by pseudonym.
pub(super) async fn list(
    State(app): State<App>,
    Extension(login): Extension<Login>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let (directory, now) = (directory(app)?, SystemClock.now());
        let people: Vec<Value> = directory
            .people()
            .iter()
            .filter(|(_, entry)| entry.removed.is_none())
            .map(|(person, entry)| {
                let keys = entry.keys.iter().filter(|key| !key.has_ended(now));
                let keys: Vec<Value> = keys
                    .map(|key| {
                        json!({
                            "recipient": key.recipient,
                            "replaces": key.replaces,
                            "from": key.from,
                            "counts": key.counts(now),
                            "signs": key.sign.is_some(),
                            "confirmed": key.confirmed,
                            "accepted_by": key.accepted.keys().collect::<Vec<_>>(),
                        })
                    })
                    .collect();
                json!({ "person": person, "role": entry.role, "keys": keys })
            })
            .collect();
        Ok(Json(json!({ "people": people, "own": pseudonym(&login).ok() })))
    })
    .await
}

/// Gives a challenge for a key of whoever is logged in.
pub(super) async fn challenge(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Sent(sent): Sent<Challenging>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let person = pseudonym(&login)?;
        let recipient = recipient(&sent.recipient)?;
        let code = sent.code.as_deref().filter(|code| !code.trim().is_empty());
        let word = new_word()?;
        let made = change(app, |directory, now| {
            directory.challenge(&person, &recipient, code, word, now)
        })?;
        Ok(Json(json!({ "challenge": STANDARD.encode(made.seal()?) })))
    })
    .await
}

/// Takes the key in whose challenge was opened.
pub(super) async fn enrol(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Sent(sent): Sent<Enrolling>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let person = pseudonym(&login)?;
        let answer = Answer::parse(&sent.answer)?;
        let approvals = sent.approvals.iter().map(|note| statement(note));
        let approvals = approvals.collect::<Result<Vec<_>, _>>()?;
        let replaces = sent.replaces.as_deref().map(recipient).transpose()?;
        let new = NewKey {
            person: &person,
            answer: &answer,
            replaces: replaces.as_ref(),
            confirmed: Confirmed::OwnLogin,
            approvals: &approvals,
        };
        let made = change(app, |directory, now| directory.enrol(&new, now))?;
        Ok(Json(json!({
            "recipient": made.recipient, "from": made.from, "signs": made.signs,
        })))
    })
    .await
}

/// Ends a key at the word of its owner, signed with any key of theirs that counts: also one that waits,
/// which somebody else may have brought in.
pub(super) async fn end(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Sent(sent): Sent<Ending>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let own = pseudonym(&login)?;
        let signed: Signed<KeyEnd> = statement(&sent.statement)?;
        let KeyEnd { by, recipient } = signed.claim();
        if *by != own {
            return Err(not_yours());
        }
        change(app, |directory, now| directory.end_own_key(&signed, now))?;
        Ok(Json(json!({ "recipient": recipient })))
    })
    .await
}

/// Takes in a teacher's signed word on somebody's key.
pub(super) async fn accept(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Sent(sent): Sent<Accepting>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let own = login.person.ok_or_else(not_yours)?;
        let signed: Signed<KeyApproval> = statement(&sent.statement)?;
        let claim = signed.claim();
        if claim.by != own {
            return Err(not_yours());
        }
        change(app, |directory, now| directory.accept(&signed, now))?;
        Ok(Json(json!({ "person": claim.person, "recipient": claim.recipient })))
    })
    .await
}
