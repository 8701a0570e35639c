//! Asks a network camera what it would send, and asks for none of it: no stream is set up and no picture taken.
//!
//! Belongs here: user, password and path of the address, which a connection alone says nothing of. Does not
//! belong: whether somebody listens at all ([`RtspUrl::probe`]), which is asked before.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crossbeam_channel::bounded;
use gstreamer as gst;
use gstreamer::{glib, prelude::*};

use super::{
    CaptureError,
    input::{Credentials, RtspUrl},
    pipeline::{built, named, stop},
};

pub(super) const DESCRIBE: &str = include_str!("../../pipelines/describe.launch");

/// Most requests to one camera: what it can do, and what it would send, three times.
const REQUESTS: u32 = 4;

/// Whether the camera at `url` lets in whoever knows these credentials, and has such a stream.
pub(super) fn describe(
    url: &RtspUrl,
    credentials: Option<&Path>,
    timeout: Duration,
) -> Result<(), CaptureError> {
    gst::init().map_err(|error| CaptureError::MissingElement { detail: error.to_string() })?;
    let pipeline = built(DESCRIBE)?;
    let source = named(&pipeline, "source")?;
    source.set_property("location", url.as_str());
    if let Some(path) = credentials {
        let credentials = Credentials::read(path)?;
        source.set_property("user-id", credentials.user.as_str());
        source.set_property("user-pw", credentials.password.as_str());
    }
    // Capacity 1: the first word counts, and whoever has another one does not wait.
    let (say, said) = bounded(1);
    let answered = say.clone();
    source.connect("on-sdp", false, move |_| {
        let _ = answered.try_send(Ok(()));
        None
    });
    // The framework tries the same password eight times, and cameras count: challenge, answer, and that again
    // where the challenge was too old.
    let (refused, sent, host_of) = (say.clone(), AtomicU32::new(0), url.authority());
    source.connect("before-send", false, move |_| {
        let goes_out = sent.fetch_add(1, Ordering::Relaxed) < REQUESTS;
        if !goes_out {
            let _ = refused.try_send(Err(CaptureError::Unauthorized { host: host_of.clone() }));
        }
        Some(goes_out.to_value())
    });
    // So no stream is set up, and the camera keeps no session.
    source.connect("select-stream", false, |_| Some(false.to_value()));
    let host = url.authority();
    if let Some(bus) = pipeline.bus() {
        let host = host.clone();
        bus.set_sync_handler(move |_, message| {
            if let gst::MessageView::Error(message) = message.view() {
                let (error, debug) = (message.error(), message.debug().unwrap_or_default());
                let refused = refusal(&error, &debug, &host);
                let _ = say.try_send(Err(
                    refused.unwrap_or(CaptureError::NoAnswer { host: host.clone() })
                ));
            }
            gst::BusSyncReply::Drop
        });
    }
    let paused = pipeline.set_state(gst::State::Paused);
    let silent = || CaptureError::NoAnswer { host: host.clone() };
    let answer = match paused {
        Ok(_) => said.recv_timeout(timeout).unwrap_or_else(|_| Err(silent())),
        Err(_) => said.try_recv().unwrap_or_else(|_| Err(silent())),
    };
    stop(&pipeline, &host);
    answer
}

/// What a camera refuses, where it says so.
pub(super) fn refusal(error: &glib::Error, debug: &str, host: &str) -> Option<CaptureError> {
    let host = host.to_owned();
    Some(if error.matches(gst::ResourceError::NotAuthorized) {
        CaptureError::Unauthorized { host }
    } else if error.matches(gst::ResourceError::NotFound) {
        CaptureError::NoSuchStream { host }
    } else if debug.contains("TLS") || debug.contains("certificate") {
        CaptureError::Certificate { host }
    } else {
        return None;
    })
}
