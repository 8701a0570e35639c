//! One `GStreamer` pipeline from memory to memory: buffers in, encoded buffers out, in order.
//!
//! Belongs here: starting, feeding, emptying and ending a pipeline without ever waiting for ever.
//! Does not belong: what is encoded. Driven by one thread; `GStreamer` adds one of its own.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};

use super::EncodeError;

/// Buffers that wait in front of the encoder. They come three at a time, as most pictures wait for the
/// next look: six keep it busy while that is made. When they are there, `push` waits (back-pressure: a
/// redacted picture is promised to a segment).
pub(super) const QUEUED: u64 = 6;
/// Encoded buffers that wait behind the encoder. More than an encoder can give for what is queued
/// in front of it; when they are there, the encoder waits, and every call empties them.
const ENCODED: u32 = 64;
/// How nice the encoder's threads are: where all want to run, the one that looks gets nine times as much as each.
/// The box's unit forbids to change that: there all are alike.
const GIVES_WAY: i32 = 10;
/// How long to wait in one go while nothing comes out.
const NAP: Duration = Duration::from_millis(5);

/// A running pipeline.
#[derive(Debug)]
pub(super) struct Line {
    pipeline: gst::Pipeline,
    source: AppSrc,
    sink: AppSink,
    bus: gst::Bus,
    /// The element that does the work, for `force_key` and for messages.
    worker: gst::Element,
    /// How long nothing may happen before the pipeline counts as stuck.
    patience: Duration,
}

impl Line {
    /// Links `chain` between a source of `input` and a sink of `output` and starts it. `worker`
    /// is the element of the chain that encodes.
    pub(super) fn start(
        input: &gst::Caps,
        chain: &[gst::Element],
        worker: &gst::Element,
        output: &gst::Caps,
        patience: Duration,
    ) -> Result<Self, EncodeError> {
        let source = AppSrc::builder()
            .caps(input)
            .format(gst::Format::Time)
            .block(false)
            .max_bytes(0)
            .max_time(gst::ClockTime::ZERO)
            .max_buffers(QUEUED)
            .build();
        // Without the last sample being kept, memory returns as soon as it is read.
        let sink = AppSink::builder()
            .caps(output)
            .sync(false)
            .async_(false)
            .enable_last_sample(false)
            .max_buffers(ENCODED)
            .build();
        let pipeline = gst::Pipeline::new();
        let failed = |reason: String| EncodeError::Start { element: name_of(worker), reason };
        let mut elements: Vec<&gst::Element> = vec![source.upcast_ref()];
        elements.extend(chain);
        elements.push(sink.upcast_ref());
        pipeline
            .add_many(&elements)
            .and_then(|()| gst::Element::link_many(&elements))
            .map_err(|e| failed(e.to_string()))?;
        let bus = pipeline.bus().ok_or_else(|| failed("it has no message bus".into()))?;
        // A thread stays as nice as it is: none is kept for another pipeline.
        gst::glib::ThreadPool::set_max_unused_threads(Some(0));
        bus.set_sync_handler(|_, message| {
            if let gst::MessageView::StreamStatus(status) = message.view()
                && status.get().0 == gst::StreamStatusType::Enter
            {
                give_way();
            }
            gst::BusSyncReply::Pass
        });
        let line = Self { pipeline, source, sink, bus, worker: worker.clone(), patience };
        line.pipeline
            .set_state(gst::State::Playing)
            .map_err(|e| failed(line.complaint().unwrap_or_else(|| e.to_string())))?;
        Ok(line)
    }

    /// The name of the element that does the work.
    pub(super) fn worker_name(&self) -> String {
        name_of(&self.worker)
    }

    /// Asks for a key frame at the first picture whose time is `at` or later. To be called before
    /// that picture is pushed.
    pub(super) fn force_key(&self, at: gst::ClockTime) -> Result<(), EncodeError> {
        let event = gstreamer_video::UpstreamForceKeyUnitEvent::builder()
            .running_time(at)
            .all_headers(true)
            .build();
        if self.worker.send_event(event) {
            Ok(())
        } else {
            Err(self.broken("it does not make a key frame when asked"))
        }
    }

    /// Hands one buffer over, waiting while the queue is full, and adds what came out to `out`.
    pub(super) fn push(
        &mut self,
        buffer: gst::Buffer,
        out: &mut Vec<gst::Sample>,
    ) -> Result<(), EncodeError> {
        let mut idle = Duration::ZERO;
        while self.source.current_level_buffers() >= QUEUED {
            idle = if self.collect_one(NAP, out)? { Duration::ZERO } else { idle + NAP };
            self.check_patience(idle)?;
        }
        if self.source.push_buffer(buffer).is_err() {
            return Err(self.failure());
        }
        self.collect(out)
    }

    /// Adds what has come out by now to `out`.
    pub(super) fn collect(&mut self, out: &mut Vec<gst::Sample>) -> Result<(), EncodeError> {
        while self.collect_one(Duration::ZERO, out)? {}
        Ok(())
    }

    /// Says that nothing follows and waits for everything that is still inside.
    pub(super) fn finish(&mut self, out: &mut Vec<gst::Sample>) -> Result<(), EncodeError> {
        if self.source.end_of_stream().is_err() {
            return Err(self.failure());
        }
        let mut idle = Duration::ZERO;
        while !self.sink.is_eos() {
            idle = if self.collect_one(NAP, out)? { Duration::ZERO } else { idle + NAP };
            self.check_patience(idle)?;
        }
        match self.complaint() {
            Some(reason) => Err(EncodeError::Failed { element: self.worker_name(), reason }),
            None => Ok(()),
        }
    }

    /// An output that is not what was asked for.
    pub(super) fn broken(&self, problem: &'static str) -> EncodeError {
        EncodeError::Output { element: self.worker_name(), problem }
    }

    fn collect_one(
        &mut self,
        wait: Duration,
        out: &mut Vec<gst::Sample>,
    ) -> Result<bool, EncodeError> {
        let wait = gst::ClockTime::try_from(wait).unwrap_or(gst::ClockTime::ZERO);
        if let Some(sample) = self.sink.try_pull_sample(wait) {
            out.push(sample);
            return Ok(true);
        }
        match self.complaint() {
            Some(reason) => Err(EncodeError::Failed { element: self.worker_name(), reason }),
            None => Ok(false),
        }
    }

    fn check_patience(&self, idle: Duration) -> Result<(), EncodeError> {
        if idle < self.patience {
            return Ok(());
        }
        let seconds = self.patience.as_secs();
        Err(EncodeError::Stalled { element: self.worker_name(), seconds })
    }

    fn failure(&self) -> EncodeError {
        let reason = self.complaint().unwrap_or_else(|| "it takes no more input".into());
        EncodeError::Failed { element: self.worker_name(), reason }
    }

    /// The first error on the bus; everything else there is of no interest and is thrown away, so
    /// that the bus does not grow.
    fn complaint(&self) -> Option<String> {
        while let Some(message) = self.bus.pop() {
            if let gst::MessageView::Error(error) = message.view() {
                return Some(error.error().message().trim_end_matches('.').to_owned());
            }
        }
        None
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Going to Null cannot fail in a way that could still be acted on.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Lets looking go first from now on, of all that this thread does and those that it starts: what is not
/// looked at yet may be dropped, and what is to be encoded waits.
fn give_way() {
    if let Err(error) = rustix::process::setpriority_process(None, GIVES_WAY) {
        tracing::debug!(%error, "the encoder's thread goes on as any other");
    }
}

fn name_of(element: &gst::Element) -> String {
    element.factory().map_or_else(|| element.name().to_string(), |f| f.name().to_string())
}
