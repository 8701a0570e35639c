//! Face detection with `YuNet` at any size, letterboxed, and our own suppression of doubles.

use super::{
    Detection,
    infer::{Models, Network, Thresholds, VisionError},
};
use crate::frame::{
    I420View, Letterbox, Rect,
    pixels::{Area, BgrImage, Scaler},
};

/// `YuNet`'s three heads, in pixels of its input per cell.
const STRIDES: [usize; 3] = [8, 16, 32];

/// Finds faces. Owns its model and memory; one per thread.
pub struct Detector {
    network: Network,
    scaler: Scaler,
    input: Vec<f32>,
    thresholds: Thresholds,
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detector").field("thresholds", &self.thresholds).finish_non_exhaustive()
    }
}

impl Detector {
    /// Opens the detector on `threads` threads.
    pub fn new(models: &Models, threads: usize) -> Result<Self, VisionError> {
        let network = models.open_yunet(threads)?;
        let thresholds = models.thresholds();
        Ok(Self { network, scaler: Scaler::new(), input: Vec::new(), thresholds })
    }

    /// Faces of a frame, strongest first, looked for with the frame's longer side scaled down to
    /// `longest` pixels (a smaller frame is not enlarged).
    pub fn detect(
        &mut self,
        frame: &I420View<'_>,
        longest: u32,
    ) -> Result<Vec<Detection>, VisionError> {
        self.detect_in(frame, Area::whole(frame.size), longest)
    }

    /// The same for the frame's mirror image, in the coordinates of the frame itself: another picture
    /// to the model, so a face that one look misses the other may find.
    pub fn detect_mirrored(
        &mut self,
        frame: &I420View<'_>,
        longest: u32,
    ) -> Result<Vec<Detection>, VisionError> {
        let letterbox = Letterbox::fit(frame.size, longest);
        let area = Area::whole(frame.size);
        let input = self.scaler.letterbox(frame, area, &letterbox, &mut self.input)?;
        let (model, scaled) = (letterbox.model().width as usize, letterbox.scaled().width as usize);
        for row in input.chunks_exact_mut(model) {
            row[..scaled].reverse();
        }
        let mut found = run(&mut self.network, input, &letterbox, &self.thresholds)?;
        let width = frame.size.rect().w;
        for Detection { rect, landmarks, .. } in &mut found {
            rect.x = width - rect.right();
            for point in landmarks.iter_mut() {
                point.x = width - point.x;
            }
            // Right and left change places.
            landmarks.swap(0, 1);
            landmarks.swap(3, 4);
        }
        Ok(found)
    }

    /// The same for a part of a frame, in the coordinates of the whole frame.
    pub fn detect_in(
        &mut self,
        frame: &I420View<'_>,
        area: Area,
        longest: u32,
    ) -> Result<Vec<Detection>, VisionError> {
        let letterbox = Letterbox::fit(area.size, longest);
        let input = self.scaler.letterbox(frame, area, &letterbox, &mut self.input)?;
        let mut found = run(&mut self.network, input, &letterbox, &self.thresholds)?;
        let (dx, dy) = (area.x as f32, area.y as f32);
        for detection in &mut found {
            detection.rect.x += dx;
            detection.rect.y += dy;
            for point in &mut detection.landmarks {
                point.x += dx;
                point.y += dy;
            }
        }
        Ok(found)
    }

    /// Faces of a photo, strongest first.
    pub fn detect_image(
        &mut self,
        image: &BgrImage,
        longest: u32,
    ) -> Result<Vec<Detection>, VisionError> {
        let letterbox = Letterbox::fit(image.size, longest);
        let input = self.scaler.letterbox_bgr(image, &letterbox, &mut self.input)?;
        run(&mut self.network, input, &letterbox, &self.thresholds)
    }
}

/// The faces of a letterboxed picture, strongest first.
fn run(
    network: &mut Network,
    input: &[f32],
    letterbox: &Letterbox,
    thresholds: &Thresholds,
) -> Result<Vec<Detection>, VisionError> {
    let Thresholds { detect_keep: keep, detect_nms: nms, .. } = *thresholds;
    let model = letterbox.model();
    let shape = [1, 3, model.height as usize, model.width as usize];
    let found = network.run(shape, input, |outputs| decode(outputs, letterbox, keep))?;
    let found = found.ok_or(VisionError::ModelShape { model: "yunet", what: "outputs" })?;
    Ok(suppress(found, nms))
}

/// Reads the twelve outputs of `YuNet`: for each of three strides a grid of cells with class and
/// object scores, a box (offset of its centre in cells, logarithm of its size in cells) and five
/// landmarks (offsets in cells). `None` where an output has the wrong length or holds no number.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "grid cells are counted in hundreds")]
pub fn decode(outputs: &[&[f32]], letterbox: &Letterbox, keep: f32) -> Option<Vec<Detection>> {
    let model = letterbox.model();
    let mut found = Vec::new();
    for (head, stride) in STRIDES.into_iter().enumerate() {
        let columns = model.width as usize / stride;
        let cells = columns * (model.height as usize / stride);
        let [class, object, boxes, points] =
            [0, 3, 6, 9].map(|base| outputs.get(base + head).copied().unwrap_or_default());
        if (class.len(), object.len()) != (cells, cells)
            || (boxes.len(), points.len()) != (4 * cells, 10 * cells)
        {
            return None;
        }
        let stride = stride as f32;
        for cell in 0..cells {
            let score = (class[cell].clamp(0.0, 1.0) * object[cell].clamp(0.0, 1.0)).sqrt();
            if score.is_nan() {
                // A model that returns no numbers has not looked.
                return None;
            }
            if score < keep {
                continue;
            }
            let (column, row) = ((cell % columns) as f32, (cell / columns) as f32);
            let at = |dx: f32, dy: f32| ((column + dx) * stride, (row + dy) * stride);
            let raw = &boxes[4 * cell..4 * cell + 4];
            let (cx, cy) = at(raw[0], raw[1]);
            let (width, height) = (raw[2].exp() * stride, raw[3].exp() * stride);
            let rect = Rect::new(cx - width / 2.0, cy - height / 2.0, width, height);
            let rect = letterbox.rect_to_frame(rect);
            if !rect.is_finite() {
                return None;
            }
            let raw = &points[10 * cell..10 * cell + 10];
            let landmarks = std::array::from_fn(|i| {
                let (x, y) = at(raw[2 * i], raw[2 * i + 1]);
                letterbox.to_frame(x, y)
            });
            found.push(Detection { rect, score, landmarks });
        }
    }
    Some(found)
}

/// Keeps the strongest of detections that overlap by more than `most` (`IoU`), strongest first.
/// Detections that do not overlap never suppress each other.
#[must_use]
pub fn suppress(mut found: Vec<Detection>, most: f32) -> Vec<Detection> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::with_capacity(found.len());
    for candidate in found {
        if kept.iter().all(|k| k.rect.iou(candidate.rect) <= most) {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{FrameSize, Point};

    fn face(x: f32, y: f32, side: f32, score: f32) -> Detection {
        Detection { rect: Rect::new(x, y, side, side), score, landmarks: [Point::default(); 5] }
    }

    proptest! {
        #[test]
        fn disjoint_boxes_never_suppress_each_other(
            side in 1.0..40.0f32, gap in 0.0..30.0f32, count in 1usize..8, most in 0.0..0.9f32,
            scores in proptest::collection::vec(0.2..1.0f32, 8), diagonal in any::<bool>(),
        ) {
            let found: Vec<_> = (0..count)
                .map(|i| {
                    let at = i as f32 * (side + gap + 0.01);
                    face(at, if diagonal { at } else { 0.0 }, side, scores[i])
                })
                .collect();
            prop_assert_eq!(suppress(found, most).len(), count);
        }

        #[test]
        fn every_suppressed_box_overlaps_a_stronger_kept_one(
            boxes in proptest::collection::vec(
                (0.0..200.0f32, 0.0..200.0f32, 5.0..80.0f32, 0.2..1.0f32), 0..20),
        ) {
            let found: Vec<_> = boxes.iter().map(|&(x, y, s, score)| face(x, y, s, score)).collect();
            let kept = suppress(found.clone(), 0.3);
            for lost in found.iter().filter(|f| !kept.contains(f)) {
                prop_assert!(kept.iter().any(|k| k.rect.iou(lost.rect) > 0.3 && k.score >= lost.score));
            }
        }
    }

    #[test]
    fn a_cell_is_decoded_into_frame_space() {
        // 64x32 model cells at strides 8, 16, 32; the frame is twice as large.
        let letterbox = Letterbox::fit(FrameSize::new(128, 64), 64);
        let cells = [32, 8, 2];
        let mut outputs: Vec<Vec<f32>> = [1, 1, 4, 10]
            .iter()
            .flat_map(|per| cells.iter().map(move |c| vec![0.0; per * c]))
            .collect();
        // Stride 16, row 1, column 2: a face of 16x16 model pixels.
        let cell = 4 + 2;
        outputs[1][cell] = 0.81;
        outputs[4][cell] = 1.0;
        outputs[7][4 * cell] = 0.5;
        outputs[7][4 * cell + 1] = 0.5;
        let views: Vec<&[f32]> = outputs.iter().map(Vec::as_slice).collect();
        let found = decode(&views, &letterbox, 0.2).expect("sizes fit");
        assert_eq!(found.len(), 1);
        assert!((found[0].score - 0.9).abs() < 1e-6);
        assert_eq!(found[0].rect, Rect::new(64.0, 32.0, 32.0, 32.0));
        assert_eq!(found[0].landmarks[0], Point { x: 64.0, y: 32.0 });
        assert!(decode(&views[1..], &letterbox, 0.2).is_none());
    }
}
