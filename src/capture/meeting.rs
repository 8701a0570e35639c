//! Where the media threads hand over to the recorder: two bounded queues, picture and sound, taken
//! in the order of their times.
//!
//! Generic over what is handed over, so that its rules are tested without media.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What happens when the picture queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenFull {
    /// The decoder waits: nothing of a file is lost.
    Wait,
    /// The oldest one goes and is counted: a camera does not wait.
    DropOldest,
}

/// The other side went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// What the recorder gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<V, A> {
    Video(V),
    Audio(A),
    /// Both streams are at their end and empty.
    End,
    /// Nothing came in time.
    Nothing,
}

/// A thing with a place on the stream's timeline, in nanoseconds.
pub(super) trait Timed {
    fn at(&self) -> i128;
}

struct State<V, A> {
    video: VecDeque<V>,
    audio: VecDeque<A>,
    video_open: bool,
    audio_open: bool,
    closed: bool,
    displaced: u64,
}

/// The two queues.
pub(super) struct Meeting<V, A> {
    state: Mutex<State<V, A>>,
    /// Something arrived or ended.
    arrived: Condvar,
    /// Something was taken, or everything was closed.
    taken: Condvar,
    when_full: WhenFull,
    video_capacity: usize,
    audio_capacity: usize,
}

impl<V: Timed, A: Timed> Meeting<V, A> {
    pub(super) fn new(when_full: WhenFull, video_capacity: usize, audio_capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                video: VecDeque::with_capacity(video_capacity),
                audio: VecDeque::with_capacity(audio_capacity),
                video_open: true,
                audio_open: false,
                closed: false,
                displaced: 0,
            }),
            arrived: Condvar::new(),
            taken: Condvar::new(),
            when_full,
            video_capacity,
            audio_capacity,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<V, A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that sound will come, so that pictures wait for sound of the same time.
    pub(super) fn expect_audio(&self) {
        self.lock().audio_open = true;
    }

    /// Waits until there is room for a picture; never waits for a live source.
    ///
    /// Apart from [`Meeting::offer_video`], because a sink that waits while it renders holds a lock
    /// that its own change of state needs.
    pub(super) fn wait_for_video_room(&self) -> Result<(), Closed> {
        self.wait_while(|state| state.video.len() >= self.video_capacity)
    }

    /// Waits until there is room for sound; never waits for a live source.
    pub(super) fn wait_for_audio_room(&self) -> Result<(), Closed> {
        self.wait_while(|state| state.audio.len() >= self.audio_capacity)
    }

    fn wait_while(&self, full: impl Fn(&State<V, A>) -> bool) -> Result<(), Closed> {
        let mut state = self.lock();
        while self.when_full == WhenFull::Wait && full(&state) && !state.closed {
            state = self.taken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed { Err(Closed) } else { Ok(()) }
    }

    /// Puts a picture down. A live source displaces the oldest one; a file has waited for room.
    pub(super) fn offer_video(&self, item: V) -> Result<(), Closed> {
        let mut state = self.lock();
        if state.closed {
            return Err(Closed);
        }
        while self.when_full == WhenFull::DropOldest && state.video.len() >= self.video_capacity {
            state.video.pop_front();
            state.displaced += 1;
        }
        state.video.push_back(item);
        self.arrived.notify_all();
        Ok(())
    }

    /// Puts sound down, as [`Meeting::offer_video`] does. What a live source displaces shows as a
    /// hole in its times.
    pub(super) fn offer_audio(&self, item: A) -> Result<(), Closed> {
        let mut state = self.lock();
        if state.closed {
            return Err(Closed);
        }
        while self.when_full == WhenFull::DropOldest && state.audio.len() >= self.audio_capacity {
            state.audio.pop_front();
        }
        state.audio.push_back(item);
        self.arrived.notify_all();
        Ok(())
    }

    /// No more pictures will come.
    pub(super) fn end_video(&self) {
        self.lock().video_open = false;
        self.arrived.notify_all();
    }

    /// No more sound will come.
    pub(super) fn end_audio(&self) {
        self.lock().audio_open = false;
        self.arrived.notify_all();
    }

    /// Nothing more will come of either, after a failure.
    pub(super) fn end_both(&self) {
        let mut state = self.lock();
        state.video_open = false;
        state.audio_open = false;
        self.arrived.notify_all();
    }

    /// Frees a media thread that waits for room; what it holds is refused.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.taken.notify_all();
    }

    /// Pictures that gave way to newer ones so far.
    pub(super) fn displaced(&self) -> u64 {
        self.lock().displaced
    }

    /// Pictures that wait now.
    pub(super) fn waiting(&self) -> usize {
        self.lock().video.len()
    }

    /// The earlier of the two things in front.
    ///
    /// While one queue is empty and its stream open, the other waits for it, until it is full or
    /// the time is over: streams that are badly interleaved may come out of order, but never block
    /// each other. Live streams wait for nobody.
    pub(super) fn take(&self, timeout: Duration) -> Taken<V, A> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let patient = self.when_full == WhenFull::Wait && !left.is_zero();
            let taken = match (state.video.front(), state.audio.front()) {
                (Some(video), Some(audio)) => Some(video.at() <= audio.at()),
                (Some(_), None) => {
                    let waits = state.audio_open && state.video.len() < self.video_capacity;
                    (!(waits && patient)).then_some(true)
                }
                (None, Some(_)) => {
                    let waits = state.video_open && state.audio.len() < self.audio_capacity;
                    (!(waits && patient)).then_some(false)
                }
                // A recording is over with its pictures, but a file's last sound is kept.
                (None, None) if !state.video_open && !state.audio_open => return Taken::End,
                (None, None) if !state.video_open && self.when_full == WhenFull::DropOldest => {
                    return Taken::End;
                }
                (None, None) => None,
            };
            let item = match taken {
                Some(true) => state.video.pop_front().map(Taken::Video),
                Some(false) => state.audio.pop_front().map(Taken::Audio),
                None => None,
            };
            if let Some(item) = item {
                self.taken.notify_all();
                return item;
            }
            if left.is_zero() {
                return Taken::Nothing;
            }
            (state, _) =
                self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    impl Timed for i128 {
        fn at(&self) -> i128 {
            *self
        }
    }

    const SOON: Duration = Duration::from_millis(20);
    const LATE: Duration = Duration::from_secs(20);

    #[test]
    fn both_streams_come_in_the_order_of_their_times() {
        let meeting = Meeting::<i128, i128>::new(WhenFull::Wait, 4, 4);
        meeting.expect_audio();
        for at in [0, 40, 80] {
            meeting.offer_video(at).expect("room");
        }
        for at in [5, 30, 60] {
            meeting.offer_audio(at).expect("room");
        }
        meeting.end_audio();
        meeting.end_video();
        let mut order = Vec::new();
        loop {
            match meeting.take(LATE) {
                Taken::Video(at) | Taken::Audio(at) => order.push(at),
                Taken::End => break,
                Taken::Nothing => unreachable!("everything is there"),
            }
        }
        assert_eq!(order, [0, 5, 30, 40, 60, 80]);
    }

    #[test]
    fn a_full_queue_does_not_wait_for_the_other() {
        let meeting = Meeting::<i128, i128>::new(WhenFull::Wait, 2, 2);
        meeting.expect_audio();
        meeting.offer_video(0).expect("room");
        // Not full: it waits for sound, and comes when the time is over.
        assert_eq!(meeting.take(SOON), Taken::Video(0));
        assert_eq!(meeting.take(SOON), Taken::Nothing);
        meeting.offer_video(1).expect("room");
        meeting.offer_video(2).expect("room");
        assert_eq!(meeting.take(LATE), Taken::Video(1));
    }

    #[test]
    fn a_file_waits_and_loses_nothing() {
        let meeting = Arc::new(Meeting::<i128, i128>::new(WhenFull::Wait, 2, 2));
        let source = Arc::clone(&meeting);
        let thread = thread::Builder::new().name("source".to_owned()).spawn(move || {
            for at in 0..200 {
                source.wait_for_video_room().expect("open");
                source.offer_video(at).expect("open");
            }
            source.end_video();
        });
        let mut seen = Vec::new();
        while let Taken::Video(at) = meeting.take(LATE) {
            seen.push(at);
        }
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
        assert_eq!(meeting.displaced(), 0);
        thread.expect("a thread").join().expect("no panic");
    }

    #[test]
    fn the_newest_of_a_camera_wins_and_the_rest_is_counted() {
        let meeting = Meeting::<i128, i128>::new(WhenFull::DropOldest, 3, 3);
        for at in 0..10 {
            meeting.offer_video(at).expect("never waits");
        }
        assert_eq!(meeting.displaced(), 7);
        assert_eq!(meeting.take(SOON), Taken::Video(7));
    }

    #[test]
    fn closing_frees_a_waiting_thread() {
        let meeting = Arc::new(Meeting::<i128, i128>::new(WhenFull::Wait, 1, 1));
        meeting.offer_video(0).expect("room");
        let source = Arc::clone(&meeting);
        let thread = thread::Builder::new().spawn(move || source.wait_for_video_room());
        meeting.close();
        assert_eq!(thread.expect("a thread").join().expect("no panic"), Err(Closed));
    }
}
