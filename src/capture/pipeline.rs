//! The pipelines: texts from `pipelines/`, the choice of streams, and callbacks that wrap, stamp,
//! offer and return.
//!
//! Runs on the media framework's own threads. Does not belong here: waiting for anything but room
//! in the queue of a file, looking at pixels.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::{
    CaptureError, Settings, Synthetic,
    damage::{Damage, Packet},
    input::{Credentials, Input},
    media::{AudioFormat, CapturedFrame, StreamAudio, VideoFormat},
    meeting::{Closed, Meeting, WhenFull},
    timeline::Timeline,
};

const FILE: &str = include_str!("../../pipelines/file.launch");
const RTSP: &str = include_str!("../../pipelines/rtsp.launch");
const USB: &str = include_str!("../../pipelines/usb.launch");
const SYNTHETIC: &str = include_str!("../../pipelines/synthetic.launch");
const VIDEO: &str = include_str!("../../pipelines/video.launch");
const AUDIO: &str = include_str!("../../pipelines/audio.launch");

/// Pictures that may wait. They are the decoder's own buffers, so few; enough that the decoder's
/// thread and the recorder's seldom wait for each other. Files wait when full, live inputs drop the
/// oldest.
const VIDEO_CAPACITY: usize = 4;

/// Pieces of sound that may wait, about 1.4 s of AAC: what a file may hold between two pictures that
/// are taken. Files wait when full, live inputs drop the oldest.
const AUDIO_CAPACITY: usize = 64;

/// How the same input may be opened once more when the first way fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempt {
    /// RTP over UDP instead of TCP.
    pub(super) udp: bool,
    /// Decoders in software only.
    pub(super) software: bool,
}

/// What the callbacks have found out.
#[derive(Debug, Default)]
struct Facts {
    video: Option<VideoFormat>,
    audio: Option<AudioFormat>,
    /// Whether there is sound to wait for; none while that is not known.
    expects_audio: Option<bool>,
    video_chosen: Option<String>,
    audio_chosen: Option<String>,
    video_linked: bool,
    audio_linked: bool,
    /// A codec of a chosen stream that nothing here can decode.
    undecodable: Option<String>,
    playlist: Option<String>,
    hardware: bool,
    connection_closed: bool,
    failure: Option<CaptureError>,
}

/// What the callbacks and the recorder share.
pub(super) struct Shared {
    pub(super) meeting: Meeting<CapturedFrame, StreamAudio>,
    pub(super) label: String,
    input: Input,
    facts: Mutex<Facts>,
    learned: Condvar,
    damage: Mutex<Damage>,
}

impl Shared {
    fn new(input: &Input) -> Self {
        let when_full = if input.is_live() { WhenFull::DropOldest } else { WhenFull::Wait };
        Self {
            meeting: Meeting::new(when_full, VIDEO_CAPACITY, AUDIO_CAPACITY),
            label: input.label(),
            input: input.clone(),
            facts: Mutex::default(),
            learned: Condvar::new(),
            damage: Mutex::default(),
        }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known and wakes whoever waits for it.
    fn learn(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts());
        self.learned.notify_all();
    }

    /// Ends both streams with a reason; the first reason counts.
    fn fail(&self, error: CaptureError) {
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

    /// Whether a decoder in hardware took part.
    pub(super) fn saw_hardware(&self) -> bool {
        self.facts().hardware
    }

    /// Waits until picture and sound are known, or until it is clear that they will not be.
    fn formats(
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
            if left.is_zero() {
                let input = self.label.clone();
                return Err(if facts.video.is_some() {
                    CaptureError::NoSound { input }
                } else {
                    CaptureError::NoPicture { input, within: timeout }
                });
            }
            (facts, _) =
                self.learned.wait_timeout(facts, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What a stream that nobody could link means.
    fn no_video(&self) -> CaptureError {
        let (facts, input) = (self.facts(), self.label.clone());
        match (&facts.undecodable, &facts.playlist) {
            (Some(codec), _) => CaptureError::MissingDecoder { input, codec: codec.clone() },
            (None, Some(what)) => CaptureError::Playlist { input, what: what.clone() },
            (None, None) => CaptureError::NoVideo { input },
        }
    }

    /// A message of the framework as an error of this room.
    fn classify(&self, error: &glib::Error, debug: &str) -> CaptureError {
        use gst::{CoreError, ResourceError, StreamError};
        let input = self.label.clone();
        let detail = error.message().trim_end_matches('.').to_owned();
        if error.matches(StreamError::CodecNotFound) {
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
                if error.matches(ResourceError::NotAuthorized) {
                    CaptureError::Unauthorized { host }
                } else if error.matches(ResourceError::NotFound) {
                    CaptureError::NoSuchStream { host }
                } else if debug.contains("TLS") || debug.contains("certificate") {
                    CaptureError::Certificate { host }
                } else if error.matches(ResourceError::Settings) {
                    if self.facts().video_chosen.is_some() {
                        CaptureError::Transport { host }
                    } else {
                        CaptureError::NoVideo { input }
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

/// Builds and starts the pipeline of `input` and waits until its formats are known.
pub(super) fn open(
    input: &Input,
    settings: &Settings,
    attempt: Attempt,
) -> Result<Running, (CaptureError, Arc<Shared>)> {
    let shared = Arc::new(Shared::new(input));
    let opened = start(&shared, settings, attempt).and_then(|pipeline| {
        // Built first, so that every way out of here stops the pipeline.
        let mut running =
            Running { pipeline, shared: Arc::clone(&shared), video: None, audio: None };
        running.pipeline.set_state(gst::State::Playing).map_err(|_| {
            running.shared.take_failure().unwrap_or_else(|| CaptureError::Pipeline {
                detail: "it does not start".to_owned(),
            })
        })?;
        let (video, audio) = shared.formats(settings.open_timeout)?;
        running.video = Some(video);
        running.audio = audio;
        Ok(running)
    });
    opened.map_err(|error| (error, shared))
}

/// A pipeline that runs; it stops when dropped.
pub(super) struct Running {
    pub(super) pipeline: gst::Pipeline,
    pub(super) shared: Arc<Shared>,
    pub(super) video: Option<VideoFormat>,
    pub(super) audio: Option<AudioFormat>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.meeting.close();
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!(input = self.shared.label, "pipeline did not stop cleanly");
        }
        if let Some(bus) = self.pipeline.bus() {
            bus.unset_sync_handler();
        }
    }
}

fn start(
    shared: &Arc<Shared>,
    settings: &Settings,
    attempt: Attempt,
) -> Result<gst::Pipeline, CaptureError> {
    gst::init().map_err(|error| CaptureError::MissingElement { detail: error.to_string() })?;
    let text = match &shared.input {
        Input::File(_) => FILE,
        Input::Rtsp { .. } => RTSP,
        Input::V4l2(_) => USB,
        Input::Synthetic(_) => SYNTHETIC,
    };
    let pipeline = gst::parse::launch(&without_comments(text))
        .map_err(|error| parse_error(&error))?
        .downcast::<gst::Pipeline>()
        .map_err(|_| CaptureError::Pipeline { detail: "it is no pipeline".to_owned() })?;
    watch_bus(&pipeline, shared);
    watch_decoders(&pipeline, shared, settings.decode_threads);
    for name in ["decode", "decode-audio"] {
        if let Some(decode) = pipeline.by_name(name) {
            decode.set_property("force-sw-decoders", attempt.software);
        }
    }
    let source = named(&pipeline, "source")?;
    match &shared.input {
        Input::File(path) => {
            source.set_property("location", path);
            choose_file_streams(&pipeline, shared, settings.audio)?;
        }
        Input::Rtsp { url, credentials } => {
            source.set_property("location", url.as_str());
            if let Some(path) = credentials {
                let credentials = Credentials::read(path)?;
                source.set_property("user-id", credentials.user.as_str());
                source.set_property("user-pw", credentials.password.as_str());
            }
            if attempt.udp {
                source.set_property_from_str("protocols", "udp");
            }
            choose_rtsp_streams(&pipeline, &source, shared, settings.audio)?;
        }
        Input::V4l2(path) => {
            source.set_property("device", path);
            shared.learn(|facts| facts.expects_audio = Some(false));
            link_decoded(&pipeline, &named(&pipeline, "decode")?, shared);
        }
        Input::Synthetic(synthetic) => {
            set_up_synthetic(&pipeline, &source, shared, settings.audio, *synthetic)?;
        }
    }
    Ok(pipeline)
}

/// The launch syntax has no comments; ours are lines that start with `#`.
fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

fn parse_error(error: &glib::Error) -> CaptureError {
    let detail = error.message().to_owned();
    if error.matches(gst::ParseError::NoSuchElement) {
        CaptureError::MissingElement { detail }
    } else {
        CaptureError::Pipeline { detail }
    }
}

fn named(bin: &impl IsA<gst::Bin>, name: &str) -> Result<gst::Element, CaptureError> {
    bin.by_name(name)
        .ok_or_else(|| CaptureError::Pipeline { detail: format!("it has no element `{name}`") })
}

/// Turns messages into facts. Nothing reads the bus itself, so everything is dropped there.
fn watch_bus(pipeline: &gst::Pipeline, shared: &Arc<Shared>) {
    let Some(bus) = pipeline.bus() else { return };
    let shared = Arc::clone(shared);
    bus.set_sync_handler(move |_, message| {
        match message.view() {
            gst::MessageView::Error(message) => {
                let (error, debug) = (message.error(), message.debug().unwrap_or_default());
                tracing::debug!(input = shared.label, error = error.message(), "pipeline error");
                let error = shared.classify(&error, &debug);
                shared.fail(error);
            }
            gst::MessageView::Warning(message) => {
                let error = message.error();
                tracing::warn!(input = shared.label, warning = error.message(), "pipeline warning");
                // rtspsrc says so before it ends its streams as if the camera had finished.
                if matches!(shared.input, Input::Rtsp { .. })
                    && (error.matches(gst::ResourceError::Read)
                        || error.matches(gst::ResourceError::OpenRead))
                {
                    shared.learn(|facts| facts.connection_closed = true);
                }
            }
            _ => {}
        }
        gst::BusSyncReply::Drop
    });
}

/// Sets up decoders as they are plugged, and watches what goes into them.
fn watch_decoders(pipeline: &gst::Pipeline, shared: &Arc<Shared>, threads: Option<u32>) {
    let shared = Arc::clone(shared);
    pipeline.connect_deep_element_added(move |_, _, element| {
        let Some(factory) = element.factory() else { return };
        let klass = factory.klass();
        if !klass.contains("Decoder/") {
            return;
        }
        tracing::info!(input = shared.label, decoder = factory.name().as_str(), "decoder chosen");
        if klass.contains("Hardware") {
            shared.learn(|facts| facts.hardware = true);
        }
        if let Some(threads) = threads.and_then(|threads| i32::try_from(threads).ok())
            && factory.name().starts_with("avdec_")
            && element.has_property_with_type("max-threads", i32::static_type())
        {
            element.set_property("max-threads", threads);
        }
        if klass.contains("Video")
            && let Some(sink) = element.static_pad("sink")
        {
            let shared = Arc::clone(&shared);
            sink.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
                if let Some(buffer) = probe.buffer() {
                    let flags = buffer.flags();
                    let packet = Packet {
                        pts: buffer.pts().map(gst::ClockTime::nseconds),
                        gap: flags.contains(gst::BufferFlags::DISCONT),
                        corrupt: flags.contains(gst::BufferFlags::CORRUPTED),
                        key: !flags.contains(gst::BufferFlags::DELTA_UNIT),
                    };
                    shared.damage.lock().unwrap_or_else(PoisonError::into_inner).packet(packet);
                }
                gst::PadProbeReturn::Ok
            });
        }
    });
}

/// Whether a decoder may go on with data of these caps: containers, the first video stream, and the
/// first audio stream where sound is kept.
fn may_decode(shared: &Shared, keep_audio: bool, pad: &gst::Pad, caps: &gst::Caps) -> bool {
    let Some(structure) = caps.structure(0) else { return false };
    let name = structure.name().as_str();
    let demuxers = gst::ElementFactory::factories_with_type(
        gst::ElementFactoryType::DEMUXER,
        gst::Rank::MARGINAL,
    );
    let mut takers = demuxers.iter().filter(|factory| factory.can_sink_any_caps(caps)).peekable();
    if takers.peek().is_some() {
        // Playlists and session descriptions would be followed over the network.
        let local = takers
            .all(|factory| !["Adaptive", "Network"].iter().any(|k| factory.klass().contains(k)));
        if !local {
            shared.learn(|facts| facts.playlist = Some(name.to_owned()));
        }
        return local;
    }
    // A stream keeps its id through parser and decoder.
    let id = pad.stream_id().map(|id| id.to_string()).unwrap_or_default();
    let mut facts = shared.facts();
    if name.starts_with("video/") || name.starts_with("image/") {
        *facts.video_chosen.get_or_insert_with(|| id.clone()) == id
    } else if name.starts_with("audio/") && keep_audio {
        *facts.audio_chosen.get_or_insert_with(|| id.clone()) == id
    } else {
        if name == "text/uri-list" || name.starts_with("application/") {
            facts.playlist.get_or_insert(name.to_owned());
        }
        false
    }
}

fn choose_file_streams(
    pipeline: &gst::Pipeline,
    shared: &Arc<Shared>,
    keep_audio: bool,
) -> Result<(), CaptureError> {
    let decode = named(pipeline, "decode")?;
    let chooser = Arc::clone(shared);
    decode.connect("autoplug-continue", false, move |values| {
        let pad = values.get(1).and_then(|value| value.get::<gst::Pad>().ok());
        let caps = values.get(2).and_then(|value| value.get::<gst::Caps>().ok());
        let goes_on =
            pad.zip(caps).is_some_and(|(pad, caps)| may_decode(&chooser, keep_audio, &pad, &caps));
        Some(goes_on.to_value())
    });
    link_decoded(pipeline, &decode, shared);
    let known = Arc::clone(shared);
    decode.connect_no_more_pads(move |_| {
        let (video, audio, undecodable) = {
            let facts = known.facts();
            let undecodable = facts.audio_chosen.is_some().then(|| facts.undecodable.clone());
            (facts.video_linked, facts.audio_linked, undecodable.flatten())
        };
        if !video {
            known.fail(known.no_video());
        } else if let Some(codec) = undecodable.filter(|_| !audio) {
            // Sound was asked for and is there: silence instead of it would be a surprise.
            known.fail(CaptureError::MissingDecoder { input: known.label.clone(), codec });
        }
        known.learn(|facts| facts.expects_audio = Some(audio));
    });
    Ok(())
}

fn choose_rtsp_streams(
    pipeline: &gst::Pipeline,
    source: &gst::Element,
    shared: &Arc<Shared>,
    keep_audio: bool,
) -> Result<(), CaptureError> {
    let chooser = Arc::clone(shared);
    source.connect("select-stream", false, move |values| {
        let caps = values.get(2).and_then(|value| value.get::<gst::Caps>().ok());
        let media = caps.as_ref().and_then(|caps| media_of(caps));
        let mut facts = chooser.facts();
        let first = |chosen: &mut Option<String>| {
            let first = chosen.is_none();
            chosen.get_or_insert_with(|| "chosen".to_owned());
            first
        };
        let take = match media.as_deref() {
            Some("video") => first(&mut facts.video_chosen),
            Some("audio") if keep_audio => first(&mut facts.audio_chosen),
            _ => false,
        };
        Some(take.to_value())
    });
    let decode_video = named(pipeline, "decode")?;
    let decode_audio = named(pipeline, "decode-audio")?;
    link_decoded(pipeline, &decode_video, shared);
    if keep_audio {
        link_decoded(pipeline, &decode_audio, shared);
    } else {
        remove(pipeline, &decode_audio)?;
    }
    let linker = Arc::clone(shared);
    let (video, audio) = (decode_video.downgrade(), decode_audio.downgrade());
    source.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let decode = match media_of(&caps).as_deref() {
            Some("video") => video.upgrade(),
            Some("audio") if keep_audio => audio.upgrade(),
            _ => None,
        };
        let Some(sink) = decode.and_then(|decode| decode.static_pad("sink")) else { return };
        if !sink.is_linked() && pad.link(&sink).is_err() {
            linker.fail(CaptureError::Pipeline { detail: "the camera does not link".to_owned() });
        }
    });
    let known = Arc::clone(shared);
    source.connect_no_more_pads(move |_| {
        if known.facts().video_chosen.is_none() {
            known.fail(CaptureError::NoVideo { input: known.label.clone() });
        }
        known.learn(|facts| facts.expects_audio = Some(facts.audio_chosen.is_some()));
    });
    Ok(())
}

fn media_of(caps: &gst::Caps) -> Option<String> {
    caps.structure(0)?.get::<String>("media").ok()
}

fn remove(pipeline: &gst::Pipeline, element: &gst::Element) -> Result<(), CaptureError> {
    pipeline.remove(element).map_err(|error| CaptureError::Pipeline { detail: error.to_string() })
}

fn set_up_synthetic(
    pipeline: &gst::Pipeline,
    source: &gst::Element,
    shared: &Arc<Shared>,
    keep_audio: bool,
    synthetic: Synthetic,
) -> Result<(), CaptureError> {
    let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let (rate, per) = (synthetic.framerate.0.max(1), synthetic.framerate.1.max(1));
    let mode = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", int(synthetic.size.width))
        .field("height", int(synthetic.size.height))
        .field("framerate", gst::Fraction::new(int(rate), int(per)))
        .build();
    named(pipeline, "mode")?.set_property("caps", mode);
    source.set_property("num-buffers", int(synthetic.frames));
    source.set_property("is-live", synthetic.live);
    link_decoded(pipeline, &named(pipeline, "decode")?, shared);
    let channels = synthetic.audio_channels.filter(|_| keep_audio);
    shared.learn(|facts| facts.expects_audio = Some(channels.is_some()));
    let Some(channels) = channels else {
        for name in ["tone", "tone-mode", "decode-audio"] {
            remove(pipeline, &named(pipeline, name)?)?;
        }
        return Ok(());
    };
    let tone = named(pipeline, "tone")?;
    // As long as the pictures, rounded up to whole pieces of 1024 samples.
    let samples = u64::from(synthetic.frames) * u64::from(per) * u64::from(AudioFormat::RATE)
        / u64::from(rate);
    tone.set_property("num-buffers", i32::try_from(samples.div_ceil(1024)).unwrap_or(i32::MAX));
    tone.set_property("is-live", synthetic.live);
    let mode = gst::Caps::builder("audio/x-raw")
        .field("rate", int(AudioFormat::RATE))
        .field("channels", i32::from(channels))
        .build();
    named(pipeline, "tone-mode")?.set_property("caps", mode);
    link_decoded(pipeline, &named(pipeline, "decode-audio")?, shared);
    Ok(())
}

/// Hangs a branch onto the first picture and the first sound that a decoder gives.
fn link_decoded(pipeline: &gst::Pipeline, decode: &gst::Element, shared: &Arc<Shared>) {
    let (pipeline, linker) = (pipeline.downgrade(), Arc::clone(shared));
    decode.connect_pad_added(move |_, pad| {
        let Some(pipeline) = pipeline.upgrade() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let Some(structure) = caps.structure(0) else { return };
        let linked = match structure.name().as_str() {
            "video/x-raw" if !linker.facts().video_linked => link_video(&pipeline, pad, &linker),
            "audio/x-raw" if !linker.facts().audio_linked => {
                // Surround sound becomes stereo; a pad without a number counts as such.
                let channels = structure.get::<i32>("channels").map_or(2, |n| n.clamp(1, 2));
                link_audio(&pipeline, pad, &linker, u8::try_from(channels).unwrap_or(2))
            }
            _ => Ok(()),
        };
        if let Err(error) = linked {
            linker.fail(error);
        }
    });
    let refuser = Arc::clone(shared);
    decode.connect("unknown-type", false, move |values| {
        let caps = values.get(2).and_then(|value| value.get::<gst::Caps>().ok());
        let codec = caps.as_ref().and_then(|caps| caps.structure(0)).map(|s| s.name().to_string());
        refuser.learn(|facts| {
            if let Some(codec) = codec {
                facts.undecodable.get_or_insert(codec);
            }
        });
        None
    });
}

/// Adds a branch to the pipeline and gives its sink pad, its pin and its appsink.
fn add_branch(
    pipeline: &gst::Pipeline,
    text: &str,
    sink_name: &str,
) -> Result<(gst::Bin, gst::Element, gst_app::AppSink), CaptureError> {
    let branch = gst::parse::bin_from_description(&without_comments(text), true)
        .map_err(|error| parse_error(&error))?;
    let pin = named(&branch, "pin")?;
    let sink = named(&branch, sink_name)?.downcast::<gst_app::AppSink>().map_err(|_| {
        CaptureError::Pipeline { detail: format!("element `{sink_name}` is no appsink") }
    })?;
    pipeline.add(&branch).map_err(|error| CaptureError::Pipeline { detail: error.to_string() })?;
    Ok((branch, pin, sink))
}

fn link_branch(branch: &gst::Bin, pad: &gst::Pad) -> Result<(), CaptureError> {
    let failed = |detail: String| CaptureError::Pipeline { detail };
    branch.sync_state_with_parent().map_err(|error| failed(error.to_string()))?;
    let sink =
        branch.static_pad("sink").ok_or_else(|| failed("a branch has no sink pad".to_owned()))?;
    pad.link(&sink).map_err(|error| failed(format!("a decoder does not link: {error}")))?;
    Ok(())
}

fn link_video(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    shared: &Arc<Shared>,
) -> Result<(), CaptureError> {
    shared.learn(|facts| facts.video_linked = true);
    let (branch, pin, sink) = add_branch(pipeline, VIDEO, "video")?;
    if let Some(pad) = sink.static_pad("sink") {
        // Without this promise a decoder copies every picture out of its padded memory.
        pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, probe| {
            if let Some(gst::QueryViewMut::Allocation(query)) =
                probe.query_mut().map(gst::QueryRef::view_mut)
            {
                query.add_allocation_meta::<gst_video::VideoMeta>(None);
                return gst::PadProbeReturn::Handled;
            }
            gst::PadProbeReturn::Ok
        });
    }
    let (offer, end) = (Arc::clone(shared), Arc::clone(shared));
    let (mut timeline, pin) = (Timeline::default(), pin.downgrade());
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                match wrap_video(&sample, &mut timeline, &offer) {
                    Ok((frame, format)) => {
                        if offer.facts().video.is_none() {
                            if let Some(pin) = pin.upgrade() {
                                pin.set_property("caps", pinned(&format));
                            }
                            offer.learn(|facts| facts.video = Some(format));
                        }
                        match offer.meeting.offer_video(frame) {
                            Ok(()) => Ok(gst::FlowSuccess::Ok),
                            Err(Closed) => Err(gst::FlowError::Flushing),
                        }
                    }
                    Err(error) => {
                        offer.fail(error);
                        Err(gst::FlowError::Error)
                    }
                }
            })
            .eos(move |_| end.meeting.end_video())
            .build(),
    );
    link_branch(&branch, pad)
}

/// The caps that every later picture is brought to.
fn pinned(format: &VideoFormat) -> gst::Caps {
    let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let (numer, denom) = format.pixel_aspect;
    gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", int(format.size.width))
        .field("height", int(format.size.height))
        .field("pixel-aspect-ratio", gst::Fraction::new(int(numer), int(denom)))
        .build()
}

fn wrap_video(
    sample: &gst::Sample,
    timeline: &mut Timeline,
    shared: &Shared,
) -> Result<(CapturedFrame, VideoFormat), CaptureError> {
    let unreadable = || CaptureError::Damaged {
        input: shared.label.clone(),
        detail: "a decoded picture cannot be read".to_owned(),
    };
    let caps = sample.caps().ok_or_else(unreadable)?;
    let info = gst_video::VideoInfo::from_caps(caps).map_err(|_| unreadable())?;
    let buffer = sample.buffer_owned().ok_or_else(unreadable)?;
    let format = VideoFormat::of(&info, caps);
    let interval = match (buffer.duration(), format.framerate) {
        (_, Some((rate, per))) => {
            Some(Duration::from_nanos(u64::from(per) * 1_000_000_000 / u64::from(rate)))
        }
        (Some(duration), None) if !duration.is_zero() => {
            Some(Duration::from_nanos(duration.nseconds()))
        }
        _ => None,
    };
    let pts = timeline.stamp(running_time(sample, &buffer), interval).map_err(|jump| {
        CaptureError::TimeWentBack { input: shared.label.clone(), after: jump.after, by: jump.by }
    })?;
    let damaged = buffer.flags().contains(gst::BufferFlags::CORRUPTED)
        || shared
            .damage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .covers(buffer.pts().map(gst::ClockTime::nseconds));
    let frame = CapturedFrame::map(buffer, &info, pts, damaged).ok_or_else(unreadable)?;
    Ok((frame, format))
}

/// Nanoseconds since the pipeline's start, negative before it; none where the stream does not say.
fn running_time(sample: &gst::Sample, buffer: &gst::BufferRef) -> Option<i128> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    Some(match segment.to_running_time_full(buffer.pts()?)? {
        gst::Signed::Positive(time) => i128::from(time.nseconds()),
        gst::Signed::Negative(time) => -i128::from(time.nseconds()),
    })
}

fn link_audio(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    shared: &Arc<Shared>,
    channels: u8,
) -> Result<(), CaptureError> {
    shared.learn(|facts| facts.audio_linked = true);
    let (branch, pin, sink) = add_branch(pipeline, AUDIO, "audio")?;
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("rate", i32::try_from(AudioFormat::RATE).unwrap_or(i32::MAX))
        .field("layout", "interleaved")
        .field("channels", i32::from(channels))
        .build();
    pin.set_property("caps", caps);
    shared.meeting.expect_audio();
    let format = AudioFormat { rate: AudioFormat::RATE, channels };
    shared.learn(|facts| facts.audio = Some(format));
    let (offer, end) = (Arc::clone(shared), Arc::clone(shared));
    let mut next = 0;
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let Some(audio) = wrap_audio(&sample, channels, next) else {
                    return Ok(gst::FlowSuccess::Ok);
                };
                next = audio.end();
                match offer.meeting.offer_audio(audio) {
                    Ok(()) => Ok(gst::FlowSuccess::Ok),
                    Err(Closed) => Err(gst::FlowError::Flushing),
                }
            })
            .eos(move |_| end.meeting.end_audio())
            .build(),
    );
    link_branch(&branch, pad)
}

/// Sound without a time follows what came before it.
fn wrap_audio(sample: &gst::Sample, channels: u8, next: i128) -> Option<StreamAudio> {
    let buffer = sample.buffer()?;
    let at = running_time(sample, buffer).unwrap_or(next);
    let map = buffer.map_readable().ok()?;
    let samples = map
        .chunks_exact(4)
        .filter_map(|bytes| bytes.try_into().ok().map(f32::from_le_bytes))
        .collect();
    Some(StreamAudio { at, samples, channels })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text parses, and has the elements that the code asks for by name.
    #[test]
    fn the_launch_texts_hold_what_the_code_touches() {
        gst::init().expect("GStreamer");
        let sources: [(&str, &[&str]); 4] = [
            (FILE, &["source", "decode"]),
            (RTSP, &["source", "decode", "decode-audio"]),
            (USB, &["source", "mode", "decode"]),
            (SYNTHETIC, &["source", "mode", "decode", "tone", "tone-mode", "decode-audio"]),
        ];
        for (text, names) in sources {
            assert!(text.starts_with('#'), "a comment on top: {text}");
            let pipeline = gst::parse::launch(&without_comments(text)).expect(text);
            let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
            for name in names {
                named(&pipeline, name).expect(text);
            }
        }
        for (text, sink) in [(VIDEO, "video"), (AUDIO, "audio")] {
            assert!(text.starts_with('#'), "a comment on top: {text}");
            let (branch, ..) = add_branch(&gst::Pipeline::new(), text, sink).expect(text);
            assert!(branch.static_pad("sink").is_some(), "{text}");
        }
    }
}
