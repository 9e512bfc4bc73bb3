//! `taskd verify`: one line a step, and whether it holds.

use serde_json::{Value, json};
use taskd_api::v1;

use super::{
    Scene,
    json::SCHEMA_VERSION,
    text::{clean, wrap},
};

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Proof(Vec<v1::VerifyStep>);

/// A step for people; what it is about is said once, above its first step.
pub(crate) fn line(step: &v1::VerifyStep, before: &Proof, scene: &Scene) -> String {
    let mut out = String::new();
    if before.0.last().is_none_or(|it| it.subject != step.subject) {
        let commit = step.commit.get(..7).unwrap_or(&step.commit);
        out.push_str(&format!("{}  {commit}\n", scene.bold(&clean(&step.subject))));
    }
    let word = match step.state() {
        v1::StepState::Proven => "ok",
        v1::StepState::Failed | v1::StepState::Unspecified => "FAILED",
    };
    let label = format!("  {word:<6}  {:<8}  ", clean(&step.name));
    let room = scene.width.saturating_sub(label.len()).max(20);
    for (n, text) in wrap(&clean(&step.detail), room).iter().enumerate() {
        let label = if n == 0 { label.as_str() } else { "                    " };
        out.push_str(&format!("{label}{text}\n"));
    }
    out
}

impl Proof {
    pub(crate) fn take(&mut self, step: v1::VerifyStep) {
        self.0.push(step);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every step holds.
    pub(crate) fn holds(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|it| it.state() == v1::StepState::Proven)
    }

    /// The last line.
    pub(crate) fn verdict(&self, recorded: bool) -> String {
        match (self.holds(), recorded) {
            (true, false) => "proven\n".to_owned(),
            (true, true) => "the records hold; nothing was run\n".to_owned(),
            (false, _) => "NOT PROVEN\n".to_owned(),
        }
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let step = |it: &v1::VerifyStep| {
            json!({
                "subject": it.subject,
                "commit": it.commit,
                "name": it.name,
                "proven": it.state() == v1::StepState::Proven,
                "detail": it.detail,
            })
        };
        json!({
            "schema_version": SCHEMA_VERSION,
            "proven": self.holds(),
            "steps": self.0.iter().map(step).collect::<Vec<_>>(),
        })
    }
}
