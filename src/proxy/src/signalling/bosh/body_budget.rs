//! The memory of one worker for bodies of BOSH requests.
//!
//! A body is kept until its request is answered, since the request may have to be sent again.

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;
use hyper::body::Body;

use crate::body::{self, Unread};
use crate::server::ClientBody;

/// The bytes that bodies of BOSH requests may still take.
#[derive(Clone, Debug)]
pub(crate) struct BodyBudget(Rc<Cell<usize>>);

/// The bytes of one body; given back on drop.
#[derive(Debug)]
pub(super) struct BodyBytes {
    budget: BodyBudget,
    bytes: usize,
}

// === impl BodyBudget ===

impl BodyBudget {
    /// Reads a whole body of at most so many bytes; its memory is taken while the second part lives.
    pub(super) async fn read(
        &self,
        body: ClientBody,
        most: usize,
    ) -> Result<(Bytes, BodyBytes), Unread> {
        let announced = body.size_hint().upper();
        let announced = announced.and_then(|bytes| usize::try_from(bytes).ok());
        let expected = announced.unwrap_or(most).min(most);
        let mut taken = self.take(expected).ok_or(Unread::Busy)?;
        let body = body::whole(body, most).await?;
        taken.shrink(body.len());
        Ok((body, taken))
    }

    /// Takes the bytes of a body; none if too many are taken.
    fn take(&self, bytes: usize) -> Option<BodyBytes> {
        let left = self.0.get().checked_sub(bytes)?;
        self.0.set(left);
        Some(BodyBytes {
            budget: self.clone(),
            bytes,
        })
    }
}

impl Default for BodyBudget {
    fn default() -> Self {
        Self(Rc::new(Cell::new(MAX_BYTES)))
    }
}

// === impl BodyBytes ===

impl BodyBytes {
    /// Gives back what the body did not need.
    fn shrink(&mut self, bytes: usize) {
        let unused = self.bytes.saturating_sub(bytes);
        self.bytes -= unused;
        self.budget.0.set(self.budget.0.get() + unused);
    }
}

impl Drop for BodyBytes {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// A body has some hundred bytes: enough for a hundred thousand polls, or 128 of the largest bodies at
/// once.
const MAX_BYTES: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_until_none_are_left_and_given_back() {
        let budget = BodyBudget::default();
        let mut large = budget.take(MAX_BYTES - 10).unwrap();
        assert!(budget.take(11).is_none());
        let small = budget.take(10).unwrap();
        large.shrink(100);
        assert!(budget.take(MAX_BYTES - 110).is_some());
        drop((large, small));
        assert!(budget.take(MAX_BYTES).is_some());
    }
}
