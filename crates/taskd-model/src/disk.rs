//! How much room the disk has, and what that means for work: nothing new starts, or everything
//! rests. Measured by the daemon; a fact of the log only where it changes something.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{format_bytes, usage::is_zero};

/// What the room allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Room {
    /// Everything.
    #[default]
    Enough,
    /// What works goes on; nothing new starts.
    Low,
    /// Nothing goes on that is at a safe point.
    Full,
}

/// The room there is, as measured when it changed what is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// What it allows.
    pub room: Room,
    /// Free bytes where there are fewest.
    pub free_bytes: u64,
    /// More is allowed again above so many; 0 if that is not what is short.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again_bytes: u64,
    /// What worktrees and the log take, where there is a quota.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub used_bytes: u64,
    /// What they may take; 0 for no quota.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub quota_bytes: u64,
    /// The directory whose file system it is, at most 200 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
}

impl Disk {
    /// Judges figures that were just measured, after `before`. What was too little must become a
    /// tenth (of the quota, a twentieth) more before it is enough, so that it does not flutter.
    #[must_use]
    pub fn judged(mut self, before: Room, floor_bytes: u64) -> Self {
        let full = floor_bytes / 4;
        let more = |bytes: u64| bytes.saturating_add(bytes / 10);
        let full_until = if before == Room::Full { more(full) } else { full };
        let low_until = if before == Room::Enough { floor_bytes } else { more(floor_bytes) };
        let was_over = before != Room::Enough && self.quota_bytes < more_of_quota(self.used_bytes);
        let over = self.quota_bytes != 0 && (self.quota_bytes < self.used_bytes || was_over);
        (self.room, self.again_bytes) = if self.free_bytes < full_until {
            (Room::Full, more(full))
        } else if self.free_bytes < low_until {
            (Room::Low, more(floor_bytes))
        } else if over {
            (Room::Low, 0)
        } else {
            (Room::Enough, 0)
        };
        self
    }

    /// What is short, in one line; nothing if there is enough.
    #[must_use]
    pub fn shortage(&self) -> Option<String> {
        let free = || format!("{} free at {}", format_bytes(self.free_bytes), self.place);
        let again = format_bytes(self.again_bytes);
        Some(match self.room {
            Room::Enough => return None,
            Room::Full => format!("{}, and everything rests until it is {again}", free()),
            Room::Low if self.again_bytes != 0 => {
                format!("{}, and nothing new starts until it is {again}", free())
            }
            Room::Low => {
                let (used, quota) = (format_bytes(self.used_bytes), format_bytes(self.quota_bytes));
                format!("{used} of the quota of {quota} are used, and nothing new starts")
            }
        })
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shortage().as_deref().unwrap_or("there is room on the disk again"))
    }
}

fn more_of_quota(used: u64) -> u64 {
    used.saturating_add(used / 20)
}

#[cfg(test)]
mod tests {
    use super::{Disk, Room};

    fn room(before: Room, free_bytes: u64) -> Room {
        Disk { free_bytes, ..Disk::default() }.judged(before, 1_000).room
    }

    #[test]
    fn what_was_too_little_must_become_more_than_enough() {
        let table = [
            (Room::Enough, 1_000, Room::Enough),
            (Room::Enough, 999, Room::Low),
            (Room::Enough, 249, Room::Full),
            (Room::Low, 1_099, Room::Low),
            (Room::Low, 1_100, Room::Enough),
            (Room::Low, 250, Room::Low),
            (Room::Low, 249, Room::Full),
            (Room::Full, 274, Room::Full),
            (Room::Full, 275, Room::Low),
            (Room::Full, 1_099, Room::Low),
            (Room::Full, 1_100, Room::Enough),
        ];
        for (before, free, after) in table {
            assert_eq!(room(before, free), after, "{before:?} with {free}");
        }
    }

    #[test]
    fn a_quota_holds_new_work_and_says_its_figures() {
        let disk = |used_bytes, before| {
            let disk =
                Disk { free_bytes: 9_000, used_bytes, quota_bytes: 1_000, ..Disk::default() };
            disk.judged(before, 1_000)
        };
        assert_eq!(disk(1_000, Room::Enough).room, Room::Enough);
        let over = disk(1_001, Room::Enough);
        assert_eq!(over.room, Room::Low);
        let said = over.shortage().expect("short");
        assert_eq!(said, "1001 B of the quota of 1000 B are used, and nothing new starts");
        assert_eq!(disk(960, Room::Low).room, Room::Low);
        assert_eq!(disk(950, Room::Low).room, Room::Enough);
        assert_eq!(disk(950, Room::Low).shortage(), None);
    }
}
