//! `cargo xtask errors`: docs/errors.md, from the one list of codes, and that each of them is given
//! somewhere in the program.

use std::{collections::BTreeSet, fmt::Write as _, fs};

use anyhow::{Context as _, Result, ensure};
use taskd_model::{Code, Entry};

use crate::repo;

const PAGE: &str = "docs/errors.md";

/// Where the list itself is: naming a code there does not give it.
const LIST: &str = "crates/taskd-model/src/code/";

/// Given by reading what a later version wrote, never by us.
const NOT_GIVEN: &[&str] = &["Unlisted"];

const HEAD: &str = "\
# Errors

<!-- Made by `cargo xtask errors` from crates/taskd-model/src/code/catalogue.rs. -->

Every failure has a code: one word, the same in the log, over the API, in `--json`, and here. It is
given where the failure arises, by its type, never by its text. `taskd help CODE` prints one entry.

- A failed step of a loop has it in its event (`taskd events --json`, `outcome.failed.fault`), with
  provider, model, status, the provider's type, the try, the time and the causes, as far as there
  are any. The event names the effect, its envelope the loop. `taskd show ID` and `taskd why ID`
  show the same.
- A refused request has it in the details of its gRPC status and in `error.code` of `--json`; the
  exit code is the command's.
- A tool call that failed has it in its event; the model reads the text.

The exit code of a step that fails for good is that of `taskd wait` and of a `run` that is followed
without a terminal: 4, since a person is needed.

| code | what happened | taskd by itself | you | kind | gRPC status | exit |
|---|---|---|---|---|---|---|
";

pub(crate) fn run(check: bool) -> Result<()> {
    let missing = not_given()?;
    ensure!(missing.is_empty(), "codes nothing gives: {}", missing.join(", "));
    let page = page();
    if check {
        let current = repo::read_text(PAGE).unwrap_or_default();
        ensure!(current == page, "{PAGE} is out of date; run: cargo xtask errors");
    } else {
        fs::write(repo::root().join(PAGE), &page).with_context(|| format!("writing {PAGE}"))?;
    }
    println!("errors: {} codes", Code::entries().len());
    Ok(())
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for it in Code::entries() {
        let Entry { word, tier, reaction, rpc, exit, what, next, .. } = it;
        writeln!(page, "| `{word}` | {what} | {reaction} | {next} | {tier} | {rpc} | {exit} |")
            .expect("a string takes all");
    }
    page
}

/// Codes that no code outside the list and outside tests names.
fn not_given() -> Result<Vec<String>> {
    let mut given = BTreeSet::new();
    for file in repo::files()? {
        let (path, Some(text)) = (file.path.as_str(), &file.text) else { continue };
        let ours = path.starts_with("crates/") && path.contains("/src/") && path.ends_with(".rs");
        if !ours || path.starts_with(LIST) || path.contains("/tests") || path.contains("testkit") {
            continue;
        }
        given.extend(named(text));
    }
    let all = Code::entries().iter().map(|it| format!("{:?}", it.code));
    Ok(all.filter(|it| !given.contains(it) && !NOT_GIVEN.contains(&it.as_str())).collect())
}

/// Names behind `Code::`, and behind `Self::` where the type is `Code`'s own file.
fn named(text: &str) -> BTreeSet<String> {
    let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let own = program.contains("impl Code {");
    let prefixes = ["Code::", if own { "Self::" } else { "Code::" }];
    let behind = |prefix| program.split(prefix).skip(1);
    let names = prefixes.into_iter().flat_map(behind);
    names.map(|it| it.chars().take_while(char::is_ascii_alphanumeric).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_program_names_is_given() {
        let text = "x(Code::Network); y => Self::Other\n#[cfg(test)]\nmod tests { Code::Busy }";
        assert_eq!(named(text), BTreeSet::from(["Network".to_owned()]));
        let own = "impl Code { fn of() { Self::DiskFull } }";
        assert_eq!(named(own), BTreeSet::from(["DiskFull".to_owned()]));
    }

    /// Each code is given by the program, and the table in the documentation is what the list says.
    #[test]
    fn the_table_is_what_the_list_says() {
        assert_eq!(not_given().expect("the sources are readable"), Vec::<String>::new());
        assert_eq!(repo::read_text(PAGE).expect("it is there"), page());
    }
}
