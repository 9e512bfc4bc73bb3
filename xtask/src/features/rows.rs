//! docs/rows.txt: what the product promises, one row a line. Its head says how a line is written.

use anyhow::{Result, bail, ensure};

pub(super) struct Row {
    pub(super) id: String,
    pub(super) standing: Standing,
}

pub(super) enum Standing {
    Wanted { wording: String, reached_by: String },
    Ruled { ruling: String, instead: String },
    NotRun { program: String, wording: String },
}

pub(super) fn parse(text: &str) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let row = parse_line(line).map_err(|it| it.context(format!("line {}", n + 1)))?;
        ensure!(rows.iter().all(|it| it.id != row.id), "line {}: {} again", n + 1, row.id);
        rows.push(row);
    }
    Ok(rows)
}

fn parse_line(line: &str) -> Result<Row> {
    let fields: Vec<&str> = line.split('|').map(str::trim).collect();
    ensure!(fields.iter().all(|it| !it.is_empty()), "an empty field: {line}");
    let owned = |it: &&str| String::from(*it);
    let (id, second, third) = match fields.as_slice() {
        [id, second] => (id, second, None),
        [id, second, third] => (id, second, Some(owned(third))),
        _ => bail!("expected two or three fields: {line}"),
    };
    let standing = match (second.split_once(": "), third) {
        (Some(("not run", program)), wording) => {
            Standing::NotRun { program: program.to_owned(), wording: wording.unwrap_or_default() }
        }
        (Some(("ruled", ruling)), Some(instead)) => {
            Standing::Ruled { ruling: ruling.to_owned(), instead }
        }
        (_, Some(reached_by)) => Standing::Wanted { wording: owned(second), reached_by },
        (_, None) => bail!("what is it reached by? {line}"),
    };
    Ok(Row { id: owned(id), standing })
}

#[cfg(test)]
mod tests {
    use super::{Standing, parse};

    #[test]
    fn a_row_is_wanted_ruled_or_not_run() {
        let text =
            "# head\n\nA1 | it works: well | `taskd ls`\nA2 | ruled: D6 | no\nA3 | not run: ps";
        let rows = parse(text).expect("three rows");
        assert!(
            matches!(&rows[0].standing, Standing::Wanted { wording, .. } if wording == "it works: well")
        );
        assert!(matches!(&rows[1].standing, Standing::Ruled { ruling, .. } if ruling == "D6"));
        assert!(matches!(&rows[2].standing, Standing::NotRun { program, .. } if program == "ps"));
    }

    #[test]
    fn a_row_is_listed_once_and_in_full() {
        assert!(parse("A1 | it works | ls\nA1 | it works | ls").is_err());
        assert!(parse("A1 | it works").is_err());
        assert!(parse("A1 | it works |").is_err());
    }
}
