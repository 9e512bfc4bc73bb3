//! Questions about loops and about the daemon itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use taskd_api::{ApiError, codes, v1};
use taskd_git::{Probe, Repo};
use taskd_model::{
    Actor, GateDoc, LoopView, PlanDoc, PlanView, SpecDoc, Target, Time, View, format_bytes,
    format_duration_ms,
};

use super::{Service, in_scope, unresolved};
use crate::{
    config, daemon,
    disk::free_at,
    models, projects,
    runner::{Context, Trouble, chain, lock, worktree_name},
    trust::Wish,
    watcher,
};

impl Service {
    pub(super) async fn do_view(&self, request: v1::GetViewRequest) -> Result<v1::View, ApiError> {
        let scope = request.scope;
        let ctx = Arc::clone(self.ctx());
        self.seen(request.at, move |view| scoped(&ctx, view, &scope)).await
    }

    pub(super) async fn do_show(
        &self,
        request: v1::ShowRequest,
    ) -> Result<v1::ShowResponse, ApiError> {
        let is_past = request.at.is_some();
        let id = request.id;
        let shown = self.seen(request.at, move |view| Shown::of(view, &id)).await?;
        let this = self.clone();
        super::blocking(move || this.told_of(shown, is_past)).await
    }

    /// Texts and places of what is shown.
    fn told_of(&self, shown: Shown, is_past: bool) -> Result<v1::ShowResponse, ApiError> {
        let Shown { plan, one } = shown;
        let effects = one.iter().filter(|_| !is_past).flat_map(|it| it.effects.iter());
        let tail: Vec<String> = effects.flat_map(|it| self.ctx().hub.tail(*it)).collect();
        let doc = self.ctx().doc(&plan.doc);
        let unreadable = |it: Trouble| it.within("the plan's document cannot be read");
        let doc: PlanDoc = doc.map_err(unreadable)?;
        let mut response = v1::ShowResponse {
            name: plan.id.to_string(),
            plan: plan.id.0,
            text: doc.context.clone(),
            gate: commands(&doc.gate),
            gate_origin: doc.gate.origin.clone(),
            tail,
            ..v1::ShowResponse::default()
        };
        if let Some(it) = one {
            let spec: SpecDoc = self.ctx().doc(&it.doc).map_err(ApiError::from)?;
            let (repo, _) = self.ctx().repo(plan.project).map_err(ApiError::from)?;
            let name = worktree_name(it.id, &spec.name);
            let worktree = repo.worktree_path(&name);
            response.name = it.name.clone();
            response.r#loop = Some(it.id.into());
            response.text = spec.text;
            response.accept = spec.accept;
            response.touches = spec.touches;
            response.worker = it.worker.to_string();
            response.r#ref = repo.own_ref(&format!("loops/{name}"));
            if !is_past && worktree.exists() {
                response.worktree = worktree.to_string_lossy().into_owned();
            }
            let notes = it.notes.iter().filter_map(|note| self.text(&note.text).ok());
            response.notes = notes.collect();
        }
        Ok(response)
    }

    pub(super) fn do_path(&self, id: &str) -> Result<v1::PathResponse, ApiError> {
        let one = self.one_loop(id)?;
        let (project, doc) = {
            let view = self.ctx().hub.view();
            (view.plans[&one.plan()].project, view.loops[&one].doc)
        };
        let spec: SpecDoc = self.ctx().doc(&doc).map_err(ApiError::from)?;
        let (repo, _) = self.ctx().repo(project).map_err(ApiError::from)?;
        let path = repo.worktree_path(&worktree_name(one, &spec.name));
        if !path.exists() {
            let what = format!("{id} has no worktree yet");
            return Err(ApiError::new(codes::NOT_FOUND, what).hint(format!("taskd why {id}")));
        }
        Ok(v1::PathResponse { path: path.to_string_lossy().into_owned() })
    }

    pub(super) async fn do_projects(
        &self,
        actor: Actor,
        request: v1::ProjectsRequest,
    ) -> Result<v1::ProjectsResponse, ApiError> {
        let mut trusted = Vec::new();
        let mut moved = None;
        match request.what {
            Some(v1::projects_request::What::Add(path)) => {
                let probe = probed(path).await?;
                moved = projects::register(self.ctx(), actor, &probe).await?.moved;
            }
            Some(v1::projects_request::What::Move(it)) => {
                let probe = probed(it.to).await?;
                moved = Some(projects::relink(self.ctx(), actor, &it.from, &probe).await?);
            }
            Some(v1::projects_request::What::Forget(path)) => {
                let request = v1::ActRequest {
                    verb: v1::Verb::Forget.into(),
                    ids: vec![path.clone()],
                    ..v1::ActRequest::default()
                };
                self.do_act(actor, request).await?;
                // A repository that is gone has nothing to run.
                if let Ok(probe) = taskd_git::probe(Path::new(&path)) {
                    let ctx = self.ctx();
                    ctx.distrust(&probe.git_dir)
                        .map_err(|it| ApiError::of(codes::INTERNAL, &it))?;
                }
            }
            Some(v1::projects_request::What::Trust(it)) => {
                let ctx = Arc::clone(self.ctx());
                trusted = super::blocking(move || trust(&ctx, &it)).await?;
            }
            Some(v1::projects_request::What::List(_)) | None => {}
        }
        let view = self.ctx().hub.view();
        let projects = view.projects.iter().filter(|(_, it)| !it.forgotten).map(|(id, it)| {
            let plans = view.plans.values().filter(|plan| plan.project == *id);
            let open = plans.clone().filter(|it| it.ended_at.is_none());
            v1::ProjectRow {
                id: id.0,
                root: it.root.clone(),
                git_dir: it.git_dir.clone(),
                plans: u32::try_from(plans.count()).unwrap_or(u32::MAX),
                open_plans: u32::try_from(open.count()).unwrap_or(u32::MAX),
                targets: v1::Project::from(it).targets,
            }
        });
        let (moved_from, resumed) = moved.map(|it| (it.from, it.resumed)).unwrap_or_default();
        Ok(v1::ProjectsResponse { projects: projects.collect(), trusted, moved_from, resumed })
    }

    pub(super) async fn do_status(&self) -> Result<v1::StatusResponse, ApiError> {
        let ctx = Arc::clone(self.ctx());
        let (turned, undurable, waiting) = ctx.handle.health();
        let db = ctx.paths.state.join("taskd.db");
        let disk = super::blocking(move || {
            let bytes = std::fs::metadata(&db).map_or(0, |it| it.len());
            Ok((db, bytes))
        });
        let (db, store_bytes) = disk.await?;
        let mut sockets = vec![ctx.paths.socket.to_string_lossy().into_owned()];
        sockets.extend(self.0.http.map(|it| format!("http://{it}")));
        sockets.extend(self.0.network.map(|it| format!("https://{it}")));
        let driver = v1::DriverHealth {
            healthy: ctx.handle.is_healthy(),
            last_turn_ms: turned,
            undurable,
            inputs_waiting: waiting as u64,
            quarantined: Vec::new(),
        };
        let view = ctx.hub.view();
        let wire = v1::View::from(&*view);
        let open = view.loops.values().filter(|it| !it.status.is_over());
        let mut payers = Vec::new();
        for (id, project) in &view.projects {
            let of_it = open
                .clone()
                .filter(|it| view.plans.get(&it.id.plan()).is_some_and(|it| it.project == *id));
            let root = Some(Path::new(&project.root));
            let rows =
                models::payers(&ctx, root, &BTreeMap::new(), of_it.map(|it| (&it.worker, None)));
            payers.extend(rows.into_iter().filter(|it| !payers.contains(it)).collect::<Vec<_>>());
        }
        Ok(v1::StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: self.0.started_at,
            seq: view.seq.0,
            parked: view.parked,
            totals: wire.totals,
            projects: u32::try_from(view.projects.len()).unwrap_or(u32::MAX),
            effects: u32::try_from(view.effects.len()).unwrap_or(u32::MAX),
            watchers: u32::try_from(ctx.hub.watchers()).unwrap_or(u32::MAX),
            sockets,
            store_path: db.to_string_lossy().into_owned(),
            store_bytes,
            disk_free_bytes: free_at(&ctx.paths.state).unwrap_or(0),
            driver: Some(driver),
            payers,
        })
    }

    pub(super) fn do_doctor(&self, repository: &Path) -> v1::DoctorResponse {
        let mut checks = vec![
            self.check_store(),
            self.check_disk(),
            self.check_git(),
            self.check_clock(),
            check_open_files(),
        ];
        checks.extend(self.check_machine());
        for finding in &self.0.findings {
            checks.push(row("found on start", false, finding, "keep a copy of the state folder"));
        }
        checks.extend(self.check_remotes());
        if !repository.as_os_str().is_empty() {
            checks.push(match taskd_git::probe(repository) {
                Ok(it) => row("repository", true, &it.root.display().to_string(), ""),
                Err(error) => row("repository", false, &chain(&error), ""),
            });
        }
        v1::DoctorResponse { checks }
    }

    fn check_store(&self) -> v1::CheckRow {
        let place = self.ctx().paths.state.display().to_string();
        match self.ctx().store.check_all() {
            Ok(report) if report.is_ok() => {
                row("store", true, &format!("{place}: {} events, chain whole", report.events), "")
            }
            Ok(report) => {
                let first = report.findings.first().map(ToString::to_string).unwrap_or_default();
                row("store", false, &first, "stop the daemon and keep a copy of the state folder")
            }
            Err(error) => row("store", false, &chain(&error), ""),
        }
    }

    fn check_disk(&self) -> v1::CheckRow {
        let disk = self.ctx().hub.view().disk.clone();
        if let Some(shortage) = disk.shortage() {
            return row("disk", false, &shortage, "free some disk, or: taskd gc");
        }
        let free = free_at(&self.ctx().paths.state).unwrap_or(0);
        let floor = lock(&self.ctx().config).disk_floor_bytes;
        let text = format!("{} free", format_bytes(free));
        row("disk", floor <= free, &text, "worktrees need room; free some disk, or: taskd gc")
    }

    /// A remote that cannot be followed stops nothing, so it never fails.
    fn check_remotes(&self) -> Vec<v1::CheckRow> {
        let told = |((project, branch), it): (watcher::Target, watcher::remote::Health)| {
            let root = match self.ctx().repo(project) {
                Ok((_, root)) => root.display().to_string(),
                Err(_) => format!("project {}", project.0),
            };
            let Some(trouble) = it.trouble else {
                return row("remote", true, &format!("{root}: {branch} follows {}", it.remote), "");
            };
            let hint = match it.failures {
                0 => "nothing is lost; taskd looks again at the next fetch",
                _ => "try `git fetch` there; taskd goes on trying",
            };
            warned(row("remote", false, &format!("{root}: {trouble}"), hint))
        };
        self.ctx().remotes.all().into_iter().map(told).collect()
    }

    fn check_git(&self) -> v1::CheckRow {
        let Some(path) = find_program("git") else {
            return row("git", false, "not on the daemon's PATH", "install git");
        };
        let place = path.display();
        match taskd_git::version(&self.ctx().paths.state) {
            Ok(it) => {
                let [major, minor] = taskd_git::OLDEST;
                let hint = format!("install git {major}.{minor} or newer");
                row("git", taskd_git::OLDEST <= it.number, &format!("{}, {place}", it.said), &hint)
            }
            Err(error) => row("git", false, &format!("{place}: {}", chain(&error)), "install git"),
        }
    }

    /// Time goes on: the log's last event is not later than now.
    fn check_clock(&self) -> v1::CheckRow {
        let (last, now) = (self.ctx().hub.view().at, Time(daemon::now_ms()));
        let ahead = last.ms_since(now);
        let detail = match ahead {
            0 => "not behind the log".to_owned(),
            _ => format!("{} behind the log's last event", format_duration_ms(ahead)),
        };
        let row = row("clock", ahead < CLOCK_BEHIND_MS, &detail, "set the machine's clock");
        if ahead < CLOCK_BEHIND_MS { row } else { warned(row) }
    }
}

/// The view of the projects a scope names; an empty scope names all.
fn scoped(ctx: &Context, view: &View, scope: &str) -> Result<v1::View, ApiError> {
    if scope.is_empty() {
        return Ok(v1::View::from(view));
    }
    let plans: BTreeSet<u32> = in_scope(ctx, view, scope)?.iter().map(|it| it.0).collect();
    let mut told = v1::View::from(view);
    let of = |id: &Option<v1::LoopId>| id.as_ref().is_some_and(|it| plans.contains(&it.plan));
    told.plans.retain(|it| plans.contains(&it.id));
    told.loops.retain(|it| of(&it.id));
    let projects: BTreeSet<u32> = told.plans.iter().map(|it| it.project).collect();
    told.projects.retain(|id, _| projects.contains(id));
    told.queue.retain(|it| projects.contains(&it.project));
    told.inbox.retain(|it| of(&it.r#loop));
    Ok(told)
}

/// What an id means: a plan, and its loop if that is meant or the only one.
struct Shown {
    plan: PlanView,
    one: Option<LoopView>,
}

impl Shown {
    fn of(view: &View, id: &str) -> Result<Self, ApiError> {
        let target = view.resolve(id).map_err(unresolved)?;
        let (plan, one) = match target {
            Target::Loop(one) => (one.plan(), Some(one)),
            Target::Plan(plan) => {
                let loops = view.loops_in(target);
                (plan, loops.first().copied().filter(|_| loops.len() == 1))
            }
        };
        let one = one.map(|it| view.loops[&it].clone());
        Ok(Self { plan: view.plans[&plan].clone(), one })
    }
}

/// What is known of the repository at a path.
async fn probed(path: String) -> Result<Probe, ApiError> {
    let probe =
        move || taskd_git::probe(Path::new(&path)).map_err(|it| ApiError::of(it.code(), &it));
    super::blocking(probe).await
}

/// Agrees to what the files of a project would have run, or to a part of that.
fn trust(ctx: &Context, request: &v1::TrustProject) -> Result<Vec<v1::Wish>, ApiError> {
    let of_git = |it: taskd_git::GitError| ApiError::of(it.code(), &it);
    let probe = taskd_git::probe(Path::new(&request.path)).map_err(of_git)?;
    let repo = Repo::new(&probe.git_dir, &ctx.tag, "/nonexistent").map_err(of_git)?;
    let named = Some(&request.target).filter(|it| !it.is_empty());
    let tip = repo.tip(named.unwrap_or(&probe.default_target)).map_err(of_git)?;
    let file = |it| repo.file_at(it, config::PROJECT_FILE.as_ref());
    let committed = tip.map(file).transpose().map_err(of_git)?.flatten().unwrap_or_default();
    let committed = String::from_utf8_lossy(&committed).into_owned();
    let mut wishes = ctx.wishes(&probe.root, committed).map_err(ApiError::from)?;
    for digest in &request.digests {
        if wishes.iter().all(|it| it.digest.to_string() != *digest) {
            let what = "what was shown is not what the project's files say now; nothing is trusted";
            return Err(ApiError::new(codes::REFUSED, what).hint("submit again to see it"));
        }
    }
    if !request.digests.is_empty() {
        wishes.retain(|it| request.digests.contains(&it.digest.to_string()));
    }
    let open = ctx.untrusted(&probe.root, &probe.git_dir, wishes);
    ctx.trust(&probe.git_dir, &open)
        .map_err(|it| ApiError::new(codes::INTERNAL, format!("{it:#}")))?;
    Ok(open.iter().map(Wish::told).collect())
}

/// So far behind the log a clock is wrong and was not merely corrected.
const CLOCK_BEHIND_MS: u64 = 10_000;
/// Files that the daemon may have open, below which a few dozen loops and clients use them up.
const OPEN_FILES: u64 = 1_024;

fn check_open_files() -> v1::CheckRow {
    use nix::sys::resource::{Resource, getrlimit};
    let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return warned(row("open files", false, "the limit cannot be read", ""));
    };
    let hint = "`ulimit -n 4096` before the daemon starts, or LimitNOFILE= in its service";
    let row = row("open files", OPEN_FILES <= soft, &format!("at most {soft} at once"), hint);
    if OPEN_FILES <= soft { row } else { warned(row) }
}

/// What it leads to when something is wrong with it.
fn leads_to(name: &str) -> &'static str {
    match name {
        "store" => "what is damaged cannot be replayed, and a daemon may not start with it",
        "disk" => "no loop starts, and with less still everything rests",
        "git" => {
            "worktrees and checkouts need it, and filters are kept from running by its settings"
        }
        "clock" => "times in the log stand still until the clock has caught up",
        "open files" => "loops, clients and programs each need some; without one, work fails",
        "processes" => "agents, tools and gates are programs; without room they cannot be started",
        "watches" => "that a branch moved is found later, by looking",
        "file system" => "what is in memory is gone when the machine goes down",
        "found on start" => "what is named was left out, or mended, when the daemon started",
        "remote" => "the target does not follow its remote",
        _ => "plans cannot be submitted from here",
    }
}

/// It stops nothing, so it does not fail.
pub(super) fn warned(row: v1::CheckRow) -> v1::CheckRow {
    v1::CheckRow { state: v1::CheckState::Warning.into(), ..row }
}

pub(super) fn row(name: &str, ok: bool, detail: &str, hint: &str) -> v1::CheckRow {
    let state = if ok { v1::CheckState::Ok } else { v1::CheckState::Failed };
    let [hint, why] = if ok { ["", ""] } else { [hint, leads_to(name)] }.map(str::to_owned);
    v1::CheckRow {
        name: name.to_owned(),
        state: state.into(),
        detail: detail.to_owned(),
        hint,
        code: name.replace(' ', "_"),
        why,
    }
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|it| it.is_file())
}

fn commands(gate: &GateDoc) -> Vec<String> {
    gate.quick.iter().chain(&gate.run).cloned().collect()
}
