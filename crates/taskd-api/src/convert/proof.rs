//! Evidence of gates on the wire.

use taskd_model as model;
use taskd_model::{Evidence, Seq, Time};

use super::{WireError, parse, parse_some};
use crate::v1;

impl From<&model::GateProof> for v1::GateProof {
    fn from(it: &model::GateProof) -> Self {
        let red =
            |it: &model::RedRun| v1::RedRun { log: it.log.to_string(), failed: it.failed.clone() };
        Self {
            gate: it.gate.to_string(),
            environment: it.environment.to_string(),
            tree: it.tree.to_string(),
            exits: it.exits.clone(),
            failed: it.failed.clone(),
            earlier: it.earlier.iter().map(red).collect(),
        }
    }
}

impl TryFrom<v1::GateProof> for model::GateProof {
    type Error = WireError;

    fn try_from(it: v1::GateProof) -> Result<Self, WireError> {
        let red = |it: v1::RedRun| {
            Ok(model::RedRun { log: parse(&it.log, "RedRun.log")?, failed: it.failed })
        };
        Ok(Self {
            gate: parse(&it.gate, "GateProof.gate")?,
            environment: parse(&it.environment, "GateProof.environment")?,
            tree: parse(&it.tree, "GateProof.tree")?,
            exits: it.exits,
            failed: it.failed,
            earlier: it.earlier.into_iter().map(red).collect::<Result<_, WireError>>()?,
        })
    }
}

impl From<&model::Landed> for v1::LandedWork {
    fn from(it: &model::Landed) -> Self {
        Self {
            commit: it.commit.to_string(),
            onto: it.onto.to_string(),
            at: it.at.0,
            evidence: it.evidence.map(|it| it.seq.0),
            tree: it.evidence.map(|it| it.tree.to_string()),
        }
    }
}

impl TryFrom<v1::LandedWork> for model::Landed {
    type Error = WireError;

    fn try_from(it: v1::LandedWork) -> Result<Self, WireError> {
        let tree = parse_some(it.tree.as_ref(), "LandedWork.tree")?;
        let evidence = it.evidence.zip(tree);
        Ok(Self {
            commit: parse(&it.commit, "LandedWork.commit")?,
            onto: parse(&it.onto, "LandedWork.onto")?,
            at: Time(it.at),
            evidence: evidence.map(|(seq, tree)| Evidence { seq: Seq(seq), tree }),
        })
    }
}
