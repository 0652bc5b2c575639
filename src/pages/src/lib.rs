//! The gateway's own HTML pages, and the [injection](inject) into Jitsi's page.
//!
//! [`Pages::render`] is a pure function of a [`Content`] and a [`PageRequest`]. The templates escape
//! every text from outside and isolate its direction with `<bdi>`. A page is self-contained: its
//! content security policy allows the hashes of its own style and script and nothing else. All
//! pages but [`Content::Call`] work without JavaScript.

mod brand;
mod colour;
mod content;
mod csp;
mod headers;
mod html_time;
pub mod inject;
mod languages;
mod page_script;
mod problem;
mod target_urls;
mod texts;
mod view;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_SECURITY_POLICY};

pub use self::{
    brand::{
        Brand, BrandLink, Logo, LogoError, MAX_LOGO_BYTES, MAX_STYLE_BYTES, StyleSheet,
        StyleSheetError,
    },
    colour::{Colour, ColourError, MIN_CONTRAST},
    content::{
        CalendarForm, Content, EmailForm, GuestForm, PageLink, PagePerson, PopupOutcome,
        ProviderLink,
    },
    headers::frame_ancestors,
    languages::{Languages, UnknownLanguage},
    problem::{
        Component, EmbedProblem, LinkProblem, NameProblem, RefusalCause, RequestProblem,
        SignInProblem,
    },
    target_urls::is_app_scheme,
    texts::{Texts, TextsError},
};
use self::{csp::csp_hash, view::Frame};

/// Configuration of the pages.
#[derive(Clone, Debug, Default)]
pub struct PagesSettings {
    /// Name, logo, colours and links.
    pub brand: Brand,
    /// Offered languages.
    pub languages: Languages,
    /// The page at `/`.
    pub start: StartPage,
}

/// The page at `/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartPage {
    /// [`Content::Start`].
    #[default]
    Gateway,
    /// Jitsi's welcome page.
    Jitsi,
}

/// Renders the pages of one deployment.
#[derive(Clone, Debug)]
pub struct Pages {
    brand: Brand,
    languages: Languages,
    style: String,
    style_hash: String,
    has_sign_in: bool,
}

/// The parts of a request that its page depends on.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest<'a> {
    /// `Accept-Language`.
    pub accept_language: Option<&'a HeaderValue>,
    /// Id of the request in the logs, shown on error pages.
    pub request_id: &'a str,
}

/// A rendered page.
#[derive(Clone, Debug)]
pub struct RenderedPage {
    /// Default status of the content; the caller may choose another of the same class.
    pub status: StatusCode,
    /// All header fields that the page needs.
    pub headers: HeaderMap,
    /// The HTML document.
    pub body: Bytes,
}

// === impl Pages ===

impl Pages {
    /// Creates pages with this brand in these languages.
    pub fn new(brand: Brand, languages: Languages) -> Self {
        let style = brand.style();
        Self {
            style_hash: csp_hash(style.as_bytes()),
            brand,
            languages,
            style,
            has_sign_in: true,
        }
    }

    /// The same pages for a deployment without a provider: no page links to a sign-in.
    #[must_use]
    pub fn without_sign_in(self) -> Self {
        Self {
            has_sign_in: false,
            ..self
        }
    }

    /// The tag of the language of pages for this `Accept-Language` (RFC 5646); `None` if it names no
    /// offered language, so that another site may still offer it.
    pub fn language(&self, accept: Option<&HeaderValue>) -> Option<&str> {
        self.languages.preferred(accept).map(Texts::language)
    }

    /// Renders a page in the language that `Accept-Language` prefers.
    pub fn render(&self, content: &Content<'_>, request: &PageRequest<'_>) -> RenderedPage {
        let mut content = content.with_safe_targets();
        if !self.has_sign_in {
            content = content.without_sign_in();
        }
        let texts = self.languages.negotiate(request.accept_language);
        let frame = Frame::new(texts, &self.brand, &self.style, request.request_id);
        // Infallible: the templates display strings and numbers, into a `String`.
        let body = frame.render(&content).expect("templates are infallible");
        RenderedPage {
            status: content.status(),
            headers: headers::response_headers(
                &content,
                texts.language(),
                &self.style_hash,
                self.brand.logo.is_some(),
            ),
            body: body.into(),
        }
    }
}

// === impl RenderedPage ===

impl RenderedPage {
    /// Allows these sites (origins separated by spaces) to show the page in a frame. Only for pages
    /// whose buttons are harmless, as the embedding site can trick users into clicking them.
    #[must_use]
    pub fn with_frame_ancestors(mut self, sites: &str) -> Self {
        if let Some(policy) = self.headers.get_mut(CONTENT_SECURITY_POLICY)
            && let Some(extended) = headers::add_frame_ancestors(policy, sites)
        {
            *policy = extended;
        }
        self
    }

    /// The page as an HTTP response.
    pub fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Style of every page, before the brand's; also that of the demonstration's stand-ins.
pub const STYLE: &str = include_str!("style.css");

#[cfg(test)]
mod tests;
