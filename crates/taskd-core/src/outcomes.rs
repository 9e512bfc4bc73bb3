//! What an outcome means, in the words of its loop: verdicts, evidence, and waits.
//!
//! The fact is written first, as the runner reported it; what is derived from it follows in the
//! same batch.

use taskd_model::{
    Actor, Change, CircuitChange, EffectId, Event, Evidence, Failure, GateFacts, LoopId, Oid,
    Outcome, Purse, Seq, Streak, Suspicion, Time, Usage, Verdict, Work,
};

use crate::{
    Coordinator,
    coordinator::{MAX_MESSAGE_BYTES, loop_of, truncate},
    document::Apart,
    flakes, money,
    scheduler::{self, Bucket},
};

/// Longest reason for a wait, in bytes.
const MAX_WHY_BYTES: usize = 200;

impl Coordinator {
    /// An effect ended: the fact, and what it means.
    pub(crate) fn ended(&mut self, now: Time, effect: EffectId, outcome: &Outcome) {
        // An effect that is not open ended before, or belongs to an earlier life.
        let Some(open) = self.state().effects().get(&effect) else { return };
        let (id, work, was_ending) = (loop_of(open.owner), open.work.clone(), open.ending);
        let mut outcome = outcome.clone();
        if let Outcome::Failed { message, fault, .. } = &mut outcome {
            // As JSON a control character is six times as long, and beside the facts there is no room.
            *message = truncate(message.replace(char::is_control, " "), MAX_MESSAGE_BYTES);
            *fault = fault.take().map(|it| Box::new(it.bounded()));
        }
        if was_ending && matches!(outcome, Outcome::Decomposed { .. }) {
            // Nobody wants what it names any more.
            outcome = Outcome::Cancelled { usage: Usage::default(), checkpoint: None };
        }
        let apart =
            if was_ending { Apart::default() } else { self.taken_apart(effect, &mut outcome) };
        let left_alone = self.left_alone(&work);
        let flake = flakes::flake(self.state(), effect, &outcome);
        let (project, about) = (open.project, id.or_else(|| queued(&work)));
        let event = Event::EffectEnded { effect, outcome: outcome.clone() };
        self.emit(now, Actor::Runner, id, event);
        let seq = self.head();
        if let Some(event) = flake {
            self.emit_for(now, Actor::Core, Some(project), about, event);
        }
        self.circuit_changed(now, &work, left_alone);
        self.warn_of_budgets(now, id);
        if !was_ending {
            self.candidate_gated(now, &work, &outcome);
        }
        let Some(id) = id.filter(|_| !was_ending) else { return };
        self.add_children(now, id, apart);
        self.gated(now, id, seq, &outcome);
        if matches!(outcome, Outcome::Replied { .. }) {
            self.read(now, id);
        }
        self.agent_failed(now, id, seq, &outcome);
        self.query_answered(now, id, &work, &outcome);
        self.failed(now, id, effect, &work, &outcome);
    }

    /// The bucket of a call is left alone but for probes.
    fn left_alone(&self, work: &Work) -> bool {
        let Some(taken) = work.taken() else { return false };
        self.state().bucket(taken.bucket).is_some_and(Bucket::is_left_alone)
    }

    /// The end of a call may have opened or closed its circuit: that is said.
    fn circuit_changed(&mut self, now: Time, work: &Work, before: bool) {
        let Some(taken) = work.taken() else { return };
        let after = self.left_alone(work);
        if before != after {
            let change = if after { CircuitChange::Opened } else { CircuitChange::Closed };
            let bucket = taken.bucket.to_owned();
            self.emit(now, Actor::Core, None, Event::CircuitChanged { bucket, change });
        }
    }

    /// What was just booked for a loop may have brought a budget near its end: that is said once.
    pub(crate) fn warn_of_budgets(&mut self, now: Time, id: Option<LoopId>) {
        let Some(id) = id else { return };
        for of in money::purses_of(self.state(), id) {
            self.warn_of(now, of);
        }
    }

    /// The same of one budget, which was set.
    pub(crate) fn warn_of(&mut self, now: Time, of: Purse) {
        let news: Vec<Event> = money::account(self.state(), of, now).news().collect();
        for event in news {
            self.emit(now, Actor::Core, of.loop_id(), event);
        }
    }

    /// A gate gives the iteration its verdict, and green work its evidence.
    fn gated(&mut self, now: Time, id: LoopId, seq: Seq, outcome: &Outcome) {
        let Outcome::Gated { checkpoint, tree, change, markers, report } = outcome else { return };
        let verdict = match report {
            _ if change.files == 0 => Verdict::Unchanged,
            _ if 0 < *markers => Verdict::Conflict,
            Some(report) if report.green => Verdict::Green,
            Some(_) | None => Verdict::Red,
        };
        if self.state().loops()[&id].is_read() {
            if let Some(report) = report {
                self.suspected(now, id, verdict, &report.facts);
            }
            return self.read(now, id);
        }
        let n = self.state().loops()[&id].iteration;
        let summary = report.as_ref().map(|it| it.summary.clone()).unwrap_or_default();
        let log = report.as_ref().map(|it| it.log);
        let failed = report.as_ref().and_then(|it| it.facts.failed);
        let what = failed.as_ref().map_or(summary.as_bytes(), |it| &it.as_bytes()[..]);
        let streak = self.streak(id, verdict, *tree, what);
        let event = Event::IterationEnded { n, verdict, summary, log, change: *change, streak };
        self.emit(now, Actor::Core, Some(id), event);
        if let Some(report) = report {
            self.suspected(now, id, verdict, &report.facts);
        }
        if verdict == Verdict::Green && self.reviewed(now, id, *tree) {
            let evidence = Evidence { seq, tree: *tree };
            let tests = report.as_ref().and_then(|it| it.tests);
            let event = Event::Passed { checkpoint: *checkpoint, evidence, tests };
            self.emit(now, Actor::Core, Some(id), event);
        }
    }

    /// How often in a row its iterations have ended this way now; green is no such end.
    pub(crate) fn streak(
        &self,
        id: LoopId,
        verdict: Verdict,
        tree: Oid,
        what: &[u8],
    ) -> Option<Streak> {
        let of = Streak::end(verdict, tree, what);
        let before = self.state().loops()[&id].streak;
        (verdict != Verdict::Green).then(|| Streak::after(before, of))
    }

    /// What changes the files that decide is said whatever the gate says. Fewer tests only matter
    /// where they passed.
    fn suspected(&mut self, now: Time, id: LoopId, verdict: Verdict, facts: &GateFacts) {
        let green = verdict == Verdict::Green;
        let base = self.state().counts_on(id).filter(|_| green);
        if let Some(suspicion) = Suspicion::of(facts, base).map(Box::new) {
            let event = Event::GateTamperSuspected { suspicion };
            self.emit(now, Actor::Core, Some(id), event);
        }
    }

    /// A candidate may touch files that only the new tip protects, or others than a person said yes
    /// to: then it is asked again, and the candidate goes nowhere.
    fn candidate_gated(&mut self, now: Time, work: &Work, outcome: &Outcome) {
        let (Work::GateCandidate { op, .. }, Outcome::CandidateGated(report)) = (work, outcome)
        else {
            return;
        };
        let (Some(id), Some(found)) = (op.loop_id(), &report.facts.tampered) else { return };
        let engine = &self.state().loops()[&id];
        let known = engine.suspicion.as_ref().and_then(|it| it.tampered.as_ref());
        if !report.green || engine.is_over() || known.is_some_and(|it| it.list == found.list) {
            return;
        }
        let tests = engine.suspicion.as_ref().and_then(|it| it.tests);
        let suspicion = Box::new(Suspicion { tampered: Some(found.clone()), tests });
        self.emit(now, Actor::Core, Some(id), Event::GateTamperSuspected { suspicion });
    }

    /// An agent that did not end normally ends its iteration, unless the gate decides; the next
    /// waits a little.
    fn agent_failed(&mut self, now: Time, id: LoopId, seq: Seq, outcome: &Outcome) {
        let Outcome::AgentDone { exit, summary, log, run, checkpoint, .. } = outcome else {
            return;
        };
        if run.is_gated(*exit) {
            return;
        }
        let verdict = Verdict::AgentFailed;
        let streak = self.streak(id, verdict, *checkpoint, format!("{exit} {summary}").as_bytes());
        let event = Event::IterationEnded {
            n: self.state().loops()[&id].iteration,
            verdict,
            summary: summary.clone(),
            log: Some(*log),
            change: Change::default(),
            streak,
        };
        self.emit(now, Actor::Core, Some(id), event);
        if self.state().loops()[&id].stuck.is_some() {
            return;
        }
        let history = self.state().loops()[&id].history.iter().rev();
        let in_a_row = history.take_while(|it| it.verdict == Verdict::AgentFailed).count();
        let in_a_row = u32::try_from(in_a_row).unwrap_or(u32::MAX);
        let wait = scheduler::backoff_ms(self.state().limits(), in_a_row, seq.0);
        self.defer(now, id, wait, format!("the agent ended with {exit}"));
    }

    /// What failed is tried again later, unless it is hopeless.
    fn failed(&mut self, now: Time, id: LoopId, effect: EffectId, work: &Work, outcome: &Outcome) {
        let Outcome::Failed { failure, message, .. } = outcome else { return };
        if matches!(work, Work::Relay(_) | Work::Answer(_)) {
            return;
        }
        let engine = &self.state().loops()[&id];
        // What is composed anew, smaller, waits for nothing.
        let smaller = *failure == Failure::TooLarge;
        let saves = matches!(work, Work::Save { .. });
        if smaller || engine.stuck.is_some() || (engine.must_change_model() && !saves) {
            return;
        }
        // Whether there is money for it is asked anew, and at once.
        if *failure == Failure::OverBudget {
            return;
        }
        let failures = engine.unsaved.filter(|_| saves).map(|it| it.failures);
        let attempts = failures.unwrap_or(engine.attempts);
        // Rests and attempts of one call lie within one deadline.
        let is_call = matches!(work, Work::Call { .. });
        let until = engine.failing_since.filter(|_| is_call);
        let deadline = self.state().limits().call_deadline_ms;
        let left = until.map(|since| since.plus_ms(deadline).ms_since(now));
        let salt = effect.0.0 ^ u64::from(attempts);
        let wait = match failure {
            // Never before the time that was named; the jitter only adds.
            Failure::NotBefore(ms) => {
                ms.saturating_add(scheduler::jittered((ms / 16).clamp(10, 400), salt))
            }
            Failure::Transient
            | Failure::RateLimited
            | Failure::Resources
            | Failure::OverBudget
            | Failure::Permanent
            | Failure::Auth
            | Failure::TooLarge => {
                let wait = scheduler::backoff_ms(self.state().limits(), attempts, salt);
                left.map_or(wait, |left| wait.min(left))
            }
        };
        self.defer(now, id, wait, format!("{}: {message}", work.verb()));
    }

    fn defer(&mut self, now: Time, id: LoopId, wait_ms: u64, why: String) {
        let event =
            Event::Deferred { until: now.plus_ms(wait_ms), why: truncate(why, MAX_WHY_BYTES) };
        self.emit(now, Actor::Core, Some(id), event);
    }
}

/// The loop whose work the landing queue brings.
fn queued(work: &Work) -> Option<LoopId> {
    if let Work::GateCandidate { op, .. } = work { op.loop_id() } else { None }
}
