//! What the tests of the tunnel's parts share.

use std::sync::Arc;

use model::{
    negotiation::{ResumptionBinding, ResumptionIds, StreamNegotiation, StreamPolicy},
    room::RoomKey,
    seal::{Keyring, Purpose},
};

/// The binding of the client's streams.
pub(super) fn binding() -> ResumptionBinding {
    let ids = ResumptionIds::new(Keyring::single([9; 32]).tagger(Purpose::Resumption));
    let room = RoomKey::from_text("room-a").unwrap();
    ResumptionBinding::new(Arc::new(ids), "session-1".to_owned(), &room)
}

/// The negotiation of a stream that is not yet open.
pub(super) fn negotiation(with_binding: bool) -> StreamNegotiation {
    let stream = StreamNegotiation::new(StreamPolicy::anonymous("meet.jitsi"));
    if with_binding {
        stream.resumable_by(binding())
    } else {
        stream
    }
}

pub(super) const OPEN: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.jitsi'/>";

pub(super) const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";

pub(super) const BOUND: &str = "<iq xmlns='jabber:client' type='result' id='1'>\
    <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>a@meet.jitsi/b</jid></bind></iq>";
