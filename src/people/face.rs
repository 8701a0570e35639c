//! The one face that counts in a reference photo, and its embedding.
//!
//! Belongs here: how a photo is searched, when a face is clearly the one, and when it can serve as
//! a reference. Does not belong: models (`vision`) and files ([`super::photo`]). A reference that
//! resembles nobody, or somebody else, would show the pupil it stands for, so doubt is an error
//! that the operator settles with another photo.

use image::imageops;

use super::fault::Fault;
use crate::{
    frame::{FrameSize, Point, Rect, pixels::BgrImage},
    vision::{
        Detection, Landmarks,
        detect::Detector,
        identify::{Embedder, Embedding},
        infer::VisionError,
        pose,
    },
};

/// Longest sides at which a photo is searched, in pixels. `YuNet` misses faces above about 300
/// pixels of its input, so a close-up of 4000 pixels is found at 320 and a full-length portrait at 2560.
const SEARCHED: [u32; 4] = [320, 640, 1280, 2560];

/// Grey borders that are tried in turn until the face has something around it, as parts of the photo's
/// longer side; the one with which the recogniser finds most counts. A large tight crop is not found
/// without; of a small one the landmarks are better: for
/// ten crops of 66 to 209 pixels cut inside the detector's box, the cosine with the uncut face was
/// 0.50 to 0.87 (mean 0.72) as they were and 0.59 to 0.85 (mean 0.75) with half (2026-11).
const BORDERS: [f32; 3] = [0.0, 0.5, 1.0];

/// Below this score a detection is no clear face.
const CLEAR_SCORE: f32 = 0.6;

/// From this score on another face counts against the clear one.
const RIVAL_SCORE: f32 = 0.5;

/// A face is equal from this part of the best one's prominence on.
const EQUAL: f32 = 0.6;

/// Narrowest face that is compared surely: genuine pairs score 0.40 and more from 40 pixels on
/// (measured on group photos, 2026-11).
const MIN_WIDTH_PX: f32 = 40.0;

/// Below this score a detection is no reference. Portraits scored 0.79 and more, a face on its side
/// 0.60 to 0.85 with landmarks that are not where they seem (36 photos, 2026-11).
const REFERENCE_SCORE: f32 = 0.75;

/// A head that leans over further, in degrees, is no reference. The detector places the landmarks of
/// a face that leans by 45 degrees as if it were 20 to 30, and its cosine with the upright one falls
/// to 0.68 (2026-11).
const MOST_LEAN: f32 = 30.0;

/// A wider face is scaled down before it is aligned: the recogniser's crop is 112 pixels wide, and
/// sampling a face of 1000 pixels at 112 points makes noise of its pores.
const ALIGNED_PX: f32 = 160.0;

/// Two detections are the same face, found at two scales, where they share more than this part of
/// the smaller one: at a scale too large for it, a piece of a face is taken for a whole one. Faces of
/// two people, cheek to cheek, share less.
const SAME_FACE: f32 = 0.5;

/// From this width on, in pixels of the detector's input, a face is hardly ever missed (recall 99%),
/// so one that the next smaller scale does not see as well is a ghost: a blouse or a toy scored up to
/// 0.83 at the largest scale only (170 photos of one person, 2026-11).
const SURE_PX: f32 = 24.0;

/// Detections at two scales agree from this overlap on.
const AGREES: f32 = 0.3;

/// What keeps a photo from being a reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unclear {
    /// No face.
    None,
    /// Only a face of this width, in pixels.
    Small(f32),
    /// So many faces, none clearly the one.
    Equal(usize),
    /// The head leans over, or lies.
    Leaning,
    /// The head is turned to the side.
    Averted,
    /// The recogniser finds too little in the face: it is blurred, dark, noisy or covered.
    Faint,
    /// Dark is light and light is dark.
    Negative,
}

impl Unclear {
    /// The same of the photo `name`.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "widths are positive and far below 2^24"
    )]
    pub fn of(self, name: &str) -> Fault {
        let name = name.to_owned();
        match self {
            Self::None => Fault::NoFace(name),
            Self::Small(width) => {
                Fault::SmallFace { name, found: width.max(0.0) as u32, needed: MIN_WIDTH_PX as u32 }
            }
            Self::Equal(count) => Fault::EqualFaces { name, count },
            Self::Leaning => Fault::LeaningFace(name),
            Self::Averted => Fault::AvertedFace(name),
            Self::Faint => Fault::FaintFace(name),
            Self::Negative => Fault::NegativePhoto(name),
        }
    }
}

/// The clear face of a photo, in a picture that suits the recogniser.
#[derive(Debug)]
struct Face {
    picture: BgrImage,
    landmarks: Landmarks,
    /// In the picture.
    width: f32,
    score: f32,
}

/// By how much a photo was turned, clockwise, so that its face stands upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A quarter to the right.
    Quarter,
    /// Upside down.
    Half,
    /// A quarter to the left.
    ThreeQuarters,
}

impl Turn {
    const ALL: [Self; 3] = [Self::Quarter, Self::Half, Self::ThreeQuarters];

    /// Degrees clockwise.
    #[must_use]
    pub const fn degrees(self) -> u32 {
        match self {
            Self::Quarter => 90,
            Self::Half => 180,
            Self::ThreeQuarters => 270,
        }
    }

    fn of(self, photo: &BgrImage) -> BgrImage {
        let FrameSize { width, height } = photo.size;
        let Some(picture) = image::RgbImage::from_raw(width, height, photo.data.clone()) else {
            return photo.clone();
        };
        // The order of the channels does not matter to turning.
        let turned = match self {
            Self::Quarter => imageops::rotate90(&picture),
            Self::Half => imageops::rotate180(&picture),
            Self::ThreeQuarters => imageops::rotate270(&picture),
        };
        let size = FrameSize::new(turned.width(), turned.height());
        BgrImage { size, data: turned.into_raw() }
    }
}

/// Searches `photo` for its one clear face: with each border that was needed until the face had
/// something around it, in the order of [`BORDERS`]. Never empty.
fn find(
    detector: &mut Detector,
    photo: &BgrImage,
) -> Result<Result<Vec<Face>, Unclear>, VisionError> {
    let mut faces = vec![];
    let mut wrong = Unclear::None;
    for border in BORDERS {
        let bordered;
        let picture = if border > 0.0 {
            bordered = with_border(photo, border);
            &bordered
        } else {
            photo
        };
        match clear_face(&merged(search(detector, picture)?), picture.size) {
            Ok(face) => {
                faces.push(prepared(picture, &face));
                if picture.size.rect().contains(face.rect.grown(0.15, 0.15, 0.15)) {
                    break;
                }
            }
            Err(equal @ Unclear::Equal(_)) => return Ok(Err(equal)),
            Err(unclear @ Unclear::Small(_)) => wrong = unclear,
            Err(_) => {}
        }
    }
    Ok(if faces.is_empty() { Err(wrong) } else { Ok(faces) })
}

/// What is found at all scales that suit the picture.
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^24")]
fn search(detector: &mut Detector, picture: &BgrImage) -> Result<Vec<Detection>, VisionError> {
    let longest = picture.size.width.max(picture.size.height);
    let mut all = vec![];
    let mut smaller: Option<(f32, Vec<Detection>)> = None;
    for side in SEARCHED {
        let found = detector.detect_image(picture, side)?;
        all.extend(found.iter().filter(|f| match &smaller {
            Some((scale, smaller)) => confirmed(f, *scale, smaller),
            None => true,
        }));
        if side >= longest {
            break;
        }
        smaller = Some((side as f32 / longest as f32, found));
    }
    Ok(all)
}

/// Whether a detection agrees with those of the next smaller scale, or is too small for it.
fn confirmed(face: &Detection, scale: f32, smaller: &[Detection]) -> bool {
    face.rect.w * scale < SURE_PX || smaller.iter().any(|s| s.rect.iou(face.rect) >= AGREES)
}

/// Makes reference embeddings of photos. Borrows the models, which belong to one thread.
#[derive(Debug)]
pub struct Enroller<'a> {
    /// Finds the face.
    pub detector: &'a mut Detector,
    /// Describes it.
    pub embedder: &'a mut Embedder,
}

/// A photo's one clear face as a reference.
#[derive(Debug)]
pub struct Reference {
    /// What it is compared by.
    pub embedding: Embedding,
    /// How the photo was turned to find it.
    pub turn: Option<Turn>,
}

/// What the recogniser finds in a face: how much, and what else is asked of it. None where it finds no
/// direction.
type Look<T> = fn(&mut Embedder, &Face) -> Result<Option<(f32, T)>, VisionError>;

impl Enroller<'_> {
    /// The reference that the photo's one clear face makes.
    pub fn embed(&mut self, photo: &BgrImage) -> Result<Result<Reference, Unclear>, VisionError> {
        let describe: Look<Embedding> = |embedder, face| {
            let described = embedder.embed_image(&face.picture, &face.landmarks)?;
            Ok(described.map(|described| (described.strength, described.embedding)))
        };
        let found = self.usable(photo, describe)?;
        Ok(found.map(|(embedding, turn)| Reference { embedding, turn }))
    }

    /// Whether [`embed`](Self::embed) would make a reference, without making it, and how the photo
    /// would be turned.
    pub fn examine(
        &mut self,
        photo: &BgrImage,
    ) -> Result<Result<Option<Turn>, Unclear>, VisionError> {
        let measure: Look<()> =
            |embedder, face| Ok(Some((embedder.strength(&face.picture, &face.landmarks)?, ())));
        Ok(self.usable(photo, measure)?.map(|((), turn)| turn))
    }

    /// What `look` says of the photo's one clear face, if that can be a reference: as the photo lies,
    /// else as the only one of its turns in which it can.
    fn usable<T>(
        &mut self,
        photo: &BgrImage,
        look: Look<T>,
    ) -> Result<Result<(T, Option<Turn>), Unclear>, VisionError> {
        let unclear = match self.usable_as_it_lies(photo, look)? {
            Ok(seen) => return Ok(Ok((seen, None))),
            // Several people as it lies: no turn makes that one.
            Err(equal @ Unclear::Equal(_)) => return Ok(Err(equal)),
            Err(unclear) => unclear,
        };
        let mut found = Err(unclear);
        for turn in Turn::ALL {
            if let Ok(seen) = self.usable_as_it_lies(&turn.of(photo), look)? {
                if found.is_ok() {
                    return Ok(Err(unclear));
                }
                found = Ok((seen, Some(turn)));
            }
        }
        Ok(found)
    }

    fn usable_as_it_lies<T>(
        &mut self,
        photo: &BgrImage,
        look: Look<T>,
    ) -> Result<Result<T, Unclear>, VisionError> {
        let faces = match find(self.detector, photo)? {
            Ok(faces) => faces,
            Err(unclear) => return Ok(Err(unclear)),
        };
        // The border with which the recogniser finds most in the face suits it best.
        let mut strongest: Option<(f32, T, Face)> = None;
        for face in faces {
            let Some((strength, seen)) = look(self.embedder, &face)? else { continue };
            if strongest.as_ref().is_none_or(|(best, ..)| strength > *best) {
                strongest = Some((strength, seen, face));
            }
        }
        let Some((strength, seen, face)) = strongest else { return Ok(Err(Unclear::None)) };
        let lean = pose::lean(&face.landmarks);
        if lean.is_nan() || lean > MOST_LEAN {
            return Ok(Err(Unclear::Leaning));
        }
        // Before strength: a negative is weak, and its error says more.
        if self.embedder.strength(&negative(&face.picture), &face.landmarks)? > strength {
            return Ok(Err(Unclear::Negative));
        }
        if pose::is_oblique(&face.landmarks, face.width) {
            return Ok(Err(Unclear::Averted));
        }
        let strong = strength >= self.embedder.photo_strength() && face.score >= REFERENCE_SCORE;
        Ok(if strong { Ok(seen) } else { Err(Unclear::Faint) })
    }
}

/// The picture with dark and light exchanged.
fn negative(picture: &BgrImage) -> BgrImage {
    BgrImage { size: picture.size, data: picture.data.iter().map(|v| 255 - v).collect() }
}

/// One detection per face, the surest of those at several scales.
fn merged(mut found: Vec<Detection>) -> Vec<Detection> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut faces: Vec<Detection> = vec![];
    for face in found {
        let shared = |f: &Detection| {
            f.rect.intersection(face.rect).area() / f.rect.area().min(face.rect.area())
        };
        if faces.iter().all(|f| shared(f) < SAME_FACE) {
            faces.push(face);
        }
    }
    faces
}

/// How much a face stands out: its width, halved towards the corners.
fn prominence(face: Rect, picture: FrameSize) -> f32 {
    let (at, whole) = (face.center(), picture.rect());
    let middle = whole.center();
    let off = ((at.x - middle.x) / middle.x).hypot((at.y - middle.y) / middle.y);
    face.w * (1.0 - 0.5 * (off / std::f32::consts::SQRT_2).clamp(0.0, 1.0))
}

/// The face that is both the widest and clearly the most prominent.
fn clear_face(faces: &[Detection], picture: FrameSize) -> Result<Detection, Unclear> {
    let stands_out = |f: &Detection| prominence(f.rect, picture);
    let best = faces
        .iter()
        .filter(|f| f.score >= CLEAR_SCORE)
        .max_by(|a, b| stands_out(a).total_cmp(&stands_out(b)))
        .ok_or(Unclear::None)?;
    // Prominence finds a second face in the middle, width one at the edge.
    let equals =
        |f: &Detection| stands_out(f) >= EQUAL * stands_out(best) || f.rect.w >= best.rect.w;
    let count = faces.iter().filter(|f| f.score >= RIVAL_SCORE && equals(f)).count();
    if best.rect.w < MIN_WIDTH_PX {
        return Err(Unclear::Small(best.rect.w));
    }
    if count > 1 { Err(Unclear::Equal(count)) } else { Ok(*best) }
}

/// The photo in the middle of a grey picture.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "photos are at most 2560 pixels wide"
)]
fn with_border(photo: &BgrImage, part: f32) -> BgrImage {
    let FrameSize { width, height } = photo.size;
    let border = (width.max(height) as f32 * part).round() as u32;
    let size = FrameSize::new(width + 2 * border, height + 2 * border);
    let mut data = vec![128; 3 * size.width as usize * size.height as usize];
    let row_bytes = 3 * width as usize;
    let rows = data.chunks_exact_mut(3 * size.width as usize).skip(border as usize);
    for (to, from) in rows.zip(photo.data.chunks_exact(row_bytes)) {
        let left = 3 * border as usize;
        if let Some(to) = to.get_mut(left..left + row_bytes) {
            to.copy_from_slice(from);
        }
    }
    BgrImage { size, data }
}

/// The face and its surroundings, scaled to suit the recogniser.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "photos are at most 8000 pixels wide with their border"
)]
fn prepared(picture: &BgrImage, face: &Detection) -> Face {
    let scale = ALIGNED_PX / face.rect.w;
    let (width, height) = (picture.size.width as f32, picture.size.height as f32);
    let size = FrameSize::new(
        (width * scale).round().max(1.0) as u32,
        (height * scale).round().max(1.0) as u32,
    );
    let buffer =
        image::RgbImage::from_raw(picture.size.width, picture.size.height, picture.data.clone());
    let Some(buffer) = buffer.filter(|_| scale < 1.0) else {
        let (width, score) = (face.rect.w, face.score);
        return Face { picture: picture.clone(), landmarks: face.landmarks, width, score };
    };
    // The order of the channels does not matter to scaling.
    let small = imageops::thumbnail(&buffer, size.width, size.height);
    let (x, y) = (size.width as f32 / width, size.height as f32 / height);
    Face {
        picture: BgrImage { size, data: small.into_raw() },
        landmarks: face.landmarks.map(|p| Point { x: p.x * x, y: p.y * y }),
        width: face.rect.w * x,
        score: face.score,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PICTURE: FrameSize = FrameSize::new(1000, 800);

    fn face(x: f32, y: f32, w: f32, score: f32) -> Detection {
        Detection {
            rect: Rect::new(x - w / 2.0, y - w / 2.0, w, w),
            score,
            landmarks: [Point { x, y }; 5],
        }
    }

    #[test]
    fn a_portrait_with_people_behind_is_clear() {
        let main = face(500.0, 400.0, 300.0, 0.9);
        let behind = face(100.0, 200.0, 90.0, 0.9);
        assert_eq!(clear_face(&[behind, main], PICTURE), Ok(main));
    }

    #[test]
    fn doubt_is_an_error() {
        let middle = face(500.0, 400.0, 200.0, 0.9);
        for other in [face(800.0, 400.0, 190.0, 0.7), face(60.0, 60.0, 230.0, 0.9)] {
            assert_eq!(clear_face(&[middle, other], PICTURE), Err(Unclear::Equal(2)));
            assert_eq!(clear_face(&[other, middle], PICTURE), Err(Unclear::Equal(2)));
        }
        assert_eq!(clear_face(&[], PICTURE), Err(Unclear::None));
        assert_eq!(clear_face(&[face(500.0, 400.0, 200.0, 0.4)], PICTURE), Err(Unclear::None));
        let small = face(500.0, 400.0, 30.0, 0.9);
        assert_eq!(clear_face(&[small], PICTURE), Err(Unclear::Small(30.0)));
    }

    #[test]
    fn the_same_face_at_two_scales_is_one() {
        let faces = [face(500.0, 400.0, 300.0, 0.8), face(505.0, 402.0, 290.0, 0.9)];
        assert_eq!(merged(faces.to_vec()), [faces[1]]);
    }

    #[test]
    fn a_ghost_of_one_scale_is_dropped() {
        let seen = [face(500.0, 400.0, 280.0, 0.3)];
        assert!(confirmed(&face(500.0, 410.0, 300.0, 0.9), 0.5, &seen));
        assert!(!confirmed(&face(200.0, 400.0, 300.0, 0.9), 0.5, &seen));
        // Too small to be seen at half the size.
        assert!(confirmed(&face(200.0, 400.0, 40.0, 0.9), 0.5, &seen));
    }

    #[test]
    fn a_turn_is_clockwise() {
        let photo = BgrImage { size: FrameSize::new(2, 1), data: vec![1, 2, 3, 4, 5, 6] };
        let quarter = Turn::Quarter.of(&photo);
        assert_eq!((quarter.size, &quarter.data), (FrameSize::new(1, 2), &photo.data));
        assert_eq!(Turn::Half.of(&photo).data, [4, 5, 6, 1, 2, 3]);
        assert_eq!(Turn::ThreeQuarters.of(&quarter).data, photo.data);
    }

    #[test]
    fn a_border_keeps_the_photo() {
        let photo = BgrImage { size: FrameSize::new(2, 1), data: vec![1, 2, 3, 4, 5, 6] };
        let wide = with_border(&photo, 0.5);
        assert_eq!(wide.size, FrameSize::new(4, 3));
        assert_eq!(wide.data[12..24], [128, 128, 128, 1, 2, 3, 4, 5, 6, 128, 128, 128]);
    }

    proptest! {
        /// Whoever is chosen, nobody else in the photo is as wide.
        #[test]
        fn the_chosen_face_is_the_widest(
            spots in prop::collection::vec(
                (0.0..1000.0f32, 0.0..800.0f32, 20.0..400.0f32, 0.5..1.0f32), 1..6),
        ) {
            let faces: Vec<_> = spots.iter().map(|s| face(s.0, s.1, s.2, s.3)).collect();
            if let Ok(chosen) = clear_face(&faces, PICTURE) {
                let widest = faces.iter().map(|f| f.rect.w).fold(0.0, f32::max);
                prop_assert!(chosen.rect.w >= widest);
            }
        }
    }
}
