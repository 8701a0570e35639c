//! Takes checkpoints of the log to a witness, beside everything else.
//!
//! The witness's folder may be one on a network, and such a folder can hang for as long as it likes. So
//! it is written to on a thread of its own that nobody waits for, the end of the program neither.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    time::Duration,
};

/// A round that takes longer is said to hang, once.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks for rounds, one at a time.
#[derive(Debug)]
pub(super) struct Courier {
    ask: SyncSender<()>,
    told: Receiver<Option<String>>,
    /// Since when a round is under way, by the machine's own count.
    since: Option<Duration>,
    hangs: bool,
}

impl Courier {
    /// `round` is done each time that one is asked for; it says what is wrong, if anything is. It ends
    /// with the value that this returns, or after the round that hangs.
    pub(super) fn start(
        mut round: impl FnMut() -> Option<String> + Send + 'static,
    ) -> io::Result<Self> {
        // Capacity 1 each way: one round at a time, and what it said. Full: no other is asked for.
        let (ask, asked) = sync_channel::<()>(1);
        let (tell, told) = sync_channel(1);
        std::thread::Builder::new().name("witness".to_owned()).spawn(move || {
            for () in asked {
                if tell.send(round()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { ask, told, since: None, hangs: false })
    }

    /// Asks for a round where none is under way, at `now` by the machine's own count. Says what was
    /// wrong with the one before. Waits for nothing.
    pub(super) fn look(&mut self, now: Duration) -> Option<String> {
        match self.told.try_recv() {
            Ok(said) => {
                self.since = None;
                self.hangs = false;
                if said.is_some() {
                    return said;
                }
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return None,
        }
        match self.since {
            None => {
                self.since = self.ask.try_send(()).is_ok().then_some(now);
                None
            }
            Some(since) if !self.hangs && now.saturating_sub(since) >= PATIENCE => {
                self.hangs = true;
                Some("its folder has not answered for a minute".to_owned())
            }
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks until something is said, or for a second.
    fn soon(courier: &mut Courier, now: Duration) -> Option<String> {
        (0..100).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            courier.look(now)
        })
    }

    #[test]
    fn a_folder_that_hangs_holds_up_nobody_and_is_said_once() {
        let (free, held) = sync_channel::<Option<String>>(0);
        let mut courier = Courier::start(move || held.recv().ok().flatten()).unwrap();
        let at = Duration::from_secs;
        assert_eq!(courier.look(at(0)), None);
        assert_eq!(courier.look(at(59)), None);
        assert!(courier.look(at(61)).unwrap().contains("not answered"));
        assert_eq!(courier.look(at(3600)), None, "said once");
        free.send(Some("it is full".to_owned())).unwrap();
        assert_eq!(soon(&mut courier, at(3601)).unwrap(), "it is full");
        // It goes on, and may hang again.
        assert_eq!(courier.look(at(3602)), None);
        assert!(courier.look(at(3663)).is_some());
        free.send(None).unwrap();
        assert_eq!(soon(&mut courier, at(3664)), None);
    }
}
