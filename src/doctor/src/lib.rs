//! The doctor: examines a live deployment from the gateway's host, and explains faults.
//!
//! It acts as the gateway and its visitors do, with valid tokens and with bad ones: a wrongly
//! accepted token disturbs no meeting, so only a test finds it. Test rooms have random names. The
//! doctor opens few connections, waits some seconds at most for each response, and changes nothing.
//! If a check fails, its dependents are skipped ([`CheckOutcome::Skipped`]), so that the first
//! finding is the cause.
//!
//! [`examine`] runs the checks; [`explain_log`] explains lines of logs instead. The program also
//! runs [`login_probe`], which logs in at Prosody every minute.

mod bridges;
mod certificate;
mod check;
mod client;
mod clocks;
mod end_to_end;
mod examination;
mod finding;
#[cfg(test)]
mod fixtures;
mod locations;
mod log_lines;
pub mod login_probe;
mod options;
mod prosody;
mod provider;
mod public_address;
mod reachability;
mod report;
mod rooms;
mod selection;
mod store;
mod test_tokens;
mod test_users;
mod web;
mod xmpp_domains;

pub use self::{
    certificate::TrustAnchors,
    check::{Check, FindingKind, NetworkFault},
    examination::{DoctorError, examine, examine_trusting},
    finding::{Finding, Severity},
    log_lines::{LogExplanation, explain_log},
    options::{AccountFormError, DoctorOptions, RecorderAccount},
    report::{CheckOutcome, DoctorReport},
    selection::{CheckSelection, UnknownCheck},
    test_users::TestUsers,
};
