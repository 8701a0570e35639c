//! Disk and memory run short, before a lesson is recorded and while it is.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    process::Signal,
};

use super::Station;
use crate::{media::Clips, record::stop::endless, rtsp::Camera};

const MIB: u64 = 1 << 20;

/// MiB free beside `station`'s store.
fn free(station: &Station) -> u64 {
    let disk = rustix::fs::statvfs(station.school.path("")).unwrap();
    disk.f_bavail * disk.f_frsize / MIB
}

/// Adds settings, which count from the next start.
fn set(station: &Station, more: &str) {
    let path = station.school.path("box.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{config}{more}")).unwrap();
}

/// Waits until something is on the disk: the writer may have two segments waiting and one at hand.
fn until_written(station: &mut Station) {
    station.until("written", |body| body["cameras"][0]["segments"].as_u64() >= Some(4));
}

const REMOTE: &str = "[button]\ndanger-remote-start = true\n";

#[test]
fn a_disk_that_fills_up_ends_the_recording_with_all_that_is_complete() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = Station::new(&[&camera.url()], REMOTE);
    // Far from what others on this machine write meanwhile.
    let slack = free(&station) / 4;
    let reserve = free(&station) - slack;
    set(&station, &format!("[limits]\ndisk-reserve = \"{reserve} MiB\"\n"));
    station.start();
    station.prepare();
    station.run(&["start"]).ended(0);
    station.until_kept();
    // Somebody else fills the disk.
    let path = station.school.path("filling");
    let file = fs::File::create(&path).unwrap();
    fallocate(&file, FallocateFlags::empty(), 0, 2 * slack * MIB).unwrap();
    let body = station.until_state("sealed-with-fault");
    assert_eq!(body["fault"], "disk-small", "{body}");
    let manifest = station.whole().remove(0);
    assert_eq!(manifest["state"], "sealed");
    assert!(!manifest["segments"].as_array().unwrap().is_empty());
    // It stands until there is room, and no longer.
    station.until("standing", |body| body["standing"][0] == "disk-small");
    station.prepare();
    let said = station.run(&["start"]).ended(77);
    assert!(said.out.contains("disk-small"), "{}", said.out);
    // Its room is free when nobody has it open.
    drop(file);
    fs::remove_file(&path).unwrap();
    station.until("settled", |body| body["standing"].as_array().is_some_and(Vec::is_empty));
    station.run(&["start"]).ended(0);
    station.until_kept();
    station.run(&["stop"]).ended(0);
    station.until_state("sealed");
}

#[test]
fn a_store_that_goes_away_ends_the_recording_and_says_so() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = Station::new(&[&camera.url()], REMOTE);
    station.start();
    station.prepare();
    station.run(&["start"]).ended(0);
    until_written(&mut station);
    let away = station.school.path("away");
    fs::rename(station.school.store(), &away).unwrap();
    let body = station.until_state("sealed-with-fault");
    assert_eq!(body["fault"], "disk-unwritable", "{body}");
    // Nothing was made in its place, and nothing is recorded before it is back.
    assert!(!station.school.store().join("recordings").exists());
    station.prepare();
    station.run(&["start"]).ended(77);
    let lines = station.run(&["logs"]).ended(0).out;
    assert!(lines.contains("disk-unwritable: "), "{lines}");
    fs::rename(&away, station.school.store()).unwrap();
    station.until("settled", |body| body["standing"].as_array().is_some_and(Vec::is_empty));
    // What was written is sealed at the next start.
    station.send(rustix::process::Signal::TERM);
    let _ = station.ended();
    station.start();
    let manifest = station.whole().remove(0);
    assert!(!manifest["segments"].as_array().unwrap().is_empty());
}

/// Has `wrapper` run the program in the place of `command`.
fn wrap(command: &mut Command, mut wrapper: Command) {
    wrapper.arg(command.get_program());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapper.env(name, value),
            None => wrapper.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapper.current_dir(folder);
    }
    *command = wrapper;
}

/// Does it among the file systems of the running box.
fn inside(station: &Station, script: &str) {
    let target = station.process().to_string();
    let mut command = Command::new("nsenter");
    command.args(["--target", &target, "--mount", "sh", "-e", "-c", script]);
    assert!(command.status().unwrap().success(), "{script}");
}

/// A disk that becomes read-only by an error, as the kernel does it.
const DISK: &str = "truncate -s 600M disk && mkfs.ext4 -q disk && \
                    mount -o loop,errors=remount-ro disk store";

#[test]
fn a_store_that_becomes_read_only_ends_the_recording_and_keeps_what_is_complete() {
    let probe = tempfile::tempdir().unwrap();
    fs::create_dir(probe.path().join("store")).unwrap();
    let mut may = Command::new("unshare");
    let may = may.args(["--mount", "sh", "-c", DISK]).current_dir(probe.path()).output();
    if !may.is_ok_and(|output| output.status.success()) {
        println!("skipped: this machine lets the test mount no disk");
        return;
    }
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let more = format!("{REMOTE}[limits]\ndisk-reserve = \"64 MiB\"\n");
    let mut station = Station::new(&[&camera.url()], &more);
    // A disk of its own, that nobody else sees.
    let script =
        format!("cp -a store before && {DISK} && cp -a before/. store && exec \"$0\" \"$@\"");
    station.start_with(|command| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", &script]);
        wrap(command, unshare);
    });
    station.prepare();
    station.run(&["start"]).ended(0);
    until_written(&mut station);
    let store = station.school.store().canonicalize().unwrap();
    let store = store.to_str().unwrap();
    let fails = "device=$(findmnt -n -o SOURCE STORE); echo 1 > /sys/fs/ext4/${device##*/}/trigger_fs_error";
    inside(&station, &fails.replace("STORE", store));
    let body = station.until_state("sealed-with-fault");
    assert_eq!(body["fault"], "disk-unwritable", "{body}");
    assert_eq!(station.lamp(), 0);
    let lines = station.run(&["logs"]).ended(0).out;
    // By whoever notices first: the writer, or who looks after the disk.
    let said = ["disk-unwritable: ", " ended: "].iter().any(|what| lines.contains(what));
    assert!(said, "{lines}");
    // The program lives on, and nothing begins. Some kernels say of such a disk that it can be written until
    // somebody does: then the first write refuses it.
    station.prepare();
    let said = station.run(&["start"]).ended(77);
    assert!(said.err.contains("disk-unwritable"), "{}{}", said.out, said.err);
    inside(&station, &format!("cp -a {store} {}", station.school.path("after").display()));
    station.send(Signal::TERM);
    assert_eq!(station.ended(), Some(0));
    // What was complete is sealed at the next start, when somebody has seen to the disk.
    fs::rename(store, station.school.path("instead")).unwrap();
    fs::rename(station.school.path("after"), store).unwrap();
    station.start();
    let manifests = station.whole();
    assert_eq!(manifests.len(), 1);
    assert_eq!(manifests[0]["state"], "interrupted");
    assert!(!manifests[0]["segments"].as_array().unwrap().is_empty());
    station.school.open(&station.recordings()[0]);
}

#[test]
fn without_its_store_the_box_makes_no_other_in_its_place() {
    let mut station = Station::new(&[], REMOTE);
    let store = station.school.store();
    let away = station.school.path("away");
    fs::rename(&store, &away).unwrap();
    let said = station.run(&["run"]).ended(74);
    assert!(said.err.contains("is its disk mounted?"), "{}", said.err);
    assert!(!store.exists());
    fs::rename(&away, &store).unwrap();
    station.start();
}

#[test]
fn a_disk_that_stalls_is_waited_for_and_ends_nothing() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = Station::new(&[&camera.url()], REMOTE);
    station.start_with(|command| {
        // The third line of a journal takes longer than a chain may hang.
        let mut strace = Command::new("strace");
        strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]);
        strace.args(["-e", "inject=fdatasync:delay_enter=26000000:when=3"]);
        strace.stdin(Stdio::null());
        wrap(command, strace);
    });
    station.prepare();
    station.run(&["start"]).ended(0);
    let segments = |body: &serde_json::Value| body["cameras"][0]["segments"].as_u64();
    station.until("held up and going on", |body| segments(body) >= Some(7));
    station.run(&["stop"]).ended(0);
    station.until_state("sealed");
    let manifest = station.whole().remove(0);
    assert_eq!(manifest["state"], "sealed");
    let log = fs::read_to_string(station.school.store().join("audit/log.jsonl")).unwrap();
    assert!(log.contains("the disk held the recording up"), "{log}");
}

#[test]
fn cameras_that_do_not_fit_into_memory_are_not_recorded() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = Station::new(&[&camera.url()], REMOTE);
    set(&station, "[limits]\nmemory = \"64 MiB\"\n");
    assert_eq!(station.reasons(), ["memory-small"]);
    station.start();
    station.prepare();
    let said = station.run(&["start"]).ended(77);
    assert!(said.out.contains("memory-small"), "{}", said.out);
    std::thread::sleep(Duration::from_millis(200));
    assert!(station.recordings().is_empty());
}
