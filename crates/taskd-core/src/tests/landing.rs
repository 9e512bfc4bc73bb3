//! The landing queue, needs, and the integration ref.

use super::{Play, story_from};

#[test]
fn a_need_is_met_on_the_integration_ref() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a b<a | 1 p1 base-green | 2 a to gate",
            "10 a green 7ee1 | 20 q built c1 7ee1 | 30 q published | 40 b ready"
        ),
        @"
20      10  p1/0/1 e19 gate green
21      10  p1/0/1 iteration 1 ended: green
22      10  p1/0/1 passed on tree 7ee1000
23      10  queued to integrate p1/0/1
24      10  queue 1 build candidate to integrate p1/0/1 on ba5e000 started
25      20  e24 built c100000
26      20  queue 1 publish integrate p1/0/1 c100000 started
27      30  e26 published
28      30  p1/0/1 q23 integrate p1/0/1: done: c100000 on ba5e000
29      30  p1/0/1 asks to land
30      30  p1/1/1 pending -> running: started
31      30  p1/1/1 prepare worktree started
32      40  p1/1/1 e31 worktree ready
33      40  p1/1/1 iteration 1
34      40  p1/1/1 compose started
    open: compose
    a is running
    b is running
"
    );
}

#[test]
fn what_was_integrated_on_the_tip_lands_as_it_is() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 20 q built c1 7ee1 | 30 q published",
            "40 land a | 50 q published"
        ),
        @"
28      40  p1/0/1 approved
29      40  queued to land p1/0/1
30      40  queue 1 publish land p1/0/1 c100000 started
31      50  e30 published
32      50  p1/0/1 q29 land p1/0/1: done: c100000 on ba5e000
33      50  p1/0/1 running -> complete: done
34      50  p1 ended
    a is complete
"
    );
}

/// Work that changes what decides about it goes nowhere by itself, and its own gate's word is not
/// taken for its candidate.
#[test]
fn suspect_work_waits_for_a_word_and_is_gated_again() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a land=on-gate | 1 p1 base-green | 2 a to gate",
            "10 a tampered 7ee1 test.sh | 20 land a | 30 q built c1 7ee1
             40 q candidate-tampered test.sh | 50 q published"
        ),
        @"
18      10  p1/0/1 e17 gate green
19      10  p1/0/1 iteration 1 ended: green
20      10  p1/0/1 suspected: it changes protected test.sh
21      10  p1/0/1 passed on tree 7ee1000
22      10  p1/0/1 asks to land
23      20  p1/0/1 approved
24      20  queued to land p1/0/1
25      20  queue 1 build candidate to land p1/0/1 on ba5e000 started
26      30  e25 built c100000
27      30  queue 1 gate candidate to land p1/0/1 c100000 started
28      40  e27 candidate green
29      40  queue 1 publish land p1/0/1 c100000 started
30      50  e29 published
31      50  p1/0/1 q24 land p1/0/1: done: c100000 on ba5e000
32      50  p1 integrates at c100000
33      50  p1/0/1 running -> complete: done
34      50  p1 ended
    a is complete
"
    );
}

/// A candidate that touches other protected files than those a person was shown is asked about
/// again; the word is then for those too.
#[test]
fn a_word_is_for_what_was_shown() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a land=on-gate | 1 p1 base-green | 2 a to gate
             10 a tampered 7ee1 test.sh | 20 land a | 30 q built c1 7ee1",
            "40 q candidate-tampered test.sh Makefile | 50 land a | 60 q built c1 7ee1
             70 q published"
        ),
        @"
28      40  e27 candidate green
29      40  p1/0/1 suspected: it changes protected test.sh, Makefile
30      40  p1/0/1 q24 land p1/0/1: withdrawn
31      40  p1/0/1 asks to land
32      50  p1/0/1 approved
33      50  queued to land p1/0/1
34      50  queue 1 build candidate to land p1/0/1 on ba5e000 started
35      60  e34 built c100000
36      60  queue 1 publish land p1/0/1 c100000 started
37      70  e36 published
38      70  p1/0/1 q33 land p1/0/1: done: c100000 on ba5e000
39      70  p1 integrates at c100000
40      70  p1/0/1 running -> complete: done
41      70  p1 ended
    a is complete
"
    );
}

#[test]
fn a_tree_that_was_gated_is_not_gated_again() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a b land=on-gate | 1 p1 base-green");
    play.lines("2 a to gate | 2 b to gate | 10 a green 7ee1 | 20 q built c1 7ee1");
    assert_eq!(play.open_of("q").unwrap().1.verb(), "publish");
    play.lines("30 q published | 40 b green 7ee4 | 50 q built c2 7ee5");
    assert_eq!(play.open_of("q").unwrap().1.verb(), "gate candidate");
}

#[test]
fn a_candidate_on_an_old_tip_is_evicted_and_built_again() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a land=on-gate | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 20 q built c1 7ee9",
            "30 main f1 | 40 q cancelled | 50 q built c2 7ee8 | 60 q candidate-green
             70 q moved f2 | 80 q built c3 7ee7 | 90 q candidate-green | 100 q published"
        ),
        @"
25      30  main moved +1 to f100000
26      30  p1 integrates at f100000
27      40  e24 cancelled
28      40  queue 1 build candidate to land p1/0/1 on f100000 started
29      50  e28 built c200000
30      50  queue 1 gate candidate to land p1/0/1 c200000 started
31      60  e30 candidate green
32      60  queue 1 publish land p1/0/1 c200000 started
33      70  e32 not moved, ref at f200000
34      70  p1 integrates at f200000
35      70  queue 1 build candidate to land p1/0/1 on f200000 started
36      80  e35 built c300000
37      80  queue 1 gate candidate to land p1/0/1 c300000 started
38      90  e37 candidate green
39      90  queue 1 publish land p1/0/1 c300000 started
40     100  e39 published
41     100  p1/0/1 q21 land p1/0/1: done: c300000 on f200000
42     100  p1 integrates at c300000
43     100  p1/0/1 running -> complete: done
44     100  p1 ended
    a is complete
"
    );
}

#[test]
fn red_together_goes_back_to_its_loop() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a land=on-gate | 1 p1 base-green | 2 a to gate | 5 main f1
             10 a green 7ee1 | 20 q built c1 7ee9",
            "30 q candidate-red"
        ),
        @"
27      30  e26 candidate red
28      30  p1/0/1 q23 land p1/0/1: gate red
29      30  p1/0/1 running -> rebasing: base moved
30      30  p1/0/1 rebase onto f100000 started
    open: rebase onto f100000
    a is rebasing
"
    );
}

#[test]
fn held_by_a_dirty_checkout_it_waits_on_the_integration_ref() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a land=on-gate | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 20 q built c1 7ee1",
            "30 q held | 40 q built c1 7ee1 | 50 q published | 60 land a | 70 q published"
        ),
        @"
25      30  e24 not moved, checkout has changes
26      30  p1/0/1 q21 land p1/0/1: held: src/lib.rs has changes
27      30  queued to integrate p1/0/1
28      30  queue 1 build candidate to integrate p1/0/1 on ba5e000 started
29      40  e28 built c100000
30      40  queue 1 publish integrate p1/0/1 c100000 started
31      50  e30 published
32      50  p1/0/1 q27 integrate p1/0/1: done: c100000 on ba5e000
33      60  p1/0/1 approved
34      60  queued to land p1/0/1
35      60  queue 1 publish land p1/0/1 c100000 started
36      70  e35 published
37      70  p1/0/1 q34 land p1/0/1: done: c100000 on ba5e000
38      70  p1/0/1 running -> complete: done
39      70  p1 ended
    a is complete
"
    );
}

#[test]
fn an_approval_before_its_need_landed_is_kept() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a b<a | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 11 q built c1 7ee1 | 12 q published
             20 b to gate | 21 b green 7ee2 | 22 q built c2 7ee2 | 23 q published",
            "30 land b | 40 land a | 50 q published | 60 q published"
        ),
        @"
49      30  p1/1/1 approved
50      40  p1/0/1 approved
51      40  queued to land p1/0/1
52      40  queue 1 publish land p1/0/1 c100000 started
53      50  e52 published
54      50  p1/0/1 q51 land p1/0/1: done: c100000 on ba5e000
55      50  queued to refresh p1
56      50  p1/0/1 running -> complete: done
57      50  queued to land p1/1/1
58      50  queue 1 build candidate to refresh p1 on c200000 started
59      60  e58 published
60      60  queue 1 build candidate to refresh p1 on c200000 started
    open: build candidate to refresh p1 on c200000
    a is complete
    b is running
"
    );
}

#[test]
fn what_does_not_land_alone_waits_for_what_came_before_it() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a b | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 11 q built c1 7ee1 | 12 q published | 13 b to gate
             20 b green 7ee2 | 21 q built c2 7ee2 | 22 q published",
            "30 land b | 40 q conflict | 50 land a | 60 q published | 70 q published"
        ),
        @"
53      30  p1/1/1 approved
54      30  queued to land p1/1/1
55      30  queue 1 build candidate to land p1/1/1 on ba5e000 started
56      40  e55 does not merge
57      40  p1/1/1 q54 land p1/1/1: conflict
58      50  p1/0/1 approved
59      50  queued to land p1/0/1
60      50  queue 1 publish land p1/0/1 c100000 started
61      60  e60 published
62      60  p1/0/1 q59 land p1/0/1: done: c100000 on ba5e000
63      60  queued to refresh p1
64      60  p1/0/1 running -> complete: done
65      60  queued to land p1/1/1
66      60  queue 1 build candidate to refresh p1 on c200000 started
67      70  e66 published
68      70  queue 1 build candidate to refresh p1 on c200000 started
    open: build candidate to refresh p1 on c200000
    a is complete
    b is running
"
    );
}

#[test]
fn a_refresh_that_conflicts_starts_the_integration_ref_again() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a b | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 11 q built c1 7ee1 | 12 q published",
            "30 main f1 | 40 q conflict | 50 q built c2 7ee2 | 60 q candidate-green | 70 q published"
        ),
        @"
32      30  main moved +1 to f100000
33      30  queued to refresh p1
34      30  queue 1 build candidate to refresh p1 on c100000 started
35      40  e34 does not merge
36      40  q33 refresh p1: conflict
37      40  p1 integrates at f100000
38      40  queued to integrate p1/0/1
39      40  queue 1 build candidate to integrate p1/0/1 on f100000 started
40      50  e39 built c200000
41      50  queue 1 gate candidate to integrate p1/0/1 c200000 started
42      60  e41 candidate green
43      60  queue 1 publish integrate p1/0/1 c200000 started
44      70  e43 published
45      70  p1/0/1 q38 integrate p1/0/1: done: c200000 on f100000
46      70  p1/0/1 asks to land
    open: prepare worktree
    a is running
    b is running
"
    );
}

#[test]
fn a_rewritten_target_starts_the_integration_ref_again() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 11 q built c1 7ee1 | 12 q published",
            "30 main 0dd rewritten | 40 q built c2 7ee2"
        ),
        @"
28      30  main rewritten +1 to 0dd0000
29      30  p1 integrates at 0dd0000
30      30  queued to integrate p1/0/1
31      30  queue 1 build candidate to integrate p1/0/1 on 0dd0000 started
32      40  e31 built c200000
33      40  queue 1 gate candidate to integrate p1/0/1 c200000 started
    open: gate candidate to integrate p1/0/1 c200000
    a is running
"
    );
}

#[test]
fn work_sent_back_while_it_was_brought_comes_off_again() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 11 q built c1 7ee1",
            "20 reject a | 30 q published"
        ),
        @"
25      20  p1/0/1 rejected
26      30  e24 published
27      30  p1/0/1 q21 integrate p1/0/1: done: c100000 on ba5e000
28      30  p1 integrates at ba5e000
29      30  p1/0/1 iteration 2
30      30  p1/0/1 compose started
    open: compose
    a is running
"
    );
}

#[test]
fn when_a_need_is_stopped_its_dependents_ask() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a b<a c<b | 1 p1 base-green",
            "10 stop a | 20 a cancelled | 30 resume b"
        ),
        @"
15      10  p1/0/1 asked to stop
16      20  p1/0/1 e14 cancelled
17      20  p1/0/1 running -> stopped: by a person
18      20  p1/1/1 pending -> blocked: a need of it did not pass
    refused: p1.b needs work that did not pass; run that again first, or stop p1.b
    a is stopped
    b is blocked
    c is pending
"
    );
}

#[test]
fn a_red_base_is_checked_again_where_the_target_is_now() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a",
            "10 p1 base-red | 20 main f1 | 30 resume a | 40 p1 base-green"
        ),
        @"
6       10  e5 base red
7       10  p1/0/1 draft -> blocked: the base does not pass its own gate
8       20  main moved +1 to f100000
9       20  p1 integrates at f100000
10      30  p1/0/1 asked to go on
11      30  p1/0/1 blocked -> pending: by a person
12      30  p1 check base f100000 started
13      40  e12 base green
14      40  p1 released, base green
15      40  p1/0/1 pending -> running: started
16      40  p1/0/1 prepare worktree started
    open: prepare worktree
    a is running
"
    );
}

#[test]
fn a_plan_that_is_tried_again_after_its_end_checks_its_base_again() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a",
            "10 p1 base-red | 20 stop a | 30 retry a | 40 p1 base-green"
        ),
        @"
6       10  e5 base red
7       10  p1/0/1 draft -> blocked: the base does not pass its own gate
8       20  p1/0/1 asked to stop
9       20  p1/0/1 blocked -> stopped: by a person
10      20  p1 ended
11      30  p1/0/1 tried again
12      30  p1/0/1 stopped -> pending: by a person
13      30  p1 check base ba5e000 started
14      40  e13 base green
15      40  p1 released, base green
16      40  p1/0/1 pending -> running: started
17      40  p1/0/1 prepare worktree started
    open: prepare worktree
    a is running
"
    );
}

#[test]
fn a_base_that_may_be_red_for_one_plan_may_not_for_another() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project",
            "0 plan a red-ok | 0 plan b | 10 p1 base-red | 20 p2 base-red"
        ),
        @"
3        0  p1 submitted, 1 specs: a plan
4        0  p1/0 is a: something
5        0  p1 check base ba5e000 started
6        0  p2 submitted, 1 specs: a plan
7        0  p2/0 is b: something
8        0  p2 check base ba5e000 started
9       10  e5 base red
10      10  p1 released
11      10  p1/0/1 draft -> pending: base checked
12      10  p1/0/1 pending -> running: started
13      10  p1/0/1 prepare worktree started
14      20  e8 base red
15      20  p2/0/1 draft -> blocked: the base does not pass its own gate
    open: prepare worktree
    a is running
    b is blocked
"
    );
}
