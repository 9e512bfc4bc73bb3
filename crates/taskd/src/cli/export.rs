//! `taskd export`: the whole story of a loop or a plan, to be kept or read somewhere else.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use taskd_api::{Client, codes, v1};
use taskd_model::{LoopView, Record, Target, View};

use super::{
    complete,
    failure::{Done, Failure},
    here::Here,
};
use crate::render::{
    export::{Said, Story, lines, markdown},
    text::clean_lines,
};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A loop or plan
    #[arg(add = complete::anything())]
    id: String,
    /// For people, or every event with its texts for programs
    #[arg(long, value_enum, default_value_t = Form::Md)]
    format: Form,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Markdown.
    Md,
    /// An event a line, as it is stored, then the texts it names, each a line.
    Jsonl,
}

/// `taskd export`.
pub(crate) async fn export(here: &Here, args: ExportArgs) -> Done {
    let client = here.client().await?;
    let view = client.view("").await?;
    here.skew(&client);
    let id = args.id;
    // Who asks for what is not there is told so as everywhere.
    let more = client.show(v1::ShowRequest { id: id.clone(), at: None }).await?;
    let loops: Vec<&LoopView> = match view.resolve(&id) {
        Ok(Target::Loop(one)) => view.loops.get(&one).into_iter().collect(),
        Ok(Target::Plan(plan)) => view.loops_of(plan).collect(),
        Err(_) => Vec::new(),
    };
    let mut said = BTreeMap::new();
    for it in &loops {
        texts(&client, it, &mut said).await?;
    }
    let records = events(&client, &id, &view).await?;
    let story = Story { task: more.text, loops, records, said };
    if here.out.json || args.format == Form::Jsonl {
        return lines(&story).iter().try_for_each(|it| here.out.object(it)).map(|()| 0);
    }
    let text = markdown(&view, &story, &here.scene());
    let text = if here.out.terminal { clean_lines(&text) } else { text };
    here.out.print(&text)?;
    Ok(0)
}

/// Every event of it that the view holds.
async fn events(client: &Client, id: &str, view: &View) -> Result<Vec<Record>, Failure> {
    let (mut records, mut from) = (Vec::new(), 1);
    loop {
        let ids = vec![id.to_owned()];
        let request = v1::EventsRequest { from, ids, ..v1::EventsRequest::default() };
        let mut items = client.events(request).await?;
        let before = records.len();
        while let Some(event) = items.next().await? {
            from = event.seq + 1;
            records.extend(event.record()?.filter(|it| it.seq <= view.seq));
        }
        if records.len() == before {
            return Ok(records);
        }
    }
}

/// What a loop's workers were sent, and what they, its tools and its gates said, by effect.
async fn texts(
    client: &Client,
    it: &LoopView,
    said: &mut BTreeMap<u64, Vec<Said>>,
) -> Result<(), Failure> {
    let request = |kind: v1::LogKind, iteration, call| v1::LogsRequest {
        id: it.name.clone(),
        kind: kind.into(),
        iteration,
        call,
        ..v1::LogsRequest::default()
    };
    for iteration in 1..=it.iteration {
        // The first call of an iteration says what it was told; each later one repeats it.
        match read(client, request(v1::LogKind::Prompt, iteration, 1)).await {
            Ok(found) => {
                for it in found {
                    said.entry(it.output.effect).or_default().push(it);
                }
            }
            Err(error) if error.code == codes::NOT_FOUND => {}
            Err(error) => return Err(error.into()),
        }
    }
    for it in read(client, request(v1::LogKind::Unspecified, 0, 0)).await? {
        said.entry(it.output.effect).or_default().push(it);
    }
    Ok(())
}

async fn read(client: &Client, request: v1::LogsRequest) -> Result<Vec<Said>, taskd_api::ApiError> {
    let (name, kind) = (request.id.clone(), request.kind());
    let said = |output| Said { name: name.clone(), output, is_prompt: kind == v1::LogKind::Prompt };
    Ok(client.logs(request).await?.outputs().await?.into_iter().map(said).collect())
}
