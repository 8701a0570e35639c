//! Who will be able to open a recording is shown before it begins and while it runs, to its people.

use std::fs;

use serde_json::{Value, json};

use super::{PAGES, account, logged_in};
use crate::{
    keys::{accept, enrol},
    media::sample,
    scene::text,
    service::Station,
};

/// Person, and whether it is marked as new.
fn shown(lesson: &Value) -> Vec<(&str, bool)> {
    assert!(lesson["openers_problem"].is_null(), "{lesson}");
    let all = lesson["openers"].as_array().unwrap().iter();
    all.map(|one| {
        assert_eq!(one["fingerprint"].as_str().map(str::len), Some(39), "{one}");
        assert_eq!(one["confirmed"], "in-person", "{one}");
        (one["person"].as_str().unwrap(), one["new"].as_bool().unwrap())
    })
    .collect()
}

#[test]
fn coach_and_teacher_see_who_will_be_able_to_open_a_recording() {
    let more = format!("{PAGES}[button]\ndanger-remote-start = true\n");
    let mut station = Station::new(&[text(&sample("obama_speech.mp4"))], &more);
    // Whom it is for follows from the directory alone.
    let config = station.school.path("box.toml");
    let settings = fs::read_to_string(&config).unwrap();
    let settings = settings.lines().filter(|line| !line.starts_with("recipients"));
    fs::write(&config, settings.collect::<Vec<_>>().join("\n")).unwrap();
    let root = station.school.path("");
    let run = |station: &Station, args: &[&str]| station.school.run(args);
    let coach_key = enrol(|args| run(&station, args), &root, "c-02", "coach");
    for (name, role) in [("c-02", "coach"), ("t-07", "teacher")] {
        account(&station, name, role, Some(name));
    }
    station.start();
    let mut coach = logged_in(&mut station, "c-02");
    let mut teacher = logged_in(&mut station, "t-07");

    let question = json!({ "question": "Do I wait?" });
    let prepared = coach.post("/recordings/prepare", &question).is(200).body;
    assert_eq!(shown(&prepared["lesson"]), [("t-07", true)], "{prepared}");
    // What the teacher signs meanwhile is there at the next look.
    accept(|args| run(&station, args), "c-02", &coach_key, "t-07");
    let both = [("t-07", true), ("c-02", true)];
    let of = |body: &Value| shown(&body["lesson"]) == both;
    station.until("shown", of);
    assert!(of(&teacher.get("/status").is(200).body));
    let said = station.run(&["status"]).ended(0).out;
    assert_eq!(said.matches("NEW since the last recording").count(), 2, "{said}");
    assert!(said.contains("c-02 (coach), key "), "{said}");
    let args = ["prepare", "--question", "Do I wait?"];
    let said = station.run(&args).ended(0).out;
    assert!(said.contains("t-07 (teacher), key "), "{said}");

    coach.post("/recordings/start", &json!({})).is(202);
    station.until_kept();
    // As the recorder took it, although the log has this recording by now.
    assert!(of(&teacher.get("/status").is(200).body));
    coach.post("/recordings/stop", &json!({})).is(200);
    assert_eq!(station.until_state("sealed")["lesson"], Value::Null);
    let keys = station.whole()[0]["recipients"].as_array().unwrap().clone();
    assert_eq!(keys, [json!(station.school.recipient), json!(coach_key)]);

    // The next one: nothing is new, until a key comes.
    let prepared = coach.post("/recordings/prepare", &question).is(200).body;
    assert_eq!(shown(&prepared["lesson"]), [("t-07", false), ("c-02", false)], "{prepared}");
    let second = run(&station, &["keygen", "--output", "t-07b.key"]).ended(0).out;
    let args = ["challenge", "t-07", "--recipient", second.trim(), "--output", "c2.age"];
    run(&station, &[&["people"][..], &args, &["--store", "store"]].concat()).ended(0);
    let args = ["-i", "t-07b.key", "--older", "t-07.key", "-o", "a2.json"];
    run(&station, &[&["people", "answer", "c2.age"][..], &args].concat()).ended(0);
    let args = ["--answer", "a2.json", "--confirmed", "in-person", "--store", "store"];
    run(&station, &[&["people", "enrol", "t-07"][..], &args].concat()).ended(0);
    let three = [("t-07", false), ("t-07", true), ("c-02", false)];
    station.until("shown", |body| shown(&body["lesson"]) == three);

    // Whose lesson nobody could open is said as well.
    let strange = json!({ "question": "Do I wait?", "teacher": "t-99" });
    let lesson = coach.post("/recordings/prepare", &strange).is(200).body["lesson"].clone();
    assert_eq!(lesson["openers"], json!([]));
    assert!(lesson["openers_problem"].as_str().unwrap().contains("t-99"), "{lesson}");
}
