//! What events are told in: words of this program, reasons, changes, and what a recording was. Nothing
//! that was typed or read fits into any of it.

use std::{borrow::Cow, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::{Digest, Manifest};

/// A word of this program, such as the kind of a fault. It can be made from a literal only, so that
/// nothing that was typed or read gets into the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Word(Cow<'static, str>);

impl Word {
    /// The word `text`.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// Whether it is this one.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.0 == text
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a recording is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DestroyReason {
    /// The deadline set at its start is over.
    HardEnd,
    /// The deadline set when the follow-up talk was closed is over.
    TalkClosed,
    /// Nothing on it says until when it may be kept: the longest term of the policy is over.
    NoDeadline,
    /// Its successor, with more people veiled, took its place.
    Replaced,
    /// A request for its deletion was granted.
    Requested,
}

impl fmt::Display for DestroyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HardEnd => "the deadline set at its start",
            Self::TalkClosed => "the deadline set when its follow-up talk was closed",
            Self::NoDeadline => "the longest term, for want of a deadline of its own",
            Self::Replaced => "its successor took its place",
            Self::Requested => "a request for its deletion",
        })
    }
}

/// What was destroyed, as far as it could still be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The deadline in its manifest.
    pub delete_by: Option<Timestamp>,
    /// `manifest.json`, which lists every file with its digest.
    pub manifest: Option<Digest>,
    /// `key.age`.
    pub key: Option<Digest>,
    /// Granted keys in `grants/`.
    pub grants: u64,
    /// Segments of all cameras.
    pub segments: u64,
    /// Size of the encrypted segments.
    pub bytes: u64,
}

impl Facts {
    /// What a manifest tells; `bytes` is the file itself.
    pub(in super::super) fn of(manifest: &Manifest, bytes: &[u8], grants: u64) -> Self {
        Self {
            started: Some(manifest.started),
            ended: manifest.ended,
            delete_by: Some(manifest.delete_by),
            manifest: Some(Digest::of(bytes)),
            key: Some(manifest.key.sha256),
            grants,
            segments: manifest.segments.len() as u64,
            bytes: manifest.bytes(),
        }
    }
}

/// What happened to an entry of the directory of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PersonChange {
    /// It was made.
    Added,
    /// A one-time code was handed out for it.
    Invited,
    /// A key was sent a challenge.
    Challenged,
    /// All its keys ended.
    Removed,
}

/// What happened to an account of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountChange {
    /// It was made.
    Added,
    /// It has another password.
    Password,
    /// It is gone.
    Removed,
}
