//! Which element encodes the pictures, and what is set on it.
//!
//! Belongs here: the list of encoders and their properties, which differ in name and unit from
//! element to element. Does not belong: running them (`video`).

use std::thread;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::{EncoderChoice, MAX_THREADS, Preset, Settings};
use crate::frame::FrameSize;

/// Bits per second at 1920x1080.
const BITRATE_1080P: u64 = 4_000_000;
/// Bits per second below which faces of a small picture fall apart.
const BITRATE_FLOOR: u64 = 500_000;
/// Bits per second that the smallest level in use still allows.
const BITRATE_CEILING: u64 = 50_000_000;

/// An encoder and its settings, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The element's name.
    pub element: &'static str,
    /// Whether it is part of the graphics chip: it then has to pass a trial, and may want another
    /// pixel format.
    pub hardware: bool,
    /// Property and value. A property that this version of the element does not have is skipped:
    /// the output is checked in any case.
    properties: Vec<(&'static str, String)>,
}

impl Candidate {
    /// The element with its properties set.
    pub(super) fn make(&self) -> Result<gst::Element, String> {
        let element = gst::ElementFactory::make(self.element)
            .build()
            .map_err(|_| "not installed".to_owned())?;
        for (name, value) in &self.properties {
            let Some(spec) = element.find_property(name) else { continue };
            let value = gst::glib::Value::deserialize_with_pspec(value, &spec)
                .map_err(|_| format!("it has no {name}={value}"))?;
            element.set_property_from_value(name, &value);
        }
        Ok(element)
    }
}

/// The bitrate to use for pictures of `size`, in bits per second.
pub(super) fn bitrate(settings: &Settings, size: FrameSize) -> u32 {
    let pixels = u64::from(size.width) * u64::from(size.height);
    let wanted = settings
        .bitrate
        .map_or(BITRATE_1080P * pixels / (1920 * 1080), u64::from)
        .clamp(if settings.bitrate.is_some() { 1000 } else { BITRATE_FLOOR }, BITRATE_CEILING);
    u32::try_from(wanted).unwrap_or(u32::MAX)
}

/// The encoders to try, best first.
pub(super) fn candidates(settings: &Settings, size: FrameSize) -> Vec<Candidate> {
    let bits = bitrate(settings, size);
    let threads = settings.threads.map_or_else(default_threads, |n| n.clamp(1, MAX_THREADS));
    match settings.encoder {
        EncoderChoice::Auto => {
            let mut all = hardware(bits);
            all.push(x264(settings.preset, bits, threads));
            all.push(openh264(settings.preset, bits, threads));
            all
        }
        EncoderChoice::Hardware => hardware(bits),
        EncoderChoice::X264 => vec![x264(settings.preset, bits, threads)],
        EncoderChoice::OpenH264 => vec![openh264(settings.preset, bits, threads)],
    }
}

/// The same encoder with less effort, whose pictures go on in the same stream: none where it has
/// nothing to give. Whether the streams really have the same parameter sets has to be tried.
pub(super) fn lighter(element: &str, settings: &Settings, size: FrameSize) -> Option<Candidate> {
    if settings.preset == Preset::Ultrafast {
        return None;
    }
    let bits = bitrate(settings, size);
    let threads = settings.threads.map_or_else(default_threads, |n| n.clamp(1, MAX_THREADS));
    let mut lighter = match element {
        "x264enc" => x264(Preset::Ultrafast, bits, threads),
        "openh264enc" => openh264(Preset::Ultrafast, bits, threads),
        _ => return None,
    };
    for (name, value) in &mut lighter.properties {
        if *name == "option-string" {
            value.push_str(kept(settings.preset));
        }
    }
    Some(lighter)
}

/// What x264 has to keep of a preset, because it stands in the parameter sets: the entropy coder, the
/// number of reference pictures, weighted prediction, and what psychovisual tuning does to the
/// chroma.
const fn kept(preset: Preset) -> &'static str {
    match preset {
        Preset::Ultrafast => "",
        Preset::Superfast | Preset::Veryfast => ":cabac=1:ref=1:weightp=1",
        Preset::Faster => ":cabac=1:ref=2:weightp=1",
        Preset::Fast => ":cabac=1:ref=2:weightp=1:chroma-qp-offset=-2",
        Preset::Medium => ":cabac=1:ref=3:weightp=2:chroma-qp-offset=-2",
    }
}

/// The package to install when no candidate works.
pub(super) fn package(choice: EncoderChoice) -> &'static str {
    match choice {
        EncoderChoice::Auto | EncoderChoice::X264 => "gstreamer1.0-plugins-ugly (x264enc)",
        EncoderChoice::OpenH264 => "gstreamer1.0-plugins-bad (openh264enc)",
        EncoderChoice::Hardware => {
            "the driver of the graphics chip with its GStreamer plugin, or choose x264"
        }
    }
}

fn default_threads() -> u32 {
    let cores = thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
    cores.clamp(1, MAX_THREADS)
}

fn candidate(
    element: &'static str,
    hardware: bool,
    properties: &[(&'static str, &str)],
) -> Candidate {
    let properties = properties.iter().map(|&(name, value)| (name, value.to_owned())).collect();
    Candidate { element, hardware, properties }
}

/// x264: constant bitrate with a buffer of one second, key frames only where a segment begins, and
/// no picture held back to look ahead.
fn x264(preset: Preset, bits: u32, threads: u32) -> Candidate {
    let kbits = (bits / 1000).max(1).to_string();
    let threads = threads.to_string();
    candidate(
        "x264enc",
        false,
        &[
            ("speed-preset", preset_name(preset)),
            ("pass", "cbr"),
            ("bitrate", &kbits),
            ("vbv-buf-capacity", "1000"),
            ("bframes", "0"),
            ("b-adapt", "false"),
            // 2^30 is x264's word for "never by itself".
            ("key-int-max", "1073741824"),
            ("option-string", "scenecut=0:open-gop=0"),
            ("rc-lookahead", "0"),
            ("sync-lookahead", "0"),
            ("mb-tree", "false"),
            ("sliced-threads", "false"),
            ("threads", &threads),
            ("aud", "false"),
            ("byte-stream", "true"),
            ("insert-vui", "true"),
        ],
    )
}

fn openh264(preset: Preset, bits: u32, threads: u32) -> Candidate {
    let complexity = match preset {
        Preset::Ultrafast | Preset::Superfast => "low",
        Preset::Veryfast | Preset::Faster | Preset::Fast => "medium",
        Preset::Medium => "high",
    };
    let (bits, threads) = (bits.to_string(), threads.to_string());
    candidate(
        "openh264enc",
        false,
        &[
            ("rate-control", "bitrate"),
            ("bitrate", &bits),
            ("max-bitrate", &bits),
            // A skipped picture would be one that does not come out.
            ("enable-frame-skip", "false"),
            ("gop-size", "2147483647"),
            ("scene-change-detection", "false"),
            ("complexity", complexity),
            ("multi-thread", &threads),
            ("slice-mode", "auto"),
        ],
    )
}

/// Encoders of graphics chips: constant bitrate, no bidirectional pictures, key frames as rare as
/// each allows. None of them could be tried on the machines of this project; the trial encode
/// decides.
fn hardware(bits: u32) -> Vec<Candidate> {
    let kbits = (bits / 1000).max(1).to_string();
    let controls = format!(
        "controls,video_bitrate={bits},video_bitrate_mode=1,video_b_frames=0,repeat_sequence_header=1"
    );
    vec![
        candidate(
            "vah264enc",
            true,
            &[
                ("rate-control", "cbr"),
                ("bitrate", &kbits),
                ("b-frames", "0"),
                ("key-int-max", "1024"),
                ("aud", "false"),
            ],
        ),
        candidate(
            "vaapih264enc",
            true,
            &[
                ("rate-control", "cbr"),
                ("bitrate", &kbits),
                ("max-bframes", "0"),
                ("keyframe-period", "1024"),
                ("aud", "false"),
            ],
        ),
        candidate(
            "nvh264enc",
            true,
            &[
                ("rc-mode", "cbr"),
                ("bitrate", &kbits),
                ("bframes", "0"),
                ("gop-size", "-1"),
                ("zerolatency", "true"),
                ("aud", "false"),
            ],
        ),
        candidate(
            "qsvh264enc",
            true,
            &[
                ("rate-control", "cbr"),
                ("bitrate", &kbits),
                ("b-frames", "0"),
                ("gop-size", "1024"),
                ("low-latency", "true"),
            ],
        ),
        candidate("v4l2h264enc", true, &[("extra-controls", &controls)]),
    ]
}

const fn preset_name(preset: Preset) -> &'static str {
    match preset {
        Preset::Ultrafast => "ultrafast",
        Preset::Superfast => "superfast",
        Preset::Veryfast => "veryfast",
        Preset::Faster => "faster",
        Preset::Fast => "fast",
        Preset::Medium => "medium",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bitrate_follows_the_pixels() {
        let of = |w, h, wanted| {
            let settings = Settings { bitrate: wanted, ..Settings::default() };
            bitrate(&settings, FrameSize::new(w, h))
        };
        assert_eq!(of(1920, 1080, None), 4_000_000);
        assert_eq!(of(1280, 720, None), 1_777_777);
        assert_eq!(of(320, 240, None), 500_000);
        assert_eq!(of(320, 240, Some(6_000_000)), 6_000_000);
    }

    #[test]
    fn every_property_of_an_installed_encoder_exists() {
        gst::init().unwrap();
        let all = candidates(&Settings::default(), FrameSize::new(1920, 1080));
        for candidate in all {
            let Some(factory) = gst::ElementFactory::find(candidate.element) else { continue };
            let element = factory.create().build().unwrap();
            for (name, _) in &candidate.properties {
                assert!(element.find_property(name).is_some(), "{}: {name}", candidate.element);
            }
            assert!(candidate.make().is_ok(), "{}", candidate.element);
        }
    }
}
