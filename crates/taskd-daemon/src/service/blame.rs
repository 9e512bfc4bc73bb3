//! `taskd why FILE:LINE`: which loop wrote a line, in which iteration, for what task, and who and
//! what let it land.
//!
//! Git says which commit; the commit's trailers say which loop; the loop's checkpoints say which
//! iteration. What a store does not know is left out, never guessed.

use std::path::Path;

use taskd_api::{ApiError, codes, v1};
use taskd_git::{BlamedLine, Repo};
use taskd_model::{
    Actor, Digest, Event, LoopId, Oid, Outcome, QueueEnd, QueueOp, Record, Seq, SpecDoc,
};

use super::{Service, internal};
use crate::runner::{GATE_TRAILER, LOOP_TRAILER, PLAN_TRAILER, read_gate, trailer};

/// Largest file of a checkout whose uncommitted lines are looked for, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// What the log says of the loop that wrote a line.
#[derive(Default)]
struct Story {
    /// What each iteration left: its number, the tree as a commit, the prompt, the verdict.
    iterations: Vec<Round>,
    approved_by: Option<u32>,
    evidence: Option<Seq>,
}

struct Round {
    n: u32,
    checkpoint: Option<Oid>,
    prompt: Option<Digest>,
    verdict: String,
}

impl Service {
    pub(super) fn do_blame(
        &self,
        request: &v1::BlameRequest,
    ) -> Result<v1::BlameResponse, ApiError> {
        let (repo, root) = self.repository(&request.repository)?;
        let error = |it: taskd_git::GitError| ApiError::of(it.code(), &it);
        let path = Path::new(&request.path);
        let here = root.join(path);
        let small =
            std::fs::metadata(&here).is_ok_and(|it| it.is_file() && it.len() < MAX_FILE_BYTES);
        let text = small.then(|| std::fs::read(&here).ok()).flatten();
        let found = repo.blame_line(path, request.line, text.as_deref()).map_err(error)?;
        let Some(line) = found else {
            let what = format!("{}:{} is not a line git knows", request.path, request.line);
            return Err(ApiError::new(codes::NOT_FOUND, what).hint("git ls-files"));
        };
        let Some(commit) = line.commit else { return Ok(v1::BlameResponse::default()) };
        let about = repo.commit_summary(commit).map_err(error)?;
        let message = repo.message(commit).map_err(error)?;
        let mut answer = v1::BlameResponse {
            commit: commit.to_string(),
            summary: about.summary,
            author: about.author,
            ..v1::BlameResponse::default()
        };
        let Some(name) = trailer(&message, LOOP_TRAILER) else { return Ok(answer) };
        answer.name = name.to_owned();
        answer.plan = trailer(&message, PLAN_TRAILER).unwrap_or_default().to_owned();
        let mut whole = message.clone();
        if let Some((id, landed)) = self.loop_of(&repo, name, commit)? {
            // A commit of one iteration says less than the one it landed with.
            whole = repo.message(landed).map_err(error)?;
            self.tell_of(&mut answer, id, &repo, &line, commit)?;
        }
        answer.gate = trailer(&whole, GATE_TRAILER).map(read_gate).unwrap_or_default();
        Ok(answer)
    }

    /// The loop of this name, if this store landed the commit, and the commit that says the whole.
    fn loop_of(
        &self,
        repo: &Repo,
        name: &str,
        commit: Oid,
    ) -> Result<Option<(LoopId, Oid)>, ApiError> {
        let is_in = |landed: Oid, onto: Oid| {
            let within = |it: Oid| repo.ancestor_of(commit, it).unwrap_or(false);
            landed == commit || (within(landed) && !within(onto))
        };
        let ids: Vec<LoopId> = {
            let view = self.ctx().hub.view();
            let is_it = |it: &&taskd_model::LoopView| it.name == name;
            view.loops.values().filter(is_it).map(|it| it.id).collect()
        };
        for id in ids {
            let mut ours = None;
            for record in self.ctx().events_of(id) {
                let event = record.map_err(|it| internal(&it))?.event;
                if let Event::QueueLeft { end: QueueEnd::Done { commit: it, onto, .. }, .. } = event
                    && is_in(it, onto)
                {
                    ours = Some((id, it));
                }
            }
            if ours.is_some() {
                return Ok(ours);
            }
        }
        Ok(None)
    }

    fn tell_of(
        &self,
        answer: &mut v1::BlameResponse,
        id: LoopId,
        repo: &Repo,
        line: &BlamedLine,
        commit: Oid,
    ) -> Result<(), ApiError> {
        let doc = self.ctx().hub.view().loops[&id].doc;
        let spec: SpecDoc = self.ctx().doc(&doc).map_err(ApiError::from)?;
        answer.task = spec.text;
        let story = self.story(id)?;
        answer.evidence = story.evidence.map(|it| it.0);
        answer.approved_by = story.approved_by;
        let written = iteration_of(repo, &story, line, commit);
        if let Some(it) = written.map_err(|it| ApiError::of(it.code(), &it))? {
            answer.iteration = it.n;
            answer.prompt = it.prompt.map(|it| it.to_string()).unwrap_or_default();
        }
        answer.verdicts = story
            .iterations
            .iter()
            .map(|it| format!("iteration {}: {}", it.n, it.verdict))
            .collect();
        Ok(())
    }

    /// What the log says of a loop.
    fn story(&self, id: LoopId) -> Result<Story, ApiError> {
        let mut story = Story::default();
        for record in self.ctx().events_of(id) {
            story.take(record.map_err(|it| internal(&it))?);
        }
        Ok(story)
    }
}

impl Story {
    #[expect(clippy::wildcard_enum_match_arm, reason = "few events say who wrote a line")]
    fn take(&mut self, record: Record) {
        match record.event {
            Event::IterationStarted { n } => self.iterations.push(Round {
                n,
                checkpoint: None,
                prompt: None,
                verdict: "not judged".to_owned(),
            }),
            Event::EffectEnded { outcome: Outcome::Composed { request, .. }, .. } => {
                if let Some(it) = self.iterations.last_mut() {
                    it.prompt.get_or_insert(request);
                }
            }
            Event::EffectEnded { outcome: Outcome::Gated { checkpoint, .. }, .. } => {
                if let Some(it) = self.iterations.last_mut() {
                    it.checkpoint = Some(checkpoint);
                }
            }
            Event::IterationEnded { n, verdict, summary, .. } => {
                if let Some(it) = self.iterations.iter_mut().rev().find(|it| it.n == n) {
                    let summary = if summary.is_empty() { summary } else { format!(", {summary}") };
                    it.verdict = format!("{verdict}{summary}");
                }
            }
            Event::Approved => {
                if let Actor::Person { uid, .. } = record.actor {
                    self.approved_by = Some(uid);
                }
            }
            Event::QueueLeft {
                op: QueueOp::Land(_), end: QueueEnd::Done { evidence, .. }, ..
            } => {
                self.evidence = Some(evidence.seq);
            }
            _ => {}
        }
    }
}

/// The iteration that left the line as it is: the first whose files have it, of those that have it
/// without a break up to the last. A line that only the landing made is the last one's.
fn iteration_of<'a>(
    repo: &Repo,
    story: &'a Story,
    line: &BlamedLine,
    commit: Oid,
) -> Result<Option<&'a Round>, taskd_git::GitError> {
    let path = Path::new(&line.path);
    let mut written = None;
    let mut at = (commit, line.line);
    for it in story.iterations.iter().rev() {
        let Some(checkpoint) = it.checkpoint else { continue };
        match repo.same_line((at.0, checkpoint), path, at.1)? {
            Some(line) => at = (checkpoint, line),
            None if written.is_none() => {}
            None => break,
        }
        written = Some(it);
    }
    Ok(written)
}
