//! The file tools as a loop meets them: whole files or none, nothing outside of the worktree, odd
//! names as they are, and refusals that say what to do.

use std::{
    ffi::OsStr,
    fs::{self, Permissions},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
    },
    path::PathBuf,
};

use taskd_model::{Event, Outcome, Status, Work};

use super::{assert_says, assert_says_nothing_of, outcome_of, replies, shell};
use crate::support::World;

/// A plan of one loop that works with these turns and lands; `turns` is the script's list.
fn plan_of(world: &mut World, turns: &str) {
    let model = replies(world, "m.yaml", &format!("loops: {{a: [{{turns: {turns}}}]}}\n"));
    world.start();
    world.submit(&format!(
        "---\nplan: Files\nmodel: {model}\ngate: sh test.sh\nland: on-gate\n---\n## spec a: A\n"
    ));
}

fn commit_all(world: &World) {
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "more files"]);
}

/// What the loop's tools said, to its end.
fn said(world: &World) -> String {
    world.until_status("p1.a", &[Status::Complete]);
    world.taskd(&["logs", "p1.a", "--tools"]).ok()
}

/// How many of its tools ended with an error.
fn refusals(world: &World) -> usize {
    let events = world.events();
    let is_error = |it: &&Outcome| matches!(it, Outcome::ToolDone { error: true, .. });
    events.iter().filter_map(outcome_of).filter(is_error).count()
}

/// Proves S-2.2.1: pages, exact edits, the mode that stays, and what changed since it was read.
#[test]
fn what_is_changed_was_read_as_it_is() {
    let mut world = World::new();
    world.write("tool.sh", "echo one\n");
    world.write("long.md", &(1..=50).map(|n| format!("line {n}\n")).collect::<String>());
    fs::write(world.repo.join("image.bin"), b"a\0b").expect("writable");
    fs::set_permissions(world.repo.join("tool.sh"), Permissions::from_mode(0o755)).expect("ours");
    commit_all(&world);
    let behind = shell(&world, "behind.sh", "echo 'line 51' >>long.md\n");
    let turns = format!(
        "[{{tools: [{{read: {{path: tool.sh}}}}, {{read: {{path: long.md, offset: 49, limit: 1}}}}, \
            {{read: {{path: image.bin}}}}]}},\n\
          {{tools: [{{edit: {{path: tool.sh, old: one, new: two}}}}]}},\n\
          {{tools: [{{write: {{path: a.txt, content: unread}}}}]}},\n\
          {{tools: [{{run: {{command: '{behind}'}}}}]}},\n\
          {{tools: [{{edit: {{path: long.md, old: line 50, new: line fifty}}}}]}},\n\
          {{tools: [{{write: {{path: new/deep/b.txt, content: b}}}}, {{finish: {{summary: x}}}}]}}]"
    );
    plan_of(&mut world, &turns);
    let said = said(&world);
    assert_says(&said, "    49\tline 49\n[more lines follow; continue with offset 50]");
    assert_says(&said, "`image.bin` is a binary file");
    assert_says(&said, "edited tool.sh in 1 place");
    assert_says(&said, "`a.txt` exists and you have not read it in this iteration; read it first");
    assert_says(&said, "`long.md` has changed since you read it; read it again");
    assert_eq!(refusals(&world), 3);
    assert_eq!(world.git(&["show", "main:tool.sh"]), "echo two");
    assert!(world.git(&["ls-tree", "main", "tool.sh"]).starts_with("100755 "));
    assert_eq!(world.git(&["show", "main:a.txt"]), "a");
    assert!(world.git(&["show", "main:long.md"]).ends_with("line 50\nline 51"));
    assert_eq!(world.git(&["show", "main:new/deep/b.txt"]), "b");
}

/// Proves S-2.2.1: killed while files are written, each is the old one or the new one, and nothing
/// half written is ever landed.
#[test]
fn a_kill_leaves_the_old_file_or_the_new_one() {
    const SIZE: usize = 400_000;
    let mut world = World::new();
    let content = |turn: usize| "abcdefghijkl"[turn..=turn].repeat(SIZE);
    let turn = |n: usize| {
        format!(
            "{{tools: [{{read: {{path: whole.md}}}}]}},\n\
             {{tools: [{{write: {{path: whole.md, content: {}}}}}]}},\n",
            content(n)
        )
    };
    world.write("whole.md", &content(0));
    commit_all(&world);
    let turns: String = (1..=8).map(turn).collect();
    let end = "{tools: [{write: {path: b.txt, content: b}}, {finish: {summary: x}}]}";
    plan_of(&mut world, &format!("[{turns}{end}]"));
    world.until_event("it works", |it| matches!(it.event, Event::IterationStarted { .. }));
    let worktree = world.taskd(&["path", "p1.a"]).ok();
    let file = PathBuf::from(worktree.trim_end()).join("whole.md");
    let mut seen = 0;
    for _ in 0..4 {
        let began = world.until_event("a write begins", |it| {
            let begins = matches!(&it.event, Event::EffectStarted {
                work: Work::Tool { name, .. }, ..
            } if name == "write");
            begins && seen < it.seq.0
        });
        seen = began.seq.0;
        world.kill();
        let text = fs::read_to_string(&file).expect("it is never away");
        assert_eq!(text.len(), SIZE);
        assert_eq!(text, text[..1].repeat(SIZE), "one write's content, and all of it");
        world.start();
    }
    world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(world.git(&["show", "main:whole.md"]), content(8));
    let files = world.git(&["ls-tree", "-r", "--name-only", "main"]);
    assert_eq!(files, "a.txt\nb.txt\ntest.sh\nwhole.md");
}

/// Proves S-2.2.5: links that lead out are neither read, listed nor written through, at any place of
/// a path and after however many steps; those that stay inside can be read.
#[test]
fn no_link_leads_out() {
    let mut world = World::new();
    let outside = world.dir.path().join("outside");
    fs::create_dir(&outside).expect("writable");
    fs::write(outside.join("secret"), "hidden words\n").expect("writable");
    let link = |to: &str, name: &str| symlink(to, world.repo.join(name)).expect("a new link");
    world.write("real/in.md", "inside words\n");
    link(outside.to_str().expect("UTF-8"), "absolute");
    link("real", "parent");
    link("../../../../../../../../../../proc/self/root", "above");
    link("/proc/self/root", "proc");
    link("../absolute/secret", "real/over");
    for n in 0..41 {
        link(&format!("chain{}", n + 1), &format!("chain{n}"));
    }
    link("real/in.md", "chain41");
    commit_all(&world);
    let secret = outside.join("secret").display().to_string();
    let out = [
        "absolute/secret".to_owned(),
        format!("above{secret}"),
        format!("proc{secret}"),
        "real/over".to_owned(),
        "chain0".to_owned(),
        format!("real/../..{secret}"),
        secret,
    ];
    let mut turns = String::new();
    for path in &out {
        turns.push_str(&format!(
            "{{tools: [{{read: {{path: '{path}'}}}}]}},\n\
             {{tools: [{{write: {{path: '{path}', content: changed}}}}]}},\n\
             {{tools: [{{grep: {{path: '{path}', pattern: hidden}}}}]}},\n"
        ));
    }
    turns.push_str(
        "{tools: [{read: {path: chain40}}, {read: {path: parent/in.md}}]},\n\
         {tools: [{write: {path: b.txt, content: b}}, {finish: {summary: x}}]}",
    );
    plan_of(&mut world, &format!("[{turns}]"));
    let said = said(&world);
    assert_eq!(refusals(&world), 3 * out.len(), "{said}");
    assert_says_nothing_of(&said, "hidden words");
    assert_says(
        &said,
        "it leads out of the worktree, or to nothing; only files inside can be used",
    );
    assert_says(&said, "its `..` lead out of the worktree");
    assert_eq!(said.matches("     1\tinside words\n").count(), 2, "{said}");
    assert_eq!(fs::read_to_string(outside.join("secret")).expect("there"), "hidden words\n");
    assert_eq!(fs::read_dir(&outside).expect("there").count(), 1);
}

/// Proves S-2.2.6: names are what they are, byte for byte, to the landed commit; `..` that stays
/// inside is taken back.
#[test]
fn odd_names_land_as_they_are() {
    let mut world = World::new();
    let long = "n".repeat(255);
    let names = ["caf\u{e9}.md", "cafe\u{301}.md", "dots...", "Case.md", "case.md", &long];
    let mut turns = String::new();
    for name in names {
        turns.push_str(&format!("{{write: {{path: 'x/../odd/{name}', content: '{name}'}}}}, "));
    }
    let too_long = format!("odd/{long}n");
    turns.push_str(&format!("{{write: {{path: {too_long}, content: x}}}}, "));
    // What is not UTF-8 no tool can name; a program can make it.
    let raw = shell(&world, "raw.sh", "printf raw >\"$(printf 'odd/r\\377w')\"\n");
    turns.push_str(&format!("{{run: {{command: '{raw}'}}}}"));
    let turns = format!("[{{tools: [{turns}]}}, {{tools: [{{finish: {{summary: x}}}}]}}]");
    plan_of(&mut world, &turns);
    let said = said(&world);
    assert_eq!(refusals(&world), 1, "{said}");
    assert_says(&said, "File name too long");

    let mut wanted: Vec<Vec<u8>> = names.iter().map(|it| format!("odd/{it}").into()).collect();
    wanted.push(b"odd/r\xffw".to_vec());
    for name in &wanted {
        let path = world.repo.join(OsStr::from_bytes(name));
        assert!(path.exists(), "{path:?} is in the checkout that followed");
    }
    let mut wanted: Vec<String> = wanted.iter().map(|it| as_git_prints(it)).collect();
    wanted.sort_unstable();
    let landed = world.git(&["ls-tree", "--name-only", "main", "odd/"]);
    let mut landed: Vec<&str> = landed.lines().collect();
    landed.sort_unstable();
    assert_eq!(landed, wanted);
}

/// A name as git prints it: in quotes and with octal numbers where it is not plain ASCII.
fn as_git_prints(name: &[u8]) -> String {
    if name.is_ascii() {
        return String::from_utf8_lossy(name).into_owned();
    }
    let octal = |it: &u8| {
        if it.is_ascii() { char::from(*it).to_string() } else { format!("\\{it:03o}") }
    };
    format!("\"{}\"", name.iter().map(octal).collect::<String>())
}

/// Proves S-2.2.2: what the operating system refuses is told with what was asked, of what, and what
/// helps.
#[test]
fn a_refusal_of_the_system_says_what_helps() {
    let mut world = World::new();
    // Root may write whatever the mode says, but not this.
    let lock = "mkdir locked; chmod 555 locked; chattr +i locked 2>/dev/null; true\n";
    let open = "chattr -i locked 2>/dev/null; chmod 755 locked\n";
    let (lock, open) = (shell(&world, "lock.sh", lock), shell(&world, "open.sh", open));
    let turns = format!(
        "[{{tools: [{{run: {{command: '{lock}'}}}}]}},\n\
          {{tools: [{{write: {{path: locked/b.txt, content: b}}}}]}},\n\
          {{tools: [{{run: {{command: '{open}'}}}}]}},\n\
          {{tools: [{{write: {{path: locked/b.txt, content: b}}}}, {{finish: {{summary: x}}}}]}}]"
    );
    plan_of(&mut world, &turns);
    let said = said(&world);
    assert_says(&said, "error: could not write `locked/b.txt`: ");
    assert_says(&said, "`chmod u+wx locked` with run, then try again");
    assert_eq!(refusals(&world), 1);
    assert_eq!(world.git(&["show", "main:locked/b.txt"]), "b");
}
