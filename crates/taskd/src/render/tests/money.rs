//! Pictures of money: tables by anything, receipts, budgets.

use taskd_model::{GateReport, Observation, Outcome, Purse, QueueEnd, QueueOp, Reason};

use super::*;
use crate::render::{
    self,
    budgets::{json as budgets_json, picture as budgets},
    costs::{By, costs, grouped, json},
    ls::Show,
    receipt::Receipt,
};

fn call_work() -> Work {
    Work::Call {
        request: digest("r"),
        bucket: "m".to_owned(),
        cap_micros: 9,
        cap_tokens: 0,
        reserved_micros: 0,
        reserved_tokens: 0,
        input_tokens: 0,
        output_tokens: 0,
    }
}

/// What a priced call used.
fn used() -> Usage {
    Usage {
        input: 12_000,
        output: 4_000,
        cache_read: 3_400_000,
        cache_write: 80_000,
        micros: 1_416_001,
        unpriced: 0,
        estimated: 0,
        input_micros: 36_000,
        output_micros: 60_000,
        cache_read_micros: 1_020_000,
        cache_write_micros: 300_000,
    }
}

fn replied(usage: Usage) -> Outcome {
    Outcome::Replied { reply: digest("y"), calls: Vec::new(), usage, by: None, found: None }
}

/// Plan 8 with a loop that waited, called twice, was gated and landed, and one that has no price;
/// plan 9 is one sentence and has called nobody.
fn story() -> Story {
    let mut it = Story::new();
    it.plan(8, "Rate limits", &[("limiter", "Token bucket", &[]), ("docs", "Document", &[])]);
    it.plan(9, "one sentence", &[("task", "x", &[])]);
    it.set(id(8, 1), |it| it.worker = Worker::Model("local/qwen".to_owned()));
    it.set(id(8, 0), |it| it.worker = Worker::Model("anthropic/claude".to_owned()));
    it.release(8);
    for n in [0, 1] {
        it.status(id(8, n), Status::Pending, Reason::Released);
        it.status(id(8, n), Status::Running, Reason::Started);
    }
    it.of(id(8, 0), Event::IterationStarted { n: 1 });
    let composing = it.start(Owner::Loop(id(8, 0)), Work::Compose);
    it.end(
        composing,
        Outcome::Composed {
            request: digest("r"),
            tokens: 1,
            worst_micros: 0,
            worst_tokens: 0,
            context: None,
        },
    );
    let call = it.after(720).start(Owner::Loop(id(8, 0)), call_work());
    let (failure, message) = (taskd_model::Failure::Transient, "no luck".to_owned());
    it.after(20)
        .end(call, Outcome::Failed { failure, message, usage: Usage::default(), fault: None });
    let call = it.start(Owner::Loop(id(8, 0)), call_work());
    let fact = Observation::UsageSoFar(Usage { input: 12_000, ..Usage::default() });
    it.of(id(8, 0), Event::EffectObserved { effect: call, index: 0, fact });
    it.after(160).end(call, replied(used()));
    let call = it.start(Owner::Loop(id(8, 1)), call_work());
    let unpriced = Usage { input: 950, output: 10, unpriced: 1, ..Usage::default() };
    it.after(61).end(call, replied(unpriced));
    let gate = it.start(Owner::Loop(id(8, 0)), Work::Gate);
    let summary = "12 passed".to_owned();
    let report = GateReport {
        green: true,
        summary,
        log: digest("l"),
        tests: None,
        ms: 39_000,
        facts: Box::default(),
        proof: None,
    };
    let change = change(1, 2, 3);
    let (checkpoint, tree) = (oid("50"), oid("51"));
    let report = Some(report);
    it.after(39).end(gate, Outcome::Gated { checkpoint, tree, change, markers: 0, report });
    it.of(id(8, 0), Event::ApprovalAsked);
    it.after(1_800).of(id(8, 0), Event::Approved);
    let op = QueueOp::Land(id(8, 0));
    let entry = it.of(id(8, 0), Event::QueueEntered { op });
    let evidence = taskd_model::Evidence { seq: entry, tree };
    let (commit, onto) = (oid("9c1e2ab"), oid("7aa0c15"));
    let end = QueueEnd::Done { commit, onto, evidence, with: Vec::new() };
    it.of(id(8, 0), Event::QueueLeft { entry, op, end });
    it.status(id(8, 0), Status::Complete, Reason::Done);
    it
}

fn receipt(view: &View, of: Purse) -> Receipt {
    Receipt::of(view, of, &scene(80)).expect("there is one")
}

/// Proves W-14: a receipt says what a plan cost by class of tokens, where its time went, and how
/// often it tried.
#[test]
fn a_receipt() {
    let it = story();
    let of = Purse::Plan(PlanId(8));
    insta::assert_snapshot!(receipt(&it.view, of).picture(&scene(80)), @"
p8  Rate limits

MONEY                   TOKENS    COST
read                       12k   $0.04
written                     4k   $0.06
read from a cache         3.4M   $1.02
written to a cache         80k   $0.30
in all                          $1.42+
it may spend                    $10.00
+ 1 call of a model without a price is not in this

TIME
from start to end       2h
waiting for a model     12m
model calls, agents     4m1s
gates                   39s
waiting for you         30m

WORK
calls                   3, 1 failed
iterations              1
rebases                 0
landed                  1 commit: 9c1e2ab
");
    let json = receipt(&it.view, Purse::Loop(id(8, 0))).json();
    insta::assert_snapshot!(json, @r#"
{"budget_micros":5000000,"cache_read":3400000,"cache_write":80000,"call_ms":180000,"calls":2,"class_micros":{"cache_read":1020000,"cache_write":300000,"input":36000,"other":1,"output":60000},"cost_micros":1416001,"estimated":0,"failed_calls":1,"flaky_gates":0,"gate_ms":39000,"input":12000,"iterations":1,"landed":["9c1e2ab000000000000000000000000000000000"],"name":"p8.limiter","objections":0,"output":4000,"person_ms":1800000,"queue_ms":720000,"readings":0,"rebases":0,"schema_version":1,"title":"Token bucket","uncounted":false,"unpriced":0,"wall_ms":2800000}
"#);
}

/// Proves S-1.1.6: however it is grouped, it comes to what the plans spent.
#[test]
fn costs_by_anything() {
    let it = story();
    let picture = |by| grouped(&it.view, &[], by, &scene(80));
    insta::assert_snapshot!(
        [By::Model, By::Class, By::Day, By::Loop].map(picture).join("\n"),
        @"
MODEL              IN  OUT  CACHE READ  CACHE WRITE      COST
anthropic/claude  12k   4k        3.4M          80k     $1.42
local/qwen        950   10           0            0  no price

in all $1.42+
+ 1 call of a model without a price is not in this

CLASS               TOKENS   COST
read                   12k  $0.04
written                 4k  $0.06
read from a cache     3.4M  $1.02
written to a cache     80k  $0.30

in all $1.42+
+ 1 call of a model without a price is not in this

DAY          IN  OUT  CACHE READ  CACHE WRITE    COST
2026-11-20  12k   4k        3.4M          80k  $1.42+

in all $1.42+
+ 1 call of a model without a price is not in this

LOOP         IN  OUT  CACHE READ  CACHE WRITE      COST
p8.limiter  12k   4k        3.4M          80k     $1.42
p8.docs     950   10           0            0  no price
p9            0    0           0            0     $0.00

in all $1.42+
+ 1 call of a model without a price is not in this
"
    );
    insta::assert_snapshot!(costs(&it.view, &[PlanId(8)], &scene(80)), @"
PLAN          TITLE          IN  OUT  CACHED      COST      OF
p8            Rate limits   12k   4k    3.4M    $1.42+  $10.00
  p8.limiter  Token bucket  12k   4k    3.4M     $1.42   $5.00
  p8.docs     Document      950   10       0  no price   $5.00

in all $1.42+
+ 1 call of a model without a price is not in this
");
    for by in [By::Plan, By::Loop, By::Model, By::Day, By::Class] {
        let json = json(&it.view, &[], by);
        let rows = json["rows"].as_array().expect("rows");
        let sum: u64 = rows.iter().filter_map(|it| it["cost_micros"].as_u64()).sum();
        assert_eq!((Some(sum), sum), (json["total"]["cost_micros"].as_u64(), 1_416_001), "{by:?}");
    }
    assert_eq!(grouped(&it.view, &[PlanId(9)], By::Model, &scene(80)), "nothing was spent yet\n");
}

#[test]
fn budgets_and_where_they_are_told() {
    let mut it = story();
    let (plan, one) = (Purse::Plan(PlanId(8)), Purse::Loop(id(8, 1)));
    it.say(Event::BudgetSet { of: plan, micros: 1_500_000 });
    insta::assert_snapshot!(budgets(&it.view, &[plan, one], &scene(80)), @"
BUDGET                               SPENT   LEFT     OF
p8       94 % of its $1.50 spent    $1.42+  $0.08  $1.50
p8.docs                           no price  $5.00  $5.00
");
    assert_eq!(budgets_json(&it.view, &[plan], it.view.at)[0]["left_micros"], 83_999);
    it.status(id(8, 1), Status::Blocked, Reason::Limit(taskd_model::Limit::PlanBudget));
    insta::assert_snapshot!(render::ls::ls(&it.view, &scene(80), Show::default()), @"
~/src/gate  main 9c1e2ab   open plans $1.42+ of $11.50

NEEDS YOU (1)  WHY                                        SINCE      COST
p8.docs        $1.42 of $1.50 spent; taskd budget set p8    73m  no price

WAITING (1)    FOR                                                  UNTIL
p9             gate on untouched main

p8  94 % of its $1.50 spent
landed 1 today.  ls -a: all   -A: every project
");
}

/// What is for a day stands first, says when there is more of it, and counts in both units.
#[test]
fn budgets_of_a_day_and_of_tokens() {
    let mut it = story();
    let (plan, all) = (Purse::Plan(PlanId(8)), Purse::All);
    let project = Purse::Project(ProjectId(1));
    it.say(Event::BudgetSet { of: all, micros: 200_000_000 });
    it.say(Event::TokensSet { of: project, tokens: 2_000_000 });
    it.say(Event::TokensSet { of: plan, tokens: 4_000_000 });
    let purses = [all, project, plan, Purse::Loop(id(8, 1))];
    let show = |it: &Story| budgets(&it.view, &purses, &scene(100));
    insta::assert_snapshot!(show(&it), @"
BUDGET                                                          SPENT      LEFT       OF
everything  renewed Sat 00:00                                   $1.42   $198.58  $200.00
gate        174 % of its 2M tokens spent, renewed Sat 00:00  3.4M tok     0 tok   2M tok
p8                                                             $1.42+     $8.58   $10.00
            87 % of its 4M tokens spent                      3.4M tok  503k tok   4M tok
p8.docs                                                      no price     $5.00    $5.00
");
    let until = taskd_model::next_midnight(it.view.at);
    it.say(Event::BudgetSpent { of: project, until });
    insta::assert_snapshot!(show(&it), @"
BUDGET                                             SPENT      LEFT       OF
everything  renewed Sat 00:00                      $1.42   $198.58  $200.00
gate        spent for today, renewed Sat 00:00  3.4M tok     0 tok   2M tok
p8                                                $1.42+     $8.58   $10.00
            87 % of its 4M tokens spent         3.4M tok  503k tok   4M tok
p8.docs                                         no price     $5.00    $5.00
");
    let rows = budgets_json(&it.view, &purses, it.view.at);
    assert_eq!((&rows[1]["level"], &rows[1]["closed"]), (&"project".into(), &true.into()));
    assert_eq!(rows[1]["left_tokens"], 0);
    assert!(rows[0].get("budget_tokens").is_none(), "{}", rows[0]);
    let ls = render::ls::ls(&it.view, &scene(100), Show::default());
    assert!(ls.contains("gate  today's budget is spent until"), "{ls}");
    it.say(Event::BudgetSet { of: all, micros: 0 });
    it.say(Event::BudgetRenewed { of: project });
    insta::assert_snapshot!(budgets(&it.view, &[all, project], &scene(100)), @"
BUDGET                                                          SPENT   LEFT      OF
everything  no budget                                           $1.42
gate        174 % of its 2M tokens spent, renewed Sat 00:00  3.4M tok  0 tok  2M tok
");
}
