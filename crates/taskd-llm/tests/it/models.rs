//! Which model a name stands for.

use std::{collections::BTreeMap, error::Error as _, fs, path::Path, sync::Arc};

use taskd_llm::{Cassette, Catalog, Llm, LlmError, MAX_SCRIPTS, Models};
use taskd_model::Failure;

use crate::{call, reply};

/// The models of a daemon without credentials.
fn models() -> Models {
    Models::new(Catalog::built_in(), None)
}

fn resolve(models: &Models, name: &str) -> Result<Arc<dyn Llm>, LlmError> {
    models.resolve(name, &BTreeMap::new()).map(|it| it.llm)
}

fn script(dir: &Path, text: &str) -> String {
    let path = dir.join("a.yaml");
    fs::write(&path, text).expect("a script");
    format!("scripted:{}", path.display())
}

#[tokio::test]
async fn a_script_is_read_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.yaml");
    let name = format!("scripted:{}", path.display());
    fs::write(&path, "default: {say: before}").expect("a script");

    let models = models();
    let model = resolve(&models, &name).expect("a model");
    assert_eq!(reply(&*model, call(0)).await, "done End: \"before\"");

    fs::write(&path, "default: {say: after}").expect("another script");
    let again = resolve(&models, &name).expect("a model");
    assert_eq!(reply(&*again, call(0)).await, "done End: \"before\"");

    let next_life = resolve(&self::models(), &name).expect("a model");
    assert_eq!(reply(&*next_life, call(0)).await, "done End: \"after\"");
}

#[test]
fn a_script_that_was_wrong_may_be_corrected() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.yaml");
    let name = format!("scripted:{}", path.display());
    let models = models();

    fs::write(&path, "default: {shout: hello}").expect("a file");
    let error = resolve(&models, &name).expect_err("not a script");
    assert_eq!(error.class(), Failure::Permanent);
    let why = error.source().expect("why it is none").to_string();
    assert!(why.contains("a.yaml:1:11: unknown field `shout`"), "{why}");

    fs::write(&path, "default: {say: hello}").expect("a script");
    resolve(&models, &name).expect("a model");
}

#[test]
fn the_cache_is_bounded() {
    let dir = tempfile::tempdir().expect("a directory");
    let models = models();
    for n in 0..=MAX_SCRIPTS {
        let path = dir.path().join(format!("{n}.yaml"));
        fs::write(&path, format!("default: {{say: {n}}}")).expect("a script");
        resolve(&models, &format!("scripted:{}", path.display())).expect("a model");
    }
    let kept = format!("{models:?}").matches("Scripted").count();
    assert_eq!(kept, MAX_SCRIPTS);
}

#[test]
fn unknown_names_say_what_exists() {
    let models = models();
    for name in ["claude-opus", "anthropic:claude-opus", "", "scripted", "acme/x", "anthropic/"] {
        let error = resolve(&models, name).expect_err("no such model");
        assert!(matches!(error, LlmError::UnknownProvider { .. }));
        assert_eq!(error.class(), Failure::Permanent);
        assert_eq!(
            error.to_string(),
            format!(
                "no provider for model {name:?}: a model is named as one of anthropic/MODEL, \
                 gemini/MODEL, local/MODEL, openai/MODEL, openai-chat/MODEL, scripted:/absolute/path.yaml"
            )
        );
        assert_eq!(models.facts(name).window, None);
    }
    let error = resolve(&models, "scripted:demo.yaml").expect_err("not absolute");
    assert_eq!(
        error.to_string(),
        "model \"scripted:demo.yaml\" needs an absolute path after `scripted:`"
    );
    assert_eq!(error.class(), Failure::Permanent);
}

#[test]
fn facts_need_no_credential() {
    let models = models();
    let known = models.facts("anthropic/claude-sonnet-4-5");
    assert_eq!((known.window, known.max_output), (Some(200_000), Some(64_000)));
    let unknown = models.facts("anthropic/claude-of-tomorrow");
    assert_eq!((unknown.price, unknown.max_output), (None, None));
    let error = resolve(&models, "anthropic/claude-sonnet-4-5").expect_err("no credential");
    assert!(matches!(error, LlmError::MissingCredential { .. }), "{error}");
}

#[test]
fn a_model_behind_http_is_made_once_for_each_credential() {
    let models = models();
    let with = |key: &str| BTreeMap::from([("ANTHROPIC_API_KEY".to_owned(), key.to_owned())]);
    let name = "anthropic/claude-of-tomorrow";
    let first = models.resolve(name, &with("sk-1")).expect("a model");
    let again = models.resolve(name, &with("sk-1")).expect("a model");
    assert!(Arc::ptr_eq(&first.llm, &again.llm));
    assert_eq!((first.provider.as_str(), first.price), ("anthropic", None));
    let other = models.resolve(name, &with("sk-2")).expect("a model");
    assert!(!Arc::ptr_eq(&first.llm, &other.llm));
    assert_eq!(first.identity, again.identity);
    assert_ne!(first.identity, other.identity);
    assert!(!format!("{models:?} {first:?}").contains("sk-"), "nothing shows a credential");
}

#[tokio::test]
async fn what_was_recorded_answers_without_script_or_credential() {
    let dir = tempfile::tempdir().expect("a directory");
    let name = script(dir.path(), "default: {say: hello}");
    let tapes = dir.path().join("tapes");
    let cassette = |mode| Cassette::parse(&format!("{mode}:{}", tapes.display())).expect("a mode");

    let recording = Models::new(Catalog::built_in(), Some(cassette("record")));
    let live = resolve(&recording, &name).expect("a model");
    assert_eq!(reply(&*live, call(0)).await, "done End: \"hello\"");

    fs::remove_file(dir.path().join("a.yaml")).expect("it was there");
    let playing = Models::new(Catalog::built_in(), Some(cassette("replay")));
    let played = resolve(&playing, &name).expect("a model");
    assert_eq!(reply(&*played, call(0)).await, "done End: \"hello\"");
    let priced = playing.resolve("anthropic/claude-sonnet-4-5", &BTreeMap::new());
    assert!(priced.expect("no credential is needed").price.is_some());
    resolve(&playing, "acme/x").expect_err("it is unknown all the same");
}
