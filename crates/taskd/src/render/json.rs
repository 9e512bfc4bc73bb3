//! What programs read: documented fields that stay.
//!
//! Every object names `schema_version`. Times are RFC 3339 in UTC, durations milliseconds (`_ms`),
//! money micro-dollars (`_micros`), ids text. Fields are added, never changed; what is not known is
//! absent or null. `taskd help json` is this page in short; `docs/schemas` has a schema of each, and
//! `docs/json.md` is the contract.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use taskd_api::v1;
use taskd_model::{
    Depth, Disk, DocumentView, Fault, Format, GateView, LoopView, PlanView, ReviewView, Status,
    Suspicion, Time, View, WaitVerdict, Worker,
};

use super::words;

/// Version of every object below.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// A loop, in `ls` and `show`.
#[derive(Debug, Serialize)]
pub(crate) struct LoopRow {
    /// What people write: `p7.limiter`.
    name: String,
    /// Its plan: `p7`.
    plan: String,
    title: String,
    /// Name of its loop type.
    #[serde(rename = "type")]
    type_name: String,
    /// The loop whose document named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// What its document has become.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Value>,
    /// `needs_you`, `working`, `waiting` or `done`.
    group: &'static str,
    /// One of the nine statuses.
    status: Status,
    /// One line for people: what it does, waits for or needs.
    state: String,
    worker: String,
    iteration: u32,
    iterations_max: u32,
    /// How many of the last iterations ended the same way on the same tree.
    #[serde(skip_serializing_if = "is_zero")]
    alike: u32,
    /// Commits its base lacks.
    behind: u64,
    files: u32,
    added: u32,
    removed: u32,
    cost_micros: u64,
    /// Some of what it used nobody counted.
    uncounted: bool,
    /// How what its agent uses is counted: `by_time`, `by_report` or `by_call`.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<Depth>,
    /// Names of the loops it needs.
    needs: Vec<String>,
    /// Those of them it waits for.
    waits_for: Vec<String>,
    /// Since when it is in this state.
    since: String,
    last_sign: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    /// The commit on the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    landed: Option<String>,
    /// The commit that took it off the target again.
    #[serde(skip_serializing_if = "Option::is_none")]
    undone: Option<String>,
    /// Where its pull request is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_request: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde wants")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// `ls --json`: one object.
pub(crate) fn ls(view: &View, now: Time) -> Value {
    let loops: Vec<LoopRow> = view.loops.values().map(|it| row(view, it, now)).collect();
    json!({
        "schema_version": SCHEMA_VERSION,
        "seq": view.seq,
        "at": time(view.at),
        "parked": view.parked,
        "disk": disk(&view.disk),
        "plans": view.plans.values().map(|it| plan(view, it)).collect::<Vec<_>>(),
        "loops": loops,
    })
}

/// The room on the disk.
fn disk(it: &Disk) -> Value {
    json!({
        "room": it.room,
        "free_bytes": (*it != Disk::default()).then_some(it.free_bytes),
        "shortage": it.shortage(),
    })
}

/// `plan ls --json`: one object a plan.
pub(crate) fn plans(view: &View) -> Vec<Value> {
    let versioned = |it| {
        let mut object = plan(view, it);
        object["schema_version"] = SCHEMA_VERSION.into();
        object
    };
    view.plans.values().map(versioned).collect()
}

/// A plan, in `ls` and `plan ls`.
fn plan(view: &View, it: &PlanView) -> Value {
    json!({
        "name": it.id.to_string(),
        "title": it.title,
        "target": it.target,
        "state": it.state,
        "land": it.land,
        "specs": it.specs,
        "landed": it.landed,
        "cost_micros": it.spent.micros,
        "uncounted": it.uncounted,
        "budget_micros": it.budget_micros,
        "submitted": time(it.submitted_at),
        "root": view.projects.get(&it.project).map(|it| it.root.as_str()),
    })
}

/// `show --json`: a loop with its iterations, or a plan with its loops.
pub(crate) fn show(view: &View, loops: &[&LoopView], more: &v1::ShowResponse, now: Time) -> Value {
    let loops = loops.iter().map(|it| {
        let iterations = it.iterations.iter().map(|it| {
            json!({
                "n": it.n,
                "started": time(it.started_at),
                "verdict": it.verdict,
                "summary": it.summary,
                "files": it.change.files,
                "added": it.change.added,
                "removed": it.change.removed,
                "ms": it.ms,
                "cost_micros": it.micros,
                "log": it.log,
            })
        });
        let mut object = serde_json::to_value(row(view, it, now)).unwrap_or_default();
        object["iterations"] = iterations.collect::<Vec<_>>().into();
        object["base"] = it.base.commit.to_string().into();
        if let Some(it) = &it.gate {
            object["gate_report"] = gate_report(it);
        }
        if let Some(of) = it.landed.and_then(|it| it.evidence) {
            object["landed_evidence"] = json!({ "event": of.seq, "tree": of.tree.to_string() });
        }
        let questions = it.open_questions().map(
            |it| json!({ "id": it.id, "text": it.text, "choices": it.choices, "at": time(it.at) }),
        );
        object["questions"] = questions.collect::<Vec<_>>().into();
        if let Some(context) = &it.context {
            object["context"] = json!({
                "tokens": context.tokens,
                "window": context.of.window,
                "turns_left_out": context.of.turns_left_out,
                "outputs_left_out": context.of.outputs_left_out,
                "bytes_left_out": context.of.bytes_left_out,
            });
        }
        if let Some(suspicion) = &it.suspicion {
            object["suspicion"] = self::suspicion(suspicion);
        }
        if let Some(review) = &it.review {
            object["review"] = self::review(review);
        }
        if !it.last_run.is_empty() {
            object["last_run"] = json!(it.last_run);
        }
        if let Some(it) = &it.trouble {
            let (said, at, event, fault) = (&it.message, time(it.at), it.seq, it.fault.as_deref());
            object["trouble"] =
                json!({ "message": said, "at": at, "event": event, "fault": fault });
        }
        object
    });
    json!({
        "schema_version": SCHEMA_VERSION,
        "seq": view.seq,
        "at": time(view.at),
        "name": more.name,
        "text": more.text,
        "accept": more.accept,
        "gate": more.gate,
        "gate_origin": more.gate_origin,
        "ref": more.r#ref,
        "worktree": more.worktree,
        "worker": more.worker,
        "touches": more.touches,
        "notes": more.notes,
        "warnings": more.warnings,
        "loops": loops.collect::<Vec<_>>(),
    })
}

/// A second reader, and what it found last.
fn review(it: &ReviewView) -> Value {
    let mut object = json!({ "blocks": it.head.blocks, "asked": it.asked });
    match &it.head.by {
        Worker::Model(name) => object["model"] = name.as_str().into(),
        Worker::Agent(name) => object["agent"] = name.as_str().into(),
    }
    if let Some(found) = &it.found {
        object["iteration"] = it.iteration.into();
        object["findings"] = found.count.into();
        object["summary"] = found.summary.as_str().into();
        object["log"] = found.log.to_string().into();
        object["readings"] = it.readings.into();
        object["objections"] = it.objections.into();
    }
    object
}

/// What a gate said last, and what makes it evidence.
fn gate_report(it: &GateView) -> Value {
    let mut object = json!({
        "event": it.seq,
        "green": it.green,
        "summary": it.summary,
        "at": time(it.at),
        "ms": it.ms,
        "log": it.log,
    });
    if let Some(proof) = &it.proof {
        object["proof"] = json!(proof);
    }
    object
}

/// `why --json`.
pub(crate) fn why(answer: &v1::WhyResponse) -> Value {
    let chain = answer.chain.iter().map(|it| {
        json!({
            "subject": it.subject,
            "sentence": it.sentence,
            "until": it.until.map(|it| time(Time(it))),
            "since": it.since.map(|it| time(Time(it))),
            "seq": it.seq,
            "details": it.details,
            "evidence": (!it.evidence.is_empty()).then_some(&it.evidence),
            "evidence_at": it.evidence_at.map(|it| time(Time(it))),
            "fault": it.fault.clone().map(Fault::from),
        })
    });
    json!({
        "schema_version": SCHEMA_VERSION,
        "chain": chain.collect::<Vec<_>>(),
        "not_the_cause": answer.not_the_cause,
        "next": answer.next,
    })
}

/// `run --json --detach`, `plan submit --json` and `plan check --json`.
pub(crate) fn submitted(answer: &v1::SubmitResponse) -> Value {
    let graph = answer.graph.iter().map(|it| {
        json!({
            "name": it.name,
            "title": it.title,
            "needs": it.needs,
            "worker": it.worker,
            "accept": it.accept,
            "accept_red": it.accept_red,
        })
    });
    let problems = answer.problems.iter().map(problem);
    json!({
        "schema_version": SCHEMA_VERSION,
        "plan": answer.plan.map(|it| format!("p{it}")),
        "names": answer.names,
        "title": answer.title,
        "target": answer.target,
        "base": answer.base,
        "dirty": answer.dirty,
        "gate": answer.gate,
        "gate_origin": answer.gate_origin,
        "worker": answer.worker,
        "payers": payers(&answer.payers),
        "land": land(answer.land()),
        "land_mode": answer.land_mode,
        "budget_micros": answer.plan_budget_micros,
        "time_ms": answer.plan_time_ms,
        "already_known": answer.already_known,
        "trace": (!answer.trace.is_empty()).then_some(&answer.trace),
        "seq": answer.seq,
        "graph": graph.collect::<Vec<_>>(),
        "problems": problems.collect::<Vec<_>>(),
    })
}

/// What is wrong with what was handed in, or worth saying of it.
pub(crate) fn problem(it: &v1::Problem) -> Value {
    json!({
        "line": it.line,
        "column": it.column,
        "message": it.message,
        "hint": it.hint,
        "warning": it.warning,
    })
}

/// One line of a verb's answer.
pub(crate) fn acted(it: &v1::ActResult) -> Value {
    let error = it.error.as_ref();
    let error = error.map(|it| {
        json!({ "code": it.code, "message": it.message, "hint": it.hint, "causes": it.causes })
    });
    json!({
        "schema_version": SCHEMA_VERSION,
        "id": it.id,
        "name": it.name,
        "done": it.done,
        "message": it.message,
        "error": error,
    })
}

/// One line of `wait --json`, and the last one of a run that was followed.
pub(crate) fn waited(name: &str, verdict: WaitVerdict) -> Value {
    let exit = verdict.exit();
    json!({ "schema_version": SCHEMA_VERSION, "id": name, "verdict": verdict, "exit": exit })
}

/// `daemon status --json`.
pub(crate) fn status(it: &v1::StatusResponse) -> Value {
    let totals = it.totals.iter().map(|it| {
        let status = it.status().as_str_name().trim_start_matches("STATUS_").to_lowercase();
        (status, Value::from(it.count))
    });
    json!({
        "schema_version": SCHEMA_VERSION,
        "version": it.version,
        "pid": it.pid,
        "started": time(Time(it.started_at)),
        "seq": it.seq,
        "parked": it.parked,
        "loops": totals.collect::<serde_json::Map<_, _>>(),
        "projects": it.projects,
        "effects": it.effects,
        "watchers": it.watchers,
        "sockets": it.sockets,
        "store": it.store_path,
        "store_bytes": it.store_bytes,
        "disk_free_bytes": it.disk_free_bytes,
        "payers": payers(&it.payers),
        "healthy": it.driver.as_ref().is_some_and(|it| it.healthy),
    })
}

fn payers(rows: &[v1::Payer]) -> Vec<Value> {
    let one = |it: &v1::Payer| {
        let kind = it.kind().as_str_name().trim_start_matches("PAYER_KIND_").to_lowercase();
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        json!({
            "worker": it.worker,
            "kind": kind,
            "variable": some(&it.variable),
            "place": some(&it.place),
        })
    };
    rows.iter().map(one).collect()
}

/// One line of `projects ls --json`.
pub(crate) fn project(it: &v1::ProjectRow) -> Value {
    let targets = it.targets.iter().map(|(name, it)| (name.clone(), Value::from(it.tip.as_str())));
    json!({
        "schema_version": SCHEMA_VERSION,
        "root": it.root,
        "git_dir": it.git_dir,
        "plans": it.plans,
        "open_plans": it.open_plans,
        "targets": targets.collect::<serde_json::Map<_, _>>(),
    })
}

/// `projects trust --json`.
pub(crate) fn trusted(path: &str, wishes: &[v1::Wish]) -> Value {
    let one = |it: &v1::Wish| json!({ "place": it.place, "command": it.command });
    json!({
        "schema_version": SCHEMA_VERSION,
        "path": path,
        "trusted": wishes.iter().map(one).collect::<Vec<_>>(),
    })
}

/// What speaks against work.
fn suspicion(it: &Suspicion) -> Value {
    let mut object = json!({ "text": it.to_string() });
    if let Some(it) = &it.tampered {
        object["paths"] = json!(it.paths);
        object["files"] = it.files.into();
    }
    if let Some((before, now)) = &it.tests {
        (object["before"], object["now"]) = (json!(before), json!(now));
    }
    object
}

/// `diff --json`.
pub(crate) fn diff(it: &v1::DiffResponse) -> Value {
    let change = it.change.unwrap_or_default();
    json!({
        "schema_version": SCHEMA_VERSION,
        "from": it.from,
        "to": it.to,
        "files": change.files,
        "added": change.added,
        "removed": change.removed,
        "truncated": it.truncated,
        "suspicion": it.suspicion,
        "text": it.text,
    })
}

/// A document that was taken apart.
fn document(it: DocumentView) -> Value {
    let unit = it.format.map(Format::unit);
    json!({ "artifact": it.artifact, "children": it.children, "unit": unit })
}

fn row(view: &View, it: &LoopView, now: Time) -> LoopRow {
    use taskd_model::Group;
    LoopRow {
        name: it.name.clone(),
        plan: it.id.plan().to_string(),
        title: it.title.clone(),
        type_name: it.type_name.clone(),
        parent: view.parent(it).map(|it| it.name.clone()),
        document: it.document.map(document),
        group: match it.group() {
            Group::NeedsYou => "needs_you",
            Group::Working => "working",
            Group::Waiting => "waiting",
            Group::Done => "done",
        },
        status: it.status,
        state: words::state(view, it, now),
        worker: it.worker.to_string(),
        iteration: it.iteration,
        iterations_max: it.max(),
        alike: it.alike,
        behind: view.behind(it),
        files: it.change.files,
        added: it.change.added,
        removed: it.change.removed,
        cost_micros: it.spent.micros,
        uncounted: it.uncounted,
        counted: it.counted,
        needs: view.needs(it).map(|it| it.name.clone()).collect(),
        waits_for: view.waits_for(it).map(|it| it.name.clone()).collect(),
        since: time(words::since(it)),
        last_sign: time(it.last_sign),
        started: it.started_at.map(time),
        ended: it.ended_at.map(time),
        landed: it.landed.map(|it| it.commit.to_string()),
        undone: it.undone.map(|it| it.commit.to_string()),
        pull_request: it.pull_request.clone(),
    }
}

fn land(policy: v1::LandPolicy) -> &'static str {
    match policy {
        v1::LandPolicy::Unspecified => "",
        v1::LandPolicy::Never => "never",
        v1::LandPolicy::Ask => "ask",
        v1::LandPolicy::OnGate => "on-gate",
        v1::LandPolicy::Pr => "pr",
    }
}

/// RFC 3339 in UTC.
pub(super) fn time(at: Time) -> String {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).map(|it| it.to_string()).unwrap_or_default()
}
