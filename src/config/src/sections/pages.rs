//! `[pages]`: branding, style and languages of the gateway's own pages.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    diagnostics::Section,
    problem::Fault,
    secret::{read_file, read_text_file},
    values::{parse_https_url, parse_name},
};
use pages::{
    Brand, BrandLink, Colour, Languages, Logo, LogoError, MAX_LOGO_BYTES, MAX_STYLE_BYTES,
    MIN_CONTRAST, PagesSettings, StartPage, StyleSheet, StyleSheetError, Texts, TextsError,
};

/// The gateway's own pages: name, logo, colours, links, languages.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawPages {
    /// The name of the site. Default: the host of `public_url`.
    #[schemars(example = &"Meet at Example")]
    name: Option<String>,
    /// A logo beside the name: an SVG or PNG file of at most 64 KiB.
    #[schemars(example = "config/pages/logo.svg")]
    logo: Option<String>,
    /// The colour of buttons and links, with a contrast of at least 4.5:1 on white.
    #[schemars(example = "#1455b8")]
    accent: Option<String>,
    /// The colour of buttons and links in dark mode. Default: a brighter `accent`.
    #[schemars(example = "#8ab8ff")]
    accent_dark: Option<String>,
    /// A CSS file that is applied after the gateway's own style.
    #[schemars(example = "config/pages/style.css")]
    style: Option<String>,
    /// The page at `/`: the gateway's start page or Jitsi's.
    start: RawStartPage,
    /// The tags of the offered languages; the first is the fallback. Default: all known languages,
    /// English first.
    #[schemars(example = ["de", "en"])]
    languages: Vec<String>,
    /// Files with texts for further languages, or with replacements for the gateway's texts.
    #[schemars(example = ["config/pages/pt.toml"])]
    messages: Vec<String>,
    /// Links in the footer, such as the imprint.
    links: Vec<RawLink>,
}

/// A link in the footer.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["label", "url"]))]
pub(super) struct RawLink {
    /// The text of the link.
    #[schemars(example = &"Imprint")]
    label: Option<String>,
    /// The target of the link.
    #[schemars(example = "https://www.example.org/imprint")]
    url: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum RawStartPage {
    #[default]
    Gateway,
    Jitsi,
}

#[derive(Clone, Copy)]
enum ColourScheme {
    Light,
    Dark,
}

// === impl RawPages ===

impl RawPages {
    /// `host` is the default name.
    pub(super) fn resolve(
        self,
        host: Option<&str>,
        section: &mut Section<'_>,
    ) -> Option<PagesSettings> {
        let name = match &self.name {
            Some(text) => section.keep("name", parse_name(text)),
            None => host.map(ToOwned::to_owned),
        };
        let logo = section.parse("logo", self.logo, |file| read_logo(Path::new(file)));
        let accent = section.parse("accent", self.accent, |text| {
            parse_accent(text, ColourScheme::Light)
        });
        let accent_dark = section.parse("accent_dark", self.accent_dark, |text| {
            parse_accent(text, ColourScheme::Dark)
        });
        let style = section.parse("style", self.style, |file| read_style(Path::new(file)));
        let links = section.resolve_list("links", self.links, RawLink::resolve);
        let languages = resolve_languages(&self.messages, &self.languages, section);
        Some(PagesSettings {
            brand: Brand {
                name: name?,
                logo,
                accent,
                accent_dark,
                links: links?,
                style,
            },
            languages: languages?,
            start: self.start.into(),
        })
    }
}

// === impl RawStartPage ===

impl From<RawStartPage> for StartPage {
    fn from(raw: RawStartPage) -> Self {
        match raw {
            RawStartPage::Gateway => Self::Gateway,
            RawStartPage::Jitsi => Self::Jitsi,
        }
    }
}

// === impl RawLink ===

impl RawLink {
    fn resolve(self, section: &mut Section<'_>) -> Option<BrandLink> {
        let label = section.parse("label", self.label, parse_name);
        let url = section.parse("url", self.url, |text| {
            parse_https_url(text, "write it as https://www.example.org/imprint")
        });
        Some(BrandLink {
            label: label?,
            url: url?,
        })
    }
}

fn read_logo(file: &Path) -> Result<Logo, Fault> {
    Logo::parse(&read_file(file)?).map_err(|error| {
        let remedy = match error {
            LogoError::TooLarge(_) => format!("name a file of at most {MAX_LOGO_BYTES} bytes"),
            LogoError::Kind => "name an SVG or PNG file".to_owned(),
        };
        Fault::new(format!("{}: {error}", file.display()), remedy)
    })
}

fn read_style(file: &Path) -> Result<StyleSheet, Fault> {
    StyleSheet::parse(read_text_file(file)?).map_err(|error| {
        let remedy = match error {
            StyleSheetError::TooLarge(_) => {
                format!("name a file of at most {MAX_STYLE_BYTES} bytes")
            }
            StyleSheetError::EndTag => "write only CSS, without the style element".to_owned(),
        };
        Fault::new(format!("{}: {error}", file.display()), remedy)
    })
}

fn parse_accent(text: &str, scheme: ColourScheme) -> Result<Colour, Fault> {
    let colour: Colour = text
        .parse()
        .map_err(|error| Fault::new(format!("{text:?} is {error}"), "write it as #1455b8"))?;
    let (is_dark, background, direction) = match scheme {
        ColourScheme::Light => (false, "white", "darker"),
        ColourScheme::Dark => (true, "the dark background", "brighter"),
    };
    let contrast = colour.contrast_on_cards(is_dark);
    if contrast >= MIN_CONTRAST {
        return Ok(colour);
    }
    // Rounded down: 4.49 must not be printed as 4.5.
    let shown = (contrast * 10.0).floor() / 10.0;
    Err(Fault::new(
        format!("{colour} has a contrast of {shown:.1}:1 on {background}, less than 4.5:1"),
        format!("choose a {direction} colour"),
    ))
}

fn resolve_languages(
    messages: &[String],
    order: &[String],
    section: &mut Section<'_>,
) -> Option<Languages> {
    let texts = section.parse_list("messages", messages, |file| read_texts(Path::new(file)));
    // If a file is invalid, its language would be reported as unknown, too.
    Languages::new(texts?, order)
        .map_err(|error| {
            let remedy = format!("write some of {}", error.known.join(", "));
            let mut entry = section.entry("languages", error.position);
            entry.reject("", error.to_string(), remedy);
        })
        .ok()
}

fn read_texts(file: &Path) -> Result<Texts, Fault> {
    Texts::parse(&read_text_file(file)?).map_err(|error| {
        let remedy = match error {
            TextsError::Form(_) => "correct it; src/pages/src/texts/en.toml has every key",
            TextsError::NoLanguage => "begin it with for example language = \"pt-BR\"",
            TextsError::Language(_) => "write it as pt or pt-BR",
        };
        Fault::new(format!("{}: {error}", file.display()), remedy)
    })
}
