//! What the media framework's threads and the recorder share: the queues, what has been found out
//! about the input, and what its messages mean.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gstreamer as gst;
use gstreamer::glib;

use super::{
    CaptureError,
    complaints::Complaints,
    damage::Damage,
    describe::refusal,
    input::Input,
    media::{AudioFormat, CapturedFrame, StreamAudio, VideoFormat},
    meeting::{Meeting, WhenFull},
};

/// Pictures of a file that may wait; the decoder waits when full. They are the decoder's own
/// buffers, so few; enough that its thread and the recorder's seldom wait for each other.
const FILE_CAPACITY: usize = 4;

/// Pictures of a camera that may wait; the oldest one goes when full. A network delivers in bursts,
/// so more than for a file; a quarter of a second at 30 Hz, so that nobody sees much of the past.
const LIVE_CAPACITY: usize = 8;

/// Pieces of sound that may wait, about 1.4 s of AAC: what a file may hold between two pictures that
/// are taken. Files wait when full, live inputs drop the oldest.
const AUDIO_CAPACITY: usize = 64;

/// How often it is looked whether anybody still waits for an input.
const LOOK: Duration = Duration::from_millis(100);

/// The stream that was chosen among those of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// It is the only one that gets through at all.
    Only,
    /// It is told by the id that it keeps through parser and decoder.
    Id(String),
}

impl Chosen {
    /// Whether a stream is the chosen one.
    pub(super) fn is(&self, stream_id: &str) -> bool {
        match self {
            Self::Only => true,
            Self::Id(id) => id == stream_id,
        }
    }
}

/// What the callbacks have found out.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "findings that are independent of each other")]
pub(super) struct Facts {
    pub(super) video: Option<VideoFormat>,
    pub(super) audio: Option<AudioFormat>,
    /// Whether there is sound to wait for; none while that is not known.
    pub(super) expects_audio: Option<bool>,
    pub(super) video_chosen: Option<Chosen>,
    pub(super) audio_chosen: Option<Chosen>,
    /// The input has a stream that is left alone.
    pub(super) refused_stream: bool,
    pub(super) video_linked: bool,
    pub(super) audio_linked: bool,
    /// A codec of a chosen stream that nothing here can decode.
    pub(super) undecodable: Option<String>,
    pub(super) playlist: Option<String>,
    pub(super) hardware: bool,
    pub(super) connection_closed: bool,
    pub(super) failure: Option<CaptureError>,
}

/// What the callbacks and the recorder share.
pub(super) struct Shared {
    pub(super) meeting: Meeting<CapturedFrame, StreamAudio>,
    pub(super) label: String,
    pub(super) input: Input,
    facts: Mutex<Facts>,
    learned: Condvar,
    pub(super) damage: Mutex<Damage>,
    pub(super) complaints: Complaints,
    /// What all pictures are brought to; that of the first one where none is given.
    pub(super) fit: Option<VideoFormat>,
    cancelled: Arc<AtomicBool>,
}

impl Shared {
    pub(super) fn new(
        input: &Input,
        fit: Option<&VideoFormat>,
        cancelled: &Arc<AtomicBool>,
    ) -> Self {
        let (when_full, video_capacity) = if input.is_live() {
            (WhenFull::DropOldest, LIVE_CAPACITY)
        } else {
            (WhenFull::Wait, FILE_CAPACITY)
        };
        Self {
            meeting: Meeting::new(when_full, video_capacity, AUDIO_CAPACITY),
            label: input.label(),
            input: input.clone(),
            facts: Mutex::default(),
            learned: Condvar::new(),
            damage: Mutex::default(),
            complaints: Complaints::new(),
            fit: fit.cloned(),
            cancelled: Arc::clone(cancelled),
        }
    }

    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known and wakes whoever waits for it.
    pub(super) fn learn(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts());
        self.learned.notify_all();
    }

    /// Whether a decoded pad of this stream is the one picture to take.
    pub(super) fn wants_video(&self, stream_id: &str) -> bool {
        let facts = self.facts();
        !facts.video_linked && facts.video_chosen.as_ref().is_none_or(|chosen| chosen.is(stream_id))
    }

    /// Whether a decoded pad of this stream is the one sound to take.
    pub(super) fn wants_audio(&self, stream_id: &str) -> bool {
        let facts = self.facts();
        !facts.audio_linked
            && facts.audio_chosen.as_ref().is_some_and(|chosen| chosen.is(stream_id))
    }

    /// Ends both streams with a reason; the first reason counts.
    pub(super) fn fail(&self, error: CaptureError) {
        self.learn(|facts| {
            facts.failure.get_or_insert(error);
        });
        self.meeting.end_both();
    }

    /// The reason for which the streams ended early.
    pub(super) fn take_failure(&self) -> Option<CaptureError> {
        self.facts().failure.take()
    }

    pub(super) fn connection_closed(&self) -> bool {
        self.facts().connection_closed
    }

    /// Whether every stream of the input was decoded.
    pub(super) fn reads_all_streams(&self) -> bool {
        !self.facts().refused_stream
    }

    /// Whether a decoder in hardware took part.
    pub(super) fn saw_hardware(&self) -> bool {
        self.facts().hardware
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Waits until picture and sound are known, or until it is clear that they will not be.
    pub(super) fn formats(
        &self,
        timeout: Duration,
    ) -> Result<(VideoFormat, Option<AudioFormat>), CaptureError> {
        let deadline = Instant::now() + timeout;
        let mut facts = self.facts();
        loop {
            if let Some(failure) = facts.failure.take() {
                return Err(failure);
            }
            if let (Some(video), Some(expects)) = (&facts.video, facts.expects_audio)
                && (!expects || facts.audio.is_some())
            {
                return Ok((video.clone(), facts.audio));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_cancelled() {
                let input = self.label.clone();
                return Err(if facts.video.is_some() {
                    CaptureError::NoSound { input }
                } else {
                    CaptureError::NoPicture { input, within: timeout }
                });
            }
            (facts, _) =
                // Nobody who cancels wakes this.
                self.learned
                    .wait_timeout(facts, left.min(LOOK))
                    .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Host and port of a camera on the network.
    fn host(&self) -> Option<String> {
        match &self.input {
            Input::Rtsp { url, .. } => Some(url.authority()),
            _ => None,
        }
    }

    /// What a stream that nobody could link means.
    pub(super) fn no_video(&self) -> CaptureError {
        let (facts, input) = (self.facts(), self.label.clone());
        match (&facts.undecodable, &facts.playlist) {
            (Some(codec), _) => CaptureError::MissingDecoder { input, codec: codec.clone() },
            (None, Some(what)) => CaptureError::Playlist { input, what: what.clone() },
            (None, None) => CaptureError::NoVideo { input },
        }
    }

    /// A message of the framework as an error of this room.
    pub(super) fn classify(&self, error: &glib::Error, debug: &str) -> CaptureError {
        use gst::{CoreError, ResourceError, StreamError};
        let input = self.label.clone();
        let detail = error.message().trim_end_matches('.').to_owned();
        // rtspsrc uses the same code when nothing could be set up.
        let nothing_set_up = error.matches(StreamError::CodecNotFound);
        if nothing_set_up && (self.host().is_none() || self.facts().undecodable.is_some()) {
            return self.no_video();
        }
        if error.matches(StreamError::Decrypt) || error.matches(StreamError::DecryptNokey) {
            return CaptureError::Encrypted { input };
        }
        if error.matches(CoreError::MissingPlugin) {
            return CaptureError::MissingElement { detail };
        }
        match &self.input {
            Input::File(_) => {
                let facts = self.facts();
                if let Some(what) = facts.playlist.clone() {
                    CaptureError::Playlist { input, what }
                } else if let (Some(codec), false) = (facts.undecodable.clone(), facts.video_linked)
                {
                    CaptureError::MissingDecoder { input, codec }
                } else if error.matches(StreamError::TypeNotFound)
                    || error.matches(StreamError::WrongType)
                {
                    CaptureError::NotMedia { input }
                } else {
                    CaptureError::Damaged { input, detail }
                }
            }
            Input::Rtsp { url, .. } => {
                let host = url.authority();
                if let Some(refused) = refusal(error, debug, &host) {
                    refused
                } else if nothing_set_up || error.matches(ResourceError::Settings) {
                    // Because no stream was chosen, or because none can be sent.
                    let facts = self.facts();
                    if facts.refused_stream && facts.video_chosen.is_none() {
                        CaptureError::NoVideo { input }
                    } else {
                        CaptureError::Transport { host }
                    }
                } else {
                    CaptureError::Lost { input, detail }
                }
            }
            Input::V4l2(_) if error.matches(ResourceError::Busy) => CaptureError::Busy { input },
            Input::V4l2(_) => CaptureError::Device { input, detail },
            Input::Synthetic(_) => CaptureError::Pipeline { detail },
        }
    }
}
