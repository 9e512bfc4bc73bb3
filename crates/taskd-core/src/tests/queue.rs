//! Order and stacks of the landing queue.

use std::collections::BTreeMap;

use taskd_model::{Event, Oid, Outcome, QueueEnd, QueueOp, Work};

use super::{Play, oid, outcome, story_from};

/// A queue in which `specs` wait to land at once, after main moved, so that nobody has evidence.
fn waiting(specs: &[String], batch: usize) -> Play {
    let mut play = Play::default();
    let names = specs.join(" ");
    play.lines(&format!("0 start | 0 limits gates=99 loops=99 batch={batch} | 0 project"));
    play.lines(&format!("0 plan {names} land=on-gate | 1 p1 base-green"));
    for name in specs {
        play.lines(&format!("2 {name} to gate"));
    }
    for (n, name) in specs.iter().enumerate() {
        play.lines(&format!("10 {name} green 7ee{n:02}"));
    }
    play.lines("11 main f1");
    play
}

/// What came of a queue that was played to its end.
#[derive(Default)]
struct Played {
    gates: usize,
    publishes: usize,
    landed: Vec<u16>,
    evicted: Vec<u16>,
}

/// Plays the queue until it is empty: a candidate is red if it holds work of one of `bad`.
fn played(play: &mut Play, bad: &[u16]) -> Played {
    let mut made: BTreeMap<Oid, Vec<u16>> = BTreeMap::new();
    let mut it = Played::default();
    let before = play.log.len();
    for n in 0u32.. {
        play.now += 1;
        let Some((effect, work)) = play.open_of("q") else { break };
        let ended = if let Work::BuildCandidate { op: QueueOp::Land(id), onto, .. } = work {
            let mut holds = made.get(&onto).cloned().unwrap_or_default();
            holds.push(id.spec.index);
            let (commit, tree) = (oid(&format!("c{n:06x}")), oid(&format!("d{n:06x}")));
            made.insert(commit, holds);
            Outcome::Built { commit, tree }
        } else if let Work::GateCandidate { commit, with, .. } = work {
            it.gates += 1;
            let holds = &made[&commit];
            let below: Vec<u16> = with.iter().map(|it| it.spec.index).collect();
            let since = holds.len() - 1 - below.len();
            assert_eq!(below, holds[since..holds.len() - 1], "whose `accept` is run");
            let red = holds[since..].iter().any(|it| bad.contains(it));
            outcome(if red { "candidate-red" } else { "candidate-green" }, &[])
        } else {
            assert_eq!(work.verb(), "publish");
            it.publishes += 1;
            Outcome::Published
        };
        play.end(effect, ended);
    }
    for record in &play.log[before..] {
        let Event::QueueLeft { op: QueueOp::Land(id), end, .. } = &record.event else { continue };
        if matches!(end, QueueEnd::Done { .. }) {
            it.landed.push(id.spec.index);
        } else if matches!(end, QueueEnd::Red { .. }) {
            it.evicted.push(id.spec.index);
        }
    }
    it
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("s{n:02}")).collect()
}

/// Gates it takes at most to find the one bad of `count`, and to gate the rest.
fn most(count: usize) -> usize {
    1 + usize::try_from(count.next_power_of_two().ilog2()).unwrap() + 1
}

/// Proves A-12: wherever the one bad of two to sixteen candidates is, all the others land, it alone
/// is evicted, and that takes at most `log2` + 1 gates more than the one that was red.
#[test]
fn of_a_stack_with_one_bad_all_others_land() {
    for count in 2..=16 {
        for bad in 0..count {
            let mut play = waiting(&names(count), 2);
            let it = played(&mut play, &[u16::try_from(bad).unwrap()]);
            assert_eq!(it.evicted, [u16::try_from(bad).unwrap()], "of {count}");
            assert_eq!(it.landed.len(), count - 1, "of {count}, {bad} is bad");
            assert!(it.gates <= most(count), "{} gates, {bad} of {count} is bad", it.gates);
            assert!(it.publishes <= 2, "{} publishes, {bad} of {count} is bad", it.publishes);
        }
    }
    assert_eq!(most(10), 6);
}

#[test]
fn a_green_stack_is_gated_and_published_once_in_order() {
    let mut play = waiting(&names(10), 4);
    let it = played(&mut play, &[]);
    assert_eq!((it.gates, it.publishes), (1, 1));
    assert_eq!(it.landed, (0..10).collect::<Vec<_>>());
}

#[test]
fn two_bad_ones_are_both_evicted() {
    for (one, other) in (0..8).flat_map(|one| (0..one).map(move |other| (one, other))) {
        let mut play = waiting(&names(8), 2);
        let mut it = played(&mut play, &[one, other]);
        it.evicted.sort_unstable();
        assert_eq!(it.evicted, [other, one]);
        assert_eq!(it.landed.len(), 6);
    }
}

#[test]
fn fewer_than_a_batch_go_one_by_one() {
    let mut play = waiting(&names(3), 4);
    assert_eq!(played(&mut play, &[]).gates, 3);
    let mut play = waiting(&names(6), 1);
    assert_eq!(played(&mut play, &[]).gates, 6);
}

const THREE: &str = "0 start | 0 limits gates=9 batch=3 | 0 project
    0 plan a b c land=on-gate | 1 p1 base-green | 2 a to gate | 2 b to gate | 2 c to gate
    10 a green 7ee1 | 10 b green 7ee2 | 10 c green 7ee3 | 11 main f1
    12 q cancelled | 13 q built c1 7e1 | 14 q built c2 7e2";

#[test]
fn a_stack_is_published_by_its_top_and_everybody_leaves_as_themselves() {
    insta::assert_snapshot!(
        story_from(THREE, "20 q built c3 7e3 | 30 q candidate-green | 40 q published"),
        @"
62      20  e61 built c300000
63      20  queue 1 gate candidate to land p1/2/1 c300000 and 2 below started
64      30  e63 candidate green
65      30  queue 1 publish land p1/2/1 c300000 started
66      40  e65 published
67      40  p1/0/1 q44 land p1/0/1: done: c100000 on f100000, gated with 2 more
68      40  p1/1/1 q49 land p1/1/1: done: c200000 on c100000, gated with 2 more
69      40  p1/2/1 q53 land p1/2/1: done: c300000 on c200000, gated with 2 more
70      40  p1 integrates at c300000
71      40  p1/0/1 running -> complete: done
72      40  p1/1/1 running -> complete: done
73      40  p1/2/1 running -> complete: done
74      40  p1 ended
    a is complete
    b is complete
    c is complete
"
    );
}

#[test]
fn who_does_not_fit_on_a_stack_waits_for_a_turn_of_its_own() {
    insta::assert_snapshot!(
        story_from(THREE, "20 q conflict | 30 q candidate-green | 40 q published | 50 q conflict"),
        @"
62      20  e61 does not merge
63      20  queue 1 gate candidate to land p1/1/1 c200000 and 1 below started
64      30  e63 candidate green
65      30  queue 1 publish land p1/1/1 c200000 started
66      40  e65 published
67      40  p1/0/1 q44 land p1/0/1: done: c100000 on f100000, gated with 1 more
68      40  p1/1/1 q49 land p1/1/1: done: c200000 on c100000, gated with 1 more
69      40  p1 integrates at c200000
70      40  p1/0/1 running -> complete: done
71      40  p1/1/1 running -> complete: done
72      40  queue 1 build candidate to land p1/2/1 on c200000 started
73      50  e72 does not merge
74      50  p1/2/1 q53 land p1/2/1: conflict
75      50  p1/2/1 running -> rebasing: base moved
76      50  p1/2/1 rebase onto c200000 started
    open: rebase onto c200000
    a is complete
    b is complete
    c is rebasing
"
    );
}

#[test]
fn who_is_sent_back_comes_off_the_stack_with_what_stands_on_it() {
    insta::assert_snapshot!(
        story_from(THREE, "20 q built c3 7e3 | 30 reject b | 31 q cancelled | 32 q built c1 7e1"),
        @"
62      20  e61 built c300000
63      20  queue 1 gate candidate to land p1/2/1 c300000 and 2 below started
64      30  p1/1/1 rejected
65      31  e63 cancelled
66      31  p1/1/1 q49 land p1/1/1: withdrawn
67      31  p1/1/1 running -> rebasing: base moved
68      31  p1/1/1 rebase onto f100000 started
69      31  queue 1 build candidate to land p1/0/1 on f100000 started
70      32  e69 built c100000
71      32  queue 1 gate candidate to land p1/0/1 c100000 started
    open: rebase onto f100000
    open: gate candidate to land p1/0/1 c100000
    a is running
    b is rebasing
    c is running
"
    );
}

#[test]
fn a_main_that_moves_under_a_stack_has_it_built_anew() {
    insta::assert_snapshot!(
        story_from(THREE, "20 q built c3 7e3 | 30 main f2 | 31 q cancelled | 32 q built c4 7e4"),
        @"
62      20  e61 built c300000
63      20  queue 1 gate candidate to land p1/2/1 c300000 and 2 below started
64      30  main moved +1 to f200000
65      30  p1 integrates at f200000
66      31  e63 cancelled
67      31  queue 1 build candidate to land p1/0/1 on f200000 started
68      32  e67 built c400000
69      32  queue 1 build candidate to land p1/1/1 on c400000 started
    open: build candidate to land p1/1/1 on c400000
    a is running
    b is running
    c is running
"
    );
}

#[test]
fn a_restart_while_a_stack_is_gated_gates_the_same_commits() {
    insta::assert_snapshot!(
        story_from(THREE, "20 q built c3 7e3 | 30 restart | 40 q candidate-red"),
        @"
62      20  e61 built c300000
63      20  queue 1 gate candidate to land p1/2/1 c300000 and 2 below started
64      30  daemon 0.1.0 started
65      30  queue 1 gate candidate to land p1/2/1 c300000 and 2 below started
66      40  e65 candidate red
67      40  queue 1 gate candidate to land p1/0/1 c100000 started
    open: gate candidate to land p1/0/1 c100000
    a is running
    b is running
    c is running
"
    );
}

/// Proves P-25: who is of a higher class lands first, and within a class who came first.
#[test]
fn the_queue_goes_by_class_and_then_by_age() {
    let mut play = Play::default();
    play.lines("0 start | 0 limits gates=9 | 0 project | 0 plan a land=on-gate");
    play.lines("0 plan low land=on-gate priority=low | 0 plan b land=on-gate");
    play.lines("0 plan high land=on-gate priority=high | 1 p1 base-green");
    for (n, name) in ["a", "low", "b", "high"].iter().enumerate() {
        play.lines(&format!("2 {name} to gate | 10 {name} green 7ee{n}"));
    }
    let order: Vec<String> = play
        .core
        .queue(taskd_model::ProjectId(1))
        .iter()
        .map(|it| play.core.name_of(it.op.loop_id().expect("a loop's")))
        .collect();
    assert_eq!(order, ["p1.a", "p4.high", "p3.b", "p2.low"]);
}

fn order(play: &Play) -> Vec<String> {
    let rows = play.core.queue(taskd_model::ProjectId(1));
    let name = |it: &crate::QueueRow| {
        let name = play.core.name_of(it.op.loop_id().expect("a loop's"));
        let mark = if it.on_hold.is_some() { " held" } else { "" };
        format!("{}{mark}", name.trim_start_matches("p1."))
    };
    rows.iter().map(name).collect()
}

/// Proves P-25: what a person moves keeps its place, whatever comes later.
#[test]
fn a_person_gives_an_entry_another_turn() {
    let mut play = waiting(&names(4), 1);
    play.lines("20 q cancelled | 21 move s03 s01 | 22 move s02 first | 23 move s00 first");
    let refused = play.refused.take().expect("it is being brought").to_string();
    assert!(refused.starts_with("p1.s00 is being brought already"), "{refused}");
    assert_eq!(order(&play), ["s00", "s02", "s03", "s01"]);
    play.lines("30 plan high land=on-gate priority=high base=f1 red-ok | 31 p2 base-green");
    play.lines("32 high to gate | 33 high green 7ee99");
    assert_eq!(order(&play)[..3], ["s00", "s02", "s03"], "who was moved is not overtaken");
    let it = played(&mut play, &[]);
    assert_eq!(it.landed, [0, 2, 3, 0, 1], "the fourth is the first of another plan");
}

#[test]
fn what_is_held_is_in_nobodys_way() {
    let mut play = waiting(&names(4), 2);
    play.lines("20 q cancelled | 21 q built c1 7e1 | 22 q built c2 7e2 | 23 hold s00 s02");
    assert_eq!(order(&play), ["s00 held", "s01", "s02 held", "s03"]);
    play.lines("24 q cancelled");
    let it = played(&mut play, &[]);
    assert_eq!(it.landed, [1, 3]);
    let why = play.core.why(play.id("s00"), taskd_model::Time(99));
    assert_eq!(why[0].sentence, "p1.s00 is held in the landing queue: taskd queue release p1.s00");
    play.lines("100 release s01");
    assert_eq!(play.refused.take().unwrap().to_string(), "p1.s01 is complete already");
    play.lines("101 release s00 s02");
    assert_eq!(played(&mut play, &[]).landed, [0, 2]);
}

#[test]
fn a_whole_queue_is_held_and_a_publish_that_has_begun_goes_on() {
    let mut play = waiting(&names(3), 3);
    play.lines("20 q cancelled | 21 q built c1 7e1 | 22 q built c2 7e2 | 23 q built c3 7e3");
    play.lines("24 q candidate-green | 25 hold all | 26 release s01");
    let refused = play.refused.take().unwrap().to_string();
    assert_eq!(
        refused,
        "the whole landing queue is held, p1.s01 with it; taskd queue release --all"
    );
    assert_eq!(play.open_of("q").unwrap().1.verb(), "publish");
    play.lines("30 q moved f2");
    assert_eq!(play.open_of("q"), None);
    assert_eq!(order(&play), ["s00 held", "s01 held", "s02 held"]);
    play.lines("40 release all");
    assert_eq!(played(&mut play, &[]).landed, [0, 1, 2]);
}
