//! Encryption: age files for people whose secret keys this machine does not have.
//!
//! Everything written here opens with stock `age`.

use std::{
    fmt,
    io::{self, Read, Write},
    path::Path,
    str::FromStr,
};

use age::{
    DecryptError, Decryptor, Encryptor, armor::ArmoredReader, secrecy::ExposeSecret, x25519,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::{
    Digest, VaultError,
    store::{at, read_at_most, write_new},
};
use crate::{
    error::{ErrorKind, Kind},
    units::RecordingId,
};

/// Identity files hold a handful of lines.
const IDENTITY_FILE_LIMIT: u64 = 1 << 20;

/// The base-2 logarithm of the work that a passphrase may take: 1 GiB of memory, as in the viewer.
const MAX_WORK_FACTOR: u8 = 20;

/// Texts that people send each other, encrypted.
const SMALL_FILE_LIMIT: u64 = 1 << 20;

/// The public keys whose shared secret is zero with every other key (points of low order on
/// Curve25519, RFC 7748 section 6.1, each with and without the ignored top bit). The age library
/// aborts on them, and a file for one of them could be opened by anybody.
const LOW_ORDER: [&str; 14] = [
    "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z",
    "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqzqqsuwj9m",
    "age1qyqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqj7vrya",
    "age1qyqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqzqqk67yly",
    "age1ur4h5lpmgxu2u9jku0a0r87ydtdqnr0tnsetrlvxvgz3vh6fhqqqzyt4v9",
    "age1ur4h5lpmgxu2u9jku0a0r87ydtdqnr0tnsetrlvxvgz3vh6fhzqqxqejhu",
    "age1t7wft09r2zxzfvwsk92eeql0tvzyghxytqwgapkcyf8dm5ylz9ts6wm9s8",
    "age1t7wft09r2zxzfvwsk92eeql0tvzyghxytqwgapkcyf8dm5ylz8ts72fzt7",
    "age1anlllllllllllllllllllllllllllllllllllllllllllllllals4n2t7m",
    "age1anllllllllllllllllllllllllllllllllllllllllllllllllls3hcv9z",
    "age1ahlllllllllllllllllllllllllllllllllllllllllllllllalsn46ayy",
    "age1ahlllllllllllllllllllllllllllllllllllllllllllllllllsh3g6la",
    "age1amlllllllllllllllllllllllllllllllllllllllllllllllalselrwrv",
    "age1amlllllllllllllllllllllllllllllllllllllllllllllllllsam3fc4",
];

/// The public key of a person who may open a recording: a native age X25519 recipient.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Recipient(x25519::Recipient);

/// What is wrong with a recipient.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no recipient: {problem}")]
pub struct BadRecipient {
    text: String,
    problem: &'static str,
}

impl Kind for BadRecipient {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Usage
    }
}

impl FromStr for Recipient {
    type Err = BadRecipient;

    fn from_str(text: &str) -> Result<Self, BadRecipient> {
        let bad = |text: &str, problem| Err(BadRecipient { text: text.to_owned(), problem });
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            // The text is a secret: it must not be repeated.
            return bad(
                "AGE-SECRET-KEY-...",
                "this is a secret key; give the public key that begins with age1, and make a new \
                 key pair if others saw this one",
            );
        }
        if text.starts_with("ssh-") {
            return bad(text, "SSH keys are not supported; make a key with `classveil keygen`");
        }
        match text.parse::<x25519::Recipient>() {
            Ok(key) if LOW_ORDER.contains(&key.to_string().as_str()) => {
                bad(text, "anybody could open what is encrypted to this key")
            }
            Ok(key) => Ok(Self(key)),
            Err(_) => bad(
                text,
                "a public key as `classveil keygen` or `age-keygen` prints it is expected, age1 \
                 and 58 more characters",
            ),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Recipient {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Recipient {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Recipient {
    /// The public half of `identity`.
    pub(super) fn of(identity: &x25519::Identity) -> Self {
        Self(identity.to_public())
    }

    /// Digest of the public key, as the log names it: `printf %s age1... | sha256sum`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_string().as_bytes())
    }

    /// The digest's first 32 digits in groups of four: short enough to read out on the telephone.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = self.digest().to_string();
        let groups = (0..32).step_by(4).map(|at| &digest[at..at + 4]);
        groups.collect::<Vec<_>>().join(" ")
    }
}

/// Encrypts a small text to `recipients`, as the bytes of an age file. `what` is named by errors.
pub fn encrypt_to(
    recipients: &[Recipient],
    plaintext: &[u8],
    what: &str,
) -> Result<Vec<u8>, VaultError> {
    if recipients.is_empty() {
        return Err(VaultError::NoRecipient);
    }
    let to = recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient);
    Encryptor::with_recipients(to).map_err(|error| seal_error(what, &error)).and_then(|encryptor| {
        encrypt(encryptor, plaintext, Vec::new()).map_err(|error| seal_error(what, &error))
    })
}

/// The public half of a recording's own key: enough to add to the recording, never to read it.
#[derive(Clone)]
pub(super) struct SealingKey(x25519::Recipient);

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not even the public half is shown: who does not have it cannot forge a segment.
        f.debug_struct("SealingKey").finish_non_exhaustive()
    }
}

impl SealingKey {
    /// Makes a recording's key pair. The secret half is returned encrypted to `recipients`, as the
    /// bytes of `key.age`, and is gone otherwise.
    pub(super) fn generate(
        recipients: &[Recipient],
        recording: RecordingId,
    ) -> Result<(Self, Vec<u8>), VaultError> {
        if recipients.is_empty() {
            return Err(VaultError::NoRecipient);
        }
        for (index, recipient) in recipients.iter().enumerate() {
            if recipients[..index].contains(recipient) {
                return Err(VaultError::DuplicateRecipient { recipient: recipient.to_string() });
            }
        }
        let identity = x25519::Identity::generate();
        let text = Zeroizing::new(format!(
            "# classveil recording {recording}\n{}\n",
            identity.to_string().expose_secret()
        ));
        let wrapped = encrypt_to(recipients, text.as_bytes(), "key.age")?;
        Ok((Self(identity.to_public()), wrapped))
    }

    /// Encrypts `plaintext` into `out` as a binary age file and hands `out` back, complete.
    pub(super) fn seal<W: Write>(
        &self,
        path: &Path,
        plaintext: &[u8],
        out: W,
    ) -> Result<W, VaultError> {
        let to = std::iter::once(&self.0 as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(to)
            .map_err(|error| seal_error(&path.to_string_lossy(), &error))?;
        encrypt(encryptor, plaintext, out).map_err(at(path))
    }
}

/// `finish` is called here and nowhere else, so no file can lack its last chunk.
fn encrypt<W: Write>(encryptor: Encryptor, plaintext: &[u8], out: W) -> io::Result<W> {
    let mut writer = encryptor.wrap_output(out)?;
    writer.write_all(plaintext)?;
    writer.finish()
}

fn seal_error(what: &str, error: &dyn fmt::Display) -> VaultError {
    VaultError::Seal { what: what.to_owned(), problem: error.to_string() }
}

/// The secret keys of a person, or of a recording.
pub struct Identities(Vec<x25519::Identity>);

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({} keys)", self.0.len())
    }
}

impl Identities {
    /// Reads an identity file of `classveil keygen` or `age-keygen`.
    pub fn load(path: &Path) -> Result<Self, VaultError> {
        // A pipe is a fine way to hand over a key, so this is not limited to regular files.
        let mut text = Zeroizing::new(Vec::new());
        std::fs::File::open(path)
            .and_then(|file| file.take(IDENTITY_FILE_LIMIT).read_to_end(&mut text))
            .map_err(at(path))?;
        let bad = |problem: String| VaultError::BadIdentity { path: path.to_owned(), problem };
        if begins_locked(&text) {
            return Err(bad("it is encrypted; decrypt it first with `age -d`".to_owned()));
        }
        let identities = Self::parse(&text).map_err(bad)?;
        if identities.0.is_empty() {
            return Err(bad("there is no line that begins with AGE-SECRET-KEY-1".to_owned()));
        }
        Ok(identities)
    }

    /// Reads the text of an identity file. Errors name the line, never its content.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        // The library names the line at fault; of what it accepts, every line is a comment or a key.
        age::IdentityFile::from_buffer(text).map_err(|error| error.to_string())?;
        let text = std::str::from_utf8(text).map_err(|_| "it is no text".to_owned())?;
        let keys = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        keys.map(|line| line.parse().map_err(str::to_owned)).collect::<Result<_, _>>().map(Self)
    }

    /// The keys one by one.
    pub(super) fn keys(&self) -> &[x25519::Identity] {
        &self.0
    }

    /// Their public halves.
    pub(super) fn recipients(&self) -> Vec<Recipient> {
        self.0.iter().map(|identity| Recipient(identity.to_public())).collect()
    }

    /// Decrypts a small age file that was made for one of these keys.
    pub fn decrypt(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let sealed = read_at_most(path, SMALL_FILE_LIMIT).map_err(at(path))?;
        self.open(&sealed).map_err(|error| match error {
            DecryptError::NoMatchingKeys => VaultError::NotForYou { path: path.to_owned() },
            _ => VaultError::NoAgeFile { path: path.to_owned() },
        })
    }

    /// Decrypts an age file held in memory.
    pub(super) fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let identities = self.0.iter().map(|identity| identity as &dyn age::Identity);
        let mut reader = Decryptor::new_buffered(sealed)?.decrypt(identities)?;
        let mut plaintext = Zeroizing::new(Vec::with_capacity(sealed.len()));
        reader.read_to_end(&mut plaintext)?;
        Ok(plaintext)
    }

    pub(super) fn append(&mut self, mut more: Self) {
        self.0.append(&mut more.0);
    }

    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn begins_locked(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    text.starts_with(b"age-encryption.org/") || text.starts_with(b"-----BEGIN AGE")
}

/// Whether an identity file is itself an age file. One that is no regular file is not looked into: a pipe
/// is read once.
pub fn is_locked(path: &Path) -> Result<bool, VaultError> {
    let found = std::fs::metadata(path).map_err(at(path))?;
    if !found.is_file() {
        return Ok(false);
    }
    let mut begins = Vec::new();
    let file = std::fs::File::open(path).map_err(at(path))?;
    file.take(64).read_to_end(&mut begins).map_err(at(path))?;
    Ok(begins_locked(&begins))
}

/// The text of an identity file that is under `passphrase`, armoured or not, as `age -p` and the page
/// *Keys* make it.
pub fn unlock(
    path: &Path,
    passphrase: &Zeroizing<String>,
) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let bad = |problem: &str| {
        let (path, problem) = (path.to_owned(), problem.to_owned());
        VaultError::BadIdentity { path, problem }
    };
    let sealed = read_at_most(path, IDENTITY_FILE_LIMIT).map_err(at(path))?;
    let reader = ArmoredReader::new(sealed.trim_ascii_start());
    let decryptor = Decryptor::new(reader).map_err(|_| bad("it is no whole age file"))?;
    if !decryptor.is_scrypt() {
        return Err(bad(
            "it is encrypted to keys, not under a passphrase: decrypt it with `age -d`",
        ));
    }
    let mut identity = age::scrypt::Identity::new(passphrase.to_string().into());
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    let decrypted = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity));
    let mut reader = decrypted.map_err(|error| match error {
        DecryptError::ExcessiveWork { .. } => bad("its passphrase takes more memory than it may"),
        _ => bad("the passphrase does not open it"),
    })?;
    let mut text = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader.read_to_end(&mut text).map_err(|_| bad("it is no whole age file"))?;
    Ok(text)
}

/// Makes a key pair for a person at `path`, in the format of `age-keygen`, never over another
/// file. Returns the public half.
pub fn write_identity(path: &Path, created: jiff::Timestamp) -> Result<Recipient, VaultError> {
    let identity = x25519::Identity::generate();
    let recipient = Recipient(identity.to_public());
    let created = created.strftime("%Y-%m-%dT%H:%M:%SZ");
    let text = Zeroizing::new(format!(
        "# created: {created}\n# public key: {recipient}\n{}\n",
        identity.to_string().expose_secret()
    ));
    match write_new(path, text.as_bytes(), 0o600) {
        Ok(()) => Ok(recipient),
        Err(VaultError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
            Err(VaultError::Exists {
                path: path.to_owned(),
                hint: "a key is never overwritten; choose another name",
            })
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn person() -> (Identities, Recipient) {
        let identity = x25519::Identity::generate();
        let recipient = Recipient(identity.to_public());
        (Identities(vec![identity]), recipient)
    }

    fn id() -> RecordingId {
        RecordingId::new(jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn only_native_recipients_pass() {
        let (_, recipient) = person();
        assert_eq!(recipient.to_string().parse(), Ok(recipient));
        for bad in [
            "",
            "age1",
            "age1yubikey1q2w7u3vpya839jxxuq8g0sedh3d740d4xvn639sqhr95ejj8vu3hyfumptt",
            "age1pq1qqqq",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE",
            "teacher@example.org",
        ] {
            assert!(bad.parse::<Recipient>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_key_given_by_mistake_is_not_repeated() {
        let secret = x25519::Identity::generate().to_string();
        let error = secret.expose_secret().parse::<Recipient>().unwrap_err().to_string();
        assert!(error.contains("secret key"), "{error}");
        assert!(!error.contains(&secret.expose_secret()[16..]), "{error}");
    }

    #[test]
    fn keys_that_anybody_could_open_are_refused() {
        for text in LOW_ORDER {
            // Each is a well-formed age recipient, and each is refused.
            assert!(text.parse::<x25519::Recipient>().is_ok(), "{text}");
            assert!(text.parse::<Recipient>().is_err(), "{text}");
        }
    }

    #[test]
    fn recipients_are_needed_and_differ() {
        let (_, recipient) = person();
        assert!(matches!(SealingKey::generate(&[], id()), Err(VaultError::NoRecipient)));
        assert!(matches!(
            SealingKey::generate(&[recipient.clone(), recipient], id()),
            Err(VaultError::DuplicateRecipient { .. })
        ));
    }

    #[test]
    fn who_is_no_recipient_cannot_open() {
        let (_, teacher) = person();
        let (stranger, _) = person();
        let (_, key_age) = SealingKey::generate(&[teacher], id()).unwrap();
        assert!(matches!(stranger.open(&key_age), Err(DecryptError::NoMatchingKeys)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Around age's chunk of 64 KiB, and at both ends.
        #[test]
        fn what_is_sealed_opens_again(
            size in prop_oneof![0usize..3, 65_534usize..65_539, 131_070usize..131_075],
            fill: u8,
            flip: prop::sample::Index,
        ) {
            let (teacher, first) = person();
            let (coach, second) = person();
            let (key, key_age) = SealingKey::generate(&[first, second], id()).unwrap();
            let plaintext = vec![fill; size];
            let sealed = key.seal(Path::new("x"), &plaintext, Vec::new()).unwrap();
            for person in [teacher, coach] {
                let own = Identities::parse(&person.open(&key_age).unwrap()).unwrap();
                prop_assert_eq!(&*own.open(&sealed).unwrap(), &plaintext);
                let mut altered = sealed.clone();
                altered[flip.index(sealed.len())] ^= 1;
                prop_assert!(own.open(&altered).is_err());
                prop_assert!(own.open(&sealed[..flip.index(sealed.len())]).is_err());
            }
        }
    }
}
