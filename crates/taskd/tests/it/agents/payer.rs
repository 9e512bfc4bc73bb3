//! Who pays for an agent: what is declared, what is handed over, what the program says.

use std::fs;

use taskd_model::{Code, Failure, Status};

use super::{KEY, failures, has, keeps_its_key, plan, program, runs};
use crate::support::{Door, World};

/// A program that is named as Claude Code, writes its keys down, and says what pays for it.
fn claude(world: &mut World, payer: &str) {
    let script = format!(
        "cat >/dev/null; env | grep -e ^ANTHROPIC -e ^CLAUDE_CODE >../keys-$TASKD_ITERATION\n\
         echo '{{\"type\":\"system\",\"subtype\":\"init\",\"apiKeySource\":\"{payer}\"}}'\n\
         sleep 2; echo b >b.txt\n"
    );
    program(world, "claude", &script);
    keeps_its_key(world);
}

/// What its runs had in their environments.
fn keys(world: &World) -> String {
    let mut found = String::new();
    let mut folders = vec![world.dir.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("ours").flatten() {
            let name = entry.file_name();
            if entry.file_type().is_ok_and(|it| it.is_dir()) {
                folders.push(entry.path());
            } else if name.to_string_lossy().starts_with("keys-") {
                found += &fs::read_to_string(entry.path()).expect("text");
            }
        }
    }
    found
}

fn declare(world: &World, billing: &str) {
    fs::create_dir_all(world.dir.path().join("home/.config/taskd")).expect("ours");
    world.aside("home/.config/taskd/config.toml", &format!("[agent]\nbilling = \"{billing}\"\n"));
}

/// Proves W-32: where a login is declared to pay, no key in the shell reaches the agent, and a
/// program that says that a key pays all the same is ended before it worked.
#[test]
fn what_a_login_pays_gets_no_key() {
    let mut world = World::new();
    claude(&mut world, "none");
    declare(&world, "login");
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), KEY.to_owned());
    world.env.insert("CLAUDE_CODE_OAUTH_TOKEN".to_owned(), "token-of-mine".to_owned());
    world.start();
    let file = world.aside("plan.md", &plan("claude", &["a"]));
    let said = world.taskd(&["plan", "submit", &file]).ok();
    has(&said, &["paid by CLAUDE_CODE_OAUTH_TOKEN"]);
    world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(keys(&world), "CLAUDE_CODE_OAUTH_TOKEN=token-of-mine\n");
    // A setting of the repository gives it another key.
    claude(&mut world, "ANTHROPIC_API_KEY");
    world.submit(&plan("claude", &["b"]));
    let it = world.until_status("p2.b", &[Status::Blocked, Status::Failed, Status::Complete]);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    assert_eq!(failures(&world), [(Code::AgentBilling, Failure::Permanent)]);
    assert!(!world.transcript().contains("token-of-mine"), "{}", world.transcript());
    world.env.insert("COLUMNS".to_owned(), "250".to_owned());
    has(&world.taskd(&["show", "p2.b"]).ok(), &["says that ANTHROPIC_API_KEY pays"]);
}

/// Where a key is declared to pay and there is none, nothing is submitted; a program that says that
/// its login pays is ended.
#[test]
fn what_a_key_pays_needs_one() {
    let mut world = World::new();
    claude(&mut world, "ANTHROPIC_API_KEY");
    world.write(".taskd/types/paid.yaml", "extends: ralph\nbilling: key\n");
    world.start();
    let text = plan("claude", &["a"]).replace("land: never", "land: never\ntype: paid");
    let file = world.aside("plan.md", &text);
    let file = file.as_str();
    has(&world.taskd(&["plan", "submit", file]).fails(2), &["ANTHROPIC_API_KEY is not set"]);
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), KEY.to_owned());
    has(&world.taskd(&["plan", "submit", file]).ok(), &["paid by ANTHROPIC_API_KEY"]);
    world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(keys(&world), format!("ANTHROPIC_API_KEY={KEY}\n"));
    // Its key is there, and its login pays all the same.
    claude(&mut world, "none");
    world.aside("plan.md", &text.replace("Do it.", "Do it again."));
    world.taskd(&["plan", "submit", file, "-q"]).ok();
    world.until_status("p2.a", &[Status::Blocked]);
    assert_eq!(failures(&world), [(Code::AgentBilling, Failure::Permanent)]);
}

/// A loop type that says something else than the person is refused when it is submitted.
#[test]
fn a_type_does_not_overrule_a_person() {
    let mut world = World::new();
    claude(&mut world, "ANTHROPIC_API_KEY");
    world.write(".taskd/types/paid.yaml", "extends: ralph\nbilling: key\n");
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), KEY.to_owned());
    declare(&world, "login");
    world.start();
    let text = plan("claude", &["a"]).replace("land: never", "land: never\ntype: paid");
    let file = world.aside("plan.md", &text);
    let refused = world.taskd(&["plan", "submit", &file]).fails(2);
    has(&refused, &["`agent.billing` is `login`", "`billing: key`"]);
    assert_eq!(runs(&world), 0);
}

/// What paid when a plan was submitted pays after a `kill -9` too: without it a person is asked, and
/// nothing else pays meanwhile.
#[test]
fn another_life_does_not_pay_with_something_else() {
    let mut world = World::new();
    let door = Door::new(&world, "door");
    let wait = format!("[ -e go ] || {{ echo >go; {}; }}", door.sh());
    let script =
        format!("cat >/dev/null; env | grep ^ANTHROPIC >>../keys-x; {wait}; echo b >b.txt\n");
    program(&mut world, "claude", &script);
    keeps_its_key(&world);
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), KEY.to_owned());
    world.start();
    world.submit(&plan("claude", &["a"]));
    door.reached();
    world.kill();
    world.start();
    let it = world.until_status("p1.a", &[Status::Blocked, Status::Complete]);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    assert_eq!(failures(&world), [(Code::CredentialMissing, Failure::Auth)]);
    world.taskd(&["resume", "p1.a"]).ok();
    world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(keys(&world), format!("ANTHROPIC_API_KEY={KEY}\n").repeat(2));
}
