//! Ways in which a refused face could come to show, each tried on real faces with real models.

use classveil::{
    frame::{Frame, FrameSize, I420ViewMut, SlotPool, pixels::BgrImage},
    units::Pts,
    veil::{
        Cover,
        evidence::Judge,
        policy::{Policy, Region},
        watch::{Effort, Settings, Watched, Watcher},
    },
    vision::{
        Detection,
        detect::Detector,
        identify::{Embedder, Gallery, Person, Standing},
        infer::Models,
    },
};
use image::{RgbImage, imageops};

use crate::support::{models, sample};

/// Frames of this size, with one face in the middle.
const SIZE: FrameSize = FrameSize::new(320, 240);
/// Width of that face.
pub(crate) const FACE_PX: u32 = 90;

/// The faces of a group photo, from left to right, each with its surroundings scaled so that it is
/// [`FACE_PX`] wide and lies in the middle of a grey picture.
pub(crate) fn faces(models: &Models, name: &str) -> Vec<RgbImage> {
    let photo = image::open(sample(name)).expect("a readable photo").to_rgb8();
    let mut found = detector(models).detect_image(&bgr(&photo), 1280).expect("a look");
    found.retain(|f| f.score > 0.8);
    found.sort_by(|a, b| a.rect.x.total_cmp(&b.rect.x));
    found.iter().map(|face| framed(&photo, face)).collect()
}

fn framed(photo: &RgbImage, face: &Detection) -> RgbImage {
    let scale = FACE_PX as f32 / face.rect.w;
    let part = |v: f32| v.max(0.0) as u32;
    let margin = 0.45 * face.rect.w;
    let (x, y) = (part(face.rect.x - margin), part(face.rect.y - margin));
    let (w, h) = (part(face.rect.w + 2.0 * margin), part(face.rect.h + 2.0 * margin));
    let crop = imageops::crop_imm(photo, x, y, w, h).to_image();
    let (w, h) = (part(crop.width() as f32 * scale), part(crop.height() as f32 * scale));
    let small = imageops::resize(&crop, w, h, imageops::FilterType::Triangle);
    let mut frame = RgbImage::from_pixel(SIZE.width, SIZE.height, image::Rgb([96, 104, 100]));
    let at = |side: u32, own: u32| (i64::from(side) - i64::from(own)) / 2;
    imageops::overlay(&mut frame, &small, at(SIZE.width, w), at(SIZE.height, h));
    frame
}

pub(crate) fn bgr(picture: &RgbImage) -> BgrImage {
    let size = FrameSize::new(picture.width(), picture.height());
    BgrImage { size, data: picture.pixels().flat_map(|p| [p.0[2], p.0[1], p.0[0]]).collect() }
}

pub(crate) fn detector(models: &Models) -> Detector {
    Detector::new(models, 1).expect("detector")
}

pub(crate) fn draw(picture: &RgbImage, planes: &mut I420ViewMut<'_>) {
    let (luma, chroma) = (planes.layout.luma_stride(), planes.layout.chroma_stride());
    for (x, y, pixel) in picture.enumerate_pixels() {
        let [red, green, blue] = pixel.0.map(f32::from);
        let (column, row) = (x as usize, y as usize);
        planes.y[row * luma + column] = (16.0 + 0.257 * red + 0.504 * green + 0.098 * blue) as u8;
        let at = row / 2 * chroma + column / 2;
        planes.u[at] = (128.0 - 0.148 * red - 0.291 * green + 0.439 * blue) as u8;
        planes.v[at] = (128.0 + 0.439 * red - 0.368 * green - 0.071 * blue) as u8;
    }
}

/// A watcher for whom the person of `refused` is on the list, by two photos.
fn watcher(models: &Models, refused: &RgbImage) -> Watcher {
    let photo = bgr(refused);
    let face = detector(models).detect_image(&photo, 640).expect("a look")[0];
    let mut embedder = Embedder::new(models, 1).expect("embedder");
    let described = embedder.embed_image(&photo, &face.landmarks).expect("runs");
    let reference = described.expect("a face").embedding;
    let person = Person { standing: Standing::Refused, references: vec![reference; 2], recent: 2 };
    let gallery = Gallery { people: [("p-1".parse().expect("a pseudonym"), person)].into() };
    let settings = Settings {
        size: 640,
        full_size: 1920,
        full_every: 10,
        identify_every: 10,
        check_every: std::time::Duration::from_secs(1),
        region: Region::Head,
    };
    let thresholds = models.thresholds();
    let judge = Judge::new(Policy::Refused, &gallery, thresholds);
    let embedder = Embedder::rounded(models, 1).expect("embedder");
    Watcher::new(detector(models), embedder, judge, thresholds, settings).expect("a watcher")
}

/// Which frames show the face in their middle, when all were taken in before the first is decided.
fn shown(watcher: &mut Watcher, frames: &[&RgbImage]) -> Vec<bool> {
    watched(watcher, frames).into_iter().map(|(shown, _)| shown).collect()
}

/// The same, and which of them waited for a look at a later one.
fn watched(watcher: &mut Watcher, frames: &[&RgbImage]) -> Vec<(bool, bool)> {
    let pool = SlotPool::new(SIZE, frames.len());
    let mut raw: Vec<Frame<_>> = Vec::with_capacity(frames.len());
    let (mut waiting, mut waited) = (0, Vec::with_capacity(frames.len()));
    for (seq, picture) in (0u64..).zip(frames) {
        let mut frame = Frame::new(pool.take(), seq, Pts::from_nanos(seq * 33_333_333));
        draw(picture, &mut frame.planes_mut());
        let later: Vec<_> = raw[waiting..].iter().collect();
        let became = watcher.watch(&frame, &later).expect("a look");
        waited.push(became == Watched::Waits);
        if became == Watched::Looked {
            waiting = raw.len() + 1;
        }
        raw.push(frame);
    }
    let later: Vec<_> = raw[waiting..].iter().collect();
    watcher.look_at_waiting(&later).expect("a look");
    let shown = raw.iter().map(|frame| match watcher.decide(frame, true).0.cover {
        Cover::Regions(hidden) => {
            !hidden.iter().any(|h| h.region.contains(middle(f32::from(40u8))))
        }
        _ => false,
    });
    shown.zip(waited).collect()
}

fn middle(side: f32) -> classveil::frame::Rect {
    let whole = SIZE.rect();
    classveil::frame::Rect::new((whole.w - side) / 2.0, (whole.h - side) / 2.0, side, side)
}

#[test]
fn a_face_told_apart_is_shown() {
    let models = models();
    let people = faces(&models, "multi_face.jpg");
    let shown = shown(&mut watcher(&models, &people[0]), &[&people[1]; 40]);
    assert_eq!(shown, [true; 40]);
}

/// Most pictures are told from the looks before and after them, in which nobody else is seen.
#[test]
fn a_face_in_view_for_one_picture_is_veiled_in_it() {
    let models = models();
    let people = faces(&models, "multi_face.jpg");
    // Half as large, so that nobody takes it for a cut.
    let small = |person: &RgbImage| {
        let face = imageops::crop_imm(person, 74, 34, 172, 172).to_image();
        imageops::resize(&face, 86, 86, imageops::FilterType::Triangle)
    };
    let (refused, other) = (small(&people[0]), small(&people[1]));
    let room = RgbImage::from_pixel(SIZE.width, SIZE.height, image::Rgb([96, 104, 100]));
    let flashes = [19, 23, 27, 30, 35, 37];
    let frames: Vec<RgbImage> = (0..40)
        .map(|i| {
            let mut frame = room.clone();
            imageops::overlay(&mut frame, &other, 2 + i % 4, 2);
            if flashes.contains(&i) {
                imageops::overlay(&mut frame, &refused, 117, 77);
            }
            frame
        })
        .collect();
    let watched = watched(&mut watcher(&models, &people[0]), &frames.iter().collect::<Vec<_>>());
    for i in flashes {
        assert!(!watched[i as usize].0, "picture {i}: {watched:?}");
    }
    let waited = flashes.iter().filter(|&&i| watched[i as usize].1).count();
    assert!(waited >= 3, "{waited} of the flashes waited: {watched:?}");
}

#[test]
fn a_refused_face_without_detail_is_not_taken_for_somebody_else() {
    let models = models();
    for name in ["multi_face.jpg", "thai_people.jpg"] {
        for person in faces(&models, name) {
            for blur in [0.05, 0.06, 0.08] {
                let soft = imageops::blur(&person, blur * FACE_PX as f32);
                let shown = shown(&mut watcher(&models, &person), &[&soft; 40]);
                assert_eq!(shown, [false; 40], "blurred by {blur} face widths");
            }
        }
    }
}

#[test]
fn a_refused_face_in_the_place_of_a_cleared_one_stays_veiled() {
    let models = models();
    let people = faces(&models, "multi_face.jpg");
    let (refused, cleared) = (&people[0], &people[1]);
    // For so few frames that no comparison of a decided face falls due; at the end, where none
    // follows; by turns.
    for (first, last, step) in [(41, 44, 1), (60, 66, 1), (75, 80, 1), (30, 80, 2)] {
        let refused_in = |i: usize| (first..last).step_by(step).any(|f| f == i);
        let frames: Vec<_> =
            (0..80).map(|i| if refused_in(i) { refused } else { cleared }).collect();
        let shown = shown(&mut watcher(&models, refused), &frames);
        let leaks: Vec<usize> = (0..80).filter(|&i| refused_in(i) && shown[i]).collect();
        let kept = (0..first).filter(|&i| shown[i]).count();
        // A veil reaches back a second (25 frames) from the last comparison before, at most.
        assert!(kept + 36 >= first, "{kept} of {first} shown before: {shown:?}");
        assert!(leaks.is_empty(), "shown in frames {leaks:?} of {first}..{last} by {step}");
    }
}

#[test]
fn a_face_that_turns_out_to_be_refused_without_a_break_is_veiled_from_its_first_frame() {
    let models = models();
    let people = faces(&models, "multi_face.jpg");
    let (refused, other) = (&people[0], &people[1]);
    let blended = |part: f32| {
        RgbImage::from_fn(SIZE.width, SIZE.height, |x, y| {
            let (a, b) = (other.get_pixel(x, y).0, refused.get_pixel(x, y).0);
            let mix = |i: usize| f32::from(a[i]) + (f32::from(b[i]) - f32::from(a[i])) * part;
            image::Rgb([0, 1, 2].map(|i| mix(i) as u8))
        })
    };
    // A second of somebody else, then so slowly the refused person that no frame stands out.
    let steps: Vec<RgbImage> = (0..50u8).map(|i| blended(f32::from(i) / 49.0)).collect();
    let frames: Vec<&RgbImage> = std::iter::repeat_n(other, 25)
        .chain(&steps)
        .chain(std::iter::repeat_n(refused, 25))
        .collect();
    assert_eq!(shown(&mut watcher(&models, refused), &frames), [false; 100]);
}

/// A machine that cannot keep up compares less, which shows less.
#[test]
fn under_strain_a_refused_face_in_the_place_of_a_cleared_one_stays_veiled() {
    let models = models();
    let people = faces(&models, "multi_face.jpg");
    let (refused, cleared) = (&people[0], &people[1]);
    for (effort, (first, last, step)) in [
        (Effort::Seldom, (60, 66, 1)),
        (Effort::Coarse, (41, 44, 1)),
        (Effort::Coarse, (30, 80, 2)),
    ] {
        let refused_in = |i: usize| (first..last).step_by(step).any(|f| f == i);
        let frames: Vec<_> =
            (0..80).map(|i| if refused_in(i) { refused } else { cleared }).collect();
        let mut watcher = watcher(&models, refused);
        watcher.set_effort(effort);
        let shown = shown(&mut watcher, &frames);
        let leaks: Vec<usize> = (0..80).filter(|&i| refused_in(i) && shown[i]).collect();
        assert!(
            leaks.is_empty(),
            "{effort:?}: shown in frames {leaks:?} of {first}..{last} by {step}"
        );
        assert!(step > 1 || shown[..first].contains(&true), "{effort:?}: {shown:?}");
    }
}
