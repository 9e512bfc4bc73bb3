//! Figures: exact over a script and a kill, told in three ways, and in formats that scrapers read.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;
use taskd_model::Status;

use super::{
    messages::{finish, talkative},
    *,
};
use crate::daemon::serving::{get_as, http};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

/// A sample's name with its labels, and its value.
type Samples = BTreeMap<String, f64>;

/// The samples of an `OpenMetrics` text, after every rule of the format that we could break.
#[track_caller]
fn parsed(text: &str) -> Samples {
    let body = text.strip_suffix("# EOF\n").expect("an end, and nothing behind it");
    let mut found = Samples::new();
    let mut kinds = BTreeMap::<String, String>::new();
    // All of a family stand together: its help, its type, its samples.
    let (mut helped, mut family, mut kind) = (String::new(), String::new(), String::new());
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect(line);
            assert!(!help.is_empty() && !kinds.contains_key(name), "{line}");
            name.clone_into(&mut helped);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, of) = rest.split_once(' ').expect(line);
            assert_eq!(name, helped, "its help stands before it");
            assert!(["counter", "gauge", "histogram", "summary"].contains(&of), "{line}");
            assert!(!name.ends_with("_total"), "that belongs to a counter's samples: {line}");
            (family, kind) = (name.to_owned(), of.to_owned());
            assert_eq!(kinds.insert(family.clone(), kind.clone()), None, "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').expect(line);
            let name = series.split('{').next().expect("a name");
            let end = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line}"));
            let ends: &[&str] = match kind.as_str() {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                "summary" => &["_sum", "_count"],
                _ => &[""],
            };
            assert!(ends.contains(&end), "{kind}: {line}");
            let value: f64 = value.parse().expect(line);
            assert!(0.0 <= value, "{line}");
            assert_eq!(found.insert(series.to_owned(), value), None, "{line} is there twice");
        }
    }
    for (family, _) in kinds.iter().filter(|it| it.1 == "histogram") {
        buckets_add_up(family, &found);
    }
    found
}

/// Bounds rise and are written as fractions, counts do not fall, and the last one is the count.
#[track_caller]
fn buckets_add_up(family: &str, found: &Samples) {
    let mut series = BTreeMap::<String, Vec<(f64, f64)>>::new();
    for (name, value) in found {
        let Some(labels) = name.strip_prefix(&format!("{family}_bucket{{")) else { continue };
        let (others, le) = labels.rsplit_once("le=\"").expect("a bound");
        let le = le.strip_suffix("\"}").expect("the last label");
        let bound = if le == "+Inf" { f64::INFINITY } else { le.parse().expect("a number") };
        assert!(le == "+Inf" || le.contains('.'), "{name}");
        series.entry(others.trim_end_matches(',').to_owned()).or_default().push((bound, *value));
    }
    for (labels, mut upto) in series {
        upto.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(upto.windows(2).all(|it| it[0].1 <= it[1].1), "{family} {labels}: {upto:?}");
        let of = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let (last, n) = upto.last().expect("some");
        assert!(last.is_infinite() && *n == found[&format!("{family}_count{of}")], "{family}");
    }
}

/// What the page documents: name, labels, and since when it holds.
fn documented() -> Vec<(&'static str, Vec<&'static str>, &'static str)> {
    let page = include_str!("../../../../../docs/metrics.md");
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
        let labels =
            cells[2].split(", ").filter(|it| !it.is_empty()).map(|it| it.trim_matches('`'));
        Some((cells[0].trim_end_matches('`'), labels.collect(), cells[3]))
    };
    page.lines().filter_map(row).collect()
}

fn told(world: &World, args: &[&str]) -> Samples {
    parsed(&world.taskd(&[&["metrics", "--openmetrics"], args].concat()).ok())
}

/// What the script below comes to.
const FIGURES: [(&str, u32); 26] = [
    // The coordinator of messages: one share, one alert, one query.
    ("taskd_loops_open", 0),
    ("taskd_alert_hearers", 0),
    ("taskd_messages_total", 2),
    ("taskd_messages_told_total", 2),
    ("taskd_messages_waiting", 0),
    ("taskd_messages_refused_total", 0),
    ("taskd_queries_total", 1),
    ("taskd_queries_open", 0),
    ("taskd_query_timeouts_total", 0),
    // Loops: what the script runs, but for the command that the kill interrupted.
    ("taskd_starts_total", 2),
    ("taskd_plans_total", 1),
    ("taskd_loops_added_total{type=\"ralph\"}", 2),
    ("taskd_loop_ends_total{type=\"ralph\",status=\"complete\"}", 2),
    ("taskd_iterations_total{type=\"ralph\",verdict=\"green\"}", 2),
    ("taskd_tools_total{type=\"ralph\",outcome=\"ok\"}", 6),
    ("taskd_tools_total{type=\"ralph\",outcome=\"error\"}", 0),
    ("taskd_rebases_total{type=\"ralph\",outcome=\"clean\"}", 1),
    ("taskd_loop_cost_microdollars_total{type=\"ralph\"}", 700),
    ("taskd_loop_tokens_total{type=\"ralph\",class=\"input\"}", 70),
    ("taskd_loop_tokens_total{type=\"ralph\",class=\"output\"}", 7),
    ("taskd_spent_micros", 700),
    ("taskd_gates_total{of=\"base\",verdict=\"green\"}", 1),
    ("taskd_gates_total{of=\"loop\",verdict=\"green\"}", 2),
    ("taskd_gate_seconds_count{of=\"loop\"}", 2),
    ("taskd_landings_total{op=\"land\",end=\"done\"}", 2),
    ("taskd_landing_seconds_count{op=\"land\"}", 2),
];

/// And its calls of one model.
const OF_CALLS: [(&str, u32); 8] = [
    ("taskd_calls_admitted_total", 7),
    ("taskd_calls_refused_total", 0),
    ("taskd_calls_failed_total", 0),
    ("taskd_call_seconds_count", 7),
    ("taskd_call_wait_seconds_count", 7),
    ("taskd_call_cost_microdollars_total", 700),
    ("taskd_calls_in_flight", 0),
    ("taskd_calls_waiting", 0),
];

/// One shares, alerts and asks; the other stands in a command meanwhile, and answers.
fn talk(first: &Door, second: &Door) -> String {
    let turn =
        |tools: &str| format!("{{tools: [{tools}], usage: {{input: 10, output: 1, micros: 100}}}}");
    let waits = |it: &Door| turn(&format!("{{run: {{command: '{}'}}}}", it.sh()));
    let ends = |file: &str| {
        turn(&format!("{{write: {{path: {file}, content: x}}}}, {{finish: {{summary: x}}}}"))
    };
    let says = "{share: {to: b, text: One.}}, {alert: {topic: api, text: Two.}}";
    format!(
        "loops:\n  a: [{{turns: [{}, {}, {}, {}]}}]\n  b: [{{turns: [{}, {}]}}]\n  \
         b.asked: [{{turns: [{{say: That., usage: {{input: 10, output: 1, micros: 100}}}}]}}]\n",
        waits(first),
        turn(says),
        turn("{query: {to: b, question: What?}}"),
        ends("one.txt"),
        waits(second),
        ends("two.txt"),
    )
}

/// Proves T4.3a, T4.3b: two loops that tell and ask one another, by a script, with a `kill -9` in the
/// middle: every counter of the coordinator, the scheduler, the loops and the landing queue is what
/// the script says, as text, as JSON and by type, and again in the next life.
#[test]
fn figures_are_those_of_the_script_over_a_kill() {
    let mut world = talkative();
    let (first, second) = (Door::new(&world, "first"), Door::new(&world, "second"));
    let model = replies(&world, "m.yaml", &talk(&first, &second));
    world.start();
    let head = format!("model: {model}\nland: on-gate");
    world.submit(&crate::landing::plan(&head, &[("a", ""), ("b", "")]));
    [&first, &second].into_iter().for_each(Door::reached);
    first.open();
    crate::landing::until_landed(&world, "p1.a");
    let text = world.taskd(&["metrics"]).ok();
    for line in ["messages_waiting 2", "alert_hearers 1", "loops_open 1", "queries_open 0"] {
        let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(line), "{line}:\n{text}");
    }
    world.kill();
    world.start();
    crate::landing::until_landed(&world, "p1.b");
    world.until("the plan to end", |it| it.plans.values().all(|it| it.ended_at.is_some()));

    let found = told(&world, &[]);
    let value = |series: &str| found.get(series).copied().unwrap_or_default();
    for (series, wanted) in FIGURES {
        assert_eq!(value(series), f64::from(wanted), "{series}\n{}", world.transcript());
    }
    // The scheduler: seven calls of one model, of which one answers the query.
    for (name, wanted) in OF_CALLS {
        let series = format!("{name}{{bucket=\"{model}\"}}");
        assert_eq!(found.get(&series), Some(&f64::from(wanted)), "{series}");
    }

    let json = world.taskd(&["metrics", "--type", "ralph", "--json"]).ok();
    let json: Value = serde_json::from_str(&json).expect("one object");
    let families = json["families"].as_array().expect("a list");
    let samples = families.iter().flat_map(|it| it["samples"].as_array().expect("a list"));
    assert!(samples.clone().all(|it| it["labels"]["type"] == "ralph"), "{json}");
    assert_eq!(samples.filter(|it| it["labels"]["verdict"] == "green").count(), 1);

    world.kill();
    world.start();
    let again = told(&world, &[]);
    let counted: Vec<&str> =
        documented().into_iter().filter(|it| it.2 == "log").map(|it| it.0).collect();
    let of_log = |it: &(&String, &f64)| {
        counted.iter().any(|name| it.0.starts_with(name)) && !it.0.starts_with("taskd_starts")
    };
    assert_eq!(
        again.iter().filter(of_log).collect::<Vec<_>>(),
        found.iter().filter(of_log).collect::<Vec<_>>(),
        "a restart changes no figure of the log"
    );
    assert_eq!(again["taskd_starts_total"], 3.0);
}

/// A bare remote whose main moves with one commit of somebody else's.
fn somebody_pushes(world: &World) -> String {
    let place = |what: &str| world.dir.path().join(what).to_str().expect("UTF-8").to_owned();
    let clone = place("clone");
    world.git(&["clone", "-q", &place("bare.git"), &clone]);
    fs::write(format!("{clone}/theirs.txt"), "x\n").expect("writable");
    let who = ["-c", "user.name=Cole", "-c", "user.email=cole@example.org", "-C", &clone];
    let git = |args: &[&str]| world.git(&[&who, args].concat());
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "theirs"]);
    git(&["push", "-q", "origin", "main"]);
    git(&["rev-parse", "HEAD"])
}

/// A daemon that has done something of everything: an agent whose gate is red, then green, while main
/// moves on a remote; a model that finishes, and one that its provider does not accept.
fn busy() -> World {
    let mut world = World::new();
    let bare = world.dir.path().join("bare.git");
    let bare = bare.to_str().expect("UTF-8");
    world.git(&["init", "-q", "--bare", "-b", "main", bare]);
    world.git(&["push", "-q", bare, "main"]);
    world.git(&["remote", "add", "origin", bare]);
    world.env.insert("TASKD_GIT__REMOTE".to_owned(), "origin".to_owned());
    world.env.insert("TASKD_GIT__FETCH".to_owned(), "200ms".to_owned());
    let door = Door::new(&world, "works");
    let body = format!(
        "if [ $TASKD_ITERATION = 1 ]; then {}; echo > bad.txt; else rm bad.txt; echo > w.txt; fi",
        door.sh()
    );
    let agent = crate::landing::agent(&world, "works.sh", &body);
    world.start_served();
    world.taskd(&["budget", "set", "all", "$90"]).ok();
    world.taskd(&["budget", "set", "all", "9Mtok"]).ok();
    let head = format!("agent: {agent}\nland: on-gate");
    world.submit(&crate::landing::plan(&head, &[("works", "")]));
    door.reached();
    let tip = somebody_pushes(&world);
    crate::landing::until_main_is(&world, &tip);
    door.open();
    crate::landing::until_landed(&world, "p1.works");
    let script = format!(
        "loops:\n  good: [{{turns: [{}]}}]\n  bad: [{{turns: [{{fail: [{{status: 400}}], say: x}}]}}]\n",
        finish("good.txt")
    );
    let model = replies(&world, "busy.yaml", &script);
    let head = format!("model: {model}\nland: on-gate");
    world.submit(&crate::landing::plan(&head, &[("good", ""), ("bad", "")]));
    crate::landing::until_landed(&world, "p2.good");
    world.until_status("p2.bad", &[Status::Blocked]);
    world
}

/// Proves E12, T4.3c, MC-OBS-3, S-6.4.3: after a bit of everything each metric that is documented is emitted,
/// with the labels that are documented and no other, in text that keeps to OpenMetrics; over HTTP
/// whoever asks for that is answered in it, and others in the format of Prometheus.
#[test]
fn every_documented_metric_is_emitted_and_parses() {
    let world = busy();
    let page = documented();
    assert!(50 < page.len(), "{page:?}");
    let found = told(&world, &[]);
    let labels_of = |series: &str| -> Vec<String> {
        let labels = series.split_once('{').map_or("", |it| it.1).trim_end_matches('}');
        let names = labels.split("\",").map(|it| it.split('=').next().unwrap_or_default());
        names.filter(|it| !it.is_empty() && *it != "le").map(str::to_owned).collect()
    };
    for (name, labels, _) in &page {
        let of_it = |it: &&String| {
            let end = it.split('{').next().and_then(|it| it.strip_prefix(name));
            end.is_some_and(|end| ["", "_bucket", "_sum", "_count"].contains(&end))
        };
        let series: Vec<&String> = found.keys().filter(of_it).collect();
        assert!(!series.is_empty(), "{name} is documented and not emitted");
        for it in series {
            let seen = labels_of(it);
            // A budget of everything has no project.
            let same = seen == *labels || (it.contains("of=\"all\"") && seen == ["of"]);
            assert!(same, "{it} has other labels than {labels:?}");
        }
    }
    let base = |it: &String| {
        let name = it.split('{').next().unwrap_or_default().to_owned();
        let ends = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let known = |it: &str| page.iter().any(|known| known.0 == it);
        ends.filter(|it| known(it)).map_or(name.clone(), str::to_owned)
    };
    for series in found.keys() {
        let name = base(series);
        assert!(page.iter().any(|known| known.0 == name), "{series} is not documented");
    }

    let http = http(&world);
    let (code, head, text) = get_as(&http, "/metrics", OPENMETRICS);
    assert!(code == 200 && head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    let names = |it: &Samples| it.keys().map(base).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(names(&parsed(&text)), names(&found), "one gathering, told in two ways");
    let (code, head, text) = get_as(&http, "/metrics", "*/*");
    assert!(code == 200 && head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(text.contains("# TYPE taskd_plans_total counter\n") && !text.contains("# EOF"));
    promtool_agrees(&text);
}

/// Whether Prometheus' own checker finds nothing, where it is installed.
fn promtool_agrees(text: &str) {
    #[expect(clippy::disallowed_methods, reason = "promtool is a real program")]
    let mut tool = Command::new("promtool");
    tool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = tool.stderr(Stdio::piped()).spawn() else {
        writeln!(std::io::stderr(), "NOT RUN promtool").ok();
        return;
    };
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let out = child.wait_with_output().expect("it ends");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// A type that no loop ever had is refused with where to look, and nothing is told.
#[test]
fn a_type_nobody_had_is_refused() {
    let mut world = World::new();
    world.start();
    let said = world.taskd(&["metrics", "--type", "nobody"]).fails(5);
    assert!(said.contains("nobody") && said.contains("taskd types ls"), "{said}");
    let said = world.taskd(&["metrics", "--json", "--openmetrics"]).fails(2);
    assert!(said.contains("--openmetrics"), "{said}");
}
