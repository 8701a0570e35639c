//! What is looked after while a recording is made: the note that it is under way, the disk, the clock.
//!
//! Belongs here: looking, and saying what was seen. Does not belong: what follows (`recording`). All of
//! it may take as long as a disk takes, so it has a thread of its own, and what it looks after is
//! handed to it without waiting.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::SignedDuration;

use super::{
    codes::Code,
    crew::Ground,
    cut::{Ago, Note},
    facts::room,
    time,
};
use crate::{
    clock::{Clock as _, SystemClock, running},
    error::{ErrorKind, Kind},
    shutdown::Shutdown,
    units::RecordingId,
    vault::{
        ClockChange, ClockWhat, Memo, VaultError,
        audit::{Event, Word},
    },
};

/// How often the thread looks whether it is to look after something else.
const LOOK: Duration = Duration::from_millis(100);
/// From one look at disk and clock to the next. The note is as old when the machine dies.
const ROUND: Duration = Duration::from_secs(2);
/// From one try to go on to the next.
const AGAIN: Duration = Duration::from_secs(5);
/// From one question to the kernel whether its clock is right to the next.
const TRUST: Duration = Duration::from_secs(60);
/// How long a recording's end waits for its note to go.
const FORGETS: Duration = Duration::from_secs(1);
/// From a question about the clock to the look whether it is answered.
const SOON: Duration = Duration::from_millis(200);

/// What is looked after.
#[derive(Clone, Debug, Default, PartialEq)]
enum Wanted {
    /// Nothing: no recording is under way, and no note says so.
    #[default]
    Nothing,
    /// This recording.
    Recording { id: RecordingId, cuts: u32 },
    /// A lesson that was cut off: when it may go on.
    CutOff(Note),
}

/// Says what is to be looked after.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookout(Arc<Between>);

/// What the two sides share.
#[derive(Debug, Default)]
struct Between {
    shared: Mutex<Shared>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Shared {
    wanted: Wanted,
    /// No note is in the store.
    forgotten: bool,
}

/// What was seen.
#[derive(Debug)]
pub(super) enum Told {
    /// A reason not to record came up.
    Stands(Code, String),
    /// It is gone.
    Settled(Code),
    /// Something about the clock.
    Clock(&'static str),
    /// The lesson that was cut off so long ago may go on.
    MayGoOn(Duration),
    /// It may not any more.
    TooLate,
}

impl Lookout {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn want(&self, wanted: Wanted) {
        let forgotten = false;
        *self.lock() = Shared { wanted, forgotten };
        self.0.changed.notify_all();
    }

    /// A recording is under way, of a lesson that was cut off so often before.
    pub(super) fn recording(&self, id: RecordingId, cuts: u32) {
        self.want(Wanted::Recording { id, cuts });
    }

    /// A lesson was cut off.
    pub(super) fn cut_off(&self, note: Note) {
        self.want(Wanted::CutOff(note));
    }

    /// Nothing is to go on, whatever happens to the machine from now on. Returns when that is on disk, or
    /// the disk takes too long.
    pub(super) fn nothing(&self) {
        let mut shared = self.lock();
        if shared.wanted != Wanted::Nothing {
            *shared = Shared::default();
            self.0.changed.notify_all();
        }
        let waits = |shared: &mut Shared| !shared.forgotten;
        let waited = self.0.changed.wait_timeout_while(shared, FORGETS, waits);
        if waited.is_ok_and(|(_, waited)| waited.timed_out()) {
            tracing::error!("the note of a recording that ends could not be removed in time");
        }
    }

    /// Looks until `ended`.
    pub(super) fn run(&self, ground: &Ground, ended: &Shutdown, tell: impl Fn(Told)) {
        // Whoever is asked about the clock may take seconds: it has a thread of its own, so that a note is
        // never kept longer for it.
        std::thread::scope(|scope| {
            let (asker, questions, answers) = Asker::new();
            let answer = move || {
                for question in questions {
                    let known = ground.audit.known().unwrap_or_default();
                    let said = match question {
                        Question::Right => time::is_right(&ground.config.now(), &known),
                        Question::Kernel => time::synchronised(),
                    };
                    if answers.send((question, said)).is_err() {
                        return;
                    }
                }
            };
            let thread = std::thread::Builder::new().name("clock".to_owned());
            if let Err(error) = thread.spawn_scoped(scope, answer) {
                tracing::error!(%error, "nobody can be asked about the clock");
            }
            self.look(asker, ground, ended, tell);
        });
    }

    fn look(&self, asker: Asker, ground: &Ground, ended: &Shutdown, tell: impl Fn(Told)) {
        let mut eyes = Eyes::new(asker);
        loop {
            let is_last = ended.is_requested();
            let wanted = self.lock().wanted.clone();
            eyes.look(ground, &wanted, &tell);
            if is_last {
                return;
            }
            let mut shared = self.lock();
            if shared.wanted == wanted {
                shared.forgotten = eyes.forgotten;
                self.0.changed.notify_all();
                drop(self.0.changed.wait_timeout(shared, LOOK));
            }
        }
    }
}

/// What is asked about the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// Whether it counts as right.
    Right,
    /// Whether the kernel says that it is, whatever the settings say: a clock that came back wrong after a
    /// power cut is trusted by `danger-trust` too.
    Kernel,
}

/// Asks, and never waits.
#[derive(Debug)]
struct Asker {
    ask: Sender<Question>,
    answers: Receiver<(Question, bool)>,
    open: Option<Question>,
}

impl Asker {
    /// With the ends for whoever answers.
    fn new() -> (Self, Receiver<Question>, Sender<(Question, bool)>) {
        // Capacity 1 each: there is one open question at most, so nobody ever waits.
        let (ask, questions) = bounded(1);
        let (answer, answers) = bounded(1);
        (Self { ask, answers, open: None }, questions, answer)
    }

    /// The answer, once there is one.
    fn hear(&mut self, question: Question) -> Option<bool> {
        if let Ok((of, said)) = self.answers.try_recv() {
            self.open = None;
            if of == question {
                return Some(said);
            }
        }
        if self.open.is_none() && self.ask.try_send(question).is_ok() {
            self.open = Some(question);
        }
        None
    }
}

/// What the thread remembers from look to look.
#[derive(Debug)]
struct Eyes {
    asker: Asker,
    before: Option<Wanted>,
    due: Duration,
    /// No note is in the store.
    forgotten: bool,
    standing: BTreeMap<Code, String>,
    clock: Option<(jiff::Timestamp, Duration)>,
    trust: Option<(Duration, bool)>,
    /// Since when this is looked after.
    since: Duration,
}

impl Eyes {
    const fn new(asker: Asker) -> Self {
        Self {
            asker,
            before: None,
            due: Duration::ZERO,
            forgotten: false,
            standing: BTreeMap::new(),
            clock: None,
            trust: None,
            since: Duration::ZERO,
        }
    }

    fn look(&mut self, ground: &Ground, wanted: &Wanted, tell: &impl Fn(Told)) {
        let now = running();
        if self.before.as_ref() != Some(wanted) {
            self.before = Some(wanted.clone());
            (self.due, self.since, self.clock, self.trust) = (now, now, None, None);
        }
        if now < self.due {
            return;
        }
        self.due = now + ROUND;
        let store = &ground.places.store;
        match wanted {
            Wanted::Nothing => {
                if !self.forgotten {
                    match Memo::UnderWay.remove(store) {
                        Ok(()) => self.forgotten = true,
                        Err(error) => tracing::error!(%error, "a note could not be removed"),
                    }
                }
                if !self.standing.is_empty() {
                    self.weigh(disk(store, reserve(ground)), tell);
                }
            }
            Wanted::Recording { id, cuts } => {
                self.forgotten = false;
                let noted = Note::of(*id, *cuts).write(store).map_err(|error| {
                    let code = match &error {
                        VaultError::Io { .. } if error.kind() == ErrorKind::Exhausted => {
                            Code::DiskSmall
                        }
                        _ => Code::DiskUnwritable,
                    };
                    (code, error.to_string())
                });
                self.weigh(noted.and_then(|()| disk(store, reserve(ground))), tell);
                self.look_at_clock(ground, *id, now, tell);
            }
            Wanted::CutOff(note) => {
                self.due = now + AGAIN;
                let mut asked = None;
                let ago = note.ago(|| {
                    asked = self.asker.hear(Question::Kernel);
                    asked.unwrap_or(false)
                });
                match ago {
                    Ago::Known(ago) => tell(Told::MayGoOn(ago)),
                    Ago::Unknown if asked.is_none() => self.due = now + SOON,
                    Ago::Unknown => tracing::info!("the time is not known yet"),
                    Ago::TooLong => tell(Told::TooLate),
                }
            }
        }
    }

    /// Tells what changed of what stands.
    fn weigh(&mut self, seen: Result<(), (Code, String)>, tell: &impl Fn(Told)) {
        let seen: BTreeMap<Code, String> = seen.err().into_iter().collect();
        for (code, text) in &seen {
            if !self.standing.contains_key(code) {
                tell(Told::Stands(*code, text.clone()));
            }
        }
        for code in self.standing.keys().filter(|code| !seen.contains_key(code)) {
            tell(Told::Settled(*code));
        }
        self.standing = seen;
    }

    /// States what became of the clock. The recording goes on by its own count of time.
    fn look_at_clock(
        &mut self,
        ground: &Ground,
        recording: RecordingId,
        now: Duration,
        tell: &impl Fn(Told),
    ) {
        let after_ms =
            u64::try_from(now.saturating_sub(self.since).as_millis()).unwrap_or(u64::MAX);
        let state = |change: ClockWhat, what: &'static str| {
            tracing::error!(%recording, what, "the clock");
            ground.note_clock(ClockChange { what: change, after_ms });
            let event = Event::Fault { recording: Some(recording), what: Word::new(what) };
            if let Err(error) = ground.audit.append(SystemClock.now(), &event) {
                tracing::error!(%recording, %error, "could not be written into the log");
            }
            tell(Told::Clock(what));
        };
        let at = SystemClock.now();
        if let Some((before, then)) = self.clock.replace((at, now)) {
            let passed = SignedDuration::try_from(now.saturating_sub(then));
            let by = at.duration_since(before) - passed.unwrap_or(SignedDuration::MAX);
            if by > time::JUMP {
                state(ClockWhat::SetForward, "the clock was set forward while it was recorded");
            } else if -by > time::JUMP {
                state(ClockWhat::SetBack, "the clock was set back while it was recorded");
            }
        }
        let is_due = self.trust.is_none_or(|(asked, _)| now.saturating_sub(asked) >= TRUST);
        if is_due && let Some(trusted) = self.asker.hear(Question::Right) {
            match self.trust.replace((now, trusted)) {
                Some((_, true)) if !trusted => {
                    let what = "nobody says any more that the clock is right";
                    state(ClockWhat::Untrusted, what);
                }
                Some((_, false)) if trusted => {
                    state(ClockWhat::Trusted, "the clock is known to be right again");
                }
                _ => {}
            }
        }
    }
}

fn reserve(ground: &Ground) -> u64 {
    ground.config.now().limits.disk_reserve.0
}

/// Whether there is room for a recording to go on.
fn disk(store: &Path, reserve: u64) -> Result<(), (Code, String)> {
    let gone = || (Code::DiskUnwritable, "the store is gone".to_owned());
    store.is_dir().then_some(()).ok_or_else(gone)?;
    let free = room(store).map_err(|error| (Code::DiskUnwritable, error))?;
    if free < reserve {
        let text = format!("{} MiB are free, less than the reserve", free >> 20);
        return Err((Code::DiskSmall, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_answer_about_the_clock_holds_nobody_up() {
        let (mut asker, questions, answers) = Asker::new();
        for _ in 0..3 {
            assert_eq!(asker.hear(Question::Right), None);
        }
        // Asked once; an answer to another question is none to this one.
        assert_eq!(questions.try_iter().collect::<Vec<_>>(), [Question::Right]);
        answers.send((Question::Right, true)).unwrap();
        assert_eq!(asker.hear(Question::Kernel), None);
        assert_eq!(questions.try_iter().collect::<Vec<_>>(), [Question::Kernel]);
        answers.send((Question::Kernel, true)).unwrap();
        assert_eq!(asker.hear(Question::Kernel), Some(true));
        drop((questions, answers));
        assert_eq!(asker.hear(Question::Kernel), None);
    }
}
