//! Opens a checked recording with a person's key. Runs where that person is, never on the box.

use std::{
    io::{BufWriter, ErrorKind, Seek, Write},
    ops::ControlFlow,
    path::Path,
};

use age::{DecryptError, secrecy::ExposeSecret};
use zeroize::Zeroizing;

use super::{
    Checked, Details, Fault, FileDigest, VaultError,
    access::{Grant, KeyText, Note, STATEMENT, read_notes},
    retention,
    seal::Identities,
    sign::Signed,
    store::{DETAILS, GRANT_KEY, GRANTS, KEY, at, names_in, read_at_most},
    writer::{files_of, no_camera},
};
use crate::{
    encode::mp4::{JoinError, Joiner},
    units::CameraId,
};

/// A file with one wrapped key and a stanza for each recipient.
const KEY_LIMIT: u64 = 1 << 20;

/// A checked recording and its own key.
#[derive(Debug)]
pub struct Opened {
    checked: Checked,
    /// The recording's key.
    key: Identities,
    /// Notes that were added later and that the person can read.
    notes: Vec<Note>,
    /// Under which grant it was opened; none for a recipient, and for a key without a statement.
    grant: Option<Grant>,
}

/// What became of one camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Segments.
    pub segments: usize,
    /// Frames in them.
    pub frames: u64,
}

/// Unwraps the recording's key with the identities in `file`: from `key.age`, else from a grant.
pub fn open(checked: Checked, file: &Path) -> Result<Opened, VaultError> {
    let person = Identities::load(file)?;
    let dir = checked.dir.clone();
    let mut key = Identities::none();
    let wrapped = read_listed(&checked, KEY, checked.manifest.key)?;
    match person.open(&wrapped) {
        Ok(text) => key.append(parse(&checked, KEY, &text)?),
        Err(DecryptError::NoMatchingKeys) => {}
        Err(_) => return Err(damaged(&checked, KEY, "is no whole age file")),
    }
    let grants = dir.file(GRANTS);
    let mut grant = None;
    for name in names_in(&grants)? {
        if !key.is_empty() || !name.ends_with(GRANT_KEY) {
            continue;
        }
        let path = grants.join(&name);
        let wrapped = read_at_most(&path, KEY_LIMIT).map_err(at(&path))?;
        match person.open(&wrapped) {
            Ok(text) => {
                key.append(parse(&checked, &format!("{GRANTS}/{name}"), &text)?);
                grant = statement(&grants, &name);
            }
            Err(DecryptError::NoMatchingKeys) => {}
            // A grant is not covered by the manifest: a broken one is no reason to refuse others.
            Err(_) => tracing::warn!(grant = name, "this grant is no whole age file"),
        }
    }
    if key.is_empty() {
        return Err(VaultError::WrongIdentity { file: file.to_owned() });
    }
    let notes = read_notes(&dir, &person)?;
    Ok(Opened { checked, key, notes, grant })
}

/// What lies beside a granted key: until when it may be used. Who holds the key could open the
/// recording without it, so it is not checked here.
fn statement(folder: &Path, name: &str) -> Option<Grant> {
    let path = folder.join(format!("{}{STATEMENT}", name.strip_suffix(GRANT_KEY)?));
    Signed::<Grant>::load(&path).ok().map(|signed| signed.claim().clone())
}

impl Opened {
    /// The recording.
    #[must_use]
    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    /// Notes that were added at the request of people who were recorded.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The grant under which it was opened; none for one of its recipients.
    #[must_use]
    pub fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// The recording's secret key as the text of an identity file that begins with `comment`.
    pub(super) fn key_text(&self, comment: &str) -> KeyText {
        let mut text = KeyText::new(comment.to_owned());
        for key in self.key.keys() {
            text.push_str(key.to_string().expose_secret());
            text.push('\n');
        }
        text
    }

    /// What a small age file beside the recording says, if it is under the recording's key.
    pub(super) fn unseal(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.key.open(sealed).ok()
    }

    /// What only key holders may read.
    pub fn details(&self) -> Result<Details, VaultError> {
        let text = self.decrypt(DETAILS, self.checked.manifest.details)?;
        serde_json::from_slice(&text).map_err(|error| VaultError::UnknownFormat {
            path: self.checked.dir.file(DETAILS),
            problem: error.to_string(),
        })
    }

    /// Joins the segments of `camera` into `out` without encoding anything again. `progress` hears
    /// the encrypted bytes done and may break off, which is [`VaultError::BrokenOff`].
    pub fn join(
        &self,
        camera: &CameraId,
        out: impl Write + Seek,
        mut progress: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Joined, VaultError> {
        let manifest = &self.checked.manifest;
        if !manifest.cameras.contains(camera) {
            return Err(no_camera(camera.clone(), &manifest.cameras));
        }
        if manifest.segments_of(camera).next().is_none() {
            return Err(VaultError::Empty { camera: camera.clone() });
        }
        let join_error = |error: JoinError| match error {
            JoinError::Write(source) => at(Path::new("the output"))(source),
            error => VaultError::Join { camera: camera.clone(), problem: error.to_string() },
        };
        let mut joiner = Joiner::new(BufWriter::with_capacity(1 << 18, out));
        let mut segments = 0;
        let mut done = 0;
        for segment in manifest.segments_of(camera) {
            let [(name, listed), _] = files_of(segment);
            joiner.push(&self.decrypt(&name, listed)?).map_err(join_error)?;
            segments += 1;
            done += listed.bytes;
            if progress(done).is_break() {
                return Err(VaultError::BrokenOff);
            }
        }
        let comment = retention::joined(joiner.comments());
        let (_, summary) = joiner.finish(comment.as_deref()).map_err(join_error)?;
        Ok(Joined { segments, frames: summary.frames })
    }

    /// The first segment of `camera`, an MP4; none where it has no pictures.
    pub fn first_segment(
        &self,
        camera: &CameraId,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let first = self.checked.manifest.segments_of(camera).next();
        let first = first.map(|segment| {
            let [(name, listed), _] = files_of(segment);
            self.decrypt(&name, listed)
        });
        first.transpose()
    }

    /// Hands the tracks, decisions and reasons of each segment of `camera` to `each`, as JSON.
    pub fn each_reasons(
        &self,
        camera: &CameraId,
        mut each: impl FnMut(&[u8]) -> Result<(), VaultError>,
    ) -> Result<(), VaultError> {
        self.checked.manifest.segments_of(camera).try_for_each(|segment| {
            let [_, (name, listed)] = files_of(segment);
            each(&self.decrypt(&name, listed)?)
        })
    }

    /// Reads a file once, checks these very bytes against the manifest and decrypts them.
    fn decrypt(&self, name: &str, listed: FileDigest) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let sealed = read_listed(&self.checked, name, listed)?;
        self.key
            .open(&sealed)
            .map_err(|_| damaged(&self.checked, name, "is not encrypted to this recording's key"))
    }
}

/// Reads a file that the manifest lists. It was checked before, but may have changed since.
fn read_listed(checked: &Checked, name: &str, listed: FileDigest) -> Result<Vec<u8>, VaultError> {
    let path = checked.dir.file(name);
    let bytes = read_at_most(&path, listed.bytes).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::InvalidData => {
            damaged(checked, name, "changed while it was read")
        }
        _ => at(&path)(error),
    })?;
    if FileDigest::of(&bytes) == listed {
        Ok(bytes)
    } else {
        Err(damaged(checked, name, "changed while it was read"))
    }
}

fn parse(checked: &Checked, name: &str, text: &[u8]) -> Result<Identities, VaultError> {
    Identities::parse(text).map_err(|_| damaged(checked, name, "holds no key"))
}

fn damaged(checked: &Checked, name: &str, problem: &str) -> VaultError {
    VaultError::Damaged { path: checked.dir.0.clone(), faults: vec![Fault::new(name, problem)] }
}
