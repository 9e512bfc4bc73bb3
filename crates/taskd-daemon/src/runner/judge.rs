//! Work that changes what decides about it is judged twice: with the files of its base in the place
//! of its own, in a scratch checkout, and as it is. Only what is green both times is green.

use taskd_git::Repo;
use taskd_model::{
    Digest, GateReport, NAMED_PATH_BYTES, NAMED_PATHS, Oid, PlanDoc, SpecDoc, Tampered,
};

use super::{Job, Trouble, identity};
use crate::protect::{Care, Protected, Said};

/// Where the scripts of a package are.
const PACKAGE: &str = "package.json";

/// Work that changes protected files.
pub(super) struct Tampering {
    /// Which.
    pub(super) fact: Tampered,
    /// The work with the base's files, as a commit; nothing where the base has none of them.
    judged: Option<Oid>,
}

impl Job {
    /// Whether `work` has files that decide about it otherwise than `base` has them.
    pub(super) async fn tampering(
        &self,
        base: Oid,
        work: Oid,
        plan: &PlanDoc,
        spec: &SpecDoc,
    ) -> Result<Option<Tampering>, Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let (plan, spec) = (plan.clone(), spec.clone());
        let found = self.blocking(move || look(&repo, base, work, &plan, &spec)).await?;
        let Some((paths, judged)) = found else { return Ok(None) };
        let list = self.ctx.put_blob(paths.join("\n").into())?;
        let files = u32::try_from(paths.len()).unwrap_or(u32::MAX);
        let paths = paths.iter().take(NAMED_PATHS).map(|it| cut(it)).collect();
        Ok(Some(Tampering { fact: Tampered { paths, files, list }, judged }))
    }

    /// The first of the two gates; the second is asked only if this one is green. `own` is the
    /// gate on the work as it is.
    pub(super) async fn judge_twice<F>(
        &self,
        found: Tampering,
        plan: &PlanDoc,
        accept: &[String],
        own: F,
    ) -> Result<GateReport, Trouble>
    where
        F: Future<Output = Result<GateReport, Trouble>>,
    {
        let Tampering { fact, judged } = found;
        let Some(judged) = judged else {
            let mut report = own.await?;
            report.facts.tampered = Some(fact);
            return Ok(report);
        };
        let mut first = self.gate_commit(judged, plan, accept).await?;
        let mut log = format!("[taskd: {fact} of the base in place of the work's own]\n");
        log.push_str(&self.read(&first.log)?);
        let by_base = format!(", with the base's {fact}");
        first.summary = super::gate::short(&format!("{}{by_base}", first.summary));
        if first.green && self.is_wanted() {
            let second = own.await?;
            log.push_str("[taskd: and with the work's own]\n");
            log.push_str(&self.read(&second.log)?);
            first.ms = first.ms.saturating_add(second.ms);
            // What lands is the work's own tree.
            first.proof = second.proof;
            if !second.green {
                let only = format!("{}, with its own {fact}", second.summary);
                first.summary = super::gate::short(&only);
                first.green = false;
                first.facts.failed = second.facts.failed;
            }
        }
        first.log = self.ctx.put_blob(log.into())?;
        first.facts.tampered = Some(fact);
        Ok(first)
    }

    fn read(&self, log: &Digest) -> Result<String, Trouble> {
        Ok(String::from_utf8_lossy(&self.ctx.blob(log)?).into_owned())
    }
}

/// The protected paths that differ, and a commit to judge instead if the base has any of them.
type Looked = (Vec<String>, Option<Oid>);

/// The protected paths that differ, and the work with the base's files in their place.
fn look(
    repo: &Repo,
    base: Oid,
    work: Oid,
    plan: &PlanDoc,
    spec: &SpecDoc,
) -> Result<Option<Looked>, Trouble> {
    let changed = repo.changed(base, work)?;
    let said = said(plan, spec);
    // A file that cannot be read is taken as there: then the base's is put in its place.
    let in_base = |it: &str| repo.file_at(base, it.as_ref()).is_ok_and(|it| it.is_some());
    let text = |it: &str| repo.file_at(base, it.as_ref()).ok().flatten();
    let protected = Protected::of(&said, in_base).with_called(in_base, text);
    let scripts = |at: Oid| {
        let text = repo.file_at(at, PACKAGE.as_ref()).ok().flatten()?;
        serde_json::from_slice::<serde_json::Value>(&text).ok()?.get("scripts").cloned()
    };
    let (mut names, mut restored) = (Vec::new(), Vec::new());
    for it in changed {
        let name = String::from_utf8_lossy(it.path.as_bytes()).into_owned();
        let mut care = protected.care(&name);
        if care == Care::None
            && protected.package_scripts
            && name == PACKAGE
            && scripts(base) != scripts(work)
        {
            care = if it.was_there { Care::Restored } else { Care::Asked };
        }
        match care {
            Care::None => continue,
            Care::Asked => {}
            Care::Restored => restored.push(it.path.clone()),
        }
        names.push(it.path.to_string());
    }
    if names.is_empty() {
        return Ok(None);
    }
    if restored.is_empty() {
        return Ok(Some((names, None)));
    }
    let judged = repo.with_files_of(work, base, &restored, &identity(repo)?)?;
    Ok(Some((names, Some(judged))))
}

fn said<'a>(plan: &'a PlanDoc, spec: &'a SpecDoc) -> Said<'a> {
    let of_type = spec.loop_type.gate.protect.iter().flatten();
    let gate = &plan.gate;
    let setup = plan.setup.iter().chain(&spec.loop_type.setup);
    let commands = gate.quick.iter().chain(&gate.run).chain(setup);
    Said {
        globs: gate.protect.iter().chain(of_type).map(String::as_str).collect(),
        gate: commands.map(String::as_str).collect(),
        accept: spec.accept.iter().map(String::as_str).collect(),
        touches: spec.touches.iter().map(String::as_str).collect(),
    }
}

/// At most [`NAMED_PATH_BYTES`], on a character boundary.
fn cut(path: &str) -> String {
    let end = (0..=path.len().min(NAMED_PATH_BYTES)).rev().find(|at| path.is_char_boundary(*at));
    path[..end.unwrap_or(0)].to_owned()
}
