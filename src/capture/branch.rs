//! From a decoder to the queues: the texts for pictures and sound, and the callbacks at their ends,
//! which wrap, stamp, offer and return.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::{
    CaptureError,
    media::{AudioFormat, CapturedFrame, StreamAudio, VideoFormat},
    meeting::{Closed, Meeting},
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
    if let Some(fit) = &shared.fit {
        // Before the first picture, which would pass as it is otherwise.
        pin.set_property("caps", pinned(fit));
    }
    if let Some(pad) = sink.static_pad("sink") {
        // Without this promise, and a word about a pool, a decoder copies every picture out of its
        // padded memory.
        pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, probe| {
            if let Some(gst::QueryViewMut::Allocation(query)) =
                probe.query_mut().map(gst::QueryRef::view_mut)
            {
                let format = query.get().0.map(gst_video::VideoInfo::from_caps);
                if let Some(Ok(bytes)) = format.and_then(Result::ok).map(|f| f.size().try_into()) {
                    query.add_allocation_pool(None::<&gst::BufferPool>, bytes, 0, 0);
                }
                query.add_allocation_meta::<gst_video::VideoMeta>(None);
                return gst::PadProbeReturn::Handled;
            }
            gst::PadProbeReturn::Ok
        });
    }
    wait_at(&sink, shared, Meeting::wait_for_video_room);
    let pictures = Arc::new(Mutex::new(Pictures {
        shared: Arc::clone(shared),
        timeline: Timeline::default(),
        pin: pin.downgrade(),
        first: None,
        started: false,
        complaints: shared.complaints.count(),
    }));
    let at_end = Arc::clone(&pictures);
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                pictures.lock().unwrap_or_else(PoisonError::into_inner).arrive(sample)
            })
            .eos(move |_| at_end.lock().unwrap_or_else(PoisonError::into_inner).end())
            .build(),
    );
    link_branch(&branch, pad)
}

/// The back-pressure of files: a buffer stays before its sink until there is room behind it.
fn wait_at(
    sink: &gst_app::AppSink,
    shared: &Arc<Shared>,
    wait: fn(&Meeting<CapturedFrame, StreamAudio>) -> Result<(), Closed>,
) {
    let Some(pad) = sink.static_pad("sink") else { return };
    let shared = Arc::clone(shared);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        // Closed or not: the sink itself refuses what comes too late.
        let _ = wait(&shared.meeting);
        gst::PadProbeReturn::Ok
    });
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

/// The end of the picture branch.
struct Pictures {
    shared: Arc<Shared>,
    timeline: Timeline,
    pin: glib::WeakRef<gst::Element>,
    /// A file's first picture, until the second one or the end: matroskademux may correct where the
    /// file starts after it.
    first: Option<gst::Sample>,
    started: bool,
    /// The decoder's complaints so far.
    complaints: u64,
}

impl Pictures {
    fn arrive(&mut self, sample: gst::Sample) -> Result<gst::FlowSuccess, gst::FlowError> {
        if !self.started {
            self.started = true;
            self.learn_format(&sample)?;
            if !self.shared.input.is_live() {
                self.first = Some(sample);
                return Ok(gst::FlowSuccess::Ok);
            }
        }
        if let Some(first) = self.first.take() {
            let corrected = sample.segment().filter(|segment| starts(segment));
            let own = first.segment();
            let segment = corrected.filter(|_| own.is_some_and(starts)).or(own);
            self.offer(&first, segment)?;
        }
        self.offer(&sample, sample.segment())
    }

    fn end(&mut self) {
        if let Some(first) = self.first.take() {
            // A failure is in the shared facts already.
            let _ = self.offer(&first, first.segment());
        }
        self.shared.meeting.end_video();
    }

    fn learn_format(&self, sample: &gst::Sample) -> Result<(), gst::FlowError> {
        let Some((format, _)) = format_of(sample) else { return Err(self.unreadable()) };
        if let Some(pin) = self.pin.upgrade().filter(|_| self.shared.fit.is_none()) {
            pin.set_property("caps", pinned(&format));
        }
        self.shared.learn(|facts| facts.video = Some(format));
        Ok(())
    }

    fn unreadable(&self) -> gst::FlowError {
        self.shared.fail(CaptureError::Damaged {
            input: self.shared.label.clone(),
            detail: "a decoded picture cannot be read".to_owned(),
        });
        gst::FlowError::Error
    }

    fn offer(
        &mut self,
        sample: &gst::Sample,
        segment: Option<&gst::Segment>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some(((format, info), buffer)) = format_of(sample).zip(sample.buffer_owned()) else {
            return Err(self.unreadable());
        };
        let interval = match (format.framerate, buffer.duration()) {
            (Some((rate, per)), _) => {
                Some(Duration::from_nanos(u64::from(per) * 1_000_000_000 / u64::from(rate)))
            }
            (None, Some(duration)) if !duration.is_zero() => {
                Some(Duration::from_nanos(duration.nseconds()))
            }
            _ => None,
        };
        let running = segment.and_then(|segment| running_time(segment, &buffer));
        let pts = match self.timeline.stamp(running, interval) {
            Ok(pts) => pts,
            Err(jump) => {
                self.shared.fail(CaptureError::TimeWentBack {
                    input: self.shared.label.clone(),
                    after: jump.after,
                    by: jump.by,
                });
                return Err(gst::FlowError::Error);
            }
        };
        let damaged = {
            let stream_ns = buffer.pts().map(gst::ClockTime::nseconds);
            let mut damage = self.shared.damage.lock().unwrap_or_else(PoisonError::into_inner);
            let complaints = self.shared.complaints.count();
            if std::mem::replace(&mut self.complaints, complaints) != complaints {
                damage.complaint(stream_ns);
            }
            buffer.flags().contains(gst::BufferFlags::CORRUPTED) || damage.covers(stream_ns)
        };
        let Some(frame) = CapturedFrame::map(buffer, &info, pts, damaged) else {
            return Err(self.unreadable());
        };
        match self.shared.meeting.offer_video(frame) {
            Ok(()) => Ok(gst::FlowSuccess::Ok),
            Err(Closed) => Err(gst::FlowError::Flushing),
        }
    }
}

fn format_of(sample: &gst::Sample) -> Option<(VideoFormat, gst_video::VideoInfo)> {
    let caps = sample.caps()?;
    let info = gst_video::VideoInfo::from_caps(caps).ok()?;
    Some((VideoFormat::of(&info, caps), info))
}

/// Whether a segment stands at the start of the timeline, with nothing before it.
fn starts(segment: &gst::Segment) -> bool {
    segment
        .downcast_ref::<gst::ClockTime>()
        .is_some_and(|segment| segment.base().is_none_or(gst::ClockTime::is_zero))
}

/// Nanoseconds since the pipeline's start, negative before it; none where the stream does not say.
fn running_time(segment: &gst::Segment, buffer: &gst::BufferRef) -> Option<i128> {
    let segment = segment.downcast_ref::<gst::ClockTime>()?;
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
    wait_at(&sink, shared, Meeting::wait_for_audio_room);
    let (offer, end) = (Arc::clone(shared), Arc::clone(shared));
    let mut next = None;
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let Some(audio) = wrap_audio(&sample, channels, next) else {
                    return Ok(gst::FlowSuccess::Ok);
                };
                next = Some(audio.end());
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

/// Sound that overlaps what came before it by more than this is cut; less is rounding, for example
/// Matroska's milliseconds.
const OVERLAP: i128 = 50_000_000;

/// Sound without a time follows what came before it; at the very start, where nothing did, its place
/// is unknown and it is left out, as is a stretch that was heard already.
fn wrap_audio(sample: &gst::Sample, channels: u8, next: Option<i128>) -> Option<StreamAudio> {
    let buffer = sample.buffer()?;
    let at = sample.segment().and_then(|segment| running_time(segment, buffer)).or(next)?;
    let map = buffer.map_readable().ok()?;
    let samples = map
        .chunks_exact(4)
        .filter_map(|bytes| bytes.try_into().ok().map(f32::from_le_bytes))
        .collect();
    let audio = StreamAudio { at, samples, channels };
    match next {
        Some(next) if at < next - OVERLAP => audio.cut_before(next),
        _ => Some(audio),
    }
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

    /// A branch with a source pad before it that a test pushes into.
    fn fed(width: i32, height: i32) -> (gst::Pipeline, gst::Pad, gst_app::AppSink) {
        gst::init().expect("GStreamer");
        let pipeline = gst::Pipeline::new();
        let (branch, _, sink) = add_branch(&pipeline, VIDEO, "video").expect("a branch");
        let source = gst::Pad::new(gst::PadDirection::Src);
        source.set_active(true).expect("active");
        source.link(&branch.static_pad("sink").expect("a sink pad")).expect("links");
        pipeline.set_state(gst::State::Playing).expect("starts");
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", width)
            .field("height", height)
            .field("framerate", gst::Fraction::new(25, 1))
            .field("interlace-mode", "progressive")
            .build();
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(source.push_event(gst::event::StreamStart::new("test")));
        assert!(source.push_event(gst::event::Caps::new(&caps)));
        assert!(source.push_event(gst::event::Segment::new(&segment)));
        (pipeline, source, sink)
    }

    /// What a decoder says of how its pictures lie.
    fn oriented(source: &gst::Pad, orientation: &str) {
        let mut tags = gst::TagList::new();
        let list = tags.make_mut();
        list.add::<gst::tags::ImageOrientation>(&orientation, gst::TagMergeMode::Replace);
        assert!(source.push_event(gst::event::Tag::new(tags)));
    }

    /// Pushes a picture whose first row is white; gives where its bytes are, and the picture that arrives.
    fn walk(source: &gst::Pad, sink: &gst_app::AppSink, index: u64) -> (*const u8, gst::Buffer) {
        let mut bytes = vec![16u8; 64 * 48 * 3 / 2];
        bytes[..64].fill(235);
        let at = bytes.as_ptr();
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        buffer.make_mut().set_pts(gst::ClockTime::from_mseconds(40 * index));
        source.push(buffer).expect("flows");
        (at, sink.pull_sample().expect("arrives").buffer_owned().expect("a picture"))
    }

    #[test]
    fn only_a_picture_that_lies_is_copied() {
        let (pipeline, source, sink) = fed(64, 48);
        // What was said before the first picture holds for it, and what is said later from then on.
        for (index, orientation, white) in [
            (0, Some("rotate-180"), 47),
            (1, None, 47),
            (2, Some("rotate-0"), 0),
            (3, None, 0),
            (4, Some("flip-rotate-180"), 47),
            (5, Some("rotate-0"), 0),
        ] {
            if let Some(orientation) = orientation {
                oriented(&source, orientation);
            }
            let (at, arrived) = walk(&source, &sink, index);
            let map = arrived.map_readable().expect("bytes");
            assert_eq!(map.chunks(64).position(|row| row[32] > 200), Some(white), "{index}");
            assert_eq!(map.as_ptr() == at, white == 0, "{index}: {orientation:?}");
        }
        pipeline.set_state(gst::State::Null).expect("stops");
        let (pipeline, source, sink) = fed(64, 48);
        for index in 0..3 {
            let (at, arrived) = walk(&source, &sink, index);
            assert_eq!(arrived.map_readable().expect("bytes").as_ptr(), at, "{index}");
        }
        // A camera that is turned while it records.
        oriented(&source, "rotate-90");
        let (at, arrived) = walk(&source, &sink, 3);
        let map = arrived.map_readable().expect("bytes");
        assert_ne!(map.as_ptr(), at);
        pipeline.set_state(gst::State::Null).expect("stops");
    }
}
