//! What a segment holds: encoded pictures and sound of one stretch of the recording, cut into
//! fragments.

use std::{ops::Range, sync::Arc};

use super::{
    EncodeError,
    mp4::{self, Fragment, Sample, Tracks},
    sound::{self, Packet},
    video::{Picture, TICKS_PER_SECOND},
};
use crate::units::Pts;

/// A fragment ends at the first picture this many ticks after its first: two seconds, so that
/// sound and pictures lie close together in the file whatever the length of a segment.
const FRAGMENT_TICKS: u64 = 2 * TICKS_PER_SECOND as u64;

/// One complete segment, not yet written as a file: what its comment says is known only now.
#[derive(Debug)]
pub struct MediaSegment {
    number: u32,
    frames: Range<u64>,
    count: usize,
    start: Pts,
    end: Pts,
    duration_ticks: u64,
    first_fragment: u32,
    tracks: Arc<Tracks>,
    fragments: Vec<Fragment>,
}

impl MediaSegment {
    /// Its place in the recording, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Numbers of its pictures ([`crate::frame::Frame::seq`]).
    #[must_use]
    pub fn frames(&self) -> Range<u64> {
        self.frames.clone()
    }

    /// How many pictures it holds; the same as the length of [`Self::frames`] where their numbers
    /// have no gaps.
    #[must_use]
    pub fn frame_count(&self) -> usize {
        self.count
    }

    /// When its first picture is shown.
    #[must_use]
    pub fn start(&self) -> Pts {
        self.start
    }

    /// When the first picture of the next segment is shown, or the last one of this one ends.
    #[must_use]
    pub fn end(&self) -> Pts {
        self.end
    }

    /// Writes the whole file: a fragmented MP4 with `comment` as its comment tag.
    ///
    /// # Errors
    /// The segment or the comment is larger than the format can hold.
    pub fn into_mp4(self, comment: &str) -> Result<Vec<u8>, EncodeError> {
        mp4::write::file(
            &self.tracks,
            &self.fragments,
            self.first_fragment,
            self.duration_ticks,
            comment,
        )
        .map_err(|error| match error {
            mp4_atom::Error::TooLarge(_) => EncodeError::TooLarge { segment: self.number },
            error => EncodeError::Box(error),
        })
    }

    /// How many fragments it is cut into.
    pub(super) fn fragment_count(&self) -> u32 {
        u32::try_from(self.fragments.len()).unwrap_or(u32::MAX)
    }
}

/// A segment in the making: all of its pictures, while sound may still be missing.
#[derive(Debug)]
pub(super) struct Draft {
    /// Its pictures, of which there is at least one.
    pub pictures: Vec<Picture>,
    /// When the next segment begins, in ticks and as time; `None` while it can still grow.
    pub end: Option<(u64, Pts)>,
}

impl Draft {
    /// Turns the draft into a segment, with those of `packets` that begin in it.
    pub(super) fn build(
        self,
        number: u32,
        first_fragment: u32,
        end: (u64, Pts),
        packets: Vec<Packet>,
        tracks: Arc<Tracks>,
    ) -> MediaSegment {
        let (end_ticks, end) = end;
        let first = self.pictures.first().map(|p| p.ticket);
        let last = self.pictures.last().map(|p| p.ticket);
        let start_ticks = first.map_or(end_ticks, |t| t.ticks);
        let sound_start = packets
            .first()
            .map_or(u64::MAX, |p| p.start * u64::from(TICKS_PER_SECOND) / u64::from(sound::RATE));
        let count = self.pictures.len();
        MediaSegment {
            number,
            frames: first.map_or(0, |t| t.seq)..last.map_or(0, |t| t.seq + 1),
            count,
            start: first.map_or(end, |t| t.pts),
            end,
            duration_ticks: end_ticks.saturating_sub(start_ticks.min(sound_start)),
            first_fragment,
            tracks,
            fragments: fragments(self.pictures, end_ticks, packets),
        }
    }
}

fn fragments(pictures: Vec<Picture>, end: u64, packets: Vec<Packet>) -> Vec<Fragment> {
    let mut fragments: Vec<Fragment> = Vec::new();
    let times: Vec<u64> = pictures.iter().map(|p| p.ticket.ticks).collect();
    for (i, picture) in pictures.into_iter().enumerate() {
        let ticks = times[i];
        let next = times.get(i + 1).copied().unwrap_or(end);
        let opens = fragments.last().is_none_or(|f| ticks >= f.video_start + FRAGMENT_TICKS);
        if opens {
            fragments.push(Fragment { video_start: ticks, ..Fragment::default() });
        }
        if let Some(fragment) = fragments.last_mut() {
            let duration = u32::try_from(next.saturating_sub(ticks)).unwrap_or(u32::MAX);
            fragment.video.push(Sample { duration, sync: picture.idr, data: picture.data });
        }
    }
    let mut at = 0;
    for packet in packets {
        // To the fragment whose pictures it is heard with.
        while fragments.get(at + 1).is_some_and(|next| !packet.is_before(next.video_start)) {
            at += 1;
        }
        if let Some(fragment) = fragments.get_mut(at) {
            if fragment.sound.is_empty() {
                fragment.sound_start = packet.start;
            }
            fragment.sound.push(packet.data);
        }
    }
    fragments
}
