//! Memory for pictures is taken at the start: once frames run, no piece of a frame's size is asked
//! for by any part of the program but the decoder, whose own pictures come and go in a fixed number.

use std::{
    fs,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::process::Signal;

use crate::{
    media::{Clips, sample},
    record::stop::Running,
    scene::{School, text},
};

use super::{REFUSED, library};

/// Pictures of this size; a segment of one second is far smaller than one of them.
const SIZE: (usize, usize) = (1280, 720);

/// Waits until the recording has so many segments.
#[track_caller]
fn until_segments(school: &School, count: usize) {
    let began = Instant::now();
    let lines = || {
        let journal = school.recordings()[0].join("segments.jsonl");
        fs::read_to_string(journal).map_or(0, |text| text.lines().count())
    };
    while lines() < count {
        assert!(began.elapsed() < Duration::from_secs(120), "only {} segments", lines());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn no_frame_sized_memory_is_taken_once_the_ring_is_full() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let from = sample("obama_speech.mp4");
    let codec = "-c:v libx264 -preset ultrafast -crf 23 -g 24 -bf 2 -pix_fmt yuv420p -an";
    let (width, height) = SIZE;
    let args = format!("-i {} -vf scale={width}:{height} {codec}", from.display());
    let once = clips.make("once.mp4", &args);
    let clip = clips.make("endless.mp4", &format!("-stream_loop 60 -i {} -c copy", once.display()));
    let log = school.path("memory.log");
    let least = (width * height * 3 / 2).to_string();
    let preload = library("memory");
    let envs =
        [("LD_PRELOAD", text(&preload)), ("MEMORY_LOG", text(&log)), ("MEMORY_LEAST", &least)];
    let more = [&REFUSED[..], &["--segment", "1 s"]].concat();
    let mut running = Running::start_with(&school, text(&clip), &more, &envs);
    running.until_first_segment(&school);
    // The first segment is behind the ring: all of its frames have waited.
    let full = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    // Once through the clip, with all that it shows.
    until_segments(&school, 10);
    let over = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    running.send(Signal::INT);
    let recorded = school.recorded(running.end().ended(0));
    assert!(recorded.json["frames_out"].as_u64() > Some(110), "{}", recorded.json);
    let told = fs::read_to_string(&log).unwrap();
    let (mut before, mut ours, mut of_decoder) = (0, Vec::new(), Vec::new());
    for line in told.lines() {
        let [at, _size, in_use, _how, thread] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let at: u128 = at.parse().unwrap();
        if at < full {
            before += 1;
        } else if at < over && thread.starts_with("multiqueue") {
            // libavcodec and GStreamer share one memory for a picture, and neither takes it back into
            // its pool while the other has it.
            of_decoder.push(in_use.parse::<u32>().unwrap());
        } else if at < over {
            ours.push(line);
        }
    }
    // The ring alone is two seconds of frames; if these are not seen nothing would be.
    assert!(before > 24, "{told}");
    assert!(ours.is_empty(), "{ours:#?}");
    let (least, most) = (of_decoder.iter().min(), of_decoder.iter().max());
    let spread = least.zip(most).map_or(0, |(least, most)| most - least);
    assert!(spread <= 16, "the decoder's pictures become more: {of_decoder:?}");
}
