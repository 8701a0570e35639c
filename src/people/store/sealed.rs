//! Embeddings on the disk: one age file, opened by the key file only and bound to its list.

use std::{collections::BTreeMap, fs, io::Read, iter, path::Path};

use age::x25519::Identity;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    disk::{self, sha256_hex},
    error::{StoreError, damaged, io},
};
use crate::{
    people::gallery::References,
    units::PupilId,
    vision::identify::{Embedding, Gallery},
};

/// The beginning of a gallery's file name; the rest is its digest.
pub(super) const PREFIX: &str = "gallery-";

/// Which gallery belongs to a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed {
    pub(super) file: String,
    sha256: String,
    /// Where its key was written, so that a load with another key file can destroy this one.
    pub(super) key: String,
}

/// What is encrypted.
#[derive(Serialize)]
struct Plain<'a> {
    /// Digest of the list that the references belong to: an older gallery does not fit a newer list.
    list: &'a str,
    references: BTreeMap<&'a PupilId, Vec<&'a [f32]>>,
}

#[derive(Deserialize)]
struct Opened {
    list: String,
    references: BTreeMap<PupilId, Vec<Vec<f32>>>,
}

/// Encrypts `gallery` to `identity` and writes it beside the list.
pub(super) fn seal(
    folder: &Path,
    key: &str,
    identity: &Identity,
    list: &str,
    gallery: &Gallery,
) -> Result<Sealed, StoreError> {
    let references = gallery
        .people
        .iter()
        .filter(|(_, person)| !person.references.is_empty())
        .map(|(id, p)| (id, p.references.iter().map(Embedding::as_slice).collect()))
        .collect();
    let failed = |e: &dyn std::fmt::Display| StoreError::Seal(e.to_string());
    // Enough that the buffer does not move and leave a copy behind: a number takes 14 characters.
    let count: usize = gallery.people.values().map(|p| p.references.len()).sum();
    let room = (count + gallery.people.len() + 1) * Embedding::LEN * 16;
    let mut plain = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *plain, &Plain { list, references }).map_err(|e| failed(&e))?;
    let bytes = age::encrypt(&identity.to_public(), &plain).map_err(|e| failed(&e))?;
    let sha256 = sha256_hex(&bytes);
    let file = format!("{PREFIX}{}.age", sha256.get(..16).unwrap_or_default());
    let path = folder.join(&file);
    disk::replace(&path, &bytes).map_err(|source| io("write", &path, source))?;
    Ok(Sealed { file, sha256, key: key.to_owned() })
}

/// The index of the identity that opens the gallery, and its references. `None` where none opens it.
pub(super) fn open(
    folder: &Path,
    sealed: &Sealed,
    identities: &[Identity],
    list: &str,
) -> Result<Option<(usize, References)>, StoreError> {
    let path = folder.join(&sealed.file);
    let broken = |what| damaged(path.clone(), what);
    let is_name = sealed.file.starts_with(PREFIX) && !sealed.file.contains('/');
    if !is_name {
        return Err(broken("its name is none"));
    }
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(broken("it is gone")),
        Err(source) => return Err(io("read", &path, source)),
    };
    if sha256_hex(&bytes) != sealed.sha256 {
        return Err(broken("its digest differs"));
    }
    for (i, identity) in identities.iter().enumerate() {
        let decryptor =
            age::Decryptor::new_buffered(&bytes[..]).map_err(|_| broken("it is no age file"))?;
        let mut reader = match decryptor.decrypt(iter::once(identity as &dyn age::Identity)) {
            Ok(reader) => reader,
            Err(age::DecryptError::NoMatchingKeys) => continue,
            Err(_) => return Err(broken("it cannot be decrypted")),
        };
        let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
        reader.read_to_end(&mut plain).map_err(|_| broken("it cannot be decrypted"))?;
        let opened: Opened =
            serde_json::from_slice(&plain).map_err(|_| broken("it holds no embeddings"))?;
        if opened.list != list {
            return Err(broken("it belongs to another list"));
        }
        let embedding = |raw: Vec<f32>| {
            let raw = Zeroizing::new(raw);
            raw.as_slice().try_into().ok().and_then(Embedding::new)
        };
        let references: Option<References> = opened
            .references
            .into_iter()
            .map(|(id, all)| Some((id, all.into_iter().map(embedding).collect::<Option<_>>()?)))
            .collect();
        let references = references.ok_or_else(|| broken("an embedding is none"))?;
        return Ok(Some((i, references)));
    }
    Ok(None)
}
