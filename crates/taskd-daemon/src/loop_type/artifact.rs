//! `artifact`: the document that loops of a type write, instead of work that lands.

use taskd_model::{ArtifactDoc, Format};

use crate::plan_file::head::{self, NAME_RULE, is_name, shown};
use crate::problem::{At, Pos, Problems};
use crate::yaml::Node;

const KEYS: [&str; 6] = ["format", "sections", "children", "approve", "reviews", "repairs"];
const MEANT: [(&str, &str); 3] =
    [("review", "reviews"), ("passes", "reviews"), ("type", "children")];
const FORMATS: [(&str, Format); 3] =
    [("plan", Format::Plan), ("spec", Format::Spec), ("phase", Format::Phase)];

/// Sections, and times it is looked through.
const MAX_LIST: usize = 16;
/// Characters of one of them.
const MAX_WORDS_CHARS: usize = 80;
/// Wrong documents in a row.
const MAX_REPAIRS: u32 = 20;

/// What a definition says about its document.
#[derive(Debug, Clone)]
pub(super) struct Written {
    at: Pos,
    format: Option<Format>,
    sections: Option<Vec<String>>,
    children: Option<String>,
    approve: Option<bool>,
    reviews: Option<Vec<String>>,
    repairs: Option<u8>,
}

/// Reads it. What is wrong is noted, and left out.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Written {
    let keys = problems.keys(node, "`artifact`", &KEYS, &MEANT);
    let get = |key: &str| keys.get(key).map(|(_, it)| *it);
    let children = head::text(&keys, "children", problems).filter(|it| {
        let fits = is_name(&it.value);
        if !fits {
            let what = format!("`{}` is no name of a loop type", shown(&it.value));
            problems.add_hint(it.at, what, NAME_RULE);
        }
        fits
    });
    let repairs = get("repairs").and_then(|it| number(it, problems));
    Written {
        at: node.at,
        format: head::word(&keys, "format", &FORMATS, problems).map(|it| it.value),
        sections: get("sections").map(|it| words(it, "sections", problems)),
        children: children.map(|it| it.value),
        approve: get("approve").and_then(|it| problems.flag(it, "approve")),
        reviews: get("reviews").map(|it| words(it, "reviews", problems)),
        repairs,
    }
}

fn number(node: &Node, problems: &mut Problems) -> Option<u8> {
    let crate::yaml::Kind::Integer(n) = node.kind else {
        problems.add(node.at, "`repairs` is no whole number");
        return None;
    };
    let n = u32::try_from(n).ok().filter(|it| *it <= MAX_REPAIRS);
    if n.is_none() {
        problems.add(node.at, format!("`repairs` is from 0 to {MAX_REPAIRS}"));
    }
    n.and_then(|it| u8::try_from(it).ok())
}

/// A list of a few words each; an empty one takes an inherited one away.
fn words(node: &Node, key: &str, problems: &mut Problems) -> Vec<String> {
    let list: Vec<At<String>> =
        if node.is_empty_list() { Vec::new() } else { problems.texts(node, key) };
    if MAX_LIST < list.len() {
        problems.add(node.at, format!("`{key}` may have {MAX_LIST}"));
    }
    let fits = |it: &At<String>| {
        let one_line = !it.value.contains('\n') && !it.value.trim().is_empty();
        one_line && it.value.chars().count() <= MAX_WORDS_CHARS
    };
    if let Some(it) = list.iter().find(|it| !fits(it)) {
        let what =
            format!("`{key}` has one of no words, several lines or {MAX_WORDS_CHARS} letters");
        problems.add(it.at, what);
    }
    list.into_iter().filter(fits).take(MAX_LIST).map(|it| it.value).collect()
}

impl Written {
    /// The document's description, over what the type extends.
    pub(super) fn over(
        self,
        parent: Option<ArtifactDoc>,
        problems: &mut Problems,
    ) -> Option<ArtifactDoc> {
        let Some(format) = self.format.or(parent.as_ref().map(|it| it.format)) else {
            let hint = "write `format: plan`, `format: spec` or `format: phase`";
            problems.add_hint(self.at, "`artifact` has no `format`", hint);
            return None;
        };
        let under = parent.unwrap_or(ArtifactDoc {
            format,
            sections: Vec::new(),
            children: "ralph".to_owned(),
            approve: false,
            reviews: Vec::new(),
            repairs: 1,
        });
        Some(ArtifactDoc {
            format,
            sections: self.sections.unwrap_or(under.sections),
            children: self.children.unwrap_or(under.children),
            approve: self.approve.unwrap_or(under.approve),
            reviews: self.reviews.unwrap_or(under.reviews),
            repairs: self.repairs.unwrap_or(under.repairs),
        })
    }
}
