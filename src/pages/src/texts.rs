//! Texts of the pages, by language.

use serde::Deserialize;
use toml::{Table, Value};

/// All texts in one language, from a message file.
///
/// No text has a placeholder: names and numbers are shown beside the texts, so translations need no
/// grammar for them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// The language's tag (RFC 5646), as `en` or `pt-BR`.
    pub(super) language: String,
    /// Its writing direction.
    pub(super) direction: Direction,
    pub(super) words: Words,
    pub(super) names: Names,
    pub(super) start: Start,
    pub(super) meeting: Meeting,
    pub(super) join: Join,
    pub(super) wait: Wait,
    pub(super) choice: Choice,
    pub(super) leaving: Leaving,
    pub(super) open_app: OpenApp,
    pub(super) call: Call,
    pub(super) signed_out: SignedOut,
    pub(super) refused: Refused,
    pub(super) step_up: StepUp,
    pub(super) invitation: Invitation,
    pub(super) embed: Embed,
    pub(super) failed: Failed,
    pub(super) unavailable: Unavailable,
    pub(super) not_found: NotFound,
    pub(super) bad_request: BadRequest,
    pub(super) request: Request,
    pub(super) popup: Popup,
}

/// Writing direction of a language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    Ltr,
    Rtl,
}

/// Why a message file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TextsError {
    /// Not TOML, an unknown key, or a value that is not a string.
    #[error("{0}")]
    Form(String),
    /// `language` is missing.
    #[error("the language is missing")]
    NoLanguage,
    /// `language` is not a tag such as `pt-BR`.
    #[error("{0:?} is not the tag of a language")]
    Language(String),
}

/// One struct per section of the message file; `en.toml` describes the use of each text. The
/// compiler reports a text that no page uses as a dead field.
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
        room person request_id reference asked_host site_host account site home room_page
        sign_in other_account sign_out sign_out_everywhere again or
    }
    Names { empty too_long reserved characters not_allowed adapted other_site no_meeting }
    Start {
        title signed_out create_title create_text create name create_named join_title room join
        recent_title recent_text recent_links forget
    }
    Meeting {
        title open invite_title more public_title public_text guest_text host_title host_text copy copied
        valid_until uses calendar_title calendar_subject calendar_start calendar_utc
        calendar_minutes calendar_download calendar_google calendar_outlook
    }
    Join { title sign_in_text guest_title host_title host_text name name_text remember join }
    Wait { title text awaited status lost open open_title sound host not_host }
    Choice { title text last email proceed unknown }
    Leaving { title text link }
    OpenApp { title text open browser }
    Call {
        loading no_script failed_title failed_text over_title ended_title ended_text again
    }
    SignedOut { title text again not_kept }
    Refused {
        title no_rule closed not_allowed not_yet opens over full no_guests host_starts advice
        advice_signed_out
    }
    StepUp { text advice required }
    Invitation { title unreadable expired used_up revoked other_room advice without }
    Embed {
        title text advice over over_advice too_early long_lived untrusted other_room several_rooms
        foreign_room without
    }
    Failed { title unknown expired declined provider too_large advice }
    Unavailable { title provider jitsi gateway advice }
    NotFound { title text }
    BadRequest { title text }
    Request {
        title host host_advice insecure insecure_advice method method_advice form form_advice
        other_site other_site_advice sign_in not_in_room not_in_room_advice not_host
        not_host_advice too_many too_many_advice other other_advice
    }
    Popup { title text failed_title failed_text }
}

// === impl Texts ===

impl Texts {
    /// Parses a message file. Missing texts come from the built-in file of its language, or else
    /// from the English one.
    pub fn parse(file: &str) -> Result<Self, TextsError> {
        let table = parse_table(file)?;
        let language = table.get("language").ok_or(TextsError::NoLanguage)?;
        let language = language.as_str().unwrap_or_default();
        let subtags = || language.split('-');
        let is_subtag = |tag: &str| {
            (1..=8).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if !subtags().all(is_subtag) || primary_subtag(language).len() < 2 {
            return Err(TextsError::Language(language.to_owned()));
        }
        let mut all = parse_table(built_in(language).unwrap_or(ENGLISH))?;
        merge(&mut all, table);
        all.try_into().map_err(|error| form_error(&error))
    }

    /// The language's tag (RFC 5646).
    pub(crate) fn language(&self) -> &str {
        &self.language
    }

    /// The built-in texts, English first.
    pub(crate) fn built_in() -> Vec<Self> {
        BUILT_IN
            .iter()
            // Infallible: the files are compiled in, and a test parses them.
            .map(|file| Self::parse(file).expect("the built-in files are valid"))
            .collect()
    }
}

// === impl Direction ===

impl Direction {
    /// The value of the `dir` attribute.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ltr => "ltr",
            Self::Rtl => "rtl",
        }
    }
}

/// The first subtag of a language tag.
pub(crate) fn primary_subtag(tag: &str) -> &str {
    tag.split('-').next().unwrap_or_default()
}

/// The built-in file of the language, or else of its primary subtag. A tag of another script has none:
/// its texts are not mixed with those of `zh-Hans`.
fn built_in(language: &str) -> Option<&'static str> {
    let file_of = |tag: &str| {
        let language_line = format!("language = \"{tag}\"").to_ascii_lowercase();
        let is_same_language = |file: &&&str| {
            let mut lines = file.lines();
            lines.any(|line| line.eq_ignore_ascii_case(&language_line))
        };
        BUILT_IN.iter().find(is_same_language).copied()
    };
    file_of(language).or_else(|| file_of(primary_subtag(language)))
}

fn parse_table(file: &str) -> Result<Table, TextsError> {
    file.parse().map_err(|error| form_error(&error))
}

/// The error on one line, without the excerpt of the file.
fn form_error(error: &toml::de::Error) -> TextsError {
    TextsError::Form(error.message().replace('\n', ", "))
}

fn merge(base: &mut Table, changes: Table) {
    for (key, value) in changes {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(changes)) => merge(base, changes),
            (_, value) => {
                base.insert(key, value);
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
    include_str!("texts/pt.toml"),
    include_str!("texts/it.toml"),
    include_str!("texts/nl.toml"),
    include_str!("texts/pl.toml"),
    include_str!("texts/tr.toml"),
    include_str!("texts/uk.toml"),
    include_str!("texts/ja.toml"),
    include_str!("texts/zh-Hans.toml"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every key with its section; checks that no text is empty.
    fn keys(file: &str) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for (section, value) in parse_table(file).unwrap() {
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
    fn every_language_has_exactly_the_same_keys() {
        for file in BUILT_IN {
            assert_eq!(keys(file), keys(ENGLISH));
        }
        let languages: Vec<String> = Texts::built_in().into_iter().map(|t| t.language).collect();
        assert_eq!(
            languages,
            [
                "en", "de", "fr", "es", "ar", "pt", "it", "nl", "pl", "tr", "uk", "ja", "zh-Hans"
            ]
        );
    }

    /// The texts of a file as `language section.key` and text.
    fn all_texts(file: &str) -> Vec<(String, String)> {
        let table = parse_table(file).unwrap();
        let language = table["language"].as_str().unwrap().to_owned();
        let named = |(section, texts): (String, Value)| {
            let texts = texts.as_table().cloned().unwrap_or_default();
            let language = language.clone();
            texts.into_iter().map(move |(key, text)| {
                let text = text.as_str().unwrap().to_owned();
                (format!("{language} {section}.{key}"), text)
            })
        };
        table.into_iter().flat_map(named).collect()
    }

    /// The words of a text, in lower case.
    fn words(text: &str) -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric());
        let words = words.filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    }

    #[test]
    fn no_text_is_left_untranslated() {
        let english = all_texts(ENGLISH);
        for file in &BUILT_IN[1..] {
            for ((key, text), (_, original)) in all_texts(file).into_iter().zip(&english) {
                assert!(
                    words(&text) != words(original) || SAME_AS_ENGLISH.contains(&&*key),
                    "{key}: {text}"
                );
                let rest = words(&text);
                let function_words = ["the", "this", "with", "please", "your", "you"];
                let left = function_words
                    .iter()
                    .find(|word| rest.contains(&(**word).to_owned()));
                assert_eq!(left, None, "{key}: {text}");
            }
        }
    }

    /// Texts that are those of the English file.
    const SAME_AS_ENGLISH: &[&str] = &[];

    #[test]
    fn texts_have_no_placeholders_and_no_markup() {
        for (key, text) in BUILT_IN.iter().flat_map(|file| all_texts(file)) {
            assert!(
                !text.contains(['{', '}', '%', '<', '>', '&', '$']),
                "{key}: {text}"
            );
        }
    }

    #[test]
    fn directions_are_those_of_the_languages() {
        for texts in Texts::built_in() {
            let is_rtl = texts.language() == "ar";
            assert_eq!(
                texts.direction == Direction::Rtl,
                is_rtl,
                "{}",
                texts.language()
            );
        }
    }

    #[test]
    fn texts_in_another_script_do_not_mix_with_built_in_ones() {
        let home = |file: &str| Texts::parse(file).unwrap().words.home;
        assert_eq!(home("language = 'zh-Hans'"), "转到开始页面");
        assert_eq!(home("language = 'ZH-hans'"), "转到开始页面");
        assert_eq!(home("language = 'zh-Hant'"), "Go to the start page");
        assert_eq!(home("language = 'pt-BR'"), "Ir para a página inicial");
    }

    #[test]
    fn missing_texts_have_defaults_and_unknown_ones_are_refused() {
        let hebrew = "language = 'he'\ndirection = 'rtl'\n[words]\nroom = 'חדר'";
        let texts = Texts::parse(hebrew).unwrap();
        assert_eq!((&*texts.words.room, &*texts.words.or), ("חדר", "or"));
        assert_eq!(texts.direction.as_str(), "rtl");
        let austrian = Texts::parse("language = 'de-AT'\n[words]\nhome = 'Heim'").unwrap();
        assert_eq!(
            (&*austrian.words.home, &*austrian.words.room),
            ("Heim", "Raum")
        );
        for (file, error) in [
            (
                "language = 'sv'\n[words]\nromm = 'x'",
                "unknown field `romm`",
            ),
            ("language = 'sv'\n[wrods]", "unknown field `wrods`"),
            ("language = 'sv'\nwords = 1", "invalid type"),
            ("[words]", "the language is missing"),
            ("language = 'x'", "is not the tag"),
            ("language = 'pt\"><script>'", "is not the tag"),
            ("language = 1", "is not the tag"),
            ("language", "key with no value"),
        ] {
            let message = Texts::parse(file).unwrap_err().to_string();
            assert!(message.contains(error), "{file}: {message}");
        }
    }
}
