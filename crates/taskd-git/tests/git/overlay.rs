//! The work with files of its base: what is judged when work changes its judge.

use std::fs;

use taskd_git::RepoPath;

use crate::{Stage, ada, git, write};

/// Names of all files of a commit, with what is in them.
fn all(stage: &Stage, commit: taskd_model::Oid) -> Vec<(String, String)> {
    let names = git(&stage.root, &["ls-tree", "-r", "--name-only", &commit.to_string()]);
    let show = |name: &str| git(&stage.root, &["show", &format!("{commit}:{name}")]);
    names.lines().map(|it| (it.to_owned(), show(it).trim().to_owned())).collect()
}

#[test]
fn files_of_the_base_are_back_whatever_stands_there() {
    let stage = Stage::new(&[
        ("gate.sh", "gate\n"),
        ("ci/run", "run\n"),
        ("ci/more", "more\n"),
        ("gone", "g\n"),
        ("src", "s\n"),
    ]);
    let base = stage.head();
    let path = stage.fresh("p1-a");
    fs::remove_file(path.join("gate.sh")).expect("rm");
    write(&path, "gate.sh/x", "a directory\n");
    fs::remove_dir_all(path.join("ci")).expect("rm");
    write(&path, "ci", "a file\n");
    fs::remove_file(path.join("gone")).expect("rm");
    write(&path, "src", "work\n");
    write(&path, "extra", "x\n");
    let saved = stage.save("p1-a", base, None);
    let changed = stage.repo.changed(base, saved.commit).expect("ok");
    let names: Vec<String> = changed.iter().map(|it| it.path.to_string()).collect();
    assert_eq!(names, ["ci", "ci/more", "ci/run", "extra", "gate.sh", "gate.sh/x", "gone", "src"]);
    let new: Vec<bool> = changed.iter().map(|it| !it.was_there).collect();
    assert_eq!(new, [true, false, false, true, false, true, false, false]);
    let paths = ["ci/run", "ci/more", "extra", "gate.sh", "gate.sh/x", "gone"].map(RepoPath::from);
    let before = git(&stage.root, &["for-each-ref"]);
    let judged = stage.repo.with_files_of(saved.commit, base, &paths, &ada()).expect("ok");
    let files = [("ci/more", "more"), ("ci/run", "run"), ("gate.sh", "gate"), ("gone", "g")];
    let mut wanted = files.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
    wanted.push(("src".to_owned(), "work".to_owned()));
    assert_eq!(all(&stage, judged), wanted);
    assert_eq!(stage.repo.first_parent(judged).expect("ok"), Some(base));
    assert_eq!(git(&stage.root, &["for-each-ref"]), before, "no ref moved");
}
