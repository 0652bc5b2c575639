//! The test harness: clients, a provider with faults, a whole deployment.

pub(crate) mod acme_account;
pub(crate) mod acme_gateway;
pub(crate) mod answer;
pub(crate) mod asset_server;
pub(crate) mod beside;
pub(crate) mod browser;
pub(crate) mod certificate_directory;
pub(crate) mod command;
pub(crate) mod connect_proxy;
pub(crate) mod corpus;
pub(crate) mod directory;
pub(crate) mod faulty_provider;
pub(crate) mod frames;
pub(crate) mod holding_upstream;
pub(crate) mod http2_socket;
pub(crate) mod load;
pub(crate) mod logs;
pub(crate) mod pebble;
pub(crate) mod process;
pub(crate) mod provider_fault;
pub(crate) mod raw_upstream;
pub(crate) mod reconnecting_client;
pub(crate) mod recorder;
pub(crate) mod redis_server;
pub(crate) mod school;
pub(crate) mod signing_key;
pub(crate) mod site;
pub(crate) mod xmpp_bosh;
pub(crate) mod xmpp_socket;

use std::process::Command;

/// Runs an ignored test of this binary in a process of its own; returns its output.
pub(crate) fn run_in_own_process(test: &str) -> String {
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&run.stdout).into_owned();
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{output}\n{errors}");
    output
}
