//! What an agent program said in one run, and what it means that the run failed.
//!
//! Its words never make a run good: they say whose fault it is, and when to come again.

use std::time::Duration;

use taskd_model::{Code, Usage};
use taskd_tools::{
    agents::AgentFact,
    supervise::{Finished, How},
};
use tokio::sync::watch;

use super::super::{Trouble, epoch_s};

/// A run that fails sooner than this and leaves the tree as it was never began to work.
const EARLY: Duration = Duration::from_secs(30);
/// A program that has said its last word and prints nothing for so long is ended.
pub(super) const AFTER_LAST_WORD: Duration = Duration::from_secs(5);
/// Nobody waits longer for an allowance without asking again.
const LONGEST_WINDOW: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// What it said so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What it says it used.
    pub(super) usage: Option<Usage>,
    /// Each of its calls is counted where it is passed on.
    pub(super) by_call: bool,
    /// Its allowance is used up, perhaps until then, in seconds since the epoch.
    limit: Option<Option<u64>>,
    /// It is not logged in, or its key is not accepted.
    not_accepted: bool,
    /// Who pays, by its own word.
    payer: Option<AgentFact>,
    /// Its last word, and that it failed.
    result: Option<(String, bool)>,
}

impl Heard {
    /// Takes one fact; a session is somebody else's business.
    pub(super) fn take(&mut self, fact: AgentFact) {
        match fact {
            AgentFact::Usage { input, output, cache_read, cache_write, cost_micros } => {
                let micros = cost_micros.unwrap_or(0);
                let unpriced = u32::from(cost_micros.is_none());
                let tokens = Usage { input, output, cache_read, cache_write, ..Usage::default() };
                self.usage = Some(Usage { micros, unpriced, ..tokens });
            }
            // The one that names a time counts.
            AgentFact::Limit { until } => self.limit = Some(self.limit.flatten().or(until)),
            AgentFact::NotAccepted => self.not_accepted = true,
            AgentFact::Result { text, is_error } => self.result = Some((text, is_error)),
            fact @ AgentFact::Payer { .. } => self.payer = Some(fact),
            AgentFact::Session(_) | AgentFact::Activity(_) => {}
        }
    }

    /// What is booked for the run itself: what it says it used, unless its calls are booked one by one.
    pub(super) fn billed(&self) -> Option<Usage> {
        if self.by_call { Some(Usage::default()) } else { self.usage }
    }

    /// Who pays, if it said so.
    pub(super) fn payer(&self) -> Option<&AgentFact> {
        self.payer.as_ref()
    }

    /// What it said last, in its own words.
    pub(super) fn last_word(&self) -> Option<&str> {
        self.result.as_ref().map(|it| it.0.as_str()).filter(|it| !it.trim().is_empty())
    }

    /// Its last word is that it failed.
    pub(super) fn says_it_failed(&self) -> bool {
        self.result.as_ref().is_some_and(|it| it.1)
    }

    /// The exit status that counts: of a program that was ended after its last word, what that said;
    /// of one that ends with 0 and says that it failed, 1.
    pub(super) fn exit(&self, how: &How) -> i32 {
        let said = self.result.as_ref().map(|it| i32::from(it.1));
        match how {
            How::Exited(0) => said.unwrap_or(0),
            How::Exited(code) => *code,
            How::Ended | How::Idle => said.unwrap_or(128),
            How::Signalled(_) | How::TimedOut | How::NotStarted { .. } | How::Lost => 128,
        }
    }

    /// Why a failed run is no iteration, if it is none. `untouched`: it left the tree as it was.
    pub(super) fn excuse(
        &self,
        agent: &str,
        finished: &Finished,
        untouched: bool,
        summary: &str,
    ) -> Option<Trouble> {
        let by_itself = matches!(finished.how, How::Exited(_) | How::Signalled(_));
        if self.not_accepted {
            let what = format!("the agent {agent} is not logged in, or not accepted: {summary}");
            return Some(Trouble::new(Code::AgentNotAccepted, what));
        }
        if let Some(until) = self.limit {
            let what = format!("the allowance of the agent {agent} is used up: {summary}");
            let mut trouble = Trouble::new(Code::AgentLimit, what);
            trouble.failure = Code::AgentLimit.failure(until.and_then(wait_ms));
            return Some(trouble);
        }
        if by_itself && untouched && finished.wall < EARLY {
            let what = format!("the agent {agent} ended before it did anything: {summary}");
            return Some(Trouble::new(Code::AgentFailedEarly, what));
        }
        None
    }
}

/// Milliseconds until then; nothing if that has passed.
fn wait_ms(until: u64) -> Option<u64> {
    let left = until.checked_sub(epoch_s()).filter(|it| 0 < *it).map(Duration::from_secs)?;
    u64::try_from(left.min(LONGEST_WINDOW).as_millis()).ok()
}

/// Returns when a program has said its last word and nothing came after it for a while. `said`
/// counts what it printed from its last word on.
pub(super) async fn has_said_its_last_word(mut said: watch::Receiver<u64>, silence: Duration) {
    if said.wait_for(|it| 0 < *it).await.is_err() {
        // It is over by itself.
        return std::future::pending().await;
    }
    while let Ok(changed) = tokio::time::timeout(silence, said.changed()).await {
        if changed.is_err() {
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use taskd_model::Failure;
    use taskd_tools::supervise::Captured;

    use super::*;

    fn failed(how: How, seconds: u64) -> Finished {
        let (wall, output) = (Duration::from_secs(seconds), Captured::default());
        Finished { how, output, wall, leftovers: 0, survivors: 0 }
    }

    #[test]
    fn an_early_failure_without_a_change_is_no_iteration() {
        let heard = Heard::default();
        let excuse = |how, seconds, untouched| {
            heard.excuse("x", &failed(how, seconds), untouched, "").map(|it| it.failure)
        };
        assert_eq!(excuse(How::Exited(1), 29, true), Some(Failure::Transient));
        assert_eq!(excuse(How::Signalled(9), 1, true), Some(Failure::Transient));
        assert_eq!(excuse(How::Exited(1), 30, true), None);
        assert_eq!(excuse(How::Exited(1), 1, false), None);
        assert_eq!(excuse(How::Idle, 1, true), None);
    }

    #[test]
    fn a_limit_keeps_the_time_it_named() {
        let now = epoch_s();
        let excuse = |facts: Vec<AgentFact>| {
            let mut heard = Heard::default();
            facts.into_iter().for_each(|it| heard.take(it));
            heard.excuse("x", &failed(How::Exited(1), 99), false, "").map(|it| it.failure)
        };
        let limit = |until| AgentFact::Limit { until };
        let Some(Failure::NotBefore(ms)) = excuse(vec![limit(Some(now + 7_200)), limit(None)])
        else {
            panic!("it named a time")
        };
        assert!((7_100_000..=7_200_000).contains(&ms), "{ms}");
        assert_eq!(excuse(vec![limit(None)]), Some(Failure::RateLimited));
        assert_eq!(excuse(vec![limit(Some(now - 5))]), Some(Failure::RateLimited), "it has passed");
        let absurd = excuse(vec![limit(Some(u64::MAX))]);
        assert_eq!(absurd, Some(Failure::NotBefore(8 * 24 * 60 * 60 * 1_000)));
        assert_eq!(excuse(vec![limit(None), AgentFact::NotAccepted]), Some(Failure::Auth));
        assert_eq!(excuse(vec![]), None);
    }

    #[test]
    fn the_last_word_counts_where_the_end_says_nothing() {
        let said = |is_error| Heard { result: Some((String::new(), is_error)), ..Heard::default() };
        assert_eq!(said(false).exit(&How::Ended), 0);
        assert_eq!(said(true).exit(&How::Ended), 1);
        assert_eq!(Heard::default().exit(&How::Idle), 128);
        assert_eq!(said(true).exit(&How::Exited(0)), 1);
        assert_eq!(said(false).exit(&How::Exited(3)), 3, "its words are not believed");
    }

    #[tokio::test]
    async fn a_program_is_ended_some_time_after_its_last_word() {
        let (say, said) = watch::channel(0);
        let over = has_said_its_last_word(said, Duration::ZERO);
        tokio::pin!(over);
        assert_eq!((&mut over).now_or_never(), None, "it has said nothing");
        say.send_replace(1);
        over.await;
        let (say, said) = watch::channel(1);
        drop(say);
        let over = has_said_its_last_word(said, Duration::from_secs(600));
        assert_eq!(over.now_or_never(), None, "it is over by itself");
    }
}
