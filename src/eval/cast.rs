//! The people of all scenes: where their pictures come from, and who is never used for tuning.
//!
//! Belongs here: the table of people, cutting their heads out of samples, their reference photos.
//! Does not belong: what they do in a scene (`scenes`).

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places in samples of some hundred pixels"
)]

use std::{
    cell::OnceCell,
    ops::Range,
    path::{Path, PathBuf},
};

use image::{RgbImage, imageops};

use super::{
    EvalError,
    draw::{self, Pyramid},
    pictures::{self, Reader},
};
use crate::{
    frame::{I420View, Rect},
    vision::{Detection, Landmarks, detect::Detector},
};

/// One person, or a person in one more sample.
#[derive(Debug)]
pub(super) struct Entry {
    /// Pseudonym.
    pub(super) person: &'static str,
    /// Never used for setting a threshold: from this table on, whoever tunes a threshold uses the
    /// others only.
    pub(super) held_out: bool,
    source: Source,
    /// Another sample of the same person, whose pictures are the references.
    reference: Reference,
    /// The widest that the person is drawn without being blown up much, in pixels.
    pub(super) widest: f32,
}

#[derive(Debug)]
enum Source {
    /// The face that is this many from the left of a photo.
    Photo { file: &'static str, from_left: usize },
    /// The same in a part of a clip, of which every `step`th picture is used.
    Clip { file: &'static str, from_left: usize, frames: Range<usize>, step: usize },
}

#[derive(Debug)]
enum Reference {
    /// The same photo, mirrored and brighter, and reduced and darker: there is no other picture.
    SamePhoto,
    /// Another photo.
    Photo(&'static str),
    /// Pictures of a clip that are drawn in no scene.
    Clip { file: &'static str, from_left: usize, frames: [usize; 2] },
}

const FIVE: &str = "multi_face.jpg";
const FOUR: &str = "thai_people.jpg";
const SPEECH: &str = "obama_speech.mp4";
const WOMAN: &str = "WolfgangLanger_Pexels.mp4";
const MAN: &str = "single_face.mp4";

const fn of_group(
    person: &'static str,
    held_out: bool,
    file: &'static str,
    from_left: usize,
) -> Entry {
    let source = Source::Photo { file, from_left };
    Entry { person, held_out, source, reference: Reference::SamePhoto, widest: 150.0 }
}

/// Everyone. A person who stands here twice (once still, once moving) is in no scene twice.
pub(super) const CAST: [Entry; 15] = [
    of_group("p-01", false, FIVE, 0),
    of_group("p-02", true, FIVE, 1),
    of_group("p-03", false, FIVE, 2),
    of_group("p-04", true, FIVE, 3),
    of_group("p-05", false, FIVE, 4),
    of_group("p-06", true, FOUR, 0),
    of_group("p-07", false, FOUR, 1),
    of_group("p-08", true, FOUR, 2),
    of_group("p-09", false, FOUR, 3),
    Entry {
        person: "p-10",
        held_out: false,
        source: Source::Clip { file: SPEECH, from_left: 1, frames: 0..105, step: 1 },
        reference: Reference::Photo("obama.jpg"),
        widest: 120.0,
    },
    Entry {
        person: "p-10",
        held_out: false,
        source: Source::Photo { file: "obama.jpg", from_left: 0 },
        reference: Reference::Clip { file: SPEECH, from_left: 1, frames: [40, 62] },
        widest: 540.0,
    },
    Entry {
        person: "p-11",
        held_out: true,
        source: Source::Clip { file: SPEECH, from_left: 0, frames: 20..105, step: 1 },
        reference: Reference::Clip { file: SPEECH, from_left: 0, frames: [0, 8] },
        widest: 120.0,
    },
    // Hands before the face.
    Entry {
        person: "p-12",
        held_out: true,
        source: Source::Clip { file: WOMAN, from_left: 0, frames: 0..236, step: 2 },
        reference: Reference::Clip { file: WOMAN, from_left: 0, frames: [250, 275] },
        widest: 480.0,
    },
    // Turning, nodding, laughing.
    Entry {
        person: "p-12",
        held_out: true,
        source: Source::Clip { file: WOMAN, from_left: 0, frames: 290..472, step: 2 },
        reference: Reference::Clip { file: WOMAN, from_left: 0, frames: [250, 275] },
        widest: 480.0,
    },
    Entry {
        person: "p-13",
        held_out: true,
        source: Source::Clip { file: MAN, from_left: 0, frames: 14..72, step: 1 },
        reference: Reference::Clip { file: MAN, from_left: 0, frames: [0, 6] },
        widest: 420.0,
    },
];

/// Places in [`CAST`] of the entries that scenes ask for by name.
pub(super) const SPEAKER: usize = 9;
pub(super) const PORTRAIT: usize = 10;
pub(super) const LISTENER: usize = 11;
pub(super) const WOMAN_HIDING: usize = 12;
pub(super) const WOMAN_TURNING: usize = 13;
pub(super) const MAN_SMILING: usize = 14;

/// A face at one moment, cut out with what is around it.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) picture: Pyramid,
    /// The face in it.
    pub(super) face: Rect,
    pub(super) landmarks: Landmarks,
    /// The place that a scene moves: the face's middle, without its quick movements.
    pub(super) anchor: (f32, f32),
}

/// A person's looks, one after the other.
#[derive(Debug)]
pub(super) struct Looks {
    all: Vec<Look>,
    /// Looks a second; meaningless for a single one.
    fps: f32,
    /// Width of the face in a usual look, in the sample's pixels.
    pub(super) width: f32,
}

impl Looks {
    /// The look at a time, running to and fro so that it never jumps.
    pub(super) fn at(&self, seconds: f32) -> &Look {
        let count = self.all.len();
        let period = (2 * count).saturating_sub(2).max(1);
        let step = (seconds.max(0.0) * self.fps) as usize % period;
        &self.all[if step < count { step } else { period - step }]
    }
}

/// The samples, read when they are first asked for.
#[derive(Debug)]
pub(super) struct Samples {
    folder: PathBuf,
    looks: [OnceCell<Looks>; CAST.len()],
}

/// How sure a detection has to be to be somebody in a sample.
const SURE: f32 = 0.6;
/// Pictures before and after over which the anchor's movement is smoothed.
const SMOOTHED: usize = 12;

impl Samples {
    /// The samples in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), looks: [const { OnceCell::new() }; CAST.len()] }
    }

    fn path(&self, file: &str) -> Result<PathBuf, EvalError> {
        let path = self.folder.join(file);
        if path.is_file() { Ok(path) } else { Err(EvalError::NoSample { path }) }
    }

    /// The looks of the entry at `index` of [`CAST`].
    pub(super) fn looks(&self, index: usize, detector: &mut Detector) -> Result<&Looks, EvalError> {
        let cell = &self.looks[index];
        if let Some(looks) = cell.get() {
            return Ok(looks);
        }
        let looks = match &CAST[index].source {
            Source::Photo { file, from_left } => {
                let path = self.path(file)?;
                let photo = read(&path)?;
                let face = nth(&path, faces_of_photo(detector, &photo)?, *from_left)?;
                let planes = pictures::planes(&photo);
                let size = pictures::bgr(&photo).size;
                let look = cut(&draw::view(&planes, size), &face, middle(face.rect), face.rect.w);
                Looks { all: vec![look], fps: 1.0, width: face.rect.w }
            }
            Source::Clip { file, from_left, frames, step } => {
                self.clip(file, *from_left, frames, *step, detector)?
            }
        };
        Ok(cell.get_or_init(|| looks))
    }

    fn clip(
        &self,
        file: &str,
        from_left: usize,
        frames: &Range<usize>,
        step: usize,
        detector: &mut Detector,
    ) -> Result<Looks, EvalError> {
        let path = self.path(file)?;
        // Once to see where the face is, once to cut it out: a clip is larger than its cuttings.
        let mut found = Vec::new();
        let mut reader = Reader::open(&path)?;
        let rate = reader.format().framerate.map_or(25.0, |(n, d)| n as f32 / d.max(1) as f32);
        let mut at = 0;
        while let Some(frame) = reader.next()? {
            if frames.contains(&at) {
                let mut faces = detector.detect(&frame.view(), 640)?;
                faces.retain(|f| f.score >= SURE);
                faces.sort_by(|a, b| a.rect.x.total_cmp(&b.rect.x));
                found.push(faces);
            }
            at += 1;
        }
        drop(reader);
        let faces = without_gaps(&path, found, from_left)?;
        let mut widths: Vec<f32> = faces.iter().map(|f| f.rect.w).collect();
        widths.sort_by(f32::total_cmp);
        let width = widths[widths.len() / 2];
        let mut reader = Reader::open(&path)?;
        let mut looks = Vec::new();
        let mut at = 0;
        while let Some(frame) = reader.next()? {
            if frames.contains(&at) && (at - frames.start).is_multiple_of(step) {
                let i = at - frames.start;
                let near = i.saturating_sub(SMOOTHED)..(i + SMOOTHED + 1).min(faces.len());
                let count = near.len() as f32;
                let sum = faces[near].iter().map(|f| middle(f.rect)).fold((0.0, 0.0), add);
                let anchor = (sum.0 / count, sum.1 / count);
                looks.push(cut(&frame.view(), &faces[i], anchor, width));
            }
            at += 1;
        }
        Ok(Looks { all: looks, fps: rate / step as f32, width })
    }

    /// Reference photos of the entry at `index`, never the very picture that scenes draw.
    pub(super) fn references(
        &self,
        index: usize,
        detector: &mut Detector,
    ) -> Result<Vec<RgbImage>, EvalError> {
        match &CAST[index].reference {
            Reference::SamePhoto => {
                let Source::Photo { file, from_left } = &CAST[index].source else {
                    return Ok(Vec::new());
                };
                let path = self.path(file)?;
                let photo = read(&path)?;
                let face = nth(&path, faces_of_photo(detector, &photo)?, *from_left)?;
                let portrait = portrait(&photo, face.rect);
                let mirrored = imageops::brighten(&imageops::flip_horizontal(&portrait), 14);
                let part = |side: u32| (side as f32 * 0.82) as u32;
                let small = imageops::resize(
                    &portrait,
                    part(portrait.width()),
                    part(portrait.height()),
                    imageops::FilterType::Triangle,
                );
                Ok(vec![mirrored, imageops::brighten(&small, -12)])
            }
            Reference::Photo(file) => Ok(vec![read(&self.path(file)?)?]),
            Reference::Clip { file, from_left, frames } => {
                let path = self.path(file)?;
                let mut reader = Reader::open(&path)?;
                let mut photos = Vec::new();
                let mut at = 0;
                while let Some(frame) = reader.next()? {
                    if frames.contains(&at) {
                        let view = frame.view();
                        let photo = pictures::crop(&view, view.size.rect());
                        let face = nth(&path, faces_of_photo(detector, &photo)?, *from_left)?;
                        photos.push(portrait(&photo, face.rect));
                    }
                    at += 1;
                }
                Ok(photos)
            }
        }
    }
}

fn add(a: (f32, f32), b: (f32, f32)) -> (f32, f32) {
    (a.0 + b.0, a.1 + b.1)
}

fn middle(rect: Rect) -> (f32, f32) {
    let centre = rect.center();
    (centre.x, centre.y)
}

fn read(path: &Path) -> Result<RgbImage, EvalError> {
    let bad = |e: image::ImageError| EvalError::BadSample {
        path: path.to_owned(),
        problem: e.to_string(),
    };
    Ok(image::open(path).map_err(bad)?.to_rgb8())
}

fn faces_of_photo(detector: &mut Detector, photo: &RgbImage) -> Result<Vec<Detection>, EvalError> {
    let mut faces = detector.detect_image(&pictures::bgr(photo), 1280)?;
    faces.retain(|f| f.score >= SURE);
    faces.sort_by(|a, b| a.rect.x.total_cmp(&b.rect.x));
    Ok(faces)
}

fn nth(path: &Path, faces: Vec<Detection>, from_left: usize) -> Result<Detection, EvalError> {
    let problem = format!("face {} from the left was not found", from_left + 1);
    let missing = || EvalError::BadSample { path: path.to_owned(), problem };
    faces.into_iter().nth(from_left).ok_or_else(missing)
}

/// The face in every picture of a clip: the one that is `from_left` where all are found, and then the
/// one nearest to it; where it was not found, between the ones before and after.
fn without_gaps(
    path: &Path,
    found: Vec<Vec<Detection>>,
    from_left: usize,
) -> Result<Vec<Detection>, EvalError> {
    let most = found.iter().map(Vec::len).max().unwrap_or(0);
    let whole = found.iter().find(|faces| faces.len() == most);
    let mut last = nth(path, whole.cloned().unwrap_or_default(), from_left)?;
    let mut known: Vec<Option<Detection>> = Vec::with_capacity(found.len());
    for faces in found {
        let far = |f: &Detection| {
            let (a, b) = (f.rect.center(), last.rect.center());
            (a.x - b.x).hypot(a.y - b.y)
        };
        let nearest = faces.iter().copied().min_by(|a, b| far(a).total_cmp(&far(b)));
        let same = nearest.filter(|f| far(f) < last.rect.w);
        last = same.unwrap_or(last);
        known.push(same);
    }
    let mut all = Vec::with_capacity(known.len());
    for (i, face) in known.iter().enumerate() {
        let before = (0..=i).rev().find_map(|k| known[k].map(|f| (k, f)));
        let after = (i..known.len()).find_map(|k| known[k].map(|f| (k, f)));
        all.push(match (face, before, after) {
            (Some(face), ..) => *face,
            (None, Some((a, from)), Some((b, to))) => {
                let t = (i - a) as f32 / (b - a) as f32;
                let mut face = from;
                face.rect = from.rect.lerp(to.rect, t);
                for (point, other) in face.landmarks.iter_mut().zip(&to.landmarks) {
                    point.x += (other.x - point.x) * t;
                    point.y += (other.y - point.y) * t;
                }
                face
            }
            (None, Some((_, face)), None) | (None, None, Some((_, face))) => face,
            (None, None, None) => last,
        });
    }
    Ok(all)
}

/// The face and as much around it as a head, a turn and a jump need.
fn cut(view: &I420View<'_>, face: &Detection, anchor: (f32, f32), width: f32) -> Look {
    let even = |v: f32| (v / 2.0).floor() as i64 * 2;
    let side = even(2.8 * width);
    let (left, top) = (even(anchor.0 - 1.4 * width), even(anchor.1 - 1.4 * width));
    let picture = Pyramid::cut(view, [left, top, side, side]);
    let (dx, dy) = (left as f32, top as f32);
    let mut landmarks = face.landmarks;
    for point in &mut landmarks {
        point.x -= dx;
        point.y -= dy;
    }
    let Rect { x, y, w, h } = face.rect;
    Look {
        picture,
        face: Rect::new(x - dx, y - dy, w, h),
        landmarks,
        anchor: (anchor.0 - dx, anchor.1 - dy),
    }
}

/// A passport photo: the head, large enough for the list's rules.
fn portrait(photo: &RgbImage, face: Rect) -> RgbImage {
    let around = face.grown(0.5, 0.5, 0.4);
    let clamp = |v: f32, end: u32| v.clamp(0.0, end as f32) as u32;
    let (left, right) = (clamp(around.x, photo.width()), clamp(around.right(), photo.width()));
    let (top, bottom) = (clamp(around.y, photo.height()), clamp(around.bottom(), photo.height()));
    let cut = imageops::crop_imm(photo, left, top, right - left, bottom - top).to_image();
    // Small faces are blown up, as a school's administrator would.
    let blow = (2.0_f32).min(180.0 / face.w).max(1.0);
    let side = |v: u32| (v as f32 * blow) as u32;
    imageops::resize(&cut, side(cut.width()), side(cut.height()), imageops::FilterType::CatmullRom)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn half_of_the_people_are_held_out_and_nobody_is_both() {
        let mut people: BTreeMap<&str, bool> = BTreeMap::new();
        for entry in &CAST {
            assert_eq!(*people.entry(entry.person).or_insert(entry.held_out), entry.held_out);
        }
        let held_out = people.values().filter(|held_out| **held_out).count();
        assert!(2 * held_out >= people.len(), "{held_out} of {}", people.len());
    }
}
