//! A loop's second reader, as people see it.

use super::{Doing, EffectKind, LoopView, ReviewView};
use crate::{Found, ReviewHead, Worker};

impl ReviewView {
    pub(super) fn new(head: ReviewHead) -> Self {
        Self { head, asked: false, found: None, iteration: 0, readings: 0, objections: 0 }
    }

    /// `2 findings: the port is never checked`.
    #[must_use]
    pub fn line(&self) -> String {
        match (&self.found, self.asked) {
            (_, true) => "is read now".to_owned(),
            (None, false) => "not read yet".to_owned(),
            (Some(it), false) => format!("{}, iteration {}", it.summary, self.iteration),
        }
    }
}

/// `3 readings, 1 with findings`.
#[must_use]
pub fn format_readings(readings: u64, objections: u64) -> String {
    let times = if readings == 1 { "1 reading".to_owned() } else { format!("{readings} readings") };
    match objections {
        0 => times,
        n => format!("{times}, {n} with findings"),
    }
}

impl LoopView {
    /// Its gate was green and its second reader is asked, or is not any more.
    pub(super) fn reads(&mut self, asked: bool) {
        if let Some(it) = &mut self.review {
            it.asked = asked;
        }
    }

    /// Its second reader has answered, if it was that who replied.
    pub(super) fn was_read(&mut self, found: Option<&Found>) {
        if let (Some(it), Some(found)) = (&mut self.review, found) {
            (it.asked, it.found, it.iteration) = (false, Some(found.clone()), self.iteration);
            it.readings = it.readings.saturating_add(1);
            it.objections = it.objections.saturating_add(u32::from(0 < found.count));
        }
    }

    /// Whom an effect of it pays: its worker, its second reader, or whom its agent calls.
    pub(super) fn paid_to(&self, kind: &EffectKind) -> String {
        match (kind, self.reader()) {
            (EffectKind::Relay(model) | EffectKind::Answer(model), _) => model.clone(),
            (EffectKind::Call | EffectKind::Agent, Some(reader)) => reader.to_string(),
            (_, _) => self.worker.to_string(),
        }
    }

    /// Who reads its work now, if somebody does.
    pub(super) fn reader(&self) -> Option<&Worker> {
        self.review.as_ref().filter(|it| it.asked).map(|it| &it.head.by)
    }

    /// Who works for it now: what works on its spec, or its second reader.
    #[must_use]
    pub fn at_work(&self) -> &Worker {
        self.reader().unwrap_or(&self.worker)
    }

    /// What it waits for when its prompt is rendered.
    pub(super) fn queued(&self) -> Doing {
        if matches!(self.at_work(), Worker::Agent(_)) {
            Doing::QueuedForAgent
        } else {
            Doing::QueuedForModel
        }
    }
}
