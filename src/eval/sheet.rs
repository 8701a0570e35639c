//! The contact sheet: the worst faces, source beside video, as one PNG.
//!
//! Belongs here: choosing, arranging, and the few letters that say what is seen.

#![expect(clippy::cast_possible_truncation, reason = "places on a sheet of some hundred pixels")]

use std::path::Path;

use image::{Rgb, RgbImage, imageops};

use super::{EvalError, pictures};
use crate::frame::{I420View, Rect};

/// Faces on a sheet, and in a row.
const FACES: usize = 24;
const ROW: usize = 4;
/// Side of one picture of a face; a tile has two, and a line of text.
const SIDE: u32 = 128;
const LINE: u32 = 16;

/// The worst faces so far, at most one for each key.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    tiles: Vec<(String, f32, RgbImage)>,
}

impl Sheet {
    /// Takes a tile in, if it is among the worst.
    pub(super) fn offer(&mut self, key: String, badness: f32, tile: impl FnOnce() -> RgbImage) {
        let own = self.tiles.iter().position(|t| t.0 == key);
        let least =
            (0..self.tiles.len()).min_by(|&a, &b| self.tiles[a].1.total_cmp(&self.tiles[b].1));
        let place = match (own, least) {
            (Some(own), _) => Some(own),
            (None, _) if self.tiles.len() < FACES => None,
            (None, least) => least,
        };
        match place {
            Some(place) if self.tiles[place].1 < badness => {
                self.tiles[place] = (key, badness, tile());
            }
            Some(_) => {}
            None => self.tiles.push((key, badness, tile())),
        }
    }

    /// Writes the sheet, worst first; says whether there was anything to write.
    pub(super) fn save(&mut self, path: &Path) -> Result<bool, EvalError> {
        if self.tiles.is_empty() {
            return Ok(false);
        }
        self.tiles.sort_by(|a, b| b.1.total_cmp(&a.1));
        let rows = self.tiles.len().div_ceil(ROW) as u32;
        let (wide, high) = (2 * SIDE + 8, SIDE + LINE + 8);
        let mut sheet = RgbImage::from_pixel(wide * ROW as u32, high * rows, Rgb([255; 3]));
        for (at, (_, _, tile)) in self.tiles.iter().enumerate() {
            let (x, y) = ((at % ROW) as u32 * wide + 4, (at / ROW) as u32 * high + 4);
            imageops::replace(&mut sheet, tile, i64::from(x), i64::from(y));
        }
        sheet.save(path).map_err(|source| EvalError::Png { path: path.to_owned(), source })?;
        Ok(true)
    }
}

/// A face with its surroundings in the source (left) and in the video (right), and a label below.
pub(super) fn tile(
    label: &str,
    face: Rect,
    source: &I420View<'_>,
    video: &I420View<'_>,
) -> RgbImage {
    let side = 1.8 * face.w.max(face.h);
    let middle = face.center();
    let area = Rect::new(middle.x - side / 2.0, middle.y - side / 2.0, side, side);
    let mut tile = RgbImage::from_pixel(2 * SIDE, SIDE + LINE, Rgb([255; 3]));
    for (left, view) in [(0, source), (i64::from(SIDE), video)] {
        let crop = pictures::crop(view, area);
        let crop = imageops::resize(&crop, SIDE, SIDE, imageops::FilterType::Triangle);
        imageops::replace(&mut tile, &crop, left, 0);
    }
    write(&mut tile, label, 1, SIDE + 2);
    tile
}

/// Letters of five lines of three pixels each, from the highest bit on.
fn letter(c: char) -> u16 {
    match c.to_ascii_lowercase() {
        'a' => 0b010_101_111_101_101,
        'b' => 0b110_101_110_101_110,
        'c' => 0b011_100_100_100_011,
        'd' => 0b110_101_101_101_110,
        'e' => 0b111_100_110_100_111,
        'f' => 0b111_100_110_100_100,
        'g' => 0b011_100_101_101_011,
        'h' => 0b101_101_111_101_101,
        'i' => 0b111_010_010_010_111,
        'j' => 0b001_001_001_101_010,
        'k' => 0b101_101_110_101_101,
        'l' => 0b100_100_100_100_111,
        'm' => 0b101_111_111_101_101,
        'n' => 0b110_101_101_101_101,
        'o' => 0b010_101_101_101_010,
        'p' => 0b110_101_110_100_100,
        'q' => 0b010_101_101_111_011,
        'r' => 0b110_101_110_101_101,
        's' => 0b011_100_010_001_110,
        't' => 0b111_010_010_010_010,
        'u' => 0b101_101_101_101_111,
        'v' => 0b101_101_101_101_010,
        'w' => 0b101_101_111_111_101,
        'x' => 0b101_101_010_101_101,
        'y' => 0b101_101_010_010_010,
        'z' => 0b111_001_010_100_111,
        '0' => 0b111_101_101_101_111,
        '1' => 0b010_110_010_010_111,
        '2' => 0b110_001_010_100_111,
        '3' => 0b110_001_010_001_110,
        '4' => 0b101_101_111_001_001,
        '5' => 0b111_100_110_001_110,
        '6' => 0b011_100_111_101_111,
        '7' => 0b111_001_010_010_010,
        '8' => 0b111_101_111_101_111,
        '9' => 0b111_101_111_001_110,
        '-' => 0b000_000_111_000_000,
        '%' => 0b101_001_010_100_101,
        _ => 0,
    }
}

/// Writes in letters of 6 x 10 pixels.
fn write(on: &mut RgbImage, text: &str, left: u32, top: u32) {
    for (at, c) in text.chars().enumerate() {
        let bits = letter(c);
        for dot in (0..15u32).filter(|dot| bits >> (14 - dot) & 1 == 1) {
            for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let x = left + at as u32 * 8 + dot % 3 * 2 + dx;
                let y = top + dot / 3 * 2 + dy;
                if x < on.width() && y < on.height() {
                    on.put_pixel(x, y, Rgb([0; 3]));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_stay() {
        let mut sheet = Sheet::default();
        let tile = || RgbImage::new(1, 1);
        for i in 0..100u8 {
            sheet.offer(format!("a{i}"), f32::from(i), tile);
        }
        sheet.offer("a99".to_owned(), 5.0, tile);
        let mut badness: Vec<f32> = sheet.tiles.iter().map(|t| t.1).collect();
        badness.sort_by(f32::total_cmp);
        assert_eq!(badness.len(), FACES);
        assert_eq!((badness[0], badness[FACES - 1]), (76.0, 99.0));
    }
}
