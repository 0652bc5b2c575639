//! Which language somebody reads the pages in.

use http::HeaderValue;

use super::texts::{Texts, primary};

/// The languages that a deployment has texts in.
#[derive(Clone, Debug)]
pub struct Languages {
    /// For people who want none of them.
    default: Texts,
    others: Vec<Texts>,
}

/// A language that was asked for and has no texts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{language:?} has no texts")]
pub struct UnknownLanguage {
    /// Its tag.
    pub language: String,
    /// Its position among those that were asked for, from 1.
    pub position: usize,
    /// The tags of those that have texts.
    pub known: Vec<String>,
}

// === impl Languages ===

impl Languages {
    /// The languages of `order`, the first for people who want none of them, or else all that there
    /// are: our own, of which `more` replaces some, and `more`.
    pub fn new(more: Vec<Texts>, order: &[String]) -> Result<Self, UnknownLanguage> {
        let mut all = Texts::built_in();
        for texts in more {
            let same = |own: &&mut Texts| is_same(own.language(), texts.language());
            match all.iter_mut().find(same) {
                Some(own) => *own = texts,
                None => all.push(texts),
            }
        }
        if !order.is_empty() {
            all = chosen(&all, order)?;
        }
        let others = all.split_off(1);
        let default = all.pop().expect("there are at least our own");
        Ok(Self { default, others })
    }

    /// The language that a browser likes best, by its `Accept-Language`.
    ///
    /// A range stands for every language that it is a beginning of, and for the one that is a
    /// beginning of it (RFC 4647 § 3.4, a lookup in both directions).
    pub fn pick(&self, accept: Option<&HeaderValue>) -> &Texts {
        let accept = accept.and_then(|value| value.to_str().ok());
        let mut wanted: Vec<(u16, &str)> = accept
            .unwrap_or_default()
            .split(',')
            .take(MAX_RANGES)
            .filter_map(read_range)
            .collect();
        // Stable: among equals the order of the header counts.
        wanted.sort_by_key(|&(weight, _)| std::cmp::Reverse(weight));
        wanted
            .iter()
            .find_map(|&(_, range)| self.find(range))
            .unwrap_or(&self.default)
    }

    fn find(&self, range: &str) -> Option<&Texts> {
        let exact = |texts: &&Texts| is_same(texts.language(), range);
        let related = |texts: &&Texts| is_same(primary(texts.language()), primary(range));
        let all = || std::iter::once(&self.default).chain(&self.others);
        if range == "*" {
            return Some(&self.default);
        }
        all().find(exact).or_else(|| all().find(related))
    }
}

impl Default for Languages {
    fn default() -> Self {
        Self::new(Vec::new(), &[]).expect("no order names no unknown language")
    }
}

fn chosen(all: &[Texts], order: &[String]) -> Result<Vec<Texts>, UnknownLanguage> {
    let find = |(position, language): (usize, &String)| {
        let found = all.iter().find(|own| is_same(own.language(), language));
        found.cloned().ok_or_else(|| UnknownLanguage {
            language: language.clone(),
            position,
            known: all.iter().map(|own| own.language().to_owned()).collect(),
        })
    };
    (1..).zip(order).map(find).collect()
}

fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// One language range and its weight in thousandths; nothing if it is unwanted or unreadable.
fn read_range(text: &str) -> Option<(u16, &str)> {
    let (range, parameters) = text.split_once(';').unwrap_or((text, ""));
    let weight = match parameters.trim().strip_prefix("q=") {
        Some(weight) => thousandths(weight)?,
        None => 1000,
    };
    let range = range.trim();
    (weight > 0 && !range.is_empty()).then_some((weight, range))
}

/// A weight (RFC 9110 § 12.4.2) without floating point.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = whole.len() == 1 && fraction.len() <= 3;
    let number: u16 = format!("{whole}{fraction:0<3}").parse().ok()?;
    (digits && number <= 1000).then_some(number)
}

/// More wishes than people have; the header may be as long as a head may be.
const MAX_RANGES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn languages(order: &[&str]) -> Result<Languages, UnknownLanguage> {
        let brazilian = Texts::read("language = 'pt-BR'").unwrap();
        let order: Vec<String> = order.iter().map(|&tag| tag.to_owned()).collect();
        Languages::new(vec![brazilian], &order)
    }

    #[test]
    fn the_language_wanted_most_is_picked() {
        let languages = languages(&["de", "pt-br", "en"]).unwrap();
        for (accept, picked) in [
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
                languages.pick(Some(&accept)).language(),
                picked,
                "{accept:?}"
            );
        }
        assert_eq!(languages.pick(None).language(), "de");
        let not_text = HeaderValue::from_bytes(b"\xff").unwrap();
        assert_eq!(languages.pick(Some(&not_text)).language(), "de");
        assert_eq!(Languages::default().pick(None).language(), "en");
    }

    #[test]
    fn without_an_order_there_are_all_and_english_is_first() {
        let languages = languages(&[]).unwrap();
        assert_eq!(languages.pick(None).language(), "en");
        let accept = HeaderValue::from_static("pt");
        assert_eq!(languages.pick(Some(&accept)).language(), "pt-BR");
    }

    #[test]
    fn a_file_replaces_our_own() {
        let own = Texts::read("language = 'en'\n[words]\nhome = 'Home'").unwrap();
        let languages = Languages::new(vec![own], &[]).unwrap();
        assert_eq!(languages.pick(None).words.home, "Home");
    }

    #[test]
    fn an_order_names_languages_that_are_there() {
        let unknown = languages(&["de", "tlh"]).unwrap_err();
        assert_eq!((unknown.position, &*unknown.language), (2, "tlh"));
        assert_eq!(unknown.known, ["en", "de", "fr", "es", "ar", "pt-BR"]);
    }
}
