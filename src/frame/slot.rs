//! Pre-allocated picture memory. A pool is filled once; a slot goes back to it when dropped, so a
//! running pipeline allocates no frame-sized memory.

use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::FrameSize;

/// The smallest page of memory on any machine the program runs on, in bytes.
const PAGE: usize = 4096;
/// What a page is touched with; no picture shows it, as each fills its slot.
const TOUCHED: u8 = 16;

/// Where the three planes of an I420 picture lie in one block of memory.
///
/// This is the layout that `GStreamer` gives an I420 buffer without metadata, so a slot can be
/// handed to an encoder as it is: luma rows a multiple of 4 bytes, chroma rows a multiple of 4,
/// both heights as of the picture with odd sizes rounded up to even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneLayout {
    size: FrameSize,
}

impl PlaneLayout {
    /// The layout of a picture of `size`.
    #[must_use]
    pub const fn new(size: FrameSize) -> Self {
        Self { size }
    }

    /// The picture's own size.
    #[must_use]
    pub const fn size(self) -> FrameSize {
        self.size
    }

    /// The size that is encoded: odd sides gain one row or column.
    #[must_use]
    pub const fn coded(self) -> FrameSize {
        FrameSize::new(self.size.width.next_multiple_of(2), self.size.height.next_multiple_of(2))
    }

    /// Bytes from one luma row to the next.
    #[must_use]
    pub const fn luma_stride(self) -> usize {
        self.coded().width.next_multiple_of(4) as usize
    }

    /// Bytes from one chroma row to the next.
    #[must_use]
    pub const fn chroma_stride(self) -> usize {
        (self.coded().width / 2).next_multiple_of(4) as usize
    }

    /// Chroma samples across and down.
    #[must_use]
    pub const fn chroma_size(self) -> FrameSize {
        FrameSize::new(self.coded().width / 2, self.coded().height / 2)
    }

    const fn luma_bytes(self) -> usize {
        self.luma_stride() * self.coded().height as usize
    }

    const fn chroma_bytes(self) -> usize {
        self.chroma_stride() * self.chroma_size().height as usize
    }

    /// Bytes of all three planes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.luma_bytes() + 2 * self.chroma_bytes()
    }
}

/// The planes of an I420 picture, for reading. Rows may be longer than the picture.
#[derive(Clone, Copy, Debug)]
pub struct I420View<'a> {
    /// Width and height of the luma plane.
    pub size: FrameSize,
    /// Luma.
    pub y: &'a [u8],
    /// First chroma plane, half as wide and high (rounded up).
    pub u: &'a [u8],
    /// Second chroma plane.
    pub v: &'a [u8],
    /// Bytes from one luma row to the next.
    pub luma_stride: usize,
    /// Bytes from one chroma row to the next.
    pub chroma_stride: usize,
}

/// The planes of an I420 picture, for writing.
#[derive(Debug)]
pub struct I420ViewMut<'a> {
    /// Width and height of the picture.
    pub layout: PlaneLayout,
    /// Luma.
    pub y: &'a mut [u8],
    /// First chroma plane.
    pub u: &'a mut [u8],
    /// Second chroma plane.
    pub v: &'a mut [u8],
}

/// The bytes of a slot; they return to their pool when dropped.
#[derive(Debug)]
pub struct SlotBytes {
    bytes: Option<Box<[u8]>>,
    home: Sender<Box<[u8]>>,
}

impl AsRef<[u8]> for SlotBytes {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }
}

impl AsMut<[u8]> for SlotBytes {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.as_deref_mut().unwrap_or_default()
    }
}

impl Drop for SlotBytes {
    fn drop(&mut self) {
        if let Some(bytes) = self.bytes.take() {
            // The pool may be gone already; then the memory is simply freed.
            let _ = self.home.try_send(bytes);
        }
    }
}

/// Memory for one picture.
#[derive(Debug)]
pub struct Slot {
    layout: PlaneLayout,
    bytes: SlotBytes,
}

impl Slot {
    /// Where the planes lie.
    #[must_use]
    pub fn layout(&self) -> PlaneLayout {
        self.layout
    }

    /// The planes, for reading.
    #[must_use]
    pub fn planes(&self) -> I420View<'_> {
        let (y, chroma) = self.bytes.as_ref().split_at(self.layout.luma_bytes());
        let (u, v) = chroma.split_at(self.layout.chroma_bytes());
        I420View {
            size: self.layout.size,
            y,
            u,
            v,
            luma_stride: self.layout.luma_stride(),
            chroma_stride: self.layout.chroma_stride(),
        }
    }

    /// The planes, for writing.
    pub(super) fn planes_mut(&mut self) -> I420ViewMut<'_> {
        let (y, chroma) = self.bytes.as_mut().split_at_mut(self.layout.luma_bytes());
        let (u, v) = chroma.split_at_mut(self.layout.chroma_bytes());
        I420ViewMut { layout: self.layout, y, u, v }
    }

    /// Copies a picture of the same size into the slot, row by row.
    ///
    /// # Errors
    /// The picture has another size, or its planes are too short; the slot then holds nothing
    /// that may be shown.
    pub fn fill(&mut self, from: &I420View<'_>) -> Result<(), FrameSize> {
        let layout = self.layout;
        if from.size != layout.size {
            return Err(from.size);
        }
        let to = self.planes_mut();
        let (w, h) = (layout.size.width as usize, layout.size.height as usize);
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let copied = copy_rows(from.y, from.luma_stride, to.y, layout.luma_stride(), w, h)
            .and_then(|()| {
                copy_rows(from.u, from.chroma_stride, to.u, layout.chroma_stride(), cw, ch)
            })
            .and_then(|()| {
                copy_rows(from.v, from.chroma_stride, to.v, layout.chroma_stride(), cw, ch)
            });
        copied.ok_or(from.size)
    }

    /// Hands the memory over as one block in [`PlaneLayout`] order.
    #[must_use]
    pub fn into_bytes(self) -> SlotBytes {
        self.bytes
    }
}

fn copy_rows(
    from: &[u8],
    from_stride: usize,
    to: &mut [u8],
    to_stride: usize,
    width: usize,
    height: usize,
) -> Option<()> {
    for row in 0..height {
        let source = from.get(row * from_stride..)?.get(..width)?;
        to.get_mut(row * to_stride..)?.get_mut(..width)?.copy_from_slice(source);
    }
    Some(())
}

/// Brings a slot's memory into being, and the slot to its pool. Returns whether that is still there.
fn touch(mut slot: Box<[u8]>, home: &Sender<Box<[u8]>>) -> bool {
    // A page that is written is a page that exists.
    for byte in slot.iter_mut().step_by(PAGE) {
        *byte = TOUCHED;
    }
    if let Some(last) = slot.last_mut() {
        *last = TOUCHED;
    }
    home.try_send(slot).is_ok()
}

/// A fixed number of slots of one size.
#[derive(Debug)]
pub struct SlotPool {
    layout: PlaneLayout,
    free: Receiver<Box<[u8]>>,
    /// Those whose memory was not brought into being yet.
    untouched: Receiver<Box<[u8]>>,
    home: Sender<Box<[u8]>>,
}

impl SlotPool {
    /// Allocates `count` slots, and has a thread of its own touch them, so that no memory is asked for long before
    /// a ring is full.
    #[must_use]
    pub fn new(size: FrameSize, count: usize) -> Self {
        let layout = PlaneLayout::new(size);
        // Capacity: exactly the slots that exist, so a returning slot never waits.
        let (home, free) = bounded(count);
        let (give, untouched) = bounded(count);
        for _ in 0..count {
            let _ = give.try_send(vec![0; layout.bytes()].into_boxed_slice());
        }
        drop(give);
        let (theirs, own) = (untouched.clone(), home.clone());
        let touch_all = move || theirs.iter().all(|slot| touch(slot, &own));
        if let Err(error) = thread::Builder::new().name("slots".into()).spawn(touch_all) {
            tracing::debug!(%error, "slots are touched when they are taken");
        }
        Self { layout, free, untouched, home }
    }

    /// A free slot, waiting until one comes back.
    #[must_use]
    pub fn take(&self) -> Slot {
        // The pool holds a sender itself, so the channel cannot be closed.
        self.try_take().unwrap_or_else(|| self.slot(self.free.recv().ok()))
    }

    /// A free slot if there is one now.
    #[must_use]
    pub fn try_take(&self) -> Option<Slot> {
        let bytes = self.free.try_recv().ok().or_else(|| self.untouched.try_recv().ok())?;
        Some(self.slot(Some(bytes)))
    }

    fn slot(&self, bytes: Option<Box<[u8]>>) -> Slot {
        Slot { layout: self.layout, bytes: SlotBytes { bytes, home: self.home.clone() } }
    }

    /// The layout of every slot.
    #[must_use]
    pub fn layout(&self) -> PlaneLayout {
        self.layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_back_when_dropped() {
        let pool = SlotPool::new(FrameSize::new(5, 3), 1);
        let slot = pool.take();
        assert!(pool.try_take().is_none());
        drop(slot);
        assert!(pool.try_take().is_some());
    }

    #[test]
    fn a_pool_has_all_its_slots_and_no_more() {
        let pool = SlotPool::new(FrameSize::new(320, 180), 9);
        let slots: Vec<_> = (0..9).map(|_| pool.take()).collect();
        assert!(pool.try_take().is_none());
        assert!(slots.iter().all(|slot| slot.bytes.as_ref().len() == pool.layout().bytes()));
    }

    #[test]
    fn the_layout_is_that_of_gstreamer() {
        for (w, h) in [(1920, 1080), (853, 479), (854, 480), (322, 242), (5, 3)] {
            let layout = PlaneLayout::new(FrameSize::new(w, h));
            let coded = layout.coded();
            let _ = gstreamer::init();
            let info = gstreamer_video::VideoInfo::builder(
                gstreamer_video::VideoFormat::I420,
                coded.width,
                coded.height,
            )
            .build()
            .expect("I420 of any size");
            assert_eq!(info.size(), layout.bytes());
            assert_eq!(usize::try_from(info.stride()[0]), Ok(layout.luma_stride()));
            assert_eq!(usize::try_from(info.stride()[1]), Ok(layout.chroma_stride()));
        }
    }
}
