//! Rectangles and the mapping between a frame and a model's input.
//!
//! All coordinates are `f32` pixels in frame space unless a name says otherwise; (0, 0) is the
//! outer corner of the first pixel, so a frame of width 4 spans 0.0 to 4.0.

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameSize {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl FrameSize {
    /// A size of `width` by `height` pixels.
    #[must_use]
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// The whole picture.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "pictures are far below 2^24 pixels wide")]
    pub fn rect(self) -> Rect {
        Rect::new(0.0, 0.0, self.width as f32, self.height as f32)
    }
}

impl std::fmt::Display for FrameSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A place in a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Pixels from the left edge.
    pub x: f32,
    /// Pixels from the upper edge.
    pub y: f32,
}

/// An axis-aligned rectangle; empty where width or height is not positive.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

impl Rect {
    /// A rectangle by its left upper corner and its extent.
    #[must_use]
    pub const fn new(x: f32, y: f32, w: f32, h: f32) -> Self {
        Self { x, y, w, h }
    }

    /// Right edge.
    #[must_use]
    pub fn right(self) -> f32 {
        self.x + self.w
    }

    /// Lower edge.
    #[must_use]
    pub fn bottom(self) -> f32 {
        self.y + self.h
    }

    /// The middle.
    #[must_use]
    pub fn center(self) -> Point {
        Point { x: self.x + self.w / 2.0, y: self.y + self.h / 2.0 }
    }

    /// Area in square pixels; zero for an empty rectangle.
    #[must_use]
    pub fn area(self) -> f32 {
        self.w.max(0.0) * self.h.max(0.0)
    }

    /// What both cover; empty (zero extent) where they are disjoint.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        let x = self.x.max(other.x);
        let y = self.y.max(other.y);
        let w = (self.right().min(other.right()) - x).max(0.0);
        let h = (self.bottom().min(other.bottom()) - y).max(0.0);
        Self { x, y, w, h }
    }

    /// The smallest rectangle around both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let x = self.x.min(other.x);
        let y = self.y.min(other.y);
        let w = self.right().max(other.right()) - x;
        let h = self.bottom().max(other.bottom()) - y;
        Self { x, y, w, h }
    }

    /// Intersection over union, 0 to 1; 0 where either is empty. Overlaps are clamped before they
    /// are multiplied, so two rectangles that miss each other on both axes score 0.
    #[must_use]
    pub fn iou(self, other: Self) -> f32 {
        let both = self.intersection(other).area();
        let either = self.area() + other.area() - both;
        if either > 0.0 { (both / either).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Grown by parts of its own width (left, right) and height (up, down).
    #[must_use]
    pub fn grown(self, sides: f32, up: f32, down: f32) -> Self {
        Self {
            x: self.x - self.w * sides,
            y: self.y - self.h * up,
            w: self.w * (1.0 + 2.0 * sides),
            h: self.h * (1.0 + up + down),
        }
    }

    /// What is left of `self` without `other`: above, below, left and right of it. Pieces without
    /// extent are left out.
    pub fn without(self, other: Self) -> impl Iterator<Item = Self> {
        let hole = self.intersection(other);
        let pieces = if hole.area() > 0.0 {
            [
                Self { h: hole.y - self.y, ..self },
                Self { y: hole.bottom(), h: self.bottom() - hole.bottom(), ..self },
                Self { y: hole.y, h: hole.h, w: hole.x - self.x, ..self },
                Self { x: hole.right(), y: hole.y, h: hole.h, w: self.right() - hole.right() },
            ]
        } else {
            [self, Self::default(), Self::default(), Self::default()]
        };
        // A region with a number that is none stays, for the redactor to stop at.
        pieces.into_iter().filter(|piece| piece.area() > 0.0 || !piece.is_finite())
    }

    /// Whether `inner` lies within `self`.
    #[must_use]
    pub fn contains(self, inner: Self) -> bool {
        inner.x >= self.x
            && inner.y >= self.y
            && inner.right() <= self.right()
            && inner.bottom() <= self.bottom()
    }

    /// Whether every number is finite.
    #[must_use]
    pub fn is_finite(self) -> bool {
        self.x.is_finite() && self.y.is_finite() && self.w.is_finite() && self.h.is_finite()
    }

    /// The rectangle between `self` (`t` = 0) and `other` (`t` = 1).
    #[must_use]
    pub fn lerp(self, other: Self, t: f32) -> Self {
        let mix = |a: f32, b: f32| a + (b - a) * t;
        Self {
            x: mix(self.x, other.x),
            y: mix(self.y, other.y),
            w: mix(self.w, other.w),
            h: mix(self.h, other.h),
        }
    }
}

/// How a frame is scaled, without distortion, into the upper left of a model's input; the rest of
/// the input is padding. Only this type converts between the two spaces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Letterbox {
    frame: FrameSize,
    model: FrameSize,
    scaled: FrameSize,
}

impl Letterbox {
    /// Model sizes are multiples of this: the strides of `YuNet`'s three heads end at 32.
    pub const STEP: u32 = 32;

    /// Fits `frame` into at most `longest` pixels on its longer side, never enlarging it. The
    /// model's size is the scaled size rounded up to the next multiple of 32.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "sizes are positive and far below 2^24"
    )]
    pub fn fit(frame: FrameSize, longest: u32) -> Self {
        let side = frame.width.max(frame.height).max(1);
        let scale = (longest as f32 / side as f32).min(1.0);
        let scaled = FrameSize::new(
            ((frame.width as f32 * scale).round() as u32).max(1),
            ((frame.height as f32 * scale).round() as u32).max(1),
        );
        let model = FrameSize::new(
            scaled.width.next_multiple_of(Self::STEP),
            scaled.height.next_multiple_of(Self::STEP),
        );
        Self { frame, model, scaled }
    }

    /// The model's input size, multiples of 32.
    #[must_use]
    pub fn model(&self) -> FrameSize {
        self.model
    }

    /// The part of the model's input that holds the picture, from its left upper corner.
    #[must_use]
    pub fn scaled(&self) -> FrameSize {
        self.scaled
    }

    /// A point of the model's input in frame space.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^24")]
    pub fn to_frame(&self, x: f32, y: f32) -> Point {
        Point {
            x: x * self.frame.width as f32 / self.scaled.width as f32,
            y: y * self.frame.height as f32 / self.scaled.height as f32,
        }
    }

    /// A rectangle of the model's input in frame space.
    #[must_use]
    pub fn rect_to_frame(&self, r: Rect) -> Rect {
        let a = self.to_frame(r.x, r.y);
        let b = self.to_frame(r.right(), r.bottom());
        Rect::new(a.x, a.y, b.x - a.x, b.y - a.y)
    }

    /// A point of the frame in the model's input.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^24")]
    pub fn to_model(&self, p: Point) -> Point {
        Point {
            x: p.x * self.scaled.width as f32 / self.frame.width as f32,
            y: p.y * self.scaled.height as f32 / self.frame.height as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rect() -> impl Strategy<Value = Rect> {
        (-500.0..2000.0f32, -500.0..2000.0f32, 0.0..900.0f32, 0.0..900.0f32)
            .prop_map(|(x, y, w, h)| Rect::new(x, y, w, h))
    }

    #[test]
    fn boxes_that_miss_on_both_axes_score_zero() {
        let a = Rect::new(0.0, 0.0, 10.0, 10.0);
        let b = Rect::new(20.0, 20.0, 10.0, 10.0);
        assert!(a.iou(b) == 0.0);
    }

    proptest! {
        #[test]
        fn what_is_left_and_what_was_cut_out_are_the_whole(
            a in rect(), b in rect(), x in -500.0..2900.0f32, y in -500.0..2900.0f32,
        ) {
            let inside = |r: Rect| x >= r.x && x < r.right() && y >= r.y && y < r.bottom();
            let near = |v: f32, edge: f32| (v - edge).abs() < 1e-2;
            for r in [a, b] {
                // On an edge rounding decides.
                prop_assume!(![r.x, r.right()].iter().any(|&e| near(x, e)));
                prop_assume!(![r.y, r.bottom()].iter().any(|&e| near(y, e)));
            }
            let left = a.without(b).any(inside);
            prop_assert_eq!(left, inside(a) && !inside(b));
        }

        #[test]
        fn iou_is_symmetric_and_bounded(a in rect(), b in rect()) {
            let ab = a.iou(b);
            prop_assert!((0.0..=1.0).contains(&ab));
            prop_assert!((ab - b.iou(a)).abs() < 1e-5);
        }

        #[test]
        fn a_letterbox_is_a_round_trip(
            w in 1u32..4000, h in 1u32..4000, longest in 32u32..2000, x in 0.0..1.0f32, y in 0.0..1.0f32,
        ) {
            let size = FrameSize::new(w, h);
            let lb = Letterbox::fit(size, longest);
            prop_assert_eq!(lb.model().width % 32, 0);
            prop_assert_eq!(lb.model().height % 32, 0);
            prop_assert!(lb.scaled().width <= lb.model().width);
            let p = Point { x: x * size.rect().w, y: y * size.rect().h };
            let m = lb.to_model(p);
            let back = lb.to_frame(m.x, m.y);
            prop_assert!((back.x - p.x).abs() < 0.05 && (back.y - p.y).abs() < 0.05);
        }

        #[test]
        fn growing_covers(r in rect()) {
            prop_assert!(r.grown(0.3, 0.4, 0.25).contains(r));
        }
    }
}
