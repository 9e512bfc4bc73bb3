//! Whatever an agent does to the files, restoring a checkpoint gives exactly its files.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::{Stage, files, write};

#[derive(Debug, Clone)]
enum Edit {
    Write(String, u8),
    Remove(String),
    Link(String),
    Executable(String),
    Ignore(String),
}

fn path(depth: usize) -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["a", "b", "dir", "x.o"]);
    prop::collection::vec(part, 1..=depth).prop_map(|parts| parts.join("/"))
}

fn edit(depth: usize) -> impl Strategy<Value = Edit> {
    prop_oneof![
        5 => (path(depth), any::<u8>()).prop_map(|(path, byte)| Edit::Write(path, byte % 4)),
        2 => path(depth).prop_map(Edit::Remove),
        1 => path(depth).prop_map(Edit::Link),
        1 => path(depth).prop_map(Edit::Executable),
        1 => prop::sample::select(vec!["*.o", "dir/", "b", ""]).prop_map(|s| Edit::Ignore(s.into())),
    ]
}

/// Does what it can; a path may run through a file.
fn apply(root: &Path, edit: &Edit) {
    let clear = |path: &str| {
        let full = root.join(path);
        let _gone = fs::remove_file(&full);
        let _gone = fs::remove_dir_all(&full);
        let inside = full.parent().is_some_and(|parent| {
            let _made = fs::create_dir_all(parent);
            parent.canonicalize().is_ok_and(|real| real == parent)
        });
        inside.then_some(full)
    };
    match edit {
        Edit::Write(path, byte) => {
            let Some(full) = clear(path) else { return };
            let _written = fs::write(full, [b'0' + byte, b'\n']);
        }
        Edit::Remove(path) => drop(clear(path)),
        Edit::Link(path) => {
            let Some(full) = clear(path) else { return };
            let _linked = std::os::unix::fs::symlink("a", full);
        }
        Edit::Executable(path) => {
            use std::os::unix::fs::PermissionsExt;
            let full = root.join(path);
            if fs::symlink_metadata(&full).is_ok_and(|meta| meta.is_file()) {
                let _changed = fs::set_permissions(full, fs::Permissions::from_mode(0o755));
            }
        }
        Edit::Ignore(rule) => write(root, ".gitignore", &format!("{rule}\n")),
    }
}

/// So many cases, unless `PROPTEST_CASES` says how many.
fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|it| it.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(48), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn restore_gives_exactly_the_checkpoint(
        first in prop::collection::vec(edit(3), 0..12),
        second in prop::collection::vec(edit(3), 0..12),
    ) {
        let stage = Stage::new(&[("a", "0\n"), ("dir/a", "1\n"), (".gitignore", "*.o\n")]);
        let base = stage.head();
        let path = stage.fresh("p1-a");
        for edit in &first {
            apply(&path, edit);
        }
        let saved = stage.save("p1-a", base, None);
        for edit in &second {
            apply(&path, edit);
        }
        let later = stage.save("p1-a", base, Some(saved.commit));
        stage.restore("p1-a", base, saved.commit);
        prop_assert_eq!(stage.save("p1-a", base, Some(saved.commit)).commit, saved.commit);
        // Where nothing ignored is left over, an exact copy; and from nothing at all.
        stage.restore("p1-b", base, saved.commit);
        let made = files(&stage.repo.worktree_path("p1-b"));
        let kept = files(&path);
        for (file, found) in &made {
            prop_assert_eq!(kept.get(file), Some(found), "{}", file.display());
        }
        stage.restore("p1-a", base, later.commit);
        prop_assert_eq!(stage.save("p1-a", base, Some(later.commit)).tree, later.tree);
    }

    #[test]
    fn a_quick_look_finds_what_a_whole_one_does(
        rounds in prop::collection::vec(prop::collection::vec(edit(2), 0..4), 1..9),
    ) {
        let stage = Stage::new(&[("a", "0\n"), ("dir/a", "1\n"), (".gitignore", "*.o\n")]);
        let base = stage.head();
        let path = stage.fresh("p1-a");
        let cache = |name: &str| stage.meta("p1-a").join(name);
        let (index, says) = (cache("taskd-index"), cache("taskd-index-tree"));
        let mut last = stage.save("p1-a", base, None).commit;
        for edits in &rounds {
            for edit in edits {
                apply(&path, edit);
            }
            let quick = stage.save("p1-a", base, Some(last));
            for it in [&index, &says] {
                fs::rename(it, it.with_extension("aside")).expect("set aside");
            }
            let whole = stage.save("p1-a", base, Some(last));
            prop_assert_eq!(quick.tree, whole.tree);
            for it in [&index, &says] {
                fs::rename(it.with_extension("aside"), it).expect("back");
            }
            last = quick.commit;
        }
    }
}
