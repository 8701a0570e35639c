//! The socket and both of its ends, tried out.

use super::*;

/// A box that says back what it is asked.
fn echo(path: &Path, ended: &Shutdown) -> std::thread::JoinHandle<()> {
    let socket = Socket::bind(path).unwrap();
    let ended = ended.clone();
    let answer = |call: Call| {
        let body = serde_json::to_value(&call.request).unwrap();
        call.answer.send(Answer::done(body)).is_ok()
    };
    std::thread::Builder::new()
        .spawn(move || socket.answer(&|_, _| Ok(Caller::Anybody), &answer, &ended))
        .unwrap()
}

#[test]
fn a_question_and_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/box.sock");
    assert!(matches!(ask(&path, &Request::Status), Err(ControlError::Nobody { .. })));
    let ended = Shutdown::new();
    let thread = echo(&path, &ended);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert!(matches!(Socket::bind(&path), Err(ControlError::Running { .. })));
    let answer = ask(&path, &Request::Stop { objection: true }).unwrap();
    assert_eq!(answer.body, serde_json::json!({ "command": "stop", "objection": true }));

    // Nonsense is answered; a line without an end ends the conversation.
    let mut stream = UnixStream::connect(&path).unwrap();
    for line in ["nonsense", "{}", "{\"command\":\"dance\"}", "{\"command\":\"stop\"}"] {
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let said = read_line(&mut BufReader::new(&stream)).unwrap().unwrap();
        let said: Answer = serde_json::from_slice(&said).unwrap();
        assert!(!said.ok, "{line}");
    }
    drop(stream);
    let mut stream = UnixStream::connect(&path).unwrap();
    let long = vec![b'x'; usize::try_from(LINE_BYTES).unwrap() + 1];
    let _ = stream.write_all(&long);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty());
    // And the next one is served.
    assert!(ask(&path, &Request::Status).unwrap().ok);
    ended.request();
    thread.join().unwrap();
    assert!(!path.exists());
}

#[test]
fn nobody_takes_the_socket_from_everybody_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("box.sock");
    let socket = Socket::bind(&path).unwrap();
    let stranger = 4_000_000;
    let places: Vec<_> = (0..FOR_OTHERS).map(|_| socket.place(stranger).unwrap()).collect();
    assert!(socket.place(stranger).is_none());
    assert!(socket.place(0).is_some());
    drop(places);
    assert!(socket.place(stranger).is_some());
    drop(socket);

    // Byte by byte: a line takes so long at most.
    let ended = Shutdown::new();
    let thread = echo(&path, &ended);
    let mut stream = UnixStream::connect(&path).unwrap();
    let began = Instant::now();
    while stream.write_all(b" ").is_ok() {
        assert!(began.elapsed() < 10 * SILENCE, "it is never ended");
        std::thread::sleep(SILENCE / 8);
    }
    assert!(ask(&path, &Request::Status).unwrap().ok);
    ended.request();
    thread.join().unwrap();
}

#[test]
fn a_lesson_is_for_its_own_coach_and_teacher() {
    let name = |text: &str| text.parse::<PersonId>().unwrap();
    let (coach, teacher) = (name("c-02"), name("t-07"));
    let is_of = |caller: Caller| caller.is_of(Some(&coach), Some(&teacher));
    assert!(is_of(Caller::Anybody));
    assert!(is_of(Caller::Coach(Some(name("c-02")))));
    assert!(is_of(Caller::Teacher(Some(name("t-07")))));
    for other in [
        Caller::Coach(Some(name("t-07"))),
        Caller::Coach(None),
        Caller::Teacher(Some(name("c-02"))),
        Caller::Other(1000),
    ] {
        assert!(!is_of(other.clone()), "{other:?}");
    }
    assert!(!Caller::Coach(None).is_of(None, None));
}

#[test]
fn what_a_killed_box_left_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("box.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(Socket::bind(&path).unwrap());
    // But a file of somebody else's is left alone.
    fs::write(&path, "mine").unwrap();
    assert!(matches!(Socket::bind(&path), Err(ControlError::Listen { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn a_socket_that_is_closed_to_somebody_is_no_box_that_is_off() {
    let path = Path::new("/run/classveil/box.sock");
    let closed = silence(path, &IoKind::PermissionDenied.into());
    assert_eq!(closed.kind(), ErrorKind::Denied);
    assert!(closed.to_string().contains("sudo -u classveil"), "{closed}");
    for nobody in [IoKind::NotFound, IoKind::ConnectionRefused] {
        let nobody = silence(path, &nobody.into());
        assert!(nobody.to_string().contains("nobody answers"), "{nobody}");
    }
}
