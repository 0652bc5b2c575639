//! Completion of Jitsi's page and `config.js`: what this deployment adds to them on their way out.
//!
//! Jitsi's web server puts `config.js` into its page, so one script in the page's head sets our
//! options there; it also tells the page who signed in, by a display token in the address's
//! fragment, which is where the page reads one. `config.js` itself, which apps fetch, gets the same
//! options at its end. Everything here is pure: answers in, answers out.

mod body;
mod csp;
mod gunzip;
mod head;
mod html;
mod script;

use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value};

pub(crate) use self::script::csp_hash;
use self::{
    body::Completing,
    head::{Kind, completable, complete},
    html::Selectors,
    script::Overrides,
};
pub use self::{
    body::{CompletedBody, CompletedBodyError},
    head::{Coding, ask_for_whole},
    html::{HtmlCompleter, Placement},
    script::Script,
};

/// What one deployment adds to Jitsi's answers.
pub struct Completion {
    overrides: Overrides,
    appendix: Bytes,
    selectors: Selectors,
}

/// Why an answer could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum CompletionError {
    /// The HTML is ambiguous, or has a tag beyond all measure.
    #[error("the page cannot be read safely")]
    Html,
    /// The gzip stream is broken.
    #[error("the gzip stream is broken")]
    Gzip(#[source] std::io::Error),
    /// The answer unpacks to more than any page of Jitsi's.
    #[error("the answer unpacks to too much")]
    TooLarge,
}

/// Whom Jitsi's page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person<'p> {
    /// Somebody of whom a token tells.
    Token(&'p str),
    /// Somebody without a token, with a name if it is known.
    Name(Option<&'p str>),
}

// === impl Completion ===

impl Completion {
    /// For the deployment at `public_origin` (`https://meet.example.org`, no slash at its end).
    ///
    /// `overrides` is a JSON merge patch (RFC 7396) for Jitsi's `config`: objects are merged, `null`
    /// removes an option. It has the last word over what the gateway sets by itself.
    pub fn new(public_origin: &str, overrides: &Map<String, Value>) -> Self {
        let mut patch = Map::new();
        // Absolute, because apps open it outside of the page; Jitsi fills in the state.
        let login = format!("{public_origin}/_gateway/login?state={{state}}");
        patch.insert("tokenAuthUrl".to_owned(), login.into());
        let logout = format!("{public_origin}/_gateway/logout");
        patch.insert("tokenLogoutUrl".to_owned(), logout.into());
        patch.extend(overrides.clone());
        let overrides = Overrides::new(&patch);
        Self {
            appendix: overrides.appendix(),
            overrides,
            selectors: Selectors::new(),
        }
    }

    /// The script for one visitor's page; nobody in particular has no display token.
    pub fn script(&self, person: Person<'_>) -> Script {
        Script::new(&self.overrides, person)
    }

    /// Puts the script into a page that comes in pieces.
    pub fn html(&self, script: &Script) -> HtmlCompleter {
        HtmlCompleter::new(&self.selectors, script)
    }

    /// What belongs behind the end of `config.js`.
    pub fn config_js(&self) -> &Bytes {
        &self.appendix
    }

    /// Completes the answer to a request for Jitsi's page, head and body; an answer that is no page
    /// (a redirect, an error, a picture) is passed on as it is.
    ///
    /// The request has to have been made with [`ask_for_whole`].
    pub fn page<B>(&self, answer: Response<B>, person: Person<'_>) -> Response<CompletedBody<B>> {
        let (mut head, body) = answer.into_parts();
        let body = match completable(head.status, &head.headers, Kind::Html) {
            Some(coding) => {
                let script = self.script(person);
                complete(&mut head.headers, Some(&script));
                self.html_body(&script, coding, body)
            }
            None => CompletedBody::untouched(body),
        };
        Response::from_parts(head, body)
    }

    /// Completes the answer to a request for `config.js`, as [`Self::page`] does for the page.
    pub fn config<B>(&self, answer: Response<B>) -> Response<CompletedBody<B>> {
        let (mut head, body) = answer.into_parts();
        let body = match completable(head.status, &head.headers, Kind::JavaScript) {
            Some(coding) => {
                complete(&mut head.headers, None);
                self.config_body(coding, body)
            }
            None => CompletedBody::untouched(body),
        };
        Response::from_parts(head, body)
    }

    fn html_body<B>(&self, script: &Script, coding: Coding, body: B) -> CompletedBody<B> {
        CompletedBody::new(body, coding, Completing::Html(self.html(script)))
    }

    fn config_body<B>(&self, coding: Coding, body: B) -> CompletedBody<B> {
        CompletedBody::new(body, coding, Completing::Append(self.appendix.clone()))
    }
}

impl std::fmt::Debug for Completion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Completion")
    }
}

#[cfg(test)]
mod tests;
