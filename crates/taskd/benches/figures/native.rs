//! Native loops at work: scripted replies that begin at once, go on slowly, and ask to read a file.

use taskd_api::Client;
use taskd_model::Status;

use crate::world::{World, until};

/// So many loops at work. Each turn is one word at once, then nothing for `pause_ms`, then the call
/// of a tool that reads, which is the end of the reply. After 20 turns comes the gate, and the next
/// iteration.
pub(crate) async fn at_work(loops: u32, pause_ms: u32) -> (World, Client) {
    let mut world = World::new();
    let client = world.start().await;
    let model = world.script(&format!(
        "default: {{say: Reading., chunk_ms: {pause_ms}, tools: [{{read: {{path: a.txt}}}}]}}\n"
    ));
    world.submit(&client, &model, loops).await;
    until(&client, "every loop at work", |view| {
        let works = |it: &taskd_model::LoopView| it.status == Status::Running && it.iteration > 0;
        !view.loops.is_empty() && view.loops.values().all(works)
    })
    .await;
    (world, client)
}
