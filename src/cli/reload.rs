//! A pupil list that is replaced while `classveil record` runs: SIGHUP asks for it to be read again.
//!
//! A list that is wrong does not count: the one before stays in force, and that is said aloud. The
//! same signal says that a terminal is gone; then nobody is left to end the recording, so it ends.

use std::{
    io::{IsTerminal, stderr, stdin, stdout},
    thread::Scope,
};

use indicatif::ProgressBar;
use signal_hook::{
    consts::SIGHUP,
    iterator::{Handle, Signals},
};

use super::{Failure, list::List, output, record::Reading};
use crate::{
    appliance::ListSender,
    error::ErrorKind,
    people::{Changes, PupilList, Status},
    shutdown::Shutdown,
};

/// Waits for SIGHUP.
pub(super) struct Hangups<'a> {
    signals: Signals,
    shutdown: &'a Shutdown,
    /// Which of stdin, stdout and stderr were terminals at the start.
    terminals: [bool; 3],
}

/// Ends the waiting when dropped, so that a recording that fails does not wait for a signal.
pub(super) struct Ends(Handle);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<'a> Hangups<'a> {
    /// Takes over SIGHUP, which ends a program otherwise.
    pub(super) fn new(shutdown: &'a Shutdown) -> Result<Self, Failure> {
        let signals = Signals::new([SIGHUP]).map_err(|error| {
            Failure::new(ErrorKind::Io, format!("cannot take over SIGHUP: {error}"))
        })?;
        Ok(Self { signals, shutdown, terminals: terminals() })
    }

    /// Answers each signal on a thread of its own, until the guard is dropped.
    pub(super) fn answer<'scope, 'env>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        reading: &'env Reading<'env>,
        mut in_force: PupilList,
        sender: ListSender,
        bar: &'env ProgressBar,
    ) -> Result<Ends, Failure>
    where
        'a: 'scope,
    {
        let Self { mut signals, shutdown, terminals: before } = self;
        let ends = Ends(signals.handle());
        std::thread::Builder::new()
            .name("lists".to_owned())
            .spawn_scoped(scope, move || {
                for _ in &mut signals {
                    // A terminal that is gone is none any more.
                    if before.iter().zip(terminals()).any(|(&before, now)| before && !now) {
                        shutdown.request();
                        tracing::warn!("the terminal is gone: the recording ends");
                        continue;
                    }
                    match again(reading, &in_force) {
                        Ok(list) => {
                            bar.suspend(|| output::note(said_of(&list)));
                            in_force.clone_from(&list.people);
                            if !sender.replace(list.into()) {
                                return;
                            }
                        }
                        Err(Failure { message, .. }) => {
                            tracing::error!("a new pupil list could not be used");
                            bar.suspend(|| output::error(unusable(&message)));
                            if !sender.refuse() {
                                return;
                            }
                        }
                    }
                }
            })
            .map_err(|e| {
                Failure::new(ErrorKind::Exhausted, format!("cannot start a thread: {e}"))
            })?;
        Ok(ends)
    }
}

fn terminals() -> [bool; 3] {
    [stdin().is_terminal(), stdout().is_terminal(), stderr().is_terminal()]
}

/// The list as it is now, if it may take the place of the one in force.
fn again(reading: &Reading<'_>, in_force: &PupilList) -> Result<List, Failure> {
    let list = reading.list(|| reading.eyes())?;
    // A list that was loaded into the store was confirmed there.
    let lifted = Changes::between(in_force, &list.people).removals();
    if reading.is_file() && lifted > 0 {
        return Err(Failure::new(
            ErrorKind::Config,
            format!(
                "it lifts {lifted} refusals, which takes effect with the next recording; or load it \
                 with `classveil pupils load --confirm-removals {lifted}` and record without --pupils"
            ),
        ));
    }
    Ok(list)
}

fn said_of(list: &List) -> String {
    format!(
        "the pupil list was read again: {} on it, {} refused; version {}",
        list.people.people().len(),
        list.people.count(Status::Refused),
        list.version(),
    )
}

fn unusable(message: &str) -> String {
    format!(
        "the pupil list was not replaced: {message}; THE LIST BEFORE STAYS IN FORCE: whoever refuses \
         only in the new one is not veiled for it; put it right and send SIGHUP again, or end the \
         recording"
    )
}
