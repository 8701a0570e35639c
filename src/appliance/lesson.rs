//! A lesson that is to be recorded, and what holds for one that was cut off and goes on.
//!
//! Belongs here: the shapes, which a front end fills in and the recorder records by. Does not belong: when
//! it is recorded (`recording`), what stands against it (`preflight`).

use std::{fmt, time::Duration};

use jiff::Timestamp;

use super::recording::At;
use crate::{
    config::Config,
    units::{CameraId, ClassId, PersonId, RecordingId},
    vault::{Manifest, Names, Purpose, Recipient},
};

/// What is to be recorded, as it was prepared.
#[derive(Clone, PartialEq, Eq)]
pub struct Lesson {
    /// The class.
    pub class: Option<ClassId>,
    /// The teacher.
    pub teacher: Option<PersonId>,
    /// The coach.
    pub coach: Option<PersonId>,
    /// The teacher's learning question.
    pub question: String,
    /// Who is who, for those who can open the recording.
    pub names: Names,
    /// What for.
    pub purpose: Purpose,
    /// How long it is meant to be.
    pub planned: Duration,
    /// What it goes on with, where its recording was cut off.
    pub continues: Option<Box<Continued>>,
}

/// What holds for a recording that goes on with one that was cut off, beside the lesson: nothing that
/// was promised for the first may be less for the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continued {
    /// The recording that was cut off.
    pub recording: RecordingId,
    /// Recordings of the lesson that were cut off before that one.
    pub earlier: Vec<RecordingId>,
    /// When the first recording of the lesson began.
    pub lesson_started: Timestamp,
    /// Until when something is kept of it.
    pub kept_until: Timestamp,
    /// When the first has to be gone: this one no later.
    pub delete_by: Timestamp,
    /// Who was veiled: no fewer from now on.
    pub policy: String,
    /// Who could open the first: nobody else opens this one.
    pub recipients: Vec<Recipient>,
    /// What was seen, and how it was veiled: the same from now on.
    pub veiled: Veiled,
    /// How often the lesson was cut off.
    pub cuts: u32,
    /// When the lesson ends, which is no later than it would have been.
    pub ends: At,
}

/// What a recording shows of a room, and how it veils, in the words of its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Veiled {
    /// The cameras.
    pub cameras: Vec<CameraId>,
    /// The veil.
    pub veil: String,
    /// What is covered of a hidden person.
    pub region: String,
    /// How far decisions reach back.
    pub look_ahead_ms: u64,
}

impl Veiled {
    /// As a recording was made.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            cameras: manifest.cameras.clone(),
            veil: manifest.veil.clone(),
            region: manifest.region.clone(),
            look_ahead_ms: manifest.look_ahead_ms,
        }
    }

    /// As one is made by `config`.
    #[must_use]
    pub fn by(config: &Config) -> Self {
        Self {
            cameras: config.cameras.iter().map(|camera| camera.id.clone()).collect(),
            veil: config.veil.style.to_string(),
            region: config.veil.region.to_string(),
            look_ahead_ms: u64::try_from(config.veil.look_ahead.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
impl Continued {
    /// Of a lesson that ends then.
    pub(super) fn example(ends: At) -> Self {
        let began = Timestamp::UNIX_EPOCH;
        let veiled = Veiled {
            cameras: Vec::new(),
            veil: String::new(),
            region: String::new(),
            look_ahead_ms: 0,
        };
        Self {
            recording: RecordingId::new(began),
            earlier: Vec::new(),
            lesson_started: began,
            kept_until: began,
            delete_by: began,
            policy: "refused".to_owned(),
            recipients: Vec::new(),
            veiled,
            cuts: 1,
            ends,
        }
    }
}

impl fmt::Debug for Lesson {
    /// Without question and names, which only who can open the recording may read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lesson")
            .field("class", &self.class)
            .field("planned", &self.planned)
            .finish_non_exhaustive()
    }
}
