//! The monitor's other side: what the daemon says by itself, and what it answers.

use std::mem;

use taskd_api::{
    ApiError, Watched,
    v1::{ActResponse, Checkpoint, CheckpointsResponse, Verb},
};
use taskd_model::{Delta, EffectId, InboxItem, Record, View};

use crate::{
    act::{self, Act, What},
    app::{App, Step},
    keys::Place,
    overlay::{Chosen, Goal, Overlay, Pick},
    query::{Found, Query},
    screens::inbox,
    text::clean,
    words,
};

impl App {
    /// The daemon said something.
    pub fn on_watched(&mut self, item: Watched) {
        let was = mem::replace(&mut self.dirty, true);
        match item {
            Watched::Connected { version } => {
                self.version = version.or(self.version.take());
                if self.lost.take().is_some()
                    && let Some(focus) = &mut self.focus
                {
                    focus.reconnected();
                }
            }
            Watched::View(view) => self.on_view(*view),
            Watched::Event(record) => self.on_record(&record),
            Watched::Unknown { seq } => {
                self.world.view.seq = self.world.view.seq.max(seq);
                self.notice = Some(format!("event {seq} is of a newer taskd; not shown"));
            }
            Watched::Delta { name, effect, delta } => {
                self.dirty = self.on_noise(&name, effect, &delta) || was;
            }
            Watched::Heartbeat { at, .. } => {
                self.dirty = at > self.world.now || was;
                self.world.now = self.world.now.max(at);
            }
            Watched::Disconnected { error, attempt } => {
                self.lost = Some((clean(&error.message), attempt));
            }
            Watched::Ended(error) => self.ended = Some(error),
        }
    }

    fn on_view(&mut self, view: View) {
        let before = self.world.view.seq;
        let missed = self.world.attached && view.seq != before;
        self.world.view = view;
        self.world.attached = true;
        self.world.now = self.world.now.max(self.world.view.at);
        if missed {
            self.world.logs.gap(self.world.view.at);
            if let Some(focus) = &mut self.focus {
                focus.missed(before.0 + 1, self.world.view.seq.0);
            }
        }
        self.stale = true;
        self.settle();
    }

    fn on_record(&mut self, record: &Record) {
        let world = &mut self.world;
        if record.seq <= world.view.seq {
            return;
        }
        let entry = world.view.narrate(record).map(|line| {
            world.logs.tell(&world.view, record, &line);
            crate::log::entry(record, &line)
        });
        if let Some(focus) = &mut self.focus {
            focus.record(world, record, entry.as_ref());
        }
        world.view.apply(record);
        world.now = world.now.max(world.view.at);
        self.stale = true;
        if self.place == Place::Loops
            && let Some(selected) = self.loops.log_name(world)
        {
            // However many others talk, this one's lines stay.
            world.logs.open(&world.view, &selected);
        }
    }

    /// Noise is kept for everyone; says whether it is seen.
    fn on_noise(&mut self, name: &str, effect: EffectId, delta: &Delta) -> bool {
        if self.loops.selected.is_none() {
            self.settle();
        }
        let world = &mut self.world;
        if world.view.resolve(name).is_err() {
            return false;
        }
        world.logs.stream(&world.view, name, effect, delta);
        match self.place {
            Place::Loops => {
                let Some(selected) = self.loops.log_name(world) else { return false };
                // However many others talk, this one's lines stay.
                world.logs.open(&world.view, &selected);
                selected == name
            }
            Place::Focus => {
                let focus = self.focus.as_mut().filter(|it| it.name == name);
                focus.map(|it| it.noise(effect, delta)).is_some()
            }
            Place::Grid => self.grid.has(name, world),
            Place::Inbox | Place::Queue | Place::Costs => false,
        }
    }

    /// Puts rows in order if the view is newer than they are. It is done for a picture or a key, and
    /// not for each event: thousands may come between two pictures.
    pub(crate) fn settle(&mut self) {
        if !mem::take(&mut self.stale) {
            return;
        }
        self.world.settle();
        self.loops.arrange(&mut self.world);
        match self.place {
            Place::Inbox => self.inbox.arrange(&self.world),
            Place::Grid => self.grid.arrange(&mut self.world, &self.loops.marked),
            Place::Loops | Place::Queue | Place::Costs | Place::Focus => {}
        }
    }

    /// The daemon answered what it was asked to do, or did not.
    pub fn on_answer(&mut self, act: &Act, answer: Result<ActResponse, ApiError>) {
        self.dirty = true;
        self.asking = None;
        self.notice = Some(clean(&match answer {
            Ok(answer) => act::told(act, &answer),
            Err(error) => act::not_done(&act.name, &error),
        }));
    }

    /// The daemon answered a question, or did not.
    pub fn on_found(&mut self, query: &Query, found: Result<Found, ApiError>) {
        self.dirty = true;
        let found = found.map_err(|error| {
            let next = if error.hint.is_empty() { "" } else { "; next: " };
            clean(&format!("{}{next}{}", error.message, error.hint))
        });
        match (query, found) {
            (Query::States(name), Ok(Found::States(states))) => self.offer_states(name, &states),
            (Query::States(name), Err(why)) => {
                self.notice = Some(format!("{}: {why}", clean(name)));
            }
            (Query::Queue, Ok(Found::Queue(answer))) => {
                self.queue.answered(&self.world, Ok(answer));
            }
            (Query::Queue, Err(why)) => self.queue.answered(&self.world, Err(why)),
            (query, found) => {
                if let Some(focus) = &mut self.focus {
                    focus.answered(&self.world, query, found.as_ref().map_err(Clone::clone));
                }
            }
        }
    }

    /// Answers the selected item: by a choice, by words, or by approving it.
    pub(crate) fn answer(&mut self) -> Step {
        let Some(item) = self.inbox.item(&self.world).cloned() else {
            self.notice = Some("nothing is selected".to_owned());
            return Step::GoOn;
        };
        if item.closed_at.is_some() {
            self.notice = Some(format!("{} does not wait any more", item.name()));
            return Step::GoOn;
        }
        if !item.kind.is_asked() {
            self.notice = Some(clean(&inbox::next(&self.world, &item)));
            return Step::GoOn;
        }
        if item.choices.is_empty() {
            self.type_for(Goal::Say(Verb::Answer, item.name()));
        } else {
            self.overlay = Overlay::Pick(answers(&item));
        }
        Step::GoOn
    }

    /// Asks for the states that the selected loop can go back to.
    pub(crate) fn ask_states(&mut self) {
        let name = self.subject().map(|it| it.name(&self.world.view));
        match name {
            Some(name) => {
                self.notice = Some(format!("asking what {} can go back to", clean(&name)));
                self.wanted.push_back(Query::States(name));
            }
            None => self.notice = Some("nothing is selected".to_owned()),
        }
    }

    fn offer_states(&mut self, name: &str, states: &CheckpointsResponse) {
        if !self.overlay.is_none() {
            // The person does something else by now.
            return;
        }
        self.notice = None;
        let mut rows: Vec<(String, Chosen)> =
            states.checkpoints.iter().rev().map(|it| self.state_row(name, it)).collect();
        if states.checkpoints.iter().all(|it| it.n > 0) {
            rows.push(back_to(name, "base", "its base, as it was before any work", ""));
        }
        let title = format!("{}: back to which state?", clean(name));
        self.overlay = Overlay::Pick(Pick { title, rows, at: 0 });
    }

    fn state_row(&self, name: &str, it: &Checkpoint) -> (String, Chosen) {
        let age = words::age(self.world.now, taskd_model::Time(it.at));
        let here = if it.present { ", the work is here" } else { "" };
        let more = format!("iteration {}, {age} ago{here}", it.iteration);
        let after = clean(&it.after);
        let after = if after.is_empty() { "its base".to_owned() } else { format!("after {after}") };
        back_to(name, &it.n.to_string(), &format!("state {}, {after}", it.n), &more)
    }
}

/// A row to go back to a state, and what follows when it is chosen.
fn back_to(name: &str, to: &str, what: &str, more: &str) -> (String, Chosen) {
    let question = format!("Rewind {} to {what}?  What came later is kept.", clean(name));
    let act = Act { what: What::Rewind(to.to_owned()), name: name.to_owned(), text: String::new() };
    let gap = if more.is_empty() { "" } else { ", " };
    (format!("{what}{gap}{more}"), Chosen::Confirm(question, act))
}

/// What may be answered.
fn answers(item: &InboxItem) -> Pick {
    let name = item.name();
    let choice = |(n, text): (usize, &String)| {
        let act = Act::saying(Verb::Answer, name.as_str(), n.to_string());
        (format!("{n}  {}", clean(text)), Chosen::Act(act))
    };
    let mut rows: Vec<(String, Chosen)> = (1..).zip(&item.choices).map(choice).collect();
    if item.free {
        let goal = Goal::Say(Verb::Answer, name.clone());
        rows.push(("other words".to_owned(), Chosen::Input(goal)));
    }
    Pick { title: format!("{}: {}", name, clean(&item.what)), rows, at: 0 }
}
