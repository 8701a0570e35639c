//! Sources that misbehave, and pictures that are more than a machine is made for.

use std::path::PathBuf;

use classveil::frame::Rect;
use gstreamer_rtsp_server::gst_rtsp::RTSPLowerTrans;
use image::{RgbImage, imageops};

use crate::{
    eyes::{Eyes, Pictures, SAME, SURE, likeness},
    media::{Clips, Login, RtspServer, ffprobe, frame_times, sample},
    record::people::{Watched, Who, assert_shown, assert_veiled, follow, refused_man},
    scene::School,
    support::photo,
};

use super::REFUSED;

const X264: &str = "-c:v libx264 -preset ultrafast -crf 16 -g 24 -pix_fmt yuv420p -an";

/// A second of black in the middle, as when a camera restarts: before, during and after it the
/// refused man is veiled, and the other is seen again.
#[test]
fn black_frames_are_no_reason_to_forget_anybody() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    let from = sample("obama_speech.mp4");
    let black = "drawbox=t=fill:c=black:enable='between(n,40,51)'";
    let clip = clips.make("black.mp4", &format!("-i {} -vf {black} {X264}", from.display()));
    let before = Watched::of(&mut eyes, &clip, Who::Described);
    let dark = (0..105).filter(|&i| {
        crate::eyes::spread(&before.pictures.at(i), before.pictures.size().rect()).0 < 20.0
    });
    assert_eq!(dark.count(), 12);
    let recorded = school.record(&clip, &REFUSED);
    let after = Watched::of(&mut eyes, &school.open(&recorded.folder), Who::Described);
    assert_eq!(after.pictures.len(), 105);
    assert_veiled(&follow(&before, &after, &man, |face| face.cosine(&man) >= SAME), 88);
    assert_shown(&follow(&before, &after, &man, |face| face.cosine(&man) < 0.25), 0.6);
}

/// Nothing but black is a recording like any other.
#[test]
fn a_covered_lens_is_recorded() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let clip =
        clips.make("dark.mp4", &format!("-f lavfi -i color=black:s=320x240:r=25:d=2 {X264}"));
    let recorded = school.record(&clip, &REFUSED);
    assert_eq!((&recorded.json["frames_out"], &recorded.json["tracks"]), (&50.into(), &0.into()));
    assert_eq!(frame_times(&school.open(&recorded.folder)).len(), 50);
}

/// A camera that is set to another size and shape in the middle: what comes is fitted into the size
/// that the recording began with, and the faces in it are found where they are then.
#[test]
fn another_size_in_mid_stream_shows_nobody() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    let from = sample("obama_speech.mp4");
    let part = |name: &str, filter: &str, offset: &str| {
        let args = format!("-i {} -vf {filter} {X264} -bf 0 {offset}", from.display());
        std::fs::read(clips.make(name, &args)).expect("a clip")
    };
    let parts = [
        part("first.ts", "scale=320:240", ""),
        part("second.ts", "crop=320:180:0:30,scale=640:360", "-output_ts_offset 8.75"),
    ];
    let clip = clips.write("both.ts", &parts.concat());
    let recorded = school.record(&clip, &REFUSED);
    assert_eq!(recorded.json["frames_out"], 210);
    let opened = school.open(&recorded.folder);
    assert_eq!(ffprobe(&opened, "-show_entries stream=width,height"), ["320,240"]);
    let pictures = Pictures::of(&opened);
    let mut others = [0, 0];
    for (index, picture) in pictures.iter().enumerate() {
        for face in eyes.faces(&picture, SURE) {
            let cosine = face.cosine(&man);
            assert!(cosine < SAME, "frame {index}: the refused man at {cosine:.2}");
            others[index / 105] += 1;
        }
    }
    // The other man is still there: the pictures are not simply gone.
    assert!(others.iter().all(|&seen| seen > 40), "{others:?}");
}

/// Packets that arrive broken: pictures that the decoder had to guess are veiled whole, and what it
/// made of the others is looked at as it is.
#[test]
fn broken_packets_of_a_camera_show_nobody() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    let from = sample("obama_speech.mp4");
    // One byte in two thousand, but for the first pictures.
    let noise = "h264_mp4toannexb,noise=amount='if(lt(n,24),0,2000)'";
    let whole = clips.make("whole.mp4", &format!("-i {} {X264} -bf 0", from.display()));
    let clip = clips.make("noise.ts", &format!("-i {} -c copy -bsf:v {noise}", whole.display()));
    let launch = format!(
        "( filesrc location=\"{}\" ! tsdemux ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 )",
        clip.display()
    );
    let server = RtspServer::start(&launch, Login::None, RTSPLowerTrans::TCP);
    let mut command = school.command();
    command.args(school.record_args(&server.url("lesson"))).args(REFUSED);
    let said: crate::scene::Said = command.output().expect("the program was built").into();
    assert!([Some(0), Some(75)].contains(&said.code), "{:?} {}", said.code, said.err);
    let recorded = school.recorded(said);
    let damaged = recorded.json["frames_damaged"].as_u64().unwrap();
    assert!(damaged > 5, "{}", recorded.json);
    assert!(recorded.json["frames_veiled_whole"].as_u64().unwrap() >= damaged);
    assert!(recorded.json["frames_out"].as_u64().unwrap() > 60, "{}", recorded.json);
    let opened = Pictures::of(&school.open(&recorded.folder));
    for (index, picture) in opened.iter().enumerate() {
        for face in eyes.faces(&picture, 0.3) {
            let cosine = face.cosine(&man);
            assert!(cosine < SAME, "frame {index}: the refused man at {cosine:.2}");
        }
    }
}

/// Columns and rows of faces, and the side of a cell.
const GRID: (u32, u32) = (10, 6);
const CELL: (u32, u32) = (192, 180);

/// Faces of all samples but the refused man's photo, each with its surroundings, `side` pixels in all.
fn cutouts(eyes: &mut Eyes, names: &[PathBuf], side: u32) -> Vec<RgbImage> {
    let mut all = Vec::new();
    for path in names {
        let whole = image::open(path).expect("a picture").to_rgb8();
        for (rect, _) in eyes.people(&photo(path)) {
            let margin = 0.4 * rect.w;
            let at = |v: f32| v.max(0.0) as u32;
            let (x, y) = (at(rect.x - margin), at(rect.y - margin));
            let (w, h) = (at(rect.w + 2.0 * margin), at(rect.h + 2.0 * margin));
            let cut = imageops::crop_imm(&whole, x, y, w, h).to_image();
            all.push(imageops::resize(&cut, side, side, imageops::FilterType::Triangle));
        }
    }
    all
}

/// Sixty faces at once, six of them the refused man's: far more than are compared in a frame. Who has
/// not had a turn is veiled.
#[test]
fn sixty_faces_at_once_wait_their_turn_veiled() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    let from = sample("obama_speech.mp4");
    let still = clips
        .make("man.png", &format!("-ss 2 -i {} -frames:v 1 -vf scale=960:720", from.display()));
    let both = eyes.people(&photo(&still));
    let place = both.iter().position(|(_, face)| face.cosine(&man) >= SAME).expect("the man");
    let refused = cutouts(&mut eyes, &[still], 150).swap_remove(place);
    let others = cutouts(&mut eyes, &[sample("multi_face.jpg"), sample("thai_people.jpg")], 150);
    assert!(others.len() >= 9);
    let mut class = RgbImage::from_pixel(1920, 1080, image::Rgb([120, 118, 110]));
    let mut cells = Vec::new();
    for i in 0..GRID.0 * GRID.1 {
        let (x, y) = (i % GRID.0 * CELL.0 + 20, i / GRID.0 * CELL.1 + 15);
        let is_refused = i % 10 == 3 + i / 10 % 5;
        let face = if is_refused { &refused } else { &others[i as usize % others.len()] };
        imageops::overlay(&mut class, face, x.into(), y.into());
        if is_refused {
            cells.push(Rect::new(x as f32 + 30.0, y as f32 + 30.0, 90.0, 90.0));
        }
    }
    assert_eq!(cells.len(), 6);
    let path = clips.path("class.png");
    class.save(&path).expect("room");
    // A camera that trembles a little, so that no picture is like the one before.
    let shake = "crop=1904:1064:8+7*sin(n):8+7*cos(1.3*n)";
    let args = format!("-loop 1 -r 25 -t 2 -i {} -vf {shake} {X264}", path.display());
    let clip = clips.make("class.mp4", &args);
    let source = Pictures::of(&clip);
    assert!(eyes.anybody(&source.at(0), SURE).len() >= 57);
    let recorded = school.record(&clip, &REFUSED);
    assert!(recorded.json["tracks"].as_u64().unwrap() >= 57, "{}", recorded.json);
    let opened = Pictures::of(&school.open(&recorded.folder));
    assert_eq!(opened.len(), 50);
    for index in 0..opened.len() {
        for cell in &cells {
            // As the camera trembles.
            let n = index as f32;
            let cell = Rect {
                x: cell.x - 8.0 - 7.0 * n.sin(),
                y: cell.y - 8.0 - 7.0 * (1.3 * n).cos(),
                ..*cell
            };
            let like = likeness(&source.at(index), &opened.at(index), cell);
            assert!(like < 0.3, "frame {index}, {cell:?}: {like}");
        }
    }
    // Some of the others are shown by the end: it does not hide behind veiling everybody.
    assert!(!eyes.anybody(&opened.at(49), SURE).is_empty(), "{}", recorded.json);
}
