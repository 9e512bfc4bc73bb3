//! What a worktree has besides its files: a directory for temporary files and a block of ports, both
//! its own for as long as its loop is not over, and the variables that name them.
//!
//! Both are on disk under the worktree's name, so they are the same after a restart. They are taken
//! when a program first needs them, and given back by a sweep that compares what is there with what
//! the log says is alive: at the start, whenever a loop is over, and at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    io::{self, ErrorKind},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use taskd_model::{Code, Event, PlanDoc, PlanId, ProjectId, Record};
use taskd_tools::agents::environment;
use tokio::{sync::broadcast::error::RecvError, task::block_in_place};
use tracing::warn;

use super::{Context, Job, Trouble, lock, worktree_name};

/// Ports of one block.
const PORTS: u16 = 10;
/// What a directory is called that nobody may use any more.
const OVER: &str = ".over-";

/// Blocks of ports that are taken, by the name of what has them. Nothing until the file was read.
#[derive(Debug, Default)]
pub(super) struct Blocks(Option<BTreeMap<String, u16>>);

impl Blocks {
    fn read(&mut self, file: &Path) -> &mut BTreeMap<String, u16> {
        self.0.get_or_insert_with(|| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let block = |line: &str| {
                let (port, name) = line.split_once(' ')?;
                Some((name.to_owned(), port.parse().ok()?))
            };
            text.lines().filter_map(block).collect()
        })
    }

    /// The first port of the block this one has; the lowest free one if it has none yet.
    fn take(&mut self, file: &Path, name: &str, first: u16) -> Result<u16, Trouble> {
        let all = self.read(file);
        if let Some(port) = all.get(name) {
            return Ok(*port);
        }
        let taken: BTreeSet<u16> = all.values().copied().collect();
        let overlaps =
            |port: u16| taken.range(port.saturating_sub(PORTS - 1)..port + PORTS).next().is_some();
        let mut blocks = (first..=u16::MAX - PORTS).step_by(usize::from(PORTS));
        let free = blocks.find(|port| !overlaps(*port) && is_free(*port)).ok_or_else(|| {
            let what = format!("no {PORTS} free ports from {first} on; set work.port lower");
            Trouble::new(Code::MachineExhausted, what)
        })?;
        all.insert(name.to_owned(), free);
        write(file, all)?;
        Ok(free)
    }

    /// Gives back what belongs to none of these.
    fn keep_only(&mut self, file: &Path, alive: &BTreeSet<String>) -> Result<(), Trouble> {
        let all = self.read(file);
        let before = all.len();
        all.retain(|name, _| alive.contains(name));
        if all.len() == before { Ok(()) } else { write(file, all) }
    }
}

/// Nobody listens on any port of this block now.
fn is_free(first: u16) -> bool {
    (first..first + PORTS).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
}

fn write(file: &Path, blocks: &BTreeMap<String, u16>) -> Result<(), Trouble> {
    let text: String = blocks.iter().map(|(name, port)| format!("{port} {name}\n")).collect();
    let new = file.with_extension("new");
    fs::write(&new, text).and_then(|()| fs::rename(&new, file)).map_err(|it| at(file, &it))
}

fn at(path: &Path, error: &io::Error) -> Trouble {
    Trouble::of(Code::of_io(error), error).within(&format!("at {}", path.display()))
}

/// Makes a directory for us alone, or takes the one that is there if it is that.
///
/// # Errors
///
/// It cannot be made, or something else is there: a link that was planted must not be followed.
pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(it) if it.kind() != ErrorKind::AlreadyExists => return Err(it),
        _ => {}
    }
    let found = fs::symlink_metadata(dir)?;
    let ours = found.is_dir()
        && found.uid() == nix::unistd::geteuid().as_raw()
        && found.mode() & 0o077 == 0;
    if ours {
        return Ok(());
    }
    let what = format!("{} is not a directory of yours alone; remove it", dir.display());
    Err(io::Error::new(ErrorKind::PermissionDenied, what))
}

/// `3-p7-limiter-1`: project and directory of a worktree.
pub(super) fn name_of(dir: &Path) -> String {
    let part = |it: Option<&Path>| {
        it.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
    };
    format!("{}-{}", part(dir.parent()), part(Some(dir)))
}

impl Context {
    /// The directory for temporary files, and the first port.
    fn place(&self, dir: &Path) -> Result<(PathBuf, u16), Trouble> {
        let first = u16::try_from(lock(&self.config).work_port).unwrap_or(u16::MAX);
        let name = name_of(dir);
        let mut blocks = lock(&self.places);
        let tmp = self.paths.tmp_dir().join(&name);
        for dir in [self.paths.tmp_dir(), tmp.clone()] {
            private_dir(&dir).map_err(|it| at(&dir, &it))?;
        }
        let port = blocks.take(&self.paths.ports_file(), &name, first)?;
        Ok((tmp, port))
    }

    /// Gives back what belongs to nobody any more. What cannot be removed is tried again next time.
    pub(crate) fn sweep_places(&self) {
        let root = self.paths.tmp_dir();
        {
            let mut blocks = lock(&self.places);
            let alive = self.alive();
            if let Err(why) = blocks.keep_only(&self.paths.ports_file(), &alive) {
                warn!("cannot give ports back: {}", why.told());
            }
            for name in names_in(&root) {
                if !alive.contains(&name) && !name.starts_with(OVER) {
                    // Whoever begins anew finds its own name free at once.
                    let free = (0u32..).map(|n| root.join(format!("{OVER}{n}-{name}")));
                    let free = free.into_iter().find(|it| fs::symlink_metadata(it).is_err());
                    let free = free.expect("one of four thousand million names is free");
                    fs::rename(root.join(&name), free).ok();
                }
            }
        }
        for name in names_in(&root).iter().filter(|it| it.starts_with(OVER)) {
            let path = root.join(name);
            if let Err(why) = taskd_git::remove_tree(&path) {
                warn!("cannot remove {}: {why}", path.display());
            }
        }
    }

    /// The names of all places that are in use.
    fn alive(&self) -> BTreeSet<String> {
        let scratch = lock(&self.scratch).clone();
        let checkouts = ["gate", "review"].into_iter().flat_map(|of| {
            scratch.iter().map(move |(project, n)| format!("{}-{of}-{n}", project.0))
        });
        let view = self.hub.view();
        let loops = view.loops.values().filter(|it| !it.status.is_over()).filter_map(|it| {
            let project = view.plans.get(&it.id.plan())?.project;
            Some(format!("{}-{}", project.0, worktree_name(it.id, &it.spec)))
        });
        let tearing = lock(&self.tearing).clone();
        checkouts.chain(loops).chain(tearing).collect()
    }
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|it| it.file_name().into_string().ok()).collect()
}

/// Tears down and sweeps, now and whenever a loop is over.
pub(crate) async fn keep(ctx: Arc<Context>) {
    let ((), mut records) = ctx.hub.follow(|_| ());
    let is_end = |it: &Record| matches!(it.event, Event::StatusChanged { to, .. } if to.is_over());
    loop {
        ctx.tear_down().await;
        block_in_place(|| ctx.sweep_places());
        loop {
            match records.recv().await {
                Ok(record) if !is_end(&record) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// Whose program it is that gets an environment.
pub(super) struct Whose {
    pub(super) plan: PlanId,
    pub(super) project: ProjectId,
    /// The loop's name, or the plan's.
    pub(super) name: String,
    pub(super) iteration: u32,
    pub(super) target: String,
}

impl Context {
    /// The complete environment of a program of this plan in a worktree: what the submission brought
    /// and what taskd says, nothing of the daemon's own.
    pub(super) fn env_of(
        &self,
        whose: &Whose,
        plan: &PlanDoc,
        dir: &Path,
    ) -> Result<Vec<(OsString, OsString)>, Trouble> {
        let (_, root) = self.repo(whose.project)?;
        let (tmp, port) = self.place(dir)?;
        let text = |name: &str, value: String| (OsString::from(name), OsString::from(value));
        let path = |name: &str, path: &Path| (OsString::from(name), path.as_os_str().to_owned());
        let extra = [
            text("TASKD_PLAN", whose.plan.to_string()),
            text("TASKD_LOOP", whose.name.clone()),
            text("TASKD_ITERATION", whose.iteration.to_string()),
            text("TASKD_TARGET", whose.target.clone()),
            path("TASKD_PROJECT", &root),
            path("TASKD_WORKTREE", dir),
            text("TASKD_PORT", port.to_string()),
            text("TASKD_PORT_COUNT", PORTS.to_string()),
            path("TASKD_TMP", &tmp),
            path("TMPDIR", &tmp),
        ];
        Ok(environment(&plan.env, &extra))
    }
}

impl Job {
    /// The complete environment of a program of this effect.
    pub(super) fn env(
        &self,
        plan: &PlanDoc,
        dir: &Path,
    ) -> Result<Vec<(OsString, OsString)>, Trouble> {
        let name = {
            let view = self.ctx.hub.view();
            self.name(&view)
        };
        let whose = Whose {
            plan: self.order.plan,
            project: self.order.project,
            name,
            iteration: self.order.subject.as_ref().map_or(0, |it| it.iteration),
            target: self.order.target.clone(),
        };
        self.ctx.env_of(&whose, plan, dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_never_overlap_and_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ports");
        let mut blocks = Blocks::default();
        let first = |blocks: &mut Blocks, name: &str| blocks.take(&file, name, 23_000).unwrap();
        let (a, b) = (first(&mut blocks, "1-a"), first(&mut blocks, "1-b"));
        assert!(a + PORTS <= b, "{a} {b}");
        assert_eq!(first(&mut blocks, "1-a"), a);
        let mut again = Blocks::default();
        assert_eq!((first(&mut again, "1-b"), first(&mut again, "1-a")), (b, a));
        // Another beginning does not cut into what is taken.
        let between = again.take(&file, "1-c", a + 3).unwrap();
        assert!(
            between >= b + PORTS || (a + PORTS <= between && between + PORTS <= b),
            "{between}"
        );
        again.keep_only(&file, &BTreeSet::from(["1-b".to_owned()])).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{b} 1-b\n"));
    }

    #[test]
    fn a_block_somebody_listens_on_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ports");
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        let got = Blocks::default().take(&file, "1-a", port.saturating_sub(4)).unwrap();
        assert!(port < got, "{got} holds {port}");
    }

    #[test]
    fn only_a_directory_of_our_own_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, link) = (dir.path().join("mine"), dir.path().join("link"));
        private_dir(&mine).unwrap();
        private_dir(&mine).unwrap();
        assert_eq!(fs::metadata(&mine).unwrap().mode() & 0o777, 0o700);
        std::os::unix::fs::symlink(&mine, &link).unwrap();
        let why = private_dir(&link).unwrap_err();
        assert!(why.to_string().contains("not a directory of yours alone"), "{why}");
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&mine, fs::Permissions::from_mode(0o777)).unwrap();
        private_dir(&mine).unwrap_err();
    }
}
