//! The pupil list: rows with meaning, read from CSV with every problem found at once.
//!
//! Belongs here: columns, the rules that hold between rows, standing on a day, the version. Does not
//! belong: the text's shape (`table`), photos' pixels ([`super::photo`]), keeping it
//! ([`super::store`]).

mod rows;

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

use self::rows::{Columns, RowReader, Seen};
use super::{
    face::{Enroller, Turn},
    fault::{Fault, ListProblems, Notice, Position, Problem, Remark},
    gallery,
    photo::Photo,
    seat::{Marker, Seat},
    table,
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
