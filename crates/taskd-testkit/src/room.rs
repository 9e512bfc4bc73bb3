//! What keeps loops from beginning besides slots: no room on the disk, and others that work on the
//! same files. The judge's own account of both.

use taskd_model::{Disk, Event, Input, LoopId, Room, Status, touches};

use crate::{
    ledger::{Ledger, check},
    tally::Tally,
    world::World,
};

impl World {
    /// The disk fills up, or somebody makes room.
    pub(crate) fn disk_changes(&mut self) -> bool {
        let rooms = [Room::Enough, Room::Low, Room::Full];
        let room = *self.rng.pick(&rooms).expect("three");
        self.input(&Input::Disk(Disk { room, free_bytes: 1, ..Disk::default() }));
        true
    }

    /// Room comes back, if there is none; says whether that was so.
    pub(crate) fn room_returns(&mut self) -> bool {
        let short = self.ledger.room != Room::Enough;
        if short {
            self.input(&Input::Disk(Disk::default()));
        }
        short
    }
}

impl Ledger {
    /// Nothing may start: a person said so, or there is no room for it.
    pub(crate) fn rests(&self) -> bool {
        self.parked || self.room == Room::Full
    }

    pub(crate) fn disk_changed(&mut self, disk: &Disk, tally: &mut Tally) {
        self.room = disk.room;
        tally.disk_full += u64::from(disk.room == Room::Full);
    }

    /// A loop begins to work only where there is room, and not beside one that works on its files.
    /// Says whether it is busy.
    pub(crate) fn may_begin(&self, id: LoopId, event: &Event) -> Result<bool, String> {
        self.begins_rightly(id, event)?;
        Ok(self.is_busy(id))
    }

    fn begins_rightly(&self, id: LoopId, event: &Event) -> Result<(), String> {
        let (from, to) = (Status::Pending, Status::Running);
        if !matches!(event, Event::StatusChanged { from: a, to: b, .. } if (*a, *b) == (from, to)) {
            return Ok(());
        }
        check(self.room == Room::Enough, || {
            format!("{id} begins while the disk is {:?}", self.room)
        })?;
        let project = self.plans[&id.plan()].project;
        let ours = &self.loops[&id].head.touches;
        for (other, row) in &self.loops {
            // With an effect open it works; without one it may wait for something.
            let works = matches!(row.status, Status::Running | Status::Rebasing) && !row.passed;
            if *other != id
                && works
                && self.is_busy(*other)
                && self.plans[&other.plan()].project == project
            {
                let shared = touches::shared(ours, &row.head.touches);
                check(shared.is_none(), || format!("{id} begins beside {other} on {shared:?}"))?;
            }
        }
        Ok(())
    }
}
