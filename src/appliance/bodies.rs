//! Where the bodies are of people whose heads are veiled in a recording already.
//!
//! Who makes an export in which everybody is veiled with their bodies looks for faces, and finds none
//! under a veil. Where it lies is in the recording's own reasons, which its key holder can read. What is
//! made of them is one set of zones for all of the recording: too much, never too little.

use serde::Deserialize;

use super::again::AgainError;
use crate::{
    encode::mp4::picture_size,
    frame::{FrameSize, Rect},
    units::{CameraId, PupilId},
    vault::{Opened, VaultError},
    veil::place::Seat,
};

/// Cells across and down. A zone is a run of them.
const ACROSS: u16 = 32;
const DOWN: u16 = 18;
/// From a face to the head, in parts of its width and height, and from a head to its body: as wide as three
/// heads, and down to the edge of the picture.
const HEAD: (f32, f32, f32) = (0.40, 0.50, 0.35);
const BODY_SIDES: f32 = 1.0;

#[derive(Deserialize)]
struct Reasons {
    tracks: Vec<Track>,
}

#[derive(Deserialize)]
struct Track {
    boxes: Vec<Place>,
}

#[derive(Deserialize)]
struct Place {
    shown: bool,
    face: [i32; 4],
}

/// Zones that cover the bodies of everybody who is veiled in the pictures of `camera`.
pub fn veiled_bodies(opened: &Opened, camera: &CameraId) -> Result<Vec<Seat>, AgainError> {
    let Some(first) = opened.first_segment(camera)? else { return Ok(Vec::new()) };
    let unknown = |problem: &str| VaultError::UnknownFormat {
        path: camera.as_str().into(),
        problem: problem.to_owned(),
    };
    let size = picture_size(&first).ok_or_else(|| unknown("its pictures have no size"))?;
    let mut cells = [[false; ACROSS as usize]; DOWN as usize];
    opened.each_reasons(camera, |json| {
        let reasons: Reasons =
            serde_json::from_slice(json).map_err(|_| unknown("its reasons cannot be read"))?;
        let places = reasons.tracks.iter().flat_map(|track| &track.boxes);
        for place in places.filter(|place| !place.shown) {
            mark(&mut cells, body(place.face, size), size);
        }
        Ok(())
    })?;
    Ok(runs(&cells))
}

/// The body under a face, with its head.
fn body([x, y, w, h]: [i32; 4], size: FrameSize) -> Rect {
    let face = Rect::new(x as f32, y as f32, w as f32, h as f32);
    let head = face.grown(HEAD.0, HEAD.1, HEAD.2).grown(BODY_SIDES, 0.0, 0.0);
    let below = (size.rect().bottom() - head.y).max(head.h);
    Rect { h: below, ..head }.intersection(size.rect())
}

fn mark(cells: &mut [[bool; ACROSS as usize]; DOWN as usize], body: Rect, size: FrameSize) {
    if body.w <= 0.0 || body.h <= 0.0 {
        return;
    }
    let picture = size.rect();
    let (wide, high) = (picture.w / f32::from(ACROSS), picture.h / f32::from(DOWN));
    for (row, line) in (0u16..).zip(cells) {
        for (column, one) in (0u16..).zip(line) {
            let cell = Rect::new(f32::from(column) * wide, f32::from(row) * high, wide, high);
            *one |= cell.intersection(body).area() > 0.0;
        }
    }
}

/// One zone for each run of marked cells in a row.
fn runs(cells: &[[bool; ACROSS as usize]; DOWN as usize]) -> Vec<Seat> {
    // Nobody's in particular.
    let Ok(pupil) = "veiled".parse::<PupilId>() else { return Vec::new() };
    let mut zones = Vec::new();
    for (row, line) in (0u16..).zip(cells) {
        let mut begun = None;
        for column in 0..=ACROSS {
            let is_marked = line.get(usize::from(column)).is_some_and(|marked| *marked);
            match (is_marked, begun) {
                (true, None) => begun = Some(column),
                (false, Some(from)) => {
                    let part = |n: u16, of: u16| f32::from(n) / f32::from(of);
                    let (left, right) = (part(from, ACROSS), part(column, ACROSS));
                    let (top, bottom) = (part(row, DOWN), part(row + 1, DOWN));
                    let corners = vec![[left, top], [right, top], [right, bottom], [left, bottom]];
                    zones.push(Seat { pupil: pupil.clone(), corners });
                    begun = None;
                }
                _ => {}
            }
        }
    }
    zones
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: FrameSize = FrameSize::new(640, 360);

    #[test]
    fn a_body_is_covered_from_its_head_down_and_nothing_far_from_it() {
        let mut cells = [[false; ACROSS as usize]; DOWN as usize];
        mark(&mut cells, body([300, 80, 40, 50], SIZE), SIZE);
        let zones = runs(&cells);
        let within = |x: f32, y: f32| {
            zones.iter().any(|zone| {
                let [a, _, c, _] = zone.corners[..] else { panic!("four corners") };
                (a[0]..=c[0]).contains(&(x / 640.0)) && (a[1]..=c[1]).contains(&(y / 360.0))
            })
        };
        for (x, y) in [(320.0, 100.0), (320.0, 359.0), (270.0, 200.0), (370.0, 300.0)] {
            assert!(within(x, y), "{x} {y}");
        }
        for (x, y) in [(320.0, 20.0), (100.0, 200.0), (600.0, 200.0)] {
            assert!(!within(x, y), "{x} {y}");
        }
        assert!(runs(&[[false; ACROSS as usize]; DOWN as usize]).is_empty());
        // Faces at and beyond the edges.
        for face in [[-30, -20, 40, 50], [630, 350, 40, 50], [0, 0, 0, 0]] {
            mark(&mut cells, body(face, SIZE), SIZE);
        }
    }
}
