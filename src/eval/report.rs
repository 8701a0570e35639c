//! What came of a measurement: as data, and as a table.

use std::fmt::{self, Write as _};

use serde::Serialize;

pub use super::tally::{AllowedFigures, HiddenFigures};
use super::{control::Cost, tally::MaxWith, truth::Role};

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The program and its version.
    pub software: String,
    /// What the scenes were drawn from.
    pub seed: u64,
    /// Width and height of the pictures.
    pub size: [u32; 2],
    /// The control: a video in which nobody is veiled must be clear throughout, or the figures below
    /// say nothing.
    pub control: ControlFigures,
    /// One entry for each policy.
    pub policies: Vec<PolicyReport>,
}

/// The scenes encoded with nobody veiled, judged like a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ControlFigures {
    /// Faces in view, once for each picture.
    pub face_frames: u64,
    /// Those that are clear.
    pub clear_frames: u64,
}

/// One policy.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyReport {
    /// The policy that was asked for.
    pub policy: String,
    /// Everybody.
    pub all: Totals,
    /// People who were never used for tuning.
    pub held_out: Totals,
    /// Pictures a second of all recordings; none where finished videos were judged.
    pub fps: Option<f64>,
    /// CPU time a picture in milliseconds, of recordings and of their floor.
    pub cpu_ms: Option<[f64; 2]>,
    /// Every run of pictures in which somebody shows who must not, the longest first.
    pub leaks: Vec<Leak>,
    /// One entry for each scene.
    pub scenes: Vec<SceneFigures>,
}

/// Sums over people.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Faces that have to be veiled and are in view, once for each picture.
    pub hidden_face_frames: u64,
    /// Those that can be seen.
    pub clear_frames: u64,
    /// The longest run of one person.
    pub longest_clear_run: u64,
    /// Slivers of faces that have to be veiled, and those that show.
    pub slivers: u64,
    /// Slivers that show.
    pub clear_slivers: u64,
    /// Asked pictures in which the recogniser said of another's veil what it said of this one.
    pub unspecific_matches: u64,
    /// Faces that may be seen and count, once for each picture.
    pub allowed_face_frames: u64,
    /// Those that are veiled without need.
    pub veiled_without_need: u64,
    /// The same as a part; none where nobody counts.
    pub needless_share: Option<f64>,
    /// Median over people and scenes of the time until somebody who may be seen is shown.
    pub median_seconds_to_clearance: Option<f32>,
    /// People (once for each scene) who may be seen, count, and were never shown.
    pub never_shown: u64,
}

/// One scene.
#[derive(Clone, Debug, Serialize)]
pub struct SceneFigures {
    /// Its name.
    pub scene: String,
    /// Pictures.
    pub frames: u64,
    /// The part of the pictures that is not as in the source, on average.
    pub veiled_area: f32,
    /// What the recording cost; none where a finished video was judged.
    pub cost: Option<CostFigures>,
    /// Everyone in it.
    pub people: Vec<PersonFigures>,
}

/// What one recording cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CostFigures {
    /// Pictures a second, start-up included.
    pub fps: f64,
    /// CPU time a picture in milliseconds, start-up included.
    pub cpu_ms: f64,
    /// The same for decoding and encoding alone.
    pub floor_cpu_ms: f64,
    /// Pictures veiled whole for want of a complete look.
    pub veiled_whole: u64,
}

/// One person in one scene.
#[derive(Clone, Debug, Serialize)]
pub struct PersonFigures {
    /// Pseudonym.
    pub person: String,
    /// What the list says.
    pub role: Role,
    /// Never used for tuning.
    pub held_out: bool,
    /// Narrowest and widest face in view, in pixels.
    pub width_px: [f32; 2],
    /// Where the policy asks for a veil.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<HiddenFigures>,
    /// Where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<AllowedFigures>,
}

/// A run of pictures in which somebody shows who must not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Leak {
    /// The scene.
    pub scene: String,
    /// Who.
    pub person: String,
    /// The first picture.
    pub first_frame: u64,
    /// How many.
    pub frames: u64,
    /// Width of the face in the first, in pixels.
    pub width_px: f32,
    /// The largest part of own pixels as in the source.
    pub same: f32,
    /// The highest likeness, where it was compared.
    pub alike: Option<f32>,
}

impl Totals {
    /// Adds up the people that `counts` picks.
    pub(super) fn of(scenes: &[SceneFigures], counts: impl Fn(&PersonFigures) -> bool) -> Self {
        let mut totals = Self::default();
        let mut waits = Vec::new();
        for person in scenes.iter().flat_map(|s| &s.people).filter(|p| counts(p)) {
            if let Some(hidden) = &person.hidden {
                totals.hidden_face_frames += hidden.frames_in_view;
                totals.clear_frames += hidden.clear_frames;
                totals.longest_clear_run = totals.longest_clear_run.max(hidden.longest_clear_run);
                totals.slivers += hidden.slivers;
                totals.clear_slivers += hidden.clear_slivers;
                totals.unspecific_matches += hidden.unspecific_matches;
            }
            if let Some(allowed) = &person.allowed {
                totals.allowed_face_frames += allowed.frames_counted;
                totals.veiled_without_need += allowed.veiled_without_need;
                waits.extend(allowed.seconds_to_clearance);
                let never = allowed.frames_counted > 0 && allowed.seconds_to_clearance.is_none();
                totals.never_shown += u64::from(never);
            }
        }
        waits.sort_by(f32::total_cmp);
        totals.median_seconds_to_clearance = waits.get(waits.len() / 2).copied();
        totals.needless_share = (totals.allowed_face_frames > 0)
            .then(|| totals.veiled_without_need as f64 / totals.allowed_face_frames as f64);
        totals
    }
}

impl Report {
    /// Faces that show and must not, over all policies.
    #[must_use]
    pub fn clear_frames(&self) -> u64 {
        self.policies.iter().map(|p| p.all.clear_frames).sum()
    }
}

impl Leak {
    /// A run that begins.
    pub(super) fn new(scene: &str, person: &str, first_frame: u64, width_px: f32) -> Self {
        Self {
            scene: scene.to_owned(),
            person: person.to_owned(),
            first_frame,
            frames: 0,
            width_px,
            same: 0.0,
            alike: None,
        }
    }

    /// One picture more.
    pub(super) fn add(&mut self, same: f32, alike: Option<f32>) {
        self.frames += 1;
        self.same = self.same.max(same);
        self.alike = self.alike.max_with(alike);
    }
}

impl Cost {
    fn ms(self) -> f64 {
        1000.0 * self.cpu.as_secs_f64() / self.frames.max(1) as f64
    }

    /// With the floor beside it.
    pub(super) fn figures(self, floor: Self, veiled_whole: u64) -> CostFigures {
        CostFigures { fps: self.fps(), cpu_ms: self.ms(), floor_cpu_ms: floor.ms(), veiled_whole }
    }

    /// Pictures a second.
    pub(super) fn fps(self) -> f64 {
        self.frames as f64 / self.wall.as_secs_f64().max(1e-9)
    }

    /// CPU milliseconds a picture over both.
    pub(super) fn cpu_ms(self, floor: Self) -> [f64; 2] {
        [self.ms(), floor.ms()]
    }

    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            wall: self.wall + other.wall,
            cpu: self.cpu + other.cpu,
            frames: self.frames + other.frames,
        }
    }
}

impl PolicyReport {
    /// The part of all pictures that is not as in the source, on average.
    fn veiled_area(&self) -> Option<f32> {
        let frames: u64 = self.scenes.iter().map(|scene| scene.frames).sum();
        let area: f32 = self.scenes.iter().map(|s| s.veiled_area * s.frames as f32).sum();
        (frames > 0).then(|| area / frames as f32)
    }
}

/// The table that people read.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for policy in &self.policies {
            writeln!(f, "policy {}", policy.policy)?;
            writeln!(
                f,
                "  {:<12} {:>8} {:>6} {:>4} {:>8} {:>8} {:>7} {:>6} {:>6} {:>11}",
                "scene",
                "to hide",
                "clear",
                "run",
                "allowed",
                "needless",
                "cleared",
                "area",
                "fps",
                "CPU/floor",
            )?;
            for scene in &policy.scenes {
                let totals = Totals::of(std::slice::from_ref(scene), |_| true);
                writeln!(
                    f,
                    "  {:<12} {}",
                    scene.scene,
                    row(&totals, Some(scene.veiled_area), scene.cost)
                )?;
            }
            let cost = policy.fps.zip(policy.cpu_ms).map(|(fps, [cpu_ms, floor_cpu_ms])| {
                CostFigures { fps, cpu_ms, floor_cpu_ms, veiled_whole: 0 }
            });
            writeln!(f, "  {:<12} {}", "held out", row(&policy.held_out, None, None))?;
            writeln!(f, "  {:<12} {}", "all", row(&policy.all, policy.veiled_area(), cost))?;
            for leak in policy.leaks.iter().take(20) {
                writeln!(
                    f,
                    "  clear: {} {} from picture {}, {} pictures, {:.0} px",
                    leak.scene, leak.person, leak.first_frame, leak.frames, leak.width_px
                )?;
            }
            if policy.leaks.len() > 20 {
                writeln!(f, "  clear: {} runs more", policy.leaks.len() - 20)?;
            }
            if policy.all.clear_slivers > 0 {
                writeln!(
                    f,
                    "  of {} slivers (less than a quarter of a face in view) {} show",
                    policy.all.slivers, policy.all.clear_slivers
                )?;
            }
            if policy.all.unspecific_matches > 0 {
                writeln!(
                    f,
                    "  in {} asked pictures the recogniser said the same of another's veil: not counted",
                    policy.all.unspecific_matches
                )?;
            }
        }
        let ControlFigures { face_frames, clear_frames } = self.control;
        write!(f, "control (nobody veiled): {clear_frames} of {face_frames} clear")
    }
}

fn row(totals: &Totals, area: Option<f32>, cost: Option<CostFigures>) -> String {
    let percent = |share: Option<f64>| {
        share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}%", 100.0 * share))
    };
    let wait =
        totals.median_seconds_to_clearance.map_or_else(|| "-".to_owned(), |s| format!("{s:.1} s"));
    let mut row = format!(
        "{:>8} {:>6} {:>4} {:>8} {:>8} {:>7} {:>6}",
        totals.hidden_face_frames,
        totals.clear_frames,
        totals.longest_clear_run,
        totals.allowed_face_frames,
        percent(totals.needless_share),
        wait,
        percent(area.map(f64::from)),
    );
    if let Some(CostFigures { fps, cpu_ms, floor_cpu_ms, .. }) = cost {
        let ratio = cpu_ms / floor_cpu_ms.max(1e-9);
        let _ = write!(row, " {fps:>6.1} {cpu_ms:>5.1}/{floor_cpu_ms:.1} ms, {ratio:.2}");
    }
    row
}
