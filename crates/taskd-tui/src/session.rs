//! The monitor at a terminal: keys and the daemon's items in, pictures out, at most sixty a second.
//!
//! Whatever happens, the terminal is given back as it was found.

use std::{
    collections::BTreeMap,
    future::{Future, pending},
    io::{self, IsTerminal},
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use crossterm::{
    event::{
        DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
        EventStream,
    },
    execute,
};
use futures::{
    Stream, StreamExt,
    stream::{self, FuturesUnordered},
};
use ratatui::DefaultTerminal;
use taskd_api::{
    ApiError, Client, Place, Watch, Watched, codes, handed_over,
    v1::{ActRequest, ActResponse, ActResult, RewindRequest, Verb},
};
use taskd_model::{Time, Via};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until, timeout},
};

use crate::{Act, App, Found, Query, Step, What, fetch};

/// Time between two pictures.
const FRAME: Duration = Duration::from_millis(16);

/// How often ages are drawn anew while something works.
const TICK: Duration = Duration::from_secs(1);

/// How long the daemon may take to act.
const ANSWER: Duration = Duration::from_secs(10);

/// Questions that are asked at once.
const QUERIES: usize = 4;

/// Shows the daemon of a place until somebody detaches. `scope` is the path of a project, or
/// nothing for all; `colour` says whether colours may be used, `ascii` that no sign but those of
/// ASCII is.
///
/// # Errors
///
/// This is no terminal, no daemon answers at first, or it says that asking again is of no use.
pub async fn run(place: Place, scope: String, colour: bool, ascii: bool) -> anyhow::Result<()> {
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        bail!("the monitor needs a terminal; without one: taskd ls, taskd logs -f");
    }
    let client = Client::connect(place.clone()).await?;
    let items = items(client.watch(Vec::new(), true));
    let signals = [SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [end, hangup] = signals;
    let mut session = Session {
        app: App::new(scope).colours(colour).in_ascii(ascii),
        place,
        items: Box::pin(items.fuse()),
        answer: None,
        queries: FuturesUnordered::new(),
        end: end.context("cannot listen for signals")?,
        hangup: hangup.context("cannot listen for signals")?,
        frame_at: Instant::now(),
        tick_at: Instant::now(),
        dirty: true,
    };
    // Restored when this ends, however it ends; a panic's message comes after that.
    let _restored = Restored;
    let mut terminal = ratatui::try_init().context("cannot set the terminal up")?;
    execute!(io::stdout(), EnableMouseCapture, EnableBracketedPaste)
        .context("cannot set the terminal up")?;
    session.go(&mut terminal).await
}

/// Gives the terminal back when dropped.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        // Nobody is left to tell if these fail.
        drop(execute!(io::stdout(), DisableMouseCapture, DisableBracketedPaste));
        drop(ratatui::try_restore());
    }
}

type Answer = Pin<Box<dyn Future<Output = (Act, Result<ActResponse, ApiError>)> + Send>>;

type Asked = Pin<Box<dyn Future<Output = (Query, Result<Found, ApiError>)> + Send>>;

/// What the monitor waits for.
struct Session {
    app: App,
    place: Place,
    items: Pin<Box<dyn Stream<Item = Watched> + Send>>,
    answer: Option<Answer>,
    queries: FuturesUnordered<Asked>,
    end: Signal,
    hangup: Signal,
    frame_at: Instant,
    tick_at: Instant,
    dirty: bool,
}

impl Session {
    async fn go(&mut self, terminal: &mut DefaultTerminal) -> anyhow::Result<()> {
        let mut keys = EventStream::new();
        loop {
            self.look_up();
            self.dirty |= self.app.take_dirty();
            let (draws, ticks) = (self.dirty, self.app.ticks());
            tokio::select! {
                key = keys.next() => {
                    let Some(key) = key else { return Ok(()) };
                    match self.app.on_event(&key.context("cannot read the terminal")?) {
                        Step::GoOn => {}
                        Step::Detach => return Ok(()),
                        Step::Ask(act) => self.ask(act),
                        Step::Mouse(on) => capture(on)?,
                    }
                }
                Some(item) = self.items.next() => {
                    self.app.on_watched(item);
                    if let Some(error) = self.app.take_end() {
                        return Err(error.into());
                    }
                }
                (act, answer) = answered(&mut self.answer) => {
                    self.answer = None;
                    self.app.on_answer(&act, answer);
                }
                Some((query, found)) = self.queries.next() => self.app.on_found(&query, found),
                () = sleep_until(self.frame_at), if draws => self.draw(terminal)?,
                () = sleep_until(self.tick_at), if ticks => {
                    self.tick_at = Instant::now() + TICK;
                    self.app.on_time(now());
                }
                _ = self.end.recv() => return Ok(()),
                _ = self.hangup.recv() => return Ok(()),
            }
        }
    }

    fn draw(&mut self, terminal: &mut DefaultTerminal) -> anyhow::Result<()> {
        self.dirty = false;
        self.frame_at = Instant::now() + FRAME;
        terminal.draw(|frame| self.app.draw(frame)).context("cannot draw")?;
        Ok(())
    }

    /// Asks what the open screen wants to know, on a connection of its own.
    fn look_up(&mut self) {
        while self.queries.len() < QUERIES
            && let Some(query) = self.app.take_query()
        {
            let place = self.place.clone();
            self.queries.push(Box::pin(async move {
                let found = timeout(ANSWER, fetch::fetch(place, &query)).await;
                (query, found.unwrap_or_else(|_| Err(late())))
            }));
        }
    }

    fn ask(&mut self, act: Act) {
        let (place, scope) = (self.place.clone(), self.app.scope().to_owned());
        self.answer = Some(Box::pin(async move {
            let answer = timeout(ANSWER, perform(place, &act, scope)).await;
            let answer = answer.unwrap_or_else(|_| Err(late()));
            (act, answer)
        }));
    }
}

fn late() -> ApiError {
    ApiError::new(codes::TIMEOUT, "the daemon does not answer in time")
}

/// The mouse is the monitor's, or the terminal's.
fn capture(on: bool) -> anyhow::Result<()> {
    let done = if on {
        execute!(io::stdout(), EnableMouseCapture)
    } else {
        execute!(io::stdout(), DisableMouseCapture)
    };
    done.context("cannot tell the terminal of the mouse")
}

/// The items of a watch. An item that is being waited for survives that nobody waits for a while.
fn items(watch: Watch) -> impl Stream<Item = Watched> + Send {
    stream::unfold(watch, |mut watch| async move { Some((watch.next().await?, watch)) })
}

/// On a connection of its own: the one before may be to a daemon that is gone.
async fn perform(place: Place, act: &Act, scope: String) -> Result<ActResponse, ApiError> {
    let client = Client::connect(place).await?.via(Via::Tui);
    // The loop may have waited for what our environment holds.
    let goes_on = match &act.what {
        What::Verb(verb) => matches!(verb, Verb::Resume | Verb::Reject | Verb::Retry),
        What::Rewind(_) => true,
    };
    let credentials = if goes_on {
        handed_over(&client.providers().await?, |it| std::env::var(it).ok())
    } else {
        BTreeMap::new()
    };
    let verb = match &act.what {
        What::Verb(verb) => *verb,
        What::Rewind(to) => return rewind(&client, act, to.clone(), credentials).await,
    };
    let request = ActRequest {
        verb: verb.into(),
        ids: vec![act.name.clone()],
        scope,
        text: act.text.clone(),
        credentials,
        ..ActRequest::default()
    };
    client.act(request).await
}

/// Back to a saved state; told as any other act is.
async fn rewind(
    client: &Client,
    act: &Act,
    to: String,
    credentials: BTreeMap<String, String>,
) -> Result<ActResponse, ApiError> {
    let (id, text) = (act.name.clone(), act.text.clone());
    let answer = client.rewind(RewindRequest { id, to, text, dry_run: false, credentials }).await?;
    let n = answer.to.map_or(0, |it| it.n);
    let stays = answer.stays.first().map(|it| format!("; stays done: {it}")).unwrap_or_default();
    let message = format!("back at state {n}; what came later is kept{stays}");
    let (id, name) = (act.name.clone(), answer.name);
    let results = vec![ActResult { id, name, done: true, message, error: None }];
    Ok(ActResponse { results, seq: answer.seq })
}

async fn answered(answer: &mut Option<Answer>) -> (Act, Result<ActResponse, ApiError>) {
    match answer {
        Some(it) => it.await,
        None => pending().await,
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
