//! What can be wrong with a pupil list, where, and what the operator does about it.
//!
//! Belongs here: places in the file, problems (nothing is loaded) and notices (it is loaded). Does
//! not belong: finding them. A cell's own text is repeated only where it cannot be a name: a date's
//! digits, a photo's path (which the operator needs).

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    error::{ErrorKind, Kind, advice},
    vision::infer::VisionError,
};

/// A place in the list: both numbers start at 1, columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// Line of the file.
    pub line: u32,
    /// Character of the line.
    pub column: u32,
}

impl Position {
    /// The first character of the file.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place `line`, `column`.
    #[must_use]
    pub const fn new(line: u32, column: u32) -> Self {
        Self { line, column }
    }

    /// The place `characters` further on the same line.
    #[must_use]
    pub fn along(self, characters: usize) -> Self {
        let step = u32::try_from(characters).unwrap_or(u32::MAX);
        Self { line: self.line, column: self.column.saturating_add(step) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Something that keeps a list from being loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says it")]
pub enum Fault {
    // The file as a whole.
    #[error("the list is empty: the first line names the columns, then one line per pupil")]
    Empty,
    #[error("the list names nobody: an empty list cannot be told from a lost one")]
    NoRows,
    #[error("the list is larger than {limit_mib} MiB: this is no pupil list")]
    TooLarge { limit_mib: u64 },
    #[error("the file is UTF-16: save it as \"CSV UTF-8\"")]
    Utf16,
    #[error("the file begins as UTF-8 but is not valid UTF-8: save it again as \"CSV UTF-8\"")]
    BrokenUtf8,
    #[error("a NUL byte: this is no CSV text; save the list as \"CSV UTF-8\"")]
    Nul,
    #[error("columns are separated by tabs: save the list with commas or semicolons")]
    Tabs,
    #[error("`sep=` names a separator that is neither comma nor semicolon")]
    Separator,

    // Rows and columns.
    #[error("a quote opens here and is never closed")]
    OpenQuote,
    #[error("a quote in the middle of a field: put the whole field in quotes, or remove it")]
    StrayQuote,
    #[error("this row has {found} fields, the header has {expected}")]
    Ragged { found: usize, expected: usize },
    #[error("this line is no header: it must name pupil_id, class, status and since")]
    NoHeader,
    #[error("the header lacks the column `{0}`")]
    MissingColumn(&'static str),
    #[error("the column `{name}` stands twice, first at column {first}")]
    DoubledColumn { name: &'static str, first: u32 },
    #[error("unknown column: did you mean `{0}`?")]
    MisspeltColumn(&'static str),
    #[error(
        "unknown column: known are pupil_id, class, status, since, photos, seat, marker, reference"
    )]
    UnknownColumn,

    // Fields.
    #[error("{0} is empty")]
    EmptyField(&'static str),
    #[error("a line break or control character inside a field")]
    ControlCharacter,
    #[error("{0} is no pseudonym: use 1 to 32 of a-z, 0-9 and -, and no names")]
    NotPseudonym(&'static str),
    #[error("this pupil_id stands on line {first} already")]
    DoubledPupil { first: u32 },
    #[error("status is none of refused, consented, staff")]
    BadStatus,
    #[error("since is no date: write 2026-09-01 or 1-9-2026")]
    NoDate,
    #[error("`{0}` can be read two ways: write 2026-09-01, or day-month-year with hyphens")]
    AmbiguousDate(String),
    #[error("`{0}` has a short year: write it in four digits")]
    ShortYear(String),
    #[error("`{0}` is not in the calendar")]
    NoSuchDay(String),
    #[error("`{0}` lies outside 1990 to 2099")]
    FarDate(String),
    #[error("seat is no polygon: write cam1:0.10/0.20 0.30/0.20 0.30/0.60")]
    SeatSyntax,
    #[error("a seat has {0} points: it needs 3 to 32")]
    SeatPoints(usize),
    #[error("a seat's point lies outside the picture: both numbers are parts of it, 0 to 1")]
    SeatOutside,
    #[error("a seat without area")]
    SeatFlat,
    #[error("a seat's outline crosses itself: give its corners in order around it")]
    SeatCrossed,
    #[error("two seats for camera {0}")]
    SeatTwice(String),
    #[error("marker is no AprilTag 36h11 number: write 0 to 586")]
    BadMarker,
    #[error("marker {id} stands on line {first} already: a marker clears one person")]
    DoubledMarker { id: u16, first: u32 },
    #[error("a marker says \"may be seen\", so a refused pupil cannot have one")]
    MarkerRefused,
    #[error("reference is longer than 64 characters")]
    LongReference,

    // Photos.
    #[error("an empty photo name between `|`")]
    EmptyPhoto,
    #[error("photo `{0}` is not a path relative to the list: use no leading / and no ..")]
    PhotoPath(String),
    #[error("photo `{0}` has a backslash: write / between folder and file")]
    PhotoBackslash(String),
    #[error("photo `{0}` leads outside the list's folder")]
    PhotoOutside(String),
    #[error("photo `{0}` does not exist")]
    PhotoMissing(String),
    #[error("photo `{0}` is no ordinary file")]
    PhotoNoFile(String),
    #[error("photo `{name}` cannot be read: {cause}")]
    PhotoUnreadable { name: String, cause: std::io::ErrorKind },
    #[error("photo `{name}` is larger than {limit}: make it smaller")]
    PhotoHuge { name: String, limit: &'static str },
    #[error("photo `{0}` is HEIC: export it as JPEG")]
    PhotoHeic(String),
    #[error("photo `{0}` is no JPEG, PNG or WebP")]
    PhotoType(String),
    #[error("photo `{0}` is damaged or cut off")]
    PhotoCorrupt(String),
    #[error("photo `{name}` is the same picture as on line {first}")]
    PhotoTwice { name: String, first: u32 },
    #[error("photo `{0}` changed while it was read: try again")]
    PhotoChanged(String),
    #[error("photo `{0}` shows no face that can be used")]
    NoFace(String),
    #[error("the face in photo `{name}` is {found} pixels wide, {needed} are needed")]
    SmallFace { name: String, found: u32, needed: u32 },
    #[error("photo `{name}` shows {count} equal faces: crop it to one")]
    EqualFaces { name: String, count: usize },
    #[error("the head in photo `{0}` leans over or lies: use a photo of an upright head")]
    LeaningFace(String),
    #[error("the head in photo `{0}` is turned to the side: use a photo that faces the camera")]
    AvertedFace(String),
    #[error(
        "the face in photo `{0}` is too blurred, dark or covered to be compared: use a sharp, \
         evenly lit photo"
    )]
    FaintFace(String),
    #[error("photo `{0}` is a colour negative: use the print")]
    NegativePhoto(String),
    #[error("photos of this list are not at hand: read the list file itself")]
    PhotosNotAtHand,
}

/// One problem and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Where the offending field, or what follows it, begins.
    pub at: Position,
    /// What is wrong.
    pub fault: Fault,
}

impl Problem {
    /// `fault` at `at`.
    #[must_use]
    pub const fn new(at: Position, fault: Fault) -> Self {
        Self { at, fault }
    }
}

/// Why a list was not read.
#[derive(Debug, thiserror::Error)]
pub enum ListProblems {
    /// The file itself cannot be read.
    #[error("cannot read the pupil list {}: {source}{}", .path.display(), advice(source))]
    Unreadable {
        /// The list.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Everything that is wrong with the list, in file order.
    #[error("{}", list_all(.path, .problems))]
    Wrong {
        /// The list.
        path: PathBuf,
        /// At least one.
        problems: Vec<Problem>,
    },
    /// The models failed; the list may be in order.
    #[error("cannot look for faces in the photos: {0}")]
    Vision(#[from] VisionError),
}

fn list_all(path: &Path, problems: &[Problem]) -> String {
    use fmt::Write;
    let s = if problems.len() == 1 { "" } else { "s" };
    let mut text = format!("{} problem{s} in the pupil list, nothing was loaded", problems.len());
    for Problem { at, fault } in problems {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}:{at}: {fault}", path.display());
    }
    text
}

impl Kind for ListProblems {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreadable { source, .. } => ErrorKind::of_io(source),
            Self::Wrong { .. } => ErrorKind::Config,
            Self::Vision(error) => error.kind(),
        }
    }
}

/// Something the operator should know of a list that is in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The list.
    pub path: PathBuf,
    /// Where the row, or the field, begins.
    pub at: Position,
    /// What there is to know.
    pub remark: Remark,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: notice: {}", self.path.display(), self.at, self.remark)
    }
}

/// What a notice says.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Remark {
    /// The file is not UTF-8.
    #[error("the file is not UTF-8 and was read as CP1252: check letters with accents")]
    Cp1252,
    /// One photo only.
    #[error("a single photo: two or three from different days are compared more surely")]
    LonePhoto,
    /// A photo older than the limit.
    #[error(
        "photo `{name}` is {days} days old: use a newer one; children's faces change within a year"
    )]
    OldPhoto {
        /// Path as written in the list.
        name: String,
        /// Age in days.
        days: i32,
    },
    /// Cleared from a later day on.
    #[error("this counts from {0} on: until then this person is not cleared")]
    NotYet(jiff::civil::Date),
    /// Refusal without a photo.
    #[error(
        "refused without a photo: nobody can be told apart from this pupil, so the policy \
         `refused` will act as `unless-cleared`"
    )]
    RefusedWithoutPhoto,
    /// A photo on its side, without a tag that says so.
    #[error(
        "photo `{name}` was turned by {degrees} degrees to the right: check that it is upright"
    )]
    Turned {
        /// Path as written in the list.
        name: String,
        /// Clockwise.
        degrees: u32,
    },
    /// Photos of one person that do not resemble each other.
    #[error("photo `{0}` does not resemble this person's other photos: is it the same person?")]
    UnlikeOthers(String),
    /// Photos of two people that resemble each other.
    #[error("a photo here resembles one on line {0}: a mix-up, or relatives?")]
    Resembles(u32),
}
