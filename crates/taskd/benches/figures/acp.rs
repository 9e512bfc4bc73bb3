//! What a process that serves all iterations saves: a run of an agent that speaks ACP, from the event
//! that starts it to the event of its end, with a start in each and with one process for all.
//!
//! The agent is a shell script that answers at once, so what is left is ours: the start of a process
//! and its supervisor, the handshake, its end. A real program's own start comes on top.

use std::{collections::BTreeMap, time::Duration};

use taskd_api::{Client, v1};
use taskd_model::{EffectId, Event, Outcome, Time, Work};

use crate::{
    Sizes, stats, tell,
    world::{self, World},
};

/// Answers every request at once and leaves a file that the gate refuses.
const AGENT: &str = r#"while read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  case $line in
  *'"method":"initialize"'*) r='{"protocolVersion":1}';;
  *'"method":"session/new"'*) r='{"sessionId":"s"}';;
  *'"method":"session/prompt"'*) echo x >>bad; r='{"stopReason":"end_turn"}';;
  *) continue;;
  esac
  echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$r}"
done
"#;

/// Runs of the agent, each way.
pub(crate) fn run(sizes: &Sizes) {
    let runtime = world::runtime();
    for _ in 0..sizes.runs {
        for (figure, long_lived) in [("acp.start", false), ("acp.live", true)] {
            let mut world = World::new();
            let script = world.aside("agent.sh", AGENT);
            let preset = format!(
                "name = \"fake\"\nargv = [\"sh\", \"{script}\"]\nformat = \"acp\"\nlong_lived = {long_lived}\n"
            );
            world.preset("fake", &preset);
            let mut times = runtime.block_on(async {
                let client = world.start().await;
                let plan = "---\nplan: Figures\nagent: fake\ngate: test ! -e bad\nland: never\n---\n\
                            \n## spec s0: Number 0\n\nDo it.\n";
                world.submit_text(&client, plan.to_owned(), &[]).await;
                let wanted = sizes.samples.min(50);
                world::until(&client, "some iterations", |view| {
                    view.loops.values().any(|it| wanted < it.iteration)
                })
                .await;
                taken(&client).await
            });
            // The first run starts the process either way.
            tell(figure, stats::ms(stats::median(&mut times[1..])));
        }
    }
}

/// How long each run took, by the log's own clock.
async fn taken(client: &Client) -> Vec<Duration> {
    let request = v1::EventsRequest { from: 1, ..v1::EventsRequest::default() };
    let mut items = client.events(request).await.expect("the daemon answers");
    let (mut begun, mut times) = (BTreeMap::<EffectId, Time>::new(), Vec::new());
    while let Some(item) = items.next().await.expect("readable") {
        let record = item.record().expect("an event").expect("a known kind");
        if let Event::EffectStarted { work: Work::Agent { .. }, .. } = &record.event {
            begun.insert(EffectId(record.seq), record.at);
        } else if let Event::EffectEnded { effect, outcome } = &record.event
            && let Some(at) = begun.remove(effect)
        {
            assert!(matches!(outcome, Outcome::AgentDone { exit: 0, .. }), "{outcome:?}");
            times.push(Duration::from_millis(record.at.ms_since(at)));
        }
    }
    times
}
