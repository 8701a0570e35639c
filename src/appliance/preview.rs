//! The picture as it is recorded, veiled, for whoever is in the room and wants to see what is kept.
//!
//! Belongs here: taking a smaller copy of a finished frame now and then, while somebody watches, and
//! making a JPEG of it. Does not belong: who may watch. Only a redacted frame has a way in here, and a
//! copy is gone when its recording is.
//!
//! The camera's thread copies a frame at most five times a second and never waits: what is looked at
//! at that moment is left alone. JPEGs are made by whoever asks for one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};

use crate::{
    frame::{Frame, I420View},
    units::CameraId,
    veil::redact::Redacted,
};

/// From one picture to the next.
pub const EVERY: Duration = Duration::from_millis(200);
/// Longest side of a picture: enough to see who is veiled.
const LONGEST: u32 = 960;
/// Quality of a JPEG, of 100.
const QUALITY: u8 = 70;

/// A smaller copy of a redacted frame.
#[derive(Clone, Debug, Default)]
struct Still {
    number: u64,
    width: u32,
    height: u32,
    /// Luma and both chromas of each pixel, without padding.
    pixels: Vec<u8>,
}

/// What the camera's thread and whoever watches share.
#[derive(Debug, Default)]
struct Slot {
    /// Capacity 1: the newest picture takes the place of the one before.
    still: Mutex<Option<Still>>,
}

#[derive(Default)]
struct Inner {
    watchers: AtomicUsize,
    slots: Mutex<BTreeMap<CameraId, Arc<Slot>>>,
}

/// The pictures of all cameras.
#[derive(Clone, Default)]
pub struct Previews(Arc<Inner>);

impl std::fmt::Debug for Previews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Previews(..)")
    }
}

impl Still {
    /// Every so many pixels one: what is lost is sharpness.
    fn of(planes: &I420View<'_>, number: u64, mut pixels: Vec<u8>) -> Self {
        let longest = planes.size.width.max(planes.size.height);
        let step = longest.div_ceil(LONGEST).max(1);
        let (width, height) = (planes.size.width.div_ceil(step), planes.size.height.div_ceil(step));
        pixels.clear();
        pixels.reserve(3 * width as usize * height as usize);
        for row in (0..planes.size.height as usize).step_by(step as usize) {
            let luma = planes.y.get(row * planes.luma_stride..).unwrap_or_default();
            let first = planes.u.get(row / 2 * planes.chroma_stride..).unwrap_or_default();
            let second = planes.v.get(row / 2 * planes.chroma_stride..).unwrap_or_default();
            for column in (0..planes.size.width as usize).step_by(step as usize) {
                let of = |plane: &[u8], at: usize| plane.get(at).copied().unwrap_or(128);
                let pixel = [of(luma, column), of(first, column / 2), of(second, column / 2)];
                pixels.extend(pixel);
            }
        }
        Self { number, width, height, pixels }
    }

    fn jpeg(&self) -> Option<Vec<u8>> {
        let rgb: Vec<u8> = self.pixels.chunks_exact(3).flat_map(rgb).collect();
        let mut jpeg = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, QUALITY);
        encoder.encode(&rgb, self.width, self.height, ExtendedColorType::Rgb8).ok()?;
        Some(jpeg)
    }
}

/// A pixel by BT.709, of which luma takes 16 to 235: what cameras send.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
fn rgb(pixel: &[u8]) -> [u8; 3] {
    let [luma, first, second] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
    let (luma, first, second) = (1.164 * (luma - 16.0), first - 128.0, second - 128.0);
    let red = luma + 1.793 * second;
    let green = luma - 0.213 * first - 0.533 * second;
    let blue = luma + 2.112 * first;
    [red, green, blue].map(|value| value.clamp(0.0, 255.0) as u8)
}

/// What comes of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// A new picture, as a JPEG.
    New(Vec<u8>),
    /// None since the last one.
    NotYet,
    /// The camera does not record.
    Over,
}

/// Somebody who watches.
#[derive(Debug)]
pub struct Watching {
    previews: Previews,
    camera: CameraId,
    /// The recording that is watched: never the next one, which may be somebody else's.
    slot: Option<Arc<Slot>>,
    seen: u64,
}

impl Watching {
    /// The newest picture. Takes the time of a JPEG.
    #[must_use]
    pub fn look(&mut self) -> Look {
        let slot = {
            let slots = self.previews.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.get(&self.camera).map(Arc::clone)
        };
        let Some(slot) = slot else { return Look::Over };
        if !Arc::ptr_eq(self.slot.get_or_insert_with(|| Arc::clone(&slot)), &slot) {
            return Look::Over;
        }
        // Copied, so that the camera's thread finds the slot free while a JPEG is made.
        let still = slot.still.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(still) = still.filter(|still| still.number != self.seen) else {
            return Look::NotYet;
        };
        self.seen = still.number;
        still.jpeg().map_or(Look::NotYet, Look::New)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.previews.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Previews {
    /// Where a recorder puts its camera's pictures, for as long as it records.
    pub(super) fn tap(&self, camera: &CameraId) -> Tap {
        let slot = Arc::new(Slot::default());
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.insert(camera.clone(), Arc::clone(&slot));
        Tap { previews: self.clone(), camera: camera.clone(), slot, taken: None, number: 0 }
    }

    /// How many watch.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.0.watchers.load(Ordering::Relaxed)
    }

    /// Watches a camera. Nothing is copied while nobody does.
    #[must_use]
    pub fn watch(&self, camera: &CameraId) -> Watching {
        self.0.watchers.fetch_add(1, Ordering::Relaxed);
        Watching { previews: self.clone(), camera: camera.clone(), slot: None, seen: 0 }
    }
}

/// The recorder's end.
pub(super) struct Tap {
    previews: Previews,
    camera: CameraId,
    slot: Arc<Slot>,
    taken: Option<Instant>,
    number: u64,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap").field("camera", &self.camera).finish_non_exhaustive()
    }
}

impl Tap {
    /// Copies `frame` if somebody watches and it is time.
    pub(super) fn offer(&mut self, frame: &Frame<Redacted>) {
        if self.previews.0.watchers.load(Ordering::Relaxed) == 0 {
            return;
        }
        let now = Instant::now();
        if self.taken.is_some_and(|taken| now.duration_since(taken) < EVERY) {
            return;
        }
        let Ok(mut slot) = self.slot.still.try_lock() else { return };
        self.taken = Some(now);
        self.number += 1;
        // Memory is taken once for each recording.
        let pixels = slot.take().map(|still| still.pixels).unwrap_or_default();
        *slot = Some(Still::of(&frame.planes(), self.number, pixels));
    }
}

impl Tap {
    /// Forgets the picture that is there: it is of a stretch that was dropped.
    pub(super) fn forget(&mut self) {
        // Waits for whoever copies it, which takes a moment: it must not outlive the stretch.
        *self.slot.still.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let mut slots = self.previews.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // Unless the camera's next recording has begun.
        if slots.get(&self.camera).is_some_and(|slot| Arc::ptr_eq(slot, &self.slot)) {
            slots.remove(&self.camera);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frame::{FrameSize, SlotPool},
        units::Pts,
        veil::{Style, redact::Redactor},
    };

    fn veiled(size: FrameSize) -> Frame<Redacted> {
        let mut frame = Frame::new(SlotPool::new(size, 1).take(), 0, Pts::ZERO);
        let planes = frame.planes_mut();
        planes.y.fill(200);
        planes.u.fill(60);
        planes.v.fill(200);
        // Nobody looked at it, so nothing of it is shown.
        Redactor::new(Style::Fill).redact(frame, None)
    }

    #[test]
    fn what_is_seen_is_what_is_kept() {
        let (previews, camera) = (Previews::default(), CameraId::first());
        let mut tap = previews.tap(&camera);
        let frame = veiled(FrameSize::new(1922, 1080));
        // Nobody watches: nothing is copied.
        tap.offer(&frame);
        assert!(tap.slot.still.lock().unwrap().is_none());
        let mut watching = previews.watch(&camera);
        assert_eq!(watching.look(), Look::NotYet);
        tap.offer(&frame);
        // Not more than five a second.
        tap.offer(&frame);
        assert_eq!(tap.number, 1);
        let Look::New(jpeg) = watching.look() else { panic!("no picture") };
        assert_eq!(watching.look(), Look::NotYet);
        let picture = image::load_from_memory(&jpeg).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (641, 360));
        // The veil's own colour, and nothing of what was under it.
        let planes = frame.planes();
        let colour = rgb(&[planes.y[0], planes.u[0], planes.v[0]]);
        for pixel in picture.pixels() {
            assert!(pixel.0.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 12), "{pixel:?}");
        }
        // What was dropped is gone for whoever comes later, too.
        tap.forget();
        assert_eq!(previews.watch(&camera).look(), Look::NotYet);
        tap.taken = None;
        tap.offer(&frame);
        assert!(matches!(watching.look(), Look::New(_)));
        drop(tap);
        assert_eq!(watching.look(), Look::Over);
        // The next recording is another's.
        let mut next = previews.tap(&camera);
        next.offer(&frame);
        assert_eq!(watching.look(), Look::Over);
        drop(watching);
        assert_eq!(previews.0.watchers.load(Ordering::Relaxed), 0);
    }
}
