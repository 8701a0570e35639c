//! The rows of a pupil list: which cell is which column, and what is wrong in one.
//!
//! Belongs here: one row, and what must not stand on two. Does not belong: what a list as a whole has to
//! hold.

use std::{collections::BTreeMap, path::Path};

use super::{
    super::{
        date,
        fault::{Fault, Position, Problem},
        photo::{Photo, PhotoDigest},
        seat::{self, Marker, Seat},
        table::{Cell, Row},
    },
    COLUMNS, DraftRow, Entry, REQUIRED, Status,
};
use crate::units::PupilId;

/// Longest reference, in characters.
const MAX_REFERENCE: usize = 64;

/// Which cell of a row holds which column.
pub(super) struct Columns {
    place: [Option<usize>; COLUMNS.len()],
    /// Cells of the header, without the empty ones that spreadsheets leave at its end.
    pub(super) width: usize,
}

impl Columns {
    pub(super) fn read(header: &Row, problems: &mut Vec<Problem>) -> Result<Self, Problem> {
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
pub(super) struct Seen {
    pupils: BTreeMap<PupilId, u32>,
    markers: BTreeMap<Marker, u32>,
    photos: BTreeMap<PhotoDigest, u32>,
}

pub(super) struct RowReader<'a> {
    pub(super) columns: &'a Columns,
    pub(super) folder: &'a Path,
    pub(super) row: &'a Row,
    pub(super) problems: Vec<Problem>,
}

impl RowReader<'_> {
    pub(super) fn read(mut self, seen: &mut Seen, problems: &mut Vec<Problem>) -> DraftRow {
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
