//! Queries between loops: who is asked, what answers, how it ends; and a loop that stops another one.

use taskd_model::{
    Digest, EffectId, Event, Input, Outcome, Owner, QueryEnd, Saying, SideCall, Spoken, Status,
    Unsent, Work,
};

use super::{Play, outcome, used};
use crate::Rejected;

/// `a` stands in a tool, `b` at a call.
const AT_TOOL: &str = "0 start | 0 project | 0 plan a b land=never | 1 p1 base-green
    2 a to call | 2 b to call | 3 a replies read read run";

fn play() -> Play {
    let mut play = Play::default();
    play.lines(AT_TOOL);
    play
}

fn side_call() -> SideCall {
    let (request, bucket) = (Digest::of(b"asks"), "fast".to_owned());
    SideCall { request, bucket, input_tokens: 1_000, worst_micros: 2_000, worst_tokens: 2_000 }
}

impl Play {
    /// The first tool of `name` that is open.
    fn asking_tool(&self, name: &str) -> EffectId {
        let owner = Owner::Loop(self.id(name));
        let is_it = |(id, work, _): &(EffectId, &Work, bool)| {
            matches!(work, Work::Tool { .. }) && self.core.state().effects()[id].owner == owner
        };
        self.core.open_effects().find(is_it).expect("a tool is open").0
    }

    fn query_of(&mut self, effect: EffectId, to: &str, wait_ms: u64) -> Option<Rejected> {
        let (to, text, call) = (self.id(to), Digest::of(b"what?"), side_call());
        let saying = Saying::Query { to, text, call, wait_ms };
        self.input(&Input::Said { effect, saying });
        self.refused.clone().or_else(|| self.last.refused.take())
    }

    fn query(&mut self, name: &str, to: &str) -> Option<Rejected> {
        self.query_of(self.asking_tool(name), to, 30_000)
    }

    /// Calls under way that answer.
    fn answering(&self) -> Vec<EffectId> {
        let is_it = |it: &(EffectId, &Work, bool)| matches!(it.1, Work::Answer(_));
        self.core.open_effects().filter(is_it).map(|it| it.0).collect()
    }

    fn ends(&self) -> Vec<QueryEnd> {
        let end = |it: &taskd_model::Record| {
            let Event::Spoken { word: Spoken::QueryEnded { end, .. } } = &it.event else {
                return None;
            };
            Some(end.clone())
        };
        self.log.iter().filter_map(end).collect()
    }

    fn gone(&self) -> String {
        match self.ends().as_slice() {
            [QueryEnd::Gone { why }] => why.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn answered() -> Outcome {
    Outcome::Answered { reply: Digest::of(b"this"), usage: used() }
}

/// A loop with a call of its own under way is asked: another call answers beside it, paid by it, and
/// its own turn is as it was.
#[test]
fn an_answer_comes_beside_the_work_of_who_is_asked() {
    let mut play = play();
    let own = play.open_of("b").expect("its call").0;
    assert_eq!(play.query("a", "b"), None);
    let [answer] = play.answering()[..] else { panic!("{}", play.transcript()) };
    let tool = play.asking_tool("a");
    assert_eq!(play.core.asked_by(tool), Some(None));
    let before = play.core.state().loops()[&play.id("b")].spent;
    play.end(answer, answered());
    let reply = Digest::of(b"this");
    assert_eq!(play.core.asked_by(tool), Some(Some(QueryEnd::Answered { reply })));
    let engine = &play.core.state().loops()[&play.id("b")];
    assert_eq!(engine.spent.micros, before.micros + used().micros);
    assert_eq!((engine.turn.call, engine.turn.reply), (Some(own), None));
    assert_eq!(play.core.open_queries(), 0);
    // The same tool asks once.
    assert_eq!(play.query_of(tool, "b", 30_000), None);
    assert_eq!((play.ends().len(), play.core.letter_counts().queries), (1, 1));
}

/// Two that ask one another hold nothing that the other one's answer needs, even where one call may
/// be under way at a time.
#[test]
fn two_that_ask_one_another_both_get_answers() {
    let mut play = play();
    play.lines("4 limits calls=1 | 5 b replies read");
    assert_eq!(play.query("a", "b"), None);
    assert_eq!(play.query("b", "a"), None);
    for _ in 0..2 {
        let [answer] = play.answering()[..] else { panic!("{}", play.transcript()) };
        play.end(answer, answered());
    }
    assert!(play.ends().iter().all(|it| matches!(it, QueryEnd::Answered { .. })));
    assert_eq!(play.ends().len(), 2);
}

/// Who does not work is not asked, and the asker reads why; a query that is open when its loop comes
/// to that ends at once, with the reason, and the call that would answer ends.
#[test]
fn who_does_not_work_answers_nothing() {
    for (comes_to, why) in [
        ("4 stop b", "is stopped: by a person"),
        ("4 b replies | 5 b green", "has passed its gate"),
        ("4 pause b | 5 b replies read", "was paused by a person"),
    ] {
        let mut open = play();
        assert_eq!(open.query("a", "b"), None);
        assert_eq!(open.answering().len(), 1);
        open.lines(comes_to);
        assert_eq!(open.gone(), why);
        let ending = |id: &EffectId| open.core.state().effects()[id].ending;
        assert!(open.answering().iter().all(ending), "{}", open.transcript());

        let mut late = play();
        late.lines(comes_to);
        let refused = late.query("a", "b").expect("nobody answers").to_string();
        let over = refused.contains("is stopped");
        assert!(over || refused.contains(why), "{refused}");
    }
    let mut play = play();
    play.lines("4 plan c d<c land=never");
    play.lines("5 c to call | 6 c replies read");
    assert!(play.query("c", "d").expect("not begun").to_string().contains("has not begun"));
    assert!(matches!(play.query("a", "c"), Some(Rejected::NoLoop(_))));
    assert_eq!(play.query("a", "a"), Some(Rejected::ToItself));
}

/// A loop that ends does so when the call that answers has ended: what that used is still booked.
#[test]
fn a_loop_ends_after_what_answers() {
    let mut play = play();
    assert_eq!(play.query("a", "b"), None);
    let [answer] = play.answering()[..] else { panic!("{}", play.transcript()) };
    let own = play.core.open_effects().find(|it| matches!(it.1, Work::Call { .. })).expect("b's").0;
    play.lines("4 stop b");
    play.end(own, outcome("cancelled", &[]));
    assert_eq!(play.status("b"), Status::Running, "the call that answers is still there");
    play.end(answer, Outcome::Cancelled { usage: used(), checkpoint: None });
    assert_eq!(play.status("b"), Status::Stopped);
    assert!(used().micros <= play.core.state().loops()[&play.id("b")].spent.micros);
}

/// Its time ends a query, whatever else happens; a new life gives it its whole time again, and the
/// call is made again.
#[test]
fn time_ends_a_query() {
    let mut play = play();
    play.now = 10;
    let tool = play.asking_tool("a");
    assert_eq!(play.query_of(tool, "b", 1_000), None);
    play.lines("900 restart | 901 start");
    assert_eq!((play.answering().len(), play.core.open_queries()), (1, 1));
    play.lines("1500 tick");
    assert_eq!(play.ends(), []);
    play.lines("1901 tick");
    assert_eq!(play.ends(), [QueryEnd::TimedOut]);
    assert_eq!(play.core.letter_counts().timeouts, 1);
}

/// Whoever asks is gone: the query has expired, and nobody answers it any more.
#[test]
fn a_query_expires_with_its_asker() {
    for line in ["4 stop a", "4 note a now"] {
        let mut play = play();
        assert_eq!(play.query("a", "b"), None);
        play.lines(line);
        assert_eq!(play.ends(), [QueryEnd::Expired], "{line}");
    }
}

/// What may pass is tried three times; what is hopeless once. The loop that is asked goes on as if
/// nothing had been.
#[test]
fn a_call_that_fails_fails_the_query() {
    let mut play = play();
    assert_eq!(play.query("a", "b"), None);
    for n in 1..=3 {
        assert_eq!(play.ends(), [], "try {n}");
        let [answer] = play.answering()[..] else { panic!("{}", play.transcript()) };
        play.end(answer, outcome("fails", &[]));
    }
    assert!(matches!(play.ends()[..], [QueryEnd::Failed { .. }]), "{:?}", play.ends());
    let engine = &play.core.state().loops()[&play.id("b")];
    assert_eq!((engine.status, engine.attempts, engine.retry_at), (Status::Running, 0, None));
}

/// What no budget of the asked loop pays for is not asked, and that loop is not held up.
#[test]
fn who_is_asked_pays() {
    let mut play = play();
    play.lines("4 budget b 1000");
    assert_eq!(play.query("a", "b"), None);
    assert_eq!(play.ends(), [QueryEnd::Unpaid]);
    assert_eq!((play.answering(), play.status("b")), (Vec::new(), Status::Running));
}

/// Eight queries to one loop may be open; one more is refused, and that counts.
#[test]
fn queries_to_one_loop_have_a_bound() {
    let mut play = Play::default();
    let tools = " read".repeat(9);
    play.lines("0 start | 0 project | 0 limits calls=1 | 0 plan a b land=never | 1 p1 base-green");
    play.lines(&format!("2 a to call | 3 a replies{tools}"));
    let owner = Owner::Loop(play.id("a"));
    let open = play.core.open_effects().filter(|it| {
        matches!(it.1, Work::Tool { .. }) && play.core.state().effects()[&it.0].owner == owner
    });
    let tools: Vec<EffectId> = open.map(|it| it.0).collect();
    assert_eq!(tools.len(), 9);
    play.lines("4 b to call");
    for tool in &tools[..8] {
        assert_eq!(play.query_of(*tool, "b", 30_000), None);
    }
    let full = Rejected::MailboxFull { name: "p1.b".to_owned() };
    assert_eq!(play.query_of(tools[8], "b", 30_000), Some(full));
    let refusals = play.log.iter().filter(|it| {
        matches!(it.event, Event::Spoken { word: Spoken::Refused { why: Unsent::Full } })
    });
    assert_eq!(refusals.count(), 1);
}

/// A loop stops another one of its plan, however much it has sent before; that says who it was, and
/// its tool stops once.
#[test]
fn a_loop_stops_another() {
    let mut play = play();
    let (effect, to) = (play.asking_tool("a"), play.id("b"));
    let stop = |to| Input::Said { effect, saying: Saying::Stop { to, why: "no\nneed".to_owned() } };
    play.input(&stop(to));
    play.input(&stop(to));
    play.lines("5 b cancelled");
    assert_eq!(play.status("b"), Status::Stopped);
    let engine = &play.core.state().loops()[&to];
    assert_eq!(engine.reason.as_ref().expect("one").to_string(), "by p1.a");
    let said = |it: &taskd_model::Record| {
        let Event::Spoken { word: Spoken::Stopped { by, why, .. } } = &it.event else {
            return None;
        };
        Some((*by, why.clone()))
    };
    let said: Vec<_> = play.log.iter().filter_map(said).collect();
    assert_eq!(said, [(play.id("a"), "no need".to_owned())]);
    play.input(&stop(play.id("a")));
    assert_eq!(play.refused, None, "this tool has stopped somebody already");
}
