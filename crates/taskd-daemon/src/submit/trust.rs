//! What of a submission the project's files have run and nobody has agreed to: it is refused, and
//! each command is told.

use taskd_api::v1;
use taskd_model::{AgentDoc, GateDoc, LandPolicy, SpecDoc, SpecHead, Worker};

use super::{Look, base::Base};
use crate::{
    config::Config,
    loop_type::Types,
    plan_file::PlanFile,
    trust::{self, Wish},
    types,
};

/// What a submission goes by.
pub(super) struct Said<'a> {
    pub(super) plan: &'a PlanFile,
    pub(super) types: &'a Types,
    /// As the person's checkout has it, and as the base has it.
    pub(super) config: [&'a Config; 2],
    pub(super) gate: &'a GateDoc,
    pub(super) specs: &'a [(SpecHead, SpecDoc)],
}

impl Look<'_> {
    /// Tells each command that this plan would have run because a file of the project says so, unless
    /// somebody agreed to it.
    pub(super) fn ask_trust(&mut self, said: &Said<'_>, at: &Base<'_>) {
        let [config, _] = said.config;
        let mut wishes = self.of_configuration(said, self.land(&said.plan.head, config));
        wishes.extend(self.of_specs(said.types, said.specs));
        let open = self.ctx.untrusted(at.root, at.repo.git_dir(), wishes);
        for it in &open {
            self.problem(trust::unsaid(it), "taskd projects trust");
        }
        self.wishes = open.iter().map(Wish::told).collect();
        self.target = at.target.to_owned();
    }

    fn of_configuration(&self, said: &Said<'_>, land: LandPolicy) -> Vec<Wish> {
        let [config, of_base] = said.config.map(|it| trust::of_config(it, &self.agents));
        let is = |it: &Wish, key: &str| it.place.ends_with(key);
        let from_file = |it: &Wish| it.place.starts_with(&said.gate.origin);
        let works = |it: &Wish| {
            let agent = AgentDoc::Agent { run: it.command.clone() };
            said.specs.iter().any(|(_, doc)| doc.agent == agent)
        };
        let decides = of_base.into_iter().filter(|it| {
            is(it, ": gate.command") && from_file(it)
                || is(it, ": gate.quick") && said.gate.quick.as_ref() == Some(&it.command)
        });
        let rest = config.into_iter().filter(|it| {
            is(it, ": work.setup") && said.plan.head.setup.is_none()
                || is(it, ": work.teardown")
                || is(it, ": work.agent") && works(it)
                || it.place.contains(": land.pr_") && land == LandPolicy::Pr
        });
        decides.chain(rest).collect()
    }

    /// What the loop types and agents of these specs run because the project says so.
    pub(super) fn of_specs(&self, types: &Types, specs: &[(SpecHead, SpecDoc)]) -> Vec<Wish> {
        let names: Vec<&str> = specs.iter().map(|it| it.1.loop_type.name.as_str()).collect();
        let (own, _) = types::load(&self.ctx.paths.config, None);
        let mut wishes = trust::of_types(types, &own, &names, &self.agents);
        let presets = specs.iter().filter_map(|(_, doc)| match &doc.agent {
            AgentDoc::Agent { run } => self.agents.get(run),
            AgentDoc::Model { .. } => None,
        });
        let readers = specs.iter().filter_map(|(head, _)| match &head.review.as_ref()?.by {
            Worker::Agent(run) => self.agents.get(run),
            Worker::Model(_) => None,
        });
        wishes.extend(presets.chain(readers).filter_map(trust::of_preset));
        wishes
    }

    /// The answer to a submission that is refused.
    pub(super) fn refusal(self) -> v1::SubmitResponse {
        let (problems, wishes, target) = (self.problems, self.wishes, self.target);
        v1::SubmitResponse { problems, wishes, target, ..v1::SubmitResponse::default() }
    }
}
