//! The monitor as data: what the daemon said last, what is selected, what is being asked.
//!
//! Keys and items go in, [`Step`]s and pictures come out. It touches no terminal, no socket and
//! no clock.

use std::mem;

use crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use taskd_api::{
    ApiError, Watched,
    v1::{ActResponse, Verb},
};
use taskd_model::{Delta, EffectId, Event, Group, LoopView, Record, Time, View};

use crate::{
    log::Logs,
    rows::{self, Row, Subject},
    text::clean,
    words,
};

/// Lines of the log that one key turns.
const PAGE: usize = 10;

/// What the monitor wants of whoever runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The next key or item.
    GoOn,
    /// To be let go; the daemon works on.
    Detach,
    /// The daemon to be asked, and [`App::on_answer`] to be told.
    Ask(Act),
}

/// Something the daemon is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// What.
    pub verb: Verb,
    /// With which loop or plan.
    pub name: String,
}

impl Act {
    fn word(&self) -> &'static str {
        match self.verb {
            Verb::Pause => "pause",
            Verb::Resume => "resume",
            Verb::Stop => "stop",
            Verb::Land => "land",
            Verb::Unspecified
            | Verb::Reject
            | Verb::Note
            | Verb::Park
            | Verb::Unpark
            | Verb::Forget
            | Verb::Budget
            | Verb::Answer
            | Verb::Hold
            | Verb::Release
            | Verb::Move
            | Verb::Sync
            | Verb::Branch
            | Verb::Retry
            | Verb::Reset => "act on",
        }
    }
}

/// What lies over the picture.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// The keys.
    Help,
    /// A question, and what happens after a yes.
    Confirm(String, Act),
}

/// The state of the monitor.
#[derive(Debug)]
pub struct App {
    /// What the daemon said, folded.
    pub view: View,
    /// The path of a project, or nothing for all.
    scope: String,
    /// The daemon's version, if it says so.
    pub(crate) version: Option<String>,
    /// Why there is no connection, and how often one was tried.
    pub(crate) lost: Option<(String, u32)>,
    /// The view came.
    pub(crate) attached: bool,
    /// Why the watch is over for good.
    ended: Option<ApiError>,
    pub(crate) now: Time,
    pub(crate) rows: Vec<Row>,
    pub(crate) selected: Option<Subject>,
    pub(crate) at: usize,
    pub(crate) logs: Logs,
    /// Lines of the log below the picture, and how many there were when that was said.
    back: usize,
    back_at: u64,
    pub(crate) overlay: Overlay,
    pub(crate) notice: Option<String>,
    asking: Option<Act>,
    dirty: bool,
}

impl App {
    /// A monitor of everything in `scope`: the path of a project, or nothing for all.
    #[must_use]
    pub fn new(scope: impl Into<String>) -> Self {
        Self {
            view: View::default(),
            scope: scope.into(),
            version: None,
            lost: None,
            attached: false,
            ended: None,
            now: Time::default(),
            rows: Vec::new(),
            selected: None,
            at: 0,
            logs: Logs::default(),
            back: 0,
            back_at: 0,
            overlay: Overlay::None,
            notice: None,
            asking: None,
            dirty: true,
        }
    }

    /// Whether the picture changed since this was last asked.
    pub fn take_dirty(&mut self) -> bool {
        mem::take(&mut self.dirty)
    }

    /// Whether the picture would be another one a second later.
    #[must_use]
    pub fn ticks(&self) -> bool {
        let works = |it: &Row| matches!(it, Row::Group(Group::Working, _));
        self.lost.is_none() && self.rows.iter().any(works)
    }

    /// Why the watch ended for good, if it did.
    pub fn take_end(&mut self) -> Option<ApiError> {
        self.ended.take()
    }

    /// The path of the project shown, or nothing for all.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// It is so late.
    pub fn on_time(&mut self, now: Time) {
        if now > self.now {
            self.now = now;
            self.dirty = true;
        }
    }

    /// Something happened at the terminal.
    pub fn on_event(&mut self, event: &event::Event) -> Step {
        if let event::Event::Resize(..) = event {
            self.dirty = true;
        }
        event.as_key_event().map_or(Step::GoOn, |key| self.on_key(key))
    }

    /// A key was pressed.
    pub fn on_key(&mut self, key: KeyEvent) -> Step {
        if key.kind == KeyEventKind::Release {
            return Step::GoOn;
        }
        self.dirty = true;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control {
            let detaches = matches!(key.code, KeyCode::Char('c' | 'd'));
            return if detaches { Step::Detach } else { Step::GoOn };
        }
        self.notice = None;
        match mem::take(&mut self.overlay) {
            Overlay::Help => Step::GoOn,
            Overlay::Confirm(_, act) if matches!(key.code, KeyCode::Char('y' | 'Y')) => {
                self.ask(act)
            }
            Overlay::Confirm(..) => {
                self.notice = Some("not done".to_owned());
                Step::GoOn
            }
            Overlay::None => self.on_plain_key(key.code),
        }
    }

    /// The daemon said something.
    pub fn on_watched(&mut self, item: Watched) {
        let was = mem::replace(&mut self.dirty, true);
        match item {
            Watched::Connected { version } => {
                self.version = version.or(self.version.take());
                self.lost = None;
            }
            Watched::View(view) => self.on_view(*view),
            Watched::Event(record) => self.on_record(&record),
            Watched::Unknown { seq } => {
                self.view.seq = self.view.seq.max(seq);
                self.notice = Some(format!("event {seq} is of a newer taskd; not shown"));
            }
            Watched::Delta { name, effect, delta } => {
                self.dirty = self.on_noise(&name, effect, &delta) || was;
            }
            Watched::Heartbeat { at, .. } => {
                self.dirty = at > self.now || was;
                self.now = self.now.max(at);
            }
            Watched::Disconnected { error, attempt } => {
                self.lost = Some((clean(&error.message), attempt));
            }
            Watched::Ended(error) => self.ended = Some(error),
        }
    }

    /// The daemon answered what it was asked to do, or did not.
    pub fn on_answer(&mut self, act: &Act, answer: Result<ActResponse, ApiError>) {
        self.dirty = true;
        self.asking = None;
        self.notice = Some(clean(&match answer {
            Ok(answer) => told(act, &answer),
            Err(error) => refused(&act.name, &error.message, &error.hint),
        }));
    }

    /// The loop that is selected, if it is one.
    pub(crate) fn selected_loop(&self) -> Option<&LoopView> {
        match self.selected? {
            Subject::Loop(id) => self.view.loops.get(&id),
            Subject::Plan(..) => None,
        }
    }

    /// Lines of the selected log that lie below the picture.
    pub(crate) fn lines_back(&self) -> usize {
        let Some(log) = self.log_name().and_then(|it| self.logs.get(&it)) else { return 0 };
        if self.back == 0 {
            return 0;
        }
        let since = usize::try_from(log.written() - self.back_at.min(log.written()));
        let back = self.back.saturating_add(since.unwrap_or(usize::MAX));
        back.min(log.entries().len().saturating_sub(1))
    }

    /// Name of the selected log.
    pub(crate) fn log_name(&self) -> Option<String> {
        self.selected.map(|it| it.name(&self.view))
    }

    fn on_plain_key(&mut self, code: KeyCode) -> Step {
        let action = KEYS.iter().find(|(key, _)| *key == code).map(|(_, it)| *it);
        match action {
            Some(Key::Detach) => return Step::Detach,
            Some(Key::Help) => self.overlay = Overlay::Help,
            Some(Key::Down) => self.select((self.at + 1..self.rows.len()).collect()),
            Some(Key::Up) => self.select((0..self.at).rev().collect()),
            Some(Key::Top) => self.select((0..self.rows.len()).collect()),
            Some(Key::Bottom) => self.select((0..self.rows.len()).rev().collect()),
            Some(Key::Back) => self.turn(self.lines_back() + PAGE),
            Some(Key::Forth) => self.turn(self.lines_back().saturating_sub(PAGE)),
            Some(Key::End) => self.turn(0),
            Some(Key::Act(verb)) => return self.begin(verb),
            None => {}
        }
        Step::GoOn
    }

    /// Asks, or first asks the person.
    fn begin(&mut self, verb: Verb) -> Step {
        let Some(subject) = self.selected else {
            self.notice = Some("nothing is selected".to_owned());
            return Step::GoOn;
        };
        let act = Act { verb, name: subject.name(&self.view) };
        match self.question(verb, subject) {
            Some(question) => {
                self.overlay = Overlay::Confirm(question, act);
                Step::GoOn
            }
            None => self.ask(act),
        }
    }

    fn ask(&mut self, act: Act) -> Step {
        if let Some(other) = &self.asking {
            let (word, name) = (other.word(), &other.name);
            self.notice = Some(format!("still asking the daemon to {word} {name}"));
            return Step::GoOn;
        }
        self.notice = Some(format!("asking the daemon to {} {}", act.word(), act.name));
        self.asking = Some(act.clone());
        Step::Ask(act)
    }

    /// What to ask a person first.
    fn question(&self, verb: Verb, subject: Subject) -> Option<String> {
        let plan = self.view.plans.get(&subject.plan())?;
        let name = subject.name(&self.view);
        let of_plan = matches!(subject, Subject::Plan(..));
        match verb {
            Verb::Land if of_plan => {
                Some(format!("Land all of {name} that passed on {}?", plan.target))
            }
            Verb::Land => {
                let it = self.selected_loop()?;
                let work = words::work(it);
                Some(format!("Land {name} on {}?  {work}", plan.target))
            }
            Verb::Stop if of_plan => {
                Some(format!("Stop all loops of {name}?  Their work is kept."))
            }
            Verb::Stop => Some(format!("Stop {name}?  Its work is kept.")),
            Verb::Unspecified
            | Verb::Pause
            | Verb::Resume
            | Verb::Reject
            | Verb::Note
            | Verb::Park
            | Verb::Unpark
            | Verb::Forget
            | Verb::Budget
            | Verb::Answer
            | Verb::Hold
            | Verb::Release
            | Verb::Move
            | Verb::Sync
            | Verb::Branch
            | Verb::Retry
            | Verb::Reset => None,
        }
    }

    fn on_view(&mut self, view: View) {
        let missed = self.attached && view.seq != self.view.seq;
        self.view = view;
        self.attached = true;
        self.now = self.now.max(self.view.at);
        if missed {
            self.logs.gap(self.view.at);
        }
        self.arrange();
    }

    fn on_record(&mut self, record: &Record) {
        if record.seq <= self.view.seq {
            return;
        }
        if let Some(line) = self.view.narrate(record) {
            self.logs.tell(&self.view, record, &line);
        }
        self.view.apply(record);
        self.now = self.now.max(self.view.at);
        // What an effect reports on the way moves nothing to another group.
        if !matches!(record.event, Event::EffectObserved { .. }) {
            self.arrange();
        }
    }

    /// Noise is kept for everyone; says whether it is seen.
    fn on_noise(&mut self, name: &str, effect: EffectId, delta: &Delta) -> bool {
        if self.view.resolve(name).is_err() {
            return false;
        }
        self.logs.stream(&self.view, name, effect, delta);
        let Some(selected) = self.log_name() else { return false };
        // However many others talk, this one's lines stay.
        self.logs.open(&self.view, &selected);
        selected == name
    }

    /// Puts the rows in order and keeps the selection where it was.
    fn arrange(&mut self) {
        self.rows = rows::rows(&self.view, &self.scope);
        let at = rows::find(&self.rows, self.selected, self.at);
        self.point(at);
    }

    /// Selects the first of these rows that can be.
    fn select(&mut self, places: Vec<usize>) {
        let can = |at: &usize| self.rows.get(*at).is_some_and(|it| it.subject().is_some());
        let place = places.into_iter().find(can);
        if place.is_some() {
            self.point(place);
        }
    }

    fn point(&mut self, place: Option<usize>) {
        let before = self.log_name();
        self.at = place.unwrap_or(0);
        self.selected = place.and_then(|it| self.rows.get(it)?.subject());
        let name = self.log_name();
        if let Some(name) = &name {
            self.logs.open(&self.view, name);
        }
        if name != before {
            self.back = 0;
        }
    }

    fn turn(&mut self, back: usize) {
        let log = self.log_name().and_then(|it| self.logs.get(&it));
        let (lines, written) = log.map_or((0, 0), |it| (it.entries().len(), it.written()));
        self.back = back.min(lines.saturating_sub(1));
        self.back_at = written;
    }
}

/// What a key does when nothing lies over the picture.
#[derive(Debug, Clone, Copy)]
enum Key {
    Detach,
    Help,
    Down,
    Up,
    Top,
    Bottom,
    Back,
    Forth,
    End,
    Act(Verb),
}

const KEYS: [(KeyCode, Key); 17] = [
    (KeyCode::Char('q'), Key::Detach),
    (KeyCode::Esc, Key::Detach),
    (KeyCode::Char('?'), Key::Help),
    (KeyCode::Down, Key::Down),
    (KeyCode::Char('j'), Key::Down),
    (KeyCode::Up, Key::Up),
    (KeyCode::Char('k'), Key::Up),
    (KeyCode::Home, Key::Top),
    (KeyCode::Char('g'), Key::Top),
    (KeyCode::Char('G'), Key::Bottom),
    (KeyCode::PageUp, Key::Back),
    (KeyCode::PageDown, Key::Forth),
    (KeyCode::End, Key::End),
    (KeyCode::Char('p'), Key::Act(Verb::Pause)),
    (KeyCode::Char('r'), Key::Act(Verb::Resume)),
    (KeyCode::Char('l'), Key::Act(Verb::Land)),
    (KeyCode::Char('s'), Key::Act(Verb::Stop)),
];

/// One line about an answer: the refusal if there is one, and how many things were done.
fn told(act: &Act, answer: &ActResponse) -> String {
    let done = answer.results.iter().filter(|it| it.done).count();
    let refusal = answer.results.iter().find_map(|it| Some((it, it.error.as_ref()?)));
    let others = match (done, answer.results.len()) {
        (_, 0 | 1) => String::new(),
        (done, all) => format!("{} {}: {done} of {all} done; ", act.word(), act.name),
    };
    match (refusal, answer.results.first()) {
        (Some((it, why)), _) => {
            format!("{others}{}", refused(named(&it.name, &it.id), &why.message, &why.hint))
        }
        (None, Some(it)) => format!("{others}{}: {}", named(&it.name, &it.id), it.message),
        (None, None) => format!("{} {}: nothing to do", act.word(), act.name),
    }
}

fn named<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.is_empty() { id } else { name }
}

fn refused(name: &str, message: &str, hint: &str) -> String {
    let next = if hint.is_empty() { String::new() } else { format!("; next: {hint}") };
    format!("{name}: {message}{next}")
}
