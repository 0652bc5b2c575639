//! BOSH bodies (XEP-0124): the start tag of a request, and session ids bound to their owner.
//!
//! At Prosody a BOSH session's id is its only credential. The gateway therefore never sends one to
//! a client as it is: it appends a tag over id, gateway session and room, and accepts only ids
//! whose tag fits the sender. Any replica can check a tag; nothing is stored.

mod session_ids;
mod start_tag;

use bytes::Bytes;

pub use self::{
    session_ids::{BoshBinding, BoshPlace, BoshSessionId, BoshSessionIds},
    start_tag::StartTag,
};

/// Why a BOSH body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoshBodyError {
    /// Not an XML document in UTF-8 whose root is `body`.
    #[error("the body is not a BOSH body")]
    NotBosh,
    /// A deciding attribute occurs twice or contains entities, which parsers resolve differently.
    #[error("the BOSH body is ambiguous")]
    Ambiguous,
    /// The request id is missing, or in a spelling that parsers of numbers read differently.
    #[error("the request id is not a decimal number below 2^53")]
    RequestId,
    /// The session id is not bound to the sender's gateway session and room, or the request is for
    /// another Prosody than that of the session.
    #[error("the BOSH session belongs to another session, room or visitor node")]
    Foreign,
}

/// The response that ends a BOSH session at the client (XEP-0124 § 17).
pub fn terminate(condition: &str) -> Bytes {
    format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate' condition='{condition}'/>"
    )
    .into()
}

/// The request that ends a BOSH session at Prosody in the client's place. The occupant leaves its
/// rooms by the presence, even if Prosody keeps the stream for resumption (XEP-0198).
pub fn terminate_request(sid: &str, rid: u64) -> Bytes {
    format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate' rid='{rid}' sid='{sid}'>\
         <presence xmlns='jabber:client' type='unavailable'/></body>"
    )
    .into()
}
