//! What is recorded from, and what of it must not come along.

use std::{fs, path::Path};

use classveil::vision::identify::Embedding;

use crate::{
    eyes::{Eyes, Pictures, SAME, SURE},
    media::{Clips, ffprobe, frame_times, sample},
    scene::{Recorded, School, text},
    support::photo,
};

use super::assert_same_times;

const REFUSED: [&str; 4] = ["--policy", "refused", "--dpia", "D"];
const KEEP: [&str; 8] = [
    "--policy",
    "refused",
    "--dpia",
    "D",
    "--audio",
    "keep",
    "--audio-reason",
    "the teacher's questions are what we look at",
];

/// No face is that of the refused man, and the other man is to be seen: the picture is not simply
/// gone, and stands upright.
#[track_caller]
fn assert_looked_after(eyes: &mut Eyes, man: &Embedding, name: &str, opened: &Path) {
    let pictures = Pictures::of(opened);
    let mut others = 0;
    for (index, picture) in pictures.iter().enumerate().step_by(3) {
        for face in eyes.faces(&picture, SURE) {
            let cosine = face.cosine(man);
            assert!(cosine < SAME, "{name}, frame {index}: the refused man at {cosine:.2}");
            others += 1;
        }
    }
    assert!(6 * others > pictures.len(), "{name}: {others} of {}", pictures.len());
}

/// Sizes, formats, rates and turns that a camera or a phone makes.
#[test]
fn every_kind_of_file_is_recorded() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let mut eyes = Eyes::new();
    let man = eyes.person(&photo(&sample("obama.jpg")));
    let from = sample("obama_speech.mp4");
    let from = format!("-t 3.5 -i {}", from.display());
    let x264 = "-c:v libx264 -preset ultrafast -crf 18";
    let lying = clips.make("lying.mp4", &format!("{from} -vf transpose=2 {x264} -an"));
    let vfr = "select='not(eq(mod(n\\,7)\\,3))+gt(n\\,30)*eq(mod(n\\,5)\\,0)'";
    for (name, args, size) in [
        (
            "vfr.mp4",
            format!("{from} -vf {vfr} -vsync vfr {x264} -bf 3 -pix_fmt yuv420p -an"),
            "320,240",
        ),
        ("odd.mp4", format!("{from} -vf scale=853:479 {x264} -pix_fmt yuv444p -an"), "854,480"),
        (
            "turned.mp4",
            format!("-i {} -c copy -metadata:s:v:0 rotate=270", lying.display()),
            "320,240",
        ),
        ("422.mp4", format!("{from} {x264} -pix_fmt yuv422p -an"), "320,240"),
        (
            "10-bit.mkv",
            format!(
                "{from} -c:v libx265 -preset ultrafast -x265-params log-level=error \
                 -pix_fmt yuv420p10le -an"
            ),
            "320,240",
        ),
    ] {
        let clip = clips.make(name, &args);
        let recorded = school.record(&clip, &REFUSED);
        let opened = school.open(&recorded.folder);
        assert_same_times(&opened, &clip);
        let streams = ffprobe(&opened, "-show_entries stream=codec_name,width,height,pix_fmt");
        assert_eq!(streams, [format!("h264,{size},yuv420p")], "{name}");
        assert_eq!(
            ffprobe(&opened, "-show_entries stream_side_data"),
            [""],
            "{name}: no turn left"
        );
        assert_looked_after(&mut eyes, &man, name, &opened);
    }
}

/// When the first loud sample is heard, in seconds on the file's own timeline.
fn first_beep(school: &School, path: &Path) -> f64 {
    let start: f64 =
        ffprobe(path, "-select_streams a -show_entries packet=pts_time -read_intervals %+#1")[0]
            .parse()
            .expect("a time");
    let args = [
        "-nostdin",
        "-loglevel",
        "error",
        "-i",
        text(path),
        "-map",
        "0:a",
        "-ac",
        "1",
        "-ar",
        "48000",
        "-f",
        "s16le",
        "-",
    ];
    let raw = school.stock(path.parent().expect("a folder"), "ffmpeg", &args);
    let loud = raw
        .chunks_exact(2)
        .position(|b| i16::from_le_bytes([b[0], b[1]]).unsigned_abs() > 1500)
        .expect("a beep");
    start.max(0.0) + loud as f64 / 48_000.0
}

/// When the picture turns bright.
fn first_flash(path: &Path) -> f64 {
    let bright = Pictures::of(path)
        .iter()
        .position(|p| crate::eyes::spread(&p, p.size.rect()).0 > 150.0)
        .expect("a flash");
    ffprobe(path, "-select_streams v -show_entries frame=best_effort_timestamp_time")[bright]
        .split(',')
        .next()
        .and_then(|time| time.parse().ok())
        .expect("a time")
}

/// A file whose picture starts 0.85 s after its sound keeps that distance, and a flash stays with
/// its beep.
#[test]
fn sound_stays_in_step() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let video = "-itsoffset 0.85 -f lavfi -i \
                 color=black:s=320x240:r=25:d=5,drawbox=t=fill:c=white:enable='between(t,2,2.4)'";
    let beep = "-f lavfi -i aevalsrc=0.5*sin(5000*t)*between(t\\,2.85\\,3.25):d=6:s=44100";
    for (name, channels, args) in [
        ("stereo.mp4", 2, "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -ac 2"),
        ("mono.mkv", 1, "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a pcm_s16le -ac 1"),
    ] {
        let clip = clips.make(name, &format!("{video} {beep} -vsync passthrough {args}"));
        let Recorded { folder, .. } = school.record(&clip, &KEEP);
        let opened = school.open(&folder);
        let times = frame_times(&opened);
        assert!((times[0] - 0.85).abs() < 0.02, "{name}: the picture starts at {}", times[0]);
        assert_same_times(&opened, &clip);
        let streams =
            ffprobe(&opened, "-select_streams a -show_entries stream=codec_name,channels");
        assert_eq!(streams, [format!("aac,{channels}")], "{name}");
        let (flash, beep) = (first_flash(&opened), first_beep(&school, &opened));
        assert!((flash - 2.85).abs() < 0.05, "{name}: the flash is at {flash}");
        assert!((flash - beep).abs() < 0.05, "{name}: flash {flash}, beep {beep}");
        let details: serde_json::Value =
            serde_json::from_slice(&school.unseal(&folder, "details.json.age")).unwrap();
        assert_eq!(details["audio_reason"], KEEP[7]);
        let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
        assert!(!manifest.contains("questions"), "the reason is for key holders");
    }
}

/// Sound is off unless asked for; asked for, it needs a reason; where there is none, the recording
/// says so.
#[test]
fn sound_needs_a_reason() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let clip = clips
        .make("short.mp4", &format!("-t 1 -i {} -c copy", sample("obama_speech.mp4").display()));
    let refused = school.try_record(&clip, &KEEP[..6]).ended(64);
    assert!(refused.err.contains("--audio-reason"), "{}", refused.err);
    assert!(school.recordings().is_empty());
    let recorded = school.record(&clip, &REFUSED);
    assert_eq!(recorded.manifest()["audio"], false);
    let opened = school.open(&recorded.folder);
    assert_eq!(ffprobe(&opened, "-show_entries stream=codec_type"), ["video"]);
    let silent = clips.make("silent.mp4", &format!("-i {} -an -c copy", clip.display()));
    let recorded = school.record(&silent, &KEEP);
    assert_eq!(recorded.manifest()["audio"], false);
    assert!(recorded.err.contains("notice: the input has no sound"), "{}", recorded.err);
    assert_eq!(
        ffprobe(&school.open(&recorded.folder), "-show_entries stream=codec_type"),
        ["video"]
    );
}

/// Titles, places, captions, chapters, covers, data streams: nothing but picture and sound.
#[test]
fn nothing_else_of_the_source_comes_along() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let subtitles =
        clips.write("s.srt", b"1\n00:00:00,000 --> 00:00:02,000\nJan de Vries, 06-12345678\n\n");
    let chapters = clips.write(
        "chapters.txt",
        b";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=Jan de Vries\n",
    );
    let secret = "Jan_de_Vries";
    let inputs = format!(
        "-t 2 -i {} -i {} -i {} -i {} -map 0:v -map 0:a -map 1 -map 3 -map_metadata 2 -map_chapters 2",
        sample("obama_speech.mp4").display(),
        subtitles.display(),
        chapters.display(),
        sample("thai_people.jpg").display(),
    );
    let tags = format!(
        "-metadata title={secret} -metadata artist={secret} -metadata comment={secret} \
         -metadata location=+52.3702+004.8952/ -metadata:s:v:0 handler_name={secret} \
         -metadata:s:a:0 language=nld -metadata creation_time=2019-03-04T05:06:07Z"
    );
    let codec = format!(
        "-c:v:0 libx264 -pix_fmt yuv420p -c:v:1 copy -disposition:v:1 attached_pic -c:a aac \
         -bsf:v:0 h264_metadata=sei_user_data=086f3693-b7b3-4f2c-9653-21492feee5b8+{secret}"
    );
    for (name, more) in [("phone.mov", "-c:s mov_text"), ("editor.mkv", "-c:s srt")] {
        let clip = clips.make(name, &format!("{inputs} {tags} {codec} {more}"));
        let bytes = fs::read(&clip).unwrap();
        for there in ["Jan de Vries", secret, "52.3702"] {
            assert!(holds(&bytes, there), "{name} should hold {there}");
        }
        let Recorded { folder, .. } = school.record(&clip, &KEEP);
        let opened = school.open(&folder);
        assert_eq!(frame_times(&opened).len(), 24, "{name}");
        let segment = school.path("segment.mp4");
        fs::write(&segment, school.unseal(&folder, "cam1/000001.mp4.age")).unwrap();
        for path in [&opened, &segment] {
            let kinds = ffprobe(path, "-show_entries stream=codec_type");
            assert_eq!(kinds, ["video", "audio"], "{name}");
            assert!(ffprobe(path, "-show_chapters").is_empty(), "{name}");
            let tags =
                ffprobe(path, "-of default -show_entries format_tags:stream_tags").join("\n");
            for tag in tags.lines().filter(|line| line.starts_with("TAG:")) {
                let key = tag["TAG:".len()..].split('=').next().expect("a key");
                let ours = [
                    "major_brand",
                    "minor_version",
                    "compatible_brands",
                    "comment",
                    "encoder",
                    "language",
                    "handler_name",
                    "vendor_id",
                    "creation_time",
                ];
                assert!(ours.contains(&key), "{name}: {tag}");
            }
            assert!(!tags.contains("2019") && !tags.contains("nld"), "{name}: {tags}");
            let bytes = fs::read(path).unwrap();
            for gone in ["Jan de Vries", secret, "52.3702", "JFIF", "06-12345678"] {
                assert!(!holds(&bytes, gone), "{name}: {gone} came along");
            }
        }
        for (file, what) in [("manifest.json", "manifest"), ("segments.jsonl", "journal")] {
            assert!(
                !holds(&fs::read(folder.join(file)).unwrap(), "phone"),
                "{what} names the file"
            );
        }
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Only files, RTSP and cameras are opened; nothing is written for anything else.
#[test]
fn other_inputs_are_refused() {
    let school = School::with_refused_man();
    for (input, code, says) in [
        ("http://127.0.0.1:9/x.mp4", 64, "http"),
        ("https://127.0.0.1:9/x.mp4", 64, "https"),
        ("file:///etc/hostname", 64, "file"),
        ("v4l2:///dev/video0", 64, "v4l2"),
        ("rtmp://127.0.0.1/live", 64, "rtmp"),
        ("videotestsrc:", 64, "videotestsrc"),
        ("-", 66, "-"),
        ("/dev/zero", 64, "/dev/zero"),
        ("home", 64, "a directory"),
        ("nothing.mp4", 66, "nothing.mp4"),
        ("rtsp://user:secret@127.0.0.1/x", 64, "--credentials"),
        ("rtsp://127.0.0.1:9/x", 75, "127.0.0.1:9"),
    ] {
        let said = school.try_record(Path::new(input), &REFUSED);
        assert!(said.err.contains(says), "{input}: {}", said.err);
        assert!(!said.err.contains("secret"), "{input}: {}", said.err);
        assert_eq!(said.code, Some(code), "{input}: {}", said.err);
        assert!(school.recordings().is_empty(), "{input}");
    }
}

/// A file that breaks off or is broken in the middle ends in words, with what was complete sealed.
#[test]
fn broken_files_are_sealed_as_far_as_they_go() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let mut eyes = Eyes::new();
    let man = eyes.person(&photo(&sample("obama.jpg")));
    let from = sample("obama_speech.mp4");
    let x264 = "-c:v libx264 -preset ultrafast -crf 18 -g 24 -pix_fmt yuv420p -an";
    for (name, args) in [
        ("faststart.mp4", format!("{x264} -movflags +faststart")),
        ("matroska.mkv", x264.to_owned()),
        ("stream.ts", x264.to_owned()),
    ] {
        let whole = clips.make(name, &format!("-i {} {args}", from.display()));
        let mut bytes = fs::read(&whole).unwrap();
        let cut = clips.write(&format!("cut-{name}"), &bytes[..bytes.len() * 3 / 4]);
        let middle = bytes.len() / 2;
        for byte in &mut bytes[middle..middle + 3000] {
            *byte ^= 0x5a;
        }
        let broken = clips.write(&format!("broken-{name}"), &bytes);
        for clip in [cut, broken] {
            let said = school.try_record(&clip, &["--dpia", "D", "--segment", "2 s"]);
            let name = clip.file_name().expect("a name").to_string_lossy().into_owned();
            println!("{name}: {:?} {}", said.code, said.err);
            assert!([Some(0), Some(65)].contains(&said.code), "{name}: {}", said.err);
            assert!(!said.err.contains("panicked"), "{name}: {}", said.err);
            let code = said.code;
            let recorded = school.recorded(said);
            if name.starts_with("broken") && code == Some(0) {
                // Then the recording is whole, and it says what the source lacked.
                let warnings = recorded.json["warnings"].as_array().unwrap();
                assert!(!warnings.is_empty(), "{name}: {}", recorded.json);
                assert!(recorded.err.contains("warning: "), "{name}: {}", recorded.err);
            }
            let frames = recorded.json["frames_out"].as_u64().unwrap();
            assert!((40..=105).contains(&frames), "{name}: {frames}");
            assert_eq!(recorded.json["frames_in"], recorded.json["frames_out"], "{name}");
            assert_eq!(recorded.manifest()["state"], "sealed", "{name}");
            let opened = school.open(&recorded.folder);
            assert_eq!(frame_times(&opened).len() as u64, frames, "{name}");
            assert_looked_after(&mut eyes, &man, &name, &opened);
        }
    }
    // Where the sound is not read, nobody knows whether it is longer or the file is cut.
    let args = format!("-i {} -c copy -movflags +faststart", from.display());
    let whole = clips.make("with-sound.mp4", &args);
    let bytes = fs::read(&whole).unwrap();
    let cut = clips.write("cut-with-sound.mp4", &bytes[..bytes.len() / 2]);
    let said = school.try_record(&cut, &REFUSED).ended(0);
    assert!(said.err.contains("it may have been cut"), "{}", said.err);
    assert!(said.json()["warnings"][0].as_str().unwrap().contains("the input says it lasts"));
    // Without its index nothing can be found in an MP4 file: nothing is recorded.
    let whole = fs::read(&from).unwrap();
    let before = school.recordings().len();
    let cut = clips.write("cut.mp4", &whole[..whole.len() / 2]);
    let said = school.try_record(&cut, &REFUSED).ended(65);
    assert!(said.err.contains("cut.mp4"), "{}", said.err);
    assert_eq!(school.recordings().len(), before);
}
