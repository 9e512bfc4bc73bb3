//! The one table of keys: what a press does, where, and what help and footer say of it.
//!
//! It does nothing itself. Whoever adds a key adds a row, and nothing else says what keys there are.

use crossterm::event::KeyCode;

use crate::text::{pad, width};

/// A screen of the monitor.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Plans and loops in four groups.
    #[default]
    Loops,
    /// What waits for a person.
    Inbox,
    /// Who waits for whom: landing queues and model calls.
    Queue,
    /// What was spent.
    Costs,
    /// The last lines of several loops.
    Grid,
    /// One loop.
    Focus,
}

impl Place {
    /// Those one can go to by a number, in that order.
    pub(crate) const TOP: [Self; 5] =
        [Self::Loops, Self::Inbox, Self::Queue, Self::Costs, Self::Grid];

    /// What it is called.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Loops => "loops",
            Self::Inbox => "inbox",
            Self::Queue => "queue",
            Self::Costs => "costs",
            Self::Grid => "grid",
            Self::Focus => "loop",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Loops => LOOPS,
            Self::Inbox => INBOX,
            Self::Queue => QUEUE,
            Self::Costs => COSTS,
            Self::Grid => GRID,
            Self::Focus => FOCUS,
        }
    }
}

const LOOPS: u8 = 1;
const INBOX: u8 = 2;
const QUEUE: u8 = 4;
const COSTS: u8 = 8;
const GRID: u8 = 16;
const FOCUS: u8 = 32;
const ANY: u8 = 63;
/// Where a loop is selected.
const LOOP: u8 = LOOPS | INBOX | QUEUE | GRID | FOCUS;
/// Where rows are selected.
const ROWS: u8 = LOOPS | INBOX | QUEUE | COSTS | GRID;

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Something within the screen that is open.
    Move(Move),
    Open,
    Back,
    Find,
    Pause,
    Resume,
    Stop,
    Land,
    Reject,
    Steer,
    Retry,
    Rewind,
    Answer,
    Hold,
    Release,
    First,
    Go(Place),
    Palette,
    Mouse,
    Help,
    Detach,
}

/// What moves within a screen, or changes what of it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Up,
    Down,
    Top,
    Bottom,
    PageUp,
    PageDown,
    End,
    Left,
    Right,
    Next,
    Previous,
    Mark,
    Fold,
    More,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding {
    codes: &'static [KeyCode],
    /// As people call the keys.
    keys: &'static str,
    /// What it does.
    pub(crate) command: Command,
    at: u8,
    /// One word for it: in the footer if `foot`, and in the palette.
    pub(crate) word: &'static str,
    foot: bool,
    help: &'static str,
}

const fn c(it: char) -> KeyCode {
    KeyCode::Char(it)
}

/// A row that the footer shows, too.
const fn foot(
    codes: &'static [KeyCode],
    keys: &'static str,
    command: Command,
    at: u8,
    word: &'static str,
    help: &'static str,
) -> Binding {
    Binding { codes, keys, command, at, word, foot: true, help }
}

/// A row that only help and palette show.
const fn row(
    codes: &'static [KeyCode],
    keys: &'static str,
    command: Command,
    at: u8,
    word: &'static str,
    help: &'static str,
) -> Binding {
    Binding { codes, keys, command, at, word, foot: false, help }
}

/// Every key there is. Where two rows have one key, the first that is for the place counts.
pub(crate) const BINDINGS: &[Binding] = &[
    row(
        &[KeyCode::Down, c('j')],
        "↑↓ j k",
        Command::Move(Move::Down),
        ROWS,
        "",
        "the next row, or the one before",
    ),
    row(&[KeyCode::Up, c('k')], "↑", Command::Move(Move::Up), ROWS, "", ""),
    row(
        &[c('g'), KeyCode::Home],
        "g G",
        Command::Move(Move::Top),
        ROWS,
        "",
        "the first row, or the last",
    ),
    row(&[c('G')], "G", Command::Move(Move::Bottom), ROWS, "", ""),
    row(
        &[KeyCode::Down, c('j')],
        "↑↓ j k",
        Command::Move(Move::Down),
        FOCUS,
        "",
        "a line on, or back",
    ),
    row(&[KeyCode::Up, c('k')], "↑", Command::Move(Move::Up), FOCUS, "", ""),
    row(&[c('g'), KeyCode::Home], "g", Command::Move(Move::Top), FOCUS, "", "the beginning"),
    row(
        &[c('G'), KeyCode::End],
        "G End",
        Command::Move(Move::Bottom),
        FOCUS,
        "",
        "the end; goes on with it",
    ),
    foot(&[KeyCode::Enter], "Enter", Command::Open, LOOPS, "open", "open the loop; fold a plan"),
    foot(&[KeyCode::Enter], "Enter", Command::Answer, INBOX, "answer", "answer it"),
    foot(&[KeyCode::Enter], "Enter", Command::Open, QUEUE | GRID, "open", "open the loop"),
    foot(&[c('o')], "o", Command::Open, INBOX, "open", "open the loop that waits"),
    foot(
        NEXT_TAB,
        "Tab → ←",
        Command::Move(Move::Right),
        FOCUS,
        "tab",
        "the next tab, or the one before",
    ),
    row(&[KeyCode::Left, KeyCode::BackTab, c('h')], "←", Command::Move(Move::Left), FOCUS, "", ""),
    row(&[KeyCode::Right], "← →", Command::Move(Move::Right), GRID, "", "the loop beside it"),
    row(&[KeyCode::Left], "←", Command::Move(Move::Left), GRID, "", ""),
    foot(
        &[KeyCode::Tab],
        "Tab",
        Command::Move(Move::Right),
        COSTS,
        "by",
        "by plan, by model, by day",
    ),
    foot(&[c('/')], "/", Command::Find, LOOPS, "filter", "only rows that hold these words"),
    foot(
        &[c('/')],
        "/ n N",
        Command::Find,
        FOCUS,
        "search",
        "look for words; the next, the one before",
    ),
    row(&[c('n')], "n", Command::Move(Move::Next), FOCUS, "", ""),
    row(&[c('N')], "N", Command::Move(Move::Previous), FOCUS, "", ""),
    foot(&[c('p')], "p", Command::Pause, LOOP, "pause", "pause at the next safe point"),
    foot(&[c('r')], "r", Command::Resume, LOOP, "resume", "resume"),
    foot(&[c('l'), c('a')], "a l", Command::Land, LOOP & !FOCUS, "land", LANDS),
    foot(&[c('a')], "a", Command::Land, FOCUS, "land", LANDS),
    foot(&[c('x')], "x", Command::Reject, LOOP, "reject", "send it back and say why"),
    foot(&[c('t')], "t", Command::Steer, LOOP, "steer", "tell it something"),
    foot(&[c('s')], "s", Command::Stop, LOOP, "stop", "stop and keep the work (asks first)"),
    row(&[c('R')], "R", Command::Retry, LOOP, "retry", "try again, with fresh limits"),
    row(&[c('b')], "b", Command::Rewind, LOOP, "rewind", "back to a saved state (asks first)"),
    foot(&[c('h')], "h", Command::Hold, QUEUE, "hold", "hold it in the queue"),
    foot(&[c('u')], "u", Command::Release, QUEUE, "release", "let it go on"),
    row(&[c('f')], "f", Command::First, QUEUE, "first", "it goes first"),
    foot(
        &[c(' ')],
        "Space",
        Command::Move(Move::Mark),
        LOOPS,
        "mark",
        "show it in the grid, or no more",
    ),
    foot(&[c('A')], "A", Command::Move(Move::More), INBOX, "answered", "what was answered, too"),
    row(
        &[KeyCode::PageUp],
        "PgUp PgDn",
        Command::Move(Move::PageUp),
        LOOPS,
        "",
        "turn the log back, or on",
    ),
    row(
        &[KeyCode::PageUp],
        "PgUp PgDn",
        Command::Move(Move::PageUp),
        ANY & !LOOPS,
        "",
        "a page back, or on",
    ),
    row(&[KeyCode::PageDown], "PgDn", Command::Move(Move::PageDown), ANY, "", ""),
    row(
        &[KeyCode::End],
        "End",
        Command::Move(Move::End),
        LOOPS,
        "",
        "the end of the log; goes on with it",
    ),
    row(
        &[c('1')],
        "1 … 5",
        Command::Go(Place::Loops),
        ANY,
        "loops",
        "loops, inbox, queue, costs, grid",
    ),
    row(&[c('2')], "2", Command::Go(Place::Inbox), ANY, "inbox", ""),
    row(&[c('3')], "3", Command::Go(Place::Queue), ANY, "queue", ""),
    row(&[c('4')], "4", Command::Go(Place::Costs), ANY, "costs", ""),
    row(&[c('5')], "5", Command::Go(Place::Grid), ANY, "grid", ""),
    row(&[c(':')], ":", Command::Palette, ANY, "", "any of these by name, or a loop"),
    row(&[c('M')], "M", Command::Mouse, ANY, "mouse", "leave the mouse to the terminal, or not"),
    row(&[KeyCode::Esc], "Esc", Command::Back, ANY, "back", "back; from the first screen: detach"),
    foot(&[c('?')], "?", Command::Help, ANY, "help", ""),
    foot(&[c('q')], "q Ctrl-C", Command::Detach, ANY, "detach", "detach; the daemon works on"),
];

const NEXT_TAB: &[KeyCode] = &[KeyCode::Tab, KeyCode::Right, c('l')];

const LANDS: &str = "approve: land what passed (asks first)";

/// The rows for a place.
fn at(place: Place) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |it| it.at & place.bit() != 0)
}

/// What a key does there.
pub(crate) fn command(place: Place, code: KeyCode) -> Option<Command> {
    at(place).find(|it| it.codes.contains(&code)).map(|it| it.command)
}

/// The rows a palette offers there: those with a word.
pub(crate) fn offered(place: Place) -> impl Iterator<Item = &'static Binding> {
    at(place).filter(|it| !it.word.is_empty())
}

/// The word of a row, its key, and what it does.
pub(crate) fn told(it: &Binding) -> String {
    format!("{}  {}  {}", pad(it.word, 9), pad(first_key(it), 5), it.help)
}

fn first_key(it: &Binding) -> &'static str {
    it.keys.split(' ').next().unwrap_or(it.keys)
}

/// Columns of the keys in help.
const KEYS: usize = 9;

/// Help for a place, a line for each key or pair of keys.
pub(crate) fn help(place: Place) -> Vec<String> {
    let rows = at(place).filter(|it| !it.help.is_empty());
    let mut lines: Vec<String> =
        rows.map(|it| format!("{}  {}", pad(it.keys, KEYS), it.help)).collect();
    if place == Place::Loops {
        lines.push("A key on a plan acts on all its loops.".to_owned());
    }
    lines
}

/// The keys worth a place in one line of so many columns; help and detach are always in it.
pub(crate) fn footer(place: Place, columns: usize) -> String {
    let short = |it: &Binding| format!("{} {}", first_key(it), it.word);
    let (last, first): (Vec<_>, Vec<_>) = at(place)
        .filter(|it| it.foot)
        .partition(|it| matches!(it.command, Command::Help | Command::Detach));
    let tail = last.into_iter().map(short).collect::<Vec<_>>().join("  ");
    let mut line = String::new();
    for it in first {
        let next = short(it);
        if width(&line) + width(&next) + 2 + width(&tail) > columns {
            break;
        }
        line.push_str(&next);
        line.push_str("  ");
    }
    line + &tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_one_thing_in_a_place() {
        let places = Place::TOP.into_iter().chain([Place::Focus]);
        for place in places {
            let mut seen: Vec<KeyCode> = Vec::new();
            for it in at(place).flat_map(|it| it.codes) {
                assert!(!seen.contains(it), "{it:?} twice in {}", place.word());
                seen.push(*it);
            }
            assert_eq!(command(place, c('q')), Some(Command::Detach));
            assert!(footer(place, 80).contains("? help  q detach"), "{}", footer(place, 80));
            assert!(width(&footer(place, 80)) <= 80);
            let help = help(place);
            assert!(help.len() <= 22 && help.iter().all(|it| width(it) <= 60), "{help:?}");
        }
        assert_eq!(footer(Place::Loops, 20), "? help  q detach");
    }
}
