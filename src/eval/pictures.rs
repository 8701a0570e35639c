//! Pictures between forms: photos as planes, planes as pictures that people look at, and videos that
//! are read picture by picture.
//!
//! Belongs here: conversion and reading. Does not belong: drawing (`draw`), judging (`judge`).

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "samples are clamped before they are cast"
)]

use std::{path::Path, time::Duration};

use image::{Rgb, RgbImage};

use super::{EvalError, draw::Plane};
use crate::{
    capture::{self, Capture, CapturedFrame, Event, Input, VideoFormat},
    frame::{FrameSize, I420View, Rect, pixels::BgrImage},
};

/// How long to wait for a picture of a file before asking again.
const PATIENCE: Duration = Duration::from_secs(1);

/// A photo as the models take it.
pub(super) fn bgr(picture: &RgbImage) -> BgrImage {
    let size = FrameSize::new(picture.width(), picture.height());
    BgrImage { size, data: picture.pixels().flat_map(|p| [p.0[2], p.0[1], p.0[0]]).collect() }
}

/// A photo as planes, BT.601 limited range as the models read them.
pub(super) fn planes(picture: &RgbImage) -> [Plane; 3] {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
    let mut planes =
        [Plane::new(width, height, 16), Plane::new(cw, ch, 128), Plane::new(cw, ch, 128)];
    for (x, y, pixel) in picture.enumerate_pixels() {
        let rgb = pixel.0.map(f32::from);
        let mixed = |offset: f32, parts: [f32; 3]| {
            let sum: f32 = rgb.iter().zip(parts).map(|(value, part)| value * part).sum();
            (offset + sum) as u8
        };
        let (x, y) = (x as usize, y as usize);
        planes[0].data[y * width + x] = mixed(16.5, [0.257, 0.504, 0.098]);
        if x % 2 == 0 && y % 2 == 0 {
            let at = y / 2 * cw + x / 2;
            planes[1].data[at] = mixed(128.5, [-0.148, -0.291, 0.439]);
            planes[2].data[at] = mixed(128.5, [0.439, -0.368, -0.071]);
        }
    }
    planes
}

/// A part of a picture as people look at it; black beyond its edge.
pub(super) fn crop(view: &I420View<'_>, area: Rect) -> RgbImage {
    let (width, height) = (area.w.max(1.0) as u32, area.h.max(1.0) as u32);
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (area.x + x as f32, area.y + y as f32);
        if x < 0.0 || y < 0.0 || x >= view.size.width as f32 || y >= view.size.height as f32 {
            return Rgb([0; 3]);
        }
        let (x, y) = (x as usize, y as usize);
        let luma = f32::from(view.y[y * view.luma_stride + x]);
        let at = y / 2 * view.chroma_stride + x / 2;
        let (u, v) = (f32::from(view.u[at]) - 128.0, f32::from(view.v[at]) - 128.0);
        let luma = 1.164 * (luma - 16.0);
        let rgb = [luma + 1.596 * v, luma - 0.392 * u - 0.813 * v, luma + 2.017 * u];
        Rgb(rgb.map(|c| c.clamp(0.0, 255.0) as u8))
    })
}

/// A video file, picture by picture.
#[derive(Debug)]
pub(super) struct Reader {
    capture: Capture,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, EvalError> {
        let text = path.to_string_lossy();
        let input = Input::parse(&text, None)?;
        Ok(Self { capture: Capture::open(&input, &capture::Settings::default())? })
    }

    pub(super) fn format(&self) -> &VideoFormat {
        self.capture.video()
    }

    /// The next picture; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<CapturedFrame>, EvalError> {
        loop {
            match self.capture.next(PATIENCE)? {
                Some(Event::Video(frame)) => return Ok(Some(frame)),
                Some(Event::End) => return Ok(None),
                Some(Event::Lost(error)) => return Err(error.into()),
                Some(Event::Audio(_)) | None => {}
            }
        }
    }
}
