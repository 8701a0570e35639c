//! The few operations on pixels that `OpenCV` does for us, behind a small surface without its types.
