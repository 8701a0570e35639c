//! The pupil list: rows with meaning, read from CSV with every problem found at once.
//!
//! Belongs here: columns, the rules that hold between rows, standing on a day, the version. Does not
//! belong: the text's shape (`table`), photos' pixels ([`super::photo`]), keeping it
//! ([`super::store`]).

use std::{
    collections::BTreeMap,
    fmt::Write,
    io::Read,
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, civil::Date};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{
    date,
    face::{Enroller, Turn},
    fault::{Fault, ListProblems, Notice, Position, Problem, Remark},
    gallery,
    photo::{Photo, PhotoDigest},
    seat::{self, Marker, Seat},
    table::{self, Cell, Row},
};
use crate::{
    error::{ErrorKind, Kind},
    units::{ClassId, PupilId},
    vision::identify::{Embedding, Gallery, Standing},
};

/// Every column's name; the first four are required.
pub const COLUMNS: [&str; 8] =
    ["pupil_id", "class", "status", "since", "photos", "seat", "marker", "reference"];
const REQUIRED: usize = 4;

/// Largest list: a school of a thousand pupils needs 100 KiB.
const MAX_BYTES: u64 = 4 << 20;

/// Longest reference, in characters.
const MAX_REFERENCE: usize = 64;

/// What the list says of a person, whatever the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// May not be seen.
    Refused,
    /// May be seen, from `since` on.
    Consented,
    /// A teacher: may be seen, from `since` on.
    Staff,
}

impl Status {
    /// The word that the list uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Consented => "consented",
            Self::Staff => "staff",
        }
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        [Self::Refused, Self::Consented, Self::Staff]
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or(Fault::BadStatus)
    }
}

/// What the list says of one person.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which class.
    pub class: ClassId,
    /// What was decided.
    pub status: Status,
    /// From which day on. A refusal counts at once, whatever the day.
    pub since: Date,
    /// Reference photos, ordered by digest.
    pub photos: Vec<Photo>,
    /// Seats, ordered by camera, at most one for each.
    pub seats: Vec<Seat>,
    /// A worn marker.
    pub marker: Option<Marker>,
    /// Where the decision is filed.
    pub reference: Option<String>,
    /// Where the row begins; nowhere for a stored list.
    pub(super) at: Option<Position>,
}

impl Entry {
    /// What holds on the day `today`.
    #[must_use]
    pub fn standing(&self, today: Date) -> Standing {
        match self.status {
            Status::Refused => Standing::Refused,
            _ if self.since > today => Standing::NotYet,
            Status::Consented => Standing::Consented,
            Status::Staff => Standing::Staff,
        }
    }
}

/// A list in which nothing is wrong, applied to one day.
#[derive(Clone, Debug)]
pub struct PupilList {
    pub(super) people: BTreeMap<PupilId, Entry>,
    pub(super) today: Date,
    /// The file it was read from; none for a stored list.
    pub(super) path: Option<PathBuf>,
}

/// What is applied to a list while it is read.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The day for which standings hold.
    pub today: Date,
    /// An older photo is warned of, and tells its pupil apart less well.
    pub photo_age: SignedDuration,
}

impl From<Date> for Rules {
    fn from(today: Date) -> Self {
        Self::on(today)
    }
}

impl Rules {
    /// The rules of `today`, with photos warned of after a year: matchers score lower on children
    /// after six months already.
    #[must_use]
    pub const fn on(today: Date) -> Self {
        Self { today, photo_age: SignedDuration::from_hours(365 * 24) }
    }
}

/// Reads and checks a list, photos included, without looking for faces.
///
/// # Errors
/// Everything that is wrong with it, in file order.
pub fn read(path: &Path, today: Date) -> Result<(PupilList, Vec<Notice>), ListProblems> {
    let Finished { list, notices, .. } = Draft::open(path, Rules::on(today))?.finish()?;
    Ok((list, notices))
}

/// A list with photos without an impact assessment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this list has photos, and comparing faces is processing of biometric data, so record your data \
     protection impact assessment first: give its reference with --dpia REF or as `[biometrics] \
     dpia = \"REF\"` in the configuration, or do without comparing: the policy everyone veils all faces \
     and needs no photo, and with a list without photos unless-cleared veils all but those who stay \
     in the seat that the list gives them"
)]
pub struct NoDpia;

impl Kind for NoDpia {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Config
    }
}

/// The impact assessment's reference, if it says anything: what faces may be compared under.
pub fn require_dpia(reference: Option<&str>) -> Result<&str, NoDpia> {
    reference.map(str::trim).filter(|r| r.chars().any(char::is_alphanumeric)).ok_or(NoDpia)
}

impl PupilList {
    /// Everyone, by pseudonym.
    #[must_use]
    pub fn people(&self) -> &BTreeMap<PupilId, Entry> {
        &self.people
    }

    /// Who is listed for `class`; everybody where none is named.
    pub fn ids_of<'a>(&'a self, class: Option<&'a ClassId>) -> impl Iterator<Item = &'a PupilId> {
        let of = move |entry: &Entry| class.is_none_or(|class| entry.class == *class);
        self.people.iter().filter(move |(_, entry)| of(entry)).map(|(id, _)| id)
    }

    /// The day for which standings hold.
    #[must_use]
    pub fn today(&self) -> Date {
        self.today
    }

    /// Whether anybody has a photo, so that faces would be compared.
    #[must_use]
    pub fn has_photos(&self) -> bool {
        self.people.values().any(|e| !e.photos.is_empty())
    }

    /// Refusing pupils from whom nobody can be told apart: with any of them the policy `refused`
    /// must act as `unless-cleared`.
    pub fn refused_without_photo(&self) -> impl Iterator<Item = &PupilId> {
        self.people
            .iter()
            .filter(|(_, e)| e.status == Status::Refused && e.photos.is_empty())
            .map(|(id, _)| id)
    }

    /// How many have `status`.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.people.values().filter(|e| e.status == status).count()
    }

    /// Every seat with its owner and what holds for the owner: of a refused pupil an extra veiled
    /// zone, of a cleared one a place that clears.
    pub fn seats(&self) -> impl Iterator<Item = (&PupilId, Standing, &Seat)> {
        self.people
            .iter()
            .map(|(id, e)| (id, e.standing(self.today), &e.seats))
            .flat_map(|(id, standing, seats)| seats.iter().map(move |s| (id, standing, s)))
    }

    /// Every marker with its wearer and what holds for the wearer.
    pub fn markers(&self) -> impl Iterator<Item = (Marker, &PupilId, Standing)> {
        self.people.iter().filter_map(|(id, e)| Some((e.marker?, id, e.standing(self.today))))
    }

    /// What the recogniser compares against, made from the photos where they lie.
    ///
    /// # Errors
    /// Every photo without one clear and usable face; a photo that changed since the list was read.
    pub fn gallery(&self, enroller: &mut Enroller<'_>) -> Result<Gallery, ListProblems> {
        let mut problems = vec![];
        let mut references = BTreeMap::new();
        for (id, entry) in &self.people {
            for photo in &entry.photos {
                match gallery::embed(photo, enroller)? {
                    Ok(reference) => {
                        let own = references.entry(id.clone()).or_insert_with(Vec::new);
                        own.push(reference.embedding);
                    }
                    Err(fault) => {
                        let at = photo.origin.as_ref().map_or(Position::START, |o| o.at);
                        problems.push(Problem::new(at, fault));
                    }
                }
            }
        }
        if problems.is_empty() {
            let Rules { photo_age, .. } = Rules::on(self.today);
            return Ok(gallery::assemble(self, references, photo_age));
        }
        problems.sort_by_key(|p| p.at);
        Err(ListProblems::Wrong { path: self.path.clone().unwrap_or_default(), problems })
    }

    /// The list's version: HMAC-SHA256 over its canonical form, as 64 hexadecimal digits. Keyed, so
    /// that who reads a manifest cannot try out lists. The same people have the same version
    /// whatever the separator, the order of the rows or the names of the photo files.
    #[must_use]
    pub fn version(&self, key: &[u8; 32]) -> String {
        // A key shorter than the hash's block is filled up with zeros (RFC 2104, section 2).
        let mut block = [0; 64];
        block[..key.len()].copy_from_slice(key);
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
        mac.update(self.canonical().as_bytes());
        mac.finalize().into_bytes().iter().fold(String::new(), |mut hex, b| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{b:02x}");
            hex
        })
    }

    /// The canonical form: JSON without white space, people by pseudonym, photos by digest.
    #[must_use]
    pub fn canonical(&self) -> String {
        let people = self.rows();
        // Strings, numbers and lists always have a JSON form.
        serde_json::to_string(&Canonical { format: 1, people }).unwrap_or_default()
    }

    pub(super) fn rows(&self) -> Vec<CanonicalRow> {
        self.people.iter().map(|(id, e)| CanonicalRow::new(id, e)).collect()
    }
}

#[derive(Serialize)]
struct Canonical {
    format: u32,
    people: Vec<CanonicalRow>,
}

/// One person as stored and as digested. Changing its fields changes every version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CanonicalRow {
    pub(super) pupil: PupilId,
    pub(super) class: ClassId,
    pub(super) status: Status,
    pub(super) since: Date,
    pub(super) photos: Vec<String>,
    pub(super) seats: Vec<Seat>,
    pub(super) marker: Option<Marker>,
    pub(super) reference: Option<String>,
}

impl CanonicalRow {
    fn new(pupil: &PupilId, entry: &Entry) -> Self {
        Self {
            pupil: pupil.clone(),
            class: entry.class.clone(),
            status: entry.status,
            since: entry.since,
            photos: entry.photos.iter().map(|p| p.digest.to_string()).collect(),
            seats: entry.seats.clone(),
            marker: entry.marker,
            reference: entry.reference.clone(),
        }
    }
}

/// A list on its way: everything read that can be, everything wrong noted.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    rules: Rules,
    problems: Vec<Problem>,
    notices: Vec<Notice>,
    rows: Vec<DraftRow>,
}

/// One row. Its photos are kept even where another field is wrong, so that every face is looked at.
#[derive(Debug)]
struct DraftRow {
    id: Option<PupilId>,
    entry: Option<Entry>,
    photos: Vec<Photo>,
    references: Vec<Embedding>,
}

/// What a draft becomes.
#[derive(Debug)]
pub struct Finished {
    /// The list.
    pub list: PupilList,
    /// What to compare against; without references unless the draft was enrolled.
    pub gallery: Gallery,
    /// What the operator should know.
    pub notices: Vec<Notice>,
}

impl Draft {
    /// Reads everything but faces.
    ///
    /// # Errors
    /// The file cannot be read; what is wrong in it is kept for [`Draft::finish`].
    pub fn open(path: &Path, rules: Rules) -> Result<Self, ListProblems> {
        let unreadable = |source| ListProblems::Unreadable { path: path.to_owned(), source };
        let mut bytes = vec![];
        // Asked before opening: opening a pipe would wait for ever.
        let what = std::fs::metadata(path).map_err(unreadable)?;
        if !what.is_file() && !what.is_dir() {
            let kind = std::io::ErrorKind::InvalidInput;
            return Err(unreadable(std::io::Error::new(kind, "it is no ordinary file")));
        }
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new(".")).canonicalize().map_err(unreadable)?;
        Ok(Self::parse(path, &folder, &bytes, rules))
    }

    fn parse(path: &Path, folder: &Path, bytes: &[u8], rules: Rules) -> Self {
        let mut draft =
            Self { path: path.to_owned(), rules, problems: vec![], notices: vec![], rows: vec![] };
        if let Err(problem) = draft.fill(folder, bytes) {
            draft.problems.push(problem);
        }
        draft
    }

    fn fill(&mut self, folder: &Path, bytes: &[u8]) -> Result<(), Problem> {
        let at_start = |fault| Problem::new(Position::START, fault);
        if bytes.len() as u64 > MAX_BYTES {
            return Err(at_start(Fault::TooLarge { limit_mib: MAX_BYTES >> 20 }));
        }
        let text = table::decode(bytes)?;
        if text.cp1252 {
            self.notice(Position::START, Remark::Cp1252);
        }
        if text.text.trim().is_empty() {
            return Err(at_start(Fault::Empty));
        }
        let mut table = table::split(&text.text, &COLUMNS)?;
        self.problems.append(&mut table.problems);
        let mut rows = table.rows.into_iter().filter(|r| !r.is_blank());
        let Some(header) = rows.next() else {
            return if self.problems.is_empty() { Err(at_start(Fault::Empty)) } else { Ok(()) };
        };
        let columns = Columns::read(&header, &mut self.problems)?;
        let mut seen = Seen::default();
        for row in rows {
            let row = RowReader { columns: &columns, folder, row: &row, problems: vec![] };
            let row = row.read(&mut seen, &mut self.problems);
            self.rows.push(row);
        }
        if self.rows.is_empty() && self.problems.is_empty() {
            return Err(Problem::new(header.end, Fault::NoRows));
        }
        Ok(())
    }

    fn notice(&mut self, at: Position, remark: Remark) {
        self.notices.push(Notice { path: self.path.clone(), at, remark });
    }

    /// Whether any row, good or bad, names a photo that can be read.
    #[must_use]
    pub fn has_photos(&self) -> bool {
        self.rows.iter().any(|r| !r.photos.is_empty())
    }

    /// Looks whether every photo has one clear face that can be compared, without describing whose
    /// it is.
    ///
    /// # Errors
    /// A model failed.
    pub fn examine(&mut self, enroller: &mut Enroller<'_>) -> Result<(), ListProblems> {
        let mut turned = vec![];
        for photo in self.rows.iter().flat_map(|r| &r.photos) {
            let Some(origin) = &photo.origin else { continue };
            let fault = match photo.picture() {
                Ok(picture) => match enroller.examine(&picture)? {
                    Ok(turn) => {
                        turned.extend(turn.map(|turn| turned_remark(photo, turn)));
                        continue;
                    }
                    Err(unclear) => unclear.of(&origin.name),
                },
                Err(fault) => fault,
            };
            self.problems.push(Problem::new(origin.at, fault));
        }
        for (at, remark) in turned {
            self.notice(at, remark);
        }
        Ok(())
    }

    /// Makes the reference embedding of every photo.
    ///
    /// # Errors
    /// A model failed.
    pub fn enrol(&mut self, enroller: &mut Enroller<'_>) -> Result<(), ListProblems> {
        let mut turned = vec![];
        for row in &mut self.rows {
            for photo in &row.photos {
                match gallery::embed(photo, enroller)? {
                    Ok(reference) => {
                        turned.extend(reference.turn.map(|turn| turned_remark(photo, turn)));
                        row.references.push(reference.embedding);
                    }
                    Err(fault) => {
                        let at = photo.origin.as_ref().map_or(Position::START, |o| o.at);
                        self.problems.push(Problem::new(at, fault));
                    }
                }
            }
        }
        for (at, remark) in turned {
            self.notice(at, remark);
        }
        Ok(())
    }

    /// The list, if nothing is wrong with it.
    ///
    /// # Errors
    /// Everything that is wrong with it, in file order.
    pub fn finish(mut self) -> Result<Finished, ListProblems> {
        if !self.problems.is_empty() {
            self.problems.sort_by_key(|p| p.at);
            return Err(ListProblems::Wrong { path: self.path, problems: self.problems });
        }
        let mut people = BTreeMap::new();
        let mut references = BTreeMap::new();
        for row in std::mem::take(&mut self.rows) {
            if let (Some(id), Some(entry)) = (row.id, row.entry) {
                references.insert(id.clone(), row.references);
                people.insert(id, entry);
            }
        }
        let list = PupilList { people, today: self.rules.today, path: Some(self.path.clone()) };
        self.remark_on(&list);
        for (at, remark) in gallery::remarks(&list, &references) {
            self.notice(at, remark);
        }
        self.notices.sort_by_key(|n| n.at);
        let gallery = gallery::assemble(&list, references, self.rules.photo_age);
        Ok(Finished { list, gallery, notices: self.notices })
    }

    fn remark_on(&mut self, list: &PupilList) {
        let Rules { today, photo_age } = self.rules;
        for entry in list.people.values() {
            let at = entry.at.unwrap_or(Position::START);
            if entry.status == Status::Refused && entry.photos.is_empty() {
                self.notice(at, Remark::RefusedWithoutPhoto);
            }
            if entry.standing(today) == Standing::NotYet {
                self.notice(at, Remark::NotYet(entry.since));
            }
            if let [only] = &entry.photos[..] {
                let at = only.origin.as_ref().map_or(at, |o| o.at);
                self.notice(at, Remark::LonePhoto);
            }
            for photo in &entry.photos {
                let (Some(taken), Some(origin)) = (photo.taken, &photo.origin) else { continue };
                let age = taken.duration_until(today);
                if age > photo_age {
                    let days = i32::try_from(age.as_hours() / 24).unwrap_or(i32::MAX);
                    self.notice(origin.at, Remark::OldPhoto { name: origin.name.clone(), days });
                }
            }
        }
    }
}

/// What the operator is told of a photo that was turned.
fn turned_remark(photo: &Photo, turn: Turn) -> (Position, Remark) {
    let (at, name) =
        photo.origin.as_ref().map_or((Position::START, ""), |o| (o.at, o.name.as_str()));
    (at, Remark::Turned { name: name.to_owned(), degrees: turn.degrees() })
}

/// Which cell of a row holds which column.
struct Columns {
    place: [Option<usize>; COLUMNS.len()],
    /// Cells of the header, without the empty ones that spreadsheets leave at its end.
    width: usize,
}

impl Columns {
    fn read(header: &Row, problems: &mut Vec<Problem>) -> Result<Self, Problem> {
        let start = header.cells.first().map_or(Position::START, |c| c.at);
        let width = header.cells.iter().rposition(|c| !c.text.is_empty()).map_or(0, |i| i + 1);
        let mut place: [Option<usize>; COLUMNS.len()] = [None; COLUMNS.len()];
        let cells = header.cells.iter().take(width);
        let mut wrong = vec![];
        for (i, cell) in cells.enumerate() {
            let Some(column) = COLUMNS.iter().position(|c| *c == cell.text) else {
                let near = nearest(&cell.text);
                let fault = near.map_or(Fault::UnknownColumn, Fault::MisspeltColumn);
                wrong.push(Problem::new(cell.at, fault));
                continue;
            };
            match place[column] {
                None => place[column] = Some(i),
                Some(first) => {
                    let first = header.cells.get(first).map_or(1, |c| c.at.column);
                    let fault = Fault::DoubledColumn { name: COLUMNS[column], first };
                    wrong.push(Problem::new(cell.at, fault));
                }
            }
        }
        if place.iter().all(Option::is_none)
            && !wrong.iter().any(|p| matches!(p.fault, Fault::MisspeltColumn(_)))
        {
            // The first pupil's row, most likely: its cells are none of our business.
            return Err(Problem::new(start, Fault::NoHeader));
        }
        for (name, place) in COLUMNS.into_iter().zip(&place).take(REQUIRED) {
            if place.is_none() {
                wrong.push(Problem::new(header.end, Fault::MissingColumn(name)));
            }
        }
        problems.append(&mut wrong);
        Ok(Self { place, width })
    }

    fn cell<'r>(&self, row: &'r Row, column: usize) -> Option<&'r Cell> {
        row.cells.get(self.place[column]?)
    }
}

/// The known column that `text` was meant to be: one that differs in a third of its letters at
/// most, or in capitals only.
fn nearest(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase().replace([' ', '-'], "_");
    let (distance, column) =
        COLUMNS.into_iter().map(|c| (edits(&lower, c), c)).min_by_key(|(d, _)| *d)?;
    (distance <= column.len().div_ceil(3)).then_some(column)
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let change = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

/// What must not stand on two rows, with the line of its first row.
#[derive(Default)]
struct Seen {
    pupils: BTreeMap<PupilId, u32>,
    markers: BTreeMap<Marker, u32>,
    photos: BTreeMap<PhotoDigest, u32>,
}

struct RowReader<'a> {
    columns: &'a Columns,
    folder: &'a Path,
    row: &'a Row,
    problems: Vec<Problem>,
}

impl RowReader<'_> {
    fn read(mut self, seen: &mut Seen, problems: &mut Vec<Problem>) -> DraftRow {
        let at = self.row.cells.first().map_or(self.row.end, |c| c.at);
        let mut row = DraftRow { id: None, entry: None, photos: vec![], references: vec![] };
        let ragged = self.ragged();
        let too_many = matches!(
            ragged,
            Some(Problem { fault: Fault::Ragged { found, expected }, .. }) if found > expected
        );
        let id = self.required(0, |t| t.parse().map_err(|_| Fault::NotPseudonym("pupil_id")));
        let id = id.and_then(|id| {
            self.first_time(&mut seen.pupils, id, 0, |_, first| Fault::DoubledPupil { first })
        });
        let class = self.required(1, |t| t.parse().map_err(|_| Fault::NotPseudonym("class")));
        let status = self.required(2, Status::parse);
        let since = self.required(3, date::parse);
        // What looks like a photo's path in a row that has shifted may be a name, which no message repeats.
        row.photos = if too_many { vec![] } else { self.photos(seen) };
        let seats = self.seats();
        let marker = self.optional(6, seat::parse_marker);
        let marker = marker.and_then(|m| {
            self.first_time(&mut seen.markers, m, 6, |m, first| Fault::DoubledMarker {
                id: m.id(),
                first,
            })
        });
        let marker_cell = self.columns.cell(self.row, 6).filter(|c| !c.text.is_empty());
        if let (Some(cell), Some(Status::Refused)) = (marker_cell, status) {
            self.problems.push(Problem::new(cell.at, Fault::MarkerRefused));
        }
        let reference = self.optional(7, |t| {
            if t.chars().count() > MAX_REFERENCE {
                return Err(Fault::LongReference);
            }
            Ok(t.to_owned())
        });
        if let (Some(class), Some(status), Some(since)) = (class, status, since) {
            let photos = row.photos.clone();
            row.entry = Some(Entry {
                class,
                status,
                since,
                photos,
                seats,
                marker,
                reference,
                at: Some(at),
            });
        }
        row.id = id;
        if let Some(ragged) = ragged {
            if too_many {
                // The first may be the reason for those behind it.
                self.problems.sort_by_key(|p| p.at);
                self.problems.truncate(1);
            }
            self.problems.push(ragged);
        }
        problems.append(&mut self.problems);
        row
    }

    /// What is wrong with the number of fields.
    fn ragged(&self) -> Option<Problem> {
        let (found, expected) = (self.row.cells.len(), self.columns.width);
        let extra = self.row.cells.iter().skip(expected).find(|c| !c.text.is_empty());
        let at = match extra {
            Some(cell) => cell.at,
            None if found < expected => self.row.end,
            None => return None,
        };
        Some(Problem::new(at, Fault::Ragged { found, expected }))
    }

    /// The cell's value; an empty cell is a problem where the column exists.
    fn required<T>(
        &mut self,
        column: usize,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        let cell = self.columns.cell(self.row, column)?;
        if cell.text.is_empty() {
            self.problems.push(Problem::new(cell.at, Fault::EmptyField(COLUMNS[column])));
            return None;
        }
        self.value(cell, parse)
    }

    fn optional<T>(
        &mut self,
        column: usize,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        let cell = self.columns.cell(self.row, column).filter(|c| !c.text.is_empty())?;
        self.value(cell, parse)
    }

    fn value<T>(&mut self, cell: &Cell, parse: impl FnOnce(&str) -> Result<T, Fault>) -> Option<T> {
        let parsed = if cell.text.chars().any(char::is_control) {
            Err(Fault::ControlCharacter)
        } else {
            parse(&cell.text)
        };
        parsed.map_err(|fault| self.problems.push(Problem::new(cell.at, fault))).ok()
    }

    /// `value`, if no row before has it.
    fn first_time<T: Ord + Clone>(
        &mut self,
        seen: &mut BTreeMap<T, u32>,
        value: T,
        column: usize,
        fault: impl FnOnce(&T, u32) -> Fault,
    ) -> Option<T> {
        let at = self.columns.cell(self.row, column)?.at;
        if let Some(first) = seen.get(&value) {
            self.problems.push(Problem::new(at, fault(&value, *first)));
            return None;
        }
        seen.insert(value.clone(), at.line);
        Some(value)
    }

    /// The parts of a cell between `|`, each with its place.
    fn parts(&mut self, column: usize) -> Vec<(String, Position)> {
        let whole = self.optional(column, |t| Ok(t.to_owned()));
        let (Some(whole), Some(cell)) = (whole, self.columns.cell(self.row, column)) else {
            return vec![];
        };
        let mut parts = vec![];
        let mut offset = 0;
        for part in whole.split('|') {
            let blank = part.len() - part.trim_start().len();
            parts.push((part.trim().to_owned(), cell.inside(offset + blank)));
            offset += part.len() + 1;
        }
        parts
    }

    fn photos(&mut self, seen: &mut Seen) -> Vec<Photo> {
        let mut photos: Vec<Photo> = vec![];
        for (name, at) in self.parts(4) {
            if name.is_empty() {
                self.problems.push(Problem::new(at, Fault::EmptyPhoto));
                continue;
            }
            match Photo::find(self.folder, &name, at) {
                Ok(photo) => {
                    if let Some(first) = seen.photos.get(&photo.digest) {
                        let fault = Fault::PhotoTwice { name, first: *first };
                        self.problems.push(Problem::new(at, fault));
                        continue;
                    }
                    seen.photos.insert(photo.digest, at.line);
                    photos.push(photo);
                }
                Err(fault) => self.problems.push(Problem::new(at, fault)),
            }
        }
        photos.sort_by_key(|p| p.digest);
        photos
    }

    fn seats(&mut self) -> Vec<Seat> {
        let mut seats: Vec<Seat> = vec![];
        for (text, at) in self.parts(5) {
            match seat::parse(&text) {
                Ok(seat) if seats.iter().any(|s| s.camera == seat.camera) => {
                    let fault = Fault::SeatTwice(seat.camera.to_string());
                    self.problems.push(Problem::new(at, fault));
                }
                Ok(seat) => seats.push(seat),
                Err(fault) => self.problems.push(Problem::new(at, fault)),
            }
        }
        seats.sort_by(|a, b| a.camera.cmp(&b.camera));
        seats
    }
}
