//! A plan of a thousand specs with three thousand needs: how long it takes to accept, and to find out
//! what may begin when one of them is done.

use std::{collections::VecDeque, fmt::Write as _, time::Instant};

use taskd_api::v1;
use taskd_model::{Event, Input, LoopId, QueueEnd, QueueOp};
use taskd_testkit::{graph, well};

use crate::{
    Sizes, stats, tell,
    world::{self, World, act},
};

const SPECS: u32 = 1_000;

/// Earlier specs that this one needs: three of them, near and far.
fn needs(n: u16) -> Vec<u16> {
    let mut needs: Vec<u16> = match n {
        0 => Vec::new(),
        1 | 2 => vec![n - 1],
        3..6 => vec![n - 1, n - 2, n - 3],
        _ => vec![n - 1 - n % 3, n / 2, n / 3 - 1],
    };
    needs.sort_unstable();
    needs.dedup();
    needs
}

pub(crate) fn run(sizes: &Sizes) {
    let specs = u16::try_from(sizes.loops(SPECS)).expect("few");
    for _ in 0..sizes.runs {
        accepted(specs);
        completed(specs);
    }
}

/// The call that hands the plan in, at a daemon that starts nothing meanwhile.
fn accepted(specs: u16) {
    let runtime = world::runtime();
    let mut world = World::new();
    let client = runtime.block_on(world.start());
    runtime.block_on(act(&client, v1::Verb::Park, &[]));
    let model = world.script("default: {say: Nothing to do.}\n");
    let mut text = format!("---\nplan: Figures\nmodel: {model}\ngate: 'true'\nland: ask\n---\n");
    let mut edges = 0;
    for n in 0..specs {
        let needs: Vec<String> = needs(n).iter().map(|it| format!("s{it}")).collect();
        edges += needs.len();
        let list = needs.join(", ");
        let line = if needs.is_empty() { String::new() } else { format!("needs: {list}\n") };
        write!(text, "\n## spec s{n}: Number {n}\n{line}\nDo it.\n").expect("a String takes all");
    }
    let began = Instant::now();
    runtime.block_on(world.submit_text(&client, text, &[]));
    tell("plans.accepted", stats::ms(began.elapsed()));
    tell("plans.needs", f64::from(u32::try_from(edges).expect("few")));
}

/// Every step of every loop goes well, one after the other; timed are those inputs by which a loop's
/// work comes where others may start from it.
fn completed(specs: u16) {
    let (mut core, mut now, check) = graph((0..specs).map(needs).collect());
    let mut open = VecDeque::from([check]);
    let mut times = Vec::new();
    while let Some(effect) = open.pop_front() {
        let Some(order) = core.order(effect) else { continue };
        let outcome = well(&order.work, effect);
        now = now.plus_ms(1);
        let input = Input::Ended { effect, outcome };
        let began = Instant::now();
        let decided = core.handle(now, &input).expect("well-formed");
        let took = began.elapsed();
        let brought = |it: &taskd_model::Record| {
            let Event::QueueLeft { op, end: QueueEnd::Done { .. }, .. } = &it.event else {
                return None::<LoopId>;
            };
            if let QueueOp::Integrate(id) = op { Some(*id) } else { None }
        };
        if decided.records.iter().any(|it| brought(it).is_some()) {
            times.push(took);
        }
        open.extend(decided.start);
        while open.is_empty()
            && let Some(due) = core.next_deadline()
        {
            now = now.max(due);
            open.extend(core.handle(now, &Input::Tick).expect("a tick").start);
        }
    }
    assert!(usize::from(specs) / 2 < times.len(), "most of {specs} were needed: {}", times.len());
    tell("plans.completed", stats::us(stats::median(&mut times)));
    tell("plans.completed.p99", stats::us(stats::percentile(&mut times, 99)));
}
