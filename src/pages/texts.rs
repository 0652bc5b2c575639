//! What the pages say, by language.

use std::borrow::Cow;

use http::HeaderValue;
use serde::Deserialize;

/// All texts in one language.
///
/// Reads from a message file in which any text may be missing; the English one then stands in. No
/// text has a placeholder, as what varies stands beside the text: no grammar has to fit a name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the English texts say what each is for")]
pub struct Texts {
    /// The language's tag (RFC 5646), as `en` or `pt-BR`.
    pub language: Cow<'static, str>,
    /// The direction of its writing.
    pub direction: Direction,

    pub continue_title: Text,
    pub continue_text: Text,
    pub continue_link: Text,

    pub signed_out_title: Text,
    pub signed_out_text: Text,

    pub refused_title: Text,
    pub refused_no_rule: Text,
    pub refused_closed: Text,
    pub refused_not_allowed: Text,
    pub refused_advice: Text,
    pub refused_advice_signed_out: Text,

    pub failed_title: Text,
    pub failed_unknown: Text,
    pub failed_expired: Text,
    pub failed_declined: Text,
    pub failed_provider: Text,
    pub failed_too_large: Text,
    pub failed_advice: Text,

    pub unavailable_title: Text,
    pub unavailable_provider: Text,
    pub unavailable_jitsi: Text,
    pub unavailable_gateway: Text,
    pub unavailable_advice: Text,

    pub not_found_title: Text,
    pub not_found_text: Text,

    pub bad_request_title: Text,
    pub bad_request_text: Text,

    pub room: Text,
    pub person: Text,
    pub rule: Text,
    pub request_id: Text,

    pub link_start: Text,
    pub link_sign_in: Text,
    pub link_other_account: Text,
    pub link_again: Text,
}

/// One text.
pub type Text = Cow<'static, str>;

/// Which way a language is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From left to right.
    #[default]
    Ltr,
    /// From right to left.
    Rtl,
}

/// The languages that a deployment has texts in.
#[derive(Clone, Debug)]
pub struct Languages {
    /// For people who want none of them.
    default: Texts,
    others: Vec<Texts>,
}

// === impl Texts ===

impl Default for Texts {
    fn default() -> Self {
        let text = Cow::Borrowed;
        Self {
            language: text("en"),
            direction: Direction::Ltr,

            continue_title: text("Taking you to sign in"),
            continue_text: text("You will be back in a moment."),
            continue_link: text("Continue to sign in"),

            signed_out_title: text("You are signed out"),
            signed_out_text: text(
                "If other people use this computer too, close the browser as well.",
            ),

            refused_title: text("You cannot enter this room"),
            refused_no_rule: text("This site has no rule for rooms of this name."),
            refused_closed: text("This room is closed for everybody."),
            refused_not_allowed: text("Your account is not among those that may enter."),
            refused_advice: text(
                "If you should be let in, send the details below to whoever invited you or runs \
                 this site. If you have another account, sign in with that one.",
            ),
            refused_advice_signed_out: text(
                "If you should be let in, send the details below to whoever invited you or runs \
                 this site.",
            ),

            failed_title: text("Signing in did not work"),
            failed_unknown: text(
                "This browser has no sign-in under way. It was finished already, was begun in \
                 another browser, or cookies are blocked.",
            ),
            failed_expired: text("The sign-in took too long."),
            failed_declined: text("The sign-in was cancelled or declined."),
            failed_provider: text("The sign-in service gave an answer that cannot be used."),
            failed_too_large: text(
                "Your account is in more groups than can be remembered here. Whoever runs this \
                 site has to change that.",
            ),
            failed_advice: text(
                "Please try again. If that does not help, send the request id to whoever runs \
                 this site.",
            ),

            unavailable_title: text("Not available right now"),
            unavailable_provider: text("The sign-in service cannot be reached."),
            unavailable_jitsi: text("The meeting service cannot be reached."),
            unavailable_gateway: text("Something went wrong on our side."),
            unavailable_advice: text("Please try again in a moment."),

            not_found_title: text("There is nothing here"),
            not_found_text: text("The address has a mistake in it, or what was here is gone."),

            bad_request_title: text("This address cannot be read"),
            bad_request_text: text("Please check the address, or ask for the invitation again."),

            room: text("Room"),
            person: text("Signed in as"),
            rule: text("Rule"),
            request_id: text("Request id"),

            link_start: text("Go to the start page"),
            link_sign_in: text("Sign in"),
            link_other_account: text("Sign in as somebody else"),
            link_again: text("Try again"),
        }
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

// === impl Languages ===

impl Languages {
    /// These languages, the first for people who want none of them, and English if it is not there.
    pub fn new(mut all: Vec<Texts>) -> Self {
        let is_english = |texts: &Texts| primary(&texts.language).eq_ignore_ascii_case("en");
        if !all.iter().any(is_english) {
            all.push(Texts::default());
        }
        Self {
            default: all.remove(0),
            others: all,
        }
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
        let exact = |texts: &&Texts| texts.language.eq_ignore_ascii_case(range);
        let related =
            |texts: &&Texts| primary(&texts.language).eq_ignore_ascii_case(primary(range));
        let all = || std::iter::once(&self.default).chain(&self.others);
        if range == "*" {
            return Some(&self.default);
        }
        all().find(exact).or_else(|| all().find(related))
    }
}

impl Default for Languages {
    fn default() -> Self {
        Self::new(Vec::new())
    }
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

fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or_default()
}

/// More wishes than people have; the header may be as long as a head may be.
const MAX_RANGES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(language: &'static str) -> Texts {
        Texts {
            language: language.into(),
            ..Texts::default()
        }
    }

    #[test]
    fn the_language_wanted_most_is_picked() {
        let languages = Languages::new(vec![texts("de"), texts("pt-BR"), texts("en")]);
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
            assert_eq!(languages.pick(Some(&accept)).language, picked, "{accept:?}");
        }
        assert_eq!(languages.pick(None).language, "de");
        let not_text = HeaderValue::from_bytes(b"\xff").unwrap();
        assert_eq!(languages.pick(Some(&not_text)).language, "de");
        assert_eq!(Languages::default().pick(None).language, "en");
    }

    #[test]
    fn a_message_file_may_leave_texts_out_but_not_misspell_them() {
        let file = "language = 'ar'\ndirection = 'rtl'\nroom = 'غرفة'";
        let texts: Texts = toml::from_str(file).unwrap();
        assert_eq!((texts.room.as_ref(), texts.rule.as_ref()), ("غرفة", "Rule"));
        assert_eq!(texts.direction.as_str(), "rtl");
        assert!(toml::from_str::<Texts>("romm = 'x'").is_err());
    }
}
