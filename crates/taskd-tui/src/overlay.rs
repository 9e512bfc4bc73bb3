//! What lies over a screen and takes the keys: help, a question, a line being typed, a choice, the
//! palette of commands.
//!
//! It says what the person decided. What follows is the monitor's.

use crossterm::event::{KeyCode, KeyEvent};
use taskd_api::v1::Verb;

use crate::{
    act::Act,
    editor::Editor,
    keys::{self, Command, Place},
    text::clean,
    world::World,
};

/// Names of loops and plans the palette offers at most.
const NAMES: usize = 50;

/// What lies over the picture.
#[derive(Debug, Default)]
pub(crate) enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// The keys of this place, from this line on.
    Help(usize),
    /// A question, and what happens after a yes.
    Confirm(String, Act),
    /// A line that is typed.
    Input(Input),
    /// One of several.
    Pick(Pick),
    /// Any command, or a loop, by name.
    Palette(Palette),
}

/// A line that is typed.
#[derive(Debug)]
pub(crate) struct Input {
    /// What it is for.
    pub(crate) goal: Goal,
    pub(crate) editor: Editor,
}

/// What a line is typed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Rows shall hold these words.
    Filter,
    /// Words to look for.
    Search,
    /// Said with a verb to a loop, a plan or an item.
    Say(Verb, String),
}

impl Goal {
    /// What stands before the line.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Filter => "filter".to_owned(),
            Self::Search => "search".to_owned(),
            Self::Say(verb, name) => {
                let act = Act::new(*verb, name.as_str());
                format!("{} {}", act.word(), clean(name))
            }
        }
    }
}

/// One of several.
#[derive(Debug)]
pub(crate) struct Pick {
    pub(crate) title: String,
    /// What is chosen from, and what follows.
    pub(crate) rows: Vec<(String, Chosen)>,
    pub(crate) at: usize,
}

/// What follows a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// The daemon is asked.
    Act(Act),
    /// The daemon is asked after a yes to this.
    Confirm(String, Act),
    /// Words are typed.
    Input(Goal),
}

/// Any command, or a loop, by name.
#[derive(Debug, Default)]
pub(crate) struct Palette {
    pub(crate) editor: Editor,
    pub(crate) at: usize,
}

/// What the palette offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Offer {
    Command(Command),
    /// A loop or a plan, by name.
    Go(String),
}

/// What a key did to the overlay.
#[derive(Debug)]
pub(crate) enum Decided {
    /// It is there as before.
    Open(Overlay),
    /// It is gone, and nothing was decided.
    Closed,
    /// It is gone; the person said no.
    No,
    Do(Act),
    /// The line so far.
    Typing(Input),
    Typed(Goal, String),
    Dropped(Goal),
    Chosen(Chosen),
    Offered(Offer),
}

impl Palette {
    /// What is offered for what was typed, best first, with the words for it.
    pub(crate) fn offers(&self, world: &World, place: Place) -> Vec<(String, Offer)> {
        let typed = self.editor.text().to_lowercase();
        let typed = typed.trim();
        let mut out: Vec<(u8, String, Offer)> = Vec::new();
        for it in keys::offered(place) {
            if let Some(rank) = rank(it.word, typed) {
                out.push((rank, keys::told(it), Offer::Command(it.command)));
            }
        }
        if !typed.is_empty() {
            let loops = world.loops().filter_map(|it| {
                let rank = rank(&it.name.to_lowercase(), typed)?;
                let text = format!("{}  {}", clean(&it.name), clean(&it.title));
                Some((rank + 1, text, Offer::Go(it.name.clone())))
            });
            out.extend(loops.take(NAMES));
        }
        out.sort_by_key(|it| it.0);
        out.into_iter().map(|(_, text, offer)| (text, offer)).collect()
    }
}

/// How well a word is what was typed: it begins with it, holds it, holds its letters in that order.
fn rank(word: &str, typed: &str) -> Option<u8> {
    if word.starts_with(typed) {
        return Some(0);
    }
    if word.contains(typed) {
        return Some(2);
    }
    let mut letters = word.chars();
    typed.chars().all(|it| letters.any(|other| other == it)).then_some(4)
}

impl Overlay {
    /// Nothing lies over the picture.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// A key.
    pub(crate) fn key(self, world: &World, place: Place, key: KeyEvent) -> Decided {
        match self {
            Self::None => Decided::Closed,
            Self::Help(line) => help(line, place, key.code),
            Self::Confirm(_, act) if matches!(key.code, KeyCode::Char('y' | 'Y')) => {
                Decided::Do(act)
            }
            Self::Confirm(..) => Decided::No,
            Self::Input(input) => typed(input, key),
            Self::Pick(pick) => picked(pick, key.code),
            Self::Palette(palette) => palette_key(palette, world, place, key),
        }
    }

    /// Something was pasted: it belongs to a line that is typed, or to nobody.
    pub(crate) fn paste(&mut self, text: &str) {
        match self {
            Self::Input(it) => it.editor.paste(text),
            Self::Palette(it) => it.editor.paste(text),
            Self::None | Self::Help(_) | Self::Confirm(..) | Self::Pick(_) => {}
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "any other key closes it")]
fn help(line: usize, place: Place, code: KeyCode) -> Decided {
    let last = keys::help(place).len().saturating_sub(1);
    let to = match code {
        KeyCode::Down | KeyCode::Char('j') => line + 1,
        KeyCode::Up | KeyCode::Char('k') => line.saturating_sub(1),
        KeyCode::PageDown => line + 10,
        KeyCode::PageUp => line.saturating_sub(10),
        _ => return Decided::Closed,
    };
    Decided::Open(Overlay::Help(to.min(last)))
}

fn typed(mut input: Input, key: KeyEvent) -> Decided {
    if key.code == KeyCode::Enter {
        return Decided::Typed(input.goal, input.editor.text());
    }
    if key.code == KeyCode::Esc {
        return Decided::Dropped(input.goal);
    }
    input.editor.key(key);
    Decided::Typing(input)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "other keys choose nothing")]
fn picked(mut pick: Pick, code: KeyCode) -> Decided {
    let last = pick.rows.len().saturating_sub(1);
    let at = match code {
        KeyCode::Enter => Some(pick.at),
        KeyCode::Char(it) => it.to_digit(10).and_then(|it| (it as usize).checked_sub(1)),
        _ => None,
    };
    if let Some((_, chosen)) = at.and_then(|at| pick.rows.get(at)) {
        return Decided::Chosen(chosen.clone());
    }
    match code {
        KeyCode::Down | KeyCode::Char('j') => pick.at = (pick.at + 1).min(last),
        KeyCode::Up | KeyCode::Char('k') => pick.at = pick.at.saturating_sub(1),
        KeyCode::Home => pick.at = 0,
        KeyCode::End => pick.at = last,
        KeyCode::Esc | KeyCode::Char('q') => return Decided::No,
        _ => {}
    }
    Decided::Open(Overlay::Pick(pick))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "other keys are typed")]
fn palette_key(mut palette: Palette, world: &World, place: Place, key: KeyEvent) -> Decided {
    let offers = palette.offers(world, place);
    match key.code {
        KeyCode::Esc => return Decided::Closed,
        KeyCode::Enter => {
            return offers
                .into_iter()
                .nth(palette.at)
                .map_or(Decided::Closed, |(_, offer)| Decided::Offered(offer));
        }
        KeyCode::Down => palette.at = (palette.at + 1).min(offers.len().saturating_sub(1)),
        KeyCode::Up => palette.at = palette.at.saturating_sub(1),
        _ => {
            palette.editor.key(key);
            palette.at = 0;
        }
    }
    Decided::Open(Overlay::Palette(palette))
}
