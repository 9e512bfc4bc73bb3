//! Worktrees and checkouts of one project: which may go, and their going.

use std::{fs, path::Path, sync::Arc};

use taskd_git::{GitError, Place, PlaceKind, Proof, Repo};
use taskd_model::{ProjectId, Room, SpecDoc, format_age_ms};

use super::{Asked, Fate, Item, Known, age_ms, bytes_of, known, plan_of};
use crate::runner::{Context, chain, epoch_s, worktree_name};

/// One project that is looked at.
pub(super) struct Sweep<'a> {
    pub(super) ctx: &'a Arc<Context>,
    pub(super) asked: &'a Asked,
    pub(super) keep_ms: u64,
    pub(super) project: ProjectId,
    pub(super) repo: &'a Repo,
}

/// Whether it goes, and why.
struct Word {
    goes: bool,
    reason: String,
}

impl Word {
    fn stays(reason: impl Into<String>) -> Self {
        Self { goes: false, reason: reason.into() }
    }

    fn goes(reason: impl Into<String>) -> Self {
        Self { goes: true, reason: reason.into() }
    }
}

impl Sweep<'_> {
    pub(super) fn places(&self) -> Result<Vec<Item>, GitError> {
        let known = known(self.ctx, self.project);
        let places = self.repo.places()?;
        Ok(places.iter().map(|it| self.place(it, &known)).collect())
    }

    fn place(&self, place: &Place, known: &[Known]) -> Item {
        let mut item = Item {
            what: format!("directory {}", place.name),
            place: place.dir.display().to_string(),
            bytes: bytes_of(&place.dir),
            fate: Fate::Kept,
            reason: String::new(),
            saved: Vec::new(),
        };
        match &place.kind {
            PlaceKind::Other { why } => {
                item.reason = format!("not this daemon's: {why}; it is left alone");
            }
            PlaceKind::Scratch => {
                item.what = format!("checkout {}", place.name);
                self.scratch(place, &mut item);
            }
            PlaceKind::Work => match known.iter().find(|it| self.is_of(place, it)) {
                None => {
                    item.what = format!("worktree {}", place.name);
                    item.reason = "no loop of this daemon's log has it; it is left alone".into();
                }
                Some(of) => {
                    item.what = format!("worktree of {}", of.name);
                    self.worktree(place, of, &mut item);
                }
            },
        }
        item
    }

    fn is_of(&self, place: &Place, of: &Known) -> bool {
        plan_of(&place.name) == Some(of.id.plan())
            && self
                .ctx
                .doc::<SpecDoc>(&of.doc)
                .is_ok_and(|spec| worktree_name(of.id, &spec.name) == place.name)
    }

    /// A loop's worktree. Nothing of the loop runs while it is judged and while it goes; what begins
    /// meanwhile waits, and then makes the worktree again.
    fn worktree(&self, place: &Place, of: &Known, item: &mut Item) {
        let tenancy = self.ctx.tenancy(of.id);
        let Ok(_alone) = tenancy.try_write() else {
            item.reason = format!("{} works in it", of.name);
            return;
        };
        let status = self.ctx.hub.view().loops.get(&of.id).map(|it| it.status);
        let of = Known { status: status.unwrap_or(of.status), ..of.clone() };
        let word = self.judge(place, &of);
        item.reason = word.reason;
        if !word.goes {
            return;
        }
        if self.asked.dry_run {
            item.fate = Fate::Would;
            return;
        }
        self.ctx.strike("gc", &of.name);
        match self.repo.retire(&place.name, of.checkpoint) {
            Ok(saved) => {
                // It says that a setup ran here.
                fs::remove_file(place.dir.with_extension("set-up")).ok();
                item.fate = Fate::Removed;
                item.saved = saved;
            }
            Err(why) => {
                item.fate = Fate::Failed;
                item.reason = chain(&why);
            }
        }
    }

    fn judge(&self, place: &Place, of: &Known) -> Word {
        if !of.status.is_over() {
            return Word::stays(format!("{} is {}", of.name, of.status));
        }
        let over_ms = of.ended_at.map_or(0, |it| (epoch_s() * 1_000).saturating_sub(it.0));
        let older_ms = self.asked.older_ms.unwrap_or(0);
        if over_ms < older_ms {
            let (over, older) = (format_age_ms(over_ms), format_age_ms(older_ms));
            return Word::stays(format!("over for {over} only, not for {older}"));
        }
        if let Some(pid) = occupant(&place.dir) {
            return Word::stays(format!("process {pid} is in it"));
        }
        if place.half_gone {
            return Word::goes("its removal was cut off; nothing in it was needed");
        }
        let landed = match self.landed(of) {
            Ok(landed) => landed,
            Err(why) => return Word::stays(format!("nothing can be proven: {}", chain(&why))),
        };
        let proof = match self.repo.proof(&place.name, of.checkpoint) {
            Ok(proof) => proof,
            Err(why) => return Word::stays(format!("nothing can be proven: {}", chain(&why))),
        };
        if self.asked.by_itself && !(landed && proof.is_clean()) {
            return Word::stays("it did not land as it is; `taskd gc` saves it first");
        }
        Word::goes(self.why(place, of, landed, &proof))
    }

    /// Its work is on the target now, wherever that has moved since.
    fn landed(&self, of: &Known) -> Result<bool, GitError> {
        let (Some(commit), Some(tip)) = (of.landed, self.repo.tip(&of.target)?) else {
            return Ok(false);
        };
        self.repo.ancestor_of(commit, tip)
    }

    fn why(&self, place: &Place, of: &Known, landed: bool, proof: &Proof) -> String {
        let own = self.repo.own_ref(&format!("loops/{}", place.name));
        let home = match (landed, of.landed) {
            (true, Some(commit)) => format!("landed on {} as {}", of.target, commit.short()),
            (_, Some(commit)) => {
                format!("{} has {} no more; its work stays in {own}", of.target, commit.short())
            }
            (_, None) => format!("{}; its work stays in {own}", of.status),
        };
        if proof.is_clean() {
            return format!("clean; {home}");
        }
        let mut saved = Vec::new();
        if proof.differing != 0 {
            let named: Vec<String> = proof.named.iter().map(ToString::to_string).collect();
            let files = if proof.differing == 1 { "file differs" } else { "files differ" };
            let more = if named.len() < proof.differing { ", …" } else { "" };
            saved.push(format!(
                "{} {files} from its last checkpoint ({}{more})",
                proof.differing,
                named.join(", ")
            ));
        }
        if let Some(stray) = proof.stray {
            saved.push(format!("commit {} is on no branch", stray.short()));
        }
        if proof.unkept {
            saved.push(format!("checkpoint {} is on no ref", of.checkpoint.short()));
        }
        format!("{}: saved first; {home}", saved.join(", "))
    }

    /// A checkout for gates holds nothing of anybody's, only caches.
    fn scratch(&self, place: &Place, item: &mut Item) {
        if place.name.starts_with("spare-") {
            return self.spare(place, item);
        }
        let n = ["gate-", "review-"].iter().find_map(|it| place.name.strip_prefix(it));
        let n = n.and_then(|it| it.parse().ok());
        let Some(_alone) = n.and_then(|n| self.ctx.reserve_scratch(self.project, n)) else {
            let ours = n.is_some() || place.name == "check";
            item.reason = if ours { "in use" } else { "made for something else" }.to_owned();
            return;
        };
        let unused_ms = place.used_at.map_or(0, age_ms);
        let older_ms = self.asked.older_ms.unwrap_or(self.keep_ms);
        let (unused, older) = (format_age_ms(unused_ms), format_age_ms(older_ms));
        if unused_ms < older_ms {
            item.reason = format!("used {unused} ago; its caches are kept for {older}");
            return;
        }
        item.reason = format!("for gates; not used for {unused}, and holds nothing but caches");
        if self.asked.dry_run {
            item.fate = Fate::Would;
            return;
        }
        match self.repo.remove_scratch(&place.name) {
            Ok(()) => item.fate = Fate::Removed,
            Err(why) => {
                item.fate = Fate::Failed;
                item.reason = chain(&why);
            }
        }
        fs::remove_file(place.dir.with_extension("set-up")).ok();
    }

    /// A worktree that nobody had yet: room is worth more, where that is short.
    fn spare(&self, place: &Place, item: &mut Item) {
        if self.ctx.hub.view().disk.room == Room::Enough {
            item.reason = "a spare worktree for the next loop".to_owned();
            return;
        }
        item.reason = "a spare worktree, and the disk is short of room".to_owned();
        if self.asked.dry_run {
            item.fate = Fate::Would;
            return;
        }
        match self.repo.remove_spare(&place.name) {
            Ok(true) => item.fate = Fate::Removed,
            Ok(false) => item.reason = "a spare worktree that is being made".to_owned(),
            Err(why) => {
                item.fate = Fate::Failed;
                item.reason = chain(&why);
            }
        }
    }
}

/// A process whose working directory is in there, as far as this system tells: a shell of a person.
fn occupant(dir: &Path) -> Option<u32> {
    let entries = fs::read_dir("/proc").ok()?;
    entries.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let cwd = fs::read_link(entry.path().join("cwd")).ok()?;
        cwd.starts_with(dir).then_some(pid)
    })
}
