//! Where pictures and sound meet: one recording's encoders, and the segments cut from what they
//! give back.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use gstreamer as gst;

use super::{
    EncodeError, MediaSegment, Settings,
    mp4::{SoundTrack, Tracks, VideoTrack},
    segment::Draft,
    sound::{Packet, Sound},
    video::{self, Picture, TICKS_PER_SECOND, Ticket, Video},
};
use crate::{
    capture::{AudioChunk, AudioFormat, VideoFormat},
    frame::{Frame, FrameSize},
    units::Pts,
    veil::redact::Redacted,
};

/// The encoders of one recording.
///
/// Pictures are pushed in order of time, chunks of sound in theirs; the two may be mixed as they
/// come as long as sound is not more than ten seconds behind the pictures (then it counts as
/// missing and is replaced by silence). Every call gives back the segments that became complete,
/// usually none. [`Encoder::finish`] must be called, or the last segment is lost.
#[derive(Debug)]
#[must_use = "the last segment comes out of `finish`"]
pub struct Encoder {
    format: VideoFormat,
    segment: Duration,
    video: Video,
    sound: Option<(Sound, AudioFormat)>,
    name: String,
    first: Option<Pts>,
    last: Option<Ticket>,
    /// When the running segment began.
    opened: Pts,
    tracks: Option<Arc<Tracks>>,
    /// Segments in the making, oldest first. Only the newest can grow; others wait for sound, which
    /// is given up after ten seconds.
    drafts: VecDeque<Draft>,
    /// Sound that belongs to no finished segment. Bounded by the same ten seconds.
    packets: VecDeque<Packet>,
    number: u32,
    fragment: u32,
}

impl Encoder {
    /// Starts the encoders of a recording.
    pub fn start(
        video: &VideoFormat,
        audio: Option<AudioFormat>,
        settings: &Settings,
    ) -> Result<Self, EncodeError> {
        gst::init().map_err(EncodeError::Gstreamer)?;
        let sound = match audio {
            Some(format) => Some((Sound::start(format)?, format)),
            None => None,
        };
        let encoder = Video::start(video, settings)?;
        let name = encoder.name().to_owned();
        let sound_name = sound.as_ref().map(|(sound, _)| sound.name());
        tracing::info!(video = name, sound = sound_name, "encoders chosen");
        Ok(Self {
            format: video.clone(),
            segment: settings.segment,
            video: encoder,
            sound,
            name,
            first: None,
            last: None,
            opened: Pts::ZERO,
            tracks: None,
            drafts: VecDeque::new(),
            packets: VecDeque::new(),
            number: 1,
            fragment: 1,
        })
    }

    /// The element that encodes the pictures.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the pictures can be encoded with less effort in the middle of a recording, as a trial
    /// shows. Takes a moment; `settings` are those that it was started with.
    #[must_use]
    pub fn can_lighten(&mut self, settings: &Settings) -> bool {
        self.video.can_lighten(settings)
    }

    /// Encodes with less effort, or as usual again, from the next segment on. Without effect where
    /// [`Self::can_lighten`] was not asked or said no.
    pub fn lighten(&mut self, light: bool) {
        self.video.lighten(light);
    }

    /// Encodes the next picture. Waits while the encoder is busy.
    ///
    /// # Errors
    /// The picture is out of order or of another size, or the encoder failed. What is not yet
    /// given back is then lost.
    pub fn push_video(&mut self, frame: Frame<Redacted>) -> Result<Vec<MediaSegment>, EncodeError> {
        let ticket = self.ticket(frame.seq(), frame.pts(), frame.size())?;
        let mut pictures = Vec::new();
        self.video.push(frame.into_slot().into_bytes(), ticket, &mut pictures)?;
        self.sort(pictures);
        if let Some((sound, _)) = &mut self.sound {
            let first = self.first.unwrap_or(ticket.pts);
            sound.pictures_at(ticket.pts, first, &mut self.packets)?;
        }
        self.complete()
    }

    /// Encodes the next chunk of sound. Waits while the encoder is busy.
    ///
    /// # Errors
    /// The recording was started without sound, or the encoder failed.
    pub fn push_audio(&mut self, chunk: AudioChunk) -> Result<Vec<MediaSegment>, EncodeError> {
        let Some((sound, _)) = &mut self.sound else {
            return Err(EncodeError::NoSound { pts: chunk.pts });
        };
        sound.push(chunk, self.first, &mut self.packets)?;
        self.complete()
    }

    /// Ends the recording and gives back all that is left. Without a picture there is no segment.
    ///
    /// # Errors
    /// An encoder failed.
    pub fn finish(mut self) -> Result<Vec<MediaSegment>, EncodeError> {
        let mut pictures = Vec::new();
        self.video.finish(&mut pictures)?;
        self.sort(pictures);
        let Some((first, last)) = self.first.zip(self.last) else { return Ok(Vec::new()) };
        let duration = self.last_duration(last);
        let end = (
            last.ticks + duration,
            last.pts.plus(Duration::from_secs(duration) / TICKS_PER_SECOND),
        );
        if let Some((sound, _)) = &mut self.sound {
            sound.finish(first, end.1, &mut self.packets)?;
        }
        if let Some(draft) = self.drafts.back_mut() {
            draft.end = Some(end);
        }
        let mut segments = Vec::new();
        while let Some(draft) = self.drafts.pop_front() {
            let to = draft.end.unwrap_or(end);
            // Sound that outlasts the pictures stays with the last of them.
            let until = if self.drafts.is_empty() { u64::MAX } else { to.0 };
            segments.push(self.build(draft, to, until)?);
        }
        Ok(segments)
    }

    fn ticket(&mut self, seq: u64, pts: Pts, size: FrameSize) -> Result<Ticket, EncodeError> {
        if size != self.format.size {
            return Err(EncodeError::OtherSize { seq });
        }
        if self.last.is_some_and(|last| seq <= last.seq || pts < last.pts) {
            return Err(EncodeError::Order { seq, pts });
        }
        let soonest = self.last.map_or(0, |last| last.ticks + 1);
        let ticks = video::ticks_at(pts).max(soonest);
        let opens = self.last.is_none() || pts >= self.opened.plus(self.segment);
        if opens {
            self.opened = pts;
        }
        let ticket = Ticket { seq, pts, ticks, opens };
        self.first = self.first.or(Some(pts));
        self.last = Some(ticket);
        Ok(ticket)
    }

    /// How long the last picture is shown: as its source says, else as long as the one before it
    /// in its segment, else a thirtieth of a second.
    fn last_duration(&self, last: Ticket) -> u64 {
        let pictures = self.drafts.back().map_or(&[][..], |draft| &draft.pictures);
        let before = pictures.iter().rev().nth(1).map(|p| last.ticks - p.ticket.ticks);
        let (rate, per) = video::nominal_rate(&self.format);
        let nominal = u64::from(TICKS_PER_SECOND) * u64::from(per) / u64::from(rate);
        let stated = self.format.framerate.is_some();
        if stated { nominal } else { before.unwrap_or(nominal) }.max(1)
    }

    /// Puts pictures that came out into their segments.
    fn sort(&mut self, pictures: Vec<Picture>) {
        for picture in pictures {
            if picture.ticket.opens {
                if let Some(draft) = self.drafts.back_mut() {
                    draft.end = Some((picture.ticket.ticks, picture.ticket.pts));
                }
                self.drafts.push_back(Draft { pictures: Vec::new(), end: None });
            }
            if let Some(draft) = self.drafts.back_mut() {
                draft.pictures.push(picture);
            }
        }
    }

    /// Takes out every segment of which all pictures and all sound are there.
    fn complete(&mut self) -> Result<Vec<MediaSegment>, EncodeError> {
        let mut segments = Vec::new();
        while let Some(end) = self.drafts.front().and_then(|draft| draft.end) {
            let complete =
                self.sound.as_ref().is_none_or(|(sound, _)| sound.is_complete_until(end.0));
            if !complete {
                break;
            }
            if let Some(draft) = self.drafts.pop_front() {
                segments.push(self.build(draft, end, end.0)?);
            }
        }
        Ok(segments)
    }

    fn build(
        &mut self,
        draft: Draft,
        end: (u64, Pts),
        sound_until_ticks: u64,
    ) -> Result<MediaSegment, EncodeError> {
        let tracks = self.tracks()?;
        let split = self.packets.partition_point(|packet| packet.is_before(sound_until_ticks));
        let packets = self.packets.drain(..split).collect();
        let segment = draft.build(self.number, self.fragment, end, packets, tracks);
        self.number += 1;
        self.fragment += segment.fragment_count();
        Ok(segment)
    }

    fn tracks(&mut self) -> Result<Arc<Tracks>, EncodeError> {
        if let Some(tracks) = &self.tracks {
            return Ok(Arc::clone(tracks));
        }
        let parameters = self.video.parameters().ok_or_else(|| EncodeError::Output {
            element: self.name.clone(),
            problem: "pictures came without parameter sets",
        })?;
        let tracks = Arc::new(Tracks {
            video: VideoTrack::new(&self.format, parameters),
            sound: self.sound.as_ref().map(|(_, format)| SoundTrack { channels: format.channels }),
        });
        self.tracks = Some(Arc::clone(&tracks));
        Ok(tracks)
    }
}
