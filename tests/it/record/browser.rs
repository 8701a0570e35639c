//! What a browser makes of the segments: Chromium plays them by Media Source Extensions.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::{media::sample, scene::School, support::project};

/// For so long a browser is waited for: it starts, and plays the clip in its own time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser without a window, and all it writes; both go when the test ends.
struct Browser {
    child: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn open(address: &str) -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let child = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--mute-audio"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--disable-dev-shm-usage"])
            .args(["--autoplay-policy=no-user-gesture-required"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(address)
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("chromium: {e}; `make setup` installs it"));
        Self { child, _profile: profile }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers one request; gives the body where it was the report.
fn answer(stream: TcpStream, segments: &[Vec<u8>]) -> std::io::Result<Option<String>> {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    reader.read_line(&mut request)?;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = request.split(' ').nth(1).unwrap_or_default();
    let segment = path.strip_prefix("/segment/").and_then(|number| number.parse::<usize>().ok());
    let page = fs::read(project("tests/fixtures/browser/play.html")).expect("the page");
    let (status, kind, content) = match segment.and_then(|number| segments.get(number - 1)) {
        Some(segment) => ("200 OK", "video/mp4", &segment[..]),
        None if path.starts_with("/play") => ("200 OK", "text/html", &page[..]),
        None if path == "/report" => ("204 No Content", "text/plain", &[][..]),
        None => ("404 Not Found", "text/plain", &[][..]),
    };
    let mut stream = reader.into_inner();
    let length = content.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(content)?;
    Ok((path == "/report").then(|| String::from_utf8_lossy(&body).into_owned()))
}

/// Has a browser play `segments`; gives what it reports.
fn play(segments: Vec<Vec<u8>>, mime: &str) -> serde_json::Value {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().unwrap();
    let count = segments.len();
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A connection that the browser opened and left is none of ours.
            if let Ok(Some(report)) = answer(stream, &segments) {
                let _ = tell.send(report);
                return;
            }
        }
    });
    let mime = mime.replace('"', "%22").replace(' ', "%20").replace(';', "%3B");
    let browser = Browser::open(&format!("http://{address}/play?count={count}&mime={mime}"));
    let report = told.recv_timeout(PATIENCE).expect("a report of the browser");
    drop(browser);
    serde_json::from_str(&report).expect("JSON")
}

/// The segments of a recording, without and with sound, appended one after the other make one
/// stretch of time without a gap, can be jumped in, and play to the end.
#[test]
fn a_browser_plays_the_segments() {
    let school = School::with_refused_man();
    let clip = sample("obama_speech.mp4");
    let words = ["--policy", "refused", "--dpia", "D", "--segment", "2 s"];
    let sound = ["--audio", "keep", "--audio-reason", "questions"];
    // Codecs as RFC 6381 writes them: H.264 Main, AAC-LC.
    let kinds = [
        (&[][..], r#"video/mp4; codecs="avc1.4d401e""#),
        (&sound[..], r#"video/mp4; codecs="avc1.4d401e,mp4a.40.2""#),
    ];
    for (more, mime) in kinds {
        let recorded = school.record(&clip, &[&words[..], more].concat());
        let count = recorded.json["segments"].as_u64().unwrap();
        assert!(count >= 4, "{}", recorded.json);
        let segments = (1..=count)
            .map(|number| school.unseal(&recorded.folder, &format!("cam1/{number:06}.mp4.age")))
            .collect();
        let report = play(segments, mime);
        assert!(report["error"].is_null(), "{mime}: {report}");
        let ranges = report["ranges"].as_array().unwrap();
        let [range] = &ranges[..] else { panic!("{mime}: a gap: {report}") };
        let [from, to] = [0, 1].map(|end| range[end].as_f64().unwrap());
        let seconds = recorded.json["seconds"].as_f64().unwrap();
        assert!(from < 0.1 && (to - from - seconds).abs() < 0.2, "{mime}: {report}, {seconds} s");
        assert!((report["at"].as_f64().unwrap() - to).abs() < 0.1, "{mime}: {report}");
        assert_eq!(report["size"], serde_json::json!([320, 240]), "{mime}");
        // A busy machine skips pictures, but it does not skip them all.
        assert!(report["frames"].as_u64() > Some(10), "{mime}: {report}");
    }
}
