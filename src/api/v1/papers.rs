//! What the school has on record: registers, the audit log, and what holds for recordings.

use axum::{
    Json,
    extract::{Extension, Query, State},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use utoipa::ToSchema;

use super::{people::directory, person};
use crate::{
    api::{App, Inner, accounts::Role, not_yours, problem::Problem, sent::Sent, sessions::Login},
    appliance::preflight,
    clock::{Clock, SystemClock},
    config::AudioMode,
    people::registers::{Acceptance, Assessment, Notice, Reminder, answer, ask},
    units::PersonId,
    vault::{
        Digest, Recipient,
        audit::Entry,
        ledger::{self, Ledger},
    },
};

/// Entries of the log at a time.
const ENTRIES: usize = 500;

/// The school weighed its interest.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAssessment {
    /// Where the school filed it.
    reference: String,
    /// Who signed it: a pseudonym.
    by: String,
    /// The last day on which it counts, YYYY-MM-DD.
    review: String,
}

/// Parents were reminded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewReminder {
    /// When, YYYY-MM-DD.
    on: String,
    /// letter, mail, newsletter, app or evening.
    channel: String,
    /// SHA-256 of what it said, 64 hexadecimal digits; the text itself stays with the school.
    text_sha256: String,
}

/// People were told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewNotice {
    /// door, parents, pupils or staff.
    audience: String,
    /// SHA-256 of what it says, 64 hexadecimal digits; the text itself stays with the school.
    text_sha256: String,
}

/// A teacher's word on being recorded.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "step", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum NewAcceptance {
    /// Asks for a word that only the teacher's key can open.
    Ask {
        /// With whom.
        coach: Option<String>,
        /// The teacher's public key, one of those that recordings are encrypted to.
        recipient: String,
    },
    /// The word, which is the acceptance.
    Answer {
        /// As the key opened it.
        word: String,
    },
    /// Not any more.
    Withdraw,
}

/// What holds for every recording that is made from now on.
pub(super) async fn terms(State(app): State<App>) -> Json<Value> {
    let config = app.desk.config();
    let recording = &config.recording;
    Json(json!({
        "purpose": recording.purpose,
        "legal_basis": recording.legal_basis,
        "policy": recording.policy.to_string(),
        "region": config.veil.region.to_string(),
        "veil": config.veil.style.to_string(),
        "audio": config.audio.mode == AudioMode::Keep,
        "photos": config.biometrics.dpia.is_some(),
        "retain_s": recording.retain.as_secs(),
        "longest_s": recording.longest.as_secs(),
        "class": recording.class,
        "teacher": recording.teacher,
        "coach": recording.coach,
        "recipients": recording.recipients,
        "confirm_by_button": !config.button.danger_remote_start,
        "cameras": config.cameras.iter().map(|camera| &camera.id).collect::<Vec<_>>(),
        "digest": preflight::terms(&config),
    }))
}

/// Which part of the log.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// The first line; without it the newest.
    from: Option<u64>,
}

pub(super) async fn audit(
    State(app): State<App>,
    Query(part): Query<Part>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let entries: Vec<Entry> = app.desk.audit().entries()?;
        let lines = entries.len();
        let newest = lines.saturating_sub(ENTRIES);
        let from = part.from.map_or(newest, |from| usize::try_from(from).unwrap_or(lines));
        let from = part.from.map_or(from, |_| from.saturating_sub(1));
        let some = entries.into_iter().skip(from).take(ENTRIES);
        let some: Vec<Box<RawValue>> =
            some.filter_map(|entry| RawValue::from_string(entry.text).ok()).collect();
        Ok(Json(json!({ "lines": lines, "entries": some })))
    })
    .await
}

pub(super) async fn registers(
    State(app): State<App>,
    Extension(login): Extension<Login>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let (store, entries) = (app.desk.store(), app.desk.audit().entries()?);
        let acceptances = ledger::read::<Acceptance>(store, Ledger::Acceptances, &entries)?;
        let notices = ledger::read::<Notice>(store, Ledger::Notices, &entries)?;
        let terms = preflight::terms(&app.desk.config());
        let untold = crate::people::registers::untold(&notices, terms);
        if login.role == Role::Teacher {
            let own = login.person.as_ref();
            let mine: Vec<_> =
                acceptances.iter().filter(|line| Some(teacher_of(&line.entry)) == own).collect();
            return Ok(Json(json!({
                "acceptances": mine, "notices": notices, "untold": untold,
            })));
        }
        Ok(Json(json!({
            "assessments": ledger::read::<Assessment>(store, Ledger::Assessments, &entries)?,
            "reminders": ledger::read::<Reminder>(store, Ledger::Reminders, &entries)?,
            "notices": notices,
            "untold": untold,
            "acceptances": acceptances,
        })))
    })
    .await
}

fn teacher_of(acceptance: &Acceptance) -> &PersonId {
    match acceptance {
        Acceptance::Asked { teacher, .. }
        | Acceptance::Accepted { teacher, .. }
        | Acceptance::Withdrawn { teacher } => teacher,
    }
}

fn enter(app: &Inner, ledger: Ledger, entry: &impl Serialize) -> Result<Value, Problem> {
    let (store, log) = (app.desk.store(), app.desk.audit());
    let line = ledger::append(store, log, ledger, SystemClock.now(), entry)?;
    Ok(json!({ "register": ledger, "line": line }))
}

pub(super) fn day(text: &str) -> Result<Date, Problem> {
    text.parse().map_err(|_| Problem::bad("day", "a day is YYYY-MM-DD"))
}

pub(super) fn digest(text: &str) -> Result<Digest, Problem> {
    let what = "a SHA-256 is 64 hexadecimal digits: that of the text, which stays with you";
    text.to_ascii_lowercase().parse().map_err(|_| Problem::bad("digest", what))
}

pub(super) async fn assessment(
    State(app): State<App>,
    Sent(sent): Sent<NewAssessment>,
) -> Result<Json<Value>, Problem> {
    let reference = sent.reference.trim().to_owned();
    let says_something = reference.contains(char::is_alphanumeric);
    if !says_something || reference.chars().count() > 200 || reference.contains(char::is_control) {
        return Err(Problem::bad("reference", "one line of 1 to 200 characters is needed"));
    }
    let (by, review) = (person(&sent.by)?, day(&sent.review)?);
    if review < preflight::today(SystemClock.now()) {
        return Err(Problem::bad("day", "that day is over, so the assessment would not count"));
    }
    let entry = Assessment { reference, by, review };
    app.work(move |app| enter(app, Ledger::Assessments, &entry)).await.map(Json)
}

pub(super) async fn reminder(
    State(app): State<App>,
    Sent(sent): Sent<NewReminder>,
) -> Result<Json<Value>, Problem> {
    let on = day(&sent.on)?;
    if on > preflight::today(SystemClock.now()) {
        let text = "that day is to come; enter the reminder when it was given";
        return Err(Problem::bad("day", text));
    }
    let channel = sent.channel.parse();
    let channel = channel.map_err(|_| {
        Problem::bad("channel", "a channel is letter, mail, newsletter, app or evening")
    })?;
    let entry = Reminder { on, channel, text: digest(&sent.text_sha256)? };
    app.work(move |app| enter(app, Ledger::Reminders, &entry)).await.map(Json)
}

pub(super) async fn notice(
    State(app): State<App>,
    Sent(sent): Sent<NewNotice>,
) -> Result<Json<Value>, Problem> {
    let audience = sent.audience.parse();
    let audience = audience
        .map_err(|_| Problem::bad("audience", "an audience is door, parents, pupils or staff"))?;
    let text = digest(&sent.text_sha256)?;
    app.work(move |app| {
        let terms = preflight::terms(&app.desk.config());
        enter(app, Ledger::Notices, &Notice { audience, text, terms })
    })
    .await
    .map(Json)
}

/// Nobody accepts for a teacher: it needs the teacher's login and the teacher's key.
pub(super) async fn acceptance(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Sent(sent): Sent<NewAcceptance>,
) -> Result<Json<Value>, Problem> {
    let teacher = login.person.ok_or_else(not_yours)?;
    app.work(move |app| match sent {
        NewAcceptance::Ask { coach, recipient } => {
            let coach = coach.filter(|coach| !coach.is_empty());
            let coach = coach.as_deref().map(person).transpose()?;
            let known = |text: &str| text.trim().parse::<Recipient>().ok();
            let own = directory(app)?.recipients_of(&teacher, SystemClock.now());
            let is_own = |one: &Recipient| {
                own.contains(one) || app.desk.config().recording.recipients.contains(one)
            };
            let recipient = known(&recipient).filter(is_own).ok_or_else(|| {
                let text = "no recording of yours is encrypted to this key: enrol it on the page Keys \
                            first";
                Problem::bad("recipient", text)
            })?;
            let asked = ask(teacher, coach, recipient);
            let (entry, question) = asked.map_err(|error| Problem::broken(&error))?;
            let mut told = enter(app, Ledger::Acceptances, &entry)?;
            told["question"] = json!(STANDARD.encode(question));
            Ok(told)
        }
        NewAcceptance::Answer { word } => {
            let entries = app.desk.audit().entries()?;
            let lines = ledger::read(app.desk.store(), Ledger::Acceptances, &entries)?;
            let accepted = answer(&lines, &teacher, &word, SystemClock.now());
            let accepted = accepted.ok_or_else(|| {
                let text = "this is not the word of the newest question, or the question is more \
                            than a week old: ask again";
                Problem::denied("word", text)
            })?;
            enter(app, Ledger::Acceptances, &accepted)
        }
        NewAcceptance::Withdraw => {
            enter(app, Ledger::Acceptances, &Acceptance::Withdrawn { teacher })
        }
    })
    .await
    .map(Json)
}
