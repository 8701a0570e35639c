//! How strong a veil is: an attacker who knows the class tries to name people behind it.
//!
//! The people are those of the sample media. Their faces are hidden as a recording hides them, by
//! the same [`Watcher`](crate::veil::watch::Watcher) and [`Redactor`], each take with a texture of its
//! own; and, to show that the attacker is a real one, by plain mosaics and blurs. It is told who everybody is
//! in the known takes, in which faces are hidden in the same way, and asked about held-out ones.
//! It compares faces with the recogniser, and trains a network on what it sees.
//!
//! Belongs here: the attacker and the class. Does not belong: anything that a recording needs.
//! Takes and training come from a seed; textures come from the operating system as always, so two
//! runs differ a little.

mod class;
mod coded;
mod face;
mod features;
mod gathered;
mod learn;
mod picture;
mod plain;
mod rng;
mod score;
mod sheet;

use std::path::PathBuf;

use serde::Serialize;

pub use score::Finding;

use self::{
    class::{Class, Take},
    coded::Film,
    face::describe,
    gathered::Gathered,
    picture::Picture,
    plain::Plain,
    rng::Rng,
    score::Tally,
    sheet::{CELLS, Page, Place, Press, SIZE},
};
use crate::{
    capture::CaptureError,
    encode::{EncodeError, FRAMES_HELD},
    error::{ErrorKind, Kind},
    frame::{Frame, FrameSize, I420View, Raw, Slot, SlotPool},
    units::Pts,
    veil::{
        Style,
        redact::{PixelRect, Redacted, Redactor},
        watch,
    },
    vision::{
        Eyes,
        infer::{Models, VisionError},
    },
};

/// A real attacker names at least this share behind some plain mosaic or blur.
pub const REAL: f64 = 0.80;
/// Frames of a take of which the attacker reads pixels.
const VIEWS: [usize; 3] = [1, 4, 7];
/// The frame of a take in which faces are compared.
const COMPARED: usize = 4;
/// Known takes of each person whose faces are kept as references.
const REFERENCES: usize = 6;
/// Coded pictures are read this far inside a region too: no block or filter of one picture that touches
/// the region's edge reaches beyond it. Prediction from the picture before may.
const CORE_PX: usize = 16;

/// What is tried besides veil and fill.
const PLAIN: [(&str, Plain); 5] = [
    ("mosaic, 20 px", Plain::Tiles(20)),
    ("mosaic, 8 x 8", Plain::Cells(8)),
    ("mosaic, 6 x 6", Plain::Cells(6)),
    ("blur, 0.06 w", Plain::Blur(0.06)),
    ("blur, 0.10 w", Plain::Blur(0.10)),
];
const VEILS: [(&str, Style); 2] = [("veil", Style::Veil), ("fill", Style::Fill)];

/// How much is tried.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder with the sample media.
    pub samples: PathBuf,
    /// How frames are looked at. What is covered is always the head.
    pub watch: watch::Settings,
    /// Where takes and training come from.
    pub seed: u64,
    /// Takes of each person that the attacker knows.
    pub known: usize,
    /// Takes of each person that it is asked about.
    pub asked: usize,
}

/// What cannot be attacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttackError {
    /// A photo cannot be read.
    #[error("cannot read sample photo {path}: run `make setup`, or give --samples DIR")]
    Photo {
        /// The photo.
        path: PathBuf,
        /// What the decoder said.
        source: image::ImageError,
    },
    /// A sample does not show the people it should.
    #[error("{path} does not show {wanted} faces: run `make setup`, or give --samples DIR")]
    NoFaces {
        /// The photo or clip.
        path: PathBuf,
        /// How many people are in it.
        wanted: usize,
    },
    /// Too few takes to learn or ask anything.
    #[error("nothing to attack: use at least one known and one asked take")]
    NoTakes,
    /// A clip cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The models fail, or a view cannot be drawn.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// Veiled pictures cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A sheet does not fit its slot.
    #[error("a sheet of {size} does not fit its slot: this is a fault of classveil")]
    Size {
        /// The sheet's size.
        size: FrameSize,
    },
    /// Pictures went missing between encoder and decoder.
    #[error("{wanted} pictures were encoded and {found} came back: this is a fault of classveil")]
    Frames {
        /// Encoded.
        wanted: u64,
        /// Decoded.
        found: u64,
    },
    /// There is no memory for the coded pictures.
    #[error("no memory for the coded pictures: try fewer takes")]
    Memory(#[source] std::io::Error),
}

impl Kind for AttackError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Photo { source: image::ImageError::IoError(error), .. } => {
                ErrorKind::of_io(error)
            }
            Self::Photo { .. } | Self::NoFaces { .. } => ErrorKind::DataLoss,
            Self::NoTakes => ErrorKind::Usage,
            Self::Capture(error) => error.kind(),
            Self::Vision(error) => error.kind(),
            Self::Encode(error) => error.kind(),
            Self::Size { .. } | Self::Frames { .. } => ErrorKind::Bug,
            Self::Memory(_) => ErrorKind::Exhausted,
        }
    }
}

/// What a row of the report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A veil of this program: nobody may be named.
    Veil,
    /// Nothing hidden, or a plain mosaic or blur: shows what the attacker can do.
    Control,
    /// What is visible beside every veil. It may name people, and no veil changes that.
    Residual,
}

/// One attack on one way of hiding faces.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What the row is about.
    pub role: Role,
    /// How faces are hidden.
    pub hidden_by: &'static str,
    /// What the attacker does.
    pub attack: &'static str,
    /// How many persons it could name.
    pub people: usize,
    /// Takes it was asked about.
    pub takes: u32,
    /// Takes it gave the right name.
    pub named: u32,
    /// The same as a share.
    pub share: f64,
    /// Lower end of the 95% interval (Wilson).
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// What always saying the same name would reach.
    pub chance: f64,
    /// What that says.
    pub finding: Finding,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where takes and training came from.
    pub seed: u64,
    /// People in the class.
    pub people: usize,
    /// Those of them who were filmed: their held-out views are of another time.
    pub filmed: usize,
    /// Takes that were asked about.
    pub takes: usize,
    /// All attacks.
    pub rows: Vec<Row>,
}

impl Report {
    /// The largest share named behind a plain mosaic or blur.
    #[must_use]
    pub fn strength(&self) -> f64 {
        let controls = self.rows.iter().filter(|r| r.role == Role::Control && r.hidden_by != CLEAR);
        controls.map(|r| r.share).fold(0.0, f64::max)
    }

    /// Whether the attacker is a real one, so that what it does not find says something.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.strength() >= REAL
    }

    /// Attacks that named people behind a veil.
    pub fn broken(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|r| r.role == Role::Veil && r.finding == Finding::Named)
    }
}

const CLEAR: &str = "nothing";

/// Runs all attacks. `progress` hears how many of how many sheets were drawn, then how many of how
/// many attacks were made.
pub fn run(
    models: &Models,
    settings: &Settings,
    progress: &mut dyn FnMut(&'static str, usize, usize),
) -> Result<Report, AttackError> {
    if settings.known == 0 || settings.asked == 0 {
        return Err(AttackError::NoTakes);
    }
    let mut eyes = Eyes::for_photos(models)?;
    let class = Class::load(&settings.samples, &mut eyes.detector)?;
    let mut rng = Rng::new(settings.seed);
    let takes = plan(&class, settings, &mut rng);
    let mut attacker =
        Attacker::new(&class, eyes, Press::new(models, settings.watch, Rng::new(rng.next()))?)?;
    let sheets = takes.len().div_ceil(CELLS);
    for (i, takes) in takes.chunks(CELLS).enumerate() {
        progress("sheets", i, sheets);
        attacker.watch(takes)?;
    }
    progress("sheets", sheets, sheets);
    let rows = attacker.attack(&takes, &mut rng, progress)?;
    let people = class.people.len();
    Ok(Report {
        seed: settings.seed,
        people,
        filmed: (0..people).filter(|&p| class.is_filmed(p)).count(),
        takes: takes.iter().filter(|take| !take.known).count(),
        rows,
    })
}

/// All takes in an order that tells nothing.
fn plan(class: &Class, settings: &Settings, rng: &mut Rng) -> Vec<Take> {
    let mut takes = Vec::new();
    for person in 0..class.people.len() {
        for i in 0..settings.known + settings.asked {
            takes.extend(class.take(person, i < settings.known, rng));
        }
    }
    rng.shuffle(&mut takes);
    takes
}

/// Gathers what every attack needs, sheet by sheet.
struct Attacker<'a> {
    class: &'a Class,
    eyes: Eyes,
    press: Press,
    pool: SlotPool,
    /// For each veil, a film as recorded and one with nothing but the regions in it.
    films: Vec<[Film; 2]>,
    clear: Gathered,
    veils: Vec<Gathered>,
    plain: Vec<Gathered>,
    around: Gathered,
    proportions: Gathered,
    motion: Gathered,
    /// For each frame of the films, the regions of its sheet.
    places: Vec<Vec<Option<Place>>>,
    references: Vec<usize>,
}

impl<'a> Attacker<'a> {
    fn new(class: &'a Class, eyes: Eyes, press: Press) -> Result<Self, AttackError> {
        let some = |count: usize| (0..count).map(|_| Gathered::default()).collect();
        Ok(Self {
            class,
            eyes,
            press,
            // Each encoder keeps some; one is in work.
            pool: SlotPool::new(SIZE, 2 * VEILS.len() * FRAMES_HELD + 2),
            films: VEILS
                .iter()
                .map(|_| Ok([Film::start()?, Film::start()?]))
                .collect::<Result<_, AttackError>>()?,
            clear: Gathered::default(),
            veils: some(VEILS.len()),
            plain: some(PLAIN.len()),
            around: Gathered::default(),
            proportions: Gathered::default(),
            motion: Gathered::default(),
            places: Vec::new(),
            references: vec![0; class.people.len()],
        })
    }

    /// Draws one sheet, hides the faces in every way, and keeps what the attacker reads.
    fn watch(&mut self, takes: &[Take]) -> Result<(), AttackError> {
        let pages = self.press.sheet(self.class, takes)?;
        let compared: Vec<bool> = takes.iter().map(|take| self.is_compared(take)).collect();
        let mut views = vec![Views::default(); takes.len()];
        let mut redactors = VEILS.map(|(_, style)| Redactor::new(style));
        for (nth, page) in pages.iter().enumerate() {
            let read = VIEWS.contains(&nth);
            let compare = nth == COMPARED;
            if compare {
                let picture = page.picture.view();
                keep_faces(&mut self.eyes, &mut self.clear, takes, &compared, page, &picture)?;
            }
            let mut lonely = page.picture.clone();
            lonely.blank_outside(page.places.iter().flatten().map(|place| place.region));
            for (i, redactor) in redactors.iter_mut().enumerate() {
                let frame = veiled(&self.pool, redactor, page, &page.picture)?;
                if read {
                    read_inside(&mut views, page, &frame.planes(), |v| &mut v.veils[i]);
                }
                if compare {
                    let (eyes, into) = (&mut self.eyes, &mut self.veils[i]);
                    keep_faces(eyes, into, takes, &compared, page, &frame.planes())?;
                }
                let [film, alone] = &mut self.films[i];
                film.push(frame)?;
                alone.push(veiled(&self.pool, redactor, page, &lonely)?)?;
            }
            if read {
                for (i, (_, plain)) in PLAIN.iter().enumerate() {
                    let mut picture = page.picture.clone();
                    for place in page.places.iter().flatten() {
                        plain.apply(&mut picture, place.region, place.face_px);
                    }
                    read_inside(&mut views, page, &picture.view(), |v| &mut v.plain[i]);
                    if compare {
                        let (eyes, into) = (&mut self.eyes, &mut self.plain[i]);
                        keep_faces(eyes, into, takes, &compared, page, &picture.view())?;
                    }
                }
                for (place, views) in page.places.iter().zip(&mut views) {
                    if let Some(place) = place {
                        views.around.push(features::around(&page.picture.view(), place.region));
                    }
                }
            }
            for (place, views) in page.places.iter().zip(&mut views) {
                views.regions.extend(place.map(|p| p.region));
            }
        }
        self.places.extend(pages.into_iter().map(|page| page.places));
        for (take, views) in takes.iter().zip(views) {
            let into = self.veils.iter_mut().chain(&mut self.plain);
            for (gathered, views) in into.zip(views.veils.into_iter().chain(views.plain)) {
                gathered.add(take, views);
            }
            self.around.add(take, views.around);
            if views.regions.len() == class::FRAMES {
                self.proportions.add(take, vec![features::proportions(&views.regions)]);
                self.motion.add(take, vec![features::motion(&views.regions)]);
            }
        }
        Ok(())
    }

    /// Whether the recogniser looks at a take: all asked ones, and of the known ones a few.
    fn is_compared(&mut self, take: &Take) -> bool {
        if take.known {
            self.references[take.person] += 1;
        }
        !take.known || self.references[take.person] <= REFERENCES
    }

    /// Makes all attacks.
    fn attack(
        mut self,
        takes: &[Take],
        rng: &mut Rng,
        progress: &mut dyn FnMut(&'static str, usize, usize),
    ) -> Result<Vec<Row>, AttackError> {
        let people = self.class.people.len();
        let total = 4 * VEILS.len() + PLAIN.len() + 6;
        let mut done = 0;
        let mut next = || {
            done += 1;
            progress("attacks", done, total);
        };
        let mut rows = Vec::new();
        let clear = &self.clear.references;
        rows.push(row(Role::Control, CLEAR, BY_FACE, people, self.clear.compare(clear, people)));
        next();
        let ways = VEILS.map(|(name, _)| (Role::Veil, name)).into_iter();
        let ways = ways.chain(PLAIN.map(|(name, _)| (Role::Control, name)));
        for ((role, name), gathered) in ways.zip(self.veils.iter().chain(&self.plain)) {
            let of = |attack, result| row(role, name, attack, people, result);
            rows.push(of(BY_FACE, gathered.compare(clear, people)));
            rows.push(of(BY_VEILED_FACE, gathered.compare(&gathered.references, people)));
            rows.push(of(BY_NET, gathered.learn(people, rng)));
            next();
        }
        for ((name, _), [film, alone]) in VEILS.into_iter().zip(std::mem::take(&mut self.films)) {
            let [whole, core] = self.read_film(film, takes)?;
            let [only, _] = self.read_film(alone, takes)?;
            for (role, attack, gathered) in [
                (Role::Veil, BY_CODED_ALONE, only),
                (Role::Veil, BY_CODED_CORE, core),
                (Role::Residual, BY_CODED, whole),
            ] {
                rows.push(row(role, name, attack, people, gathered.learn(people, rng)));
                next();
            }
        }
        let filmed = (0..people).filter(|&p| self.class.is_filmed(p)).count();
        for (attack, attack_filmed, of_all) in [
            (BY_PROPORTIONS, BY_PROPORTIONS_FILMED, &self.proportions),
            (BY_MOTION, BY_MOTION_FILMED, &self.motion),
        ] {
            let named = of_all.learn(people, rng);
            rows.push(row(Role::Residual, ANY, attack, people, named));
            next();
            let named = of_all.only(|person| self.class.is_filmed(person)).learn(people, rng);
            rows.push(row(Role::Residual, ANY, attack_filmed, filmed, named));
            next();
        }
        rows.push(row(Role::Residual, ANY, BY_AROUND, people, self.around.learn(people, rng)));
        next();
        Ok(rows)
    }

    /// What the attacker reads of a coded film: whole regions, and their cores.
    fn read_film(&self, film: Film, takes: &[Take]) -> Result<[Gathered; 2], AttackError> {
        let mut views = vec![[Vec::new(), Vec::new()]; takes.len()];
        film.show(|seq, picture| {
            let seq = usize::try_from(seq).unwrap_or(usize::MAX);
            let (sheet, nth) = (seq / class::FRAMES, seq % class::FRAMES);
            let Some(places) = self.places.get(seq).filter(|_| VIEWS.contains(&nth)) else {
                return;
            };
            for (place, [whole, core]) in places.iter().zip(&mut views[sheet * CELLS..]) {
                let Some(Place { region, .. }) = place else { continue };
                whole.push(features::inside(picture, *region));
                core.push(features::inside(picture, core_of(*region)));
            }
        })?;
        let mut gathered = [Gathered::default(), Gathered::default()];
        for (take, views) in takes.iter().zip(views) {
            for (gathered, views) in gathered.iter_mut().zip(views) {
                gathered.add(take, views);
            }
        }
        Ok(gathered)
    }
}

const BY_FACE: &str = "recogniser, clear references";
const BY_VEILED_FACE: &str = "recogniser, hidden references";
const BY_NET: &str = "trained on the region";
const BY_CODED_ALONE: &str = "the same after x264, nothing around it";
const BY_CODED_CORE: &str = "the same after x264, 16 px from its edge";
const BY_CODED: &str = "trained on the region after x264";
const BY_PROPORTIONS: &str = "trained on the region's proportions";
const BY_PROPORTIONS_FILMED: &str = "its proportions, people in clips only";
const BY_MOTION: &str = "trained on how the region moves";
const BY_MOTION_FILMED: &str = "how it moves, people in clips only";
const BY_AROUND: &str = "trained on what is around the region";
const ANY: &str = "any veil";

fn row(
    role: Role,
    hidden_by: &'static str,
    attack: &'static str,
    people: usize,
    (tally, chance): (Tally, f64),
) -> Row {
    let (low, high) = tally.interval();
    Row {
        role,
        hidden_by,
        attack,
        people,
        takes: tally.tries,
        named: tally.named,
        share: tally.share(),
        low,
        high,
        chance,
        finding: tally.finding(chance),
    }
}

/// A picture as a frame that a camera would give.
fn fill(mut slot: Slot, picture: &Picture, seq: u64, pts: Pts) -> Result<Frame<Raw>, AttackError> {
    slot.fill(&picture.view()).map_err(|size| AttackError::Size { size })?;
    Ok(Frame::new(slot, seq, pts))
}

/// Hides a sheet as a recording does.
fn veiled(
    pool: &SlotPool,
    redactor: &mut Redactor,
    page: &Page,
    picture: &Picture,
) -> Result<Frame<Redacted>, AttackError> {
    let frame = fill(pool.take(), picture, page.seq, sheet::time_of(page.seq))?;
    Ok(redactor.redact(frame, Some(&page.verdict)))
}

/// What is read of one take.
#[derive(Clone, Default)]
struct Views {
    veils: [Vec<Vec<f32>>; VEILS.len()],
    plain: [Vec<Vec<f32>>; PLAIN.len()],
    around: Vec<Vec<f32>>,
    regions: Vec<PixelRect>,
}

fn read_inside(
    views: &mut [Views],
    page: &Page,
    picture: &I420View<'_>,
    of: impl Fn(&mut Views) -> &mut Vec<Vec<f32>>,
) {
    for (place, views) in page.places.iter().zip(views) {
        if let Some(place) = place {
            of(views).push(features::inside(picture, place.region));
        }
    }
}

/// Describes the faces of the takes that are compared; known ones become references.
fn keep_faces(
    eyes: &mut Eyes,
    into: &mut Gathered,
    takes: &[Take],
    compared: &[bool],
    page: &Page,
    picture: &I420View<'_>,
) -> Result<(), AttackError> {
    for ((take, &compared), place) in takes.iter().zip(compared).zip(&page.places) {
        let Some(place) = place.filter(|_| compared) else { continue };
        let described = describe(eyes, picture, &place)?;
        if take.known {
            into.references.extend(described.map(|embedding| (take.person, embedding)));
        } else {
            into.probes.push((take.person, described));
        }
    }
    Ok(())
}

fn core_of(region: PixelRect) -> PixelRect {
    let inner = PixelRect {
        x0: region.x0 + CORE_PX,
        y0: region.y0 + CORE_PX,
        x1: region.x1.saturating_sub(CORE_PX),
        y1: region.y1.saturating_sub(CORE_PX),
    };
    if inner.x0 + 2 < inner.x1 && inner.y0 + 2 < inner.y1 { inner } else { region }
}
