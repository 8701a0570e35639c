//! The store: what a load changes, and what is left of the list before.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use classveil::{
    error::{ErrorKind, Kind},
    people::{
        PupilList,
        list::Finished,
        store::{self, Load, Loaded, StoreError},
    },
    units::PupilId,
    vision::identify::{Gallery, Standing},
};
use image::imageops;
use jiff::{Timestamp, civil::date};

use super::{Folder, KEY, TODAY, faces::enrol};
use crate::support::sample;

/// A store, its key beside it, and a folder for lists.
struct Box {
    lists: Folder,
    home: Folder,
}

impl Box {
    fn new() -> Self {
        let this = Self { lists: Folder::new(), home: Folder::new() };
        let portrait = image::open(sample("obama.jpg")).unwrap().to_rgb8();
        portrait.save(this.lists.path("a.png")).unwrap();
        imageops::flip_horizontal(&portrait).save(this.lists.path("b.png")).unwrap();
        this
    }

    fn store(&self) -> PathBuf {
        self.home.path("store")
    }

    fn key(&self) -> PathBuf {
        self.home.path("keys/gallery.key")
    }

    fn pupils(&self) -> PathBuf {
        self.store().join("pupils")
    }

    fn read(&self, rows: &str) -> Finished {
        enrol(&self.lists, rows).unwrap()
    }

    fn load(&self, rows: &str) -> Result<Loaded, StoreError> {
        self.load_with(rows, None, &self.key())
    }

    fn load_with(
        &self,
        rows: &str,
        confirm: Option<usize>,
        key: &Path,
    ) -> Result<Loaded, StoreError> {
        let Finished { list, gallery, .. } = self.read(rows);
        self.put(&list, &gallery, confirm, key)
    }

    fn put(
        &self,
        list: &PupilList,
        gallery: &Gallery,
        confirm_removals: Option<usize>,
        gallery_key: &Path,
    ) -> Result<Loaded, StoreError> {
        let how = Load {
            store: &self.store(),
            gallery_key,
            version_key: &KEY,
            confirm_removals,
            dpia: Some("DPIA-1"),
            now: Timestamp::from_second(1_795_000_000).unwrap(),
        };
        store::load(list, gallery, &how)
    }

    fn current(&self) -> Result<store::Current, StoreError> {
        store::current(&self.store(), &self.key(), TODAY)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.pupils())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn gallery_file(&self) -> PathBuf {
        let name = self.names().into_iter().find(|n| n.starts_with("gallery-")).unwrap();
        self.pupils().join(name)
    }
}

const A: &str = "p-01,a,refused,2026-09-01,a.png\n";
const B: &str = "p-02,a,refused,2026-09-01,b.png\n";
const C: &str = "p-03,a,consented,2026-09-01,\n";

fn text(ids: &[PupilId]) -> Vec<&str> {
    ids.iter().map(PupilId::as_str).collect()
}

#[test]
fn a_loaded_list_comes_back() {
    let site = Box::new();
    assert_eq!(site.current().unwrap_err().kind(), ErrorKind::NotFound);
    let finished = site.read(&format!("{A}{B}{C}"));
    let loaded = site.put(&finished.list, &finished.gallery, None, &site.key()).unwrap();
    assert_eq!(text(&loaded.changes.added), ["p-01", "p-02", "p-03"]);
    let current = site.current().unwrap();
    assert_eq!(current.version, loaded.version);
    assert_eq!(current.list.canonical(), finished.list.canonical());
    assert_eq!(current.list.version(&KEY), loaded.version);
    for (id, person) in &finished.gallery.people {
        let stored = &current.gallery.people[id];
        assert_eq!(stored.standing, person.standing);
        assert_eq!(stored.references.len(), person.references.len());
        for (a, b) in stored.references.iter().zip(&person.references) {
            assert!(a.cosine(b) > 0.99999);
        }
    }
    assert_eq!(
        store::list(&site.store(), TODAY).unwrap().list.canonical(),
        current.list.canonical()
    );
}

#[test]
fn standings_follow_the_day() {
    let site = Box::new();
    site.load("p-01,a,consented,2027-01-01,a.png\n").unwrap();
    let standing = |day| {
        let current = store::current(&site.store(), &site.key(), day).unwrap();
        current.gallery.people.into_values().next().unwrap().standing
    };
    assert_eq!(standing(date(2026, 12, 31)), Standing::NotYet);
    assert_eq!(standing(date(2027, 1, 1)), Standing::Consented);
}

#[test]
fn only_the_owner_may_look() {
    let site = Box::new();
    site.load(A).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&site.pupils()), 0o700);
    for name in site.names() {
        assert_eq!(mode(&site.pupils().join(&name)), 0o600, "{name}");
    }
    assert_eq!(mode(&site.key()), 0o600);
    assert!(fs::read(site.gallery_file()).unwrap().starts_with(b"age-encryption.org/v1"));
    fs::set_permissions(site.key(), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(site.current(), Err(StoreError::OpenKey { .. })));
}

#[test]
fn no_photo_name_and_no_photo_reaches_the_store() {
    let site = Box::new();
    fs::rename(site.lists.path("a.png"), site.lists.path("klaas.png")).unwrap();
    site.load("p-01,a,refused,2026-09-01,klaas.png\n").unwrap();
    let photo = fs::read(site.lists.path("klaas.png")).unwrap();
    for name in site.names() {
        let bytes = fs::read(site.pupils().join(&name)).unwrap();
        assert!(!bytes.windows(5).any(|w| w == b"klaas"), "{name}");
        assert!(!bytes.windows(64).any(|w| w == &photo[100..164]), "{name}");
    }
}

#[test]
fn every_load_replaces_the_key_and_the_embeddings() {
    let site = Box::new();
    site.load(&format!("{A}{B}")).unwrap();
    let (old_key, old_gallery) = (fs::read(site.key()).unwrap(), site.gallery_file());
    let old_bytes = fs::read(&old_gallery).unwrap();
    // Other names for the same bytes show what becomes of them.
    let shadow = site.home.path("shadow");
    fs::hard_link(site.key(), &shadow).unwrap();
    site.load_with(A, Some(1), &site.key()).unwrap();
    assert!(!old_gallery.exists());
    let new_key = fs::read_to_string(site.key()).unwrap();
    assert_ne!(new_key.as_bytes(), old_key);
    assert_eq!(new_key.matches("AGE-SECRET-KEY-").count(), 1);
    assert!(!fs::read(shadow).unwrap().windows(4).any(|w| w == b"AGE-"));
    let identity: age::x25519::Identity =
        new_key.lines().find(|l| l.starts_with("AGE-")).unwrap().parse().unwrap();
    assert!(age::decrypt(&identity, &old_bytes).is_err());
    let plain = age::decrypt(&identity, &fs::read(site.gallery_file()).unwrap()).unwrap();
    let plain = String::from_utf8(plain).unwrap();
    assert!(plain.contains("p-01") && !plain.contains("p-02"));
    assert_eq!(site.current().unwrap().gallery.people.len(), 1);
}

#[test]
fn the_last_photo_takes_the_key_along() {
    let site = Box::new();
    site.load(A).unwrap();
    site.load("p-01,a,refused,2026-09-01,\n").unwrap();
    assert!(!site.key().exists());
    assert_eq!(site.names(), ["history.jsonl", "list.json", "lock"]);
    let current = site.current().unwrap();
    assert_eq!(current.list.refused_without_photo().count(), 1);
    assert!(current.gallery.people.values().all(|p| p.references.is_empty()));
}

#[test]
fn no_refusal_ends_by_accident() {
    let site = Box::new();
    let (one, two, three) = ("p-01,a,refused,2026-09-01,\n", "p-02,a,refused,2026-09-01,\n", C);
    let before = site.load(&format!("{one}{two}{three}")).unwrap().version;
    let cleared = "p-02,a,consented,2026-09-01,\n";
    let staff = "p-02,a,staff,2026-09-01,\n";
    for (rows, needed) in [
        (format!("{one}{three}"), 1),
        (three.to_owned(), 2),
        (format!("{one}{cleared}{three}"), 1),
        (format!("{one}{staff}{three}"), 1),
        (format!("{cleared}{three}"), 2),
    ] {
        for wrong in [None, Some(0), Some(needed - 1), Some(needed + 1)] {
            let Err(error) = site.load_with(&rows, wrong, &site.key()) else {
                panic!("{rows} {wrong:?}")
            };
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(
                matches!(error, StoreError::Removals { needed: n, given } if n == needed && given == wrong)
            );
        }
        assert_eq!(site.current().unwrap().version, before);
    }
    let asked = site.load(three).unwrap_err().to_string();
    assert!(
        asked.contains("2 refused pupils") && asked.contains("--confirm-removals 2"),
        "{asked}"
    );
    // Dropping somebody who did not refuse needs nothing, and confirming what is not there fails.
    site.load(&format!("{one}{two}")).unwrap();
    assert!(site.load_with(&format!("{one}{two}"), Some(1), &site.key()).is_err());
    let changes = site.load_with(cleared, Some(2), &site.key()).unwrap().changes;
    assert_eq!(text(&changes.refusals_lifted), ["p-01", "p-02"]);
    assert_eq!(text(&changes.removed), ["p-01"]);
    assert_eq!(changes.status.len(), 1);
}

#[test]
fn changes_are_told_apart() {
    let site = Box::new();
    site.load(&format!("{A}{C}")).unwrap();
    let same = site.load(&format!("{C}{A}")).unwrap();
    assert!(same.changes.is_empty());
    let changes = site
        .load("p-01,a,refused,2026-09-01,b.png\np-03,b,consented,2026-09-01,\np-04,a,staff,2026-09-01,\n")
        .unwrap()
        .changes;
    assert_eq!(text(&changes.photos), ["p-01"]);
    assert_eq!(text(&changes.details), ["p-03"]);
    assert_eq!(text(&changes.added), ["p-04"]);
    assert_eq!(changes.removals(), 0);
}

#[test]
fn history_is_a_chain_of_counts() {
    use sha2::{Digest, Sha256};
    let site = Box::new();
    site.load(&format!("{A}{C}")).unwrap();
    site.load_with(C, Some(1), &site.key()).unwrap();
    site.load(&format!("{C}{B}")).unwrap();
    let text = fs::read_to_string(site.pupils().join("history.jsonl")).unwrap();
    assert!(!text.contains("p-0"));
    let mut before = String::new();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["before"], before);
            before =
                Sha256::digest(line).iter().fold(String::new(), |hex, b| hex + &format!("{b:02x}"));
            value
        })
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["refusals_lifted"], 1);
    assert_eq!(lines[2]["version"], site.current().unwrap().version.as_str());
    assert_eq!(lines[2]["dpia"], "DPIA-1");
}

#[test]
fn a_damaged_store_is_not_used() {
    let site = Box::new();
    site.load(&format!("{A}{C}")).unwrap();
    let list = site.pupils().join("list.json");
    let good = fs::read_to_string(&list).unwrap();
    let gallery = fs::read(site.gallery_file()).unwrap();
    let key = fs::read(site.key()).unwrap();
    let restore = || {
        fs::write(&list, &good).unwrap();
        fs::write(site.gallery_file(), &gallery).unwrap();
        fs::write(site.key(), &key).unwrap();
        assert!(site.current().is_ok());
    };
    let fails = |what: &str, kind: ErrorKind| {
        let error = site.current().expect_err(what);
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert!(error.to_string().contains("load the list again"), "{error}");
    };
    for (from, to) in
        [("refused", "consented"), ("p-01", "p-09"), ("}]", "}"), ("\"format\":1", "\"format\":2")]
    {
        assert!(good.contains(from));
        fs::write(&list, good.replacen(from, to, 1)).unwrap();
        fails(to, ErrorKind::DataLoss);
        restore();
    }
    let mut flipped = gallery.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(site.gallery_file(), flipped).unwrap();
    fails("gallery", ErrorKind::DataLoss);
    restore();
    fs::remove_file(site.key()).unwrap();
    fails("no key", ErrorKind::NotFound);
    let other = age::x25519::Identity::generate();
    fs::write(site.key(), age::secrecy::ExposeSecret::expose_secret(&other.to_string())).unwrap();
    fs::set_permissions(site.key(), fs::Permissions::from_mode(0o600)).unwrap();
    fails("another key", ErrorKind::Denied);
    // Nor is a person's key overwritten.
    assert!(matches!(site.load(A), Err(StoreError::ForeignKey { .. })));
    restore();
    fs::remove_file(&list).unwrap();
    fails("no list", ErrorKind::DataLoss);
    // Refusals of a list that is gone are not forgotten.
    assert!(matches!(site.load(C), Err(StoreError::Removals { needed: 1, given: None })));
    site.load_with(&format!("{A}{C}"), Some(1), &site.key()).unwrap();
    assert!(site.current().is_ok());
    fs::write(&list, "{").unwrap();
    fs::remove_file(site.pupils().join("history.jsonl")).unwrap();
    assert!(matches!(site.load(A), Err(StoreError::Lost { .. })));
}

#[test]
fn the_list_and_its_gallery_belong_together() {
    let site = Box::new();
    site.load(A).unwrap();
    let (list, gallery) = (site.pupils().join("list.json"), site.gallery_file());
    let (old_list, old_gallery, old_key) =
        (fs::read(&list).unwrap(), fs::read(&gallery).unwrap(), fs::read(site.key()).unwrap());
    site.load("p-01,a,refused,2026-09-01,b.png\n").unwrap();
    // A list restored from a backup without its key.
    fs::write(&list, old_list).unwrap();
    fs::write(&gallery, old_gallery).unwrap();
    assert!(matches!(site.current(), Err(StoreError::WrongKey { .. })));
    fs::write(site.key(), old_key).unwrap();
    assert!(site.current().is_ok());
    // A list that came without its embeddings.
    let finished = site.read(A);
    let none = Gallery::default();
    let error = site.put(&finished.list, &none, None, &site.key()).unwrap_err();
    assert!(matches!(error, StoreError::NotEnrolled));
}

#[test]
fn the_key_stays_out_of_the_store() {
    let site = Box::new();
    let inside = site.store().join("keys/gallery.key");
    assert!(matches!(site.load_with(A, None, &inside), Err(StoreError::KeyInside { .. })));
    assert!(!site.store().exists());
    fs::create_dir(site.store()).unwrap();
    std::os::unix::fs::symlink(site.store(), site.home.path("door")).unwrap();
    let behind = site.home.path("door/gallery.key");
    assert!(matches!(site.load_with(A, None, &behind), Err(StoreError::KeyInside { .. })));
}

#[test]
fn another_key_file_takes_the_place_of_the_first() {
    let site = Box::new();
    site.load(A).unwrap();
    let second = site.home.path("second.key");
    site.load_with(A, None, &second).unwrap();
    assert!(!site.key().exists());
    assert!(store::current(&site.store(), &second, TODAY).is_ok());
    // Another store's key is not overwritten.
    let other = Box::new();
    assert!(matches!(other.load_with(A, None, &second), Err(StoreError::ForeignKey { .. })));
    assert_ne!(
        store::default_key_name(&site.store()).unwrap(),
        store::default_key_name(&other.store()).unwrap()
    );
}

#[test]
fn a_moved_store_keeps_working() {
    let site = Box::new();
    site.load(A).unwrap();
    let moved = site.home.path("moved");
    fs::rename(site.store(), &moved).unwrap();
    assert!(store::current(&moved, &site.key(), TODAY).is_ok());
    fs::rename(&moved, site.store()).unwrap();
    site.load("p-01,a,refused,2026-09-01,\n").unwrap();
    assert!(!site.key().exists());
}

#[test]
fn two_loads_do_not_meet() {
    let site = Box::new();
    site.load(A).unwrap();
    let lock = fs::File::options().write(true).open(site.pupils().join("lock")).unwrap();
    lock.lock().unwrap();
    let error = site.load(A).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    // Reading needs no lock.
    assert!(site.current().is_ok());
    drop(lock);
    assert!(site.load(A).is_ok());
}
