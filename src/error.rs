//! What kind of failure an error is, so that three places can act on it: the supervisor (retry or
//! stop), the API (status) and `main` (exit code).

/// The kinds of failure. Every stage's error enum answers [`Kind::kind`] with one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line is wrong.
    Usage,
    /// A configuration, list or option is wrong; trying again changes nothing.
    Config,
    /// The caller may not do this, or holds the wrong key.
    Denied,
    /// The named thing does not exist.
    NotFound,
    /// The thing exists already or is in another state.
    Conflict,
    /// Trying again may work: a camera that is away, a busy device.
    Transient,
    /// Disk, memory or another resource ran out.
    Exhausted,
    /// Data are damaged, missing or tampered with.
    DataLoss,
    /// The operating system failed to read or write.
    Io,
    /// A promise inside the program was broken.
    Bug,
}

impl ErrorKind {
    /// The process exit code, after `sysexits.h` where it has one.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 64,
            Self::DataLoss => 65,
            Self::NotFound => 66,
            Self::Bug => 70,
            Self::Io | Self::Exhausted => 74,
            Self::Transient => 75,
            Self::Denied => 77,
            Self::Config | Self::Conflict => 78,
        }
    }

    /// The kind of an operating system error.
    #[must_use]
    pub fn of_io(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::NotFound,
            std::io::ErrorKind::PermissionDenied => Self::Denied,
            std::io::ErrorKind::AlreadyExists => Self::Conflict,
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Exhausted,
            _ => Self::Io,
        }
    }
}

/// What an operator can do about an operating system error: a clause to end a message with.
#[must_use]
pub fn advice(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind as Io;
    match error.kind() {
        Io::NotFound => ": check the path, and that the folder it lies in exists",
        Io::PermissionDenied => ": check who owns it and what its permissions allow",
        Io::ReadOnlyFilesystem => ": it lies on a disk that is mounted read-only; choose another",
        Io::StorageFull | Io::QuotaExceeded => ": make room on the disk that it lies on",
        Io::FileTooLarge => {
            ": a file may not grow further here; raise the limit of the user or disk"
        }
        Io::IsADirectory => ": it is a folder; name a file",
        Io::NotADirectory => ": a part of this path is a file; name a folder there",
        Io::AlreadyExists => ": it exists already; choose another name",
        Io::InvalidData | Io::InvalidInput => ": check that it is the file you mean",
        _ => ": try again; if it stays, look at the disk and the system's log",
    }
}

/// An error that knows its kind.
pub trait Kind: std::error::Error {
    /// What kind of failure this is.
    fn kind(&self) -> ErrorKind;
}
