//! Where the world comes in: the only places that may read a clock, draw randomness, read the
//! environment, open a socket or start a program. What is anywhere else cannot be replaced in a test.
//!
//! Tests and benches are not looked at, nor is this build tool. The crates that decide are kept
//! from all of it by clippy as well.

use std::collections::BTreeSet;

use super::{rust, sources::first_test_line};
use crate::repo::File;

/// A way the world comes in.
struct Seam {
    name: &'static str,
    /// What its use looks like.
    signs: &'static [&'static str],
    /// Files, and folders that end with `/`.
    places: &'static [&'static str],
}

const SEAMS: &[Seam] = &[
    Seam {
        name: "the clock",
        signs: &["SystemTime::now", "Timestamp::now", "Zoned::now", "Instant::now"],
        places: &[
            "crates/taskd-api/src/watch.rs",
            "crates/taskd-daemon/src/daemon.rs",
            "crates/taskd-daemon/src/driver.rs",
            "crates/taskd-daemon/src/gateway/run.rs",
            "crates/taskd-daemon/src/log/form.rs",
            "crates/taskd-daemon/src/metrics/life.rs",
            "crates/taskd-daemon/src/models/check.rs",
            "crates/taskd-daemon/src/otel/send.rs",
            "crates/taskd-daemon/src/runner.rs",
            "crates/taskd-daemon/src/runner/agent/acp.rs",
            "crates/taskd-daemon/src/runner/agent/signs.rs",
            "crates/taskd-daemon/src/runner/call.rs",
            "crates/taskd-daemon/src/runner/gate.rs",
            "crates/taskd-daemon/src/runner/propose.rs",
            "crates/taskd-daemon/src/service/verify.rs",
            "crates/taskd-daemon/src/watcher/remote.rs",
            "crates/taskd-git/src/program.rs",
            "crates/taskd-llm/src/cassette.rs",
            "crates/taskd-llm/src/catalog.rs",
            "crates/taskd-llm/src/http/",
            "crates/taskd-store/src/schema.rs",
            "crates/taskd-tools/src/supervise/",
            "crates/taskd-tui/src/session.rs",
            "crates/taskd-web/src/lib.rs",
            "crates/taskd-web/src/stream.rs",
            "crates/taskd/src/cli/",
            "crates/taskd/src/demo/",
        ],
    },
    Seam {
        name: "randomness",
        signs: &["RandomState", "getrandom", "rand::", "thread_rng", "fastrand", "/dev/urandom"],
        places: &[
            "crates/taskd-daemon/src/private.rs",
            "crates/taskd-store/src/schema.rs",
            "crates/taskd/src/demo/seed.rs",
        ],
    },
    Seam {
        name: "the environment",
        signs: &["env::var", "env::current_dir", "env::temp_dir"],
        places: &[
            "crates/taskd-daemon/src/config/load.rs",
            "crates/taskd-daemon/src/models.rs",
            "crates/taskd-daemon/src/otel/settings.rs",
            "crates/taskd-daemon/src/paths.rs",
            "crates/taskd-daemon/src/runner/fault.rs",
            "crates/taskd-daemon/src/service/look.rs",
            "crates/taskd-daemon/src/telling.rs",
            "crates/taskd-git/src/program.rs",
            "crates/taskd-testkit/src/world.rs",
            "crates/taskd-tools/src/supervise/",
            "crates/taskd-tui/src/session.rs",
            "crates/taskd/src/cli/",
            "crates/taskd/src/demo/place.rs",
        ],
    },
    Seam {
        name: "sockets",
        signs: &[
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "UnixStream",
            "UnixListener",
            "reqwest::",
            "Endpoint::",
        ],
        places: &[
            "crates/taskd-api/src/client.rs",
            "crates/taskd-daemon/src/daemon.rs",
            "crates/taskd-daemon/src/door.rs",
            "crates/taskd-daemon/src/systemd.rs",
            "crates/taskd-daemon/src/gateway.rs",
            "crates/taskd-daemon/src/health.rs",
            "crates/taskd-daemon/src/otel/send.rs",
            "crates/taskd-daemon/src/runner/place.rs",
            "crates/taskd-llm/src/http/",
            "crates/taskd-mcp/src/http.rs",
            "crates/taskd-web/src/lib.rs",
            "crates/taskd/src/cli/",
        ],
    },
    Seam {
        name: "programs",
        signs: &["Command::new"],
        places: &[
            "crates/taskd-git/src/program.rs",
            "crates/taskd-tools/src/supervise/",
            "crates/taskd/src/cli/editor.rs",
            "crates/taskd/src/cli/install.rs",
            "crates/taskd/src/cli/open.rs",
            "crates/taskd/src/cli/own.rs",
            "crates/taskd/src/cli/start.rs",
            "crates/taskd/src/cli/web.rs",
            "crates/taskd/src/demo/",
        ],
    },
];

pub(super) fn check(files: &[File], test_modules: &BTreeSet<String>, bad: &mut Vec<String>) {
    for seam in SEAMS {
        let mut used = BTreeSet::new();
        for file in rust(files).filter(|it| is_product(&it.path)) {
            let tests = first_test_line(file, test_modules).unwrap_or(usize::MAX);
            let place = seam.places.iter().find(|it| is_in(&file.path, it));
            for (n, line) in file.lines().filter(|(n, line)| *n < tests && seam.is_used(line)) {
                match place {
                    Some(place) => _ = used.insert(*place),
                    None => bad.push(format!(
                        "{}:{n}: {} outside its places: {}",
                        file.path,
                        seam.name,
                        line.trim()
                    )),
                }
            }
        }
        for place in seam.places.iter().filter(|it| !used.contains(**it)) {
            bad.push(format!("{place}: no longer uses {}; drop it from the list", seam.name));
        }
    }
}

impl Seam {
    fn is_used(&self, line: &str) -> bool {
        !line.trim_start().starts_with("//") && self.signs.iter().any(|it| line.contains(it))
    }
}

/// What is linked into what people run, and the simulator.
fn is_product(path: &str) -> bool {
    path.starts_with("crates/") && path.contains("/src/")
}

fn is_in(path: &str, place: &str) -> bool {
    if place.ends_with('/') { path.starts_with(place) } else { path == place }
}

#[cfg(test)]
mod tests {
    use super::{SEAMS, check};
    use crate::repo::File;

    fn found(path: &str, text: &str) -> Vec<String> {
        let text = Some(text.to_owned());
        let mut bad = Vec::new();
        check(&[File { path: path.to_owned(), bytes: 0, text }], &super::BTreeSet::new(), &mut bad);
        bad.retain(|it| it.contains("outside its places"));
        bad
    }

    /// Proves AY-10.1: what is planted outside its places is named with file and line, for each seam.
    #[test]
    fn a_planted_use_is_named() {
        for seam in SEAMS {
            for sign in seam.signs {
                let text = format!("//! A.\n// {sign} in a comment\nlet it = {sign}();\n");
                let bad = found("crates/taskd-core/src/queue.rs", &text);
                assert_eq!(bad.len(), 1, "{sign}: {bad:?}");
                let wanted = format!("crates/taskd-core/src/queue.rs:3: {} outside", seam.name);
                assert!(bad[0].starts_with(&wanted), "{bad:?}");
            }
        }
    }

    #[test]
    fn tests_and_the_places_themselves_are_free() {
        let text = "//! A.\nlet it = Instant::now();\n";
        assert!(found("crates/taskd-daemon/src/driver.rs", text).is_empty());
        assert!(found("crates/taskd-core/tests/replay.rs", text).is_empty());
        let text = "//! A.\n#[cfg(test)]\nmod tests {\n    let it = Instant::now();\n}\n";
        assert!(found("crates/taskd-core/src/queue.rs", text).is_empty());
    }
}
