//! A loop's second reader on the wire.

use taskd_model as model;

use super::{WireError, parse};
use crate::v1;

impl From<&model::ReviewView> for v1::Review {
    fn from(it: &model::ReviewView) -> Self {
        let (model, agent) = match &it.head.by {
            model::Worker::Model(name) => (name.clone(), String::new()),
            model::Worker::Agent(name) => (String::new(), name.clone()),
        };
        let mut wire = Self {
            model,
            agent,
            blocks: it.head.blocks,
            asked: it.asked,
            iteration: it.iteration,
            readings: it.readings,
            objections: it.objections,
            ..Self::default()
        };
        if let Some(found) = &it.found {
            wire.count = Some(found.count);
            wire.summary.clone_from(&found.summary);
            wire.log = found.log.to_string();
        }
        wire
    }
}

impl TryFrom<v1::Review> for model::ReviewView {
    type Error = WireError;

    fn try_from(it: v1::Review) -> Result<Self, WireError> {
        let found = match it.count {
            Some(count) => {
                let log = parse(&it.log, "Review.log")?;
                Some(model::Found { count, summary: it.summary, log })
            }
            None => None,
        };
        let agent = !it.agent.is_empty();
        let by =
            if agent { model::Worker::Agent(it.agent) } else { model::Worker::Model(it.model) };
        let head = model::ReviewHead { by, blocks: it.blocks };
        let v1::Review { asked, iteration, readings, objections, .. } = it;
        Ok(Self { head, asked, found, iteration, readings, objections })
    }
}
