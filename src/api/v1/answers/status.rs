//! Who is logged in, and how the box is.

use serde_json::Value;
use utoipa::ToSchema;

/// Who is logged in.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Session {
    name: String,
    role: String,
    /// The pseudonym in recordings and in the directory of people.
    person: Option<String>,
    /// What `x-csrf-token` has to be in whatever changes something.
    csrf: String,
}

/// The first administrator.
#[derive(ToSchema)]
pub(in crate::api::v1) struct FirstAccount {
    name: String,
    role: String,
}

/// How the box is.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Status {
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
pub(in crate::api::v1) struct Lesson {
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
pub(in crate::api::v1) struct Opener {
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
pub(in crate::api::v1) struct KeyAhead {
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
pub(in crate::api::v1) struct CameraAtWork {
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
pub(in crate::api::v1) struct CameraTotals {
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
pub(in crate::api::v1) struct CameraReach {
    camera: String,
    answers: bool,
}

/// One camera of a recording that is over.
#[derive(ToSchema)]
pub(in crate::api::v1) struct CameraOver {
    camera: String,
    recording: Option<String>,
    sealed: bool,
    segments: u64,
    seconds: f64,
    fault: Option<String>,
}

/// Where the pages are.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Network {
    url: String,
    /// SHA-256 of the certificate; none where nothing is encrypted.
    fingerprint: Option<String>,
    /// Why the pages do not answer, where they do not.
    problem: Option<String>,
}

/// A reason not to record.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Reason {
    code: String,
    sentence: String,
    /// Whose business it is.
    who: String,
    /// The command or the page that settles it.
    settle: String,
}

/// What stands against a recording.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Preflight {
    ready: bool,
    reasons: Vec<Reason>,
}

/// What holds for recordings from now on.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Terms {
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
pub(in crate::api::v1) struct Cameras {
    cameras: Vec<Camera>,
}

/// A camera, without its address.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Camera {
    id: String,
    at_work: Option<CameraAtWork>,
    answers: Option<bool>,
}

/// What happened lately.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Logs {
    lines: Vec<LogLine>,
}

/// One thing that happened.
#[derive(ToSchema)]
pub(in crate::api::v1) struct LogLine {
    #[schema(format = DateTime)]
    at: String,
    what: String,
}

/// A part of the audit log.
#[derive(ToSchema)]
pub(in crate::api::v1) struct AuditPart {
    /// How many lines there are.
    lines: u64,
    /// Lines as they stand: docs/ref/audit.md.
    entries: Vec<Value>,
}
