//! From single pictures to a person's figures. Pure: no file, no clock.

use super::{judge::Sight, truth::FaceTruth};
use crate::frame::Rect;

/// A face counts as in view from this part of its own pixels on ...
const IN_VIEW: f32 = 0.25;
/// ... and this many; less is a sliver, which is counted apart.
const IN_VIEW_PIXELS: u32 = 30;
/// Allowed people count as veiled without need from this face width on.
const NEED_PX: f32 = 40.0;
/// And after this many seconds in view.
const GRACE_SECONDS: f32 = 2.0;
/// An allowed face that somebody's veil covers by this part is not veiled without need.
const SHADED: f32 = 0.25;
/// The head that has to be covered, as the pipeline's region `head` grows it: sides, up, down, in
/// parts of the face's width and height.
const HEAD: (f32, f32, f32) = (0.30, 0.40, 0.25);

/// One face in one picture, judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    /// Width of the face in pixels.
    pub(super) width: f32,
    /// Its own pixels in the picture, as a part of all of them, and how many.
    pub(super) visible: f32,
    pub(super) pixels: u32,
    pub(super) sight: Sight,
    /// The head of somebody who has to be veiled covers it.
    pub(super) shaded: bool,
}

impl Moment {
    fn in_view(&self) -> bool {
        self.visible >= IN_VIEW && self.pixels >= IN_VIEW_PIXELS
    }
}

/// Whether the veil of anybody in `hidden` has to cover a good part of `face`.
pub(super) fn is_shaded(face: &FaceTruth, hidden: &[Rect]) -> bool {
    let own = face.own.bounds();
    let covered = |rect: &Rect| {
        let (sides, up, down) = HEAD;
        rect.grown(sides, up, down).intersection(own).area()
    };
    hidden.iter().any(|rect| covered(rect) > SHADED * own.area())
}

/// What one picture says of one person, for the plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// Not in the picture, or a sliver that is veiled.
    Absent,
    /// A sliver of somebody who has to be veiled, which shows.
    Sliver,
    /// Veiled, as it should be, or small enough not to matter.
    Veiled,
    /// Shows, and must not.
    Clear,
    /// Shows, as it may.
    Shown,
    /// Veiled without need.
    Needless,
    /// May be seen, and is veiled by somebody else's veil.
    Shaded,
}

/// Figures of somebody who has to be veiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct HiddenFigures {
    /// Pictures in which the face is in view.
    pub frames_in_view: u64,
    /// Those in which it can be seen.
    pub clear_frames: u64,
    /// The longest run of them.
    pub longest_clear_run: u64,
    /// Pictures with less than a quarter of the face in view.
    pub slivers: u64,
    /// Those in which that shows.
    pub clear_slivers: u64,
    /// The largest part of the face's own pixels that are as in the source.
    pub most_same: f32,
    /// The highest likeness to the own source; none where it was never compared.
    pub most_alike: Option<f32>,
    /// Asked pictures in which the recogniser said of another's veil what it said of this one: not counted as clear.
    pub unspecific_matches: u64,
}

/// Figures of somebody who may be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct AllowedFigures {
    /// Pictures in which the face is in view.
    pub frames_in_view: u64,
    /// Those in which it is 40 px or more wide, two seconds after it was first in view, and not
    /// behind somebody's veil.
    pub frames_counted: u64,
    /// Those of them in which it is veiled.
    pub veiled_without_need: u64,
    /// Seconds in view until it was first shown, of somebody 40 px or more wide; none where it never
    /// was.
    pub seconds_to_clearance: Option<f32>,
}

/// A person's figures and what every picture says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tally<F> {
    pub(super) figures: F,
    pub(super) spots: Vec<Spot>,
}

/// Somebody who has to be veiled, over all pictures of a scene.
pub(super) fn hidden(moments: &[Option<Moment>], match_from: f32) -> Tally<HiddenFigures> {
    let mut figures = HiddenFigures::default();
    let mut run = 0;
    // What the recogniser said when it was last asked counts until it is asked again.
    let mut recognised = false;
    let mut spots = Vec::with_capacity(moments.len());
    for moment in moments {
        let likeness = moment.and_then(|m| m.sight.likeness);
        recognised =
            moment.is_some() && likeness.map_or(recognised, |found| found.names(match_from));
        figures.unspecific_matches += u64::from(likeness.is_some_and(|l| l.is_of_any(match_from)));
        let clear = recognised || moment.is_some_and(|m| m.sight.is_clear(match_from));
        spots.push(match moment {
            Some(m) if m.in_view() => {
                figures.frames_in_view += 1;
                figures.clear_frames += u64::from(clear);
                figures.most_same = figures.most_same.max(m.sight.same);
                figures.most_alike = figures.most_alike.max_with(likeness.map(|found| found.own));
                if clear { Spot::Clear } else { Spot::Veiled }
            }
            Some(_) => {
                figures.slivers += 1;
                figures.clear_slivers += u64::from(clear);
                if clear { Spot::Sliver } else { Spot::Absent }
            }
            None => Spot::Absent,
        });
        run = if spots.last() == Some(&Spot::Clear) { run + 1 } else { 0 };
        figures.longest_clear_run = figures.longest_clear_run.max(run);
    }
    Tally { figures, spots }
}

/// Somebody who may be seen, over all pictures of a scene.
pub(super) fn allowed(moments: &[Option<Moment>], fps: f32) -> Tally<AllowedFigures> {
    let mut figures = AllowedFigures::default();
    let mut spots = Vec::with_capacity(moments.len());
    let mut large = 0u64;
    for moment in moments {
        let Some(moment) = moment.filter(Moment::in_view) else {
            spots.push(Spot::Absent);
            continue;
        };
        let veiled = moment.sight.is_veiled();
        let counts = moment.width >= NEED_PX;
        if counts && !veiled && figures.seconds_to_clearance.is_none() {
            figures.seconds_to_clearance = Some(large as f32 / fps);
        }
        figures.frames_in_view += 1;
        large += u64::from(counts);
        spots.push(match (veiled, counts) {
            (false, _) => Spot::Shown,
            (true, _) if moment.shaded => Spot::Shaded,
            (true, true) => Spot::Needless,
            (true, false) => Spot::Veiled,
        });
        let late = figures.frames_in_view as f32 > GRACE_SECONDS * fps;
        if counts && late && !(veiled && moment.shaded) {
            figures.frames_counted += 1;
            figures.veiled_without_need += u64::from(veiled);
        }
    }
    Tally { figures, spots }
}

/// The larger of what is known.
pub(super) trait MaxWith {
    fn max_with(self, other: Self) -> Self;
}

impl MaxWith for Option<f32> {
    fn max_with(self, other: Self) -> Self {
        match (self, other) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::judge::Likeness, *};

    fn moment(same: f32) -> Moment {
        let sight = Sight { same, likeness: None };
        Moment { width: 60.0, visible: 1.0, pixels: 1000, sight, shaded: false }
    }

    #[test]
    fn runs_are_of_pictures_that_follow_each_other() {
        let mut moments = vec![Some(moment(0.0)); 20];
        for clear in [3, 4, 5, 9, 10] {
            moments[clear] = Some(moment(0.9));
        }
        // Away for a moment: what comes after is another run.
        moments[10] = None;
        let Tally { figures, spots } = hidden(&moments, 0.4);
        assert_eq!((figures.frames_in_view, figures.clear_frames), (19, 4));
        assert_eq!(figures.longest_clear_run, 3);
        assert_eq!(spots[3], Spot::Clear);
    }

    #[test]
    fn who_is_recognised_is_clear_until_the_recogniser_is_asked_again() {
        let mut moments = vec![Some(moment(0.0)); 20];
        for (at, own) in [(0, 0.1), (5, 0.6), (10, 0.2), (15, 0.5)] {
            let sight = Sight { same: 0.0, likeness: Some(Likeness { own, others: 0.0 }) };
            moments[at] = Some(Moment { sight, ..moment(0.0) });
        }
        moments[17] = None;
        let Tally { figures, .. } = hidden(&moments, 0.4);
        assert_eq!((figures.clear_frames, figures.longest_clear_run), (7, 5));
    }

    #[test]
    fn slivers_are_counted_apart() {
        let sliver = Moment { visible: 0.1, ..moment(1.0) };
        let Tally { figures, .. } = hidden(&[Some(sliver)], 0.4);
        assert_eq!((figures.clear_frames, figures.clear_slivers), (0, 1));
    }

    #[test]
    fn need_is_counted_after_two_seconds() {
        let mut moments = vec![Some(moment(0.0)); 100];
        for shown in &mut moments[80..] {
            *shown = Some(moment(0.9));
        }
        moments[70] = Some(Moment { shaded: true, ..moment(0.0) });
        let Tally { figures, spots } = allowed(&moments, 30.0);
        assert_eq!((figures.frames_counted, figures.veiled_without_need), (39, 19));
        assert_eq!(figures.seconds_to_clearance, Some(80.0 / 30.0));
        assert_eq!(spots[70], Spot::Shaded);
        let whole = allowed(&[Some(moment(0.0)); 100], 30.0).figures;
        assert_eq!(whole.frames_counted, whole.veiled_without_need);
        assert_eq!(whole.seconds_to_clearance, None);
    }

    #[test]
    fn faces_below_40_px_are_not_counted() {
        let small = Moment { width: 30.0, ..moment(0.0) };
        assert_eq!(allowed(&[Some(small); 100], 30.0).figures.frames_counted, 0);
    }
}
