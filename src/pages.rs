//! The gateway's own pages: short, of one look, and with nothing in them that could run or load.
//!
//! [`Pages::render`] makes an answer from values alone. Every text from outside is escaped by the
//! template and stands in a `<bdi>`; each page's policy allows exactly the style and script that it
//! has.

mod content;
mod texts;
mod view;

pub use self::content::{
    Calendar, Content, Denial, GuestForm, Link, LinkProblem, NameProblem, Part, PopupOutcome,
    SignInFailure,
};
pub use self::texts::{Direction, Languages, Text, Texts};
use self::view::View;
use crate::page::csp_hash;
use askama::Template;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
    },
};

/// Makes the pages of one deployment.
#[derive(Clone, Debug)]
pub struct Pages {
    site_name: String,
    languages: Languages,
    /// The policy of pages without a script.
    policy: HeaderValue,
    /// The policy of the page that has one.
    script_policy: HeaderValue,
}

/// The request that a page answers.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its `Accept-Language`.
    pub accept_language: Option<&'a HeaderValue>,
    /// Its name in our logs.
    pub request_id: &'a str,
}

/// A finished page.
#[derive(Clone, Debug)]
pub struct Page {
    /// The status; the caller may know a better one of the same class.
    pub status: StatusCode,
    /// The head; the caller may add to it.
    pub headers: HeaderMap,
    /// The document.
    pub body: Bytes,
}

// === impl Pages ===

impl Pages {
    /// Pages that carry this name and speak these languages.
    ///
    /// # Panics
    ///
    /// Never in practice: a policy of hashes and our words is always a header's value.
    pub fn new(site_name: impl Into<String>, languages: Languages) -> Self {
        let policy = |script: &str| {
            let style = csp_hash(STYLE.as_bytes());
            HeaderValue::try_from(format!(
                "default-src 'none'; style-src {style}; script-src {script}; form-action 'self'; \
                 frame-ancestors 'none'; base-uri 'none'"
            ))
            .expect("hashes and our words are a header's value")
        };
        Self {
            site_name: site_name.into(),
            languages,
            policy: policy("'none'"),
            script_policy: policy(&csp_hash(SCRIPT.as_bytes())),
        }
    }

    /// Makes a page in the language that the request asks for.
    ///
    /// # Panics
    ///
    /// Never in practice: the template shows texts only, and writing to a `String` does not fail.
    pub fn render(&self, content: &Content<'_>, asked: &Asked<'_>) -> Page {
        let content = content.checked();
        let texts = self.languages.pick(asked.accept_language);
        let mut view = View::new(&self.site_name, texts);
        view.fill(&content, asked.request_id);
        let body = view.render().expect("the template shows texts only");
        Page {
            status: content.status(),
            headers: self.headers(&content, texts),
            body: body.into(),
        }
    }

    fn headers(&self, content: &Content<'_>, texts: &Texts) -> HeaderMap {
        let fixed = |text: &'static str| HeaderValue::from_static(text);
        let policy = match content {
            Content::Continue { .. } => &self.script_policy,
            _ => &self.policy,
        };
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, fixed("text/html; charset=utf-8")),
            (CONTENT_SECURITY_POLICY, policy.clone()),
            (X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
            (REFERRER_POLICY, fixed("no-referrer")),
            (CACHE_CONTROL, fixed("no-store")),
        ]);
        if let Ok(language) = HeaderValue::from_str(&texts.language) {
            headers.insert(CONTENT_LANGUAGE, language);
        }
        if let Content::Unavailable { .. } = content {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
        }
        headers
    }
}

// === impl Page ===

impl Page {
    /// The page as an answer.
    pub fn into_response(self) -> Response<Bytes> {
        let mut answer = Response::new(self.body);
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers;
        answer
    }
}

/// The style of every page.
const STYLE: &str = include_str!("pages/style.css");

/// The script of the page between a room and the provider.
const SCRIPT: &str = include_str!("pages/continue.js");

/// Long enough for a restart, short enough to wait for.
const RETRY_SECONDS: &str = "10";

#[cfg(test)]
mod tests;
