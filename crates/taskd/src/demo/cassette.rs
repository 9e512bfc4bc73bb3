//! The demo's model calls in a folder: recorded there, or answered from there with no model at all.
//!
//! Beside the recordings lies the seed, since it decides what is asked and when the daemon is
//! killed. It knows nothing of what a recording is made of.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

/// The file beside the recordings.
const SEED_FILE: &str = "demo.json";
/// Version of that file.
const SCHEMA: u32 = 1;

/// Where the models' replies come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// From the script.
    Script,
    /// From the script, and every call is recorded in this folder.
    Record(PathBuf),
    /// From the recordings in this folder; there is no script.
    Replay(PathBuf),
}

/// What is beside the recordings.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedFile {
    schema: u32,
    seed: u64,
}

impl Source {
    /// From what was typed.
    ///
    /// # Errors
    /// There is no current directory.
    pub(super) fn new(record: Option<&Path>, replay: Option<&Path>) -> anyhow::Result<Self> {
        let whole = |it: &Path| {
            std::path::absolute(it).with_context(|| format!("finding {}", it.display()))
        };
        Ok(match (record, replay) {
            (Some(dir), _) => Self::Record(whole(dir)?),
            (None, Some(dir)) => Self::Replay(whole(dir)?),
            (None, None) => Self::Script,
        })
    }

    /// The seed to play: that of the recordings, else the one that was chosen. A folder for
    /// recordings is made, and says its seed.
    ///
    /// # Errors
    /// A folder for recordings holds something, or a folder of recordings is none of the demo's.
    pub(super) fn seed(&self, chosen: u64) -> anyhow::Result<u64> {
        match self {
            Self::Script => Ok(chosen),
            Self::Record(dir) => {
                let shown = dir.display();
                fs::create_dir_all(dir).with_context(|| format!("making {shown}"))?;
                let mut held = fs::read_dir(dir).with_context(|| format!("reading {shown}"))?;
                if held.next().is_some() {
                    bail!("{shown} is not empty; record into a new folder");
                }
                let file = SeedFile { schema: SCHEMA, seed: chosen };
                let text = serde_json::to_string(&file).context("saying the seed")?;
                fs::write(dir.join(SEED_FILE), text + "\n")
                    .with_context(|| format!("writing into {shown}"))?;
                Ok(chosen)
            }
            Self::Replay(dir) => {
                let path = dir.join(SEED_FILE);
                let shown = path.display();
                let text = fs::read_to_string(&path).with_context(|| {
                    format!("reading {shown}; `taskd demo --record DIR` makes such a folder")
                })?;
                let file: SeedFile =
                    serde_json::from_str(&text).with_context(|| format!("reading {shown}"))?;
                if file.schema != SCHEMA {
                    bail!("{shown} is of version {}, this is {SCHEMA}", file.schema);
                }
                Ok(file.seed)
            }
        }
    }

    /// What the daemon is told in its environment.
    pub(super) fn variable(&self) -> Option<(&'static str, String)> {
        let (mode, dir) = match self {
            Self::Script => return None,
            Self::Record(dir) => ("record", dir),
            Self::Replay(dir) => ("replay", dir),
        };
        Some(("TASKD_CASSETTE", format!("{mode}:{}", dir.display())))
    }

    /// What kind of calls the models answer, for people.
    pub(super) fn calls(&self) -> &'static str {
        match self {
            Self::Script | Self::Record(_) => "scripted",
            Self::Replay(_) => "recorded",
        }
    }
}
