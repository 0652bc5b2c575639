//! `[pages]`: what the gateway's own pages look like and say.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::{
    problem::{Fault, Section},
    secret,
    values::{name, plain_url},
};
use pages::{
    Brand, BrandLink, Colour, Languages, Logo, LogoError, MAX_LOGO_BYTES, MAX_STYLE_BYTES,
    MIN_CONTRAST, PagesSettings, StartPage, StyleSheet, StyleSheetError, Texts, TextsError,
};

/// The gateway's own pages: name, logo, colours, links, languages.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawPages {
    /// The name of the site; unless set, its host.
    #[schemars(example = &"Meet at Example")]
    name: Option<String>,
    /// A picture beside the name: an SVG or PNG file of at most 64 KiB.
    #[schemars(example = "config/pages/logo.svg")]
    logo: Option<String>,
    /// The colour of buttons and links; dark enough to be read on white.
    #[schemars(example = "#1455b8")]
    accent: Option<String>,
    /// The same where people have set their system to dark; unless set, a brighter `accent`.
    #[schemars(example = "#8ab8ff")]
    accent_dark: Option<String>,
    /// A file of CSS that follows the gateway's own.
    #[schemars(example = "config/pages/style.css")]
    style: Option<String>,
    /// What people find at `/`: the gateway's start page, or Jitsi's.
    start: Start,
    /// The languages that people can read, by their tags; the first is for those who read none of
    /// them. Unless set, all that there are, English first.
    #[schemars(example = ["de", "en"])]
    languages: Vec<String>,
    /// Files with texts in more languages, or with other texts.
    #[schemars(example = ["config/pages/pt.toml"])]
    messages: Vec<String>,
    /// Links at the foot of every page, as to the imprint.
    links: Vec<RawLink>,
}

/// A link at the foot of every page.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["label", "url"]))]
pub(super) struct RawLink {
    /// Its text.
    #[schemars(example = &"Imprint")]
    label: Option<String>,
    /// Where it leads.
    #[schemars(example = "https://www.example.org/imprint")]
    url: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Start {
    #[default]
    Gateway,
    Jitsi,
}

// === impl RawPages ===

impl RawPages {
    /// `host` is what the site is called unless it has a name.
    pub(super) fn resolve(
        self,
        host: Option<&str>,
        section: &mut Section<'_>,
    ) -> Option<PagesSettings> {
        let own_name = self
            .name
            .as_deref()
            .map(|text| section.keep("name", name(text)));
        let logo = self
            .logo
            .and_then(|file| section.keep("logo", logo(Path::new(&file))));
        let mut colour = |key, text: Option<String>, dark| {
            text.and_then(|text| section.keep(key, accent(&text, dark)))
        };
        let accent = colour("accent", self.accent, false);
        let accent_dark = colour("accent_dark", self.accent_dark, true);
        let style = self
            .style
            .and_then(|file| section.keep("style", style(Path::new(&file))));
        let links = (1..)
            .zip(self.links)
            .filter_map(|(position, link)| link.resolve(&mut section.entry("links", position)))
            .collect();
        let languages = languages(&self.messages, &self.languages, section);
        Some(PagesSettings {
            brand: Brand {
                name: own_name.unwrap_or_else(|| host.map(ToOwned::to_owned))?,
                logo,
                accent,
                accent_dark,
                links,
                style,
            },
            languages: languages?,
            start: match self.start {
                Start::Gateway => StartPage::Gateway,
                Start::Jitsi => StartPage::Jitsi,
            },
        })
    }
}

// === impl RawLink ===

impl RawLink {
    fn resolve(self, section: &mut Section<'_>) -> Option<BrandLink> {
        let label = self
            .label
            .and_then(|text| section.keep("label", name(&text)));
        let url = self.url.and_then(|text| section.keep("url", https(&text)));
        Some(BrandLink {
            label: label?,
            url: url?,
        })
    }
}

fn https(text: &str) -> Result<Url, Fault> {
    let form = "write it as https://www.example.org/imprint";
    let url = plain_url(text, form)?;
    if url.scheme() == "https" {
        Ok(url)
    } else {
        Err(Fault::new("not an https address", form))
    }
}

fn logo(file: &Path) -> Result<Logo, Fault> {
    let content = secret::read(file)?;
    Logo::parse(&content).map_err(|error| {
        let remedy = match error {
            LogoError::TooLarge(_) => format!("name a file of at most {MAX_LOGO_BYTES} bytes"),
            LogoError::Kind => "name an SVG or PNG file".to_owned(),
        };
        Fault::new(format!("{}: {error}", file.display()), remedy)
    })
}

fn style(file: &Path) -> Result<StyleSheet, Fault> {
    StyleSheet::parse(text(file)?).map_err(|error| {
        let remedy = match error {
            StyleSheetError::TooLarge(_) => {
                format!("name a file of at most {MAX_STYLE_BYTES} bytes")
            }
            StyleSheetError::EndTag => "write CSS only, without the element around it".to_owned(),
        };
        Fault::new(format!("{}: {error}", file.display()), remedy)
    })
}

fn accent(text: &str, dark: bool) -> Result<Colour, Fault> {
    let colour: Colour = text.parse().map_err(|error| {
        let remedy = "write it as #1455b8";
        Fault::new(format!("{text:?} is {error}"), remedy)
    })?;
    let contrast = colour.contrast_on_cards(dark);
    if contrast >= MIN_CONTRAST {
        return Ok(colour);
    }
    let (ground, direction) = if dark {
        ("the dark ground", "brighter")
    } else {
        ("white", "darker")
    };
    // Cut, not rounded: 4.49 must not read 4.5.
    let shown = (contrast * 10.0).floor() / 10.0;
    Err(Fault::new(
        format!("{colour} has a contrast of {shown:.1}:1 on {ground}, and people need 4.5:1"),
        format!("choose a {direction} colour"),
    ))
}

fn languages(
    messages: &[String],
    order: &[String],
    section: &mut Section<'_>,
) -> Option<Languages> {
    let read: Vec<Option<Texts>> = (1..)
        .zip(messages)
        .map(|(position, file)| {
            let texts = texts(Path::new(file));
            section.entry("messages", position).keep("", texts)
        })
        .collect();
    // A language may be missing only because its file is wrong.
    let read: Vec<Texts> = read.into_iter().collect::<Option<_>>()?;
    Languages::new(read, order)
        .map_err(|error| {
            let remedy = format!("write some of {}", error.known.join(", "));
            let mut entry = section.entry("languages", error.position);
            entry.reject("", error.to_string(), remedy);
        })
        .ok()
}

fn texts(file: &Path) -> Result<Texts, Fault> {
    Texts::parse(&text(file)?).map_err(|error| {
        let remedy = match error {
            TextsError::Form(_) => "correct it; src/pages/src/texts/en.toml has every key",
            TextsError::NoLanguage => "begin it with for example language = \"pt-BR\"",
            TextsError::Language(_) => "write it as pt or pt-BR",
        };
        Fault::new(format!("{}: {error}", file.display()), remedy)
    })
}

fn text(file: &Path) -> Result<String, Fault> {
    String::from_utf8(secret::read(file)?).map_err(|_| {
        let what = format!("{} is not text", file.display());
        Fault::new(what, "name a file of UTF-8 text")
    })
}
