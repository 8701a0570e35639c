//! A watcher before a film of one face that stands still, for tests.

use std::{path::Path, time::Duration};

use super::{Settings, Watcher};
use crate::{
    frame::{Frame, FrameSize, Raw, Rect, SlotPool},
    units::Pts,
    veil::{
        Cover, Verdict,
        evidence::Judge,
        policy::{Policy, Region},
    },
    vision::{
        Detection,
        detect::Detector,
        identify::{Embedder, Embedding, Gallery, Person, Standing},
        infer::Models,
    },
};

const SIZE: FrameSize = FrameSize::new(480, 480);
/// Pictures that a test may keep.
const KEPT: usize = 8;

/// Pictures of one face at 25 a second, all alike, without colours.
pub(super) struct Film {
    pool: SlotPool,
    luma: Vec<u8>,
}

impl Film {
    pub(super) fn frame(&self, seq: u64) -> Frame<Raw> {
        let mut frame = Frame::new(self.pool.take(), seq, Pts::from_nanos(seq * 40_000_000));
        let planes = frame.planes_mut();
        planes.y[..self.luma.len()].copy_from_slice(&self.luma);
        planes.u.fill(128);
        planes.v.fill(128);
        frame
    }
}

/// A watcher that looks for somebody else than the one in the film.
pub(super) struct Stage {
    pub(super) watcher: Watcher,
    pub(super) film: Film,
    pub(super) face: Detection,
    /// The one in the film.
    pub(super) own: Embedding,
    /// A judge that looks for him.
    pub(super) wanted: Judge,
}

impl Stage {
    pub(super) fn new() -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let runtime = project.join("models/lib/libonnxruntime.so.1.31.1");
        let models = Models::load(&project.join("models"), &runtime).expect("models");
        let thresholds = models.thresholds();
        let mut detector = Detector::new(&models, 1).expect("detector");
        let mut embedder = Embedder::rounded(&models, 1).expect("embedder");
        let photo = image::open(project.join("tests/samples/obama.jpg"));
        let photo = photo.expect("a sample; run `make setup`").to_luma8();
        let way = image::imageops::FilterType::Triangle;
        let luma = image::imageops::resize(&photo, SIZE.width, SIZE.height, way).into_raw();
        let film = Film { pool: SlotPool::new(SIZE, KEPT), luma };
        let first = film.frame(0);
        let face = detector.detect(&first.planes(), 640).expect("a look")[0];
        let own = embedder.embed(&first.planes(), &face.landmarks).expect("a comparison");
        let judge = |references: [Embedding; 2]| {
            let (standing, references) = (Standing::Refused, references.to_vec());
            let refused = Person { standing, references, recent: 2 };
            let gallery = Gallery { people: [("p-1".parse().expect("ok"), refused)].into() };
            Judge::new(Policy::Refused, &gallery, thresholds)
        };
        let own = own.expect("a face").embedding;
        let wanted = judge([own.clone(), own.clone()]);
        let settings = Settings {
            size: 640,
            full_size: 640,
            full_every: 15,
            identify_every: 10,
            check_every: Duration::from_secs(1),
            region: Region::Head,
        };
        let nobody = judge([direction(0), direction(1)]);
        let watcher = Watcher::new(detector, embedder, nobody, thresholds, settings);
        Self { watcher: watcher.expect("a thread"), film, face, own, wanted }
    }
}

/// Nobody's face.
fn direction(axis: usize) -> Embedding {
    let mut raw = [0.0; Embedding::LEN];
    raw[axis] = 1.0;
    Embedding::new(raw).expect("a direction")
}

/// Whether one region covers all of `face`.
pub(super) fn hides(verdict: &Verdict, face: Rect) -> bool {
    match &verdict.cover {
        Cover::Regions(hidden) => hidden.iter().any(|h| h.region.contains(face)),
        Cover::Whole | Cover::AllBut { .. } => panic!("regions"),
    }
}
