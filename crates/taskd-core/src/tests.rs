//! Stories: inputs in text, events out. The helper here is the only one that knows the API.
//!
//! A line is `time words…`, times in milliseconds. Commits and trees are named in hexadecimal
//! (`ba5e` is the first base); a loop is called by its spec's name, a plan `p1`, the landing queue
//! `q`. `a to call` finishes what runs of `a`, well, until a call is open (or `gate`, `land`).

mod agents;
mod asked;
mod documents;
mod fallback;
mod landing;
mod log;
mod loops;
mod messages;
mod money;
mod people;
mod provider;
mod queries;
mod queue;
mod recovery;
mod room;
mod scheduling;
mod too_large;
mod tools;
mod unsaved;
mod why;

use taskd_model::{
    Actor, AgentRun, Change, Code, Command, Digest, DocumentHead, EffectId, Event, Failure,
    GateReport, Input, LandPolicy, Limits, LoopId, LoopLimits, Observation, Oid, OnConflict,
    Outcome, Owner, PlanHead, PlanId, Priority, ProjectId, Purse, Record, SpecHead, SpecId, Status,
    Tampered, Time, ToolCall, Unsaved, Usage, Work, Worker,
};

use crate::{Coordinator, Decided, Rejected};

/// Whoever types commands.
const PERSON: Actor = Actor::Person { uid: 1000, via: None };

/// Plays a script and renders what was decided, what runs at the end, and where the loops are.
fn story(script: &str) -> String {
    let mut play = Play::default();
    play.lines(script);
    play.transcript()
}

/// Like [`story`], but tells only what happened from this line of the script on.
fn story_from(before: &str, script: &str) -> String {
    let mut play = Play::default();
    play.lines(before);
    play.told = play.log.len();
    play.lines(script);
    play.transcript()
}

/// A coordinator, its log, and what the last line led to.
#[derive(Default)]
struct Play {
    core: Coordinator,
    log: Vec<Record>,
    names: Vec<(String, LoopId)>,
    now: u64,
    told: usize,
    last: Decided,
    refused: Option<Rejected>,
}

impl Play {
    fn lines(&mut self, script: &str) {
        for line in script.lines().flat_map(|it| it.split('|')).map(str::trim) {
            if !line.is_empty() {
                self.line(line);
            }
        }
    }

    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.now = words[0].parse().expect(line);
        match &words[1..] {
            [name, "to", verb] => self.go_to(name, verb),
            words => {
                let arranged = self.arranged(words).or_else(|| room::input(words));
                let input = arranged.unwrap_or_else(|| self.parse(words));
                self.input(&input);
            }
        }
    }

    fn input(&mut self, input: &Input) {
        self.refused = None;
        match self.core.handle(Time(self.now), input) {
            Ok(decided) => {
                self.log.extend(decided.records.iter().cloned());
                self.last = decided;
            }
            Err(error) => self.refused = Some(error),
        }
    }

    /// Ends what runs of a loop, well, until work of this kind is open or waited for.
    fn go_to(&mut self, name: &str, verb: &str) {
        for _ in 0..40 {
            let Some((id, work)) = self.open_of(name) else { return };
            if work.verb() == verb {
                return;
            }
            self.end(id, good(&work));
        }
        panic!("{name} never comes to {verb}");
    }

    fn end(&mut self, effect: EffectId, outcome: Outcome) {
        self.input(&Input::Ended { effect, outcome });
    }

    /// Ends the oldest open effect well; false if nothing runs.
    fn finish_one(&mut self) -> bool {
        let Some((id, work)) = self.core.open_effects().map(|it| (it.0, it.1.clone())).next()
        else {
            return false;
        };
        self.end(id, good(&work));
        true
    }

    /// The latest open effect of a loop, a plan or the queue.
    fn open_of(&self, name: &str) -> Option<(EffectId, Work)> {
        let is_its = |id: &EffectId| match self.core.state().effects()[id].owner {
            Owner::Loop(it) => self.names.iter().any(|(n, id)| n == name && *id == it),
            Owner::Plan(it) => name == it.to_string(),
            Owner::Queue(_) => name == "q",
        };
        let mut open = self.core.open_effects().filter(|it| is_its(&it.0));
        open.next_back_open().map(|(id, work, _)| (id, work.clone()))
    }

    fn id(&self, name: &str) -> LoopId {
        let found = self.names.iter().rev().find(|it| it.0 == name);
        found.unwrap_or_else(|| panic!("no loop {name}")).1
    }

    fn status(&self, name: &str) -> Status {
        self.core.state().loops()[&self.id(name)].status
    }

    fn calls_in_flight(&self) -> usize {
        self.core.open_effects().filter(|it| matches!(it.1, Work::Call { .. })).count()
    }

    fn call_times(&self) -> Vec<u64> {
        let is_call = |it: &&Record| {
            matches!(&it.event, Event::EffectStarted { work: Work::Call { .. }, .. })
        };
        self.log.iter().filter(is_call).map(|it| it.at.0).collect()
    }

    fn transcript(&self) -> String {
        let mut text = String::new();
        for record in &self.log[self.told..] {
            text.push_str(&format!("{:<3} {:>6}  {record}\n", record.seq.0, record.at.0));
        }
        if let Some(error) = &self.refused {
            text.push_str(&format!("    refused: {error}\n"));
        }
        for (_, work, ending) in self.core.open_effects() {
            text.push_str(&format!("    open: {work}{}\n", if ending { ", ending" } else { "" }));
        }
        for (name, id) in &self.names {
            if let Some(engine) = self.core.state().engine(*id) {
                text.push_str(&format!("    {name} is {}\n", engine.status));
            }
        }
        text
    }

    fn parse(&mut self, words: &[&str]) -> Input {
        let person = |command| Input::Command { actor: PERSON, command };
        let ids = |names: &[&str]| names.iter().map(|it| self.id(it)).collect::<Vec<LoopId>>();
        match words {
            ["start"] => Input::Started { version: "0.1.0".to_owned() },
            ["restart"] => {
                self.core = Coordinator::replay(&self.log);
                Input::Started { version: "0.1.0".to_owned() }
            }
            ["tick"] => Input::Tick,
            ["project", more @ ..] => {
                let root = format!("/repo{}", more.concat());
                person(Command::AddProject { git_dir: format!("{root}/.git"), root })
            }
            ["limits", settings @ ..] => Input::Limits(limits(settings)),
            ["plan", words @ ..] => person(self.plan(words)),
            ["main", tip, more @ ..] => Input::MainSeen {
                project: ProjectId(1),
                target: "main".to_owned(),
                tip: oid(tip),
                commits: 1,
                rewritten: more == ["rewritten"],
            },
            ["pause", names @ ..] => person(Command::Pause(ids(names))),
            ["resume", names @ ..] => person(Command::Resume(ids(names))),
            ["stop", names @ ..] => person(Command::Stop(ids(names))),
            ["land", names @ ..] => person(Command::Land(ids(names))),
            ["reject", name] => {
                person(Command::Reject { id: self.id(name), note: Digest::of(b"no") })
            }
            ["budget", name, micros] => person(Command::SetBudget {
                of: self.purse(name),
                micros: micros.parse().expect("micro-dollars"),
            }),
            ["tokens", name, tokens] => person(Command::SetTokens {
                of: self.purse(name),
                tokens: tokens.parse().expect("tokens"),
            }),
            ["park"] => person(Command::Park),
            ["unpark"] => person(Command::Unpark),
            ["panic", name] => {
                Input::Panicked { id: self.id(name), message: "index out of bounds".to_owned() }
            }
            [name, "asks", index, tool] => {
                let of_it = |it: &(EffectId, &Work, bool)| {
                    let its = self.core.state().effects()[&it.0].owner == self.owner(name);
                    its && matches!(it.1, Work::Call { .. })
                };
                let effect = self.core.open_effects().find(of_it).expect("a call is open").0;
                let index = index.parse().unwrap();
                let fact = Observation::ToolCalled { index, call: tool_call(tool) };
                Input::Observed { effect, index: u32::from(index), fact }
            }
            [name, "saved", commit] => {
                let (effect, _) = self.open_of(name).expect("something is open");
                let fact = Observation::Checkpoint(oid(commit));
                Input::Observed { effect, index: 0, fact }
            }
            [name, verb, args @ ..] => {
                let wants_call = OF_CALLS.contains(verb);
                let open = self.core.open_effects().filter(|it| {
                    self.core.state().effects()[&it.0].owner == self.owner(name)
                        && (!wants_call || matches!(it.1, Work::Call { .. }))
                        && (*verb != "tool" || it.1.to_string().ends_with(args[0]))
                        && (!verb.starts_with("save") || matches!(it.1, Work::Save { .. }))
                });
                let effect = open.last().unwrap_or_else(|| panic!("nothing open: {words:?}")).0;
                Input::Ended { effect, outcome: self.outcome(name, verb, args) }
            }
            other => panic!("unknown line {other:?}"),
        }
    }

    /// How an effect ends. What a document names can be spoken of by its name from then on.
    fn outcome(&mut self, name: &str, verb: &str, args: &[&str]) -> Outcome {
        let outcome = outcome(verb, args);
        if let Outcome::Decomposed { specs, same, .. } = &outcome {
            let plan = self.id(name).plan();
            let first = self.core.state().plan(plan).specs.len() as u16;
            let is_new = |n: usize| same.get(n).copied().flatten().is_none();
            let new = (0..).zip(specs).filter(|it| is_new(it.0)).map(|it| it.1);
            for (index, it) in (first..).zip(new) {
                let id = LoopId { spec: SpecId { plan, index }, run: 1 };
                self.names.push((it.name.clone(), id));
            }
        }
        outcome
    }

    /// What a person says of the landing queue, or to a loop.
    fn arranged(&self, words: &[&str]) -> Option<Input> {
        let loops = |names: &[&str]| match names {
            ["all"] => (Vec::new(), vec![ProjectId(1)]),
            names => (names.iter().map(|it| self.id(it)).collect(), Vec::new()),
        };
        let command = match words {
            ["hold", names @ ..] => {
                let (ids, projects) = loops(names);
                Command::HoldQueue { ids, projects }
            }
            ["release", names @ ..] => {
                let (ids, projects) = loops(names);
                Command::ReleaseQueue { ids, projects }
            }
            ["note", name, now @ ..] => {
                let (note, now) = (Digest::of(b"hm"), now == ["now"]);
                Command::Note { id: self.id(name), note, now }
            }
            ["retry", name] => {
                let (id, note, tip) = (self.id(name), Digest::of(b"again"), oid("ba5e"));
                Command::Retry { id, to: None, gate: false, note, tip }
            }
            ["move", name, before] => {
                let before = (*before != "first").then(|| self.id(before));
                Command::MoveQueue { id: self.id(name), before }
            }
            _ => return None,
        };
        Some(Input::Command { actor: PERSON, command })
    }

    fn purse(&self, name: &str) -> Purse {
        match name {
            "all" => return Purse::All,
            "project" => return Purse::Project(ProjectId(1)),
            "project2" => return Purse::Project(ProjectId(2)),
            _ => {}
        }
        match self.owner(name) {
            Owner::Loop(id) => Purse::Loop(id),
            Owner::Plan(id) => Purse::Plan(id),
            Owner::Queue(_) => panic!("the queue has no money"),
        }
    }

    fn owner(&self, name: &str) -> Owner {
        match name {
            "q" => Owner::Queue(ProjectId(1)),
            "p1" | "p2" | "p3" => Owner::Plan(PlanId(name[1..].parse().unwrap())),
            name => Owner::Loop(self.id(name)),
        }
    }

    /// `a b<a,c land=ask accept agent …`
    fn plan(&mut self, words: &[&str]) -> Command {
        let plan = PlanId(self.core.state().plans().len() as u32 + 1);
        let setting = |key: &str| words.iter().find_map(|it| it.strip_prefix(&format!("{key}=")));
        let number = |key: &str| setting(key).map(|it| it.parse::<u64>().unwrap());
        let flag = |key: &str| words.contains(&key);
        let names: Vec<&str> = words
            .iter()
            .copied()
            .filter(|it| {
                let flags = ["accept", "agent", "red-ok", "document", "approve"];
                !it.contains('=') && !flags.contains(it)
            })
            .collect();
        let places: Vec<&str> =
            names.iter().map(|it| it.split(['<', '=']).next().unwrap()).collect();
        let place = |name: &str| places.iter().position(|it| *it == name).unwrap() as u16;
        let mut specs = Vec::new();
        for (index, name) in (0u16..).zip(&names) {
            let needs =
                name.split_once('<').map(|it| it.1).into_iter().flat_map(|it| it.split(','));
            let worker = setting("model").unwrap_or("fast").to_owned();
            specs.push(SpecHead {
                name: places[usize::from(index)].to_owned(),
                title: "something".to_owned(),
                needs: needs.map(place).collect(),
                doc: Digest::of(b"spec"),
                gate: Digest::of(b"gate"),
                accept: flag("accept"),
                worker: if flag("agent") { Worker::Agent(worker) } else { Worker::Model(worker) },
                fallback: setting("fallback")
                    .map(|it| it.split(',').map(str::to_owned).collect())
                    .unwrap_or_default(),
                type_name: "ralph".to_owned(),
                left_out: Vec::new(),
                touches: setting("touches").map(str::to_owned).into_iter().collect(),
                limits: loop_limits(words),
                writes: (flag("document") && index == 0).then(|| document(words)),
                parent: None,
                review: None,
            });
            let id = LoopId { spec: SpecId { plan, index }, run: 1 };
            self.names.push((places[usize::from(index)].to_owned(), id));
        }
        let head = PlanHead {
            project: ProjectId(number("project").unwrap_or(1) as u32),
            title: "a plan".to_owned(),
            target: "main".to_owned(),
            base: oid(setting("base").unwrap_or("ba5e")),
            key: Digest::of(setting("key").map_or(plan.to_string(), str::to_owned).as_bytes()),
            doc: Digest::of(b"plan"),
            gate: Digest::of(b"gate"),
            base_red_ok: flag("red-ok"),
            land: match setting("land") {
                Some("never") => LandPolicy::Never,
                Some("on-gate") => LandPolicy::OnGate,
                _ => LandPolicy::Ask,
            },
            priority: match setting("priority") {
                Some("low") => Priority::Low,
                Some("high") => Priority::High,
                Some("critical") => Priority::Critical,
                _ => Priority::Normal,
            },
            budget_micros: number("plan-budget").unwrap_or(20_000_000),
            tokens: number("plan-tokens").unwrap_or(0),
            time_ms: number("plan-time").unwrap_or(21_600_000),
            specs: specs.len() as u16,
            single: false,
            trace: None,
        };
        Command::SubmitPlan { head: Box::new(head), specs }
    }
}

/// The last item of an iterator that only goes forward.
trait LastOpen: Iterator {
    fn next_back_open(&mut self) -> Option<Self::Item> {
        self.last()
    }
}

impl<I: Iterator> LastOpen for I {}

fn document(words: &[&str]) -> DocumentHead {
    let number = |key: &str| {
        let found = words.iter().find_map(|it| it.strip_prefix(key));
        found.map(|it| it.parse().unwrap())
    };
    DocumentHead {
        approve: words.contains(&"approve"),
        reviews: number("reviews=").unwrap_or(0),
        repairs: number("repairs=").unwrap_or(1),
    }
}

fn loop_limits(words: &[&str]) -> LoopLimits {
    let setting = |key: &str| words.iter().find_map(|it| it.strip_prefix(&format!("{key}=")));
    let number = |key: &str| setting(key).map(|it| it.parse::<u64>().unwrap());
    LoopLimits {
        iterations: number("iterations").unwrap_or(10) as u32,
        time_ms: number("time").unwrap_or(7_200_000),
        budget_micros: number("budget").unwrap_or(5_000_000),
        tokens: number("tokens").unwrap_or(0),
        restarts: 1,
        conflict: match setting("conflict") {
            Some("block") => OnConflict::Block,
            _ => OnConflict::default(),
        },
        same_failure: number("same").map_or(3, |it| it as u32),
        turns: number("turns").unwrap_or(0) as u32,
    }
}

fn limits(settings: &[&str]) -> Limits {
    let mut limits = Limits::default();
    for setting in settings {
        let (key, value) = setting.split_once('=').expect(setting);
        let value: u32 = value.parse().expect(setting);
        match key {
            "loops" => limits.loops = value,
            "agents" => limits.agents = value,
            "gates" => limits.gates = value,
            "calls" => limits.calls = value,
            "rate" => limits.requests_per_minute = value,
            "burst" => limits.request_burst = value,
            "attempts" => limits.call_attempts = value,
            "deadline" => limits.call_deadline_ms = u64::from(value),
            "batch" => limits.batch = value,
            "behind" => limits.max_behind = value,
            "ageing" => limits.ageing_ms = u64::from(value),
            "input" => limits.input_tokens_per_minute = u64::from(value),
            "output" => limits.output_tokens_per_minute = u64::from(value),
            other => panic!("no limit {other}"),
        }
    }
    limits
}

/// Ends that only a call has.
const OF_CALLS: [&str; 5] = ["replies", "429", "call-fails", "too-large", "over-budget"];

/// The end of a run of an agent: its exit status, and whether it is `judged`, or `asks` a person.
fn agent_done(args: &[&str]) -> Outcome {
    let mut run = AgentRun { judged: args.contains(&"judged"), ..AgentRun::default() };
    if args.contains(&"asks") {
        run.remark(Code::AgentMovedRefs, "it moved main");
    }
    Outcome::AgentDone {
        exit: args.first().map_or(0, |it| it.parse().unwrap()),
        summary: "killed".to_owned(),
        usage: None,
        checkpoint: oid("a9e7"),
        log: Digest::of(b"agent"),
        run: Box::new(run),
    }
}

/// How an effect ends, in words.
fn outcome(verb: &str, args: &[&str]) -> Outcome {
    let blob = Digest::of(verb.as_bytes());
    let tree = |default: &str| oid(args.first().copied().unwrap_or(default));
    let failed = |failure| Outcome::Failed {
        failure,
        message: "no luck".to_owned(),
        usage: Usage::default(),
        fault: None,
    };
    match verb {
        "ready" => Outcome::Prepared { salvaged: None },
        "composed" => Outcome::Composed {
            request: blob,
            tokens: 1_000,
            worst_micros: args.first().map_or(0, |it| it.parse().unwrap()),
            context: None,
            worst_tokens: args.get(1).map_or(0, |it| it.parse().unwrap()),
        },
        "replies" => Outcome::Replied {
            reply: blob,
            calls: args.iter().map(|it| tool_call(it)).collect(),
            usage: used(),
            by: None,
            found: None,
        },
        "over-budget" => Outcome::Failed {
            failure: Failure::OverBudget,
            message: "it cost more than is left".to_owned(),
            usage: used(),
            fault: None,
        },
        "tool" => tool_done(blob, args),
        "saves" => Outcome::Saved { checkpoint: oid(args[0]) },
        "base-green" => Outcome::BaseChecked(report(true)),
        "base-red" => Outcome::BaseChecked(report(false)),
        "accept-green" => Outcome::AcceptRan { green: true, log: blob },
        "accept-red" => Outcome::AcceptRan { green: false, log: blob },
        "green" => gated(tree("7ee1"), 0, 2, true),
        "red" => gated(tree("7ee2"), 0, 2, false),
        "unchanged" => gated(tree("ba5e"), 0, 0, true),
        "marked" => gated(tree("7ee3"), 1, 2, true),
        "rebased" => Outcome::Rebased { checkpoint: tree("4eba"), conflicts: 0, files: None },
        "conflicts" => {
            Outcome::Rebased { checkpoint: tree("4eba"), conflicts: 2, files: Some(blob) }
        }
        "names" => {
            let (specs, same) = (children(args), same(args));
            Outcome::Decomposed { artifact: blob, children: 0, format: None, specs, same }
        }
        "agent" => agent_done(args),
        "built" => Outcome::Built { commit: oid(args[0]), tree: oid(args[1]) },
        "empty" => Outcome::BuiltEmpty,
        "conflict" => Outcome::BuildConflict { files: blob },
        "candidate-green" => Outcome::CandidateGated(report(true)),
        "tampered" => suspicious(gated(tree("7ee1"), 0, 2, true), &args[1..]),
        "candidate-tampered" => suspicious(Outcome::CandidateGated(report(true)), args),
        "candidate-red" => Outcome::CandidateGated(report(false)),
        "published" => Outcome::Published,
        "moved" => Outcome::PublishMoved { actual: oid(args[0]) },
        "held" => Outcome::PublishHeld { why: "src/lib.rs has changes".to_owned() },
        "429" | "limit" => failed(refused(args)),
        "fails" | "call-fails" | "save-fails" => failed(Failure::Transient),
        "no-room" => room::ended(),
        "fails-for-good" => failed(Failure::Permanent),
        "too-large" => failed(Failure::TooLarge),
        "unauthorized" => failed(Failure::Auth),
        "cancelled" => Outcome::Cancelled { usage: Usage::default(), checkpoint: None },
        other => panic!("unknown outcome {other}"),
    }
}

/// A checkpoint, or which files are not saved.
fn tool_done(result: Digest, args: &[&str]) -> Outcome {
    let unsaved = match args.get(1) {
        Some(&"named") => Some(Unsaved::Named),
        Some(&"any") => Some(Unsaved::Any),
        _ => None,
    };
    let checkpoint = args.get(1).filter(|_| unsaved.is_none()).map(|it| oid(it));
    Outcome::ToolDone { result, error: false, checkpoint, code: None, unsaved }
}

/// The places of those that were named before: `x=2`.
fn same(names: &[&str]) -> Vec<Option<u16>> {
    let place =
        |it: &&str| Some(it.split('<').next()?.split_once('=')?.1.parse().expect("a place"));
    let same: Vec<Option<u16>> = names.iter().map(place).collect();
    if same.iter().all(Option::is_none) { Vec::new() } else { same }
}

/// Specs that a document names: `x y<x z<y,document`.
fn children(names: &[&str]) -> Vec<SpecHead> {
    let places: Vec<&str> = names.iter().map(|it| it.split('<').next().unwrap()).collect();
    let place = |name: &str| places.iter().position(|it| *it == name).map(|it| it as u16);
    let spec = |(name, said): (&&str, &&str)| {
        let said = said.split_once('<').map(|it| it.1).into_iter().flat_map(|it| it.split(','));
        let said: Vec<&str> = said.collect();
        SpecHead {
            name: (*name).to_owned(),
            title: "named".to_owned(),
            needs: said.iter().filter_map(|it| place(it)).collect(),
            doc: Digest::of(b"spec"),
            gate: Digest::of(b"gate"),
            accept: false,
            worker: Worker::Model("fast".to_owned()),
            fallback: Vec::new(),
            type_name: "ralph".to_owned(),
            left_out: Vec::new(),
            limits: loop_limits(&[]),
            touches: Vec::new(),
            writes: said.contains(&"document").then(DocumentHead::default),
            parent: None,
            review: None,
        }
    };
    places.iter().zip(names).map(spec).collect()
}

/// With the milliseconds that were named, if any were.
fn refused(args: &[&str]) -> Failure {
    args.first().map_or(Failure::RateLimited, |ms| Failure::NotBefore(ms.parse().unwrap()))
}

/// How work ends that goes well and asks for nothing.
fn good(work: &Work) -> Outcome {
    match work {
        Work::CheckBase { .. } => outcome("base-green", &[]),
        Work::Prepare { .. } => outcome("ready", &[]),
        Work::AcceptBefore => outcome("accept-red", &[]),
        Work::Compose => outcome("composed", &[]),
        Work::Call { .. } => outcome("replies", &[]),
        Work::Tool { reads: true, .. } => outcome("tool", &[""]),
        Work::Tool { .. } => outcome("tool", &["", "5afe"]),
        Work::Save { .. } => outcome("saves", &["5afe"]),
        Work::Agent { .. } => outcome("agent", &[]),
        Work::Relay(_) => Outcome::Relayed { usage: used() },
        Work::Answer(_) => Outcome::Answered { reply: Digest::of(b"this"), usage: used() },
        Work::Gate => outcome("green", &[]),
        Work::Decompose { .. } => outcome("names", &["x"]),
        Work::Rebase { .. } => outcome("rebased", &[]),
        Work::BuildCandidate { .. } => outcome("built", &["c1", "7ee1"]),
        Work::GateCandidate { .. } => outcome("candidate-green", &[]),
        Work::Publish { .. } => outcome("published", &[]),
    }
}

fn gated(tree: Oid, markers: u32, files: u32, green: bool) -> Outcome {
    let change = Change { files, added: 10, removed: 3 };
    Outcome::Gated { checkpoint: oid("5afe"), tree, change, markers, report: Some(report(green)) }
}

/// The same outcome of work that changes these protected files.
fn suspicious(mut outcome: Outcome, names: &[&str]) -> Outcome {
    let (Outcome::Gated { report: Some(report), .. } | Outcome::CandidateGated(report)) =
        &mut outcome
    else {
        panic!("{outcome} is no gate");
    };
    let paths: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
    let (files, list) = (1, Digest::of(names.join("\n").as_bytes()));
    report.facts.tampered = Some(Tampered { paths, files, list });
    outcome
}

/// What each call uses: one cent, and a thousand tokens, which count towards no limit per minute.
fn used() -> Usage {
    Usage { micros: 10_000, cache_read: 1_000, ..Usage::default() }
}

fn report(green: bool) -> GateReport {
    let summary = if green { "12 passed" } else { "1 failed" }.to_owned();
    let log = Digest::of(b"log");
    let facts = Box::default();
    GateReport { green, summary, log, tests: Some(12), ms: 900, facts, proof: None }
}

/// Names that begin with `r` or `g` (`read`, `grep`) only read; `run` does not.
fn tool_call(name: &str) -> ToolCall {
    let reads = ["read", "grep", "finish"].contains(&name);
    ToolCall { name: name.to_owned(), args: Digest::of(name.as_bytes()), reads }
}

fn oid(hex: &str) -> Oid {
    format!("{hex:0<40}").parse().expect(hex)
}
