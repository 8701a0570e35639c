//! The directory on its way to a computer that has neither the store nor its log: in one file, as it was at
//! a time, signed by the box.
//!
//! ```text
//! {"format":"classveil-people-export/1","at":"2026-11-03T10:00:00Z","directory":{...}}
//! four lines of minisign's signature over the line above, its line end with it
//! ```

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Directory, DirectoryError};
use crate::vault::{BoxKey, BoxPublicKey, VaultError, read_small};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "classveil-people-export/1")]
    V1,
}

/// A directory as a file brought it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    format: Format,
    /// When it was like that.
    pub at: Timestamp,
    /// Who has which key.
    pub directory: Directory,
}

impl Directory {
    /// The text of a file for somebody else's computer. Codes and challenges that were handed out stay.
    pub fn carry(&self, key: &BoxKey, now: Timestamp) -> Result<String, VaultError> {
        let mut directory = self.clone();
        for entry in directory.people.values_mut() {
            (entry.code, entry.challenge) = (None, None);
        }
        let carried = Carried { format: Format::V1, at: now, directory };
        // Pseudonyms, keys and times always have a JSON form.
        key.attest(&serde_json::to_string(&carried).unwrap_or_default())
    }
}

impl Carried {
    /// Reads what [`Directory::carry`] made, if `key` signed it.
    ///
    /// # Errors
    /// [`DirectoryError::NotCarried`] where it is not as the box signed it.
    pub fn load(path: &Path, key: &BoxPublicKey) -> Result<Self, DirectoryError> {
        let bad = |problem| DirectoryError::NotCarried { path: path.to_owned(), problem };
        let text = String::from_utf8(read_small(path)?).map_err(|_| bad("is no text"))?;
        let line = key.attested(&text).map_err(bad)?;
        serde_json::from_str(line)
            .map_err(|_| DirectoryError::OtherVersion { path: path.to_owned() })
    }
}
