//! One camera's eyes: looks at every frame as it enters the ring, and says what is hidden when it
//! leaves.
//!
//! Belongs here: how often the detector runs at which size, which faces are compared, and when a
//! track's clearance has to be earned again. Does not belong: what the views mean (`evidence`),
//! where regions lie (`decide`).

use std::collections::BTreeMap;

use super::{
    Verdict,
    decide::{HOLD_LONGEST, Placement, Subject, decide},
    evidence::{Evidence, Judge, State, View, is_oblique},
    policy::Region,
    redact::Redacted,
};
use crate::{
    frame::{Frame, I420View, Raw},
    units::{Pts, TrackId},
    vision::{
        Detection,
        detect::{Detector, suppress},
        identify::Embedder,
        infer::{Thresholds, VisionError},
        track::{CutDetector, Tracker},
    },
};

/// A view counts towards clearance only from a detection at least this sure; a doubtful one may
/// have misplaced landmarks, and a badly aligned face resembles nobody.
const RELIABLE_SCORE: f32 = 0.6;
/// Undecided tracks are compared every second frame.
const UNDECIDED_EVERY: u64 = 2;
/// Most comparisons in one frame: they cost 33 ms each.
const COMPARISONS_PER_FRAME: usize = 2;
/// Faces that overlap a face with another standing by this much may have changed hands.
const MERGE_OVERLAP: f32 = 0.1;
/// A face that was seen this recently and is now covered may be behind the one in front.
const OCCLUDED_FOR: std::time::Duration = std::time::Duration::from_secs(1);
/// A face this sure in a finished picture has to belong to somebody who is shown.
const SURE_SCORE: f32 = 0.7;

/// How often and how closely frames are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Longest side of the picture of every frame's pass, in pixels.
    pub size: u32,
    /// Longest side of the picture of the full-size pass, in pixels.
    pub full_size: u32,
    /// Frames from one full-size pass to the next.
    pub full_every: u32,
    /// Frames from one comparison to the next once a track is decided.
    pub identify_every: u32,
    /// Frames from one look at the finished picture to the next.
    pub check_every: u32,
    /// What is covered of a hidden person.
    pub region: Region,
}

#[derive(Debug, Default)]
struct Known {
    evidence: Evidence,
    /// The last frame whose view agreed with the ones before.
    last_view: Option<u64>,
    /// The last frame in which a comparison was tried.
    last_try: Option<u64>,
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
    detector: Detector,
    embedder: Embedder,
    tracker: Tracker,
    cuts: CutDetector,
    judge: Judge,
    thresholds: Thresholds,
    settings: Settings,
    known: BTreeMap<TrackId, Known>,
    since_full: u32,
    since_check: u32,
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
        Self {
            detector,
            embedder,
            tracker: Tracker::new(),
            cuts: CutDetector::default(),
            judge,
            thresholds,
            settings,
            known: BTreeMap::new(),
            since_full: u32::MAX,
            since_check: u32::MAX,
        }
    }

    /// Looks at the newest frame. An error means that the look was not completed: the frame has to
    /// be veiled whole.
    pub fn look(&mut self, frame: &Frame<Raw>) -> Result<(), VisionError> {
        let view = frame.planes();
        let cut = self.cuts.step(&view);
        let found = self.find(&view, cut)?;
        let ids = self.tracker.step(frame.seq(), frame.pts(), &found, cut);
        let mut seen: Vec<(TrackId, Detection)> = ids.into_iter().zip(found).collect();
        if self.judge.compares() {
            self.doubt_merged(frame.seq(), frame.pts(), &mut seen);
            self.compare(frame, &mut seen)?;
        }
        Ok(())
    }

    fn find(&mut self, view: &I420View<'_>, cut: bool) -> Result<Vec<Detection>, VisionError> {
        let mut found = self.detector.detect(view, self.settings.size)?;
        let longest = view.size.width.max(view.size.height);
        self.since_full = self.since_full.saturating_add(1);
        let due = cut || self.since_full >= self.settings.full_every;
        if due && longest > self.settings.size {
            // Both passes count: close faces are lost at full size, far ones at the small one.
            found.extend(self.detector.detect(view, self.settings.full_size)?);
            found = suppress(found, self.thresholds.detect_nms);
            self.since_full = 0;
        }
        Ok(found)
    }

    fn state(&self, id: TrackId) -> State {
        match self.known.get(&id) {
            Some(known) => known.evidence.state(&self.judge),
            None => Evidence::default().state(&self.judge),
        }
    }

    /// Where a cleared face meets one of another standing, the tracker may confuse them from here
    /// on: the track is cut before this frame and earns its clearance again.
    fn doubt_merged(&mut self, seq: u64, pts: Pts, seen: &mut [(TrackId, Detection)]) {
        let hidden: Vec<_> = self
            .tracker
            .tracks()
            .iter()
            .filter(|t| t.live && !matches!(self.state(t.id), State::Cleared(_)))
            .filter_map(|t| t.last())
            .filter(|last| pts.since(last.pts) <= OCCLUDED_FOR)
            .map(|last| last.rect)
            .collect();
        for (id, detection) in seen {
            let meets = hidden.iter().any(|rect| rect.iou(detection.rect) > MERGE_OVERLAP);
            if meets
                && matches!(self.state(*id), State::Cleared(_))
                && let Some(new) = seq.checked_sub(1).and_then(|s| self.tracker.split(*id, s))
            {
                *id = new;
            }
        }
    }

    fn compare(
        &mut self,
        frame: &Frame<Raw>,
        seen: &mut [(TrackId, Detection)],
    ) -> Result<(), VisionError> {
        let seq = frame.seq();
        let mut due: Vec<(bool, u64, usize)> = Vec::with_capacity(seen.len());
        for (i, (id, detection)) in seen.iter().enumerate() {
            if !self.judge.comparable(detection.rect.w) {
                continue;
            }
            let decided = !matches!(self.state(*id), State::Undecided);
            let every =
                if decided { u64::from(self.settings.identify_every) } else { UNDECIDED_EVERY };
            let waited = match self.known.get(id).and_then(|k| k.last_try) {
                Some(last) => seq - last,
                None => u64::MAX,
            };
            if waited >= every {
                due.push((decided, u64::MAX - waited, i));
            }
        }
        // Undecided tracks first, the longest waiting first.
        due.sort_unstable();
        let view = frame.planes();
        for (_, _, i) in due.into_iter().take(COMPARISONS_PER_FRAME) {
            let (id, detection) = seen[i];
            self.known.entry(id).or_default().last_try = Some(seq);
            let Some(embedding) = self.embedder.embed(&view, &detection.landmarks)? else {
                continue;
            };
            let rect = detection.rect;
            let whole = view.size.rect().contains(rect) && detection.score >= RELIABLE_SCORE;
            let view = View {
                width_px: rect.w,
                oblique: is_oblique(&detection.landmarks, rect.w),
                reliable: whole,
                embedding,
            };
            seen[i].0 = self.add_view(id, seq, &view);
        }
        Ok(())
    }

    /// Adds a view to a track, or to a new one where it shows somebody else. Returns the track.
    fn add_view(&mut self, id: TrackId, seq: u64, view: &View) -> TrackId {
        let known = self.known.entry(id).or_default();
        let agreed_until = known.last_view;
        let mut owner = id;
        if known.evidence.drifts(view)
            && let Some(new) = agreed_until.and_then(|last| self.tracker.split(id, last))
        {
            owner = new;
        }
        let known = self.known.entry(owner).or_default();
        known.evidence.add(view, &self.judge);
        known.last_view = Some(seq);
        known.last_try = Some(seq);
        owner
    }

    /// Says what of a frame is hidden, from all that was seen until now.
    #[must_use]
    pub fn decide(&self, frame: &Frame<Raw>, looked: bool) -> (Verdict, Vec<Placement>) {
        let subjects: Vec<Subject<'_>> = self
            .tracker
            .tracks()
            .iter()
            .map(|track| Subject { track, state: self.state(track.id) })
            .collect();
        let (seq, pts, size) = (frame.seq(), frame.pts(), frame.size());
        let born_at = self.thresholds.detect_start;
        decide(seq, pts, size, looked, &subjects, self.settings.region, born_at)
    }

    /// What is known of a track, for the record of reasons.
    #[must_use]
    pub fn reason(&self, id: TrackId) -> State {
        self.state(id)
    }

    /// Forgets what no frame from `pts` on can need. A lost track's region is held for a while, so
    /// its last sighting is needed for as long.
    pub fn forget_before(&mut self, pts: Pts) {
        for id in self.tracker.forget_before(pts.minus(HOLD_LONGEST)) {
            self.known.remove(&id);
        }
    }

    /// Looks at a finished picture now and then: a face in it has to be one that is shown, and not
    /// a refused one.
    pub fn check(
        &mut self,
        frame: &Frame<Redacted>,
        placements: &[Placement],
    ) -> Result<Finding, VisionError> {
        self.since_check = self.since_check.saturating_add(1);
        if self.since_check < self.settings.check_every || frame.state().whole() {
            return Ok(Finding::NotDue);
        }
        self.since_check = 0;
        let view = frame.planes();
        for face in self.detector.detect(&view, self.settings.size)? {
            if face.score < SURE_SCORE {
                continue;
            }
            let shown = placements.iter().any(|p| p.shown && p.face.iou(face.rect) > 0.0);
            if !shown {
                return Ok(Finding::Exposed);
            }
            if self.judge.compares()
                && self.judge.comparable(face.rect.w)
                && let Some(embedding) = self.embedder.embed(&view, &face.landmarks)?
                && self.judge.is_refused(&embedding)
            {
                return Ok(Finding::Exposed);
            }
        }
        Ok(Finding::Clean)
    }
}
