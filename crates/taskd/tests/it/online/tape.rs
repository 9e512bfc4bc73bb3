//! A plan recorded at a provider's and played again without provider and key.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use taskd_model::Outcome;

use super::*;

const PLAN: &str = "---\nplan: Taped\nmodel: anthropic/claude-sonnet-4-5\ngate: sh test.sh\n\
                    land: on-gate\n---\n\n## spec a: A\n\nNumber 1.\n\n\
                    ## spec b: B\nneeds: [a]\n\nNumber 2.\n";

/// What a spec's loop is told to do: look while the reply goes on, then write a file of its own;
/// the first reply of `b` breaks off.
fn script(seen: &Seen) -> Answer {
    let name = if seen.body.contains("Number 2.") { "b" } else { "a" };
    if name == "b" && seen.n == 2 {
        return Answer::Plain(529, Vec::new(), String::new());
    }
    let file = format!("{name}.new.txt");
    if !seen.body.contains("tool_result") {
        let args = json!({"command": "ls"});
        return Answer::Stream(vec![Step::Text("Let me see.".to_owned()), tool("run", &args)]);
    }
    Answer::Stream(vec![
        tool("write", &json!({"path": file, "content": name})),
        tool("finish", &json!({"summary": "done"})),
    ])
}

/// What cannot be the same twice, and nothing else: times and process ids go; commits, which hold a
/// time, and places in the log, which loops share, are numbered as they come. Digests of requests,
/// replies, results and outputs stay.
struct Normal {
    names: BTreeMap<String, String>,
}

impl Normal {
    fn event(&mut self, event: &Event) -> String {
        let mut value = serde_json::to_value(event).expect("events are JSON");
        self.value("", &mut value);
        value.to_string()
    }

    fn value(&mut self, field: &str, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields.iter_mut() {
                    if field == "process" {
                        *value = "a process".into();
                    }
                    // Each world has a home of its own.
                    if field == "environment" {
                        *value = "an environment".into();
                    }
                    self.value(field, value);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|it| self.value(field, it)),
            Value::Number(_) if ["until", "ms", "elapsed_ms"].contains(&field) => {
                *value = "a time".into();
            }
            Value::Number(_) if ["effect", "seq", "entry"].contains(&field) => {
                *value = self.name("#", &value.to_string());
            }
            Value::String(text) => {
                if text.len() == 40 && text.bytes().all(|it| it.is_ascii_hexdigit()) {
                    *value = self.name("commit or tree ", text);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn name(&mut self, kind: &str, text: &str) -> Value {
        let n = self.names.len();
        self.names.entry(format!("{kind}{text}")).or_insert(format!("{kind}{n}")).clone().into()
    }
}

/// The end of each save stands right behind its beginning: it goes on beside the next prompt and call,
/// so where it ends among their events is chance.
fn saved_at_once(mut own: Vec<Record>) -> Vec<Record> {
    for n in 0..own.len() {
        if let Event::EffectEnded { effect, outcome: Outcome::Saved { .. } } = &own[n].event {
            let began = own.iter().position(|it| it.seq == effect.0).expect("it began");
            own[began + 1..=n].rotate_right(1);
        }
    }
    own
}

/// Kinds and payloads of each loop's events, in order.
fn stories(world: &World) -> BTreeMap<String, Vec<String>> {
    let view = world.view();
    let mut stories = BTreeMap::new();
    for it in view.loops.values() {
        let mut normal = Normal { names: BTreeMap::new() };
        let own = world.events().into_iter().filter(|record| record.loop_id == Some(it.id));
        let own = saved_at_once(own.collect());
        let story = own.iter().map(|record| normal.event(&record.event)).collect();
        stories.insert(it.name.clone(), story);
    }
    stories
}

fn play(mode: &str, tapes: &Path, provider: Option<&Provider>) -> World {
    let mut world = World::new();
    world.env.insert("TASKD_CASSETTE".to_owned(), format!("{mode}:{}", tapes.display()));
    world.start();
    if let Some(provider) = provider {
        with_key(&mut world, provider, KEY);
    }
    world.submit(PLAN);
    world.until(mode, |view| {
        let over = [Status::Complete, Status::Failed, Status::Blocked];
        view.loops.len() == 2 && view.loops.values().all(|it| over.contains(&it.status))
    });
    world
}

/// Proves AY-10.6, AY-10.9: without server and key a recording gives the same events, loop by loop, and the
/// same files on the target.
#[test]
fn a_recording_gives_the_same_events() {
    let shared = tempfile::tempdir().expect("a temp dir");
    let tapes = shared.path().join("tapes");
    let provider = Provider::new(script);
    let live = play("record", &tapes, Some(&provider));
    assert_eq!(live.git(&["show", "main:b.new.txt"]), "b", "{}", live.transcript());
    assert_eq!(provider.seen().len(), 5, "two turns each, one sent twice");
    assert_eq!(fs::read_dir(&tapes).expect("made").count(), 5);
    assert_eq!(files_that_say(&tapes, KEY), Vec::<std::path::PathBuf>::new());
    provider.close();
    let again = play("replay", &tapes, None);
    let (told, told_again) = (stories(&live), stories(&again));
    assert_eq!(told.keys().collect::<Vec<_>>(), ["p1.a", "p1.b"]);
    for (name, story) in &told {
        for (n, (one, two)) in story.iter().zip(&told_again[name]).enumerate() {
            assert_eq!(one, two, "event {n} of {name}");
        }
        assert_eq!(story.len(), told_again[name].len(), "{name}");
    }
    assert_eq!(provider.seen().len(), 5, "nobody was asked again");
    let files = |it: &World| it.git(&["ls-tree", "-r", "main"]);
    assert_eq!(files(&live), files(&again));
}
