//! Verbs: what a person does to loops. All of them or none, and each is told what became of it.

use taskd_api::{ApiError, codes, v1};
use taskd_core::{BucketRow, BucketState, Rejected};
use taskd_model::{
    Actor, Command, Input, LoopId, LoopView, PlanId, Reason, Seq, Status, Target, View,
    inbox_number,
};

use super::{Service, in_scope, internal, queue::is_of, unresolved};
use crate::problem;

impl Service {
    pub(super) async fn do_act(
        &self,
        actor: Actor,
        mut request: v1::ActRequest,
    ) -> Result<v1::ActResponse, ApiError> {
        let verb = request.verb();
        let to_loops = of_loops(verb, &request) && !self.plans_again(&request);
        if request.unchanged_since.is_some() && !to_loops {
            let what = "`unchanged_since` is for what is done to loops by their names";
            return Err(ApiError::new(codes::INVALID, what));
        }
        let undivided = matches!(verb, v1::Verb::Park | v1::Verb::Unpark | v1::Verb::Forget);
        if request.dry_run && undivided {
            return Err(ApiError::new(
                codes::INVALID,
                "`dry_run` says nothing of what is done to all",
            ));
        }
        let credentials = std::mem::take(&mut request.credentials);
        if !request.dry_run {
            self.ctx().take_credentials(credentials);
        }
        match verb {
            v1::Verb::Unspecified => Err(ApiError::new(codes::INVALID, "no verb was given")),
            v1::Verb::Park => self.whole(actor, Command::Park).await,
            v1::Verb::Unpark => self.whole(actor, Command::Unpark).await,
            v1::Verb::Forget => self.forget(actor, &request.ids).await,
            v1::Verb::Budget => self.budget(actor, &request).await,
            v1::Verb::Reset => self.reset(actor, &request).await,
            v1::Verb::Answer => self.answer(actor, &request).await,
            v1::Verb::Land | v1::Verb::Reject if names_items(&request) => {
                self.decide(actor, &request).await
            }
            v1::Verb::Hold | v1::Verb::Release if request.all => {
                self.arrange_all(actor, verb, &request).await
            }
            v1::Verb::Move => self.move_queue(actor, &request).await,
            v1::Verb::Sync => self.sync(actor, &request).await,
            v1::Verb::Branch => self.branch(&request).await,
            v1::Verb::Retry => self.retry(actor, request).await,
            v1::Verb::Reject if self.plans_again(&request) => self.retry(actor, request).await,
            v1::Verb::Pause
            | v1::Verb::Resume
            | v1::Verb::Stop
            | v1::Verb::Land
            | v1::Verb::Reject
            | v1::Verb::Hold
            | v1::Verb::Release
            | v1::Verb::Note => self.loops_verb(actor, verb, request).await,
        }
    }

    async fn whole(&self, actor: Actor, command: Command) -> Result<v1::ActResponse, ApiError> {
        let seq = self.command(actor, command).await?;
        Ok(v1::ActResponse { results: Vec::new(), seq })
    }

    pub(super) async fn command(&self, actor: Actor, command: Command) -> Result<u64, ApiError> {
        self.hand_in(actor, command).await?.map_err(|it| refused(&it))
    }

    /// Hands a command to the coordinator, which takes it, with its place in the log, or refuses.
    pub(super) async fn hand_in(
        &self,
        actor: Actor,
        command: Command,
    ) -> Result<Result<u64, Rejected>, ApiError> {
        let reply = self.ctx().handle.input(Input::Command { actor, command }).await;
        Ok(reply.map_err(|it| internal(&it))?.map(|seq| seq.0))
    }

    async fn loops_verb(
        &self,
        actor: Actor,
        verb: v1::Verb,
        request: v1::ActRequest,
    ) -> Result<v1::ActResponse, ApiError> {
        let picked = self.pick(verb, &request)?;
        if picked.is_empty() && !request.all {
            return Err(ApiError::new(codes::INVALID, "no loop or plan was named").hint("taskd ls"));
        }
        let writes: Vec<LoopId> = {
            let view = self.ctx().hub.view();
            let ids = picked.iter().map(|it| it.2);
            ids.filter(|it| view.loops.get(it).is_some_and(|it| it.writes)).collect()
        };
        let results = |done: bool| {
            let row = |it: &(String, String, LoopId)| {
                let document = verb == v1::Verb::Land && writes.contains(&it.2);
                let message = match done {
                    true if verb == v1::Verb::Note && request.now => "told; its turn ends for it",
                    true if document => "will be taken apart: what it names is worked on",
                    true => promise(verb),
                    false => "would change",
                };
                let (id, name) = (it.0.clone(), it.1.clone());
                v1::ActResult { id, name, done, message: message.to_owned(), error: None }
            };
            picked.iter().map(row).collect()
        };
        if request.dry_run {
            return Ok(v1::ActResponse { results: results(false), seq: 0 });
        }
        if verb == v1::Verb::Resume && request.all {
            self.command(actor, Command::Unpark).await?;
        }
        let ids: Vec<LoopId> = picked.iter().map(|it| it.2).collect();
        if matches!(verb, v1::Verb::Resume | v1::Verb::Reject) {
            self.tell_edits(actor, &ids).await;
        }
        let mut seq = self.ctx().hub.head().0;
        // The first of several commands to the same loops changes them.
        let mut since = request.unchanged_since.map(Seq);
        for command in self.commands(verb, ids.clone(), &request)? {
            let command = match since.take() {
                Some(since) => {
                    Command::IfUnchanged { ids: ids.clone(), since, then: Box::new(command) }
                }
                None => command,
            };
            seq = self.command(actor, command).await?;
        }
        Ok(v1::ActResponse { results: results(true), seq })
    }

    fn commands(
        &self,
        verb: v1::Verb,
        ids: Vec<LoopId>,
        request: &v1::ActRequest,
    ) -> Result<Vec<Command>, ApiError> {
        let text = &request.text;
        let note = || {
            if text.trim().is_empty() {
                return Err(ApiError::new(codes::INVALID, "the text is empty").hint("-m \"...\""));
            }
            self.ctx().store.queue_blob(text.as_bytes().to_vec()).map_err(|it| internal(&it))
        };
        Ok(match verb {
            _ if ids.is_empty() => Vec::new(),
            v1::Verb::Pause => vec![Command::Pause(ids)],
            v1::Verb::Resume => vec![Command::Resume(ids)],
            v1::Verb::Stop => vec![Command::Stop(ids)],
            v1::Verb::Land => vec![Command::Land(ids)],
            v1::Verb::Hold => vec![Command::HoldQueue { ids, projects: Vec::new() }],
            v1::Verb::Release => vec![Command::ReleaseQueue { ids, projects: Vec::new() }],
            v1::Verb::Reject => {
                let note = note()?;
                ids.into_iter().map(|id| Command::Reject { id, note }).collect()
            }
            v1::Verb::Note => {
                let note = note()?;
                ids.into_iter().map(|id| Command::Note { id, note, now: request.now }).collect()
            }
            v1::Verb::Unspecified
            | v1::Verb::Park
            | v1::Verb::Unpark
            | v1::Verb::Forget
            | v1::Verb::Budget
            | v1::Verb::Reset
            | v1::Verb::Move
            | v1::Verb::Sync
            | v1::Verb::Branch
            | v1::Verb::Retry
            | v1::Verb::Answer => Vec::new(),
        })
    }

    /// The loops a request means: as typed, what it is called, which one. A plan stands for those
    /// of its loops the verb can do something to; a loop named by itself is taken as it is, so that
    /// the core says why it refuses.
    pub(super) fn pick(
        &self,
        verb: v1::Verb,
        request: &v1::ActRequest,
    ) -> Result<Vec<(String, String, LoopId)>, ApiError> {
        let view = self.ctx().hub.view();
        if request.all {
            let plans = in_scope(self.ctx(), &view, &request.scope)?;
            let loops = plans.iter().flat_map(|plan| of_plan(&view, *plan, verb));
            return Ok(loops.map(|it| (it.name.clone(), it.name.clone(), it.id)).collect());
        }
        let mut picked: Vec<(String, String, LoopId)> = Vec::new();
        for id in &request.ids {
            let found = match view.resolve(id).map_err(unresolved)? {
                Target::Loop(one) => vec![&view.loops[&one]],
                Target::Plan(plan) => {
                    let some: Vec<_> = of_plan(&view, plan, verb).collect();
                    if some.is_empty() {
                        let what = format!("no loop of {id} can be {}", done_word(verb));
                        let hint = format!("taskd show {id}");
                        return Err(ApiError::new(codes::REFUSED, what).hint(hint));
                    }
                    some
                }
            };
            for it in found {
                if !picked.iter().any(|(_, _, known)| *known == it.id) {
                    picked.push((id.clone(), it.name.clone(), it.id));
                }
            }
        }
        Ok(picked)
    }

    /// Says of models, or of all models of providers, that they are well again.
    async fn reset(
        &self,
        actor: Actor,
        request: &v1::ActRequest,
    ) -> Result<v1::ActResponse, ApiError> {
        let buckets = self.ctx().handle.ask(|core, now| core.buckets(now)).await;
        let buckets = buckets.map_err(|it| internal(&it))?;
        let mut named: Vec<(&String, &BucketRow)> = Vec::new();
        for id in &request.ids {
            let of_it = |it: &&BucketRow| it.name == *id || is_of(&it.name, id);
            let before = named.len();
            named.extend(buckets.iter().filter(of_it).map(|it| (id, it)));
            if named.len() == before {
                return Err(self.never_called(id, &buckets));
            }
        }
        let mut response = v1::ActResponse { seq: self.ctx().hub.head().0, results: Vec::new() };
        for (id, it) in named {
            let (done, message) = after_reset(it, request.refusals);
            if done && !request.dry_run {
                let (bucket, refusals) = (it.name.clone(), request.refusals);
                let command = Command::ResetCalls { bucket, refusals };
                response.seq = self.command(actor, command).await?;
            }
            response.results.push(v1::ActResult {
                id: id.clone(),
                name: it.name.clone(),
                done: done && !request.dry_run,
                message: would(done && request.dry_run, message.to_owned()),
                error: None,
            });
        }
        Ok(response)
    }

    /// A name that is no bucket: an unknown one, or one that nobody called.
    fn never_called(&self, id: &str, buckets: &[BucketRow]) -> ApiError {
        let shown: String = id.chars().take(60).collect();
        let provider = id.split('/').next().unwrap_or_default();
        if self.ctx().models.catalog().provider(provider).is_some() {
            let what = format!("{shown} was not called yet, so there is nothing to reset");
            return ApiError::new(codes::NOT_FOUND, what).hint("taskd queue");
        }
        let providers = self.ctx().models.catalog().providers().map(|it| it.name.as_str());
        let known: Vec<&str> = buckets.iter().map(|it| it.name.as_str()).chain(providers).collect();
        let what = format!("there is no model and no provider `{shown}`");
        ApiError::new(codes::NOT_FOUND, what).hint(problem::suggest(id, &known))
    }

    async fn forget(&self, actor: Actor, paths: &[String]) -> Result<v1::ActResponse, ApiError> {
        let mut response = v1::ActResponse::default();
        for path in paths {
            let id = {
                let view = self.ctx().hub.view();
                let canonical = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
                let canonical = canonical.to_string_lossy().into_owned();
                let mut known = view.projects.iter().filter(|(_, it)| !it.forgotten);
                known
                    .find(|(_, it)| it.root == canonical || it.git_dir == canonical)
                    .map(|it| *it.0)
            };
            let Some(id) = id else {
                let what = format!("{path} is no project of this daemon");
                return Err(ApiError::new(codes::NOT_FOUND, what).hint("taskd projects ls"));
            };
            response.seq = self.command(actor, Command::ForgetProject(id)).await?;
            response.results.push(v1::ActResult {
                id: path.clone(),
                name: path.clone(),
                done: true,
                message: "forgotten".to_owned(),
                error: None,
            });
        }
        Ok(response)
    }
}

/// What is told of something that was done; of a dry run that it would be so.
pub(super) fn would(dry_run: bool, message: String) -> String {
    if dry_run { format!("would be: {message}") } else { message }
}

/// Whether a reset changes anything, and what is told about it.
fn after_reset(it: &BucketRow, refusals: bool) -> (bool, &'static str) {
    match it.state {
        BucketState::LeftAlone { .. } => (true, "well again: calls go, beginning with two"),
        BucketState::Refused { .. } if refusals => (true, "well again: calls go, one at first"),
        BucketState::Refused { .. } => {
            (false, "its provider refuses for now; --refusals asks it all the same")
        }
        BucketState::Open | BucketState::Ramping { .. } => (false, "calls go through already"),
    }
}

/// Loops of a plan a verb can do something to.
fn of_plan(view: &View, plan: PlanId, verb: v1::Verb) -> impl Iterator<Item = &LoopView> {
    view.loops_of(plan).filter(move |it| applies(verb, it))
}

fn applies(verb: v1::Verb, it: &LoopView) -> bool {
    let alive = !it.status.is_over();
    match verb {
        v1::Verb::Pause => alive && !matches!(it.status, Status::Paused | Status::Blocked),
        v1::Verb::Resume => {
            matches!(it.status, Status::Paused | Status::Blocked) || (alive && it.pausing)
        }
        v1::Verb::Stop | v1::Verb::Note | v1::Verb::Hold | v1::Verb::Release => alive,
        v1::Verb::Land | v1::Verb::Reject => alive && it.passed.is_some(),
        v1::Verb::Unspecified
        | v1::Verb::Park
        | v1::Verb::Unpark
        | v1::Verb::Forget
        | v1::Verb::Budget
        | v1::Verb::Reset
        | v1::Verb::Move
        | v1::Verb::Sync
        | v1::Verb::Branch
        | v1::Verb::Answer => false,
        v1::Verb::Retry => {
            let ended = matches!(it.status, Status::Blocked | Status::Failed | Status::Stopped);
            let fits = it.reason != Some(Reason::NeedFailed) && !it.is_superseded();
            ended && it.landed.is_none() && fits
        }
    }
}

/// What a verb has set going; it is done at the next safe point, or when it is its turn.
fn promise(verb: v1::Verb) -> &'static str {
    match verb {
        v1::Verb::Pause => "pauses at the next safe point",
        v1::Verb::Stop => "stops; its work is kept",
        v1::Verb::Land => "will land",
        v1::Verb::Hold => "held: not brought anywhere until taskd queue release",
        v1::Verb::Release => "released: it has its turn again",
        v1::Verb::Unspecified
        | v1::Verb::Resume
        | v1::Verb::Reject
        | v1::Verb::Note
        | v1::Verb::Park
        | v1::Verb::Unpark
        | v1::Verb::Forget
        | v1::Verb::Budget
        | v1::Verb::Reset
        | v1::Verb::Move
        | v1::Verb::Sync
        | v1::Verb::Branch
        | v1::Verb::Retry
        | v1::Verb::Answer => done_word(verb),
    }
}

fn done_word(verb: v1::Verb) -> &'static str {
    match verb {
        v1::Verb::Pause => "paused",
        v1::Verb::Resume => "resumed",
        v1::Verb::Stop => "stopped",
        v1::Verb::Land => "landed",
        v1::Verb::Reject => "sent back",
        v1::Verb::Note => "told",
        v1::Verb::Hold => "held",
        v1::Verb::Release => "released",
        v1::Verb::Move => "moved",
        v1::Verb::Retry => "tried again",
        v1::Verb::Unspecified
        | v1::Verb::Park
        | v1::Verb::Unpark
        | v1::Verb::Forget
        | v1::Verb::Budget
        | v1::Verb::Reset
        | v1::Verb::Sync
        | v1::Verb::Branch
        | v1::Verb::Answer => "done",
    }
}

/// What is meant is in the inbox: `i57`.
fn names_items(request: &v1::ActRequest) -> bool {
    let is_item = |id: &String| id.starts_with('i') && inbox_number(id).is_some();
    !request.ids.is_empty() && request.ids.iter().all(is_item)
}

/// The verb goes to loops that are named, and to nothing else.
fn of_loops(verb: v1::Verb, request: &v1::ActRequest) -> bool {
    !request.all
        && !names_items(request)
        && matches!(
            verb,
            v1::Verb::Pause
                | v1::Verb::Resume
                | v1::Verb::Stop
                | v1::Verb::Land
                | v1::Verb::Reject
                | v1::Verb::Hold
                | v1::Verb::Release
                | v1::Verb::Note
        )
}

pub(super) fn refused(rejected: &Rejected) -> ApiError {
    ApiError::new(rejected.code(), rejected.to_string())
}
