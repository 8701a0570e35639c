//! The box's one loop: takes what happens (requests, presses, lamps, cameras, time) to the state
//! machine, and carries out its effects.
//!
//! Belongs here: which event a message is, what an effect does, what is said of it. Does not belong:
//! starting and ending (`service`), the rules of a recording (`recording`), what somebody asks
//! (`asked`), saying how the box is (`status`). The loop waits for nobody longer than moments: what takes time has threads of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    asked::words,
    button::{self, Press},
    codes::Code,
    control::{Answer, LAST_MINUTE},
    crew::{self, Crew, Ground},
    cut::CutOff,
    dropping::Dropping,
    idle::Looks,
    indicator::{self, Indicator, Show},
    lesson::Lesson,
    lookout::{self, Lookout},
    notify::Notifier,
    openers::Followed,
    over::Over,
    preflight::{Hardware, Lit, Reason},
    pulse::Felt,
    recording::{By, Effect, Event, Light, Limits, Recording, State, Step},
    reload::Records,
    service::{Job, Message, ServiceError},
    tally::Progress,
};
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    shutdown::Shutdown,
    units::{CameraId, PersonId, RecordingId},
    vault::audit::{Event as Line, Word},
};

/// How often the loop looks at signals and the time.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// Lines of what happened that are kept for whoever asks.
const LINES: usize = 200;

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Happened {
    at: Timestamp,
    what: String,
}

pub(super) struct Service {
    pub(super) ground: Arc<Ground>,
    pub(super) lamp: Indicator,
    pub(super) tell: Sender<Message>,
    pub(super) jobs: Sender<Job>,
    pub(super) began: Instant,
    pub(super) machine: Recording,
    /// What the lamp does, as far as it was told.
    pub(super) lit: Lit,
    pub(super) button: Option<Result<(), String>>,
    pub(super) crew: Option<Crew>,
    /// Tells the crew to stop.
    pub(super) stop: Shutdown,
    pub(super) over: Vec<Over>,
    /// Recordings of the lesson that were cut off before the one that is made.
    pub(super) lesson_before: Vec<RecordingId>,
    /// Recordings that are withheld already.
    pub(super) withheld: Vec<RecordingId>,
    /// Who objects, where somebody does.
    pub(super) objector: PersonId,
    pub(super) reasons: Vec<Reason>,
    pub(super) waiting: Option<Sender<Answer>>,
    /// What is being dropped, by the wish of whom.
    pub(super) dropping: Vec<Dropping>,
    pub(super) lines: VecDeque<Happened>,
    pub(super) stuck: bool,
    pub(super) lookout: Lookout,
    /// A lesson that was cut off and may go on.
    pub(super) cut: Option<CutOff>,
    /// The settings that were found fit to record by.
    pub(super) judged: Option<Arc<Config>>,
    /// A signal to read settings and list came while the box was busy.
    pub(super) reread_again: bool,
    /// Of the cameras of the crew, in their order.
    pub(super) felt: Vec<Felt>,
    /// What each camera did in recordings that are over.
    pub(super) totals: BTreeMap<CameraId, Progress>,
    /// When to look again, and whether somebody is at it.
    pub(super) looks: Looks,
    /// Whether each camera answered when it was asked last.
    pub(super) reach: BTreeMap<CameraId, bool>,
    /// What was cut off so long ago may go on, once everything was looked at.
    pub(super) may_go_on: Option<Duration>,
    /// Coach and teacher of what is recorded.
    pub(super) people: (Option<PersonId>, Option<PersonId>),
    /// Who will be able to open it.
    pub(super) openers: Followed,
}

impl Service {
    pub(super) fn new(
        ground: Arc<Ground>,
        lamp: Indicator,
        tell: Sender<Message>,
        jobs: Sender<Job>,
    ) -> Self {
        let config = ground.config.now();
        let lit = match config.indicator.led {
            None => Lit::Missing,
            // Until the lamp's thread says otherwise.
            Some(_) => Lit::Proven,
        };
        let button = match config.button.device {
            None => no_button(&config),
            Some(_) => Some(Err("it was not read yet".to_owned())),
        };
        Self {
            lamp,
            tell,
            jobs,
            began: Instant::now(),
            machine: Recording::new(limits(&config)),
            lit,
            button,
            crew: None,
            stop: Shutdown::new(),
            over: Vec::new(),
            lesson_before: Vec::new(),
            withheld: Vec::new(),
            judged: None,
            reread_again: false,
            objector: PersonId::in_the_room(),
            reasons: Vec::new(),
            waiting: None,
            dropping: Vec::new(),
            lines: VecDeque::new(),
            stuck: false,
            lookout: Lookout::default(),
            cut: None,
            felt: Vec::new(),
            totals: BTreeMap::new(),
            looks: Looks::default(),
            reach: BTreeMap::new(),
            may_go_on: None,
            people: (None, None),
            openers: Followed::default(),
            ground,
        }
    }

    pub(super) fn run(
        &mut self,
        inbox: &Receiver<Message>,
        shutdown: &Shutdown,
        reread: &Arc<AtomicBool>,
    ) -> Result<(), ServiceError> {
        let mut told = false;
        let mut manager = Notifier::new();
        let mut was_ready = false;
        loop {
            if self.looks.ready && !was_ready {
                was_ready = true;
                self.say("ready");
                manager.ready(self.machine.state().word());
            }
            if was_ready {
                manager.alive(self.machine.state().word());
            }
            match inbox.recv_timeout(LOOK) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                // Never, as the loop itself holds a sender.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.hear_dropped();
            self.look_again();
            self.follow_openers();
            if self.machine.next_wake().is_some_and(|due| self.began.elapsed() >= due) {
                self.step(Event::Tick);
            }
            if reread.swap(false, Ordering::SeqCst) || std::mem::take(&mut self.reread_again) {
                self.reread(None);
            }
            if shutdown.is_requested() && !told {
                told = true;
                Notifier::stopping();
                self.say("told to end");
                self.leave_cut("the program was told to end");
                self.step(Event::Shutdown);
            }
            if self.stuck {
                return Err(ServiceError::Stuck);
            }
            if let Some(camera) = self.hanging() {
                return Err(ServiceError::Hangs { camera });
            }
            if told && !self.machine.state().takes_pictures() {
                self.say("ends");
                return Ok(());
            }
        }
    }

    /// A camera of whose chain nothing is felt any more. Nobody can end what hangs inside a call of another
    /// library but with the program: what is on disk is sealed at its next start, and the lesson goes on.
    fn hanging(&mut self) -> Option<CameraId> {
        let State::Recording { .. } = self.machine.state() else { return None };
        let crew = self.crew.as_ref()?;
        let now = self.began.elapsed();
        self.felt.resize(crew.cameras.len(), Felt::default());
        let mut felt = crew.cameras.iter().zip(&mut self.felt);
        let hangs = felt.find_map(|(one, felt)| felt.is_gone(&one.pulse, now).then_some(one))?;
        let (camera, recording) = (hangs.camera.clone(), crew.recording);
        self.say(format!("the pipeline of camera {camera} hangs: the program ends"));
        let event = Line::Fault { recording, what: Word::new("a pipeline hangs") };
        if let Err(error) = self.ground.audit.append(SystemClock.now(), &event) {
            tracing::error!(%error, "could not be written into the log");
        }
        Some(camera)
    }

    /// Notes what happened, for the log and for whoever asks.
    pub(super) fn say(&mut self, what: impl Into<String>) {
        let what = what.into();
        if let Some(recording) = self.crew.as_ref().and_then(|crew| crew.recording) {
            tracing::info!(%recording, "{what}");
        } else {
            tracing::info!("{what}");
        }
        if self.lines.len() >= LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(Happened { at: SystemClock.now(), what });
    }

    pub(super) fn hardware(&self) -> Hardware {
        Hardware::Told { indicator: self.lit.clone(), button: self.button.clone() }
    }

    pub(super) fn job(&mut self, job: Job) {
        if let Err(error) = self.jobs.try_send(job) {
            let busy = || Answer::refused("the box is busy: try again", Value::Null);
            match error.into_inner() {
                Job::Check { check, .. } => {
                    // Not looked at is not allowed.
                    self.step(Event::Checked { check, reasons: vec![Code::Busy] });
                }
                Job::Probe => self.looks.open = false,
                // A signal has nobody who could ask again.
                Job::Reread { answer: None, .. } => self.reread_again = true,
                Job::Look { answer, .. } | Job::Reread { answer, .. } => {
                    self.looks.open = false;
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
                self.looks.button_told = true;
                self.looks.all = Duration::ZERO;
            }
            Message::Button(button::Told::Pressed(press)) => self.press(press),
            Message::Lamp(indicator::Told::Lit) => self.step(Event::Lit),
            Message::Lamp(indicator::Told::Works) => {
                self.lit = Lit::Proven;
                self.looks.all = Duration::ZERO;
                self.say("the indicator works again");
                self.step(Event::Settled(Code::IndicatorDark));
            }
            Message::Lamp(indicator::Told::Broken(error)) => self.dark(error.to_string()),
            Message::Crew(told) => self.crew(told),
            Message::Checked { check, reasons, config } => {
                self.judged = Some(config);
                let codes = reasons.iter().map(|reason| reason.code).collect();
                self.reasons = reasons;
                self.step(Event::Checked { check, reasons: codes });
            }
            Message::Looked { reasons, cameras, answer } => {
                if let Some(answer) = answer {
                    let body = json!({ "ready": reasons.is_empty(), "reasons": reasons });
                    let _ = answer.send(Answer::done(body));
                } else {
                    self.looks.open = false;
                }
                self.saw(reasons);
                self.reach = cameras;
                self.looks.ready = true;
                if let Some(ago) = self.may_go_on.take() {
                    self.go_on(ago);
                }
            }
            Message::Probed(cameras) => {
                self.looks.open = false;
                if self.reach != cameras {
                    // What stands is said anew.
                    self.looks.all = Duration::ZERO;
                }
                self.reach = cameras;
            }
            Message::Lookout(told) => self.seen(told),
            Message::Retained(lines) => lines.into_iter().for_each(|line| self.say(line)),
            Message::Reread { read, answer } => {
                self.follow_settings();
                read.lines().into_iter().for_each(|line| self.say(line));
                if let Some(answer) = answer {
                    let _ = answer.send(read.answer());
                }
            }
        }
    }

    /// Has new settings count where nothing is under way by the old ones.
    pub(super) fn follow_settings(&mut self) {
        if self.crew.is_some() || matches!(self.machine.state(), State::Arming { .. }) {
            return;
        }
        let config = self.ground.config.now();
        self.machine.limit(limits(&config));
        if config.button.device.is_none() {
            self.button = no_button(&config);
        }
    }

    fn seen(&mut self, told: lookout::Told) {
        match told {
            lookout::Told::Stands(code, problem) => {
                self.say(format!("{code}: {problem}"));
                self.step(Event::Stands(code));
            }
            lookout::Told::Settled(code) => self.step(Event::Settled(code)),
            lookout::Told::Clock(what) => self.say(what),
            lookout::Told::MayGoOn(ago) => self.go_on(ago),
            lookout::Told::TooLate => self.leave_cut("it was too long ago, or nobody knows when"),
        }
    }

    fn dark(&mut self, problem: String) {
        self.say("the indicator does not do what it is told");
        self.lit = Lit::Broken(problem);
        self.looks.all = Duration::ZERO;
        self.step(Event::Stands(Code::IndicatorDark));
    }

    fn press(&mut self, press: Press) {
        self.say(match press {
            Press::Short => "the button was pressed",
            Press::Long => "the button was held",
        });
        if press == Press::Long && self.cut.is_some() {
            self.withhold_cut("somebody held the button");
            return;
        }
        self.leave_cut("somebody pressed the button");
        self.follow_settings();
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

    pub(super) fn reread(&mut self, answer: Option<Sender<Answer>>) {
        let records = self
            .crew
            .as_ref()
            .map(|crew| Records { lists: crew.lists.clone(), config: Arc::clone(&crew.config) });
        self.job(Job::Reread { records, answer });
    }

    pub(super) fn step(&mut self, event: Event) {
        let _ = self.step_and_hear(event);
    }

    /// Takes an event to the machine and carries out what follows; says what was refused.
    pub(super) fn step_and_hear(&mut self, event: Event) -> Option<Vec<Code>> {
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
            Effect::Close => {
                self.stop.request();
                // What is to end does not go on after a power cut.
                self.lookout.nothing();
            }
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
        self.felt.clear();
        let before = lesson.continues.iter();
        self.lesson_before = before
            .flat_map(|first| [first.recording].into_iter().chain(first.earlier.clone()))
            .collect();
        self.objector = lesson.teacher.clone().unwrap_or_else(PersonId::in_the_room);
        self.people = (lesson.coach.clone(), lesson.teacher.clone());
        let tell = self.tell.clone();
        let tell = move |told| drop(tell.send(Message::Crew(told)));
        // What is set anew meanwhile counts for the next one, when that was judged.
        let config = self.judged.take().unwrap_or_else(|| self.ground.config.now());
        match crew::start(&self.ground, config, lesson, &self.stop, tell) {
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
            crew::Told::Began(recording, openers) => {
                self.say(format!("{recording} is recorded"));
                self.openers.set(openers);
                if let Some(crew) = &mut self.crew {
                    crew.recording = Some(recording);
                }
                if let State::Arming { lesson, .. } = self.machine.state() {
                    let cuts = lesson.continues.as_ref().map_or(0, |first| first.cuts);
                    self.lookout.recording(recording, cuts);
                    self.cut = None;
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
                self.totals = self.totals();
                let begun = self.crew.take().and_then(|crew| crew.recording);
                if begun.is_some() {
                    self.lookout.nothing();
                }
                let fault = self.done(begun, result);
                // A folder was made where something could be sealed.
                let begun = self.over.iter().any(|over| over.recording.is_some());
                self.step(Event::Ended { begun, fault });
                self.follow_settings();
            }
        }
    }
}

/// What follows from the settings for the next lesson.
fn limits(config: &Config) -> Limits {
    Limits {
        confirm: (!config.button.danger_remote_start).then_some(Duration::from_secs(60)),
        longest: config.recording.longest,
        ..Limits::default()
    }
}

/// How a box without a button is.
fn no_button(config: &Config) -> Option<Result<(), String>> {
    (!config.button.danger_remote_start).then(|| Err("none is configured".to_owned()))
}
