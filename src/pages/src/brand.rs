//! What makes the pages those of one deployment: its name, logo, colours and links.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use url::Url;

use super::{Colour, STYLE};

/// What makes the pages those of one deployment.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    /// The name of the site.
    pub name: String,
    /// The picture beside it.
    pub logo: Option<Logo>,
    /// The colour of buttons and links.
    pub accent: Option<Colour>,
    /// The same in the dark scheme; unless set, a brighter `accent`.
    pub accent_dark: Option<Colour>,
    /// Links at the foot of every page, such as the imprint.
    pub links: Vec<BrandLink>,
    /// A style sheet after ours.
    pub style: Option<StyleSheet>,
}

/// A link at the foot of every page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrandLink {
    /// Its text.
    pub label: String,
    /// Where it leads.
    pub url: Url,
}

/// A picture, ready to stand in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    data_url: String,
}

/// Why a file cannot be a logo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoError {
    /// Every page would carry it.
    #[error("{0} bytes are more than {MAX_LOGO_BYTES}")]
    TooLarge(usize),
    /// It is neither of the two kinds.
    #[error("neither an SVG nor a PNG picture")]
    Kind,
}

/// CSS that can stand in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StyleSheet(String);

/// Why a text cannot be a style sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StyleSheetError {
    /// Every page would carry it.
    #[error("{0} bytes are more than {MAX_STYLE_BYTES}")]
    TooLarge(usize),
    /// It would end the element that it stands in.
    #[error("has </style in it")]
    EndTag,
}

// === impl Brand ===

impl Brand {
    /// A name and nothing else.
    pub fn of_name(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The style of every page.
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
            .expect("writing to a string does not fail");
        };
        if let Some(colour) = self.accent {
            accent(colour, ["", ""]);
        }
        if let Some(colour) = dark {
            accent(colour, ["@media (prefers-color-scheme: dark) { ", " }"]);
        }
        if let Some(StyleSheet(own)) = &self.style {
            style.push_str(own);
        }
        style
    }
}

// === impl Logo ===

impl Logo {
    /// A logo of an SVG or PNG file's content. Neither can run anything: as the source of an image
    /// an SVG has no scripts and loads nothing.
    pub fn of(file: &[u8]) -> Result<Self, LogoError> {
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

    /// The picture as an address.
    pub(super) fn data_url(&self) -> &str {
        &self.data_url
    }
}

// === impl StyleSheet ===

impl StyleSheet {
    /// A style sheet of this text. What it would load, the pages' policy forbids.
    pub fn of(text: String) -> Result<Self, StyleSheetError> {
        if text.len() > MAX_STYLE_BYTES {
            Err(StyleSheetError::TooLarge(text.len()))
        } else if text.to_ascii_lowercase().contains("</style") {
            Err(StyleSheetError::EndTag)
        } else {
            Ok(Self(text))
        }
    }
}

/// Whether the first element is an `svg`, after what may stand before it.
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

/// Every page carries the logo: more would make people wait.
pub const MAX_LOGO_BYTES: usize = 64 * 1024;

/// As much as any style of a few pages needs.
pub const MAX_STYLE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logos_are_known_by_their_content() {
        let url = |file: &[u8]| Logo::of(file).map(|logo| logo.data_url);
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
    fn style_sheets_cannot_end_their_element() {
        assert!(StyleSheet::of("a > b { color: red }".to_owned()).is_ok());
        for text in ["</style>", "/* </STYLE */"] {
            assert_eq!(
                StyleSheet::of(text.to_owned()),
                Err(StyleSheetError::EndTag)
            );
        }
        let long = "x".repeat(MAX_STYLE_BYTES + 1);
        assert_eq!(
            StyleSheet::of(long),
            Err(StyleSheetError::TooLarge(MAX_STYLE_BYTES + 1))
        );
    }

    #[test]
    fn an_accent_is_set_in_both_schemes() {
        let brand = Brand {
            accent: Some("#004400".parse().unwrap()),
            style: Some(StyleSheet::of("p { margin: 0 }".to_owned()).unwrap()),
            ..Brand::of_name("x")
        };
        let style = brand.style();
        let added = style.strip_prefix(STYLE).unwrap();
        assert!(added.starts_with(":root { --accent: #004400; --on-accent: #ffffff; }\n@media"));
        assert!(added.ends_with("; } }\np { margin: 0 }"), "{added}");
        assert_eq!(Brand::of_name("x").style(), STYLE);
    }
}
