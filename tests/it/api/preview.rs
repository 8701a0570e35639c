//! The picture that the coach sees while recording: veiled, of one's own lesson, and only meanwhile.

use std::{fs, io::Read};

use serde_json::json;
use ureq::http::Method;

use super::{PAGES, account, client::Client, code, logged_in};
use crate::{
    eyes::{Eyes, Pictures, SAME, SURE},
    media::{Clips, sample},
    record::stop::endless,
    rtsp::Camera,
    service::Station,
    support::photo,
};

const PATH: &str = "/api/v1/cameras/cam1/preview";

/// The next picture of a stream.
fn picture(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.contains("content-type: image/jpeg"), "{head}");
    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
    let mut jpeg = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut jpeg).unwrap();
    Some(jpeg)
}

#[test]
fn the_coach_and_the_teacher_see_what_is_kept_and_nobody_else_does() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let more = format!("{PAGES}[button]\ndanger-remote-start = true\n");
    let mut station = Station::new(&[&camera.url()], &more);
    for (name, role) in [("t-07", "teacher"), ("c-02", "coach"), ("c-03", "coach")] {
        account(&station, name, role, Some(name));
    }
    account(&station, "o-01", "operator", None);
    station.start();
    let [mut teacher, mut coach, mut other, mut operator] =
        ["t-07", "c-02", "c-03", "o-01"].map(|name| logged_in(&mut station, name));
    let ask = |page: &mut Client| page.send(&Method::GET, PATH, &[], &[]);
    assert_eq!(code(&ask(&mut coach).is(403)), "not-yours");
    coach.post("/recordings/prepare", &json!({ "question": "Do I wait?" })).is(200);
    assert_eq!(code(&ask(&mut coach).is(409)), "no-picture");
    coach.post("/recordings/start", &json!({})).is(202);
    station.until_kept();
    assert_eq!(code(&ask(&mut other).is(403)), "not-yours");
    assert_eq!(code(&ask(&mut operator).is(403)), "role");
    assert_eq!(coach.send(&Method::GET, "/api/v1/cameras/cam9/preview", &[], &[]).status, 404);

    let mut eyes = Eyes::new();
    let refused = eyes.person(&photo(&sample("obama.jpg")));
    let mut streams: Vec<_> = [&mut coach, &mut teacher]
        .into_iter()
        .map(|page| page.begin(&Method::GET, PATH, &[], &[]).into_body().into_reader())
        .collect();
    let mut seen = 0;
    for number in 0..6 {
        for stream in &mut streams {
            let jpeg = picture(stream).expect("a picture");
            let path = station.school.path(&format!("{number}.jpg"));
            fs::write(&path, jpeg).unwrap();
            let pictures = Pictures::of(&path);
            for face in eyes.faces(&pictures.at(0), SURE) {
                seen += 1;
                assert!(face.cosine(&refused) < SAME, "the refused man shows in picture {number}");
            }
        }
    }
    // The other man is not veiled, so these were real pictures.
    assert!(seen > 0);
    coach.post("/recordings/stop", &json!({})).is(200);
    for stream in &mut streams {
        // What was on its way still comes, and then it ends.
        let more = std::iter::from_fn(|| picture(stream)).take(50).count();
        assert!(more < 50);
    }
    station.until_state("sealed");
    assert_ne!(ask(&mut coach).status, 200);
    station.whole();
}
