//! `taskd agents test` for programs that speak the Agent Client Protocol: the same checks in its
//! words. What it asks on the way is allowed.

use std::{future::pending, path::Path, sync::Arc, time::Duration};

use taskd_tools::{
    acp::{Abilities, AcpError, Link, Said, Stop},
    supervise::{Finished, How, Ladder, Spec, Stream},
};
use tokio::time::{Instant, timeout};

use super::{
    Eye,
    conform::{AGAIN, BEGUN, Check, LONGEST, REFUSAL, TASK},
};

/// So long a program may take to go when its input has ended.
const GRACE: Duration = Duration::from_secs(2);

/// What is the same in each run.
pub(super) struct Stage<'a> {
    pub(super) eye: &'a Eye,
    pub(super) place: &'a Path,
}

/// What a run is about.
#[derive(Clone, Copy)]
struct Part<'a> {
    prompt: &'a str,
    session: Option<&'a str>,
    /// It is taken back as soon as it has begun.
    cancels: bool,
    longest: Duration,
}

/// What was seen of a run.
#[derive(Default)]
struct Told {
    abilities: Option<Abilities>,
    session: Option<String>,
    stop: Option<Result<Stop, AcpError>>,
    cost: bool,
    /// From the stop to the end of its last process.
    gone_after: Option<Duration>,
}

impl Told {
    fn ended(&self, finished: &Finished) -> String {
        let seconds = finished.wall.as_secs_f64();
        match (&self.stop, &finished.how) {
            (_, How::NotStarted { reason }) => reason.clone(),
            (Some(Ok(stop)), _) => format!("{} after {seconds:.1} s", stop.reason),
            (Some(Err(AcpError::Gone)), How::Exited(code)) => {
                format!("exit {code} after {seconds:.1} s")
            }
            (Some(Err(error)), _) => error.to_string(),
            (None, _) => format!("still there after {seconds:.0} s, ended"),
        }
    }

    fn is_done(&self) -> bool {
        matches!(&self.stop, Some(Ok(stop)) if stop.reason == "end_turn")
    }
}

impl Stage<'_> {
    /// All checks. `spec` makes a command's conditions, with or without key and home.
    pub(super) async fn checks(&self, spec: impl Fn(bool) -> Spec) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut add = |name, good, seen: String| checks.push(Check { name, good, seen });
        let part = Part { prompt: TASK, session: None, cancels: false, longest: LONGEST };
        let (told, finished) = self.run(spec(true), part).await;
        let hello = told.abilities.as_ref();
        let name = hello.and_then(|it| it.name.clone());
        let seen = name.unwrap_or_else(|| told.ended(&finished));
        add("speaks ACP", Some(hello.is_some()), seen);
        add("works on a prompt", Some(told.is_done()), told.ended(&finished));
        let wrote = self.place.join("b.txt").is_file();
        let seen = if wrote { "b.txt is there" } else { "b.txt is not there" };
        add("does what it is asked", Some(wrote), seen.to_owned());
        let used = told.stop.as_ref().and_then(|it| it.as_ref().ok()?.usage);
        let money = if told.cost { ", and money" } else { "" };
        let seen = used.map(|it| {
            let read = it.input + it.cache_read + it.cache_write;
            format!("{read} tokens read, {} written{money}", it.output)
        });
        let known = seen.is_some() || told.cost;
        let seen = seen.unwrap_or_else(|| if told.cost { "money" } else { "none" }.to_owned());
        add("reports usage", Some(known), seen);
        let left = finished.leftovers;
        add("leaves nothing running", Some(left == 0), format!("{left} processes ended"));
        let name = "goes on with a session";
        match told.session.as_deref() {
            Some(session) if hello.is_some_and(|it| it.loads_sessions) => {
                let part = Part { prompt: AGAIN, session: Some(session), ..part };
                let (told, finished) = self.run(spec(true), part).await;
                add(name, Some(told.is_done()), told.ended(&finished));
            }
            Some(_) | None => add(name, None, "it does not offer that".to_owned()),
        }
        let (told, finished) = self.run(spec(true), Part { cancels: true, ..part }).await;
        let took = told.gone_after.unwrap_or(finished.wall);
        let good = told.gone_after.is_some() && took < Duration::from_secs(2);
        add("gone 2 s after a stop", Some(good), format!("{} ms", took.as_millis()));
        let seen = format!("{} helpers ended, {} left", finished.leftovers, finished.survivors);
        add("no orphans after a stop", Some(finished.survivors == 0), seen);
        let part = Part { longest: REFUSAL, ..part };
        let (told, finished) = self.run(spec(false), part).await;
        let refused = matches!(told.stop, Some(Err(_)));
        add("no login: fails", Some(refused), told.ended(&finished));
        checks
    }

    async fn run(&self, spec: Spec, part: Part<'_>) -> (Told, Finished) {
        let (link, outbox) = Link::new();
        let feed = Arc::clone(&link);
        let on_output = move |stream, bytes: &[u8]| match stream {
            Stream::Stdout => feed.feed(bytes),
            Stream::Stderr => feed.aside(bytes),
        };
        let mut running = self.eye.launcher.start(&spec, on_output);
        let input = running.stdin();
        let ender = running.ender();
        let mut told = Told::default();
        let mut stopped = None;
        let finished = {
            let write = async {
                if let Some(input) = input {
                    outbox.write_to(input).await;
                }
                pending::<()>().await;
            };
            let talk = async {
                // One that never ends has told nothing.
                timeout(part.longest, self.talk(&link, part, &mut told)).await.ok();
                stopped = Some(Instant::now());
                link.hang_up();
                if !part.cancels {
                    // Elapsing is what is waited for.
                    timeout(GRACE, pending::<()>()).await.ok();
                }
                ender.end(Ladder::STOP);
                pending::<()>().await;
            };
            let wait = running.wait();
            tokio::pin!(wait, talk);
            let finished = tokio::select! {
                finished = &mut wait => finished,
                () = &mut talk => unreachable!("it never returns"),
                () = write => unreachable!("it never returns"),
            };
            link.gone();
            // Who waits for a reply learns that there will be none.
            timeout(Duration::ZERO, &mut talk).await.ok();
            finished
        };
        told.gone_after = stopped.filter(|_| part.cancels).map(|it| it.elapsed());
        (told, finished)
    }

    async fn talk(&self, link: &Link, part: Part<'_>, told: &mut Told) {
        if let Err(error) = self.converse(link, part, told).await {
            told.stop = Some(Err(error));
        }
    }

    async fn converse(&self, link: &Link, part: Part<'_>, told: &mut Told) -> Result<(), AcpError> {
        let mut said = link.listen();
        told.abilities = Some(link.initialize().await?);
        let session = match part.session {
            Some(session) => {
                link.load_session(self.place, session).await?;
                session.to_owned()
            }
            None => link.new_session(self.place).await?,
        };
        told.session = Some(session.clone());
        while said.try_recv().is_ok() {}
        let prompting = link.prompt(&session, part.prompt);
        tokio::pin!(prompting);
        let begun = Instant::now() + BEGUN;
        loop {
            tokio::select! {
                stop = &mut prompting => {
                    told.stop = Some(Ok(stop?));
                    return Ok(());
                }
                it = said.recv() => {
                    match it {
                        Some(Said::Asks(it)) => {
                            link.answer(&it, it.choice(true).map(|it| it.id.as_str()));
                        }
                        Some(Said::Cost(_)) => told.cost = true,
                        Some(Said::Text(_) | Said::Activity(_) | Said::Aside(_)) | None => {}
                    }
                    if part.cancels {
                        break;
                    }
                }
                () = tokio::time::sleep_until(begun), if part.cancels => break,
            }
        }
        link.cancel(&session);
        Ok(())
    }
}
