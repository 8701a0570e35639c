//! The veil itself, and the only place where a frame becomes a redacted one.
//!
//! A veil is content-free: it is drawn from the region's position, its size and a texture that
//! comes from the operating system's random generator. No pixel under it is read, so nothing can
//! be computed back. A trained attacker named people through every readable mosaic we tried.

use std::collections::BTreeMap;

use super::{Cover, Hidden, Style, Verdict};
use crate::{
    frame::{Frame, FrameSize, I420ViewMut, Raw, Rect},
    units::TrackId,
};

/// The state of a frame that may be encoded. Its fields are private to this file, and it can be
/// neither copied nor cloned, so nothing else can make one or lend it to another frame.
///
/// ```compile_fail
/// use classveil::{frame::{Frame, Raw}, veil::redact::Redacted};
/// fn lend(veiled: &Frame<Redacted>, raw: Frame<Raw>) -> Frame<Redacted> {
///     raw.with_state(veiled.state().clone())
/// }
/// ```
#[derive(Debug)]
pub struct Redacted {
    whole: bool,
    regions: u32,
}

impl Redacted {
    /// Whether the whole picture is veiled.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.whole
    }

    /// How many regions are veiled.
    #[must_use]
    pub fn regions(&self) -> u32 {
        self.regions
    }
}

/// Cells of a texture across and down. Six are coarse enough to look like a strong blur of a head.
const CELLS: usize = 6;
/// The tone around which textures are drawn, Y U V: a neutral warm grey, the same for everyone.
const TONE: [i32; 3] = [122, 124, 132];
/// How far a cell may differ from the tone, Y U V, in grey levels. Little enough that no veil looks
/// like a face: `YuNet` scored 0.3 and more for 14 of 1160 veils over real faces at a luma of 34, 7 at
/// 24, 1 at 18 and none at 14.
const SPREAD: [i32; 3] = [14, 5, 5];
/// Fixed-point scale of positions and weights inside a texture.
const ONE: u16 = 256;
/// Textures unused for this many frames are forgotten (two minutes at 30 fps); a track that has
/// been gone for so long has a new number when it returns.
const TEXTURE_LIFE_FRAMES: u64 = 3600;

/// Which plane of a texture or picture.
#[derive(Clone, Copy)]
enum Plane {
    Y = 0,
    U = 1,
    V = 2,
}

/// One track's veil: cells of three planes.
#[derive(Clone, Copy)]
struct Texture {
    cells: [[[u8; CELLS]; CELLS]; 3],
    last_used: u64,
}

impl Texture {
    /// One colour; also what stands in when the random generator fails.
    fn flat() -> Self {
        let cells =
            std::array::from_fn(|plane| [[u8::try_from(TONE[plane]).unwrap_or(128); CELLS]; CELLS]);
        Self { cells, last_used: 0 }
    }

    fn random() -> Self {
        let mut texture = Self::flat();
        let mut noise = [0u8; 3 * CELLS * CELLS];
        if getrandom::fill(&mut noise).is_err() {
            // A flat veil hides as well as a textured one.
            return texture;
        }
        let mut noise = noise.iter();
        for (plane, rows) in texture.cells.iter_mut().enumerate() {
            for cell in rows.iter_mut().flatten() {
                let n = i32::from(*noise.next().unwrap_or(&128)) - 128;
                *cell = u8::try_from((TONE[plane] + n * SPREAD[plane] / 128).clamp(16, 235))
                    .unwrap_or(128);
            }
        }
        texture
    }
}

/// Pixels of a region: whole chroma samples, clipped to the coded picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelRect {
    /// Left edge, even.
    pub x0: usize,
    /// Upper edge, even.
    pub y0: usize,
    /// Right edge, exclusive, even.
    pub x1: usize,
    /// Lower edge, exclusive, even.
    pub y1: usize,
}

impl PixelRect {
    /// The smallest even-edged rectangle of pixels that covers `region` within `coded`; `None`
    /// where no pixel is touched.
    #[must_use]
    pub fn covering(region: Rect, coded: FrameSize) -> Option<Self> {
        let (x0, x1) = span(region.x, region.right(), coded.width, Rounding::Out)?;
        let (y0, y1) = span(region.y, region.bottom(), coded.height, Rounding::Out)?;
        Some(Self { x0, y0, x1, y1 })
    }

    /// The largest even-edged rectangle of pixels inside `region`, for what may be shown.
    #[must_use]
    pub fn within(region: Rect, coded: FrameSize) -> Option<Self> {
        let (x0, x1) = span(region.x, region.right(), coded.width, Rounding::In)?;
        let (y0, y1) = span(region.y, region.bottom(), coded.height, Rounding::In)?;
        Some(Self { x0, y0, x1, y1 })
    }

    fn whole(coded: FrameSize) -> Self {
        Self { x0: 0, y0: 0, x1: coded.width as usize, y1: coded.height as usize }
    }
}

#[derive(Clone, Copy)]
enum Rounding {
    Out,
    In,
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "values are clamped to 0..=limit before they are cast"
)]
fn span(from: f32, to: f32, limit: u32, rounding: Rounding) -> Option<(usize, usize)> {
    let (from, to) = match rounding {
        Rounding::Out => ((from / 2.0).floor() * 2.0, (to / 2.0).ceil() * 2.0),
        Rounding::In => ((from / 2.0).ceil() * 2.0, (to / 2.0).floor() * 2.0),
    };
    let limit = limit as f32;
    let (from, to) = (from.clamp(0.0, limit) as usize, to.clamp(0.0, limit) as usize);
    (from < to).then_some((from, to))
}

/// Veils frames of one camera.
pub struct Redactor {
    style: Style,
    textures: BTreeMap<TrackId, Texture>,
    whole: Texture,
    brush: Brush,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("style", &self.style).finish_non_exhaustive()
    }
}

impl Redactor {
    /// A redactor that has drawn nothing yet.
    #[must_use]
    pub fn new(style: Style) -> Self {
        Self { style, textures: BTreeMap::new(), whole: draw(style), brush: Brush::default() }
    }

    /// Veils what the verdict hides and makes the frame one that may be encoded. Without a verdict,
    /// or with one that is about another frame or holds a number that is none, the whole picture
    /// is veiled.
    #[must_use]
    pub fn redact(&mut self, mut frame: Frame<Raw>, verdict: Option<&Verdict>) -> Frame<Redacted> {
        let seq = frame.seq();
        let coded = frame.planes_mut().layout.coded();
        let cover = match verdict {
            Some(verdict) if verdict.seq == seq && is_sound(&verdict.cover) => &verdict.cover,
            _ => &Cover::Whole,
        };
        let mut planes = frame.planes_mut();
        let regions = match cover {
            Cover::Whole => {
                self.brush.paint(&mut planes, PixelRect::whole(coded), &self.whole, &[]);
                0
            }
            Cover::Regions(hidden) => self.paint_hidden(&mut planes, seq, hidden),
            Cover::AllBut { shown, hidden } => {
                let keep: Vec<_> =
                    shown.iter().filter_map(|&r| PixelRect::within(r, coded)).collect();
                self.brush.paint(&mut planes, PixelRect::whole(coded), &self.whole, &keep);
                self.paint_hidden(&mut planes, seq, hidden)
            }
        };
        repeat_edges(&mut planes);
        self.textures.retain(|_, t| t.last_used + TEXTURE_LIFE_FRAMES > seq);
        let whole = matches!(cover, Cover::Whole);
        frame.with_state(Redacted { whole, regions })
    }

    /// Veils the whole of a picture that was found to show somebody it should not.
    #[must_use]
    pub fn veil_whole(&mut self, frame: Frame<Redacted>) -> Frame<Redacted> {
        let mut frame = frame.with_state(Raw);
        let mut planes = frame.planes_mut();
        let coded = planes.layout.coded();
        self.brush.paint(&mut planes, PixelRect::whole(coded), &self.whole, &[]);
        frame.with_state(Redacted { whole: true, regions: 0 })
    }

    fn paint_hidden(&mut self, planes: &mut I420ViewMut<'_>, seq: u64, hidden: &[Hidden]) -> u32 {
        let coded = planes.layout.coded();
        let mut painted = 0;
        for Hidden { track, region } in hidden {
            if let Some(pixels) = PixelRect::covering(*region, coded) {
                let texture = self.textures.entry(*track).or_insert_with(|| draw(self.style));
                texture.last_used = seq;
                self.brush.paint(planes, pixels, texture, &[]);
                painted += 1;
            }
        }
        painted
    }
}

fn draw(style: Style) -> Texture {
    match style {
        Style::Veil => Texture::random(),
        Style::Fill => Texture::flat(),
    }
}

/// Whether every number can be trusted; a region that is no rectangle hides nothing.
fn is_sound(cover: &Cover) -> bool {
    let hidden_ok = |hidden: &[Hidden]| {
        hidden.iter().all(|h| h.region.is_finite() && h.region.w >= 0.0 && h.region.h >= 0.0)
    };
    match cover {
        Cover::Whole => true,
        Cover::Regions(hidden) => hidden_ok(hidden),
        Cover::AllBut { shown, hidden } => hidden_ok(hidden) && shown.iter().all(|r| r.is_finite()),
    }
}

/// Draws textures. Keeps the memory it needs for that, one row of each cell row.
#[derive(Debug, Default)]
struct Brush {
    rows: [Vec<u8>; CELLS],
}

impl Brush {
    /// Draws `texture` over `at` on all planes, leaving out the `keep` rectangles.
    fn paint(
        &mut self,
        planes: &mut I420ViewMut<'_>,
        at: PixelRect,
        texture: &Texture,
        keep: &[PixelRect],
    ) {
        let (luma, chroma) = (planes.layout.luma_stride(), planes.layout.chroma_stride());
        self.paint_plane(planes.y, luma, at, texture, Plane::Y, keep);
        self.paint_plane(planes.u, chroma, at, texture, Plane::U, keep);
        self.paint_plane(planes.v, chroma, at, texture, Plane::V, keep);
    }

    fn paint_plane(
        &mut self,
        samples: &mut [u8],
        stride: usize,
        at: PixelRect,
        texture: &Texture,
        plane: Plane,
        keep: &[PixelRect],
    ) {
        let step = if matches!(plane, Plane::Y) { 1 } else { 2 };
        let half = |r: PixelRect| PixelRect {
            x0: r.x0 / step,
            y0: r.y0 / step,
            x1: r.x1 / step,
            y1: r.y1 / step,
        };
        let at = half(at);
        let (width, height) = (at.x1 - at.x0, at.y1 - at.y0);
        self.stretch(&texture.cells[plane as usize], width);
        for y in at.y0..at.y1 {
            let row = &mut samples[y * stride + at.x0..y * stride + at.x1];
            let (cell, weight) = place(y - at.y0, height);
            let above = &self.rows[cell];
            let below = &self.rows[(cell + 1).min(CELLS - 1)];
            // Spans of this row between the kept rectangles, left to right.
            let mut from = at.x0;
            while from < at.x1 {
                let on_row = || keep.iter().map(|&k| half(k)).filter(|k| (k.y0..k.y1).contains(&y));
                let covering = on_row().filter(|k| (k.x0..k.x1).contains(&from)).map(|k| k.x1);
                if let Some(end) = covering.max() {
                    from = end;
                    continue;
                }
                let next = on_row().filter(|k| k.x0 > from).map(|k| k.x0).min();
                let to = next.unwrap_or(at.x1).min(at.x1);
                let span = from - at.x0..to - at.x0;
                blend(&mut row[span.clone()], &above[span.clone()], &below[span], weight);
                from = to;
            }
        }
    }

    /// Stretches each row of cells to `width` samples.
    fn stretch(&mut self, cells: &[[u8; CELLS]; CELLS], width: usize) {
        for (row, cells) in self.rows.iter_mut().zip(cells) {
            row.clear();
            row.extend((0..width).map(|x| {
                let (cell, weight) = place(x, width);
                mix(cells[cell], cells[(cell + 1).min(CELLS - 1)], weight)
            }));
        }
    }
}

/// Between two samples, by a weight of 0 to [`ONE`].
fn mix(a: u8, b: u8, weight: u16) -> u8 {
    // At most 255 * ONE, so the quotient fits a byte; wrapping only says so to the compiler, which makes
    // vector code of it.
    let (left, right) =
        (u16::from(a).wrapping_mul(ONE - weight), u16::from(b).wrapping_mul(weight));
    (left.wrapping_add(right) / ONE) as u8
}

fn blend(out: &mut [u8], above: &[u8], below: &[u8], weight: u16) {
    for ((out, &a), &b) in out.iter_mut().zip(above).zip(below) {
        *out = mix(a, b, weight);
    }
}

/// Where `position` of `extent` lies between cell middles: the cell before, and the smoothed weight
/// of the cell after, 0 to [`ONE`].
fn place(position: usize, extent: usize) -> (usize, u16) {
    let one = usize::from(ONE);
    let fixed = (2 * position + 1) * CELLS * one / (2 * extent.max(1));
    let fixed = fixed.saturating_sub(one / 2).min((CELLS - 1) * one);
    let (cell, t) = (fixed / one, fixed % one);
    // Smoothstep: no visible grid of straight creases.
    let smooth = t * t * (3 * one - 2 * t) / (one * one);
    (cell, u16::try_from(smooth).unwrap_or(0))
}

/// Fills the row and column that an odd size gains for the encoder, from pixels already veiled.
fn repeat_edges(planes: &mut I420ViewMut<'_>) {
    let (size, coded) = (planes.layout.size(), planes.layout.coded());
    let stride = planes.layout.luma_stride();
    let (width, height) = (size.width as usize, size.height as usize);
    if coded.width > size.width {
        for row in planes.y.chunks_exact_mut(stride).take(height) {
            row[width] = row[width - 1];
        }
    }
    if coded.height > size.height {
        let last = (height - 1) * stride;
        planes.y.copy_within(last..last + coded.width as usize, last + stride);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        frame::{Point, SlotPool},
        units::Pts,
    };

    fn frame(size: FrameSize, seq: u64, seed: u32) -> Frame<Raw> {
        let pool = SlotPool::new(size, 1);
        let mut frame = Frame::new(pool.take(), seq, Pts::ZERO);
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let planes = frame.planes_mut();
        for sample in planes.y.iter_mut().chain(planes.u).chain(planes.v) {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *sample = (state >> 24) as u8;
        }
        frame
    }

    fn hide(seq: u64, region: Rect) -> Verdict {
        Verdict { seq, cover: Cover::Regions(vec![Hidden { track: TrackId(1), region }]) }
    }

    fn luma(frame: &Frame<impl Sized>, x: usize, y: usize) -> u8 {
        let planes = frame.planes();
        planes.y[y * planes.luma_stride + x]
    }

    fn changed(a: &Frame<Redacted>, b: &Frame<Raw>) -> usize {
        let (a, b) = (a.planes(), b.planes());
        let differ = |a: &[u8], b: &[u8]| a.iter().zip(b).filter(|(a, b)| a != b).count();
        differ(a.y, b.y) + differ(a.u, b.u) + differ(a.v, b.v)
    }

    #[test]
    fn without_a_verdict_the_whole_picture_is_veiled() {
        let size = FrameSize::new(64, 48);
        let mut redactor = Redactor::new(Style::Veil);
        let wrong_frame = hide(8, Rect::new(0.0, 0.0, 4.0, 4.0));
        let no_number = hide(7, Rect::new(f32::NAN, 0.0, 4.0, 4.0));
        for verdict in [None, Some(&wrong_frame), Some(&no_number)] {
            let a = redactor.redact(frame(size, 7, 1), verdict);
            let b = redactor.redact(frame(size, 7, 2), verdict);
            assert!(a.state().whole());
            assert_eq!(a.planes().y, b.planes().y, "something of the picture shows");
            assert_eq!(a.planes().u, b.planes().u);
            assert_eq!(a.planes().v, b.planes().v);
        }
    }

    #[test]
    fn all_but_shows_only_what_was_cleared() {
        let size = FrameSize::new(64, 48);
        let cover = Cover::AllBut {
            shown: vec![Rect::new(10.0, 10.0, 20.0, 20.0), Rect::new(24.0, 12.0, 20.0, 10.0)],
            hidden: vec![Hidden { track: TrackId(3), region: Rect::new(12.0, 12.0, 4.0, 4.0) }],
        };
        let verdict = Verdict { seq: 0, cover };
        let mut redactor = Redactor::new(Style::Veil);
        let (one, two) = (frame(size, 0, 1), frame(size, 0, 2));
        let (raw_one, raw_two) = (frame(size, 0, 1), frame(size, 0, 2));
        let one = redactor.redact(one, Some(&verdict));
        let two = redactor.redact(two, Some(&verdict));
        for y in 0..48 {
            for x in 0..64 {
                let kept = ((10..30).contains(&x) && (10..30).contains(&y)
                    || (24..44).contains(&x) && (12..22).contains(&y))
                    && !((12..16).contains(&x) && (12..16).contains(&y));
                if kept {
                    assert_eq!(luma(&one, x, y), luma(&raw_one, x, y), "at {x},{y}");
                    assert_eq!(luma(&two, x, y), luma(&raw_two, x, y), "at {x},{y}");
                } else {
                    assert_eq!(luma(&one, x, y), luma(&two, x, y), "at {x},{y}");
                }
            }
        }
    }

    #[test]
    fn a_texture_stays_with_its_track() {
        let size = FrameSize::new(32, 32);
        let region = Rect::new(4.0, 4.0, 16.0, 16.0);
        let mut redactor = Redactor::new(Style::Veil);
        let first = redactor.redact(frame(size, 0, 1), Some(&hide(0, region)));
        let later = redactor.redact(frame(size, 50, 9), Some(&hide(50, region)));
        for at in [(5, 5), (12, 9), (19, 19)] {
            assert_eq!(luma(&first, at.0, at.1), luma(&later, at.0, at.1));
        }
    }

    proptest! {
        #[test]
        fn the_region_covers_the_detection_and_nothing_else_changes(
            w in 16u32..120, h in 16u32..120,
            x in -40.0..140.0f32, y in -40.0..140.0f32, rw in 0.5..90.0f32, rh in 0.5..90.0f32,
            fill in any::<bool>(),
        ) {
            let size = FrameSize::new(w, h);
            let region = Rect::new(x, y, rw, rh);
            let style = if fill { Style::Fill } else { Style::Veil };
            let mut redactor = Redactor::new(style);
            let (one, two) = (frame(size, 3, 1), frame(size, 3, 2));
            let (raw_one, raw_two) = (frame(size, 3, 1), frame(size, 3, 2));
            let one = redactor.redact(one, Some(&hide(3, region)));
            let two = redactor.redact(two, Some(&hide(3, region)));
            let inside = |px: u32, py: u32| {
                // The closed pixel square touches the region's open interior.
                let p = Point { x: px as f32, y: py as f32 };
                p.x + 1.0 > region.x && p.x < region.right()
                    && p.y + 1.0 > region.y && p.y < region.bottom()
            };
            let pixels = PixelRect::covering(region, one.slot_layout().coded());
            for py in 0..h {
                for px in 0..w {
                    let (ux, uy) = (px as usize, py as usize);
                    let veiled = pixels.is_some_and(|p| {
                        (p.x0..p.x1).contains(&ux) && (p.y0..p.y1).contains(&uy)
                    });
                    if inside(px, py) {
                        prop_assert!(veiled, "{px},{py} is inside the region but not veiled");
                    }
                    if veiled {
                        prop_assert_eq!(luma(&one, ux, uy), luma(&two, ux, uy));
                    } else {
                        prop_assert_eq!(luma(&one, ux, uy), luma(&raw_one, ux, uy));
                        prop_assert_eq!(luma(&two, ux, uy), luma(&raw_two, ux, uy));
                    }
                }
            }
            // Chroma too: samples outside the region's chroma cells are untouched.
            let chroma = one.planes();
            for cy in 0..(h.div_ceil(2) as usize) {
                for cx in 0..(w.div_ceil(2) as usize) {
                    let at = cy * chroma.chroma_stride + cx;
                    let veiled = pixels.is_some_and(|p| {
                        (p.x0 / 2..p.x1 / 2).contains(&cx) && (p.y0 / 2..p.y1 / 2).contains(&cy)
                    });
                    if veiled {
                        prop_assert_eq!(one.planes().u[at], two.planes().u[at]);
                        prop_assert_eq!(one.planes().v[at], two.planes().v[at]);
                    } else {
                        prop_assert_eq!(one.planes().u[at], raw_one.planes().u[at]);
                        prop_assert_eq!(one.planes().v[at], raw_one.planes().v[at]);
                    }
                }
            }
        }
    }

    #[test]
    fn an_odd_size_gains_repeated_pixels() {
        let size = FrameSize::new(17, 15);
        let mut redactor = Redactor::new(Style::Fill);
        let nothing = Verdict { seq: 0, cover: Cover::Regions(Vec::new()) };
        let out = redactor.redact(frame(size, 0, 5), Some(&nothing));
        for y in 0..16 {
            assert_eq!(luma(&out, 17, y), luma(&out, 16, y));
        }
        for x in 0..18 {
            assert_eq!(luma(&out, x, 15), luma(&out, x, 14));
        }
        assert!(changed(&out, &frame(size, 0, 5)) > 0);
    }
}
