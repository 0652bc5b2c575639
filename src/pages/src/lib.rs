//! The gateway's own pages: short, of one look, and with nothing from elsewhere in them.
//!
//! [`Pages::render`] makes an answer from values alone. Every text from outside is escaped by the
//! template and stands in a `<bdi>`; each page's policy allows exactly the style and script that it
//! has. They work without a script, but for the one in which a meeting is shown.

mod addresses;
mod brand;
mod colour;
mod content;
mod headers;
pub mod inject;
mod languages;
mod moment;
mod script;
mod texts;
mod view;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_SECURITY_POLICY};

use self::view::Frame;
pub use self::{
    brand::{
        Brand, BrandLink, Logo, LogoError, MAX_LOGO_BYTES, MAX_STYLE_BYTES, StyleSheet,
        StyleSheetError,
    },
    colour::{Colour, LEAST_CONTRAST, NotAColour},
    content::{
        Calendar, Content, Denial, GuestForm, Link, LinkProblem, NameProblem, Part, PopupOutcome,
        SignInFailure,
    },
    languages::{Languages, UnknownLanguage},
    texts::{Direction, Texts, TextsError},
};
use crate::inject::csp_hash;

/// What the pages of one deployment look like and say.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Name, logo, colours and links.
    pub brand: Brand,
    /// What they can be read in.
    pub languages: Languages,
    /// What is at `/`.
    pub start: StartPage,
}

/// What people find at `/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartPage {
    /// Our own page.
    #[default]
    Gateway,
    /// Jitsi's.
    Jitsi,
}

/// Makes the pages of one deployment.
#[derive(Clone, Debug)]
pub struct Pages {
    brand: Brand,
    languages: Languages,
    style: String,
    style_hash: String,
    signs_in: bool,
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
    /// Pages of this look that speak these languages.
    pub fn new(brand: Brand, languages: Languages) -> Self {
        let style = brand.style();
        Self {
            style_hash: csp_hash(style.as_bytes()),
            brand,
            languages,
            style,
            signs_in: true,
        }
    }

    /// The same where people have no accounts: no page leads to where they sign in.
    #[must_use]
    pub fn without_sign_in(self) -> Self {
        Self {
            signs_in: false,
            ..self
        }
    }

    /// Makes a page in the language that the request asks for.
    ///
    /// # Panics
    ///
    /// Never in practice: the templates show texts only, and writing to a `String` does not fail.
    pub fn render(&self, content: &Content<'_>, asked: &Asked<'_>) -> Page {
        let mut content = content.checked();
        if !self.signs_in {
            content = content.without_sign_in();
        }
        let texts = self.languages.pick(asked.accept_language);
        let has_logo = self.brand.logo.is_some();
        let frame = Frame::new(texts, &self.brand, &self.style, asked.request_id);
        let body = frame.render(&content).expect("templates show texts only");
        Page {
            status: content.status(),
            headers: headers::of(&content, texts.language(), &self.style_hash, has_logo),
            body: body.into(),
        }
    }
}

// === impl Page ===

impl Page {
    /// The page, to be shown in frames of these sites too: origins with spaces between them. What
    /// it asks of people must then be harmless, as the site around it can lead them to press
    /// anything.
    #[must_use]
    pub fn framed_by(mut self, sites: &str) -> Self {
        if let Some(policy) = self.headers.get_mut(CONTENT_SECURITY_POLICY)
            && let Some(wider) = headers::allow_framing(policy, sites)
        {
            *policy = wider;
        }
        self
    }

    /// The page as an answer.
    pub fn into_response(self) -> Response<Bytes> {
        let mut answer = Response::new(self.body);
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers;
        answer
    }
}

/// The style of every page.
const STYLE: &str = include_str!("style.css");

#[cfg(test)]
mod tests;
