//! Which process is which, beyond its number: the kernel reuses numbers.
//!
//! Reads `/proc` only. Where there is no `/proc` nothing has an identity, and nothing that needs
//! one is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

/// A process, told apart from every other one this machine ever had. Goes into the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its number.
    pub pid: u32,
    /// When it began, in clock ticks since boot.
    pub start_time: u64,
    /// Which boot.
    pub boot_id: String,
}

impl ProcessIdentity {
    /// The process is still there, and is this one. A zombie is not there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        identity_of(self.pid).is_ok_and(|now| now == *self) && is_running(self.pid)
    }
}

/// The identity of the process that has this number now (a zombie counts).
///
/// # Errors
/// `NotFound` if there is none; whatever reading `/proc` gives; `Unsupported` where there is no
/// `/proc`.
pub fn identity_of(pid: u32) -> io::Result<ProcessIdentity> {
    let boot_id = boot_id()?;
    Ok(ProcessIdentity { pid, start_time: stat_of(pid)?.start_time, boot_id })
}

/// Every descendant of `root`, `root` not included, zombies included (the threads of one may still
/// run). May miss what is being born: repeat after ending what was found.
pub(super) fn descendants(root: u32) -> BTreeSet<u32> {
    match walk_children(root) {
        Some(found) => found,
        None => walk_parents(root),
    }
}

/// How many descendants of `root` are alive, `root` not included; 0 where there is no `/proc`. Two
/// looks may both miss a process that lived between them.
#[must_use]
pub fn living_below(root: u32) -> u32 {
    let living = descendants(root).into_iter().filter(|pid| is_running(*pid)).count();
    u32::try_from(living).unwrap_or(u32::MAX)
}

/// It is no zombie. Wrong only for a process whose first thread has ended before the others.
pub(super) fn is_running(pid: u32) -> bool {
    stat_of(pid).is_ok_and(|stat| !stat.dead)
}

/// Every living process of the session `session`, which is the number of its leader.
pub(super) fn session_members(session: u32) -> BTreeSet<u32> {
    all_stats()
        .filter(|(_, stat)| stat.session == session && !stat.dead)
        .map(|(pid, _)| pid)
        .collect()
}

/// What we read of `/proc/<pid>/stat`.
struct Stat {
    parent: u32,
    session: u32,
    start_time: u64,
    /// A zombie, or going away.
    dead: bool,
}

fn stat_of(pid: u32) -> io::Result<Stat> {
    let bytes = fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc stat"))
}

/// `pid (name) state ppid pgrp session … start_time(22) …`; the name may hold anything, so fields
/// are counted from the last parenthesis.
fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let name_end = bytes.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&bytes[name_end + 1..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(20).collect();
    let [state, parent, _group, session, .., start_time] = fields[..] else { return None };
    Some(Stat {
        parent: parent.parse().ok()?,
        session: session.parse().ok()?,
        start_time: start_time.parse().ok()?,
        dead: matches!(state, "Z" | "X" | "x"),
    })
    .filter(|_| fields.len() == 20)
}

fn boot_id() -> io::Result<String> {
    match fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(io::Error::new(io::ErrorKind::Unsupported, "no /proc here"))
        }
        Err(error) => Err(error),
    }
}

/// Downwards through `/proc/<pid>/task/*/children`; nothing if the kernel was built without it.
fn walk_children(root: u32) -> Option<BTreeSet<u32>> {
    fs::metadata(format!("/proc/{root}/task/{root}/children")).ok()?;
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for child in children_of(parent) {
            if found.insert(child) {
                open.push(child);
            }
        }
    }
    Some(found)
}

fn children_of(parent: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{parent}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

/// Upwards from every process there is.
fn walk_parents(root: u32) -> BTreeSet<u32> {
    let mut by_parent: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, stat) in all_stats() {
        by_parent.entry(stat.parent).or_default().push(pid);
    }
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for pid in by_parent.remove(&parent).unwrap_or_default() {
            open.push(pid);
            found.insert(pid);
        }
    }
    found
}

fn all_stats() -> impl Iterator<Item = (u32, Stat)> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat_of(pid).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_is_read() {
        let line = b"42 (a) b (c) R 7 42 9 0 -1 1 2 3 4 5 6 7 8 9 20 0 1 0 12345 99 100\n";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.parent, stat.session, stat.start_time, stat.dead), (7, 9, 12345, false));
        assert!(parse_stat(b"42 (a) R 7").is_none());
        assert!(parse_stat(b"").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn we_are_alive_and_nobody_else_is_us() {
        let us = identity_of(std::process::id()).unwrap();
        assert!(us.is_alive());
        assert!(!ProcessIdentity { start_time: us.start_time + 1, ..us.clone() }.is_alive());
        assert!(!ProcessIdentity { boot_id: "other".into(), ..us }.is_alive());
        assert!(identity_of(u32::MAX).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn both_walks_see_a_child() {
        #[expect(clippy::disallowed_methods, reason = "any child will do")]
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let us = std::process::id();
        assert!(descendants(us).contains(&child.id()));
        assert!(walk_parents(us).contains(&child.id()));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!descendants(us).contains(&child.id()));
    }
}
