//! What people sign: statements about keys and access, each of one kind, each by one person.
//!
//! A person has no second key to look after: an Ed25519 key is derived from the age identity, so
//! every identity of stock `age-keygen` can sign. A statement is a C2SP signed note: its kind, one
//! line of JSON, an empty line, the signature. Belongs here: the derived key, signing, reading.
//! Does not belong: whose key counts for whom, which the directory of people says.

use std::{fmt, path::Path, str::FromStr};

use age::{secrecy::ExposeSecret, x25519};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{
    Digest, Identities, Recipient, VaultError,
    audit::{AuditKey, AuditPublicKey, signed_text},
    store::{at, read_at_most},
};
use crate::units::PersonId;

/// Context of the derivation (HKDF-SHA256 of RFC 5869 without salt), so that the derived key can
/// be used for nothing else.
const INFO: &[u8] = b"classveil/sign/v1";
/// A statement has a few lines.
const STATEMENT_LIMIT: u64 = 1 << 16;

/// A person's signing key, both halves.
pub struct PersonKey {
    key: AuditKey,
    recipient: Recipient,
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonKey").field("recipient", &self.recipient).finish_non_exhaustive()
    }
}

impl PersonKey {
    /// The signing keys of all identities in a file, in its order.
    #[must_use]
    pub fn of(identities: &Identities) -> Vec<Self> {
        identities.keys().iter().filter_map(Self::derive).collect()
    }

    fn derive(identity: &x25519::Identity) -> Option<Self> {
        let text = identity.to_string();
        let (_, secret) = bech32::decode(text.expose_secret()).ok()?;
        let secret = Zeroizing::new(secret);
        let mut seed = Zeroizing::new([0; 32]);
        hkdf::Hkdf::<Sha256>::new(None, &secret).expand(INFO, seed.as_mut()).ok()?;
        Some(Self { key: AuditKey::from_seed(&seed), recipient: Recipient::of(identity) })
    }

    /// The age public key of the same identity.
    #[must_use]
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// The half that others may see, under the pseudonym `person`.
    #[must_use]
    pub fn public(&self, person: &PersonId) -> PersonPublicKey {
        PersonPublicKey(self.key.public(person.as_str()))
    }

    /// Signs `statement` as the person who makes it.
    #[must_use]
    pub fn sign<T: Statement>(&self, statement: &T) -> String {
        // Pseudonyms, keys, digests and times always have a JSON form.
        let json = serde_json::to_string(statement).unwrap_or_default();
        self.key.note(statement.by().as_str(), &format!("{}\n{json}\n", T::KIND))
    }
}

/// The public half of a person's signing key, written as C2SP's `vkey` under the pseudonym.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonPublicKey(AuditPublicKey);

impl PersonPublicKey {
    /// Whose key it says it is.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.origin()
    }
}

impl fmt::Display for PersonPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PersonPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PersonPublicKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key: AuditPublicKey = text.parse()?;
        let name = key.origin().parse::<PersonId>();
        name.map(|_| Self(key)).map_err(|_| "its name is no pseudonym")
    }
}

impl Serialize for PersonPublicKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PersonPublicKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Something that a person says and signs.
pub trait Statement: Serialize + DeserializeOwned {
    /// First line of the note, so that no statement can be taken for one of another kind.
    const KIND: &'static str;

    /// Who says it.
    fn by(&self) -> &PersonId;
}

/// A statement as it was handed in: what it claims, before anybody vouches for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed<T> {
    claim: T,
    note: String,
}

impl<T> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({})", Digest::of(self.note.as_bytes()))
    }
}

impl<T: Statement> Signed<T> {
    /// Reads a statement. Nothing it says counts before [`check`](Self::check).
    pub fn parse(note: &str) -> Result<Self, &'static str> {
        let no = "is no statement of the kind that is expected here";
        let json = note.strip_prefix(T::KIND).and_then(|rest| rest.strip_prefix('\n')).ok_or(no)?;
        let (json, _) = json.split_once('\n').ok_or(no)?;
        let claim = serde_json::from_str(json)
            .map_err(|_| "cannot be read: it was altered or is of another version")?;
        Ok(Self { claim, note: note.to_owned() })
    }

    /// Reads a statement from a file.
    pub fn load(path: &Path) -> Result<Self, VaultError> {
        let bytes = read_at_most(path, STATEMENT_LIMIT).map_err(at(path))?;
        let bad = |problem| VaultError::BadStatement { path: path.to_owned(), problem };
        let note = String::from_utf8(bytes).map_err(|_| bad("is no text"))?;
        Self::parse(&note).map_err(bad)
    }

    /// What it says, if one of `keys` signed it in the name of who it says it is by.
    pub fn check<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k PersonPublicKey>,
    ) -> Result<&T, &'static str> {
        let mut problem = "is not signed with a key that counts for who it says it is by";
        for key in keys {
            match signed_text(&self.note, &key.0) {
                Ok(_) if key.name() == self.claim.by().as_str() => return Ok(&self.claim),
                Err("was altered") => problem = "was altered",
                _ => {}
            }
        }
        Err(problem)
    }

    /// What it says, whoever signed it.
    #[must_use]
    pub fn claim(&self) -> &T {
        &self.claim
    }

    /// The text as it was signed.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Digest of the text as it was signed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.note.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Word {
        by: PersonId,
        word: u32,
    }

    impl Statement for Word {
        const KIND: &'static str = "classveil-word/1";

        fn by(&self) -> &PersonId {
            &self.by
        }
    }

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Other(Word);

    impl Statement for Other {
        const KIND: &'static str = "classveil-other/1";

        fn by(&self) -> &PersonId {
            &self.0.by
        }
    }

    fn key(text: &str) -> PersonKey {
        PersonKey::of(&Identities::parse(text.as_bytes()).unwrap()).remove(0)
    }

    fn fresh() -> PersonKey {
        key(x25519::Identity::generate().to_string().expose_secret())
    }

    fn person(name: &str) -> PersonId {
        name.parse().unwrap()
    }

    /// The identity of bytes 0 to 31, and what other implementations of Bech32, HKDF and Ed25519
    /// (Python's `hmac`, OpenSSL) make of it.
    #[test]
    fn the_derived_key_is_the_documented_one() {
        let key =
            key("AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SWRYDWG\n");
        let public = key.public(&person("t-07")).to_string();
        let raw = "dc88ebb2407ff7fafaa48695a78c571401198ccb1d4edf56e631fd8b0ca02d68";
        let data = public.splitn(3, '+').last().unwrap();
        let data = STANDARD.decode(data).unwrap();
        let hex = data[1..].iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert_eq!((data[0], hex.as_str()), (1, raw));
    }

    #[test]
    fn only_who_says_it_can_have_said_it() {
        let (own, other) = (fresh(), fresh());
        let word = Word { by: person("t-07"), word: 7 };
        let note = own.sign(&word);
        let signed = Signed::<Word>::parse(&note).unwrap();
        assert_eq!(signed.check([&own.public(&person("t-07"))]), Ok(&word));
        assert_eq!(
            signed.check([&other.public(&person("t-07")), &own.public(&person("t-07"))]),
            Ok(&word)
        );
        assert!(signed.check([]).is_err());
        assert!(signed.check([&other.public(&person("t-07"))]).is_err());
        // The same key under another name says nothing for this one.
        assert!(signed.check([&own.public(&person("t-08"))]).is_err());
        assert!(Signed::<Other>::parse(&note).is_err(), "of another kind");
        let forged = own.sign(&Word { by: person("c-02"), word: 7 });
        let forged = Signed::<Word>::parse(&forged.replace("c-02", "t-07")).unwrap();
        assert!(forged.check([&own.public(&person("t-07"))]).is_err());
    }

    #[test]
    fn every_byte_of_a_statement_counts() {
        let own = fresh();
        let public = own.public(&person("t-07"));
        let note = own.sign(&Word { by: person("t-07"), word: 7 });
        for at in 0..note.len() {
            let mut altered = note.clone().into_bytes();
            altered[at] ^= 1;
            let Ok(altered) = String::from_utf8(altered) else { continue };
            let found = Signed::<Word>::parse(&altered);
            assert!(found.is_err() || found.unwrap().check([&public]).is_err(), "byte {at}");
        }
    }
}
