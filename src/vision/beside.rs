//! A model that runs on a thread of its own, beside the one that asks it.
//!
//! Belongs here: handing inputs over and answers back. Does not belong: what they mean.

use std::{collections::VecDeque, thread::JoinHandle};

use crossbeam_channel::{Receiver, Sender};

use super::infer::VisionError;

/// Most runs that were begun and not answered yet; a frame begins three. Whoever begins another one waits for
/// the oldest answer first.
const MOST: usize = 4;

/// A run that was begun, to be asked for by it.
#[derive(Debug)]
pub struct Begun(u64);

struct Job {
    number: u64,
    input: Vec<f32>,
}

struct Done<T> {
    number: u64,
    input: Vec<f32>,
    answer: Result<T, VisionError>,
}

/// A model whose runs are begun and asked for later. Inputs are kept and lent again. Its thread ends with it.
pub(super) struct Beside<T> {
    /// None once it ends.
    jobs: Option<Sender<Job>>,
    done: Receiver<Done<T>>,
    thread: Option<JoinHandle<()>>,
    next: u64,
    /// All before this one were.
    answered: u64,
    answers: VecDeque<(u64, Result<T, VisionError>)>,
    spare: Vec<Vec<f32>>,
}

impl<T: Send + 'static> Beside<T> {
    /// Has `run` answer each input.
    pub(super) fn new(
        mut run: impl FnMut(&[f32]) -> Result<T, VisionError> + Send + 'static,
    ) -> Result<Self, VisionError> {
        let (jobs, taken) = crossbeam_channel::bounded::<Job>(MOST);
        let (given, done) = crossbeam_channel::bounded(MOST);
        let work = move || {
            for Job { number, input } in taken {
                let answer = run(&input);
                // Nobody waits for the answer any more where this fails.
                if given.send(Done { number, input, answer }).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("compare".to_owned()).spawn(work);
        let thread = Some(thread.map_err(VisionError::Thread)?);
        let (answers, spare) = (VecDeque::new(), Vec::new());
        Ok(Self { jobs: Some(jobs), done, thread, next: 0, answered: 0, answers, spare })
    }

    /// Memory for an input.
    pub(super) fn input(&mut self) -> Vec<f32> {
        self.spare.pop().unwrap_or_default()
    }

    /// Begins a run.
    pub(super) fn begin(&mut self, input: Vec<f32>) -> Result<Begun, VisionError> {
        let number = self.next;
        while number - self.answered >= MOST as u64 {
            self.take()?;
        }
        self.next += 1;
        match self.jobs.as_ref().map(|jobs| jobs.send(Job { number, input })) {
            Some(Ok(())) => Ok(Begun(number)),
            _ => Err(self.ended()),
        }
    }

    fn ended(&mut self) -> VisionError {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        VisionError::Ended
    }

    /// The answer of a run that was begun, once it is there.
    pub(super) fn finish(&mut self, begun: &Begun) -> Result<T, VisionError> {
        loop {
            if let Some(at) = self.answers.iter().position(|(number, _)| *number == begun.0)
                && let Some((_, answer)) = self.answers.remove(at)
            {
                return answer;
            }
            self.take()?;
        }
    }

    /// Waits for the next answer. Where the thread panicked, so does this one: none will come any more.
    fn take(&mut self) -> Result<(), VisionError> {
        let Ok(Done { number, input, answer }) = self.done.recv() else { return Err(self.ended()) };
        self.answered = number + 1;
        self.spare.push(input);
        self.answers.push_back((number, answer));
        Ok(())
    }
}

impl<T> Drop for Beside<T> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // The library must not be unloaded while it runs. What a panic says was said on its thread.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_belong_to_their_inputs_in_whatever_order_they_are_asked_for() {
        let mut counted = Beside::new(|input| Ok(input.len())).expect("a thread");
        // More than are begun at once.
        let begun: Vec<Begun> =
            (0..MOST + 3).map(|i| counted.begin(vec![0.0; i]).expect("begun")).collect();
        for (i, begun) in begun.iter().enumerate().rev() {
            assert_eq!(counted.finish(begun).expect("an answer"), i);
        }
        assert!(counted.answers.is_empty() && !counted.input().is_empty(), "memory is lent again");
    }

    #[test]
    fn a_run_that_fails_fails_alone_and_one_that_panics_panics_who_asks() {
        let mut spoilt = Beside::new(|input| match input.len() {
            0 => Err(VisionError::Ended),
            1 => panic!("a fault of the program"),
            good => Ok(good),
        })
        .expect("a thread");
        let begun = [0, 2, 1].map(|kind| spoilt.begin(vec![0.0; kind]).expect("begun"));
        assert!(spoilt.finish(&begun[0]).is_err());
        assert_eq!(spoilt.finish(&begun[1]).expect("an answer"), 2);
        let asked = std::panic::AssertUnwindSafe(|| spoilt.finish(&begun[2]));
        assert!(std::panic::catch_unwind(asked).is_err(), "its panic is that of who asks");
        assert!(matches!(spoilt.begin(vec![0.0; 2]), Err(VisionError::Ended)));
    }
}
