//! From bytes to rows of cells, each cell knowing where it stands.
//!
//! Belongs here: encodings, separators, quotes. Does not belong: what a cell means. The `csv` crate
//! knows a row's line only; an operator with a list of thirty needs the column too.

use encoding_rs::WINDOWS_1252;

use super::fault::{Fault, Position, Problem};

/// One cell of the table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell {
    /// Without quotes, and without white space around.
    pub(super) text: String,
    /// Its first character, the opening quote of a quoted cell.
    pub(super) at: Position,
    /// Where `text` itself begins.
    pub(super) text_at: Position,
}

impl Cell {
    /// The place of byte `offset` of the text. Exact unless the cell holds doubled quotes.
    pub(super) fn inside(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).map_or(0, |t| t.chars().count());
        self.text_at.along(before)
    }
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    /// Behind its last character.
    pub(super) end: Position,
}

impl Row {
    /// Whether nothing is written in it, as in the lines that a spreadsheet adds below a table.
    pub(super) fn is_blank(&self) -> bool {
        self.cells.iter().all(|c| c.text.is_empty())
    }
}

/// The file as text.
#[derive(Debug, PartialEq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) cp1252: bool,
}

/// Reads UTF-8 with or without byte order mark, else CP1252.
pub(super) fn decode(bytes: &[u8]) -> Result<Text, Problem> {
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(Problem::new(Position::START, Fault::Utf16));
    }
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        let before = bytes.get(..at).unwrap_or_default();
        return Err(Problem::new(end_of(&String::from_utf8_lossy(before)), Fault::Nul));
    }
    let (body, marked) = match bytes.strip_prefix(b"\xEF\xBB\xBF") {
        Some(body) => (body, true),
        None => (bytes, false),
    };
    match std::str::from_utf8(body) {
        Ok(text) => Ok(Text { text: text.to_owned(), cp1252: false }),
        Err(error) if marked => {
            let before = body.get(..error.valid_up_to()).unwrap_or_default();
            Err(Problem::new(end_of(&String::from_utf8_lossy(before)), Fault::BrokenUtf8))
        }
        // The five bytes that CP1252 leaves open become control characters, which no field allows.
        Err(_) => Ok(Text {
            text: WINDOWS_1252.decode_without_bom_handling(body).0.into_owned(),
            cp1252: true,
        }),
    }
}

fn end_of(text: &str) -> Position {
    let line = 1 + text.matches('\n').count();
    let column = 1 + text.rsplit('\n').next().map_or(0, |t| t.chars().count());
    Position::new(
        u32::try_from(line).unwrap_or(u32::MAX),
        u32::try_from(column).unwrap_or(u32::MAX),
    )
}

/// A table of cells: every row, and what is wrong with quotes.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    pub(super) problems: Vec<Problem>,
}

/// Splits `text`, finding out the separator: from a first line `sep=;` as Excel writes it, else
/// the one of comma and semicolon that makes more of the `known` columns out of the first line.
pub(super) fn split(text: &str, known: &[&str]) -> Result<Table, Problem> {
    let first = text.lines().next().unwrap_or_default();
    let marked = first.get(..4).filter(|s| s.eq_ignore_ascii_case("sep=")).and(first.get(4..));
    if let Some(separator) = marked {
        let separator = match separator.trim_end() {
            "," => ',',
            ";" => ';',
            _ => return Err(Problem::new(Position::new(1, 5), Fault::Separator)),
        };
        let mut table = Splitter::new(text, separator).run();
        table.rows.drain(..table.rows.len().min(1));
        return Ok(table);
    }
    let fitting = |separator| {
        let header = Splitter::new(first, separator).run();
        let cells = header.rows.first().map_or(&[][..], |r| &r.cells);
        cells.iter().filter(|c| known.contains(&c.text.as_str())).count()
    };
    let (comma, semicolon) = (fitting(','), fitting(';'));
    if first.contains('\t') && comma.max(semicolon) < 2 {
        return Err(Problem::new(Position::START, Fault::Tabs));
    }
    let semicolons = first.matches(';').count() > first.matches(',').count();
    let separator = if semicolon > comma || (semicolon == comma && semicolons) { ';' } else { ',' };
    Ok(Splitter::new(text, separator).run())
}

/// Walks the text once. `\n`, `\r\n` and `\r` end a row; `""` within quotes is a quote.
struct Splitter<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    separator: char,
    at: Position,
    table: Table,
}

impl<'a> Splitter<'a> {
    fn new(text: &'a str, separator: char) -> Self {
        let chars = text.chars().peekable();
        Self { chars, separator, at: Position::START, table: Table::default() }
    }

    fn run(mut self) -> Table {
        while self.chars.peek().is_some() {
            let mut cells = vec![];
            loop {
                cells.push(self.cell());
                if self.chars.peek() != Some(&self.separator) {
                    break;
                }
                self.next();
            }
            let end = self.at;
            self.next_line_end();
            self.table.rows.push(Row { cells, end });
        }
        // An open quote swallows the rest of the file: no row, and nothing more to say of it.
        if self.table.problems.last().is_some_and(|p| p.fault == Fault::OpenQuote) {
            self.table.rows.pop();
        }
        self.table
    }

    /// Takes one character, counting it; a line end counts once.
    fn next(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        if c == '\n' || (c == '\r' && self.chars.peek() != Some(&'\n')) {
            self.at = Position::new(self.at.line.saturating_add(1), 1);
        } else if c != '\r' {
            self.at = self.at.along(1);
        }
        Some(c)
    }

    fn next_line_end(&mut self) {
        if self.chars.next_if_eq(&'\r').is_some() {
            self.chars.next_if_eq(&'\n');
        } else if self.chars.next_if_eq(&'\n').is_none() {
            return;
        }
        self.at = Position::new(self.at.line.saturating_add(1), 1);
    }

    fn problem(&mut self, at: Position, fault: Fault) {
        self.table.problems.push(Problem::new(at, fault));
    }

    fn ends(&mut self) -> bool {
        let separator = self.separator;
        self.chars.peek().is_none_or(|c| *c == separator || *c == '\n' || *c == '\r')
    }

    fn cell(&mut self) -> Cell {
        let at = self.at;
        while self.chars.peek().is_some_and(|c| *c == ' ' || *c == '\t') {
            self.next();
        }
        if self.chars.peek() == Some(&'"') { self.quoted() } else { self.plain(at) }
    }

    fn plain(&mut self, at: Position) -> Cell {
        let mut text = String::new();
        let text_at = self.at;
        let mut complained = false;
        while !self.ends() {
            if self.chars.peek() == Some(&'"') && !complained {
                complained = true;
                self.problem(self.at, Fault::StrayQuote);
            }
            text.extend(self.next());
        }
        trimmed(&text, at, text_at)
    }

    fn quoted(&mut self) -> Cell {
        let at = self.at;
        self.next();
        let text_at = self.at;
        let mut text = String::new();
        loop {
            match self.next() {
                None => {
                    self.problem(at, Fault::OpenQuote);
                    break;
                }
                Some('"') if self.chars.peek() == Some(&'"') => text.extend(self.next()),
                Some('"') => break,
                Some(c) => text.push(c),
            }
        }
        let mut complained = false;
        while !self.ends() {
            let here = self.at;
            let c = self.next();
            if c.is_some_and(|c| !c.is_whitespace()) && !complained {
                complained = true;
                self.problem(here, Fault::StrayQuote);
            }
        }
        trimmed(&text, at, text_at)
    }
}

fn trimmed(text: &str, at: Position, text_at: Position) -> Cell {
    let start = text.trim_start();
    let skipped = text.chars().count() - start.chars().count();
    Cell { text: start.trim_end().to_owned(), at, text_at: text_at.along(skipped) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: &[&str] = &["pupil_id", "class"];

    fn texts(table: &Table) -> Vec<Vec<&str>> {
        table.rows.iter().map(|r| r.cells.iter().map(|c| c.text.as_str()).collect()).collect()
    }

    #[test]
    fn cells_know_where_they_stand() {
        let table = split("pupil_id,class\r\né, \"x, \"\"y\"\"\" \r\n", KNOWN).unwrap();
        assert_eq!(texts(&table), [vec!["pupil_id", "class"], vec!["é", "x, \"y\""]]);
        assert_eq!(table.rows[1].cells[1].at, Position::new(2, 4));
        assert_eq!(table.rows[1].cells[1].text_at, Position::new(2, 5));
        assert!(table.problems.is_empty());
    }

    #[test]
    fn the_separator_is_found() {
        for text in ["pupil_id;class\na;b", "sep=;\r\npupil_id;class\na;b", "SEP=;\na;b"] {
            let table = split(text, KNOWN).unwrap();
            assert_eq!(texts(&table).last().unwrap(), &["a", "b"], "{text}");
        }
        assert_eq!(split("sep=|\na|b", KNOWN).unwrap_err().fault, Fault::Separator);
        assert_eq!(split("pupil_id\tclass\na\tb", KNOWN).unwrap_err().fault, Fault::Tabs);
    }

    #[test]
    fn quotes_go_wrong_in_two_ways() {
        let open = split("pupil_id,class\na,\"b\nc,d\n", KNOWN).unwrap();
        assert_eq!(open.problems, [Problem::new(Position::new(2, 3), Fault::OpenQuote)]);
        let stray = split("pupil_id,class\na\"b,\"c\"d\n", KNOWN).unwrap();
        let at: Vec<_> = stray.problems.iter().map(|p| p.at).collect();
        assert_eq!(at, [Position::new(2, 2), Position::new(2, 8)]);
    }

    #[test]
    fn other_encodings_are_read_or_named() {
        assert_eq!(decode(b"\xEF\xBB\xBFa\xC3\xA9").unwrap().text, "aé");
        assert_eq!(decode(b"a\xE9").unwrap(), Text { text: "aé".into(), cp1252: true });
        assert_eq!(decode(b"\xFF\xFEa\0").unwrap_err().fault, Fault::Utf16);
        assert_eq!(decode(b"\xEF\xBB\xBFa\xE9").unwrap_err().fault, Fault::BrokenUtf8);
        let nul = decode(b"a\nbc\0").unwrap_err();
        assert_eq!(nul, Problem::new(Position::new(2, 3), Fault::Nul));
    }

    proptest! {
        /// What another CSV writer writes is read back.
        #[test]
        fn another_writer_is_understood(
            rows in prop::collection::vec(prop::collection::vec("[a-z;,\" \n]{0,6}", 2), 1..6),
            semicolon: bool,
        ) {
            let separator = if semicolon { b';' } else { b',' };
            let mut writer = csv::WriterBuilder::new().delimiter(separator).from_writer(vec![]);
            writer.write_record(KNOWN).unwrap();
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let bytes = writer.into_inner().unwrap();
            let table = split(std::str::from_utf8(&bytes).unwrap(), KNOWN).unwrap();
            prop_assert!(table.problems.is_empty(), "{:?}", table.problems);
            let want: Vec<Vec<&str>> =
                rows.iter().map(|r| r.iter().map(|c| c.trim()).collect()).collect();
            prop_assert_eq!(&texts(&table)[1..], want);
        }

        #[test]
        fn no_bytes_upset_it(bytes: Vec<u8>) {
            if let Ok(text) = decode(&bytes) {
                let _ = split(&text.text, KNOWN);
            }
        }
    }
}
