//! The loop types a submission may name: of the person and of the project.

use std::path::{Path, PathBuf};

use taskd_api::v1;

use super::as_warning;
use crate::{
    loop_type::{self, Layer, Types},
    problem::Problem,
};

/// Loop types of the person and of the project; a broken file is told and does not hurt others.
pub(super) fn load(config: &Path, root: &Path, problems: &mut Vec<v1::Problem>) -> Types {
    let layers = [
        layer(&config.join("types"), "~/.config/taskd/types"),
        Layer { of_project: true, ..layer(&root.join(".taskd/types"), ".taskd/types") },
    ];
    let (types, wrong) = loop_type::load(&layers);
    problems.extend(wrong.iter().map(elsewhere));
    types
}

/// A problem of a file other than the plan's: its place is part of the sentence.
fn elsewhere(it: &Problem) -> v1::Problem {
    let message = format!("{}:{}:{}: {}", it.file, it.at.line, it.at.column, it.what);
    v1::Problem { line: 0, column: 0, message, ..as_warning(it) }
}

fn layer(dir: &Path, shown: &str) -> Layer {
    let Ok(entries) = std::fs::read_dir(dir) else { return Layer::default() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|it| Some(it.ok()?.path())).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let is_yaml = name.ends_with(".yaml") || name.ends_with(".yml");
        let text = is_yaml.then(|| std::fs::read(path).ok()).flatten()?;
        Some((format!("{shown}/{name}"), String::from_utf8_lossy(&text).into_owned()))
    };
    Layer { files: paths.iter().filter_map(read).collect(), of_project: false }
}
