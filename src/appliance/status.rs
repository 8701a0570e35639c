//! How the box is, as `status` says it.
//!
//! Belongs here: the words. No names: a lesson is pseudonyms, and its question is for who can open the
//! recording only.

use std::{collections::BTreeMap, sync::PoisonError, time::Duration};

use serde_json::{Value, json};

use super::{
    crew, ending,
    openers::{Followed, Openers},
    preflight::Lit,
    recording::State,
    steward::Service,
    tally::Progress,
};
use crate::units::CameraId;

impl Service {
    /// What each camera did since the program began.
    pub(super) fn totals(&self) -> BTreeMap<CameraId, Progress> {
        let mut totals = self.totals.clone();
        for one in self.crew.iter().flat_map(|crew| crew.cameras.iter()) {
            let before = totals.entry(one.camera.clone()).or_default();
            *before = ending::together([&*before, &one.progress()].into_iter());
        }
        totals
    }

    /// The lesson that is prepared or recorded, without its question, which is for who can open the
    /// recording only.
    pub(super) fn lesson_told(&self) -> Value {
        let Some(lesson) = self.machine.state().lesson() else { return Value::Null };
        let Openers { openers, ahead, openers_problem } = self.openers.told();
        json!({
            "class": lesson.class,
            "teacher": lesson.teacher,
            "coach": lesson.coach,
            "purpose": lesson.purpose,
            "planned_s": lesson.planned.as_secs(),
            "openers": openers,
            "ahead": ahead,
            "openers_problem": openers_problem,
        })
    }

    /// Looks who will be able to open what is prepared: the directory may change, and a key come to
    /// count, until it begins. From then on it is as the recorder said.
    pub(super) fn follow_openers(&mut self) {
        match self.machine.state() {
            State::Prepared { lesson, .. } | State::Arming { lesson, .. }
                if self.crew.is_none() =>
            {
                self.openers.follow(&self.ground, lesson);
            }
            State::Arming { .. } | State::Recording { .. } => {}
            _ => self.openers = Followed::default(),
        }
    }

    pub(super) fn status(&self) -> Value {
        let state = self.machine.state();
        let now = self.began.elapsed();
        let seconds = |at: Duration| at.saturating_sub(now).as_secs();
        let (since, until) = match state {
            State::Prepared { lapses, .. } => (None, Some(seconds(*lapses))),
            State::Arming { gives_up, .. } => (None, Some(seconds(*gives_up))),
            State::Recording { lesson, began, .. } => {
                let ends = seconds(self.machine.end(lesson, *began));
                (Some(now.saturating_sub(*began).as_secs()), Some(ends))
            }
            _ => (None, None),
        };
        let fault = match state {
            State::SealedWithFault { fault } => Some(*fault),
            _ => None,
        };
        let cameras: Vec<Value> = self
            .crew
            .iter()
            .filter(|_| state.takes_pictures())
            .flat_map(|crew| crew.cameras.iter().map(|one| (one, crew.recording)))
            .map(|(one, recording)| {
                let progress = one.progress();
                json!({
                    "camera": one.camera,
                    "recording": recording,
                    "failed": progress.failed,
                    "frames_in": progress.frames_in,
                    "frames_displaced": progress.displaced,
                    "frames_veiled_whole": progress.veiled_whole,
                    "segments": progress.segments,
                    "seconds": progress.position.seconds(),
                    "away": progress.away,
                    "gaps": progress.gaps,
                    "gap_seconds": progress.gap.as_secs_f64(),
                    "frames_waiting": progress.waiting,
                    "frames_held": progress.held,
                })
            })
            .collect();
        let totals: Vec<Value> = self
            .totals()
            .into_iter()
            .map(|(camera, progress)| {
                json!({
                    "camera": camera,
                    "frames_in": progress.frames_in,
                    "frames_late": progress.load.frames_late,
                    "frames_overload": progress.load.frames_overload,
                    "frames_damaged": progress.damaged,
                    "frames_veiled_whole": progress.veiled_whole,
                    "segments": progress.segments,
                    "gaps": progress.gaps,
                    "gap_seconds": progress.gap.as_secs_f64(),
                    "looks": progress.looks,
                    "look_seconds": progress.looking.as_secs_f64(),
                })
            })
            .collect();
        let ends_soon = matches!(state, State::Recording { warned: true, .. });
        let reach = |(camera, up): (&CameraId, &bool)| json!({ "camera": camera, "answers": up });
        json!({
            "state": state.word(),
            "ready": self.looks.ready,
            "ends_soon": ends_soon,
            "reach": self.reach.iter().map(reach).collect::<Vec<_>>(),
            "totals": totals,
            "lesson": self.lesson_told(),
            "recording_s": since,
            "left_s": until,
            "fault": fault,
            "cameras": cameras,
            "last": self.over,
            "indicator": match &self.lit {
                Lit::Proven => "works",
                Lit::Missing => "missing",
                Lit::Broken(_) => "broken",
            },
            "button": match &self.button {
                None => "not needed",
                Some(Ok(())) => "works",
                Some(Err(_)) => "missing",
            },
            "standing": self.machine.standing(),
            "reasons": self.reasons,
            "waivers": crew::waivers(&self.ground.config.now()),
            "network": *self.ground.network.lock().unwrap_or_else(PoisonError::into_inner),
            "software": concat!("classveil ", env!("CARGO_PKG_VERSION")),
        })
    }
}
