//! Stories of models that use the file tools, well and badly.
#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use proptest::prelude::*;
use serde_json::{Value, json};
use taskd_tools::files::{Limits, ReadSet, ToolOutput, Workspace, catalog, execute_file_tool};
use tempfile::TempDir;

#[test]
fn reading_numbers_the_lines_and_pages() {
    let mut tree = Tree::new();
    tree.put("a.txt", "one\ntwo\r\nthree");
    assert_eq!(
        tree.ok("read", json!({"path": "a.txt"})),
        "     1\tone\n     2\ttwo\n     3\tthree\n"
    );
    assert_eq!(
        tree.ok("read", json!({"path": "./a.txt", "offset": 2, "limit": 1})),
        "     2\ttwo\n[more lines follow; continue with offset 3]\n"
    );
    assert_eq!(
        tree.ok("read", json!({"path": "a.txt", "offset": 9})),
        "[the file has only 3 lines]\n"
    );
    tree.put("empty", "");
    assert_eq!(tree.ok("read", json!({"path": "empty"})), "[the file is empty]\n");
    let absolute = tree.root().join("a.txt");
    assert!(tree.ok("read", json!({"path": absolute})).contains("one"));
}

#[test]
fn reading_is_bounded_in_lines_bytes_and_width() {
    let mut tree = Tree::new();
    tree.put("many", "x\n".repeat(5000));
    let text = tree.ok("read", json!({"path": "many", "limit": 100_000}));
    assert_eq!(text.lines().count(), 2001);
    assert!(text.ends_with("[more lines follow; continue with offset 2001]\n"));

    tree.put("wide", "é".repeat(3000) + "\nnext\n");
    let text = tree.ok("read", json!({"path": "wide"}));
    assert!(
        text.starts_with(&format!(
            "     1\t{}… [cut: this line has 6001 bytes]\n",
            "é".repeat(2000)
        ))
    );
    assert!(text.ends_with("     2\tnext\n"), "no word about UTF-8 for our own cut");

    tree.put("fat", ("y".repeat(1999) + "\n").repeat(1000));
    let text = tree.ok("read", json!({"path": "fat"}));
    assert!(text.len() < (256 << 10) + 4096, "{}", text.len());
    assert!(text.ends_with("continue with offset 132]\n"), "{}", &text[text.len() - 60..]);
}

/// Proves E5: binary files are named as such; pipes and sockets are refused by every tool.
#[test]
fn odd_files_are_refused_without_blocking_or_memory() {
    let mut tree = Tree::new();
    tree.put("binary", b"\x7fELF\0\0");
    assert!(tree.error("read", json!({"path": "binary"})).contains("binary file"));

    mkfifo(&tree.root().join("pipe"), Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(tree.root().join("socket")).unwrap();
    for path in ["pipe", "socket"] {
        for (tool, args) in [
            ("read", json!({"path": path})),
            ("write", json!({"path": path, "content": ""})),
            ("edit", json!({"path": path, "old": "a", "new": "b"})),
            ("grep", json!({"path": path, "pattern": "x"})),
        ] {
            let text = tree.error(tool, args);
            assert!(text.contains("a pipe, socket or device"), "{tool}: {text}");
        }
    }
    assert!(tree.error("read", json!({"path": "."})).contains("use list"));
    assert!(tree.error("list", json!({"path": "binary"})).contains("not a directory"));
    // They are in nobody's way either.
    assert_eq!(tree.ok("glob", json!({"pattern": "*"})), "binary\n");
    assert_eq!(tree.ok("grep", json!({"pattern": "ELF"})), "[no line matches]\n");
}

#[test]
fn a_sparse_file_of_ten_gigabytes_is_no_trouble() {
    let mut tree = Tree::new();
    let mut file = fs::File::create(tree.root().join("sparse")).unwrap();
    file.write_all(&[b"text\n".repeat(4000), b"long ".repeat(100)].concat()).unwrap();
    file.set_len(10 << 30).unwrap();
    let began = Instant::now();
    let text = tree.ok("read", json!({"path": "sparse", "offset": 3999}));
    assert!(text.starts_with("  3999\ttext\n  4000\ttext\n  4001\tlong long"), "{}", &text[..50]);
    assert!(text.contains("stopped in line 4001: no more than 64 MiB are looked at"), "{text}");
    assert!(text.contains("too large to be edited"));
    assert!(tree.error("write", json!({"path": "sparse", "content": "x"})).contains("use run"));
    assert!(tree.ok("grep", json!({"pattern": "text"})).contains("1 files were not searched"));
    assert!(began.elapsed().as_secs() < 20);
}

#[test]
fn what_is_not_utf8_is_shown_and_never_panics() {
    let mut tree = Tree::new();
    tree.put("latin1", b"caf\xe9 one\n");
    let text = tree.ok("read", json!({"path": "latin1"}));
    assert!(text.starts_with("     1\tcaf\u{fffd} one\n[bytes that are not UTF-8"));
    assert!(
        tree.error("edit", json!({"path": "latin1", "old": "one", "new": "two"}))
            .contains("not UTF-8")
    );

    let name = OsStr::from_bytes(b"bad\xff\nname.rs");
    fs::write(tree.root().join(name), "find me\n").unwrap();
    assert!(tree.ok("list", json!({})).contains("bad\\xff\\nname.rs (8 bytes)\n"));
    assert_eq!(tree.ok("glob", json!({"pattern": "*.rs"})), "bad\\xff\\nname.rs\n");
    assert_eq!(tree.ok("grep", json!({"pattern": "me"})), "bad\\xff\\nname.rs:1:find me\n");
}

#[test]
fn nothing_leads_out_of_the_worktree() {
    let mut tree = Tree::new();
    let outside = tree.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "hidden\n").unwrap();
    let root = tree.root();
    symlink(&outside, root.join("absolute")).unwrap();
    symlink("../outside", root.join("relative")).unwrap();
    symlink("../outside/secret", root.join("file")).unwrap();
    symlink("../outside/fresh", root.join("dangling")).unwrap();
    symlink("/proc/self/root", root.join("proc")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    for path in [
        "absolute/secret",
        "relative/secret",
        "relative/new/deep",
        "file",
        "dangling",
        "proc/etc/passwd",
        "loop",
        "../outside/secret",
        "new/../../outside/secret",
        "/etc/passwd",
        "/proc/self/cwd/x",
    ] {
        tree.error("read", json!({"path": path}));
        tree.error("list", json!({"path": path}));
        tree.error("grep", json!({"path": path, "pattern": "hidden"}));
        tree.error("glob", json!({"path": path, "pattern": "*"}));
        tree.error("write", json!({"path": path, "content": "x"}));
        tree.error("edit", json!({"path": path, "old": "hidden", "new": "x"}));
    }
    assert_eq!(tree.ok("grep", json!({"pattern": "hidden"})), "[no line matches]\n");
    assert!(!tree.ok("glob", json!({"pattern": "**/secret"})).contains("secret\n"));
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "hidden\n");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert!(tree.ok("list", json!({})).contains("file -> ../outside/secret\n"));
}

#[test]
fn links_that_stay_inside_can_be_read_but_not_written() {
    let mut tree = Tree::new();
    tree.put("real/a.txt", "text\n");
    symlink("real", tree.root().join("dir")).unwrap();
    symlink("real/a.txt", tree.root().join("link")).unwrap();
    assert_eq!(tree.ok("read", json!({"path": "link"})), "     1\ttext\n");
    assert_eq!(tree.ok("read", json!({"path": "dir/a.txt"})), "     1\ttext\n");
    let text = tree.error("write", json!({"path": "link", "content": "x"}));
    assert!(text.contains("it leads to `real/a.txt`"), "{text}");
    let text = tree.error("edit", json!({"path": "dir/a.txt", "old": "text", "new": "x"}));
    assert!(text.contains("`dir` is reached through a symbolic link"), "{text}");
    assert_eq!(tree.get("real/a.txt"), "text\n");
}

/// A directory that is swapped for a link that leads out, while files are written below it.
#[cfg(target_os = "linux")]
#[test]
fn a_swapped_directory_leads_nobody_out() {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

    let mut tree = Tree::new();
    let outside = tree.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let root = tree.root();
    fs::create_dir(root.join("d")).unwrap();
    symlink(&outside, root.join("link")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (d, link) = (root.join("d"), root.join("link"));
            while !stop.load(order) {
                renameat2(AT_FDCWD, &d, AT_FDCWD, &link, RenameFlags::RENAME_EXCHANGE).unwrap();
            }
        });
        let (mut written, mut refused) = (0, 0);
        for n in 0..100_000 {
            let args = json!({"path": format!("d/{n}"), "content": "x"});
            match tree.call("write", &args).text.starts_with("created") {
                true => written += 1,
                false => refused += 1,
            }
            if 100 <= written && 100 <= refused {
                break;
            }
        }
        stop.store(true, order);
        assert!(100 <= written && 100 <= refused, "{written} and {refused}");
    });
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn gits_own_files_cannot_be_written() {
    let mut tree = Tree::new();
    tree.put(".git/config", "[core]\n");
    tree.put("sub/.git", "gitdir: x\n");
    symlink(".git", tree.root().join("alias")).unwrap();
    for path in
        [".git/config", ".GIT/config", ".git/hooks/pre-commit", "sub/.git", ".git", "alias/config"]
    {
        tree.error("write", json!({"path": path, "content": "x"}));
        tree.error("edit", json!({"path": path, "old": "core", "new": "x"}));
    }
    assert_eq!(tree.get(".git/config"), "[core]\n");
    tree.ok("write", json!({"path": ".gitignore", "content": "target\n"}));
    assert_eq!(tree.ok("grep", json!({"pattern": "core|gitdir"})), "[no line matches]\n");
}

#[test]
fn a_new_file_needs_no_reading_an_old_one_does() {
    let mut tree = Tree::new();
    let answer = tree.call("write", &json!({"path": "a/b/c.txt", "content": "one\n"}));
    assert_eq!(answer.text, "created a/b/c.txt (1 lines, 4 bytes)");
    assert_eq!(answer.wrote, ["a/b/c.txt"]);
    // What we wrote we know.
    tree.ok("edit", json!({"path": "a/b/c.txt", "old": "one", "new": "two"}));

    tree.put("old.txt", "first\n");
    assert!(
        tree.error("write", json!({"path": "old.txt", "content": "x"})).contains("read it first")
    );
    assert!(
        tree.error("edit", json!({"path": "old.txt", "old": "first", "new": "x"}))
            .contains("read it first")
    );
    tree.ok("read", json!({"path": "old.txt"}));
    tree.put("old.txt", "somebody else\n");
    assert!(
        tree.error("write", json!({"path": "old.txt", "content": "x"})).contains("has changed")
    );
    tree.ok("read", json!({"path": "old.txt"}));
    assert!(tree.ok("write", json!({"path": "old.txt", "content": "x"})).starts_with("replaced"));
    assert_eq!(tree.get("old.txt"), "x");
    assert!(
        tree.error("edit", json!({"path": "none", "old": "a", "new": "b"}))
            .contains("does not exist")
    );
    assert!(
        tree.error("write", json!({"path": "old.txt/below", "content": ""})).contains("is a file")
    );
}

#[test]
fn writing_is_whole_bounded_and_keeps_the_mode() {
    let mut tree = Tree::new();
    tree.put("run.sh", "#!/bin/sh\n");
    fs::set_permissions(tree.root().join("run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    tree.ok("read", json!({"path": "run.sh"}));
    tree.ok("write", json!({"path": "run.sh", "content": "#!/bin/bash\n"}));
    let mode = fs::metadata(tree.root().join("run.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o750);

    let big = "x".repeat((1 << 20) + 1);
    assert!(tree.error("write", json!({"path": "big", "content": big})).contains("1048576"));
    tree.ok("write", json!({"path": "big", "content": &big[1..]}));
    let left: Vec<_> =
        fs::read_dir(tree.root()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "no temporary file is left: {left:?}");
    assert!(
        tree.error("write", json!({"path": "y".repeat(300), "content": ""})).contains("could not")
    );
}

#[test]
fn an_edit_must_say_exactly_where() {
    let mut tree = Tree::new();
    tree.put("a.rs", "fn a() {\n    one();\n}\nfn b() {\n    one();\n}\n");
    tree.ok("read", json!({"path": "a.rs"}));
    let edit = |old: &str, new: &str| json!({"path": "a.rs", "old": old, "new": new});
    assert!(tree.error("edit", edit("    one();", "two")).contains("occurs 2 times"));
    let text = tree.error("edit", edit("fn b() {\n  one();", "x"));
    assert!(text.contains("(line 4 differs only in whitespace"), "{text}");
    assert!(tree.error("edit", edit("three", "x")).contains("does not occur"));
    assert!(tree.error("edit", edit("", "x")).contains("is empty"));
    assert!(tree.error("edit", edit("one", "one")).contains("nothing to change"));
    assert_eq!(
        tree.ok("edit", edit("fn b() {\n    one();", "fn b() {\n    two();")),
        "edited a.rs in 1 place\n     1\tfn a() {\n     2\t    one();\n     3\t}\n     4\tfn b() {\n     5\t    two();\n     6\t}\n"
    );
    let mut all = edit("();", "()?;");
    all["all"] = json!(true);
    assert!(tree.ok("edit", all).starts_with("edited a.rs in 2 places\n"));
    assert_eq!(tree.get("a.rs"), "fn a() {\n    one()?;\n}\nfn b() {\n    two()?;\n}\n");

    tree.put("dos.txt", "one\r\ntwo\r\n");
    tree.ok("read", json!({"path": "dos.txt"}));
    tree.ok("edit", json!({"path": "dos.txt", "old": "one\ntwo\n", "new": "1\n2\n"}));
    assert_eq!(tree.get("dos.txt"), "1\r\n2\r\n");
}

#[test]
fn an_edit_cannot_grow_a_file_without_end() {
    let mut tree = Tree::new();
    tree.put("a", "x".repeat(1 << 20));
    tree.ok("read", json!({"path": "a"}));
    let big = "y".repeat(1 << 20);
    let text = tree.error("edit", json!({"path": "a", "old": "x", "new": big, "all": true}));
    assert!(text.contains("the limit is 8388608 bytes"), "{text}");
}

#[test]
fn globbing_is_sorted_and_leaves_out_what_git_ignores() {
    let mut tree = Tree::new();
    tree.put(".gitignore", "target/\n*.log\n!keep.log\n/only-root\n");
    tree.put("src/.gitignore", "generated.rs\n");
    for path in [
        "src/b.rs",
        "src/a.rs",
        "src/generated.rs",
        "generated.rs",
        "target/x.rs",
        "x.log",
        "keep.log",
        "only-root",
        "src/only-root",
        ".hidden.rs",
        "src/deep/c.rs",
    ] {
        tree.put(path, "fn main\n");
    }
    assert_eq!(
        tree.ok("glob", json!({"pattern": "*.rs"})),
        ".hidden.rs\ngenerated.rs\nsrc/a.rs\nsrc/b.rs\nsrc/deep/c.rs\n"
    );
    assert_eq!(tree.ok("glob", json!({"pattern": "src/*.rs"})), "src/a.rs\nsrc/b.rs\n");
    assert_eq!(tree.ok("glob", json!({"pattern": "deep/*", "path": "src"})), "src/deep/c.rs\n");
    assert_eq!(tree.ok("glob", json!({"pattern": "*{log,root}"})), "keep.log\nsrc/only-root\n");
    // Whoever names an ignored directory means it.
    assert_eq!(tree.ok("glob", json!({"pattern": "*", "path": "target"})), "target/x.rs\n");
    assert_eq!(tree.ok("glob", json!({"pattern": "*.zig"})), "[no file matches]\n");
    assert!(tree.error("glob", json!({"pattern": "a["})).contains("glob"));
    assert!(tree.ok("list", json!({})).contains("target/\n"), "list shows everything");
    assert!(!tree.ok("grep", json!({"pattern": "main"})).contains("target"));
}

#[test]
fn a_gitignore_that_is_a_pipe_blocks_nobody() {
    let mut tree = Tree::new();
    mkfifo(&tree.root().join(".gitignore"), Mode::S_IRWXU).unwrap();
    tree.put("a.rs", "x");
    assert_eq!(tree.ok("glob", json!({"pattern": "*"})), "a.rs\n");
}

#[test]
fn many_files_are_cut_off_with_a_word_about_it() {
    let mut tree = Tree::new();
    for number in 0..1100 {
        tree.put(format!("d/{number:04}"), "hit\n");
    }
    let text = tree.ok("glob", json!({"pattern": "*"}));
    assert_eq!(text.lines().count(), 1001);
    assert!(text.ends_with("[more than 1000 files match; use a narrower pattern]\n"));
    let text = tree.ok("list", json!({"path": "d"}));
    assert!(text.ends_with("[100 others are not shown; use glob with a pattern]\n"), "{text}");
    let text = tree.ok("grep", json!({"pattern": "hit"}));
    assert_eq!(text.lines().count(), 201);
    assert!(text.ends_with("[there is more; narrow the pattern, `path` or `glob`]\n"));

    tree.limits.walk_max_entries = 500;
    assert!(
        tree.ok("glob", json!({"pattern": "nothing"})).contains("not everything was looked at")
    );
    assert!(
        tree.ok("list", json!({"path": "d"}))
            .ends_with("[there are more, too many to count; use glob with a pattern]\n")
    );
    tree.limits.walk_max_depth = 0;
    assert!(tree.ok("grep", json!({"pattern": "hit"})).contains("not everything was searched"));
}

#[test]
fn grepping_finds_lines() {
    let mut tree = Tree::new();
    tree.put("src/a.rs", "fn one() {}\nlet One = 1;\r\n");
    tree.put("doc/a.md", "one\n");
    tree.put("bin", b"one\0one\n");
    assert_eq!(
        tree.ok("grep", json!({"pattern": "one"})),
        "doc/a.md:1:one\nsrc/a.rs:1:fn one() {}\n"
    );
    assert_eq!(
        tree.ok("grep", json!({"pattern": "^.*one", "ignore_case": true, "glob": "*.rs"})),
        "src/a.rs:1:fn one() {}\nsrc/a.rs:2:let One = 1;\n"
    );
    assert_eq!(
        tree.ok("grep", json!({"pattern": r"\bone\b", "path": "doc/a.md"})),
        "doc/a.md:1:one\n"
    );
    assert_eq!(
        tree.ok("grep", json!({"pattern": "one", "path": "src"})),
        "src/a.rs:1:fn one() {}\n"
    );
    assert!(tree.error("grep", json!({"pattern": "("})).contains("regular expression"));
    assert!(
        tree.error("grep", json!({"pattern": "(a{1000}){1000}"})).contains("regular expression")
    );
    assert!(tree.error("grep", json!({"pattern": ""})).contains("empty"));
    assert!(
        tree.error("grep", json!({"pattern": "x", "path": "nowhere"})).contains("does not exist")
    );

    tree.put("wide", "é".repeat(1000) + "end\n" + &"z".repeat(5 << 20) + "end");
    let text = tree.ok("grep", json!({"pattern": "end$", "path": "wide"}));
    assert!(text.starts_with(&format!("wide:1:{}…\n", "é".repeat(400))));
    assert!(text.contains("1 files were not searched to their end"));
}

#[test]
fn a_call_that_is_not_allowed_or_not_understood_is_an_answer() {
    let mut tree = Tree::new();
    tree.put("a", "x");
    tree.allow = vec!["read".into(), "grep".into()];
    assert!(
        tree.error("write", json!({"path": "b", "content": ""})).contains("`write` is not allowed")
    );
    assert!(!tree.root().join("b").exists());
    assert!(tree.error("reed", json!({})).contains("did you mean `read`?"));
    assert!(
        tree.error("read", json!({"file_path": "a"}))
            .contains("unknown field `file_path`, expected one of")
    );
    assert!(tree.error("read", json!({})).contains("missing field `path`"));
    assert!(tree.error("read", json!({"path": 1})).contains("expected a string"));
    assert!(tree.error("read", json!(["a"])).contains("not an object"));
    for broken in ["", "{", "null", "\u{0}", "{\"path\":\"\\ud800\"}"] {
        let answer = tree.call_raw("read", broken);
        assert!(answer.is_error, "{broken:?}");
    }
    let deep = "[".repeat(100_000);
    assert!(tree.call_raw("read", &format!("{{\"path\":{deep}")).is_error);
}

#[test]
fn finish_does_nothing_and_run_is_not_ours() {
    let mut tree = Tree::new();
    assert!(tree.ok("finish", json!({"summary": "all done"})).contains("gate"));
    assert!(tree.error("finish", json!({"summary": " "})).contains("empty"));
    assert!(tree.error("run", json!({"command": "true"})).contains("fault of taskd"));
}

#[test]
fn a_read_set_survives_serialisation() {
    let mut tree = Tree::new();
    tree.put("a", "x");
    tree.ok("read", json!({"path": "a"}));
    let text = serde_json::to_string(&tree.reads).unwrap();
    assert!(text.starts_with("{\"a\":\""), "{text}");
    assert_eq!(serde_json::from_str::<ReadSet>(&text).unwrap(), tree.reads);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_arguments_panic_or_reach_outside(
        tool in prop::sample::select(catalog()),
        path in "(\\.|\\.\\.|/|a|é|\\x00|\\.git|link|\\*|\\[|\\{|~){0,6}",
        text in ".{0,20}",
        number in any::<i64>(),
    ) {
        let mut tree = Tree::new();
        fs::write(tree.dir.path().join("canary"), "untouched").unwrap();
        symlink("..", tree.root().join("link")).unwrap();
        tree.put("a/a", "a\n");
        let every = json!({"path": &path, "content": &text, "old": "a", "new": &text, "pattern": &path,
            "glob": &text, "offset": number, "limit": number, "summary": &text, "command": &text});
        let schema: Value = serde_json::from_str(tool.schema).unwrap();
        let mut args = every.clone();
        args.as_object_mut().unwrap().retain(|name, _| schema["properties"].get(name).is_some());
        let answer = tree.call(tool.name, &args);
        prop_assert!(answer.text.len() < 300_000);
        let beside: Vec<_> = fs::read_dir(tree.dir.path()).unwrap().collect();
        prop_assert_eq!(beside.len(), 2);
        prop_assert_eq!(fs::read_to_string(tree.dir.path().join("canary")).unwrap(), "untouched");
    }
}

/// A worktree, and what the loop in it has read.
struct Tree {
    dir: TempDir,
    workspace: Workspace,
    reads: ReadSet,
    allow: Vec<String>,
    limits: Limits,
}

impl Tree {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tree");
        fs::create_dir(&root).unwrap();
        let workspace = Workspace::open(&root).unwrap();
        let allow = catalog().iter().map(|tool| tool.name.to_owned()).collect();
        Self { dir, workspace, reads: ReadSet::default(), allow, limits: Limits::default() }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    fn put(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn get(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    #[expect(clippy::needless_pass_by_value, reason = "json! is written in place")]
    fn ok(&mut self, tool: &str, args: Value) -> String {
        let answer = self.call(tool, &args);
        assert!(!answer.is_error, "{tool}: {}", answer.text);
        answer.text
    }

    #[expect(clippy::needless_pass_by_value, reason = "json! is written in place")]
    fn error(&mut self, tool: &str, args: Value) -> String {
        let answer = self.call(tool, &args);
        assert!(answer.is_error, "{tool} {args} succeeded: {}", answer.text);
        assert!(answer.wrote.is_empty() && answer.reads_added.is_empty());
        answer.text
    }

    fn call(&mut self, tool: &str, args: &Value) -> ToolOutput {
        self.call_raw(tool, &args.to_string())
    }

    fn call_raw(&mut self, tool: &str, args: &str) -> ToolOutput {
        let Self { workspace, reads, allow, limits, .. } = self;
        let answer = execute_file_tool(workspace, tool, args, allow, reads, limits);
        reads.extend(answer.reads_added.clone());
        answer
    }
}
