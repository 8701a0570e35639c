//! Pictures and sound in, segments out: what stock tools find in them is what was pushed.
//!
//! Every picture carries its number as a bar code, so that a lost, doubled or swapped picture is
//! seen after decoding, not only counted.

use std::{fs, io::Cursor, ops::Range, path::Path, process::Command, time::Duration};

use classveil::{
    capture::{AudioChunk, AudioFormat, VideoFormat},
    encode::{
        EncodeError, Encoder, EncoderChoice, FRAMES_HELD, MediaSegment, Preset, Settings,
        mp4::{self, JoinError},
    },
    error::{ErrorKind, Kind},
    frame::{Frame, FrameSize, I420View, Raw, SlotPool},
    units::Pts,
    veil::{Cover, Style, Verdict, redact::Redactor},
};

const RATE: u64 = 48_000;
/// Side of one bar, large enough to survive any compression.
const BAR: usize = 16;
/// Bars of a number.
const BITS: usize = 12;

fn format(width: u32, height: u32) -> VideoFormat {
    VideoFormat {
        size: FrameSize::new(width, height),
        framerate: Some((30, 1)),
        pixel_aspect: (1, 1),
        colorimetry: None,
    }
}

fn settings(encoder: EncoderChoice) -> Settings {
    Settings { encoder, segment: Duration::from_secs(2), ..Settings::default() }
}

const SOFTWARE: [EncoderChoice; 2] = [EncoderChoice::X264, EncoderChoice::OpenH264];

/// Makes pictures: a bar code of the number along the top, a moving gradient below.
struct Painter {
    pool: SlotPool,
    redactor: Redactor,
}

impl Painter {
    fn new(size: FrameSize) -> Self {
        Self { pool: SlotPool::new(size, FRAMES_HELD + 1), redactor: Redactor::new(Style::Fill) }
    }

    fn paint(
        &mut self,
        seq: u64,
        pts: Pts,
        luma: impl Fn(usize, usize) -> u8,
    ) -> Frame<classveil::veil::redact::Redacted> {
        let size = self.pool.layout().size();
        let (w, h) = (size.width as usize, size.height as usize);
        let y: Vec<u8> = (0..w * h).map(|i| luma(i % w, i / w)).collect();
        let chroma = vec![128; w.div_ceil(2) * h.div_ceil(2)];
        // The pool is exactly as large as the encoder promises: a slot is free at once.
        let mut slot = self.pool.try_take().expect("the encoder holds more than FRAMES_HELD");
        let view = I420View {
            size,
            y: &y,
            u: &chroma,
            v: &chroma,
            luma_stride: w,
            chroma_stride: w.div_ceil(2),
        };
        slot.fill(&view).unwrap();
        let frame: Frame<Raw> = Frame::new(slot, seq, pts);
        self.redactor.redact(frame, Some(&Verdict { seq, cover: Cover::Regions(vec![]) }))
    }

    fn numbered(&mut self, seq: u64, pts: Pts) -> Frame<classveil::veil::redact::Redacted> {
        self.paint(seq, pts, |x, y| {
            if y < BAR && x < BAR * BITS {
                if seq >> (x / BAR) & 1 == 1 { 235 } else { 16 }
            } else {
                u8::try_from((x + y + 3 * usize::try_from(seq).unwrap()) % 160 + 40).unwrap()
            }
        })
    }
}

/// Encodes one picture at each of `times`.
fn encode(video: &VideoFormat, settings: &Settings, times: &[Pts]) -> Vec<MediaSegment> {
    let mut encoder = Encoder::start(video, None, settings).unwrap();
    let mut painter = Painter::new(video.size);
    let mut segments = Vec::new();
    for (seq, &pts) in (0..).zip(times) {
        segments.extend(encoder.push_video(painter.numbered(seq, pts)).unwrap());
    }
    segments.extend(encoder.finish().unwrap());
    segments
}

fn steady(frames: u64, from: Duration) -> Vec<Pts> {
    (0..frames)
        .map(|n| Pts::ZERO.plus(from).plus(Duration::from_nanos(n * 1_000_000_000 / 30)))
        .collect()
}

/// Ticks of 90 kHz, as the file has them.
fn ticks(pts: Pts) -> i64 {
    i64::try_from((u128::from(pts.nanos()) * 9 + 50_000) / 100_000).unwrap()
}

/// Runs a tool that must have nothing to complain about and returns its output.
fn tool(name: &str, args: &[&str], file: &Path) -> Vec<u8> {
    let args: Vec<_> =
        args.iter().map(|&a| if a == "FILE" { file.to_str().unwrap() } else { a }).collect();
    let out = Command::new(name).args(&args).output().unwrap();
    let complaint = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && complaint.is_empty(), "{name} {args:?}: {complaint}");
    out.stdout
}

fn probe(file: &Path, args: &[&str]) -> Vec<Vec<String>> {
    let mut all = vec!["-v", "warning", "-of", "csv=p=0"];
    all.extend(args);
    all.push("FILE");
    let text = String::from_utf8(tool("ffprobe", &all, file)).unwrap();
    let fields = |line: &str| line.split(',').map(str::to_owned).collect();
    text.lines().filter(|line| !line.is_empty()).map(fields).collect()
}

/// Time in ticks and key flag of every picture.
fn packets(file: &Path) -> Vec<(i64, bool)> {
    probe(file, &["-select_streams", "v", "-show_entries", "packet=pts,flags"])
        .iter()
        .map(|f| (f[0].parse().unwrap(), f[1].starts_with('K')))
        .collect()
}

/// Decodes all pictures to their luma.
fn pictures(file: &Path, width: usize, height: usize) -> Vec<Vec<u8>> {
    #[rustfmt::skip]
    let args = [
        "-v", "warning", "-i", "FILE", "-map", "0:v", "-fps_mode", "passthrough",
        "-enc_time_base", "-1", "-f", "rawvideo", "-pix_fmt", "gray", "-",
    ];
    let grey = tool("ffmpeg", &args, file);
    assert_eq!(grey.len() % (width * height), 0);
    grey.chunks_exact(width * height).map(<[u8]>::to_vec).collect()
}

/// Decodes all pictures and reads their numbers.
fn numbers(file: &Path, width: usize, height: usize) -> Vec<u64> {
    let bar = |picture: &[u8], bit| picture[BAR / 2 * width + bit * BAR + BAR / 2] > 128;
    pictures(file, width, height)
        .iter()
        .map(|picture| (0..BITS).map(|bit| u64::from(bar(picture, bit)) << bit).sum())
        .collect()
}

/// Writes segments as files, each with a comment of its own.
fn files(segments: Vec<MediaSegment>) -> Vec<Vec<u8>> {
    segments
        .into_iter()
        .map(|s| {
            let comment = format!("segment {}", s.number());
            s.into_mp4(&comment).unwrap()
        })
        .collect()
}

fn joined(files: &[Vec<u8>]) -> (Vec<u8>, mp4::Summary) {
    let mut out = Cursor::new(Vec::new());
    let summary = mp4::join(files.iter().map(Vec::as_slice), &mut out).unwrap();
    (out.into_inner(), summary)
}

fn on_disk(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    fs::write(file.path(), bytes).unwrap();
    file
}

/// A short run of a 1 kHz tone as a click, silence elsewhere.
fn sound(range: Range<u64>, click: Option<u64>, channels: u8) -> AudioChunk {
    let pts = Pts::from_nanos(range.start * 1_000_000_000 / RATE);
    let value = |n: u64| match click {
        Some(at) if (at..at + 240).contains(&n) => {
            0.8 * (f64::from(u32::try_from(n - at).unwrap()) * 0.131 + 1.57).sin()
        }
        _ => 0.0,
    };
    #[expect(clippy::cast_possible_truncation, reason = "samples are below 1")]
    let samples =
        range.flat_map(|n| std::iter::repeat_n(value(n) as f32, channels.into())).collect();
    AudioChunk { pts, samples }
}

/// Decoded sound of the first channel, with the time of its first sample in samples.
fn decoded_sound(file: &Path) -> (u64, Vec<f32>) {
    let first = &probe(file, &["-select_streams", "a", "-show_entries", "packet=pts"])[0][0];
    let bytes = tool(
        "ffmpeg",
        &["-v", "warning", "-i", "FILE", "-map", "0:a", "-ac", "1", "-f", "f32le", "-"],
        file,
    );
    let samples = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    (first.parse().unwrap(), samples.collect())
}

/// When the decoded sound first gets loud, in samples of the recording's timeline.
fn click_of(file: &Path) -> u64 {
    let (start, samples) = decoded_sound(file);
    let at = samples.iter().position(|v| v.abs() > 0.2).expect("a click");
    start + at as u64
}

#[test]
fn every_picture_comes_out_once_at_its_own_time() {
    for choice in SOFTWARE {
        let times = steady(200, Duration::from_millis(850));
        let segments = encode(&format(640, 360), &settings(choice), &times);
        // A segment begins with the first picture two seconds or more after its predecessor's.
        let ranges: Vec<_> = segments.iter().map(MediaSegment::frames).collect();
        assert_eq!(ranges, [0..60, 60..120, 120..180, 180..200], "{choice:?}");
        assert_eq!(segments[1].start(), times[60]);
        assert_eq!(segments[0].end(), times[60]);
        assert_eq!(segments.iter().map(MediaSegment::number).collect::<Vec<_>>(), [1, 2, 3, 4]);

        let files = files(segments);
        for (bytes, range) in files.iter().zip(&ranges) {
            let file = on_disk(bytes);
            let expected: Vec<_> = range
                .clone()
                .map(|seq| (ticks(times[usize::try_from(seq).unwrap()]), seq == range.start))
                .collect();
            assert_eq!(packets(file.path()), expected, "{choice:?}: times and key frames");
            // Each is decoded alone.
            assert_eq!(numbers(file.path(), 640, 360), range.clone().collect::<Vec<_>>());
        }

        let (whole, summary) = joined(&files);
        assert_eq!((summary.segments, summary.frames), (4, 200));
        assert_eq!(summary.duration.as_millis(), 6666);
        let file = on_disk(&whole);
        let found: Vec<_> = packets(file.path()).iter().map(|p| p.0).collect();
        assert_eq!(found, times.iter().copied().map(ticks).collect::<Vec<_>>());
        assert_eq!(numbers(file.path(), 640, 360), (0..200).collect::<Vec<_>>());
        let about =
            probe(file.path(), &["-show_entries", "stream=codec_name,profile,has_b_frames"]);
        assert_eq!(about, [["h264", "Constrained Baseline", "0"]]);
        let about =
            probe(file.path(), &["-show_entries", "format=start_time,duration:format_tags"]);
        // Room is kept for the comment of the whole recording.
        assert!(about[0].iter().any(|tag| tag.trim_end() == "segment 1"), "{about:?}");
        // Players count from the start of the recording, where this one has no picture yet.
        assert_eq!(about[0][..2], ["0.850000", "7.516667"]);
    }
}

/// An encoder whose effort changes in the middle goes on in the same stream, from a segment's first
/// picture on, and loses none.
#[test]
fn less_effort_begins_with_a_segment_and_goes_on_in_the_same_stream() {
    for (choice, preset) in [
        (EncoderChoice::X264, Preset::Superfast),
        (EncoderChoice::X264, Preset::Medium),
        (EncoderChoice::OpenH264, Preset::Medium),
    ] {
        let settings = Settings { preset, ..settings(choice) };
        let video = format(640, 360);
        let times = steady(260, Duration::ZERO);
        let mut encoder = Encoder::start(&video, None, &settings).unwrap();
        assert!(encoder.can_lighten(&settings), "{choice:?} {preset:?}");
        let mut painter = Painter::new(video.size);
        let mut segments = Vec::new();
        for (seq, &pts) in (0..).zip(&times) {
            // In the middle of the first segment, and back in that of the third.
            encoder.lighten((20..140).contains(&seq));
            segments.extend(encoder.push_video(painter.numbered(seq, pts)).unwrap());
        }
        segments.extend(encoder.finish().unwrap());
        let ranges: Vec<_> = segments.iter().map(MediaSegment::frames).collect();
        assert_eq!(ranges, [0..60, 60..120, 120..180, 180..240, 240..260]);
        let files = files(segments);
        for (bytes, range) in files.iter().zip(&ranges) {
            let file = on_disk(bytes);
            assert_eq!(numbers(file.path(), 640, 360), range.clone().collect::<Vec<_>>());
        }
        let (whole, _) = joined(&files);
        let file = on_disk(&whole);
        let found: Vec<_> = packets(file.path()).iter().map(|p| p.0).collect();
        assert_eq!(found, times.iter().copied().map(ticks).collect::<Vec<_>>());
        assert_eq!(numbers(file.path(), 640, 360), (0..260).collect::<Vec<_>>());
    }
    let settings = settings(EncoderChoice::X264);
    let mut lightest = Encoder::start(&format(640, 360), None, &settings).unwrap();
    assert!(!lightest.can_lighten(&settings));
}

#[test]
fn other_presets_stay_within_the_main_profile() {
    for preset in [Preset::Superfast, Preset::Medium] {
        let settings = Settings { preset, threads: Some(4), ..settings(EncoderChoice::X264) };
        let files = files(encode(&format(640, 360), &settings, &steady(70, Duration::ZERO)));
        let file = on_disk(&joined(&files).0);
        assert_eq!(numbers(file.path(), 640, 360), (0..70).collect::<Vec<_>>());
        assert_eq!(probe(file.path(), &["-show_entries", "stream=profile"]), [["Main"]]);
    }
}

#[test]
fn odd_sizes_are_encoded_one_row_and_column_larger() {
    for choice in SOFTWARE {
        let files =
            files(encode(&format(853, 479), &settings(choice), &steady(10, Duration::ZERO)));
        let file = on_disk(&files[0]);
        let size = probe(file.path(), &["-show_entries", "stream=width,height"]);
        assert_eq!(size, [["854", "480"]]);
        assert_eq!(numbers(file.path(), 854, 480), (0..10).collect::<Vec<_>>());
    }
}

#[test]
fn a_variable_rate_keeps_its_times() {
    // Bursts, gaps, a segment with one picture, and pictures at the very same time.
    let ms = [0, 1, 2, 40, 40, 40, 41, 500, 501, 1999, 2000, 9000, 9001, 11_000, 11_017, 30_000];
    let times: Vec<_> = ms.iter().map(|&ms| Pts::from_nanos(ms * 1_000_000 + 123)).collect();
    let video = VideoFormat { framerate: None, ..format(320, 240) };
    for choice in SOFTWARE {
        let segments = encode(&video, &settings(choice), &times);
        let ranges: Vec<_> = segments.iter().map(MediaSegment::frames).collect();
        assert_eq!(ranges, [0..10, 10..11, 11..13, 13..15, 15..16]);
        let file = on_disk(&joined(&files(segments)).0);
        let mut expected: Vec<_> = times.iter().copied().map(ticks).collect();
        // Three pictures share 40 ms; they are spread one tick apart.
        expected[4] += 1;
        expected[5] += 2;
        assert_eq!(packets(file.path()).iter().map(|p| p.0).collect::<Vec<_>>(), expected);
        assert_eq!(numbers(file.path(), 320, 240), (0..16).collect::<Vec<_>>());
    }
}

#[test]
fn pictures_further_apart_than_a_segment_are_segments_of_their_own() {
    let times: Vec<Pts> = (0..12).map(|n| Pts::from_nanos(n * 2_500_000_000)).collect();
    for encoder in [EncoderChoice::X264, EncoderChoice::OpenH264] {
        for threads in [1, 2, 4] {
            let settings = Settings { threads: Some(threads), ..settings(encoder) };
            let segments = encode(&format(320, 240), &settings, &times);
            let starts: Vec<Pts> = segments.iter().map(MediaSegment::start).collect();
            assert_eq!(starts, times, "{encoder:?}, {threads} threads");
        }
    }
}

#[test]
fn the_comment_comes_back_whatever_it_says() {
    let long =
        format!(r#"{{"purpose":"coaching","note":"één \"ünïcode\" 漢字 {}"}}"#, "x".repeat(20_000));
    for comment in ["", r#"{"delete_by":"2026-12-24"}"#, &long] {
        let segment =
            encode(&format(320, 240), &settings(EncoderChoice::X264), &steady(3, Duration::ZERO))
                .pop()
                .unwrap();
        let file = on_disk(&segment.into_mp4(comment).unwrap());
        let json =
            tool("ffprobe", &["-v", "warning", "-of", "json", "-show_format", "FILE"], file.path());
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let tags = json["format"]["tags"].as_object().unwrap();
        assert_eq!(tags.get("comment").and_then(|c| c.as_str()).unwrap_or_default(), comment);
        let names: Vec<_> = tags.keys().map(String::as_str).filter(|k| *k != "comment").collect();
        assert_eq!(names, ["compatible_brands", "encoder", "major_brand", "minor_version"]);
    }
}

#[test]
fn pixel_shape_and_colour_are_kept() {
    for choice in SOFTWARE {
        let video = VideoFormat {
            pixel_aspect: (16, 15),
            colorimetry: Some("bt709".into()),
            ..format(720, 576)
        };
        let files = files(encode(&video, &settings(choice), &steady(3, Duration::ZERO)));
        let file = on_disk(&files[0]);
        let about = probe(
            file.path(),
            &[
                "-show_entries",
                "stream=sample_aspect_ratio,color_range,color_space,color_transfer,color_primaries",
            ],
        );
        assert_eq!(about, [["16:15", "tv", "bt709", "bt709", "bt709"]], "{choice:?}");
    }
}

#[test]
fn a_flash_and_a_click_stay_together() {
    for (channels, start_ms) in [(1, 0), (2, 0), (1, 850)] {
        let video = format(320, 240);
        let audio = AudioFormat { rate: 48_000, channels };
        let mut encoder =
            Encoder::start(&video, Some(audio), &settings(EncoderChoice::Auto)).unwrap();
        let mut painter = Painter::new(video.size);
        let times = steady(150, Duration::from_millis(start_ms));
        let flash = 90;
        let click = times[flash].nanos() * 3 / 62_500;
        let mut segments = Vec::new();
        let mut heard = 0;
        for (seq, &pts) in (0..).zip(&times) {
            // Sound from the very start, in uneven chunks, a little ahead of the pictures.
            while heard * 1_000_000_000 / RATE < pts.nanos() + 100_000_000 {
                let next = heard + 700 + heard % 613;
                let chunk = sound(heard..next, Some(click), channels);
                segments.extend(encoder.push_audio(chunk).unwrap());
                heard = next;
            }
            let luma = if seq == flash as u64 { 235 } else { 16 };
            let frame = painter.paint(seq, pts, |_, _| luma);
            segments.extend(encoder.push_video(frame).unwrap());
        }
        segments.extend(encoder.finish().unwrap());
        assert_eq!(segments.len(), 3);

        let file = on_disk(&joined(&files(segments)).0);
        let first = packets(file.path())[0].0;
        assert_eq!(first, i64::try_from(start_ms * 90).unwrap(), "the picture keeps its offset");
        let (sound_start, samples) = decoded_sound(file.path());
        assert_eq!(sound_start, 0, "sound is there from the start");
        let end = times[149].nanos() * 3 / 62_500 + 1600;
        assert!(samples.len() as u64 >= end, "the sound covers the pictures");
        let found = click_of(file.path());
        let off = found.abs_diff(click);
        assert!(off <= 48, "{channels} channels, {start_ms} ms: click is {off} samples off");
        let shown = pictures(file.path(), 320, 240);
        assert_eq!(shown.iter().position(|picture| picture[9999] > 128), Some(flash));
    }
}

#[test]
fn missing_sound_becomes_silence() {
    let video = format(320, 240);
    let audio = AudioFormat { rate: 48_000, channels: 1 };
    let mut encoder = Encoder::start(&video, Some(audio), &settings(EncoderChoice::X264)).unwrap();
    let mut painter = Painter::new(video.size);
    let mut segments = Vec::new();
    let times = steady(240, Duration::from_millis(100));
    // Starts 0.4 s after the pictures, has a hole from 2 s to 5 s, repeats 20 ms, ends at 6 s.
    let plan = [24_000..96_000, 240_000..264_000, 263_040..288_000];
    let click = 250_000;
    for range in plan {
        for start in range.clone().step_by(4800) {
            let end = (start + 4800).min(range.end);
            segments.extend(encoder.push_audio(sound(start..end, Some(click), 1)).unwrap());
        }
    }
    for (seq, &pts) in (0..).zip(&times) {
        segments.extend(encoder.push_video(painter.numbered(seq, pts)).unwrap());
    }
    segments.extend(encoder.finish().unwrap());
    let ranges: Vec<_> = segments.iter().map(MediaSegment::frames).collect();
    assert_eq!(ranges, [0..60, 60..120, 120..180, 180..240]);
    let files = files(segments);
    let file = on_disk(&joined(&files).0);
    let (start, samples) = decoded_sound(file.path());
    assert_eq!(start, 4800, "the track begins with the first picture");
    let end = times[239].nanos() * 3 / 62_500 + 1600;
    let covered = start + samples.len() as u64;
    assert!((end..end + 1024).contains(&covered), "covers {covered} of {end}");
    assert!(click_of(file.path()).abs_diff(click) <= 48);
    // Without holes in between.
    let times: Vec<u64> =
        probe(file.path(), &["-select_streams", "a", "-show_entries", "packet=pts"])
            .iter()
            .map(|f| f[0].parse().unwrap())
            .collect();
    assert!(times.windows(2).all(|w| w[1] == w[0] + 1024));
    // Every segment has the sound that is heard with its pictures.
    for bytes in &files {
        let file = on_disk(bytes);
        let sound: u64 =
            probe(file.path(), &["-select_streams", "a", "-show_entries", "packet=pts"])[0][0]
                .parse()
                .unwrap();
        let pictures = u64::try_from(packets(file.path())[0].0).unwrap();
        assert!((sound * 15).abs_diff(pictures * 8) < 1024 * 15);
    }
}

#[test]
fn sound_that_never_comes_holds_nothing_up_for_ever() {
    let video = VideoFormat { framerate: Some((5, 1)), ..format(320, 240) };
    let audio = AudioFormat { rate: 48_000, channels: 2 };
    let mut encoder = Encoder::start(&video, Some(audio), &settings(EncoderChoice::X264)).unwrap();
    let mut painter = Painter::new(video.size);
    let mut early = 0;
    for seq in 0..150 {
        let pts = Pts::from_nanos(seq * 200_000_000);
        early += encoder.push_video(painter.numbered(seq, pts)).unwrap().len();
        // The encoder of the sound works on a thread of its own.
        if seq > 100 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert!(early >= 8, "{early} of 15 segments while it was running");
    let late = encoder.finish().unwrap();
    assert_eq!(early + late.len(), 15);
    let file = on_disk(&late.into_iter().last().unwrap().into_mp4("").unwrap());
    assert!(decoded_sound(file.path()).1.iter().all(|v| v.abs() < 0.001));
}

#[test]
fn sound_that_comes_after_the_first_picture_may_start_before_it() {
    let video = format(320, 240);
    let audio = AudioFormat { rate: 48_000, channels: 1 };
    let mut encoder = Encoder::start(&video, Some(audio), &settings(EncoderChoice::X264)).unwrap();
    let mut painter = Painter::new(video.size);
    let mut segments = Vec::new();
    for (seq, &pts) in (0..).zip(&steady(30, Duration::from_millis(850))) {
        segments.extend(encoder.push_video(painter.numbered(seq, pts)).unwrap());
    }
    segments.extend(encoder.push_audio(sound(0..96_000, Some(12_000), 1)).unwrap());
    segments.extend(encoder.finish().unwrap());
    let file = on_disk(&files(segments)[0]);
    assert_eq!(decoded_sound(file.path()).0, 0);
    assert!(click_of(file.path()).abs_diff(12_000) <= 48);
    assert_eq!(packets(file.path())[0].0, 76_500);
}

#[test]
fn gstreamer_reads_the_joined_file_too() {
    use gstreamer::prelude::*;
    let files = files(encode(
        &format(640, 360),
        &settings(EncoderChoice::X264),
        &steady(150, Duration::ZERO),
    ));
    let file = on_disk(&joined(&files).0);
    let line = format!(
        "filesrc location={} ! qtdemux ! h264parse ! avdec_h264 ! appsink name=out sync=false",
        file.path().display()
    );
    let pipeline = gstreamer::parse::launch(&line).unwrap();
    let out = pipeline.downcast_ref::<gstreamer::Bin>().unwrap().by_name("out").unwrap();
    let out = out.downcast::<gstreamer_app::AppSink>().unwrap();
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    let mut times = Vec::new();
    while let Ok(sample) = out.pull_sample() {
        times.push(sample.buffer().unwrap().pts().unwrap().nseconds());
    }
    // It goes by the duration that the beginning of the file states.
    let duration = pipeline.query_duration::<gstreamer::ClockTime>().unwrap();
    assert_eq!(duration.mseconds(), 5000);
    pipeline.set_state(gstreamer::State::Null).unwrap();
    assert_eq!(times.len(), 150);
    assert!(
        times.iter().zip(steady(150, Duration::ZERO)).all(|(t, p)| t.abs_diff(p.nanos()) < 6000)
    );
}

#[test]
fn what_cannot_be_encoded_is_refused() {
    let video = format(320, 240);
    let start =
        |video: &VideoFormat, audio| Encoder::start(video, audio, &settings(EncoderChoice::X264));
    let mut painter = Painter::new(video.size);

    let mut encoder = start(&video, None).unwrap();
    assert_eq!(encoder.name(), "x264enc");
    encoder.push_video(painter.numbered(5, Pts::from_nanos(500))).unwrap();
    let older = encoder.push_video(painter.numbered(6, Pts::from_nanos(499))).unwrap_err();
    assert!(matches!(older, EncodeError::Order { seq: 6, .. }));
    let twice = encoder.push_video(painter.numbered(5, Pts::from_nanos(900))).unwrap_err();
    assert!(matches!(twice, EncodeError::Order { seq: 5, .. }));
    let other = Painter::new(FrameSize::new(322, 240)).numbered(7, Pts::from_nanos(900));
    assert_eq!(encoder.push_video(other).unwrap_err().kind(), ErrorKind::Config);
    let sound = encoder.push_audio(sound(0..10, None, 1)).unwrap_err();
    assert_eq!(sound.kind(), ErrorKind::Bug);

    for (w, h) in [(0, 240), (8, 8), (100_000, 240)] {
        let error = start(&format(w, h), None).unwrap_err();
        assert!(matches!(error, EncodeError::Size { .. }), "{error}");
    }
    for (rate, channels) in [(44_100, 2), (48_000, 0), (48_000, 6)] {
        let error = start(&video, Some(AudioFormat { rate, channels })).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }
    // Without a picture there is nothing to keep.
    assert!(start(&video, None).unwrap().finish().unwrap().is_empty());
}

#[test]
fn only_whole_segments_in_order_are_joined() {
    let times = steady(130, Duration::ZERO);
    let good = files(encode(&format(320, 240), &settings(EncoderChoice::X264), &times));
    let other = files(encode(&format(322, 240), &settings(EncoderChoice::X264), &times));
    let [a, b, c] = [&good[0][..], &good[1][..], &good[2][..]];
    let join = |parts: &[&[u8]]| {
        mp4::join(parts.iter().copied(), Cursor::new(Vec::new())).map(|s| s.frames)
    };
    assert_eq!(join(&[a, b, c]).unwrap(), 130);
    assert_eq!(join(&[b, c]).unwrap(), 70);
    assert!(matches!(join(&[a, c, b]), Err(JoinError::Order { segment: 3 })));
    assert!(matches!(join(&[a, a]), Err(JoinError::Order { segment: 2 })));
    assert!(matches!(join(&[a, &other[1]]), Err(JoinError::OtherTracks { segment: 2 })));
    assert!(matches!(join(&[]), Err(JoinError::Empty)));
    for cut in [0, 7, 20, 400, b.len() / 2, b.len() - 1] {
        let error = join(&[a, &b[..cut]]).unwrap_err();
        assert!(matches!(error, JoinError::Damaged { segment: 2, .. }), "{cut}: {error}");
    }
}

#[test]
fn segments_can_be_appended_as_they_are() {
    // What a Media Source buffer is given: one complete file after the other.
    let times = steady(130, Duration::ZERO);
    let files = files(encode(&format(320, 240), &settings(EncoderChoice::X264), &times));
    let (whole, _) = joined(&files);
    // Behind the first one's beginning, the joined file is the same bytes.
    let media = |bytes: &[u8]| {
        let at = bytes.windows(4).position(|w| w == b"moof").unwrap();
        bytes[at - 4..].to_vec()
    };
    assert_eq!(media(&whole), files.iter().flat_map(|f| media(f)).collect::<Vec<_>>());
}
