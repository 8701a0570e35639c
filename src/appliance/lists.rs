//! A pupil list that takes the place of the one in force while a recording runs.
//!
//! Belongs here: the way from whoever reads lists (the command line, later the box's own service) to
//! the recorder. Does not belong: reading and judging lists (`people`), what a list changes in the
//! picture (`veil`).

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{people::PupilList, vision::identify::Gallery};

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
