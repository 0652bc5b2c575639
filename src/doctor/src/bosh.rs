//! A BOSH conversation with Prosody (XEP-0124, XEP-0206), each request on a connection of its own.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, header};
use tokio::time::{Instant, timeout_at};
use url::form_urlencoded;

use super::{
    wire::{Answer, Wire, WireError},
    xml::{Element, escaped},
};
use config::PublicUrl;

/// Where and as whom to speak.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) wire: Wire,
    /// The XMPP domain.
    pub(super) domain: String,
    /// What goes into `Host`.
    host: String,
    /// Behind the path: nothing at Prosody itself, who one is at the gateway.
    query: String,
    /// What else a browser would send.
    pub(super) headers: HeaderMap,
    /// How long the server may hold a request.
    wait: Duration,
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

// === impl Target ===

impl Target {
    /// Prosody itself, asked as the gateway asks it.
    pub(super) fn prosody(wire: Wire, domain: &str) -> Self {
        Self {
            wire,
            domain: domain.to_owned(),
            host: domain.to_owned(),
            query: String::new(),
            headers: HeaderMap::new(),
            wait: WAIT,
        }
    }

    /// The gateway, asked as a page of `public_url` asks it.
    pub(super) fn gateway(
        wire: Wire,
        domain: &str,
        public_url: &PublicUrl,
        room: &str,
        token: &str,
    ) -> Self {
        let origin = HeaderValue::try_from(public_url.origin());
        let origin = origin.expect("an origin has only characters that headers can carry");
        let mut query = form_urlencoded::Serializer::new(String::from("?"));
        query.append_pair("room", room);
        if !token.is_empty() {
            query.append_pair("token", token);
        }
        Self {
            host: public_url.authority().to_string(),
            query: query.finish(),
            headers: HeaderMap::from_iter([(header::ORIGIN, origin)]),
            ..Self::prosody(wire, domain)
        }
    }

    /// The same, but reached on another way.
    pub(super) fn by(self, wire: Wire) -> Self {
        Self { wire, ..self }
    }

    /// The same, but asked with more behind the path.
    pub(super) fn with_query(self, more: &str) -> Self {
        Self {
            query: format!("{}{more}", self.query),
            ..self
        }
    }

    /// The same, but what is empty may wait longer.
    pub(super) fn waiting(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// A path of the server's, with what is to stand behind it.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{path}{}", self.query)
    }

    /// The head's lines that are the same for every request.
    pub(super) fn dress(&self, headers: &mut HeaderMap) -> Result<(), WireError> {
        let host = HeaderValue::try_from(&self.host);
        let host = host.map_err(|_| WireError::Name(self.host.clone()))?;
        headers.insert(header::HOST, host);
        headers.extend(self.headers.clone());
        Ok(())
    }
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
            "to='{to}' ver='1.6' wait='{}' hold='1' xml:lang='en' \
             xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'",
            target.wait.as_secs()
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

    /// Asks for news while there is none: comes back when the server's time to wait is over.
    pub(super) async fn wait(&mut self) -> Result<(), BoshError> {
        self.post("", "").await.map(drop)
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
        let mut request = Request::post(self.target.path("/http-bind"))
            .header(header::CONTENT_TYPE, "text/xml; charset=utf-8")
            .body(body)
            .map_err(|_| WireError::Name(self.target.host.clone()))?;
        self.target.dress(request.headers_mut())?;
        if let Some(authorization) = &self.authorization {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, authorization.clone());
        }
        let at_most = self.target.wait + GRACE;
        let answer = self.target.wire.send_within(request, at_most).await?;
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

/// How long Prosody may hold a request.
const WAIT: Duration = Duration::from_secs(3);

/// How much longer than that an answer may be on its way.
const GRACE: Duration = Duration::from_secs(5);

/// How long to wait for an answer: Prosody may have to fetch a key three times.
const PATIENCE: Duration = Duration::from_secs(7);
