//! In which order the tools of one reply run: reads beside each other and beside the stream, writes
//! alone and in the order they were asked for.

use std::collections::BTreeMap;

use proptest::prelude::*;
use taskd_model::{EffectId, Input, Observation, Work};

use super::{Play, outcome, tool_call};

/// The tools that are open, by place in the reply.
fn running(play: &Play) -> BTreeMap<u16, (EffectId, bool)> {
    let tool = |it: (EffectId, &Work, bool)| {
        let Work::Tool { index, reads, .. } = it.1 else { return None };
        Some((*index, (it.0, *reads)))
    };
    play.core.open_effects().filter_map(tool).collect()
}

/// What may run beside what, looked at from outside.
fn judge(running: &BTreeMap<u16, (EffectId, bool)>, done: &[bool], reads: &[bool], replied: bool) {
    let writes: Vec<u16> = running.iter().filter(|it| !it.1.1).map(|it| *it.0).collect();
    assert!(writes.is_empty() || running.len() == 1, "a write runs beside {running:?}");
    for (n, (_, is_read)) in running {
        let earlier = (0..usize::from(*n)).filter(|it| !done[*it]);
        let open_writes = earlier.clone().filter(|it| !reads[*it]).count();
        assert_eq!(open_writes, 0, "{n} runs before an earlier write has ended");
        assert!(*is_read || (replied && earlier.count() == 0), "write {n} is early");
    }
}

proptest! {
    /// Proves AY-4.4, AY-4.5: whatever is asked for and however long it takes, a write runs alone, after
    /// the whole reply and everything asked for before it; a read runs before no earlier write; and the
    /// results stand in the order of the calls.
    #[test]
    fn writes_are_barriers_and_results_keep_their_order(
        reads in prop::collection::vec(any::<bool>(), 1..12),
        ends in prop::collection::vec(any::<prop::sample::Index>(), 60),
        reply_after in 0..20_usize,
    ) {
        let mut play = Play::default();
        play.lines("0 start | 0 project | 0 plan a land=never | 0 p1 base-green | 0 a to call");
        let name = |it: &bool| if *it { "read" } else { "run" };
        let calls: Vec<&str> = reads.iter().map(name).collect();
        let call = play.calls()[0];
        let mut done = vec![false; reads.len()];
        let (mut asked, mut replied, mut results) = (0, false, BTreeMap::new());
        for (step, end) in ends.iter().enumerate() {
            play.now += 10;
            let open = running(&play);
            judge(&open, &done, &reads, replied);
            if asked < reads.len() && !replied && step % 2 == 0 {
                let fact = Observation::ToolCalled {
                    index: asked as u16,
                    call: tool_call(calls[asked]),
                };
                play.input(&Input::Observed { effect: call, index: asked as u32, fact });
                asked += 1;
            } else if !replied && reply_after <= step && asked == reads.len() {
                play.end(call, outcome("replies", &calls));
                replied = true;
            } else if !open.is_empty() {
                let (n, (effect, _)) = open.iter().nth(end.index(open.len())).expect("not empty");
                let result = format!("result {n}");
                let args = if reads[usize::from(*n)] { vec![""] } else { vec!["", "5afe"] };
                let mut ended = outcome("tool", &args);
                let taskd_model::Outcome::ToolDone { result: digest, .. } = &mut ended else {
                    unreachable!("a tool's")
                };
                *digest = taskd_model::Digest::of(result.as_bytes());
                results.insert(*n, *digest);
                done[usize::from(*n)] = true;
                play.end(*effect, ended);
            }
            if done.iter().all(|it| *it) && replied {
                break;
            }
        }
        prop_assert!(done.iter().all(|it| *it), "{}", play.transcript());
        let composing = play.core.open_effects().find(|it| matches!(it.1, Work::Compose));
        let order = play.core.order(composing.expect("the next turn").0).expect("it is open");
        let turn = order.subject.expect("a loop's").turns.pop().expect("a finished turn");
        let wanted: Vec<_> = results.into_values().map(Some).collect();
        prop_assert_eq!(turn.results, wanted);
    }
}

/// Proves AY-4.9: a loop whose reply asks for many reads keeps no other loop's read waiting.
#[test]
fn many_tools_of_one_loop_keep_nobody_waiting() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a b land=never | 0 p1 base-green");
    play.lines("0 a to call | 0 b to call");
    let [first, second] = play.calls()[..] else { panic!("two calls") };
    play.end(first, outcome("replies", &["read"; 28]));
    play.end(second, outcome("replies", &["read"]));
    let tools = play.core.open_effects().filter(|it| matches!(it.1, Work::Tool { .. })).count();
    assert_eq!(tools, 29, "{}", play.transcript());
}
