//! `taskd agents test`: an agent program is run a few times in a throw-away repository, and what it
//! does is told in a table that can be pasted.
//!
//! It costs what four short runs cost, paid as a loop's runs are. Nothing of it is believed: what
//! counts is the file it was asked for and what the supervisor saw.

use std::{
    ffi::OsString,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use taskd_tools::{
    agents::{
        AgentFact, Format, Found, Invocation, LINE_MAX_BYTES, Preset, PromptChannel, StreamParser,
        environment,
    },
    supervise::{Finished, How, Ladder, Spec, Stdin, Stream},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use super::{Eye, speak::Stage};
use crate::cli::{failure::Failure, here::variable};

/// A run that takes longer is ended.
pub(super) const LONGEST: Duration = Duration::from_secs(120);
/// So long a run without a login may take to say so.
pub(super) const REFUSAL: Duration = Duration::from_secs(30);
/// A run that shall be cancelled is, when it has printed something or after this long.
pub(super) const BEGUN: Duration = Duration::from_secs(5);
/// Facts of one run that are kept.
const FACTS: usize = 4_096;
const KEEP_BYTES: usize = 16 << 10;

pub(super) const TASK: &str =
    "Write the word b into a new file b.txt in this directory, then stop.";
const FLOOD: &str =
    "Run the shell command `head -c 20000000 /dev/zero | tr '\\0' x` once, then stop.";
pub(super) const AGAIN: &str = "Say in one word whether b.txt is there. Change nothing.";

/// One line of the table: what was tried, whether it is as it should be, what was seen.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// Nothing where there is no right and wrong.
    pub(crate) good: Option<bool>,
    pub(crate) seen: String,
}

struct Run {
    finished: Finished,
    facts: Vec<AgentFact>,
    printed: Printed,
}

/// How much a program printed on its stdout.
#[derive(Debug, Clone, Copy, Default)]
struct Printed {
    bytes: u64,
    line: u64,
    longest_line: u64,
}

impl Printed {
    fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        for part in bytes.split_inclusive(|it| *it == b'\n') {
            self.line += part.len() as u64;
            self.longest_line = self.longest_line.max(self.line);
            if part.ends_with(b"\n") {
                self.line = 0;
            }
        }
    }
}

impl Run {
    /// The last fact of a kind.
    fn last<'a, T>(&'a self, of: impl Fn(&'a AgentFact) -> Option<T>) -> Option<T> {
        self.facts.iter().rev().find_map(of)
    }

    fn session(&self) -> Option<&String> {
        self.last(|it| if let AgentFact::Session(id) = it { Some(id) } else { None })
    }

    fn payer(&self) -> Option<String> {
        self.last(|it| {
            let AgentFact::Payer { name, login } = it else { return None };
            Some(if *login { "its own login".to_owned() } else { name.clone() })
        })
    }

    fn usage(&self) -> Option<String> {
        self.last(|it| {
            let AgentFact::Usage { input, output, cache_read, cache_write, cost_micros } = it
            else {
                return None;
            };
            let read = input + cache_read + cache_write;
            let money = if cost_micros.is_some() { ", and money" } else { "" };
            Some(format!("{read} tokens read, {output} written{money}"))
        })
    }

    fn ended(&self) -> String {
        let seconds = self.finished.wall.as_secs_f64();
        match &self.finished.how {
            How::Exited(code) => format!("exit {code} after {seconds:.1} s"),
            How::Signalled(signal) => format!("signal {signal} after {seconds:.1} s"),
            How::NotStarted { reason } => reason.clone(),
            How::TimedOut | How::Idle => format!("still there after {seconds:.0} s, ended"),
            How::Ended => format!("ended after {seconds:.1} s"),
            How::Lost => "its supervisor is gone".to_owned(),
        }
    }
}

/// What a command that prints 20 MB on one line does to a program, and what of it comes to us. A line
/// that is too long for us is left out, and what it says is not read.
fn flood_told(run: &Run) -> Check {
    let Printed { bytes, longest_line, .. } = run.printed;
    let good = run.finished.how == How::Exited(0) && longest_line <= LINE_MAX_BYTES as u64;
    let (all, line) = (bytes.div_ceil(1_024), longest_line.div_ceil(1_024));
    let seen = format!("{}; printed {all} KiB, {line} KiB on a line", run.ended());
    Check { name: "survives a flood", good: Some(good), seen }
}

/// Where the runs are made.
struct Bench<'a> {
    eye: &'a Eye,
    preset: &'a Preset,
    place: PathBuf,
}

/// All checks of one agent.
pub(super) async fn conform(eye: &Eye, found: &Found) -> Result<Vec<Check>, Failure> {
    let place = eye.launcher.run_dir.join("repository");
    fs::create_dir_all(&place)?;
    let bench = Bench { eye, preset: &found.preset, place };
    let git = ["git", "init", "-q"].map(OsString::from).to_vec();
    let git = bench.spec(git, Stdin::Null, bench.env(true));
    let begun = eye.launcher.start(&git, |_, _| {}).wait().await;
    if begun.how != How::Exited(0) {
        return Err(Failure::failed("git cannot make a repository", begun.output.text()));
    }
    if found.preset.format == Format::Acp {
        let (argv, _) = bench.command(TASK, None)?;
        let spec = |login| bench.spec(argv.clone(), Stdin::Piped, bench.env(login));
        let stage = Stage { eye, place: &bench.place };
        return Ok(stage.checks(spec).await);
    }
    let mut checks = Vec::new();
    let work = bench.run(TASK, None, bench.env(true), LONGEST).await?;
    bench.judge_work(&work, &mut checks);
    checks.push(bench.resume(work.session()).await?);
    let flood = bench.run(FLOOD, None, bench.env(true), LONGEST).await?;
    checks.push(flood_told(&flood));
    bench.cancel(&mut checks).await?;
    let refused = bench.run(TASK, None, bench.env(false), REFUSAL).await?;
    let good = matches!(refused.finished.how, How::Exited(code) if code != 0);
    checks.push(Check { name: "no login: fails", good: Some(good), seen: refused.ended() });
    Ok(checks)
}

impl Bench<'_> {
    fn judge_work(&self, work: &Run, checks: &mut Vec<Check>) {
        let mut add = |name, good, seen: String| checks.push(Check { name, good, seen });
        let ended = work.finished.how == How::Exited(0);
        add("works with stdin closed", Some(ended), work.ended());
        let wrote = self.place.join("b.txt").is_file();
        let seen = if wrote { "b.txt is there" } else { "b.txt is not there" };
        add("does what it is asked", Some(wrote), seen.to_owned());
        let usage = work.usage();
        add("reports usage", Some(usage.is_some()), usage.unwrap_or_else(|| "none".to_owned()));
        let payer = work.payer();
        add("says who pays", None, payer.unwrap_or_else(|| "no".to_owned()));
        let left = work.finished.leftovers;
        add("leaves nothing running", Some(left == 0), format!("{left} processes ended"));
    }

    async fn resume(&self, session: Option<&String>) -> Result<Check, Failure> {
        let name = "resumes by session id";
        let (Some(session), true) = (session, self.preset.resume_argv.is_some()) else {
            return Ok(Check { name, good: None, seen: "no session id".to_owned() });
        };
        let again = self.run(AGAIN, Some(session), self.env(true), LONGEST).await?;
        let same = again.session().is_none_or(|it| it == session);
        let good = Some(same && again.finished.how == How::Exited(0));
        Ok(Check { name, good, seen: again.ended() })
    }

    /// Begins a run and takes it back.
    async fn cancel(&self, checks: &mut Vec<Check>) -> Result<(), Failure> {
        let (argv, stdin) = self.command(TASK, None)?;
        let spec = self.spec(argv, stdin, self.env(true));
        let (say, mut said) = watch::channel(false);
        let running = self.eye.launcher.start(&spec, move |_, _| _ = say.send_replace(true));
        // One that prints nothing has begun all the same.
        timeout(BEGUN, said.wait_for(|it| *it)).await.map(drop).ok();
        let asked = Instant::now();
        running.end(Ladder::STOP);
        let finished = running.wait().await;
        let took = asked.elapsed();
        let seen = format!("{} ms", took.as_millis());
        let good = Some(took < Duration::from_secs(2));
        checks.push(Check { name: "gone 2 s after a stop", good, seen });
        let seen = format!("{} helpers ended, {} left", finished.leftovers, finished.survivors);
        let good = Some(finished.survivors == 0);
        checks.push(Check { name: "no orphans after a stop", good, seen });
        Ok(())
    }

    async fn run(
        &self,
        prompt: &str,
        session: Option<&str>,
        env: Vec<(OsString, OsString)>,
        longest: Duration,
    ) -> Result<Run, Failure> {
        let (argv, stdin) = self.command(prompt, session)?;
        let spec = Spec { timeout: Some(longest), ..self.spec(argv, stdin, env) };
        let (tell, mut told) = mpsc::channel(FACTS);
        let mut parser = StreamParser::new(self.preset.clone());
        let printed = Arc::new(Mutex::new(Printed::default()));
        let count = Arc::clone(&printed);
        let running = self.eye.launcher.start(&spec, move |stream, bytes| {
            if stream == Stream::Stdout {
                count.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
                // Facts beyond the bound are not needed.
                for fact in parser.feed(bytes) {
                    tell.try_send(fact).ok();
                }
            }
        });
        let finished = running.wait().await;
        let mut facts = Vec::new();
        while let Ok(fact) = told.try_recv() {
            facts.push(fact);
        }
        let printed = *printed.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Run { finished, facts, printed })
    }

    fn command(
        &self,
        prompt: &str,
        session: Option<&str>,
    ) -> Result<(Vec<OsString>, Stdin), Failure> {
        let file = self.eye.launcher.run_dir.join("prompt");
        fs::write(&file, prompt)?;
        let run = Invocation { prompt_path: &file, prompt, session, through: None };
        let argv = self.preset.argv(&run).map_err(|it| Failure::failed(it.to_string(), ""))?;
        let stdin = match self.preset.prompt {
            PromptChannel::Stdin => Stdin::File(file),
            PromptChannel::Argument | PromptChannel::File => Stdin::Null,
            PromptChannel::Message => Stdin::Piped,
        };
        Ok((argv, stdin))
    }

    /// What a loop's agent gets; or the same without key and home.
    fn env(&self, with_login: bool) -> Vec<(OsString, OsString)> {
        let set = self.preset.set.iter().map(|(a, b)| (a.into(), b.into()));
        let mut extra: Vec<(OsString, OsString)> = set.collect();
        if with_login {
            let key = self.preset.credential.as_ref();
            extra.extend(key.and_then(|it| Some((it.into(), variable(it)?.into()))));
        } else {
            extra.push(("HOME".into(), self.eye.launcher.run_dir.join("home").into()));
        }
        environment(&self.eye.allowed, &extra)
    }

    fn spec(&self, argv: Vec<OsString>, stdin: Stdin, env: Vec<(OsString, OsString)>) -> Spec {
        Spec {
            argv,
            cwd: self.place.clone(),
            env,
            stdin,
            timeout: Some(LONGEST),
            idle: None,
            ladder: Ladder::STOP,
            keep_head_bytes: KEEP_BYTES,
            keep_tail_bytes: KEEP_BYTES,
        }
    }
}
