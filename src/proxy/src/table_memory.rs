//! Memory of tables that have once been large.

use std::{collections::HashMap, hash::Hash};

/// Returns memory of a table with far fewer entries than it has room for; for use after each removal. A hash table
/// keeps its room otherwise for as long as the process runs. The table shrinks to half its room when seven in eight
/// entries or more have gone, so that the entries that are moved are no more than those removed since.
pub(crate) fn shrink_if_sparse<K: Eq + Hash, V>(table: &mut HashMap<K, V>) {
    table.shrink_to((8 * table.len()).max(LEAST_CAPACITY));
}

/// A table of this size takes a few KiB.
const LEAST_CAPACITY: usize = 112;

#[cfg(test)]
mod tests {
    use super::*;

    fn table_of(len: usize) -> HashMap<usize, [u64; 8]> {
        (0..len).map(|number| (number, [0; 8])).collect()
    }

    #[test]
    fn a_table_that_was_large_returns_its_memory() {
        let mut table = table_of(10_000);
        for number in 0..10_000 {
            table.remove(&number);
            shrink_if_sparse(&mut table);
        }
        assert!(table.capacity() <= LEAST_CAPACITY, "{}", table.capacity());
    }

    #[test]
    fn a_table_that_is_half_full_stays_as_it_is() {
        let mut table = table_of(10_000);
        let kept: Vec<_> = table.keys().copied().filter(|key| *key >= 5_000).collect();
        for number in 0..5_000 {
            table.remove(&number);
            shrink_if_sparse(&mut table);
        }
        // Another size has another order.
        assert!(table.keys().eq(&kept));
    }
}
