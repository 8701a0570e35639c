//! The two means that hand over no photo: a place in the picture, and a worn marker.
//!
//! Belongs here: reading and checking them. Does not belong: finding them in a picture.

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use crate::units::CameraId;

/// A polygon in one camera's picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seat {
    /// Whose picture.
    pub camera: CameraId,
    /// Corners in order, as parts of the picture's width and height, 0 to 1.
    pub points: Vec<[f32; 2]>,
}

/// Most corners of one seat; more is no seat drawn by hand.
const MAX_POINTS: usize = 32;

/// Smallest area, in parts of the picture: 1 / 10,000 is 12 x 17 pixels of 1080p.
const MIN_AREA: f32 = 1e-4;

/// Reads `cam1:0.10/0.20 0.30/0.20 0.30/0.60`.
pub(super) fn parse(text: &str) -> Result<Seat, Fault> {
    let (camera, points) = text.split_once(':').ok_or(Fault::SeatSyntax)?;
    let camera = camera.trim().parse().map_err(|_| Fault::NotPseudonym("the seat's camera"))?;
    let points: Vec<[f32; 2]> = points.split_whitespace().map(point).collect::<Result<_, _>>()?;
    if !(3..=MAX_POINTS).contains(&points.len()) {
        return Err(Fault::SeatPoints(points.len()));
    }
    if points.iter().flatten().any(|v| !(0.0..=1.0).contains(v)) {
        return Err(Fault::SeatOutside);
    }
    if crosses_itself(&points) {
        return Err(Fault::SeatCrossed);
    }
    if area(&points) < MIN_AREA {
        return Err(Fault::SeatFlat);
    }
    Ok(Seat { camera, points })
}

fn point(text: &str) -> Result<[f32; 2], Fault> {
    let (x, y) = text.split_once('/').ok_or(Fault::SeatSyntax)?;
    Ok([coordinate(x)?, coordinate(y)?])
}

fn coordinate(text: &str) -> Result<f32, Fault> {
    // `parse` alone would take `inf`, `NaN`, `1e-3` and `+0.1`.
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'));
    let value: f32 = text.parse().map_err(|_| Fault::SeatSyntax)?;
    // Adding zero turns -0 into 0, which is written without a sign.
    if plain { Ok(value + 0.0) } else { Err(Fault::SeatSyntax) }
}

/// The area of a polygon, by the shoelace formula.
fn area(points: &[[f32; 2]]) -> f32 {
    let next = points.iter().cycle().skip(1);
    points.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f32>().abs() / 2.0
}

/// Whether two edges meet anywhere but in the corner that neighbours share.
fn crosses_itself(points: &[[f32; 2]]) -> bool {
    let n = points.len();
    let edge = |i: usize| (points[i % n], points[(i + 1) % n]);
    (0..n).any(|i| {
        let (a, b) = edge(i);
        let (_, c) = edge(i + 1);
        // An edge without length, or one that runs back along the edge before it.
        if along(a, b, b) <= 0.0 || (turn(a, b, c) == 0.0 && along(b, a, c) > 0.0) {
            return true;
        }
        // Edges that are not neighbours: neither the next one nor the one before.
        (i + 2..n).filter(|j| !(i == 0 && *j == n - 1)).any(|j| meet((a, b), edge(j)))
    })
}

fn turn(a: [f32; 2], b: [f32; 2], c: [f32; 2]) -> f32 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// Positive where `a` and `c` lie to the same side of `b`.
fn along(b: [f32; 2], a: [f32; 2], c: [f32; 2]) -> f32 {
    (a[0] - b[0]) * (c[0] - b[0]) + (a[1] - b[1]) * (c[1] - b[1])
}

fn meet((a, b): ([f32; 2], [f32; 2]), (c, d): ([f32; 2], [f32; 2])) -> bool {
    let sides = |p, q, r, s| turn(p, q, r).signum() * turn(p, q, s).signum();
    let on = |p: [f32; 2], q: [f32; 2], r: [f32; 2]| turn(p, q, r) == 0.0 && along(r, p, q) <= 0.0;
    if on(a, b, c) || on(a, b, d) || on(c, d, a) || on(c, d, b) {
        return true;
    }
    turn(a, b, c) != 0.0
        && turn(a, b, d) != 0.0
        && turn(c, d, a) != 0.0
        && turn(c, d, b) != 0.0
        && sides(a, b, c, d) < 0.0
        && sides(c, d, a, b) < 0.0
}

/// The number of a worn `AprilTag` of family 36h11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16")]
pub struct Marker(u16);

impl Marker {
    /// The family has 587 codes (Olson 2011; `apriltag`'s own `tag36h11.c`).
    pub const LAST: u16 = 586;

    /// The tag's number.
    #[must_use]
    pub const fn id(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Marker {
    type Error = Fault;

    fn try_from(id: u16) -> Result<Self, Fault> {
        if id <= Self::LAST { Ok(Self(id)) } else { Err(Fault::BadMarker) }
    }
}

pub(super) fn parse_marker(text: &str) -> Result<Marker, Fault> {
    let digits = !text.is_empty() && text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit());
    let id: u16 = if digits { text.parse().map_err(|_| Fault::BadMarker)? } else { u16::MAX };
    Marker::try_from(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_seat_is_read() {
        let seat = parse("cam1:0.10/0.20 0.30/0.20 0.30/0.60").unwrap();
        assert_eq!(seat.camera, CameraId::first());
        assert_eq!(seat.points, [[0.1, 0.2], [0.3, 0.2], [0.3, 0.6]]);
    }

    #[test]
    fn bad_seats_are_named() {
        for (bad, fault) in [
            ("0.1/0.2 0.3/0.2 0.3/0.6", Fault::SeatSyntax),
            ("cam1:0,1/0,2 0.3/0.2 0.3/0.6", Fault::SeatSyntax),
            ("cam1:inf/0.2 0.3/0.2 0.3/0.6", Fault::SeatSyntax),
            ("cam1:NaN/0.2 0.3/0.2 0.3/0.6", Fault::SeatSyntax),
            ("Jan:0.1/0.2 0.3/0.2 0.3/0.6", Fault::NotPseudonym("the seat's camera")),
            ("cam1:0.1/0.2 0.3/0.2", Fault::SeatPoints(2)),
            ("cam1:", Fault::SeatPoints(0)),
            ("cam1:0.1/0.2 0.3/0.2 0.3/1.6", Fault::SeatOutside),
            ("cam1:-0.1/0.2 0.3/0.2 0.3/0.6", Fault::SeatOutside),
            ("cam1:0.1/0.1 0.2/0.2 0.3/0.3", Fault::SeatCrossed),
            ("cam1:0.1/0.1 0.1/0.1 0.3/0.3", Fault::SeatCrossed),
            ("cam1:0.1/0.1 0.101/0.1 0.1/0.101", Fault::SeatFlat),
            ("cam1:0.1/0.1 0.5/0.5 0.5/0.1 0.1/0.5", Fault::SeatCrossed),
        ] {
            assert_eq!(parse(bad), Err(fault), "{bad}");
        }
    }

    #[test]
    fn markers_are_those_of_the_family() {
        assert_eq!(parse_marker("586").map(Marker::id), Ok(586));
        for bad in ["587", "-1", "", "1.0", "a", "0x1", "99999999999"] {
            assert_eq!(parse_marker(bad), Err(Fault::BadMarker), "{bad}");
        }
    }

    fn around(angles: &[f32]) -> Vec<[f32; 2]> {
        angles.iter().map(|a| [0.5 + 0.4 * a.cos(), 0.5 + 0.4 * a.sin()]).collect()
    }

    proptest! {
        /// Corners in order around a circle are a seat; two of them swapped are none.
        #[test]
        fn outlines_in_order_are_accepted(
            steps in prop::collection::vec(0.3..0.7f32, 4..8), first in 0usize..4,
        ) {
            let mut sum = 0.0;
            let angles: Vec<f32> = steps.iter().map(|s| { sum += s; sum }).collect();
            let points = around(&angles);
            let text = |points: &[[f32; 2]]| {
                let words: Vec<_> = points.iter().map(|p| format!("{}/{}", p[0], p[1])).collect();
                format!("cam1:{}", words.join(" "))
            };
            prop_assert_eq!(&parse(&text(&points)).unwrap().points, &points);
            let mut swapped = points;
            let n = swapped.len();
            swapped.swap(first % n, (first + 1) % n);
            prop_assert_eq!(parse(&text(&swapped)), Err(Fault::SeatCrossed));
        }
    }
}
