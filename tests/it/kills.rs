//! The promise: a box that is killed at any moment keeps every segment that it had completed, has
//! nothing half, brings no destroyed key back, and finishes at its next start what it had begun.
//!
//! A child lives the life of a box, over and over: it recovers, records, drops a stretch, seals, closes
//! a talk, takes a successor in, destroys what is due. It says on its standard error what is about to
//! happen and what has happened; the parent kills it at a random moment and holds it to its word.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use classveil::{
    units::{CameraId, Pts, RecordingId},
    vault::{
        Course, Manifest, Outcome, RecordingWriter, SegmentFile, State,
        audit::{AuditKey, AuditTrust, Event, check_log},
        check,
        fsck::examine,
        recover,
        retention::{Clock, apply, close_talk},
    },
};

use crate::{
    crash::{CHILD, workplace},
    retention::{Scene, at, contents, policy, roles},
    reveil::{adopt, made},
};

/// How many kills; `make crash` sets it to 500 and more.
const KILLS: &str = "CLASSVEIL_TEST_KILLS";
/// What an ordinary run of the tests does: some twenty seconds.
const FEW: usize = 40;
/// Moments are random, so a few more may be needed until every phase was hit; never so many times more.
const MORE: usize = 5;
/// A store lives through so many kills.
const LIVES: usize = 20;
/// Segments come in these lengths.
const SEGMENT: u64 = 6_000_000_000;

/// What the child does, in its order. Moments are spread over these evenly, however long each lasts.
const PHASES: [&str; 8] = [
    "recovering",
    "retention",
    "beginning",
    "recording",
    "dropping",
    "sealing",
    "closing",
    "adopting",
];

fn camera() -> CameraId {
    CameraId::first()
}

/// Every segment has its own content.
fn content(id: &str, number: u32) -> Vec<u8> {
    format!("segment {number} of {id}. ").repeat(1500 + 20 * number as usize).into_bytes()
}

fn segment(id: RecordingId, number: u32) -> SegmentFile {
    let start = Pts::from_nanos(u64::from(number - 1) * SEGMENT);
    SegmentFile {
        camera: camera(),
        number,
        mp4: content(&id.to_string(), number),
        tracks: format!("{{\"of\":\"{id}\",\"number\":{number}}}").into_bytes(),
        frames: 72,
        start,
        end: start.plus(Duration::from_nanos(SEGMENT)),
    }
}

/// Says something that is true from now on. Straight to the descriptor: the test program keeps what
/// its macros print to itself.
fn say(words: std::fmt::Arguments<'_>) {
    std::io::stderr().write_all(format!("SAID {words}\n").as_bytes()).unwrap();
}

/// Not a test of its own: lives until it is killed, where the parent asks for it.
#[test]
fn child_that_lives() {
    let Some(root) = workplace() else { return };
    let scene = Scene::at(&root);
    let day: i64 = fs::read_to_string(root.join("day")).unwrap().parse().unwrap();
    let doing = |phase: &str| say(format_args!("doing {phase}"));
    for turn in 0_i64.. {
        let now = |second: i64| at(day * 86_400 + turn * 600 + second);
        doing("recovering");
        let log = scene.log(now(0));
        let recovery = recover(&scene.store, &scene.key, now(1)).unwrap();
        assert!(recovery.failed.is_empty(), "{:?}", recovery.failed);
        log.note_recovery(now(1), &recovery).unwrap();
        doing("retention");
        let clock = Clock { now: now(2), trusted: true, highest: log.highest() };
        let applied = apply(&scene.store, &log, &scene.key, &policy(), &clock).unwrap();
        assert!(applied.failed.is_empty(), "{:?}", applied.failed);
        for id in applied.destroyed {
            say(format_args!("destroyed {id}"));
        }
        doing("beginning");
        let new = scene.new_recording(now(10), 1);
        let id = new.id;
        let _ = log.append(now(10), &Event::armed(&new)).unwrap();
        let mut writer = RecordingWriter::create(&scene.store, new, &scene.key).unwrap();
        say(format_args!("began {id}"));
        let started = Event::Started { recording: id, manifest: writer.manifest() };
        let _ = log.append(now(10), &started).unwrap();
        doing("recording");
        for number in 1..=4 {
            writer.write(segment(id, number)).unwrap();
            say(format_args!("wrote {id} {number}"));
        }
        doing("dropping");
        let (from, to) = (Pts::from_nanos(2 * SEGMENT + 1), Pts::from_nanos(4 * SEGMENT));
        let line = Event::Dropped { recording: id, camera: camera(), from_ns: from, to_ns: to };
        let _ = log.append(now(40), &line).unwrap();
        writer.discard(&camera(), from, to).unwrap();
        say(format_args!("gone {id} 3 4"));
        writer.write(segment(id, 5)).unwrap();
        say(format_args!("wrote {id} 5"));
        doing("sealing");
        let outcome = Outcome { ended: now(60), fault: None, course: Course::default() };
        let sealed = writer.finish(outcome).unwrap();
        say(format_args!("sealed {id}"));
        let line = Event::Sealed {
            recording: id,
            manifest: sealed.manifest,
            segments: sealed.segments as u64,
            frames: sealed.frames,
            frames_veiled_whole: 0,
            tracks_veiled: 0,
            tracks_shown: 0,
        };
        let _ = log.append(now(60), &line).unwrap();
        doing("closing");
        let by = "t-07".parse().unwrap();
        let here = (scene.store.as_path(), &log, &scene.key);
        close_talk(here, &roles(), id, &by, &policy(), now(70)).unwrap();
        // Preparing is the key holder's, on another computer.
        doing("nothing");
        let old = scene.record_sealed(&log, now(80), 1);
        say(format_args!("began {old}"));
        let successor = made(&scene, old, now(80), |_| ());
        let new: RecordingId = successor.file_name().unwrap().to_str().unwrap().parse().unwrap();
        drop(log);
        doing("adopting");
        adopt(&scene, &successor, "keyed", now(90)).unwrap();
        say(format_args!("adopted {old} {new}"));
        doing("nothing");
        fs::remove_dir_all(root.join("workshop")).unwrap();
    }
}

/// What the child has promised about one store, over all its lives.
#[derive(Default)]
struct Promises {
    began: BTreeSet<String>,
    /// Segments that are complete, and not dropped since.
    complete: BTreeSet<(String, u32)>,
    gone: BTreeSet<(String, u32)>,
    sealed: BTreeSet<String>,
    destroyed: BTreeSet<String>,
    adopted: Vec<(String, String)>,
    /// Of every key file that was ever seen.
    keys: BTreeMap<Vec<u8>, String>,
}

impl Promises {
    fn hear(&mut self, words: &str) {
        let mut words = words.split(' ');
        let what = words.next().unwrap();
        let id = words.next().unwrap().to_owned();
        let mut number = || words.next().map(|number| number.parse::<u32>().unwrap());
        match what {
            "began" => drop(self.began.insert(id)),
            "wrote" => drop(self.complete.insert((id, number().unwrap()))),
            "gone" => {
                while let Some(number) = number() {
                    self.complete.remove(&(id.clone(), number));
                    self.gone.insert((id.clone(), number));
                }
            }
            "sealed" => drop(self.sealed.insert(id)),
            "destroyed" => drop(self.destroyed.insert(id)),
            "adopted" => self.adopted.push((id, words.next().unwrap().to_owned())),
            other => panic!("{other}"),
        }
    }

    /// What is on the disk at the moment of the crash: lines of journals that are whole count like a
    /// promise, and keys are remembered.
    fn look(&mut self, scene: &Scene) {
        if !scene.store.exists() {
            // Killed before there was anything.
            return;
        }
        for (name, bytes) in contents(&scene.store) {
            let parts: Vec<&str> = name.iter().map(|part| part.to_str().unwrap()).collect();
            if let ["recordings", id, "key.age"] = parts[..]
                && id.parse::<RecordingId>().is_ok()
            {
                self.keys.insert(bytes.clone(), id.to_owned());
            }
            if let ["recordings", id, "segments.jsonl"] = parts[..]
                && id.parse::<RecordingId>().is_ok()
            {
                let text = String::from_utf8(bytes).unwrap();
                for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
                    let line: serde_json::Value = serde_json::from_str(line).unwrap();
                    if let Some(number) = line["segment"]["number"].as_u64() {
                        let one = (id.to_owned(), u32::try_from(number).unwrap());
                        if !self.gone.contains(&one) {
                            self.complete.insert(one);
                        }
                    }
                    for number in line["gap"]["removed"].as_array().into_iter().flatten() {
                        let number = u32::try_from(number.as_u64().unwrap()).unwrap();
                        self.complete.remove(&(id.to_owned(), number));
                    }
                }
            }
        }
    }
}

/// What a round found, added up.
#[derive(Clone, Copy, Default)]
struct Found {
    kills: usize,
    /// Recordings that were cut off and sealed.
    recovered: usize,
    /// Segments that had their name and no line.
    listed: usize,
    /// Stretches that only the log knew of.
    dropped: usize,
    /// Destructions that were half done.
    finished: usize,
    /// Recordings destroyed at the restart, all counted once.
    destroyed: usize,
    /// Complete segments that were looked for and found, opened and compared.
    segments: usize,
}

impl Found {
    fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.recovered += other.recovered;
        self.listed += other.listed;
        self.dropped += other.dropped;
        self.finished += other.finished;
        self.destroyed += other.destroyed;
        self.segments += other.segments;
    }
}

/// Lets a child live until a random moment of `phase`; returns what it was doing.
fn live_and_die(
    root: &Path,
    phase: &str,
    longest: &mut BTreeMap<String, Duration>,
    promises: &mut Promises,
) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::child_that_lives", "--test-threads=1"])
        .env(CHILD, root)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, said) = mpsc::channel();
    let output = BufReader::new(child.stderr.take().unwrap());
    let reader = std::thread::spawn(move || {
        for line in output.lines() {
            let line = line.unwrap();
            if let Some(words) = line.strip_prefix("SAID ") {
                // Whoever listened may have killed it already.
                let _ = sender.send((Instant::now(), words.to_owned()));
            }
        }
    });
    let mut doing = String::from("starting");
    let mut since = Instant::now();
    let mut until: Option<Instant> = None;
    loop {
        let wait = until.map_or(Duration::from_secs(60), |until| {
            until.saturating_duration_since(Instant::now())
        });
        match said.recv_timeout(wait) {
            Ok((at, words)) => match words.strip_prefix("doing ") {
                Some(new) => {
                    let lasted = at.duration_since(since);
                    let known = longest.entry(doing.clone()).or_insert(lasted);
                    // One slow moment of the machine does not count for ever.
                    *known = (*known * 3 + lasted) / 4;
                    new.clone_into(&mut doing);
                    since = at;
                    if new == phase && until.is_none() {
                        let long =
                            longest.get(phase).copied().unwrap_or(Duration::from_millis(300));
                        until = Some(at + long.mul_f64(random()));
                    }
                }
                None => promises.hear(&words),
            },
            Err(mpsc::RecvTimeoutError::Timeout) => {
                assert!(until.is_some(), "the child does not come to {phase}");
                break;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let output = child.wait_with_output().unwrap();
                panic!("the child ended: {}", String::from_utf8_lossy(&output.stdout));
            }
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    for (_, words) in said.try_iter() {
        match words.strip_prefix("doing ") {
            Some(new) => new.clone_into(&mut doing),
            None => promises.hear(&words),
        }
    }
    doing
}

/// A number from 0 up to 1.
fn random() -> f64 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}

/// Restarts the box of `scene` and holds the store to what was promised.
fn restart_and_check(scene: &Scene, day: i64, promises: &Promises, place: &str) -> Found {
    let now = at(day * 86_400 + 86_000);
    let log = scene.log(now);
    let recovery = recover(&scene.store, &scene.key, now).unwrap();
    assert!(recovery.failed.is_empty(), "{place}: {:?}", recovery.failed);
    log.note_recovery(now, &recovery).unwrap();
    let again = recover(&scene.store, &scene.key, now).unwrap();
    assert!(again.recovered.is_empty() && again.busy.is_empty(), "{place}: done once");
    drop(log);
    let applied = scene.apply(now);
    let second = scene.apply(now);
    let quiet = second.destroyed.is_empty() && second.finished.is_empty();
    assert!(quiet && second.returned.is_empty() && second.busy.is_empty(), "{place}: done once");
    assert!(applied.returned.is_empty(), "{place}: {:?} came back", applied.returned);

    // No orphan that nobody lists, nothing half.
    let key = AuditKey::load(&scene.root.join("classveil/audit.key")).unwrap();
    let checked = check_log(&scene.store, &AuditTrust::Own(key), &[]).unwrap();
    assert!(checked.flaws.is_empty(), "{place}: {:?}", checked.flaws);
    let examined = examine(&scene.store, &scene.trust(), Some(&checked), |_| ()).unwrap();
    assert!(!examined.has_faults() && examined.busy == 0, "{place}: {examined:?}");

    let events: Vec<Event> =
        checked.entries.into_iter().map(|entry| entry.event.unwrap()).collect();
    let mut orders: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut dropped: BTreeSet<String> = BTreeSet::new();
    for event in &events {
        match event {
            Event::Destroyed { recording, .. } => {
                orders.entry(recording.to_string()).or_default().0 += 1;
            }
            Event::Certified { recording, .. } => {
                orders.entry(recording.to_string()).or_default().1 += 1;
            }
            Event::Dropped { recording, .. } => drop(dropped.insert(recording.to_string())),
            _ => {}
        }
    }
    assert!(orders.values().all(|times| *times == (1, 1)), "{place}: {orders:?}");
    let there = manifests(scene, place);
    for id in &promises.began {
        let is_gone = orders.contains_key(id);
        assert!(is_gone != there.contains_key(id), "{place}: {id} is neither here nor destroyed");
    }
    for id in &promises.destroyed {
        assert!(orders.contains_key(id), "{place}: {id} was destroyed without a line");
    }
    for id in &promises.sealed {
        if let Some(manifest) = there.get(id) {
            assert_eq!(manifest.state, State::Sealed, "{place}: {id}");
        }
    }
    for (old, new) in &promises.adopted {
        assert!(orders.contains_key(old), "{place}: {old} was replaced and is there");
        assert!(there.contains_key(new) || orders.contains_key(new), "{place}: {new} is lost");
    }
    for (id, manifest) in &there {
        let listed: BTreeSet<u32> = manifest.segments.iter().map(|one| one.number).collect();
        for (of, number) in &promises.complete {
            // What the log says was dropped goes with it, though nobody had heard that it was gone.
            let is_dropped = dropped.contains(id) && [3, 4].contains(number);
            assert!(
                of != id || is_dropped || listed.contains(number),
                "{place}: {id} lost {number}"
            );
        }
        if dropped.contains(id) {
            assert!(!listed.contains(&3) && !listed.contains(&4), "{place}: {id} {listed:?}");
            assert_eq!(manifest.gaps.len(), 1, "{place}: {id} states its gap");
        }
    }
    // No key of a destroyed recording, under any name.
    for (name, bytes) in contents(&scene.store) {
        if let Some(of) = promises.keys.get(&bytes) {
            assert!(!orders.contains_key(of), "{place}: {} is the key of {of}", name.display());
        }
        assert!(!name.to_string_lossy().ends_with(".part"), "{place}: {}", name.display());
    }
    Found {
        recovered: recovery.recovered.len(),
        listed: recovery.recovered.iter().map(|one| one.listed).sum(),
        dropped: recovery.recovered.iter().map(|one| one.dropped).sum(),
        finished: applied.finished.len(),
        destroyed: applied.destroyed.len(),
        segments: there.values().map(|manifest| manifest.segments.len()).sum(),
        ..Found::default()
    }
}

/// The manifests of all recordings of the store, which are whole and open for the teacher.
fn manifests(scene: &Scene, place: &str) -> BTreeMap<String, Manifest> {
    let identity = |text: &str| -> age::x25519::Identity {
        text.lines().find(|line| line.starts_with("AGE")).unwrap().parse().unwrap()
    };
    let teacher = identity(&fs::read_to_string(scene.root.join("teacher.key")).unwrap());
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(scene.store.join("recordings")) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        let id = path.file_name().unwrap().to_str().unwrap().to_owned();
        let checked =
            check(&path, &scene.trust(), |_| ()).unwrap_or_else(|error| panic!("{place}: {error}"));
        let open = |own: &age::x25519::Identity, name: &str| {
            age::decrypt(own, &fs::read(path.join(name)).unwrap())
                .unwrap_or_else(|error| panic!("{place}: {id}/{name}: {error}"))
        };
        let own = identity(&String::from_utf8(open(&teacher, "key.age")).unwrap());
        for segment in &checked.manifest().segments {
            let video = open(&own, &format!("cam1/{:06}.mp4.age", segment.number));
            let own_content = video == content(&id, segment.number);
            // Those that successors are made of are all the same.
            let known = own_content || video == crate::retention::segment(segment.number).mp4;
            assert!(known, "{place}: {id} {}", segment.number);
            open(&own, &format!("cam1/{:06}.tracks.age", segment.number));
        }
        found.insert(id, checked.manifest().clone());
    }
    found
}

#[test]
fn killed_at_random_moments_a_box_keeps_its_word() {
    let wanted = std::env::var(KILLS).ok().map_or(FEW, |text| text.parse().unwrap());
    let began = Instant::now();
    let mut table: BTreeMap<String, Found> = BTreeMap::new();
    let mut longest = BTreeMap::new();
    let (mut kills, mut unseen, mut is_seen) = (0, 0, true);
    // A child that is quicker than it was dies in a later phase than was meant, or before it has anything.
    let is_enough = |kills: usize, table: &BTreeMap<String, Found>| {
        let segments: usize = table.values().map(|found| found.segments).sum();
        let is_spread = PHASES.iter().all(|phase| table.contains_key(*phase));
        kills >= wanted && is_spread && segments > wanted
    };
    while !is_enough(kills, &table) && kills < MORE * wanted {
        let scene = Scene::new();
        let mut promises = Promises::default();
        for life in 0..LIVES {
            let day = i64::try_from(life).unwrap();
            fs::write(scene.root.join("day"), day.to_string()).unwrap();
            // What the one before left is recovered from as well, and that is cut off in turn.
            let recovers = !is_seen && random() < 0.5;
            let rarest =
                PHASES.iter().min_by_key(|phase| table.get(**phase).map_or(0, |f| f.kills));
            let in_turn = &PHASES[kills / 2 % PHASES.len()];
            let next = if kills.is_multiple_of(2) { in_turn } else { rarest.unwrap() };
            let phase = if recovers { PHASES[0] } else { next };
            let doing = live_and_die(&scene.root, phase, &mut longest, &mut promises);
            promises.look(&scene);
            // Left by a key holder who is not there any more.
            let _ = fs::remove_dir_all(scene.root.join("workshop"));
            kills += 1;
            let place = format!("kill {kills}, {doing}");
            // Now and then the next start is killed as well, before anybody has looked.
            is_seen = life + 1 == LIVES || random() < 0.67;
            let found = if is_seen {
                restart_and_check(&scene, day, &promises, &place)
            } else {
                unseen += 1;
                Found::default()
            };
            table.entry(doing).or_default().add(Found { kills: 1, ..found });
        }
    }
    println!(
        "| killed while | kills | cut off, sealed | listed | drops finished | destructions finished | destroyed | segments opened |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut all = Found::default();
    let row = |name: &str, f: &Found| {
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} |",
            f.kills, f.recovered, f.listed, f.dropped, f.finished, f.destroyed, f.segments
        );
    };
    for (doing, found) in &table {
        row(doing, found);
        all.add(*found);
    }
    row("all", &all);
    let took = began.elapsed();
    println!("{kills} kills in {took:?}; {unseen} times the next start was killed unseen");
    assert_eq!(all.kills, kills);
    let phases: Vec<&String> = table.keys().collect();
    assert!(is_enough(kills, &table), "{} segments were looked at, {phases:?}", all.segments);
}

/// A crash between the log's line of a dropped stretch and the journal's: the stretch goes at the next
/// start, with what was renamed and had no line yet.
#[test]
fn a_drop_that_only_the_log_knows_is_finished() {
    let line = |id, from, to| Event::Dropped {
        recording: id,
        camera: camera(),
        from_ns: Pts::from_nanos(from),
        to_ns: Pts::from_nanos(to),
    };
    for (forged, unlisted) in [(false, false), (false, true), (true, false)] {
        let scene = Scene::new();
        let log = scene.log(at(0));
        let new = scene.new_recording(at(0), 5);
        let id = new.id;
        let mut writer = RecordingWriter::create(&scene.store, new, &scene.key).unwrap();
        let folder = writer.path().to_owned();
        (1..=3).for_each(|number| writer.write(segment(id, number)).unwrap());
        // One drop that went through before: it is finished once only.
        let _ = log.append(at(1), &line(id, 2 * SEGMENT + 5, 3 * SEGMENT)).unwrap();
        let (from, to) = (Pts::from_nanos(2 * SEGMENT + 5), Pts::from_nanos(3 * SEGMENT));
        writer.discard(&camera(), from, to).unwrap();
        (4..=5).for_each(|number| writer.write(segment(id, number)).unwrap());
        drop(writer);
        if unlisted {
            let journal = fs::read_to_string(folder.join("segments.jsonl")).unwrap();
            let lines: Vec<&str> = journal.split_inclusive('\n').collect();
            fs::write(folder.join("segments.jsonl"), lines[..lines.len() - 1].concat()).unwrap();
        }
        let _ = log.append(at(2), &line(id, 3 * SEGMENT + 5, 5 * SEGMENT)).unwrap();
        if forged {
            let path = scene.store.join("audit/log.jsonl");
            let text = fs::read_to_string(&path).unwrap();
            let other = text.replace(&(3 * SEGMENT + 5).to_string(), "7");
            assert_ne!(other, text);
            fs::write(path, other).unwrap();
        }
        let recovery = recover(&scene.store, &scene.key, at(9)).unwrap();
        assert_eq!(recovery.recovered[0].dropped, usize::from(!forged));
        let checked = check(&scene.folder(id), &scene.trust(), |_| ()).unwrap();
        let left: Vec<u32> = checked.manifest().segments.iter().map(|one| one.number).collect();
        let gaps = &checked.manifest().gaps;
        if forged {
            // What nobody signed makes nothing go.
            assert_eq!((left, gaps.len()), (vec![1, 2, 4, 5], 1));
        } else {
            assert_eq!((left, gaps.len()), (vec![1, 2], 2));
            assert_eq!(gaps[1].removed, [4, 5]);
            assert_eq!(gaps[1].to_ns, Pts::from_nanos(5 * SEGMENT));
        }
    }
}
