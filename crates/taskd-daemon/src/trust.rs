//! What a project's own files would have the daemon run, and whether a person said that it may.
//!
//! Whoever wrote a repository wrote its `.taskd/`, and that may be anybody. A command in it is run
//! once a person has seen it: they say so for each command of each repository, or in their own
//! configuration for a directory. What is said is kept as an empty file named by the command's
//! digest; another command has another one, and asks again.

use std::{fs, io, path::Path};

use taskd_api::v1;
use taskd_git::Repo;
use taskd_model::{AgentDoc, Digest, TypeDoc, Worker};
use taskd_tools::agents::{Found, Presets, Source};

use crate::{
    config::{Config, LOCAL_FILE, PROJECT_FILE},
    loop_type::Types,
    paths::Paths,
    private,
    runner::{Context, Trouble, lock},
    types,
};

/// Keys of the configuration whose values are run.
const KEYS: [&str; 7] = [
    "gate.command",
    "gate.quick",
    "work.setup",
    "work.teardown",
    "work.agent",
    "land.pr_command",
    "land.pr_checks",
];

/// A command that a project's file would have run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Which file says so, and where: `.taskd/config.toml: work.setup`.
    pub(crate) place: String,
    /// The command as people read it.
    pub(crate) command: String,
    /// Of all that is run: an agent's preset says more than its command.
    pub(crate) digest: Digest,
}

impl Wish {
    fn new(place: String, command: String) -> Self {
        let digest = Digest::of(command.as_bytes());
        Self { place, command, digest }
    }

    /// For clients.
    pub(crate) fn told(&self) -> v1::Wish {
        let (place, command) = (self.place.clone(), self.command.clone());
        v1::Wish { place, command, digest: self.digest.to_string() }
    }
}

/// Commands that the project's files of a configuration say.
pub(crate) fn of_config(config: &Config, agents: &Presets) -> Vec<Wish> {
    KEYS.iter().flat_map(|key| of_key(config, agents, key)).collect()
}

/// Those of one key.
fn of_key(config: &Config, agents: &Presets, key: &str) -> Vec<Wish> {
    let Some(origin) = config.origin(key) else { return Vec::new() };
    if origin != PROJECT_FILE && origin != LOCAL_FILE {
        return Vec::new();
    }
    let commands = config.commands(key);
    // A preset that is ours or the person's is a name here, and no command.
    let is_name = |it: &String| key == "work.agent" && agents.get(it).is_some();
    let commands = commands.into_iter().filter(|it| !is_name(it));
    commands.map(|it| Wish::new(format!("{origin}: {key}"), it)).collect()
}

/// Commands that loop types of these names have from the project, with those of the types their
/// documents lead to. What a type says without the project's files too is nobody else's.
pub(crate) fn of_types(types: &Types, own: &Types, names: &[&str], agents: &Presets) -> Vec<Wish> {
    let (mut wishes, mut seen) = (Vec::new(), Vec::new());
    let mut open: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
    while let Some(name) = open.pop() {
        let Ok(doc) = types.get(&name) else { continue };
        if seen.contains(&name) {
            continue;
        }
        open.extend(doc.artifact.iter().map(|it| it.children.clone()));
        let before = own.get(&name).map(|it| of_type(it, agents)).unwrap_or_default();
        let said = of_type(doc, agents).into_iter();
        wishes.extend(said.filter(|it| before.iter().all(|own| own.digest != it.digest)));
        seen.push(name);
    }
    wishes
}

fn of_type(doc: &TypeDoc, agents: &Presets) -> Vec<Wish> {
    let place = |key: &str| format!("{}: {key}", doc.origin);
    let gate = doc.gate.quick.iter().chain(&doc.gate.run);
    let gate = gate.map(|it| Wish::new(place("gate"), it.clone()));
    let setup = doc.setup.iter().map(|it| Wish::new(place("setup"), it.clone()));
    let agent = match &doc.agent {
        Some(AgentDoc::Agent { run }) if agents.get(run).is_none() => Some(run.clone()),
        _ => None,
    };
    let agent = agent.map(|it| Wish::new(place("agent"), it));
    let reader = doc.review.iter().filter_map(|it| match &it.by {
        Worker::Agent(run) if agents.get(run).is_none() => Some(run.clone()),
        Worker::Agent(_) | Worker::Model(_) => None,
    });
    let reader = reader.map(|it| Wish::new(place("review"), it));
    let servers = doc.mcp.iter();
    let servers =
        servers.map(|(name, it)| Wish::new(place(&format!("mcp.{name}")), it.command.join(" ")));
    gate.chain(setup).chain(agent).chain(reader).chain(servers).collect()
}

/// What a preset of the project runs; nothing for one that is not the project's.
pub(crate) fn of_preset(found: &Found) -> Option<Wish> {
    (found.source == Source::Project).then(|| {
        let file = found.file.clone().unwrap_or_default();
        let (place, command) = (format!("{file}: argv"), found.preset.argv.join(" "));
        let digest = Digest::of(format!("{:?}", found.preset).as_bytes());
        Wish { place, command, digest }
    })
}

/// Whether the command of a digest may run in a repository.
fn is_said(paths: &Paths, git_dir: &Path, digest: &Digest) -> bool {
    paths.trusted_dir(git_dir).join(digest.to_string()).exists()
}

impl Context {
    /// Those of these wishes nobody has agreed to yet, each command once.
    pub(crate) fn untrusted(&self, root: &Path, git_dir: &Path, wishes: Vec<Wish>) -> Vec<Wish> {
        if lock(&self.config).trusted.iter().any(|it| root.starts_with(it)) {
            return Vec::new();
        }
        let mut open: Vec<Wish> = Vec::new();
        for it in wishes {
            let known = open.iter().any(|other| other.digest == it.digest);
            if !known && !is_said(&self.paths, git_dir, &it.digest) {
                open.push(it);
            }
        }
        open
    }

    /// From now on these commands may run in that repository.
    ///
    /// # Errors
    ///
    /// It cannot be written down.
    pub(crate) fn trust(&self, git_dir: &Path, wishes: &[Wish]) -> anyhow::Result<()> {
        let dir = self.paths.trusted_dir(git_dir);
        private::directory(&dir)?;
        for it in wishes {
            private::write(&dir.join(it.digest.to_string()), "")?;
            tracing::info!(git_dir = %git_dir.display(), place = it.place, "trusted");
        }
        Ok(())
    }

    /// What was said of a repository is void.
    ///
    /// # Errors
    ///
    /// It cannot be removed.
    pub(crate) fn distrust(&self, git_dir: &Path) -> io::Result<()> {
        match fs::remove_dir_all(self.paths.trusted_dir(git_dir)) {
            Err(it) if it.kind() != io::ErrorKind::NotFound => Err(it),
            _ => Ok(()),
        }
    }

    /// Every command that the project's files name now: configuration as the checkout has it and as
    /// `committed` has it, loop types, presets.
    ///
    /// # Errors
    ///
    /// The configuration is wrong.
    pub(crate) fn wishes(&self, root: &Path, committed: String) -> Result<Vec<Wish>, Trouble> {
        let agents = self.agents(Some(root));
        let mut all = of_config(&*self.config_of(root)?, &agents);
        // What is wrong with that one is told to whoever submits a plan on it.
        if let Ok(config) = self.config_at(root, committed) {
            all.extend(of_config(&config, &agents));
        }
        let (of_project, _) = types::load(&self.paths.config, Some(root));
        let (own, _) = types::load(&self.paths.config, None);
        all.extend(of_types(&of_project, &own, &of_project.names(), &agents));
        all.extend(agents.all().filter_map(of_preset));
        Ok(all)
    }

    /// A key of a project's configuration may be run.
    ///
    /// # Errors
    ///
    /// The project's file says it, and nobody agreed.
    pub(crate) fn allowed(
        &self,
        (repo, root): (&Repo, &Path),
        config: &Config,
        key: &str,
    ) -> Result<(), Trouble> {
        let agents = self.agents(Some(root));
        match self.untrusted(root, repo.git_dir(), of_key(config, &agents, key)).first() {
            Some(it) => Err(refused(it)),
            None => Ok(()),
        }
    }
}

/// Why a command is not run, and what would make it run.
pub(crate) fn refused(it: &Wish) -> Trouble {
    let what = format!("{}; type `taskd projects trust` there if it may, then resume", unsaid(it));
    Trouble::new(taskd_api::codes::CONFIG, what)
}

/// What is wrong with running it.
pub(crate) fn unsaid(it: &Wish) -> String {
    let command = it.command.lines().next().unwrap_or_default();
    let more = if it.command.lines().nth(1).is_some() { " ..." } else { "" };
    format!("{} is `{command}{more}`, and nobody has said that it may run here", it.place)
}
