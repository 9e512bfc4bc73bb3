//! Which commands could be a project's gate, from the files at its root. Proposes; never decides.
//!
//! Looks at names and at the text of a few files, of the base commit and not of anybody's checkout.
//! Runs nothing and does not ask whether a program is installed.

use toml::de::DeTable;

#[cfg(test)]
mod tests;

/// A command that could be the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposal {
    /// The command.
    pub(crate) command: String,
    /// Why, for people: `found Cargo.toml`.
    pub(crate) reason: String,
}

/// Every name that is looked at: more need not be listed.
pub(crate) const NAMES: [&str; 24] = [
    "Cargo.toml",
    "package.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
    "package-lock.json",
    "justfile",
    "Justfile",
    ".justfile",
    "JUSTFILE",
    ".Justfile",
    "GNUmakefile",
    "makefile",
    "Makefile",
    "go.mod",
    "pytest.ini",
    ".pytest.ini",
    "tox.ini",
    "conftest.py",
    "pyproject.toml",
    "uv.lock",
    "poetry.lock",
    "test.sh",
];

/// Commands that could be the gate, best first; each once. `names` are the files at the root and
/// `read` gives the text of one of them, if it has any.
#[must_use]
pub(crate) fn propose(names: &[String], read: impl Fn(&str) -> Option<String>) -> Vec<Proposal> {
    let names = NAMES.into_iter().filter(|it| names.iter().any(|name| name == it)).collect();
    let root = Root { names, read: &read };
    let rules =
        [Root::cargo, Root::package, Root::just, Root::make, Root::go, Root::python, Root::script];
    let mut proposals: Vec<Proposal> = Vec::new();
    for proposal in rules.iter().filter_map(|rule| rule(&root)) {
        if proposals.iter().all(|it| it.command != proposal.command) {
            proposals.push(proposal);
        }
    }
    proposals
}

struct Root<'a> {
    names: Vec<&'static str>,
    read: &'a dyn Fn(&str) -> Option<String>,
}

impl Root<'_> {
    fn cargo(&self) -> Option<Proposal> {
        let text = self.text("Cargo.toml")?;
        let workspace =
            DeTable::parse(&text).is_ok_and(|it| it.get_ref().contains_key("workspace"));
        Some(if workspace {
            proposal("cargo test --workspace", "found Cargo.toml with a workspace")
        } else {
            proposal("cargo test", "found Cargo.toml")
        })
    }

    fn package(&self) -> Option<Proposal> {
        let json: serde_json::Value = serde_json::from_str(&self.text("package.json")?).ok()?;
        let script = json.get("scripts")?.get("test")?.as_str()?.trim();
        // What `npm init` writes.
        if script.is_empty() || script.contains("no test specified") {
            return None;
        }
        let locks = [
            ("pnpm-lock.yaml", "pnpm"),
            ("yarn.lock", "yarn"),
            ("bun.lock", "bun run"),
            ("bun.lockb", "bun run"),
            ("package-lock.json", "npm"),
        ];
        let reason = "found package.json with a test script";
        if let Some((lock, program)) = locks.iter().find(|(lock, _)| self.has(lock)) {
            let reason = if *program == "npm" { reason } else { &format!("{reason}, and {lock}") };
            return Some(proposal(&format!("{program} test"), reason));
        }
        let named = json.get("packageManager").and_then(|it| it.as_str()).unwrap_or_default();
        let program = ["pnpm", "yarn"].into_iter().find(|it| named.starts_with(it));
        Some(proposal(&format!("{} test", program.unwrap_or("npm")), reason))
    }

    fn just(&self) -> Option<Proposal> {
        let spelled = ["justfile", "Justfile", ".justfile", "JUSTFILE", ".Justfile"];
        let name = spelled.into_iter().find(|it| self.has(it))?;
        let text = self.text(name)?;
        let recipe = ["ci", "test"].into_iter().find(|it| has_recipe(&text, it))?;
        Some(proposal(&format!("just {recipe}"), &format!("found {name} with a recipe {recipe}")))
    }

    fn make(&self) -> Option<Proposal> {
        // In the order in which make looks for them.
        let name = ["GNUmakefile", "makefile", "Makefile"].into_iter().find(|it| self.has(it))?;
        let text = self.text(name)?;
        let target = ["test", "check"].into_iter().find(|it| has_target(&text, it))?;
        Some(proposal(&format!("make {target}"), &format!("found {name} with a target {target}")))
    }

    fn go(&self) -> Option<Proposal> {
        self.has("go.mod").then(|| proposal("go test ./...", "found go.mod"))
    }

    fn python(&self) -> Option<Proposal> {
        let named = ["pytest.ini", ".pytest.ini", "tox.ini", "conftest.py"];
        let named = named.into_iter().find(|it| self.has(it));
        let found = named.or_else(|| self.has("pyproject.toml").then_some("pyproject.toml"))?;
        let locks = [("uv.lock", "uv run pytest"), ("poetry.lock", "poetry run pytest")];
        Some(match locks.iter().find(|(lock, _)| self.has(lock)) {
            Some((lock, command)) => proposal(command, &format!("found {found} and {lock}")),
            None => proposal("pytest", &format!("found {found}")),
        })
    }

    fn script(&self) -> Option<Proposal> {
        let text = self.text("test.sh")?;
        let first = text.lines().next().unwrap_or_default();
        let shell = if first.starts_with("#!") && first.contains("bash") { "bash" } else { "sh" };
        Some(proposal(&format!("{shell} test.sh"), "found test.sh"))
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    /// The text of a file at the root; empty if it cannot be read as text.
    fn text(&self, name: &str) -> Option<String> {
        self.has(name).then(|| (self.read)(name).unwrap_or_default())
    }
}

fn proposal(command: &str, reason: &str) -> Proposal {
    Proposal { command: command.to_owned(), reason: reason.to_owned() }
}

/// A recipe of this name that needs no arguments.
fn has_recipe(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let line = line.strip_prefix('@').unwrap_or(line);
        let Some(rest) = line.strip_prefix(name) else { return false };
        let Some((parameters, body)) = rest.split_once(':') else { return false };
        // `name := value` is a variable; `+a` and a word without `=` must be given.
        let named_so = parameters.is_empty() || parameters.starts_with(' ');
        let optional = |it: &str| it.contains('=') || it.starts_with('*');
        named_so && !body.starts_with('=') && parameters.split_whitespace().all(optional)
    })
}

/// A target of this name.
fn has_target(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let Some((targets, rest)) = line.split_once(':') else { return false };
        let assigns = rest.starts_with('=') || rest.starts_with(":=");
        let is_rule =
            !assigns && !line.starts_with([' ', '\t', '#', '.']) && !targets.contains('=');
        is_rule && targets.split_whitespace().any(|it| it == name)
    })
}
