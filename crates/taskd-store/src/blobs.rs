//! Prose by digest: large blobs as files, small ones in the database.
//!
//! A blob is durable before anybody is given its name, is never written twice, and never returned
//! when its bytes no longer have the digest that names it.

use std::{
    fs, io,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use rusqlite::Connection;
use taskd_model::Digest;

use crate::{
    error::StoreError,
    home::{self, Paths},
    limits::MAX_BLOB_BYTES,
};

/// The blobs that are files: `blobs/ab/cdef…`.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    /// Whether the first-level directory is known to be durable, by first byte.
    known: Vec<AtomicBool>,
    /// Temporary files never share a name.
    next: AtomicU64,
}

impl Files {
    pub(crate) fn new(paths: &Paths) -> Self {
        let known = std::iter::repeat_with(AtomicBool::default).take(256).collect();
        Self { dir: paths.blobs.clone(), known, next: AtomicU64::new(0) }
    }

    /// Writes the file unless it is there, durable in either case.
    pub(crate) fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(digest);
        let shelf = path.parent().unwrap_or(&self.dir);
        let known = &self.known[usize::from(digest.as_bytes()[0])];
        if !known.load(Ordering::Acquire) {
            home::make_private(shelf)?;
            home::sync_dir(&self.dir)?;
            known.store(true, Ordering::Release);
        }
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if !fs::metadata(&path).is_ok_and(|it| it.len() == size) {
            let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
            home::write_whole(&self.dir, &path, &name, bytes)?;
        }
        // Also when it was there: who renamed it may have been killed before this.
        home::sync_dir(shelf)
    }

    /// The bytes, if there is such a file, checked.
    pub(crate) fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(digest);
        let fail = |source| StoreError::io("reading a blob", &path, source);
        match fs::metadata(&path) {
            Err(it) if it.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(it) => return Err(fail(it)),
            Ok(it) if it.len() > MAX_BLOB_BYTES as u64 => {
                return Err(StoreError::damaged(&path, "the file is larger than any blob"));
            }
            Ok(_) => {}
        }
        let bytes = fs::read(&path).map_err(fail)?;
        verify(digest, bytes, path).map(Some)
    }

    /// Removes the file, if there is one. After a crash it may be there again.
    pub(crate) fn delete(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(it) if it.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("deleting a blob", &path, it))
            }
            _ => Ok(()),
        }
    }

    /// Every file that should be a blob, by shelf.
    pub(crate) fn each(
        &self,
        mut see: impl FnMut(PathBuf, Option<Digest>),
    ) -> Result<(), StoreError> {
        let fail = |source| StoreError::io("listing the blobs", &self.dir, source);
        for shelf in fs::read_dir(&self.dir).map_err(fail)? {
            let shelf = shelf.map_err(fail)?;
            if !shelf.file_type().map_err(fail)?.is_dir() {
                continue;
            }
            for entry in fs::read_dir(shelf.path()).map_err(fail)? {
                let entry = entry.map_err(fail)?;
                let (first, rest) = (shelf.file_name(), entry.file_name());
                let name = format!("{}{}", first.to_string_lossy(), rest.to_string_lossy());
                see(entry.path(), name.parse().ok());
            }
        }
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.dir.join(&name[..2]).join(&name[2..])
    }
}

/// The bytes of a small blob, if there is one.
pub(crate) fn small(conn: &Connection, digest: &Digest) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = conn.prepare("SELECT bytes FROM blob WHERE digest = ?1")?;
    let mut rows = statement.query([digest.as_bytes()])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}

/// The bytes, if they have the digest that names them.
pub(crate) fn verify(
    digest: &Digest,
    bytes: Vec<u8>,
    path: PathBuf,
) -> Result<Vec<u8>, StoreError> {
    let found = Digest::of(&bytes);
    if found == *digest {
        Ok(bytes)
    } else {
        Err(StoreError::BlobDamaged { digest: *digest, found, path })
    }
}
