//! Recordings that end before their source does: whatever stops them, what was complete is sealed,
//! and what is sealed is veiled.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    eyes::{Eyes, Pictures, SAME, SURE},
    media::{Clips, frame_times, sample},
    rtsp::Camera,
    scene::{Recorded, Said, School, text},
    support::photo,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The sample clip many times over: nobody waits for its end.
pub(crate) fn endless(clips: &Clips) -> PathBuf {
    let from = sample("obama_speech.mp4");
    clips.make("endless.mp4", &format!("-stream_loop 100 -i {} -c copy", from.display()))
}

/// A recording that runs.
pub(crate) struct Running {
    child: Option<Child>,
}

impl Running {
    pub(crate) fn start(school: &School, input: &str, more: &[&str]) -> Self {
        Self::start_with(school, input, more, &[])
    }

    /// The same with variables in its surroundings.
    pub(crate) fn start_with(
        school: &School,
        input: &str,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = school.command();
        command.args(school.record_args(input)).args(more).envs(variables.iter().copied());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child: Some(child) }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("runs"))
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits until a segment is in its place.
    #[track_caller]
    pub(crate) fn until_first_segment(&mut self, school: &School) {
        self.until_another_segment(school, &[]);
    }

    /// The same where there are other recordings already.
    #[track_caller]
    fn until_another_segment(&mut self, school: &School, others: &[PathBuf]) {
        let began = Instant::now();
        let sealed = |recording: &Path| {
            fs::read_to_string(recording.join("segments.jsonl"))
                .is_ok_and(|lines| !lines.is_empty())
        };
        let mine = |r: &PathBuf| !others.contains(r) && sealed(r);
        while !school.recordings().iter().any(mine) {
            let child = self.child.as_mut().expect("runs");
            if child.try_wait().unwrap().is_some() || began.elapsed() > PATIENCE {
                child.kill().unwrap();
                let said = self.take();
                panic!("no segment: {:?} {}", said.code, said.err);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn take(&mut self) -> Said {
        self.child.take().expect("runs").wait_with_output().unwrap().into()
    }

    pub(crate) fn end(mut self) -> Said {
        self.take()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

const REFUSED: [&str; 6] = ["--policy", "refused", "--dpia", "D", "--segment", "2 s"];

#[track_caller]
fn assert_whole_and_veiled(school: &School, recorded: &Recorded) {
    let opened = school.open(&recorded.folder);
    let frames = recorded.json["frames_out"].as_u64().unwrap();
    assert_eq!(frame_times(&opened).len() as u64, frames);
    let mut eyes = Eyes::new();
    let man = eyes.person(&photo(&sample("obama.jpg")));
    let pictures = Pictures::of(&opened);
    for index in (0..pictures.len()).step_by(5) {
        for face in eyes.faces(&pictures.at(index), SURE) {
            assert!(face.cosine(&man) < SAME, "frame {index}");
        }
    }
}

/// Ctrl-C and a service manager's stop end a recording well: sealed, valid, nothing lost.
#[test]
fn a_signal_ends_a_recording_well() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let clip = endless(&clips);
    for signal in [Signal::INT, Signal::TERM] {
        let already = school.recordings();
        let mut running = Running::start(&school, text(&clip), &REFUSED);
        running.until_another_segment(&school, &already);
        running.send(signal);
        let recorded = school.recorded(running.end().ended(0));
        // Frames that waited in the ring are in it too.
        assert_eq!(recorded.json["frames_in"], recorded.json["frames_out"]);
        assert_eq!(recorded.json["fault"], serde_json::Value::Null);
        assert_eq!(recorded.manifest()["state"], "sealed");
        assert_whole_and_veiled(&school, &recorded);
    }
}

/// A second signal stops at once; what was on disk by then is recovered by the next recording.
#[test]
fn a_second_signal_stops_at_once() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let mut running = Running::start(&school, text(&endless(&clips)), &REFUSED);
    running.until_first_segment(&school);
    // While it is stopped both signals gather, so neither is too late for the other.
    running.send(Signal::STOP);
    running.send(Signal::INT);
    running.send(Signal::TERM);
    running.send(Signal::CONT);
    let said = running.end().ended(75);
    assert!(said.out.is_empty(), "{}", said.out);
    let [cut] = &school.recordings()[..] else { panic!("one recording") };
    let unsealed = school.run(&["verify", text(cut)]).ended(78);
    assert!(unsealed.err.contains("classveil recover"), "{}", unsealed.err);
    let short = clips
        .make("short.mp4", &format!("-t 1 -i {} -c copy", sample("obama_speech.mp4").display()));
    school.record(&short, &REFUSED);
    school.run(&["verify", text(cut)]).ended(0);
    school.open(cut);
}

/// A camera on the network, behind a password: recorded until Ctrl-C, and the password is nowhere.
#[test]
fn a_network_camera_is_recorded_until_it_is_stopped() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), Some(("teacher", "s3cret-w0rd")));
    let login = school.path("camera.login");
    fs::write(&login, "teacher\ns3cret-w0rd\n").unwrap();
    fs::set_permissions(&login, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut more = REFUSED.to_vec();
    more.extend(["--credentials", text(&login), "--log", "trace"]);
    let mut running = Running::start(&school, &camera.url(), &more);
    running.until_first_segment(&school);
    running.send(Signal::INT);
    let said = running.end().ended(0);
    assert!(!said.err.contains("s3cret") && !said.out.contains("s3cret"));
    let recorded = school.recorded(said);
    let (frames_in, frames_out) = (&recorded.json["frames_in"], &recorded.json["frames_out"]);
    assert_eq!(frames_in, frames_out);
    assert_whole_and_veiled(&school, &recorded);
}

/// A camera that ends its stream ends the recording.
#[test]
fn a_camera_that_ends_leaves_a_sealed_recording() {
    let school = School::with_refused_man();
    let camera = Camera::serve(&sample("obama_speech.mp4"), None);
    let running = Running::start(&school, &camera.url(), &REFUSED);
    // The server's clip ends by itself.
    let said = running.end();
    assert!([Some(0), Some(75)].contains(&said.code), "{:?} {}", said.code, said.err);
    let recorded = school.recorded(said);
    assert_eq!(recorded.manifest()["state"], "sealed");
    assert_whole_and_veiled(&school, &recorded);
}
