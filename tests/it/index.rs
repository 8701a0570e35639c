//! The promise: the index of a store saves time and changes no answer, whatever becomes of it.

use std::{fs, time::Instant};

use classveil::{
    units::RecordingId,
    vault::{
        Course, Outcome, RecordingWriter,
        index::{Listed, cards},
        retention::close_talk,
    },
};

use crate::retention::{Scene, at, days, policy, roles, segment};

/// What a list says, with the index and by the manifests themselves.
fn both(scene: &Scene) -> [Vec<String>; 2] {
    let words = |(id, card): Listed| match card {
        Ok(card) => format!("{id} {}", serde_json::to_string(&card).unwrap()),
        Err(error) => format!("{id} {error}"),
    };
    [Some(&scene.key), None].map(|key| {
        let listed = cards(&scene.store, key, &scene.trust()).unwrap();
        listed.into_iter().map(words).collect()
    })
}

#[track_caller]
fn same(scene: &Scene, recordings: usize) {
    // Once to find what became of it, once more by what was made of that.
    for _ in 0..2 {
        let [by_index, by_manifests] = both(scene);
        assert_eq!(by_index, by_manifests);
        assert_eq!(by_index.len(), recordings);
    }
}

#[test]
fn whatever_becomes_of_the_index_the_answer_is_the_same() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    let ids: Vec<RecordingId> = (0..4).map(|n| scene.record_sealed(&log, at(n), 30)).collect();
    let gone = scene.record_sealed(&log, at(9), 2);
    same(&scene, 5);
    let path = scene.store.join("index.sqlite");
    let whole = fs::read(&path).unwrap();
    let holds = |text: &str| {
        fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    };
    assert!(holds(&gone.to_string()) && holds("t-07"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    // Deleted, emptied, something else, cut, altered anywhere.
    fs::remove_file(&path).unwrap();
    same(&scene, 5);
    for bytes in [&b""[..], b"no database", &whole[..whole.len() / 2], &[0; 9000]] {
        fs::write(&path, bytes).unwrap();
        same(&scene, 5);
    }
    for place in (0..whole.len()).step_by(whole.len() / 97) {
        let mut altered = whole.clone();
        altered[place] ^= 0x5a;
        fs::write(&path, altered).unwrap();
        same(&scene, 5);
    }
    fs::remove_file(&path).unwrap();
    let victim = scene.root.join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, &path).unwrap();
    same(&scene, 5);
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    same(&scene, 5);
    fs::remove_dir(&path).unwrap();
    same(&scene, 5);

    // Rows that somebody else wrote: another teacher, a later deadline, another recording's.
    for forgery in [
        "UPDATE recordings SET card = replace(card, 't-07', 't-08')",
        "UPDATE recordings SET card = replace(card, '2026', '2027')",
        "UPDATE recordings SET (files, card, code) = \
         (SELECT files, card, code FROM recordings ORDER BY id LIMIT 1)",
        "UPDATE recordings SET code = zeroblob(32)",
        "DELETE FROM recordings",
        "INSERT INTO recordings SELECT '0197c2a0-0000-7000-8000-000000000000', files, card, code \
         FROM recordings LIMIT 1",
        "DROP TABLE recordings",
        "ALTER TABLE recordings DROP COLUMN code",
    ] {
        let changed = rusqlite::Connection::open(&path).unwrap().execute_batch(forgery);
        changed.unwrap_or_else(|error| panic!("{forgery}: {error}"));
        same(&scene, 5);
    }

    // What is there changes: a deadline, a recording more, one less, one that is damaged.
    let by = "t-07".parse().unwrap();
    let here = (scene.store.as_path(), &log, &scene.key);
    close_talk(here, &roles(), ids[0], &by, &policy(), days(1)).unwrap();
    same(&scene, 5);
    scene.record_sealed(&log, days(1), 30);
    same(&scene, 6);
    let cut = scene.begin(&log, days(1), 30);
    same(&scene, 7);
    assert_eq!(scene.apply(days(3)).destroyed, [gone]);
    assert!(!holds(&gone.to_string()), "nothing is left of what is gone, before anybody lists");
    same(&scene, 6);
    assert!(!holds(&gone.to_string()));
    let manifest = scene.folder(ids[1]).join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("t-07", "t-08")).unwrap();
    same(&scene, 6);
    let [by_index, _] = both(&scene);
    assert!(by_index.iter().any(|line| line.contains("manifest.json")), "{by_index:?}");
    fs::write(&manifest, text).unwrap();
    fs::remove_dir_all(scene.folder(cut)).unwrap();
    same(&scene, 5);
    // It is nothing that a check of the store stumbles over, and no backup has it.
    scene.run(&["backup", "backup", "--store", "store"]).ended(0);
    assert!(!scene.root.join("backup/index.sqlite").exists());
    let said = scene.run(&["store", "list", "--store", "store", "--json"]).ended(0).json();
    assert_eq!(said["recordings"].as_array().unwrap().len(), 5, "{said}");
    assert_eq!(said["recordings"][0]["segments"], 2);
    scene.run(&["store", "list", "--store", "store"]).ended(0);
}

#[test]
fn several_at_once_get_the_same_answer() {
    let scene = Scene::new();
    let log = scene.log(at(0));
    for n in 0..20 {
        scene.record_sealed(&log, at(n), 30);
    }
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| (0..5).for_each(|_| same(&scene, 20)));
        }
    });
}

/// What it is for: long recordings, listed often.
#[test]
fn a_long_list_is_read_in_no_time() {
    // In memory, where thousands of synced files take seconds instead of minutes.
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let scene = Scene::at(memory.path());
    for n in 0..30 {
        let new = scene.new_recording(at(n), 30);
        let mut writer = RecordingWriter::create(&scene.store, new, &scene.key).unwrap();
        (1..=100).for_each(|number| writer.write(segment(number)).unwrap());
        writer.finish(Outcome { ended: at(n), fault: None, course: Course::default() }).unwrap();
    }
    let timed = |key| {
        let began = Instant::now();
        assert_eq!(cards(&scene.store, key, &scene.trust()).unwrap().len(), 30);
        began.elapsed()
    };
    let (without, making, with) = (timed(None), timed(Some(&scene.key)), timed(Some(&scene.key)));
    println!(
        "30 recordings: {without:?} by manifests, {with:?} by the index, {making:?} to make it"
    );
    assert!(with * 2 < without, "{with:?} against {without:?}");
}
