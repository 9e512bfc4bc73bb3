//! How work ends, by what the world is when it does.

use taskd_model::{
    AgentRun, Change, Code, DefaultAnswer, Digest, EffectId, Failure, Fault, Found, GateFacts,
    GateReport, LandPolicy, LoopId, Oid, Order, Outcome, PrepareMode, Question, QueueOp, Relay,
    Room, Tampered, TestCounts, Unsaved, Usage, Work,
};

use crate::{
    git::{self, Files, Swap},
    world::World,
};

/// What one call costs at most.
pub(crate) const MAX_CALL_MICROS: u64 = 60_000;
/// Tokens a call uses at most.
pub(crate) const MAX_CALL_TOKENS: u64 = 11_000;

/// The outcome of a running effect; does in the world what it says.
pub(crate) fn of(world: &mut World, id: EffectId) -> Outcome {
    let job = &world.running[&id];
    let usage = job.usage;
    // A second reader that is told to end says nothing any more.
    let reads = matches!(job.order.work, Work::Agent { reader: Some(_), .. });
    if job.ending && (reads || world.rng.chance(70)) {
        return cancelled(world, id);
    }
    let quiet = world.is_quiet();
    let work = world.work(id);
    let answers = matches!(work, Work::Answer(_));
    let calls = answers || matches!(work, Work::Call { .. } | Work::Relay(_) | Work::Agent { .. });
    if calls && !quiet && world.rng.chance(world.weather.rate_limits) {
        let failure = if world.rng.chance(10) {
            Failure::NotBefore(world.rng.between(600_001, 7_200_000))
        } else if world.rng.chance(70) {
            Failure::NotBefore(world.rng.between(0, 40_000))
        } else {
            Failure::RateLimited
        };
        let fault = Some(Box::new(Fault::new(Code::RateLimited)));
        return Outcome::Failed { failure, message: "429".to_owned(), usage: part(usage), fault };
    }
    if !quiet && world.ledger.room == Room::Full && world.rng.chance(30) {
        spoil(world, id);
        let fault = Some(Box::new(Fault::new(Code::DiskFull)));
        let (failure, message) = (Failure::Resources, "no room".to_owned());
        return Outcome::Failed { failure, message, usage: part(usage), fault };
    }
    if !quiet && world.rng.chance(world.weather.failures) {
        spoil(world, id);
        let message = "x\u{1}".repeat(usize::try_from(world.rng.below(900)).unwrap_or(0));
        let fault = Fault { causes: vec!["\"".repeat(900)], ..Fault::new(Code::GitFailed) };
        let fault = id.0.0.is_multiple_of(2).then(|| Box::new(fault));
        return Outcome::Failed { failure: world.failure(), message, usage: part(usage), fault };
    }
    done(world, id)
}

/// It was told to end, or gave up, and has ended.
pub(crate) fn cancelled(world: &mut World, id: EffectId) -> Outcome {
    let job = &world.running[&id];
    if let Work::Agent { reader: Some(_), .. } = &job.order.work {
        // What it wrote is undone with its end.
        return Outcome::Cancelled { usage: part(job.usage), checkpoint: None };
    }
    spoil(world, id);
    let job = &world.running[&id];
    let usage = part(job.usage);
    let work = &job.order.work;
    let wrote = matches!(work, Work::Tool { reads: false, .. } | Work::Agent { .. });
    let subject = job.order.subject.clone().filter(|_| wrote);
    let checkpoint = subject.map(|it| world.save(it.id, it.base));
    Outcome::Cancelled { usage, checkpoint }
}

/// What half done work leaves behind.
fn spoil(world: &mut World, id: EffectId) {
    let job = &world.running[&id];
    let begun = job.saved.is_some() && world.may_touch(job);
    match &job.order.work {
        Work::Tool { reads: false, .. } | Work::Agent { .. } => {
            let loop_id = job.subject().id;
            world.scribble(loop_id);
        }
        Work::Rebase { .. } if begun => {
            let loop_id = job.subject().id;
            world.scribble(loop_id);
        }
        _ => {}
    }
}

fn done(world: &mut World, id: EffectId) -> Outcome {
    let job = &world.running[&id];
    let (usage, calls, order) = (job.usage, job.calls.clone(), job.order.clone());
    let blob = Digest::of(&id.0.0.to_le_bytes());
    match &order.work {
        Work::CheckBase { base } => {
            let files = world.git.files(*base);
            let gate = world.ledger.plans[&order.plan].gate;
            Outcome::BaseChecked(gate_on(world, &files, gate))
        }
        Work::Prepare { base, mode } => prepare(world, id, *base, *mode),
        Work::AcceptBefore => Outcome::AcceptRan { green: world.rng.chance(5), log: blob },
        Work::Compose => {
            let most = order.subject.as_ref().and_then(|it| it.most_tokens);
            let tokens = world.rng.below(50_000).min(most.unwrap_or(u64::MAX));
            let worst_micros = if world.rng.chance(50) { MAX_CALL_MICROS } else { 0 };
            let worst_tokens = if world.rng.chance(70) { MAX_CALL_TOKENS } else { 0 };
            Outcome::Composed { request: blob, tokens, worst_micros, worst_tokens, context: None }
        }
        Work::Call { cap_micros, cap_tokens, .. }
        | Work::Relay(Relay { cap_micros, cap_tokens, .. })
            if *cap_micros < usage.micros || (0 < *cap_tokens && *cap_tokens < usage.tokens()) =>
        {
            let message = "it came to more than was left".to_owned();
            Outcome::Failed { failure: Failure::OverBudget, message, usage, fault: None }
        }
        Work::Relay(_) => Outcome::Relayed { usage },
        Work::Answer(it)
            if it.cap_micros < usage.micros
                || (0 < it.cap_tokens && it.cap_tokens < usage.tokens()) =>
        {
            let message = "it came to more than was left".to_owned();
            Outcome::Failed { failure: Failure::OverBudget, message, usage, fault: None }
        }
        Work::Answer(_) => Outcome::Answered { reply: blob, usage },
        Work::Call { .. } => {
            Outcome::Replied { reply: blob, calls, usage, by: None, found: found(&order, id) }
        }
        Work::Tool { reads: false, .. } if world.rng.chance(4) => asks(world, blob),
        Work::Tool { reads, .. } => tool_done(world, &order, *reads, blob),
        Work::Save { .. } => {
            let subject = order.subject.as_ref().expect("a loop's work");
            Outcome::Saved { checkpoint: world.save(subject.id, subject.base) }
        }
        Work::Agent { reader: Some(_), .. } => {
            let (calls, found) = (Vec::new(), found(&order, id));
            Outcome::Replied { reply: blob, calls, usage, by: None, found }
        }
        Work::Agent { .. } => agent_done(world, &order, usage, blob),
        Work::Gate => gate(world, id),
        Work::Decompose { .. } => {
            let gate = world.ledger.plans[&order.plan].gate;
            let specs = world.named(gate);
            let children = u16::try_from(specs.len()).unwrap_or(u16::MAX);
            let same = same(world, &order, specs.len());
            Outcome::Decomposed { artifact: blob, children, format: None, specs, same }
        }
        Work::Rebase { onto } => rebase(world, id, *onto),
        Work::BuildCandidate { op, onto, merges } => build(world, id, *op, *onto, *merges),
        Work::GateCandidate { op, commit, with, .. } => gate_candidate(world, *op, *commit, with),
        Work::Publish { op, commit, expected } => publish(world, id, *op, *commit, *expected),
    }
}

fn agent_done(world: &mut World, order: &Order, usage: Usage, blob: Digest) -> Outcome {
    let subject = order.subject.as_ref().expect("a loop's work");
    world.scribble(subject.id);
    let checkpoint = world.save(subject.id, subject.base);
    let exit = i32::from(world.rng.chance(12));
    let usage = world.rng.chance(70).then_some(usage);
    let summary = "it went away".to_owned();
    let mut run = AgentRun { processes: 2, judged: world.rng.chance(50), ..AgentRun::default() };
    if world.rng.chance(4) {
        run.remark(Code::AgentMovedRefs, "it moved a branch");
    }
    Outcome::AgentDone { exit, summary, usage, checkpoint, log: blob, run: Box::new(run) }
}

fn prepare(world: &mut World, id: EffectId, base: Oid, mode: PrepareMode) -> Outcome {
    let loop_id = world.running[&id].subject().id;
    let there = world.worktrees.contains_key(&loop_id);
    let at = match mode {
        PrepareMode::Fresh => base,
        PrepareMode::Restore(at) | PrepareMode::Rewind(at) => at,
        PrepareMode::Keep(_) if there => return Outcome::Prepared { salvaged: None },
        PrepareMode::Keep(at) => at.unwrap_or(base),
    };
    let salvaged = there.then(|| world.save(loop_id, base));
    let files = world.git.files(at);
    world.set_files(loop_id, files);
    Outcome::Prepared { salvaged }
}

fn gate(world: &mut World, id: EffectId) -> Outcome {
    let subject = world.running[&id].subject().clone();
    let checkpoint = world.save(subject.id, subject.base);
    let (files, base) = (world.git.files(checkpoint), world.git.files(subject.base));
    let markers = git::markers(&files);
    let change = Change { files: git::difference(&base, &files), ..Change::default() };
    let digest = world.ledger.loops[&subject.id].head.gate;
    let mut report = (change.files != 0).then(|| gate_on(world, &files, digest));
    if let Some(report) = &mut report {
        report.facts.tampered = tampered(world);
    }
    Outcome::Gated { checkpoint, tree: git::tree_of(&files), change, markers, report }
}

fn rebase(world: &mut World, id: EffectId, onto: Oid) -> Outcome {
    let job = &world.running[&id];
    let (subject, saved) = (job.subject().clone(), job.saved.expect("saved at its start"));
    let (base, ours) = (world.git.files(subject.base), world.git.files(onto));
    let theirs = world.git.files(saved);
    let (files, conflicts) = world.git.merge(&base, &ours, &theirs);
    let checkpoint = world.git.commit(&[onto], files.clone());
    world.set_files(subject.id, files);
    world.saved.push((subject.id, checkpoint, onto));
    let names = (conflicts != 0).then(|| Digest::of(b"files"));
    Outcome::Rebased { checkpoint, conflicts, files: names }
}

fn build(world: &mut World, id: EffectId, op: QueueOp, onto: Oid, merges: Option<Oid>) -> Outcome {
    let (base, theirs, parents) = match merges {
        Some(target) => {
            if world.git.is_ancestor(target, onto) {
                return Outcome::BuiltEmpty;
            }
            if world.git.is_ancestor(onto, target) {
                let tree = world.git.get(target).tree;
                return Outcome::Built { commit: target, tree };
            }
            let base = world.merge_base(onto, target);
            (base, world.git.files(target), vec![onto, target])
        }
        None if let QueueOp::Undo(id) = op => {
            let landed = world.ledger.loops[&id].landed_as.expect("only what landed is undone");
            let before = *world.git.get(landed).parents.first().expect("built on a tip");
            (world.git.files(landed), world.git.files(before), vec![onto])
        }
        None => {
            let subject = world.running[&id].subject().clone();
            let work = subject.checkpoint.expect("passed work has a checkpoint");
            (world.git.files(subject.base), world.git.files(work), vec![onto])
        }
    };
    let ours = world.git.files(onto);
    let (files, conflicts) = world.git.merge(&base, &ours, &theirs);
    if conflicts != 0 {
        return Outcome::BuildConflict { files: Digest::of(b"files") };
    }
    if files == ours && op.loop_id().is_some() {
        return Outcome::BuiltEmpty;
    }
    let tree = git::tree_of(&files);
    let commit = world.git.commit(&parents, files);
    Outcome::Built { commit, tree }
}

/// The gates of all whose work is in it; the first that is red decides.
fn gate_candidate(world: &mut World, op: QueueOp, commit: Oid, with: &[LoopId]) -> Outcome {
    let files = world.git.files(commit);
    let below = with.iter().map(|it| QueueOp::Land(*it));
    let mut reports: Vec<GateReport> = Vec::new();
    for op in below.chain([op]) {
        let gate = gate_of(world, op);
        reports.push(gate_on(world, &files, gate));
    }
    let red = reports.iter().position(|it| !it.green);
    let mut report = reports.swap_remove(red.unwrap_or(reports.len() - 1));
    if op.loop_id().is_some() {
        report.facts.tampered = tampered(world);
    }
    Outcome::CandidateGated(report)
}

fn publish(world: &mut World, id: EffectId, op: QueueOp, commit: Oid, expected: Oid) -> Outcome {
    let order = world.running[&id].order.clone();
    let made = world.git.get(commit).clone();
    let fits = commit == expected || world.git.is_ancestor(expected, commit);
    let mut below = made.parents.clone();
    let mut height = 1;
    while below != [expected] && below.len() == 1 && height < 16 {
        below.clone_from(&world.git.get(below[0]).parents);
        height += 1;
    }
    if !fits || (op.loop_id().is_some() && below.first() != Some(&expected)) {
        world.fail("a candidate is published that was not built on the tip");
    }
    if !world.has_green(made.tree, gate_of(world, op)) {
        world.fail("a tree is published that never passed its gate");
    }
    let (QueueOp::Land(loop_id) | QueueOp::Undo(loop_id)) = op else {
        // An integration ref is ours alone: it is set, whatever it says.
        return Outcome::Published;
    };
    let by_remote = world.ledger.plans[&order.plan].land == LandPolicy::Pr;
    if by_remote && matches!(op, QueueOp::Land(_)) {
        return Outcome::Proposed { url: format!("https://forge.example/{loop_id}") };
    }
    if world.dirty.contains(&order.project) {
        return Outcome::PublishHeld { why: "your checkout has changes".to_owned() };
    }
    let target = (order.project, order.target);
    match world.git.swap(&target, expected, commit) {
        Swap::Elsewhere(actual) => Outcome::PublishMoved { actual },
        Swap::Already => Outcome::Published,
        Swap::Moved => {
            let row = &world.ledger.loops[&loop_id];
            let as_integrated = row.brought.contains(&Some(commit));
            world.tally.landed_as_integrated += u64::from(as_integrated);
            world.look_later(&target);
            Outcome::Published
        }
    }
}

fn gate_of(world: &World, op: QueueOp) -> Digest {
    match op.loop_id().filter(|_| !matches!(op, QueueOp::Undo(_))) {
        Some(id) => world.ledger.loops[&id].head.gate,
        None => world.ledger.plans[&op.plan()].gate,
    }
}

/// Which of what a document names was named before and is the same: some of it.
fn same(world: &mut World, order: &Order, count: usize) -> Vec<Option<u16>> {
    let id = order.subject.as_ref().expect("a loop's work").id;
    let mut before = world.ledger.named_by(id);
    if before.is_empty() {
        return Vec::new();
    }
    let mut one = || world.rng.chance(50).then(|| before.pop()).flatten();
    (0..count).map(|_| one()).collect()
}

/// A tool that asks a person instead.
fn asks(world: &mut World, blob: Digest) -> Outcome {
    world.tally.questions += 1;
    let choices = vec!["yes".to_owned(), "no".to_owned()];
    let default = world.rng.chance(50).then(|| DefaultAnswer {
        said: "yes".to_owned(),
        choice: Some(0),
        result: blob,
    });
    let deadline_ms = world.rng.chance(70).then(|| world.rng.below(600_000));
    let text = "which?".to_owned();
    Outcome::Asks { question: Box::new(Question { text, choices, default, deadline_ms }) }
}

fn tool_done(world: &mut World, order: &Order, reads: bool, result: Digest) -> Outcome {
    let subject = order.subject.as_ref().expect("a loop's work");
    let error = world.rng.chance(10);
    if !reads {
        world.scribble(subject.id);
    }
    // As in logs of 0.1, now and then.
    let at_once = !reads && world.rng.chance(20);
    let checkpoint = at_once.then(|| world.save(subject.id, subject.base));
    let named = if world.rng.chance(50) { Unsaved::Named } else { Unsaved::Any };
    let unsaved = (!reads && !at_once).then_some(named);
    let code = error.then_some(Code::CommandFailed);
    Outcome::ToolDone { result, error, checkpoint, code, unsaved }
}

/// What a second reader says, where the call is one's.
fn found(order: &Order, id: EffectId) -> Option<Box<Found>> {
    let reads = order.subject.as_ref().is_some_and(|it| it.reads);
    let count = u32::from(id.0.0.is_multiple_of(3));
    let log = Digest::of(&count.to_le_bytes());
    reads.then(|| Box::new(Found { count, summary: format!("{count} findings"), log }))
}

/// The same tree gives the same answer, but for a test that fails now and then.
fn gate_on(world: &mut World, files: &Files, gate: Digest) -> GateReport {
    let tree = git::tree_of(files);
    let hash = Digest::of_parts(&[tree.as_bytes(), gate.as_bytes(), &world.seed.to_le_bytes()]);
    let red = u64::from(hash.as_bytes()[0]) * 100 / 256 < world.weather.red;
    let flaky = world.rng.chance(3);
    let green = !red && !flaky && git::markers(files) == 0;
    if green {
        world.remember_green(tree, gate);
    }
    let summary = if green { "all good" } else { "2 tests fail" };
    let run = if world.rng.chance(3) { 6 } else { 7 };
    let counts = Some(TestCounts { run, skipped: 0 });
    // One tree fails in one way, but for that test.
    let failed = (!green).then(|| Digest::of(&[u8::from(red)]));
    let facts = Box::new(GateFacts { tampered: None, counts, failed });
    GateReport {
        green,
        summary: summary.to_owned(),
        log: hash,
        tests: Some(run),
        ms: 900,
        facts,
        proof: None,
    }
}

/// Now and then work changes one of two sets of protected files.
fn tampered(world: &mut World) -> Option<Tampered> {
    let found = world.rng.chance(3);
    let list = Digest::of(&[u8::from(world.rng.chance(30))]);
    found.then(|| Tampered { paths: vec!["test.sh".to_owned()], files: 1, list })
}

fn part(usage: Usage) -> Usage {
    Usage { input: usage.input / 2, output: usage.output / 2, micros: usage.micros / 2, ..usage }
}
