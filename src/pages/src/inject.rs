//! Injection of the gateway's script into Jitsi's page, and of its options into `config.js`.
//!
//! Jitsi's web server inlines `config.js` into the page (SSI), so one script in the page's head can
//! set options there. The same script puts a display token into the URL fragment, where Jitsi's
//! page reads tokens. Mobile apps fetch `config.js` itself, which gets the same options appended.
//!
//! The functions map a response to a response, and wait for its body only.

mod body;
mod csp;
mod headers;
mod html;
mod read_ahead;
mod script;
mod warnings;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Response, response::Parts};
use http_body::Body;
use serde_json::{Map, Value};

use self::{
    body::Injection,
    headers::MediaKind,
    html::{HtmlInjector, KnownHeads, Selectors},
    read_ahead::{Chunks, ReadAhead, read_ahead},
    script::{InjectedScript, Overrides, ScriptTemplate},
    warnings::InjectionWarnings,
};
pub use self::{
    body::{InjectedBody, InjectedBodyError},
    headers::{is_ascii_compatible, is_encoded, request_full_representation},
    html::UnsafeHtml,
};

/// The content that one deployment injects into Jitsi's responses.
pub struct Injector {
    script: ScriptTemplate,
    appendix: Bytes,
    selectors: Selectors,
    known_heads: KnownHeads,
    warnings: Arc<InjectionWarnings>,
}

/// The user that Jitsi's page is rendered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageIdentity<'p> {
    /// A user with a display token.
    Token(&'p str),
    /// A user without one, with a display name if it is known.
    Name(Option<&'p str>),
}

// === impl Injector ===

impl Injector {
    /// Creates the injector of the deployment at `public_origin` (`https://meet.example.org`,
    /// without a trailing slash).
    ///
    /// `overrides` is a JSON merge patch (RFC 7396) of Jitsi's `config`: objects are merged, `null`
    /// removes an option. It takes precedence over the options that the gateway sets itself.
    pub fn new(public_origin: &str, overrides: &Map<String, Value>) -> Self {
        let mut patch = Map::new();
        // Absolute, because mobile apps open it outside the page; Jitsi replaces `{state}`.
        let login = format!("{public_origin}/_gateway/login?state={{state}}");
        patch.insert("tokenAuthUrl".to_owned(), login.into());
        let logout = format!("{public_origin}/_gateway/logout");
        patch.insert("tokenLogoutUrl".to_owned(), logout.into());
        patch.extend(overrides.clone());
        let overrides = Overrides::new(&patch);
        Self {
            appendix: overrides.appendix(),
            script: ScriptTemplate::new(&overrides),
            selectors: Selectors::new(),
            known_heads: KnownHeads::default(),
            warnings: Arc::default(),
        }
    }

    /// Injects the script into a response with Jitsi's page. Any other response (a redirect, an
    /// error, an image) passes unchanged.
    ///
    /// A page of the usual length is read whole first: its length is known then, and it is sent at once. A longer one
    /// streams through. The request must have been prepared by [`request_full_representation`].
    ///
    /// # Errors
    ///
    /// The page broke off while it was read.
    pub async fn inject_page<B>(
        &self,
        response: Response<B>,
        identity: PageIdentity<'_>,
    ) -> Result<Response<InjectedBody<B>>, B::Error>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (mut head, body) = response.into_parts();
        if !self.is_injectable(&head, MediaKind::Html) {
            return Ok(Response::from_parts(head, InjectedBody::unchanged(body)));
        }
        let script = self.script.render(identity);
        headers::adapt_response(&mut head.headers, Some(&script));
        // Without a body to read: the response to HEAD, for example.
        let read = if body.is_end_stream() {
            ReadAhead::Beginning(Chunks::default(), body)
        } else {
            read_ahead(body, USUAL_PAGE_BYTES).await?
        };
        let body = match read {
            ReadAhead::Whole(page) => {
                let (page, placement) = self.known_heads.complete(page, &self.selectors, &script);
                self.warnings.placed(placement);
                InjectedBody::whole(page)
            }
            ReadAhead::Beginning(ahead, body) => self.streaming(ahead.join(), body, &script),
        };
        Ok(Response::from_parts(head, body))
    }

    /// [`inject_page`](Self::inject_page) for a page of any length: it is sent as it comes.
    pub fn inject_streaming_page<B>(
        &self,
        response: Response<B>,
        identity: PageIdentity<'_>,
    ) -> Response<InjectedBody<B>> {
        let (mut head, body) = response.into_parts();
        let body = if self.is_injectable(&head, MediaKind::Html) {
            let script = self.script.render(identity);
            headers::adapt_response(&mut head.headers, Some(&script));
            self.streaming(Bytes::new(), body, &script)
        } else {
            InjectedBody::unchanged(body)
        };
        Response::from_parts(head, body)
    }

    /// Appends the options to a response with `config.js`, like [`inject_page`](Self::inject_page).
    pub fn inject_config_js<B>(&self, response: Response<B>) -> Response<InjectedBody<B>> {
        let (mut head, body) = response.into_parts();
        let body = if self.is_injectable(&head, MediaKind::JavaScript) {
            headers::adapt_response(&mut head.headers, None);
            let injection = Injection::Append(self.appendix.clone());
            InjectedBody::new(Bytes::new(), body, injection)
        } else {
            InjectedBody::unchanged(body)
        };
        Response::from_parts(head, body)
    }

    fn is_injectable(&self, head: &Parts, kind: MediaKind) -> bool {
        if !headers::is_complete(head.status, &head.headers) {
            return false;
        }
        let obstacle = headers::obstacle(&head.headers, kind);
        if let Some(obstacle) = obstacle {
            self.warnings.passed(obstacle, &head.headers);
        }
        obstacle.is_none()
    }

    fn streaming<B>(&self, ahead: Bytes, body: B, script: &InjectedScript) -> InjectedBody<B> {
        let injection = Injection::Html(self.html(script), Arc::clone(&self.warnings));
        InjectedBody::new(ahead, body, injection)
    }

    fn html(&self, script: &InjectedScript) -> HtmlInjector {
        HtmlInjector::new(&self.selectors, script)
    }
}

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Injector")
    }
}

/// Jitsi's page has some 20 KiB, and 40 with a long `config.js`. A client that reads slowly holds as much memory.
const USUAL_PAGE_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests;
