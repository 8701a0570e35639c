//! A camera that is away, and the way back to it.
//!
//! Belongs here: when it is dialled again, and doing so without holding up whoever waits for it. Does
//! not belong: what a recording does meanwhile (`chain`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::{
    capture::{self, Capture, CaptureError, Input, VideoFormat},
    units::CameraId,
};

/// How long a camera that is dialled again may take until its first frame; each way of reaching it has
/// as long. A camera that is back shows it at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause before a dial, after so many that failed.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

fn pause(failed: usize) -> Duration {
    PAUSES[failed.min(PAUSES.len() - 1)]
}

/// Dials a camera until it answers. Dropped, it stops doing so, and no camera stays open.
#[derive(Debug)]
pub(super) struct Redial {
    camera: CameraId,
    input: Input,
    settings: capture::Settings,
    format: VideoFormat,
    failed: usize,
    due: Instant,
    dialling: Option<Dialling>,
    cancelled: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Dialling {
    thread: JoinHandle<()>,
    answer: Receiver<Result<Capture, CaptureError>>,
}

impl Redial {
    /// Begins with the first pause. Pictures have to come in `format` again.
    pub(super) fn new(
        camera: CameraId,
        input: Input,
        settings: capture::Settings,
        format: VideoFormat,
    ) -> Self {
        let settings =
            capture::Settings { open_timeout: settings.open_timeout.min(PATIENCE), ..settings };
        Self {
            camera,
            input,
            settings,
            format,
            failed: 0,
            due: Instant::now() + pause(0),
            dialling: None,
            cancelled: Arc::default(),
        }
    }

    /// The camera, if it is back within `patience`.
    pub(super) fn wait(&mut self, patience: Duration) -> Option<Capture> {
        let Some(dialling) = &self.dialling else {
            let left = self.due.saturating_duration_since(Instant::now());
            if left > patience {
                std::thread::sleep(patience);
            } else {
                std::thread::sleep(left);
                self.dial();
            }
            return None;
        };
        let answer = match dialling.answer.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) => return None,
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Disconnected) => None,
        };
        if let Some(dialling) = self.dialling.take() {
            let _ = dialling.thread.join();
        }
        let problem = match answer {
            Some(Ok(capture)) if capture.video().size == self.format.size => return Some(capture),
            Some(Ok(_)) => "its pictures have another size".to_owned(),
            Some(Err(error)) => error.to_string(),
            None => "dialling it failed".to_owned(),
        };
        self.put_off(&problem);
        None
    }

    fn put_off(&mut self, problem: &str) {
        self.failed += 1;
        let pause = pause(self.failed);
        self.due = Instant::now() + pause;
        tracing::warn!(camera = %self.camera, problem, again_in = ?pause, "the camera is away");
    }

    /// Dials on a thread of its own: a camera that does not answer takes its time.
    fn dial(&mut self) {
        // Capacity 1: one answer, so that the thread never waits to give it.
        let (told, answer) = bounded(1);
        let (input, settings, format) = (self.input.clone(), self.settings, self.format.clone());
        let cancelled = Arc::clone(&self.cancelled);
        let thread = Builder::new().name(format!("dial-{}", self.camera)).spawn(move || {
            let capture = Capture::open_as(&input, &settings, Some(&format), &cancelled);
            // Where nobody takes it, it is closed here.
            let _ = told.send(capture);
        });
        match thread {
            Ok(thread) => self.dialling = Some(Dialling { thread, answer }),
            Err(error) => self.put_off(&error.to_string()),
        }
    }
}

impl Drop for Redial {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::SeqCst);
        if let Some(Dialling { thread, answer }) = self.dialling.take() {
            drop(answer);
            // No camera is open when a recording is over.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_never_end() {
        let seconds: Vec<u64> = (0..8).map(|failed| pause(failed).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 5, 10, 30, 30, 30, 30]);
    }
}
