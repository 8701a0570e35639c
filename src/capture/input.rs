//! What may be recorded from, and the text an operator types for it.

use std::{
    fs,
    net::{TcpStream, ToSocketAddrs},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use zeroize::Zeroizing;

use super::{CaptureError, describe::describe};
use crate::frame::FrameSize;

/// How long a camera may take to say what it would send: as long as a recording waits for its first picture.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(10);

/// Where pictures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file on disk: every picture, as fast as they are taken.
    File(PathBuf),
    /// A network camera.
    Rtsp {
        /// `rtsp://` or `rtsps://`, without user and password.
        url: RtspUrl,
        /// A file with the user on its first line and the password on its second.
        credentials: Option<PathBuf>,
    },
    /// A camera on this machine, as `/dev/videoN`.
    V4l2(PathBuf),
    /// A computed picture, for tests. No text leads here.
    Synthetic(Synthetic),
}

/// A computed picture and tone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synthetic {
    /// Size of the picture.
    pub size: FrameSize,
    /// Frames per second, as a fraction.
    pub framerate: (u32, u32),
    /// How many frames until the end.
    pub frames: u32,
    /// Channels of a tone beside it; none without one.
    pub audio_channels: Option<u8>,
    /// Whether it runs by the clock and displaces what nobody takes, as a camera does.
    pub live: bool,
}

impl Input {
    /// Reads what was typed: a file, an `rtsp://` or `rtsps://` address, or a video device.
    /// The path must exist; the network is not asked yet.
    pub fn parse(text: &str, credentials: Option<&Path>) -> Result<Self, CaptureError> {
        if text.trim().is_empty() {
            return Err(CaptureError::Empty);
        }
        if scheme_of(text).is_some_and(|s| s == "rtsp" || s == "rtsps") {
            let url = RtspUrl::parse(text)?;
            if let Some(path) = credentials {
                Credentials::read(path)?;
            }
            return Ok(Self::Rtsp { url, credentials: credentials.map(Path::to_owned) });
        }
        if credentials.is_some() {
            return Err(CaptureError::CredentialsUnused);
        }
        let path = PathBuf::from(text);
        let kind = match fs::metadata(&path) {
            Ok(metadata) => metadata.file_type(),
            // A colon may stand in a file's name, so an existing file comes first.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(match scheme_of(text) {
                    Some(scheme) => CaptureError::Scheme { scheme },
                    None => CaptureError::Missing { path },
                });
            }
            Err(source) => return Err(CaptureError::Unreadable { path, source }),
        };
        if kind.is_file() {
            // Asked now, so that the answer is about permissions and not about media.
            match fs::File::open(&path) {
                Ok(_) => Ok(Self::File(path)),
                Err(source) => Err(CaptureError::Unreadable { path, source }),
            }
        } else if kind.is_char_device() && is_video_device(&path) {
            Ok(Self::V4l2(path))
        } else {
            let what = if kind.is_dir() {
                "a directory"
            } else if kind.is_char_device() {
                "a device, but no camera"
            } else {
                "neither a file nor a camera"
            };
            Err(CaptureError::NotAnInput { path, what })
        }
    }

    /// Whether it answers, without asking it for a picture: a camera on the network says what it would
    /// send, a device or file is looked at. A network has `timeout` to connect; a camera that has to wake up
    /// has as long to say what it would send as a recording would wait for it.
    pub fn probe(&self, timeout: Duration) -> Result<(), CaptureError> {
        match self {
            Self::Rtsp { url, credentials } => {
                url.probe(timeout)?;
                describe(url, credentials.as_deref(), DESCRIBED_WITHIN)
            }
            Self::File(path) | Self::V4l2(path) => match fs::File::open(path) {
                Ok(_) => Ok(()),
                Err(source) => Err(CaptureError::Unreadable { path: path.clone(), source }),
            },
            Self::Synthetic(_) => Ok(()),
        }
    }

    /// Whether pictures come by the clock and the newest one wins, instead of waiting their turn.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Rtsp { .. } | Self::V4l2(_) => true,
            Self::Synthetic(synthetic) => synthetic.live,
        }
    }

    /// The name for messages: the path, or host and port of a camera, never more of its address.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::File(path) | Self::V4l2(path) => path.display().to_string(),
            Self::Rtsp { url, .. } => format!("camera {}", url.authority()),
            Self::Synthetic(_) => "synthetic input".to_owned(),
        }
    }
}

/// `[a-z][a-z0-9+.-]+:` at the start of the text. One letter is no scheme, so that the message for
/// a Windows path speaks of a missing file.
fn scheme_of(text: &str) -> Option<String> {
    let (scheme, _) = text.split_once(':')?;
    let valid = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
    valid.then(|| scheme.to_ascii_lowercase())
}

/// Links such as `/dev/v4l/by-id/...` count by where they lead.
fn is_video_device(path: &Path) -> bool {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real.strip_prefix("/dev").ok().and_then(Path::to_str).is_some_and(|name| {
        name.strip_prefix("video").is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

/// An RTSP address without user and password. Shown without path and query, because cameras put
/// passwords there too.
#[derive(Clone, PartialEq, Eq)]
pub struct RtspUrl {
    url: String,
    host: String,
    port: u16,
    tls: bool,
}

impl RtspUrl {
    fn parse(text: &str) -> Result<Self, CaptureError> {
        let bad = |problem| CaptureError::BadAddress { problem };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("has no //"))?;
        let tls = scheme.eq_ignore_ascii_case("rtsps");
        if rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(bad("has a space or control character in it"));
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let authority_host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = split_port(authority_host).ok_or_else(|| bad("has a bad port"))?;
        if host.is_empty() {
            return Err(bad("names no host"));
        }
        if authority.contains('@') {
            return Err(CaptureError::CredentialsInAddress { host: host.to_owned() });
        }
        // RFC 7826 section 4.2: 554, and 322 over TLS.
        let port = port.unwrap_or(if tls { 322 } else { 554 });
        let scheme = if tls { "rtsps" } else { "rtsp" };
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let url = format!("{scheme}://{bracketed}:{port}{path}");
        Ok(Self { url, host: host.to_owned(), port, tls })
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The whole address, for the element that connects.
    pub(super) fn as_str(&self) -> &str {
        &self.url
    }

    /// Whether the connection is encrypted.
    pub(super) fn is_tls(&self) -> bool {
        self.tls
    }

    /// Connects once and lets go, because the operating system tells an unknown name, a closed
    /// port and a dead host apart, and the media framework does not.
    pub(super) fn probe(&self, timeout: Duration) -> Result<(), CaptureError> {
        let host = self.authority();
        let addresses = match (self.host.as_str(), self.port).to_socket_addrs() {
            Ok(addresses) => addresses,
            Err(source) => return Err(CaptureError::UnknownHost { host, source }),
        };
        let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
        for address in addresses {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(_) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(match last.kind() {
            std::io::ErrorKind::ConnectionRefused => CaptureError::Refused { host },
            _ => CaptureError::Unreachable { host, source: last },
        })
    }
}

impl std::fmt::Debug for RtspUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RtspUrl({})", self.authority())
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`; none where the port is no number.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.find(':').map_or((authority, ""), |at| authority.split_at(at)),
    };
    if port.is_empty() {
        return Some((host, None));
    }
    let port = port.strip_prefix(':')?.parse().ok().filter(|&port| port != 0)?;
    Some((host, Some(port)))
}

/// User and password of a camera, wiped when dropped.
pub(super) struct Credentials {
    pub(super) user: Zeroizing<String>,
    pub(super) password: Zeroizing<String>,
}

impl Credentials {
    /// Reads a file that nobody else may read.
    pub(super) fn read(path: &Path) -> Result<Self, CaptureError> {
        let unreadable = |source| CaptureError::Unreadable { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(unreadable)?;
        // Asked of the open file, so that it cannot be another one than is read.
        let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(CaptureError::CredentialsOpen { path: path.to_owned(), mode });
        }
        let form = || CaptureError::CredentialsForm { path: path.to_owned() };
        let text = match std::io::read_to_string(file) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Err(form()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut lines = text.lines();
        let (Some(user), Some(password)) = (lines.next(), lines.next()) else {
            return Err(form());
        };
        if user.is_empty() || lines.any(|line| !line.is_empty()) {
            return Err(form());
        }
        Ok(Self {
            user: Zeroizing::new(user.to_owned()),
            password: Zeroizing::new(password.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn message(text: &str) -> String {
        Input::parse(text, None).expect_err(text).to_string()
    }

    #[test]
    fn only_files_cameras_and_devices_are_inputs() {
        for (text, part) in [
            ("", "empty"),
            ("http://example.org/a.mp4", "`http:` inputs are not read"),
            ("file:///etc/hostname", "`file:` inputs are not read"),
            ("srt://1.2.3.4:9000", "`srt:` inputs"),
            ("videotestsrc ! fakesink", "does not exist"),
            ("synthetic", "does not exist"),
            ("/no/such/file.mp4", "/no/such/file.mp4 does not exist"),
            ("/dev", "a directory"),
            ("/dev/null", "no camera"),
            ("/dev/video99", "does not exist"),
            ("rtsp:camera", "has no //"),
            ("rtsp:///stream", "names no host"),
            ("rtsp://camera:port/stream", "bad port"),
            ("rtsp://camera/a b", "space"),
        ] {
            let message = message(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn a_file_with_a_colon_in_its_name_is_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lesson:1.mp4");
        fs::write(&path, b"x").expect("a file");
        let text = path.to_str().expect("UTF-8");
        assert_eq!(Input::parse(text, None).expect("a file"), Input::File(path.clone()));
    }

    #[test]
    fn addresses_never_show_their_secrets() {
        let message = message("rtsp://admin:hunter2@camera.local/stream");
        assert!(message.contains("camera.local") && message.contains("--credentials"));
        assert!(!message.contains("hunter2") && !message.contains("admin"));
        let input = Input::parse("rtsp://[::1]:8554/u=admin_p=hunter2?x", None).expect("parses");
        assert!(!format!("{input:?} {}", input.label()).contains("hunter2"));
        let Input::Rtsp { url, .. } = input else { unreachable!("it is an rtsp address") };
        assert_eq!(url.as_str(), "rtsp://[::1]:8554/u=admin_p=hunter2?x");
    }

    #[test]
    fn credentials_are_for_their_owner_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("camera");
        fs::write(&path, "coach\np w\r\n").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");
        let open = Input::parse("rtsp://camera/1", Some(&path)).expect_err("too open");
        assert_eq!(open.kind(), crate::error::ErrorKind::Denied);
        assert!(open.to_string().contains("640"), "{open}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        let read = Credentials::read(&path).expect("good");
        assert_eq!((read.user.as_str(), read.password.as_str()), ("coach", "p w"));
        for bad in ["", "user\n", "\npassword\n", "user\npassword\nmore\n"] {
            fs::write(&path, bad).expect("a file");
            assert!(matches!(Credentials::read(&path), Err(CaptureError::CredentialsForm { .. })));
        }
        let unused = Input::parse("/dev/null", Some(&path)).expect_err("not for files");
        assert!(matches!(unused, CaptureError::CredentialsUnused));
    }
}
