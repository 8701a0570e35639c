//! The signed manifest: what a recording is, who may open it, until when, and the digest of every
//! file in it.
//!
//! The signature covers the file's bytes as they stand, so there is no second, canonical form that
//! could differ from what is read.

use std::{collections::BTreeMap, fs, io::ErrorKind};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Digest, Fault, FileDigest, LegalBasis, Purpose, Recipient, VaultError,
    keys::{BadSignature, BoxKey, BoxPublicKey},
    sign::PersonPublicKey,
    store::{MANIFEST, PART, PartFile, RecordingDir, SIGNATURE, at, read_at_most, sync_dir},
};
use crate::units::{CameraId, ClassId, PersonId, Pts, RecordingId};

/// A day of 6-second segments from 16 cameras is 75 MB of manifest.
const MANIFEST_LIMIT: u64 = 256 << 20;
/// A signature file has four short lines.
const SIGNATURE_LIMIT: u64 = 4096;

/// The version of the manifest's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// The first and so far only one.
    #[serde(rename = "classveil-recording/1")]
    V1,
}

/// Where a recording is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Segments are being added; the list in the manifest is empty and `segments.jsonl` counts.
    Recording,
    /// Ended and complete: the list in the manifest is all there is.
    Sealed,
    /// Cut off and sealed later by recovery; up to `may_miss_ms` of its end may be lost.
    Interrupted,
}

/// One segment of one camera, as manifest and journal list it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// The camera.
    pub camera: CameraId,
    /// 1 for the first segment of a camera.
    pub number: u32,
    /// Where it begins on the recording's timeline, in nanoseconds. Absent, like the next two,
    /// where the machine stopped before it could write this down.
    pub start_ns: Option<Pts>,
    /// Where it ends.
    pub end_ns: Option<Pts>,
    /// Frames in it.
    pub frames: Option<u64>,
    /// `CAMERA/000001.mp4.age`.
    pub video: FileDigest,
    /// `CAMERA/000001.tracks.age`.
    pub tracks: FileDigest,
}

/// Why a stretch of a camera is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapWhy {
    /// Somebody in the room had it dropped.
    Dropped,
    /// The camera was away.
    CameraLost,
}

impl std::fmt::Display for GapWhy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dropped => "dropped at somebody's wish",
            Self::CameraLost => "the camera was away",
        })
    }
}

/// A stretch of one camera of which nothing is kept, as manifest and journal state it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// The camera.
    pub camera: CameraId,
    /// Where the last segment before it ends.
    pub from_ns: Pts,
    /// Until where nothing is kept: the next segment begins there or later.
    pub to_ns: Pts,
    /// Why.
    pub why: GapWhy,
    /// Segments that had been written and were removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<u32>,
}

impl Gap {
    /// Whether `segment` was removed by it.
    pub(super) fn removes(&self, segment: &Segment) -> bool {
        self.camera == segment.camera && self.removed.contains(&segment.number)
    }
}

/// A pupil list that took the place of the one before while recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListChange {
    /// Where on the recording's timeline the newest picture was. Those before it that were not yet
    /// encoded were decided by this list too.
    pub at_ns: Pts,
    /// Keyed digest of the list.
    pub version: String,
    /// Who was veiled from then on: never fewer than before.
    pub policy: String,
    /// The data protection impact assessment that covers photo matching with it.
    pub dpia: Option<String>,
}

/// How a recording from a camera kept up with it, where it did not do so with ease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overload {
    /// How far down the ladder it went: `none`, `cadence`, `resolution`, `preset` or `frames`.
    pub furthest: String,
    /// How often it went a rung down or up.
    pub changes: u64,
    /// Frames that gave way to newer ones in a moment that was too slow.
    pub frames_late: u64,
    /// Frames that gave way because the machine is too slow for the camera.
    pub frames_overload: u64,
}

/// What is known only at the end of how a recording went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// Lists that took the place of the one that it began with.
    pub lists: Vec<ListChange>,
    /// Where it did not keep up with ease.
    pub overload: Option<Overload>,
    /// What became of the clock meanwhile.
    pub clock: Vec<ClockChange>,
}

/// What may become of the machine's clock while it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockWhat {
    /// It was set forward.
    SetForward,
    /// It was set back.
    SetBack,
    /// Nobody says any more that it is right.
    Untrusted,
    /// It is known to be right again.
    Trusted,
}

/// A change of the machine's clock while it was recorded. The recording's own timeline does not know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockChange {
    /// What.
    pub what: ClockWhat,
    /// How long after the recording began it was noticed, by a count that nobody can set.
    pub after_ms: u64,
}

/// That a recording goes on with a lesson whose recording was cut off by a crash or a power cut. The
/// key of the first existed in memory only, so what comes after is a recording of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continues {
    /// The recording that was cut off.
    pub recording: RecordingId,
    /// When the first recording of the lesson began.
    pub lesson_started: Timestamp,
    /// For how long nothing is kept between the two: from the end of the last segment whose times
    /// were written down to the beginning of this recording.
    pub gap_ms: u64,
}

/// The last line of `segments.jsonl`, which stands for all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalHead {
    /// Number of lines.
    pub lines: u64,
    /// Digest of the last line, or of the journal's starting value where there is none.
    pub sha256: Digest,
}

/// The manifest of a recording. Pseudonyms only: names are in `details.json.age`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Shape of this file.
    pub format: Format,
    /// The recording.
    pub recording: RecordingId,
    /// Where it is in its life.
    pub state: State,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; absent while recording and after an interruption.
    pub ended: Option<Timestamp>,
    /// When it must be gone.
    pub delete_by: Timestamp,
    /// When the follow-up talk was closed, which may have moved `delete_by` earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub talk_closed: Option<Timestamp>,
    /// What it is for.
    pub purpose: Purpose,
    /// What it may never be used for.
    pub never_for: Vec<String>,
    /// On what legal ground it was made.
    pub legal_basis: LegalBasis,
    /// The data protection impact assessment that covers photo matching.
    pub dpia: Option<String>,
    /// The recording of the same lesson that was cut off before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continues>,
    /// The class.
    pub class: Option<ClassId>,
    /// The teacher.
    pub teacher: Option<PersonId>,
    /// The coach.
    pub coach: Option<PersonId>,
    /// The cameras, each a folder.
    pub cameras: Vec<CameraId>,
    /// Who was veiled.
    pub policy: String,
    /// How.
    pub veil: String,
    /// How much of a person.
    pub region: String,
    /// Keyed digest of the pupil list that was in force at the start.
    pub list_version: String,
    /// Lists that took its place while recording.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later_lists: Vec<ListChange>,
    /// How it kept up with a camera, where it did not do so with ease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overload: Option<Overload>,
    /// What became of the clock meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clock: Vec<ClockChange>,
    /// Options with `danger` in their name that were in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<String>,
    /// SHA-256 of each model that took part.
    pub models: BTreeMap<String, String>,
    /// The encoder.
    pub encoder: String,
    /// Whether there is sound.
    pub audio: bool,
    /// Nominal length of a segment.
    pub segment_ms: u64,
    /// How long frames waited before they were encoded.
    pub look_ahead_ms: u64,
    /// The program that recorded.
    pub software: String,
    /// Who can open `key.age`, all of them.
    pub recipients: Vec<Recipient>,
    /// Which of them are the teacher's, by the directory of people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teacher_keys: Vec<Recipient>,
    /// With which keys those people sign what they say of it, each under its owner's pseudonym.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<PersonPublicKey>,
    /// The recordings that this one was veiled anew from, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<RecordingId>,
    /// Public half of the key that signs this file.
    pub box_key: BoxPublicKey,
    /// `key.age`.
    pub key: FileDigest,
    /// `details.json.age`.
    pub details: FileDigest,
    /// What went wrong, if anything did.
    pub fault: Option<String>,
    /// When recovery sealed an interrupted recording.
    pub recovered: Option<Timestamp>,
    /// How much of an interrupted recording's end may be lost.
    pub may_miss_ms: Option<u64>,
    /// Stretches that are not there and are not meant to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// End of the journal.
    pub journal: JournalHead,
    /// All segments in the order in which they were written.
    pub segments: Vec<Segment>,
}

impl Manifest {
    /// Whether `recipient` is the teacher's.
    #[must_use]
    pub fn is_teachers(&self, recipient: &Recipient) -> bool {
        self.teacher.is_some() && self.teacher_keys.contains(recipient)
    }

    /// Total size of the encrypted segments, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.video.bytes).sum()
    }

    /// Frames in all segments; those that recovery found without their journal line are not counted.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.segments.iter().filter_map(|segment| segment.frames).sum()
    }

    /// The number that the next segment of `camera` has: those of removed ones are not given again.
    pub(super) fn next_number(&self, camera: &CameraId) -> u32 {
        next_number(camera, &self.segments, &self.gaps)
    }

    /// The segments of `camera`, in order.
    pub fn segments_of<'a>(&'a self, camera: &'a CameraId) -> impl Iterator<Item = &'a Segment> {
        self.segments.iter().filter(move |segment| segment.camera == *camera)
    }

    /// The file's bytes.
    fn to_bytes(&self, dir: &RecordingDir) -> Result<Vec<u8>, VaultError> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| at(&dir.file(MANIFEST))(error.into()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Signs the manifest and puts both files in place, durably. Returns the digest of the manifest.
    pub(super) fn publish(&self, dir: &RecordingDir, key: &BoxKey) -> Result<Digest, VaultError> {
        let bytes = self.to_bytes(dir)?;
        let state = serde_json::to_string(&self.state).unwrap_or_default();
        let state = state.trim_matches('"');
        let comment = format!("classveil recording {} {state}", self.recording);
        let signature = key.sign(&bytes, &comment)?;
        publish_pair(dir, &bytes, signature.as_bytes())?;
        Ok(Digest::of(&bytes))
    }
}

/// The number after the highest that `camera` ever had.
pub(super) fn next_number(camera: &CameraId, segments: &[Segment], gaps: &[Gap]) -> u32 {
    let there = segments.iter().filter(|s| s.camera == *camera).map(|s| s.number);
    let removed = gaps.iter().filter(|gap| gap.camera == *camera);
    there.chain(removed.flat_map(|gap| gap.removed.iter().copied())).max().unwrap_or(0) + 1
}

/// Puts a manifest and its signature in place. Both are durable under their part names before
/// either gets its own, so that a crash in between leaves one whole pair to choose from.
fn publish_pair(dir: &RecordingDir, bytes: &[u8], signature: &[u8]) -> Result<(), VaultError> {
    let manifest = PartFile::write(&dir.file(MANIFEST), bytes)?;
    let signature = PartFile::write(&dir.file(SIGNATURE), signature)?;
    sync_dir(&dir.0)?;
    manifest.publish()?;
    // Now it is the only signature that fits.
    signature.publish_or_keep()?;
    sync_dir(&dir.0)
}

/// Whose signature counts.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Only this box's.
    Pinned(BoxPublicKey),
    /// The one whose key the manifest itself names: shows damage, not forgery.
    Unpinned,
}

/// Reads and checks a recording's manifest.
pub(super) fn read(dir: &RecordingDir, trust: &Trust) -> Result<Manifest, VaultError> {
    let damaged = |file: &str, problem: String| VaultError::Damaged {
        path: dir.0.clone(),
        faults: vec![Fault::new(file, problem)],
    };
    let bytes =
        read_at_most(&dir.file(MANIFEST), MANIFEST_LIMIT).map_err(|error| match error.kind() {
            ErrorKind::NotFound => damaged(MANIFEST, "is missing".to_owned()),
            ErrorKind::InvalidData => damaged(MANIFEST, error.to_string()),
            _ => at(&dir.file(MANIFEST))(error),
        })?;
    let signature =
        read_at_most(&dir.file(SIGNATURE), SIGNATURE_LIMIT).map_err(|error| {
            match error.kind() {
                ErrorKind::NotFound => damaged(SIGNATURE, "is missing".to_owned()),
                ErrorKind::InvalidData => damaged(SIGNATURE, error.to_string()),
                _ => at(&dir.file(SIGNATURE))(error),
            }
        })?;
    let parsed: Result<Manifest, _> = serde_json::from_slice(&bytes);
    let own = parsed.as_ref().ok().map(|manifest| manifest.box_key.clone());
    let key = match trust {
        Trust::Pinned(key) => key.clone(),
        Trust::Unpinned => own.clone().ok_or_else(|| {
            damaged(MANIFEST, "cannot be read: it was altered or is of another version".to_owned())
        })?,
    };
    match key.verify(&bytes, &signature) {
        Ok(()) => {}
        Err(BadSignature::OtherKey(signer)) => {
            // A flipped bit in a key id is damage; a whole signature of another box is that box's.
            return Err(match own {
                Some(own) if own.verify(&bytes, &signature).is_ok() => {
                    VaultError::WrongBoxKey { path: dir.0.clone(), signer, expected: key.id() }
                }
                _ => damaged(SIGNATURE, "names another key than the manifest".to_owned()),
            });
        }
        Err(BadSignature::Invalid(problem)) => {
            return Err(damaged(SIGNATURE, problem.to_owned()));
        }
    }
    let manifest = parsed.map_err(|error| VaultError::UnknownFormat {
        path: dir.0.clone(),
        problem: error.to_string(),
    })?;
    if manifest.box_key == key {
        Ok(manifest)
    } else {
        Err(damaged(MANIFEST, "names another box key than the one that signed it".to_owned()))
    }
}

/// What a crash between two renames leaves: the furthest manifest for which a whole signature of
/// `key` exists, under its own or its part name.
pub(super) fn newest(dir: &RecordingDir, key: &BoxPublicKey) -> Result<Found, VaultError> {
    let mut best: Option<Found> = None;
    for manifest_part in ["", PART] {
        for signature_part in ["", PART] {
            let read = |name: &str, part: &str, limit| {
                read_at_most(&dir.file(&format!("{name}{part}")), limit).ok()
            };
            let Some(bytes) = read(MANIFEST, manifest_part, MANIFEST_LIMIT) else { continue };
            let Some(signature) = read(SIGNATURE, signature_part, SIGNATURE_LIMIT) else {
                continue;
            };
            if key.verify(&bytes, &signature).is_err() {
                continue;
            }
            let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else { continue };
            let further = best.as_ref().is_none_or(|Found { manifest: best, .. }| {
                let sealed = manifest.state != State::Recording;
                let rank = |manifest: &Manifest| {
                    (manifest.state != State::Recording, manifest.talk_closed)
                };
                // A deadline only ever moves earlier.
                rank(&manifest) > rank(best) || (sealed && manifest.delete_by < best.delete_by)
            });
            if further {
                best = Some(Found { manifest, manifest_part, signature_part });
            }
        }
    }
    match best {
        Some(found) => Ok(found),
        // Says what is wrong with the pair that stands there.
        None => Err(match read(dir, &Trust::Pinned(key.clone())) {
            Err(error) => error,
            Ok(_) => VaultError::WriterLost,
        }),
    }
}

/// A manifest that [`newest`] found.
pub(super) struct Found {
    pub(super) manifest: Manifest,
    manifest_part: &'static str,
    signature_part: &'static str,
}

impl Found {
    /// Completes the renames that were cut off; says whether there were any.
    pub(super) fn put_in_place(&self, dir: &RecordingDir) -> Result<bool, VaultError> {
        let mut renamed = false;
        for (name, part) in [(MANIFEST, self.manifest_part), (SIGNATURE, self.signature_part)] {
            if !part.is_empty() {
                // Renamed, not written again: there must be a whole pair at every moment.
                let target = dir.file(name);
                fs::rename(dir.file(&format!("{name}{part}")), &target).map_err(at(&target))?;
                renamed = true;
            }
        }
        if renamed {
            sync_dir(&dir.0)?;
        }
        Ok(renamed)
    }
}
