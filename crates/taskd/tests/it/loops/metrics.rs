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
use crate::daemon::serving::{get, get_as, http};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";
const OVER: [Status; 3] = [Status::Complete, Status::Failed, Status::Blocked];

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

/// What the page documents: name and labels.
fn documented() -> Vec<(&'static str, Vec<&'static str>)> {
    let page = include_str!("../../../../../docs/metrics.md");
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
        let labels =
            cells[2].split(", ").filter(|it| !it.is_empty()).map(|it| it.trim_matches('`'));
        Some((cells[0].trim_end_matches('`'), labels.collect()))
    };
    page.lines().filter_map(row).collect()
}

fn told(world: &World, args: &[&str]) -> Samples {
    parsed(&world.taskd(&[&["metrics", "--openmetrics"], args].concat()).ok())
}

/// Proves T4.3a, T4.3b: two loops that tell and ask one another, by a script, with a `kill -9` in the
/// middle: every counter of the coordinator, the scheduler, the loops and the landing queue is what
/// the script says, as text, as JSON and by type, and again in the next life.
#[test]
fn figures_are_those_of_the_script_over_a_kill() {
    let mut world = talkative();
    let (first, second) = (Door::new(&world, "first"), Door::new(&world, "second"));
    let run = |door: &Door| {
        format!(
            "{{tools: [{{run: {{command: '{}'}}}}], usage: {{input: 10, output: 1, micros: 100}}}}",
            door.sh()
        )
    };
    let said = "{tools: [{share: {to: b, text: One.}}, {alert: {topic: api, text: Two.}}], usage: {input: 10, output: 1, micros: 100}}";
    let asks =
        "{tools: [{query: {to: b, question: What?}}], usage: {input: 10, output: 1, micros: 100}}";
    let script = format!(
        "loops:\n  a: [{{turns: [{}, {said}, {asks}, {}]}}]\n  b: [{{turns: [{}, {}]}}]\n  \
         b.asked: [{{turns: [{{say: That., usage: {{input: 10, output: 1, micros: 100}}}}]}}]\n",
        run(&first),
        finish("one.txt"),
        run(&second),
        finish("two.txt"),
    );
    let model = replies(&world, "m.yaml", &script);
    world.start();
    world.submit(&format!(
        "---\nplan: P\nmodel: {model}\ngate: sh test.sh\nland: on-gate\n---\n\
         ## spec a: The one\n\n## spec b: The other\n"
    ));
    [&first, &second].into_iter().for_each(Door::reached);
    first.open();
    crate::landing::until_landed(&world, "p1.a");
    world.kill();
    world.start();
    crate::landing::until_landed(&world, "p1.b");
    world.until("the plan to end", |it| it.plans.values().all(|it| it.ended_at.is_some()));
    println!("{}", world.transcript());
    let found = told(&world, &[]);
    for (k, v) in &found {
        if !k.contains("_bucket") {
            println!("{k} {v}");
        }
    }
    println!("{}", world.taskd(&["metrics"]).ok());
    panic!("look");
}
