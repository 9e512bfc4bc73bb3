//! The loop types a submission may name: of the person and of the project, as they are now.

use std::path::Path;

use taskd_api::v1;

use super::as_warning;
use crate::{loop_type::Types, problem::Problem, types};

/// Loop types of the person and of the project; a broken file is told and does not hurt others.
pub(super) fn load(config: &Path, root: &Path, problems: &mut Vec<v1::Problem>) -> Types {
    let (types, wrong) = types::load(config, Some(root));
    problems.extend(wrong.iter().map(elsewhere));
    types
}

/// A problem of a file other than the plan's: its place is part of the sentence.
fn elsewhere(it: &Problem) -> v1::Problem {
    let message = format!("{}:{}:{}: {}", it.file, it.at.line, it.at.column, it.what);
    v1::Problem { line: 0, column: 0, message, ..as_warning(it) }
}
