//! `taskd web`: the page, served on loopback for as long as a person lets it.
//!
//! A client of the daemon like the monitor. What it is shown in is a browser, which is told by an
//! address that opens once.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
};

use serde_json::Value;
use taskd_api::v1;
use taskd_daemon::private::token;
use taskd_model::{LoopView, Target, Time, View};
use taskd_web::{Answer, By, Faces, Keys};
use tokio::{
    net::{TcpListener, TcpSocket},
    signal::ctrl_c,
};

use super::{
    args::WebArgs,
    failure::{Done, Failure},
    here::Here,
};
use crate::render::{costs, json, page, queue};

/// Bytes that wait in the kernel for one browser.
const SEND_BYTES: u32 = 64 << 10;

/// Connections that wait to be taken.
const WAITING: u32 = 64;

/// Serves until a person ends it.
pub(crate) async fn web(here: &Here, args: WebArgs) -> Done {
    // Who has no daemon is told so here, and not in the browser.
    let client = here.client().await?;
    let place = client.place().clone();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = listen(address).map_err(|it| {
        Failure::failed(format!("{address} cannot be listened on: {it}"), "taskd web")
    })?;
    let keys = Keys { once: token()?, session: token()? };
    let address = format!("http://{}/#{}", listener.local_addr()?, keys.once);
    here.out.print(&format!("{address}\n"))?;
    here.out.remark("it opens the page once, within ten minutes; Ctrl-C ends it");
    if args.open {
        open(here, &address);
    }
    tokio::select! {
        served = taskd_web::serve(listener, place, keys, Fleet(here.clone())) => {
            served?;
            Ok(0)
        }
        _ = ctrl_c() => Ok(0),
    }
}

/// Listens; what waits in the kernel for a browser that does not read is bounded, too.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BYTES)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// Hands the address to the person's browser. Without one they have it in front of them.
fn open(here: &Here, address: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    #[expect(clippy::disallowed_methods, reason = "a browser of the person's, not a tool of ours")]
    let mut command = Command::new(program);
    command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.spawn() {
        here.out.remark(&format!("{program} does not start: {error}; open the address yourself"));
    }
}

/// Everything, in the JSON that commands print.
struct Fleet(Here);

impl Faces for Fleet {
    fn picture(&self, view: &View, now: Time) -> BTreeMap<String, Value> {
        page::picture(view, now)
    }

    fn answer(&self, view: &View, answer: &Answer, now: Time) -> Value {
        match answer {
            Answer::Show(more) => {
                let loops: Vec<&LoopView> = match view.resolve(&more.name) {
                    Ok(Target::Loop(id)) => view.loops.get(&id).into_iter().collect(),
                    Ok(Target::Plan(id)) => view.loops_of(id).collect(),
                    Err(_) => Vec::new(),
                };
                json::show(view, &loops, more, now)
            }
            Answer::Why(it) => json::why(it),
            Answer::Diff(it) => json::diff(it),
            Answer::Queue(it) => queue::json(it),
            Answer::Costs(by) => costs::json(view, &[], grouped(*by)),
        }
    }

    fn acted(&self, it: &v1::ActResult) -> Value {
        json::acted(it)
    }

    fn credentials(&self, providers: &[v1::ProviderRow]) -> BTreeMap<String, String> {
        self.0.keys(providers)
    }
}

fn grouped(by: By) -> costs::By {
    match by {
        By::Plan => costs::By::Plan,
        By::Loop => costs::By::Loop,
        By::Model => costs::By::Model,
        By::Class => costs::By::Class,
        By::Day => costs::By::Day,
    }
}
