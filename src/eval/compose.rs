//! Makes scenes: draws every picture, writes down who is where, and encodes the result.
//!
//! Belongs here: the order in which things are drawn, and the truth that follows from it. Does not
//! belong: what happens in a scene (`scenes`), pixels (`draw`).

use std::{
    fmt::Write as _,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use super::{
    EvalError, FPS, art,
    cast::{CAST, Look, Samples},
    control::{self, PlainVideo},
    draw::{self, Dice, Noise, Placing, Plane},
    scenes::{self, Kind},
    stage::{Actor, PAN_ROOM, Pose, Scene, Stage},
    truth::{
        FaceTruth, FrameTruth, PersonEntry, Role, SceneEntry, SceneFiles, SceneSet, Shape, rounded,
    },
};
use crate::{
    capture::VideoFormat,
    frame::{FrameSize, I420ViewMut, Rect},
    units::Pts,
    vision::{detect::Detector, infer::Models},
};

/// A face's own pixels are the ellipse in its box, a little within it: the corners of the box and its
/// rim are background and hair.
const OWN: (f32, f32) = (0.46, 0.48);
/// The head that is drawn around the face's middle, half axes in face widths and heights, and by how
/// much of the height its middle lies above the face's.
const HEAD: (f32, f32) = (0.78, 0.80);
const HEAD_UP: f32 = 0.06;
/// The same for the shoulders below.
const BODY: (f32, f32) = (1.25, 1.0);
const BODY_DOWN: f32 = 1.45;
/// Sizes and lengths that can be made.
const SIDES: std::ops::RangeInclusive<u32> = 160..=3840;
const SECONDS: std::ops::RangeInclusive<f32> = 1.0..=600.0;

/// What scenes to make.
#[derive(Clone, Debug)]
pub struct SceneOptions {
    /// The same seed gives the same truth.
    pub seed: u64,
    /// Pixels across, an even number.
    pub width: u32,
    /// Pixels down, an even number.
    pub height: u32,
    /// Length of each scene.
    pub seconds: f32,
    /// Names of kinds; all where it is empty.
    pub scenes: Vec<String>,
    /// Where the sample faces are.
    pub samples: PathBuf,
}

impl SceneOptions {
    fn size(&self) -> FrameSize {
        FrameSize::new(self.width, self.height)
    }
}

/// Makes scenes in the new or empty folder `out`. `progress` hears the scene's name and which of how
/// many pictures is done, over all scenes, and may break off.
pub fn compose(
    out: &Path,
    options: &SceneOptions,
    models: &Models,
    mut progress: impl FnMut(&str, u64, u64) -> ControlFlow<()>,
) -> Result<SceneSet, EvalError> {
    let kinds = chosen(options)?;
    check(options)?;
    make_empty(out)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most ten minutes of pictures"
    )]
    let frames = (options.seconds * FPS as f32).round() as u64;
    let total = frames * kinds.len() as u64;
    let mut detector = Detector::new(models, 1)?;
    let samples = Samples::new(&options.samples);
    let mut set = SceneSet::new(options.seed, options.size(), FPS);
    for (number, kind) in (0u64..).zip(kinds) {
        let mut stage = Stage::new(options.size(), Dice::of(options.seed, kind.name));
        let scene = (kind.set)(&mut stage);
        let files = SceneFiles::of(out, kind.name);
        fs::create_dir_all(&files.folder).map_err(EvalError::io(&files.folder))?;
        let people = write_list(&files, &scene, &samples, &mut detector)?;
        let mut painter = Painter::new(options, kind, scene, &samples, &mut detector)?;
        let truth = painter.paint(&files.video(), frames, |done| {
            progress(kind.name, number * frames + done, total)
        })?;
        files.save_truth(&truth)?;
        set.scenes.push(SceneEntry {
            name: kind.name.to_owned(),
            about: kind.about.to_owned(),
            frames,
            people,
        });
    }
    // Written last: a set that was broken off has no index.
    set.save(out)?;
    Ok(set)
}

fn chosen(options: &SceneOptions) -> Result<Vec<&'static Kind>, EvalError> {
    if options.scenes.is_empty() {
        return Ok(scenes::ALL.iter().collect());
    }
    if let Some(name) = options.scenes.iter().find(|n| !scenes::KINDS.contains(&n.as_str())) {
        let known = scenes::KINDS.join(", ");
        return Err(EvalError::UnknownScene { name: name.clone(), known });
    }
    Ok(scenes::ALL.iter().filter(|kind| options.scenes.iter().any(|n| n == kind.name)).collect())
}

fn check(options: &SceneOptions) -> Result<(), EvalError> {
    let FrameSize { width, height } = options.size();
    let fits = |side: u32| SIDES.contains(&side) && side.is_multiple_of(2);
    if !fits(width) || !fits(height) {
        let what = format!("pictures of {} cannot be made", options.size());
        return Err(EvalError::Option { what, allowed: "even sides of 160 to 3840 pixels" });
    }
    if !SECONDS.contains(&options.seconds) {
        let what = format!("scenes of {} s cannot be made", options.seconds);
        return Err(EvalError::Option { what, allowed: "1 to 600 seconds" });
    }
    Ok(())
}

pub(super) fn make_empty(folder: &Path) -> Result<(), EvalError> {
    fs::create_dir_all(folder).map_err(EvalError::io(folder))?;
    let mut entries = fs::read_dir(folder).map_err(EvalError::io(folder))?;
    if entries.next().is_some() {
        return Err(EvalError::NotEmpty { path: folder.to_owned() });
    }
    Ok(())
}

/// Writes the scene's pupil list and its photos.
fn write_list(
    files: &SceneFiles,
    scene: &Scene,
    samples: &Samples,
    detector: &mut Detector,
) -> Result<Vec<PersonEntry>, EvalError> {
    let folder = files.folder.join("photos");
    fs::create_dir_all(&folder).map_err(EvalError::io(&folder))?;
    let mut rows = "pupil_id,class,status,since,photos\n".to_owned();
    let mut people = Vec::new();
    let mut actors: Vec<&Actor> = scene.actors.iter().collect();
    actors.sort_by_key(|actor| CAST[actor.entry].person);
    for actor in actors {
        let entry = &CAST[actor.entry];
        let person = entry.person.to_owned();
        people.push(PersonEntry { person, role: actor.role, held_out: entry.held_out });
        let status = match actor.role {
            Role::Refused => "refused",
            Role::Consented => "consented",
            Role::Unlisted => continue,
        };
        let mut names = Vec::new();
        for (number, photo) in samples.references(actor.entry, detector)?.iter().enumerate() {
            let name = format!("photos/{}-{}.png", entry.person, number + 1);
            let path = files.folder.join(&name);
            photo.save(&path).map_err(|source| EvalError::Png { path, source })?;
            names.push(name);
        }
        let photos = names.join("|");
        // Writing to a string cannot fail.
        let _ = writeln!(rows, "{},scene,{status},2020-01-01,{photos}", entry.person);
    }
    let path = files.list();
    fs::write(&path, rows).map_err(EvalError::io(&path))?;
    Ok(people)
}

/// One thing that is drawn, and everything that is in front of those drawn before it.
enum Layer {
    Actor { index: usize, pose: Pose },
    Prop { index: usize, shape: Shape },
}

/// Draws one scene.
struct Painter<'a> {
    size: FrameSize,
    scene: Scene,
    samples: &'a Samples,
    detector: &'a mut Detector,
    rooms: Vec<[Plane; 3]>,
    noise: Noise,
    dice: Dice,
}

/// An actor's head and body at one moment.
struct Figure<'l> {
    look: &'l Look,
    placing: Placing,
    head: Shape,
    body: Shape,
}

impl<'a> Painter<'a> {
    fn new(
        options: &SceneOptions,
        kind: &Kind,
        scene: Scene,
        samples: &'a Samples,
        detector: &'a mut Detector,
    ) -> Result<Self, EvalError> {
        let mut dice = Dice::of(options.seed ^ 0x5eed, kind.name);
        let FrameSize { width, height } = options.size();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a picture's side"
        )]
        let larger = |side: u32| ((side as f32 * PAN_ROOM) as usize + 2).next_multiple_of(2);
        // Two rooms are enough to tell shots apart.
        let rooms = usize::from(!scene.cuts.is_empty()) + 1;
        let rooms =
            (0..rooms).map(|_| art::room(larger(width), larger(height), &mut dice)).collect();
        let noise = Noise::new(scene.noise, &mut dice);
        // Read now: a sample that is missing ends the work before it begins.
        for actor in &scene.actors {
            samples.looks(actor.entry, detector)?;
        }
        Ok(Self { size: options.size(), scene, samples, detector, rooms, noise, dice })
    }

    fn paint(
        &mut self,
        path: &Path,
        frames: u64,
        mut progress: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Vec<FrameTruth>, EvalError> {
        let format = VideoFormat {
            size: self.size,
            framerate: Some((FPS, 1)),
            pixel_aspect: (1, 1),
            colorimetry: None,
        };
        let settings = control::of_scene(self.size, self.scene.bitrate);
        let mut video = PlainVideo::create(path, &format, &settings)?;
        let mut truth = Vec::new();
        for number in 0..frames {
            let seconds = number as f32 / FPS as f32;
            let pts = Pts::from_nanos(number * 1_000_000_000 / u64::from(FPS));
            let layers = self.layers(seconds);
            let mut looks = Vec::with_capacity(self.scene.actors.len());
            for actor in &self.scene.actors {
                let looks_of = self.samples.looks(actor.entry, self.detector)?;
                looks.push((looks_of.at(seconds + actor.from), looks_of.width));
            }
            let figures: Vec<Option<Figure<'_>>> = layers
                .iter()
                .map(|layer| match layer {
                    Layer::Actor { index, pose } => Some(figure(looks[*index], pose)),
                    Layer::Prop { .. } => None,
                })
                .collect();
            let faces = self.truth(&layers, &figures);
            truth.push(FrameTruth { frame: number, faces });
            let (scene, rooms, noise) = (&self.scene, &self.rooms, &self.noise);
            let dice = &mut self.dice;
            video.draw(pts, |planes| {
                draw_picture(scene, rooms, seconds, &layers, &figures, planes);
                noise.add(planes, dice);
            })?;
            if progress(number + 1).is_break() {
                return Err(EvalError::BrokenOff);
            }
        }
        video.finish()?;
        Ok(truth)
    }

    /// What is in the picture, what is in front last, in the picture's own pixels.
    fn layers(&self, seconds: f32) -> Vec<Layer> {
        let (left, top) = whole(self.scene.pan.as_ref()(seconds));
        let mut layers = Vec::new();
        for (index, actor) in self.scene.actors.iter().enumerate() {
            if let Some(pose) = (actor.pose)(seconds) {
                let pose = Pose { x: pose.x - left, y: pose.y - top, ..pose };
                layers.push((pose.near, Layer::Actor { index, pose }));
            }
        }
        for (index, prop) in self.scene.props.iter().enumerate() {
            if let Some(shape) = (prop.shape)(seconds) {
                layers.push((prop.near, Layer::Prop { index, shape }));
            }
        }
        layers.sort_by(|a, b| a.0.total_cmp(&b.0));
        layers.into_iter().map(|(_, layer)| layer).collect()
    }

    fn truth(&self, layers: &[Layer], figures: &[Option<Figure<'_>>]) -> Vec<FaceTruth> {
        let mut faces = Vec::new();
        for (at, layer) in layers.iter().enumerate() {
            let (Layer::Actor { index, .. }, Some(figure)) = (layer, &figures[at]) else {
                continue;
            };
            let own = figure.own();
            let around = own.bounds();
            let mut covered_by = Vec::new();
            for (layer, figure) in layers.iter().zip(figures).skip(at + 1) {
                match (layer, figure) {
                    (Layer::Actor { .. }, Some(figure)) => {
                        covered_by.extend([figure.head.rounded(), figure.body.rounded()]);
                    }
                    (Layer::Prop { shape, .. }, _) => covered_by.push(*shape),
                    (Layer::Actor { .. }, None) => {}
                }
            }
            covered_by.retain(|shape| shape.bounds().intersection(around).area() > 0.0);
            let points = figure.look.landmarks.map(|p| figure.placing.to_picture(p.x, p.y));
            let rect = figure.rect();
            let mut face = FaceTruth {
                person: CAST[self.scene.actors[*index].entry].person.to_owned(),
                rect: [rect.x, rect.y, rect.w, rect.h].map(|v| rounded(v, 100.0)),
                own,
                covered_by,
                visible: 0.0,
                pixels: 0,
                landmarks: points.map(|(x, y)| [rounded(x, 100.0), rounded(y, 100.0)]),
            };
            face.count(self.size);
            if face.pixels > 0 {
                faces.push(face);
            }
        }
        faces
    }
}

/// Moves by whole chroma samples only, as the background does.
fn whole((x, y): (f32, f32)) -> (f32, f32) {
    ((x.max(0.0) / 2.0).floor() * 2.0, (y.max(0.0) / 2.0).floor() * 2.0)
}

fn figure<'l>((look, width): (&'l Look, f32), pose: &Pose) -> Figure<'l> {
    let scale = pose.width / width;
    let placing = Placing { anchor: look.anchor, at: (pose.x, pose.y), scale, tilt: pose.tilt };
    let Rect { w, h, .. } = look.face;
    let middle = look.face.center();
    let head = placing.ellipse((middle.x, middle.y - HEAD_UP * h), (HEAD.0 * w, HEAD.1 * h));
    // The body stands upright below the head, whatever the head does.
    let (x, y) = placing.to_picture(middle.x, middle.y);
    let (w, h) = (w * scale, h * scale);
    let body = Shape::Ellipse([x, y + BODY_DOWN * h, BODY.0 * w, BODY.1 * h, 0.0]);
    Figure { look, placing, head, body }
}

impl Figure<'_> {
    fn own(&self) -> Shape {
        let Rect { w, h, .. } = self.look.face;
        let middle = self.look.face.center();
        self.placing.ellipse((middle.x, middle.y), (OWN.0 * w, OWN.1 * h)).rounded()
    }

    fn rect(&self) -> Rect {
        let middle = self.look.face.center();
        let (x, y) = self.placing.to_picture(middle.x, middle.y);
        let scale = self.placing.scale;
        let (w, h) = (self.look.face.w * scale, self.look.face.h * scale);
        Rect::new(x - w / 2.0, y - h / 2.0, w, h)
    }
}

fn draw_picture(
    scene: &Scene,
    rooms: &[[Plane; 3]],
    seconds: f32,
    layers: &[Layer],
    figures: &[Option<Figure<'_>>],
    planes: &mut I420ViewMut<'_>,
) {
    let shot = scene.cuts.iter().filter(|&&cut| cut <= seconds).count();
    let (left, top) = whole((scene.pan)(seconds));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the room, which is hardly larger than the picture"
    )]
    let (left, top) = (left as usize, top as usize);
    draw::backdrop(planes, &rooms[shot % rooms.len()], left, top);
    for (layer, figure) in layers.iter().zip(figures) {
        match (layer, figure) {
            (Layer::Actor { index, .. }, Some(figure)) => {
                let actor = &scene.actors[*index];
                draw::fill(planes, &figure.body, actor.clothes);
                let picture = &figure.look.picture;
                draw::head(planes, picture, figure.placing, &figure.head, actor.gain);
            }
            (Layer::Prop { index, shape }, _) => {
                draw::fill(planes, shape, scene.props[*index].colour);
            }
            (Layer::Actor { .. }, None) => {}
        }
    }
    let light = (scene.light)(seconds);
    if light < 1.0 {
        draw::light(planes, light);
    }
}
