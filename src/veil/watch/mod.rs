//! One camera's eyes: looks at frames as they enter the ring, or has them wait for the next look, and says
//! what is hidden when they leave.
//!
//! Belongs here: how often the detector runs at which size, which faces are compared (`turns`, `compare`),
//! when a track's clearance has to be earned again (`cutting`, `known`), what else clears it (`means`),
//! where nobody is held any more (`elsewhere`), and the second look at what leaves (`check`). Does not
//! belong: what the views mean (`evidence`), where regions lie (`decide`).

mod check;
mod compare;
mod cutting;
mod elsewhere;
mod known;
mod means;
#[cfg(test)]
mod staged;
mod turns;
mod worn;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
    time::Duration,
};

pub use self::check::Finding;
use self::{check::Checks, compare::Comparing, known::Known, worn::Worn};
use super::{
    Cover, Hidden, Verdict,
    decide::{At, HOLD, HOLD_LONGEST, HOLD_WEAK, Placement, SURE_SCORE, Subject, decide},
    evidence::{Evidence, Judge, Reason, State},
    place::{Places, Stays},
    policy::{Policy, Region},
};
use crate::{
    frame::{Frame, FrameSize, I420View, Raw},
    units::{Pts, TrackId},
    vision::{
        Detection,
        detect::Detector,
        glance::Glance,
        identify::{Describer, Embedder},
        infer::{Thresholds, VisionError},
        motion::CameraMotion,
        search::{Pace, Search, Searcher, Waited},
        track::{Cut, CutDetector, Tracker},
    },
};

/// A view counts towards clearance only from a detection at least this sure; a doubtful one may
/// have misplaced landmarks, and a badly aligned face resembles nobody.
const RELIABLE_SCORE: f32 = SURE_SCORE;
/// The small pass's size under the most strain, in parts of the usual one; never below the smallest
/// that can be configured.
const STRAINED_SIZE: (u32, u32) = (3, 4);
const SMALLEST_SIZE: u32 = 320;
/// What was not surely a face so often is one from this score on; and a face this sure in a finished picture has
/// to belong to somebody who is shown.
const PLAIN_SCORE: f32 = 0.7;

/// Comparisons are taken with the next look where frames follow each other within this time.
const SOON: Duration = Duration::from_millis(105);

/// How often and how closely frames are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Longest side of the picture of the small pass, in pixels.
    pub size: u32,
    /// Longest side of the picture that is looked at in tiles, in pixels.
    pub full_size: u32,
    /// Frames in which every tile has its turn.
    pub full_every: u32,
    /// Frames from one comparison to the next once a track is decided.
    pub identify_every: u32,
    /// Time from one look at the finished picture to the next. Where this is at most half a
    /// segment, every segment is looked at: from one look to the next it is this and less than a
    /// frame more, or every frame is looked at. Two of the faces seen are compared, in turn.
    pub check_every: Duration,
    /// What is covered of a hidden person.
    pub region: Region,
}

/// How much a watcher does, where a machine cannot do all. What is veiled does not depend on it: less
/// is shown where less is compared, and everybody is held for longer than it takes to look again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// As the settings say.
    #[default]
    Whole,
    /// Close looks and comparisons less often.
    Seldom,
    /// The same, and the small pass at a smaller size.
    Coarse,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// It was looked at, and so were those that waited for it.
    Looked,
    /// It waits for the next one: what it shows is told from the looks before and after it.
    Waits,
}

/// Looks at frames, remembers tracks, gives verdicts.
#[derive(Debug)]
pub struct Watcher {
    searcher: Searcher,
    describer: Describer,
    tracker: Tracker,
    cuts: CutDetector,
    judge: Judge,
    thresholds: Thresholds,
    settings: Settings,
    known: BTreeMap<TrackId, Known>,
    places: Places,
    stays: Stays,
    worn: Option<Worn>,
    camera: CameraMotion,
    /// A new scene has begun, and the tracker has not been told yet.
    cut: Cut,
    /// First frames of scenes that surely are others than those before them, with their times.
    scenes: VecDeque<(u64, Pts)>,
    checks: Checks,
    effort: Effort,
    /// The last frame in which faces were compared.
    compared: Option<u64>,
    /// The time of the newest frame.
    newest: Option<Pts>,
    /// Comparisons of the latest look, which are made while the next ones begin.
    comparing: VecDeque<Comparing>,
    /// How long whoever the detector was never sure of is held.
    hold_weak: Duration,
}

impl Watcher {
    /// A watcher that has seen nothing.
    pub fn new(
        detector: Detector,
        embedder: Embedder,
        judge: Judge,
        thresholds: Thresholds,
        settings: Settings,
    ) -> Result<Self, VisionError> {
        let search = Search {
            size: settings.size,
            full_size: settings.full_size,
            full_every: settings.full_every,
            // Under `picture` somebody who comes in shows all of himself in one picture.
            sparing: settings.region != Region::Picture,
        };
        Ok(Self {
            searcher: Searcher::new(detector, search, thresholds.detect_nms),
            describer: Describer::new(embedder)?,
            tracker: Tracker::new(thresholds.detect_begin),
            cuts: CutDetector::default(),
            judge,
            thresholds,
            settings,
            known: BTreeMap::new(),
            places: Places::default(),
            stays: Stays::default(),
            worn: None,
            camera: CameraMotion::default(),
            cut: Cut::None,
            scenes: VecDeque::new(),
            checks: Checks::default(),
            effort: Effort::Whole,
            compared: None,
            newest: None,
            comparing: VecDeque::new(),
            hold_weak: HOLD_WEAK,
        })
    }

    /// The same watcher where seats and markers clear faces and zones are veiled. Markers are looked
    /// for only where the list has any.
    pub fn with_places(mut self, places: Places) -> Result<Self, VisionError> {
        self.set_places(places)?;
        Ok(self)
    }

    /// Takes other places. Stays and worn markers begin anew; where markers cannot be read, the rest
    /// counts all the same.
    fn set_places(&mut self, places: Places) -> Result<(), VisionError> {
        let may_clear = self.judge.policy() != Policy::Everyone;
        let reads = may_clear && !places.markers.is_empty();
        self.stays = Stays::new(places.seats.clone());
        self.places = places;
        self.worn = None;
        let worn = reads.then(Worn::new).transpose();
        let read = worn.map(|worn| self.worn = worn);
        self.judge.set_other_means(self.has_other_means());
        read
    }

    /// Whether a face can be cleared whoever it resembles.
    fn has_other_means(&self) -> bool {
        self.stays.is_used() || self.worn.is_some()
    }

    /// Does as much as `effort` says from the next frame on.
    pub fn set_effort(&mut self, effort: Effort) {
        self.effort = effort;
        let size = self.settings.size;
        let (part, of) = STRAINED_SIZE;
        let smaller = (size * part / of / 32 * 32).max(SMALLEST_SIZE);
        self.searcher.set_pace(match effort {
            Effort::Whole => Pace::usual(size),
            Effort::Seldom => Pace::slow(size),
            Effort::Coarse => Pace::slow(smaller.min(size)),
        });
        if effort > Effort::Whole {
            // For the rest of the recording: frames that were looked at under strain may still wait.
            self.hold_weak = HOLD;
        }
    }

    /// Puts another list in force. Everything that was learnt by comparing with the one before is
    /// forgotten but the refusals that still hold, so nobody is shown until compared anew: not in the
    /// next frame, and not in those that wait for their verdict.
    ///
    /// An error means that markers cannot be read: they clear nobody.
    pub fn replace_list(&mut self, judge: Judge, places: Places) -> Result<(), VisionError> {
        for known in self.known.values_mut() {
            known.under(&judge);
        }
        self.judge = judge;
        self.set_places(places)
    }

    /// The policy that is applied.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.judge.policy()
    }

    /// Takes the newest frame: looks at it and at those that `wait` for it, oldest first, or has it wait
    /// with them. An error means that a look was not completed: the frame has to be veiled whole, and so have
    /// those that wait.
    pub fn watch(
        &mut self,
        frame: &Frame<Raw>,
        waiting: &[&Frame<Raw>],
    ) -> Result<Watched, VisionError> {
        let (view, pts) = (frame.planes(), frame.pts());
        let since = self.newest.replace(pts).map(|last| pts.since(last));
        self.take_cut(frame);
        if self.cut == Cut::None && self.searcher.may_wait(view.size, pts) {
            self.searcher.wait(&view, pts);
            self.camera.step(self.searcher.blocks(), pts, false);
            return Ok(Watched::Waits);
        }
        let looked = self.look_now(frame, waiting);
        // Frames leave as others come: where those are few, or the look failed, what was compared is not to wait
        // for the next look.
        let slow = since.is_none_or(|since| since > SOON);
        let compared = if slow || looked.is_err() { self.take_compared() } else { Ok(()) };
        looked.and(compared)?;
        Ok(Watched::Looked)
    }

    /// Looks at the newest frame, and waits for its comparisons. An error means that the look was not
    /// completed: the frame has to be veiled whole.
    pub fn look(&mut self, frame: &Frame<Raw>) -> Result<(), VisionError> {
        self.take_cut(frame);
        self.look_now(frame, &[])?;
        self.take_compared()
    }

    /// Looks at the frames that wait, oldest first, where none will come after them, and waits for all
    /// comparisons.
    pub fn look_at_waiting(&mut self, waiting: &[&Frame<Raw>]) -> Result<(), VisionError> {
        let found = self.searcher.search_waiting(&views(waiting));
        let learnt = found.and_then(|found| self.learn_waiting(waiting, found));
        // Also what was begun before something failed.
        learnt.and(self.take_compared())
    }

    fn take_cut(&mut self, frame: &Frame<Raw>) {
        // A look that fails on a new scene's first frame must not join the scenes' tracks.
        let cut = self.cuts.step(&frame.planes());
        self.cut = self.cut.max(cut);
        match cut {
            Cut::None | Cut::Likely => {}
            Cut::Sure => self.scenes.push_back((frame.seq(), frame.pts())),
            // What was veiled before is held on.
            Cut::Back => drop(self.scenes.pop_back()),
        }
    }

    fn look_now(&mut self, frame: &Frame<Raw>, waiting: &[&Frame<Raw>]) -> Result<(), VisionError> {
        let (view, pts) = (frame.planes(), frame.pts());
        let found = self.searcher.search(&view, pts, self.cut > Cut::None);
        self.camera.step(self.searcher.blocks(), pts, self.cut > Cut::None);
        let found = found?;
        let between = self.searcher.search_between(&views(waiting))?;
        self.learn_waiting(waiting, between)?;
        let cut = std::mem::take(&mut self.cut) > Cut::None;
        let mut seen = self.learn(frame, &found, cut)?;
        self.compare(frame, &mut seen)?;
        self.find_means(frame, &seen, true)
    }

    fn learn_waiting(
        &mut self,
        waiting: &[&Frame<Raw>],
        found: Vec<Waited>,
    ) -> Result<(), VisionError> {
        for (frame, Waited { faces, looked }) in waiting.iter().zip(found) {
            let mut seen = self.learn(frame, &faces, false)?;
            // Where nothing is new there is nothing to hurry for.
            if looked {
                self.compare(frame, &mut seen)?;
            } else {
                self.doubt_changed(frame.pts(), &seen);
            }
            self.find_means(frame, &seen, looked)?;
        }
        Ok(())
    }

    /// Follows the faces found in a frame, and notes which may not be the same any more, once it is known
    /// what the comparisons before said.
    fn learn(
        &mut self,
        frame: &Frame<Raw>,
        found: &[Detection],
        cut: bool,
    ) -> Result<Vec<(TrackId, Detection)>, VisionError> {
        // Whatever they say, what was seen now is held, and a new scene is one.
        let taken = self.take_compared();
        let (seq, pts) = (frame.seq(), frame.pts());
        let mut seen = self.tracker.step(seq, pts, found, cut);
        let compares = self.judge.compares();
        if compares || self.has_other_means() {
            self.doubt_merged(seq, pts, &mut seen);
        }
        if compares {
            self.glance(&frame.planes(), &seen);
        }
        taken.map(|()| seen)
    }

    fn state(&self, id: TrackId) -> State {
        match self.known.get(&id) {
            Some(known) => known.evidence.state(&self.judge),
            None => Evidence::default().state(&self.judge),
        }
    }

    /// The state of a track in one frame: a clearance holds only where a view confirms it.
    fn state_at(&self, id: TrackId, pts: Pts) -> State {
        let confirmed =
            || !self.judge.compares() || self.known.get(&id).is_some_and(|k| k.confirms(pts));
        match self.state(id) {
            state @ State::Refused { .. } => state,
            State::Cleared(reason) if confirmed() => State::Cleared(reason),
            _ => self.other_reason(id, pts).map_or(State::Undecided, State::Cleared),
        }
    }

    /// Whether a face is shown for now, if nothing new is learnt.
    fn is_cleared(&self, id: TrackId, pts: Pts) -> bool {
        match self.state(id) {
            State::Cleared(_) => true,
            State::Refused { .. } => false,
            State::Undecided => self.other_reason(id, pts).is_some(),
        }
    }

    /// Notes which faces look different all of a sudden.
    fn glance(&mut self, picture: &I420View<'_>, seen: &[(TrackId, Detection)]) {
        for (id, detection) in seen {
            let known = self.known.entry(*id).or_default();
            known.take(Glance::at(picture, &detection.landmarks).as_ref());
        }
    }

    /// Says what of a frame is hidden, from all that was seen until now.
    #[must_use]
    pub fn decide(&self, frame: &Frame<Raw>, looked: bool) -> (Verdict, Vec<Placement>) {
        let (seq, pts, size) = (frame.seq(), frame.pts(), frame.size());
        let subjects: Vec<Subject<'_>> = self
            .tracker
            .tracks()
            .iter()
            .map(|track| Subject {
                track,
                state: self.state_at(track.id, pts),
                elsewhere: self.elsewhere(track),
            })
            .collect();
        let region = self.settings.region;
        let hold_weak = self.hold_weak;
        let at = At { seq, pts, size, looked, hold_weak, scene: self.scene_of(seq) };
        let (mut verdict, placements) = decide(&at, &subjects, &self.camera, region);
        self.hide_zones(size, &mut verdict);
        (verdict, placements)
    }

    /// The frames of the scene that a frame belongs to.
    fn scene_of(&self, seq: u64) -> Range<u64> {
        let later = self.scenes.partition_point(|&(first, _)| first <= seq);
        let first = later.checked_sub(1).and_then(|i| self.scenes.get(i));
        let end = self.scenes.get(later);
        first.map_or(0, |&(seq, _)| seq)..end.map_or(u64::MAX, |&(seq, _)| seq)
    }

    /// Adds the zones that are veiled whatever is in them.
    fn hide_zones(&self, size: FrameSize, verdict: &mut Verdict) {
        let zones = self.places.veiled(size).into_iter().map(|(zone, region)| Hidden {
            // Counted down from the end, where no track ever comes.
            track: TrackId(u32::MAX - u32::try_from(zone).unwrap_or(u32::MAX)),
            region,
        });
        match &mut verdict.cover {
            Cover::Whole => {}
            Cover::Regions(hidden) | Cover::AllBut { hidden, .. } => hidden.extend(zones),
        }
    }

    /// Why a track may be shown in the frame at `pts`, for the record of reasons.
    #[must_use]
    pub fn reason_at(&self, id: TrackId, pts: Pts) -> Option<Reason> {
        match self.state_at(id, pts) {
            State::Cleared(reason) => Some(reason),
            _ => None,
        }
    }

    /// What is known of a track, for the record of reasons.
    #[must_use]
    pub fn reason(&self, id: TrackId) -> State {
        self.state(id)
    }

    /// Forgets what no frame from `pts` on can need. A lost track's region is held for a while, so
    /// its last sighting is needed for as long.
    pub fn forget_before(&mut self, pts: Pts) {
        let horizon = pts.minus(HOLD_LONGEST);
        // The latest one before stays: what is left of its scene begins with it.
        while self.scenes.get(1).is_some_and(|&(_, second)| second < horizon) {
            self.scenes.pop_front();
        }
        self.tracker.forget_before(horizon);
        // Cutting a track in two may have left its first part empty, so all are gone through.
        let remembered: BTreeSet<TrackId> = self.tracker.tracks().iter().map(|t| t.id).collect();
        self.known.retain(|id, _| remembered.contains(id));
        self.stays.forget_before(horizon, &remembered);
        if let Some(worn) = &mut self.worn {
            worn.forget_before(horizon, &remembered);
        }
        self.camera.forget_before(horizon);
        for known in self.known.values_mut() {
            while known.doubts.front().is_some_and(|&first| first < horizon) {
                known.doubts.pop_front();
            }
            // The latest one stays: a drift is split off after it.
            while known.agreed.get(1).is_some_and(|second| second.pts < horizon) {
                known.agreed.pop_front();
            }
        }
    }
}

fn views<'f>(frames: &[&'f Frame<Raw>]) -> Vec<(Pts, I420View<'f>)> {
    frames.iter().map(|frame| (frame.pts(), frame.planes())).collect()
}
