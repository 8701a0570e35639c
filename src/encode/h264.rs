//! The few things that must be known about an H.264 byte stream to store it in MP4 (ITU-T H.264
//! Annex B to ISO/IEC 14496-15): where units begin, which of them are pictures, what kind.
//!
//! Only slices and parameter sets are kept. Delimiters are not allowed in MP4, and supplemental
//! messages hold nothing that a player needs.

/// One encoded picture.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AccessUnit {
    /// Slices, each behind its length in four bytes.
    pub data: Vec<u8>,
    /// Whether it is an instantaneous decoder refresh: decoding can begin here.
    pub idr: bool,
    /// Parameter sets that came with it.
    pub parameters: Option<Parameters>,
}

/// The parameter sets of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    /// Sequence parameter set, without start code.
    pub sps: Vec<u8>,
    /// Picture parameter set, without start code.
    pub pps: Vec<u8>,
}

// Kinds of units (ITU-T H.264 table 7-1).
const SLICE: u8 = 1;
const IDR_SLICE: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;

impl AccessUnit {
    /// Takes one access unit of a byte stream apart.
    pub(super) fn parse(stream: &[u8]) -> Result<Self, &'static str> {
        let mut unit =
            Self { data: Vec::with_capacity(stream.len()), idr: false, parameters: None };
        let (mut sps, mut pps) = (None, None);
        for nal in Nals::new(stream) {
            match nal.first().map_or(0, |header| header & 0x1f) {
                kind @ (SLICE | IDR_SLICE) => {
                    if slice_is_bidirectional(nal).ok_or("a slice is cut short")? {
                        return Err("a picture refers to a later one");
                    }
                    unit.idr |= kind == IDR_SLICE;
                    let length = u32::try_from(nal.len()).map_err(|_| "a slice is too large")?;
                    unit.data.extend(length.to_be_bytes());
                    unit.data.extend(nal);
                }
                SPS => keep_one(&mut sps, nal)?,
                PPS => keep_one(&mut pps, nal)?,
                _ => {}
            }
        }
        if unit.data.is_empty() {
            return Err("a picture without slices");
        }
        unit.parameters = match (sps, pps) {
            (Some(sps), Some(pps)) => Some(Parameters { sps, pps }),
            (None, None) => None,
            _ => return Err("half of the parameter sets is missing"),
        };
        Ok(unit)
    }
}

fn keep_one(place: &mut Option<Vec<u8>>, nal: &[u8]) -> Result<(), &'static str> {
    match place {
        Some(old) if old.as_slice() != nal => Err("two different parameter sets at once"),
        Some(_) => Ok(()),
        None => {
            *place = Some(nal.to_vec());
            Ok(())
        }
    }
}

/// Whether a slice may use pictures from the future: `slice_type` modulo 5 is 1 (table 7-6).
fn slice_is_bidirectional(nal: &[u8]) -> Option<bool> {
    // Both numbers lie within the first nine bytes: each is an exponential Golomb code of at most
    // 63 bits in theory, and of far fewer for any real picture.
    let mut bits = Bits { bytes: nal.get(1..)?, at: 0 };
    let _first_macroblock = bits.golomb()?;
    Some(bits.golomb()? % 5 == 1)
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    /// An unsigned exponential Golomb code (clause 9.1).
    fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 30 {
                return None;
            }
        }
        let mut value = 1;
        for _ in 0..zeros {
            value = value << 1 | self.bit()?;
        }
        Some(value - 1)
    }
}

/// Units of a byte stream, without start codes and the zeros in front of them.
struct Nals<'a> {
    rest: &'a [u8],
}

impl<'a> Nals<'a> {
    fn new(stream: &'a [u8]) -> Self {
        let rest = start_code(stream).map_or(&[][..], |at| &stream[at + 3..]);
        Self { rest }
    }
}

impl<'a> Iterator for Nals<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (nal, rest) = match start_code(self.rest) {
            Some(at) => (&self.rest[..at], &self.rest[at + 3..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        // A unit never ends in a zero byte (clause 7.4.1), so zeros belong to the next start code.
        let end = nal.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
        Some(&nal[..end])
    }
}

/// Where the next 00 00 01 begins.
fn start_code(bytes: &[u8]) -> Option<usize> {
    // Skips three bytes at a time where the third cannot belong to a start code: most bytes of a
    // picture are looked at once in three.
    let mut at = 2;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            1 if bytes[at - 1] == 0 && bytes[at - 2] == 0 => return Some(at - 2),
            0 => at += 1,
            _ => at += 3,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_frame_is_taken_apart() {
        let stream = [
            &[0, 0, 0, 1, 0x09, 0xf0][..],
            &[0, 0, 0, 1, 0x67, 66, 192, 13, 7],
            &[0, 0, 0, 1, 0x68, 0xce],
            &[0, 0, 1, 0x06, 5, 1, 0xff, 0x80],
            // First macroblock 0 ("1"), slice type 7 ("0001000").
            &[0, 0, 1, 0x65, 0b1000_1000, 0x84, 1],
        ]
        .concat();
        let unit = AccessUnit::parse(&stream).unwrap();
        assert!(unit.idr);
        assert_eq!(unit.data, [0, 0, 0, 4, 0x65, 0b1000_1000, 0x84, 1]);
        let parameters = unit.parameters.unwrap();
        assert_eq!(parameters.sps, [0x67, 66, 192, 13, 7]);
        assert_eq!(parameters.pps, [0x68, 0xce]);
    }

    #[test]
    fn bidirectional_and_empty_pictures_are_refused() {
        // Slice type 6, "00111", is a B slice, and so is 1, "010".
        for slice in [0b1001_1100, 0b1010_0000] {
            assert!(AccessUnit::parse(&[0, 0, 1, 0x41, slice, 0x80]).is_err());
        }
        for bad in [&[][..], &[1, 2, 3], &[0, 0, 1], &[0, 0, 1, 0x67, 1], &[0, 0, 1, 0x41]] {
            assert!(AccessUnit::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn units_are_found_again(
            units in prop::collection::vec(prop::collection::vec(2u8..=255, 1..20), 1..8),
            long in any::<bool>(),
        ) {
            let mut stream = Vec::new();
            for unit in &units {
                stream.extend(if long { &[0, 0, 0, 1][..] } else { &[0, 0, 1] });
                stream.extend(unit);
            }
            let found: Vec<_> = Nals::new(&stream).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(found, units);
        }

        #[test]
        fn no_bytes_make_it_stumble(bytes in prop::collection::vec(0u8..4, 0..60)) {
            let _ = AccessUnit::parse(&bytes);
        }
    }
}
