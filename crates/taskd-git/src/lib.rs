//! Git for taskd: worktrees, checkpoints, rebases, candidates and landing, by libgit2 in process.
//!
//! - [`probe`] looks at a path and refuses repositories taskd cannot work with.
//! - [`Repo`] is one repository as one store sees it:
//!   - worktrees: [`Repo::ensure_worktree`], [`Repo::checkout_scratch`], [`Repo::remove_worktree`],
//!     [`Repo::copy_included`], [`Repo::make_spare`];
//!   - work: [`Repo::checkpoint`], [`Repo::checkpoint_paths`], [`Repo::rebase`], [`Repo::rewind`],
//!     [`Repo::kept`], [`Repo::write_out`];
//!   - a program that worked there: [`Repo::before`], [`Repo::mend`], [`Repo::after`];
//!   - landing: [`Repo::candidate`], [`Repo::merge_into`], [`Repo::publish`],
//!     [`Repo::states`], [`Repo::stepped`], [`Repo::checked_out_at`], [`Repo::advance`] for a branch
//!     and the person's checkouts of it; [`Repo::new_branch`] where a person asks for one;
//!   - one that was moved: [`Repo::was_worked_in`], [`Repo::mend_links`];
//!   - what may go: [`Repo::places`], [`Repo::proof`], [`Repo::retire`];
//!   - a remote: [`Repo::fetch`], [`Repo::push`], [`Repo::remote_tip`], [`Repo::has_changes_of`];
//!   - judging: [`Repo::changed`], [`Repo::with_files_of`];
//!   - what it only points to: [`Repo::elsewhere`], [`Repo::points_elsewhere`],
//!     [`Repo::changed_submodules`];
//!   - reading: [`Repo::tip`], [`Repo::diff`], [`Repo::log`] and their like.
//!
//! What it writes into a repository: `refs/taskd/<tag>/{loops,salvage,before-rebase,before-rewind,agent}/…`,
//! worktree metadata named `taskd-<tag>-<name>`, objects, and the refs given to `publish`, and, by the
//! command that fetches, the one ref of a remote's branch; what a program made there beyond its files `after` takes away again. It knows git, not plans. Every function blocks, opens its own handle, and is repeatable; none retries, sleeps,
//! runs a hook, or touches another ref or worktree it did not make. At most one operation at a time may
//! run on one worktree: the caller's holds see to that.

mod blame;
mod checkpoint;
mod elsewhere;
mod error;
mod files;
mod fill;
mod filters;
mod follow;
mod gc;
mod history;
mod hold;
mod include;
mod kept;
mod mend;
mod merge;
mod moved;
mod moving;
mod outside;
mod overlay;
mod path;
mod pool;
mod probe;
mod program;
mod refs;
mod remote;
mod repo;
mod scan;
mod spot;
mod steps;
mod tree;
mod worktree;

pub use blame::BlamedLine;
pub use checkpoint::Checkpoint;
pub use elsewhere::Elsewhere;
pub use error::GitError;
pub use follow::{Follow, Manner, could_sync};
pub use gc::{Place, PlaceKind, Proof};
pub use history::{CommitLine, Diff, FileStat};
pub use include::{Included, MAX_INCLUDED_BYTES, MAX_INCLUDED_FILES, Skipped};
pub use kept::{Kept, KeptFor};
pub use merge::{Candidate, Rebased};
pub use moved::is_there;
pub use moving::Advance;
pub use outside::{Before, Mark, Trace};
pub use overlay::Changed;
pub use path::{BadPath, RepoPath};
pub use pool::MAX_SPARES;
pub use probe::{MAX_DIRTY_FILES, Probe, probe};
pub use program::{OLDEST, Version, version};
pub use refs::Published;
pub use remote::Talk;
pub use repo::{Identity, Repo};
pub use spot::remove_tree;
pub use worktree::{Ensure, Prepared, Removed};
