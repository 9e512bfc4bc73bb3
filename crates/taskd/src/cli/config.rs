//! `taskd config`: what is in effect here and who said so, and how to change it.
//!
//! Looks at the files as the daemon does, so it needs none. A file is written whole or not at all, and
//! only if everything in it is right then.

use std::{
    fs,
    io::{IsTerminal as _, Write as _},
    path::Path,
};

use taskd_api::{ApiError, codes, v1};
use taskd_daemon::settings::{self, File, Setting, Whose};

use super::{
    args::{ConfigCommand, FileArgs},
    editor,
    failure::{Done, Failure},
    here::Here,
    local_file,
};
use crate::render::config::{self as picture, Answer};

pub(crate) async fn dispatch(here: &Here, command: Option<ConfigCommand>) -> Done {
    match command.unwrap_or(ConfigCommand::View { origin: false }) {
        ConfigCommand::View { origin } => view(here, origin),
        ConfigCommand::Get { key } => get(here, &key),
        ConfigCommand::Set { key, value, file } => set(here, &key, Some(&value), file).await,
        ConfigCommand::Unset { key, file } => set(here, &key, None, file).await,
        ConfigCommand::Edit { file } => edit(here, file).await,
        ConfigCommand::Check { file } => check(here, file.as_deref()),
        ConfigCommand::Schema => {
            let text = serde_json::to_string_pretty(&settings::schema()).expect("it is JSON");
            here.out.print(&format!("{text}\n"))?;
            Ok(0)
        }
        ConfigCommand::Path => path(here),
        ConfigCommand::Reload => reload(here).await,
    }
}

pub(super) fn all(here: &Here) -> Result<Vec<Setting>, Failure> {
    settings::view(&here.paths.config, here.repository()).map_err(|it| wrong(&it))
}

fn wrong(problems: &[String]) -> Failure {
    let what = format!("the configuration is wrong:\n{}", problems.join("\n"));
    Failure::Api(ApiError::new(codes::CONFIG, what).hint("taskd config edit"))
}

fn view(here: &Here, origin: bool) -> Done {
    let keys = all(here)?;
    if here.out.json {
        here.out.object(&Answer { keys, ..Answer::default() }.json())?;
    } else {
        here.out.print(&picture::toml(&keys, origin))?;
    }
    Ok(0)
}

fn get(here: &Here, key: &str) -> Done {
    let setting = all(here)?.into_iter().find(|it| it.key == key).ok_or_else(|| unknown(key))?;
    if here.out.json {
        here.out.object(&Answer { keys: vec![setting], ..Answer::default() }.json())?;
        return Ok(0);
    }
    let Some(value) = &setting.value else {
        here.out.remark(&format!("{key} is not set: {}", setting.doc));
        return Ok(1);
    };
    here.out.print(&format!("{}\n", settings::plain(value)))?;
    Ok(0)
}

fn unknown(key: &str) -> Failure {
    let hint = settings::known(key).err().unwrap_or_default();
    Failure::usage(format!("there is no key {key:?}"), hint)
}

/// The file that is meant, by its place and by its name for people.
pub(super) fn file_of(here: &Here, file: FileArgs) -> Result<File, Failure> {
    let whose = match file {
        FileArgs { project: true, .. } => Whose::Project,
        FileArgs { local: true, .. } => Whose::Local,
        FileArgs { .. } => Whose::Person,
    };
    let files = settings::files(&here.paths.config, here.repository());
    files.into_iter().find(|it| it.whose == whose).ok_or_else(|| {
        let what = "this is not in a git repository";
        Failure::usage(what, "leave --project and --local away for your own file")
    })
}

async fn set(here: &Here, key: &str, value: Option<&str>, file: FileArgs) -> Done {
    if settings::known(key).is_err() {
        return Err(unknown(key));
    }
    let file = file_of(here, file)?;
    let text = read(&file.path)?;
    let changed = settings::changed(&text, key, value)
        .map_err(|it| Failure::usage(it, format!("taskd config get {key}")))?;
    let keys = right(here, &file.path, &changed)?;
    if changed != text {
        write(&file.path, &changed)?;
        keep_local(here, &file)?;
    }
    let told = take_effect(here, &file).await;
    let now = keys.into_iter().find(|it| it.key == key).expect("it is a known key");
    let shown = settings::origin(&file);
    let overruled = value.is_some() && now.origin.as_deref() != Some(shown.as_str());
    if here.out.json {
        let answer = Answer { keys: vec![now], files: vec![file], ..told };
        here.out.object(&answer.json())?;
        return Ok(0);
    }
    here.out.print(&picture::set(&now, &shown, changed != text, overruled))?;
    here.out.remark(&picture::effect(&told, &file));
    Ok(0)
}

/// Every key as it would be with this text, if nothing is wrong with it.
pub(super) fn right(here: &Here, file: &Path, text: &str) -> Result<Vec<Setting>, Failure> {
    settings::view_with(&here.paths.config, here.repository(), file, text).map_err(|it| wrong(&it))
}

/// What a daemon says that reads it again now; nothing where there is none.
async fn take_effect(here: &Here, file: &File) -> Answer {
    let of_daemon = matches!(file.whose, Whose::System | Whose::Person);
    let Some(client) = (if of_daemon { here.client().await.ok() } else { None }) else {
        return Answer::default();
    };
    match client.reload(v1::ReloadRequest {}).await {
        Ok(it) => Answer {
            changed: it.changed,
            needs_restart: it.needs_restart,
            daemon: true,
            ..Answer::default()
        },
        Err(why) => Answer { problems: vec![why.message], daemon: true, ..Answer::default() },
    }
}

async fn reload(here: &Here) -> Done {
    let client = here.client().await?;
    let it = client.reload(v1::ReloadRequest {}).await?;
    let answer = Answer {
        changed: it.changed,
        needs_restart: it.needs_restart,
        daemon: true,
        ..Answer::default()
    };
    if here.out.json {
        here.out.object(&answer.json())?;
    } else {
        here.out.print(&picture::reloaded(&answer))?;
    }
    Ok(0)
}

fn check(here: &Here, file: Option<&Path>) -> Done {
    let root = here.repository();
    let found = match file {
        None => settings::view(&here.paths.config, root),
        Some(named) => {
            let path = here.directory.join(named);
            let text = fs::read_to_string(&path).map_err(|it| {
                Failure::usage(format!("{}: {it}", named.display()), "taskd config path")
            })?;
            // Where it lies says whose it is; elsewhere it counts as the person's.
            let files = settings::files(&here.paths.config, root);
            let own = files.iter().find(|it| it.whose == Whose::Person);
            let at = files.iter().find(|it| it.path == path).or(own).expect("there is one");
            settings::view_with(&here.paths.config, root, &at.path, &text)
        }
    };
    let problems = found.err().unwrap_or_default();
    let well = problems.is_empty();
    if here.out.json {
        here.out.object(&Answer { problems, ..Answer::default() }.json())?;
    } else if well {
        here.out.print("nothing is wrong\n")?;
    } else {
        here.out.complain_block(&picture::problems(&problems));
    }
    Ok(if well { 0 } else { taskd_api::exit::CONFIG })
}

fn path(here: &Here) -> Done {
    let files = settings::files(&here.paths.config, here.repository());
    if here.out.json {
        here.out.object(&Answer { files, ..Answer::default() }.json())?;
    } else {
        here.out.print(&picture::paths(&files))?;
    }
    Ok(0)
}

/// A copy is edited; it becomes the file when it is right, and stays beside it otherwise.
async fn edit(here: &Here, file: FileArgs) -> Done {
    let file = file_of(here, file)?;
    if !std::io::stdin().is_terminal() {
        let what = "there is no terminal to edit on";
        return Err(Failure::usage(what, "taskd config set KEY VALUE"));
    }
    let copy = file.path.with_extension("toml.edit");
    if !copy.exists() {
        write(&copy, &read(&file.path)?)?;
    }
    editor::edit(&copy, "nothing is changed", &format!("rm {}", copy.display()))?;
    let text = read(&copy)?;
    if let Err(problems) =
        settings::view_with(&here.paths.config, here.repository(), &file.path, &text)
    {
        here.out.complain_block(&picture::problems(&problems));
        let what = format!("nothing is changed; what you wrote is in {}", copy.display());
        return Err(Failure::Api(ApiError::new(codes::CONFIG, what).hint("taskd config edit")));
    }
    fs::rename(&copy, &file.path)?;
    keep_local(here, &file)?;
    let told = take_effect(here, &file).await;
    here.out.remark(&picture::effect(&told, &file));
    Ok(0)
}

/// What is for this machine alone is kept out of commits, by a line that only this repository has.
fn keep_local(here: &Here, file: &File) -> Result<(), Failure> {
    let root = here.repository().filter(|_| file.whose == Whose::Local);
    if let Some(root) = root.filter(|it| local_file::is_shared(it)) {
        let exclude = local_file::leave_alone(root)?;
        here.out.remark(&format!("git leaves it alone: {} says so", exclude.display()));
    }
    Ok(())
}

/// The text of a file; an empty one where there is none.
fn read(path: &Path) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(it) if it.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(it) => Err(Failure::failed(format!("{}: {it}", path.display()), "taskd config path")),
    }
}

/// Replaces the file as a whole; a link stays one.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = path.parent().expect("a file is in a directory");
    fs::create_dir_all(dir)?;
    let mut temporary = tempfile::NamedTempFile::new_in(dir)?;
    temporary.write_all(text.as_bytes())?;
    if let Ok(found) = fs::metadata(&path) {
        temporary.as_file().set_permissions(found.permissions())?;
    }
    temporary.as_file().sync_all()?;
    temporary.persist(&path).map_err(|it| Failure::from(it.error))?;
    Ok(())
}
