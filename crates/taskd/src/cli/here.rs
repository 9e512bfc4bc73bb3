//! Where and how a command was typed: paths, printing, directory, and the way to the daemon.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::tz::TimeZone;
use taskd_api::{ApiError, Client, codes, handed_over, v1};
use taskd_daemon::paths::Paths;
use taskd_model::{Time, Via, View};
use taskd_tools::agents::Presets;

use super::{
    args::{Cli, ScopeArgs},
    daemon,
    failure::Failure,
    out::Out,
    start, utf8,
};
use crate::render::Scene;

/// See above.
#[derive(Debug, Clone)]
pub(crate) struct Here {
    pub(crate) paths: Paths,
    pub(crate) out: Out,
    /// The directory, absolute.
    pub(crate) directory: PathBuf,
    /// Where people use it.
    pub(crate) via: Via,
}

impl Here {
    pub(crate) fn new(args: &Cli) -> Result<Self, Failure> {
        let paths = Paths::from_env()
            .map_err(|it| Failure::Api(ApiError::new(codes::CONFIG, it.to_string())))?;
        let current = env::current_dir()?;
        let directory = match &args.directory {
            Some(named) => {
                let directory = current.join(named);
                directory
                    .canonicalize()
                    .map_err(|it| Failure::usage(format!("-C {}: {it}", directory.display()), ""))?
            }
            None => current,
        };
        let out = Out::new(args.json, args.quiet, args.no_color);
        Ok(Self { paths, out, directory, via: Via::Cli })
    }

    /// The daemon, if it runs. Reading never starts it.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        match Client::connect(&self.paths.socket).await {
            Ok(client) => Ok(client.via(self.via)),
            Err(error) if error.is_unreachable() => Err(self.unreachable(&error).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// The daemon, started if need be.
    pub(crate) async fn client_or_start(&self) -> Result<Client, Failure> {
        if env::var_os("TASKD_NO_AUTOSTART").is_some() {
            return self.client().await;
        }
        let started = start::start(self, &start::How::default()).await?;
        daemon::offer_to_resume(self, &started, false).await?;
        Ok(started.client.via(self.via))
    }

    /// What to say when nobody answers.
    pub(crate) fn unreachable(&self, error: &ApiError) -> ApiError {
        let message = if self.paths.stopped_file().exists() {
            "the taskd daemon was stopped by a person; its work is kept".to_owned()
        } else if self.paths.socket.exists() {
            error.message.clone()
        } else {
            "no taskd daemon runs".to_owned()
        };
        ApiError::new(codes::UNREACHABLE, message).hint("taskd daemon start")
    }

    /// Says so if the daemon is of another version.
    pub(crate) fn skew(&self, client: &Client) {
        if let Some(text) = client.skew() {
            self.out.remark(&format!("warning: {text}"));
        }
    }

    /// What of the world a command is about: this repository, or everything.
    pub(crate) fn scope(&self, args: ScopeArgs) -> Result<String, Failure> {
        match self.repository().filter(|_| !args.all_projects) {
            Some(root) => utf8(root.as_os_str().to_owned()),
            None => Ok(String::new()),
        }
    }

    /// The directory that holds `.git`, from here upwards.
    pub(crate) fn repository(&self) -> Option<&Path> {
        self.directory.ancestors().find(|it| it.join(".git").exists())
    }

    /// What our environment holds of what loops are paid with: keys and places of the daemon's
    /// providers, and keys of agents.
    pub(crate) fn keys(&self, providers: &[v1::ProviderRow]) -> BTreeMap<String, String> {
        let agents = Presets::load(&self.paths.config, self.repository()).credentials();
        let of_agents = agents.into_iter().filter_map(|name| {
            let value = variable(&name).filter(|it| !it.trim().is_empty())?;
            Some((name, value))
        });
        let mut keys = handed_over(providers, variable);
        keys.extend(of_agents);
        keys
    }

    /// The view of a scope.
    pub(crate) async fn view(&self, client: &Client, args: ScopeArgs) -> Result<View, Failure> {
        let view = client.view(&self.scope(args)?).await?;
        self.skew(client);
        Ok(view)
    }

    /// Where and when pictures are shown.
    pub(crate) fn scene(&self) -> Scene {
        scene(&self.out)
    }
}

/// Where and when pictures are shown.
pub(crate) fn scene(out: &Out) -> Scene {
    Scene {
        now: now(),
        width: out.width(),
        colour: out.colour,
        zone: TimeZone::system(),
        home: env::var("HOME").unwrap_or_default(),
    }
}

/// What a variable of our environment holds; nothing if it is not set or no text.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// The time.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
