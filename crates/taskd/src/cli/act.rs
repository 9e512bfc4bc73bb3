//! Verbs: what a person does to loops and plans.

use taskd_api::{ApiError, codes, v1};

use super::{
    args::{Amount, DryArgs, RetryArgs, ScopeArgs, SteerArgs, SyncArgs, VerbArgs},
    failure::Done,
    here::Here,
};
use crate::render::{json, text::clean};

/// A verb with ids, or for all.
pub(crate) async fn verb(here: &Here, verb: v1::Verb, args: VerbArgs) -> Done {
    let request = v1::ActRequest {
        verb: verb.into(),
        scope: if args.all { here.scope(args.scope)? } else { String::new() },
        ids: args.ids,
        all: args.all,
        dry_run: args.dry.dry_run,
        ..v1::ActRequest::default()
    };
    act(here, request).await
}

/// A verb that says something.
pub(crate) async fn text(
    here: &Here,
    verb: v1::Verb,
    ids: Vec<String>,
    text: String,
    DryArgs { dry_run }: DryArgs,
) -> Done {
    let verb = verb.into();
    act(here, v1::ActRequest { verb, ids, text, dry_run, ..v1::ActRequest::default() }).await
}

/// Once more, with fresh limits.
pub(crate) async fn retry(here: &Here, args: RetryArgs) -> Done {
    let RetryArgs { ids, from_step: from, message: text, dry: DryArgs { dry_run } } = args;
    let verb = v1::Verb::Retry.into();
    act(here, v1::ActRequest { verb, ids, from, text, dry_run, ..v1::ActRequest::default() }).await
}

/// A word to a loop, or to all of a plan; at once if `now`.
pub(crate) async fn steer(here: &Here, args: SteerArgs) -> Done {
    let SteerArgs { id, text, now, dry: DryArgs { dry_run } } = args;
    let (verb, ids, text) = (v1::Verb::Note.into(), vec![id], text.join(" "));
    act(here, v1::ActRequest { verb, ids, text, now, dry_run, ..v1::ActRequest::default() }).await
}

/// What checkouts hold.
pub(crate) async fn sync(here: &Here, args: SyncArgs) -> Done {
    let request = v1::ActRequest {
        verb: v1::Verb::Sync.into(),
        scope: here.scope(args.scope)?,
        all: args.ids.is_empty(),
        ids: args.ids,
        dry_run: args.dry_run,
        ..v1::ActRequest::default()
    };
    act(here, request).await
}

/// What may be spent, in all or each day.
pub(crate) async fn budget(here: &Here, id: String, amount: Amount, dry: DryArgs) -> Done {
    let mut request = v1::ActRequest {
        verb: v1::Verb::Budget.into(),
        scope: here.scope(ScopeArgs::default())?,
        ids: vec![id],
        dry_run: dry.dry_run,
        ..v1::ActRequest::default()
    };
    match amount {
        Amount::Money(micros) => request.micros = Some(micros),
        Amount::Tokens(tokens) => request.tokens = Some(tokens),
        Amount::None => request.no_budget = true,
    }
    act(here, request).await
}

/// Models are well again.
pub(crate) async fn reset(here: &Here, ids: Vec<String>, refusals: bool, dry: DryArgs) -> Done {
    let (verb, dry_run) = (v1::Verb::Reset.into(), dry.dry_run);
    act(here, v1::ActRequest { verb, ids, refusals, dry_run, ..v1::ActRequest::default() }).await
}

/// Another turn in the landing queue: before that of another loop, or the first.
pub(crate) async fn turn(here: &Here, id: String, before: Option<String>, dry: DryArgs) -> Done {
    let (verb, before) = (v1::Verb::Move.into(), before.unwrap_or_default());
    let (ids, dry_run) = (vec![id], dry.dry_run);
    act(here, v1::ActRequest { verb, ids, before, dry_run, ..v1::ActRequest::default() }).await
}

async fn act(here: &Here, mut request: v1::ActRequest) -> Done {
    let client = here.client().await?;
    if goes_on(request.verb()) && !request.dry_run {
        request.credentials = here.keys(&client.providers().await?);
    }
    let all = request.all;
    let answer = client.act(request).await?;
    here.skew(&client);
    if answer.results.is_empty() && all && !here.out.json {
        here.out.remark("nothing of it applies here");
    }
    let mut exit = 0;
    for it in &answer.results {
        if here.out.json {
            here.out.object(&json::acted(it))?;
        } else if it.error.is_none() {
            let same = it.id == it.name || it.name.is_empty();
            let name = if same { clean(&it.id) } else { clean(&it.name) };
            here.out.print(&format!("{name}  {}\n", clean(&it.message)))?;
        }
        if let Some(error) = &it.error {
            let error = ApiError::from(error.clone());
            exit = if exit == 0 { error.exit } else { exit };
            if !here.out.json {
                let unknown = error.code == codes::NOT_FOUND;
                let name = if unknown { String::new() } else { format!("{}: ", clean(&it.id)) };
                here.out.complain(&format!("error: {name}{}", clean(&error.message)));
                if !error.hint.is_empty() {
                    here.out.complain(&format!("hint: {}", clean(&error.hint)));
                }
            }
        }
    }
    Ok(exit)
}

/// After it loops may call models again, and may have waited for what we can hand over.
fn goes_on(verb: v1::Verb) -> bool {
    matches!(verb, v1::Verb::Resume | v1::Verb::Reject | v1::Verb::Retry)
}
