//! The detector: its model, and what is read from the model's outputs.

use std::hint::black_box;

use classveil::{
    frame::{FrameSize, Letterbox, SlotPool},
    vision::detect::{Detector, decode, suppress},
};
use criterion::Criterion;

use crate::support::{FULL_HD, Numbers, models, noise_frame};

/// Strides of the model's three heads.
const STRIDES: [u32; 3] = [8, 16, 32];
/// Faces in the picture: a class.
const FACES: usize = 25;

pub(crate) fn benches(criterion: &mut Criterion) {
    let models = models();
    let thresholds = models.thresholds();
    let mut group = criterion.benchmark_group("detect");
    for longest in [640, 1920] {
        let letterbox = Letterbox::fit(FULL_HD, longest);
        let outputs = outputs(letterbox.model());
        let views: Vec<&[f32]> = outputs.iter().map(Vec::as_slice).collect();
        group.bench_function(format!("decode and suppress, {longest}"), |bencher| {
            bencher.iter(|| {
                let found = decode(black_box(&views), &letterbox, thresholds.detect_keep);
                suppress(found.expect("sizes fit"), thresholds.detect_nms)
            });
        });
    }
    let pool = SlotPool::new(FULL_HD, 1);
    let frame = noise_frame(&pool, 0);
    let mut detector = Detector::new(&models, 1).expect("the model opens");
    for longest in [640, 1920] {
        group.bench_function(format!("whole look, {longest}"), |bencher| {
            bencher.iter(|| detector.detect(&frame.planes(), longest).expect("it runs"));
        });
    }
    group.finish();
}

/// Outputs as the model gives them for a class: low scores nearly everywhere, and around each face
/// a dozen neighbouring cells that all report it.
fn outputs(model: FrameSize) -> Vec<Vec<f32>> {
    let mut numbers = Numbers::new(25);
    let grids = STRIDES.map(|s| (model.width / s, model.height / s));
    let of = |per: usize, numbers: &mut Numbers, most: f32| {
        grids.map(|(w, h)| {
            (0..per * (w * h) as usize).map(|_| numbers.unit() * most).collect::<Vec<f32>>()
        })
    };
    let mut class = of(1, &mut numbers, 0.1);
    let mut object = of(1, &mut numbers, 0.1);
    for _ in 0..FACES {
        let head = usize::try_from(numbers.next() % 2).unwrap_or(0);
        let (w, h) = (grids[head].0 as usize, grids[head].1 as usize);
        let at = |n: u64, side: usize| usize::try_from(n).unwrap_or(0) % (side - 4);
        let (column, row) = (at(numbers.next() >> 8, w), at(numbers.next() >> 8, h));
        for cell in 0..12 {
            let at = (row + cell / 4) * w + column + cell % 4;
            class[head][at] = 0.6 + 0.4 * numbers.unit();
            object[head][at] = 0.6 + 0.4 * numbers.unit();
        }
    }
    let boxes = of(4, &mut numbers, 1.0);
    let points = of(10, &mut numbers, 1.0);
    [class, object, boxes, points].into_iter().flatten().collect()
}
