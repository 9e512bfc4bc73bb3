//! What streams: logs of loops, and events.

use taskd_api::{ApiError, Watched, codes, v1};
use taskd_model::Seq;

use super::{
    args::{EventsArgs, LogsArgs},
    failure::{Done, Failure},
    here::Here,
};
use crate::render::{json, lines, text::clean_lines};

/// `taskd logs`.
pub(crate) async fn logs(here: &Here, args: LogsArgs) -> Done {
    if let Some(trace) = &args.trace {
        return traced(here, trace).await;
    }
    let id = args.id.unwrap_or_default();
    let kind = match (args.gate, args.agent, args.tools, args.prompt) {
        (true, ..) => v1::LogKind::Gate,
        (_, true, ..) => v1::LogKind::Agent,
        (_, _, true, _) => v1::LogKind::Tools,
        (.., true) => v1::LogKind::Prompt,
        (false, false, false, false) => v1::LogKind::Unspecified,
    };
    let request = v1::LogsRequest {
        id: id.clone(),
        iteration: args.iteration.unwrap_or(0),
        kind: kind.into(),
        tail_bytes: 0,
        follow: args.follow,
        call: args.call.unwrap_or(0),
        wire: args.wire,
    };
    let mut chunks = here.client().await?.logs(request).await?;
    let mut any = false;
    loop {
        let chunk = tokio::select! {
            chunk = chunks.next() => chunk?,
            _ = tokio::signal::ctrl_c(), if args.follow => return Ok(0),
        };
        let Some(chunk) = chunk else { break };
        any = true;
        print(here, &chunk, args.wire)?;
    }
    if !any {
        let what = if args.prompt { "sent" } else { "printed" };
        here.out.remark(&format!("{id} has {what} nothing yet"));
    }
    Ok(0)
}

/// The events of the plans of a trace.
async fn traced(here: &Here, trace: &str) -> Done {
    let client = here.client().await?;
    let view = client.view("").await?;
    let named = trace.to_lowercase();
    let of_trace = view.plans.values().filter(|it| it.trace.is_some_and(|it| it.name() == named));
    let ids: Vec<String> = of_trace.map(|it| it.id.to_string()).collect();
    if ids.is_empty() {
        let what = format!("no plan belongs to the trace {trace}");
        return Err(ApiError::new(codes::NOT_FOUND, what).hint("taskd show p1 --json").into());
    }
    let kinds = Vec::new();
    let mut past = client.events(v1::EventsRequest { from: 1, max: 0, ids, kinds }).await?;
    while let Some(event) = past.next().await? {
        show(here, &event)?;
    }
    Ok(0)
}

/// A piece of a log. `bare`: its heading goes where remarks go, so that the rest is as it is.
fn print(here: &Here, chunk: &v1::LogChunk, bare: bool) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(&chunk.data);
    if here.out.json {
        let (version, heading) = (json::SCHEMA_VERSION, &chunk.heading);
        let value = serde_json::json!(
            { "schema_version": version, "heading": heading, "text": text });
        return here.out.object(&value);
    }
    let heading = format!("=== {} ===", clean_lines(&chunk.heading));
    match (chunk.heading.is_empty(), bare) {
        (true, _) => {}
        (false, true) => here.out.remark(&heading),
        (false, false) => here.out.print(&format!("{}\n", here.scene().bold(&heading)))?,
    }
    // A terminal would obey what a program printed; a file may have it as it is.
    if here.out.terminal {
        return here.out.print(&clean_lines(&text));
    }
    here.out.bytes(&chunk.data)
}

/// `taskd events`: what is stored, then what is being stored. With `--json` each line is the event
/// exactly as it is stored.
pub(crate) async fn events(here: &Here, args: EventsArgs) -> Done {
    let client = here.client().await?;
    let request = v1::EventsRequest {
        from: args.from,
        max: 0,
        ids: args.ids.clone(),
        kinds: args.kind.clone(),
    };
    // The watch is there before the past is read, so nothing falls between the two.
    let mut watch = args.follow.then(|| client.watch(args.ids.clone(), false));
    let mut head = Seq(args.from.saturating_sub(1));
    if let Some(watch) = &mut watch {
        head = first_view(watch).await?;
    }
    let mut past = client.events(request).await?;
    let mut last = Seq(0);
    while let Some(event) = past.next().await? {
        last = Seq(event.seq);
        show(here, &event)?;
    }
    let Some(mut watch) = watch else { return Ok(0) };
    head = head.min(last);
    loop {
        let item = tokio::select! {
            item = watch.next() => item,
            _ = tokio::signal::ctrl_c() => return Ok(0),
        };
        match item {
            Some(Watched::Event(record)) if last.max(head) < record.seq => {
                let event = v1::Event::from(&*record);
                let kind = kind_of(&event);
                let named = args.kind.is_empty() || args.kind.contains(&kind);
                if named && args.from <= event.seq {
                    show(here, &event)?;
                }
            }
            Some(Watched::Ended(error)) => return Err(error.into()),
            Some(
                Watched::Event(_)
                | Watched::Connected { .. }
                | Watched::View(_)
                | Watched::Unknown { .. }
                | Watched::Delta { .. }
                | Watched::Heartbeat { .. }
                | Watched::Disconnected { .. },
            ) => {}
            None => return Ok(0),
        }
    }
}

/// Where a watch begins.
async fn first_view(watch: &mut taskd_api::Watch) -> Result<Seq, Failure> {
    loop {
        match watch.next().await {
            Some(Watched::View(view)) => return Ok(view.seq),
            Some(Watched::Ended(error) | Watched::Disconnected { error, .. }) => {
                return Err(error.into());
            }
            Some(
                Watched::Event(_)
                | Watched::Connected { .. }
                | Watched::Unknown { .. }
                | Watched::Delta { .. }
                | Watched::Heartbeat { .. },
            ) => {}
            None => return Ok(Seq(0)),
        }
    }
}

fn show(here: &Here, event: &v1::Event) -> Result<(), Failure> {
    if here.out.json {
        return here.out.print(&format!("{}\n", event.json));
    }
    let line = match event.record()? {
        Some(record) => lines::event(&record, &here.scene()),
        None => format!("{:>6}  of a kind only a newer taskd knows", event.seq),
    };
    here.out.print(&format!("{line}\n"))
}

fn kind_of(event: &v1::Event) -> String {
    let value: serde_json::Value = serde_json::from_str(&event.json).unwrap_or_default();
    value["kind"].as_str().unwrap_or_default().to_owned()
}
