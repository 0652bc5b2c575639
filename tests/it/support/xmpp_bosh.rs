//! An XMPP client over BOSH (XEP-0124, XEP-0206), with one request at a time.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Version, header};
use tokio::time::timeout;

use super::{
    browser::{AGENT, Browser},
    reconnecting_client::ReconnectingClient,
    site::ORIGIN,
    xmpp_socket::{SELF_PRESENCE, is_error, join, message},
};

/// A session with the stand-in for Prosody.
pub(crate) struct XmppBosh {
    client: ReconnectingClient,
    url: String,
    sid: String,
    rid: u64,
    /// Requests that were sent again, because their connection ended or the gateway stopped.
    pub(crate) repeated: usize,
}

/// Why a session has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BoshEnd {
    /// The condition of a terminal body (XEP-0124 § 17.2), or the text of the gateway's own header.
    #[error("terminated: {0}")]
    Terminated(String),
    /// Another answer, or none in time.
    #[error("{0}")]
    Broken(String),
}

// === impl XmppBosh ===

impl XmppBosh {
    /// Creates a session, logs in and binds a resource.
    pub(crate) async fn log_in(
        browser: Browser,
        version: Version,
        room: &str,
    ) -> Result<Self, BoshEnd> {
        let mut this = Self {
            client: ReconnectingClient::new(browser, version),
            url: format!("{ORIGIN}/http-bind?room={room}"),
            sid: String::new(),
            rid: FIRST,
            repeated: 0,
        };
        let created = this.deliver(CREATE).await?;
        let sid = attribute(&created, "sid");
        this.sid = sid.ok_or_else(|| BoshEnd::Broken(created.clone()))?;
        let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";
        this.exchange("", auth, "<success").await?;
        let restart = " xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh'";
        this.exchange(restart, "", "<bind").await?;
        let bind = "<iq xmlns='jabber:client' type='set' id='bind-1'>\
            <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
        this.exchange("", bind, "bind-1").await?;
        Ok(this)
    }

    /// Joins a room and waits for the presence of `nick` in it.
    pub(crate) async fn join(&mut self, room: &str, nick: &str) -> Result<(), BoshEnd> {
        self.exchange("", &join(room, nick), SELF_PRESENCE).await
    }

    /// Sends a message to a room and waits until the room sends it back.
    pub(crate) async fn say(&mut self, room: &str, text: &str) -> Result<(), BoshEnd> {
        self.exchange("", &message(room, text), text).await
    }

    /// Sends one request without a stanza and waits for its answer.
    pub(crate) async fn poll(&mut self) -> Result<(), BoshEnd> {
        self.request("", "").await.map(drop)
    }

    /// Sends a request and breaks it off, unless it is answered before.
    pub(crate) async fn break_off(mut self) {
        let _ = timeout(BEFORE_BREAK, self.poll()).await;
    }

    /// Ends the session.
    pub(crate) async fn close(&mut self) -> Result<(), BoshEnd> {
        match self.request(" type='terminate'", "").await {
            Err(BoshEnd::Terminated(condition)) if condition.is_empty() => Ok(()),
            Err(end) => Err(end),
            Ok(answer) => Err(BoshEnd::Broken(answer)),
        }
    }

    /// Sends a stanza, and polls until one with `wanted` comes.
    async fn exchange(
        &mut self,
        attributes: &str,
        stanza: &str,
        wanted: &str,
    ) -> Result<(), BoshEnd> {
        let exchanging = async {
            let mut answer = self.request(attributes, stanza).await?;
            while !answer.contains(wanted) {
                if is_error(&answer) {
                    return Err(BoshEnd::Broken(answer));
                }
                answer = self.request("", "").await?;
            }
            Ok(())
        };
        timeout(ANSWER_TIMEOUT, exchanging)
            .await
            .unwrap_or_else(|_| {
                let end = format!("no answer with {wanted} came in time");
                Err(BoshEnd::Broken(end))
            })
    }

    /// Sends the next request of the session.
    async fn request(&mut self, attributes: &str, stanza: &str) -> Result<String, BoshEnd> {
        self.rid += 1;
        let body = format!(
            "<body xmlns='http://jabber.org/protocol/httpbind' rid='{}' sid='{}'{attributes}>{stanza}</body>",
            self.rid, self.sid
        );
        self.deliver(&body).await
    }

    /// Sends a body; the same again after a status of 500 or more, as Strophe does (jitsi/strophejs
    /// v1.5-jitsi-3 `src/bosh.js`, `_onRequestStateChange`).
    async fn deliver(&mut self, body: &str) -> Result<String, BoshEnd> {
        let request = Request::post(&self.url)
            .header(header::ORIGIN, HeaderValue::from_static(ORIGIN))
            .header(header::USER_AGENT, AGENT)
            .header(header::CONTENT_TYPE, "text/xml; charset=utf-8")
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap();
        let mut status = StatusCode::OK;
        for _ in 0..ATTEMPTS {
            let delivery = self.client.exchange(&request).await;
            let delivery = delivery.map_err(BoshEnd::Broken)?;
            self.repeated += usize::from(delivery.repeated);
            status = delivery.head.status;
            if status.is_server_error() {
                self.repeated += 1;
                continue;
            }
            if status != StatusCode::OK {
                break;
            }
            let text = String::from_utf8_lossy(&delivery.body).into_owned();
            if attribute(&text, "type").as_deref() != Some("terminate") {
                return Ok(text);
            }
            let by_gateway = delivery.head.headers.get("x-gateway-ended");
            let by_gateway = by_gateway.map(|why| why.to_str().unwrap().to_owned());
            let condition = by_gateway.or_else(|| attribute(&text, "condition"));
            return Err(BoshEnd::Terminated(condition.unwrap_or_default()));
        }
        Err(BoshEnd::Broken(status.to_string()))
    }
}

/// The value of an attribute of the body element.
fn attribute(body: &str, name: &str) -> Option<String> {
    let tag = body.split('>').next()?;
    let (_, value) = tag.split_once(&format!(" {name}="))?;
    let quote = value.chars().next()?;
    value[1..].split(quote).next().map(ToOwned::to_owned)
}

const FIRST: u64 = 100;

/// With answers within two seconds, so that a client notices soon when its visit is to end.
const CREATE: &str = "<body xmlns='http://jabber.org/protocol/httpbind' rid='100' to='meet.jitsi' ver='1.6' \
    wait='2' hold='1' xml:lang='en' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'/>";

/// Long enough for a busy machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// A request has left by then.
const BEFORE_BREAK: Duration = Duration::from_millis(100);

/// Strophe tries five times.
const ATTEMPTS: usize = 5;
