//! The box itself: what `classveil run` does until it is told to end.
//!
//! Belongs here: the start-up order, one loop that takes what happens (requests, presses, lamps,
//! cameras, time) to the state machine and carries out its effects. Does not belong: the rules of a
//! recording (`recording`), what stands against one (`preflight`).
//!
//! Threads: this loop; four that answer the socket; one for the lamp, one for the button, one that
//! looks and reads lists; and while it records one for the recorder, beside those of its cameras.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    button::{self, Press},
    codes::Code,
    control::{self, Answer, Call, ControlError, LAST_MINUTE, NewLesson, Request, Socket},
    crew::{self, Crew, Ground},
    desk::Desk,
    dropping::Dropping,
    hardening::harden,
    indicator::{self, Indicator, Lamp, Show, indicator},
    lists::ListSender,
    notify::Notifier,
    preflight::{self, Hardware, Lit, Places, Reason},
    preview::Previews,
    recorder::Report,
    recording::{By, Effect, Event, Lesson, Light, Limits, Recording, State, Step},
    retain,
    settings::retention_policy,
};
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    error::{ErrorKind, Kind},
    shutdown::Shutdown,
    units::{PersonId, RecordingId},
    vault::{
        self, BoxKey, Digest, Purpose, VaultError,
        audit::{AuditError, AuditKey, AuditLog, Event as Line, Word},
        retention::{NewHold, RetentionError, hold},
    },
};

/// How often the loop looks at signals and the time.
const LOOK: Duration = Duration::from_millis(100);
/// Lines of what happened that are kept for whoever asks.
const LINES: usize = 200;
/// How long what was objected to is withheld; the privacy officer decides within that time.
const WITHHELD: Duration = Duration::from_secs(30 * 86_400);

/// What the box runs on.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The settings.
    pub config: Config,
    /// What preflight looks at.
    pub places: Places,
    /// The box's signing key.
    pub box_key: PathBuf,
    /// The log's key.
    pub audit_key: PathBuf,
    /// The socket.
    pub socket: PathBuf,
}

/// Why the box does not run any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A key or the store cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The log cannot be used.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What is to be kept for how long makes no sense.
    #[error(transparent)]
    Retention(#[from] RetentionError),
    /// The socket cannot be used.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// No thread could be started, or no signal taken over.
    #[error("cannot start: {0}")]
    System(#[source] std::io::Error),
    /// The front end beside the socket cannot be opened.
    #[error("{problem}")]
    Beside {
        /// What kind of failure it is.
        kind: ErrorKind,
        /// Why.
        problem: String,
    },
    /// A recording could not be sealed in time.
    #[error(
        "a recording could not be sealed in time, so the program ends to be sure that no camera stays \
         open: start it again, which seals what is on disk"
    )]
    Stuck,
}

impl Kind for ServiceError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Vault(error) => error.kind(),
            Self::Audit(error) => error.kind(),
            Self::Retention(error) => error.kind(),
            Self::Control(error) => error.kind(),
            Self::System(_) => ErrorKind::Exhausted,
            Self::Beside { kind, .. } => *kind,
            Self::Stuck => ErrorKind::Transient,
        }
    }
}

/// What reaches the loop.
#[derive(Debug)]
enum Message {
    Call(Call),
    Lamp(indicator::Told),
    Button(button::Told),
    Crew(crew::Told),
    Checked {
        check: u64,
        reasons: Vec<Reason>,
    },
    Looked {
        reasons: Vec<Reason>,
        answer: Option<Sender<Answer>>,
    },
    Reread {
        result: Result<String, String>,
        answer: Option<Sender<Answer>>,
    },
    /// What was destroyed, or could not be.
    Retained(Vec<String>),
}

/// What the thread that looks is asked.
enum Job {
    /// Whether this lesson may be recorded.
    Check { check: u64, lesson: Lesson, hardware: Hardware },
    /// What stands against a recording.
    Look { lesson: Option<Lesson>, hardware: Hardware, answer: Option<Sender<Answer>> },
    /// The list again, for whoever records.
    Reread { lists: Option<ListSender>, answer: Option<Sender<Answer>> },
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
struct Happened {
    at: Timestamp,
    what: String,
}

/// One camera of a recording that is over.
#[derive(Clone, Debug, Serialize)]
struct Over {
    camera: String,
    recording: Option<RecordingId>,
    sealed: bool,
    segments: u32,
    seconds: f64,
    fault: Option<String>,
}

/// Runs the box until `shutdown` and everything is sealed. `reread` says that the list is to be read
/// again. `beside` opens another front end before the box is ready; what it returns is dropped when
/// the box ends. Where it fails the box does not start.
pub fn run<B, E: Kind>(
    setup: &Setup,
    shutdown: &Shutdown,
    reread: &Arc<AtomicBool>,
    beside: impl FnOnce(Desk) -> Result<B, E>,
) -> Result<(), ServiceError> {
    let Setup { config, places, box_key, audit_key, socket } = setup;
    harden();
    let now = SystemClock.now();
    let key = BoxKey::load_or_create(box_key, &places.store)?;
    let audit_key = AuditKey::load_or_create(audit_key, &places.store)?;
    let audit = AuditLog::open(&places.store, audit_key, key.public(), now)?;
    let in_force = serde_json::to_vec(config).map_err(|e| ServiceError::System(e.into()))?;
    audit.note_configuration(now, Digest::of(&in_force))?;
    recover(places, &key, &audit)?;
    let socket = Socket::bind(socket)?;

    // Capacity 64: a word of each thread and a request of each that answers, many times over. Full:
    // whoever tells something waits until the loop has come to it.
    let (tell, inbox) = bounded::<Message>(64);
    // Capacity 4: a check, a look and a list each. Full: what is asked for is refused as busy.
    let (jobs, work) = bounded::<Job>(4);
    let ground = Arc::new(Ground {
        config: config.clone(),
        places: places.clone(),
        key,
        audit,
        network: Mutex::new(json!("off")),
        previews: Previews::default(),
    });
    let ended = Shutdown::new();
    let (lamp, showing) = indicator();
    std::thread::scope(|scope| {
        // Whatever happens to the loop, the threads beside it end.
        let _ends = Ends(&ended);
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let failed = ServiceError::System;
        if let Some(folder) = &config.indicator.led {
            let (tell, ended, lamp) = (tell.clone(), &ended, Lamp::new(folder));
            thread("lamp")
                .spawn_scoped(scope, move || {
                    showing.run(&lamp, ended, |told| drop(tell.send(Message::Lamp(told))));
                })
                .map_err(failed)?;
        }
        if let Some(device) = &config.button.device {
            let (tell, ended) = (tell.clone(), &ended);
            thread("button")
                .spawn_scoped(scope, move || {
                    button::watch(device, ended, |told| drop(tell.send(Message::Button(told))));
                })
                .map_err(failed)?;
        }
        {
            let (tell, ground, work) = (tell.clone(), Arc::clone(&ground), work);
            thread("look")
                .spawn_scoped(scope, move || {
                    for job in work {
                        if tell.send(do_job(&ground, job)).is_err() {
                            return;
                        }
                    }
                })
                .map_err(failed)?;
        }
        {
            let (tell, ended, ground) = (tell.clone(), &ended, Arc::clone(&ground));
            let policy = retention_policy(config, None)?;
            thread("retention")
                .spawn_scoped(scope, move || {
                    retain::keep(&ground, policy, ended, |lines| {
                        drop(tell.send(Message::Retained(lines)));
                    });
                })
                .map_err(failed)?;
        }
        for number in 0..control::THREADS {
            let (tell, ended, socket) = (tell.clone(), &ended, &socket);
            thread(&format!("answer-{number}"))
                .spawn_scoped(scope, move || {
                    socket.answer(&|call| tell.send(Message::Call(call)).is_ok(), ended);
                })
                .map_err(failed)?;
        }
        let calls = tell.clone();
        let desk = Desk::new(Arc::clone(&ground), move |call| {
            calls.send_timeout(Message::Call(call), LOOK).is_ok()
        });
        let _beside = beside(desk)
            .map_err(|e| ServiceError::Beside { kind: e.kind(), problem: e.to_string() })?;
        let mut service = Service::new(ground, lamp, tell, jobs);
        service.say("ready");
        service.job(Job::Look { lesson: None, hardware: service.hardware(), answer: None });
        service.run(&inbox, shutdown, reread)
    })
}

struct Ends<'a>(&'a Shutdown);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Seals what an earlier end of the program left behind. A recording that cannot be recovered is no
/// reason not to make another; a log that cannot be written is.
fn recover(places: &Places, key: &BoxKey, audit: &AuditLog) -> Result<(), ServiceError> {
    match vault::recover(&places.store, key, SystemClock.now()) {
        Ok(recovery) => {
            for one in &recovery.recovered {
                tracing::warn!(recording = %one.id, "sealed a recording that had been cut off");
            }
            for (path, error) in &recovery.failed {
                tracing::error!(path = %path.display(), %error, "cannot be recovered");
            }
            Ok(audit.note_recovery(SystemClock.now(), &recovery)?)
        }
        Err(VaultError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(())
        }
        Err(error) => {
            tracing::error!(%error, "earlier recordings could not be checked");
            Ok(())
        }
    }
}

fn do_job(ground: &Ground, job: Job) -> Message {
    let Ground { config, places, .. } = ground;
    let look = |hardware, lesson: Option<&Lesson>| {
        let facts = preflight::look(config, places, SystemClock.now(), hardware);
        preflight::judge(config, places, &facts, lesson)
    };
    match job {
        Job::Check { check, lesson, hardware } => {
            Message::Checked { check, reasons: look(hardware, Some(&lesson)) }
        }
        Job::Look { lesson, hardware, answer } => {
            Message::Looked { reasons: look(hardware, lesson.as_ref()), answer }
        }
        Job::Reread { lists, answer } => {
            let result = crew::list_in_force(ground).map_err(|ended| ended.text);
            if let Some(sender) = &lists {
                // A recording that is over needs no list.
                let _ = match &result {
                    Ok(list) => sender.replace(list.clone()),
                    Err(_) => sender.refuse(),
                };
            }
            Message::Reread { result: result.map(|list| list.version), answer }
        }
    }
}

struct Service {
    ground: Arc<Ground>,
    lamp: Indicator,
    tell: Sender<Message>,
    jobs: Sender<Job>,
    began: Instant,
    machine: Recording,
    /// What the lamp does, as far as it was told.
    lit: Lit,
    button: Option<Result<(), String>>,
    crew: Option<Crew>,
    /// Tells the crew to stop.
    stop: Shutdown,
    over: Vec<Over>,
    reasons: Vec<Reason>,
    waiting: Option<Sender<Answer>>,
    /// What is being dropped, by the wish of whom.
    dropping: Vec<Dropping>,
    lines: VecDeque<Happened>,
    stuck: bool,
}

impl Service {
    fn new(ground: Arc<Ground>, lamp: Indicator, tell: Sender<Message>, jobs: Sender<Job>) -> Self {
        let config = &ground.config;
        let limits = Limits {
            confirm: (!config.button.danger_remote_start).then_some(Duration::from_secs(60)),
            longest: config.recording.longest,
            ..Limits::default()
        };
        let lit = match config.indicator.led {
            None => Lit::Missing,
            // Until the lamp's thread says otherwise.
            Some(_) => Lit::Proven,
        };
        let button = match config.button.device {
            None if config.button.danger_remote_start => None,
            None => Some(Err("none is configured".to_owned())),
            Some(_) => Some(Err("it was not read yet".to_owned())),
        };
        Self {
            lamp,
            tell,
            jobs,
            began: Instant::now(),
            machine: Recording::new(limits),
            lit,
            button,
            crew: None,
            stop: Shutdown::new(),
            over: Vec::new(),
            reasons: Vec::new(),
            waiting: None,
            dropping: Vec::new(),
            lines: VecDeque::new(),
            stuck: false,
            ground,
        }
    }

    fn run(
        &mut self,
        inbox: &Receiver<Message>,
        shutdown: &Shutdown,
        reread: &Arc<AtomicBool>,
    ) -> Result<(), ServiceError> {
        let mut told = false;
        let mut manager = Notifier::new();
        manager.ready(self.machine.state().word());
        loop {
            manager.alive(self.machine.state().word());
            match inbox.recv_timeout(LOOK) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                // Never, as the loop itself holds a sender.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.hear_dropped();
            if self.machine.next_wake().is_some_and(|due| self.began.elapsed() >= due) {
                self.step(Event::Tick);
            }
            if reread.swap(false, Ordering::SeqCst) {
                self.reread(None);
            }
            if shutdown.is_requested() && !told {
                told = true;
                Notifier::stopping();
                self.say("told to end");
                self.step(Event::Shutdown);
            }
            if self.stuck {
                return Err(ServiceError::Stuck);
            }
            if told && !self.machine.state().takes_pictures() {
                self.say("ends");
                return Ok(());
            }
        }
    }

    /// Notes what happened, for the log and for whoever asks.
    fn say(&mut self, what: impl Into<String>) {
        let what = what.into();
        tracing::info!("{what}");
        if self.lines.len() >= LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(Happened { at: SystemClock.now(), what });
    }

    fn hardware(&self) -> Hardware {
        Hardware::Told { indicator: self.lit.clone(), button: self.button.clone() }
    }

    fn job(&mut self, job: Job) {
        if let Err(error) = self.jobs.try_send(job) {
            let busy = || Answer::refused("the box is busy: try again", Value::Null);
            match error.into_inner() {
                Job::Check { check, .. } => {
                    // Not looked at is not allowed.
                    self.step(Event::Checked { check, reasons: vec![Code::Busy] });
                }
                Job::Look { answer, .. } | Job::Reread { answer, .. } => {
                    if let Some(answer) = answer {
                        let _ = answer.send(busy());
                    }
                }
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Call(call) => self.call(call),
            Message::Button(button::Told::Readable(readable)) => {
                self.button =
                    Some(if readable { Ok(()) } else { Err("its device is away".to_owned()) });
            }
            Message::Button(button::Told::Pressed(press)) => self.press(press),
            Message::Lamp(indicator::Told::Lit) => self.step(Event::Lit),
            Message::Lamp(indicator::Told::Works) => {
                self.lit = Lit::Proven;
                self.say("the indicator works again");
                self.step(Event::Settled(Code::IndicatorDark));
            }
            Message::Lamp(indicator::Told::Broken(error)) => self.dark(error.to_string()),
            Message::Crew(told) => self.crew(told),
            Message::Checked { check, reasons } => {
                let codes = reasons.iter().map(|reason| reason.code).collect();
                self.reasons = reasons;
                self.step(Event::Checked { check, reasons: codes });
            }
            Message::Looked { reasons, answer } => {
                self.reasons.clone_from(&reasons);
                if let Some(answer) = answer {
                    let body = json!({ "ready": reasons.is_empty(), "reasons": reasons });
                    let _ = answer.send(Answer::done(body));
                } else {
                    self.say(format!("{} reasons stand against a recording", reasons.len()));
                }
            }
            Message::Retained(lines) => lines.into_iter().for_each(|line| self.say(line)),
            Message::Reread { result, answer } => {
                let said = match result {
                    Ok(version) => {
                        self.say(format!("the pupil list was read again: version {version}"));
                        Answer::done(json!({ "version": version }))
                    }
                    Err(problem) => {
                        self.say("the pupil list could not be read again: the one before stays");
                        Answer::refused(
                            format!("the pupil list was not replaced: {problem}"),
                            Value::Null,
                        )
                    }
                };
                if let Some(answer) = answer {
                    let _ = answer.send(said);
                }
            }
        }
    }

    fn dark(&mut self, problem: String) {
        self.say("the indicator does not do what it is told");
        self.lit = Lit::Broken(problem);
        self.step(Event::Stands(Code::IndicatorDark));
    }

    fn press(&mut self, press: Press) {
        self.say(match press {
            Press::Short => "the button was pressed",
            Press::Long => "the button was held",
        });
        let event = match (press, self.machine.state()) {
            // Held: what was just recorded is not to be seen by anybody.
            (Press::Long, _) => {
                Event::Drop { length: Duration::from_secs(LAST_MINUTE), stop: true }
            }
            (Press::Short, State::Arming { step: Step::Confirming, .. }) => {
                Event::Start(By::Button)
            }
            (
                Press::Short,
                State::Arming { .. } | State::Recording { .. } | State::Stopping { .. },
            ) => Event::Stop,
            (Press::Short, _) => Event::Start(By::Button),
        };
        self.step(event);
    }

    fn call(&mut self, Call { request, answer }: Call) {
        let done = |body| drop(answer.send(Answer::done(body)));
        match request {
            Request::Status => done(self.status()),
            Request::Logs => done(json!({ "lines": self.lines })),
            Request::Preflight => {
                let lesson = match self.machine.state() {
                    State::Prepared { lesson, .. } => Some(lesson.clone()),
                    _ => None,
                };
                let hardware = self.hardware();
                self.job(Job::Look { lesson, hardware, answer: Some(answer) });
            }
            Request::Reload => self.reread(Some(answer)),
            Request::Prepare { lesson } => match self.lesson(lesson) {
                Ok(lesson) => self.asked(Event::Prepare(lesson), answer),
                Err(problem) => {
                    let _ = answer.send(Answer::refused(problem, Value::Null));
                }
            },
            Request::Withdraw => self.asked(Event::Withdraw, answer),
            Request::Start => self.asked(Event::Start(By::Afar), answer),
            Request::Drop { seconds, stop } => self.ask_to_drop(seconds, stop, answer),
            Request::Stop { objection } => {
                self.asked(if objection { Event::Object } else { Event::Stop }, answer);
            }
        }
    }

    /// Takes what somebody asks for, and answers when it is known what comes of it.
    fn asked(&mut self, event: Event, answer: Sender<Answer>) {
        let is_start = matches!(event, Event::Start(_));
        if is_start && self.waiting.is_some() {
            let body = json!({ "state": self.machine.state().word() });
            let _ = answer.send(Answer::refused("somebody else is starting it", body));
            return;
        }
        if is_start {
            self.waiting = Some(answer);
            self.step(event);
            return;
        }
        let refused = self.step_and_hear(event);
        let body = json!({ "state": self.machine.state().word() });
        let _ = answer.send(match refused {
            Some(codes) => Answer::refused(words(&codes), body),
            None => Answer::done(body),
        });
    }

    fn ask_to_drop(&mut self, seconds: u64, stop: bool, answer: Sender<Answer>) {
        if seconds == 0 {
            let _ = answer.send(Answer::refused("nothing is to be dropped", Value::Null));
            return;
        }
        let length = Duration::from_secs(seconds);
        let refused = self.step_and_hear(Event::Drop { length, stop });
        let body = json!({ "state": self.machine.state().word() });
        match (refused, self.dropping.last_mut()) {
            (Some(codes), _) => drop(answer.send(Answer::refused(words(&codes), body))),
            (None, Some(dropping)) if !dropping.is_asked() => dropping.answer_to(answer),
            // It was about to begin, and does not.
            (None, _) => drop(answer.send(Answer::done(body))),
        }
    }

    /// Passes on that the last stretch is to go.
    fn drop_last(&mut self, length: Duration) {
        self.say(format!("the last {} s are to be dropped", length.as_secs()));
        // Before it has begun nothing is kept.
        let begun = self.crew.iter().filter(|crew| crew.recording.is_some());
        let at_work = begun.flat_map(|crew| crew.cameras.iter());
        let asked = at_work.map(|one| (one.camera.clone(), one.drops.ask(length)));
        let dropping = Dropping::new(asked.collect());
        self.dropping.push(dropping);
    }

    /// What came of what was to be dropped. Where it may still be there, nobody is to have any of it.
    fn hear_dropped(&mut self) {
        let mut open = Vec::new();
        let mut failed = false;
        for mut dropping in std::mem::take(&mut self.dropping) {
            if !dropping.listen() {
                open.push(dropping);
                continue;
            }
            for line in dropping.lines() {
                self.say(line);
            }
            failed |= dropping.failed();
            let state = self.machine.state().word();
            dropping.answer(state);
        }
        self.dropping = open;
        if !failed {
            return;
        }
        self.say("what was to be dropped may still be there: all of it is withheld");
        if self.machine.state().takes_pictures() {
            self.step(Event::Object);
        }
        // What is sealed already is not reached by that.
        self.withhold();
    }

    fn lesson(&self, new: NewLesson) -> Result<Lesson, String> {
        let recording = &self.ground.config.recording;
        let purpose = match new.purpose {
            None => recording.purpose,
            Some(word) => word.parse::<Purpose>().map_err(|error| error.to_string())?,
        };
        Ok(Lesson {
            class: new.class.or_else(|| recording.class.clone()),
            teacher: new.teacher.or_else(|| recording.teacher.clone()),
            coach: new.coach.or_else(|| recording.coach.clone()),
            question: new.question.trim().to_owned(),
            purpose,
            planned: new.planned_s.map_or(recording.longest, Duration::from_secs),
        })
    }

    fn reread(&mut self, answer: Option<Sender<Answer>>) {
        let lists = self.crew.as_ref().map(|crew| crew.lists.clone());
        self.job(Job::Reread { lists, answer });
    }

    fn step(&mut self, event: Event) {
        let _ = self.step_and_hear(event);
    }

    /// Takes an event to the machine and carries out what follows; says what was refused.
    fn step_and_hear(&mut self, event: Event) -> Option<Vec<Code>> {
        let before = self.machine.state().word();
        let effects = self.machine.step(self.began.elapsed(), event);
        let after = self.machine.state().word();
        if before != after {
            self.say(format!("{before} -> {after}"));
        }
        let mut refused = None;
        let mut follow = Vec::new();
        for effect in effects {
            match effect {
                Effect::Refuse(codes) => refused = Some(codes),
                effect => follow.extend(self.carry_out(effect)),
            }
        }
        if let Some(codes) = &refused {
            self.say(format!("refused: {}", words(codes)));
            let blinks = codes.first().map_or(1, |code| code.blinks());
            let _ = self.lamp.show(Show::Code(blinks));
        }
        for event in follow {
            self.step(event);
        }
        self.answer_start(refused.as_deref());
        refused
    }

    /// Answers whoever waits for a start, once it is known what comes of it.
    fn answer_start(&mut self, refused: Option<&[Code]>) {
        let is_arming = matches!(self.machine.state(), State::Arming { .. });
        if is_arming && refused.is_none() {
            return;
        }
        let Some(answer) = self.waiting.take() else { return };
        let records = matches!(self.machine.state(), State::Recording { .. });
        let body = json!({ "state": self.machine.state().word(), "reasons": self.reasons });
        let _ = answer.send(match refused {
            None if records => Answer::done(body),
            None => Answer::refused("it was stopped before it began", body),
            Some(codes) => Answer::refused(words(codes), body),
        });
    }

    fn carry_out(&mut self, effect: Effect) -> Vec<Event> {
        match effect {
            Effect::Light(light) => {
                let show = match light {
                    Light::Dark => Show::Dark,
                    Light::Blinking => Show::Blinking,
                    Light::On => Show::On,
                };
                if !self.lamp.show(show) && light != Light::Dark {
                    return vec![Event::Stands(Code::IndicatorDark)];
                }
            }
            Effect::Check { check, lesson } => {
                let hardware = self.hardware();
                self.job(Job::Check { check, lesson, hardware });
            }
            Effect::Open(lesson) => return self.open(&lesson),
            Effect::Close => self.stop.request(),
            Effect::Drop(length) => self.drop_last(length),
            Effect::Withhold => self.withhold(),
            Effect::Warn => {
                self.say("the recording ends soon: it is nearly as long as one may be");
            }
            Effect::GiveUp => self.stuck = true,
            Effect::Refuse(_) => {}
        }
        Vec::new()
    }

    fn open(&mut self, lesson: &Lesson) -> Vec<Event> {
        self.stop = Shutdown::new();
        self.over.clear();
        let tell = self.tell.clone();
        let tell = move |told| drop(tell.send(Message::Crew(told)));
        match crew::start(&self.ground, lesson, &self.stop, tell) {
            Ok(crew) => {
                self.crew = Some(crew);
                Vec::new()
            }
            Err(error) => {
                tracing::error!(%error, "no thread for a recording");
                vec![Event::Ended { begun: false, fault: Some(Code::Recorder) }]
            }
        }
    }

    fn crew(&mut self, told: crew::Told) {
        match told {
            crew::Told::Began(recording) => {
                self.say(format!("{recording} is recorded"));
                if let Some(crew) = &mut self.crew {
                    crew.recording = Some(recording);
                }
                self.step(Event::Opened);
            }
            crew::Told::Away { camera, away: true } => {
                self.say(format!("camera {camera} is away: the recording goes on without it"));
            }
            crew::Told::Away { camera, away: false } => {
                self.say(format!("camera {camera} is back"));
            }
            crew::Told::Failed(camera) => self.say(format!("camera {camera} ended early")),
            crew::Told::Done(result) => {
                let begun = self.crew.take().and_then(|crew| crew.recording);
                let fault = self.done(begun, result);
                // A folder was made where something could be sealed.
                let begun = self.over.iter().any(|over| over.recording.is_some());
                self.step(Event::Ended { begun, fault });
            }
        }
    }

    /// Takes in what came of a recording; gives why it ended early, if it did.
    fn done(
        &mut self,
        begun: Option<RecordingId>,
        result: Result<Box<Report>, crew::Ended>,
    ) -> Option<Code> {
        let (overs, fault) = match result {
            Ok(report) => {
                let code = report.fault.as_ref().map(crew::code_of);
                let text = report.fault.as_ref().map(ToString::to_string);
                let Report { id, is_sealed, cameras, segments, .. } = *report;
                let overs: Vec<Over> = cameras
                    .into_iter()
                    .map(|one| Over {
                        camera: one.camera.to_string(),
                        recording: Some(id),
                        sealed: is_sealed,
                        segments: one.progress.segments,
                        seconds: one.progress.position.seconds(),
                        fault: one.fault.or_else(|| text.clone()),
                    })
                    .collect();
                let seconds = report.seconds;
                self.say(match text {
                    None => format!("{id} is sealed, {segments} segments, {seconds:.0} s"),
                    Some(fault) => format!("{id} ended: {fault}"),
                });
                (overs, code)
            }
            Err(crew::Ended { code, text }) => {
                self.say(format!("nothing more is recorded: {text}"));
                let cameras = self.ground.config.cameras.iter();
                let overs = cameras.map(|camera| Over {
                    camera: camera.id.to_string(),
                    recording: begun,
                    sealed: false,
                    segments: 0,
                    seconds: 0.0,
                    fault: Some(text.clone()),
                });
                (overs.collect(), Some(code))
            }
        };
        self.over = overs;
        fault
    }

    /// Keeps what was just sealed from everybody until the privacy officer decides.
    fn withhold(&mut self) {
        // The cameras of one recording stand beside each other.
        let mut ids: Vec<RecordingId> =
            self.over.iter().filter_map(|over| over.recording).collect();
        ids.dedup();
        for recording in ids {
            if let Err(error) = self.hold(recording) {
                tracing::error!(%recording, %error, "could not be withheld");
                self.say(format!("{recording} COULD NOT BE WITHHELD: tell the privacy officer"));
                let what = Word::new("a recording that was objected to could not be withheld");
                let event = Line::Fault { recording: Some(recording), what };
                if let Err(error) = self.ground.audit.append(SystemClock.now(), &event) {
                    tracing::error!(%recording, %error, "nor could that be logged");
                }
            } else {
                self.say(format!("{recording} is withheld until the privacy officer decides"));
            }
        }
    }

    fn hold(&self, recording: RecordingId) -> Result<(), RetentionError> {
        let Some([requested_by, approved_by]) = pair() else { return Ok(()) };
        let new = NewHold {
            recording,
            requested_by,
            approved_by,
            length: WITHHELD,
            reason: Digest::of(b"an objection while it was made"),
        };
        let Ground { places, audit, .. } = &*self.ground;
        hold(&places.store, audit, &new, SystemClock.now()).map(drop)
    }

    fn status(&self) -> Value {
        let state = self.machine.state();
        let now = self.began.elapsed();
        let seconds = |at: Duration| at.saturating_sub(now).as_secs();
        let (lesson, since, until) = match state {
            State::Prepared { lesson, lapses } => (Some(lesson), None, Some(seconds(*lapses))),
            State::Arming { lesson, gives_up, .. } => {
                (Some(lesson), None, Some(seconds(*gives_up)))
            }
            State::Recording { lesson, began, .. } => {
                let ends = seconds(self.machine.end(*began));
                (Some(lesson), Some(now.saturating_sub(*began).as_secs()), Some(ends))
            }
            _ => (None, None, None),
        };
        // The question is for who can open the recording only.
        let lesson = lesson.map(|lesson| {
            json!({
                "class": lesson.class,
                "teacher": lesson.teacher,
                "coach": lesson.coach,
                "purpose": lesson.purpose,
                "planned_s": lesson.planned.as_secs(),
            })
        });
        let fault = match state {
            State::SealedWithFault { fault } => Some(*fault),
            _ => None,
        };
        let cameras: Vec<Value> = self
            .crew
            .iter()
            .filter(|_| state.takes_pictures())
            .flat_map(|crew| crew.cameras.iter().map(|one| (one, crew.recording)))
            .map(|(one, recording)| {
                let progress = one.progress();
                json!({
                    "camera": one.camera,
                    "recording": recording,
                    "failed": progress.failed,
                    "frames_in": progress.frames_in,
                    "frames_displaced": progress.displaced,
                    "frames_veiled_whole": progress.veiled_whole,
                    "segments": progress.segments,
                    "seconds": progress.position.seconds(),
                    "away": progress.away,
                    "gaps": progress.gaps,
                    "gap_seconds": progress.gap.as_secs_f64(),
                })
            })
            .collect();
        json!({
            "state": state.word(),
            "lesson": lesson,
            "recording_s": since,
            "left_s": until,
            "fault": fault,
            "cameras": cameras,
            "last": self.over,
            "indicator": match &self.lit {
                Lit::Proven => "works",
                Lit::Missing => "missing",
                Lit::Broken(_) => "broken",
            },
            "button": match &self.button {
                None => "not needed",
                Some(Ok(())) => "works",
                Some(Err(_)) => "missing",
            },
            "standing": self.machine.standing(),
            "reasons": self.reasons,
            "waivers": crew::waivers(&self.ground.config),
            "network": *self.ground.network.lock().unwrap_or_else(PoisonError::into_inner),
            "software": concat!("classveil ", env!("CARGO_PKG_VERSION")),
        })
    }
}

/// Under which names the box withholds: somebody in the room asked for it, and the box did it.
fn pair() -> Option<[PersonId; 2]> {
    Some(["in-the-room".parse().ok()?, "box".parse().ok()?])
}

fn words(codes: &[Code]) -> String {
    codes.iter().map(|code| code.word()).collect::<Vec<_>>().join(", ")
}
