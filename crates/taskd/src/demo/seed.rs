//! What a seed decides: the order of the plan file, how long everything takes, and when the daemon
//! is killed. Nothing here touches the world.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// The specs, in the order people read them.
pub(super) const SPECS: [&str; 6] = ["parse", "count", "top", "json", "docs", "bench"];

/// Everything a seed decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choices {
    pub(super) seed: u64,
    /// One scripted fix is missing.
    pub(super) break_fix: bool,
    /// Places of [`SPECS`] in the order of the plan file.
    pub(super) order: Vec<usize>,
    pub(super) victim: Victim,
    /// From the moment the victim's step began to the kill, in milliseconds.
    pub(super) kill_after_ms: u64,
    /// Pause between two lines of the external agent, in tenths of a second.
    pub(super) agent_pause: u64,
    /// Seed of the delays of the script.
    pub(super) delays: u64,
    /// How much longer what lands last takes, in milliseconds, so that landings keep apart.
    pub(super) apart_ms: u64,
}

/// Whose turn the daemon is killed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Victim {
    pub(super) spec: &'static str,
    pub(super) iteration: u32,
    pub(super) turn: u32,
    pub(super) step: Step,
}

/// What of a turn is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The model is replying.
    Call,
    /// A command runs.
    Run,
}

/// Moments worth a kill; `bench` most often, as it works beside all others. Each has room for it in
/// the script: `script::tests` checks that.
pub(super) const VICTIMS: [Victim; 6] = [
    Victim { spec: "bench", iteration: 1, turn: 3, step: Step::Call },
    Victim { spec: "bench", iteration: 1, turn: 4, step: Step::Call },
    Victim { spec: "bench", iteration: 1, turn: 2, step: Step::Call },
    Victim { spec: "bench", iteration: 1, turn: 5, step: Step::Run },
    Victim { spec: "json", iteration: 1, turn: 3, step: Step::Call },
    Victim { spec: "count", iteration: 1, turn: 2, step: Step::Call },
];

/// Where a demo is killed whose calls are recorded. A call that is cut off is not recorded; here
/// nothing can move the ground before it is sent again, so what is asked then is what was asked
/// before, and no command is cut off, whose result would say so.
const RECORDED_VICTIM: Victim = Victim { spec: "count", iteration: 1, turn: 2, step: Step::Call };

/// The shortest pause of the external agent, in tenths of a second.
const SHORT_PAUSE: u64 = 9;
/// So much longer `json` looks at its work twice in a demo that is recorded.
const APART_MS: u64 = 1_000;

/// The kill comes at most so long after its step began, in milliseconds.
pub(super) const MAX_KILL_AFTER_MS: u64 = 500;

impl Choices {
    pub(super) fn new(seed: u64, break_fix: bool) -> Self {
        let mut rng = Rng(seed);
        let mut order: Vec<usize> = (0..SPECS.len()).collect();
        for n in (1..order.len()).rev() {
            let other = rng.below(n + 1);
            order.swap(n, other);
        }
        let victim = VICTIMS[rng.below(VICTIMS.len())];
        let kill_after_ms = rng.between(80, MAX_KILL_AFTER_MS);
        let agent_pause = rng.between(SHORT_PAUSE, 13);
        let delays = rng.next();
        Self { seed, break_fix, order, victim, kill_after_ms, agent_pause, delays, apart_ms: 0 }
    }

    /// The same with its kill where it leaves the requests as they are, and with `docs`, `json` and
    /// `bench` landing one well after the other: what a loop with a conflict is asked depends on
    /// whether something else lands just then.
    pub(super) fn recorded(self) -> Self {
        let agent_pause = SHORT_PAUSE;
        Self { victim: RECORDED_VICTIM, agent_pause, apart_ms: APART_MS, ..self }
    }
}

/// A seed nobody chose: small enough to be typed again.
pub(super) fn any() -> u64 {
    RandomState::new().build_hasher().finish() % 1_000_000
}

/// Splitmix64 (Steele et al. 2014): the same on every machine.
#[derive(Debug)]
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        it ^ (it >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap_or(0)
    }
}
