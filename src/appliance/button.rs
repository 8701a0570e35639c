//! The button: Linux `input_event` records read from a device, and what they mean.
//!
//! Belongs here: records to presses, and the thread that reads them. Does not belong: what a press
//! does (`recording`). Any key of the device is the button; the kernel's `gpio-keys` makes a button on
//! a pin such a device. A named pipe works as well, which is how it is tried without one.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
};

use crate::shutdown::Shutdown;

/// A press this long is a long one. Long enough that nobody does it by leaning on the button, short
/// enough to hold while a pupil is upset.
pub const LONG: Duration = Duration::from_millis(1500);
/// How long the button is left alone after it could not be read.
const RETRY: Duration = Duration::from_secs(1);
/// How often the thread looks whether the program ends.
const LOOK: Duration = Duration::from_millis(100);

/// `EV_SYN`, `EV_KEY` and `SYN_DROPPED` of `linux/input-event-codes.h`.
const EV_SYN: u16 = 0;
const EV_KEY: u16 = 1;
const SYN_DROPPED: u16 = 3;
/// `struct input_event`: a time of two machine words, type, code, value.
const RECORD: usize = 2 * size_of::<usize>() + 8;

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// Pressed and let go.
    Short,
    /// Held for [`LONG`]; told while it is still held.
    Long,
}

/// What is read from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Down,
    Up,
    /// The kernel lost records: what the button does now is not known.
    Lost,
}

/// Bytes to keys. Records may come in pieces.
#[derive(Debug, Default)]
struct Records(Vec<u8>);

impl Records {
    fn read(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.0.extend_from_slice(bytes);
        let whole = self.0.len() - self.0.len() % RECORD;
        let rest = self.0.split_off(whole);
        std::mem::replace(&mut self.0, rest).chunks_exact(RECORD).filter_map(key).collect()
    }
}

fn key(record: &[u8]) -> Option<Key> {
    let tail = record.get(RECORD - 8..)?;
    let kind = u16::from_ne_bytes([tail[0], tail[1]]);
    let code = u16::from_ne_bytes([tail[2], tail[3]]);
    let value = i32::from_ne_bytes([tail[4], tail[5], tail[6], tail[7]]);
    match (kind, code, value) {
        (EV_SYN, SYN_DROPPED, _) => Some(Key::Lost),
        (EV_KEY, _, 0) => Some(Key::Up),
        (EV_KEY, _, 1) => Some(Key::Down),
        // Repeats of a key that is held, and whatever else the device tells.
        _ => None,
    }
}

/// Keys to presses. Times are handed in.
#[derive(Debug, Default)]
struct Presses {
    /// Since when it is down; none once the press was told.
    down: Option<Duration>,
}

impl Presses {
    fn key(&mut self, at: Duration, key: Key) -> Option<Press> {
        match key {
            Key::Down => {
                self.down.get_or_insert(at);
                None
            }
            Key::Up => {
                let held = at.saturating_sub(self.down.take()?);
                Some(if held >= LONG { Press::Long } else { Press::Short })
            }
            Key::Lost => {
                self.down = None;
                None
            }
        }
    }

    /// A press that is long by now, although nobody let go.
    fn passed(&mut self, at: Duration) -> Option<Press> {
        let long = self.down.is_some_and(|down| at.saturating_sub(down) >= LONG);
        if long {
            self.down = None;
        }
        long.then_some(Press::Long)
    }
}

/// What the thread tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Somebody pressed.
    Pressed(Press),
    /// Whether the device can be read.
    Readable(bool),
}

/// Reads the button at `device` until `shutdown`, and tells what it does. A device that goes away is
/// opened again when it is back. For a thread of its own.
pub fn watch(device: &Path, shutdown: &Shutdown, mut tell: impl FnMut(Told)) {
    let mut readable = None;
    while !shutdown.is_requested() {
        let result = open(device).and_then(|file| {
            if readable != Some(true) {
                readable = Some(true);
                tell(Told::Readable(true));
            }
            read(file, shutdown, &mut tell)
        });
        if let Err(error) = result {
            if readable != Some(false) {
                tracing::warn!(%error, "the button cannot be read");
                readable = Some(false);
                tell(Told::Readable(false));
            }
            let until = Instant::now() + RETRY;
            while Instant::now() < until && !shutdown.is_requested() {
                std::thread::sleep(LOOK);
            }
        }
    }
}

fn open(device: &Path) -> io::Result<File> {
    let kind = std::fs::metadata(device)?.file_type();
    if !kind.is_char_device() && !kind.is_fifo() {
        let text = "is no input device: name one under /dev/input, or a named pipe";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    // A pipe that is open for writing here does not end when its writer closes it.
    OpenOptions::new().read(true).write(kind.is_fifo()).custom_flags(flags).open(device)
}

fn read(mut file: File, shutdown: &Shutdown, tell: &mut impl FnMut(Told)) -> io::Result<()> {
    let began = Instant::now();
    let (mut records, mut presses) = (Records::default(), Presses::default());
    let mut bytes = [0; 64 * RECORD];
    let patience = Timespec::try_from(LOOK).map_err(io::Error::other)?;
    while !shutdown.is_requested() {
        let mut ready = [PollFd::new(&file, PollFlags::IN)];
        match poll(&mut ready, Some(&patience)) {
            Ok(1..) => match file.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    for key in records.read(&bytes[..length]) {
                        if let Some(press) = presses.key(began.elapsed(), key) {
                            tell(Told::Pressed(press));
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            },
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(press) = presses.passed(began.elapsed()) {
            tell(Told::Pressed(press));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u16, code: u16, value: i32) -> Vec<u8> {
        let mut record = vec![7; 2 * size_of::<usize>()];
        record.extend(kind.to_ne_bytes());
        record.extend(code.to_ne_bytes());
        record.extend(value.to_ne_bytes());
        record
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn records_are_keys() {
        let mut bytes = record(EV_KEY, 148, 1);
        bytes.extend(record(EV_SYN, 0, 0));
        bytes.extend(record(EV_KEY, 148, 2));
        bytes.extend(record(4, 4, 1));
        bytes.extend(record(EV_KEY, 148, 0));
        bytes.extend(record(EV_SYN, SYN_DROPPED, 0));
        let keys = Records::default().read(&bytes);
        assert_eq!(keys, [Key::Down, Key::Up, Key::Lost]);
    }

    #[test]
    fn short_and_long() {
        let mut presses = Presses::default();
        assert_eq!(presses.key(ms(0), Key::Up), None);
        assert_eq!(presses.key(ms(0), Key::Down), None);
        assert_eq!(presses.passed(ms(1499)), None);
        assert_eq!(presses.key(ms(1499), Key::Up), Some(Press::Short));
        assert_eq!(presses.key(ms(2000), Key::Down), None);
        assert_eq!(presses.passed(ms(3500)), Some(Press::Long));
        // Told once: letting go adds nothing.
        assert_eq!(presses.passed(ms(5000)), None);
        assert_eq!(presses.key(ms(5000), Key::Up), None);
        // A thread that was late still sees a long press.
        assert_eq!(presses.key(ms(6000), Key::Down), None);
        assert_eq!(presses.key(ms(8000), Key::Up), Some(Press::Long));
        // What is not known is no press.
        assert_eq!(presses.key(ms(9000), Key::Down), None);
        assert_eq!(presses.key(ms(9100), Key::Lost), None);
        assert_eq!(presses.key(ms(9200), Key::Up), None);
    }

    proptest! {
        /// However the records are cut into pieces, the keys are the same.
        #[test]
        fn pieces_make_no_difference(
            values in prop::collection::vec(0i32..3, 0..20),
            cuts in prop::collection::vec(1usize..40, 1..20),
        ) {
            let bytes: Vec<u8> = values.iter().flat_map(|v| record(EV_KEY, 28, *v)).collect();
            let whole = Records::default().read(&bytes);
            let mut pieces = Records::default();
            let (mut keys, mut rest) = (Vec::new(), &bytes[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, more) = rest.split_at((*cut).min(rest.len()));
                keys.extend(pieces.read(piece));
                rest = more;
            }
            prop_assert_eq!(keys, whole);
        }
    }
}
