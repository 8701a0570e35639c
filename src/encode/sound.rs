//! Sound through the AAC encoder, on a timeline without holes: what is missing becomes silence,
//! what comes twice is heard once.
//!
//! Belongs here: where every sample lies on the recording's timeline, and the encoder's delay,
//! which is taken out here so that nothing later has to know of it. Does not belong: segments.

use std::{collections::VecDeque, time::Duration};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::{EncodeError, line::Line, video::TICKS_PER_SECOND};
use crate::{
    capture::{AudioChunk, AudioFormat},
    units::Pts,
};

/// Samples per second and channel, the only rate that is encoded.
pub(super) const RATE: u32 = 48_000;
/// Samples of one AAC packet.
pub(super) const PACKET: u64 = 1024;
/// How far a chunk's time may be from where the one before ended and still count as its
/// continuation: 10 ms. Closer steps are the rounding and wobble of capture clocks; repairing
/// each would be heard.
const TOLERANCE: u64 = RATE as u64 / 100;
/// How long pictures wait for sound to arrive before it counts as missing. In memory that is ten
/// seconds of encoded pictures or of raw sound.
const PATIENCE: Duration = Duration::from_secs(10);
/// Silence is fed in blocks of this many samples.
const SILENCE: u64 = RATE as u64;
/// See `line`: how long the encoder may stand still.
const STALL: Duration = Duration::from_secs(30);

/// An encoder and the samples by which its output is late. Measured with a click, 2026-11; the test
/// below fails when one of them is wrong.
const ENCODERS: [(&str, u64); 2] = [("avenc_aac", 1024), ("voaacenc", 1600)];

/// Samples of the timeline at `pts`, to the nearest.
pub(super) fn samples_at(pts: Pts) -> u64 {
    let samples = (u128::from(pts.nanos()) * 3 + 31_250) / 62_500;
    u64::try_from(samples).unwrap_or(u64::MAX)
}

/// One AAC packet.
#[derive(Debug)]
pub(super) struct Packet {
    /// When its first sample is heard, in samples since the start of the recording.
    pub start: u64,
    /// Its bytes.
    pub data: Vec<u8>,
}

impl Packet {
    /// Whether it begins before `ticks` of the pictures' clock.
    pub(super) fn is_before(&self, ticks: u64) -> bool {
        is_before(self.start, ticks)
    }

    /// When it ends, in ticks of the pictures' clock, rounded up.
    pub(super) fn end_ticks(&self) -> u64 {
        ticks_at(self.start.saturating_add(PACKET))
    }
}

/// Ticks of the pictures' clock at `samples`, rounded up.
pub(super) fn ticks_at(samples: u64) -> u64 {
    let ticks = (u128::from(samples) * u128::from(TICKS_PER_SECOND)).div_ceil(u128::from(RATE));
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

fn is_before(samples: u64, ticks: u64) -> bool {
    u128::from(samples) * u128::from(TICKS_PER_SECOND) < u128::from(ticks) * u128::from(RATE)
}

/// The running encoder.
#[derive(Debug)]
pub(super) struct Sound {
    line: Line,
    channels: u8,
    delay: u64,
    timeline: Timeline,
    packets: u64,
}

/// Where the next sample goes.
#[derive(Debug)]
enum Timeline {
    /// Nothing was fed: the track begins with the first picture or the first chunk, whichever is
    /// earlier, and one of them is not known yet. Holds at most `PATIENCE` of sound.
    Waiting(VecDeque<AudioChunk>),
    /// `fed` samples were fed since `origin`. `absent` once sound stayed away for so long that
    /// silence took its place: then it is not waited for again until it is back.
    Running { origin: u64, fed: u64, absent: bool },
}

impl Sound {
    /// Starts the best encoder that is there.
    pub(super) fn start(format: AudioFormat) -> Result<Self, EncodeError> {
        let AudioFormat { rate, channels } = format;
        if rate != RATE || !(1..=2).contains(&channels) {
            return Err(EncodeError::Sound { rate, channels });
        }
        let mut tried = Vec::new();
        for encoder in ENCODERS {
            match Self::with(encoder, channels) {
                Ok(sound) => return Ok(sound),
                Err(reason) => tried.push(format!("{}: {reason}", encoder.0)),
            }
        }
        Err(EncodeError::Missing {
            what: "AAC encoder",
            tried: tried.join("; "),
            install: "gstreamer1.0-libav (avenc_aac)",
        })
    }

    fn with((element, delay): (&'static str, u64), channels: u8) -> Result<Self, EncodeError> {
        let line = open(element, channels)?;
        let timeline = Timeline::Waiting(VecDeque::new());
        Ok(Self { line, channels, delay, timeline, packets: 0 })
    }

    /// The element that encodes.
    pub(super) fn name(&self) -> String {
        self.line.worker_name()
    }

    /// Takes the next chunk. `first_picture` is the time of the first picture, once known.
    pub(super) fn push(
        &mut self,
        chunk: AudioChunk,
        first_picture: Option<Pts>,
        out: &mut VecDeque<Packet>,
    ) -> Result<(), EncodeError> {
        if let Timeline::Waiting(chunks) = &mut self.timeline {
            chunks.push_back(chunk);
            let first = chunks.front().map_or(Pts::ZERO, |c| c.pts);
            let last = chunks.back().map_or(Pts::ZERO, |c| c.pts);
            // A picture that has not come in all that time is not in front of the sound.
            if first_picture.is_none() && last.since(first) < PATIENCE {
                return Ok(());
            }
            return self.begin(first_picture, out);
        }
        self.append(&chunk, out)
    }

    /// Says that the pictures, of which the first was at `first_picture`, have reached `at`.
    pub(super) fn pictures_at(
        &mut self,
        at: Pts,
        first_picture: Pts,
        out: &mut VecDeque<Packet>,
    ) -> Result<(), EncodeError> {
        let overdue = at.since(first_picture) >= PATIENCE;
        if matches!(&self.timeline, Timeline::Waiting(chunks) if !chunks.is_empty() || overdue) {
            self.begin(Some(first_picture), out)?;
        }
        if let Timeline::Running { origin, fed, absent } = &mut self.timeline {
            let patience = if *absent { Duration::ZERO } else { PATIENCE };
            if *origin + *fed < samples_at(at.minus(patience)) {
                *absent = true;
                self.silence_until(samples_at(at), out)?;
            }
        }
        self.collect(out)
    }

    /// Whether every packet that begins before `ticks` of the pictures' clock has come out.
    pub(super) fn is_complete_until(&self, ticks: u64) -> bool {
        let next = self.next_start().and_then(|start| u64::try_from(start).ok());
        next.is_some_and(|start| !is_before(start, ticks))
    }

    /// Fills up with silence until `end` and adds all that was still inside to `out`.
    pub(super) fn finish(
        &mut self,
        first_picture: Pts,
        end: Pts,
        out: &mut VecDeque<Packet>,
    ) -> Result<(), EncodeError> {
        if matches!(self.timeline, Timeline::Waiting(_)) {
            self.begin(Some(first_picture), out)?;
        }
        self.silence_until(samples_at(end), out)?;
        let Timeline::Running { origin, fed, .. } = self.timeline else { return Ok(()) };
        // The last samples come out only when as many as the delay follow them.
        let wanted = (fed + self.delay).next_multiple_of(PACKET);
        self.feed(&vec![0.0; self.samples(wanted - fed)], out)?;
        let mut samples = Vec::new();
        self.line.finish(&mut samples)?;
        self.take(&samples, out)?;
        while out.back().is_some_and(|packet| packet.start >= origin + fed) {
            out.pop_back();
        }
        Ok(())
    }

    /// When the next packet will be heard; before the start of the timeline for the ones that
    /// only fill the encoder.
    fn next_start(&self) -> Option<i64> {
        let Timeline::Running { origin, .. } = self.timeline else { return None };
        let next = i128::from(origin) + i128::from(self.packets * PACKET) - i128::from(self.delay);
        i64::try_from(next).ok()
    }

    /// Leaves `Waiting`: fixes the origin and feeds what has waited.
    fn begin(
        &mut self,
        first_picture: Option<Pts>,
        out: &mut VecDeque<Packet>,
    ) -> Result<(), EncodeError> {
        let running = Timeline::Running { origin: 0, fed: 0, absent: false };
        let Timeline::Waiting(chunks) = std::mem::replace(&mut self.timeline, running) else {
            return Ok(());
        };
        let first = chunks.front().map(|chunk| chunk.pts).into_iter().chain(first_picture).min();
        if let Timeline::Running { origin, .. } = &mut self.timeline {
            *origin = samples_at(first.unwrap_or(Pts::ZERO));
        }
        chunks.iter().try_for_each(|chunk| self.append(chunk, out))
    }

    fn append(
        &mut self,
        chunk: &AudioChunk,
        out: &mut VecDeque<Packet>,
    ) -> Result<(), EncodeError> {
        let Timeline::Running { origin, fed, .. } = self.timeline else { return Ok(()) };
        let start = samples_at(chunk.pts);
        let expected = origin + fed;
        let mut skip = 0;
        if start > expected + TOLERANCE {
            self.silence_until(start, out)?;
        } else if start + TOLERANCE < expected {
            skip = expected - start;
        }
        let heard = chunk.samples.get(self.samples(skip)..).unwrap_or_default();
        let Timeline::Running { absent, .. } = &mut self.timeline else { return Ok(()) };
        *absent &= heard.is_empty();
        self.feed(heard, out)
    }

    fn silence_until(&mut self, until: u64, out: &mut VecDeque<Packet>) -> Result<(), EncodeError> {
        while let Timeline::Running { origin, fed, .. } = self.timeline {
            let missing = until.saturating_sub(origin + fed).min(SILENCE);
            if missing == 0 {
                break;
            }
            self.feed(&vec![0.0; self.samples(missing)], out)?;
        }
        Ok(())
    }

    /// Values of `count` samples of all channels.
    fn samples(&self, count: u64) -> usize {
        usize::try_from(count * u64::from(self.channels)).unwrap_or(usize::MAX)
    }

    fn feed(&mut self, values: &[f32], out: &mut VecDeque<Packet>) -> Result<(), EncodeError> {
        let channels = usize::from(self.channels);
        let count = values.len() / channels;
        let Timeline::Running { fed, .. } = &mut self.timeline else { return Ok(()) };
        if count == 0 {
            return self.collect(out);
        }
        let bytes: Vec<u8> = values[..count * channels]
            .iter()
            // The encoder stops for ever at a value that is no number.
            .map(|v| if v.is_finite() { v.clamp(-1.0, 1.0) } else { 0.0 })
            .flat_map(f32::to_le_bytes)
            .collect();
        let time = |samples: u64| {
            let ns = u128::from(samples) * 62_500 / 3;
            gst::ClockTime::from_nseconds(u64::try_from(ns).unwrap_or(u64::MAX - 1))
        };
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let end = *fed + count as u64;
        if let Some(buffer) = buffer.get_mut() {
            // Counted from the first sample, so that the encoder never sees a step.
            buffer.set_pts(time(*fed));
            buffer.set_duration(time(end) - time(*fed));
        }
        *fed = end;
        let mut samples = Vec::new();
        self.line.push(buffer, &mut samples)?;
        self.take(&samples, out)
    }

    fn collect(&mut self, out: &mut VecDeque<Packet>) -> Result<(), EncodeError> {
        let mut samples = Vec::new();
        self.line.collect(&mut samples)?;
        self.take(&samples, out)
    }

    fn take(
        &mut self,
        samples: &[gst::Sample],
        out: &mut VecDeque<Packet>,
    ) -> Result<(), EncodeError> {
        for sample in samples {
            if self.packets == 0 {
                self.check_config(sample)?;
            }
            let buffer = sample.buffer().ok_or_else(|| self.line.broken("an empty output"))?;
            let map = buffer
                .map_readable()
                .map_err(|_| self.line.broken("an output that cannot be read"))?;
            let Timeline::Running { origin, .. } = self.timeline else { return Ok(()) };
            // Packets that begin before the first sample hold nothing but the encoder's delay.
            if let Some(start) = self.next_start().and_then(|n| u64::try_from(n).ok())
                && start >= origin
            {
                out.push_back(Packet { start, data: map.to_vec() });
            }
            self.packets += 1;
        }
        Ok(())
    }

    /// The file says "AAC-LC, 48 kHz, so many channels": the encoder must mean the same.
    fn check_config(&self, sample: &gst::Sample) -> Result<(), EncodeError> {
        let config = sample
            .caps()
            .and_then(|caps| caps.structure(0))
            .and_then(|s| s.get::<gst::Buffer>("codec_data").ok())
            .ok_or_else(|| self.line.broken("sound without a description"))?;
        let mut found = [0; 2];
        if config.copy_to_slice(0, &mut found).is_err() || found != config_of(self.channels) {
            return Err(self.line.broken("its sound is not AAC-LC at 48 kHz"));
        }
        Ok(())
    }
}

/// The `AudioSpecificConfig` of AAC-LC at 48 kHz (ISO/IEC 14496-3, 1.6.2.1): object type 2, frequency
/// index 3, channels, then three bits that are 0.
pub(super) const fn config_of(channels: u8) -> [u8; 2] {
    [2 << 3 | 3 >> 1, (3 & 1) << 7 | channels << 3]
}

/// Bits per second: 64 kbit/s keep speech natural in mono; two channels share much.
pub(super) const fn bitrate(channels: u8) -> u32 {
    if channels == 1 { 64_000 } else { 96_000 }
}

fn open(element: &'static str, channels: u8) -> Result<Line, EncodeError> {
    let start = |reason: String| EncodeError::Start { element: element.into(), reason };
    let make = |name: &str| gst::ElementFactory::make(name).build();
    let encoder = make(element).map_err(|_| start("not installed".into()))?;
    if encoder.find_property("bitrate").is_some() {
        encoder.set_property_from_str("bitrate", &bitrate(channels).to_string());
    }
    let convert = make("audioconvert").map_err(|e| start(e.to_string()))?;
    let mut input = gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("rate", i32::try_from(RATE).unwrap_or(i32::MAX))
        .field("channels", i32::from(channels));
    if channels == 2 {
        input = input.field("channel-mask", gst::Bitmask::new(3));
    }
    let output = gst::Caps::builder("audio/mpeg")
        .field("mpegversion", 4)
        .field("stream-format", "raw")
        .build();
    Line::start(&input.build(), &[convert, encoder.clone()], &encoder, &output, STALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes packets and finds the first loud sample, on the recording's timeline.
    fn click_of(packets: &VecDeque<Packet>, channels: u8) -> u64 {
        let make = |name: &str| gst::ElementFactory::make(name).build().unwrap();
        let (decoder, convert) = (make("avdec_aac"), make("audioconvert"));
        let input = gst::Caps::builder("audio/mpeg")
            .field("mpegversion", 4)
            .field("stream-format", "raw")
            .field("framed", true)
            .field("rate", 48_000)
            .field("channels", i32::from(channels))
            .field("codec_data", gst::Buffer::from_slice(config_of(channels)))
            .build();
        let output =
            gst::Caps::builder("audio/x-raw").field("format", "F32LE").field("channels", 1).build();
        let mut line =
            Line::start(&input, &[decoder.clone(), convert], &decoder, &output, STALL).unwrap();
        let mut out = Vec::new();
        for packet in packets {
            line.push(gst::Buffer::from_slice(packet.data.clone()), &mut out).unwrap();
        }
        line.finish(&mut out).unwrap();
        let bytes: Vec<u8> =
            out.iter().flat_map(|s| s.buffer().unwrap().map_readable().unwrap().to_vec()).collect();
        let loud = bytes
            .chunks_exact(4)
            .position(|b| f32::from_le_bytes(b.try_into().unwrap()).abs() > 0.2)
            .expect("a click");
        packets[0].start + loud as u64
    }

    #[test]
    fn the_delay_of_every_encoder_is_taken_out() {
        gst::init().unwrap();
        for encoder in ENCODERS {
            for channels in [1, 2] {
                let mut sound = Sound::with(encoder, channels).unwrap();
                let mut packets = VecDeque::new();
                let mut samples = vec![0.0; 48_000 * usize::from(channels)];
                // Twenty cycles of a full 2 kHz square wave, 0.6 s into the recording.
                let click = 28_800;
                for n in 0..480 {
                    let value = if n / 12 % 2 == 0 { 0.9 } else { -0.9 };
                    let at = (click - 4800 + n) * usize::from(channels);
                    samples[at..at + usize::from(channels)].fill(value);
                }
                let start = Pts::from_nanos(100_000_000);
                sound.push(AudioChunk { pts: start, samples }, Some(start), &mut packets).unwrap();
                sound.finish(start, Pts::from_nanos(1_100_000_000), &mut packets).unwrap();
                // All 48000 samples are there, and what begins before the first is not.
                let first = packets[0].start;
                assert!((4800..4800 + PACKET).contains(&first), "{encoder:?}: {first}");
                let last = packets[packets.len() - 1].start + PACKET;
                assert!((52_800..52_800 + PACKET).contains(&last), "{encoder:?}: {last}");
                let off = click_of(&packets, channels).abs_diff(click as u64);
                // A quarter of a millisecond: how early the filters of AAC let a click be heard.
                assert!(off <= 12, "{encoder:?}, {channels} channels: {off} samples off");
            }
        }
    }

    #[test]
    fn values_that_are_no_numbers_do_not_stop_the_encoder() {
        gst::init().unwrap();
        let mut sound = Sound::start(AudioFormat { rate: RATE, channels: 1 }).unwrap();
        let mut packets = VecDeque::new();
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 0.5];
        let samples = odd.into_iter().cycle().take(48_000).collect();
        sound.push(AudioChunk { pts: Pts::ZERO, samples }, Some(Pts::ZERO), &mut packets).unwrap();
        sound.finish(Pts::ZERO, Pts::from_nanos(1_000_000_000), &mut packets).unwrap();
        assert_eq!(packets.len(), 47);
    }
}
