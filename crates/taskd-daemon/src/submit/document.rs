//! What a loop wrote, taken apart: the specs a document names, resolved as those of a plan file are.
//!
//! A document may say what is to be done. Who works on it, what decides about it, what it may cost and
//! whether it lands is for people to say, so a document that tries to is refused.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use taskd_api::v1;
use taskd_core::MAX_CHILDREN;
use taskd_model::{AboveDoc, ArtifactDoc, Format, LoopId, LoopView, PlanDoc, SpecDoc, SpecHead};

use super::{
    Look,
    again::{self, Apart},
    types,
};
use crate::{
    plan_file::{self, Document, PlanFile, PlanKeys},
    problem::{At, Pos, Problem},
    runner::Context,
    trust,
};

/// Largest document, in bytes.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// Problems that are told; more make a wrong document no clearer.
const MAX_PROBLEMS: usize = 20;

/// The specs that a document names, with what is stored for each.
pub(crate) type Named = Vec<(SpecHead, SpecDoc)>;

/// Takes the document `text` apart that the loop of `spec` wrote.
///
/// # Errors
///
/// Everything that is wrong with it, one a line, for whoever wrote it.
pub(crate) fn take_apart(
    ctx: &Arc<Context>,
    (id, plan): (LoopId, &PlanDoc),
    spec: &SpecDoc,
    text: &[u8],
) -> Result<Apart, Vec<String>> {
    let Some(artifact) = &spec.loop_type.artifact else {
        return Err(vec![format!("loop type `{}` writes no document", spec.loop_type.name)]);
    };
    let mut file = read(artifact, text)?;
    let mut wrong = forbidden(&file);
    wrong.extend(missing(artifact, &file));
    wrong.extend(taken(ctx, id, artifact, spec, &file));
    if artifact.format != Format::Plan {
        wrong.extend(in_order(&mut file, artifact.format.unit()));
    }
    if !wrong.is_empty() {
        return Err(bounded(wrong));
    }
    let top = Pos::new(1, 1);
    file.head.loop_type = Some(At::new(artifact.children.clone(), top));
    let git_dir = {
        let view = ctx.hub.view();
        let plan = view.plans.get(&id.plan());
        let project = plan.and_then(|it| view.projects.get(&it.project));
        project.map(|it| PathBuf::from(&it.git_dir)).unwrap_or_default()
    };
    let named = resolved(ctx, (plan, &git_dir), spec, &file).map_err(bounded)?;
    let above =
        AboveDoc { name: spec.name.clone(), title: spec.title.clone(), text: file.context.clone() };
    let below = |(mut head, mut doc): (SpecHead, SpecDoc)| {
        head.name = full_name(artifact, spec, &head.name);
        doc.name.clone_from(&head.name);
        doc.above = spec.above.iter().cloned().chain([above.clone()]).collect();
        (head, doc)
    };
    Ok(apart(ctx, id, named.into_iter().map(below).collect()))
}

/// What it names beside what earlier versions of it did: what is not the same is called otherwise.
fn apart(ctx: &Context, id: LoopId, mut named: Named) -> Apart {
    let before = again::before(ctx, id);
    let view = ctx.hub.view();
    let again = view.loops.get(&id).is_some_and(|it| view.children(it).next().is_some());
    if !again {
        return Apart { named, same: Vec::new(), ends: 0 };
    }
    let same = again::same(&named, &before);
    let mut taken = view.loops_of(id.plan()).map(|it| it.spec.clone()).collect();
    for (_, (head, doc)) in same.iter().zip(&mut named).filter(|it| it.0.is_none()) {
        head.name = again::free_name(&head.name, &mut taken);
        doc.name.clone_from(&head.name);
    }
    let done = |it: &LoopView| it.status.is_over() || it.is_superseded();
    let old = |it: &&LoopView| !done(it) && !same.contains(&Some(it.id.spec.index));
    let ends = view.loops.get(&id).map_or(0, |it| view.children(it).filter(old).count());
    Apart { named, same, ends }
}

/// The document as a plan file with its own word in the headings.
fn read(artifact: &ArtifactDoc, text: &[u8]) -> Result<PlanFile, Vec<String>> {
    let (file, unit) = (artifact.format.file(), artifact.format.unit());
    if MAX_DOCUMENT_BYTES < text.len() {
        let what = format!("{file} has {} bytes; it may have {MAX_DOCUMENT_BYTES}", text.len());
        return Err(vec![what]);
    }
    match plan_file::parse_of(file, unit, text) {
        Ok(Document::Plan(file)) => Ok(*file),
        Ok(Document::Request(_)) => {
            Err(vec![format!("{file} names nothing: write `## {unit} <id>: <title>` for each")])
        }
        Err(problems) => Err(bounded(problems.iter().map(line).collect())),
    }
}

/// What is not for a document to say.
fn forbidden(file: &PlanFile) -> Vec<String> {
    let own = PlanKeys { title: file.head.title.clone(), ..PlanKeys::default() };
    let mut wrong = Vec::new();
    if file.head != own {
        let what = "the front matter may set `plan` alone; gate, landing, agent and limits are for \
                    people to say";
        wrong.push(what.to_owned());
    }
    for spec in file.specs.iter().filter(|it| it.agent.is_some()) {
        let (line, id) = (spec.id.at.line, &spec.id.value);
        wrong.push(format!("line {line}: who works on `{id}` is for people to say; take it out"));
    }
    if MAX_CHILDREN < file.specs.len() {
        let count = file.specs.len();
        wrong.push(format!("it names {count} things; it may name {MAX_CHILDREN}"));
    }
    wrong
}

/// Sections that are not there, or have nothing in them.
fn missing(artifact: &ArtifactDoc, file: &PlanFile) -> Vec<String> {
    let heading = |line: &str| {
        let words = line.trim_start_matches('#');
        let level = line.len() - words.len();
        let is_heading = (1..=6).contains(&level) && words.starts_with(' ');
        is_heading.then(|| words.trim().to_lowercase())
    };
    let lines: Vec<&str> = file.context.lines().collect();
    let found: BTreeSet<String> = (0..lines.len())
        .filter(|n| {
            let rest = &lines[n + 1..];
            rest.iter()
                .map(|it| it.trim())
                .find(|it| !it.is_empty())
                .is_some_and(|it| heading(it).is_none())
        })
        .filter_map(|n| heading(lines[n]))
        .collect();
    let wanted = artifact.sections.iter().filter(|it| !found.contains(&it.to_lowercase()));
    wanted.map(|it| format!("there is no section `## {it}`, or nothing in it")).collect()
}

/// Names that are taken in the plan.
fn taken(
    ctx: &Context,
    id: LoopId,
    artifact: &ArtifactDoc,
    spec: &SpecDoc,
    file: &PlanFile,
) -> Vec<String> {
    let view = ctx.hub.view();
    // What an earlier version of it named it may name again.
    let others = view.loops_of(id.plan()).filter(|it| it.parent != Some(id.spec.index));
    let known: BTreeSet<&str> = others.map(|it| it.spec.as_str()).collect();
    let names = file.specs.iter().map(|it| (&it.id, full_name(artifact, spec, &it.id.value)));
    let taken = names.filter(|(_, name)| known.contains(name.as_str()));
    let told = |(id, name): (&At<String>, String)| {
        format!("line {}: `{name}` is taken in this plan; choose another id", id.at.line)
    };
    taken.map(told).collect()
}

/// Phases and tasks go one after the other, so they say no needs.
fn in_order(file: &mut PlanFile, unit: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for n in 0..file.specs.len() {
        let spec = &mut file.specs[n];
        let at = spec.id.at;
        if !spec.needs.is_empty() {
            let what = format!("line {}: a {unit} has no `needs`; they go in their order", at.line);
            wrong.push(what);
        }
        let before = n.checked_sub(1).and_then(|it| u16::try_from(it).ok());
        spec.needs = before.map(|it| At::new(it, at)).into_iter().collect();
    }
    wrong
}

/// What people call what a document names: a plan's specs by their own id, others below their
/// spec's.
fn full_name(artifact: &ArtifactDoc, spec: &SpecDoc, id: &str) -> String {
    match artifact.format {
        Format::Plan => id.to_owned(),
        Format::Spec | Format::Phase => format!("{}.{id}", spec.name),
    }
}

/// The specs with types, workers and limits, as a submission would have them.
fn resolved(
    ctx: &Arc<Context>,
    (plan, git_dir): (&PlanDoc, &Path),
    spec: &SpecDoc,
    file: &PlanFile,
) -> Result<Named, Vec<String>> {
    let root = Path::new(&plan.root);
    let config = ctx.config_of(root).map_err(|it| vec![it.told()])?;
    let request = v1::SubmitRequest {
        repository: plan.root.clone(),
        environment: plan.env.clone(),
        ..v1::SubmitRequest::default()
    };
    let mut look = Look::new(ctx, request);
    look.last_resort = Some(spec.agent.clone());
    look.agents = ctx.agents(Some(root));
    let types = types::load(&ctx.paths.config, root, &mut look.problems);
    let specs = look.specs(file, &types, &config, Some(&plan.gate));
    let errors = look.problems.iter().filter(|it| !it.warning);
    let wrong: Vec<String> = errors
        .map(|it| {
            if it.hint.is_empty() {
                it.message.clone()
            } else {
                format!("{}; {}", it.message, it.hint)
            }
        })
        .collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    // What they run was agreed to when the plan came, unless the files are others now.
    let open = ctx.untrusted(root, git_dir, look.of_specs(&types, &specs));
    if open.is_empty() { Ok(specs) } else { Err(open.iter().map(trust::unsaid).collect()) }
}

fn line(problem: &Problem) -> String {
    let hint = problem.hint.as_ref().map(|it| format!("; {it}")).unwrap_or_default();
    format!("line {}: {}{hint}", problem.at.line, problem.what)
}

fn bounded(mut wrong: Vec<String>) -> Vec<String> {
    let more = wrong.len().saturating_sub(MAX_PROBLEMS);
    wrong.truncate(MAX_PROBLEMS);
    if 0 < more {
        wrong.push(format!("and {more} more"));
    }
    wrong
}
