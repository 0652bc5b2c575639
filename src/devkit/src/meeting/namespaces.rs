//! Namespaces of XMPP and its extensions.

/// RFC 6120 § 4.8.3.
pub(super) const CLIENT: &str = "jabber:client";
/// RFC 7395 § 3.3.
pub(super) const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
/// RFC 6120 § 4.8.1.
pub(super) const STREAM: &str = "http://etherx.jabber.org/streams";
/// RFC 6120 § 4.9.3.
pub(super) const STREAM_ERROR: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// RFC 6120 § 8.3.3.
pub(super) const STANZA_ERROR: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// RFC 6120 § 6.
pub(super) const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// RFC 6120 § 7.
pub(super) const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// RFC 3921 § 3, requested by old clients.
pub(super) const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// XEP-0045.
pub(super) const MUC: &str = "http://jabber.org/protocol/muc";
/// XEP-0045, for presences that the room sends.
pub(super) const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// XEP-0199.
pub(super) const PING: &str = "urn:xmpp:ping";
/// XEP-0030.
pub(super) const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// XEP-0124.
pub(super) const BOSH: &str = "http://jabber.org/protocol/httpbind";
/// XEP-0206.
pub(super) const BOSH_XMPP: &str = "urn:xmpp:xbosh";
/// Jitsi's own error conditions.
pub(super) const JITSI: &str = "http://jitsi.org/jitmeet";
/// Jitsi's conference requests.
pub(super) const FOCUS: &str = "http://jitsi.org/protocol/focus";
