//! A provider of one's own, and what a daemon connects to.
#![expect(clippy::disallowed_methods, reason = "whether we may trace is tried with a real program")]

use std::{collections::BTreeSet, process::Command};

use super::*;
use crate::support::is_here;

/// Writes the person's `models.toml`.
fn own_models(world: &World, text: &str) {
    let dir = world.dir.path().join("home/.config/taskd");
    fs::create_dir_all(&dir).expect("ours");
    fs::write(dir.join("models.toml"), text).expect("ours");
}

/// Proves MC-CFG-6, MC-CFG-3: one entry in one file makes a provider that nobody has heard of: its loop
/// is called at that place with that variable's credential, paid at the prices it is said to have, asked
/// what it has, and what it is said not to take is refused. The last value of a place counts.
#[test]
fn a_provider_is_one_entry_of_one_file() {
    let provider = Provider::with([1_000, 200, 0, 0], None, |_| work());
    let mut world = World::new();
    own_models(
        &world,
        "[providers.acme]\napi = 'anthropic-messages'\nurl = 'http://127.0.0.1:9'\n\
         url_variable = 'ACME_PLACE'\nkey_variable = 'ACME_KEY'\nmodels_of = 'anthropic'\n\
         temperature = false\n",
    );
    world.write(".taskd/types/warm.yaml", "extends: ralph\ntemperature: 0.5\n");
    world.start();
    world.env.insert("ACME_KEY".to_owned(), KEY.to_owned());
    world.env.insert("ACME_PLACE".to_owned(), provider.url());
    let plan = |head: &str| {
        format!(
            "---\nplan: Own\nmodel: acme/claude-sonnet-4-5\ngate: sh test.sh\nland: never\n{head}---\n\n\
             ## spec a: A\n\nWrite b.txt.\n"
        )
    };
    let file = world.aside("warm.md", &plan("type: warm\n"));
    let said = world.taskd(&["plan", "submit", &file]).fails(2);
    has(&said, &["temperature", "acme"]);
    assert!(provider.seen().is_empty() && world.view().plans.is_empty());
    world.submit(&plan(""));
    let it = over(&world);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let seen = provider.seen();
    assert!(!seen.is_empty() && seen.iter().all(|it| it.header("x-api-key") == Some(KEY)));
    assert_eq!((seen[0].path(), it.spent.input, it.spent.micros), ("/v1/messages", 1_000, 6_000));
    let listed = world.taskd(&["models", "--json"]).ok();
    assert!(listed.contains("ACME_KEY") && !listed.contains(KEY), "{listed}");
    world.stop();
    assert_eq!(files_that_say(&world.state(), KEY), Vec::<std::path::PathBuf>::new());
}

/// Where a line of `strace` says that something on a network is reached.
fn reached(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("sa_family=AF_INET")?;
    let port = rest.split_once("_port=htons(")?.1.split_once(')')?.0;
    let (_, address) = rest.split_once(['"'])?;
    Some(format!("{}:{port}", address.split_once('"')?.0))
}

/// Proves S-6.4.4: with nothing configured, all that a daemon and every program it starts connect or send
/// to on a network, from its start over a loop's whole work to its end, is the provider's place; with an
/// agent of one's own, nothing.
#[test]
fn nothing_is_reached_but_the_provider() {
    const TRACED: [&str; 5] = ["strace", "-f", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o"];
    if !is_here("strace") {
        return;
    }
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !tried.is_ok_and(|it| it.status.success()) {
        println!("NOT RUN strace");
        return;
    }
    let provider = Provider::new(|seen| match seen.n {
        0 => Answer::Stream(vec![tool("run", &json!({"command": "git log --oneline; ls"}))]),
        _ => work(),
    });
    let mut world = World::new();
    let calls = world.dir.path().join("calls.txt");
    let traced = [&TRACED[..], &[calls.to_str().expect("UTF-8")]].concat();
    world.start_behind(&traced);
    let agent = world.aside("agent.sh", "echo c >c.txt\n");
    world.submit(&format!(
        "---\nplan: Own\nagent: sh {agent}\ngate: sh test.sh\nland: on-gate\n---\n## spec b: B\n"
    ));
    let it = world.until_status("p1.b", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let told = || fs::read_to_string(&calls).expect("it was traced");
    let places = || told().lines().filter_map(reached).collect::<BTreeSet<_>>();
    assert_eq!(places(), BTreeSet::new(), "nobody was named");
    with_key(&mut world, &provider, KEY);
    world.submit(&format!(
        "---\nplan: Online\nmodel: {SONNET}\ngate: sh test.sh\nland: on-gate\n---\n\n\
         ## spec a: A\n\nWrite b.txt.\n"
    ));
    let it = world.until_status("p2.a", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let found = world.taskd(&["doctor"]).out;
    has(&found, &["leaving", "no traces are sent"]);
    world.stop();
    let place = provider.url().trim_start_matches("http://").to_owned();
    assert_eq!(places(), BTreeSet::from([place]));
}
