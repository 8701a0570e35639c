//! What several benches need: models, pictures, numbers from a fixed seed.

use std::path::{Path, PathBuf};

use classveil::{
    frame::{Frame, FrameSize, Raw, SlotPool, pixels::BgrImage},
    units::Pts,
    vision::infer::Models,
};

/// The size that all figures of this project are about.
pub(crate) const FULL_HD: FrameSize = FrameSize::new(1920, 1080);

/// A path inside the project.
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The models that `make setup` fetched.
pub(crate) fn models() -> Models {
    let runtime = project("models/lib/libonnxruntime.so.1.31.1");
    Models::load(&project("models"), &runtime).expect("run `make setup` first")
}

/// The sample photo: one face, 0.5 megapixels.
pub(crate) fn photo() -> BgrImage {
    let picture = image::open(project("tests/samples/obama.jpg"));
    let picture = picture.expect("run `make setup` first").to_rgb8();
    let size = FrameSize::new(picture.width(), picture.height());
    let data = picture.pixels().flat_map(|p| [p.0[2], p.0[1], p.0[0]]).collect();
    BgrImage { size, data }
}

/// A photo as a frame, BT.601 limited range.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "samples are 16-240")]
pub(crate) fn frame_of(image: &BgrImage) -> Frame<Raw> {
    let mut frame = Frame::new(SlotPool::new(image.size, 1).take(), 0, Pts::ZERO);
    let planes = frame.planes_mut();
    let (luma, chroma) = (planes.layout.luma_stride(), planes.layout.chroma_stride());
    let width = image.size.width as usize;
    for (i, pixel) in image.data.chunks_exact(3).enumerate() {
        let (column, row) = (i % width, i / width);
        let [blue, green, red] = [0, 1, 2].map(|c| f32::from(pixel[c]));
        let y = 16.0 + 0.257 * red + 0.504 * green + 0.098 * blue;
        planes.y[row * luma + column] = y as u8;
        let at = row / 2 * chroma + column / 2;
        planes.u[at] = (128.0 - 0.148 * red - 0.291 * green + 0.439 * blue) as u8;
        planes.v[at] = (128.0 + 0.439 * red - 0.368 * green - 0.071 * blue) as u8;
    }
    frame
}

/// Numbers that look random and are the same in every run (xorshift64).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[4]).collect()
    }

    /// 0 to 1.
    pub(crate) fn unit(&mut self) -> f32 {
        f32::from(u16::from_le_bytes([self.next().to_le_bytes()[2], self.next().to_le_bytes()[3]]))
            / f32::from(u16::MAX)
    }
}

/// A 1080p frame of noise.
pub(crate) fn noise_frame(pool: &SlotPool, seq: u64) -> Frame<Raw> {
    let mut frame = Frame::new(pool.take(), seq, Pts::ZERO);
    let planes = frame.planes_mut();
    let mut numbers = Numbers::new(1080);
    for plane in [planes.y, planes.u, planes.v] {
        let noise = numbers.bytes(plane.len());
        plane.copy_from_slice(&noise);
    }
    frame
}
