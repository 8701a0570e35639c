//! A pupil list that takes the place of the one in force while a recording runs.
//!
//! Belongs here: the way from whoever reads lists (the command line, later the box's own service) to
//! the recorder. Does not belong: reading and judging lists (`people`), what a list changes in the
//! picture (`veil`).

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{
    chain::Order,
    recorder::{Around, note_fault, places},
};
use crate::{
    people::PupilList,
    units::{CameraId, Pts, RecordingId},
    vault::{
        ListChange,
        audit::{AuditError, Event},
    },
    veil::{evidence::Judge, policy::Policy},
    vision::{identify::Gallery, infer::Thresholds},
};

/// A list that is in force from now on. Everything in it has been checked.
#[derive(Clone, Debug)]
pub struct NewList {
    /// What it says of each person.
    pub people: PupilList,
    /// Whom it names.
    pub gallery: Gallery,
    /// Its keyed digest.
    pub version: String,
    /// The data protection impact assessment that covers photo matching with it.
    pub dpia: Option<String>,
}

/// What is told of a list.
#[derive(Debug)]
pub(super) enum News {
    /// It takes the place of the one in force.
    Replaced(NewList),
    /// It was to do so and cannot: the one in force stays.
    Unusable,
}

/// The recorder's end.
#[derive(Debug)]
pub struct Lists(Receiver<News>);

/// The other end. It can be cloned: whoever reads lists holds one.
#[derive(Clone, Debug)]
pub struct ListSender(Sender<News>);

/// A way for new lists into one recording.
#[must_use]
pub fn lists() -> (ListSender, Lists) {
    // Capacity 1, since lists are few and each has to count before the next. Full: the sender waits
    // until the recorder has taken the one before, a tenth of a second at most, or is over.
    let (sender, inbox) = bounded(1);
    (ListSender(sender), Lists(inbox))
}

impl ListSender {
    /// Puts a list in force. `false` where the recording is over.
    #[must_use]
    pub fn replace(&self, list: NewList) -> bool {
        self.0.send(News::Replaced(list)).is_ok()
    }

    /// Says that a list was to be put in force and is none. `false` where the recording is over.
    #[must_use]
    pub fn refuse(&self) -> bool {
        self.0.send(News::Unusable).is_ok()
    }
}

impl Lists {
    /// What comes within `patience`.
    pub(super) fn next(&self, patience: Duration) -> Option<News> {
        match self.0.recv_timeout(patience) {
            Ok(news) => Some(news),
            Err(crossbeam_channel::RecvTimeoutError::Timeout) => None,
            Err(crossbeam_channel::RecvTimeoutError::Disconnected) => {
                // Nobody is left who could send one; the caller asks again all the same.
                std::thread::sleep(patience);
                None
            }
        }
    }
}

/// Lists that take the place of the first, on their way to the chains.
#[derive(Debug)]
pub(super) struct Swaps {
    id: RecordingId,
    /// The policy that is applied. No list makes it a weaker one than the manifest names.
    policy: Policy,
    thresholds: Thresholds,
    /// The ways to the cameras' chains.
    orders: Vec<(CameraId, Sender<Order>)>,
    pub(super) made: Vec<ListChange>,
    pub(super) refused: u32,
    /// A list that could not be written into the log.
    pub(super) fault: Option<AuditError>,
}

impl Swaps {
    /// No list has come yet; `policy` is the one that is applied.
    pub(super) fn new(
        id: RecordingId,
        policy: Policy,
        thresholds: Thresholds,
        orders: Vec<(CameraId, Sender<Order>)>,
    ) -> Self {
        Self { id, policy, thresholds, orders, made: Vec::new(), refused: 0, fault: None }
    }

    /// Puts a list in force: into the log first. Where that fails it counts all the same, because it
    /// may name somebody who must not be seen; but the recording ends.
    pub(super) fn replace(&mut self, around: &Around<'_>, list: &NewList, position: Pts) {
        let before = self.policy;
        let judge = || Judge::new(before, &list.gallery, self.thresholds);
        self.policy = judge().policy();
        let (version, dpia) = (list.version.clone(), list.dpia.clone());
        let event = Event::ListVersion { recording: self.id, version: version.clone() };
        let logged = around.audit.append(around.clock.now(), &event);
        let policy = self.policy.to_string();
        self.made.push(ListChange { at_ns: position, version: version.clone(), policy, dpia });
        self.tell(|camera| Order::List {
            judge: Box::new(judge()),
            places: places(&list.people, camera),
            version: version.clone(),
        });
        if let Err(error) = logged {
            self.fault.get_or_insert(error);
            self.tell(|_| Order::End);
        }
    }

    fn tell(&self, order: impl Fn(&CameraId) -> Order) {
        for (camera, chain) in &self.orders {
            // A chain that is gone shows nobody any more.
            let _ = chain.send(order(camera));
        }
    }

    /// Notes that a list was to count and cannot.
    pub(super) fn refuse(&mut self, around: &Around<'_>) {
        self.refused += 1;
        note_fault(around, self.id, "a new pupil list could not be used");
    }
}
