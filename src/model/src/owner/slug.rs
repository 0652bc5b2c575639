//! Slugs: names of meetings reduced to characters that are readable in an address.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Reduces a name to lower-case letters and digits, with one hyphen for each run of other
/// characters; the result is empty if the name has no letter or digit.
///
/// Latin letters lose their accents, so most addresses are plain ASCII. Other scripts stay:
/// browsers show them decoded.
pub(super) fn slugify(wish: &str) -> String {
    let mut name = String::new();
    let mut gap = false;
    let mut base_is_latin = false;
    // Bounds the work on a long text.
    for c in wish.nfkd().take(4 * MAX_CHARS).flat_map(char::to_lowercase) {
        if is_combining_mark(c) {
            if !base_is_latin && !gap && !name.is_empty() {
                name.push(c);
            }
            continue;
        }
        let spelled = spelled_out(c);
        base_is_latin = c.is_ascii() || spelled.is_some();
        if !c.is_alphanumeric() {
            gap = !name.is_empty();
            continue;
        }
        if std::mem::take(&mut gap) {
            name.push('-');
        }
        match spelled {
            Some(letters) => name.push_str(letters),
            None => name.push(c),
        }
    }
    // Composed again: the canonical form of rooms is NFKC.
    let name: String = name.nfkc().take(MAX_CHARS).collect();
    name.trim_end_matches('-').to_owned()
}

/// The ASCII spelling of Latin letters that do not decompose.
fn spelled_out(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ı' => "i",
        _ => return None,
    })
}

/// Leaves space for the tag in any script: percent-encoding makes at most 12 bytes of a character,
/// and a node has at most 512.
const MAX_CHARS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_slugs() {
        let cases = [
            ("Team Call", "team-call"),
            ("  Jörgs Café — Straße №5 ", "jorgs-cafe-strasse-no5"),
            ("Łódź/Ærø", "lodz-aero"),
            ("a__b..c", "a-b-c"),
            ("O'Neill & Sons", "o-neill-sons"),
            ("Планёрка", "планёрка"),
            ("会議 Ⅷ", "会議-viii"),
            ("がくせい", "がくせい"),
            ("हिन्दी", "हिन्दी"),
            ("한국어", "한국어"),
            ("İstanbul", "istanbul"),
            ("<script>alert(1)</script>", "script-alert-1-script"),
            ("../../etc", "etc"),
            ("🎉", ""),
            ("\u{301}", ""),
        ];
        for (wish, name) in cases {
            assert_eq!(slugify(wish), name, "{wish}");
        }
    }

    #[test]
    fn long_names_are_cut_without_a_trailing_hyphen() {
        assert_eq!(slugify(&"a".repeat(1000)).len(), MAX_CHARS);
        assert_eq!(slugify(&"a b".repeat(1000)).chars().count(), MAX_CHARS);
        assert_eq!(slugify(&format!("{} b", "a".repeat(39))).len(), 39);
    }
}
