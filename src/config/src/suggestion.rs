//! Suggestions for misspelt words.

use strsim::levenshtein;

/// The closest known word, if any is close.
pub(super) fn suggest<'w>(typed: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    // Misspellings keep the first letter; requiring it separates ES256 from HS256.
    let same_initial = |word: &&str| {
        let initial = |text: &str| text.chars().next().map(|c| c.to_ascii_lowercase());
        initial(word) == initial(typed)
    };
    known
        .filter(same_initial)
        .map(|word| {
            (
                levenshtein(&typed.to_lowercase(), &word.to_lowercase()),
                word,
            )
        })
        .filter(|(distance, word)| *distance <= word.chars().count().div_ceil(3))
        .min()
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_close_words_are_suggested() {
        let known = ["issuer", "client_id", "client_secret"];
        let suggestion = |typed| suggest(typed, known.into_iter());
        assert_eq!(suggestion("isuer"), Some("issuer"));
        assert_eq!(suggestion("clientid"), Some("client_id"));
        assert_eq!(suggestion("Issuer"), Some("issuer"));
        assert_eq!(suggestion("colour"), None);
        assert_eq!(suggest("HS256", ["ES256", "RS256"].into_iter()), None);
    }
}
