//! The memory of one worker for the beginnings of frames.
//!
//! A client may leave a message of half a megabyte incomplete for as long as its connection is open. Long ones of all
//! tunnels of a worker, which stay on its thread, are counted together. Usual messages are not, so that clients which use
//! up the memory end no stream but their own.

use std::cell::Cell;

/// The bytes of one tunnel; given back on drop.
#[derive(Debug, Default)]
pub(super) struct HeldBytes(usize);

// === impl HeldBytes ===

impl HeldBytes {
    /// Changes the number; false if the worker holds more than it may.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        let bytes = if bytes > USUAL_BYTES { bytes } else { 0 };
        if self.0 == bytes {
            return true;
        }
        let held = HELD.get().saturating_sub(self.0).saturating_add(bytes);
        HELD.set(held);
        let grows = bytes > self.0;
        self.0 = bytes;
        !grows || held <= MAX_BYTES
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.set(0);
    }
}

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// Above Jitsi's stanzas, of which the largest, source descriptions, have some ten kilobytes.
const USUAL_BYTES: usize = 64 * 1024;

/// A message is whole with the packets that follow at once: enough for a hundred clients with longer ones at the same
/// moment.
pub(super) const MAX_BYTES: usize = 32 * 1024 * 1024;
