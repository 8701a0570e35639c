//! Whether a face shows: its own pixels in the finished video, compared with the source.
//!
//! Belongs here: one face in one picture. Does not belong: what it means over time (`tally`).
//!
//! A face is clear where more than [`CLEAR_SHARE`] of its own pixels differ from the source by no more
//! than the encoder's own error, or where the recogniser still matches it with its source. The
//! encoder's own error is measured on the same pixels of the same picture: the scene is encoded once
//! with nobody veiled (the control), and nine pixels of ten are allowed what they lose there. So an
//! unveiled video is clear throughout, whatever the scene does to an encoder, and a veil is not
//! mistaken for a face only because the encoder blurs. The recogniser's word counts where it says of this
//! face what it says of no other hidden one: a source of few pixels in noise may be like every veil.
//!
//! A face that is only brighter, paler or of another tint is still the same face: where light and dark
//! lie as in the source, each plane is first brought to the source's brightness and contrast.

use super::truth::FaceTruth;
use crate::{
    frame::I420View,
    vision::{
        identify::{Embedder, Embedding},
        infer::{Thresholds, VisionError},
    },
};

/// A face is clear from more than this part of its own pixels on.
pub(super) const CLEAR_SHARE: f32 = 0.20;
/// An allowed face counts as veiled up to this part.
pub(super) const SHOWN_SHARE: f32 = 0.50;
/// The part of a face's pixels whose error in the control is taken for the encoder's own.
const OWN_ERROR: f32 = 0.90;
/// The least error that counts: rounding.
const LEAST_ERROR: u8 = 2;
/// From this correlation of the luma on, light and dark lie as in the source. What a veil draws follows
/// no face: measured on the scenes of both seeds, it stays below 0.8.
const SAME_FACE: f64 = 0.90;
/// By how much a face must be more like its own source than any other hidden face of the picture is. Behind a veil
/// all of them are like each other (the recogniser finds half of a face's strength in it), and a source in noise
/// may be like that: 0.41 beside 0.40 was seen. Sources of different people of those pictures are like each other
/// by 0.29 at most.
const OWN: f32 = 0.05;
/// Who is covered more than this cannot be compared: the crop would hold what covers the face, which
/// is the same in source and video.
const COMPARED_VISIBLE: f32 = 0.85;

/// Side of a block of a picture, in pixels, and from which difference of its mean on in any plane, in grey levels,
/// it is not as it was: encoders keep means.
const BLOCK: usize = 16;
const ANOTHER: f32 = 4.0;

/// By how much each plane of one face may differ from the source: the encoder's own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tolerance([u8; 3]);

/// The samples at a pixel: Y, U, V.
fn samples(view: &I420View<'_>, x: usize, y: usize) -> [u8; 3] {
    let chroma = y / 2 * view.chroma_stride + x / 2;
    [view.y[y * view.luma_stride + x], view.u[chroma], view.v[chroma]]
}

/// What the encoder does to a face that is not veiled.
pub(super) fn tolerance(
    face: &FaceTruth,
    source: &I420View<'_>,
    control: &I420View<'_>,
) -> Tolerance {
    let mut counts = [[0u32; 256]; 3];
    let mut pixels = 0u32;
    face.for_each_pixel(source.size, |x, y| {
        pixels += 1;
        let both = samples(source, x, y).into_iter().zip(samples(control, x, y));
        for (counts, (source, control)) in counts.iter_mut().zip(both) {
            counts[usize::from(source.abs_diff(control))] += 1;
        }
    });
    let enough = f64::from(pixels) * f64::from(OWN_ERROR);
    Tolerance(counts.map(|counts| {
        let mut sum = 0;
        let error = (0..=u8::MAX).find(|&error| {
            sum += counts[usize::from(error)];
            f64::from(sum) >= enough
        });
        error.unwrap_or(u8::MAX).max(LEAST_ERROR)
    }))
}

/// The part of a face's own pixels that are as in the source, in all three planes, at the brightness of
/// the video or at that of the source, whichever shows more.
pub(super) fn same(
    face: &FaceTruth,
    source: &I420View<'_>,
    video: &I420View<'_>,
    tolerance: Tolerance,
) -> f32 {
    let mut planes = [Regression::default(); 3];
    face.for_each_pixel(source.size, |x, y| {
        let both = samples(source, x, y).into_iter().zip(samples(video, x, y));
        for (plane, (source, video)) in planes.iter_mut().zip(both) {
            plane.add(f64::from(source), f64::from(video));
        }
    });
    let as_it_is = planes.map(|_| Tone::KEPT);
    let plain = same_at(face, source, video, tolerance, &as_it_is);
    if planes[0].correlation() < SAME_FACE {
        return plain;
    }
    let fitted = planes.map(|plane| plane.tone());
    plain.max(same_at(face, source, video, tolerance, &fitted))
}

/// The part of a face's own pixels that are as in the source once each plane of the video has the tone
/// given.
fn same_at(
    face: &FaceTruth,
    source: &I420View<'_>,
    video: &I420View<'_>,
    tolerance: Tolerance,
    tones: &[Tone; 3],
) -> f32 {
    let (mut pixels, mut same) = (0u32, 0u32);
    face.for_each_pixel(source.size, |x, y| {
        pixels += 1;
        let (source, video) = (samples(source, x, y), samples(video, x, y));
        let all = (0..3).all(|plane| {
            let apart = tones[plane].of(video[plane]) - f64::from(source[plane]);
            apart.abs() <= f64::from(tolerance.0[plane]) + 0.5
        });
        same += u32::from(all);
    });
    same as f32 / pixels.max(1) as f32
}

/// The part of a picture that is not as in the source: veiled, for whatever reason.
pub(super) fn covered(source: &I420View<'_>, video: &I420View<'_>) -> f32 {
    let (width, height) = (source.size.width as usize, source.size.height as usize);
    let (mut blocks, mut covered) = (0u32, 0u32);
    for top in (0..height).step_by(BLOCK) {
        for left in (0..width).step_by(BLOCK) {
            let (mut sums, mut count) = ([0i32; 3], 0.0f32);
            // Every second pixel has its own chroma.
            for y in (top..(top + BLOCK).min(height)).step_by(2) {
                for x in (left..(left + BLOCK).min(width)).step_by(2) {
                    let both = samples(source, x, y).into_iter().zip(samples(video, x, y));
                    for (sum, (was, is)) in sums.iter_mut().zip(both) {
                        *sum += i32::from(is) - i32::from(was);
                    }
                    count += 1.0;
                }
            }
            let another = sums.iter().any(|&sum| (sum as f32 / count).abs() >= ANOTHER);
            (blocks, covered) = (blocks + 1, covered + u32::from(another));
        }
    }
    covered as f32 / blocks.max(1) as f32
}

/// Sums over the pixels of one plane, source against video.
#[derive(Clone, Copy, Default)]
struct Regression {
    n: f64,
    source: f64,
    video: f64,
    source_squared: f64,
    video_squared: f64,
    product: f64,
}

impl Regression {
    fn add(&mut self, source: f64, video: f64) {
        self.n += 1.0;
        self.source += source;
        self.video += video;
        self.source_squared += source * source;
        self.video_squared += video * video;
        self.product += source * video;
    }

    /// Variances of source and video and their covariance, each times the number of pixels.
    fn spread(&self) -> (f64, f64, f64) {
        let n = self.n.max(1.0);
        (
            self.source_squared - self.source * self.source / n,
            self.video_squared - self.video * self.video / n,
            self.product - self.source * self.video / n,
        )
    }

    /// From -1 to 1; 0 where one of the two is flat.
    fn correlation(&self) -> f64 {
        let (source, video, both) = self.spread();
        if source > 0.0 && video > 0.0 { both / (source * video).sqrt() } else { 0.0 }
    }

    /// What brings the video nearest to the source.
    fn tone(&self) -> Tone {
        let (_, video, both) = self.spread();
        let gain = if video > 0.0 { both / video } else { 1.0 };
        let n = self.n.max(1.0);
        Tone { gain, offset: (self.source - gain * self.video) / n }
    }
}

/// Brightness and contrast of one plane.
#[derive(Clone, Copy)]
struct Tone {
    gain: f64,
    offset: f64,
}

impl Tone {
    const KEPT: Self = Self { gain: 1.0, offset: 0.0 };

    fn of(self, sample: u8) -> f64 {
        self.gain * f64::from(sample) + self.offset
    }
}

/// The face as the recogniser sees it; none for one that is too small or too covered.
pub(super) fn describe(
    face: &FaceTruth,
    view: &I420View<'_>,
    least_px: f32,
    embedder: &mut Embedder,
) -> Result<Option<Embedding>, VisionError> {
    if face.visible < COMPARED_VISIBLE || face.rect().w < least_px {
        return Ok(None);
    }
    Ok(embedder.embed(view, &face.points())?.map(|described| described.embedding))
}

/// How much the recogniser finds of `source` in a face of the video, and in the `others` that are hidden too.
/// None where the face is not compared.
pub(super) fn likeness<'a>(
    face: &FaceTruth,
    source: &Embedding,
    others: impl Iterator<Item = &'a FaceTruth>,
    video: &I420View<'_>,
    thresholds: &Thresholds,
    embedder: &mut Embedder,
) -> Result<Option<Likeness>, VisionError> {
    let mut alike = |face: &FaceTruth| -> Result<Option<f32>, VisionError> {
        let found = describe(face, video, thresholds.compare_min_px, embedder)?;
        Ok(found.map(|found| found.cosine(source)))
    };
    let Some(own) = alike(face)? else { return Ok(None) };
    let mut most = 0.0_f32;
    if own >= thresholds.refuse {
        for other in others {
            most = most.max(alike(other)?.unwrap_or(0.0));
        }
    }
    Ok(Some(Likeness { own, others: most }))
}

/// What one picture shows of a face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sight {
    /// The part of its own pixels that are as in the source.
    pub(super) same: f32,
    /// Its likeness to its own source, where it was compared.
    pub(super) likeness: Option<Likeness>,
}

/// How much the recogniser finds of a face's source in what is to be seen of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Likeness {
    /// In the face itself (cosine).
    pub(super) own: f32,
    /// In whichever other hidden face of the same picture has most of it; not asked where the face itself has
    /// too little.
    pub(super) others: f32,
}

impl Likeness {
    /// Whether the recogniser says that it is somebody, be it anybody; `match_from` is its threshold.
    fn matches(self, match_from: f32) -> bool {
        self.own >= match_from
    }

    /// Whether it says that it is this person.
    pub(super) fn names(self, match_from: f32) -> bool {
        self.matches(match_from) && self.own > self.others + OWN
    }

    /// Whether it says of others' veils what it says of this face.
    pub(super) fn is_of_any(self, match_from: f32) -> bool {
        self.matches(match_from) && !self.names(match_from)
    }
}

impl Sight {
    /// Whether the face can be seen; `match_from` is the recogniser's threshold.
    pub(super) fn is_clear(self, match_from: f32) -> bool {
        self.same > CLEAR_SHARE || self.likeness.is_some_and(|found| found.names(match_from))
    }

    /// Whether an allowed face is as good as not there.
    pub(super) fn is_veiled(self) -> bool {
        self.same <= SHOWN_SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::{super::truth::Shape, *};
    use crate::frame::FrameSize;

    const SIZE: FrameSize = FrameSize::new(64, 64);

    fn view<'a>(luma: &'a [u8], chroma: &'a [u8]) -> I420View<'a> {
        I420View { size: SIZE, y: luma, u: chroma, v: chroma, luma_stride: 64, chroma_stride: 32 }
    }

    fn face() -> FaceTruth {
        let own = Shape::Ellipse([32.0, 32.0, 16.0, 20.0, 0.0]);
        let mut face = FaceTruth {
            person: "p-01".to_owned(),
            rect: [14.0, 10.0, 36.0, 44.0],
            own,
            covered_by: Vec::new(),
            visible: 0.0,
            pixels: 0,
            landmarks: [[0.0; 2]; 5],
        };
        face.count(SIZE);
        face
    }

    #[test]
    fn the_control_itself_is_clear_and_another_tone_is_not() {
        let chroma = vec![128; 32 * 32];
        let source: Vec<u8> = (20..220).step_by(7).cycle().take(64 * 64).collect();
        let noisy: Vec<u8> = source.iter().zip((0..11).cycle()).map(|(v, n)| v + n).collect();
        let (source, control) = (view(&source, &chroma), view(&noisy, &chroma));
        let face = face();
        let tolerance = tolerance(&face, &source, &control);
        assert!((8..=10).contains(&tolerance.0[0]), "{tolerance:?}");
        assert!(same(&face, &source, &control, tolerance) >= 0.9);
        let flat = vec![122; 64 * 64];
        let grey = same(&face, &source, &view(&flat, &chroma), tolerance);
        assert!(grey < 0.15, "{grey}");
        let other = vec![140; 32 * 32];
        let coloured = same(&face, &source, &view(&flat, &other), tolerance);
        assert!(coloured == 0.0, "colour counts too: {coloured}");
    }

    #[test]
    fn what_is_covered_is_a_part_of_the_picture() {
        let (chroma, warm) = (vec![128; 32 * 32], vec![134; 32 * 32]);
        let source: Vec<u8> = (20..220).step_by(7).cycle().take(64 * 64).collect();
        let noisy: Vec<u8> =
            source.iter().zip([0, 0, 6, 6].iter().cycle()).map(|(v, n)| v + n).collect();
        let mut half = source.clone();
        half[..32 * 64].fill(230);
        let source = view(&source, &chroma);
        for (luma, chroma, part) in
            [(&noisy, &chroma, 0.0), (&half, &chroma, 0.5), (&noisy, &warm, 1.0)]
        {
            let found: f32 = covered(&source, &view(luma, chroma));
            assert!((found - part).abs() < 1e-6, "{found}, not {part}");
        }
    }

    #[test]
    fn another_brightness_hides_nobody() {
        let source: Vec<u8> = (20..200).step_by(7).cycle().take(64 * 64).collect();
        let brighter: Vec<u8> = source.iter().map(|v| v + 14).collect();
        let paler: Vec<u8> = source.iter().map(|v| v / 2 + 90).collect();
        let (chroma, warm) = (vec![128; 32 * 32], vec![134; 32 * 32]);
        let (source, control) = (view(&source, &chroma), view(&source, &chroma));
        let face = face();
        let tolerance = tolerance(&face, &source, &control);
        for video in [view(&brighter, &chroma), view(&paler, &chroma), view(&brighter, &warm)] {
            assert!(same(&face, &source, &video, tolerance) > 0.99);
        }
    }

    #[test]
    fn either_sign_is_enough() {
        let sight = |same, own: Option<f32>| Sight {
            same,
            likeness: own.map(|own| Likeness { own, others: 0.3 }),
        };
        assert!(sight(0.21, None).is_clear(0.4));
        assert!(!sight(0.20, Some(0.39)).is_clear(0.4));
        assert!(sight(0.0, Some(0.41)).is_clear(0.4));
    }

    #[test]
    fn what_every_veil_is_like_names_nobody() {
        let veil = Likeness { own: 0.41, others: 0.40 };
        assert!(veil.is_of_any(0.4) && !veil.names(0.4));
        // Everybody is unveiled, or one beside veils.
        for others in [0.0, 0.3, 0.41] {
            let face = Likeness { own: 0.6, others };
            assert!(face.names(0.4) && !face.is_of_any(0.4), "{others}");
        }
    }
}
