//! Definitions of all layers merged along `extends`: the child wins wherever it says something.
//!
//! `extends` with its own name means the same type of the layer below.

use std::collections::BTreeMap;

use taskd_model::TypeDoc;

use super::mcp::MAX_SERVERS;
use super::read::{Definition, Tools};
use super::{DEFAULT_TOOLS, Types, Written};
use crate::problem::{At, Pos, Problem, suggest};
use crate::prompt;

/// Longest chain of `extends`.
const MAX_CHAIN: usize = 16;

/// Merges the definitions, given from the lowest layer up.
pub(super) fn resolve(definitions: Vec<Definition>) -> (Types, Vec<Problem>) {
    let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, definition) in definitions.iter().enumerate() {
        by_name.entry(definition.name.clone()).or_default().push(place);
    }
    let done = vec![None; definitions.len()];
    let mut merge = Merge { definitions, by_name, done };
    for place in 0..merge.definitions.len() {
        merge.resolve(place, &mut Vec::new());
    }
    let Merge { definitions, by_name, mut done } = merge;
    let mut types = Types::default();
    for (name, places) in &by_name {
        let Some(top) = places.last() else { continue };
        let own = &definitions[*top];
        let written = Written {
            file: own.problems.file().to_owned(),
            extends: own.extends.as_ref().map(|it| it.value.clone()),
        };
        types.written.insert(name.clone(), written);
        match done[*top].take() {
            Some(Ok(doc)) => drop(types.good.insert(name.clone(), doc)),
            Some(Err(())) | None => {
                let problems = definitions[*top].problems.clone().into_list();
                let why = problems.first().map(ToString::to_string).unwrap_or_default();
                types.broken.insert(name.clone(), why);
            }
        }
    }
    (types, definitions.into_iter().flat_map(|it| it.problems.into_list()).collect())
}

struct Merge {
    definitions: Vec<Definition>,
    /// Definitions of a name, the lowest layer's first.
    by_name: BTreeMap<String, Vec<usize>>,
    done: Vec<Option<Result<TypeDoc, ()>>>,
}

impl Merge {
    /// Resolves a definition after those it extends. `path` is the chain that led here.
    fn resolve(&mut self, place: usize, path: &mut Vec<usize>) {
        if self.done[place].is_some() {
            return;
        }
        path.push(place);
        let parent = self.parent(place, path);
        path.pop();
        let doc = match parent {
            Ok(parent) => Ok(self.merged(place, parent)),
            Err(()) => Err(()),
        };
        let good = self.definitions[place].problems.is_empty();
        self.done[place] = Some(doc.and_then(|doc| if good { Ok(doc) } else { Err(()) }));
    }

    /// The resolved definition this one extends, if it extends one.
    fn parent(&mut self, place: usize, path: &mut Vec<usize>) -> Result<Option<TypeDoc>, ()> {
        let Some(extends) = self.definitions[place].extends.clone() else { return Ok(None) };
        let next = self.extended(place, &extends)?;
        if let Some(first) = path.iter().position(|it| *it == next) {
            let names = path[first..].iter().chain([&next]);
            let names: Vec<&str> = names.map(|it| self.definitions[*it].name.as_str()).collect();
            let what = format!("`extends` goes round in a circle: {}", names.join(" extends "));
            self.definitions[place].problems.add(extends.at, what);
            return Err(());
        }
        if path.len() >= MAX_CHAIN {
            let what = format!("more than {MAX_CHAIN} types extend each other");
            self.definitions[place].problems.add(extends.at, what);
            return Err(());
        }
        self.resolve(next, path);
        if let Some(Ok(doc)) = &self.done[next] {
            return Ok(Some(doc.clone()));
        }
        let what = format!("it extends `{}`, which cannot be used", extends.value);
        self.definitions[place].problems.add(extends.at, what);
        Err(())
    }

    /// The definition an `extends` names.
    fn extended(&mut self, place: usize, extends: &At<String>) -> Result<usize, ()> {
        let own = extends.value == self.definitions[place].name;
        let places = self.by_name.get(&extends.value).map_or(&[][..], Vec::as_slice);
        let found = places.iter().rev().copied().find(|it| !own || *it < place);
        if let Some(found) = found {
            return Ok(found);
        }
        let names: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
        let (what, hint) = if own {
            let what = "it extends itself, and no layer below defines it".to_owned();
            (what, "extend another type, as `ralph`".to_owned())
        } else {
            (format!("there is no loop type `{}`", extends.value), suggest(&extends.value, &names))
        };
        self.definitions[place].problems.add_hint(extends.at, what, hint);
        Err(())
    }

    /// The definition over what it extends. What is wrong is noted with the definition.
    fn merged(&mut self, place: usize, parent: Option<TypeDoc>) -> TypeDoc {
        let own = &mut self.definitions[place];
        let orphan = parent.is_none();
        let parent = parent.unwrap_or_else(|| TypeDoc {
            tools: DEFAULT_TOOLS.map(str::to_owned).into(),
            ..TypeDoc::default()
        });
        let mut inputs = parent.inputs;
        inputs.extend(own.inputs.clone());
        let names: Vec<&str> = inputs.keys().map(String::as_str).collect();
        for template in [&own.prompt, &own.system].into_iter().flatten() {
            prompt::check(&template.doc.text, template.at, &names, &mut own.problems);
        }
        // A file that is no definition at all has been answered.
        if orphan && own.prompt.is_none() && own.problems.is_empty() {
            let hint = "add `extends: ralph`, or write a `prompt`";
            own.problems.add_hint(Pos::new(1, 1), "the type has no `prompt`", hint);
        }
        let tools = merged_tools(parent.tools, own);
        let mut mcp = parent.mcp;
        mcp.extend(own.mcp.clone());
        if MAX_SERVERS < mcp.len() {
            let what = format!("`mcp` names {} servers; it may name {MAX_SERVERS}", mcp.len());
            own.problems.add(Pos::new(1, 1), what);
        }
        let artifact = match own.artifact.clone() {
            Some(it) => it.over(parent.artifact, &mut own.problems),
            None => parent.artifact,
        };
        let review = match own.review.clone() {
            Some((_, it)) => it.over(),
            None => parent.review,
        };
        if let (Some(_), Some((at, _)), Some(_)) = (&artifact, &own.review, &review) {
            let hint = "`reviews` in `artifact` says what it is looked through for";
            own.problems.add_hint(*at, "a document has no `review`", hint);
        }
        TypeDoc {
            name: own.name.clone(),
            origin: own.problems.file().to_owned(),
            description: own.description.clone().unwrap_or(parent.description),
            agent: own.agent.clone().or(parent.agent),
            fallback: own.fallback.clone().unwrap_or(parent.fallback),
            gate: own.gate.clone().over(parent.gate),
            limits: own.limits.over(parent.limits),
            conflict: own.conflict.or(parent.conflict),
            tools,
            mcp,
            params: own.params.over(parent.params),
            unsupported: own.unsupported.unwrap_or(parent.unsupported),
            billing: own.billing.or(parent.billing),
            resume: own.resume.unwrap_or(parent.resume),
            inputs,
            prompt: own.prompt.as_ref().map_or(parent.prompt, |it| it.doc.clone()),
            system: own.system.as_ref().map(|it| it.doc.clone()).or(parent.system),
            setup: own.setup.clone().or(parent.setup),
            review: review.filter(|_| artifact.is_none()),
            artifact,
        }
    }
}

fn merged_tools(mut inherited: Vec<String>, own: &mut Definition) -> Vec<String> {
    match &own.tools {
        Tools::Inherited => {}
        Tools::List(list) => inherited.clone_from(list),
        Tools::Remove(removed) => {
            for tool in removed {
                if !inherited.contains(&tool.value) {
                    let what = format!("tool `{}` is not there to be removed", tool.value);
                    own.problems.add(tool.at, what);
                }
            }
            inherited.retain(|it| !removed.iter().any(|tool| tool.value == *it));
        }
    }
    inherited
}
