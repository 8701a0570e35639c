//! Promise: as a package the box starts by itself, says that it lives, and may do little else.

use std::{
    fs, io,
    os::unix::net::UnixDatagram,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    scene::{School, text},
    support::project,
};

const UNIT: &str = "packaging/classveil.service";

fn analyze(args: &[&str]) -> String {
    let output = Command::new("systemd-analyze")
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("systemd-analyze: {error}; `make setup` installs it"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn the_unit_is_exposed_to_little() {
    let said = analyze(&["security", "--offline=true", text(&project(UNIT))]);
    let line = said.lines().find(|line| line.contains("Overall exposure level")).expect(&said);
    let level = line.split(": ").nth(1).and_then(|rest| rest.split(' ').next()).expect(line);
    assert!(level.parse::<f64>().unwrap() <= 2.0, "{said}");
}

#[test]
fn the_unit_says_what_it_means() {
    let folder = tempfile::tempdir().unwrap();
    let unit = fs::read_to_string(project(UNIT)).unwrap();
    let here = env!("CARGO_BIN_EXE_classveil");
    assert!(unit.contains("ExecStart=/usr/bin/classveil "));
    // Without /proc/sys nobody can say which run of the machine it is, and a clock that is set forward
    // is not noticed.
    assert!(!unit.contains("ProcSubset"));
    let path = folder.path().join("classveil.service");
    fs::write(&path, unit.replace("/usr/bin/classveil", here)).unwrap();
    // Any line about it is a complaint.
    let said = analyze(&["verify", "--man=no", text(&path)]);
    let complaints: Vec<_> = said.lines().filter(|line| line.contains("classveil")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[test]
fn the_packaged_settings_are_valid() {
    let school = School::with_refused_man();
    school.run(&["config", "check", text(&project("packaging/classveil.toml"))]).ended(0);
}

#[test]
fn what_is_packed_is_there() {
    let cargo: toml::Table = fs::read_to_string(project("Cargo.toml")).unwrap().parse().unwrap();
    let assets = cargo["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    for asset in assets {
        let source = asset[0].as_str().unwrap();
        if source.starts_with("target/") {
            continue;
        }
        let path = project(source);
        let (folder, name) = (path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap());
        let (start, end) = name.split_once('*').unwrap_or((name, ""));
        let fits = |entry: io::Result<fs::DirEntry>| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.starts_with(start) && name.ends_with(end)
        };
        assert!(fs::read_dir(folder).unwrap().any(fits), "{source}");
    }
}

/// A box that a service manager started, which is this test.
struct Managed {
    child: Child,
    socket: UnixDatagram,
}

impl Managed {
    /// What the manager is told next.
    fn told(&self) -> String {
        let mut buffer = [0; 1024];
        let length = self.socket.recv(&mut buffer).expect("nothing was told");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_service_manager_hears_of_it() {
    let school = School::with_refused_man();
    fs::write(
        school.path("box.toml"),
        "[store]\nfolder = \"store\"\n[control]\nsocket = \"box.sock\"\n",
    )
    .unwrap();
    let socket = UnixDatagram::bind(school.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let child = school
        .command()
        .args(["run", "--config", "box.toml"])
        .env("NOTIFY_SOCKET", school.path("notify"))
        .env("WATCHDOG_USEC", "1500000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut managed = Managed { child, socket };
    let first = managed.told();
    assert!(first.lines().any(|line| line == "READY=1"), "{first}");
    // Whoever is told that it is ready can ask it.
    let said = school.run(&["status", "--config", "box.toml", "--json"]).ended(0).json();
    // And it has looked at everything.
    assert_eq!(said["body"]["ready"], true, "{said}");
    assert_eq!(said["body"]["reasons"][0]["code"], "recipients-missing", "{said}");
    // It says that it lives, again and again: a single sign would be of its start.
    for _ in 0..4 {
        while !managed.told().contains("WATCHDOG=1") {}
    }
    // A box that stands still says nothing.
    let pid = Pid::from_child(&managed.child);
    kill_process(pid, Signal::STOP).unwrap();
    managed.socket.set_nonblocking(true).unwrap();
    while managed.socket.recv(&mut [0; 1024]).is_ok() {}
    managed.socket.set_nonblocking(false).unwrap();
    managed.socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let silence = managed.socket.recv(&mut [0; 1024]).map_err(|error| error.kind());
    assert_eq!(silence, Err(io::ErrorKind::WouldBlock));
    kill_process(pid, Signal::CONT).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    managed.socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    while !managed.told().contains("STOPPING=1") {}
    assert!(managed.child.wait().unwrap().success());
}
