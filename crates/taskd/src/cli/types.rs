//! `taskd types`: which loop types there are here, what is wrong with them, and what they would say.
//!
//! Looks at the files as a submission would, so it needs no daemon. Only a prompt is rendered by the
//! daemon: it is composed there as a loop's own is.

use std::{
    ffi::OsString,
    fs,
    io::{ErrorKind, Write as _},
    path::PathBuf,
};

use taskd_api::v1;
use taskd_daemon::types::{self, Flaw, Listing, OF_PERSON, OF_PROJECT, Row};

use super::{
    args::{PlanArgs, RenderArgs, TypesCommand, WorkArgs},
    failure::{Done, Failure},
    here::Here,
    submit, utf8,
};
use crate::render::{submit as told, types as picture};

pub(crate) async fn dispatch(here: &Here, command: TypesCommand) -> Done {
    match command {
        TypesCommand::Ls => ls(here),
        TypesCommand::Show { name } => show(here, &name),
        TypesCommand::Check { items } => check(here, items),
        TypesCommand::New { name, extends, user } => new(here, &name, &extends, user),
        TypesCommand::Render(it) => render(here, *it).await,
    }
}

fn look(here: &Here, more: &[(String, PathBuf)]) -> Listing {
    types::look(&here.paths.config, here.repository(), more)
}

fn ls(here: &Here) -> Done {
    let listing = look(here, &[]);
    if here.out.json {
        // The definitions are what `show` is for.
        let rows = listing.types.into_iter().map(|it| Row { definition: None, ..it }).collect();
        here.out.object(&picture::json(&Listing { types: rows, ..listing }))?;
        return Ok(0);
    }
    here.out.print(&picture::table(&listing.types, &here.scene()))?;
    here.out.complain_block(&picture::flaws(&listing.flaws));
    Ok(0)
}

fn show(here: &Here, name: &str) -> Done {
    let listing = look(here, &[]);
    let row = found(&listing, name)?.clone();
    if let Some(why) = &row.why {
        return Err(Failure::usage(why, format!("taskd types check {name}")));
    }
    if here.out.json {
        let flaws = listing.flaws.into_iter().filter(|it| it.file == row.file).collect();
        here.out.object(&picture::json(&Listing { types: vec![row], flaws }))?;
    } else {
        here.out.print(&picture::definition(&row, &listing.types))?;
    }
    Ok(0)
}

/// The type of that name, or what is near.
fn found<'a>(listing: &'a Listing, name: &str) -> Result<&'a Row, Failure> {
    let row = listing.types.iter().find(|it| it.name == name);
    row.ok_or_else(|| {
        let near = listing.types.iter().map(|it| it.name.as_str());
        let near = near.min_by_key(|it| strsim::osa_distance(it, name));
        let near = near.filter(|it| strsim::osa_distance(it, name) <= 2);
        let hint =
            near.map_or_else(|| "taskd types ls".to_owned(), |it| format!("did you mean {it}?"));
        Failure::usage(format!("there is no loop type {name:?}"), hint)
    })
}

fn check(here: &Here, items: Vec<OsString>) -> Done {
    let (mut names, mut files) = (Vec::new(), Vec::new());
    for item in items {
        let item = utf8(item)?;
        if item.contains('/') || item.ends_with(".yaml") || item.ends_with(".yml") {
            let path = here.directory.join(&item);
            if !path.exists() {
                return Err(Failure::usage(format!("there is no file {item}"), "taskd types ls"));
            }
            files.push((item, path));
        } else {
            names.push(item);
        }
    }
    let listing = look(here, &files);
    let mut of: Vec<String> = files.into_iter().map(|it| it.0).collect();
    for name in names {
        of.push(found(&listing, &name)?.file.clone());
    }
    let wanted = |file: &String| of.is_empty() || of.contains(file);
    let flaws: Vec<Flaw> = listing.flaws.into_iter().filter(|it| wanted(&it.file)).collect();
    let types = listing.types.into_iter().filter(|it| wanted(&it.file));
    let types: Vec<Row> = types.map(|it| Row { definition: None, ..it }).collect();
    if here.out.json {
        here.out.object(&picture::json(&Listing { types, flaws: flaws.clone() }))?;
    } else {
        here.out.complain_block(&picture::flaws(&flaws));
        if flaws.is_empty() {
            here.out.print(&picture::well(&types))?;
        }
    }
    Ok(if flaws.is_empty() { 0 } else { taskd_api::exit::USAGE })
}

fn new(here: &Here, name: &str, extends: &str, user: bool) -> Done {
    if let Err(rule) = types::check_name(name) {
        return Err(Failure::usage(format!("{name:?} is no name of a loop type"), rule));
    }
    let listing = look(here, &[]);
    if name != extends {
        found(&listing, extends)?;
    }
    let (dir, shown) = if user {
        (here.paths.config.join("types"), OF_PERSON)
    } else {
        let Some(root) = here.repository() else {
            let what = "this is not in a git repository";
            return Err(Failure::usage(what, format!("taskd types new {name} --user")));
        };
        (root.join(OF_PROJECT), OF_PROJECT)
    };
    let shown = format!("{shown}/{name}.yaml");
    let taken = |it: &&Row| it.name == name && it.file.starts_with(&shown[..shown.len() - 5]);
    if let Some(row) = listing.types.iter().find(taken) {
        return Err(Failure::failed(format!("{} is there already", row.file), "edit it"));
    }
    fs::create_dir_all(&dir)?;
    let opened =
        fs::File::options().write(true).create_new(true).open(dir.join(format!("{name}.yaml")));
    let mut file = opened.map_err(|it| {
        if it.kind() == ErrorKind::AlreadyExists {
            return Failure::failed(format!("{shown} is there already"), "edit it");
        }
        Failure::from(it)
    })?;
    file.write_all(picture::beginning(name, extends).as_bytes())?;
    if here.out.json {
        let listing = look(here, &[]);
        let types = listing.types.into_iter().filter(|it| it.name == name).collect();
        here.out.object(&picture::json(&Listing { types, flaws: Vec::new() }))?;
    } else {
        here.out.print(&format!("{shown}\n"))?;
        here.out.remark(&format!("edit it, then: taskd types check {name}"));
    }
    Ok(0)
}

async fn render(here: &Here, args: RenderArgs) -> Done {
    let work = WorkArgs { how: args.how, type_name: Some(args.name), ..WorkArgs::default() };
    let (mut request, file) = match (args.task, args.plan) {
        (_, Some(file)) => submit::plan_request(here, &PlanArgs { file, work })?,
        (task, None) => {
            let mut request = submit::request(here, &work)?;
            let task = v1::submit_request::Source::Request(task.unwrap_or_default());
            request.source = Some(task);
            (request, String::new())
        }
    };
    request.file_name.clone_from(&file);
    let client = here.client_or_start().await?;
    here.skew(&client);
    request.credentials = here.keys(&client.providers().await?);
    let asked =
        v1::RenderPromptRequest { submission: Some(request), spec: args.spec.unwrap_or_default() };
    let answer = client.render_prompt(asked).await?;
    let is_right = answer.problems.iter().all(|it| it.warning);
    if here.out.json {
        here.out.object(&picture::rendered_json(&answer))?;
    } else {
        here.out.complain_block(&told::problem_lines(&answer.problems, &file));
        if is_right {
            here.out.print(&picture::rendered(&answer))?;
            here.out.remark(&picture::size(&answer));
        }
    }
    Ok(if is_right { 0 } else { taskd_api::exit::USAGE })
}
