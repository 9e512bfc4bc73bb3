//! Putting it together: open the log, replay it, bind, start the loop, serve, and end in order.
//!
//! Everything is built before anything runs. What cannot be built is one error that says what to do.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, anyhow};
use taskd_api::{ApiError, codes};
use taskd_model::{Actor, Code, Command, Input, LoopId, LoopView, Status};
use taskd_store::{Options as StoreOptions, Recovered, Store, StoreError};
use taskd_tools::supervise::{Launcher, identity_of};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    config::{self, Config},
    disk,
    door::Doors,
    driver::{Driver, Inbox},
    figures, gateway, gc, health,
    hub::Hub,
    log::{self, Levels},
    models, otel,
    paths::Paths,
    private, reload,
    replay::Replayed,
    retention,
    runner::{
        Context, Runner, Settings, Trouble, chain, lock,
        place::{self, private_dir},
        pool,
    },
    service::{Facts, Once, Past, Service},
    systemd, telling, watcher,
};

/// How long a stop waits for what runs, when nobody says.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// How long a lock is waited for whose holder is dead.
const DEAD_LOCK: Duration = Duration::from_secs(2);
/// Room kept for events that happen while the disk is full.
const RESERVE_BYTES: u64 = 32 << 20;
/// Exit code of a daemon that failed inside.
const EXIT_SOFTWARE: i32 = 70;

/// Health and metrics are served on a free port of loopback unless something else is said; the
/// facts file and `daemon status` name it.
const ANY_LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How to run a daemon.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything is.
    pub paths: Paths,
    /// Become the leader of a session of its own: the starting terminal may go away.
    pub detached: bool,
    /// Go on with work that a person's stop has parked.
    pub resume: bool,
    /// Where health and metrics are served; wins over configuration.
    pub http: Option<SocketAddr>,
    /// What is logged; wins over configuration.
    pub log_level: Option<String>,
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
///
/// It cannot start: another one runs, the state cannot be read or written, configuration is wrong.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if options.detached {
        // Fails only for a group leader, which has its own session already.
        nix::unistd::setsid().ok();
    }
    let config = load_config(&options.paths, None)
        .map_err(|it| ApiError::new(codes::CONFIG, format!("the configuration is wrong:\n{it}")))?;
    let models = models::load(&options.paths.config)
        .map_err(|it| ApiError::new(codes::CONFIG, format!("the configuration is wrong:\n{it}")))?;
    let level = options.log_level.as_deref().unwrap_or(&config.log_level);
    let file = options.detached.then(|| (options.paths.log_file(), config.log_room));
    let (secrets, levels) = log::init(level, config.log_json, file);
    // What the command line says stays so.
    let levels = if options.log_level.is_some() { Levels::default() } else { levels };
    private::directory(&options.paths.state)?;
    private::directory(&options.paths.run_dir())?;
    private_dir(&options.paths.tmp_dir()).context("the place for temporary files")?;
    let stamp = StoreOptions {
        stamp: build_stamp(),
        reserve_bytes: RESERVE_BYTES,
        ..StoreOptions::default()
    };
    let (store, recovered) = match open_store(&options.paths.state, &stamp) {
        Ok(opened) => opened,
        Err(StoreError::Locked { pid, .. }) => {
            let who = pid.map_or_else(|| "another process".to_owned(), |it| format!("pid {it}"));
            let what = format!("a taskd daemon is already running ({who})");
            return Err(ApiError::new(Code::StoreLocked, what).into());
        }
        Err(other) => return Err(ApiError::of(other.code(), &other).into()),
    };
    let settings = Settings { config, models, secrets, levels };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .thread_name("taskd-io")
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let result = runtime.block_on(serve(options, settings, Arc::new(store), recovered));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Opens the store. A killed daemon's lock may live on for a moment in a child that it was just
/// starting: until that child runs its own program it has everything its parent had open.
fn open_store(state: &Path, stamp: &StoreOptions) -> Result<(Store, Recovered), StoreError> {
    let until = Instant::now() + DEAD_LOCK;
    loop {
        match Store::open(state, stamp.clone()) {
            Err(StoreError::Locked { pid: Some(pid), .. })
                if !identity_of(pid).is_ok_and(|it| it.is_alive()) && Instant::now() < until =>
            {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "nobody tells when the child is gone"
                )]
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

/// Changes with every build, so that a snapshot of another build is never read.
fn build_stamp() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let exe = std::env::current_exe().and_then(fs::metadata);
    let build = exe.map(|it| format!("{}-{}", it.len(), it.mtime())).unwrap_or_default();
    format!("{version}-{build}")
}

/// What runs beside the loop.
struct Alive {
    facts: Arc<Facts>,
    stop: CancellationToken,
    driver: std::thread::JoinHandle<()>,
    /// Who makes and sends spans, if somebody does.
    exporter: Option<otel::Exporter>,
    /// The socket is not ours to remove.
    handed: bool,
}

async fn serve(
    options: &Options,
    settings: Settings,
    store: Arc<Store>,
    recovered: Recovered,
) -> anyhow::Result<()> {
    let paths = &options.paths;
    let doors = Doors::bind(paths, &settings.config).await?;
    let address = options.http.or(settings.config.http_listen).unwrap_or(ANY_LOOPBACK);
    let http = health::bind(address).await.context("binding http.listen")?;
    let gateway = gateway::bind().await.context("binding a port for agents' calls")?;
    let replayed = Replayed::open(&store, &recovered)?;
    info!(events = recovered.tail.len(), "replayed");
    let ctx = make_context(options, settings, &store, &recovered, &replayed)?;
    let left_over = ctx.context.launcher.end_previous_life().await;
    for (identity, became) in &left_over {
        info!(?identity, ?became, "left over from an earlier life");
    }
    info!(
        events = replayed.view.seq.0,
        replayed = recovered.tail.len(),
        clean = recovered.clean,
        findings = recovered.findings.len(),
        programs_ended = left_over.len(),
        "recovered"
    );
    clear_ref_locks(&ctx.context);
    let mut signals = Signals::listen()?;
    let places = Places { http, gateway, network: doors.network(), handed: doors.is_handed() };
    let alive = start(ctx, replayed, store.clone(), places, &recovered.findings)?;
    let served = welcome(options, &alive, doors, &mut signals).await;
    end(options, alive, &store, signals).await;
    served
}

struct Made {
    context: Arc<Context>,
    inbox: Inbox,
}

fn make_context(
    options: &Options,
    settings: Settings,
    store: &Arc<Store>,
    recovered: &Recovered,
    replayed: &Replayed,
) -> anyhow::Result<Made> {
    let launcher = Launcher {
        program: std::env::current_exe().context("finding our own program")?,
        prefix: vec!["supervise".into()],
        run_dir: options.paths.run_dir(),
    };
    let hub = Arc::new(Hub::new(replayed.view.clone(), replayed.tally.clone()));
    let inbox = Inbox::new();
    let context = Context::new(
        Arc::clone(store),
        hub,
        inbox.handle.clone(),
        launcher,
        options.paths.clone(),
        recovered.tag.clone(),
        settings,
    );
    Ok(Made { context: Arc::new(context), inbox })
}

/// A killed daemon may have left locks on refs of ours, and a checkout in the middle of a move.
fn clear_ref_locks(ctx: &Context) {
    let projects: Vec<_> = {
        let view = ctx.hub.view();
        view.projects.iter().filter(|(_, it)| !it.forgotten).map(|(id, _)| *id).collect()
    };
    for id in projects {
        let cleared = ctx
            .repo(id)
            .map_err(|it| it.message)
            .and_then(|(repo, _)| repo.clear_stale_locks().map_err(|it| chain(&it)));
        if let Err(why) = cleared {
            warn!(project = id.0, "cannot look for left-over locks: {why}");
        }
    }
}

/// Where it listens, besides the socket.
struct Places {
    http: TcpListener,
    gateway: TcpListener,
    network: Option<SocketAddr>,
    /// The socket is the service manager's.
    handed: bool,
}

fn start(
    made: Made,
    replayed: Replayed,
    store: Arc<Store>,
    places: Places,
    findings: &[taskd_store::Finding],
) -> anyhow::Result<Alive> {
    let Made { context: ctx, inbox } = made;
    let Places { http, gateway, network, handed } = places;
    for finding in findings {
        warn!("{finding}");
    }
    let runner = Runner::new(Arc::clone(&ctx), tokio::runtime::Handle::current());
    let driver = Driver::new(inbox, replayed, store, Arc::clone(&ctx.hub), runner);
    let driver = std::thread::Builder::new()
        .name("taskd-driver".to_owned())
        .spawn(move || turn(driver))
        .context("starting the driver")?;
    let exporter = otel::Exporter::start(&ctx);
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let address = http.local_addr().ok();
    tasks.spawn(health::serve(http, Arc::clone(&ctx), stop.clone()));
    ctx.gateway.listens_at(&gateway).context("finding the port for agents' calls")?;
    tasks.spawn(gateway::serve(gateway, Arc::clone(&ctx), stop.clone()));
    let poll = Duration::from_millis(lock(&ctx.config).git_poll_ms);
    let watching = Arc::clone(&ctx);
    let stopped = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = watcher::watch(Arc::clone(&watching), poll) => {}
            () = watcher::remote::follow(Arc::clone(&watching)) => {}
            () = gc::now_and_then(Arc::clone(&watching)) => {}
            () = retention::now_and_then(Arc::clone(&watching)) => {}
            () = disk::watch(Arc::clone(&watching)) => {}
            () = reload::watch(Arc::clone(&watching)) => {}
            () = place::keep(Arc::clone(&watching)) => {}
            () = telling::follow(Arc::clone(&watching)) => {}
            () = figures::keep(Arc::clone(&watching)) => {}
            () = systemd::watchdog(Arc::clone(&watching)) => {}
            () = pool::keep(watching) => {}
            () = stopped.cancelled() => {}
        }
    });
    let facts = Facts {
        ctx,
        started_at: now_ms(),
        http: address,
        network,
        shutdown: watch::channel(None).0,
        once: Once::default(),
        past: Past::default(),
        findings: findings.iter().map(ToString::to_string).collect(),
        tasks,
    };
    Ok(Alive { facts: Arc::new(facts), stop, driver, exporter, handed })
}

/// The loop, on a thread of its own. If it fails the process ends: a daemon that cannot decide or
/// cannot write must not look alive.
fn turn(driver: Driver<Runner>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(driver.run()),
        Err(why) => Err(why.into()),
    };
    if let Err(why) = result {
        error!("the daemon ends: {why:#}");
        std::process::exit(EXIT_SOFTWARE);
    }
}

/// The wall clock, in milliseconds since 1970. It may go backwards; the core's does not.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Tells the core that a life begins, then opens the door, and waits for a reason to end.
async fn welcome(
    options: &Options,
    alive: &Alive,
    doors: Doors,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let facts = &alive.facts;
    let ctx = &facts.ctx;
    let limits = lock(&ctx.config).limits();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let stopped = options.paths.stopped_file();
    ctx.handle.input(Input::Limits(limits)).await?.map_err(|it| anyhow!(it.to_string()))?;
    let started = Input::Started { version };
    ctx.handle.input(started).await?.map_err(|it| anyhow!(it.to_string()))?;
    ctx.begin_with_disk().await;
    ctx.look_at_disk().await;
    unpark(ctx, options.resume || !stopped.exists()).await?;
    fs::remove_file(&stopped).ok();
    write_facts(options, facts)?;
    let mut ends = alive.facts.shutdown.subscribe();
    let server = doors.serve(Service(Arc::clone(facts)));
    info!(socket = %options.paths.socket.display(), http = ?facts.http, "ready");
    systemd::ready();
    // Connections are not waited for: a watch ends only with its client or with us, and so it
    // sees how everything ends. They live until the runtime does.
    tokio::select! {
        served = server => served,
        () = signals.end_asked(ctx) => Ok(()),
        _ = ends.wait_for(Option::is_some) => Ok(()),
    }
}

/// Lets work go on. What a person's stop has parked goes on only if `resume` says so; otherwise
/// its loops are paused, each for a person to resume, and new work runs beside them.
async fn unpark(ctx: &Context, resume: bool) -> anyhow::Result<()> {
    let act = async |command| -> anyhow::Result<()> {
        let actor = Actor::Daemon;
        let reply = ctx.handle.input(Input::Command { actor, command }).await?;
        reply.map(|_| ()).map_err(|it| anyhow!(it.to_string()))
    };
    let parked: Vec<LoopId> = {
        let view = ctx.hub.view();
        let rests = |it: &LoopView| {
            it.status.is_over() || matches!(it.status, Status::Paused | Status::Blocked)
        };
        view.loops.values().filter(|it| view.parked && !rests(it)).map(|it| it.id).collect()
    };
    if !resume && !parked.is_empty() {
        info!(loops = parked.len(), "work of before the stop is paused; `taskd resume --all`");
        act(Command::Pause(parked)).await?;
    }
    act(Command::Unpark).await
}

/// TERM and INT end the daemon, one more while it ends does so at once; HUP reads the configuration
/// again.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            term: on(SignalKind::terminate())?,
            int: on(SignalKind::interrupt())?,
            hup: on(SignalKind::hangup())?,
        })
    }

    /// Returns when the daemon is asked to end.
    async fn end_asked(&mut self, ctx: &Arc<Context>) {
        loop {
            tokio::select! {
                _ = self.term.recv() => return,
                _ = self.int.recv() => return,
                _ = self.hup.recv() => reload::told(reload::reload(ctx).await),
            }
        }
    }

    /// The daemon ends already, however it was asked to.
    async fn end_at_once(mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
        warn!("asked again: ending at once");
        std::process::exit(130);
    }
}

/// Ends in order: nothing new, what runs, the log, the socket.
async fn end(options: &Options, alive: Alive, store: &Store, signals: Signals) {
    systemd::stopping();
    let facts = alive.facts;
    let ctx = &facts.ctx;
    facts.tasks.spawn(signals.end_at_once());
    let asked = *facts.shutdown.borrow();
    if asked.is_some() {
        // A person stopped it: it stays stopped, and its work waits, until somebody says so.
        let park = Input::Command { actor: Actor::Daemon, command: Command::Park };
        ctx.handle.input(park).await.ok();
        fs::write(options.paths.stopped_file(), "stopped by a person\n").ok();
    }
    let grace = asked.filter(|ms| *ms != 0).map_or(DEFAULT_GRACE, Duration::from_millis);
    info!(effects = ctx.effects_running(), ?grace, "ending");
    ctx.begin_closing();
    if tokio::time::timeout(grace, ctx.end_all()).await.is_err() {
        warn!("{} effects did not end within the grace", ctx.effects_running());
    }
    tokio::task::block_in_place(|| ctx.sweep_places());
    ctx.handle.input(Input::Stopped).await.ok();
    alive.stop.cancel();
    ctx.handle.close().await;
    // The thread has nothing left to do; joining it proves so.
    tokio::task::spawn_blocking(move || alive.driver.join().ok()).await.ok();
    if let Some(exporter) = alive.exporter {
        exporter.end().await;
    }
    tokio::task::block_in_place(|| ctx.end_moves());
    if let Err(why) = store.close(true) {
        error!("closing the log: {}", chain(&why));
    }
    if !alive.handed {
        fs::remove_file(&options.paths.socket).ok();
    }
    fs::remove_file(options.paths.facts_file()).ok();
    fs::remove_file(options.paths.figures_file()).ok();
    info!("stopped");
}

fn write_facts(options: &Options, facts: &Facts) -> anyhow::Result<()> {
    let text = serde_json::json!({
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "socket": options.paths.socket,
        "http": facts.http,
        "network": facts.network,
    });
    let file = options.paths.facts_file();
    fs::write(&file, format!("{text}\n")).with_context(|| format!("writing {}", file.display()))
}

/// Effective configuration, of the person alone or of a project; or all that is wrong with it.
fn load_config(paths: &Paths, root: Option<&Path>) -> Result<Arc<Config>, String> {
    load_places(&config::Places::new(&paths.config, root))
}

fn load_places(places: &config::Places) -> Result<Arc<Config>, String> {
    config::load_here(places).map(Arc::new).map_err(|it| config::told(&it))
}

impl Context {
    /// Effective configuration of a project.
    pub(crate) fn config_of(&self, root: &Path) -> Result<Arc<Config>, Trouble> {
        load_config(&self.paths, Some(root)).map_err(|it| Trouble::new(codes::CONFIG, it))
    }

    /// The same with the project's own file as a commit has it: this text.
    pub(crate) fn config_at(&self, root: &Path, committed: String) -> Result<Arc<Config>, String> {
        let instead =
            Some(config::PlacedText { path: root.join(config::PROJECT_FILE), text: committed });
        load_places(&config::Places {
            instead,
            ..config::Places::new(&self.paths.config, Some(root))
        })
    }
}
