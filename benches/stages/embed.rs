//! One comparison: the aligned crop and the recogniser's model, on the face of the sample photo.

use classveil::vision::{detect::Detector, identify::Embedder};
use criterion::Criterion;

use crate::support::{frame_of, models, photo};

pub(crate) fn benches(criterion: &mut Criterion) {
    let models = models();
    let frame = frame_of(&photo());
    let mut detector = Detector::new(&models, 1).expect("the model opens");
    let faces = detector.detect(&frame.planes(), 640).expect("it runs");
    let landmarks = faces.first().expect("the photo has a face").landmarks;
    let mut embedder = Embedder::rounded(&models, 1).expect("the model opens");
    criterion.bench_function("embed/one face", |bencher| {
        bencher.iter(|| {
            embedder.embed(&frame.planes(), &landmarks).expect("it runs").expect("a direction")
        });
    });
}
