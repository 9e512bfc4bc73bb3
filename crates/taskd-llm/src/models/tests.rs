//! How a provider is reached with what a client handed over.

use super::*;

fn credentials(given: &[(&str, &str)]) -> BTreeMap<String, String> {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Where and with what a provider's model is called.
fn reached(name: &str, given: &[(&str, &str)]) -> Result<(HttpSettings, Digest), LlmError> {
    let catalog = Catalog::built_in();
    let (provider, model) = name.split_once('/').expect("a provider");
    settings(catalog.provider(provider).expect("known"), model, &credentials(given))
}

#[test]
fn a_credential_and_a_place_come_from_the_client() {
    let key = ("ANTHROPIC_API_KEY", "sk-secret");
    let (it, mark) = reached("anthropic/claude-x", &[key]).expect("a place");
    assert_eq!((it.provider.as_str(), it.model.as_str()), ("anthropic", "claude-x"));
    assert_eq!(it.base_url, "https://api.anthropic.com");
    assert_eq!(it.key, Some(Secret::new("sk-secret".to_owned())));
    let url = ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9/");
    let (there, elsewhere) = reached("anthropic/claude-x", &[key, url]).expect("a place");
    assert_eq!(there.base_url, "http://127.0.0.1:9");
    assert_ne!(mark, elsewhere);
    let (_, other) =
        reached("anthropic/claude-x", &[("ANTHROPIC_API_KEY", "sk-other")]).expect("a place");
    assert_ne!(mark, other);
    // A server of one's own needs none, and takes one.
    let (it, _) = reached("local/qwen3:8b", &[]).expect("a place");
    assert_eq!((it.base_url.as_str(), it.key), ("http://127.0.0.1:11434/v1", None));
    let given = [("TASKD_LOCAL_KEY", "k"), ("TASKD_LOCAL_URL", "http://box:1/v1")];
    let (it, _) = reached("local/hf.co/a/b", &given).expect("a place");
    assert_eq!((it.model.as_str(), it.base_url.as_str()), ("hf.co/a/b", "http://box:1/v1"));
    assert_eq!(it.key, Some(Secret::new("k".to_owned())));
}

#[test]
fn a_missing_credential_says_which_and_what_to_do() {
    for given in [&[][..], &[("OPENAI_API_KEY", "x")], &[("ANTHROPIC_API_KEY", " ")]] {
        let error = reached("anthropic/claude-x", given).expect_err("no credential");
        assert_eq!(error.class(), taskd_model::Failure::Auth);
        assert_eq!(
            error.to_string(),
            "no credential for provider anthropic: ANTHROPIC_API_KEY is not set; \
             `export ANTHROPIC_API_KEY=...` and run `taskd resume ID` in that shell"
        );
    }
}

#[test]
fn a_place_that_is_none_is_named_by_its_variable_alone() {
    let given = [("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_BASE_URL", "https://me:pw@x")];
    let said = reached("anthropic/x", &given).expect_err("a user in it").to_string();
    assert!(said.contains("ANTHROPIC_BASE_URL is no URL") && !said.contains("pw"), "{said}");
}
