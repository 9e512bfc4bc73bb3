//! Trying again: what a person may say of where it begins, and what the next prompt is told of what
//! was tried.

use taskd_api::{ApiError, codes, v1};
use taskd_model::{
    Actor, Command, IterationRow, LoopId, LoopView, Oid, Status, Target, Verdict, View,
    format_duration_ms,
};

use super::{Service, blocking, internal};

/// Most bytes of what the next prompt is told: about 800 tokens.
const MAX_TOLD_BYTES: usize = 3_200;
/// Iterations that are told of, the last ones.
const MAX_TOLD: usize = 10;
/// Characters of what one iteration's gate said.
const MAX_SUMMARY_CHARS: usize = 160;
/// Characters of a person's own words.
const MAX_WORDS_CHARS: usize = 1_000;

/// Where it begins.
struct From {
    /// An earlier state, and the commit that stood on; nothing for the work as it is.
    to: Option<(Oid, Oid)>,
    /// With its gate.
    gate: bool,
    /// For people.
    words: String,
}

impl Service {
    /// What is sent back are documents that were taken apart.
    pub(super) fn plans_again(&self, request: &v1::ActRequest) -> bool {
        let view = self.ctx().hub.view();
        let apart = |id: &String| {
            let Ok(Target::Loop(one)) = view.resolve(id) else { return false };
            view.loops.get(&one).is_some_and(was_taken_apart)
        };
        !request.ids.is_empty() && request.ids.iter().all(apart)
    }

    /// Loops go on with fresh limits.
    pub(super) async fn retry(
        &self,
        actor: Actor,
        request: v1::ActRequest,
    ) -> Result<v1::ActResponse, ApiError> {
        let picked = self.pick(v1::Verb::Retry, &request)?;
        let rejects = request.verb() == v1::Verb::Reject;
        if rejects && request.text.trim().is_empty() {
            return Err(ApiError::new(codes::INVALID, "the text is empty").hint("-m \"...\""));
        }
        if picked.is_empty() && !request.all {
            return Err(ApiError::new(codes::INVALID, "no loop or plan was named").hint("taskd ls"));
        }
        let mut orders = Vec::new();
        for (asked, name, id) in picked {
            self.may(move |core| core.may_retry(id)).await?;
            let (this, from) = (self.clone(), request.from.clone());
            let (from, tip) = blocking(move || this.begins(id, &from)).await?;
            orders.push((asked, name, id, from, tip));
        }
        let mut response = v1::ActResponse { results: Vec::new(), seq: self.ctx().hub.head().0 };
        for (asked, name, id, from, tip) in orders {
            if !request.dry_run {
                let told = self.told(id, &from, request.text.trim());
                let note = self.ctx().store.queue_blob(told.into_bytes());
                let note = note.map_err(|it| internal(&it))?;
                let command = Command::Retry { id, to: from.to, gate: from.gate, note, tip };
                response.seq = self.command(actor, command).await?;
            }
            let document = was_taken_apart(&self.ctx().hub.view().loops[&id]) || rejects;
            let message = if document && !request.dry_run {
                AGAIN.to_owned()
            } else if request.dry_run {
                format!("would be tried again {}", from.words)
            } else {
                format!("tried again {}, with fresh limits", from.words)
            };
            response.results.push(v1::ActResult {
                id: asked,
                name,
                done: !request.dry_run,
                message,
                error: None,
            });
        }
        Ok(response)
    }

    /// What the next prompt is told.
    fn told(&self, id: LoopId, from: &From, words: &str) -> String {
        let view = self.ctx().hub.view();
        let it = &view.loops[&id];
        if was_taken_apart(it) { told_again(&view, it, words) } else { told(it, from, words) }
    }

    /// Where a person wants it to begin, and where its target is.
    fn begins(&self, id: LoopId, from: &str) -> Result<(From, Oid), ApiError> {
        let (project, target, iteration) = {
            let view = self.ctx().hub.view();
            let plan = &view.plans[&id.plan()];
            (plan.project, plan.target.clone(), view.loops[&id].iteration)
        };
        let (repo, _) = self.ctx().repo(project).map_err(ApiError::from)?;
        let failed = |it: taskd_git::GitError| ApiError::of(it.code(), &it);
        let tip = repo.tip(&target).map_err(failed)?;
        let gone = || ApiError::new(codes::NOT_FOUND, format!("branch {target} is gone"));
        let tip = tip.ok_or_else(gone)?;
        let as_it_is = |gate: bool, words: &str| From { to: None, gate, words: words.to_owned() };
        let from = match from {
            "" | "iteration" => as_it_is(false, "from the work as it is"),
            "gate" => as_it_is(true, "from its gate"),
            // Before its first iteration there is nothing else.
            "0" | "base" if iteration == 0 => as_it_is(false, "from its base"),
            "0" => self.earlier(id, "base")?,
            state => self.earlier(id, state)?,
        };
        Ok((from, tip))
    }

    fn earlier(&self, id: LoopId, state: &str) -> Result<From, ApiError> {
        let (to, base, words) = self.state_of(id, state)?;
        Ok(From { to: Some((to, base)), gate: false, words: format!("from {words}") })
    }
}

/// A document that is written anew.
const AGAIN: &str = "written anew; until that is taken apart, what it named goes on";

fn was_taken_apart(it: &LoopView) -> bool {
    it.status == Status::Complete && it.document.is_some()
}

/// What the next prompt says of a document that was taken apart: why it is written anew, and what
/// became of what it named.
fn told_again(view: &View, it: &LoopView, words: &str) -> String {
    let mut text = "Your document was taken apart, and what it names is worked on or done. A \
                    person wants it written anew: change the document that is there.\n"
        .to_owned();
    if !words.is_empty() {
        let words: String = words.chars().take(MAX_WORDS_CHARS).collect();
        text.push_str(&format!("They say: {words}\n"));
    }
    text.push_str(
        "What keeps its heading, its settings and its text to the letter, and needs only such, \
         stays with its work. All else that has not landed ends. What landed stays on the target; \
         take it as there.\nWhat it named:\n",
    );
    for child in view.children(it).filter(|it| !it.is_superseded()) {
        let landed = if child.landed.is_some() { ", landed" } else { "" };
        text.push_str(&format!("- {}: {}{landed}\n", child.spec, child.status));
    }
    let end = text.floor_char_boundary(MAX_TOLD_BYTES);
    text.truncate(end);
    text
}

/// What the next prompt says of what was tried, at most [`MAX_TOLD_BYTES`].
fn told(it: &LoopView, from: &From, words: &str) -> String {
    let why = it.reason.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut text = format!(
        "A person wants this tried again, {}. It ended before: {why}. Do not repeat what did not \
         work; say first what you do otherwise.\n",
        from.words
    );
    if !words.is_empty() {
        let words: String = words.chars().take(MAX_WORDS_CHARS).collect();
        text.push_str(&format!("They say: {words}\n"));
    }
    if !it.last_run.said.is_empty() {
        let said: String = it.last_run.said.chars().take(MAX_SUMMARY_CHARS * 2).collect();
        text.push_str(&format!("What was said last: {said}\n"));
    }
    let rows: Vec<&IterationRow> = it.iterations.iter().filter(|it| it.verdict.is_some()).collect();
    let shown = &rows[rows.len().saturating_sub(MAX_TOLD)..];
    if !shown.is_empty() {
        text.push_str(&format!("What was tried, {} of {}:\n", shown.len(), rows.len()));
    }
    for row in shown {
        text.push_str(&line(row));
    }
    let end = text.floor_char_boundary(MAX_TOLD_BYTES);
    text.truncate(end);
    text
}

/// One attempt in a line.
fn line(row: &IterationRow) -> String {
    let how = row.verdict.map_or("open".to_owned(), |it: Verdict| it.to_string());
    let summary: String = row.summary.chars().take(MAX_SUMMARY_CHARS).collect();
    let said = if summary.is_empty() { String::new() } else { format!(": {summary}") };
    let (files, added, removed) = (row.change.files, row.change.added, row.change.removed);
    let took = format_duration_ms(row.ms);
    format!("- iteration {}: {how}{said}; {files} files +{added} -{removed}, {took}\n", row.n)
}
