//! What decoders complain about on the side.
//!
//! A decoder that meets broken data invents what is missing and hands the picture out unmarked, or
//! drops it and goes on from a wrong reference. It says so only in the framework's log, so that is
//! where this listens. A complaint counts for the decoder that runs on the same thread; one from a
//! decoder's own worker threads, which only exist where more than one is asked for, counts for every
//! capture of the process: that veils too much and never too little.

use std::{
    cell::RefCell,
    sync::{
        Arc, Once,
        atomic::{AtomicU64, Ordering},
    },
};

use gstreamer as gst;

/// Complaints that belong to nobody in particular.
static UNCLAIMED: AtomicU64 = AtomicU64::new(0);

/// What the current thread decodes.
enum Work {
    Unknown,
    Sound,
    Pictures(Arc<AtomicU64>),
}

thread_local! {
    static WORK: RefCell<Work> = const { RefCell::new(Work::Unknown) };
}

/// The complaints about one capture's pictures.
#[derive(Debug)]
pub(super) struct Complaints {
    own: Arc<AtomicU64>,
}

impl Complaints {
    /// Starts listening.
    pub(super) fn new() -> Self {
        listen();
        Self { own: Arc::default() }
    }

    /// How many there have been; only a change means something.
    pub(super) fn count(&self) -> u64 {
        self.own.load(Ordering::SeqCst).wrapping_add(UNCLAIMED.load(Ordering::SeqCst))
    }

    /// The calling thread is about to decode pictures of this capture.
    pub(super) fn decode_pictures_here(&self) {
        WORK.set(Work::Pictures(Arc::clone(&self.own)));
    }
}

/// The calling thread is about to decode sound, which the same libraries complain about.
pub(super) fn decode_sound_here() {
    WORK.set(Work::Sound);
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // GStreamer prints to stderr whatever it logs. What is switched on here is for this program
        // only, unless somebody asks GStreamer itself.
        if std::env::var_os("GST_DEBUG").is_none() {
            gst::log::remove_default_log_function();
        }
        gst::log::add_log_function(|category, level, _, _, _, _, message| {
            let text = message.get();
            if is_complaint(category.name(), level, text.as_deref().map_or("", |text| text)) {
                WORK.with_borrow(|work| match work {
                    Work::Pictures(own) => own.fetch_add(1, Ordering::SeqCst),
                    Work::Unknown => UNCLAIMED.fetch_add(1, Ordering::SeqCst),
                    Work::Sound => 0,
                });
            }
        });
        // `libav` are the decoders of FFmpeg, `videodecoder` the class that all others share.
        gst::log::set_threshold_for_name("libav", gst::DebugLevel::Error);
        gst::log::set_threshold_for_name("videodecoder", gst::DebugLevel::Warning);
    });
}

/// Errors of a decoder's library, and packets that a decoder could not decode, which `GStreamer`
/// logs as warnings that start like this; its other warnings are about times.
fn is_complaint(category: &str, level: gst::DebugLevel, text: &str) -> bool {
    match category {
        "libav" => level == gst::DebugLevel::Error,
        "videodecoder" => level == gst::DebugLevel::Error || text.starts_with("error: "),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_counts_for_the_capture_whose_thread_it_is() {
        gst::init().expect("GStreamer");
        let (ours, theirs) = (Complaints::new(), Complaints::new());
        let category = gst::DebugCategory::get("libav").unwrap_or_else(|| {
            gst::DebugCategory::new("libav", gst::DebugColorFlags::empty(), None)
        });
        let complain = || gst::error!(category, "error while decoding MB 14 12");
        let counts = || (ours.count(), theirs.count());
        let (before, _) = counts();
        ours.decode_pictures_here();
        complain();
        assert_eq!(ours.count(), before + 1);
        let (ours_now, theirs_now) = counts();
        decode_sound_here();
        complain();
        assert_eq!(counts(), (ours_now, theirs_now));
        WORK.set(Work::Unknown);
        complain();
        assert_eq!(counts(), (ours_now + 1, theirs_now + 1));
    }

    #[test]
    fn a_decoders_remark_on_times_is_no_complaint() {
        use gst::DebugLevel::{Error, Warning};
        assert!(is_complaint("libav", Error, "Invalid NAL unit size"));
        assert!(!is_complaint("libav", Warning, "deprecated pixel format"));
        assert!(is_complaint("videodecoder", Warning, "error: Failed to decode frame"));
        assert!(!is_complaint("videodecoder", Warning, "decreasing timestamp (0:00 < 0:01)"));
        assert!(!is_complaint("qtdemux", Error, "error: x"));
    }
}
