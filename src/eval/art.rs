//! Classrooms to stand in front of: walls, a board, windows, posters, desks, all of chance.
//!
//! Belongs here: what has no face. A background is drawn once for a scene; it may be larger than the
//! picture, so that a camera can pan over it.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "samples are clamped before they are cast"
)]

use super::draw::{Dice, Plane, grain};

/// Draws a room of `width` by `height` pixels.
pub(super) fn room(width: usize, height: usize, dice: &mut Dice) -> [Plane; 3] {
    let mut room = Room::new(width, height);
    let (w, h) = (width as f32, height as f32);
    let wall = dice.between(120.0, 190.0);
    let wall = [wall, dice.between(118.0, 132.0), dice.between(124.0, 136.0)];
    room.shade([0.0, 0.0, w, h], wall, dice.between(-40.0, -10.0));
    // The board, with lines of writing.
    let board = [dice.between(0.25, 0.4) * w, 0.1 * h, dice.between(0.3, 0.4) * w, 0.28 * h];
    room.shade(board, [dice.between(50.0, 80.0), 124.0, 120.0], 8.0);
    for line in 0..5 {
        let y = board[1] + board[3] * (0.15 + 0.16 * line as f32);
        let mut x = board[0] + 0.05 * board[2];
        while x < board[0] + 0.85 * board[2] {
            let word = dice.between(0.02, 0.09) * board[2];
            room.shade([x, y, word, 0.05 * board[3]], [150.0, 128.0, 128.0], 30.0);
            x += word + 0.02 * board[2];
        }
    }
    // Windows on one side, posters on the other.
    let (glass, paper) = if dice.below(2) == 0 { (0.02, 0.78) } else { (0.8, 0.02) };
    for pane in 0..2 {
        let x = (glass + 0.1 * pane as f32) * w;
        let bright = dice.between(200.0, 230.0);
        room.shade([x, 0.06 * h, 0.085 * w, 0.34 * h], [bright, 132.0, 124.0], -50.0);
    }
    for _ in 0..5 {
        let x = (paper + dice.between(0.0, 0.14)) * w;
        let y = dice.between(0.08, 0.4) * h;
        let colour =
            [dice.between(60.0, 200.0), dice.between(90.0, 160.0), dice.between(90.0, 160.0)];
        room.shade([x, y, 0.05 * w, 0.07 * w], colour, dice.between(-30.0, 30.0));
    }
    // The floor, and rows of desks that grow towards the front.
    room.shade([0.0, 0.72 * h, w, 0.28 * h], [95.0, 122.0, 134.0], 25.0);
    for row in 0..3 {
        let y = (0.6 + 0.13 * row as f32) * h;
        let (desk, deep) = ((0.12 + 0.03 * row as f32) * w, (0.035 + 0.012 * row as f32) * h);
        let mut x = dice.between(-0.05, 0.05) * w;
        while x < w {
            let tone = dice.between(125.0, 165.0);
            room.shade([x, y, desk, deep], [tone, 112.0, 140.0], -20.0);
            x += desk + dice.between(0.02, 0.05) * w;
        }
    }
    room.planes
}

struct Room {
    planes: [Plane; 3],
}

impl Room {
    fn new(width: usize, height: usize) -> Self {
        let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
        let planes =
            [Plane::new(width, height, 16), Plane::new(cw, ch, 128), Plane::new(cw, ch, 128)];
        Self { planes }
    }

    /// Fills a rectangle (left, top, width, height) with a colour (Y U V) that changes by `slope`
    /// grey levels from its upper to its lower edge.
    fn shade(&mut self, [left, top, width, height]: [f32; 4], colour: [f32; 3], slope: f32) {
        for (index, plane) in self.planes.iter_mut().enumerate() {
            let step = if index == 0 { 1.0 } else { 2.0 };
            let span = |from: f32, extent: f32, end: usize| {
                let clamp = |v: f32| (v / step).clamp(0.0, end as f32) as usize;
                clamp(from)..clamp(from + extent)
            };
            for y in span(top, height, plane.height) {
                let down = (y as f32 * step - top) / height.max(1.0);
                for x in span(left, width, plane.width) {
                    let value = if index == 0 {
                        colour[0] + slope * down + grain(x as u32, y as u32)
                    } else {
                        colour[index]
                    };
                    plane.data[y * plane.width + x] = value.clamp(0.0, 255.0) as u8;
                }
            }
        }
    }
}
