//! Where things are: the store, the worktrees, the socket. Reads the environment, touches nothing.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The directories and files of one daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `$TASKD_STATE_DIR`, or `$XDG_STATE_HOME/taskd`, or `~/.local/state/taskd`.
    pub state: PathBuf,
    /// `$XDG_CONFIG_HOME/taskd` or `~/.config/taskd`.
    pub config: PathBuf,
    /// The socket clients connect to.
    pub socket: PathBuf,
}

/// A socket's path must fit into `sockaddr_un`, in bytes, with its terminating zero.
const MAX_SOCKET_PATH_BYTES: usize = 107;

/// Why there is no place for the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Neither variable nor home directory says where.
    #[error("no place for taskd's state: set HOME, XDG_STATE_HOME or TASKD_STATE_DIR")]
    NoHome,
    /// The state directory is not absolute.
    #[error("{0:?} is not an absolute path; set TASKD_STATE_DIR to one")]
    Relative(PathBuf),
}

impl Paths {
    /// The paths the environment names. A variable of XDG's that is no absolute path counts as not
    /// set, as its specification says.
    ///
    /// # Errors
    ///
    /// The environment names no absolute place.
    pub fn from_env() -> Result<Self, PathError> {
        let var = |name: &str| env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        let home = var("HOME");
        let xdg = |name: &str| var(name).filter(|it| it.is_absolute());
        let under_home = |name: &str, rest: &str| {
            xdg(name).or_else(|| home.as_ref().map(|it| it.join(rest))).map(|it| it.join("taskd"))
        };
        let state = var("TASKD_STATE_DIR")
            .or_else(|| under_home("XDG_STATE_HOME", ".local/state"))
            .ok_or(PathError::NoHome)?;
        let config = under_home("XDG_CONFIG_HOME", ".config").ok_or(PathError::NoHome)?;
        if !state.is_absolute() {
            return Err(PathError::Relative(state));
        }
        let socket = socket_for(&state, var("TASKD_STATE_DIR").is_some(), xdg("XDG_RUNTIME_DIR"));
        Ok(Self { state, config, socket })
    }

    /// Every place there is, by what it is for: two directories and the socket, and what is in them.
    #[must_use]
    pub fn all(&self) -> [(&'static str, PathBuf); 9] {
        [
            ("config", self.config.clone()),
            ("state", self.state.clone()),
            ("socket", self.socket.clone()),
            ("store", self.state.join("taskd.db")),
            ("worktrees", self.state.join("worktrees")),
            ("programs", self.run_dir()),
            ("temporary", self.tmp_dir()),
            ("log", self.log_file()),
            ("facts", self.facts_file()),
        ]
    }

    /// Where worktrees of a project live.
    #[must_use]
    pub fn worktrees(&self, project: u32) -> PathBuf {
        self.state.join("worktrees").join(project.to_string())
    }

    /// Reports and locks of running programs.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.state.join("run")
    }

    /// What a person has agreed to that a repository's files have run: a file for each command.
    #[must_use]
    pub fn trusted_dir(&self, git_dir: &Path) -> PathBuf {
        let digest = taskd_model::Digest::of(git_dir.as_os_str().as_encoded_bytes()).to_string();
        self.state.join("trusted").join(&digest[..16])
    }

    /// Directories for temporary files of programs, one for each worktree.
    #[must_use]
    pub fn tmp_dir(&self) -> PathBuf {
        self.state.join("tmp")
    }

    /// Which worktree has which ports.
    #[must_use]
    pub fn ports_file(&self) -> PathBuf {
        self.state.join("ports")
    }

    /// The daemon's log file.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.state.join("daemon.log")
    }

    /// Facts about the running daemon for people and scripts: pid, http address.
    #[must_use]
    pub fn facts_file(&self) -> PathBuf {
        self.state.join("daemon.json")
    }

    /// What a shell shows beside its prompt.
    #[must_use]
    pub fn figures_file(&self) -> PathBuf {
        self.state.join("figures.json")
    }

    /// What opens the network's door to clients of this user.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.state.join("api-token")
    }

    /// A person stopped the daemon: reading commands do not start it again.
    #[must_use]
    pub fn stopped_file(&self) -> PathBuf {
        self.state.join("stopped")
    }
}

/// The socket lives in the runtime directory if there is one and nobody chose a state directory;
/// else beside the state; a path that is too long is replaced by a short one that names its digest.
fn socket_for(state: &Path, chosen: bool, runtime: Option<PathBuf>) -> PathBuf {
    let beside = state.join("taskd.sock");
    let wanted = match runtime {
        Some(dir) if !chosen => dir.join("taskd").join("taskd.sock"),
        _ => beside,
    };
    if wanted.as_os_str().len() <= MAX_SOCKET_PATH_BYTES {
        return wanted;
    }
    let digest = taskd_model::Digest::of(wanted.as_os_str().as_encoded_bytes()).to_string();
    env::temp_dir().join(format!("taskd-{}.sock", &digest[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_path_always_fits() {
        let deep = PathBuf::from(format!("/{}", "x".repeat(200)));
        assert!(socket_for(&deep, true, None).as_os_str().len() <= MAX_SOCKET_PATH_BYTES);
        let state = PathBuf::from("/s");
        assert_eq!(socket_for(&state, true, Some("/run/u".into())), Path::new("/s/taskd.sock"));
        let runtime = socket_for(&state, false, Some("/run/u".into()));
        assert_eq!(runtime, Path::new("/run/u/taskd/taskd.sock"));
    }
}
