//! Key files of people: one that is under a passphrase is opened in memory.

use std::{
    io::{BufRead as _, IsTerminal as _, Read as _, Write as _},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr},
};
use zeroize::Zeroizing;

use super::{Failure, output};
use crate::{
    error::{ErrorKind, advice},
    vault::{is_locked, unlock},
};

/// Longest passphrase that is read, in bytes.
const LONGEST: usize = 1024;

/// Where the passphrase of a key file comes from.
#[derive(Debug, clap::Args)]
pub(super) struct Passphrase {
    /// The file whose first line is the passphrase of the key file, where that is under one [default: it
    /// is asked for on the terminal].
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Passphrase {
    /// The key file `given` as others read it: itself, or what its passphrase opens.
    pub(super) fn open(&self, given: &Path) -> Result<KeyFile, Failure> {
        if !is_locked(given)? {
            return Ok(KeyFile { path: given.to_owned(), memory: None });
        }
        let passphrase = match &self.passphrase_file {
            Some(path) => first_line(path)?,
            None => ask(&format!("passphrase of {}", given.display()), || {
                format!(
                    "{} is under a passphrase, and nobody can be asked here: give --passphrase-file \
                     FILE",
                    given.display()
                )
            })?,
        };
        let plain = unlock(given, &passphrase)?;
        let failed = |error: std::io::Error| {
            Failure::new(ErrorKind::of_io(&error), format!("no memory for a key: {error}"))
        };
        // Never on a disk.
        let memory = memfd_create("key", MemfdFlags::CLOEXEC);
        let mut memory = std::fs::File::from(memory.map_err(|error| failed(error.into()))?);
        memory.write_all(&plain).map_err(failed)?;
        let path = format!("/proc/self/fd/{}", memory.as_raw_fd()).into();
        Ok(KeyFile { path, memory: Some(memory) })
    }
}

/// A key file that can be read as long as this lives.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    memory: Option<std::fs::File>,
}

impl KeyFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        if let Some(memory) = &mut self.memory {
            // The pages go with the file; nothing is left of them for who reads memory later.
            let length = memory.metadata().map_or(0, |found| found.len());
            let noise = vec![0; usize::try_from(length).unwrap_or_default()];
            let _ = std::os::unix::fs::FileExt::write_all_at(memory, &noise, 0);
        }
    }
}

fn first_line(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unreadable = |error: std::io::Error| {
        let text = format!("cannot read {}: {error}{}", path.display(), advice(&error));
        Failure::new(ErrorKind::of_io(&error), text)
    };
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(LONGEST as u64).read_to_string(&mut text).map_err(unreadable)?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// Asks on the terminal, which shows nothing of what is typed; `nobody` says what to do where there is none.
pub(super) fn ask(
    question: &str,
    nobody: impl FnOnce() -> String,
) -> Result<Zeroizing<String>, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::new(ErrorKind::Usage, nobody()));
    }
    let failed = |error: std::io::Error| {
        Failure::new(ErrorKind::of_io(&error), format!("nobody can be asked: {error}"))
    };
    output::note(format_args!("{question}:"));
    let mut line = Zeroizing::new(String::with_capacity(LONGEST));
    let dark = Dark::begin().map_err(failed)?;
    stdin.lock().read_line(&mut line).map_err(failed)?;
    drop(dark);
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The terminal shows nothing of what is typed, until this is dropped.
struct Dark(Termios);

impl Dark {
    fn begin() -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut dark = before.clone();
        dark.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &dark)?;
        Ok(Self(before))
    }
}

impl Drop for Dark {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
