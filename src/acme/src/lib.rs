//! Certificates from an authority, without an operator: ACME (RFC 8555), with renewal as the authority suggests
//! (RFC 9773).
//!
//! [`AcmeTask`] runs beside the requests. It writes the certificate into its [storage](AcmeStorage), from
//! which the server loads it like any other certificate, and answers challenges by
//! [`ChallengeAnswers`](proxy::server::ChallengeAnswers), which handshakes and requests read.
//!
//! ```text
//! schedule      when to order, when to try again: pure
//! task          the loop, with the lock of a shared directory
//! account       the stored account, or a new one
//! order         names → challenges
//! finalization  challenges → certificate
//! challenge     what the listeners answer
//! ```

mod account;
mod authority_client;
mod challenge;
mod finalization;
mod order;
mod order_error;
mod renewal_info;
mod schedule;
mod settings;
mod storage;
mod task;

pub use self::{
    order_error::OrderError,
    settings::{AcmePacing, AcmeSettings, ChallengeKind, ExternalAccount},
    storage::{AcmeStorage, AcmeStorageError},
    task::AcmeTask,
};
