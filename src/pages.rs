//! The gateway's own pages: short, of one look, and with nothing in them that could run or load.
//!
//! [`Pages::render`] makes an answer from values alone. Every text from outside is escaped by the
//! template and stands in a `<bdi>`; each page's policy allows exactly the style and script that it
//! has.

mod texts;
mod view;

use askama::Template;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
    },
};
use url::Url;

pub use self::texts::{Direction, Languages, Text, Texts};
use self::view::View;
use crate::{page::csp_hash, policy::Refusal, room::RoomKey, session::ReturnTo};

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

/// What a page is about.
#[derive(Clone, Copy, Debug)]
pub enum Content<'c> {
    /// On the way to the provider; keeps the address's fragment, which no redirect could.
    Continue {
        /// The provider's address, with everything that asks for a sign-in.
        provider: &'c Url,
        /// The page to come back to.
        return_to: &'c ReturnTo,
    },
    /// After signing out.
    SignedOut,
    /// The policy refuses somebody a room.
    Refused {
        /// The room.
        room: &'c RoomKey,
        /// Who; nobody if nobody signed in.
        person: Option<&'c str>,
        /// Why.
        refusal: Refusal,
        /// Where to sign in, or sign in as somebody else: a path of this site.
        sign_in: &'c str,
    },
    /// Signing in did not work.
    SignInFailed {
        /// Why.
        failure: SignInFailure,
        /// Where to try again: a path of this site.
        again: &'c str,
    },
    /// What the gateway stands in front of, or beside, cannot be reached, or the gateway itself
    /// is at fault.
    Unavailable {
        /// Which of them.
        part: Part,
        /// Where to try again: a path of this site.
        again: &'c str,
    },
    /// Nothing is at this address.
    NotFound,
    /// The request cannot be understood.
    BadRequest {
        /// Why, in English; an error's text.
        reason: Option<&'c str>,
    },
}

/// Why signing in did not work, as far as the person can make use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInFailure {
    /// The browser has no sign-in under way that the answer belongs to.
    Unknown,
    /// It took too long.
    Expired,
    /// The person or the provider declined.
    Declined,
    /// The provider's answer is wrong.
    Provider,
    /// The account does not fit into a session.
    TooLarge,
}

/// What does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The identity provider.
    Provider,
    /// Jitsi's web server or Prosody.
    Jitsi,
    /// The gateway.
    Gateway,
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

// === impl Content ===

impl Content<'_> {
    /// Leads nobody to a provider whose address would run instead of being opened: discovery has
    /// it from somebody else's document.
    fn checked(self) -> Self {
        match self {
            Self::Continue {
                provider,
                return_to,
            } if !matches!(provider.scheme(), "https" | "http") => Self::Unavailable {
                part: Part::Provider,
                again: return_to.as_str(),
            },
            content => content,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Continue { .. } | Self::SignedOut => StatusCode::OK,
            Self::Refused { .. } => StatusCode::FORBIDDEN,
            Self::SignInFailed { failure, .. } => failure.status(),
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
        }
    }
}

// === impl SignInFailure ===

impl SignInFailure {
    fn status(self) -> StatusCode {
        match self {
            Self::Unknown | Self::Expired => StatusCode::BAD_REQUEST,
            Self::Declined | Self::TooLarge => StatusCode::FORBIDDEN,
            Self::Provider => StatusCode::BAD_GATEWAY,
        }
    }

    fn text(self, texts: &Texts) -> &str {
        match self {
            Self::Unknown => &texts.failed_unknown,
            Self::Expired => &texts.failed_expired,
            Self::Declined => &texts.failed_declined,
            Self::Provider => &texts.failed_provider,
            Self::TooLarge => &texts.failed_too_large,
        }
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
