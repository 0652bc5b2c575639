//! State that replicas share: the store, revocation, presence, placement of rooms on shards.
//!
//! [`journal`] is a file of what a restart must not undo. [`store`] is the shared storage with publish/subscribe. `replication` keeps one state machine per
//! topic in sync with the other replicas; [`revocation`], [`presence`] and [`placement`] are those
//! state machines, each with a handle for the request path that reads a `StripedMap` without locks.

pub mod journal;
pub mod placement;
pub mod presence;
pub mod replica;
mod replication;
pub mod revocation;
pub mod store;
mod striped_map;
pub mod validation;
