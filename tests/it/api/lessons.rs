//! A lesson from a fresh box to the list of recordings, by the interface alone.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use ureq::http::Method;

use super::{PAGES, account, client::Client, code, logged_in, uploads::zip_of};
use crate::{
    media::{Clips, sample},
    record::stop::endless,
    rtsp::Camera,
    scene::text,
    service::Station,
};

/// Everybody of a school, each at a page of their own.
struct Pages {
    admin: Client,
    coach: Client,
    teacher: Client,
    officer: Client,
    operator: Client,
}

fn pages(station: &mut Station) -> Pages {
    account(station, "a-01", "admin", None);
    account(station, "c-02", "coach", Some("c-02"));
    account(station, "t-07", "teacher", Some("t-07"));
    account(station, "p-01", "privacy-officer", None);
    account(station, "o-01", "operator", None);
    station.start();
    Pages {
        admin: logged_in(station, "a-01"),
        coach: logged_in(station, "c-02"),
        teacher: logged_in(station, "t-07"),
        officer: logged_in(station, "p-01"),
        operator: logged_in(station, "o-01"),
    }
}

fn codes(page: &mut Client) -> Vec<String> {
    let body = page.get("/preflight").is(200).body;
    let reasons = body["reasons"].as_array().unwrap();
    assert_eq!(body["ready"], reasons.is_empty());
    reasons.iter().map(|reason| reason["code"].as_str().unwrap().to_owned()).collect()
}

/// Does what preflight says, each by whom it is for.
fn settle(station: &Station, pages: &mut Pages) {
    station.enrol_teacher();
    let today = jiff::Zoned::now().date().to_string();
    let digest = "ab".repeat(32);
    let assessment = json!({ "reference": "IA-1", "by": "d-01", "review": "2999-01-01" });
    pages.officer.post("/registers/assessment", &assessment).is(200);
    let reminder = json!({ "on": today, "channel": "letter", "text_sha256": digest });
    pages.admin.post("/registers/reminder", &reminder).is(200);
    for audience in ["door", "parents", "pupils", "staff"] {
        let notice = json!({ "audience": audience, "text_sha256": digest });
        pages.admin.post("/registers/notice", &notice).is(200);
    }
    let recipient = station.school.recipient.clone();
    let ask = json!({ "step": "ask", "coach": "c-02", "recipient": recipient });
    let asked = pages.teacher.post("/registers/acceptance", &ask).is(200).body;
    fs::write(station.school.path("question.txt"), asked["question"].as_str().unwrap()).unwrap();
    let word = Command::new("sh")
        .args(["-c", "base64 -d question.txt | age -d -i teacher.key"])
        .current_dir(station.school.path(""))
        .output()
        .unwrap();
    let word = String::from_utf8(word.stdout).unwrap();
    let guess = json!({ "step": "answer", "word": "0123" });
    assert_eq!(code(&pages.teacher.post("/registers/acceptance", &guess).is(403)), "word");
    let answer = json!({ "step": "answer", "word": word });
    pages.teacher.post("/registers/acceptance", &answer).is(200);
    let list = fs::read(station.school.path("list.csv")).unwrap();
    let photo = fs::read(station.school.path("refused.jpg")).unwrap();
    let zip = zip_of(&[("list.csv", &list), ("refused.jpg", &photo)]);
    let kind = [("content-type", "application/zip")];
    let path = "/api/v1/pupils/check";
    let checked = pages.admin.send(&Method::POST, path, &kind, &zip).is(200).body;
    assert_eq!(checked["ok"], true, "{checked}");
    assert_eq!(checked["summary"]["means"]["photo"], 1);
    assert_eq!(pages.admin.get("/pupils").is(200).body["version"], Value::Null);
    let path = "/api/v1/pupils/load";
    let loaded = pages.admin.send(&Method::POST, path, &kind, &zip).is(200).body;
    assert_eq!((&loaded["ok"], &loaded["in_use"]), (&json!(true), &json!(true)), "{loaded}");
    let shown = pages.admin.get("/pupils").is(200).body;
    assert_eq!((&shown["version"], &shown["counts"]["refused"]), (&loaded["version"], &json!(1)));
    let versions = pages.officer.get("/pupils/versions").is(200).body;
    assert_eq!(versions["versions"][0]["version"], loaded["version"]);
}

#[test]
fn a_fresh_box_comes_to_green_and_records_by_its_pages_alone() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let more = format!("{PAGES}[button]\ndanger-remote-start = true\n");
    let mut station = Station::bare(&[&camera.url()], &more);
    let mut pages = pages(&mut station);
    assert_eq!(
        codes(&mut pages.coach),
        [
            "recipients-missing",
            "assessment-missing",
            "reminder-old",
            "notices-stale",
            "acceptance-missing",
            "list-missing"
        ]
    );
    let lesson =
        json!({ "teacher": "t-07", "question": "Does Jantje get a turn?", "planned_s": 60 });
    // While a reason stands nothing is recorded, whatever is asked.
    pages.coach.post("/recordings/prepare", &lesson).is(200);
    let refused = pages.coach.post("/recordings/start", &json!({})).is(409);
    assert_eq!(code(&refused), "recipients-missing");
    assert_eq!(refused.body["reasons"].as_array().unwrap().len(), 6, "{}", refused.text);
    settle(&station, &mut pages);
    assert_eq!(codes(&mut pages.coach), [""; 0]);

    // Nobody prepares for another coach; nobody else begins or ends this one's lesson.
    let other = json!({ "coach": "c-03", "question": "x" });
    assert_eq!(code(&pages.coach.post("/recordings/prepare", &other).is(403)), "not-yours");
    account(&station, "c-03", "coach", Some("c-03"));
    let mut other = logged_in(&mut station, "c-03");
    pages.coach.post("/recordings/prepare", &lesson).is(200);
    for path in ["/recordings/start", "/recordings/stop", "/recordings/withdraw"] {
        assert_eq!(code(&other.post(path, &json!({})).is(403)), "not-yours");
    }
    let mut events = Events::of(&mut pages.teacher);
    assert_eq!(events.next()["state"], "prepared");
    let begun = pages.coach.post("/recordings/start", &json!({})).is(202).body;
    assert!(begun["confirm_within_s"].is_null(), "{begun}");
    events.until(|status| status["state"] == "recording");
    events.until(|status| status["cameras"][0]["segments"].as_u64() > Some(0));
    let figures = pages.operator.send(&Method::GET, "/metrics", &[], &[]).is(200).text;
    assert!(figures.contains("classveil_state{state=\"recording\"} 1"), "{figures}");
    let running = pages.coach.get("/recordings").is(200).body;
    assert_eq!(running["recordings"][0]["state"], "recording", "{running}");
    assert_eq!(running["recordings"][0]["may_view"], false);
    // The coach just stops.
    let objection = json!({ "objection": true });
    assert_eq!(code(&pages.coach.post("/recordings/stop", &objection).is(403)), "role");
    pages.coach.post("/recordings/stop", &json!({})).is(200);
    events.until(|status| status["state"] == "sealed");
    assert_eq!(code(&pages.coach.post("/recordings/stop", &json!({})).is(409)), "nothing-to-stop");

    // The coach has no key that the teacher accepted.
    for (page, may_view) in [(&mut pages.coach, false), (&mut pages.teacher, true)] {
        let all = page.get("/recordings").is(200).body;
        let one = &all["recordings"][0];
        assert_eq!(
            (&one["state"], &one["may_view"]),
            (&json!("sealed"), &json!(may_view)),
            "{all}"
        );
        assert!(one["seconds"].as_f64() > Some(0.5), "{all}");
    }
    assert_eq!(other.get("/recordings").is(200).body["recordings"], json!([]));
    for page in [&mut pages.admin, &mut pages.operator, &mut pages.officer] {
        assert_eq!(page.get("/recordings").is(200).body, json!({ "count": 1 }));
    }
    assert_eq!(station.whole()[0]["coach"], "c-02");

    // The question is for who can open the recording only.
    let mut said = fs::read_to_string(station.school.path("log")).unwrap();
    for page in [&mut pages.operator, &mut pages.officer] {
        said += &page.get("/logs").is(200).text;
    }
    said += &pages.officer.get("/audit/entries").is(200).text;
    said += &pages.officer.get("/registers").is(200).text;
    assert!(!said.contains("Jantje"), "{said}");
    assert!(said.contains("\"kind\":\"list-loaded\""), "{said}");
}

#[test]
fn a_teacher_objects_and_the_button_has_the_last_word() {
    let clips = Clips::new();
    let camera = Camera::serve(&endless(&clips), None);
    let mut station = Station::new(&[&camera.url()], PAGES);
    let mut pages = pages(&mut station);
    pages.coach.post("/recordings/prepare", &json!({ "question": "Do I wait?" })).is(200);
    let started = pages.coach.post("/recordings/start", &json!({})).is(202).body;
    assert_eq!((&started["state"], &started["confirm_within_s"]), (&json!("arming"), &json!(60)));
    assert!(station.school.recordings().is_empty());
    station.short();
    station.until_kept();
    let dropped =
        pages.teacher.post("/recordings/drop-last", &json!({ "seconds": 1 })).is(200).body;
    assert_eq!(dropped["gaps"].as_array().map(Vec::len), Some(1), "{dropped}");
    assert_eq!(dropped["state"], "recording", "{dropped}");
    pages.teacher.post("/recordings/stop", &json!({ "objection": true })).is(200);
    station.until_state("sealed");
    let began = Instant::now();
    loop {
        let all = pages.teacher.get("/recordings").is(200).body;
        let one = &all["recordings"][0];
        if one["withheld"] == true {
            assert_eq!(one["may_view"], false, "{all}");
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{all}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn pages_that_fail_or_flood_hold_up_no_recording() {
    let mut station = Station::new(
        &[text(&sample("obama_speech.mp4"))],
        &format!("{PAGES}[button]\ndanger-remote-start = true\n"),
    );
    let mut pages = pages(&mut station);
    pages.coach.post("/recordings/prepare", &json!({ "question": "Do I wait?" })).is(200);
    pages.coach.post("/recordings/start", &json!({})).is(202);
    let url = pages.coach.url.clone();
    let address = url.strip_prefix("https://").unwrap();
    // More connections than there is room for, none of which says anything.
    let idle: Vec<_> =
        (0..200).filter_map(|_| std::net::TcpStream::connect(address).ok()).collect();
    let body = station.until_state("sealed");
    assert_eq!(body["last"][0]["segments"], 9, "{body}");
    drop(idle);
    assert_eq!(station.whole()[0]["state"], "sealed");
}

/// Events as they come.
struct Events(BufReader<Box<dyn std::io::Read>>);

impl Events {
    fn of(page: &mut Client) -> Self {
        let response = page.begin(&Method::GET, "/api/v1/events", &[], &[]);
        assert_eq!(response.status().as_u16(), 200);
        Self(BufReader::new(Box::new(response.into_body().into_reader())))
    }

    fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "no more events");
            if let Some(data) = line.strip_prefix("data:") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }

    #[track_caller]
    fn until(&mut self, is: impl Fn(&Value) -> bool) {
        let began = Instant::now();
        while !is(&self.next()) {
            assert!(began.elapsed() < Duration::from_secs(50), "no such event");
        }
    }
}
