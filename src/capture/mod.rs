//! Pictures and sound come in: from a file, a network camera, a USB camera, or computed for a test.
//!
//! Belongs here: decoding to I420 and 48 kHz floats, times, what can go wrong with a source. Does
//! not belong: who is in the picture, copying it anywhere, writing anything.
//!
//! A [`Capture`] runs on the media framework's threads and hands over through two bounded queues.
//! A file waits when nobody takes: every frame comes out once, with the running time that it has
//! in the file. A camera does not wait: the newest frame wins, [`Capture::displaced`] counts the
//! others, and time starts with the first frame that is taken. Titles, places, captions, subtitles
//! and every other stream stay behind: only planes, samples and times come out.

mod branch;
mod complaints;
mod damage;
mod describe;
mod error;
mod input;
mod media;
mod meeting;
mod pipeline;
mod shared;
mod streams;
mod timeline;

use std::{
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use gstreamer as gst;
use gstreamer::prelude::*;

pub use error::CaptureError;
pub use input::{Input, RtspUrl, Synthetic};
pub use media::{AudioChunk, AudioFormat, CapturedFrame, VideoFormat};

use crate::units::Pts;
use meeting::Taken;
use pipeline::{Attempt, Running};
use shared::Shared;

/// How long a file may take at the first try. decodebin 1.22 loses the error of a demuxer that fails
/// while it is being plugged (one broken file in twenty), and then says nothing for ever.
const FIRST_TRY: Duration = Duration::from_secs(3);

/// How long a camera that is dialled again may take to take the call.
const PROBE_AGAIN: Duration = Duration::from_secs(2);

/// A file that ends this much (and a twentieth of its length) before it says is cut or broken.
const MISSING_END: Duration = Duration::from_secs(1);

/// What most inputs are decoded with: its libraries take longest to load.
const USUAL_DECODER: &str = "avdec_h264";

/// Loads the media framework and what most inputs are decoded with on a thread of its own, so that opening
/// one finds them there. What cannot be loaded, opening says.
pub fn prepare() {
    let load = || {
        if gst::init().is_ok()
            && let Some(decoder) = gst::ElementFactory::find(USUAL_DECODER)
        {
            drop(decoder.load());
        }
    };
    if let Err(error) = thread::Builder::new().name("prepare".into()).spawn(load) {
        tracing::debug!(%error, "decoders are loaded when they are needed");
    }
}

/// How an input is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether sound is decoded; without it a source's sound is not even read.
    pub audio: bool,
    /// Threads of a software decoder, 1 where none is given: a complaint about broken data then names its
    /// capture, decoding 1080p takes a third of a core, and pictures come without delay.
    pub decode_threads: Option<u32>,
    /// How long an input may take until its first frame. Default 10 s.
    pub open_timeout: Duration,
    /// After how long without a frame a live input counts as lost. Default 4 s.
    pub stall_timeout: Duration,
    /// Whether a live input that breaks off in the middle is opened again, for as long as it takes. Off
    /// by default: then a recording ends with its camera.
    pub come_back: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            audio: false,
            decode_threads: None,
            open_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(4),
            come_back: false,
        }
    }
}

/// What comes next.
#[derive(Debug)]
pub enum Event {
    /// A frame.
    Video(CapturedFrame),
    /// A piece of sound.
    Audio(AudioChunk),
    /// The input is over, and everything of it was handed out.
    End,
    /// The input broke off; what was handed out before is good.
    Lost(CaptureError),
}

/// An input that runs. It stops when dropped.
pub struct Capture {
    running: Running,
    video: VideoFormat,
    live: bool,
    stall_timeout: Duration,
    /// Where the recording's time starts on the stream's; none for a live input before its first
    /// frame is taken.
    zero: Option<i128>,
    /// Displaced before the first frame was taken: nobody missed those.
    displaced_before: u64,
    last_frame: Instant,
    /// The latest time that was handed out.
    reached: Pts,
    /// What a file announced, where its pictures ended well before.
    announced: Option<Duration>,
    over: bool,
}

impl Capture {
    /// Opens an input and waits until its first frame is decoded.
    ///
    /// RTSP goes over TCP; UDP is tried once when the camera does not send over TCP, but never
    /// instead of an encrypted connection. A hardware decoder that fails is replaced by software.
    pub fn open(input: &Input, settings: &Settings) -> Result<Self, CaptureError> {
        Self::open_as(input, settings, None, &Arc::default())
    }

    /// The same for an input whose pictures have to be as before: they are scaled to the size of `fit`,
    /// with bars where the shape is another. Gives up soon after `cancelled` is set.
    pub fn open_as(
        input: &Input,
        settings: &Settings,
        fit: Option<&VideoFormat>,
        cancelled: &Arc<AtomicBool>,
    ) -> Result<Self, CaptureError> {
        gst::init().map_err(|error| CaptureError::MissingElement { detail: error.to_string() })?;
        if let Input::Rtsp { url, .. } = input {
            // A camera that was there before answers at once or not at all.
            let patience = if fit.is_some() { PROBE_AGAIN } else { settings.open_timeout };
            url.probe(patience.min(settings.open_timeout))?;
        }
        let mut attempt = Attempt { timeout: settings.open_timeout, udp: false, software: false };
        if matches!(input, Input::File(_)) {
            attempt.timeout = attempt.timeout.min(FIRST_TRY);
        }
        let running = loop {
            let shared = Arc::new(Shared::new(input, fit, cancelled));
            let (error, shared) = match pipeline::open(shared, settings, attempt) {
                Ok(running) => break running,
                Err(failed) => failed,
            };
            let no_picture = matches!(error, CaptureError::NoPicture { .. });
            let udp_may_help = (no_picture || matches!(error, CaptureError::Transport { .. }))
                && matches!(input, Input::Rtsp { url, .. } if !url.is_tls());
            if shared.is_cancelled() {
                return Err(error);
            }
            if shared.saw_hardware() && !attempt.software {
                tracing::warn!(input = shared.label, "hardware decoder failed, trying software");
                attempt.software = true;
            } else if udp_may_help && !attempt.udp {
                tracing::warn!(input = shared.label, "no pictures over TCP, trying UDP");
                attempt.udp = true;
            } else if no_picture && attempt.timeout < settings.open_timeout {
                attempt.timeout = settings.open_timeout;
            } else if no_picture && matches!(input, Input::File(_)) {
                return Err(CaptureError::Damaged {
                    input: shared.label.clone(),
                    detail: format!("no picture within {:?}", settings.open_timeout),
                });
            } else {
                return Err(error);
            }
        };
        let Some(mut video) = running.video.clone() else {
            return Err(CaptureError::NoVideo { input: input.label() });
        };
        if let Some(fit) = fit {
            video.size = fit.size;
        }
        Ok(Self {
            running,
            video,
            live: input.is_live(),
            stall_timeout: settings.stall_timeout,
            zero: (!input.is_live()).then_some(0),
            displaced_before: 0,
            last_frame: Instant::now(),
            reached: Pts::ZERO,
            announced: None,
            over: false,
        })
    }

    /// What all frames have in common.
    #[must_use]
    pub fn video(&self) -> &VideoFormat {
        &self.video
    }

    /// What all sound has in common; none without sound.
    #[must_use]
    pub fn audio(&self) -> Option<AudioFormat> {
        self.running.audio
    }

    /// The next frame or piece of sound, in the order of their times as far as the file is
    /// interleaved; none when nothing came within `timeout`. After [`Event::End`] or
    /// [`Event::Lost`] there is only [`Event::End`].
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Event>, CaptureError> {
        if self.over {
            return Ok(Some(Event::End));
        }
        loop {
            let shared = &self.running.shared;
            let taken = shared.meeting.take(timeout);
            if !matches!(taken, Taken::Video(_) | Taken::End)
                && self.live
                // Whoever takes may have been slow: the camera is not to blame for that.
                && shared.meeting.waiting() == 0
                && self.last_frame.elapsed() >= self.stall_timeout
            {
                self.over = true;
                return Ok(Some(Event::Lost(CaptureError::Stalled {
                    input: shared.label.clone(),
                    silence: self.stall_timeout,
                })));
            }
            match taken {
                Taken::Video(mut frame) => {
                    self.last_frame = Instant::now();
                    let at = i128::from(frame.pts.nanos());
                    let zero = *self.zero.get_or_insert_with(|| {
                        self.displaced_before = shared.meeting.displaced();
                        at
                    });
                    frame.pts = Pts::from_nanos(u64::try_from((at - zero).max(0)).unwrap_or(0));
                    self.reached = self.reached.max(frame.pts);
                    return Ok(Some(Event::Video(frame)));
                }
                Taken::Audio(audio) => {
                    // Sound before a camera's first frame belongs to no recording.
                    if let Some(chunk) = self.zero.and_then(|zero| audio.after(zero)) {
                        self.reached = self.reached.max(chunk.pts);
                        return Ok(Some(Event::Audio(chunk)));
                    }
                }
                Taken::End => {
                    self.over = true;
                    return Ok(Some(self.ending()));
                }
                Taken::Nothing => return Ok(None),
            }
        }
    }

    /// Why there is no more.
    fn ending(&mut self) -> Event {
        let duration = self.duration();
        let shared = &self.running.shared;
        if let Some(error) = shared.take_failure() {
            return Event::Lost(error);
        }
        if shared.connection_closed() {
            return Event::Lost(CaptureError::Lost {
                input: shared.label.clone(),
                detail: "the camera closed the connection".to_owned(),
            });
        }
        // Demuxers end quietly where a file is cut or broken.
        if let Some(duration) = duration
            && duration
                > Duration::from_nanos(self.reached.nanos()) + MISSING_END.max(duration / 20)
        {
            if shared.reads_all_streams() {
                let detail = format!("it ends at {} of {duration:.1?}", self.reached);
                return Event::Lost(CaptureError::Damaged { input: shared.label.clone(), detail });
            }
            // The streams that were not read may be the longer ones.
            self.announced = Some(duration);
        }
        Event::End
    }

    /// The length that a file announced, where its pictures ended well before it and nothing says
    /// whether the file is cut or another of its streams is longer.
    #[must_use]
    pub fn announced(&self) -> Option<Duration> {
        self.announced
    }

    /// Frames of a live input that gave way to newer ones since the first was taken.
    #[must_use]
    pub fn displaced(&self) -> u64 {
        match self.zero {
            Some(_) => self.running.shared.meeting.displaced() - self.displaced_before,
            None => 0,
        }
    }

    /// Frames that were captured and wait to be taken.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.running.shared.meeting.waiting()
    }

    /// How long a file says it is.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        if self.live {
            return None;
        }
        let duration = self.running.pipeline.query_duration::<gst::ClockTime>()?;
        Some(Duration::from_nanos(duration.nseconds()))
    }

    /// Stops the input and frees its threads, which dropping it does as well.
    pub fn stop(self) {
        drop(self);
    }
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture")
            .field("input", &self.running.shared.label)
            .field("video", &self.video)
            .field("audio", &self.running.audio)
            .finish_non_exhaustive()
    }
}
