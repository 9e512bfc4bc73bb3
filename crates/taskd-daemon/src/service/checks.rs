//! What `taskd doctor` asks of the machine that a daemon runs on: the room it has for programs and
//! watches, what its files are kept on, and what may leave it.

use std::{fs, path::Path};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use taskd_api::v1;

use super::{
    Service,
    look::{row, warned},
};

/// Processes of its user, below which a few dozen agents and gates use them up.
const PROCESSES: u64 = 1_024;
/// Watches of its user, below which changes in refs are found by looking only.
const WATCHES: u64 = 1_024;

impl Service {
    /// Room for programs and watches, what the state directory is kept on, and what may leave.
    pub(super) fn check_machine(&self) -> Vec<v1::CheckRow> {
        let state = &self.ctx().paths.state;
        let mut all = vec![processes()];
        all.extend(watches());
        all.extend(file_system(state));
        all.push(self.leaving());
        all
    }

    /// What goes out besides what work needs. Nothing of it is wrong.
    fn leaving(&self) -> v1::CheckRow {
        let traces = match &self.ctx().otel {
            Some(it) => format!("traces go to {}", it.place()),
            None => "no traces are sent".to_owned(),
        };
        let detail = format!("calls of models, and what git fetches and pushes; {traces}");
        row("leaving", true, &detail, "")
    }
}

fn processes() -> v1::CheckRow {
    let soft = getrlimit(Resource::RLIMIT_NPROC).map_or(RLIM_INFINITY, |it| it.0);
    let many = match soft {
        RLIM_INFINITY => "as many as there is room for".to_owned(),
        soft => format!("at most {soft} of this user"),
    };
    let hint = "`ulimit -u 4096` before the daemon starts, or TasksMax= in its service";
    let found = row("processes", PROCESSES <= soft, &many, hint);
    if PROCESSES <= soft { found } else { warned(found) }
}

/// Where the kernel says how many there may be.
fn watches() -> Option<v1::CheckRow> {
    let text = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok()?;
    let most: u64 = text.trim().parse().ok()?;
    let hint = "`sysctl fs.inotify.max_user_watches=65536`";
    let found = row("watches", WATCHES <= most, &format!("at most {most} of this user"), hint);
    Some(if WATCHES <= most { found } else { warned(found) })
}

/// What the state directory is kept on; nothing where nobody can tell.
#[cfg(target_os = "linux")]
fn file_system(state: &Path) -> Option<v1::CheckRow> {
    use nix::sys::statfs::{TMPFS_MAGIC, statfs};
    // One of another machine is refused at the start.
    let in_memory = statfs(state).ok()?.filesystem_type() == TMPFS_MAGIC;
    let is = if in_memory { "in memory" } else { "on a disk" };
    let hint = "set TASKD_STATE_DIR to a directory on a disk";
    let found = row("file system", !in_memory, &format!("{} is {is}", state.display()), hint);
    Some(if in_memory { warned(found) } else { found })
}

#[cfg(not(target_os = "linux"))]
fn file_system(_: &Path) -> Option<v1::CheckRow> {
    None
}
