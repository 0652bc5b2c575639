//! What people call a meeting, as an address can have it.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Letters and digits in lower case, with one hyphen for all that is between them.
///
/// Latin letters lose their accents, so that most addresses are plain ASCII; other scripts stay as
/// they are, which browsers show as text.
pub(super) fn slugify(wish: &str) -> String {
    let mut name = String::new();
    let mut gap = false;
    let mut base_is_latin = false;
    // Only so much is looked at, however long a text is sent.
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
    // Composed again, as the canonical form of rooms has it.
    let name: String = name.nfkc().take(MAX_CHARS).collect();
    name.trim_end_matches('-').to_owned()
}

/// Latin letters that are not a plain one with an accent.
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

/// As long as a name may be said in one breath; in any script it leaves room for the tag (12 bytes
/// a character are the most that percent-encoding makes, 512 a room may have).
const MAX_CHARS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_readable_addresses() {
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
    fn long_names_are_cut() {
        assert_eq!(slugify(&"a".repeat(1000)).len(), MAX_CHARS);
        assert_eq!(slugify(&"a b".repeat(1000)).chars().count(), MAX_CHARS);
        assert_eq!(slugify(&format!("{} b", "a".repeat(39))).len(), 39);
    }
}
