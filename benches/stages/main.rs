//! How long each stage takes by itself: `cargo bench --bench stages`, or a part of it with a
//! filter, as in `cargo bench --bench stages -- veil`. The whole program is measured by
//! `scripts/bench.sh`.
//!
//! One binary for all, because linking three native libraries takes longer than running them.
//! Models are the real ones, on one thread; inputs are the sample photo or come from fixed seeds.

use std::time::Duration;

use criterion::Criterion;

mod decode;
mod embed;
mod preprocess;
mod seal;
mod support;
mod veil;

fn main() {
    // 12 benches of 4 seconds each, analysis included in a minute.
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    preprocess::benches(&mut criterion);
    decode::benches(&mut criterion);
    embed::benches(&mut criterion);
    veil::benches(&mut criterion);
    seal::benches(&mut criterion);
    criterion.final_summary();
}
