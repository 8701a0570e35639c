//! Exports: recordings of their own that a key holder made of another, for one purpose and for the
//! people named, with a deadline of their own.
//!
//! Belongs here: the key holder's statement, and entering it into the log. Does not belong: making an
//! export (`appliance`), which happens where the key is and not on the box.

use std::{fmt, path::Path, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        BoxKey, Checked, Digest, Recipient, Trust,
        audit::{AuditLog, Event},
        manifest,
        sign::{PersonKey, PersonPublicKey, Signed, Statement},
        store::RecordingDir,
    },
    AccessError,
    grant::living,
};
use crate::units::{PersonId, PupilId, RecordingId};

/// What an export is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExportFor {
    /// Group supervision of the coach: everybody veiled, no sound, no names.
    Supervision,
    /// The teacher's own copy of the parts that were talked about.
    TeacherCopy,
    /// A pupil's parents: that pupil and the teacher to be seen, all others veiled.
    Parent,
}

const WORDS: [(ExportFor, &str); 3] = [
    (ExportFor::Supervision, "supervision"),
    (ExportFor::TeacherCopy, "teacher-copy"),
    (ExportFor::Parent, "parent"),
];

impl ExportFor {
    /// Whether only the recording's teacher makes it.
    #[must_use]
    pub const fn needs_teacher(self) -> bool {
        matches!(self, Self::TeacherCopy | Self::Parent)
    }
}

impl fmt::Display for ExportFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WORDS.iter().find(|(one, _)| one == self).map_or("", |(_, word)| word))
    }
}

impl FromStr for ExportFor {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = WORDS.iter().find(|(_, known)| *known == word).map(|(one, _)| *one);
        found.ok_or_else(|| {
            format!("`{word}` is no purpose: choose supervision, teacher-copy or parent")
        })
    }
}

/// What a key holder says of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The export, a recording of its own.
    pub export: RecordingId,
    /// What it was made of.
    pub recording: RecordingId,
    /// `key.age` of that.
    pub of: Digest,
    /// `key.age` of the export.
    pub key: Digest,
    /// The end of its journal, which stands for all its segments.
    pub journal: Digest,
    /// What it is for.
    pub purpose: ExportFor,
    /// The pupil whom a parent sees.
    pub pupil: Option<PupilId>,
    /// Who can open it.
    pub recipients: Vec<Recipient>,
    /// When it must be gone.
    pub delete_by: Timestamp,
    /// When it was made.
    pub at: Timestamp,
    /// The key holder.
    pub by: PersonId,
}

impl Statement for Export {
    const KIND: &'static str = "classveil-export/1";

    fn by(&self) -> &PersonId {
        &self.by
    }
}

/// The key holder's signed statement about the export in the folder `made`, which was made of `of`. It
/// stays out of that folder: an export for supervision names nobody.
pub fn attest_export(
    made: &Path,
    of: &Checked,
    (purpose, pupil): (ExportFor, Option<&PupilId>),
    (by, key): (&PersonId, &PersonKey),
    now: Timestamp,
) -> Result<String, AccessError> {
    let dir = RecordingDir(made.to_owned());
    let new = manifest::read(&dir, &Trust::Unpinned)?;
    let statement = Export {
        export: new.recording,
        recording: of.manifest().recording,
        of: of.manifest().key.sha256,
        key: new.key.sha256,
        journal: new.journal.sha256,
        purpose,
        pupil: pupil.cloned(),
        recipients: new.recipients,
        delete_by: new.delete_by,
        at: now,
        by: by.clone(),
    };
    Ok(key.sign(&statement))
}

/// Enters the export whose statement is in `file` into the log, once: its recording is in the store,
/// and one of `holder`'s keys signed it (whoever did, where the store knows nobody's keys).
pub fn enter_export(
    file: &Path,
    store: &Path,
    log: &AuditLog,
    key: &BoxKey,
    holder: impl FnOnce(&PersonId) -> Option<(Vec<PersonPublicKey>, Vec<Recipient>)>,
    now: Timestamp,
) -> Result<Export, AccessError> {
    let statement = Signed::<Export>::load(file)?;
    let claim = statement.claim();
    let (dir, _reading) = living(store, log, claim.recording)?;
    let manifest = manifest::read(&dir, &Trust::Pinned(key.public().clone()))?;
    if let Some((signers, recipients)) = holder(&claim.by) {
        statement.check(&signers).map_err(AccessError::export)?;
        if !recipients.iter().any(|own| manifest.recipients.contains(own)) {
            return Err(AccessError::export("is signed by none of the recording's recipients"));
        }
    }
    if claim.of != manifest.key.sha256 {
        return Err(AccessError::export("is of another recording of that id"));
    }
    if claim.purpose.needs_teacher() && manifest.teacher.as_ref() != Some(&claim.by) {
        return Err(AccessError::export(
            "is for a purpose that only the recording's teacher serves",
        ));
    }
    let digest = statement.digest();
    let known = log.entries()?.into_iter().any(|entry| {
        matches!(entry.event, Some(Event::Exported { statement, .. }) if statement == digest)
    });
    if !known {
        let event = Event::Exported {
            recording: claim.recording,
            export: claim.export,
            purpose: claim.purpose,
            by: claim.by.clone(),
            recipients: claim.recipients.iter().map(Recipient::digest).collect(),
            delete_by: claim.delete_by,
            statement: digest,
        };
        log.append(now, &event).map(drop)?;
    }
    Ok(claim.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_ones_in_files() {
        for (one, word) in WORDS {
            assert_eq!(serde_json::to_string(&one).unwrap(), format!("\"{word}\""));
            assert_eq!((one.to_string().as_str(), word.parse()), (word, Ok(one)));
        }
        assert!("school".parse::<ExportFor>().is_err());
    }
}
