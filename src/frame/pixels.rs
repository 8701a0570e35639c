//! The few operations on pixels that `OpenCV` does for us, behind a small surface without its types.
//!
//! Belongs here: resize, warp, colour. Does not belong: anything that knows a face.

use std::sync::Once;

use opencv::{
    boxed_ref::BoxedRef,
    core::{self, BorderTypes, Mat, MatTraitConst, MatTraitConstManual, Scalar, Size},
    imgproc,
};

use super::{FrameSize, I420View, Letterbox, shrink::shrink};

/// A picture in memory, three bytes a pixel in the order blue, green, red, rows without padding.
#[derive(Clone, PartialEq, Eq)]
pub struct BgrImage {
    /// Width and height.
    pub size: FrameSize,
    /// `3 * width * height` bytes.
    pub data: Vec<u8>,
}

impl std::fmt::Debug for BgrImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BgrImage({})", self.size)
    }
}

/// A 2x3 matrix that maps a point of the frame to a point of the crop:
/// `x' = a x + b y + c`, `y' = d x + e y + f`.
pub type Affine = [[f64; 3]; 2];

/// Reused memory for scaling and warping, so that a running pipeline allocates nothing.
pub struct Scaler {
    planes: [Vec<u8>; 3],
    sums: Vec<u16>,
}

impl Default for Scaler {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Scaler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scaler")
    }
}

/// A part of a picture in whole pixels, its left upper corner even so that chroma follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Left edge, even.
    pub x: u32,
    /// Upper edge, even.
    pub y: u32,
    /// Width and height.
    pub size: FrameSize,
}

impl Area {
    /// All of a picture.
    #[must_use]
    pub const fn whole(size: FrameSize) -> Self {
        Self { x: 0, y: 0, size }
    }

    /// The same part of the chroma planes.
    const fn of_chroma(self) -> Self {
        let size = FrameSize::new(self.size.width.div_ceil(2), self.size.height.div_ceil(2));
        Self { x: self.x / 2, y: self.y / 2, size }
    }
}

/// A part of one channel of a picture with padded rows.
struct PlaneRef<'a> {
    samples: &'a [u8],
    stride: usize,
    height: u32,
    area: Area,
}

fn int(value: usize) -> opencv::Result<i32> {
    i32::try_from(value).map_err(|_| {
        opencv::Error::new(core::StsOutOfRange, "a picture side does not fit 31 bits".to_owned())
    })
}

impl PlaneRef<'_> {
    /// Runs `with` on the plane as `OpenCV` sees it, without copying.
    fn with_mat<T>(
        &self,
        with: impl FnOnce(&BoxedRef<'_, Mat>) -> opencv::Result<T>,
    ) -> opencv::Result<T> {
        let rows = self.height as usize;
        let samples = self.samples.get(..rows * self.stride).ok_or_else(|| {
            opencv::Error::new(core::StsOutOfRange, "a plane is too short".to_owned())
        })?;
        let padded = Mat::new_rows_cols_with_data(int(rows)?, int(self.stride)?, samples)?;
        let Area { x, y, size } = self.area;
        let [left, top, across, down] =
            [x, y, size.width, size.height].map(|side| int(side as usize));
        let part = core::Rect::new(left?, top?, across?, down?);
        let part = Mat::roi(&padded, part)?;
        with(&part)
    }
}

/// Runs `with` on a picture's luma as `OpenCV` sees it, without copying.
pub(super) fn with_luma<T>(
    view: &I420View<'_>,
    with: impl FnOnce(&BoxedRef<'_, Mat>) -> opencv::Result<T>,
) -> opencv::Result<T> {
    let [luma, ..] = planes_of(view, Area::whole(view.size));
    luma.with_mat(with)
}

fn planes_of<'a>(view: &I420View<'a>, area: Area) -> [PlaneRef<'a>; 3] {
    let (luma, chroma) = (view.size.height, view.size.height.div_ceil(2));
    let plane = |samples, stride, height, area| PlaneRef { samples, stride, height, area };
    [
        plane(view.y, view.luma_stride, luma, area),
        plane(view.u, view.chroma_stride, chroma, area.of_chroma()),
        plane(view.v, view.chroma_stride, chroma, area.of_chroma()),
    ]
}

impl Scaler {
    /// A scaler without memory; it grows to what it is asked for and stays there.
    #[must_use]
    pub fn new() -> Self {
        keep_to_one_thread();
        Self { planes: Default::default(), sums: Vec::new() }
    }

    /// Scales a part of a frame into a detector's input: BGR, 0 to 255, planar, the picture in the
    /// upper left, zero elsewhere: the first `3 * model width * model height` numbers of `memory`, which
    /// grows where it is too short.
    ///
    /// # Errors
    /// `OpenCV` refuses the sizes.
    pub fn letterbox<'m>(
        &mut self,
        view: &I420View<'_>,
        area: Area,
        to: &Letterbox,
        memory: &'m mut Vec<f32>,
    ) -> opencv::Result<&'m mut [f32]> {
        let scaled = to.scaled();
        let samples = scaled.width as usize * scaled.height as usize;
        for (i, plane) in planes_of(view, area).iter().enumerate() {
            let out = at_least(&mut self.planes[i], samples);
            let Area { x, y, size } = plane.area;
            let part = plane.samples.get(y as usize * plane.stride + x as usize..);
            let part = part.unwrap_or_default();
            if shrink(part, plane.stride, size, scaled, &mut self.sums, out) {
                continue;
            }
            let mut out = Mat::new_rows_cols_with_data_mut(
                int(scaled.height as usize)?,
                int(scaled.width as usize)?,
                out,
            )?;
            // Area averaging keeps small faces free of aliasing when luma shrinks; chroma has half
            // the resolution already.
            let how = if i == 0 && plane.area.size.width > scaled.width {
                imgproc::INTER_AREA
            } else {
                imgproc::INTER_LINEAR
            };
            let size = Size::new(int(scaled.width as usize)?, int(scaled.height as usize)?);
            plane.with_mat(|m| imgproc::resize(m, &mut out, size, 0.0, 0.0, how))?;
        }
        let model = to.model();
        let (width, area) = (model.width as usize, model.width as usize * model.height as usize);
        let input = at_least(memory, 3 * area);
        let row_len = scaled.width as usize;
        for plane in input.chunks_exact_mut(area) {
            let (picture, below) = plane.split_at_mut(width * scaled.height as usize);
            below.fill(0.0);
            for row in picture.chunks_exact_mut(width) {
                row[row_len..].fill(0.0);
            }
        }
        let (blue, rest) = input.split_at_mut(area);
        let (green, red) = rest.split_at_mut(area);
        let [luma, u, v] = &self.planes;
        for row in 0..scaled.height as usize {
            let from = row * row_len..(row + 1) * row_len;
            let to = row * width..row * width + row_len;
            let yuv = luma[from.clone()].iter().zip(&u[from.clone()]).zip(&v[from]);
            let bgr = blue[to.clone()].iter_mut().zip(&mut green[to.clone()]).zip(&mut red[to]);
            for (((&y, &u), &v), ((blue, green), red)) in yuv.zip(bgr) {
                [*blue, *green, *red] = yuv_to_bgr(y, u, v);
            }
        }
        Ok(input)
    }

    /// The same for a picture in BGR.
    ///
    /// # Errors
    /// `OpenCV` refuses the sizes.
    pub fn letterbox_bgr<'m>(
        &mut self,
        image: &BgrImage,
        to: &Letterbox,
        memory: &'m mut Vec<f32>,
    ) -> opencv::Result<&'m mut [f32]> {
        let scaled = to.scaled();
        let size = Size::new(int(scaled.width as usize)?, int(scaled.height as usize)?);
        let how = if image.size.width > scaled.width {
            imgproc::INTER_AREA
        } else {
            imgproc::INTER_LINEAR
        };
        let mut out = Mat::default();
        with_bgr(image, |m| imgproc::resize(m, &mut out, size, 0.0, 0.0, how))?;
        let model = to.model();
        let (width, area) = (model.width as usize, model.width as usize * model.height as usize);
        let input = at_least(memory, 3 * area);
        input.fill(0.0);
        let pixels = out.data_typed::<core::Vec3b>()?;
        for (i, pixel) in pixels.iter().enumerate() {
            let at = i / scaled.width as usize * width + i % scaled.width as usize;
            for channel in 0..3 {
                input[channel * area + at] = f32::from(pixel[channel]);
            }
        }
        Ok(input)
    }

    /// Cuts a `side` x `side` crop out of a frame: RGB, 0 to 255, planar, black beyond the edge.
    ///
    /// # Errors
    /// `OpenCV` refuses the matrix.
    pub fn warp(
        &mut self,
        view: &I420View<'_>,
        map: &Affine,
        side: u32,
        crop: &mut Vec<f32>,
    ) -> opencv::Result<()> {
        let area = side as usize * side as usize;
        // A chroma sample lies between two luma samples: luma = 2 chroma + 0.5.
        let chroma = map.map(|[a, b, c]| [2.0 * a, 2.0 * b, c + 0.5 * (a + b)]);
        let black = [0.0, 128.0, 128.0];
        let maps = [map, &chroma, &chroma];
        for (i, plane) in planes_of(view, Area::whole(view.size)).iter().enumerate() {
            let out = at_least(&mut self.planes[i], area);
            let mut out =
                Mat::new_rows_cols_with_data_mut(int(side as usize)?, int(side as usize)?, out)?;
            plane.with_mat(|m| warp_mat(m, &mut out, maps[i], side, Scalar::all(black[i])))?;
        }
        crop.resize(3 * area, 0.0);
        let [luma, u, v] = &self.planes;
        for i in 0..area {
            let [blue, green, red] = yuv_to_bgr(luma[i], u[i], v[i]);
            crop[i] = red;
            crop[area + i] = green;
            crop[2 * area + i] = blue;
        }
        Ok(())
    }

    /// The same for a picture in BGR.
    ///
    /// # Errors
    /// `OpenCV` refuses the matrix.
    pub fn warp_bgr(
        &mut self,
        image: &BgrImage,
        map: &Affine,
        side: u32,
        crop: &mut Vec<f32>,
    ) -> opencv::Result<()> {
        let mut out = Mat::default();
        with_bgr(image, |m| warp_mat(m, &mut out, map, side, Scalar::all(0.0)))?;
        let area = side as usize * side as usize;
        crop.resize(3 * area, 0.0);
        for (i, pixel) in out.data_typed::<core::Vec3b>()?.iter().enumerate() {
            for channel in 0..3 {
                crop[(2 - channel) * area + i] = f32::from(pixel[channel]);
            }
        }
        Ok(())
    }
}

/// `OpenCV` works on the calling thread: the pipeline's threads are counted, and one picture is small.
///
/// The switch belongs to the whole process, and `cv::setNumThreads` is not thread-safe: it ends TBB's
/// arena, if there is one, before it makes another, and two at once end it twice, which follows a
/// null pointer. So it is thrown once, and whoever comes meanwhile waits.
fn keep_to_one_thread() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // More threads would be slower, not wrong.
        let _ = core::set_num_threads(1);
    });
}

/// The first `length` of `memory`, with whatever is in them; it grows where it is too short and never shrinks,
/// as all that is handed out is written anyway.
fn at_least<T: Copy + Default>(memory: &mut Vec<T>, length: usize) -> &mut [T] {
    if memory.len() < length {
        memory.resize(length, T::default());
    }
    &mut memory[..length]
}

fn with_bgr<T>(
    image: &BgrImage,
    with: impl FnOnce(&BoxedRef<'_, Mat>) -> opencv::Result<T>,
) -> opencv::Result<T> {
    let rows = int(image.size.height as usize)?;
    let bytes = Mat::new_rows_cols_with_data(
        rows,
        int(3 * image.size.width as usize)?,
        image.data.as_slice(),
    )?;
    let pixels = bytes.reshape(3, rows)?;
    with(&pixels)
}

fn warp_mat(
    from: &BoxedRef<'_, Mat>,
    to: &mut impl core::ToOutputArray,
    map: &Affine,
    side: u32,
    border: Scalar,
) -> opencv::Result<()> {
    let map = Mat::from_slice_2d(map)?;
    let square = Size::new(int(side as usize)?, int(side as usize)?);
    let (how, edge) = (imgproc::INTER_LINEAR, BorderTypes::BORDER_CONSTANT as i32);
    imgproc::warp_affine(from, to, &map, square, how, edge, border)
}

/// BT.601, limited range, as cameras of this class and the models' own training pictures have it.
fn yuv_to_bgr(y: u8, u: u8, v: u8) -> [f32; 3] {
    let y = 1.164_383 * (f32::from(y) - 16.0);
    let (u, v) = (f32::from(u) - 128.0, f32::from(v) - 128.0);
    let blue = y + 2.017_232 * u;
    let green = y - 0.391_762 * u - 0.812_968 * v;
    let red = y + 1.596_027 * v;
    [blue.clamp(0.0, 255.0), green.clamp(0.0, 255.0), red.clamp(0.0, 255.0)]
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    /// A picture of one colour.
    fn plain(size: FrameSize, sample: u8) -> Vec<u8> {
        vec![sample; size.width as usize * size.height as usize]
    }

    #[test]
    fn nothing_of_another_picture_is_left_in_an_input() {
        let view = |size: FrameSize, samples: &'static [u8]| I420View {
            size,
            y: samples,
            u: samples,
            v: samples,
            luma_stride: size.width as usize,
            chroma_stride: size.width as usize / 2,
        };
        let (large, small) = (FrameSize::new(640, 384), FrameSize::new(150, 70));
        let bright = view(large, plain(large, 235).leak());
        let dark = view(small, plain(small, 60).leak());
        for longest in [150, 100, 75] {
            let to = Letterbox::fit(small, longest);
            assert!(to.scaled().width < to.model().width && to.scaled().height < to.model().height);
            let mut used = Scaler::new();
            let mut memory = Vec::new();
            let whole = Letterbox::fit(large, 640);
            used.letterbox(&bright, Area::whole(large), &whole, &mut memory).unwrap();
            memory.fill(f32::NAN);
            let after = used.letterbox(&dark, Area::whole(small), &to, &mut memory).unwrap();
            let mut fresh = Vec::new();
            let alone =
                Scaler::new().letterbox(&dark, Area::whole(small), &to, &mut fresh).unwrap();
            assert_eq!(after, alone);

            let image = BgrImage { size: small, data: vec![90; 3 * 150 * 70] };
            memory.fill(f32::NAN);
            let after = used.letterbox_bgr(&image, &to, &mut memory).unwrap();
            let alone = Scaler::new().letterbox_bgr(&image, &to, &mut fresh).unwrap();
            assert_eq!(after, alone);
        }
        let map = [[0.5, 0.1, -20.0], [-0.1, 0.5, -10.0]];
        let (mut used, mut crop, mut fresh) =
            (Scaler::new(), vec![f32::NAN; 3 * 40 * 40], Vec::new());
        used.warp(&bright, &map, 40, &mut Vec::new()).unwrap();
        used.warp(&dark, &map, 40, &mut crop).unwrap();
        Scaler::new().warp(&dark, &map, 40, &mut fresh).unwrap();
        assert_eq!(crop, fresh);
    }

    /// As recordings do that start in the same moment. Where it goes wrong it ends the process.
    #[test]
    fn many_can_be_made_at_once() {
        let threads = 8;
        let start = Barrier::new(threads);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..2000 {
                        drop(Scaler::new());
                    }
                });
            }
        });
        assert_eq!(core::get_num_threads().unwrap(), 1);
    }
}
