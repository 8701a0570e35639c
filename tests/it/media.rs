//! Clips, made by ffmpeg when a test wants them, what ffprobe says about them, and a camera on the
//! network.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use gstreamer_rtsp_server as rtsp;
use rtsp::{
    glib,
    gst_rtsp::{RTSPAuthMethod, RTSPLowerTrans},
    prelude::*,
};
use tempfile::TempDir;

/// A file of `tests/samples`, which `make setup` fetches.
pub(crate) fn sample(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
    assert!(path.is_file(), "{} is missing: run make setup", path.display());
    path
}

/// A folder for clips that goes when the test ends.
pub(crate) struct Clips {
    folder: TempDir,
}

impl Clips {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `ffmpeg ARGS name` and gives the path of the clip.
    pub(crate) fn make(&self, name: &str, args: &str) -> PathBuf {
        let path = self.path(name);
        let output = Command::new("ffmpeg")
            .args(["-nostdin", "-y", "-loglevel", "error"])
            .args(args.split_whitespace())
            .arg(&path)
            .output()
            .expect("ffmpeg is installed");
        assert!(
            output.status.success() && path.is_file(),
            "ffmpeg {args}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        path
    }

    /// Writes bytes as a file.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("room in the temporary folder");
        path
    }
}

/// The lines that `ffprobe -of csv=p=0 ARGS PATH` prints.
pub(crate) fn ffprobe(path: &Path, args: &str) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(args.split_whitespace())
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("ffprobe prints UTF-8");
    text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect()
}

/// The times of all frames of the first video stream, in seconds from where the file starts. Sound
/// before zero is the run-up of its codec, which is not heard.
pub(crate) fn frame_times(path: &Path) -> Vec<f64> {
    let start: f64 = ffprobe(path, "-show_entries format=start_time")
        .first()
        .and_then(|line| line.parse().ok())
        .unwrap_or(0.0_f64)
        .max(0.0);
    ffprobe(path, "-select_streams v:0 -show_entries frame=best_effort_timestamp_time")
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| line.split(',').next().expect("a field"))
        .map(|field| field.parse::<f64>().expect("a time") - start)
        .collect()
}

/// A real RTSP server on loopback with one stream, `/lesson`; it goes when dropped.
pub(crate) struct RtspServer {
    server: rtsp::RTSPServer,
    main_loop: glib::MainLoop,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// How a server asks for credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    None,
    Basic,
    Digest,
}

pub(crate) const USER: &str = "coach";
pub(crate) const PASSWORD: &str = "pass word:1";

impl RtspServer {
    /// Serves a launch text with payloaders `pay0`, `pay1`, over the transports given.
    pub(crate) fn start(launch: &str, login: Login, protocols: RTSPLowerTrans) -> Self {
        gstreamer::init().expect("GStreamer");
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let server = rtsp::RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service("0");
        let factory = rtsp::RTSPMediaFactory::new();
        factory.set_launch(launch);
        factory.set_protocols(protocols);
        if login != Login::None {
            let auth = rtsp::RTSPAuth::new();
            let token = rtsp::RTSPToken::builder().field("media.factory.role", "viewer").build();
            if login == Login::Basic {
                auth.add_basic(&rtsp::RTSPAuth::make_basic(USER, PASSWORD), &token);
            } else {
                auth.set_supported_methods(RTSPAuthMethod::Digest);
                auth.add_digest(USER, PASSWORD, &token);
            }
            server.set_auth(Some(&auth));
            let role = gstreamer::Structure::builder("viewer")
                .field("media.factory.access", true)
                .field("media.factory.construct", true)
                .build();
            factory.add_role_from_structure(&role);
        }
        server.mount_points().expect("mount points").add_factory("/lesson", factory);
        server.attach(Some(&context)).expect("a free port");
        let runs = main_loop.clone();
        let thread = std::thread::Builder::new()
            .name("rtsp-server".to_owned())
            .spawn(move || {
                let _ = context.with_thread_default(|| runs.run());
            })
            .expect("a thread");
        Self { server, main_loop, thread: Some(thread) }
    }

    /// Serves a clip's H.264 as it is, with its AAC beside it where `audio` says so.
    pub(crate) fn clip(path: &Path, audio: bool, login: Login, protocols: RTSPLowerTrans) -> Self {
        let mut launch = format!(
            "( filesrc location={} ! qtdemux name=d d.video_0 ! queue ! h264parse ! \
             rtph264pay name=pay0 pt=96 config-interval=1",
            path.display()
        );
        if audio {
            launch += " d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97";
        }
        Self::start(&(launch + " )"), login, protocols)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{path}", self.server.bound_port())
    }

    /// Drops every connection, as a server that is killed does.
    pub(crate) fn hang_up(&self) {
        self.server.client_filter(Some(&mut |_, _| rtsp::RTSPFilterResult::Remove));
    }
}

impl Drop for RtspServer {
    fn drop(&mut self) {
        self.hang_up();
        self.main_loop.quit();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
