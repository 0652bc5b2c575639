//! The word that somebody who mistyped probably meant.

/// The word that is nearest to `typed`, if any is near.
pub(super) fn nearest<'w>(typed: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    // Nobody mistypes the first letter, while ES256 is a long way from HS256.
    let begins_alike = |word: &&str| {
        let first = |text: &str| text.chars().next().map(|c| c.to_ascii_lowercase());
        first(word) == first(typed)
    };
    words
        .filter(begins_alike)
        .map(|word| (distance(&typed.to_lowercase(), &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= word.chars().count().div_ceil(3))
        .min()
        .map(|(_, word)| word)
}

/// How many letters have to be added, removed or changed (Levenshtein's distance).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (removed, a) in (1..).zip(from.chars()) {
        let mut next = vec![removed];
        for ((b, above), diagonal) in to.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            let change = diagonal + usize::from(a != *b);
            next.push(change.min(left + 1).min(above + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("isuer", "issuer", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        let words = ["issuer", "client_id", "client_secret"];
        let near = |typed| nearest(typed, words.into_iter());
        assert_eq!(near("isuer"), Some("issuer"));
        assert_eq!(near("clientid"), Some("client_id"));
        assert_eq!(near("Issuer"), Some("issuer"));
        assert_eq!(near("colour"), None);
        assert_eq!(nearest("HS256", ["ES256", "RS256"].into_iter()), None);
    }
}
