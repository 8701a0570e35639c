//! One recording of the box as a state machine: from the lesson that is prepared to the seal.
//!
//! Belongs here: which event leads to which state, and what is to be done about it. Does not belong:
//! clocks, files, threads, cameras; times and what happened come in as events, what is to be done
//! goes out as [`Effect`]s, and whoever carries them out answers with further events.
//!
//! What has to hold whatever happens, and is tested with events in any order: cameras are opened
//! only while no reason not to record stands; while they are open the indicator has been proven on;
//! and what was begun ends sealed, with or without a fault.

use std::{collections::BTreeSet, time::Duration};

use super::{codes::Code, lesson::Lesson};

/// Time since the program began, by a clock that is never set.
pub type At = Duration;

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A lesson that is prepared is forgotten after this.
    pub lapse: Duration,
    /// A start from afar waits this long for the button; none where it needs no button.
    pub confirm: Option<Duration>,
    /// From the start to the first picture.
    pub arming: Duration,
    /// The longest recording.
    pub longest: Duration,
    /// How long before its end a warning comes.
    pub warning: Duration,
    /// From the stop to the seal; whoever takes longer is given up.
    pub stopping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lapse: Duration::from_secs(2 * 3600),
            confirm: Some(Duration::from_secs(60)),
            arming: Duration::from_secs(60),
            longest: Duration::from_secs(45 * 60),
            warning: Duration::from_secs(2 * 60),
            stopping: Duration::from_secs(60),
        }
    }
}

/// Where somebody asks for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Somebody at the box.
    Button,
    /// Somebody who may be anywhere.
    Afar,
}

/// Why a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody stopped it.
    Asked,
    /// Somebody stopped it because nobody may see what it has.
    Objection,
    /// It is as long as one may be.
    Longest,
    /// The program ends.
    Shutdown,
    /// A reason not to record came up.
    Fault(Code),
}

/// Where arming is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Waits for the button. No picture is taken.
    Confirming,
    /// Looks for reasons not to record. No picture is taken.
    Checking {
        /// Which check counts; an answer to an earlier one is ignored.
        check: u64,
    },
    /// Waits until the indicator is proven on. No picture is taken.
    Lighting,
    /// Opens the cameras: pictures are taken, and none is kept before all run.
    Opening,
}

/// What every state does to pictures stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is to be recorded. No picture is taken.
    Idle,
    /// A lesson may be started. No picture is taken.
    Prepared {
        /// What is prepared.
        lesson: Lesson,
        /// When it is forgotten.
        lapses: At,
    },
    /// It was started. Pictures are taken in the last step only.
    Arming {
        /// What is to be recorded.
        lesson: Lesson,
        /// When the lesson is forgotten if nothing comes of this.
        lapses: At,
        /// How far it is.
        step: Step,
        /// When it is given up.
        gives_up: At,
    },
    /// Pictures are taken, veiled and kept.
    Recording {
        /// What is recorded.
        lesson: Lesson,
        /// Since when.
        began: At,
        /// Whether the warning was given.
        warned: bool,
    },
    /// Cameras are closed; what waits in memory is veiled, written and sealed.
    Stopping {
        /// Why.
        why: Why,
        /// Whether nobody may have it until somebody decides.
        withhold: bool,
        /// Whether pictures were kept by all cameras.
        recorded: bool,
        /// When whoever is at it is given up.
        gives_up: At,
    },
    /// The last recording is whole. No picture is taken.
    Sealed,
    /// The last recording is sealed with what it has; something went wrong. No picture is taken.
    SealedWithFault {
        /// What.
        fault: Code,
    },
}

impl State {
    /// What is prepared, about to be recorded, or recorded.
    #[must_use]
    pub const fn lesson(&self) -> Option<&Lesson> {
        match self {
            Self::Prepared { lesson, .. }
            | Self::Arming { lesson, .. }
            | Self::Recording { lesson, .. } => Some(lesson),
            _ => None,
        }
    }

    /// The state's name.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Prepared { .. } => "prepared",
            Self::Arming { .. } => "arming",
            Self::Recording { .. } => "recording",
            Self::Stopping { .. } => "stopping",
            Self::Sealed => "sealed",
            Self::SealedWithFault { .. } => "sealed-with-fault",
        }
    }

    /// Whether cameras may be open.
    #[must_use]
    pub const fn takes_pictures(&self) -> bool {
        matches!(
            self,
            Self::Arming { step: Step::Opening, .. }
                | Self::Recording { .. }
                | Self::Stopping { .. }
        )
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody says what is to be recorded.
    Prepare(Lesson),
    /// What is prepared is not to be recorded.
    Withdraw,
    /// It is to begin.
    Start(By),
    /// A check is done: these reasons stand.
    Checked {
        /// Which check.
        check: u64,
        /// The reasons.
        reasons: Vec<Code>,
    },
    /// A reason came up that is watched all the time.
    Stands(Code),
    /// It is gone.
    Settled(Code),
    /// The indicator is proven on.
    Lit,
    /// All cameras run, and the recording's folder is there.
    Opened,
    /// It is to end.
    Stop,
    /// It is to end, and nobody may have it until somebody decides.
    Object,
    /// The program starts, and a recording had been cut off when it ended last.
    CutOff,
    /// The lesson whose recording was cut off is to go on, if it begins within this time.
    GoOn(Lesson, Duration),
    /// What was recorded last is to be dropped.
    Drop {
        /// How much.
        length: Duration,
        /// Whether the recording ends with it.
        stop: bool,
    },
    /// No camera is open any more, and what there is, is sealed.
    Ended {
        /// Whether anything was begun.
        begun: bool,
        /// What went wrong.
        fault: Option<Code>,
    },
    /// The program ends.
    Shutdown,
    /// Time passed.
    Tick,
}

/// What the indicator is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Light {
    /// No picture is taken.
    Dark,
    /// A recording is about to begin.
    Blinking,
    /// Pictures are taken. Answered by [`Event::Lit`], or by the reason why it is not.
    On,
}

/// What is to be done. In the order given, and what cannot be done is answered with
/// [`Event::Stands`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Show this.
    Light(Light),
    /// Look for reasons not to record this lesson; answered by [`Event::Checked`].
    Check {
        /// Which check.
        check: u64,
        /// The lesson.
        lesson: Lesson,
    },
    /// Open the cameras and record; answered by [`Event::Opened`] or [`Event::Ended`].
    Open(Lesson),
    /// Close the cameras and seal; answered by [`Event::Ended`].
    Close,
    /// Drop what was recorded last. Where that fails, [`Event::Object`] follows.
    Drop(Duration),
    /// Keep what there is of the lesson from everybody until somebody decides: at once, and again when
    /// it is sealed, in case it could not be done before.
    Withhold,
    /// Say that the recording ends soon.
    Warn,
    /// Say why what was asked for is not done.
    Refuse(Vec<Code>),
    /// Sealing does not end: the program has to, so that no camera stays open. What is on disk is
    /// sealed at the next start.
    GiveUp,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Recording {
    limits: Limits,
    state: State,
    /// Reasons that are watched all the time and stand now.
    standing: BTreeSet<Code>,
    checks: u64,
    now: At,
    ending: bool,
}

impl Recording {
    /// Nothing is prepared.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Idle,
            standing: BTreeSet::new(),
            checks: 0,
            now: Duration::ZERO,
            ending: false,
        }
    }

    /// How long things may take from now on. For between recordings: what runs would end by it.
    pub const fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Where it is.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The reasons that are watched all the time and stand now.
    #[must_use]
    pub const fn standing(&self) -> &BTreeSet<Code> {
        &self.standing
    }

    /// When time itself changes something next: a [`Event::Tick`] is due then.
    #[must_use]
    pub fn next_wake(&self) -> Option<At> {
        match &self.state {
            State::Prepared { lapses, .. } => Some(*lapses),
            State::Arming { gives_up, .. } | State::Stopping { gives_up, .. } => Some(*gives_up),
            State::Recording { lesson, began, warned } => {
                Some(if *warned { self.end(lesson, *began) } else { self.warning(lesson, *began) })
            }
            State::Idle | State::Sealed | State::SealedWithFault { .. } => None,
        }
    }

    /// When a recording of `lesson` that began at `began` has to end.
    #[must_use]
    pub fn end(&self, lesson: &Lesson, began: At) -> At {
        let longest = began.saturating_add(self.limits.longest);
        lesson.continues.as_ref().map_or(longest, |first| longest.min(first.ends))
    }

    fn warning(&self, lesson: &Lesson, began: At) -> At {
        self.end(lesson, began).saturating_sub(self.limits.warning).max(began)
    }

    /// Takes `event`, which happened at `at`.
    #[must_use = "the effects have to be carried out"]
    pub fn step(&mut self, at: At, event: Event) -> Vec<Effect> {
        // What comes late counts as of now: no time is before one that was seen.
        self.now = self.now.max(at);
        let mut effects = Vec::new();
        self.pass_time(&mut effects);
        match &event {
            Event::Stands(code) => {
                self.standing.insert(*code);
            }
            Event::Settled(code) => {
                self.standing.remove(code);
            }
            Event::Shutdown => self.ending = true,
            _ => {}
        }
        self.take(event, &mut effects);
        effects
    }

    /// What is due by now.
    fn pass_time(&mut self, effects: &mut Vec<Effect>) {
        if self.next_wake().is_none_or(|due| self.now < due) {
            return;
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Arming { lesson, lapses, step, .. } => {
                let code = match step {
                    Step::Confirming => Code::NotConfirmed,
                    _ => Code::ArmingTooLong,
                };
                self.abandon(lesson, lapses, step, code, effects);
            }
            State::Recording { lesson, began, warned } if self.now < self.end(&lesson, began) => {
                if !warned {
                    effects.push(Effect::Warn);
                }
                self.state = State::Recording { lesson, began, warned: true };
            }
            State::Recording { .. } => self.stop(true, Why::Longest, false, effects),
            State::Stopping { why, withhold, recorded, .. } => {
                effects.push(Effect::GiveUp);
                let gives_up = self.now.saturating_add(self.limits.stopping);
                self.state = State::Stopping { why, withhold, recorded, gives_up };
            }
            // A lesson that was prepared too long ago is forgotten.
            _ => {}
        }
    }

    fn take(&mut self, event: Event, effects: &mut Vec<Effect>) {
        let state = std::mem::replace(&mut self.state, State::Idle);
        match event {
            Event::Prepare(_) | Event::Withdraw | Event::Start(_) => {
                self.begin(state, event, effects);
            }
            Event::CutOff | Event::GoOn(..) => self.resume(state, event, effects),
            Event::Stop | Event::Object | Event::Shutdown => self.end_for(state, &event, effects),
            Event::Drop { length, stop } => self.drop_last(state, length, stop, effects),
            Event::Ended { begun, fault } => self.ended(state, begun, fault, effects),
            _ => self.go_on(state, event, effects),
        }
    }

    /// Somebody wants something recorded, or not after all.
    fn begin(&mut self, state: State, event: Event, effects: &mut Vec<Effect>) {
        match (state, event) {
            (state, Event::Prepare(_)) if self.ending => {
                self.refuse(state, Code::ProgramEnds, effects);
            }
            (
                State::Idle
                | State::Prepared { .. }
                | State::Sealed
                | State::SealedWithFault { .. },
                Event::Prepare(lesson),
            ) => {
                let lapses = self.now.saturating_add(self.limits.lapse);
                self.state = State::Prepared { lesson, lapses };
            }
            (state, Event::Prepare(_)) => self.refuse(state, Code::Busy, effects),

            (State::Prepared { .. }, Event::Withdraw) => {}

            (State::Prepared { lesson, lapses }, Event::Start(by)) if !self.ending => {
                effects.push(Effect::Light(Light::Blinking));
                match self.limits.confirm {
                    Some(patience) if by == By::Afar => {
                        let gives_up = self.now.saturating_add(patience);
                        let step = Step::Confirming;
                        self.state = State::Arming { lesson, lapses, step, gives_up };
                    }
                    _ => self.check(lesson, lapses, effects),
                }
            }
            (
                State::Arming { lesson, lapses, step: Step::Confirming, .. },
                Event::Start(By::Button),
            ) => self.check(lesson, lapses, effects),
            (
                state @ (State::Idle | State::Sealed | State::SealedWithFault { .. }),
                Event::Start(_),
            ) => self.refuse(state, Code::NotPrepared, effects),
            (state, Event::Start(_)) => {
                let code = if self.ending { Code::ProgramEnds } else { Code::Busy };
                self.refuse(state, code, effects);
            }
            (state, _) => self.state = state,
        }
    }

    /// A recording had been cut off. Nobody prepared and nobody pressed anything since, or it stays so.
    fn resume(&mut self, state: State, event: Event, effects: &mut Vec<Effect>) {
        match (state, event) {
            (State::Idle, Event::CutOff) => {
                self.state = State::SealedWithFault { fault: Code::CutOff };
            }
            (State::SealedWithFault { .. }, Event::GoOn(lesson, within)) if !self.ending => {
                // The button was pressed for this lesson already; the lamp says that it goes on.
                effects.push(Effect::Light(Light::Blinking));
                self.check(lesson, self.now, effects);
                if let State::Arming { gives_up, .. } = &mut self.state {
                    *gives_up = (*gives_up).min(self.now.saturating_add(within));
                }
            }
            (state, _) => self.state = state,
        }
    }

    /// Nothing came of arming: the lesson may be started again, except one that was cut off, which
    /// nobody is to start by a press.
    fn not_begun(&mut self, lesson: Lesson, lapses: At, fault: Code) {
        self.state = match lesson.continues {
            Some(_) => State::SealedWithFault { fault },
            None => State::Prepared { lesson, lapses },
        };
    }

    /// What was asked for is answered, or a reason came up.
    fn go_on(&mut self, state: State, event: Event, effects: &mut Vec<Effect>) {
        match (state, event) {
            (
                State::Arming { lesson, lapses, step: step @ Step::Checking { check }, gives_up },
                Event::Checked { check: answered, mut reasons },
            ) if check == answered => {
                reasons.extend(&self.standing);
                reasons.sort_unstable();
                reasons.dedup();
                if reasons.is_empty() {
                    effects.push(Effect::Light(Light::On));
                    let step = Step::Lighting;
                    self.state = State::Arming { lesson, lapses, step, gives_up };
                } else {
                    self.abandon_for(lesson, lapses, step, reasons, effects);
                }
            }
            (State::Arming { lesson, lapses, step: Step::Lighting, gives_up }, Event::Lit) => {
                effects.push(Effect::Open(lesson.clone()));
                self.state = State::Arming { lesson, lapses, step: Step::Opening, gives_up };
            }
            (State::Arming { lesson, step: Step::Opening, .. }, Event::Opened) => {
                self.state = State::Recording { lesson, began: self.now, warned: false };
            }

            // A check looks for all reasons, and says so together.
            (state @ State::Arming { step: Step::Confirming, .. }, Event::Stands(_)) => {
                self.state = state;
            }
            (State::Arming { lesson, lapses, step, .. }, Event::Stands(code)) => {
                self.abandon(lesson, lapses, step, code, effects);
            }
            (State::Recording { .. }, Event::Stands(code)) => {
                self.stop(true, Why::Fault(code), false, effects);
            }

            // A tick, an answer that nobody waits for any more.
            (state, _) => self.state = state,
        }
    }

    /// Somebody wants an end.
    fn end_for(&mut self, state: State, event: &Event, effects: &mut Vec<Effect>) {
        match (state, event) {
            // Cameras may be open: they are closed first.
            (State::Arming { step: Step::Opening, .. }, Event::Stop) => {
                self.stop(false, Why::Asked, false, effects);
            }
            (State::Arming { step: Step::Opening, .. }, Event::Object) => {
                self.stop(false, Why::Objection, true, effects);
            }
            (State::Arming { step: Step::Opening, .. }, Event::Shutdown) => {
                self.stop(false, Why::Shutdown, false, effects);
            }
            (State::Arming { lesson, lapses, .. }, Event::Stop) => {
                effects.push(Effect::Light(Light::Dark));
                self.not_begun(lesson, lapses, Code::CutOff);
            }
            (State::Prepared { .. } | State::Arming { .. }, Event::Object | Event::Shutdown) => {
                // The lesson is not to be recorded.
                effects.push(Effect::Light(Light::Dark));
            }
            (State::Recording { .. }, Event::Stop) => self.stop(true, Why::Asked, false, effects),
            (State::Recording { .. }, Event::Object) => {
                self.stop(true, Why::Objection, true, effects);
                // Whatever happens to the machine before the seal, it is objected to.
                effects.push(Effect::Withhold);
            }
            (State::Recording { .. }, Event::Shutdown) => {
                self.stop(true, Why::Shutdown, false, effects);
            }
            (State::Stopping { why, recorded, gives_up, .. }, Event::Object) => {
                if recorded {
                    effects.push(Effect::Withhold);
                }
                self.state = State::Stopping { why, withhold: true, recorded, gives_up };
            }
            (
                state @ (State::Idle | State::Sealed | State::SealedWithFault { .. }),
                Event::Stop | Event::Object,
            ) => self.refuse(state, Code::NothingToStop, effects),
            (state @ State::Prepared { .. }, Event::Stop) => {
                self.refuse(state, Code::NothingToStop, effects);
            }
            // It stops already.
            (state, _) => self.state = state,
        }
    }

    /// Somebody wants the last stretch gone.
    fn drop_last(&mut self, state: State, length: Duration, stop: bool, effects: &mut Vec<Effect>) {
        let keeps = matches!(
            state,
            State::Arming { step: Step::Opening, .. }
                | State::Recording { .. }
                | State::Stopping { .. }
        );
        if keeps {
            effects.push(Effect::Drop(length));
        }
        match state {
            // Nothing is to be kept that is about to begin.
            State::Arming { .. } => self.end_for(state, &Event::Stop, effects),
            State::Recording { .. } if stop => self.stop(true, Why::Asked, false, effects),
            State::Recording { .. } | State::Stopping { .. } => self.state = state,
            state => self.refuse(state, Code::NothingToStop, effects),
        }
    }

    /// No camera is open any more.
    fn ended(&mut self, state: State, begun: bool, fault: Option<Code>, effects: &mut Vec<Effect>) {
        match (state, begun) {
            (State::Arming { lesson, lapses, step: Step::Opening, .. }, false) => {
                let fault = fault.unwrap_or(Code::Recorder);
                effects.push(Effect::Light(Light::Dark));
                effects.push(Effect::Refuse(vec![fault]));
                self.not_begun(lesson, lapses, fault);
            }
            (State::Arming { step: Step::Opening, .. }, _) => {
                self.sealed(Some(fault.unwrap_or(Code::Recorder)), false, effects);
            }
            (State::Recording { .. }, _) => {
                let fault = fault.or((!begun).then_some(Code::Recorder));
                self.sealed(fault, false, effects);
            }
            (State::Stopping { recorded: false, .. }, false) => {
                // It was stopped before anything was begun: there is nothing to seal.
                effects.push(Effect::Light(Light::Dark));
                effects.extend(fault.map(|fault| Effect::Refuse(vec![fault])));
            }
            (State::Stopping { why, withhold, .. }, _) => {
                let fault = match why {
                    Why::Fault(code) => Some(code),
                    _ => fault.or((!begun).then_some(Code::Recorder)),
                };
                self.sealed(fault, withhold, effects);
            }
            (state, _) => self.state = state,
        }
    }

    fn refuse(&mut self, state: State, code: Code, effects: &mut Vec<Effect>) {
        effects.push(Effect::Refuse(vec![code]));
        self.state = state;
    }

    fn check(&mut self, lesson: Lesson, lapses: At, effects: &mut Vec<Effect>) {
        self.checks += 1;
        let check = self.checks;
        effects.push(Effect::Check { check, lesson: lesson.clone() });
        let gives_up = self.now.saturating_add(self.limits.arming);
        self.state = State::Arming { lesson, lapses, step: Step::Checking { check }, gives_up };
    }

    fn abandon(
        &mut self,
        lesson: Lesson,
        lapses: At,
        step: Step,
        code: Code,
        effects: &mut Vec<Effect>,
    ) {
        self.abandon_for(lesson, lapses, step, vec![code], effects);
    }

    /// Nothing comes of arming. Cameras that may be open are closed first.
    fn abandon_for(
        &mut self,
        lesson: Lesson,
        lapses: At,
        step: Step,
        codes: Vec<Code>,
        effects: &mut Vec<Effect>,
    ) {
        let first = codes.first().copied().unwrap_or(Code::Recorder);
        effects.push(Effect::Refuse(codes));
        if step == Step::Opening {
            self.stop(false, Why::Fault(first), false, effects);
        } else {
            effects.push(Effect::Light(Light::Dark));
            self.not_begun(lesson, lapses, first);
        }
    }

    fn stop(&mut self, recorded: bool, why: Why, withhold: bool, effects: &mut Vec<Effect>) {
        effects.push(Effect::Close);
        let gives_up = self.now.saturating_add(self.limits.stopping);
        self.state = State::Stopping { why, withhold, recorded, gives_up };
    }

    /// Cameras are closed: only now may the indicator go dark.
    fn sealed(&mut self, fault: Option<Code>, withhold: bool, effects: &mut Vec<Effect>) {
        if withhold {
            effects.push(Effect::Withhold);
        }
        effects.push(Effect::Light(Light::Dark));
        self.state = fault.map_or(State::Sealed, |fault| State::SealedWithFault { fault });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::lesson::Continued, *};
    use crate::vault::Purpose;

    fn lesson() -> Lesson {
        Lesson {
            class: None,
            teacher: None,
            coach: None,
            question: "Do I wait long enough?".to_owned(),
            purpose: Purpose::Coaching,
            planned: Duration::from_secs(600),
            continues: None,
        }
    }

    /// A lesson that was cut off and may go on until `ends`.
    fn cut_off(ends: At) -> Lesson {
        let continues = Some(Box::new(Continued::example(ends)));
        Lesson { continues, ..lesson() }
    }

    const fn s(seconds: u64) -> At {
        Duration::from_secs(seconds)
    }

    fn recording() -> Recording {
        let mut machine = Recording::new(Limits::default());
        assert_eq!(machine.step(s(0), Event::Prepare(lesson())), []);
        let effects = machine.step(s(1), Event::Start(By::Button));
        assert_eq!(
            effects,
            [Effect::Light(Light::Blinking), Effect::Check { check: 1, lesson: lesson() }]
        );
        let effects = machine.step(s(2), Event::Checked { check: 1, reasons: vec![] });
        assert_eq!(effects, [Effect::Light(Light::On)]);
        assert_eq!(machine.step(s(2), Event::Lit), [Effect::Open(lesson())]);
        assert_eq!(machine.step(s(3), Event::Opened), []);
        assert_eq!(machine.state().word(), "recording");
        machine
    }

    #[test]
    fn a_lesson_from_the_button_to_the_seal() {
        let mut machine = recording();
        assert_eq!(machine.step(s(60), Event::Stop), [Effect::Close]);
        // The indicator stays on until no camera is open.
        let effects = machine.step(s(61), Event::Ended { begun: true, fault: None });
        assert_eq!(effects, [Effect::Light(Light::Dark)]);
        assert_eq!(machine.state(), &State::Sealed);
        // The lesson went with its recording.
        let effects = machine.step(s(62), Event::Start(By::Button));
        assert_eq!(effects, [Effect::Refuse(vec![Code::NotPrepared])]);
    }

    #[test]
    fn a_start_from_afar_waits_for_the_button() {
        let mut machine = Recording::new(Limits::default());
        let _ = machine.step(s(0), Event::Prepare(lesson()));
        assert_eq!(machine.step(s(1), Event::Start(By::Afar)), [Effect::Light(Light::Blinking)]);
        assert_eq!(machine.step(s(30), Event::Start(By::Afar)), [Effect::Refuse(vec![Code::Busy])]);
        let effects = machine.step(s(61), Event::Tick);
        assert_eq!(effects, [Effect::Refuse(vec![Code::NotConfirmed]), Effect::Light(Light::Dark)]);
        assert_eq!(machine.state().word(), "prepared");
        let _ = machine.step(s(70), Event::Start(By::Afar));
        let effects = machine.step(s(80), Event::Start(By::Button));
        assert!(matches!(effects[..], [Effect::Check { check: 1, .. }]), "{effects:?}");
    }

    #[test]
    fn what_is_prepared_lapses() {
        let mut machine = Recording::new(Limits::default());
        let _ = machine.step(s(0), Event::Prepare(lesson()));
        assert_eq!(machine.next_wake(), Some(s(7200)));
        let effects = machine.step(s(7200), Event::Start(By::Button));
        assert_eq!(effects, [Effect::Refuse(vec![Code::NotPrepared])]);
    }

    #[test]
    fn no_recording_is_longer_than_one_may_be() {
        let mut machine = recording();
        assert_eq!(machine.next_wake(), Some(s(3 + 43 * 60)));
        assert_eq!(machine.step(s(3 + 43 * 60), Event::Tick), [Effect::Warn]);
        assert_eq!(machine.next_wake(), Some(s(3 + 45 * 60)));
        assert_eq!(machine.step(s(3 + 45 * 60), Event::Tick), [Effect::Close]);
        let _ = machine.step(s(3 + 45 * 60), Event::Ended { begun: true, fault: None });
        assert_eq!(machine.state(), &State::Sealed);
    }

    #[test]
    fn an_objection_withholds_even_while_stopping() {
        for (first, follows) in [
            (Event::Object, vec![Effect::Close, Effect::Withhold]),
            (Event::Stop, vec![Effect::Close]),
        ] {
            let mut machine = recording();
            assert_eq!(machine.step(s(10), first), follows);
            assert_eq!(machine.step(s(11), Event::Object), [Effect::Withhold]);
            let effects = machine.step(s(12), Event::Ended { begun: true, fault: None });
            assert_eq!(effects, [Effect::Withhold, Effect::Light(Light::Dark)]);
        }
    }

    #[test]
    fn the_last_stretch_goes_with_or_without_the_rest() {
        let minute = Duration::from_secs(60);
        let dropping = |stop| Event::Drop { length: minute, stop };
        let mut machine = recording();
        assert_eq!(machine.step(s(9), dropping(false)), [Effect::Drop(minute)]);
        assert_eq!(machine.state().word(), "recording");
        assert_eq!(machine.step(s(10), dropping(true)), [Effect::Drop(minute), Effect::Close]);
        // While it stops there is still something to drop; once it is sealed there is not.
        assert_eq!(machine.step(s(10), dropping(true)), [Effect::Drop(minute)]);
        let _ = machine.step(s(11), Event::Ended { begun: true, fault: None });
        let refused = [Effect::Refuse(vec![Code::NothingToStop])];
        assert_eq!(machine.step(s(12), dropping(true)), refused);
        // What is about to begin does not.
        let _ = machine.step(s(13), Event::Prepare(lesson()));
        assert_eq!(machine.step(s(13), dropping(true)), refused);
        let _ = machine.step(s(13), Event::Start(By::Button));
        assert_eq!(machine.step(s(14), dropping(false)), [Effect::Light(Light::Dark)]);
        assert_eq!(machine.state().word(), "prepared");
    }

    #[test]
    fn a_reason_that_comes_up_ends_the_recording() {
        let mut machine = recording();
        assert_eq!(machine.step(s(9), Event::Stands(Code::IndicatorDark)), [Effect::Close]);
        let _ = machine.step(s(10), Event::Ended { begun: true, fault: None });
        assert_eq!(machine.state(), &State::SealedWithFault { fault: Code::IndicatorDark });
        // It stands still: a new check says so although it found nothing itself.
        let _ = machine.step(s(11), Event::Prepare(lesson()));
        let _ = machine.step(s(12), Event::Start(By::Button));
        let effects = machine.step(s(13), Event::Checked { check: 2, reasons: vec![] });
        assert_eq!(
            effects,
            [Effect::Refuse(vec![Code::IndicatorDark]), Effect::Light(Light::Dark)]
        );
    }

    #[test]
    fn what_was_cut_off_goes_on_without_a_press_and_no_longer_than_it_would_have() {
        let mut machine = Recording::new(Limits::default());
        let go_on = || Event::GoOn(cut_off(s(1000)), s(90));
        // Not without a cut.
        assert_eq!(machine.step(s(0), go_on()), []);
        assert_eq!(machine.step(s(0), Event::CutOff), []);
        assert_eq!(machine.state(), &State::SealedWithFault { fault: Code::CutOff });
        let effects = machine.step(s(1), go_on());
        assert!(matches!(effects[..], [Effect::Light(Light::Blinking), Effect::Check { .. }]));
        // A reason stands: it may be tried again, and a press starts nothing.
        let reasons = vec![Code::CameraUnreachable];
        let effects = machine.step(s(2), Event::Checked { check: 1, reasons: reasons.clone() });
        assert_eq!(effects, [Effect::Refuse(reasons), Effect::Light(Light::Dark)]);
        let effects = machine.step(s(3), Event::Start(By::Button));
        assert_eq!(effects, [Effect::Refuse(vec![Code::NotPrepared])]);
        let _ = machine.step(s(4), Event::GoOn(cut_off(s(1000)), s(9)));
        assert_eq!(machine.next_wake(), Some(s(13)), "not after its time");
        let _ = machine.step(s(5), Event::Checked { check: 2, reasons: vec![] });
        let effects = machine.step(s(5), Event::Lit);
        assert!(matches!(effects[..], [Effect::Open(_)]));
        let _ = machine.step(s(6), Event::Opened);
        assert_eq!(machine.next_wake(), Some(s(1000 - 120)));
        assert_eq!(machine.step(s(1000 - 120), Event::Tick), [Effect::Warn]);
        assert_eq!(machine.step(s(1000), Event::Tick), [Effect::Close]);
    }

    #[test]
    fn a_press_keeps_what_was_cut_off_from_going_on() {
        let mut machine = Recording::new(Limits::default());
        let _ = machine.step(s(0), Event::CutOff);
        let _ = machine.step(s(1), Event::GoOn(cut_off(s(1000)), s(90)));
        assert_eq!(machine.step(s(2), Event::Stop), [Effect::Light(Light::Dark)]);
        assert_eq!(machine.state(), &State::SealedWithFault { fault: Code::CutOff });
        // Nor does it where something else is prepared.
        let _ = machine.step(s(3), Event::Prepare(lesson()));
        assert_eq!(machine.step(s(4), Event::GoOn(cut_off(s(1000)), s(90))), []);
        assert_eq!(machine.state().word(), "prepared");
    }

    #[test]
    fn what_cannot_be_sealed_in_time_is_given_up() {
        let mut machine = recording();
        let _ = machine.step(s(9), Event::Stop);
        assert_eq!(machine.step(s(69), Event::Tick), [Effect::GiveUp]);
    }

    #[test]
    fn the_question_is_not_printed() {
        let printed = format!("{:?}", Event::Prepare(lesson()));
        assert!(!printed.contains("wait"), "{printed}");
    }

    fn code() -> impl Strategy<Value = Code> {
        prop::sample::select(vec![Code::IndicatorDark, Code::DiskSmall, Code::CameraUnreachable])
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            2 => Just(Event::Prepare(lesson())),
            1 => Just(Event::Withdraw),
            4 => prop::sample::select(vec![By::Button, By::Afar]).prop_map(Event::Start),
            4 => (0u64..4, prop::collection::vec(code(), 0..2))
                .prop_map(|(check, reasons)| Event::Checked { check, reasons }),
            1 => code().prop_map(Event::Stands),
            2 => code().prop_map(Event::Settled),
            4 => Just(Event::Lit),
            4 => Just(Event::Opened),
            1 => Just(Event::CutOff),
            2 => (0u64..2000).prop_map(|ends| Event::GoOn(cut_off(s(ends)), s(30))),
            1 => Just(Event::Stop),
            1 => Just(Event::Object),
            1 => any::<bool>().prop_map(|stop| Event::Drop { length: s(60), stop }),
            2 => (any::<bool>(), prop::option::of(code()))
                .prop_map(|(begun, fault)| Event::Ended { begun, fault }),
            1 => Just(Event::Tick),
        ]
    }

    /// What the world around the machine has seen.
    #[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
    #[derive(Debug, Default)]
    struct World {
        standing: BTreeSet<Code>,
        /// What the newest check found, if it is answered.
        found: Option<Vec<Code>>,
        newest: u64,
        open: bool,
        lit: bool,
        light: Option<Light>,
        closed: bool,
        /// Cameras ended by themselves in this very step.
        just_ended: bool,
    }

    impl World {
        /// Whether an event could come: cameras end only where they are open.
        fn allows(&self, event: &Event) -> bool {
            !matches!(event, Event::Ended { .. } | Event::Opened) || self.open
        }

        fn hear(&mut self, event: &Event) {
            self.just_ended = matches!(event, Event::Ended { .. });
            match event {
                Event::Stands(code) => drop(self.standing.insert(*code)),
                Event::Settled(code) => drop(self.standing.remove(code)),
                Event::Checked { check, reasons } if *check == self.newest => {
                    self.found.get_or_insert_with(|| reasons.clone());
                }
                Event::Lit => self.lit = self.light == Some(Light::On),
                Event::Ended { .. } => (self.open, self.closed) = (false, false),
                _ => {}
            }
        }

        fn obey(&mut self, effect: &Effect) -> Result<(), TestCaseError> {
            match effect {
                Effect::Light(light) => {
                    // While cameras are open it is on and stays on.
                    prop_assert!(!self.open, "{light:?} while cameras are open");
                    self.light = Some(*light);
                    self.lit = false;
                }
                Effect::Check { check, .. } => {
                    prop_assert!(*check > self.newest);
                    (self.newest, self.found) = (*check, None);
                }
                Effect::Open(_) => {
                    prop_assert!(!self.open, "opened twice");
                    prop_assert!(self.standing.is_empty(), "a reason stands");
                    prop_assert_eq!(self.found.as_deref(), Some(&[][..]), "not checked");
                    prop_assert!(self.lit, "not proven on");
                    self.open = true;
                }
                Effect::Drop(_) => prop_assert!(self.open, "dropped where nothing is kept"),
                Effect::Close => {
                    let may = (self.open || self.just_ended) && !self.closed;
                    prop_assert!(may, "closed what is not open");
                    self.closed = self.open;
                }
                _ => {}
            }
            Ok(())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Whatever comes in whatever order: no camera opens while a reason stands or the indicator
        /// is not proven on, none records while one stands, and what was begun ends sealed.
        #[test]
        fn any_order_of_events(
            events in prop::collection::vec((event(), 0u64..400), 0..80),
            eager in any::<bool>(),
        ) {
            let mut machine = Recording::new(Limits::default());
            let mut world = World::default();
            let mut at = Duration::ZERO;
            let mut waiting: Vec<Event> = Vec::new();
            let mut began = false;
            let mut events = events.into_iter();
            loop {
                // An eager world answers what it is asked at once, so that long ways are walked too.
                let (event, later) = match waiting.pop() {
                    Some(event) if eager => (event, 0),
                    _ => match events.next() {
                        Some(next) => next,
                        None => break,
                    },
                };
                if !world.allows(&event) {
                    continue;
                }
                at += s(later);
                let before = machine.state().clone();
                world.hear(&event);
                let ended = matches!(event, Event::Ended { begun: true, .. });
                for effect in machine.step(at, event) {
                    world.obey(&effect)?;
                    match effect {
                        Effect::Check { check, .. } => {
                            waiting.insert(0, Event::Checked { check, reasons: vec![] });
                        }
                        Effect::Light(Light::On) => waiting.insert(0, Event::Lit),
                        Effect::Open(_) => waiting.insert(0, Event::Opened),
                        _ => {}
                    }
                }
                let state = machine.state();
                prop_assert_eq!(state.takes_pictures(), world.open, "{:?}", state);
                match state {
                    State::Recording { lesson, began, .. } => {
                        prop_assert!(world.standing.is_empty());
                        // What is over at its very beginning ends with the next tick.
                        let ends = machine.end(lesson, *began);
                        prop_assert!(at < ends || (at == *began && ends <= at));
                    }
                    State::Sealed | State::SealedWithFault { .. } => {}
                    _ => {
                        // Where pictures were kept, nothing but a seal comes after the end.
                        let sealing = matches!(before, State::Recording { .. });
                        prop_assert!(!sealing || state.word() == "stopping", "{state:?}");
                        prop_assert!(!(began && ended), "{state:?} after a recording");
                    }
                }
                began = match state {
                    State::Recording { .. } => true,
                    State::Stopping { .. } => began,
                    _ => false,
                };
            }
            // However it went: the program can end, and what was begun is sealed.
            for effect in machine.step(at, Event::Shutdown) {
                world.obey(&effect)?;
            }
            if world.open {
                prop_assert!(world.closed);
                world.hear(&Event::Ended { begun: true, fault: None });
                for effect in machine.step(at, Event::Ended { begun: true, fault: None }) {
                    world.obey(&effect)?;
                }
                prop_assert!(machine.state().word().starts_with("sealed"), "{:?}", machine.state());
            }
            prop_assert!(!machine.state().takes_pictures());
        }
    }
}
