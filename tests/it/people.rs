//! The pupil list: every problem at once with its place, one clear face per photo, a version that
//! depends on people only, and a store in which no refusal ends by accident and no embedding outlives
//! its list.

mod faces;
mod lists;
mod loads;
mod program;

use std::path::{Path, PathBuf};

use classveil::people::{ListProblems, PupilList, Rules, list};
use jiff::civil::{Date, date};

/// The day of all tests.
const TODAY: Date = date(2026, 11, 20);

/// Keys versions in tests.
const KEY: [u8; 32] = [7; 32];

fn fixture(name: &str) -> PathBuf {
    // Relative to the package, where cargo starts tests, so that messages are the same everywhere.
    Path::new("tests/fixtures/lists").join(name)
}

/// A folder with a list in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a writable folder");
        path
    }

    /// Writes `rows` under a header with every column, and reads the list.
    fn read(&self, rows: &str) -> Result<PupilList, Vec<String>> {
        let header = "pupil_id,class,status,since,photos,seat,marker,reference";
        let path = self.write("list.csv", format!("{header}\n{rows}"));
        list::read(&path, TODAY).map(|(list, _)| list).map_err(|e| texts(&e))
    }
}

/// Problems as `line:column: text`.
fn texts(problems: &ListProblems) -> Vec<String> {
    match problems {
        ListProblems::Wrong { problems, .. } => {
            problems.iter().map(|p| format!("{}: {}", p.at, p.fault)).collect()
        }
        other => panic!("{other}"),
    }
}

fn rules() -> Rules {
    Rules::on(TODAY)
}
