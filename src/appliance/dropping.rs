//! What is being dropped, camera by camera, and whoever waits to hear of it.

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use serde_json::json;

use super::{control::Answer, drops::Dropped};
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
