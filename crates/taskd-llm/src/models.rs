//! Which model a name stands for.
//!
//! A script is read once: editing the file changes nothing until the daemon starts again, so one
//! turn gets one reply however often it is asked for. Nothing is chosen when a name is unknown.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use taskd_model::Digest;

use crate::{
    Llm, LlmError, SCRIPTED, Scripted,
    scripted::{read_script, shortened},
};

/// The most script files kept; beyond it the one resolved first is forgotten.
pub const MAX_SCRIPTS: usize = 64;

/// The models this process knows, by name.
#[derive(Debug, Default)]
pub struct Models {
    /// Oldest first. Held for look-ups only, never while a file is read.
    scripts: Mutex<Vec<(PathBuf, Digest, Arc<Scripted>)>>,
}

impl Models {
    /// No script read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The model called `name`. Reads and checks the file of a script that is new to this process,
    /// so call it where blocking is allowed.
    ///
    /// # Errors
    /// No such provider, or a script that cannot be used.
    pub fn resolve(&self, name: &str) -> Result<Arc<dyn Llm>, LlmError> {
        let Some(path) = name.strip_prefix(SCRIPTED) else {
            return Err(LlmError::UnknownProvider { model: shortened(name) });
        };
        let path = Path::new(path);
        if !path.is_absolute() {
            return Err(LlmError::RelativePath { model: shortened(name) });
        }
        if let Some(known) = self.find(|(at, _, _)| at == path) {
            return Ok(known);
        }
        let bytes = read_script(path)?;
        let digest = Digest::of(&bytes);
        let script = match self.find(|(_, it, _)| *it == digest) {
            Some(same) => same,
            None => Arc::new(Scripted::parse(path, &bytes)?),
        };
        Ok(self.keep(path, digest, script))
    }

    fn find(
        &self,
        wanted: impl Fn(&(PathBuf, Digest, Arc<Scripted>)) -> bool,
    ) -> Option<Arc<Scripted>> {
        let scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        scripts.iter().find(|it| wanted(it)).map(|(_, _, script)| Arc::clone(script))
    }

    /// Keeps `script`, unless another thread was first: then its one is the answer.
    fn keep(&self, path: &Path, digest: Digest, script: Arc<Scripted>) -> Arc<Scripted> {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, first)) = scripts.iter().find(|(at, _, _)| at == path) {
            return Arc::clone(first);
        }
        if scripts.len() == MAX_SCRIPTS {
            scripts.remove(0);
        }
        scripts.push((path.to_owned(), digest, Arc::clone(&script)));
        script
    }
}
