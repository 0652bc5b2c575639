//! State that replicas share: the store, revoked sessions, presence, and the placement of rooms on shards.

pub mod placement;
pub mod presence;
pub mod replica;
pub mod revocation;
pub mod store;
