//! The catalog: what is read, what is refused and where, what counts on a day.

use super::*;

const TINY: &str = r#"
[providers.acme]
api = "openai-chat"
url = "https://acme.example/v1/"
key_variable = "ACME_KEY"

[[models]]
provider = "acme"
name = "big"
window = 1000
max_output = 100
since = "2025-03-01"
input = "2"
output = "10"
"#;

fn day(year: u32, month: u32, day: u32) -> Date {
    Date::new(year, month, day).expect("a day")
}

fn tiny(more: &str) -> Catalog {
    Catalog::default().with("tiny.toml", &format!("{TINY}{more}")).expect("a catalog")
}

#[track_caller]
fn complaint(text: &str) -> String {
    match Catalog::built_in().with("models.toml", text) {
        Ok(_) => panic!("not refused:\n{text}"),
        Err(error) => error.to_string(),
    }
}

/// Proves S-1.1.5.
#[test]
fn what_is_built_in_can_be_read() {
    let catalog = Catalog::built_in();
    let names: Vec<&str> = catalog.providers().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["anthropic", "gemini", "local", "openai", "openai-chat"]);
    let wanted = [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "GEMINI_API_KEY",
        "GEMINI_BASE_URL",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "TASKD_LOCAL_KEY",
        "TASKD_LOCAL_URL",
    ];
    assert_eq!(catalog.variables().into_iter().collect::<Vec<_>>(), wanted);
    let sonnet = catalog.facts("anthropic", "claude-sonnet-4-5", day(2025, 12, 1));
    let price =
        Price { input: 3_000_000, output: 15_000_000, cache_read: 300_000, cache_write: 3_750_000 };
    let facts = ModelFacts { window: Some(200_000), max_output: Some(64_000), price: Some(price) };
    assert_eq!(sonnet, facts);
    let dated = catalog.facts("anthropic", "claude-sonnet-4-5-20250929", day(2025, 12, 1));
    assert_eq!(dated, sonnet);
    // Another provider's models, under its own name.
    let mini = catalog.facts("openai", "gpt-5-mini", day(2026, 1, 1));
    assert_eq!(mini.price.map(|it| (it.input, it.cache_read)), Some((250_000, 25_000)));
    assert_eq!(catalog.facts("openai-chat", "gpt-5-mini", day(2026, 1, 1)), mini);
    assert_eq!(catalog.facts("local", "gpt-5-mini", day(2026, 1, 1)), ModelFacts::default());
    for it in catalog.models() {
        assert!(it.price.is_some() && it.window > it.max_output, "{it:?}");
    }
}

#[test]
fn the_price_is_that_of_the_day() {
    let more = "[[models]]\nprovider = 'acme'\nname = 'big'\nmax_output = 200\n\
                since = '2025-06-01'\ninput = '1.5'\noutput = '7'\ncache_read = '0.000001'\n";
    let catalog = tiny(more);
    let input = |on| catalog.facts("acme", "big", on).price.map(|it| it.input);
    assert_eq!(input(day(2025, 2, 28)), None, "not before the first");
    assert_eq!(input(day(2025, 3, 1)), Some(2_000_000));
    assert_eq!(input(day(2025, 5, 31)), Some(2_000_000));
    assert_eq!(input(day(2025, 6, 1)), Some(1_500_000));
    assert_eq!(input(day(2099, 1, 1)), Some(1_500_000));
    let before = catalog.facts("acme", "big", day(2020, 1, 1));
    assert_eq!((before.window, before.max_output), (Some(1_000), Some(100)));
    let later = catalog.facts("acme", "big", day(2025, 7, 1));
    assert_eq!((later.window, later.max_output), (None, Some(200)));
    let caches = later.price.map(|it| (it.cache_read, it.cache_write));
    assert_eq!(caches, Some((1, 1_500_000)), "a cache without a price costs what input does");
}

#[test]
fn the_longest_name_matches_and_only_dates_may_follow() {
    let more = "[[models]]\nprovider = 'acme'\nname = 'big-20250101'\nsince = '2025-01-01'\n\
                input = '9'\noutput = '9'\n[[models]]\nprovider = 'acme'\nname = 'big-mini'\n\
                since = '2025-01-01'\ninput = '1'\noutput = '1'\n";
    let catalog = tiny(more);
    let on = day(2025, 6, 1);
    let input = |model| catalog.facts("acme", model, on).price.map(|it| it.input / 1_000_000);
    assert_eq!(input("big"), Some(2));
    assert_eq!(input("big-20250202"), Some(2));
    assert_eq!(input("big-2025-02-02"), Some(2));
    assert_eq!(input("big-20250101"), Some(9));
    assert_eq!(input("big-mini"), Some(1));
    assert_eq!(input("big-mini-20250303"), Some(1));
    for other in ["big-max", "bigger", "big-", "big-2025", "big-202501011", "big-mini-x", "bi"] {
        assert_eq!(input(other), None, "{other}");
    }
}

/// Proves S-1.1.5.
#[test]
fn a_file_adds_and_overrides_entry_by_entry() {
    let text = "[providers.anthropic]\napi = 'anthropic-messages'\nurl = 'http://gate:8080/'\n\
                [providers.acme]\napi = 'openai-chat'\nurl = 'https://acme.example'\n\
                models_of = 'openai'\n[[models]]\nprovider = 'anthropic'\n\
                name = 'claude-sonnet-4-5'\nsince = '2025-09-29'\ninput = '1'\noutput = '2'\n\
                [[models]]\nprovider = 'local'\nname = 'qwen3:8b'\nwindow = 32768\n";
    let before = Catalog::built_in();
    let after = before.clone().with("models.toml", text).expect("a catalog");
    let gate = after.provider("anthropic").expect("known");
    assert_eq!((gate.url.as_str(), &gate.key_variable), ("http://gate:8080", &None));
    assert_eq!(after.provider("openai"), before.provider("openai"));
    let on = day(2026, 1, 1);
    let price = |it: &Catalog, name| it.facts("anthropic", name, on).price.map(|it| it.input);
    assert_eq!(price(&after, "claude-sonnet-4-5"), Some(1_000_000));
    assert_eq!(price(&after, "claude-haiku-4-5"), price(&before, "claude-haiku-4-5"));
    assert_eq!(after.models().count(), before.models().count() + 1);
    assert_eq!(after.facts("acme", "gpt-5", on), before.facts("openai", "gpt-5", on));
    let local = after.facts("local", "qwen3:8b", on);
    assert_eq!((local.window, local.price), (Some(32_768), None));
    assert_eq!(after.clone().with("empty.toml", "").expect("nothing is something"), after);
}

#[test]
fn what_is_wrong_is_told_by_line_and_column() {
    let provider =
        |line: &str| format!("[providers.x]\napi = 'openai-chat'\nurl = 'http://x'\n{line}");
    let model = |line: &str| format!("[[models]]\nprovider = 'openai'\nname = 'x'\n{line}");
    let cases = [
        ("[providers".to_owned(), "1:11: "),
        ("[provider.x]\n".to_owned(), "1:2: unknown field `provider`"),
        (provider("key = 'X'\n"), "4:1: unknown field `key`"),
        (model("cost = '1'\n"), "4:1: unknown field `cost`"),
        ("[providers.x]\napi = 'openai-chat'\n".to_owned(), "1:1: missing field `url`"),
        ("[providers.x]\napi = 'grpc'\nurl = 'http://x'".to_owned(), "2:7: `grpc` is none of: "),
        (
            "[providers.x]\napi = 'openai-chat'\nurl = 'x.example'".to_owned(),
            "3:7: it must be a URL",
        ),
        (
            "[providers.x]\napi = 'openai-chat'\nurl = 'https://me:pw@x'".to_owned(),
            "3:7: it must be a URL",
        ),
        (provider("key_variable = 'my key'\n"), "4:16: it must be the name of a variable"),
        (provider("key_optional = 'yes'\n"), "4:16: invalid type: string"),
        (provider("ca_file = 'ca.pem'\n"), "4:11: it must be an absolute path"),
        (provider("models_of = 'nobody'\n"), "4:13: there is no provider `nobody`"),
        (
            "\n[providers.Big]\napi = 'openai-chat'\nurl = 'http://x'".to_owned(),
            "2:12: `Big` cannot",
        ),
        (
            "[providers.scripted]\napi = 'openai-chat'\nurl = 'http://x'".to_owned(),
            "1:12: `scripted`",
        ),
        ("[[models]]\nprovider = 'nobody'\nname = 'x'".to_owned(), "2:12: there is no provider"),
        ("[[models]]\nprovider = 'openai'\nname = 'a b'".to_owned(), "3:8: it must be the name"),
        (model("window = 0\n"), "4:10: "),
        (model("window = -5\n"), "4:10: "),
        (model("max_output = '8k'\n"), "4:14: invalid type"),
        (model("since = '2025-02-29'\n"), "4:9: it must be a day"),
        (model("since = '2025-1-01'\n"), "4:9: it must be a day"),
        (model("since = 2025-01-01\n"), "4:9: invalid type"),
        (model("input = 3\n"), "4:9: invalid type"),
        (model("input = '3.1234567'\n"), "4:9: it must be dollars"),
        (model("input = '-3'\n"), "4:9: it must be dollars"),
        (model("input = '.5'\n"), "4:9: it must be dollars"),
        (model("input = '1e3'\n"), "4:9: it must be dollars"),
        (model("input = '999999999'\n"), "4:9: it must be dollars"),
        (model("input = '1'\noutput = '1'\n"), "1:1: a price needs `since`, `input` and `output`"),
        (model("cache_read = '1'\n"), "1:1: a price needs"),
        (format!("{}{}", model(""), model("")), "6:8: `x` is here twice"),
        (format!("# ä\n{}", model("window = 0 # ö\n")), "5:10: "),
    ];
    for (text, wanted) in cases {
        let said = complaint(&text);
        let place = format!("models.toml:{wanted}");
        assert!(said.starts_with(&place), "wanted {place:?}, got {said:?} for\n{text}");
        assert!(!said.contains('\n') && !said.contains("pw@"), "{said}");
    }
}

#[test]
fn days_are_counted_as_calendars_do() {
    let cases = [
        (0, "1970-01-01"),
        (58, "1970-02-28"),
        (59, "1970-03-01"),
        (364, "1970-12-31"),
        (11_016, "2000-02-29"),
        (11_017, "2000-03-01"),
        (19_782, "2024-02-29"),
        (20_360, "2025-09-29"),
        (47_540, "2100-02-28"),
        (47_541, "2100-03-01"),
    ];
    for (days, wanted) in cases {
        assert_eq!(Date::of_days(days).to_string(), wanted);
    }
    assert_eq!(Date::new(2024, 2, 29).map(|it| it.to_string()).as_deref(), Some("2024-02-29"));
    for (year, month, day) in
        [(2025, 2, 29), (2100, 2, 29), (2025, 13, 1), (2025, 4, 31), (1, 1, 1)]
    {
        assert_eq!(Date::new(year, month, day), None);
    }
    assert_eq!(Date::new(2025, 1, 0), None);
}
