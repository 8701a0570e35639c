//! One camera's eyes: looks at every frame as it enters the ring, and says what is hidden when it
//! leaves.
//!
//! Belongs here: how often the detector runs at which size, which faces are compared, and when a
//! track's clearance has to be earned again. Does not belong: what the views mean (`evidence`),
//! where regions lie (`decide`).

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
    time::Duration,
};

use super::{
    Cover, Hidden, Verdict,
    badge::Badges,
    decide::{At, HOLD, HOLD_LONGEST, HOLD_WEAK, Placement, SURE_SCORE, Subject, decide},
    evidence::{Evidence, Judge, Reason, State, View},
    place::{Places, Stays},
    policy::{Policy, Region},
    redact::Redacted,
};
use crate::{
    frame::{Frame, FrameSize, I420View, Raw, Rect},
    units::{Pts, TrackId},
    vision::{
        Detection,
        detect::Detector,
        glance::Glance,
        identify::{Described, Embedder},
        infer::{Thresholds, VisionError},
        markers::MarkerFinder,
        motion::CameraMotion,
        pose::is_oblique,
        search::{Pace, SAME_PLACE, Search, Searcher},
        track::{Cut, CutDetector, Track, Tracker},
    },
};

/// A view counts towards clearance only from a detection at least this sure; a doubtful one may
/// have misplaced landmarks, and a badly aligned face resembles nobody.
const RELIABLE_SCORE: f32 = SURE_SCORE;
/// Undecided tracks are compared every second frame.
const UNDECIDED_EVERY: u64 = 2;
/// After so many looks in a row in which the detector was not sure of it, a face is not worth more effort
/// either.
const UNSURE_LOOKS: u32 = 3;
/// Views after which an undecided track is not worth more effort than a decided one.
const PATIENCE_VIEWS: u32 = 12;
/// The same where the views so far speak for clearance.
const PROMISING_VIEWS: u32 = 36;
/// Faces that cannot be cleared, being refused, small, unsure or compared often enough, are veiled
/// whatever a comparison says; they wait this many times longer for one than cleared ones.
const VEILED_FACTOR: u64 = 3;
/// However few frames a second there are, a face that is due is compared after this time.
const COMPARE_AFTER: Duration = Duration::from_millis(500);
/// Most comparisons of undecided and of decided tracks in one frame: they cost 33 ms each. The
/// decided ones have their own share, so that a crowd of undecided faces cannot keep a cleared
/// track from being looked at again.
const VEILED_PER_FRAME: usize = 2;
const CLEARED_PER_FRAME: usize = 1;
/// Glances that are kept of a face at its latest comparisons.
const SETTLED: usize = 4;
/// A cleared face is shown from this long before a view that agrees with the ones before it ...
const CONFIRMED_BEFORE: Duration = Duration::from_secs(2);
/// ... to this long after.
const CONFIRMED_AFTER: Duration = Duration::from_millis(600);
/// Under strain there are no comparisons in the frame after one that had some, and at most one of
/// either kind.
const STRAINED_PER_FRAME: usize = 1;
/// The small pass's size under the most strain, in parts of the usual one; never below the smallest
/// that can be configured.
const STRAINED_SIZE: (u32, u32) = (3, 4);
const SMALLEST_SIZE: u32 = 320;
/// Faces that overlap a face with another standing by this much may have changed hands.
const MERGE_OVERLAP: f32 = 0.1;
/// They have not where each overlaps its own box of one frame ago by at least the first of these, and
/// that of the other by at most the second.
const STAYS: f32 = 0.6;
const STRAYS: f32 = 0.3;
/// A face that was seen this recently and is now covered may be behind the one in front.
const OCCLUDED_FOR: Duration = Duration::from_secs(1);
/// A cleared face that was not seen for longer than this may be somebody else when it returns.
const UNSEEN: Duration = Duration::from_millis(500);
/// The detector misses a face that is in view for no more frames than this in a row.
const MISSED: u64 = 3;
/// Markers are looked for this often: a look costs about as much as a pass of the detector over the
/// whole picture at full size.
const MARKERS_EVERY: Duration = Duration::from_millis(250);
/// A marker clears its wearer for this long after it was seen last: a hand before it for two looks.
const MARKER_HOLD: Duration = Duration::from_millis(600);
/// A face this sure in a finished picture has to belong to somebody who is shown.
const PLAIN_SCORE: f32 = 0.7;

/// How often and how closely frames are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Longest side of the picture of every frame's pass, in pixels.
    pub size: u32,
    /// Longest side of the picture that is looked at in tiles, in pixels.
    pub full_size: u32,
    /// Frames in which every tile has its turn.
    pub full_every: u32,
    /// Frames from one comparison to the next once a track is decided.
    pub identify_every: u32,
    /// Time from one look at the finished picture to the next. Where this is at most half a
    /// segment, every segment is looked at: from one look to the next it is this and less than a
    /// frame more, or every frame is looked at.
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
    /// The same, and every picture's own look at a smaller size.
    Coarse,
}

#[derive(Debug, Default)]
struct Known {
    evidence: Evidence,
    /// Frames whose views agreed with the ones before, as far back as the ring reaches.
    agreed: VecDeque<(u64, Pts)>,
    /// The last frame in which a comparison was tried.
    tried: Option<(u64, Pts)>,
    /// How many looks in a row, up to the last, were not sure that it is a face.
    unsure: u32,
    /// What the face looked like when it was last seen; inner none where that could not be told.
    glance: Option<Option<Glance>>,
    /// The same at its latest comparisons that surely showed one person.
    settled: VecDeque<Glance>,
    /// The face looks like another one all of a sudden.
    changed: bool,
    /// When it did so: what was seen on one side of such a moment
    /// says nothing of the other.
    doubts: VecDeque<Pts>,
    /// The track it was cut from.
    before: Option<Before>,
    /// It was cut from one that was not cleared, after a view that resembled it too little: what was
    /// seen before this view may still have been the other.
    since: Option<Pts>,
}

/// What a track was cut from.
#[derive(Clone, Copy, Debug)]
struct Before {
    track: TrackId,
    /// Whether the face was seen all the time and never looked like another one: then it was the
    /// same, whatever comparisons said.
    unbroken: bool,
}

impl Known {
    /// Whether the face looked like another one since the last view that agreed.
    fn is_broken(&self) -> bool {
        let agreed = self.agreed.back().map(|&(_, pts)| pts);
        self.changed || self.doubts.back().is_some_and(|&doubt| agreed.is_none_or(|at| doubt > at))
    }

    /// Takes the latest look, and notes whether it is all of a sudden another.
    fn glance(&mut self, now: Option<Glance>) {
        let Some(before) = self.glance.replace(now) else { return };
        self.changed = match (before, now) {
            // A face that trembles is like one of its own, if not like the last.
            (Some(before), Some(now)) => {
                !(before.is_like(&now) || (self.settles(&before) && self.settles(&now)))
            }
            // A face that cannot be compared with what was there before may be another one.
            _ => true,
        };
    }

    /// Whether a glance is like one at a face that was surely this person's.
    fn settles(&self, glance: &Glance) -> bool {
        self.settled.iter().any(|settled| settled.is_like(glance))
    }

    /// Whether a view close enough to `pts` says that the track is still the same person.
    fn confirms(&self, pts: Pts) -> bool {
        if self.since.is_some_and(|since| pts < since) {
            return false;
        }
        let near = |view: Pts| {
            if view >= pts {
                view.since(pts) <= CONFIRMED_BEFORE
            } else {
                pts.since(view) <= CONFIRMED_AFTER
            }
        };
        let apart =
            |view: Pts| self.doubts.iter().any(|&d| view.min(pts) < d && d <= view.max(pts));
        self.agreed.iter().any(|&(_, view)| near(view) && !apart(view))
    }
}

/// Worn markers and whom they clear.
#[derive(Debug)]
struct Worn {
    finder: MarkerFinder,
    badges: Badges,
    /// The last look for markers.
    looked: Option<Pts>,
    /// By track: from when to when which marker cleared it.
    spans: BTreeMap<TrackId, VecDeque<(Pts, Pts, u16)>>,
}

impl Worn {
    fn new() -> Result<Self, VisionError> {
        let (finder, badges) = (MarkerFinder::new()?, Badges::new(MARKER_HOLD));
        Ok(Self { finder, badges, looked: None, spans: BTreeMap::new() })
    }

    /// Looks for markers if it is time to; only sure faces can be cleared by one.
    fn look(
        &mut self,
        picture: &I420View<'_>,
        pts: Pts,
        all: &[(TrackId, Rect)],
        sure: &[(TrackId, Rect)],
    ) -> Result<(), VisionError> {
        if self.looked.is_some_and(|last| pts.since(last) < MARKERS_EVERY) {
            return Ok(());
        }
        let before = self.looked;
        let markers = self.finder.find(picture)?;
        self.looked = Some(pts);
        self.badges.step(pts, all, &markers);
        for &(id, _) in sure {
            let Some(number) = self.badges.clears(id, pts) else { continue };
            let spans = self.spans.entry(id).or_default();
            match spans.back_mut() {
                // From one look to the next it was on the same face.
                Some((_, until, same)) if *same == number && Some(*until) == before => *until = pts,
                _ => spans.push_back((pts, pts, number)),
            }
        }
        Ok(())
    }

    /// The marker by which a track is cleared at a time.
    fn clears(&self, id: TrackId, pts: Pts) -> Option<u16> {
        let spans = self.spans.get(&id)?;
        spans.iter().find(|(from, until, _)| (*from..=*until).contains(&pts)).map(|span| span.2)
    }

    fn forget_before(&mut self, pts: Pts, remembered: &BTreeSet<TrackId>) {
        self.spans.retain(|id, _| remembered.contains(id));
        for spans in self.spans.values_mut() {
            while spans.len() > 1 && spans.front().is_some_and(|(_, until, _)| *until < pts) {
                spans.pop_front();
            }
        }
    }
}

/// Where a face is, and where it was one frame ago if it was seen then and now.
#[derive(Clone, Copy, Debug)]
struct Step {
    now: Rect,
    before: Option<Rect>,
}

impl Step {
    fn of(track: &Track, seq: u64) -> Self {
        let mut latest = track.sightings.iter().rev();
        let now = latest.next();
        let before = latest.next().filter(|before| before.seq + 1 == seq);
        let is_new = now.is_some_and(|now| now.seq == seq);
        Self {
            now: now.map(|now| now.rect).unwrap_or_default(),
            before: before.filter(|_| is_new).map(|before| before.rect),
        }
    }

    /// Whether two faces that overlap cannot have changed places since the frame before: both were
    /// seen then and now, each where it was, and neither where the other was.
    fn keeps_apart_from(&self, other: &Self) -> bool {
        let Some((own, their)) = self.before.zip(other.before) else { return false };
        let keeps = |before: Rect, now: Rect| before.iou(now) >= STAYS;
        let strays = |before: Rect, now: Rect| before.iou(now) > STRAYS;
        keeps(own, self.now)
            && keeps(their, other.now)
            && !strays(own, other.now)
            && !strays(their, self.now)
    }
}

/// What a look at a finished picture found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nobody is seen who should not be.
    Clean,
    /// Somebody is: the picture must be veiled whole.
    Exposed,
    /// This frame's turn was not up.
    NotDue,
}

/// Looks at frames, remembers tracks, gives verdicts.
#[derive(Debug)]
pub struct Watcher {
    searcher: Searcher,
    embedder: Embedder,
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
    /// The frame whose finished picture was looked at last.
    checked: Option<Pts>,
    effort: Effort,
    /// The last frame in which faces were compared.
    compared: Option<u64>,
    /// How long whoever the detector was never sure of is held.
    hold_weak: Duration,
}

impl Watcher {
    /// A watcher that has seen nothing.
    #[must_use]
    pub fn new(
        detector: Detector,
        embedder: Embedder,
        judge: Judge,
        thresholds: Thresholds,
        settings: Settings,
    ) -> Self {
        let search = Search {
            size: settings.size,
            full_size: settings.full_size,
            full_every: settings.full_every,
            // Under `picture` somebody who comes in shows all of himself in one picture.
            narrow: settings.region != Region::Picture,
        };
        Self {
            searcher: Searcher::new(detector, search, thresholds.detect_nms),
            embedder,
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
            checked: None,
            effort: Effort::Whole,
            compared: None,
            hold_weak: HOLD_WEAK,
        }
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
            known.evidence = known.evidence.under(&judge);
            known.agreed.clear();
            known.tried = None;
        }
        self.judge = judge;
        self.set_places(places)
    }

    /// The policy that is applied.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.judge.policy()
    }

    /// Looks at the newest frame. An error means that the look was not completed: the frame has to
    /// be veiled whole.
    pub fn look(&mut self, frame: &Frame<Raw>) -> Result<(), VisionError> {
        let view = frame.planes();
        // A look that fails on a new scene's first frame must not join the scenes' tracks.
        let cut = self.cuts.step(&view);
        self.cut = self.cut.max(cut);
        match cut {
            Cut::None | Cut::Likely => {}
            Cut::Sure => self.scenes.push_back((frame.seq(), frame.pts())),
            // What was veiled before is held on.
            Cut::Back => drop(self.scenes.pop_back()),
        }
        let (seq, pts) = (frame.seq(), frame.pts());
        let found = self.searcher.search(&view, pts, self.cut > Cut::None);
        self.camera.step(self.searcher.blocks(), pts, self.cut > Cut::None);
        let found = found?;
        let cut = std::mem::take(&mut self.cut);
        let mut seen = self.tracker.step(seq, pts, &found, cut > Cut::None);
        let compares = self.judge.compares();
        if compares || self.has_other_means() {
            self.doubt_merged(seq, pts, &mut seen);
        }
        if compares {
            self.glance(&view, &seen);
            self.compare(frame, &mut seen)?;
        }
        self.find_means(pts, &view, &seen)
    }

    /// Notes who is in which seat and wears which marker: only what is surely a face, so that a ghost
    /// neither takes a seat nor spoils another's.
    fn find_means(
        &mut self,
        pts: Pts,
        picture: &I420View<'_>,
        seen: &[(TrackId, Detection)],
    ) -> Result<(), VisionError> {
        if !self.has_other_means() {
            return Ok(());
        }
        let sure = |id: TrackId| {
            self.tracker.tracks().iter().any(|t| t.id == id && t.best_score >= RELIABLE_SCORE)
        };
        let faces: Vec<(TrackId, Rect)> =
            seen.iter().filter(|(id, _)| sure(*id)).map(|(id, d)| (*id, d.rect)).collect();
        self.stays.step(pts, picture.size, &faces);
        match &mut self.worn {
            Some(worn) => {
                for (id, _) in seen {
                    if self.known.get(id).is_some_and(|known| known.changed) {
                        worn.badges.doubt(*id);
                    }
                }
                // Whoever might wear a marker puts another's in doubt, a ghost as well.
                let all: Vec<(TrackId, Rect)> = seen.iter().map(|(id, d)| (*id, d.rect)).collect();
                worn.look(picture, pts, &all, &faces)
            }
            None => Ok(()),
        }
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

    /// Why a face may be shown at a time whoever it resembles. Where anybody can be recognised as
    /// refused, it must have been compared, and lately.
    fn other_reason(&self, id: TrackId, pts: Pts) -> Option<Reason> {
        if self.judge.policy() == Policy::Everyone {
            return None;
        }
        let reason = self.seated(id, pts).or_else(|| self.marked(id, pts))?;
        let unlike = || {
            let known = self.known.get(&id)?;
            (known.confirms(pts) && known.evidence.is_unlike_refused(&self.judge)).then_some(())
        };
        if self.judge.looks_for_somebody() {
            unlike()?;
        }
        Some(reason)
    }

    fn seated(&self, id: TrackId, pts: Pts) -> Option<Reason> {
        Some(Reason::Seated { person: self.stays.seated(id, pts)?.clone() })
    }

    /// A number that is not on the list clears nobody.
    fn marked(&self, id: TrackId, pts: Pts) -> Option<Reason> {
        let number = self.worn.as_ref()?.clears(id, pts)?;
        Some(Reason::Marked { person: self.places.markers.get(&number)?.clone(), number })
    }

    /// Whether a face is shown for now, if nothing new is learnt.
    fn is_cleared(&self, id: TrackId, pts: Pts) -> bool {
        match self.state(id) {
            State::Cleared(_) => true,
            State::Refused { .. } => false,
            State::Undecided => self.other_reason(id, pts).is_some(),
        }
    }

    /// Where a cleared face meets one of another standing, or comes back after it was not seen, the
    /// tracker may confuse two people: the track is cut before this frame and earns its clearance
    /// again.
    fn doubt_merged(&mut self, seq: u64, pts: Pts, seen: &mut [(TrackId, Detection)]) {
        let hidden: Vec<_> = self
            .tracker
            .tracks()
            .iter()
            .filter(|t| match self.state(t.id) {
                State::Cleared(_) => false,
                State::Refused { .. } => t.live,
                // A chandelier that is taken for a face now and then is veiled, but nobody's track
                // can change hands with it.
                State::Undecided => {
                    t.live && t.best_score >= RELIABLE_SCORE && !self.is_cleared(t.id, pts)
                }
            })
            .filter(|t| t.last().is_some_and(|last| pts.since(last.pts) <= OCCLUDED_FOR))
            .map(|t| Step::of(t, seq))
            .collect();
        let own: BTreeMap<TrackId, Step> =
            self.tracker.tracks().iter().map(|t| (t.id, Step::of(t, seq))).collect();
        for (id, detection) in seen {
            let apart = |other: &Step| own.get(id).is_some_and(|own| own.keeps_apart_from(other));
            let meets = hidden
                .iter()
                .any(|other| other.now.iou(detection.rect) > MERGE_OVERLAP && !apart(other));
            if (meets || self.returns(*id))
                && self.is_cleared(*id, pts)
                && let Some(new) = seq.checked_sub(1).and_then(|s| self.tracker.split(*id, s))
            {
                let before = Some(Before { track: *id, unbroken: false });
                // What it looked like goes along: the next change is to be seen.
                let glance = self.known.get(id).and_then(|known| known.glance);
                self.known.insert(new, Known { glance, before, ..Known::default() });
                *id = new;
            }
        }
    }

    /// Notes which faces look different all of a sudden.
    fn glance(&mut self, picture: &I420View<'_>, seen: &[(TrackId, Detection)]) {
        for (id, detection) in seen {
            let known = self.known.entry(*id).or_default();
            known.glance(Glance::at(picture, &detection.landmarks));
        }
    }

    /// Whether a track is seen again after a time in which its face was not found.
    fn returns(&self, id: TrackId) -> bool {
        let track = self.tracker.tracks().iter().find(|t| t.id == id);
        let mut latest = track.into_iter().flat_map(|t| t.sightings.iter().rev());
        match (latest.next(), latest.next()) {
            // Two frames that follow each other are no such time, however slow the camera.
            (Some(now), Some(before)) => {
                now.seq > before.seq + 1 && now.pts.since(before.pts) > UNSEEN
            }
            _ => false,
        }
    }

    fn compare(
        &mut self,
        frame: &Frame<Raw>,
        seen: &mut [(TrackId, Detection)],
    ) -> Result<(), VisionError> {
        let (seq, pts) = (frame.seq(), frame.pts());
        for i in self.due(seq, pts, seen) {
            let (id, detection) = seen[i];
            let known = self.known.entry(id).or_default();
            known.tried = Some((seq, pts));
            self.compared = Some(seq);
            let picture = frame.planes();
            let found = self.searcher.close_up(&picture, detection.rect)?;
            let others = seen.iter().filter(|(other, _)| *other != id).map(|(_, d)| d.rect);
            let (detection, alone) = match found {
                Some(found) => closest(detection, &found, others),
                None => (detection, true),
            };
            let known = self.known.entry(id).or_default();
            let sure = detection.score >= RELIABLE_SCORE;
            if sure {
                self.tracker.assure(id, detection.score);
            }
            known.unsure = if sure { 0 } else { known.unsure.saturating_add(1) };
            let Some(Described { embedding, strength }) =
                self.embedder.embed(&picture, &detection.landmarks)?
            else {
                continue;
            };
            let t = &self.thresholds;
            let rect = detection.rect;
            let whole = picture.size.rect().contains(rect);
            let view = View {
                width_px: rect.w,
                oblique: is_oblique(&detection.landmarks, rect.w) || strength < t.clear_strength,
                strength,
                reliable: whole && sure && alone,
                embedding,
            };
            seen[i].0 = self.add_view(id, seq, pts, &view);
        }
        for (id, _) in seen {
            if let Some(known) = self.known.get_mut(id).filter(|k| k.changed) {
                known.doubts.push_back(pts);
            }
        }
        Ok(())
    }

    /// Which of the faces seen are compared in this frame: those that waited longest for their
    /// turn, within the budget.
    fn due(&self, seq: u64, pts: Pts, seen: &[(TrackId, Detection)]) -> Vec<usize> {
        let mut due: [Vec<(bool, u64, usize)>; 2] = [Vec::new(), Vec::new()];
        let strained = self.effort > Effort::Whole;
        if strained && self.compared.is_some_and(|last| seq <= last + 1) {
            return Vec::new();
        }
        for (i, (id, detection)) in seen.iter().enumerate() {
            let width = detection.rect.w;
            if !self.judge.comparable(width) {
                continue;
            }
            let known = self.known.get(id);
            let every = u64::from(self.settings.identify_every);
            let patient = known.is_some_and(|k| {
                let most = if k.evidence.is_promising() { PROMISING_VIEWS } else { PATIENCE_VIEWS };
                k.evidence.views() >= most
            });
            let (cleared, every, soon) = match self.state(*id) {
                State::Cleared(_) => (true, every, true),
                State::Refused { .. } => (false, every * VEILED_FACTOR, false),
                State::Undecided if self.is_cleared(*id, pts) => (true, every, true),
                // Whoever is shown for a seat or a marker has to be compared as often as anybody shown;
                // small faces are worth the effort where a comparison may be all they wait for.
                State::Undecided if self.awaits_means(*id, pts) && self.is_told(*id) => {
                    (true, every, true)
                }
                State::Undecided if self.awaits_means(*id, pts) && !patient => {
                    (false, UNDECIDED_EVERY, true)
                }
                State::Undecided
                    if width < self.thresholds.clear_min_px
                        || (detection.score < RELIABLE_SCORE
                            && known.is_some_and(|k| k.unsure >= UNSURE_LOOKS))
                        || patient =>
                {
                    (false, every * VEILED_FACTOR, false)
                }
                State::Undecided => (false, UNDECIDED_EVERY, true),
            };
            let (waited, since) = match known.and_then(|k| k.tried) {
                Some((last, at)) => (seq - last, pts.since(at)),
                None => (u64::MAX, Duration::MAX),
            };
            // Whoever comes out from behind a refused person is not to be veiled until that one's next turn.
            let refused = matches!(self.state(*id), State::Refused { .. });
            let hasty = known.is_some_and(Known::is_broken)
                && (soon || (refused && waited >= u64::from(self.settings.identify_every) / 2));
            if hasty || waited >= every || (since >= COMPARE_AFTER && soon) {
                // Of those who are shown, whoever waited longest comes first: all of them have to be seen
                // again. Of those who are not, the clearest face: where many tremble, each having its
                // turn in order would show nobody for long.
                let rank = if hasty && !cleared && !refused { u64::MAX } else { waited };
                due[usize::from(cleared)].push((!hasty, u64::MAX - rank, i));
            }
        }
        let [mut veiled, mut cleared] = due;
        veiled.sort_unstable();
        cleared.sort_unstable();
        let first = |due: Vec<(bool, u64, usize)>, most| due.into_iter().take(most).map(|d| d.2);
        let most = |usual: usize| if strained { STRAINED_PER_FRAME } else { usual };
        let veiled = first(veiled, most(VEILED_PER_FRAME));
        veiled.chain(first(cleared, most(CLEARED_PER_FRAME))).collect()
    }

    /// Whether a face may be shown for another reason than its looks once it was compared.
    fn awaits_means(&self, id: TrackId, pts: Pts) -> bool {
        self.stays.is_seated(id)
            || self.worn.as_ref().is_some_and(|worn| worn.badges.clears(id, pts).is_some())
    }

    /// Whether enough was seen of a face to show it for another reason than its looks.
    fn is_told(&self, id: TrackId) -> bool {
        self.known.get(&id).is_some_and(|known| known.evidence.is_unlike_refused(&self.judge))
    }

    /// Adds a view to a track, or to a new one where it may show somebody else. Returns the track.
    fn add_view(&mut self, id: TrackId, seq: u64, pts: Pts, view: &View) -> TrackId {
        let known = self.known.entry(id).or_default();
        let agreed_until = known.agreed.back().map(|&(seq, _)| seq);
        let unbroken = !known.is_broken();
        let was_away = agreed_until.is_some_and(|last| self.was_away(id, last));
        let known = self.known.entry(id).or_default();
        if known.changed {
            // However alike it is: what was seen just before may have been somebody else.
            known.doubts.push_back(pts);
        }
        known.changed = false;
        let refused = known.evidence.was_refused();
        let doubts = known.doubts.clone();
        let cleared = matches!(self.state(id), State::Cleared(_));
        let mut owner = id;
        let resumed = self.resumed(id, view);
        let known = self.known.entry(id).or_default();
        if let Some(evidence) = resumed {
            // What was seen since the cut, up to this view, may have been somebody else.
            let unsure = known.evidence.views() > 0 || !unbroken;
            known.since = unsure.then_some(pts).or(known.since);
            known.evidence = evidence;
        } else if (known.evidence.drifts(view)
            || ((was_away || !unbroken) && known.evidence.is_passed(view, &self.judge)))
            && let Some(new) = agreed_until.and_then(|last| self.tracker.split(id, last))
        {
            owner = new;
            let evidence = if refused { Evidence::after_refused() } else { Evidence::default() };
            let before = Some(Before { track: id, unbroken: unbroken && !was_away });
            let since = (!cleared).then_some(pts);
            let glance = known.glance;
            let known = Known { evidence, glance, doubts, before, since, ..Known::default() };
            self.known.insert(owner, known);
        }
        let known = self.known.entry(owner).or_default();
        if known.evidence.is_same(view) {
            known.settled.extend(known.glance.flatten());
            known.settled.drain(..known.settled.len().saturating_sub(SETTLED));
        }
        known.evidence.add(view, &self.judge);
        known.agreed.push_back((seq, pts));
        known.tried = Some((seq, pts));
        self.reach_back(owner, view);
        owner
    }

    /// Whether a face was out of sight for longer than the detector misses one, since frame `last`.
    fn was_away(&self, id: TrackId, last: u64) -> bool {
        let track = self.tracker.tracks().iter().find(|t| t.id == id);
        let sightings = track.map(|t| &t.sightings).into_iter().flatten().rev();
        let lately = sightings.map(|s| s.seq).take_while(|&seq| seq >= last);
        lately.clone().zip(lately.skip(1)).any(|(now, before)| now - before > MISSED)
    }

    /// What was known of a face before its track was cut, where a view after it surely shows the same
    /// face and nothing was found out about it since.
    fn resumed(&self, id: TrackId, view: &View) -> Option<Evidence> {
        let undecided = |known: &Known| known.evidence.state(&self.judge) == State::Undecided;
        let mut known = self.known.get(&id).filter(|&known| undecided(known))?;
        while undecided(known) {
            known = self.known.get(&known.before?.track)?;
        }
        known.evidence.goes_on_with(view, &self.judge).then(|| known.evidence.clone())
    }

    /// Where a view shows a refused person, the tracks that its own was cut from are refused too if
    /// they may be the same person's.
    fn reach_back(&mut self, id: TrackId, view: &View) {
        let Some((pupil, cosine)) = self.judge.refused_by(&view.embedding) else { return };
        let Some(own) = self.known.get(&id) else { return };
        if !matches!(own.evidence.state(&self.judge), State::Refused { .. }) {
            return;
        }
        let (own, mut before) = (own.evidence.clone(), own.before);
        while let Some(Before { track, unbroken }) = before {
            let Some(known) = self.known.get_mut(&track) else { return };
            let passed = known.evidence.is_passed(view, &self.judge)
                || known.evidence.is_unlike(&own, &self.judge);
            if !unbroken && (known.evidence.drifts(view) || passed) {
                return;
            }
            known.evidence.recognise(pupil, cosine);
            before = known.before;
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
            .map(|track| Subject { track, state: self.state_at(track.id, pts) })
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
            while known.agreed.get(1).is_some_and(|&(_, second)| second < horizon) {
                known.agreed.pop_front();
            }
        }
    }

    /// Makes the next frame's finished picture one that is looked at.
    pub fn check_next(&mut self) {
        self.checked = None;
    }

    /// Looks at a finished picture now and then, mirrored, so that it is not the look that found what
    /// is veiled: a face in it has to be one that is shown, and not a refused one. Whoever is caught is
    /// veiled for as long after as anybody who was found, and the next picture is looked at too.
    pub fn check(
        &mut self,
        frame: &Frame<Redacted>,
        placements: &[Placement],
    ) -> Result<Finding, VisionError> {
        let due =
            self.checked.is_none_or(|last| frame.pts().since(last) >= self.settings.check_every);
        if !due || frame.state().whole() {
            return Ok(Finding::NotDue);
        }
        // A check that fails is made up for in the next frame.
        self.checked = None;
        let view = frame.planes();
        let mut caught = Vec::new();
        for face in self.searcher.detector().detect_mirrored(&view, self.settings.size)? {
            if face.score < PLAIN_SCORE {
                continue;
            }
            let shown = placements.iter().any(|p| p.shown && p.face.iou(face.rect) > 0.0);
            if !shown || (self.judge.compares() && self.is_refused(&view, &face)?) {
                caught.push(face);
            }
        }
        for face in &caught {
            self.tracker.note(frame.seq(), frame.pts(), face);
        }
        if !caught.is_empty() {
            return Ok(Finding::Exposed);
        }
        self.checked = Some(frame.pts());
        Ok(Finding::Clean)
    }

    /// Whether a face in a finished picture is that of a refused person.
    fn is_refused(&mut self, view: &I420View<'_>, face: &Detection) -> Result<bool, VisionError> {
        if !self.judge.comparable(face.rect.w) {
            return Ok(false);
        }
        let found = self.searcher.close_up(view, face.rect)?;
        // Whichever of them it is.
        let same = found.iter().flatten().filter(|d| d.rect.iou(face.rect) >= SAME_PLACE);
        for face in same.chain([face]) {
            let described = self.embedder.embed(view, &face.landmarks)?;
            if described.is_some_and(|found| self.judge.is_refused(&found.embedding)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A face as a closer look saw it, if that is surely the same one, and whether it is its own and nobody
/// else's beyond doubt: it was found again, and no other is so near that one may be taken for the other.
/// `others` are the faces beside it in the picture.
fn closest(
    face: Detection,
    found: &[Detection],
    mut others: impl Iterator<Item = Rect>,
) -> (Detection, bool) {
    let near = found.iter().filter(|d| d.rect.iou(face.rect) >= SAME_PLACE);
    let Some(best) = near.max_by(|a, b| a.rect.iou(face.rect).total_cmp(&b.rect.iou(face.rect)))
    else {
        return (face, false);
    };
    // It may be of whoever is beside it.
    if others.any(|other| other.iou(best.rect) >= best.rect.iou(face.rect)) {
        return (face, false);
    }
    let alone = |d: &Detection| d == best || d.rect.iou(best.rect) <= MERGE_OVERLAP;
    (*best, found.iter().all(alone))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        frame::{FrameSize, Point, SlotPool},
        veil::{Cover, Style, policy::Policy, redact::Redactor},
        vision::{
            identify::{Gallery, Person, Standing},
            infer::Models,
        },
    };

    const SIZE: FrameSize = FrameSize::new(480, 480);

    /// A photo of one face, brought to [`SIZE`] without its colours.
    fn grey_photo(name: &str) -> Vec<u8> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
        let photo = image::open(path).expect("a sample; run `make setup`").to_luma8();
        let way = image::imageops::FilterType::Triangle;
        image::imageops::resize(&photo, SIZE.width, SIZE.height, way).into_raw()
    }

    #[test]
    fn what_was_cut_from_an_uncleared_track_is_confirmed_from_its_own_view_on() {
        let at = |ms: u64| Pts::from_nanos(ms * 1_000_000);
        let agreed = VecDeque::from([(120, at(4000))]);
        let mut known = Known { agreed, ..Known::default() };
        assert!(known.confirms(at(2100)) && known.confirms(at(4500)));
        known.since = Some(at(4000));
        assert!(!known.confirms(at(3900)) && known.confirms(at(4000)) && known.confirms(at(4500)));
    }

    #[test]
    fn a_face_that_trembles_stays_the_same_and_one_that_is_replaced_does_not() {
        let size = FrameSize::new(64, 64);
        // The same marks before a face of stripes: each way of striping is another face.
        let glance = |stripe: &dyn Fn(usize, usize) -> usize| {
            let y: Vec<u8> =
                (0..64 * 64).map(|i| (stripe(i % 64, i / 64) % 2 * 160) as u8).collect();
            let chroma = [128; 32 * 32];
            let (u, v) = (&chroma[..], &chroma[..]);
            let view = I420View { size, y: &y, u, v, luma_stride: 64, chroma_stride: 32 };
            let landmarks = [(22.0, 26.0), (42.0, 26.0), (32.0, 36.0), (24.0, 46.0), (40.0, 46.0)];
            Glance::at(&view, &landmarks.map(|(x, y)| Point { x, y }))
        };
        let (one, same) = (glance(&|x, _| x / 8), glance(&|_, y| y / 8));
        let other = glance(&|x, y| (x + y) / 12);
        let mut known =
            Known { settled: [one, same].into_iter().flatten().collect(), ..Known::default() };
        let mut changes = |glances: &[Option<Glance>]| -> Vec<bool> {
            let changed = |glance: &Option<Glance>| {
                known.glance(*glance);
                known.changed
            };
            glances.iter().map(changed).collect()
        };
        assert_eq!(changes(&[one, same, one, one]), [false; 4]);
        // A doubt on either side, although the face before and the face after are the same.
        assert_eq!(changes(&[other, one, None, same]), [true; 4]);
        known.settled.clear();
        let mut changes = |glance| {
            known.glance(glance);
            known.changed
        };
        assert!(changes(one) && changes(same) && changes(one));
    }

    #[test]
    fn a_closer_look_takes_no_neighbour_for_the_face() {
        let face = |x: f32, score: f32| Detection {
            rect: Rect::new(x, 0.0, 50.0, 60.0),
            score,
            landmarks: Default::default(),
        };
        let coarse = face(0.0, 0.5);
        let taken = |found: &[Detection], others: &[Detection]| {
            let (taken, alone) = closest(coarse, found, others.iter().map(|d| d.rect));
            (taken.rect.x, taken.score, alone)
        };
        let (own, near) = (face(4.0, 0.7), face(20.0, 0.95));
        // Not found again: what the coarse look saw may speak against it only.
        assert_eq!(taken(&[], &[]), (0.0, 0.5, false));
        assert_eq!(taken(&[own], &[]), (4.0, 0.7, true));
        // However sure the other one is.
        assert_eq!(taken(&[near, own], &[near]), (4.0, 0.7, false));
        // The face itself was not found, and who was is known to be beside it.
        assert_eq!(taken(&[near], &[face(19.0, 0.9)]), (0.0, 0.5, false));
        assert_eq!(taken(&[own, face(60.0, 0.9)], &[face(60.0, 0.9)]), (4.0, 0.7, true));
    }

    #[test]
    fn faces_that_overlap_keep_apart_only_where_each_stays() {
        let face = |x: f32| Rect::new(x, 0.0, 50.0, 60.0);
        let step =
            |before: Option<f32>, now: f32| Step { now: face(now), before: before.map(face) };
        let other = step(Some(38.0), 36.0);
        assert!(step(Some(0.0), 3.0).keeps_apart_from(&other));
        // Not seen before, gone where the other was, or too close to tell.
        for own in [step(None, 3.0), step(Some(0.0), 36.0), step(Some(25.0), 22.0)] {
            assert!(!own.keeps_apart_from(&other), "{own:?}");
        }
    }

    #[test]
    fn a_face_that_the_first_look_does_not_find_is_veiled_by_the_second() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let runtime = project.join("models/lib/libonnxruntime.so.1.31.1");
        let models = Models::load(&project.join("models"), &runtime).expect("models");
        let thresholds = models.thresholds();
        let mut detector = Detector::new(&models, 1).expect("detector");
        let pool = SlotPool::new(SIZE, 2);
        let luma = grey_photo("obama.jpg");
        let frame = |seq: u64| {
            let mut frame = Frame::new(pool.take(), seq, Pts::from_nanos(seq * 40_000_000));
            let planes = frame.planes_mut();
            planes.y[..luma.len()].copy_from_slice(&luma);
            planes.u.fill(128);
            planes.v.fill(128);
            frame
        };
        let face = detector.detect(&frame(0).planes(), 640).expect("a look")[0];
        let person = |axis: usize| {
            let mut raw = [0.0; crate::vision::identify::Embedding::LEN];
            raw[axis] = 1.0;
            crate::vision::identify::Embedding::new(raw).expect("a direction")
        };
        let references = vec![person(0), person(1)];
        let refused = Person { standing: Standing::Refused, references, recent: 2 };
        let gallery = Gallery { people: [("p-1".parse().expect("ok"), refused)].into() };
        let settings = Settings {
            size: 640,
            full_size: 640,
            full_every: 15,
            identify_every: 10,
            check_every: Duration::from_secs(1),
            region: Region::Head,
        };
        let judge = Judge::new(Policy::Refused, &gallery, thresholds);
        let embedder = Embedder::new(&models, 1).expect("embedder");
        let mut watcher = Watcher::new(detector, embedder, judge, thresholds, settings);
        watcher.searcher.blind = Some(face.rect);
        let mut redactor = Redactor::new(Style::Veil);
        let mut findings = Vec::new();
        for seq in 0..60 {
            let frame = frame(seq);
            watcher.look(&frame).expect("a look");
            let (verdict, placements) = watcher.decide(&frame, true);
            let covered = match &verdict.cover {
                Cover::Regions(hidden) => hidden.iter().any(|h| h.region.contains(face.rect)),
                _ => panic!("regions"),
            };
            let veiled = redactor.redact(frame, Some(&verdict));
            let finding = watcher.check(&veiled, &placements).expect("a check");
            assert!(covered || finding == Finding::Exposed, "the face shows in frame {seq}");
            findings.push(finding);
        }
        assert_eq!(findings[0], Finding::Exposed);
        assert_eq!(findings[1], Finding::Clean, "the face is veiled from then on");
        // Once the hold ends it is caught again.
        assert!(findings.iter().filter(|f| **f == Finding::Exposed).count() >= 2);
    }
}
