//! What several modules need: the fetched models and samples, and faces read from photos.

use std::path::{Path, PathBuf};

use classveil::{
    frame::{FrameSize, pixels::BgrImage},
    vision::infer::Models,
};

/// A path inside the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A sample that `make setup` fetched.
pub(crate) fn sample(name: &str) -> PathBuf {
    let path = project("tests/samples").join(name);
    assert!(path.exists(), "{} is missing: run `make setup`", path.display());
    path
}

/// The library that `make setup` fetched.
pub(crate) fn runtime() -> PathBuf {
    project("models/lib/libonnxruntime.so.1.31.1")
}

/// The models that `make setup` fetched.
pub(crate) fn models() -> Models {
    Models::load(&project("models"), &runtime()).expect("models are set up")
}

/// A photo as the detector takes it.
pub(crate) fn photo(path: &Path) -> BgrImage {
    let picture = image::open(path).expect("a readable photo").to_rgb8();
    let size = FrameSize::new(picture.width(), picture.height());
    let data = picture.pixels().flat_map(|p| [p.0[2], p.0[1], p.0[0]]).collect();
    BgrImage { size, data }
}
