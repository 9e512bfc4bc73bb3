//! One loop: iterations, turns, tools, limits.

use taskd_model::Event;

use super::{Play, story, story_from};

/// Everything up to the first call of a plan with one spec.
const AT_CALL: &str = "0 start | 0 project | 0 plan a land=on-gate | 1 p1 base-green | 2 a to call";

#[test]
fn a_plan_becomes_a_landed_commit() {
    insta::assert_snapshot!(
        story(
            "0 start | 0 project | 0 plan a land=on-gate
             10 p1 base-green
             20 a ready | 30 a composed | 40 a replies edit | 50 a tool edit 5afe
             60 a composed | 70 a replies
             80 a red
             90 a composed | 100 a replies run | 110 a tool run 5afe
             120 a composed | 130 a replies
             140 a green
             150 q built c1 7ee2 | 160 q candidate-green | 170 q published"
        ),
        @"
1        0  daemon 0.1.0 started
2        0  project 1 is /repo
3        0  p1 submitted, 1 specs: a plan
4        0  p1/0 is a: something
5        0  p1 check base ba5e000 started
6       10  e5 base green
7       10  p1 released, base green
8       10  p1/0/1 draft -> pending: base checked
9       10  p1/0/1 pending -> running: started
10      10  p1/0/1 prepare worktree started
11      20  p1/0/1 e10 worktree ready
12      20  p1/0/1 iteration 1
13      20  p1/0/1 compose started
14      30  p1/0/1 e13 composed, about 1000 tokens
15      30  p1/0/1 call started
16      40  p1/0/1 e15 replied, asks for 1 tools
17      40  p1/0/1 tool 0 edit started
18      50  p1/0/1 e17 tool done
19      50  p1/0/1 compose started
20      60  p1/0/1 e19 composed, about 1000 tokens
21      60  p1/0/1 call started
22      70  p1/0/1 e21 replied, asks for 0 tools
23      70  p1/0/1 gate started
24      80  p1/0/1 e23 gate red
25      80  p1/0/1 iteration 1 ended: red
26      80  p1/0/1 iteration 2
27      80  p1/0/1 compose started
28      90  p1/0/1 e27 composed, about 1000 tokens
29      90  p1/0/1 call started
30     100  p1/0/1 e29 replied, asks for 1 tools
31     100  p1/0/1 tool 0 run started
32     110  p1/0/1 e31 tool done
33     110  p1/0/1 compose started
34     120  p1/0/1 e33 composed, about 1000 tokens
35     120  p1/0/1 call started
36     130  p1/0/1 e35 replied, asks for 0 tools
37     130  p1/0/1 gate started
38     140  p1/0/1 e37 gate green
39     140  p1/0/1 iteration 2 ended: green
40     140  p1/0/1 passed on tree 7ee1000
41     140  queued to land p1/0/1
42     140  queue 1 build candidate to land p1/0/1 on ba5e000 started
43     150  e42 built c100000
44     150  queue 1 gate candidate to land p1/0/1 c100000 started
45     160  e44 candidate green
46     160  queue 1 publish land p1/0/1 c100000 started
47     170  e46 published
48     170  p1/0/1 q41 land p1/0/1: done: c100000 on ba5e000
49     170  p1 integrates at c100000
50     170  p1/0/1 running -> complete: done
51     170  p1 ended
    a is complete
"
    );
}

#[test]
fn main_moving_waits_for_the_turn_to_end() {
    insta::assert_snapshot!(
        story_from(
            AT_CALL,
            "10 main f1 | 20 a replies edit | 30 a tool edit 5afe
             40 a rebased | 50 a composed"
        ),
        @"
16      10  main moved +1 to f100000
17      10  p1 integrates at f100000
18      20  p1/0/1 e15 replied, asks for 1 tools
19      20  p1/0/1 tool 0 edit started
20      30  p1/0/1 e19 tool done
21      30  p1/0/1 running -> rebasing: base moved
22      30  p1/0/1 rebase onto f100000 started
23      40  p1/0/1 e22 rebased, clean
24      40  p1/0/1 rebasing -> running: rebased
25      40  p1/0/1 compose started
26      50  p1/0/1 e25 composed, about 1000 tokens
27      50  p1/0/1 call started
    open: call
    a is running
"
    );
}

#[test]
fn reads_start_before_the_reply_ends_and_writes_wait_their_turn() {
    insta::assert_snapshot!(
        story_from(
            AT_CALL,
            "10 a asks 0 read | 11 a asks 1 grep | 12 a asks 2 edit
             20 a tool grep
             30 a replies read grep edit read run
             40 a tool read | 50 a tool edit 5afe | 60 a tool read | 70 a tool run 5afe"
        ),
        @"
16      10  p1/0/1 e15 asks for tool 0 read
17      10  p1/0/1 tool 0 read started
18      11  p1/0/1 e15 asks for tool 1 grep
19      11  p1/0/1 tool 1 grep started
20      12  p1/0/1 e15 asks for tool 2 edit
21      20  p1/0/1 e19 tool done
22      30  p1/0/1 e15 replied, asks for 5 tools
23      40  p1/0/1 e17 tool done
24      40  p1/0/1 tool 2 edit started
25      50  p1/0/1 e24 tool done
26      50  p1/0/1 tool 3 read started
27      60  p1/0/1 e26 tool done
28      60  p1/0/1 tool 4 run started
29      70  p1/0/1 e28 tool done
30      70  p1/0/1 compose started
    open: compose
    a is running
"
    );
}

#[test]
fn finish_ends_the_turns_at_once() {
    insta::assert_snapshot!(story_from(AT_CALL, "10 a replies read finish | 20 a tool read"), @"
16      10  p1/0/1 e15 replied, asks for 2 tools
17      10  p1/0/1 tool 0 read started
18      20  p1/0/1 e17 tool done
19      20  p1/0/1 gate started
    open: gate
    a is running
");
}

#[test]
fn a_call_that_fails_takes_its_early_reads_with_it() {
    insta::assert_snapshot!(
        story_from(
            AT_CALL,
            "10 a asks 0 read | 20 a call-fails | 30 a cancelled | 2000 tick"
        ),
        @"
16      10  p1/0/1 e15 asks for tool 0 read
17      10  p1/0/1 tool 0 read started
18      20  p1/0/1 e15 failed, for now
19      20  p1/0/1 waits until 1225: call: no luck
20      30  p1/0/1 e17 cancelled
21    2000  p1/0/1 waited long enough
22    2000  p1/0/1 call started
    open: call
    a is running
"
    );
}

#[test]
fn nothing_changed_never_passes() {
    insta::assert_snapshot!(story_from(AT_CALL, "10 a replies | 20 a unchanged"), @"
16      10  p1/0/1 e15 replied, asks for 0 tools
17      10  p1/0/1 gate started
18      20  p1/0/1 e17 gate green
19      20  p1/0/1 iteration 1 ended: nothing changed
20      20  p1/0/1 iteration 2
21      20  p1/0/1 compose started
    open: compose
    a is running
");
}

#[test]
fn the_last_iteration_is_the_last() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a iterations=2 | 1 p1 base-green | 2 a to gate | 3 a red",
            "4 a to gate | 5 a red"
        ),
        @"
22       4  p1/0/1 e21 composed, about 1000 tokens
23       4  p1/0/1 call started
24       4  p1/0/1 e23 replied, asks for 0 tools
25       4  p1/0/1 gate started
26       5  p1/0/1 e25 gate red
27       5  p1/0/1 iteration 2 ended: red, 2 times the same
28       5  p1/0/1 limit reached: iterations
29       5  p1/0/1 running -> failed: limit reached: iterations
30       5  p1 ended
    a is failed
"
    );
}

/// Three ends of the same kind are enough; a note begins the count anew, and so does another failure.
#[test]
fn the_same_end_three_times_asks_a_person() {
    let statuses = |script: &str| {
        let mut play = Play::default();
        play.lines(AT_CALL);
        play.lines(script);
        play.log.iter().filter(|it| matches!(it.event, Event::StatusChanged { .. })).count()
    };
    let red = "| 10 a to gate | 10 a red ";
    assert_eq!(statuses(&red.repeat(2)), 2);
    assert_eq!(statuses(&red.repeat(3)), 3, "blocked");
    assert_eq!(statuses(&format!("{}| 10 note a {}", red.repeat(2), red.repeat(2))), 2);
    assert_eq!(statuses(&format!("{}| 10 a to gate | 10 a unchanged {}", red.repeat(2), red)), 2);
    assert_eq!(statuses(&format!("{}| 11 resume a {}", red.repeat(3), red.repeat(2))), 4);
    assert_eq!(statuses(&format!("{}| 11 resume a {}", red.repeat(3), red.repeat(3))), 5);
}

#[test]
fn accept_that_is_green_before_any_work_is_asked_about() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a accept | 1 p1 base-green | 2 a ready",
            "3 a accept-green | 4 resume a"
        ),
        @"
13       3  p1/0/1 e12 accept green before work
14       3  p1/0/1 running -> blocked: accept is green before any work
15       4  p1/0/1 asked to go on
16       4  p1/0/1 blocked -> running: by a person
17       4  p1/0/1 iteration 1
18       4  p1/0/1 compose started
    open: compose
    a is running
"
    );
}

#[test]
fn a_conflict_is_the_loops_to_solve() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a | 1 p1 base-green | 2 a to gate",
            "10 main f1 | 20 a red | 30 a conflicts | 40 a to gate | 50 a marked"
        ),
        @"
18      10  main moved +1 to f100000
19      10  p1 integrates at f100000
20      20  p1/0/1 e17 gate red
21      20  p1/0/1 iteration 1 ended: red
22      20  p1/0/1 running -> rebasing: base moved
23      20  p1/0/1 rebase onto f100000 started
24      30  p1/0/1 e23 rebased, 2 conflicts
25      30  p1/0/1 rebasing -> running: rebased
26      30  p1/0/1 iteration 2
27      30  p1/0/1 compose started
28      40  p1/0/1 e27 composed, about 1000 tokens
29      40  p1/0/1 call started
30      40  p1/0/1 e29 replied, asks for 0 tools
31      40  p1/0/1 gate started
32      50  p1/0/1 e31 gate green
33      50  p1/0/1 iteration 2 ended: conflict markers left
34      50  p1/0/1 iteration 3
35      50  p1/0/1 compose started
    open: compose
    a is running
"
    );
}

#[test]
fn or_a_persons() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a conflict=block | 1 p1 base-green | 2 a to gate",
            "10 main f1 | 20 a red | 25 a saved 01d | 30 a conflicts | 40 resume a"
        ),
        @"
18      10  main moved +1 to f100000
19      10  p1 integrates at f100000
20      20  p1/0/1 e17 gate red
21      20  p1/0/1 iteration 1 ended: red
22      20  p1/0/1 running -> rebasing: base moved
23      20  p1/0/1 rebase onto f100000 started
24      25  p1/0/1 e23 checkpoint 01d0000
25      30  p1/0/1 e23 rebased, 2 conflicts
26      30  p1/0/1 rebasing -> blocked: conflicts not solved
27      40  p1/0/1 asked to go on
28      40  p1/0/1 blocked -> running: by a person
29      40  p1/0/1 iteration 2
30      40  p1/0/1 compose started
    open: compose
    a is running
"
    );
}

#[test]
fn an_agent_that_dies_waits_before_the_next_iteration() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a agent | 1 p1 base-green | 2 a ready | 3 a composed",
            "10 a agent 137 | 5000 tick | 5001 a to gate"
        ),
        @"
16      10  p1/0/1 e15 agent ended with 137
17      10  p1/0/1 iteration 1 ended: agent failed
18      10  p1/0/1 waits until 936: the agent ended with 137
19    5000  p1/0/1 waited long enough
20    5000  p1/0/1 iteration 2
21    5000  p1/0/1 compose started
22    5001  p1/0/1 e21 composed, about 1000 tokens
23    5001  p1/0/1 agent started
24    5001  p1/0/1 e23 agent ended
25    5001  p1/0/1 gate started
    open: gate
    a is running
"
    );
}

/// A run that ended with an error by itself and has changed files goes to the gate.
#[test]
fn the_gate_judges_what_an_agent_left_when_it_failed() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a agent | 1 p1 base-green | 2 a ready | 3 a composed",
            "10 a agent 1 judged | 11 a red | 12 a to agent | 13 a agent 1 judged | 14 a green"
        ),
        @"
16      10  p1/0/1 e15 agent ended with 1
17      10  p1/0/1 gate started
18      11  p1/0/1 e17 gate red
19      11  p1/0/1 iteration 1 ended: red
20      11  p1/0/1 iteration 2
21      11  p1/0/1 compose started
22      12  p1/0/1 e21 composed, about 1000 tokens
23      12  p1/0/1 agent started
24      13  p1/0/1 e23 agent ended with 1
25      13  p1/0/1 gate started
26      14  p1/0/1 e25 gate green
27      14  p1/0/1 iteration 2 ended: green
28      14  p1/0/1 passed on tree 7ee1000
29      14  queued to integrate p1/0/1
30      14  queue 1 build candidate to integrate p1/0/1 on ba5e000 started
    open: build candidate to integrate p1/0/1 on ba5e000
    a is running
"
    );
}

/// Its work is on the integration ref, and goes no further without a person's word.
#[test]
fn work_of_a_run_that_failed_does_not_land_by_itself() {
    let inputs = |exit: &str| {
        story_from(
            "0 start | 0 project | 0 plan a agent land=on-gate | 1 p1 base-green | 2 a ready
             3 a composed",
            &format!(
                "10 a {exit} | 11 a to gate | 12 a green | 13 q built f1 7ee1 | 14 q published"
            ),
        )
    };
    assert!(inputs("agent 1 judged").contains("asks"), "{}", inputs("agent 1 judged"));
    assert!(!inputs("agent 0").contains("asks"), "{}", inputs("agent 0"));
}

/// What only a person can settle blocks the loop; the run's work is not lost, and its gate is next.
#[test]
fn a_run_that_asks_blocks_and_goes_on_with_its_gate() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a agent | 1 p1 base-green | 2 a ready | 3 a composed",
            "10 a agent 0 asks | 20 resume a"
        ),
        @"
16      10  p1/0/1 e15 agent ended, agent_moved_refs
17      10  p1/0/1 running -> blocked: it moved main
18      20  p1/0/1 asked to go on
19      20  p1/0/1 blocked -> running: by a person
20      20  p1/0/1 gate started
    open: gate
    a is running
"
    );
}

#[test]
fn the_plans_money_is_everybodys() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 limits calls=1
             0 plan a b plan-budget=10000 | 1 p1 base-green | 2 b to compose | 2 a to call
             3 b composed",
            "10 a replies | 20 a green"
        ),
        @"
25      10  p1/0/1 e23 replied, asks for 0 tools
26      10  $0.01 of the $0.01 of p1 spent
27      10  p1/0/1 gate started
28      10  p1/1/1 running -> blocked: limit reached: the plan's budget
29      20  p1/0/1 e27 gate green
30      20  p1/0/1 iteration 1 ended: green
31      20  p1/0/1 passed on tree 7ee1000
32      20  queued to integrate p1/0/1
33      20  queue 1 build candidate to integrate p1/0/1 on ba5e000 started
    open: build candidate to integrate p1/0/1 on ba5e000
    a is running
    b is blocked
"
    );
}

#[test]
fn time_ends_a_loop_when_its_effects_have_ended() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a time=5000 | 1 p1 base-green | 2 a to call",
            "5001 tick | 5200 a cancelled"
        ),
        @"
16    5001  p1/0/1 limit reached: time
17    5200  p1/0/1 e15 cancelled
18    5200  p1/0/1 running -> failed: limit reached: time
19    5200  p1 ended
    a is failed
"
    );
}

#[test]
fn a_rate_limit_costs_no_iteration() {
    let mut play = Play::default();
    play.lines(AT_CALL);
    play.line("10 a 429 30000");
    let due = play.core.next_deadline().unwrap();
    assert!(30_010 <= due.0, "never before the time that was named");
    play.line("60000 tick");
    assert_eq!(play.calls_in_flight(), 1);
    assert_eq!(play.core.state().loops()[&play.id("a")].iteration, 1);
}
