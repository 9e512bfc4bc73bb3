//! A look at a write-ahead log left by an unclean end, before SQLite opens it.
//!
//! SQLite silently stops at the first frame that does not check out. That is right for the torn
//! last transaction, whose commit nobody was told of, but the same silence follows when an older,
//! acknowledged one has rotted. Each commit is synced before the next begins, so whole commits
//! behind a bad frame mean damage, and that is what is reported. A damaged *last* commit cannot be
//! told from a torn one. Nothing is repaired here.

use std::{
    fs::{self, File},
    io::{self, BufReader, ErrorKind, Read},
    path::Path,
};

use crate::error::StoreError;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const MAGIC: u32 = 0x377f_0682;
const MAX_PAGE_BYTES: usize = 65_536;

/// Commits behind a frame that does not check out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Offset of the bad frame in the file, in bytes.
    pub(crate) offset: u64,
    /// How many commits SQLite will not see, the last of which may have been torn.
    pub(crate) commits: u64,
}

/// Finds acknowledged commits that SQLite is going to skip.
pub(crate) fn inspect(path: &Path) -> Result<Option<Lost>, StoreError> {
    let fail = |source| StoreError::io("checking the write-ahead log", path, source);
    let file = match File::open(path) {
        Err(it) if it.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(fail)?,
    };
    scan(BufReader::with_capacity(1 << 20, file)).map_err(fail)
}

/// Keeps a damaged write-ahead log beside the store, before it is written over.
pub(crate) fn keep(path: &Path, head: u64) -> Result<std::path::PathBuf, StoreError> {
    let copy = path.with_file_name(format!("taskd.db-wal.damaged-{head}"));
    fs::copy(path, &copy)
        .map_err(|source| StoreError::io("keeping the write-ahead log", &copy, source))?;
    Ok(copy)
}

fn scan(mut file: impl Read) -> io::Result<Option<Lost>> {
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut file, &mut header)? {
        return Ok(None);
    }
    let magic = word(&header, 0, false);
    let page = usize::try_from(word(&header, 8, false)).unwrap_or(0);
    let sane =
        magic & !1 == MAGIC && page.is_power_of_two() && (512..=MAX_PAGE_BYTES).contains(&page);
    let big_endian = magic & 1 == 1;
    let mut sums = (0, 0);
    add(&mut sums, &header[..24], big_endian);
    // A header that does not check out belongs to a log that was being started over.
    if !sane || sums != (word(&header, 24, false), word(&header, 28, false)) {
        return Ok(None);
    }
    let salt = &header[16..24];
    let mut frame = vec![0; FRAME_HEADER_BYTES + page];
    let size = u64::try_from(frame.len()).unwrap_or(u64::MAX);
    let (mut offset, mut bad, mut commits) = (HEADER_BYTES as u64, None, 0);
    while fill(&mut file, &mut frame)? {
        let ours = &frame[8..16] == salt;
        if bad.is_none() {
            add(&mut sums, &frame[..8], big_endian);
            add(&mut sums, &frame[FRAME_HEADER_BYTES..], big_endian);
            let good = ours && sums == (word(&frame, 16, false), word(&frame, 20, false));
            bad = (!good).then_some(offset);
        }
        if bad.is_some() && ours && word(&frame, 4, false) != 0 {
            commits += 1;
        }
        offset += size;
    }
    // One commit behind the bad frame may be the torn one itself.
    Ok(bad.filter(|_| commits > 1).map(|offset| Lost { offset, commits }))
}

/// SQLite's checksum of the write-ahead log, over pairs of 32-bit words.
fn add(sums: &mut (u32, u32), bytes: &[u8], big_endian: bool) {
    for at in (0..bytes.len()).step_by(8) {
        let (a, b) = (word(bytes, at, !big_endian), word(bytes, at + 4, !big_endian));
        sums.0 = sums.0.wrapping_add(a).wrapping_add(sums.1);
        sums.1 = sums.1.wrapping_add(b).wrapping_add(sums.0);
    }
}

fn word(bytes: &[u8], at: usize, little_endian: bool) -> u32 {
    let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    if little_endian { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) }
}

/// Fills the buffer; `false` at the end of the file, also in the middle of a frame.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Err(it) if it.kind() == ErrorKind::UnexpectedEof => Ok(false),
        other => other.map(|()| true),
    }
}
