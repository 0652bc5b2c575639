//! Stream negotiation (RFC 6120 § 4.3): which XMPP domain a client opens its stream to, and how it
//! authenticates there.
//!
//! An admission is for one person, and so for one domain of Prosody: the main one for clients with a
//! backend token, the guests' domain for those without. A Prosody has further domains, where rules of
//! rooms do not hold (a guests' domain) or passwords can be guessed (`auth.…`, a hidden domain). The
//! gateway therefore reads what clients say until they are authenticated, and lets nothing else pass.

mod room_scope;

use std::sync::Arc;

pub use self::room_scope::RoomScope;
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
    /// The client opened the stream again, and has to resume an earlier one.
    Resuming,
    /// The client opened the stream again, or resumed one.
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
    /// The negotiation of a stream that is not yet open.
    pub fn new(policy: StreamPolicy) -> Self {
        Self {
            policy,
            stage: Stage::Opening,
            failures: 0,
            resumption_only: false,
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

    /// Whether the client has authenticated, and opened its stream again or resumed one: the
    /// negotiation checks no further messages. Prosody refuses another domain in a later header of the same stream, and SASL after
    /// success (Prosody 0.12 `plugins/mod_c2s.lua`, `plugins/mod_saslauth.lua`).
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether the next message of the client has to be checked.
    pub fn is_checked(&self) -> bool {
        !self.is_over() || self.policy.scope().is_some()
    }

    /// Checks the next message of the client (RFC 7395 § 3.3: one element).
    pub fn client_sent(&mut self, message: &[u8]) -> Result<(), NegotiationError> {
        if !self.is_checked() {
            return Ok(());
        }
        let text = std::str::from_utf8(message).map_err(|_| NegotiationError::Malformed)?;
        let element = Element::parse(text).map_err(|_| NegotiationError::Malformed)?;
        // Prosody recognizes the framing by these bytes, and takes anything else for a stanza (Prosody
        // 0.12 `plugins/mod_websocket.lua`, `filter_open_close`).
        if element.namespace() == FRAMING && !contains(message, FRAMING.as_bytes()) {
            return Err(NegotiationError::Unauthenticated);
        }
        if self.is_over() {
            let scope = self.policy.scope();
            return scope.map_or(Ok(()), |scope| scope.check(&element));
        }
        match (self.stage, element.namespace()) {
            (_, FRAMING) if element.name() == "close" => Ok(()),
            (Stage::Opening | Stage::Restarting, FRAMING) if element.name() == "open" => {
                self.policy.check_domain(element.attribute("to"))?;
                self.stage = match self.stage {
                    Stage::Opening => Stage::Authenticating,
                    _ if self.resumption_only => Stage::Resuming,
                    _ => Stage::Over,
                };
                Ok(())
            }
            (Stage::Authenticating, SASL) => self.policy.check_sasl(&element),
            (Stage::Resuming, namespace)
                if namespace.starts_with(STREAM_MANAGEMENT) && element.name() == "resume" =>
            {
                Ok(())
            }
            (Stage::Resuming, _) => Err(NegotiationError::Resumption),
            _ => Err(NegotiationError::Unauthenticated),
        }
    }

    /// Notes the beginning of a message of Prosody, which has the element's name.
    pub fn server_sent(&mut self, beginning: &[u8]) -> Result<(), NegotiationError> {
        if self.stage == Stage::Resuming && beginning.starts_with(b"<resumed") {
            self.stage = Stage::Over;
        }
        if self.stage != Stage::Authenticating {
            return Ok(());
        }
        if beginning.starts_with(b"<success") {
            self.stage = Stage::Restarting;
        } else if beginning.starts_with(b"<failure") {
            self.failures += 1;
            if self.failures >= MAX_FAILURES {
                return Err(NegotiationError::TooManyFailures);
            }
        }
        Ok(())
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
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

/// A client tries the credentials that it has once; RFC 6120 § 6.4.5 suggests two to five.
const MAX_FAILURES: u8 = 3;

#[cfg(test)]
mod tests;
