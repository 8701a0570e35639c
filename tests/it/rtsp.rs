//! A network camera: a real RTSP server on loopback that serves a file.

use std::{path::Path, sync::mpsc, thread::JoinHandle};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_rtsp_server as rtsp;
use gstreamer_rtsp_server::prelude::*;

/// Serves until it is dropped.
pub(crate) struct Camera {
    port: u16,
    stop: glib::MainLoop,
    thread: Option<JoinHandle<()>>,
}

impl Camera {
    /// Serves the H.264 video of an MP4 file at `/stream`, to whoever knows the login.
    pub(crate) fn serve(clip: &Path, login: Option<(&str, &str)>) -> Self {
        gst::init().expect("GStreamer");
        let launch = format!(
            "( filesrc location=\"{}\" ! qtdemux ! h264parse config-interval=-1 \
             ! rtph264pay name=pay0 pt=96 )",
            clip.display()
        );
        let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let context = glib::MainContext::new();
        let stop = glib::MainLoop::new(Some(&context), false);
        let running = stop.clone();
        let (said, port) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("rtsp-server".to_owned())
            .spawn(move || {
                context
                    .with_thread_default(|| {
                        let server = rtsp::RTSPServer::new();
                        server.set_address("127.0.0.1");
                        server.set_service("0");
                        let factory = rtsp::RTSPMediaFactory::new();
                        factory.set_launch(&launch);
                        factory.set_shared(true);
                        if let Some((user, password)) = &login {
                            protect(&server, &factory, user, password);
                        }
                        let mounts = server.mount_points().expect("mount points");
                        mounts.add_factory("/stream", factory);
                        let _source = server.attach(Some(&context)).expect("a free port");
                        let port = u16::try_from(server.bound_port()).expect("a port");
                        said.send(port).expect("somebody waits");
                        running.run();
                    })
                    .expect("a context of its own");
            })
            .expect("a thread");
        Self { port: port.recv().expect("a port"), stop, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/stream", self.port)
    }
}

fn protect(
    server: &rtsp::RTSPServer,
    factory: &rtsp::RTSPMediaFactory,
    user: &str,
    password: &str,
) {
    let auth = rtsp::RTSPAuth::new();
    let token = rtsp::RTSPToken::builder()
        .field(rtsp::RTSP_TOKEN_MEDIA_FACTORY_ROLE, user.to_owned())
        .build();
    let basic = rtsp::RTSPAuth::make_basic(user, password);
    auth.add_basic(basic.as_str(), &token);
    factory.add_role_from_structure(
        &gst::Structure::builder(user)
            .field(rtsp::RTSP_PERM_MEDIA_FACTORY_ACCESS, true)
            .field(rtsp::RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, true)
            .build(),
    );
    server.set_auth(Some(&auth));
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.quit();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
