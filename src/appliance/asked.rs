//! What the box is asked, by the socket or the pages: whose lesson it is about, and what is answered when.
//!
//! Belongs here: requests and their answers. Does not belong: who may ask for what (`control`, `api`), what
//! happens by itself (`steward`).

use std::{sync::atomic::Ordering, time::Duration};

use crossbeam_channel::Sender;
use serde_json::{Value, json};

use super::{
    codes::Code,
    control::{Answer, Call, Caller, NewLesson, OTHERS, Request},
    lesson::Lesson,
    openers::Followed,
    preflight,
    recording::{By, Event, State},
    service::Job,
    steward::Service,
    time,
};
use crate::{
    clock::{Clock, SystemClock},
    units::PersonId,
    vault::Purpose,
};

impl Service {
    /// Coach and teacher of the lesson that is prepared, runs, or was cut off.
    fn lesson_of(&self) -> Option<(Option<PersonId>, Option<PersonId>)> {
        let state = self.machine.state();
        if let Some(lesson) = state.lesson() {
            return Some((lesson.coach.clone(), lesson.teacher.clone()));
        }
        match state {
            State::Stopping { .. } => Some(self.people.clone()),
            _ => self.cut.as_ref().map(|cut| (cut.coach().cloned(), cut.teacher().cloned())),
        }
    }

    /// Whether it is about a lesson that is somebody else's.
    fn is_others(&self, request: &Request, by: &Caller) -> bool {
        let is_of = |people: &(Option<PersonId>, Option<PersonId>)| {
            by.is_of(people.0.as_ref(), people.1.as_ref())
        };
        match request {
            Request::Status
            | Request::Logs
            | Request::Preflight
            | Request::Reload
            | Request::ConfirmClock => false,
            Request::Prepare { lesson } => {
                let config = self.ground.config.now();
                let coach = lesson.coach.as_ref().or(config.recording.coach.as_ref());
                let teacher = lesson.teacher.as_ref().or(config.recording.teacher.as_ref());
                !by.is_of(coach, teacher)
                    || self.cut.is_some() && !self.lesson_of().is_some_and(|of| is_of(&of))
            }
            _ => self.lesson_of().is_some_and(|of| !is_of(&of)),
        }
    }

    /// Writes down that somebody at the box says its clock is right.
    fn confirm_clock(&mut self, by: &Caller) -> Answer {
        let now = SystemClock.now();
        let audit = &self.ground.audit;
        if let Some(highest) = audit.highest().filter(|highest| now < *highest) {
            let (sentence, settle) = preflight::behind(now, highest);
            return Answer::refused(format!("{sentence}: {settle}"), json!({ "now": now }));
        }
        let uid = match by {
            Caller::Other(uid) => Some(*uid),
            _ => None,
        };
        if let Err(error) = audit.append(now, &time::confirmation(uid)) {
            return Answer::refused(error.to_string(), Value::Null);
        }
        self.say("somebody at the box says that its clock is right");
        // At once; who counts for how long nobody could say so hears it in the next round.
        self.ground.clock_withholds.store(false, Ordering::SeqCst);
        self.looks.all = Duration::ZERO;
        Answer::done(json!({ "now": now }))
    }

    pub(super) fn call(&mut self, Call { request, by, answer }: Call) {
        if self.is_others(&request, &by) {
            let body = json!({ "state": self.machine.state().word() });
            let _ = answer.send(Answer::refused(OTHERS, body));
            return;
        }
        let done = |body| drop(answer.send(Answer::done(body)));
        match request {
            Request::Status
            | Request::Logs
            | Request::Preflight
            | Request::Reload
            | Request::ConfirmClock => {}
            Request::Stop { objection: false } if self.cut.is_some() => {
                self.leave_cut("somebody stopped it");
                return done(json!({ "state": self.machine.state().word() }));
            }
            // What was cut off is sealed: its last stretch cannot be taken out any more.
            Request::Stop { objection: true } | Request::Drop { .. } if self.cut.is_some() => {
                self.withhold_cut("somebody objected to it");
                return done(json!({ "state": self.machine.state().word() }));
            }
            _ => self.leave_cut("somebody asked for something else"),
        }
        match request {
            Request::Status => done(self.status()),
            Request::Logs => done(json!({ "lines": self.lines })),
            Request::ConfirmClock => {
                let said = self.confirm_clock(&by);
                let _ = answer.send(said);
            }
            Request::Preflight => {
                let lesson = self.prepared().cloned();
                let hardware = self.hardware();
                self.job(Job::Look { lesson, hardware, answer: Some(answer) });
            }
            Request::Reload => self.reread(Some(answer)),
            Request::Prepare { lesson } => match self.lesson(lesson) {
                Ok(lesson) => self.asked(Event::Prepare(lesson), answer),
                Err(problem) => {
                    let _ = answer.send(Answer::refused(problem, Value::Null));
                }
            },
            Request::Withdraw => self.asked(Event::Withdraw, answer),
            Request::Start => self.asked(Event::Start(By::Afar), answer),
            Request::Drop { seconds, stop } => self.ask_to_drop(seconds, stop, answer),
            Request::Stop { objection } => {
                self.asked(if objection { Event::Object } else { Event::Stop }, answer);
            }
        }
    }

    /// Takes what somebody asks for, and answers when it is known what comes of it.
    fn asked(&mut self, event: Event, answer: Sender<Answer>) {
        self.follow_settings();
        let is_start = matches!(event, Event::Start(_));
        if is_start && self.waiting.is_some() {
            let body = json!({ "state": self.machine.state().word() });
            let _ = answer.send(Answer::refused("somebody else is starting it", body));
            return;
        }
        if is_start {
            self.waiting = Some(answer);
            self.step(event);
            return;
        }
        let is_prepare = matches!(event, Event::Prepare(_));
        let refused = self.step_and_hear(event);
        let mut body = json!({ "state": self.machine.state().word() });
        if is_prepare && refused.is_none() {
            self.openers = Followed::default();
            self.follow_openers();
            body["lesson"] = self.lesson_told();
        }
        let _ = answer.send(match refused {
            Some(codes) => Answer::refused(words(&codes), body),
            None => Answer::done(body),
        });
    }

    fn ask_to_drop(&mut self, seconds: u64, stop: bool, answer: Sender<Answer>) {
        if seconds == 0 {
            let _ = answer.send(Answer::refused("nothing is to be dropped", Value::Null));
            return;
        }
        let length = Duration::from_secs(seconds);
        let refused = self.step_and_hear(Event::Drop { length, stop });
        let body = json!({ "state": self.machine.state().word() });
        match (refused, self.dropping.last_mut()) {
            (Some(codes), _) => drop(answer.send(Answer::refused(words(&codes), body))),
            (None, Some(dropping)) if !dropping.is_asked() => dropping.answer_to(answer),
            // It was about to begin, and does not.
            (None, _) => drop(answer.send(Answer::done(body))),
        }
    }

    fn lesson(&self, new: NewLesson) -> Result<Lesson, String> {
        let config = self.ground.config.now();
        let recording = &config.recording;
        let purpose = match new.purpose {
            None => recording.purpose,
            Some(word) => word.parse::<Purpose>().map_err(|error| error.to_string())?,
        };
        Ok(Lesson {
            class: new.class.or_else(|| recording.class.clone()),
            teacher: new.teacher.or_else(|| recording.teacher.clone()),
            coach: new.coach.or_else(|| recording.coach.clone()),
            question: new.question.trim().to_owned(),
            names: new.names,
            purpose,
            planned: new.planned_s.map_or(recording.longest, Duration::from_secs),
            continues: None,
        })
    }

    /// Answers whoever waits for a start, once it is known what comes of it.
    pub(super) fn answer_start(&mut self, refused: Option<&[Code]>) {
        let is_arming = matches!(self.machine.state(), State::Arming { .. });
        if is_arming && refused.is_none() {
            return;
        }
        let Some(answer) = self.waiting.take() else { return };
        let records = matches!(self.machine.state(), State::Recording { .. });
        let body = json!({ "state": self.machine.state().word(), "reasons": self.reasons });
        let _ = answer.send(match refused {
            None if records => Answer::done(body),
            None => Answer::refused("it was stopped before it began", body),
            Some(codes) => Answer::refused(words(codes), body),
        });
    }
}

/// Codes as they are said.
pub(super) fn words(codes: &[Code]) -> String {
    codes.iter().map(|code| code.word()).collect::<Vec<_>>().join(", ")
}
