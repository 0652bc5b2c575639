//! Validation of attributes that come from outside: directories, integrations and their users.

use url::Url;

use super::{GUEST_PREFIX, INTEGRATION_PREFIX, RECORDER_PREFIX};

/// Whether rules may compare a text: not empty, not too long, no deceptive characters.
///
/// Other texts are dropped whole: truncating or cleaning could turn one into a value that a rule
/// names.
pub fn is_plain(text: &str, max_chars: usize) -> bool {
    !text.is_empty() && text.chars().count() <= max_chars && !text.chars().any(is_deceptive)
}

/// Whether a text has the form of an e-mail address.
pub fn is_email(text: &str) -> bool {
    is_plain(text, MAX_EMAIL_CHARS) && text.contains('@') && !text.contains(char::is_whitespace)
}

/// An e-mail address, or its domain, in small letters, for comparisons.
///
/// A letter outside of ASCII never becomes one of ASCII, as the Kelvin sign and `İ` do in Unicode's case mapping: to mail
/// servers the two are different mailboxes, and so possibly those of two people.
pub fn fold_email(address: &str) -> String {
    let mut folded = String::with_capacity(address.len());
    for letter in address.chars() {
        let small = letter.to_lowercase();
        if letter.is_ascii() || !small.clone().any(|c| c.is_ascii()) {
            folded.extend(small);
        } else {
            folded.push(letter);
        }
    }
    folded
}

/// Whether a text is the name of a region, such as `eu-central-1`.
pub fn is_region(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    (1..=MAX_REGION_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

/// Whether an id has the form of a generated subject. The gateway refuses a sign-in with such an
/// id: rules and revocation would treat two people as one.
pub fn is_reserved_subject(subject: &str) -> bool {
    [INTEGRATION_PREFIX, GUEST_PREFIX, RECORDER_PREFIX]
        .iter()
        .any(|prefix| subject.starts_with(prefix))
}

/// Cleans and shortens a display name; `None` if nothing visible is left.
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

/// Whether a text has no visible character. Zero-width joiners are legitimate within words of some
/// scripts, but not as a whole text.
pub fn is_blank(text: &str) -> bool {
    let invisible = |c| {
        matches!(c,
            '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2065}' | '\u{115F}' | '\u{1160}' | '\u{180E}'
            | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}')
    };
    text.chars().all(|c| c.is_whitespace() || invisible(c))
}

/// Parses the URL of a picture: `http` or `https`, without credentials, short enough for the
/// session cookie.
pub fn parse_picture_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let web = matches!(url.scheme(), "https" | "http") && url.username().is_empty();
    let url = String::from(url);
    (web && url.len() <= MAX_AVATAR_BYTES).then_some(url)
}

/// Control characters, and characters that make a text look like another: direction overrides,
/// isolates and marks, zero-width spaces, line separators, the byte order mark, and tag characters.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// A tile in a meeting shows fewer characters.
const MAX_NAME_CHARS: usize = 128;

/// RFC 5321 § 4.5.3.1.3: a path has at most 256 octets, two of which are the angle brackets.
const MAX_EMAIL_CHARS: usize = 254;

/// The picture's URL is part of the session cookie, which has to stay below 4 KiB.
const MAX_AVATAR_BYTES: usize = 512;

/// Longer than any region of a cloud provider.
pub const MAX_REGION_BYTES: usize = 63;
