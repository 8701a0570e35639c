//! One recording of the box as a state machine: from the lesson that is prepared to the seal.
//!
//! Belongs here: which event leads to which state, and what is to be done about it. Does not belong:
//! clocks, files, threads, cameras; times and what happened come in as events, what is to be done
//! goes out as [`Effect`]s, and whoever carries them out answers with further events.
//!
//! What has to hold whatever happens, and is tested with events in any order: cameras are opened
//! only while no reason not to record stands; while they are open the indicator has been proven on;
//! and what was begun ends sealed, with or without a fault.

mod steps;
mod words;

use std::{collections::BTreeSet, time::Duration};

pub use self::words::{At, By, Effect, Event, Light, Limits, State, Step, Why};
use super::{codes::Code, lesson::Lesson};

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
            names: crate::vault::Names::default(),
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
