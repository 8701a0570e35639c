//! What the box answers, for the description of the interface.
//!
//! Belongs here: shapes. Does not belong: making answers, of which many are the service's own words. The
//! tests hold every answer that they get from a running box against these: a member that is missing
//! here, or is of another kind, fails them.

#![expect(dead_code, reason = "shapes to describe; the answers are made elsewhere")]

use serde_json::Value;
use utoipa::ToSchema;

/// Who is logged in.
#[derive(ToSchema)]
pub(super) struct Session {
    name: String,
    role: String,
    /// The pseudonym in recordings and in the directory of people.
    person: Option<String>,
    /// What `x-csrf-token` has to be in whatever changes something.
    csrf: String,
}

/// The first administrator.
#[derive(ToSchema)]
pub(super) struct FirstAccount {
    name: String,
    role: String,
}

/// How the box is.
#[derive(ToSchema)]
pub(super) struct Status {
    /// idle, prepared, arming, recording, stopping, sealed or sealed-with-fault.
    state: String,
    /// Whether everything was looked at once since the program began.
    ready: bool,
    /// Whether the recording is nearly as long as one may be.
    ends_soon: bool,
    /// What is prepared or recorded.
    lesson: Option<Lesson>,
    /// For so long it records.
    recording_s: Option<u64>,
    /// Until it lapses, gives up or ends by itself.
    left_s: Option<u64>,
    /// The code of the fault that ended the last recording.
    fault: Option<String>,
    /// Cameras that record.
    cameras: Vec<CameraAtWork>,
    /// What each camera did since the program began.
    totals: Vec<CameraTotals>,
    /// Whether each camera answered when it was asked last.
    reach: Vec<CameraReach>,
    /// What came of the last recording, camera by camera.
    last: Vec<CameraOver>,
    /// works, missing or broken.
    indicator: String,
    /// works, missing or not needed.
    button: String,
    /// Codes of what stands against a recording while it is made.
    standing: Vec<String>,
    /// What stood against a recording when it was looked at last.
    reasons: Vec<Reason>,
    /// Options with `danger` in their name that are in force.
    waivers: Vec<String>,
    network: Network,
    software: String,
}

/// What is prepared or recorded; its question is for who can open the recording only.
#[derive(ToSchema)]
pub(super) struct Lesson {
    class: Option<String>,
    teacher: Option<String>,
    coach: Option<String>,
    purpose: String,
    planned_s: u64,
    /// Who will be able to open the recording.
    openers: Vec<Opener>,
    /// Keys that count later.
    ahead: Vec<KeyAhead>,
    /// Why nobody can be named, where nobody can.
    openers_problem: Option<String>,
}

/// Somebody who will be able to open the recording.
#[derive(ToSchema)]
pub(super) struct Opener {
    /// None where the store has no directory of people.
    person: Option<String>,
    role: Option<String>,
    /// The first 32 digits of the key's SHA-256, in groups of four.
    fingerprint: String,
    /// How it was made sure that the key is theirs.
    confirmed: Option<String>,
    /// Since when it counts.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// Whether the teacher's last recording was not made for this key.
    new: bool,
}

/// A key that counts later.
#[derive(ToSchema)]
pub(super) struct KeyAhead {
    person: String,
    role: String,
    fingerprint: String,
    confirmed: String,
    #[schema(format = DateTime)]
    from: String,
    /// The fingerprint of the key that ends then.
    replaces: Option<String>,
}

/// A camera while it records.
#[derive(ToSchema)]
pub(super) struct CameraAtWork {
    camera: String,
    recording: Option<String>,
    failed: bool,
    frames_in: u64,
    frames_displaced: u64,
    frames_veiled_whole: u64,
    segments: u64,
    seconds: f64,
    away: bool,
    gaps: u64,
    gap_seconds: f64,
    frames_waiting: u64,
    frames_held: u64,
}

/// A camera since the program began.
#[derive(ToSchema)]
pub(super) struct CameraTotals {
    camera: String,
    frames_in: u64,
    frames_late: u64,
    frames_overload: u64,
    frames_damaged: u64,
    frames_veiled_whole: u64,
    segments: u64,
    gaps: u64,
    gap_seconds: f64,
    looks: u64,
    look_seconds: f64,
}

/// Whether a camera answers.
#[derive(ToSchema)]
pub(super) struct CameraReach {
    camera: String,
    answers: bool,
}

/// One camera of a recording that is over.
#[derive(ToSchema)]
pub(super) struct CameraOver {
    camera: String,
    recording: Option<String>,
    sealed: bool,
    segments: u64,
    seconds: f64,
    fault: Option<String>,
}

/// Where the pages are.
#[derive(ToSchema)]
pub(super) struct Network {
    url: String,
    /// SHA-256 of the certificate; none where nothing is encrypted.
    fingerprint: Option<String>,
    /// Why the pages do not answer, where they do not.
    problem: Option<String>,
}

/// A reason not to record.
#[derive(ToSchema)]
pub(super) struct Reason {
    code: String,
    sentence: String,
    /// Whose business it is.
    who: String,
    /// The command or the page that settles it.
    settle: String,
}

/// What stands against a recording.
#[derive(ToSchema)]
pub(super) struct Preflight {
    ready: bool,
    reasons: Vec<Reason>,
}

/// What holds for recordings from now on.
#[derive(ToSchema)]
pub(super) struct Terms {
    purpose: String,
    legal_basis: String,
    policy: String,
    region: String,
    veil: String,
    audio: bool,
    photos: bool,
    retain_s: u64,
    longest_s: u64,
    class: Option<String>,
    teacher: Option<String>,
    coach: Option<String>,
    recipients: Vec<String>,
    confirm_by_button: bool,
    cameras: Vec<String>,
    /// Digest of all this, which notices name.
    digest: String,
}

/// Which cameras there are.
#[derive(ToSchema)]
pub(super) struct Cameras {
    cameras: Vec<Camera>,
}

/// A camera, without its address.
#[derive(ToSchema)]
pub(super) struct Camera {
    id: String,
    at_work: Option<CameraAtWork>,
    answers: Option<bool>,
}

/// What happened lately.
#[derive(ToSchema)]
pub(super) struct Logs {
    lines: Vec<LogLine>,
}

/// One thing that happened.
#[derive(ToSchema)]
pub(super) struct LogLine {
    #[schema(format = DateTime)]
    at: String,
    what: String,
}

/// A part of the audit log.
#[derive(ToSchema)]
pub(super) struct AuditPart {
    /// How many lines there are.
    lines: u64,
    /// Lines as they stand: docs/ref/audit.md.
    entries: Vec<Value>,
}

/// Recordings of one's own, or how many there are.
#[derive(ToSchema)]
pub(super) struct Recordings {
    recordings: Option<Vec<Recording>>,
    count: Option<u64>,
}

/// A recording.
#[derive(ToSchema)]
pub(super) struct Recording {
    id: String,
    #[schema(format = DateTime)]
    started: String,
    seconds: Option<f64>,
    class: Option<String>,
    teacher: Option<String>,
    coach: Option<String>,
    purpose: String,
    /// The deadline that counts.
    #[schema(format = DateTime)]
    delete_by: String,
    /// recording, sealed or interrupted.
    state: String,
    fault: Option<String>,
    withheld: bool,
    cameras: Vec<String>,
    may_view: bool,
}

/// What is prepared.
#[derive(ToSchema)]
pub(super) struct Prepared {
    state: String,
    lesson: Lesson,
}

/// What the box does now.
#[derive(ToSchema)]
pub(super) struct Now {
    state: String,
}

/// A recording begins.
#[derive(ToSchema)]
pub(super) struct Begun {
    state: String,
    reasons: Option<Vec<Reason>>,
    /// The button has to be pressed within so long.
    confirm_within_s: Option<u64>,
}

/// The last stretch is gone.
#[derive(ToSchema)]
pub(super) struct Dropped {
    state: String,
    gaps: Option<Vec<Gap>>,
}

/// What is gone.
#[derive(ToSchema)]
pub(super) struct Gap {
    camera: String,
    from_ns: u64,
    to_ns: u64,
    why: String,
}

/// Files of a recording.
#[derive(ToSchema)]
pub(super) struct Files {
    files: Vec<FileOf>,
    /// recipient or grant.
    access: String,
}

/// One file.
#[derive(ToSchema)]
pub(super) struct FileOf {
    name: String,
    bytes: u64,
}

/// Who may look at a recording, and who did.
#[derive(ToSchema)]
pub(super) struct AccessTo {
    #[schema(format = DateTime)]
    now: String,
    #[schema(format = DateTime)]
    delete_by: String,
    withheld: bool,
    recipients: Vec<RecipientOf>,
    grants: Vec<GrantOf>,
    /// Who may be given a grant.
    people: Vec<MayBeGranted>,
    /// The keys with which whoever is logged in signs.
    signers: Vec<String>,
    log: Vec<LookOf>,
}

/// A key that a recording is encrypted to.
#[derive(ToSchema)]
pub(super) struct RecipientOf {
    recipient: String,
    person: Option<String>,
}

/// A grant.
#[derive(ToSchema)]
pub(super) struct GrantOf {
    recording: String,
    of: String,
    person: String,
    recipients: Vec<String>,
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    until: String,
    key: SealedKey,
    by: String,
    /// Digest of the statement.
    statement: String,
    /// What is wrong with it; none where it holds.
    problem: Option<String>,
}

/// A file with a recording's key, wrapped for somebody.
#[derive(ToSchema)]
pub(super) struct SealedKey {
    bytes: u64,
    sha256: String,
}

/// Somebody who may be given a grant.
#[derive(ToSchema)]
pub(super) struct MayBeGranted {
    person: String,
    role: String,
    recipients: Vec<String>,
}

/// A line of the log about who may look, or did.
#[derive(ToSchema)]
pub(super) struct LookOf {
    n: u64,
    #[schema(format = DateTime)]
    at: String,
    kind: String,
    person: Option<String>,
    by: Option<String>,
    #[schema(format = DateTime)]
    until: Option<String>,
}

/// Who was given access, and until when.
#[derive(ToSchema)]
pub(super) struct Granted {
    person: String,
    #[schema(format = DateTime)]
    until: String,
}

/// Who it is about.
#[derive(ToSchema)]
pub(super) struct About {
    person: String,
}

/// A file of the recording.
#[derive(ToSchema)]
pub(super) struct Kept {
    file: String,
}

/// When it ends now.
#[derive(ToSchema)]
pub(super) struct Ends {
    #[schema(format = DateTime)]
    delete_by: String,
}

/// The pupil list in force.
#[derive(ToSchema)]
pub(super) struct ListInForce {
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
pub(super) struct ListCounts {
    people: u64,
    refused: u64,
    consented: u64,
    staff: u64,
    photos: u64,
    refused_without_photo: u64,
}

/// How many are told apart by what.
#[derive(ToSchema)]
pub(super) struct Means {
    photo: u64,
    seat: u64,
    marker: u64,
    none: u64,
}

/// Lists that came into force.
#[derive(ToSchema)]
pub(super) struct Versions {
    versions: Vec<Version>,
}

/// A list that came into force.
#[derive(ToSchema)]
pub(super) struct Version {
    #[schema(format = DateTime)]
    at: String,
    version: String,
    classes_with_new_refusals: Vec<String>,
}

/// What a list is worth.
#[derive(ToSchema)]
pub(super) struct Checked {
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
pub(super) struct Remark {
    file: Option<String>,
    line: Option<u64>,
    column: Option<Value>,
    text: String,
}

/// What a list says and changes.
#[derive(ToSchema)]
pub(super) struct Summary {
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
pub(super) struct Registers {
    assessments: Option<Vec<RegisterLine>>,
    reminders: Option<Vec<RegisterLine>>,
    notices: Vec<RegisterLine>,
    /// Who has not been told yet what holds now.
    untold: Vec<String>,
    acceptances: Vec<RegisterLine>,
}

/// A line of a register.
#[derive(ToSchema)]
pub(super) struct RegisterLine {
    n: u64,
    #[schema(format = DateTime)]
    at: String,
    /// Digest of the line before.
    previous: String,
    entry: Value,
}

/// What was entered.
#[derive(ToSchema)]
pub(super) struct Entered {
    register: String,
    /// Its number, from 1.
    line: u64,
    /// An age file in base64, for the teacher's key.
    question: Option<String>,
}

/// The directory of people.
#[derive(ToSchema)]
pub(super) struct People {
    people: Vec<PersonOf>,
    /// Whose login it is.
    own: Option<String>,
}

/// Somebody, and their keys that have not ended.
#[derive(ToSchema)]
pub(super) struct PersonOf {
    person: String,
    role: String,
    keys: Vec<KeyOf>,
}

/// A public key.
#[derive(ToSchema)]
pub(super) struct KeyOf {
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
pub(super) struct Challenge {
    /// An age file in base64.
    challenge: String,
}

/// A key that counts, or will.
#[derive(ToSchema)]
pub(super) struct EnrolledKey {
    recipient: String,
    #[schema(format = DateTime)]
    from: String,
    signs: bool,
}

/// A key that does not count any more.
#[derive(ToSchema)]
pub(super) struct EndedKey {
    recipient: String,
}

/// A key that a teacher accepted.
#[derive(ToSchema)]
pub(super) struct AcceptedKey {
    person: String,
    recipient: String,
}

/// Requests of people who were recorded.
#[derive(ToSchema)]
pub(super) struct RequestsOf {
    requests: Vec<RequestOf>,
    recordings: Vec<AskedAbout>,
}

/// A request.
#[derive(ToSchema)]
pub(super) struct RequestOf {
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
pub(super) struct AnswerTo {
    #[schema(format = DateTime)]
    at: String,
    by: String,
    decision: String,
    /// Digest of the written reason.
    reason: Option<String>,
}

/// A recording that a request can be about.
#[derive(ToSchema)]
pub(super) struct AskedAbout {
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
pub(super) struct Holds {
    holds: Vec<HoldOf>,
}

/// A hold.
#[derive(ToSchema)]
pub(super) struct HoldOf {
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
pub(super) struct HeldUntil {
    recording: String,
    #[schema(format = DateTime)]
    until: String,
}

/// A recording is not held any more.
#[derive(ToSchema)]
pub(super) struct NotHeld {
    recording: String,
}
