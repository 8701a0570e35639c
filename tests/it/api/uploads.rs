//! Pupil lists that come as a zip: good ones are taken in, and nothing of them stays anywhere.

use std::{
    fs,
    io::{Cursor, Write},
};

use classveil::vault::Digest;
use serde_json::Value;
use ureq::http::Method;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{PAGES, account, client::Client, code, logged_in};
use crate::{media::sample, scene::text, service::Station};

/// A zip of these files.
pub(super) fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A zip of a file of zeros that is as long as wanted.
fn bomb(name: &str, bytes: usize) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(name, SimpleFileOptions::default()).unwrap();
    let block = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        zip.write_all(&block).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn check(page: &mut Client, zip: &[u8]) -> Value {
    let kind = [("content-type", "application/zip")];
    page.send(&Method::POST, "/api/v1/pupils/check", &kind, zip).is(200).body
}

/// What lies in memory of this box.
fn sheltered(station: &Station) -> Vec<String> {
    let store = station.school.store().canonicalize().unwrap();
    let name = Digest::of(store.as_os_str().as_encoded_bytes()).to_string();
    let names =
        ["/dev/shm", "/run/classveil"].into_iter().filter_map(|folder| fs::read_dir(folder).ok());
    names
        .flatten()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|found| found.starts_with(&format!("classveil-{}", &name[..16])))
        .collect()
}

#[test]
fn what_is_wrong_with_a_zip_is_said_and_nothing_of_it_stays() {
    let mut station = Station::bare(&[text(&sample("obama_speech.mp4"))], PAGES);
    account(&station, "a-01", "admin", None);
    station.start();
    let mut page = logged_in(&mut station, "a-01");
    let head = "pupil_id,class,status,since,photos\n";
    let list = format!("{head}p-01,5b,refused,2026-09-01,p-01.jpg\n");
    let list = list.as_bytes();
    let photo = fs::read(sample("obama.jpg")).unwrap();
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    let good: &[(&str, &[u8])] = &[
        ("lijst/list.csv", list),
        ("lijst/p-01.jpg", &photo),
        ("__MACOSX/lijst/._list.csv", b"x"),
        ("lijst/.DS_Store", b"x"),
    ];
    let checked = check(&mut page, &zip_of(good));
    assert_eq!(checked["ok"], true, "{checked}");
    let long = format!("{head}{}", "p-01,5b,refused,2026-09-01,\n".repeat(200_000));
    let bad: [(Vec<u8>, &str, &str); 9] = [
        (b"no zip at all".to_vec(), "", "no zip"),
        (zip_of(&[("p-01.jpg", &photo)]), "", "no list"),
        (zip_of(&[("a.csv", list), ("b.csv", list)]), "", "several lists"),
        (zip_of(&[("list.csv", list), ("../p-01.jpg", &photo)]), "../p-01.jpg", "leads elsewhere"),
        (zip_of(&[("list.csv", list), ("p-01.svg", svg)]), "p-01.svg", "neither a list"),
        (zip_of(&[("list.csv", list), ("p-01.jpg", svg)]), "list.csv", "JPEG"),
        (zip_of(&[("list.csv", long.as_bytes())]), "list.csv", "too large"),
        (bomb("list.csv", 1 << 30), "list.csv", "too large"),
        (bomb("p-01.jpg", 512 << 20), "p-01.jpg", "too large"),
    ];
    let kind = [("content-type", "application/zip")];
    for (zip, file, problem) in bad {
        // The list itself is what a check is about; a zip that cannot be used is no list. Neither is loaded.
        let of_list = problem == "JPEG";
        let wanted = if of_list { 200 } else { 422 };
        let checked = page.send(&Method::POST, "/api/v1/pupils/check", &kind, &zip).is(wanted).body;
        let refused = page.send(&Method::POST, "/api/v1/pupils/load", &kind, &zip).is(422);
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert_eq!(code(&refused), if of_list { "list" } else { "zip" });
        assert_eq!(refused.body["problems"], checked["problems"]);
        assert_eq!(checked["ok"], false, "{problem}: {checked}");
        let found = checked["problems"].as_array().unwrap();
        let said = found
            .iter()
            .any(|one| one["file"] == file && one["text"].as_str().unwrap().contains(problem));
        assert!(said, "{problem}: {checked}");
    }
    // A place in the list is told.
    let wrong = format!("{head}p-01,5b,maybe,2026-09-01,\n");
    let checked = check(&mut page, &zip_of(&[("list.csv", wrong.as_bytes())]));
    assert_eq!(
        (&checked["problems"][0]["line"], &checked["problems"][0]["file"]),
        (&2.into(), &"list.csv".into())
    );

    // Longer than anything that is taken in.
    let huge = vec![0; 129 << 20];
    let patient = [kind[0], ("expect", "100-continue")];
    let refused = page.send(&Method::POST, "/api/v1/pupils/check", &patient, &huge).is(413);
    assert_eq!(code(&refused), "too-large");
    assert_eq!(sheltered(&station), [""; 0]);
    // Nothing was loaded, and no photo is in the store.
    assert_eq!(page.get("/pupils").is(200).body["version"], Value::Null);
    station.school.run(&["pupils", "list", "--store", "store"]).ended(66);
    assert!(!station.school.store().join("pupils").exists());
}
