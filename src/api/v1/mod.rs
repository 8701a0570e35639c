//! Version 1 of the interface. `docs/ref/api.md` explains each route.

mod access;
mod answers;
mod counts;
mod events;
mod files;
mod lists;
mod papers;
mod people;
mod preview;
mod recordings;
mod requests;
mod session;
mod shelter;

use axum::{Json, extract::State};
use serde_json::Value;
use std::time::Duration;

pub(super) use self::{events::publish, recordings::Told, shelter::clear as clear_shelter};
use super::{
    App,
    accounts::Role::{self, Admin, Coach, Manager, Operator, PrivacyOfficer, Teacher, Viewer},
    problem::Problem,
    table::{ALL, Access, Row, STAFF, Table},
};
use crate::{appliance::control::Request, units::PersonId};

/// How long a look at everything may take: the slowest camera, and the models' digests.
const LOOK: Duration = Duration::from_secs(40);

pub(super) fn add(table: Table) -> Table {
    let table = table
        .add(
            Row::post("/api/v1/session", Access::Open, "logs in")
                .takes::<session::LogIn>()
                .answers::<answers::Session>(),
            session::log_in,
        )
        .add(
            Row::get("/api/v1/session", ALL, "says who is logged in").answers::<answers::Session>(),
            session::who,
        )
        .add(Row::delete("/api/v1/session", ALL, "logs out"), session::log_out)
        .add(
            Row::post("/api/v1/setup", Access::Open, "makes the first administrator, by a code")
                .takes::<session::SetUp>()
                .answers::<answers::FirstAccount>(),
            session::set_up,
        )
        .add(
            Row::get("/api/v1/status", STAFF, "says how the box is").answers::<answers::Status>(),
            status,
        )
        .add(
            Row::get("/api/v1/preflight", STAFF, "says what stands against a recording")
                .answers::<answers::Preflight>(),
            preflight,
        )
        .add(
            Row::get("/api/v1/events", STAFF, "tells each change of the status")
                .gives("text/event-stream"),
            events::events,
        )
        .add(
            Row::get("/api/v1/terms", STAFF, "says what holds for recordings")
                .answers::<answers::Terms>(),
            papers::terms,
        )
        .add(
            Row::get("/api/v1/cameras", STAFF, "says which cameras there are")
                .answers::<answers::Cameras>(),
            cameras,
        )
        .add(
            Row::get(
                "/api/v1/logs",
                Access::Roles(&[Operator, PrivacyOfficer]),
                "says what happened lately",
            )
            .answers::<answers::Logs>(),
            logs,
        )
        .add(
            Row::get(
                "/api/v1/audit/entries",
                Access::Roles(&[PrivacyOfficer]),
                "reads the audit log",
            )
            .answers::<answers::AuditPart>()
            .asks("from", "the first line; without it the newest"),
            papers::audit,
        );
    office(people(lists(looking(lessons(table)))))
}

/// A pseudonym that was sent.
fn person(text: &str) -> Result<PersonId, Problem> {
    text.parse().map_err(|_| Problem::bad("name", "a pseudonym is 1 to 32 of a-z, 0-9 and -"))
}

/// Whoever may be given a recording.
const LOOKERS: [Role; 3] = [Coach, Teacher, Viewer];

fn lessons(table: Table) -> Table {
    let coach = Access::Roles(&[Coach]);
    let both = Access::Roles(&[Coach, Teacher]);
    let lookers = Access::Roles(&LOOKERS);
    table
        .add(
            Row::get(
                "/api/v1/recordings",
                Access::Roles(&[Coach, Admin, Teacher, Operator, PrivacyOfficer, Viewer]),
                "lists recordings of one's own; others: how many",
            )
            .answers::<answers::Recordings>(),
            recordings::list,
        )
        .add(
            Row::get(
                "/api/v1/counts",
                Access::Roles(&[Admin, Manager]),
                "says how many recordings there are, and were, by month",
            )
            .answers::<counts::Counts>(),
            counts::counts,
        )
        .add(
            Row::post("/api/v1/recordings/prepare", coach, "says what is to be recorded")
                .takes::<recordings::Prepare>()
                .answers::<answers::Prepared>(),
            recordings::prepare,
        )
        .add(
            Row::post("/api/v1/recordings/withdraw", coach, "forgets what is prepared")
                .answers::<answers::Now>(),
            recordings::withdraw,
        )
        .add(
            Row::post("/api/v1/recordings/start", coach, "begins what is prepared")
                .answers::<answers::Begun>(),
            recordings::start,
        )
        .add(
            Row::post("/api/v1/recordings/stop", both, "ends the recording; a teacher may object")
                .takes::<recordings::Stop>()
                .answers::<answers::Now>(),
            recordings::stop,
        )
        .add(
            Row::post(
                "/api/v1/recordings/drop-last",
                both,
                "drops the last stretch of the recording",
            )
            .takes::<recordings::DropLast>()
            .answers::<answers::Dropped>(),
            recordings::drop_last,
        )
        .add(
            Row::get("/api/v1/recordings/{id}/files", lookers, "lists files of a recording")
                .answers::<answers::Files>(),
            files::list,
        )
        .add(
            Row::get(
                "/api/v1/recordings/{id}/files/{*path}",
                lookers,
                "hands out a file of a recording, encrypted",
            )
            .gives("application/octet-stream"),
            files::file,
        )
        .add(
            Row::get(
                "/api/v1/recordings/{id}/key",
                lookers,
                "hands out a recording's key, encrypted",
            )
            .gives("application/octet-stream"),
            files::key,
        )
        .add(
            Row::get(
                "/api/v1/cameras/{id}/preview",
                both,
                "shows the veiled picture of one's own lesson while it is recorded",
            )
            .gives("multipart/x-mixed-replace"),
            preview::preview,
        )
}

/// Who looks at a recording, and what they leave with it.
fn looking(table: Table) -> Table {
    let both = Access::Roles(&[Coach, Teacher]);
    let lookers = Access::Roles(&LOOKERS);
    let teacher = Access::Roles(&[Teacher]);
    table
        .add(
            Row::get(
                "/api/v1/recordings/{id}/access",
                teacher,
                "shows who may look at a recording of one's own, and who did",
            )
            .answers::<answers::AccessTo>(),
            access::show,
        )
        .add(
            Row::post(
                "/api/v1/recordings/{id}/grants",
                teacher,
                "lets one person more look, by a signed statement",
            )
            .takes::<access::Granting>()
            .answers::<answers::Granted>(),
            access::grant,
        )
        .add(
            Row::post("/api/v1/recordings/{id}/revoke", teacher, "ends somebody's grant")
                .takes::<access::Revoking>()
                .answers::<answers::About>(),
            access::revoke,
        )
        .add(
            Row::post("/api/v1/recordings/{id}/marks", lookers, "keeps marks and notes, encrypted")
                .takes::<access::Marks>()
                .answers::<answers::Kept>(),
            access::marks,
        )
        .add(
            Row::post(
                "/api/v1/recordings/{id}/close-talk",
                both,
                "closes the follow-up talk: the recording goes earlier",
            )
            .takes::<access::Closing>()
            .answers::<answers::Ends>(),
            access::close,
        )
}

/// Keys of people.
fn people(table: Table) -> Table {
    let own = Access::Roles(&[Coach, Teacher, PrivacyOfficer, Viewer]);
    table
        .add(
            Row::get(
                "/api/v1/people",
                Access::Roles(&[Coach, Admin, Teacher, Operator, PrivacyOfficer, Viewer]),
                "shows whose public key is whose, by pseudonym",
            )
            .answers::<answers::People>(),
            people::list,
        )
        .add(
            Row::post("/api/v1/keys/challenge", own, "asks whether a key is one's own")
                .takes::<people::Challenging>()
                .answers::<answers::Challenge>(),
            people::challenge,
        )
        .add(
            Row::post("/api/v1/keys/enrol", own, "enrols a key of one's own")
                .takes::<people::Enrolling>()
                .answers::<answers::EnrolledKey>(),
            people::enrol,
        )
        .add(
            Row::post("/api/v1/keys/end", own, "ends a key of one's own, by a signed statement")
                .takes::<people::Ending>()
                .answers::<answers::EndedKey>(),
            people::end,
        )
        .add(
            Row::post(
                "/api/v1/keys/accept",
                Access::Roles(&[Teacher]),
                "takes a coach's key for one's own recordings, by a signed statement",
            )
            .takes::<people::Accepting>()
            .answers::<answers::AcceptedKey>(),
            people::accept,
        )
}

/// Requests of people who were recorded.
fn office(table: Table) -> Table {
    let officer = Access::Roles(&[PrivacyOfficer]);
    table
        .add(
            Row::get("/api/v1/requests", officer, "shows requests of people who were recorded")
                .answers::<answers::RequestsOf>(),
            requests::list,
        )
        .add(
            Row::post("/api/v1/requests", officer, "enters a request")
                .takes::<requests::Asked>()
                .answers::<answers::RequestOf>(),
            requests::enter,
        )
        .add(
            Row::post("/api/v1/requests/decide", officer, "answers a request")
                .takes::<requests::Decided>()
                .answers::<answers::RequestOf>(),
            requests::decide,
        )
        .add(
            Row::get("/api/v1/holds", officer, "shows what is held, for whom and until when")
                .answers::<answers::Holds>(),
            requests::holds,
        )
        .add(
            Row::post("/api/v1/holds", officer, "approves a hold for somebody who was recorded")
                .takes::<requests::Holding>()
                .answers::<answers::HeldUntil>(),
            requests::hold,
        )
        .add(
            Row::post("/api/v1/holds/release", officer, "ends the holds on a recording")
                .takes::<requests::Releasing>()
                .answers::<answers::NotHeld>(),
            requests::release,
        )
}

fn lists(table: Table) -> Table {
    let admin = Access::Roles(&[Admin]);
    let office = Access::Roles(&[Admin, PrivacyOfficer]);
    let upload = Duration::from_secs(600);
    table
        .add(
            Row::get("/api/v1/pupils", admin, "shows the pupil list in force")
                .answers::<answers::ListInForce>(),
            lists::show,
        )
        .add(
            Row::get("/api/v1/pupils/versions", office, "says which lists came into force")
                .answers::<answers::Versions>(),
            lists::versions,
        )
        .add(
            Row::post("/api/v1/pupils/check", admin, "checks a list and its photos")
                .takes_file("application/zip", upload)
                .answers::<answers::Checked>(),
            lists::check,
        )
        .add(
            Row::post("/api/v1/pupils/load", admin, "puts a list in force")
                .takes_file("application/zip", upload)
                .answers::<answers::Checked>()
                .asks(
                    "confirm_removals",
                    "how many refusals the list lifts, to show that it is meant",
                ),
            lists::load,
        )
        .add(
            Row::get(
                "/api/v1/registers",
                Access::Roles(&[Admin, Teacher, PrivacyOfficer]),
                "shows what the school has on record; teachers: their own",
            )
            .answers::<answers::Registers>(),
            papers::registers,
        )
        .add(
            Row::post("/api/v1/registers/assessment", office, "enters an assessment")
                .takes::<papers::NewAssessment>()
                .answers::<answers::Entered>(),
            papers::assessment,
        )
        .add(
            Row::post("/api/v1/registers/reminder", admin, "enters a reminder of parents")
                .takes::<papers::NewReminder>()
                .answers::<answers::Entered>(),
            papers::reminder,
        )
        .add(
            Row::post("/api/v1/registers/notice", admin, "enters a notice")
                .takes::<papers::NewNotice>()
                .answers::<answers::Entered>(),
            papers::notice,
        )
        .add(
            Row::post(
                "/api/v1/registers/acceptance",
                Access::Roles(&[Teacher]),
                "asks, accepts or withdraws, for oneself",
            )
            .takes::<papers::NewAcceptance>()
            .answers::<answers::Entered>(),
            papers::acceptance,
        )
}

async fn status(State(app): State<App>) -> Result<Json<Value>, Problem> {
    app.status().await.map(Json)
}

async fn preflight(State(app): State<App>) -> Result<Json<Value>, Problem> {
    app.ask(Request::Preflight, LOOK).await.map(Json)
}

async fn logs(State(app): State<App>) -> Result<Json<Value>, Problem> {
    app.ask(Request::Logs, Duration::from_secs(3)).await.map(Json)
}

/// The cameras, without their addresses, which may say where somebody's classroom is.
async fn cameras(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let status = app.status().await?;
    let config = app.desk.config();
    let cameras = config.cameras.iter().map(|camera| {
        let id = camera.id.as_str();
        let all = status["cameras"].as_array();
        let at_work = all.and_then(|all| all.iter().find(|one| one["camera"] == id));
        let reach = status["reach"].as_array();
        let reach = reach.and_then(|all| all.iter().find(|one| one["camera"] == id));
        let answers = reach.map_or(&Value::Null, |one| &one["answers"]);
        serde_json::json!({ "id": id, "at_work": at_work, "answers": answers })
    });
    Ok(Json(serde_json::json!({ "cameras": cameras.collect::<Vec<_>>() })))
}
