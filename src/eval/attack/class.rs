//! The class: every person of the sample media, and short takes of them as a camera would see them.
//!
//! People of clips are seen in consecutive frames as filmed, known ones from the first part of the
//! clip and held-out ones from its end. Of people on photos there is one picture; their takes are
//! that picture under a camera that moves a little, in other light, turned and stretched, with
//! noise. Having seen the very photo before makes it easier for the attacker, not harder.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{AttackError, picture::Picture, rng::Rng};
use crate::{
    capture::{self, Capture, Event, Input},
    frame::{
        FrameSize, Rect,
        pixels::{Affine, BgrImage},
    },
    vision::{Detection, detect::Detector},
};

/// Frames of one take.
pub(super) const FRAMES: usize = 8;
/// The side of the square in which a take's frame is drawn.
pub(super) const SIDE: u32 = 360;

/// Files of the sample media and how many people each shows, from left to right: clips,
const CLIPS: [(&str, usize); 3] =
    [("obama_speech.mp4", 2), ("WolfgangLanger_Pexels.mp4", 1), ("single_face.mp4", 1)];
/// and photos.
const PHOTOS: [(&str, usize); 2] = [("thai_people.jpg", 4), ("multi_face.jpg", 5)];
/// Of a clip, the first part that is known and the last one that is held out; nothing of between.
const KNOWN: f32 = 0.60;
const HELD_OUT: f32 = 0.68;
/// A face of a photo is surely one.
const SURE: f32 = 0.8;
/// Width of a drawn face in pixels: the front rows of a classroom at 1080p.
const FACE_PX: (f32, f32) = (82.0, 110.0);

/// Where pictures of people come from.
pub(super) enum Material {
    Photo(BgrImage),
    Clip(Vec<Picture>),
}

/// One person: where, and the face in each picture in which it was found.
pub(super) struct Person {
    pub(super) material: usize,
    faces: Vec<Option<Rect>>,
}

/// Everybody.
pub(super) struct Class {
    pub(super) materials: Vec<Material>,
    pub(super) people: Vec<Person>,
}

/// Light and noise of a take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Light {
    pub(super) gain: f32,
    pub(super) bias: f32,
    pub(super) tint: [f32; 2],
    /// Standard deviation in grey levels.
    pub(super) noise: f32,
}

/// One frame of a take: a picture of the person's material, and how it is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shot {
    pub(super) picture: usize,
    pub(super) map: Affine,
}

/// A person for [`FRAMES`] frames.
#[derive(Clone, Debug)]
pub(super) struct Take {
    pub(super) person: usize,
    /// Whether the attacker is told who it is; else it is asked.
    pub(super) known: bool,
    pub(super) shots: [Shot; FRAMES],
    pub(super) light: Light,
    /// Width of the face in pixels, and where its middle is from that of the square, in the first frame.
    pub(super) width: f32,
    pub(super) at: [f32; 2],
}

impl Class {
    /// Reads the sample media and finds everybody in them.
    pub(super) fn load(samples: &Path, detector: &mut Detector) -> Result<Self, AttackError> {
        let mut class = Self { materials: Vec::new(), people: Vec::new() };
        for (file, count) in CLIPS {
            let path = samples.join(file);
            let pictures = read_clip(&path)?;
            let mut found = Vec::new();
            for picture in &pictures {
                found.push(detector.detect(&picture.view(), 640)?);
            }
            class.add(path, Material::Clip(pictures), found, count)?;
        }
        for (file, count) in PHOTOS {
            let path = samples.join(file);
            let photo = read_photo(&path)?;
            let found = detector.detect_image(&photo, 1280)?;
            class.add(path, Material::Photo(photo), vec![found], count)?;
        }
        Ok(class)
    }

    /// Adds the `count` people of a file, in which these faces were found.
    fn add(
        &mut self,
        path: PathBuf,
        material: Material,
        found: Vec<Vec<Detection>>,
        count: usize,
    ) -> Result<(), AttackError> {
        let faces: Vec<_> = found.into_iter().map(|found| in_order(found, count)).collect();
        if faces.iter().filter(|f| f.is_some()).count() * 2 < faces.len() {
            return Err(AttackError::NoFaces { path, wanted: count });
        }
        for nth in 0..count {
            let of_one = |faces: &Vec<Rect>| faces.get(nth).copied();
            self.people.push(Person {
                material: self.materials.len(),
                faces: faces.iter().map(|f| f.as_ref().and_then(of_one)).collect(),
            });
        }
        self.materials.push(material);
        Ok(())
    }

    /// Whether a person was filmed, so that held-out views are of another time.
    pub(super) fn is_filmed(&self, person: usize) -> bool {
        let material = self.people.get(person).and_then(|p| self.materials.get(p.material));
        matches!(material, Some(Material::Clip(_)))
    }

    /// A take of a person; `None` where the clip has no stretch of frames with the face.
    pub(super) fn take(&self, person: usize, known: bool, rng: &mut Rng) -> Option<Take> {
        let faces = &self.people.get(person)?.faces;
        let width = rng.between(FACE_PX.0, FACE_PX.1);
        let at = [rng.between(-14.0, 14.0), rng.between(-14.0, 14.0)];
        let light = Light {
            gain: rng.between(0.75, 1.2),
            bias: rng.between(-12.0, 12.0),
            tint: [rng.between(-4.0, 4.0), rng.between(-4.0, 4.0)],
            noise: rng.between(1.0, 6.0),
        };
        let mut pose = Pose { width, at, angle: 0.0, stretch: 0.0 };
        let shots = if self.is_filmed(person) {
            let starts = starts(faces, known);
            let start = *starts.get(rng.below(starts.len()))?;
            pose.angle = rng.between(-0.1, 0.1);
            let stretch: Vec<Rect> =
                faces.get(start..start + FRAMES)?.iter().copied().collect::<Option<_>>()?;
            // One camera position for the take: what moves is the head.
            let middle = stretch[0].lerp(stretch[FRAMES - 1], 0.5);
            let map = pose.map(middle);
            std::array::from_fn(|i| Shot { picture: start + i, map })
        } else {
            let face = (*faces.first()?)?;
            pose.angle = rng.between(-0.17, 0.17);
            pose.stretch = rng.between(-0.05, 0.05);
            std::array::from_fn(|_| {
                let map = pose.map(face);
                pose.width *= 1.0 + rng.between(-0.01, 0.01);
                pose.angle += rng.between(-0.015, 0.015);
                pose.at = pose.at.map(|v| v + rng.between(-1.5, 1.5));
                Shot { picture: 0, map }
            })
        };
        Some(Take { person, known, shots, light, width, at })
    }
}

/// How a face is drawn.
#[derive(Clone, Copy)]
struct Pose {
    width: f32,
    /// From the middle of the square.
    at: [f32; 2],
    /// In radians.
    angle: f32,
    /// Wider and lower by this part.
    stretch: f32,
}

impl Pose {
    fn map(self, face: Rect) -> Affine {
        let scale = self.width / face.w.max(1.0);
        let (sin, cos) = self.angle.sin_cos();
        let (wide, high) = (scale * (1.0 + self.stretch), scale * (1.0 - self.stretch));
        let across = [cos * wide, -sin * high];
        let down = [sin * wide, cos * high];
        let (from, middle) = (face.center(), SIDE as f32 / 2.0);
        let row = |[x, y]: [f32; 2], at: f32| [x, y, middle + at - x * from.x - y * from.y];
        [row(across, self.at[0]), row(down, self.at[1])].map(|row| row.map(f64::from))
    }
}

/// Where a take may begin: all its frames show the face, and belong to the known or held-out part.
fn starts(faces: &[Option<Rect>], known: bool) -> Vec<usize> {
    let part = |share: f32| share * faces.len() as f32;
    let fits = |start: usize| {
        let inside = if known {
            (start + FRAMES) as f32 <= part(KNOWN)
        } else {
            start as f32 >= part(HELD_OUT)
        };
        inside && faces[start..start + FRAMES].iter().all(Option::is_some)
    };
    (0..(faces.len() + 1).saturating_sub(FRAMES)).filter(|&start| fits(start)).collect()
}

/// The surest `count` faces from left to right.
fn in_order(mut found: Vec<Detection>, count: usize) -> Option<Vec<Rect>> {
    found.truncate(count);
    if found.len() < count || found.iter().any(|f| f.score < SURE) {
        return None;
    }
    let mut faces: Vec<Rect> = found.into_iter().map(|f| f.rect).collect();
    faces.sort_by(|a, b| a.x.total_cmp(&b.x));
    Some(faces)
}

fn read_clip(path: &Path) -> Result<Vec<Picture>, AttackError> {
    let settings = capture::Settings::default();
    let mut capture = Capture::open(&Input::File(path.to_owned()), &settings)?;
    let mut pictures = Vec::new();
    loop {
        match capture.next(Duration::from_secs(1))? {
            Some(Event::Video(frame)) => pictures.push(Picture::copy_of(&frame.view())),
            Some(Event::End) => return Ok(pictures),
            Some(Event::Lost(error)) => return Err(error.into()),
            Some(Event::Audio(_)) | None => {}
        }
    }
}

fn read_photo(path: &Path) -> Result<BgrImage, AttackError> {
    let failed = |source| AttackError::Photo { path: path.to_owned(), source };
    let photo = image::open(path).map_err(failed)?.into_rgb8();
    let size = FrameSize::new(photo.width(), photo.height());
    Ok(BgrImage { size, data: photo.pixels().flat_map(|p| [p.0[2], p.0[1], p.0[0]]).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_held_out_takes_share_no_frame() {
        let mut faces = vec![Some(Rect::new(0.0, 0.0, 9.0, 9.0)); 100];
        faces[80] = None;
        let (known, held_out) = (starts(&faces, true), starts(&faces, false));
        assert_eq!((known.first(), known.last()), (Some(&0), Some(&52)));
        assert_eq!((held_out.first(), held_out.last()), (Some(&68), Some(&92)));
        assert!(held_out.iter().all(|s| !(s..&(s + FRAMES)).contains(&&80)));
        assert!(starts(&faces[..5], true).is_empty());
    }

    #[test]
    fn a_face_is_drawn_where_the_pose_says() {
        let face = Rect::new(40.0, 60.0, 50.0, 70.0);
        let pose = Pose { width: 100.0, at: [5.0, -3.0], angle: 0.0, stretch: 0.0 };
        let to = pose.map(face).map(|[a, b, c]| a * 65.0 + b * 95.0 + c);
        assert!((to[0] - 185.0).abs() < 1e-3 && (to[1] - 177.0).abs() < 1e-3);
    }
}
