//! `cargo xtask features`: docs/features.md, from docs/rows.txt and what tests say they prove.
//!
//! A row is proven by a test that names it, and by nothing else. A row without one is listed as
//! not proven, whatever anybody believes.

mod page;
mod proofs;
mod rows;

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::repo;

const PAGE: &str = "docs/features.md";
const ROWS: &str = "docs/rows.txt";

pub(crate) fn run(check: bool) -> Result<()> {
    let rows = rows::parse(&repo::read_text(ROWS)?).with_context(|| format!("reading {ROWS}"))?;
    let mut bad = Vec::new();
    let proofs = proofs::collect(&repo::files()?, &mut bad);
    for proof in proofs.iter().filter(|it| rows.iter().all(|row| row.id != it.row)) {
        bad.push(format!("{}: proves {}, which {ROWS} does not know", proof.test, proof.row));
    }
    repo::verdict("features", &bad)?;
    let page = page::write(&rows, &proofs);
    if check {
        let current = repo::read_text(PAGE).unwrap_or_default();
        ensure!(current == page, "{PAGE} is out of date; run: cargo xtask features");
    } else {
        fs::write(repo::root().join(PAGE), &page).with_context(|| format!("writing {PAGE}"))?;
    }
    println!("{}", page::count(&rows, &proofs));
    Ok(())
}
