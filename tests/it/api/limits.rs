//! Requests that are not in order: too long, too slow, in the wrong place.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use ureq::http::Method;

use super::{PAGES, account, code, logged_in, stranger};
use crate::{media::sample, scene::text, service::Station};

fn station(more: &str) -> Station {
    Station::bare(&[text(&sample("obama_speech.mp4"))], &format!("{PAGES}{more}"))
}

#[test]
fn long_and_strange_requests_are_answered_shortly() {
    let mut station = station("");
    account(&station, "a-01", "admin", None);
    station.start();
    let mut page = logged_in(&mut station, "a-01");
    let json = [("content-type", "application/json")];
    let path = "/api/v1/registers/reminder";
    let long = format!("{{\"on\":\"{}\"}}", "x".repeat(70 << 10));
    let long = page.send(&Method::POST, path, &json, long.as_bytes());
    assert_eq!((long.status, code(&long)), (413, "body"));
    let plain = page.send(&Method::POST, path, &[("content-type", "text/plain")], b"{}");
    assert_eq!((plain.status, code(&plain)), (415, "not-json"));
    for wrong in ["{", "[]", "{\"on\":1}", "{\"geheim\":\"x\"}"] {
        let reply = page.send(&Method::POST, path, &json, wrong.as_bytes()).is(400);
        assert_eq!(code(&reply), "body");
        // What was sent is not repeated.
        assert!(!reply.text.contains("geheim"), "{}", reply.text);
    }
    for (method, path, status) in [
        (Method::GET, "/api/v1/nothing", 404),
        (Method::GET, "/api/v2/status", 404),
        (Method::GET, "/api", 404),
        (Method::POST, "/api/v1/status", 405),
        (Method::POST, "/", 404),
        (Method::GET, "/nothing.js", 404),
        // A page that finds out by itself what to show.
        (Method::GET, "/../../etc/passwd", 200),
        (Method::GET, "/%2e%2e/%2e%2e/etc/passwd.txt", 404),
    ] {
        let reply = page.send(&method, path, &[], &[]);
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text);
        assert_eq!(reply.header("x-frame-options"), "DENY", "{path}");
        if status != 200 {
            assert_eq!(reply.header("content-type"), "application/problem+json", "{method} {path}");
        }
        assert!(!reply.text.contains("root:"), "{path}: {}", reply.text);
    }
    page.send(&Method::GET, "/healthz", &[], &[]).is(200);
    page.send(&Method::GET, "/readyz", &[], &[]).is(200);
}

#[test]
fn whoever_says_nothing_is_not_waited_for() {
    let mut station = station("plain-http = true\n");
    station.start();
    let page = stranger(&mut station);
    let address = page.url.strip_prefix("http://").unwrap().to_owned();
    let began = Instant::now();
    let mut slow = TcpStream::connect(&address).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").unwrap();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    // A head without end.
    let mut long = TcpStream::connect(&address).unwrap();
    long.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head =
        format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(64 << 10));
    let _ = long.write_all(head.as_bytes());
    let mut said = Vec::new();
    let _ = long.read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(!said.starts_with("HTTP/1.1 200"), "{said}");
}

/// A browser sends the head of a request and then its body. Who is refused by the head alone has the body
/// on the way, and goes on to ask on the same connection.
#[test]
fn a_refusal_leaves_the_connection_open() {
    let mut station = station("plain-http = true\n");
    station.start();
    let page = stranger(&mut station);
    let address = page.url.strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    for _ in 0..3 {
        let head = "POST /api/v1/registers/reminder HTTP/1.1\r\nhost: x\r\n\
            content-type: application/json\r\ncontent-length: 2\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        stream.write_all(b"{}").unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"}") {
            let mut piece = [0; 4096];
            let length = stream.read(&mut piece).unwrap();
            assert!(length > 0, "closed after {:?}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&piece[..length]);
        }
        assert!(said.starts_with(b"HTTP/1.1 401 "), "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn where_it_cannot_listen_the_box_says_so_and_does_not_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let station = station("");
    let config = fs::read_to_string(station.school.path("box.toml")).unwrap();
    let config = config.replace("127.0.0.1:0", &address.to_string());
    fs::write(station.school.path("box.toml"), &config).unwrap();
    let said = station.run(&["run"]).ended(78);
    assert!(said.err.contains(&format!("cannot listen on {address}")), "{}", said.err);
    assert!(!station.school.path("box.sock").exists());
    // Nor with accounts that others can read.
    drop(taken);
    account(&station, "o-01", "operator", None);
    let accounts = station.school.path("accounts.json");
    fs::set_permissions(&accounts, fs::Permissions::from_mode(0o644)).unwrap();
    let said = station.run(&["run"]).ended(78);
    assert!(said.err.contains("chmod 600"), "{}", said.err);
}
