//! Which model a name stands for.

use std::fs;

use taskd_llm::{LlmError, MAX_SCRIPTS, Models};
use taskd_model::Failure;

use crate::{call, reply};

#[tokio::test]
async fn a_script_is_read_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.yaml");
    let name = format!("scripted:{}", path.display());
    fs::write(&path, "default: {say: before}").expect("a script");

    let models = Models::new();
    let model = models.resolve(&name).expect("a model");
    assert_eq!(reply(&*model, call(0)).await, "done End: \"before\"");

    fs::write(&path, "default: {say: after}").expect("another script");
    let again = models.resolve(&name).expect("a model");
    assert_eq!(reply(&*again, call(0)).await, "done End: \"before\"");

    let next_life = Models::new().resolve(&name).expect("a model");
    assert_eq!(reply(&*next_life, call(0)).await, "done End: \"after\"");
}

#[test]
fn a_script_that_was_wrong_may_be_corrected() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.yaml");
    let name = format!("scripted:{}", path.display());
    let models = Models::new();

    fs::write(&path, "default: {shout: hello}").expect("a file");
    let error = models.resolve(&name).expect_err("not a script");
    assert_eq!(error.class(), Failure::Permanent);
    assert!(error.to_string().contains("a.yaml:1:11: unknown field `shout`"), "{error}");

    fs::write(&path, "default: {say: hello}").expect("a script");
    models.resolve(&name).expect("a model");
}

#[test]
fn the_cache_is_bounded() {
    let dir = tempfile::tempdir().expect("a directory");
    let models = Models::new();
    for n in 0..=MAX_SCRIPTS {
        let path = dir.path().join(format!("{n}.yaml"));
        fs::write(&path, format!("default: {{say: {n}}}")).expect("a script");
        models.resolve(&format!("scripted:{}", path.display())).expect("a model");
    }
    let kept = format!("{models:?}").matches("Scripted").count();
    assert_eq!(kept, MAX_SCRIPTS);
}

#[test]
fn unknown_names_say_what_exists() {
    let models = Models::new();
    for name in ["claude-opus", "anthropic:claude-opus", "", "scripted"] {
        let error = models.resolve(name).expect_err("no such model");
        assert!(matches!(error, LlmError::UnknownProvider { .. }));
        let told = error.to_string();
        assert!(told.contains("scripted:/") && told.contains("next release"), "{told}");
    }
    let error = models.resolve("scripted:demo.yaml").expect_err("not absolute");
    assert_eq!(
        error.to_string(),
        "model \"scripted:demo.yaml\" needs an absolute path after `scripted:`"
    );
    assert_eq!(error.class(), Failure::Permanent);
}
