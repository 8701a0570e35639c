//! Writes one recording: a folder made whole, segments added one at a time, a signed end.
//!
//! Belongs here: the order of writing (see the module above). Does not belong: threads, which wrap
//! this ([`super::WriterThread`]), and time, which is handed in.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    Digest, LegalBasis, Purpose, Recipient, RetentionRecord, SegmentCounts, SelfCheck, VaultError,
    digest::FileDigest,
    journal::{Entry, Journal},
    keys::BoxKey,
    manifest::{Continues, Course, Format, Gap, GapWhy, Manifest, Segment, State},
    recover::{remove_segments, settle},
    seal::SealingKey,
    sign::PersonPublicKey,
    store::{
        DETAILS, KEY, Lock, Locked, PartFile, RESERVE, RecordingDir, Store, at, lock_to_write,
        make_dir, segment_name, sync_dir, tracks_name,
    },
    terms::NEVER_FOR,
};
use crate::{
    error::Kind,
    units::{CameraId, ClassId, PersonId, Pts, RecordingId},
};

/// What only key holders may read: `details.json.age`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// Names of the teacher, the coach and the pupils, where somebody gave them.
    pub names: BTreeMap<String, String>,
    /// The teacher's learning question.
    pub question: Option<String>,
    /// Why there is sound.
    pub audio_reason: Option<String>,
    /// Notes.
    pub notes: Vec<String>,
    /// Options that waive something, which the manifest names too.
    pub waivers: Vec<String>,
}

impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names and texts about people stay out of every log.
        f.debug_struct("Details").finish_non_exhaustive()
    }
}

/// What is known of a recording before its first frame.
#[derive(Clone, Debug)]
pub struct NewRecording {
    /// Its id.
    pub id: RecordingId,
    /// When it begins.
    pub started: Timestamp,
    /// When it must be gone.
    pub delete_by: Timestamp,
    /// What it is for.
    pub purpose: Purpose,
    /// On what legal ground it is made.
    pub legal_basis: LegalBasis,
    /// The data protection impact assessment that covers photo matching.
    pub dpia: Option<String>,
    /// The recording of the same lesson that was cut off before this one.
    pub continues: Option<Continues>,
    /// The class.
    pub class: Option<ClassId>,
    /// The teacher.
    pub teacher: Option<PersonId>,
    /// The coach.
    pub coach: Option<PersonId>,
    /// The cameras, at least one.
    pub cameras: Vec<CameraId>,
    /// Who is veiled.
    pub policy: String,
    /// How.
    pub veil: String,
    /// How much of a person.
    pub region: String,
    /// Who may open it.
    pub recipients: Vec<Recipient>,
    /// Which of them are the teacher's.
    pub teacher_keys: Vec<Recipient>,
    /// With which keys those people sign.
    pub signers: Vec<PersonPublicKey>,
    /// The recordings that this one is veiled anew from, the latest last.
    pub replaces: Vec<RecordingId>,
    /// Keyed digest of the pupil list in force.
    pub list_version: String,
    /// SHA-256 of each model that takes part.
    pub models: BTreeMap<String, String>,
    /// The encoder.
    pub encoder: String,
    /// Whether there is sound.
    pub audio: bool,
    /// Nominal length of a segment.
    pub segment: Duration,
    /// How long frames wait before they are encoded.
    pub look_ahead: Duration,
    /// The program and its version.
    pub software: String,
    /// What only key holders may read.
    pub details: Details,
    /// Stretches that are not there because the recording that this one is made from has nothing of
    /// them.
    pub gaps: Vec<Gap>,
}

/// A finished segment, as the muxer made it in memory.
pub struct SegmentFile {
    /// The camera.
    pub camera: CameraId,
    /// 1 for the first segment of a camera, then one more each.
    pub number: u32,
    /// A complete fragmented MP4.
    pub mp4: Vec<u8>,
    /// Tracks, decisions and reasons, as JSON.
    pub tracks: Vec<u8>,
    /// Frames in it.
    pub frames: u64,
    /// Where it begins on the recording's timeline.
    pub start: Pts,
    /// Where it ends.
    pub end: Pts,
}

impl fmt::Debug for SegmentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentFile")
            .field("camera", &self.camera)
            .field("number", &self.number)
            .field("bytes", &self.mp4.len())
            .finish_non_exhaustive()
    }
}

/// How a recording ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When.
    pub ended: Timestamp,
    /// What went wrong, if anything did. Goes into the manifest: no names, no paths.
    pub fault: Option<String>,
    /// How it went.
    pub course: Course,
}

/// A recording that is complete and signed.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Its id.
    pub id: RecordingId,
    /// Its folder.
    pub path: PathBuf,
    /// Segments of all cameras.
    pub segments: usize,
    /// Size of the encrypted segments.
    pub bytes: u64,
    /// Frames in them.
    pub frames: u64,
    /// Digest of the signed manifest.
    pub manifest: Digest,
}

/// A recording in progress. Dropped without [`finish`](Self::finish) it stays unsealed, and
/// recovery seals it as interrupted.
#[derive(Debug)]
#[must_use = "a recording that is not finished is not sealed"]
pub struct RecordingWriter {
    dir: RecordingDir,
    manifest: Manifest,
    /// Digest of the manifest as it was signed at the start.
    signed: Digest,
    journal: Journal,
    sealing: SealingKey,
    key: BoxKey,
    failed: Option<Failed>,
    /// Given back when the end is written.
    reserve: Option<Reserve>,
    /// Keeps recovery and readers away until the end.
    lock: Lock,
}

/// Writing stopped here.
#[derive(Debug)]
struct Failed {
    kind: crate::error::ErrorKind,
    /// The whole message, for the operator.
    message: String,
    /// What the manifest may say: no paths.
    fault: String,
    /// The segment that was being written, if it was one.
    segment: Option<Segment>,
}

impl RecordingWriter {
    /// Makes the recording's folder: `key.age`, `details.json.age`, an open journal and a signed
    /// manifest in state [`State::Recording`].
    pub fn create(store: &Path, new: NewRecording, key: &BoxKey) -> Result<Self, VaultError> {
        let store = Store::prepare(store, key)?;
        let dir = store.recording(new.id);
        let (sealing, wrapped) = SealingKey::generate(&new.recipients, new.id)?;
        let _guard = store.lock()?;
        if dir.0.exists() {
            return Err(VaultError::Exists { path: dir.0, hint: "a recording is made once" });
        }
        let staging = Staging(store.staging(new.id));
        make_dir(&staging.0.0)?;
        let Locked::Held(lock) = lock_to_write(&staging.0.0)? else {
            return Err(VaultError::InProgress { path: staging.0.0.clone() });
        };
        let mut reserve = Reserve::take(&staging.0)?;
        let (manifest, signed, mut journal) = fill(&staging.0, new, key, &sealing, &wrapped)?;
        fs::rename(&staging.0.0, &dir.0).map_err(at(&dir.0))?;
        sync_dir(&store.recordings())?;
        journal.moved_to(&dir);
        if let Some(reserve) = &mut reserve {
            reserve.0 = dir.file(RESERVE);
        }
        Ok(Self {
            dir,
            manifest,
            signed,
            journal,
            sealing,
            key: key.clone(),
            failed: None,
            reserve,
            lock,
        })
    }

    /// The recording's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir.0
    }

    /// Digest of the manifest as it was signed at the start.
    #[must_use]
    pub fn manifest(&self) -> Digest {
        self.signed
    }

    /// What every segment says about itself.
    #[must_use]
    pub fn retention(&self) -> RetentionRecord {
        RetentionRecord::of(&self.manifest)
    }

    /// The JSON text for the `comment` tag of a segment; see [`RetentionRecord::comment`].
    #[must_use]
    pub fn retention_record(
        &self,
        camera: &CameraId,
        segment: u32,
        recorded_at: Timestamp,
        counts: SegmentCounts,
        self_check: SelfCheck,
    ) -> String {
        self.retention().comment(camera, segment, recorded_at, counts, self_check)
    }

    /// Seals a segment and makes it durable. After an error nothing more is written, and
    /// [`finish`](Self::finish) signs what is whole.
    pub fn write(&mut self, file: SegmentFile) -> Result<(), VaultError> {
        if let Some(failed) = &self.failed {
            return Err(VaultError::Stopped { kind: failed.kind, reason: failed.message.clone() });
        }
        if !self.manifest.cameras.contains(&file.camera) {
            return Err(no_camera(file.camera, &self.manifest.cameras));
        }
        let expected = self.manifest.next_number(&file.camera);
        if file.number != expected {
            let SegmentFile { camera, number, .. } = file;
            return Err(VaultError::OutOfTurn { camera, number, expected });
        }
        let mut segment = Segment {
            camera: file.camera,
            number: file.number,
            start_ns: Some(file.start),
            end_ns: Some(file.end),
            frames: Some(file.frames),
            // Until the encrypted files exist.
            video: FileDigest::of(&[]),
            tracks: FileDigest::of(&[]),
        };
        match self.write_files(&mut segment, &file.mp4, &file.tracks) {
            Ok(()) => {
                self.manifest.segments.push(segment);
                Ok(())
            }
            Err(error) => {
                self.fail(&error, Some(segment));
                Err(error)
            }
        }
    }

    fn fail(&mut self, error: &VaultError, segment: Option<Segment>) {
        let fault = match error {
            VaultError::Io { source, .. } => format!("writing stopped: {}", source.kind()),
            _ => "writing stopped".to_owned(),
        };
        self.failed =
            Some(Failed { kind: error.kind(), message: error.to_string(), fault, segment });
    }

    /// Removes every segment of `camera` that goes on after `from`, and states that nothing is kept
    /// of it up to `to`. Works after an error too: what is to be gone goes before anything else
    /// counts. The statement comes first, so that recovery completes what a crash cuts off.
    pub fn discard(&mut self, camera: &CameraId, from: Pts, to: Pts) -> Result<Gap, VaultError> {
        if !self.manifest.cameras.contains(camera) {
            return Err(no_camera(camera.clone(), &self.manifest.cameras));
        }
        let goes = |segment: &Segment| {
            segment.camera == *camera && segment.end_ns.is_none_or(|end| end > from)
        };
        let mut removed: Vec<u32> =
            self.manifest.segments.iter().filter(|s| goes(s)).map(|s| s.number).collect();
        if let Some(failed) = &mut self.failed {
            // Its files may have got their names.
            removed.extend(failed.segment.take_if(|s| goes(s)).map(|segment| segment.number));
        }
        self.manifest.segments.retain(|segment| !goes(segment));
        let last = self.manifest.segments_of(camera).last().and_then(|segment| segment.end_ns);
        let from_ns = last.unwrap_or(Pts::ZERO);
        let gap = Gap {
            camera: camera.clone(),
            from_ns,
            to_ns: to.max(from_ns),
            why: GapWhy::Dropped,
            removed,
        };
        let stated = self.state(gap.clone());
        let removed = remove_segments(&self.dir, &gap);
        if let Err(error) = &removed
            && self.failed.is_none()
        {
            // The end tries again.
            self.fail(error, None);
        }
        removed.and(stated).map(|()| gap)
    }

    /// States that nothing came from `camera` up to `to`.
    pub fn state_gap(&mut self, camera: &CameraId, to: Pts) -> Result<(), VaultError> {
        let last = self.manifest.segments_of(camera).last().and_then(|segment| segment.end_ns);
        let from_ns = last.unwrap_or(Pts::ZERO);
        let why = GapWhy::CameraLost;
        let camera = camera.clone();
        self.state(Gap { camera, from_ns, to_ns: to.max(from_ns), why, removed: Vec::new() })
    }

    fn state(&mut self, gap: Gap) -> Result<(), VaultError> {
        self.manifest.gaps.push(gap.clone());
        if self.failed.is_some() {
            // The end writes it down.
            return Ok(());
        }
        let line = Entry::Gap(gap);
        let result = match self.journal.append(line.clone()) {
            // A full disk has this much room left.
            Err(_) if self.reserve.take().is_some() => self.journal.append(line),
            result => result,
        };
        if let Err(error) = &result {
            self.fail(error, None);
        }
        result
    }

    fn write_files(
        &mut self,
        segment: &mut Segment,
        mp4: &[u8],
        tracks: &[u8],
    ) -> Result<(), VaultError> {
        let Segment { camera, number, .. } = &*segment;
        let (tracks_part, tracks) =
            PartFile::seal(&self.dir.tracks(camera, *number), &self.sealing, tracks)?;
        tracks_part.publish()?;
        let (video_part, video) =
            PartFile::seal(&self.dir.segment(camera, *number), &self.sealing, mp4)?;
        let folder = self.dir.camera(camera);
        // The reasons for showing a face are durable before the pictures have a name.
        sync_dir(&folder)?;
        segment.tracks = tracks;
        segment.video = video;
        video_part.publish()?;
        sync_dir(&folder)?;
        self.journal.append(Entry::Segment(segment.clone()))
    }

    /// Ends the recording: the manifest lists all segments and is signed. Where that cannot be
    /// written the error says what is kept, and recovery seals it.
    pub fn finish(mut self, outcome: Outcome) -> Result<Sealed, VaultError> {
        // A disk that is full has room for the end.
        self.reserve = None;
        let manifest = match self.seal(outcome) {
            Ok(digest) => digest,
            Err(source) => {
                return Err(VaultError::NotSealed {
                    segments: self.manifest.segments.len(),
                    bytes: self.manifest.bytes(),
                    frames: self.manifest.frames(),
                    path: self.dir.0,
                    source: Box::new(source),
                });
            }
        };
        let sealed = Sealed {
            id: self.manifest.recording,
            segments: self.manifest.segments.len(),
            bytes: self.manifest.bytes(),
            frames: self.manifest.frames(),
            manifest,
            path: self.dir.0,
        };
        drop(self.lock);
        Ok(sealed)
    }

    fn seal(&mut self, outcome: Outcome) -> Result<Digest, VaultError> {
        self.manifest.fault = outcome.fault;
        if let Some(failed) = self.failed.take() {
            self.manifest.fault.get_or_insert(failed.fault);
            // The segment may have got its name before the error: then it counts, as after a crash.
            let settled = settle(&self.dir, &self.manifest, failed.segment.as_ref(), &[])?;
            self.manifest.segments = settled.segments;
            self.manifest.gaps = settled.gaps;
            self.manifest.journal = settled.head;
        } else {
            self.manifest.journal = self.journal.head();
        }
        self.manifest.later_lists = outcome.course.lists;
        self.manifest.overload = outcome.course.overload;
        self.manifest.clock = outcome.course.clock;
        self.manifest.state = State::Sealed;
        self.manifest.ended = Some(outcome.ended);
        self.manifest.publish(&self.dir, &self.key)
    }
}

/// Room on the disk that a recording holds back for its own end: the last lines of the journal, and
/// a manifest of some 350 bytes for each segment. Six hours in segments of 6 s take 1.3 MB.
const RESERVE_BYTES: u64 = 2 << 20;

/// A file of zeros that is removed when the room is needed. What a crash leaves, recovery removes.
#[derive(Debug)]
struct Reserve(PathBuf);

impl Reserve {
    /// None where the file system or a limit of the user does not allow it; a disk without room for
    /// it has none for a recording.
    fn take(dir: &RecordingDir) -> Result<Option<Self>, VaultError> {
        let reserve = Self(dir.file(RESERVE));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&reserve.0)
            .map_err(at(&reserve.0))?;
        match fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES) {
            Ok(()) => Ok(Some(reserve)),
            Err(error @ (Errno::NOSPC | Errno::DQUOT)) => Err(at(&dir.0)(error.into())),
            Err(_) => Ok(None),
        }
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes a folder that did not become a recording.
struct Staging(RecordingDir);

impl Drop for Staging {
    fn drop(&mut self) {
        // After the rename there is nothing at this path.
        let _ = fs::remove_dir_all(&self.0.0);
    }
}

/// Writes what a recording has before its first segment.
fn fill(
    dir: &RecordingDir,
    new: NewRecording,
    key: &BoxKey,
    sealing: &SealingKey,
    wrapped: &[u8],
) -> Result<(Manifest, Digest, Journal), VaultError> {
    for camera in &new.cameras {
        make_dir(&dir.camera(camera))?;
    }
    PartFile::write(&dir.file(KEY), wrapped)?.publish()?;
    let key_file = FileDigest::of(wrapped);
    let path = dir.file(DETAILS);
    let details = serde_json::to_vec(&new.details)
        .map(Zeroizing::new)
        .map_err(|error| at(&path)(error.into()))?;
    let (part, details) = PartFile::seal(&path, sealing, &details)?;
    part.publish()?;
    let mut journal = Journal::create(dir, new.id, &key_file)?;
    // What was removed then were segments of another recording.
    let gaps: Vec<Gap> =
        new.gaps.into_iter().map(|gap| Gap { removed: Vec::new(), ..gap }).collect();
    for gap in &gaps {
        journal.append(Entry::Gap(gap.clone()))?;
    }
    let manifest = Manifest {
        format: Format::V1,
        recording: new.id,
        state: State::Recording,
        started: new.started,
        ended: None,
        delete_by: new.delete_by,
        talk_closed: None,
        purpose: new.purpose,
        never_for: NEVER_FOR.map(str::to_owned).to_vec(),
        legal_basis: new.legal_basis,
        dpia: new.dpia,
        continues: new.continues,
        class: new.class,
        teacher: new.teacher,
        coach: new.coach,
        cameras: new.cameras,
        policy: new.policy,
        veil: new.veil,
        region: new.region,
        list_version: new.list_version,
        later_lists: Vec::new(),
        overload: None,
        clock: Vec::new(),
        waivers: new.details.waivers.clone(),
        models: new.models,
        encoder: new.encoder,
        audio: new.audio,
        segment_ms: millis(new.segment),
        look_ahead_ms: millis(new.look_ahead),
        software: new.software,
        recipients: new.recipients,
        teacher_keys: new.teacher_keys,
        signers: new.signers,
        replaces: new.replaces,
        box_key: key.public().clone(),
        key: key_file,
        details,
        fault: None,
        recovered: None,
        may_miss_ms: None,
        gaps,
        journal: journal.head(),
        segments: Vec::new(),
    };
    let signed = manifest.publish(dir, key)?;
    Ok((manifest, signed, journal))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The error for a camera that is not among `known`.
pub(super) fn no_camera(camera: CameraId, known: &[CameraId]) -> VaultError {
    let known = known.iter().map(CameraId::as_str).collect::<Vec<_>>().join(", ");
    VaultError::NoCamera { camera, known }
}

/// The two files of a segment, relative to the recording.
pub(super) fn files_of(segment: &Segment) -> [(String, FileDigest); 2] {
    [
        (segment_name(&segment.camera, segment.number), segment.video),
        (tracks_name(&segment.camera, segment.number), segment.tracks),
    ]
}
