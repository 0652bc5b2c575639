//! Language negotiation (`Accept-Language`).

use http::HeaderValue;

use crate::texts::{Texts, primary_subtag};

/// The languages that a deployment offers.
#[derive(Clone, Debug)]
pub struct Languages {
    /// The language of requests that accept none of the others.
    default: Texts,
    others: Vec<Texts>,
}

/// A configured language without texts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{language:?} has no texts")]
pub struct UnknownLanguage {
    /// Its tag (RFC 5646).
    pub language: String,
    /// Its position in the configured order, from 1.
    pub position: usize,
    /// Tags of the languages with texts.
    pub known: Vec<String>,
}

// === impl Languages ===

impl Languages {
    /// Selects the languages of `order`, the first of them as default; all languages if `order` is
    /// empty, with English as default. `more` adds to the built-in languages or replaces them.
    pub fn new(more: Vec<Texts>, order: &[String]) -> Result<Self, UnknownLanguage> {
        let mut all = Texts::built_in();
        for texts in more {
            let same = |known: &&mut Texts| is_same(known.language(), texts.language());
            match all.iter_mut().find(same) {
                Some(known) => *known = texts,
                None => all.push(texts),
            }
        }
        if !order.is_empty() {
            all = select(&all, order)?;
        }
        let others = all.split_off(1);
        // Infallible: `order` is not empty, or `all` has the built-in languages.
        let default = all.pop().expect("there is at least one language");
        Ok(Self { default, others })
    }

    /// The language that `Accept-Language` prefers.
    ///
    /// A range without an exact match selects a language with the same primary subtag: `pt`
    /// selects `pt-BR`, and `de-AT` selects `de` (RFC 4647 § 3.4, extended to more specific
    /// languages).
    pub fn negotiate(&self, accept: Option<&HeaderValue>) -> &Texts {
        self.preferred(accept).unwrap_or(&self.default)
    }

    /// The offered language that `Accept-Language` prefers; `None` if it names none of them.
    pub(crate) fn preferred(&self, accept: Option<&HeaderValue>) -> Option<&Texts> {
        let accept = accept.and_then(|value| value.to_str().ok());
        let mut ranges: Vec<(u16, &str)> = accept
            .unwrap_or_default()
            .split(',')
            .take(MAX_RANGES)
            .filter_map(parse_range)
            .collect();
        // The sort is stable: ranges of equal weight keep their order.
        ranges.sort_by_key(|&(weight, _)| std::cmp::Reverse(weight));
        ranges.iter().find_map(|&(_, range)| self.find(range))
    }

    fn find(&self, range: &str) -> Option<&Texts> {
        let exact = |texts: &&Texts| is_same(texts.language(), range);
        let related =
            |texts: &&Texts| is_same(primary_subtag(texts.language()), primary_subtag(range));
        let all = || std::iter::once(&self.default).chain(&self.others);
        if range == "*" {
            return Some(&self.default);
        }
        all().find(exact).or_else(|| all().find(related))
    }
}

impl Default for Languages {
    fn default() -> Self {
        // Infallible: an empty order names no unknown language.
        Self::new(Vec::new(), &[]).expect("the built-in languages are valid")
    }
}

fn select(all: &[Texts], order: &[String]) -> Result<Vec<Texts>, UnknownLanguage> {
    let find = |(position, language): (usize, &String)| {
        let found = all.iter().find(|texts| is_same(texts.language(), language));
        found.cloned().ok_or_else(|| UnknownLanguage {
            language: language.clone(),
            position,
            known: all
                .iter()
                .map(|texts| texts.language().to_owned())
                .collect(),
        })
    };
    (1..).zip(order).map(find).collect()
}

fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// A language range and its weight in thousandths; `None` if its weight is 0 or it is malformed.
fn parse_range(text: &str) -> Option<(u16, &str)> {
    let (range, parameters) = text.split_once(';').unwrap_or((text, ""));
    let weight = match parameters.trim().strip_prefix("q=") {
        Some(weight) => thousandths(weight)?,
        None => 1000,
    };
    let range = range.trim();
    (weight > 0 && !range.is_empty()).then_some((weight, range))
}

/// A weight (RFC 9110 § 12.4.2) in thousandths.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = whole.len() == 1 && fraction.len() <= 3;
    let number: u16 = format!("{whole}{fraction:0<3}").parse().ok()?;
    (digits && number <= 1000).then_some(number)
}

/// Bounds the work on a long header; browsers send fewer than ten ranges.
const MAX_RANGES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn languages(order: &[&str]) -> Result<Languages, UnknownLanguage> {
        let brazilian = Texts::parse("language = 'pt-BR'").unwrap();
        let order: Vec<String> = order.iter().map(|&tag| tag.to_owned()).collect();
        Languages::new(vec![brazilian], &order)
    }

    #[test]
    fn the_language_with_the_highest_weight_is_selected() {
        let languages = languages(&["de", "pt-br", "en"]).unwrap();
        for (accept, expected) in [
            ("", "de"),
            ("fr", "de"),
            ("en", "en"),
            ("EN-gb", "en"),
            ("fr, en;q=0.5", "en"),
            ("en;q=0.5, de;q=0.8", "de"),
            ("en;q=0.801, de;q=0.8", "en"),
            ("pt", "pt-BR"),
            ("pt-PT, de;q=0.1", "pt-BR"),
            ("en;q=0, *", "de"),
            ("en;q=2, de;q=x, pt-br;q=1.000", "pt-BR"),
            (";;;,,q=,en", "en"),
        ] {
            let accept = HeaderValue::from_static(accept);
            assert_eq!(
                languages.negotiate(Some(&accept)).language(),
                expected,
                "{accept:?}"
            );
        }
        assert_eq!(languages.negotiate(None).language(), "de");
        let not_text = HeaderValue::from_bytes(b"\xff").unwrap();
        assert_eq!(languages.negotiate(Some(&not_text)).language(), "de");
        assert_eq!(Languages::default().negotiate(None).language(), "en");
    }

    #[test]
    fn without_an_order_all_languages_are_offered_and_english_is_the_default() {
        let languages = languages(&[]).unwrap();
        assert_eq!(languages.negotiate(None).language(), "en");
        let accept = HeaderValue::from_static("pt");
        assert_eq!(languages.negotiate(Some(&accept)).language(), "pt");
    }

    #[test]
    fn regions_and_scripts_have_the_texts_of_their_language() {
        let built_in = Languages::default();
        for (accept, expected) in [
            ("pt-BR", "pt"),
            ("pt-BR,pt;q=0.9,en;q=0.8", "pt"),
            ("zh-Hant", "zh-Hans"),
            ("zh-TW,zh;q=0.9,en;q=0.8", "zh-Hans"),
            ("zh-CN", "zh-Hans"),
            ("zh", "zh-Hans"),
            ("ja-JP", "ja"),
            ("sv, tr;q=0.5", "tr"),
            ("uk-UA,ru;q=0.9", "uk"),
            ("sv", "en"),
        ] {
            let accept = HeaderValue::from_static(accept);
            assert_eq!(
                built_in.negotiate(Some(&accept)).language(),
                expected,
                "{accept:?}"
            );
        }
        let brazilian = languages(&[]).unwrap();
        let accept = HeaderValue::from_static("pt-BR");
        assert_eq!(brazilian.negotiate(Some(&accept)).language(), "pt-BR");
        // Texts in the other script are preferred by their own readers only.
        let traditional = Texts::parse("language = 'zh-Hant'").unwrap();
        let chinese = Languages::new(vec![traditional], &[]).unwrap();
        for (accept, expected) in [
            ("zh-Hant", "zh-Hant"),
            ("zh-CN", "zh-Hans"),
            ("zh", "zh-Hans"),
        ] {
            let accept = HeaderValue::from_static(accept);
            assert_eq!(chinese.negotiate(Some(&accept)).language(), expected);
        }
    }

    #[test]
    fn a_file_replaces_built_in_texts() {
        let english = Texts::parse("language = 'en'\n[words]\nhome = 'Home'").unwrap();
        let languages = Languages::new(vec![english], &[]).unwrap();
        assert_eq!(languages.negotiate(None).words.home, "Home");
    }

    #[test]
    fn an_order_with_an_unknown_language_is_refused() {
        let unknown = languages(&["de", "tlh"]).unwrap_err();
        assert_eq!((unknown.position, &*unknown.language), (2, "tlh"));
        assert_eq!(unknown.known.first().unwrap(), "en");
        assert_eq!(unknown.known.last().unwrap(), "pt-BR");
    }
}
