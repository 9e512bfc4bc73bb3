//! The first prompt of a submission, composed as a loop's own would be. Nothing is stored, no
//! worktree is made, and no tool server is started.

use std::sync::Arc;

use taskd_api::{ApiError, codes, v1};
use taskd_git::Repo;
use taskd_model::{AgentDoc, Part, PlanId, Request};

use super::{Draft, Look, internal};
use crate::{
    prompt::{Left, Prompt, Scene, estimate_tokens, uses},
    runner::{Asked, Context, composed, instructions_at},
};

/// Composes the prompt, or says what is wrong with the submission.
pub(crate) async fn render(
    ctx: &Arc<Context>,
    request: v1::RenderPromptRequest,
) -> Result<v1::RenderPromptResponse, ApiError> {
    let ctx = Arc::clone(ctx);
    let looked = tokio::task::spawn_blocking(move || {
        let submission = request.submission.unwrap_or_default();
        let look = Look { only_told: true, ..Look::new(&ctx, submission) };
        match look.draft()? {
            Ok(draft) => first_prompt(&ctx, &draft, &request.spec),
            Err(v1::SubmitResponse { problems, .. }) => {
                Ok(v1::RenderPromptResponse { problems, ..v1::RenderPromptResponse::default() })
            }
        }
    });
    looked.await.map_err(|it| internal(&it))?
}

fn first_prompt(
    ctx: &Context,
    draft: &Draft,
    wanted: &str,
) -> Result<v1::RenderPromptResponse, ApiError> {
    let mut specs = draft.specs.iter();
    let found = specs.find(|it| wanted.is_empty() || it.1.name == wanted);
    let Some((head, spec)) = found else {
        let names: Vec<&str> = draft.specs.iter().map(|it| it.1.name.as_str()).collect();
        let what = format!("the plan has no spec `{wanted}`; it has {}", names.join(", "));
        return Err(ApiError::new(codes::NOT_FOUND, what));
    };
    let repo = Repo::new(&draft.probe.git_dir, &ctx.tag, "/nonexistent")
        .map_err(|it| ApiError::of(it.code(), &it))?;
    let instructions = instructions_at(&repo, draft.head.base);
    let next = ctx.hub.view().plans.keys().next_back().map_or(1, |it| it.0 + 1);
    // The names they would have if it were submitted now.
    let name_of = |name: &str| format!("{}.{name}", PlanId(next));
    let of_need = |n: &u16| {
        let (_, it) = &draft.specs[usize::from(*n)];
        Left { name: name_of(&it.name), title: it.title.clone(), said: String::new() }
    };
    let needs: Vec<Left> = head.needs.iter().map(of_need).collect();
    let scene = Scene {
        plan: &draft.doc,
        spec,
        gate: &draft.doc.gate,
        iteration: 1,
        max_iterations: head.limits.iterations,
        last: None,
        history: &[],
        messages: &[],
        needs: &needs,
        conflicts: &[],
        reviewed: 0,
        instructions: instructions.as_deref(),
    };
    let model = match &spec.agent {
        AgentDoc::Model { name } => name.as_str(),
        AgentDoc::Agent { .. } => "",
    };
    let loop_name = name_of(&spec.name);
    let asked =
        Asked { loop_name: &loop_name, model, served: &[], turns: &[], most_tokens: [None; 2] };
    let prompt = composed(ctx, &scene, &asked).map_err(ApiError::from)?.prompt;
    let bytes = prompt.bytes().len();
    let mut answer = v1::RenderPromptResponse {
        problems: draft.response.problems.clone(),
        spec: spec.name.clone(),
        type_name: spec.loop_type.name.clone(),
        origin: spec.loop_type.origin.clone(),
        worker: head.worker.to_string(),
        bytes: bytes as u64,
        tokens: estimate_tokens(bytes),
        servers: spec.loop_type.mcp.keys().cloned().collect(),
        ..v1::RenderPromptResponse::default()
    };
    if !needs.is_empty() && uses(&spec.loop_type, "needs") {
        let message =
            "what the specs it needs leave it is known when they are done, and not in here";
        let problem =
            v1::Problem { message: message.to_owned(), warning: true, ..Default::default() };
        answer.problems.push(problem);
    }
    match prompt {
        Prompt::Text(text) => answer.prompt = text,
        Prompt::Request(request) => {
            answer.system.clone_from(&request.system);
            answer.prompt = first_text(&request);
            answer.tools = request.tools.into_iter().map(|it| it.name).collect();
        }
    }
    Ok(answer)
}

/// What a request begins with: the prompt.
fn first_text(request: &Request) -> String {
    let parts = request.messages.first().map(|it| it.content.as_slice()).unwrap_or_default();
    match parts.first() {
        Some(Part::Text { text }) => text.clone(),
        Some(Part::ToolUse { .. } | Part::ToolResult { .. } | Part::Opaque { .. }) | None => {
            String::new()
        }
    }
}
