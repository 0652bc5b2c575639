//! The test harness: clients, a provider with faults, a whole deployment.

pub(crate) mod answer;
pub(crate) mod browser;
pub(crate) mod connect_proxy;
pub(crate) mod lie;
pub(crate) mod logs;
pub(crate) mod lying_provider;
pub(crate) mod school;
pub(crate) mod signing_key;
pub(crate) mod site;
