//! Reference photos: found beside the list, checked, decoded upright.
//!
//! Belongs here: paths, file types, limits, orientation, age. Does not belong: faces ([`super::face`]).
//! A photo is read from where it lies and never copied; of a photo the store keeps a digest and a
//! day.

use std::{
    fmt,
    io::{Cursor, Read},
    path::{Component, Path, PathBuf},
};

use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, imageops,
    metadata::Orientation,
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use sha2::{Digest, Sha256};

use super::{
    exif,
    fault::{Fault, Position},
};
use crate::frame::{FrameSize, pixels::BgrImage};

/// Largest photo file; a phone's own largest JPEG is about 40 MiB.
const MAX_BYTES: u64 = 64 << 20;
const MAX_BYTES_TEXT: &str = "64 MiB";

/// Most pixels of one photo: 50 megapixels are 150 MB decoded, a quarter of the memory budget.
const MAX_PIXELS: u64 = 50_000_000;
const MAX_PIXELS_TEXT: &str = "50 megapixels";

/// Most bytes of one photo once decoded: 50 megapixels of three bytes, with room for a fourth.
const MAX_DECODED: u64 = 200 << 20;
const MAX_DECODED_TEXT: &str = "200 MiB decoded";

/// Most memory that decoding may take beside the picture itself.
const MAX_ALLOC: u64 = 256 << 20;

/// Longest side that is kept: a face of 40 pixels there is 2% of the picture, and a smaller one is
/// no portrait.
const LONGEST: u32 = 2560;

/// SHA-256 of a photo's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhotoDigest([u8; 32]);

impl PhotoDigest {
    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for PhotoDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for PhotoDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for PhotoDigest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(BadDigest);
        }
        let mut digest = [0; 32];
        for (i, byte) in digest.iter_mut().enumerate() {
            let pair = text.get(2 * i..2 * i + 2).ok_or(BadDigest)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| BadDigest)?;
        }
        Ok(Self(digest))
    }
}

/// A text that is no SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 64 digits of 0-9 and a-f")]
pub struct BadDigest;

/// One reference photo of a listed person.
#[derive(Clone, Debug)]
pub struct Photo {
    /// Of the file's bytes.
    pub digest: PhotoDigest,
    /// The day it was taken, or a later one: what EXIF says, or the day the file was last changed,
    /// whichever is earlier.
    pub taken: Option<Date>,
    /// Where it lies; a photo of a stored list is not at hand.
    pub(super) origin: Option<Origin>,
}

/// Where a photo lies and where the list names it.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    file: PathBuf,
    pub(super) name: String,
    pub(super) at: Position,
}

impl Photo {
    /// A photo that a stored list names.
    pub(super) const fn stored(digest: PhotoDigest, taken: Option<Date>) -> Self {
        Self { digest, taken, origin: None }
    }

    /// Finds `name` under `folder` (canonical) and checks that it is a picture.
    pub(super) fn find(folder: &Path, name: &str, at: Position) -> Result<Self, Fault> {
        let file = locate(folder, name)?;
        let (bytes, changed) = read(&file, name)?;
        let (_, taken) = decode(&bytes, name)?;
        let taken = [taken, changed].into_iter().flatten().min();
        let origin = Origin { file, name: name.to_owned(), at };
        Ok(Self { digest: PhotoDigest::of(&bytes), taken, origin: Some(origin) })
    }

    /// The picture, upright, at most 2560 pixels on its longer side.
    pub(super) fn picture(&self) -> Result<BgrImage, Fault> {
        let origin = self.origin.as_ref().ok_or(Fault::PhotosNotAtHand)?;
        let (bytes, _) = read(&origin.file, &origin.name)?;
        if PhotoDigest::of(&bytes) != self.digest {
            return Err(Fault::PhotoChanged(origin.name.clone()));
        }
        let (image, _) = decode(&bytes, &origin.name)?;
        Ok(bgr(image))
    }
}

fn locate(folder: &Path, name: &str) -> Result<PathBuf, Fault> {
    if name.contains('\\') {
        return Err(Fault::PhotoBackslash(name.to_owned()));
    }
    let relative = Path::new(name);
    if !relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Err(Fault::PhotoPath(name.to_owned()));
    }
    let joined = folder.join(relative);
    let unreadable = |e: &std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            Fault::PhotoMissing(name.to_owned())
        }
        cause => Fault::PhotoUnreadable { name: name.to_owned(), cause },
    };
    // Links are followed first, so that one that leads out of the folder is seen.
    let file = joined.canonicalize().map_err(|e| unreadable(&e))?;
    if !file.starts_with(folder) {
        return Err(Fault::PhotoOutside(name.to_owned()));
    }
    // Asked before opening: opening a pipe would wait for ever.
    if !file.metadata().map_err(|e| unreadable(&e))?.is_file() {
        return Err(Fault::PhotoNoFile(name.to_owned()));
    }
    Ok(file)
}

fn read(file: &Path, name: &str) -> Result<(Vec<u8>, Option<Date>), Fault> {
    let unreadable =
        |e: &std::io::Error| Fault::PhotoUnreadable { name: name.to_owned(), cause: e.kind() };
    let mut open = std::fs::File::open(file).map_err(|e| unreadable(&e))?;
    let changed = open.metadata().and_then(|m| m.modified()).ok();
    let changed = changed.and_then(|t| Timestamp::try_from(t).ok());
    let mut bytes = vec![];
    (&mut open).take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Fault::PhotoHuge { name: name.to_owned(), limit: MAX_BYTES_TEXT });
    }
    Ok((bytes, changed.map(|t| t.to_zoned(TimeZone::UTC).date())))
}

/// Decodes a photo, at most 2560 pixels long and upright, and finds the day it was taken.
fn decode(bytes: &[u8], name: &str) -> Result<(DynamicImage, Option<Date>), Fault> {
    let corrupt = || Fault::PhotoCorrupt(name.to_owned());
    let huge = |limit| Fault::PhotoHuge { name: name.to_owned(), limit };
    let format = match image::guess_format(bytes) {
        Ok(f @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) => f,
        _ if is_heic(bytes) => return Err(Fault::PhotoHeic(name.to_owned())),
        _ => return Err(Fault::PhotoType(name.to_owned())),
    };
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        return Err(corrupt());
    }
    let failed = |e: ImageError| match e {
        ImageError::Limits(_) => huge(MAX_DECODED_TEXT),
        _ => corrupt(),
    };
    let mut decoder =
        ImageReader::with_format(Cursor::new(bytes), format).into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(huge(MAX_PIXELS_TEXT));
    }
    if decoder.total_bytes() > MAX_DECODED {
        return Err(huge(MAX_DECODED_TEXT));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_ALLOC);
    decoder.set_limits(limits).map_err(failed)?;
    // A photo whose EXIF is damaged is taken as it lies; the face search finds upright faces only.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let taken = decoder.exif_metadata().ok().flatten().and_then(|e| exif::taken(&e));
    // Made smaller before it is turned, which takes a copy.
    let mut image = shrunk(DynamicImage::from_decoder(decoder).map_err(failed)?);
    image.apply_orientation(orientation);
    Ok((image, taken))
}

fn is_heic(bytes: &[u8]) -> bool {
    let brands: [&[u8]; 4] = [b"heic", b"heix", b"mif1", b"avif"];
    bytes.get(4..8) == Some(b"ftyp") && bytes.get(8..12).is_some_and(|b| brands.contains(&b))
}

/// Whether a JPEG has its end marker. The decoder fills what is missing with grey and says nothing;
/// half a face must not become a reference.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut at = 2;
    // Segments are stepped over by their length: a thumbnail inside one has an end marker too.
    while let Some(&[0xFF, marker]) = bytes.get(at..at + 2) {
        match marker {
            0xFF => at += 1,
            // Start of scan: from here on 0xFF 0xD9 can only be the end of the image.
            0xDA => {
                let rest = bytes.get(at..).unwrap_or_default();
                return rest.windows(2).any(|pair| pair == [0xFF, 0xD9]);
            }
            _ => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
            }
        }
    }
    false
}

fn shrunk(image: DynamicImage) -> DynamicImage {
    if image.width().max(image.height()) <= LONGEST {
        return image;
    }
    image.thumbnail(LONGEST, LONGEST)
}

fn bgr(image: DynamicImage) -> BgrImage {
    let size = FrameSize::new(image.width(), image.height());
    let mut data = if image.color().has_alpha() {
        // What lies under a transparent pixel is anything; grey is no face.
        let mut flat = image::RgbaImage::from_pixel(
            size.width,
            size.height,
            image::Rgba([128, 128, 128, 255]),
        );
        imageops::overlay(&mut flat, &image.into_rgba8(), 0, 0);
        DynamicImage::ImageRgba8(flat).into_rgb8().into_raw()
    } else {
        image.into_rgb8().into_raw()
    };
    for pixel in data.chunks_exact_mut(3) {
        pixel.swap(0, 2);
    }
    BgrImage { size, data }
}
