//! Whose face a worn marker clears.
//!
//! A marker hangs on a chest, so it belongs to the face above it, if there is no doubt which that
//! is. The picture does not say who wears it: the wearer may have turned away while another face
//! shows above. So the bounds are narrow, every face that might be meant counts as doubt, and only
//! what was so several times in a row clears, for a short time.
//!
//! Pure: faces, markers and times come in. What else is known of a face, above all that it
//! resembles a refused pupil, goes before this.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    frame::Rect,
    units::{Pts, TrackId},
    vision::markers::Marker,
};

/// Where the middle of a marker is expected: this many face heights below the chin, in the middle.
const CHEST: f32 = 0.9;
/// How far it may be from there, in face widths to each side and in face heights up and down.
const ASIDE: f32 = 0.8;
const ABOVE: f32 = 0.7;
const BELOW: f32 = 1.1;
/// Its side in face widths: 5 to 15 cm beside a face of 14 cm, turned or not.
const SIDE: std::ops::RangeInclusive<f32> = 0.25..=1.2;
/// Another face must be this much farther from where the marker is expected for it, in face sizes.
const CLEARLY: f32 = 0.6;
/// So many looks in a row must agree.
const STEADY: u32 = 3;

/// Which face of one frame wears which marker, where there is no doubt: a marker has one face and a
/// face one marker. A number that is there twice belongs to nobody.
#[must_use]
pub fn wearers(faces: &[(TrackId, Rect)], markers: &[Marker]) -> Vec<(TrackId, u16)> {
    let once = |m: &&Marker| markers.iter().filter(|other| other.number == m.number).count() == 1;
    markers
        .iter()
        .filter(once)
        .filter_map(|m| Some((wearer(faces, markers, m)?, m.number)))
        .collect()
}

fn wearer(faces: &[(TrackId, Rect)], markers: &[Marker], marker: &Marker) -> Option<TrackId> {
    let mut near: Vec<(f32, usize)> =
        faces.iter().enumerate().map(|(i, (_, face))| (off(*face, marker), i)).collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0));
    let &(off_first, nearest) = near.first()?;
    let &(id, face) = faces.get(nearest)?;
    // A face without a size is at no distance: it leaves doubt.
    let clear = near.get(1).is_none_or(|(off, _)| off - off_first >= CLEARLY);
    // Every marker in reach counts, a doubled one too.
    let claims = markers.iter().filter(|m| may_wear(face, m)).count();
    (may_wear(face, marker) && claims == 1 && clear).then_some(id)
}

/// How far a marker is from where this face would wear it, in face sizes.
fn off(face: Rect, marker: &Marker) -> f32 {
    let (dx, dy) = place(face, marker);
    dx.hypot(dy)
}

/// The same in face widths to the right and face heights down.
fn place(face: Rect, marker: &Marker) -> (f32, f32) {
    let at = marker.center();
    ((at.x - face.center().x) / face.w, (at.y - face.bottom()) / face.h - CHEST)
}

fn may_wear(face: Rect, marker: &Marker) -> bool {
    let (dx, dy) = place(face, marker);
    dx.abs() <= ASIDE && (-ABOVE..=BELOW).contains(&dy) && SIDE.contains(&(marker.side() / face.w))
}

/// What is remembered of a face that wears a marker.
#[derive(Clone, Copy, Debug)]
struct Worn {
    number: u16,
    looks: u32,
    last: Pts,
}

/// Faces that wear markers, over time.
#[derive(Clone, Debug)]
pub struct Badges {
    hold: Duration,
    worn: BTreeMap<TrackId, Worn>,
}

impl Badges {
    /// Nobody wears anything yet. A marker counts for `hold` after it was last seen on its wearer.
    #[must_use]
    pub fn new(hold: Duration) -> Self {
        Self { hold, worn: BTreeMap::new() }
    }

    /// Takes one frame's faces, all of them, and its markers; only frames in which markers were
    /// looked for.
    pub fn step(&mut self, pts: Pts, faces: &[(TrackId, Rect)], markers: &[Marker]) {
        let pairs = wearers(faces, markers);
        self.worn.retain(|id, worn| {
            let now = pairs.iter().find(|(wearer, _)| wearer == id).map(|(_, number)| *number);
            let elsewhere = pairs.iter().any(|(w, number)| w != id && *number == worn.number);
            // Not seen at all is no doubt yet; seen, and not surely this face's, is.
            let seen = markers.iter().any(|m| m.number == worn.number);
            let doubted = elsewhere || now.map_or(seen, |number| number != worn.number);
            !doubted && pts.since(worn.last) <= self.hold
        });
        for (id, number) in pairs {
            let worn = self.worn.entry(id).or_insert(Worn { number, looks: 0, last: pts });
            worn.looks = worn.looks.saturating_add(1);
            worn.last = pts;
        }
    }

    /// The marker by which a face is cleared at `pts`, a time not before the last step.
    #[must_use]
    pub fn clears(&self, id: TrackId, pts: Pts) -> Option<u16> {
        let worn = self.worn.get(&id)?;
        (worn.looks >= STEADY && pts.since(worn.last) <= self.hold).then_some(worn.number)
    }

    /// Forgets a face whose track may have changed hands.
    pub fn doubt(&mut self, id: TrackId) {
        self.worn.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::Point;

    const HOLD: Duration = Duration::from_millis(400);

    fn marker(number: u16, x: f32, y: f32, side: f32) -> Marker {
        let at = |dx: f32, dy: f32| Point { x: x + dx * side / 2.0, y: y + dy * side / 2.0 };
        Marker { number, corners: [at(-1.0, -1.0), at(1.0, -1.0), at(1.0, 1.0), at(-1.0, 1.0)] }
    }

    fn face(id: u32, x: f32, y: f32, w: f32) -> (TrackId, Rect) {
        (TrackId(id), Rect::new(x - w / 2.0, y, w, 1.25 * w))
    }

    /// The marker of a face that wears it where people do.
    fn on((_, face): (TrackId, Rect), number: u16) -> Marker {
        marker(number, face.center().x, face.bottom() + CHEST * face.h, 0.5 * face.w)
    }

    fn ms(ms: u64) -> Pts {
        Pts::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn the_face_above_wears_it() {
        let a = face(1, 200.0, 100.0, 60.0);
        let b = face(2, 400.0, 100.0, 60.0);
        assert_eq!(wearers(&[a, b], &[on(a, 7)]), [(TrackId(1), 7)]);
        assert_eq!(wearers(&[a, b], &[on(b, 8), on(a, 7)]), [(TrackId(2), 8), (TrackId(1), 7)]);
        // Beside, above, far below, far too large, far too small.
        for (x, y, side) in [
            (270.0, 240.0, 30.0),
            (200.0, 90.0, 30.0),
            (200.0, 350.0, 30.0),
            (200.0, 240.0, 90.0),
            (200.0, 240.0, 10.0),
        ] {
            assert!(wearers(&[a, b], &[marker(7, x, y, side)]).is_empty(), "{x} {y} {side}");
        }
        assert!(wearers(&[], &[on(a, 7)]).is_empty());
    }

    #[test]
    fn doubt_clears_nobody() {
        let front = face(1, 200.0, 140.0, 60.0);
        // Looks over the shoulder of the one in front.
        let behind = face(2, 215.0, 125.0, 55.0);
        assert!(wearers(&[front, behind], &[on(front, 7)]).is_empty());
        // Two markers under one face; a number that is there twice.
        let second = marker(8, 215.0, 300.0, 30.0);
        assert!(wearers(&[front], &[on(front, 7), second]).is_empty());
        let far = face(3, 900.0, 140.0, 60.0);
        assert!(wearers(&[front, far], &[on(front, 7), on(far, 7)]).is_empty());
    }

    #[test]
    fn it_clears_after_some_looks_and_for_a_while() {
        let a = face(1, 200.0, 100.0, 60.0);
        let mut badges = Badges::new(HOLD);
        for look in 0..u64::from(STEADY) {
            assert_eq!(badges.clears(a.0, ms(look * 40)), None);
            badges.step(ms(look * 40), &[a], &[on(a, 7)]);
        }
        let last = (u64::from(STEADY) - 1) * 40;
        assert_eq!(badges.clears(a.0, ms(last)), Some(7));
        // A look that misses the marker changes nothing until the time is over.
        badges.step(ms(last + 200), &[a], &[]);
        assert_eq!(badges.clears(a.0, ms(last + 400)), Some(7));
        assert_eq!(badges.clears(a.0, ms(last + 401)), None);
        badges.step(ms(last + 401), &[a], &[on(a, 7)]);
        assert_eq!(badges.clears(a.0, ms(last + 401)), None, "it has to be earned again");
    }

    #[test]
    fn a_marker_that_goes_elsewhere_clears_nobody_at_once() {
        let (a, b) = (face(1, 200.0, 100.0, 60.0), face(2, 500.0, 100.0, 60.0));
        let steady = || {
            let mut badges = Badges::new(HOLD);
            for look in 0..u64::from(STEADY) {
                badges.step(ms(look * 40), &[a, b], &[on(a, 7)]);
            }
            badges
        };
        let at = ms(u64::from(STEADY) * 40);
        let lost = marker(7, 350.0, 400.0, 30.0);
        for markers in [vec![on(b, 7)], vec![lost], vec![on(a, 8)], vec![on(a, 7), on(b, 7)]] {
            let mut badges = steady();
            badges.step(at, &[a, b], &markers);
            assert_eq!(badges.clears(a.0, at), None, "{markers:?}");
            assert_eq!(badges.clears(b.0, at), None, "{markers:?}");
        }
        let mut badges = steady();
        badges.doubt(a.0);
        assert_eq!(badges.clears(a.0, at), None);
    }

    fn crowd() -> impl Strategy<Value = (Vec<(TrackId, Rect)>, Vec<Marker>)> {
        let faces = proptest::collection::vec((0.0..600.0f32, 0.0..300.0f32, 20.0..90.0f32), 0..6);
        let markers = proptest::collection::vec(
            (0u16..5, 0.0..600.0f32, 0.0..500.0f32, 5.0..60.0f32, any::<bool>()),
            0..6,
        );
        (faces, markers).prop_map(|(faces, markers)| {
            let faces: Vec<_> = (1..).zip(faces).map(|(id, (x, y, w))| face(id, x, y, w)).collect();
            let markers = markers
                .into_iter()
                .enumerate()
                // Half of them where somebody wears them, or nearly nothing would be cleared.
                .map(|(i, (number, x, y, side, worn))| match faces.get(i).filter(|_| worn) {
                    Some(&face) => on(face, number),
                    None => marker(number, x, y, side),
                })
                .collect();
            (faces, markers)
        })
    }

    proptest! {
        #[test]
        fn a_marker_has_one_face_and_a_face_one_marker((faces, markers) in crowd()) {
            let pairs = wearers(&faces, &markers);
            for (i, (id, number)) in pairs.iter().enumerate() {
                prop_assert!(pairs[..i].iter().all(|(a, b)| a != id && b != number));
                let face = faces.iter().find(|(f, _)| f == id).expect("a face of the frame").1;
                let marker = markers.iter().find(|m| m.number == *number).expect("of the frame");
                let at = marker.center();
                prop_assert!(at.y > face.bottom() && (at.x - face.center().x).abs() <= face.w);
            }
        }

        #[test]
        fn more_in_the_picture_never_clears_another_face(
            (faces, markers) in crowd(), drop_face in any::<prop::sample::Index>(),
            drop_marker in any::<prop::sample::Index>(),
        ) {
            let all = wearers(&faces, &markers);
            if !faces.is_empty() {
                let mut fewer = faces.clone();
                let (gone, _) = fewer.remove(drop_face.index(faces.len()));
                let before = wearers(&fewer, &markers);
                prop_assert!(all.iter().all(|pair| pair.0 == gone || before.contains(pair)));
            }
            if !markers.is_empty() {
                let mut fewer = markers.clone();
                let gone = fewer.remove(drop_marker.index(markers.len())).number;
                let before = wearers(&faces, &fewer);
                prop_assert!(all.iter().all(|pair| pair.1 == gone || before.contains(pair)));
            }
        }

        #[test]
        fn neither_order_nor_place_nor_scale_matters(
            (faces, markers) in crowd(), dx in -300i16..300, dy in -300i16..300, double in any::<bool>(),
        ) {
            let (dx, dy, scale) = (f32::from(dx), f32::from(dy), if double { 2.0 } else { 0.5 });
            let mut moved: Vec<_> = faces
                .iter()
                .map(|(id, f)| {
                    (*id, Rect::new(f.x * scale + dx, f.y * scale + dy, f.w * scale, f.h * scale))
                })
                .collect();
            let corner = |p: Point| Point { x: p.x * scale + dx, y: p.y * scale + dy };
            let mut tags: Vec<_> = markers
                .iter()
                .map(|m| Marker { number: m.number, corners: m.corners.map(corner) })
                .collect();
            moved.reverse();
            tags.reverse();
            let sorted = |mut pairs: Vec<(TrackId, u16)>| {
                pairs.sort_unstable();
                pairs
            };
            // Rounding may decide what lies exactly on a bound; nothing drawn here does but what is
            // worn exactly in its place, which is far from any.
            prop_assert_eq!(sorted(wearers(&moved, &tags)), sorted(wearers(&faces, &markers)));
        }
    }
}
