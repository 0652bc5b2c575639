//! The other side of each conversation.

pub(crate) mod answer;
pub(crate) mod connect_proxy;
pub(crate) mod lie;
pub(crate) mod lying_provider;
pub(crate) mod signing_key;
