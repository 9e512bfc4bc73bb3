//! People: they submit plans, meddle while work goes on, and decide what waits for them. Also the
//! watcher, which tells late or twice what they did to a branch.

use std::collections::BTreeSet;

use taskd_model::{
    Command, Digest, DocumentHead, Input, LandPolicy, Limit, Limits, LoopId, LoopLimits, Oid,
    OnConflict, PlanHead, Priority, ProjectId, Purse, Reason, ReviewHead, Seq, SpecHead, Status,
    Worker,
};

use crate::{
    git::Files,
    world::{Look, Target, World},
};

impl World {
    /// The first life: configuration, projects with their branches, and plans to come.
    pub(crate) fn begin(&mut self) {
        self.input(&Input::Started { version: "0.1.0".to_owned() });
        self.reconfigure();
        let projects = self.rng.small(1, 2);
        for n in 1..=projects {
            let id = ProjectId(n);
            let (git_dir, root) = (format!("/repo/{n}/.git"), format!("/repo/{n}"));
            let added = self.command(Command::AddProject { git_dir, root });
            added.expect("new projects are welcome");
            for branch in ["main", "dev"] {
                let files: Files = (0..4).map(|name| (name, self.git.new_version())).collect();
                let root = self.git.commit(&[], files);
                self.git.targets.insert((id, branch.to_owned()), root);
            }
        }
        if self.rng.chance(60) {
            // Much waits until it is released, all at once.
            let projects = (1..=projects).map(ProjectId).collect();
            let held = self.command(Command::HoldQueue { ids: Vec::new(), projects });
            held.expect("these projects are known");
        }
        self.flush();
        let plans = self.rng.small(self.scale.plans.0, self.scale.plans.1);
        for n in 0..plans {
            let plan = self.plan(n, projects);
            self.submissions.push(plan);
        }
        while self.scale.at_once && self.submit() {}
    }

    fn plan(&mut self, n: u32, projects: u32) -> (PlanHead, Vec<SpecHead>) {
        let means = u64::from(self.scale.means);
        let project = ProjectId(self.rng.small(1, projects));
        let target = if self.rng.chance(80) { "main" } else { "dev" };
        let gate = Digest::of(&[u8::try_from(self.rng.below(2)).unwrap_or(0)]);
        let count =
            u16::try_from(self.rng.between(self.scale.specs.0, self.scale.specs.1)).unwrap_or(1);
        let on_gate = LandPolicy::OnGate;
        let land = [
            LandPolicy::Never,
            LandPolicy::Ask,
            LandPolicy::Pr,
            on_gate,
            on_gate,
            on_gate,
            on_gate,
        ];
        let classes = [Priority::Low, Priority::Normal, Priority::High, Priority::Critical];
        let head = PlanHead {
            project,
            title: "\u{1f600}".repeat(usize::try_from(self.rng.below(200)).unwrap_or(0)),
            target: target.to_owned(),
            base: Oid::from_bytes([0; 20]),
            key: Digest::of(&n.to_le_bytes()),
            doc: Digest::of(b"plan"),
            gate,
            base_red_ok: self.rng.chance(40) || self.scale.at_once,
            land: *self.rng.pick(&land).expect("some"),
            priority: *self.rng.pick(&classes).expect("some"),
            budget_micros: self.rng.between(100_000, 6_000_000) * means,
            tokens: self.tokens(2_000_000) * means,
            time_ms: self.rng.between(200_000, 20_000_000) * means,
            specs: count,
            single: count == 1,
            trace: None,
        };
        let specs = (0..count).map(|at| self.spec(at, gate)).collect();
        (head, specs)
    }

    /// What a spec's document asks for, where it writes one.
    fn document(&mut self, percent: u64) -> Option<DocumentHead> {
        let reviews = u8::try_from(self.rng.below(3)).unwrap_or(0);
        let repairs = u8::try_from(self.rng.below(3)).unwrap_or(0);
        let approve = self.rng.chance(40);
        self.rng.chance(percent).then_some(DocumentHead { approve, reviews, repairs })
    }

    /// What a document names; now and then too much.
    pub(crate) fn named(&mut self, gate: Digest) -> Vec<SpecHead> {
        let count = if self.rng.chance(3) { 101 } else { self.rng.small(0, 4) };
        (0..u16::try_from(count).unwrap_or(0)).map(|at| self.spec(at, gate)).collect()
    }

    fn spec(&mut self, at: u16, gate: Digest) -> SpecHead {
        let means = u64::from(self.scale.means);
        let needs = (0..at).filter(|_| self.rng.chance(self.scale.needs)).collect();
        let (worker, other) = match self.rng.below(4) {
            0 => (Worker::Agent("claude".to_owned()), None),
            1 => (Worker::Model("slow".to_owned()), Some("fast")),
            _ => (Worker::Model("fast".to_owned()), Some("slow")),
        };
        let fallback = other.filter(|_| self.rng.chance(40)).map(str::to_owned);
        let conflict = if self.rng.chance(30) {
            OnConflict::Block
        } else {
            OnConflict::Loop(self.rng.small(0, 3))
        };
        let touches = self.rng.chance(15).then(|| format!("crates/{}/**", self.rng.below(3)));
        SpecHead {
            name: format!("s{at}"),
            title: "a spec".to_owned(),
            needs,
            doc: Digest::of(&at.to_le_bytes()),
            gate: if self.rng.chance(80) { gate } else { Digest::of(b"own gate") },
            accept: self.rng.chance(30),
            worker,
            fallback: fallback.into_iter().collect(),
            type_name: "ralph".to_owned(),
            left_out: Vec::new(),
            writes: self.document(10),
            parent: None,
            review: review_of(at),
            touches: touches.into_iter().collect(),
            limits: LoopLimits {
                iterations: self.rng.small(1, 12) * self.scale.means,
                time_ms: self.rng.between(60_000, 7_200_000) * means,
                budget_micros: self.rng.between(50_000, 2_000_000) * means,
                tokens: self.tokens(600_000) * means,
                restarts: self.rng.small(0, 4) * self.scale.means,
                conflict,
                same_failure: if at.is_multiple_of(4) { 2 } else { 0 },
                turns: if at.is_multiple_of(5) { 2 } else { 0 },
            },
        }
    }

    /// A budget of tokens, or none.
    fn tokens(&mut self, most: u64) -> u64 {
        if self.rng.chance(25) { self.rng.between(20_000, most) } else { 0 }
    }

    /// Somebody sets a budget, of whatever and in whatever unit, or takes one of a day away.
    fn budget(&mut self, id: LoopId) -> Command {
        let project = self.ledger.plans[&id.plan()].project;
        let purses = [Purse::Loop(id), Purse::Plan(id.plan()), Purse::Project(project), Purse::All];
        let of = *self.rng.pick(&purses).expect("some");
        let none = self.rng.chance(20);
        if self.rng.chance(50) {
            // Now and then less than one call may use.
            let most = if self.rng.chance(20) { 15_000 } else { 2_000_000 };
            let tokens = if none { 0 } else { self.rng.between(5_000, most) };
            return Command::SetTokens { of, tokens };
        }
        let most = if of.is_daily() { 600_000 } else { 6_000_000 };
        let micros = if none { 0 } else { self.rng.between(20_000, most) };
        Command::SetBudget { of, micros }
    }

    fn reconfigure(&mut self) {
        let limits = Limits {
            loops: self.rng.small(self.scale.loops.0, self.scale.loops.1),
            agents: self.rng.small(1, 3),
            gates: self.rng.small(1, 3),
            calls: self.rng.small(1, 4),
            requests_per_minute: self.rng.small(3, 120) * self.scale.means,
            request_burst: self.rng.small(1, 8),
            max_behind: self.rng.small(0, 3),
            questions: 3,
            notify: false,
            backoff_ms: self.rng.between(1, 2_000),
            backoff_max_ms: self.rng.between(2_000, 20_000),
            call_attempts: self.rng.small(1, 6),
            turns: self.rng.small(1, 8),
            ageing_ms: self.rng.between(1, 60_000),
            input_tokens_per_minute: self.rng.below(3) * 40_000,
            output_tokens_per_minute: self.rng.below(3) * 5_000,
            silence_max_ms: self.rng.between(1_000, 600_000),
            call_deadline_ms: self.rng.between(1_000, 600_000),
            batch: if self.rng.chance(75) { 2 } else { self.rng.small(1, 3) },
        };
        self.input(&Input::Limits(limits));
    }

    /// A plan that the log does not know: not submitted yet, or lost with an undurable batch.
    pub(crate) fn next_submission(&self) -> Option<(PlanHead, Vec<SpecHead>)> {
        let unknown =
            |it: &&(PlanHead, Vec<SpecHead>)| self.core.plan_with_key(&it.0.key).is_none();
        self.submissions.iter().find(unknown).cloned()
    }

    fn submit(&mut self) -> bool {
        let Some((mut head, specs)) = self.next_submission() else { return false };
        head.base = self.git.targets[&(head.project, head.target.clone())];
        let command = Command::SubmitPlan { head: Box::new(head), specs };
        if self.command(command.clone()).is_err() {
            self.fail("a good plan was refused");
        }
        if self.rng.chance(20) {
            self.tally.duplicates += 1;
            if self.command(command).is_ok() {
                self.fail("the same plan was taken twice");
            }
        }
        true
    }

    /// Somebody does something, perhaps.
    pub(crate) fn meddle(&mut self) -> bool {
        if self.rng.chance(5) && self.haunt() {
            return true;
        }
        if self.rng.chance(if self.is_quiet() { 100 } else { 10 }) && self.submit() {
            return true;
        }
        if !self.is_quiet() && self.rng.chance(25) && self.talk() {
            return true;
        }
        if self.is_quiet() || !self.rng.chance(self.weather.people) {
            return false;
        }
        self.act()
    }

    fn act(&mut self) -> bool {
        let ids: Vec<LoopId> = self.ledger.loops.keys().copied().collect();
        let Some(id) = self.rng.pick(&ids).copied() else { return false };
        let some: Vec<LoopId> = ids.iter().copied().filter(|_| self.rng.chance(30)).collect();
        let note = Digest::of(b"note");
        let command = match self.rng.below(37) {
            0..=2 => Command::Pause(some),
            3 | 4 => Command::Resume(some),
            5 if self.rng.chance(50) => Command::Stop(vec![id]),
            5 => return self.retry(id),
            6 | 7 => Command::Land(vec![id]),
            8 if self.rng.chance(50) => Command::Sync(vec![id]),
            8 => Command::Land(vec![id]),
            9 | 10 => Command::Reject { id, note },
            11 => Command::Note { id, note, now: self.rng.chance(50) },
            12 => Command::Park,
            13 => Command::Unpark,
            14 => Command::ForgetProject(ProjectId(1)),
            15..=18 => return self.move_main(),
            19 => {
                self.reconfigure();
                return true;
            }
            20 => return self.soil(),
            21 => {
                self.restart_orderly();
                return true;
            }
            22 if self.rng.chance(30) => {
                let message = "\u{7f}\"".repeat(400);
                self.input(&Input::Panicked { id, message });
                return true;
            }
            23 => return self.look_back(),
            24 => self.budget(id),
            25 => {
                let buckets = self.core.buckets(self.now);
                let Some(it) = self.rng.pick(&buckets) else { return false };
                let (bucket, refusals) = (it.name.clone(), self.rng.chance(50));
                Command::ResetCalls { bucket, refusals }
            }
            26 => {
                // Mostly one that is open; the others must be refused.
                let open: Vec<Seq> = self.core.open_questions().collect();
                let some = Seq(self.core.head().0);
                let question = self.rng.pick(&open).copied().unwrap_or(some);
                self.answer(question)
            }
            27 | 28 => self.hold(id, some),
            29 => Command::ReleaseQueue { ids: some, projects: Vec::new() },
            30 => {
                let before = self.rng.pick(&ids).copied().filter(|_| self.rng.chance(60));
                Command::MoveQueue { id, before }
            }
            31 | 32 => return self.rewind(id),
            33 => {
                let plan = &self.ledger.plans[&id.plan()];
                let tip = self.git.targets[&(plan.project, plan.target.clone())];
                Command::Undo { id, tip }
            }
            34 => return self.disk_changes(),
            35 => return self.takes_proposed(id),
            _ => return false,
        };
        let forgets = matches!(command, Command::ForgetProject(_));
        let done = self.command(command).is_ok();
        if forgets && done {
            // Nothing is open there; it comes back under another number if it must.
            self.submissions.retain(|it| it.0.project != ProjectId(1));
        }
        true
    }

    /// Somebody answers what a loop asks; false if none does.
    fn answer_one(&mut self) -> bool {
        let Some(question) = self.core.open_questions().next() else { return false };
        let (choice, said, result) = (Some(1), String::new(), Some(Digest::of(b"answer")));
        let command = Command::Answer { question, choice, said, result };
        self.command(command).expect("it is open, and has such an answer");
        true
    }

    /// An answer that fits, or does not.
    fn answer(&mut self, question: Seq) -> Command {
        let choice = self.rng.chance(80).then(|| u16::from(self.rng.chance(50)));
        let result = self.rng.chance(50).then(|| Digest::of(b"answer"));
        Command::Answer { question, choice, said: "as you like".to_owned(), result }
    }

    /// Somebody holds a landing queue, or what some loops have in it.
    fn hold(&mut self, id: LoopId, ids: Vec<LoopId>) -> Command {
        if self.rng.chance(40) {
            return Command::HoldQueue { ids, projects: Vec::new() };
        }
        let project = self.ledger.plans[&id.plan()].project;
        Command::HoldQueue { ids: Vec::new(), projects: vec![project] }
    }

    /// What people held is released; false if they hold nothing.
    fn release(&mut self) -> bool {
        let alive = |it: &&LoopId| !self.ledger.loops[*it].status.is_over();
        let ids: Vec<LoopId> = self.ledger.loops_on_hold.iter().filter(alive).copied().collect();
        let projects: Vec<ProjectId> = self.ledger.queues_on_hold.iter().copied().collect();
        if ids.is_empty() && projects.is_empty() {
            return false;
        }
        self.command(Command::ReleaseQueue { ids, projects }).expect("it is held");
        true
    }

    /// A loop is sent back to something that was once saved of it.
    fn rewind(&mut self, id: LoopId) -> bool {
        let saved: Vec<(Oid, Oid)> =
            self.saved.iter().filter(|it| it.0 == id).map(|it| (it.1, it.2)).collect();
        let Some((to, base)) = self.rng.pick(&saved).copied() else { return false };
        let (iteration, note) = (1, Digest::of(b"back"));
        self.command(Command::Rewind { id, to, base, iteration, note }).ok();
        true
    }

    /// A person wants it tried again: as it is, its gate, or an earlier state.
    fn retry(&mut self, id: LoopId) -> bool {
        // A document that was taken apart is as likely as all other loops together.
        let apart = self.ledger.taken_apart();
        let id = self.rng.pick(&apart).copied().filter(|_| self.rng.chance(50)).unwrap_or(id);
        let plan = &self.ledger.plans[&id.plan()];
        let tip = self.git.targets[&(plan.project, plan.target.clone())];
        let saved: Vec<(Oid, Oid)> =
            self.saved.iter().filter(|it| it.0 == id).map(|it| (it.1, it.2)).collect();
        let to = self.rng.pick(&saved).copied().filter(|_| self.rng.chance(30));
        let (gate, note) = (self.rng.chance(30), Digest::of(b"again"));
        self.command(Command::Retry { id, to, gate, note, tip }).ok();
        true
    }

    /// A person commits on a target, or rewrites it.
    fn move_main(&mut self) -> bool {
        let targets: Vec<Target> = self.git.targets.keys().cloned().collect();
        let target = self.rng.pick(&targets).expect("there are some").clone();
        let mut tip = self.git.targets[&target];
        if self.weather.history
            && self.rng.chance(30)
            && let Some(parent) = self.git.get(tip).parents.first()
        {
            tip = *parent;
            self.tally.main_rewritten += 1;
            self.muddled.push(target.0);
        }
        let mut files = self.git.files(tip);
        if self.rng.chance(20)
            && let Some(taken) = self.taken_by_hand(&files)
        {
            files = taken;
        }
        let name = u8::try_from(self.rng.below(6)).unwrap_or(0);
        if self.rng.chance(70) {
            files.insert(name, self.git.new_version());
        }
        let commit = self.git.commit(&[tip], files);
        self.git.targets.insert(target.clone(), commit);
        self.tally.main_moved += 1;
        self.look_later(&target);
        true
    }

    /// A person picks work from an integration ref by hand.
    fn taken_by_hand(&mut self, ours: &Files) -> Option<Files> {
        let brought: Vec<Oid> =
            self.ledger.loops.values().filter_map(|it| *it.brought.last()?).collect();
        let commit = self.git.get(*self.rng.pick(&brought)?).clone();
        let base = self.git.files(*commit.parents.first()?);
        let (files, conflicts) = self.git.merge(&base, ours, &commit.files);
        (conflicts == 0).then_some(files)
    }

    /// A person's checkout of a target gets changes, or loses them.
    fn soil(&mut self) -> bool {
        let project = ProjectId(self.rng.small(1, 2));
        if self.dirty.contains(&project) {
            self.dirty.retain(|it| *it != project);
        } else {
            self.dirty.push(project);
        }
        true
    }

    /// The watcher will look here: late, and perhaps twice.
    pub(crate) fn look_later(&mut self, target: &Target) {
        for _ in 0..self.rng.between(1, 2) {
            let at = self.now.plus_ms(self.rng.below(5_000));
            self.looks.push(Look { at, target: target.clone(), stale: None });
        }
    }

    pub(crate) fn look_everywhere(&mut self) {
        self.looks.clear();
        let targets: Vec<Target> = self.git.targets.keys().cloned().collect();
        for target in &targets {
            self.look_later(target);
        }
    }

    /// What was read before we moved the target is told after; then it looks again.
    fn look_back(&mut self) -> bool {
        if !self.weather.history {
            return false;
        }
        let targets: Vec<Target> = self.git.targets.keys().cloned().collect();
        let target = self.rng.pick(&targets).expect("there are some").clone();
        let stale = self.git.get(self.git.targets[&target]).parents.first().copied();
        self.muddled.push(target.0);
        self.looks.push(Look { at: self.now, target: target.clone(), stale });
        self.look_later(&target);
        true
    }

    pub(crate) fn look(&mut self) {
        let first = (0..self.looks.len()).min_by_key(|it| self.looks[*it].at).expect("one is due");
        let look = self.looks.remove(first);
        let tip = look.stale.unwrap_or(self.git.targets[&look.target]);
        let before = self.seen.insert(look.target.clone(), tip);
        let rewritten = before.is_some_and(|it| !self.git.is_ancestor(it, tip));
        let (project, target) = look.target;
        self.input(&Input::MainSeen {
            project,
            target: target.clone(),
            tip,
            commits: 1,
            rewritten,
        });
        self.look_for_proposed(&(project, target), tip);
    }

    /// A colleague merges what a pull request asks for, if it merges; false if nothing does.
    fn takes_proposed(&mut self, id: LoopId) -> bool {
        let row = &self.ledger.loops[&id];
        let plan = &self.ledger.plans[&id.plan()];
        let Some(commit) = row.proposed.filter(|_| row.held && !row.status.is_over()) else {
            return false;
        };
        if self.taken.get(&id).is_some_and(|it| it.0 == commit) {
            return false;
        }
        let target = (plan.project, plan.target.clone());
        let tip = self.git.targets[&target];
        let made = self.git.get(commit).clone();
        let (base, ours) = (self.git.files(made.parents[0]), self.git.files(tip));
        let (files, conflicts) = self.git.merge(&base, &ours, &made.files);
        if conflicts != 0 {
            return false;
        }
        let squashed = self.git.commit(&[tip], files);
        self.git.targets.insert(target.clone(), squashed);
        self.taken.insert(id, (commit, squashed, tip));
        self.look_later(&target);
        true
    }

    /// Whoever looks at a target sees what of the proposed work is there, each time.
    fn look_for_proposed(&mut self, target: &Target, tip: Oid) {
        let there = |(id, (_, commit, _)): &(&LoopId, &(Oid, Oid, Oid))| {
            let plan = self.ledger.plans.get(&id.plan());
            let of_target =
                plan.is_some_and(|it| (it.project, &it.target) == (target.0, &target.1));
            of_target && self.git.is_ancestor(*commit, tip)
        };
        let all: Vec<(LoopId, (Oid, Oid, Oid))> =
            self.taken.iter().filter(there).map(|(id, it)| (*id, *it)).collect();
        for (id, (proposed, commit, onto)) in all {
            self.input(&Input::LandingSeen { id, proposed, commit, onto });
        }
    }

    /// Nothing runs and nothing is due: whoever is asked decides.
    pub(crate) fn decide(&mut self) {
        self.stuck += 1;
        if self.ledger.parked {
            self.command(Command::Unpark).expect("always possible");
            return;
        }
        if self.room_returns() || self.submit() || self.release() {
            return;
        }
        if self.answer_one() {
            return;
        }
        let rows: Vec<(LoopId, Status, bool)> =
            self.ledger.loops.iter().map(|(id, row)| (*id, row.status, row.passed)).collect();
        for (id, status, passed) in &rows {
            let works = matches!(status, Status::Running | Status::Rebasing);
            if works && !passed {
                self.fail(&format!("{id} is {status}, and nothing will ever happen"));
            }
            self.waits_for_a_reason(*id);
        }
        let asked: Vec<LoopId> = rows
            .iter()
            .filter(|it| match it.1 {
                // What never lands has nobody to ask: it waits for a need that somebody else holds.
                Status::Running => {
                    let row = &self.ledger.loops[&it.0];
                    let suspect = row.suspect && !row.approved;
                    let document = row.head.writes.is_some_and(|it| it.approve && !row.approved);
                    suspect || document || self.ledger.plans[&it.0.plan()].land != LandPolicy::Never
                }
                status => matches!(status, Status::Paused | Status::Blocked),
            })
            .map(|it| it.0)
            .collect();
        let Some(id) = self.rng.pick(&asked).copied() else {
            self.fail("nothing runs, nothing is due, and nobody is asked");
        };
        let row = self.ledger.loops[&id].clone();
        let patience = self.rng.chance(94) && self.stuck < 150;
        if row.reason == Some(Reason::BaseRed) && self.rng.chance(60) {
            // Somebody mends the branch first.
            self.move_main();
            return;
        }
        let hopeless = row.reason == Some(Reason::NeedFailed);
        let command = match row.status {
            _ if !patience || (hopeless && row.status == Status::Blocked) => {
                Command::Stop(vec![id])
            }
            Status::Running if row.passed && self.rng.chance(10) => {
                Command::Reject { id, note: Digest::of(b"no") }
            }
            Status::Running if self.takes_proposed(id) => return,
            Status::Running if row.proposed.is_some() && row.held => {
                // It does not merge any more: that is said, and the work begins on the tip.
                Command::Reject { id, note: Digest::of(b"conflict") }
            }
            Status::Running => {
                self.dirty.clear();
                let also = |it: &&(LoopId, Status, bool)| {
                    let land = self.ledger.plans[&it.0.plan()].land;
                    it.1 == Status::Running && it.2 && land != LandPolicy::Never
                };
                let all: Vec<LoopId> = rows.iter().filter(also).map(|it| it.0).collect();
                Command::Land(if self.rng.chance(50) { all } else { vec![id] })
            }
            // Whoever gives money gives enough of it.
            _ if let Some(command) = self.fill(id) => command,
            _ => Command::Resume(vec![id]),
        };
        if let Err(error) = self.command(command.clone()) {
            self.fail(&format!("{command:?} was refused: {error}"));
        }
    }

    /// What fills a purse that is too empty for a loop that is blocked for want of money; nobody
    /// keeps a budget of a day that is less than one call.
    fn fill(&self, id: LoopId) -> Option<Command> {
        let row = &self.ledger.loops[&id];
        if row.status != Status::Blocked {
            return None;
        }
        let too_much = matches!(&row.reason, Some(Reason::Stuck(why)) if why.contains(" a day; "));
        let broke = matches!(row.reason, Some(Reason::Limit(Limit::Budget | Limit::PlanBudget)));
        let project = Purse::Project(self.ledger.plans[&id.plan()].project);
        let purses = match (too_much, broke) {
            (true, _) => [project, Purse::All],
            (false, true) => [Purse::Loop(id), Purse::Plan(id.plan())],
            (false, false) => return None,
        };
        for of in purses {
            let [(spent, budget), (used, tokens)] = self.ledger.purse(of);
            if budget < spent + 50_000_000 {
                return Some(Command::SetBudget { of, micros: spent + 100_000_000 });
            }
            if tokens < used + 50_000_000 {
                return Some(Command::SetTokens { of, tokens: used + 100_000_000 });
            }
        }
        None
    }

    /// Passed work that may land and needs nothing does not lie about.
    fn waits_for_a_reason(&self, id: LoopId) {
        let (row, plan) = (&self.ledger.loops[&id], &self.ledger.plans[&id.plan()]);
        let by_itself = match plan.land {
            _ if row.head.writes.is_some() => !row.head.writes.is_some_and(|it| it.approve),
            LandPolicy::Never => true,
            LandPolicy::Ask => false,
            LandPolicy::OnGate | LandPolicy::Pr => !row.doubted,
        };
        let may = (by_itself && !row.suspect) || row.approved;
        let beside = self
            .ledger
            .loops
            .iter()
            .any(|(it, other)| *it != id && it.plan() == id.plan() && !other.status.is_over());
        let waits = row.status == Status::Running && row.passed && !self.ledger.is_busy(id);
        if waits && may && !row.held && row.head.needs.is_empty() && !beside {
            self.fail(&format!("{id} passed, may land, and waits for nothing"));
        }
        if row.status == Status::Pending && row.head.needs.is_empty() && !row.deferred {
            self.fail(&format!("{id} is pending, needs nothing, and does not start"));
        }
    }

    /// Files of a commit both have.
    pub(crate) fn merge_base(&self, one: Oid, other: Oid) -> Files {
        let (mut seen, mut open) = (BTreeSet::new(), std::collections::VecDeque::from([one]));
        while let Some(id) = open.pop_front() {
            if self.git.is_ancestor(id, other) {
                return self.git.files(id);
            }
            if seen.insert(id) {
                open.extend(&self.git.get(id).parents);
            }
        }
        Files::new()
    }

    pub(crate) fn remember_green(&mut self, tree: Oid, gate: Digest) {
        self.greens.insert((tree, gate));
    }

    pub(crate) fn has_green(&self, tree: Oid, gate: Digest) -> bool {
        self.greens.contains(&(tree, gate))
    }
}

/// Some work has a second reader, whose word may count.
fn review_of(at: u16) -> Option<ReviewHead> {
    let blocks = at.is_multiple_of(2);
    let by = match at % 2 {
        0 => Worker::Agent("codex".to_owned()),
        _ => Worker::Model("slow".to_owned()),
    };
    (at % 3 == 1).then_some(ReviewHead { by, blocks })
}
