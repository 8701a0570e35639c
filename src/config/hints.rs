//! The nearest name to a mistyped one, and where a byte of a file is for a person.

/// A place in a file, for people: both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character within the line.
    pub column: usize,
}

impl Position {
    /// Where byte `offset` of `text` is. An offset inside a character counts as that character.
    #[must_use]
    pub fn of(text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line = before.split(|&b| b == b'\n').count();
        let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        // A byte order mark takes no room on the screen.
        let start = if start == 0 && text.starts_with('\u{feff}') { 3 } else { start };
        let column = before
            .get(start..)
            .unwrap_or_default()
            .iter()
            // Continuation bytes of UTF-8 begin no character.
            .filter(|&&b| b & 0xC0 != 0x80)
            .count()
            + 1;
        Self { line, column }
    }
}

/// The one of `names` that `word` was probably meant to be, if any is near enough.
pub(super) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.trim().to_lowercase().replace(['_', ' '], "-");
    // A third of the word may be wrong, and at least one letter of a short one.
    let limit = (word.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|name| (distance(&word, name), name))
        .filter(|&(edits, _)| edits <= limit)
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, name)| name)
}

/// Edits between two words: letters inserted, dropped or replaced, or two neighbours swapped.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let mut best =
                (rows[i][j] + usize::from(from != to)).min(row[j] + 1).min(rows[i][j + 1] + 1);
            if i > 0 && j > 0 && a[i - 1] == to && from == b[j - 1] {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("retain", "retain"), 0);
        assert_eq!(distance("retian", "retain"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn only_a_near_name_is_offered() {
        let names = ["retain", "segment", "box-key"];
        assert_eq!(nearest("retian", names), Some("retain"));
        assert_eq!(nearest("box_key", names), Some("box-key"));
        assert_eq!(nearest("colour", names), None);
    }

    #[test]
    fn columns_count_characters() {
        let text = "\u{feff}a = 1\nnaam = \"één\" # x\n";
        assert_eq!(Position::of(text, 3), Position { line: 1, column: 1 });
        assert_eq!(Position::of(text, text.find('#').unwrap()), Position { line: 2, column: 14 });
        assert_eq!(Position::of(text, text.len()), Position { line: 3, column: 1 });
        assert_eq!(Position::of("", 9), Position { line: 1, column: 1 });
    }
}
