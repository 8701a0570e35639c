//! The log's key, and the texts that it signs: signed notes and checkpoints as C2SP describes them
//! (`signed-note`, `tlog-checkpoint`, `tlog-proof`), so that witnesses need none of our code.
//!
//! Ed25519 without prehash. The key is not the box key: who watches logs gets a key that signs
//! nothing else.

use std::{fmt, os::unix::fs::MetadataExt, path::Path, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    super::{
        Digest,
        keys::refuse_inside,
        store::{at, make_dirs, parent_of, read_at_most, write_new},
    },
    AuditError, tree,
};

/// Key files have one line.
const KEY_FILE_LIMIT: u64 = 4096;
/// Signature type 0x01 of C2SP `signed-note`: Ed25519.
const ED25519: u8 = 1;
/// How the one line of a secret key begins, as Go's `note` package writes it.
const SECRET: &str = "PRIVATE+KEY+";
/// The name under which the secret key is kept. A log's own name is its origin.
const SECRET_NAME: &str = "classveil-audit";
/// First line of a proof.
const PROOF: &str = "c2sp.org/tlog-proof@v1";

/// The key that signs a log, both halves.
#[derive(Clone)]
pub struct AuditKey(SigningKey);

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditKey").finish_non_exhaustive()
    }
}

impl AuditKey {
    /// Reads the key at `path`, or makes it there at first use. `store` is the store whose log it
    /// signs, which it must not lie in.
    pub fn load_or_create(path: &Path, store: &Path) -> Result<Self, AuditError> {
        refuse_inside(path, store)?;
        if !path.exists() {
            parent_of(path).map_or(Ok(()), make_dirs)?;
            let mut seed = Zeroizing::new([0; 32]);
            getrandom::fill(seed.as_mut()).map_err(|error| {
                AuditError::from(at(path)(std::io::Error::other(error.to_string())))
            })?;
            let text = Self(SigningKey::from_bytes(&seed)).to_text();
            match write_new(path, text.as_bytes(), 0o600) {
                Ok(()) => {}
                // Another process made it just now.
                Err(_) if path.exists() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Self::load(path)
    }

    /// Reads the key at `path`.
    pub fn load(path: &Path) -> Result<Self, AuditError> {
        let bad = |problem| AuditError::BadKey { path: path.to_owned(), problem };
        let metadata = std::fs::metadata(path).map_err(at(path))?;
        if !metadata.is_file() {
            return Err(bad("it is no regular file"));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(AuditError::ExposedKey { path: path.to_owned() });
        }
        let bytes = read_at_most(path, KEY_FILE_LIMIT).map(Zeroizing::new).map_err(at(path))?;
        Self::parse(&bytes).ok_or_else(|| bad("one line that begins with PRIVATE+KEY+ is expected"))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim_end().strip_prefix(SECRET)?;
        let (name, rest) = text.split_once('+')?;
        let (hash, data) = rest.split_once('+')?;
        let data = Zeroizing::new(STANDARD.decode(data).ok()?);
        let seed = Zeroizing::new(<[u8; 32]>::try_from(data.strip_prefix(&[ED25519])?).ok()?);
        let key = Self(SigningKey::from_bytes(&seed));
        (hash == hex(key_id(name, &key.0.verifying_key()))).then_some(key)
    }

    fn to_text(&self) -> Zeroizing<String> {
        let mut data = Zeroizing::new(vec![ED25519]);
        data.extend_from_slice(self.0.as_bytes());
        let data = Zeroizing::new(STANDARD.encode(&*data));
        let hash = hex(key_id(SECRET_NAME, &self.0.verifying_key()));
        Zeroizing::new(format!("{SECRET}{SECRET_NAME}+{hash}+{}\n", *data))
    }

    /// The key that `seed` stands for.
    pub(in super::super) fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The half that others may see, for the log called `origin`.
    pub(in super::super) fn public(&self, origin: &str) -> AuditPublicKey {
        AuditPublicKey { origin: origin.to_owned(), key: self.0.verifying_key() }
    }

    /// Whether `public` is the other half.
    pub(super) fn fits(&self, public: &AuditPublicKey) -> bool {
        self.0.verifying_key() == public.key
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// The checkpoint of a tree, as text.
    pub(super) fn checkpoint(&self, origin: &str, size: u64, root: Digest) -> String {
        self.note(origin, &format!("{origin}\n{size}\n{}\n", STANDARD.encode(root.as_bytes())))
    }

    /// The signed note of `text`, which ends with a line end, by the key called `origin`.
    pub(in super::super) fn note(&self, origin: &str, text: &str) -> String {
        let mut signature = key_id(origin, &self.0.verifying_key()).to_vec();
        signature.extend_from_slice(&self.sign(text.as_bytes()));
        format!("{text}\n\u{2014} {origin} {}\n", STANDARD.encode(signature))
    }
}

/// The public half of the key of one log: its origin and an Ed25519 key, written as C2SP's `vkey`.
#[derive(Clone, PartialEq, Eq)]
pub struct AuditPublicKey {
    origin: String,
    key: VerifyingKey,
}

impl AuditPublicKey {
    /// Reads a `.vkey` file.
    pub fn load(path: &Path) -> Result<Self, AuditError> {
        let text = read_at_most(path, KEY_FILE_LIMIT).map_err(at(path))?;
        let text = String::from_utf8_lossy(&text);
        text.strip_suffix('\n')
            .unwrap_or(&text)
            .parse()
            .map_err(|problem| AuditError::BadKey { path: path.to_owned(), problem })
    }

    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        // Strict: one signature per message and key, so that no bit of it can change unnoticed.
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for AuditPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = [&[ED25519], &self.key.as_bytes()[..]].concat();
        let hash = hex(key_id(&self.origin, &self.key));
        write!(f, "{}+{hash}+{}", self.origin, STANDARD.encode(data))
    }
}

impl fmt::Debug for AuditPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AuditPublicKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (origin, rest) = text.split_once('+')?;
            let (_, data) = rest.split_once('+')?;
            let data = STANDARD.decode(data).ok()?;
            let key = <[u8; 32]>::try_from(data.strip_prefix(&[ED25519])?).ok()?;
            let key = VerifyingKey::from_bytes(&key).ok().filter(|key| !key.is_weak())?;
            let key = Self { origin: origin.to_owned(), key };
            // One spelling per key; the key id in the middle is checked along.
            (is_name(origin) && key.to_string() == text).then_some(key)
        };
        parse().ok_or("a public key of the form NAME+ID+KEY is expected")
    }
}

impl Serialize for AuditPublicKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AuditPublicKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a key may be called in a note.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// The first four bytes of the digest of name, type and key.
fn key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let mut hash = Sha256::new();
    hash.update(name.as_bytes());
    hash.update([b'\n', ED25519]);
    hash.update(key.as_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    [hash[0], hash[1], hash[2], hash[3]]
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

/// The text of a signed note, if it carries a valid signature of `key`. Signatures of others, such
/// as witnesses, are passed over.
pub(in super::super) fn signed_text<'a>(
    note: &'a str,
    key: &AuditPublicKey,
) -> Result<&'a str, &'static str> {
    let split = note.rfind("\n\n").ok_or("has no signature")?;
    let (text, signatures) = (&note[..=split], &note[split + 2..]);
    if text.chars().any(|c| c.is_control() && c != '\n') || !signatures.ends_with('\n') {
        return Err("is no signed note");
    }
    let id = key_id(&key.origin, &key.key);
    let mut valid = false;
    for line in signatures.lines() {
        let signature = line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' '));
        let (name, data) = signature.ok_or("is no signed note")?;
        let data = STANDARD.decode(data).map_err(|_| "is no signed note")?;
        let Some((hint, signature)) = data.split_first_chunk::<4>() else {
            return Err("is no signed note");
        };
        if name != key.origin || *hint != id {
            continue;
        }
        let signature = <&[u8; 64]>::try_from(signature).map_err(|_| "was altered")?;
        if valid || !key.verify(text.as_bytes(), signature) {
            return Err("was altered");
        }
        valid = true;
    }
    if valid { Ok(text) } else { Err("is not signed by this log's key") }
}

/// A signed statement about a log: at this size it had this root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of lines.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Digest,
    /// The text as it was signed, signatures included.
    pub note: String,
}

impl Checkpoint {
    /// Reads a checkpoint that `key` signed. The error says what is wrong with it.
    pub fn parse(note: &str, key: &AuditPublicKey) -> Result<Self, &'static str> {
        let text = signed_text(note, key)?;
        let (origin, size, root) = (|| {
            let mut lines = text.strip_suffix('\n')?.split('\n');
            let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
            let number: u64 = size.parse().ok().filter(|n: &u64| n.to_string() == size)?;
            let root = <[u8; 32]>::try_from(STANDARD.decode(root).ok()?).ok()?;
            Some((origin, number, Digest::from_bytes(root)))
        })()
        .ok_or("is no checkpoint")?;
        if origin != key.origin {
            return Err("is of another log");
        }
        Ok(Self { size, root, note: note.to_owned() })
    }
}

/// A proof that one line is in a log, in the form of C2SP `tlog-proof`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The line's number, from 1.
    pub line: u64,
    path: Vec<Digest>,
    /// The checkpoint that the proof leads to.
    pub checkpoint: Checkpoint,
}

impl Proof {
    pub(super) fn new(line: u64, path: Vec<Digest>, checkpoint: Checkpoint) -> Self {
        Self { line, path, checkpoint }
    }

    /// Reads a proof against a checkpoint that `key` signed.
    pub fn parse(text: &str, key: &AuditPublicKey) -> Result<Self, &'static str> {
        let bad = "is no proof of a log";
        let (head, note) = text.split_once("\n\n").ok_or(bad)?;
        let mut lines = head.lines();
        if lines.next() != Some(PROOF) {
            return Err(bad);
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).ok_or(bad)?;
        let number: u64 = index.parse().ok().filter(|n: &u64| n.to_string() == index).ok_or(bad)?;
        let path = lines
            .map(|line| Some(Digest::from_bytes(STANDARD.decode(line).ok()?.try_into().ok()?)))
            .collect::<Option<Vec<_>>>()
            .ok_or(bad)?;
        let checkpoint = Checkpoint::parse(note, key)?;
        Ok(Self { line: number.checked_add(1).ok_or(bad)?, path, checkpoint })
    }

    /// Whether `line`, without its line end, is the line that is proven.
    #[must_use]
    pub fn proves(&self, line: &[u8]) -> bool {
        let Checkpoint { size, root, .. } = self.checkpoint;
        let Some(index) = self.line.checked_sub(1) else { return false };
        tree::root_from(tree::leaf(line), index, size, &self.path) == Some(root)
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{PROOF}\nindex {}", self.line - 1)?;
        self.path
            .iter()
            .try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash.as_bytes())))?;
        write!(f, "\n{}", self.checkpoint.note)
    }
}

/// A key for tests.
#[cfg(test)]
pub(super) fn test_key() -> AuditKey {
    AuditKey(SigningKey::from_bytes(&[7; 32]))
}

#[cfg(test)]
mod tests {
    use super::{test_key as key, *};

    /// The example in the documentation of Go's `golang.org/x/mod/sumdb/note`.
    #[test]
    fn notes_and_keys_are_those_of_go() {
        let secret =
            "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
        let public = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let key = AuditKey::parse(secret.as_bytes()).unwrap();
        let parsed: AuditPublicKey = public.parse().unwrap();
        assert_eq!(key.public("PeterNeumann"), parsed);
        assert_eq!(parsed.to_string(), public);
        let note = format!("{text}\n\u{2014} PeterNeumann {signature}\n");
        assert_eq!(signed_text(&note, &parsed), Ok(text));
        let data = STANDARD.decode(signature).unwrap();
        assert_eq!(key.sign(text.as_bytes()), data[4..]);
    }

    #[test]
    fn every_byte_of_a_checkpoint_counts() {
        let public = key().public("classveil/x");
        let note = key().checkpoint("classveil/x", 12, Digest::of(b"root"));
        let checkpoint = Checkpoint::parse(&note, &public).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (12, Digest::of(b"root")));
        for at in 0..note.len() {
            for bit in 0..8 {
                let mut altered = note.clone().into_bytes();
                altered[at] ^= 1 << bit;
                let Ok(altered) = String::from_utf8(altered) else { continue };
                assert!(Checkpoint::parse(&altered, &public).is_err(), "byte {at} bit {bit}");
            }
            if note.is_char_boundary(at) {
                assert!(Checkpoint::parse(&note[..at], &public).is_err(), "cut at {at}");
            }
        }
        assert!(Checkpoint::parse(&note, &key().public("classveil/y")).is_err());
    }

    #[test]
    fn a_witness_may_sign_along() {
        let public = key().public("classveil/x");
        let witness = AuditKey(SigningKey::from_bytes(&[8; 32]));
        let note = key().checkpoint("classveil/x", 1, Digest::of(b"root"));
        let (text, _) = note.split_once("\n\n").unwrap();
        let mut data = key_id("witness", &witness.0.verifying_key()).to_vec();
        data.extend_from_slice(&witness.sign(format!("{text}\n").as_bytes()));
        let both = format!("{note}\u{2014} witness {}\n", STANDARD.encode(data));
        assert_eq!(Checkpoint::parse(&both, &public).unwrap().size, 1);
        // The witness alone does not vouch for the log.
        let lines: Vec<&str> = both.lines().collect();
        let alone = format!("{text}\n\n{}\n", lines[lines.len() - 1]);
        assert!(Checkpoint::parse(&alone, &public).is_err());
    }

    #[test]
    fn keys_are_made_once_for_their_owner_and_show_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let (path, store) = (dir.path().join("keys/audit.key"), dir.path().join("store"));
        let first = AuditKey::load_or_create(&path, &store).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(first.0, AuditKey::load_or_create(&path, &store).unwrap().0);
        assert_eq!(format!("{first:?}"), "AuditKey { .. }");
        assert!(AuditKey::load_or_create(&store.join("audit.key"), &store).is_err());
        let exposed = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&path, exposed).unwrap();
        assert!(matches!(AuditKey::load(&path), Err(AuditError::ExposedKey { .. })));
    }
}
