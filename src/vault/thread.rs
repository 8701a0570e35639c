//! The writer's own thread, so that encrypting and waiting for the disk never hold up a camera.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    thread::{Builder, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{
    Digest, Outcome, RecordingWriter, RetentionRecord, Sealed, SegmentFile, VaultError, store::at,
};
use crate::error::{ErrorKind, Kind};

/// Segments that may wait. Two are some 9 MB at 6 s of 6 Mbit/s, and twelve seconds in which a
/// slow disk may catch up. Full: the sender waits, because what comes out of the veil is promised
/// to a segment; frames are dropped before it, at the camera.
const WAITING: usize = 2;

/// What the thread is asked to do.
enum Job {
    Write(SegmentFile),
    Finish(Outcome),
}

/// The error at which writing stopped, for everyone who asks.
type Failure = Arc<OnceLock<(ErrorKind, String)>>;

/// A handle for one camera.
#[derive(Clone, Debug)]
pub struct SegmentSender {
    jobs: Sender<Job>,
    failure: Failure,
}

impl SegmentSender {
    /// Hands over a segment, waiting for room. An error says that writing has stopped, perhaps at
    /// an earlier segment.
    pub fn send(&self, file: SegmentFile) -> Result<(), VaultError> {
        self.check()?;
        self.jobs.send(Job::Write(file)).map_err(|_| VaultError::WriterLost)?;
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
                move || run(writer, &inbox, &failure)
            })
            .map_err(at(&path))?;
        Ok(Self { sender: SegmentSender { jobs, failure }, retention, manifest, path, thread })
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
    for job in inbox {
        match job {
            // Taken and dropped, so that no sender waits for ever.
            Job::Write(_) if stopped.is_some() => {}
            Job::Write(file) => {
                if let Err(error) = writer.write(file) {
                    tracing::error!(%error, "recording stops");
                    // Only this thread sets it, and only once.
                    let _ = failure.set((error.kind(), error.to_string()));
                    stopped = Some(error);
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
