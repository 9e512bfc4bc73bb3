//! The environment of every child: what the client allowed, what we insist on, nothing else.
//!
//! Reads no environment itself. Secrets come only through `extra`, from whoever decided that this
//! child needs them.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// What a submission carries of its client's environment. Nothing in here is a secret, and nothing
/// that looks like one passes [`is_allowed`].
pub const ALLOWED: &[&str] = &[
    "BUN_INSTALL",
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "CONDA_PREFIX",
    "DENO_DIR",
    "DOTNET_ROOT",
    "GEM_HOME",
    "GEM_PATH",
    "GIT_SSL_CAINFO",
    "GOCACHE",
    "GOENV",
    "GOMODCACHE",
    "GOPATH",
    "GOROOT",
    "GOTOOLCHAIN",
    "GRADLE_USER_HOME",
    "HOME",
    "JAVA_HOME",
    "LANG",
    "LANGUAGE",
    "LC_ADDRESS",
    "LC_ALL",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_IDENTIFICATION",
    "LC_MEASUREMENT",
    "LC_MESSAGES",
    "LC_MONETARY",
    "LC_NAME",
    "LC_NUMERIC",
    "LC_PAPER",
    "LC_TELEPHONE",
    "LC_TIME",
    "LOGNAME",
    "MAVEN_HOME",
    "NIX_PATH",
    "NIX_PROFILES",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "NVM_BIN",
    "NVM_DIR",
    "PATH",
    "PNPM_HOME",
    "PYENV_ROOT",
    "RBENV_ROOT",
    "REQUESTS_CA_BUNDLE",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SDKMAN_DIR",
    "SHELL",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "UV_CACHE_DIR",
    "VIRTUAL_ENV",
    "VOLTA_HOME",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_CONFIG_HOME",
    "XDG_DATA_DIRS",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
];

/// A submission may carry this variable.
#[must_use]
pub fn is_allowed(name: &str) -> bool {
    ALLOWED.contains(&name)
}

/// The complete environment of a child.
///
/// `allowed` is what the submission carried (what is not in [`ALLOWED`] is left out, whoever put it
/// there); `extra` is what this child is given besides, `TASKD_*` and its credential, and wins.
/// Sorted by name, each name once.
#[must_use]
pub fn environment(
    allowed: &BTreeMap<String, String>,
    extra: &[(OsString, OsString)],
) -> Vec<(OsString, OsString)> {
    let own = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
    let mut all: BTreeMap<OsString, OsString> =
        FALLBACK.iter().map(|(name, value)| own(name, value)).collect();
    // A NUL cannot be handed to any program.
    let carried = allowed.iter().filter(|(name, value)| is_allowed(name) && !value.contains('\0'));
    all.extend(carried.map(|(name, value)| own(name, value)));
    all.extend(INSISTED.iter().map(|(name, value)| own(name, value)));
    all.extend(extra.iter().cloned());
    all.into_iter().collect()
}

/// For a submission that carried less than every program needs.
const FALLBACK: &[(&str, &str)] = &[("LANG", "C.UTF-8"), ("PATH", "/usr/local/bin:/usr/bin:/bin")];

/// Nobody sits there to answer, to page or to look at colours.
const INSISTED: &[(&str, &str)] = &[
    ("GIT_EDITOR", "true"),
    ("GIT_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("PAGER", "cat"),
    ("TERM", "dumb"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_looks_like_a_secret_is_allowed() {
        for name in ALLOWED {
            for part in ["KEY", "TOKEN", "SECRET", "PASS", "CREDENTIAL", "COOKIE"] {
                assert!(!name.contains(part), "{name}");
            }
        }
        assert!(ALLOWED.is_sorted(), "keep it in order");
        assert!(
            !is_allowed("ANTHROPIC_API_KEY") && !is_allowed("LD_PRELOAD") && is_allowed("PATH")
        );
    }

    #[test]
    fn the_environment_is_what_was_allowed_and_what_we_insist_on() {
        let carried = [
            ("PATH", "/h/me/bin"),
            ("TERM", "xterm"),
            ("GITHUB_TOKEN", "secret"),
            ("HOME", "/h/me"),
            ("LD_PRELOAD", "/evil.so"),
            ("TZ", "a\0b"),
        ];
        let carried = carried.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let extra = [("TASKD_LOOP".into(), "p7.limiter".into()), ("LANG".into(), "C".into())];
        let text: Vec<_> = environment(&carried, &extra)
            .into_iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(
            text,
            [
                "GIT_EDITOR=true",
                "GIT_PAGER=cat",
                "GIT_TERMINAL_PROMPT=0",
                "HOME=/h/me",
                "LANG=C",
                "PAGER=cat",
                "PATH=/h/me/bin",
                "TASKD_LOOP=p7.limiter",
                "TERM=dumb"
            ]
        );
        assert!(environment(&BTreeMap::new(), &[]).iter().any(|(name, _)| name == "PATH"));
    }
}
