//! The state is the fold of the log.

use proptest::prelude::*;
use taskd_model::{EffectId, Outcome, Record, Work};

use super::{Play, good, outcome};
use crate::{Coordinator, Snapshot};

/// What else may be said of an open effect than that it went well.
fn otherwise(work: &Work, dice: u8) -> Outcome {
    match (work, dice % 4) {
        (Work::Call { .. }, 0) => outcome("429", &["700"]),
        (Work::Call { .. }, 1) => outcome("replies", &["read", "edit", "run"]),
        (Work::Gate, 0 | 1) => outcome("red", &[]),
        (Work::Rebase { .. }, 0) => outcome("conflicts", &[]),
        (Work::BuildCandidate { .. }, 0) => outcome("conflict", &[]),
        (Work::BuildCandidate { .. }, 1) => outcome("empty", &[]),
        (Work::GateCandidate { .. }, 0) => outcome("candidate-red", &[]),
        (Work::Publish { .. }, 0) => outcome("held", &[]),
        (_, 3) => outcome("fails", &[]),
        _ => good(work),
    }
}

/// A log of what chance made of two plans.
fn random(dice: &[(u8, u8)]) -> Play {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 limits loops=3 calls=2 | 0 plan a b<a c land=on-gate");
    play.lines("0 plan d e priority=high");
    for (n, (kind, pick)) in dice.iter().enumerate() {
        play.now += u64::from(*pick) * 7;
        let name = ["a", "b", "c", "d", "e"][usize::from(*pick) % 5];
        let line = match kind {
            0..=2 => format!("pause {name}"),
            3..=6 => format!("resume {name}"),
            7 => format!("stop {name}"),
            8..=12 => format!("land {name}"),
            13 => format!("reject {name}"),
            14..=17 => format!("main {:x}", 0xf000 + n),
            18 => "park".to_owned(),
            19..=22 => "unpark".to_owned(),
            23 | 24 => "restart".to_owned(),
            25..=60 => "tick".to_owned(),
            _ => {
                let open: Vec<(EffectId, Work)> =
                    play.core.open_effects().map(|it| (it.0, it.1.clone())).collect();
                if let Some((id, work)) = open.get(usize::from(*pick) % open.len().max(1)) {
                    let (id, end) = (*id, otherwise(work, *kind));
                    play.end(id, end);
                }
                continue;
            }
        };
        let now = play.now;
        play.line(&format!("{now} {line}"));
    }
    play
}

fn through_json(core: &Coordinator) -> Coordinator {
    let text = serde_json::to_string(&core.snapshot()).unwrap();
    let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
    Coordinator::restore(snapshot)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Proves AY-1.2 and X8: at every prefix of a random log the fold equals what was loaded from
    /// the snapshot there, and the live state equals the fold of all of it.
    #[test]
    fn the_state_is_the_fold_of_the_log(
        dice in prop::collection::vec((any::<u8>(), any::<u8>()), 1..14),
    ) {
        let play = random(&dice);
        let stored: Vec<Record> =
            play.log.iter().map(|it| Record::decode(&it.encode()).unwrap()).collect();
        let mut folded = Coordinator::default();
        let mut followed = Coordinator::default();
        for (n, record) in stored.iter().enumerate() {
            folded.apply(record);
            followed.apply(record);
            prop_assert!(folded.same_state(&followed), "at {}", record.seq);
            if n % 11 == dice.len() % 11 {
                prop_assert!(folded.indexes_are_exact(), "at {}", record.seq);
                followed = through_json(&folded);
                prop_assert!(folded.same_state(&followed), "at {}", record.seq);
            }
        }
        prop_assert!(play.core.same_state(&folded));
        prop_assert_eq!(play.core.head(), folded.head());
    }
}

#[test]
fn replaying_changes_nothing() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a | 1 p1 base-green | 2 a to call");
    let again = Coordinator::replay(&play.log);
    assert!(play.core.same_state(&again));
    assert_eq!(play.core.open_effects().count(), again.open_effects().count());
}
