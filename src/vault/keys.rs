//! The box's signing key.
//!
//! Ed25519 in minisign's format, so that stock `minisign` reads the public key and the signatures.
//! The secret half is kept without a password, because a headless box has nobody to type one: its
//! protection is the file's mode and its place outside the store.

use std::{
    fmt,
    io::{Cursor, ErrorKind},
    os::unix::fs::MetadataExt,
    path::Path,
    str::FromStr,
};

use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox, SignatureBox};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::{
    VaultError,
    store::{at, make_dirs, parent_of, read_at_most, write_new},
};

/// Key files are a few hundred bytes.
const KEY_FILE_LIMIT: u64 = 4096;

/// Where the 32-byte Ed25519 seed stands in `minisign::SecretKey::to_bytes`: after three
/// algorithm names (2 bytes each), salt (32), two limits (8 each) and the key id (8).
const SEED: std::ops::Range<usize> = 62..94;

/// The box's signing key, both halves.
#[derive(Clone)]
pub struct BoxKey {
    /// `minisign::SecretKey` as bytes: that type neither wipes itself nor hides in `Debug`.
    secret: Zeroizing<Vec<u8>>,
    public: BoxPublicKey,
}

impl fmt::Debug for BoxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxKey").field("id", &self.public.id()).finish_non_exhaustive()
    }
}

impl BoxKey {
    /// Reads the key at `path`, or makes it there at first use. `store` is the store it signs for,
    /// which it must not lie in.
    pub fn load_or_create(path: &Path, store: &Path) -> Result<Self, VaultError> {
        refuse_inside(path, store)?;
        if !path.exists() {
            parent_of(path).map_or(Ok(()), make_dirs)?;
            let pair =
                KeyPair::generate_unencrypted_keypair().map_err(|error| sign_error(&error))?;
            let text = pair
                .sk
                .to_box(Some("classveil box key (secret)"))
                .map_err(|error| sign_error(&error))?;
            let text = Zeroizing::new(String::from(text));
            match write_new(path, text.as_bytes(), 0o600) {
                Ok(()) => {}
                // Another process made it just now.
                Err(VaultError::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                }
                Err(error) => return Err(error),
            }
        }
        Self::load(path)
    }

    /// Reads the key at `path`.
    pub fn load(path: &Path) -> Result<Self, VaultError> {
        let bad = |problem: &str| VaultError::BadBoxKey {
            path: path.to_owned(),
            problem: problem.to_owned(),
        };
        let metadata = std::fs::metadata(path).map_err(at(path))?;
        if !metadata.is_file() {
            return Err(bad("it is no regular file"));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(VaultError::ExposedKey { path: path.to_owned() });
        }
        let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(at(path))?;
        let secret = SecretKeyBox::from_string(&text)
            .and_then(SecretKeyBox::into_unencrypted_secret_key)
            .map_err(|_| bad("an Ed25519 key of minisign without password is expected"))?;
        let public = PublicKey::from_secret_key(&secret).map_err(|_| bad("it is incomplete"))?;
        Ok(Self { secret: Zeroizing::new(secret.to_bytes()), public: BoxPublicKey(public) })
    }

    /// The half that others may see.
    #[must_use]
    pub fn public(&self) -> &BoxPublicKey {
        &self.public
    }

    /// The text of a `.minisig` file for `bytes`; `comment` is signed along.
    pub(super) fn sign(&self, bytes: &[u8], comment: &str) -> Result<String, VaultError> {
        let secret = SecretKey::from_bytes(&self.secret).map_err(|error| sign_error(&error))?;
        let untrusted = self.public.signature_comment();
        let signature = minisign::sign(
            Some(&self.public.0),
            &secret,
            Cursor::new(bytes),
            Some(comment),
            Some(&untrusted),
        )
        .map_err(|error| sign_error(&error))?;
        Ok(signature.into_string())
    }

    /// Writes a program that people run elsewhere, and beside it the box's signature, a `.minisig`
    /// file. Neither replaces a file.
    pub fn publish_program(
        &self,
        path: &Path,
        bytes: &[u8],
        version: &str,
    ) -> Result<(), VaultError> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".minisig");
        let beside = Path::new(&beside);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let signature = self.sign(bytes, &format!("classveil {version} {name}"))?;
        for path in [path, beside] {
            if path.symlink_metadata().is_ok() {
                return Err(exists(path));
            }
        }
        for (path, bytes) in [(path, bytes), (beside, signature.as_bytes())] {
            write_new(path, bytes, 0o644).map_err(|error| match error {
                VaultError::Io { source, .. } if source.kind() == ErrorKind::AlreadyExists => {
                    exists(path)
                }
                error => error,
            })?;
        }
        Ok(())
    }

    /// One line that the box stands for, with its signature below it in one text.
    pub fn attest(&self, line: &str) -> Result<String, VaultError> {
        let line = format!("{line}\n");
        let signature = self.sign(line.as_bytes(), "classveil attests")?;
        Ok(line + &signature)
    }

    /// A key for one use, HKDF-SHA256 (RFC 5869) of the secret seed with `info` as context. Who
    /// knows the derived key learns nothing of the box key or of other derived keys.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the length is a constant")]
    pub fn derive(&self, info: &str) -> Zeroizing<[u8; 32]> {
        let mut derived = Zeroizing::new([0; 32]);
        let info = ["classveil/1/", info];
        hkdf::Hkdf::<sha2::Sha256>::new(None, &self.secret[SEED])
            .expand_multi_info(&info.map(str::as_bytes), derived.as_mut())
            .expect("32 bytes are less than 255 blocks");
        derived
    }
}

fn exists(path: &Path) -> VaultError {
    VaultError::Exists { path: path.to_owned(), hint: "choose another name, or remove it first" }
}

fn sign_error(error: &minisign::PError) -> VaultError {
    VaultError::Sign { problem: error.to_string() }
}

/// A copy of the store must not carry the key that signs it.
pub(super) fn refuse_inside(path: &Path, store: &Path) -> Result<(), VaultError> {
    let real = |path: &Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // What does not exist yet is judged by the part of its path that does.
        path.ancestors()
            .find_map(|up| {
                let real = up.canonicalize().ok()?;
                Some(real.join(path.strip_prefix(up).ok()?))
            })
            .unwrap_or_else(|| path.clone())
    };
    if real(path).starts_with(real(store)) {
        return Err(VaultError::KeyInsideStore { path: path.to_owned(), store: store.to_owned() });
    }
    Ok(())
}

/// The public half of a box's signing key.
#[derive(Clone)]
pub struct BoxPublicKey(PublicKey);

/// Why a signature does not count.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadSignature {
    /// It names another key, by this id.
    OtherKey(String),
    /// It does not fit.
    Invalid(&'static str),
}

impl BoxPublicKey {
    /// Reads a `.pub` file of minisign.
    pub fn load(path: &Path) -> Result<Self, VaultError> {
        let text = read_at_most(path, KEY_FILE_LIMIT).map_err(at(path))?;
        let text = String::from_utf8_lossy(&text);
        // The file has a comment line and the key; a bare key is accepted as well.
        let key = text.lines().find(|line| !line.is_empty() && !line.starts_with("untrusted"));
        key.unwrap_or_default().trim().parse().map_err(|problem: &str| VaultError::BadBoxKey {
            path: path.to_owned(),
            problem: problem.to_owned(),
        })
    }

    /// The default place of the public half, derived from where the secret half is.
    pub fn of_secret(path: &Path) -> Result<Option<Self>, VaultError> {
        match BoxKey::load(path) {
            Ok(key) => Ok(Some(key.public)),
            Err(VaultError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The key id as minisign shows it: 16 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        key_id(self.0.keynum())
    }

    /// The text of a `.pub` file.
    #[must_use]
    pub fn to_file(&self) -> String {
        format!("untrusted comment: classveil box key {}\n{}\n", self.id(), self.0.to_base64())
    }

    /// The line of a text that [`BoxKey::attest`] made, if this key signed it.
    pub fn attested<'a>(&self, text: &'a str) -> Result<&'a str, &'static str> {
        let end = text.find('\n').ok_or("has no signature")?;
        let (line, signature) = text.split_at(end + 1);
        match self.verify(line.as_bytes(), signature.as_bytes()) {
            Ok(()) => Ok(line.trim_end()),
            Err(BadSignature::OtherKey(_)) => Err("is signed by another box"),
            Err(BadSignature::Invalid(_)) => Err("was altered: its signature does not fit"),
        }
    }

    fn signature_comment(&self) -> String {
        format!("classveil recording, box key {}", self.id())
    }

    /// Checks `signature`, the text of a `.minisig` file, over `bytes`.
    ///
    /// Stricter than stock minisign: the file must be exactly what [`BoxKey::sign`] writes, so that
    /// no bit of it can change unnoticed, the unsigned comment included.
    pub(super) fn verify(&self, bytes: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let bad = BadSignature::Invalid;
        let text = std::str::from_utf8(signature).map_err(|_| bad("is no signature file"))?;
        let parsed = parse_signature(text).ok_or(bad("is no signature file"))?;
        if parsed.keynum() != self.0.keynum() {
            return Err(BadSignature::OtherKey(key_id(parsed.keynum())));
        }
        if parsed.to_string() != text
            || parsed.untrusted_comment().ok() != Some(self.signature_comment())
        {
            return Err(bad("was altered"));
        }
        minisign::verify(&self.0, &parsed, Cursor::new(bytes), true, false, false)
            .map_err(|_| bad("does not fit the manifest: one of them was altered"))
    }
}

/// Parses a `.minisig` file. Lines are measured first, because the parser trusts the length of the
/// second signature.
fn parse_signature(text: &str) -> Option<SignatureBox> {
    // 74 and 64 bytes in base64.
    const SIGNATURE_CHARS: usize = 100;
    const GLOBAL_CHARS: usize = 88;
    let lines: Vec<&str> = text.lines().collect();
    match lines[..] {
        [_, signature, _, global]
            if signature.len() == SIGNATURE_CHARS
                && global.len() == GLOBAL_CHARS
                && global.ends_with("==")
                && !global.trim_end_matches("==").contains('=') =>
        {
            SignatureBox::from_string(text).ok()
        }
        _ => None,
    }
}

fn key_id(keynum: &[u8]) -> String {
    // minisign prints the id as a little-endian number.
    keynum.iter().rev().fold(String::new(), |id, byte| format!("{id}{byte:02X}"))
}

impl PartialEq for BoxPublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bytes() == other.0.to_bytes()
    }
}

impl Eq for BoxPublicKey {}

impl fmt::Debug for BoxPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoxPublicKey({})", self.id())
    }
}

impl fmt::Display for BoxPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_base64())
    }
}

impl FromStr for BoxPublicKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = "a public key of minisign is expected";
        let key = PublicKey::from_base64(text).map_err(|_| bad)?;
        // One spelling per key, and only the one algorithm there is.
        if key.to_base64() == text && text.starts_with("RW") { Ok(Self(key)) } else { Err(bad) }
    }
}

impl Serialize for BoxPublicKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BoxPublicKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn key(dir: &Path) -> BoxKey {
        BoxKey::load_or_create(&dir.join("keys/box.key"), &dir.join("store")).unwrap()
    }

    #[test]
    fn the_key_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let first = key(dir.path());
        let path = dir.path().join("keys/box.key");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(first.public(), key(dir.path()).public());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(BoxKey::load(&path), Err(VaultError::ExposedKey { .. })));
    }

    #[test]
    fn the_key_stays_out_of_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        for inside in ["box.key", "a/b/box.key", "../store/box.key"] {
            let error = BoxKey::load_or_create(&store.join(inside), &store).unwrap_err();
            assert!(matches!(error, VaultError::KeyInsideStore { .. }), "{inside}: {error}");
        }
        std::fs::create_dir(&store).unwrap();
        std::os::unix::fs::symlink(&store, dir.path().join("link")).unwrap();
        let error = BoxKey::load_or_create(&dir.path().join("link/box.key"), &store).unwrap_err();
        assert!(matches!(error, VaultError::KeyInsideStore { .. }), "{error}");
        assert!(BoxKey::load_or_create(&dir.path().join("store-2/box.key"), &store).is_ok());
    }

    #[test]
    fn debug_shows_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let key = key(dir.path());
        assert_eq!(format!("{key:?}"), format!("BoxKey {{ id: {:?}, .. }}", key.public().id()));
    }

    #[test]
    fn derived_keys_differ_by_use_and_box() {
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let key = key(dir.path());
        assert_eq!(key.derive("a"), key.derive("a"));
        assert_ne!(key.derive("a"), key.derive("b"));
        assert_ne!(key.derive("a"), super::tests::key(other.path()).derive("a"));
    }

    #[test]
    fn every_byte_of_a_signature_counts() {
        let dir = tempfile::tempdir().unwrap();
        let key = key(dir.path());
        let signature = key.sign(b"text", "comment").unwrap().into_bytes();
        assert_eq!(key.public().verify(b"text", &signature), Ok(()));
        assert!(key.public().verify(b"texT", &signature).is_err());
        for at in 0..signature.len() {
            for bit in 0..8 {
                let mut altered = signature.clone();
                altered[at] ^= 1 << bit;
                assert!(key.public().verify(b"text", &altered).is_err(), "byte {at} bit {bit}");
            }
            assert!(key.public().verify(b"text", &signature[..at]).is_err(), "cut at {at}");
        }
        let longer = [&signature[..], b"\n"].concat();
        assert!(key.public().verify(b"text", &longer).is_err());
    }

    #[test]
    fn public_keys_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let public = key(dir.path()).public().clone();
        let path = dir.path().join("box.pub");
        std::fs::write(&path, public.to_file()).unwrap();
        assert_eq!(BoxPublicKey::load(&path).unwrap(), public);
        assert_eq!(public.to_string().parse(), Ok(public));
        std::fs::write(&path, "untrusted comment: x\nnonsense\n").unwrap();
        assert!(matches!(BoxPublicKey::load(&path), Err(VaultError::BadBoxKey { .. })));
    }
}
