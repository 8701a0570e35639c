//! A picture of the attacker's own, in ordinary memory: what a frame of a recording cannot be.

use crate::{
    frame::{FrameSize, I420View},
    veil::redact::PixelRect,
};

/// Planes without padding.
#[derive(Clone)]
pub(super) struct Picture {
    size: FrameSize,
    planes: [Vec<u8>; 3],
}

impl Picture {
    pub(super) fn new(size: FrameSize) -> Self {
        let chroma = size.width.div_ceil(2) as usize * size.height.div_ceil(2) as usize;
        let luma = size.width as usize * size.height as usize;
        Self { size, planes: [vec![16; luma], vec![128; chroma], vec![128; chroma]] }
    }

    pub(super) fn copy_of(view: &I420View<'_>) -> Self {
        let mut picture = Self::new(view.size);
        let from = [
            (view.y, view.luma_stride),
            (view.u, view.chroma_stride),
            (view.v, view.chroma_stride),
        ];
        for (plane, (samples, stride)) in from.into_iter().enumerate() {
            let width = picture.stride(plane);
            for (to, from) in
                picture.planes[plane].chunks_exact_mut(width).zip(samples.chunks(stride))
            {
                // The last row of a decoder's plane may end with the picture.
                if let Some(from) = from.get(..width) {
                    to.copy_from_slice(from);
                }
            }
        }
        picture
    }

    /// Leaves nothing but the regions: grey everywhere else.
    pub(super) fn blank_outside(&mut self, regions: impl Iterator<Item = PixelRect>) {
        let before = std::mem::replace(self, Self::new(self.size));
        self.planes[0].fill(128);
        for region in regions {
            for plane in 0..3 {
                let (at, stride) = (on_plane(region, Self::step(plane)), self.stride(plane));
                for y in at.y0..at.y1 {
                    let row = y * stride + at.x0..y * stride + at.x1;
                    self.planes[plane][row.clone()].copy_from_slice(&before.planes[plane][row]);
                }
            }
        }
    }

    const fn step(plane: usize) -> usize {
        if plane == 0 { 1 } else { 2 }
    }

    /// Samples in a row of a plane: 0 is luma, 1 and 2 are chroma.
    pub(super) fn stride(&self, plane: usize) -> usize {
        if plane == 0 { self.size.width as usize } else { self.size.width.div_ceil(2) as usize }
    }

    pub(super) fn plane_mut(&mut self, plane: usize) -> &mut [u8] {
        &mut self.planes[plane]
    }

    pub(super) fn view(&self) -> I420View<'_> {
        I420View {
            size: self.size,
            y: &self.planes[0],
            u: &self.planes[1],
            v: &self.planes[2],
            luma_stride: self.stride(0),
            chroma_stride: self.stride(1),
        }
    }
}

/// One plane of a view, for reading.
#[derive(Clone, Copy)]
pub(super) struct Plane<'a> {
    pub(super) samples: &'a [u8],
    pub(super) stride: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Luma samples for one of this plane, on each axis.
    pub(super) step: usize,
}

pub(super) fn planes<'a>(view: &I420View<'a>) -> [Plane<'a>; 3] {
    let (width, height) = (view.size.width as usize, view.size.height as usize);
    let chroma = |samples| Plane {
        samples,
        stride: view.chroma_stride,
        width: width.div_ceil(2),
        height: height.div_ceil(2),
        step: 2,
    };
    let luma = Plane { samples: view.y, stride: view.luma_stride, width, height, step: 1 };
    [luma, chroma(view.u), chroma(view.v)]
}

/// A region on a plane with `step` luma samples for each of its own.
pub(super) fn on_plane(region: PixelRect, step: usize) -> PixelRect {
    PixelRect {
        x0: region.x0 / step,
        y0: region.y0 / step,
        x1: region.x1 / step,
        y1: region.y1 / step,
    }
}
