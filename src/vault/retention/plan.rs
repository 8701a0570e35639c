//! What to do with each recording at a given time, and why. Pure: reads no clock, file or socket.

use std::{fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{super::audit::DestroyReason, RetentionError};
use crate::units::RecordingId;

/// Longest hold at a time: 90 days (GOVERNANCE C8 asks for a limit; a claim is lodged within it).
pub(super) const HOLD_LIMIT: Duration = Duration::from_secs(90 * 86_400);

/// What a school decided about ends. It sets deadlines; it never moves one that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    hard_end: Duration,
    after_talk: Duration,
}

impl Policy {
    /// A recording lives `hard_end` at most, and `after_talk` once its follow-up talk is closed.
    ///
    /// # Errors
    /// [`RetentionError::EmptyPolicy`] where either is missing or no time at all.
    pub fn new(
        hard_end: Option<Duration>,
        after_talk: Option<Duration>,
    ) -> Result<Self, RetentionError> {
        let some = |term: Option<Duration>| term.filter(|term| !term.is_zero());
        match (some(hard_end), after_talk) {
            (Some(hard_end), Some(after_talk)) => Ok(Self { hard_end, after_talk }),
            _ => Err(RetentionError::EmptyPolicy),
        }
    }

    /// How long a recording lives after its follow-up talk.
    #[must_use]
    pub fn after_talk(&self) -> Duration {
        self.after_talk
    }
}

/// The present, and how far it can be relied on.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What the clock says.
    pub now: Timestamp,
    /// Whether it is known to be right. A clock that is not never destroys anything.
    pub trusted: bool,
    /// The latest time in the log: a clock before it is wrong, whoever vouches for it.
    pub highest: Option<Timestamp>,
}

impl Clock {
    fn can_be_trusted(&self) -> bool {
        self.trusted && self.highest.is_none_or(|highest| self.now >= highest)
    }

    /// What is due at the highest known time stays due when the clock goes back.
    pub(super) fn latest(&self) -> Timestamp {
        self.highest.map_or(self.now, |highest| highest.max(self.now))
    }
}

/// Where a recording is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// It is there.
    Kept,
    /// The log says that it is destroyed, and files of it are there: a crash, or a restored backup.
    Destroyed,
}

/// Who or what set a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetBy {
    /// The start of the recording.
    Start,
    /// The end of its follow-up talk.
    TalkClosed,
    /// The policy's longest term, because nothing on the recording says anything.
    Policy,
    /// A request for its deletion that was granted.
    Request,
    /// Its successor, with more people veiled.
    Replaced,
}

impl SetBy {
    /// Whether somebody ordered the end, so that it depends on no clock.
    pub(super) const fn is_order(self) -> bool {
        matches!(self, Self::Request | Self::Replaced)
    }
}

/// A time by which a recording must be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Deadline {
    /// When.
    pub at: Timestamp,
    /// Set by.
    pub set_by: SetBy,
}

/// A time during which a recording is neither shown nor destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// When it was placed.
    pub from: Timestamp,
    /// When it ends, or ended by release. At most 90 days after `from` counts.
    pub until: Timestamp,
}

impl Hold {
    fn end(&self) -> Timestamp {
        self.until.min(later(self.from, HOLD_LIMIT))
    }
}

/// For whose sake nobody gets a recording, though it is neither held nor due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "for", rename_all = "kebab-case")]
pub enum Why {
    /// Somebody who was recorded objects, by this request.
    Request {
        /// Its number.
        request: u64,
    },
    /// A pupil who may be in it has refused since it was made.
    LateRefusal,
    /// The log was damaged and renewed, or begun beside it: nobody knows what else one said about it.
    Doubt,
}

/// A time during which nobody gets a recording. Destruction is not postponed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// Since when.
    pub from: Timestamp,
    /// Until when; open where nobody has ended it.
    pub until: Option<Timestamp>,
    /// For whose sake.
    pub why: Why,
}

impl Withheld {
    /// It counts from the line that says so, whatever a clock that went back says.
    fn counts(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// All that is known of one recording.
#[derive(Clone, Debug)]
pub struct Known {
    /// The recording.
    pub id: RecordingId,
    /// Where it is in its life.
    pub life: Life,
    /// When it began, as far as that is known: for one without any deadline.
    pub began: Timestamp,
    /// Every deadline that was found, in any order.
    pub deadlines: Vec<Deadline>,
    /// Every hold there ever was.
    pub holds: Vec<Hold>,
    /// Every reason to withhold it there ever was.
    pub withheld: Vec<Withheld>,
}

impl Known {
    /// Whether it is held, or withheld because somebody asked for that or may have, at the time `now`: then
    /// it stays as it is, too.
    #[must_use]
    pub fn is_frozen(&self, now: Timestamp) -> bool {
        let asked = |one: &Withheld| one.why != Why::LateRefusal && one.counts(now);
        self.holds.iter().any(|hold| hold.end() > now) || self.withheld.iter().any(asked)
    }
}

/// What is done with a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It may be opened by who may open it.
    Keep,
    /// It is kept, and nobody gets it.
    Withhold,
    /// It is destroyed.
    Destroy,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Withhold => "withhold",
            Self::Destroy => "destroy",
        })
    }
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Reason {
    /// Its deadline lies ahead.
    NotDue,
    /// Its deadline is over.
    Due,
    /// Somebody recorded asked for it to be kept.
    Held {
        /// Until when.
        until: Timestamp,
    },
    /// Somebody recorded objects to it being looked at.
    Restricted {
        /// The request.
        request: u64,
    },
    /// A pupil of its class has refused since it was made: it is to be veiled anew.
    LateRefusal,
    /// The log was damaged or is gone: what it says no more may have been a hold or an objection.
    LogRenewed,
    /// The clock cannot be relied on.
    TimeNotTrusted,
    /// The log says that it is destroyed already.
    DestroyedBefore,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDue => f.write_str("not due"),
            Self::Due => f.write_str("due"),
            Self::Held { until } => {
                write!(f, "held until {}", until.strftime("%Y-%m-%dT%H:%M:%SZ"))
            }
            Self::Restricted { request } => write!(f, "restricted by request {request}"),
            Self::LateRefusal => f.write_str("a pupil has refused since it was made: veil it anew"),
            Self::LogRenewed => f.write_str(
                "the log was damaged, is gone or begun anew, and what it said of it is in doubt: `classveil audit clear` settles it",
            ),
            Self::TimeNotTrusted => f.write_str("the clock cannot be relied on"),
            Self::DestroyedBefore => f.write_str("destroyed before, and there again"),
        }
    }
}

/// What is done with one recording, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Action {
    /// The recording.
    pub recording: RecordingId,
    /// What is done.
    pub verdict: Verdict,
    /// The deadline that counts.
    pub deadline: Deadline,
    /// Why, at least one.
    pub reasons: Vec<Reason>,
}

impl Action {
    /// The reason that log and certificate give.
    pub(super) fn destroy_reason(&self) -> DestroyReason {
        match self.deadline.set_by {
            SetBy::Start => DestroyReason::HardEnd,
            SetBy::TalkClosed => DestroyReason::TalkClosed,
            SetBy::Policy => DestroyReason::NoDeadline,
            SetBy::Request => DestroyReason::Requested,
            SetBy::Replaced => DestroyReason::Replaced,
        }
    }
}

/// What to do with each of `recordings` at the time that `clock` tells.
#[must_use]
pub fn plan(recordings: &[Known], policy: &Policy, clock: &Clock) -> Vec<Action> {
    recordings.iter().map(|known| one(known, policy, clock)).collect()
}

fn one(known: &Known, policy: &Policy, clock: &Clock) -> Action {
    let own = known.deadlines.iter().copied().min_by_key(|deadline| deadline.at);
    let deadline = own.unwrap_or_else(|| Deadline {
        at: later(known.began, policy.hard_end),
        set_by: SetBy::Policy,
    });
    let held = known.holds.iter().filter(|hold| hold.from <= clock.latest()).map(Hold::end).max();
    let held = held.filter(|end| *end > clock.latest());
    let due = deadline.at <= clock.latest();
    let mut reasons = Vec::new();
    if known.life == Life::Destroyed {
        // Nothing holds what is decided: the key may be gone already.
        reasons.push(Reason::DestroyedBefore);
        return Action { recording: known.id, verdict: Verdict::Destroy, deadline, reasons };
    }
    reasons.push(if due { Reason::Due } else { Reason::NotDue });
    if let Some(until) = held {
        reasons.push(Reason::Held { until });
    }
    let withheld = known.withheld.iter().filter(|one| one.counts(clock.latest()));
    let mut restricted = false;
    for one in withheld {
        restricted = true;
        reasons.push(match one.why {
            Why::Request { request } => Reason::Restricted { request },
            Why::LateRefusal => Reason::LateRefusal,
            Why::Doubt => Reason::LogRenewed,
        });
    }
    // What somebody ordered is due whatever the time.
    let certain = clock.can_be_trusted() || deadline.set_by.is_order();
    if due && !certain {
        reasons.push(Reason::TimeNotTrusted);
    }
    let verdict = match (due, held) {
        (true, None) if certain => Verdict::Destroy,
        (true, _) | (_, Some(_)) => Verdict::Withhold,
        (false, None) if restricted => Verdict::Withhold,
        (false, None) => Verdict::Keep,
    };
    Action { recording: known.id, verdict, deadline, reasons }
}

/// `by` after `at`, or the end of time.
pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::{ToSpan, civil::date, tz::TimeZone};
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + second).unwrap()
    }

    fn policy() -> Policy {
        let days = |n: u64| Some(Duration::from_secs(n * 86_400));
        Policy::new(days(30), days(7)).unwrap()
    }

    fn clock(now: i64) -> Clock {
        Clock { now: at(now), trusted: true, highest: None }
    }

    fn recording(deadlines: &[i64]) -> Known {
        let deadlines = deadlines.iter().map(|d| Deadline { at: at(*d), set_by: SetBy::Start });
        Known {
            id: RecordingId::new(at(0)),
            life: Life::Kept,
            began: at(0),
            deadlines: deadlines.collect(),
            holds: Vec::new(),
            withheld: Vec::new(),
        }
    }

    fn verdict(known: &Known, clock: &Clock) -> Verdict {
        plan(std::slice::from_ref(known), &policy(), clock)[0].verdict
    }

    #[test]
    fn an_empty_policy_is_an_error() {
        let day = Some(Duration::from_secs(86_400));
        for (hard_end, after_talk) in
            [(None, None), (None, day), (day, None), (Some(Duration::ZERO), day)]
        {
            assert!(matches!(Policy::new(hard_end, after_talk), Err(RetentionError::EmptyPolicy)));
        }
        // At once after the talk is a decision like any other.
        assert!(Policy::new(day, Some(Duration::ZERO)).is_ok());
    }

    #[test]
    fn the_earliest_deadline_counts_to_the_second() {
        let known = recording(&[30 * DAY, 9 * DAY, 12 * DAY]);
        assert_eq!(verdict(&known, &clock(9 * DAY - 1)), Verdict::Keep);
        assert_eq!(verdict(&known, &clock(9 * DAY)), Verdict::Destroy);
    }

    #[test]
    fn the_policy_of_today_moves_no_deadline() {
        let second = Some(Duration::from_secs(1));
        let (short, long) = (
            Policy::new(second, second).unwrap(),
            Policy::new(Some(Duration::MAX), second).unwrap(),
        );
        let known = recording(&[30 * DAY]);
        for policy in [short, long] {
            let one = |now| plan(std::slice::from_ref(&known), &policy, &clock(now))[0].verdict;
            assert_eq!(one(30 * DAY - 1), Verdict::Keep);
            assert_eq!(one(30 * DAY), Verdict::Destroy);
        }
    }

    #[test]
    fn without_any_deadline_the_longest_term_counts() {
        let known = recording(&[]);
        assert_eq!(verdict(&known, &clock(30 * DAY - 1)), Verdict::Keep);
        let action = &plan(&[known], &policy(), &clock(30 * DAY))[0];
        assert_eq!(action.verdict, Verdict::Destroy);
        assert_eq!(action.destroy_reason(), DestroyReason::NoDeadline);
    }

    #[test]
    fn a_hold_withholds_and_postpones_for_ninety_days_at_most() {
        let mut known = recording(&[10 * DAY]);
        known.holds = vec![Hold { from: at(5 * DAY), until: at(400 * DAY) }];
        assert_eq!(verdict(&known, &clock(5 * DAY - 1)), Verdict::Keep);
        assert_eq!(verdict(&known, &clock(5 * DAY)), Verdict::Withhold);
        assert_eq!(verdict(&known, &clock(95 * DAY - 1)), Verdict::Withhold);
        assert_eq!(verdict(&known, &clock(95 * DAY)), Verdict::Destroy);
        // Released, an expired one goes at once and another is there for all again.
        known.holds[0].until = at(6 * DAY);
        assert_eq!(verdict(&known, &clock(6 * DAY)), Verdict::Keep);
        known.holds[0].until = at(20 * DAY);
        assert_eq!(verdict(&known, &clock(20 * DAY)), Verdict::Destroy);
    }

    #[test]
    fn a_clock_that_is_not_trusted_destroys_nothing_and_extends_nothing() {
        let known = recording(&[10 * DAY]);
        let doubt = Clock { trusted: false, ..clock(11 * DAY) };
        let action = &plan(std::slice::from_ref(&known), &policy(), &doubt)[0];
        assert_eq!(action.verdict, Verdict::Withhold);
        assert_eq!(action.reasons, [Reason::Due, Reason::TimeNotTrusted]);
        // Set back behind the log it is wrong, and what was due stays withheld.
        let back = Clock { highest: Some(at(10 * DAY)), ..clock(2 * DAY) };
        assert_eq!(verdict(&known, &back), Verdict::Withhold);
        let early = Clock { highest: Some(at(9 * DAY)), ..clock(2 * DAY) };
        assert_eq!(verdict(&known, &early), Verdict::Keep);
    }

    #[test]
    fn what_is_destroyed_is_not_held() {
        let mut known = recording(&[10 * DAY]);
        known.life = Life::Destroyed;
        known.holds = vec![Hold { from: at(0), until: at(80 * DAY) }];
        assert_eq!(verdict(&known, &Clock { trusted: false, ..clock(1) }), Verdict::Destroy);
    }

    /// Thirty days are thirty times 24 hours: the hour that a clock change adds or takes moves
    /// nothing.
    #[test]
    fn summer_time_moves_no_deadline() {
        let amsterdam = TimeZone::get("Europe/Amsterdam").unwrap();
        for (month, day) in [(3, 15), (10, 10)] {
            let start = date(2027, month, day).at(10, 0, 0, 0).to_zoned(amsterdam.clone()).unwrap();
            let deadline = later(start.timestamp(), Duration::from_secs(30 * 86_400));
            assert_eq!((deadline - start.timestamp()).get_seconds(), 30 * DAY);
            let local = deadline.to_zoned(amsterdam.clone());
            assert_ne!(local.offset(), start.offset(), "the change lies between");
            let mut known = recording(&[]);
            known.deadlines = vec![Deadline { at: deadline, set_by: SetBy::Start }];
            let on = |now: Timestamp| Clock { now, trusted: true, highest: None };
            assert_eq!(verdict(&known, &on(deadline - 1.second())), Verdict::Keep);
            assert_eq!(verdict(&known, &on(deadline)), Verdict::Destroy);
        }
    }

    /// Ten simulated years, a plan every six hours, through clocks that jump and lose trust:
    /// nothing is destroyed early, nothing outlives its deadline by more than doubt and holds
    /// explain.
    #[test]
    fn ten_years_of_plans() {
        let mut alive: Vec<Known> = Vec::new();
        let mut highest = None;
        let mut destroyed = 0;
        for step in 0..10 * 365 * 4 {
            let true_now = step * DAY / 4;
            // A new recording on most days, some held for a while.
            if step % 5 == 0 {
                let mut known = recording(&[true_now + 30 * DAY]);
                known.began = at(true_now);
                if step % 10 == 0 {
                    known
                        .deadlines
                        .push(Deadline { at: at(true_now + 12 * DAY), set_by: SetBy::TalkClosed });
                }
                if step % 35 == 0 {
                    let from = at(true_now + 5 * DAY);
                    known.holds.push(Hold { from, until: at(true_now + 300 * DAY) });
                }
                alive.push(known);
            }
            // A dead battery every hundred days, a clock nobody vouches for every thirty.
            let clock = match step {
                step if step % 400 == 7 => Clock { now: at(-1000 * DAY), trusted: true, highest },
                step if step % 120 < 8 => Clock { now: at(true_now), trusted: false, highest },
                _ => Clock { now: at(true_now), trusted: true, highest },
            };
            let good = clock.can_be_trusted();
            if good {
                highest = highest.max(Some(clock.now));
            }
            let actions = plan(&alive, &policy(), &clock);
            let mut kept = Vec::new();
            for (known, action) in alive.into_iter().zip(actions) {
                let deadline = known.deadlines.iter().map(|d| d.at).min().unwrap();
                let held = known.holds.iter().map(Hold::end).max();
                let over = deadline.max(held.unwrap_or(deadline)) <= at(true_now);
                match action.verdict {
                    Verdict::Destroy => {
                        assert!(over && good, "step {step}: {action:?}");
                        destroyed += 1;
                        continue;
                    }
                    Verdict::Withhold => assert!(!good || held.is_some(), "{step}: {action:?}"),
                    Verdict::Keep => assert!(deadline > at(true_now) || !good, "{step}"),
                }
                assert!(!(over && good), "step {step}: kept too long: {action:?}");
                kept.push(known);
            }
            alive = kept;
        }
        assert!(
            destroyed > 2800 && alive.len() < 40,
            "{destroyed} destroyed, {} left",
            alive.len()
        );
    }

    fn deadlines() -> impl Strategy<Value = Vec<i64>> {
        prop::collection::vec(0..60 * DAY, 0..5)
    }

    fn holds() -> impl Strategy<Value = Vec<(i64, i64)>> {
        prop::collection::vec((0..60 * DAY, 0..200 * DAY), 0..4)
    }

    proptest! {
        #[test]
        fn plans_keep_their_promises(
            deadlines in deadlines(),
            holds in holds(),
            now in -5 * DAY..200 * DAY,
            trusted: bool,
            highest in prop::option::of(-5 * DAY..200 * DAY),
            more in 0..300 * DAY,
        ) {
            let mut known = recording(&deadlines);
            known.holds = holds
                .iter()
                .map(|(from, length)| Hold { from: at(*from), until: at(from + length) })
                .collect();
            let clock = Clock { now: at(now), trusted, highest: highest.map(at) };
            let action = plan(std::slice::from_ref(&known), &policy(), &clock).remove(0);
            let earliest = deadlines.iter().min().map_or(at(30 * DAY), |d| at(*d));
            prop_assert_eq!(action.deadline.at, earliest);
            if action.verdict == Verdict::Destroy {
                prop_assert!(trusted && highest.is_none_or(|h| now >= h));
                prop_assert!(earliest <= at(now));
                let held = |h: &Hold| h.from <= at(now) && at(now) < h.end();
                prop_assert!(!known.holds.iter().any(held), "a held one is not destroyed");
            }
            // What is over is not there for anybody, whatever the clock.
            if earliest <= clock.latest() {
                prop_assert_ne!(action.verdict, Verdict::Keep);
            }
            // A later deadline changes nothing.
            let mut longer = known.clone();
            let later = earliest + SignedDuration::from_secs(more);
            longer.deadlines.push(Deadline { at: earliest, set_by: SetBy::Start });
            longer.deadlines.push(Deadline { at: later, set_by: SetBy::TalkClosed });
            let other = plan(&[longer], &policy(), &clock).remove(0);
            prop_assert_eq!(other.verdict, action.verdict);
            // Time brings nothing back.
            let then = Clock { now: at(now + more), ..clock };
            let next = plan(std::slice::from_ref(&known), &policy(), &then).remove(0);
            if action.verdict == Verdict::Destroy && known.holds.iter().all(|h| h.from <= at(now)) {
                prop_assert_eq!(next.verdict, Verdict::Destroy);
            }
            // Order does not matter.
            known.deadlines.reverse();
            known.holds.reverse();
            prop_assert_eq!(plan(&[known], &policy(), &clock).remove(0).verdict, action.verdict);
        }
    }
}
