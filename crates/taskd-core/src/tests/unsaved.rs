//! Files are saved beside the next call, and before anything that writes or moves them.

use taskd_model::Status;

use super::Play;

const AT_CALL: &str = "0 start | 0 project | 0 plan a | 1 p1 base-green | 2 a to call";

/// What is open after these lines.
fn play(script: &str) -> Play {
    let mut play = Play::default();
    play.lines(AT_CALL);
    play.lines(script);
    play
}

impl Play {
    fn open(&self) -> String {
        let open: Vec<String> = self.core.open_effects().map(|it| it.1.to_string()).collect();
        open.join(", ")
    }

    /// Plays a line, and says what is open then.
    fn then(&mut self, line: &str) -> String {
        self.line(line);
        self.open()
    }
}

#[test]
fn the_next_call_does_not_wait_for_what_a_tool_wrote() {
    let mut play = play("10 a replies edit read");
    assert_eq!(play.then("20 a tool edit named"), "save, tool 1 read");
    assert_eq!(play.then("30 a tool read"), "save, compose");
    assert_eq!(play.then("40 a composed"), "save, call");
    assert_eq!(play.then("50 a replies read"), "save, tool 0 read");
    assert_eq!(play.then("60 a saves 5afe"), "tool 0 read");
    let engine = &play.core.state().loops()[&play.id("a")];
    assert_eq!((engine.checkpoint, engine.unsaved), (Some(super::oid("5afe")), None));
}

#[test]
fn whatever_writes_or_moves_files_does() {
    for (script, next) in [
        ("10 a replies edit run | 20 a tool edit named", "tool 1 run"),
        ("10 a replies edit finish | 20 a tool edit named", "gate"),
        ("10 a replies run | 15 main f1 | 20 a tool run any", "rebase onto f100000"),
    ] {
        let mut play = play(script);
        assert_eq!(play.open(), "save", "{script}");
        assert_eq!(play.then("30 a saves 5afe"), next, "{script}");
    }
    let mut play = play("10 a replies edit | 15 pause a | 20 a tool edit named");
    assert_eq!((play.open().as_str(), play.status("a")), ("save", Status::Running));
    assert_eq!(play.then("30 a saves 5afe"), "");
    assert_eq!(play.status("a"), Status::Paused);
}

/// The base may move, or a person may pause it, while its files are being saved beside a call.
#[test]
fn a_turn_that_began_beside_it_ends_first() {
    let mut play = play("10 a replies run | 20 a tool run any | 25 main f1 | 30 a composed");
    assert_eq!(play.open(), "save", "{}", play.transcript());
    assert_eq!(play.then("40 a saves 5afe"), "rebase onto f100000");
}

/// What was told to the model and not saved when the daemon died is saved first in
/// the next life, all of it.
#[test]
fn what_was_not_saved_is_saved_in_the_next_life() {
    let mut play = play("10 a replies edit | 20 a tool edit named | 30 a composed");
    assert_eq!(play.open(), "save, call");
    assert_eq!(play.then("40 restart"), "prepare worktree, as it is");
    assert_eq!(play.then("50 a ready"), "save, call");
    let saves = play.core.open_effects().next().expect("it saves").1;
    assert_eq!(*saves, taskd_model::Work::Save { wrote: None });
}

#[test]
fn a_call_that_fails_does_not_end_it() {
    let mut play = play("10 a replies edit | 20 a tool edit named | 30 a composed");
    play.line("40 a call-fails");
    assert_eq!(play.core.open_effects().map(|it| it.2).collect::<Vec<_>>(), [false]);
    assert_eq!(play.open(), "save");
    assert_eq!(play.then("50 a saves 5afe"), "");
    assert_eq!(play.then("90000 tick"), "call");
}

/// After a failure nothing more is built upon what is not saved; after three a person is asked.
#[test]
fn what_cannot_be_saved_ends_in_a_question() {
    let mut play = play("10 a replies run | 20 a tool run any | 30 a composed");
    assert_eq!(play.then("40 a save-fails"), "call");
    assert_eq!(play.then("50 a replies read"), "");
    assert_eq!(play.then("9000 tick"), "save");
    assert_eq!(play.then("9002 a save-fails"), "");
    assert_eq!(play.then("90000 tick"), "save");
    play.line("90001 a save-fails");
    assert_eq!((play.open().as_str(), play.status("a")), ("", Status::Blocked));
    assert_eq!(play.then("90002 resume a"), "save, tool 0 read");
}

#[test]
fn a_loop_that_is_stopped_meanwhile_ends_when_it_is_saved() {
    let mut play = play("10 a replies edit | 20 a tool edit named | 30 a composed | 40 stop a");
    play.line("50 a cancelled");
    assert_eq!((play.open().as_str(), play.status("a")), ("save", Status::Running));
    play.line("60 a saves 5afe");
    assert_eq!(play.status("a"), Status::Stopped);
    let engine = &play.core.state().loops()[&play.id("a")];
    assert_eq!(engine.checkpoint, Some(super::oid("5afe")));
}
