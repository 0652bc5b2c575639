//! A BOSH client (XEP-0124, XEP-0206). Each request has a connection of its own.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, Request, header};
use model::{
    random::Random,
    xml::{Element, Escaped},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};

use super::{
    AUTH, HttpError, HttpResponse, REPLY_TIMEOUT, Refusal, XmppServer, poll_pacing::PollPacing,
};

/// A BOSH session.
pub(crate) struct BoshSession {
    server: XmppServer,
    authorization: Option<HeaderValue>,
    sid: String,
    rid: u64,
    inbox: Vec<Element>,
    /// The stream features that the server offered when the session was opened.
    pub(crate) features: Option<Element>,
}

/// Why a session was not opened, or does not continue.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum BoshError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the response is not BOSH: {}", .0.summary())]
    NotBosh(Box<HttpResponse>),
    /// The condition of `type='terminate'`, or a refused login on the way.
    #[error("the session ended with {0:?}")]
    Terminated(String),
    #[error("no reply within {0:?}")]
    Timeout(Duration),
}

// === impl BoshSession ===

impl BoshSession {
    /// Opens a session, with a bearer token if there is one.
    pub(crate) async fn open(
        server: &XmppServer,
        token: Option<&str>,
        random: &Random,
    ) -> Result<Self, BoshError> {
        let authorization = token.map(|token| {
            // Infallible: a JWT consists of base64url and dots.
            let mut value =
                HeaderValue::try_from(format!("Bearer {token}")).expect("a JWT is a header value");
            value.set_sensitive(true);
            value
        });
        let mut session = Self {
            server: server.clone(),
            authorization,
            sid: String::new(),
            // Far from 0 and from 2^53 (XEP-0124 § 7).
            rid: u64::from(u32::from_be_bytes(random.bytes())),
            inbox: Vec::new(),
            features: None,
        };
        let attributes = format!(
            "to='{}' ver='1.6' wait='{}' hold='1' xml:lang='en' \
             xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'",
            Escaped(&server.domain),
            server.wait.as_secs()
        );
        let body = session.post(&attributes, "").await?;
        session.sid = body.attribute("sid").unwrap_or_default().to_owned();
        session.features = session.receive("features").await.ok();
        Ok(session)
    }

    /// Sends a request that any server with this session rejects at once, whether or not the
    /// session is logged in.
    pub(crate) async fn round_trip(&mut self) -> Result<(), BoshError> {
        self.request(UNKNOWN_MECHANISM, &["failure"])
            .await
            .map(drop)
    }

    /// Logs in as Jitsi's client does. `Ok(Err(…))` is the server's refusal.
    pub(crate) async fn log_in(&mut self) -> Result<Result<(), Refusal>, BoshError> {
        self.authenticate(AUTH).await
    }

    /// Logs in by password (SASL PLAIN, RFC 4616).
    pub(crate) async fn log_in_as(
        &mut self,
        user: &str,
        password: &SecretString,
    ) -> Result<Result<(), Refusal>, BoshError> {
        let message = format!("\0{user}\0{}", password.expose_secret());
        let message = BASE64_STANDARD.encode(message);
        self.authenticate(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{message}</auth>"
        ))
        .await
    }

    async fn authenticate(&mut self, auth: &str) -> Result<Result<(), Refusal>, BoshError> {
        let reply = self.request(auth, &["success", "failure"]).await?;
        if reply.name() == "success" {
            return Ok(Ok(()));
        }
        Ok(Err(Refusal::of_sasl(&reply)))
    }

    /// Restarts the stream after the login (XEP-0206 § 5) and binds a resource.
    pub(crate) async fn bind(&mut self) -> Result<(), BoshError> {
        let attributes = format!(
            "to='{}' xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh'",
            Escaped(&self.server.domain)
        );
        self.post(&attributes, "").await?;
        self.receive("features").await?;
        self.request(BIND, &["iq"]).await.map(drop)
    }

    /// Sends stanzas and waits for the first element with one of the names.
    async fn request(&mut self, xml: &str, names: &[&str]) -> Result<Element, BoshError> {
        self.request_until(xml, |element| names.contains(&element.name()))
            .await
    }

    /// Sends stanzas and waits for the first matching element; others stay in the inbox.
    pub(crate) async fn request_until(
        &mut self,
        xml: &str,
        fits: impl Fn(&Element) -> bool,
    ) -> Result<Element, BoshError> {
        let deadline = Instant::now() + REPLY_TIMEOUT;
        let mut xml = xml;
        let mut pacing = PollPacing::default();
        loop {
            if let Some(at) = self.inbox.iter().position(&fits) {
                return Ok(self.inbox.remove(at));
            }
            let asking = async {
                pacing.turn().await;
                self.post("", xml).await
            };
            match timeout_at(deadline, asking).await {
                Ok(Err(BoshError::Http(HttpError::Timeout(..)))) | Err(_) => {
                    return Err(BoshError::Timeout(REPLY_TIMEOUT));
                }
                Ok(result) => drop(result?),
            }
            xml = "";
        }
    }

    /// Waits for an element without sending a stanza.
    async fn receive(&mut self, name: &str) -> Result<Element, BoshError> {
        self.request_until("", |element| element.name() == name)
            .await
    }

    /// Sends one empty request, which the server holds for the session's `wait`.
    pub(crate) async fn poll(&mut self) -> Result<(), BoshError> {
        self.post("", "").await.map(drop)
    }

    /// Leaves all rooms and ends the session.
    pub(crate) async fn close(mut self) {
        if !self.sid.is_empty() {
            let leave = "<presence xmlns='jabber:client' type='unavailable'/>";
            // On failure the server ends the session after its `inactivity`.
            let _ = self.post("type='terminate'", leave).await;
        }
    }

    async fn post(&mut self, attributes: &str, xml: &str) -> Result<Element, BoshError> {
        self.rid += 1;
        let sid = if self.sid.is_empty() {
            String::new()
        } else {
            format!(" sid='{}'", Escaped(&self.sid))
        };
        let body = format!(
            "<body rid='{}' xmlns='{HTTP_BIND}'{sid} {attributes}>{xml}</body>",
            self.rid
        );
        let mut request = Request::post(self.server.path("/http-bind"))
            .header(header::CONTENT_TYPE, "text/xml; charset=utf-8")
            .body(body)
            .map_err(|_| HttpError::Name(self.server.host.clone()))?;
        self.server.set_headers(request.headers_mut())?;
        if let Some(authorization) = &self.authorization {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, authorization.clone());
        }
        let limit = self.server.wait + GRACE;
        let response = self.server.endpoint.send_within(request, limit).await?;
        let body = Element::parse(&response.text()).ok();
        let body = body.filter(|body| body.name() == "body" && response.status.is_success());
        let Some(body) = body else {
            return Err(BoshError::NotBosh(Box::new(response)));
        };
        self.inbox.extend(body.children().cloned());
        if body.attribute("type") == Some("terminate") {
            return Err(BoshError::Terminated(condition(&body).to_owned()));
        }
        Ok(body)
    }
}

/// The condition of a terminating body; of a stream error, the error inside (XEP-0206 § 4).
fn condition(body: &Element) -> &str {
    let condition = body.attribute("condition").unwrap_or("no condition");
    let error = body.find("error").and_then(|error| error.children().next());
    match error {
        Some(inner) if condition == "remote-stream-error" => inner.name(),
        _ => condition,
    }
}

pub(crate) const HTTP_BIND: &str = "http://jabber.org/protocol/httpbind";

const UNKNOWN_MECHANISM: &str =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='X-GATEWAY-DOCTOR'/>";

const BIND: &str = "<iq xmlns='jabber:client' type='set' id='bind'>\
                    <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";

/// Added to `wait` for the network round trip.
const GRACE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_of_a_stream_error_is_the_error_inside() {
        for (text, expected) in [
            ("<body type='terminate'/>", "no condition"),
            ("<body condition='host-unknown'/>", "host-unknown"),
            (
                "<body condition='remote-stream-error' xmlns:stream='s'><stream:error>\
                 <not-well-formed/></stream:error></body>",
                "not-well-formed",
            ),
        ] {
            assert_eq!(condition(&Element::parse(text).unwrap()), expected);
        }
    }
}
