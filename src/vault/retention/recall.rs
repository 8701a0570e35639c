//! Exports that should not be out any more. The box can neither end nor destroy what somebody took
//! away; it knows what there is, who has it and until when, and says so.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    super::{
        access::ExportFor,
        audit::{Entry, Event},
    },
    SetBy, Why,
    survey::{Loads, stories},
};
use crate::units::{PersonId, RecordingId};

/// An export that its maker has to call back and delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recall {
    /// The export.
    pub export: RecordingId,
    /// What it was made of; it may be destroyed.
    pub recording: RecordingId,
    /// What for.
    pub purpose: ExportFor,
    /// Who made it.
    pub by: PersonId,
    /// When it goes by itself.
    pub delete_by: Timestamp,
    /// Why it should not be out.
    pub why: Cause,
}

/// Why an export should not be out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The deletion of its recording was granted.
    Deletion,
    /// Somebody who was recorded objects to its recording.
    Objection,
    /// A pupil who may be in it has refused since its recording was made.
    LateRefusal,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deletion => "its recording's deletion was granted",
            Self::Objection => "somebody who was recorded objects",
            Self::LateRefusal => "a pupil has refused since it was recorded",
        })
    }
}

impl fmt::Display for Recall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { export, recording, purpose, by, why, .. } = self;
        write!(
            f,
            "{export}: call back and delete this {purpose} export of {recording} by {by}: {why}"
        )
    }
}

/// Exports whose deadline is not over at `now` and that should not be out, by the lines of the log.
/// What everybody is veiled in a refusal does not reach.
#[must_use]
pub fn recalls(entries: &[Entry], now: Timestamp) -> Vec<Recall> {
    let (stories, loads) = (stories(entries), Loads::of(entries));
    let mut recalls = Vec::new();
    for event in entries.iter().filter_map(|entry| entry.event.as_ref()) {
        let Event::Exported { recording, export, purpose, by, delete_by, .. } = event else {
            continue;
        };
        let Some(story) = stories.get(recording).filter(|_| *delete_by > now) else { continue };
        let objected = story.withheld.iter().any(|one| {
            matches!(one.why, Why::Request { .. }) && one.until.is_none_or(|until| until > now)
        });
        let late = || {
            let (begun, class) = story.begun.clone().unwrap_or((0, None));
            *purpose != ExportFor::Supervision
                && loads.late(begun, class.as_ref(), story.list.as_deref()).is_some()
        };
        let why = if story.deadlines.iter().any(|one| one.set_by == SetBy::Request) {
            Cause::Deletion
        } else if objected {
            Cause::Objection
        } else if late() {
            Cause::LateRefusal
        } else {
            continue;
        };
        recalls.push(Recall {
            export: *export,
            recording: *recording,
            purpose: *purpose,
            by: by.clone(),
            delete_by: *delete_by,
            why,
        });
    }
    recalls
}

/// The same of some recordings only.
#[must_use]
pub fn recalls_of(entries: &[Entry], of: &[RecordingId], now: Timestamp) -> Vec<Recall> {
    let mut found = recalls(entries, now);
    found.retain(|recall| of.contains(&recall.recording));
    found
}
