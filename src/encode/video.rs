//! Pictures through the H.264 encoder: one encoder for a whole recording, every picture out once,
//! in order, with its own time.
//!
//! Belongs here: choosing an encoder that works, feeding it without copying, checking what it
//! gives back. Does not belong: segments.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use gstreamer as gst;

use super::{
    EncodeError, FRAMES_HELD, Settings,
    choice::{self, Candidate},
    h264::{AccessUnit, Parameters},
    line::Line,
};
use crate::{
    capture::VideoFormat,
    frame::{FrameSize, PlaneLayout},
    units::Pts,
};

/// Ticks of the pictures' clock in a second.
pub(super) const TICKS_PER_SECOND: u32 = 90_000;
/// How long an encoder may stand still before the recording stops. A busy machine takes well under
/// a second for a picture.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same while an encoder is on trial.
const TRIAL_PATIENCE: Duration = Duration::from_secs(5);
/// Pictures of a trial; a key frame is asked for in the middle.
const TRIAL_PICTURES: u64 = 24;
/// Pictures per second where the source does not say: only the encoder's rate control uses it.
const NOMINAL_RATE: (u32, u32) = (30, 1);
/// Sides that all encoders in use can take.
const SIDES: std::ops::RangeInclusive<u32> = 16..=8192;

/// Ticks at `pts`, to the nearest.
pub(super) fn ticks_at(pts: Pts) -> u64 {
    let ticks = (u128::from(pts.nanos()) * 9 + 50_000) / 100_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// The time of a tick, to the nearest nanosecond. `ticks_at` gives the tick back.
fn clock_time_at(ticks: u64) -> gst::ClockTime {
    let ns = (u128::from(ticks) * 100_000 + 4) / 9;
    gst::ClockTime::from_nseconds(u64::try_from(ns).unwrap_or(u64::MAX - 1))
}

/// Which picture goes in, and what is to come out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    /// The picture's number.
    pub seq: u64,
    /// Its time.
    pub pts: Pts,
    /// Its time on the pictures' clock, later than that of every picture before it.
    pub ticks: u64,
    /// Whether a segment begins with it.
    pub opens: bool,
}

/// One encoded picture.
#[derive(Debug)]
pub(super) struct Picture {
    /// Which one.
    pub ticket: Ticket,
    /// Whether decoding can begin with it.
    pub idr: bool,
    /// Slices behind their lengths.
    pub data: Vec<u8>,
}

/// The running encoder.
#[derive(Debug)]
pub(super) struct Video {
    line: Line,
    name: &'static str,
    /// What went in and has not come out. As long as the encoder holds: bounded by the queue in
    /// front of it and its own depth.
    pending: VecDeque<Ticket>,
    parameters: Option<Parameters>,
    format: VideoFormat,
    usual: Candidate,
    /// The same with less effort, once it is known that its pictures fit into the same stream.
    lighter: Option<Candidate>,
    /// Which of the two runs, and which is to run from the next segment on.
    is_light: bool,
    wants_light: bool,
    /// Nothing went into the running encoder yet: its first picture is a key frame by itself.
    fresh: bool,
}

impl Video {
    /// Starts the best encoder that works.
    pub(super) fn start(format: &VideoFormat, settings: &Settings) -> Result<Self, EncodeError> {
        let FrameSize { width, height } = format.size;
        if !SIDES.contains(&width) || !SIDES.contains(&height) {
            return Err(EncodeError::Size { width, height });
        }
        let mut tried = Vec::new();
        for candidate in choice::candidates(settings, format.size) {
            let trial = if candidate.hardware { try_out(&candidate, format) } else { Ok(0) };
            match trial.and_then(|_| Self::open(&candidate, format, PATIENCE)) {
                Ok(video) => return Ok(video),
                Err(reason) => tried.push(format!("{}: {reason}", candidate.element)),
            }
        }
        Err(EncodeError::Missing {
            what: "H.264 encoder",
            tried: tried.join("; "),
            install: choice::package(settings.encoder),
        })
    }

    fn open(
        candidate: &Candidate,
        format: &VideoFormat,
        patience: Duration,
    ) -> Result<Self, EncodeError> {
        Ok(Self {
            line: Self::line(candidate, format, patience)?,
            name: candidate.element,
            pending: VecDeque::new(),
            parameters: None,
            format: format.clone(),
            usual: candidate.clone(),
            lighter: None,
            is_light: false,
            wants_light: false,
            fresh: true,
        })
    }

    fn line(
        candidate: &Candidate,
        format: &VideoFormat,
        patience: Duration,
    ) -> Result<Line, EncodeError> {
        let start = |reason| EncodeError::Start { element: candidate.element.into(), reason };
        let encoder = candidate.make().map_err(start)?;
        let mut chain = Vec::new();
        if candidate.hardware {
            // Most graphics chips want their chroma planes interleaved.
            let convert = gst::ElementFactory::make("videoconvert").build();
            chain.push(convert.map_err(|e| start(e.to_string()))?);
        }
        chain.push(encoder.clone());
        Line::start(
            &input_caps(format),
            &chain,
            &encoder,
            &output_caps(candidate.hardware),
            patience,
        )
    }

    /// Whether the encoder can do with less effort in the middle of the recording: whether there is
    /// anything to give, and a trial shows that a decoder would not notice the change.
    pub(super) fn can_lighten(&mut self, settings: &Settings) -> bool {
        self.lighter = choice::lighter(self.name, settings, self.format.size).filter(|lighter| {
            match (parameters_of(&self.usual, &self.format), parameters_of(lighter, &self.format)) {
                (Ok(usual), Ok(light)) => usual == light,
                _ => false,
            }
        });
        self.lighter.is_some()
    }

    /// Encodes with less effort, or with the usual one again, from the next segment on. Without
    /// effect where [`Self::can_lighten`] did not say so.
    pub(super) fn lighten(&mut self, light: bool) {
        self.wants_light = light && self.lighter.is_some();
    }

    /// Changes over to the encoder that is wanted, when a segment begins.
    fn change_over(&mut self, out: &mut Vec<Picture>) -> Result<(), EncodeError> {
        if self.wants_light == self.is_light {
            return Ok(());
        }
        let wanted = if self.wants_light { self.lighter.as_ref() } else { Some(&self.usual) };
        let Some(wanted) = wanted.cloned() else { return Ok(()) };
        if !self.fresh {
            self.finish(out)?;
        }
        self.line = Self::line(&wanted, &self.format, PATIENCE)?;
        self.fresh = true;
        self.is_light = self.wants_light;
        Ok(())
    }

    /// Begins anew, with the same stream: what is inside and has not come out never does.
    pub(super) fn restart(&mut self) -> Result<(), EncodeError> {
        let running = if self.is_light { self.lighter.as_ref() } else { None };
        self.line = Self::line(running.unwrap_or(&self.usual), &self.format, PATIENCE)?;
        self.pending.clear();
        self.fresh = true;
        Ok(())
    }

    /// The element that encodes.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The parameter sets, once a picture has come out.
    pub(super) fn parameters(&self) -> Option<&Parameters> {
        self.parameters.as_ref()
    }

    /// Hands one picture over, memory and all, and adds what came out to `out`.
    pub(super) fn push(
        &mut self,
        memory: impl AsRef<[u8]> + Send + 'static,
        ticket: Ticket,
        out: &mut Vec<Picture>,
    ) -> Result<(), EncodeError> {
        let at = clock_time_at(ticket.ticks);
        if ticket.opens {
            self.change_over(out)?;
            if self.pending.iter().any(|waiting| waiting.opens) {
                // GStreamer 1.22 forgets a key frame that is asked for while another is on its way.
                self.finish(out)?;
                self.restart()?;
            }
            if !self.fresh {
                self.line.force_key(at)?;
            }
        }
        self.fresh = false;
        let mut buffer = gst::Buffer::from_slice(memory);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(at);
        }
        self.pending.push_back(ticket);
        let mut samples = Vec::new();
        self.line.push(buffer, &mut samples)?;
        self.take(&samples, out)
    }

    /// Ends the stream and adds everything that was still inside to `out`.
    pub(super) fn finish(&mut self, out: &mut Vec<Picture>) -> Result<(), EncodeError> {
        let mut samples = Vec::new();
        self.line.finish(&mut samples)?;
        self.take(&samples, out)?;
        if self.pending.is_empty() {
            Ok(())
        } else {
            Err(self.line.broken("a picture did not come out"))
        }
    }

    fn take(&mut self, samples: &[gst::Sample], out: &mut Vec<Picture>) -> Result<(), EncodeError> {
        for sample in samples {
            let picture = self.picture(sample).map_err(|problem| self.line.broken(problem))?;
            out.push(picture);
        }
        Ok(())
    }

    fn picture(&mut self, sample: &gst::Sample) -> Result<Picture, &'static str> {
        let buffer = sample.buffer().ok_or("an output without content")?;
        let ticket = self.pending.pop_front().ok_or("more pictures came out than went in")?;
        // x264enc counts from 1000 hours and says so in the segment: running time is what went in.
        let running = sample
            .segment()
            .and_then(|s| s.downcast_ref::<gst::ClockTime>())
            .and_then(|s| s.to_running_time(buffer.pts()))
            .ok_or("a picture without a time")?;
        if running.nseconds().abs_diff(clock_time_at(ticket.ticks).nseconds()) > MAX_DRIFT_NS {
            return Err("a picture came out with another one's time");
        }
        let map = buffer.map_readable().map_err(|_| "an output that cannot be read")?;
        let unit = AccessUnit::parse(map.as_slice())?;
        if let Some(parameters) = unit.parameters {
            match &self.parameters {
                Some(old) if *old != parameters => {
                    return Err("the parameter sets changed within a recording");
                }
                Some(_) => {}
                None => self.parameters = Some(parameters),
            }
        }
        if self.parameters.is_none() {
            return Err("the first picture came without parameter sets");
        }
        if ticket.opens && !unit.idr {
            return Err("a segment would not begin with a key frame");
        }
        Ok(Picture { ticket, idr: unit.idr, data: unit.data })
    }
}

/// How far a time may change on its way through an encoder: drivers that count in microseconds
/// round; neighbours are at least one tick of 11 µs apart.
const MAX_DRIFT_NS: u64 = 2_000;

/// Pictures per second for the encoder's rate control.
pub(super) fn nominal_rate(format: &VideoFormat) -> (u32, u32) {
    match format.framerate {
        // Files state all sorts of rates; outside of this range they mean their clock.
        Some((n, d)) if d > 0 && (d..=d.saturating_mul(240)).contains(&n) => (n, d),
        _ => NOMINAL_RATE,
    }
}

fn fraction((n, d): (u32, u32)) -> Option<gst::Fraction> {
    let (n, d) = (i32::try_from(n).ok()?, i32::try_from(d).ok()?);
    (n > 0 && d > 0).then(|| gst::Fraction::new(n, d))
}

fn input_caps(format: &VideoFormat) -> gst::Caps {
    let coded = PlaneLayout::new(format.size).coded();
    let mut caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("interlace-mode", "progressive")
        .field("width", i32::try_from(coded.width).unwrap_or(i32::MAX))
        .field("height", i32::try_from(coded.height).unwrap_or(i32::MAX));
    if let Some(rate) = fraction(nominal_rate(format)) {
        caps = caps.field("framerate", rate);
    }
    if let Some(aspect) = fraction(format.pixel_aspect) {
        caps = caps.field("pixel-aspect-ratio", aspect);
    }
    let colorimetry = format.colorimetry.as_ref();
    // What the source says may be nonsense; then players choose by size, as they would have.
    if let Some(text) =
        colorimetry.filter(|c| c.parse::<gstreamer_video::VideoColorimetry>().is_ok())
    {
        caps = caps.field("colorimetry", text.as_str());
    }
    caps.build()
}

fn output_caps(hardware: bool) -> gst::Caps {
    let mut profiles = vec!["constrained-baseline", "main"];
    if hardware {
        // Some chips know only one of these; every browser plays them.
        profiles.extend(["baseline", "high"]);
    }
    gst::Caps::builder("video/x-h264")
        .field("stream-format", "byte-stream")
        .field("alignment", "au")
        .field("profile", gst::List::new(profiles))
        .build()
}

/// Encodes a few grey pictures: every one must come out, with a key frame where one is asked for,
/// and the encoder may not sit on more of them than the recording's pool allows for.
/// Returns the most it held.
fn try_out(candidate: &Candidate, format: &VideoFormat) -> Result<usize, EncodeError> {
    let mut video = Video::open(candidate, format, TRIAL_PATIENCE)?;
    let (rate, per) = nominal_rate(format);
    let step = u64::from(TICKS_PER_SECOND) * u64::from(per) / u64::from(rate);
    let mut pictures = Vec::new();
    let held = Arc::new(());
    let mut most = 0;
    for seq in 0..TRIAL_PICTURES {
        let grey = u8::try_from(64 + 4 * seq).unwrap_or(128);
        let bytes = vec![grey; PlaneLayout::new(format.size).bytes()];
        let ticks = seq * step.max(1);
        let opens = seq == 0 || seq == TRIAL_PICTURES / 2;
        let ticket = Ticket { seq, pts: Pts::ZERO, ticks, opens };
        video.push(Trial { bytes, _held: Arc::clone(&held) }, ticket, &mut pictures)?;
        most = most.max(Arc::strong_count(&held) - 1);
        if most > FRAMES_HELD {
            return Err(video.line.broken("it holds too many pictures back"));
        }
    }
    video.finish(&mut pictures)?;
    Ok(most)
}

/// The parameter sets that a candidate begins its stream with.
fn parameters_of(
    candidate: &Candidate,
    format: &VideoFormat,
) -> Result<Option<Parameters>, EncodeError> {
    let mut video = Video::open(candidate, format, TRIAL_PATIENCE)?;
    let mut pictures = Vec::new();
    let grey = vec![128; PlaneLayout::new(format.size).bytes()];
    let ticket = Ticket { seq: 0, pts: Pts::ZERO, ticks: 0, opens: true };
    video.push(grey, ticket, &mut pictures)?;
    video.finish(&mut pictures)?;
    Ok(video.parameters)
}

/// Memory that can be counted from outside while an encoder holds it.
struct Trial {
    bytes: Vec<u8>,
    _held: Arc<()>,
}

impl AsRef<[u8]> for Trial {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::encode::{EncoderChoice, MAX_THREADS, Preset};

    fn format(width: u32, height: u32) -> VideoFormat {
        VideoFormat {
            size: FrameSize::new(width, height),
            framerate: Some((30, 1)),
            pixel_aspect: (1, 1),
            colorimetry: None,
        }
    }

    #[test]
    fn software_encoders_pass_the_trial_of_the_hardware_ones() {
        gst::init().unwrap();
        let queued = usize::try_from(super::super::line::QUEUED).unwrap();
        for encoder in [EncoderChoice::X264, EncoderChoice::OpenH264] {
            for threads in [1, 4] {
                for preset in [Preset::Ultrafast, Preset::Superfast, Preset::Medium] {
                    let settings =
                        Settings { encoder, preset, threads: Some(threads), ..Settings::default() };
                    let format = format(640, 360);
                    for candidate in choice::candidates(&settings, format.size) {
                        let most = try_out(&candidate, &format).unwrap();
                        // What is queued, and one for each thread of x264.
                        assert!(most <= queued + MAX_THREADS as usize, "{candidate:?}: {most}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_preset_can_be_lightened_but_the_lightest() {
        gst::init().unwrap();
        for encoder in [EncoderChoice::X264, EncoderChoice::OpenH264] {
            for preset in [
                Preset::Ultrafast,
                Preset::Superfast,
                Preset::Veryfast,
                Preset::Faster,
                Preset::Fast,
                Preset::Medium,
            ] {
                for (width, height) in [(640, 360), (1920, 1080), (853, 479)] {
                    let settings = Settings { encoder, preset, ..Settings::default() };
                    let mut video = Video::start(&format(width, height), &settings).unwrap();
                    let wanted = preset != Preset::Ultrafast;
                    assert_eq!(video.can_lighten(&settings), wanted, "{encoder:?} {preset:?}");
                }
            }
        }
    }

    #[test]
    fn an_encoder_that_is_missing_is_named() {
        gst::init().unwrap();
        let settings = Settings { encoder: EncoderChoice::Hardware, ..Settings::default() };
        let error = Video::start(&format(320, 240), &settings).unwrap_err().to_string();
        assert!(error.contains("nvh264enc: "), "{error}");
    }

    proptest! {
        #[test]
        fn a_tick_survives_the_way_through_nanoseconds(ticks in 0u64..1 << 50) {
            prop_assert_eq!(ticks_at(Pts::from_nanos(clock_time_at(ticks).nseconds())), ticks);
        }

        #[test]
        fn rounding_is_at_most_half_a_tick(ns in 0u64..1 << 60) {
            let back = clock_time_at(ticks_at(Pts::from_nanos(ns))).nseconds();
            prop_assert!(back.abs_diff(ns) <= 5_556);
        }
    }
}
