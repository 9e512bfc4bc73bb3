//! Who works on a spec, who instead of them, and how they are asked to.

use taskd_api::v1;
use taskd_model::{AgentDoc, Param, ReviewDoc, ReviewHead, TypeDoc, Unsupported, Worker};

use super::{Look, agents};
use crate::{
    config::Config,
    models,
    plan_file::{PlanKeys, PlanSpec},
};

impl Look<'_> {
    /// What works on a spec: its own choice, then flags, plan, type, configuration.
    pub(super) fn agent(
        &mut self,
        spec: &PlanSpec,
        head: &PlanKeys,
        loop_type: &TypeDoc,
        config: &Config,
    ) -> Option<AgentDoc> {
        let flag = match (&self.options.agent, &self.options.model) {
            (Some(run), None) => Some(AgentDoc::Agent { run: run.clone() }),
            (None, Some(name)) => Some(AgentDoc::Model { name: name.clone() }),
            (None, None) => None,
            (Some(_), Some(_)) => {
                self.problem("--agent and --model exclude each other", "give one of them");
                return None;
            }
        };
        let found = spec
            .agent
            .as_ref()
            .map(|it| it.value.clone())
            .or(flag)
            .or_else(|| head.agent.as_ref().map(|it| it.value.clone()))
            .or_else(|| loop_type.agent.clone())
            .or_else(|| self.last_resort.clone())
            .or_else(|| config.worker.clone());
        let Some(found) = found else {
            let what = format!("nothing is named to work on `{}`", spec.id.value);
            self.problem(what, "--agent claude, --agent './script.sh', or --model NAME");
            return None;
        };
        let trouble = match &found {
            AgentDoc::Model { name } => models::trouble(self.ctx, name, &self.request.credentials),
            AgentDoc::Agent { run } => {
                let declared = (config.agent_billing, loop_type.billing);
                agents::trouble(self.ctx, &self.agents, run, declared, &self.request)
                    .or_else(|| agents::no_session(&self.agents, run, &self.options))
            }
        };
        if let Some((trouble, hint)) = trouble {
            self.problem(trouble, hint);
            return None;
        }
        Some(found)
    }

    /// The models that work instead. Each must be callable now, so that nobody learns in the night
    /// that one is not.
    pub(super) fn fallback(
        &mut self,
        agent: &AgentDoc,
        loop_type: &TypeDoc,
    ) -> Option<Vec<String>> {
        let AgentDoc::Model { name: first } = agent else { return Some(Vec::new()) };
        let models = loop_type.fallback.iter().filter(|it| *it != first);
        for name in models.clone() {
            let trouble = models::trouble(self.ctx, name, &self.request.credentials);
            if let Some((what, hint)) = trouble {
                self.problem(format!("{}: fallback {name}: {what}", loop_type.origin), hint);
                return None;
            }
        }
        Some(models.cloned().collect())
    }

    /// The second reader, who must be callable now as well; nothing inside where the type has none.
    pub(super) fn review(
        &mut self,
        loop_type: &TypeDoc,
        config: &Config,
    ) -> Option<Option<ReviewHead>> {
        let Some(ReviewDoc { by, blocks, .. }) = &loop_type.review else { return Some(None) };
        let trouble = match by {
            Worker::Model(name) => models::trouble(self.ctx, name, &self.request.credentials),
            Worker::Agent(run) => {
                let declared = (config.agent_billing, loop_type.billing);
                agents::no_reader(&self.agents, run).or_else(|| {
                    agents::trouble(self.ctx, &self.agents, run, declared, &self.request)
                })
            }
        };
        if let Some((what, hint)) = trouble {
            self.problem(format!("{}: review by {by}: {what}", loop_type.origin), hint);
            return None;
        }
        Some(Some(ReviewHead { by: by.clone(), blocks: *blocks }))
    }

    /// What the loop type asks of a worker, or of one that may take its place, and it does not take:
    /// refused, or else left out and told.
    pub(super) fn left_out(
        &mut self,
        agent: &AgentDoc,
        fallback: &[String],
        loop_type: &TypeDoc,
    ) -> Option<Vec<Param>> {
        let drop = loop_type.unsupported == Unsupported::Drop;
        let others = fallback.iter().map(|name| AgentDoc::Model { name: name.clone() });
        let mut left_out = Vec::new();
        for worker in [agent.clone()].into_iter().chain(others) {
            for (param, why) in
                models::refused(self.ctx, &worker, loop_type, &self.request.credentials)
            {
                let (file, key) = (&loop_type.origin, param.key());
                let what = format!("{file} sets `{key}`; {}: {why}", worker.worker());
                let (message, hint) = if drop {
                    (format!("{what}; `{key}` is left out"), String::new())
                } else {
                    let hint = format!(
                        "take `{key}` out of loop type {}, name another model, or write \
                         `unsupported: drop` there",
                        loop_type.name
                    );
                    (what, hint)
                };
                let known = self.problems.iter().any(|it| it.message == message);
                let problem =
                    v1::Problem { message, hint, warning: drop, ..v1::Problem::default() };
                self.problems.extend((!known).then_some(problem));
                if !left_out.contains(&param) {
                    left_out.push(param);
                }
            }
        }
        (drop || left_out.is_empty()).then_some(left_out)
    }

    /// The variable that pays for an agent, if one does: nothing else may after a restart.
    pub(super) fn paid_by(
        &self,
        worker: &Worker,
        loop_type: &TypeDoc,
        config: &Config,
    ) -> Option<String> {
        let Worker::Agent(run) = worker else { return None };
        let declared = config.agent_billing.or(loop_type.billing);
        models::paid_by(self.ctx, &self.agents, run, declared, &self.request.credentials)
    }
}
