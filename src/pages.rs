//! The gateway's own pages: short, of one look, and with nothing in them that could run or load.
//!
//! [`Pages::render`] makes an answer from values alone. Every text from outside is escaped by the
//! template and stands in a `<bdi>`; each page's policy allows exactly the style and script that it
//! has.

mod texts;

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
    /// What the gateway stands in front of, or beside, cannot be reached.
    Unavailable {
        /// What.
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

/// What cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The identity provider.
    Provider,
    /// Jitsi's web server or Prosody.
    Jitsi,
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
    /// The status.
    pub status: StatusCode,
    /// The head; the caller may add to it.
    pub headers: HeaderMap,
    /// The document.
    pub body: Bytes,
}

#[derive(Template)]
#[template(path = "page.html", config = "src/pages/askama.toml")]
struct View<'v> {
    texts: &'v Texts,
    site_name: &'v str,
    style: &'static str,
    script: &'static str,
    heading: &'v str,
    paragraphs: Vec<&'v str>,
    detail: Option<String>,
    facts: Vec<Fact<'v>>,
    links: Vec<Link<'v>>,
    sign_in: Option<Way<'v>>,
}

/// Something that varies, beside the word for it.
struct Fact<'v> {
    label: &'v str,
    value: String,
}

struct Link<'v> {
    label: &'v str,
    target: &'v str,
}

/// The way to the provider and back.
struct Way<'v> {
    provider: &'v str,
    path: &'v str,
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
        let texts = self.languages.pick(asked.accept_language);
        let mut view = View {
            texts,
            site_name: &self.site_name,
            style: STYLE,
            script: SCRIPT,
            heading: "",
            paragraphs: Vec::new(),
            detail: None,
            facts: Vec::new(),
            links: Vec::new(),
            sign_in: None,
        };
        view.fill(content, asked.request_id);
        let body = view.render().expect("the template shows texts only");
        Page {
            status: content.status(),
            headers: self.headers(content, texts),
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

// === impl View ===

impl<'v> View<'v> {
    fn fill(&mut self, content: &Content<'v>, request_id: &str) {
        let texts = self.texts;
        match *content {
            Content::Continue {
                provider,
                return_to,
            } => {
                self.say(&texts.continue_title, [&texts.continue_text]);
                self.link(&texts.continue_link, provider.as_str());
                self.sign_in = Some(Way {
                    provider: provider.as_str(),
                    path: return_to.as_str(),
                });
                return;
            }
            Content::SignedOut => {
                self.say(&texts.signed_out_title, [&texts.signed_out_text]);
                self.link(&texts.link_start, "/");
                return;
            }
            Content::Refused {
                room,
                person,
                refusal,
                sign_in,
            } => self.refuse(room, person, refusal, sign_in),
            Content::SignInFailed { failure, again } => {
                let why = failure.text(texts);
                self.say(&texts.failed_title, [why, &texts.failed_advice]);
                self.link(&texts.link_again, local(again));
            }
            Content::Unavailable { part, again } => {
                let why = match part {
                    Part::Provider => &texts.unavailable_provider,
                    Part::Jitsi => &texts.unavailable_jitsi,
                };
                self.say(&texts.unavailable_title, [why, &texts.unavailable_advice]);
                self.link(&texts.link_again, local(again));
            }
            Content::NotFound => {
                self.say(&texts.not_found_title, [&texts.not_found_text]);
                self.link(&texts.link_start, "/");
            }
            Content::BadRequest { reason } => {
                self.say(&texts.bad_request_title, [&texts.bad_request_text]);
                self.detail = reason.map(shorten);
                self.link(&texts.link_start, "/");
            }
        }
        self.fact(&texts.request_id, request_id);
    }

    fn refuse(&mut self, room: &RoomKey, person: Option<&str>, refusal: Refusal, sign_in: &'v str) {
        let texts = self.texts;
        let (why, rule) = match refusal {
            Refusal::NoRule => (&texts.refused_no_rule, None),
            Refusal::Closed { rule } => (&texts.refused_closed, Some(rule)),
            Refusal::NotAllowed { rule } => (&texts.refused_not_allowed, Some(rule)),
        };
        let (advice, label) = if person.is_some() {
            (&texts.refused_advice, &texts.link_other_account)
        } else {
            (&texts.refused_advice_signed_out, &texts.link_sign_in)
        };
        self.say(&texts.refused_title, [why, advice]);
        self.link(label, local(sign_in));
        self.link(&texts.link_start, "/");
        let name = room.readable();
        match room.tenant() {
            Some(tenant) => self.fact(&texts.room, &format!("{}/{name}", tenant.as_str())),
            None => self.fact(&texts.room, &name),
        }
        if let Some(person) = person {
            self.fact(&texts.person, person);
        }
        if let Some(rule) = rule {
            self.fact(&texts.rule, &rule.to_string());
        }
    }

    fn say<const N: usize>(&mut self, heading: &'v str, paragraphs: [&'v str; N]) {
        self.heading = heading;
        self.paragraphs.extend(paragraphs);
    }

    fn link(&mut self, label: &'v str, target: &'v str) {
        self.links.push(Link { label, target });
    }

    fn fact(&mut self, label: &'v str, value: &str) {
        let value = shorten(value);
        self.facts.push(Fact { label, value });
    }
}

/// The target if it is a path of this site, else the start page.
fn local(target: &str) -> &str {
    let outside = target.starts_with("//") || target.contains(['\\', '\t', '\r', '\n']);
    if target.starts_with('/') && !outside {
        target
    } else {
        "/"
    }
}

/// The text, cut to what a page can show.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

const STYLE: &str = include_str!("pages/style.css");
const SCRIPT: &str = include_str!("pages/continue.js");

/// A name or address that somebody could still read.
const MAX_CHARS: usize = 300;

/// Long enough for a restart, short enough to wait for.
const RETRY_SECONDS: &str = "10";

#[cfg(test)]
mod tests;
