//! What happens in the scenes: who is where at which moment, and what the camera makes of it.
//!
//! Belongs here: one function for each kind of scene. Does not belong: pixels (`draw`), people
//! (`cast`), how people sit and walk (`stage`).

use super::{
    FPS,
    cast::{LISTENER, MAN_SMILING, PORTRAIT, SPEAKER, WOMAN_HIDING, WOMAN_TURNING},
    stage::{Actor, OverTime, PAN_ROOM, Pose, Prop, Scene, Stage},
    truth::{Role, Shape},
};

/// A kind of scene: its name, what happens in it, and how it is set.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) set: fn(&mut Stage) -> Scene,
}

const fn kind(name: &'static str, about: &'static str, set: fn(&mut Stage) -> Scene) -> Kind {
    Kind { name, about, set }
}

/// All kinds of scene.
pub(super) const ALL: [Kind; 18] = [
    kind("class", "a class in three rows, a teacher in front", class),
    kind("move", "people walk across", walk),
    kind("scale", "faces grow from 16 px to half the picture and shrink again", scale),
    kind("turn", "heads turn, nod and speak", turn),
    kind("cover", "hands and things pass before faces", cover),
    kind("edge", "people come in and leave at all four edges", edge),
    kind("cross", "refused and cleared people walk past each other", cross),
    kind("cut", "hard cuts, everybody somewhere else", cut),
    kind("dim", "little light that changes", dim),
    kind("noise", "a noisy sensor", noise),
    kind("compressed", "a camera that compresses hard", compressed),
    kind("small", "faces of 16 to 32 px at the back", small),
    kind("far", "faces of 20 to 40 px that walk fast, in noise and little light", far),
    kind("flash", "faces that are in view for one picture or two", flash),
    kind("near", "faces of 300 px to half the picture", near),
    kind("crowd", "twelve people close together, moving", crowd),
    kind("swap", "refused and cleared people change places behind a board", swap),
    kind("pan", "the camera pans, and is blind for moments", pan),
];

/// The names of all kinds of scene.
pub const KINDS: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        names[at] = ALL[at].name;
        at += 1;
    }
    names
};

/// Seats of a class: places and the face width of their row.
const SEATS: [(f32, f32, f32); 9] = [
    (0.16, 0.8, 92.0),
    (0.4, 0.52, 50.0),
    (0.62, 0.64, 66.0),
    (0.86, 0.8, 92.0),
    (0.2, 0.52, 50.0),
    (0.52, 0.84, 92.0),
    (0.34, 0.66, 66.0),
    (0.72, 0.5, 50.0),
    (0.92, 0.54, 50.0),
];

fn in_seats(stage: &mut Stage, roles: [usize; 3]) -> Vec<Actor> {
    let widths = SEATS.map(|seat| seat.2);
    stage.people(roles, &widths, |stage, part, width| {
        let (x, y, _) = SEATS[part % SEATS.len()];
        stage.seated(x, y, width)
    })
}

fn class(stage: &mut Stage) -> Scene {
    let mut actors = in_seats(stage, [4, 2, 1]);
    let teacher = stage.anybody(110.0, false);
    let pose = stage.walking([0.35, 0.65], 0.3, 110.0, 2.0);
    actors.push(stage.actor(teacher, Role::Consented, pose));
    Scene::of(actors)
}

fn walk(stage: &mut Stage) -> Scene {
    let widths = [60.0, 110.0, 75.0, 48.0, 90.0, 60.0];
    Scene::of(stage.people([4, 2, 0], &widths, |stage, part, width| {
        let crossings = stage.dice.between(2.0, 8.0);
        stage.walking([0.06, 0.94], 0.2 + 0.13 * part as f32, width, crossings)
    }))
}

fn scale(stage: &mut Stage) -> Scene {
    let half = stage.h() / 2.0;
    let (unit, w, h) = (stage.unit, stage.w(), stage.h());
    let grow = |stage: &mut Stage, entry: usize, role, x: f32, least: f32, most: f32| {
        let entry = stage.take(entry);
        let phase = stage.dice.between(0.0, 1.0);
        let pose: OverTime<Pose> = Box::new(move |t| {
            let part = 0.5 - 0.5 * ((t / 8.0 + phase) * std::f32::consts::TAU).cos();
            let width = least * (most / least).powf(part);
            Some(Pose { x: x * w, y: 0.5 * h, width, tilt: 0.05 * (t * 1.3).sin(), near: width })
        });
        stage.actor(entry, role, pose)
    };
    let mut actors = vec![
        grow(stage, PORTRAIT, Role::Refused, 0.25, 16.0, half),
        grow(stage, WOMAN_TURNING, Role::Refused, 0.72, 16.0, half * 0.8),
    ];
    let widths = [40.0, 60.0];
    actors.extend(stage.people([1, 1, 0], &widths, |stage, part, width| {
        let x = 0.45 + 0.08 * part as f32;
        let still = stage.seated(x, 0.25, width);
        let (least, most) = (20.0 * unit, 130.0 * unit);
        Box::new(move |t| {
            let pose = still(t)?;
            let part = 0.5 - 0.5 * (t * 0.9).cos();
            Some(Pose { width: least + (most - least) * part, ..pose })
        })
    }));
    Scene::of(actors)
}

fn turn(stage: &mut Stage) -> Scene {
    let mut actors = Vec::new();
    let parts = [
        (WOMAN_TURNING, Role::Refused, 0.2, 0.45, 240.0),
        (MAN_SMILING, Role::Consented, 0.8, 0.45, 200.0),
        (SPEAKER, Role::Refused, 0.45, 0.4, 100.0),
        (LISTENER, Role::Refused, 0.6, 0.55, 85.0),
    ];
    for (entry, role, x, y, width) in parts {
        let entry = stage.take(entry);
        let pose = stage.seated(x, y, width);
        // Turned further than the clip has it.
        let swing = stage.dice.between(0.15, 0.35);
        let pose = Box::new(move |t: f32| {
            let pose: Pose = pose(t)?;
            Some(Pose { tilt: swing * (1.1 * t).sin(), ..pose })
        });
        actors.push(stage.actor(entry, role, pose));
    }
    Scene::of(actors)
}

fn cover(stage: &mut Stage) -> Scene {
    let entry = stage.take(WOMAN_HIDING);
    let pose = stage.seated(0.2, 0.45, 260.0);
    let mut actors = vec![stage.actor(entry, Role::Refused, pose)];
    let places = [(0.5, 0.4), (0.7, 0.6), (0.88, 0.4), (0.5, 0.75)];
    actors.extend(stage.people([3, 1, 0], &[85.0, 100.0, 70.0, 90.0], |stage, part, width| {
        let (x, y) = places[part % places.len()];
        stage.seated(x, y, width)
    }));
    let mut scene = Scene::of(actors);
    let (w, h, unit) = (stage.w(), stage.h(), stage.unit);
    for (part, (x, y)) in places.into_iter().enumerate() {
        // A book that is held up before the face, half or whole, and taken away again.
        let (pace, side) = (stage.dice.between(0.8, 1.4), 120.0 * unit);
        let shape: OverTime<Shape> = Box::new(move |t| {
            let lift = (t * pace + part as f32).sin();
            let top = y * h - 0.6 * side + (0.5 - lift) * 1.1 * side;
            Some(Shape::Rect([x * w - 0.7 * side, top, 1.4 * side, 1.2 * side]).rounded())
        });
        scene.props.push(Prop { colour: [150, 110, 120], near: 1e6, shape });
    }
    // A hand that wipes over the nearest face.
    let shape: OverTime<Shape> = Box::new(move |t| {
        let x = 0.2 * w + 260.0 * unit * (t * 1.7).sin();
        Some(Shape::Ellipse([x, 0.45 * h, 60.0 * unit, 80.0 * unit, 0.5]).rounded())
    });
    scene.props.push(Prop { colour: [140, 112, 150], near: 1e6, shape });
    scene
}

fn edge(stage: &mut Stage) -> Scene {
    let (w, h, unit) = (stage.w(), stage.h(), stage.unit);
    let widths = [90.0, 60.0, 130.0, 75.0, 48.0, 80.0];
    Scene::of(stage.people([5, 1, 0], &widths, move |stage, part, width| {
        let width = width * unit;
        let pace = stage.dice.between(0.8, 1.8);
        let phase = stage.dice.between(0.0, 6.3);
        let along = 0.2 + 0.13 * part as f32;
        Box::new(move |t| {
            // From one and a half faces outside to two inside.
            let inside = width * (0.25 + 1.75 * (t * pace + phase).sin());
            let (x, y) = match part % 4 {
                0 => (inside, along * h),
                1 => (w - inside, along * h),
                2 => (along * w, inside),
                _ => (along * w, h - inside),
            };
            Some(Pose { x, y, width, tilt: 0.05 * t.sin(), near: y })
        })
    }))
}

fn cross(stage: &mut Stage) -> Scene {
    let mut actors = Vec::new();
    for (pair, (y, width)) in [(0.3, 70.0), (0.55, 100.0), (0.8, 85.0)].into_iter().enumerate() {
        let (w, h, unit) = (stage.w(), stage.h(), stage.unit);
        let pace = stage.dice.between(0.7, 1.3);
        let roles = [Role::Refused, Role::Consented];
        for (side, role) in roles.into_iter().enumerate() {
            let sign = if side == 0 { 1.0 } else { -1.0 };
            let entry = stage.anybody(width, (pair + side) % 2 == 0);
            let pose: OverTime<Pose> = Box::new(move |t| {
                Some(Pose {
                    x: w * (0.5 + sign * 0.22 * (t * pace).cos()),
                    y: h * y + 0.2 * width * sign,
                    width: width * unit,
                    tilt: 0.04 * sign,
                    // Each passes before the other in turn.
                    near: y * h + sign * (t * pace).sin(),
                })
            });
            actors.push(stage.actor(entry, role, pose));
        }
    }
    Scene::of(actors)
}

fn cut(stage: &mut Stage) -> Scene {
    let mut cuts = Vec::new();
    let mut at = stage.dice.between(0.9, 1.4);
    while at < 600.0 {
        cuts.push(at);
        at += stage.dice.between(0.7, 1.8);
    }
    let places = [(0.2, 0.3), (0.5, 0.35), (0.8, 0.3), (0.3, 0.7), (0.7, 0.72)];
    // Who sits where after each cut.
    let mut orders = Vec::new();
    for _ in 0..=cuts.len() {
        let mut order: Vec<usize> = (0..places.len()).collect();
        stage.dice.shuffle(&mut order);
        orders.push(order);
    }
    let (w, h, unit) = (stage.w(), stage.h(), stage.unit);
    let widths = [80.0, 110.0, 60.0, 90.0, 70.0];
    let actors = stage.people([3, 2, 0], &widths, |stage, part, width| {
        let (cuts, orders) = (cuts.clone(), orders.clone());
        let still = stage.seated(0.0, 0.0, width);
        Box::new(move |t| {
            let shot = cuts.iter().filter(|&&cut| cut <= t).count();
            let place = orders[shot % orders.len()][part];
            let (x, y) = places[place];
            let pose = still(t)?;
            // After a cut the camera stands nearer or farther.
            let width = unit * width * [1.0, 1.4, 0.7][shot % 3];
            Some(Pose { x: pose.x + x * w, y: pose.y + y * h, width, ..pose })
        })
    });
    Scene { cuts, ..Scene::of(actors) }
}

fn dim(stage: &mut Stage) -> Scene {
    let actors = in_seats(stage, [4, 1, 0]);
    let light = Box::new(|t: f32| {
        let tube = if (t * 3.0).fract() < 0.12 { 0.6 } else { 1.0 };
        (0.32 + 0.12 * (t * 0.8).sin()) * tube
    });
    Scene { light, noise: 3.0, ..Scene::of(actors) }
}

fn noise(stage: &mut Stage) -> Scene {
    Scene { noise: 12.0, ..Scene::of(in_seats(stage, [4, 2, 0])) }
}

fn compressed(stage: &mut Stage) -> Scene {
    let widths = [92.0, 60.0, 75.0, 110.0, 66.0];
    let actors = stage.people([4, 1, 0], &widths, |stage, part, width| {
        let crossings = stage.dice.between(1.0, 4.0);
        stage.walking([0.1, 0.9], 0.25 + 0.15 * part as f32, width, crossings)
    });
    Scene { bitrate: Some(1_200_000.0), ..Scene::of(actors) }
}

fn small(stage: &mut Stage) -> Scene {
    let widths = [16.0, 32.0, 20.0, 24.0, 28.0, 18.0, 22.0, 30.0, 26.0, 60.0];
    let unit = stage.unit;
    Scene::of(stage.people([9, 1, 0], &widths, |stage, part, width| {
        // These are meant as they are, in a smaller picture too.
        let width = width / unit;
        let (column, row) = ((part % 5) as f32, (part / 5) as f32);
        let x = 0.12 + 0.19 * column;
        if part % 3 == 0 {
            stage.walking([x - 0.08, x + 0.08], 0.35 + 0.3 * row, width, 3.0)
        } else {
            stage.seated(x, 0.35 + 0.3 * row, width)
        }
    }))
}

fn far(stage: &mut Stage) -> Scene {
    let widths = [36.0, 22.0, 40.0, 28.0, 32.0, 25.0, 60.0];
    let (unit, w) = (stage.unit, stage.w());
    let actors = stage.people([6, 1, 0], &widths, |stage, part, width| {
        let (from, to) = (0.05, 0.95);
        // Pixels a second at 1080 lines, about as people walk and run who are that far away.
        let pace = stage.dice.between(150.0, 350.0) * unit;
        let crossings = 10.0 * pace / ((to - from) * w);
        // These are meant as wide as they are, in a smaller picture too.
        // Two by two, so near that a look at one shows the other.
        let y = 0.2 + 0.2 * (part / 2) as f32 + 0.045 * (part % 2) as f32;
        stage.walking([from, to], y, width / unit, crossings)
    });
    let noise = stage.dice.between(4.0, 10.0);
    let light = stage.dice.between(0.35, 0.7);
    Scene { noise, light: Box::new(move |_| light), ..Scene::of(actors) }
}

fn flash(stage: &mut Stage) -> Scene {
    // One walks about, so that there is always somebody who is followed.
    let teacher = stage.anybody(110.0, false);
    let pose = stage.walking([0.1, 0.4], 0.25, 110.0, 4.0);
    let mut actors = vec![stage.actor(teacher, Role::Consented, pose)];
    actors.extend(stage.people([5, 1, 0], &[90.0, 60.0, 130.0, 75.0], |stage, part, width| {
        let (w, h, unit) = (stage.w(), stage.h(), stage.unit);
        // A door's slit, a gap between two people: seen for a picture or two, somewhere else each time.
        let every = 23 + 4 * part;
        let long = 1 + part % 2;
        let phase = stage.dice.between(0.0, every as f32);
        let (across, down) = (stage.dice.between(0.0, 1.0), stage.dice.between(0.0, 1.0));
        Box::new(move |t| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at most ten minutes of pictures"
            )]
            let picture = (t * FPS as f32 + phase).round() as usize;
            let time = (picture / every) as f32;
            let place = |start: f32, step: f32| 0.08 + 0.84 * (start + step * time).fract();
            (picture % every < long).then(|| Pose {
                x: place(across, 0.382) * w,
                y: place(down, 0.271) * h,
                width: width * unit,
                tilt: 0.1 * (across - 0.5),
                near: 2.0 * h,
            })
        })
    }));
    Scene::of(actors)
}

fn near(stage: &mut Stage) -> Scene {
    let half = stage.h() / 2.0 / stage.unit;
    let mut actors = Vec::new();
    let parts = [
        (PORTRAIT, Role::Refused, 0.24, 0.5, half),
        (WOMAN_TURNING, Role::Refused, 0.76, 0.5, 0.75 * half),
        (MAN_SMILING, Role::Consented, 0.5, 0.35, 0.55 * half),
    ];
    for (entry, role, x, y, width) in parts {
        let entry = stage.take(entry);
        let pose = stage.seated(x, y, width);
        actors.push(stage.actor(entry, role, pose));
    }
    Scene::of(actors)
}

fn crowd(stage: &mut Stage) -> Scene {
    let widths = [48.0, 72.0, 60.0, 54.0, 66.0, 44.0];
    Scene::of(stage.people([8, 3, 1], &widths, |stage, part, width| {
        let (column, row) = ((part % 4) as f32, (part / 4) as f32);
        let x = 0.32 + 0.11 * column + 0.04 * row;
        stage.walking([x - 0.07, x + 0.07], 0.4 + 0.14 * row, width, 5.0)
    }))
}

fn swap(stage: &mut Stage) -> Scene {
    let (w, h, unit) = (stage.w(), stage.h(), stage.unit);
    let mut actors = Vec::new();
    for (pair, (y, width)) in [(0.3, 80.0), (0.7, 100.0)].into_iter().enumerate() {
        let pace = stage.dice.between(0.5, 0.8);
        for (side, role) in [Role::Refused, Role::Consented].into_iter().enumerate() {
            let entry = stage.anybody(width, (pair + side) % 2 == 0);
            let start = side as f32;
            let pose: OverTime<Pose> = Box::new(move |t| {
                // Walks to the board from the left or the right by turns: whoever comes out may be
                // either of the two.
                let way = (t * pace + start).rem_euclid(2.0);
                let from_left = (way < 1.0) == ((0.5 * (t * pace + start)).floor() % 2.0 < 1.0);
                let out = (0.5 - (way.fract() - 0.5).abs()) * 2.0;
                let far = 0.02 + 0.32 * out;
                let x = if from_left { 0.5 - far } else { 0.5 + far };
                Some(Pose { x: x * w, y: y * h, width: width * unit, tilt: 0.0, near: y * h })
            });
            actors.push(stage.actor(entry, role, pose));
        }
    }
    let mut scene = Scene::of(actors);
    let board = 190.0 * unit;
    let shape: OverTime<Shape> =
        Box::new(move |_| Some(Shape::Rect([0.5 * w - board, 0.0, 2.0 * board, h]).rounded()));
    scene.props.push(Prop { colour: [70, 124, 120], near: 1e6, shape });
    scene
}

fn pan(stage: &mut Stage) -> Scene {
    let (w, h) = (stage.w() * (PAN_ROOM - 1.0), stage.h() * (PAN_ROOM - 1.0));
    let mut actors = in_seats(stage, [4, 1, 0]);
    for actor in &mut actors {
        // Seats are places in the picture; here they are places in the larger room.
        let still = std::mem::replace(&mut actor.pose, Box::new(|_| None));
        actor.pose = Box::new(move |t| {
            let pose = still(t)?;
            Some(Pose { x: pose.x + 0.5 * w, y: pose.y + 0.5 * h, ..pose })
        });
    }
    let pan = Box::new(move |t: f32| {
        let (a, b) = ((t * 1.2).sin(), (t * 0.7).sin());
        ((0.5 + 0.5 * a) * w, (0.5 + 0.5 * b) * h)
    });
    let light = Box::new(|t: f32| if (t + 1.0) % 2.6 < 0.15 { 0.03 } else { 1.0 });
    Scene { light, pan, ..Scene::of(actors) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{
        super::{cast::CAST, draw::Dice},
        *,
    };
    use crate::frame::FrameSize;

    #[test]
    fn every_scene_has_somebody_to_hide_and_nobody_twice() {
        for kind in &ALL {
            for seed in 0..4 {
                let mut stage = Stage::new(FrameSize::new(1920, 1080), Dice::of(seed, kind.name));
                let scene = (kind.set)(&mut stage);
                let refused = scene.actors.iter().filter(|a| a.role == Role::Refused).count();
                assert!(refused >= 2, "{}", kind.name);
                let people: BTreeSet<_> =
                    scene.actors.iter().map(|a| CAST[a.entry].person).collect();
                assert_eq!(people.len(), scene.actors.len(), "{}", kind.name);
            }
        }
    }

    #[test]
    fn faces_range_from_16_px_to_half_the_picture() {
        let mut widths = Vec::new();
        for kind in &ALL {
            let mut stage = Stage::new(FrameSize::new(1920, 1080), Dice::of(1, kind.name));
            let scene = (kind.set)(&mut stage);
            for actor in &scene.actors {
                widths.extend(
                    (0..240).filter_map(|i| (actor.pose)(i as f32 / 30.0)).map(|p| p.width),
                );
            }
        }
        let (least, most) =
            widths.iter().fold((f32::MAX, 0.0_f32), |(a, b), &w| (a.min(w), b.max(w)));
        assert!((15.0..17.0).contains(&least), "{least}");
        assert!((530.0..560.0).contains(&most), "{most}");
    }
}
