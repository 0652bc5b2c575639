//! Random room names that are easy to remember and to type.

use crate::random::Random;

/// Generates an adjective, a noun and a number: `calm-otter-4821`.
///
/// Two words out of 256 and a number out of 9000 are 29 bits, enough against repetition for one
/// owner. Together with the 40 bits of the owner's tag a name cannot be guessed.
pub(super) fn random_slug(random: &Random) -> String {
    let [adjective, noun, number @ ..] = random.bytes::<6>();
    let word = |byte: u8, column: usize| {
        LIST.lines()
            .nth(byte.into())
            .and_then(|line| line.split(' ').nth(column))
            // Infallible: a test counts the lines and words of the list.
            .expect("the list has a line of two words for each byte")
    };
    let number = LOWEST + u32::from_be_bytes(number) % NUMBERS;
    format!("{}-{}-{number}", word(adjective, 0), word(noun, 1))
}

/// 256 lines of an adjective and a noun.
const LIST: &str = include_str!("words.txt");

/// Numbers have four digits and no leading zero, which people omit.
const LOWEST: u32 = 1000;
const NUMBERS: u32 = 9000;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_list_has_two_short_unique_words_for_every_byte() {
        let lines: Vec<Vec<&str>> = LIST.lines().map(|line| line.split(' ').collect()).collect();
        assert_eq!(lines.len(), 256);
        assert!(lines.iter().all(|line| line.len() == 2));
        let words: HashSet<&str> = lines.iter().flatten().copied().collect();
        assert_eq!(words.len(), 512, "no word is there twice");
        for word in words {
            let plain = word.bytes().all(|byte| byte.is_ascii_lowercase());
            assert!(plain && (2..=8).contains(&word.len()), "{word}");
        }
    }

    #[test]
    fn random_names_differ_and_have_three_parts() {
        let random = Random::predictable(7);
        let names: HashSet<String> = (0..1000).map(|_| random_slug(&random)).collect();
        assert!(names.len() > 990, "{}", names.len());
        for name in names {
            let parts: Vec<&str> = name.split('-').collect();
            assert_eq!(parts.len(), 3, "{name}");
            assert!((1000..=9999).contains(&parts[2].parse().unwrap()), "{name}");
        }
    }
}
