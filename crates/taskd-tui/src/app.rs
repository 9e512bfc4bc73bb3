//! The monitor as data: what the daemon said last, which screen is open, what is being asked.
//!
//! Keys, clicks and items go in, [`Step`]s, [`Query`]s and pictures come out. It touches no terminal,
//! no socket and no clock.

use std::{collections::VecDeque, mem};

use crossterm::event::{
    self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::layout::Rect;
use taskd_api::{ApiError, v1::Verb};
use taskd_model::{Group, Target, Time, View};

use crate::{
    act::{self, Act},
    keys::{self, Command, Move, Place},
    overlay::{Chosen, Decided, Goal, Input, Offer, Overlay, Palette},
    query::Query,
    rows::Subject,
    screens::{costs::Costs, focus::Focus, grid::Grid, inbox::Inbox, loops::Loops, queue::Queue},
    text::clean,
    theme::Theme,
    world::World,
};

/// What the monitor wants of whoever runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The next key or item.
    GoOn,
    /// To be let go; the daemon works on.
    Detach,
    /// The daemon to be asked, and [`App::on_answer`] to be told.
    Ask(Act),
    /// To be told of the mouse, or not: then it is the terminal's own.
    Mouse(bool),
}

/// The state of the monitor.
#[derive(Debug)]
pub struct App {
    pub(crate) world: World,
    /// Only signs of ASCII are drawn.
    pub(crate) ascii: bool,
    pub(crate) place: Place,
    /// The screen under the focus.
    before: Place,
    pub(crate) loops: Loops,
    pub(crate) inbox: Inbox,
    pub(crate) queue: Queue,
    pub(crate) costs: Costs,
    pub(crate) grid: Grid,
    pub(crate) focus: Option<Focus>,
    /// The daemon's version, if it says so.
    pub(crate) version: Option<String>,
    /// Why there is no connection, and how often one was tried.
    pub(crate) lost: Option<(String, u32)>,
    /// Why the watch is over for good.
    pub(crate) ended: Option<ApiError>,
    pub(crate) overlay: Overlay,
    pub(crate) notice: Option<String>,
    pub(crate) asking: Option<Act>,
    /// What a person wants to know at once.
    pub(crate) wanted: VecDeque<Query>,
    mouse: bool,
    /// Where the names of screens were drawn.
    pub(crate) places: Vec<(Rect, Place)>,
    pub(crate) dirty: bool,
    /// The view is newer than the rows.
    pub(crate) stale: bool,
}

impl App {
    /// A monitor of everything in `scope`: the path of a project, or nothing for all.
    #[must_use]
    pub fn new(scope: impl Into<String>) -> Self {
        Self {
            world: World::new(scope.into()),
            ascii: false,
            place: Place::default(),
            before: Place::default(),
            loops: Loops::default(),
            inbox: Inbox::default(),
            queue: Queue::default(),
            costs: Costs::default(),
            grid: Grid::default(),
            focus: None,
            version: None,
            lost: None,
            ended: None,
            overlay: Overlay::None,
            notice: None,
            asking: None,
            wanted: VecDeque::new(),
            mouse: true,
            places: Vec::new(),
            dirty: true,
            stale: true,
        }
    }

    /// The same in colours, or without: then words alone say everything.
    #[must_use]
    pub fn colours(mut self, colour: bool) -> Self {
        self.world.theme = Theme { colour };
        self
    }

    /// The same for a terminal that knows no other signs than those of ASCII.
    #[must_use]
    pub fn in_ascii(mut self, ascii: bool) -> Self {
        self.ascii = ascii;
        self
    }

    /// What the daemon said, folded.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.world.view
    }

    /// Whether the picture changed since this was last asked.
    pub fn take_dirty(&mut self) -> bool {
        mem::take(&mut self.dirty)
    }

    /// Whether the picture would be another one a second later. It is asked after each event, so it
    /// goes by what was counted for the last picture.
    pub fn ticks(&mut self) -> bool {
        let waits = match self.place {
            Place::Focus => self.focus.as_mut().is_some_and(|it| it.waits(&self.world)),
            Place::Queue => self.queue.waits(&self.world),
            Place::Loops | Place::Inbox | Place::Costs | Place::Grid => false,
        };
        self.lost.is_none() && (waits || self.world.count(Group::Working) > 0)
    }

    /// Why the watch ended for good, if it did.
    pub fn take_end(&mut self) -> Option<ApiError> {
        self.ended.take()
    }

    /// The next thing to be asked; [`App::on_found`] shall be told.
    pub fn take_query(&mut self) -> Option<Query> {
        if self.lost.is_some() || !self.world.attached {
            return None;
        }
        if let Some(query) = self.wanted.pop_front() {
            return Some(query);
        }
        match self.place {
            Place::Focus => self.focus.as_mut()?.ask(&self.world),
            Place::Queue => self.queue.ask(&self.world),
            Place::Loops | Place::Inbox | Place::Costs | Place::Grid => None,
        }
    }

    /// The path of the project shown, or nothing for all.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.world.scope
    }

    /// It is so late.
    pub fn on_time(&mut self, now: Time) {
        if now > self.world.now {
            self.world.now = now;
            self.dirty = true;
        }
    }

    /// Something happened at the terminal.
    pub fn on_event(&mut self, event: &event::Event) -> Step {
        match event {
            event::Event::Resize(..) => self.dirty = true,
            event::Event::Key(key) => return self.on_key(*key),
            event::Event::Mouse(mouse) => return self.on_mouse(*mouse),
            event::Event::Paste(text) => {
                self.dirty = true;
                self.overlay.paste(text);
                self.follow_typing();
            }
            event::Event::FocusGained | event::Event::FocusLost => {}
        }
        Step::GoOn
    }

    /// A key was pressed.
    pub fn on_key(&mut self, key: KeyEvent) -> Step {
        if key.kind == KeyEventKind::Release {
            return Step::GoOn;
        }
        self.settle();
        self.dirty = true;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if key.modifiers.contains(KeyModifiers::ALT) {
            // Nothing has such a key; what is typed right after Esc comes as one, too.
            return Step::GoOn;
        }
        if control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Step::Detach;
        }
        self.notice = None;
        if self.overlay.is_none() {
            if control {
                return Step::GoOn;
            }
            let command = keys::command(self.place, key.code);
            return command.map_or(Step::GoOn, |it| self.on_command(it));
        }
        let decided = mem::take(&mut self.overlay).key(&self.world, self.place, key);
        self.on_decided(decided)
    }

    fn on_decided(&mut self, decided: Decided) -> Step {
        match decided {
            Decided::Open(overlay) => self.overlay = overlay,
            Decided::Closed => {}
            Decided::No => self.notice = Some("not done".to_owned()),
            Decided::Do(act) => return self.ask(act),
            Decided::Typing(input) => {
                self.overlay = Overlay::Input(input);
                self.follow_typing();
            }
            Decided::Typed(Goal::Filter, text) => self.loops.filter(&mut self.world, &text),
            Decided::Typed(Goal::Search, text) => {
                if let Some(focus) = &mut self.focus
                    && !focus.pager().find(&text)
                    && !text.is_empty()
                {
                    self.notice = Some(format!("\"{}\" is not in here", clean(&text)));
                }
            }
            Decided::Typed(Goal::Say(verb, name), text) => {
                if text.trim().is_empty() {
                    self.notice = Some("nothing was said, so nothing is done".to_owned());
                } else {
                    return self.ask(Act::saying(verb, name, text));
                }
            }
            Decided::Dropped(Goal::Filter) => self.loops.filter(&mut self.world, ""),
            Decided::Dropped(Goal::Search) => {
                if let Some(focus) = &mut self.focus {
                    focus.pager().find("");
                }
            }
            Decided::Dropped(Goal::Say(..)) => self.notice = Some("not done".to_owned()),
            Decided::Chosen(Chosen::Act(act)) => return self.ask(act),
            Decided::Chosen(Chosen::Confirm(question, act)) => {
                self.overlay = Overlay::Confirm(question, act);
            }
            Decided::Chosen(Chosen::Input(goal)) => self.type_for(goal),
            Decided::Offered(Offer::Command(command)) => return self.on_command(command),
            Decided::Offered(Offer::Go(name)) => self.go(&name),
        }
        Step::GoOn
    }

    /// A filter shows what it leaves while it is typed.
    fn follow_typing(&mut self) {
        if let Overlay::Input(Input { goal: Goal::Filter, editor }) = &self.overlay {
            let text = editor.text();
            self.loops.filter(&mut self.world, &text);
        }
    }

    pub(crate) fn type_for(&mut self, goal: Goal) {
        self.overlay = Overlay::Input(Input { goal, editor: crate::editor::Editor::default() });
    }

    fn on_mouse(&mut self, mouse: MouseEvent) -> Step {
        let (x, y) = (mouse.column, mouse.row);
        let down = mouse.kind == MouseEventKind::ScrollDown;
        let wheel = down || mouse.kind == MouseEventKind::ScrollUp;
        let click = mouse.kind == MouseEventKind::Down(MouseButton::Left);
        if !(wheel || click) {
            return Step::GoOn;
        }
        self.settle();
        self.dirty = true;
        if !self.overlay.is_none() {
            // What is asked is answered by a key.
            return Step::GoOn;
        }
        self.notice = None;
        if wheel {
            let turn = if down { Move::Down } else { Move::Up };
            match self.place {
                Place::Loops => self.loops.wheel(&mut self.world, x, y, down),
                Place::Focus => {
                    if let Some(it) = &mut self.focus {
                        it.wheel(down);
                    }
                }
                Place::Inbox | Place::Queue | Place::Costs | Place::Grid => self.move_by(turn),
            }
            return Step::GoOn;
        }
        if let Some((_, place)) = self.places.iter().find(|it| it.0.contains((x, y).into())) {
            self.open_place(*place);
            return Step::GoOn;
        }
        let again = match self.place {
            Place::Loops => self.loops.click(&mut self.world, x, y),
            Place::Inbox => self.inbox.click(&self.world, x, y),
            Place::Queue => self.queue.click(&self.world, x, y),
            Place::Grid => self.grid.click(x, y),
            Place::Focus => {
                if let Some(it) = &mut self.focus {
                    it.click(x, y);
                }
                false
            }
            Place::Costs => false,
        };
        if again { self.on_command(Command::Open) } else { Step::GoOn }
    }

    /// Does what a key, or the palette, says.
    fn on_command(&mut self, command: Command) -> Step {
        match command {
            Command::Detach => return Step::Detach,
            Command::Help => self.overlay = Overlay::Help(0),
            Command::Palette => self.overlay = Overlay::Palette(Palette::default()),
            Command::Mouse => {
                self.mouse = !self.mouse;
                let text = if self.mouse {
                    "clicks and the wheel are the monitor's"
                } else {
                    "the mouse is the terminal's; M takes it back"
                };
                self.notice = Some(text.to_owned());
                return Step::Mouse(self.mouse);
            }
            Command::Go(place) => self.open_place(place),
            Command::Back => return self.back(),
            Command::Find => self.type_for(match self.place {
                Place::Focus => Goal::Search,
                Place::Loops | Place::Inbox | Place::Queue | Place::Costs | Place::Grid => {
                    Goal::Filter
                }
            }),
            Command::Pause => return self.begin(Verb::Pause),
            Command::Resume => return self.begin(Verb::Resume),
            Command::Stop => return self.begin(Verb::Stop),
            Command::Land => return self.begin(Verb::Land),
            Command::Retry => return self.begin(Verb::Retry),
            Command::Hold => return self.begin(Verb::Hold),
            Command::Release => return self.begin(Verb::Release),
            Command::First => return self.begin(Verb::Move),
            Command::Reject => self.say(Verb::Reject),
            Command::Steer => self.say(Verb::Note),
            Command::Rewind => self.ask_states(),
            Command::Answer => return self.answer(),
            Command::Open => self.open(),
            Command::Move(turn) => self.move_by(turn),
        }
        Step::GoOn
    }

    /// A command that stays within its screen.
    fn move_by(&mut self, turn: Move) {
        match self.place {
            Place::Loops => self.loops.command(&mut self.world, turn),
            Place::Inbox => self.inbox.command(&self.world, turn),
            Place::Queue => self.queue.command(&self.world, turn),
            Place::Costs => self.costs.command(turn),
            Place::Grid => self.grid.command(turn),
            Place::Focus => {
                self.notice = self.focus.as_mut().and_then(|it| it.command(turn));
            }
        }
    }

    fn open_place(&mut self, place: Place) {
        self.place = place;
        self.focus = None;
        self.stale = true;
        self.settle();
    }

    /// Out of what is open; out of the monitor if nothing is.
    fn back(&mut self) -> Step {
        match self.place {
            Place::Focus => self.open_place(self.before),
            Place::Loops if !self.loops.wanted().is_all() => {
                self.loops.filter(&mut self.world, "");
            }
            Place::Loops => return Step::Detach,
            Place::Inbox | Place::Queue | Place::Costs | Place::Grid => {
                self.open_place(Place::Loops);
            }
        }
        Step::GoOn
    }

    /// Opens the selected loop, or folds the selected plan.
    fn open(&mut self) {
        match self.subject() {
            Some(Subject::Loop(id)) => {
                let Some(it) = self.world.view.loops.get(&id) else { return };
                self.focus = Some(Focus::new(&self.world, it));
                self.before = if self.place == Place::Focus { self.before } else { self.place };
                self.place = Place::Focus;
            }
            Some(Subject::Plan(..)) => self.move_by(Move::Fold),
            None => self.notice = Some("nothing is selected".to_owned()),
        }
    }

    /// Goes to a loop by name, wherever that is.
    fn go(&mut self, name: &str) {
        let Ok(Target::Loop(id)) = self.world.view.resolve(name) else { return };
        self.open_place(Place::Loops);
        self.loops.filter(&mut self.world, "");
        self.loops.go(&mut self.world, Subject::Loop(id));
        let Some(it) = self.world.view.loops.get(&id) else { return };
        self.focus = Some(Focus::new(&self.world, it));
        (self.before, self.place) = (Place::Loops, Place::Focus);
    }

    /// What a key acts on.
    pub(crate) fn subject(&self) -> Option<Subject> {
        match self.place {
            Place::Loops => self.loops.selected,
            Place::Focus => self.focus.as_ref().map(|it| Subject::Loop(it.id)),
            Place::Inbox => self.inbox.item(&self.world).map(|it| Subject::Loop(it.loop_id)),
            Place::Grid => self.grid.selected().map(Subject::Loop),
            Place::Queue => match self.world.view.resolve(&self.queue.name(&self.world)?).ok()? {
                Target::Loop(id) => Some(Subject::Loop(id)),
                Target::Plan(_) => None,
            },
            Place::Costs => None,
        }
    }

    /// What the daemon is told to act on: an item where one is selected, so that only the first
    /// answer to it counts.
    fn named(&self, verb: Verb, subject: Subject) -> String {
        let item = self.inbox.item(&self.world).filter(|_| self.place == Place::Inbox);
        match item {
            Some(it) if matches!(verb, Verb::Land | Verb::Reject) => it.name(),
            Some(_) | None => subject.name(&self.world.view),
        }
    }

    /// Asks, or first asks the person.
    fn begin(&mut self, verb: Verb) -> Step {
        let Some(subject) = self.subject() else {
            self.notice = Some("nothing is selected".to_owned());
            return Step::GoOn;
        };
        let act = Act::new(verb, self.named(verb, subject));
        match act::question(&self.world, verb, subject) {
            Some(question) => {
                self.overlay = Overlay::Confirm(question, act);
                Step::GoOn
            }
            None => self.ask(act),
        }
    }

    /// Types what is said with a verb.
    fn say(&mut self, verb: Verb) {
        match self.subject() {
            Some(subject) => self.type_for(Goal::Say(verb, self.named(verb, subject))),
            None => self.notice = Some("nothing is selected".to_owned()),
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
}
