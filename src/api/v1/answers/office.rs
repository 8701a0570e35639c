//! Lists, registers, people and requests.

use serde_json::Value;
use utoipa::ToSchema;

/// The pupil list in force.
#[derive(ToSchema)]
pub(in crate::api::v1) struct ListInForce {
    /// None where no list is loaded; then nothing else is there.
    version: Option<String>,
    #[schema(format = DateTime)]
    loaded_at: Option<String>,
    counts: Option<ListCounts>,
    means: Option<Means>,
    people: Option<Vec<Value>>,
    warnings: Option<Value>,
}

/// How many there are.
#[derive(ToSchema)]
pub(in crate::api::v1) struct ListCounts {
    people: u64,
    refused: u64,
    consented: u64,
    staff: u64,
    photos: u64,
    refused_without_photo: u64,
}

/// How many are told apart by what.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Means {
    photo: u64,
    seat: u64,
    marker: u64,
    none: u64,
}

/// Lists that came into force.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Versions {
    versions: Vec<LoadedList>,
}

/// A list that came into force.
#[derive(ToSchema)]
pub(in crate::api::v1) struct LoadedList {
    #[schema(format = DateTime)]
    at: String,
    version: String,
    classes_with_new_refusals: Vec<String>,
}

/// What a list is worth.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Checked {
    ok: bool,
    problems: Vec<Remark>,
    notices: Option<Vec<Remark>>,
    summary: Option<Summary>,
    /// Of the list that is in force now.
    version: Option<String>,
    /// Whether a running box goes by it.
    in_use: Option<bool>,
}

/// Something about a list, at its place.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Remark {
    file: Option<String>,
    line: Option<u64>,
    column: Option<Value>,
    text: String,
}

/// What a list says and changes.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Summary {
    counts: ListCounts,
    means: Option<Means>,
    /// By pseudonym.
    changes: Value,
    /// How many refusals it lifts.
    removals: Option<u64>,
    /// Recordings that nobody gets because somebody refused after they were made.
    withheld: Option<Vec<String>>,
    /// Exports that whoever made them has to call back.
    exports: Option<Vec<Value>>,
}

/// What the school has on record: lines with `n`, `at`, `previous` and `entry`.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Registers {
    assessments: Option<Vec<RegisterLine>>,
    reminders: Option<Vec<RegisterLine>>,
    notices: Vec<RegisterLine>,
    /// Who has not been told yet what holds now.
    untold: Vec<String>,
    acceptances: Vec<RegisterLine>,
}

/// A line of a register.
#[derive(ToSchema)]
pub(in crate::api::v1) struct RegisterLine {
    n: u64,
    #[schema(format = DateTime)]
    at: String,
    /// Digest of the line before.
    previous: String,
    entry: Value,
}

/// What was entered.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Entered {
    register: String,
    /// Its number, from 1.
    line: u64,
    /// An age file in base64, for the teacher's key.
    question: Option<String>,
}

/// The directory of people.
#[derive(ToSchema)]
pub(in crate::api::v1) struct People {
    people: Vec<PersonOf>,
    /// Whose login it is.
    own: Option<String>,
}

/// Somebody, and their keys that have not ended.
#[derive(ToSchema)]
pub(in crate::api::v1) struct PersonOf {
    person: String,
    role: String,
    keys: Vec<KeyOf>,
}

/// A public key.
#[derive(ToSchema)]
pub(in crate::api::v1) struct KeyOf {
    recipient: String,
    replaces: Option<String>,
    #[schema(format = DateTime)]
    from: String,
    counts: bool,
    signs: bool,
    confirmed: String,
    accepted_by: Vec<String>,
}

/// What the owner of a key has to open.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Challenge {
    /// An age file in base64.
    challenge: String,
}

/// A key that counts, or will.
#[derive(ToSchema)]
pub(in crate::api::v1) struct EnrolledKey {
    recipient: String,
    #[schema(format = DateTime)]
    from: String,
    signs: bool,
}

/// A key that does not count any more.
#[derive(ToSchema)]
pub(in crate::api::v1) struct EndedKey {
    recipient: String,
}

/// A key that a teacher accepted.
#[derive(ToSchema)]
pub(in crate::api::v1) struct AcceptedKey {
    person: String,
    recipient: String,
}

/// Requests of people who were recorded.
#[derive(ToSchema)]
pub(in crate::api::v1) struct RequestsOf {
    requests: Vec<RequestOf>,
    recordings: Vec<AskedAbout>,
}

/// A request.
#[derive(ToSchema)]
pub(in crate::api::v1) struct RequestOf {
    number: u64,
    /// delete, restrict, add or access.
    ask: String,
    by: String,
    recordings: Vec<String>,
    #[schema(format = DateTime)]
    received: String,
    #[schema(format = DateTime)]
    due: String,
    /// Digest of its text.
    text: Option<String>,
    answers: Vec<AnswerTo>,
    open: bool,
    overdue: bool,
}

/// What became of a request.
#[derive(ToSchema)]
pub(in crate::api::v1) struct AnswerTo {
    #[schema(format = DateTime)]
    at: String,
    by: String,
    decision: String,
    /// Digest of the written reason.
    reason: Option<String>,
}

/// A recording that a request can be about.
#[derive(ToSchema)]
pub(in crate::api::v1) struct AskedAbout {
    id: String,
    #[schema(format = DateTime)]
    started: Option<String>,
    class: Option<String>,
    teacher: Option<String>,
    #[schema(format = DateTime)]
    delete_by: Option<String>,
    withheld: Option<bool>,
}

/// Holds, the newest first.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Holds {
    holds: Vec<HoldOf>,
}

/// A hold.
#[derive(ToSchema)]
pub(in crate::api::v1) struct HoldOf {
    recording: String,
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    until: String,
    requested_by: String,
    approved_by: String,
    /// When it was ended before its time.
    #[schema(format = DateTime)]
    released: Option<String>,
    counts: bool,
}

/// A recording is held.
#[derive(ToSchema)]
pub(in crate::api::v1) struct HeldUntil {
    recording: String,
    #[schema(format = DateTime)]
    until: String,
}

/// A recording is not held any more.
#[derive(ToSchema)]
pub(in crate::api::v1) struct NotHeld {
    recording: String,
}
