//! `taskd agents`: which agent programs there are here, and what is known of each.
//!
//! Looks with this shell's `PATH`, which is what a plan submitted from it takes along; needs no
//! daemon. It runs the commands a preset names for its version and its login, with the environment an
//! agent gets but without any key, and nothing of a preset that comes with the project.

pub(crate) mod conform;
mod speak;

use std::{collections::BTreeMap, env, ffi::OsString, fs, path::PathBuf, time::Duration};

use taskd_api::v1;
use taskd_tools::{
    agents::{ALLOWED, Found, LoginCheck, PresetProblem, Presets, Source, environment},
    supervise::{Finished, How, Ladder, Launcher, Spec, Stdin},
};

use super::{
    doctor,
    failure::{Done, Failure},
    here::{Here, variable},
};
use crate::render::agents::{
    Agent, Login, Tested, conformance, conformance_json, json, show as picture, table,
};

/// A version or login check is ended after this long.
const CHECK: Duration = Duration::from_secs(20);
/// Bytes kept of what a check prints.
const KEEP_BYTES: usize = 4 << 10;

/// `taskd agents ls`.
pub(crate) async fn ls(here: &Here) -> Done {
    let presets = load(here);
    let eye = Eye::new()?;
    let mut agents = Vec::new();
    for found in presets.all() {
        agents.push(eye.look(found).await);
    }
    let problems: Vec<String> = presets.problems().map(ToString::to_string).collect();
    if here.out.json {
        here.out.object(&json(&agents, &problems))?;
    } else {
        here.out.print(&table(&agents, &here.scene()))?;
        problems.iter().for_each(|it| here.out.complain(it));
    }
    Ok(if problems.is_empty() { 0 } else { taskd_api::exit::USAGE })
}

/// `taskd agents show NAME`.
pub(crate) async fn show(here: &Here, name: &str) -> Done {
    let agent = Eye::new()?.look(&found(here, name)?).await;
    if here.out.json {
        here.out.object(&json(&[agent], &[]))?;
    } else {
        here.out.print(&picture(&agent))?;
    }
    Ok(0)
}

/// `taskd agents test NAME`.
pub(crate) async fn test(here: &Here, name: &str) -> Done {
    let found = found(here, name)?;
    let eye = Eye::new()?;
    let agent = eye.look(&found).await;
    if agent.program.is_none() {
        return Err(Failure::failed(format!("{name} is not installed"), "taskd agents ls"));
    }
    here.out.remark(&format!("five short runs of {name}, billed to {}", agent.billed_to()));
    let checks = conform::conform(&eye, &found).await?;
    if here.out.json {
        here.out.object(&conformance_json(&agent, &checks))?;
    } else {
        here.out.print(&conformance(&agent, &checks))?;
    }
    let bad = checks.iter().any(|it| it.good == Some(false));
    Ok(u8::from(bad))
}

/// What `taskd doctor` says of agents: those this shell would hand on, and files that are wrong.
pub(crate) async fn checks(here: &Here) -> Result<Vec<v1::CheckRow>, Failure> {
    let presets = load(here);
    let eye = Eye::new()?;
    let row = |name: &str, state: v1::CheckState, detail: String, hint: &str| {
        let why = match state {
            v1::CheckState::Ok | v1::CheckState::Unspecified => "",
            v1::CheckState::Warning => "plans cannot name it as their agent",
            v1::CheckState::Failed => "the agent it is about cannot be used",
        };
        doctor::check("agent", name, state, &detail, (why, hint))
    };
    let mut rows = Vec::new();
    for found in presets.all() {
        let it = eye.look(found).await;
        let name = &found.preset.name;
        rows.push(match (&it.program, it.billed()) {
            (None, _) => {
                let hint = "only needed if you want to use it";
                row(name, v1::CheckState::Warning, "not installed".to_owned(), hint)
            }
            (Some(program), Some(payer)) => {
                let detail = format!("{}, billed to {payer}", program.display());
                row(name, v1::CheckState::Ok, detail, "")
            }
            (Some(program), None) => {
                let hint = format!("log in, or export its key; taskd agents show {name}");
                let detail = format!("{}, not logged in", program.display());
                row(name, v1::CheckState::Warning, detail, &hint)
            }
        });
    }
    let wrong = |it: &PresetProblem| {
        row(&it.file, v1::CheckState::Failed, it.to_string(), "correct the file")
    };
    rows.extend(presets.problems().map(wrong));
    Ok(rows)
}

/// Agents that are here and that something pays for, with what does: first those of which that is
/// sure. None of the project's own: nobody agreed to them by asking.
pub(crate) async fn usable(here: &Here) -> Result<Vec<(String, String)>, Failure> {
    let presets = load(here);
    let eye = Eye::new()?;
    let mut usable = Vec::new();
    for found in presets.all().filter(|it| it.source != Source::Project) {
        let it = eye.look(found).await;
        if let (Some(_), Some(payer)) = (&it.program, it.billed()) {
            let sure = it.key_set || it.login == Login::Yes;
            usable.push((!sure, found.preset.name.clone(), payer));
        }
    }
    usable.sort_by_key(|it| it.0);
    Ok(usable.into_iter().map(|(_, name, payer)| (name, payer)).collect())
}

/// The preset of that name, or why there is none.
fn found(here: &Here, name: &str) -> Result<Found, Failure> {
    let presets = load(here);
    let Some(found) = presets.get(name) else {
        let problem = presets.resolve(name).err().map(|it| it.to_string());
        let hint = match presets.nearest(name) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "taskd agents ls".to_owned(),
        };
        return Err(match problem {
            Some(problem) => Failure::usage(problem, "correct the file"),
            None => Failure::usage(format!("there is no agent `{name}`"), hint),
        });
    };
    Ok(found.clone())
}

fn load(here: &Here) -> Presets {
    Presets::load(&here.paths.config, here.repository())
}

/// Looks at programs. Its place for their reports is gone with it.
struct Eye {
    launcher: Launcher,
    allowed: BTreeMap<String, String>,
}

impl Eye {
    fn new() -> Result<Self, Failure> {
        let run_dir = env::temp_dir().join(format!("taskd-agents-{}", std::process::id()));
        fs::create_dir_all(&run_dir)?;
        let program = env::current_exe()?;
        let launcher = Launcher { program, prefix: vec!["supervise".into()], run_dir };
        let one = |name: &&str| Some(((*name).to_owned(), variable(name)?));
        Ok(Self { launcher, allowed: ALLOWED.iter().filter_map(one).collect() })
    }

    async fn look(&self, found: &Found) -> Agent {
        let preset = &found.preset;
        let program = preset.argv.first().and_then(|it| self.find(it));
        // Nothing of the repository is run by looking at it; its presets cannot name these anyway.
        let may_run = program.is_some() && found.source != Source::Project;
        let version = match preset.version.as_ref().filter(|_| may_run) {
            Some(argv) => self.run(found, argv).await.and_then(|it| version_in(&it.output.text())),
            None => None,
        };
        let login = match preset.login.as_ref().filter(|_| may_run) {
            Some(LoginCheck::Command(argv)) => {
                let how = self.run(found, argv).await.map(|it| it.how);
                how.map_or(Login::Unknown, |it| Login::of(it == How::Exited(0)))
            }
            Some(LoginCheck::File(path)) => Login::of(self.at_home(path).exists()),
            None => Login::Unknown,
        };
        let tested = match (&version, &preset.tested) {
            (Some(version), Some(range)) if is_in(version, range) => Tested::Within,
            (Some(_), Some(_)) => Tested::Outside,
            (None, _) | (_, None) => Tested::Unknown,
        };
        let credential = preset.credential.clone();
        let key_set = credential.as_deref().and_then(variable).is_some_and(|it| !it.is_empty());
        Agent { found: found.clone(), program, version, tested, login, key_set }
    }

    /// What a short command ends with; nothing if it does not end well or badly by itself.
    async fn run(&self, found: &Found, argv: &[String]) -> Option<Finished> {
        let set = found.preset.set.iter();
        let set: Vec<(OsString, OsString)> = set.map(|(a, b)| (a.into(), b.into())).collect();
        let spec = Spec {
            argv: argv.iter().map(OsString::from).collect(),
            cwd: self.launcher.run_dir.clone(),
            env: environment(&self.allowed, &set),
            stdin: Stdin::Null,
            timeout: Some(CHECK),
            idle: None,
            ladder: Ladder::STOP,
            keep_head_bytes: KEEP_BYTES,
            keep_tail_bytes: KEEP_BYTES,
        };
        let finished = self.launcher.start(&spec, |_, _| {}).wait().await;
        matches!(finished.how, How::Exited(_)).then_some(finished)
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        if program.contains('/') {
            return Some(PathBuf::from(program)).filter(|it| it.is_file());
        }
        let path = self.allowed.get("PATH")?;
        env::split_paths(path).map(|it| it.join(program)).find(|it| it.is_file())
    }

    fn at_home(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), self.allowed.get("HOME")) {
            (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
            (None, _) | (_, None) => PathBuf::from(path),
        }
    }
}

impl Drop for Eye {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.launcher.run_dir).ok();
    }
}

/// The first word that looks like a version.
fn version_in(text: &str) -> Option<String> {
    let number = |word: &str| {
        let word = word.trim_start_matches('v');
        let end = word.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(word.len());
        let number = word[..end].trim_end_matches('.');
        (number.contains('.') && number.starts_with(|it: char| it.is_ascii_digit()))
            .then(|| number.to_owned())
    };
    text.split_whitespace().find_map(number)
}

/// A version lies between two, each compared on the parts it has.
fn is_in(version: &str, [first, last]: &[String; 2]) -> bool {
    let parts =
        |it: &str| -> Vec<u64> { it.split('.').map(|it| it.parse().unwrap_or(0)).collect() };
    let (version, first, last) = (parts(version), parts(first), parts(last));
    let cut = |n: usize| version.iter().copied().chain(std::iter::repeat(0)).take(n);
    first.iter().copied().le(cut(first.len())) && cut(last.len()).le(last.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_and_compared() {
        for (said, found) in [
            ("2.1.197 (Claude Code)\n", Some("2.1.197")),
            ("WARNING: no 1\ncodex-cli 0.169.0\n", Some("0.169.0")),
            ("aider v0.86.1", Some("0.86.1")),
            ("1.2.3-beta.4", Some("1.2.3")),
            ("unknown", None),
        ] {
            assert_eq!(version_in(said).as_deref(), found, "{said}");
        }
        let within = |it: &str, a: &str, b: &str| is_in(it, &[a.to_owned(), b.to_owned()]);
        assert!(within("2.1.197", "2.1.197", "2.1") && within("2.1.300", "2.1.197", "2.1"));
        assert!(!within("2.1.9", "2.1.197", "2.1") && !within("2.2.0", "2.1.197", "2.1"));
        assert!(within("2.1", "2.1.0", "3") && !within("10.0", "2", "9"));
    }
}
