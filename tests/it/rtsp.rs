//! Network cameras: real RTSP servers on loopback that serve a file, or one colour that changes.

use std::{
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
};

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
        Self::serve_at(0, clip, login)
    }

    /// The same at a port; 0 for any that is free.
    pub(crate) fn serve_at(port: u16, clip: &Path, login: Option<(&str, &str)>) -> Self {
        gst::init().expect("GStreamer");
        let launch = format!(
            "( filesrc location=\"{}\" ! qtdemux ! h264parse config-interval=-1 \
             ! rtph264pay name=pay0 pt=96 )",
            clip.display()
        );
        Self::start(port, launch, login, |_| ())
    }

    /// A live camera that sees nothing but one colour.
    pub(crate) fn of_one_colour(size: (u32, u32)) -> (Self, Lamp) {
        Self::of_one_colour_at(0, size)
    }

    /// The same at a port.
    pub(crate) fn of_one_colour_at(port: u16, size: (u32, u32)) -> (Self, Lamp) {
        gst::init().expect("GStreamer");
        let (width, height) = size;
        let launch = format!(
            "( videotestsrc name=lens is-live=true pattern=solid-color foreground-color={GREY} \
             ! video/x-raw,format=I420,width={width},height={height},framerate=12/1 \
             ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=12 \
             ! h264parse config-interval=-1 ! identity name=times ! rtph264pay name=pay0 pt=96 )"
        );
        let lamp = Lamp::default();
        let (lens, times) = (Arc::clone(&lamp.0), Arc::clone(&lamp.1));
        let camera = Self::start(port, launch, None, move |factory| {
            factory.connect_media_configure(move |_, media| {
                let element = media.element();
                let bin = element.downcast_ref::<gst::Bin>().expect("a bin");
                *lens.lock().expect("no panic") = bin.by_name("lens");
                *times.lock().expect("no panic") = bin.by_name("times");
            });
        });
        (camera, lamp)
    }

    /// One that sends sound alone.
    pub(crate) fn of_sound_at(port: u16) -> Self {
        gst::init().expect("GStreamer");
        let launch = "( audiotestsrc is-live=true ! audioconvert ! audio/x-raw,rate=8000,channels=1 \
                      ! mulawenc ! rtppcmupay name=pay0 pt=0 )";
        Self::start(port, launch.to_owned(), None, |_| ())
    }

    fn start(
        port: u16,
        launch: String,
        login: Option<(&str, &str)>,
        set_up: impl FnOnce(&rtsp::RTSPMediaFactory) + Send + 'static,
    ) -> Self {
        let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let context = glib::MainContext::new();
        let stop = glib::MainLoop::new(Some(&context), false);
        let running = stop.clone();
        let (said, heard) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("rtsp-server".to_owned())
            .spawn(move || {
                context
                    .with_thread_default(|| {
                        let server = rtsp::RTSPServer::new();
                        server.set_address("127.0.0.1");
                        server.set_service(&port.to_string());
                        let factory = rtsp::RTSPMediaFactory::new();
                        factory.set_launch(&launch);
                        factory.set_shared(true);
                        set_up(&factory);
                        if let Some((user, password)) = &login {
                            protect(&server, &factory, user, password);
                        }
                        let mounts = server.mount_points().expect("mount points");
                        mounts.add_factory("/stream", factory);
                        let _source = server.attach(Some(&context)).expect("a free port");
                        let port = u16::try_from(server.bound_port()).expect("a port");
                        said.send(port).expect("somebody waits");
                        running.run();
                        // As a camera that loses its power.
                        server.client_filter(Some(&mut |_, _| rtsp::RTSPFilterResult::Remove));
                    })
                    .expect("a context of its own");
            })
            .expect("a thread");
        Self { port: heard.recv().expect("a port"), stop, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/stream", self.port)
    }
}

const GREY: u32 = 0xff40_4040;

/// What a camera of one colour sees.
#[derive(Clone, Default)]
pub(crate) struct Lamp(Element, Element);

/// An element of a camera that somebody looks at.
type Element = Arc<Mutex<Option<gst::Element>>>;

impl Lamp {
    /// One colour for so long, and grey again.
    pub(crate) fn flash(&self, [red, green, blue]: [u8; 3], length: std::time::Duration) {
        self.shine(u32::from_be_bytes([255, red, green, blue]));
        std::thread::sleep(length);
        self.shine(GREY);
    }

    /// From here on its pictures say that they are so much later.
    pub(crate) fn jump(&self, by: std::time::Duration) {
        let times = self.1.lock().expect("no panic");
        let nanoseconds = i64::try_from(by.as_nanos()).expect("a short time");
        let pad = times.as_ref().expect("somebody looks").static_pad("src").expect("a pad");
        pad.set_offset(nanoseconds);
    }

    /// No picture more comes, and nothing says so.
    pub(crate) fn freeze(&self) {
        let lens = self.0.lock().expect("no panic");
        let lens = lens.as_ref().expect("somebody looks");
        lens.set_state(gst::State::Paused).expect("it pauses");
    }

    fn shine(&self, colour: u32) {
        let lens = self.0.lock().expect("no panic");
        lens.as_ref().expect("somebody looks").set_property("foreground-color", colour);
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
