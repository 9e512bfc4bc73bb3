//! `taskd mcp`: the fleet as tools of an interactive agent, over stdio or on loopback.
//!
//! A client of the daemon like every other command: it holds no truth, and what it may not do is not
//! even listed. What each tool does is in `tools`.

mod bounds;
mod tools;

use std::net::SocketAddr;

use taskd_mcp::{Answer, PATH, Progress, Server, Service, Tool, serve_http, serve_stdio};
use taskd_model::Via;
use tokio::net::TcpListener;

use super::{
    args::{McpArgs, Right},
    failure::{Done, Failure},
    here::{Here, variable},
    out::Out,
};

/// What every loop's environment names.
const IN_A_LOOP: &str = "TASKD_LOOP";

/// Serves until the client, or a person, ends it.
pub(crate) async fn mcp(here: &Here, args: McpArgs) -> Done {
    let rights = rights(&args.allow, variable(IN_A_LOOP));
    if rights.len() < args.allow.len() {
        here.out.remark("this is inside a loop: read-only, whatever --allow says");
    }
    let server = Server {
        name: "taskd",
        version: env!("CARGO_PKG_VERSION"),
        instructions: instructions(&rights),
        service: Fleet { here: quiet(here), rights },
    };
    match args.http {
        None => serve_stdio(&server, tokio::io::stdin(), tokio::io::stdout()).await?,
        Some(address) => over_http(here, server, address).await?,
    }
    Ok(0)
}

/// Says where it is and what opens it, once, and serves.
async fn over_http(here: &Here, server: Server<Fleet>, address: SocketAddr) -> Result<(), Failure> {
    if !address.ip().is_loopback() {
        let what = format!("{address} is not a loopback address");
        return Err(Failure::usage(what, "taskd mcp --http 127.0.0.1:0"));
    }
    let token = taskd_daemon::private::token()?;
    let listener = TcpListener::bind(address).await?;
    let place = format!("http://{}{PATH}", listener.local_addr()?);
    if here.out.json {
        here.out.object(&serde_json::json!({ "url": place, "token": token }))?;
    } else {
        here.out.print(&format!("{place}\nAuthorization: Bearer {token}\n"))?;
    }
    tokio::select! {
        served = serve_http(listener, server, token) => {
            served.map_err(|it| Failure::failed(it.to_string(), ""))
        }
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// What was allowed; nothing inside a loop.
fn rights(allowed: &[Right], in_a_loop: Option<String>) -> Vec<Right> {
    if in_a_loop.is_some_and(|it| !it.is_empty()) {
        return Vec::new();
    }
    if allowed.contains(&Right::All) {
        return vec![Right::Submit, Right::Steer, Right::Approve];
    }
    allowed.to_vec()
}

/// The same place, where nothing is printed and nobody is asked: stdout is the protocol's.
fn quiet(here: &Here) -> Here {
    let out = Out { json: true, quiet: true, terminal: false, can_ask: false, colour: false };
    Here { out, via: Via::Mcp, key: None, ..here.clone() }
}

fn instructions(rights: &[Right]) -> String {
    let mut text =
        "taskd turns plans into landed commits with many agents. A plan has loops, named \
        like p7.limiter; ids are what `list` shows. Start with `list`; `why` says what something \
        waits for; `wait` returns when it is over or needs a person."
            .to_owned();
    if rights.is_empty() {
        text.push_str(" You can look and change nothing.");
    }
    text
}

/// The fleet, as far as whoever asks may reach it.
#[derive(Debug)]
struct Fleet {
    here: Here,
    rights: Vec<Right>,
}

impl Service for Fleet {
    fn tools(&self) -> Vec<Tool> {
        let listed = |it: &&tools::Entry| it.right.is_none_or(|it| self.rights.contains(&it));
        tools::ALL.iter().filter(listed).map(tools::Entry::tool).collect()
    }

    fn call(
        &self,
        name: String,
        args: serde_json::Map<String, serde_json::Value>,
        progress: Progress,
    ) -> futures::future::BoxFuture<'_, Answer> {
        Box::pin(tools::call(self, name, args, progress))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_a_loop_nothing_is_allowed() {
        assert_eq!(rights(&[Right::All], None).len(), 3);
        assert_eq!(rights(&[Right::Steer], Some(String::new())), [Right::Steer]);
        assert_eq!(rights(&[Right::All, Right::Steer], Some("p1.a".into())), []);
    }
}
