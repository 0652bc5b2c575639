//! The memory of one worker for what clients leave unfinished: bodies of BOSH requests, and messages on WebSockets.

use std::{cell::Cell, rc::Rc};

/// The bytes that may still be taken. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct ByteBudget(Rc<Cell<usize>>);

/// The bytes that one client has taken; given back on drop.
#[derive(Debug, Default)]
pub(crate) struct TakenBytes {
    budget: ByteBudget,
    bytes: usize,
}

// === impl ByteBudget ===

impl ByteBudget {
    /// Takes bytes; none if too many are taken.
    pub(crate) fn take(&self, bytes: usize) -> Option<TakenBytes> {
        let mut taken = self.take_none();
        taken.resize(bytes).then_some(taken)
    }

    /// Bytes to be resized later.
    pub(crate) fn take_none(&self) -> TakenBytes {
        TakenBytes {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

impl Default for ByteBudget {
    fn default() -> Self {
        Self(Rc::new(Cell::new(MAX_BUDGET)))
    }
}

// === impl TakenBytes ===

impl TakenBytes {
    /// Takes more, or gives some back; false, and no change, if too many are taken.
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        let available = self.budget.0.get() + self.bytes;
        let Some(left) = available.checked_sub(bytes) else {
            return false;
        };
        self.budget.0.set(left);
        self.bytes = bytes;
        true
    }
}

impl Drop for TakenBytes {
    fn drop(&mut self) {
        self.resize(0);
    }
}

/// A body has some hundred bytes: enough for a hundred thousand polls, or 128 of the largest bodies at once; and for
/// 64 of the longest messages on WebSockets.
pub(crate) const MAX_BUDGET: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_until_none_are_left_and_given_back() {
        let budget = ByteBudget::default();
        let mut large = budget.take(MAX_BUDGET - 10).unwrap();
        assert!(budget.take(11).is_none());
        let mut small = budget.take(10).unwrap();
        assert!(!small.resize(11));
        assert!(large.resize(100));
        assert!(budget.take(MAX_BUDGET - 110).is_some());
        drop((large, small));
        assert!(budget.take(MAX_BUDGET).is_some());
    }
}
