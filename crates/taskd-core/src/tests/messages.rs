//! Messages between loops: who is told what and when, what is refused, who is muted; and a person
//! who ends a turn.

use taskd_model::{Digest, EffectId, Event, Input, LetterKind, Saying, Spoken, Unsent, Work};

use super::{Play, good, story_from};
use crate::Rejected;

/// `a` stands in a tool, `b` at a call.
const AT_TOOL: &str = "0 start | 0 project | 0 plan a b land=never | 1 p1 base-green
    2 a to call | 2 b to call | 3 a replies";

/// Tools of the reply `a` is at: each may say something, one after the other.
const TOOLS: usize = 250;

fn play() -> Play {
    let mut play = Play::default();
    play.lines(&format!("{AT_TOOL}{}", " run".repeat(TOOLS)));
    play
}

impl Play {
    /// The tool that is open of `name`.
    fn tool_of(&self, name: &str) -> EffectId {
        let (id, work) = self.open_of(name).expect("something is open");
        assert!(matches!(work, Work::Tool { .. }), "{work}");
        id
    }

    /// A tool of `name` says something; whether it is taken.
    fn say(&mut self, name: &str, saying: Saying) -> Option<Rejected> {
        let effect = self.tool_of(name);
        self.input(&Input::Said { effect, saying });
        self.refused.clone().or_else(|| self.last.refused.take())
    }

    /// The tool ends, and the next one of the reply is open.
    fn next_tool(&mut self, name: &str) {
        let (id, work) = self.open_of(name).expect("something is open");
        self.end(id, good(&work));
    }

    fn share(&mut self, name: &str, to: &str, text: &str) -> Option<Rejected> {
        let (to, text) = (self.id(to), Digest::of(text.as_bytes()));
        self.say(name, Saying::Share { to, text, bytes: 1_000 })
    }

    fn alert(&mut self, name: &str, topic: &str, text: &str) -> Option<Rejected> {
        let (topic, text) = (topic.to_owned(), Digest::of(text.as_bytes()));
        self.say(name, Saying::Alert { topic, text, bytes: 1_000 })
    }

    /// What `name` is told of: text, earlier ones it stands for, after how many turns.
    fn told(&self, name: &str) -> Vec<(Digest, u32, u32)> {
        let mail = &self.core.state().loops()[&self.id(name)].talk.mail;
        mail.told().iter().map(|it| (it.letter.text, it.merged, it.after)).collect()
    }

    fn waiting(&self, name: &str) -> usize {
        self.core.state().loops()[&self.id(name)].talk.mail.waiting()
    }
}

fn text(it: &str) -> Digest {
    Digest::of(it.as_bytes())
}

/// A message waits until its receiver composes; then it stands after the turn that was over, and
/// stays there. The next iteration has it in its prompt.
#[test]
fn messages_are_told_between_turns() {
    let mut play = play();
    assert_eq!(play.share("a", "b", "x"), None);
    assert_eq!((play.waiting("b"), play.told("b")), (1, Vec::new()));
    play.lines("4 b replies read | 5 b tool read");
    assert_eq!((play.waiting("b"), play.told("b")), (0, vec![(text("x"), 0, 1)]));
    play.next_tool("a");
    assert_eq!(play.share("a", "b", "y"), None);
    play.lines("6 b to call | 7 b replies read | 8 b tool read");
    assert_eq!(play.told("b"), [(text("x"), 0, 1), (text("y"), 0, 2)]);
    play.lines("9 b to gate | 10 b red | 10 b to call");
    assert_eq!(play.told("b"), [(text("x"), 0, 0), (text("y"), 0, 0)]);
}

/// Proves E6: what a receiver that never reads costs its senders, per kind: shares are refused
/// when a hundred wait, of alerts the newest of each topic stays, and a stop is followed.
#[test]
fn who_does_not_read_has_a_full_mailbox() {
    let mut play = play();
    for n in 0..100 {
        play.now += 20;
        assert_eq!(play.share("a", "b", &format!("s{n}")), None, "{n}");
        play.next_tool("a");
    }
    let full = Rejected::MailboxFull { name: "p1.b".to_owned() };
    assert_eq!(play.share("a", "b", "one more"), Some(full));
    for n in 0..40 {
        play.next_tool("a");
        assert_eq!(play.alert("a", "api", &format!("n{n}")), None, "{n}");
    }
    assert_eq!(play.waiting("b"), 101, "shares, and the newest alert");
    let refused = |it: &&taskd_model::Record| {
        matches!(it.event, Event::Spoken { word: Spoken::Refused { why: Unsent::Full } })
    };
    assert_eq!(play.log.iter().filter(refused).count(), 1);
    assert_eq!(play.core.letter_counts().refused, 1);
    assert_eq!(play.core.letters_waiting(), 101);
    // What fits is told; the rest waits for another iteration.
    play.lines("9000 b replies read | 9001 b tool read");
    assert_eq!((play.told("b").len(), play.waiting("b")), (65, 36));
    play.lines("9100 stop b | 9101 b cancelled");
    assert_eq!(play.waiting("b"), 0, "nobody reads that any more");
}

/// Of one topic the newest is told, and how many it stands for.
#[test]
fn alerts_of_one_topic_are_one() {
    let mut play = play();
    for it in ["one", "two", "three"] {
        assert_eq!(play.alert("a", "api", it), None);
        play.next_tool("a");
    }
    assert_eq!(play.alert("a", "tests", "other"), None);
    play.lines("9 b replies read | 9 b tool read");
    assert_eq!(play.told("b"), [(text("three"), 2, 1), (text("other"), 0, 1)]);
}

/// The same tool call sends once, whoever asks for it again; and the same words that wait already
/// are not said twice.
#[test]
fn nothing_is_sent_twice() {
    let mut play = play();
    assert_eq!(play.share("a", "b", "x"), None);
    assert_eq!(play.share("a", "b", "x"), None);
    assert_eq!(play.share("a", "b", "another text of the same call"), None);
    play.next_tool("a");
    assert_eq!(play.share("a", "b", "x"), None);
    assert_eq!(play.waiting("b"), 1);
    assert_eq!(play.core.letter_counts().sent, 1);
}

#[test]
fn only_others_of_the_plan_that_are_not_over_hear() {
    let mut play = play();
    assert_eq!(play.share("a", "a", "x"), Some(Rejected::ToItself));
    play.lines("3 plan c land=never");
    let other = play.id("c");
    assert_eq!(play.share("a", "c", "x"), Some(Rejected::NoLoop(other)));
    play.lines("4 stop b | 5 b cancelled");
    assert!(matches!(play.share("a", "b", "x"), Some(Rejected::IsOver { .. })));
    assert_eq!(play.alert("a", "t", "x"), Some(Rejected::NobodyHears));
    assert_eq!(play.core.letter_counts().sent, 0);
    play.lines("6 stop a");
    assert_eq!(play.share("a", "b", "x"), Some(Rejected::NobodyAsks));
}

/// Proves E3: ten refusals within ten seconds mute a sender for half a minute, which is said;
/// what it sends meanwhile is no event. Then one refusal is enough, and it is muted for twice as
/// long. It can be stopped all the while, and others are heard.
#[test]
fn a_flood_mutes_its_sender() {
    let mut play = play();
    play.now = 10_000;
    for n in 0..100 {
        assert_eq!(play.alert("a", "t", &format!("{n}")), None);
        play.next_tool("a");
    }
    for _ in 0..10 {
        assert_eq!(play.alert("a", "t", "more"), Some(Rejected::TooManyMessages));
    }
    let mutes = |play: &Play| {
        let until = |it: &taskd_model::Record| {
            let Event::Spoken { word: Spoken::Muted { until } } = it.event else { return None };
            Some(until.0)
        };
        play.log.iter().filter_map(until).collect::<Vec<_>>()
    };
    assert_eq!(mutes(&play), [40_000]);
    assert_eq!(play.core.muted_senders(taskd_model::Time(play.now)), 1);
    let before = play.log.len();
    for _ in 0..1_000 {
        let muted = play.alert("a", "t", "more");
        assert_eq!(muted, Some(Rejected::Muted { seconds: 30 }));
    }
    assert_eq!(play.log.len(), before, "a muted sender writes nothing");
    play.lines("10000 b replies run");
    assert_eq!(play.share("b", "a", "stop that"), None, "others are heard");

    // Half open: it is heard again, and one refusal is one too many.
    play.now = 40_000;
    for n in 0..100 {
        assert_eq!(play.alert("a", "t", &format!("again {n}")), None);
        play.next_tool("a");
    }
    assert_eq!(play.alert("a", "t", "more"), Some(Rejected::TooManyMessages));
    assert_eq!(mutes(&play), [40_000, 100_000]);
    play.lines("50000 stop a | 50001 a cancelled");
    assert_eq!(play.status("a"), taskd_model::Status::Stopped);
}

/// A letter is in the state that is replayed, told or not.
#[test]
fn mailboxes_are_folded_from_the_log() {
    let mut play = play();
    assert_eq!(play.share("a", "b", "x"), None);
    play.lines("4 restart");
    assert_eq!(play.waiting("b"), 1);
    play.lines("4 start | 5 b to call | 6 b replies read | 7 b tool read");
    assert_eq!((play.waiting("b"), play.told("b")), (0, vec![(text("x"), 0, 1)]));
    let kind = |it: &taskd_model::Record| {
        let Event::Spoken { word: Spoken::Told { letter } } = &it.event else { return None };
        Some(letter.kind.clone())
    };
    let kinds: Vec<_> = play.log.iter().filter_map(kind).collect();
    assert_eq!(kinds, [LetterKind::Share]);
}

/// Proves P-28: in each phase of a turn `--now` ends what runs and composes anew; where nothing of
/// a turn runs it is a note like any other.
#[test]
fn a_person_steps_in() {
    let before = "0 start | 0 project | 0 plan a land=never | 1 p1 base-green | 2 a to call";
    insta::assert_snapshot!(
        story_from(
            &format!("{before} | 3 a asks 0 read"),
            "4 note a now | 5 a cancelled | 6 a cancelled"
        ),
        @"
18       4  p1/0/1 told something, now
19       5  p1/0/1 e17 cancelled
20       6  p1/0/1 e15 cancelled
21       6  p1/0/1 compose started
    open: compose
    a is running
"
    );
    let verbs = |script: &str| {
        let mut play = Play::default();
        play.lines(script);
        let turns = play.core.state().loops()[&play.id("a")].turns.len();
        let ending =
            |it: (EffectId, &Work, bool)| format!("{}{}", it.1.verb(), if it.2 { "!" } else { "" });
        (play.core.open_effects().map(ending).collect::<Vec<_>>().join(" "), turns)
    };
    let in_tools = format!("{before} | 3 a replies read run | 3 a tool read");
    assert_eq!(verbs(&format!("{in_tools} | 4 note a now")), ("tool!".to_owned(), 1));
    assert_eq!(verbs(&format!("{in_tools} | 4 note a now | 5 a cancelled")).0, "compose");
    let agent = "0 start | 0 project | 0 plan a agent land=never | 1 p1 base-green | 2 a to agent";
    assert_eq!(verbs(&format!("{agent} | 4 note a now")).0, "agent!");
    assert_eq!(verbs(&format!("{agent} | 4 note a now | 5 a cancelled")).0, "compose");
    let gate = "0 start | 0 project | 0 plan a land=never | 1 p1 base-green | 2 a to gate";
    assert_eq!(verbs(&format!("{gate} | 4 note a now")).0, "gate");
    assert_eq!(verbs("0 start | 0 project | 0 plan a | 1 note a now").0, "check base");
}
