//! `taskd help`: commands, and a few topics that belong to none.

use clap::CommandFactory as _;
use taskd_model::{Code, Entry};

use super::{
    args::Cli,
    failure::{Done, Failure},
    here::Here,
    own, schema,
};

/// Prints the help of a command or the text of a topic; with a name one of its schemas.
pub(crate) fn help(here: &Here, topic: Option<&str>, name: Option<&str>) -> Done {
    match (topic, name) {
        (Some(SCHEMA), None) => return schema::list(here),
        (Some(SCHEMA), Some(name)) => return schema::print(here, name),
        (Some(topic), Some(_)) => {
            let what = format!("{topic:?} takes no name; only {SCHEMA:?} does");
            return Err(Failure::usage(what, format!("taskd help {topic}")));
        }
        (_, None) | (None, Some(_)) => {}
    }
    let mut cli = Cli::command();
    let text = match topic {
        None => cli.render_help().to_string(),
        Some("all") => all(&cli),
        Some(topic) => match TOPICS.iter().find(|(name, _)| *name == topic) {
            Some((_, text)) => (*text).to_owned(),
            None if topic == ERRORS => errors(),
            None => match Code::parse(topic) {
                Some(code) if cli.find_subcommand(topic).is_none() => of_code(code.entry()),
                // A command and a code of errors have one name.
                Some(code) => {
                    format!(
                        "{}\nAs an error: {}",
                        of_command(&mut cli, topic)?,
                        of_code(code.entry())
                    )
                }
                None => of_command(&mut cli, topic)?,
            },
        },
    };
    here.out.print(&text)?;
    if matches!(topic, None | Some("all")) {
        match own::listed() {
            Ok(text) => here.out.print(&text)?,
            // Help is there for whoever made a mistake, too.
            Err(why) => here.out.complain(why.message()),
        }
    }
    Ok(0)
}

fn of_command(cli: &mut clap::Command, topic: &str) -> Result<String, Failure> {
    if let Some(command) = cli.find_subcommand_mut(topic) {
        return Ok(command.clone().bin_name(format!("taskd {topic}")).render_help().to_string());
    }
    if let Some(text) = own::told(topic)? {
        return Ok(text);
    }
    let names = cli.get_subcommands().map(|it| it.get_name().to_owned());
    let topics = TOPICS.iter().map(|(name, _)| *name).chain([ERRORS, SCHEMA]);
    let names =
        names.chain(topics.chain(Code::entries().iter().map(|it| it.word)).map(str::to_owned));
    let near = names.min_by_key(|it| strsim::osa_distance(it, topic));
    let near = near.filter(|it| strsim::osa_distance(it, topic) <= 2);
    let hint = near.map_or_else(|| "taskd help all".to_owned(), |it| format!("taskd help {it}"));
    Err(Failure::usage(format!("there is no help about {topic:?}"), hint))
}

/// Every code, with what it says.
fn errors() -> String {
    let mut text = String::from("`taskd help CODE` says what taskd does about it, and you.\n\n");
    for it in Code::entries() {
        text.push_str(&format!("{:<24} {}\n", it.word, it.what));
    }
    text
}

/// All there is to say about one code.
fn of_code(it: &Entry) -> String {
    let Entry { word, tier, reaction, rpc, exit, what, next, .. } = it;
    format!(
        "{word}\n\n{what}.\n\ntaskd  {reaction}\nyou    {next}\n\n\
         kind {tier}, gRPC status {rpc}, exit code {exit}\n"
    )
}

/// Every command with those below it.
fn all(cli: &clap::Command) -> String {
    let mut text = String::new();
    for it in cli.get_subcommands() {
        let about = it.get_about().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("{:<19} {about}\n", it.get_name()));
        for below in it.get_subcommands() {
            let about = below.get_about().map(ToString::to_string).unwrap_or_default();
            let name = format!("{} {}", it.get_name(), below.get_name());
            text.push_str(&format!("  {name:<17} {about}\n"));
        }
    }
    let topics = TOPICS.iter().map(|(name, _)| *name).chain([ERRORS, SCHEMA]).collect::<Vec<_>>();
    text.push_str(&format!("\ntopics: {}\n", topics.join(", ")));
    text
}

/// The topic that lists the codes of errors.
const ERRORS: &str = "errors";

/// The topic that lists the schemas of what `--json` answers, and prints each.
const SCHEMA: &str = "schema";

const TOPICS: &[(&str, &str)] = &[
    ("plan-file", PLAN),
    ("ids", IDS),
    ("exit", EXIT),
    ("json", JSON),
    ("start", START),
    ("types", TYPES),
    ("shell", SHELL),
    ("remote", REMOTE),
];

const REMOTE: &str = "\
A daemon of another machine is asked over TLS, by whoever holds its token. There, once:

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \\
  -keyout key.pem -out cert.pem -subj /CN=taskd -addext subjectAltName=DNS:build.example
taskd config set api.listen 0.0.0.0:7433
taskd config set api.cert /etc/taskd/cert.pem
taskd config set api.cert_key /etc/taskd/key.pem
taskd daemon restart

Here, with a copy of cert.pem and of the file `api-token` in the state directory there:

export TASKD_REMOTE=https://build.example:7433
export TASKD_TOKEN_FILE=$HOME/build.token TASKD_CA_FILE=$HOME/build.pem
taskd ls
taskd -C /srv/app run \"what to do\" --agent claude      a directory there

Without TASKD_CA_FILE the certificate must be one that this machine trusts. Who removes `api-token`
there and restarts has a new one, and the old one opens nothing.
";

const SHELL: &str = "\
source <(taskd completions bash)          the Tab key; also zsh, fish, elvish, powershell
taskd prompt                              a line for your prompt: taskd help prompt

Names of your own for commands are in ~/.config/taskd/aliases.toml:

mine = \"ls -A --tree\"
fix = [\"run\", \"--agent\", \"claude\", \"--land\", \"on-gate\"]

What is typed behind one comes behind what it stands for. It stands for a command of taskd, never for
another alias, and has no name that taskd has. Any program `taskd-NAME` on your PATH is the command
`taskd NAME`, too, if taskd has none: it gets the words behind its name as they are, and taskd's own
flags before it as TASKD_JSON=1, TASKD_QUIET=1, NO_COLOR=1, and -C as its directory; TASKD_PROGRAM is
the taskd that started it. Its exit code is the command's.
";

const START: &str = "\
cd your-repository
taskd run \"what to do\" --agent claude     one task; you see each step, and are asked to land
taskd                                     what needs you, works, waits
taskd diff p1 && taskd land p1            read it, land it
taskd plan submit plan.md                 several tasks that need each other: taskd help plan-file
";

const PLAN: &str = "\
---
plan: Rate limits                 front matter is the plan
target: main                      where it starts and lands
agent: claude                     or  model: NAME
gate: cargo test                  decides whether work passes
land: ask                         never | ask | on-gate
limits: {budget: $15, time: 6h}
---
What every task shall know.

## spec limiter: Token bucket per API key
accept: cargo test -p limit bucket
touches: crates/limit/**

The task, word for word.

## spec headers: Tell clients what is left
needs: limiter

`taskd plan check FILE` says what it would do. The same file again is the same plan.
";

const IDS: &str = "\
p7             a plan, or its one loop if it came as one sentence
p7.limiter     the loop of a spec
p7.lim         the same, if nothing else begins so; numbers are never shortened
p7.limiter.2   its second run
A plan stands for all its loops the verb applies to. Most verbs take several ids.
";

const EXIT: &str = "\
0    done; landed, or passed where it lands nowhere
1    a task or an operation failed, or was stopped
2    asked for wrongly: usage, a plan file with errors
3    a limit was reached: iterations, time
4    a person is needed, money too; `run` on a terminal ends with 0 instead, since you were asked
5    no such thing, or several
69   no daemon answers
75   a rate or a quota is used up; later it works
77   not allowed
78   configuration is wrong
124  the time of `wait --timeout` is up
130  interrupted; following a run, Ctrl-C detaches and ends with 0
";

const JSON: &str = "\
--json answers with one object, or with one a line (run, plan ls, wait, events, logs, verbs, budget,
projects, doctor, gc). `taskd help schema` says which, and prints the JSON Schema of each. Every object
but events and errors has `schema_version`. Times are RFC 3339 in UTC, durations `_ms`, money
`_micros` (a millionth of a dollar), ids text. Fields are added, never changed; take what you do not
know as not there. `--idempotency-key KEY` before
or behind a command that changes something: the same again under the same key is done once.
Errors go to stderr as {\"error\": {\"code\", \"message\", \"hint\", \"causes\"}};
`taskd help errors` lists the codes.

ls      seq, at, parked, disk: room (enough, low, full), free_bytes, shortage;
        plans[], loops[]: name, plan, title, group (needs_you, working, waiting, done), status, state, worker, iteration, iterations_max, behind, files, added, removed,
        cost_micros, uncounted, counted (by_call, by_report, by_time: its agent), waits_for[], since, last_sign, started, ended, landed,
        pull_request
show    seq, at, name, text, accept[], gate[], gate_origin, ref, worktree, worker, touches[], notes[],
        warnings[], loops[]: as above, and base, iterations[], trouble: message, at, event, fault,
        context: tokens, window, turns_left_out, outputs_left_out, bytes_left_out,
        last_run: processes, judged, remarks[]: code, text
        suspicion: text, paths[], files, before, now: run, skipped (of tests)
        review: model or agent, blocks, asked; once it found any or none: iteration, findings, summary,
        log
fault   code, provider, model, status, type, body, attempt (from 1), elapsed_ms, causes[]: what a
        failed call or step leaves in its event too
why     chain[]: subject, sentence, until, since, seq, details[], evidence, evidence_at, fault;
        not_the_cause[], next
install files[], commands[], done: of daemon install, uninstall and upgrade
gc      one a thing: what, place, bytes, fate (removed, would, kept, failed), reason, saved[]
queue   buckets[]: name, in_flight, limit, waiting, state (open, refused, left_alone, ramping),
        until, seq, slots, faults, looked_at, rooms[]: kind, left, per_minute, of_provider;
        next[]: name, priority, since; landing[]: root, entries[]: name, target, refresh, phase,
        since, entry, held: uid, event
metrics at, type, families[]: name, kind (counter, gauge, histogram, summary), since (log,
        start, now), help, samples[]: labels, value; of durations count, sum_ms, upto[]: ms, count
run     plan, names[], title, target, base, gate, worker, payers[]: worker, kind (variable,
        login, free, nobody), variable, place; land, ...; then the stored events, then
        id, verdict, exit
costs   by, agents[]: agent, counted; rows[]: its key, input, output, cache_read, cache_write, cost_micros, unpriced,
        estimated, uncounted; total; with ids a receipt each: name, class_micros, queue_ms,
        call_ms, gate_ms, person_ms, wall_ms, calls, failed_calls, iterations, rebases, landed[]
budget  name, level (all, project, plan, loop), budget_micros, cost_micros, left_micros, percent,
        budget_tokens, tokens, left_tokens, percent_tokens; of a day also renewed, closed
agents  agents[]: name, source, file, program, version, tested, tested_versions, logged_in,
        credential: variable, set; billed_to, counted, depth, depth_why, prompt, resume,
        home[], hosts[], argv; problems[]; of a test: agent, version, checks[]: name, good (or null), seen
types   types[]: name, file, source, extends, description, worker, definition (of show), why; problems[]:
        file, line, column, message, hint; of render: spec, type, origin, worker, system, prompt,
        tools[], servers[], bytes, tokens, problems[]
models  providers[]: name, interface, url, credential; models[]: name, window, max_output,
        price: since, *_micros per million tokens; interfaces[]: name, capabilities;
        with --check instead: providers[]: name, state (usable, no_credential, misconfigured,
        unreachable, not_accepted, refused, failing, no_list), usable, credential, reachable,
        accepted, models, more_models, took_ms, age_ms, problem, hint, buckets[] as in queue
events  the stored events as they are: seq, at (milliseconds), kind, data, ...
";

const TYPES: &str = "\
A loop type says how a loop works: agent, gate, limits, prompt. `ralph` is built in. Your own are
YAML files in .taskd/types/ or ~/.config/taskd/types/; their names go behind --type. They are read
when a plan comes: an edit counts for the next one, and what runs keeps what it began with.

taskd types new careful                    begin one
taskd types check                          what is wrong, with line and column
taskd types render careful TASK            the prompt it begins with, and its size
taskd types ls, taskd types show ralph     what there is, and what it says in full

extends: ralph
description: What it is for
agent: claude
limits: {iterations: 8, time: 2h, budget: $5}
prompt: |
  # {{ spec.title }}
  {{ spec.text }}

Tool servers (MCP), for models and for agents that take them:
mcp:
  docs: {command: [docs-server, --stdio], tools: [search], timeout: 60s}

How a model works: `thinking: low|medium|high`, `temperature: 0.7`. A plan whose model does not take
what its type sets is refused; with `unsupported: drop` it is left out, and that is told.
";

#[cfg(test)]
mod tests {
    use super::*;

    /// What a code of an error ends a command with is among the exit codes that are told.
    #[test]
    fn every_exit_code_is_told() {
        let told: Vec<u8> = EXIT
            .lines()
            .filter(|it| !it.starts_with(' '))
            .map(|it| it.split(' ').next().and_then(|it| it.parse().ok()).expect("a number"))
            .collect();
        for it in Code::entries() {
            assert!(told.contains(&it.exit), "{} of {}", it.exit, it.word);
        }
    }
}
