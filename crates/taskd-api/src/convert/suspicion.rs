//! What speaks against work, as it travels.

use taskd_model as model;

use super::{WireError, need, parse};
use crate::v1;

impl From<&model::Suspicion> for v1::Suspicion {
    fn from(it: &model::Suspicion) -> Self {
        let mut wire = Self::default();
        if let Some(it) = &it.tampered {
            (wire.paths, wire.files) = (it.paths.clone(), it.files);
            wire.list = it.list.to_string();
        }
        if let Some((before, now)) = it.tests {
            (wire.before, wire.now) = (Some(before.into()), Some(now.into()));
        }
        wire
    }
}

impl TryFrom<v1::Suspicion> for model::Suspicion {
    type Error = WireError;

    fn try_from(it: v1::Suspicion) -> Result<Self, WireError> {
        let tampered = if it.paths.is_empty() {
            None
        } else {
            let list = parse(&it.list, "Suspicion.list")?;
            Some(model::Tampered { paths: it.paths, files: it.files, list })
        };
        let tests = match it.before {
            Some(before) => Some((before.into(), need(it.now, "Suspicion.now")?.into())),
            None => None,
        };
        Ok(Self { tampered, tests })
    }
}

impl From<model::TestCounts> for v1::TestCounts {
    fn from(it: model::TestCounts) -> Self {
        Self { run: it.run, skipped: it.skipped }
    }
}

impl From<v1::TestCounts> for model::TestCounts {
    fn from(it: v1::TestCounts) -> Self {
        Self { run: it.run, skipped: it.skipped }
    }
}
