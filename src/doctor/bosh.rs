//! A BOSH conversation with Prosody (XEP-0124, XEP-0206), each request on a connection of its own.

use std::time::Duration;

use http::{HeaderValue, Request, header};
use tokio::time::{Instant, timeout_at};

use super::{
    wire::{Answer, Wire, WireError},
    xml::{Element, escaped},
};

/// Where and as whom to speak.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) wire: Wire,
    /// The XMPP domain, which is the `Host`, too.
    pub(super) domain: String,
}

/// A BOSH session.
pub(super) struct Session {
    target: Target,
    authorization: Option<HeaderValue>,
    sid: String,
    rid: u64,
    inbox: Vec<Element>,
    /// What the stream offered when it was opened.
    pub(super) features: Option<Element>,
}

/// Why the conversation does not go on.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum BoshError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the answer is no BOSH: {}", .0.brief())]
    Http(Box<Answer>),
    #[error("the session was ended with {0:?}")]
    Ended(String),
    #[error("nothing came back within {0:?}")]
    Silence(Duration),
}

// === impl Session ===

impl Session {
    /// Opens a session with a token, or without.
    pub(super) async fn open(
        target: &Target,
        token: Option<&str>,
        first_rid: u64,
    ) -> Result<Self, BoshError> {
        let authorization = token.map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .expect("a JWT has only characters that headers can carry");
            value.set_sensitive(true);
            value
        });
        let mut session = Self {
            target: target.clone(),
            authorization,
            sid: String::new(),
            rid: first_rid,
            inbox: Vec::new(),
            features: None,
        };
        let to = escaped(&target.domain);
        let attributes = format!(
            "to='{to}' ver='1.6' wait='{WAIT_SECONDS}' hold='1' xml:lang='en' \
             xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'"
        );
        let body = session.post(&attributes, "").await?;
        session.sid = body.attribute("sid").unwrap_or_default().to_owned();
        session.features = session.take("features").await.ok();
        Ok(session)
    }

    /// Asks for something that whoever knows the session refuses at once, before and without a
    /// login.
    pub(super) async fn return_to(&mut self) -> Result<(), BoshError> {
        self.ask(UNKNOWN_MECHANISM, &["failure"]).await.map(drop)
    }

    /// Logs in as Jitsi's client does.
    ///
    /// `Ok(Err(…))` is the server's refusal: its condition and its text.
    pub(super) async fn log_in(&mut self) -> Result<Result<(), Refusal>, BoshError> {
        let answer = self.ask(AUTH, &["success", "failure"]).await?;
        if answer.name == "success" {
            return Ok(Ok(()));
        }
        Ok(Err(Refusal::of_sasl(&answer)))
    }

    /// Restarts the stream after logging in and binds a resource.
    pub(super) async fn bind(&mut self) -> Result<(), BoshError> {
        let to = escaped(&self.target.domain);
        let attributes = format!("to='{to}' xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh'");
        self.post(&attributes, "").await?;
        self.take("features").await?;
        self.ask(BIND, &["iq"]).await.map(drop)
    }

    /// Sends and waits for the first element of one of these names.
    pub(super) async fn ask(&mut self, xml: &str, names: &[&str]) -> Result<Element, BoshError> {
        self.ask_until(xml, |element| names.contains(&element.name.as_str()))
            .await
    }

    /// Sends and waits for the first element that is wanted.
    pub(super) async fn ask_until(
        &mut self,
        xml: &str,
        wanted: impl Fn(&Element) -> bool,
    ) -> Result<Element, BoshError> {
        let deadline = Instant::now() + PATIENCE;
        let mut xml = xml;
        loop {
            if let Some(at) = self.inbox.iter().position(&wanted) {
                return Ok(self.inbox.remove(at));
            }
            match timeout_at(deadline, self.post("", xml)).await {
                Ok(Err(BoshError::Wire(WireError::Timeout(..)))) | Err(_) => {
                    return Err(BoshError::Silence(PATIENCE));
                }
                Ok(result) => drop(result?),
            }
            xml = "";
        }
    }

    /// Waits for an element without asking for anything.
    async fn take(&mut self, name: &str) -> Result<Element, BoshError> {
        self.ask_until("", |element| element.name == name).await
    }

    /// Ends the session; whatever it was in is left.
    pub(super) async fn close(mut self) {
        if !self.sid.is_empty() {
            let leave = "<presence xmlns='jabber:client' type='unavailable'/>";
            // It would end by itself a little later.
            let _ = self.post("type='terminate'", leave).await;
        }
    }

    async fn post(&mut self, attributes: &str, xml: &str) -> Result<Element, BoshError> {
        self.rid += 1;
        let sid = if self.sid.is_empty() {
            String::new()
        } else {
            format!(" sid='{}'", escaped(&self.sid))
        };
        let body = format!(
            "<body rid='{}' xmlns='{HTTP_BIND}'{sid} {attributes}>{xml}</body>",
            self.rid
        );
        let mut request = Request::post("/http-bind")
            .header(header::HOST, self.target.domain.as_str())
            .header(header::CONTENT_TYPE, "text/xml; charset=utf-8")
            .body(body)
            .map_err(|_| WireError::Name(self.target.domain.clone()))?;
        if let Some(authorization) = &self.authorization {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, authorization.clone());
        }
        let answer = self.target.wire.send(request).await?;
        let text = answer.text();
        let body = Element::parse(&text).filter(|body| body.name == "body");
        let Some(body) = body.filter(|_| answer.status.is_success()) else {
            return Err(BoshError::Http(Box::new(answer)));
        };
        self.inbox.extend(body.children.iter().cloned());
        if body.attribute("type") == Some("terminate") {
            let stream_error = body.find("error").and_then(|error| error.children.first());
            let condition = body.attribute("condition").unwrap_or("no condition");
            let condition = match stream_error {
                Some(inner) if condition == "remote-stream-error" => &inner.name,
                _ => condition,
            };
            return Err(BoshError::Ended(condition.to_owned()));
        }
        Ok(body)
    }
}

/// Why a server refused: an element's name, a text, and Jitsi's own element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) condition: String,
    pub(super) text: String,
    pub(super) marker: String,
}

// === impl Refusal ===

impl Refusal {
    /// Of `<failure/>` (RFC 6120 § 6.4.5).
    pub(super) fn of_sasl(failure: &Element) -> Self {
        Self::of(failure)
    }

    /// Of a stanza of type `error` (RFC 6120 § 8.3).
    pub(super) fn of_stanza(stanza: &Element) -> Self {
        stanza.child("error").map(Self::of).unwrap_or_default()
    }

    fn of(error: &Element) -> Self {
        let mut names = error.children.iter().filter(|child| child.name != "text");
        let mut name = || {
            names
                .next()
                .map(|child| child.name.clone())
                .unwrap_or_default()
        };
        Self {
            condition: name(),
            marker: name(),
            text: error
                .child("text")
                .map(|text| text.text().to_owned())
                .unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "<{}/> {:?}",
            self.condition,
            super::wire::quoted(&self.text)
        )?;
        if !self.marker.is_empty() {
            write!(f, " <{}/>", self.marker)?;
        }
        Ok(())
    }
}

const HTTP_BIND: &str = "http://jabber.org/protocol/httpbind";

/// SASL ANONYMOUS: the token says who one is.
pub(super) const AUTH: &str =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";

const UNKNOWN_MECHANISM: &str =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='X-GATEWAY-DOCTOR'/>";

const BIND: &str = "<iq xmlns='jabber:client' type='set' id='bind'>\
                    <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";

/// How long Prosody may hold a request; shorter than an exchange may last.
const WAIT_SECONDS: u8 = 3;

/// How long to wait for an answer: Prosody may have to fetch a key three times.
const PATIENCE: Duration = Duration::from_secs(7);
