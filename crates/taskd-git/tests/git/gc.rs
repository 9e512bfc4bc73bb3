//! What of ours may go, and what is saved before it does.

use std::fs;

use taskd_git::{PlaceKind, Proof};

use crate::{Stage, git, oid, write};

#[test]
fn a_clean_worktree_is_proven_and_goes_without_a_trace() {
    let stage = Stage::new(&[("a", "1\n"), (".gitignore", "target/\n")]);
    let path = stage.fresh("p1-a");
    write(&path, "a", "work\n");
    write(&path, "target/cache", "warm\n");
    let saved = stage.save("p1-a", stage.head(), None);
    let proof = stage.repo.proof("p1-a", saved.commit).expect("proof");
    assert_eq!(proof, Proof::default());
    assert!(proof.is_clean());
    assert_eq!(stage.repo.retire("p1-a", saved.commit).expect("gone"), Vec::<String>::new());
    assert!(!path.exists() && !stage.meta("p1-a").exists());
    assert_eq!(stage.repo.places().expect("places"), Vec::new());
    assert_eq!(stage.repo.retire("p1-a", saved.commit).expect("again"), Vec::<String>::new());
}

#[test]
fn what_only_the_worktree_has_is_named_and_saved_first() {
    let stage = Stage::new(&[("a", "1\n")]);
    let path = stage.fresh("p1-a");
    write(&path, "a", "work\n");
    let saved = stage.save("p1-a", stage.head(), None);
    // A commit by hand, then dirt on top of it.
    write(&path, "by-hand", "mine\n");
    git(&path, &["add", "-A"]);
    git(&path, &["commit", "-q", "-m", "by hand"]);
    let by_hand = oid(&git(&path, &["rev-parse", "HEAD"]));
    write(&path, "a", "newer\n");
    fs::remove_file(path.join("by-hand")).expect("there");
    write(&path, "new/file", "untracked\n");
    let proof = stage.repo.proof("p1-a", saved.commit).expect("proof");
    assert!(!proof.is_clean());
    assert_eq!((proof.differing, proof.stray), (2, Some(by_hand)));
    assert!(path.exists(), "a proof removes nothing");
    let refs = stage.repo.retire("p1-a", saved.commit).expect("gone");
    assert_eq!(refs.len(), 2, "{refs:?}");
    let tips: Vec<_> = refs.iter().map(|it| stage.repo.tip_of_ref(it).expect("ok")).collect();
    assert_eq!(tips[0], Some(by_hand));
    let files = tips[1].expect("there");
    assert_eq!(stage.file(files, "a").as_deref(), Some("newer\n"));
    assert_eq!(stage.file(files, "new/file").as_deref(), Some("untracked\n"));
    assert!(!path.exists());
}

#[test]
fn a_checkpoint_that_no_ref_has_is_no_proof() {
    let stage = Stage::new(&[("a", "1\n")]);
    let path = stage.fresh("p1-a");
    write(&path, "a", "work\n");
    let saved = stage.save("p1-a", stage.head(), None);
    git(&stage.root, &["update-ref", "-d", "refs/taskd/ab12/loops/p1-a"]);
    let proof = stage.repo.proof("p1-a", saved.commit).expect("proof");
    assert!(proof.unkept && !proof.is_clean());
    let refs = stage.repo.retire("p1-a", saved.commit).expect("gone");
    assert_eq!(stage.repo.tip_of_ref(&refs[0]).expect("ok"), Some(saved.commit));
}

#[test]
fn a_removal_that_was_cut_off_is_seen_and_ended() {
    let stage = Stage::new(&[("a", "1\n"), ("b", "2\n")]);
    let path = stage.fresh("p1-a");
    write(&path, "a", "work\n");
    let saved = stage.save("p1-a", stage.head(), None);
    fs::write(stage.meta("p1-a").join("taskd-removing"), "").expect("flag");
    fs::remove_file(path.join("a")).expect("half gone");
    let places = stage.repo.places().expect("places");
    assert!(places.len() == 1 && places[0].half_gone, "{places:?}");
    assert!(stage.repo.proof("p1-a", saved.commit).expect("proof").is_clean());
    assert_eq!(stage.repo.retire("p1-a", saved.commit).expect("gone"), Vec::<String>::new());
    assert_eq!(stage.repo.places().expect("places"), Vec::new());
}

#[test]
fn places_name_what_is_not_ours_and_what_is_for_gates() {
    let stage = Stage::new(&[("a", "1\n")]);
    stage.fresh("p1-a");
    stage.repo.checkout_scratch("gate-0", stage.head()).expect("scratch");
    let state = stage.repo.worktree_path("x");
    let state = state.parent().expect("a parent");
    write(&state.join("stranger"), "file", "theirs\n");
    fs::write(stage.meta("p9-b").with_file_name("readme"), "no directory\n").expect("file");
    let foreign = stage.meta("p9-b");
    fs::create_dir_all(&foreign).expect("mkdir");
    fs::write(foreign.join("taskd"), "taskd zz99 work\n/elsewhere\n").expect("marker");
    let places = stage.repo.places().expect("places");
    let kinds: Vec<_> = places.iter().map(|it| (it.name.as_str(), &it.kind)).collect();
    assert_eq!(kinds[0], ("gate-0", &PlaceKind::Scratch));
    assert_eq!(kinds[1], ("p1-a", &PlaceKind::Work));
    assert!(matches!(kinds[2], ("p9-b", PlaceKind::Other { .. })), "{kinds:?}");
    assert!(matches!(kinds[3], ("stranger", PlaceKind::Other { .. })), "{kinds:?}");
    stage.repo.remove_scratch("gate-0").expect("gone");
    stage.repo.remove_scratch("p1-a").expect_err("a loop's worktree is no scratch checkout");
    assert!(stage.repo.worktree_path("p1-a").exists());
}

#[test]
fn a_ref_goes_only_from_where_it_was_seen() {
    let stage = Stage::new(&[("a", "1\n")]);
    let path = stage.fresh("p1-a");
    write(&path, "a", "work\n");
    let saved = stage.save("p1-a", stage.head(), None).commit;
    let refs = stage.repo.own_refs().expect("refs");
    assert_eq!(refs, [("loops/p1-a".to_owned(), saved)]);
    assert!(!stage.repo.remove_own_ref("loops/p1-a", stage.head()).expect("ok"));
    assert_eq!(stage.repo.own_refs().expect("refs"), refs);
    assert!(stage.repo.remove_own_ref("loops/p1-a", saved).expect("ok"));
    assert!(stage.repo.remove_own_ref("loops/p1-a", saved).expect("again"));
    assert_eq!(stage.repo.own_refs().expect("refs"), []);
}
