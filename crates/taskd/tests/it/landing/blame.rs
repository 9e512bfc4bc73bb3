//! `taskd why FILE:LINE`: every line that landed says which loop and iteration wrote it.

use serde_json::Value;

use super::{agent, plan, until_landed};
use crate::support::World;

fn why(world: &World, place: &str) -> Value {
    serde_json::from_str(&world.taskd(&["why", place, "--json"]).ok()).expect("JSON")
}

/// Proves PR-11: of every line of main in a repository where three loops wrote, two of them into
/// one file and one in two iterations, `why` names the loop, the iteration, its prompt, its verdicts
/// and the evidence; of a person's lines it says that they are a person's.
#[test]
fn every_line_that_landed_says_who_wrote_it_and_why() {
    let mut world = World::new();
    // Each line says what wrote it. The second iteration changes a line of the first, and adds one
    // above and one below; a red gate ends the first.
    let body = r#"n=$TASKD_LOOP/$TASKD_ITERATION
    case $n in
      p1.one/1) printf '%s a\n%s b\n%s c\n' $n $n $n >> shared.txt; echo $n > own.txt; touch bad ;;
      p1.one/2) rm bad; { echo $n top; sed "s|p1.one/1 b|$n b|" shared.txt; echo $n end; } > x
                mv x shared.txt ;;
      p1.two/1) { echo $n head; cat shared.txt; echo $n tail; } > x; mv x shared.txt ;;
      *) mkdir -p deep; printf '%s\n' $n $n > "deep/a file.txt" ;;
    esac"#;
    let run = agent(&world, "agent.sh", body);
    world.write("shared.txt", "person\n");
    world.git(&["add", "shared.txt"]);
    world.git(&["commit", "-q", "-m", "person: shared.txt"]);
    world.start();
    let text = plan(
        &format!("agent: {run}\nland: on-gate"),
        &[("one", ""), ("two", "needs: one"), ("three", "needs: two")],
    );
    world.submit(&text.replace("gate: sh test.sh", "gate: ['test ! -f bad', 'sh test.sh']"));
    let landed = until_landed(&world, "p1.three");
    world.git(&["reset", "-q", "--hard", &landed]);
    let mut lines = 0;
    for file in ["shared.txt", "own.txt", "deep/a file.txt"] {
        let text = world.git(&["show", &format!("main:{file}")]);
        for (n, line) in (1..).zip(text.lines()) {
            let it = why(&world, &format!("{file}:{n}"));
            lines += 1;
            let Some((name, rest)) = line.split_once('/') else {
                assert_eq!((line, &it["loop"]), ("person", &Value::Null), "{file}:{n}");
                continue;
            };
            let iteration: u64 = rest[..1].parse().expect("a digit");
            assert_eq!(
                (&it["loop"], &it["iteration"]),
                (&name.into(), &iteration.into()),
                "{line}"
            );
            assert_eq!(it["prompt"].as_str().map(str::len), Some(64), "{line}");
            assert!(it["evidence"].is_u64() && !it["task"].as_str().unwrap_or("").is_empty());
            let verdicts = it["verdicts"].as_array().expect("verdicts");
            let last = verdicts.last().and_then(Value::as_str).expect("one");
            assert!(last.contains("green"), "{verdicts:?}");
        }
    }
    assert_eq!(lines, 11);
    let told = world.taskd(&["why", "own.txt:1"]).ok();
    assert!(told.contains("own.txt:1 was written by p1.one, iteration 1"), "{told}");
    assert!(told.contains("iteration 1: red"), "{told}");
    world.write("own.txt", "mine\nmore\n");
    assert_eq!(why(&world, "own.txt:2")["commit"], Value::Null);
    assert!(world.taskd(&["why", "own.txt:99"]).fails(5).contains("not a line git knows"));
    // What waits is asked about as before.
    assert!(world.taskd(&["why", "p1.one"]).ok().contains("p1.one"));
}
