//! Veiling: a head close to the camera, a class of heads, and a whole picture.

use classveil::{
    frame::{Frame, Rect, SlotPool},
    units::{Pts, TrackId},
    veil::{Cover, Hidden, Style, Verdict, redact::Redactor},
};
use criterion::{BatchSize, Criterion};

use crate::support::FULL_HD;

pub(crate) fn benches(criterion: &mut Criterion) {
    let pool = SlotPool::new(FULL_HD, 2);
    let hidden = |track, region| Hidden { track: TrackId(track), region };
    let head = Rect::new(800.0, 200.0, 380.0, 460.0);
    let class = (0..25u32).map(|i| {
        let (column, row) = ((i % 5) as f32, (i / 5) as f32);
        hidden(i, Rect::new(100.0 + 350.0 * column, 50.0 + 200.0 * row, 95.0, 110.0))
    });
    let covers = [
        ("one head of 380x460", Cover::Regions(vec![hidden(0, head)])),
        ("25 heads of 95x110", Cover::Regions(class.collect())),
        ("whole 1080p", Cover::Whole),
    ];
    let mut group = criterion.benchmark_group("veil");
    for (name, cover) in covers {
        let mut redactor = Redactor::new(Style::Veil);
        let verdict = Verdict { seq: 0, cover };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || Frame::new(pool.take(), 0, Pts::ZERO),
                |frame| redactor.redact(frame, Some(&verdict)),
                // One frame at a time: each keeps a slot until it is dropped.
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}
