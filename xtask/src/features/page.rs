//! docs/features.md as text.

use std::fmt::Write as _;

use super::{
    proofs::Proof,
    rows::{Row, Standing},
};

const HEAD: &str = "\
<!-- Written by `cargo xtask features` from docs/rows.txt and the tests' `Proves` lines. -->

# What taskd promises, and the test that shows it

Ids are the requirement rows the product is built from. \
A row counts as proven when a test names it; `cargo xtask ci` runs every one of these tests.
";

pub(super) fn write(rows: &[Row], proofs: &[Proof]) -> String {
    let mut proven = Vec::new();
    let mut unproven = Vec::new();
    let mut ruled = Vec::new();
    let mut not_run = Vec::new();
    for row in rows {
        let shown_by = shown_by(row, proofs);
        match &row.standing {
            Standing::Wanted { wording, reached_by } if shown_by.is_empty() => {
                unproven.push(vec![row.id.clone(), wording.clone(), reached_by.clone()]);
            }
            Standing::Wanted { wording, reached_by } => {
                proven.push(vec![row.id.clone(), wording.clone(), shown_by, reached_by.clone()]);
            }
            Standing::Ruled { ruling, instead } => {
                let ruling = format!("ruled: {ruling}");
                ruled.push(vec![row.id.clone(), ruling, instead.clone(), shown_by]);
            }
            Standing::NotRun { program, wording } => {
                not_run.push(vec![row.id.clone(), wording.clone(), program.clone(), shown_by]);
            }
        }
    }
    let mut page = format!("{HEAD}\n{}\n", count(rows, proofs));
    section(&mut page, "Proven", &["row", "what holds", "proof", "reached by"], &proven);
    let columns = ["row", "ruling", "what is true instead", "shown by"];
    section(&mut page, "Ruled otherwise", &columns, &ruled);
    let columns = ["row", "what should hold", "needs", "shown in part by"];
    section(&mut page, "Not run here", &columns, &not_run);
    section(&mut page, "Not proven yet", &["row", "what should hold", "reached by"], &unproven);
    page
}

pub(super) fn count(rows: &[Row], proofs: &[Proof]) -> String {
    let count = |pick: fn(&Standing) -> bool| rows.iter().filter(|it| pick(&it.standing)).count();
    let wanted = |it: &Standing| matches!(it, Standing::Wanted { .. });
    let proven =
        rows.iter().filter(|it| wanted(&it.standing) && !shown_by(it, proofs).is_empty()).count();
    format!(
        "{} rows: {proven} proven, {} ruled otherwise, {} not run here, {} not proven yet.",
        rows.len(),
        count(|it| matches!(it, Standing::Ruled { .. })),
        count(|it| matches!(it, Standing::NotRun { .. })),
        count(wanted) - proven,
    )
}

fn shown_by(row: &Row, proofs: &[Proof]) -> String {
    let tests = proofs.iter().filter(|it| it.row == row.id).map(|it| format!("`{}`", it.test));
    tests.collect::<Vec<_>>().join("<br>")
}

fn section(page: &mut String, title: &str, columns: &[&str], lines: &[Vec<String>]) {
    if lines.is_empty() {
        return;
    }
    let rule = vec!["---"; columns.len()].join("|");
    let mut write = |line: &str| writeln!(page, "{line}").expect("text takes text");
    write(&format!("\n## {title}\n\n| {} |\n|{rule}|", columns.join(" | ")));
    for line in lines {
        write(&format!("| {} |", line.join(" | ")));
    }
}
