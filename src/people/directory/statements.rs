//! What owners of keys send: the answer to a challenge, and signed statements about keys.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    units::PersonId,
    vault::{
        Identities, Recipient, VaultError, encrypt_to,
        sign::{PersonKey, PersonPublicKey, Signed, Statement},
    },
};

use super::DirectoryError;

/// First line of a challenge.
const CHALLENGE: &str = "classveil-challenge/1";

/// What one-time codes are written with: digits and capitals that are not taken for each other.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// A one-time code: 80 random bits in four groups of four.
pub fn new_code() -> Result<String, DirectoryError> {
    let mut random = [0; 16];
    fill(&mut random)?;
    let letters: String =
        random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    let groups = (0..16).step_by(4).map(|at| &letters[at..at + 4]);
    Ok(groups.collect::<Vec<_>>().join("-"))
}

/// The word of a challenge: 256 random bits.
pub fn new_word() -> Result<String, DirectoryError> {
    let mut random = [0; 32];
    fill(&mut random)?;
    Ok(random.iter().fold(String::new(), |word, byte| format!("{word}{byte:02x}")))
}

fn fill(random: &mut [u8]) -> Result<(), DirectoryError> {
    getrandom::fill(random).map_err(|error| DirectoryError::Random { problem: error.to_string() })
}

/// What is encrypted to a key, for its owner to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whose key it is said to be.
    pub person: PersonId,
    /// The key.
    pub recipient: Recipient,
    /// A word that nobody else knows.
    pub word: String,
}

impl Challenge {
    /// The text, of which stock `age` shows the owner what it is about.
    fn text(&self) -> String {
        let Self { person, recipient, word } = self;
        format!(
            "{CHALLENGE}\nWhoever sends this text back holds the key below. Send it only if you \
             are this person\nand asked for it.\nperson: {person}\nrecipient: {recipient}\nanswer: \
             {word}\n"
        )
    }

    /// The bytes of the age file that the owner gets.
    pub fn seal(&self) -> Result<Vec<u8>, VaultError> {
        encrypt_to(std::slice::from_ref(&self.recipient), self.text().as_bytes(), "the challenge")
    }

    /// Reads a challenge that was opened.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.trim_start().strip_prefix(CHALLENGE)?;
        let field = |name: &str| {
            let line = rest.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.map(str::trim)
        };
        Some(Self {
            person: field("person")?.parse().ok()?,
            recipient: field("recipient")?.parse().ok()?,
            word: field("answer")?.to_owned(),
        })
    }
}

/// The owner of a key says that it is theirs, signed with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyAnswer {
    /// Whose key it is.
    pub by: PersonId,
    /// The key.
    pub recipient: Recipient,
    /// The signing key that belongs to it.
    pub sign: PersonPublicKey,
    /// The word of the challenge.
    pub answer: String,
}

impl Statement for KeyAnswer {
    const KIND: &'static str = "classveil-key-answer/1";

    fn by(&self) -> &PersonId {
        &self.by
    }
}

/// The owner of a key in force says that another one is theirs as well, or instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    /// Whose keys they are.
    pub by: PersonId,
    /// The new one.
    pub new: Recipient,
}

impl Statement for KeyChange {
    const KIND: &'static str = "classveil-key-change/1";

    fn by(&self) -> &PersonId {
        &self.by
    }
}

/// Somebody else says that a key is that person's: a teacher who accepts a coach's key, and who
/// vouches for a key that no older key signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyApproval {
    /// Whose key it is.
    pub person: PersonId,
    /// The key.
    pub recipient: Recipient,
    /// Who says so.
    pub by: PersonId,
}

impl Statement for KeyApproval {
    const KIND: &'static str = "classveil-key-approval/1";

    fn by(&self) -> &PersonId {
        &self.by
    }
}

/// The owner of a key in force says that one of their keys is not to count any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEnd {
    /// Whose key it is.
    pub by: PersonId,
    /// The key.
    pub recipient: Recipient,
}

impl Statement for KeyEnd {
    const KIND: &'static str = "classveil-key-end/1";

    fn by(&self) -> &PersonId {
        &self.by
    }
}

/// An answer as it comes back to the box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub(super) word: String,
    pub(super) sign: Option<(Recipient, PersonPublicKey)>,
    pub(super) change: Option<Signed<KeyChange>>,
}

/// The file that [`make_answer`] makes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    answer: String,
    change: Option<String>,
}

impl Answer {
    /// Reads an answer: what [`make_answer`] made, or the challenge as stock `age` opened it.
    pub fn parse(text: &str) -> Result<Self, DirectoryError> {
        let bad = |problem| DirectoryError::BadAnswer { problem };
        if let Some(Challenge { word, .. }) = Challenge::parse(text) {
            return Ok(Self { word, sign: None, change: None });
        }
        let file: File = serde_json::from_str(text).map_err(|_| {
            bad("it is neither what `classveil people answer` makes nor an opened challenge")
        })?;
        let signed = Signed::<KeyAnswer>::parse(&file.answer).map_err(bad)?;
        // It brings its own key: that it is the owner's, the challenge's word proves.
        let own = signed.claim().sign.clone();
        let KeyAnswer { recipient, sign, answer, .. } = signed.check([&own]).map_err(bad)?.clone();
        let change = file.change.map(|note| Signed::parse(&note)).transpose().map_err(bad)?;
        Ok(Self { word: answer, sign: Some((recipient, sign)), change })
    }
}

/// Answers the challenge in `file` with the key it is for, among `own`. With the person's `older`
/// keys the answer says that these vouch for the new one.
pub fn make_answer(
    file: &Path,
    own: &Identities,
    older: Option<&Identities>,
) -> Result<(Challenge, String), DirectoryError> {
    let text = own.decrypt(file)?;
    let bad = |problem| DirectoryError::BadAnswer { problem };
    let challenge = std::str::from_utf8(&text).ok().and_then(Challenge::parse);
    let challenge = challenge.ok_or(bad("the file opens, and is no challenge"))?;
    let key = PersonKey::of(own).into_iter().find(|key| *key.recipient() == challenge.recipient);
    let key = key.ok_or(bad("the challenge is for another key than the one that opens it"))?;
    let Challenge { person, recipient, word } = challenge.clone();
    let sign = key.public(&person);
    let answer = KeyAnswer { by: person.clone(), recipient: recipient.clone(), sign, answer: word };
    let older = older.map(PersonKey::of).unwrap_or_default();
    let change = older.first().map(|older| older.sign(&KeyChange { by: person, new: recipient }));
    let file = File { answer: key.sign(&answer), change };
    // Two texts always have a JSON form.
    let mut json = serde_json::to_string_pretty(&file).unwrap_or_default();
    json.push('\n');
    Ok((challenge, json))
}
