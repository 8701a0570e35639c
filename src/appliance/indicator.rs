//! The indicator: a lamp that says when pictures are taken, and is not believed but read back.
//!
//! Belongs here: an LED class folder (`/sys/class/leds/NAME`, any folder with a file `brightness`),
//! blinking, and the thread that does both. Does not belong: when it is on (`recording`).
//!
//! What is written is read back each time, and while it is on twice a second: a lamp that somebody
//! else switches off counts as broken, and the recording ends.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::shutdown::Shutdown;

/// Half a blink while arming, and from one look at a lamp that is on to the next.
const HALF: Duration = Duration::from_millis(500);
/// Half a blink of a code: quicker, so that nobody takes it for arming.
const QUICK: Duration = Duration::from_millis(200);

/// How long a lamp may take to be switched.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the indicator is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Nothing.
    Dark,
    /// A recording is about to begin.
    Blinking,
    /// Pictures are taken.
    On,
    /// A press was refused: that many quick blinks, then dark. Only where it is dark.
    Code(u8),
}

/// What the thread tells.
#[derive(Debug)]
pub enum Told {
    /// It was switched on, and read back as on.
    Lit,
    /// It does not do what it is told.
    Broken(io::Error),
    /// It does again.
    Works,
}

/// A lamp.
#[derive(Clone, Debug)]
pub struct Lamp {
    folder: PathBuf,
}

impl Lamp {
    /// The lamp of an LED class folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Switches it and reads back what it does.
    ///
    /// # Errors
    /// It cannot be written or read, or shows something else.
    pub fn switch(&self, on: bool) -> io::Result<()> {
        let brightness = self.folder.join("brightness");
        let wanted = if on { self.brightest()? } else { 0 };
        // Never made where it is missing: a file of ours would prove nothing.
        let mut file = OpenOptions::new().write(true).truncate(true).open(&brightness)?;
        file.write_all(format!("{wanted}\n").as_bytes())?;
        drop(file);
        self.shows(on)
    }

    /// Whether it is on, or off.
    ///
    /// # Errors
    /// It is not, or cannot be read.
    pub fn shows(&self, on: bool) -> io::Result<()> {
        let read = number(&self.folder.join("brightness"))?;
        if (read > 0) == on {
            Ok(())
        } else {
            Err(io::Error::other(if on { "it is off" } else { "it is on" }))
        }
    }

    /// Full brightness: what the folder says, else 1.
    fn brightest(&self) -> io::Result<u32> {
        match number(&self.folder.join("max_brightness")) {
            Ok(0) => Err(io::Error::other("its full brightness is 0")),
            Ok(most) => Ok(most),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(1),
            Err(error) => Err(error),
        }
    }

    /// Takes the lamp away from the kernel's own triggers, such as disk activity.
    fn own(&self) -> io::Result<()> {
        let trigger = self.folder.join("trigger");
        match OpenOptions::new().write(true).open(&trigger) {
            Ok(mut file) => file.write_all(b"none"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Switches it on and off again. Not while it has something to say.
    ///
    /// # Errors
    /// It does not do one or the other.
    pub fn prove(&self) -> io::Result<()> {
        self.own()?;
        self.switch(true)?;
        self.switch(false)
    }
}

fn number(path: &Path) -> io::Result<u32> {
    let text = fs::read_to_string(path)?;
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "holds no brightness");
    text.trim().parse().map_err(|_| wrong())
}

/// Whether the lamp is on `since` after it was told to `show`, and when that changes.
fn level(show: Show, since: Duration) -> (bool, Option<Duration>) {
    let blink = |half: Duration| {
        let halves = since.as_nanos() / half.as_nanos();
        let next = half * u32::try_from(halves + 1).unwrap_or(u32::MAX);
        (halves.is_multiple_of(2), Some(next))
    };
    match show {
        Show::On => (true, None),
        Show::Blinking => blink(HALF),
        Show::Code(times) if since < QUICK * u32::from(times) * 2 => blink(QUICK),
        Show::Dark | Show::Code(_) => (false, None),
    }
}

/// The end that says what to show.
#[derive(Clone, Debug)]
pub struct Indicator(Sender<Show>);

/// The end that shows it.
#[derive(Debug)]
pub struct Showing(Receiver<Show>);

/// Both ends.
#[must_use]
pub fn indicator() -> (Indicator, Showing) {
    // Capacity 8: a few words a second at most. Full: whoever says one waits for the lamp, which
    // takes milliseconds.
    let (sender, receiver) = bounded(8);
    (Indicator(sender), Showing(receiver))
}

impl Indicator {
    /// Shows this from now on. `false` where nobody is left who could, or the lamp takes too long.
    #[must_use]
    pub fn show(&self, show: Show) -> bool {
        self.0.send_timeout(show, PATIENCE).is_ok()
    }
}

impl Showing {
    /// Shows what it is told, until `shutdown` and dark. For a thread of its own.
    pub fn run(self, lamp: &Lamp, shutdown: &Shutdown, mut tell: impl FnMut(Told)) {
        let mut works = true;
        let mut judge = |result: io::Result<()>, tell: &mut dyn FnMut(Told)| match result {
            Ok(()) if !works => {
                works = true;
                tell(Told::Works);
            }
            Err(error) if works => {
                works = false;
                tell(Told::Broken(error));
            }
            _ => {}
        };
        judge(lamp.own().and_then(|()| lamp.switch(false)), &mut tell);
        let (mut show, mut since) = (Show::Dark, Instant::now());
        let mut is = false;
        while !(shutdown.is_requested() && show == Show::Dark) {
            let wait = match level(show, since.elapsed()) {
                (_, Some(next)) => next.saturating_sub(since.elapsed()).min(HALF),
                _ => HALF,
            };
            match self.0.recv_timeout(wait) {
                // Pictures are more important than a refused press.
                Ok(Show::Code(_)) if matches!(show, Show::On | Show::Blinking) => {}
                Ok(new) => {
                    (show, since) = (new, Instant::now());
                    let (on, _) = level(show, Duration::ZERO);
                    let result = lamp.switch(on);
                    is = on;
                    let lit = show == Show::On && result.is_ok();
                    judge(result, &mut tell);
                    if lit {
                        tell(Told::Lit);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let (on, _) = level(show, since.elapsed());
                    let result = if on == is { lamp.shows(on) } else { lamp.switch(on) };
                    let failed = result.is_err();
                    judge(result, &mut tell);
                    if failed {
                        // Tried again, so that it counts as mended at the next look if it is.
                        let _ = lamp.switch(on);
                    }
                    is = on;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // A light that stays on for no pictures is a lesser evil than one that is off for some.
        if show != Show::On {
            let _ = lamp.switch(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lamp(most: &str) -> (tempfile::TempDir, Lamp) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("brightness"),
            "255
",
        )
        .unwrap();
        fs::write(folder.path().join("max_brightness"), most).unwrap();
        let lamp = Lamp::new(folder.path());
        (folder, lamp)
    }

    #[test]
    fn a_lamp_is_read_back() {
        let (folder, lamp) = lamp(
            "255
",
        );
        lamp.switch(false).unwrap();
        assert!(lamp.shows(true).is_err());
        lamp.switch(true).unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join("brightness")).unwrap(),
            "255
"
        );
        lamp.prove().unwrap();
        lamp.shows(false).unwrap();
        // No lamp, and one that swallows what it is told.
        fs::remove_file(folder.path().join("brightness")).unwrap();
        assert!(lamp.prove().is_err());
        std::os::unix::fs::symlink("/dev/null", folder.path().join("brightness")).unwrap();
        assert!(lamp.prove().is_err());
    }

    #[test]
    fn a_lamp_that_cannot_shine_is_none() {
        let (_folder, lamp) = lamp(
            "0
",
        );
        assert!(lamp.prove().is_err());
    }

    #[test]
    fn patterns() {
        let ms = Duration::from_millis;
        assert_eq!(level(Show::On, ms(90_000)), (true, None));
        assert_eq!(level(Show::Blinking, ms(0)), (true, Some(ms(500))));
        assert_eq!(level(Show::Blinking, ms(700)), (false, Some(ms(1000))));
        let mut on = 0;
        for at in (0..3000).step_by(200) {
            on += u8::from(level(Show::Code(3), ms(at)).0);
        }
        assert_eq!(on, 3);
        assert_eq!(level(Show::Code(3), ms(1200)), (false, None));
    }

    #[test]
    fn a_lamp_that_somebody_switches_off_is_told() {
        let (folder, lamp) = lamp(
            "1
",
        );
        let shutdown = Shutdown::new();
        let (indicator, showing) = indicator();
        let (told, hear) = bounded(8);
        let ends = shutdown.clone();
        let thread = std::thread::Builder::new()
            .spawn(move || {
                showing.run(&lamp, &ends, |what| {
                    let word = match what {
                        Told::Lit => "lit",
                        Told::Broken(_) => "broken",
                        Told::Works => "works",
                    };
                    let _ = told.send(word);
                });
            })
            .unwrap();
        assert!(indicator.show(Show::On));
        let patience = Duration::from_secs(5);
        assert_eq!(hear.recv_timeout(patience), Ok("lit"));
        // A refused press does not make a lamp blink that says something else.
        assert!(indicator.show(Show::Code(4)));
        fs::write(
            folder.path().join("brightness"),
            "0
",
        )
        .unwrap();
        assert_eq!(hear.recv_timeout(patience), Ok("broken"));
        assert_eq!(hear.recv_timeout(patience), Ok("works"));
        shutdown.request();
        assert!(indicator.show(Show::Dark));
        thread.join().unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join("brightness")).unwrap(),
            "0
"
        );
    }
}
