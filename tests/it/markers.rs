//! No marker is read where there is none: in pictures of people.

use std::time::Duration;

use classveil::{
    capture::{Capture, Event, Input, Settings},
    frame::{FrameSize, I420View},
    vision::markers::MarkerFinder,
};

use crate::support::sample;

#[test]
fn pictures_of_people_hold_no_marker() {
    let mut finder = MarkerFinder::new().expect("a finder");
    for name in ["multi_face.jpg", "thai_people.jpg", "obama.jpg"] {
        let photo = image::open(sample(name)).expect("a photo").into_luma8();
        let size = FrameSize::new(photo.width(), photo.height());
        let (y, luma_stride) = (photo.as_raw().as_slice(), size.width as usize);
        let view = I420View { size, y, u: &[], v: &[], luma_stride, chroma_stride: 0 };
        assert_eq!(finder.find(&view).expect("a look"), [], "{name}");
    }
    for name in ["obama_speech.mp4", "single_face.mp4"] {
        let input = Input::File(sample(name));
        let mut capture = Capture::open(&input, &Settings::default()).expect("a clip");
        let mut frames = 0;
        while let Some(Event::Video(frame)) = capture.next(Duration::from_secs(5)).expect("a clip")
        {
            frames += 1;
            assert_eq!(finder.find(&frame.view()).expect("a look"), [], "{name}, frame {frames}");
        }
        assert!(frames > 70, "{name}: {frames} frames");
    }
}
