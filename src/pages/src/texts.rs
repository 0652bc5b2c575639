//! What the pages say, by language.

use serde::Deserialize;
use toml::{Table, Value};

/// All texts in one language, read from a message file.
///
/// No text has a placeholder, as what varies stands beside the text: no grammar has to fit a name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// The language's tag (RFC 5646), as `en` or `pt-BR`.
    pub(super) language: String,
    /// The direction of its writing.
    pub(super) direction: Direction,
    pub(super) words: Words,
    pub(super) names: Names,
    pub(super) start: Start,
    pub(super) meeting: Meeting,
    pub(super) join: Join,
    pub(super) wait: Wait,
    pub(super) leaving: Leaving,
    pub(super) open_app: OpenApp,
    pub(super) call: Call,
    pub(super) signed_out: SignedOut,
    pub(super) refused: Refused,
    pub(super) invitation: Invitation,
    pub(super) embed: Embed,
    pub(super) failed: Failed,
    pub(super) unavailable: Unavailable,
    pub(super) not_found: NotFound,
    pub(super) bad_request: BadRequest,
    pub(super) popup: Popup,
}

/// Which way a language is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From left to right.
    Ltr,
    /// From right to left.
    Rtl,
}

/// Why a message file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TextsError {
    /// It is not TOML, has a text that no page has, or something else than a text.
    #[error("{0}")]
    Form(String),
    /// It does not say of which language it is.
    #[error("the language is missing")]
    NoLanguage,
    /// The language is not a tag as `pt-BR`.
    #[error("{0:?} is not the tag of a language")]
    Language(String),
}

/// Sections of texts: what each is for, the English file shows best. One that no page shows is a
/// field that is never read, which the compiler reports.
macro_rules! sections {
    ($($section:ident { $($text:ident)* })*) => {$(
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $section {
            $(pub(super) $text: String,)*
        }
    )*};
}

sections! {
    Words {
        room person rule request_id account site home sign_in other_account sign_out again or
    }
    Names { empty too_long reserved characters taken }
    Start {
        title signed_out create_title create_text create name create_named join_title room join
        recent_title recent_text forget
    }
    Meeting {
        title open public_title public_text guest_title guest_text host_title host_text copy copied
        valid_until uses calendar_title calendar_subject calendar_start calendar_utc
        calendar_minutes calendar_download calendar_google calendar_outlook
    }
    Join { title sign_in_text guest_title host_title host_text name name_text join }
    Wait { title text awaited status lost open open_title sound host }
    Leaving { title text link }
    OpenApp { title text open browser }
    Call {
        loading no_script failed_title failed_text over_title ended_title ended_text again
    }
    SignedOut { title text }
    Refused {
        title no_rule closed not_allowed not_yet opens over full no_guests host_starts advice
        advice_signed_out
    }
    Invitation { title unreadable expired used_up revoked other_room advice without }
    Embed { title text advice }
    Failed { title unknown expired declined provider too_large advice }
    Unavailable { title provider jitsi gateway advice }
    NotFound { title text }
    BadRequest { title text }
    Popup { title text failed_title failed_text }
}

// === impl Texts ===

impl Texts {
    /// Reads a message file. What it leaves out is as in our own file of its language, or else in
    /// English.
    pub fn read(file: &str) -> Result<Self, TextsError> {
        let own = parse(file)?;
        let language = own.get("language").ok_or(TextsError::NoLanguage)?;
        let language = language.as_str().unwrap_or_default();
        let subtags = || language.split('-');
        let is_subtag = |tag: &str| {
            (1..=8).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if !subtags().all(is_subtag) || primary(language).len() < 2 {
            return Err(TextsError::Language(language.to_owned()));
        }
        let mut all = parse(built_in(language).unwrap_or(ENGLISH))?;
        lay_over(&mut all, own);
        all.try_into().map_err(|error| form(&error))
    }

    /// The language's tag (RFC 5646).
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Our own texts, English first.
    ///
    /// # Panics
    ///
    /// Never in practice: the files are a part of this program.
    pub fn built_in() -> Vec<Self> {
        let read = |file: &&str| Self::read(file).expect("our own files are whole");
        BUILT_IN.iter().map(read).collect()
    }
}

// === impl Direction ===

impl Direction {
    /// The value of the `dir` attribute.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ltr => "ltr",
            Self::Rtl => "rtl",
        }
    }
}

/// The first part of a language's tag.
pub(super) fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or_default()
}

fn built_in(language: &str) -> Option<&'static str> {
    let own = format!("language = \"{}\"", primary(language).to_ascii_lowercase());
    let is_own = |file: &&&str| file.lines().any(|line| line == own);
    BUILT_IN.iter().find(is_own).copied()
}

fn parse(file: &str) -> Result<Table, TextsError> {
    file.parse().map_err(|error| form(&error))
}

/// On one line, without the picture of the place.
fn form(error: &toml::de::Error) -> TextsError {
    TextsError::Form(error.message().replace('\n', ", "))
}

fn lay_over(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

const ENGLISH: &str = include_str!("texts/en.toml");

const BUILT_IN: &[&str] = &[
    ENGLISH,
    include_str!("texts/de.toml"),
    include_str!("texts/fr.toml"),
    include_str!("texts/es.toml"),
    include_str!("texts/ar.toml"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every key with its section, and what it says.
    fn keys(file: &str) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for (section, value) in parse(file).unwrap() {
            match value {
                Value::Table(texts) => {
                    for (key, text) in texts {
                        let text = text.as_str().unwrap();
                        assert!(
                            !text.trim().is_empty() && text.trim() == text,
                            "{section}.{key}"
                        );
                        keys.insert(format!("{section}.{key}"));
                    }
                }
                _ => assert!(keys.insert(section)),
            }
        }
        keys
    }

    #[test]
    fn every_language_has_every_text_and_no_other() {
        for file in BUILT_IN {
            assert_eq!(keys(file), keys(ENGLISH));
        }
        let languages: Vec<String> = Texts::built_in().into_iter().map(|t| t.language).collect();
        assert_eq!(languages, ["en", "de", "fr", "es", "ar"]);
    }

    #[test]
    fn no_language_was_copied_from_another() {
        let english = parse(ENGLISH).unwrap();
        for file in &BUILT_IN[1..] {
            let same: Vec<String> = parse(file)
                .unwrap()
                .into_iter()
                .filter(|(section, texts)| english[section] == *texts)
                .map(|(section, _)| section)
                .filter(|section| section != "direction")
                .collect();
            assert!(same.is_empty(), "{same:?}");
        }
    }

    #[test]
    fn a_message_file_may_leave_texts_out_but_not_misspell_them() {
        let hebrew = "language = 'he'\ndirection = 'rtl'\n[words]\nroom = 'חדר'";
        let texts = Texts::read(hebrew).unwrap();
        assert_eq!((&*texts.words.room, &*texts.words.rule), ("חדר", "Rule"));
        assert_eq!(texts.direction.as_str(), "rtl");
        let austrian = Texts::read("language = 'de-AT'\n[words]\nhome = 'Heim'").unwrap();
        assert_eq!(
            (&*austrian.words.home, &*austrian.words.rule),
            ("Heim", "Regel")
        );
        for (file, error) in [
            (
                "language = 'pt'\n[words]\nromm = 'x'",
                "unknown field `romm`",
            ),
            ("language = 'pt'\n[wrods]", "unknown field `wrods`"),
            ("language = 'pt'\nwords = 1", "invalid type"),
            ("[words]", "the language is missing"),
            ("language = 'x'", "is not the tag"),
            ("language = 'pt\"><script>'", "is not the tag"),
            ("language = 1", "is not the tag"),
            ("language", "key with no value"),
        ] {
            let told = Texts::read(file).unwrap_err().to_string();
            assert!(told.contains(error), "{file}: {told}");
        }
    }
}
