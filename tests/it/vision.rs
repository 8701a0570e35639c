//! Real models on real faces: what they find, whom they tell apart, and that nothing but the
//! measured files is ever run.

use classveil::{
    error::{ErrorKind, Kind},
    frame::{Frame, FrameSize, I420View, I420ViewMut, SlotPool, pixels::BgrImage},
    units::Pts,
    vision::{
        detect::Detector,
        glance::Glance,
        identify::{Described, Embedder, Embedding},
        infer::{Models, VisionError},
    },
};

use crate::{
    eyes::Pictures,
    support::{models, photo, project, runtime, sample},
};

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "samples are 16-240")]
/// Draws a BGR picture into I420 planes, BT.601 limited range.
fn draw(image: &BgrImage, planes: &mut I420ViewMut<'_>) {
    let width = image.size.width as usize;
    let pixel = |x: usize, y: usize| {
        let at = 3 * (y * width + x);
        [0, 1, 2].map(|c| f32::from(image.data[at + c]))
    };
    let (luma, chroma) = (planes.layout.luma_stride(), planes.layout.chroma_stride());
    for y in 0..image.size.height as usize {
        for x in 0..width {
            let [b, g, r] = pixel(x, y);
            planes.y[y * luma + x] = (16.0 + 0.257 * r + 0.504 * g + 0.098 * b) as u8;
            let at = y / 2 * chroma + x / 2;
            planes.u[at] = (128.0 - 0.148 * r - 0.291 * g + 0.439 * b) as u8;
            planes.v[at] = (128.0 + 0.439 * r - 0.368 * g - 0.071 * b) as u8;
        }
    }
}

/// Opens a recogniser.
type Open = fn(&Models, usize) -> Result<Embedder, VisionError>;

fn described(models: &Models, open: Open, name: &str) -> Vec<Described> {
    let image = photo(&sample(name));
    let mut detector = Detector::new(models, 1).expect("detector");
    let mut embedder = open(models, 1).expect("embedder");
    let found = detector.detect_image(&image, 1280).expect("a look");
    found
        .iter()
        .filter(|f| f.score > 0.6)
        .map(|f| embedder.embed_image(&image, &f.landmarks).expect("runs").expect("comparable"))
        .collect()
}

fn embeddings(models: &Models, name: &str) -> Vec<Embedding> {
    described(models, Embedder::rounded, name).into_iter().map(|face| face.embedding).collect()
}

#[test]
fn group_photos_hold_the_people_they_hold() {
    let models = models();
    let five = embeddings(&models, "multi_face.jpg");
    let four = embeddings(&models, "thai_people.jpg");
    assert_eq!((five.len(), four.len()), (5, 4));
    let thresholds = models.thresholds();
    for a in &five {
        for b in &four {
            assert!(a.cosine(b) < thresholds.clear, "people of two photos were taken for one");
        }
    }
    for group in [&five, &four] {
        for (i, a) in group.iter().enumerate() {
            for b in &group[i + 1..] {
                assert!(a.cosine(b) < thresholds.match_cleared, "one would be cleared as another");
            }
        }
    }
}

#[test]
fn what_is_rounded_tells_people_apart_as_the_published_model_does() {
    let photos = ["multi_face.jpg", "thai_people.jpg", "obama.jpg"];
    let models = models();
    let [rounded, whole] = [Embedder::rounded as Open, Embedder::new].map(|open| {
        photos.iter().flat_map(|name| described(&models, open, name)).collect::<Vec<_>>()
    });
    assert_eq!((rounded.len(), whole.len()), (10, 10));
    for (i, (a, b)) in rounded.iter().zip(&whole).enumerate() {
        let cosine = a.embedding.cosine(&b.embedding);
        assert!((0.985..0.9999).contains(&cosine), "face {i} is {cosine} of itself");
        let strength = a.strength / b.strength;
        assert!((0.95..1.02).contains(&strength), "face {i} is {strength} as strong");
        // Photos are not rounded.
        for other in &whole {
            let moved = a.embedding.cosine(&other.embedding) - b.embedding.cosine(&other.embedding);
            assert!(moved.abs() < 0.03, "face {i} is {moved} nearer to a photo");
        }
    }
}

#[test]
fn a_frame_and_a_photo_of_the_same_face_agree() {
    let models = models();
    let image = photo(&sample("obama.jpg"));
    let mut detector = Detector::new(&models, 1).expect("detector");
    let mut embedder = Embedder::new(&models, 1).expect("embedder");
    let from_photo = detector.detect_image(&image, 640).expect("a look");
    let pool = SlotPool::new(image.size, 1);
    let mut frame = Frame::new(pool.take(), 0, Pts::ZERO);
    draw(&image, &mut frame.planes_mut());
    let from_frame = detector.detect(&frame.planes(), 640).expect("a look");
    assert_eq!(from_photo.len(), from_frame.len());
    assert!(from_photo[0].rect.iou(from_frame[0].rect) > 0.9);
    let a = embedder.embed_image(&image, &from_photo[0].landmarks).expect("runs").expect("a face");
    let b =
        embedder.embed(&frame.planes(), &from_frame[0].landmarks).expect("runs").expect("a face");
    let cosine = a.embedding.cosine(&b.embedding);
    assert!(cosine > 0.9, "colour or alignment differ: {cosine}");
}

#[test]
fn the_detector_takes_any_size() {
    let models = models();
    let image = photo(&sample("multi_face.jpg"));
    let mut detector = Detector::new(&models, 1).expect("detector");
    for longest in [320, 416, 640, 736, 1280, 1920] {
        let found = detector.detect_image(&image, longest).expect("a look");
        let strong = found.iter().filter(|f| f.score > 0.6).count();
        assert_eq!(strong, 5, "at {longest}");
        assert!(found.iter().all(|f| f.rect.intersection(image.size.rect()).area() > 0.0));
    }
    let tiny = BgrImage { size: FrameSize::new(1, 1), data: vec![0; 3] };
    assert!(detector.detect_image(&tiny, 640).expect("a look").is_empty());
}

#[test]
fn a_model_that_was_changed_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = Models::load(folder.path(), &runtime()).expect_err("no models");
    assert_eq!(missing.kind(), ErrorKind::Config);
    for name in ["face_detection_yunet_2023mar.onnx", "face_recognition_sface_2021dec.onnx"] {
        std::fs::copy(project("models").join(name), folder.path().join(name)).expect("a copy");
    }
    let path = folder.path().join("face_recognition_sface_2021dec.onnx");
    let mut bytes = std::fs::read(&path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("writable");
    let changed = Models::load(folder.path(), &runtime()).expect_err("a changed model");
    assert!(changed.to_string().contains("sha256"), "{changed}");
}

/// Glances at the faces of a picture, with the middle of each face across.
fn glances(detector: &mut Detector, picture: &I420View<'_>) -> Vec<(f32, Glance)> {
    let found = detector.detect(picture, 1280).expect("a look");
    found
        .iter()
        .filter(|f| f.score > 0.6 && f.rect.w > 20.0)
        .filter_map(|f| Some((f.rect.center().x, Glance::at(picture, &f.landmarks)?)))
        .collect()
}

#[test]
fn a_glance_tells_that_somebody_else_is_there() {
    let models = models();
    let mut detector = Detector::new(&models, 1).expect("detector");
    // Two men who talk and nod, twelve pictures a second.
    let clip = Pictures::of(&sample("obama_speech.mp4"));
    let mut men: [Vec<Glance>; 2] = [Vec::new(), Vec::new()];
    for picture in clip.iter() {
        for (x, glance) in glances(&mut detector, &picture) {
            men[usize::from(x > 160.0)].push(glance);
        }
    }
    for man in &men {
        let alike = man.windows(2).filter(|pair| pair[0].is_like(&pair[1])).count();
        assert!(alike * 10 > man.len() * 8, "{alike} of {} pairs", man.len());
    }
    let mut people: Vec<Glance> = men.iter().map(|man| man[0]).collect();
    for name in ["multi_face.jpg", "thai_people.jpg"] {
        let image = photo(&sample(name));
        let pool = SlotPool::new(image.size, 1);
        let mut frame = Frame::new(pool.take(), 0, Pts::ZERO);
        draw(&image, &mut frame.planes_mut());
        people
            .extend(glances(&mut detector, &frame.planes()).into_iter().map(|(_, glance)| glance));
    }
    assert_eq!(people.len(), 11);
    for (i, a) in people.iter().enumerate() {
        let mistaken = people[i + 1..].iter().filter(|b| a.is_like(b)).count();
        assert_eq!(mistaken, 0, "person {i} looks like somebody else at a glance");
    }
}
