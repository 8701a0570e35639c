//! The one thing that EXIF tells us beside orientation: the day a photo was taken.
//!
//! Reads the TIFF structure as far as needed; anything unexpected means "unknown", never an error.

use jiff::civil::Date;

/// Tag of the pointer from the first directory to the EXIF directory.
const EXIF_DIRECTORY: u16 = 0x8769;
/// `DateTimeOriginal`: when the picture was taken.
const TAKEN: u16 = 0x9003;
/// `DateTimeDigitized`: when a print was scanned; a bound where the first is missing.
const DIGITIZED: u16 = 0x9004;

/// The day that `chunk`, with or without its `Exif` header, says the photo was taken.
pub(super) fn taken(chunk: &[u8]) -> Option<Date> {
    let tiff = Tiff::new(chunk.strip_prefix(b"Exif\0\0").unwrap_or(chunk))?;
    let exif = tiff.entry(tiff.long(4)?, EXIF_DIRECTORY)?;
    let exif = tiff.long(exif.checked_add(8)?)?;
    let day = |tag| {
        let entry = tiff.entry(exif, tag)?;
        // Twenty characters never fit into the entry itself, which then holds their place.
        let at = usize::try_from(tiff.long(entry.checked_add(8)?)?).ok()?;
        date(tiff.bytes.get(at..at.checked_add(10)?)?)
    };
    day(TAKEN).or_else(|| day(DIGITIZED))
}

/// `2026:09:01`, as EXIF writes a day.
fn date(text: &[u8]) -> Option<Date> {
    let text = std::str::from_utf8(text).ok()?;
    let mut parts = text.split(':');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    // A camera whose clock was never set says 0000:00:00, which is no date.
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

struct Tiff<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl<'a> Tiff<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        match bytes.get(..4)? {
            b"II*\0" => Some(Self { bytes, little: true }),
            b"MM\0*" => Some(Self { bytes, little: false }),
            _ => None,
        }
    }

    fn short(&self, at: u32) -> Option<u16> {
        let at = usize::try_from(at).ok()?;
        let two = self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.little { u16::from_le_bytes(two) } else { u16::from_be_bytes(two) })
    }

    fn long(&self, at: u32) -> Option<u32> {
        let at = usize::try_from(at).ok()?;
        let four = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    }

    /// Where the entry of `tag` stands in the directory at `directory`.
    fn entry(&self, directory: u32, tag: u16) -> Option<u32> {
        let count = u32::from(self.short(directory)?);
        (0..count)
            .filter_map(|i| directory.checked_add(2 + 12 * i))
            .find(|at| self.short(*at) == Some(tag))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    /// One directory with a pointer to another, which holds one date.
    fn sample(tag: u16, text: &str, big: bool) -> Vec<u8> {
        let s = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let l = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let mut b = if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
        b.extend(l(8));
        b.extend(s(1));
        for part in [s(EXIF_DIRECTORY).as_slice(), &s(4), &l(1), &l(26), &l(0)] {
            b.extend(part);
        }
        b.extend(s(1));
        for part in [s(tag).as_slice(), &s(2), &l(20), &l(44), &l(0)] {
            b.extend(part);
        }
        b.extend(text.as_bytes());
        b
    }

    #[test]
    fn both_byte_orders_are_read() {
        for big in [false, true] {
            let chunk = sample(TAKEN, "2024:05:06 07:08:09\0", big);
            assert_eq!(taken(&chunk), Some(date(2024, 5, 6)));
            let headed = [b"Exif\0\0", chunk.as_slice()].concat();
            assert_eq!(taken(&headed), Some(date(2024, 5, 6)));
        }
        assert_eq!(
            taken(&sample(DIGITIZED, "2024:05:06 07:08:09\0", false)),
            Some(date(2024, 5, 6))
        );
    }

    #[test]
    fn an_unset_clock_is_no_date() {
        assert_eq!(taken(&sample(TAKEN, "0000:00:00 00:00:00\0", false)), None);
        assert_eq!(taken(&sample(TAKEN, "    :  :     :  :  \0", false)), None);
    }

    proptest! {
        #[test]
        fn no_bytes_upset_it(mut junk: Vec<u8>, keep in 0usize..70) {
            let mut chunk = sample(TAKEN, "2024:05:06 07:08:09\0", false);
            chunk.truncate(keep);
            chunk.append(&mut junk);
            let _ = taken(&chunk);
        }
    }
}
