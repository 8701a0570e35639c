//! From a decoder to the queues: the texts for pictures and sound, and the callbacks at their ends,
//! which wrap, stamp, offer and return.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::{
    CaptureError,
    media::{AudioFormat, CapturedFrame, StreamAudio, VideoFormat},
    meeting::Closed,
    pipeline::{named, parse_error, without_comments},
    shared::Shared,
    timeline::Timeline,
};

const VIDEO: &str = include_str!("../../pipelines/video.launch");
const AUDIO: &str = include_str!("../../pipelines/audio.launch");

/// Adds a branch to the pipeline and gives its sink pad, its pin and its appsink.
pub(super) fn add_branch(
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

pub(super) fn link_video(
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

pub(super) fn link_audio(
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

    #[test]
    fn the_launch_texts_hold_what_the_code_touches() {
        gst::init().expect("GStreamer");
        for (text, sink) in [(VIDEO, "video"), (AUDIO, "audio")] {
            assert!(text.starts_with('#'), "a comment on top: {text}");
            let (branch, ..) = add_branch(&gst::Pipeline::new(), text, sink).expect(text);
            assert!(branch.static_pad("sink").is_some(), "{text}");
        }
    }
}
