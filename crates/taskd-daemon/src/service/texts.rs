//! Long texts: logs of gates, agents and conversations, and diffs.

use std::{collections::VecDeque, fmt::Write as _};

use taskd_api::{ApiError, codes, v1};
use taskd_model::{
    Delta, Digest, Event, LoopId, Oid, Outcome, Part, PlanState, Record, Reply, ToolResultDoc,
    View, decode_doc,
};
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::{Items, STREAM_ITEMS, Service, internal};

/// Bytes of a patch that are sent.
const MAX_DIFF_BYTES: usize = 4 << 20;
/// Bytes of one chunk of a log.
const CHUNK_BYTES: usize = 32 << 10;

/// One log of one iteration.
pub(super) struct Section {
    pub(super) iteration: u32,
    pub(super) kind: v1::LogKind,
    pub(super) heading: String,
    /// The effect it is the output of.
    pub(super) effect: u64,
    pub(super) text: String,
}

impl Service {
    pub(super) async fn do_logs(
        &self,
        request: v1::LogsRequest,
    ) -> Result<Items<v1::LogChunk>, ApiError> {
        let id = self.one_loop(&request.id)?;
        let (items, stream) = mpsc::channel(STREAM_ITEMS);
        let mut noise = self.ctx().hub.follow_noise();
        let ((), mut events) = self.ctx().hub.follow(|_| ());
        let this = self.clone();
        let follow = request.follow;
        let sections = super::blocking(move || this.sections(id, &request)).await?;
        let this = self.clone();
        self.0.spawn(async move {
            for section in sections {
                if send_text(&items, section).await.is_err() {
                    return;
                }
            }
            while follow && !this.is_over(id) {
                tokio::select! {
                    said = noise.recv() => match said {
                        Ok(said) if said.loop_id == Some(id) => {
                            let text = match &said.delta {
                                Delta::Text(text) => text.clone(),
                                Delta::Line(line) => format!("{line}\n"),
                            };
                            let data = text.into_bytes();
                            let chunk = v1::LogChunk { data, ..v1::LogChunk::default() };
                            if items.send(Ok(chunk)).await.is_err() {
                                return;
                            }
                        }
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return,
                    },
                    event = events.recv() => if matches!(event, Err(RecvError::Closed)) {
                        return;
                    },
                    () = items.closed() => return,
                }
            }
        });
        Ok(ReceiverStream::new(stream))
    }

    fn is_over(&self, id: LoopId) -> bool {
        self.ctx().hub.view().loops.get(&id).is_none_or(|it| it.status.is_over())
    }

    /// The logs a request asks for, oldest first.
    fn sections(&self, id: LoopId, request: &v1::LogsRequest) -> Result<Vec<Section>, ApiError> {
        let wanted = request.kind();
        let mut sections = match wanted {
            v1::LogKind::Prompt => self.sent(id, request)?,
            v1::LogKind::Unspecified
            | v1::LogKind::Gate
            | v1::LogKind::Agent
            | v1::LogKind::Tools => self.all_sections(id)?,
        };
        let is_kind = |it: &Section| wanted == v1::LogKind::Unspecified || it.kind == wanted;
        sections.retain(|it| {
            is_kind(it) && (request.iteration == 0 || it.iteration == request.iteration)
        });
        if request.tail_bytes != 0 {
            let mut left = usize::try_from(request.tail_bytes).unwrap_or(usize::MAX);
            let mut kept = VecDeque::new();
            while let Some(mut section) = sections.pop()
                && 0 < left
            {
                let from = section.text.len().saturating_sub(left);
                let from = (from..=section.text.len())
                    .find(|at| section.text.is_char_boundary(*at))
                    .unwrap_or(0);
                section.text.drain(..from);
                left = left.saturating_sub(section.text.len());
                kept.push_front(section);
            }
            sections = kept.into();
        }
        Ok(sections)
    }

    fn all_sections(&self, id: LoopId) -> Result<Vec<Section>, ApiError> {
        let mut sections = Vec::new();
        let mut iteration = 0;
        for record in self.ctx().events_of(id) {
            let record = record.map_err(|it| internal(&it))?;
            if let Event::IterationStarted { n } = record.event {
                iteration = n;
            }
            sections.extend(self.section(&record, iteration)?);
        }
        let ended = |view: &View| view.plans[&id.plan()].state == PlanState::Ended;
        let is_cut = sections.is_empty() && ended(&self.ctx().hub.view());
        if is_cut && self.ctx().events_of(id).next().is_none() {
            let name = self.ctx().hub.view().loop_name(id);
            let what = format!("{name} is older than what the log keeps (gc.history)");
            return Err(ApiError::new(codes::NOT_FOUND, what).hint(format!("taskd show {name}")));
        }
        Ok(sections)
    }

    /// What a tool said.
    fn result(&self, digest: &Digest) -> Result<String, ApiError> {
        let text = self.text(digest)?;
        let doc = decode_doc::<ToolResultDoc>(text.as_bytes());
        Ok(doc.map_or(text, |it| it.text))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most outcomes have no text to show")]
    fn section(&self, record: &Record, iteration: u32) -> Result<Option<Section>, ApiError> {
        if let Event::QuestionAnswered { effect, result: Some(result), .. } = &record.event {
            let (kind, text) = (v1::LogKind::Tools, self.result(result)?);
            let heading = format!("iteration {iteration}, answer");
            return Ok(Some(Section { iteration, kind, heading, effect: effect.0.0, text }));
        }
        let Event::EffectEnded { effect, outcome } = &record.event else { return Ok(None) };
        let (kind, what, text) = match outcome {
            Outcome::AcceptRan { log, .. } => {
                (v1::LogKind::Gate, "accept, before any work", self.text(log)?)
            }
            Outcome::Gated { report: Some(report), .. } | Outcome::CandidateGated(report) => {
                (v1::LogKind::Gate, "gate", self.text(&report.log)?)
            }
            Outcome::AgentDone { log, .. } => (v1::LogKind::Agent, "agent", self.text(log)?),
            Outcome::Replied { found: Some(found), .. } => {
                (v1::LogKind::Gate, "second reader", self.text(&found.log)?)
            }
            Outcome::Replied { reply, .. } => {
                (v1::LogKind::Agent, "model", reply_text(&self.text(reply)?))
            }
            Outcome::ToolDone { result, .. } => (v1::LogKind::Tools, "tool", self.result(result)?),
            Outcome::Asks { question } => (v1::LogKind::Tools, "question", question.text.clone()),
            Outcome::Failed { message, .. } => (v1::LogKind::Agent, "failed", message.clone()),
            _ => return Ok(None),
        };
        let heading = format!("iteration {iteration}, {what}");
        Ok(Some(Section { iteration, kind, heading, effect: effect.0.0, text }))
    }

    pub(super) fn text(&self, blob: &Digest) -> Result<String, ApiError> {
        let bytes = self.ctx().store.get_blob(blob).map_err(|it| internal(&it))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn do_diff(&self, request: &v1::DiffRequest) -> Result<v1::DiffResponse, ApiError> {
        let id = self.one_loop(&request.id)?;
        let (base, work, project, suspicion) = {
            let view = self.ctx().hub.view();
            let it = &view.loops[&id];
            let plan = &view.plans[&id.plan()];
            let landed = it.landed.as_ref().map(|it| (it.onto, it.commit));
            let work = it.passed.as_ref().map(|it| it.checkpoint).or(it.checkpoint);
            let (base, work) = landed.unwrap_or((it.base.commit, work.unwrap_or(it.base.commit)));
            let suspicion = it.suspicion.as_ref().map(ToString::to_string);
            (base, work, plan.project, suspicion.unwrap_or_default())
        };
        let named = |text: &str, default: Oid| match (text, text.parse::<Oid>()) {
            ("", _) => Ok::<Oid, ApiError>(default),
            ("base", _) => Ok(base),
            ("work", _) => Ok(work),
            (_, Ok(commit)) => Ok(commit),
            (other, Err(_)) => self.commit_named(id, other),
        };
        let (from, to) = (named(&request.from, base)?, named(&request.to, work)?);
        let (repo, _) = self.ctx().repo(project).map_err(ApiError::from)?;
        let diff =
            repo.diff(from, to, MAX_DIFF_BYTES).map_err(|it| ApiError::of(it.code(), &it))?;
        let text = if request.stat {
            diff.files.iter().fold(String::new(), |mut out, it| {
                _ = writeln!(out, "{} {}  +{} -{}", it.status, it.path, it.added, it.removed);
                out
            })
        } else {
            String::from_utf8_lossy(&diff.text).into_owned()
        };
        let change = v1::Change {
            files: u32::try_from(diff.files.len()).unwrap_or(u32::MAX),
            added: diff.added,
            removed: diff.removed,
        };
        Ok(v1::DiffResponse {
            text,
            change: Some(change),
            from: from.to_string(),
            to: to.to_string(),
            truncated: diff.truncated && !request.stat,
            suspicion,
        })
    }
}

/// A reply as people read it: what was said, and which tools were asked for.
fn reply_text(json: &str) -> String {
    let Ok(reply) = decode_doc::<Reply>(json.as_bytes()) else { return json.to_owned() };
    let mut out = String::new();
    for part in &reply.parts {
        match part {
            Part::Text { text } => _ = writeln!(out, "{text}"),
            Part::ToolUse { name, args, .. } => _ = writeln!(out, "-> {name} {args}"),
            Part::ToolResult { .. } | Part::Opaque { .. } => {}
        }
    }
    out
}

type Sender = mpsc::Sender<Result<v1::LogChunk, tonic::Status>>;

async fn send_text(items: &Sender, section: Section) -> Result<(), ()> {
    let Section { mut heading, mut effect, text, .. } = section;
    let mut rest = text.as_str();
    loop {
        // Each piece is text of its own: no character is cut in two.
        let (now, later) = rest.split_at(rest.floor_char_boundary(CHUNK_BYTES));
        let (heading, effect) = (std::mem::take(&mut heading), std::mem::take(&mut effect));
        let chunk = v1::LogChunk { data: now.as_bytes().to_vec(), heading, effect };
        items.send(Ok(chunk)).await.map_err(|_| ())?;
        if later.is_empty() {
            return Ok(());
        }
        rest = later;
    }
}
