//! Questions: what there is, how it is, why, what it cost. They change nothing and start nothing.

use std::{ffi::OsString, path::PathBuf};

use taskd_api::{ApiError, handed_over, v1};
use taskd_model::{LoopId, LoopView, PlanId, Target};

use super::{
    args::{DiffArgs, LsArgs, ModelsArgs, ScopeArgs, TuiArgs, When},
    failure::{Done, Failure},
    here::{Here, is_utf8, variable},
    utf8,
};
use crate::render::{self, json, ls::Show, text};

/// `taskd` alone: `ls`, and one command worth typing next.
pub(crate) async fn overview(here: &Here) -> Done {
    let client = here.client().await?;
    let scope = ScopeArgs { all_projects: false };
    let view = here.view(&client, scope).await?;
    let scene = here.scene();
    if here.out.json {
        here.out.object(&json::ls(&view, scene.now))?;
        return Ok(0);
    }
    here.out.print(&render::ls::ls(&view, &scene, Show::default()))?;
    here.out.print(&format!("next: {}\n", render::ls::next(&view)))?;
    Ok(0)
}

/// `taskd ls`.
pub(crate) async fn ls(here: &Here, args: LsArgs) -> Done {
    let client = here.client().await?;
    let (view, scene) = match args.at {
        Some(when) => here.view_then(&client, &here.scope(args.scope)?, when).await?,
        None => (here.view(&client, args.scope).await?, here.scene()),
    };
    if here.out.json {
        here.out.object(&json::ls(&view, scene.now))?;
    } else if here.out.quiet {
        let over = |it: &&LoopView| args.all || !it.status.is_over();
        let names = view.loops.values().filter(over).map(|it| format!("{}\n", it.name));
        here.out.print(&names.collect::<String>())?;
    } else {
        let show = Show { all: args.all, everywhere: args.scope.all_projects };
        let draw = if args.tree { render::tree::tree } else { render::ls::ls };
        if scene.is_past {
            here.out.print(&here.as_of(&view, &scene))?;
        }
        here.out.print(&draw(&view, &scene, show))?;
    }
    Ok(0)
}

/// `taskd plan ls`.
pub(crate) async fn plans(here: &Here, args: ScopeArgs) -> Done {
    let client = here.client().await?;
    let view = here.view(&client, args).await?;
    let scene = here.scene();
    if here.out.json {
        return json::plans(&view).iter().try_for_each(|it| here.out.object(it)).map(|()| 0);
    }
    here.out.print(&render::ls::plans(&view, &scene))?;
    Ok(0)
}

/// `taskd show`.
pub(crate) async fn show(here: &Here, id: &str, at: Option<When>) -> Done {
    let client = here.client().await?;
    let id = id.to_owned();
    let (more, view, scene) = match at {
        Some(when) => {
            let (view, scene) = here.view_then(&client, "", when).await?;
            let at = Some(v1::Moment { at: Some(v1::moment::At::Seq(view.seq.0)) });
            (client.show(v1::ShowRequest { id: id.clone(), at }).await?, view, scene)
        }
        None => {
            let more = client.show(v1::ShowRequest { id: id.clone(), at: None }).await?;
            (more, client.view("").await?, here.scene())
        }
    };
    here.skew(&client);
    let plan = PlanId(more.plan);
    let one = match more.r#loop {
        Some(it) => Some(LoopId::try_from(it).map_err(ApiError::from)?),
        None => None,
    };
    // A plan with one spec is more than that spec, unless it came as one sentence.
    let asked_for_plan = matches!(view.resolve(&id), Ok(Target::Plan(_)));
    let one = one.filter(|_| !asked_for_plan);
    if here.out.json {
        let loops: Vec<&LoopView> = match one {
            Some(id) => view.loops.get(&id).into_iter().collect(),
            None => view.loops_of(plan).collect(),
        };
        here.out.object(&json::show(&view, &loops, &more, scene.now))?;
        return Ok(0);
    }
    if scene.is_past {
        here.out.print(&here.as_of(&view, &scene))?;
    }
    here.out.print(&match one {
        Some(id) => render::show::one(&view, id, &more, &scene),
        None => render::show::plan(&view, plan, &more, &scene),
    })?;
    Ok(0)
}

/// `taskd why FILE:LINE`.
async fn blame(here: &Here, file: &str, line: u32) -> Done {
    let root = here.repository().ok_or_else(|| {
        Failure::usage("this is not in a git repository".to_owned(), "cd to one, or -C DIR")
    })?;
    let path = here.directory.join(file);
    let path = path.strip_prefix(root).map_err(|_| {
        Failure::usage(format!("{file} is not in {}", root.display()), "taskd why FILE:LINE")
    })?;
    let request = v1::BlameRequest {
        repository: utf8(root.as_os_str().to_owned())?,
        path: utf8(path.as_os_str().to_owned())?,
        line,
    };
    let client = here.client().await?;
    let answer = client.blame(request).await?;
    here.skew(&client);
    if here.out.json {
        here.out.object(&render::blame::json(&answer))?;
    } else {
        let place = format!("{file}:{line}");
        here.out.print(&render::blame::blame(&place, &answer, &here.scene()))?;
    }
    Ok(0)
}

/// `taskd why`.
pub(crate) async fn why(here: &Here, id: &str) -> Done {
    if let Some((file, line)) = id.rsplit_once(':')
        && let Ok(line @ 1..) = line.parse()
    {
        return blame(here, file, line).await;
    }
    let client = here.client().await?;
    let answer = client.why(v1::WhyRequest { id: id.to_owned() }).await?;
    here.skew(&client);
    if here.out.json {
        here.out.object(&json::why(&answer))?;
    } else {
        here.out.print(&render::why::why(&answer, &here.scene()))?;
    }
    Ok(0)
}

/// `taskd diff`.
pub(crate) async fn diff(here: &Here, args: DiffArgs) -> Done {
    let client = here.client().await?;
    let request = v1::DiffRequest {
        id: args.id,
        from: args.from.unwrap_or_default(),
        to: args.to.unwrap_or_default(),
        stat: args.stat,
    };
    let answer = client.diff(request).await?;
    if !answer.suspicion.is_empty() {
        here.out.remark(&format!("it {}", text::clean(&answer.suspicion)));
    }
    if here.out.json {
        here.out.object(&json::diff(&answer))?;
    } else if here.out.terminal {
        here.out.print(&painted(&answer.text, here))?;
    } else {
        here.out.print(&answer.text)?;
    }
    if answer.text.is_empty() {
        here.out.remark("no difference");
    }
    if answer.truncated {
        here.out
            .complain("warning: the patch is longer than the daemon sends; the rest is missing");
    }
    Ok(0)
}

/// A patch for a terminal.
fn painted(patch: &str, here: &Here) -> String {
    let scene = here.scene();
    let line = |line: &str| match line.bytes().next() {
        Some(b'+') => scene.paint("32", line),
        Some(b'-') => scene.paint("31", line),
        Some(b'@') => scene.paint("36", line),
        Some(_) | None => line.to_owned(),
    };
    text::clean_lines(patch).lines().map(|it| line(it) + "\n").collect()
}

/// `taskd path`.
pub(crate) async fn path(here: &Here, id: &str) -> Done {
    let answer = here.client().await?.path(v1::PathRequest { id: id.to_owned() }).await?;
    if here.out.json {
        let (version, path) = (json::SCHEMA_VERSION, &answer.path);
        let value = serde_json::json!({ "schema_version": version, "path": path });
        here.out.object(&value)?;
    } else {
        here.out.print(&format!("{}\n", answer.path))?;
    }
    Ok(0)
}

/// `taskd models`; with `--check` whether providers can be called.
pub(crate) async fn models(here: &Here, args: ModelsArgs) -> Done {
    let client = here.client().await?;
    let mut request = v1::ModelsRequest::default();
    if let Some(named) = &args.check {
        request.check = true;
        request.providers.clone_from(named);
        request.credentials = handed_over(&client.providers().await?, variable);
    }
    let answer = client.models(request).await?;
    here.skew(&client);
    let set = |name: &str| variable(name).is_some_and(|it| !it.trim().is_empty());
    let seen = render::models::Seen { answer: &answer, set: &set };
    let scene = here.scene();
    let Some(named) = args.check else {
        if here.out.json {
            here.out.object(&render::models::json(&seen))?;
        } else {
            here.out.print(&render::models::models(&seen, &scene))?;
        }
        return Ok(0);
    };
    if here.out.json {
        here.out.object(&render::checks::json(&seen))?;
    } else {
        here.out.print(&render::checks::checks(&seen, &scene))?;
    }
    // Who named nobody wanted to know, and was told.
    let all_well = answer.checks.iter().all(render::checks::is_usable);
    Ok(if named.is_empty() || all_well { 0 } else { 1 })
}

/// `taskd queue`.
pub(crate) async fn queue(here: &Here) -> Done {
    let client = here.client().await?;
    let answer = client.queue(v1::QueueRequest {}).await?;
    here.skew(&client);
    if here.out.json {
        here.out.object(&render::queue::json(&answer))?;
    } else {
        here.out.print(&render::queue::queue(&answer, &here.scene()))?;
    }
    Ok(0)
}

/// `taskd tui`.
pub(crate) async fn tui(here: &Here, args: TuiArgs) -> Done {
    if !here.out.can_ask {
        return Err(Failure::usage("the monitor needs a terminal", "taskd ls"));
    }
    let client = here.client().await?;
    let scope = here.scope(args.scope)?;
    let ascii = args.ascii || !is_utf8(variable);
    taskd_tui::run(client.place().clone(), scope, here.out.colour, ascii).await?;
    Ok(0)
}

/// `taskd projects ls`.
pub(crate) async fn projects(here: &Here) -> Done {
    project_list(here, v1::projects_request::What::List(v1::ListProjects {}), None).await
}

/// `taskd projects add`.
pub(crate) async fn project_add(here: &Here, path: Option<OsString>) -> Done {
    let path = utf8(absolute(here, path).into_os_string())?;
    project_list(here, v1::projects_request::What::Add(path), Some("added")).await
}

/// `taskd projects move`.
pub(crate) async fn project_move(here: &Here, old: OsString, new: Option<OsString>) -> Done {
    let from = utf8(here.directory.join(old).into_os_string())?;
    let to = utf8(absolute(here, new).into_os_string())?;
    let what = v1::projects_request::What::Move(v1::MoveProject { from, to });
    project_list(here, what, None).await
}

/// `taskd projects trust`.
pub(crate) async fn project_trust(here: &Here, path: Option<OsString>) -> Done {
    let path = utf8(absolute(here, path).into_os_string())?;
    let trust = v1::TrustProject { path: path.clone(), ..v1::TrustProject::default() };
    let what = Some(v1::projects_request::What::Trust(trust));
    let client = here.client_or_start().await?;
    let answer = client.projects(v1::ProjectsRequest { what }).await?;
    if here.out.json {
        here.out.object(&json::trusted(&path, &answer.trusted))?;
    } else if answer.trusted.is_empty() {
        here.out.print("there is no command of its files that was not agreed to before\n")?;
    } else {
        here.out.print(&format!("trusted\n{}", render::submit::wishes(&answer.trusted)))?;
    }
    Ok(0)
}

/// `taskd projects forget`.
pub(crate) async fn project_forget(here: &Here, path: Option<OsString>) -> Done {
    let path = utf8(absolute(here, path).into_os_string())?;
    let told = "forgotten; nothing in it was touched";
    project_list(here, v1::projects_request::What::Forget(path), Some(told)).await
}

async fn project_list(here: &Here, what: v1::projects_request::What, told: Option<&str>) -> Done {
    let client = here.client().await?;
    let answer = client.projects(v1::ProjectsRequest { what: Some(what) }).await?;
    here.skew(&client);
    if !answer.moved_from.is_empty() {
        let from = text::clean(&answer.moved_from);
        here.out.remark(&format!("linked again with its plans: this repository was at {from}"));
    } else if let Some(told) = told {
        here.out.remark(told);
    }
    if !answer.resumed.is_empty() {
        here.out.remark(&format!("going on: {}", text::clean(&answer.resumed.join(", "))));
    }
    if here.out.json {
        answer.projects.iter().try_for_each(|it| here.out.object(&json::project(it)))?;
    } else {
        here.out.print(&render::daemon::projects(&answer.projects, &here.scene()))?;
    }
    Ok(0)
}

/// A named path, or the repository we are in.
fn absolute(here: &Here, path: Option<OsString>) -> PathBuf {
    match path {
        Some(path) => here.directory.join(path),
        None => here.repository().unwrap_or(&here.directory).to_path_buf(),
    }
}
