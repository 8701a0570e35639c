//! What is being dropped, camera by camera, and whoever waits to hear of it.

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use serde_json::json;

use super::{
    control::Answer,
    drops::Dropped,
    recording::{Event, State},
    steward::Service,
};
use crate::units::CameraId;

/// One wish that the last stretch be dropped.
#[derive(Debug)]
pub(super) struct Dropping {
    waiting: Vec<(CameraId, Receiver<Dropped>)>,
    heard: Vec<(CameraId, Dropped)>,
    answer: Option<Sender<Answer>>,
}

impl Dropping {
    /// What was asked of each camera; none where its recording is over.
    pub(super) fn new(asked: Vec<(CameraId, Option<Receiver<Dropped>>)>) -> Self {
        let (mut waiting, mut heard) = (Vec::new(), Vec::new());
        for (camera, answered) in asked {
            match answered {
                Some(answered) => waiting.push((camera, answered)),
                None => heard.push((camera, Err("its recording is sealed already".to_owned()))),
            }
        }
        Self { waiting, heard, answer: None }
    }

    /// Whether somebody waits for it.
    pub(super) fn is_asked(&self) -> bool {
        self.answer.is_some()
    }

    pub(super) fn answer_to(&mut self, answer: Sender<Answer>) {
        self.answer = Some(answer);
    }

    /// Takes in what is known by now; says whether that is all.
    pub(super) fn listen(&mut self) -> bool {
        for (camera, answered) in std::mem::take(&mut self.waiting) {
            match answered.try_recv() {
                Ok(dropped) => self.heard.push((camera, dropped)),
                Err(TryRecvError::Empty) => self.waiting.push((camera, answered)),
                Err(TryRecvError::Disconnected) => {
                    self.heard.push((camera, Err("its recording ended first".to_owned())));
                }
            }
        }
        self.waiting.is_empty()
    }

    /// Whether something may still be there.
    pub(super) fn failed(&self) -> bool {
        self.heard.iter().any(|(_, dropped)| dropped.is_err())
    }

    /// What to say of it.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |(camera, dropped): &(CameraId, Dropped)| match dropped {
            Ok(gap) => format!(
                "camera {camera}: nothing is kept from {:.1} s to {:.1} s",
                gap.from_ns.seconds(),
                gap.to_ns.seconds()
            ),
            Err(problem) => format!("camera {camera}: NOT DROPPED: {problem}"),
        };
        self.heard.iter().map(line).collect()
    }

    /// Answers whoever waits.
    pub(super) fn answer(self, state: &str) {
        let Some(answer) = self.answer else { return };
        let failed = self.heard.iter().any(|(_, dropped)| dropped.is_err());
        let gaps: Vec<_> =
            self.heard.iter().filter_map(|(_, dropped)| dropped.as_ref().ok()).collect();
        let body = json!({ "state": state, "gaps": gaps });
        let _ = answer.send(if failed {
            let text = "it may not be gone, so the recording is stopped and withheld: tell the privacy \
                        officer";
            Answer::refused(text, body)
        } else {
            Answer::done(body)
        });
    }
}

impl Service {
    /// Passes on that the last stretch is to go.
    pub(super) fn drop_last(&mut self, length: Duration) {
        self.say(format!("the last {} s are to be dropped", length.as_secs()));
        // What is older than this recording of the lesson is sealed in the one before.
        if let State::Recording { began, .. } = self.machine.state()
            && self.began.elapsed().saturating_sub(*began) < length
            && !self.lesson_before.is_empty()
        {
            self.say("it reaches into what was recorded before: all of that is withheld");
            self.withhold_these(self.lesson_before.clone());
        }
        // Before it has begun nothing is kept.
        let begun = self.crew.iter().filter(|crew| crew.recording.is_some());
        let at_work = begun.flat_map(|crew| crew.cameras.iter());
        let asked = at_work.map(|one| (one.camera.clone(), one.drops.ask(length)));
        let dropping = Dropping::new(asked.collect());
        self.dropping.push(dropping);
    }

    /// What came of what was to be dropped. Where it may still be there, nobody is to have any of it.
    pub(super) fn hear_dropped(&mut self) {
        let mut open = Vec::new();
        let mut failed = false;
        for mut dropping in std::mem::take(&mut self.dropping) {
            if !dropping.listen() {
                open.push(dropping);
                continue;
            }
            for line in dropping.lines() {
                self.say(line);
            }
            failed |= dropping.failed();
            let state = self.machine.state().word();
            dropping.answer(state);
        }
        self.dropping = open;
        if !failed {
            return;
        }
        self.say("what was to be dropped may still be there: all of it is withheld");
        if self.machine.state().takes_pictures() {
            self.step(Event::Object);
        }
        // What is sealed already is not reached by that.
        self.withhold();
    }
}
