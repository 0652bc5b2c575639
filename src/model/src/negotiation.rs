//! Stream negotiation (RFC 6120 § 4.3): which XMPP domain a client opens its stream to, and how it
//! authenticates there.
//!
//! An admission is for one person, and so for one domain of Prosody: the main one for clients with a
//! backend token, the guests' domain for those without. A Prosody has further domains, where rules of
//! rooms do not hold (a guests' domain) or passwords can be guessed (`auth.…`, a hidden domain). The
//! gateway therefore reads what clients say until they are authenticated, and lets nothing else pass.

mod resumption;
mod room_scope;

use std::sync::Arc;

use memchr::memmem;

use self::resumption::Resumption;
pub use self::{
    resumption::{ResumableStream, ResumptionBinding, ResumptionIds},
    room_scope::RoomScope,
};
use crate::xml::Element;

/// The domain and the SASL mechanisms of an admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamPolicy {
    /// One domain, where clients are authenticated by the backend token or not at all: SASL
    /// ANONYMOUS, as lib-jitsi-meet uses for both.
    Anonymous {
        /// The domain, in lower case.
        domain: String,
    },
    /// The guests' domain, where Prosody compares rooms with no token.
    Tokenless {
        /// The domain, in lower case.
        domain: String,
        /// Where the client may go instead.
        scope: RoomScope,
    },
    /// A visitors' node of Prosody, whose domain begins with its name
    /// (jitsi-meet `react/features/base/conference/functions.ts`, `getVisitorOptions`).
    VisitorNode {
        /// The name, such as `v1`.
        node: String,
    },
    /// The domains of recorders, by password.
    Recorder {
        /// The domains, in lower case.
        domains: Arc<[String]>,
    },
}

/// The negotiation of one stream over WebSocket.
#[derive(Debug)]
pub struct StreamNegotiation {
    policy: StreamPolicy,
    stage: Stage,
    failures: u8,
    /// The client may resume a stream (XEP-0198 § 5) and not begin one.
    resumption_only: bool,
    resumption: Option<Box<Resumption>>,
}

/// Why the gateway ends a stream during its negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// The text is not one element.
    #[error("not an XML element")]
    Malformed,
    /// The stream is for a domain that the admission does not cover.
    #[error("the stream is for another XMPP domain")]
    Domain,
    /// The SASL mechanism is not one of the admission.
    #[error("this SASL mechanism is not allowed")]
    Mechanism,
    /// Stream management over BOSH: Prosody would keep a terminated session for resumption.
    #[error("stream management is not used over BOSH")]
    StreamManagement,
    /// A client without a token goes to another room than that of its admission.
    #[error("the stanza is for another room")]
    Room,
    /// Only authentication may come next.
    #[error("the client is not authenticated")]
    Unauthenticated,
    /// The admission covers a stream that exists, and the client does something else than resume it.
    #[error("the client may only resume a stream")]
    Resumption,
    /// More failures than a client that was told no has.
    #[error("too many failed authentications")]
    TooManyFailures,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The first `<open>` comes next.
    Opening,
    /// The stream is open.
    Authenticating,
    /// Prosody answered `<success>`; the client opens the stream again.
    Restarting,
    /// The client opened the stream again, and binds a resource or resumes an earlier stream.
    Binding,
    /// Prosody bound a resource, or resumed a stream.
    Over,
}

// === impl StreamPolicy ===

impl StreamPolicy {
    /// The policy of a domain with the configuration's spelling.
    pub fn anonymous(domain: &str) -> Self {
        Self::Anonymous {
            domain: domain.to_ascii_lowercase(),
        }
    }

    /// Checks the `to` of a stream header. Prosody maps capital letters to small ones (nameprep);
    /// whatever else nameprep maps is not the domain's spelling in any client.
    pub fn check_domain(&self, to: Option<&str>) -> Result<(), NegotiationError> {
        let to = to.unwrap_or_default();
        let allowed = match self {
            Self::Anonymous { domain } | Self::Tokenless { domain, .. } => {
                to.eq_ignore_ascii_case(domain)
            }
            Self::VisitorNode { node } => {
                to.get(..node.len())
                    .is_some_and(|name| name.eq_ignore_ascii_case(node))
                    && to.as_bytes().get(node.len()) == Some(&b'.')
            }
            Self::Recorder { domains } => {
                domains.iter().any(|domain| to.eq_ignore_ascii_case(domain))
            }
        };
        allowed.then_some(()).ok_or(NegotiationError::Domain)
    }

    /// The policy of guests, at their domain and in one room.
    pub fn tokenless(domain: &str, scope: RoomScope) -> Self {
        Self::Tokenless {
            domain: domain.to_ascii_lowercase(),
            scope,
        }
    }

    const fn is_recorder(&self) -> bool {
        matches!(self, Self::Recorder { .. })
    }

    /// Where the client may go, if Prosody does not tell.
    const fn scope(&self) -> Option<&RoomScope> {
        match self {
            Self::Tokenless { scope, .. } => Some(scope),
            Self::Anonymous { .. } | Self::VisitorNode { .. } | Self::Recorder { .. } => None,
        }
    }

    /// Checks the stanzas of a BOSH body: any of them may be of SASL. Other bodies are not parsed, but
    /// for those of a client without a token.
    pub fn check_body(&self, body: &[u8]) -> Result<(), NegotiationError> {
        let sasl = contains(body, b"-sasl");
        let others = LOGINS.iter().chain(&[STREAM_MANAGEMENT]);
        let named = sasl
            || others
                .into_iter()
                .any(|name| contains(body, name.as_bytes()));
        // A namespace may be written with character references.
        let scope = self.scope();
        if self.is_recorder() || !(named || scope.is_some() || body.contains(&b'&')) {
            return Ok(());
        }
        let text = std::str::from_utf8(body).map_err(|_| NegotiationError::Malformed)?;
        let body = Element::parse(text.trim()).map_err(|_| NegotiationError::Malformed)?;
        body.children().try_for_each(|child| {
            scope.map_or(Ok(()), |scope| scope.check(child))?;
            if child.namespace() == SASL {
                return self.check_sasl(child);
            }
            let logs_in = |query: &Element| LOGINS.contains(&query.namespace());
            if child.children().any(logs_in) {
                return Err(NegotiationError::Mechanism);
            }
            if child.namespace().starts_with(STREAM_MANAGEMENT) {
                return Err(NegotiationError::StreamManagement);
            }
            Ok(())
        })
    }

    /// Any attribute but the mechanism is refused: Prosody gives an element with `to` to the domain of
    /// that name (Prosody 0.12 `core/stanza_router.lua`).
    fn check_sasl(&self, element: &Element) -> Result<(), NegotiationError> {
        let allowed = element.has_only_attributes(&["mechanism"])
            && (self.is_recorder()
                || element.name() == "auth" && element.attribute("mechanism") == Some("ANONYMOUS"));
        allowed.then_some(()).ok_or(NegotiationError::Mechanism)
    }
}

// === impl StreamNegotiation ===

impl StreamNegotiation {
    /// The negotiation of a stream that is not yet open, and that cannot be resumed.
    pub fn new(policy: StreamPolicy) -> Self {
        Self {
            policy,
            stage: Stage::Opening,
            failures: 0,
            resumption_only: false,
            resumption: None,
        }
    }

    /// The same of a stream that its owner can resume.
    #[must_use]
    pub fn resumable_by(self, binding: ResumptionBinding) -> Self {
        Self {
            resumption: Some(Box::new(Resumption::new(binding))),
            ..self
        }
    }

    /// The same, of a client that was admitted when its stream began, and may not begin another.
    #[must_use]
    pub fn resumption_only(self) -> Self {
        Self {
            resumption_only: true,
            ..self
        }
    }

    /// Whether the client has authenticated, and bound a resource or resumed a stream: the
    /// negotiation checks no further messages. Prosody refuses another domain in a later header of the
    /// same stream, SASL after success, and a resumption after the binding (Prosody 0.12
    /// `plugins/mod_c2s.lua`, `plugins/mod_saslauth.lua`, `plugins/mod_smacks.lua`).
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether the next message of the client has to be checked.
    pub fn is_checked(&self) -> bool {
        !self.is_over() || self.policy.scope().is_some()
    }

    /// Whether no further message of Prosody matters: the client knows its stream's id.
    pub fn is_settled(&self) -> bool {
        let resumption = self.resumption.as_deref();
        self.is_over() && resumption.is_some_and(Resumption::is_answered)
    }

    /// Whether a message of Prosody with this beginning has to be noted.
    pub fn awaits(&self, beginning: &[u8]) -> bool {
        !self.is_over() || (beginning.starts_with(ENABLED) && !self.is_settled())
    }

    /// The stream that Prosody keeps when the connection breaks.
    pub fn resumable(&self) -> Option<&ResumableStream> {
        self.resumption.as_deref()?.stream()
    }

    /// Checks the next message of the client (RFC 7395 § 3.3: one element). Gives the message for
    /// Prosody, if it is another.
    pub fn client_sent(&mut self, message: &[u8]) -> Result<Option<String>, NegotiationError> {
        if !self.is_checked() {
            return Ok(None);
        }
        let text = std::str::from_utf8(message).map_err(|_| NegotiationError::Malformed)?;
        let element = Element::parse(text).map_err(|_| NegotiationError::Malformed)?;
        // Prosody recognizes the framing by these bytes, and takes anything else for a stanza (Prosody
        // 0.12 `plugins/mod_websocket.lua`, `filter_open_close`).
        if element.namespace() == FRAMING && !contains(message, FRAMING.as_bytes()) {
            return Err(NegotiationError::Unauthenticated);
        }
        match (self.stage, element.namespace()) {
            (Stage::Over, _) => self.check_scope(&element),
            (_, FRAMING) if element.name() == "close" => Ok(None),
            (Stage::Opening | Stage::Restarting, FRAMING) if element.name() == "open" => {
                let domain = element.attribute("to");
                self.policy.check_domain(domain)?;
                if let (Some(resumption), Some(domain)) = (&mut self.resumption, domain) {
                    resumption.note_domain(domain);
                }
                self.stage = match self.stage {
                    Stage::Opening => Stage::Authenticating,
                    _ => Stage::Binding,
                };
                Ok(None)
            }
            (Stage::Authenticating, SASL) => self.policy.check_sasl(&element).map(|()| None),
            (Stage::Binding, namespace)
                if namespace.starts_with(STREAM_MANAGEMENT) && element.name() == "resume" =>
            {
                Ok(Some(self.resume(&element).to_string()))
            }
            (Stage::Binding, _) if self.resumption_only => Err(NegotiationError::Resumption),
            (Stage::Binding, _) => self.check_scope(&element),
            _ => Err(NegotiationError::Unauthenticated),
        }
    }

    /// Notes a message of Prosody. Gives the message for the client, if it is another.
    pub fn server_sent(&mut self, message: &[u8]) -> Result<Option<String>, NegotiationError> {
        match self.stage {
            Stage::Authenticating if message.starts_with(b"<success") => {
                self.stage = Stage::Restarting;
            }
            Stage::Authenticating if message.starts_with(b"<failure") => {
                self.failures += 1;
                if self.failures >= MAX_FAILURES {
                    return Err(NegotiationError::TooManyFailures);
                }
            }
            Stage::Binding if message.starts_with(b"<resumed") => return self.bind_answer(message),
            Stage::Binding if message.starts_with(b"<iq") => {
                let answer = parse(message)?;
                let bound = answer.children().any(|child| child.is("bind", BIND));
                if bound && answer.attribute("type") == Some("result") {
                    self.stage = Stage::Over;
                }
            }
            Stage::Over if message.starts_with(ENABLED) => return self.bind_answer(message),
            _ => {}
        }
        Ok(None)
    }

    fn check_scope(&self, stanza: &Element) -> Result<Option<String>, NegotiationError> {
        let scope = self.policy.scope();
        scope.map_or(Ok(()), |scope| scope.check(stanza))?;
        Ok(None)
    }

    /// The `<resume>` for Prosody: with its own id of the stream, if the stream is the client's.
    fn resume(&mut self, resume: &Element) -> Element {
        let resumption = self.resumption.as_deref_mut();
        let unbound = resumption.and_then(|resumption| resumption.unbind(resume));
        unbound.unwrap_or_else(|| resumption::resume_with(resumption::UNKNOWN_STREAM, resume))
    }

    /// The `<enabled>` or `<resumed>` for the client, with the client's id of the stream.
    fn bind_answer(&mut self, message: &[u8]) -> Result<Option<String>, NegotiationError> {
        let resumption = self.resumption.as_deref_mut();
        let resumption = resumption.ok_or(NegotiationError::StreamManagement)?;
        let answer = resumption.bind(&parse(message)?);
        self.stage = Stage::Over;
        Ok(answer.map(|answer| answer.to_string()))
    }
}

fn parse(message: &[u8]) -> Result<Element, NegotiationError> {
    let text = std::str::from_utf8(message).map_err(|_| NegotiationError::Malformed)?;
    Element::parse(text).map_err(|_| NegotiationError::Malformed)
}

/// Every BOSH body is searched, and bytes are compared several at a time.
fn contains(text: &[u8], part: &[u8]) -> bool {
    memmem::find(text, part).is_some()
}

/// RFC 7395 § 3.3.
pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";

/// RFC 6120 § 6.
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

/// Logins without SASL (XEP-0078), and the creation of accounts (XEP-0077).
const LOGINS: [&str; 2] = ["jabber:iq:auth", "jabber:iq:register"];

/// The beginning of the namespaces of XEP-0198. Prosody's BOSH ends a session without telling its
/// stream management (Prosody 0.12 `plugins/mod_bosh.lua`, `bosh_close_stream`).
const STREAM_MANAGEMENT: &str = "urn:xmpp:sm:";

/// RFC 6120 § 7.
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

/// The beginning of Prosody's answer that has the id of the stream (XEP-0198 § 3).
const ENABLED: &[u8] = b"<enabled";

/// A client tries the credentials that it has once; RFC 6120 § 6.4.5 suggests two to five.
const MAX_FAILURES: u8 = 3;

#[cfg(test)]
mod tests;
