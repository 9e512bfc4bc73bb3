//! `taskd daemon install | uninstall | upgrade`: the daemon as a service of the machine's own service
//! manager. Writes its files, and asks it to take them; nothing else is touched.

use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    args::{InstallArgs, StopArgs},
    daemon,
    failure::{Done, Failure},
    here::{Here, variable},
};
use crate::render::json::SCHEMA_VERSION;

/// What every file of ours says near its beginning, so that nobody else's is written over or removed.
const OURS: &str = "taskd daemon install";
/// Where the templates have the program.
const PROGRAM: &str = "/usr/local/bin/taskd";

const SERVICE: &str = include_str!("../../../../deploy/taskd.service");
const SOCKET: &str = include_str!("../../../../deploy/taskd.socket");
const OF_SYSTEM: &str = include_str!("../../../../deploy/taskd@.service");
const AGENT: &str = include_str!("../../../../deploy/dev.taskd.plist");

/// A service as its manager wants it.
struct Service {
    /// Its files, with what is in them.
    files: Vec<(PathBuf, String)>,
    /// What makes the manager take them, and what makes it let go.
    takes: Vec<Vec<String>>,
    lets_go: Vec<Vec<String>>,
    /// What makes a service that is there run this program.
    again: Vec<String>,
}

/// This program's path as one word of `ExecStart=`.
fn in_unit(program: &str) -> String {
    let escaped =
        program.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    if escaped.contains(|it: char| it.is_whitespace() || "\"'\\".contains(it)) {
        return format!("\"{escaped}\"");
    }
    escaped
}

/// The same as text of XML.
fn in_xml(program: &str) -> String {
    program.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A file that an installation wrote.
fn is_ours(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().take(4).any(|it| it.contains(OURS))
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

impl Service {
    fn new(args: &InstallArgs) -> Result<Self, Failure> {
        let program = env::current_exe()?.display().to_string();
        if cfg!(target_os = "macos") {
            if args.system || args.socket {
                let what = "--system and --socket are of systemd, and this machine has launchd";
                return Err(Failure::usage(what, "taskd daemon install"));
            }
            return Ok(Self::of_launchd(&home()?, AGENT.replace(PROGRAM, &in_xml(&program))));
        }
        let with = |text: &str| text.replace(PROGRAM, &in_unit(&program));
        if args.system {
            let user = args.user.as_deref().expect("clap asks for it");
            let file = PathBuf::from("/etc/systemd/system/taskd@.service");
            return Ok(Self::of_systemd(
                "systemctl",
                &format!("taskd@{user}.service"),
                vec![(file, with(OF_SYSTEM))],
            ));
        }
        let config = variable("XDG_CONFIG_HOME").filter(|it| !it.is_empty()).map(PathBuf::from);
        let dir = config.map_or_else(|| Ok(home()?.join(".config")), Ok::<_, Failure>)?;
        let dir = dir.join("systemd/user");
        let mut files = vec![(dir.join("taskd.service"), with(SERVICE))];
        let mut unit = "taskd.service".to_owned();
        let socket = dir.join("taskd.socket");
        // One that is there goes where its service goes.
        if args.socket || is_ours(&socket) {
            files.push((socket, SOCKET.to_owned()));
            unit.push_str(" taskd.socket");
        }
        Ok(Self::of_systemd("systemctl --user", &unit, files))
    }

    fn of_systemd(ctl: &str, units: &str, files: Vec<(PathBuf, String)>) -> Self {
        let reload = words(&format!("{ctl} daemon-reload"));
        Self {
            files,
            takes: vec![reload.clone(), words(&format!("{ctl} enable --now {units}"))],
            lets_go: vec![words(&format!("{ctl} disable --now {units}")), reload],
            // A socket goes on listening meanwhile.
            again: words(&format!("{ctl} restart {}", units.split(' ').next().unwrap_or(units))),
        }
    }

    fn of_launchd(home: &Path, text: String) -> Self {
        let file = home.join("Library/LaunchAgents/dev.taskd.plist");
        let domain = format!("gui/{}", nix::unistd::getuid());
        let path = file.display().to_string();
        let launchctl = |rest: [&str; 3]| {
            ["launchctl"].iter().chain(&rest).map(|it| (*it).to_owned()).collect::<Vec<_>>()
        };
        Self {
            takes: vec![launchctl(["bootstrap", &domain, &path])],
            lets_go: vec![launchctl(["bootout", &domain, &path])],
            again: launchctl(["kickstart", "-k", &format!("{domain}/dev.taskd")]),
            files: vec![(file, text)],
        }
    }

    /// Files that are there and not ours.
    fn foreign(&self) -> Option<&Path> {
        let foreign = |path: &&Path| path.symlink_metadata().is_ok() && !is_ours(path);
        self.files.iter().map(|it| it.0.as_path()).find(foreign)
    }

    /// Nothing of it is in place.
    fn is_absent(&self) -> bool {
        self.files.iter().all(|it| !it.0.exists())
    }

    /// Puts the files in place; says which are new or other than before.
    fn write(&self) -> Result<Vec<&Path>, Failure> {
        let mut written = Vec::new();
        for (path, text) in &self.files {
            if fs::read_to_string(path).is_ok_and(|it| it == *text) {
                continue;
            }
            let put = || {
                path.parent().map_or(Ok(()), fs::create_dir_all)?;
                fs::write(path, text)
            };
            put().map_err(|why| cannot("write", path, &why))?;
            written.push(path.as_path());
        }
        Ok(written)
    }
}

fn home() -> Result<PathBuf, Failure> {
    let home = variable("HOME").filter(|it| !it.is_empty());
    home.map(PathBuf::from).ok_or_else(|| Failure::usage("HOME is not set", "set it"))
}

fn cannot(what: &str, path: &Path, why: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot {what} {}: {why}", path.display()), "")
}

fn not_ours(path: &Path) -> Failure {
    let what = format!("{} is there and was not written by taskd", path.display());
    Failure::failed(what, "move it away, and type this again")
}

/// Runs what the manager is asked; its own words go to stderr.
fn ask(command: &[String]) -> Result<(), Failure> {
    let line = command.join(" ");
    #[expect(
        clippy::disallowed_methods,
        reason = "the machine's service manager, asked and waited for"
    )]
    let ran = std::process::Command::new(&command[0]).args(&command[1..]).status();
    match ran {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::failed(format!("`{line}` ended with {status}"), line)),
        Err(why) => Err(Failure::failed(format!("cannot run `{line}`: {why}"), line)),
    }
}

/// Prints what was done, or would be.
fn say(here: &Here, files: &[&Path], commands: &[Vec<String>], dry_run: bool) -> Done {
    let lines: Vec<String> = commands.iter().map(|it| it.join(" ")).collect();
    if here.out.json {
        let files: Vec<String> = files.iter().map(|it| it.display().to_string()).collect();
        here.out.object(&json!({
            "schema_version": SCHEMA_VERSION,
            "files": files,
            "commands": lines,
            "done": !dry_run,
        }))?;
        return Ok(0);
    }
    let would = if dry_run { "would be " } else { "" };
    let mut text = String::new();
    files.iter().for_each(|it| text.push_str(&format!("{would}written  {}\n", it.display())));
    lines.iter().for_each(|it| text.push_str(&format!("{would}run      {it}\n")));
    here.out.print(&text)?;
    Ok(0)
}

/// `taskd daemon install`.
pub(crate) async fn install(here: &Here, args: InstallArgs) -> Done {
    let service = Service::new(&args)?;
    if let Some(path) = service.foreign() {
        return Err(not_ours(path));
    }
    if args.dry_run {
        let files: Vec<&Path> = service.files.iter().map(|it| it.0.as_path()).collect();
        return say(here, &files, &service.takes, true);
    }
    let first = service.is_absent();
    let written = service.write()?;
    if first {
        // Its work goes on in the service: the state is the same.
        daemon::make_way(here, None).await?;
    }
    service.takes.iter().try_for_each(|it| ask(it))?;
    say(here, &written, &service.takes, false)
}

/// `taskd daemon uninstall`.
pub(crate) fn uninstall(here: &Here, args: &InstallArgs) -> Done {
    let service = Service::new(args)?;
    if let Some(path) = service.foreign() {
        return Err(not_ours(path));
    }
    if args.dry_run {
        return say(here, &[], &service.lets_go, true);
    }
    if service.is_absent() {
        return Err(Failure::failed("the daemon is no service here", "taskd daemon install"));
    }
    let [first, rest @ ..] = service.lets_go.as_slice() else { unreachable!("there is one") };
    ask(first)?;
    for (path, _) in &service.files {
        match fs::remove_file(path) {
            Err(why) if why.kind() != ErrorKind::NotFound => {
                return Err(cannot("remove", path, &why));
            }
            _ => {}
        }
    }
    rest.iter().try_for_each(|it| ask(it))?;
    say(here, &[], &service.lets_go, false)
}

/// `taskd daemon upgrade`: from now on this program is the daemon; its work goes on.
pub(crate) async fn upgrade(here: &Here, args: InstallArgs) -> Done {
    let service = Service::new(&args)?;
    if service.is_absent() {
        if args.dry_run {
            return say(here, &[], &[words("taskd daemon restart")], true);
        }
        return daemon::restart(here, &StopArgs { grace: None }).await;
    }
    if let Some(path) = service.foreign() {
        return Err(not_ours(path));
    }
    let again = [service.takes[0].clone(), service.again.clone()];
    let written = if args.dry_run { Vec::new() } else { service.write()? };
    if !args.dry_run {
        again.iter().try_for_each(|it| ask(it))?;
    }
    say(here, &written, &again, args.dry_run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_one_word_whatever_is_in_it() {
        assert_eq!(in_unit("/opt/taskd"), "/opt/taskd");
        assert_eq!(in_unit("/opt/100% mine/taskd"), "\"/opt/100%% mine/taskd\"");
        assert_eq!(in_unit(r#"/a"b\c$d"#), r#""/a\"b\\c$$d""#);
        assert_eq!(in_xml("/a&b/<taskd>"), "/a&amp;b/&lt;taskd&gt;");
    }
}
