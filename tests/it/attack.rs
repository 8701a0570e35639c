//! The veil holds against an attacker who knows the class, and that attacker is a real one.

use std::time::Duration;

use classveil::{
    eval::attack::{self, Role, Settings},
    frame::{Frame, FrameSize, Raw, Rect, SlotPool},
    units::{Pts, TrackId},
    veil::{
        Cover, Hidden, Style, Verdict,
        policy::Region,
        redact::{PixelRect, Redactor},
        watch,
    },
};
use proptest::prelude::*;

use crate::support::{models, project};

/// Frames are looked at as the defaults of the configuration say.
fn settings(seed: u64) -> Settings {
    let watch = watch::Settings {
        size: 640,
        full_size: 1920,
        full_every: 15,
        identify_every: 10,
        check_every: Duration::from_secs(1),
        region: Region::Head,
    };
    Settings { samples: project("tests/samples"), watch, seed, known: 1, asked: 1 }
}

#[test]
fn nobody_is_named_behind_a_veil_by_whom_a_mosaic_does_not_stop() {
    let settings = Settings { known: 5, asked: 3, ..settings(5) };
    let report = attack::run(&models(), &settings, &mut |_, _, _| {}).expect("an attack");
    assert_eq!((report.people, report.takes), (13, 13 * 3));
    let strength = report.strength();
    assert!(report.is_real(), "names {strength} behind something plain");
    let broken: Vec<_> = report.broken().collect();
    assert!(broken.is_empty(), "{broken:?}");
    let veil_rows = report.rows.iter().filter(|row| row.role == Role::Veil);
    // Every take was hidden: a face that was not found would not be asked about.
    assert!(veil_rows.clone().all(|row| row.takes == 13 * 3));
    assert_eq!(veil_rows.count(), 10);
    // The same attack without anything hidden knows nearly everybody.
    let clear = report.rows.iter().find(|row| row.hidden_by == "nothing").expect("a row");
    assert!(clear.share > 0.9, "{clear:?}");
}

#[test]
fn an_attack_without_takes_is_refused() {
    let settings = Settings { known: 0, ..settings(1) };
    let refused = attack::run(&models(), &settings, &mut |_, _, _| {});
    assert!(matches!(refused, Err(attack::AttackError::NoTakes)));
}

/// A frame of noise; within `region` of other noise.
fn frame(pool: &SlotPool, region: Option<(PixelRect, u32)>) -> Frame<Raw> {
    let mut frame = Frame::new(pool.take(), 3, Pts::ZERO);
    let noise = |i: usize, seed: u32| {
        let mixed = (i as u32).wrapping_add(seed).wrapping_mul(2_654_435_761);
        (mixed >> 24) as u8
    };
    let planes = frame.planes_mut();
    let strides = [planes.layout.luma_stride(), planes.layout.chroma_stride()];
    for (plane, samples) in [planes.y, planes.u, planes.v].into_iter().enumerate() {
        let (stride, step) = if plane == 0 { (strides[0], 1) } else { (strides[1], 2) };
        for (i, sample) in samples.iter_mut().enumerate() {
            let (x, y) = (i % stride * step, i / stride * step);
            let under =
                region.filter(|(r, _)| (r.x0..r.x1).contains(&x) && (r.y0..r.y1).contains(&y));
            *sample = noise(i, under.map_or(0, |(_, seed)| seed));
        }
    }
    frame
}

proptest! {
    /// What is under a veil makes no difference to any pixel, so nothing can be computed back.
    #[test]
    fn what_is_under_a_veil_makes_no_difference(
        x in -20.0..90.0f32, y in -20.0..60.0f32, w in 4.0..80.0f32, h in 4.0..80.0f32,
        seed in 1u32.., fill in any::<bool>(),
    ) {
        let size = FrameSize::new(96, 64);
        let region = Rect::new(x, y, w, h);
        let under = PixelRect::covering(region, size);
        prop_assume!(under.is_some());
        let pool = SlotPool::new(size, 2);
        let verdict =
            Verdict { seq: 3, cover: Cover::Regions(vec![Hidden { track: TrackId(1), region }]) };
        let mut redactor = Redactor::new(if fill { Style::Fill } else { Style::Veil });
        let a = redactor.redact(frame(&pool, None), Some(&verdict));
        let b = redactor.redact(frame(&pool, under.map(|r| (r, seed))), Some(&verdict));
        let (a, b) = (a.planes(), b.planes());
        prop_assert!(a.y == b.y && a.u == b.u && a.v == b.v);
    }
}
