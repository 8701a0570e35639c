//! A camera that is faster than the machine. What gives way is effort first and frames at the end;
//! the frames that are left keep their times, and the refused man stays veiled in all of them.

use std::path::PathBuf;

use classveil::{
    frame::{FrameSize, I420View},
    units::Pts,
    vision::{
        detect::Detector,
        search::{Pace, Search, Searcher},
    },
};
use image::imageops;

use crate::{
    eyes::{Eyes, Pictures, SAME, SURE},
    media::{Clips, frame_times, sample},
    record::people::refused_man,
    rtsp::Camera,
    scene::{Recorded, Said, School},
    support::models,
};

use super::{REFUSED, spoilt};

/// Frames a second of the clip.
const RATE: f64 = 12.0;
/// Side of the squares of which each stands for a binary digit of a frame's number.
const DIGIT: usize = 16;

/// The sample clip twice, with each frame's number below the picture in black and white squares.
fn numbered(clips: &Clips) -> PathBuf {
    let from = sample("obama_speech.mp4");
    let digits = "geq=lum='if(lt(Y,240),lum(X,Y),if(mod(floor(N/pow(2,floor(X/16))),2),235,16))':\
                  cb='if(lt(Y,120),cb(X,Y),128)':cr='if(lt(Y,120),cr(X,Y),128)'";
    let filter = format!("pad=320:256,{digits}");
    let codec = "-c:v libx264 -preset ultrafast -crf 16 -g 12 -bf 0 -pix_fmt yuv420p -an";
    let args = format!("-stream_loop 1 -i {} -vf {filter} {codec}", from.display());
    clips.make("numbered.mp4", &args)
}

/// Which frame of the clip a picture is; none where a veil lies over its number.
fn number(pictures: &Pictures, index: usize) -> Option<usize> {
    let view = pictures.at(index);
    let luma = |digit| view.y[(240 + DIGIT / 2) * view.luma_stride + digit * DIGIT + DIGIT / 2];
    // The veil is grey; digits are black or white.
    let digit = |at| match luma(at) {
        ..=70 => Some(0),
        180.. => Some(1_usize << at),
        _ => None,
    };
    (0..10).map(digit).sum()
}

/// Records a camera with a fault until the camera ends.
fn record(fault: &str) -> (School, Recorded) {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let camera = Camera::serve(&numbered(&clips), None);
    let mut command = school.command();
    spoilt(&mut command, fault).args(school.record_args(&camera.url())).args(REFUSED);
    let said = Said::from(command.output().expect("the program was built"));
    // Whether a camera's end is a loss depends on how it says so.
    assert!([Some(0), Some(75)].contains(&said.code), "{:?} {}", said.code, said.err);
    let recorded = school.recorded(said);
    (school, recorded)
}

/// Every frame that is left is where it belongs, those that are not are counted, and in none the
/// refused man is seen.
#[track_caller]
fn assert_in_step_and_veiled(school: &School, recorded: &Recorded) -> Vec<usize> {
    let json = &recorded.json;
    let opened = school.open(&recorded.folder);
    let (times, pictures) = (frame_times(&opened), Pictures::of(&opened));
    assert_eq!(times.len(), pictures.len());
    let numbers: Vec<Option<usize>> =
        (0..pictures.len()).map(|index| number(&pictures, index)).collect();
    // Where looks are far apart a face is held, and what is held grows.
    let veiled = numbers.iter().filter(|number| number.is_none()).count();
    assert!(veiled <= 3, "{numbers:?} {json}");
    let (numbers, times): (Vec<usize>, Vec<f64>) =
        numbers.into_iter().zip(times).filter_map(|(number, time)| Some((number?, time))).unzip();
    let first = numbers[0];
    assert!(times.windows(2).all(|two| two[1] > two[0]));
    // The network's clock is found out in the first seconds, and times settle by up to half an
    // interval; a frame at another one's place would be off by a whole one.
    let off = |(&number, &time): (&usize, &f64)| time - (number - first) as f64 / RATE;
    let mut all: Vec<f64> = numbers.iter().zip(&times).map(off).collect();
    all.sort_by(f64::total_cmp);
    let middle = all[all.len() / 2];
    let most = (all[0] - middle).abs().max((all[all.len() - 1] - middle).abs());
    assert!(most < 0.7 / RATE, "times are off by {most}: {all:?} {numbers:?} {json}");
    let spanned = numbers[numbers.len() - 1] - first + 1;
    let dropped = json["frames_displaced"].as_u64().unwrap() as usize;
    let out = json["frames_out"].as_u64().unwrap() as usize;
    assert_eq!(out, pictures.len());
    // Those at the very end may have been dropped after the last that can be read.
    assert!((spanned..=spanned + 8 + veiled).contains(&(out + dropped)), "{spanned}: {json}");
    let by_reason = ["frames_late", "frames_overload"].map(|reason| json[reason].as_u64().unwrap());
    assert_eq!(by_reason.iter().sum::<u64>() as usize, dropped);
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    for index in 0..pictures.len() {
        for face in eyes.faces(&pictures.at(index), SURE) {
            let cosine = face.cosine(&man);
            assert!(cosine < SAME, "frame {index}: the refused man at {cosine:.2}");
        }
    }
    numbers
}

/// A machine on which every run of a model takes a fifth of a second longer goes down the whole
/// ladder and drops frames.
#[test]
fn a_slow_machine_drops_frames_and_veils_the_rest() {
    let (school, recorded) = record("late any 1 1000000 200");
    let numbers = assert_in_step_and_veiled(&school, &recorded);
    assert!(numbers.len() > 20, "{numbers:?}");
    let json = &recorded.json;
    assert_eq!((&json["gave_way"], &json["effort_changes"]), (&"frames".into(), &3.into()));
    assert!(json["frames_overload"].as_u64() > Some(20), "{json}");
    assert!(json["warnings"].to_string().contains("too slow for this camera"), "{json}");
    for rung in ["cadence", "resolution", "frames"] {
        assert!(recorded.err.contains(&format!("gave_way=\"{rung}\"")), "{}", recorded.err);
    }
    let overload = &recorded.manifest()["overload"];
    assert_eq!(overload["furthest"], "frames");
    assert_eq!(overload["frames_overload"], json["frames_overload"]);
}

/// A look that takes five seconds costs the frames of these five seconds and nothing else.
#[test]
fn a_stall_of_five_seconds_is_a_gap() {
    let (school, recorded) = record("late yunet 60 1 5000");
    let numbers = assert_in_step_and_veiled(&school, &recorded);
    let json = &recorded.json;
    let gap = numbers.windows(2).map(|two| two[1] - two[0]).max().unwrap();
    assert!((40..=62).contains(&gap), "{gap}: {json}");
    // On a busy machine a look may have become rarer; no frame was given up for good.
    assert_eq!(json["frames_overload"], 0, "{json}");
    assert!(json["frames_late"].as_u64() >= Some(40), "{json}");
    assert!(json["fault"].is_null() || json["fault"].to_string().contains("camera"), "{json}");
}

/// Faces that the look at every picture becomes too coarse for are found by the close looks instead,
/// each at least once in the time for which anybody is held.
#[test]
fn what_a_coarser_look_misses_the_close_looks_find() {
    const SIZE: FrameSize = FrameSize::new(640, 420);
    let models = models();
    let photo = image::open(sample("multi_face.jpg")).expect("a readable photo").to_luma8();
    // Five faces of some 14 pixels.
    let small = imageops::resize(&photo, 224, 148, imageops::FilterType::Triangle);
    let (width, height) = (SIZE.width as usize, SIZE.height as usize);
    let mut luma = image::GrayImage::from_pixel(SIZE.width, SIZE.height, image::Luma([110]));
    imageops::overlay(&mut luma, &small, 240, 200);
    let chroma = vec![128; width / 2 * height / 2];
    let search = Search { size: 640, full_size: 1920, full_every: 15, sparing: true };
    let detector = Detector::new(&models, 1).expect("a detector");
    let mut searcher = Searcher::new(detector, search, models.thresholds().detect_nms);
    let sure_at = |frame: u64, searcher: &mut Searcher| {
        // Something moves everywhere, so that no look is spared.
        let mut luma = luma.clone();
        luma.pixels_mut().for_each(|p| p.0[0] = p.0[0].saturating_add((frame % 2) as u8 * 6));
        let (u, v) = (&chroma[..], &chroma[..]);
        let (luma_stride, chroma_stride) = (width, width / 2);
        let view = I420View { size: SIZE, y: luma.as_raw(), u, v, luma_stride, chroma_stride };
        let pts = Pts::from_nanos(frame * 40_000_000);
        let found = searcher.search(&view, pts, false).expect("a look");
        found.iter().filter(|face| face.score >= 0.3).count()
    };
    assert_eq!(sure_at(0, &mut searcher), 5);
    searcher.set_pace(Pace::slow(320));
    let counts: Vec<usize> = (1..60).map(|frame| sure_at(frame, &mut searcher)).collect();
    assert!(counts.windows(20).all(|window| window.contains(&5)), "{counts:?}");
    searcher.set_pace(Pace::usual(640));
    assert_eq!(sure_at(60, &mut searcher), 5);
    let coarse = Search { size: 320, full_size: 320, ..search };
    let detector = Detector::new(&models, 1).expect("a detector");
    let mut alone = Searcher::new(detector, coarse, models.thresholds().detect_nms);
    assert!(sure_at(61, &mut alone) < 5, "the coarse look is enough here");
}
