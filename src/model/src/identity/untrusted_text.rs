//! What others say of people, made harmless: whoever wrote it, a directory or its owner.

use url::Url;

use super::{GUEST_PREFIX, INTEGRATION_PREFIX, RECORDER_PREFIX};

/// Fit to be compared. What is not is dropped whole: cutting or cleaning it could turn it into
/// something that a rule names.
pub fn is_plain(text: &str, max_chars: usize) -> bool {
    !text.is_empty() && text.chars().count() <= max_chars && !text.chars().any(is_deceptive)
}

/// Has the form of an address; whose it is, is another question.
pub fn is_email(text: &str) -> bool {
    is_plain(text, MAX_EMAIL_CHARS) && text.contains('@') && !text.contains(char::is_whitespace)
}

/// Whether an id has the form of those that we make up: nobody who signs in may have one, or rules
/// and revocation would take two people for one.
pub fn is_reserved_subject(subject: &str) -> bool {
    [INTEGRATION_PREFIX, GUEST_PREFIX, RECORDER_PREFIX]
        .iter()
        .any(|prefix| subject.starts_with(prefix))
}

/// A name is only shown, so it is cleaned and cut.
pub fn sanitize_display_name(text: &str) -> Option<String> {
    let visible: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|&c| !is_deceptive(c))
        .collect();
    let words: Vec<_> = visible.split_whitespace().collect();
    let name: String = words.join(" ").chars().take(MAX_NAME_CHARS).collect();
    let name = name.trim_end();
    (!is_blank(name)).then(|| name.to_owned())
}

/// Whether nothing can be seen of it. Some scripts need marks without width within words, but
/// nothing is a word of them alone.
pub fn is_blank(text: &str) -> bool {
    let unseen = |c| {
        matches!(c,
            '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2065}' | '\u{115F}' | '\u{1160}' | '\u{180E}'
            | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}')
    };
    text.chars().all(|c| c.is_whitespace() || unseen(c))
}

/// An address that a page may load a picture from.
pub fn parse_picture_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let web = matches!(url.scheme(), "https" | "http") && url.username().is_empty();
    let url = String::from(url);
    (web && url.len() <= MAX_AVATAR_BYTES).then_some(url)
}

/// Controls, and what makes text look different from what it is: direction overrides, isolates and
/// marks, spaces without width, line separators, the byte order mark, and tags.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// What a tile in a meeting can show.
const MAX_NAME_CHARS: usize = 128;

/// RFC 5321 § 4.5.3.1.3, less the angle brackets.
const MAX_EMAIL_CHARS: usize = 254;

/// The session cookie has to hold it.
const MAX_AVATAR_BYTES: usize = 512;
