//! What is written by models and agents is Markdown on the screen, and as it is everywhere else.

use super::{Monitor, asking};

const SAID: &str = "# The plan\n\n- one *thing*\n- and `code`, see [the docs](https://x.example/y)\n\n\
    | file | lines |\n|---|---|\n| a.rs | 12 |\n\n```sh\nls *.rs\n";

/// Proves S-5.2.5: what an agent wrote is shown as Markdown, also where a fence was never closed; with
/// `--ascii` and in a locale that is not UTF-8 no other sign reaches the terminal; `taskd logs` prints
/// it as it was written.
#[test]
fn what_an_agent_writes_is_markdown() {
    let mut world = asking(&format!("cat <<'END'\n{SAID}END\necho roses > poem.txt"));
    let lines = ["The plan", "- one thing", "- and `code`, see the docs (https://x.example/y)"];
    let shown = |text: &str| {
        let table = ["file  lines", "a.rs  12", "  ls *.rs"];
        lines.iter().chain(&table).all(|it| text.lines().any(|line| line.trim_end().ends_with(it)))
    };
    let mut monitor = Monitor::attach(&world, 80, 24);
    monitor.shows("poem");
    monitor.keys("G\r");
    let text = monitor.until("Markdown", shown);
    assert!(
        !text.contains("```") && !text.contains("|---") && text.contains("── iteration 1, agent"),
        "{text}"
    );
    monitor.detach();

    let mut monitor = Monitor::with(&world, 80, 24, &["tui", "--ascii"]);
    monitor.shows("poem");
    monitor.keys("G\r");
    let text = monitor.until("Markdown in ASCII", shown);
    assert!(text.is_ascii() && text.contains("-- iteration 1, agent"), "{text}");
    monitor.detach();
    world.env.insert("LC_ALL".to_owned(), "C".to_owned());
    let mut monitor = Monitor::attach(&world, 80, 24);
    let text = monitor.until("the list", |it| it.contains("NEEDS YOU") && it.contains("-- p1"));
    assert!(text.is_ascii(), "{text}");
    monitor.detach();

    assert!(world.taskd(&["logs", "p1.poem", "--agent"]).ok().contains(SAID));
}
