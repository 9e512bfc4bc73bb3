//! The person's filters: programs that git runs on the bytes of a file as it is stored or checked
//! out (`filter.NAME.clean`, `smudge`, `process`). Nobody asked for them here, so none ever runs in
//! the daemon: they are switched off for every git it starts, and a checkout does not follow where
//! its files would have to go through one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use git2::{AttrCheckFlags, Config, Repository};

use crate::path::RepoPath;

/// What a filter's settings begin and end with.
const SECTION: &str = "filter.";
const PROGRAMS: [&str; 3] = [".clean", ".smudge", ".process"];

/// Names of the filters that are configured, in the repository or by the person.
fn drivers(config: &Config) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let Ok(mut entries) = config.entries(Some("^filter\\..*")) else { return found };
    while let Some(Ok(entry)) = entries.next() {
        let Ok(key) = entry.name() else { continue };
        let name = key.strip_prefix(SECTION);
        let name = PROGRAMS.iter().find_map(|it| name.and_then(|name| name.strip_suffix(it)));
        found.extend(name.map(str::to_owned));
    }
    found
}

/// Environment that switches off every filter for a git in this directory. An empty program is none,
/// and what is not required may fail to be one.
pub(crate) fn off(dir: &Path) -> Vec<(String, String)> {
    let config = Repository::open(dir).and_then(|it| it.config());
    let Ok(drivers) = config.map(|it| drivers(&it)) else { return Vec::new() };
    let keys = drivers.iter().flat_map(|name| {
        let programs = PROGRAMS.map(|it| (format!("{SECTION}{name}{it}"), String::new()));
        programs.into_iter().chain([(format!("{SECTION}{name}.required"), "false".to_owned())])
    });
    let mut set = Vec::new();
    for (n, (key, value)) in keys.enumerate() {
        set.push((format!("GIT_CONFIG_KEY_{n}"), key));
        set.push((format!("GIT_CONFIG_VALUE_{n}"), value));
    }
    if !set.is_empty() {
        set.push(("GIT_CONFIG_COUNT".to_owned(), (set.len() / 2).to_string()));
    }
    set
}

/// Whether there are filters at all.
pub(crate) fn any(repo: &Repository) -> bool {
    repo.config().is_ok_and(|it| !drivers(&it).is_empty())
}

/// The first of these files that git would send through a filter, and which. Rules that come with
/// the files count too.
pub(crate) fn first_filtered<'a>(
    repo: &Repository,
    files: impl Iterator<Item = (&'a RepoPath, git2::Oid)>,
) -> Option<(RepoPath, String)> {
    let drivers = drivers(&repo.config().ok()?);
    let known = |name: &str| drivers.get(name).cloned();
    let paths: BTreeMap<_, _> = files.collect();
    let rule = paths.iter().find_map(|(path, now)| {
        (path.as_path().file_name()? == ".gitattributes").then_some(())?;
        let blob = repo.find_blob(*now).ok()?;
        let text = String::from_utf8_lossy(blob.content()).into_owned();
        let named = text.split_whitespace().filter_map(|it| it.strip_prefix("filter="));
        named.filter_map(known).next().map(|it| ((*path).clone(), it))
    });
    rule.or_else(|| {
        paths.keys().find_map(|path| {
            let how = AttrCheckFlags::FILE_THEN_INDEX;
            let value = repo.get_attr(path.as_path(), "filter", how).ok()??;
            known(value).map(|it| ((*path).clone(), it))
        })
    })
}
