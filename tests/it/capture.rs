//! Promise: a file's frames come out exactly once with their own times, cameras never block, and
//! every bad input ends in words.

use std::{hash::Hasher, path::Path, time::Duration};

use classveil::{
    capture::{
        AudioChunk, AudioFormat, Capture, CaptureError, Event, Input, Settings, Synthetic,
        VideoFormat,
    },
    error::{ErrorKind, Kind},
    frame::{FrameSize, PlaneLayout},
};

use gstreamer_rtsp_server::gst_rtsp::RTSPLowerTrans;

use crate::media::{Clips, Login, PASSWORD, RtspServer, USER, frame_times, sample};

const PATIENCE: Duration = Duration::from_secs(20);

fn with_audio() -> Settings {
    Settings { audio: true, ..Settings::default() }
}

fn file(path: &Path) -> Input {
    Input::parse(path.to_str().expect("a UTF-8 path"), None).expect("a file")
}

/// All that came out of an input.
struct Take {
    video: VideoFormat,
    audio: Option<AudioFormat>,
    /// Seconds.
    times: Vec<f64>,
    damaged: Vec<bool>,
    /// A digest of each frame's luma.
    digests: Vec<u64>,
    /// Mean luma of the quarters of the first frame: left and right above, left and right below.
    quarters: [f64; 4],
    /// When the whole picture turned white for the first time.
    flash: Option<f64>,
    /// Mean luma of the uppermost and of the middle row of the last frame.
    rows: (f64, f64),
    sound: Vec<AudioChunk>,
    lost: Option<CaptureError>,
}

impl Take {
    /// When the sound became loud for the first time.
    fn beep(&self) -> Option<f64> {
        let channels = usize::from(self.audio?.channels);
        self.sound.iter().find_map(|chunk| {
            let at = chunk.samples.iter().position(|sample| sample.abs() > 0.05)? / channels;
            Some(chunk.pts.seconds() + f64::from(u32::try_from(at).expect("short")) / 48_000.0)
        })
    }

    fn sound_seconds(&self) -> f64 {
        let channels = f64::from(self.audio.expect("sound").channels);
        let samples: usize = self.sound.iter().map(|chunk| chunk.samples.len()).sum();
        f64::from(u32::try_from(samples).expect("short")) / channels / 48_000.0
    }
}

fn mean(plane: &[u8], stride: usize, x: std::ops::Range<usize>, y: std::ops::Range<usize>) -> f64 {
    let (mut sum, mut count) = (0u32, 0u32);
    for row in y {
        for &value in &plane[row * stride..][x.clone()] {
            sum += u32::from(value);
            count += 1;
        }
    }
    f64::from(sum) / f64::from(count)
}

fn take(input: &Input, settings: &Settings) -> Take {
    drain(Capture::open(input, settings).expect("opens"))
}

fn drain(mut capture: Capture) -> Take {
    let mut take = Take {
        video: capture.video().clone(),
        audio: capture.audio(),
        times: Vec::new(),
        damaged: Vec::new(),
        digests: Vec::new(),
        quarters: [0.0; 4],
        flash: None,
        rows: (0.0, 0.0),
        sound: Vec::new(),
        lost: None,
    };
    loop {
        match capture.next(PATIENCE).expect("goes on").expect("comes in time") {
            Event::Video(frame) => {
                take.times.push(frame.pts.seconds());
                take.damaged.push(frame.damaged);
                let view = frame.view();
                assert_eq!(view.size, take.video.size);
                let (w, h) = (view.size.width as usize, view.size.height as usize);
                let mut digest = std::hash::DefaultHasher::new();
                for row in 0..h {
                    digest.write(&view.y[row * view.luma_stride..][..w]);
                }
                take.digests.push(digest.finish());
                let part = |x, y| mean(view.y, view.luma_stride, x, y);
                if take.times.len() == 1 {
                    take.quarters = [
                        part(0..w / 2, 0..h / 2),
                        part(w / 2..w, 0..h / 2),
                        part(0..w / 2, h / 2..h),
                        part(w / 2..w, h / 2..h),
                    ];
                }
                if take.flash.is_none() && part(0..w, 0..h) > 200.0 {
                    take.flash = Some(frame.pts.seconds());
                }
                take.rows = (part(0..w, 0..1), part(0..w, h / 2..h / 2 + 1));
                // The last chroma sample of an odd size is there too.
                let last = (h.div_ceil(2) - 1) * view.chroma_stride + w.div_ceil(2) - 1;
                assert!(view.u.len() > last && view.v.len() > last);
            }
            Event::Audio(chunk) => take.sound.push(chunk),
            Event::End => break,
            Event::Lost(error) => {
                take.lost = Some(error);
                break;
            }
        }
    }
    capture.stop();
    take
}

#[track_caller]
fn assert_times(name: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{name}: {got:.3?} for {expected:.3?}");
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= tolerance, "{name}, frame {index}: {got} for {expected}");
    }
}

const SOURCE: &str = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=2";
const TONE: &str = "-f lavfi -i sine=frequency=440:sample_rate=44100:duration=2";

/// Times and counts as ffprobe sees them, whatever container and codec.
#[test]
fn every_frame_comes_once_at_its_own_time() {
    let clips = Clips::new();
    let h264 = "-c:v libx264 -preset ultrafast -bf 0 -g 25 -pix_fmt yuv420p";
    let reordered = "-c:v libx264 -preset medium -bf 3 -g 25 -pix_fmt yuv420p";
    let vfr = "-vf select='not(eq(mod(n\\,7)\\,3))+gt(n\\,30)*eq(mod(n\\,5)\\,0)' -vsync vfr";
    for (name, args) in [
        ("constant.mp4", format!("{SOURCE} {h264}")),
        ("constant.mkv", format!("{SOURCE} {h264}")),
        ("ntsc.mov", format!("{} {h264}", SOURCE.replace("25", "30000/1001"))),
        (
            "vp9.webm",
            format!("{SOURCE} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv420p"),
        ),
        (
            "vp8.webm",
            format!("{SOURCE} -c:v libvpx -deadline realtime -cpu-used 8 -pix_fmt yuv420p"),
        ),
        ("constant.avi", format!("{SOURCE} -c:v mpeg4 -bf 0 -q:v 5")),
        ("mjpeg.avi", format!("{SOURCE} -c:v mjpeg -q:v 5")),
        ("constant.ts", format!("{SOURCE} {h264}")),
        ("reordered.mp4", format!("{SOURCE} {reordered}")),
        ("reordered.mkv", format!("{SOURCE} {reordered}")),
        ("reordered.ts", format!("{SOURCE} {reordered}")),
        ("vfr.mp4", format!("{SOURCE} {vfr} {reordered}")),
        ("vfr.mkv", format!("{SOURCE} {vfr} {h264}")),
        (
            "hevc.mp4",
            format!(
                "{SOURCE} -c:v libx265 -preset ultrafast -x265-params log-level=error -pix_fmt yuv420p"
            ),
        ),
        ("sound.mp4", format!("{SOURCE} {TONE} {reordered} -c:a aac")),
        ("sound.mkv", format!("{SOURCE} {TONE} {reordered} -c:a libopus")),
        ("interlaced.mp4", format!("{SOURCE} -vf interlace -flags +ildct+ilme {h264}")),
    ] {
        let path = clips.make(name, &args);
        let expected = frame_times(&path);
        assert!(expected.len() > 20, "{name}: {expected:?}");
        let take = take(&file(&path), &Settings::default());
        assert!(take.lost.is_none(), "{name}: {:?}", take.lost);
        // Matroska counts in milliseconds.
        assert_times(name, &take.times, &expected, 0.0011);
        assert!(take.damaged.iter().all(|damaged| !damaged), "{name}");
    }
}

/// Sound and picture keep their distance: the picture starts 0.85 s late.
#[test]
fn a_late_picture_stays_late() {
    let clips = Clips::new();
    let late = SOURCE.replace("-f lavfi", "-itsoffset 0.85 -f lavfi");
    for (name, audio) in [("late.mp4", "aac"), ("late.mkv", "libopus"), ("late.mov", "pcm_s16le")] {
        let args =
            format!("{late} {TONE} -vsync vfr -c:v libx264 -bf 2 -pix_fmt yuv420p -c:a {audio}");
        let path = clips.make(name, &args);
        let expected = frame_times(&path);
        assert!((expected[0] - 0.85).abs() < 0.02, "{name}: {}", expected[0]);
        for settings in [Settings::default(), with_audio()] {
            let take = take(&file(&path), &settings);
            assert_times(name, &take.times, &expected, 0.0011);
            if settings.audio {
                let first = take.sound.first().expect("sound").pts.seconds();
                assert!(first < 0.03, "{name}: sound starts at {first}");
                let seconds = take.sound_seconds();
                assert!((seconds - 2.0).abs() < 0.06, "{name}: {seconds} s of sound");
                assert_eq!(take.audio, Some(AudioFormat { rate: 48_000, channels: 1 }));
            } else {
                assert!(take.sound.is_empty() && take.audio.is_none());
            }
        }
    }
    // A transport stream may cut the sound before its first clock reference, and keeps lip sync.
    let args = format!("{SOURCE} {TONE} -c:v libx264 -bf 2 -pix_fmt yuv420p -c:a aac");
    let path = clips.make("sound.ts", &args);
    let expected = frame_times(&path);
    let take = take(&file(&path), &with_audio());
    let expected: Vec<_> = expected.iter().map(|time| time - expected[0]).collect();
    assert_times("sound.ts", &take.times, &expected, 0.0011);
    assert!(take.sound[0].pts.seconds() < 0.03, "{:?}", take.sound[0].pts);
}

/// A clip that flashes and beeps at `at` seconds, at 25 Hz.
fn flash_and_beep(clips: &Clips, name: &str, at: f64, codec: &str) -> std::path::PathBuf {
    let (from, to) = (at, at + 0.4);
    let args = format!(
        "-f lavfi -i color=black:s=320x240:r=25:d=4,drawbox=w=iw:h=ih:t=fill:c=white:\
         enable='between(t\\,{from}\\,{to})' -f lavfi -i \
         sine=frequency=440:sample_rate=48000:duration=4,volume=4,volume=0:\
         enable='not(between(t\\,{from}\\,{to}))' {codec}"
    );
    clips.make(name, &args.replace("fill:c=white: enable", "fill:c=white:enable"))
}

/// What is heard and what is seen at one moment have one time.
#[test]
fn a_flash_and_its_beep_come_together() {
    let clips = Clips::new();
    for (name, codec) in [
        ("flash.mp4", "-c:v libx264 -bf 3 -pix_fmt yuv420p -c:a aac"),
        ("flash.mkv", "-c:v libx264 -bf 0 -pix_fmt yuv420p -c:a libopus"),
        ("flash.ts", "-c:v libx264 -bf 3 -pix_fmt yuv420p -c:a aac"),
        ("flash.avi", "-c:v mpeg4 -c:a pcm_s16le"),
        ("flash.webm", "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libvorbis"),
    ] {
        let path = flash_and_beep(&clips, name, 1.0, codec);
        let take = take(&file(&path), &with_audio());
        let (flash, beep) = (take.flash.expect("a flash"), take.beep().expect("a beep"));
        assert!((flash - beep).abs() < 0.03, "{name}: flash {flash}, beep {beep}");
    }
}

/// Sound comes as mono or stereo at 48 kHz, whatever it was.
#[test]
fn sound_is_mono_or_stereo() {
    let clips = Clips::new();
    let video = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    for (name, channels, expected) in
        [("mono.mp4", "1", 1), ("stereo.mp4", "2", 2), ("surround.mp4", "6", 2)]
    {
        let path = clips.make(name, &format!("{SOURCE} {TONE} {video} -c:a aac -ac {channels}"));
        let take = take(&file(&path), &with_audio());
        assert_eq!(take.audio, Some(AudioFormat { rate: 48_000, channels: expected }), "{name}");
        assert!((take.sound_seconds() - 2.0).abs() < 0.06, "{name}: {}", take.sound_seconds());
        // Pieces join: each starts where the one before it ended.
        for pair in take.sound.windows(2) {
            let frames = u32::try_from(pair[0].samples.len()).expect("few") / u32::from(expected);
            let end = pair[0].pts.seconds() + f64::from(frames) / 48_000.0;
            assert!((pair[1].pts.seconds() - end).abs() < 0.001, "{name}: {end}");
        }
        let loudest = take.sound.iter().flat_map(|c| &c.samples).fold(0.0f32, |a, &s| a.max(s));
        assert!((0.02..=1.0).contains(&loudest), "{name}: {loudest}");
        assert_eq!(take.times.len(), 50, "{name}");
    }
    let path = clips.make("silent.mp4", &format!("{SOURCE} {video}"));
    assert_eq!(take(&file(&path), &with_audio()).audio, None);
}

/// Odd sizes, other chroma and more bits come out as I420 of the true size.
#[test]
fn every_picture_format_becomes_i420_of_its_own_size() {
    let clips = Clips::new();
    let odd = "-f lavfi -i testsrc2=size=854x480:rate=25:duration=1,scale=853:479";
    let hevc = "-c:v libx265 -preset ultrafast -x265-params log-level=error";
    for (name, args, size) in [
        ("odd.mp4", format!("{odd} -c:v libx264 -preset ultrafast -pix_fmt yuv444p"), (853, 479)),
        (
            "odd.webm",
            format!("{odd} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv420p"),
            (853, 479),
        ),
        ("odd.avi", format!("{odd} -c:v mjpeg -pix_fmt yuvj420p"), (853, 479)),
        (
            "422.mp4",
            format!("{SOURCE} -c:v libx264 -preset ultrafast -pix_fmt yuv422p"),
            (320, 240),
        ),
        (
            "h264-10.mp4",
            format!("{SOURCE} -c:v libx264 -preset ultrafast -pix_fmt yuv420p10le"),
            (320, 240),
        ),
        ("hevc-10.mkv", format!("{SOURCE} {hevc} -pix_fmt yuv420p10le"), (320, 240)),
        (
            "vp9-10.webm",
            format!(
                "{SOURCE} -c:v libvpx-vp9 -profile:v 2 -deadline realtime -cpu-used 8 -pix_fmt yuv420p10le"
            ),
            (320, 240),
        ),
        ("prores.mov", format!("{SOURCE} -c:v prores_ks -pix_fmt yuv422p10le"), (320, 240)),
        ("gray.mkv", format!("{SOURCE} -c:v ffv1 -pix_fmt gray"), (320, 240)),
        ("rgb.avi", format!("{SOURCE} -c:v png -pix_fmt rgb24"), (320, 240)),
    ] {
        let path = clips.make(name, &args);
        let expected = frame_times(&path);
        let take = take(&file(&path), &Settings::default());
        assert!(take.lost.is_none(), "{name}: {:?}", take.lost);
        assert_eq!(take.video.size, FrameSize::new(size.0, size.1), "{name}");
        assert_times(name, &take.times, &expected, 0.0011);
        let bright = take.quarters.iter().sum::<f64>() / 4.0;
        assert!((60.0..200.0).contains(&bright), "{name}: mean luma {bright}");
    }
    let anamorphic =
        clips.make("par.mp4", &format!("{SOURCE},setsar=4/3 -c:v libx264 -pix_fmt yuv420p"));
    assert_eq!(take(&file(&anamorphic), &Settings::default()).video.pixel_aspect, (4, 3));
}

/// A picture is not copied on its way out of the decoder: its rows are padded as decoders pad them.
#[test]
fn pictures_come_in_the_decoders_own_memory() {
    let clips = Clips::new();
    let (size, codec) = (FrameSize::new(330, 240), "-c:v libx264 -bf 2 -pix_fmt yuv420p");
    let path = clips.make("odd.mp4", &format!("{} {codec}", SOURCE.replace("320", "330")));
    let mut capture = Capture::open(&file(&path), &Settings::default()).expect("opens");
    let mut pictures = 0;
    while let Event::Video(frame) = capture.next(PATIENCE).expect("goes on").expect("comes in time")
    {
        let copied = PlaneLayout::new(size).luma_stride();
        assert!(frame.view().luma_stride > copied, "picture {pictures}: rows of {copied} bytes");
        pictures += 1;
    }
    assert_eq!(pictures, 50);
}

/// The orientation tag is obeyed (ffmpeg 5 counts it against the clock); the white quarter goes where a player shows it.
#[test]
fn rotated_video_stands_upright() {
    let clips = Clips::new();
    let white = "-f lavfi -i color=black:s=320x240:r=25:d=1,drawbox=w=160:h=120:t=fill:c=white";
    let plain = clips.make("plain.mp4", &format!("{white} -c:v libx264 -bf 2 -pix_fmt yuv420p"));
    for (degrees, size, bright) in
        [(0, (320, 240), 0), (90, (240, 320), 2), (180, (320, 240), 3), (270, (240, 320), 1)]
    {
        let name = format!("{degrees}.mp4");
        let from = plain.display();
        let args = format!("-i {from} -c copy -metadata:s:v:0 rotate={degrees}");
        let path = clips.make(&name, &args);
        let take = take(&file(&path), &Settings::default());
        assert_eq!(take.video.size, FrameSize::new(size.0, size.1), "{name}");
        assert_times(&name, &take.times, &frame_times(&path), 0.0011);
        for (quarter, luma) in take.quarters.iter().enumerate() {
            assert_eq!(*luma > 120.0, quarter == bright, "{name}: {:?}", take.quarters);
        }
    }
}

/// A size that changes on the way is brought to the first one, with bars, and loses no frame.
#[test]
fn a_new_size_is_fitted_into_the_first_one() {
    let clips = Clips::new();
    let codec = "-c:v libx264 -preset ultrafast -bf 0 -g 25 -pix_fmt yuv420p";
    let first = clips.make("first.ts", &format!("{SOURCE} {codec}"));
    let white = "-f lavfi -i color=white:s=640x240:r=25:d=2";
    let second = clips.make("second.ts", &format!("{white} {codec} -output_ts_offset 2"));
    let both = [first, second].map(|path| std::fs::read(path).expect("a clip")).concat();
    let path = clips.write("both.ts", &both);
    let take = take(&file(&path), &Settings::default());
    assert!(take.lost.is_none(), "{:?}", take.lost);
    assert_eq!(take.times.len(), 100);
    assert_eq!(take.video.size, FrameSize::new(320, 240));
    assert!(take.rows.0 < 40.0 && take.rows.1 > 200.0, "bars above: {:?}", take.rows);
    assert!(take.times.windows(2).all(|pair| pair[1] > pair[0]));
}

/// Only the first picture and sound are read: other streams do not even have to be decodable.
#[test]
fn other_streams_stay_behind() {
    let clips = Clips::new();
    let text = "1\n00:00:00,000 --> 00:00:02,000\nJan de Vries, 06-12345678\n\n";
    let subtitles = clips.write("names.srt", text.as_bytes());
    let args = format!(
        "{SOURCE} -f lavfi -i color=white:s=64x64:r=10:d=2 {TONE} {TONE} -i {} -map 0 -map 1 -map 2 \
         -map 3 -map 4 -c:v libx264 -pix_fmt yuv420p -c:a aac -c:s srt -metadata title=Jan \
         -metadata location=+52.37+004.89/",
        subtitles.display()
    );
    let path = clips.make("many.mkv", &args);
    let take = take(&file(&path), &with_audio());
    assert!(take.lost.is_none(), "{:?}", take.lost);
    assert_eq!(take.video.size, FrameSize::new(320, 240));
    assert_eq!(take.times.len(), 50);
    assert!((take.sound_seconds() - 2.0).abs() < 0.06, "{}", take.sound_seconds());
}

#[track_caller]
fn refused(path: &Path, settings: &Settings, kind: ErrorKind, part: &str) {
    let error = Capture::open(&file(path), settings).expect_err("is refused");
    assert!(error.to_string().contains(part), "{error} for {part}");
    assert_eq!(error.kind(), kind, "{error}");
}

/// Every file that is no video ends in words, soon.
#[test]
fn bad_files_end_in_words() {
    let clips = Clips::new();
    let settings = Settings::default();
    refused(
        &clips.write("empty.mp4", b""),
        &settings,
        ErrorKind::DataLoss,
        "empty.mp4 is not a media",
    );
    let text = "pupil_id,class,status,since\n".repeat(2000);
    refused(
        &clips.write("list.csv", text.as_bytes()),
        &settings,
        ErrorKind::DataLoss,
        "not a media",
    );
    let noise: Vec<u8> =
        (0u32..200_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    refused(&clips.write("noise.bin", &noise), &settings, ErrorKind::DataLoss, "noise.bin");
    let sound = clips.make("sound.m4a", &format!("{TONE} -c:a aac"));
    refused(&sound, &settings, ErrorKind::Config, "sound.m4a has no video stream");
    refused(&sound, &with_audio(), ErrorKind::Config, "sound.m4a has no video stream");
    // A list would send the program elsewhere.
    let list = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttp://127.0.0.1:9/1.ts\n\
                #EXT-X-ENDLIST\n";
    refused(
        &clips.write("list.m3u8", list.as_bytes()),
        &settings,
        ErrorKind::Config,
        "not followed",
    );
    let session = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                   m=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
    refused(
        &clips.write("camera.sdp", session.as_bytes()),
        &settings,
        ErrorKind::Config,
        "not followed",
    );
    // The index is gone: nothing can be found in it.
    let whole = clips.make("whole.mp4", &format!("{SOURCE} -c:v libx264 -pix_fmt yuv420p"));
    let bytes = std::fs::read(whole).expect("a clip");
    refused(
        &clips.write("cut.mp4", &bytes[..bytes.len() / 2]),
        &settings,
        ErrorKind::DataLoss,
        "cut.mp4",
    );
}

/// Broken bytes on the way: a picture that comes out other than it went in is marked, and a file
/// that ends early is lost.
#[test]
fn broken_pictures_are_marked() {
    let clips = Clips::new();
    for (name, codec, ends_early) in [
        ("h264.mp4", "-c:v libx264 -preset medium -bf 2 -g 25 -pix_fmt yuv420p", false),
        ("h264.mkv", "-c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p", true),
        ("vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25", true),
        ("mpeg4.avi", "-c:v mpeg4 -g 25", false),
        ("mjpeg.avi", "-c:v mjpeg", false),
    ] {
        let path = clips.make(name, &format!("{SOURCE} {codec}"));
        let whole = take(&file(&path), &Settings::default());
        assert!(whole.damaged.iter().all(|damaged| !damaged), "{name}");
        let mut bytes = std::fs::read(&path).expect("a clip");
        let middle = bytes.len() * 2 / 5;
        for byte in &mut bytes[middle..middle + 1500] {
            *byte ^= 0x5a;
        }
        let path = clips.write(&format!("broken-{name}"), &bytes);
        let broken = take(&file(&path), &Settings::default());
        assert!(broken.times.len() > 15, "{name}: {} frames", broken.times.len());
        for (index, time) in broken.times.iter().enumerate() {
            let same = whole.times.iter().position(|whole| (whole - time).abs() < 1e-6);
            let unchanged = same.is_some_and(|same| whole.digests[same] == broken.digests[index]);
            assert!(unchanged || broken.damaged[index], "{name}: frame {index} at {time}");
        }
        match broken.lost {
            Some(error) if ends_early => {
                assert_eq!(error.kind(), ErrorKind::DataLoss, "{name}");
                assert!(error.to_string().contains("ends at 0."), "{name}: {error}");
            }
            other => assert!(other.is_none() && !ends_early, "{name}: {other:?}"),
        }
    }
}

/// The computed source is the same every time, in pictures, sound and times.
#[test]
fn the_synthetic_source_is_exact() {
    let synthetic = Synthetic {
        size: FrameSize::new(321, 241),
        framerate: (30, 1),
        frames: 60,
        audio_channels: Some(1),
        live: false,
    };
    let input = Input::Synthetic(synthetic);
    let take_one = take(&input, &with_audio());
    assert_eq!(take_one.video.size, synthetic.size);
    assert_eq!(take_one.video.framerate, Some((30, 1)));
    let expected: Vec<_> = (0..60).map(|n| f64::from(n) / 30.0).collect();
    assert_times("synthetic", &take_one.times, &expected, 1e-6);
    assert!((take_one.sound_seconds() - 2.0).abs() < 0.03);
    assert_eq!(take(&input, &with_audio()).sound, take_one.sound);
}

/// A live source does not wait: who is slow sees the newest frames, a count of the others, and gaps.
#[test]
fn a_live_source_displaces_what_nobody_takes() {
    let input = Input::Synthetic(Synthetic {
        size: FrameSize::new(64, 48),
        framerate: (50, 1),
        frames: 100,
        audio_channels: None,
        live: true,
    });
    let mut capture = Capture::open(&input, &Settings::default()).expect("opens");
    let (mut taken, mut last) = (0, None);
    while let Event::Video(frame) = capture.next(PATIENCE).expect("goes on").expect("in time") {
        if taken == 0 {
            assert_eq!(frame.pts.nanos(), 0, "time starts with the first frame");
            assert_eq!(capture.displaced(), 0);
        }
        assert!(last.is_none_or(|last| frame.pts > last));
        (taken, last) = (taken + 1, Some(frame.pts));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(taken < 40, "{taken}");
    assert!(capture.displaced() + taken <= 100 && capture.displaced() > 40);
}

/// The sample clip: 105 frames, as the facts about it say.
#[test]
fn the_sample_clip_comes_whole() {
    let path = sample("obama_speech.mp4");
    let settings = Settings { decode_threads: Some(2), ..with_audio() };
    let input = file(&path);
    let capture = Capture::open(&input, &settings).expect("opens");
    let duration = capture.duration().expect("a file has one").as_secs_f64();
    let take = drain(capture);
    assert_times("sample", &take.times, &frame_times(&path), 0.0005);
    assert_eq!(take.video.size, FrameSize::new(320, 240));
    assert!((duration - 8.75).abs() < 0.3, "{duration}");
}

fn rtsp(url: &str, credentials: Option<&Path>) -> Input {
    Input::parse(url, credentials).expect("an address")
}

/// A camera's pictures start at zero, keep their distances, and its sound is in step.
#[test]
fn an_rtsp_camera_is_recorded_with_sound() {
    let path = sample("obama_speech.mp4");
    let server = RtspServer::clip(&path, true, Login::None, RTSPLowerTrans::TCP);
    let mut capture =
        Capture::open(&rtsp(&server.url("lesson"), None), &with_audio()).expect("opens");
    assert_eq!(capture.video().size, FrameSize::new(320, 240));
    assert_eq!(capture.audio().map(|audio| audio.rate), Some(48_000));
    let (mut times, mut sound) = (Vec::new(), Vec::new());
    while times.len() < 40 {
        match capture.next(PATIENCE).expect("goes on") {
            Some(Event::Video(frame)) => {
                assert!(!frame.damaged, "{}", frame.pts);
                times.push(frame.pts.seconds());
            }
            Some(Event::Audio(chunk)) => sound.push(chunk),
            None => {}
            Some(other) => unreachable!("{other:?}"),
        }
    }
    assert!(times[0].abs() < 1e-9);
    // The clip has a frame every 83 ms. The framework evens out the camera's clock against this
    // machine's and brings sound and pictures together at the camera's first report; on a busy
    // machine a frame may give way to a newer one.
    let steps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().all(|step| (1e-6..0.8).contains(step)), "{times:.3?}");
    let missing = f64::from(u32::try_from(capture.displaced()).expect("few"));
    let expected = (39.0 + missing) / 12.0;
    assert!((times[39] - expected).abs() < 0.5, "{} for {expected}", times[39]);
    assert!(sound[0].pts.seconds() < 0.6, "{:?}", sound[0].pts);
    let last = sound.last().expect("sound");
    assert!((last.pts.seconds() - times[39]).abs() < 0.5, "{:?} at {}", last.pts, times[39]);
    capture.stop();
}

/// Sound and picture of a camera have one clock.
#[test]
fn a_camera_is_in_step_with_its_sound() {
    let clips = Clips::new();
    let codec = "-c:v libx264 -bf 0 -g 25 -pix_fmt yuv420p -c:a aac";
    let path = flash_and_beep(&clips, "flash.mp4", 2.0, codec);
    let server = RtspServer::clip(&path, true, Login::None, RTSPLowerTrans::TCP);
    let take = take(&rtsp(&server.url("lesson"), None), &with_audio());
    let (flash, beep) = (take.flash.expect("a flash"), take.beep().expect("a beep"));
    assert!((flash - beep).abs() < 0.1, "flash {flash}, beep {beep}");
}

/// The end of a stream that the camera announces is an end, not a loss.
#[test]
fn an_rtsp_stream_that_ends_is_over() {
    let clips = Clips::new();
    let path =
        clips.make("short.mp4", &format!("{SOURCE} -c:v libx264 -bf 0 -g 10 -pix_fmt yuv420p"));
    let server = RtspServer::clip(&path, false, Login::None, RTSPLowerTrans::TCP);
    let take = take(&rtsp(&server.url("lesson"), None), &with_audio());
    assert_eq!(take.audio, None);
    assert!(take.lost.is_none(), "{:?}", take.lost);
    assert!(take.times.len() >= 40, "{}", take.times.len());
}

/// Both ways of logging in work with the file, and fail in words without it.
#[test]
fn rtsp_credentials_come_from_a_file() {
    let clips = Clips::new();
    let path =
        clips.make("short.mp4", &format!("{SOURCE} -c:v libx264 -bf 0 -g 10 -pix_fmt yuv420p"));
    let secret = clips.write("camera", format!("{USER}\n{PASSWORD}\n").as_bytes());
    let wrong = clips.write("wrong", format!("{USER}\nguess\n").as_bytes());
    for file in [&secret, &wrong] {
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(file, owner_only).expect("chmod");
    }
    for login in [Login::Basic, Login::Digest] {
        let server = RtspServer::clip(&path, false, login, RTSPLowerTrans::TCP);
        let url = server.url("lesson");
        let mut capture = Capture::open(&rtsp(&url, Some(&secret)), &Settings::default())
            .unwrap_or_else(|error| unreachable!("{login:?}: {error}"));
        assert!(matches!(capture.next(PATIENCE), Ok(Some(Event::Video(_)))));
        for credentials in [None, Some(wrong.as_path())] {
            let error = Capture::open(&rtsp(&url, credentials), &Settings::default())
                .expect_err("is refused");
            assert!(matches!(error, CaptureError::Unauthorized { .. }), "{login:?}: {error:?}");
            assert_eq!(error.kind(), ErrorKind::Denied);
            assert!(!error.to_string().contains("guess"));
        }
    }
}

/// A camera that speaks UDP only is recorded over UDP.
#[test]
fn rtsp_falls_back_to_udp() {
    let clips = Clips::new();
    let path =
        clips.make("short.mp4", &format!("{SOURCE} -c:v libx264 -bf 0 -g 10 -pix_fmt yuv420p"));
    let server = RtspServer::clip(&path, false, Login::None, RTSPLowerTrans::UDP);
    let mut capture =
        Capture::open(&rtsp(&server.url("lesson"), None), &Settings::default()).expect("opens");
    for _ in 0..10 {
        assert!(matches!(capture.next(PATIENCE), Ok(Some(Event::Video(_)))));
    }
}

/// Every way in which a camera is not there has its own words, within the time allowed.
#[test]
fn absent_cameras_end_in_words() {
    let settings = Settings { open_timeout: Duration::from_secs(3), ..Settings::default() };
    let refused = |url: &str| Capture::open(&rtsp(url, None), &settings).expect_err("no camera");
    let clips = Clips::new();
    let path = clips.make("short.mp4", &format!("{SOURCE} -c:v libx264 -pix_fmt yuv420p"));
    let server = RtspServer::clip(&path, false, Login::None, RTSPLowerTrans::TCP);
    let error = refused(&server.url("elsewhere"));
    assert!(matches!(error, CaptureError::NoSuchStream { .. }), "{error:?}");
    let error = refused("rtsp://camera.invalid/lesson");
    assert!(matches!(error, CaptureError::UnknownHost { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Transient);

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    // It takes the connection and never says a word.
    let error = refused(&format!("rtsp://127.0.0.1:{port}/lesson"));
    assert!(matches!(error, CaptureError::NoPicture { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Transient);
    drop(listener);
    let error = refused(&format!("rtsp://127.0.0.1:{port}/lesson"));
    assert!(matches!(error, CaptureError::Refused { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Transient);

    let sound = RtspServer::start(
        "( audiotestsrc is-live=true ! audioconvert ! rtpL16pay name=pay0 )",
        Login::None,
        RTSPLowerTrans::TCP,
    );
    let error = refused(&sound.url("lesson"));
    assert!(matches!(error, CaptureError::NoVideo { .. }), "{error:?}");
}

/// A camera that goes away while recording is lost, soon.
#[test]
fn a_camera_that_goes_away_is_lost() {
    let path = sample("obama_speech.mp4");
    let server = RtspServer::clip(&path, false, Login::None, RTSPLowerTrans::TCP);
    let mut capture =
        Capture::open(&rtsp(&server.url("lesson"), None), &Settings::default()).expect("opens");
    for _ in 0..10 {
        assert!(matches!(capture.next(PATIENCE), Ok(Some(Event::Video(_)))));
    }
    let gone = std::time::Instant::now();
    server.hang_up();
    let error = loop {
        match capture.next(Duration::from_millis(200)).expect("goes on") {
            Some(Event::Lost(error)) => break error,
            Some(Event::End) => unreachable!("it did not end by itself"),
            _ => assert!(gone.elapsed() < Duration::from_secs(8), "nobody noticed"),
        }
    };
    assert!(gone.elapsed() < Duration::from_secs(5), "{:?}", gone.elapsed());
    assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
}

/// A device that is no camera says so; no test machine has a real one.
#[test]
fn a_device_that_is_no_camera_says_so() {
    let input = Input::V4l2("/dev/null".into());
    let error = Capture::open(&input, &Settings::default()).expect_err("is no camera");
    assert!(matches!(error, CaptureError::Device { .. }), "{error:?}");
    assert!(error.to_string().starts_with("/dev/null does not work as a camera"), "{error}");
}
