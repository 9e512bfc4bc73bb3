//! Why a loop does not go on: the chain from it to the root, one sentence each.

mod calls;

use taskd_model::{LoopId, Room, Status, Time};

use crate::{
    Coordinator, Evidence, Want, WhyRow, decide,
    engine::{LoopEngine, Next},
    plan::{PlanState, Reach, Spec},
    scheduler::Recess,
};

/// Longest chain that is followed.
const MAX_DEPTH: usize = 16;

impl Coordinator {
    /// The chain of causes, from the loop itself to the root.
    #[must_use]
    pub fn why(&self, id: LoopId, now: Time) -> Vec<WhyRow> {
        let mut rows = Vec::new();
        let mut at = Some(id);
        while let Some(id) = at
            && rows.len() < MAX_DEPTH
        {
            let Some(engine) = self.state().engine(id) else { break };
            let (mut row, next) = self.why_one(engine, now);
            if let Some(most) = engine.most_tokens.filter(|_| !engine.is_over()) {
                let said = format!("kept to {most} tokens: the provider refused a larger one");
                row.details.push(("requests", said));
            }
            rows.push(row);
            at = next;
        }
        rows
    }

    fn why_one(&self, engine: &LoopEngine, now: Time) -> (WhyRow, Option<LoopId>) {
        let id = engine.id;
        let name = self.name_of(id);
        let row = |sentence: String, until: Option<Time>| row(id, sentence, until);
        let plan = self.state().plan(id.plan());
        if self.is_parked() && !engine.is_over() {
            let text = format!("{name} is parked with everything else; `taskd resume --all`");
            return (row(text, None), None);
        }
        if let Some(text) = self.why_disk(engine, &name) {
            return (row(text, None), None);
        }
        match engine.status {
            Status::Draft => {
                let text = format!("{name} waits for the gate to pass on the untouched base");
                (row(text, None), None)
            }
            Status::Pending if plan.state == PlanState::Checking => {
                let text = format!("{name} waits for the gate to pass on the untouched base");
                (row(text, None), None)
            }
            Status::Pending => match self.missing_need(id) {
                Some(need) => {
                    let need_name = self.name_of(need);
                    (row(format!("{name} waits for {need_name} to pass"), None), Some(need))
                }
                None => match self.state().held_by(engine) {
                    Some((other, glob)) => {
                        let other_name = self.name_of(other);
                        let text = format!("{name} waits for {other_name}, which works on {glob}");
                        (row(text, None), Some(other))
                    }
                    None => (row(format!("{name} waits for a loop slot"), None), None),
                },
            },
            Status::Paused => (row(format!("{name} was paused by a person"), None), None),
            Status::Blocked => {
                let reason = engine.reason.as_ref().map(ToString::to_string).unwrap_or_default();
                let need = self.missing_need(id);
                (row(format!("{name} is blocked: {reason}"), None), need)
            }
            Status::Running | Status::Rebasing => self.why_running(engine, &name, now),
            Status::Complete | Status::Failed | Status::Stopped => {
                let reason = engine.reason.as_ref().map(ToString::to_string).unwrap_or_default();
                (row(format!("{name} is {}: {reason}", engine.status), None), None)
            }
        }
    }

    /// What it cannot do for want of room on the disk, if that is what it waits for.
    fn why_disk(&self, engine: &LoopEngine, name: &str) -> Option<String> {
        let disk = self.state().disk();
        let shortage = disk.shortage()?;
        let waits = match engine.status {
            Status::Draft => true,
            Status::Pending => self.missing_need(engine.id).is_none(),
            Status::Running | Status::Rebasing => disk.room == Room::Full && engine.is_quiet(),
            Status::Paused
            | Status::Blocked
            | Status::Complete
            | Status::Failed
            | Status::Stopped => false,
        };
        waits.then(|| format!("{name} waits for the disk: {shortage}; `taskd gc`"))
    }

    fn why_running(&self, engine: &LoopEngine, name: &str, now: Time) -> (WhyRow, Option<LoopId>) {
        if let Some(closed) = self.state().waits_for_day(engine) {
            let call = self.moneyless_call(engine, closed, now);
            return self.call_row(engine.id, call);
        }
        if let Want::Call(bucket) = self.state().index().want(engine.id) {
            let call = self.waiting_call(engine.id, bucket, now);
            return self.call_row(engine.id, call);
        }
        if let (Some(until), Next::Call { .. }, Some(bucket)) =
            (engine.retry_at, &engine.next, engine.called())
        {
            let call = self.resting_call(engine, bucket, until, now);
            return self.call_row(engine.id, call);
        }
        (self.why_working(engine, name), None)
    }

    fn why_working(&self, engine: &LoopEngine, name: &str) -> WhyRow {
        let id = engine.id;
        let row = |sentence: String, until: Option<Time>| row(id, sentence, until);
        if let Some(asked) = engine.asking() {
            let text = format!("{name} waits for your answer: taskd answer {}", asked.id);
            return row(text, asked.due_at());
        }
        if let Some(until) = engine.retry_at {
            let why = engine.deferral.as_ref().map(|it| it.1.as_str()).unwrap_or_default();
            return row(format!("{name} waits for another try ({why})"), Some(until));
        }
        if let Some(effect) = engine.open.first() {
            let open = &self.state().effects()[effect];
            if let Some(question) = open.asked.keys().next() {
                let text = format!("{name} waits for your answer: taskd answer {question}");
                return row(text, None);
            }
            let work = &open.work;
            return row(format!("{name} works: {work}"), None);
        }
        if engine.queued.is_some() {
            return self.why_queued(engine, name);
        }
        if decide::waits_for_need(self.state(), engine) {
            let need = self.missing_need(id).map(|it| self.name_of(it)).unwrap_or_default();
            return row(format!("{name} waits for {need} to pass again"), None);
        }
        if engine.next != Next::Land && decide::waits_for_base(self.state(), engine) {
            return row(self.why_old_base(id, name), None);
        }
        match self.state().index().want(id) {
            Want::Agent => match self.state().recess(engine).map(Recess::until) {
                Some(until) => {
                    let text = format!("{name} waits for the usage window of {}", engine.at_work());
                    row(text, (self.state().now() < until).then_some(until))
                }
                None => row(format!("{name} waits for an agent slot"), None),
            },
            Want::Gate => row(format!("{name} waits for a gate slot"), None),
            Want::Nothing | Want::Step | Want::Slot | Want::Call(_)
                if engine.next == Next::Land =>
            {
                let text = if engine.proposed.is_some() {
                    format!("{name} passed, and its pull request is not on the target yet")
                } else if let Some(it) = engine.suspicion.as_ref().filter(|_| !engine.approved) {
                    format!("{name} passed and asks you, because it {it}: `taskd land {name}`")
                } else if engine.held {
                    format!(
                        "{name} passed, but your checkout of the target has changes; \
                         `taskd sync` brings it there if they are to other files"
                    )
                } else if engine.refused_on.is_some() {
                    format!("{name} lands after what passed before it, which is not landed yet")
                } else if engine.approved {
                    format!("{name} lands after what it needs")
                } else {
                    format!("{name} passed and asks you: `taskd land {name}`")
                };
                row(text, None)
            }
            Want::Nothing | Want::Step | Want::Slot | Want::Call(_) => {
                row(format!("{name} works"), None)
            }
        }
    }

    /// The next iteration would begin on a base that is too old.
    fn why_old_base(&self, id: LoopId, name: &str) -> String {
        let plan = self.state().plan(id.plan());
        let (behind, target) = (self.state().too_far_behind(plan).unwrap_or(0), &plan.head.target);
        format!(
            "{name} waits for the new {target}, {behind} commits ahead (work.max_behind {}), to be \
             merged into the work of {}: taskd queue",
            self.state().limits().max_behind,
            id.plan()
        )
    }

    /// It is in the landing queue; perhaps a person holds it there.
    fn why_queued(&self, engine: &LoopEngine, name: &str) -> WhyRow {
        let project = self.state().plan(engine.id.plan()).head.project;
        let of_lane = self.state().project(project).and_then(|it| it.on_hold);
        let (hold, release) = match (engine.on_hold, of_lane) {
            (_, Some(it)) => (it, "--all"),
            (Some(it), None) => (it, name),
            (None, None) => {
                return row(engine.id, format!("{name} is in the landing queue"), None);
            }
        };
        let text = format!("{name} is held in the landing queue: taskd queue release {release}");
        let said = Evidence { seq: hold.seq, at: None, text: "a person holds it".to_owned() };
        WhyRow { evidence: Some(said), ..row(engine.id, text, None) }
    }

    fn missing_need(&self, id: LoopId) -> Option<LoopId> {
        let plan = self.state().plan(id.plan());
        let needs = plan.needs_of(id).into_iter();
        let missing = needs.map(|n| &plan.specs[usize::from(n)]);
        let not_there =
            |it: &&Spec| it.reach < Reach::Integrated || plan.ahead.contains(&it.latest.spec.index);
        missing.filter(not_there).map(|it| it.latest).next()
    }
}

fn row(subject: LoopId, sentence: String, until: Option<Time>) -> WhyRow {
    WhyRow { subject, sentence, until, call: None, evidence: None, details: Vec::new() }
}
