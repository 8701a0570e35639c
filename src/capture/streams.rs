//! Which streams of an input are decoded: the first video stream and, where sound is kept, the first
//! audio stream. Nothing that leads elsewhere is followed.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::{
    CaptureError,
    branch::{link_audio, link_video},
    pipeline::{named, remove},
    shared::{Chosen, Shared},
};

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
    let id = pad.stream_id().map(|id| id.to_string()).unwrap_or_default();
    let mut facts = shared.facts();
    let goes_on = if name.starts_with("video/") || name.starts_with("image/") {
        facts.video_chosen.get_or_insert_with(|| Chosen::Id(id.clone())).is(&id)
    } else if name.starts_with("audio/") && keep_audio {
        facts.audio_chosen.get_or_insert_with(|| Chosen::Id(id.clone())).is(&id)
    } else {
        if name == "text/uri-list" || name.starts_with("application/") {
            facts.playlist.get_or_insert(name.to_owned());
        }
        false
    };
    facts.refused_stream |= !goes_on;
    goes_on
}

pub(super) fn choose_file_streams(
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

pub(super) fn choose_rtsp_streams(
    pipeline: &gst::Pipeline,
    source: &gst::Element,
    shared: &Arc<Shared>,
    keep_audio: bool,
) -> Result<(), CaptureError> {
    let chooser = Arc::clone(shared);
    source.connect("select-stream", false, move |values| {
        let caps = values.get(2).and_then(|value| value.get::<gst::Caps>().ok());
        let media = caps.as_ref().and_then(media_of);
        let mut facts = chooser.facts();
        let first = |chosen: &mut Option<Chosen>| {
            let first = chosen.is_none();
            *chosen = Some(Chosen::Only);
            first
        };
        let take = match media.as_deref() {
            Some("video") => first(&mut facts.video_chosen),
            Some("audio") if keep_audio => first(&mut facts.audio_chosen),
            _ => false,
        };
        facts.refused_stream |= !take;
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

/// Hangs a branch onto the first picture and the first sound that a decoder gives.
pub(super) fn link_decoded(pipeline: &gst::Pipeline, decode: &gst::Element, shared: &Arc<Shared>) {
    let (pipeline, attached) = (pipeline.downgrade(), Arc::clone(shared));
    decode.connect_pad_added(move |_, pad| {
        let Some(pipeline) = pipeline.upgrade() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let Some(structure) = caps.structure(0) else { return };
        // Streams that were not chosen come out as they are, and some are raw from the start.
        let id = pad.stream_id().map(|id| id.to_string()).unwrap_or_default();
        let result = match structure.name().as_str() {
            "video/x-raw" if attached.wants_video(&id) => link_video(&pipeline, pad, &attached),
            "audio/x-raw" if attached.wants_audio(&id) => {
                // Surround sound becomes stereo; a pad without a number counts as such.
                let channels = structure.get::<i32>("channels").map_or(2, |n| n.clamp(1, 2));
                link_audio(&pipeline, pad, &attached, u8::try_from(channels).unwrap_or(2))
            }
            _ => Ok(()),
        };
        if let Err(error) = result {
            attached.fail(error);
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
