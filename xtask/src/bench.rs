//! `cargo xtask bench`: measures and writes `docs/benchmarks.md`.
//!
//! The measuring is done by `crates/taskd/benches/figures` and by the store's own test of speed;
//! this file says what each figure means, takes the middle run, and holds it against its target. A
//! target that is missed is said to be, with the reason; it fails nothing.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use self::rows::{Group, Row, Target};
use crate::{process, repo};

mod rows;

const FILE: &str = "docs/benchmarks.md";
/// Runs of the store's own test; the other program counts for itself.
const STORE_RUNS: u32 = 5;
/// Less of everything, for mending the programs that measure.
const TINY: &str = "--tiny";
/// Puts what was measured into the report, in place of the sections it belongs to.
const WRITE: &str = "--write";
/// The group that the git crate's own program measures.
const TREES: &str = "trees";

/// The group that a test of the page measures, in a real browser.
const PAGE: &str = "page";
const PAGE_TEST: &str = "page::seen::a_thousand_loops_are_soon_there";

/// Values of each figure, in the order of the runs.
type Figures = BTreeMap<String, Vec<f64>>;

/// With arguments (`--tiny`, names of groups) it only prints: a part is no report. With `--write` the
/// sections of these groups are written anew, and the others stay.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let machine = machine()?;
    let writes = args.iter().any(|it| it == WRITE);
    let args: Vec<String> = args.iter().filter(|it| *it != WRITE).cloned().collect();
    process::succeed(&mut process::cargo(&["build", "--release", "--locked", "-p", "taskd"]))?;
    let mut figures = Figures::new();
    if args.is_empty() {
        store_alone(&mut figures)?;
    }
    let elsewhere = [TINY, TREES, PAGE];
    let groups: Vec<_> = args.iter().filter(|it| !elsewhere.contains(&it.as_str())).collect();
    let whole = args.iter().all(|it| it == TINY);
    let size = args.iter().find(|it| *it == TINY);
    let measure = |[package, bench]: [&str; 2], groups: &[&String], figures: &mut Figures| {
        let mut command =
            process::cargo(&["bench", "--locked", "-p", package, "--bench", bench, "--"]);
        command.args(groups).args(size);
        process::succeed_reading(&mut command, |line| read(line, figures))
    };
    if whole || !groups.is_empty() {
        measure(["taskd", "figures"], &groups, &mut figures)?;
    }
    if whole || args.iter().any(|it| it == TREES) {
        measure(["taskd-git", "trees"], &[], &mut figures)?;
    }
    if whole || args.iter().any(|it| it == PAGE) {
        let mut command = process::cargo(&["test", "--release", "--locked", "-p", "taskd"]);
        command.args(["--test", "it", "--", PAGE_TEST, "--exact", "--nocapture"]);
        process::succeed_reading(&mut command, |line| read(line, &mut figures))?;
    }
    derive(&mut figures);
    let text = report(&machine, &figures);
    if args.is_empty() {
        fs::write(repo::root().join(FILE), text).with_context(|| format!("writing {FILE}"))?;
        println!("{FILE} is written");
    } else if writes {
        let file = repo::root().join(FILE);
        let old = fs::read_to_string(&file).with_context(|| format!("reading {FILE}"))?;
        fs::write(&file, renewed(old, &machine, &figures))
            .with_context(|| format!("writing {FILE}"))?;
        println!("{FILE} is renewed");
    } else {
        println!("{text}");
    }
    Ok(())
}

/// The store without daemon and driver, for comparison: its own test says a rate.
fn store_alone(figures: &mut Figures) -> Result<()> {
    for _ in 0..STORE_RUNS {
        let mut command = process::cargo(&["test", "--release", "--locked", "-p", "taskd-store"]);
        command.args(["--test", "store", "sixty_four_appenders", "--", "--nocapture"]);
        let out = command.stdout(Stdio::null()).output().context("testing the store")?;
        let said = String::from_utf8_lossy(&out.stderr);
        let rate = said.lines().find_map(|it| it.split_once("64 appenders: ")?.1.split(' ').next());
        let rate = rate.with_context(|| format!("the store's test names no rate:\n{said}"))?;
        figures.entry("store.rate".to_owned()).or_default().push(rate.parse()?);
    }
    Ok(())
}

/// Takes a line `figure`, name, value.
fn read(line: &str, figures: &mut Figures) {
    let mut parts = line.split('\t');
    if let (Some("figure"), Some(name), Some(Ok(value))) =
        (parts.next(), parts.next(), parts.next().map(str::parse))
    {
        figures.entry(name.to_owned()).or_default().push(value);
    }
}

/// How many times longer one input takes with 10,000 loops than with 100, and how many times longer
/// we take than git does, run by run.
fn derive(figures: &mut Figures) {
    let of = |name: &str| figures.get(name).cloned().unwrap_or_default();
    let growth = of("decide.10000").iter().zip(of("decide.100")).map(|(a, b)| a / b).collect();
    figures.insert("decide.growth".to_owned(), growth);
    for (name, by_git) in
        [("trees.cold", "trees.cold.git"), ("trees.checkpoint.run", "trees.status")]
    {
        let of = |name: &str| figures.get(name).cloned().unwrap_or_default();
        let beside = of(name).iter().zip(of(by_git)).map(|(ours, git)| ours / git).collect();
        figures.insert(format!("{name}.beside"), beside);
    }
}

fn report(machine: &str, figures: &Figures) -> String {
    let mut text = format!(
        "# Benchmarks\n\nWritten by `cargo xtask bench`. Each figure is the middle one of its runs, \
         which stand beside it. A figure without a target is there for comparison. What misses its \
         target says so, and why.\n\n{machine}\n"
    );
    for group in rows::GROUPS {
        put_group(&mut text, group, figures);
    }
    text
}

/// A report with the sections that there are figures for written anew.
fn renewed(mut report: String, machine: &str, figures: &Figures) -> String {
    for group in rows::GROUPS {
        let mut section = String::new();
        put_group(&mut section, group, figures);
        if section.is_empty() {
            continue;
        }
        _ = write!(section, "\nMeasured apart from the rest:\n\n{machine}\n");
        let title = format!("\n## {}\n", group.title);
        let from = report.find(&title).unwrap_or(report.len());
        let to =
            report[from..].match_indices("\n## ").nth(1).map_or(report.len(), |it| from + it.0);
        report.replace_range(from..to, &section);
    }
    report
}

fn put_group(text: &mut String, group: &Group, figures: &Figures) {
    let known = |row: &&Row| figures.get(row.name).is_some_and(|it| !it.is_empty());
    let rows: Vec<&Row> = group.rows.iter().filter(known).collect();
    if rows.is_empty() {
        return;
    }
    let (title, how) = (group.title, group.how);
    let mut missed = Vec::new();
    _ = write!(
        text,
        "\n## {title}\n\n{how}\n\n| figure | target | median | runs | |\n|---|---|---|---|---|\n"
    );
    for row in rows {
        let runs = &figures[row.name];
        let middle = median(runs);
        let verdict = match row.target {
            None => "",
            Some(target) if target.is_met(middle) => "ok",
            Some(_) => {
                missed.push(row);
                "MISS"
            }
        };
        let target = row.target.map(|it| it.to_string(row.unit)).unwrap_or_default();
        let all: Vec<String> = runs.iter().map(|it| number(*it)).collect();
        let (what, unit) = (row.what, row.unit);
        let (middle, all) = (number(middle), all.join(", "));
        _ = writeln!(text, "| {what} | {target} | {middle} {unit} | {all} | {verdict} |");
    }
    for row in missed {
        _ = write!(text, "\nMISS, {}: {}\n", row.what, row.miss);
    }
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(it) => value >= it,
            Self::Below(it) => value < it,
            Self::None => value == 0.0,
        }
    }

    fn to_string(self, unit: &str) -> String {
        match self {
            Self::AtLeast(it) => format!("≥ {} {unit}", number(it)),
            Self::Below(it) => format!("< {} {unit}", number(it)),
            Self::None => "none".to_owned(),
        }
    }
}

fn median(runs: &[f64]) -> f64 {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) / 2]
}

/// Three digits that count, and no more; thousands are parted.
fn number(value: f64) -> String {
    if value < 100.0 {
        let digits = if value < 10.0 { 2 } else { 1 };
        let text = format!("{value:.digits$}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let whole = format!("{value:.0}");
    let mut parted = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if 0 < n && (whole.len() - n).is_multiple_of(3) {
            parted.push(',');
        }
        parted.push(digit);
    }
    parted
}

/// What it was measured on.
fn machine() -> Result<String> {
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("reading {path}"));
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|it| it.starts_with(name));
        line.and_then(|it| it.split_once(':')).map(|(_, it)| it.trim().to_owned())
    };
    let cpu = field(&read("/proc/cpuinfo")?, "model name").unwrap_or_else(|| "unknown".to_owned());
    let cores = std::thread::available_parallelism().context("counting cores")?;
    let memory = field(&read("/proc/meminfo")?, "MemTotal").context("no MemTotal")?;
    let kb: u64 = memory.trim_end_matches(" kB").parse().context("MemTotal is no number")?;
    let kernel = read("/proc/sys/kernel/osrelease")?;
    let load = read("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    let folder = std::env::temp_dir();
    let disk = said("stat", &["-f", "-c", "%T", &folder.to_string_lossy()])?;
    let rust = said("rustc", &["--version"])?;
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"])?;
    let changed = said("git", &["status", "--porcelain", "--", "crates", "Cargo.lock"])?;
    let changed = match changed.lines().count() {
        0 => String::new(),
        n => format!(", with {n} files changed since"),
    };
    Ok(format!(
        "- Machine: {cpu}, {cores} cores, {} GiB of memory, Linux {}; the store is on {disk}. Load \
         before the first run: {load}.\n- Build: commit {commit}{changed}; release profile, {rust}.",
        kb.div_ceil(1 << 20),
        kernel.trim()
    ))
}

#[expect(clippy::disallowed_methods, reason = "asks the machine about itself")]
fn said(program: &str, args: &[&str]) -> Result<String> {
    let out = Command::new(program).args(args).current_dir(repo::root()).output();
    let out = out.with_context(|| format!("starting {program}"))?;
    ensure!(out.status.success(), "{program} {args:?}: {}", out.status);
    Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Figures, median, number, read, renewed, report};

    #[test]
    fn the_middle_run_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0, 9.0, 8.0]), 3.0);
        assert_eq!(median(&[7.0]), 7.0);
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!([number(0.0), number(1.2345), number(12.345)], ["0", "1.23", "12.3"]);
        assert_eq!([number(100.4), number(1234.5), number(1e6)], ["100", "1,234", "1,000,000"]);
    }

    #[test]
    fn a_section_is_renewed_and_the_others_stay() {
        let mut figures = Figures::new();
        read("figure\tready\t50.0", &mut figures);
        let old = "# B\n\n## Answers\n\nold\n\n## Other\n\nstays\n".to_owned();
        let text = renewed(old, "- Machine: one", &figures);
        assert!(text.starts_with("# B\n\n## Answers\n") && text.ends_with("\n## Other\n\nstays\n"));
        assert!(text.contains("| 50 ms | 50 | ok |") && !text.contains("old"), "{text}");
        let text = renewed("# B\n".to_owned(), "- Machine: one", &figures);
        assert!(text.contains("\n## Answers\n"), "{text}");
    }

    #[test]
    fn a_missed_target_says_so_and_why() {
        let mut figures = Figures::new();
        for line in ["figure\tready\t250.0", "figure\tls.call.p99\t1.5", "noise"] {
            read(line, &mut figures);
        }
        let text = report("- Machine: one", &figures);
        assert!(text.contains("| < 100 ms | 250 ms | 250 | MISS |"), "{text}");
        assert!(text.contains("| < 20 ms | 1.5 ms | 1.5 | ok |"), "{text}");
        assert_eq!(text.matches("\nMISS, ").count(), 1, "{text}");
    }
}
