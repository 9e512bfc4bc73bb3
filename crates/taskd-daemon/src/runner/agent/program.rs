//! Which file an agent's program is, and whether it is still the same after a run.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use taskd_model::{AgentRun, Code};
use taskd_tools::agents::Preset;

use super::super::programs::Command;

/// So much of a `PATH` is told.
const MAX_PATH_CHARS: usize = 200;

/// A program's file as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Program {
    /// Behind all links.
    path: PathBuf,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Program {
    /// The file that runs as `name` with this environment, if there is one.
    fn find(name: &OsStr, cwd: &Path, env: &[(OsString, OsString)]) -> Option<Self> {
        let found = if name.as_bytes().contains(&b'/') {
            cwd.join(name)
        } else {
            let path = path_of(env)?;
            let runs = |it: &PathBuf| {
                fs::metadata(it).is_ok_and(|it| it.is_file() && it.mode() & 0o111 != 0)
            };
            std::env::split_paths(path).map(|dir| cwd.join(dir).join(name)).find(runs)?
        };
        let path = found.canonicalize().ok()?;
        let it = fs::metadata(&path).ok()?;
        let modified = (it.mtime(), it.mtime_nsec());
        Some(Self { path, inode: it.ino(), bytes: it.len(), modified })
    }
}

/// The `PATH` a program is looked up on; the last one counts.
fn path_of(env: &[(OsString, OsString)]) -> Option<&OsStr> {
    env.iter().rev().find(|it| it.0 == "PATH").map(|it| it.1.as_os_str())
}

/// Where an agent's program is looked up, and what was there before its run.
#[derive(Debug)]
pub(super) struct Place {
    agent: String,
    program: OsString,
    cwd: PathBuf,
    env: Vec<(OsString, OsString)>,
    before: Option<Program>,
}

impl Place {
    pub(super) fn of(preset: &Preset, command: &Command) -> Self {
        let program = command.argv.first().cloned().unwrap_or_default();
        let before = Program::find(&program, &command.cwd, &command.env);
        let env = command.env.iter().filter(|it| it.0 == "PATH").cloned().collect();
        let (agent, cwd) = (preset.name.clone(), command.cwd.clone());
        Self { agent, program, cwd, env, before }
    }

    fn now(&self) -> Option<Program> {
        Program::find(&self.program, &self.cwd, &self.env)
    }

    pub(super) fn is_missing(&self) -> bool {
        self.now().is_none()
    }

    /// What a person is told who has to install it. `name` is the loop's.
    pub(super) fn missing(&self, name: &str) -> String {
        let path: String = path_of(&self.env).unwrap_or_default().to_string_lossy().into_owned();
        let path: String = path.chars().take(MAX_PATH_CHARS).collect();
        format!(
            "the agent {}: no program `{}` on the PATH the plan was submitted with ({path}); \
             install it there, then `taskd resume {name}`",
            self.agent,
            self.program.display()
        )
    }

    /// Tells that the program is another one after the run than before it.
    pub(super) fn compare(&self, run: &mut AgentRun) {
        let Some(was) = &self.before else { return };
        let agent = &self.agent;
        let text = match self.now() {
            Some(now) if now == *was => return,
            Some(now) => format!(
                "the program of {agent} changed while it ran: {} is there now; \
                 `taskd agents show {agent}` says whether that version was tested",
                now.path.display()
            ),
            None => format!(
                "the program of {agent}, {}, went away while it ran; install it again",
                was.path.display()
            ),
        };
        run.remark(Code::AgentUpdated, &text);
    }
}
