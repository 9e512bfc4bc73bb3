//! What can be seen of a daemon from outside: its directories, what a dead one left, the service that
//! starts it, the files a person writes.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use nix::{sys::signal::kill, unistd::Pid};
use taskd_api::v1::{self, CheckState};
use taskd_daemon::{settings, types};

use super::{Failure, Finding, Here, check, well};
use crate::cli::{here::variable, install, local_file};

/// What does the rest.
const FIX: &str = "taskd doctor --fix";

/// Everything that is looked at here; `answers` is whether a daemon does.
pub(super) fn findings(here: &Here, answers: bool) -> Result<Vec<Finding>, Failure> {
    let mut all = Vec::new();
    all.extend(directories(here));
    if !answers {
        all.extend(dead_socket(here));
        all.extend(dead_facts(here));
    }
    all.push(configuration(here));
    all.push(loop_types(here));
    all.extend(locks(here));
    all.extend(service()?);
    all.extend(local_is_shared(here));
    all.extend(variables());
    all.push(sandbox());
    Ok(all)
}

/// Keys that a model can be called with: those the daemon holds and those of this shell.
pub(super) fn models(providers: &[v1::ProviderRow]) -> v1::CheckRow {
    let set = |name: &str| variable(name).is_some_and(|it| !it.trim().is_empty());
    let usable = |it: &&v1::ProviderRow| {
        it.key_held || (!it.key_variable.is_empty() && set(&it.key_variable))
    };
    let names: Vec<&str> = providers.iter().filter(usable).map(|it| it.name.as_str()).collect();
    if names.is_empty() {
        let detail = "no key of any provider is held or set here";
        let why = "only agents, and models that need no key, can work";
        let hint = "export the key of a provider that `taskd models` lists, or use an agent";
        return check("models", "models", CheckState::Warning, detail, (why, hint));
    }
    well("models", "models", &format!("there are keys for {}", names.join(", ")))
}

/// Directories of the daemon's own: for their owner alone.
fn directories(here: &Here) -> Vec<Finding> {
    let paths = &here.paths;
    let of_socket = paths.socket.parent().filter(|it| it.ends_with("taskd")).map(Path::to_owned);
    let own = [Some(paths.state.clone()), Some(paths.run_dir()), Some(paths.tmp_dir()), of_socket];
    let found: Vec<Finding> = own.into_iter().flatten().filter_map(|it| directory(&it)).collect();
    if found.is_empty() {
        let detail = format!("{}, for you alone", paths.state.display());
        return vec![well("directories", "directories", &detail).into()];
    }
    found
}

/// What is wrong with one; nothing if it is right, or not there yet.
fn directory(dir: &Path) -> Option<Finding> {
    let found = fs::metadata(dir).ok()?;
    let name = dir.display();
    let row = |state, detail: &str, why, hint: &str| {
        Some(check("directories", "directories", state, detail, (why, hint)))
    };
    if found.uid() != nix::unistd::geteuid().as_raw() {
        let detail = format!("{name} belongs to another user");
        let why = "the daemon does not start there";
        let hint = "choose a place of your own with TASKD_STATE_DIR";
        return row(CheckState::Failed, &detail, why, hint).map(Finding::from);
    }
    let mode = found.mode() & 0o777;
    if mode & 0o077 == 0 {
        return None;
    }
    let written = mode & 0o022 != 0;
    let (state, why) = if written {
        (CheckState::Failed, "others can put something there; the daemon does not start")
    } else {
        (CheckState::Warning, "others can see what is there")
    };
    let detail = format!("{name} has mode {mode:o}");
    let dir = dir.to_owned();
    let closed = move || {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
        Ok(format!("{} is for you alone now", dir.display()))
    };
    row(state, &detail, why, FIX).map(|it| Finding::from(it).mended_by(closed))
}

/// The store's lock, which a daemon has that runs or starts; nothing if one does, or none ever did.
fn free(lock: &Path) -> Option<File> {
    let file = File::options().write(true).open(lock).ok()?;
    file.try_lock().is_ok().then_some(file)
}

/// The socket of a daemon that is gone.
fn dead_socket(here: &Here) -> Option<Finding> {
    let (socket, lock) = (here.paths.socket.clone(), here.paths.state.join("taskd.lock"));
    let found = fs::symlink_metadata(&socket).ok()?;
    let ours = found.file_type().is_socket() && found.uid() == nix::unistd::geteuid().as_raw();
    let refused =
        UnixStream::connect(&socket).is_err_and(|it| it.kind() == ErrorKind::ConnectionRefused);
    if !ours || !refused || free(&lock).is_none() {
        return None;
    }
    let detail = format!("nobody listens at {}", socket.display());
    let why = "a daemon was killed; the next one takes its place by itself";
    let row = check("socket", "socket", CheckState::Warning, &detail, (why, FIX));
    Some(Finding::from(row).mended_by(move || {
        // No daemon can start as long as we have the lock.
        let _held = free(&lock).context("a daemon starts just now")?;
        fs::remove_file(&socket)?;
        Ok(format!("removed {}", socket.display()))
    }))
}

/// The file that says where a daemon listens that is gone.
fn dead_facts(here: &Here) -> Option<Finding> {
    let file = here.paths.facts_file();
    let text = fs::read_to_string(&file).ok()?;
    let pid = serde_json::from_str::<serde_json::Value>(&text).ok()?["pid"].as_i64()?;
    let pid = i32::try_from(pid).ok().filter(|it| 1 < *it)?;
    let lock = here.paths.state.join("taskd.lock");
    if kill(Pid::from_raw(pid), None).is_ok() || free(&lock).is_none() {
        return None;
    }
    let detail = format!("{} names pid {pid}, which is gone", file.display());
    let why = "scripts that read it look for health and metrics where nobody is";
    let row = check("facts", "facts", CheckState::Warning, &detail, (why, FIX));
    Some(Finding::from(row).mended_by(move || {
        let _held = free(&lock).context("a daemon starts just now")?;
        fs::remove_file(&file)?;
        Ok(format!("removed {}", file.display()))
    }))
}

fn configuration(here: &Here) -> Finding {
    let row = match settings::view(&here.paths.config, here.repository()) {
        Ok(_) => well("configuration", "configuration", "nothing is wrong with any file"),
        Err(problems) => {
            let more = match problems.len() {
                1 => String::new(),
                n => format!(", and {} more", n - 1),
            };
            let detail = format!("{}{more}", problems[0]);
            let why = "a daemon does not start with it, or does not take it";
            let failed = CheckState::Failed;
            check("configuration", "configuration", failed, &detail, (why, "taskd config check"))
        }
    };
    row.into()
}

/// Loop types of the person and of the repository we are in.
fn loop_types(here: &Here) -> Finding {
    let found = types::look(&here.paths.config, here.repository(), &[]);
    let row = match found.flaws.first() {
        None => {
            well("types", "loop types", &format!("{}, and nothing is wrong", found.types.len()))
        }
        Some(it) => {
            let detail = format!("{}:{}:{}: {}", it.file, it.line, it.column, it.what);
            let why = "a plan whose loops are of such a type is refused";
            let state = CheckState::Failed;
            check("types", "loop types", state, &detail, (why, "taskd types check"))
        }
    };
    row.into()
}

/// Locks of git in the repository we are in.
fn locks(here: &Here) -> Option<Finding> {
    let git_dir = here.repository()?.join(".git");
    let held: Vec<&str> =
        ["index.lock", "HEAD.lock"].into_iter().filter(|it| git_dir.join(it).exists()).collect();
    if held.is_empty() {
        return Some(well("locks", "git's locks", "none in this repository").into());
    }
    let detail = format!("{} in {}", held.join(" and "), git_dir.display());
    let why = "another git is at work there, or was killed; your checkout does not follow";
    let hint = "if no git runs there, remove them";
    Some(check("locks", "git's locks", CheckState::Warning, &detail, (why, hint)).into())
}

/// A service that starts another program than this.
fn service() -> Result<Option<Finding>, Failure> {
    let Some(other) = install::other_program()? else { return Ok(None) };
    let gone = !other.program.exists();
    let (state, is) =
        if gone { (CheckState::Failed, ", which is gone") } else { (CheckState::Warning, "") };
    let (file, program) = (other.file.display(), other.program.display());
    let detail = format!("{file} starts {program}{is}; this is {}", other.this.display());
    let why = "the next start of the service is not of this program";
    let row = check("service", "service", state, &detail, (why, FIX));
    Ok(Some(Finding::from(row).mended_by(move || {
        let written = other.mend().map_err(|it| anyhow::anyhow!("{}", it.message()))?;
        let names: Vec<String> = written.iter().map(|it| it.display().to_string()).collect();
        Ok(format!("wrote {}; `taskd daemon upgrade` restarts it", names.join(", ")))
    })))
}

/// What a project says on this machine alone, and git would commit.
fn local_is_shared(here: &Here) -> Option<Finding> {
    let root = here.repository()?.to_owned();
    if !local_file::is_shared(&root) {
        return None;
    }
    let detail = format!("git does not leave {} alone", settings::LOCAL_FILE);
    let why = "what is for this machine alone may be committed";
    let row = check("local_file", "local file", CheckState::Warning, &detail, (why, FIX));
    Some(Finding::from(row).mended_by(move || {
        let file = local_file::leave_alone(&root)?;
        Ok(format!("{} is named in {}", settings::LOCAL_FILE, file.display()))
    }))
}

/// Variables that say where things are, and count for nothing.
fn variables() -> Vec<Finding> {
    let names = ["XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"];
    let relative = |name: &&str| {
        variable(name).is_some_and(|it| !it.is_empty() && PathBuf::from(it).is_relative())
    };
    let told = |name: &str| {
        let detail = format!("{name} is no absolute path");
        let why = "it counts as not set";
        let hint = format!("export {name}=/an/absolute/path, or unset it");
        check("variables", "variables", CheckState::Warning, &detail, (why, &hint)).into()
    };
    names.into_iter().filter(relative).map(told).collect()
}

/// Said so that nobody believes in one that is not there.
fn sandbox() -> Finding {
    let detail = "none of taskd's own: programs run as you, in worktrees of their own; an agent's own \
                  sandbox is what its preset says";
    well("sandbox", "sandbox", detail).into()
}
