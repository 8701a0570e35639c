//! Lessons: said, begun, ended, listed.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::{Extension, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    api::{
        App, Inner, accounts::Role, heard, not_yours, problem::Problem, sent::Sent, sessions::Login,
    },
    appliance::control::{Caller, LAST_MINUTE, NewLesson, Request},
    clock::{Clock, SystemClock},
    people::directory::Directory,
    units::{ClassId, PersonId, RecordingId},
    vault::{
        Manifest, State as Life, Trust,
        access::{Listed, grants},
        audit::Entry,
        index::{Card, cards},
        retention::{Clock as Present, Known, Policy, Verdict, plan, survey},
        shelf,
    },
};

/// How long whoever begins a recording waits for it; then it goes on without them.
const BEGIN: Duration = Duration::from_secs(2);
/// How long the service may take for what it does at once.
const AT_ONCE: Duration = Duration::from_secs(5);
/// How long every camera may take to drop something: a disk that is slow, and what was written.
const DROP: Duration = Duration::from_secs(20);
/// How long the button may take to be pressed.
const CONFIRM_S: u64 = 60;
/// Longest learning question, in bytes.
const QUESTION_BYTES: usize = 16 << 10;

/// A lesson; what is left out follows from the configuration.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Prepare {
    class: Option<String>,
    teacher: Option<String>,
    /// The coach who asks, and nobody else.
    coach: Option<String>,
    question: String,
    purpose: Option<String>,
    planned_s: Option<u64>,
}

/// What is to go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DropLast {
    /// How much of it, in seconds.
    #[serde(default = "last_minute")]
    seconds: u64,
    /// Whether the recording ends with it.
    #[serde(default)]
    stop: bool,
}

const fn last_minute() -> u64 {
    LAST_MINUTE
}

/// How it ends.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Stop {
    /// Whether nobody gets it until the privacy officer decides; for the teacher.
    objection: bool,
}

/// A pseudonym, or nothing where it is left out or empty.
fn name<T: std::str::FromStr>(given: Option<&str>) -> Result<Option<T>, Problem> {
    let bad = |_| Problem::bad("name", "a pseudonym is 1 to 32 of a-z, 0-9 and -");
    given.filter(|text| !text.is_empty()).map(|text| text.parse().map_err(bad)).transpose()
}

pub(super) async fn prepare(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Sent(sent): Sent<Prepare>,
) -> Result<Json<Value>, Problem> {
    let own = login.person.ok_or_else(not_yours)?;
    let coach: Option<PersonId> = name(sent.coach.as_deref())?;
    if coach.as_ref().is_some_and(|coach| *coach != own) {
        return Err(not_yours());
    }
    if sent.question.len() > QUESTION_BYTES {
        return Err(Problem::bad("question", "the question is longer than 16 KiB"));
    }
    let lesson = NewLesson {
        class: name::<ClassId>(sent.class.as_deref())?,
        teacher: name(sent.teacher.as_deref())?,
        coach: Some(own),
        question: sent.question,
        purpose: sent.purpose.filter(|purpose| !purpose.is_empty()),
        planned_s: sent.planned_s,
        ..NewLesson::default()
    };
    app.ask(Request::Prepare { lesson }, AT_ONCE).await.map(Json)
}

/// As whom a login asks: about lessons of their own.
fn caller(login: &Login) -> Caller {
    let own = login.person.clone();
    match login.role {
        Role::Coach => Caller::Coach(own),
        Role::Teacher => Caller::Teacher(own),
        _ => Caller::Teacher(None),
    }
}

/// Whether the lesson that is prepared or runs is somebody's own.
pub(super) fn is_of(status: &Value, login: &Login) -> bool {
    let member = match login.role {
        Role::Coach => "coach",
        Role::Teacher => "teacher",
        _ => return false,
    };
    login.person.as_ref().is_some_and(|own| status["lesson"][member] == own.as_str())
}

pub(super) async fn withdraw(
    State(app): State<App>,
    Extension(login): Extension<Login>,
) -> Result<Json<Value>, Problem> {
    app.ask_as(caller(&login), Request::Withdraw, AT_ONCE).await.map(Json)
}

/// Begins; where the button has to be pressed first, or the cameras take a while, the answer comes
/// before that, and the status tells the rest.
pub(super) async fn start(
    State(app): State<App>,
    Extension(login): Extension<Login>,
) -> Result<Response, Problem> {
    let waits = !app.desk.config().button.danger_remote_start;
    let mut body = match app.hear(caller(&login), Request::Start, BEGIN).await? {
        Some(answer) => heard(answer)?,
        None => json!({ "state": "arming" }),
    };
    if waits && body["state"] == "arming" {
        body["confirm_within_s"] = json!(CONFIRM_S);
    }
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

pub(super) async fn stop(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Sent(Stop { objection }): Sent<Stop>,
) -> Result<Json<Value>, Problem> {
    if objection && login.role != Role::Teacher {
        return Err(Problem::denied("role", "only the teacher objects; a coach just stops"));
    }
    app.ask_as(caller(&login), Request::Stop { objection }, AT_ONCE).await.map(Json)
}

/// The last stretch goes out of memory and out of the store; whoever is in the room may ask for it.
pub(super) async fn drop_last(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Sent(DropLast { seconds, stop }): Sent<DropLast>,
) -> Result<Json<Value>, Problem> {
    app.ask_as(caller(&login), Request::Drop { seconds, stop }, DROP).await.map(Json)
}

/// For so long what follows from the log is not looked at again. A line announces files that come a
/// moment later: a grant that was looked for in between is found after this time.
const FRESH: Duration = Duration::from_secs(2);

/// What follows from the log, as long as nothing is added to it.
pub(in crate::api) struct Told {
    /// Length of the log.
    bytes: u64,
    at: Instant,
    known: Vec<Known>,
    grants: Vec<Listed>,
    directory: Option<Directory>,
}

impl Told {
    /// What the log says now. Whatever takes access away is a line of it first, so a log that is as
    /// long as it was has taken nothing away; what it has added counts at once.
    fn now(app: &Inner) -> Result<Arc<Self>, Problem> {
        let (store, desk) = (app.desk.store(), &app.desk);
        let mut kept = app.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Before it is read: what comes meanwhile is read again.
        let bytes = desk.audit().length()?;
        let is_fresh = |told: &&Arc<Self>| told.bytes == bytes && told.at.elapsed() < FRESH;
        if let Some(told) = kept.as_ref().filter(is_fresh) {
            return Ok(Arc::clone(told));
        }
        let at = Instant::now();
        let entries: &[Entry] = &desk.audit().known()?;
        let known = survey(store, entries, desk.key().public())?;
        let directory = Directory::read(store, entries)?;
        let signers = |person: &PersonId| {
            directory.as_ref().map(|all| all.all_signers_of(person)).unwrap_or_default()
        };
        let grants = grants(store, entries, signers)?;
        let told = Arc::new(Self { bytes, at, known, grants, directory });
        *kept = Some(Arc::clone(&told));
        Ok(told)
    }
}

/// What is known of recordings besides themselves.
pub(super) struct Shelf {
    told: Arc<Told>,
    verdicts: BTreeMap<RecordingId, Verdict>,
    now: Timestamp,
    /// For a day nobody could say whether the clock is right: by the right time anything may be over.
    clock_withholds: bool,
}

/// By what somebody may open a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// The recording is encrypted to a key of theirs.
    Recipient,
    /// A grant that counts.
    Grant,
}

impl Shelf {
    pub(super) fn look(app: &Inner) -> Result<Self, Problem> {
        let told = Told::now(app)?;
        let desk = &app.desk;
        let now = SystemClock.now();
        let policy = Policy::new(Some(desk.config().recording.retain), Some(Duration::ZERO))?;
        // Nothing is destroyed by looking, so it does not matter here whether the clock is trusted;
        // one that went back must not make what is due look as if it were not.
        let present = Present { now, trusted: true, highest: desk.audit().highest() };
        let verdicts = plan(&told.known, &policy, &present);
        let verdicts = verdicts.into_iter().map(|action| (action.recording, action.verdict));
        let clock_withholds = desk.clock_withholds();
        Ok(Self { told, verdicts: verdicts.collect(), now, clock_withholds })
    }

    /// Whether nobody gets it, for now or for good.
    pub(super) fn is_withheld(&self, id: RecordingId) -> bool {
        self.clock_withholds
            || self.verdicts.get(&id).is_none_or(|verdict| *verdict != Verdict::Keep)
    }

    /// The deadline that counts.
    pub(super) fn delete_by(&self, manifest: &Manifest) -> Timestamp {
        let known = self.told.known.iter().find(|known| known.id == manifest.recording);
        let deadlines = known.into_iter().flat_map(|known| &known.deadlines);
        deadlines.map(|deadline| deadline.at).fold(manifest.delete_by, Timestamp::min)
    }

    /// The grants of a recording, whatever they are worth.
    pub(super) fn grants_of(&self, id: RecordingId) -> impl Iterator<Item = &Listed> {
        self.told.grants.iter().filter(move |listed| listed.grant.recording == id)
    }

    /// By what `login` may open a recording; by nothing, where it is withheld.
    pub(super) fn holds(&self, manifest: &Manifest, login: &Login) -> Option<Holds> {
        let own = login.person.as_ref()?;
        if !login.role.needs_person() || self.is_withheld(manifest.recording) {
            return None;
        }
        // Whoever left the directory holds nothing any more, whatever was given before.
        if self.told.directory.as_ref().is_some_and(|all| all.person(own).is_err()) {
            return None;
        }
        let is_recipient = match &self.told.directory {
            Some(directory) => {
                // A key that was replaced since still opens what was encrypted to it.
                let is_theirs = |recipient| directory.owner(recipient).map(|(who, ..)| who);
                let mut recipients = manifest.recipients.iter();
                recipients.any(|r| is_theirs(r) == Some(own))
            }
            // Without a directory nobody knows whose keys they are; the teacher and the coach are the
            // recipients by default, and what they get is of no use without a key.
            None => manifest.teacher.as_ref() == Some(own) || manifest.coach.as_ref() == Some(own),
        };
        // A viewer looks at what was granted, and at nothing else.
        if is_recipient && login.role != Role::Viewer {
            return Some(Holds::Recipient);
        }
        let granted = self.told.grants.iter().any(|listed| {
            let grant = &listed.grant;
            let counts =
                listed.problem.is_none() && grant.from <= self.now && self.now < grant.until;
            counts && grant.recording == manifest.recording && grant.person == *own
        });
        granted.then_some(Holds::Grant)
    }

    /// Whether somebody is teacher or coach of a recording, or may open it.
    pub(super) fn concerns(&self, manifest: &Manifest, login: &Login) -> bool {
        let named = match login.role {
            Role::Coach => manifest.coach.as_ref(),
            Role::Teacher => manifest.teacher.as_ref(),
            _ => None,
        };
        (named.is_some() && named == login.person.as_ref()) || self.holds(manifest, login).is_some()
    }

    fn tell(&self, card: &Card, login: &Login) -> Value {
        let manifest = &card.manifest;
        json!({
            "id": manifest.recording,
            "started": manifest.started,
            "seconds": card.seconds(),
            "class": manifest.class,
            "teacher": manifest.teacher,
            "coach": manifest.coach,
            "purpose": manifest.purpose,
            "delete_by": self.delete_by(manifest),
            "state": manifest.state,
            "fault": manifest.fault,
            "withheld": self.is_withheld(manifest.recording),
            "cameras": manifest.cameras,
            "may_view": manifest.state != Life::Recording && self.holds(manifest, login).is_some(),
        })
    }
}

/// Recordings of which somebody is teacher or coach, or which they may open; for others how many there
/// are.
pub(super) async fn list(
    State(app): State<App>,
    Extension(login): Extension<Login>,
) -> Result<Json<Value>, Problem> {
    app.work(move |app| {
        let store = app.desk.store();
        if !login.role.needs_person() {
            return Ok(Json(json!({ "count": shelf::recordings(store)?.len() })));
        }
        let shelf = Shelf::look(app)?;
        let key = app.desk.key();
        let mut all = Vec::new();
        for (id, card) in
            cards(store, Some(key), &Trust::Pinned(key.public().clone()))?.iter().rev()
        {
            match card {
                Ok(card) if shelf.concerns(&card.manifest, &login) => {
                    all.push(shelf.tell(card, &login));
                }
                Ok(_) => {}
                Err(error) => tracing::error!(recording = %id, %error, "cannot be listed"),
            }
        }
        Ok(Json(json!({ "recordings": all })))
    })
    .await
}
