//! What happened in a world, counted, so that one can see what the seeds reach.

use std::fmt;

macro_rules! tally {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What happened, counted.
        #[derive(Debug, Default, Clone, PartialEq, Eq)]
        pub struct Tally {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Tally {
            /// Adds another world's counts.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Every count with its name.
            #[must_use]
            pub fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

tally! {
    /// Loops there were in the end.
    loops,
    /// Inputs handled.
    inputs,
    /// Events decided.
    events,
    /// Commands refused.
    refused,
    /// Deaths of the daemon.
    crashes,
    /// Records that were decided and not durable when it died.
    records_lost,
    /// Effects that were running when it died.
    effects_lost,
    /// Publishes that had happened when it died, with no outcome.
    publishes_lost,
    /// Orderly stops and starts.
    restarts,
    /// Outcomes of an earlier life, or for the second time.
    stale,
    /// Ticks that settled what one input left over.
    unsettled,
    /// Questions that loops asked.
    questions,
    /// Calls sent.
    sends,
    /// Calls of agents that were passed on.
    relays,
    /// Messages that loops sent to others.
    messages,
    /// What they said and nobody took: who said it reads why.
    messages_refused,
    /// Queries of loops to others.
    queries,
    /// Calls that were to answer them.
    answers,
    /// Those of them that were answered.
    answered,
    /// Those that were not answered in time.
    queries_late,
    /// Those whose asker no longer waited.
    queries_expired,
    /// Those to a loop that no longer answered.
    queries_gone,
    /// Calls that agents gave up while they waited.
    given_up,
    /// Refusals with a time in them.
    rate_limits,
    /// Requests that were larger than the provider takes.
    too_large,
    /// Loops that went on with another model.
    models_changed,
    /// Effects that failed otherwise.
    failures,
    /// Tools that began before the reply ended.
    early_reads,
    /// Calls that were sent while what an earlier turn wrote was being saved.
    beside_saving,
    /// Files that were being saved when the daemon died.
    saves_lost,
    /// Commands that were interrupted.
    interrupted,
    /// Effects that were asked to end.
    ends,
    /// Gates of iterations that were green.
    greens,
    /// Those that were red.
    reds,
    /// Answers of second readers.
    read,
    /// Iterations that one of them sent on.
    objected,
    /// Iterations that changed nothing.
    unchanged,
    /// Rebases without conflicts.
    rebases,
    /// Rebases and candidates with conflicts.
    conflicts,
    /// Loops whose work came onto an integration ref.
    integrated,
    /// Specs that documents named.
    named,
    /// Loops that a document named before it was written anew.
    superseded,
    /// Loops whose work landed.
    landed,
    /// Times a person held, released or moved something in a landing queue.
    arranged,
    /// Loops whose work landed in one with that of others.
    landed_together,
    /// Gates of several candidates in one that were red.
    stacks_red,
    /// Pull requests that ask for work, each time they were brought up to date.
    proposed,
    /// Loops whose work somebody else brought onto the target.
    landed_elsewhere,
    /// Landings of the commit that was integrated, as it was.
    landed_as_integrated,
    /// Candidates that needed no gate of their own.
    evidence_reused,
    /// Candidates that were red or did not merge.
    sent_back,
    /// Candidates that were evicted because a tip moved or nobody wanted them.
    evictions,
    /// Publishes that met another tip.
    swaps_lost,
    /// Landings held by the person's checkout.
    held,
    /// Targets merged into an integration ref.
    refreshed,
    /// Integration refs moved to their target: to follow it, or to start again.
    resets,
    /// Targets moved by a person.
    main_moved,
    /// Targets rewritten by a person.
    main_rewritten,
    /// Bases that were red.
    bases_red,
    /// Loops blocked.
    blocked,
    /// Those of them that had no money left.
    penniless,
    /// Budgets set anew by a person.
    budgets_set,
    /// Budgets that came near their end.
    budgets_warned,
    /// Those of them that were counted in tokens.
    tokens_warned,
    /// Budgets of a day that did not pay for a call.
    days_spent,
    /// Budgets of a day that were there again after midnight.
    days_renewed,
    /// Calls that were ended because they came to more than was left.
    over_budget,
    /// Loops whose next call is more than a whole day's budget.
    too_much,
    /// Loops paused.
    paused,
    /// Loops that went on.
    resumed,
    /// Loops stopped.
    stopped,
    /// Loops failed by a limit.
    limits,
    /// Loops failed by a defect.
    internal,
    /// Loops that were tried again.
    retried,
    /// Loops that asked because they did not get on.
    no_progress,
    /// Loops complete.
    complete,
    /// Loops whose work the target had already.
    already_there,
    /// Loops blocked by a need that did not pass.
    needs_failed,
    /// Work that was suspected to talk its gate around.
    suspected,
    /// Passed work rejected by a person.
    rejected,
    /// Loops sent back to an earlier state of their work.
    rewound,
    /// Landings taken off their target again.
    undone,
    /// Landings that did not come off it.
    not_undone,
    /// Times everything was parked.
    parked,
    /// Times the disk was full.
    disk_full,
    /// Configurations.
    reconfigured,
    /// The same plan again.
    duplicates,
    /// Snapshots loaded and followed.
    snapshots,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (name, count)) in self.rows().into_iter().enumerate() {
            let end = if n % 4 == 3 { '\n' } else { ' ' };
            write!(f, "{name:>20} {count:>7}{end}")?;
        }
        Ok(())
    }
}
