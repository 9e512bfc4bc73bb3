//! Where and how a command was typed: paths, printing, directory, and the way to the daemon.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::tz::TimeZone;
use taskd_api::{ApiError, Client, Place, codes, handed_over, v1};
use taskd_daemon::paths::Paths;
use taskd_model::{Time, Via, View};
use taskd_tools::agents::Presets;

use super::{
    args::{Cli, ScopeArgs, When},
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
    /// The daemon that is asked.
    pub(crate) place: Place,
    pub(crate) out: Out,
    /// The directory, absolute.
    pub(crate) directory: PathBuf,
    /// With a daemon of another machine: the directory there, if one was named.
    pub(crate) there: Option<PathBuf>,
    /// Where people use it.
    pub(crate) via: Via,
    /// What is changed is changed once under it.
    pub(crate) key: Option<String>,
}

/// The span that whoever runs this names, as W3C Trace Context has it.
fn trace_parent() -> Option<String> {
    env::var("TRACEPARENT").ok()
}

impl Here {
    pub(crate) fn new(args: &Cli) -> Result<Self, Failure> {
        let paths = Paths::from_env()
            .map_err(|it| Failure::Api(ApiError::new(codes::CONFIG, it.to_string())))?;
        let place = place(&paths)?;
        let current = env::current_dir()?;
        let elsewhere = place.socket().is_none();
        let there = args.directory.clone().filter(|_| elsewhere);
        let directory = match &args.directory {
            Some(named) if !elsewhere => {
                let directory = current.join(named);
                directory
                    .canonicalize()
                    .map_err(|it| Failure::usage(format!("-C {}: {it}", directory.display()), ""))?
            }
            Some(_) | None => current,
        };
        let out = Out::new(args.json, args.quiet, args.no_color);
        let key = args.idempotency_key.clone();
        Ok(Self { paths, place, out, directory, there, via: Via::Cli, key })
    }

    /// The daemon, if it runs. Reading never starts it.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        match Client::connect(self.place.clone()).await {
            Ok(client) => {
                let client = client.via(self.via).traced(trace_parent());
                Ok(match &self.key {
                    Some(key) => client.once(key)?,
                    None => client,
                })
            }
            Err(error) if error.is_unreachable() => Err(self.unreachable(&error).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// The daemon, started if need be.
    pub(crate) async fn client_or_start(&self) -> Result<Client, Failure> {
        if self.is_elsewhere() || env::var_os("TASKD_NO_AUTOSTART").is_some() {
            return self.client().await;
        }
        let started = start::start(self, &start::How::default()).await?;
        daemon::offer_to_resume(self, &started, false).await?;
        Ok(started.client.via(self.via).traced(trace_parent()))
    }

    /// What to say when nobody answers.
    pub(crate) fn unreachable(&self, error: &ApiError) -> ApiError {
        if self.is_elsewhere() {
            return ApiError { hint: "taskd help remote".to_owned(), ..error.clone() };
        }
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

    /// The daemon is of another machine.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.place.socket().is_none()
    }

    /// The same command, asked of this machine's daemon and no other.
    ///
    /// # Errors
    ///
    /// Another machine's is meant.
    pub(crate) fn only_here(&self, what: &str) -> Result<(), Failure> {
        if !self.is_elsewhere() {
            return Ok(());
        }
        let what = format!("`{what}` is for this machine, and TASKD_REMOTE is {}", self.place);
        Err(Failure::usage(what, "unset TASKD_REMOTE, or type it there"))
    }

    /// A directory in the repository that work is for, as the daemon knows it.
    pub(crate) fn work_directory(&self) -> Result<String, Failure> {
        match (&self.there, self.is_elsewhere()) {
            (Some(there), _) => utf8(there.clone().into_os_string()),
            (None, false) => utf8(self.directory.clone().into_os_string()),
            (None, true) => Err(Failure::usage(
                format!("{} does not know this directory", self.place),
                "name the repository there: taskd -C /srv/app run ...",
            )),
        }
    }

    /// What of the world a command is about: this repository, or everything.
    pub(crate) fn scope(&self, args: ScopeArgs) -> Result<String, Failure> {
        if let Some(there) = self.there.as_ref().filter(|_| !args.all_projects) {
            return utf8(there.clone().into_os_string());
        }
        match self.repository().filter(|_| !args.all_projects) {
            Some(root) => utf8(root.as_os_str().to_owned()),
            None => Ok(String::new()),
        }
    }

    /// The directory that holds `.git`, from here upwards. A daemon of another machine knows none.
    pub(crate) fn repository(&self) -> Option<&Path> {
        if self.is_elsewhere() {
            return None;
        }
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

    /// The view of a scope as it was, and the scene of that moment.
    pub(crate) async fn view_then(
        &self,
        client: &Client,
        scope: &str,
        when: When,
    ) -> Result<(View, Scene), Failure> {
        let scene = self.scene();
        let moment = when.moment(scene.now, &scene.zone);
        let view = client.view_at(scope, moment).await?;
        self.skew(client);
        let now = match moment.at {
            Some(v1::moment::At::Time(time)) => Time(time),
            Some(v1::moment::At::Seq(_)) | None => view.at,
        };
        Ok((view, Scene { now, is_past: true, ..scene }))
    }

    /// Says at the head of a picture that it shows what was.
    pub(crate) fn as_of(&self, view: &View, then: &Scene) -> String {
        let (at, age) = (then.stamp(then.now), self.scene().age(then.now));
        format!("AS IT WAS at {at}, {age} ago, after event {}\n", view.seq)
    }

    /// Where and when pictures are shown.
    pub(crate) fn scene(&self) -> Scene {
        scene(&self.out)
    }
}

/// The daemon that is meant: this user's own, or the one that `TASKD_REMOTE` names.
fn place(paths: &Paths) -> Result<Place, Failure> {
    let set = |name: &str| variable(name).filter(|it| !it.is_empty());
    let Some(url) = set("TASKD_REMOTE") else { return Ok(paths.socket.as_path().into()) };
    let read = |name: &str, file: &str| {
        fs::read_to_string(file).map_err(|it| {
            let what = format!("{name} cannot be read: {file}: {it}");
            ApiError::new(codes::CONFIG, what).hint("taskd help remote")
        })
    };
    let token = match (set("TASKD_TOKEN"), set("TASKD_TOKEN_FILE")) {
        (Some(token), _) => token,
        (None, Some(file)) => read("TASKD_TOKEN_FILE", &file)?,
        (None, None) => {
            let what = format!("TASKD_REMOTE is {url}, and there is no token");
            return Err(ApiError::new(codes::CONFIG, what).hint("taskd help remote").into());
        }
    };
    let authority = set("TASKD_CA_FILE").map(|it| read("TASKD_CA_FILE", &it)).transpose()?;
    Ok(Place::network(&url, &token, authority.as_deref().map(str::as_bytes))?)
}

/// Where and when pictures are shown.
pub(crate) fn scene(out: &Out) -> Scene {
    Scene {
        now: now(),
        is_past: false,
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

/// Whether texts of the terminal are UTF-8, as the locale says; a machine that says nothing has one
/// that is.
pub(crate) fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let named = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable);
    let locale = named.map(|it| it.to_lowercase()).find(|it| !it.is_empty());
    locale.is_none_or(|it| it.contains("utf-8") || it.contains("utf8"))
}

/// The time.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_says_whether_there_is_more_than_ascii() {
        let utf8 = |set: &[(&str, &str)]| {
            is_utf8(|name| set.iter().find(|it| it.0 == name).map(|it| it.1.to_owned()))
        };
        assert!(utf8(&[]) && utf8(&[("LANG", "C.UTF-8")]) && utf8(&[("LANG", "de_DE.utf8")]));
        assert!(!utf8(&[("LANG", "C")]) && !utf8(&[("LC_ALL", "POSIX"), ("LANG", "C.UTF-8")]));
        assert!(utf8(&[("LC_ALL", ""), ("LC_CTYPE", "en_US.UTF-8"), ("LANG", "C")]));
    }
}
