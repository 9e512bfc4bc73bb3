//! What trying again does to the state: a loop that was over, or asked a person, begins once more.

use taskd_model::{Event, LoopId, LoopLimits, PrepareMode, Seq, Time};

use super::State;
use crate::{
    engine::{LoopEngine, Rewind},
    money::Told,
    plan::{PlanState, Reach},
};

impl State {
    /// A person sent it back, or wants it tried again; or what named it does not any more.
    pub(super) fn goes_back(&mut self, id: LoopId, event: &Event, since: (Time, Seq)) {
        if let Event::Rewound { to, base, note, .. } = event {
            self.rewind(id, (*to, *base), *note, since);
        }
        if let Event::Superseded { .. } = event {
            self.supersede(id);
        }
        self.retry(id, event, since);
    }

    /// Everything it had begun is void but its work; its status follows.
    fn retry(&mut self, id: LoopId, event: &Event, since: (Time, Seq)) {
        let Event::Retried { to, gate, limits, note } = event else { return };
        if self.loops[&id].passed.is_some() {
            self.send_back(id, since);
        }
        let engine = self.engine_mut(id);
        engine.add_note(*note);
        // Before its first iteration there is nothing but its base.
        let to = to.filter(|_| 0 < engine.iteration).map(|(to, base)| Rewind { to, base });
        engine.tried_again(to, *gate, limits, since);
        // The time of its plan begins anew, where it is up.
        let now = self.now;
        let plan = self.plan_mut(id.plan());
        if plan.deadline() <= now {
            plan.parked_ms = now.ms_since(plan.submitted_at);
            self.touch_whole_plan(id.plan());
        }
    }

    /// A loop that was over is not any more, and so its plan.
    pub(super) fn loop_is_back(&mut self, id: LoopId) {
        let plan = self.plan_mut(id.plan());
        plan.open_loops += 1;
        if plan.spec(id).reach == Reach::Lost {
            plan.spec_mut(id).reach = Reach::Open;
        }
        if plan.state == PlanState::Ended {
            // What it stands on may be another commit by now.
            plan.state = PlanState::Checking;
            (plan.attempts, plan.trouble) = (0, None);
        }
        self.touch_whole_plan(id.plan());
        self.touch_dependents(id);
    }
}

impl LoopEngine {
    fn tried_again(
        &mut self,
        to: Option<Rewind>,
        gate: bool,
        limits: &LoopLimits,
        since: (Time, Seq),
    ) {
        if self.rebase_from.is_some() {
            self.rebase_undone();
        }
        self.begin_again(to, since);
        self.limits = limits.clone();
        self.gate_first = gate && self.checkpoint.is_some();
        (self.ending, self.pause, self.session) = (None, false, None);
        self.unfit.clear();
        self.most_tokens = None;
        self.told = Told::default();
        (self.started_at, self.penniless_at, self.parked_ms) = (None, None, 0);
        // Whoever was asked may have taken its worktree away.
        self.prepare.get_or_insert(PrepareMode::Keep(self.checkpoint));
    }
}
