//! What each event leads to, by the state that it comes in.

use std::time::Duration;

use super::{
    super::{codes::Code, lesson::Lesson},
    At, By, Effect, Event, Light, Recording, State, Step, Why,
};

impl Recording {
    /// Somebody wants something recorded, or not after all.
    pub(super) fn begin(&mut self, state: State, event: Event, effects: &mut Vec<Effect>) {
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
    pub(super) fn resume(&mut self, state: State, event: Event, effects: &mut Vec<Effect>) {
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
    pub(super) fn go_on(&mut self, state: State, event: Event, effects: &mut Vec<Effect>) {
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
    pub(super) fn end_for(&mut self, state: State, event: &Event, effects: &mut Vec<Effect>) {
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
    pub(super) fn drop_last(
        &mut self,
        state: State,
        length: Duration,
        stop: bool,
        effects: &mut Vec<Effect>,
    ) {
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
    pub(super) fn ended(
        &mut self,
        state: State,
        begun: bool,
        fault: Option<Code>,
        effects: &mut Vec<Effect>,
    ) {
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

    pub(super) fn abandon(
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

    pub(super) fn stop(
        &mut self,
        recorded: bool,
        why: Why,
        withhold: bool,
        effects: &mut Vec<Effect>,
    ) {
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
