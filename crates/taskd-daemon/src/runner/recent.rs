//! What was written or read last and will be wanted again soon: replies and results of a loop's
//! turns go into each of its next prompts.
//!
//! Only for what never changes under its key. Bounded by weight; the oldest goes first.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

/// One thing may take this part of the whole.
const SHARE: usize = 16;

/// A bounded memory of values that never change.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    kept: Mutex<Kept<K, V>>,
    /// Bytes kept at most.
    max: usize,
}

#[derive(Debug)]
struct Kept<K, V> {
    values: BTreeMap<K, V>,
    order: VecDeque<(K, usize)>,
    bytes: usize,
}

impl<K: Ord + Copy, V: Clone> Recent<K, V> {
    pub(super) fn new(max: usize) -> Self {
        let kept = Kept { values: BTreeMap::new(), order: VecDeque::new(), bytes: 0 };
        Self { kept: Mutex::new(kept), max }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.values.get(key).cloned()
    }

    /// Keeps a value that takes about so many bytes.
    pub(super) fn keep(&self, key: K, value: V, bytes: usize) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if self.max / SHARE < bytes || kept.values.insert(key, value).is_some() {
            return;
        }
        kept.order.push_back((key, bytes));
        kept.bytes += bytes;
        while self.max < kept.bytes
            && let Some((oldest, bytes)) = kept.order.pop_front()
        {
            kept.values.remove(&oldest);
            kept.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn the_oldest_makes_room_and_nothing_takes_it_all() {
        let recent = Recent::new(160);
        for n in 0..20 {
            recent.keep(n, n * 10, 10);
            recent.keep(n, n * 10, 10);
        }
        let kept: Vec<i32> = (0..20).filter_map(|n| recent.get(&n)).collect();
        assert_eq!(kept, (4..20).map(|n| n * 10).collect::<Vec<_>>());
        recent.keep(99, 1, 11);
        assert_eq!(recent.get(&99), None, "more than its share");
    }
}
