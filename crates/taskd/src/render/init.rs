//! `taskd init`: the file it writes, and what it says.

use super::text::clean;
use crate::cli::init::Found;

const HEAD: &str = "\
# Written by `taskd init` from what it found here; yours from now on. Every key there is:
# taskd config schema. What is in effect here and who says so: taskd config view --origin.
";

/// What each key means, and what it could be where nothing was found.
const KEYS: [(&str, &str, &str); 3] = [
    ("gate.command", "Decides whether work passes: it must end with 0.", "make test"),
    ("work.agent", "Who works, where a plan or a flag names nobody.", "claude"),
    ("work.model", "Who works, where a plan or a flag names nobody.", "anthropic/NAME"),
];

/// The file. What was not found stands there as a comment.
pub(crate) fn text(found: &[Found]) -> String {
    let mut text = HEAD.to_owned();
    for it in found {
        let known = KEYS.iter().find(|(key, ..)| *key == it.key);
        let (_, about, example) = known.expect("every key of ours is explained");
        let (section, name) = it.key.split_once('.').expect("a key is in a section");
        let quote = |it: &str| serde_json::to_string(it).expect("a text");
        let line = match &it.value {
            Some(value) => format!("{name} = {}", quote(value)),
            None => format!("# {name} = {}", quote(example)),
        };
        text.push_str(&format!("\n[{section}]\n# {about}\n# {}.\n{line}\n", reason(it)));
    }
    text
}

/// As a sentence of one line.
fn reason(it: &Found) -> String {
    let text = clean(&it.reason);
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect::<String>())
}

/// The file was there before.
pub(crate) fn there(file: &str) -> String {
    format!("{file} is there; nothing was changed\nlook    taskd config view --origin\n")
}

/// What was written, and what to do next. `unnamed`: git is told nowhere to leave alone what is for
/// this machine.
pub(crate) fn wrote(file: &str, target: &str, found: &[Found], unnamed: bool) -> String {
    let mut text = format!("wrote   {file}\n");
    for it in found {
        let name = it.key.rsplit('.').next().unwrap_or_default();
        let name = if name == "command" { "gate" } else { name };
        let value = it.value.as_deref().map_or_else(|| "not set".to_owned(), clean);
        text.push_str(&format!("{name:<7} {value}: {}\n", clean(&it.reason)));
    }
    text.push_str(&format!("target  {}\n", clean(target)));
    if unnamed {
        text.push_str(
            "\n.gitignore was not changed; this line keeps what is for one machine out:\n",
        );
        text.push_str("+/.taskd/local.toml\n");
    }
    // What decides is read from the target, never from a checkout.
    text.push_str(&format!("\nnext    git add {file} && git commit -m \"What decides here\"\n"));
    text.push_str("        taskd run \"what to do\"\n");
    text
}
