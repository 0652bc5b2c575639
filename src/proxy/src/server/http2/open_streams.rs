//! The open streams of one HTTP/2 connection, from the request's head to the end of the answer.
//!
//! A stream whose client takes nothing, because its window is closed, is reset: its answer would keep a
//! connection to an upstream. The HTTP library has no timer for it, and asks for the next piece of a
//! body only when the last one is on its way, so pieces tell progress. While writes of the whole
//! connection wait, its streams are not to blame; the connection has a timer of its own.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tokio::{task::AbortHandle, time::Instant};

use super::{super::patience::Patience, reset_budget::ResetBudget};

/// The open streams of one connection.
#[derive(Debug)]
pub(super) struct OpenStreams {
    /// Those that are not open are used again, so that a request allocates none.
    slots: RefCell<Vec<Slot>>,
    open: Cell<usize>,
    /// The end of the last stream.
    idle_since: Cell<Instant>,
    /// The stream whose task is spawned next.
    newest: Cell<Option<usize>>,
    resets: ResetBudget,
}

/// An open stream; counted until it is dropped.
#[derive(Debug)]
pub(super) struct OpenStream {
    streams: Rc<OpenStreams>,
    slot: usize,
    /// The whole answer was handed to the HTTP library.
    answered: bool,
}

#[derive(Debug)]
struct Slot {
    open: bool,
    task: Option<AbortHandle>,
    /// A piece of the answer waits for the client.
    waits: bool,
    /// It waited at the last check already.
    waited: bool,
    patience: Patience,
    /// The time without any progress, whether the client or the upstream causes it.
    stalled: Duration,
}

// === impl OpenStreams ===

impl OpenStreams {
    /// No stream is open yet.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            slots: RefCell::default(),
            open: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            newest: Cell::new(None),
            resets: ResetBudget::new(),
        })
    }

    /// Opens a stream.
    pub(super) fn open(self: &Rc<Self>) -> OpenStream {
        self.open.set(self.open.get() + 1);
        let mut slots = self.slots.borrow_mut();
        let free = slots.iter().position(|slot| !slot.open);
        let slot = free.unwrap_or(slots.len());
        match slots.get_mut(slot) {
            Some(free) => *free = Slot::OPEN,
            None => slots.push(Slot::OPEN),
        }
        self.newest.set(Some(slot));
        OpenStream {
            streams: Rc::clone(self),
            slot,
            answered: false,
        }
    }

    /// Notes the task of the newest stream.
    pub(super) fn spawned(&self, task: AbortHandle) {
        if let Some(slot) = self.newest.take() {
            self.with_slot(slot, |slot| slot.task = Some(task));
        }
    }

    /// The time for which no stream has been open; `None` while one is.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        (self.open.get() == 0).then(|| self.idle_since.get().elapsed())
    }

    /// Resets the streams that have stalled, `elapsed` after the last call, and returns their number.
    /// `blocked`: writes of the connection waited meanwhile.
    pub(super) fn reset_stalled(&self, elapsed: Duration, blocked: bool) -> usize {
        let mut slots = self.slots.borrow_mut();
        let waiting = slots.iter_mut().filter(|slot| slot.open && slot.waits);
        waiting
            .filter_map(|slot| {
                let given_up = slot.is_given_up(elapsed, blocked);
                slot.task.take_if(|_| given_up)
            })
            .map(|task| task.abort())
            .count()
    }

    /// Completes when clients reset more streams than they may.
    pub(super) async fn flooded(&self) {
        self.resets.exceeded().await;
    }

    fn with_slot(&self, slot: usize, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(slot) {
            change(slot);
        }
    }
}

// === impl Slot ===

impl Slot {
    const OPEN: Self = Self {
        open: true,
        task: None,
        waits: false,
        waited: false,
        patience: Patience::FULL,
        stalled: Duration::ZERO,
    };

    /// Whether the stream, which waits for its client, has waited for too long.
    const fn is_given_up(&mut self, elapsed: Duration, blocked: bool) -> bool {
        // One that did not wait at the last check has waited for a part of the time only.
        if self.waited {
            self.stalled = self.stalled.saturating_add(elapsed);
            if !blocked {
                self.patience.waited(elapsed);
            }
        }
        self.waited = true;
        self.patience.left().is_zero() || self.stalled.as_secs() >= LONGEST_STALL.as_secs()
    }
}

// === impl OpenStream ===

impl OpenStream {
    /// Notes that a piece of the answer waits for the client.
    pub(super) fn waits(&self) {
        self.streams.with_slot(self.slot, |slot| slot.waits = true);
    }

    /// Notes that the client took a piece.
    pub(super) fn took(&self, bytes: usize) {
        self.streams.with_slot(self.slot, |slot| {
            slot.waits = false;
            slot.waited = false;
            slot.stalled = Duration::ZERO;
            slot.patience.took(bytes);
        });
    }

    /// Notes that the whole answer was handed over.
    pub(super) const fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let streams = &self.streams;
        let mut by_client = !self.answered;
        streams.with_slot(self.slot, |slot| {
            // Without its task the gateway reset it.
            by_client &= slot.task.take().is_some();
            slot.open = false;
        });
        let left = streams.open.get() - 1;
        streams.open.set(left);
        if left == 0 {
            streams.idle_since.set(Instant::now());
        }
        if by_client {
            streams.resets.spend();
        }
    }
}

/// However slowly the connection is read: the longest that a stream of an honest client waits behind
/// the others of its page.
const LONGEST_STALL: Duration = Duration::from_mins(5);
