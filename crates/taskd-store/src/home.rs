//! The state directory: who may see it, who holds it, and which files are in it.
//!
//! It removes nothing but its own temporary files, and only while it holds the lock.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::error::StoreError;

/// Start of every temporary file's name.
const TEMPORARY: &str = ".tmp-";

/// The files of one store.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    pub(crate) dir: PathBuf,
    pub(crate) db: PathBuf,
    pub(crate) wal: PathBuf,
    pub(crate) blobs: PathBuf,
    pub(crate) snapshots: PathBuf,
}

impl Paths {
    pub(crate) fn of(dir: &Path) -> Self {
        Self {
            dir: dir.to_path_buf(),
            db: dir.join("taskd.db"),
            wal: dir.join("taskd.db-wal"),
            blobs: dir.join("blobs"),
            snapshots: dir.join("snapshots"),
        }
    }
}

/// The exclusive lock on a state directory; dropping it lets go.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // By hand: a child that is just being started still holds a copy of the open file, and
        // closing ours would leave the lock with it. Should this fail, closing is what is left.
        drop(self.file.unlock());
    }
}

/// Makes the directory if need be, private, refuses network filesystems, and takes the lock.
pub(crate) fn take(dir: &Path, allow_network: bool) -> Result<(Paths, Lock), StoreError> {
    make_private(dir)?;
    if !allow_network {
        refuse_network(dir)?;
    }
    let paths = Paths::of(dir);
    let lock = lock(&dir.join("taskd.lock"))?;
    for it in [&paths.blobs, &paths.snapshots] {
        make_private(it)?;
        remove_temporary(it)?;
    }
    Ok((paths, lock))
}

pub(crate) fn make_private(dir: &Path) -> Result<(), StoreError> {
    let fail = |source| StoreError::io("making the state directory", dir, source);
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail)?;
    let mode = fs::metadata(dir).map_err(fail)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(fail)?;
    }
    Ok(())
}

fn lock(path: &Path) -> Result<Lock, StoreError> {
    let fail = |source| StoreError::io("locking the state directory", path, source);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let read = Read::by_ref(&mut file).take(32).read_to_string(&mut text);
            let pid = read.ok().and_then(|_| text.trim().parse().ok());
            return Err(StoreError::Locked { path: path.to_path_buf(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(fail(source)),
    }
    file.set_len(0).map_err(fail)?;
    file.rewind().map_err(fail)?;
    writeln!(file, "{}", std::process::id()).map_err(fail)?;
    Ok(Lock { file })
}

#[cfg(target_os = "linux")]
fn refuse_network(dir: &Path) -> Result<(), StoreError> {
    use nix::sys::statfs;
    let known = [
        (statfs::NFS_SUPER_MAGIC.0, "NFS"),
        (statfs::SMB_SUPER_MAGIC.0, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (statfs::AFS_SUPER_MAGIC.0, "AFS"),
        (statfs::CODA_SUPER_MAGIC.0, "Coda"),
        (statfs::NCP_SUPER_MAGIC.0, "NCP"),
        (0x00c3_6400, "Ceph"),
        (0x0102_1997, "9p"),
        (0x0bd0_0bd0, "Lustre"),
    ];
    let found = statfs::statfs(dir)
        .map_err(|source| StoreError::io("asking for the kind of filesystem", dir, source.into()))?
        .filesystem_type();
    match known.iter().find(|(magic, _)| *magic == found.0) {
        Some((_, kind)) => Err(StoreError::NetworkFilesystem { path: dir.to_path_buf(), kind }),
        None => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn refuse_network(_dir: &Path) -> Result<(), StoreError> {
    Ok(())
}

fn remove_temporary(dir: &Path) -> Result<(), StoreError> {
    let fail = |source| StoreError::io("removing temporary files", dir, source);
    for entry in fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            fs::remove_file(entry.path()).map_err(fail)?;
        }
    }
    Ok(())
}

/// Removes a file that may not be there.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(it) if it.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("removing a file", path, it))
        }
        _ => Ok(()),
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|it| it.sync_all())
        .map_err(|source| StoreError::io("syncing a directory", dir, source))
}

/// Writes a whole file, durably, under its final name or not at all. `room` is where the temporary
/// file lives: on the same filesystem as `path`.
pub(crate) fn write_whole(
    room: &Path,
    path: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let temporary = room.join(format!("{TEMPORARY}{name}"));
    let write = || {
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    let written = write().map_err(|source| StoreError::io("writing a file", path, source));
    if written.is_err() {
        // What is left of it is only in the way; a failure here hides the one that matters.
        drop(fs::remove_file(&temporary));
    }
    written
}
