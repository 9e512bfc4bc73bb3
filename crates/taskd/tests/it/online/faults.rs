//! A provider that refuses, breaks off, and does not know the key.

use taskd_model::Outcome;

use super::*;

/// Proves F3, MC-PROV-4, X6, MC-MW-7: a refusal with a time, then a reply that breaks off behind two calls,
/// then a whole one are one iteration and three sends of the same bytes; what writes ran once, and
/// nothing was sent before the time that was named.
#[test]
fn refused_and_broken_off_is_one_iteration() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let marks = dir.path().join("marks");
    let mark = json!({"command": format!("echo ran >>{}", marks.display())});
    let provider = Provider::new(move |seen| {
        let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#;
        let both = [tool("read", &json!({"path": "a.txt"})), tool("run", &mark)];
        match seen.n {
            0 => Answer::Plain(429, header("retry-after", "1"), String::new()),
            1 => {
                // Time enough for both to run, if they were begun before the reply is whole.
                let late = Step::Pause(Duration::from_millis(300));
                let error = Step::Raw(format!("event: error\ndata: {overloaded}\n\n"));
                Answer::Stream(both.into_iter().chain([late, error, Step::Hang]).collect())
            }
            _ => {
                let Answer::Stream(rest) = work() else { unreachable!("a stream") };
                Answer::Stream(both.into_iter().chain(rest).collect())
            }
        }
    });
    let world = one_loop(&provider, "");
    let it = over(&world);
    assert_eq!((it.status, it.iteration), (Status::Complete, 1), "{}", world.transcript());
    let seen = provider.seen();
    assert_eq!(seen.len(), 3, "{}", world.transcript());
    assert!(seen.iter().all(|it| it.body == seen[0].body), "the same bytes");
    assert!(1_000 <= (seen[1].at - seen[0].answered.expect("answered")).as_millis());
    assert_eq!(fs::read_to_string(&marks).expect("it ran"), "ran\n");

    let events = world.events();
    let sends = started(&events, "call");
    let bytes = |it: &Work| if let Work::Call { request, .. } = it { Some(*request) } else { None };
    assert_eq!(sends.len(), 3);
    assert!(sends.iter().all(|(_, it)| bytes(it) == bytes(sends[0].1)));
    // The broken one is charged for what it read and what had come, the refused one for nothing.
    let usages: Vec<_> = sends
        .iter()
        .map(|(it, _)| {
            let at = ended(&events, EffectId(it.seq)).expect("it ended");
            let Event::EffectEnded { outcome, .. } = &events[at].event else { unreachable!() };
            (matches!(outcome, Outcome::Replied { .. }), outcome.usage())
        })
        .collect();
    let read: Vec<_> = usages.iter().map(|(replied, it)| (*replied, it.input)).collect();
    assert_eq!(read, [(false, 0), (false, 1_000), (true, 1_000)]);
    assert!(0 < usages[1].1.output && usages[1].1.output < 200, "{:?}", usages[1]);
    assert_eq!(it.spent.input, 2_000);
}

/// Proves MC-PROV-4, W-3, S-1.4.3: a key that is refused asks a person, says which variable, is tried once; a
/// resume in a shell with the right one goes on.
#[test]
fn a_wrong_key_asks_for_the_right_one() {
    let provider = Provider::new(|seen| {
        if seen.header("x-api-key") == Some("sk-right") {
            return work();
        }
        let body = r#"{"type":"error","error":{"type":"authentication_error","message":"no"}}"#;
        Answer::Plain(401, header("content-type", "application/json"), body.to_owned())
    });
    let mut world = one_loop(&provider, "");
    let it = over(&world);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    has(&reason(&it), &["ANTHROPIC_API_KEY", "taskd resume"]);
    assert_eq!(provider.seen().len(), 1, "asking again would change nothing");
    assert_eq!(world.taskd(&["wait", "p1.a"]).code, 4);
    with_key(&mut world, &provider, "sk-right");
    world.taskd(&["resume", "p1.a"]).ok();
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed]);
    assert_eq!((it.status, it.iteration), (Status::Complete, 1), "{}", reason(&it));
    let seen = provider.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].body, seen[1].body);
}
