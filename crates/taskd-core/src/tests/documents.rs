//! Loops that write documents: reviews, repairs, a person's yes, and the specs they name.

use taskd_model::{Event, LoopId, PlanId, Status};

use super::{Play, story_from};

/// Up to the first gate of a plan whose first spec writes a document.
fn to_gate(flags: &str) -> String {
    let plan = format!("0 plan a document land=on-gate {flags}");
    format!("0 start | 0 project | {plan} | 1 p1 base-green | 2 a to gate")
}

/// Proves N9: as many specs as the document names, and who needs its spec waits for all of them.
#[test]
fn what_a_document_names_becomes_specs_that_whoever_needs_it_waits_for() {
    insta::assert_snapshot!(
        story_from(
            &to_gate("b<a approve"),
            "10 a green | 20 land a | 30 a names x y<x
             40 x to gate | 50 x green | 60 q built c1 7ee1 | 70 q published
             80 y to gate | 90 y green 7ee5 | 100 q built c2 7ee5 | 110 q published"
        ),
        @r#"
20      10  p1/0/1 e19 gate green
21      10  p1/0/1 iteration 1 ended: green
22      10  p1/0/1 document drafted, done
23      10  p1/0/1 passed on tree 7ee1000
24      10  p1/0/1 asks to land
25      20  p1/0/1 approved
26      20  p1/0/1 decompose 5afe000 started
27      30  p1/0/1 e26 taken apart, names 2 specs
28      30  p1/2 is x: named
29      30  p1/3 is y: named
30      30  p1/0/1 running -> complete: done
31      30  p1/2/1 draft -> pending: base checked
32      30  p1/3/1 draft -> pending: base checked
33      30  p1/2/1 pending -> running: started
34      30  p1/2/1 prepare worktree started
35      40  p1/2/1 e34 worktree ready
36      40  p1/2/1 iteration 1
37      40  p1/2/1 compose started
38      40  p1/2/1 e37 composed, about 1000 tokens
39      40  p1/2/1 call started
40      40  p1/2/1 e39 replied, asks for 0 tools
41      40  p1/2/1 gate started
42      50  p1/2/1 e41 gate green
43      50  p1/2/1 iteration 1 ended: green
44      50  p1/2/1 passed on tree 7ee1000
45      50  queued to land p1/2/1
46      50  queue 1 build candidate to land p1/2/1 on ba5e000 started
47      60  e46 built c100000
48      60  queue 1 publish land p1/2/1 c100000 started
49      70  e48 published
50      70  p1/2/1 q45 land p1/2/1: done: c100000 on ba5e000
51      70  p1 integrates at c100000
52      70  p1/2/1 running -> complete: done
53      70  p1/3/1 pending -> running: started
54      70  p1/3/1 prepare worktree started
55      80  p1/3/1 e54 worktree ready
56      80  p1/3/1 iteration 1
57      80  p1/3/1 compose started
58      80  p1/3/1 e57 composed, about 1000 tokens
59      80  p1/3/1 call started
60      80  p1/3/1 e59 replied, asks for 0 tools
61      80  p1/3/1 gate started
62      90  p1/3/1 e61 gate green
63      90  p1/3/1 iteration 1 ended: green
64      90  p1/3/1 passed on tree 7ee5000
65      90  queued to land p1/3/1
66      90  queue 1 build candidate to land p1/3/1 on c100000 started
67     100  e66 built c200000
68     100  queue 1 publish land p1/3/1 c200000 started
69     110  e68 published
70     110  p1/3/1 q65 land p1/3/1: done: c200000 on c100000
71     110  p1 integrates at c200000
72     110  p1/3/1 running -> complete: done
73     110  p1/1/1 pending -> running: started
74     110  p1/1/1 prepare worktree started
    open: prepare worktree
    a is complete
    b is running
    x is complete
    y is complete
"#
    );
}

#[test]
fn a_document_is_looked_through_until_two_times_change_nothing() {
    insta::assert_snapshot!(
        story_from(
            &to_gate("reviews=5"),
            "10 a green aa1 | 11 a to gate | 12 a green aa2 | 13 a to gate | 14 a green aa2
             15 a to gate | 16 a green aa2"
        ),
        @r#"
18      10  p1/0/1 e17 gate green
19      10  p1/0/1 iteration 1 ended: green
20      10  p1/0/1 document drafted
21      10  p1/0/1 iteration 2
22      10  p1/0/1 compose started
23      11  p1/0/1 e22 composed, about 1000 tokens
24      11  p1/0/1 call started
25      11  p1/0/1 e24 replied, asks for 0 tools
26      11  p1/0/1 gate started
27      12  p1/0/1 e26 gate green
28      12  p1/0/1 iteration 2 ended: green
29      12  p1/0/1 document reviewed, time 1
30      12  p1/0/1 iteration 3
31      12  p1/0/1 compose started
32      13  p1/0/1 e31 composed, about 1000 tokens
33      13  p1/0/1 call started
34      13  p1/0/1 e33 replied, asks for 0 tools
35      13  p1/0/1 gate started
36      14  p1/0/1 e35 gate green
37      14  p1/0/1 iteration 3 ended: green
38      14  p1/0/1 document reviewed, time 2, unchanged
39      14  p1/0/1 iteration 4
40      14  p1/0/1 compose started
41      15  p1/0/1 e40 composed, about 1000 tokens
42      15  p1/0/1 call started
43      15  p1/0/1 e42 replied, asks for 0 tools
44      15  p1/0/1 gate started
45      16  p1/0/1 e44 gate green
46      16  p1/0/1 iteration 4 ended: green
47      16  p1/0/1 document reviewed, time 3, unchanged, done
48      16  p1/0/1 passed on tree aa20000
49      16  p1/0/1 decompose 5afe000 started
    open: decompose 5afe000
    a is running
"#
    );
}

#[test]
fn a_document_that_is_still_wrong_after_its_repair_asks_a_person() {
    insta::assert_snapshot!(
        story_from(&to_gate("repairs=1"), "10 a red | 11 a to gate | 12 a red"),
        @r#"
18      10  p1/0/1 e17 gate red
19      10  p1/0/1 iteration 1 ended: red
20      10  p1/0/1 iteration 2
21      10  p1/0/1 compose started
22      11  p1/0/1 e21 composed, about 1000 tokens
23      11  p1/0/1 call started
24      11  p1/0/1 e23 replied, asks for 0 tools
25      11  p1/0/1 gate started
26      12  p1/0/1 e25 gate red
27      12  p1/0/1 iteration 2 ended: red, 2 times the same
28      12  p1/0/1 running -> blocked: its document is still wrong
    a is blocked
"#
    );
}

#[test]
fn a_document_that_names_nothing_asks_a_person() {
    insta::assert_snapshot!(story_from(&to_gate(""), "10 a green | 20 a names"), @r#"
18      10  p1/0/1 e17 gate green
19      10  p1/0/1 iteration 1 ended: green
20      10  p1/0/1 document drafted, done
21      10  p1/0/1 passed on tree 7ee1000
22      10  p1/0/1 decompose 5afe000 started
23      20  p1/0/1 e22 failed
24      20  p1/0/1 running -> blocked: the document names nothing to do
    a is blocked
"#);
}

#[test]
fn documents_go_four_levels_deep() {
    let levels = "10 a green | 11 a names w<document | 12 w to gate | 13 w green
                  14 w names x<document | 15 x to gate | 16 x green
                  17 x names y<document | 18 y to gate | 19 y green | 20 y names z";
    let story = story_from(&to_gate(""), levels);
    assert!(story.contains("blocked: documents go no deeper than 4 levels"), "{story}");
}

/// What is sent back while it is taken apart names nothing, however that ends.
#[test]
fn a_document_that_is_sent_back_meanwhile_names_nothing() {
    let specs = |script: &str| {
        let mut play = Play::default();
        play.lines(&to_gate("approve"));
        play.lines(script);
        play.log.iter().filter(|it| matches!(it.event, Event::SpecAdded { .. })).count()
    };
    let before = "10 a green | 20 land a";
    assert_eq!(specs(&format!("{before} | 30 a names x y")), 3);
    assert_eq!(specs(&format!("{before} | 25 reject a | 30 a names x y")), 1);
}

/// Proves PL-7: what a new version of a document names that was named before stays, the rest ends with
/// what came of it, and whoever needs the document's spec needs what it names now.
#[test]
fn a_document_that_is_written_anew_keeps_what_is_the_same() {
    let mut play = Play::default();
    play.lines(&to_gate("b<a approve"));
    play.lines("10 a green | 20 land a | 30 a names x y<document w");
    play.lines("31 y to gate | 32 y green | 33 y names v");
    play.lines("40 retry a | 50 a to gate | 60 a green | 70 land a | 80 a names x=2 z");
    let old = |it: &taskd_model::Record| {
        let Event::Superseded { by } = it.event else { return None };
        assert_eq!(by, play.id("a"));
        it.loop_id
    };
    let old: Vec<LoopId> = play.log.iter().filter_map(old).collect();
    // y is complete, and stays; what it named is not.
    assert_eq!(old, [play.id("w"), play.id("v")], "{:?}", play.names);
    let added = play.log.iter().filter(|it| matches!(it.event, Event::SpecAdded { .. }));
    assert_eq!(added.count(), 7, "x is not added again");
    let state = play.core.state();
    let of = |name: &str| state.loops()[&play.id(name)].status;
    assert_eq!((of("w"), of("x"), of("a")), (Status::Running, Status::Running, Status::Complete));
    assert!(state.loops()[&play.id("w")].is_superseded(), "it ends when nothing of it runs");
    let needs = state.plan(PlanId(1)).needs_of(play.id("b"));
    assert_eq!(needs, [0, 2, 3, play.id("z").spec.index], "not w, which is superseded");
}
