//! The Markdown form of a plan: front matter, context, and a `## spec` heading for each task. What
//! loops write of specs and phases has the same form, with another word in its headings.
//!
//! Not a Markdown parser: it knows front matter, spec headings and code fences, and leaves
//! everything else as it is.

use super::head::{self, PLAN_KEYS, is_name, read_plan_keys};
use super::{Draft, MAX_SPECS, PlanKeys, SpecDraft};
use crate::problem::{At, Pos, Problems, nearest, suggest};
use crate::yaml;

const SPEC_KEYS: [&str; 6] = ["needs", "accept", "touches", "agent", "model", "type"];

const SPEC_MEANT: [(&str, &str); 5] = [
    ("depends", "needs"),
    ("depends-on", "needs"),
    ("depends_on", "needs"),
    ("after", "needs"),
    ("files", "touches"),
];

/// How a heading is written.
fn form(unit: &str) -> String {
    format!("write `## {unit} <id>: <title>`")
}

/// Reads the Markdown form. `unit` is the word in the headings of what it names.
pub(super) fn read(text: &str, unit: &str, problems: &mut Problems) -> Draft {
    let lines: Vec<&str> = text.split('\n').collect();
    let (head, start) = front_matter(&lines, problems);
    let mut warnings = Problems::new(problems.file());
    let headings = headings(&lines, (start, unit), problems, &mut warnings);
    let end_of = |n: usize| headings.get(n).map_or(lines.len(), |it| it.line);
    let context = body(&lines[start..end_of(0)].join("\n")).to_owned();
    let specs = headings
        .iter()
        .enumerate()
        .map(|(n, heading)| {
            let section = Section { lines: &lines[..end_of(n + 1)], first: heading.line + 1 };
            read_spec(heading, &section, problems, &mut warnings)
        })
        .collect();
    Draft { head, context, specs, warnings }
}

/// A body without the empty lines around it; its own lines stay as they are.
pub(super) fn body(text: &str) -> &str {
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n') {
        if !line.trim().is_empty() {
            break;
        }
        rest = after;
    }
    rest.trim_end()
}

/// The keys between the first two `---` lines, and the line after them.
fn front_matter(lines: &[&str], problems: &mut Problems) -> (PlanKeys, usize) {
    let Some(open) = lines.iter().position(|it| !it.trim().is_empty()) else {
        return (PlanKeys::default(), 0);
    };
    if lines[open].trim_end() != "---" {
        return (PlanKeys::default(), 0);
    }
    let Some(length) = lines[open + 1..].iter().position(|it| it.trim_end() == "---") else {
        problems.add_hint(
            Pos::new(open + 1, 1),
            "the front matter has no end",
            "end it with a line `---`",
        );
        return (PlanKeys::default(), open + 1);
    };
    let close = open + 1 + length;
    let text = lines[open + 1..close].join("\n");
    let first_line = Pos::new(open + 2, 1).line;
    let head = yaml::parse(&text, first_line, problems)
        .map(|it| read_plan_keys(&it, "the front matter", &[], problems).0);
    (head.unwrap_or_default(), close + 1)
}

/// A `## spec` heading.
#[derive(Debug)]
struct Heading {
    /// Index of its line.
    line: usize,
    id: At<String>,
    title: String,
}

/// An open code fence.
struct Fence {
    line: usize,
    mark: char,
    length: usize,
    holds_spec: bool,
}

/// Finds the spec headings from line `start` on; those in code fences are text.
fn headings(
    lines: &[&str],
    (start, unit): (usize, &str),
    problems: &mut Problems,
    warnings: &mut Problems,
) -> Vec<Heading> {
    let mut found = Vec::new();
    let mut fence: Option<Fence> = None;
    for (n, line) in lines.iter().enumerate().skip(start) {
        if let Some(open) = &mut fence {
            if closes(open, line) {
                fence = None;
            } else if let Some(it) = spec_words(line, unit).filter(|it| looks_like_spec(it)) {
                open.holds_spec = true;
                let what = format!("`## {unit} {}` is in the code fence", head::shown(it.trim()));
                let why = format!("of line {} and so is text", open.line + 1);
                warnings.add(Pos::new(n + 1, 1), format!("{what} {why}"));
            }
        } else if let Some((mark, length)) = opens(line) {
            fence = Some(Fence { line: n, mark, length, holds_spec: false });
        } else if let Some(words) = spec_words(line, unit) {
            found.push(heading(n, line, (unit, words), problems));
        } else if nearly_spec(line, unit) {
            let what = format!("this heading is text, it begins no {unit}");
            warnings.add_hint(Pos::new(n + 1, 1), what, form(unit));
        }
    }
    if let Some(open) = fence.filter(|it| it.holds_spec) {
        let what = format!("this code fence never ends, and there are {unit}s after it");
        let hint = format!("end it with a line `{}`", open.mark.to_string().repeat(open.length));
        problems.add_hint(Pos::new(open.line + 1, 1), what, hint);
    }
    found
}

/// Mark and length of the fence a line opens.
fn opens(line: &str) -> Option<(char, usize)> {
    let text = fence_text(line)?;
    let mark = text.chars().next().filter(|it| matches!(it, '`' | '~'))?;
    let length = text.chars().take_while(|it| *it == mark).count();
    let info = text.trim_start_matches(mark);
    (length >= 3 && (mark == '~' || !info.contains('`'))).then_some((mark, length))
}

fn closes(open: &Fence, line: &str) -> bool {
    fence_text(line).is_some_and(|text| {
        let rest = text.trim_start_matches(open.mark);
        text.len() - rest.len() >= open.length && rest.trim().is_empty()
    })
}

/// The line without the at most three spaces a fence may be indented by.
fn fence_text(line: &str) -> Option<&str> {
    let text = line.trim_start_matches(' ');
    (line.len() - text.len() <= 3).then_some(text)
}

/// What follows `## spec` in such a heading, right or wrong.
fn spec_words<'a>(line: &'a str, unit: &str) -> Option<&'a str> {
    let rest = line.strip_prefix("##")?;
    let words = rest.trim_start_matches([' ', '\t']);
    let rest = if words.len() < rest.len() { words.strip_prefix(unit)? } else { return None };
    (rest.trim().is_empty() || rest.starts_with([' ', '\t', ':'])).then_some(rest)
}

fn looks_like_spec(words: &str) -> bool {
    words.split_once(':').is_some_and(|(id, _)| is_name(&id.trim().to_lowercase()))
}

/// A heading of another level or case that is otherwise like a spec's.
fn nearly_spec(line: &str, unit: &str) -> bool {
    let text = line.trim_start();
    let words = text.trim_start_matches('#');
    let level = text.len() - words.len();
    let words = words.trim_start();
    let long = unit.len();
    let is_spec = words.get(..long).is_some_and(|it| it.eq_ignore_ascii_case(unit));
    (1..=6).contains(&level)
        && is_spec
        && words[long..].starts_with([' ', '\t'])
        && looks_like_spec(&words[long..])
}

fn heading(n: usize, line: &str, (unit, words): (&str, &str), problems: &mut Problems) -> Heading {
    let at = |part: &str| place(n, line, part);
    let (id, title) = words.split_once(':').unwrap_or((words, ""));
    let id_at = at(id.trim_start());
    let id = id.trim();
    if id.is_empty() || !words.contains(':') {
        let hint = format!("{}; no other heading may begin with `## {unit} `", form(unit));
        problems.add_hint(Pos::new(n + 1, 1), format!("this heading is no {unit}'s"), hint);
    } else if title.trim().is_empty() {
        let what = format!("{unit} `{}` has no title", head::shown(id));
        problems.add_hint(at(title), what, form(unit));
    }
    let title = Some(title).filter(|it| !it.trim().is_empty());
    let title = title
        .map(|it| At::new(it.to_owned(), at(it.trim_start())))
        .and_then(|it| head::title(&it, "title", problems));
    // What is wrong with the heading is said above; an id that cannot be is not said twice.
    let id = if id.is_empty() || !words.contains(':') { format!("spec{n}") } else { id.to_owned() };
    Heading { line: n, id: At::new(id, id_at), title: title.map(|it| it.value).unwrap_or_default() }
}

/// The lines of a document up to the end of a spec, and the first after its heading.
struct Section<'a> {
    lines: &'a [&'a str],
    first: usize,
}

fn read_spec(
    heading: &Heading,
    section: &Section<'_>,
    problems: &mut Problems,
    warnings: &mut Problems,
) -> SpecDraft {
    let mut spec = SpecDraft {
        id: heading.id.clone(),
        title: heading.title.clone(),
        text: String::new(),
        needs: Vec::new(),
        accept: Vec::new(),
        touches: Vec::new(),
        agent: None,
        loop_type: None,
    };
    let mut seen: Vec<&str> = Vec::new();
    let mut next = section.first;
    while let Some(line) = section.lines.get(next).filter(|it| !it.trim().is_empty()) {
        let Some((key, value)) = setting(line) else {
            let hint = "leave an empty line between the settings and the task";
            let what = format!("`{}` is no setting", head::shown(line.trim()));
            problems.add_hint(Pos::new(next + 1, 1), what, hint);
            break;
        };
        let text = At::new(value.trim().to_owned(), place(next, line, value.trim_start()));
        let at = Pos::new(next + 1, 1);
        if seen.contains(&key) && key != "accept" {
            problems.add(at, format!("`{key}` is given twice"));
        } else if key == "model" && seen.contains(&"agent")
            || key == "agent" && seen.contains(&"model")
        {
            head::both_workers(at, problems);
        } else if SPEC_KEYS.contains(&key) {
            apply(&mut spec, key, &text, problems);
        } else {
            unknown(at, key, problems);
        }
        seen.push(key);
        next += 1;
    }
    let text = section.lines[next.min(section.lines.len())..].join("\n");
    let text = body(&text);
    warn_late_settings(text, next, section, warnings);
    spec.text = if text.is_empty() { spec.title.clone() } else { text.to_owned() };
    spec
}

/// Key and value of a settings line.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let word = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
    (!key.is_empty() && key.chars().all(word)).then_some((key, value))
}

fn apply(spec: &mut SpecDraft, key: &str, text: &At<String>, problems: &mut Problems) {
    if key == "accept" {
        spec.accept.extend(head::one_line(text, key, problems));
        return;
    }
    let value = without_comment(&text.value).to_owned();
    let Some(text) = head::one_line(&At::new(value, text.at), key, problems) else { return };
    match key {
        "needs" => spec.needs = items(&text, problems),
        "touches" => {
            let globs = items(&text, problems).into_iter();
            spec.touches = globs.filter_map(|it| head::glob(&it, key, problems)).collect();
        }
        "type" => spec.loop_type = head::name(text, key, problems),
        _ => spec.agent = head::worker(key, &text, problems),
    }
}

fn unknown(at: Pos, key: &str, problems: &mut Problems) {
    let shown = head::shown(key);
    let plain = key.to_lowercase();
    if PLAN_KEYS.contains(&plain.as_str()) && !SPEC_KEYS.contains(&plain.as_str()) {
        let what = format!("`{shown}` belongs to the plan, not to a spec");
        problems.add_hint(at, what, "put it between the `---` lines at the top");
        return;
    }
    let meant = SPEC_MEANT.iter().find(|(word, _)| *word == plain);
    let hint = match (meant, nearest(key, &SPEC_KEYS)) {
        (Some((_, it)), _) => format!("write `{it}`"),
        (None, Some(_)) => suggest(key, &SPEC_KEYS),
        (None, None) => format!(
            "{}; if it is part of the task, leave an empty line before it",
            suggest(key, &SPEC_KEYS)
        ),
    };
    problems.add_hint(at, format!("unknown key `{shown}` in a spec"), hint);
}

fn without_comment(value: &str) -> &str {
    let mark = value.find(" #").or_else(|| value.find("\t#"));
    let value = if value.starts_with('#') { "" } else { value };
    mark.map_or(value, |it| value.get(..it).unwrap_or(value)).trim_end()
}

/// The items of a list written with commas; brackets around it and commas in braces are allowed.
fn items(text: &At<String>, problems: &mut Problems) -> Vec<At<String>> {
    let value = text.value.as_str();
    let bracketed = value.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let inner = bracketed.unwrap_or(value);
    let mut depth = 0_usize;
    let parts = inner.split(|it: char| {
        depth = match it {
            '{' => depth + 1,
            '}' => depth.saturating_sub(1),
            _ => depth,
        };
        it == ',' && depth == 0
    });
    let mut found = Vec::new();
    for part in parts {
        if found.len() > MAX_SPECS {
            problems.add(text.at, format!("more than {MAX_SPECS} items"));
            break;
        }
        let item = part.trim();
        let before = value.len() - tail_of(value, part.trim_start()).len();
        let skipped = value[..before].chars().count();
        let at = Pos::new(text.at.line as usize, text.at.column as usize + skipped);
        if item.is_empty() && problems.is_full() {
            break;
        } else if item.is_empty() {
            problems.add(at, "there is nothing between two commas");
        } else {
            found.push(At::new(item.to_owned(), at));
        }
    }
    found
}

/// The rest of `whole` from where its part `part` begins.
fn tail_of<'a>(whole: &'a str, part: &str) -> &'a str {
    let offset = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    whole.get(offset..).unwrap_or("")
}

/// Where `part`, a part of line `n`, begins.
fn place(n: usize, line: &str, part: &str) -> Pos {
    let before = line.len() - tail_of(line, part).len();
    Pos::new(n + 1, line[..before].chars().count() + 1)
}

/// Settings after an empty line are text; that is rarely meant.
fn warn_late_settings(text: &str, from: usize, section: &Section<'_>, warnings: &mut Problems) {
    let paragraph: Vec<&str> = text.lines().take_while(|it| !it.trim().is_empty()).collect();
    let known = |it: &&str| setting(it).is_some_and(|(key, _)| SPEC_KEYS.contains(&key));
    if paragraph.is_empty() || !paragraph.iter().all(known) {
        return;
    }
    let empty = section.lines[from..].iter().take_while(|it| it.trim().is_empty()).count();
    let what = "these settings come after an empty line and so are text";
    let hint = "put them right below the heading";
    warnings.add_hint(Pos::new(from + empty + 1, 1), what, hint);
}
