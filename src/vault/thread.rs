//! The writer's own thread, so that encrypting and waiting for the disk never hold up a camera.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};

use super::{
    Digest, Gap, Outcome, RecordingWriter, RetentionRecord, Sealed, SegmentFile, VaultError,
    store::at,
};
use crate::{
    error::{ErrorKind, Kind},
    units::{CameraId, Pts},
};

/// Segments that may wait. Two are some 9 MB at 6 s of 6 Mbit/s, and twelve seconds in which a
/// slow disk may catch up. Full: the sender waits, because what comes out of the veil is promised
/// to a segment; frames are dropped before it, at the camera.
const WAITING: usize = 2;

/// How long whoever waits for the disk waits at most. A disk that comes back within that costs frames and
/// no recording.
const STALLS: Duration = Duration::from_secs(120);
/// How often whoever waits gives a sign of life.
const SIGN: Duration = Duration::from_millis(500);

/// What the thread is asked to do.
enum Job {
    Write(SegmentFile),
    Discard { camera: CameraId, from: Pts, to: Pts, done: Sender<Result<Gap, VaultError>> },
    State { camera: CameraId, to: Pts },
    Finish(Outcome),
}

/// The error at which writing stopped, for everyone who asks.
type Failure = Arc<OnceLock<(ErrorKind, String)>>;

/// A handle for one camera.
#[derive(Clone)]
pub struct SegmentSender {
    jobs: Sender<Job>,
    failure: Failure,
    /// Done again and again while the disk is waited for.
    sign: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for SegmentSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentSender").field("failure", &self.failure).finish_non_exhaustive()
    }
}

impl SegmentSender {
    /// Does `sign` again and again while it waits for the disk.
    #[must_use]
    pub fn with_sign(self, sign: impl Fn() + Send + Sync + 'static) -> Self {
        Self { sign: Arc::new(sign), ..self }
    }

    fn stalled() -> VaultError {
        let reason = format!("the disk took longer than {} s", STALLS.as_secs());
        VaultError::Stopped { kind: ErrorKind::Io, reason }
    }

    /// Waits for room, for as long as a disk may stall.
    fn put(&self, mut job: Job) -> Result<(), VaultError> {
        let mut waited = Duration::ZERO;
        while waited < STALLS {
            match self.jobs.send_timeout(job, SIGN) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Disconnected(_)) => return Err(VaultError::WriterLost),
                Err(SendTimeoutError::Timeout(back)) => job = back,
            }
            waited += SIGN;
            (self.sign)();
        }
        Err(Self::stalled())
    }

    /// Hands over a segment, waiting for room. An error says that writing has stopped, perhaps at
    /// an earlier segment.
    pub fn send(&self, file: SegmentFile) -> Result<(), VaultError> {
        self.check()?;
        self.put(Job::Write(file))?;
        self.check()
    }

    /// Removes what was sent of `camera` and goes on after `from`; see [`RecordingWriter::discard`].
    /// Waits until it is gone from the disk.
    pub fn discard(&self, camera: &CameraId, from: Pts, to: Pts) -> Result<Gap, VaultError> {
        // Capacity 1: one answer, so that the writer never waits to give it.
        let (done, answer) = bounded(1);
        let job = Job::Discard { camera: camera.clone(), from, to, done };
        self.put(job)?;
        let mut waited = Duration::ZERO;
        while waited < STALLS {
            match answer.recv_timeout(SIGN) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Disconnected) => return Err(VaultError::WriterLost),
                Err(RecvTimeoutError::Timeout) => (self.sign)(),
            }
            waited += SIGN;
        }
        Err(Self::stalled())
    }

    /// States a gap; see [`RecordingWriter::state_gap`].
    pub fn state_gap(&self, camera: &CameraId, to: Pts) -> Result<(), VaultError> {
        let job = Job::State { camera: camera.clone(), to };
        self.put(job)?;
        self.check()
    }

    /// Whether writing goes on, without sending anything.
    pub fn check(&self) -> Result<(), VaultError> {
        match self.failure.get() {
            Some((kind, reason)) => {
                Err(VaultError::Stopped { kind: *kind, reason: reason.clone() })
            }
            None => Ok(()),
        }
    }
}

/// A [`RecordingWriter`] on a thread of its own.
#[derive(Debug)]
#[must_use = "a recording that is not finished is not sealed"]
pub struct WriterThread {
    sender: SegmentSender,
    retention: RetentionRecord,
    manifest: Digest,
    path: PathBuf,
    thread: JoinHandle<Result<Option<Finished>, VaultError>>,
}

/// A sealed recording, and what kept it from being longer.
#[derive(Debug)]
pub struct Finished {
    /// What is whole.
    pub sealed: Sealed,
    /// Why writing had stopped before the end.
    pub stopped: Option<VaultError>,
}

impl WriterThread {
    /// Starts the thread.
    pub fn spawn(writer: RecordingWriter) -> Result<Self, VaultError> {
        let (jobs, inbox) = bounded(WAITING);
        let failure = Failure::default();
        let retention = writer.retention();
        let path = writer.path().to_owned();
        let manifest = writer.manifest();
        let thread = Builder::new()
            .name("writer".to_owned())
            .spawn({
                let failure = Arc::clone(&failure);
                move || {
                    let recording = writer.retention().recording;
                    let _span = tracing::info_span!("writer", %recording).entered();
                    run(writer, &inbox, &failure)
                }
            })
            .map_err(at(&path))?;
        let sender = SegmentSender { jobs, failure, sign: Arc::new(|| ()) };
        Ok(Self { sender, retention, manifest, path, thread })
    }

    /// A handle for one more camera.
    #[must_use]
    pub fn sender(&self) -> SegmentSender {
        self.sender.clone()
    }

    /// Hands over a segment; see [`SegmentSender::send`].
    pub fn send(&self, file: SegmentFile) -> Result<(), VaultError> {
        self.sender.send(file)
    }

    /// What every segment says about itself.
    #[must_use]
    pub fn retention(&self) -> &RetentionRecord {
        &self.retention
    }

    /// Digest of the manifest as it was signed at the start.
    #[must_use]
    pub fn manifest(&self) -> Digest {
        self.manifest
    }

    /// The recording's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what waits and seals the recording. Where writing had stopped, what is whole is
    /// sealed all the same.
    pub fn finish(self, outcome: Outcome) -> Result<Finished, VaultError> {
        self.sender.jobs.send(Job::Finish(outcome)).map_err(|_| VaultError::WriterLost)?;
        match self.thread.join() {
            Ok(Ok(Some(finished))) => Ok(finished),
            Ok(Err(error)) => Err(error),
            Ok(Ok(None)) | Err(_) => Err(VaultError::WriterLost),
        }
    }
}

/// Works until it is asked to finish, or until nobody is left who could ask: then the recording
/// stays unsealed for recovery.
fn run(
    mut writer: RecordingWriter,
    inbox: &Receiver<Job>,
    failure: &Failure,
) -> Result<Option<Finished>, VaultError> {
    let mut stopped = None;
    let stop = |error: VaultError, stopped: &mut Option<VaultError>| {
        tracing::error!(%error, "recording stops");
        // Only this thread sets it, and only once.
        let _ = failure.set((error.kind(), error.to_string()));
        stopped.get_or_insert(error);
    };
    for job in inbox {
        match job {
            // What is to be gone goes even where nothing more is written.
            Job::Discard { camera, from, to, done } => {
                let _ = done.send(writer.discard(&camera, from, to));
            }
            Job::State { camera, to } => {
                if let Err(error) = writer.state_gap(&camera, to) {
                    stop(error, &mut stopped);
                }
            }
            // Taken and dropped, so that no sender waits for ever.
            Job::Write(_) if stopped.is_some() => {}
            Job::Write(file) => {
                if let Err(error) = writer.write(file) {
                    stop(error, &mut stopped);
                }
            }
            Job::Finish(outcome) => {
                let sealed = writer.finish(outcome)?;
                return Ok(Some(Finished { sealed, stopped }));
            }
        }
    }
    Ok(None)
}
