//! Taking a plan: everything is looked up and checked before anything is stored.
//!
//! Reads the repository, the configuration and the loop types; hands the core one command. What is
//! wrong comes back as problems with line and column, all of them at once.

mod accept;
mod again;
mod agents;
mod base;
mod document;
mod elsewhere;
mod gate;
mod mode;
mod remote;
mod render;
mod trust;
mod types;
mod worker;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use taskd_api::{ApiError, codes, v1};
use taskd_git::{Probe, Repo, probe};
use taskd_model::{
    Actor, AgentDoc, ArtifactDoc, Command, Digest, DocumentHead, GateDoc, Input, LandPolicy,
    LoopLimits, Oid, PlanDoc, PlanHead, Priority, ProjectId, SpecDoc, SpecHead, Trace, TypeDoc,
    Worker, encode_doc,
};
use taskd_tools::agents::Presets;

use self::base::Base;
use crate::{
    config::Config,
    loop_type::{self, Types},
    models,
    plan_file::{self, Document, PlanFile, PlanKeys, PlanRequest, PlanSpec},
    problem::Problem,
    projects::{self, Registered},
    runner::{Context, chain},
};

pub(crate) use render::render;

pub(crate) use again::Apart;
pub(crate) use document::take_apart;

/// The spec of a plan that came as one sentence.
const SINGLE_SPEC: &str = "task";
/// The loop type of a document that names no spec: somebody has yet to make a plan of it.
const PLAN_TYPE: &str = "plan";
/// Longest title of a plan that came as one sentence, in characters.
const MAX_TITLE_CHARS: usize = 100;
/// Most bytes of globs of what one spec touches: they are part of an event.
const MAX_TOUCHES_BYTES: usize = 1_000;

/// Everything that was found out about a submission.
struct Draft {
    probe: Probe,
    head: PlanHead,
    doc: PlanDoc,
    specs: Vec<(SpecHead, SpecDoc)>,
    response: v1::SubmitResponse,
}

/// Takes a plan or says what is wrong with it.
pub(crate) async fn submit(
    ctx: &Arc<Context>,
    (actor, trace): (Actor, Option<Trace>),
    request: v1::SubmitRequest,
) -> Result<v1::SubmitResponse, ApiError> {
    let (check_only, try_accept) = (request.check_only, request.try_accept);
    let credentials = request.credentials.clone();
    let looker = Arc::clone(ctx);
    let looked =
        tokio::task::spawn_blocking(move || Look { trace, ..Look::new(&looker, request) }.draft())
            .await;
    let mut draft = match looked.map_err(|it| internal(&it))?? {
        Ok(draft) => draft,
        Err(response) => return Ok(response),
    };
    let fallback = |head: &SpecHead| head.fallback.clone().into_iter().map(Worker::Model);
    let of_spec = |(head, doc): &(SpecHead, SpecDoc)| {
        let workers = [head.worker.clone()].into_iter().chain(fallback(head));
        let billing = doc.loop_type.billing;
        workers.map(move |it| (it, billing)).collect::<Vec<_>>()
    };
    let workers: Vec<_> = draft.specs.iter().flat_map(of_spec).collect();
    let workers = workers.iter().map(|(it, billing)| (it, *billing));
    draft.response.payers = models::payers(ctx, Some(&draft.probe.root), &credentials, workers);
    if check_only {
        return Ok(if try_accept { check(ctx, draft).await } else { draft.response });
    }
    ctx.take_credentials(credentials);
    store(ctx, actor, draft).await
}

/// What would be submitted, with what `accept` says of the base.
async fn check(ctx: &Context, mut draft: Draft) -> v1::SubmitResponse {
    if let Err(trouble) = accept::colour(ctx, &mut draft).await {
        let message = format!("`accept` could not be tried: {}", trouble.told());
        let problem = v1::Problem { message, warning: true, ..v1::Problem::default() };
        draft.response.problems.push(problem);
    }
    draft.response
}

fn internal(error: &dyn std::error::Error) -> ApiError {
    ApiError::of(codes::INTERNAL, error)
}

/// Stores the documents and hands in the command.
async fn store(
    ctx: &Arc<Context>,
    actor: Actor,
    draft: Draft,
) -> Result<v1::SubmitResponse, ApiError> {
    let Registered { id: project, moved } = projects::register(ctx, actor, &draft.probe).await?;
    let Draft { mut head, doc, specs, mut response, .. } = draft;
    if let Some(it) = moved {
        let message =
            format!("this repository was at {}; it is linked to here, with its plans", it.from);
        response.problems.push(v1::Problem { message, warning: true, ..v1::Problem::default() });
    }
    let storing = Arc::clone(ctx);
    // The event that names them comes after them, and is waited for: one sync is enough.
    let stored = tokio::task::spawn_blocking(move || {
        let plan = storing.store.queue_blob(encode_doc(&doc))?;
        let mut heads = Vec::new();
        for (mut head, doc) in specs {
            head.doc = storing.store.queue_blob(encode_doc(&doc))?;
            heads.push(head);
        }
        Ok::<_, taskd_store::StoreError>((plan, heads))
    });
    let (doc, specs) = stored.await.map_err(|it| internal(&it))?.map_err(|it| internal(&it))?;
    head.doc = doc;
    head.project = project;
    let key = head.key;
    let command = Command::SubmitPlan { head: Box::new(head), specs };
    let reply = ctx.handle.input(Input::Command { actor, command }).await;
    match reply.map_err(|it| internal(&it))? {
        Ok(seq) => response.seq = seq.0,
        Err(taskd_core::Rejected::Known(_)) => response.already_known = true,
        Err(other) => return Err(ApiError::new(other.code(), other.to_string())),
    }
    let plan = ctx.handle.ask(move |core, _| core.plan_with_key(&key)).await;
    let plan = plan.map_err(|it| internal(&it))?;
    response.plan = plan.map(|it| it.0);
    if let Some(plan) = plan {
        let view = ctx.hub.view();
        response.names = view.loops_of(plan).map(|it| it.name.clone()).collect();
        let trace = view.plans.get(&plan).and_then(|it| it.trace);
        response.trace = trace.map(|it| it.name()).unwrap_or_default();
    }
    Ok(response)
}

/// One look at a submission, with everything it needs.
struct Look<'a> {
    ctx: &'a Context,
    request: v1::SubmitRequest,
    options: v1::SubmitOptions,
    problems: Vec<v1::Problem>,
    /// The presets of agents that count here.
    agents: Presets,
    /// Who works where nobody else says so: whoever wrote the document that names it.
    last_resort: Option<AgentDoc>,
    /// Nothing of it will run, so nobody is asked whether it may.
    only_told: bool,
    /// Commands of the project's that nobody agreed to, and the branch whose files name them.
    wishes: Vec<v1::Wish>,
    target: String,
    /// The trace that the client named.
    trace: Option<Trace>,
}

/// A draft, or an answer that names the problems.
type Looked = Result<Draft, v1::SubmitResponse>;

impl<'a> Look<'a> {
    fn new(ctx: &'a Context, request: v1::SubmitRequest) -> Self {
        let options = request.options.clone().unwrap_or_default();
        let (problems, agents) = (Vec::new(), Presets::default());
        Self {
            ctx,
            request,
            options,
            problems,
            agents,
            last_resort: None,
            only_told: false,
            wishes: Vec::new(),
            target: String::new(),
            trace: None,
        }
    }

    fn problem(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        let (message, hint) = (message.into(), hint.into());
        self.problems.push(v1::Problem { message, hint, ..v1::Problem::default() });
    }

    fn answer(self) -> Result<Looked, ApiError> {
        Ok(Err(self.refusal()))
    }

    fn draft(mut self) -> Result<Looked, ApiError> {
        let probe = probe(Path::new(&self.request.repository))
            .map_err(|it| ApiError::of(it.code(), &it))?;
        let config = self.ctx.config_of(&probe.root).map_err(ApiError::from)?;
        let Some((plan, single)) = self.parse() else { return self.answer() };
        let types = types::load(&self.ctx.paths.config, &probe.root, &mut self.problems);
        self.agents = self.ctx.agents(Some(&probe.root));
        self.problems.extend(agents::remarks(&self.agents));
        let repo = Repo::new(&probe.git_dir, &self.ctx.tag, "/nonexistent")
            .map_err(|it| ApiError::of(it.code(), &it))?;
        let target = self.target(&probe, &plan.head);
        let target = match self.land(&plan.head, &config) {
            LandPolicy::Pr => match remote::target(&repo, &config, &target) {
                Ok(target) => target,
                Err((what, hint)) => {
                    self.problem(what, hint);
                    return self.answer();
                }
            },
            LandPolicy::Never | LandPolicy::Ask | LandPolicy::OnGate => target,
        };
        let base = match repo.tip(&target) {
            Ok(Some(base)) => base,
            Ok(None) => {
                let what = format!("there is no branch `{target}` in {}", probe.root.display());
                self.problem(what, "name one with `target:` or --target");
                return self.answer();
            }
            Err(error) => return Err(ApiError::of(error.code(), &error)),
        };
        self.check_mode(&plan.head, &config);
        if let Err(error) = crate::runner::identity(&repo) {
            self.problem(chain(&error), "commits are made in your name");
        }
        let of_types = self.gates_of_types(&plan, &types, &config);
        let at = Base { repo: &repo, root: &probe.root, target: &target, commit: base };
        let at_base = self.config_of_base(&config, &at);
        let gate = at_base.as_ref();
        let gate = gate.and_then(|it| self.gate(&plan.head, of_types, it, &repo, base));
        let specs = self.specs(&plan, &types, &config, gate.as_ref());
        if let (Some(of_base), Some(gate), false) = (&at_base, &gate, self.only_told) {
            let config = [&*config, &**of_base];
            let (plan, types, specs) = (&plan, &types, specs.as_slice());
            self.ask_trust(&trust::Said { plan, types, config, gate, specs }, &at);
        }
        let (Some(gate), true) = (gate, self.problems.iter().all(|it| it.warning)) else {
            return self.answer();
        };
        let of_plan = plan.head.setup.as_ref().map(|it| &it.value).or(config.setup.as_ref());
        let of_types = specs.iter().filter_map(|(_, it)| it.loop_type.setup.as_ref());
        let setup: Vec<&str> = of_plan.into_iter().chain(of_types).map(String::as_str).collect();
        self.problems.extend(elsewhere::remarks(&repo, base, &setup));
        Ok(Ok(self.finish(Found { probe, base, target, plan, single, config, gate, specs })))
    }

    /// The plan, and whether it came as one sentence.
    fn parse(&mut self) -> Option<(PlanFile, bool)> {
        match self.request.source.clone() {
            Some(v1::submit_request::Source::Document(text)) => {
                let name = self.request.file_name.clone();
                match plan_file::parse(&name, text.as_bytes()) {
                    Ok(Document::Plan(plan)) => {
                        let warnings: Vec<_> = plan.warnings.iter().map(as_warning).collect();
                        self.problems.extend(warnings);
                        return Some((*plan, false));
                    }
                    Ok(Document::Request(it)) => return Some((requested(*it), true)),
                    Err(problems) => self.problems.extend(problems.iter().map(as_problem)),
                }
            }
            Some(v1::submit_request::Source::Request(text)) if !text.trim().is_empty() => {
                return Some((single(text.trim()), true));
            }
            Some(v1::submit_request::Source::Request(_)) | None => {
                self.problem("there is no task", "taskd run \"what to do\"");
            }
        }
        None
    }

    /// How its work lands: flag, then plan, then configuration.
    fn land(&self, head: &PlanKeys, config: &Config) -> LandPolicy {
        let asked = self.options.land.and_then(|it| v1::LandPolicy::try_from(it).ok());
        let asked = asked.and_then(v1::LandPolicy::model);
        asked.or(head.land.as_ref().map(|it| it.value)).unwrap_or(config.land)
    }

    fn target(&self, probe: &Probe, head: &PlanKeys) -> String {
        let named = self.options.target.clone();
        named
            .or_else(|| head.target.as_ref().map(|it| it.value.clone()))
            .unwrap_or_else(|| probe.default_target.clone())
    }

    /// The loop type of a spec: flag, then spec, then plan, then configuration.
    fn type_name(&self, spec: &PlanSpec, head: &PlanKeys, config: &Config) -> String {
        let named = spec.loop_type.as_ref().or(head.loop_type.as_ref());
        let flag = self.options.type_name.clone();
        flag.or_else(|| named.map(|it| it.value.clone()))
            .unwrap_or_else(|| config.loop_type.clone())
    }

    fn specs(
        &mut self,
        plan: &PlanFile,
        types: &Types,
        config: &Config,
        gate: Option<&GateDoc>,
    ) -> Vec<(SpecHead, SpecDoc)> {
        let gate_key = gate_key(gate, &self.request.environment);
        let order = in_need_order(&plan.specs);
        let place: BTreeMap<usize, u16> =
            order.iter().enumerate().map(|(new, old)| (*old, small(new))).collect();
        let mut specs = Vec::new();
        for old in order {
            let spec = &plan.specs[old];
            let type_name = self.type_name(spec, &plan.head, config);
            let loop_type = match types.get(&type_name) {
                Ok(found) => found.clone(),
                Err(error) => {
                    self.problem(error.to_string(), "taskd help types");
                    continue;
                }
            };
            let Some(agent) = self.agent(spec, &plan.head, &loop_type, config) else { continue };
            self.problems.extend(agents::without_servers(&self.agents, &agent, &loop_type));
            let Some(fallback) = self.fallback(&agent, &loop_type) else { continue };
            let Some(left_out) = self.left_out(&agent, &fallback, &loop_type) else { continue };
            let Some(review) = self.review(&loop_type, config) else { continue };
            let inputs = match loop_type::bind_inputs(&loop_type, &self.options.inputs) {
                Ok(inputs) => inputs,
                Err(errors) => {
                    errors.iter().for_each(|it| self.problem(it.to_string(), "--set name=value"));
                    continue;
                }
            };
            let paid_by = self.paid_by(&agent.worker(), &loop_type, config);
            let reader_paid_by =
                review.as_ref().and_then(|it| self.paid_by(&it.by, &loop_type, config));
            let accept: Vec<String> = spec.accept.iter().map(|it| it.value.clone()).collect();
            let parts: Vec<&[u8]> = std::iter::once(gate_key.as_bytes().as_slice())
                .chain(accept.iter().map(|it| it.as_bytes()))
                .collect();
            let limits = self.limits(&plan.head, &loop_type, config);
            let name = name_of(spec, &loop_type);
            let head = SpecHead {
                name: name.clone(),
                title: spec.title.clone(),
                needs: spec.needs.iter().map(|it| place[&usize::from(it.value)]).collect(),
                doc: gate_key,
                gate: Digest::of_parts(&parts),
                accept: !accept.is_empty(),
                worker: agent.worker(),
                fallback,
                type_name,
                limits,
                left_out,
                writes: loop_type.artifact.as_ref().map(document_head),
                review,
                parent: None,
                touches: touches(&spec.touches, config),
            };
            let doc = SpecDoc {
                name,
                above: Vec::new(),
                title: spec.title.clone(),
                text: spec.text.clone(),
                accept,
                touches: spec.touches.iter().map(|it| it.value.clone()).collect(),
                loop_type,
                inputs,
                agent,
                session: self.options.session.clone(),
                paid_by,
                reader_paid_by,
            };
            specs.push((head, doc));
        }
        specs
    }

    /// The limits of a loop: flags, then the plan's, its type's, the configuration's.
    fn limits(&self, head: &PlanKeys, loop_type: &TypeDoc, config: &Config) -> LoopLimits {
        let conflict = head.conflict.as_ref().map(|it| it.value).or(loop_type.conflict);
        let mut limits = loop_type.limits.loop_limits(conflict, &config.run_limits());
        let of_plan = head.iterations.as_ref().map(|it| it.value);
        limits.iterations = self.options.iterations.or(of_plan).unwrap_or(limits.iterations);
        limits
    }

    fn finish(self, found: Found) -> Draft {
        let Found { probe, base, target, plan, single, config, gate, specs } = found;
        // What a document names stands beside it, so it needs a name of its own.
        let single = single && specs.iter().all(|(head, _)| head.writes.is_none());
        let land = self.land(&plan.head, &config);
        // Work without a gate never lands by itself.
        let land =
            if gate.run.is_empty() && land == LandPolicy::OnGate { LandPolicy::Ask } else { land };
        let asked = self
            .options
            .priority
            .and_then(|it| v1::Priority::try_from(it).ok().and_then(v1::Priority::model));
        let priority =
            asked.or(plan.head.priority.as_ref().map(|it| it.value)).unwrap_or(Priority::Normal);
        let budget = plan.head.budget_micros.as_ref().map(|it| it.value);
        let time = plan.head.time_ms.as_ref().map(|it| it.value);
        let (default_time, default_budget) = (config.plan_time_ms, config.plan_budget_micros);
        let env: BTreeMap<String, String> = self.request.environment.clone();
        let head = PlanHead {
            // Both are known when it is stored.
            project: ProjectId(0),
            doc: Digest::of(b""),
            title: plan.title.chars().take(200).collect(),
            target: target.clone(),
            base,
            key: self.key(&probe),
            gate: gate_key(Some(&gate), &self.request.environment),
            base_red_ok: self.options.base_red_ok || plan.head.base_red_ok,
            land,
            priority,
            budget_micros: self.options.budget_micros.or(budget).unwrap_or(default_budget),
            tokens: plan.head.tokens.as_ref().map_or(config.plan_tokens, |it| it.value),
            time_ms: self.options.time_ms.or(time).unwrap_or(default_time),
            specs: small(specs.len()),
            single,
            trace: self.trace(&probe),
        };
        let mode = self.mode(&plan.head, &config);
        let response = self.response(&probe, &head, &gate, &specs);
        let response = v1::SubmitResponse { land_mode: mode::word(mode).to_owned(), ..response };
        let doc = PlanDoc {
            title: plan.title,
            context: plan.context,
            source: source_text(&self.request),
            gate,
            setup: plan.head.setup.map(|it| it.value).or_else(|| config.setup.clone()),
            env,
            root: probe.root.to_string_lossy().into_owned(),
            mode,
        };
        Draft { probe, head, doc, specs, response }
    }

    /// The client's trace, or one that belongs to the plan alone.
    fn trace(&self, probe: &Probe) -> Option<Trace> {
        self.trace.or_else(|| {
            let key = self.key(probe);
            let all = Digest::of_parts(&[self.ctx.tag.as_bytes(), key.as_bytes()]);
            Trace::new(*all.as_bytes().first_chunk().expect("a digest is longer"))
        })
    }

    /// Same key, same plan: the client's, or else everything that makes the plan what it is.
    fn key(&self, probe: &Probe) -> Digest {
        let git_dir = probe.git_dir.as_os_str().as_encoded_bytes();
        if !self.request.idempotency_key.is_empty() {
            return Digest::of_parts(&[git_dir, self.request.idempotency_key.as_bytes()]);
        }
        let options = format!("{:?}", self.options);
        Digest::of_parts(&[git_dir, source_text(&self.request).as_bytes(), options.as_bytes()])
    }

    fn response(
        &self,
        probe: &Probe,
        head: &PlanHead,
        gate: &GateDoc,
        specs: &[(SpecHead, SpecDoc)],
    ) -> v1::SubmitResponse {
        let name = |n: u16| specs[usize::from(n)].0.name.clone();
        let graph = specs.iter().map(|(head, doc)| v1::GraphRow {
            name: head.name.clone(),
            title: head.title.clone(),
            needs: head.needs.iter().map(|it| name(*it)).collect(),
            worker: head.worker.to_string(),
            accept: doc.accept.clone(),
            accept_red: None,
        });
        v1::SubmitResponse {
            target: head.target.clone(),
            base: head.base.to_string(),
            dirty: probe.dirty,
            gate: gate.run.join(" && "),
            gate_origin: gate.origin.clone(),
            worker: workers(specs),
            limits: specs.first().map(|(head, _)| (&head.limits).into()),
            plan_budget_micros: head.budget_micros,
            plan_time_ms: head.time_ms,
            land: v1::LandPolicy::from(head.land).into(),
            graph: graph.collect(),
            problems: self.problems.clone(),
            title: head.title.clone(),
            ..v1::SubmitResponse::default()
        }
    }
}

/// What a look found, all of it right.
struct Found {
    probe: Probe,
    base: Oid,
    target: String,
    plan: PlanFile,
    single: bool,
    config: Arc<Config>,
    gate: GateDoc,
    specs: Vec<(SpecHead, SpecDoc)>,
}

fn source_text(request: &v1::SubmitRequest) -> String {
    match &request.source {
        Some(
            v1::submit_request::Source::Document(text) | v1::submit_request::Source::Request(text),
        ) => text.clone(),
        None => String::new(),
    }
}

/// Who works, each named once.
fn workers(specs: &[(SpecHead, SpecDoc)]) -> String {
    let mut names: Vec<String> = specs.iter().map(|(head, _)| head.worker.to_string()).collect();
    names.dedup();
    names.sort();
    names.dedup();
    names.join(", ")
}

/// Evidence binds to what is run and to the environment it is run in.
fn gate_key(gate: Option<&GateDoc>, env: &BTreeMap<String, String>) -> Digest {
    let env: BTreeMap<&String, &String> = env.iter().collect();
    let env = encode_doc(&env);
    let gate = gate.map(encode_doc).unwrap_or_default();
    Digest::of_parts(&[&gate, &env])
}

/// What a spec touches, as far as others shall wait for it. An event holds so much and no more: what
/// is too long touches everything.
fn touches(globs: &[crate::problem::At<String>], config: &Config) -> Vec<String> {
    if !config.serialise_touches {
        return Vec::new();
    }
    let globs: Vec<String> = globs.iter().map(|it| it.value.clone()).collect();
    let bytes: usize = globs.iter().map(String::len).sum();
    if bytes <= MAX_TOUCHES_BYTES { globs } else { vec!["**".to_owned()] }
}

/// A plan of one spec from one sentence.
fn single(text: &str) -> PlanFile {
    let first = text.lines().next().unwrap_or(text);
    let title: String = first.chars().take(MAX_TITLE_CHARS).collect();
    let at = crate::problem::Pos::new(1, 1);
    let spec = PlanSpec {
        id: crate::problem::At::new(SINGLE_SPEC.to_owned(), at),
        title: title.clone(),
        text: text.to_owned(),
        needs: Vec::new(),
        accept: Vec::new(),
        touches: Vec::new(),
        agent: None,
        loop_type: None,
    };
    PlanFile {
        head: PlanKeys::default(),
        title,
        context: String::new(),
        specs: vec![spec],
        warnings: Vec::new(),
    }
}

/// A plan that a plan loop has yet to write: its one spec is what is asked for.
fn requested(request: PlanRequest) -> PlanFile {
    let mut plan = single(&request.text);
    let at = crate::problem::Pos::new(1, 1);
    plan.specs[0].loop_type = Some(crate::problem::At::new(PLAN_TYPE.to_owned(), at));
    if let Some(title) = &request.head.title {
        plan.title.clone_from(&title.value);
    }
    plan.head = request.head;
    plan
}

/// What a spec is called: one that came as a sentence and writes a document after that.
fn name_of(spec: &PlanSpec, loop_type: &TypeDoc) -> String {
    match &loop_type.artifact {
        Some(it) if spec.id.value == SINGLE_SPEC => it.format.word().to_owned(),
        Some(_) | None => spec.id.value.clone(),
    }
}

/// What the core knows of the documents of a type.
fn document_head(it: &ArtifactDoc) -> DocumentHead {
    let reviews = u8::try_from(it.reviews.len()).unwrap_or(u8::MAX);
    DocumentHead { approve: it.approve, reviews, repairs: it.repairs }
}

/// The places of the specs, each after what it needs, otherwise in the order of the file. The
/// parser has refused circles.
fn in_need_order(specs: &[PlanSpec]) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::with_capacity(specs.len());
    let mut placed = vec![false; specs.len()];
    while order.len() < specs.len() {
        let before = order.len();
        for (n, spec) in specs.iter().enumerate() {
            let ready = spec.needs.iter().all(|it| placed[usize::from(it.value)]);
            if !placed[n] && ready {
                placed[n] = true;
                order.push(n);
            }
        }
        assert!(before < order.len(), "the parser refuses circles");
    }
    order
}

fn small(n: usize) -> u16 {
    u16::try_from(n).expect("the parser allows fewer specs")
}

fn as_problem(it: &Problem) -> v1::Problem {
    v1::Problem {
        line: it.at.line,
        column: it.at.column,
        message: it.what.clone(),
        hint: it.hint.clone().unwrap_or_default(),
        warning: false,
    }
}

fn as_warning(it: &Problem) -> v1::Problem {
    v1::Problem { warning: true, ..as_problem(it) }
}
