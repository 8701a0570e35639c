//! Writes one segment as a file: `ftyp`, `moov` with the comment, then `moof` and `mdat` by turns.

use mp4_atom::{
    Atom, Audio, Avc1, Avcc, AvccExt, Colr, Dinf, Dref, DrefEntry, Encode, Error, FixedPoint,
    FourCC, Ftyp, Hdlr, Mdhd, Mdia, Mehd, Mfhd, Minf, Moof, Moov, Mp4a, Mvex, Mvhd, Pasp, Smhd,
    Stbl, Stsd, Tfdt, Tfhd, Tkhd, Traf, Trak, Trex, Trun, TrunEntry, Url, Visual, Vmhd,
    esds::{DecoderConfig, DecoderSpecific, EsDescriptor, Esds, SLConfig},
};

use super::{Fragment, SOUND_ID, Sample, SoundTrack, Tracks, VIDEO_ID, VideoTrack};
use crate::encode::{
    sound::{self, PACKET},
    video::TICKS_PER_SECOND,
};

/// Sample flags (ISO/IEC 14496-12, 8.8.3.1): depends on no other, decoding can begin here.
const SYNC: u32 = 2 << 24;
/// Depends on others, decoding cannot begin here.
const NON_SYNC: u32 = 1 << 24 | 1 << 16;
/// What is written into the tag that names the writer.
const WRITER: &str = concat!("classveil ", env!("CARGO_PKG_VERSION"));

/// The whole file. `end` is where it ends on the recording's timeline, in ticks of the pictures'
/// clock: what counts as a movie's duration, since its time begins at 0 and not at its first picture.
pub(in crate::encode) fn file(
    tracks: &Tracks,
    fragments: &[Fragment],
    first_fragment: u32,
    end: u64,
    comment: &str,
) -> Result<Vec<u8>, Error> {
    let media: usize = fragments.iter().map(|f| f.bytes() + 64 * f.video.len()).sum();
    let mut out = Vec::with_capacity(media + comment.len() + 4096);
    ftyp().encode(&mut out)?;
    movie(tracks, end, comment, &mut out)?;
    for (sequence, fragment) in (first_fragment..).zip(fragments) {
        self::fragment(fragment, sequence, &mut out)?;
    }
    Ok(out)
}

fn ftyp() -> Ftyp {
    Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: [b"iso6", b"iso5", b"avc1", b"mp41"].map(FourCC::new).to_vec(),
    }
}

fn movie(tracks: &Tracks, end: u64, comment: &str, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut trak = vec![video_track(&tracks.video)?];
    let mut trex = vec![track_defaults(VIDEO_ID)];
    if let Some(sound) = &tracks.sound {
        trak.push(sound_track(sound));
        trex.push(track_defaults(SOUND_ID));
    }
    let moov = Moov {
        mvhd: Mvhd {
            timescale: TICKS_PER_SECOND,
            rate: FixedPoint::from(1),
            volume: FixedPoint::from(1),
            next_track_id: SOUND_ID + 1,
            ..Mvhd::default()
        },
        mvex: Some(Mvex { mehd: Some(Mehd { fragment_duration: end }), trex }),
        trak,
        ..Moov::default()
    };
    let start = out.len();
    moov.encode(out)?;
    // The library knows no comment tag, so `udta` is added behind its boxes.
    out.extend(user_data(comment)?);
    let size = u32_of(out.len() - start, *b"moov")?;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    Ok(())
}

fn track_defaults(track_id: u32) -> Trex {
    Trex { track_id, default_sample_description_index: 1, ..Trex::default() }
}

fn video_track(track: &VideoTrack) -> Result<Trak, Error> {
    let side = |pixels: u32| u16::try_from(pixels).map_err(|_| Error::TooLarge(Tkhd::KIND));
    let (width, height) = (side(track.coded.width)?, side(track.coded.height)?);
    let (across, down) = track.aspect;
    let shown = u64::from(track.coded.width) * u64::from(across) / u64::from(down);
    let parameters = &track.parameters;
    let mut avcc = Avcc::new(&parameters.sps, &parameters.pps)?;
    // Profiles from High on carry their sample format here (ISO/IEC 14496-15, 5.3.3.1.2).
    if matches!(avcc.avc_profile_indication, 100 | 110 | 122 | 144) {
        avcc.ext = Some(AvccExt::default());
    }
    let entry = Avc1 {
        visual: Visual { data_reference_index: 1, width, height, ..Visual::default() },
        avcc,
        colr: track.colour.map(|colour| Colr::Nclx {
            colour_primaries: colour.primaries,
            transfer_characteristics: colour.transfer,
            matrix_coefficients: colour.matrix,
            full_range_flag: colour.full_range,
        }),
        pasp: Some(Pasp { h_spacing: across, v_spacing: down }),
        ..Avc1::default()
    };
    let header = Tkhd {
        width: FixedPoint::from(u16::try_from(shown).unwrap_or(u16::MAX)),
        height: FixedPoint::from(height),
        ..track_header(VIDEO_ID)
    };
    let minf = Minf { vmhd: Some(Vmhd::default()), ..media_info(entry.into()) };
    Ok(trak(header, TICKS_PER_SECOND, *b"vide", minf))
}

fn sound_track(track: &SoundTrack) -> Trak {
    let bitrate = sound::bitrate(track.channels);
    let config = DecoderConfig {
        // MPEG-4 audio in an audio stream (ISO/IEC 14496-1, tables 5 and 6).
        object_type_indication: 0x40,
        stream_type: 5,
        max_bitrate: bitrate,
        avg_bitrate: bitrate,
        dec_specific: Some(DecoderSpecific {
            raw: sound::config_of(track.channels).to_vec(),
            ..DecoderSpecific::default()
        }),
        ..DecoderConfig::default()
    };
    let entry = Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count: u16::from(track.channels),
            sample_size: 16,
            sample_rate: FixedPoint::from(u16::try_from(sound::RATE).unwrap_or(u16::MAX)),
        },
        esds: Esds {
            es_desc: EsDescriptor {
                dec_config: config,
                sl_config: SLConfig::default(),
                ..EsDescriptor::default()
            },
        },
        btrt: None,
        taic: None,
    };
    let header = Tkhd { alternate_group: 1, volume: FixedPoint::from(1), ..track_header(SOUND_ID) };
    let minf = Minf { smhd: Some(Smhd::default()), ..media_info(entry.into()) };
    trak(header, sound::RATE, *b"soun", minf)
}

fn track_header(track_id: u32) -> Tkhd {
    Tkhd { track_id, enabled: true, in_movie: true, ..Tkhd::default() }
}

fn media_info(entry: mp4_atom::Codec) -> Minf {
    Minf {
        dinf: Dinf { dref: Dref { entries: vec![DrefEntry::Url(Url::default())] } },
        stbl: Stbl {
            stsd: Stsd { codecs: vec![entry] },
            // An empty offset table is required even where all samples are in fragments.
            stco: Some(mp4_atom::Stco::default()),
            ..Stbl::default()
        },
        ..Minf::default()
    }
}

fn trak(tkhd: Tkhd, timescale: u32, handler: [u8; 4], minf: Minf) -> Trak {
    let mdhd = Mdhd { timescale, language: "und".into(), ..Mdhd::default() };
    let hdlr = Hdlr { handler: FourCC::new(&handler), name: String::new() };
    Trak { tkhd, mdia: Mdia { mdhd, hdlr, minf }, ..Trak::default() }
}

fn fragment(fragment: &Fragment, sequence: u32, out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    let video_bytes: usize = fragment.video.iter().map(|sample| sample.data.len()).sum();
    // The offsets into `mdat` need the size of `moof`, which does not depend on their values.
    header(fragment, sequence, 0, video_bytes)?.encode(out)?;
    let size = out.len() - start;
    out.truncate(start);
    header(fragment, sequence, size + 8, video_bytes)?.encode(out)?;
    let bytes = u32_of(fragment.bytes() + 8, *b"mdat")?;
    out.extend(bytes.to_be_bytes());
    out.extend(b"mdat");
    fragment.video.iter().for_each(|sample| out.extend(&sample.data));
    fragment.sound.iter().for_each(|packet| out.extend(packet));
    Ok(())
}

fn header(
    fragment: &Fragment,
    sequence_number: u32,
    media: usize,
    video_bytes: usize,
) -> Result<Moof, Error> {
    let video = fragment.video.iter().map(Sample::entry).collect::<Result<Vec<_>, _>>()?;
    let mut traf = vec![track_run(VIDEO_ID, fragment.video_start, media, video, None)?];
    if !fragment.sound.is_empty() {
        let entries = fragment.sound.iter().map(|packet| {
            Ok(TrunEntry { size: Some(u32_of(packet.len(), *b"trun")?), ..TrunEntry::default() })
        });
        let entries = entries.collect::<Result<Vec<_>, Error>>()?;
        let defaults = u32::try_from(PACKET).ok();
        let at = media + video_bytes;
        traf.push(track_run(SOUND_ID, fragment.sound_start, at, entries, defaults)?);
    }
    Ok(Moof { mfhd: Mfhd { sequence_number }, traf })
}

/// `duration` is that of every sample of sound, each of which can be decoded by itself.
fn track_run(
    track_id: u32,
    start: u64,
    media: usize,
    entries: Vec<TrunEntry>,
    duration: Option<u32>,
) -> Result<Traf, Error> {
    let offset = i32::try_from(media).map_err(|_| Error::TooLarge(Trun::KIND))?;
    Ok(Traf {
        tfhd: Tfhd {
            track_id,
            default_base_is_moof: true,
            default_sample_duration: duration,
            default_sample_flags: duration.map(|_| SYNC),
            ..Tfhd::default()
        },
        tfdt: Some(Tfdt { base_media_decode_time: start }),
        trun: vec![Trun { data_offset: Some(offset), samples: entries.into() }],
        ..Traf::default()
    })
}

impl Sample {
    fn entry(&self) -> Result<TrunEntry, Error> {
        Ok(TrunEntry {
            duration: Some(self.duration),
            size: Some(u32_of(self.data.len(), *b"trun")?),
            flags: Some(if self.sync { SYNC } else { NON_SYNC }),
            cts: None,
        })
    }
}

impl Fragment {
    /// Bytes of media.
    fn bytes(&self) -> usize {
        self.video.iter().map(|sample| sample.data.len()).sum::<usize>()
            + self.sound.iter().map(Vec::len).sum::<usize>()
    }
}

/// The tags that `ffprobe` and players show, in the form that iTunes began and all of them read.
pub(super) fn user_data(comment: &str) -> Result<Vec<u8>, Error> {
    // Version and flags, a predefined 0, then the handler of tags; three reserved words, the
    // first of which says "appl", and an empty name.
    let handler = boxed(*b"hdlr", &[b"\0\0\0\0\0\0\0\0mdirappl", &[0; 9]])?;
    let list =
        boxed(*b"ilst", &[&text_tag(*b"\xa9cmt", comment)?, &text_tag(*b"\xa9too", WRITER)?])?;
    let meta = boxed(*b"meta", &[&[0; 4], &handler, &list])?;
    boxed(*b"udta", &[&meta])
}

fn text_tag(kind: [u8; 4], text: &str) -> Result<Vec<u8>, Error> {
    // Type 1: UTF-8; no locale.
    boxed(kind, &[&boxed(*b"data", &[b"\0\0\0\x01\0\0\0\0", text.as_bytes()])?])
}

fn boxed(kind: [u8; 4], parts: &[&[u8]]) -> Result<Vec<u8>, Error> {
    let size = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut out = Vec::with_capacity(size);
    out.extend(u32_of(size, kind)?.to_be_bytes());
    out.extend(kind);
    for part in parts {
        out.extend(*part);
    }
    Ok(out)
}

fn u32_of(size: usize, kind: [u8; 4]) -> Result<u32, Error> {
    u32::try_from(size).map_err(|_| Error::TooLarge(FourCC::new(&kind)))
}
