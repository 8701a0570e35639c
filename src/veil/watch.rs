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
    Verdict,
    decide::{At, HOLD, HOLD_LONGEST, HOLD_WEAK, Placement, SURE_SCORE, Subject, decide},
    evidence::{Evidence, Judge, State, View},
    policy::{Policy, Region},
    redact::Redacted,
};
use crate::{
    frame::{Frame, I420View, Raw},
    units::{Pts, TrackId},
    vision::{
        Detection,
        detect::Detector,
        glance::Glance,
        identify::{Described, Embedder},
        infer::{Thresholds, VisionError},
        pose::is_oblique,
        search::{Pace, Search, Searcher},
        track::{Cut, CutDetector, Tracker},
    },
};

/// A view counts towards clearance only from a detection at least this sure; a doubtful one may
/// have misplaced landmarks, and a badly aligned face resembles nobody.
const RELIABLE_SCORE: f32 = SURE_SCORE;
/// Undecided tracks are compared every second frame.
const UNDECIDED_EVERY: u64 = 2;
/// Views after which an undecided track is not worth more effort than a decided one.
const PATIENCE_VIEWS: u32 = 12;
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
/// A face that was seen this recently and is now covered may be behind the one in front.
const OCCLUDED_FOR: Duration = Duration::from_secs(1);
/// A cleared face that was not seen for longer than this may be somebody else when it returns.
const UNSEEN: Duration = Duration::from_millis(500);
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
    /// What the face looked like when it was last seen.
    glance: Option<Glance>,
    /// The face looks like another one all of a sudden.
    changed: bool,
    /// When it did so without being compared at once: what was seen on one side of such a moment
    /// says nothing of the other.
    doubts: VecDeque<Pts>,
    /// Nothing is shown before this: the track was cut from that of somebody who was not cleared, after
    /// their last view, and from there to its own first one it may still have been them.
    since: Option<Pts>,
}

impl Known {
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
            cut: Cut::None,
            scenes: VecDeque::new(),
            checked: None,
            effort: Effort::Whole,
            compared: None,
            hold_weak: HOLD_WEAK,
        }
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
    pub fn replace_judge(&mut self, judge: Judge) {
        for known in self.known.values_mut() {
            known.evidence = known.evidence.under(&judge);
            known.agreed.clear();
            known.tried = None;
        }
        self.judge = judge;
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
        let found = self.searcher.search(&view, frame.pts(), self.cut > Cut::None)?;
        let cut = std::mem::take(&mut self.cut);
        let mut seen = self.tracker.step(frame.seq(), frame.pts(), &found, cut > Cut::None);
        if self.judge.compares() {
            self.doubt_merged(frame.seq(), frame.pts(), &mut seen);
            self.glance(&view, &seen);
            self.compare(frame, &mut seen)?;
        }
        Ok(())
    }

    fn state(&self, id: TrackId) -> State {
        match self.known.get(&id) {
            Some(known) => known.evidence.state(&self.judge),
            None => Evidence::default().state(&self.judge),
        }
    }

    /// The state of a track in one frame: a clearance holds only where a view confirms it.
    fn state_at(&self, id: TrackId, pts: Pts) -> State {
        match self.state(id) {
            State::Cleared(reason)
                if !self.judge.compares()
                    || self.known.get(&id).is_some_and(|k| k.confirms(pts)) =>
            {
                State::Cleared(reason)
            }
            State::Cleared(_) => State::Undecided,
            state => state,
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
                State::Undecided => t.live && t.best_score >= RELIABLE_SCORE,
            })
            .filter_map(|t| t.last())
            .filter(|last| pts.since(last.pts) <= OCCLUDED_FOR)
            .map(|last| last.rect)
            .collect();
        for (id, detection) in seen {
            let meets = hidden.iter().any(|rect| rect.iou(detection.rect) > MERGE_OVERLAP);
            if (meets || self.returns(*id))
                && matches!(self.state(*id), State::Cleared(_))
                && let Some(new) = seq.checked_sub(1).and_then(|s| self.tracker.split(*id, s))
            {
                *id = new;
            }
        }
    }

    /// Notes which faces look different all of a sudden.
    fn glance(&mut self, picture: &I420View<'_>, seen: &[(TrackId, Detection)]) {
        for (id, detection) in seen {
            let known = self.known.entry(*id).or_default();
            let now = Glance::at(picture, &detection.landmarks);
            let before = std::mem::replace(&mut known.glance, now);
            known.changed = match (before, now) {
                (Some(before), Some(now)) => !before.is_like(&now),
                // A face that cannot be compared with what was there before may be another one.
                (Some(_), None) => true,
                (None, _) => false,
            };
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
                reliable: whole
                    && detection.score >= RELIABLE_SCORE
                    && strength >= t.clear_strength_least,
                embedding,
            };
            known.changed = false;
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
        let mut due: [Vec<(u64, usize)>; 2] = [Vec::new(), Vec::new()];
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
            let (cleared, every, soon) = match self.state(*id) {
                State::Cleared(_) => (true, every, true),
                State::Refused { .. } => (false, every * VEILED_FACTOR, false),
                State::Undecided
                    if width < self.thresholds.clear_min_px
                        || detection.score < RELIABLE_SCORE
                        || known.is_some_and(|k| k.evidence.views() >= PATIENCE_VIEWS) =>
                {
                    (false, every * VEILED_FACTOR, false)
                }
                State::Undecided => (false, UNDECIDED_EVERY, true),
            };
            let (waited, since) = match known.and_then(|k| k.tried.filter(|_| !(k.changed && soon)))
            {
                Some((last, at)) => (seq - last, pts.since(at)),
                None => (u64::MAX, Duration::MAX),
            };
            if waited >= every || (since >= COMPARE_AFTER && soon) {
                due[usize::from(cleared)].push((u64::MAX - waited, i));
            }
        }
        let [mut veiled, mut cleared] = due;
        veiled.sort_unstable();
        cleared.sort_unstable();
        let first = |due: Vec<(u64, usize)>, most| due.into_iter().take(most).map(|(_, i)| i);
        let most = |usual: usize| if strained { STRAINED_PER_FRAME } else { usual };
        let veiled = first(veiled, most(VEILED_PER_FRAME));
        veiled.chain(first(cleared, most(CLEARED_PER_FRAME))).collect()
    }

    /// Adds a view to a track, or to a new one where it may show somebody else. Returns the track.
    fn add_view(&mut self, id: TrackId, seq: u64, pts: Pts, view: &View) -> TrackId {
        let known = self.known.entry(id).or_default();
        let agreed_until = known.agreed.back().map(|&(seq, _)| seq);
        let refused = known.evidence.was_refused();
        let doubts = known.doubts.clone();
        let cleared = matches!(self.state(id), State::Cleared(_));
        let known = self.known.entry(id).or_default();
        let mut owner = id;
        if known.evidence.drifts(view)
            && let Some(new) = agreed_until.and_then(|last| self.tracker.split(id, last))
        {
            owner = new;
            let evidence = if refused { Evidence::after_refused() } else { Evidence::default() };
            let since = (!cleared).then_some(pts);
            self.known.insert(owner, Known { evidence, doubts, since, ..Known::default() });
        }
        let known = self.known.entry(owner).or_default();
        known.evidence.add(view, &self.judge);
        known.agreed.push_back((seq, pts));
        known.tried = Some((seq, pts));
        owner
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
        decide(
            &At { seq, pts, size, looked, hold_weak: self.hold_weak, scene: self.scene_of(seq) },
            &subjects,
            self.settings.region,
        )
    }

    /// The frames of the scene that a frame belongs to.
    fn scene_of(&self, seq: u64) -> Range<u64> {
        let later = self.scenes.partition_point(|&(first, _)| first <= seq);
        let first = later.checked_sub(1).and_then(|i| self.scenes.get(i));
        let end = self.scenes.get(later);
        first.map_or(0, |&(seq, _)| seq)..end.map_or(u64::MAX, |&(seq, _)| seq)
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
            let refused = shown
                && self.judge.compares()
                && self.judge.comparable(face.rect.w)
                && self
                    .embedder
                    .embed(&view, &face.landmarks)?
                    .is_some_and(|described| self.judge.is_refused(&described.embedding));
            if !shown || refused {
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
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        frame::{FrameSize, SlotPool},
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
        let refused =
            Person { standing: Standing::Refused, references: vec![person(0), person(1)] };
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
