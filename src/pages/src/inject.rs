//! Injection of the gateway's script into Jitsi's page, and of its options into `config.js`.
//!
//! Jitsi's web server inlines `config.js` into the page (SSI), so one script in the page's head can
//! set options there. The same script puts a display token into the URL fragment, where Jitsi's
//! page reads tokens. Mobile apps fetch `config.js` itself, which gets the same options appended.
//!
//! The functions are pure: they map a response to a response.

mod body;
mod chunks;
mod csp;
mod headers;
mod html;
mod script;
mod warnings;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value};

use self::{
    body::Injection,
    headers::MediaKind,
    html::{HtmlInjector, LastScannedHead, Selectors},
    script::{InjectedScript, Overrides, ScriptTemplate},
    warnings::InjectionWarnings,
};
pub use self::{
    body::{InjectedBody, InjectedBodyError},
    chunks::Chunks,
    headers::{is_ascii_compatible, is_encoded, request_full_representation},
    html::UnsafeHtml,
};

/// The content that one deployment injects into Jitsi's responses.
pub struct Injector {
    script: ScriptTemplate,
    appendix: Bytes,
    selectors: Selectors,
    last_head: LastScannedHead,
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
            last_head: LastScannedHead::default(),
            warnings: Arc::default(),
        }
    }

    /// Injects the script into a response with Jitsi's page, while its body streams through. Any other response
    /// (a redirect, an error, an image) passes unchanged.
    ///
    /// The request must have been prepared by [`request_full_representation`].
    pub fn inject_page<B>(
        &self,
        response: Response<B>,
        identity: PageIdentity<'_>,
    ) -> Response<InjectedBody<B>> {
        let (mut head, body) = response.into_parts();
        let body = if self.is_injectable(head.status, &head.headers, MediaKind::Html) {
            let script = self.script.render(identity);
            headers::adapt_response(&mut head.headers, Some(&script));
            let warnings = Arc::clone(&self.warnings);
            InjectedBody::new(body, Injection::Html(self.html(&script), warnings))
        } else {
            InjectedBody::unchanged(body)
        };
        Response::from_parts(head, body)
    }

    /// Whether [`inject_page`](Self::inject_page) would change the response.
    pub fn is_page<B>(&self, response: &Response<B>) -> bool {
        self.is_injectable(response.status(), response.headers(), MediaKind::Html)
    }

    /// [`inject_page`](Self::inject_page) for a [page](Self::is_page) that has arrived whole. Its head is scanned only
    /// if it differs from that of the page before.
    pub fn inject_whole_page(
        &self,
        page: Response<Chunks>,
        identity: PageIdentity<'_>,
    ) -> Response<Bytes> {
        let (mut head, page) = page.into_parts();
        let script = self.script.render(identity);
        headers::adapt_response(&mut head.headers, Some(&script));
        let (page, placement) = self.last_head.complete(page, &self.selectors, &script);
        self.warnings.placed(placement);
        Response::from_parts(head, page)
    }

    /// Appends the options to a response with `config.js`, like [`inject_page`](Self::inject_page).
    pub fn inject_config_js<B>(&self, response: Response<B>) -> Response<InjectedBody<B>> {
        let (mut head, body) = response.into_parts();
        let body = if self.is_injectable(head.status, &head.headers, MediaKind::JavaScript) {
            headers::adapt_response(&mut head.headers, None);
            InjectedBody::new(body, Injection::Append(self.appendix.clone()))
        } else {
            InjectedBody::unchanged(body)
        };
        Response::from_parts(head, body)
    }

    fn is_injectable(&self, status: StatusCode, headers: &HeaderMap, kind: MediaKind) -> bool {
        if !headers::is_complete(status, headers) {
            return false;
        }
        let obstacle = headers::obstacle(headers, kind);
        if let Some(obstacle) = obstacle {
            self.warnings.passed(obstacle, headers);
        }
        obstacle.is_none()
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

#[cfg(test)]
mod tests;
