//! From a frame to a detector's input, at the size of every frame's pass and of the full-size one;
//! and the copy into the ring that comes before it.

use std::hint::black_box;

use classveil::frame::{
    Letterbox, SlotPool,
    pixels::{Area, Scaler},
};
use criterion::{Criterion, Throughput};

use crate::support::{FULL_HD, noise_frame};

pub(crate) fn benches(criterion: &mut Criterion) {
    let pool = SlotPool::new(FULL_HD, 2);
    let frame = noise_frame(&pool, 0);
    let mut group = criterion.benchmark_group("preprocess");
    let mut scaler = Scaler::new();
    let mut memory = Vec::new();
    for longest in [640, 1920] {
        let letterbox = Letterbox::fit(FULL_HD, longest);
        group.bench_function(format!("1080p to {longest}"), |bencher| {
            bencher.iter(|| {
                let planes = frame.planes();
                let input =
                    scaler.letterbox(&planes, Area::whole(FULL_HD), &letterbox, &mut memory);
                black_box(input.expect("it scales"));
            });
        });
    }
    group.throughput(Throughput::Bytes(pool.layout().bytes() as u64));
    let mut slot = pool.take();
    group.bench_function("copy 1080p into a slot", |bencher| {
        bencher.iter(|| slot.fill(&frame.planes()).expect("it fits"));
    });
    group.finish();
}
