//! Whether a run goes on with the session of the one before.

use std::fs;

use taskd_model::Status;

use super::{failures, has, iterations, plan, program};
use crate::support::World;

/// A program that is named as Claude Code, counts its runs, writes down the arguments of each, says
/// its session, and does as it is told there.
fn claude(world: &mut World, run: &str) -> std::path::PathBuf {
    let dir = world.dir.path().to_owned();
    let seen = dir.join("seen");
    let at = seen.display();
    let script = format!(
        "cat >/dev/null; echo x >>{at}.n; n=$(wc -l <{at}.n); echo \"$n $2 $3\" >>{at}\n\
         echo '{{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s-'$n'\"}}'\n{run}\n"
    );
    program(world, "claude", &script);
    seen
}

/// The gate is red as long as there is a file of this name.
const RED_ONCE: &str = "rm -f bad; [ -e b.txt ] || echo a >bad; echo $n >b.txt";

fn submit(world: &mut World, resumes: bool) {
    let text = plan("claude", &["a"]);
    world.write(".taskd/types/goes-on.yaml", "extends: ralph\nresume: true\n");
    let kind = if resumes { "land: never\ntype: goes-on" } else { "land: never" };
    world.start();
    world.submit(&text.replace("land: never", kind));
}

/// A red gate is answered in a fresh context, unless the loop type asks to go on.
#[test]
fn a_fresh_context_is_the_default() {
    for (resumes, second) in [(false, "2 --output-format stream-json"), (true, "2 --resume s-1")] {
        let mut world = World::new();
        let seen = claude(&mut world, RED_ONCE);
        submit(&mut world, resumes);
        let it = world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked]);
        assert_eq!(it.status, Status::Complete, "{}", world.transcript());
        let told = fs::read_to_string(&seen).expect("two runs");
        assert_eq!(iterations(&world), 2, "{told}");
        has(&told, &["1 --output-format stream-json\n", second]);
    }
}

/// A run that cannot go on with its session fails at once, and the next begins anew.
#[test]
fn a_session_that_is_gone_is_left() {
    let mut world = World::new();
    let run = "if [ $2 = --resume ]; then echo 'No conversation found' >&2; exit 1; fi\n";
    let seen = claude(&mut world, &format!("{run}{RED_ONCE}"));
    submit(&mut world, true);
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let told = fs::read_to_string(&seen).expect("three runs");
    has(&told, &["2 --resume s-1\n", "3 --output-format stream-json\n"]);
    assert_eq!((failures(&world).len(), iterations(&world)), (1, 2), "{told}");
}
