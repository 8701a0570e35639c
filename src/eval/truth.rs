//! What is known of a scene because we made it: who is where in every picture, and which pixels are
//! each face's own.
//!
//! Belongs here: the form of `scenes.json` and `truth.jsonl`. Does not belong: how scenes are made
//! (`scenes`), what is made of the truth (`judge`).

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::EvalError;
use crate::frame::{FrameSize, Point, Rect};

/// Version of the form on disk.
const FORMAT: u32 = 1;
/// The index of a set of scenes, in its folder.
const INDEX: &str = "scenes.json";

/// A set of scenes in a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneSet {
    /// Version of this form.
    pub format: u32,
    /// What the scenes were drawn from; the same seed gives the same truth.
    pub seed: u64,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
    /// The scenes, each in a folder of its name.
    pub scenes: Vec<SceneEntry>,
}

/// One scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneEntry {
    /// Its name, which is its folder's.
    pub name: String,
    /// What happens in it.
    pub about: String,
    /// Pictures.
    pub frames: u64,
    /// Everyone in it.
    pub people: Vec<PersonEntry>,
}

/// One person in a scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonEntry {
    /// Pseudonym.
    pub person: String,
    /// What the scene's pupil list says.
    pub role: Role,
    /// Never used for setting a threshold.
    pub held_out: bool,
}

/// What a scene's pupil list says of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// May not be seen.
    Refused,
    /// May be seen.
    Consented,
    /// Not on the list.
    Unlisted,
}

/// Everyone in one picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameTruth {
    /// The picture's number, from 0.
    pub frame: u64,
    /// Who is in it, those in front last.
    pub faces: Vec<FaceTruth>,
}

/// One face in one picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceTruth {
    /// Pseudonym.
    pub person: String,
    /// Left, top, width, height as the detector would box the whole face, in pixels; may reach
    /// beyond the picture.
    #[serde(rename = "box")]
    pub rect: [f32; 4],
    /// The pixels that are the face's own: those in this shape ...
    pub own: Shape,
    /// ... that are in none of these, which stand in front of it.
    pub covered_by: Vec<Shape>,
    /// Own pixels in the picture, as a part of all of the face's.
    pub visible: f32,
    /// Own pixels in the picture.
    pub pixels: u32,
    /// Right eye, left eye, nose, right and left corner of the mouth.
    pub landmarks: [[f32; 2]; 5],
}

impl FaceTruth {
    /// The whole face.
    #[must_use]
    pub fn rect(&self) -> Rect {
        let [x, y, w, h] = self.rect;
        Rect::new(x, y, w, h)
    }

    /// The landmarks as models take them.
    #[must_use]
    pub fn points(&self) -> [Point; 5] {
        self.landmarks.map(|[x, y]| Point { x, y })
    }

    /// Calls `with` for each of the face's own pixels in a picture of `size`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the picture before"
    )]
    pub fn for_each_pixel(&self, size: FrameSize, mut with: impl FnMut(usize, usize)) {
        let around = self.own.bounds().intersection(size.rect());
        if around.area() <= 0.0 {
            return;
        }
        let (left, right) = (around.x.floor() as usize, around.right().ceil() as usize);
        let (top, bottom) = (around.y.floor() as usize, around.bottom().ceil() as usize);
        for y in top..bottom.min(size.height as usize) {
            for x in left..right.min(size.width as usize) {
                let (px, py) = (x as f32 + 0.5, y as f32 + 0.5);
                if self.own.contains(px, py) && !self.covered_by.iter().any(|s| s.contains(px, py))
                {
                    with(x, y);
                }
            }
        }
    }

    /// Counts the face's own pixels, of which `visible` and `pixels` tell.
    pub(super) fn count(&mut self, size: FrameSize) {
        let mut pixels = 0;
        self.for_each_pixel(size, |_, _| pixels += 1);
        self.pixels = pixels;
        self.visible = rounded((pixels as f32 / self.own.area().max(1.0)).min(1.0), 1000.0);
    }
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Centre, half axes, and by how many radians it is turned clockwise.
    Ellipse([f32; 5]),
    /// Left, top, width, height.
    Rect([f32; 4]),
}

impl Shape {
    /// Whether a point lies in it.
    #[must_use]
    pub fn contains(&self, x: f32, y: f32) -> bool {
        match *self {
            Self::Ellipse([cx, cy, rx, ry, angle]) => {
                let (sin, cos) = angle.sin_cos();
                let (dx, dy) = (x - cx, y - cy);
                let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
                (u / rx).powi(2) + (v / ry).powi(2) <= 1.0
            }
            Self::Rect([left, top, w, h]) => x >= left && y >= top && x <= left + w && y <= top + h,
        }
    }

    /// A rectangle around it.
    #[must_use]
    pub fn bounds(&self) -> Rect {
        match *self {
            Self::Ellipse([cx, cy, rx, ry, angle]) => {
                let (sin, cos) = angle.sin_cos();
                let half_w = (rx * cos).hypot(ry * sin);
                let half_h = (rx * sin).hypot(ry * cos);
                Rect::new(cx - half_w, cy - half_h, 2.0 * half_w, 2.0 * half_h)
            }
            Self::Rect([x, y, w, h]) => Rect::new(x, y, w, h),
        }
    }

    fn area(&self) -> f32 {
        match *self {
            Self::Ellipse([_, _, rx, ry, _]) => std::f32::consts::PI * rx * ry,
            Self::Rect([_, _, w, h]) => w * h,
        }
    }

    /// As it is written: hundredths of a pixel say enough.
    pub(super) fn rounded(self) -> Self {
        match self {
            Self::Ellipse([cx, cy, rx, ry, angle]) => {
                let [cx, cy, rx, ry] = [cx, cy, rx, ry].map(|v| rounded(v, 100.0));
                Self::Ellipse([cx, cy, rx, ry, rounded(angle, 10_000.0)])
            }
            Self::Rect(sides) => Self::Rect(sides.map(|v| rounded(v, 100.0))),
        }
    }
}

/// `value` to the nearest part `1 / parts`.
pub(super) fn rounded(value: f32, parts: f32) -> f32 {
    (value * parts).round() / parts
}

impl SceneSet {
    /// An empty set.
    pub(super) fn new(seed: u64, size: FrameSize, fps: u32) -> Self {
        let FrameSize { width, height } = size;
        Self { format: FORMAT, seed, width, height, fps, scenes: Vec::new() }
    }

    /// Reads the index in `folder`.
    pub fn load(folder: &Path) -> Result<Self, EvalError> {
        let path = folder.join(INDEX);
        let bytes = fs::read(&path)
            .map_err(|source| EvalError::NoScenes { folder: folder.to_owned(), source })?;
        let bad = |problem: String| EvalError::BadScenes { path: path.clone(), problem };
        let set: Self = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
        if set.format != FORMAT {
            return Err(bad(format!("format {} is unknown", set.format)));
        }
        // A name becomes a path below the folder, so it may not lead out of it.
        let plain = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        };
        if let Some(scene) = set.scenes.iter().find(|s| !plain(&s.name)) {
            return Err(bad(format!("`{}` is no scene's name", scene.name)));
        }
        Ok(set)
    }

    /// Writes the index into `folder`.
    pub(super) fn save(&self, folder: &Path) -> Result<(), EvalError> {
        let path = folder.join(INDEX);
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| EvalError::BadScenes { path: path.clone(), problem: e.to_string() })?;
        fs::write(&path, text + "\n").map_err(EvalError::io(&path))
    }

    /// The pictures' size.
    #[must_use]
    pub fn size(&self) -> FrameSize {
        FrameSize::new(self.width, self.height)
    }
}

/// Where the parts of a scene lie.
#[derive(Clone, Debug)]
pub struct SceneFiles {
    /// Its folder.
    pub folder: PathBuf,
}

impl SceneFiles {
    /// Those of the scene `name` of the set in `set`.
    #[must_use]
    pub fn of(set: &Path, name: &str) -> Self {
        Self { folder: set.join(name) }
    }

    /// What is recorded.
    #[must_use]
    pub fn video(&self) -> PathBuf {
        self.folder.join("scene.mp4")
    }

    /// The pupil list.
    #[must_use]
    pub fn list(&self) -> PathBuf {
        self.folder.join("pupils.csv")
    }

    /// One line for each picture.
    #[must_use]
    pub fn truth(&self) -> PathBuf {
        self.folder.join("truth.jsonl")
    }

    /// Reads the truth.
    pub fn load_truth(&self) -> Result<Vec<FrameTruth>, EvalError> {
        let path = self.truth();
        let file = fs::File::open(&path).map_err(EvalError::io(&path))?;
        let mut frames = Vec::new();
        for (at, line) in (0u64..).zip(BufReader::new(file).lines()) {
            let line = line.map_err(EvalError::io(&path))?;
            let bad = |problem: String| EvalError::BadScenes { path: path.clone(), problem };
            let frame: FrameTruth =
                serde_json::from_str(&line).map_err(|e| bad(format!("line {}: {e}", at + 1)))?;
            if frame.frame != at {
                return Err(bad(format!("line {} is of picture {}", at + 1, frame.frame)));
            }
            frames.push(frame);
        }
        Ok(frames)
    }

    /// Writes the truth.
    pub(super) fn save_truth(&self, frames: &[FrameTruth]) -> Result<(), EvalError> {
        let path = self.truth();
        let mut text = Vec::new();
        for frame in frames {
            serde_json::to_writer(&mut text, frame)
                .map_err(|e| EvalError::BadScenes { path: path.clone(), problem: e.to_string() })?;
            text.push(b'\n');
        }
        let mut file = fs::File::create(&path).map_err(EvalError::io(&path))?;
        file.write_all(&text).map_err(EvalError::io(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(own: Shape, covered_by: Vec<Shape>) -> FaceTruth {
        FaceTruth {
            person: "p-01".to_owned(),
            rect: [0.0; 4],
            own,
            covered_by,
            visible: 0.0,
            pixels: 0,
            landmarks: [[0.0; 2]; 5],
        }
    }

    #[test]
    fn own_pixels_are_those_in_view_and_not_covered() {
        let size = FrameSize::new(100, 100);
        let round = Shape::Ellipse([50.0, 50.0, 20.0, 20.0, 0.0]);
        let mut whole = face(round, vec![]);
        whole.count(size);
        assert!((whole.visible - 1.0).abs() < 0.02, "{}", whole.visible);
        let mut half = face(round, vec![Shape::Rect([0.0, 0.0, 100.0, 50.0])]);
        half.count(size);
        assert!((half.visible - 0.5).abs() < 0.02, "{}", half.visible);
        let mut at_the_edge = face(Shape::Ellipse([0.0, 50.0, 20.0, 20.0, 0.0]), vec![]);
        at_the_edge.count(size);
        assert!((at_the_edge.visible - 0.5).abs() < 0.03, "{}", at_the_edge.visible);
        let mut outside = face(Shape::Ellipse([-30.0, 50.0, 20.0, 20.0, 0.0]), vec![]);
        outside.count(size);
        assert_eq!(outside.pixels, 0);
    }

    #[test]
    fn a_turned_ellipse_turns_clockwise() {
        let shape = Shape::Ellipse([0.0, 0.0, 10.0, 2.0, std::f32::consts::FRAC_PI_4]);
        assert!(shape.contains(6.0, 6.0) && !shape.contains(6.0, -6.0));
        let around = shape.bounds();
        assert!(around.w > 14.0 && around.w < 15.0, "{around:?}");
    }
}
