//! Recordings, and who may look at them.

use utoipa::ToSchema;

use super::status::{Lesson, Reason};

/// Recordings of one's own, or how many there are.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Recordings {
    recordings: Option<Vec<Recording>>,
    count: Option<u64>,
}

/// A recording.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Recording {
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
pub(in crate::api::v1) struct Prepared {
    state: String,
    lesson: Lesson,
}

/// What the box does now.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Now {
    state: String,
}

/// A recording begins.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Begun {
    state: String,
    reasons: Option<Vec<Reason>>,
    /// The button has to be pressed within so long.
    confirm_within_s: Option<u64>,
}

/// The last stretch is gone.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Dropped {
    state: String,
    gaps: Option<Vec<Gap>>,
}

/// What is gone.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Gap {
    camera: String,
    from_ns: u64,
    to_ns: u64,
    why: String,
}

/// Files of a recording.
#[derive(ToSchema)]
#[expect(clippy::struct_field_names, reason = "the answer's own word")]
pub(in crate::api::v1) struct Files {
    files: Vec<FileOf>,
    /// recipient or grant.
    access: String,
    /// The teacher's signed statement by which one looks; none for a recipient.
    grant: Option<String>,
}

/// One file.
#[derive(ToSchema)]
pub(in crate::api::v1) struct FileOf {
    name: String,
    bytes: u64,
}

/// Who may look at a recording, and who did.
#[derive(ToSchema)]
pub(in crate::api::v1) struct AccessTo {
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
pub(in crate::api::v1) struct RecipientOf {
    recipient: String,
    person: Option<String>,
}

/// A grant.
#[derive(ToSchema)]
pub(in crate::api::v1) struct GrantOf {
    recording: String,
    of: String,
    person: String,
    recipients: Vec<String>,
    /// With which keys that person signs.
    signers: Option<Vec<String>>,
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
pub(in crate::api::v1) struct SealedKey {
    bytes: u64,
    sha256: String,
}

/// Somebody who may be given a grant.
#[derive(ToSchema)]
pub(in crate::api::v1) struct MayBeGranted {
    person: String,
    role: String,
    recipients: Vec<String>,
    /// With which keys they sign.
    signers: Vec<String>,
}

/// A line of the log about who may look, or did.
#[derive(ToSchema)]
pub(in crate::api::v1) struct LookOf {
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
pub(in crate::api::v1) struct Granted {
    person: String,
    #[schema(format = DateTime)]
    until: String,
}

/// Who it is about.
#[derive(ToSchema)]
pub(in crate::api::v1) struct About {
    person: String,
}

/// A file of the recording.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Kept {
    file: String,
}

/// When it ends now.
#[derive(ToSchema)]
pub(in crate::api::v1) struct Ends {
    #[schema(format = DateTime)]
    delete_by: String,
}
