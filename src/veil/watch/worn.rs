//! Worn markers: how often they are looked for, and whom they clear from when to when.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use super::super::badge::Badges;
use crate::{
    frame::{I420View, Rect},
    units::{Pts, TrackId},
    vision::{infer::VisionError, markers::MarkerFinder},
};

/// Markers are looked for this often: a look costs about as much as a pass of the detector over the
/// whole picture at full size.
const MARKERS_EVERY: Duration = Duration::from_millis(250);
/// A marker clears its wearer for this long after it was seen last: a hand before it for two looks.
const MARKER_HOLD: Duration = Duration::from_millis(600);

/// Worn markers and whom they clear.
#[derive(Debug)]
pub(super) struct Worn {
    finder: MarkerFinder,
    pub(super) badges: Badges,
    /// The last look for markers.
    looked: Option<Pts>,
    /// By track: from when to when which marker cleared it.
    spans: BTreeMap<TrackId, VecDeque<(Pts, Pts, u16)>>,
}

impl Worn {
    pub(super) fn new() -> Result<Self, VisionError> {
        let (finder, badges) = (MarkerFinder::new()?, Badges::new(MARKER_HOLD));
        Ok(Self { finder, badges, looked: None, spans: BTreeMap::new() })
    }

    /// Looks for markers if it is time to; only sure faces can be cleared by one.
    pub(super) fn look(
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
    pub(super) fn clears(&self, id: TrackId, pts: Pts) -> Option<u16> {
        let spans = self.spans.get(&id)?;
        spans.iter().find(|(from, until, _)| (*from..=*until).contains(&pts)).map(|span| span.2)
    }

    pub(super) fn forget_before(&mut self, pts: Pts, remembered: &BTreeSet<TrackId>) {
        self.spans.retain(|id, _| remembered.contains(id));
        for spans in self.spans.values_mut() {
            while spans.len() > 1 && spans.front().is_some_and(|(_, until, _)| *until < pts) {
                spans.pop_front();
            }
        }
    }
}
