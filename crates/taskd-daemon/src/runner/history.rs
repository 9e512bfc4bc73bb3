//! What happened to one loop, read from the log page by page.

use std::{sync::Arc, vec};

use taskd_model::{LoopId, Record, Seq};
use taskd_store::{Filter, Store, StoreError};
use tokio::task::block_in_place;

use super::Context;

/// Events read from the store at once.
const PAGE: usize = 500;

impl Context {
    /// The loop's events in their order, from the first that is there. What this version cannot
    /// read is left out. Each page blocks for a read.
    pub(crate) fn events_of(&self, id: LoopId) -> EventsOf {
        let store = Arc::clone(&self.store);
        let next = Some(store.first());
        EventsOf { store, id, next, page: Vec::new().into_iter() }
    }
}

/// See [`Context::events_of`].
pub(crate) struct EventsOf {
    store: Arc<Store>,
    id: LoopId,
    /// Where the next page begins; nothing after the last.
    next: Option<Seq>,
    page: vec::IntoIter<Record>,
}

impl Iterator for EventsOf {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.page.next() {
                return Some(Ok(record));
            }
            let from = self.next.take()?;
            let filter = Filter { loop_id: Some(self.id), ..Filter::default() };
            let rows = match block_in_place(|| self.store.read(from, PAGE, filter)) {
                Ok(rows) => rows,
                Err(error) => return Some(Err(error)),
            };
            self.next = rows.last().map(|it| Seq(it.seq.0 + 1));
            let records = rows.iter().filter_map(|it| Record::decode(&it.json).ok());
            self.page = records.collect::<Vec<_>>().into_iter();
        }
    }
}
