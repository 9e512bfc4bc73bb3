//! `ls`, `show`, `why`, `plan check`, `costs`, `daemon status`.

use taskd_api::v1;
use taskd_model::{Doing, IterationRow, Landed, PlanState, Reason, TargetView, Trouble, Verdict};

use super::*;
use crate::render::{self, ls::Show};

/// The state of faces.md's `ls`.
fn world() -> Story {
    let mut it = Story::new();
    it.plan(5, "Old work", &[("a", "A", &[]), ("b", "B", &[])]);
    it.plan(6, "Invoices", &[("billing", "Bill monthly", &[]), ("mail", "Mail", &[])]);
    it.plan(7, "limit every API key to 100 requests a minute", &[("task", "limit", &[])]);
    it.plan(
        8,
        "Rate limits",
        &[
            ("limiter", "Token bucket per API key", &[]),
            ("headers", "Tell clients what is left", &[]),
            ("docs", "Document limits", &[]),
            ("metrics", "Count refusals", &[0]),
            ("dashboard", "Draw refusals", &[3]),
        ],
    );
    it.plan(9, "a slow one", &[("task", "slow", &[])]);
    it.plan(10, "a late one", &[("task", "late", &[])]);
    (5..=10).for_each(|plan| it.release(plan));
    for plan in it.view.plans.values_mut() {
        plan.spent.micros = 1_870_000;
    }
    needing(&mut it);
    working(&mut it);
    waiting(&mut it);
    over(&mut it);
    it
}

fn needing(it: &mut Story) {
    it.set(id(7, 0), |it| {
        running(2, 84, ago(720))(it);
        (it.doing, it.doing_since) = (Doing::ReadyToLand, ago(720));
        it.approval_asked = Some(ago(720));
        it.change = change(3, 131, 9);
        it.passed = Some(passed(it.change, 221, ago(720)));
    });
    it.set(id(6, 0), |it| {
        running(3, 210, ago(1_860))(it);
        it.status = Status::Blocked;
        it.reason = Some(Reason::Conflict);
        it.conflicts = 1;
        (it.status_since, it.doing_since) = (ago(1_860), ago(1_860));
        let message = "src/bill.rs, after 3 tries".to_owned();
        it.trouble = Some(Trouble { message, at: ago(1_860), seq: Seq(40), fault: None });
    });
}

fn working(it: &mut Story) {
    let says = |what: &str| Doing::Agent(Some(what.to_owned()));
    it.set(id(8, 0), |it| {
        running(2, 61, ago(1))(it);
        it.doing = Doing::Gate { since: ago(38), estimate_ms: Some(60_000) };
    });
    it.set(id(8, 1), |it| {
        running(1, 22, ago(4))(it);
        it.doing = says("cargo test -p api");
    });
    it.set(id(8, 2), |it| {
        running(1, 5, ago(2))(it);
        it.doing = says("edit li\x1b[31mmits.md");
        it.base.height = 2;
    });
    it.set(id(9, 0), |it| {
        running(4, 190, ago(94))(it);
        it.doing = says("edit slow.rs");
        it.uncounted = true;
        it.base.height = 2;
    });
    let tip = TargetView { tip: oid("91bc4de"), height: 2 };
    it.view.projects.get_mut(&PROJECT).unwrap().targets.insert("main".to_owned(), tip);
}

fn waiting(it: &mut Story) {
    for index in [3, 4] {
        it.set(id(8, index), |it| it.status = Status::Pending);
    }
    it.set(id(6, 1), |it| it.status = Status::Paused);
    it.set(id(10, 0), |it| {
        running(1, 0, ago(60))(it);
        let why = "claude 5-hour window".to_owned();
        it.doing = Doing::Deferred { until: Time(NOW + 39 * 60_000), why };
    });
}

fn over(it: &mut Story) {
    it.set(id(5, 0), |it| {
        (it.status, it.reason) = (Status::Complete, Some(Reason::Done));
        it.ended_at = Some(ago(3_600));
        it.landed = Some(Landed {
            commit: oid("9c1e2ab"),
            onto: oid("7aa0c15"),
            at: ago(3_600),
            evidence: None,
        });
    });
    it.set(id(5, 1), |it| {
        let limit = taskd_model::Limit::Budget;
        (it.status, it.reason) = (Status::Failed, Some(Reason::Limit(limit)));
        it.ended_at = Some(ago(7_200));
        it.spent.micros = 5_010_000;
    });
    it.view.plans.get_mut(&PlanId(5)).unwrap().state = PlanState::Ended;
}

#[test]
fn ls_in_80_columns() {
    let picture = render::ls::ls(&world().view, &scene(80), Show::default());
    insta::assert_snapshot!(picture, @r#"
~/src/gate  main 91bc4de   open plans $9.35 of $50.00

NEEDS YOU (2)  WHY                                                SINCE   COST
p6.billing     1 conflict not solved: src/bill.rs, after 3 tries    31m  $2.10
p7             ready to land, +131 -9, gate green, 221 tests        12m  $0.84

WORKING (4)    DOING                              LAST  ITER      BASE    COST
p8.limiter     gate, 38 of about 60 s               1s  2/10  2 behind   $0.61
p8.headers     claude: cargo test -p api            4s  1/10  2 behind   $0.22
p8.docs        claude: edit li\u{1b}[31mmits.md     2s  1/10      main   $0.05
p9             claude, silent                      94s  4/10      main  $1.90+

WAITING (4)    FOR                                                       UNTIL
p6.mail        paused: taskd resume p6.mail
p8.metrics     p8.limiter (working)
p8.dashboard   p8.metrics (waiting)
p10            claude 5-hour window                                      14:00

landed 1, failed 1 today.  ls -a: all   -A: every project
"#);
}

#[test]
fn ls_in_50_columns_and_with_all() {
    let show = Show { all: true, everywhere: true };
    let picture = render::ls::ls(&world().view, &scene(50), show);
    insta::assert_snapshot!(picture, @r#"
…/gate  main 91bc4de   open plans $9.35 of $50.00

NEEDS YOU (2)  WHY                    SINCE   COST
p6.billing     1 conflict not solve…    31m  $2.10
p7             ready to land, +131 …    12m  $0.84

WORKING (4)    DOING                  ITER    COST
p8.limiter     gate, 38 of about 60…  2/10   $0.61
p8.headers     claude: cargo test -…  1/10   $0.22
p8.docs        claude: edit li\u{1b…  1/10   $0.05
p9             claude, silent         4/10  $1.90+

WAITING (4)    FOR                           UNTIL
p6.mail        paused: taskd resume p6.mail
p8.metrics     p8.limiter (working)
p8.dashboard   p8.metrics (waiting)
p10            claude 5-hour window          14:00

DONE (2)       HOW                    ENDED   COST
p5.a           landed 9c1e2ab           60m  $0.00
p5.b           failed: limit reache…     2h  $5.01

landed 1, failed 1 today.
"#);
}

#[test]
fn ls_of_nothing() {
    let mut story = Story::new();
    story.view.parked = true;
    let picture = render::ls::ls(&story.view, &scene(80), Show::default());
    insta::assert_snapshot!(picture, @r#"
~/src/gate
PARKED: nothing new starts until  taskd resume --all

nothing here yet.  ls -a: all   -A: every project
"#);
    assert_eq!(render::ls::next(&story.view), "taskd run \"what to do\" --agent claude");
    assert_eq!(render::ls::next(&world().view), "taskd why p6.billing");
}

fn row(n: u32, change: Change, verdict: Option<Verdict>, summary: &str, ms: u64) -> IterationRow {
    IterationRow {
        n,
        started_at: ago(130),
        verdict,
        summary: summary.to_owned(),
        log: None,
        change,
        ms,
        micros: 410_000,
    }
}

#[test]
fn show_a_loop() {
    let mut story = world();
    story.set(id(8, 0), |it| {
        let one = (change(2, 88, 3), "2 of 219: limit::refill, +1");
        let two = (change(3, 31, 6), "1 of 221: limit::refill");
        it.accept_green = Some(false);
        it.iterations = vec![
            row(1, one.0, Some(Verdict::Red), one.1, 336_000),
            row(2, two.0, Some(Verdict::Red), two.1, 242_000),
            row(3, change(1, 4, 1), None, "", 0),
        ];
        it.iteration = 3;
        (it.doing, it.doing_since) = (Doing::Agent(Some("cargo test -p limit".into())), ago(130));
        it.last_sign = ago(3);
    });
    let more = v1::ShowResponse {
        name: "p8.limiter".to_owned(),
        text: "Burst 20, refill 100 a minute.\nThe clock is an argument.".to_owned(),
        accept: vec!["cargo test -p limit bucket".to_owned()],
        gate: vec!["cargo test --workspace".to_owned()],
        gate_origin: ".taskd/config.toml".to_owned(),
        r#ref: "refs/taskd/k7qd/loops/p8.limiter".to_owned(),
        worktree: "/x".to_owned(),
        warnings: vec!["limit::refill has failed twice".to_owned()],
        notes: vec!["no new crates".to_owned()],
        tail: vec!["running 12 tests".to_owned()],
        ..v1::ShowResponse::default()
    };
    let picture = render::show::one(&story.view, id(8, 0), &more, &scene(80));
    insta::assert_snapshot!(picture, @r#"
p8.limiter  Token bucket per API key                   working, iteration 3/10
plan      p8 Rate limits, 0 of 5 landed     unblocks metrics
now       claude: cargo test -p limit, 2m10s, last sign of life 3s ago
base      91bc4de, 2 commits behind main    ref refs/taskd/k7qd/loops/p8.limiter
accept    cargo test -p limit bucket        red before any work
gate      cargo test --workspace            from .taskd/config.toml
limits    3/10 iterations   24m of 2h       $0.61 of $5.00 (claude's count)
task      Burst 20, refill 100 a minute.
          The clock is an argument.

ITER  CHANGED             GATE                                 TIME   COST
1     2 files   +88   -3  red    2 of 219: limit::refill, +1  5m36s  $0.41
2     3 files   +31   -6  red    1 of 221: limit::refill       4m2s  $0.41
3     1 file     +4   -1  running                             2m10s  $0.41

watch: limit::refill has failed twice
told:  no new crates
  | running 12 tests

next:  taskd logs -f | diff | steer "..." | pause | stop   p8.limiter
       cd $(taskd path p8.limiter)
"#);
    let json = render::json::ls(&story.view, Time(NOW));
    let it = &json["loops"][5];
    assert_eq!(it["name"], "p8.limiter");
    assert_eq!((&it["group"], &it["status"]), (&"working".into(), &"running".into()));
    assert_eq!(
        (&it["cost_micros"], &it["started"]),
        (&610_000.into(), &"2026-11-20T12:57:00Z".into())
    );
}

#[test]
fn show_a_plan() {
    let more = v1::ShowResponse {
        gate: vec!["cargo test --workspace".to_owned()],
        gate_origin: ".taskd/config.toml".to_owned(),
        ..v1::ShowResponse::default()
    };
    let picture = render::show::plan(&world().view, PlanId(8), &more, &scene(80));
    insta::assert_snapshot!(picture, @r#"
p8  Rate limits                                                  0 of 5 landed
target    main 91bc4de                      landing: asks you first
gate      cargo test --workspace            from .taskd/config.toml
limits    2h of 6h                          $1.87 of $10.00

SPEC          STATE                                      ITER      BASE   COST
p8.limiter    working: gate, 38 of about 60 s            2/10  2 behind  $0.61
p8.headers    working: claude: cargo test -p api         1/10  2 behind  $0.22
p8.docs       working: claude: edit li\u{1b}[31mmits.md  1/10      main  $0.05
p8.metrics    waiting: p8.limiter (working)              0/10  2 behind  $0.00
p8.dashboard  waiting: p8.metrics (waiting)              0/10  2 behind  $0.00
"#);
}

#[test]
fn why_is_a_chain() {
    let row = |subject: &str, sentence: &str, minutes: u64| v1::WhyRow {
        subject: subject.to_owned(),
        sentence: sentence.to_owned(),
        since: Some(NOW - minutes * 60_000),
        seq: Some(5121),
        ..v1::WhyRow::default()
    };
    let mut last = row("p8.limiter", "p8.limiter waits for the claude 5-hour window", 8);
    last.until = Some(NOW + 39 * 60_000);
    last.details = vec!["queue     2nd of 3 for this window, after p6.billing".to_owned()];
    let not =
        ["needs", "budget ($3.10 of $15.00)", "disk (212 GB free)", "gate slots (2 of 4 free)"];
    let answer = v1::WhyResponse {
        chain: vec![row("p8.metrics", "p8.metrics waits for p8.limiter to pass", 22), last],
        not_the_cause: not.map(str::to_owned).into(),
        next: "nothing is needed from you. Sooner:  taskd stop p8.limiter".to_owned(),
    };
    insta::assert_snapshot!(render::why::why(&answer, &scene(80)), @r#"
p8.metrics waits 22m for p8.limiter to pass
  p8.limiter waits 8m for the claude 5-hour window, until 14:00 (in 39m)
    queue     2nd of 3 for this window, after p6.billing
    evidence  event 5121   taskd events --from 5121

not the cause: needs, budget ($3.10 of $15.00), disk (212 GB free), gate slots
               (2 of 4 free)
nothing is needed from you. Sooner:  taskd stop p8.limiter
"#);
}

#[test]
fn costs_by_plan_and_loop() {
    let mut story = Story::new();
    story.plan(7, "one sentence", &[("task", "x", &[])]);
    story.plan(8, "Rate limits", &[("limiter", "Token bucket", &[]), ("docs", "Document", &[])]);
    story.set(id(8, 0), |it| {
        it.spent = Usage {
            input: 950,
            output: 12_400,
            cache_read: 3_400_000,
            cache_write: 0,
            micros: 610_000,
            ..Usage::default()
        };
    });
    story.view.plans.get_mut(&PlanId(8)).unwrap().spent = story.view.loops[&id(8, 0)].spent;
    story.view.plans.get_mut(&PlanId(7)).unwrap().uncounted = true;
    insta::assert_snapshot!(render::costs::costs(&story.view, &[], &scene(80)), @r#"
PLAN          TITLE          IN  OUT  CACHED       COST      OF
p7            one sentence    0    0       0  uncounted  $10.00
p8            Rate limits   950  12k    3.4M      $0.61  $10.00
  p8.limiter  Token bucket  950  12k    3.4M      $0.61   $5.00
  p8.docs     Document        0    0       0      $0.00   $5.00

in all $0.61+
+ and uncounted: an agent did not say what it used
"#);
}

#[test]
fn daemon_status() {
    let count = |status: v1::Status, count| v1::StatusCount { status: status.into(), count };
    let status = v1::StatusResponse {
        version: "0.1.0".to_owned(),
        pid: 4711,
        started_at: NOW - 3_660_000,
        seq: 5121,
        parked: true,
        totals: vec![count(v1::Status::Running, 4), count(v1::Status::Complete, 9)],
        projects: 1,
        effects: 3,
        watchers: 0,
        sockets: vec!["/h/me/.local/state/taskd/taskd.sock".to_owned()],
        store_path: "/h/me/.local/state/taskd/taskd.db".to_owned(),
        store_bytes: 3 << 20,
        disk_free_bytes: 212 << 30,
        driver: Some(v1::DriverHealth { healthy: true, ..v1::DriverHealth::default() }),
        payers: vec![
            v1::Payer {
                worker: "anthropic/claude-haiku-4-5".to_owned(),
                kind: v1::PayerKind::Variable.into(),
                variable: "ANTHROPIC_API_KEY".to_owned(),
                place: "https://proxy.example".to_owned(),
            },
            v1::Payer {
                worker: "claude".to_owned(),
                kind: v1::PayerKind::Login.into(),
                ..v1::Payer::default()
            },
        ],
    };
    insta::assert_snapshot!(render::daemon::status(&status, &scene(80)), @r#"
taskd 0.1.0, pid 4711, up 1h1m
parked    nothing new starts until  taskd resume --all
loops     4 running, 9 complete
serving   1 project, 3 effects running, 0 watchers
store     ~/.local/state/taskd/taskd.db, 3 MB, event 5121; 212 GB free
listens   ~/.local/state/taskd/taskd.sock
works     anthropic/claude-haiku-4-5, paid by ANTHROPIC_API_KEY, at https://proxy.example
works     claude, its own login pays (no API key is handed on)
health    well, last turn 0s ago, 0 inputs waiting
"#);
}

#[test]
fn models_with_prices_and_keys() {
    let price = v1::PriceRow {
        input: 1_750_000,
        output: 14_000_000,
        cache_read: 175_000,
        cache_write: 1_750_000,
        since: "2025-12-11".to_owned(),
    };
    let provider = |name: &str, key: &str, held| v1::ProviderRow {
        name: name.to_owned(),
        interface: "openai-chat".to_owned(),
        url: format!("https://{name}.example/v1"),
        url_variable: "A_URL".to_owned(),
        key_variable: key.to_owned(),
        key_held: held,
        ..v1::ProviderRow::default()
    };
    let model = |name: &str, price| v1::ModelRow {
        provider: "acme".to_owned(),
        name: name.to_owned(),
        window: Some(1_047_576),
        max_output: Some(8_192),
        price,
    };
    let capability = |name: &str, available| v1::Capability { name: name.to_owned(), available };
    let interface = |name: &str, caching| v1::InterfaceRow {
        name: name.to_owned(),
        capabilities: vec![capability("tools", true), capability("caching", caching)],
    };
    let answer = v1::ModelsResponse {
        providers: vec![
            provider("acme", "ACME_KEY", true),
            provider("best", "BEST_KEY", false),
            provider("free", "", false),
            v1::ProviderRow { url_held: true, ..provider("own", "OWN_KEY", false) },
        ],
        models: vec![model("big", Some(price)), model("odd\u{1b}", None)],
        interfaces: vec![interface("openai-chat", false), interface("openai-responses", true)],
        checks: Vec::new(),
    };
    let set = |name: &str| name == "BEST_KEY";
    let seen = render::models::Seen { answer: &answer, set: &set };
    insta::assert_snapshot!(render::models::models(&seen, &scene(80)), @r"
PROVIDER  INTERFACE    CREDENTIAL       URL
acme      openai-chat  ACME_KEY held    acme.example/v1
best      openai-chat  BEST_KEY set     best.example/v1
free      openai-chat  none needed      free.example/v1
own       openai-chat  OWN_KEY not set  A_URL says

MODEL           WINDOW  REPLY     IN  OUT  CACHE READ  WRITE
acme/big            1M   8192  $1.75  $14      $0.175  $1.75
acme/odd\u{1b}      1M   8192      -    -           -      -
today's prices per million tokens; what has none works and is not priced

CAPABILITY  OPENAI-CHAT  OPENAI-RESPONSES
tools       yes          yes
caching     n/a          yes
a model that does not take `thinking` or `temperature` is told at submission
");
}
