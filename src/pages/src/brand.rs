//! Branding of the pages: name, logo, colours and links.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use url::Url;

use super::{Colour, STYLE};

/// Branding of one deployment.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    /// Name of the site, in the header and the title.
    pub name: String,
    /// Image beside the name.
    pub logo: Option<Logo>,
    /// Colour of buttons and links.
    pub accent: Option<Colour>,
    /// `accent` in the dark scheme; by default a brightened `accent`.
    pub accent_dark: Option<Colour>,
    /// Links in the footer, such as the imprint.
    pub links: Vec<BrandLink>,
    /// Additional style sheet.
    pub style: Option<StyleSheet>,
}

/// A link in the footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrandLink {
    /// Displayed text.
    pub label: String,
    /// Target.
    pub url: Url,
}

/// An image as a `data:` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    data_url: String,
}

/// Why a file is refused as a logo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoError {
    /// Over [`MAX_LOGO_BYTES`].
    #[error("{0} bytes are more than {MAX_LOGO_BYTES}")]
    TooLarge(usize),
    /// Neither SVG nor PNG, by its content.
    #[error("neither an SVG nor a PNG image")]
    Kind,
}

/// CSS for a `<style>` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StyleSheet(String);

/// Why a text is refused as a style sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StyleSheetError {
    /// Over [`MAX_STYLE_BYTES`].
    #[error("{0} bytes are more than {MAX_STYLE_BYTES}")]
    TooLarge(usize),
    /// Contains `</style`, which ends the element.
    #[error("contains </style")]
    EndTag,
}

// === impl Brand ===

impl Brand {
    /// A brand with a name only.
    pub fn from_name(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The style sheet of every page.
    pub(super) fn style(&self) -> String {
        let mut style = STYLE.to_owned();
        let dark = self
            .accent_dark
            .or_else(|| self.accent.map(Colour::brightened));
        let mut accent = |colour: Colour, [open, close]: [&str; 2]| {
            let text = colour.text_on();
            writeln!(
                style,
                "{open}:root {{ --accent: {colour}; --on-accent: {text}; }}{close}"
            )
            // Infallible: writing to a `String`.
            .expect("a String accepts any text");
        };
        if let Some(colour) = self.accent {
            accent(colour, ["", ""]);
        }
        if let Some(colour) = dark {
            accent(colour, ["@media (prefers-color-scheme: dark) { ", " }"]);
        }
        if let Some(StyleSheet(css)) = &self.style {
            style.push_str(css);
        }
        style
    }
}

// === impl Logo ===

impl Logo {
    /// Parses the content of an SVG or PNG file. SVG in an `<img>` element runs no scripts and
    /// loads no resources.
    pub fn parse(file: &[u8]) -> Result<Self, LogoError> {
        if file.len() > MAX_LOGO_BYTES {
            return Err(LogoError::TooLarge(file.len()));
        }
        let kind = if file.starts_with(PNG) {
            "png"
        } else if is_svg(file) {
            "svg+xml"
        } else {
            return Err(LogoError::Kind);
        };
        let data = BASE64_STANDARD.encode(file);
        Ok(Self {
            data_url: format!("data:image/{kind};base64,{data}"),
        })
    }

    /// The image as a `data:` URL.
    pub(super) fn data_url(&self) -> &str {
        &self.data_url
    }
}

// === impl StyleSheet ===

impl StyleSheet {
    /// Checks size and content. The pages' policy blocks every resource that the CSS would load.
    pub fn parse(text: String) -> Result<Self, StyleSheetError> {
        if text.len() > MAX_STYLE_BYTES {
            Err(StyleSheetError::TooLarge(text.len()))
        } else if text.to_ascii_lowercase().contains("</style") {
            Err(StyleSheetError::EndTag)
        } else {
            Ok(Self(text))
        }
    }
}

/// Whether the root element is `svg`, after XML declaration, comments and document type.
fn is_svg(file: &[u8]) -> bool {
    let Ok(mut text) = std::str::from_utf8(file) else {
        return false;
    };
    text = text.trim_start_matches('\u{feff}').trim_start();
    for (open, close) in [
        ("<?", "?>"),
        ("<!--", "-->"),
        ("<!DOCTYPE", ">"),
        ("<!--", "-->"),
    ] {
        while text.starts_with(open) {
            let Some((_, rest)) = text.split_once(close) else {
                return false;
            };
            text = rest.trim_start();
        }
    }
    text.strip_prefix("<svg")
        .is_some_and(|rest| rest.starts_with([' ', '\t', '\r', '\n', '/', '>']))
}

/// The first bytes of every PNG file (PNG, third edition, § 5.2).
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Every page contains the logo; inlined as base64 it stays below 90 KiB.
pub const MAX_LOGO_BYTES: usize = 64 * 1024;

/// Every page contains the style sheet.
pub const MAX_STYLE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logo_kind_is_detected_by_content() {
        let url = |file: &[u8]| Logo::parse(file).map(|logo| logo.data_url);
        assert_eq!(
            url(b"\x89PNG\r\n\x1a\nx").unwrap(),
            "data:image/png;base64,iVBORw0KGgp4"
        );
        for svg in [
            "<svg>",
            "<svg xmlns='http://www.w3.org/2000/svg'/>",
            "\u{feff} <?xml version='1.0'?>\n<!-- a --><!-- b -->\n<!DOCTYPE svg><!-- c --><svg\n>",
        ] {
            assert!(
                url(svg.as_bytes())
                    .unwrap()
                    .starts_with("data:image/svg+xml;"),
                "{svg}"
            );
        }
        for other in [
            "",
            "GIF89a",
            "<svgx>",
            "<html><svg>",
            "<!-- <svg>",
            "<?xml",
            "\u{89}PNG",
        ] {
            assert_eq!(url(other.as_bytes()), Err(LogoError::Kind), "{other}");
        }
        assert_eq!(url(b"\xff<svg>"), Err(LogoError::Kind));
        let large = [PNG, &vec![0; MAX_LOGO_BYTES]].concat();
        assert_eq!(url(&large), Err(LogoError::TooLarge(large.len())));
    }

    #[test]
    fn style_sheets_with_an_end_tag_are_refused() {
        assert!(StyleSheet::parse("a > b { color: red }".to_owned()).is_ok());
        for text in ["</style>", "/* </STYLE */"] {
            assert_eq!(
                StyleSheet::parse(text.to_owned()),
                Err(StyleSheetError::EndTag)
            );
        }
        let long = "x".repeat(MAX_STYLE_BYTES + 1);
        assert_eq!(
            StyleSheet::parse(long),
            Err(StyleSheetError::TooLarge(MAX_STYLE_BYTES + 1))
        );
    }

    #[test]
    fn accent_is_set_in_both_colour_schemes() {
        let brand = Brand {
            accent: Some("#004400".parse().unwrap()),
            style: Some(StyleSheet::parse("p { margin: 0 }".to_owned()).unwrap()),
            ..Brand::from_name("x")
        };
        let style = brand.style();
        let added = style.strip_prefix(STYLE).unwrap();
        assert!(added.starts_with(":root { --accent: #004400; --on-accent: #ffffff; }\n@media"));
        assert!(added.ends_with("; } }\np { margin: 0 }"), "{added}");
        assert_eq!(Brand::from_name("x").style(), STYLE);
    }
}
