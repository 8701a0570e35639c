//! Appends segments to each other: the beginning of the first, then every fragment of all of them,
//! byte for byte. Nothing is encoded again, so pictures and times stay what they are.

use std::{
    io::{self, Seek, SeekFrom, Write},
    time::Duration,
};

use mp4_atom::{Codec, Decode, Moof, Moov};

use super::{SOUND_ID, VIDEO_ID, write};
use crate::{
    encode::{sound, video::TICKS_PER_SECOND},
    error::{ErrorKind, Kind},
    frame::FrameSize,
};

/// Why segments could not be joined. Segments are counted from 1 in the order they were given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It is not one of our files, or not all of one.
    #[error("segment {segment} is no complete MP4 segment: {problem}")]
    Damaged {
        /// Which one.
        segment: u32,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It was encoded in another way than the first.
    #[error("segment {segment} has other tracks than the first: they are of two recordings")]
    OtherTracks {
        /// Which one.
        segment: u32,
    },
    /// It does not follow the one before it.
    #[error("segment {segment} does not follow the one before it: give them in order, each once")]
    Order {
        /// Which one.
        segment: u32,
    },
    /// There was none.
    #[error("there is no segment to join")]
    Empty,
    /// The comment is longer than what was kept free for it.
    #[error("the comment of the joined file is too long")]
    Comment,
    /// The result could not be written.
    #[error("the joined file cannot be written: {0}")]
    Write(#[from] io::Error),
}

impl Kind for JoinError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Damaged { .. } | Self::OtherTracks { .. } | Self::Order { .. } | Self::Empty => {
                ErrorKind::DataLoss
            }
            Self::Comment => ErrorKind::Bug,
            Self::Write(error) => ErrorKind::of_io(error),
        }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Segments joined.
    pub segments: u32,
    /// Pictures in them.
    pub frames: u64,
    /// From the first picture or sound to the end of the last.
    pub duration: Duration,
}

/// Joins segments that come one after the other, holding none of them longer than its own turn.
///
/// The result is complete only after [`Joiner::finish`]: before, its stated duration and its comment
/// are those of the first segment.
#[derive(Debug)]
#[must_use = "the file is complete only after `finish`"]
pub struct Joiner<W> {
    out: W,
    /// Bytes written, to find the duration again.
    written: u64,
    first: Option<First>,
    /// The comment of each segment.
    comments: Vec<String>,
    summary: Summary,
    last_sequence: u32,
    /// End of the last picture.
    end: u64,
    /// End of the last picture or sound.
    all_end: u64,
}

#[derive(Debug)]
struct First {
    /// `ftyp` and those boxes of `moov` that all segments share.
    shared: Vec<u8>,
    /// Where the duration stands in the joined file.
    duration_at: u64,
    /// Where the user data begin that hold the comment, and how long a comment fits.
    user_data_at: u64,
    comment_room: usize,
    /// When the recording begins, in ticks of the pictures' clock.
    start: u64,
}

/// Bytes by which the comment of the whole may be longer than that of the first segment: it has
/// larger numbers in it. Spaces fill what is not needed.
const COMMENT_ROOM: usize = 256;

/// User data with `comment` and spaces up to `room` bytes.
fn user_data(comment: &str, room: usize) -> Result<Vec<u8>, JoinError> {
    if comment.len() > room {
        return Err(JoinError::Comment);
    }
    write::user_data(&format!("{comment:<0$}", room - (comment.len() - comment.chars().count())))
        .map_err(|_| JoinError::Comment)
}

impl<W: Write + Seek> Joiner<W> {
    /// Joins into `out`, which is at its beginning.
    pub fn new(out: W) -> Self {
        let summary = Summary::default();
        let comments = Vec::new();
        Self {
            out,
            written: 0,
            first: None,
            comments,
            summary,
            last_sequence: 0,
            end: 0,
            all_end: 0,
        }
    }

    /// The comments of the segments so far, in their order.
    #[must_use]
    pub fn comments(&self) -> &[String] {
        &self.comments
    }

    /// Appends the next segment.
    ///
    /// # Errors
    /// The segment is damaged, does not follow the one before, or has other tracks; or writing
    /// failed. Nothing of a refused segment is written.
    pub fn push(&mut self, segment: &[u8]) -> Result<(), JoinError> {
        let number = self.summary.segments + 1;
        let damaged = |problem| JoinError::Damaged { segment: number, problem };
        let parts = Parts::read(segment).map_err(damaged)?;
        if parts.first_sequence <= self.last_sequence || parts.start < self.end {
            return Err(JoinError::Order { segment: number });
        }
        let beginning = match &self.first {
            Some(first) if first.shared != parts.shared => {
                return Err(JoinError::OtherTracks { segment: number });
            }
            Some(_) => Vec::new(),
            None => {
                let comment_room = parts.comment.len() + COMMENT_ROOM;
                let user_data = user_data(&parts.comment, comment_room)?;
                let beginning = parts.beginning(segment, &user_data).map_err(damaged)?;
                self.first = Some(First {
                    shared: parts.shared,
                    duration_at: parts.duration_at as u64,
                    user_data_at: parts.user_data_at as u64,
                    comment_room,
                    start: parts.start.min(parts.sound_start.unwrap_or(u64::MAX)),
                });
                beginning
            }
        };
        let media = segment.get(parts.media_at..).unwrap_or_default();
        self.out.write_all(&beginning)?;
        self.out.write_all(media)?;
        self.written += (beginning.len() + media.len()) as u64;
        self.comments.push(parts.comment);
        self.summary.segments = number;
        self.summary.frames += parts.frames;
        self.last_sequence = parts.last_sequence;
        self.end = parts.end;
        self.all_end = self.all_end.max(parts.end).max(parts.sound_end);
        Ok(())
    }

    /// Writes the whole duration, and `comment` in place of the first segment's, into the beginning
    /// and gives the output back.
    ///
    /// # Errors
    /// There was no segment, the comment is longer than the first one's by more than 256 bytes, or
    /// writing failed.
    pub fn finish(mut self, comment: Option<&str>) -> Result<(W, Summary), JoinError> {
        let first = self.first.ok_or(JoinError::Empty)?;
        if let Some(comment) = comment {
            let user_data = user_data(comment, first.comment_room)?;
            self.out.seek(SeekFrom::Start(first.user_data_at))?;
            self.out.write_all(&user_data)?;
        }
        let ticks = self.all_end.saturating_sub(first.start);
        self.summary.duration = Duration::from_secs(ticks) / TICKS_PER_SECOND;
        self.out.seek(SeekFrom::Start(first.duration_at))?;
        self.out.write_all(&self.all_end.to_be_bytes())?;
        self.out.seek(SeekFrom::Start(self.written))?;
        self.out.flush()?;
        Ok((self.out, self.summary))
    }
}

/// Joins segments that are all at hand.
///
/// # Errors
/// As [`Joiner::push`] and [`Joiner::finish`].
pub fn join<'a>(
    segments: impl IntoIterator<Item = &'a [u8]>,
    out: impl Write + Seek,
) -> Result<Summary, JoinError> {
    let mut joiner = Joiner::new(out);
    for segment in segments {
        joiner.push(segment)?;
    }
    joiner.finish(None).map(|(_, summary)| summary)
}

/// What is to be known of a segment before it is appended.
#[derive(Debug, Default)]
struct Parts {
    shared: Vec<u8>,
    /// Where the 64-bit duration in `mehd` stands.
    duration_at: usize,
    /// Where the movie begins, and in it, as its last box, the user data with the comment.
    movie_at: usize,
    user_data_at: usize,
    comment: String,
    /// Where the first fragment begins.
    media_at: usize,
    first_sequence: u32,
    last_sequence: u32,
    frames: u64,
    /// Ticks of the first picture and of the end of the last.
    start: u64,
    end: u64,
    /// Ticks of the first sound.
    sound_start: Option<u64>,
    /// Ticks of the end of the last sound.
    sound_end: u64,
}

impl Parts {
    fn read(file: &[u8]) -> Result<Self, &'static str> {
        let mut parts = Self::default();
        let mut awaits_media = false;
        for found in boxes(file, 0) {
            let found = found?;
            match &found.kind {
                b"ftyp" => parts.shared.extend(found.whole),
                b"moov" => parts.read_movie(&found)?,
                b"moof" if !awaits_media => {
                    if parts.media_at == 0 {
                        parts.media_at = found.at;
                    }
                    parts.read_fragment(found.whole)?;
                    awaits_media = true;
                }
                b"mdat" if awaits_media => awaits_media = false,
                _ => return Err("it has a box that is out of place"),
            }
        }
        if parts.duration_at == 0 || parts.user_data_at == 0 || parts.frames == 0 {
            return Err("its beginning or its pictures are missing");
        }
        if awaits_media { Err("its end is missing") } else { Ok(parts) }
    }

    /// Keeps all but the comment and the duration, the two things in which segments differ.
    fn read_movie(&mut self, movie: &Found<'_>) -> Result<(), &'static str> {
        self.movie_at = movie.at;
        for child in boxes(movie.body(), movie.at + 8) {
            let child = child?;
            if self.user_data_at != 0 {
                return Err("its comment is not at the end of its beginning");
            }
            match &child.kind {
                b"udta" => {
                    self.user_data_at = child.at;
                    self.comment = comment_in(&child).ok_or("its comment cannot be read")?;
                }
                b"mvex" => {
                    for grandchild in boxes(child.body(), child.at + 8) {
                        let grandchild = grandchild?;
                        if &grandchild.kind != b"mehd" {
                            self.shared.extend(grandchild.whole);
                        } else if grandchild.whole.len() == 20 {
                            // Header, version and flags, then the duration in 64 bits.
                            self.duration_at = grandchild.at + 12;
                        } else {
                            return Err("its duration is not in 64 bits");
                        }
                    }
                }
                _ => self.shared.extend(child.whole),
            }
        }
        Ok(())
    }

    /// What comes before the media of `file`, with other user data.
    fn beginning(&self, file: &[u8], user_data: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut out = file.get(..self.user_data_at).unwrap_or_default().to_vec();
        out.extend(user_data);
        let size = u32::try_from(out.len() - self.movie_at).map_err(|_| "its beginning is long")?;
        let head = out.get_mut(self.movie_at..self.movie_at + 4).ok_or("it has no beginning")?;
        head.copy_from_slice(&size.to_be_bytes());
        Ok(out)
    }

    fn read_fragment(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        let moof = Moof::decode(&mut bytes).map_err(|_| "a fragment cannot be read")?;
        let sequence = moof.mfhd.sequence_number;
        if sequence <= self.last_sequence {
            return Err("its fragments are out of order");
        }
        if self.first_sequence == 0 {
            self.first_sequence = sequence;
        }
        self.last_sequence = sequence;
        for traf in &moof.traf {
            let start = traf.tfdt.as_ref().ok_or("a fragment has no time")?.base_media_decode_time;
            match traf.tfhd.track_id {
                VIDEO_ID => {
                    if self.frames == 0 {
                        self.start = start;
                    } else if start < self.end {
                        return Err("its fragments overlap");
                    }
                    let samples = || traf.trun.iter().flat_map(|run| run.samples.iter());
                    self.frames += samples().count() as u64;
                    let ticks = samples().map(|s| u64::from(s.duration.unwrap_or(0))).sum::<u64>();
                    self.end = start.saturating_add(ticks);
                }
                SOUND_ID => {
                    self.sound_start.get_or_insert(sound::ticks_at(start));
                    let packets = traf.trun.iter().map(|run| run.samples.len() as u64).sum::<u64>();
                    let end = start.saturating_add(packets.saturating_mul(sound::PACKET));
                    self.sound_end = sound::ticks_at(end);
                }
                _ => return Err("it has a track that is not ours"),
            }
        }
        Ok(())
    }
}

/// How large the pictures of a segment are.
#[must_use]
pub fn picture_size(segment: &[u8]) -> Option<FrameSize> {
    let movie =
        boxes(segment, 0).find_map(|found| found.ok().filter(|found| &found.kind == b"moov"))?;
    let movie = Moov::decode(&mut &movie.whole[..]).ok()?;
    let codecs = movie.trak.iter().flat_map(|track| &track.mdia.minf.stbl.stsd.codecs);
    codecs.into_iter().find_map(|codec| match codec {
        Codec::Avc1(avc1) => {
            Some(FrameSize::new(avc1.visual.width.into(), avc1.visual.height.into()))
        }
        _ => None,
    })
}

struct Found<'a> {
    kind: [u8; 4],
    /// Where it begins in the file.
    at: usize,
    whole: &'a [u8],
}

impl<'a> Found<'a> {
    fn body(&self) -> &'a [u8] {
        self.whole.get(8..).unwrap_or_default()
    }
}

/// The comment in user data that [`write`] wrote.
fn comment_in(user_data: &Found<'_>) -> Option<String> {
    let child = |bytes, kind: [u8; 4]| {
        boxes(bytes, 0).filter_map(Result::ok).find(|found| found.kind == kind)
    };
    let meta = child(user_data.body(), *b"meta")?;
    // Version and flags come before its boxes, type and locale before the text.
    let list = child(meta.body().get(4..)?, *b"ilst")?;
    let tag = child(list.body(), *b"\xa9cmt")?;
    let data = child(tag.body(), *b"data")?;
    String::from_utf8(data.body().get(8..)?.to_vec()).ok()
}

/// The boxes side by side in `bytes`, which begin at `at` in the file. Ours have 32-bit sizes.
fn boxes(bytes: &[u8], at: usize) -> impl Iterator<Item = Result<Found<'_>, &'static str>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let at = at + bytes.len() - rest.len();
        let found = rest.split_first_chunk::<8>().and_then(|(head, _)| {
            let (size, kind) = head.split_first_chunk::<4>()?;
            let size = usize::try_from(u32::from_be_bytes(*size)).ok().filter(|&n| n >= 8)?;
            let (whole, behind) = rest.split_at_checked(size)?;
            Some((Found { kind: kind.try_into().ok()?, at, whole }, behind))
        });
        let Some((found, behind)) = found else {
            rest = &[];
            return Some(Err("a box is cut short"));
        };
        rest = behind;
        Some(Ok(found))
    })
}
