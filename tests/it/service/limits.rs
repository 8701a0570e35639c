//! Disk and memory run short, before a lesson is recorded and while it is.

use std::{fs, time::Duration};

use rustix::fs::{FallocateFlags, fallocate};

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
    station.until_kept();
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
