//! What a reply does while it streams: its text is seen at once, and wherever it breaks off nothing is
//! done twice.

use std::{collections::BTreeSet, sync::Mutex};

use taskd_api::Watched;
use taskd_model::Delta;

use super::*;

/// Proves AY-4.3: text is seen by who watches while the reply that says it goes on.
#[test]
fn text_is_seen_while_the_reply_goes_on() {
    let gate = Gate::default();
    let go_on = gate.clone();
    let provider = Provider::new(move |_| {
        let Answer::Stream(rest) = work() else { unreachable!("a stream") };
        let first = [Step::Text("early words".to_owned()), Step::Until(go_on.clone())];
        Answer::Stream(first.into_iter().chain(rest).collect())
    });
    let mut world = World::new();
    world.start();
    with_key(&mut world, &provider, KEY);
    let mut watch = world.client().watch(Vec::new(), true);
    submit(&world, "");
    // Nothing more of the reply is sent before its first words were seen.
    world.runtime.block_on(async {
        loop {
            let next = watch.next().await.expect("it goes on");
            let Watched::Delta { delta: Delta::Text(text), .. } = next else { continue };
            if text.contains("early") {
                return;
            }
        }
    });
    gate.open();
    assert_eq!(over(&world).status, Status::Complete, "{}", world.transcript());
}

/// Proves AY-4.6: a reply that breaks off behind any of its parts is asked for again with the same
/// bytes; a command it asked for ran once, and its files are there.
#[test]
fn broken_off_anywhere_nothing_is_done_twice() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let marks = dir.path().to_owned();
    let reply = move |n: usize| {
        let mark = format!("echo ran >>{}/{n}", marks.display());
        [
            Step::Text("I look.".to_owned()),
            tool("read", &json!({"path": "a.txt"})),
            tool("run", &json!({"command": mark})),
            tool("grep", &json!({"pattern": "a", "path": "a.txt"})),
            tool("write", &json!({"path": format!("s{n}.txt"), "content": "x\n"})),
            tool("finish", &json!({"summary": "done"})),
        ]
    };
    let parts = reply(0).len();
    let cut = Mutex::new(BTreeSet::new());
    let provider = Provider::new(move |seen| {
        let n = seen.number().expect("a loop's");
        let mut steps = reply(n).to_vec();
        if cut.lock().expect("ours").insert(n) {
            steps.truncate(n - 1);
            steps.push(Step::Cut);
        }
        Answer::Stream(steps)
    });
    let mut world = World::new();
    world.start();
    with_key(&mut world, &provider, KEY);
    let specs: String = (1..=parts + 1).map(|n| format!("## spec s{n}: Number {n}\n\n")).collect();
    world.submit(&format!(
        "---\nplan: Cuts\nmodel: {SONNET}\ngate: sh test.sh\nland: never\n---\n{specs}"
    ));
    let all = parts as u64 + 1;
    let view = world.until("every loop to be complete", |view| {
        assert_eq!(view.totals.of(Status::Blocked) + view.totals.of(Status::Failed), 0);
        view.totals.of(Status::Complete) == all
    });
    assert!(view.loops.values().all(|it| it.iteration == 1), "{}", world.transcript());
    let seen = provider.seen();
    for n in 1..=parts + 1 {
        let sent: Vec<&Seen> = seen.iter().filter(|it| it.number() == Some(n)).collect();
        assert_eq!(sent.len(), 2, "loop {n}");
        assert_eq!(sent[0].body, sent[1].body, "loop {n}");
        let ran = fs::read_to_string(dir.path().join(n.to_string())).expect("it ran");
        assert_eq!(ran, "ran\n", "loop {n}, broken off behind {} parts", n - 1);
    }
    // What was begun of the broken ones is void: only the second reply's results went on.
    let events = world.events();
    let writes =
        started(&events, "tool").into_iter().filter(|(_, it)| it.to_string().contains("write"));
    assert_eq!(writes.count(), parts + 1);
}
