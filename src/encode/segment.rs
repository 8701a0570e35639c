//! What a segment holds: encoded pictures and sound of one stretch of the recording, cut into
//! fragments.

use std::{ops::Range, sync::Arc};

use super::{
    EncodeError,
    mp4::{self, Fragment, Sample, Tracks},
    sound::Packet,
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
    /// End of all that it holds, on the pictures' clock.
    end_ticks: u64,
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
            self.end_ticks,
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
        // Sound of the last segment may outlast its pictures.
        let sound_end = packets.last().map_or(0, Packet::end_ticks);
        let count = self.pictures.len();
        MediaSegment {
            number,
            frames: first.map_or(0, |t| t.seq)..last.map_or(0, |t| t.seq + 1),
            count,
            start: first.map_or(end, |t| t.pts),
            end,
            end_ticks: end_ticks.max(sound_end),
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use mp4_atom::{Any, Decode};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        capture::VideoFormat,
        encode::{
            h264::Parameters,
            mp4::{SoundTrack, VideoTrack},
            sound::PACKET,
            video::Ticket,
        },
        frame::FrameSize,
    };

    fn tracks() -> Arc<Tracks> {
        let format = VideoFormat {
            size: FrameSize::new(320, 240),
            framerate: None,
            pixel_aspect: (1, 1),
            colorimetry: None,
        };
        let parameters = Parameters { sps: vec![0x67, 66, 192, 13], pps: vec![0x68, 1] };
        let video = VideoTrack::new(&format, &parameters);
        Arc::new(Tracks { video, sound: Some(SoundTrack { channels: 1 }) })
    }

    fn bytes_of(seq: u64) -> Vec<u8> {
        vec![u8::try_from(seq % 251).unwrap(); usize::try_from(seq % 7).unwrap() + 1]
    }

    /// Time, duration and bytes of every picture, time and bytes of every packet.
    type Content = (Vec<(u64, u32, Vec<u8>)>, Vec<(u64, Vec<u8>)>);

    /// Reads a file as a player does: by the offsets and sizes in its boxes.
    fn content(file: &[u8]) -> Content {
        let (mut video, mut sound) = (Vec::new(), Vec::new());
        let mut rest = file;
        while !rest.is_empty() {
            let at = file.len() - rest.len();
            let Any::Moof(moof) = Any::decode(&mut rest).unwrap() else { continue };
            for traf in &moof.traf {
                let mut time = traf.tfdt.as_ref().unwrap().base_media_decode_time;
                let run = &traf.trun[0];
                let mut from = at + usize::try_from(run.data_offset.unwrap()).unwrap();
                for sample in &run.samples {
                    let to = from + usize::try_from(sample.size.unwrap()).unwrap();
                    let data = file[from..to].to_vec();
                    let duration = sample.duration.or(traf.tfhd.default_sample_duration).unwrap();
                    if traf.tfhd.track_id == 1 {
                        video.push((time, duration, data));
                    } else {
                        sound.push((time, data));
                    }
                    time += u64::from(duration);
                    from = to;
                }
            }
        }
        (video, sound)
    }

    proptest! {
        #[test]
        fn whatever_the_times_all_is_kept_at_its_own(
            start in 0u64..1 << 40,
            steps in prop::collection::vec((1u64..500_000, prop::bool::weighted(0.1)), 1..80),
            sound_lead in 0u64..200_000,
        ) {
            // Pictures at any increasing times, cut into segments anywhere.
            let mut ticks = start;
            let mut pictures = Vec::new();
            for (seq, &(step, cut)) in (0..).zip(&steps) {
                let opens = seq == 0 || cut;
                let pts = Pts::from_nanos(ticks);
                let ticket = Ticket { seq, pts, ticks, opens };
                pictures.push(Picture { ticket, idr: opens, data: bytes_of(seq) });
                ticks += step;
            }
            let end = ticks;
            let times: Vec<_> = pictures.iter().map(|p| p.ticket.ticks).collect();
            // Sound without holes from somewhere around the start to the end.
            let first = (start * 8 / 15).saturating_sub(sound_lead);
            let mut packets: Vec<_> = (0..end)
                .map(|n| Packet { start: first + n * PACKET, data: bytes_of(n) })
                .take_while(|p| p.is_before(end))
                .collect();
            let heard: Vec<_> = packets.iter().map(|p| (p.start, p.data.clone())).collect();

            let mut files = Vec::new();
            let mut fragment = 1;
            let tracks = tracks();
            while !pictures.is_empty() {
                let cut = pictures[1..].iter().position(|p| p.ticket.opens);
                let rest = pictures.split_off(cut.map_or(pictures.len(), |at| at + 1));
                let until = rest.first().map_or(end, |p| p.ticket.ticks);
                let split = packets.partition_point(|p| p.is_before(until));
                let later = packets.split_off(split);
                let draft = Draft { pictures, end: None };
                let number = u32::try_from(files.len()).unwrap() + 1;
                let closing = (until, Pts::from_nanos(until));
                let segment =
                    draft.build(number, fragment, closing, packets, Arc::clone(&tracks));
                fragment += segment.fragment_count();
                files.push(segment.into_mp4("{}").unwrap());
                (pictures, packets) = (rest, later);
            }

            let mut out = Cursor::new(Vec::new());
            let summary = mp4::join(files.iter().map(Vec::as_slice), &mut out).unwrap();
            prop_assert_eq!(summary.frames, times.len() as u64);
            let (video, sound) = content(&out.into_inner());
            prop_assert_eq!(sound, heard);
            for (i, (time, duration, data)) in video.into_iter().enumerate() {
                prop_assert_eq!(time, times[i]);
                let next = times.get(i + 1).copied().unwrap_or(end);
                prop_assert_eq!(u64::from(duration), next - time);
                prop_assert_eq!(data, bytes_of(i as u64));
            }
        }
    }
}
