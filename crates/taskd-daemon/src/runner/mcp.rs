//! Tool servers of native loops: what they offer is asked once for an iteration, and each call
//! starts its server, asks, and ends it. So nothing outlives its effect, and a server that died is a
//! new one at the next call.
//!
//! A server is a stranger: whatever it does, the model reads a result that says so.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use taskd_mcp::{Client, Fault, Listed, ear};
use taskd_model::{AgentDoc, Code, Delta, Digest, McpDoc, SpecDoc, ToolDef, encode_doc};
use taskd_tools::{
    files::ToolOutput,
    supervise::{Finished, Ladder, Spec, Stdin, Stream},
};
use tokio::{net::unix::pipe, time::timeout};
use tracing::warn;

use super::{Job, Trouble, lock, programs::ending, tool::shown};

/// Between a server's name and its tool's.
const BETWEEN: &str = "__";
/// Longest name of a tool that every provider takes.
const MAX_NAME_CHARS: usize = 64;
/// Tools of one iteration, of all servers.
const MAX_TOOLS: usize = 128;
/// Their JSON, of all servers.
const MAX_OFFER_BYTES: usize = 64 << 10;
/// JSON of one tool's arguments.
const MAX_SCHEMA_BYTES: usize = 16 << 10;
const MAX_DESCRIPTION_BYTES: usize = 2 << 10;
/// Tools of one server that are looked at.
const MAX_LISTED: usize = 4_096;
/// How long a server may take to start and to list its tools.
const LISTING: Duration = Duration::from_secs(30);
/// How long all of them may take together.
const LISTING_ALL: Duration = Duration::from_secs(60);
/// How long a call may take unless the loop type says otherwise.
const CALL: Duration = Duration::from_secs(120);
/// How long a server may take to end by itself when nobody writes to it any more.
const BY_ITSELF: Duration = Duration::from_millis(500);
/// What is kept of what it prints, for the sentence that says how it ended.
const KEEP_BYTES: usize = 4 << 10;
/// A sentence of a server is cut after so many characters.
const SAID_CHARS: usize = 200;

/// What one iteration is offered; kept in a file beside the worktree, so that every turn and every
/// life of the daemon offers the same.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Offer {
    iteration: u32,
    /// Of what the loop type says.
    of: Option<Digest>,
    tools: Vec<ToolDef>,
}

/// Why there is no answer of a server.
enum Silence {
    /// Nobody wants it any more.
    Unwanted,
    /// For the model.
    Because(String),
}

type Writer = pipe::Sender;

impl Job {
    /// The tools of the loop type's servers, the same in each turn of an iteration.
    pub(super) async fn served(&self) -> Result<Vec<ToolDef>, Trouble> {
        let spec = self.spec_doc()?;
        let servers = &spec.loop_type.mcp;
        if servers.is_empty() || matches!(spec.agent, AgentDoc::Agent { .. }) {
            return Ok(Vec::new());
        }
        if let Some(offer) = self.offered(&spec)? {
            return Ok(offer.tools);
        }
        self.worktree_again().await?;
        let (mut tools, mut bytes) = (Vec::new(), 0);
        let listing = async {
            for (name, server) in servers {
                let list = async |client: &mut Client<Writer>| client.tools(MAX_LISTED).await;
                match self.with_server(name, server, LISTING, list).await {
                    Ok(listed) => self.choose(name, server, listed, (&mut tools, &mut bytes)),
                    Err(Silence::Unwanted) => return,
                    Err(Silence::Because(why)) => {
                        self.remark(&format!("{why}; its tools are left out"));
                    }
                }
            }
        };
        if timeout(LISTING_ALL, listing).await.is_err() {
            self.remark("the tool servers took too long together; the rest is left out");
        }
        if !self.is_wanted() {
            return Ok(Vec::new());
        }
        let iteration = self.subject()?.iteration;
        let offer = Offer { iteration, of: Some(config(&spec)), tools };
        let file = self.offer_file()?;
        std::fs::write(&file, encode_doc(&offer)).map_err(|it| {
            Trouble::of(Code::of_io(&it), &it).within(&format!("writing {}", file.display()))
        })?;
        Ok(offer.tools)
    }

    /// Asks a tool of a server; nothing if the effect is not wanted any more.
    pub(super) async fn served_tool(
        &self,
        spec: &SpecDoc,
        name: &str,
        args: &str,
    ) -> Result<Option<ToolOutput>, Trouble> {
        let known = self.offered(spec)?.unwrap_or_default().tools;
        let found = name
            .split_once(BETWEEN)
            .and_then(|(server, tool)| Some((server, tool, spec.loop_type.mcp.get(server)?)));
        let Some((server, tool, doc)) = found.filter(|_| known.iter().any(|it| it.name == name))
        else {
            let names: Vec<&str> = known.iter().map(|it| it.name.as_str()).collect();
            let what = format!("there is no tool `{name}` here; of servers: {}", names.join(", "));
            return Ok(Some(error(&what, Code::UnknownTool)));
        };
        let args = if args.trim().is_empty() { "{}" } else { args };
        let Ok(Value::Object(args)) = serde_json::from_str(args) else {
            let what = format!("the arguments of `{name}` are no JSON object");
            return Ok(Some(error(&what, Code::BadArguments)));
        };
        let limit = match doc.timeout_ms {
            0 => CALL,
            ms => Duration::from_millis(ms),
        };
        match self.ask_tool(server, doc, limit, tool, args).await {
            Ok(called) => Ok(Some(called)),
            Err(Silence::Unwanted) => Ok(None),
            Err(Silence::Because(why)) => {
                let what = format!(
                    "{why}; what it did until then is not known. It is started anew at the next \
                     call; if that fails too, go on without it"
                );
                Ok(Some(error(&what, Code::ToolServer)))
            }
        }
    }

    async fn ask_tool(
        &self,
        server: &str,
        doc: &McpDoc,
        limit: Duration,
        tool: &str,
        args: Map<String, Value>,
    ) -> Result<ToolOutput, Silence> {
        let asked = async |client: &mut Client<Writer>| match client.call(tool, args).await {
            // It answers: that is no trouble of the server.
            Err(Fault::Refused(why)) => Ok((format!("error: {why}"), true)),
            other => other.map(|it| (it.text, it.is_error)),
        };
        let (text, is_error) = self.with_server(server, doc, limit, asked).await?;
        let code = is_error.then_some(Code::CommandFailed);
        let text = shown(&text);
        Ok(ToolOutput { text, is_error, reads_added: Vec::new(), wrote: Vec::new(), code })
    }

    /// Starts a server, asks something of it and ends it, all in its time.
    async fn with_server<T>(
        &self,
        name: &str,
        doc: &McpDoc,
        limit: Duration,
        ask: impl AsyncFnOnce(&mut Client<Writer>) -> Result<T, Fault>,
    ) -> Result<T, Silence> {
        let because = |what: &str| Silence::Because(format!("the tool server `{name}` {what}"));
        let internal = |it: Trouble| because(&format!("cannot be started: {}", it.message));
        let (mut ear, client) = ear();
        let mut noise = self.lines_as_noise();
        let spec = Spec {
            argv: doc.command.iter().map(OsString::from).collect(),
            cwd: self.worktree().map_err(internal)?,
            env: self.server_env(doc).map_err(internal)?,
            stdin: Stdin::Piped,
            timeout: None,
            idle: None,
            ladder: Ladder::STOP,
            keep_head_bytes: 0,
            keep_tail_bytes: KEEP_BYTES,
        };
        let mut running = self.ctx.launcher.start(&spec, move |stream, bytes| match stream {
            Stream::Stdout => ear.hear(bytes),
            Stream::Stderr => noise(stream, bytes),
        });
        self.report_process(running.identity()).await;
        let pipe = running.stdin();
        let ender = running.ender();
        let wait = running.wait();
        tokio::pin!(wait);
        let talk = async {
            let mut client = client(pipe.ok_or(Fault::Deaf)?);
            client.hello("taskd", env!("CARGO_PKG_VERSION")).await?;
            ask(&mut client).await
        };
        let answer = tokio::select! {
            // What it said before it ended counts.
            biased;
            answer = timeout(limit, talk) => match answer {
                Ok(answer) => answer.map_err(|fault| because(&format!("cannot be used: {fault}"))),
                Err(_) => Err(because(&format!("did not answer within {} s", limit.as_secs()))),
            },
            finished = &mut wait => return Err(because(&died(&finished))),
            () = self.no_longer_wanted() => Err(Silence::Unwanted),
        };
        if answer.is_err() || timeout(BY_ITSELF, &mut wait).await.is_err() {
            ender.end(Ladder::STOP);
            wait.await;
        }
        answer
    }

    /// The loop's own environment, and what the person named of what is held.
    fn server_env(&self, doc: &McpDoc) -> Result<Vec<(OsString, OsString)>, Trouble> {
        let mut env = self.env(&self.plan_doc()?, &self.worktree()?)?;
        let held = lock(&self.ctx.credentials);
        let named = doc.env.iter().filter_map(|it| Some((it.into(), held.get(it)?.into())));
        env.extend(named);
        Ok(env)
    }

    /// Takes of what a server lists what may be offered, until there is no more room.
    fn choose(
        &self,
        server: &str,
        doc: &McpDoc,
        listed: Vec<Listed>,
        (tools, bytes): (&mut Vec<ToolDef>, &mut usize),
    ) {
        let all = listed.len();
        let before = tools.len();
        let mut unfit = 0;
        for it in listed {
            if doc.tools.as_ref().is_some_and(|allow| !allow.contains(&it.name)) {
                unfit += 1;
                continue;
            }
            let fits = offer(server, it, tools).is_some_and(|tool| {
                let size = encode_doc(&tool).len();
                let fits = tools.len() < MAX_TOOLS && *bytes + size <= MAX_OFFER_BYTES;
                if fits {
                    *bytes += size;
                    tools.push(tool);
                }
                fits
            });
            unfit += usize::from(!fits);
        }
        if let Some(allow) = &doc.tools {
            let there = |name: &&String| {
                tools[before..].iter().any(|it| it.name == format!("{server}{BETWEEN}{name}"))
            };
            let missing: Vec<&str> =
                allow.iter().filter(|it| !there(it)).map(String::as_str).collect();
            if !missing.is_empty() {
                let names = missing.join(", ");
                self.remark(&format!("the tool server `{server}` does not offer: {names}"));
            }
        } else if 0 < unfit {
            self.remark(&format!(
                "{unfit} of {all} tools of the tool server `{server}` are left out: an iteration is \
                 offered {MAX_TOOLS} with {MAX_OFFER_BYTES} bytes, with names of letters, digits, _ \
                 and -; name those you need in `tools:`"
            ));
        }
    }

    /// Says something to whoever looks on, and to the daemon's log.
    fn remark(&self, what: &str) {
        warn!(effect = %self.order.effect, "{what}");
        self.noise()(Delta::Line(what.to_owned()));
    }

    /// What this iteration is offered, if that is known already.
    fn offered(&self, spec: &SpecDoc) -> Result<Option<Offer>, Trouble> {
        let text = std::fs::read(self.offer_file()?).unwrap_or_default();
        let offer: Option<Offer> = serde_json::from_slice(&text).ok();
        let iteration = self.subject()?.iteration;
        Ok(offer.filter(|it| it.iteration == iteration && it.of == Some(config(spec))))
    }

    fn offer_file(&self) -> Result<PathBuf, Trouble> {
        Ok(self.worktree()?.with_extension("mcp"))
    }
}

/// Whether the name is one of a server's tools.
pub(super) fn is_served(name: &str, servers: &BTreeMap<String, McpDoc>) -> bool {
    name.split_once(BETWEEN).is_some_and(|(server, _)| servers.contains_key(server))
}

/// What an offer is of.
fn config(spec: &SpecDoc) -> Digest {
    Digest::of(&encode_doc(&spec.loop_type.mcp))
}

/// A tool as models are told about it, if they can be.
fn offer(server: &str, it: Listed, before: &[ToolDef]) -> Option<ToolDef> {
    let name = format!("{server}{BETWEEN}{}", it.name);
    let plain = |it: u8| it.is_ascii_alphanumeric() || it == b'_' || it == b'-';
    let good = name.len() <= MAX_NAME_CHARS
        && !it.name.is_empty()
        && name.bytes().all(plain)
        && it.schema["type"] == "object"
        && it.schema.to_string().len() <= MAX_SCHEMA_BYTES
        && before.iter().all(|it| it.name != name);
    let end = it.description.floor_char_boundary(MAX_DESCRIPTION_BYTES);
    let description = it.description[..end].to_owned();
    good.then_some(ToolDef { name, description, schema: it.schema })
}

/// How a server ended before it answered, with the last thing it said that is no message.
fn died(finished: &Finished) -> String {
    let how = ending(finished, finished.wall).unwrap_or_else(|| "exit 0".to_owned());
    let output = finished.output.text();
    let last = output
        .lines()
        .rev()
        .map(str::trim)
        .find(|it| !it.is_empty() && !it.starts_with(['{', '[']));
    let said = last.map_or_else(String::new, |it| {
        let said: String = it.chars().filter(|it| !it.is_control()).take(SAID_CHARS).collect();
        format!(": {said}")
    });
    format!("ended before it answered ({how}{said})")
}

fn error(what: &str, code: Code) -> ToolOutput {
    ToolOutput {
        text: format!("error: {what}"),
        is_error: true,
        reads_added: Vec::new(),
        wrote: Vec::new(),
        code: Some(code),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_provider_takes_is_not_offered() {
        let listed = |name: &str, schema: Value| Listed {
            name: name.to_owned(),
            description: "é".repeat(2_000),
            schema,
        };
        let object = || json!({ "type": "object" });
        let tool = offer("docs", listed("search", object()), &[]).expect("it is good");
        assert_eq!((tool.name.as_str(), tool.description.len()), ("docs__search", 2_048));
        let twice = [tool];
        assert!(offer("docs", listed("search", object()), &twice).is_none());
        let huge = json!({ "type": "object", "x": "y".repeat(MAX_SCHEMA_BYTES) });
        for (name, schema) in [
            ("", object()),
            ("a b", object()),
            ("é", object()),
            (&"x".repeat(60), object()),
            ("a", json!({ "type": "string" })),
            ("a", huge),
        ] {
            assert!(offer("docs", listed(name, schema), &[]).is_none(), "{name:?}");
        }
    }
}
