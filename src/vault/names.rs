//! Names of the people whose pseudonyms a recording has: into `details.json.age`, under the recording's own
//! key, and nowhere else. They are gone with that key.
//!
//! Belongs here: reading the table and choosing from it. Does not belong: showing names, which only who can
//! open the recording does. No error holds a name.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    VaultError,
    store::{at, read_at_most},
};
use crate::units::PersonId;

/// A school of some thousands.
const LIMIT: u64 = 256 << 10;
/// Longest name, in characters.
const NAME_CHARS: usize = 100;

/// Who is who. Nothing prints it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Names(BTreeMap<String, String>);

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Names({})", self.0.len())
    }
}

impl Names {
    /// Reads a file with a pseudonym and a name on each line, between them a comma, a semicolon or a tab; a
    /// first line of words (`id,name`) is passed over.
    ///
    /// # Errors
    /// The file cannot be read; [`VaultError::BadNames`] where a line is no such line.
    pub fn load(path: &Path) -> Result<Self, VaultError> {
        let bytes = read_at_most(path, LIMIT).map_err(at(path))?;
        Self::parse(&String::from_utf8_lossy(&bytes))
            .map_err(|line| VaultError::BadNames { path: path.to_owned(), line })
    }

    fn parse(text: &str) -> Result<Self, usize> {
        let mut names = BTreeMap::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || (number == 1 && is_heading(line)) {
                continue;
            }
            let (id, name) = line.split_once([',', ';', '\t']).ok_or(number)?;
            let (id, name) = (id.trim(), name.trim().trim_matches('"'));
            let is_name = !name.is_empty()
                && name.chars().count() <= NAME_CHARS
                && !name.chars().any(char::is_control);
            let id: PersonId = id.parse().map_err(|_| number)?;
            if !is_name || names.insert(id.as_str().to_owned(), name.to_owned()).is_some() {
                return Err(number);
            }
        }
        Ok(Self(names))
    }

    /// The names of these people, and of nobody else.
    pub fn of<'a>(&self, people: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
        let known = |id: &str| self.0.get(id).map(|name| (id.to_owned(), name.clone()));
        people.into_iter().filter_map(known).collect()
    }
}

fn is_heading(line: &str) -> bool {
    let id = line.split([',', ';', '\t']).next().unwrap_or_default().trim();
    ["id", "pupil_id", "person", "pseudonym"].contains(&id.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_as_a_spreadsheet_writes_it() {
        let names =
            Names::parse("\u{feff}id;name\r\nt-07;A. Jansen\r\n\r\np-01;\"De Vries, Jan\"\r\n")
                .unwrap();
        let of = |ids: &[&str]| names.of(ids.iter().copied());
        assert_eq!(of(&["p-01", "p-99"])["p-01"], "De Vries, Jan");
        assert_eq!(of(&["p-01", "p-99"]).len(), 1);
        assert_eq!(format!("{names:?}"), "Names(2)");
    }

    #[test]
    fn what_is_no_table_is_refused_by_its_line_and_without_a_name() {
        let long = format!("t-07,{}", "x".repeat(101));
        for text in ["t-07", "t-07,", "A. Jansen,t-07", "t-07,A\nt-07,B", "t-07,a\u{7}b", &long] {
            let line = Names::parse(text).unwrap_err();
            assert_eq!(line, text.lines().count(), "{text}");
            let said = VaultError::BadNames { path: "names.csv".into(), line }.to_string();
            assert!(!said.contains("xxx") && said.contains(&format!("line {line}")), "{said}");
        }
    }
}
