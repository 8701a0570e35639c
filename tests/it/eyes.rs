//! What a finished video shows: pictures decoded by ffmpeg, looked at with the same models.

use std::{path::Path, process::Command};

use classveil::{
    frame::{FrameSize, I420View, Rect, pixels::BgrImage},
    vision::{
        Detection,
        detect::Detector,
        identify::{Embedder, Embedding},
    },
};

use crate::{media::ffprobe, support::models};

/// `OpenCV`'s own threshold for `SFace`: at and above it two faces count as one person's.
pub(crate) const SAME: f32 = 0.36;
/// A face this sure is there.
pub(crate) const SURE: f32 = 0.6;

/// All pictures of a video, upright, I420, rows without padding.
pub(crate) struct Pictures {
    size: FrameSize,
    bytes: Vec<u8>,
}

impl Pictures {
    /// Decodes every picture once.
    pub(crate) fn of(path: &Path) -> Self {
        let output = Command::new("ffmpeg")
            .args(["-nostdin", "-loglevel", "repeat+error", "-i"])
            .arg(path)
            .args(["-map", "0:v:0", "-vsync", "passthrough", "-pix_fmt", "yuv420p"])
            .args(["-f", "rawvideo", "-"])
            .output()
            .expect("ffmpeg is installed");
        let said = String::from_utf8_lossy(&output.stderr);
        // Raw pictures have no times; ffmpeg counts them and misses some that lie close together.
        let faults: Vec<_> = said.lines().filter(|line| !line.contains("monotonically")).collect();
        let sound = output.status.success() && faults.is_empty();
        assert!(sound, "{}: {faults:?}", path.display());
        let line = ffprobe(path, "-select_streams v:0 -show_entries stream=width,height");
        let mut sides = line[0].split(',').map(|side| side.parse().expect("a number"));
        let size = FrameSize::new(sides.next().expect("width"), sides.next().expect("height"));
        let pictures = Self { size, bytes: output.stdout };
        assert_eq!(pictures.bytes.len() % pictures.stride(), 0, "{}", path.display());
        pictures
    }

    fn stride(&self) -> usize {
        let (w, h) = (self.size.width as usize, self.size.height as usize);
        w * h + 2 * w.div_ceil(2) * h.div_ceil(2)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.stride()
    }

    pub(crate) fn size(&self) -> FrameSize {
        self.size
    }

    pub(crate) fn at(&self, index: usize) -> I420View<'_> {
        let width = self.size.width as usize;
        let picture = &self.bytes[index * self.stride()..][..self.stride()];
        let (y, chroma) = picture.split_at(width * self.size.height as usize);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        let chroma_stride = width.div_ceil(2);
        I420View { size: self.size, y, u, v, luma_stride: width, chroma_stride }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = I420View<'_>> {
        (0..self.len()).map(|index| self.at(index))
    }
}

/// A face in a picture.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    pub(crate) rect: Rect,
    pub(crate) embedding: Option<Embedding>,
}

impl Face {
    /// How much it resembles `other`, -1 to 1; -1 where it cannot be compared.
    pub(crate) fn cosine(&self, other: &Embedding) -> f32 {
        self.embedding.as_ref().map_or(-1.0, |own| own.cosine(other))
    }
}

/// A detector and a recogniser, at the picture's own size.
pub(crate) struct Eyes {
    detector: Detector,
    embedder: Embedder,
}

impl Eyes {
    pub(crate) fn new() -> Self {
        let models = models();
        Self {
            detector: Detector::new(&models, 1).expect("a detector"),
            embedder: Embedder::new(&models, 1).expect("a recogniser"),
        }
    }

    /// Faces at least this sure, with embeddings.
    pub(crate) fn faces(&mut self, picture: &I420View<'_>, least: f32) -> Vec<Face> {
        self.found(picture, least)
            .into_iter()
            .map(|Detection { rect, landmarks, .. }| Face {
                rect,
                embedding: self
                    .embedder
                    .embed(picture, &landmarks)
                    .expect("a look")
                    .map(|described| described.embedding),
            })
            .collect()
    }

    /// Faces at least this sure, whoever they are.
    pub(crate) fn anybody(&mut self, picture: &I420View<'_>, least: f32) -> Vec<Face> {
        let found = self.found(picture, least).into_iter();
        found.map(|Detection { rect, .. }| Face { rect, embedding: None }).collect()
    }

    fn found(&mut self, picture: &I420View<'_>, least: f32) -> Vec<Detection> {
        let longest = picture.size.width.max(picture.size.height);
        let mut found = self.detector.detect(picture, longest).expect("a look");
        found.retain(|face| face.score >= least);
        found
    }

    /// The people on a photo, the surest face first.
    pub(crate) fn people(&mut self, photo: &BgrImage) -> Vec<(Rect, Embedding)> {
        let found = self.detector.detect_image(photo, 1280).expect("a look");
        let sure = found.iter().filter(|face| face.score >= SURE);
        sure.map(|face| {
            let embedding = self.embedder.embed_image(photo, &face.landmarks);
            (face.rect, embedding.expect("a look").expect("comparable").embedding)
        })
        .collect()
    }

    /// The face on a photo.
    pub(crate) fn person(&mut self, photo: &BgrImage) -> Embedding {
        let found = self.detector.detect_image(photo, 640).expect("a look");
        let face = found.first().expect("a face");
        let described = self.embedder.embed_image(photo, &face.landmarks).expect("a look");
        described.expect("comparable").embedding
    }
}

/// How much of the fine detail of `a` is in `b`, within `rect`: the correlation of the luma less its
/// local mean. Near 1 for the same picture encoded again, near 0 for a veil.
pub(crate) fn likeness(a: &I420View<'_>, b: &I420View<'_>, rect: Rect) -> f32 {
    let (left, top, right, bottom) = inner(rect, a.size);
    let detail = |view: &I420View<'_>, x: usize, y: usize| -> f32 {
        let at = |x: usize, y: usize| f32::from(view.y[y * view.luma_stride + x]);
        let mut sum = 0.0;
        for dy in 0..5 {
            for dx in 0..5 {
                sum += at(x + dx - 2, y + dy - 2);
            }
        }
        at(x, y) - sum / 25.0
    };
    let (mut ab, mut aa, mut bb) = (0.0f32, 0.0f32, 0.0f32);
    for y in top..bottom {
        for x in left..right {
            let (p, q) = (detail(a, x, y), detail(b, x, y));
            ab += p * q;
            aa += p * p;
            bb += q * q;
        }
    }
    // A flat area has no detail to share; a little is added so that noise of the encoder is none.
    let pixels = ((bottom - top) * (right - left)) as f32;
    ab / ((aa + pixels).sqrt() * (bb + pixels).sqrt())
}

/// Mean and standard deviation of the luma within `rect`.
pub(crate) fn spread(view: &I420View<'_>, rect: Rect) -> (f32, f32) {
    let (left, top, right, bottom) = inner(rect, view.size);
    let values = (top..bottom).flat_map(|y| &view.y[y * view.luma_stride..][left..right]);
    let (mut sum, mut squares, mut count) = (0.0f64, 0.0f64, 0.0f64);
    for &value in values {
        sum += f64::from(value);
        squares += f64::from(value) * f64::from(value);
        count += 1.0;
    }
    let mean = sum / count.max(1.0);
    #[expect(clippy::cast_possible_truncation, reason = "luma")]
    let result = (mean as f32, (squares / count.max(1.0) - mean * mean).max(0.0).sqrt() as f32);
    result
}

/// The part of `rect` in the picture, two pixels from its edges.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within a picture")]
fn inner(rect: Rect, size: FrameSize) -> (usize, usize, usize, usize) {
    let rect =
        rect.intersection(Rect::new(2.0, 2.0, size.width as f32 - 4.0, size.height as f32 - 4.0));
    let (left, top) = (rect.x.ceil() as usize, rect.y.ceil() as usize);
    (left, top, (rect.right() as usize).max(left), (rect.bottom() as usize).max(top))
}
