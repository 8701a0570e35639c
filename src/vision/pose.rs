//! How a head is held, told from its five landmarks: turned to the side, or leaning over.

use super::Landmarks;

/// The nose lies this part of the distance between the eyes beside their middle when the head is
/// turned too far for a full comparison.
const OBLIQUE_NOSE: f32 = 0.25;
/// The eyes of a frontal face are at least this part of its width apart.
const FRONTAL_EYES: f32 = 0.30;

/// Whether landmarks show a head that is turned too far for a full comparison.
#[must_use]
pub fn is_oblique(landmarks: &Landmarks, face_width: f32) -> bool {
    let [right, left, nose, ..] = landmarks;
    let (dx, dy) = (left.x - right.x, left.y - right.y);
    let apart = dx.hypot(dy);
    let (mx, my) = (f32::midpoint(left.x, right.x), f32::midpoint(left.y, right.y));
    // The nose's offset along the line of the eyes, in eye distances.
    let along = ((nose.x - mx) * dx + (nose.y - my) * dy) / (apart * apart);
    let frontal = apart >= FRONTAL_EYES * face_width && along.abs() <= OBLIQUE_NOSE;
    // Written so that numbers that are none count as oblique.
    !frontal
}

/// How far the line of the eyes is from level, in degrees: 0 for an upright head, 180 for one
/// upside down.
#[must_use]
pub fn lean(landmarks: &Landmarks) -> f32 {
    let [right, left, ..] = landmarks;
    (left.y - right.y).atan2(left.x - right.x).to_degrees().abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Point;

    const UPRIGHT: Landmarks = [
        Point { x: 30.0, y: 40.0 },
        Point { x: 70.0, y: 40.0 },
        Point { x: 50.0, y: 60.0 },
        Point { x: 35.0, y: 80.0 },
        Point { x: 65.0, y: 80.0 },
    ];

    #[test]
    fn a_lean_is_measured_from_upright() {
        let upside_down = UPRIGHT.map(|p| Point { x: 100.0 - p.x, y: 100.0 - p.y });
        let on_its_side = UPRIGHT.map(|p| Point { x: 100.0 - p.y, y: p.x });
        assert!(lean(&UPRIGHT).abs() < 0.1);
        assert!((lean(&upside_down) - 180.0).abs() < 0.1);
        assert!((lean(&on_its_side) - 90.0).abs() < 0.1);
        assert!(!is_oblique(&UPRIGHT, 90.0) && !is_oblique(&on_its_side, 90.0));
    }
}
