//! Reading `AprilTag`s of the family 36h11, behind a small surface without `OpenCV`'s types.
//!
//! Belongs here: which tags are in a picture, and where. Does not belong: who wears them.

use opencv::{
    aruco::{self, DetectorParameters, Dictionary},
    core::{self, Point2f, Ptr, Vector},
    prelude::*,
};

use super::{I420View, Point, pixels};

/// Tags of the family, numbered from 0.
pub const COUNT: u16 = 587;

/// A tag in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tag {
    /// Below [`COUNT`].
    pub number: u16,
    /// Its black square's corners in frame pixels, clockwise.
    pub corners: [Point; 4],
}

/// Reads tags.
pub struct TagReader {
    dictionary: Ptr<Dictionary>,
    parameters: Ptr<DetectorParameters>,
}

impl std::fmt::Debug for TagReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TagReader")
    }
}

impl TagReader {
    /// A reader that takes no tag with a wrong bit for a right one.
    ///
    /// # Errors
    /// `OpenCV` has no such family.
    pub fn new() -> opencv::Result<Self> {
        // One thread, as everywhere: the pipeline's threads are counted.
        core::set_num_threads(1)?;
        let dictionary = aruco::get_predefined_dictionary(
            aruco::PREDEFINED_DICTIONARY_NAME::DICT_APRILTAG_36h11,
        )?;
        let mut parameters = DetectorParameters::create()?;
        // A tag can show a face: read wrongly it shows a wrong one, missed it shows nobody.
        parameters.set_error_correction_rate(0.0);
        parameters.set_max_erroneous_bits_in_border_rate(BORDER_ERRORS);
        parameters.set_adaptive_thresh_win_size_min(WINDOW_PX);
        parameters.set_adaptive_thresh_win_size_max(WINDOW_PX);
        parameters.set_adaptive_thresh_constant(DARKER);
        parameters.set_min_otsu_std_dev(LEAST_SPREAD);
        parameters.set_min_marker_distance_rate(APART);
        Ok(Self { dictionary, parameters })
    }

    /// Tags of a picture, by its luma, which is looked at where it lies.
    ///
    /// # Errors
    /// The plane is shorter than it says, or `OpenCV` fails.
    pub fn read(&mut self, view: &I420View<'_>) -> opencv::Result<Vec<Tag>> {
        let mut corners = Vector::<Vector<Point2f>>::new();
        let mut numbers = Vector::<i32>::new();
        pixels::with_luma(view, |luma| {
            aruco::detect_markers(
                luma,
                &self.dictionary,
                &mut corners,
                &mut numbers,
                &self.parameters,
                &mut core::no_array(),
            )
        })?;
        let tag = |(number, corners): (i32, Vector<Point2f>)| {
            let number = u16::try_from(number).ok().filter(|n| *n < COUNT)?;
            let corners: Vec<Point> = corners.iter().map(|p| Point { x: p.x, y: p.y }).collect();
            Some(Tag { number, corners: corners.try_into().ok()? })
        };
        Ok(numbers.iter().zip(corners.iter()).filter_map(tag).collect())
    }
}

/// Side of the window over which black and white are told apart, in pixels: three cells of the
/// smallest tag. A second window reads no more tags of 14 to 160 px and costs two and a half times
/// as much (measured with 2 to 3 windows of 3 to 23 px).
const WINDOW_PX: i32 = 9;
/// Black is so many grey levels darker than its surroundings. At 4 all tags of 30 levels of contrast
/// are read, at `OpenCV`'s 7 none below 40.
const DARKER: f64 = 4.0;
/// Standard deviation in grey levels below which a tag counts as one plain colour.
const LEAST_SPREAD: f64 = 2.5;
/// Two squares are one when their corners are nearer than this part of their perimeter. At
/// `OpenCV`'s 0.05 the edge of the paper, one cell away, swallows the black square, and most tags
/// above 60 px are lost.
const APART: f64 = 0.02;
/// Cells of the black border that may look white, in parts of all bits of a tag.
const BORDER_ERRORS: f64 = 0.10;
