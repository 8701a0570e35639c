//! Records scenes, opens what came of them, and judges it.
//!
//! Belongs here: the order of work and its files. Does not belong: what counts as clear (`judge`),
//! figures (`tally`, `report`).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{
    EvalError,
    control::{self, Cost},
    judge::{self, Sight, Tolerance},
    pictures::Reader,
    plot::{self, Lane},
    record::{self, Recorded, Setup, software},
    report::{
        AllowedFigures, ControlFigures, HiddenFigures, Leak, PersonFigures, PolicyReport, Report,
        SceneFigures, Totals,
    },
    sheet::{self, Sheet},
    tally::{self, Moment, Spot, Tally},
    truth::{FaceTruth, FrameTruth, PersonEntry, Role, SceneEntry, SceneFiles, SceneSet},
};
use crate::{
    frame::{I420View, Rect},
    units::Pts,
    veil::policy::Policy,
    vision::{
        identify::{Embedder, Embedding},
        infer::VisionError,
    },
};

/// What to measure.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The folder of the scenes.
    pub scenes: PathBuf,
    /// Where results go; made where it is missing.
    pub out: PathBuf,
    /// Under which policies.
    pub policies: Vec<Policy>,
    /// Judge the finished videos `SCENE.mp4` in this folder instead of recording.
    pub videos: Option<PathBuf>,
    /// Every how many pictures a face is given to the recogniser; 1 for all.
    pub match_every: u32,
    /// Keep what was recorded, opened, as `SCENE-POLICY.mp4`.
    pub keep: bool,
}

/// What is being done.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The scene.
    pub scene: &'a str,
    /// The step, in a word.
    pub step: &'a str,
    /// Steps done and steps in all.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
}

/// Files that were written.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// The report as JSON, the plots and contact sheets.
    pub files: Vec<PathBuf>,
}

/// Measures every scene under every policy and writes report, plots and contact sheets.
pub fn run(
    setup: &Setup<'_>,
    options: &RunOptions,
    progress: impl FnMut(Progress<'_>),
) -> Result<(Report, Outputs), EvalError> {
    let set = SceneSet::load(&options.scenes)?;
    fs::create_dir_all(&options.out).map_err(EvalError::io(&options.out))?;
    let work = Work::create(&options.out)?;
    let mut run = Run::new(setup, options, &set, &work, progress)?;
    for scene in &set.scenes {
        run.scene(scene)?;
    }
    run.finish()
}

/// A folder for what is thrown away; it goes with this value.
struct Work(PathBuf);

impl Work {
    fn create(out: &Path) -> Result<Self, EvalError> {
        let path = out.join(format!(".work-{}", std::process::id()));
        fs::create_dir(&path).map_err(EvalError::io(&path))?;
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What cannot be removed holds public test faces only.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is gathered for one policy.
struct Gathered {
    policy: Policy,
    scenes: Vec<SceneFigures>,
    leaks: Vec<Leak>,
    lanes: Vec<Lane>,
    sheet: Sheet,
    cost: Cost,
    floor: Cost,
}

/// What the control says of one face in one picture.
struct Known {
    tolerance: Tolerance,
    /// What the recogniser sees in the source; none in pictures that are not compared.
    source: Option<Embedding>,
}

struct Run<'a, P> {
    setup: &'a Setup<'a>,
    options: &'a RunOptions,
    set: &'a SceneSet,
    work: &'a Work,
    progress: P,
    done: u64,
    embedder: Embedder,
    control: ControlFigures,
    gathered: Vec<Gathered>,
}

impl<'a, P: FnMut(Progress<'_>)> Run<'a, P> {
    fn new(
        setup: &'a Setup<'a>,
        options: &'a RunOptions,
        set: &'a SceneSet,
        work: &'a Work,
        progress: P,
    ) -> Result<Self, EvalError> {
        let gathered = options
            .policies
            .iter()
            .map(|&policy| Gathered {
                policy,
                scenes: Vec::new(),
                leaks: Vec::new(),
                lanes: Vec::new(),
                sheet: Sheet::default(),
                cost: Cost::default(),
                floor: Cost::default(),
            })
            .collect();
        let embedder = Embedder::new(setup.models, setup.threads)?;
        let control = ControlFigures::default();
        Ok(Self { setup, options, set, work, progress, done: 0, embedder, control, gathered })
    }

    fn step(&mut self, scene: &str, step: &str) -> Result<(), EvalError> {
        if self.setup.shutdown.is_requested() {
            return Err(EvalError::BrokenOff);
        }
        let total = self.set.scenes.len() as u64 * (1 + 2 * self.gathered.len() as u64);
        (self.progress)(Progress { scene, step, done: self.done, total });
        self.done += 1;
        Ok(())
    }

    fn scene(&mut self, scene: &SceneEntry) -> Result<(), EvalError> {
        let files = SceneFiles::of(&self.options.scenes, &scene.name);
        let truth = files.load_truth()?;
        self.step(&scene.name, "control")?;
        let control = self.work.path("control.mp4");
        let floor = control::encode(&files.video(), &control)?;
        let known = self.know(&files, &control, &truth)?;
        for at in 0..self.gathered.len() {
            let policy = self.gathered[at].policy;
            self.step(&scene.name, &format!("record {policy}"))?;
            let name = format!("{}-{policy}.mp4", scene.name);
            let (video, recorded) = if let Some(folder) = &self.options.videos {
                (folder.join(format!("{}.mp4", scene.name)), None)
            } else {
                let folder = if self.options.keep { &self.options.out } else { &self.work.0 };
                let (setup, video) = (self.setup, folder.join(name));
                let size = self.set.size();
                let recorded = record::record(setup, &files, size, policy, &self.work.0, &video)?;
                (video, Some(recorded))
            };
            self.step(&scene.name, &format!("judge {policy}"))?;
            let (people, veiled_area) = self.judge(at, scene, &files, &video, &truth, &known)?;
            let gathered = &mut self.gathered[at];
            let cost = recorded.map(|Recorded { cost, veiled_whole }| {
                gathered.cost = gathered.cost.plus(cost);
                gathered.floor = gathered.floor.plus(floor);
                cost.figures(floor, veiled_whole)
            });
            let frames = scene.frames;
            gathered.scenes.push(SceneFigures {
                scene: scene.name.clone(),
                frames,
                veiled_area,
                cost,
                people,
            });
        }
        Ok(())
    }

    /// Whether every face of a picture is given to the recogniser.
    fn compares(&self, frame: u64) -> bool {
        frame.is_multiple_of(u64::from(self.options.match_every.max(1)))
    }

    /// Looks at the source and at the control.
    fn know(
        &mut self,
        files: &SceneFiles,
        control: &Path,
        truth: &[FrameTruth],
    ) -> Result<Vec<Vec<Known>>, EvalError> {
        let least = self.setup.models.thresholds().compare_min_px;
        let mut known = Vec::with_capacity(truth.len());
        let mut before: &[FaceTruth] = &[];
        side_by_side(&files.video(), control, truth, |frame, source, control| {
            let mut faces = Vec::with_capacity(frame.faces.len());
            for face in &frame.faces {
                let tolerance = judge::tolerance(face, source, control);
                let same = judge::same(face, source, control, tolerance);
                self.control.face_frames += 1;
                let clear = Sight { same, likeness: None }.is_clear(f32::INFINITY);
                self.control.clear_frames += u64::from(clear);
                // Whoever comes into view is compared at once, or a face that is there for one picture
                // would hardly ever be.
                let is_new = before.iter().all(|other| other.person != face.person);
                let source = if is_new || self.compares(frame.frame) {
                    judge::describe(face, source, least, &mut self.embedder)?
                } else {
                    None
                };
                faces.push(Known { tolerance, source });
            }
            known.push(faces);
            before = &frame.faces;
            Ok(())
        })?;
        Ok(known)
    }

    /// Looks at the source and at what is to be judged; says how much of the pictures is covered, too.
    fn judge(
        &mut self,
        at: usize,
        scene: &SceneEntry,
        files: &SceneFiles,
        video: &Path,
        truth: &[FrameTruth],
        known: &[Vec<Known>],
    ) -> Result<(Vec<PersonFigures>, f32), EvalError> {
        let policy = self.gathered[at].policy;
        let thresholds = self.setup.models.thresholds();
        let roles: BTreeMap<&str, Role> =
            scene.people.iter().map(|p| (p.person.as_str(), p.role)).collect();
        let hides = |person: &str| roles.get(person).is_none_or(|role| must_hide(policy, *role));
        let mut moments: BTreeMap<&str, Vec<Option<Moment>>> =
            roles.keys().map(|&person| (person, vec![None; truth.len()])).collect();
        let (embedder, sheet) = (&mut self.embedder, &mut self.gathered[at].sheet);
        let mut covered = 0.0;
        side_by_side(&files.video(), video, truth, |frame, source, video| {
            covered += judge::covered(source, video);
            let number = usize::try_from(frame.frame).unwrap_or(usize::MAX);
            let hidden: Vec<(&str, Rect)> = frame
                .faces
                .iter()
                .filter(|f| hides(&f.person))
                .map(|f| (f.person.as_str(), f.rect()))
                .collect();
            for (face, known) in frame.faces.iter().zip(&known[number]) {
                let is_hidden = hides(&face.person);
                let same = judge::same(face, source, video, known.tolerance);
                let likeness = match &known.source {
                    Some(reference) if is_hidden => {
                        let others = frame
                            .faces
                            .iter()
                            .filter(|other| other.person != face.person && hides(&other.person));
                        judge::likeness(face, reference, others, video, &thresholds, embedder)?
                    }
                    _ => None,
                };
                let others: Vec<Rect> =
                    hidden.iter().filter(|h| h.0 != face.person).map(|h| h.1).collect();
                let moment = Moment {
                    width: face.rect().w,
                    visible: face.visible,
                    pixels: face.pixels,
                    sight: Sight { same, likeness },
                    shaded: tally::is_shaded(face, &others),
                };
                show_worst(
                    sheet,
                    &scene.name,
                    self.set.fps,
                    frame.frame,
                    face,
                    &moment,
                    is_hidden,
                    thresholds.refuse,
                    source,
                    video,
                );
                if let Some(moments) = moments.get_mut(face.person.as_str()) {
                    moments[number] = Some(moment);
                }
            }
            Ok(())
        })?;
        let gathered = &mut self.gathered[at];
        let mut people = Vec::new();
        for person in &scene.people {
            let Some(moments) = moments.get(person.person.as_str()) else { continue };
            let (figures, spots) = if must_hide(policy, person.role) {
                let Tally { figures, spots } = tally::hidden(moments, thresholds.refuse);
                gathered.leaks.extend(leaks(&scene.name, &person.person, moments, &spots));
                (PersonFigures { hidden: Some(figures), ..blank(person, moments) }, spots)
            } else {
                let Tally { figures, spots } = tally::allowed(moments, self.set.fps as f32);
                (PersonFigures { allowed: Some(figures), ..blank(person, moments) }, spots)
            };
            gathered.lanes.push(Lane {
                scene: scene.name.clone(),
                person: person.person.clone(),
                hides: figures.hidden.is_some(),
                spots,
            });
            people.push(figures);
        }
        Ok((people, covered / truth.len().max(1) as f32))
    }

    fn finish(self) -> Result<(Report, Outputs), EvalError> {
        let mut outputs = Outputs::default();
        let mut policies = Vec::new();
        let out = &self.options.out;
        for mut gathered in self.gathered {
            let policy = gathered.policy;
            let path = out.join(format!("plot-{policy}.svg"));
            let svg = plot::svg(&gathered.lanes, self.set.fps, &policy.to_string());
            fs::write(&path, svg).map_err(EvalError::io(&path))?;
            outputs.files.push(path);
            let path = out.join(format!("worst-{policy}.png"));
            if gathered.sheet.save(&path)? {
                outputs.files.push(path);
            }
            gathered.leaks.sort_by_key(|leak| std::cmp::Reverse(leak.frames));
            let recorded = gathered.cost.frames > 0;
            policies.push(PolicyReport {
                policy: policy.to_string(),
                all: Totals::of(&gathered.scenes, |_| true),
                held_out: Totals::of(&gathered.scenes, |person| person.held_out),
                fps: recorded.then(|| gathered.cost.fps()),
                cpu_ms: recorded.then(|| gathered.cost.cpu_ms(gathered.floor)),
                leaks: gathered.leaks,
                scenes: gathered.scenes,
            });
        }
        let report = Report {
            software: software(),
            seed: self.set.seed,
            size: [self.set.width, self.set.height],
            control: self.control,
            policies,
        };
        let path = out.join("report.json");
        let text = serde_json::to_string_pretty(&report)
            .map_err(|e| EvalError::BadScenes { path: path.clone(), problem: e.to_string() })?;
        fs::write(&path, text + "\n").map_err(EvalError::io(&path))?;
        outputs.files.push(path);
        Ok((report, outputs))
    }
}

/// Who has to be veiled under a policy.
fn must_hide(policy: Policy, role: Role) -> bool {
    match policy {
        Policy::Refused => role == Role::Refused,
        Policy::UnlessCleared => role != Role::Consented,
        Policy::Everyone => true,
    }
}

fn blank(person: &PersonEntry, moments: &[Option<Moment>]) -> PersonFigures {
    let widths = moments.iter().flatten().map(|m| m.width);
    let least = widths.clone().fold(f32::INFINITY, f32::min);
    PersonFigures {
        person: person.person.clone(),
        role: person.role,
        held_out: person.held_out,
        width_px: [if least.is_finite() { least } else { 0.0 }, widths.fold(0.0, f32::max)],
        hidden: None::<HiddenFigures>,
        allowed: None::<AllowedFigures>,
    }
}

/// The runs of clear pictures of one person.
fn leaks(scene: &str, person: &str, moments: &[Option<Moment>], spots: &[Spot]) -> Vec<Leak> {
    let mut leaks: Vec<Leak> = Vec::new();
    let mut before = Spot::Absent;
    for (number, (moment, &spot)) in (0u64..).zip(moments.iter().zip(spots)) {
        if let (Some(moment), Spot::Clear) = (moment, spot) {
            if before != Spot::Clear {
                leaks.push(Leak::new(scene, person, number, moment.width));
            }
            if let Some(leak) = leaks.last_mut() {
                let own = moment.sight.likeness.map(|found| found.own);
                leak.add(moment.sight.same, own);
            }
        }
        before = spot;
    }
    leaks
}

/// Offers one face to the contact sheet: the clearest of those that must not be seen first, then those
/// veiled without need.
#[expect(clippy::too_many_arguments, reason = "called once, with what the loop has in hand")]
fn show_worst(
    sheet: &mut Sheet,
    scene: &str,
    fps: u32,
    frame: u64,
    face: &FaceTruth,
    moment: &Moment,
    hides: bool,
    match_from: f32,
    source: &I420View<'_>,
    video: &I420View<'_>,
) {
    let sight = moment.sight;
    let cosine = sight.likeness.map_or(0.0, |found| found.own.max(0.0));
    let (badness, word) = if hides {
        let clear = sight.is_clear(match_from);
        let badness = f32::from(u8::from(clear)) * 10.0 + sight.same.max(cosine);
        (badness, if clear { "clear" } else { "veiled" })
    } else if sight.is_veiled() && !moment.shaded {
        ((1.0 - sight.same) * 0.1, "needless")
    } else {
        return;
    };
    let key = format!("{scene}/{}/{}", face.person, frame / u64::from(fps.max(1)));
    let label = format!("{scene} {} {frame} {word} {:.0}%", face.person, 100.0 * sight.same);
    sheet.offer(key, badness, || sheet::tile(&label, face.rect(), source, video));
}

/// Reads a scene and another video of it, picture by picture.
fn side_by_side<'t>(
    source: &Path,
    other: &Path,
    truth: &'t [FrameTruth],
    mut with: impl FnMut(&'t FrameTruth, &I420View<'_>, &I420View<'_>) -> Result<(), VisionError>,
) -> Result<(), EvalError> {
    let unlike = |problem: String| EvalError::Unlike { path: other.to_owned(), problem };
    let (mut a, mut b) = (Reader::open(source)?, Reader::open(other)?);
    let (want, have) = (a.format().size, b.format().size);
    if want != have {
        return Err(unlike(format!("its pictures are {have}, not {want}")));
    }
    let rate = a.format().framerate.map_or(30.0, |(n, d)| f64::from(n) / f64::from(d.max(1)));
    for frame in truth {
        let (Some(source), Some(video)) = (a.next()?, b.next()?) else {
            return Err(unlike(format!("it ends before picture {}", frame.frame)));
        };
        if apart(source.pts, video.pts) > 0.5 / rate {
            return Err(unlike(format!("picture {} has another time", frame.frame)));
        }
        with(frame, &source.view(), &video.view())?;
    }
    if a.next()?.is_some() || b.next()?.is_some() {
        return Err(unlike(format!("it goes on after picture {}", truth.len())));
    }
    Ok(())
}

/// Seconds between two times.
fn apart(a: Pts, b: Pts) -> f64 {
    (a.seconds() - b.seconds()).abs()
}
