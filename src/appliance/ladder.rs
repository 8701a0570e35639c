//! What gives way when a machine cannot keep up with a camera, in which order, and when it comes back.
//!
//! One rung at a time: how often is looked, how closely, how much the encoder works, and at the end
//! whole frames, dropped before anything is looked for in them. What is veiled is no rung. A file is
//! never in a hurry and has no ladder.
//!
//! Pure: the times of frames come in, rungs go out. Does not belong here: what a rung means (`veil`,
//! `encode`).

use std::time::Duration;

use crate::units::Pts;

/// For so long the queue is watched before anything is concluded from it: cameras send in bursts, and
/// one slow frame is no slow machine.
const WINDOW: Duration = Duration::from_millis(500);
/// When all through a window at least so many frames waited, and they did not become fewer, the
/// machine is behind.
const BEHIND: usize = 2;
/// A rung is given back after so long without a window in which the queue was never empty ...
const CALM_FIRST: Duration = Duration::from_secs(10);
/// ... or longer, twice as long each time that it was given back too early, up to this.
const CALM_MOST: Duration = Duration::from_secs(320);

/// What has given way, each with all before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// Nothing.
    #[default]
    None,
    /// How often the picture is looked at closely, and how many faces are compared.
    Cadence,
    /// The size at which every picture is looked at.
    Resolution,
    /// The encoder's effort, from the next segment on.
    Preset,
    /// Frames: those for which there is no time are dropped before they are looked at.
    Frames,
}

impl Rung {
    /// The word for it in logs, manifests and `--json`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cadence => "cadence",
            Self::Resolution => "resolution",
            Self::Preset => "preset",
            Self::Frames => "frames",
        }
    }
}

/// What became of frames so far, and of the machine's effort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// The rung it is on.
    pub rung: Rung,
    /// The farthest rung it was on.
    pub furthest: Rung,
    /// How often it went from one rung to another.
    pub changes: u64,
    /// Frames that were dropped in a slow moment, with rungs left to take.
    pub frames_late: u64,
    /// Frames that were dropped because nothing else was left to give way.
    pub frames_overload: u64,
}

/// One camera's queue over one stretch of time.
#[derive(Clone, Copy, Debug)]
struct Window {
    since: Pts,
    first: usize,
    least: usize,
    displaced: u64,
}

/// Goes down and up the rungs by what is seen of the camera's queue.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    rungs: Vec<Rung>,
    at: usize,
    window: Option<Window>,
    /// Since when no window was other than calm.
    calm_since: Option<Pts>,
    /// How long that has to last now.
    patience: Duration,
    /// When a rung was given back last.
    eased: Option<Pts>,
    displaced: u64,
    load: Load,
}

impl Ladder {
    /// A ladder on its top; `preset` says whether the encoder has an effort to give back.
    #[must_use]
    pub(super) fn new(preset: bool) -> Self {
        let all = [Rung::None, Rung::Cadence, Rung::Resolution, Rung::Preset, Rung::Frames];
        let rungs = all.into_iter().filter(|&rung| preset || rung != Rung::Preset).collect();
        Self {
            rungs,
            at: 0,
            window: None,
            calm_since: None,
            patience: CALM_FIRST,
            eased: None,
            displaced: 0,
            load: Load::default(),
        }
    }

    /// What has given way.
    #[must_use]
    pub(super) fn rung(&self) -> Rung {
        self.rungs.get(self.at).copied().unwrap_or_default()
    }

    /// What became of frames and effort so far.
    #[must_use]
    pub(super) fn load(&self) -> Load {
        self.load
    }

    /// Takes in how many frames gave way since the start.
    pub(super) fn count(&mut self, displaced: u64) {
        let lost = displaced.saturating_sub(self.displaced);
        self.displaced = displaced;
        if self.rung() == Rung::Frames {
            self.load.frames_overload += lost;
        } else {
            self.load.frames_late += lost;
        }
    }

    /// Takes in that a frame of time `pts` was taken, that `waiting` more waited then, and that
    /// `displaced` gave way since the start. Returns the new rung where it changes.
    pub(super) fn step(&mut self, pts: Pts, waiting: usize, displaced: u64) -> Option<Rung> {
        self.count(displaced);
        let window = self.window.get_or_insert(Window {
            since: pts,
            first: waiting,
            least: waiting,
            displaced,
        });
        window.least = window.least.min(waiting);
        if pts.since(window.since) < WINDOW {
            return None;
        }
        let Window { first, least, displaced: before, .. } = *window;
        self.window = None;
        if least >= BEHIND && (waiting >= first || displaced > before) {
            self.calm_since = None;
            return self.down(pts);
        }
        if least > 0 || displaced > before {
            self.calm_since = None;
            return None;
        }
        let calm_since = *self.calm_since.get_or_insert(pts);
        if pts.since(calm_since) >= self.patience { self.up(pts) } else { None }
    }

    fn down(&mut self, pts: Pts) -> Option<Rung> {
        if self.at + 1 >= self.rungs.len() {
            return None;
        }
        // What was given back and taken again at once was given back too early.
        let too_early = self.eased.take().is_some_and(|at| pts.since(at) < self.patience);
        self.patience = if too_early { (self.patience * 2).min(CALM_MOST) } else { self.patience };
        self.at += 1;
        Some(self.changed())
    }

    fn up(&mut self, pts: Pts) -> Option<Rung> {
        // Each rung has to prove itself.
        self.calm_since = Some(pts);
        if self.eased.is_some_and(|at| pts.since(at) >= CALM_MOST) {
            self.patience = CALM_FIRST;
        }
        self.at = self.at.checked_sub(1)?;
        self.eased = Some(pts);
        Some(self.changed())
    }

    fn changed(&mut self) -> Rung {
        let rung = self.rung();
        self.load.rung = rung;
        self.load.furthest = self.load.furthest.max(rung);
        self.load.changes += 1;
        rung
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAPACITY: usize = 8;

    fn at(ms: u64) -> Pts {
        Pts::from_nanos(ms * 1_000_000)
    }

    /// A machine that needs so many milliseconds for a frame on each rung, with a camera of one
    /// frame in `interval` milliseconds whose queue drops the oldest. Gives the rung after each
    /// change, with its time.
    fn run(
        ladder: &mut Ladder,
        interval: u64,
        cost: impl Fn(Rung) -> u64,
        until: u64,
    ) -> Vec<(u64, Rung)> {
        let (mut now, mut next, mut displaced) = (0, 0, 0);
        let mut queue = std::collections::VecDeque::new();
        let mut changes = Vec::new();
        while now < until {
            while next <= now {
                if queue.len() == CAPACITY {
                    queue.pop_front();
                    displaced += 1;
                }
                queue.push_back(next);
                next += interval;
            }
            let Some(frame) = queue.pop_front() else {
                now = next;
                continue;
            };
            changes
                .extend(ladder.step(at(frame), queue.len(), displaced).map(|rung| (frame, rung)));
            now += cost(ladder.rung());
        }
        changes
    }

    #[test]
    fn each_rung_is_taken_until_one_is_enough() {
        let costs = |enough: Rung| move |rung: Rung| if rung >= enough { 30 } else { 60 };
        let all = [Rung::Cadence, Rung::Resolution, Rung::Preset, Rung::Frames];
        for (i, &enough) in all.iter().enumerate() {
            let mut ladder = Ladder::new(true);
            let changes = run(&mut ladder, 40, costs(enough), 9_000);
            let rungs: Vec<Rung> = changes.iter().map(|(_, rung)| *rung).collect();
            assert_eq!(rungs, all[..=i]);
            assert!(changes.last().is_some_and(|(ms, _)| *ms < 4_000), "{changes:?}");
        }
        let mut ladder = Ladder::new(false);
        let rungs = run(&mut ladder, 40, |_| 90, 9_000);
        let rungs: Vec<Rung> = rungs.into_iter().map(|(_, rung)| rung).collect();
        assert_eq!(rungs, [Rung::Cadence, Rung::Resolution, Rung::Frames]);
        let Load { frames_late, frames_overload, furthest, .. } = ladder.load();
        assert_eq!(furthest, Rung::Frames);
        assert!(frames_late < 40 && frames_overload > 60, "{frames_late}, {frames_overload}");
    }

    #[test]
    fn a_stall_and_bursts_are_no_overload() {
        let mut ladder = Ladder::new(true);
        // A look that takes five seconds once, at ten seconds.
        let stalled = std::cell::Cell::new(0);
        let cost = |_| {
            stalled.set(stalled.get() + 1);
            if stalled.get() == 250 { 5_000 } else { 10 }
        };
        assert_eq!(run(&mut ladder, 40, cost, 30_000), []);
        assert!(ladder.load().frames_late > 100);
        assert_eq!(ladder.load().frames_overload, 0);
        // Six frames at once, every quarter of a second.
        let mut ladder = Ladder::new(true);
        for burst in 0..100 {
            for i in 0..6u64 {
                let waiting = usize::try_from(5 - i).expect("small");
                assert_eq!(ladder.step(at(burst * 250 + i * 40), waiting, 0), None);
            }
        }
    }

    #[test]
    fn what_gave_way_comes_back_one_by_one() {
        let mut ladder = Ladder::new(true);
        run(&mut ladder, 40, |_| 90, 5_000);
        assert_eq!(ladder.rung(), Rung::Frames);
        let mut ms = 5_000;
        let mut back = Vec::new();
        while ms < 60_000 {
            back.extend(ladder.step(at(ms), 0, ladder.displaced).map(|rung| (ms, rung)));
            ms += 40;
        }
        let rungs: Vec<Rung> = back.iter().map(|(_, rung)| *rung).collect();
        assert_eq!(rungs, [Rung::Preset, Rung::Resolution, Rung::Cadence, Rung::None]);
        assert!(back.windows(2).all(|two| two[1].0 - two[0].0 >= 10_000), "{back:?}");
    }

    #[test]
    fn a_rung_that_is_needed_is_given_back_ever_more_seldom() {
        let mut ladder = Ladder::new(true);
        let hour = 3_600_000;
        let changes = run(&mut ladder, 40, |rung| if rung == Rung::None { 60 } else { 20 }, hour);
        // Once down, then in pairs up and down: after 10, 20, 40 ... 320 seconds.
        assert!(changes.len() < 2 * 17, "{}", changes.len());
        assert!(changes.iter().all(|(_, rung)| *rung <= Rung::Cadence));
    }

    proptest! {
        #[test]
        fn one_rung_at_a_time_and_none_without_a_standing_queue(
            queue in proptest::collection::vec((0usize..=CAPACITY, 1u64..200, 0u64..3), 1..400),
            preset in any::<bool>(),
        ) {
            let mut ladder = Ladder::new(preset);
            let (mut ms, mut displaced, mut changes) = (0, 0, 0);
            let mut calm = true;
            for (waiting, step, lost) in queue {
                ms += step;
                displaced += lost;
                calm &= waiting < BEHIND;
                let before = ladder.rungs.iter().position(|r| *r == ladder.rung());
                if let Some(rung) = ladder.step(at(ms), waiting, displaced) {
                    let after = ladder.rungs.iter().position(|r| *r == rung);
                    prop_assert_eq!(before.zip(after).map(|(b, a)| b.abs_diff(a)), Some(1));
                    changes += 1;
                }
                prop_assert!(!calm || ladder.rung() == Rung::None);
                prop_assert!(preset || ladder.rung() != Rung::Preset);
            }
            let load = ladder.load();
            prop_assert_eq!(load.changes, changes);
            prop_assert_eq!(load.frames_late + load.frames_overload, displaced);
            prop_assert!(load.furthest >= load.rung);
        }

        #[test]
        fn a_machine_ends_on_the_first_rung_that_is_enough(
            interval in 20u64..100, slow in 110u64..300, fast in 10u64..75, enough in 1usize..5,
        ) {
            let mut ladder = Ladder::new(true);
            let all = ladder.rungs.clone();
            // In hundredths of the camera's interval.
            let cost = |rung: Rung| {
                let share = if rung >= all[enough] { fast } else { slow };
                (interval * share / 100).max(1)
            };
            // Shorter than the calm after which a rung is given back.
            run(&mut ladder, interval, cost, 9_000);
            prop_assert_eq!(ladder.rung(), all[enough]);
        }
    }
}
