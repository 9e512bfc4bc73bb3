//! What looks like a secret in a text that is about to be handed in: it would be in prompts, in the
//! log and with a provider, for good.
//!
//! Looks for what keys of known makers begin with and are made of, and for private keys, never for
//! what only may be one: a hash is no secret.

use super::failure::Failure;

/// A kind of key: what it begins with, what it is made of, and at least how many of that follow.
struct Kind {
    name: &'static str,
    begins: &'static str,
    made_of: MadeOf,
    at_least: usize,
}

#[derive(Clone, Copy)]
enum MadeOf {
    /// Letters and digits.
    Word,
    /// Capital letters and digits.
    Upper,
    /// Hexadecimal digits.
    Hex,
    /// Letters, digits, `-` and `_`.
    Dashed,
    /// These, `.` and `/`.
    Path,
}

impl MadeOf {
    fn holds(self, it: char) -> bool {
        match self {
            Self::Word => it.is_ascii_alphanumeric(),
            Self::Upper => it.is_ascii_uppercase() || it.is_ascii_digit(),
            Self::Hex => it.is_ascii_hexdigit(),
            Self::Dashed => it.is_ascii_alphanumeric() || "-_".contains(it),
            Self::Path => it.is_ascii_alphanumeric() || "-_./".contains(it),
        }
    }
}

const fn kind(name: &'static str, begins: &'static str, made_of: MadeOf, at_least: usize) -> Kind {
    Kind { name, begins, made_of, at_least }
}

use MadeOf::{Dashed, Hex, Path, Upper, Word};

/// Longer beginnings before shorter ones.
const KINDS: [Kind; 43] = [
    kind("a key of Anthropic", "sk-ant-", Dashed, 24),
    kind("a key of OpenRouter", "sk-or-v1-", Hex, 48),
    kind("a key of OpenAI", "sk-proj-", Dashed, 32),
    kind("a key of OpenAI", "sk-svcacct-", Dashed, 32),
    kind("a key of OpenAI", "sk-admin-", Dashed, 32),
    kind("a key of a model's provider", "sk-", Word, 32),
    kind("a key of Google", "AIza", Dashed, 35),
    kind("a secret of Google", "GOCSPX-", Dashed, 24),
    kind("a key of Groq", "gsk_", Word, 40),
    kind("a key of xAI", "xai-", Word, 60),
    kind("a key of Perplexity", "pplx-", Word, 40),
    kind("a token of Hugging Face", "hf_", Word, 30),
    kind("a token of Replicate", "r8_", Word, 30),
    kind("a token of GitHub", "github_pat_", Dashed, 40),
    kind("a token of GitHub", "ghp_", Word, 30),
    kind("a token of GitHub", "gho_", Word, 30),
    kind("a token of GitHub", "ghu_", Word, 30),
    kind("a token of GitHub", "ghs_", Word, 30),
    kind("a token of GitHub", "ghr_", Word, 30),
    kind("a token of GitLab", "glpat-", Dashed, 20),
    kind("a key of AWS", "AKIA", Upper, 16),
    kind("a key of AWS", "ASIA", Upper, 16),
    kind("a token of Slack", "xoxb-", Dashed, 20),
    kind("a token of Slack", "xoxp-", Dashed, 20),
    kind("a token of Slack", "xoxa-", Dashed, 20),
    kind("a token of Slack", "xapp-", Dashed, 20),
    kind("a webhook of Slack", "https://hooks.slack.com/services/T", Path, 30),
    kind("a key of Stripe", "sk_live_", Word, 20),
    kind("a key of Stripe", "rk_live_", Word, 20),
    kind("a secret of Stripe", "whsec_", Word, 24),
    kind("a token of npm", "npm_", Word, 30),
    kind("a token of PyPI", "pypi-AgE", Dashed, 40),
    kind("a token of crates.io", "cio", Word, 32),
    kind("a token of Docker", "dckr_pat_", Dashed, 20),
    kind("a token of DigitalOcean", "dop_v1_", Hex, 40),
    kind("a token of Shopify", "shpat_", Hex, 32),
    kind("a key of SendGrid", "SG.", Path, 60),
    kind("a key of Mailgun", "key-", Hex, 32),
    kind("a key of Linear", "lin_api_", Word, 32),
    kind("a token of Vault", "hvs.", Dashed, 40),
    kind("a token of Cloudflare", "v1.0-", Hex, 40),
    kind("a token of Grafana", "glsa_", Dashed, 30),
    kind("a secret key of age", "AGE-SECRET-KEY-1", Upper, 50),
];

/// Fewer different characters than this are a placeholder.
const DIFFERENT: usize = 8;
/// So much of base64 in a line is a part of a key.
const KEY_LINE: usize = 32;
/// Lines below the head of a private key in which that must be.
const KEY_LINES: usize = 5;

/// Where something looks like a secret, and what it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    name: &'static str,
    /// From 1.
    line: usize,
    /// In characters, from 1.
    column: usize,
}

/// Refuses a text that holds what looks like a secret, and says where. `name` is what the text is
/// called: a file, or `the task`. The secret itself is not repeated.
///
/// # Errors
///
/// See above.
pub(super) fn refuse(text: &str, name: &str) -> Result<(), Failure> {
    let Some(Found { name: what, line, column }) = find(text) else { return Ok(()) };
    let what = format!("{name}:{line}:{column}: this looks like {what}; nothing was handed in");
    let hint =
        "take it out, and name the variable or file that holds it; --allow-secrets if it is none";
    Err(Failure::usage(what, hint))
}

fn find(text: &str) -> Option<Found> {
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().enumerate().find_map(|(n, line)| {
        let below = &lines[n + 1..];
        let (name, at) = in_line(line).or_else(|| private_key(line, below))?;
        Some(Found { name, line: n + 1, column: line[..at].chars().count() + 1 })
    })
}

/// The first key of a line, and the byte it begins at.
fn in_line(line: &str) -> Option<(&'static str, usize)> {
    let begun = |it: &Kind| {
        let places = line.match_indices(it.begins).map(|(at, _)| at);
        places.filter(|at| is_key(it, line, *at)).map(|at| (it.name, at)).next()
    };
    KINDS.iter().filter_map(begun).min_by_key(|(_, at)| *at)
}

fn is_key(it: &Kind, line: &str, at: usize) -> bool {
    let inside = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
    if line[..at].chars().next_back().is_some_and(inside) {
        return false;
    }
    let rest = &line[at + it.begins.len()..];
    let end = rest.find(|one| !it.made_of.holds(one)).unwrap_or(rest.len());
    let body = &rest[..end];
    let exact = matches!(it.made_of, Upper) && rest[end..].chars().next().is_some_and(inside);
    it.at_least <= body.len() && !exact && is_random(body)
}

/// Neither words nor a placeholder.
fn is_random(body: &str) -> bool {
    let mut seen: Vec<char> = body.chars().collect();
    seen.sort_unstable();
    seen.dedup();
    let has_digit = body.contains(|it: char| it.is_ascii_digit());
    has_digit && DIFFERENT <= seen.len() && !body.to_ascii_lowercase().contains("example")
}

/// The head of a private key with a part of it below.
fn private_key(line: &str, below: &[&str]) -> Option<(&'static str, usize)> {
    let at = line.find("-----BEGIN ")?;
    line[at..].contains("PRIVATE KEY").then_some(())?;
    let base64 = |it: char| it.is_ascii_alphanumeric() || "+/=".contains(it);
    let is_part = |it: &&str| {
        let it = it.trim();
        KEY_LINE <= it.len() && it.chars().all(base64) && is_random(it)
    };
    below.iter().take(KEY_LINES).any(is_part).then_some(("a private key", at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many characters that no two keys of the tests share.
    fn body(letters: &str, n: usize) -> String {
        let letters: Vec<char> = letters.chars().collect();
        (0..n).map(|it| letters[(it * 7 + it * it / 3) % letters.len()]).collect()
    }

    /// Keys as their makers write them; none of them opens anything.
    fn keys() -> Vec<String> {
        const WORD: &str = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0z";
        const HEX: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
        let word = [
            ("sk-ant-api03-", 95),
            ("sk-proj-", 120),
            ("sk-svcacct-", 120),
            ("sk-", 48),
            ("AIza", 35),
            ("GOCSPX-", 28),
            ("gsk_", 52),
            ("xai-", 80),
            ("pplx-", 48),
            ("hf_", 34),
            ("r8_", 37),
            ("github_pat_", 82),
            ("ghp_", 36),
            ("gho_", 36),
            ("ghu_", 36),
            ("ghs_", 36),
            ("ghr_", 36),
            ("glpat-", 20),
            ("xoxb-1234567890-", 24),
            ("xoxp-1234567890-", 24),
            ("https://hooks.slack.com/services/T0AB1CD2E/B0AB1CD2E/", 24),
            ("sk_live_", 24),
            ("rk_live_", 24),
            ("whsec_", 32),
            ("npm_", 36),
            ("pypi-AgEIcHlwaS5vcmc", 120),
            ("cio", 32),
            ("dckr_pat_", 27),
            ("SG.", 66),
            ("lin_api_", 40),
            ("hvs.", 90),
            ("glsa_", 41),
        ];
        let hex = [("sk-or-v1-", 64), ("dop_v1_", 64), ("shpat_", 32), ("key-", 32)];
        let upper = [("AKIA", 16), ("ASIA", 16), ("AGE-SECRET-KEY-1", 58)];
        let made = |all: &[(&str, usize)], letters: &str| -> Vec<String> {
            all.iter().map(|(begins, n)| format!("{begins}{}", body(letters, *n))).collect()
        };
        [made(&word, WORD), made(&hex, HEX), made(&upper, &WORD.to_uppercase())].concat()
    }

    /// Proves S-5.3.1: planted keys of 39 kinds are found, each at its line and column, in prose, in
    /// quotes and behind `=`; private keys too.
    #[test]
    fn planted_keys_are_found_where_they_are() {
        assert_eq!(keys().len(), 39);
        for key in keys() {
            for (before, after) in [("use ", " here"), ("ä: \"", "\""), ("KEY=", "\n"), ("(", ")")]
            {
                let text = format!("Fix it.\n\n{before}{key}{after}");
                let found = find(&text).unwrap_or_else(|| panic!("{text}"));
                assert_eq!((found.line, found.column), (3, before.chars().count() + 1), "{text}");
            }
            assert_eq!(find(&format!("x{key}")), None, "a part of a longer word: {key}");
        }
        for head in ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY"] {
            let line = body("aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0z+/", 64);
            let text = format!("a\n  -----BEGIN {head}-----\n{line}\n-----END {head}-----\n");
            let found = find(&text).expect("a private key");
            assert_eq!((found.line, found.column), (2, 3));
        }
    }

    /// Proves S-5.3.1: a thousand tasks about keys, hashes, ids, addresses and names that begin as keys
    /// do are none.
    #[test]
    fn a_thousand_tasks_without_a_secret_pass() {
        let verbs = [
            "Fix", "Rename", "Explain", "Remove", "Document", "Test", "Speed up", "Port", "Log",
            "Hide",
        ];
        let what = [
            "the parser of `sk-ant-...` keys",
            "AKIAIOSFODNN7EXAMPLE in docs/aws.md",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx in the README",
            "sk-proj-your-key-goes-here-and-nowhere-else-please",
            "the field `hf_transformers_model_name_of_the_pipeline`",
            "npm_config_registry and npm_lifecycle_script_of_the_build",
            "-----BEGIN PRIVATE KEY----- when the file has no end",
            "the scikit-learn import (sk-learn-contrib-extras-for-everybody)",
            "key-value-store-of-the-session-cache, key-0f1e2d3c too",
            "SG.config.defaults.of.the.sending.service.and.its.many.templates.here",
        ];
        let where_ = [
            "since commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "as in 3fa85f64-5717-4562-b3fc-2c963f66afa6",
            "see https://example.org/services/T0/B0?token=abc",
            "for the digest sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "with base64 aGVsbG8gd29ybGQsIHRoaXMgaXMgbm8gc2VjcmV0IGF0IGFsbA==",
            "and set ANTHROPIC_API_KEY from the environment",
            "in src/xoxb-/ghp_/mod.rs, lines 10 to 200",
            "when AIza is not followed by anything, or pypi-AgE",
            "for AGE-SECRET-KEY-1 headings in 2025",
            "at 2001:0db8:85a3:0000:0000:8a2e:0370:7334 and port 8080",
        ];
        let mut n = 0;
        for verb in verbs {
            for what in what {
                for place in where_ {
                    let text = format!("{verb} {what}\n\n{place}.\n");
                    assert_eq!(find(&text), None, "{text}");
                    n += 1;
                }
            }
        }
        assert_eq!(n, 1_000);
    }
}
