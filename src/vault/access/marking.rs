//! What a file of marks says, and whether who it names said it.
//!
//! Whoever opened a recording signs marks with the key that belongs to the age key it was opened with.
//! Whose key that is says the signed manifest, or for somebody who was granted access the teacher's
//! statement, which is part of what is signed: a copy of the folder is enough to tell, also when the
//! grant is over. Belongs here: the statement and judging it. Does not belong: where the files lie.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        Manifest, Opened, VaultError,
        sign::{PersonPublicKey, Signed, Statement},
        store::{at, read_at_most},
    },
    Grant,
    marks::{MARKS_LIMIT, marks_files, person_of},
};
use crate::units::{CameraId, PersonId, RecordingId};

/// What a file of marks begins with that nobody signed.
const UNSIGNED: &str = "classveil-marks/1";

/// A part of a recording and what was said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The camera.
    pub camera: CameraId,
    /// From when, in milliseconds on the recording's timeline.
    pub from_ms: u64,
    /// Until when.
    pub to_ms: u64,
    /// What was said.
    pub note: String,
}

/// What somebody who watched says of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marks {
    /// The recording.
    pub recording: RecordingId,
    /// When it was signed.
    pub at: Timestamp,
    /// The parts.
    pub marks: Vec<Mark>,
    /// The teacher's statement by which they watched; none for a recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Who watched.
    pub by: PersonId,
}

impl Statement for Marks {
    const KIND: &'static str = "classveil-marks/2";

    fn by(&self) -> &PersonId {
        &self.by
    }
}

/// Marks that nobody signed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsigned {
    format: String,
    recording: RecordingId,
    marks: Vec<Mark>,
}

/// Whether who a file of marks names made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Made {
    /// They did: their signature holds.
    Signed,
    /// Nobody signed them.
    Unsigned,
    /// No key signed them that this recording names as theirs.
    NotTheirs,
    /// They were altered after they were signed.
    Altered,
    /// They were made of another recording.
    OtherRecording,
    /// Somebody else made them.
    OtherPerson,
    /// They cannot be read.
    Unreadable,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signed => "signed",
            Self::Unsigned => "NOT SIGNED: anybody with the recording's key can have written this",
            Self::NotTheirs => {
                "NOT BY WHOM THEY NAME: signed by no key that this recording names as theirs"
            }
            Self::Altered => "ALTERED after they were signed",
            Self::OtherRecording => "OF ANOTHER RECORDING",
            Self::OtherPerson => "NOT BY WHOM THEY NAME: somebody else signed them",
            Self::Unreadable => "UNREADABLE: damaged, or not under this recording's key",
        })
    }
}

/// The marks of one person, and what they are worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Whose they are: by the file's name where they are not signed.
    pub person: PersonId,
    /// Whether they made them.
    pub made: Made,
    /// When they were signed.
    pub at: Option<Timestamp>,
    /// The parts, whatever they are worth.
    pub marks: Vec<Mark>,
}

impl Kept {
    /// Reads what `sealed` says of the recording as a file of marks of `person`.
    #[must_use]
    pub fn read(opened: &Opened, person: &PersonId, sealed: &[u8]) -> Self {
        let kept = |made, at, marks| Self { person: person.clone(), made, at, marks };
        let plain = opened.unseal(sealed);
        let text = plain.as_ref().and_then(|plain| std::str::from_utf8(plain).ok());
        let manifest = opened.checked().manifest();
        let Some(text) = text else { return kept(Made::Unreadable, None, Vec::new()) };
        if let Ok(signed) = Signed::<Marks>::parse(text) {
            let claim = signed.claim();
            return kept(judge(&signed, person, manifest), Some(claim.at), claim.marks.clone());
        }
        match serde_json::from_str::<Unsigned>(text) {
            Ok(found) if found.format == UNSIGNED => {
                let own = is_of(manifest, found.recording);
                kept(if own { Made::Unsigned } else { Made::OtherRecording }, None, found.marks)
            }
            _ => kept(Made::Unreadable, None, Vec::new()),
        }
    }
}

/// All marks that lie with a recording.
pub fn read_marks(opened: &Opened) -> Result<Vec<Kept>, VaultError> {
    let dir = &opened.checked().dir;
    let mut all = Vec::new();
    for name in marks_files(dir)? {
        let Some(person) = person_of(&name) else { continue };
        let path = dir.file(&name);
        let sealed = read_at_most(&path, MARKS_LIMIT as u64).map_err(at(&path))?;
        all.push(Kept::read(opened, &person, &sealed));
    }
    all.sort_by(|a, b| a.person.cmp(&b.person));
    Ok(all)
}

fn judge(signed: &Signed<Marks>, person: &PersonId, manifest: &Manifest) -> Made {
    let claim = signed.claim();
    match signed.check(&keys(claim, manifest)) {
        Ok(_) if !is_of(manifest, claim.recording) => Made::OtherRecording,
        Ok(_) if claim.by != *person => Made::OtherPerson,
        Ok(_) => Made::Signed,
        Err("was altered") => Made::Altered,
        Err(_) if !is_of(manifest, claim.recording) => Made::OtherRecording,
        Err(_) => Made::NotTheirs,
    }
}

/// Whether what names `recording` is about this one, or about one that it was veiled anew from.
fn is_of(manifest: &Manifest, recording: RecordingId) -> bool {
    manifest.recording == recording || manifest.replaces.contains(&recording)
}

/// The keys with which who made `claim` signs, as far as the recording says. Whom the manifest names needs no
/// grant: the teacher's word adds no key of theirs.
fn keys(claim: &Marks, manifest: &Manifest) -> Vec<PersonPublicKey> {
    let mut keys = manifest.signers.clone();
    if keys.iter().any(|key| key.name() == claim.by.as_str()) {
        return keys;
    }
    let grant = claim.grant.as_deref().and_then(|note| Signed::<Grant>::parse(note).ok());
    if let Some(signed) = grant
        && let Ok(grant) = signed.check(&manifest.signers)
        && manifest.teacher.as_ref() == Some(&grant.by)
        && is_of(manifest, grant.recording)
        && grant.person == claim.by
    {
        keys.extend(grant.signers.clone());
    }
    keys
}
