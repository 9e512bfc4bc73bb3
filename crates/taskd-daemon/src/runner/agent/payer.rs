//! What pays for an agent's run: what was declared, what is handed over, and what the program says.
//!
//! A key is handed over only where nothing declares that a login pays. What the program then says
//! of itself is compared: a file in a repository can give it another key.

use taskd_model::{Billing, Code};
use taskd_tools::agents::{AgentFact, Preset};

use super::super::{Job, Trouble, lock};
use crate::models::{declared, no_key, variable};

/// What pays for a run.
#[derive(Debug, Clone)]
pub(super) struct Payer {
    agent: String,
    declared: Option<Billing>,
    /// The variable that is handed over.
    variable: Option<String>,
}

impl Job {
    /// What shall pay for a run of this program, and the secret it is given for that.
    pub(super) fn payer(&self, preset: &Preset) -> Result<(Payer, Option<String>), Trouble> {
        let (_, root) = self.ctx.repo(self.order.project)?;
        let person = self.ctx.config_of(&root)?.agent_billing;
        let declared = declared(person, self.spec_doc()?.loop_type.billing)
            .map_err(|it| Trouble::new(Code::AgentBilling, it))?;
        let held = lock(&self.ctx.credentials);
        let variable = variable(preset, declared, |it| held.contains_key(it));
        if declared == Some(Billing::Key) && variable.is_none() {
            return Err(Trouble::new(Code::CredentialMissing, no_key(preset)));
        }
        // What paid when it was submitted pays now, unless somebody has declared something else.
        let spec = self.spec_doc()?;
        let before = if self.reader().is_some() { spec.reader_paid_by } else { spec.paid_by };
        let before = before.filter(|_| declared.is_none());
        if let Some(name) = before.filter(|it| variable.as_ref() != Some(it)) {
            let what = format!(
                "the agent {} was paid by {name}, which the daemon has no more: `export {name}=...` \
                 and run `taskd resume ID` in that shell",
                preset.name
            );
            return Err(Trouble::new(Code::CredentialMissing, what));
        }
        let secret = variable.as_ref().and_then(|it| held.get(it)).cloned();
        Ok((Payer { agent: preset.name.clone(), declared, variable }, secret))
    }
}

impl Payer {
    /// The variable its secret goes into.
    pub(super) fn variable(&self) -> Option<&str> {
        self.variable.as_deref()
    }

    /// What the program says of who pays is not what was declared.
    pub(super) fn contradicts(&self, fact: &AgentFact) -> Option<Trouble> {
        let AgentFact::Payer { name, login } = fact else { return None };
        let Self { agent, declared, .. } = self;
        let what = match declared {
            Some(Billing::Login) if !login => format!(
                "the agent {agent} says that {name} pays, but its own login shall: a setting of the \
                 program or of the repository gives it a key; it was ended before it worked"
            ),
            Some(Billing::Key) if *login => format!(
                "the agent {agent} says that its own login pays, but its key shall; it was ended \
                 before it worked"
            ),
            Some(_) | None => return None,
        };
        Some(Trouble::new(Code::AgentBilling, what))
    }
}
