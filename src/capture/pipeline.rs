//! The pipelines: texts from `pipelines/`, built, set up for one input and watched.
//!
//! Everything here but [`open`] runs on the media framework's own threads. Does not belong here:
//! waiting, looking at pixels.

use std::{
    sync::{Arc, PoisonError},
    thread,
    time::Duration,
};

use gstreamer as gst;
use gstreamer::{glib, prelude::*};

use super::{
    CaptureError, Settings, Synthetic, complaints,
    damage::Packet,
    input::{Credentials, Input},
    media::{AudioFormat, VideoFormat},
    shared::{Chosen, Shared},
    streams::{choose_file_streams, choose_rtsp_streams, link_decoded},
};

const FILE: &str = include_str!("../../pipelines/file.launch");
const RTSP: &str = include_str!("../../pipelines/rtsp.launch");
const USB: &str = include_str!("../../pipelines/usb.launch");
const SYNTHETIC: &str = include_str!("../../pipelines/synthetic.launch");

/// How an input is opened; another one follows when the first way fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// How long to wait for the first picture.
    pub(super) timeout: Duration,
    /// RTP over UDP instead of TCP.
    pub(super) udp: bool,
    /// Decoders in software only.
    pub(super) software: bool,
}

/// Builds and starts the pipeline of an input and waits until its formats are known.
pub(super) fn open(
    shared: Arc<Shared>,
    settings: &Settings,
    attempt: Attempt,
) -> Result<Running, (CaptureError, Arc<Shared>)> {
    let opened = start(&shared, settings, attempt).and_then(|pipeline| {
        // Built first, so that every way out of here stops the pipeline.
        let mut running =
            Running { pipeline, shared: Arc::clone(&shared), video: None, audio: None };
        running.pipeline.set_state(gst::State::Playing).map_err(|_| {
            running.shared.take_failure().unwrap_or_else(|| CaptureError::Pipeline {
                detail: "it does not start".to_owned(),
            })
        })?;
        let (video, audio) = shared.formats(attempt.timeout)?;
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

/// How long stopping may take before it is left to itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

impl Drop for Running {
    /// A recording ends even where its pipeline does not.
    fn drop(&mut self) {
        self.shared.meeting.close();
        stop(&self.pipeline, &self.shared.label);
    }
}

/// Stops a pipeline on a thread of its own and waits a while for it: rtspsrc 1.22 can block for ever when it
/// is stopped at the moment in which its camera goes away.
pub(super) fn stop(pipeline: &gst::Pipeline, label: &str) {
    let (pipeline, input) = (pipeline.clone(), label.to_owned());
    // Capacity 1: one word is said, once, and the thread that says it never waits.
    let (done, stopped) = crossbeam_channel::bounded(1);
    let stop = move || {
        if pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!(input, "pipeline did not stop cleanly");
        }
        if let Some(bus) = pipeline.bus() {
            bus.unset_sync_handler();
        }
        let _ = done.try_send(());
    };
    let spawned = thread::Builder::new().name("capture-stop".to_owned()).spawn(stop);
    if spawned.is_err() || stopped.recv_timeout(STOP_TIMEOUT).is_err() {
        tracing::warn!(input = label, "pipeline does not stop, left behind");
    }
}

fn start(
    shared: &Arc<Shared>,
    settings: &Settings,
    attempt: Attempt,
) -> Result<gst::Pipeline, CaptureError> {
    let text = match &shared.input {
        Input::File(_) => FILE,
        Input::Rtsp { .. } => RTSP,
        Input::V4l2(_) => USB,
        Input::Synthetic(_) => SYNTHETIC,
    };
    let pipeline = built(text)?;
    watch_bus(&pipeline, shared);
    watch_decoders(&pipeline, shared, settings.decode_threads.unwrap_or(1));
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

/// The pipeline that a launch text describes.
pub(super) fn built(text: &str) -> Result<gst::Pipeline, CaptureError> {
    let parsed =
        gst::parse::launch(&without_comments(text)).map_err(|error| parse_error(&error))?;
    parsed.downcast::<gst::Pipeline>().or_else(|alone| {
        // A text of one element is that element.
        let pipeline = gst::Pipeline::new();
        let added = pipeline.add(&alone);
        added.map_err(|error| CaptureError::Pipeline { detail: error.to_string() })?;
        Ok(pipeline)
    })
}

/// The launch syntax has no comments; ours are lines that start with `#`.
pub(super) fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

pub(super) fn parse_error(error: &glib::Error) -> CaptureError {
    let detail = error.message().to_owned();
    if error.matches(gst::ParseError::NoSuchElement) {
        CaptureError::MissingElement { detail }
    } else {
        CaptureError::Pipeline { detail }
    }
}

pub(super) fn named(bin: &impl IsA<gst::Bin>, name: &str) -> Result<gst::Element, CaptureError> {
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
fn watch_decoders(pipeline: &gst::Pipeline, shared: &Arc<Shared>, threads: u32) {
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
        if let Ok(threads) = i32::try_from(threads)
            && factory.name().starts_with("avdec_")
            && element.has_property_with_type("max-threads", i32::static_type())
        {
            element.set_property("max-threads", threads);
        }
        let Some(sink) = element.static_pad("sink") else { return };
        if klass.contains("Audio") {
            sink.add_probe(gst::PadProbeType::BUFFER, |_, _| {
                complaints::decode_sound_here();
                gst::PadProbeReturn::Ok
            });
        } else {
            let shared = Arc::clone(&shared);
            let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
            sink.add_probe(kinds, move |_, probe| {
                watch_packet(probe, &shared);
                gst::PadProbeReturn::Ok
            });
        }
    });
}

fn watch_packet(probe: &gst::PadProbeInfo<'_>, shared: &Shared) {
    shared.complaints.decode_pictures_here();
    let mut damage = shared.damage.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(buffer) = probe.buffer() {
        let flags = buffer.flags();
        damage.packet(Packet {
            pts: buffer.pts().map(gst::ClockTime::nseconds),
            gap: flags.contains(gst::BufferFlags::DISCONT),
            corrupt: flags.contains(gst::BufferFlags::CORRUPTED),
            key: !flags.contains(gst::BufferFlags::DELTA_UNIT),
        });
    } else if let Some(gst::EventView::Segment(event)) = probe.event().map(|event| event.view())
        && let Some(segment) = event.segment().downcast_ref::<gst::ClockTime>()
        && segment.base().is_none_or(gst::ClockTime::is_zero)
    {
        // matroskademux does so when the first sound lies before the first picture. After a real
        // jump of the clock the base is the time that has run already.
        damage.restart();
    }
}

pub(super) fn remove(pipeline: &gst::Pipeline, element: &gst::Element) -> Result<(), CaptureError> {
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
    shared.learn(|facts| facts.audio_chosen = Some(Chosen::Only));
    link_decoded(pipeline, &named(pipeline, "decode-audio")?, shared);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::describe::DESCRIBE, *};

    /// Every text parses, and has the elements that the code asks for by name.
    #[test]
    fn the_launch_texts_hold_what_the_code_touches() {
        gst::init().expect("GStreamer");
        let sources: [(&str, &[&str]); 5] = [
            (FILE, &["source", "decode"]),
            (RTSP, &["source", "decode", "decode-audio"]),
            (DESCRIBE, &["source"]),
            (USB, &["source", "mode", "decode"]),
            (SYNTHETIC, &["source", "mode", "decode", "tone", "tone-mode", "decode-audio"]),
        ];
        for (text, names) in sources {
            assert!(text.starts_with('#'), "a comment on top: {text}");
            let pipeline = built(text).expect(text);
            for name in names {
                named(&pipeline, name).expect(text);
            }
        }
    }
}
