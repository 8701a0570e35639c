//! A recording that was cut off by a crash or a power cut, and whether its lesson goes on.
//!
//! Belongs here: the note that a recording is under way, what is left of it at the next start, and for
//! how long. Does not belong: sealing what was cut off (`vault::recover`), beginning again
//! (`recording`).
//!
//! The key of the recording that was cut off existed in memory only. What goes on is a recording of
//! its own, for the same lesson and the same people, that ends and is destroyed no later.

use std::{path::Path, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    lesson::{Continued, Lesson, Veiled},
    recording::{self, At, Event},
    steward::Service,
};
use crate::{
    clock::{Clock as _, SystemClock, boot, running},
    units::{PersonId, Pts, RecordingId},
    vault::{BoxPublicKey, Manifest, Memo, Names, State, VaultError, shelf},
};

/// A lesson that was cut off longer ago than this is over.
pub(super) const WITHIN: Duration = Duration::from_secs(120);
/// A lesson is not taken up again more often than this: something brings the box down.
const CUTS: u32 = 5;
/// It is not worth the lamp's light to go on for less.
const WORTH: Duration = Duration::from_secs(10);

/// A moment by all clocks that the machine has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Moment {
    /// The time of day.
    at: Timestamp,
    /// Which run of the machine it is.
    boot: String,
    /// For how long it runs; nobody can set it.
    running_ms: u64,
}

/// How long ago something was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ago {
    /// So long.
    Known(Duration),
    /// Nobody can say before the time of day is known.
    Unknown,
    /// Too long, or the clock went back.
    TooLong,
}

impl Moment {
    pub(super) fn now() -> Self {
        let running_ms = u64::try_from(running().as_millis()).unwrap_or(u64::MAX);
        Self { at: SystemClock.now(), boot: boot(), running_ms }
    }

    /// How long before `now` it was. Within one run of the machine that is known whatever the time of
    /// day is; after it only where that is `trusted`.
    fn ago(&self, now: &Self, trusted: impl FnOnce() -> bool) -> Ago {
        // Where the kernel does not say which run it is, none is the same as another.
        let ago = if self.boot == now.boot && !self.boot.is_empty() {
            now.running_ms.checked_sub(self.running_ms).map(Duration::from_millis)
        } else if now.running_ms > u64::try_from(WITHIN.as_millis()).unwrap_or(u64::MAX) {
            None
        } else if trusted() {
            Duration::try_from(now.at.duration_since(self.at)).ok()
        } else {
            return Ago::Unknown;
        };
        ago.filter(|ago| *ago <= WITHIN).map_or(Ago::TooLong, Ago::Known)
    }
}

/// The note that a recording is under way, as it stands in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    recording: RecordingId,
    /// How often its lesson was cut off before.
    cuts: u32,
    /// When the box was last seen recording.
    seen: Moment,
}

impl Note {
    /// `recording` is under way now.
    pub(super) fn of(recording: RecordingId, cuts: u32) -> Self {
        Self { recording, cuts, seen: Moment::now() }
    }

    pub(super) fn write(&self, store: &Path) -> Result<(), VaultError> {
        Memo::UnderWay.write(store, self)
    }

    /// How long ago it was seen. `trusted` is asked where only the time of day can tell.
    pub(super) fn ago(&self, trusted: impl FnOnce() -> bool) -> Ago {
        self.seen.ago(&Moment::now(), trusted)
    }
}

/// A lesson that was cut off and may go on.
#[derive(Debug)]
pub(super) struct CutOff {
    pub(super) note: Note,
    manifest: Box<Manifest>,
    /// Recordings of the lesson that had been cut off before.
    earlier: Vec<RecordingId>,
}

/// What was under way in `store` when the program ended last. Recovery has sealed it by now.
pub(super) fn find(store: &Path, key: &BoxPublicKey) -> Result<Option<CutOff>, String> {
    let unreadable = |error: VaultError| error.to_string();
    let Some(mut note) = Memo::UnderWay.read::<Note>(store).map_err(unreadable)? else {
        return Ok(None);
    };
    let manifest = shelf::manifest(store, note.recording, key).map_err(unreadable)?;
    // It was about to begin, or it was destroyed since.
    let Some(mut manifest) = manifest else { return Ok(None) };
    // Whoever was killed between a recording's beginning and the note of it left the note of the one before.
    for id in shelf::recordings(store).map_err(unreadable)? {
        if id <= note.recording || note.cuts >= CUTS {
            continue;
        }
        let later = shelf::manifest(store, id, key).map_err(unreadable)?;
        let goes_on = |later: &Manifest| {
            later.continues.as_ref().is_some_and(|first| first.recording == note.recording)
        };
        if let Some(later) = later.filter(goes_on) {
            note = Note { recording: id, cuts: note.cuts + 1, ..note };
            manifest = later;
        }
    }
    match manifest.state {
        State::Interrupted => {}
        State::Recording => return Err("it could not be sealed".to_owned()),
        // It had ended, and only the note was left.
        State::Sealed => return Ok(None),
    }
    if note.cuts >= CUTS {
        return Err(format!("it was cut off {} times", note.cuts + 1));
    }
    let mut earlier = Vec::new();
    let mut before = manifest.continues.as_ref().map(|first| first.recording);
    // No more often than it may have been cut off, whatever the manifests say of each other.
    for _ in 0..CUTS {
        let Some(id) = before else { break };
        earlier.push(id);
        let manifest = shelf::manifest(store, id, key).map_err(unreadable)?;
        before = manifest.and_then(|one| one.continues).map(|first| first.recording);
    }
    Ok(Some(CutOff { note, manifest: Box::new(manifest), earlier }))
}

impl CutOff {
    pub(super) fn recording(&self) -> RecordingId {
        self.note.recording
    }

    /// All recordings of the lesson so far.
    pub(super) fn recordings(&self) -> impl Iterator<Item = RecordingId> {
        [self.note.recording].into_iter().chain(self.earlier.iter().copied())
    }

    /// The coach of the lesson.
    pub(super) fn coach(&self) -> Option<&PersonId> {
        self.manifest.coach.as_ref()
    }

    /// The teacher of the lesson.
    pub(super) fn teacher(&self) -> Option<&PersonId> {
        self.manifest.teacher.as_ref()
    }

    /// What is left of the lesson, `ago` after it was cut off; none where it is over. `longest` is how
    /// long a recording may be, `now` the program's own time.
    pub(super) fn lesson(&self, ago: Duration, longest: Duration, now: At) -> Option<Lesson> {
        let Manifest { started, delete_by, continues, .. } = &*self.manifest;
        let lesson_started = continues.as_ref().map_or(*started, |first| first.lesson_started);
        let recorded = self.note.seen.at.duration_since(lesson_started);
        let ends = self.manifest.segments.iter().filter_map(|segment| segment.end_ns).max();
        let kept = ends.unwrap_or(Pts::ZERO).since(Pts::ZERO);
        // A clock that went back makes no lesson longer.
        let over = Duration::try_from(recorded).ok()?.max(kept).saturating_add(ago);
        let left = longest.checked_sub(over).filter(|left| *left >= WORTH)?;
        let kept = SignedDuration::try_from(kept).ok()?;
        Some(Lesson {
            class: self.manifest.class.clone(),
            teacher: self.manifest.teacher.clone(),
            coach: self.manifest.coach.clone(),
            // Sealed with the first recording; the box cannot read it.
            question: String::new(),
            names: Names::default(),
            purpose: self.manifest.purpose,
            planned: left,
            continues: Some(Box::new(Continued {
                recording: self.note.recording,
                earlier: self.earlier.clone(),
                lesson_started,
                kept_until: started.checked_add(kept).ok()?,
                delete_by: *delete_by,
                policy: self.manifest.policy.clone(),
                recipients: self.manifest.recipients.clone(),
                veiled: Veiled::of(&self.manifest),
                cuts: self.note.cuts + 1,
                ends: now.saturating_add(left),
            })),
        })
    }
}

impl Service {
    /// What an earlier end of the program left: whether a recording had been cut off, and whether its
    /// lesson may go on.
    pub(super) fn take_up(&mut self, was_cut: bool, cut: Result<Option<CutOff>, String>) {
        if was_cut || matches!(cut, Ok(Some(_))) {
            self.step(Event::CutOff);
        }
        match cut {
            Ok(Some(cut)) => {
                self.say(format!("{} had been cut off", cut.recording()));
                self.cut = Some(cut);
            }
            Ok(None) => {}
            Err(problem) => self.say(format!("what had been cut off does not go on: {problem}")),
        }
    }

    /// Goes on with what was cut off so long ago, if it can.
    pub(super) fn go_on(&mut self, ago: Duration) {
        // Before everything was looked at nobody knows of the button.
        if !self.looks.ready {
            self.may_go_on = Some(ago);
            return;
        }
        if !matches!(self.machine.state(), recording::State::SealedWithFault { .. }) {
            return;
        }
        let Some(cut) = &self.cut else { return };
        let longest = self.ground.config.now().recording.longest;
        match cut.lesson(ago, longest, self.began.elapsed()) {
            Some(lesson) => self.step(Event::GoOn(lesson, WITHIN.saturating_sub(ago))),
            None => self.leave_cut("it was nearly as long as a recording may be"),
        }
    }

    /// What was cut off does not go on.
    pub(super) fn leave_cut(&mut self, why: &str) {
        let Some(cut) = self.cut.take() else { return };
        self.say(format!("{} does not go on: {why}", cut.recording()));
        self.lookout.nothing();
        if let recording::State::Arming { lesson, .. } = self.machine.state()
            && lesson.continues.is_some()
        {
            self.step(Event::Stop);
        }
    }

    /// What was cut off does not go on, and nobody gets what there is of it.
    pub(super) fn withhold_cut(&mut self, why: &str) {
        if let Some(cut) = &self.cut {
            let ids: Vec<_> = cut.recordings().collect();
            self.objector = cut.teacher().cloned().unwrap_or_else(PersonId::in_the_room);
            self.withhold_these(ids);
        }
        self.leave_cut(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(boot: &str, second: i64, running_s: u64) -> Moment {
        let at = Timestamp::from_second(1_780_000_000 + second).unwrap();
        Moment { at, boot: boot.to_owned(), running_ms: running_s * 1000 }
    }

    #[test]
    fn within_one_run_of_the_machine_only_its_own_count_counts() {
        let cut = moment("a", 0, 5000);
        let ago = |now: &Moment| cut.ago(now, || panic!("nobody has to be asked"));
        // Whatever the time of day says.
        assert_eq!(ago(&moment("a", 900, 5090)), Ago::Known(Duration::from_secs(90)));
        assert_eq!(ago(&moment("a", -900, 5090)), Ago::Known(Duration::from_secs(90)));
        assert_eq!(ago(&moment("a", 60, 5121)), Ago::TooLong);
    }

    #[test]
    fn after_a_power_cut_the_time_of_day_has_to_be_known() {
        let cut = moment("a", 0, 5000);
        assert_eq!(cut.ago(&moment("b", 60, 20), || true), Ago::Known(Duration::from_secs(60)));
        assert_eq!(cut.ago(&moment("b", 60, 20), || false), Ago::Unknown);
        assert_eq!(cut.ago(&moment("b", 130, 20), || true), Ago::TooLong);
        assert_eq!(cut.ago(&moment("b", -1, 20), || true), Ago::TooLong, "a clock that is behind");
        // The machine alone has run for longer.
        assert_eq!(cut.ago(&moment("b", 60, 121), || false), Ago::TooLong);
        assert_eq!(moment("", 0, 10).ago(&moment("", 60, 20), || false), Ago::Unknown);
    }
}
