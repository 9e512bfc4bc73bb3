//! What an agent and a second reader were sent, as a person sees it afterwards.

use taskd_model::Status;

use super::{prompts::listener, *};

/// Proves MC-OBS-4: what an agent was told is shown as it was told, and what a second reader was sent
/// stands behind it under its own name.
#[test]
fn what_an_agent_and_a_second_reader_were_sent_is_shown() {
    let mut world = World::new();
    let agent = listener(&world, "echo b >b.txt\n");
    let reads = "loops: {a: [{turns: [{say: NO FINDINGS}]}]}\n";
    let reader = replies(&world, "reader.yaml", reads);
    world.write(
        ".taskd/types/read.yaml",
        &format!("extends: ralph\nreview: {{model: '{reader}', prompt: Find the ports.}}\n"),
    );
    world.start();
    world.submit(&format!(
        "---\nplan: Told\nagent: {agent}\ngate: sh test.sh\nland: never\ntype: read\n---\n\
         ## spec a: A\n\nThe task, verbatim.\n"
    ));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let shown = |more: &[&str]| world.taskd(&[&["logs", "p1.a", "--prompt"], more].concat()).ok();
    let told = left(&world, "told-p1.a-1");
    assert_says(&told, "The task, verbatim.");
    assert_eq!(shown(&["--call", "1", "--wire"]), told);
    let read = shown(&["--call", "1"]);
    assert_says(&read, "iteration 1, call 1 of 2, to its agent");
    assert_says(&read, &told);
    let read = shown(&[]);
    for part in ["call 2 of 2, second reader, to scripted:", "Find the ports.", "+b", "tools: none"]
    {
        assert_says(&read, part);
    }
    world.taskd(&["daemon", "stop"]).ok();
}
