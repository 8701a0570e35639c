//! What scenes are set with: actors, things, and how people sit and walk.
//!
//! Belongs here: what several kinds of scene need. Does not belong: what happens in one of them
//! (`scenes`). Sizes are face widths at 1080 lines; smaller pictures shrink them, but not below six
//! tenths, or nobody in a small test scene could be told apart.

use super::{
    cast::CAST,
    draw::Dice,
    truth::{Role, Shape},
};
use crate::frame::FrameSize;

/// Where a head is: its face's middle, how wide the face is, its tilt, how near (the nearer is in
/// front).
#[derive(Clone, Copy, Debug)]
pub(super) struct Pose {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) width: f32,
    pub(super) tilt: f32,
    pub(super) near: f32,
}

/// Something over time: its place at a moment in seconds, none where it is away.
pub(super) type OverTime<T> = Box<dyn Fn(f32) -> Option<T>>;

/// One person in a scene.
pub(super) struct Actor {
    /// Place in [`CAST`].
    pub(super) entry: usize,
    pub(super) role: Role,
    /// How bright.
    pub(super) gain: f32,
    /// The colour of the clothes, Y U V.
    pub(super) clothes: [u8; 3],
    /// Seconds into the person's clip at which the scene begins.
    pub(super) from: f32,
    pub(super) pose: OverTime<Pose>,
}

/// A thing without a face.
pub(super) struct Prop {
    pub(super) colour: [u8; 3],
    pub(super) near: f32,
    pub(super) shape: OverTime<Shape>,
}

/// One scene.
pub(super) struct Scene {
    pub(super) actors: Vec<Actor>,
    pub(super) props: Vec<Prop>,
    /// Seconds at which another room is shown.
    pub(super) cuts: Vec<f32>,
    /// How much light there is, 0 to 1.
    pub(super) light: Box<dyn Fn(f32) -> f32>,
    /// Standard deviation of the sensor's noise, in grey levels.
    pub(super) noise: f32,
    /// Bits per second at 1920x1080 of a camera that compresses hard; none for pictures that are kept
    /// almost as they are.
    pub(super) bitrate: Option<f32>,
    /// Where the camera looks, in pixels from its leftmost upper place.
    pub(super) pan: Box<dyn Fn(f32) -> (f32, f32)>,
}

/// By how much the room is wider and higher than the picture where the camera pans.
pub(super) const PAN_ROOM: f32 = 1.3;

/// What a scene is set on.
pub(super) struct Stage {
    size: FrameSize,
    /// From face widths at 1080 lines to pixels.
    pub(super) unit: f32,
    pub(super) dice: Dice,
    /// Entries of [`CAST`] that have no part yet, in an order of chance.
    waiting: Vec<usize>,
}

impl Stage {
    pub(super) fn new(size: FrameSize, mut dice: Dice) -> Self {
        let mut waiting: Vec<usize> = (0..CAST.len()).collect();
        dice.shuffle(&mut waiting);
        Self { size, unit: (size.height as f32 / 1080.0).max(0.6), dice, waiting }
    }

    pub(super) fn w(&self) -> f32 {
        self.size.width as f32
    }

    pub(super) fn h(&self) -> f32 {
        self.size.height as f32
    }

    /// Takes an entry, and its person's other entries with it.
    pub(super) fn take(&mut self, entry: usize) -> usize {
        self.waiting.retain(|&other| CAST[other].person != CAST[entry].person);
        entry
    }

    /// Somebody whose samples are good enough for faces of `width`; the part in the scene goes by
    /// turns to people held out and others.
    pub(super) fn anybody(&mut self, width: f32, held_out: bool) -> usize {
        let width = width * self.unit;
        let fits = |&&entry: &&usize| CAST[entry].widest >= width;
        let wanted = self.waiting.iter().filter(fits).find(|&&e| CAST[e].held_out == held_out);
        let any = wanted.or_else(|| self.waiting.iter().find(fits)).or(self.waiting.first());
        // There are more people than any scene has parts.
        let entry = any.copied().unwrap_or(0);
        self.take(entry)
    }

    /// An actor at `pose`.
    pub(super) fn actor(&mut self, entry: usize, role: Role, pose: OverTime<Pose>) -> Actor {
        let tone = |dice: &mut Dice, low: f32, high: f32| {
            let value = dice.between(low, high).clamp(0.0, 255.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to a sample's range"
            )]
            let value = value as u8;
            value
        };
        let clothes = [
            tone(&mut self.dice, 40.0, 180.0),
            tone(&mut self.dice, 105.0, 150.0),
            tone(&mut self.dice, 105.0, 150.0),
        ];
        let (gain, from) = (self.dice.between(0.88, 1.12), self.dice.between(0.0, 4.0));
        Actor { entry, role, gain, clothes, from, pose }
    }

    /// People of chance, refused ones first, each at the pose that `pose` makes for the number of the
    /// part and a face width.
    pub(super) fn people(
        &mut self,
        [refused, consented, unlisted]: [usize; 3],
        widths: &[f32],
        mut pose: impl FnMut(&mut Self, usize, f32) -> OverTime<Pose>,
    ) -> Vec<Actor> {
        let roles = std::iter::repeat_n(Role::Refused, refused)
            .chain(std::iter::repeat_n(Role::Consented, consented))
            .chain(std::iter::repeat_n(Role::Unlisted, unlisted));
        let mut actors = Vec::new();
        for (part, role) in roles.enumerate() {
            let width = widths[part % widths.len()];
            let entry = self.anybody(width, part % 2 == 0);
            let pose = pose(self, part, width);
            actors.push(self.actor(entry, role, pose));
        }
        actors
    }

    /// Sits at a place (parts of the picture), never quite still.
    pub(super) fn seated(&mut self, x: f32, y: f32, width: f32) -> OverTime<Pose> {
        let (x, y, width) = (x * self.w(), y * self.h(), width * self.unit);
        let (pace, phase) = (self.dice.between(0.8, 2.2), self.dice.between(0.0, 6.3));
        let (wide, high) = (self.dice.between(0.1, 0.4), self.dice.between(0.05, 0.2));
        let near = y;
        Box::new(move |t| {
            let (a, b) = ((t * pace + phase).sin(), (t * pace * 0.7 + 2.0 * phase).sin());
            Some(Pose {
                x: x + wide * width * a,
                y: y + high * width * b,
                width: width * (1.0 + 0.03 * b),
                tilt: 0.09 * b,
                near,
            })
        })
    }

    /// Walks to and fro between two places across (parts of the picture) at a height, `crossings`
    /// times in ten seconds.
    pub(super) fn walking(
        &mut self,
        [from, to]: [f32; 2],
        y: f32,
        width: f32,
        crossings: f32,
    ) -> OverTime<Pose> {
        let (from, to, y) = (from * self.w(), to * self.w(), y * self.h());
        let (width, phase) = (width * self.unit, self.dice.between(0.0, 2.0));
        let near = y + self.dice.between(0.0, 1.0);
        Box::new(move |t| {
            let way = (t * crossings / 10.0 + phase).rem_euclid(2.0);
            let part = if way < 1.0 { way } else { 2.0 - way };
            let step = (t * 9.0 + phase).sin();
            Some(Pose {
                x: from + (to - from) * part,
                y: y + 0.05 * width * step,
                width,
                tilt: 0.03 * step,
                near,
            })
        })
    }
}

impl Scene {
    /// A bright room, a camera that stands still.
    pub(super) fn of(actors: Vec<Actor>) -> Self {
        Self {
            actors,
            props: Vec::new(),
            cuts: Vec::new(),
            light: Box::new(|_| 1.0),
            noise: 1.5,
            bitrate: None,
            pan: Box::new(|_| (0.0, 0.0)),
        }
    }
}
